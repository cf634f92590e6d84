#include "agent/repository/diff.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

/* One side of a folder: a cursor over the parts that the other side does not have, one entry
 * ahead. */
struct side {
	struct tree_cursor *cursor;
	const struct entry *entry; /* NULL at the end */
};

struct diff_frame {
	struct side before, after;
	size_t path_len;
};

struct diff {
	struct repository *repo;
	struct progress *progress;
	struct diff_totals *totals;
	int (*each)(void *arg, enum diff_kind kind, const char *path, size_t len,
	    const struct entry *before, const struct entry *after, struct error *err);
	void *arg;
	struct buffer path;
	struct diff_frame *frames;
	size_t depth, cap;
};

const char *
diff_kind_word(enum diff_kind kind)
{
	static const char *const words[DIFF_KIND_COUNT] = { "added", "removed", "changed",
		"metadata", "replaced" };

	return words[kind];
}

static int
compare_ids(const void *a, const void *b)
{
	return blob_id_compare(a, b);
}

/* The parts of a that are not among those of b: entries of a common part are the same on both
 * sides. */
static struct blob_id *
parts_without(const struct entry *a, const struct entry *b, size_t *ret_count)
{
	size_t a_count = a != NULL ? a->content_count : 0, b_count = b != NULL ? b->content_count : 0;
	struct blob_id *kept = mem_calloc(a_count, sizeof(*kept));
	struct blob_id *sorted = NULL;

	if (b_count > 0) {
		sorted = mem_dup(b->content, b_count * sizeof(*sorted));
		qsort(sorted, b_count, sizeof(*sorted), compare_ids);
	}
	*ret_count = 0;
	for (size_t i = 0; i < a_count; i++)
		if (b_count == 0 || bsearch(&a->content[i], sorted, b_count, sizeof(*sorted),
		    compare_ids) == NULL)
			kept[(*ret_count)++] = a->content[i];
	free(sorted);
	return kept;
}

static int
advance(struct side *side, struct error *err)
{
	int rc = tree_next(side->cursor, &side->entry, err);

	if (rc != 1)
		side->entry = NULL;
	return rc < 0 ? -1 : 0;
}

static int
open_side(struct diff *diff, const struct entry *own, const struct entry *other,
    struct side *ret, struct error *err)
{
	size_t count;
	struct blob_id *parts = parts_without(own, other, &count);
	int rc = tree_open(diff->repo, parts, count, &ret->cursor, err);

	free(parts);
	return rc != 0 ? -1 : advance(ret, err);
}

/* Either may be NULL, or no directory: then it has no entries. */
static int
push(struct diff *diff, const struct entry *before, const struct entry *after, struct error *err)
{
	struct diff_frame *frame;

	if (before != NULL && before->kind != ENTRY_DIRECTORY)
		before = NULL;
	if (after != NULL && after->kind != ENTRY_DIRECTORY)
		after = NULL;
	MEM_GROW(diff->frames, diff->depth, diff->cap);
	frame = &diff->frames[diff->depth++];
	*frame = (struct diff_frame){ .path_len = diff->path.len };
	if (open_side(diff, before, after, &frame->before, err) != 0 ||
	    open_side(diff, after, before, &frame->after, err) != 0)
		return -1;
	return 0;
}

static void
pop(struct diff *diff)
{
	struct diff_frame *frame = &diff->frames[--diff->depth];

	tree_close(frame->before.cursor);
	tree_close(frame->after.cursor);
}

static bool
same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool
same_content(const struct entry *a, const struct entry *b)
{
	switch (a->kind) {
	case ENTRY_FILE:
		return a->size == b->size && a->depth == b->depth &&
		    same_bytes(a->content, a->content_count * sizeof(*a->content), b->content,
		        b->content_count * sizeof(*b->content)) &&
		    same_bytes(a->extents, a->extent_count * sizeof(*a->extents), b->extents,
		        b->extent_count * sizeof(*b->extents));
	case ENTRY_SYMLINK:
		return same_bytes(a->target, a->target_len, b->target, b->target_len);
	case ENTRY_CHARACTER:
	case ENTRY_BLOCK:
		return a->device_major == b->device_major && a->device_minor == b->device_minor;
	default:
		return true;
	}
}

static bool
same_metadata(const struct entry *a, const struct entry *b)
{
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
	    a->mtime.tv_sec != b->mtime.tv_sec || a->mtime.tv_nsec != b->mtime.tv_nsec ||
	    a->xattr_count != b->xattr_count)
		return false;
	for (size_t i = 0; i < a->xattr_count; i++)
		if (strcmp(a->xattrs[i].name, b->xattrs[i].name) != 0 ||
		    !same_bytes(a->xattrs[i].value, a->xattrs[i].len, b->xattrs[i].value,
		        b->xattrs[i].len))
			return false;
	return true;
}

static int
report(struct diff *diff, enum diff_kind kind, const struct entry *before,
    const struct entry *after, struct error *err)
{
	bool content = kind != DIFF_METADATA;

	diff->totals->count[kind]++;
	if (content && before != NULL && before->kind == ENTRY_FILE)
		diff->totals->removed_bytes += before->size;
	if (content && after != NULL && after->kind == ENTRY_FILE)
		diff->totals->added_bytes += after->size;
	return diff->each(diff->arg, kind, (const char *)diff->path.data, diff->path.len, before,
	    after, err);
}

/* One name that at least one side has. */
static int
compare_pair(struct diff *diff, const struct entry *before, const struct entry *after,
    struct error *err)
{
	int rc = 0;

	if (before == NULL)
		rc = report(diff, DIFF_ADDED, NULL, after, err);
	else if (after == NULL)
		rc = report(diff, DIFF_REMOVED, before, NULL, err);
	else if (before->kind != after->kind)
		rc = report(diff, DIFF_REPLACED, before, after, err);
	else if (!same_content(before, after))
		rc = report(diff, DIFF_CHANGED, before, after, err);
	else if (!same_metadata(before, after))
		rc = report(diff, DIFF_METADATA, before, after, err);
	if (rc != 0)
		return -1;
	if ((before != NULL && before->kind == ENTRY_DIRECTORY) ||
	    (after != NULL && after->kind == ENTRY_DIRECTORY))
		return push(diff, before, after, err);
	return 0;
}

static int
name_order(const struct entry *a, const struct entry *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int order = memcmp(a->name, b->name, len);

	return order != 0 ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

/* Take the lowest name of the folder on top from the sides that have it. */
static int
step(struct diff *diff, struct error *err)
{
	struct diff_frame *frame = &diff->frames[diff->depth - 1];
	struct entry before, after;
	bool has_before = frame->before.entry != NULL, has_after = frame->after.entry != NULL;
	const struct entry *named;
	int rc = 0;

	if (!has_before && !has_after) {
		pop(diff);
		return 0;
	}
	if (has_before && has_after) {
		int order = name_order(frame->before.entry, frame->after.entry);

		has_before = order <= 0;
		has_after = order >= 0;
	}
	named = has_before ? frame->before.entry : frame->after.entry;
	diff->path.len = frame->path_len;
	buffer_put_u8(&diff->path, '/');
	buffer_put(&diff->path, named->name, named->name_len);
	/* Copies: the cursors move on before the sub-folder is visited. */
	entry_init(&before);
	entry_init(&after);
	if (has_before)
		entry_copy(&before, frame->before.entry);
	if (has_after)
		entry_copy(&after, frame->after.entry);
	if (has_before)
		rc = advance(&frame->before, err);
	if (rc == 0 && has_after)
		rc = advance(&frame->after, err);
	if (rc == 0)
		rc = compare_pair(diff, has_before ? &before : NULL, has_after ? &after : NULL, err);
	entry_done(&before);
	entry_done(&after);
	return rc;
}

int
diff_trees(struct repository *repo, const struct entry *before, const struct entry *after,
    const char *path, int (*each)(void *arg, enum diff_kind kind, const char *path, size_t len,
    const struct entry *before, const struct entry *after, struct error *err), void *arg,
    struct progress *progress, struct diff_totals *ret, struct error *err)
{
	struct diff diff = { .repo = repo, .progress = progress, .totals = ret, .each = each,
		.arg = arg };
	size_t len = strlen(path);
	int rc;

	memset(ret, 0, sizeof(*ret));
	while (len > 0 && path[len - 1] == '/')
		len--;
	buffer_text(&diff.path);
	buffer_put(&diff.path, path, len);
	rc = push(&diff, before, after, err);
	while (rc == 0 && diff.depth > 0) {
		rc = progress_check(progress, err);
		if (rc == 0)
			rc = step(&diff, err);
	}
	while (diff.depth > 0)
		pop(&diff);
	free(diff.frames);
	buffer_done(&diff.path);
	return rc;
}
