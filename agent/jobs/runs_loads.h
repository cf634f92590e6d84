/*
 * The kinds of runs that put rows from outside into a table of MariaDB; rows of the table in
 * agent/jobs/runs_kinds.h.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_LOADS_H
#define HOLDFAST_AGENT_JOBS_RUNS_LOADS_H

#include "agent/config.h"
#include "agent/jobs/runs_kinds.h"
#include "agent/tables/rejects.h"
#include "agent/tables/row_load.h"

/* ---- load-rows: rows of JSON that come with the run */

extern const struct argument_spec load_rows_arguments[];
int load_rows_check(const struct run_context *context, json_t *arguments, struct error *err);
int load_rows_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);

/* ---- what all loads share */

/* The arguments "table" and "database"; ret may be NULL. */
int load_check_table(const struct run_context *context, const json_t *arguments,
    const struct config_database **ret, struct error *err);
/*
 * Load what the source gives, by the arguments "database", "table", "on_error" and "on_duplicate".
 * The result, also of a run that failed: {"database", "schema", "table", "read", "inserted",
 * "updated", "ignored", "rejected", "rejects": the first of them}.
 * ERROR_BAD_REQUEST, too, if there were rows and every one was rejected.
 *   rejects  closed, also on failure
 */
int load_execute(const struct run_context *context, const json_t *arguments,
    struct row_source *source, struct rejects *rejects, struct progress *progress,
    struct run_result *result, struct error *err);
char *load_parameter(const json_t *arguments);

#endif
