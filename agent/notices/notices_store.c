#include "agent/notices/notices_store.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/sql.h"
#include "shared/text.h"

struct notices_store {
	sqlite3 *db;
};

static const char *const schema[] = {
	"CREATE TABLE notices("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" target TEXT NOT NULL, kind TEXT NOT NULL, job TEXT NOT NULL, run TEXT,"
	" text TEXT NOT NULL, document TEXT NOT NULL,"
	" made_ms INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,"
	" next_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0, error TEXT, said TEXT,"
	" merged INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX notices_waiting ON notices(target, next_ms) WHERE state = 'waiting';"
	"CREATE INDEX notices_ended ON notices(ended_ms) WHERE state <> 'waiting'",
};

void
notice_row_done(struct notice_row *row)
{
	free(row->target);
	free(row->kind);
	free(row->job);
	free(row->run);
	free(row->text);
	free(row->document);
	*row = (struct notice_row){ .id = 0 };
}

/* Run a statement without rows, and finalize it. */
static int
finish(sqlite3_stmt *statement, struct error *err)
{
	int rc = sql_step(statement, err);

	sqlite3_finalize(statement);
	return rc < 0 ? -1 : 0;
}

int
notices_store_open(const char *state, struct notices_store **ret, char **ret_aside,
    struct error *err)
{
	struct notices_store *store = MEM_NEW(struct notices_store);
	char *path = mem_printf("%s/notices.sqlite", state);
	int rc = sql_open(path, schema, ARRAY_LEN(schema), &store->db, ret_aside, err);

	if (rc == 0)
		rc = sql_exec(store->db, "UPDATE notices SET next_ms = made_ms"
		    " WHERE state = 'waiting' AND next_ms > made_ms", err);
	free(path);
	if (rc != 0) {
		notices_store_close(store);
		return -1;
	}
	*ret = store;
	return 0;
}

void
notices_store_close(struct notices_store *store)
{
	if (store == NULL)
		return;
	sql_close(store->db);
	free(store);
}

/* ---- adding */

static int
count_of(struct notices_store *store, const char *query, const char *a, const char *b,
    const char *c, uint64_t *ret, struct error *err)
{
	const char *values[] = { a, b, c };
	sqlite3_stmt *statement = NULL;
	int rc;

	if (sql_prepare(store->db, query, &statement, err) != 0)
		return -1;
	for (int i = 0; i < 3 && values[i] != NULL; i++)
		sql_bind_text(statement, i + 1, values[i]);
	rc = sql_step(statement, err);
	if (rc == 1)
		*ret = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc < 0 ? -1 : 0;
}

#define SAME " state = 'waiting' AND target = ?1 AND kind = ?2 AND job = ?3"

/* The oldest of those that say the same goes; the next one says for how many it stands. */
static int
merge(struct notices_store *store, const struct notice_row *row, unsigned same_max,
    struct error *err)
{
	sqlite3_stmt *statement = NULL;
	uint64_t count = 0;

	if (count_of(store, "SELECT count(*) FROM notices WHERE" SAME, row->target, row->kind,
	    row->job, &count, err) != 0)
		return -1;
	if (count <= same_max)
		return 0;
	if (sql_prepare(store->db, "UPDATE notices SET merged = merged + 1 +"
	    " (SELECT merged FROM notices WHERE" SAME " ORDER BY id LIMIT 1)"
	    " WHERE id = (SELECT id FROM notices WHERE" SAME " ORDER BY id LIMIT 1 OFFSET 1)",
	    &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, row->target);
	sql_bind_text(statement, 2, row->kind);
	sql_bind_text(statement, 3, row->job);
	if (finish(statement, err) != 0 || sql_prepare(store->db, "DELETE FROM notices WHERE id ="
	    " (SELECT id FROM notices WHERE" SAME " ORDER BY id LIMIT 1)", &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, row->target);
	sql_bind_text(statement, 2, row->kind);
	sql_bind_text(statement, 3, row->job);
	return finish(statement, err);
}

static int
make_room(struct notices_store *store, const struct notice_row *row, unsigned *ret_dropped,
    struct error *err)
{
	sqlite3_stmt *statement = NULL;

	*ret_dropped = 0;
	if (sql_prepare(store->db, "UPDATE notices SET state = 'given-up', ended_ms = ?2,"
	    " error = 'too many were waiting' WHERE id IN (SELECT id FROM notices"
	    " WHERE state = 'waiting' AND target = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?3)",
	    &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, row->target);
	sqlite3_bind_int64(statement, 2, row->made_ms);
	sqlite3_bind_int64(statement, 3, NOTICE_WAITING_MAX);
	if (finish(statement, err) != 0)
		return -1;
	*ret_dropped = (unsigned)sqlite3_changes(store->db);
	return 0;
}

/* What ended longest ago is forgotten. */
static int
forget(struct notices_store *store, struct error *err)
{
	char *text = mem_printf("DELETE FROM notices WHERE id IN (SELECT id FROM notices"
	    " WHERE state <> 'waiting' ORDER BY ended_ms DESC, id DESC LIMIT -1 OFFSET %d)",
	    NOTICE_ENDED_MAX);
	int rc = sql_exec(store->db, text, err);

	free(text);
	return rc;
}

static int
insert(struct notices_store *store, const struct notice_row *row, const char *state,
    int64_t ended_ms, const char *why, const char *said, struct error *err)
{
	sqlite3_stmt *statement = NULL;

	if (sql_prepare(store->db, "INSERT INTO notices(target, kind, job, run, text, document,"
	    " made_ms, state, tries, next_ms, ended_ms, error, said)"
	    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, row->target);
	sql_bind_text(statement, 2, row->kind);
	sql_bind_text(statement, 3, row->job);
	sql_bind_text(statement, 4, row->run);
	sql_bind_text(statement, 5, row->text);
	sql_bind_text(statement, 6, row->document);
	sqlite3_bind_int64(statement, 7, row->made_ms);
	sql_bind_text(statement, 8, state);
	sqlite3_bind_int64(statement, 9, ended_ms != 0);
	sqlite3_bind_int64(statement, 10, row->next_ms);
	sqlite3_bind_int64(statement, 11, ended_ms);
	sql_bind_text(statement, 12, why);
	sql_bind_text(statement, 13, said);
	return finish(statement, err);
}

static int
commit(struct notices_store *store, int rc, struct error *err)
{
	struct error ignored = ERROR_INIT;

	if (rc == 0 && sql_exec(store->db, "COMMIT", err) == 0)
		return 0;
	sql_exec(store->db, "ROLLBACK", &ignored);
	return -1;
}

int
notices_store_add(struct notices_store *store, const struct notice_row *row,
    unsigned same_max, unsigned *ret_dropped, struct error *err)
{
	int rc;

	if (sql_exec(store->db, "BEGIN IMMEDIATE", err) != 0)
		return -1;
	rc = insert(store, row, "waiting", 0, NULL, NULL, err);
	if (rc == 0)
		rc = merge(store, row, same_max, err);
	if (rc == 0)
		rc = make_room(store, row, ret_dropped, err);
	return commit(store, rc, err);
}

int
notices_store_note(struct notices_store *store, const struct notice_row *row, int64_t now_ms,
    const char *why, const char *said, struct error *err)
{
	int rc;

	if (sql_exec(store->db, "BEGIN IMMEDIATE", err) != 0)
		return -1;
	rc = insert(store, row, why == NULL ? "sent" : "given-up", now_ms, why, said, err);
	if (rc == 0)
		rc = forget(store, err);
	return commit(store, rc, err);
}

/* ---- trying */

static char *
text_column(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text == NULL ? NULL : mem_strdup(text);
}

int
notices_store_due(struct notices_store *store, const char *target, int64_t now_ms,
    struct notice_row *ret, struct error *err)
{
	sqlite3_stmt *row = NULL;
	int rc;

	if (sql_prepare(store->db, "SELECT id, target, kind, job, run, text, document, made_ms,"
	    " next_ms, tries, merged FROM notices WHERE state = 'waiting' AND target = ?1"
	    " AND next_ms <= ?2 ORDER BY id LIMIT 1", &row, err) != 0)
		return -1;
	sql_bind_text(row, 1, target);
	sqlite3_bind_int64(row, 2, now_ms);
	rc = sql_step(row, err);
	if (rc == 1)
		*ret = (struct notice_row){ .id = sqlite3_column_int64(row, 0),
			.target = text_column(row, 1), .kind = text_column(row, 2),
			.job = text_column(row, 3), .run = text_column(row, 4),
			.text = text_column(row, 5), .document = text_column(row, 6),
			.made_ms = sqlite3_column_int64(row, 7),
			.next_ms = sqlite3_column_int64(row, 8),
			.tries = (unsigned)sqlite3_column_int64(row, 9),
			.merged = (unsigned)sqlite3_column_int64(row, 10) };
	sqlite3_finalize(row);
	return rc;
}

int
notices_store_next(struct notices_store *store, const char *target, int64_t *ret_ms,
    struct error *err)
{
	sqlite3_stmt *row = NULL;
	int rc;

	*ret_ms = INT64_MAX;
	if (sql_prepare(store->db, "SELECT next_ms FROM notices WHERE state = 'waiting'"
	    " AND target = ?1 ORDER BY next_ms LIMIT 1", &row, err) != 0)
		return -1;
	sql_bind_text(row, 1, target);
	rc = sql_step(row, err);
	if (rc == 1)
		*ret_ms = sqlite3_column_int64(row, 0);
	sqlite3_finalize(row);
	return rc < 0 ? -1 : 0;
}

int
notices_store_tried(struct notices_store *store, int64_t id, int64_t now_ms, int64_t next_ms,
    const char *why, const char *said, struct error *err)
{
	const char *state = next_ms > 0 ? "waiting" : why == NULL ? "sent" : "given-up";
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	if (sql_exec(store->db, "BEGIN IMMEDIATE", err) != 0)
		return -1;
	if (sql_prepare(store->db, "UPDATE notices SET state = ?2, tries = tries + 1,"
	    " next_ms = iif(?3 > 0, ?3, next_ms), ended_ms = iif(?3 > 0, 0, ?4), error = ?5,"
	    " said = ?6 WHERE id = ?1", &statement, err) == 0) {
		sqlite3_bind_int64(statement, 1, id);
		sql_bind_text(statement, 2, state);
		sqlite3_bind_int64(statement, 3, next_ms);
		sqlite3_bind_int64(statement, 4, now_ms);
		sql_bind_text(statement, 5, why);
		sql_bind_text(statement, 6, said);
		rc = finish(statement, err);
	}
	if (rc == 0 && next_ms == 0)
		rc = forget(store, err);
	return commit(store, rc, err);
}

int
notices_store_keep_targets(struct notices_store *store, const char *const *targets,
    size_t count, int64_t now_ms, unsigned *ret_count, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	json_t *names = json_array();
	char *list;
	int rc = -1;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(names, json_string(targets[i]));
	list = json_dumps(names, JSON_COMPACT);
	if (sql_prepare(store->db, "UPDATE notices SET state = 'given-up', ended_ms = ?1,"
	    " error = 'the configuration has no such notice any more'"
	    " WHERE state = 'waiting' AND target NOT IN (SELECT value FROM json_each(?2))",
	    &statement, err) == 0) {
		sqlite3_bind_int64(statement, 1, now_ms);
		sql_bind_text(statement, 2, list);
		rc = finish(statement, err);
	}
	*ret_count = rc == 0 ? (unsigned)sqlite3_changes(store->db) : 0;
	free(list);
	json_decref(names);
	return rc;
}

/* ---- looking */

static json_t *
time_column(sqlite3_stmt *row, int column)
{
	int64_t ms = sqlite3_column_int64(row, column);
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	char text[TIME_TEXT_SIZE];

	if (ms <= 0)
		return json_null();
	time_format(t, 3, text);
	return json_string(text);
}

static json_t *
row_json(sqlite3_stmt *row)
{
	static const char waiting[] = "waiting";
	const char *state = (const char *)sqlite3_column_text(row, 7);
	bool waits = state != NULL && strcmp(state, waiting) == 0;

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:I}",
	    "id", (json_int_t)sqlite3_column_int64(row, 0), "notice", sql_column_json(row, 1),
	    "kind", sql_column_json(row, 2), "job", sql_column_json(row, 3),
	    "run", sql_column_json(row, 4), "text", sql_column_json(row, 5),
	    "made", time_column(row, 6), "state", sql_column_json(row, 7),
	    "tries", (json_int_t)sqlite3_column_int64(row, 8),
	    "next", waits ? time_column(row, 9) : json_null(), "ended", time_column(row, 10),
	    "error", sql_column_json(row, 11), "said", sql_column_json(row, 12),
	    "merged", (json_int_t)sqlite3_column_int64(row, 13));
}

int
notices_store_list(struct notices_store *store, const char *state, const char *target,
    int64_t before, unsigned limit, json_t **ret, struct error *err)
{
	json_t *list = json_array();
	sqlite3_stmt *row = NULL;
	int rc = -1;

	if (sql_prepare(store->db, "SELECT id, target, kind, nullif(job, ''), run, text, made_ms,"
	    " state, tries, next_ms, ended_ms, error, said, merged FROM notices"
	    " WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR target = ?2)"
	    " AND (?3 = 0 OR id < ?3) ORDER BY id DESC LIMIT ?4", &row, err) == 0) {
		sql_bind_text(row, 1, state);
		sql_bind_text(row, 2, target);
		sqlite3_bind_int64(row, 3, before);
		sqlite3_bind_int64(row, 4, limit);
		while ((rc = sql_step(row, err)) == 1)
			json_array_append_new(list, row_json(row));
		sqlite3_finalize(row);
	}
	if (rc == 0)
		*ret = list;
	else
		json_decref(list);
	return rc;
}

int
notices_store_count(struct notices_store *store, const char *target, uint64_t *ret,
    struct error *err)
{
	return count_of(store, target == NULL
	    ? "SELECT count(*) FROM notices WHERE state = 'waiting'"
	    : "SELECT count(*) FROM notices WHERE state = 'waiting' AND target = ?1", target, NULL,
	    NULL, ret, err);
}
