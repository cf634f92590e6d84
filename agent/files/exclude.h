/*
 * Gitignore-like patterns that leave paths out of a backup.
 *
 * One pattern a line or list item.  "name" matches at any depth; a pattern with a slash at the start or
 * within is anchored at the root of the file system ("/srv/cache", "srv/cache"); a slash at the end matches
 * directories only; "*" and "?" and "[...]" stay within one component, "**" crosses; "!" takes
 * back an earlier match (but never within a folder that is left out); "\" quotes; empty lines and lines that
 * start with "#" are nothing.  The last pattern that matches decides.
 */
#ifndef HOLDFAST_AGENT_FILES_EXCLUDE_H
#define HOLDFAST_AGENT_FILES_EXCLUDE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"

struct exclude;

int exclude_new(const char *const *patterns, size_t count, struct exclude **ret, struct error *err);
void exclude_free(struct exclude *exclude);
/* path: absolute, bytes, without trailing slash.  Thread-safe; linear in path and pattern (no
 * exponential backtracking).  A NULL exclude matches nothing. */
bool exclude_match(const struct exclude *exclude, const char *path, size_t len, bool is_directory);

#endif
