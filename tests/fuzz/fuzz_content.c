/*
 * What a file's entry and lists of chunks say of its content.  The blobs come from the input here:
 * lists that name each other in circles, have any length or are missing, and data that is more or
 * less than the file's size.
 *
 *   u8 depth, u8 sparse, u16 size, u8 blobs, then for each: u8 flags, u8 len, bytes; the rest are
 *   the names in the entry.  A name is one byte, the number of a blob.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/content.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOBS 16
/* Lists within lists may name very many blobs; the storage ends that here. */
#define READS_MAX 4096

enum { FLAG_LIST = 1, FLAG_RAW = 2, FLAG_MISSING = 4 };

/* Travels in the place of the repository, which is only handed through. */
struct storehouse {
	struct {
		unsigned flags;
		uint8_t *bytes;
		size_t len;
	} blobs[BLOBS];
	size_t count;
	unsigned reads;
};

static struct storehouse *
storehouse_of(struct repository *repo)
{
	return (struct storehouse *)(void *)repo;
}

int
repository_read_blob(struct repository *repo, enum blob_kind kind, const struct blob_id *id,
    struct blob_view *ret, struct error *err)
{
	struct storehouse *house = storehouse_of(repo);
	size_t i = id->bytes[0] % BLOBS;

	if (++house->reads > READS_MAX)
		return error_set(err, ERROR_IO, "enough");
	if (i >= house->count || (house->blobs[i].flags & FLAG_MISSING) != 0)
		return error_set(err, ERROR_CORRUPT, "blob %zu is missing", i);
	if (((house->blobs[i].flags & FLAG_LIST) != 0) != (kind == BLOB_LIST))
		return error_set(err, ERROR_CORRUPT, "blob %zu is of another kind", i);
	ret->data = house->blobs[i].bytes;
	ret->len = house->blobs[i].len;
	ret->frame = (struct frame_data *)(void *)house;
	return 0;
}

int
repository_read_blob_checked(struct repository *repo, enum blob_kind kind,
    const struct blob_id *id, struct blob_view *ret, struct error *err)
{
	return repository_read_blob(repo, kind, id, ret, err);
}

int
repository_find_blob(struct repository *repo, const struct blob_id *id, struct blob_place *ret,
    struct error *err)
{
	struct storehouse *house = storehouse_of(repo);
	size_t i = id->bytes[0] % BLOBS;

	if (++house->reads > READS_MAX)
		return error_set(err, ERROR_IO, "enough");
	if (i >= house->count)
		return 0;
	memset(ret, 0, sizeof(*ret));
	ret->len = (uint32_t)house->blobs[i].len;
	return 1;
}

void
blob_release(struct blob_view *view)
{
	view->frame = NULL;
	view->data = NULL;
}

static struct blob_id *
names(const uint8_t *bytes, size_t count)
{
	struct blob_id *ids = mem_calloc(count + 1, sizeof(*ids));

	for (size_t i = 0; i < count; i++)
		ids[i].bytes[0] = bytes[i];
	return ids;
}

/* Returns how many bytes it took. */
static size_t
read_blobs(struct storehouse *house, size_t wanted, const uint8_t *data, size_t size)
{
	size_t at = 0;

	for (; house->count < wanted && size - at >= 2; house->count++) {
		size_t i = house->count, len = data[at + 1];

		house->blobs[i].flags = data[at];
		at += 2;
		if (len > size - at)
			len = size - at;
		if ((house->blobs[i].flags & (FLAG_LIST | FLAG_RAW)) == FLAG_LIST) {
			house->blobs[i].bytes = (uint8_t *)names(data + at, len);
			house->blobs[i].len = len * BLOB_ID_SIZE;
		} else {
			house->blobs[i].bytes = mem_calloc(len + 1, 1);
			memcpy(house->blobs[i].bytes, data + at, len);
			house->blobs[i].len = len;
		}
		at += len;
	}
	return at;
}

/* The whole of it by content_next(); false if it cannot be had. */
static bool
walk(struct storehouse *house, const struct entry *entry, uint8_t *whole)
{
	uint64_t offset, end = 0;
	struct error err = ERROR_INIT;
	struct content *content;
	const uint8_t *data;
	size_t len;
	int rc;

	assert(content_open((struct repository *)(void *)house, entry, &content, &err) == 0);
	while ((rc = content_next(content, &offset, &data, &len, &err)) == 1) {
		assert(offset >= end && len <= entry->size && offset <= entry->size - len);
		memcpy(whole + offset, data, len);
		end = offset + len;
	}
	content_close(content);
	assert(rc == 0 || err.code == ERROR_CORRUPT || err.code == ERROR_IO);
	return rc == 0;
}

static void
read_anywhere(struct storehouse *house, const struct entry *entry, const uint8_t *whole)
{
	uint8_t *part = mem_calloc(entry->size + 1, 1);
	struct error err = ERROR_INIT;
	struct content *content;

	assert(content_open((struct repository *)(void *)house, entry, &content, &err) == 0);
	for (uint64_t at = 0, step = 1; at <= entry->size; at += step, step += 7) {
		size_t len = (size_t)(entry->size - at) < 50 ? (size_t)(entry->size - at) : 50;

		if (content_read(content, at / 2 * 2, part, len, &err) != 0)
			break;
		assert(whole == NULL || memcmp(part, whole + at / 2 * 2, len) == 0);
	}
	assert(content_read(content, entry->size, part, 1, &err) == -1);
	content_close(content);
	free(part);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct storehouse house = { .count = 0 };
	struct extent extents[3];
	uint8_t *whole;
	struct entry entry;
	size_t at;

	if (size < 5)
		return 0;
	entry_init(&entry);
	entry.kind = ENTRY_FILE;
	entry.depth = data[0] % (TREE_DEPTH_MAX + 1);
	entry.size = (uint64_t)data[2] << 8 | data[3];
	entry.sparse = data[1] % 2 != 0;
	/* In order and within the file, as those of a tree are. */
	for (size_t i = 0; i < 3 && entry.sparse; i++)
		extents[i] = (struct extent){ .offset = entry.size / 4 * i,
			.len = entry.size / 4 * (data[1] >> i & 1) };
	entry.extents = extents;
	entry.extent_count = entry.sparse ? 3 : 0;
	at = 5 + read_blobs(&house, data[4] % (BLOBS + 1), data + 5, size - 5);
	entry.content_count = size - at;
	entry.content = names(data + at, entry.content_count);
	whole = mem_calloc(entry.size + 1, 1);
	if (walk(&house, &entry, whole)) {
		house.reads = 0;
		read_anywhere(&house, &entry, whole);
	} else {
		house.reads = 0;
		read_anywhere(&house, &entry, NULL);
	}
	free(whole);
	free(entry.content);
	for (size_t i = 0; i < house.count; i++)
		free(house.blobs[i].bytes);
	return 0;
}
