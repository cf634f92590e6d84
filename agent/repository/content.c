#include "agent/repository/content.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/repository_internal.h"
#include "shared/mem.h"

/* One list on the way down to the data. */
struct level {
	struct blob_id *ids;
	size_t count, next;
};

struct content {
	struct repository *repo;
	uint64_t size;
	struct extent *extents;
	size_t extent_count, extent;
	uint64_t extent_done;          /* bytes of the present extent already returned */
	struct level levels[TREE_DEPTH_MAX + 1]; /* [depth] is the entry's own, [0] names data */
	unsigned depth;
	bool checked;                  /* data is hashed as it is read */
	struct blob_view blob;         /* the present data blob */
	size_t blob_used;
	/* For content_read: the present run; from hole_start to it there is no data. */
	const uint8_t *run_data;
	size_t run_len;
	uint64_t run_offset, hole_start;
};

int
content_open(struct repository *repo, const struct entry *entry, struct content **ret,
    struct error *err)
{
	struct content *content;

	if (entry->kind != ENTRY_FILE)
		return error_set(err, ERROR_BAD_REQUEST, "not a file but a %s",
		    entry_kind_word(entry->kind));
	content = MEM_NEW(struct content);
	content->repo = repo;
	content->size = entry->size;
	content->depth = entry->depth;
	content->levels[entry->depth].ids =
	    mem_dup(entry->content, entry->content_count * BLOB_ID_SIZE);
	content->levels[entry->depth].count = entry->content_count;
	if (entry->sparse) {
		content->extent_count = entry->extent_count;
		content->extents = mem_dup(entry->extents,
		    entry->extent_count * sizeof(*entry->extents));
	} else if (entry->size > 0) {
		content->extent_count = 1;
		content->extents = mem_calloc(1, sizeof(*content->extents));
		content->extents[0].len = entry->size;
	}
	*ret = content;
	return 0;
}

void
content_close(struct content *content)
{
	if (content == NULL)
		return;
	blob_release(&content->blob);
	for (size_t i = 0; i <= TREE_DEPTH_MAX; i++)
		free(content->levels[i].ids);
	free(content->extents);
	free(content);
}

void
content_set_checked(struct content *content)
{
	content->checked = true;
}

/* Read a list blob into the level below. */
static int
descend(struct content *content, unsigned level, struct error *err)
{
	struct level *from = &content->levels[level], *to = &content->levels[level - 1];
	struct blob_view view;

	if (repository_read_blob(content->repo, BLOB_LIST, &from->ids[from->next], &view, err) != 0)
		return -1;
	from->next++;
	if (view.len == 0 || view.len % BLOB_ID_SIZE != 0) {
		blob_release(&view);
		return error_set(err, ERROR_CORRUPT, "a list of chunks has an impossible length");
	}
	free(to->ids);
	to->ids = mem_dup(view.data, view.len);
	to->count = view.len / BLOB_ID_SIZE;
	to->next = 0;
	blob_release(&view);
	return 0;
}

/* 1 levels[0] has the name of the next data blob, 0 there are no more, -1 error. */
static int
next_name(struct content *content, struct error *err)
{
	unsigned level = 0;

	while (content->levels[level].next == content->levels[level].count) {
		if (level == content->depth)
			return 0;
		level++;
	}
	while (level > 0)
		if (descend(content, level--, err) != 0)
			return -1;
	return 1;
}

/* 1 a data blob is at hand, 0 there are no more, -1 error. */
static int
next_blob(struct content *content, struct error *err)
{
	int (*read)(struct repository *repo, enum blob_kind kind, const struct blob_id *id,
	    struct blob_view *ret, struct error *err);
	int rc;

	blob_release(&content->blob);
	rc = next_name(content, err);
	if (rc != 1)
		return rc;
	read = content->checked ? repository_read_blob_checked : repository_read_blob;
	if (read(content->repo, BLOB_DATA, &content->levels[0].ids[content->levels[0].next],
	    &content->blob, err) != 0)
		return -1;
	/* Nobody stores one; lists within lists could name so many that reading never ends. */
	if (content->blob.len == 0)
		return error_set(err, ERROR_CORRUPT, "a chunk of a file is empty");
	content->levels[0].next++;
	content->blob_used = 0;
	return 1;
}

int
content_next(struct content *content, uint64_t *ret_offset, const uint8_t **ret_data,
    size_t *ret_len, struct error *err)
{
	struct extent *extent;
	uint64_t left;
	size_t len;
	int rc;

	while (content->extent < content->extent_count &&
	    content->extent_done == content->extents[content->extent].len) {
		content->extent++;
		content->extent_done = 0;
	}
	while (content->blob.frame == NULL || content->blob_used == content->blob.len) {
		rc = next_blob(content, err);
		if (rc < 0)
			return -1;
		if (rc == 0)
			goto end;
	}
	if (content->extent == content->extent_count)
		return error_set(err, ERROR_CORRUPT, "a file has more data than its size");
	extent = &content->extents[content->extent];
	left = extent->len - content->extent_done;
	len = content->blob.len - content->blob_used;
	if (len > left)
		len = (size_t)left;
	*ret_offset = extent->offset + content->extent_done;
	*ret_data = content->blob.data + content->blob_used;
	*ret_len = len;
	content->blob_used += len;
	content->extent_done += len;
	return 1;
end:
	if (content->extent < content->extent_count)
		return error_set(err, ERROR_CORRUPT, "a file has less data than its size");
	return 0;
}

/* Bytes of data that lie before a file offset. */
static uint64_t
data_before(const struct content *content, uint64_t offset)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < content->extent_count; i++) {
		const struct extent *extent = &content->extents[i];

		if (offset <= extent->offset)
			break;
		sum += offset - extent->offset < extent->len ? offset - extent->offset : extent->len;
	}
	return sum;
}

/* Pass over data blobs that lie wholly within the next `skip` bytes; their lengths stand in the
 * index, so no data is read.  What is left to skip on return is less than one blob. */
static int
skip_blobs(struct content *content, uint64_t *skip, struct error *err)
{
	while (*skip > 0) {
		struct blob_place place;
		int found = next_name(content, err);

		if (found != 1)
			return found;
		found = repository_find_blob(content->repo,
		    &content->levels[0].ids[content->levels[0].next], &place, err);
		if (found < 0)
			return -1;
		/* A missing or an empty blob is reported by whoever reads it. */
		if (found == 0 || place.len == 0 || place.len > *skip)
			return 0;
		*skip -= place.len;
		content->levels[0].next++;
	}
	return 0;
}

int
content_seek(struct content *content, uint64_t offset, struct error *err)
{
	struct level *top = &content->levels[content->depth];
	uint64_t before = data_before(content, offset), skip = before, in_extents;

	blob_release(&content->blob);
	content->blob_used = 0;
	for (unsigned i = 0; i < content->depth; i++)
		content->levels[i].count = content->levels[i].next = 0;
	top->next = 0;
	if (skip_blobs(content, &skip, err) != 0)
		return -1;
	if (skip > 0) {
		int rc = next_blob(content, err);

		if (rc < 0)
			return -1;
		if (rc == 0 || skip > content->blob.len)
			return error_set(err, ERROR_CORRUPT, "a file has less data than its size");
		content->blob_used = (size_t)skip;
	}
	content->extent = 0;
	for (in_extents = before; content->extent < content->extent_count &&
	    in_extents >= content->extents[content->extent].len; content->extent++)
		in_extents -= content->extents[content->extent].len;
	content->extent_done = in_extents;
	content->hole_start = offset;
	content->run_offset = offset;
	content->run_len = 0;
	return 0;
}

/* Make the present run the first data at or behind offset; at the end of the file an empty run. */
static int
load_run(struct content *content, uint64_t offset, struct error *err)
{
	uint64_t end = content->run_offset + content->run_len;
	int rc;

	if (offset != end) {
		if (content_seek(content, offset, err) != 0)
			return -1;
		end = offset;
	}
	rc = content_next(content, &content->run_offset, &content->run_data, &content->run_len, err);
	if (rc == 0) {
		content->run_offset = content->size;
		content->run_len = 0;
	}
	content->hole_start = end;
	return rc < 0 ? -1 : 0;
}

int
content_read(struct content *content, uint64_t offset, void *buf, size_t len, struct error *err)
{
	uint8_t *out = buf;

	if (offset > content->size || len > content->size - offset)
		return error_set(err, ERROR_BAD_RANGE, "read beyond the end of a file");
	while (len > 0) {
		uint64_t n;

		if ((offset < content->hole_start ||
		    offset >= content->run_offset + content->run_len) &&
		    load_run(content, offset, err) != 0)
			return -1;
		if (offset < content->run_offset) {
			n = content->run_offset - offset;
			n = n < len ? n : len;
			memset(out, 0, (size_t)n);
		} else {
			n = content->run_offset + content->run_len - offset;
			n = n < len ? n : len;
			memcpy(out, content->run_data + (offset - content->run_offset), (size_t)n);
		}
		out += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}
