/*
 * What the files of the runs share.
 *
 * A run that has not ended is a struct run in runs->active; ended ones are rows of the store.
 * lock guards the list, the queue and every run's fields but progress, which guards itself.
 * events_lock guards the subscriptions and orders events; it is taken after lock, never before.
 * Neither is held while the databases are written.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_INTERNAL_H
#define HOLDFAST_AGENT_JOBS_RUNS_INTERNAL_H

#include <pthread.h>

#include "agent/jobs/runs_kinds.h"
#include "agent/jobs/runs_store.h"
#include "shared/text.h"

/* A run waits in the queue until a worker is free; beyond this many a start is refused. */
#define RUN_QUEUE_MAX 1000

/* Progress is told four times a second. */
#define RUN_TICK_MS 250

/* The rate follows changes within about five seconds: steady enough for an ETA to be read. */
#define RUN_RATE_WINDOW_MS 5000.0

/* How a run ended that was due and did not begin. */
#define RUN_SKIPPED_WORD "skipped"

/* NEW: being recorded, not in the queue yet.  ENDING: owned by whoever ends it. */
enum run_state { RUN_NEW, RUN_QUEUED, RUN_RUNNING, RUN_PAUSED, RUN_ENDING, RUN_ENDED };

struct job_figures;

struct run_waiter {
	run_ended_fn *ended;
	void *arg;
	struct run_waiter *next;
};

struct run {
	char id[RUN_ID_TEXT_SIZE];
	enum run_kind kind;
	enum run_state state;
	json_t *arguments;
	char *command, *origin;
	struct run_input input;  /* release is NULL if there is none */
	json_t *limits;          /* what holds it back, once it runs; or NULL */
	struct timespec queued, started;
	struct timespec finished; /* all zero: when run_finish() is called */
	char queued_text[TIME_TEXT_SIZE], started_text[TIME_TEXT_SIZE];
	int64_t started_ms;      /* CLOCK_MONOTONIC */
	struct progress progress;
	struct run_waiter *waiters;
	struct run *next_queued;

	/* for events */
	double rate;             /* bytes a second */
	uint64_t rate_bytes;
	int64_t rate_ms;         /* when rate_bytes was read; 0: never */
	uint64_t losses_told, notes_told;

	/* once it is ending */
	const char *outcome;
	struct error failure;
	struct run_result result;
	json_t *final;           /* as runs_get gives it */
	struct run_end end;
	char finished_text[TIME_TEXT_SIZE];
	bool saved, logged;      /* what the databases have */
};

struct run_subscription {
	char id[RUN_ID_TEXT_SIZE]; /* "" for all runs */
	run_event_fn *each;
	void *arg;
	struct run_subscription *next;
};

struct runs {
	const struct config *config;
	struct repository *repo;
	struct actionlog *log;
	struct runs_store *store;
	struct run_limits *limits;

	pthread_mutex_t lock;
	pthread_cond_t work;     /* the queue has something, or we stop */
	pthread_cond_t tick;     /* there is something to tell, or we stop */
	struct run **active;
	size_t active_count, active_cap;
	struct run *queue, **queue_last;
	unsigned queued_count;
	bool stopping;
	run_job_fn *job_fn;      /* or NULL */
	void *job_arg;

	pthread_t *workers;
	size_t worker_count;
	pthread_t ticker;
	bool ticker_runs;

	pthread_mutex_t events_lock;
	struct run_subscription *subscriptions;
	uint64_t event_number;
};

/* runs.c */
struct run *run_new(enum run_kind kind, const char *id, json_t *arguments, const char *command,
    const char *origin);
void run_free(struct run *run);
/* Nobody reads the input any more; does it once.  Not under lock. */
void run_release_input(struct run *run);
struct run *runs_active(struct runs *runs, const char *id); /* caller holds lock; NULL if none */
void runs_enqueue(struct runs *runs, struct run *run);      /* caller holds lock */

/* run_json.c: caller holds lock */
json_t *run_json(struct run *run, bool brief);
json_t *run_progress_json(struct run *run);
const char *run_state_word(const struct run *run);
json_t *run_error_json(const struct error *failure);
void run_error_from_json(const json_t *json, struct error *ret);
json_t *run_remarks_json(struct progress *progress, const struct remarks *remarks,
    uint64_t from);

/* run_work.c */
int runs_start_threads(struct runs *runs, struct error *err);
void runs_stop_threads(struct runs *runs);
/* End a run that the caller alone owns now (state RUN_ENDING): databases, waiters, events. */
void run_finish(struct runs *runs, struct run *run, const char *outcome,
    const struct error *failure);
/* Try again to save ended runs whose databases refused. */
void runs_save_ended(struct runs *runs);
/* The end's document with what the store knows besides of its figures. */
json_t *run_end_json(const struct run *run);
/* The log's row of a run as runs_store_unlogged() or its end gives it. */
int run_write_row(struct runs *runs, const json_t *run, struct error *err);

/* run_recover.c */
/* After a crash: what was running is aborted, what was queued is queued again. */
int runs_recover(struct runs *runs, struct error *err);
/* After the list of runs was lost: those that the repository knows, by their snapshots.  Returns
 * how many, or -1. */
int runs_rebuild(struct runs *runs, struct error *err);

/* run_jobs.c */
/* Tell whoever wants to know of runs of jobs.  Not under lock. */
void runs_tell_job_started(struct runs *runs, struct run *run);
void runs_tell_job_ended(struct runs *runs, struct run *run);
/* How a backup's figures are off what is usual for its job; adds "jumps" to the result. */
void run_find_jumps(struct runs *runs, struct run *run);
/*
 * [{"figure": "files" | "bytes" | "changed_percent", "value", "usual": the median, "runs": of so
 * many}], empty if nothing is far from the history, newest first.  vouched: it begins with
 * figures that somebody said are right, so that less of it will do.
 */
json_t *run_jumps(const struct job_figures *now, const struct job_figures *history, size_t count,
    bool vouched, int64_t per_cent);

/* run_events.c */
void *runs_ticker_main(void *arg);
/* Tell everybody concerned.  Takes data over.  Caller holds events_lock. */
void runs_tell(struct runs *runs, const char *id, const char *event, json_t *data);
/* The same from under lock: takes events_lock itself. */
void runs_tell_state(struct runs *runs, struct run *run);
/* Losses and notes that were not told yet, and progress.  Caller holds lock. */
void runs_tell_progress(struct runs *runs, struct run *run, bool with_progress);

#endif
