/*
 * Write a snapshot, or part of it, below a target folder.
 *
 * Goes by file descriptor only, one component at a time and never through a symlink: nothing is
 * written outside the target, whatever the snapshot says and whatever happens to the target
 * meanwhile.  Files are created by several threads.  Nothing appears under its final path
 * before it is whole: a new folder has a temporary name until its small files are in it, and
 * what goes into a folder that was there before, and every large file, has a temporary name of
 * its own.  Modes and times of folders are set last.
 * After a crash: names that begin with RESTORE_TEMPORARY are left over; the next restore into
 * the same folders removes those that no living restore holds, and goes on where this one
 * ended, whatever the rule; a folder that got its name but not its attributes is known by its
 * mode, 01700.  Until files_restore() has returned, nothing promises that the data outlives a
 * power cut; then it does, unless no_sync was asked for.
 * Folders that were there keep their attributes under skip and side-copy; under overwrite, and
 * under newer where the snapshot's is newer, they get the snapshot's.
 */
#ifndef HOLDFAST_AGENT_FILES_RESTORE_H
#define HOLDFAST_AGENT_FILES_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/progress.h"

#define RESTORE_TEMPORARY ".holdfast-restore-"

enum conflict_rule {
	CONFLICT_SKIP,      /* what is there stays (default) */
	CONFLICT_NEWER,     /* replaced if the snapshot's is newer (mtime) */
	CONFLICT_OVERWRITE, /* replaced; but never a folder that is not empty by something else */
	CONFLICT_SIDE_COPY, /* ours goes beside it as NAME.restored-N */
	CONFLICT_RULE_COUNT
};

/* "skip", "newer", "overwrite", "side-copy" */
const char *conflict_rule_word(enum conflict_rule rule);
int conflict_rule_parse(const char *word, enum conflict_rule *ret, struct error *err);

enum restore_action {
	RESTORE_CREATE,
	RESTORE_REPLACE,
	RESTORE_SKIP,      /* something else is there and stays */
	RESTORE_SIDE_COPY,
	RESTORE_SAME,      /* there already, by size and time (by content under overwrite) */
	RESTORE_ACTION_COUNT
};
const char *restore_action_word(enum restore_action action);

struct restore_options {
	const char *target;       /* absolute folder; made if absent */
	const char *const *paths; /* absolute paths in the snapshot (printable form); none: all */
	size_t path_count;
	bool strip;               /* the contents of each path go directly into the target */
	enum conflict_rule conflict;
	bool dry_run;             /* only tell each() what would be done */
	bool verify;              /* read back what was written and compare it */
	bool set_id;              /* keep set-user-ID, set-group-ID bits and capabilities */
	bool no_owner;            /* leave all to the restoring user (always, if not root) */
	bool numeric_owner;       /* numbers, not names */
	bool no_sync;             /* do not wait for the disk at the end */
	unsigned threads;         /* 0: one per core, at least 2 */
	/*
	 * Told of each entry by its path in the target (printable), from any thread but never two
	 * at once; may be NULL.
	 */
	void (*each)(void *arg, enum restore_action action, const char *path);
	void *arg;
};

struct restore_result {
	uint64_t created, replaced, skipped, same, side_copies; /* entries */
	uint64_t bytes;      /* plain bytes written */
	uint64_t verified;   /* files compared with what was stored */
};

/*
 * Losses (could not write, damaged blob) and notes (socket skipped) are in progress; the restore
 * goes on.  -1 when it cannot: no such path (ERROR_NOT_FOUND, before anything is written),
 * target not a folder, ERROR_NO_SPACE, ERROR_CANCELLED.  Folders that were made are then
 * finished as far as they got.  The result is filled in any case.
 */
int files_restore(struct repository *repo, const struct snapshot *snapshot,
    const struct restore_options *options, struct progress *progress,
    struct restore_result *result, struct error *err);

#endif
