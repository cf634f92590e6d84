/* Time zones: names, files and rules that are taken and refused, and the offsets at any time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/jobs/zone.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_folder.h"

static int64_t
seconds_of(const char *time)
{
	struct error err = ERROR_INIT;
	struct timespec t;

	if (time_parse(time, false, &t, &err) != 0)
		fail_msg("%s", err.message);
	return t.tv_sec;
}

/* ---- files made here */

/* What a file is made of: each change leads to the kind of its number, modulo their count. */
struct parts {
	uint8_t version;
	uint32_t leaps;
	const int64_t *times;
	size_t time_count;
	const int32_t *offsets;
	size_t offset_count;
	const char *footer; /* with its line feeds */
};

static void
put_u32(struct buffer *buf, uint32_t v)
{
	v = htobe32(v);
	buffer_put(buf, &v, sizeof(v));
}

static void
put_header(struct buffer *buf, const struct parts *parts, size_t times, size_t offsets)
{
	static const uint8_t reserved[15];

	buffer_put_text(buf, "TZif");
	buffer_put_u8(buf, parts->version);
	buffer_put(buf, reserved, sizeof(reserved));
	put_u32(buf, 0);
	put_u32(buf, 0);
	put_u32(buf, parts->leaps);
	put_u32(buf, (uint32_t)times);
	put_u32(buf, (uint32_t)offsets);
	put_u32(buf, 4);
}

static void
put_file(struct buffer *buf, const struct parts *parts)
{
	static const uint8_t old_block[6 + 4];
	struct parts old = *parts;

	old.leaps = 0;
	put_header(buf, &old, 0, 1);
	buffer_put(buf, old_block, sizeof(old_block));
	put_header(buf, parts, parts->time_count, parts->offset_count);
	for (size_t i = 0; i < parts->time_count; i++) {
		uint64_t v = htobe64((uint64_t)parts->times[i]);

		buffer_put(buf, &v, sizeof(v));
	}
	for (size_t i = 0; i < parts->time_count; i++)
		buffer_put_u8(buf, (uint8_t)((i + 1) % parts->offset_count));
	for (size_t i = 0; i < parts->offset_count; i++) {
		put_u32(buf, (uint32_t)parts->offsets[i]);
		buffer_put_u8(buf, 0);
		buffer_put_u8(buf, 0);
	}
	buffer_put(buf, "XXX", 4);
	for (uint32_t i = 0; i < parts->leaps * 12; i++)
		buffer_put_u8(buf, 0);
	buffer_put_text(buf, parts->footer);
}

static int
parse_parts(const struct parts *parts, struct zone **ret, struct error *err)
{
	struct buffer buf = BUFFER_INIT;
	int rc;

	put_file(&buf, parts);
	rc = zone_parse(buf.data, buf.len, "x", ret, err);
	buffer_done(&buf);
	return rc;
}

static const int64_t some_times[] = { 0, 100000, 2000000 };
static const int32_t some_offsets[] = { 3600, 7200 };

static const struct parts some_parts = { '2', 0, some_times, ARRAY_LEN(some_times), some_offsets,
	ARRAY_LEN(some_offsets), "\nXXX-2\n" };

static void
assert_span(const struct zone *zone, int64_t at, int64_t from, int64_t until, int32_t offset)
{
	struct zone_span span;

	zone_span(zone, at, &span);
	assert_int_equal(span.from, from);
	assert_int_equal(span.until, until);
	assert_int_equal(span.offset, offset);
}

static void
each_change_begins_a_span(void **state)
{
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;

	(void)state;
	assert_int_equal(parse_parts(&some_parts, &zone, &err), 0);
	assert_span(zone, INT64_MIN, ZONE_FIRST, 0, 3600);
	assert_span(zone, -1, ZONE_FIRST, 0, 3600);
	assert_span(zone, 0, 0, 100000, 7200);
	assert_span(zone, 99999, 0, 100000, 7200);
	assert_span(zone, 100000, 100000, 2000000, 3600);
	assert_span(zone, 2000000, 2000000, ZONE_LAST, 7200);
	assert_span(zone, INT64_MAX, 2000000, ZONE_LAST, 7200);
	zone_free(zone);
}

static void
a_rule_holds_from_the_last_change_on(void **state)
{
	struct parts parts = some_parts;
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;

	(void)state;
	/* The second change of 1970 is that of the rule. */
	parts.footer = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
	assert_int_equal(parse_parts(&parts, &zone, &err), 0);
	assert_span(zone, 100000, 100000, 2000000, 3600);
	assert_span(zone, 2000000, 2000000, seconds_of("1970-03-29T01:00:00Z"), 3600);
	assert_span(zone, seconds_of("1970-03-29T01:00:00Z"), seconds_of("1970-03-29T01:00:00Z"),
	    seconds_of("1970-10-25T01:00:00Z"), 7200);
	assert_span(zone, seconds_of("9999-07-01"), seconds_of("9999-03-28T01:00:00Z"),
	    seconds_of("9999-10-31T01:00:00Z"), 7200);
	zone_free(zone);

	/* Without any change it always held; without a rule the last change holds. */
	parts.time_count = 0;
	assert_int_equal(parse_parts(&parts, &zone, &err), 0);
	assert_span(zone, seconds_of("1800-07-01"), seconds_of("1800-03-30T01:00:00Z"),
	    seconds_of("1800-10-26T01:00:00Z"), 7200);
	zone_free(zone);
	parts.footer = "\n\n";
	assert_int_equal(parse_parts(&parts, &zone, &err), 0);
	assert_span(zone, 0, ZONE_FIRST, ZONE_LAST, 3600);
	zone_free(zone);
}

static void
damaged_files_are_refused(void **state)
{
	static const int64_t unordered[] = { 0, 100, 100 }, far[] = { 0, 1, ZONE_LAST },
	    early[] = { ZONE_FIRST - 1, 0, 1 };
	static const int32_t wide[] = { 0, 26 * 3600 }, west[] = { 0, -25 * 3600 };
	static const struct {
		uint8_t version;
		uint32_t leaps;
		const int64_t *times;
		const int32_t *offsets;
		const char *footer;
		enum error_code code;
		const char *message;
	} cases[] = {
		{ 0, 0, some_times, some_offsets, "\n\n", ERROR_UNSUPPORTED,
		    "time zone file 'x' is of version 1" },
		{ '2', 1, some_times, some_offsets, "\n\n", ERROR_BAD_REQUEST,
		    "time zone 'x' counts leap seconds" },
		{ '2', 0, unordered, some_offsets, "\n\n", ERROR_CORRUPT,
		    "time zone file 'x' is damaged: its changes are not in order" },
		{ '2', 0, far, some_offsets, "\n\n", ERROR_CORRUPT,
		    "time zone file 'x' is damaged: a change is out of range" },
		{ '2', 0, early, some_offsets, "\n\n", ERROR_CORRUPT,
		    "time zone file 'x' is damaged: a change is out of range" },
		{ '2', 0, some_times, wide, "\n\n", ERROR_CORRUPT,
		    "time zone file 'x' is damaged: local time is more than a day from UTC" },
		{ '2', 0, some_times, west, "\n\n", ERROR_CORRUPT,
		    "time zone file 'x' is damaged: local time is more than a day from UTC" },
		{ '2', 0, some_times, some_offsets, "\nCET-1", ERROR_CORRUPT,
		    "time zone file 'x' is damaged: it does not end in a line" },
		{ '2', 0, some_times, some_offsets, "xCET-1\n", ERROR_CORRUPT,
		    "time zone file 'x' is damaged: it does not end in a line" },
		{ '2', 0, some_times, some_offsets, "\nCET\n", ERROR_CORRUPT,
		    "time zone file 'x': 'CET' is no rule of a time zone" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parts parts = { cases[i].version, cases[i].leaps, cases[i].times, 3,
			cases[i].offsets, 2, cases[i].footer };
		struct error err = ERROR_INIT;
		struct zone *zone = NULL;

		if (parse_parts(&parts, &zone, &err) == 0)
			fail_msg("case %zu was taken", i);
		assert_string_equal(err.message, cases[i].message);
		assert_int_equal(err.code, cases[i].code);
		assert_null(zone);
	}
}

static void
no_part_of_a_file_is_taken_for_the_whole(void **state)
{
	struct buffer buf = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;

	(void)state;
	put_file(&buf, &some_parts);
	for (size_t len = 0; len < buf.len; len++) {
		/* Of its own size, so that a byte too many is seen. */
		void *copy = mem_dup(buf.data, len);

		if (zone_parse(copy, len, "x", &zone, &err) == 0)
			fail_msg("%zu of %zu bytes were taken", len, buf.len);
		free(copy);
	}
	assert_int_equal(zone_parse(buf.data, buf.len, "x", &zone, &err), 0);
	zone_free(zone);
	buffer_done(&buf);
}

static void
too_many_changes_are_refused(void **state)
{
	struct parts parts = some_parts;
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;
	int64_t times[1001];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		times[i] = (int64_t)i;
	parts.times = times;
	parts.time_count = ARRAY_LEN(times);
	assert_int_equal(parse_parts(&parts, &zone, &err), -1);
	assert_string_equal(err.message,
	    "time zone file 'x' is damaged: it has too many changes");
	parts.time_count--;
	assert_int_equal(parse_parts(&parts, &zone, &err), 0);
	zone_free(zone);
	parts.offset_count = 0;
	parts.time_count = 0;
	assert_int_equal(parse_parts(&parts, &zone, &err), -1);
	assert_string_equal(err.message,
	    "time zone file 'x' is damaged: it must have 1 to 256 kinds of local time");
}

/* ---- rules */

static void
rules_say_when_local_time_changes(void **state)
{
	static const struct {
		const char *rule, *at, *from, *until;
		int32_t offset;
	} cases[] = {
		{ "EST5EDT,M3.2.0,M11.1.0", "2026-07-01", "2026-03-08T07:00:00Z",
		    "2026-11-01T06:00:00Z", -4 * 3600 },
		{ "EST5EDT,M3.2.0,M11.1.0", "2026-01-01", "2025-11-02T06:00:00Z",
		    "2026-03-08T07:00:00Z", -5 * 3600 },
		/* The south: summer goes over the end of the year. */
		{ "AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01", "2025-10-04T16:00:00Z",
		    "2026-04-04T16:00:00Z", 11 * 3600 },
		/* Half an hour only. */
		{ "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-07-01", "2026-04-04T15:00:00Z",
		    "2026-10-03T15:30:00Z", 37800 },
		/* "Summer" is winter, and behind. */
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", "2026-12-01", "2026-10-25T01:00:00Z",
		    "2027-03-28T01:00:00Z", 0 },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", "2026-07-01", "2026-03-29T01:00:00Z",
		    "2026-10-25T01:00:00Z", 3600 },
		/* The evening before, and after the end of the day. */
		{ "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-07-01", "2026-03-29T01:00:00Z",
		    "2026-10-25T01:00:00Z", -3600 },
		{ "<-04>4<-03>,M9.1.6/24,M4.1.6/24", "2026-07-01", "2026-04-05T03:00:00Z",
		    "2026-09-06T04:00:00Z", -4 * 3600 },
		{ "IST-2IDT,M3.4.4/26,M10.5.0", "2026-07-01", "2026-03-27T00:00:00Z",
		    "2026-10-24T23:00:00Z", 3 * 3600 },
		/* Day 60 is 1 March in all years, the 59th of those from 0 on is 29 February. */
		{ "AAA0BBB,J60/0,J61/0", "2024-03-01T12:00:00Z", "2024-03-01T00:00:00Z",
		    "2024-03-01T23:00:00Z", 3600 },
		{ "AAA0BBB,J60/0,J61/0", "2026-03-01T12:00:00Z", "2026-03-01T00:00:00Z",
		    "2026-03-01T23:00:00Z", 3600 },
		{ "AAA0BBB,J59/0,J61/0", "2024-02-28T12:00:00Z", "2024-02-28T00:00:00Z",
		    "2024-03-01T23:00:00Z", 3600 },
		{ "AAA0BBB,59/0,60/0", "2024-02-29T12:00:00Z", "2024-02-29T00:00:00Z",
		    "2024-02-29T23:00:00Z", 3600 },
		{ "AAA0BBB,59/0,60/0", "2026-03-01T12:00:00Z", "2026-03-01T00:00:00Z",
		    "2026-03-01T23:00:00Z", 3600 },
		/* Seconds, signs, and summer time other than an hour ahead. */
		{ "AAA+1:02:03BBB-0:10,J100/1:2:3,J200/+4", "2026-05-01", "2026-04-10T02:04:06Z",
		    "2026-07-19T03:50:00Z", 600 },
		/* A week and more behind the year's end. */
		{ "AAA0BBB,J10/0,J365/167", "2026-01-05T12:00:00Z", "2025-01-10T00:00:00Z",
		    "2026-01-06T22:00:00Z", 3600 },
		/* Both of a year lie in the next one. */
		{ "AAA0BBB,J364/167,J365/167", "2026-01-02T00:00:00Z", "2025-01-06T22:00:00Z",
		    "2026-01-05T23:00:00Z", 0 },
		/* Both of a year lie in the one before. */
		{ "AAA0BBB,0/-100,0/-50", "2025-12-31T00:00:00Z", "2025-12-29T21:00:00Z",
		    "2026-12-27T20:00:00Z", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		struct zone_rule rule;
		struct zone_span span;
		char from[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE];

		if (zone_rule_parse(cases[i].rule, strlen(cases[i].rule), &rule, &err) != 0)
			fail_msg("%s", err.message);
		zone_rule_span(&rule, seconds_of(cases[i].at), &span);
		time_format((struct timespec) { .tv_sec = span.from }, 0, from);
		time_format((struct timespec) { .tv_sec = span.until }, 0, until);
		if (strcmp(from, cases[i].from) != 0 || strcmp(until, cases[i].until) != 0 ||
		    span.offset != cases[i].offset)
			fail_msg("%s at %s: %d from %s until %s", cases[i].rule, cases[i].at,
			    span.offset, from, until);
	}
}

static void
a_rule_may_have_summer_time_all_year(void **state)
{
	static const char text[] = "XXX3EDT4,0/0,J365/23";
	struct error err = ERROR_INIT;
	struct zone_rule rule;
	struct zone_span span;

	(void)state;
	assert_int_equal(zone_rule_parse(text, strlen(text), &rule, &err), 0);
	for (int64_t at = seconds_of("2023-06-01"); at < seconds_of("2026-06-01"); at += 1800) {
		zone_rule_span(&rule, at, &span);
		assert_int_equal(span.offset, -4 * 3600);
		assert_true(span.from <= at && at < span.until);
	}
}

static void
wrong_rules_are_refused(void **state)
{
	static const char *const wrong[] = { "", "CE-1", "CET", "-1", "CET-25", "CET-1:60",
		"CET-1:00:60", "CET-1:", "CET-1 ", "CET-1CEST", "CET-1CEST,", "CET-1CEST,M3.5.0",
		"CET-1CEST,M3.5.0,M10.5.0/3x", "CET-1CEST,M3.5.0,M10.5.0/168",
		"CET-1CEST,M3.5.0,M10.5.0/-168", "CET-1CEST,M0.5.0,M10.5.0",
		"CET-1CEST,M13.5.0,M1.1.1",
		"CET-1CEST,M3.0.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0",
		"CET-1CEST,J0,J365", "CET-1CEST,J1,J366", "CET-1CEST,0,366", "CET-1CEST,-1,3",
		"CET-1CEST,M3.5,M10.5.0", "<CET-1", "<+1>-1", "<+01-1", "CET--1",
		"CET-1CE,M3.5.0,M10.5.0",
		"CET99999999999999999999", "CET-1CEST,M3.5.0/,M10.5.0", ":Europe/Berlin",
		"CET\n-1" };
	struct zone_rule rule;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;

		if (zone_rule_parse(wrong[i], strlen(wrong[i]), &rule, &err) == 0)
			fail_msg("'%s' was taken", wrong[i]);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_non_null(strstr(err.message, "is no rule of a time zone"));
	}
	/* Nothing behind a NUL is passed over. */
	assert_int_equal(zone_rule_parse("CET-1\0x", 7, &rule, &(struct error) ERROR_INIT), -1);
}

/* ---- against the C library's reading of the same files */

static int32_t
offset_of_library(int64_t at)
{
	time_t seconds = (time_t)at;
	struct tm tm;

	assert_non_null(localtime_r(&seconds, &tm));
	return (int32_t)tm.tm_gmtoff;
}

/* From the first change on, as the library takes another kind of time for the one before that. */
static void
compare_with_library(const char *path, const struct zone *zone)
{
	const int64_t end = seconds_of("2110-01-01");
	char *tz = mem_printf(":%s", path);
	struct zone_span span, last;

	setenv("TZ", tz, 1);
	tzset();
	zone_span(zone, INT64_MIN, &last);
	for (int64_t at = last.until; at < end; at = span.until) {
		zone_span(zone, at, &span);
		if (span.from != at || span.until <= at)
			fail_msg("%s: a span from %" PRId64 " to %" PRId64 " at %" PRId64, path,
			    span.from, span.until, at);
		for (int i = 0; i < 5; i++) {
			int64_t stop = span.until < end ? span.until : end;
			int64_t probe = at + (stop - 1 - at) / 4 * i;

			/* The last second of the span is among them. */
			probe = i == 4 ? stop - 1 : probe;
			if (offset_of_library(probe) != span.offset)
				fail_msg("%s: %d at %" PRId64 ", the library has %d", path,
				    span.offset, probe, offset_of_library(probe));
		}
	}
	unsetenv("TZ");
	tzset();
	free(tz);
}

static void
zones_of_the_test_data_are_those_of_the_c_library(void **state)
{
	static const char *const names[] = { "Europe/Berlin", "Europe/Dublin", "America/New_York",
		"America/Havana", "America/Santiago", "America/Nuuk", "Australia/Lord_Howe",
		"Pacific/Chatham", "Pacific/Apia", "Africa/Casablanca" };
	const char *top = getenv("HOLDFAST_TOP");

	(void)state;
	assert_non_null(top);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = test_path(top, "tests/data/schedule/zones/%s", names[i]);
		struct error err = ERROR_INIT;
		struct zone *zone = NULL;
		uint8_t *data;
		size_t len;

		data = test_file_read(path, &len);
		if (zone_parse(data, len, path, &zone, &err) != 0)
			fail_msg("%s", err.message);
		compare_with_library(path, zone);
		zone_free(zone);
		free(data);
		free(path);
	}
}

static void
all_zones_of_the_system_are_those_of_the_c_library(void **state)
{
	FILE *file = fopen(ZONE_FOLDER "/tzdata.zi", "r");
	char *line = NULL, name[200], *path;
	size_t cap = 0, count = 0;

	(void)state;
	if (file == NULL)
		skip();
	while (getline(&line, &cap, file) > 0) {
		struct error err = ERROR_INIT;
		struct zone *zone = NULL;

		/* "Z NAME ..." is a zone, "L TARGET NAME" another name of one. */
		if (sscanf(line, "Z %199s", name) != 1 && sscanf(line, "L %*s %199s", name) != 1)
			continue;
		path = test_path(ZONE_FOLDER, "%s", name);
		if (access(path, R_OK) == 0) {
			if (zone_open(name, &zone, &err) != 0)
				fail_msg("%s", err.message);
			compare_with_library(path, zone);
			zone_free(zone);
			count++;
		}
		free(path);
	}
	assert_true(count > 300);
	free(line);
	fclose(file);
}

/* ---- names */

static void
names_lead_nowhere_but_below_the_folder(void **state)
{
	static const char *const wrong[] = { "", "..", ".", "../../../etc/passwd", "/etc/localtime",
		"Europe/../Europe/Berlin", "Europe//Berlin", "Europe/", "Europe", "Europe/./Berlin",
		"Europe/.hidden", "europe/berlin", "Europe/Berlin ", "Europe\\Berlin",
		"Europe/Ber\tlin",
		"Etc/UTC/x", "Europe/Berln", "%s%s%n", "Euro\x1b[2Jpe" };
	struct zone *zone = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;

		if (zone_open(wrong[i], &zone, &err) == 0)
			fail_msg("'%s' was taken", wrong[i]);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_memory_equal(err.message, "unknown time zone '", 19);
		assert_null(strchr(err.message, 0x1b));
		assert_string_equal(err.hint, "the names are those of the files below "
		    "/usr/share/zoneinfo (package tzdata), as Europe/Berlin; UTC is always known");
	}
}

static void
what_is_no_zone_file_is_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;

	(void)state;
	if (access(ZONE_FOLDER "/zone.tab", R_OK) != 0)
		skip();
	assert_int_equal(zone_open("zone.tab", &zone, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "'" ZONE_FOLDER "/zone.tab' is no time zone file");
	if (access(ZONE_FOLDER "/right/Europe/Berlin", R_OK) != 0)
		skip();
	assert_int_equal(zone_open("right/Europe/Berlin", &zone, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message,
	    "time zone '" ZONE_FOLDER "/right/Europe/Berlin' counts leap seconds");
}

static void
utc_is_known_without_files(void **state)
{
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;

	(void)state;
	assert_int_equal(zone_open("UTC", &zone, &err), 0);
	assert_span(zone, 0, ZONE_FIRST, ZONE_LAST, 0);
	zone_free(zone);
}

static void
no_name_is_the_machines_own_zone_whatever_TZ_says(void **state)
{
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;
	struct zone_span span;
	int64_t now = seconds_of("2026-07-01");

	(void)state;
	assert_int_equal(zone_open(NULL, &zone, &err), 0);
	setenv("TZ", ":/etc/localtime", 1);
	tzset();
	zone_span(zone, now, &span);
	assert_int_equal(span.offset, offset_of_library(now));
	zone_free(zone);
	setenv("TZ", "XXX-11", 1);
	tzset();
	assert_int_equal(zone_open(NULL, &zone, &err), 0);
	assert_int_not_equal(offset_of_library(now), span.offset);
	assert_span(zone, now, span.from, span.until, span.offset);
	unsetenv("TZ");
	tzset();
	zone_free(zone);
}

static void
each_zone_is_read_once_for_many(void **state)
{
	struct zones *zones = zones_new();
	struct zone *first = NULL, *again = NULL, *other = NULL, *kept;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(zones_get(zones, "UTC", &first, &err), 0);
	assert_int_equal(zones_get(zones, NULL, &other, &err), 0);
	assert_ptr_not_equal(first, other);
	assert_int_equal(zones_get(zones, "UTC", &again, &err), 0);
	assert_ptr_equal(first, again);
	assert_int_equal(zones_get(zones, NULL, &again, &err), 0);
	assert_ptr_equal(other, again);
	assert_int_equal(zones_get(zones, "Europe/Atlantis", &again, &err), -1);
	assert_string_equal(err.message, "unknown time zone 'Europe/Atlantis'");
	/* Who shares a zone keeps it. */
	kept = zone_share(first);
	zones_free(zones);
	assert_span(kept, 0, ZONE_FIRST, ZONE_LAST, 0);
	zone_free(kept);
	zones_free(NULL);
	zone_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_begins_a_span),
		cmocka_unit_test(a_rule_holds_from_the_last_change_on),
		cmocka_unit_test(damaged_files_are_refused),
		cmocka_unit_test(no_part_of_a_file_is_taken_for_the_whole),
		cmocka_unit_test(too_many_changes_are_refused),
		cmocka_unit_test(rules_say_when_local_time_changes),
		cmocka_unit_test(a_rule_may_have_summer_time_all_year),
		cmocka_unit_test(wrong_rules_are_refused),
		cmocka_unit_test(zones_of_the_test_data_are_those_of_the_c_library),
		cmocka_unit_test(all_zones_of_the_system_are_those_of_the_c_library),
		cmocka_unit_test(names_lead_nowhere_but_below_the_folder),
		cmocka_unit_test(what_is_no_zone_file_is_refused),
		cmocka_unit_test(utc_is_known_without_files),
		cmocka_unit_test(no_name_is_the_machines_own_zone_whatever_TZ_says),
		cmocka_unit_test(each_zone_is_read_once_for_many),
	};

	return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
