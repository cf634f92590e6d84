/*
 * The rows of an Avro file into a table, by LOAD DATA from memory: one statement, decoded as it is
 * sent.
 *
 * Memory: one block of the file, one row.
 */
#ifndef HOLDFAST_AGENT_TABLES_LOAD_H
#define HOLDFAST_AGENT_TABLES_LOAD_H

#include <stdbool.h>

#include "agent/tables/encode.h"
#include "agent/tables/ocf.h"
#include "agent/tables/table.h"
#include "shared/error.h"
#include "shared/mariadb.h"
#include "shared/progress.h"

/*
 * Set a session up for loading.  exact: the file is ours, the rows were in a table before, and
 * their sum will be compared; else values that a column does not take are errors.
 */
int load_session(struct mariadb *db, bool exact, struct error *err);

/*
 * Load all rows; the fields go into the columns of the same name.
 *   ret_sum  count and sum of the rows as they stand in the file
 * ERROR_BAD_REQUEST: a field without a column, a value that a column does not take; ERROR_CORRUPT.
 * Some rows may have been stored by then.
 */
int load_rows(struct mariadb *db, const struct table *table, struct ocf *file, bool exact,
    struct progress *progress, struct row_sum *ret_sum, struct error *err);

/* One value as LOAD DATA wants it, for columns of one field; -1: it cannot be. */
int load_put_value(const struct table_column *column, const struct ocf_value *value,
    struct buffer *out, struct error *err);

#endif
