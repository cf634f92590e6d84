/*
 * Names over all snapshots.
 *
 * Parts of trees without a match below are visited once, however many snapshots share them.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_FIND_H
#define HOLDFAST_AGENT_REPOSITORY_FIND_H

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "agent/repository/tree.h"
#include "shared/progress.h"

/*
 * Every entry whose name matches, in all given snapshots in their order.
 *   pattern  with "*", "?" or "[": a glob for the whole name; else a part of the name. With a
 *            slash within: for the whole path
 *   each     path is absolute, bytes; returns 0 to go on, 1 to end, -1 to end with its error
 */
int find_names(struct repository *repo, struct snapshot *const *snapshots, size_t count,
    const char *pattern, int (*each)(void *arg, const struct snapshot *snapshot,
    const char *path, size_t len, const struct entry *entry, struct error *err), void *arg,
    struct progress *progress, struct error *err);

/*
 * The versions of one path: each snapshot in which it differs from the snapshot of the same host
 * before (or is there for the first time). entry is NULL where it has gone. Returns as
 * find_names.
 */
int find_versions(struct repository *repo, struct snapshot *const *snapshots, size_t count,
    const char *path, int (*each)(void *arg, const struct snapshot *snapshot,
    const struct entry *entry, struct error *err), void *arg, struct progress *progress,
    struct error *err);

#endif
