/*
 * What the files of row_insert share.
 */
#ifndef HOLDFAST_AGENT_TABLES_ROW_INSERT_INTERNAL_H
#define HOLDFAST_AGENT_TABLES_ROW_INSERT_INTERNAL_H

#include "agent/tables/row_insert.h"
#include "shared/buffer.h"
#include "shared/mariadb.h"

/* Counts, within the server, the rows that met one with the same key. */
#define ROW_INSERT_COUNTER "@holdfast_duplicates"

/* The values of one column for a statement, as they are bound. */
struct bound_column {
	union {
		uint64_t u;
		double d;
		char *text;
	} *values;
	unsigned long *lengths;
	char *indicators;
};

struct row_insert {
	struct row_insert_options options;
	enum row_duplicate mode;      /* of the statement: REJECT is a plain INSERT */
	MYSQL_STMT *stmt;             /* for the columns that are given */
	bool *given;
	MYSQL_BIND *binds;
	struct bound_column *columns;
	size_t *chosen;               /* rows of the batch that the statement is for */
	size_t chosen_count;
	size_t limit, limit_max;      /* rows of a statement */
	size_t packet_max;
	bool timeout_ends_all;        /* a lock that took too long takes the transaction back */
};

/* The statement for the columns that are given. */
void row_insert_sql(const struct row_insert *insert, struct buffer *sql);
/* The column that a text of the server is about, or NULL; lent. */
const char *row_insert_column(const struct row_insert *insert, const char *text);

#endif
