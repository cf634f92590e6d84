/* Dates and days: as the C library has them, for a long time before and behind ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

#include "shared/calendar.h"

/* Days around 1970 that are looked at: some six hundred years on both sides. */
#define DAYS_AROUND 220000

static void
dates_are_those_of_the_c_library(void **state)
{
	(void)state;
	for (int64_t days = -DAYS_AROUND; days < DAYS_AROUND; days++) {
		time_t seconds = (time_t)(days * SECONDS_PER_DAY);
		struct date date = date_from_days(days);
		struct tm tm;

		assert_non_null(gmtime_r(&seconds, &tm));
		assert_int_equal(date.year, tm.tm_year + 1900);
		assert_int_equal(date.month, tm.tm_mon + 1);
		assert_int_equal(date.day, tm.tm_mday);
		assert_int_equal(weekday_of_days(days), tm.tm_wday);
		assert_int_equal(days_from_date(date.year, date.month, date.day), days);
	}
}

static void
a_date_comes_back_for_any_year(void **state)
{
	static const int64_t years[] = { -292000000000, -100001, -400, -1, 0, 1, 1900, 2000, 9999,
		10000, 123456789, 292000000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(years) / sizeof(years[0]); i++) {
		for (int month = 1; month <= 12; month++) {
			int last = days_in_month(years[i], month);
			int64_t days = days_from_date(years[i], month, last);
			struct date date = date_from_days(days);

			assert_int_equal(date.year, years[i]);
			assert_int_equal(date.month, month);
			assert_int_equal(date.day, last);
			assert_int_equal(date_from_days(days + 1).day, 1);
		}
	}
}

static void
leap_years_are_those_of_gregory(void **state)
{
	(void)state;
	assert_true(year_is_leap(2024));
	assert_true(year_is_leap(2000));
	assert_true(year_is_leap(0));
	assert_true(year_is_leap(-4));
	assert_false(year_is_leap(1900));
	assert_false(year_is_leap(2100));
	assert_false(year_is_leap(-100));
	assert_false(year_is_leap(2023));
	assert_int_equal(days_in_month(2100, 2), 28);
	assert_int_equal(days_in_month(2000, 2), 29);
	assert_int_equal(days_in_month(2000, 12), 31);
}

static void
seconds_before_1970_belong_to_their_day(void **state)
{
	(void)state;
	assert_int_equal(days_from_seconds(0), 0);
	assert_int_equal(days_from_seconds(SECONDS_PER_DAY - 1), 0);
	assert_int_equal(days_from_seconds(SECONDS_PER_DAY), 1);
	assert_int_equal(days_from_seconds(-1), -1);
	assert_int_equal(days_from_seconds(-SECONDS_PER_DAY), -1);
	assert_int_equal(days_from_seconds(-SECONDS_PER_DAY - 1), -2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_those_of_the_c_library),
		cmocka_unit_test(a_date_comes_back_for_any_year),
		cmocka_unit_test(leap_years_are_those_of_gregory),
		cmocka_unit_test(seconds_before_1970_belong_to_their_day),
	};

	return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
