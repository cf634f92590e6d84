/*
 * A streamed answer: a thread of its own makes the bytes, a buffer of bounded size lies
 * between it and the client, whose connection is suspended while the buffer is empty.
 *
 * A client that goes away cancels the stream, within a part of a second even if nothing is written
 * to it; so does the end of the agent, after a time of grace.  Then stream_write() fails, and
 * progress_check() of the stream's progress: a producer that may work for long without writing
 * looks at it.  The number of streams is bounded (STREAMS_MAX).
 * Threads: stream_write by the producer, stream_read by the epoll thread, stream_stop by any.
 */
#ifndef HOLDFAST_AGENT_HTTP_STREAM_H
#define HOLDFAST_AGENT_HTTP_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/http/response.h"
#include "shared/error.h"

struct progress;
struct request;
struct stream;

/* Each takes a thread, STREAM_BUFFER bytes and what its producer needs (a few decoded frames). */
#define STREAMS_MAX 32u
#define STREAM_BUFFER (256u << 10)

/* For the producer: takes all bytes, waits while the buffer is full. */
int stream_write(struct stream *stream, const void *data, size_t len, struct error *err);
/* For the producer: what cancels it.  Lent; nobody reads its counters. */
struct progress *stream_progress(struct stream *stream);

/*
 * For the server, once the handler has returned a response with a producer.
 * Start the producer; when its first bytes are there, or it has ended, the request is passed to
 * server_stream_ready().  ERROR_UNAVAILABLE if there are too many streams, or the agent stops.
 */
int stream_start(struct request *request, struct error *err);
/* Did the producer end before its first byte, and why?  Valid once the stream is ready. */
int stream_failed_early(struct stream *stream, struct error *err);

/* For the library: MHD_ContentReaderCallback and its free function. */
ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max);
void stream_release(void *cls);
/* The epoll side gives up a stream that never became a response. */
void stream_abandon(struct stream *stream);
/* The agent stops: cancel the producer; if it has not written yet, the answer says why. */
void stream_stop(struct stream *stream);

#endif
