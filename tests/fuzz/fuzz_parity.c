/*
 * A pack's parity, damaged or made up.  The first byte chooses what is put right, so that what lies
 * behind a checksum is reached: 1 the header in front, 2 the table in front.  Whatever it says, it
 * is either refused as damaged or used without harm, and what has all its checksums is given as
 * they say.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/parity.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACK_SIZE 3000
/* A header may speak of a gibibyte; so much of it is read. */
#define READ_MAX 100000

/* Two objects in memory. */
struct memory {
	struct storage base;
	uint8_t *parity;
	size_t parity_size;
	uint8_t pack[PACK_SIZE];
};

static bool
is_parity(const char *name)
{
	return strncmp(name, PARITY_FOLDER, strlen(PARITY_FOLDER)) == 0;
}

static int
memory_get(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
    struct error *err)
{
	struct memory *memory = (struct memory *)storage;
	const uint8_t *data = is_parity(name) ? memory->parity : memory->pack;
	size_t size = is_parity(name) ? memory->parity_size : PACK_SIZE;

	if (offset > size || len > size - offset)
		return error_set(err, ERROR_CORRUPT, "too short");
	memcpy(buf, data + offset, len);
	return 0;
}

static int
memory_size(struct storage *storage, const char *name, uint64_t *ret, struct error *err)
{
	(void)err;
	*ret = is_parity(name) ? ((struct memory *)storage)->parity_size : PACK_SIZE;
	return 1;
}

static void
put_right(struct memory *memory, const struct keys *keys, const struct object_id *id,
    uint8_t what)
{
	struct parity_shape shape = { 0 };
	struct error ignored = ERROR_INIT;
	struct buffer buf = BUFFER_INIT;
	size_t count;

	if ((what & 1) != 0 && memory->parity_size >= PARITY_HEADER_SIZE) {
		parity_header_encode(keys, id, &shape, &buf);
		memcpy(memory->parity, buf.data, 8 + 2 * OBJECT_ID_SIZE);
		buffer_clear(&buf);
		buffer_put_u64(&buf, parity_sum(id, PARITY_PLACE_BLOCK, memory->parity,
		    PARITY_HEADER_SIZE - 8));
		memcpy(memory->parity + PARITY_HEADER_SIZE - 8, buf.data, 8);
	}
	buffer_clear(&buf);
	if ((what & 2) != 0 && memory->parity_size >= PARITY_HEADER_SIZE &&
	    parity_header_decode(memory->parity, keys, id, &shape, &ignored) == 0) {
		count = parity_data_blocks(&shape) + parity_parity_blocks(&shape);
		if (PARITY_HEADER_SIZE + parity_table_size(count) <= memory->parity_size) {
			uint64_t *sums = mem_calloc(count, sizeof(*sums));

			parity_table_encode(id, sums, count, &buf);
			memcpy(memory->parity + PARITY_HEADER_SIZE, buf.data, buf.len);
			free(sums);
		}
	}
	buffer_done(&buf);
}

static void
use(struct parity *parity)
{
	const struct parity_shape *shape = parity_shape_of(parity);
	size_t len = shape->pack_size < READ_MAX ? (size_t)shape->pack_size : READ_MAX;
	uint8_t *data = mem_calloc(1, len);
	struct error err = ERROR_INIT;
	uint32_t damaged;

	assert(shape->pack_size <= PACK_SIZE_MAX);
	assert(shape->data + shape->parity <= PARITY_STRIPE_MAX);
	if (shape->pack_size <= READ_MAX) {
		assert(parity_verify_blocks(parity, &err) == 0);
		assert(parity_scan_pack(parity, &damaged, &err) == 0);
		assert(damaged <= parity_data_blocks(shape));
	}
	if (parity_read(parity, 0, data, len, &err) != 0)
		assert(err.code == ERROR_CORRUPT || err.code == ERROR_UNSUPPORTED);
	free(data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct storage_ops ops = { .get = memory_get, .size = memory_size };
	static const uint8_t master[MASTER_KEY_SIZE] = { 1 };
	static const struct object_id repository = { { 2 } }, id = { { 3 } };
	struct memory memory = { .base = { .ops = &ops } };
	struct error err = ERROR_INIT;
	struct parity *parity;
	struct keys *keys;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < PACK_SIZE; i++)
		memory.pack[i] = (uint8_t)(i * 7 >> 3);
	memory.parity = mem_dup(data, size);
	memory.parity_size = size - 1;
	memmove(memory.parity, memory.parity + 1, size - 1);
	keys = keys_new(master, &repository);
	put_right(&memory, keys, &id, data[0]);
	if (parity_open(&memory.base, keys, &id, &parity, &err) == 1) {
		use(parity);
		parity_close(parity);
	} else {
		assert(err.code == ERROR_CORRUPT);
	}
	keys_free(keys);
	free(memory.parity);
	return 0;
}
