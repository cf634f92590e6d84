/*
 * What the parts of the HTTP side need from the server.
 *
 * A connection is suspended by server_suspend() and resumed by server_resume(), never directly:
 * the library must not be stopped while one is suspended, so they are counted.
 */
#ifndef HOLDFAST_AGENT_HTTP_SERVER_INTERNAL_H
#define HOLDFAST_AGENT_HTTP_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/http/audit.h"
#include "agent/http/server.h"
#include "agent/http/stream.h"

struct MHD_Connection;
struct MHD_Daemon;
struct connections;
struct event_stream;
struct listener;
struct metrics;
struct openapi;
struct pool;
struct ready;
struct request;
struct status_cache;
struct upload;

struct http {
	struct http_services services;
	struct connections *connections;
	struct pool *pool;
	struct metrics *metrics;
	struct openapi *openapi;
	struct ready *ready;
	struct status_cache *status;
	struct listener *listeners;
	size_t listener_count;
	size_t wanted_descriptors; /* RLIMIT_NOFILE that max_connections asks for */

	/* Suspended connections; taken last, after any lock of a stream. */
	pthread_mutex_t suspend_lock;
	pthread_cond_t resumed;
	size_t suspended;
	bool stopping;

	/* Streams, followers of events, requests that wait for a run, the limit of refusals. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned stream_count, followers;
	struct stream *streams[STREAMS_MAX];
	bool streams_stopped; /* no new ones */
	struct event_stream *event_streams;
	struct upload *uploads;
	bool uploads_stopped; /* no new ones */
	struct request **waiting;
	size_t waiting_count, waiting_cap;
	struct audit_limit refusals;

	/* The ticker. */
	pthread_t ticker;
	bool ticking, end_ticker;
	int64_t heartbeat_ms; /* when followers of events last got one; then the ticker's own */
	_Atomic int64_t busy_ms; /* when a run last did something (agent/http/metrics.c) */
	int64_t rested_ms;       /* when memory was given back; the ticker's own */
	pthread_cond_t tick;
};

const struct http_services *server_services(const struct http *http);
struct pool *server_pool(struct http *http);
const struct openapi *server_openapi(const struct http *http);
/* For the journal: something that no client will hear of. */
void server_complain(struct http *http, const struct error *err);
bool server_may_log_refusal(struct http *http, uint64_t *ret_left_out);

/* False once the agent is stopping: nothing was suspended, the answer must be ended. */
bool server_suspend(struct http *http, struct MHD_Connection *connection);
/* For a stream, which is resumed at its end at the latest: also while the agent is stopping. */
void server_suspend_stream(struct http *http, struct MHD_Connection *connection);
void server_resume(struct http *http, struct MHD_Connection *connection);

/* From any thread but an epoll thread. */
void server_request_ready(struct request *request); /* the response of a later answer is there */
void server_stream_ready(struct request *request);  /* the stream has begun, or failed */

/* Requests whose answer comes later, so that they can be given up when the agent stops. */
void server_waiting_add(struct request *request);
void server_waiting_remove(struct request *request);

/* ERROR_UNAVAILABLE: there are too many, or the agent is stopping. */
int server_stream_began(struct http *http, struct stream *stream, struct error *err);
/* The server may be gone when this returns. */
void server_stream_ended(struct http *http, struct stream *stream);
/* False if there are too many. */
bool server_events_began(struct http *http, struct event_stream *stream);
void server_events_ended(struct http *http, struct event_stream *stream);

/* The library's call-backs (exchange.c); cls is the listener. */
struct listener {
	struct http *http;
	struct MHD_Daemon *daemon;
	char *address; /* for showing */
	bool tls;
};
int exchange_start_daemon(struct listener *listener, int fd, const char *tls_cert,
    const char *tls_key, struct error *err);

#endif
