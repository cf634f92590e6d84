/*
 * The answer to a request that loads rows, once its run has ended.
 */
#ifndef HOLDFAST_AGENT_HTTP_LOADS_HTTP_H
#define HOLDFAST_AGENT_HTTP_LOADS_HTTP_H

#include <stdbool.h>

#include "agent/http/request.h"
#include "shared/error.h"

/*
 * 201 with the run's counts if rows are in the table now that were not, 200 if none are (all were
 * there already); both say how many were rejected.  A failed run: its problem, with the counts.
 * With Prefer: respond-async at once 202 with the run.
 *   existing  the run was there already, by its Idempotency-Key
 */
int loads_http_answer(struct request *request, struct response *response, const char *run,
    bool existing, struct error *err);

#endif
