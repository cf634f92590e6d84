/*
 * An answer being made by a handler.
 *
 * Exactly one of: a body in memory, a stream made by a thread of its own, a stream of events.
 */
#ifndef HOLDFAST_AGENT_HTTP_RESPONSE_H
#define HOLDFAST_AGENT_HTTP_RESPONSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"
#include "shared/error.h"

struct event_stream;
struct stream;

#define RESPONSE_HEADERS_MAX 12
#define RESPONSE_LENGTH_UNKNOWN UINT64_MAX

/*
 * Makes a stream's bytes by stream_write() (agent/http/stream.h), in a thread of its own.  A
 * failure before the first byte becomes a problem document; a later one breaks the connection
 * off, so that the client sees that something is missing.
 */
typedef int stream_produce_fn(struct stream *stream, void *arg, struct error *err);

struct response_header {
	char *name;
	char *value;
};

struct response {
	unsigned status;
	const char *content_type;
	struct response_header headers[RESPONSE_HEADERS_MAX];
	size_t header_count;
	bool close; /* the connection, after this answer */
	struct buffer body;

	stream_produce_fn *produce;
	void (*produce_free)(void *arg);
	void *produce_arg;
	uint64_t length; /* of the stream; RESPONSE_LENGTH_UNKNOWN: chunked */
	bool gzip;       /* the stream is to be packed; agent/http/answer.c decides */
	struct stream *stream; /* begun; given up with the response if the library did not take it */

	struct event_stream *events;
};

void response_init(struct response *response);
void response_done(struct response *response);
/* Back to an empty one; keeps close. */
void response_reset(struct response *response);

void response_header(struct response *response, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes the json. */
void response_json(struct response *response, unsigned status, json_t *json);
void response_text(struct response *response, unsigned status, const char *content_type,
    const char *text);
/* application/problem+json; drops whatever the response was before, but for its headers.  With
 * Retry-After, where trying again may help. */
void response_problem(struct response *response, const struct error *err, const char *instance);
/* arg is released by release(arg), whether the stream ever began or not. */
void response_stream(struct response *response, unsigned status, const char *content_type,
    uint64_t length, stream_produce_fn *produce, void *arg, void (*release)(void *arg));

/* {"type", "title", "status", "detail", "hint", "instance"}: RFC 9457. */
json_t *problem_json(const struct error *err, const char *instance);

#endif
