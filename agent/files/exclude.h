/*
 * Gitignore-like patterns that leave paths out of a backup.
 *
 * One pattern a list item.  "name" matches at any depth; a pattern with a slash at the start or
 * within is anchored at the root of the file system ("/srv/cache", "srv/cache"); a slash at the
 * end matches directories only; "*", "?" and "[...]" stay within one component, "**" crosses
 * ("**" + "/" at the start or between slashes also stands for no component at all); "!" takes
 * back an earlier match (but never within a folder that is left out, as that is not walked);
 * "\" quotes; empty items and items that start with "#" are nothing.  The last pattern that
 * matches decides.  "?" is one character of UTF-8, or one byte where it is none.
 */
#ifndef HOLDFAST_AGENT_FILES_EXCLUDE_H
#define HOLDFAST_AGENT_FILES_EXCLUDE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"

/* Longer patterns are refused; it bounds the cost of a match. */
#define EXCLUDE_PATTERN_MAX 4096

struct exclude;

/* ERROR_BAD_REQUEST, naming the pattern, if one is not well formed. */
int exclude_new(const char *const *patterns, size_t count, struct exclude **ret,
    struct error *err);
void exclude_free(struct exclude *exclude);

/*
 * Does this path stay out?
 *   path  absolute, bytes, without trailing slash
 * Thread-safe; cost at most path times pattern, whatever they hold.  A NULL exclude matches
 * nothing.
 */
bool exclude_match(const struct exclude *exclude, const char *path, size_t len,
    bool is_directory);

#endif
