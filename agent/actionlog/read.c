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

static const struct {
	const char *name;
	bool is_number;
} columns[ACTIONLOG_COLUMN_COUNT] = {
#define _(word, name, number) { name, number },
	ACTIONLOG_COLUMNS(_)
#undef _
};

/* Most texts are: then they need no closer look, which would cost more than all the rest. */
static bool
is_plain(const char *text, size_t len)
{
	uint64_t word, high = 0;

	if (memchr(text, '\0', len) != NULL)
		return false;
	for (; len >= sizeof(word); text += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		high |= word;
	}
	for (; len > 0; text++, len--)
		high |= (uint8_t)*text;
	return (high & 0x8080808080808080u) == 0;
}

/* A row's cells; `safe` takes texts that had to be changed, for row_done(). */
struct row {
	struct actionlog_cell cells[ACTIONLOG_COLUMN_COUNT];
	char *safe[ACTIONLOG_COLUMN_COUNT];
};

static void
take_text(struct row *row, int i, sqlite3_stmt *statement)
{
	struct actionlog_cell *cell = &row->cells[i];

	cell->text = (const char *)sqlite3_column_text(statement, i);
	if (cell->text == NULL)
		return;
	cell->len = (size_t)sqlite3_column_bytes(statement, i);
	if (is_plain(cell->text, cell->len) || (text_is_utf8(cell->text, cell->len) &&
	    memchr(cell->text, '\0', cell->len) == NULL))
		return;
	/* Rows that others wrote may hold any bytes. */
	cell->text = row->safe[i] = text_printable(cell->text, cell->len);
	cell->len = strlen(cell->text);
}

static void
row_take(struct row *row, sqlite3_stmt *statement, const char *agent)
{
	memset(row, 0, sizeof(*row));
	for (int i = 0; i < ACTIONLOG_COLUMN_COUNT; i++) {
		if (columns[i].is_number)
			row->cells[i].number = sqlite3_column_int64(statement, i);
		else
			take_text(row, i, statement);
	}
	if (row->cells[ACTIONLOG_AGENT].text == NULL)
		row->cells[ACTIONLOG_AGENT] = (struct actionlog_cell){ .text = agent,
			.len = strlen(agent) };
}

static void
row_done(struct row *row)
{
	for (size_t i = 0; i < ACTIONLOG_COLUMN_COUNT; i++)
		free(row->safe[i]);
}

static json_t *
cells_json(const struct actionlog_cell *cells)
{
	json_t *json = json_object();

	for (size_t i = 0; i < ACTIONLOG_COLUMN_COUNT; i++) {
		const struct actionlog_cell *cell = &cells[i];

		json_object_set_new(json, columns[i].name, columns[i].is_number
		    ? json_integer(cell->number) : cell->text == NULL ? json_null()
		    : json_stringn(cell->text, cell->len));
	}
	return json;
}

json_t *
log_row_json(sqlite3_stmt *statement, const char *agent)
{
	struct row row;
	json_t *json;

	row_take(&row, statement, agent);
	json = cells_json(row.cells);
	row_done(&row);
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

/* A walk through the rows of a filter. */
struct walk {
	struct actionlog *log;
	const struct actionlog_reader *reader;
	sqlite3_stmt *page;
	int64_t from, last; /* ids that are still to be looked at */
	uint64_t left;      /* rows that are still wanted */
};

/*
 * Rows of one window of ids; caller holds db_lock.  Moves on to the window's end, or behind the
 * last row if there may be more in it.
 */
static int
read_window(struct walk *walk, struct error *err)
{
	int64_t to = walk->last - walk->from < WINDOW ? walk->last : walk->from + WINDOW - 1;
	uint64_t want = walk->left < ACTIONLOG_PAGE ? walk->left : ACTIONLOG_PAGE, got = 0;
	int64_t id = 0;
	struct row row;
	int rc;

	sqlite3_bind_int64(walk->page, 6, walk->from);
	sqlite3_bind_int64(walk->page, 7, to);
	sqlite3_bind_int64(walk->page, 8, (int64_t)want);
	while ((rc = sql_step(walk->page, err)) == 1) {
		row_take(&row, walk->page, walk->log->agent);
		walk->reader->row(walk->reader->arg, row.cells);
		id = row.cells[ACTIONLOG_ID].number;
		row_done(&row);
		got++;
	}
	sqlite3_reset(walk->page);
	walk->left -= got;
	if (got == want)
		to = id;
	/* No id is that large, but a limit may be. */
	walk->from = to == INT64_MAX ? to : to + 1;
	if (to == walk->last)
		walk->left = 0;
	return rc;
}

/* All windows, with a pause after each; caller holds db_lock. */
static int
walk_rows(struct walk *walk, struct error *err)
{
	int rc = 0;

	if (walk->from > walk->last)
		walk->left = 0;
	do {
		if (walk->left > 0)
			rc = read_window(walk, err);
		/* Let a writer in.  The connection stays: only close and damage end it, and a
		 * damaged file is closed with its statements still open. */
		pthread_mutex_unlock(&walk->log->db_lock);
		if (rc == 0)
			rc = walk->reader->pause(walk->reader->arg, err);
		pthread_mutex_lock(&walk->log->db_lock);
	} while (rc == 0 && walk->left > 0);
	return rc;
}

int
actionlog_each(struct actionlog *log, const struct actionlog_filter *filter,
    const struct actionlog_reader *reader, struct error *err)
{
	struct walk walk = { .log = log, .reader = reader };
	struct log_range range;
	char *query, *pattern;
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
	if (log_id_bounds(log, filter, &range, &walk.from, &walk.last, err) != 0 ||
	    sql_prepare(log->db, query, &walk.page, err) != 0)
		goto out;
	bind_filter(walk.page, filter, &range, pattern);
	walk.left = filter->limit == 0 ? UINT64_MAX : filter->limit;
	if (filter->after >= (uint64_t)walk.last)
		walk.left = 0;
	else if ((int64_t)filter->after >= walk.from)
		walk.from = (int64_t)filter->after + 1;
	rc = walk_rows(&walk, err);
out:
	sqlite3_finalize(walk.page);
	pthread_mutex_unlock(&log->db_lock);
	free(query);
	free(pattern);
	return rc;
}

static void
append_row(void *arg, const struct actionlog_cell *cells)
{
	json_array_append_new(arg, cells_json(cells));
}

static int
go_on(void *arg, struct error *err)
{
	(void)arg;
	(void)err;
	return 0;
}

int
actionlog_read(struct actionlog *log, const struct actionlog_filter *filter, json_t **ret_array,
    struct error *err)
{
	struct actionlog_filter page = *filter;
	json_t *rows = json_array();
	const struct actionlog_reader reader = { append_row, go_on, rows };

	if (page.limit == 0 || page.limit > ACTIONLOG_PAGE)
		page.limit = ACTIONLOG_PAGE;
	if (actionlog_each(log, &page, &reader, err) != 0) {
		json_decref(rows);
		return -1;
	}
	*ret_array = rows;
	return 0;
}
