/* Small sealed objects that hold one JSON document: snapshots, claims, marks, trash. */
#ifndef HOLDFAST_AGENT_REPOSITORY_SEALED_JSON_H
#define HOLDFAST_AGENT_REPOSITORY_SEALED_JSON_H

#include <jansson.h>

#include "agent/repository/repository_internal.h"

#define SEALED_JSON_MAX (64u << 20)

/* Write "FOLDER/ID". */
int sealed_json_write(struct repository *repo, const char *folder, enum seal_type type,
    const struct object_id *id, const json_t *json, bool replace, struct error *err);
/* ERROR_NOT_FOUND, ERROR_CORRUPT. */
int sealed_json_read(struct repository *repo, const char *folder, enum seal_type type,
    const struct object_id *id, json_t **ret, struct error *err);
/* "FOLDER/ID" to the id; -1 if the name is of another form. */
int sealed_json_name_parse(const char *name, const char *folder, struct object_id *ret);
void sealed_json_name(const char *folder, const struct object_id *id, char out[64]);

/*
 * How many seconds ago the time was that member `key` of the document tells, or -1 if it tells
 * none.  A time of the future, which a clock that was ahead has written, counts from when it was
 * first met: member "seen".  That is no part of the time itself, so that it does no harm if the
 * clock is wrong now.
 *   ret_met  it was met just now: "seen" was set, and the document is to be written again
 */
int64_t sealed_json_age(json_t *json, const char *key, bool *ret_met);

#endif
