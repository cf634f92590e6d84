/*
 * Show that files of a snapshot can be restored: a sample is restored into a folder that is thrown
 * away, read back from there, and compared with what was recorded when it was backed up.
 *
 * The sample is half the newest files (by mtime) and half files taken at random, each time others.
 * After a crash the folder may be left; whoever owns it removes it (files_throw_away()).
 */
#ifndef HOLDFAST_AGENT_FILES_PROVE_H
#define HOLDFAST_AGENT_FILES_PROVE_H

#include <jansson.h>
#include <stdint.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/error.h"
#include "shared/progress.h"

#define PROVE_FILES_MAX 10000

struct files_prove_options {
	const char *folder;  /* absolute; made if absent, and not removed */
	const char *without; /* absolute path in the snapshot below which nothing is taken, or NULL */
	uint64_t files;      /* at most so many, up to PROVE_FILES_MAX */
	uint64_t bytes;      /* and so many bytes together */
	unsigned threads;    /* 0: one per core */
};

/*
 * ret: {"count", "bytes", "of": files in the snapshot, "too_large": files that are larger than
 * bytes, "paths": [..]}, also after ERROR_CORRUPT.
 * ERROR_CORRUPT: some did not come back as they were stored; they are losses in progress.
 * A snapshot without files (that are small enough) gives a count of 0 and is no error.
 */
int files_prove(struct repository *repo, const struct snapshot *snapshot,
    const struct files_prove_options *options, struct progress *progress, json_t **ret,
    struct error *err);

/* Remove a folder and all in it, without following links or leaving its file system.  One that is
 * not there is fine. */
int files_throw_away(const char *folder, struct error *err);

#endif
