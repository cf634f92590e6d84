/*
 * Where a test restore takes place: STATE/proofs/NAME, and a database TABLES_PROVE_PREFIX NAME beside
 * it.  NAME is random.  A room is locked while somebody works in it; one that a crash left
 * behind is not, and is cleared before the next test restore: its database is known by its name, so
 * that nothing else can be meant.
 */
#ifndef HOLDFAST_AGENT_JOBS_PROOF_ROOM_H
#define HOLDFAST_AGENT_JOBS_PROOF_ROOM_H

#include "agent/config.h"
#include "shared/error.h"
#include "shared/progress.h"

struct proof_room;

/* Clear what was left, and make one.  What cannot be cleared is a note, and tried again next time. */
int proof_room_open(const struct config *config, struct progress *progress,
    struct proof_room **ret, struct error *err);
/* An absolute folder, not made yet. */
const char *proof_room_folder(const struct proof_room *room);
/* The database's name.  It is recorded first that this server may have it from now on. */
int proof_room_database(struct proof_room *room, const struct config_database *database,
    const char **ret, struct error *err);
/* Throw the folder away.  dropped: the database is not there (any more), so that nobody has to look
 * for it.  Takes NULL. */
void proof_room_close(struct proof_room *room, bool dropped, struct progress *progress);

#endif
