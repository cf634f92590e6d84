#include "agent/http/status.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/pool.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/storage/storage.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Where snapshots lie in a storage: agent/repository/FORMAT.md.  Counting needs no key. */
#define SNAPSHOTS_FOLDER "snapshots"

/* How old the free space may be when somebody looks at it. */
#define STATUS_MAX_AGE_MS 5000

/*
 * The size is the sum over all packs, of which there may be hundred thousands: adding them up
 * takes at most this part of the time, a fiftieth.
 */
#define SIZE_REST 50

struct status_cache {
	struct http *http;
	struct run_subscription *subscription;
	struct timespec started;
	int64_t started_ms;

	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool known, asked, running, again;
	bool size_known, changed; /* since the size was looked at */
	int64_t looked_ms, sized_ms, sizing_ms;
	uint64_t snapshots, size_bytes, free_bytes, total_bytes;
	bool space_known;
};

static int
count_object(void *arg, const char *name, uint64_t size, struct error *err)
{
	(void)name;
	(void)size;
	(void)err;
	(*(uint64_t *)arg)++;
	return 0;
}

static int
add_object(void *arg, const char *name, uint64_t size, struct error *err)
{
	(void)name;
	(void)err;
	*(uint64_t *)arg += size;
	return 0;
}

/* Whether the size may be looked at again; with the lock held. */
static bool
size_is_due(const struct status_cache *cache, int64_t now_ms)
{
	return cache->changed && now_ms - cache->sized_ms >= SIZE_REST * cache->sizing_ms;
}

static void
look_at_size(struct status_cache *cache)
{
	static const char *const folders[] = { "packs", "index", "snapshots" };
	struct storage *storage = repository_storage(cache->http->services.repo);
	int64_t began_ms = time_monotonic_ms();
	struct error err = ERROR_INIT;
	uint64_t size = 0;
	bool due;
	int rc = 0;

	pthread_mutex_lock(&cache->lock);
	due = size_is_due(cache, began_ms);
	/* What changes from here on may be missed, and is looked at again. */
	if (due)
		cache->changed = false;
	pthread_mutex_unlock(&cache->lock);
	if (!due)
		return;
	for (size_t i = 0; i < ARRAY_LEN(folders) && rc == 0; i++)
		rc = storage_list(storage, folders[i], add_object, &size, &err);
	pthread_mutex_lock(&cache->lock);
	cache->size_known = rc == 0;
	cache->size_bytes = size;
	cache->changed = cache->changed || rc != 0;
	cache->sized_ms = time_monotonic_ms();
	cache->sizing_ms = cache->sized_ms - began_ms + 1;
	pthread_mutex_unlock(&cache->lock);
}

static void
look(struct status_cache *cache)
{
	struct storage *storage = repository_storage(cache->http->services.repo);
	uint64_t snapshots = 0, free_bytes = 0, total_bytes = 0;
	struct error err = ERROR_INIT, space_err = ERROR_INIT;
	int rc, space;

	rc = storage_list(storage, SNAPSHOTS_FOLDER, count_object, &snapshots, &err);
	space = storage_space(storage, &free_bytes, &total_bytes, &space_err);
	pthread_mutex_lock(&cache->lock);
	cache->known = rc == 0;
	cache->snapshots = snapshots;
	cache->space_known = space == 1;
	cache->free_bytes = free_bytes;
	cache->total_bytes = total_bytes;
	cache->looked_ms = time_monotonic_ms();
	cache->asked = false;
	pthread_mutex_unlock(&cache->lock);
}

static void
refresh(void *arg)
{
	struct status_cache *cache = arg;
	bool again;

	do {
		look(cache);
		look_at_size(cache);
		pthread_mutex_lock(&cache->lock);
		again = cache->again;
		cache->again = false;
		cache->running = again;
		if (!again)
			pthread_cond_broadcast(&cache->idle);
		pthread_mutex_unlock(&cache->lock);
	} while (again);
}

/* One look-up at a time; what happens during one is seen by another one after it. */
static void
want_refresh(struct status_cache *cache)
{
	bool start;

	pthread_mutex_lock(&cache->lock);
	start = !cache->running;
	if (start)
		cache->running = true;
	else
		cache->again = true;
	pthread_mutex_unlock(&cache->lock);
	if (start)
		pool_submit(server_pool(cache->http), refresh, cache);
}

static void
run_event(void *arg, const char *event, uint64_t number, const json_t *data)
{
	struct status_cache *cache = arg;

	(void)number;
	(void)data;
	if (strcmp(event, "ended") != 0)
		return;
	pthread_mutex_lock(&cache->lock);
	cache->changed = true;
	pthread_mutex_unlock(&cache->lock);
	want_refresh(cache);
}

struct status_cache *
status_cache_new(struct http *http)
{
	struct status_cache *cache = MEM_NEW(struct status_cache);
	struct error err = ERROR_INIT;

	cache->http = http;
	cache->started = time_now();
	cache->started_ms = time_monotonic_ms();
	cache->changed = true;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->idle, NULL);
	/* Without it the number is a few seconds old, that is all. */
	if (runs_subscribe(http->services.runs, NULL, run_event, cache, &cache->subscription,
	    &err) != 0)
		cache->subscription = NULL;
	want_refresh(cache);
	return cache;
}

void
status_cache_free(struct status_cache *cache)
{
	if (cache == NULL)
		return;
	if (cache->subscription != NULL)
		runs_unsubscribe(cache->http->services.runs, cache->subscription);
	pthread_mutex_lock(&cache->lock);
	while (cache->running)
		pthread_cond_wait(&cache->idle, &cache->lock);
	pthread_mutex_unlock(&cache->lock);
	pthread_cond_destroy(&cache->idle);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void
status_cache_tick(struct status_cache *cache, int64_t now_ms)
{
	bool old;

	pthread_mutex_lock(&cache->lock);
	old = (cache->asked && now_ms - cache->looked_ms > STATUS_MAX_AGE_MS) ||
	    (size_is_due(cache, now_ms) && now_ms - cache->looked_ms > STATUS_MAX_AGE_MS / 5);
	pthread_mutex_unlock(&cache->lock);
	if (old)
		want_refresh(cache);
}

void
status_cache_figures(struct status_cache *cache, struct status_figures *ret)
{
	pthread_mutex_lock(&cache->lock);
	cache->asked = true;
	*ret = (struct status_figures){
		.started_ms = (int64_t)cache->started.tv_sec * 1000 +
		    cache->started.tv_nsec / 1000000,
		.snapshots_known = cache->known,
		.snapshots = cache->snapshots,
		.size_known = cache->size_known,
		.size_bytes = cache->size_bytes,
		.space_known = cache->space_known,
		.free_bytes = cache->free_bytes,
		.total_bytes = cache->total_bytes,
	};
	pthread_mutex_unlock(&cache->lock);
}

static json_t *
number_or_null(bool known, uint64_t number)
{
	return known ? json_integer((json_int_t)number) : json_null();
}

int
http_status(struct request *request, struct response *response, struct error *err)
{
	struct status_cache *cache = request->http->status;
	const struct http_services *services = request->services;
	char started[TIME_TEXT_SIZE], now[TIME_TEXT_SIZE];
	unsigned queued, running;
	json_t *repository;

	(void)err;
	runs_count(services->runs, &queued, &running);
	time_format(cache->started, 0, started);
	time_format(time_now(), 3, now);
	pthread_mutex_lock(&cache->lock);
	cache->asked = true;
	repository = json_pack("{s:s, s:s, s:o, s:o, s:o}", "id",
	    repository_id_text(services->repo), "url",
	    storage_url(repository_storage(services->repo)), "snapshots",
	    number_or_null(cache->known, cache->snapshots), "free",
	    number_or_null(cache->space_known, cache->free_bytes), "total",
	    number_or_null(cache->space_known, cache->total_bytes));
	pthread_mutex_unlock(&cache->lock);
	response_json(response, 200, json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:{s:i, s:i}, s:o}",
	    "name", services->config->name, "version", PACKAGE_VERSION, "time", now, "started",
	    started, "uptime_s",
	    (json_int_t)((time_monotonic_ms() - cache->started_ms) / 1000), "repository",
	    repository, "runs", "queued", (int)queued, "running", (int)running,
	    "central_log", log_ship_status(services->ship)));
	return 0;
}
