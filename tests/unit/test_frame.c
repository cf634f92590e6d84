/* A frame's payload, there and back, and payloads that nobody of good will wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "agent/repository/frame.h"
#include "shared/mem.h"

static void
fill_noise(uint8_t *data, size_t len)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		data[i] = (uint8_t)(seed >> 56);
	}
}

static void
fill_text(uint8_t *data, size_t len)
{
	static const char words[] = "the quick brown fox jumps over the lazy dog and ";

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)words[(i * 7 + i / 97) % (sizeof(words) - 1)];
}

static int
setup(void **state)
{
	*state = frame_coder_new(0);
	return 0;
}

static int
teardown(void **state)
{
	frame_coder_free(*state);
	frame_coder_free(NULL);
	return 0;
}

static void
assert_there_and_back(struct frame_coder *coder, const uint8_t *plain, size_t len,
    enum frame_codec codec)
{
	struct buffer payload = BUFFER_INIT;
	uint8_t *back = mem_calloc(1, len + 1);
	struct error err = ERROR_INIT;

	buffer_put_text(&payload, "what was there before");
	assert_int_equal(frame_encode(coder, plain, len, &payload, &err), 0);
	assert_int_equal(payload.data[0], codec);
	assert_true(payload.len <= 1 + len);
	assert_int_equal(frame_decode(coder, payload.data, payload.len, back, len, &err), 0);
	assert_memory_equal(plain, back, len);
	assert_int_equal(err.code, ERROR_NONE);
	buffer_done(&payload);
	free(back);
}

static void
what_compresses_is_compressed_and_what_does_not_is_kept_as_it_is(void **state)
{
	uint8_t *plain = mem_calloc(1, FRAME_DATA_TARGET);

	fill_text(plain, FRAME_DATA_TARGET);
	assert_there_and_back(*state, plain, FRAME_DATA_TARGET, FRAME_ZSTD);
	assert_there_and_back(*state, plain, 200, FRAME_ZSTD);
	assert_there_and_back(*state, plain, 1, FRAME_STORED);
	fill_noise(plain, FRAME_DATA_TARGET);
	assert_there_and_back(*state, plain, FRAME_DATA_TARGET, FRAME_STORED);
	free(plain);
}

static void
the_largest_frame_is_read_back(void **state)
{
	uint8_t *plain = mem_calloc(1, FRAME_PLAIN_MAX);

	assert_there_and_back(*state, plain, FRAME_PLAIN_MAX, FRAME_ZSTD);
	free(plain);
}

static void
a_frame_that_inflates_without_end_is_refused(void **state)
{
	size_t plain_len = 64u << 20, bound = ZSTD_compressBound(plain_len), room = 1u << 20, n;
	uint8_t *zeros = mem_calloc(1, plain_len), *payload = mem_calloc(1, 1 + bound);
	uint8_t *out = mem_calloc(1, room + 4096);
	struct error err = ERROR_INIT;

	payload[0] = FRAME_ZSTD;
	n = ZSTD_compress(payload + 1, bound, zeros, plain_len, 1);
	assert_false(ZSTD_isError(n));
	assert_true(n < 64u << 10);
	memset(out + room, 0x77, 4096);
	assert_int_equal(frame_decode(*state, payload, 1 + n, out, room, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(out[room + i], 0x77);
	free(zeros);
	free(payload);
	free(out);
}

static void
a_payload_of_another_length_than_said_is_refused(void **state)
{
	struct buffer payload = BUFFER_INIT;
	uint8_t plain[1000], out[1200];
	struct error err = ERROR_INIT;

	for (int noise = 0; noise < 2; noise++) {
		(noise ? fill_noise : fill_text)(plain, sizeof(plain));
		assert_int_equal(frame_encode(*state, plain, sizeof(plain), &payload, &err), 0);
		assert_int_equal(frame_decode(*state, payload.data, payload.len, out, 999, &err),
		    -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_int_equal(frame_decode(*state, payload.data, payload.len, out, 1001, &err),
		    -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_string_equal(err.message, "frame holds 1000 bytes, not 1001");
		for (size_t len = 0; len < payload.len; len++) {
			error_clear(&err);
			assert_int_equal(frame_decode(*state, payload.data, len, out,
			    sizeof(plain), &err), -1);
			assert_int_equal(err.code, ERROR_CORRUPT);
		}
		/* More behind the end is no more welcome. */
		buffer_put_u8(&payload, 0);
		assert_int_equal(frame_decode(*state, payload.data, payload.len, out,
		    sizeof(plain), &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
	}
	buffer_done(&payload);
}

static void
an_unknown_codec_and_an_empty_payload_are_refused(void **state)
{
	static const uint8_t unknown[] = { 2, 'a' };
	struct error err = ERROR_INIT;
	uint8_t out[1];

	assert_int_equal(frame_decode(*state, unknown, 2, out, 1, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_string_equal(err.message, "frame has unknown codec 2");
	assert_int_equal(frame_decode(*state, unknown, 0, out, 0, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_string_equal(err.message, "frame is empty");
}

static void
compressed_data_is_told_from_text(void **state)
{
	uint8_t *data = mem_calloc(1, 100000);

	(void)state;
	assert_false(frame_is_dense(data, 100000));
	fill_text(data, 100000);
	assert_false(frame_is_dense(data, 100000));
	assert_false(frame_is_dense(data, 100));
	assert_false(frame_is_dense(data, 0));
	fill_noise(data, 100000);
	assert_true(frame_is_dense(data, 100000));
	/* Of little data only its beginning tells. */
	assert_false(frame_is_dense(data, 100));
	memcpy(data, "\x1f\x8b\x08", 3);
	assert_true(frame_is_dense(data, 100));
	assert_false(frame_is_dense(data, 2));
	free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_compresses_is_compressed_and_what_does_not_is_kept_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(the_largest_frame_is_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frame_that_inflates_without_end_is_refused, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_payload_of_another_length_than_said_is_refused,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(an_unknown_codec_and_an_empty_payload_are_refused,
		    setup, teardown),
		cmocka_unit_test(compressed_data_is_told_from_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
