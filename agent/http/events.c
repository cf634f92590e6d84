#include "agent/http/events.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/http/pool.h"
#include "agent/http/request.h"
#include "agent/http/server_internal.h"
#include "shared/mem.h"

struct event {
	TAILQ_ENTRY(event) next;
	size_t len, sent;
	bool droppable;
	char *text;
};

struct event_stream {
	struct event_stream *next, *previous; /* in the server's list */
	struct http *http;
	struct runs *runs;
	struct MHD_Connection *mhd;
	struct run_subscription *subscription;
	bool one_run;

	pthread_mutex_t lock;
	unsigned references;
	TAILQ_HEAD(, event) queue;
	size_t bytes;
	bool suspended, ended, too_slow;
};

char *
event_text(const char *event, uint64_t number, const json_t *data)
{
	char *json = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY), *text;

	/* JSON holds no line end, so one "data:" line is enough. */
	text = mem_printf("id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)number, event,
	    json == NULL ? "null" : json);
	free(json);
	return text;
}

static void
event_free(struct event *event)
{
	free(event->text);
	free(event);
}

static void
event_stream_unref(struct event_stream *stream)
{
	struct event *event;
	unsigned left;

	pthread_mutex_lock(&stream->lock);
	left = --stream->references;
	pthread_mutex_unlock(&stream->lock);
	if (left > 0)
		return;
	while ((event = TAILQ_FIRST(&stream->queue)) != NULL) {
		TAILQ_REMOVE(&stream->queue, event, next);
		event_free(event);
	}
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}

/* Called with the lock held. */
static void
wake_reader(struct event_stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	server_resume(stream->http, stream->mhd);
}

/* Make room by the oldest progress; one that is half sent must be finished. */
static void
drop_progress(struct event_stream *stream)
{
	struct event *event, *next;

	for (event = TAILQ_FIRST(&stream->queue); event != NULL && stream->bytes > EVENT_BUFFER;
	    event = next) {
		next = TAILQ_NEXT(event, next);
		if (!event->droppable || event->sent > 0)
			continue;
		TAILQ_REMOVE(&stream->queue, event, next);
		stream->bytes -= event->len;
		event_free(event);
	}
	if (stream->bytes > 4 * EVENT_BUFFER)
		stream->too_slow = true;
}

/* Takes the text. */
static void
push(struct event_stream *stream, char *text, bool droppable, bool last)
{
	struct event *event = MEM_NEW(struct event);

	event->text = text;
	event->len = strlen(text);
	event->droppable = droppable;
	pthread_mutex_lock(&stream->lock);
	if (stream->ended || stream->too_slow) {
		event_free(event);
	} else {
		TAILQ_INSERT_TAIL(&stream->queue, event, next);
		stream->bytes += event->len;
		stream->ended = last;
		drop_progress(stream);
	}
	wake_reader(stream);
	pthread_mutex_unlock(&stream->lock);
}

static void
run_event(void *arg, const char *event, uint64_t number, const json_t *data)
{
	struct event_stream *stream = arg;

	push(stream, event_text(event, number, data), strcmp(event, "progress") == 0,
	    stream->one_run && strcmp(event, "ended") == 0);
}

int
event_stream_open(struct request *request, const char *run, struct error *err)
{
	struct event_stream *stream = MEM_NEW(struct event_stream);

	stream->http = request->http;
	stream->runs = request->services->runs;
	stream->mhd = request->mhd;
	stream->one_run = run != NULL;
	stream->references = 1;
	pthread_mutex_init(&stream->lock, NULL);
	TAILQ_INIT(&stream->queue);
	if (!server_events_began(request->http, stream)) {
		event_stream_unref(stream);
		error_set(err, ERROR_UNAVAILABLE, "%u clients follow events already",
		    EVENT_STREAMS_MAX);
		return error_hint(err, "ask for /v1/runs from time to time instead");
	}
	/* Sent at once, so that the client knows that it is connected; retry is in milliseconds. */
	push(stream, mem_strdup("retry: 2000\n\n"), false, false);
	if (runs_subscribe(stream->runs, run, run_event, stream, &stream->subscription, err) != 0) {
		server_events_ended(stream->http, stream);
		event_stream_unref(stream);
		return -1;
	}
	request->response.status = 200;
	request->response.content_type = "text/event-stream";
	request->response.events = stream;
	return 0;
}

ssize_t
event_stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct event_stream *stream = cls;
	struct event *event;
	ssize_t rc = 0;
	size_t n, done = 0;

	(void)pos; /* read from front to back */
	pthread_mutex_lock(&stream->lock);
	while (done < max && (event = TAILQ_FIRST(&stream->queue)) != NULL) {
		n = event->len - event->sent;
		if (n > max - done)
			n = max - done;
		memcpy(buf + done, event->text + event->sent, n);
		event->sent += n;
		done += n;
		if (event->sent < event->len)
			break;
		TAILQ_REMOVE(&stream->queue, event, next);
		stream->bytes -= event->len;
		event_free(event);
	}
	if (done > 0)
		rc = (ssize_t)done;
	else if (stream->too_slow)
		rc = MHD_CONTENT_READER_END_WITH_ERROR;
	else if (stream->ended)
		rc = MHD_CONTENT_READER_END_OF_STREAM;
	else if (server_suspend(stream->http, stream->mhd))
		stream->suspended = true;
	else
		rc = MHD_CONTENT_READER_END_OF_STREAM; /* the agent is stopping */
	pthread_mutex_unlock(&stream->lock);
	return rc;
}

/* runs_unsubscribe may wait for a call-back in progress: not in an epoll thread. */
static void
close_stream(void *arg)
{
	struct event_stream *stream = arg;

	runs_unsubscribe(stream->runs, stream->subscription);
	server_events_ended(stream->http, stream);
	event_stream_unref(stream);
}

void
event_stream_release(void *cls)
{
	struct event_stream *stream = cls;

	pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	pthread_mutex_unlock(&stream->lock);
	pool_submit(server_pool(stream->http), close_stream, stream);
}

void
event_stream_heartbeat(struct event_stream *stream)
{
	push(stream, mem_strdup(": heartbeat\n\n"), true, false);
}

void
event_stream_end(struct event_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	wake_reader(stream);
	pthread_mutex_unlock(&stream->lock);
}

struct event_stream *
event_stream_next(const struct event_stream *stream)
{
	return stream->next;
}

void
event_stream_link(struct event_stream **list, struct event_stream *stream)
{
	stream->previous = NULL;
	stream->next = *list;
	if (*list != NULL)
		(*list)->previous = stream;
	*list = stream;
}

void
event_stream_unlink(struct event_stream **list, struct event_stream *stream)
{
	if (stream->previous != NULL)
		stream->previous->next = stream->next;
	else
		*list = stream->next;
	if (stream->next != NULL)
		stream->next->previous = stream->previous;
}
