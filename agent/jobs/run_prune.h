/*
 * A run that forgets snapshots and removes data: whose rules hold for which snapshot.
 *
 * A request's own rules hold for all snapshots, or for those of one job. Without them those of the
 * settings do: each job's, and [keep] for the rest; only for snapshots of this agent's host, and
 * never for those of a job that is not configured.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUN_PRUNE_H
#define HOLDFAST_AGENT_JOBS_RUN_PRUNE_H

#include "agent/jobs/runs_kinds.h"

extern const struct argument_spec prune_arguments[];

int prune_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err);
char *prune_parameter(const json_t *arguments);

#endif
