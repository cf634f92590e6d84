/*
 * What the files of the action log share.
 *
 * Writers queue up under queue_lock; the first of them writes all that is waiting in one
 * transaction, under db_lock.  Readers take db_lock for one window of rows at a time, so that a
 * long search holds no writer up.  Order: queue_lock is never held while db_lock is waited for.
 */
#ifndef HOLDFAST_AGENT_ACTIONLOG_INTERNAL_H
#define HOLDFAST_AGENT_ACTIONLOG_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "agent/actionlog/actionlog.h"

#define LOG_DATE_SIZE 25 /* "2026-11-21T23:05:00.123Z" and a NUL */

/* One waiting row. */
struct log_write {
	const struct action *action;
	const char *spool; /* name of the spool file it comes from, or NULL */
	uint64_t id;
	bool done;
	struct error err;
	struct log_write *next;
};

struct actionlog {
	char *folder;   /* the state folder */
	char *path;     /* of log.sqlite */
	char *agent;
	char *notice;
	int lock_fd;    /* STATE/log.lock, held */

	pthread_mutex_t queue_lock;
	pthread_cond_t written;
	struct log_write *first, **last;
	bool writing;   /* a thread writes what is queued */
	uint64_t newest; /* the highest id that was written since, for shipping */

	pthread_mutex_t db_lock;
	sqlite3 *db;
	sqlite3_stmt *insert;

	pthread_mutex_t spool_lock;
	struct timespec spool_seen; /* mtime of the spool folder when it was last empty */
};

extern const char *const actionlog_schema[];
extern const size_t actionlog_schema_count;

/* Rows of a filter's range as text dates; "" where open. */
struct log_range {
	char start[LOG_DATE_SIZE], end[LOG_DATE_SIZE];
};
void log_range_set(struct log_range *range, const struct actionlog_filter *filter);
/*
 * The ids between which all rows of a filter lie, from the sums of the days: without them each
 * page of a range would walk through everything before it.  Caller holds db_lock.
 */
int log_id_bounds(struct actionlog *log, const struct actionlog_filter *filter,
    const struct log_range *range, int64_t *ret_first, int64_t *ret_last, struct error *err);
/* The present row of a query for LOG_COLUMNS; `agent` is for rows that name none. */
json_t *log_row_json(sqlite3_stmt *row, const char *agent);
/* As ACTIONLOG_COLUMNS. */
#define LOG_COLUMNS "id, date, action, command, parameter, status, agent, outcome, run, " \
	"snapshot, origin, message, duration_ms, files, bytes, stored_bytes"

int actionlog_write_from(struct actionlog *log, const struct action *action, const char *spool,
    uint64_t *ret_id, struct error *err);
/* Take what commands left in STATE/log.spool/.  Cheap when there is nothing. */
void actionlog_take_spool(struct actionlog *log);

#endif
