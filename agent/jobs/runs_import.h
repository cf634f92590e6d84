/*
 * Runs of the kind "import": a stream of bytes that the starter of the run feeds becomes a snapshot.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_IMPORT_H
#define HOLDFAST_AGENT_JOBS_RUNS_IMPORT_H

#include "agent/jobs/runs_kinds.h"

extern const struct argument_spec import_arguments[];

/* A row of RUN_KINDS. */
int import_check(const struct run_context *context, json_t *arguments, struct error *err);
int import_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);
char *import_parameter(const json_t *arguments);

#endif
