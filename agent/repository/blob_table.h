/*
 * A set of blobs with where each lies: a hash table of about 48 bytes a blob.
 *
 * Entries are never removed; clearing the table frees it.  Not locked: the owner does that.
 * Cost: insert and find are O(1); growing rebuilds the slots (4 bytes each), never moves entries.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_BLOB_TABLE_H
#define HOLDFAST_AGENT_REPOSITORY_BLOB_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/repository/blob.h"

/* Where a blob lies: which frame (a number of the repository's frame table), and its bytes
 * there. */
struct blob_location {
	uint32_t frame;
	uint32_t offset;
	uint32_t len;
};

struct blob_entry;

struct blob_table {
	struct blob_entry **blocks;
	size_t block_count;
	uint32_t count;
	/* Entry number + 1 in the low bits and some bits of the id above, or 0 for free; linear
	 * probing. */
	uint32_t *slots;
	uint32_t slot_count;
	uint32_t number_mask; /* the low bits */
};

void blob_table_init(struct blob_table *table);
void blob_table_done(struct blob_table *table); /* frees, leaves an empty table */
/* 1 found, 0 absent. */
int blob_table_find(const struct blob_table *table, const struct blob_id *id,
    struct blob_location *ret);
/* 1 inserted, 0 was there already (unchanged unless replace is set). */
int blob_table_insert(struct blob_table *table, const struct blob_id *id,
    const struct blob_location *location, int replace);
/* The n-th entry, 0 <= n < count, in order of insertion. */
void blob_table_get(const struct blob_table *table, uint32_t n, struct blob_id *ret_id,
    struct blob_location *ret);

#endif
