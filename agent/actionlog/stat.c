#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/actionlog/actionlog_internal.h"
#include "shared/mem.h"
#include "shared/sql.h"

#define DAY_LENGTH 10 /* "2026-11-21" */

/*
 * Which days count whole, from their sums, and which rows of the first and last day are added
 * one by one.  Texts are compared as the database does; "" is open.
 */
struct stat_range {
	char first_day[DAY_LENGTH + 1], last_day[DAY_LENGTH + 1]; /* whole days, inclusive */
	char rows_from[2][LOG_DATE_SIZE], rows_to[2][LOG_DATE_SIZE]; /* parts of days */
	int row_ranges;
};

static bool
same_day(const char *a, const char *b)
{
	return strncmp(a, b, DAY_LENGTH) == 0;
}

static void
add_rows(struct stat_range *split, const char *from, const char *to)
{
	snprintf(split->rows_from[split->row_ranges], LOG_DATE_SIZE, "%s", from);
	snprintf(split->rows_to[split->row_ranges], LOG_DATE_SIZE, "%s", to);
	split->row_ranges++;
}

/* The day's first and last moment, as far as rows can tell. */
static void
day_start(const char *date, char out[LOG_DATE_SIZE])
{
	snprintf(out, LOG_DATE_SIZE, "%.10sT00:00:00.000Z", date);
}

static void
day_end(const char *date, char out[LOG_DATE_SIZE])
{
	snprintf(out, LOG_DATE_SIZE, "%.10sT23:59:59.999Z", date);
}

/*
 * Example: 2026-11-01T12:00 to 2026-11-03T06:00 is the rows of the 1st from noon, the sum of the
 * 2nd, and the rows of the 3rd until six.  Whole days are those strictly between the parts:
 * the comparisons in the query are "day > first" and "day < last" where a part was cut off.
 */
static void
split_range(const struct log_range *range, struct stat_range *split, bool *ret_after_first,
    bool *ret_before_last)
{
	char edge[LOG_DATE_SIZE];
	bool part_first, part_last;

	memset(split, 0, sizeof(*split));
	snprintf(split->first_day, sizeof(split->first_day), "%.10s", range->start);
	snprintf(split->last_day, sizeof(split->last_day), "%.10s", range->end);
	day_start(range->start, edge);
	part_first = range->start[0] != '\0' && strcmp(range->start, edge) != 0;
	day_end(range->end, edge);
	part_last = range->end[0] != '\0' && strcmp(range->end, edge) != 0;
	*ret_after_first = part_first;
	*ret_before_last = part_last;
	if (range->start[0] != '\0' && range->end[0] != '\0' &&
	    same_day(range->start, range->end) && (part_first || part_last)) {
		/* Within one day: no whole day remains, as day > first and < last (or = it). */
		*ret_after_first = *ret_before_last = true;
		add_rows(split, range->start, range->end);
		return;
	}
	if (part_first) {
		day_end(range->start, edge);
		add_rows(split, range->start, edge);
	}
	if (part_last) {
		day_start(range->end, edge);
		add_rows(split, edge, range->end);
	}
}

struct sums {
	int64_t successful, failed, backups_ok, backups_failed;
	int64_t files, bytes, stored_bytes;
	json_t *actions;
};

static void
add_action(struct sums *sums, const char *action, bool ok, int64_t count)
{
	json_t *entry = json_object_get(sums->actions, action);
	const char *key = ok ? "successful" : "failed";

	if (entry == NULL) {
		entry = json_pack("{s:i, s:i}", "successful", 0, "failed", 0);
		/* A name that is no UTF-8 cannot be a key; it is in the totals. */
		if (json_object_set_new(sums->actions, action, entry) != 0)
			return;
	}
	json_integer_set(json_object_get(entry, key),
	    json_integer_value(json_object_get(entry, key)) + count);
}

/* action, status, count, files, bytes, stored_bytes */
static int
add_query(struct actionlog *log, const struct actionlog_filter *filter, const char *text,
    const char *from, const char *to, struct sums *sums, struct error *err)
{
	sqlite3_stmt *row = NULL;
	int rc;

	if (sql_prepare(log->db, text, &row, err) != 0)
		return -1;
	sql_bind_text(row, 1, *from == '\0' ? NULL : from);
	sql_bind_text(row, 2, *to == '\0' ? NULL : to);
	sql_bind_text(row, 3, filter->action != NULL && *filter->action != '\0' ? filter->action
	    : NULL);
	sql_bind_text(row, 4, filter->status != NULL && *filter->status != '\0' ? filter->status
	    : NULL);
	while ((rc = sql_step(row, err)) == 1) {
		const char *action = (const char *)sqlite3_column_text(row, 0);
		const char *status = (const char *)sqlite3_column_text(row, 1);
		int64_t count = sqlite3_column_int64(row, 2);
		bool ok = status != NULL && strcmp(status, "SUCCESS") == 0;

		if (action == NULL || count == 0)
			continue;
		*(ok ? &sums->successful : &sums->failed) += count;
		add_action(sums, action, ok, count);
		if (strcmp(action, "Backup") != 0)
			continue;
		*(ok ? &sums->backups_ok : &sums->backups_failed) += count;
		sums->files += sqlite3_column_int64(row, 3);
		sums->bytes += sqlite3_column_int64(row, 4);
		sums->stored_bytes += sqlite3_column_int64(row, 5);
	}
	sqlite3_finalize(row);
	return rc;
}

static int
add_days(struct actionlog *log, const struct actionlog_filter *filter,
    const struct stat_range *split, bool after_first, bool before_last, struct sums *sums,
    struct error *err)
{
	char *text = mem_printf("SELECT action, status, sum(actions), sum(files), sum(bytes),"
	    " sum(stored_bytes) FROM daily"
	    " WHERE (?1 IS NULL OR day %s ?1) AND (?2 IS NULL OR day %s ?2)"
	    " AND (?3 IS NULL OR action = ?3) AND (?4 IS NULL OR status = ?4)"
	    " GROUP BY action, status", after_first ? ">" : ">=", before_last ? "<" : "<=");
	int rc = add_query(log, filter, text, split->first_day, split->last_day, sums, err);

	free(text);
	return rc;
}

/* The newest backup of the range that succeeded: an index holds just these. */
static int
last_backup(struct actionlog *log, const struct actionlog_filter *filter,
    const struct log_range *range, json_t **ret, struct error *err)
{
	struct actionlog_filter backups = { .start = filter->start, .end = filter->end,
		.action = "Backup", .status = "SUCCESS" };
	sqlite3_stmt *row = NULL;
	int64_t first, last;
	int rc;

	if (log_id_bounds(log, &backups, range, &first, &last, err) != 0 ||
	    sql_prepare(log->db,
		"SELECT " LOG_COLUMNS " FROM log INDEXED BY log_backups"
		" WHERE action = 'Backup' AND status = 'SUCCESS' AND id BETWEEN ?1 AND ?2 AND (?3 "
		"IS NULL OR +date >= ?3)"
		" AND (?4 IS NULL OR +date <= ?4) ORDER BY id DESC LIMIT 1",
		&row, err) != 0)
		return -1;
	sqlite3_bind_int64(row, 1, first);
	sqlite3_bind_int64(row, 2, last);
	sql_bind_text(row, 3, range->start[0] == '\0' ? NULL : range->start);
	sql_bind_text(row, 4, range->end[0] == '\0' ? NULL : range->end);
	rc = sql_step(row, err);
	if (rc >= 0)
		*ret = rc == 1 ? log_row_json(row, log->agent) : json_null();
	sqlite3_finalize(row);
	return rc < 0 ? -1 : 0;
}

static int
collect(struct actionlog *log, const struct actionlog_filter *filter, struct sums *sums,
    json_t **ret_last, struct error *err)
{
	struct stat_range split;
	struct log_range range;
	bool after_first, before_last;

	log_range_set(&range, filter);
	split_range(&range, &split, &after_first, &before_last);
	if (add_days(log, filter, &split, after_first, before_last, sums, err) != 0)
		return -1;
	for (int i = 0; i < split.row_ranges; i++) {
		if (add_query(log, filter,
			"SELECT action, status, count(*), sum(files), sum(bytes),"
			" sum(stored_bytes) FROM log WHERE date BETWEEN ?1 AND ?2"
			" AND (?3 IS NULL OR +action = ?3) AND (?4 IS NULL OR +status = ?4)"
			" GROUP BY action, status",
			split.rows_from[i], split.rows_to[i], sums, err) != 0)
			return -1;
	}
	return last_backup(log, filter, &range, ret_last, err);
}

int
actionlog_stat(struct actionlog *log, const struct actionlog_filter *filter, json_t **ret,
    struct error *err)
{
	struct sums sums = { .actions = json_object() };
	json_t *last = NULL;
	int rc;

	actionlog_take_spool(log);
	pthread_mutex_lock(&log->db_lock);
	if (log->db == NULL)
		rc = error_set(err, ERROR_UNAVAILABLE, "the log '%s' is not open", log->path);
	else
		rc = collect(log, filter, &sums, &last, err);
	pthread_mutex_unlock(&log->db_lock);
	if (rc == 0)
		*ret = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O, s:O}",
		    "number-of-backups", (json_int_t)(sums.backups_ok + sums.backups_failed),
		    "successful-operations", (json_int_t)sums.successful,
		    "failed-operations", (json_int_t)sums.failed,
		    "operations", (json_int_t)(sums.successful + sums.failed),
		    "successful-backups", (json_int_t)sums.backups_ok,
		    "failed-backups", (json_int_t)sums.backups_failed,
		    "files", (json_int_t)sums.files, "bytes", (json_int_t)sums.bytes,
		    "stored-bytes", (json_int_t)sums.stored_bytes,
		    "actions", sums.actions, "last-backup", last);
	json_decref(sums.actions);
	json_decref(last);
	return rc;
}
