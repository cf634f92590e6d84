/*
 * What one snapshot alone holds: the blobs that no other snapshot, nor the trash, needs.
 *
 * Reads each tree that snapshots reach once.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_UNIQUE_H
#define HOLDFAST_AGENT_REPOSITORY_UNIQUE_H

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/progress.h"

struct unique_size {
	uint64_t blobs;
	uint64_t bytes; /* plain, as they were before compression */
};

/*
 * Blobs that are lost count as nothing.  If another snapshot cannot be read, that is an error: what
 * it needs would count as this one's own.
 */
int snapshot_unique_bytes(struct repository *repo, const struct snapshot *snapshot,
    struct progress *progress, struct unique_size *ret, struct error *err);

#endif
