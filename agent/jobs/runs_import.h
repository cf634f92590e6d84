/*
 * Runs of the kind "import": bytes that whoever starts the run feeds become a snapshot.
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
