/*
 * Shipping: the journal's side.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/actionlog/ship_internal.h"
#include "shared/mem.h"
#include "shared/sql.h"
#include "shared/text.h"

/* What the central table's columns hold, in characters (bytes where that is less). */
static const size_t text_max[SHIP_TEXT_COUNT] = {
	[SHIP_DATE] = LOG_DATE_SIZE, [SHIP_ACTION] = 255, [SHIP_PARAMETER] = 60000,
	[SHIP_STATUS] = 16, [SHIP_AGENT] = 255, [SHIP_COMMAND] = 60000, [SHIP_OUTCOME] = 16,
	[SHIP_RUN] = 64, [SHIP_SNAPSHOT] = 64, [SHIP_ORIGIN] = 60000, [SHIP_MESSAGE] = 60000,
};

void
ship_batch_init(struct ship_batch *batch)
{
	*batch = (struct ship_batch){ .count = 0 };
	for (int i = 0; i < SHIP_TEXT_COUNT; i++) {
		batch->offsets[i] = mem_calloc(SHIP_ROWS, sizeof(size_t));
		batch->lengths[i] = mem_calloc(SHIP_ROWS, sizeof(unsigned long));
	}
	for (int i = 0; i < SHIP_NUMBER_COUNT; i++)
		batch->numbers[i] = mem_calloc(SHIP_ROWS, sizeof(int64_t));
}

void
ship_batch_done(struct ship_batch *batch)
{
	buffer_done(&batch->bytes);
	for (int i = 0; i < SHIP_TEXT_COUNT; i++) {
		free(batch->offsets[i]);
		free(batch->lengths[i]);
	}
	for (int i = 0; i < SHIP_NUMBER_COUNT; i++)
		free(batch->numbers[i]);
}

const char *
ship_batch_text(const struct ship_batch *batch, enum ship_text column, size_t row)
{
	size_t offset = batch->offsets[column][row];

	return offset == SIZE_MAX ? NULL : (const char *)batch->bytes.data + offset;
}

static int
not_open(struct actionlog *log, struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE, "the log '%s' is not open", log->path);
}

int
ship_journal_read(struct actionlog *log, struct ship_journal *ret, struct error *err)
{
	sqlite3_stmt *row = NULL;
	int rc;

	pthread_mutex_lock(&log->db_lock);
	rc = log->db == NULL ? not_open(log, err) : sql_prepare(log->db,
	    "SELECT journal, shipped, (SELECT coalesce(max(id), 0) FROM log) FROM ship", &row, err);
	if (rc == 0 && (rc = sql_step(row, err)) == 1) {
		snprintf(ret->id, sizeof(ret->id), "%s",
		    (const char *)sqlite3_column_text(row, 0));
		ret->shipped = (uint64_t)sqlite3_column_int64(row, 1);
		ret->newest = (uint64_t)sqlite3_column_int64(row, 2);
		rc = 0;
	} else if (rc == 0) {
		rc = error_set(err, ERROR_CORRUPT, "the log '%s' has no identity", log->path);
	}
	sqlite3_finalize(row);
	pthread_mutex_unlock(&log->db_lock);
	return rc;
}

/* One statement with one number. */
static int
change(struct actionlog *log, const char *text, uint64_t value, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc;

	pthread_mutex_lock(&log->db_lock);
	rc = log->db == NULL ? not_open(log, err) : sql_prepare(log->db, text, &statement, err);
	if (rc == 0) {
		sqlite3_bind_int64(statement, 1, (int64_t)value);
		rc = sql_step(statement, err);
	}
	sqlite3_finalize(statement);
	pthread_mutex_unlock(&log->db_lock);
	return rc < 0 ? -1 : 0;
}

int
ship_journal_note(struct actionlog *log, uint64_t shipped, struct error *err)
{
	return change(log, "UPDATE ship SET shipped = ?1", shipped, err);
}

int
ship_journal_renew(struct actionlog *log, char ret_id[33], struct error *err)
{
	struct ship_journal journal;

	if (change(log, "UPDATE ship SET journal = lower(hex(randomblob(16))) WHERE one = ?1", 1,
		err) != 0 || ship_journal_read(log, &journal, err) != 0)
		return -1;
	snprintf(ret_id, 33, "%s", journal.id);
	return 0;
}

/* The first max characters at most; a character is not cut in two. */
static size_t
cut(const char *text, size_t len, size_t max)
{
	size_t characters = 0, i = len > max ? max : len;

	/* Counting bytes is enough for the long ones. */
	if (max >= 60000) {
		while (i < len && ((unsigned char)text[i] & 0xc0) == 0x80)
			i--;
		return i;
	}
	for (i = 0; i < len; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80 && ++characters > max)
			break;
	return i;
}

/* Rows that others wrote into the file may hold anything. */
static void
put_text(struct ship_batch *batch, enum ship_text column, const char *text, size_t len)
{
	char *shown = NULL, *at;

	if (text == NULL) {
		batch->offsets[column][batch->count] = SIZE_MAX;
		batch->lengths[column][batch->count] = 0;
		return;
	}
	if (!text_is_utf8(text, len) || memchr(text, '\0', len) != NULL) {
		text = shown = text_printable(text, len);
		len = strlen(shown);
	}
	len = cut(text, len, text_max[column]);
	batch->offsets[column][batch->count] = batch->bytes.len;
	batch->lengths[column][batch->count] = len;
	buffer_put(&batch->bytes, text, len);
	buffer_put_u8(&batch->bytes, 0);
	/* "2026-11-21T23:05:00.123Z" as MariaDB writes it. */
	at = (char *)batch->bytes.data + batch->offsets[column][batch->count];
	if (column == SHIP_DATE && len == 24) {
		at[10] = ' ';
		at[23] = '\0';
		batch->lengths[column][batch->count] = 23;
	}
	free(shown);
}

static void
put_row(struct actionlog *log, struct ship_batch *batch, sqlite3_stmt *row)
{
	for (int i = 0; i < SHIP_TEXT_COUNT; i++) {
		const char *text = (const char *)sqlite3_column_text(row, i);
		size_t len = (size_t)sqlite3_column_bytes(row, i);

		if (i == SHIP_AGENT && text == NULL) {
			text = log->agent;
			len = strlen(text);
		}
		put_text(batch, (enum ship_text)i, text, len);
	}
	for (int i = 0; i < SHIP_NUMBER_COUNT; i++) {
		int64_t number = sqlite3_column_int64(row, SHIP_TEXT_COUNT + i);

		batch->numbers[i][batch->count] = number < 0 ? 0 : number;
	}
	batch->count++;
}

int
ship_journal_rows(struct actionlog *log, uint64_t after, unsigned most,
    struct ship_batch *batch, struct error *err)
{
	sqlite3_stmt *row = NULL;
	int rc;

	batch->count = 0;
	buffer_clear(&batch->bytes);
	pthread_mutex_lock(&log->db_lock);
	/* The columns stand in the order of enum ship_text and enum ship_number. */
	rc = log->db == NULL ? not_open(log, err) : sql_prepare(log->db,
	    "SELECT date, action, parameter, status, agent, command, outcome, run, snapshot,"
	    " origin, message, id, duration_ms, files, bytes, stored_bytes"
	    " FROM log WHERE id > ?1 ORDER BY id LIMIT ?2", &row, err);
	if (rc == 0) {
		sqlite3_bind_int64(row, 1, (int64_t)after);
		sqlite3_bind_int64(row, 2, most);
		while (batch->count < most && batch->bytes.len < SHIP_BYTES &&
		    (rc = sql_step(row, err)) == 1)
			put_row(log, batch, row);
	}
	sqlite3_finalize(row);
	pthread_mutex_unlock(&log->db_lock);
	return rc < 0 ? -1 : 0;
}

static int
expire(struct actionlog *log, const char *before, uint64_t upto, unsigned max,
    unsigned *ret_removed, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	/* The sums of days stay: the trigger that subtracts looks at keep_sums. */
	if (sql_exec(log->db, "BEGIN IMMEDIATE; UPDATE ship SET keep_sums = 1", err) != 0 ||
	    sql_prepare(log->db, "DELETE FROM log WHERE id IN (SELECT id FROM log"
	    " WHERE date < ?1 AND id <= ?2 LIMIT ?3)", &statement, err) != 0)
		goto out;
	sql_bind_text(statement, 1, before);
	sqlite3_bind_int64(statement, 2, (int64_t)upto);
	sqlite3_bind_int64(statement, 3, max);
	if (sql_step(statement, err) < 0)
		goto out;
	*ret_removed = (unsigned)sqlite3_changes(log->db);
	rc = sql_exec(log->db, "UPDATE ship SET keep_sums = 0; COMMIT", err);
out:
	sqlite3_finalize(statement);
	if (!sqlite3_get_autocommit(log->db))
		sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int
ship_journal_expire(struct actionlog *log, const char *before, uint64_t upto, unsigned max,
    unsigned *ret_removed, struct error *err)
{
	int rc;

	pthread_mutex_lock(&log->db_lock);
	rc = log->db == NULL ? not_open(log, err) :
	    expire(log, before, upto, max, ret_removed, err);
	pthread_mutex_unlock(&log->db_lock);
	return rc;
}
