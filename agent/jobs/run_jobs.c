/*
 * Runs of jobs: starts that are due, and figures that are not as usual.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/jobs_store.h"
#include "agent/jobs/runs_internal.h"
#include "shared/log.h"
#include "shared/mem.h"

/* So many places of the queue are left for requests. */
#define QUEUE_FOR_REQUESTS 100

/* Usual is the median of so many good runs, once there are this few. */
#define HISTORY_MAX 10
#define HISTORY_LEAST 5

/* Less is no jump, whatever the share: a folder of ten letters may well double. */
#define JUMP_FILES_LEAST 20
#define JUMP_BYTES_LEAST (16 << 20)
/* A share of fewer files says nothing. */
#define SHARE_FILES_LEAST 100

#define COMMAND_ORIGIN "agent"

struct runs_store *
runs_store_of(struct runs *runs)
{
	return runs->store;
}

void
runs_on_job(struct runs *runs, run_job_fn *fn, void *arg)
{
	pthread_mutex_lock(&runs->lock);
	runs->job_fn = fn;
	runs->job_arg = arg;
	pthread_mutex_unlock(&runs->lock);
}

static void
tell(struct runs *runs, bool ended, const char *job, const json_t *document)
{
	run_job_fn *fn;
	void *arg;

	pthread_mutex_lock(&runs->lock);
	fn = runs->job_fn;
	arg = runs->job_arg;
	pthread_mutex_unlock(&runs->lock);
	if (fn != NULL)
		fn(arg, ended, job, document);
}

/* The job that hears of the run: it is one of its backups, or a test restore of them. */
static const char *
concerned_job(const struct run *run)
{
	return run->kind == RUN_PROVE ? argument_text(run->arguments, "job")
	    : run_job(run->kind, run->arguments);
}

void
runs_tell_job_started(struct runs *runs, struct run *run)
{
	const char *job = concerned_job(run);
	json_t *document;

	if (job == NULL)
		return;
	pthread_mutex_lock(&runs->lock);
	document = run_json(run, false);
	pthread_mutex_unlock(&runs->lock);
	tell(runs, false, job, document);
	json_decref(document);
}

void
runs_tell_job_ended(struct runs *runs, struct run *run)
{
	const char *job = concerned_job(run);
	json_t *document;

	if (job == NULL)
		return;
	document = run_end_json(run);
	tell(runs, true, job, document);
	json_decref(document);
}

size_t
runs_room(struct runs *runs)
{
	size_t room = RUN_QUEUE_MAX - QUEUE_FOR_REQUESTS;

	pthread_mutex_lock(&runs->lock);
	room = runs->stopping || runs->queued_count >= room ? 0 : room - runs->queued_count;
	pthread_mutex_unlock(&runs->lock);
	return room;
}

static json_t *
active_of(struct runs *runs, bool proofs)
{
	json_t *jobs = json_object();

	pthread_mutex_lock(&runs->lock);
	for (size_t i = 0; i < runs->active_count; i++) {
		const struct run *run = runs->active[i];
		const char *job = (run->kind == RUN_PROVE) == proofs ? concerned_job(run) : NULL;

		/* One that is skipped ends without ever having gone. */
		if (job != NULL && run->state < RUN_ENDED &&
		    (run->state != RUN_ENDING || run->started_ms != 0))
			json_object_set_new(jobs, job, json_string(run->id));
	}
	pthread_mutex_unlock(&runs->lock);
	return jobs;
}

json_t *
runs_active_jobs(struct runs *runs)
{
	return active_of(runs, false);
}

json_t *
runs_active_proofs(struct runs *runs)
{
	return active_of(runs, true);
}

static struct run *
new_run(struct run_due *due)
{
	unsigned char random[16];

	randombytes_buf(random, sizeof(random));
	hex_encode(random, sizeof(random), due->id);
	/* A copy, as its thread counts references to it while the scheduler still has its own. */
	return run_new(due->kind, due->id, json_deep_copy(due->arguments), due->command,
	    COMMAND_ORIGIN);
}

/* It is in the database: now it is in the queue, or about to end. */
static void
begin(struct runs *runs, struct run *run, bool skipped)
{
	pthread_mutex_lock(&runs->lock);
	MEM_GROW(runs->active, runs->active_count, runs->active_cap);
	runs->active[runs->active_count++] = run;
	if (skipped) {
		run->state = RUN_ENDING;
	} else {
		runs_enqueue(runs, run);
		runs_tell_state(runs, run);
	}
	pthread_mutex_unlock(&runs->lock);
}

void
runs_end_skipped(struct runs *runs, struct run_due *due, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct error why = ERROR_INIT;

		if (due[i].ending == NULL)
			continue;
		error_set(&why, ERROR_CONFLICT, "%s", due[i].skipped);
		run_finish(runs, due[i].ending, RUN_SKIPPED_WORD, &why);
		due[i].ending = NULL;
	}
}

int
runs_start_due(struct runs *runs, struct run_due *due, size_t count, struct error *err)
{
	struct job_start *starts = mem_calloc(count, sizeof(*starts));
	struct run_row *rows = mem_calloc(count, sizeof(*rows));
	struct run **started = mem_calloc(count, sizeof(struct run *));
	int rc;

	for (size_t i = 0; i < count; i++) {
		struct run *run = started[i] = new_run(&due[i]);

		rows[i] = (struct run_row){ .id = run->id, .kind = run->kind,
			.arguments = run->arguments, .command = run->command,
			.origin = run->origin, .queued = run->queued_text };
		starts[i] = (struct job_start){ .run = &rows[i], .row = due[i].row };
		if (due[i].skipped != NULL) {
			starts[i].outcome = RUN_SKIPPED_WORD;
			starts[i].error = json_pack("{s:s, s:s, s:s}", "code",
			    error_word(ERROR_CONFLICT), "message", due[i].skipped, "hint", "");
		}
	}
	rc = jobs_store_start(runs->store, starts, count, err);
	/* If interrupted here, what is queued is found in the database at the next start. */
	for (size_t i = 0; i < count; i++) {
		due[i].ending = rc == 0 && due[i].skipped != NULL ? started[i] : NULL;
		if (rc == 0)
			begin(runs, started[i], due[i].skipped != NULL);
		else
			run_free(started[i]);
		json_decref((json_t *)(uintptr_t)starts[i].error);
	}
	free(started);
	free(rows);
	free(starts);
	return rc;
}

static int
compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static uint64_t
median(uint64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static uint64_t
share_of(uint64_t files, uint64_t changed)
{
	return files == 0 ? 0 : changed * 100 / files;
}

/* More than so many per cent are missing from one of both. */
static bool
is_far(uint64_t a, uint64_t b, uint64_t least, int64_t per_cent)
{
	uint64_t small = a < b ? a : b, large = a < b ? b : a;

	return large - small >= least && (double)small < (double)large * (double)(100 - per_cent) /
	    100;
}

static void
add_jump(json_t *jumps, const char *figure, uint64_t value, uint64_t usual, size_t runs)
{
	json_array_append_new(jumps, json_pack("{s:s, s:I, s:I, s:I}", "figure", figure, "value",
	    (json_int_t)value, "usual", (json_int_t)usual, "runs", (json_int_t)runs));
}

json_t *
run_jumps(const struct job_figures *now, const struct job_figures *history, size_t count,
    bool vouched, int64_t per_cent)
{
	uint64_t files[HISTORY_MAX], bytes[HISTORY_MAX], shares[HISTORY_MAX], usual;
	uint64_t share = share_of(now->files, now->changed_files);
	json_t *jumps = json_array();

	if (per_cent == 0 || count == 0 || (count < HISTORY_LEAST && !vouched))
		return jumps;
	for (size_t i = 0; i < count; i++) {
		files[i] = history[i].files;
		bytes[i] = history[i].bytes;
		shares[i] = share_of(history[i].files, history[i].changed_files);
	}
	usual = median(files, count);
	if (is_far(now->files, usual, JUMP_FILES_LEAST, per_cent))
		add_jump(jumps, "files", now->files, usual, count);
	usual = median(bytes, count);
	if (is_far(now->bytes, usual, JUMP_BYTES_LEAST, per_cent))
		add_jump(jumps, "bytes", now->bytes, usual, count);
	/* Fewer changes than usual are a quiet day. */
	usual = median(shares, count);
	if (now->files >= SHARE_FILES_LEAST && share > usual + (uint64_t)per_cent)
		add_jump(jumps, "changed_percent", share, usual, count);
	return jumps;
}

void
run_find_jumps(struct runs *runs, struct run *run)
{
	const char *name = run_job(run->kind, run->arguments);
	const struct config_job *job = name == NULL ? NULL : config_job_find(runs->config, name);
	struct job_figures history[HISTORY_MAX], now;
	const json_t *result = run->result.json;
	struct error err = ERROR_INIT;
	bool vouched = false;
	size_t count = 0;
	json_t *jumps;

	if (job == NULL || job->jump == 0 || result == NULL)
		return;
	/* Without its history the run is judged by its losses alone. */
	if (jobs_store_history(runs->store, name, history, HISTORY_MAX, &count, &vouched,
	    &err) != 0) {
		log_error("history-not-read", &err, json_pack("{s:s, s:s}", "job", name, "run",
		    run->id));
		return;
	}
	now = (struct job_figures){ .files = run->result.files, .bytes = run->result.bytes,
		.changed_files = (uint64_t)(json_integer_value(json_object_get(
		    result, "new_files")) + json_integer_value(json_object_get(
		    result, "changed_files"))) };
	jumps = run_jumps(&now, history, count, vouched, job->jump);
	if (json_array_size(jumps) > 0)
		json_object_set(run->result.json, "jumps", jumps);
	json_decref(jumps);
}
