/*
 * The rule of a time zone for all years, as POSIX writes it in TZ: "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 * It is what stands at the end of a zone's file (RFC 8536, 3.3) and holds from the last change of
 * the file's table on.  Hours of -167 to 167 are taken (RFC 8536, 3.3.1), and a "summer time" that
 * is behind the standard time, as Dublin's in winter.
 */
#ifndef HOLDFAST_AGENT_JOBS_ZONE_RULE_H
#define HOLDFAST_AGENT_JOBS_ZONE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

/* Times of which a zone knows anything; far enough from the ends of an int64_t to add to them. */
#define ZONE_FIRST (-(INT64_C(1) << 59))
#define ZONE_LAST (INT64_C(1) << 59)

/* Local time is UTC + offset from `from` up to, not including, `until`. */
struct zone_span {
	int64_t from, until; /* unix seconds; ZONE_FIRST and ZONE_LAST: since ever, for ever */
	int32_t offset;      /* seconds, east of Greenwich positive */
};

/* The day and time of day, local until then, on which a year's change falls. */
struct zone_rule_change {
	enum { ZONE_RULE_JULIAN, ZONE_RULE_DAY, ZONE_RULE_WEEKDAY } kind;
	int day;   /* 1..365 without 29 February; 0..365 with it; 0..6, Sunday first */
	int month; /* ZONE_RULE_WEEKDAY: 1..12 */
	int week;  /* ZONE_RULE_WEEKDAY: 1..5, the last is 5 */
	int32_t seconds;
};

struct zone_rule {
	int32_t standard;
	bool has_summer;
	int32_t summer;
	struct zone_rule_change start, end; /* of the summer time */
};

/* ERROR_CORRUPT, quoting the text, for what is no such rule. */
int zone_rule_parse(const char *text, size_t len, struct zone_rule *ret, struct error *err);

/* The span that holds at, which is ZONE_FIRST or later and before ZONE_LAST. */
void zone_rule_span(const struct zone_rule *rule, int64_t at, struct zone_span *ret);

#endif
