/*
 * What reading (index.c), writing (index_write.c) and joining (index_join.c) index files share.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_INDEX_INTERNAL_H
#define HOLDFAST_AGENT_REPOSITORY_INDEX_INTERNAL_H

#include "agent/repository/index.h"
#include "shared/buffer.h"

extern const char index_magic[8];

/* By which pages are found: the first 8 bytes, big-endian. */
uint64_t index_prefix(const struct blob_id *id);

/* ---- the header in its plain form: the count of packs, each with its frames, the pages */

void index_encode_pack(struct buffer *header, const struct object_id *id, enum pack_kind kind,
    uint64_t size, size_t frame_count);
void index_encode_frame(struct buffer *header, uint32_t stored_len, uint32_t plain_len);
/* prefixes: of the first entry of each page; all but the last page are full. */
void index_encode_pages(struct buffer *header, const uint64_t *prefixes, uint64_t entry_count);

/* ---- writing, page by page */

struct index_out {
	const struct keys *keys;
	struct object_id id;
	struct storage_put *put; /* NULL: not begun, or given up */
	struct buffer out, plain;
	uint64_t page;
};

int index_out_begin(struct index_out *out, struct storage *storage, const struct keys *keys,
    const struct buffer *header, struct error *err);
/* The entries of the next page, in order. */
int index_out_page(struct index_out *out, const struct index_entry *entries, size_t count,
    struct error *err);
/* Durable, under its name.  If interrupted before, nothing is there. */
int index_out_commit(struct index_out *out, struct object_id *ret, struct error *err);
/* Frees; what was not committed is given up. */
void index_out_done(struct index_out *out);

#endif
