/*
 * Back folders up: walk, read, and hand to the repository what is new.
 *
 * The walk goes by file descriptor (openat2, no symlinks), so that no swapped link leads out of
 * the source. Files unchanged since the previous snapshot of the same sources (size, mtime,
 * ctime, inode) are not read. Paths that cannot be read are losses in progress; the backup goes
 * on.
 */
#ifndef HOLDFAST_AGENT_FILES_BACKUP_H
#define HOLDFAST_AGENT_FILES_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/limiter.h"
#include "shared/progress.h"

struct writer;
struct entry;

/*
 * What else belongs into the snapshot: a folder of its own at the root, made by other means while
 * the folders are walked.  The calls come in this order; none comes after one that failed.
 */
struct backup_beside {
	const char *kind;      /* of the snapshot, in place of "files" */
	const char *name;      /* of the folder */
	char *const *sources;  /* what the snapshot names besides the paths */
	size_t source_count;
	/* Right before the walk: now is the moment that the snapshot shows. */
	int (*begin)(void *arg, struct error *err);
	/* Store all.  In a thread of its own; folder: the entry, to be filled in. */
	int (*store)(void *arg, struct writer *writer, struct entry *folder, struct error *err);
	/* All is durable; the snapshot, not yet published, can take further figures. */
	void (*stored)(void *arg, struct snapshot *snapshot);
	void *arg;
};

struct backup_options {
	const char *const *paths; /* absolute, existing directories or files; resolved before the walk */
	size_t path_count;
	const char *const *excludes; /* gitignore-like patterns, see agent/files/exclude.h */
	size_t exclude_count;
	bool exclude_caches;   /* leave out folders tagged by CACHEDIR.TAG, but for the tag */
	bool one_file_system;
	uint64_t max_size;     /* leave out files larger than this; 0: no limit */
	bool dry_run;          /* walk and count; store nothing */
	bool force;            /* read every file, also those that look unchanged */
	unsigned threads;      /* 0: one per core */
	int level;             /* zstd level, 0: the repository's default */
	bool no_verify;        /* do not open each frame again before it is stored */
	const char *job, *run; /* or NULL; recorded in the snapshot */
	const char *host;      /* NULL: gethostname() */
	const char *const *tags;
	size_t tag_count;
	const struct limit *read_limit, *file_limit; /* bytes read, files opened; or NULL */
	const struct backup_beside *beside; /* or NULL; not asked in a dry run */
};

/*
 * Returns 0 with a snapshot (caller frees) once it is durable; NULL after a dry run.  Losses are
 * in progress and in the snapshot.  ERROR_NOT_FOUND if none of the paths exists; ERROR_CONFLICT if
 * the root has a folder of the name of the one beside.
 */
int files_backup(struct repository *repo, const struct backup_options *options,
    struct progress *progress, struct snapshot **ret, struct error *err);

#endif
