/*
 * The body of a request on its way into a run, never whole in memory.
 *
 * A bounded buffer lies between the epoll thread, which fills it, and the run, which empties it.
 * While it is full the client's connection is suspended, so a slow run (or one that is paused, or
 * still queued) makes the client wait.  The run sees the end of the body only if all of it came: a
 * client that goes away, a deadline or the end of the agent is an error to it.
 *
 * Two sides hold an upload, the request and the run; either may go first.  When the run has ended
 * while the body still arrives, what upload_put() is given is refused with the run's failure.
 */
#ifndef HOLDFAST_AGENT_HTTP_UPLOAD_H
#define HOLDFAST_AGENT_HTTP_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/jobs/runs.h"
#include "shared/error.h"

struct http;
struct request;
struct upload;

#define UPLOAD_BUFFER (1u << 20)

/*
 * For the handler of a ROUTE_STREAM, in its first call: it becomes request->upload.
 * ERROR_UNAVAILABLE if the agent is stopping.
 */
int upload_begin(struct request *request, struct error *err);
/* What runs_start() takes; the run's side holds the upload from then on. */
const struct run_input *upload_input(struct upload *upload);
/* Before runs_start(); only if that fails, upload_not_started() takes it back. */
void upload_starting(struct upload *upload);
void upload_not_started(struct upload *upload);
/* The run is there: listen to its end, and remember its id for the second call. */
int upload_started(struct upload *upload, struct runs *runs, const char *run, struct error *err);
const char *upload_run(const struct upload *upload);

/* --- for the epoll thread ----------------------------------------------------------- */

enum upload_state {
	UPLOAD_OPEN, /* all was taken */
	UPLOAD_FULL, /* some was not: the connection is suspended until there is room */
	UPLOAD_OVER  /* nobody wants it any more; err says why */
};
/* Returns how much was taken. */
size_t upload_put(struct upload *upload, const void *data, size_t len,
    enum upload_state *ret_state, struct error *err);
/* The body has come to its end. */
void upload_end(struct upload *upload);
/* The request is over.  why: what ended it before its body did; code NONE: the client went away. */
void upload_detach(struct upload *upload, const struct error *why);

/* The agent stops: all bodies that still arrive are given up. */
void uploads_stop(struct http *http);

#endif
