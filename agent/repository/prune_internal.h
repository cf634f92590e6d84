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
	struct timespec time;
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
int mark_remove(struct repository *repo, const struct object_id *id, struct error *err);

/* Flag the packs that prune has marked, so that new backups do not rely on them. */
int prune_load_marks(struct repository *repo, struct error *err);

#endif
