/*
 * Starting a run on behalf of a request.
 */
#ifndef HOLDFAST_AGENT_HTTP_RUNS_HTTP_H
#define HOLDFAST_AGENT_HTTP_RUNS_HTTP_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/http/request.h"
#include "agent/jobs/runs.h"
#include "shared/error.h"

/* Start it, with the request's origin, Idempotency-Key and upload.  From here on the run writes the row
 * of the log, also if it is refused. */
int runs_http_start(struct request *request, enum run_kind kind, const json_t *arguments,
    char ret_id[RUN_ID_TEXT_SIZE], bool *ret_existing, struct error *err);

/* The same with an input of the caller's: it stays the caller's if this fails, or if the run was
 * there already. */
int runs_http_start_input(struct request *request, enum run_kind kind, const json_t *arguments,
    const struct run_input *input, char ret_id[RUN_ID_TEXT_SIZE], bool *ret_existing,
    struct error *err);

/* 202 with the run's document and address; 200 if the run was there already. */
int runs_http_accepted(struct request *request, struct response *response, const char *id,
    bool existing, struct error *err);

/* The problem of a run that failed, with its address. */
void runs_http_failed(struct request *request, const char *id, const struct error *failure);

/*
 * Answer when the run has ended: ended is called with a struct later, which it takes; 503 if the
 * agent stops before that.
 */
int runs_http_wait(struct request *request, const char *id, run_ended_fn *ended,
    struct error *err);

/* 201 with the snapshot that the run makes, once it has ended, or its failure; 503 if the agent
 * stops before that.  Of a dry run: 200 with the run's document. */
int runs_http_answer_snapshot(struct request *request, const char *id, struct error *err);

#endif
