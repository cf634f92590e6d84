/*
 * Marks: which packs a prune found without use, and when.  What the parts of prune share.
 * Source: agent/repository/FORMAT.md, "Prune".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_PRUNE_INTERNAL_H
#define HOLDFAST_AGENT_REPOSITORY_PRUNE_INTERNAL_H

#include <time.h>

#include "agent/repository/repository_internal.h"

/* One prune's marks: an object of its own, so that two prunes do not undo each other. */
struct mark {
	struct object_id id; /* of the object */
	int64_t age_s;
	bool met;            /* a time of the future that no prune has met yet */
	struct object_id *packs;
	size_t pack_count, pack_cap;
};

struct marks {
	struct mark *list;
	size_t count, cap;
};

/* Damaged marks are left out: their packs count as not marked. */
int marks_read(struct repository *repo, struct marks *ret, struct error *err);
void marks_done(struct marks *marks);
/* Write these packs as one new mark. */
int mark_write(struct repository *repo, const struct object_id *packs, size_t count,
    struct error *err);
/* Note that a mark's time lies in the future, so that its age can be told later. */
int mark_meet(struct repository *repo, const struct object_id *id, struct error *err);
int mark_remove(struct repository *repo, const struct object_id *id, struct error *err);

/* A pack that never came near its usual size. */
#define PRUNE_SMALL_PACK (PACK_SIZE_TARGET / 4)

/* Of packs with these sizes (ascending), how many, from the smallest on, are to be joined if there
 * must be so many at least; 0: none, also if least is 0. */
size_t prune_count_to_join(const uint64_t *sizes, size_t count, uint64_t least);

/* Store the blobs of these packs that are used anew.  The packs are marked already, so that the
 * writer does not rely on them. */
struct progress;
int prune_rewrite(struct repository *repo, const struct blob_table *used,
    const struct object_id *packs, size_t count, struct progress *progress, struct error *err);

/* Flag the packs that prune has marked, so that new backups do not rely on them. */
int prune_load_marks(struct repository *repo, struct error *err);

#endif
