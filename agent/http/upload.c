#include "agent/http/upload.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/connections.h"
#include "agent/http/refusal.h"
#include "agent/http/request.h"
#include "agent/http/server_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* A reader that waits looks up so often whether its run was cancelled. */
#define READ_WAIT_MS 250

struct upload {
	struct http *http;
	struct upload *next; /* of the server's list; under its lock */
	struct run_input input;
	char run[RUN_ID_TEXT_SIZE];

	pthread_mutex_t lock; /* what follows; the server's suspend_lock is taken after it */
	pthread_cond_t filled;
	unsigned references;
	struct request *request; /* NULL once it is over */
	uint8_t *ring; /* UPLOAD_BUFFER bytes, while the run's side wants them */
	size_t begin, used;
	bool suspended; /* the connection waits for room */
	bool ended;     /* the whole body came */
	bool aborted;   /* it will not come; why says so to the run */
	bool over;      /* the run has ended; why says so to the client */
	struct error why;
};

static void
upload_unref(struct upload *upload)
{
	unsigned left;

	pthread_mutex_lock(&upload->lock);
	left = --upload->references;
	pthread_mutex_unlock(&upload->lock);
	if (left > 0)
		return;
	pthread_cond_destroy(&upload->filled);
	pthread_mutex_destroy(&upload->lock);
	free(upload->ring);
	free(upload);
}

/* Called with the lock held. */
static void
wake_connection(struct upload *upload)
{
	if (!upload->suspended)
		return;
	upload->suspended = false;
	server_resume(upload->http, upload->request->mhd);
}

/* Called with the lock held; the first reason counts. */
static void
abort_upload(struct upload *upload, const struct error *why)
{
	if (upload->ended || upload->aborted || upload->over)
		return;
	upload->aborted = true;
	upload->why = *why;
	pthread_cond_signal(&upload->filled);
	wake_connection(upload);
}

/* --- the run's side ----------------------------------------------------------------- */

static size_t
take_bytes(struct upload *upload, uint8_t *buf, size_t size)
{
	size_t taken = 0;

	while (upload->used > 0 && taken < size) {
		size_t n = UPLOAD_BUFFER - upload->begin;

		if (n > upload->used)
			n = upload->used;
		if (n > size - taken)
			n = size - taken;
		memcpy(buf + taken, upload->ring + upload->begin, n);
		upload->begin = (upload->begin + n) % UPLOAD_BUFFER;
		upload->used -= n;
		taken += n;
	}
	return taken;
}

static void
wait_for_bytes(struct upload *upload)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += READ_WAIT_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&upload->filled, &upload->lock, &until);
}

static ssize_t
upload_read(void *arg, void *buf, size_t size, struct error *err)
{
	struct upload *upload = arg;
	ssize_t rc = IMPORT_READ_WAIT;

	pthread_mutex_lock(&upload->lock);
	if (upload->used == 0 && !upload->ended && !upload->aborted)
		wait_for_bytes(upload);
	if (upload->aborted) {
		*err = upload->why;
		rc = -1;
	} else if (upload->used > 0) {
		rc = (ssize_t)take_bytes(upload, buf, size);
		/* Not at the first byte of room: to suspend and resume is work for both sides. */
		if (upload->used <= UPLOAD_BUFFER / 2)
			wake_connection(upload);
	} else if (upload->ended) {
		rc = 0;
	}
	pthread_mutex_unlock(&upload->lock);
	return rc;
}

/* Nobody reads any more. */
static void
upload_released(void *arg)
{
	struct upload *upload = arg;
	struct error why = ERROR_INIT;

	pthread_mutex_lock(&upload->lock);
	if (!upload->over) {
		error_set(&why, ERROR_UNAVAILABLE, "the run does not take the data any more");
		abort_upload(upload, &why);
	}
	free(upload->ring);
	upload->ring = NULL;
	upload->used = 0;
	pthread_mutex_unlock(&upload->lock);
	upload_unref(upload);
}

/* Must not block. */
static void
run_ended(void *arg, const json_t *run, const struct error *failure)
{
	struct upload *upload = arg;
	char answer[REFUSAL_TEXT_SIZE];

	(void)run;
	pthread_mutex_lock(&upload->lock);
	upload->over = true;
	if (!upload->aborted)
		upload->why = *failure;
	if (upload->why.code == ERROR_NONE)
		error_set(&upload->why, ERROR_INTERNAL, "the run ended before the data did");
	if (upload->request != NULL && !upload->ended && !upload->suspended) {
		/* If the client sends on it is told then, if not, by the next tick of deadlines. */
		refusal_text(&upload->why, answer);
		connection_end_soon(upload->http->connections, upload->request->connection, answer);
	}
	wake_connection(upload);
	pthread_mutex_unlock(&upload->lock);
	upload_unref(upload);
}

/* --- the handler -------------------------------------------------------------------- */

int
upload_begin(struct request *request, struct error *err)
{
	struct http *http = request->http;
	struct upload *upload = MEM_NEW(struct upload);
	pthread_condattr_t monotonic;

	upload->http = http;
	upload->input = (struct run_input){ { upload_read, upload }, upload_released };
	pthread_mutex_init(&upload->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&upload->filled, &monotonic);
	pthread_condattr_destroy(&monotonic);
	upload->references = 1;
	upload->request = request;
	upload->ring = mem_calloc(1, UPLOAD_BUFFER);
	pthread_mutex_lock(&http->lock);
	if (http->uploads_stopped) {
		pthread_mutex_unlock(&http->lock);
		upload_unref(upload);
		error_set(err, ERROR_UNAVAILABLE, "the agent is stopping");
		return error_hint(err, "try again in a moment");
	}
	upload->next = http->uploads;
	http->uploads = upload;
	pthread_mutex_unlock(&http->lock);
	request->upload = upload;
	return 0;
}

const struct run_input *
upload_input(struct upload *upload)
{
	return &upload->input;
}

void
upload_starting(struct upload *upload)
{
	pthread_mutex_lock(&upload->lock);
	upload->references++;
	pthread_mutex_unlock(&upload->lock);
}

void
upload_not_started(struct upload *upload)
{
	upload_unref(upload);
}

int
upload_started(struct upload *upload, struct runs *runs, const char *run, struct error *err)
{
	snprintf(upload->run, sizeof(upload->run), "%s", run);
	pthread_mutex_lock(&upload->lock);
	upload->references++;
	pthread_mutex_unlock(&upload->lock);
	if (runs_when_ended(runs, run, run_ended, upload, err) == 0)
		return 0;
	pthread_mutex_lock(&upload->lock);
	abort_upload(upload, err);
	pthread_mutex_unlock(&upload->lock);
	upload_unref(upload);
	return -1;
}

const char *
upload_run(const struct upload *upload)
{
	return upload->run;
}

/* --- the epoll thread --------------------------------------------------------------- */

static size_t
put_bytes(struct upload *upload, const uint8_t *data, size_t len)
{
	size_t put = 0;

	while (put < len && upload->used < UPLOAD_BUFFER) {
		size_t at = (upload->begin + upload->used) % UPLOAD_BUFFER;
		size_t n = UPLOAD_BUFFER - upload->used;

		if (n > UPLOAD_BUFFER - at)
			n = UPLOAD_BUFFER - at;
		if (n > len - put)
			n = len - put;
		memcpy(upload->ring + at, data + put, n);
		upload->used += n;
		put += n;
	}
	return put;
}

size_t
upload_put(struct upload *upload, const void *data, size_t len, enum upload_state *ret_state,
    struct error *err)
{
	struct error stopping = ERROR_INIT;
	size_t taken = 0;

	pthread_mutex_lock(&upload->lock);
	*ret_state = UPLOAD_OPEN;
	if (!upload->aborted && !upload->over) {
		taken = put_bytes(upload, data, len);
		pthread_cond_signal(&upload->filled);
	}
	if (!upload->aborted && !upload->over && taken < len) {
		*ret_state = UPLOAD_FULL;
		upload->suspended = server_suspend(upload->http, upload->request->mhd);
		if (!upload->suspended) {
			error_set(&stopping, ERROR_UNAVAILABLE, "the agent is stopping");
			abort_upload(upload, &stopping);
		}
	}
	if (upload->aborted || upload->over) {
		*ret_state = UPLOAD_OVER;
		*err = upload->why;
		taken = len;
	}
	pthread_mutex_unlock(&upload->lock);
	return taken;
}

void
upload_end(struct upload *upload)
{
	pthread_mutex_lock(&upload->lock);
	if (!upload->aborted && !upload->over)
		upload->ended = true;
	pthread_cond_signal(&upload->filled);
	pthread_mutex_unlock(&upload->lock);
}

void
upload_detach(struct upload *upload, const struct error *why)
{
	struct error gone = ERROR_INIT;
	struct upload **at;

	if (why->code == ERROR_NONE) {
		error_set(&gone, ERROR_IO, "the client went away before all of the data had come");
		error_hint(&gone, "nothing was kept; send it again");
		why = &gone;
	}
	pthread_mutex_lock(&upload->http->lock);
	for (at = &upload->http->uploads; *at != upload; at = &(*at)->next)
		;
	*at = upload->next;
	pthread_mutex_unlock(&upload->http->lock);
	pthread_mutex_lock(&upload->lock);
	abort_upload(upload, why);
	upload->request = NULL;
	pthread_mutex_unlock(&upload->lock);
	upload_unref(upload);
}

void
uploads_stop(struct http *http)
{
	struct error why = ERROR_INIT;
	struct upload *upload;

	error_set(&why, ERROR_UNAVAILABLE, "the agent was stopped before all of the data had come");
	error_hint(&why, "send it again when the agent is back");
	pthread_mutex_lock(&http->lock);
	http->uploads_stopped = true;
	for (upload = http->uploads; upload != NULL; upload = upload->next) {
		pthread_mutex_lock(&upload->lock);
		abort_upload(upload, &why);
		pthread_mutex_unlock(&upload->lock);
	}
	pthread_mutex_unlock(&http->lock);
}
