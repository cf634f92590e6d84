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

#endif
