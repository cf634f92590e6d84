#include "agent/repository/parity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "agent/repository/parity_code.h"
#include "shared/mem.h"

static const char header_magic[8] = { 'H', 'F', 'P', 'A', 'R', 'I', '1', '\n' };

/* With a rule of per cents, stripes of at most so many parity blocks: more take longer (each byte
 * is multiplied once for each of them), and a stripe of 100 + 10 heals all that 200 + 20 does but
 * for rare patterns. */
#define PARITY_PER_STRIPE 10u
#define DATA_PER_STRIPE 200u
/* Fewer would round the share up by too much. */
#define DATA_PER_STRIPE_MIN 20u
/* Whatever the per cents, one run of so many bytes heals: a sector of a disk, a page of a cache. */
#define SHORTEST_RUN 4096u
/* Checksums in one part of a table; with its own, the part fills a page. */
#define TABLE_PART 511u

/* A whole number within bounds, and what stands behind it; NULL if there is none. */
static const char *
parse_number(const char *text, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || v < 1 || v > max)
		return NULL;
	*ret = (unsigned)v;
	return end;
}

int
parity_rule_parse(const char *text, struct parity_rule *ret, struct error *err)
{
	struct parity_rule rule = { 0, 0, 0 };
	unsigned first = 0;
	const char *rest;

	*ret = rule;
	if (strcmp(text, "off") == 0 || strcmp(text, "no") == 0 || strcmp(text, "0") == 0)
		return 0;
	rest = parse_number(text, PARITY_STRIPE_MAX - 1, &first);
	if (rest != NULL && strcmp(rest, "%") == 0 && first <= 100) {
		ret->percent = first;
		return 0;
	}
	rule.data = first;
	if (rest != NULL && *rest == '+')
		rest = parse_number(rest + 1, PARITY_STRIPE_MAX - 1, &rule.parity);
	else
		rest = NULL;
	if (rest != NULL && *rest == '\0' && rule.parity <= rule.data &&
	    rule.data + rule.parity <= PARITY_STRIPE_MAX) {
		*ret = rule;
		return 0;
	}
	error_set(err, ERROR_CONFIG, "'parity' takes off, N%% or K+M, not '%.40s'", text);
	return error_hint(err, "10%% lets a tenth of a pack be lost; 20+3 is 3 blocks for each 20, "
	    "at most as many as those and %u together", PARITY_STRIPE_MAX);
}

bool
parity_rule_is_on(const struct parity_rule *rule)
{
	return rule->percent > 0 || rule->data > 0;
}

int
parity_is_available(struct error *err)
{
	if (parity_code_available())
		return 0;
	error_set(err, ERROR_UNSUPPORTED, "this program was built without what parity needs");
	return error_hint(err, "install the package libisal-dev and build it again");
}

static uint64_t
divide_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

static unsigned
percent_of(unsigned blocks, unsigned percent)
{
	return (unsigned)divide_up((uint64_t)blocks * percent, 100);
}

/* The largest stripe for these per cents. */
static unsigned
data_for_percent(unsigned percent)
{
	unsigned data = DATA_PER_STRIPE;

	while (data > DATA_PER_STRIPE_MIN && percent_of(data, percent) > PARITY_PER_STRIPE)
		data--;
	return data;
}

void
parity_shape_choose(const struct parity_rule *rule, uint64_t pack_size, struct parity_shape *ret)
{
	unsigned data = rule->percent > 0 ? data_for_percent(rule->percent) : rule->data;
	uint32_t block = pack_size < PARITY_SMALL_PACK ? PARITY_BLOCK_SMALL : PARITY_BLOCK;
	uint32_t blocks = (uint32_t)divide_up(pack_size, block), shortest;

	*ret = (struct parity_shape){ .pack_size = pack_size, .block = block };
	ret->stripes = (uint32_t)divide_up(blocks, data);
	ret->data = (unsigned)divide_up(blocks, ret->stripes);
	ret->parity = rule->percent > 0 ? percent_of(ret->data, rule->percent) : rule->parity;
	shortest = (uint32_t)divide_up(SHORTEST_RUN, (uint64_t)ret->stripes * block);
	if (rule->percent > 0 && ret->parity < shortest)
		ret->parity = shortest;
	/* With as many as there is data, all of it can be lost. */
	if (ret->parity > ret->data)
		ret->parity = ret->data;
}

uint32_t
parity_data_blocks(const struct parity_shape *shape)
{
	return (uint32_t)divide_up(shape->pack_size, shape->block);
}

uint32_t
parity_parity_blocks(const struct parity_shape *shape)
{
	return shape->stripes * shape->parity;
}

size_t
parity_table_size(size_t count)
{
	return (count + (size_t)divide_up(count, TABLE_PART)) * sizeof(uint64_t);
}

uint64_t
parity_head_size(const struct parity_shape *shape)
{
	size_t count = parity_data_blocks(shape) + parity_parity_blocks(shape);

	return divide_up(PARITY_HEADER_SIZE + parity_table_size(count), shape->block) * shape->block;
}

uint64_t
parity_file_size(const struct parity_shape *shape)
{
	return 2 * parity_head_size(shape) + (uint64_t)parity_parity_blocks(shape) * shape->block;
}

void
parity_name(const struct object_id *pack, char out[PARITY_NAME_SIZE])
{
	char text[OBJECT_ID_TEXT_SIZE];

	object_id_text(pack, text);
	snprintf(out, PARITY_NAME_SIZE, PARITY_FOLDER "/%.2s/%s", text, text);
}

int
parity_name_parse(const char *name, struct object_id *ret)
{
	const char *rest = name + sizeof(PARITY_FOLDER);

	if (strlen(name) != PARITY_NAME_SIZE - 2 ||
	    strncmp(name, PARITY_FOLDER "/", sizeof(PARITY_FOLDER)) != 0 || rest[2] != '/' ||
	    strncmp(rest, rest + 3, 2) != 0)
		return -1;
	return object_id_parse(rest + 3, strlen(rest + 3), ret);
}

/* Of this pack and place alone: what a disk left of another file does not pass. */
uint64_t
parity_sum(const struct object_id *pack, uint64_t place, const void *data, size_t len)
{
	uint64_t seed = place;

	for (unsigned i = 0; i < 8; i++)
		seed += (uint64_t)pack->bytes[i] << 8 * i;
	return XXH3_64bits_withSeed(data, len, seed);
}

void
parity_header_encode(const struct keys *keys, const struct object_id *pack,
    const struct parity_shape *shape, struct buffer *ret)
{
	size_t start = ret->len;

	buffer_put(ret, header_magic, sizeof(header_magic));
	buffer_put(ret, keys_repository(keys)->bytes, OBJECT_ID_SIZE);
	buffer_put(ret, pack->bytes, OBJECT_ID_SIZE);
	buffer_put_u64(ret, shape->pack_size);
	buffer_put_u32(ret, shape->block);
	buffer_put_u32(ret, shape->stripes);
	buffer_put_u32(ret, shape->data);
	buffer_put_u32(ret, shape->parity);
	buffer_put_u64(ret, parity_sum(pack, PARITY_PLACE_BLOCK, ret->data + start,
	    ret->len - start));
}

/* Whether the numbers fit together; everything that is allocated later follows from them. */
static bool
shape_is_possible(const struct parity_shape *shape)
{
	uint64_t blocks;

	if (shape->pack_size == 0 || shape->pack_size > PACK_SIZE_MAX || shape->block < 64 ||
	    shape->block > PARITY_BLOCK_MAX || (shape->block & (shape->block - 1)) != 0)
		return false;
	blocks = divide_up(shape->pack_size, shape->block);
	return blocks <= PARITY_BLOCKS_MAX && shape->stripes >= 1 && shape->stripes <= blocks &&
	    shape->data == divide_up(blocks, shape->stripes) && shape->parity >= 1 &&
	    shape->parity <= shape->data && shape->data + shape->parity <= PARITY_STRIPE_MAX;
}

int
parity_header_decode(const uint8_t header[PARITY_HEADER_SIZE], const struct keys *keys,
    const struct object_id *pack, struct parity_shape *ret, struct error *err)
{
	struct parity_shape shape = { 0 };
	const uint8_t *magic, *repository, *id;
	uint32_t data = 0, parity = 0;
	uint64_t sum = 0;
	struct reader r;

	reader_init(&r, header, PARITY_HEADER_SIZE, "parity header");
	if (reader_get(&r, sizeof(header_magic), &magic, err) != 0 ||
	    reader_get(&r, OBJECT_ID_SIZE, &repository, err) != 0 ||
	    reader_get(&r, OBJECT_ID_SIZE, &id, err) != 0 ||
	    reader_get_u64(&r, &shape.pack_size, err) != 0 ||
	    reader_get_u32(&r, &shape.block, err) != 0 ||
	    reader_get_u32(&r, &shape.stripes, err) != 0 ||
	    reader_get_u32(&r, &data, err) != 0 || reader_get_u32(&r, &parity, err) != 0 ||
	    reader_get_u64(&r, &sum, err) != 0)
		return -1;
	shape.data = data;
	shape.parity = parity;
	if (memcmp(magic, header_magic, sizeof(header_magic)) != 0 ||
	    sum != parity_sum(pack, PARITY_PLACE_BLOCK, header, PARITY_HEADER_SIZE - sizeof(sum)))
		return error_set(err, ERROR_CORRUPT, "parity header is damaged");
	if (memcmp(repository, keys_repository(keys)->bytes, OBJECT_ID_SIZE) != 0 ||
	    memcmp(id, pack->bytes, OBJECT_ID_SIZE) != 0)
		return error_set(err, ERROR_CORRUPT, "parity belongs to another pack");
	if (!shape_is_possible(&shape))
		return error_set(err, ERROR_CORRUPT, "parity header has impossible numbers");
	*ret = shape;
	return 0;
}

void
parity_table_encode(const struct object_id *pack, const uint64_t *sums, size_t count,
    struct buffer *ret)
{
	for (size_t first = 0, part = 1; first < count; first += TABLE_PART, part++) {
		size_t start = ret->len;

		for (size_t i = first; i < count && i < first + TABLE_PART; i++)
			buffer_put_u64(ret, sums[i]);
		buffer_put_u64(ret, parity_sum(pack, part, ret->data + start, ret->len - start));
	}
}

size_t
parity_table_decode(const struct object_id *pack, const uint8_t *table, size_t count,
    uint64_t *sums, bool *known)
{
	struct error never = ERROR_INIT;
	struct reader r;
	size_t damaged = 0;

	reader_init(&r, table, parity_table_size(count), "parity table");
	for (size_t first = 0, part = 1; first < count; first += TABLE_PART, part++) {
		size_t n = count - first < TABLE_PART ? count - first : TABLE_PART;
		uint64_t sum = 0, actual = parity_sum(pack, part, r.p, n * sizeof(*sums));
		const uint8_t *entries = r.p;
		struct reader entry;

		/* The sizes were worked out from the same count: no get can fail. */
		reader_get(&r, n * sizeof(*sums), &entries, &never);
		reader_get_u64(&r, &sum, &never);
		if (sum != actual) {
			damaged += n;
			continue;
		}
		reader_init(&entry, entries, n * sizeof(*sums), "parity table");
		for (size_t i = 0; i < n; i++) {
			reader_get_u64(&entry, &sums[first + i], &never);
			known[first + i] = true;
		}
	}
	return damaged;
}

bool
parity_error_is_damage(const struct error *err)
{
	if (err->code == ERROR_CORRUPT || err->code == ERROR_NOT_FOUND)
		return true;
	/* How disks and file systems say that they lost something. */
	return err->code == ERROR_IO &&
	    (err->sys == EIO || err->sys == EUCLEAN || err->sys == EBADMSG);
}
