/*
 * A time zone's file, and the rule at its end: whatever is taken says one local time for each
 * instant, in spans without a hole between them, and schedules in it come to an end.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/jobs/schedule.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPANS_MAX 200
#define DAY INT64_C(86400)

static void
check_span(const struct zone_span *span, int64_t at)
{
	assert(span->from <= at && at < span->until);
	assert(span->offset > -26 * 3600 && span->offset < 27 * 3600);
}

static void
check_spans(const struct zone *zone, int64_t at)
{
	struct zone_span span, again;

	for (int i = 0; i < SPANS_MAX && at < ZONE_LAST; i++) {
		zone_span(zone, at, &span);
		check_span(&span, at);
		zone_span(zone, span.until - 1, &again);
		assert(again.from == span.from && again.until == span.until);
		assert(again.offset == span.offset);
		at = span.until;
	}
}

static void
check_schedule(const char *text, struct zone *zone, int64_t after)
{
	struct schedule *schedule = NULL;
	struct error err = ERROR_INIT;
	int rc = schedule_parse_in(text, zone, &schedule, &err);

	assert(rc == 0);
	for (int i = 0; i < 5; i++) {
		int64_t next = schedule_next(schedule, after);

		assert(next > after && next < INT64_MAX);
		after = next;
	}
	schedule_free(schedule);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;
	struct zone_rule rule;
	struct zone_span span;

	if (zone_parse(data, size, "input", &zone, &err) == 0) {
		check_spans(zone, ZONE_FIRST);
		check_spans(zone, 0);
		check_schedule("30 2 * * *", zone, 0);
		check_schedule("*/15 1-3 * * *", zone, 300 * DAY);
		check_schedule("0 0 29 2 *", zone, -300 * DAY);
		zone_free(zone);
	} else {
		assert(zone == NULL && err.message[0] != '\0');
	}
	if (zone_rule_parse((const char *)data, size, &rule, &err) != 0)
		return 0;
	for (int64_t at = -800 * DAY; at < 800 * DAY; at += 11 * DAY) {
		zone_rule_span(&rule, at, &span);
		check_span(&span, at);
	}
	return 0;
}
