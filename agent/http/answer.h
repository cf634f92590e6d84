/*
 * From a checked request to a queued response.
 */
#ifndef HOLDFAST_AGENT_HTTP_ANSWER_H
#define HOLDFAST_AGENT_HTTP_ANSWER_H

#include <microhttpd.h>
#include <stdbool.h>

#include "agent/http/request.h"

/* Check the parameters, then call the handler; its result. */
int answer_handle(struct request *request, struct error *err);
/* In a worker: run the handler (or answer the failure), write the row, resume; a pool_fn. */
void answer_work(void *request);
/* The same for a handler that may run in the epoll thread; writes no row.  False: it wants a worker,
 * there is no answer yet. */
bool answer_inline(struct request *request);
/* In the epoll thread: hand the finished response to the library. */
enum MHD_Result answer_queue(struct request *request);

#endif
