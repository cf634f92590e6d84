/*
 * Claims: who is at work on a repository.
 *
 * A backup holds a shared claim for its run, the deleting phase of prune an exclusive one.
 * Reading needs none. A claim is a small sealed object that names host, process and run,
 * refreshed from time to time. It heals: one whose process is gone (beside this one: looked up;
 * elsewhere: not refreshed for CLAIM_STALE_S, or not seen to be, if its time lies in the future) is
 * removed by whoever meets it. A holder that
 * was stopped for so long that its claim was removed notices in claim_check(), which is called
 * before anything is published.
 * Source: agent/repository/FORMAT.md, "Claim".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CLAIM_H
#define HOLDFAST_AGENT_REPOSITORY_CLAIM_H

#include <jansson.h>

#include "agent/repository/repository.h"
#include "shared/error.h"
#include "shared/progress.h"

#define CLAIM_REFRESH_S 300
#define CLAIM_STALE_S 3600

enum claim_kind { CLAIM_SHARED, CLAIM_EXCLUSIVE };

struct claim;

/*
 *   purpose  "backup", "prune"; shown to whoever is kept waiting
 *   run      id of the run, or NULL
 *   wait_s   how long to wait for others before ERROR_CLAIMED, whose message names the holder
 *   progress ends the waiting with ERROR_CANCELLED once it is cancelled; may be NULL
 */
int claim_take(struct repository *repo, enum claim_kind kind, const char *purpose, const char *run,
    unsigned wait_s, struct progress *progress, struct claim **ret, struct error *err);
/* ERROR_CLAIM_LOST if the claim is no longer there. */
int claim_check(struct claim *claim, struct error *err);
void claim_release(struct claim *claim);

/* Live claims, for showing: array of {host, pid, kind, purpose, run, since}. */
int claim_list(struct repository *repo, json_t **ret, struct error *err);

#endif
