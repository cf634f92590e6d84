/*
 * Directories on their way into the repository.
 *
 * The walk adds entries in order of their names; each is finished later, in any order and from
 * any thread (when its file is stored, or its sub-directory complete). A part is encoded and
 * stored as soon as its last entry is finished, so memory holds what is under way, not whole
 * directories. Ownership: a slot belongs to its directory; whoever finishes it must not touch it
 * afterwards.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_TREE_BUILDER_H
#define HOLDFAST_AGENT_REPOSITORY_TREE_BUILDER_H

#include <stdbool.h>

#include "agent/repository/tree.h"
#include "agent/repository/writer.h"

struct tree_dir;
struct tree_part;

/* One entry being made.  Its finisher fills the entry. */
struct tree_slot {
	struct entry entry;
	struct tree_part *part;
	bool dropped;
};

/* A directory below the slot of its own entry.  writer may be NULL: nothing is stored (dry run). */
struct tree_dir *tree_dir_begin(struct writer *writer, struct tree_slot *slot);
/* The root has no slot; its parts go to roots when it is complete. */
struct tree_roots {
	struct blob_id *parts;
	size_t count;
	bool complete;
};
struct tree_dir *tree_dir_begin_root(struct writer *writer, struct tree_roots *roots);

/* A new entry of this name, which comes after all names before. */
struct tree_slot *tree_dir_add(struct tree_dir *dir, const char *name, size_t len);
/* As tree_dir_add, of an entry that is there already, with its name; it is taken over. */
struct tree_slot *tree_dir_add_entry(struct tree_dir *dir, const struct entry *entry);
/* No more entries come. */
void tree_dir_end(struct tree_dir *dir);

/* The entry is complete (or left out, if keep is false). */
void tree_slot_finish(struct tree_slot *slot, bool keep);

#endif
