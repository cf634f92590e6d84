/*
 * Years start in March here, so that the leap day is the last of its year, and are counted in
 * cycles of 400, so that every division is of numbers that are not negative.
 */
#include "shared/calendar.h"

#define YEARS_PER_CYCLE 400
/* From 0000-03-01 to 1970-01-01. */
#define DAYS_BEFORE_1970 719468
/* 1970-01-01 was a Thursday. */
#define WEEKDAY_OF_1970 4

static int64_t
divide_down(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t
days_from_date(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int m = month <= 2 ? month + 9 : month - 3;
	int64_t cycle = divide_down(y, YEARS_PER_CYCLE);
	int64_t of_cycle = y - cycle * YEARS_PER_CYCLE;

	/* (153 m + 2) / 5: the days of the months from March on, 31 30 31 30 31 and again. */
	return cycle * CALENDAR_CYCLE_DAYS + 365 * of_cycle + of_cycle / 4 - of_cycle / 100 +
	    (153 * m + 2) / 5 + day - 1 - DAYS_BEFORE_1970;
}

struct date
date_from_days(int64_t days)
{
	int64_t cycle = divide_down(days + DAYS_BEFORE_1970, CALENDAR_CYCLE_DAYS);
	int of_cycle = (int)(days + DAYS_BEFORE_1970 - cycle * CALENDAR_CYCLE_DAYS);
	/* 1460, 36524 and 146096: the days of 4, 100 and 400 years, but the last leap day. */
	int year = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
	int of_year = of_cycle - (365 * year + year / 4 - year / 100);
	int m = (5 * of_year + 2) / 153;
	struct date date;

	date.day = of_year - (153 * m + 2) / 5 + 1;
	date.month = m < 10 ? m + 3 : m - 9;
	date.year = cycle * YEARS_PER_CYCLE + year + (date.month <= 2);
	return date;
}

int64_t
days_from_seconds(int64_t seconds)
{
	return divide_down(seconds, SECONDS_PER_DAY);
}

bool
year_is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int
days_in_month(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && year_is_leap(year) ? 29 : days[month - 1];
}

int
weekday_of_days(int64_t days)
{
	int weekday = (int)((days + WEEKDAY_OF_1970) % 7);

	return weekday < 0 ? weekday + 7 : weekday;
}
