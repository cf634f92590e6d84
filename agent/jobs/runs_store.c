#include "agent/jobs/runs_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent/jobs/arguments.h"
#include "agent/jobs/runs_store_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

static const char *const schema[] = {
	"CREATE TABLE runs("
	" number INTEGER PRIMARY KEY AUTOINCREMENT,"
	" id TEXT NOT NULL UNIQUE,"
	" kind TEXT NOT NULL,"
	" state TEXT NOT NULL,"
	" arguments TEXT NOT NULL,"
	" command TEXT, origin TEXT,"
	" queued TEXT NOT NULL, started TEXT, finished TEXT,"
	" snapshot TEXT, error TEXT, losses TEXT, notes TEXT, result TEXT,"
	" loss_total INTEGER NOT NULL DEFAULT 0, note_total INTEGER NOT NULL DEFAULT 0,"
	" duration_ms INTEGER NOT NULL DEFAULT 0, files INTEGER NOT NULL DEFAULT 0,"
	" bytes INTEGER NOT NULL DEFAULT 0, stored_bytes INTEGER NOT NULL DEFAULT 0,"
	" logged INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX runs_kind ON runs(kind);"
	"CREATE INDEX runs_state ON runs(state);"
	"CREATE INDEX runs_unlogged ON runs(number) WHERE logged = 0;"
	"CREATE TABLE keys("
	" key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, run TEXT NOT NULL,"
	" created INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX keys_created ON keys(created);"
	"CREATE TABLE probe(id INTEGER PRIMARY KEY, at INTEGER)",

	/* Few runs are a job's; the newest of one is asked for often. */
	"ALTER TABLE runs ADD COLUMN job TEXT;"
	"CREATE INDEX runs_job ON runs(job, number) WHERE job IS NOT NULL",

	/* What is known of each job (agent/jobs/jobs_store.h), and what of its runs it is made
	 * from.  Only backups that store something are runs of a job. */
	"ALTER TABLE runs ADD COLUMN added_bytes INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE runs ADD COLUMN changed_files INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE runs ADD COLUMN jumped INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE runs ADD COLUMN told INTEGER NOT NULL DEFAULT 0;"
	"UPDATE runs SET job = NULL WHERE kind <> 'backup'"
	" OR coalesce(json_extract(arguments, '$.dry_run'), 0);"
	"UPDATE runs SET"
	" added_bytes = coalesce(json_extract(result, '$.added_bytes'), 0),"
	" changed_files = coalesce(json_extract(result, '$.new_files'), 0)"
	" + coalesce(json_extract(result, '$.changed_files'), 0)"
	" WHERE job IS NOT NULL AND result IS NOT NULL;"
	"CREATE INDEX runs_untold ON runs(number) WHERE job IS NOT NULL AND told = 0;"
	"CREATE INDEX runs_good ON runs(job, number)"
	" WHERE job IS NOT NULL AND state IN ('ok', 'warn');"
	"CREATE TABLE jobs("
	" name TEXT PRIMARY KEY, schedule TEXT, next_ms INTEGER NOT NULL,"
	" armed_ms INTEGER NOT NULL, known_ms INTEGER NOT NULL,"
	" held INTEGER NOT NULL, skip_next INTEGER NOT NULL, held_ms INTEGER NOT NULL,"
	" held_reason TEXT, held_by TEXT, skip_by TEXT,"
	" retries INTEGER NOT NULL, retry_ms INTEGER NOT NULL, overdue INTEGER NOT NULL,"
	" last_run TEXT NOT NULL, last_outcome TEXT NOT NULL, last_started_ms INTEGER NOT NULL,"
	" last_finished_ms INTEGER NOT NULL, last_success_ms INTEGER NOT NULL,"
	" last_duration_ms INTEGER NOT NULL, last_files INTEGER NOT NULL,"
	" last_bytes INTEGER NOT NULL, last_added_bytes INTEGER NOT NULL, jump TEXT,"
	" proof_ms INTEGER NOT NULL, proof_outcome TEXT NOT NULL,"
	" usual_from INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",

	/* Test restores by schedule. */
	"ALTER TABLE jobs ADD COLUMN prove_schedule TEXT;"
	"ALTER TABLE jobs ADD COLUMN prove_next_ms INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX runs_unproven ON runs(number) WHERE kind = 'prove' AND told = 0",
};

int
runs_store_open(const char *state_folder, struct runs_store **ret, char **ret_notice,
    struct error *err)
{
	struct runs_store *store = MEM_NEW(struct runs_store);
	char *path = mem_printf("%s/state.sqlite", state_folder), *aside = NULL;
	int rc;

	*ret_notice = NULL;
	store->folder = mem_strdup(state_folder);
	pthread_mutex_init(&store->lock, NULL);
	rc = sql_open(path, schema, ARRAY_LEN(schema), &store->db, &aside, err);
	if (rc == 0) {
		if (aside != NULL)
			*ret_notice = mem_printf(
			    "the runs in '%s' were damaged: they were set aside as '%s' "
			    "and a new list begun",
			    path, aside);
		*ret = store;
		store = NULL;
	}
	runs_store_close(store);
	free(aside);
	free(path);
	return rc;
}

void
runs_store_close(struct runs_store *store)
{
	if (store == NULL)
		return;
	sql_close(store->db);
	pthread_mutex_destroy(&store->lock);
	free(store->folder);
	free(store);
}

static char *
compact(const json_t *json)
{
	return json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS |
	    JSON_ENCODE_ANY);
}

int
runs_store_finish(sqlite3_stmt *statement, struct error *err)
{
	int rc = sql_step(statement, err);

	sqlite3_finalize(statement);
	return rc < 0 ? -1 : 0;
}

/* Caller holds the lock.  1 found, 0 not. */
static int
find_key(struct runs_store *store, const char *key, const char *fingerprint,
    char ret_id[RUN_ID_TEXT_SIZE], struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc;

	if (sql_prepare(store->db, "SELECT run, fingerprint FROM keys WHERE key = ?1"
	    " AND created > ?2", &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, key);
	sqlite3_bind_int64(statement, 2, time_now().tv_sec - RUN_KEY_TTL_S);
	rc = sql_step(statement, err);
	if (rc == 1) {
		if (strcmp((const char *)sqlite3_column_text(statement, 1), fingerprint) != 0) {
			rc = error_set(err, ERROR_CONFLICT,
			    "this idempotency key was used for another request");
			error_hint(err, "use a new key for each new request");
		} else {
			snprintf(ret_id, RUN_ID_TEXT_SIZE, "%s",
			    (const char *)sqlite3_column_text(statement, 0));
		}
	}
	sqlite3_finalize(statement);
	return rc;
}

const char *
run_job(enum run_kind kind, const json_t *arguments)
{
	/* Prune and others name a job too, and are no runs of it. */
	if (kind != RUN_BACKUP || argument_bool(arguments, "dry_run", false))
		return NULL;
	return argument_text(arguments, "job");
}

int
runs_store_insert(struct runs_store *store, const struct run_row *row, const char *state,
    const json_t *error, struct error *err)
{
	char *arguments = compact(row->arguments), *why = compact(error);
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	/* One that ended before it began did so at the moment it was queued. */
	if (sql_prepare(store->db, "INSERT INTO runs(id, kind, state, arguments, command, origin,"
	    " queued, job, error, finished) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
	    " iif(?3 = 'queued', NULL, ?7))", &statement, err) == 0) {
		sql_bind_text(statement, 1, row->id);
		sql_bind_text(statement, 2, run_kind_word(row->kind));
		sql_bind_text(statement, 3, state);
		sql_bind_text(statement, 4, arguments);
		sql_bind_text(statement, 5, row->command);
		sql_bind_text(statement, 6, row->origin);
		sql_bind_text(statement, 7, row->queued);
		sql_bind_text(statement, 8, run_job(row->kind, row->arguments));
		sql_bind_text(statement, 9, why);
		rc = runs_store_finish(statement, err);
	}
	free(why);
	free(arguments);
	return rc;
}

static int
insert_key(struct runs_store *store, const char *key, const char *fingerprint, const char *run,
    struct error *err)
{
	int64_t now = time_now().tv_sec;
	sqlite3_stmt *statement = NULL;

	if (sql_prepare(store->db, "DELETE FROM keys WHERE created <= ?", &statement, err) != 0)
		return -1;
	sqlite3_bind_int64(statement, 1, now - RUN_KEY_TTL_S);
	if (runs_store_finish(statement, err) != 0)
		return -1;
	if (sql_prepare(store->db, "INSERT INTO keys VALUES(?, ?, ?, ?)", &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, key);
	sql_bind_text(statement, 2, fingerprint);
	sql_bind_text(statement, 3, run);
	sqlite3_bind_int64(statement, 4, now);
	return runs_store_finish(statement, err);
}

int
runs_store_add(struct runs_store *store, const struct run_row *row, const char *key,
    const char *fingerprint, char ret_id[RUN_ID_TEXT_SIZE], struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	/* Run and key appear together, so that a repeated request finds both or neither. */
	if (sql_exec(store->db, "BEGIN IMMEDIATE", err) != 0) {
		rc = -1;
		goto out;
	}
	rc = key == NULL ? 0 : find_key(store, key, fingerprint, ret_id, err);
	if (rc == 0) {
		rc = runs_store_insert(store, row, "queued", NULL, err);
		if (rc == 0 && key != NULL)
			rc = insert_key(store, key, fingerprint, row->id, err);
		if (rc == 0)
			snprintf(ret_id, RUN_ID_TEXT_SIZE, "%s", row->id);
	}
	if (rc == 0 && sql_exec(store->db, "COMMIT", err) != 0)
		rc = -1;
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
out:
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
runs_store_find_key(struct runs_store *store, const char *key, const char *fingerprint,
    char ret_id[RUN_ID_TEXT_SIZE], struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = find_key(store, key, fingerprint, ret_id, err);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
runs_store_state(struct runs_store *store, const char *id, const char *state,
    const char *started, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	pthread_mutex_lock(&store->lock);
	/* A run may end while it is being paused: its outcome stays. */
	if (sql_prepare(store->db, "UPDATE runs SET state = ?2, started = coalesce(started, ?3)"
	    " WHERE id = ?1 AND finished IS NULL", &statement, err) == 0) {
		sql_bind_text(statement, 1, id);
		sql_bind_text(statement, 2, state);
		sql_bind_text(statement, 3, started);
		rc = runs_store_finish(statement, err);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

static int64_t
figure(const json_t *result, const char *name)
{
	return json_integer_value(json_object_get(result, name));
}

/* Caller holds the lock. */
static int
end_run(struct runs_store *store, const char *id, const struct run_end *end, struct error *err)
{
	char *texts[] = { compact(end->error), compact(end->losses), compact(end->notes),
		compact(end->result) };
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	if (sql_prepare(store->db, "UPDATE runs SET state = ?2, finished = ?3, duration_ms = ?4,"
	    " snapshot = ?5, error = ?6, losses = ?7, notes = ?8, result = ?9, loss_total = ?10,"
	    " note_total = ?11, files = ?12, bytes = ?13, stored_bytes = ?14,"
	    " added_bytes = ?15, changed_files = ?16, jumped = ?17 WHERE id = ?1",
	    &statement, err) == 0) {
		sql_bind_text(statement, 1, id);
		sql_bind_text(statement, 2, end->outcome);
		sql_bind_text(statement, 3, end->finished);
		sqlite3_bind_int64(statement, 4, end->duration_ms);
		sql_bind_text(statement, 5, end->snapshot);
		for (size_t i = 0; i < ARRAY_LEN(texts); i++)
			sql_bind_text(statement, 6 + (int)i, texts[i]);
		sqlite3_bind_int64(statement, 10, (int64_t)end->loss_total);
		sqlite3_bind_int64(statement, 11, (int64_t)end->note_total);
		sqlite3_bind_int64(statement, 12, (int64_t)end->files);
		sqlite3_bind_int64(statement, 13, (int64_t)end->bytes);
		sqlite3_bind_int64(statement, 14, (int64_t)end->stored_bytes);
		sqlite3_bind_int64(statement, 15, figure(end->result, "added_bytes"));
		sqlite3_bind_int64(statement, 16, figure(end->result, "new_files") +
		    figure(end->result, "changed_files"));
		sqlite3_bind_int64(statement, 17,
		    json_array_size(json_object_get(end->result, "jumps")) > 0);
		rc = runs_store_finish(statement, err);
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	return rc;
}

int
runs_store_end(struct runs_store *store, const char *id, const struct run_end *end,
    struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = end_run(store, id, end, err);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* Caller holds the lock. */
static int
add_past(struct runs_store *store, const struct run_past *run, struct error *err)
{
	sqlite3_stmt *statement = NULL;

	if (runs_store_insert(store, &run->row, "queued", NULL, err) != 0 ||
	    end_run(store, run->row.id, &run->end, err) != 0 ||
	    sql_prepare(store->db, "UPDATE runs SET started = queued, logged = 1, told = 1"
	    " WHERE id = ?", &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, run->row.id);
	return runs_store_finish(statement, err);
}

int
runs_store_add_past(struct runs_store *store, const struct run_past *runs, size_t count,
    struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = sql_exec(store->db, "BEGIN IMMEDIATE", err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_past(store, &runs[i], err);
	if (rc == 0)
		rc = sql_exec(store->db, "COMMIT", err);
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
runs_store_logged(struct runs_store *store, const char *id, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	pthread_mutex_lock(&store->lock);
	if (sql_prepare(store->db, "UPDATE runs SET logged = 1 WHERE id = ?", &statement,
	    err) == 0) {
		sql_bind_text(statement, 1, id);
		rc = runs_store_finish(statement, err);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
runs_store_find(struct runs_store *store, const char *prefix, char ret_id[RUN_ID_TEXT_SIZE],
    struct error *err)
{
	size_t len = strlen(prefix);
	sqlite3_stmt *statement = NULL;
	unsigned found = 0;
	int rc = 0;

	if (len < 4 || len >= RUN_ID_TEXT_SIZE || strspn(prefix, "0123456789abcdef") != len) {
		error_set(err, ERROR_NOT_FOUND, "no run '%.40s'", prefix);
		return error_hint(
		    err, "a run's id is 32 hexadecimal digits, or the first 4 or more");
	}
	pthread_mutex_lock(&store->lock);
	/* 'g' is the first character behind all digits. */
	if (sql_prepare(store->db, "SELECT id FROM runs WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2",
	    &statement, err) != 0) {
		pthread_mutex_unlock(&store->lock);
		return -1;
	}
	sql_bind_text(statement, 1, prefix);
	while ((rc = sql_step(statement, err)) == 1) {
		if (found++ == 0)
			snprintf(ret_id, RUN_ID_TEXT_SIZE, "%s",
			    (const char *)sqlite3_column_text(statement, 0));
	}
	sqlite3_finalize(statement);
	pthread_mutex_unlock(&store->lock);
	if (rc != 0)
		return -1;
	if (found == 0) {
		error_set(err, ERROR_NOT_FOUND, "no run '%.40s'", prefix);
		return error_hint(err, "GET /v1/runs lists them");
	}
	if (found > 1) {
		error_set(err, ERROR_AMBIGUOUS, "more than one run begins with '%.40s'", prefix);
		return error_hint(err, "write more digits of the id");
	}
	return 0;
}

#define RUN_COLUMNS "number, id, kind, state, arguments, command, origin, queued, started," \
	" finished, snapshot, error, losses, notes, result, loss_total, note_total, duration_ms," \
	" files, bytes, stored_bytes"

static json_t *
column_parsed(sqlite3_stmt *row, int column, const char *absent)
{
	const char *text = (const char *)sqlite3_column_text(row, column);
	json_t *json = json_loads(text == NULL ? absent : text, JSON_DECODE_ANY, NULL);

	return json == NULL ? json_null() : json;
}

static bool
is_outcome(const char *state)
{
	return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0 &&
	    strcmp(state, "paused") != 0;
}

static json_t *
row_json(sqlite3_stmt *row, bool brief)
{
	const char *state = (const char *)sqlite3_column_text(row, 3);
	json_t *run = json_object();

	json_object_set_new(run, "id", sql_column_json(row, 1));
	json_object_set_new(run, "kind", sql_column_json(row, 2));
	json_object_set_new(run, "state", sql_column_json(row, 3));
	json_object_set_new(run, "outcome", is_outcome(state) ? json_string(state) : json_null());
	json_object_set_new(run, "arguments", column_parsed(row, 4, "{}"));
	json_object_set_new(run, "command", sql_column_json(row, 5));
	json_object_set_new(run, "origin", sql_column_json(row, 6));
	json_object_set_new(run, "queued", sql_column_json(row, 7));
	json_object_set_new(run, "started", sql_column_json(row, 8));
	json_object_set_new(run, "finished", sql_column_json(row, 9));
	json_object_set_new(run, "snapshot", sql_column_json(row, 10));
	json_object_set_new(run, "error", column_parsed(row, 11, "null"));
	json_object_set_new(run, "progress", json_null());
	json_object_set_new(run, "loss_total", json_integer(sqlite3_column_int64(row, 15)));
	json_object_set_new(run, "note_total", json_integer(sqlite3_column_int64(row, 16)));
	if (!brief) {
		json_object_set_new(run, "losses", column_parsed(row, 12, "[]"));
		json_object_set_new(run, "notes", column_parsed(row, 13, "[]"));
		json_object_set_new(run, "result", column_parsed(row, 14, "null"));
	}
	return run;
}

/* The one run that a statement gives, with one text bound to it: 1 and the run, 0, -1. */
static int
get_one(struct runs_store *store, const char *query, const char *text, bool brief, json_t **ret,
    struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = -1;

	pthread_mutex_lock(&store->lock);
	if (sql_prepare(store->db, query, &statement, err) == 0) {
		sql_bind_text(statement, 1, text);
		rc = sql_step(statement, err);
		if (rc == 1)
			*ret = row_json(statement, brief);
		sqlite3_finalize(statement);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
runs_store_get(struct runs_store *store, const char *id, json_t **ret, struct error *err)
{
	int rc = get_one(
	    store, "SELECT " RUN_COLUMNS " FROM runs WHERE id = ?", id, false, ret, err);

	if (rc == 0)
		return error_set(err, ERROR_NOT_FOUND, "no run '%.40s'", id);
	return rc < 0 ? -1 : 0;
}

int
runs_store_last_of_job(struct runs_store *store, const char *job, json_t **ret,
    struct error *err)
{
	return get_one(store, "SELECT " RUN_COLUMNS " FROM runs WHERE job = ?"
	    " ORDER BY number DESC LIMIT 1", job, true, ret, err);
}

static int
parse_cursor(const char *cursor, int64_t *ret, struct error *err)
{
	char *end;

	*ret = INT64_MAX;
	if (cursor == NULL)
		return 0;
	if (*cursor < '0' || *cursor > '9' || strlen(cursor) > 18)
		goto wrong;
	*ret = strtoll(cursor, &end, 10);
	if (*end == '\0')
		return 0;
wrong:
	error_set(err, ERROR_BAD_REQUEST, "'%.40s' is no cursor", cursor);
	return error_hint(err, "take the \"next\" of the page before");
}

int
runs_store_list(struct runs_store *store, const char *kind, const char *state,
    const char *cursor, unsigned limit, json_t **ret, struct error *err)
{
	json_t *list = json_array(), *next = NULL;
	sqlite3_stmt *statement = NULL;
	int64_t below = 0, number = 0;
	char *query = NULL, text[24];
	int rc = -1;

	if (parse_cursor(cursor, &below, err) != 0)
		goto out;
	query = mem_printf("SELECT " RUN_COLUMNS " FROM runs WHERE number < ?1%s%s"
	    " ORDER BY number DESC LIMIT ?4", kind == NULL ? "" : " AND kind = ?2",
	    state == NULL ? "" : " AND state = ?3");
	pthread_mutex_lock(&store->lock);
	rc = sql_prepare(store->db, query, &statement, err);
	if (rc == 0) {
		sqlite3_bind_int64(statement, 1, below);
		if (kind != NULL)
			sql_bind_text(statement, 2, kind);
		if (state != NULL)
			sql_bind_text(statement, 3, state);
		/* One more than wanted tells whether there is a next page. */
		sqlite3_bind_int64(statement, 4, (int64_t)limit + 1);
		while ((rc = sql_step(statement, err)) == 1) {
			if (json_array_size(list) == limit) {
				snprintf(text, sizeof(text), "%lld", (long long)number);
				next = json_string(text);
				rc = 0;
				break;
			}
			number = sqlite3_column_int64(statement, 0);
			json_array_append_new(list, row_json(statement, true));
		}
		sqlite3_finalize(statement);
	}
	pthread_mutex_unlock(&store->lock);
	if (rc == 0)
		*ret = json_pack("{s:O, s:o}", "runs", list, "next",
		    next == NULL ? json_null() : next);
out:
	free(query);
	json_decref(list);
	return rc;
}

int
runs_store_select(struct runs_store *store, const char *condition, const char *text,
    json_t **ret, struct error *err)
{
	char *query = mem_printf("SELECT " RUN_COLUMNS " FROM runs WHERE %s ORDER BY number",
	    condition);
	sqlite3_stmt *row = NULL;
	json_t *list = json_array();
	int rc = -1;

	if (sql_prepare(store->db, query, &row, err) == 0) {
		if (text != NULL)
			sql_bind_text(row, 1, text);
		while ((rc = sql_step(row, err)) == 1) {
			json_t *run = row_json(row, false);

			json_object_set_new(run, "duration_ms",
			    json_integer(sqlite3_column_int64(row, 17)));
			json_object_set_new(
			    run, "files", json_integer(sqlite3_column_int64(row, 18)));
			json_object_set_new(
			    run, "bytes", json_integer(sqlite3_column_int64(row, 19)));
			json_object_set_new(run, "stored_bytes",
			    json_integer(sqlite3_column_int64(row, 20)));
			json_array_append_new(list, run);
		}
		sqlite3_finalize(row);
	}
	free(query);
	if (rc == 0)
		*ret = list;
	else
		json_decref(list);
	return rc;
}

int
runs_store_unlogged(struct runs_store *store, json_t **ret, struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = runs_store_select(store, "logged = 0", NULL, ret, err);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* A commit needs some pages of log, and the log of actions as much again. */
#define SPACE_LEAST (1 << 20)

int
runs_store_try(struct runs_store *store, struct error *err)
{
	struct statvfs fs;
	int rc;

	/* What is taken back leaves nothing, and reaches no disk: the space is asked for apart. */
	pthread_mutex_lock(&store->lock);
	rc = sql_exec(store->db, "BEGIN IMMEDIATE; INSERT OR REPLACE INTO probe VALUES(1, 0);"
	    " ROLLBACK", err);
	if (rc != 0 && !sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	pthread_mutex_unlock(&store->lock);
	if (rc != 0)
		return -1;
	if (statvfs(store->folder, &fs) != 0)
		return error_sys(err, ERROR_IO, errno, "could not look at '%s'", store->folder);
	if ((uint64_t)fs.f_bavail * fs.f_frsize >= SPACE_LEAST)
		return 0;
	error_set(err, ERROR_NO_SPACE, "the disk of the state folder '%s' is full", store->folder);
	return error_hint(err, "free some space: no run can be recorded there");
}
