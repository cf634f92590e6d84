#include "agent/jobs/jobs_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/jobs/runs_store_internal.h"
#include "shared/mem.h"

/* The columns of a row, in the order of bind_row() and read_row(). */
#define JOB_COLUMNS "name, schedule, next_ms, armed_ms, known_ms, held, skip_next, held_ms," \
	" held_reason, held_by, skip_by, retries, retry_ms, overdue, last_run, last_outcome," \
	" last_started_ms, last_finished_ms, last_success_ms, last_duration_ms, last_files," \
	" last_bytes, last_added_bytes, jump, proof_ms, proof_outcome, prove_schedule," \
	" prove_next_ms"

/* One whose end could not be written yet is told when it is. */
#define TOLD "UPDATE runs SET told = 1 WHERE id = ?1 AND finished IS NOT NULL"

void
job_row_done(struct job_row *row)
{
	free(row->schedule);
	free(row->held_reason);
	free(row->held_by);
	free(row->skip_by);
	free(row->jump);
	free(row->prove_schedule);
}

static char *
column_text(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text == NULL ? NULL : mem_strdup(text);
}

static void
column_copy(sqlite3_stmt *row, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	snprintf(out, size, "%s", text == NULL ? "" : text);
}

static void
read_row(sqlite3_stmt *from, struct job_row *row)
{
	memset(row, 0, sizeof(*row));
	column_copy(from, 0, row->name, sizeof(row->name));
	row->schedule = column_text(from, 1);
	row->next_ms = sqlite3_column_int64(from, 2);
	row->armed_ms = sqlite3_column_int64(from, 3);
	row->known_ms = sqlite3_column_int64(from, 4);
	row->held = sqlite3_column_int64(from, 5) != 0;
	row->skip_next = sqlite3_column_int64(from, 6) != 0;
	row->held_ms = sqlite3_column_int64(from, 7);
	row->held_reason = column_text(from, 8);
	row->held_by = column_text(from, 9);
	row->skip_by = column_text(from, 10);
	row->retries = sqlite3_column_int64(from, 11);
	row->retry_ms = sqlite3_column_int64(from, 12);
	row->overdue = sqlite3_column_int64(from, 13) != 0;
	column_copy(from, 14, row->last_run, sizeof(row->last_run));
	column_copy(from, 15, row->last_outcome, sizeof(row->last_outcome));
	row->last_started_ms = sqlite3_column_int64(from, 16);
	row->last_finished_ms = sqlite3_column_int64(from, 17);
	row->last_success_ms = sqlite3_column_int64(from, 18);
	row->last_duration_ms = sqlite3_column_int64(from, 19);
	row->last_files = sqlite3_column_int64(from, 20);
	row->last_bytes = sqlite3_column_int64(from, 21);
	row->last_added_bytes = sqlite3_column_int64(from, 22);
	row->jump = column_text(from, 23);
	row->proof_ms = sqlite3_column_int64(from, 24);
	column_copy(from, 25, row->proof_outcome, sizeof(row->proof_outcome));
	row->prove_schedule = column_text(from, 26);
	row->prove_next_ms = sqlite3_column_int64(from, 27);
}

static void
bind_row(sqlite3_stmt *to, const struct job_row *row)
{
	sql_bind_text(to, 1, row->name);
	sql_bind_text(to, 2, row->schedule);
	sqlite3_bind_int64(to, 3, row->next_ms);
	sqlite3_bind_int64(to, 4, row->armed_ms);
	sqlite3_bind_int64(to, 5, row->known_ms);
	sqlite3_bind_int64(to, 6, row->held);
	sqlite3_bind_int64(to, 7, row->skip_next);
	sqlite3_bind_int64(to, 8, row->held_ms);
	sql_bind_text(to, 9, row->held_reason);
	sql_bind_text(to, 10, row->held_by);
	sql_bind_text(to, 11, row->skip_by);
	sqlite3_bind_int64(to, 12, row->retries);
	sqlite3_bind_int64(to, 13, row->retry_ms);
	sqlite3_bind_int64(to, 14, row->overdue);
	sql_bind_text(to, 15, row->last_run);
	sql_bind_text(to, 16, row->last_outcome);
	sqlite3_bind_int64(to, 17, row->last_started_ms);
	sqlite3_bind_int64(to, 18, row->last_finished_ms);
	sqlite3_bind_int64(to, 19, row->last_success_ms);
	sqlite3_bind_int64(to, 20, row->last_duration_ms);
	sqlite3_bind_int64(to, 21, row->last_files);
	sqlite3_bind_int64(to, 22, row->last_bytes);
	sqlite3_bind_int64(to, 23, row->last_added_bytes);
	sql_bind_text(to, 24, row->jump);
	sqlite3_bind_int64(to, 25, row->proof_ms);
	sql_bind_text(to, 26, row->proof_outcome);
	sql_bind_text(to, 27, row->prove_schedule);
	sqlite3_bind_int64(to, 28, row->prove_next_ms);
}

/* Those that a condition selects ("" for all), by name. */
static int
load_rows(sqlite3 *db, const char *condition, struct job_row **ret, size_t *ret_count,
    struct error *err)
{
	char *query = mem_printf("SELECT " JOB_COLUMNS " FROM jobs %s ORDER BY name", condition);
	struct job_row *rows = NULL;
	sqlite3_stmt *statement = NULL;
	size_t count = 0, cap = 0;
	int rc = sql_prepare(db, query, &statement, err);

	while (rc == 0 && (rc = sql_step(statement, err)) == 1) {
		MEM_GROW(rows, count, cap);
		read_row(statement, &rows[count++]);
		rc = 0;
	}
	sqlite3_finalize(statement);
	free(query);
	if (rc == 0) {
		*ret = rows;
		*ret_count = count;
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		job_row_done(&rows[i]);
	free(rows);
	return -1;
}

int
jobs_store_load(struct runs_store *store, struct job_row **ret, size_t *ret_count,
    struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = load_rows(store->db, "", ret, ret_count, err);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* Whether the database is new enough to know of jobs: 1 or 0, -1. */
static int
knows_jobs(sqlite3 *db, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc;

	if (sql_prepare(db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'jobs'",
	    &statement, err) != 0)
		return -1;
	rc = sql_step(statement, err);
	sqlite3_finalize(statement);
	return rc;
}

/* Besides an agent: a connection that only reads makes no checkpoint, so it cannot do harm. */
static int
peek(const char *state_folder, const char *condition, struct job_row **ret, size_t *ret_count,
    struct error *err)
{
	char *path = mem_printf("%s/state.sqlite", state_folder);
	sqlite3 *db = NULL;
	int rc = 0;

	*ret = NULL;
	*ret_count = 0;
	if (access(path, F_OK) != 0)
		goto out;
	rc = sql_open_reading(path, &db, err);
	if (rc == 0)
		rc = knows_jobs(db, err);
	if (rc == 1)
		rc = load_rows(db, condition, ret, ret_count, err);
	sql_close(db);
out:
	free(path);
	return rc;
}

int
jobs_store_peek(const char *state_folder, struct job_row **ret, size_t *ret_count,
    struct error *err)
{
	return peek(state_folder, "", ret, ret_count, err);
}

/* Caller holds the lock, and finalizes the statement. */
static int
prepare_save(struct runs_store *store, sqlite3_stmt **ret, struct error *err)
{
	/* The other columns of a row that is there stay. */
	return sql_prepare(store->db, "INSERT INTO jobs(" JOB_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5,"
	    " ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,"
	    " ?23, ?24, ?25, ?26, ?27, ?28)"
	    " ON CONFLICT(name) DO UPDATE SET schedule = ?2, next_ms = ?3,"
	    " armed_ms = ?4, known_ms = ?5, held = ?6, skip_next = ?7, held_ms = ?8,"
	    " held_reason = ?9, held_by = ?10, skip_by = ?11, retries = ?12, retry_ms = ?13,"
	    " overdue = ?14, last_run = ?15, last_outcome = ?16, last_started_ms = ?17,"
	    " last_finished_ms = ?18, last_success_ms = ?19, last_duration_ms = ?20,"
	    " last_files = ?21, last_bytes = ?22, last_added_bytes = ?23, jump = ?24,"
	    " proof_ms = ?25, proof_outcome = ?26, prove_schedule = ?27, prove_next_ms = ?28",
	    ret, err);
}

static int
save_prepared(sqlite3_stmt *statement, const struct job_row *row, struct error *err)
{
	int rc;

	bind_row(statement, row);
	rc = sql_step(statement, err);
	sqlite3_reset(statement);
	return rc;
}

/* Caller holds the lock. */
static int
save_row(struct runs_store *store, const struct job_row *row, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = prepare_save(store, &statement, err);

	if (rc == 0)
		rc = save_prepared(statement, row, err);
	sqlite3_finalize(statement);
	return rc;
}

/* Caller holds the lock.  Ends a transaction well, or takes it back. */
static int
end_transaction(struct runs_store *store, int rc, struct error *err)
{
	if (rc == 0)
		rc = sql_exec(store->db, "COMMIT", err);
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int
jobs_store_start(struct runs_store *store, const struct job_start *starts, size_t count,
    struct error *err)
{
	sqlite3_stmt *save = NULL;
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = sql_exec(store->db, "BEGIN IMMEDIATE", err);
	if (rc == 0) {
		rc = prepare_save(store, &save, err);
		for (size_t i = 0; i < count && rc == 0; i++) {
			const struct job_start *start = &starts[i];

			if (start->run != NULL)
				rc = runs_store_insert(store, start->run,
				    start->outcome == NULL ? "queued" : start->outcome,
				    start->error, err);
			if (rc == 0 && start->row != NULL)
				rc = save_prepared(save, start->row, err);
		}
		sqlite3_finalize(save);
		/* If interrupted here, nothing was started and all of it is due still. */
		rc = end_transaction(store, rc, err);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* A statement with one text.  Caller holds the lock. */
static int
run_with(struct runs_store *store, const char *query, const char *text, struct error *err)
{
	sqlite3_stmt *statement = NULL;

	if (sql_prepare(store->db, query, &statement, err) != 0)
		return -1;
	sql_bind_text(statement, 1, text);
	return runs_store_finish(statement, err);
}

int
jobs_store_save(struct runs_store *store, const struct job_row *row, const char *told,
    struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = sql_exec(store->db, "BEGIN IMMEDIATE", err);
	if (rc == 0) {
		rc = save_row(store, row, err);
		if (rc == 0 && told != NULL)
			rc = run_with(store, TOLD, told, err);
		rc = end_transaction(store, rc, err);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
jobs_store_told(struct runs_store *store, const char *run, struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = run_with(store, TOLD, run, err);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
jobs_store_acknowledge(struct runs_store *store, const struct job_row *row, struct error *err)
{
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = sql_exec(store->db, "BEGIN IMMEDIATE", err);
	if (rc == 0) {
		rc = save_row(store, row, err);
		if (rc == 0)
			rc = run_with(store, "UPDATE jobs SET usual_from = coalesce((SELECT"
			    " max(number) FROM runs WHERE job = ?1 AND jumped), usual_from)"
			    " WHERE name = ?1", row->name, err);
		if (rc == 0)
			rc = run_with(store, "UPDATE runs SET jumped = 0 WHERE job = ?1"
			    " AND jumped", row->name, err);
		rc = end_transaction(store, rc, err);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int
jobs_store_untold(struct runs_store *store, json_t **ret, struct error *err)
{
	json_t *proofs = NULL;
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = runs_store_select(store, "job IS NOT NULL AND told = 0 AND finished IS NOT NULL",
	    NULL, ret, err);
	if (rc == 0)
		rc = runs_store_select(store, "kind = 'prove' AND told = 0 AND finished IS NOT NULL",
		    NULL, &proofs, err);
	pthread_mutex_unlock(&store->lock);
	if (rc == 0)
		json_array_extend(*ret, proofs);
	json_decref(proofs);
	return rc;
}

int
jobs_store_last_good(struct runs_store *store, const char *job, json_t **ret, struct error *err)
{
	json_t *list = NULL;
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = runs_store_select(store, "number = (SELECT max(number) FROM runs WHERE job = ?1"
	    " AND state IN ('ok', 'warn'))", job, &list, err);
	pthread_mutex_unlock(&store->lock);
	if (rc != 0)
		return -1;
	rc = json_array_size(list) > 0;
	if (rc == 1)
		*ret = json_incref(json_array_get(list, 0));
	json_decref(list);
	return rc;
}

int
jobs_store_history(struct runs_store *store, const char *job, struct job_figures *figures,
    size_t max, size_t *ret_count, bool *ret_vouched, struct error *err)
{
	sqlite3_stmt *row = NULL;
	size_t n = 0;
	int rc;

	*ret_vouched = false;
	pthread_mutex_lock(&store->lock);
	rc = sql_prepare(store->db, "SELECT files, bytes, changed_files,"
	    " coalesce((SELECT usual_from FROM jobs WHERE name = ?1), 0) AS usual FROM runs"
	    " WHERE job = ?1 AND state IN ('ok', 'warn') AND NOT jumped AND number >= usual"
	    " ORDER BY number DESC LIMIT ?2", &row, err);
	if (rc == 0) {
		sql_bind_text(row, 1, job);
		sqlite3_bind_int64(row, 2, (int64_t)max);
		while ((rc = sql_step(row, err)) == 1) {
			figures[n++] = (struct job_figures){
				.files = (uint64_t)sqlite3_column_int64(row, 0),
				.bytes = (uint64_t)sqlite3_column_int64(row, 1),
				.changed_files = (uint64_t)sqlite3_column_int64(row, 2),
			};
			*ret_vouched = sqlite3_column_int64(row, 3) > 0;
		}
	}
	sqlite3_finalize(row);
	pthread_mutex_unlock(&store->lock);
	*ret_count = n;
	return rc;
}

int
jobs_store_trend(struct runs_store *store, const char *job, unsigned limit, json_t **ret,
    struct error *err)
{
	json_t *list = json_array();
	sqlite3_stmt *row = NULL;
	int rc;

	pthread_mutex_lock(&store->lock);
	rc = sql_prepare(store->db, "SELECT id, finished, state, files, bytes, added_bytes,"
	    " duration_ms FROM runs WHERE job = ?1 AND state IN ('ok', 'warn')"
	    " ORDER BY number DESC LIMIT ?2", &row, err);
	if (rc == 0) {
		sql_bind_text(row, 1, job);
		sqlite3_bind_int64(row, 2, limit);
		while ((rc = sql_step(row, err)) == 1)
			json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I}",
			    "run", sql_column_json(row, 0), "finished", sql_column_json(row, 1),
			    "outcome", sql_column_json(row, 2), "files",
			    (json_int_t)sqlite3_column_int64(row, 3), "bytes",
			    (json_int_t)sqlite3_column_int64(row, 4), "added_bytes",
			    (json_int_t)sqlite3_column_int64(row, 5), "duration_ms",
			    (json_int_t)sqlite3_column_int64(row, 6)));
	}
	sqlite3_finalize(row);
	pthread_mutex_unlock(&store->lock);
	if (rc == 0)
		*ret = list;
	else
		json_decref(list);
	return rc;
}

int
jobs_store_jumps(struct runs_store *store, const char *state_folder, json_t **ret,
    struct error *err)
{
	struct job_row *rows = NULL;
	size_t count = 0;
	int rc;

	if (store != NULL) {
		pthread_mutex_lock(&store->lock);
		rc = load_rows(store->db, "WHERE jump IS NOT NULL", &rows, &count, err);
		pthread_mutex_unlock(&store->lock);
	} else {
		rc = peek(state_folder, "WHERE jump IS NOT NULL", &rows, &count, err);
	}
	if (rc != 0)
		return -1;
	*ret = json_object();
	for (size_t i = 0; i < count; i++) {
		json_object_set_new(*ret, rows[i].name, json_true());
		job_row_done(&rows[i]);
	}
	free(rows);
	return 0;
}
