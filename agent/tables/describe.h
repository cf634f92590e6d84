/*
 * What a database has: its tables, and what one of them is like, for those who look.
 */
#ifndef HOLDFAST_AGENT_TABLES_DESCRIBE_H
#define HOLDFAST_AGENT_TABLES_DESCRIBE_H

#include <jansson.h>
#include <stddef.h>

#include "shared/error.h"
#include "shared/mariadb.h"
#include "shared/progress.h"

/*
 * At most limit tables whose names follow after ("": all), in the order of their bytes: an array of
 * {"table", "kind", "engine", "rows", "bytes", "index_bytes", "backup"}.
 *   kind    "base", "view" or "sequence"
 *   rows    the server's estimate; null of a view
 *   backup  {"possible": true}, or false with "reason"
 */
int describe_tables(struct mariadb *db, const char *database, const char *after, size_t limit,
    struct progress *progress, json_t **ret, struct error *err);

/*
 * One table: the same, and "created", "comment", "columns", "foreign_keys", "referred_by".
 * 1, or 0 if there is none of this name.
 */
int describe_table(struct mariadb *db, const char *database, const char *name, json_t **ret,
    struct error *err);

#endif
