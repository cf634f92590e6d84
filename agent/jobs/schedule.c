#include "agent/jobs/schedule.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "shared/calendar.h"
#include "shared/mem.h"
#include "shared/text.h"

#define SECONDS_PER_MINUTE 60
#define MINUTES_PER_HOUR 60
#define HOURS_PER_DAY 24
/* The end of the year 9999. */
#define AFTER_MAX INT64_C(253402300799)
/*
 * After 400 years the calendar repeats itself.  The rarest that can be written, 29 February on one
 * day of the week, comes after 40 years at the latest.
 */
#define SEARCH_SECONDS ((int64_t)CALENDAR_CYCLE_DAYS * SECONDS_PER_DAY)
/* Local times are less than 51 hours apart, so a doubled one has its first within that. */
#define LOOK_BACK_SECONDS (51 * 3600)
/* Of text from outside, in a message. */
#define SHOWN_MAX 40

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

struct schedule {
	struct zone *zone;
	/* Bit n: the value n. */
	uint64_t fields[FIELDS];
	bool either_day;   /* a day is taken that one of the two day fields names */
	bool every_hour;   /* the hour starts with a star: a gap is not made good */
	bool repeats;      /* minute or hour starts with a star: doubled times count twice */
};

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug",
	"sep", "oct", "nov", "dec", NULL };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat",
	NULL };

static const struct field {
	const char *name;
	int min, max;
	int star_max; /* "*" ends there: 7 is Sunday once more */
	const char *const *names; /* of the values from min on */
} fields[FIELDS] = {
	[MINUTE] = { "minute", 0, 59, 59, NULL },
	[HOUR] = { "hour", 0, 23, 23, NULL },
	[DAY] = { "day of month", 1, 31, 31, NULL },
	[MONTH] = { "month", 1, 12, 12, month_names },
	[WEEKDAY] = { "day of week", 0, 7, 6, weekday_names },
};

static const struct {
	const char *word, *text;
} words[] = {
	{ "@hourly", "0 * * * *" },
	{ "@daily", "0 0 * * *" },
	{ "@midnight", "0 0 * * *" },
	{ "@weekly", "0 0 * * 0" },
	{ "@monthly", "0 0 1 * *" },
	{ "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
};

/* ---- parsing */

/* A part of the text. */
struct part {
	const char *text;
	size_t len;
};

static int
bad_part(struct error *err, const struct field *field, struct part part, const char *why)
{
	size_t len = part.len < SHOWN_MAX ? part.len : SHOWN_MAX;
	char *shown = text_printable(part.text, len);

	error_set(err, ERROR_BAD_REQUEST, "%s: '%s%s' %s", field->name, shown,
	    len < part.len ? "..." : "", why);
	free(shown);
	return -1;
}

/* Up to, not including, the first c; *p is moved behind that. False if there is no c. */
static bool
cut(struct part *part, char c, struct part *ret_head)
{
	const char *at = memchr(part->text, c, part->len);

	*ret_head = *part;
	if (at == NULL) {
		*part = (struct part) { part->text + part->len, 0 };
		return false;
	}
	ret_head->len = (size_t)(at - part->text);
	part->len -= ret_head->len + 1;
	part->text = at + 1;
	return true;
}

/* Digits only; above 9999 any number will do to say that it is too large. */
static bool
take_number(struct part part, int *ret)
{
	int value = 0;

	for (size_t i = 0; i < part.len; i++) {
		if (part.text[i] < '0' || part.text[i] > '9')
			return false;
		if (value <= 9999)
			value = value * 10 + (part.text[i] - '0');
	}
	*ret = value;
	return part.len > 0;
}

static int
check_bounds(const struct field *field, struct part part, const char *what, int value, int min,
    int max, struct error *err)
{
	if (value >= min && value <= max)
		return 0;
	/* Only digits get here. */
	return error_set(err, ERROR_BAD_REQUEST, "%s: %s%.*s is %s than %d", field->name, what,
	    part.len < SHOWN_MAX ? (int)part.len : SHOWN_MAX, part.text,
	    value < min ? "less" : "more", value < min ? min : max);
}

static int
parse_value(const struct field *field, struct part part, int *ret, struct error *err)
{
	if (take_number(part, ret))
		return check_bounds(field, part, "", *ret, field->min, field->max, err);
	for (int i = 0; field->names != NULL && field->names[i] != NULL; i++) {
		if (part.len == strlen(field->names[i]) &&
		    strncasecmp(part.text, field->names[i], part.len) == 0) {
			*ret = field->min + i;
			return 0;
		}
	}
	if (field->names == NULL)
		return bad_part(err, field, part, "is not a number");
	bad_part(err, field, part, "is neither a number nor a name");
	return error_hint(err, "names are the first three letters, in English: %s to %s",
	    field->names[0], field->names[field->star_max - field->min]);
}

/* "a-b", or "a" alone, which is *ret_range false. */
static int
parse_range(const struct field *field, struct part part, int *low, int *high, bool *ret_range,
    struct error *err)
{
	struct part rest = part, head;

	*ret_range = cut(&rest, '-', &head);
	if (head.len == 0 || (*ret_range && rest.len == 0))
		return bad_part(err, field, part, "lacks a value");
	if (parse_value(field, head, low, err) != 0)
		return -1;
	*high = *low;
	if (!*ret_range)
		return 0;
	if (parse_value(field, rest, high, err) != 0)
		return -1;
	/* "fri-sun" */
	if (field == &fields[WEEKDAY] && *high == 0 && *low > 0)
		*high = 7;
	if (*high >= *low)
		return 0;
	bad_part(err, field, part, "runs backwards");
	return error_hint(err, "write it as two ranges: %d-%d,%d-%d", *low, field->star_max,
	    field->min, *high);
}

/* An item of a list: "*", "a", "a-b", "*" + "/n" or "a-b/n". */
static int
parse_item(const struct field *field, struct part item, uint64_t *bits, struct error *err)
{
	struct part step = item, range;
	int low = field->min, high = field->star_max, by = 1;
	bool stepped = cut(&step, '/', &range), is_range = true;

	if (item.len == 0)
		return error_set(err, ERROR_BAD_REQUEST, "%s: an item of the list is empty",
		    field->name);
	if (!(range.len == 1 && range.text[0] == '*') &&
	    parse_range(field, range, &low, &high, &is_range, err) != 0)
		return -1;
	if (stepped) {
		if (!take_number(step, &by))
			return bad_part(err, field, item, "has a step that is not a number");
		if (!is_range) {
			bad_part(err, field, item, "has a step, but no range");
			return error_hint(err, "write a range before it, as %d-%d/%d", low,
			    field->star_max, by);
		}
		/* A larger one would name the first value only: hardly what was meant. */
		if (check_bounds(field, step, "the step ", by, 1, field->star_max - field->min,
		    err) != 0)
			return -1;
	}
	for (int value = low; value <= high; value += by)
		*bits |= UINT64_C(1) << value;
	return 0;
}

static int
parse_field(const struct field *field, struct part part, uint64_t *ret, struct error *err)
{
	struct part item;
	bool more;

	do {
		more = cut(&part, ',', &item);
		if (parse_item(field, item, ret, err) != 0)
			return -1;
	} while (more);
	/* The other Sunday. */
	if (field == &fields[WEEKDAY] && (*ret & (1u << 7)) != 0)
		*ret = (*ret | 1u) & ~(UINT64_C(1) << 7);
	return 0;
}

/* The words of a text, up to max of them; returns how many there are. */
static size_t
split_blanks(const char *text, struct part *parts, size_t max)
{
	static const char blanks[] = " \t";
	size_t count = 0;

	for (text += strspn(text, blanks); *text != '\0'; text += strspn(text, blanks)) {
		size_t len = strcspn(text, blanks);

		if (count < max)
			parts[count] = (struct part) { text, len };
		count++;
		text += len;
	}
	return count;
}

static int
wrong_count(const char *text, size_t count, struct error *err)
{
	struct part part = { text, strlen(text) };

	if (count == 0) {
		error_set(err, ERROR_BAD_REQUEST, "the schedule is empty");
	} else if (text[strspn(text, " \t")] == '@') {
		static const struct field whole = { .name = "schedule" };

		bad_part(err, &whole, part, "is no word for a schedule");
		return error_hint(err, "the words are @hourly, @daily, @midnight, @weekly, "
		    "@monthly, @yearly and @annually");
	} else {
		error_set(err, ERROR_BAD_REQUEST,
		    "a schedule has 5 fields or is a word, this has %zu field%s", count,
		    count == 1 ? "" : "s");
	}
	return error_hint(err, "the fields are minute, hour, day of month, month and day of week, "
	    "as in \"30 2 * * mon-fri\"; or write @daily");
}

/* Whether any day of the calendar is named, if the day of the month alone decides. */
static bool
has_a_day(const struct schedule *schedule)
{
	for (int month = 1; month <= 12; month++) {
		/* 2000 has a 29 February. */
		uint64_t days = (UINT64_C(2) << days_in_month(2000, month)) - 1;

		if ((schedule->fields[MONTH] >> month & 1) != 0 &&
		    (schedule->fields[DAY] & days) != 0)
			return true;
	}
	return false;
}

static int
parse_fields(struct schedule *schedule, const char *text, struct error *err)
{
	struct part parts[FIELDS];
	size_t count = split_blanks(text, parts, FIELDS);
	bool stars[FIELDS];

	if (count == 1) {
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			if (parts[0].len == strlen(words[i].word) &&
			    strncasecmp(parts[0].text, words[i].word, parts[0].len) == 0)
				return parse_fields(schedule, words[i].text, err);
	}
	if (count != FIELDS)
		return wrong_count(text, count, err);
	for (size_t i = 0; i < FIELDS; i++) {
		if (parse_field(&fields[i], parts[i], &schedule->fields[i], err) != 0)
			return -1;
		stars[i] = parts[i].text[0] == '*';
	}
	schedule->either_day = !stars[DAY] && !stars[WEEKDAY];
	schedule->every_hour = stars[HOUR];
	schedule->repeats = stars[MINUTE] || stars[HOUR];
	if (!schedule->either_day && !has_a_day(schedule)) {
		error_set(err, ERROR_BAD_REQUEST,
		    "day of month: none of the months has such a day, it would never start");
		return error_hint(err, "February has 29 days at most; April, June, September and "
		    "November have 30");
	}
	return 0;
}

int
schedule_parse_in(const char *text, struct zone *zone, struct schedule **ret, struct error *err)
{
	struct schedule *schedule = MEM_NEW(struct schedule);

	if (parse_fields(schedule, text, err) != 0) {
		free(schedule);
		return -1;
	}
	schedule->zone = zone_share(zone);
	*ret = schedule;
	return 0;
}

int
schedule_parse(const char *text, const char *zone, struct schedule **ret, struct error *err)
{
	struct zone *opened = NULL;
	int rc;

	if (zone_open(zone, &opened, err) != 0)
		return -1;
	rc = schedule_parse_in(text, opened, ret, err);
	zone_free(opened);
	return rc;
}

void
schedule_free(struct schedule *schedule)
{
	if (schedule == NULL)
		return;
	zone_free(schedule->zone);
	free(schedule);
}

/* ---- the next start */

static bool
has(uint64_t bits, int value)
{
	return (bits >> value & 1) != 0;
}

/* The lowest value of at least from; -1 if there is none. */
static int
value_from(uint64_t bits, int from)
{
	uint64_t left = from < 64 ? bits >> from << from : 0;

	return left == 0 ? -1 : __builtin_ctzll(left);
}

/* The first minute of the day at or after from that is named; -1 if there is none. */
static int
minute_from(const struct schedule *schedule, int from)
{
	int hour = value_from(schedule->fields[HOUR], from / MINUTES_PER_HOUR);
	int minute;

	if (hour < 0)
		return -1;
	if (hour == from / MINUTES_PER_HOUR) {
		minute = value_from(schedule->fields[MINUTE], from % MINUTES_PER_HOUR);
		if (minute >= 0)
			return hour * MINUTES_PER_HOUR + minute;
		hour = value_from(schedule->fields[HOUR], hour + 1);
		if (hour < 0)
			return -1;
	}
	return hour * MINUTES_PER_HOUR + value_from(schedule->fields[MINUTE], 0);
}

static bool
takes_day(const struct schedule *schedule, int day, int64_t days)
{
	bool of_month = has(schedule->fields[DAY], day);
	bool of_week = has(schedule->fields[WEEKDAY], weekday_of_days(days));

	return schedule->either_day ? of_month || of_week : of_month && of_week;
}

/*
 * The first local time that the fields name at or after from and before until; local times are
 * counted in seconds as if they were UTC.  False if there is none.
 */
static bool
local_next(const struct schedule *schedule, int64_t from, int64_t until, int64_t *ret)
{
	int64_t days = days_from_seconds(from);
	int minute = (int)((from - days * SECONDS_PER_DAY + SECONDS_PER_MINUTE - 1) /
	    SECONDS_PER_MINUTE);
	struct date date = date_from_days(days);

	if (until > from + SEARCH_SECONDS)
		until = from + SEARCH_SECONDS;
	while (days * SECONDS_PER_DAY < until) {
		int length = days_in_month(date.year, date.month);

		if (!has(schedule->fields[MONTH], date.month)) {
			days += length - date.day;
			date.day = length;
		} else if (takes_day(schedule, date.day, days)) {
			int found = minute_from(schedule, minute);

			*ret = days * SECONDS_PER_DAY + (int64_t)found * SECONDS_PER_MINUTE;
			if (found >= 0)
				return *ret < until;
		}
		minute = 0;
		days++;
		if (++date.day > length) {
			date.day = 1;
			date.year += date.month == 12;
			date.month = date.month % 12 + 1;
		}
	}
	return false;
}

/* Up to, not including, which local time a clock that is never put back has come before a span. */
static int64_t
local_reached(const struct zone *zone, const struct zone_span *span)
{
	struct zone_span before = *span;
	int64_t reached = span->from + span->offset;
	bool first = true;

	while (before.from > ZONE_FIRST && before.from > span->from - LOOK_BACK_SECONDS) {
		zone_span(zone, before.from - 1, &before);
		if (first || before.until + before.offset > reached)
			reached = before.until + before.offset;
		first = false;
	}
	return reached;
}

/* The first start in the span at or after at, which lies in it; false if there is none. */
static bool
span_next(const struct schedule *schedule, const struct zone_span *span, int64_t at,
    int64_t *ret)
{
	int64_t low = at + span->offset, local, reached;

	if (!schedule->every_hour) {
		reached = local_reached(schedule->zone, span);
		/* What the gap before the span has swallowed starts at the end of the gap. */
		if (at == span->from && reached < low &&
		    local_next(schedule, reached, low, &local)) {
			*ret = at;
			return true;
		}
		if (!schedule->repeats && reached > low)
			low = reached;
	}
	if (!local_next(schedule, low, span->until + span->offset, &local))
		return false;
	*ret = local - span->offset;
	return true;
}

int64_t
schedule_next(const struct schedule *schedule, int64_t after)
{
	struct zone_span span;
	int64_t at, end, next;

	if (after > AFTER_MAX)
		return INT64_MAX;
	if (after < ZONE_FIRST)
		after = ZONE_FIRST;
	end = after + SEARCH_SECONDS;
	for (at = after + 1; at < end; at = span.until) {
		zone_span(schedule->zone, at, &span);
		if (span_next(schedule, &span, at, &next))
			return next;
	}
	return INT64_MAX;
}

int64_t
schedule_jitter(const char *job, const char *host, int64_t bound_s)
{
	uint64_t hash;

	if (bound_s <= 0)
		return 0;
	/* One name seeds the other, so that "ab" on "c" is not "a" on "bc". */
	hash = XXH3_64bits_withSeed(job, strlen(job), XXH3_64bits(host, strlen(host)));
	return (int64_t)(hash % ((uint64_t)bound_s + 1));
}
