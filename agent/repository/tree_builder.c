#include "agent/repository/tree_builder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

struct tree_part {
	struct tree_dir *dir;
	atomic_uint pending; /* slots not finished, and one while slots are added */
	struct tree_slot **slots;
	size_t count, cap;
	struct blob_id *ids; /* usually one */
	size_t id_count;
};

struct tree_dir {
	struct writer *writer;
	struct tree_slot *slot;    /* of the directory's own entry, or NULL and */
	struct tree_roots *roots;
	atomic_uint pending;       /* parts not stored, and one while entries are added */
	struct tree_part **parts;
	size_t part_count, part_cap;
	struct tree_part *open;
};

static struct tree_dir *
dir_new(struct writer *writer, struct tree_slot *slot, struct tree_roots *roots)
{
	struct tree_dir *dir = MEM_NEW(struct tree_dir);

	dir->writer = writer;
	dir->slot = slot;
	dir->roots = roots;
	atomic_init(&dir->pending, 1);
	return dir;
}

struct tree_dir *
tree_dir_begin(struct writer *writer, struct tree_slot *slot)
{
	return dir_new(writer, slot, NULL);
}

struct tree_dir *
tree_dir_begin_root(struct writer *writer, struct tree_roots *roots)
{
	return dir_new(writer, NULL, roots);
}

/* Encode and store what is kept of a part, then free its entries. */
static void
part_store(struct tree_part *part)
{
	struct writer *writer = part->dir->writer;
	struct entry **entries = mem_calloc(part->count, sizeof(struct entry *));
	struct buffer plain = BUFFER_INIT;
	struct error err = ERROR_INIT;
	size_t kept = 0, done = 0;

	for (size_t i = 0; i < part->count; i++)
		if (!part->slots[i]->dropped)
			entries[kept++] = &part->slots[i]->entry;
	while (writer != NULL && done < kept) {
		buffer_clear(&plain);
		done += tree_encode(entries + done, kept - done, &plain);
		part->ids = mem_realloc(part->ids, part->id_count + 1, sizeof(*part->ids));
		if (writer_put_meta(writer, BLOB_TREE, plain.data, plain.len,
		    &part->ids[part->id_count], &err) != 0) {
			writer_fail(writer, &err);
			break;
		}
		part->id_count++;
	}
	buffer_done(&plain);
	free(entries);
	for (size_t i = 0; i < part->count; i++) {
		entry_done(&part->slots[i]->entry);
		free(part->slots[i]);
	}
	free(part->slots);
	part->slots = NULL;
}

/* The names of all parts in order; frees the directory. */
static void
dir_collect(struct tree_dir *dir, struct blob_id **ret, size_t *ret_count)
{
	size_t count = 0;

	for (size_t p = 0; p < dir->part_count; p++)
		count += dir->parts[p]->id_count;
	*ret = count == 0 ? NULL : mem_calloc(count, sizeof(**ret));
	*ret_count = 0;
	for (size_t p = 0; p < dir->part_count; p++) {
		struct tree_part *part = dir->parts[p];

		for (size_t i = 0; i < part->id_count; i++)
			(*ret)[(*ret_count)++] = part->ids[i];
		free(part->ids);
		free(part);
	}
	free(dir->parts);
	free(dir);
}

/*
 * One part or holder less; when it was the last, the directory's own entry is complete. Returns
 * the part that this entry lies in, NULL if there is nothing more to do.
 */
static struct tree_part *
release_dir(struct tree_dir *dir)
{
	struct tree_slot *slot = dir->slot;
	struct tree_roots *roots = dir->roots;

	if (atomic_fetch_sub(&dir->pending, 1) != 1)
		return NULL;
	if (slot == NULL) {
		dir_collect(dir, &roots->parts, &roots->count);
		roots->complete = true;
		return NULL;
	}
	dir_collect(dir, &slot->entry.content, &slot->entry.content_count);
	return slot->part;
}

/* A loop rather than recursion: completing the deepest folder may complete all above it. */
static void
release_part(struct tree_part *part)
{
	while (part != NULL && atomic_fetch_sub(&part->pending, 1) == 1) {
		part_store(part);
		part = release_dir(part->dir);
	}
}

struct tree_slot *
tree_dir_add_entry(struct tree_dir *dir, const struct entry *entry)
{
	struct tree_slot *slot = MEM_NEW(struct tree_slot);
	struct tree_part *part = dir->open;

	if (part == NULL) {
		part = dir->open = MEM_NEW(struct tree_part);
		part->dir = dir;
		atomic_init(&part->pending, 1);
		MEM_GROW(dir->parts, dir->part_count, dir->part_cap);
		dir->parts[dir->part_count++] = part;
		atomic_fetch_add(&dir->pending, 1);
	}
	slot->entry = *entry;
	slot->part = part;
	MEM_GROW(part->slots, part->count, part->cap);
	part->slots[part->count++] = slot;
	atomic_fetch_add(&part->pending, 1);
	if (tree_part_ends(part->count, entry->name, entry->name_len)) {
		dir->open = NULL;
		release_part(part); /* never the last: the new slot is not finished */
	}
	return slot;
}

struct tree_slot *
tree_dir_add(struct tree_dir *dir, const char *name, size_t len)
{
	struct entry entry;

	entry_init(&entry);
	entry.name = mem_calloc(1, len + 1);
	memcpy(entry.name, name, len);
	entry.name_len = len;
	return tree_dir_add_entry(dir, &entry);
}

void
tree_dir_end(struct tree_dir *dir)
{
	struct tree_part *part = dir->open;

	dir->open = NULL;
	release_part(part); /* keeps the directory: its own count still holds it */
	release_part(release_dir(dir));
}

void
tree_slot_finish(struct tree_slot *slot, bool keep)
{
	slot->dropped = !keep;
	release_part(slot->part);
}
