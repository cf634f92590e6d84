/*
 * The kind of run that backs folders up, or what a job names; a row of the table in
 * agent/jobs/runs_kinds.h.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_BACKUP_H
#define HOLDFAST_AGENT_JOBS_RUNS_BACKUP_H

#include "agent/jobs/runs_kinds.h"

extern const struct argument_spec backup_arguments[];
int backup_check(const struct run_context *context, json_t *arguments, struct error *err);
int backup_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);
char *backup_parameter(const json_t *arguments);

#endif
