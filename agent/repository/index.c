#include "agent/repository/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/format.h"
#include "shared/mem.h"

static const char index_magic[8] = { 'H', 'F', 'I', 'N', 'D', 'X', '1', '\n' };

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

static uint64_t
id_prefix(const struct blob_id *id)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | id->bytes[i];
	return v;
}

static int
compare_entries(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;

	return blob_id_compare(&x->id, &y->id);
}

/* All entries of the packs, sorted; frames are numbered through the packs in order. */
static struct index_entry *
collect_entries(struct pack_directory *const *packs, size_t pack_count, size_t *ret_count)
{
	struct index_entry *entries;
	size_t count = 0;
	uint32_t frame_number = 0;

	for (size_t p = 0; p < pack_count; p++)
		count += packs[p]->blob_count;
	entries = mem_calloc(count, sizeof(*entries));
	count = 0;
	for (size_t p = 0; p < pack_count; p++) {
		for (size_t f = 0; f < packs[p]->frame_count; f++, frame_number++) {
			const struct pack_frame *frame = &packs[p]->frames[f];
			uint32_t offset = 0;

			for (size_t b = 0; b < frame->blob_count; b++) {
				const struct pack_blob *blob =
				    &packs[p]->blobs[frame->first_blob + b];

				entries[count].id = blob->id;
				entries[count++].location = (struct blob_location){
					.frame = frame_number, .offset = offset, .len = blob->len };
				offset += blob->len;
			}
		}
	}
	qsort(entries, count, sizeof(*entries), compare_entries);
	*ret_count = count;
	return entries;
}

static void
encode_header(struct pack_directory *const *packs, size_t pack_count,
    const struct index_entry *entries, size_t count, struct buffer *ret)
{
	buffer_put_varint(ret, pack_count);
	for (size_t p = 0; p < pack_count; p++) {
		buffer_put(ret, packs[p]->id.bytes, OBJECT_ID_SIZE);
		buffer_put_u8(ret, (uint8_t)packs[p]->kind);
		buffer_put_varint(ret, packs[p]->size);
		buffer_put_varint(ret, packs[p]->frame_count);
		for (size_t f = 0; f < packs[p]->frame_count; f++) {
			buffer_put_varint(ret, packs[p]->frames[f].stored_len);
			buffer_put_varint(ret, packs[p]->frames[f].plain_len);
		}
	}
	buffer_put_varint(ret, (count + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES);
	for (size_t i = 0; i < count; i += INDEX_PAGE_ENTRIES) {
		size_t n = count - i < INDEX_PAGE_ENTRIES ? count - i : INDEX_PAGE_ENTRIES;

		buffer_put_u64(ret, id_prefix(&entries[i].id));
		buffer_put_varint(ret, n);
	}
}

static void
encode_page(const struct index_entry *entries, size_t count, struct buffer *ret)
{
	buffer_clear(ret);
	for (size_t i = 0; i < count; i++) {
		buffer_put(ret, entries[i].id.bytes, BLOB_ID_SIZE);
		buffer_put_u32(ret, entries[i].location.frame);
		buffer_put_u32(ret, entries[i].location.offset);
		buffer_put_u32(ret, entries[i].location.len);
	}
}

static void
put_sealed(struct buffer *out, const struct keys *keys, enum seal_type type,
    const struct object_id *id, uint64_t position, const struct buffer *plain)
{
	buffer_reserve(out, plain->len + SEAL_OVERHEAD);
	seal(keys, type, id, position, plain->data, plain->len, out->data + out->len);
	out->len += plain->len + SEAL_OVERHEAD;
}

int
index_write(struct storage *storage, const struct keys *keys,
    struct pack_directory *const *packs, size_t pack_count, struct object_id *ret,
    struct error *err)
{
	struct buffer plain = BUFFER_INIT, out = BUFFER_INIT;
	struct index_entry *entries;
	struct storage_put *put = NULL;
	struct object_id id;
	char name[INDEX_NAME_SIZE];
	size_t count;
	int rc = -1;

	object_id_random(&id);
	index_name(&id, name);
	entries = collect_entries(packs, pack_count, &count);
	encode_header(packs, pack_count, entries, count, &plain);
	buffer_put(&out, index_magic, sizeof(index_magic));
	buffer_put(&out, keys_repository(keys)->bytes, OBJECT_ID_SIZE);
	buffer_put(&out, id.bytes, OBJECT_ID_SIZE);
	buffer_put_u32(&out, (uint32_t)(plain.len + SEAL_OVERHEAD));
	put_sealed(&out, keys, SEAL_INDEX_HEADER, &id, 0, &plain);
	if (storage_put_begin(storage, name, &put, err) != 0)
		goto out;
	for (size_t i = 0; i < count; i += INDEX_PAGE_ENTRIES) {
		size_t n = count - i < INDEX_PAGE_ENTRIES ? count - i : INDEX_PAGE_ENTRIES;

		encode_page(entries + i, n, &plain);
		put_sealed(&out, keys, SEAL_INDEX_PAGE, &id, i / INDEX_PAGE_ENTRIES, &plain);
		if (out.len >= 1u << 20) {
			if (storage_put_write(put, out.data, out.len, err) != 0)
				goto out;
			buffer_clear(&out);
		}
	}
	if (storage_put_write(put, out.data, out.len, err) != 0)
		goto out;
	/* If interrupted here, the packs are there without an index: check names them, and the
	 * next backup stores their blobs once more. */
	rc = storage_put_commit(put, false, err);
	put = NULL;
	if (rc == 0)
		*ret = id;
out:
	if (put != NULL)
		storage_put_abort(put);
	free(entries);
	buffer_done(&plain);
	buffer_done(&out);
	return rc;
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
	uint64_t prefix = id_prefix(id);
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
