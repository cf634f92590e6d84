#include "agent/jobs/zone_rule.h"

#include <stdlib.h>
#include <string.h>

#include "shared/calendar.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Names of zones are three letters or more. */
#define NAME_MIN 3
#define OFFSET_HOURS_MAX 24
#define TIME_HOURS_MAX 167
/* When a change is not said to be at another time. */
#define CHANGE_SECONDS (2 * 3600)
/* A change may lie a week outside of its year: two years on both sides, two changes each. */
#define YEARS_AROUND 2
#define CHANGES_AROUND ((2 * YEARS_AROUND + 1) * 2)

static bool
is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "CET" or "<+03>" */
static int
take_name(const char **p)
{
	const char *at = *p;
	bool quoted = *at == '<';
	const char *start = at + quoted;

	for (at = start; is_letter(*at) || (quoted && (is_digit(*at) || *at == '+' || *at == '-'));
	    at++)
		;
	if (at - start < NAME_MIN || (quoted && *at != '>'))
		return -1;
	*p = at + quoted;
	return 0;
}

static int
take_number(const char **p, int min, int max, int *ret)
{
	const char *at = *p;
	int value = 0;

	for (; is_digit(*at); at++) {
		value = value * 10 + (*at - '0');
		if (value > max)
			return -1;
	}
	if (at == *p || value < min)
		return -1;
	*p = at;
	*ret = value;
	return 0;
}

static bool
take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* "[+-]h[:m[:s]]" */
static int
take_time(const char **p, int hours_max, int32_t *ret_seconds)
{
	int hours, minutes = 0, seconds = 0;
	bool negative = take_char(p, '-');

	if (!negative)
		(void)take_char(p, '+');
	if (take_number(p, 0, hours_max, &hours) != 0)
		return -1;
	if (take_char(p, ':')) {
		if (take_number(p, 0, 59, &minutes) != 0)
			return -1;
		if (take_char(p, ':') && take_number(p, 0, 59, &seconds) != 0)
			return -1;
	}
	*ret_seconds = (hours * 60 + minutes) * 60 + seconds;
	if (negative)
		*ret_seconds = -*ret_seconds;
	return 0;
}

/* ",M3.5.0/2", ",J60" or ",59/-1" */
static int
take_change(const char **p, struct zone_rule_change *ret)
{
	struct zone_rule_change change = { .seconds = CHANGE_SECONDS };

	if (!take_char(p, ','))
		return -1;
	if (take_char(p, 'M')) {
		change.kind = ZONE_RULE_WEEKDAY;
		if (take_number(p, 1, 12, &change.month) != 0 || !take_char(p, '.') ||
		    take_number(p, 1, 5, &change.week) != 0 || !take_char(p, '.') ||
		    take_number(p, 0, 6, &change.day) != 0)
			return -1;
	} else if (take_char(p, 'J')) {
		change.kind = ZONE_RULE_JULIAN;
		if (take_number(p, 1, 365, &change.day) != 0)
			return -1;
	} else {
		change.kind = ZONE_RULE_DAY;
		if (take_number(p, 0, 365, &change.day) != 0)
			return -1;
	}
	if (take_char(p, '/') && take_time(p, TIME_HOURS_MAX, &change.seconds) != 0)
		return -1;
	*ret = change;
	return 0;
}

static int
take_rule(const char *p, struct zone_rule *rule)
{
	/* POSIX counts what is to be added to local time to get UTC. */
	if (take_name(&p) != 0 || take_time(&p, OFFSET_HOURS_MAX, &rule->standard) != 0)
		return -1;
	rule->standard = -rule->standard;
	if (*p == '\0')
		return 0;
	rule->has_summer = true;
	rule->summer = rule->standard + 3600;
	if (take_name(&p) != 0)
		return -1;
	if (*p != ',') {
		if (take_time(&p, OFFSET_HOURS_MAX, &rule->summer) != 0)
			return -1;
		rule->summer = -rule->summer;
	}
	if (take_change(&p, &rule->start) != 0 || take_change(&p, &rule->end) != 0)
		return -1;
	return *p == '\0' ? 0 : -1;
}

int
zone_rule_parse(const char *text, size_t len, struct zone_rule *ret, struct error *err)
{
	struct zone_rule rule = { 0 };
	char *copy = mem_printf("%.*s", (int)len, text), *shown;

	if (strlen(copy) != len || take_rule(copy, &rule) != 0) {
		shown = text_printable(text, len);
		free(copy);
		error_set(err, ERROR_CORRUPT, "'%s' is no rule of a time zone", shown);
		free(shown);
		return -1;
	}
	free(copy);
	*ret = rule;
	return 0;
}

/* The day of the change in that year, in days since 1970. */
static int64_t
change_day(const struct zone_rule_change *change, int64_t year)
{
	int64_t first;
	int day;

	switch (change->kind) {
	case ZONE_RULE_JULIAN:
		/* Day 60 is 1 March in every year. */
		return days_from_date(year, 1, 1) + change->day - 1 +
		    (year_is_leap(year) && change->day >= 60);
	case ZONE_RULE_DAY:
		return days_from_date(year, 1, 1) + change->day;
	case ZONE_RULE_WEEKDAY:
	default:
		first = days_from_date(year, change->month, 1);
		day = (change->day - weekday_of_days(first) + 7) % 7 + (change->week - 1) * 7;
		/* The fifth may not exist. */
		if (day >= days_in_month(year, change->month))
			day -= 7;
		return first + day;
	}
}

struct change {
	int64_t at;
	int32_t offset; /* from then on */
};

/*
 * Sorted in.  Of two at the same time the one added later holds: that is how a zone is written that
 * has summer time all year, which ends when that of the next year starts.
 */
static void
add_change(struct change *changes, size_t count, int64_t at, int32_t offset)
{
	for (; count > 0 && changes[count - 1].at > at; count--)
		changes[count] = changes[count - 1];
	changes[count] = (struct change) { at, offset };
}

void
zone_rule_span(const struct zone_rule *rule, int64_t at, struct zone_span *ret)
{
	struct change changes[CHANGES_AROUND];
	int64_t year = date_from_days(days_from_seconds(at)).year;
	size_t count = 0;

	*ret = (struct zone_span) { ZONE_FIRST, ZONE_LAST, rule->standard };
	if (!rule->has_summer)
		return;
	for (int64_t y = year - YEARS_AROUND; y <= year + YEARS_AROUND; y++) {
		add_change(changes, count++, change_day(&rule->start, y) * SECONDS_PER_DAY +
		    rule->start.seconds - rule->standard, rule->summer);
		add_change(changes, count++, change_day(&rule->end, y) * SECONDS_PER_DAY +
		    rule->end.seconds - rule->summer, rule->standard);
	}
	/* The first is before and the last behind at, whatever the rule. */
	while (count > 1 && changes[count - 1].at > at)
		count--;
	*ret = (struct zone_span) { changes[count - 1].at, changes[count].at,
		changes[count - 1].offset };
}
