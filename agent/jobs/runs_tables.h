/*
 * The kinds of runs that work on tables of MariaDB; rows of the table in agent/jobs/runs_kinds.h.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_TABLES_H
#define HOLDFAST_AGENT_JOBS_RUNS_TABLES_H

#include "agent/jobs/runs_kinds.h"

extern const struct argument_spec tables_arguments[];
int tables_check(const struct run_context *context, json_t *arguments, struct error *err);
int tables_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);
char *tables_parameter(const json_t *arguments);

extern const struct argument_spec restore_table_arguments[];
int restore_table_check(const struct run_context *context, json_t *arguments, struct error *err);
int restore_table_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);
char *restore_table_parameter(const json_t *arguments);

#endif
