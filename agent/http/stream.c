#include "agent/http/stream.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/audit.h"
#include "agent/http/compress.h"
#include "agent/http/connections.h"
#include "agent/http/request.h"
#include "agent/http/server_internal.h"
#include "shared/mem.h"
#include "shared/progress.h"

struct stream {
	struct http *http;
	struct MHD_Connection *mhd;
	struct request *request; /* until the stream is ready */
	stream_produce_fn *produce;
	void *arg;
	void (*release)(void *arg);
	uint64_t length;
	struct compressor *compressor; /* NULL: the bytes go as they are */
	struct buffer packed;
	struct audit_row *row; /* the action's row of the log, written at the end; or NULL */
	struct connection_watch watch;
	struct progress progress; /* cancelled once nobody waits for the rest */

	pthread_mutex_t lock;
	pthread_cond_t room;
	unsigned references;
	uint8_t *ring; /* STREAM_BUFFER bytes */
	size_t begin, used;
	uint64_t written;
	bool ready;     /* the request was answered with this stream */
	bool suspended; /* the client's connection waits for bytes */
	bool gone;      /* nobody reads any more */
	bool stopped;   /* the agent stops */
	bool finished;  /* nobody writes any more */
	struct error error;
};

static void
stream_unref(struct stream *stream)
{
	unsigned left;

	pthread_mutex_lock(&stream->lock);
	left = --stream->references;
	pthread_mutex_unlock(&stream->lock);
	if (left > 0)
		return;
	progress_done(&stream->progress);
	pthread_cond_destroy(&stream->room);
	pthread_mutex_destroy(&stream->lock);
	compressor_free(stream->compressor);
	buffer_done(&stream->packed);
	free(stream->ring);
	free(stream);
}

struct progress *
stream_progress(struct stream *stream)
{
	return &stream->progress;
}

/* The client has gone while the library does not look, as nothing is there to be sent. */
static void
client_gone(void *arg)
{
	struct stream *stream = arg;

	progress_cancel(&stream->progress);
}

/* Called with the lock held. */
static void
wake_reader(struct stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	server_resume(stream->http, stream->mhd);
}

/* The first bytes are there, or the end: now the answer's status is known. */
static void
announce(struct stream *stream)
{
	struct request *request;

	pthread_mutex_lock(&stream->lock);
	request = stream->request;
	stream->request = NULL;
	stream->ready = true;
	pthread_mutex_unlock(&stream->lock);
	if (request != NULL)
		server_stream_ready(request);
}

static size_t
put_bytes(struct stream *stream, const uint8_t *data, size_t len)
{
	size_t at = (stream->begin + stream->used) % STREAM_BUFFER;
	size_t n = STREAM_BUFFER - stream->used;

	if (n > len)
		n = len;
	if (n > STREAM_BUFFER - at)
		n = STREAM_BUFFER - at;
	memcpy(stream->ring + at, data, n);
	stream->used += n;
	stream->written += n;
	return n;
}

static int
put_all(struct stream *stream, const void *data, size_t len, struct error *err)
{
	const uint8_t *p = data;
	bool first;
	size_t n;

	while (len > 0) {
		pthread_mutex_lock(&stream->lock);
		while (stream->used == STREAM_BUFFER && !stream->gone && !stream->stopped)
			pthread_cond_wait(&stream->room, &stream->lock);
		if (progress_check(&stream->progress, err) != 0) {
			pthread_mutex_unlock(&stream->lock);
			return -1;
		}
		n = put_bytes(stream, p, len);
		p += n;
		len -= n;
		wake_reader(stream);
		first = !stream->ready;
		pthread_mutex_unlock(&stream->lock);
		if (first)
			announce(stream);
	}
	return 0;
}

static int
put_packed(struct stream *stream, const void *data, size_t len, bool last, struct error *err)
{
	int rc;

	compressor_put(stream->compressor, data, len, last, &stream->packed);
	rc = put_all(stream, stream->packed.data, stream->packed.len, err);
	buffer_clear(&stream->packed);
	return rc;
}

int
stream_write(struct stream *stream, const void *data, size_t len, struct error *err)
{
	if (stream->compressor == NULL)
		return put_all(stream, data, len, err);
	return len == 0 ? 0 : put_packed(stream, data, len, false, err);
}

/* What is left in the compressor.  All of the answer was made: who has gone does not miss it. */
static int
put_rest(struct stream *stream, struct error *err)
{
	bool stopped;

	if (stream->compressor == NULL || put_packed(stream, NULL, 0, true, err) == 0)
		return 0;
	pthread_mutex_lock(&stream->lock);
	stopped = stream->stopped;
	pthread_mutex_unlock(&stream->lock);
	return stopped ? -1 : 0;
}

/* How the producer ended, as the client and the log are told. */
static void
judge(struct stream *stream, int rc, struct error *err)
{
	bool stopped;

	if (rc == 0)
		error_clear(err);
	else if (err->code == ERROR_NONE)
		error_set(err, ERROR_INTERNAL, "the answer could not be made");
	if (err->code == ERROR_NONE && stream->length != RESPONSE_LENGTH_UNKNOWN &&
	    stream->written != stream->length)
		error_set(err, ERROR_INTERNAL, "the answer has not the length that was promised");
	if (err->code != ERROR_CANCELLED)
		return;
	/* A producer knows that it was told to end, but not by whom. */
	pthread_mutex_lock(&stream->lock);
	stopped = stream->stopped;
	pthread_mutex_unlock(&stream->lock);
	error_clear(err);
	if (stopped) {
		error_set(err, ERROR_UNAVAILABLE, "the agent is stopping");
		error_hint(err, "try again in a moment");
	} else {
		error_set(err, ERROR_CANCELLED, "the client has gone");
	}
}

static void *
stream_main(void *arg)
{
	struct error err = ERROR_INIT;
	struct stream *stream = arg;
	struct http *http = stream->http;
	int rc;

	rc = stream->produce(stream, stream->arg, &err);
	if (rc == 0)
		rc = put_rest(stream, &err);
	judge(stream, rc, &err);
	connection_unwatch(http->connections, &stream->watch);
	/* The row is there before the client sees the end. */
	audit_row_write(http, stream->row, err.code == ERROR_NONE ? NULL : &err);
	stream->row = NULL;
	if (stream->release != NULL)
		stream->release(stream->arg);
	pthread_mutex_lock(&stream->lock);
	stream->error = err;
	stream->finished = true;
	wake_reader(stream);
	pthread_mutex_unlock(&stream->lock);
	announce(stream);
	server_stream_ended(http, stream);
	stream_unref(stream);
	return NULL;
}

static struct stream *
stream_new(struct request *request)
{
	struct response *response = &request->response;
	struct stream *stream = MEM_NEW(struct stream);

	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->room, NULL);
	progress_init(&stream->progress);
	stream->http = request->http;
	stream->mhd = request->mhd;
	stream->request = request;
	stream->produce = response->produce;
	stream->arg = response->produce_arg;
	stream->length = response->length;
	stream->compressor = response->gzip ? compressor_new() : NULL;
	stream->watch.gone = client_gone;
	stream->watch.arg = stream;
	stream->ring = mem_calloc(1, STREAM_BUFFER);
	stream->references = 1;
	return stream;
}

int
stream_start(struct request *request, struct error *err)
{
	struct http *http = request->http;
	struct response *response = &request->response;
	struct stream *stream = stream_new(request);
	pthread_t thread;
	int rc;

	if (server_stream_began(http, stream, err) != 0) {
		stream_unref(stream);
		return -1;
	}
	connection_watch(http->connections, request->connection, &stream->watch);
	stream->release = response->produce_free;
	stream->references = 2;
	stream->row = audit_row_new(request);
	response->produce = NULL;
	response->produce_free = NULL;
	response->produce_arg = NULL;
	response->stream = stream;
	rc = pthread_create(&thread, NULL, stream_main, stream);
	if (rc == 0) {
		/* server_stream_ended() tells when it has gone. */
		pthread_detach(thread);
		return 0;
	}
	response->stream = NULL;
	if (stream->release != NULL)
		stream->release(stream->arg);
	audit_row_free(stream->row);
	connection_unwatch(http->connections, &stream->watch);
	server_stream_ended(http, stream);
	stream->references = 1;
	stream_unref(stream);
	return error_sys(err, ERROR_UNAVAILABLE, rc, "could not start a thread");
}

int
stream_failed_early(struct stream *stream, struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&stream->lock);
	if (stream->finished && stream->written == 0 && stream->error.code != ERROR_NONE) {
		*err = stream->error;
		rc = -1;
	}
	pthread_mutex_unlock(&stream->lock);
	return rc;
}

ssize_t
stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *stream = cls;
	ssize_t rc = 0;
	size_t n;

	(void)pos; /* the library reads from front to back */
	pthread_mutex_lock(&stream->lock);
	if (stream->used > 0) {
		n = STREAM_BUFFER - stream->begin;
		if (n > stream->used)
			n = stream->used;
		if (n > max)
			n = max;
		memcpy(buf, stream->ring + stream->begin, n);
		stream->begin = (stream->begin + n) % STREAM_BUFFER;
		stream->used -= n;
		pthread_cond_signal(&stream->room);
		rc = (ssize_t)n;
	} else if (stream->finished) {
		rc = stream->error.code == ERROR_NONE ? MHD_CONTENT_READER_END_OF_STREAM
		    : MHD_CONTENT_READER_END_WITH_ERROR;
	} else {
		stream->suspended = true;
		server_suspend_stream(stream->http, stream->mhd);
	}
	pthread_mutex_unlock(&stream->lock);
	return rc;
}

void
stream_release(void *cls)
{
	struct stream *stream = cls;

	pthread_mutex_lock(&stream->lock);
	stream->gone = true;
	progress_cancel(&stream->progress);
	pthread_cond_signal(&stream->room);
	pthread_mutex_unlock(&stream->lock);
	stream_unref(stream);
}

void
stream_stop(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->stopped = true;
	progress_cancel(&stream->progress);
	pthread_cond_signal(&stream->room);
	pthread_mutex_unlock(&stream->lock);
}

void
stream_abandon(struct stream *stream)
{
	stream_release(stream);
}
