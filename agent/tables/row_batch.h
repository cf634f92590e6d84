/*
 * Rows that were checked, on their way into the table, with what they were: the bytes of all of
 * them lie in one place, and a batch is used again and again.
 */
#ifndef HOLDFAST_AGENT_TABLES_ROW_BATCH_H
#define HOLDFAST_AGENT_TABLES_ROW_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/tables/row_check.h"
#include "shared/buffer.h"

struct batch_cell {
	uint8_t type; /* of struct row_cell */
	union {
		int64_t i;
		uint64_t u;
		double d;
		size_t at; /* of texts and bytes: where in the batch's bytes */
	} as;
	size_t len;
};

enum batch_state { BATCH_GOOD, BATCH_REJECTED, BATCH_IGNORED };

struct batch_row {
	uint64_t number, line;
	size_t raw, raw_len; /* in the batch's bytes */
	size_t size;         /* of its values */
	enum batch_state state;
	bool by_server;      /* it is the server that rejects it */
	const char *column;  /* lent; or NULL */
	char *reason;
};

struct row_batch {
	size_t width;              /* cells of a row */
	size_t rows_max, bytes_max;
	struct batch_row *rows;
	size_t count;
	struct batch_cell *cells;  /* rows_max * width */
	struct buffer bytes;
};

void row_batch_init(struct row_batch *batch, size_t width);
void row_batch_done(struct row_batch *batch);
void row_batch_clear(struct row_batch *batch);
bool row_batch_is_full(const struct row_batch *batch);

/* Begin a row, all of whose cells are left out. */
struct batch_row *row_batch_add(struct row_batch *batch, const struct row *row);
/* A value of the row that was begun last. */
void row_batch_set(struct row_batch *batch, size_t column, const struct row_cell *cell,
    enum row_bind bind);
/* column: lent, or NULL. */
void row_batch_reject(struct batch_row *row, bool by_server, const char *column,
    const char *reason);
/* What the server rejected or ignored may be tried once more. */
void row_batch_retry(struct row_batch *batch);

static inline const struct batch_cell *
row_batch_cells(const struct row_batch *batch, size_t row)
{
	return batch->cells + row * batch->width;
}

#endif
