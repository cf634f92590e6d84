/*
 * A condition on the rows of a restore: SQL from outside that may compare the columns of one table
 * and can do nothing else.
 *
 * It is one expression of columns, values, operators and functions that compute from their
 * arguments alone. Refused are subqueries, variables, comments, several statements, functions of
 * the database (stored, or with an effect, as SLEEP and NEXTVAL), and whatever would leave the
 * parentheses that it is put in.
 */
#ifndef HOLDFAST_AGENT_TABLES_CONDITION_H
#define HOLDFAST_AGENT_TABLES_CONDITION_H

#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/mariadb.h"

#define CONDITION_MAX 4096 /* bytes */

/* The text alone.  ERROR_BAD_REQUEST says what is not taken. */
int condition_check(const char *text, struct error *err);
/*
 * Whether the server takes it for the rows of this table; nothing is executed.
 * ERROR_BAD_REQUEST: an unknown column, a syntax error.
 */
int condition_prepare(struct mariadb *db, const char *database, const char *table,
    const char *text, struct error *err);
/*
 * The same where the table is not there yet: whether it can be asked of one with these columns,
 * whatever their types.
 */
int condition_prepare_columns(struct mariadb *db, const char *table, const char *const *columns,
    size_t count, const char *text, struct error *err);
/* How many rows fulfil it. */
int condition_count(struct mariadb *db, const char *database, const char *table,
    const char *text, uint64_t *ret, struct error *err);
/*
 * Delete the rows that do not fulfil it: those for which it is false, and for which it is NULL; of
 * a system-versioned table no history is left.
 *   ret_left_out  how many
 */
int condition_apply(struct mariadb *db, const char *database, const char *table,
    const char *text, uint64_t *ret_left_out, struct error *err);
/*
 * Let go of the past rows of a table, if it is system-versioned.
 *   ret_present  how many rows are left, or NULL
 */
int history_forget(struct mariadb *db, const char *database, const char *name,
    uint64_t *ret_present, struct error *err);

#endif
