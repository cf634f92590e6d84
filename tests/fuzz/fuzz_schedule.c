/*
 * A schedule's text behind eight bytes of an instant: what is taken starts at whole minutes of
 * local time, each after the one before, for ever, whether local time jumps or not.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/schedule.h"
#include "shared/buffer.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STARTS 20
/* The first second of the year 10000. */
#define CALENDAR_END INT64_C(253402300800)

/* A zone of one rule for all years, whose local time jumps by half an hour. */
static struct zone *
jumping_zone(void)
{
	static const char head[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0"
	    "\0\0\0\0\0\0\0\1\0\0\0\0";
	static const char kind[6];
	struct buffer buf = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;
	int rc;

	for (int i = 0; i < 2; i++) {
		buffer_put(&buf, head, sizeof(head) - 1);
		buffer_put(&buf, kind, sizeof(kind));
	}
	buffer_put_text(&buf, "\n<+1030>-10:30<+11>-11,M10.1.0,M4.1.0\n");
	rc = zone_parse(buf.data, buf.len, "jumping", &zone, &err);
	assert(rc == 0);
	buffer_done(&buf);
	return zone;
}

static void
check_starts(const char *text, struct zone *zone, int64_t after)
{
	struct schedule *schedule = NULL;
	struct error err = ERROR_INIT;
	struct zone_span span;

	if (schedule_parse_in(text, zone, &schedule, &err) != 0) {
		assert(err.code == ERROR_BAD_REQUEST && err.message[0] != '\0');
		return;
	}
	for (int i = 0; i < STARTS && after < CALENDAR_END; i++) {
		int64_t next = schedule_next(schedule, after);

		assert(next > after && next < INT64_MAX);
		zone_span(zone, next, &span);
		assert((next + span.offset) % 60 == 0);
		if (next >= CALENDAR_END)
			break;
		/* Nothing lies between the two. */
		assert(schedule_next(schedule, next - 1) == next);
		assert(schedule_next(schedule, after + (next - after) / 2) == next ||
		    after + (next - after) / 2 < ZONE_FIRST);
		after = next;
	}
	schedule_free(schedule);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct zone *zone = NULL;
	int64_t after = 0;
	char *text;
	int rc;

	if (size < sizeof(after))
		return 0;
	memcpy(&after, data, sizeof(after));
	after %= CALENDAR_END * 2;
	text = mem_printf("%.*s", (int)(size - sizeof(after)), (const char *)data + sizeof(after));
	rc = zone_open("UTC", &zone, &err);
	assert(rc == 0);
	check_starts(text, zone, after);
	zone_free(zone);
	zone = jumping_zone();
	check_starts(text, zone, after);
	zone_free(zone);
	free(text);
	return 0;
}
