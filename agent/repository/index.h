/*
 * Index files: which blob lies in which pack, frame and place.
 *
 * Each is immutable, covers whole packs, and can be made again from the packs' directories at any
 * time. Entries are sorted and sealed in pages, so that one blob is found by reading one page.
 * Source: agent/repository/FORMAT.md, "Index file".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_INDEX_H
#define HOLDFAST_AGENT_REPOSITORY_INDEX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/repository/blob_table.h"
#include "agent/repository/pack.h"

#define INDEX_PREAMBLE_SIZE 44
#define INDEX_ENTRY_SIZE 44
#define INDEX_PAGE_ENTRIES 1024
#define INDEX_PACKS_MAX (1u << 20)
#define INDEX_PAGES_MAX (1u << 20)
#define INDEX_HEADER_MAX (256u << 20)
#define INDEX_NAME_SIZE (sizeof("index/") + OBJECT_ID_TEXT_SIZE)

struct index_page {
	uint64_t first; /* the first 8 bytes of its first id, big-endian */
	uint64_t offset; /* in the file */
	uint32_t count; /* entries */
};

struct index_pack {
	struct object_id id;
	uint64_t size;
	enum pack_kind kind;
	uint32_t first_frame, frame_count;
};

struct index_frame {
	uint32_t pack; /* number within the file */
	uint32_t offset, stored_len, plain_len;
};

/* The header of an index file, as read. */
struct index_file {
	struct object_id id;
	struct index_pack *packs;
	size_t pack_count;
	struct index_frame *frames;
	size_t frame_count;
	struct index_page *pages;
	size_t page_count;
	uint64_t entry_count;
};

/* One entry; frame is a number within the file. */
struct index_entry {
	struct blob_id id;
	struct blob_location location;
};

void index_file_free(struct index_file *file);
void index_name(const struct object_id *id, char out[INDEX_NAME_SIZE]);
int index_name_parse(const char *name, struct object_id *ret);

/* Write one index file for these packs; its id on return. */
int index_write(struct storage *storage, const struct keys *keys,
    struct pack_directory *const *packs, size_t pack_count, struct object_id *ret,
    struct error *err);

/*
 * Write one index file for all that these cover, which stay; its id on return. Memory: the heads, and
 * a page of each.  ERROR_CORRUPT: one of them cannot be read.
 */
int index_join(struct storage *storage, const struct keys *keys, struct index_file *const *files,
    size_t count, struct object_id *ret, struct error *err);

int index_read_header(struct storage *storage, const struct keys *keys, const struct object_id *id,
    struct index_file **ret, struct error *err);
/* The entries of one page, into INDEX_PAGE_ENTRIES places. */
int index_read_page(struct storage *storage, const struct keys *keys, const struct index_file *file,
    size_t page, struct index_entry *entries, struct error *err);
/* The page that would hold this id; -1 if none. */
ssize_t index_find_page(const struct index_file *file, const struct blob_id *id);

/* Plain forms, for tests and fuzzers.  The header's pages get their offsets from `first_page`. */
int index_header_decode(const void *data, size_t len, uint64_t first_page,
    struct index_file **ret, struct error *err);
int index_page_decode(const void *data, size_t len, const struct index_file *file, size_t page,
    struct index_entry *entries, struct error *err);

#endif
