/*
 * The jobs of the configuration: when each starts, and what became of it.
 *
 * What is known of a job is a row of the state database (agent/jobs/jobs_store.h), kept in memory
 * besides.  One thread starts what is due; it sleeps until the next moment at which something is,
 * and wakes when the clock is set.
 *
 *   - A start that is due and the row of its run come into the database in one transaction: kill
 *     the agent at any moment, and there is exactly one run of each start.
 *   - A start missed while the agent was down, or the machine asleep, is made up for once.
 *   - A start that comes while a run of the job is queued or going, and one that somebody asked
 *     to leave out, is recorded as a run that ended "skipped".
 *   - A run that failed or was aborted is tried again as often as the job says; so is one that was
 *     started by hand.
 *   - The clock set forward: what came due is started once.  Set back by up to JOB_CLOCK_BACK_S:
 *     the starts that were made already are not made again.  Further back: the clock was wrong
 *     before, and starts go on by what it says now.
 *
 * Threads: any may call these functions; none of them waits for a run.  What changes a job is a
 * durable write; jobs_states() waits for none.
 */
#ifndef HOLDFAST_AGENT_JOBS_JOBS_H
#define HOLDFAST_AGENT_JOBS_JOBS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/jobs/runs.h"
#include "shared/error.h"

struct jobs;

/* As cron has it: less is daylight saving by hand, or a slip. */
#define JOB_CLOCK_BACK_S (3 * 3600)

/* What is known of one job now.  Times: unix milliseconds; 0: never, none. */
struct job_state {
	char *name;
	bool scheduled;                 /* it has a schedule */
	bool held, overdue, running;    /* running: or queued */
	bool jump;                      /* figures jumped and nobody has acknowledged that */
	int64_t next_ms;                /* the next start by schedule; none while it is held */
	int64_t last_started_ms, last_finished_ms;
	int64_t last_success_ms;        /* end of the last run that ended ok or warn */
	int64_t overdue_since_ms;
	char last_outcome[16];          /* ok warn failed cancelled aborted skipped; "" before the
	                                 * first */
	uint64_t last_duration_ms, last_files, last_bytes, last_added_bytes;
	int64_t last_proof_ms;          /* end of the last test restore that found all well */
	char last_proof_outcome[16];    /* of the newest test restore; "" before the first */
};

/*
 * Read what is known, and take in what runs have ended since.  Nothing is started before
 * jobs_start().  The runs must have been opened by the same state folder and outlive the jobs.
 */
int jobs_open(const struct config *config, struct runs *runs, struct jobs **ret,
    struct error *err);
/* The scheduler begins.  Whoever wants each event asks for them before. */
int jobs_start(struct jobs *jobs, struct error *err);
/* Nothing is started any more.  Call it before runs_close().  Takes NULL. */
void jobs_stop(struct jobs *jobs);
/* After runs_close(), whose runs tell of their ends still: the last events are told here.  Takes
 * NULL. */
void jobs_close(struct jobs *jobs);

/* All jobs in the order of the configuration; heap, freed by jobs_states_free(). */
void jobs_states(struct jobs *jobs, struct job_state **ret, size_t *ret_count);
void jobs_states_free(struct job_state *states, size_t count);

/*
 * One job for people and programs, NULL if there is none of this name:
 * {"name", "schedule", "timezone", "jitter_s", "expect_s", "next", "skip_next", "running": run or
 *  null, "held": {"since", "reason", "by"} or null, "overdue", "overdue_since",
 *  "retry": {"limit", "wait_s", "made", "next"}, "last_started", "last_finished", "last_success",
 *  "last_outcome", "last_duration_ms", "last_files", "last_bytes", "last_added_bytes",
 *  "jump": {"run", "time", "figures": [{"figure", "value", "usual", "runs"}]} or null,
 *  "last_proof", "last_proof_outcome", "prove": {"schedule", "next", "files", "tables", "bytes"}}
 * Times are RFC 3339 or null.
 */
json_t *jobs_json(struct jobs *jobs, const char *name);
/* The same but for "running", of a row alone; overdue_ms: since when, 0 if it is not. */
struct job_row;
json_t *job_row_json(const struct config_job *config, const struct job_row *row,
    int64_t overdue_ms);

/* The last good runs of a job, newest first, at most limit: [{"run", "finished", "outcome",
 * "files", "bytes", "added_bytes", "duration_ms"}]. */
int jobs_trend(struct jobs *jobs, const char *name, unsigned limit, json_t **ret,
    struct error *err);
#define JOB_TREND_MAX 100

/*
 * No start of a job that is held, neither by schedule nor to try again; what goes already goes
 * on, and a run can be started by hand.  What came due meanwhile is not made up for.
 * by: the log's origin of who asks.  reason may be NULL.
 * ERROR_NOT_FOUND no such job; ERROR_CONFLICT it is so already.
 */
int jobs_hold(struct jobs *jobs, const char *name, const char *reason, const char *by,
    struct error *err);
int jobs_release(struct jobs *jobs, const char *name, struct error *err);
/* The next start by schedule will be recorded as skipped.  ERROR_CONFLICT: it has no schedule. */
int jobs_skip_next(struct jobs *jobs, const char *name, const char *by, struct error *err);
/* The figures that jumped are as they should be: from here on they are the usual ones, and the
 * rules of retention hold again.  ERROR_CONFLICT: there is no jump. */
int jobs_acknowledge(struct jobs *jobs, const char *name, struct error *err);

/* When the job becomes overdue, unless a run succeeds before; 0: never, or it is not known yet. */
int64_t job_row_overdue_at_ms(const struct config_job *config, const struct job_row *row);
/* The first start by schedule after an instant, in unix milliseconds; 0 if it has none. */
int64_t jobs_next_start_ms(const struct config *config, const struct config_job *job,
    int64_t after_ms);

/* Called for whatever happened to a job, from the scheduler's thread, in the order in which it
 * happened; must not block.  run is that run as runs_get() gives it, or NULL. */
enum job_event {
	JOB_EVENT_STARTED,
	JOB_EVENT_OK,
	JOB_EVENT_WARN,
	JOB_EVENT_FAILED,    /* aborted, too */
	JOB_EVENT_CANCELLED,
	JOB_EVENT_SKIPPED,
	JOB_EVENT_OVERDUE,
	JOB_EVENT_RECOVERED, /* a success after it was overdue */
	JOB_EVENT_JUMP,      /* after its OK or WARN */
	JOB_EVENT_PROVEN,    /* a test restore found all well */
	JOB_EVENT_UNPROVEN   /* a test restore failed */
};
typedef void job_event_fn(void *arg, enum job_event event, const struct job_state *state,
    const json_t *run);
/* Before jobs_start(); several may ask. */
void jobs_on_event(struct jobs *jobs, job_event_fn *fn, void *arg);

/* Whether the scheduler's thread is at work, for a readiness probe. */
bool jobs_healthy(struct jobs *jobs, struct error *err);

#endif
