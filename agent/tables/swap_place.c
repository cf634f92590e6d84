/*
 * How a shadow takes the place of a table that foreign keys of others refer to, while others use
 * all of them.
 *
 * RENAME has its table for itself and then waits, in InnoDB, for whoever holds rows of the tables
 * that refer to it.  If such a transaction now wants the table that is renamed, both wait for ever:
 * the server sees no circle that goes through both of its kinds of locks.  Worse, RENAME of two
 * tables whose second part gives up there cannot take its first part back: the table is lost to the
 * server.  So, before, another connection of ours locks the tables that refer to it for reading:
 * that waits where the server does see circles, and once it is granted no transaction holds rows
 * of them.
 */
#include <string.h>

#include "agent/tables/restore_internal.h"
#include "shared/mem.h"

/* The tables with foreign keys to it, and those with foreign keys to these: a row that is added to
 * one of the latter is looked up, and locked, in the former. */
static int
put_guard(struct swap *swap, struct buffer *sql, struct error *err)
{
#define REFERS "information_schema.KEY_COLUMN_USAGE"
	static const char select[] =
	    "SELECT a.TABLE_SCHEMA, a.TABLE_NAME FROM " REFERS " a"
	    " WHERE a.REFERENCED_TABLE_SCHEMA = ? AND a.REFERENCED_TABLE_NAME IN (?, ?)"
	    " UNION SELECT b.TABLE_SCHEMA, b.TABLE_NAME FROM " REFERS " a JOIN " REFERS " b"
	    " ON b.REFERENCED_TABLE_SCHEMA = a.TABLE_SCHEMA"
	    " AND b.REFERENCED_TABLE_NAME = a.TABLE_NAME"
	    " WHERE a.REFERENCED_TABLE_SCHEMA = ? AND a.REFERENCED_TABLE_NAME IN (?, ?)";
#undef REFERS
	const struct mariadb_param values[] = { mariadb_text(swap->database),
		mariadb_text(swap->target), mariadb_text(swap->old), mariadb_text(swap->database),
		mariadb_text(swap->target), mariadb_text(swap->old) };
	struct mariadb_result *result = NULL;
	int rc;

	if (mariadb_select(swap->db, select, values, ARRAY_LEN(values), &result, err) != 0)
		return -1;
	while ((rc = mariadb_next(result, err)) == 1) {
		const char *database = mariadb_get(result, 0, NULL);
		const char *name = mariadb_get(result, 1, NULL);

		/* Those that are renamed are locked by that. */
		if (strcmp(database, swap->database) == 0 && (strcmp(name, swap->target) == 0 ||
		    strcmp(name, swap->old) == 0 || strcmp(name, swap->shadow) == 0))
			continue;
		buffer_put_text(sql, sql->len == 0 ? "LOCK TABLES " : ", ");
		mariadb_put_name(sql, database);
		buffer_put_u8(sql, '.');
		mariadb_put_name(sql, name);
		buffer_put_text(sql, " READ");
	}
	mariadb_result_free(result);
	return rc;
}

/* ret_guard: its locks go when it is closed; NULL if there is nothing to lock. */
static int
take_guard(struct swap *swap, struct mariadb **ret_guard, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	struct mariadb *guard = NULL;
	int rc = put_guard(swap, &sql, err);

	if (rc == 0 && sql.len > 0) {
		rc = mariadb_open(swap->server, &guard, err);
		if (rc == 0)
			rc = mariadb_do(guard, "SET SESSION lock_wait_timeout = " SWAP_LOCK_WAIT,
			    err);
		if (rc == 0)
			rc = mariadb_exec(guard, (const char *)sql.data, sql.len, NULL, err);
	}
	buffer_done(&sql);
	if (rc != 0) {
		mariadb_close(guard);
		return -1;
	}
	*ret_guard = guard;
	return 0;
}

/*
 * With the guard, which is given up while others have their turn.  In InnoDB without end: there is
 * nothing to wait for, and to give up there would lose the table.
 */
static int
bring_keys(struct swap *swap, struct mariadb **guard, struct error *err)
{
	struct error ignored;
	int rc = mariadb_do(swap->db, "SET SESSION innodb_lock_wait_timeout = 100000000", err);

	if (rc != 0)
		return -1;
	for (;;) {
		if (*guard == NULL)
			rc = take_guard(swap, guard, err);
		if (rc == 0)
			rc = swap_rename(swap, swap->target, swap->old, swap->old, swap->target,
			    err);
		if (rc == 0 || !mariadb_is_retry(err))
			break;
		mariadb_close(*guard);
		*guard = NULL;
		if (!swap_again(swap, err))
			break;
	}
	(void)mariadb_do(swap->db, "SET SESSION innodb_lock_wait_timeout = " SWAP_LOCK_WAIT,
	    &ignored);
	return rc;
}

int
swap_bring_keys(struct swap *swap, struct error *err)
{
	struct mariadb *guard = NULL;
	int rc = bring_keys(swap, &guard, err);

	mariadb_close(guard);
	return rc;
}

/* Whoever keeps it from being done is the operator's to find. */
static int
in_use(struct swap *swap, struct error *err)
{
	if (!mariadb_is_retry(err))
		return -1;
	error_prefix(err, "'%.100s', or a table with foreign keys to it, is in use: ",
	    swap->target);
	return error_hint(err, "end the transactions that hold it (SHOW PROCESSLIST), and restore "
	    "it again");
}

int
swap_replace(struct swap *swap, struct error *err)
{
	struct mariadb *guard = NULL;
	int referred = swap_is_referred_to(swap, err), rc;

	if (referred < 0)
		return -1;
	do {
		mariadb_close(guard);
		guard = NULL;
		rc = take_guard(swap, &guard, err);
		/* If interrupted here, the table is as it was. */
		if (rc == 0)
			rc = swap_rename(swap, swap->target, swap->old, swap->shadow,
			    swap->target, err);
	} while (rc != 0 && swap_again(swap, err));
	/* If interrupted here, the next restore takes the swap back. */
	if (rc == 0)
		rc = swap_drop(swap, swap->old, err);
	/* If interrupted here, foreign keys of others refer to nothing; the next restore mends
	 * them. */
	if (rc == 0 && referred == 1)
		rc = bring_keys(swap, &guard, err);
	mariadb_close(guard);
	return rc == 0 ? 0 : in_use(swap, err);
}
