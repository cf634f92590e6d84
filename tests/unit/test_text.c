#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/text.h"

static void
assert_printable(const char *bytes, size_t len, const char *expected)
{
	char *text = text_printable(bytes, len);

	assert_string_equal(text, expected);
	free(text);
}

#define ASSERT_PRINTABLE(literal, expected) \
	assert_printable(literal, sizeof(literal) - 1, expected)

static void
hexadecimal_goes_both_ways(void **state)
{
	uint8_t bytes[256], back[256];
	char text[513];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	hex_encode(bytes, 256, text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_string_equal(text + 506, "fdfeff");
	assert_int_equal(hex_decode(text, 512, back, 256), 0);
	assert_memory_equal(bytes, back, 256);
	assert_int_equal(hex_decode("aBfF", 4, back, 2), 0);
	assert_memory_equal(back, "\xab\xff", 2);
}

static void
what_is_not_hexadecimal_is_refused(void **state)
{
	static const char *const bad[] = { "", "a", "abc", "abcde", "ag", "g0a1", "0x12", " a1b",
		"\xc3\xa4zz", "abcdef" };
	uint8_t out[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(hex_decode(bad[i], strlen(bad[i]), out, 2), -1);
	/* The length counts, not a NUL. */
	assert_int_equal(hex_decode("ab\0d", 4, out, 2), -1);
}

static void
harmless_text_stays_as_it_is(void **state)
{
	(void)state;
	ASSERT_PRINTABLE("", "");
	ASSERT_PRINTABLE("/srv/www/a b~\"'", "/srv/www/a b~\"'");
	ASSERT_PRINTABLE("Grüße, 世界 🙂", "Grüße, 世界 🙂");
	ASSERT_PRINTABLE("\xc2\xa0|\xef\xbf\xbf|\xf4\x8f\xbf\xbf|\xed\x9f\xbf|\xee\x80\x80",
	    "\xc2\xa0|\xef\xbf\xbf|\xf4\x8f\xbf\xbf|\xed\x9f\xbf|\xee\x80\x80");
}

static void
what_steers_a_terminal_is_written_as_bytes(void **state)
{
	(void)state;
	ASSERT_PRINTABLE("a\0b", "a\\x00b");
	ASSERT_PRINTABLE("\x1b]0;x\x07", "\\x1b]0;x\\x07");
	ASSERT_PRINTABLE("\t\r\n\x7f", "\\x09\\x0d\\x0a\\x7f");
	ASSERT_PRINTABLE("\xc2\x80\xc2\x9b\xc2\x9f", "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f");
	ASSERT_PRINTABLE("\\x41", "\\\\x41");
}

static void
line_separators_and_bidirectional_controls_are_written_as_bytes(void **state)
{
	(void)state;
	ASSERT_PRINTABLE("\u2028\u2029", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9");
	ASSERT_PRINTABLE("\u202a\u202b\u202c\u202d\u202e",
	    "\\xe2\\x80\\xaa\\xe2\\x80\\xab\\xe2\\x80\\xac\\xe2\\x80\\xad\\xe2\\x80\\xae");
	ASSERT_PRINTABLE("\u2066\u2067\u2068\u2069",
	    "\\xe2\\x81\\xa6\\xe2\\x81\\xa7\\xe2\\x81\\xa8\\xe2\\x81\\xa9");
	ASSERT_PRINTABLE("\u200e\u200f\u061c", "\\xe2\\x80\\x8e\\xe2\\x80\\x8f\\xd8\\x9c");
	/* Their neighbours are ordinary. */
	ASSERT_PRINTABLE("\u2027\u202f\u2065\u200d", "\u2027\u202f\u2065\u200d");
}

static void
invalid_utf8_is_written_as_bytes(void **state)
{
	(void)state;
	ASSERT_PRINTABLE("\x80", "\\x80");
	ASSERT_PRINTABLE("\xff\xfe", "\\xff\\xfe");
	ASSERT_PRINTABLE("\xc3", "\\xc3");
	ASSERT_PRINTABLE("\xc3(", "\\xc3(");
	ASSERT_PRINTABLE("\xe4\xb8", "\\xe4\\xb8");
	ASSERT_PRINTABLE("\xf0\x9f\x99", "\\xf0\\x9f\\x99");
	/* Overlong, surrogate, above U+10FFFF. */
	ASSERT_PRINTABLE("\xc0\xaf", "\\xc0\\xaf");
	ASSERT_PRINTABLE("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	ASSERT_PRINTABLE("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf");
	ASSERT_PRINTABLE("\xed\xa0\x80", "\\xed\\xa0\\x80");
	ASSERT_PRINTABLE("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
}

static void
assert_round_trip(const uint8_t *bytes, size_t len)
{
	struct error err = ERROR_INIT;
	char *text = text_printable(bytes, len), *back;
	size_t back_len;

	assert_true(text_is_utf8(text, strlen(text)));
	assert_int_equal(text_unprintable(text, &err, &back, &back_len), 0);
	assert_int_equal(back_len, len);
	assert_memory_equal(back, bytes, len);
	assert_int_equal(back[len], '\0');
	free(back);
	free(text);
}

static void
bytes_of_any_kind_survive_being_made_printable(void **state)
{
	uint8_t bytes[64];
	uint32_t random = 1;

	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			bytes[0] = (uint8_t)a;
			bytes[1] = (uint8_t)b;
			assert_round_trip(bytes, a == b ? 1 : 2);
		}
	}
	/* Longer ones from a fixed sequence, thick with lead bytes and backslashes. */
	for (unsigned round = 0; round < 20000; round++) {
		static const uint8_t frequent[] = { '\\', 'x', 'e', 0xe2, 0x80, 0xa8, 0xc2, 0x1b };

		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 1664525 + 1013904223;
			bytes[i] = (random >> 16) % 3 == 0 ? (uint8_t)(random >> 24) :
			    frequent[(random >> 24) % sizeof(frequent)];
		}
		assert_round_trip(bytes, round % (sizeof(bytes) + 1));
	}
}

static void
a_broken_escape_is_refused_with_its_place(void **state)
{
	static const char *const bad[] = { "abc\\", "abc\\x", "abc\\x1", "abc\\xg0", "abc\\x0g",
		"abc\\n", "abc\\ ", "abc\\X41" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct error err = ERROR_INIT;
		char *ret = NULL, *expected;
		size_t len;

		assert_int_equal(text_unprintable(bad[i], &err, &ret, &len), -1);
		assert_null(ret);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		expected = mem_printf("broken escape at byte 3 of '%s'", bad[i]);
		assert_string_equal(err.message, expected);
		free(expected);
	}
}

static void
utf8_is_told_from_other_bytes(void **state)
{
	(void)state;
	assert_true(text_is_utf8("", 0));
	assert_true(text_is_utf8("a\0b", 3));
	assert_true(text_is_utf8("ä世🙂", strlen("ä世🙂")));
	assert_false(text_is_utf8("ä", 1));
	assert_false(text_is_utf8("a\xff", 2));
	assert_false(text_is_utf8("\xed\xb0\x80", 3));
}

static void
times_are_parsed_to_the_nanosecond(void **state)
{
	static const struct {
		const char *text;
		int64_t sec;
		long nsec;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "1970-01-01", 0, 0 },
		{ "1969-12-31T23:59:59.5Z", -1, 500000000 },
		{ "2026-11-21T23:05:00Z", 1795302300, 0 },
		{ "2026-11-21t23:05:00z", 1795302300, 0 },
		{ "2026-11-21 23:05:00Z", 1795302300, 0 },
		{ "2026-11-22T00:05:00+01:00", 1795302300, 0 },
		{ "2026-11-21T17:35:00-05:30", 1795302300, 0 },
		{ "2026-11-21T23:05:00-00:00", 1795302300, 0 },
		{ "2026-11-21T23:05:00.123456789Z", 1795302300, 123456789 },
		{ "2026-11-21T23:05:00.1Z", 1795302300, 100000000 },
		{ "2026-11-21T23:05:00.000000001+00:00", 1795302300, 1 },
		{ "2026-11-21T23:05:00.1234567899999Z", 1795302300, 123456789 },
		{ "2024-02-29", 1709164800, 0 },
		{ "2000-02-29T12:00:00Z", 951825600, 0 },
		{ "2100-02-28", 4107456000, 0 },
		{ "2016-12-31T23:59:60Z", 1483228800, 0 },
		{ "2017-01-01T00:59:60+01:00", 1483228800, 0 },
		{ "0000-01-01T00:00:00Z", -62167219200, 0 },
		{ "0000-03-01", -62162035200, 0 },
		{ "9999-12-31T23:59:59Z", 253402300799, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = ERROR_INIT;
		struct timespec t;

		if (time_parse(rows[i].text, false, &t, &err) != 0)
			fail_msg("%s: %s", rows[i].text, err.message);
		if (t.tv_sec != rows[i].sec || t.tv_nsec != rows[i].nsec)
			fail_msg("%s: %lld.%09ld", rows[i].text, (long long)t.tv_sec, t.tv_nsec);
	}
}

static void
times_that_do_not_exist_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "it must begin with a date as YYYY-MM-DD" },
		{ "yesterday", "it must begin with a date as YYYY-MM-DD" },
		{ "26-11-21", "it must begin with a date as YYYY-MM-DD" },
		{ "2026/11/21", "it must begin with a date as YYYY-MM-DD" },
		{ "2026-1-1", "it must begin with a date as YYYY-MM-DD" },
		{ "-026-01-01", "it must begin with a date as YYYY-MM-DD" },
		{ " 2026-01-01", "it must begin with a date as YYYY-MM-DD" },
		{ "2026-00-01", "there is no such day" },
		{ "2026-13-01", "there is no such day" },
		{ "2026-01-00", "there is no such day" },
		{ "2026-01-32", "there is no such day" },
		{ "2026-04-31", "there is no such day" },
		{ "2026-02-29", "there is no such day" },
		{ "2100-02-29", "there is no such day" },
		{ "2024-02-30", "there is no such day" },
		{ "2026-01-01x", "'T' must follow the date" },
		{ "2026-01-01T", "hh:mm:ss must follow the date" },
		{ "2026-01-01T10:00Z", "hh:mm:ss must follow the date" },
		{ "2026-01-01T1:00:00Z", "hh:mm:ss must follow the date" },
		{ "2026-01-01T24:00:00Z", "there is no such time of day" },
		{ "2026-01-01T23:60:00Z", "there is no such time of day" },
		{ "2026-01-01T23:59:61Z", "there is no such time of day" },
		{ "2026-01-01T12:00:60Z", "there is no such leap second" },
		{ "2026-01-01T12:00:00.Z", "digits must follow the point" },
		{ "2026-01-01T12:00:00", "it must end with Z or an offset from UTC" },
		{ "2026-01-01T12:00:00 01:00", "it must end with Z or an offset from UTC" },
		{ "2026-01-01T12:00:00+24:00", "it must end with Z or an offset from UTC" },
		{ "2026-01-01T12:00:00+01:60", "it must end with Z or an offset from UTC" },
		{ "2026-01-01T12:00:00+0100", "it must end with Z or an offset from UTC" },
		{ "2026-01-01T12:00:00Zx", "it must end with Z or an offset from UTC" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct timespec t = { 42, 42 };
		struct error err = ERROR_INIT;
		char *expected = mem_printf("'%s' is not a time: %s", rows[i].text, rows[i].why);

		assert_int_equal(time_parse(rows[i].text, false, &t, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, expected);
		assert_non_null(strstr(err.hint, "%2B"));
		assert_int_equal(t.tv_sec, 42);
		free(expected);
	}
}

static void
a_bare_date_can_mean_the_end_of_its_day(void **state)
{
	struct error err = ERROR_INIT;
	struct timespec t;

	(void)state;
	assert_int_equal(time_parse("2026-11-21", true, &t, &err), 0);
	assert_int_equal(t.tv_sec, 1795219200 + 86399);
	assert_int_equal(t.tv_nsec, 999999999);
	/* A time that names its second means just that. */
	assert_int_equal(time_parse("2026-11-21T00:00:00Z", true, &t, &err), 0);
	assert_int_equal(t.tv_sec, 1795219200);
	assert_int_equal(t.tv_nsec, 0);
}

static void
times_are_written_with_the_wanted_digits(void **state)
{
	struct timespec t = { 1795302300, 123456789 };
	char text[TIME_TEXT_SIZE];

	(void)state;
	time_format(t, 0, text);
	assert_string_equal(text, "2026-11-21T23:05:00Z");
	time_format(t, 3, text);
	assert_string_equal(text, "2026-11-21T23:05:00.123Z");
	time_format(t, 6, text);
	assert_string_equal(text, "2026-11-21T23:05:00.123456Z");
	time_format(t, 9, text);
	assert_string_equal(text, "2026-11-21T23:05:00.123456789Z");
	t = (struct timespec) { -1, 5 };
	time_format(t, 9, text);
	assert_string_equal(text, "1969-12-31T23:59:59.000000005Z");
}

static void
times_beyond_the_calendar_are_written_as_its_ends(void **state)
{
	char text[TIME_TEXT_SIZE];

	(void)state;
	time_format((struct timespec) { INT64_MAX, 0 }, 9, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999999999Z");
	time_format((struct timespec) { INT64_MIN, 999999999 }, 9, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000000000Z");
}

static void
written_times_are_read_back_as_they_were(void **state)
{
	(void)state;
	for (int64_t day = -720000; day < 2932000; day += 97) {
		struct timespec t = { day * 86400 + 4711, (long)(day & 0xffff) }, back;
		struct error err = ERROR_INIT;
		char text[TIME_TEXT_SIZE];

		if (t.tv_sec < -62167219200)
			continue;
		time_format(t, 9, text);
		if (time_parse(text, false, &back, &err) != 0)
			fail_msg("%s", err.message);
		if (back.tv_sec != t.tv_sec || back.tv_nsec != t.tv_nsec)
			fail_msg("%s became %lld", text, (long long)back.tv_sec);
	}
}

static void
sizes_are_written_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" }, { 1, "1 B" }, { 1023, "1023 B" }, { 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" }, { 1048524, "1023.9 KiB" }, { 1048575, "1.0 MiB" },
		{ 1048576, "1.0 MiB" }, { UINT64_C(5) << 30, "5.0 GiB" },
		{ (UINT64_C(1) << 50) - 1, "1.0 PiB" },
		{ UINT64_C(1) << 60, "1.0 EiB" }, { UINT64_MAX, "16.0 EiB" },
	};
	char text[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_format(rows[i].bytes, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void
sizes_are_parsed_in_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0 }, { "4096", 4096 }, { "4096B", 4096 }, { "4096 B", 4096 },
		{ "1k", 1024 }, { "1K", 1024 }, { "1KB", 1024 }, { "1KiB", 1024 }, { "1kib", 1024 },
		{ "64M", 67108864 }, { "1.5G", 1610612736 }, { "1.5 GiB", 1610612736 },
		{ "0.5K", 512 }, { "2T", UINT64_C(2) << 40 }, { "3P", UINT64_C(3) << 50 },
		{ "15.5E", UINT64_C(31) << 59 }, { "0.0000000001K", 0 },
		{ "18446744073709551615", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = ERROR_INIT;
		uint64_t v = 1;

		if (size_parse(rows[i].text, &v, &err) != 0)
			fail_msg("%s: %s", rows[i].text, err.message);
		if (v != rows[i].bytes)
			fail_msg("%s: %llu", rows[i].text, (unsigned long long)v);
	}
}

static void
sizes_that_mean_nothing_are_refused(void **state)
{
	static const char *const bad[] = { "", " ", "M", "-1", "+1", "1.", "1.5", "1.5B", "1,5G",
		"1X", "1KK", "1Ki", "1KiBs", "1  K", "0x10", "1e3", "1M ", "18446744073709551616",
		".5M" };
	struct error err = ERROR_INIT;
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *expected = mem_printf("'%s' is not a size", bad[i]);

		error_clear(&err);
		if (size_parse(bad[i], &v, &err) == 0)
			fail_msg("'%s' was taken for %llu", bad[i], (unsigned long long)v);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, expected);
		free(expected);
	}
	assert_int_equal(size_parse("16E", &v, &err), -1);
	assert_string_equal(err.message, "'16E' is too large a size");
	assert_int_equal(size_parse("18014398509481984K", &v, &err), -1);
	assert_int_equal(size_parse("15.9999999999999999E", &v, &err), 0);
}

static void
durations_need_a_unit(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} rows[] = {
		{ "0", 0 }, { "0s", 0 }, { "90s", 90 }, { "15m", 900 }, { "26h", 93600 },
		{ "7d", 604800 }, { "2w", 1209600 }, { "9223372036854775807s", INT64_MAX },
	};
	static const char *const bad[] = { "", "s", "90", "00", "-1s", "+1s", "1.5h", "1y", "1M",
		"1h30m", "1 h", "7days", "9223372036854775808s", "15250284452472w" };
	struct error err = ERROR_INIT;
	int64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(duration_parse(rows[i].text, &v, &err), 0);
		assert_true(v == rows[i].seconds);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (duration_parse(bad[i], &v, &err) == 0)
			fail_msg("'%s' was taken for %lld", bad[i], (long long)v);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.hint, "write it as 90s, 15m, 26h, 7d or 2w");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hexadecimal_goes_both_ways),
		cmocka_unit_test(what_is_not_hexadecimal_is_refused),
		cmocka_unit_test(harmless_text_stays_as_it_is),
		cmocka_unit_test(what_steers_a_terminal_is_written_as_bytes),
		cmocka_unit_test(line_separators_and_bidirectional_controls_are_written_as_bytes),
		cmocka_unit_test(invalid_utf8_is_written_as_bytes),
		cmocka_unit_test(bytes_of_any_kind_survive_being_made_printable),
		cmocka_unit_test(a_broken_escape_is_refused_with_its_place),
		cmocka_unit_test(utf8_is_told_from_other_bytes),
		cmocka_unit_test(times_are_parsed_to_the_nanosecond),
		cmocka_unit_test(times_that_do_not_exist_are_refused),
		cmocka_unit_test(a_bare_date_can_mean_the_end_of_its_day),
		cmocka_unit_test(times_are_written_with_the_wanted_digits),
		cmocka_unit_test(times_beyond_the_calendar_are_written_as_its_ends),
		cmocka_unit_test(written_times_are_read_back_as_they_were),
		cmocka_unit_test(sizes_are_written_for_people),
		cmocka_unit_test(sizes_are_parsed_in_powers_of_1024),
		cmocka_unit_test(sizes_that_mean_nothing_are_refused),
		cmocka_unit_test(durations_need_a_unit),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
