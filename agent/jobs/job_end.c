/*
 * What the end of a run does to its job: its last figures, the next attempt, whether it is still
 * overdue, whether its figures jumped.
 *
 * A run that has ended is taken in once: its id is in the row from then on, and the database
 * remembers which runs were told.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/jobs_internal.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/text.h"

static const char *
text_of(const json_t *run, const char *field)
{
	const char *text = json_string_value(json_object_get(run, field));

	return text == NULL ? "" : text;
}

static int64_t
number_of(const json_t *run, const char *field)
{
	return json_integer_value(json_object_get(run, field));
}

/* Unix milliseconds, 0 if it is null. */
static int64_t
time_of(const json_t *run, const char *field)
{
	struct error ignored = ERROR_INIT;
	struct timespec when;

	if (*text_of(run, field) == '\0' ||
	    time_parse(text_of(run, field), false, &when, &ignored) != 0)
		return 0;
	return (int64_t)when.tv_sec * 1000 + when.tv_nsec / 1000000;
}

static bool
is_outcome(const json_t *run, const char *outcome)
{
	return strcmp(text_of(run, "state"), outcome) == 0;
}

static enum job_event
event_of(const json_t *run)
{
	static const struct {
		const char *outcome;
		enum job_event event;
	} events[] = { { "ok", JOB_EVENT_OK }, { "warn", JOB_EVENT_WARN },
		{ "cancelled", JOB_EVENT_CANCELLED }, { "skipped", JOB_EVENT_SKIPPED } };

	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (is_outcome(run, events[i].outcome))
			return events[i].event;
	return JOB_EVENT_FAILED;
}

static char *
jump_text(const json_t *run)
{
	json_t *figures = json_object_get(json_object_get(run, "result"), "jumps"), *jump;
	char *text;

	if (json_array_size(figures) == 0)
		return NULL;
	jump = json_pack("{s:s, s:s, s:O}", "run", text_of(run, "id"), "time",
	    text_of(run, "finished"), "figures", figures);
	text = json_dumps(jump, JSON_COMPACT);
	json_decref(jump);
	return text;
}

/* Another attempt, if the job has one left. */
static void
plan_retry(const struct job *job, struct job_row *row, int64_t now_ms)
{
	row->retry_ms = row->retries < job->config->retry
	    ? now_ms + job->config->retry_wait_s * 1000 : 0;
}

/* What the run came to, into its job's row. */
static void
take_end(const struct job *job, struct job_row *row, const json_t *run, int64_t now_ms)
{
	const json_t *result = json_object_get(run, "result");
	bool good = is_outcome(run, "ok") || is_outcome(run, "warn");
	char *jump = jump_text(run);

	snprintf(row->last_run, sizeof(row->last_run), "%s", text_of(run, "id"));
	snprintf(row->last_outcome, sizeof(row->last_outcome), "%s", text_of(run, "state"));
	/* One that never began says nothing of how long it takes, or of how large it is. */
	if (is_outcome(run, "skipped"))
		return;
	row->last_started_ms = time_of(run, "started");
	row->last_finished_ms = time_of(run, "finished");
	row->last_duration_ms = number_of(run, "duration_ms");
	row->last_files = number_of(run, "files");
	row->last_bytes = number_of(run, "bytes");
	row->last_added_bytes = number_of(result, "added_bytes");
	row->retry_ms = 0;
	if (good) {
		row->last_success_ms = row->last_finished_ms;
		row->retries = 0;
		/* A clock that was set back, or an old run: the scheduler looks itself. */
		row->overdue = false;
	} else if (is_outcome(run, "failed") || is_outcome(run, "aborted")) {
		plan_retry(job, row, now_ms);
	}
	if (jump != NULL) {
		free(row->jump);
		row->jump = jump;
	}
}

void
job_take_past(const struct job *job, struct job_row *row, const json_t *run)
{
	take_end(job, row, run, 0);
}

/* Told again because its end, or the row, could not be written at first: it is in the row. */
static void
save_again(struct jobs *jobs, struct job *job, const char *id)
{
	struct error err = ERROR_INIT;

	if (jobs_store_save(jobs->store, &job->row, id, &err) == 0)
		job->unsaved = false;
}

static void
report_row(const struct job *job, const struct error *why)
{
	log_error("job-not-saved", why, json_pack("{s:s}", "job", job->config->name));
}

/* Caller holds change_lock. */
static void
run_ended(struct jobs *jobs, struct job *job, const json_t *run)
{
	bool was_overdue = job->row.overdue, good;
	struct job_row row = job_row_dup(&job->row);
	struct error err = ERROR_INIT;

	take_end(job, &row, run, jobs_now_ms(jobs));
	good = is_outcome(run, "ok") || is_outcome(run, "warn");
	if (jobs_store_save(jobs->store, &row, text_of(run, "id"), &err) != 0) {
		/* Then memory alone knows; the scheduler tries again. */
		job->unsaved = true;
		report_row(job, &err);
	}
	job_set_row(jobs, job, &row);
	jobs_add_news(jobs, job, event_of(run), run);
	if (good && json_object_get(json_object_get(run, "result"), "jumps") != NULL)
		jobs_add_news(jobs, job, JOB_EVENT_JUMP, run);
	if (was_overdue && good)
		jobs_add_news(jobs, job, JOB_EVENT_RECOVERED, run);
}

static bool
is_proof(const json_t *run)
{
	return strcmp(text_of(run, "kind"), run_kind_word(RUN_PROVE)) == 0;
}

/* Caller holds change_lock. */
static void
proof_ended(struct jobs *jobs, struct job *job, const json_t *run)
{
	bool well = is_outcome(run, "ok") || is_outcome(run, "warn");
	struct job_row row = job_row_dup(&job->row);
	struct error err = ERROR_INIT;

	snprintf(row.proof_outcome, sizeof(row.proof_outcome), "%s", text_of(run, "state"));
	if (well)
		row.proof_ms = time_of(run, "finished");
	if (jobs_store_save(jobs->store, &row, text_of(run, "id"), &err) != 0) {
		job->unsaved = true;
		report_row(job, &err);
	}
	job_set_row(jobs, job, &row);
	/* One that somebody cancelled says neither. */
	if (!is_outcome(run, "cancelled"))
		jobs_add_news(jobs, job, well ? JOB_EVENT_PROVEN : JOB_EVENT_UNPROVEN, run);
}

void
jobs_run_told(void *arg, bool ended, const char *name, const json_t *run)
{
	struct jobs *jobs = arg;
	struct job *job = jobs_find(jobs, name);
	struct error err = ERROR_INIT;

	if (job == NULL) {
		if (ended && jobs_store_told(jobs->store, text_of(run, "id"), &err) != 0)
			log_error("job-not-saved", &err, json_pack("{s:s}", "job", name));
		return;
	}
	pthread_mutex_lock(&jobs->change_lock);
	if (is_proof(run)) {
		if (ended)
			proof_ended(jobs, job, run);
	} else if (!ended) {
		/* However it ends, that decides on the next attempt. */
		pthread_mutex_lock(&jobs->lock);
		job->row.retry_ms = 0;
		pthread_mutex_unlock(&jobs->lock);
		jobs_add_news(jobs, job, JOB_EVENT_STARTED, run);
	} else if (strcmp(job->row.last_run, text_of(run, "id")) == 0) {
		save_again(jobs, job, text_of(run, "id"));
	} else {
		run_ended(jobs, job, run);
	}
	pthread_mutex_unlock(&jobs->change_lock);
	jobs_wake(jobs);
}

void
jobs_save_unsaved(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->change_lock);
	for (size_t i = 0; i < jobs->count; i++)
		if (jobs->list[i].unsaved)
			save_again(jobs, &jobs->list[i], jobs->list[i].row.last_run);
	pthread_mutex_unlock(&jobs->change_lock);
}

int
jobs_take_untold(struct jobs *jobs, struct error *err)
{
	json_t *list = NULL, *run;
	size_t i;

	if (jobs_store_untold(jobs->store, &list, err) != 0)
		return -1;
	json_array_foreach(list, i, run) {
		const char *name = text_of(json_object_get(run, "arguments"), "job");
		struct job *job = jobs_find(jobs, name);

		/* The row has seen a later one: only the mark is missing. */
		if (job != NULL && !is_proof(run) && !is_outcome(run, "skipped") &&
		    time_of(run, "finished") < job->row.last_finished_ms) {
			pthread_mutex_lock(&jobs->change_lock);
			save_again(jobs, job, text_of(run, "id"));
			pthread_mutex_unlock(&jobs->change_lock);
		} else {
			jobs_run_told(jobs, true, name, run);
		}
	}
	json_decref(list);
	return 0;
}
