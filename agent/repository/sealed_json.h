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

#endif
