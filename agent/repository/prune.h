/*
 * Retention and prune.
 *
 * Retention forgets the snapshots that no rule keeps: they move to the trash. Prune removes what
 * no snapshot needs, in two phases: packs without use are marked (new backups no longer rely on
 * them); a later prune removes marked ones whose grace period is over and that are still unused,
 * under an exclusive claim. Snapshots in the trash keep their data until their own grace period
 * is over. After a crash at any point: every snapshot that was not forgotten is whole; the next
 * prune goes on.
 * Source: agent/repository/FORMAT.md, "Prune".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_PRUNE_H
#define HOLDFAST_AGENT_REPOSITORY_PRUNE_H

#include <jansson.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/progress.h"

struct keep_rules {
	unsigned last, hourly, daily, weekly, monthly, yearly; /* 0: rule not set */
	int64_t within_s;                                      /* 0: rule not set */
};

/* Whose rules: of several rows, the first that fits a snapshot says what becomes of it. */
struct keep_row {
	const char *host;        /* NULL: any */
	const char *job;         /* NULL: any; "": snapshots of no job */
	struct keep_rules keep;  /* all zero: all of them stay */
	const char *origin;      /* for people: "job home" */
};

#define KEEP_ORIGIN_REQUEST "request"

/* Snapshots that no row fits stay: nothing is forgotten on a guess. */
struct keep_policy {
	const struct keep_row *rows;
	size_t count;
};

enum prune_part { PRUNE_ALL, PRUNE_FORGET, PRUNE_REMOVE };

struct prune_options {
	struct keep_rules keep;      /* for every snapshot; all zero: forget none */
	const struct keep_policy *policy; /* in place of keep, or NULL */
	enum prune_part part;        /* forget snapshots, remove data, or both */
	bool dry_run;                /* say what would be done */
	int64_t grace_s;             /* how long a marked pack, and trash, stays */
	unsigned rewrite_percent;    /* rewrite a pack when so much of it is dead; 0: 25 */
	uint64_t join_packs;         /* join small packs of a kind if there are so many; 0: never */
};

struct prune_result {
	/* Array of {"id", "time", "host", "job", "sources", "keep": bool, "rule": whose rule it
	 * was or null, "reasons": []}. */
	json_t *snapshots;
	uint64_t forgotten;
	uint64_t packs_marked, packs_removed;
	uint64_t packs_rewritten, packs_joined; /* because much was dead; because they were small */
	uint64_t bytes_marked, bytes_removed; /* stored bytes */
	/* Of a dry run: what it frees in the end, once all grace periods are over. Packs are
	 * counted by the share of them that is dead. */
	uint64_t bytes_to_free;
};

/* Which snapshots of the list (oldest first) the rules keep, per job, host and sources. */
struct keep_decision {
	bool keep;
	const char *origin; /* of the rules, lent by the policy; NULL if none fits */
	json_t *reasons; /* array of texts: "last 3", "daily 2026-11-21", ... */
};
/* Caller frees with keep_decisions_free().  No rule set keeps everything. */
struct keep_decision *keep_decide(const struct keep_policy *policy, struct snapshot *const *list,
    size_t count);
void keep_decisions_free(struct keep_decision *decisions, size_t count);

#define PRUNE_GRACE_DEFAULT_S (24 * 3600)
#define PRUNE_REWRITE_DEFAULT 25

int prune_run(struct repository *repo, const struct prune_options *options,
    struct progress *progress, struct prune_result *result, struct error *err);
void prune_result_done(struct prune_result *result);

#endif
