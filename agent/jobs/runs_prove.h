/*
 * The kind of run that shows what can be restored; a row of the table in agent/jobs/runs_kinds.h.
 *
 * A sample of a snapshot, files and whole tables, is restored to where nobody works, compared with
 * what was recorded when it was backed up, and thrown away; the run is the proof.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_PROVE_H
#define HOLDFAST_AGENT_JOBS_RUNS_PROVE_H

#include "agent/jobs/runs_kinds.h"

/* How much is restored if nothing else is said. */
#define PROVE_FILES_DEFAULT 20
#define PROVE_TABLES_DEFAULT 1
#define PROVE_BYTES_DEFAULT (UINT64_C(256) << 20)

extern const struct argument_spec prove_arguments[];
int prove_check(const struct run_context *context, json_t *arguments, struct error *err);
/*
 * Result: {"snapshot", "time", "job": or null, "files": as files_prove() tells, or null, "tables": as
 * tables_prove() tells, or null, "compared"}; also of one that failed, as far as it got.
 */
int prove_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);
char *prove_parameter(const json_t *arguments);

#endif
