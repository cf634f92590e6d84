#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buffer.h"

static void
integers_are_little_endian(void **state)
{
	static const uint8_t expected[] = {
		0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04,
		0x0f, 0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08,
	};
	struct buffer buf = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct reader r;
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;

	(void)state;
	buffer_put_u8(&buf, 0x01);
	buffer_put_u16(&buf, 0x0203);
	buffer_put_u32(&buf, 0x04050607);
	buffer_put_u64(&buf, UINT64_C(0x08090a0b0c0d0e0f));
	assert_int_equal(buf.len, sizeof(expected));
	assert_memory_equal(buf.data, expected, sizeof(expected));

	reader_init(&r, buf.data, buf.len, "test");
	assert_int_equal(reader_get_u8(&r, &a, &err), 0);
	assert_int_equal(reader_get_u16(&r, &b, &err), 0);
	assert_int_equal(reader_get_u32(&r, &c, &err), 0);
	assert_int_equal(reader_get_u64(&r, &d, &err), 0);
	assert_int_equal(a, 0x01);
	assert_int_equal(b, 0x0203);
	assert_int_equal(c, 0x04050607);
	assert_true(d == UINT64_C(0x08090a0b0c0d0e0f));
	assert_int_equal(reader_finish(&r, &err), 0);
	buffer_done(&buf);
}

static void
varints_take_seven_bits_a_byte(void **state)
{
	static const struct {
		uint64_t value;
		size_t len;
		uint8_t bytes[10];
	} rows[] = {
		{ 0, 1, { 0 } },
		{ 127, 1, { 0x7f } },
		{ 128, 2, { 0x80, 0x01 } },
		{ 16383, 2, { 0xff, 0x7f } },
		{ 16384, 3, { 0x80, 0x80, 0x01 } },
		{ UINT64_MAX, 10, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer buf = BUFFER_INIT;
		struct error err = ERROR_INIT;
		struct reader r;
		uint64_t v;

		buffer_put_varint(&buf, rows[i].value);
		assert_int_equal(buf.len, rows[i].len);
		assert_memory_equal(buf.data, rows[i].bytes, rows[i].len);
		reader_init(&r, buf.data, buf.len, "test");
		assert_int_equal(reader_get_varint(&r, UINT64_MAX, &v, &err), 0);
		assert_true(v == rows[i].value);
		assert_int_equal(reader_left(&r), 0);
		buffer_done(&buf);
	}
}

static void
every_power_of_two_and_its_neighbours_survive_as_varint_and_signed(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t v = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta, u;
			struct buffer buf = BUFFER_INIT;
			struct error err = ERROR_INIT;
			struct reader r;
			int64_t a, b;

			buffer_put_varint(&buf, v);
			buffer_put_signed(&buf, (int64_t)v);
			buffer_put_signed(&buf, (int64_t)(~v + 1));
			reader_init(&r, buf.data, buf.len, "test");
			assert_int_equal(reader_get_varint(&r, UINT64_MAX, &u, &err), 0);
			assert_int_equal(reader_get_signed(&r, &a, &err), 0);
			assert_int_equal(reader_get_signed(&r, &b, &err), 0);
			assert_true(u == v && a == (int64_t)v && b == (int64_t)(~v + 1));
			assert_int_equal(reader_finish(&r, &err), 0);
			buffer_done(&buf);
		}
	}
}

static void
small_signed_numbers_take_one_byte(void **state)
{
	struct buffer buf = BUFFER_INIT;

	(void)state;
	buffer_put_signed(&buf, -1);
	buffer_put_signed(&buf, 1);
	buffer_put_signed(&buf, -64);
	assert_int_equal(buf.len, 3);
	assert_memory_equal(buf.data, "\x01\x02\x7f", 3);
	buffer_done(&buf);
}

static void
a_varint_that_is_too_long_or_cut_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} rows[] = {
		{ "", 0, "test: ends within a number" },
		{ "\x80", 1, "test: ends within a number" },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, "test: ends within a number" },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10,
		    "test: number has more than 64 bits" },
		{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11,
		    "test: number has more than 64 bits" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = ERROR_INIT;
		struct reader r;
		uint64_t v;

		reader_init(&r, rows[i].bytes, rows[i].len, "test");
		assert_int_equal(reader_get_varint(&r, UINT64_MAX, &v, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_string_equal(err.message, rows[i].why);
	}
}

static void
a_varint_above_its_limit_is_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct reader r;
	uint64_t v;

	(void)state;
	reader_init(&r, "\x05", 1, "tree");
	assert_int_equal(reader_get_varint(&r, 5, &v, &err), 0);
	reader_init(&r, "\x06", 1, "tree");
	assert_int_equal(reader_get_varint(&r, 5, &v, &err), -1);
	assert_string_equal(err.message, "tree: number 6 is above its limit 5");
}

static void
bytes_carry_their_length(void **state)
{
	struct buffer buf = BUFFER_INIT;
	struct error err = ERROR_INIT;
	const uint8_t *p;
	struct reader r;
	size_t len;

	(void)state;
	buffer_put_bytes(&buf, "abc", 3);
	buffer_put_bytes(&buf, NULL, 0);
	reader_init(&r, buf.data, buf.len, "test");
	assert_int_equal(reader_get_bytes(&r, 3, &p, &len, &err), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(p, "abc", 3);
	assert_int_equal(reader_get_bytes(&r, 3, &p, &len, &err), 0);
	assert_int_equal(len, 0);

	/* Longer than allowed, and longer than what is there. */
	reader_init(&r, buf.data, buf.len, "test");
	assert_int_equal(reader_get_bytes(&r, 2, &p, &len, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	reader_init(&r, buf.data, 3, "test");
	assert_int_equal(reader_get_bytes(&r, 100, &p, &len, &err), -1);
	assert_string_equal(err.message, "test: ends too early (3 bytes wanted, 2 left)");
	buffer_done(&buf);
}

static void
gets_beyond_the_end_fail_and_take_nothing(void **state)
{
	struct error err = ERROR_INIT;
	struct reader r;
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;

	(void)state;
	reader_init(&r, "x", 1, "test");
	assert_int_equal(reader_get_u16(&r, &b, &err), -1);
	assert_int_equal(reader_get_u32(&r, &c, &err), -1);
	assert_int_equal(reader_get_u64(&r, &d, &err), -1);
	assert_int_equal(reader_left(&r), 1);
	assert_int_equal(reader_get_u8(&r, &a, &err), 0);
	assert_int_equal(reader_get_u8(&r, &a, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
}

static void
reader_finish_refuses_leftovers(void **state)
{
	struct error err = ERROR_INIT;
	struct reader r;

	(void)state;
	reader_init(&r, "abc", 3, "index");
	assert_int_equal(reader_finish(&r, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_string_equal(err.message, "index: 3 bytes too many");
}

static void
a_buffer_grows_and_keeps_what_it_holds(void **state)
{
	struct buffer buf = BUFFER_INIT;

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		buffer_put_u8(&buf, (uint8_t)(i % 251));
	assert_int_equal(buf.len, 100000);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(buf.data[i], i % 251);
	buffer_clear(&buf);
	assert_int_equal(buf.len, 0);
	assert_true(buf.cap >= 100000);
	buffer_done(&buf);
	assert_null(buf.data);
}

static void
room_for_nothing_is_a_place_all_the_same(void **state)
{
	struct buffer buf = BUFFER_INIT;

	(void)state;
	assert_non_null(buffer_reserve(&buf, 0));
	assert_int_equal(buf.len, 0);
	buffer_done(&buf);
}

static void
texts_are_terminated_and_can_be_taken(void **state)
{
	struct buffer buf = BUFFER_INIT;
	char *text;

	(void)state;
	assert_string_equal(buffer_text(&buf), "");
	buffer_put_text(&buf, "a");
	buffer_printf(&buf, "-%d-%s", 42, "b");
	assert_string_equal(buffer_text(&buf), "a-42-b");
	assert_int_equal(buf.len, 6);
	text = buffer_take(&buf);
	assert_string_equal(text, "a-42-b");
	assert_null(buf.data);
	assert_int_equal(buf.len, 0);
	free(text);
	text = buffer_take(&buf);
	assert_string_equal(text, "");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(varints_take_seven_bits_a_byte),
		cmocka_unit_test(
		    every_power_of_two_and_its_neighbours_survive_as_varint_and_signed),
		cmocka_unit_test(small_signed_numbers_take_one_byte),
		cmocka_unit_test(a_varint_that_is_too_long_or_cut_is_refused),
		cmocka_unit_test(a_varint_above_its_limit_is_refused),
		cmocka_unit_test(bytes_carry_their_length),
		cmocka_unit_test(gets_beyond_the_end_fail_and_take_nothing),
		cmocka_unit_test(reader_finish_refuses_leftovers),
		cmocka_unit_test(a_buffer_grows_and_keeps_what_it_holds),
		cmocka_unit_test(room_for_nothing_is_a_place_all_the_same),
		cmocka_unit_test(texts_are_terminated_and_can_be_taken),
	};

	return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
