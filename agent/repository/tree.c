/* Reading directories of a snapshot; tree_codec.c has the bytes. */
#include "agent/repository/tree.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/repository.h"
#include "shared/mem.h"

struct tree_cursor {
	struct repository *repo;
	struct blob_id *parts;
	size_t part_count;
	size_t next_part; /* to be read when the entries are used up */
	struct entry *entries;
	size_t count, next;
	char *last; /* the last name of the part before, when they are read in order; or NULL */
	size_t last_len;
};

static int compare_name(const struct entry *entry, const char *name, size_t len);

static int
read_part(struct repository *repo, const struct blob_id *part, struct entry **ret,
    size_t *ret_count, struct error *err)
{
	struct blob_view view;
	int rc;

	if (repository_read_blob(repo, BLOB_TREE, part, &view, err) != 0)
		return -1;
	rc = tree_decode(view.data, view.len, ret, ret_count, err);
	blob_release(&view);
	return rc;
}

int
tree_open(struct repository *repo, const struct blob_id *parts, size_t part_count,
    struct tree_cursor **ret, struct error *err)
{
	struct tree_cursor *cursor = MEM_NEW(struct tree_cursor);

	(void)err; /* nothing is read before it is asked for */
	cursor->repo = repo;
	cursor->parts = mem_dup(parts, part_count * sizeof(*parts));
	cursor->part_count = part_count;
	*ret = cursor;
	return 0;
}

static void
drop_entries(struct tree_cursor *cursor)
{
	tree_entries_free(cursor->entries, cursor->count);
	cursor->entries = NULL;
	cursor->count = cursor->next = 0;
}

void
tree_close(struct tree_cursor *cursor)
{
	if (cursor == NULL)
		return;
	drop_entries(cursor);
	free(cursor->last);
	free(cursor->parts);
	free(cursor);
}

static int
load_part(struct tree_cursor *cursor, size_t part, struct error *err)
{
	drop_entries(cursor);
	cursor->next_part = part + 1;
	return read_part(cursor->repo, &cursor->parts[part], &cursor->entries, &cursor->count, err);
}

/* The part behind the one at hand, whose names must follow: of two entries of one name, one could
 * lead what lies below the other elsewhere. */
static int
follow(struct tree_cursor *cursor, struct error *err)
{
	if (load_part(cursor, cursor->next_part, err) != 0)
		return -1;
	if (cursor->last != NULL && cursor->count > 0 &&
	    compare_name(&cursor->entries[0], cursor->last, cursor->last_len) <= 0)
		return error_set(err, ERROR_CORRUPT, "tree: parts are not in order");
	return 0;
}

static void
keep_last(struct tree_cursor *cursor, const struct entry *entry)
{
	free(cursor->last);
	cursor->last = mem_dup(entry->name, entry->name_len + 1);
	cursor->last_len = entry->name_len;
}

int
tree_next(struct tree_cursor *cursor, const struct entry **ret, struct error *err)
{
	while (cursor->next == cursor->count) {
		if (cursor->next_part == cursor->part_count)
			return 0;
		if (follow(cursor, err) != 0)
			return -1;
	}
	if (cursor->next + 1 == cursor->count && cursor->next_part < cursor->part_count)
		keep_last(cursor, &cursor->entries[cursor->next]);
	*ret = &cursor->entries[cursor->next++];
	return 1;
}

void
tree_take(struct tree_cursor *cursor, struct entry *ret)
{
	struct entry *entry = &cursor->entries[cursor->next - 1];

	*ret = *entry;
	entry_init(entry);
}

static int
compare_name(const struct entry *entry, const char *name, size_t len)
{
	size_t common = entry->name_len < len ? entry->name_len : len;
	int order = memcmp(entry->name, name, common);

	if (order != 0)
		return order;
	return entry->name_len < len ? -1 : entry->name_len > len;
}

int
tree_seek(struct tree_cursor *cursor, const char *name, size_t len, const struct entry **ret,
    struct error *err)
{
	size_t low = 0, high = cursor->part_count;
	int rc;

	free(cursor->last);
	cursor->last = NULL;
	/* The last part whose first name is not after the one sought; it, or the start of the
	 * part behind it, holds the answer. */
	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (load_part(cursor, mid, err) != 0)
			return -1;
		if (cursor->count > 0 && compare_name(&cursor->entries[0], name, len) > 0)
			high = mid;
		else
			low = mid;
	}
	if (cursor->part_count == 0)
		return 0;
	if (cursor->next_part != low + 1 || cursor->entries == NULL) {
		if (load_part(cursor, low, err) != 0)
			return -1;
	}
	cursor->next = 0;
	while ((rc = tree_next(cursor, ret, err)) == 1)
		if (compare_name(*ret, name, len) >= 0)
			return 1;
	return rc;
}

/* 1 and an owned entry, 0, -1. */
static int
find_child(struct repository *repo, const struct blob_id *parts, size_t part_count,
    const char *name, size_t len, struct entry *ret, struct error *err)
{
	struct tree_cursor *cursor;
	const struct entry *entry;
	int rc;

	if (tree_open(repo, parts, part_count, &cursor, err) != 0)
		return -1;
	rc = tree_seek(cursor, name, len, &entry, err);
	if (rc == 1 && compare_name(entry, name, len) != 0)
		rc = 0;
	if (rc == 1)
		entry_copy(ret, entry);
	tree_close(cursor);
	return rc;
}

static void
make_root(const struct blob_id *roots, size_t root_count, struct entry *ret)
{
	entry_init(ret);
	ret->name = mem_strdup("");
	ret->kind = ENTRY_DIRECTORY;
	ret->mode = 0755;
	ret->nlink = 1;
	ret->content = mem_dup(roots, root_count * sizeof(*roots));
	ret->content_count = root_count;
}

int
tree_lookup(struct repository *repo, const struct blob_id *roots, size_t root_count,
    const char *path, struct entry *ret, struct error *err)
{
	struct entry at, child;
	int rc = 1;

	make_root(roots, root_count, &at);
	while (rc == 1) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			break;
		if (at.kind != ENTRY_DIRECTORY) {
			rc = 0;
			break;
		}
		rc = find_child(repo, at.content, at.content_count, path, len, &child, err);
		if (rc == 1) {
			entry_done(&at);
			at = child;
		}
		path += len;
	}
	if (rc == 1)
		*ret = at;
	else
		entry_done(&at);
	return rc;
}
