#ifndef HOLDFAST_AGENT_REPOSITORY_INDEX_MERGE_H
#define HOLDFAST_AGENT_REPOSITORY_INDEX_MERGE_H

#include "agent/repository/repository_internal.h"

/*
 * Merge index files if many of about one size have gathered. To be called under a shared claim. A
 * failure loses nothing: what was not merged stays.
 */
int index_merge(struct repository *repo, struct error *err);

#endif
