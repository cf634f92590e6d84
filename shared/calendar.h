/*
 * The Gregorian calendar in days since 1970-01-01, as if it had always been in use and for any
 * year.  No time zones here: see agent/jobs/zone.h.
 */
#ifndef HOLDFAST_SHARED_CALENDAR_H
#define HOLDFAST_SHARED_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#define SECONDS_PER_DAY 86400
/* After so many days the calendar repeats itself, weekdays included. */
#define CALENDAR_CYCLE_DAYS 146097

struct date {
	int64_t year;
	int month; /* 1..12 */
	int day;   /* 1..31 */
};

/* The inverse of date_from_days. */
int64_t days_from_date(int64_t year, int month, int day);
struct date date_from_days(int64_t days);
/* Whole days up to that second, rounded down before 1970 too. */
int64_t days_from_seconds(int64_t seconds);
bool year_is_leap(int64_t year);
int days_in_month(int64_t year, int month);
/* 0 is Sunday. */
int weekday_of_days(int64_t days);

#endif
