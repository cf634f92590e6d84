/*
 * Runs: one execution each of a backup, restore, check or prune.
 *
 * A run is a row in the state database (STATE/state.sqlite, one connection under one lock); it
 * outlives the client and a restart.  A run that a crash cut off ends as "aborted" at the next
 * start, with its log row; runs that were still queued are queued again.  Worker threads execute
 * queued runs; any thread may call these functions; none of them waits for a run.
 * Each run that ended has written exactly one row of the action log.
 * The table of kinds is agent/jobs/runs_kinds.h.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_H
#define HOLDFAST_AGENT_JOBS_RUNS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/actionlog/actionlog.h"
#include "agent/config.h"
#include "agent/files/archive_in.h"
#include "agent/repository/repository.h"
#include "shared/error.h"

struct runs;

#define RUN_ID_TEXT_SIZE 33 /* 16 random bytes in hexadecimal and a NUL */

enum run_kind { RUN_BACKUP, RUN_RESTORE, RUN_CHECK, RUN_PRUNE, RUN_REPAIR, RUN_TABLES, RUN_IMPORT,
	RUN_RESTORE_TABLE, RUN_LOAD_ROWS, RUN_LOAD, RUN_PROVE, RUN_KIND_COUNT };
const char *run_kind_word(enum run_kind kind);
int run_kind_parse(const char *word, enum run_kind *ret, struct error *err);

/* A run's state is queued, running or paused, then one of the outcomes ok, warn, failed,
 * cancelled, aborted, skipped (it was due, and did not begin). */

/* What an import, or a load of rows, reads.  release() is called once nobody will read any more,
 * from any thread. */
struct run_input {
	struct import_input input;
	void (*release)(void *arg); /* with the input's arg */
};

struct run_start {
	enum run_kind kind;
	/*
	 * backup:  {"job": NAME | "path": "/srv" | "paths": [..], "exclude": [..], "exclude_caches",
	 *           "one_file_system", "max_size", "dry_run", "force", "tags": [..], "level",
	 *           "threads", "verify"}
	 * restore: {"snapshot": ID, "target": DIR, "paths": [..], "strip",
	 *           "conflict": "skip|newer|overwrite|side-copy", "dry_run", "verify", "set_id",
	 *           "no_owner", "numeric_owner", "no_sync", "threads"}
	 * check:   {"read_data": bool, "percent": 1..100, "since": "7d" | "2026-11-01"}
	 * prune:   {"keep": {"last", "hourly", "daily", "weekly", "monthly", "yearly", "within"},
	 *           "job", "only": "forget|remove", "dry_run", "grace", "rewrite_percent",
	 *           "join_packs"}
	 * import:  {"name", "format": "file|tar", "level", "threads", "verify"}, and an input
	 * all:     {"limits": {"upload", "download", "read", "files", "nice", "io"}}
	 * tables:  {"table": NAME | "tables": [..], "connections", "tags": [..], "level", "threads",
	 *           "verify"}; none named: all of the database
	 * restore-table: {"table": NAME | "tables": [..], "snapshot": ID, "source":
	 *           "snapshot|exchange", "as", "mode": "replace|append", "dry_run"}
	 * load-rows: {"table", "database", "on_error": "continue|abort", "on_duplicate":
	 *           "reject|update|ignore", "rows": how many, "sha256": of the payload}, and an input:
	 *           the payload
	 * load:    {"table", "database", "header": "auto|yes|no", "delimiter", "null", "on_error",
	 *           "on_duplicate"}
	 * prove:   {"job": NAME | "snapshot": ID, "files", "tables", "bytes"}; neither: the newest
	 * Sizes are bytes or "64M", durations seconds or "7d".  A path to back up is taken as it
	 * is; if nothing is there and it holds \xNN escapes (text_printable), they are decoded.
	 * Unknown fields and wrong types are ERROR_BAD_REQUEST.  Borrowed.
	 */
	const json_t *arguments;
	const char *command;         /* for the log: "POST /backup" */
	const char *origin;          /* for the log */
	/* Or NULL.  For 24 hours, the same key with the same kind and arguments gives the same
	 * run, with others ERROR_CONFLICT. */
	const char *idempotency_key;
	/* Of an import or of rows to load, NULL for other kinds; copied.  Released by the run, if one
	 * was started.  It outlives no restart: a run that was still queued then fails. */
	const struct run_input *input;
};

int runs_open(const struct config *config, struct repository *repo, struct actionlog *log,
    struct runs **ret, struct error *err);
/* Cancels what runs, waits for it, ends the threads.  What is queued stays so for the next
 * start.  Waiters that were not called yet are called with ERROR_UNAVAILABLE. */
void runs_close(struct runs *runs);

/*
 * Check the arguments (policy too: allow, restore), record the run and queue it.
 * ERROR_NOT_FOUND no such folder or snapshot; ERROR_BAD_REQUEST no, relative or non-folder
 * path; ERROR_FORBIDDEN by policy; ERROR_TOO_MANY the queue is full.  Such a refused start is
 * written to the log as ERROR by this function, so that it shows up there.
 * ret_existing: the key was used before, and ret_id is the run it started.
 */
int runs_start(struct runs *runs, const struct run_start *start, char ret_id[RUN_ID_TEXT_SIZE],
    bool *ret_existing, struct error *err);

/*
 * Starts of jobs, which agent/jobs/scheduler.c decides on.  Nothing is checked: what is wrong with
 * a job makes its run fail.
 */
struct job_row;
struct run;
struct run_due {
	enum run_kind kind;
	json_t *arguments;           /* lent, until runs_start_due() returns */
	const char *command;         /* for the log: "schedule" */
	const char *skipped;         /* why it is none; NULL: it is started */
	const struct job_row *row;   /* recorded in the same transaction */
	char id[RUN_ID_TEXT_SIZE];   /* set: its run */
	struct run *ending;          /* set: what runs_end_skipped() needs */
};
/* All of them, or none. */
int runs_start_due(struct runs *runs, struct run_due *due, size_t count, struct error *err);
/* Once that was well, tell the log and everybody of those that were skipped. */
void runs_end_skipped(struct runs *runs, struct run_due *due, size_t count);
/* For how many starts there is room in the queue, leaving some for requests. */
size_t runs_room(struct runs *runs);
/* {JOB: id} of jobs with a run that is queued or going; and of those with a test restore. */
json_t *runs_active_jobs(struct runs *runs);
json_t *runs_active_proofs(struct runs *runs);

/*
 * Told of each run or test restore of a job that begins, and that has ended before anybody else
 * hears so: with
 * the run as runs_get() gives it and "duration_ms", "files", "bytes" besides.  From a worker's,
 * the scheduler's or the ticker's thread; no lock is held.  An end may be told twice, if it
 * could not be written at first.
 */
typedef void run_job_fn(void *arg, bool ended, const char *job, const json_t *run);
void runs_on_job(struct runs *runs, run_job_fn *fn, void *arg);

/* What the jobs are kept in. */
struct runs_store;
struct runs_store *runs_store_of(struct runs *runs);

/*
 * {"id", "kind", "state", "outcome": word or null, "arguments", "command", "origin", "queued",
 *  "started", "finished", "snapshot": id or null, "error": {"code", "message", "hint"} or null,
 *  "progress": {"phase", "files", "files_total", "bytes", "bytes_total", "stored_bytes", "rate",
 *               "path", "eta_s": seconds or null,
 *               "limits": {.., "waited_ms"} if something holds it back} or null,
 *  "losses": [{"path", "reason"}], "loss_total", "notes": [..], "note_total", "result": {..}}
 * id may be an unambiguous prefix of at least 4 digits.
 */
int runs_get(struct runs *runs, const char *id, json_t **ret, struct error *err);
/* Newest first: {"runs": [...], "next": cursor or null}, losses and notes only as totals.  kind,
 * state may be NULL; cursor NULL for the first page; limit 0 means 100, at most 1000. */
int runs_list(struct runs *runs, const char *kind, const char *state, const char *cursor,
    unsigned limit, json_t **ret, struct error *err);
/* The newest run of a job, as runs_list gives it: 1 and the run, 0 if there was none, -1. */
int runs_last_of_job(struct runs *runs, const char *job, json_t **ret, struct error *err);
/* Ask a run to end; one that has ended is ERROR_CONFLICT. */
int runs_cancel(struct runs *runs, const char *id, struct error *err);
/* Only a run that is running can be paused, only a paused one continued: else ERROR_CONFLICT. */
int runs_pause(struct runs *runs, const char *id, bool paused, struct error *err);

/*
 * Calls back once when the run has ended (at once, in this thread, if it has), else from a
 * worker thread; the callee must not block.  The error is that of a failed run (code NONE for
 * ok and warn).
 */
typedef void run_ended_fn(void *arg, const json_t *run, const struct error *failure);
int runs_when_ended(struct runs *runs, const char *id, run_ended_fn *ended, void *arg,
    struct error *err);

/*
 * Events, for server-sent events.  Each has a number that only rises.  A subscription (of one
 * run, or of all with id NULL) calls back from a worker or ticker thread with the event's word
 * and its data: {"run": id, ...}
 *   progress  the run's progress object, at most four times a second
 *   state     {"run", "kind", "state"}; also once at the start, for a run that has not ended
 *   loss, note {"run", "path", "reason"}
 *   ended     the run as runs_get gives it, with "run" besides
 * A run that has ended gives one "ended" before this returns.
 * The callee must not block, nor call back into runs.  Do not hold a lock that the callee takes
 * while calling runs_subscribe or runs_unsubscribe.
 */
struct run_subscription;
typedef void run_event_fn(void *arg, const char *event, uint64_t number, const json_t *data);
int runs_subscribe(struct runs *runs, const char *id, run_event_fn *each, void *arg,
    struct run_subscription **ret, struct error *err);
/* No call-back after it returns. */
void runs_unsubscribe(struct runs *runs, struct run_subscription *subscription);

/* Number of runs queued and running (paused ones too). */
void runs_count(struct runs *runs, unsigned *ret_queued, unsigned *ret_running);

/* Whether the state database takes writes, for a readiness probe. */
int runs_healthy(struct runs *runs, struct error *err);

#endif
