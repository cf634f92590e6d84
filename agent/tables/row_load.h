/*
 * Rows from outside (CSV, JSON) into a table that is there: each is checked against the table's
 * columns, good ones go in by batches, each bad one goes to the rejects with its number, column and
 * reason.
 *
 * Memory: one batch of rows, whatever there is to load.
 * With abort_on_error everything is one transaction, which the first bad row takes back; else each
 * batch is one. After a lost connection or a crash, what was committed stays: the counts say how
 * much that is.
 */
#ifndef HOLDFAST_AGENT_TABLES_ROW_LOAD_H
#define HOLDFAST_AGENT_TABLES_ROW_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/tables/rejects.h"
#include "agent/tables/table.h"
#include "shared/error.h"
#include "shared/mariadb.h"
#include "shared/progress.h"

/* A value as it came, not yet checked. */
struct row_value {
	enum {
		ROW_DEFAULT, /* not given: the column's default, if it has one */
		ROW_NULL,
		ROW_TEXT,    /* UTF-8 is not taken for granted */
		ROW_NUMBER,  /* as JSON writes it */
		ROW_JSON,    /* an object or an array, as JSON writes it */
		ROW_FALSE,
		ROW_TRUE
	} type;
	const char *data; /* of texts, numbers and JSON; lent until the next row */
	size_t len;
};

/* A row as it came. */
struct row {
	uint64_t number;                /* from 1 */
	uint64_t line;                  /* where it begins in a file, from 1; 0: not known */
	const struct row_value *values; /* one for each of the source's columns */
	const char *raw;                /* as it was, for the rejects; lent until the next row */
	size_t raw_len;
	/* Not NULL: it is no row of this source (ragged, a field too large), and why; values is
	 * not looked at. */
	const char *reason;
};

/* Where rows come from. */
struct row_source {
	/*
	 * Called once, first: which columns of the table the values of each row belong to, in the
	 * order of row.values.  ret_columns: indexes into table->columns, lent until the end.
	 * ERROR_BAD_REQUEST: the source does not fit the table.
	 */
	int (*begin)(void *arg, const struct table *table, const size_t **ret_columns,
	    size_t *ret_count, struct error *err);
	/* 1 a row, 0 the end, -1 failed: the source itself cannot be read. */
	int (*next)(void *arg, struct row *ret, struct error *err);
	void *arg;
};

enum row_duplicate {
	ROW_DUPLICATE_REJECT,
	ROW_DUPLICATE_UPDATE, /* the row that is there takes the new one's values */
	ROW_DUPLICATE_IGNORE  /* the row that is there stays, the new one is counted as ignored */
};

struct row_load_options {
	const struct mariadb_settings *server; /* with name: the database */
	const char *table;
	bool abort_on_error;
	enum row_duplicate on_duplicate;
	/* NULL, or an array for the first of the rejects: {"number", "column", "reason"}. */
	json_t *first_rejects;
};

#define ROW_LOAD_FIRST_REJECTS 10

struct row_load_counts {
	uint64_t read, inserted, updated, ignored, rejected;
};

/*
 * Load what the source gives.  Rows that are rejected are no failure, unless abort_on_error: then
 * ERROR_BAD_REQUEST names the first one, and nothing was stored.
 *   rejects     NULL: they are counted only; each is a loss of progress too, named "row 17"
 *   ret_counts  also set on failure: what is in the table now
 * ERROR_NOT_FOUND: no such table; ERROR_BAD_REQUEST: a view, a sequence; ERROR_UNAVAILABLE.
 */
int row_load(const struct row_load_options *options, struct row_source *source,
    struct rejects *rejects, struct progress *progress, struct row_load_counts *ret_counts,
    struct error *err);

#endif
