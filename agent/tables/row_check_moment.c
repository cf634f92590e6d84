/*
 * Dates and times as ISO 8601 writes them, with "T" or a blank, with or without "Z" or an offset.
 *
 * With an offset, what is stored is the moment in UTC.  The session's time zone is UTC, so a
 * TIMESTAMP without one is taken as UTC, too.
 */
#include <stdio.h>
#include <string.h>

#include "agent/tables/encode.h"
#include "agent/tables/row_check_internal.h"

#define HOURS_MAX 838 /* of a TIME */

struct moment {
	unsigned year, month, day;
	unsigned hour, minute, second;
	char fraction[6];
	unsigned fraction_count;  /* without zeros at the end */
	bool fraction_cut;        /* digits beyond a microsecond */
	bool has_time, has_zone, negative;
	int offset_minutes;       /* east of UTC */
};

struct cursor {
	const char *p, *end;
};

static bool
take(struct cursor *at, char c)
{
	if (at->p == at->end || *at->p != c)
		return false;
	at->p++;
	return true;
}

/* min to max digits. */
static bool
take_digits(struct cursor *at, unsigned min, unsigned max, unsigned *ret)
{
	unsigned count = 0, value = 0;

	while (count < max && at->p < at->end && *at->p >= '0' && *at->p <= '9') {
		value = value * 10 + (unsigned)(*at->p++ - '0');
		count++;
	}
	*ret = value;
	return count >= min;
}

static bool
take_fraction(struct cursor *at, struct moment *moment)
{
	unsigned count = 0;

	for (; at->p < at->end && *at->p >= '0' && *at->p <= '9'; at->p++, count++) {
		if (count < sizeof(moment->fraction))
			moment->fraction[count] = *at->p;
		else if (*at->p != '0')
			moment->fraction_cut = true;
	}
	moment->fraction_count = count < sizeof(moment->fraction) ? count :
	    (unsigned)sizeof(moment->fraction);
	while (!moment->fraction_cut && moment->fraction_count > 0 &&
	    moment->fraction[moment->fraction_count - 1] == '0')
		moment->fraction_count--;
	return count > 0;
}

static bool
take_clock(struct cursor *at, unsigned hour_digits, struct moment *moment)
{
	if (!take_digits(at, 1, hour_digits, &moment->hour) || !take(at, ':') ||
	    !take_digits(at, 2, 2, &moment->minute))
		return false;
	if (take(at, ':')) {
		if (!take_digits(at, 2, 2, &moment->second))
			return false;
		if ((take(at, '.') || take(at, ',')) && !take_fraction(at, moment))
			return false;
	}
	moment->has_time = true;
	return moment->minute < 60 && moment->second < 60;
}

static bool
take_zone(struct cursor *at, struct moment *moment)
{
	unsigned hours, minutes = 0;
	bool west;

	if (at->p == at->end)
		return true;
	moment->has_zone = true;
	if (take(at, 'Z') || take(at, 'z'))
		return true;
	west = *at->p == '-';
	if (!take(at, '+') && !take(at, '-'))
		return false;
	if (!take_digits(at, 2, 2, &hours))
		return false;
	if ((take(at, ':') || at->p < at->end) && !take_digits(at, 2, 2, &minutes))
		return false;
	moment->offset_minutes = (int)(hours * 60 + minutes) * (west ? -1 : 1);
	return hours < 24 && minutes < 60;
}

/* Zeros for month and day are for the server to allow or not, but only as they are. */
static bool
is_calendar(const struct moment *moment)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned year = moment->year, last;

	if (moment->month > 12 || moment->day > 31)
		return false;
	if (moment->month == 0 || moment->day == 0)
		return !moment->has_zone;
	last = days[moment->month - 1];
	if (moment->month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		last++;
	return moment->day <= last;
}

static bool
parse_date(const char *text, size_t len, struct moment *moment)
{
	struct cursor at = { text, text + len };

	memset(moment, 0, sizeof(*moment));
	if (!take_digits(&at, 4, 4, &moment->year) || !take(&at, '-') ||
	    !take_digits(&at, 2, 2, &moment->month) || !take(&at, '-') ||
	    !take_digits(&at, 2, 2, &moment->day))
		return false;
	if (at.p < at.end) {
		if (!take(&at, 'T') && !take(&at, 't') && !take(&at, ' '))
			return false;
		if (!take_clock(&at, 2, moment) || moment->hour > 23 || !take_zone(&at, moment))
			return false;
	}
	return at.p == at.end && is_calendar(moment);
}

static bool
parse_time(const char *text, size_t len, struct moment *moment)
{
	struct cursor at = { text, text + len };

	memset(moment, 0, sizeof(*moment));
	moment->negative = take(&at, '-');
	return take_clock(&at, 4, moment) && at.p == at.end;
}

static int
check_fraction(const struct row_rule *rule, const char *text, size_t len,
    const struct moment *moment, struct error *err)
{
	if (!moment->fraction_cut && moment->fraction_count <= rule->fraction)
		return 0;
	return row_refuse(rule, text, len, err, "has %s%u digits of a second, %.100s holds %u",
	    moment->fraction_cut ? "more than " : "", moment->fraction_count, rule->column->type,
	    rule->fraction);
}

/* Seconds since 1970; month and day are not zero. */
static int64_t
seconds_of(const struct moment *moment)
{
	return days_of_date(moment->year, moment->month, moment->day) * 86400 +
	    moment->hour * 3600 + moment->minute * 60 + moment->second -
	    (int64_t)moment->offset_minutes * 60;
}

/* Into UTC; false if that is no year of four digits. */
static bool
to_utc(struct moment *moment)
{
	int64_t seconds, days;
	unsigned rest;
	int year;

	if (moment->offset_minutes == 0)
		return true;
	seconds = seconds_of(moment);
	days = seconds / 86400 - (seconds % 86400 < 0);
	if (days < DAYS_MIN || days >= DAYS_END)
		return false;
	rest = (unsigned)(seconds - days * 86400);
	date_of_days(days, &year, &moment->month, &moment->day);
	moment->year = (unsigned)year;
	moment->hour = rest / 3600;
	moment->minute = rest / 60 % 60;
	moment->second = rest % 60;
	moment->offset_minutes = 0;
	return true;
}

static int
check_date(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err)
{
	struct moment moment;

	if (!parse_date(text, len, &moment))
		return row_refuse(rule, text, len, err, "is no date");
	if (!to_utc(&moment))
		return row_refuse(rule, text, len, err, "is beyond what date can be");
	if (moment.hour != 0 || moment.minute != 0 || moment.second != 0 ||
	    moment.fraction_count > 0)
		return row_refuse(rule, text, len, err, "has a time of day, date holds none");
	ret->data = scratch;
	ret->len = (size_t)snprintf(scratch, ROW_SCRATCH_SIZE, "%04u-%02u-%02u", moment.year,
	    moment.month, moment.day);
	return 0;
}

static int
check_time(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err)
{
	struct moment moment;

	if (!parse_time(text, len, &moment))
		return row_refuse(rule, text, len, err, "is no time");
	if (moment.hour > HOURS_MAX || (moment.hour == HOURS_MAX && moment.minute == 59 &&
	    moment.second == 59 && moment.fraction_count > 0 && rule->fraction == 0))
		return row_refuse(rule, text, len, err, "is beyond what %.100s can be",
		    rule->column->type);
	if (check_fraction(rule, text, len, &moment, err) != 0)
		return -1;
	ret->data = scratch;
	ret->len = (size_t)snprintf(scratch, ROW_SCRATCH_SIZE, "%s%02u:%02u:%02u%s%.*s",
	    moment.negative ? "-" : "", moment.hour, moment.minute, moment.second,
	    moment.fraction_count > 0 ? "." : "", (int)moment.fraction_count, moment.fraction);
	return 0;
}

static char *
put_number(char *p, unsigned value, unsigned width)
{
	for (unsigned i = width; i-- > 0; value /= 10)
		p[i] = (char)('0' + value % 10);
	return p + width;
}

/* The same as snprintf() in a tenth of its time: tables are full of these. */
static void
put_datetime(const struct moment *moment, char *scratch, struct row_cell *ret)
{
	char *p = put_number(scratch, moment->year, 4);

	*p++ = '-';
	p = put_number(p, moment->month, 2);
	*p++ = '-';
	p = put_number(p, moment->day, 2);
	*p++ = ' ';
	p = put_number(p, moment->hour, 2);
	*p++ = ':';
	p = put_number(p, moment->minute, 2);
	*p++ = ':';
	p = put_number(p, moment->second, 2);
	if (moment->fraction_count > 0)
		*p++ = '.';
	memcpy(p, moment->fraction, moment->fraction_count);
	ret->data = scratch;
	ret->len = (size_t)(p - scratch) + moment->fraction_count;
}

static int
check_datetime(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err)
{
	struct moment moment;

	if (!parse_date(text, len, &moment))
		return row_refuse(rule, text, len, err, "is no date and time");
	if (check_fraction(rule, text, len, &moment, err) != 0)
		return -1;
	if (!to_utc(&moment))
		return row_refuse(rule, text, len, err, "is beyond what %.100s can be",
		    rule->column->type);
	if (rule->kind == ROW_KIND_TIMESTAMP && moment.month != 0 && moment.day != 0) {
		int64_t seconds = seconds_of(&moment);

		/* The zero is what the server keeps for the zero date. */
		if (seconds < 0 || (seconds == 0 && moment.fraction_count == 0) ||
		    seconds > rule->last_second)
			return row_refuse(rule, text, len, err, "is beyond what %.100s can be",
			    rule->column->type);
	}
	put_datetime(&moment, scratch, ret);
	return 0;
}

static int
check_year(const struct row_rule *rule, const char *text, size_t len, struct row_cell *ret,
    struct error *err)
{
	struct cursor at = { text, text + len };
	unsigned year;

	if (!take_digits(&at, 1, 4, &year) || at.p != at.end || (len != 4 && year != 0))
		return row_refuse(rule, text, len, err, "is no year of four digits");
	if (year != 0 && (year < rule->min || year > rule->max))
		return row_refuse(rule, text, len, err, "is beyond what year can be");
	ret->as.i = year;
	return 0;
}

int
row_check_moment(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err)
{
	switch (rule->kind) {
	case ROW_KIND_DATE:
		return check_date(rule, text, len, scratch, ret, err);
	case ROW_KIND_TIME:
		return check_time(rule, text, len, scratch, ret, err);
	case ROW_KIND_YEAR:
		return check_year(rule, text, len, ret, err);
	default:
		return check_datetime(rule, text, len, scratch, ret, err);
	}
}
