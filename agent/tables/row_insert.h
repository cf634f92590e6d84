/*
 * Rows of a batch into a table, many with one statement, by bulk binding.
 *
 * A statement that fails changed nothing where the engine knows transactions.  The server tells
 * which row it was (or, where a trigger complains, the statement is divided until that is known):
 * that one is marked as rejected, the others go in without it.  After each failure statements
 * become shorter, after each success longer, so that one bad row among many costs little, and
 * nothing but bad rows is no slower than row by row.
 * An engine without transactions keeps the rows before the bad one; where the server does not say
 * which that is, it gets one row at a time.
 *
 * Begin and commit are the caller's.
 */
#ifndef HOLDFAST_AGENT_TABLES_ROW_INSERT_H
#define HOLDFAST_AGENT_TABLES_ROW_INSERT_H

#include "agent/tables/row_batch.h"
#include "agent/tables/row_load.h"

struct row_insert;

struct row_insert_options {
	struct mariadb *db;
	const struct table *table;
	const struct row_rule *rules; /* one for each cell of a row */
	size_t rule_count;
	enum row_duplicate on_duplicate;
	bool stop_at_first;           /* rejected row: what follows it is not looked at */
	/* A lock that somebody else holds is waited for so long, in steps that the session sets. */
	int64_t lock_wait_ms;
	struct progress *progress;
};

int row_insert_new(const struct row_insert_options *options, struct row_insert **ret,
    struct error *err);
void row_insert_free(struct row_insert *insert);

/*
 * Insert the good rows.  counts: added to, rows that were inserted, updated and ignored; also on
 * failure, when they are in the table only if its engine knows no transactions.
 * -1 also for a deadlock, or a lock that was not given in time (mariadb_is_retry()): after a
 * deadlock the transaction is gone.
 */
int row_insert_batch(struct row_insert *insert, struct row_batch *batch,
    struct row_load_counts *counts, struct error *err);

#endif
