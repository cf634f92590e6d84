/* Schedules: what is taken and refused, and when they start; test_schedule_years.c tries more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/schedule.h"
#include "shared/mem.h"
#include "shared/text.h"

static int64_t
seconds_of(const char *time)
{
	struct error err = ERROR_INIT;
	struct timespec t;

	if (time_parse(time, false, &t, &err) != 0)
		fail_msg("%s", err.message);
	return t.tv_sec;
}

/* Each start of a schedule in UTC in turn, from an instant on. */
static void
assert_starts(const char *text, const char *zone, const char *const *times, size_t count)
{
	struct schedule *schedule = NULL;
	struct error err = ERROR_INIT;
	char shown[TIME_TEXT_SIZE];
	int64_t at;

	if (schedule_parse(text, zone, &schedule, &err) != 0)
		fail_msg("'%s': %s", text, err.message);
	at = seconds_of(times[0]);
	for (size_t i = 1; i < count; i++) {
		at = schedule_next(schedule, at);
		time_format((struct timespec) { .tv_sec = at }, 0, shown);
		if (at != seconds_of(times[i]))
			fail_msg("'%s': start %zu is %s, not %s", text, i, shown, times[i]);
	}
	schedule_free(schedule);
}

#define ASSERT_STARTS(text, zone, ...) do { \
	static const char *const times_[] = { __VA_ARGS__ }; \
	assert_starts(text, zone, times_, ARRAY_LEN(times_)); \
} while (0)

/* ---- text */

static void
fields_are_lists_of_values_ranges_and_steps(void **state)
{
	(void)state;
	ASSERT_STARTS("5,10-12,50-59/4 3 * * *", "UTC", "2026-01-01T00:00:00Z",
	    "2026-01-01T03:05:00Z", "2026-01-01T03:10:00Z", "2026-01-01T03:11:00Z",
	    "2026-01-01T03:12:00Z", "2026-01-01T03:50:00Z", "2026-01-01T03:54:00Z",
	    "2026-01-01T03:58:00Z", "2026-01-02T03:05:00Z");
	ASSERT_STARTS("\t0  0\t1 JAN,Jul,sep-dec/3  * ", "UTC", "2026-01-01T00:00:00Z",
	    "2026-07-01T00:00:00Z", "2026-09-01T00:00:00Z", "2026-12-01T00:00:00Z",
	    "2027-01-01T00:00:00Z");
	ASSERT_STARTS("007 08 * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T08:07:00Z");
	ASSERT_STARTS("*/59 */23 * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:59:00Z",
	    "2026-01-01T23:00:00Z", "2026-01-01T23:59:00Z", "2026-01-02T00:00:00Z");
	ASSERT_STARTS("0 0 *,5 * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
}

static void
sunday_is_0_and_7(void **state)
{
	static const char *const texts[] = { "0 0 * * 0", "0 0 * * 7", "0 0 * * 7-7", "0 0 * * sun",
		"0 0 * * SUN", "0 0 * * 0,7" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ASSERT_STARTS(texts[i], "UTC", "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z",
		    "2026-11-29T00:00:00Z");
	ASSERT_STARTS("0 0 * * fri-sun", "UTC", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z",
	    "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-27T00:00:00Z");
	ASSERT_STARTS("0 0 * * 5-7", "UTC", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z",
	    "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-27T00:00:00Z");
	ASSERT_STARTS("0 0 * * sun-mon", "UTC", "2026-11-19T00:00:00Z", "2026-11-22T00:00:00Z",
	    "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z");
}

static void
words_stand_for_fields(void **state)
{
	(void)state;
	ASSERT_STARTS("@hourly", "UTC", "2026-12-31T22:30:00Z", "2026-12-31T23:00:00Z",
	    "2027-01-01T00:00:00Z");
	ASSERT_STARTS(" @daily ", "UTC", "2026-12-30T00:00:00Z", "2026-12-31T00:00:00Z");
	ASSERT_STARTS("@Midnight", "UTC", "2026-12-30T00:00:00Z", "2026-12-31T00:00:00Z");
	ASSERT_STARTS("@weekly", "UTC", "2026-12-30T00:00:00Z", "2027-01-03T00:00:00Z",
	    "2027-01-10T00:00:00Z");
	ASSERT_STARTS("@monthly", "UTC", "2026-12-30T00:00:00Z", "2027-01-01T00:00:00Z",
	    "2027-02-01T00:00:00Z");
	ASSERT_STARTS("@yearly", "UTC", "2026-12-30T00:00:00Z", "2027-01-01T00:00:00Z",
	    "2028-01-01T00:00:00Z");
	ASSERT_STARTS("@annually", "UTC", "2026-12-30T00:00:00Z", "2027-01-01T00:00:00Z",
	    "2028-01-01T00:00:00Z");
}

static void
one_of_two_restricted_day_fields_is_enough(void **state)
{
	(void)state;
	ASSERT_STARTS("0 0 13 * fri", "UTC", "2026-11-10T00:00:00Z", "2026-11-13T00:00:00Z",
	    "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z",
	    "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z", "2026-12-18T00:00:00Z");
	/* A field that starts with a star does not restrict, even if it leaves days out. */
	ASSERT_STARTS("0 0 */10 * fri", "UTC", "2026-11-10T00:00:00Z", "2026-12-11T00:00:00Z",
	    "2027-01-01T00:00:00Z", "2027-05-21T00:00:00Z");
	ASSERT_STARTS("0 0 1-31 * fri", "UTC", "2026-11-10T00:00:00Z", "2026-11-11T00:00:00Z");
	/* No February has a 30th, but each has Mondays. */
	ASSERT_STARTS("0 0 30 2 mon", "UTC", "2026-01-31T00:00:00Z", "2026-02-02T00:00:00Z");
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *message;
	} wrong[] = {
		{ "", "the schedule is empty" },
		{ " \t", "the schedule is empty" },
		{ "* * * *", "a schedule has 5 fields or is a word, this has 4 fields" },
		{ "daily", "a schedule has 5 fields or is a word, this has 1 field" },
		{ "* * * * * *", "a schedule has 5 fields or is a word, this has 6 fields" },
		{ "@reboot", "schedule: '@reboot' is no word for a schedule" },
		{ "@dail", "schedule: '@dail' is no word for a schedule" },
		{ "@daily 5", "schedule: '@daily 5' is no word for a schedule" },
		{ "60 * * * *", "minute: 60 is more than 59" },
		{ "99999999999999999999 * * * *", "minute: 99999999999999999999 is more than 59" },
		{ "4294967296 * * * *", "minute: 4294967296 is more than 59" },
		{ "0-60 * * * *", "minute: 60 is more than 59" },
		{ "0 24 * * *", "hour: 24 is more than 23" },
		{ "0 0 0 * *", "day of month: 0 is less than 1" },
		{ "0 0 32 * *", "day of month: 32 is more than 31" },
		{ "0 0 * 0 *", "month: 0 is less than 1" },
		{ "0 0 * 13 *", "month: 13 is more than 12" },
		{ "0 0 * * 8", "day of week: 8 is more than 7" },
		{ "x * * * *", "minute: 'x' is not a number" },
		{ "-1 * * * *", "minute: '-1' lacks a value" },
		{ "1- * * * *", "minute: '1-' lacks a value" },
		{ "- * * * *", "minute: '-' lacks a value" },
		{ "1-2-3 * * * *", "minute: '2-3' is not a number" },
		{ "1.5 * * * *", "minute: '1.5' is not a number" },
		{ "+5 * * * *", "minute: '+5' is not a number" },
		{ "** * * * *", "minute: '**' is not a number" },
		{ "*5 * * * *", "minute: '*5' is not a number" },
		{ "? * * * *", "minute: '?' is not a number" },
		{ "jan * * * *", "minute: 'jan' is not a number" },
		{ "0 0 * january *", "month: 'january' is neither a number nor a name" },
		{ "0 0 * mon *", "month: 'mon' is neither a number nor a name" },
		{ "0 0 * * jan", "day of week: 'jan' is neither a number nor a name" },
		{ "0 0 * * mo", "day of week: 'mo' is neither a number nor a name" },
		{ "1,,2 * * * *", "minute: an item of the list is empty" },
		{ ", * * * *", "minute: an item of the list is empty" },
		{ "1, * * * *", "minute: an item of the list is empty" },
		{ "/5 * * * *", "minute: '' lacks a value" },
		{ "5/10 * * * *", "minute: '5/10' has a step, but no range" },
		{ "*/ * * * *", "minute: '*/' has a step that is not a number" },
		{ "*/x * * * *", "minute: '*/x' has a step that is not a number" },
		{ "*/2/3 * * * *", "minute: '*/2/3' has a step that is not a number" },
		{ "*/0 * * * *", "minute: the step 0 is less than 1" },
		{ "*/60 * * * *", "minute: the step 60 is more than 59" },
		{ "0 */24 * * *", "hour: the step 24 is more than 23" },
		{ "0 0 * * */7", "day of week: the step 7 is more than 6" },
		{ "0 22-2 * * *", "hour: '22-2' runs backwards" },
		{ "0 0 * nov-feb *", "month: 'nov-feb' runs backwards" },
		{ "0 0 * * fri-tue", "day of week: 'fri-tue' runs backwards" },
		{ "\x1b[2J * * * *", "minute: '\\x1b[2J' is not a number" },
		{ "0\n * * * *", "minute: '0\\x0a' is not a number" },
		{ "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeee * * * *",
		    "minute: 'aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd...' is not a number" },
	};
	struct schedule *schedule = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;

		if (schedule_parse(wrong[i].text, "UTC", &schedule, &err) == 0)
			fail_msg("'%s' was taken", wrong[i].text);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, wrong[i].message);
		assert_null(schedule);
	}
}

static void
a_hint_says_how_to_write_it(void **state)
{
	static const struct {
		const char *text, *hint;
	} wrong[] = {
		{ "0 22-2 * * *", "write it as two ranges: 22-23,0-2" },
		{ "0 0 * nov-feb *", "write it as two ranges: 11-12,1-2" },
		{ "0 0 * * fri-tue", "write it as two ranges: 5-6,0-2" },
		{ "5/10 * * * *", "write a range before it, as 5-59/10" },
		{ "0 0 * x *", "names are the first three letters, in English: jan to dec" },
		{ "0 0 * * x", "names are the first three letters, in English: sun to sat" },
	};
	struct schedule *schedule = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(schedule_parse(wrong[i].text, "UTC", &schedule, &err), -1);
		assert_string_equal(err.hint, wrong[i].hint);
	}
}

static void
what_can_never_start_is_refused(void **state)
{
	static const char *const never[] = { "30 2 31 2 *", "0 0 30 2 *", "0 0 30-31 feb *",
		"0 0 31 4,6,9,11 *", "0 0 31 feb,nov */2" };
	struct schedule *schedule = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		struct error err = ERROR_INIT;

		if (schedule_parse(never[i], "UTC", &schedule, &err) == 0)
			fail_msg("'%s' was taken", never[i]);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, "day of month: none of the months has such a day, "
		    "it would never start");
	}
}

static void
an_unknown_zone_is_named(void **state)
{
	struct schedule *schedule = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(schedule_parse("@daily", "Europe/Atlantis", &schedule, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "unknown time zone 'Europe/Atlantis'");
	assert_null(schedule);
}

/* ---- starts */

static void
a_start_is_strictly_after_the_instant(void **state)
{
	(void)state;
	ASSERT_STARTS("30 2 * * *", "UTC", "2026-01-01T02:29:59Z", "2026-01-01T02:30:00Z",
	    "2026-01-02T02:30:00Z");
	ASSERT_STARTS("* * * * *", "UTC", "2026-01-01T02:29:59Z", "2026-01-01T02:30:00Z",
	    "2026-01-01T02:31:00Z");
	ASSERT_STARTS("* * * * *", "UTC", "2026-12-31T23:59:01Z", "2027-01-01T00:00:00Z");
	/* Before 1970 too. */
	ASSERT_STARTS("59 23 31 12 *", "UTC", "1968-12-31T23:59:01Z", "1969-12-31T23:59:00Z",
	    "1970-12-31T23:59:00Z");
}

static void
the_rarest_days_are_found(void **state)
{
	(void)state;
	/* 2100 is no leap year. */
	ASSERT_STARTS("0 0 29 2 *", "UTC", "2095-01-01T00:00:00Z", "2096-02-29T00:00:00Z",
	    "2104-02-29T00:00:00Z");
	/* 29 February on a Saturday or Sunday, as the second star restricts nothing. */
	ASSERT_STARTS("0 0 29 2 */6", "UTC", "2076-03-01T00:00:00Z", "2088-02-29T00:00:00Z",
	    "2116-02-29T00:00:00Z");
	ASSERT_STARTS("59 23 31 dec *", "UTC", "9998-01-01T00:00:00Z", "9998-12-31T23:59:00Z");
}

static void
beyond_the_calendar_there_is_none(void **state)
{
	struct schedule *schedule = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(schedule_parse("0 0 29 2 *", "UTC", &schedule, &err), 0);
	assert_int_equal(schedule_next(schedule, seconds_of("9999-12-31T23:59:59Z") + 1),
	    INT64_MAX);
	assert_int_equal(schedule_next(schedule, INT64_MAX), INT64_MAX);
	/* The last one is after the year 9999, and there is one after the first instant too. */
	assert_true(schedule_next(schedule, seconds_of("9999-12-31T23:59:59Z")) < INT64_MAX);
	assert_true(schedule_next(schedule, INT64_MIN) < ZONE_FIRST / 2);
	schedule_free(schedule);
}

static void
a_fixed_time_in_the_gap_starts_once_at_its_end(void **state)
{
	(void)state;
	/* 29 March 2026, 02:00 becomes 03:00. */
	ASSERT_STARTS("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z",
	    "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00",
	    "2026-03-30T02:30:00+02:00");
	ASSERT_STARTS("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
	    "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00",
	    "2026-03-30T02:00:00+02:00");
	/* The end of the gap itself is not in the gap: nothing starts twice. */
	ASSERT_STARTS("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
	    "2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00");
	/* Not of that month, not of that day. */
	ASSERT_STARTS("30 2 * apr *", "Europe/Berlin", "2026-03-28T12:00:00Z",
	    "2026-04-01T02:30:00+02:00");
	/* Half an hour only: 4 October 2026, 02:00 becomes 02:30. */
	ASSERT_STARTS("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
	    "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00");
}

static void
a_fixed_time_that_comes_twice_starts_at_its_first(void **state)
{
	(void)state;
	/* 25 October 2026, 03:00 becomes 02:00. */
	ASSERT_STARTS("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
	    "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00");
	ASSERT_STARTS("0 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
	    "2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00",
	    "2026-10-26T02:00:00+01:00");
	ASSERT_STARTS("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z",
	    "2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30");
}

static void
what_repeats_goes_by_elapsed_time(void **state)
{
	(void)state;
	ASSERT_STARTS("@hourly", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z",
	    "2026-03-29T02:00:00Z");
	ASSERT_STARTS("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z",
	    "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z");
	ASSERT_STARTS("*/30 1-3 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z",
	    "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z",
	    "2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z", "2026-10-26T00:00:00Z");
	/* An hour that the gap swallows comes soon again, if it is one of a star. */
	ASSERT_STARTS("0 */2 * * *", "Europe/Berlin", "2026-03-28T22:30:00Z",
	    "2026-03-29T00:00:00+01:00", "2026-03-29T04:00:00+02:00");
	/* But what is to be between two and three o'clock would be left out for a day. */
	ASSERT_STARTS("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
	    "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00");
}

static void
a_day_that_was_skipped_starts_at_its_end(void **state)
{
	(void)state;
	/* Apia had no 30 December 2011, a Friday. */
	ASSERT_STARTS("30 12 * * fri", "Pacific/Apia", "2011-12-24T12:00:00Z",
	    "2011-12-31T00:00:00+14:00", "2012-01-06T12:30:00+14:00");
	ASSERT_STARTS("@daily", "Pacific/Apia", "2011-12-29T00:00:00-10:00",
	    "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00");
	ASSERT_STARTS("0 1 29 * *", "Pacific/Apia", "2011-12-01T00:00:00Z",
	    "2011-12-29T01:00:00-10:00", "2012-01-29T01:00:00+14:00");
}

/* ---- jitter */

static void
jitter_is_the_same_in_every_run(void **state)
{
	(void)state;
	/* A change of these would move every job of every fleet once. */
	assert_int_equal(schedule_jitter("home", "web1", 3600), 442);
	assert_int_equal(schedule_jitter("home", "web2", 3600), 2807);
	assert_int_equal(schedule_jitter("mail", "web1", 3600), 2269);
	assert_int_equal(schedule_jitter("", "", 3600), 347);
}

static void
jitter_stays_within_its_bound_and_spreads(void **state)
{
	unsigned buckets[10] = { 0 };
	char host[16];

	(void)state;
	assert_int_equal(schedule_jitter("home", "web1", 0), 0);
	assert_int_equal(schedule_jitter("home", "web1", -5), 0);
	for (unsigned i = 0; i < 1000; i++) {
		int64_t jitter;

		snprintf(host, sizeof(host), "host%u", i);
		jitter = schedule_jitter("home", host, 599);
		assert_in_range(jitter, 0, 599);
		buckets[jitter / 60]++;
		assert_in_range(schedule_jitter("home", host, 1), 0, 1);
		assert_in_range(schedule_jitter("home", host, INT64_MAX), 0, INT64_MAX);
	}
	/* A hundred each; of a fair dice, fewer than 60 would come once in many million runs. */
	for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
		assert_in_range(buckets[i], 60, 140);
	assert_int_not_equal(schedule_jitter("ab", "c", 1000000), schedule_jitter("a", "bc",
	    1000000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_lists_of_values_ranges_and_steps),
		cmocka_unit_test(sunday_is_0_and_7),
		cmocka_unit_test(words_stand_for_fields),
		cmocka_unit_test(one_of_two_restricted_day_fields_is_enough),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_hint_says_how_to_write_it),
		cmocka_unit_test(what_can_never_start_is_refused),
		cmocka_unit_test(an_unknown_zone_is_named),
		cmocka_unit_test(a_start_is_strictly_after_the_instant),
		cmocka_unit_test(the_rarest_days_are_found),
		cmocka_unit_test(beyond_the_calendar_there_is_none),
		cmocka_unit_test(a_fixed_time_in_the_gap_starts_once_at_its_end),
		cmocka_unit_test(a_fixed_time_that_comes_twice_starts_at_its_first),
		cmocka_unit_test(what_repeats_goes_by_elapsed_time),
		cmocka_unit_test(a_day_that_was_skipped_starts_at_its_end),
		cmocka_unit_test(jitter_is_the_same_in_every_run),
		cmocka_unit_test(jitter_stays_within_its_bound_and_spreads),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
