#include "agent/jobs/runs.h"

#include <openssl/sha.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/runs_internal.h"
#include "shared/log.h"
#include "shared/mem.h"

struct run *
run_new(enum run_kind kind, const char *id, json_t *arguments, const char *command,
    const char *origin)
{
	struct run *run = MEM_NEW(struct run);

	snprintf(run->id, sizeof(run->id), "%s", id);
	run->kind = kind;
	run->arguments = arguments;
	run->command = mem_strdup(command == NULL ? "" : command);
	run->origin = mem_strdup(origin == NULL ? "" : origin);
	run->queued = time_now();
	time_format(run->queued, 3, run->queued_text);
	progress_init(&run->progress);
	return run;
}

void
run_release_input(struct run *run)
{
	if (run->input.release != NULL)
		run->input.release(run->input.input.arg);
	run->input.release = NULL;
}

void
run_free(struct run *run)
{
	if (run == NULL)
		return;
	run_release_input(run);
	for (struct run_waiter *waiter = run->waiters, *next; waiter != NULL; waiter = next) {
		next = waiter->next;
		free(waiter);
	}
	progress_done(&run->progress);
	run_result_done(&run->result);
	json_decref(run->final);
	json_decref(run->arguments);
	json_decref(run->limits);
	free(run->command);
	free(run->origin);
	free(run);
}

struct run *
runs_active(struct runs *runs, const char *id)
{
	for (size_t i = 0; i < runs->active_count; i++)
		if (strcmp(runs->active[i]->id, id) == 0)
			return runs->active[i];
	return NULL;
}

void
runs_enqueue(struct runs *runs, struct run *run)
{
	run->state = RUN_QUEUED;
	*runs->queue_last = run;
	runs->queue_last = &run->next_queued;
	runs->queued_count++;
	pthread_cond_signal(&runs->work);
}

/* What was lost, and what the repository still knew of it. */
static void
tell_damage(struct runs *runs, const char *notice)
{
	struct error err = ERROR_INIT;
	int count = runs_rebuild(runs, &err);

	if (count < 0)
		log_error("runs-not-rebuilt", &err, NULL);
	log_event(LOG_LEVEL_ERROR, "runs-damaged", json_pack("{s:s, s:i, s:s}", "message", notice,
	    "rebuilt", count < 0 ? 0 : count, "hint", "runs that made a snapshot were taken from "
	    "the repository; others, holds of jobs and jumps are not known any more"));
}

int
runs_open(const struct config *config, struct repository *repo, struct actionlog *log,
    struct runs **ret, struct error *err)
{
	struct runs *runs = MEM_NEW(struct runs);
	pthread_condattr_t monotonic;
	char *notice = NULL;

	runs->config = config;
	runs->repo = repo;
	runs->log = log;
	runs->limits = run_limits_new(config);
	runs->queue_last = &runs->queue;
	/* Numbers rise over restarts too, and stay exact in JSON (below 2^53). */
	runs->event_number = (uint64_t)time_now().tv_sec * 1000000;
	pthread_mutex_init(&runs->lock, NULL);
	pthread_mutex_init(&runs->events_lock, NULL);
	pthread_cond_init(&runs->work, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&runs->tick, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (runs_store_open(config->state, &runs->store, &notice, err) != 0) {
		runs_close(runs);
		return -1;
	}
	if (notice != NULL)
		tell_damage(runs, notice);
	free(notice);
	if (runs_recover(runs, err) != 0 || runs_start_threads(runs, err) != 0) {
		runs_close(runs);
		return -1;
	}
	*ret = runs;
	return 0;
}

void
runs_close(struct runs *runs)
{
	struct error stopped = ERROR_INIT;

	if (runs == NULL)
		return;
	runs_stop_threads(runs);
	if (runs->store != NULL)
		runs_save_ended(runs);
	error_set(
	    &stopped, ERROR_UNAVAILABLE, "the agent was stopped; the run waits for its start");
	for (size_t i = 0; i < runs->active_count; i++) {
		struct run *run = runs->active[i];
		json_t *json = run->waiters == NULL ? NULL : run_json(run, false);

		for (struct run_waiter *waiter = run->waiters; waiter != NULL;
		     waiter = waiter->next)
			waiter->ended(waiter->arg, json, &stopped);
		json_decref(json);
		run_free(run);
	}
	while (runs->subscriptions != NULL)
		runs_unsubscribe(runs, runs->subscriptions);
	free(runs->active);
	runs_store_close(runs->store);
	run_limits_free(runs->limits);
	pthread_cond_destroy(&runs->tick);
	pthread_cond_destroy(&runs->work);
	pthread_mutex_destroy(&runs->events_lock);
	pthread_mutex_destroy(&runs->lock);
	free(runs);
}

/* A start that was refused is an action that failed: it shows up in the log. */
static void
log_refusal(struct runs *runs, const struct run_start *start, const struct error *why)
{
	char *parameter = run_kind_parameter(start->kind, start->arguments);
	struct action action = { .action = run_kind_action(start->kind, start->arguments),
		.command = start->command,
		.parameter = parameter,
		.failed = true,
		.outcome = "failed",
		.origin = start->origin,
		.message = why->message };
	struct error err = ERROR_INIT;

	if (actionlog_write(runs->log, &action, NULL, &err) != 0)
		log_error("log-not-written", &err, NULL);
	free(parameter);
}

/* The same request gives the same text: kind and arguments, keys sorted. */
static void
fingerprint_of(const struct run_start *start, char out[2 * SHA256_DIGEST_LENGTH + 1])
{
	char *arguments = json_dumps(start->arguments, JSON_COMPACT | JSON_SORT_KEYS |
	    JSON_ENCODE_ANY);
	char *text = mem_printf("%s %s", run_kind_word(start->kind),
	    arguments == NULL ? "" : arguments);
	unsigned char hash[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text, strlen(text), hash);
	hex_encode(hash, sizeof(hash), out);
	free(text);
	free(arguments);
}

static int
check_queue(struct runs *runs, struct error *err)
{
	unsigned queued;
	bool stopping;

	pthread_mutex_lock(&runs->lock);
	queued = runs->queued_count;
	stopping = runs->stopping;
	pthread_mutex_unlock(&runs->lock);
	if (stopping)
		return error_set(err, ERROR_UNAVAILABLE, "the agent is stopping");
	if (queued < RUN_QUEUE_MAX)
		return 0;
	error_set(err, ERROR_TOO_MANY, "%u runs are waiting already", queued);
	return error_hint(
	    err, "wait until some have ended, or cancel them: GET /v1/runs?state=queued");
}

/* Record and queue; takes arguments over.  1: the key gave another run. */
static int
add_run(struct runs *runs, const struct run_start *start, json_t *arguments,
    const char *fingerprint, char ret_id[RUN_ID_TEXT_SIZE], struct error *err)
{
	struct run_row row = { .kind = start->kind, .arguments = arguments,
		.command = start->command, .origin = start->origin };
	unsigned char random[16];
	char id[RUN_ID_TEXT_SIZE];
	struct run *run;
	int rc;

	randombytes_buf(random, sizeof(random));
	hex_encode(random, sizeof(random), id);
	run = run_new(start->kind, id, arguments, start->command, start->origin);
	if (start->input != NULL)
		run->input = *start->input;
	row.id = run->id;
	row.queued = run->queued_text;
	/* It must be found from the moment it is recorded, by a repeated request for one. */
	pthread_mutex_lock(&runs->lock);
	MEM_GROW(runs->active, runs->active_count, runs->active_cap);
	runs->active[runs->active_count++] = run;
	pthread_mutex_unlock(&runs->lock);
	rc = runs_store_add(runs->store, &row, start->idempotency_key, fingerprint, ret_id, err);
	pthread_mutex_lock(&runs->lock);
	if (rc == 0) {
		runs_enqueue(runs, run);
		runs_tell_state(runs, run);
	} else {
		for (size_t i = 0; i < runs->active_count; i++)
			if (runs->active[i] == run)
				runs->active[i--] = runs->active[--runs->active_count];
	}
	pthread_mutex_unlock(&runs->lock);
	if (rc != 0) {
		run->input.release = NULL; /* still the caller's */
		run_free(run);
	}
	return rc;
}

int
runs_start(struct runs *runs, const struct run_start *start, char ret_id[RUN_ID_TEXT_SIZE],
    bool *ret_existing, struct error *err)
{
	struct run_context context = { .config = runs->config, .repo = runs->repo,
		.rights = POLICY_REMOTE,
		.input = start->input == NULL ? NULL : &start->input->input };
	char fingerprint[2 * SHA256_DIGEST_LENGTH + 1];
	json_t *arguments = NULL;
	int rc = 0;

	fingerprint_of(start, fingerprint);
	/* A repeated request is answered by its run, even if what it names has gone since. */
	if (start->idempotency_key != NULL)
		rc = runs_store_find_key(
		    runs->store, start->idempotency_key, fingerprint, ret_id, err);
	if (rc == 0) {
		rc = check_queue(runs, err);
		if (rc == 0)
			rc = run_kind_check(
			    start->kind, &context, start->arguments, &arguments, err);
		if (rc == 0)
			rc = add_run(runs, start, arguments, fingerprint, ret_id, err);
	}
	if (rc < 0) {
		log_refusal(runs, start, err);
		return -1;
	}
	*ret_existing = rc == 1;
	return 0;
}

int
runs_get(struct runs *runs, const char *id, json_t **ret, struct error *err)
{
	char full[RUN_ID_TEXT_SIZE];
	struct run *run;

	if (runs_store_find(runs->store, id, full, err) != 0)
		return -1;
	pthread_mutex_lock(&runs->lock);
	run = runs_active(runs, full);
	if (run != NULL)
		*ret = run_json(run, false);
	pthread_mutex_unlock(&runs->lock);
	/* It leaves the list only after the store has it. */
	return run != NULL ? 0 : runs_store_get(runs->store, full, ret, err);
}

static int
check_state_word(const char *state, struct error *err)
{
	static const char *const words[] = { "queued", "running", "paused", "ok", "warn", "failed",
		"cancelled", "aborted", RUN_SKIPPED_WORD };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i], state) == 0)
			return 0;
	error_set(err, ERROR_BAD_REQUEST, "'%.40s' is no state of a run", state);
	return error_hint(err,
	    "the states are queued, running, paused, ok, warn, failed, cancelled, "
	    "aborted, skipped");
}

/* A run as the store has it, or as it is by now; caller holds lock. */
static json_t *
of_now(struct runs *runs, json_t *row)
{
	struct run *run = runs_active(runs, json_string_value(json_object_get(row, "id")));

	return run != NULL ? run_json(run, true) : json_incref(row);
}

int
runs_list(struct runs *runs, const char *kind, const char *state, const char *cursor,
    unsigned limit, json_t **ret, struct error *err)
{
	enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };
	enum run_kind known;
	json_t *row, *list;
	size_t i;

	if (kind != NULL && run_kind_parse(kind, &known, err) != 0)
		return -1;
	if (state != NULL && check_state_word(state, err) != 0)
		return -1;
	if (limit == 0)
		limit = LIMIT_DEFAULT;
	if (limit > LIMIT_MAX)
		limit = LIMIT_MAX;
	if (runs_store_list(runs->store, kind, state, cursor, limit, ret, err) != 0)
		return -1;
	list = json_object_get(*ret, "runs");
	pthread_mutex_lock(&runs->lock);
	json_array_foreach(list, i, row)
		json_array_set_new(list, i, of_now(runs, row));
	pthread_mutex_unlock(&runs->lock);
	return 0;
}

int
runs_last_of_job(struct runs *runs, const char *job, json_t **ret, struct error *err)
{
	json_t *row = NULL;
	int rc = runs_store_last_of_job(runs->store, job, &row, err);

	if (rc == 1) {
		pthread_mutex_lock(&runs->lock);
		*ret = of_now(runs, row);
		pthread_mutex_unlock(&runs->lock);
		json_decref(row);
	}
	return rc;
}

static int
has_ended(const char *id, struct error *err)
{
	error_set(err, ERROR_CONFLICT, "run '%.8s' has ended", id);
	return error_hint(err, "GET /v1/runs/%s tells how", id);
}

/* Caller holds lock. */
static void
leave_queue(struct runs *runs, struct run *run)
{
	struct run **p = &runs->queue;

	while (*p != NULL && *p != run)
		p = &(*p)->next_queued;
	if (*p == NULL)
		return;
	*p = run->next_queued;
	if (*p == NULL)
		runs->queue_last = p;
	run->next_queued = NULL;
	runs->queued_count--;
}

int
runs_cancel(struct runs *runs, const char *id, struct error *err)
{
	struct error why = ERROR_INIT;
	char full[RUN_ID_TEXT_SIZE];
	struct run *run;
	bool queued = false, running = false;

	if (runs_store_find(runs->store, id, full, err) != 0)
		return -1;
	pthread_mutex_lock(&runs->lock);
	run = runs_active(runs, full);
	if (run != NULL && run->state == RUN_QUEUED) {
		/* No worker has seen it: it ends here. */
		queued = true;
		leave_queue(runs, run);
		run->state = RUN_ENDING;
	} else if (run != NULL && run->state < RUN_ENDING) {
		/* Running, or about to be queued: whoever works on it sees this. */
		running = true;
		progress_cancel(&run->progress);
	}
	pthread_mutex_unlock(&runs->lock);
	if (queued) {
		error_set(&why, ERROR_CANCELLED, "cancelled before it began");
		run_finish(runs, run, "cancelled", &why);
	}
	return queued || running ? 0 : has_ended(full, err);
}

int
runs_pause(struct runs *runs, const char *id, bool paused, struct error *err)
{
	enum run_state from = paused ? RUN_RUNNING : RUN_PAUSED;
	struct error ignored = ERROR_INIT;
	char full[RUN_ID_TEXT_SIZE];
	const char *state = NULL;
	struct run *run;
	int rc = 0;

	if (runs_store_find(runs->store, id, full, err) != 0)
		return -1;
	pthread_mutex_lock(&runs->lock);
	run = runs_active(runs, full);
	if (run == NULL || run->state == RUN_ENDING || run->state == RUN_ENDED) {
		rc = has_ended(full, err);
	} else if (run->state != from) {
		rc = error_set(err, ERROR_CONFLICT, "run '%.8s' is %s", full, run_state_word(run));
	} else {
		progress_pause(&run->progress, paused);
		run->state = paused ? RUN_PAUSED : RUN_RUNNING;
		run->rate_ms = 0;
		state = run_state_word(run);
		runs_tell_state(runs, run);
		pthread_cond_signal(&runs->tick);
	}
	pthread_mutex_unlock(&runs->lock);
	/* Only for lists by state; a pause does not outlive the process anyway. */
	if (rc == 0)
		runs_store_state(runs->store, full, state, NULL, &ignored);
	return rc;
}

int
runs_when_ended(struct runs *runs, const char *id, run_ended_fn *ended, void *arg,
    struct error *err)
{
	struct error failure = ERROR_INIT;
	char full[RUN_ID_TEXT_SIZE];
	json_t *json = NULL;
	struct run *run;

	if (runs_store_find(runs->store, id, full, err) != 0)
		return -1;
	pthread_mutex_lock(&runs->lock);
	run = runs_active(runs, full);
	if (run != NULL && run->state != RUN_ENDED) {
		struct run_waiter *waiter = MEM_NEW(struct run_waiter);

		*waiter = (struct run_waiter){ .ended = ended, .arg = arg, .next = run->waiters };
		run->waiters = waiter;
		pthread_mutex_unlock(&runs->lock);
		return 0;
	}
	if (run != NULL)
		json = run_json(run, false);
	pthread_mutex_unlock(&runs->lock);
	if (json == NULL && runs_store_get(runs->store, full, &json, err) != 0)
		return -1;
	run_error_from_json(json_object_get(json, "error"), &failure);
	ended(arg, json, &failure);
	json_decref(json);
	return 0;
}

void
runs_count(struct runs *runs, unsigned *ret_queued, unsigned *ret_running)
{
	unsigned running = 0;

	pthread_mutex_lock(&runs->lock);
	for (size_t i = 0; i < runs->active_count; i++)
		running += runs->active[i]->state == RUN_RUNNING ||
		    runs->active[i]->state == RUN_PAUSED || runs->active[i]->state == RUN_ENDING;
	*ret_queued = runs->queued_count;
	*ret_running = running;
	pthread_mutex_unlock(&runs->lock);
}

int
runs_healthy(struct runs *runs, struct error *err)
{
	return runs_store_try(runs->store, err);
}
