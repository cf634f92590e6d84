/*
 * What the backends share with the dispatch in storage.c; nobody else includes this.
 */
#ifndef HOLDFAST_AGENT_STORAGE_STORAGE_INTERNAL_H
#define HOLDFAST_AGENT_STORAGE_STORAGE_INTERNAL_H

#include "agent/storage/storage.h"

/* The folder of unfinished objects; no object has a name in it. */
#define STORAGE_TMP "tmp"

#define STORAGE_HINT_DAMAGED "run 'holdfastd check' to see what is damaged"

/* One component: [a-z0-9._-], not "." or "..". */
bool storage_component_is_valid(const char *name);
/* Such components with slashes between. */
bool storage_name_is_valid(const char *name);

int storage_local_open(const char *path, bool create, struct storage **ret, struct error *err);

#endif
