/*
 * Which handler serves a request; from the table in agent/http/routes.h.
 */
#ifndef HOLDFAST_AGENT_HTTP_ROUTER_H
#define HOLDFAST_AGENT_HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/http/tokens.h"
#include "shared/error.h"

struct request;
struct response;

/*
 * Fills the response and returns 0, or returns -1: the answer is then the error's problem.  A
 * handler of a ROUTE_INLINE route may return ROUTE_IN_WORKER: it would have to wait now, and is
 * called once more by a worker, in PHASE_WORK.
 */
#define ROUTE_IN_WORKER 1
typedef int http_handler_fn(struct request *request, struct response *response,
    struct error *err);

#define ROUTE_BODY 1u   /* takes a body; others refuse one */
/*
 * With ROUTE_BODY: a body of any size that is not collected.  The handler is called twice: before
 * the body is asked for, when it may refuse it or begin an upload, and once all of it has come.
 */
#define ROUTE_STREAM 4u
/* Runs in the epoll thread: must not touch the disk, nor a lock that somebody holds over that. */
#define ROUTE_INLINE 2u

struct route {
	const char *method;
	const char *pattern;
	enum role role;
	unsigned flags;
	const char *action; /* "" for none */
	http_handler_fn *handler;
	const char *sentence;
};

const struct route *router_routes(size_t *ret_count);

/*
 * The route of a method and a path (as sent; segments are decoded here).
 *   ret_id   what {id} stands for, or NULL; caller frees
 * ERROR_NOT_FOUND; ERROR_BAD_METHOD, with what is allowed in ret_allow ("GET, HEAD").
 */
#define ALLOW_TEXT_SIZE 64
int router_find(const char *method, const char *path, const struct route **ret, char **ret_id,
    char ret_allow[ALLOW_TEXT_SIZE], struct error *err);

/* The action of the first route of this path that has one, whatever the method; NULL if none. */
const char *router_action(const char *path);

#define _(method, pattern, role, flags, action, handler, sentence) http_handler_fn handler;
#include "agent/http/routes.h"
ROUTES(_)
#undef _

#endif
