/*
 * The state database: runs, jobs and idempotency keys, in STATE/state.sqlite.
 *
 * One connection under one lock; every change is durable when its function returns.
 * A run goes queued, running (and paused), then an outcome; "logged" says that its row is in the
 * action log.  After a crash the runs that are not logged tell what is left to do.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_STORE_H
#define HOLDFAST_AGENT_JOBS_RUNS_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "agent/jobs/runs.h"

struct runs_store;

/* ret_notice: what had to be mended, for the daemon's log, or NULL; caller frees. */
int runs_store_open(const char *state_folder, struct runs_store **ret, char **ret_notice,
    struct error *err);
void runs_store_close(struct runs_store *store);

/* A run as it is begun.  Texts are borrowed; times as text (TIME_TEXT_SIZE). */
struct run_row {
	const char *id;
	enum run_kind kind;
	const json_t *arguments;
	const char *command, *origin;
	const char *queued;
};

/* How it ended.  JSON may be NULL. */
struct run_end {
	const char *outcome;
	const char *finished;
	int64_t duration_ms;
	const char *snapshot;
	const json_t *error, *losses, *notes, *result;
	uint64_t loss_total, note_total;
	uint64_t files, bytes, stored_bytes;
};

#define RUN_KEY_TTL_S (24 * 3600)

/*
 * Record a queued run, and the idempotency key with it (key NULL: none).
 * Returns 0, or 1 if the key was used within RUN_KEY_TTL_S: then ret_id is the run it started and
 * nothing was added.  ERROR_CONFLICT if the key was used with another fingerprint.
 */
int runs_store_add(struct runs_store *store, const struct run_row *row, const char *key,
    const char *fingerprint, char ret_id[RUN_ID_TEXT_SIZE], struct error *err);
/* Look a key up alone: 1 found, 0 not; errors as runs_store_add. */
int runs_store_find_key(struct runs_store *store, const char *key, const char *fingerprint,
    char ret_id[RUN_ID_TEXT_SIZE], struct error *err);
/* state: "running" (started is set by the first), "paused". */
int runs_store_state(struct runs_store *store, const char *id, const char *state,
    const char *started, struct error *err);
int runs_store_end(struct runs_store *store, const char *id, const struct run_end *end,
    struct error *err);
/* Runs of the past that nobody has recorded, oldest first; they are in the log already. */
struct run_past {
	struct run_row row; /* queued: when it began */
	struct run_end end;
};
int runs_store_add_past(struct runs_store *store, const struct run_past *runs, size_t count,
    struct error *err);
int runs_store_logged(struct runs_store *store, const char *id, struct error *err);

/* The job that a run works for, lent, or NULL: a backup that stores something. */
const char *run_job(enum run_kind kind, const json_t *arguments);

/* The full id of an unambiguous prefix.  ERROR_NOT_FOUND, ERROR_AMBIGUOUS. */
int runs_store_find(struct runs_store *store, const char *prefix, char ret_id[RUN_ID_TEXT_SIZE],
    struct error *err);
/* As runs_get. */
int runs_store_get(struct runs_store *store, const char *id, json_t **ret, struct error *err);
/* As runs_last_of_job. */
int runs_store_last_of_job(struct runs_store *store, const char *job, json_t **ret,
    struct error *err);
/* As runs_list. */
int runs_store_list(struct runs_store *store, const char *kind, const char *state,
    const char *cursor, unsigned limit, json_t **ret, struct error *err);

/* Runs that are not logged, oldest first, each as runs_get gives it with "duration_ms", "files",
 * "bytes" and "stored_bytes" besides. */
int runs_store_unlogged(struct runs_store *store, json_t **ret, struct error *err);

/* Whether the database takes a write, and its disk has room for one.  Makes no disk work. */
int runs_store_try(struct runs_store *store, struct error *err);

#endif
