/*
 * What people ask of jobs: how they are, to hold them, to go on.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/jobs_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

static json_t *
time_json(int64_t ms)
{
	struct timespec when = { ms / 1000, ms % 1000 * 1000000 };
	char text[TIME_TEXT_SIZE];

	if (ms <= 0)
		return json_null();
	time_format(when, 3, text);
	return json_string(text);
}

static json_t *
text_json(const char *text)
{
	return text == NULL || *text == '\0' ? json_null() : json_string(text);
}

static json_t *
held_json(const struct job_row *row)
{
	if (!row->held)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "since", time_json(row->held_ms), "reason",
	    text_json(row->held_reason), "by", text_json(row->held_by));
}

static json_t *
prove_json(const struct config_job *config, const struct job_row *row)
{
	return json_pack("{s:o, s:o, s:I, s:I, s:I}", "schedule", text_json(config->prove), "next",
	    time_json(row->held ? 0 : row->prove_next_ms), "files",
	    (json_int_t)config->prove_files, "tables", (json_int_t)config->prove_tables, "bytes",
	    (json_int_t)config->prove_bytes);
}

json_t *
job_row_json(const struct config_job *config, const struct job_row *row, int64_t overdue_ms)
{
	json_t *jump = row->jump == NULL ? NULL : json_loads(row->jump, 0, NULL);

	return json_pack("{s:s, s:o, s:o, s:I, s:I, s:o, s:b, s:o, s:b, s:o,"
	    " s:{s:I, s:I, s:I, s:o}, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o,"
	    " s:o}",
	    "name", config->name, "schedule", text_json(config->schedule), "timezone",
	    text_json(config->timezone), "jitter_s", (json_int_t)config->jitter_s, "expect_s",
	    (json_int_t)config->expect_s, "next", time_json(row->held ? 0 : row->next_ms),
	    "skip_next", row->skip_next, "held", held_json(row), "overdue", overdue_ms != 0,
	    "overdue_since", time_json(overdue_ms), "retry", "limit", (json_int_t)config->retry,
	    "wait_s", (json_int_t)config->retry_wait_s, "made", (json_int_t)row->retries, "next",
	    time_json(row->held ? 0 : row->retry_ms), "last_started",
	    time_json(row->last_started_ms), "last_finished", time_json(row->last_finished_ms),
	    "last_success", time_json(row->last_success_ms), "last_outcome",
	    text_json(row->last_outcome), "last_duration_ms", (json_int_t)row->last_duration_ms,
	    "last_files", (json_int_t)row->last_files, "last_bytes", (json_int_t)row->last_bytes,
	    "last_added_bytes", (json_int_t)row->last_added_bytes, "jump",
	    jump == NULL ? json_null() : jump, "last_proof", time_json(row->proof_ms),
	    "last_proof_outcome", text_json(row->proof_outcome), "prove",
	    prove_json(config, row));
}

json_t *
jobs_json(struct jobs *jobs, const char *name)
{
	const struct job *job = jobs_find(jobs, name);
	int64_t now_ms = jobs_now_ms(jobs), overdue_ms;
	const json_t *run;
	json_t *active, *json;

	if (job == NULL)
		return NULL;
	active = runs_active_jobs(jobs->runs);
	pthread_mutex_lock(&jobs->lock);
	overdue_ms = job_overdue_at_ms(job);
	json = job_row_json(job->config, &job->row, now_ms >= overdue_ms ? overdue_ms : 0);
	pthread_mutex_unlock(&jobs->lock);
	run = json_object_get(active, name);
	json_object_set_new(json, "running", run == NULL ? json_null()
	    : json_incref((json_t *)(uintptr_t)run));
	json_decref(active);
	return json;
}

int
jobs_trend(struct jobs *jobs, const char *name, unsigned limit, json_t **ret,
    struct error *err)
{
	return jobs_store_trend(jobs->store, name, limit > JOB_TREND_MAX ? JOB_TREND_MAX : limit,
	    ret, err);
}

static int
find(struct jobs *jobs, const char *name, struct job **ret, struct error *err)
{
	*ret = jobs_find(jobs, name);
	if (*ret != NULL)
		return 0;
	error_set(err, ERROR_NOT_FOUND, "there is no job '%.100s'", name);
	return error_hint(err, "GET /v1/jobs lists them");
}

/* What a request does to a row, and whether it may. */
typedef int change_fn(const struct jobs *jobs, const struct job *job, struct job_row *row,
    const char *text, const char *by, struct error *err);

static void
set_text(char **to, const char *text)
{
	free(*to);
	*to = text == NULL || *text == '\0' ? NULL : mem_strdup(text);
}

static int
hold(const struct jobs *jobs, const struct job *job, struct job_row *row, const char *text,
    const char *by, struct error *err)
{
	if (row->held) {
		error_set(err, ERROR_CONFLICT, "job '%s' is held already", job->config->name);
		return error_hint(err, "GET /v1/jobs/%s tells since when", job->config->name);
	}
	row->held = true;
	row->held_ms = jobs_now_ms(jobs);
	set_text(&row->held_reason, text);
	set_text(&row->held_by, by);
	return 0;
}

static int
release(const struct jobs *jobs, const struct job *job, struct job_row *row, const char *text,
    const char *by, struct error *err)
{
	(void)text;
	(void)by;
	if (!row->held)
		return error_set(err, ERROR_CONFLICT, "job '%s' is not held", job->config->name);
	row->held = false;
	row->held_ms = 0;
	set_text(&row->held_reason, NULL);
	set_text(&row->held_by, NULL);
	/* What came due meanwhile is not made up for. */
	row->armed_ms = jobs_now_ms(jobs);
	row->next_ms = job_next_ms(job, row->armed_ms);
	row->prove_next_ms = job_next_prove_ms(job, row->armed_ms);
	return 0;
}

static int
skip_next(const struct jobs *jobs, const struct job *job, struct job_row *row, const char *text,
    const char *by, struct error *err)
{
	(void)jobs;
	(void)text;
	if (job->config->timetable == NULL) {
		error_set(err, ERROR_CONFLICT, "job '%s' has no schedule", job->config->name);
		return error_hint(err, "it only starts when somebody asks for it");
	}
	row->skip_next = true;
	set_text(&row->skip_by, by);
	return 0;
}

static int
acknowledge(const struct jobs *jobs, const struct job *job, struct job_row *row,
    const char *text, const char *by, struct error *err)
{
	(void)jobs;
	(void)text;
	(void)by;
	if (row->jump == NULL)
		return error_set(err, ERROR_CONFLICT, "no figures of job '%s' jumped",
		    job->config->name);
	set_text(&row->jump, NULL);
	return 0;
}

static int
change(struct jobs *jobs, const char *name, change_fn *fn, const char *text, const char *by,
    struct error *err)
{
	struct job_row row;
	struct job *job;
	int rc;

	if (find(jobs, name, &job, err) != 0)
		return -1;
	pthread_mutex_lock(&jobs->change_lock);
	row = job_row_dup(&job->row);
	rc = fn(jobs, job, &row, text, by, err);
	if (rc == 0)
		rc = fn == acknowledge ? jobs_store_acknowledge(jobs->store, &row, err)
		    : jobs_store_save(jobs->store, &row, NULL, err);
	if (rc == 0)
		job_set_row(jobs, job, &row);
	else
		job_row_done(&row);
	pthread_mutex_unlock(&jobs->change_lock);
	jobs_wake(jobs);
	return rc;
}

int
jobs_hold(struct jobs *jobs, const char *name, const char *reason, const char *by,
    struct error *err)
{
	return change(jobs, name, hold, reason, by, err);
}

int
jobs_release(struct jobs *jobs, const char *name, struct error *err)
{
	return change(jobs, name, release, NULL, NULL, err);
}

int
jobs_skip_next(struct jobs *jobs, const char *name, const char *by, struct error *err)
{
	return change(jobs, name, skip_next, NULL, by, err);
}

int
jobs_acknowledge(struct jobs *jobs, const char *name, struct error *err)
{
	return change(jobs, name, acknowledge, NULL, NULL, err);
}
