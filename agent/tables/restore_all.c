/*
 * Several tables, over several connections: of those that may go next each thread takes the one
 * with the most behind it, so that at the end none loads a large table while the others are idle.
 *
 * Threads wait for each other in two places, and hold nothing there that another one needs: before
 * a step that needs others, with no connection, and before the swap, on a connection that is in no
 * transaction and so has no locks at the server.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/restore_internal.h"
#include "shared/mem.h"

enum step_state { STEP_WAITS, STEP_RUNS, STEP_DONE };

struct crew {
	struct repository *repo;
	const struct tables_restore_options *options;
	struct progress *progress;
	struct restore_order order;
	pthread_mutex_t swapping;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	enum step_state *states;
	json_t **results;     /* one for each step, NULL until it is done */
	char snapshot[SNAPSHOT_ID_TEXT_SIZE];
	struct error failure; /* the first */
};

static bool
may_run(const struct crew *crew, size_t i)
{
	const struct restore_step *step = &crew->order.steps[i];

	if (crew->states[i] != STEP_WAITS)
		return false;
	for (size_t k = 0; k < step->need_count; k++)
		if (crew->states[step->needs[k]] != STEP_DONE)
			return false;
	return true;
}

/* The lock is held.  False: nothing is left to begin. */
static bool
take_step(struct crew *crew, size_t *ret)
{
	const struct restore_step *steps = crew->order.steps;

	for (;;) {
		size_t best = crew->order.count;
		bool left = false;

		if (crew->failure.code != ERROR_NONE)
			return false;
		for (size_t i = 0; i < crew->order.count; i++) {
			if (may_run(crew, i) && (best == crew->order.count ||
			    steps[i].weight > steps[best].weight))
				best = i;
			left = left || crew->states[i] == STEP_WAITS;
		}
		if (best < crew->order.count) {
			*ret = best;
			return true;
		}
		/* What still waits does so for one that runs: needs are steps before it. */
		if (!left)
			return false;
		pthread_cond_wait(&crew->changed, &crew->lock);
	}
}

static void
settle_step(struct crew *crew, size_t i, int rc, json_t *result, const char *snapshot,
    struct error *err)
{
	const char *name = crew->order.steps[i].name;

	if (rc == 0) {
		crew->states[i] = STEP_DONE;
		crew->results[i] = result;
		memcpy(crew->snapshot, snapshot, SNAPSHOT_ID_TEXT_SIZE);
		atomic_fetch_add(&crew->progress->files, 1);
	} else if (crew->failure.code == ERROR_NONE) {
		if (crew->order.count > 1 && strstr(err->message, name) == NULL)
			error_prefix(err, "table '%.100s': ", name);
		crew->failure = *err;
	}
	pthread_cond_broadcast(&crew->changed);
}

static void *
crew_main(void *arg)
{
	struct crew *crew = arg;
	struct tables_restore_options options = *crew->options;
	size_t i;

	options.swapping = &crew->swapping;
	pthread_mutex_lock(&crew->lock);
	while (take_step(crew, &i)) {
		char snapshot[SNAPSHOT_ID_TEXT_SIZE] = "";
		struct error err = ERROR_INIT;
		json_t *result = NULL;
		int rc;

		crew->states[i] = STEP_RUNS;
		pthread_mutex_unlock(&crew->lock);
		options.table = crew->order.steps[i].name;
		rc = tables_restore(crew->repo, &options, crew->progress, snapshot, &result, &err);
		pthread_mutex_lock(&crew->lock);
		settle_step(crew, i, rc, result, snapshot, &err);
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* This thread is one of them: those that cannot be started leave it their work. */
static void
run_crew(struct crew *crew, unsigned connections)
{
	size_t wanted = connections < crew->order.count ? connections : crew->order.count;
	pthread_t *threads = mem_calloc(wanted + 1, sizeof(*threads));
	size_t started = 0;

	while (started + 1 < wanted &&
	    pthread_create(&threads[started], NULL, crew_main, crew) == 0)
		started++;
	(void)crew_main(crew);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	free(threads);
}

int
tables_restore_all(struct repository *repo, const struct tables_restore_options *options,
    const char *const *names, size_t count, unsigned connections, struct progress *progress,
    char ret_snapshot[SNAPSHOT_ID_TEXT_SIZE], json_t *ret_tables, struct error *err)
{
	struct crew crew = { .repo = repo, .options = options, .progress = progress };
	int rc;

	if (restore_order_make(repo, options, names, count, &crew.order, err) != 0)
		return -1;
	atomic_store(&progress->files_total, crew.order.count);
	pthread_mutex_init(&crew.swapping, NULL);
	pthread_mutex_init(&crew.lock, NULL);
	pthread_cond_init(&crew.changed, NULL);
	crew.states = mem_calloc(crew.order.count + 1, sizeof(*crew.states));
	crew.results = mem_calloc(crew.order.count + 1, sizeof(*crew.results));
	run_crew(&crew, connections);
	for (size_t i = 0; i < crew.order.count; i++)
		if (crew.results[i] != NULL)
			json_array_append_new(ret_tables, crew.results[i]);
	if (crew.snapshot[0] != '\0')
		memcpy(ret_snapshot, crew.snapshot, SNAPSHOT_ID_TEXT_SIZE);
	rc = crew.failure.code == ERROR_NONE ? 0 : -1;
	if (rc != 0)
		*err = crew.failure;
	free(crew.states);
	free(crew.results);
	restore_order_done(&crew.order);
	pthread_cond_destroy(&crew.changed);
	pthread_mutex_destroy(&crew.lock);
	pthread_mutex_destroy(&crew.swapping);
	return rc;
}
