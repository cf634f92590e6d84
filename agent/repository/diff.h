/*
 * What changed between two snapshots, or two folders of snapshots.
 *
 * Folders whose trees are the same blobs are not read, so the time grows with what changed and
 * not with what is there. Inode numbers and ctimes do not count as changes.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_DIFF_H
#define HOLDFAST_AGENT_REPOSITORY_DIFF_H

#include "agent/repository/repository.h"
#include "agent/repository/tree.h"
#include "shared/progress.h"

enum diff_kind {
	DIFF_ADDED,    /* only in the second */
	DIFF_REMOVED,  /* only in the first */
	DIFF_CHANGED,  /* another content, target or device */
	DIFF_METADATA, /* same content, other mode, owner, time or extended attributes */
	DIFF_REPLACED, /* another kind of thing under the same name */
	DIFF_KIND_COUNT
};

const char *diff_kind_word(enum diff_kind kind); /* "added", "removed", "changed", ... */

struct diff_totals {
	uint64_t count[DIFF_KIND_COUNT]; /* entries */
	uint64_t added_bytes;            /* sizes of added files, and of changed ones as they are now */
	uint64_t removed_bytes;          /* the same of removed files, and of changed ones as they were */
};

/*
 * Compare two directory entries (as tree_lookup() gives them), in order of names, folders before
 * what is in them.
 *   each  path is absolute, bytes; before is NULL for what was added, after for what was removed;
 *         returns 0 to go on, -1 to end with its error
 */
int diff_trees(struct repository *repo, const struct entry *before, const struct entry *after,
    const char *path, int (*each)(void *arg, enum diff_kind kind, const char *path, size_t len,
    const struct entry *before, const struct entry *after, struct error *err), void *arg,
    struct progress *progress, struct diff_totals *ret, struct error *err);

#endif
