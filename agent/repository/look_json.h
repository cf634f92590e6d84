/*
 * The JSON forms of what looking into snapshots finds, the same for the API and the commands.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_LOOK_JSON_H
#define HOLDFAST_AGENT_REPOSITORY_LOOK_JSON_H

#include <jansson.h>

#include "agent/repository/diff.h"
#include "agent/repository/snapshot.h"
#include "agent/repository/tree.h"

/* {"path", "change", "kind", "size_before", "size_after"}; shown is the path in printable form. */
json_t *diff_change_to_json(enum diff_kind kind, const char *shown, const struct entry *before,
    const struct entry *after);
/* {"added": N, ..., "added_bytes", "removed_bytes"} */
json_t *diff_totals_to_json(const struct diff_totals *totals);

/* {"snapshot", "time", "host", "path", "kind", "size", "mtime"}; instead of the last three
 * "gone": true if entry is NULL. */
json_t *find_place_to_json(const struct snapshot *snapshot, const char *shown,
    const struct entry *entry);

#endif
