/*
 * All rows of a table, as the server has them, into a container: for a backup, or only to count
 * and sum them.
 */
#ifndef HOLDFAST_AGENT_TABLES_SCAN_H
#define HOLDFAST_AGENT_TABLES_SCAN_H

#include "agent/tables/container.h"
#include "agent/tables/table.h"
#include "shared/error.h"
#include "shared/mariadb.h"
#include "shared/progress.h"

/*
 * Connect, with a session for reading tables exactly: UTC, no sql_mode, patience with a reader that
 * is slower than the server.
 */
int scan_open(const struct mariadb_settings *server, struct mariadb **ret, struct error *err);

/*
 * Read all rows, within the connection's transaction if it has one.  A container whose sink is
 * NULL only sums.
 * ERROR_CONFLICT if the table was altered meanwhile.  After ERROR_CANCELLED the connection is lost.
 */
int scan_rows(struct mariadb *db, const struct table *table, const char *sql,
    struct container *container, struct progress *progress, struct error *err);

/* Count and sum the rows of a table as it is now; table_select() is made here. */
int scan_sum(struct mariadb *db, struct table *table, struct progress *progress,
    struct row_sum *ret, struct error *err);

#endif
