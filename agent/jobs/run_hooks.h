/*
 * The hooks around a run: those of the job that it is a backup of (agent/jobs/hooks.h).  Other runs,
 * and dry runs, have none.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUN_HOOKS_H
#define HOLDFAST_AGENT_JOBS_RUN_HOOKS_H

#include "agent/jobs/runs_kinds.h"

struct run_hooks {
	const struct config_job *job; /* NULL: none */
	bool begun;                   /* before, or what there is in its place, was reached */
};

/* 0: go on; 1: the run is to be skipped, err says why; -1. */
int run_hooks_before(struct run_hooks *hooks, enum run_kind kind,
    const struct run_context *context, const json_t *arguments, struct progress *progress,
    struct error *err);

/*
 * after or on_failure, by the outcome.  Returns what the run comes to: the outcome, or "warn" for an
 * "ok" whose hook failed.  Then the result has {"hook_failed": MESSAGE}.
 */
const char *run_hooks_after(const struct run_hooks *hooks, const struct run_context *context,
    struct progress *progress, struct run_result *result, const char *outcome,
    const struct error *failure);

#endif
