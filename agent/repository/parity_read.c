/*
 * Reading a pack by the help of its parity: each block is compared with its checksum, and of
 * what is damaged the whole stripe is worked out, once.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/parity.h"
#include "agent/repository/parity_code.h"
#include "shared/mem.h"

/* So much is read at once where nothing is known to be damaged. */
#define RUN_BYTES (1u << 20)

struct parity {
	struct storage *storage;
	struct object_id pack;
	struct parity_shape shape;
	struct parity_damage damage;
	uint64_t file_size, pack_size; /* as they are */
	uint32_t data_blocks, parity_blocks;
	uint64_t *sums;    /* of the pack's blocks, then of the parity's */
	bool *known;       /* which of them were read whole */
	uint8_t **healed;  /* of each block of the pack: its bytes, if it was made again */
	uint32_t healed_count;
	uint8_t *run;      /* RUN_BYTES, at first use */
};

void
parity_close(struct parity *parity)
{
	if (parity == NULL)
		return;
	for (uint32_t i = 0; parity->healed != NULL && i < parity->data_blocks; i++)
		free(parity->healed[i]);
	free(parity->healed);
	free(parity->sums);
	free(parity->known);
	free(parity->run);
	free(parity);
}

const struct parity_shape *
parity_shape_of(const struct parity *parity)
{
	return &parity->shape;
}

const struct parity_damage *
parity_damage_of(const struct parity *parity)
{
	return &parity->damage;
}

uint64_t
parity_pack_size(const struct parity *parity)
{
	return parity->pack_size;
}

uint32_t
parity_healed_blocks(const struct parity *parity)
{
	return parity->healed_count;
}

/* Either header will do: one begins the file, one ends it. */
static int
read_headers(struct parity *parity, const struct keys *keys, const char *name, struct error *err)
{
	const uint64_t places[2] = { 0, parity->file_size - PARITY_HEADER_SIZE };
	uint8_t header[PARITY_HEADER_SIZE];
	struct error why = ERROR_INIT;
	bool found = false;

	if (parity->file_size < PARITY_HEADER_SIZE)
		return error_set(err, ERROR_CORRUPT, "parity is cut off");
	for (unsigned i = 0; i < 2; i++) {
		struct parity_shape shape;

		if (storage_get(parity->storage, name, places[i], header, sizeof(header),
		    &why) == 0 &&
		    parity_header_decode(header, keys, &parity->pack, &shape, &why) == 0) {
			/* Two that differ: the one in front is as good as the other. */
			if (!found)
				parity->shape = shape;
			found = true;
		} else if (parity_error_is_damage(&why)) {
			parity->damage.header = true;
		} else {
			*err = why;
			return -1;
		}
	}
	if (!found)
		*err = why;
	return found ? 0 : -1;
}

static int
read_table(struct parity *parity, const char *name, uint64_t place, struct error *err)
{
	size_t count = (size_t)parity->data_blocks + parity->parity_blocks;
	size_t size = parity_table_size(count);
	uint8_t *table = mem_try(size, err);
	struct error why = ERROR_INIT;
	int rc = -1;

	if (table == NULL)
		return -1;
	if (storage_get(parity->storage, name, place, table, size, &why) == 0) {
		if (parity_table_decode(&parity->pack, table, count, parity->sums,
		    parity->known) > 0)
			parity->damage.table = true;
		rc = 0;
	} else if (parity_error_is_damage(&why)) {
		parity->damage.table = true;
		rc = 0;
	} else {
		*err = why;
	}
	free(table);
	return rc;
}

static int
read_head(struct parity *parity, const struct keys *keys, const char *name, struct error *err)
{
	size_t count;

	if (read_headers(parity, keys, name, err) != 0)
		return -1;
	parity->damage.size = parity->file_size != parity_file_size(&parity->shape);
	parity->data_blocks = parity_data_blocks(&parity->shape);
	parity->parity_blocks = parity_parity_blocks(&parity->shape);
	count = (size_t)parity->data_blocks + parity->parity_blocks;
	parity->sums = mem_calloc(count, sizeof(*parity->sums));
	parity->known = mem_calloc(count, sizeof(*parity->known));
	parity->healed = mem_calloc(parity->data_blocks, sizeof(*parity->healed));
	/* The one at the end first: where both are whole they are the same. */
	if (read_table(parity, name, parity_file_size(&parity->shape) - PARITY_HEADER_SIZE -
	    parity_table_size(count), err) != 0 ||
	    read_table(parity, name, PARITY_HEADER_SIZE, err) != 0)
		return -1;
	return 0;
}

int
parity_open(struct storage *storage, const struct keys *keys, const struct object_id *pack,
    struct parity **ret, struct error *err)
{
	struct parity *parity = MEM_NEW(struct parity);
	char name[PARITY_NAME_SIZE], data[PACK_NAME_SIZE];
	int there;

	parity->storage = storage;
	parity->pack = *pack;
	parity_name(pack, name);
	pack_name(pack, data);
	there = storage_size(storage, name, &parity->file_size, err);
	if (there == 1 && storage_size(storage, data, &parity->pack_size, err) < 0)
		there = -1;
	if (there == 1 && read_head(parity, keys, name, err) != 0) {
		error_prefix(err, "%s: ", name);
		there = -1;
	}
	if (there == 1)
		*ret = parity;
	else
		parity_close(parity);
	return there;
}

int
parity_look(struct storage *storage, const struct keys *keys, const struct object_id *pack,
    uint64_t *ret_size, struct error *err)
{
	struct parity parity = { .storage = storage, .pack = *pack };
	char name[PARITY_NAME_SIZE];
	int there;

	parity_name(pack, name);
	there = storage_size(storage, name, &parity.file_size, err);
	if (there != 1)
		return there;
	if (read_headers(&parity, keys, name, err) != 0)
		return -1;
	if (parity.damage.header)
		return error_set(err, ERROR_CORRUPT, "one of the two headers is damaged");
	*ret_size = parity.file_size;
	if (parity.file_size != parity_file_size(&parity.shape))
		return error_set(err, ERROR_CORRUPT, "parity has %llu bytes, its header says %llu",
		    (unsigned long long)parity.file_size,
		    (unsigned long long)parity_file_size(&parity.shape));
	return 1;
}

/* Bytes of the pack that a block holds; the rest of it counts as zeros. */
static size_t
block_len(const struct parity *parity, uint32_t block)
{
	uint64_t left = parity->shape.pack_size - (uint64_t)block * parity->shape.block;

	return left < parity->shape.block ? (size_t)left : parity->shape.block;
}

enum block_state { BLOCK_GOOD, BLOCK_DAMAGED, BLOCK_UNSURE };

/* Compare with the checksum; a block whose checksum is lost is unsure. */
static enum block_state
judge(const struct parity *parity, size_t number, const uint8_t *data)
{
	if (!parity->known[number])
		return BLOCK_UNSURE;
	return parity_sum(&parity->pack, PARITY_PLACE_BLOCK, data, parity->shape.block) ==
	    parity->sums[number] ? BLOCK_GOOD : BLOCK_DAMAGED;
}

/* One block of the pack as it is, zeros behind the pack's end. */
static int
read_block(struct parity *parity, uint32_t block, uint8_t *out, enum block_state *ret,
    struct error *err)
{
	size_t len = block_len(parity, block);
	struct error why = ERROR_INIT;
	char name[PACK_NAME_SIZE];

	pack_name(&parity->pack, name);
	memset(out, 0, parity->shape.block);
	if (storage_get(parity->storage, name, (uint64_t)block * parity->shape.block, out, len,
	    &why) != 0) {
		*ret = BLOCK_DAMAGED;
		if (!parity_error_is_damage(&why)) {
			*err = why;
			return -1;
		}
		return 0;
	}
	*ret = judge(parity, block, out);
	return 0;
}

static int
read_parity_block(struct parity *parity, uint32_t block, uint8_t *out, bool *ret_good,
    struct error *err)
{
	uint64_t offset = parity_head_size(&parity->shape) + (uint64_t)block * parity->shape.block;
	struct error why = ERROR_INIT;
	char name[PARITY_NAME_SIZE];

	parity_name(&parity->pack, name);
	*ret_good = false;
	if (storage_get(parity->storage, name, offset, out, parity->shape.block, &why) == 0) {
		*ret_good = judge(parity, (size_t)parity->data_blocks + block, out) == BLOCK_GOOD;
	} else if (!parity_error_is_damage(&why)) {
		*err = why;
		return -1;
	}
	return 0;
}

/* A stripe that is being worked out. */
struct stripe {
	uint32_t number;
	uint8_t *data;                       /* blocks of the pack, one after the other */
	uint8_t *out;                        /* the lost ones */
	enum block_state state[PARITY_STRIPE_MAX];
	unsigned lost[PARITY_STRIPE_MAX], lost_count;
	unsigned parity[PARITY_STRIPE_MAX];  /* whole parity rows that are used */
	uint8_t *parity_data[PARITY_STRIPE_MAX];
	unsigned parity_count;
};

/* Read the stripe's part of the pack; rows behind its end are zeros and never lost. */
static int
read_stripe(struct parity *parity, struct stripe *stripe, struct error *err)
{
	const struct parity_shape *shape = &parity->shape;

	for (unsigned row = 0; row < shape->data; row++) {
		uint64_t block = (uint64_t)row * shape->stripes + stripe->number;
		uint8_t *data = stripe->data + (size_t)row * shape->block;

		stripe->state[row] = BLOCK_GOOD;
		if (block >= parity->data_blocks)
			memset(data, 0, shape->block);
		else if (read_block(parity, (uint32_t)block, data, &stripe->state[row], err) != 0)
			return -1;
	}
	return 0;
}

/* As many whole parity rows as are wanted, or as there are. */
static int
read_stripe_parity(struct parity *parity, struct stripe *stripe, unsigned wanted,
    struct error *err)
{
	const struct parity_shape *shape = &parity->shape;

	for (unsigned row = 0; row < shape->parity && stripe->parity_count < wanted; row++) {
		uint8_t *data = mem_calloc(1, shape->block);
		bool good;

		if (read_parity_block(parity, row * shape->stripes + stripe->number, data, &good,
		    err) != 0) {
			free(data);
			return -1;
		}
		if (!good) {
			free(data);
			continue;
		}
		stripe->parity[stripe->parity_count] = row;
		stripe->parity_data[stripe->parity_count++] = data;
	}
	return 0;
}

/*
 * Which blocks are to be made again. Those of which nobody knows whether they are damaged are
 * among them if there is parity enough; else they have to pass for whole, and what comes of it
 * shows whether they were.
 */
static int
choose_lost(struct parity *parity, struct stripe *stripe, struct error *err)
{
	const struct parity_shape *shape = &parity->shape;
	unsigned damaged = 0, unsure = 0;
	bool with_unsure;

	for (unsigned row = 0; row < shape->data; row++) {
		damaged += stripe->state[row] == BLOCK_DAMAGED;
		unsure += stripe->state[row] == BLOCK_UNSURE;
	}
	if (read_stripe_parity(parity, stripe, damaged + unsure, err) != 0)
		return -1;
	if (damaged > stripe->parity_count)
		return error_set(err, ERROR_CORRUPT, "%u of %u blocks of a stripe are damaged, "
		    "and %u of its %u parity blocks are whole", damaged, shape->data,
		    stripe->parity_count, shape->parity);
	with_unsure = damaged + unsure <= stripe->parity_count;
	for (unsigned row = 0; row < shape->data; row++)
		if (stripe->state[row] == BLOCK_DAMAGED ||
		    (with_unsure && stripe->state[row] == BLOCK_UNSURE))
			stripe->lost[stripe->lost_count++] = row;
	while (stripe->parity_count > stripe->lost_count)
		free(stripe->parity_data[--stripe->parity_count]);
	return 0;
}

static int
solve(struct parity *parity, struct stripe *stripe, struct error *err)
{
	const struct parity_shape *shape = &parity->shape;
	struct parity_code *code = parity_code_new(shape->data, stripe->parity,
	    stripe->lost_count);
	uint8_t *out[PARITY_STRIPE_MAX];
	int rc;

	stripe->out = mem_calloc(stripe->lost_count, shape->block);
	for (unsigned i = 0; i < stripe->lost_count; i++)
		out[i] = stripe->out + (size_t)i * shape->block;
	for (unsigned row = 0, next = 0; row < shape->data; row++) {
		if (next < stripe->lost_count && stripe->lost[next] == row)
			next++;
		else
			parity_code_add(code, row, stripe->data + (size_t)row * shape->block,
			    shape->block, stripe->parity_data);
	}
	rc = parity_code_solve(code, stripe->lost, stripe->parity_data, shape->block, out, err);
	parity_code_free(code);
	return rc;
}

/* Keep what was made again, if it is what it was. */
static int
keep_healed(struct parity *parity, const struct stripe *stripe, struct error *err)
{
	const struct parity_shape *shape = &parity->shape;

	for (unsigned i = 0; i < stripe->lost_count; i++)
		if (judge(parity, (size_t)stripe->lost[i] * shape->stripes + stripe->number,
		    stripe->out + (size_t)i * shape->block) == BLOCK_DAMAGED)
			return error_set(err, ERROR_CORRUPT, "the parity does not fit the pack");
	for (unsigned i = 0; i < stripe->lost_count; i++) {
		size_t block = (size_t)stripe->lost[i] * shape->stripes + stripe->number;

		if (parity->healed[block] != NULL)
			continue;
		parity->healed[block] = mem_dup(stripe->out + (size_t)i * shape->block,
		    shape->block);
		parity->healed_count++;
	}
	return 0;
}

static int
heal_stripe(struct parity *parity, uint32_t number, struct error *err)
{
	struct stripe stripe = { .number = number };
	int rc = -1;

	if (parity_is_available(err) != 0)
		return -1;
	stripe.data = mem_try((size_t)parity->shape.data * parity->shape.block, err);
	if (stripe.data != NULL && read_stripe(parity, &stripe, err) == 0 &&
	    choose_lost(parity, &stripe, err) == 0 && (stripe.lost_count == 0 ||
	    (solve(parity, &stripe, err) == 0 && keep_healed(parity, &stripe, err) == 0)))
		rc = 0;
	for (unsigned i = 0; i < stripe.parity_count; i++)
		free(stripe.parity_data[i]);
	free(stripe.data);
	free(stripe.out);
	return rc;
}

/* One block as it was: read, or made again. */
static int
whole_block(struct parity *parity, uint32_t block, uint8_t *out, struct error *err)
{
	enum block_state state = BLOCK_GOOD;

	if (parity->healed[block] == NULL && read_block(parity, block, out, &state, err) != 0)
		return -1;
	/* An unsure one may turn out to be of those that pass for whole. */
	if (state != BLOCK_GOOD && heal_stripe(parity, block % parity->shape.stripes, err) != 0)
		return -1;
	if (parity->healed[block] != NULL)
		memcpy(out, parity->healed[block], parity->shape.block);
	return 0;
}

/* Blocks first..first+count-1 into the run; as one read if nothing is wrong with them. */
static int
read_run(struct parity *parity, uint32_t first, uint32_t count, struct error *err)
{
	uint32_t size = parity->shape.block, last = first + count - 1;
	size_t len = (size_t)(count - 1) * size + block_len(parity, last);
	struct error why = ERROR_INIT;
	char name[PACK_NAME_SIZE];
	bool at_once;

	pack_name(&parity->pack, name);
	at_once = storage_get(parity->storage, name, (uint64_t)first * size, parity->run, len,
	    &why) == 0;
	if (at_once)
		memset(parity->run + len, 0, (size_t)count * size - len);
	else if (!parity_error_is_damage(&why)) {
		*err = why;
		return -1;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *data = parity->run + (size_t)i * size;

		if (at_once && judge(parity, first + i, data) == BLOCK_GOOD)
			continue;
		if (whole_block(parity, first + i, data, err) != 0)
			return -1;
	}
	return 0;
}

static void
need_run(struct parity *parity)
{
	if (parity->run == NULL)
		parity->run = mem_calloc(RUN_BYTES, 1);
}

int
parity_read(struct parity *parity, uint64_t offset, void *buf, size_t len, struct error *err)
{
	uint32_t size = parity->shape.block;
	uint8_t *out = buf;

	if (offset > parity->shape.pack_size || len > parity->shape.pack_size - offset)
		return error_set(err, ERROR_CORRUPT, "the pack had no more than %llu bytes",
		    (unsigned long long)parity->shape.pack_size);
	need_run(parity);
	while (len > 0) {
		uint32_t first = (uint32_t)(offset / size);
		size_t skip = (size_t)(offset % size), n = RUN_BYTES - skip;
		uint32_t count;

		n = n < len ? n : len;
		count = (uint32_t)((skip + n + size - 1) / size);
		if (read_run(parity, first, count, err) != 0)
			return -1;
		memcpy(out, parity->run + skip, n);
		out += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int
parity_scan_pack(struct parity *parity, uint32_t *ret_damaged, struct error *err)
{
	uint32_t size = parity->shape.block, per_run = RUN_BYTES / size;
	char name[PACK_NAME_SIZE];

	pack_name(&parity->pack, name);
	need_run(parity);
	*ret_damaged = 0;
	for (uint32_t first = 0; first < parity->data_blocks; first += per_run) {
		uint32_t left = parity->data_blocks - first;
		uint32_t count = left < per_run ? left : per_run;
		size_t len = (size_t)(count - 1) * size + block_len(parity, first + count - 1);
		struct error why = ERROR_INIT;
		bool at_once = storage_get(parity->storage, name, (uint64_t)first * size,
		    parity->run, len, &why) == 0;

		memset(parity->run + len, 0, (size_t)count * size - len);
		for (uint32_t i = 0; i < count; i++) {
			uint8_t *data = parity->run + (size_t)i * size;
			enum block_state state;

			if (at_once)
				state = judge(parity, first + i, data);
			else if (read_block(parity, first + i, data, &state, err) != 0)
				return -1;
			*ret_damaged += state == BLOCK_DAMAGED;
		}
	}
	return 0;
}

int
parity_verify_blocks(struct parity *parity, struct error *err)
{
	uint8_t *data = mem_calloc(1, parity->shape.block);
	int rc = 0;

	parity->damage.blocks = 0;
	for (uint32_t i = 0; i < parity->parity_blocks && rc == 0; i++) {
		bool good;

		rc = read_parity_block(parity, i, data, &good, err);
		if (rc == 0 && !good)
			parity->damage.blocks++;
	}
	free(data);
	return rc;
}

static int
source_get(void *arg, uint64_t offset, void *buf, size_t len, struct error *err)
{
	return parity_read(arg, offset, buf, len, err);
}

void
parity_source(struct parity *parity, struct pack_source *ret)
{
	*ret = (struct pack_source){ .get = source_get, .arg = parity,
		.size = parity->shape.pack_size };
}
