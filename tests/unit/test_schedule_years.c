/*
 * Schedules over the years: starts that were computed by other means (tests/data/schedule, where
 * generate.py says how), and random schedules against a search minute by minute with the C
 * library's reading of the zones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/jobs/schedule.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

/* "tests/data/schedule/NAME", heap. */
static char *
data_path(const char *name)
{
	const char *top = getenv("HOLDFAST_TOP");

	if (top == NULL)
		fail_msg("HOLDFAST_TOP is not set: run this test by tests/run");
	return test_path(top, "tests/data/schedule/%s", name);
}

static struct zone *
data_zone(const char *name)
{
	char *path = data_path("zones"), *file = test_path(path, "%s", name);
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;
	uint8_t *data;
	size_t len;

	data = test_file_read(file, &len);
	if (zone_parse(data, len, name, &zone, &err) != 0)
		fail_msg("%s", err.message);
	free(data);
	free(file);
	free(path);
	return zone;
}

static struct schedule *
schedule_in(const char *text, struct zone *zone)
{
	struct schedule *schedule = NULL;
	struct error err = ERROR_INIT;

	if (schedule_parse_in(text, zone, &schedule, &err) != 0)
		fail_msg("'%s': %s", text, err.message);
	return schedule;
}

/* ---- starts computed by other means */

struct reading {
	struct zone *zone;
	struct schedule *schedule;
	char text[128];
	int64_t from, until;
	size_t checked;
};

static void
check_all(struct reading *r, const char *line)
{
	uint64_t count = 0, sum = 0, expected_count, expected_sum;
	int64_t at = r->from - 1;

	assert_int_equal(sscanf(line, "all %" SCNu64 " %" SCNu64, &expected_count, &expected_sum),
	    2);
	while ((at = schedule_next(r->schedule, at)) < r->until) {
		count++;
		sum = sum * 1000003 + (uint64_t)at;
	}
	if (count != expected_count || sum != expected_sum)
		fail_msg("'%s' from %" PRId64 ": %" PRIu64 " starts of sum %" PRIu64 ", not %s",
		    r->text, r->from, count, sum, line);
	r->checked++;
}

static void
check_near(struct reading *r, const char *line)
{
	int64_t jump, at, expected;
	int used = 0;

	assert_int_equal(sscanf(line, "near %" SCNd64 ":%n", &jump, &used), 1);
	line += used;
	at = jump - 3 * 3600 - 1;
	while (sscanf(line, "%" SCNd64 "%n", &expected, &used) == 1) {
		line += used;
		at = schedule_next(r->schedule, at);
		if (at != jump + expected)
			fail_msg("'%s' near %" PRId64 ": %" PRId64 ", not %" PRId64, r->text, jump,
			    at - jump, expected);
	}
	at = schedule_next(r->schedule, at);
	if (at < jump + 4 * 3600)
		fail_msg("'%s' near %" PRId64 ": %" PRId64 " is too many", r->text, jump,
		    at - jump);
}

static void
check_line(struct reading *r, char *line)
{
	if (strncmp(line, "zone ", 5) == 0) {
		zone_free(r->zone);
		r->zone = data_zone(line + 5);
	} else if (strncmp(line, "range ", 6) == 0) {
		assert_int_equal(sscanf(line, "range %" SCNd64 " %" SCNd64, &r->from, &r->until),
		    2);
	} else if (strncmp(line, "schedule ", 9) == 0) {
		schedule_free(r->schedule);
		snprintf(r->text, sizeof(r->text), "%s", line + 9);
		r->schedule = schedule_in(r->text, r->zone);
	} else if (strncmp(line, "all ", 4) == 0) {
		check_all(r, line);
	} else if (strncmp(line, "near ", 5) == 0) {
		check_near(r, line);
	} else {
		assert_true(line[0] == '#');
	}
}

static void
ten_years_agree_with_what_was_computed_by_other_means(void **state)
{
	struct reading reading = { 0 };
	char *path = data_path("starts.txt"), *line = NULL;
	FILE *file = fopen(path, "r");
	size_t cap = 0;
	ssize_t len;

	(void)state;
	assert_non_null(file);
	while ((len = getline(&line, &cap, file)) > 0) {
		line[len - (line[len - 1] == '\n')] = '\0';
		check_line(&reading, line);
	}
	/* Zones, ranges, schedules: what generate.py has. */
	assert_int_equal(reading.checked, 10 * 2 * 14);
	schedule_free(reading.schedule);
	zone_free(reading.zone);
	fclose(file);
	free(line);
	free(path);
}

/* ---- random schedules against a search minute by minute */

#define RANDOM_SCHEDULES 300
#define WINDOW_MINUTES (4 * 24 * 60)
/* So that what was reached before the window is known. */
#define LEAD_MINUTES (3 * 24 * 60)

static const struct {
	int min, max;
} bounds[] = { { 0, 59 }, { 0, 23 }, { 1, 31 }, { 1, 12 }, { 0, 6 } };

/* What a schedule names, value by value, and its text. */
struct naive {
	bool named[5][60];
	bool star[5];
	char text[256];
};

static unsigned
random_below(uint64_t *seed, unsigned below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*seed >> 33) % below;
}

static void
random_field(uint64_t *seed, struct naive *naive, int field)
{
	int min = bounds[field].min, max = bounds[field].max;
	unsigned span = (unsigned)(max - min), items, kind = random_below(seed, 6);
	size_t len = strlen(naive->text);
	char *p = naive->text + len;
	size_t room = sizeof(naive->text) - len;

	naive->star[field] = kind < 3;
	if (kind < 3) {
		int step = kind < 2 ? 1 : 1 + (int)random_below(seed, span);

		for (int value = min; value <= max; value += step)
			naive->named[field][value] = true;
		snprintf(p, room, step == 1 ? "* " : "*/%d ", step);
		return;
	}
	items = 1 + random_below(seed, 3);
	for (unsigned i = 0; i < items; i++) {
		int low = min + (int)random_below(seed, span + 1);
		int high = low + (int)random_below(seed, (unsigned)(max - low) + 1);
		int step = 1 + (int)random_below(seed, 5);

		if (kind == 3)
			high = low;
		for (int value = low; value <= high; value += step)
			naive->named[field][value] = true;
		if (high == low)
			snprintf(p, room, "%d%c", low, i + 1 < items ? ',' : ' ');
		else
			snprintf(p, room, "%d-%d/%d%c", low, high, step, i + 1 < items ? ',' : ' ');
		room -= strlen(p);
		p += strlen(p);
	}
}

static bool
naive_names(const struct naive *naive, int64_t local_minute)
{
	time_t seconds = (time_t)(local_minute * 60);
	bool of_month, of_week;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	of_month = naive->named[2][tm.tm_mday];
	of_week = naive->named[4][tm.tm_wday];
	return naive->named[0][tm.tm_min] && naive->named[1][tm.tm_hour] &&
	    naive->named[3][tm.tm_mon + 1] && (naive->star[2] || naive->star[4] ?
	    of_month && of_week : of_month || of_week);
}

static int64_t
local_minute(int64_t at)
{
	time_t seconds = (time_t)at;
	struct tm tm;

	localtime_r(&seconds, &tm);
	return (at + tm.tm_gmtoff) / 60;
}

static void
search_window(const struct naive *naive, const struct schedule *schedule, const char *zone,
    int64_t begin)
{
	int64_t reached = local_minute(begin - LEAD_MINUTES * 60), next;
	bool every_hour = naive->star[1], repeats = naive->star[0] || naive->star[1];

	next = schedule_next(schedule, begin - 1);
	for (int64_t at = begin - (LEAD_MINUTES - 1) * 60; at < begin + WINDOW_MINUTES * 60;
	    at += 60) {
		int64_t local = local_minute(at);
		bool starts = (repeats || local > reached) && naive_names(naive, local);

		for (int64_t missed = reached + 1; missed < local && !every_hour; missed++)
			starts = starts || naive_names(naive, missed);
		if (local > reached)
			reached = local;
		if (at < begin)
			continue;
		if (starts != (next == at))
			fail_msg("%s: '%s' has %s start at %" PRId64 ", the next is %" PRId64, zone,
			    naive->text, starts ? "a" : "no", at, next);
		if (starts)
			next = schedule_next(schedule, at);
	}
	if (next < begin + WINDOW_MINUTES * 60)
		fail_msg("%s: '%s' has no start at %" PRId64, zone, naive->text, next);
}

static void
random_schedules_agree_with_a_search_minute_by_minute(void **state)
{
	static const char *const zones[] = { "Europe/Berlin", "America/Havana", "Pacific/Apia",
		"Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk" };
	const int64_t first = INT64_C(1104537600); /* 2005 */
	const unsigned years = 45 * 366;
	uint64_t seed = 20261122;

	(void)state;
	for (size_t i = 0; i < RANDOM_SCHEDULES; i++) {
		const char *name = zones[i * ARRAY_LEN(zones) / RANDOM_SCHEDULES];
		struct zone *zone = data_zone(name);
		char *path = data_path("zones"), *tz = mem_printf(":%s/%s", path, name);
		struct schedule *schedule = NULL;
		struct naive naive = { .text = "" };
		struct error err = ERROR_INIT;
		struct zone_span span;
		int64_t begin = first + random_below(&seed, years) * INT64_C(86400);

		setenv("TZ", tz, 1);
		tzset();
		for (int field = 0; field < 5; field++)
			random_field(&seed, &naive, field);
		/* Three of four look at a jump. */
		zone_span(zone, begin, &span);
		if (i % 4 != 0 && span.until < ZONE_LAST)
			begin = span.until - random_below(&seed, WINDOW_MINUTES) * INT64_C(60);
		begin -= begin % 60;
		if (schedule_parse_in(naive.text, zone, &schedule, &err) == 0)
			search_window(&naive, schedule, name, begin);
		else if (strstr(err.message, "it would never start") == NULL)
			fail_msg("'%s': %s", naive.text, err.message);
		schedule_free(schedule);
		zone_free(zone);
		free(path);
		free(tz);
	}
	unsetenv("TZ");
	tzset();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_years_agree_with_what_was_computed_by_other_means),
		cmocka_unit_test(random_schedules_agree_with_a_search_minute_by_minute),
	};

	return cmocka_run_group_tests_name("schedule_years", tests, NULL, NULL);
}
