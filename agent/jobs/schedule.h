/*
 * When a job starts: the five fields of cron, or a word, in a time zone.
 *
 *	minute 0-59   hour 0-23   day of month 1-31   month 1-12   day of week 0-7
 *	@hourly  @daily or @midnight  @weekly  @monthly  @yearly or @annually
 *
 * A field is a list of items with commas: "*", a value, a range "a-b"; a star or a range may be
 * followed by a step, "/n".  Months and days of the week may be written by their first three
 * letters; 0 and 7 both are Sunday, and a range of days may end in "sun".  If both day fields are
 * restricted, which is to say that neither starts with a star, a day is taken that either names;
 * else both must name it.  All that is as in Vixie's cron.
 *
 * Where local time jumps, nothing is started twice and nothing never:
 * - A schedule is *fixed* if neither minute nor hour starts with a star.  It goes by a clock that
 *   is never put back: a time that local time skips starts at the end of the gap, once for all that
 *   lie in the gap; a time that comes twice starts at its first.
 * - Any other repeats all the time, every so many minutes or hours, and goes by elapsed time: it
 *   starts in both of the doubled hours.
 * - Of these, one whose hour starts with a star has no starts in a gap, as its next one comes soon;
 *   one with fixed hours ("*" + "/15 2 * * *") has one at the end of the gap.
 * schedule_parse() decides that, and schedule_next() alone goes by it.
 *
 * A schedule does not change and may be used by any threads.
 */
#ifndef HOLDFAST_AGENT_JOBS_SCHEDULE_H
#define HOLDFAST_AGENT_JOBS_SCHEDULE_H

#include <stdint.h>

#include "agent/jobs/zone.h"
#include "shared/error.h"

struct schedule;

/*
 *   text  as above
 *   zone  "UTC", "Europe/Berlin"; NULL is the machine's own (/etc/localtime; TZ is not looked at)
 * Errors: ERROR_BAD_REQUEST for text that is wrong, naming the field and what is wrong with it, for
 * what can never fire ("30 2 31 2 *") and for an unknown zone; others as of zone_open().
 */
int schedule_parse(const char *text, const char *zone, struct schedule **ret, struct error *err);
/*
 * The same in a zone that is open already; the schedule becomes one more owner of it.  For many
 * schedules, with zones_get().
 */
int schedule_parse_in(const char *text, struct zone *zone, struct schedule **ret,
    struct error *err);
void schedule_free(struct schedule *schedule);

/*
 * The first instant (unix seconds, UTC) strictly after this one; there always is one, but
 * INT64_MAX if after is beyond the year 9999.  Cost: less than a microsecond; a few for what starts
 * once in many years.
 */
int64_t schedule_next(const struct schedule *schedule, int64_t after);

/*
 * By how many seconds a job's starts are delayed, 0..bound_s, so that a fleet does not start all at
 * once: a hash of both names, the same in every run of the program and on every machine.  A bound
 * of 0 or less gives 0.  The start after an instant is then
 *	schedule_next(schedule, after - jitter) + jitter
 */
int64_t schedule_jitter(const char *job, const char *host, int64_t bound_s);

#endif
