/*
 * A few threads that work off a queue, first in, first out.
 *
 * The queue has no limit of its own: each connection has at most one request in it, and the
 * number of connections is bounded.
 */
#ifndef HOLDFAST_AGENT_HTTP_POOL_H
#define HOLDFAST_AGENT_HTTP_POOL_H

#include "shared/error.h"

struct pool;

typedef void pool_fn(void *arg);

int pool_new(unsigned threads, struct pool **ret, struct error *err);
/* Works off what is queued, then ends the threads.  NULL is fine. */
void pool_free(struct pool *pool);
void pool_submit(struct pool *pool, pool_fn *fn, void *arg);

#endif
