/*
 * The text of GET /metrics, in the form that Prometheus reads (version 0.0.4), from figures that
 * somebody else has gathered.
 *
 * Every metric stands once, in the table below: the text, the manual page and the tests come from
 * it.  Names begin with "holdfast_", units are seconds and bytes, times are unix seconds (0: never,
 * none).  Labels take their values from tables and from the names of configured jobs, never from
 * requests, runs or paths: the number of series is bounded.
 */
#ifndef HOLDFAST_AGENT_HTTP_METRICS_TEXT_H
#define HOLDFAST_AGENT_HTTP_METRICS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/jobs/jobs.h"
#include "agent/jobs/runs.h"
#include "shared/buffer.h"
#include "shared/error.h"

/*
 * ONE(name, type, known, value, help): a single series, left out unless known; f: the figures.
 * EACH(name, type, value, help): one for each job, with the label job_name; job: its state.
 * LABELLED(name, type, help): its series are written by put_NAME() of metrics_text.c.
 */
/* clang-format off */
#define METRICS(ONE, EACH, LABELLED) \
	LABELLED(build_info, gauge, "Always 1; the label is the version of the agent.") \
	ONE(start_time_seconds, gauge, true, (double)f->started_ms / 1000, \
	    "When the agent was started.") \
	ONE(cpu_seconds_total, counter, true, f->cpu_seconds, \
	    "Processor time that the agent has taken.") \
	ONE(resident_memory_bytes, gauge, f->resident_bytes > 0, (double)f->resident_bytes, \
	    "Memory of the agent that is resident.") \
	ONE(repository_snapshots, gauge, f->snapshots_known, (double)f->snapshots, \
	    "Snapshots in the repository.") \
	ONE(repository_size_bytes, gauge, f->size_known, (double)f->size_bytes, \
	    "What the repository's packs, index and snapshots take.") \
	ONE(repository_free_bytes, gauge, f->space_known, (double)f->free_bytes, \
	    "Free space where the repository is.") \
	ONE(repository_capacity_bytes, gauge, f->space_known, (double)f->total_bytes, \
	    "All space where the repository is, free or not.") \
	ONE(jobs, gauge, true, (double)f->job_count, "Jobs of the configuration.") \
	EACH(job_last_success_timestamp_seconds, gauge, (double)job->last_success_ms / 1000, \
	    "End of the job's last run that ended ok or warn.") \
	EACH(job_last_start_timestamp_seconds, gauge, (double)job->last_started_ms / 1000, \
	    "Start of the job's last run.") \
	EACH(job_last_finish_timestamp_seconds, gauge, (double)job->last_finished_ms / 1000, \
	    "End of the job's last run, however it ended.") \
	LABELLED(job_last_outcome, gauge, \
	    "1 for the outcome of the job's last run, 0 for all others.") \
	EACH(job_last_duration_seconds, gauge, (double)job->last_duration_ms / 1000, \
	    "Duration of the job's last run.") \
	EACH(job_last_files, gauge, (double)job->last_files, \
	    "Files that the job's last run backed up.") \
	EACH(job_last_size_bytes, gauge, (double)job->last_bytes, \
	    "Bytes that the job's last run backed up.") \
	EACH(job_last_added_bytes, gauge, (double)job->last_added_bytes, \
	    "Bytes that the job's last run added to the repository.") \
	EACH(job_running, gauge, job->running, "1 while a run of the job is queued or going.") \
	EACH(job_held, gauge, job->held, "1 while the job is held.") \
	EACH(job_overdue, gauge, job->overdue, \
	    "1 while there was no success for longer than the job's setting expect.") \
	EACH(job_jump, gauge, job->jump, \
	    "1 while figures of the job are far from the usual and nobody has acknowledged it.") \
	EACH(job_next_start_timestamp_seconds, gauge, (double)job->next_ms / 1000, \
	    "The job's next start by schedule.") \
	EACH(job_last_proof_timestamp_seconds, gauge, (double)job->last_proof_ms / 1000, \
	    "End of the last test restore that found all well.") \
	LABELLED(job_last_proof_outcome, gauge, \
	    "1 for the outcome of the newest test restore, 0 for all others.") \
	LABELLED(runs_total, counter, \
	    "Runs that have ended since the agent was started, by kind and outcome.") \
	ONE(runs_queued, gauge, true, f->queued, "Runs that wait for a thread.") \
	ONE(runs_running, gauge, true, f->running, "Runs that are being executed, or paused.") \
	ONE(central_log_up, gauge, f->log_configured, f->log_up, \
	    "1 while the central MariaDB takes rows of the log; absent where none is configured.") \
	ONE(log_waiting_rows, gauge, f->log_configured, (double)f->log_waiting, \
	    "Rows of the log that are not in the central MariaDB yet.") \
	ONE(log_waiting_age_seconds, gauge, f->log_configured, f->log_waiting_age, \
	    "Age of the oldest of them; 0 if none waits.") \
	ONE(notices_waiting, gauge, f->notices_known, (double)f->notices_waiting, \
	    "Notices that are still to be sent, tried or not.") \
	LABELLED(http_requests_total, counter, \
	    "Answers to requests since the agent was started, by method and class of status.") \
	LABELLED(http_refused_requests_total, counter, \
	    "Requests refused before anything was done, by the word of the problem's type.") \
	ONE(http_connections, gauge, true, (double)f->connections, "Open connections.")
/* clang-format on */

/* How a run can end. */
#define METRICS_OUTCOMES(_) \
	_(ok) _(warn) _(failed) _(cancelled) _(aborted) _(skipped)
enum metrics_outcome {
#define _(word) METRICS_OUTCOME_##word,
	METRICS_OUTCOMES(_)
#undef _
	METRICS_OUTCOME_COUNT
};

/* The methods that have a series of their own; all else is "other". */
#define METRICS_METHODS(_) \
	_(GET) _(HEAD) _(POST) _(PUT) _(DELETE) _(other)
enum metrics_method {
#define _(word) METRICS_METHOD_##word,
	METRICS_METHODS(_)
#undef _
	METRICS_METHOD_COUNT
};

/* 2xx to 5xx. */
#define METRICS_CLASSES 4u

/* What has been counted since the start. */
struct metrics_counts {
	uint64_t runs[RUN_KIND_COUNT][METRICS_OUTCOME_COUNT];
	uint64_t requests[METRICS_METHOD_COUNT][METRICS_CLASSES];
	uint64_t refused[ERROR_CODE_COUNT];
};

struct metrics_figures {
	struct metrics_counts counts;
	const char *version;
	int64_t started_ms;
	double cpu_seconds;
	uint64_t resident_bytes; /* 0: unknown */
	bool snapshots_known, space_known, size_known;
	uint64_t snapshots, size_bytes, free_bytes, total_bytes;
	unsigned queued, running;
	bool log_configured, log_up;
	uint64_t log_waiting;
	double log_waiting_age;
	bool notices_known;
	uint64_t notices_waiting;
	size_t connections;
	const struct job_state *jobs; /* lent */
	size_t job_count;
};

/* Append the whole text. */
void metrics_render(const struct metrics_figures *figures, struct buffer *out);

/* The place of a word in the counts; -1: it has none. */
int metrics_outcome_of(const char *word);
enum metrics_method metrics_method_of(const char *method);

#endif
