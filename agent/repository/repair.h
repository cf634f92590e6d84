/*
 * Repair: what can be saved of a damaged repository.
 *
 * Nothing is changed unless `apply` is set; without it the result says what would be done.
 * After a crash at any point: what was there before is there still, or its replacement is.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_REPAIR_H
#define HOLDFAST_AGENT_REPOSITORY_REPAIR_H

#include <jansson.h>

#include "agent/repository/repository.h"
#include "shared/progress.h"

struct repair_result {
	/* repair_index */
	uint64_t packs, blobs;        /* that the new index covers */
	uint64_t index_files_removed;
	json_t *unreadable;           /* array of {"pack" or "snapshot", "problem"} */
	/* repair_snapshots */
	/* Array of {"id", "replacement" (if applied), "lost": [paths], "lost_total"}. */
	json_t *snapshots;
};

/* Make the index anew from the packs' own directories, and remove all older index files. */
int repair_index(struct repository *repo, bool apply, struct progress *progress,
    struct repair_result *result, struct error *err);

/*
 * For each snapshot that needs something that is lost: write a new snapshot with all that is
 * left, which names the lost paths, and move the old one to the trash.
 *   read_data  also open every frame, to find damage that sizes do not show
 */
int repair_snapshots(struct repository *repo, bool apply, bool read_data,
    struct progress *progress, struct repair_result *result, struct error *err);

/* {"applied", "packs", "blobs", "index_files_removed", "unreadable", "snapshots"} */
json_t *repair_result_to_json(const struct repair_result *result, bool apply);
void repair_result_done(struct repair_result *result);

#endif
