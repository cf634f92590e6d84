/*
 * Events of runs, and the ticker thread that measures and tells their progress.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/runs_internal.h"
#include "shared/mem.h"

/* An ended run that could not be saved (the disk was full) is tried again so often. */
#define SAVE_AGAIN_MS 2000

void
runs_tell(struct runs *runs, const char *id, const char *event, json_t *data)
{
	uint64_t number = runs->event_number++;

	for (struct run_subscription *s = runs->subscriptions; s != NULL; s = s->next)
		if (s->id[0] == '\0' || strcmp(s->id, id) == 0)
			s->each(s->arg, event, number, data);
	json_decref(data);
}

static json_t *
state_json(const struct run *run)
{
	return json_pack("{s:s, s:s, s:s}", "run", run->id, "kind", run_kind_word(run->kind),
	    "state", run_state_word(run));
}

void
runs_tell_state(struct runs *runs, struct run *run)
{
	pthread_mutex_lock(&runs->events_lock);
	runs_tell(runs, run->id, "state", state_json(run));
	pthread_mutex_unlock(&runs->events_lock);
}

static bool
is_followed(const struct runs *runs, const struct run *run)
{
	for (const struct run_subscription *s = runs->subscriptions; s != NULL; s = s->next)
		if (s->id[0] == '\0' || strcmp(s->id, run->id) == 0)
			return true;
	return false;
}

static void
tell_remarks(struct runs *runs, struct run *run, const char *event,
    const struct remarks *remarks, uint64_t *told)
{
	json_t *fresh = run_remarks_json(&run->progress, remarks, *told), *remark;
	size_t i;

	*told += json_array_size(fresh);
	json_array_foreach(fresh, i, remark) {
		json_object_set_new(remark, "run", json_string(run->id));
		runs_tell(runs, run->id, event, json_incref(remark));
	}
	json_decref(fresh);
}

void
runs_tell_progress(struct runs *runs, struct run *run, bool with_progress)
{
	json_t *data;

	pthread_mutex_lock(&runs->events_lock);
	if (is_followed(runs, run)) {
		tell_remarks(runs, run, "loss", &run->progress.losses, &run->losses_told);
		tell_remarks(runs, run, "note", &run->progress.notes, &run->notes_told);
		if (with_progress) {
			data = run_progress_json(run);
			json_object_set_new(data, "run", json_string(run->id));
			runs_tell(runs, run->id, "progress", data);
		}
	}
	pthread_mutex_unlock(&runs->events_lock);
}

/* A mean in which a moment's weight fades with its age, however long the ticks are. */
static void
measure_rate(struct run *run, int64_t now_ms)
{
	uint64_t bytes = atomic_load(&run->progress.bytes);
	double elapsed_ms = (double)(now_ms - run->rate_ms), momentary, weight;

	if (run->rate_ms == 0 || bytes < run->rate_bytes) {
		/* The start, or a new phase that counts from zero. */
		run->rate = 0;
	} else if (elapsed_ms >= 1) {
		momentary = (double)(bytes - run->rate_bytes) * 1000 / elapsed_ms;
		weight = run->rate > 0 ? elapsed_ms / (elapsed_ms + RUN_RATE_WINDOW_MS) : 1;
		run->rate += weight * (momentary - run->rate);
	}
	run->rate_bytes = bytes;
	run->rate_ms = now_ms;
}

static void
wait_ms(struct runs *runs, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&runs->tick, &runs->lock, &until);
}

void *
runs_ticker_main(void *arg)
{
	struct runs *runs = arg;
	int64_t saved_ms = 0;

	pthread_mutex_lock(&runs->lock);
	while (!runs->stopping) {
		int64_t now_ms = time_monotonic_ms();
		bool running = false, unsaved = false;

		for (size_t i = 0; i < runs->active_count; i++) {
			struct run *run = runs->active[i];

			unsaved |= run->state == RUN_ENDED;
			running |= run->state == RUN_PAUSED;
			if (run->state != RUN_RUNNING)
				continue;
			running = true;
			/* Woken early by a new run: the others keep their pace. */
			if (run->rate_ms != 0 && now_ms - run->rate_ms < RUN_TICK_MS)
				continue;
			measure_rate(run, now_ms);
			runs_tell_progress(runs, run, true);
		}
		if (unsaved && now_ms - saved_ms >= SAVE_AGAIN_MS) {
			pthread_mutex_unlock(&runs->lock);
			runs_save_ended(runs);
			saved_ms = time_monotonic_ms();
			pthread_mutex_lock(&runs->lock);
			continue;
		}
		/* At rest nothing wakes this thread. */
		if (running)
			wait_ms(runs, RUN_TICK_MS);
		else if (unsaved)
			wait_ms(runs, SAVE_AGAIN_MS);
		else
			pthread_cond_wait(&runs->tick, &runs->lock);
	}
	pthread_mutex_unlock(&runs->lock);
	return NULL;
}

int
runs_subscribe(struct runs *runs, const char *id, run_event_fn *each, void *arg,
    struct run_subscription **ret, struct error *err)
{
	struct run_subscription *subscription = MEM_NEW(struct run_subscription);
	struct run *run = NULL;
	json_t *ended = NULL, *now;

	subscription->each = each;
	subscription->arg = arg;
	if (id != NULL && runs_store_find(runs->store, id, subscription->id, err) != 0) {
		free(subscription);
		return -1;
	}
	pthread_mutex_lock(&runs->lock);
	if (id != NULL)
		run = runs_active(runs, subscription->id);
	pthread_mutex_lock(&runs->events_lock);
	subscription->next = runs->subscriptions;
	runs->subscriptions = subscription;
	if (run != NULL && run->state == RUN_ENDED)
		ended = run_json(run, false);
	if (run != NULL && run->state != RUN_ENDED) {
		/* Where it stands; what follows are changes. */
		now = state_json(run);
		each(arg, "state", runs->event_number++, now);
		json_decref(now);
	}
	pthread_mutex_unlock(&runs->events_lock);
	pthread_mutex_unlock(&runs->lock);
	if (id != NULL && run == NULL &&
	    runs_store_get(runs->store, subscription->id, &ended, err) != 0) {
		runs_unsubscribe(runs, subscription);
		return -1;
	}
	if (ended != NULL) {
		json_object_set_new(ended, "run", json_string(subscription->id));
		pthread_mutex_lock(&runs->events_lock);
		each(arg, "ended", runs->event_number++, ended);
		pthread_mutex_unlock(&runs->events_lock);
		json_decref(ended);
	}
	*ret = subscription;
	return 0;
}

void
runs_unsubscribe(struct runs *runs, struct run_subscription *subscription)
{
	if (subscription == NULL)
		return;
	/* Whoever is telling holds this lock: after it nobody calls back. */
	pthread_mutex_lock(&runs->events_lock);
	for (struct run_subscription **p = &runs->subscriptions; *p != NULL; p = &(*p)->next) {
		if (*p != subscription)
			continue;
		*p = subscription->next;
		break;
	}
	pthread_mutex_unlock(&runs->events_lock);
	free(subscription);
}
