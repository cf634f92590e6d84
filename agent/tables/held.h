/*
 * Which snapshots hold a table.
 *
 * A list of the repository's snapshots as it was when it was begun; of each snapshot that may hold
 * the table the folder is looked at, and the head of the file that is found.
 */
#ifndef HOLDFAST_AGENT_TABLES_HELD_H
#define HOLDFAST_AGENT_TABLES_HELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/error.h"
#include "shared/progress.h"

struct held;

/* bad: as of snapshot_list(). */
int held_begin(struct repository *repo,
    void (*bad)(void *arg, const char *id, const struct error *why), void *bad_arg,
    struct held **ret, struct error *err);
void held_free(struct held *held);

/* Where a search begins: before the newest.  After a snapshot: HELD_NONE if there is none. */
#define HELD_NONE SIZE_MAX
size_t held_first(const struct held *held);
size_t held_after(const struct held *held, const char *id);

/*
 * The next older snapshot that holds the table: 1 with {"snapshot", "time", "rows", "bytes"}, rows
 * null for files of a view and where the head cannot be read; then also "error".  0: no more; -1:
 * the progress was cancelled.
 *   folder  of the database's files, as of tables_backup()
 *   at      where the search stands
 */
int held_next(struct held *held, const char *folder, const char *table, struct progress *progress,
    size_t *at, json_t **ret, struct error *err);

#endif
