/*
 * Server-sent events: what runs tell, pushed into each subscriber's buffer.
 *
 * No thread waits for a subscriber.  One that reads too slowly loses the oldest "progress"
 * events first; one that does not read at all is cut off.  A comment every 15 s keeps proxies
 * from closing the connection, and finds clients that have gone.
 * Threads: any; each stream has its lock.
 */
#ifndef HOLDFAST_AGENT_HTTP_EVENTS_H
#define HOLDFAST_AGENT_HTTP_EVENTS_H

#include <stdint.h>
#include <sys/types.h>

#include "agent/jobs/runs.h"
#include "shared/error.h"

struct event_stream;
struct http;
struct request;

#define EVENT_STREAMS_MAX 256u
/* Progress events are dropped beyond this, the client beyond four times as much. */
#define EVENT_BUFFER (64u << 10)
#define EVENT_HEARTBEAT_MS 15000

/*
 * For a handler: make the response a stream of events of one run, or of all with run NULL.
 * That of one run ends after its event "ended".
 * ERROR_NOT_FOUND, ERROR_AMBIGUOUS; ERROR_UNAVAILABLE if there are too many.
 */
int event_stream_open(struct request *request, const char *run, struct error *err);

/* For the library: MHD_ContentReaderCallback and its free function. */
ssize_t event_stream_read(void *cls, uint64_t pos, char *buf, size_t max);
void event_stream_release(void *cls);

/* For the server: push a comment; end it, because the agent stops. */
void event_stream_heartbeat(struct event_stream *stream);
void event_stream_end(struct event_stream *stream);

/* For the server, which keeps all of them in a list under its own lock. */
struct event_stream *event_stream_next(const struct event_stream *stream);
void event_stream_link(struct event_stream **list, struct event_stream *stream);
void event_stream_unlink(struct event_stream **list, struct event_stream *stream);

/* One event in the form of the protocol; caller frees. */
char *event_text(const char *event, uint64_t number, const json_t *data);

#endif
