#include "agent/http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/http/connections.h"
#include "agent/http/events.h"
#include "agent/http/later.h"
#include "agent/http/listen.h"
#include "agent/http/openapi.h"
#include "agent/http/metrics.h"
#include "agent/http/pool.h"
#include "agent/http/ready.h"
#include "agent/http/request.h"
#include "agent/http/server_internal.h"
#include "agent/http/status.h"
#include "agent/http/stream.h"
#include "agent/http/upload.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Handlers wait for the disk more than they compute. */
#define WORKERS 6

/* The finest step of deadlines; an agent at rest wakes up this often. */
#define TICK_MS 250

/* What ends only when the agent stops still has to get to its client. */
#define LAST_WORDS_MS 1000

/* Without a run for so long, the agent is at rest, and again after so long: requests need memory,
 * too. */
#define REST_MS 2000
#define REST_AGAIN_MS 60000

/* Descriptors that are not connections: databases, packs being read, sources being walked. */
#define OTHER_DESCRIPTORS 2048

/* Certificate chains and keys are a few kilobytes. */
#define PEM_MAX (1u << 20)

/*
 * What the parts need.
 */

const struct http_services *
server_services(const struct http *http)
{
	return &http->services;
}

struct pool *
server_pool(struct http *http)
{
	return http->pool;
}

const struct openapi *
server_openapi(const struct http *http)
{
	return http->openapi;
}

void
server_complain(struct http *http, const struct error *err)
{
	(void)http;
	log_error("http", err, NULL);
}

bool
server_may_log_refusal(struct http *http, uint64_t *ret_left_out)
{
	bool may;

	pthread_mutex_lock(&http->lock);
	may = audit_limit_take(&http->refusals, time_monotonic_ms(), ret_left_out);
	pthread_mutex_unlock(&http->lock);
	return may;
}

bool
server_suspend(struct http *http, struct MHD_Connection *connection)
{
	bool suspend;

	pthread_mutex_lock(&http->suspend_lock);
	suspend = !http->stopping;
	if (suspend) {
		http->suspended++;
		MHD_suspend_connection(connection);
	}
	pthread_mutex_unlock(&http->suspend_lock);
	return suspend;
}

void
server_suspend_stream(struct http *http, struct MHD_Connection *connection)
{
	pthread_mutex_lock(&http->suspend_lock);
	http->suspended++;
	MHD_suspend_connection(connection);
	pthread_mutex_unlock(&http->suspend_lock);
}

void
server_resume(struct http *http, struct MHD_Connection *connection)
{
	pthread_mutex_lock(&http->suspend_lock);
	MHD_resume_connection(connection);
	http->suspended--;
	if (http->suspended == 0)
		pthread_cond_broadcast(&http->resumed);
	pthread_mutex_unlock(&http->suspend_lock);
}

void
server_waiting_add(struct request *request)
{
	struct http *http = request->http;

	pthread_mutex_lock(&http->lock);
	MEM_GROW(http->waiting, http->waiting_count, http->waiting_cap);
	http->waiting[http->waiting_count++] = request;
	pthread_mutex_unlock(&http->lock);
}

void
server_waiting_remove(struct request *request)
{
	struct http *http = request->http;
	size_t i;

	pthread_mutex_lock(&http->lock);
	for (i = 0; i < http->waiting_count; i++) {
		if (http->waiting[i] == request) {
			http->waiting[i] = http->waiting[--http->waiting_count];
			break;
		}
	}
	pthread_mutex_unlock(&http->lock);
}

int
server_stream_began(struct http *http, struct stream *stream, struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&http->lock);
	if (http->streams_stopped) {
		rc = error_set(err, ERROR_UNAVAILABLE, "the agent is stopping");
		error_hint(err, "try again in a moment");
	} else if (http->stream_count == STREAMS_MAX) {
		rc = error_set(err, ERROR_UNAVAILABLE, "%u answers are being streamed already",
		    STREAMS_MAX);
		error_hint(err, "try again when one of them has ended");
	} else {
		http->streams[http->stream_count++] = stream;
	}
	pthread_mutex_unlock(&http->lock);
	return rc;
}

void
server_stream_ended(struct http *http, struct stream *stream)
{
	size_t i = 0;

	pthread_mutex_lock(&http->lock);
	while (http->streams[i] != stream)
		i++;
	http->streams[i] = http->streams[--http->stream_count];
	pthread_cond_broadcast(&http->changed);
	pthread_mutex_unlock(&http->lock);
}

bool
server_events_began(struct http *http, struct event_stream *stream)
{
	bool may;

	pthread_mutex_lock(&http->lock);
	may = http->followers < EVENT_STREAMS_MAX;
	if (may) {
		http->followers++;
		event_stream_link(&http->event_streams, stream);
	}
	pthread_mutex_unlock(&http->lock);
	return may;
}

void
server_events_ended(struct http *http, struct event_stream *stream)
{
	pthread_mutex_lock(&http->lock);
	http->followers--;
	event_stream_unlink(&http->event_streams, stream);
	pthread_mutex_unlock(&http->lock);
}

/*
 * The ticker.
 */

static void
each_event_stream(struct http *http, void (*fn)(struct event_stream *stream))
{
	struct event_stream *stream;

	pthread_mutex_lock(&http->lock);
	for (stream = http->event_streams; stream != NULL; stream = event_stream_next(stream))
		fn(stream);
	pthread_mutex_unlock(&http->lock);
}

/* What only a run, or the start, has needed is given back. */
static void
rest_if_idle(struct http *http, int64_t now_ms)
{
	int64_t busy_ms = http->busy_ms;

	if (now_ms - busy_ms < REST_MS ||
	    (http->rested_ms > busy_ms && now_ms - http->rested_ms < REST_AGAIN_MS))
		return;
	mem_rest();
	http->rested_ms = now_ms;
}

static void *
ticker_main(void *arg)
{
	struct http *http = arg;
	struct timespec until;
	int64_t now;

	pthread_mutex_lock(&http->lock);
	while (!http->end_ticker) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		pthread_cond_timedwait(&http->tick, &http->lock, &until);
		pthread_mutex_unlock(&http->lock);
		now = time_monotonic_ms();
		connections_reap(http->connections, now);
		connections_look_for_gone(http->connections);
		status_cache_tick(http->status, now);
		metrics_tick(http->metrics, now);
		rest_if_idle(http, now);
		if (now - http->heartbeat_ms >= EVENT_HEARTBEAT_MS) {
			http->heartbeat_ms = now;
			each_event_stream(http, event_stream_heartbeat);
		}
		pthread_mutex_lock(&http->lock);
	}
	pthread_mutex_unlock(&http->lock);
	return NULL;
}

/*
 * Starting.
 */

/* As many descriptors as connections need, as far as the system lets us. */
static void
raise_descriptors(const struct config *config)
{
	rlim_t wanted = (rlim_t)config->max_connections + OTHER_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted) {
		/* Only root may; else the hard limit has to do. */
		struct rlimit higher = { wanted, wanted };

		if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
			return;
		limit.rlim_cur = limit.rlim_max;
	}
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* How many connections the descriptors that we got leave room for. */
static uint64_t
affordable_connections(const struct config *config)
{
	uint64_t connections = config->max_connections;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= connections + OTHER_DESCRIPTORS)
		return connections;
	/* Half of a small limit for either purpose. */
	return limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS
	    : limit.rlim_cur / 2;
}

static int
read_pem(const char *path, bool secret, char **ret, struct error *err)
{
	const char *what = secret ? "key" : "certificate";
	struct stat st;
	FILE *file;
	char *text;
	size_t n;

	if (secret && config_check_secret_file(path, "TLS key", err) != 0)
		return -1;
	file = fopen(path, "re");
	if (file == NULL || fstat(fileno(file), &st) != 0) {
		error_sys(err, ERROR_CONFIG, errno, "could not open the TLS %s '%s'", what, path);
		if (file != NULL)
			fclose(file);
		return -1;
	}
	text = mem_calloc(PEM_MAX + 1, 1);
	n = fread(text, 1, PEM_MAX, file);
	fclose(file);
	text[n] = '\0';
	if (n == 0 || strstr(text, "-----BEGIN ") == NULL) {
		mem_free_secret(text, PEM_MAX + 1);
		return error_set(err, ERROR_CONFIG, "the TLS %s '%s' is no PEM file", what, path);
	}
	*ret = text;
	return 0;
}

static int
load_tls(const struct config *config, char **ret_cert, char **ret_key, struct error *err)
{
	if ((config->tls_cert == NULL) != (config->tls_key == NULL))
		return error_set(err, ERROR_CONFIG,
		    "tls_cert and tls_key belong together, one is missing");
	if (config->tls_cert == NULL)
		return 0;
	if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
		return error_set(err, ERROR_CONFIG, "libmicrohttpd was built without TLS");
	if (read_pem(config->tls_cert, false, ret_cert, err) != 0)
		return -1;
	return read_pem(config->tls_key, true, ret_key, err);
}

static int
start_listener(struct http *http, const char *address, const char *cert, const char *key,
    struct error *err)
{
	bool is_unix = strncmp(address, "unix:", 5) == 0;
	struct listener *listener = &http->listeners[http->listener_count];
	char *shown;
	int fd;

	if (cert == NULL && !config_listen_is_local(address) &&
	    !http->services.config->insecure_http) {
		error_set(err, ERROR_CONFIG, "'%s' is not loopback, and there is no TLS", address);
		return error_hint(err, "set tls_cert and tls_key, or write 'insecure_http = yes' "
		    "to send tokens and data readable");
	}
	if (listen_open(address, &fd, &shown, err) != 0)
		return -1;
	listener->http = http;
	listener->tls = cert != NULL && !is_unix;
	listener->address = is_unix ? mem_strdup(shown)
	    : mem_printf("%s://%s", listener->tls ? "https" : "http", shown);
	free(shown);
	if (exchange_start_daemon(listener, fd, cert, key, err) != 0) {
		close(fd);
		free(listener->address);
		listener->address = NULL;
		return -1;
	}
	http->listener_count++;
	return 0;
}

static struct http *
http_new(const struct http_services *services)
{
	const struct config *config = services->config;
	struct http *http = MEM_NEW(struct http);
	struct connection_limits limits = {
		.connections = affordable_connections(config),
		.per_address = config->max_connections_per_address,
		.header_ms = config->header_deadline_s * 1000,
		.request_ms = config->request_deadline_s * 1000,
		.idle_ms = config->idle_s * 1000,
		.upload_ms = config->upload_idle_s * 1000,
	};
	pthread_condattr_t attr;

	http->services = *services;
	pthread_mutex_init(&http->suspend_lock, NULL);
	pthread_mutex_init(&http->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&http->resumed, &attr);
	pthread_cond_init(&http->changed, &attr);
	pthread_cond_init(&http->tick, &attr);
	pthread_condattr_destroy(&attr);
	http->connections = connections_new(&limits);
	http->refusals.tokens = AUDIT_BURST;
	http->refusals.last_ms = time_monotonic_ms();
	http->listeners = mem_calloc(config->listen_count + 1, sizeof(*http->listeners));
	return http;
}

int
http_start(const struct http_services *services, struct http **ret, struct error *err)
{
	const struct config *config = services->config;
	char *cert = NULL, *key = NULL;
	struct http *http = NULL;
	int rc = -1, thread_rc;
	size_t i;

	raise_descriptors(config);
	http = http_new(services);
	if (openapi_load(&http->openapi, err) != 0 || load_tls(config, &cert, &key, err) != 0 ||
	    pool_new(WORKERS, &http->pool, err) != 0)
		goto out;
	http->status = status_cache_new(http);
	http->metrics = metrics_new(http);
	http->ready = ready_new(http);
	http->heartbeat_ms = time_monotonic_ms();
	http->busy_ms = http->heartbeat_ms;
	thread_rc = pthread_create(&http->ticker, NULL, ticker_main, http);
	if (thread_rc != 0) {
		error_sys(err, ERROR_IO, thread_rc, "could not start a thread");
		goto out;
	}
	http->ticking = true;
	for (i = 0; i < config->listen_count; i++) {
		if (start_listener(http, config->listen[i], cert, key, err) != 0)
			goto out;
	}
	*ret = http;
	http = NULL;
	rc = 0;
out:
	http_stop(http, 0);
	free(cert);
	if (key != NULL)
		mem_free_secret(key, PEM_MAX + 1);
	return rc;
}

size_t
http_address_count(const struct http *http)
{
	return http->listener_count;
}

const char *
http_address(const struct http *http, size_t i)
{
	return http->listeners[i].address;
}

/*
 * Stopping.
 */

/* Those who wait for a run are told where to ask for it. */
static void
give_up_waiting(struct http *http)
{
	struct later *later;
	struct request *request;

	for (;;) {
		pthread_mutex_lock(&http->lock);
		later = NULL;
		if (http->waiting_count > 0)
			later = later_ref(http->waiting[--http->waiting_count]->later);
		pthread_mutex_unlock(&http->lock);
		if (later == NULL)
			return;
		request = later_give_up(later);
		later_unref(later);
		if (request != NULL)
			server_request_ready(request);
	}
}

static void
stop_accepting(struct http *http)
{
	MHD_socket fd;
	size_t i;

	pthread_mutex_lock(&http->suspend_lock);
	http->stopping = true;
	pthread_mutex_unlock(&http->suspend_lock);
	for (i = 0; i < http->listener_count; i++) {
		fd = MHD_quiesce_daemon(http->listeners[i].daemon);
		if (fd != MHD_INVALID_SOCKET)
			close(fd);
		listen_remove(http->listeners[i].address);
	}
}

/* Streams have had their time.  What makes them looks at its progress all the while. */
static void
stop_streams(struct http *http)
{
	pthread_mutex_lock(&http->lock);
	http->streams_stopped = true;
	for (unsigned i = 0; i < http->stream_count; i++)
		stream_stop(http->streams[i]);
	while (http->stream_count > 0)
		pthread_cond_wait(&http->changed, &http->lock);
	pthread_mutex_unlock(&http->lock);
}

/* Until streams have had their time, and nothing is suspended any more (the library insists). */
static void
drain(struct http *http, int64_t drain_ms)
{
	struct timespec until;
	int64_t end_ms = time_monotonic_ms() + drain_ms;

	until.tv_sec = end_ms / 1000;
	until.tv_nsec = (end_ms % 1000) * 1000000L;
	pthread_mutex_lock(&http->lock);
	while (http->stream_count > 0 &&
	    pthread_cond_timedwait(&http->changed, &http->lock, &until) == 0)
		;
	pthread_mutex_unlock(&http->lock);
	stop_streams(http);
	pthread_mutex_lock(&http->suspend_lock);
	while (http->suspended > 0)
		pthread_cond_wait(&http->resumed, &http->suspend_lock);
	pthread_mutex_unlock(&http->suspend_lock);
	if (end_ms < time_monotonic_ms() + LAST_WORDS_MS)
		end_ms = time_monotonic_ms() + LAST_WORDS_MS;
	while (connections_count(http->connections) > 0 && time_monotonic_ms() < end_ms) {
		connections_cut_idle(http->connections);
		usleep(10000);
	}
}

static void
stop_ticker(struct http *http)
{
	if (!http->ticking)
		return;
	pthread_mutex_lock(&http->lock);
	http->end_ticker = true;
	pthread_cond_signal(&http->tick);
	pthread_mutex_unlock(&http->lock);
	pthread_join(http->ticker, NULL);
}

void
http_stop(struct http *http, int64_t drain_ms)
{
	size_t i;

	if (http == NULL)
		return;
	stop_accepting(http);
	stop_ticker(http);
	each_event_stream(http, event_stream_end);
	uploads_stop(http);
	give_up_waiting(http);
	drain(http, drain_ms);
	for (i = 0; i < http->listener_count; i++) {
		MHD_stop_daemon(http->listeners[i].daemon);
		free(http->listeners[i].address);
	}
	status_cache_free(http->status);
	pool_free(http->pool);
	openapi_free(http->openapi);
	metrics_free(http->metrics);
	ready_free(http->ready);
	connections_free(http->connections);
	pthread_cond_destroy(&http->tick);
	pthread_cond_destroy(&http->changed);
	pthread_cond_destroy(&http->resumed);
	pthread_mutex_destroy(&http->lock);
	pthread_mutex_destroy(&http->suspend_lock);
	free(http->waiting);
	free(http->listeners);
	free(http);
}
