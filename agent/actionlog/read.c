#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/actionlog/actionlog_internal.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/sql.h"
#include "shared/text.h"

/*
 * So many ids are looked at before the lock is given back: a search through a million rows then
 * holds a writer up for some ten milliseconds at most.
 */
#define WINDOW 20000

static bool
is_open(struct timespec t)
{
	return t.tv_sec == 0 && t.tv_nsec == 0;
}

void
log_range_set(struct log_range *range, const struct actionlog_filter *filter)
{
	struct timespec start = filter->start;
	char when[TIME_TEXT_SIZE];

	range->start[0] = range->end[0] = '\0';
	if (!is_open(start)) {
		/* Rows have milliseconds: the first one that is not before start. */
		start.tv_nsec = (start.tv_nsec + 999999) / 1000000 * 1000000;
		if (start.tv_nsec >= 1000000000) {
			start.tv_nsec = 0;
			start.tv_sec++;
		}
		time_format(start, 3, when);
		snprintf(range->start, sizeof(range->start), "%.24s", when);
	}
	if (!is_open(filter->end)) {
		time_format(filter->end, 3, when);
		snprintf(range->end, sizeof(range->end), "%.24s", when);
	}
}

json_t *
log_row_json(sqlite3_stmt *row, const char *agent)
{
	/* As LOG_COLUMNS; texts first, numbers from duration_ms on. */
	static const char *const names[] = { "id", "date", "action", "command", "parameter",
		"status", "agent", "outcome", "run", "snapshot", "origin", "message", "duration_ms",
		"files", "bytes", "stored_bytes" };
	enum { AGENT = 6, FIRST_NUMBER = 12 };
	json_t *json = json_object();

	for (int i = 0; i < (int)ARRAY_LEN(names); i++) {
		json_t *value;

		if (i == 0 || i >= FIRST_NUMBER)
			value = json_integer(sqlite3_column_int64(row, i));
		else if (i == AGENT && sqlite3_column_type(row, i) == SQLITE_NULL)
			value = json_string(agent);
		else
			value = sql_column_json(row, i);
		json_object_set_new(json, names[i], value);
	}
	return json;
}

/* "%q%" with q's own wildcards taken literally. */
static char *
like_pattern(const char *q)
{
	struct buffer text = BUFFER_INIT;

	buffer_put_text(&text, "%");
	for (; *q != '\0'; q++) {
		if (strchr("%_\\", *q) != NULL)
			buffer_put_u8(&text, '\\');
		buffer_put_u8(&text, (uint8_t)*q);
	}
	buffer_put_text(&text, "%");
	return buffer_take(&text);
}

static bool
is_set(const char *text)
{
	return text != NULL && *text != '\0';
}

/* ?1 start ?2 end ?3 action ?4 status ?5 pattern, bound as far as the filter has them. */
static void
bind_filter(sqlite3_stmt *statement, const struct actionlog_filter *filter,
    const struct log_range *range, const char *pattern)
{
	if (range->start[0] != '\0')
		sql_bind_text(statement, 1, range->start);
	if (range->end[0] != '\0')
		sql_bind_text(statement, 2, range->end);
	if (is_set(filter->action))
		sql_bind_text(statement, 3, filter->action);
	if (is_set(filter->status))
		sql_bind_text(statement, 4, filter->status);
	if (pattern != NULL)
		sql_bind_text(statement, 5, pattern);
}

int
log_id_bounds(struct actionlog *log, const struct actionlog_filter *filter,
    const struct log_range *range, int64_t *ret_first, int64_t *ret_last, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	/* The parameters that a shorter query does not have keep their numbers. */
	if (sql_prepare(log->db,
		"SELECT coalesce(min(first_id), 1), coalesce(max(last_id), 0)"
		" FROM daily WHERE (?1 IS NULL OR day >= substr(?1, 1, 10))"
		" AND (?2 IS NULL OR day <= substr(?2, 1, 10))"
		" AND (?3 IS NULL OR action = ?3) AND (?4 IS NULL OR status = ?4)",
		&statement, err) != 0)
		return -1;
	bind_filter(statement, filter, range, NULL);
	if (sql_step(statement, err) == 1) {
		*ret_first = sqlite3_column_int64(statement, 0);
		*ret_last = sqlite3_column_int64(statement, 1);
		rc = 0;
	}
	sqlite3_finalize(statement);
	return rc;
}

static char *
page_query(const struct actionlog_filter *filter, const struct log_range *range)
{
	struct buffer text = BUFFER_INIT;

	/* "+date": rows come in the order of ids, so the index by date would only make a sort. */
	buffer_put_text(&text, "SELECT " LOG_COLUMNS " FROM log WHERE id BETWEEN ?6 AND ?7");
	if (range->start[0] != '\0')
		buffer_put_text(&text, " AND +date >= ?1");
	if (range->end[0] != '\0')
		buffer_put_text(&text, " AND +date <= ?2");
	if (is_set(filter->action))
		buffer_put_text(&text, " AND action = ?3");
	if (is_set(filter->status))
		buffer_put_text(&text, " AND status = ?4");
	if (is_set(filter->q))
		buffer_put_text(&text, " AND (parameter LIKE ?5 ESCAPE '\\'"
		    " OR command LIKE ?5 ESCAPE '\\' OR message LIKE ?5 ESCAPE '\\')");
	buffer_put_text(&text, " ORDER BY id LIMIT ?8");
	return buffer_take(&text);
}

/* Rows of one window of ids; caller holds db_lock. */
static int
read_window(struct actionlog *log, sqlite3_stmt *page, int64_t from, int64_t to, size_t want,
    json_t *rows, struct error *err)
{
	int rc;

	sqlite3_bind_int64(page, 6, from);
	sqlite3_bind_int64(page, 7, to);
	sqlite3_bind_int64(page, 8, (int64_t)want);
	while ((rc = sql_step(page, err)) == 1)
		json_array_append_new(rows, log_row_json(page, log->agent));
	sqlite3_reset(page);
	return rc;
}

int
actionlog_read(struct actionlog *log, const struct actionlog_filter *filter, json_t **ret_array,
    struct error *err)
{
	size_t want = filter->limit == 0 || filter->limit > ACTIONLOG_PAGE ? ACTIONLOG_PAGE
	    : (size_t)filter->limit;
	int64_t from = 1, last = 0, after;
	sqlite3_stmt *page = NULL;
	json_t *rows = json_array();
	struct log_range range;
	char *query = NULL, *pattern = NULL;
	int rc = -1;

	actionlog_take_spool(log);
	log_range_set(&range, filter);
	query = page_query(filter, &range);
	pattern = is_set(filter->q) ? like_pattern(filter->q) : NULL;
	pthread_mutex_lock(&log->db_lock);
	if (log->db == NULL) {
		error_set(err, ERROR_UNAVAILABLE, "the log '%s' is not open", log->path);
		goto out;
	}
	if (log_id_bounds(log, filter, &range, &from, &last, err) != 0 ||
	    sql_prepare(log->db, query, &page, err) != 0)
		goto out;
	bind_filter(page, filter, &range, pattern);
	after = filter->after >= INT64_MAX ? INT64_MAX - 1 : (int64_t)filter->after;
	if (after >= from)
		from = after + 1;
	for (; from <= last && json_array_size(rows) < want; from += WINDOW) {
		int64_t to = last - from < WINDOW ? last : from + WINDOW - 1;

		if (read_window(log, page, from, to, want - json_array_size(rows), rows, err) != 0)
			goto out;
		if (to == last)
			break;
		/* Let a writer in.  The connection stays: only close and damage end it, and a
		 * damaged file is closed with its statements still open. */
		pthread_mutex_unlock(&log->db_lock);
		pthread_mutex_lock(&log->db_lock);
	}
	*ret_array = rows;
	rows = NULL;
	rc = 0;
out:
	sqlite3_finalize(page);
	pthread_mutex_unlock(&log->db_lock);
	json_decref(rows);
	free(query);
	free(pattern);
	return rc;
}
