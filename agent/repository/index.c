#include "agent/repository/index_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/format.h"
#include "shared/mem.h"

const char index_magic[8] = { 'H', 'F', 'I', 'N', 'D', 'X', '1', '\n' };

void
index_file_free(struct index_file *file)
{
	if (file == NULL)
		return;
	free(file->packs);
	free(file->frames);
	free(file->pages);
	free(file);
}

void
index_name(const struct object_id *id, char out[INDEX_NAME_SIZE])
{
	char text[OBJECT_ID_TEXT_SIZE];

	object_id_text(id, text);
	snprintf(out, INDEX_NAME_SIZE, "index/%s", text);
}

int
index_name_parse(const char *name, struct object_id *ret)
{
	if (strncmp(name, "index/", 6) != 0)
		return -1;
	return object_id_parse(name + 6, strlen(name + 6), ret);
}

uint64_t
index_prefix(const struct blob_id *id)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | id->bytes[i];
	return v;
}

static int
decode_pack(struct reader *r, struct index_file *file, size_t p, size_t *frame_cap,
    struct error *err)
{
	struct index_pack *pack = &file->packs[p];
	const uint8_t *id;
	uint64_t offset = PACK_HEADER_SIZE, frame_count;
	uint8_t kind;

	if (reader_get(r, OBJECT_ID_SIZE, &id, err) != 0 || reader_get_u8(r, &kind, err) != 0 ||
	    reader_get_varint(r, PACK_SIZE_MAX, &pack->size, err) != 0 ||
	    reader_get_varint(r, PACK_FRAMES_MAX, &frame_count, err) != 0)
		return -1;
	if (kind >= PACK_KIND_COUNT)
		return error_set(err, ERROR_CORRUPT, "%s: unknown kind of pack %u", r->what, kind);
	memcpy(pack->id.bytes, id, OBJECT_ID_SIZE);
	pack->kind = kind;
	pack->first_frame = (uint32_t)file->frame_count;
	pack->frame_count = (uint32_t)frame_count;
	for (uint64_t f = 0; f < frame_count; f++) {
		uint64_t stored_len, plain_len;

		if (reader_get_varint(r, FRAME_PAYLOAD_MAX + SEAL_OVERHEAD, &stored_len, err) != 0 ||
		    reader_get_varint(r, FRAME_PLAIN_MAX, &plain_len, err) != 0)
			return -1;
		if (offset + stored_len > pack->size)
			return error_set(err, ERROR_CORRUPT, "%s: frames beyond the end of their pack",
			    r->what);
		MEM_GROW(file->frames, file->frame_count, *frame_cap);
		file->frames[file->frame_count++] = (struct index_frame){ .pack = (uint32_t)p,
			.offset = (uint32_t)offset, .stored_len = (uint32_t)stored_len,
			.plain_len = (uint32_t)plain_len };
		offset += stored_len;
	}
	return 0;
}

static int
decode_pages(struct reader *r, struct index_file *file, uint64_t first_page, struct error *err)
{
	uint64_t page_count, offset = first_page;

	if (reader_get_varint(r, INDEX_PAGES_MAX, &page_count, err) != 0)
		return -1;
	if (page_count > reader_left(r) / 9)
		return error_set(err, ERROR_CORRUPT, "%s: more pages than it has room for", r->what);
	file->pages = mem_calloc(page_count, sizeof(*file->pages));
	for (uint64_t i = 0; i < page_count; i++) {
		struct index_page *page = &file->pages[i];
		uint64_t count;

		if (reader_get_u64(r, &page->first, err) != 0 ||
		    reader_get_varint(r, INDEX_PAGE_ENTRIES, &count, err) != 0)
			return -1;
		if (count == 0 || (i > 0 && page->first < page[-1].first))
			return error_set(err, ERROR_CORRUPT, "%s: pages are not in order", r->what);
		page->count = (uint32_t)count;
		page->offset = offset;
		offset += count * INDEX_ENTRY_SIZE + SEAL_OVERHEAD;
		file->entry_count += count;
		file->page_count++;
	}
	return 0;
}

int
index_header_decode(const void *data, size_t len, uint64_t first_page, struct index_file **ret,
    struct error *err)
{
	struct index_file *file = MEM_NEW(struct index_file);
	size_t frame_cap = 0;
	struct reader r;
	uint64_t pack_count;

	reader_init(&r, data, len, "index header");
	if (reader_get_varint(&r, INDEX_PACKS_MAX, &pack_count, err) != 0)
		goto fail;
	if (pack_count > reader_left(&r) / (OBJECT_ID_SIZE + 3)) {
		error_set(err, ERROR_CORRUPT, "index header: more packs than it has room for");
		goto fail;
	}
	file->packs = mem_calloc(pack_count, sizeof(*file->packs));
	for (uint64_t p = 0; p < pack_count; p++) {
		if (decode_pack(&r, file, p, &frame_cap, err) != 0)
			goto fail;
		file->pack_count++;
	}
	if (decode_pages(&r, file, first_page, err) != 0 || reader_finish(&r, err) != 0)
		goto fail;
	*ret = file;
	return 0;
fail:
	index_file_free(file);
	return -1;
}

int
index_read_header(struct storage *storage, const struct keys *keys, const struct object_id *id,
    struct index_file **ret, struct error *err)
{
	uint8_t preamble[INDEX_PREAMBLE_SIZE], *sealed = NULL, *plain = NULL;
	struct index_file *file = NULL;
	char name[INDEX_NAME_SIZE];
	uint64_t size;
	uint32_t len;
	struct reader r;
	const uint8_t *p;
	unsigned newer = 0;
	int rc = -1, there;

	index_name(id, name);
	there = storage_size(storage, name, &size, err);
	if (there == 0)
		error_set(err, ERROR_NOT_FOUND, "index file is gone");
	if (there != 1 || storage_get(storage, name, 0, preamble, sizeof(preamble), err) != 0)
		goto out;
	reader_init(&r, preamble, sizeof(preamble), "index file");
	reader_get(&r, sizeof(index_magic), &p, err);
	newer = format_newer(p, index_magic);
	if (memcmp(p, index_magic, sizeof(index_magic)) != 0 && newer == 0) {
		error_set(err, ERROR_CORRUPT, "not an index file");
		goto out;
	}
	reader_get(&r, OBJECT_ID_SIZE, &p, err);
	if (memcmp(p, keys_repository(keys)->bytes, OBJECT_ID_SIZE) != 0) {
		error_set(err, ERROR_CORRUPT, "index file of another repository");
		goto out;
	}
	reader_get(&r, OBJECT_ID_SIZE, &p, err);
	if (memcmp(p, id->bytes, OBJECT_ID_SIZE) != 0 || reader_get_u32(&r, &len, err) != 0 ||
	    len < SEAL_OVERHEAD || len > INDEX_HEADER_MAX || INDEX_PREAMBLE_SIZE + len > size) {
		error_set(err, ERROR_CORRUPT, "index file is damaged or cut off");
		goto out;
	}
	sealed = mem_try(len, err);
	plain = mem_try(len, err);
	if (sealed == NULL || plain == NULL ||
	    storage_get(storage, name, INDEX_PREAMBLE_SIZE, sealed, len, err) != 0)
		goto out;
	if (unseal(keys, SEAL_INDEX_HEADER, id, 0, sealed, len, plain) != 0) {
		error_set(err, ERROR_CORRUPT, "index header is damaged");
		goto out;
	}
	/* It opens as what this version writes: only its first bytes are wrong. */
	if (newer != 0) {
		newer = 0;
		error_set(err, ERROR_CORRUPT, "not an index file");
		goto out;
	}
	if (index_header_decode(plain, len - SEAL_OVERHEAD, INDEX_PREAMBLE_SIZE + len, &file,
	    err) != 0)
		goto out;
	file->id = *id;
	if (INDEX_PREAMBLE_SIZE + len + file->entry_count * INDEX_ENTRY_SIZE +
	    file->page_count * SEAL_OVERHEAD != size) {
		error_set(err, ERROR_CORRUPT, "index file is cut off or too long");
		goto out;
	}
	*ret = file;
	file = NULL;
	rc = 0;
out:
	if (rc != 0 && newer != 0 && err->code == ERROR_CORRUPT)
		format_refuse(name, newer, err);
	else if (rc != 0)
		error_prefix(err, "%s: ", name);
	index_file_free(file);
	free(sealed);
	free(plain);
	return rc;
}

int
index_page_decode(const void *data, size_t len, const struct index_file *file, size_t page,
    struct index_entry *entries, struct error *err)
{
	struct reader r;
	const uint8_t *id;

	reader_init(&r, data, len, "index page");
	for (uint32_t i = 0; i < file->pages[page].count; i++) {
		struct index_entry *entry = &entries[i];
		struct blob_location *at = &entry->location;

		if (reader_get(&r, BLOB_ID_SIZE, &id, err) != 0 ||
		    reader_get_u32(&r, &at->frame, err) != 0 ||
		    reader_get_u32(&r, &at->offset, err) != 0 ||
		    reader_get_u32(&r, &at->len, err) != 0)
			return -1;
		memcpy(entry->id.bytes, id, BLOB_ID_SIZE);
		if (at->frame >= file->frame_count || at->len > BLOB_MAX ||
		    (uint64_t)at->offset + at->len > file->frames[at->frame].plain_len)
			return error_set(err, ERROR_CORRUPT,
			    "index page: an entry points outside its frame");
		if (i > 0 && blob_id_compare(&entry[-1].id, &entry->id) > 0)
			return error_set(err, ERROR_CORRUPT, "index page: entries are not in order");
	}
	return reader_finish(&r, err);
}

int
index_read_page(struct storage *storage, const struct keys *keys, const struct index_file *file,
    size_t page, struct index_entry *entries, struct error *err)
{
	uint8_t sealed[INDEX_PAGE_ENTRIES * INDEX_ENTRY_SIZE + SEAL_OVERHEAD];
	uint8_t plain[INDEX_PAGE_ENTRIES * INDEX_ENTRY_SIZE];
	size_t len = file->pages[page].count * (size_t)INDEX_ENTRY_SIZE;
	char name[INDEX_NAME_SIZE];

	index_name(&file->id, name);
	if (storage_get(storage, name, file->pages[page].offset, sealed, len + SEAL_OVERHEAD,
	    err) != 0)
		return error_prefix(err, "%s: ", name);
	if (unseal(keys, SEAL_INDEX_PAGE, &file->id, page, sealed, len + SEAL_OVERHEAD,
	    plain) != 0)
		return error_set(err, ERROR_CORRUPT, "%s: page %zu is damaged", name, page);
	if (index_page_decode(plain, len, file, page, entries, err) != 0)
		return error_prefix(err, "%s: ", name);
	return 0;
}

ssize_t
index_find_page(const struct index_file *file, const struct blob_id *id)
{
	uint64_t prefix = index_prefix(id);
	size_t low = 0, high = file->page_count;

	/* The last page whose first prefix is not above; equal prefixes do not occur but by
	 * duplicates of one id, any of which will do. */
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (file->pages[mid].first <= prefix)
			low = mid + 1;
		else
			high = mid;
	}
	return (ssize_t)low - 1;
}
