/*
 * The walk of the snapshot: folder by folder, first what lies in it, then its folders, so that
 * a new folder is complete early and can get its name.  Frames are on the heap, as trees may
 * be deeper than a stack.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/files/restore_internal.h"
#include "shared/mem.h"

/* Folders that one batch keeps open and unnamed; a bound for descriptors. */
#define BATCH_FOLDERS 16
/* So many further names of files wait for their first ones to be written; a bound for memory. */
#define LATER_MAX 65536

/* One folder that the walk is in; holds a reference to it, and in the first pass keeps it
 * unpublished. */
struct frame {
	struct restore_folder *folder;
	struct blob_id *parts;
	size_t part_count;
	struct tree_cursor *cursor;
	bool whole;          /* everything in it, or the paths lo to hi of the selection */
	size_t lo, hi, at;
	size_t prefix;       /* length of the folder's own path in those, with the slash */
	bool second;         /* the second pass: folders */
	bool has_folders;
	bool direct;         /* its files may be written under their final names */
	/* of the entry returned last, in a selection */
	bool found_whole;
	size_t found_lo, found_len;
};

struct walk {
	struct restore *r;
	const struct selection *selection;
	struct frame *frames;
	size_t depth, cap;
	struct restore_batch *batch;
	unsigned batch_folders;
};

/* --- items -------------------------------------------------------------------------- */

static void
batch_flush(struct walk *walk)
{
	if (walk->batch != NULL)
		restore_queue_put(walk->r, walk->batch);
	walk->batch = NULL;
	walk->batch_folders = 0;
}

static void
batch_add(struct walk *walk, const struct restore_item *item)
{
	struct restore_batch *batch;
	const struct restore_item *last;

	/* A large file goes alone: what is beside it need not wait. */
	if (walk->batch != NULL && item->entry.size > RESTORE_BATCH_BYTES)
		batch_flush(walk);
	if (walk->batch == NULL) {
		walk->batch = mem_realloc(NULL, 1, sizeof(*walk->batch));
		walk->batch->count = 0;
		walk->batch->bytes = 0;
	}
	batch = walk->batch;
	last = batch->count == 0 ? NULL : &batch->items[batch->count - 1];
	if (last == NULL || last->folder != item->folder)
		walk->batch_folders++;
	if (last == NULL || last->folder != item->folder || last->direct != item->direct)
		restore_folder_ref(walk->r, item->folder, item->direct);
	batch->items[batch->count++] = *item;
	batch->bytes += item->entry.size;
	if (batch->count == RESTORE_BATCH_ITEMS || batch->bytes >= RESTORE_BATCH_BYTES ||
	    walk->batch_folders == BATCH_FOLDERS)
		batch_flush(walk);
}

/* The group of names that this entry belongs to; is_first tells whether it was made now. */
static struct restore_link *
link_group(struct restore *r, const struct entry *entry, bool *is_first)
{
	uint64_t hash = (entry->inode * 0x9e3779b97f4a7c15u) ^ entry->link_device;
	struct restore_link **bucket = &r->links[(hash >> 32) % RESTORE_LINK_BUCKETS];
	struct restore_link *link = *bucket;

	while (link != NULL &&
	    (link->inode != entry->inode || link->device != entry->link_device))
		link = link->next;
	*is_first = link == NULL;
	if (link == NULL) {
		link = MEM_NEW(struct restore_link);
		link->device = entry->link_device;
		link->inode = entry->inode;
		link->next = *bucket;
		*bucket = link;
	}
	return link;
}

/* Make the further names of files whose first ones are written. */
static void
link_later(struct restore *r)
{
	for (size_t i = 0; i < r->later_count; i++) {
		if (!atomic_load(&r->stopped))
			restore_item_link(r, &r->later[i]);
		restore_folder_unref(r, r->later[i].folder);
		restore_item_done(r, &r->later[i]);
	}
	r->later_count = 0;
}

static void
walk_item(struct walk *walk, struct restore_folder *folder, const struct entry *entry,
    bool direct)
{
	struct restore *r = walk->r;
	struct restore_item item = { .folder = folder, .ordinal = r->ordinal++ };
	const char *side = NULL;
	bool first = true;

	if (r->verifying && (entry->kind != ENTRY_FILE ||
	    !restore_was_written(r, item.ordinal, &side)))
		return;
	entry_copy(&item.entry, entry);
	if (side != NULL) {
		free(item.entry.name);
		item.entry.name = mem_strdup(side);
		item.entry.name_len = strlen(side);
	}
	if (!r->verifying && !r->options->dry_run && entry->nlink > 1 && entry->link_device != 0)
		item.link = link_group(r, entry, &first);
	item.direct = first && direct && entry->size <= RESTORE_DIRECT_MAX;
	if (r->options->dry_run) {
		restore_item_dry(r, &item);
		restore_item_done(r, &item);
	} else if (first) {
		batch_add(walk, &item);
	} else {
		restore_folder_ref(r, folder, false);
		MEM_GROW(r->later, r->later_count, r->later_cap);
		r->later[r->later_count++] = item;
		if (r->later_count == LATER_MAX) {
			batch_flush(walk);
			restore_queue_drain(r);
			link_later(r);
		}
	}
}

/* --- frames ------------------------------------------------------------------------- */

/* Takes over a reference to the folder and its being unpublished. */
static struct frame *
frame_push(struct walk *walk, struct restore_folder *folder, const struct blob_id *parts,
    size_t part_count)
{
	struct frame *frame;

	MEM_GROW(walk->frames, walk->depth, walk->cap);
	frame = &walk->frames[walk->depth++];
	memset(frame, 0, sizeof(*frame));
	frame->folder = folder;
	frame->part_count = part_count;
	if (part_count > 0)
		frame->parts = mem_dup(parts, part_count * sizeof(*parts));
	frame->whole = true;
	frame->direct = folder->fresh && !folder->absent && part_count <= RESTORE_DIRECT_PARTS;
	return frame;
}

static void
frame_pop(struct walk *walk)
{
	struct frame *frame = &walk->frames[--walk->depth];

	tree_close(frame->cursor);
	free(frame->parts);
	if (!frame->second)
		restore_folder_settle(walk->r, frame->folder);
	restore_folder_unref(walk->r, frame->folder);
}

/* The next selected name: 1, 0, -1. */
static int
frame_seek(struct walk *walk, struct frame *frame, const struct entry **ret,
    struct error *err)
{
	char **paths = walk->selection->paths;
	const char *name;
	size_t len;
	int found;

	if (frame->at == frame->hi)
		return 0;
	name = paths[frame->at] + frame->prefix;
	len = strcspn(name, "/");
	frame->found_lo = frame->at;
	frame->found_len = len;
	frame->found_whole = name[len] == '\0';
	/* Paths are sorted by component, so those that go through this name are neighbours. */
	while (++frame->at < frame->hi) {
		const char *next = paths[frame->at] + frame->prefix;

		if (strncmp(next, name, len) != 0 || next[len] != '/')
			break;
	}
	found = tree_seek(frame->cursor, name, len, ret, err);
	if (found < 0)
		return -1;
	if (found == 0 || (*ret)->name_len != len || memcmp((*ret)->name, name, len) != 0)
		return error_set(err, ERROR_CORRUPT,
		    "a path that was there is missing in its tree");
	return 1;
}

static int
frame_next(struct walk *walk, struct frame *frame, const struct entry **ret,
    struct error *err)
{
	if (frame->cursor == NULL && tree_open(walk->r->repo, frame->parts, frame->part_count,
	    &frame->cursor, err) < 0)
		return -1;
	return frame->whole ? tree_next(frame->cursor, ret, err)
	    : frame_seek(walk, frame, ret, err);
}

/* Find the folder again that the first walk made; NULL if it made none. */
static struct restore_folder *
folder_again(struct restore *r, struct restore_folder *parent, const struct entry *entry,
    uint64_t ordinal)
{
	struct restore_folder *folder = NULL;
	const char *name = NULL;
	struct error err = ERROR_INIT;

	if (!restore_was_written(r, ordinal, &name))
		return NULL;
	if (name == NULL)
		name = entry->name;
	if (restore_folder_open(r, parent, name, strlen(name), &folder, &err) < 0)
		restore_failed(r, parent, name, &err);
	return folder;
}

static void
walk_folder(struct walk *walk, struct frame *frame, const struct entry *entry)
{
	struct restore *r = walk->r;
	struct restore_folder *folder = NULL;
	struct error err = ERROR_INIT;
	uint64_t ordinal = r->ordinal++;
	struct frame parent = *frame;
	struct frame *child;
	int result;

	if (progress_check(r->progress, &err) < 0) {
		restore_stop(r, &err);
		return;
	}
	if (r->verifying) {
		folder = folder_again(r, frame->folder, entry, ordinal);
	} else {
		result = restore_folder_enter(r, frame->folder, entry, &folder, &err);
		if (result < 0)
			restore_failed(r, frame->folder, entry->name, &err);
		if (result == 0)
			restore_written(r, ordinal, folder->moved ? folder->name : NULL);
		atomic_fetch_add(&r->progress->files, 1);
	}
	if (folder == NULL)
		return;
	child = frame_push(walk, folder, entry->content, entry->content_count);
	if (!parent.whole && !parent.found_whole) {
		child->whole = false;
		child->lo = child->at = parent.found_lo;
		child->hi = parent.at;
		child->prefix = parent.prefix + parent.found_len + 1;
	}
}

/* The frame has no more: on to its folders, or out of it. */
static void
frame_ended(struct walk *walk, struct frame *frame, bool failed)
{
	if (failed || frame->second || !frame->has_folders) {
		frame_pop(walk);
		return;
	}
	tree_close(frame->cursor);
	frame->cursor = NULL;
	frame->at = frame->lo;
	frame->second = true;
	restore_folder_settle(walk->r, frame->folder);
}

static void
walk_frames(struct walk *walk)
{
	struct restore *r = walk->r;
	const struct entry *entry = NULL;
	struct error err = ERROR_INIT;
	struct frame *frame;
	int more;

	while (walk->depth > 0 && !atomic_load(&r->stopped)) {
		frame = &walk->frames[walk->depth - 1];
		more = frame_next(walk, frame, &entry, &err);
		if (more < 0)
			restore_failed(r, frame->folder, NULL, &err);
		if (more <= 0)
			frame_ended(walk, frame, more < 0);
		else if (entry->kind != ENTRY_DIRECTORY && !frame->second)
			walk_item(walk, frame->folder, entry, frame->direct);
		else if (entry->kind == ENTRY_DIRECTORY && frame->second)
			walk_folder(walk, frame, entry);
		else if (entry->kind == ENTRY_DIRECTORY)
			frame->has_folders = true;
	}
	while (walk->depth > 0)
		frame_pop(walk);
}

/* The contents of each path directly into the target. */
static void
walk_stripped(struct walk *walk, const struct snapshot *snapshot,
    struct restore_folder *target)
{
	struct restore *r = walk->r;
	struct error err = ERROR_INIT;
	struct entry entry;

	for (size_t i = 0; i < walk->selection->count && !atomic_load(&r->stopped); i++) {
		char *path = mem_printf("/%s", walk->selection->paths[i]);

		entry_init(&entry);
		if (tree_lookup(r->repo, snapshot->roots, snapshot->root_count, path, &entry,
		    &err) != 1) {
			restore_failed(r, target, NULL, &err);
		} else if (entry.kind == ENTRY_DIRECTORY) {
			if (walk->selection->count == 1 && !r->verifying)
				restore_folder_adopt(r, target, &entry);
			restore_folder_ref(r, target, true);
			frame_push(walk, target, entry.content, entry.content_count);
			walk_frames(walk);
		} else {
			walk_item(walk, target, &entry, false);
		}
		entry_done(&entry);
		free(path);
	}
}

void
restore_walk(struct restore *r, const struct snapshot *snapshot,
    const struct selection *selection, struct restore_folder *target)
{
	struct walk walk = { .r = r, .selection = selection };
	struct frame *root;

	r->ordinal = 0;
	if (r->options->strip && !selection->all) {
		walk_stripped(&walk, snapshot, target);
	} else {
		restore_folder_ref(r, target, true);
		root = frame_push(&walk, target, snapshot->roots, snapshot->root_count);
		root->whole = selection->all;
		root->hi = selection->count;
		walk_frames(&walk);
	}
	batch_flush(&walk);
	if (!r->options->dry_run)
		restore_queue_finish(r);
	link_later(r);
	free(walk.frames);
	restore_folder_unref(r, target);
}
