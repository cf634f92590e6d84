/*
 * An index file's plain header and its first page.  The first two bytes of the input are the
 * length of the header; what follows it is the page.
 */
#include <assert.h>
#include <stdlib.h>

#include "agent/repository/index.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_header(const struct index_file *file)
{
	struct blob_id id = { { 0 } };
	uint64_t entries = 0;

	for (size_t p = 0; p < file->pack_count; p++) {
		const struct index_pack *pack = &file->packs[p];

		assert(pack->first_frame + (size_t)pack->frame_count <= file->frame_count);
		assert(pack->kind < PACK_KIND_COUNT && pack->size <= PACK_SIZE_MAX);
	}
	for (size_t f = 0; f < file->frame_count; f++) {
		const struct index_frame *frame = &file->frames[f];

		assert(frame->pack < file->pack_count);
		assert((uint64_t)frame->offset + frame->stored_len <=
		    file->packs[frame->pack].size);
		assert(frame->plain_len <= FRAME_PLAIN_MAX);
	}
	for (size_t p = 0; p < file->page_count; p++) {
		assert(file->pages[p].count > 0 && file->pages[p].count <= INDEX_PAGE_ENTRIES);
		entries += file->pages[p].count;
	}
	assert(entries == file->entry_count);
	for (unsigned byte = 0; byte < 256; byte++) {
		ssize_t page;

		id.bytes[0] = (uint8_t)byte;
		page = index_find_page(file, &id);
		assert(page >= -1 && page < (ssize_t)file->page_count);
	}
}

static void
check_page(const struct index_file *file, const uint8_t *data, size_t size)
{
	struct index_entry *entries = mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*entries));
	struct error err = ERROR_INIT;

	if (index_page_decode(data, size, file, 0, entries, &err) == 0) {
		for (size_t i = 0; i < file->pages[0].count; i++) {
			const struct blob_location *at = &entries[i].location;

			assert(at->frame < file->frame_count);
			assert((uint64_t)at->offset + at->len <=
			    file->frames[at->frame].plain_len);
		}
	} else {
		assert(err.code == ERROR_CORRUPT);
	}
	free(entries);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct index_file *file;
	size_t len;

	if (size < 2)
		return 0;
	len = (size_t)data[0] | (size_t)data[1] << 8;
	data += 2;
	size -= 2;
	if (len > size)
		len = size;
	if (index_header_decode(data, len, INDEX_PREAMBLE_SIZE, &file, &err) != 0) {
		assert(err.code == ERROR_CORRUPT);
		return 0;
	}
	check_header(file);
	if (file->page_count > 0)
		check_page(file, data + len, size - len);
	index_file_free(file);
	return 0;
}
