/*
 * Making a pack's parity: the pack is read once from front to back, so memory holds the parity
 * and one row of blocks.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "agent/repository/parity.h"
#include "agent/repository/parity_code.h"
#include "shared/mem.h"

struct maker {
	struct storage *storage;
	const struct object_id *pack;
	const struct parity_shape *shape;
	struct parity_code *code;
	size_t row_size;  /* bytes: a block of each stripe */
	uint8_t *row;
	uint8_t *parity;  /* all rows of it, one after the other */
	uint8_t **rows;   /* where each begins */
	uint64_t *sums;
	size_t sum_count;
	XXH3_state_t *whole;
};

static int
maker_begin(struct maker *maker, struct error *err)
{
	const struct parity_shape *shape = maker->shape;
	unsigned rows[PARITY_STRIPE_MAX];
	size_t size;

	if (parity_is_available(err) != 0)
		return -1;
	maker->row_size = (size_t)shape->stripes * shape->block;
	size = maker->row_size * shape->parity;
	maker->row = mem_try(maker->row_size, err);
	maker->parity = mem_try(size, err);
	maker->sum_count = parity_data_blocks(shape) + parity_parity_blocks(shape);
	maker->sums = mem_try(maker->sum_count * sizeof(*maker->sums), err);
	maker->whole = XXH3_createState();
	if (maker->row == NULL || maker->parity == NULL || maker->sums == NULL)
		return -1;
	if (maker->whole == NULL)
		return error_set(err, ERROR_INTERNAL, "could not start a checksum: no memory");
	memset(maker->parity, 0, size);
	XXH3_64bits_reset(maker->whole);
	maker->rows = mem_calloc(shape->parity, sizeof(*maker->rows));
	for (unsigned p = 0; p < shape->parity; p++) {
		rows[p] = p;
		maker->rows[p] = maker->parity + p * maker->row_size;
	}
	maker->code = parity_code_new(shape->data, rows, shape->parity);
	return 0;
}

static void
maker_end(struct maker *maker)
{
	parity_code_free(maker->code);
	XXH3_freeState(maker->whole);
	free(maker->row);
	free(maker->parity);
	free(maker->rows);
	free(maker->sums);
}

/* One row of the pack, zeros behind its end. */
static int
add_row(struct maker *maker, unsigned number, struct error *err)
{
	const struct parity_shape *shape = maker->shape;
	uint64_t offset = (uint64_t)number * maker->row_size, left = shape->pack_size - offset;
	size_t len = left < maker->row_size ? (size_t)left : maker->row_size;
	size_t first = (size_t)number * shape->stripes;
	char name[PACK_NAME_SIZE];

	pack_name(maker->pack, name);
	if (storage_get(maker->storage, name, offset, maker->row, len, err) != 0)
		return -1;
	XXH3_64bits_update(maker->whole, maker->row, len);
	memset(maker->row + len, 0, maker->row_size - len);
	for (size_t at = 0; at < len; at += shape->block)
		maker->sums[first + at / shape->block] = parity_sum(maker->pack,
		    PARITY_PLACE_BLOCK, maker->row + at, shape->block);
	parity_code_add(maker->code, number, maker->row, maker->row_size, maker->rows);
	return 0;
}

static int
store(struct maker *maker, const struct keys *keys, bool replace, struct error *err)
{
	const struct parity_shape *shape = maker->shape;
	size_t head_size = (size_t)parity_head_size(shape), pad;
	struct buffer header = BUFFER_INIT, table = BUFFER_INIT, padding = BUFFER_INIT;
	struct storage_put *put = NULL;
	char name[PARITY_NAME_SIZE];
	int rc = -1;

	parity_header_encode(keys, maker->pack, shape, &header);
	parity_table_encode(maker->pack, maker->sums, maker->sum_count, &table);
	pad = head_size - header.len - table.len;
	memset(buffer_reserve(&padding, pad), 0, pad);
	parity_name(maker->pack, name);
	if (storage_put_begin(maker->storage, name, &put, err) != 0)
		goto out;
	/* The second half is the first one's mirror, so that a cut at either end leaves one. */
	if (storage_put_write(put, header.data, header.len, err) != 0 ||
	    storage_put_write(put, table.data, table.len, err) != 0 ||
	    storage_put_write(put, padding.data, pad, err) != 0 ||
	    storage_put_write(put, maker->parity, maker->row_size * shape->parity, err) != 0 ||
	    storage_put_write(put, padding.data, pad, err) != 0 ||
	    storage_put_write(put, table.data, table.len, err) != 0 ||
	    storage_put_write(put, header.data, header.len, err) != 0)
		goto out;
	/* If interrupted here, the pack has no parity, and is in no index yet. */
	rc = storage_put_commit(put, replace, err);
	put = NULL;
out:
	if (put != NULL)
		storage_put_abort(put);
	buffer_done(&header);
	buffer_done(&table);
	buffer_done(&padding);
	return rc;
}

int
parity_write(struct storage *storage, const struct keys *keys, const struct object_id *pack,
    const struct parity_shape *shape, const uint64_t *sum, bool replace, struct error *err)
{
	struct maker maker = { .storage = storage, .pack = pack, .shape = shape };
	char name[PACK_NAME_SIZE];
	int rc = -1;

	pack_name(pack, name);
	if (maker_begin(&maker, err) != 0)
		goto out;
	for (unsigned row = 0; row < shape->data; row++)
		if (add_row(&maker, row, err) != 0)
			goto out;
	for (size_t p = 0, first = parity_data_blocks(shape);
	    p < parity_parity_blocks(shape); p++)
		maker.sums[first + p] = parity_sum(pack, PARITY_PLACE_BLOCK,
		    maker.parity + p * shape->block, shape->block);
	/* Parity of damaged bytes would keep the damage. */
	if (sum != NULL && XXH3_64bits_digest(maker.whole) != *sum) {
		error_set(err, ERROR_CORRUPT, "'%s' reads back other than it was written", name);
		error_hint(err, "check the disk and the memory of this machine, then start again");
		goto out;
	}
	rc = store(&maker, keys, replace, err);
out:
	if (rc != 0)
		error_prefix(err, "parity of pack '%s': ", name + sizeof("packs/xx/") - 1);
	maker_end(&maker);
	return rc;
}
