/*
 * Runs of the kind "load": a CSV file of the exchange storage into a table.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_LOAD_CSV_H
#define HOLDFAST_AGENT_JOBS_RUNS_LOAD_CSV_H

#include "agent/jobs/runs_kinds.h"

extern const struct argument_spec load_csv_arguments[];

/* A row of RUN_KINDS; its parameter is load_parameter(). */
int load_csv_check(const struct run_context *context, json_t *arguments, struct error *err);
int load_csv_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);

#endif
