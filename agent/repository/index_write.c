#include <stdlib.h>
#include <string.h>

#include "agent/repository/index_internal.h"
#include "shared/mem.h"

/* ---- the header */

void
index_encode_pack(struct buffer *header, const struct object_id *id, enum pack_kind kind,
    uint64_t size, size_t frame_count)
{
	buffer_put(header, id->bytes, OBJECT_ID_SIZE);
	buffer_put_u8(header, (uint8_t)kind);
	buffer_put_varint(header, size);
	buffer_put_varint(header, frame_count);
}

void
index_encode_frame(struct buffer *header, uint32_t stored_len, uint32_t plain_len)
{
	buffer_put_varint(header, stored_len);
	buffer_put_varint(header, plain_len);
}

void
index_encode_pages(struct buffer *header, const uint64_t *prefixes, uint64_t entry_count)
{
	uint64_t pages = (entry_count + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES;

	buffer_put_varint(header, pages);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t left = entry_count - i * INDEX_PAGE_ENTRIES;

		buffer_put_u64(header, prefixes[i]);
		buffer_put_varint(header, left < INDEX_PAGE_ENTRIES ? left : INDEX_PAGE_ENTRIES);
	}
}

/* ---- the file */

static void
put_sealed(struct index_out *out, enum seal_type type, uint64_t position,
    const struct buffer *plain)
{
	buffer_reserve(&out->out, plain->len + SEAL_OVERHEAD);
	seal(out->keys, type, &out->id, position, plain->data, plain->len,
	    out->out.data + out->out.len);
	out->out.len += plain->len + SEAL_OVERHEAD;
}

int
index_out_begin(struct index_out *out, struct storage *storage, const struct keys *keys,
    const struct buffer *header, struct error *err)
{
	char name[INDEX_NAME_SIZE];

	*out = (struct index_out){ .keys = keys, .out = BUFFER_INIT, .plain = BUFFER_INIT };
	object_id_random(&out->id);
	index_name(&out->id, name);
	buffer_put(&out->out, index_magic, sizeof(index_magic));
	buffer_put(&out->out, keys_repository(keys)->bytes, OBJECT_ID_SIZE);
	buffer_put(&out->out, out->id.bytes, OBJECT_ID_SIZE);
	buffer_put_u32(&out->out, (uint32_t)(header->len + SEAL_OVERHEAD));
	put_sealed(out, SEAL_INDEX_HEADER, 0, header);
	return storage_put_begin(storage, name, &out->put, err);
}

int
index_out_page(struct index_out *out, const struct index_entry *entries, size_t count,
    struct error *err)
{
	buffer_clear(&out->plain);
	for (size_t i = 0; i < count; i++) {
		buffer_put(&out->plain, entries[i].id.bytes, BLOB_ID_SIZE);
		buffer_put_u32(&out->plain, entries[i].location.frame);
		buffer_put_u32(&out->plain, entries[i].location.offset);
		buffer_put_u32(&out->plain, entries[i].location.len);
	}
	put_sealed(out, SEAL_INDEX_PAGE, out->page++, &out->plain);
	if (out->out.len < 1u << 20)
		return 0;
	if (storage_put_write(out->put, out->out.data, out->out.len, err) != 0)
		return -1;
	buffer_clear(&out->out);
	return 0;
}

int
index_out_commit(struct index_out *out, struct object_id *ret, struct error *err)
{
	struct storage_put *put = out->put;

	if (storage_put_write(put, out->out.data, out->out.len, err) != 0)
		return -1;
	/* If interrupted here, the packs are there without an index: check names them, and the
	 * next backup stores their blobs once more. */
	out->put = NULL;
	if (storage_put_commit(put, false, err) != 0)
		return -1;
	*ret = out->id;
	return 0;
}

void
index_out_done(struct index_out *out)
{
	if (out->put != NULL)
		storage_put_abort(out->put);
	out->put = NULL;
	buffer_done(&out->out);
	buffer_done(&out->plain);
}

/* ---- from the directories of packs */

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
	uint64_t *prefixes = mem_calloc(count / INDEX_PAGE_ENTRIES + 1, sizeof(*prefixes));

	buffer_put_varint(ret, pack_count);
	for (size_t p = 0; p < pack_count; p++) {
		index_encode_pack(ret, &packs[p]->id, packs[p]->kind, packs[p]->size,
		    packs[p]->frame_count);
		for (size_t f = 0; f < packs[p]->frame_count; f++)
			index_encode_frame(ret, packs[p]->frames[f].stored_len,
			    packs[p]->frames[f].plain_len);
	}
	for (size_t i = 0; i < count; i += INDEX_PAGE_ENTRIES)
		prefixes[i / INDEX_PAGE_ENTRIES] = index_prefix(&entries[i].id);
	index_encode_pages(ret, prefixes, count);
	free(prefixes);
}

int
index_write(struct storage *storage, const struct keys *keys,
    struct pack_directory *const *packs, size_t pack_count, struct object_id *ret,
    struct error *err)
{
	struct buffer header = BUFFER_INIT;
	struct index_entry *entries;
	struct index_out out;
	size_t count;
	int rc;

	entries = collect_entries(packs, pack_count, &count);
	encode_header(packs, pack_count, entries, count, &header);
	rc = index_out_begin(&out, storage, keys, &header, err);
	for (size_t i = 0; i < count && rc == 0; i += INDEX_PAGE_ENTRIES)
		rc = index_out_page(&out, entries + i,
		    count - i < INDEX_PAGE_ENTRIES ? count - i : INDEX_PAGE_ENTRIES, err);
	if (rc == 0)
		rc = index_out_commit(&out, ret, err);
	index_out_done(&out);
	free(entries);
	buffer_done(&header);
	return rc;
}
