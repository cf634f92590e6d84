/*
 * Write a snapshot, or part of it, below a target folder.
 *
 * Goes by file descriptor only (openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS): nothing is ever
 * written outside the target, whatever the snapshot says and whatever happens to the target
 * meanwhile.  Files are created by several threads; a file appears under its name only when
 * whole (written as a temporary name in the same folder, then renamed).  Modes and times of directories are set last.
 */
#ifndef HOLDFAST_AGENT_FILES_RESTORE_H
#define HOLDFAST_AGENT_FILES_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/progress.h"

enum conflict_rule {
	CONFLICT_SKIP,      /* what is there stays (default) */
	CONFLICT_NEWER,     /* replaced if the snapshot's is newer (mtime) */
	CONFLICT_OVERWRITE, /* replaced */
	CONFLICT_SIDE_COPY, /* ours goes beside it as NAME.restored-N */
	CONFLICT_RULE_COUNT
};

const char *conflict_rule_word(enum conflict_rule rule); /* "skip", "newer", "overwrite", "side-copy" */
int conflict_rule_parse(const char *word, enum conflict_rule *ret, struct error *err);

enum restore_action { RESTORE_CREATE, RESTORE_REPLACE, RESTORE_SKIP, RESTORE_SIDE_COPY, RESTORE_SAME };
const char *restore_action_word(enum restore_action action);

struct restore_options {
	const char *target;       /* absolute folder; made if absent */
	const char *const *paths; /* absolute paths in the snapshot (printable form); none: everything */
	size_t path_count;
	bool strip;               /* put the contents of each path directly into the target, instead of its full path */
	enum conflict_rule conflict;
	bool dry_run;             /* only tell each() what would be done */
	bool verify;              /* read back what was written and compare with the blobs' names */
	bool set_id;              /* keep set-user-ID, set-group-ID bits and file capabilities */
	bool no_owner;            /* leave everything to the restoring user (default if not root) */
	bool numeric_owner;       /* numbers, not names */
	unsigned threads;         /* 0: one per core, at least 2 */
	/* Told of each entry (path printable), from any thread but never two at once; may be NULL. */
	void (*each)(void *arg, enum restore_action action, const char *path);
	void *arg;
};

struct restore_result {
	uint64_t created, replaced, skipped, same, side_copies; /* entries */
	uint64_t bytes;      /* plain bytes written */
	uint64_t verified;   /* files compared with what was stored */
};

/* Losses (could not write, damaged blob) are in progress; the restore goes on.  -1 when it cannot:
 * no such path (ERROR_NOT_FOUND, before anything is written), target not a folder, disk full. */
int files_restore(struct repository *repo, const struct snapshot *snapshot,
    const struct restore_options *options, struct progress *progress,
    struct restore_result *result, struct error *err);

#endif
