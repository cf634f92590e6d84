/*
 * Several index files as one.  Their entries are in order already, so they are read side by side,
 * page by page, twice: for the header, which names the first entry of each page, and for the pages.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/index_internal.h"
#include "shared/mem.h"

/* The number of a frame whose pack another of the files covers, too. */
#define FRAME_ELSEWHERE UINT32_MAX

/* One of the files, and how far it is read. */
struct cursor {
	const struct index_file *file;
	uint32_t *frames;            /* the new number of each of its frames */
	struct index_entry *entries; /* of a page */
	size_t page;                 /* the next */
	uint32_t at, count;
	const struct index_entry *current; /* NULL: the end */
};

struct join {
	struct storage *storage;
	const struct keys *keys;
	struct cursor *cursors;
	size_t count;
};

/* A pack of one of the files. */
struct covered {
	struct object_id id;
	uint32_t cursor, pack;
};

static int
compare_covered(const void *a, const void *b)
{
	const struct covered *x = a, *y = b;
	int order = memcmp(&x->id, &y->id, sizeof(x->id));

	if (order == 0)
		order = x->cursor < y->cursor ? -1 : x->cursor > y->cursor;
	return order;
}

static void
drop_frames(const struct cursor *cursor, uint32_t number)
{
	const struct index_pack *pack = &cursor->file->packs[number];

	for (uint32_t f = 0; f < pack->frame_count; f++)
		cursor->frames[pack->first_frame + f] = FRAME_ELSEWHERE;
}

/* A merge that was interrupted leaves packs that two files cover: one of them does. */
static void
drop_covered_twice(const struct join *join)
{
	struct covered *list;
	size_t count = 0;

	for (size_t c = 0; c < join->count; c++)
		count += join->cursors[c].file->pack_count;
	list = mem_calloc(count + 1, sizeof(*list));
	count = 0;
	for (size_t c = 0; c < join->count; c++)
		for (size_t p = 0; p < join->cursors[c].file->pack_count; p++)
			list[count++] = (struct covered){ join->cursors[c].file->packs[p].id,
				(uint32_t)c, (uint32_t)p };
	qsort(list, count, sizeof(*list), compare_covered);
	for (size_t i = 1; i < count; i++)
		if (memcmp(&list[i].id, &list[i - 1].id, sizeof(list[i].id)) == 0)
			drop_frames(&join->cursors[list[i].cursor], list[i].pack);
	free(list);
}

/* Packs without frames do not occur in what we write; such a one would be kept. */
static bool
is_kept(const struct cursor *cursor, const struct index_pack *pack)
{
	return pack->frame_count == 0 || cursor->frames[pack->first_frame] != FRAME_ELSEWHERE;
}

/* Number the frames through all files, and put packs and frames into the header. */
static void
number_frames(const struct join *join, struct buffer *header)
{
	uint32_t next = 0;
	size_t packs = 0;

	for (size_t c = 0; c < join->count; c++)
		for (size_t p = 0; p < join->cursors[c].file->pack_count; p++)
			packs += is_kept(&join->cursors[c], &join->cursors[c].file->packs[p]);
	buffer_put_varint(header, packs);
	for (size_t c = 0; c < join->count; c++) {
		const struct cursor *cursor = &join->cursors[c];

		for (size_t p = 0; p < cursor->file->pack_count; p++) {
			const struct index_pack *pack = &cursor->file->packs[p];

			if (!is_kept(cursor, pack))
				continue;
			index_encode_pack(header, &pack->id, pack->kind, pack->size,
			    pack->frame_count);
			for (uint32_t f = 0; f < pack->frame_count; f++) {
				const struct index_frame *frame =
				    &cursor->file->frames[pack->first_frame + f];

				index_encode_frame(header, frame->stored_len, frame->plain_len);
				cursor->frames[pack->first_frame + f] = next++;
			}
		}
	}
}

/* ---- reading side by side */

/* Go to the next entry that counts. */
static int
step(const struct join *join, struct cursor *cursor, struct error *err)
{
	do {
		if (++cursor->at >= cursor->count) {
			cursor->current = NULL;
			if (cursor->page == cursor->file->page_count)
				return 0;
			if (index_read_page(join->storage, join->keys, cursor->file, cursor->page,
			    cursor->entries, err) != 0)
				return -1;
			cursor->count = cursor->file->pages[cursor->page++].count;
			cursor->at = 0;
		}
		cursor->current = &cursor->entries[cursor->at];
	} while (cursor->frames[cursor->current->location.frame] == FRAME_ELSEWHERE);
	return 0;
}

static int
rewind_all(const struct join *join, struct error *err)
{
	for (size_t c = 0; c < join->count; c++) {
		struct cursor *cursor = &join->cursors[c];

		cursor->page = 0;
		cursor->at = cursor->count = 0;
		if (step(join, cursor, err) != 0)
			return -1;
	}
	return 0;
}

/* 1 and the least entry that is left, 0 at the end, -1. */
static int
next_entry(const struct join *join, struct index_entry *ret, struct error *err)
{
	struct cursor *least = NULL;

	for (size_t c = 0; c < join->count; c++) {
		struct cursor *cursor = &join->cursors[c];

		if (cursor->current != NULL && (least == NULL ||
		    blob_id_compare(&cursor->current->id, &least->current->id) < 0))
			least = cursor;
	}
	if (least == NULL)
		return 0;
	*ret = *least->current;
	ret->location.frame = least->frames[ret->location.frame];
	return step(join, least, err) == 0 ? 1 : -1;
}

static int
find_prefixes(const struct join *join, uint64_t *prefixes, uint64_t *ret_count, struct error *err)
{
	struct index_entry entry;
	uint64_t count = 0;
	int rc = rewind_all(join, err);

	if (rc != 0)
		return -1;
	while ((rc = next_entry(join, &entry, err)) == 1) {
		if (count % INDEX_PAGE_ENTRIES == 0)
			prefixes[count / INDEX_PAGE_ENTRIES] = index_prefix(&entry.id);
		count++;
	}
	*ret_count = count;
	return rc;
}

static int
write_pages(const struct join *join, struct index_out *out, struct error *err)
{
	struct index_entry *entries = mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*entries));
	size_t count = 0;
	int rc = rewind_all(join, err), more = 1;

	while (rc == 0 && more == 1) {
		more = next_entry(join, &entries[count], err);
		if (more == 1 && ++count < INDEX_PAGE_ENTRIES)
			continue;
		if (more == -1)
			rc = -1;
		else if (count > 0)
			rc = index_out_page(out, entries, count, err);
		count = 0;
	}
	free(entries);
	return rc;
}

static void
join_begin(struct join *join, struct index_file *const *files)
{
	join->cursors = mem_calloc(join->count + 1, sizeof(*join->cursors));
	for (size_t c = 0; c < join->count; c++) {
		join->cursors[c].file = files[c];
		join->cursors[c].frames =
		    mem_calloc(files[c]->frame_count + 1, sizeof(*join->cursors[c].frames));
		join->cursors[c].entries =
		    mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*join->cursors[c].entries));
	}
}

static void
join_done(struct join *join)
{
	for (size_t c = 0; c < join->count; c++) {
		free(join->cursors[c].frames);
		free(join->cursors[c].entries);
	}
	free(join->cursors);
}

int
index_join(struct storage *storage, const struct keys *keys, struct index_file *const *files,
    size_t count, struct object_id *ret, struct error *err)
{
	struct join join = { .storage = storage, .keys = keys, .count = count };
	struct buffer header = BUFFER_INIT;
	struct index_out out;
	uint64_t *prefixes, entries = 0;
	int rc;

	join_begin(&join, files);
	for (size_t c = 0; c < count; c++)
		entries += files[c]->entry_count;
	prefixes = mem_calloc(entries / INDEX_PAGE_ENTRIES + 1, sizeof(*prefixes));
	drop_covered_twice(&join);
	number_frames(&join, &header);
	rc = find_prefixes(&join, prefixes, &entries, err);
	if (rc == 0) {
		index_encode_pages(&header, prefixes, entries);
		rc = index_out_begin(&out, storage, keys, &header, err);
		if (rc == 0)
			rc = write_pages(&join, &out, err);
		if (rc == 0)
			rc = index_out_commit(&out, ret, err);
		index_out_done(&out);
	}
	free(prefixes);
	buffer_done(&header);
	join_done(&join);
	return rc;
}
