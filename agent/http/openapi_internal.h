/*
 * The parts of the API's document: agent/http/openapi.h.
 */
#ifndef HOLDFAST_AGENT_HTTP_OPENAPI_INTERNAL_H
#define HOLDFAST_AGENT_HTTP_OPENAPI_INTERNAL_H

#include <jansson.h>

#include "agent/http/router.h"
#include "shared/error.h"
#include "shared/shipped.h"

/* The files, carried in the program. */
extern const struct shipped_file openapi_files[];
extern const size_t openapi_count;

/*
 * What the files say, joined:
 *   operations   by "METHOD PATH"; each has "tag" besides
 *   components   schemas, parameters, headers; schemas of what starts runs are added
 *   problems     by word: an example of its detail
 *   tags         in the order of the files
 */
struct openapi_source {
	json_t *operations, *components, *problems, *tags;
};

/* The operation of a route, lent, or NULL. */
const json_t *openapi_operation(const struct openapi_source *source, const struct route *route);
/* A parameter as it stands in an operation, or the component that it names, lent; or NULL. */
const json_t *openapi_parameter(const struct openapi_source *source, const json_t *parameter);

/* The whole document. */
int openapi_document(const struct openapi_source *source, json_t **ret, struct error *err);

/* Into schemas: RunKind, the arguments of each kind of run, RunArguments and RunStart; from the
 * tables by which runs check them. */
void openapi_add_runs(json_t *schemas);
/* Into components: ProblemType, and an answer for each status of shared/error_codes.h. */
void openapi_add_problems(json_t *components, const json_t *problems);

#endif
