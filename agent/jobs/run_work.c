/*
 * Worker threads, and the end of a run.
 *
 * A run ends in this order: its outcome in the state database, its row in the log (once by run
 * id), the mark that it is logged.  If interrupted anywhere, the next start goes on from there,
 * so that there is exactly one row.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/run_hooks.h"
#include "agent/jobs/runs_internal.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/mem.h"

/* So many losses are spelled out in the log's message; the run has them all. */
#define LOSSES_IN_MESSAGE 5

/* What a load loses are rows that the table does not take. */
static bool
is_load(const json_t *run)
{
	const char *kind = json_string_value(json_object_get(run, "kind"));

	return kind != NULL && strncmp(kind, "load", 4) == 0;
}

static char *
losses_text(const json_t *run)
{
	json_int_t total = json_integer_value(json_object_get(run, "loss_total"));
	struct buffer text = BUFFER_INIT;
	const json_t *loss;
	size_t i;

	if (total == 0)
		return NULL;
	buffer_printf(&text, "%lld %s%s %s", (long long)total, is_load(run) ? "row" : "path",
	    total == 1 ? "" : "s", is_load(run) ? "rejected" : "lost");
	json_array_foreach(json_object_get(run, "losses"), i, loss) {
		const char *path = json_string_value(json_object_get(loss, "path"));
		const char *reason = json_string_value(json_object_get(loss, "reason"));

		if (i == LOSSES_IN_MESSAGE)
			break;
		buffer_printf(&text, "%s %s (%s)", i == 0 ? ":" : ",", path == NULL ? "?" : path,
		    reason == NULL ? "?" : reason);
	}
	if (total > LOSSES_IN_MESSAGE)
		buffer_put_text(&text, ", ...");
	return buffer_take(&text);
}

static const char *
text_of(const json_t *run, const char *name)
{
	return json_string_value(json_object_get(run, name));
}

static uint64_t
number_of(const json_t *run, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(run, name));
}

/* "jump: 12 files, usually 3000"; NULL if there is none. */
static char *
jumps_text(const json_t *run)
{
	const json_t *jumps = json_object_get(json_object_get(run, "result"), "jumps"), *jump;
	struct buffer text = BUFFER_INIT;
	size_t i;

	if (json_array_size(jumps) == 0)
		return NULL;
	json_array_foreach(jumps, i, jump)
		buffer_printf(&text, "%s %lld %s, usually %lld", i == 0 ? "jump:" : ";",
		    (long long)json_integer_value(json_object_get(jump, "value")),
		    text_of(jump, "figure"),
		    (long long)json_integer_value(json_object_get(jump, "usual")));
	return buffer_take(&text);
}

/* What went wrong, though it succeeded; NULL if nothing did. */
static char *
warnings_text(const json_t *run)
{
	const char *hook = text_of(json_object_get(run, "result"), "hook_failed");
	char *texts[] = { jumps_text(run), hook == NULL ? NULL : mem_strdup(hook),
		losses_text(run) };
	struct buffer all = BUFFER_INIT;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i] != NULL)
			buffer_printf(&all, "%s%s", all.len == 0 ? "" : "; ", texts[i]);
		free(texts[i]);
	}
	if (all.len == 0)
		return NULL;
	return buffer_take(&all);
}

/* The action's name.  A start that was left out is no backup, and must not count as one. */
static const char *
action_of(const json_t *run, enum run_kind *ret_kind)
{
	struct error ignored = ERROR_INIT;

	if (run_kind_parse(text_of(run, "kind"), ret_kind, &ignored) != 0)
		return "Run"; /* of a newer version */
	if (strcmp(text_of(run, "state"), RUN_SKIPPED_WORD) == 0)
		return "BackupSkipped";
	return run_kind_action(*ret_kind, json_object_get(run, "arguments"));
}

int
run_write_row(struct runs *runs, const json_t *run, struct error *err)
{
	const char *outcome = text_of(run, "state"), *began = text_of(run, "started");
	const json_t *failure = json_object_get(run, "error");
	struct error ignored = ERROR_INIT;
	char *warnings = warnings_text(run), *parameter = NULL;
	enum run_kind kind = RUN_BACKUP;
	struct action action = { .command = text_of(run, "command"),
		.run = text_of(run, "id"),
		.outcome = outcome,
		.once = true,
		.snapshot = text_of(run, "snapshot"),
		.origin = text_of(run, "origin"),
		.duration_ms = (int64_t)number_of(run, "duration_ms"),
		.files = number_of(run, "files"),
		.bytes = number_of(run, "bytes"),
		.stored_bytes = number_of(run, "stored_bytes") };
	int rc;

	action.action = action_of(run, &kind);
	action.failed = strcmp(outcome, "ok") != 0 && strcmp(outcome, "warn") != 0;
	action.parameter = parameter = run_kind_parameter(kind, json_object_get(run, "arguments"));
	action.message = json_is_object(failure) ? text_of(failure, "message") : warnings;
	if (began == NULL)
		began = text_of(run, "queued");
	if (began != NULL && time_parse(began, false, &action.date, &ignored) != 0)
		action.date = (struct timespec){ 0, 0 };
	rc = actionlog_write(runs->log, &action, NULL, err);
	free(parameter);
	free(warnings);
	return rc;
}

/* Of one that the last process executed, by the clock on the wall. */
static int64_t
duration_of(const struct run *run)
{
	int64_t ms = 0;

	if (run->started_ms != 0)
		return time_monotonic_ms() - run->started_ms;
	if (run->result.snapshot[0] != '\0')
		ms = (int64_t)(run->finished.tv_sec - run->started.tv_sec) * 1000;
	return ms > 0 ? ms : 0;
}

/* What the run came to, as JSON and for the store; caller holds lock. */
static void
set_end(struct run *run)
{
	json_t *json;

	if (run->finished.tv_sec == 0)
		run->finished = time_now();
	time_format(run->finished, 3, run->finished_text);
	json = run_json(run, false);
	run->end = (struct run_end){
		.outcome = run->outcome,
		.finished = run->finished_text,
		.duration_ms = duration_of(run),
		.snapshot = run->result.snapshot[0] == '\0' ? NULL : run->result.snapshot,
		.loss_total = number_of(json, "loss_total"),
		.note_total = number_of(json, "note_total"),
		.files = run->result.files, .bytes = run->result.bytes,
		.stored_bytes = run->result.stored_bytes,
	};
	/* A run that failed half-way tells how far it came. */
	if (run->failure.code != ERROR_NONE && run->result.json == NULL && run->started_ms != 0) {
		run->end.files = atomic_load(&run->progress.files);
		run->end.bytes = atomic_load(&run->progress.bytes);
		run->end.stored_bytes = atomic_load(&run->progress.stored_bytes);
	}
	json_object_set_new(json, "state", json_string(run->outcome));
	json_object_set_new(json, "outcome", json_string(run->outcome));
	json_object_set_new(json, "finished", json_string(run->finished_text));
	json_object_set_new(json, "progress", json_null());
	json_object_set_new(json, "snapshot", run->end.snapshot == NULL ? json_null()
	    : json_string(run->end.snapshot));
	json_object_set_new(json, "error", run_error_json(&run->failure));
	json_object_set(json, "result", run->result.json == NULL ? json_null() : run->result.json);
	run->end.losses = json_object_get(json, "losses");
	run->end.notes = json_object_get(json, "notes");
	run->end.result = run->result.json;
	if (run->failure.code != ERROR_NONE)
		run->end.error = json_object_get(json, "error");
	run->final = json;
}

json_t *
run_end_json(const struct run *run)
{
	json_t *document = json_copy(run->final);

	json_object_set_new(document, "duration_ms", json_integer(run->end.duration_ms));
	json_object_set_new(document, "files", json_integer((json_int_t)run->end.files));
	json_object_set_new(document, "bytes", json_integer((json_int_t)run->end.bytes));
	json_object_set_new(document, "stored_bytes",
	    json_integer((json_int_t)run->end.stored_bytes));
	return document;
}

/* Databases of a run that is ending or ended; the caller alone may do this to it. */
static int
save(struct runs *runs, struct run *run, struct error *err)
{
	json_t *row;
	int rc = 0;

	if (!run->saved) {
		if (runs_store_end(runs->store, run->id, &run->end, err) != 0)
			return -1;
		/* If interrupted here, the next start finds the run not logged. */
		run->saved = true;
	}
	if (!run->logged) {
		row = run_end_json(run);
		rc = run_write_row(runs, row, err);
		json_decref(row);
		if (rc != 0)
			return -1;
		/* If interrupted here, the next start writes no second row: `once`. */
		run->logged = true;
	}
	return runs_store_logged(runs->store, run->id, err);
}

/* Caller holds lock. */
static void
deactivate(struct runs *runs, struct run *run)
{
	for (size_t i = 0; i < runs->active_count; i++) {
		if (runs->active[i] != run)
			continue;
		runs->active[i] = runs->active[--runs->active_count];
		return;
	}
}

/* {"run", "kind", "job" of one that works for a job}, for our own log. */
static json_t *
run_fields(const struct run *run)
{
	json_t *fields = json_pack("{s:s, s:s}", "run", run->id, "kind", run_kind_word(run->kind));
	const char *job = run_job(run->kind, run->arguments);

	if (job != NULL)
		json_object_set_new(fields, "job", json_string(job));
	return fields;
}

static void
report_start(const struct run *run)
{
	json_t *fields = run_fields(run);

	json_object_set(fields, "arguments", run->arguments);
	log_event(LOG_LEVEL_INFO, "run-started", fields);
}

static void
report_end(const struct run *run, const struct error *trouble)
{
	json_t *fields = run_fields(run);

	json_object_set_new(fields, "outcome", json_string(run->outcome));
	json_object_set_new(fields, "duration_ms", json_integer(run->end.duration_ms));
	json_object_set(fields, "error", json_object_get(run->final, "error"));
	log_event(strcmp(run->outcome, "failed") == 0 || strcmp(run->outcome, "aborted") == 0
	    ? LOG_LEVEL_ERROR : strcmp(run->outcome, "ok") == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
	    "run-ended", fields);
	if (trouble->code != ERROR_NONE)
		log_error("run-not-saved", trouble, json_pack("{s:s}", "run", run->id));
}

static void
tell_ended(struct runs *runs, struct run *run)
{
	json_t *data = json_copy(run->final);

	json_object_set_new(data, "run", json_string(run->id));
	pthread_mutex_lock(&runs->events_lock);
	runs_tell(runs, run->id, "ended", data);
	pthread_mutex_unlock(&runs->events_lock);
}

/* A run leaves freed memory in the pools of its threads: an agent at rest stays small. */
static void
give_memory_back(struct runs *runs)
{
	unsigned queued, running;

	runs_count(runs, &queued, &running);
	if (queued > 0 || running > 0)
		return;
	if (runs->repo != NULL)
		repository_trim(runs->repo);
	malloc_trim(0);
}

void
run_finish(struct runs *runs, struct run *run, const char *outcome, const struct error *failure)
{
	struct error trouble = ERROR_INIT;
	struct run_waiter *waiters;
	struct error failed;
	json_t *final;
	bool done;

	pthread_mutex_lock(&runs->lock);
	run->state = RUN_ENDING;
	run->outcome = outcome;
	run->failure = *failure;
	set_end(run);
	pthread_mutex_unlock(&runs->lock);

	done = save(runs, run, &trouble) == 0;
	report_end(run, &trouble);
	/* Who hears that it ended finds its job up to date. */
	runs_tell_job_ended(runs, run);

	pthread_mutex_lock(&runs->lock);
	runs_tell_progress(runs, run, false);
	run->state = RUN_ENDED;
	waiters = run->waiters;
	run->waiters = NULL;
	final = json_incref(run->final);
	failed = run->failure;
	if (done)
		deactivate(runs, run);
	tell_ended(runs, run);
	/* One that could not be saved stays, for the ticker to try again. */
	pthread_cond_signal(&runs->tick);
	pthread_mutex_unlock(&runs->lock);

	while (waiters != NULL) {
		struct run_waiter *next = waiters->next;

		waiters->ended(waiters->arg, final, &failed);
		free(waiters);
		waiters = next;
	}
	json_decref(final);
	run_release_input(run);
	if (done)
		run_free(run);
	give_memory_back(runs);
}

void
runs_save_ended(struct runs *runs)
{
	for (;;) {
		struct error err = ERROR_INIT;
		struct run *run = NULL;

		pthread_mutex_lock(&runs->lock);
		for (size_t i = 0; i < runs->active_count && run == NULL; i++)
			if (runs->active[i]->state == RUN_ENDED)
				run = runs->active[i];
		pthread_mutex_unlock(&runs->lock);
		/* Only the ticker gets here, and close once the ticker is gone: the run stays. */
		if (run == NULL || save(runs, run, &err) != 0)
			return;
		log_event(LOG_LEVEL_INFO, "run-saved", json_pack("{s:s}", "run", run->id));
		runs_tell_job_ended(runs, run);
		pthread_mutex_lock(&runs->lock);
		deactivate(runs, run);
		pthread_mutex_unlock(&runs->lock);
		run_free(run);
	}
}

/* Do it, with the job's hook before it; returns the outcome as far as that goes. */
static const char *
work(struct runs *runs, struct run *run, const struct run_context *context,
    struct run_hooks *hooks, struct error *err)
{
	bool warned;
	int rc = progress_check(&run->progress, err);

	if (rc == 0)
		rc = run_hooks_before(
		    hooks, run->kind, context, run->arguments, &run->progress, err);
	if (rc > 0)
		return RUN_SKIPPED_WORD;
	if (rc == 0 && run_kind_execute(run->kind, context, run->arguments, &run->progress,
	    &run->result, err) == 0) {
		error_clear(err);
		pthread_mutex_lock(&run->progress.lock);
		warned = run->progress.losses.total > 0;
		pthread_mutex_unlock(&run->progress.lock);
		run_find_jumps(runs, run);
		warned |= json_object_get(run->result.json, "jumps") != NULL;
		return warned ? "warn" : "ok";
	}
	if (err->code == ERROR_CANCELLED) {
		pthread_mutex_lock(&runs->lock);
		if (runs->stopping)
			error_set(err, ERROR_CANCELLED, "the agent was stopped");
		pthread_mutex_unlock(&runs->lock);
		return "cancelled";
	}
	if (err->code == ERROR_NONE)
		error_set(err, ERROR_INTERNAL, "the run failed without a reason");
	return "failed";
}

static void
execute(struct runs *runs, struct run *run)
{
	struct run_context context = { .config = runs->config, .repo = runs->repo, .run = run->id,
		.rights = POLICY_REMOTE, .limits = runs->limits, .store = runs->store,
		.input = run->input.release == NULL ? NULL : &run->input.input };
	struct run_hooks hooks = { .job = NULL };
	struct error err = ERROR_INIT;
	const char *outcome;

	/* If this is not recorded and we crash, the run is queued again instead of aborted. */
	if (runs_store_state(runs->store, run->id, "running", run->started_text, &err) != 0)
		log_error("run-not-saved", &err, json_pack("{s:s}", "run", run->id));
	report_start(run);
	runs_tell_job_started(runs, run);
	error_clear(&err);
	outcome = work(runs, run, &context, &hooks, &err);
	outcome = run_hooks_after(
	    &hooks, &context, &run->progress, &run->result, outcome, &err);
	run_finish(runs, run, outcome, &err);
}

static void *
worker_main(void *arg)
{
	struct runs *runs = arg;

	pthread_mutex_lock(&runs->lock);
	for (;;) {
		struct run *run;

		while (runs->queue == NULL && !runs->stopping)
			pthread_cond_wait(&runs->work, &runs->lock);
		if (runs->stopping)
			break;
		run = runs->queue;
		runs->queue = run->next_queued;
		if (runs->queue == NULL)
			runs->queue_last = &runs->queue;
		run->next_queued = NULL;
		runs->queued_count--;
		run->state = RUN_RUNNING;
		run->limits = run_limits_json(runs->limits, POLICY_REMOTE, run->arguments);
		run->started = time_now();
		run->started_ms = time_monotonic_ms();
		time_format(run->started, 3, run->started_text);
		runs_tell_state(runs, run);
		pthread_cond_signal(&runs->tick);
		pthread_mutex_unlock(&runs->lock);
		execute(runs, run);
		pthread_mutex_lock(&runs->lock);
	}
	pthread_mutex_unlock(&runs->lock);
	return NULL;
}

int
runs_start_threads(struct runs *runs, struct error *err)
{
	size_t wanted = (size_t)runs->config->run_workers;
	int sys;

	runs->workers = mem_calloc(wanted, sizeof(*runs->workers));
	sys = pthread_create(&runs->ticker, NULL, runs_ticker_main, runs);
	runs->ticker_runs = sys == 0;
	while (sys == 0 && runs->worker_count < wanted) {
		sys = pthread_create(&runs->workers[runs->worker_count], NULL, worker_main, runs);
		if (sys == 0)
			runs->worker_count++;
	}
	if (sys != 0)
		return error_sys(err, ERROR_IO, sys, "could not start a worker thread");
	return 0;
}

void
runs_stop_threads(struct runs *runs)
{
	pthread_mutex_lock(&runs->lock);
	runs->stopping = true;
	for (size_t i = 0; i < runs->active_count; i++)
		if (runs->active[i]->state == RUN_RUNNING || runs->active[i]->state == RUN_PAUSED)
			progress_cancel(&runs->active[i]->progress);
	pthread_cond_broadcast(&runs->work);
	pthread_cond_broadcast(&runs->tick);
	pthread_mutex_unlock(&runs->lock);
	for (size_t i = 0; i < runs->worker_count; i++)
		pthread_join(runs->workers[i], NULL);
	if (runs->ticker_runs)
		pthread_join(runs->ticker, NULL);
	free(runs->workers);
	runs->workers = NULL;
	runs->worker_count = 0;
	runs->ticker_runs = false;
}
