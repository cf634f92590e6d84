#include "agent/http/ready.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/pool.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "shared/log.h"
#include "shared/mariadb.h"
#include "shared/mem.h"
#include "shared/text.h"

/* It is looked so often at most, and what was found is told for so long. */
#define MAX_AGE_MS 1000
/* A look that takes so long is hanging. */
#define HANGING_MS 5000
/* The servers of [database] are tried so often at most, and for so long. */
#define DATABASES_MAX_AGE_MS 15000
#define DATABASES_TIMEOUT_S 5

/* Why the agent is not ready. */
#define REASONS(_) \
	_(REPOSITORY, "the repository cannot be read") \
	_(STATE, "the state database takes no writes") \
	_(SCHEDULER, "no job is started by schedule") \
	_(LOG, "the central log takes no rows") \
	_(STARTING, "nobody has looked yet") \
	_(HANGING, "looking at the repository or the state database takes too long")

enum reason {
#define _(word, text) REASON_##word,
	REASONS(_)
#undef _
	REASON_COUNT
};

struct ready {
	struct http *http;

	pthread_mutex_t lock;
	bool known, looking;
	int64_t began_ms, looked_ms; /* the present look, the last one's end */
	bool reasons[REASON_COUNT];
	bool told[REASON_COUNT]; /* in our own log; of whoever looks */
	bool trying;
	int64_t tried_ms; /* 0: never */
	size_t databases_away;
};

struct ready *
ready_new(struct http *http)
{
	struct ready *ready = MEM_NEW(struct ready);

	ready->http = http;
	pthread_mutex_init(&ready->lock, NULL);
	return ready;
}

void
ready_free(struct ready *ready)
{
	if (ready == NULL)
		return;
	pthread_mutex_destroy(&ready->lock);
	free(ready);
}

/*
 * Looking.
 */

static bool
log_is_away(struct log_ship *ship)
{
	json_t *status = log_ship_status(ship);
	bool away = strcmp(json_string_value(json_object_get(status, "state")), "away") == 0;

	json_decref(status);
	return away;
}

static bool
find_repository(struct http *http, struct error *err)
{
	struct storage *storage = repository_storage(http->services.repo);
	int rc = repository_exists(storage, err);

	if (rc == 0) {
		error_set(err, ERROR_NOT_FOUND, "there is no repository at '%.300s' any more",
		    storage_url(storage));
		error_hint(err, "is its disk mounted?");
	}
	return rc == 1;
}

/* Only our own log gets what exactly is wrong, and once: it is asked again and again. */
static void
note(struct ready *ready, enum reason reason, bool good, const struct error *why, bool *reasons)
{
	reasons[reason] = !good;
	if (!good && !ready->told[reason])
		log_error("not-ready", why, NULL);
	if (good && ready->told[reason])
		log_event(LOG_LEVEL_INFO, "ready-again", NULL);
	ready->told[reason] = !good;
}

static void
look(struct ready *ready)
{
	const struct http_services *services = &ready->http->services;
	bool reasons[REASON_COUNT] = { false };
	struct error err = ERROR_INIT;

	note(ready, REASON_REPOSITORY, find_repository(ready->http, &err), &err, reasons);
	error_clear(&err);
	note(ready, REASON_STATE, runs_healthy(services->runs, &err) == 0, &err, reasons);
	error_clear(&err);
	note(ready, REASON_SCHEDULER, services->jobs == NULL || jobs_healthy(services->jobs, &err),
	    &err, reasons);
	/* Its own thread has told. */
	reasons[REASON_LOG] = log_is_away(services->ship);
	pthread_mutex_lock(&ready->lock);
	memcpy(ready->reasons, reasons, sizeof(reasons));
	ready->known = true;
	ready->looking = false;
	ready->looked_ms = time_monotonic_ms();
	pthread_mutex_unlock(&ready->lock);
}

/* In a worker of its own: nobody waits for it. */
static void
try_databases(void *arg)
{
	struct ready *ready = arg;
	size_t count, away = 0;
	const struct config_database **databases =
	    config_databases(ready->http->services.config, &count);

	for (size_t i = 0; i < count; i++) {
		struct mariadb_settings settings = config_server_settings(&databases[i]->server);
		struct mariadb *db = NULL;
		struct error err = ERROR_INIT;

		if (settings.connect_timeout_s == 0 ||
		    settings.connect_timeout_s > DATABASES_TIMEOUT_S)
			settings.connect_timeout_s = DATABASES_TIMEOUT_S;
		settings.read_timeout_s = settings.write_timeout_s = DATABASES_TIMEOUT_S;
		/* A database that a migration has yet to make is none that is away. */
		if (mariadb_open(&settings, &db, &err) != 0 && err.code != ERROR_NOT_FOUND)
			away++;
		mariadb_close(db);
	}
	free(databases);
	pthread_mutex_lock(&ready->lock);
	ready->trying = false;
	ready->tried_ms = time_monotonic_ms();
	ready->databases_away = away;
	pthread_mutex_unlock(&ready->lock);
}

static void
want_databases(struct ready *ready, int64_t now_ms)
{
	const struct config *config = ready->http->services.config;
	bool want;

	if (config->database.server.hosts_count == 0 && config->database_count == 0)
		return;
	pthread_mutex_lock(&ready->lock);
	want = !ready->trying &&
	    (ready->tried_ms == 0 || now_ms - ready->tried_ms > DATABASES_MAX_AGE_MS);
	if (want)
		ready->trying = true;
	pthread_mutex_unlock(&ready->lock);
	if (want)
		pool_submit(server_pool(ready->http), try_databases, ready);
}

/*
 * Answering.
 */

/* All of them, in one sentence and one by one. */
static void
answer_unready(const bool reasons[REASON_COUNT], struct response *response)
{
	static const char *const texts[REASON_COUNT] = {
#define _(word, text) text,
		REASONS(_)
#undef _
	};
	struct buffer all = BUFFER_INIT;
	struct error err = ERROR_INIT;
	json_t *list = json_array(), *problem;

	for (int i = 0; i < REASON_COUNT; i++) {
		if (!reasons[i])
			continue;
		buffer_printf(&all, "%s%s", all.len > 0 ? "; " : "", texts[i]);
		json_array_append_new(list, json_string(texts[i]));
	}
	error_set(&err, ERROR_UNAVAILABLE, "%s", buffer_text(&all));
	error_hint(&err, "the agent's own log says why");
	buffer_done(&all);
	problem = problem_json(&err, NULL);
	json_object_set_new(problem, "reasons", list);
	response_json(response, (unsigned)error_http_status(err.code), problem);
	response->content_type = "application/problem+json";
	response_header(response, "Retry-After", "5");
}

static void
answer_ready(size_t databases_away, struct response *response)
{
	char text[128];

	if (databases_away == 0) {
		response_text(response, 200, "text/plain", "ready\n");
		return;
	}
	snprintf(text, sizeof(text),
	    "ready\nnote: %zu server%s of [database] cannot be used; GET /v1/tables says why\n",
	    databases_away, databases_away == 1 ? "" : "s");
	response_text(response, 200, "text/plain", text);
}

int
http_readyz(struct request *request, struct response *response, struct error *err)
{
	struct ready *ready = request->http->ready;
	int64_t now_ms = time_monotonic_ms();
	bool reasons[REASON_COUNT], must_look, bad = false;
	size_t away;

	(void)err;
	pthread_mutex_lock(&ready->lock);
	must_look = !ready->looking && (!ready->known || now_ms - ready->looked_ms > MAX_AGE_MS);
	if (must_look && request->phase == PHASE_WORK) {
		ready->looking = true;
		ready->began_ms = now_ms;
	}
	pthread_mutex_unlock(&ready->lock);
	if (must_look && request->phase != PHASE_WORK)
		return ROUTE_IN_WORKER;
	if (must_look)
		look(ready);
	want_databases(ready, now_ms);

	pthread_mutex_lock(&ready->lock);
	memcpy(reasons, ready->reasons, sizeof(reasons));
	reasons[REASON_STARTING] = !ready->known;
	reasons[REASON_HANGING] = ready->looking && now_ms - ready->began_ms > HANGING_MS;
	away = ready->databases_away;
	pthread_mutex_unlock(&ready->lock);
	for (int i = 0; i < REASON_COUNT; i++)
		bad = bad || reasons[i];
	if (bad)
		answer_unready(reasons, response);
	else
		answer_ready(away, response);
	return 0;
}

int
http_livez(struct request *request, struct response *response, struct error *err)
{
	(void)request;
	(void)err;
	response_text(response, 200, "text/plain", "ok\n");
	return 0;
}
