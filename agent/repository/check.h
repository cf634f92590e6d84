/*
 * Check: structure (every reference leads somewhere, every pack has the size and index it
 * claims) and, on request, every stored byte.  Reads only; needs no claim.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CHECK_H
#define HOLDFAST_AGENT_REPOSITORY_CHECK_H

#include <jansson.h>
#include <time.h>

#include "agent/repository/repository.h"
#include "shared/progress.h"

struct check_options {
	bool read_data;   /* open every frame and hash every blob */
	unsigned percent; /* with read_data: only this share of the packs, 1..100; 0 means all */
	/*
	 * With read_data: of packs that the storage wrote at this time or later; 0 means any.  By
	 * the storage's own clock: neither packs nor the index know it, and the times of snapshots
	 * say nothing of packs that prune wrote, or that were copied.  A pack is read, too, if
	 * the storage cannot tell, and if its time is in the future.
	 */
	struct timespec since;
	unsigned threads; /* 0: one per core */
};

struct check_result {
	uint64_t snapshots, packs, blobs, trees;
	uint64_t packs_read; /* with all their data */
	uint64_t bytes_read;
	uint64_t packs_with_parity, parity_bytes;
	uint64_t errors;
	uint64_t healable; /* of these: nothing is lost, repair_packs() mends it */
	json_t *damage; /* array of {"object", "problem", "healable", "snapshots": [], "paths": []} */
};

/* Returns 0 also when damage was found: see result->errors.  -1 if the check could not be done. */
int check_run(struct repository *repo, const struct check_options *options,
    struct progress *progress, struct check_result *result, struct error *err);
void check_result_done(struct check_result *result);

#endif
