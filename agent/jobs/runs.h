/*
 * Runs: one execution each of a backup, restore, check or prune.
 *
 * A run is a row in the state database (STATE/state.sqlite, one connection under one lock); it
 * outlives the client and a restart.  A run that a crash cut off ends as "aborted" at the next start, with its log
 * row.  Worker threads execute queued runs; any thread may call these functions; none
 * of them waits for a run.  Each finished run writes exactly one row of the action log.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_H
#define HOLDFAST_AGENT_JOBS_RUNS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/actionlog/actionlog.h"
#include "agent/config.h"
#include "agent/repository/repository.h"
#include "shared/error.h"

struct runs;

#define RUN_ID_TEXT_SIZE 33 /* 16 random bytes in hexadecimal and a NUL */

/* One row: name, word, action in the log, function.  See runs_kinds.h. */
enum run_kind { RUN_BACKUP, RUN_RESTORE, RUN_CHECK, RUN_PRUNE, RUN_KIND_COUNT };
const char *run_kind_word(enum run_kind kind);

/* queued, running, paused, then one of the outcomes ok, warn, failed, cancelled, aborted. */

struct run_start {
	enum run_kind kind;
	/*
	 * backup:  {"path": "/srv" | "paths": [..], "exclude": [..], "exclude_caches", "one_file_system",
	 *           "max_size", "dry_run", "force", "tags": [..]}
	 * restore: {"snapshot": ID, "target": DIR, "paths": [..], "strip", "conflict": "skip|newer|overwrite|side-copy",
	 *           "dry_run", "verify", "set_id", "no_owner", "numeric_owner"}
	 * check:   {"read_data": bool, "percent": 1..100}
	 * prune:   {"keep": {"last", "hourly", "daily", "weekly", "monthly", "yearly", "within"}, "dry_run", "grace"}
	 * Unknown fields and wrong types are ERROR_BAD_REQUEST.  Borrowed.
	 */
	const json_t *arguments;
	const char *command;         /* for the log: "POST /backup" */
	const char *origin;          /* for the log */
	const char *idempotency_key; /* or NULL; the same key with the same arguments gives the same run, with others ERROR_CONFLICT */
};

int runs_open(const struct config *config, struct repository *repo, struct actionlog *log, struct runs **ret, struct error *err);
/* Cancels what runs, waits for it, ends the threads. */
void runs_close(struct runs *runs);

/*
 * Check the arguments (policy too: allow, restore), record the run and queue it.
 * ERROR_NOT_FOUND no such folder or snapshot; ERROR_BAD_REQUEST no, relative or non-folder path; ERROR_FORBIDDEN
 * by policy.  Such a refused start is written to the log as ERROR by this function, so that it shows up there.
 */
int runs_start(struct runs *runs, const struct run_start *start, char ret_id[RUN_ID_TEXT_SIZE], bool *ret_existing, struct error *err);

/* {"id", "kind", "state", "outcome", "arguments", "queued", "started", "finished", "snapshot", "error": problem or null,
 *  "progress": {"phase", "files", "files_total", "bytes", "bytes_total", "stored_bytes", "rate", "path", "eta_s"},
 *  "losses": [..], "loss_total", "notes": [..], "result": {...}}   id may be an unambiguous prefix */
int runs_get(struct runs *runs, const char *id, json_t **ret, struct error *err);
/* Newest first: {"runs": [...], "next": cursor or null}. kind, state may be NULL; cursor NULL for the first page. */
int runs_list(struct runs *runs, const char *kind, const char *state, const char *cursor, unsigned limit, json_t **ret, struct error *err);
/* Ask a run to end; one that has ended is ERROR_CONFLICT. */
int runs_cancel(struct runs *runs, const char *id, struct error *err);
int runs_pause(struct runs *runs, const char *id, bool paused, struct error *err);

/*
 * Calls back once when the run has ended (at once if it has), from a worker thread; the callee must not block.  The
 * error is that of a failed run (code NONE for ok and warn).
 */
typedef void run_ended_fn(void *arg, const json_t *run, const struct error *failure);
int runs_when_ended(struct runs *runs, const char *id, run_ended_fn *ended, void *arg, struct error *err);

/*
 * Events, for server-sent events.  Each has a number that only rises.  A subscription (of one run, or of all with id
 * NULL) calls back from a worker or ticker thread: {"event": "progress|state|loss|note|ended", "id": n, "run": id, "data": {...}}; progress at most
 * four times a second.  The callee must not block.  A run that has ended gives one "ended" at once.
 */
struct run_subscription;
typedef void run_event_fn(void *arg, const char *event, uint64_t number, const json_t *data);
int runs_subscribe(struct runs *runs, const char *id, run_event_fn *each, void *arg, struct run_subscription **ret, struct error *err);
void runs_unsubscribe(struct runs *runs, struct run_subscription *subscription); /* no call-back after it returns */

/* Number of runs queued and running. */
void runs_count(struct runs *runs, unsigned *ret_queued, unsigned *ret_running);

#endif
