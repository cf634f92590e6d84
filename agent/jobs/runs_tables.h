/*
 * The kinds of runs that work on tables of MariaDB; rows of the table in agent/jobs/runs_kinds.h.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_TABLES_H
#define HOLDFAST_AGENT_JOBS_RUNS_TABLES_H

#include "agent/files/backup.h"
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

/*
 * The tables of a job.  Alone they are a backup of their own; together with folders they are opened,
 * stored beside them (agent/files/backup.h), told in the result, and closed.
 */
int job_tables_execute(const struct run_context *context, const struct config_job *job,
    const json_t *arguments, struct progress *progress, struct run_result *result,
    struct error *err);
struct job_tables;
int job_tables_open(const struct run_context *context, const struct config_job *job,
    const json_t *arguments, struct progress *progress, struct job_tables **ret,
    struct error *err);
const struct backup_beside *job_tables_beside(const struct job_tables *tables);
void job_tables_result(struct job_tables *tables, json_t *result);
void job_tables_close(struct job_tables *tables); /* takes NULL */

#endif
