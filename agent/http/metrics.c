#include "agent/http/metrics.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/http/connections.h"
#include "agent/http/metrics_text.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/http/status.h"
#include "shared/mem.h"
#include "shared/text.h"

/* A text may be so old when it is answered. */
#define FRESH_MS 1000
/* The same, while a newer one is being made. */
#define BEING_MADE_MS 10000
/* Nobody has asked for so long: of ten thousand jobs the text has 20 MB. */
#define UNUSED_MS 5000

struct metrics {
	struct http *http;
	struct run_subscription *subscription;

	pthread_mutex_t lock;
	struct metrics_counts counts;
	struct buffer text;
	int64_t made_ms, asked_ms;
	bool making;
};

/* Whatever a run does; those that have ended are counted. */
static void
run_event(void *arg, const char *event, uint64_t number, const json_t *data)
{
	struct metrics *metrics = arg;
	struct error ignored = ERROR_INIT;
	const char *kind_word = json_string_value(json_object_get(data, "kind"));
	const char *outcome_word = json_string_value(json_object_get(data, "outcome"));
	enum run_kind kind;
	int outcome;

	(void)number;
	metrics->http->busy_ms = time_monotonic_ms();
	if (strcmp(event, "ended") != 0 || kind_word == NULL || outcome_word == NULL)
		return;
	outcome = metrics_outcome_of(outcome_word);
	if (outcome < 0 || run_kind_parse(kind_word, &kind, &ignored) != 0)
		return;
	pthread_mutex_lock(&metrics->lock);
	metrics->counts.runs[kind][outcome]++;
	pthread_mutex_unlock(&metrics->lock);
}

struct metrics *
metrics_new(struct http *http)
{
	struct metrics *metrics = MEM_NEW(struct metrics);
	struct error err = ERROR_INIT;

	metrics->http = http;
	pthread_mutex_init(&metrics->lock, NULL);
	/* It fails only for a run that is not there, and this is for all of them. */
	if (runs_subscribe(http->services.runs, NULL, run_event, metrics, &metrics->subscription,
	    &err) != 0)
		metrics->subscription = NULL;
	return metrics;
}

void
metrics_free(struct metrics *metrics)
{
	if (metrics == NULL)
		return;
	if (metrics->subscription != NULL)
		runs_unsubscribe(metrics->http->services.runs, metrics->subscription);
	buffer_done(&metrics->text);
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

void
metrics_tick(struct metrics *metrics, int64_t now_ms)
{
	pthread_mutex_lock(&metrics->lock);
	if (now_ms - metrics->asked_ms > UNUSED_MS)
		buffer_done(&metrics->text);
	pthread_mutex_unlock(&metrics->lock);
}

void
metrics_count_answer(struct metrics *metrics, const char *method, unsigned status)
{
	enum metrics_method counted = metrics_method_of(method);
	unsigned class = status / 100;

	if (class < 2 || class - 2 >= METRICS_CLASSES)
		return;
	pthread_mutex_lock(&metrics->lock);
	metrics->counts.requests[counted][class - 2]++;
	pthread_mutex_unlock(&metrics->lock);
}

void
metrics_count_refusal(struct metrics *metrics, enum error_code why)
{
	pthread_mutex_lock(&metrics->lock);
	metrics->counts.refused[why]++;
	pthread_mutex_unlock(&metrics->lock);
}

/*
 * Gathering.
 */

/* The kernel's own figures: reading them waits for no disk. */
static void
gather_process(struct metrics_figures *figures)
{
	unsigned long long pages = 0, resident = 0;
	struct timespec cpu = { 0, 0 };
	FILE *file = fopen("/proc/self/statm", "re");

	if (file != NULL) {
		if (fscanf(file, "%llu %llu", &pages, &resident) == 2)
			figures->resident_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
		fclose(file);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	figures->cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
}

static void
gather_log(struct log_ship *ship, struct metrics_figures *figures)
{
	json_t *status = log_ship_status(ship);
	const char *state = json_string_value(json_object_get(status, "state"));
	const char *oldest = json_string_value(json_object_get(status, "oldest_waiting"));
	struct timespec when, now = time_now();
	struct error ignored = ERROR_INIT;

	figures->log_configured = strcmp(state, "off") != 0;
	figures->log_up = strcmp(state, "connected") == 0;
	figures->log_waiting = (uint64_t)json_integer_value(json_object_get(status, "waiting"));
	if (oldest != NULL && time_parse(oldest, false, &when, &ignored) == 0 &&
	    when.tv_sec <= now.tv_sec)
		figures->log_waiting_age = (double)(now.tv_sec - when.tv_sec);
	json_decref(status);
}

/* The states of jobs that *figures lends are in ret_jobs, for the caller to free. */
static void
gather(struct metrics *metrics, struct metrics_figures *figures, struct job_state **ret_jobs)
{
	struct http *http = metrics->http;
	struct status_figures status;

	memset(figures, 0, sizeof(*figures));
	figures->version = PACKAGE_VERSION;
	pthread_mutex_lock(&metrics->lock);
	figures->counts = metrics->counts;
	pthread_mutex_unlock(&metrics->lock);
	status_cache_figures(http->status, &status);
	figures->started_ms = status.started_ms;
	figures->snapshots_known = status.snapshots_known;
	figures->snapshots = status.snapshots;
	figures->size_known = status.size_known;
	figures->size_bytes = status.size_bytes;
	figures->space_known = status.space_known;
	figures->free_bytes = status.free_bytes;
	figures->total_bytes = status.total_bytes;
	runs_count(http->services.runs, &figures->queued, &figures->running);
	figures->connections = connections_count(http->connections);
	gather_log(http->services.ship, figures);
	gather_process(figures);
	figures->notices_known = http->services.notices != NULL;
	if (figures->notices_known)
		figures->notices_waiting = notices_waiting(http->services.notices);
	*ret_jobs = NULL;
	if (http->services.jobs != NULL)
		jobs_states(http->services.jobs, ret_jobs, &figures->job_count);
	figures->jobs = *ret_jobs;
}

/*
 * Answering.
 */

/* False: the text has to be made first, and nobody does that yet.  With the lock held. */
static bool
can_answer(const struct metrics *metrics, int64_t now_ms)
{
	return metrics->text.len > 0 && now_ms - metrics->made_ms <=
	    (metrics->making ? BEING_MADE_MS : FRESH_MS);
}

static void
make_text(struct metrics *metrics)
{
	struct metrics_figures figures;
	struct job_state *jobs;
	struct buffer text = BUFFER_INIT;

	gather(metrics, &figures, &jobs);
	metrics_render(&figures, &text);
	jobs_states_free(jobs, figures.job_count);
	pthread_mutex_lock(&metrics->lock);
	buffer_done(&metrics->text);
	metrics->text = text;
	metrics->made_ms = time_monotonic_ms();
	metrics->making = false;
	pthread_mutex_unlock(&metrics->lock);
}

int
http_metrics(struct request *request, struct response *response, struct error *err)
{
	struct metrics *metrics = request->http->metrics;
	int64_t now_ms = time_monotonic_ms();
	bool make = false;

	(void)err;
	response->status = 200;
	response->content_type = "text/plain; version=0.0.4; charset=utf-8";
	pthread_mutex_lock(&metrics->lock);
	metrics->asked_ms = now_ms;
	if (!can_answer(metrics, now_ms)) {
		if (request->phase != PHASE_WORK) {
			pthread_mutex_unlock(&metrics->lock);
			return ROUTE_IN_WORKER;
		}
		make = metrics->making = true;
	}
	pthread_mutex_unlock(&metrics->lock);
	/* Two of the first ones may come here at once: each makes one. */
	if (make)
		make_text(metrics);
	pthread_mutex_lock(&metrics->lock);
	buffer_put(&response->body, metrics->text.data, metrics->text.len);
	pthread_mutex_unlock(&metrics->lock);
	return 0;
}
