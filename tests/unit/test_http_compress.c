#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "agent/http/compress.h"
#include "agent/http/response.h"
#include "shared/mem.h"

/* What a client makes of it; rc of the last inflate(). */
static int
unpack(const struct buffer *packed, struct buffer *out)
{
	z_stream zlib;
	int rc;

	memset(&zlib, 0, sizeof(zlib));
	assert_int_equal(inflateInit2(&zlib, 15 + 16), Z_OK);
	zlib.next_in = packed->data;
	zlib.avail_in = (uInt)packed->len;
	do {
		zlib.next_out = buffer_reserve(out, 65536);
		zlib.avail_out = 65536;
		rc = inflate(&zlib, Z_SYNC_FLUSH);
		out->len += 65536 - zlib.avail_out;
	} while (rc == Z_OK && zlib.avail_out == 0);
	inflateEnd(&zlib);
	return rc;
}

static void
fill(struct buffer *buf, size_t len)
{
	buffer_done(buf);
	while (buf->len < len)
		buffer_printf(buf, "{\"id\": %zu, \"name\": \"entry\"}\n", buf->len);
	buf->len = len;
}

static void
texts_are_packed_and_other_data_is_not(void **state)
{
	static const char *const yes[] = { "application/json", "application/problem+json",
		"application/x-ndjson", "text/csv", "text/plain",
		"text/plain; version=0.0.4; charset=utf-8" };
	static const char *const no[] = { "application/octet-stream", "application/x-tar",
		"application/zstd", "application/zip", "text/event-stream", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(compress_takes(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(compress_takes(no[i]));
	assert_false(compress_takes(NULL));
}

static void
a_body_is_shorter_and_gives_the_same_text(void **state)
{
	static const size_t lengths[] = { COMPRESS_MIN, 5000, 256 << 10, (256 << 10) + 1,
		3 << 20 };
	struct buffer body = BUFFER_INIT, plain = BUFFER_INIT, out = BUFFER_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		fill(&body, lengths[i]);
		fill(&plain, lengths[i]);
		assert_true(compress_body(&body));
		assert_true(body.len < plain.len);
		buffer_clear(&out);
		assert_int_equal(unpack(&body, &out), Z_STREAM_END);
		assert_int_equal(out.len, plain.len);
		assert_memory_equal(out.data, plain.data, plain.len);
	}
	buffer_done(&body);
	buffer_done(&plain);
	buffer_done(&out);
}

static void
a_body_that_is_short_very_long_or_no_text_stays_as_it_is(void **state)
{
	struct buffer body = BUFFER_INIT;
	uint32_t random = 1;

	(void)state;
	fill(&body, COMPRESS_MIN - 1);
	assert_false(compress_body(&body));
	assert_int_equal(body.len, COMPRESS_MIN - 1);
	fill(&body, COMPRESS_MAX + 1);
	assert_false(compress_body(&body));
	assert_int_equal(body.len, COMPRESS_MAX + 1);
	buffer_done(&body);
	for (size_t i = 0; i < 4096; i++) {
		random = random * 1664525 + 1013904223;
		buffer_put_u8(&body, (uint8_t)(random >> 24));
	}
	assert_false(compress_body(&body));
	assert_int_equal(body.len, 4096);
	buffer_done(&body);
}

static void
each_part_of_a_stream_can_be_read_when_it_is_there(void **state)
{
	struct buffer packed = BUFFER_INIT, out = BUFFER_INIT;
	struct compressor *compressor = compressor_new();

	(void)state;
	compressor_put(compressor, "first\n", 6, false, &packed);
	unpack(&packed, &out);
	assert_string_equal(buffer_text(&out), "first\n");
	compressor_put(compressor, "second\n", 7, false, &packed);
	compressor_put(compressor, NULL, 0, true, &packed);
	buffer_clear(&out);
	assert_int_equal(unpack(&packed, &out), Z_STREAM_END);
	assert_string_equal(buffer_text(&out), "first\nsecond\n");
	compressor_free(compressor);
	compressor_free(NULL);
	buffer_done(&packed);
	buffer_done(&out);
}

static const char *
header_of(const struct response *response, const char *name)
{
	for (size_t i = 0; i < response->header_count; i++)
		if (strcmp(response->headers[i].name, name) == 0)
			return response->headers[i].value;
	return NULL;
}

static void
a_problem_that_passes_says_when_to_try_again(void **state)
{
	for (int code = 1; code < ERROR_CODE_COUNT; code++) {
		bool passes = code == ERROR_TOO_MANY || code == ERROR_UNAVAILABLE;
		struct error err = ERROR_INIT;
		struct response response;

		(void)state;
		error_set(&err, (enum error_code)code, "no");
		response_init(&response);
		response_problem(&response, &err, NULL);
		if (passes)
			assert_string_equal(header_of(&response, "Retry-After"), "5");
		else
			assert_null(header_of(&response, "Retry-After"));
		response_done(&response);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_packed_and_other_data_is_not),
		cmocka_unit_test(a_body_is_shorter_and_gives_the_same_text),
		cmocka_unit_test(a_body_that_is_short_very_long_or_no_text_stays_as_it_is),
		cmocka_unit_test(each_part_of_a_stream_can_be_read_when_it_is_there),
		cmocka_unit_test(a_problem_that_passes_says_when_to_try_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
