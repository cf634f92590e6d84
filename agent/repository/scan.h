/*
 * Every blob that snapshots reach, each visited once.
 *
 * Parts of trees that were found whole are not visited again, so that a hundred snapshots of the
 * same folder cost little more than one; damaged ones are visited for each snapshot, so that
 * every path that suffers is named.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_SCAN_H
#define HOLDFAST_AGENT_REPOSITORY_SCAN_H

#include "agent/repository/repository_internal.h"
#include "agent/repository/snapshot.h"
#include "agent/repository/tree.h"
#include "shared/progress.h"

struct scan {
	struct repository *repo;
	struct progress *progress;
	struct blob_table used;   /* all blobs reached; trees only once they are whole */
	uint64_t trees;
	/*
	 * A blob that is missing or damaged, and the path (bytes) that needs it; without id, the
	 * path itself contradicts what it consists of.  Returns 0 to go on, -1 to end the scan
	 * with err.
	 */
	int (*problem)(void *arg, const char *path, size_t len, const struct blob_id *id,
	    const struct error *why, struct error *err);
	/* Optional: why a blob that is in the index cannot be used (its pack is damaged); 0 if it
	 * can. */
	int (*unusable)(void *arg, const struct blob_id *id, const struct blob_place *place,
	    struct error *why);
	void *arg;
};

void scan_init(struct scan *scan, struct repository *repo, struct progress *progress);
void scan_done(struct scan *scan);
int scan_snapshot(struct scan *scan, const struct snapshot *snapshot, struct error *err);
/* Whether a file of a snapshot that was scanned has all its data, and no more. */
bool scan_is_whole(const struct scan *scan, const struct entry *entry);

#endif
