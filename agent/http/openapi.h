/*
 * What the API takes and answers: one operation for each route.
 *
 * The files of agent/http/openapi/ hold, by "METHOD PATH" as agent/http/routes.h has it, what a row
 * of that table has no room for: parameters with their bounds, bodies, answers with schema and
 * example, problems.  GET /openapi.json and the check of every request's parameters come from
 * there.  A route that is not described takes any parameter and is missing from the document;
 * tests/unit/test_openapi.c lets no such route pass, nor an operation without a route.
 *
 * Form of an operation, besides what OpenAPI has (parameters, requestBody, responses,
 * description, operationId):
 *   "document": true      an answer in memory that stays the same while nothing changes: it has an
 *                         ETag, and 304
 *   "starts_run": true    takes Prefer and Idempotency-Key, may answer 202
 *   "errors": [WORD...]   problems besides those that any route may answer; shared/error_codes.h
 *   "as": "METHOD PATH"   the same as another operation
 * and in it a text instead of a parameter, header or schema names one of the components.
 * A schema with "x-part" is only there for others to be made from.
 *
 * Threads: nothing changes after openapi_load().
 */
#ifndef HOLDFAST_AGENT_HTTP_OPENAPI_H
#define HOLDFAST_AGENT_HTTP_OPENAPI_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/http/request.h"
#include "agent/http/router.h"
#include "shared/error.h"

struct openapi;

/* ERROR_INTERNAL names the operation that is wrong: the program was built so. */
int openapi_load(struct openapi **ret, struct error *err);
void openapi_free(struct openapi *openapi); /* takes NULL */

/* The document, JSON. */
const char *openapi_text(const struct openapi *openapi);

/*
 * Check the parameters of a query: names, numbers and their bounds, words.  ERROR_BAD_REQUEST
 * names the parameter, or what there is.  What a text means is for the handler.
 */
int openapi_check(const struct openapi *openapi, const struct route *route,
    const struct params *params, struct error *err);

/* A number among the parameters of a request that was checked, or its default. */
uint64_t openapi_number(const struct openapi *openapi, const struct request *request,
    const char *name);
/* Parameter "limit", of which 0 is the default, too. */
uint64_t openapi_limit(const struct openapi *openapi, const struct request *request);

/* The query of a request that was checked as arguments of a run: texts, true and false. */
void openapi_arguments(const struct openapi *openapi, const struct request *request,
    json_t *arguments);

/* Does the route answer a document, which has an ETag? */
bool openapi_is_document(const struct openapi *openapi, const struct route *route);

#endif
