#include "agent/repository/blob_table.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

/* Bytes, so that there is no padding: a table may hold many millions of these. */
struct blob_entry {
	uint8_t id[BLOB_ID_SIZE];
	uint8_t frame[4];
	uint8_t span[7]; /* offset and len, 28 bits each */
};
_Static_assert(sizeof(struct blob_entry) == 43, "an entry must stay small");

#define BLOCK_ENTRIES 4096u

static struct blob_entry *
entry_at(const struct blob_table *table, uint32_t n)
{
	return &table->blocks[n / BLOCK_ENTRIES][n % BLOCK_ENTRIES];
}

static void
entry_set_location(struct blob_entry *entry, const struct blob_location *location)
{
	uint64_t span = (uint64_t)location->offset << 28 | location->len;

	memcpy(entry->frame, &location->frame, sizeof(entry->frame));
	memcpy(entry->span, &span, sizeof(entry->span));
}

static void
entry_location(const struct blob_entry *entry, struct blob_location *ret)
{
	uint64_t span = 0;

	memcpy(&ret->frame, entry->frame, sizeof(entry->frame));
	memcpy(&span, entry->span, sizeof(entry->span));
	ret->offset = (uint32_t)(span >> 28);
	ret->len = (uint32_t)(span & 0xfffffff);
}

/* Ids are keyed hashes, so their own bytes are the hash; scaled to the number of slots. */
static uint32_t
first_slot(const struct blob_table *table, const uint8_t *id)
{
	uint32_t hash;

	memcpy(&hash, id, sizeof(hash));
	return (uint32_t)((uint64_t)hash * table->slot_count >> 32);
}

void
blob_table_init(struct blob_table *table)
{
	memset(table, 0, sizeof(*table));
}

void
blob_table_done(struct blob_table *table)
{
	for (size_t i = 0; i < table->block_count; i++)
		free(table->blocks[i]);
	free(table->blocks);
	free(table->slots);
	blob_table_init(table);
}

/* Bits of the id that do not choose its slot, where a slot has room for them. */
static uint32_t
tag_of(const struct blob_table *table, const uint8_t *id)
{
	uint32_t bits;

	memcpy(&bits, id + sizeof(uint32_t), sizeof(bits));
	return bits & ~table->number_mask;
}

/*
 * The slot that holds id, or the free one where it belongs.  Nearly full slots make long runs;
 * the tags spare the look at every entry in them, each in a cache line of its own.
 */
static uint32_t
probe(const struct blob_table *table, const uint8_t *id)
{
	uint32_t slot = first_slot(table, id), mask = table->number_mask, in_slot;
	uint32_t tag = tag_of(table, id);

	while ((in_slot = table->slots[slot]) != 0 && ((in_slot & ~mask) != tag ||
	    memcmp(entry_at(table, (in_slot & mask) - 1)->id, id, BLOB_ID_SIZE) != 0))
		if (++slot == table->slot_count)
			slot = 0;
	return slot;
}

static void
set_slot(struct blob_table *table, uint32_t slot, uint32_t n, const uint8_t *id)
{
	table->slots[slot] = (n + 1) | tag_of(table, id);
}

static struct blob_entry *
entry_of_slot(const struct blob_table *table, uint32_t slot)
{
	return entry_at(table, (table->slots[slot] & table->number_mask) - 1);
}

int
blob_table_find(const struct blob_table *table, const struct blob_id *id,
    struct blob_location *ret)
{
	uint32_t slot;

	if (table->count == 0)
		return 0;
	slot = probe(table, id->bytes);
	if (table->slots[slot] == 0)
		return 0;
	if (ret != NULL)
		entry_location(entry_of_slot(table, slot), ret);
	return 1;
}

/* Load stays between 0.7 and 0.9: about 5 bytes of slots a blob. */
static void
grow_slots(struct blob_table *table)
{
	free(table->slots);
	table->slot_count = table->slot_count < 1024 ? 1024 :
	    table->slot_count + table->slot_count / 4;
	table->slots = mem_calloc(table->slot_count, sizeof(*table->slots));
	/* There are never as many entries as slots. */
	while (table->number_mask < table->slot_count)
		table->number_mask = table->number_mask << 1 | 1;
	for (uint32_t n = 0; n < table->count; n++) {
		const uint8_t *id = entry_at(table, n)->id;

		set_slot(table, probe(table, id), n, id);
	}
}

int
blob_table_insert(struct blob_table *table, const struct blob_id *id,
    const struct blob_location *location, int replace)
{
	struct blob_entry *entry;
	uint32_t slot;

	if ((uint64_t)table->count * 10 >= (uint64_t)table->slot_count * 9)
		grow_slots(table);
	slot = probe(table, id->bytes);
	if (table->slots[slot] != 0) {
		if (replace)
			entry_set_location(entry_of_slot(table, slot), location);
		return 0;
	}
	if (table->count == table->block_count * BLOCK_ENTRIES) {
		table->blocks = mem_realloc(table->blocks, table->block_count + 1,
		    sizeof(*table->blocks));
		table->blocks[table->block_count++] =
		    mem_realloc(NULL, BLOCK_ENTRIES, sizeof(struct blob_entry));
	}
	entry = entry_at(table, table->count++);
	memcpy(entry->id, id->bytes, BLOB_ID_SIZE);
	entry_set_location(entry, location);
	set_slot(table, slot, table->count - 1, entry->id);
	return 1;
}

void
blob_table_get(const struct blob_table *table, uint32_t n, struct blob_id *ret_id,
    struct blob_location *ret)
{
	const struct blob_entry *entry = entry_at(table, n);

	memcpy(ret_id->bytes, entry->id, BLOB_ID_SIZE);
	entry_location(entry, ret);
}
