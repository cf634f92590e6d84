#include "agent/repository/scan.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/tree.h"
#include "shared/mem.h"

/*
 * A part that is not whole is visited for each path that leads to it, but not more often than this:
 * few trees can make a trillion paths.
 */
#define DIRTY_VISITS_MAX 1000

/* One directory on the way down, at one of its parts. */
struct scan_frame {
	struct blob_id *parts;
	size_t part_count, part; /* the part being visited */
	struct entry *entries;
	size_t count, next;
	char *last;              /* the last name of the parts before, as far as they were read */
	size_t last_len;
	size_t path_len;         /* of the path up to this directory */
	bool dirty;              /* something below this part is not whole */
};

struct scan_walk {
	struct scan *scan;
	struct scan_frame *frames;
	size_t depth, cap;
	struct buffer path;
	struct blob_table broken; /* of the file at hand */
	struct blob_table dirty;  /* parts that are not whole, and how often each was visited */
};

void
scan_init(struct scan *scan, struct repository *repo, struct progress *progress)
{
	memset(scan, 0, sizeof(*scan));
	scan->repo = repo;
	scan->progress = progress;
	blob_table_init(&scan->used);
}

void
scan_done(struct scan *scan)
{
	blob_table_done(&scan->used);
}

/* The bytes of data that a blob stands for are kept in the place of its location. */
static void
mark_used(struct scan *scan, const struct blob_id *id, uint64_t bytes)
{
	struct blob_location at = { .frame = (uint32_t)(bytes >> 32), .offset = (uint32_t)bytes };

	blob_table_insert(&scan->used, id, &at, 0);
}

static bool
is_used(const struct scan *scan, const struct blob_id *id, uint64_t *ret_bytes)
{
	struct blob_location at;

	if (blob_table_find(&scan->used, id, &at) == 0)
		return false;
	*ret_bytes = (uint64_t)at.frame << 32 | at.offset;
	return true;
}

static void
mark_broken(struct scan_walk *walk, const struct blob_id *id)
{
	static const struct blob_location nowhere = { 0, 0, 0 };

	blob_table_insert(&walk->broken, id, &nowhere, 0);
}

/* Lists of lists may stand for more than a number can say. */
static uint64_t
add_bytes(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* 1 usable, and how long it is; 0 not (reported), -1 end. */
static int
check_blob(struct scan_walk *walk, const struct blob_id *id, uint64_t *ret_len,
    struct error *err)
{
	struct scan *scan = walk->scan;
	struct blob_place place;
	struct error why = ERROR_INIT;
	int found = repository_find_blob(scan->repo, id, &place, err);

	if (found < 0)
		return -1;
	if (found == 0)
		error_set(&why, ERROR_CORRUPT, "a blob is missing");
	else if (scan->unusable == NULL || scan->unusable(scan->arg, id, &place, &why) == 0) {
		*ret_len = place.len;
		return 1;
	}
	return scan->problem(scan->arg, (const char *)walk->path.data, walk->path.len, id, &why,
	    err) == 0 ? 0 : -1;
}

/* A list or tree blob that was found cannot be read or decoded. */
static int
report(struct scan_walk *walk, const struct blob_id *id, const struct error *why,
    struct error *err)
{
	return walk->scan->problem(walk->scan->arg, (const char *)walk->path.data, walk->path.len,
	    id, why, err);
}

static int scan_content(struct scan_walk *walk, const struct blob_id *ids, size_t count,
    unsigned depth, uint64_t *ret_bytes, struct error *err);

/* A list and what it names.  1 whole, 0 not, -1 end. */
static int
scan_list(struct scan_walk *walk, const struct blob_id *id, unsigned depth, uint64_t *ret_bytes,
    struct error *err)
{
	struct error why = ERROR_INIT;
	struct blob_view view;
	struct blob_id *below;
	size_t len;
	int rc;

	if (repository_read_blob(walk->scan->repo, BLOB_LIST, id, &view, &why) != 0)
		return report(walk, id, &why, err) == 0 ? 0 : -1;
	len = view.len;
	if (len == 0 || len % BLOB_ID_SIZE != 0) {
		blob_release(&view);
		error_set(&why, ERROR_CORRUPT, "a list of chunks has an impossible length");
		return report(walk, id, &why, err) == 0 ? 0 : -1;
	}
	below = mem_dup(view.data, len);
	blob_release(&view);
	rc = scan_content(walk, below, len / BLOB_ID_SIZE, depth - 1, ret_bytes, err);
	free(below);
	return rc;
}

/*
 * The blobs of one content and of the lists below, and the bytes of data that they stand for.
 * 1 whole, 0 not, -1 end.
 */
static int
scan_content(struct scan_walk *walk, const struct blob_id *ids, size_t count, unsigned depth,
    uint64_t *ret_bytes, struct error *err)
{
	int whole = 1;

	*ret_bytes = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = 0;
		int rc = 1;

		if (!is_used(walk->scan, &ids[i], &bytes)) {
			/* Told already, and perhaps named a million times over. */
			if (blob_table_find(&walk->broken, &ids[i], NULL) == 1)
				rc = 0;
			else
				rc = check_blob(walk, &ids[i], &bytes, err);
			if (rc == 1 && depth > 0)
				rc = scan_list(walk, &ids[i], depth, &bytes, err);
			if (rc < 0)
				return -1;
			if (rc == 1)
				mark_used(walk->scan, &ids[i], bytes);
			else
				mark_broken(walk, &ids[i]);
		}
		if (rc == 0)
			whole = 0;
		*ret_bytes = add_bytes(*ret_bytes, bytes);
	}
	return whole;
}

static uint64_t
expected_bytes(const struct entry *entry)
{
	uint64_t sum = 0;

	if (!entry->sparse)
		return entry->size;
	for (size_t i = 0; i < entry->extent_count; i++)
		sum = add_bytes(sum, entry->extents[i].len);
	return sum;
}

/* 1 whole, 0 not, -1 end. */
static int
scan_file(struct scan_walk *walk, const struct entry *entry, struct error *err)
{
	struct error why = ERROR_INIT;
	uint64_t bytes;
	int rc = scan_content(walk, entry->content, entry->content_count, entry->depth, &bytes,
	    err);

	/* For the next file, which suffers as well, what is broken is told anew. */
	if (walk->broken.count > 0) {
		blob_table_done(&walk->broken);
		blob_table_init(&walk->broken);
	}
	if (rc != 1 || bytes == expected_bytes(entry))
		return rc;
	error_set(&why, ERROR_CORRUPT, "a file of %llu bytes has %llu bytes of data",
	    (unsigned long long)expected_bytes(entry), (unsigned long long)bytes);
	return report(walk, NULL, &why, err) == 0 ? 0 : -1;
}

bool
scan_is_whole(const struct scan *scan, const struct entry *entry)
{
	uint64_t sum = 0, bytes;

	for (size_t i = 0; i < entry->content_count; i++) {
		if (!is_used(scan, &entry->content[i], &bytes))
			return false;
		sum = add_bytes(sum, bytes);
	}
	return sum == expected_bytes(entry);
}

static void
drop_part(struct scan_frame *frame)
{
	if (frame->count > 0 && frame->part_count > 1) {
		struct entry *last = &frame->entries[frame->count - 1];

		free(frame->last);
		frame->last = last->name;
		frame->last_len = last->name_len;
		last->name = NULL;
	}
	tree_entries_free(frame->entries, frame->count);
	frame->entries = NULL;
	frame->count = frame->next = 0;
}

static int
compare_ids(const void *a, const void *b)
{
	return blob_id_compare(a, b);
}

/* A part that is known to be whole is not read again, and its names are not looked at. */
static bool
names_a_part_twice(const struct blob_id *parts, size_t count)
{
	struct blob_id *sorted;
	bool twice = false;

	if (count < 2)
		return false;
	sorted = mem_dup(parts, count * sizeof(*parts));
	qsort(sorted, count, sizeof(*sorted), compare_ids);
	for (size_t i = 1; i < count && !twice; i++)
		twice = blob_id_compare(&sorted[i - 1], &sorted[i]) == 0;
	free(sorted);
	return twice;
}

static void
push(struct scan_walk *walk, const struct blob_id *parts, size_t count)
{
	MEM_GROW(walk->frames, walk->depth, walk->cap);
	walk->frames[walk->depth++] = (struct scan_frame){
		.parts = mem_dup(parts, count * sizeof(*parts)), .part_count = count,
		.path_len = walk->path.len };
}

/* Enter a directory.  -1 only to end. */
static int
enter(struct scan_walk *walk, const struct blob_id *parts, size_t count, struct error *err)
{
	struct error why = ERROR_INIT;

	push(walk, parts, count);
	if (!names_a_part_twice(parts, count))
		return 0;
	walk->frames[walk->depth - 1].dirty = true;
	error_set(&why, ERROR_CORRUPT, "tree: a folder has the same part twice");
	return report(walk, NULL, &why, err);
}

static unsigned
dirty_visits(const struct scan_walk *walk, const struct blob_id *part)
{
	struct blob_location at;

	return blob_table_find(&walk->dirty, part, &at) == 1 ? at.frame : 0;
}

static void
count_dirty(struct scan_walk *walk, const struct blob_id *part)
{
	struct blob_location at = { .frame = dirty_visits(walk, part) + 1 };

	blob_table_insert(&walk->dirty, part, &at, 1);
}

/* Whether the first name of the part at hand comes after all of the parts before. */
static bool
is_behind(const struct scan_frame *frame)
{
	const struct entry *first = &frame->entries[0];
	size_t len = first->name_len < frame->last_len ? first->name_len : frame->last_len;
	int order = memcmp(first->name, frame->last, len);

	return order > 0 || (order == 0 && first->name_len > frame->last_len);
}

/* Read the part at hand.  1 read, 0 it is whole already or was reported, -1 end. */
static int
enter_part(struct scan_walk *walk, struct scan_frame *frame, struct error *err)
{
	const struct blob_id *id = &frame->parts[frame->part];
	struct error why = ERROR_INIT;
	struct blob_view view;
	uint64_t len;
	int rc;

	if (is_used(walk->scan, id, &len))
		return 0;
	if (dirty_visits(walk, id) >= DIRTY_VISITS_MAX) {
		frame->dirty = true;
		return 0;
	}
	rc = check_blob(walk, id, &len, err);
	if (rc <= 0) {
		frame->dirty = true;
		return rc;
	}
	rc = repository_read_blob(walk->scan->repo, BLOB_TREE, id, &view, &why);
	if (rc == 0) {
		rc = tree_decode(view.data, view.len, &frame->entries, &frame->count, &why);
		blob_release(&view);
	}
	if (rc == 0 && frame->last != NULL && frame->count > 0 && !is_behind(frame)) {
		/* The part may be good elsewhere. */
		id = NULL;
		rc = error_set(&why, ERROR_CORRUPT, "tree: parts are not in order");
		tree_entries_free(frame->entries, frame->count);
		frame->entries = NULL;
		frame->count = 0;
	}
	if (rc != 0) {
		frame->dirty = true;
		return report(walk, id, &why, err) == 0 ? 0 : -1;
	}
	walk->scan->trees++;
	return 1;
}

static void
pop(struct scan_walk *walk)
{
	struct scan_frame *frame = &walk->frames[walk->depth - 1];
	bool dirty = frame->dirty;

	drop_part(frame);
	free(frame->last);
	free(frame->parts);
	walk->depth--;
	if (walk->depth > 0)
		walk->frames[walk->depth - 1].dirty |= dirty;
}

/* One entry of the directory on top. */
static int
visit_entry(struct scan_walk *walk, struct error *err)
{
	struct scan_frame *frame = &walk->frames[walk->depth - 1];
	const struct entry *entry = &frame->entries[frame->next++];
	int rc;

	walk->path.len = frame->path_len;
	buffer_put_u8(&walk->path, '/');
	buffer_put(&walk->path, entry->name, entry->name_len);
	if (entry->kind == ENTRY_DIRECTORY && entry->content_count > 0) {
		return enter(walk, entry->content, entry->content_count, err);
	}
	if (entry->kind != ENTRY_FILE)
		return 0;
	if (walk->scan->progress != NULL)
		atomic_fetch_add(&walk->scan->progress->files, 1);
	rc = scan_file(walk, entry, err);
	if (rc == 0)
		frame->dirty = true;
	return rc < 0 ? -1 : 0;
}

/*
 * A part is marked as used when its last entry was visited and all below is whole.
 * Sub-directories are visited between two entries of the part, so they have ended by then.
 */
static int
step(struct scan_walk *walk, struct error *err)
{
	struct scan_frame *frame = &walk->frames[walk->depth - 1];

	if (frame->entries != NULL) {
		if (frame->next < frame->count)
			return visit_entry(walk, err);
		if (frame->dirty)
			count_dirty(walk, &frame->parts[frame->part]);
		else
			mark_used(walk->scan, &frame->parts[frame->part], 0);
		drop_part(frame);
		frame->part++;
		return 0;
	}
	if (frame->part == frame->part_count) {
		pop(walk);
		return 0;
	}
	walk->path.len = frame->path_len;
	switch (enter_part(walk, frame, err)) {
	case 1:
		return 0;
	case 0:
		frame->part++;
		return 0;
	default:
		return -1;
	}
}

int
scan_snapshot(struct scan *scan, const struct snapshot *snapshot, struct error *err)
{
	struct scan_walk walk = { .scan = scan };
	int rc;

	blob_table_init(&walk.broken);
	blob_table_init(&walk.dirty);
	buffer_text(&walk.path);
	rc = enter(&walk, snapshot->roots, snapshot->root_count, err);
	while (rc == 0 && walk.depth > 0) {
		if (scan->progress != NULL)
			rc = progress_check(scan->progress, err);
		if (rc == 0)
			rc = step(&walk, err);
	}
	while (walk.depth > 0)
		pop(&walk);
	free(walk.frames);
	blob_table_done(&walk.broken);
	blob_table_done(&walk.dirty);
	buffer_done(&walk.path);
	return rc;
}
