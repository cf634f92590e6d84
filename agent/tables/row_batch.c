#include "agent/tables/row_batch.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

/*
 * A batch is a transaction: large enough that its commit costs little, small enough that its locks
 * and its memory are nothing.
 */
#define ROWS_MAX 10000
#define CELLS_MAX (256u << 10)
#define BYTES_MAX (8u << 20)

void
row_batch_init(struct row_batch *batch, size_t width)
{
	size_t rows = CELLS_MAX / (width == 0 ? 1 : width);

	memset(batch, 0, sizeof(*batch));
	batch->width = width;
	batch->rows_max = rows > ROWS_MAX ? ROWS_MAX : rows == 0 ? 1 : rows;
	batch->bytes_max = BYTES_MAX;
	batch->rows = mem_calloc(batch->rows_max, sizeof(*batch->rows));
	batch->cells = mem_calloc(batch->rows_max * (width == 0 ? 1 : width),
	    sizeof(*batch->cells));
}

void
row_batch_clear(struct row_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		free(batch->rows[i].reason);
	batch->count = 0;
	/* What one huge row needed is not kept for all that follow. */
	if (batch->bytes.cap > 4 * batch->bytes_max)
		buffer_done(&batch->bytes);
	buffer_clear(&batch->bytes);
}

void
row_batch_done(struct row_batch *batch)
{
	row_batch_clear(batch);
	free(batch->rows);
	free(batch->cells);
	buffer_done(&batch->bytes);
}

bool
row_batch_is_full(const struct row_batch *batch)
{
	return batch->count == batch->rows_max || batch->bytes.len >= batch->bytes_max;
}

struct batch_row *
row_batch_add(struct row_batch *batch, const struct row *from)
{
	struct batch_row *row = &batch->rows[batch->count];

	memset(row, 0, sizeof(*row));
	row->number = from->number;
	row->line = from->line;
	row->raw = batch->bytes.len;
	row->raw_len = from->raw_len;
	buffer_put(&batch->bytes, from->raw, from->raw_len);
	memset(batch->cells + batch->count * batch->width, 0,
	    batch->width * sizeof(*batch->cells));
	batch->count++;
	return row;
}

void
row_batch_set(struct row_batch *batch, size_t column, const struct row_cell *cell,
    enum row_bind bind)
{
	struct batch_row *row = &batch->rows[batch->count - 1];
	struct batch_cell *to = &batch->cells[(batch->count - 1) * batch->width + column];

	to->type = (uint8_t)cell->type;
	to->len = 0;
	if (cell->type != ROW_CELL_VALUE)
		return;
	switch (bind) {
	case ROW_BIND_INT:
		to->as.i = cell->as.i;
		break;
	case ROW_BIND_UINT:
		to->as.u = cell->as.u;
		break;
	case ROW_BIND_DOUBLE:
		to->as.d = cell->as.d;
		break;
	case ROW_BIND_TEXT:
	case ROW_BIND_BYTES:
		to->as.at = batch->bytes.len;
		to->len = cell->len;
		buffer_put(&batch->bytes, cell->data, cell->len);
		break;
	}
	/* With its length or its eight bytes. */
	row->size += to->len + 10;
}

void
row_batch_reject(struct batch_row *row, bool by_server, const char *column, const char *reason)
{
	free(row->reason);
	row->state = BATCH_REJECTED;
	row->by_server = by_server;
	row->column = column;
	row->reason = mem_strdup(reason);
}

void
row_batch_retry(struct row_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct batch_row *row = &batch->rows[i];

		if (row->state == BATCH_GOOD || !row->by_server)
			continue;
		free(row->reason);
		row->reason = NULL;
		row->state = BATCH_GOOD;
	}
}
