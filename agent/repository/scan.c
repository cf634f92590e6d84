#include "agent/repository/scan.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/tree.h"
#include "shared/mem.h"

/* One directory on the way down, at one of its parts. */
struct scan_frame {
	struct blob_id *parts;
	size_t part_count, part; /* the part being visited */
	struct entry *entries;
	size_t count, next;
	size_t path_len;         /* of the path up to this directory */
	bool dirty;              /* something below this part is not whole */
};

struct scan_walk {
	struct scan *scan;
	struct scan_frame *frames;
	size_t depth, cap;
	struct buffer path;
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

static void
mark_used(struct scan *scan, const struct blob_id *id)
{
	static const struct blob_location nowhere = { 0, 0, 0 };

	blob_table_insert(&scan->used, id, &nowhere, 0);
}

/* 1 usable, 0 not (reported), -1 end. */
static int
check_blob(struct scan_walk *walk, const struct blob_id *id, struct error *err)
{
	struct scan *scan = walk->scan;
	struct blob_place place;
	struct error why = ERROR_INIT;
	int found = repository_find_blob(scan->repo, id, &place, err);

	if (found < 0)
		return -1;
	if (found == 0)
		error_set(&why, ERROR_CORRUPT, "a blob is missing");
	else if (scan->unusable == NULL || scan->unusable(scan->arg, id, &place, &why) == 0)
		return 1;
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

/* The names of one content and of the lists below.  1 whole, 0 not, -1 end. */
static int
scan_content(struct scan_walk *walk, const struct blob_id *ids, size_t count, unsigned depth,
    struct error *err)
{
	int whole = 1;

	for (size_t i = 0; i < count; i++) {
		struct blob_view view;
		struct error why = ERROR_INIT;
		int rc;

		if (blob_table_find(&walk->scan->used, &ids[i], NULL) == 1)
			continue;
		rc = check_blob(walk, &ids[i], err);
		if (rc < 0)
			return -1;
		if (rc == 1 && depth > 0) {
			if (repository_read_blob(walk->scan->repo, BLOB_LIST, &ids[i], &view,
			    &why) != 0) {
				if (report(walk, &ids[i], &why, err) != 0)
					return -1;
				rc = 0;
			} else {
				struct blob_id *below = mem_dup(view.data, view.len);
				size_t below_count = view.len / BLOB_ID_SIZE;

				blob_release(&view);
				rc = scan_content(walk, below, below_count, depth - 1, err);
				free(below);
				if (rc < 0)
					return -1;
			}
		}
		if (rc == 1)
			mark_used(walk->scan, &ids[i]);
		else
			whole = 0;
	}
	return whole;
}

static void
drop_part(struct scan_frame *frame)
{
	tree_entries_free(frame->entries, frame->count);
	frame->entries = NULL;
	frame->count = frame->next = 0;
}

static void
push(struct scan_walk *walk, const struct blob_id *parts, size_t count)
{
	MEM_GROW(walk->frames, walk->depth, walk->cap);
	walk->frames[walk->depth++] = (struct scan_frame){
		.parts = mem_dup(parts, count * sizeof(*parts)), .part_count = count,
		.path_len = walk->path.len };
}

/* Read the part at hand.  1 read, 0 it is whole already or was reported, -1 end. */
static int
enter_part(struct scan_walk *walk, struct scan_frame *frame, struct error *err)
{
	const struct blob_id *id = &frame->parts[frame->part];
	struct error why = ERROR_INIT;
	struct blob_view view;
	int rc;

	if (blob_table_find(&walk->scan->used, id, NULL) == 1)
		return 0;
	rc = check_blob(walk, id, err);
	if (rc <= 0) {
		frame->dirty = true;
		return rc;
	}
	rc = repository_read_blob(walk->scan->repo, BLOB_TREE, id, &view, &why);
	if (rc == 0) {
		rc = tree_decode(view.data, view.len, &frame->entries, &frame->count, &why);
		blob_release(&view);
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
		push(walk, entry->content, entry->content_count);
		return 0;
	}
	if (entry->kind != ENTRY_FILE)
		return 0;
	if (walk->scan->progress != NULL)
		atomic_fetch_add(&walk->scan->progress->files, 1);
	rc = scan_content(walk, entry->content, entry->content_count, entry->depth, err);
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
		if (!frame->dirty)
			mark_used(walk->scan, &frame->parts[frame->part]);
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
	int rc = 0;

	buffer_text(&walk.path);
	push(&walk, snapshot->roots, snapshot->root_count);
	while (rc == 0 && walk.depth > 0) {
		if (scan->progress != NULL)
			rc = progress_check(scan->progress, err);
		if (rc == 0)
			rc = step(&walk, err);
	}
	while (walk.depth > 0)
		pop(&walk);
	free(walk.frames);
	buffer_done(&walk.path);
	return rc;
}
