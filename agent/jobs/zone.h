/*
 * Time zones: how far local time is ahead of UTC at any instant, and when that changes.
 *
 * Read from the system's zone files (TZif, RFC 8536, version 2 or later), as the C library's TZ
 * holds for the whole process and its threads.  A zone does not change after it was read: an update
 * of tzdata is seen by what is opened afterwards.  Files that count leap seconds ("right/...") are
 * refused, since the clock of the system does not.
 *
 * A zone is shared by counting, from any threads; a struct zones belongs to one thread at a time.
 */
#ifndef HOLDFAST_AGENT_JOBS_ZONE_H
#define HOLDFAST_AGENT_JOBS_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/jobs/zone_rule.h"
#include "shared/error.h"

/* What is no path of the machine and no setting: where Debian's tzdata has its files. */
#define ZONE_FOLDER "/usr/share/zoneinfo"
#define ZONE_OF_MACHINE "/etc/localtime"

struct zone;

/*
 * The zone of that name, as "Europe/Berlin"; NULL means the machine's own, /etc/localtime, or UTC
 * where there is no such file.  "UTC" is known without any file.
 * Errors: ERROR_BAD_REQUEST, naming the zone, if there is none of that name; ERROR_CORRUPT if its
 * file is damaged; ERROR_IO, ERROR_PERMISSION.
 */
int zone_open(const char *name, struct zone **ret, struct error *err);
/* The same from the bytes of a file; what: names it in messages. */
int zone_parse(const void *data, size_t len, const char *what, struct zone **ret,
    struct error *err);
/* One more owner, who calls zone_free too. */
struct zone *zone_share(struct zone *zone);
void zone_free(struct zone *zone);

/* The span that holds at; what is before ZONE_FIRST or behind ZONE_LAST counts as these. */
void zone_span(const struct zone *zone, int64_t at, struct zone_span *ret);

/* Zones by name, each read once: thousands of jobs have a few zones. */
struct zones;
struct zones *zones_new(void);
void zones_free(struct zones *zones);
/* As zone_open; lends, until zones_free. */
int zones_get(struct zones *zones, const char *name, struct zone **ret, struct error *err);

#endif
