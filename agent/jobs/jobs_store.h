/*
 * What the state database knows of jobs: one row each, written beside the runs.
 *
 * The row and the runs it speaks of change in one transaction.  A run of a job that has ended and
 * is not "told" has not reached its job's row yet: whoever opens the jobs next takes it in.
 */
#ifndef HOLDFAST_AGENT_JOBS_JOBS_STORE_H
#define HOLDFAST_AGENT_JOBS_JOBS_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/jobs/runs_store.h"
#include "shared/error.h"

/* Times: unix milliseconds, 0: never.  Texts are on the heap, NULL: none. */
struct job_row {
	char name[CONFIG_NAME_MAX + 1];
	char *schedule;          /* the rule that next_ms comes from, NULL: none */
	int64_t next_ms;
	int64_t armed_ms;        /* what the clock said when next_ms was set */
	int64_t known_ms;        /* since when the job is known */
	bool held, skip_next;
	int64_t held_ms;
	char *held_reason, *held_by, *skip_by;
	int64_t retries;         /* made since the last start */
	int64_t retry_ms;        /* the next one */
	bool overdue;            /* it was told */
	char last_run[RUN_ID_TEXT_SIZE];
	char last_outcome[16];
	int64_t last_started_ms, last_finished_ms, last_success_ms;
	int64_t last_duration_ms, last_files, last_bytes, last_added_bytes;
	char *jump;              /* JSON, see jobs_json(); NULL: none, or acknowledged */
	char *prove_schedule;    /* as schedule, of test restores */
	int64_t prove_next_ms;
	int64_t proof_ms;
	char proof_outcome[16];
};

void job_row_done(struct job_row *row);
/* All, sorted by name; heap, each with job_row_done(). */
int jobs_store_load(struct runs_store *store, struct job_row **ret, size_t *ret_count,
    struct error *err);
/* The same of a state folder whose agent may be running, without touching anything; no rows if
 * there is no database yet.  For commands. */
int jobs_store_peek(const char *state_folder, struct job_row **ret, size_t *ret_count,
    struct error *err);

/* What a start changes.  Either may be NULL: a row without a run, a run without a row. */
struct job_start {
	const struct run_row *run;
	/* NULL: it is queued.  Else it has ended so, with this error, before it began. */
	const char *outcome;
	const json_t *error;
	const struct job_row *row;
};
/* All of them, or none. */
int jobs_store_start(struct runs_store *store, const struct job_start *starts, size_t count,
    struct error *err);
/* The row has taken in the run (told; NULL: none). */
int jobs_store_save(struct runs_store *store, const struct job_row *row, const char *told,
    struct error *err);
/* Of a job that nobody knows any more. */
int jobs_store_told(struct runs_store *store, const char *run, struct error *err);
/* As jobs_store_save(), and from the last run that jumped on figures are usual. */
int jobs_store_acknowledge(struct runs_store *store, const struct job_row *row,
    struct error *err);

/* Runs and test restores of jobs that have ended and are not told, oldest first, as runs_store_unlogged() gives
 * them. */
int jobs_store_untold(struct runs_store *store, json_t **ret, struct error *err);

/* The newest good run of a job, as above: 1, 0 if there is none, -1. */
int jobs_store_last_good(struct runs_store *store, const char *job, json_t **ret,
    struct error *err);

/* Figures of good backups of a job. */
struct job_figures {
	uint64_t files, bytes, changed_files;
};
/* The newest first, at most max, without those that jumped: returns how many, or -1.
 * ret_vouched: they begin with one that somebody acknowledged. */
int jobs_store_history(struct runs_store *store, const char *job, struct job_figures *figures,
    size_t max, size_t *ret_count, bool *ret_vouched, struct error *err);
/* See jobs_trend(). */
int jobs_store_trend(struct runs_store *store, const char *job, unsigned limit, json_t **ret,
    struct error *err);

/* The names of jobs whose figures jumped: {NAME: true}.  store NULL: as jobs_store_peek(). */
int jobs_store_jumps(struct runs_store *store, const char *state_folder, json_t **ret,
    struct error *err);

#endif
