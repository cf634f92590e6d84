/*
 * A tree's entry as the API and the commands show it.
 */
#ifndef HOLDFAST_AGENT_FILES_ENTRY_JSON_H
#define HOLDFAST_AGENT_FILES_ENTRY_JSON_H

#include <jansson.h>

#include "agent/repository/tree.h"

/*
 * {"name", "kind", "size", "mode": "0644", "uid", "gid", "owner": name or null, "group", "mtime"},
 * and where they apply "target", "device": [major, minor], "links", "sparse".  Names and targets
 * are in printable form.
 */
json_t *entry_to_json(const struct entry *entry);

#endif
