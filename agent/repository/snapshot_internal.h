/* What the files about snapshots share. */
#ifndef HOLDFAST_AGENT_REPOSITORY_SNAPSHOT_INTERNAL_H
#define HOLDFAST_AGENT_REPOSITORY_SNAPSHOT_INTERNAL_H

#include "agent/repository/repository_internal.h"
#include "agent/repository/snapshot.h"

#define SNAPSHOT_FOLDER "snapshots"
#define TRASH_FOLDER "trash"
#define PIN_FOLDER "pins"

/* Set `pinned` of each that has a pin. */
int snapshots_flag_pinned(struct repository *repo, struct snapshot *const *list, size_t count,
    struct error *err);

/*
 * Publish a snapshot in the place of the one whose id it has: with a new id and the same sequence,
 * so that it stays where it was in the order.  A pin goes over to it; the old one moves to the
 * trash.
 */
int snapshot_replace(struct repository *repo, struct snapshot *snapshot, struct error *err);

#endif
