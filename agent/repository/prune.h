/*
 * Retention and prune.
 *
 * prune_apply_retention() forgets snapshots that no rule keeps (they are moved to "trash", from where they
 * can be brought back).  prune_run() removes what no snapshot needs in two phases: packs without
 * use are marked; a later prune removes marked ones whose grace period is over and that are
 * still unused, under an exclusive claim.
 * Source: agent/repository/FORMAT.md, "Prune".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_PRUNE_H
#define HOLDFAST_AGENT_REPOSITORY_PRUNE_H

#include <jansson.h>

#include "agent/repository/repository.h"
#include "shared/progress.h"

struct keep_rules {
	unsigned last, hourly, daily, weekly, monthly, yearly; /* 0: rule not set */
	int64_t within_s;                                      /* 0: rule not set */
};

struct prune_options {
	struct keep_rules keep;      /* all zero: forget no snapshot */
	bool dry_run;                /* say what would be done */
	int64_t grace_s;             /* how long a marked pack stays; default 24 h */
	unsigned rewrite_percent;    /* rewrite a pack when so much of it is dead; default 25 */
};

struct prune_result {
	json_t *snapshots;       /* array of {"id", "time", "source", "keep": bool, "reasons": []} */
	uint64_t forgotten;
	uint64_t packs_marked, packs_removed, packs_rewritten;
	uint64_t bytes_marked, bytes_removed; /* stored bytes */
};

#define PRUNE_GRACE_DEFAULT_S (24 * 3600)
#define PRUNE_REWRITE_DEFAULT 25

int prune_run(struct repository *repo, const struct prune_options *options,
    struct progress *progress, struct prune_result *result, struct error *err);
void prune_result_done(struct prune_result *result);

#endif
