/*
 * An answer that comes later: a handler returns, its connection stays suspended without a
 * thread, and a call-back from elsewhere (a run that ended) completes the answer.
 *
 * Two sides hold it, the request and the call-back; the request's side may go first (the agent
 * is being stopped), the call-back then finds nobody.
 */
#ifndef HOLDFAST_AGENT_HTTP_LATER_H
#define HOLDFAST_AGENT_HTTP_LATER_H

#include <stdbool.h>

struct later;
struct request;

/* Makes the answer when the agent stops before anybody called. */
typedef void later_give_up_fn(struct request *request, const char *note);

/* For a handler, before it hands the result to whoever will call back. */
struct later *later_new(struct request *request, const char *note, later_give_up_fn *give_up);
/* The handler could not register its call-back: nobody will call, there is nothing to wait for. */
void later_cancel(struct later *later);

/*
 * For the call-back, exactly once: the request to answer, locked until later_answered(), or
 * NULL if it is gone (do not call later_answered() then).
 */
struct request *later_take(struct later *later);
void later_answered(struct later *later);
/* Instead of later_answered(): not now, later_take() will be called once more. */
void later_put_back(struct later *later);

/* For the server. */
struct later *later_ref(struct later *later);
void later_unref(struct later *later);
/* The handler has returned: is the answer there already?  If not, the call-back will pass the
 * request to server_request_ready(). */
bool later_returned(struct later *later);
/* Answer by give_up, unless it was answered already; the call-back will find nobody.  Returns the
 * request if it is for the caller to pass it to server_request_ready(), else NULL. */
struct request *later_give_up(struct later *later);
/* The request is being freed.  NULL is fine. */
void later_detach(struct later *later);

#endif
