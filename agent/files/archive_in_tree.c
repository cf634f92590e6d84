/*
 * The paths of an import: collected in any order, compactly, then put together folder by folder.
 *
 * A path is a node below that of its folder, found through one hash table.  What is known of the
 * file itself (attributes, names of its blobs) is encoded as a tree's entry and waits in a spool
 * file, of which a node holds the place; so hard links are nodes that share one place.
 */
#include <openssl/sha.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/archive_in_internal.h"
#include "agent/files/archive_in_spool.h"
#include "shared/mem.h"

#define ARENA_BLOCK (64u << 10)
#define TABLE_MIN 1024

/* What every encoded entry is called until it gets its place. */
#define ANY_NAME "x"

struct import_file {
	uint64_t offset; /* in the spool */
	uint32_t len;
	uint32_t names;
	uint64_t inode, device; /* of several names: made from the first, 0 before it was met */
};

enum node_kind {
	NODE_FOLDER,  /* file is NULL while it was not in the archive itself */
	NODE_FILE,    /* of any kind but a folder */
	NODE_LINK,    /* its target has not come yet */
	NODE_DROPPED
};

struct import_node {
	struct import_node *parent, *next, *first; /* next: of the same folder */
	struct import_node *next_hashed;
	union {
		struct import_file *file;
		size_t link; /* place in the list of links */
	} is;
	uint16_t name_len;
	uint8_t kind;
	char name[];
};

/* A hard link whose target was not there when it came. */
struct pending_link {
	struct import_node *node;
	char *target;
	size_t before; /* while links are followed: the one that led here */
	bool active;
};

struct import_tree {
	struct import_spool *spool;
	struct import_node *root;
	struct import_node **table;
	size_t table_size, node_count;
	uint8_t key[crypto_shorthash_KEYBYTES];
	struct arena_block {
		struct arena_block *next;
		uint8_t bytes[];
	} *arena;
	size_t arena_left, memory;
	struct pending_link *links;
	size_t link_count, link_cap;
};

/* Never freed before the tree: replaced files are rare. */
static void *
arena_take(struct import_tree *tree, size_t size)
{
	void *p;

	size = (size + 7) & ~(size_t)7;
	if (size > tree->arena_left) {
		size_t len = size > ARENA_BLOCK ? size : ARENA_BLOCK;
		struct arena_block *block = mem_calloc(1, sizeof(*block) + len);

		block->next = tree->arena;
		tree->arena = block;
		tree->arena_left = len;
		tree->memory += len;
	}
	/* From the end of the block to its beginning. */
	tree->arena_left -= size;
	p = tree->arena->bytes + tree->arena_left;
	memset(p, 0, size);
	return p;
}

int
import_tree_new(const char *spool, struct import_tree **ret, struct error *err)
{
	struct import_tree *tree = MEM_NEW(struct import_tree);

	if (import_spool_new(spool, &tree->spool, err) != 0) {
		free(tree);
		return -1;
	}
	randombytes_buf(tree->key, sizeof(tree->key));
	tree->table_size = TABLE_MIN;
	tree->table = mem_calloc(tree->table_size, sizeof(*tree->table));
	tree->root = arena_take(tree, sizeof(*tree->root) + 1);
	tree->root->kind = NODE_FOLDER;
	*ret = tree;
	return 0;
}

void
import_tree_free(struct import_tree *tree)
{
	struct arena_block *block;

	if (tree == NULL)
		return;
	while ((block = tree->arena) != NULL) {
		tree->arena = block->next;
		free(block);
	}
	for (size_t i = 0; i < tree->link_count; i++)
		free(tree->links[i].target);
	free(tree->links);
	free(tree->table);
	import_spool_free(tree->spool);
	free(tree);
}

/* --- paths -------------------------------------------------------------------------- */

/* Keyed, as the names come from outside. */
static size_t
slot_of(const struct import_tree *tree, const struct import_node *parent, const char *name,
    size_t len)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t value;

	crypto_shorthash(hash, (const uint8_t *)name, len, tree->key);
	memcpy(&value, hash, sizeof(value));
	value ^= (uint64_t)(uintptr_t)parent * 0x9e3779b97f4a7c15u;
	return (size_t)((value ^ value >> 32) & (tree->table_size - 1));
}

static struct import_node *
find_child(const struct import_tree *tree, const struct import_node *parent, const char *name,
    size_t len)
{
	struct import_node *node = tree->table[slot_of(tree, parent, name, len)];

	while (node != NULL && (node->parent != parent || node->name_len != len ||
	    memcmp(node->name, name, len) != 0))
		node = node->next_hashed;
	return node;
}

static void
hash_node(struct import_tree *tree, struct import_node *node)
{
	size_t slot = slot_of(tree, node->parent, node->name, node->name_len);

	node->next_hashed = tree->table[slot];
	tree->table[slot] = node;
}

static void
grow_table(struct import_tree *tree)
{
	struct import_node **old = tree->table, *node, *next;
	size_t old_size = tree->table_size;

	tree->table_size *= 2;
	tree->table = mem_calloc(tree->table_size, sizeof(*tree->table));
	tree->memory += old_size * sizeof(*old);
	for (size_t i = 0; i < old_size; i++) {
		for (node = old[i]; node != NULL; node = next) {
			next = node->next_hashed;
			hash_node(tree, node);
		}
	}
	free(old);
}

static struct import_node *
add_child(struct import_tree *tree, struct import_node *parent, const char *name, size_t len)
{
	struct import_node *node = arena_take(tree, sizeof(*node) + len + 1);

	node->parent = parent;
	node->name_len = (uint16_t)len;
	node->kind = NODE_FOLDER;
	memcpy(node->name, name, len);
	node->next = parent->first;
	parent->first = node;
	if (++tree->node_count > tree->table_size)
		grow_table(tree);
	hash_node(tree, node);
	return node;
}

static struct import_node *
find_path(const struct import_tree *tree, const char *path)
{
	struct import_node *node = tree->root;

	while (node != NULL && *path != '\0') {
		size_t len = strcspn(path, "/");

		node = find_child(tree, node, path, len);
		path += len + (path[len] == '/');
	}
	return node;
}

/* The node of a path, made with all folders above it; NULL if it lies below what is no folder. */
static struct import_node *
make_path(struct import_tree *tree, const char *path)
{
	struct import_node *node = tree->root, *child;

	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		if (node->kind != NODE_FOLDER)
			return NULL;
		child = find_child(tree, node, path, len);
		node = child != NULL ? child : add_child(tree, node, path, len);
		path += len + (path[len] == '/');
	}
	return node;
}

/* Make room at a path for what is no folder, or (folder) for one. */
static int
place(struct import_tree *tree, const char *path, bool folder, struct import_node **ret,
    struct error *err)
{
	struct import_node *node = make_path(tree, path);

	if (tree->memory > IMPORT_MEMORY_MAX) {
		error_set(err, ERROR_TOO_LARGE,
		    "the archive holds too many names: %zu so far take %u MiB of memory",
		    tree->node_count, IMPORT_MEMORY_MAX >> 20);
		return error_hint(err, "divide it into several archives");
	}
	if (node == NULL)
		return PLACED_BELOW_FILE;
	if (!folder && node->kind == NODE_FOLDER && node->first != NULL)
		return PLACED_ON_FOLDER;
	if (node->kind == NODE_FILE)
		node->is.file->names--;
	node->is.file = NULL;
	*ret = node;
	return PLACED;
}

int
import_tree_add(struct import_tree *tree, const char *path, enum entry_kind kind,
    struct import_file **ret_file, struct error *err)
{
	struct import_node *node;
	int placed = place(tree, path, kind == ENTRY_DIRECTORY, &node, err);

	if (placed != PLACED)
		return placed;
	node->kind = kind == ENTRY_DIRECTORY ? NODE_FOLDER : NODE_FILE;
	node->is.file = arena_take(tree, sizeof(*node->is.file));
	node->is.file->names = 1;
	*ret_file = node->is.file;
	return PLACED;
}

int
import_tree_link(struct import_tree *tree, const char *path, const char *target,
    struct error *err)
{
	struct import_node *to = find_path(tree, target), *node;
	int placed;

	/* A link to itself changes nothing. */
	if (to != NULL && to->kind == NODE_FILE && to == find_path(tree, path))
		return PLACED;
	placed = place(tree, path, false, &node, err);
	if (placed != PLACED)
		return placed;
	if (to != NULL && to->kind == NODE_FILE) {
		node->kind = NODE_FILE;
		node->is.file = to->is.file;
		to->is.file->names++;
		return PLACED;
	}
	node->kind = NODE_LINK;
	node->is.link = tree->link_count;
	MEM_GROW(tree->links, tree->link_count, tree->link_cap);
	tree->links[tree->link_count++] =
	    (struct pending_link){ .node = node, .target = mem_strdup(target) };
	tree->memory += sizeof(*tree->links) + strlen(target) + 16;
	return PLACED;
}

/* --- files -------------------------------------------------------------------------- */

int
import_file_store(struct import_tree *tree, struct import_file *file, struct entry *entry,
    struct error *err)
{
	struct entry *const list[1] = { entry };
	struct buffer bytes = BUFFER_INIT;
	int rc;

	free(entry->name);
	entry->name = mem_strdup(ANY_NAME);
	entry->name_len = strlen(ANY_NAME);
	tree_encode(list, 1, &bytes);
	entry_done(entry);
	file->len = (uint32_t)bytes.len;
	rc = import_spool_add(tree->spool, bytes.data, bytes.len, &file->offset, err);
	buffer_done(&bytes);
	return rc;
}

static int
load_file(struct import_tree *tree, const struct import_file *file, struct entry *ret,
    struct error *err)
{
	struct entry *entries = NULL;
	uint8_t *bytes = NULL;
	size_t count = 0;
	int rc = -1;

	bytes = mem_try(file->len, err);
	if (bytes == NULL ||
	    import_spool_get(tree->spool, file->offset, bytes, file->len, err) != 0)
		goto out;
	if (tree_decode(bytes, file->len, &entries, &count, err) != 0 || count != 1) {
		error_prefix(err, "in the import's own notes: ");
		goto out;
	}
	*ret = entries[0];
	free(entries);
	rc = 0;
out:
	free(bytes);
	return rc;
}

/* --- links -------------------------------------------------------------------------- */

static bool
is_pending(const struct import_tree *tree, size_t i)
{
	const struct import_node *node = tree->links[i].node;

	return node->kind == NODE_LINK && node->is.link == i;
}

/*
 * Follow a link over others that wait, as far as it goes, and give all of them what is at the end:
 * a file, or nothing.  Each link is followed once.
 */
static void
resolve_link(struct import_tree *tree, size_t i)
{
	struct import_file *file = NULL;
	size_t before = SIZE_MAX, next;

	for (;;) {
		struct pending_link *link = &tree->links[i];
		struct import_node *to;

		link->before = before;
		link->active = true;
		before = i;
		to = find_path(tree, link->target);
		if (to != NULL && to->kind == NODE_LINK && !tree->links[to->is.link].active) {
			i = to->is.link;
			continue;
		}
		if (to != NULL && to->kind == NODE_FILE)
			file = to->is.file;
		break;
	}
	for (i = before; i != SIZE_MAX; i = next) {
		struct import_node *node = tree->links[i].node;

		next = tree->links[i].before;
		node->kind = file != NULL ? NODE_FILE : NODE_DROPPED;
		node->is.file = file;
		if (file != NULL)
			file->names++;
	}
}

static void
resolve_links(struct import *import)
{
	struct import_tree *tree = import->tree;

	for (size_t i = 0; i < tree->link_count; i++)
		if (is_pending(tree, i))
			resolve_link(tree, i);
}

/* --- folders ------------------------------------------------------------------------ */

struct build_frame {
	struct import_node *node;
	struct import_node **children; /* in order */
	size_t count, next;
	struct tree_dir *dir;
	struct tree_slot *slot;  /* NULL for the root */
	struct timespec newest;  /* of what is in it */
	struct tree_cursor *previous;
	const struct entry *previous_entry;
	size_t path_len;
};

struct build {
	struct import *import;
	struct import_counts *counts;
	bool keep_times;
	struct buffer path;
	struct build_frame *frames;
	size_t depth, cap;
};

static int
compare_nodes(const void *a, const void *b)
{
	const struct import_node *x = *(struct import_node *const *)a;
	const struct import_node *y = *(struct import_node *const *)b;
	int order = memcmp(x->name, y->name, x->name_len < y->name_len ? x->name_len : y->name_len);

	return order != 0 ? order : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

/* previous: its entry in the snapshot before, or NULL. */
static void
enter_folder(struct build *build, struct import_node *node, struct tree_dir *dir,
    struct tree_slot *slot, const struct blob_id *previous, size_t previous_count)
{
	struct build_frame *frame;
	struct error ignored;

	MEM_GROW(build->frames, build->depth, build->cap);
	frame = &build->frames[build->depth++];
	*frame = (struct build_frame){ .node = node, .dir = dir, .slot = slot,
		.path_len = build->path.len };
	for (struct import_node *child = node->first; child != NULL; child = child->next)
		frame->count++;
	frame->children = mem_calloc(frame->count, sizeof(*frame->children));
	frame->count = 0;
	for (struct import_node *child = node->first; child != NULL; child = child->next)
		frame->children[frame->count++] = child;
	qsort(frame->children, frame->count, sizeof(*frame->children), compare_nodes);
	/* What cannot be read is compared with nothing. */
	if (previous_count > 0 && tree_open(build->import->repo, previous, previous_count,
	    &frame->previous, &ignored) == 0 &&
	    tree_next(frame->previous, &frame->previous_entry, &ignored) != 1)
		frame->previous_entry = NULL;
}

static bool
is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

static void
leave_folder(struct build *build)
{
	struct build_frame *frame = &build->frames[build->depth - 1];
	struct timespec newest = frame->newest;

	if (frame->slot != NULL && frame->node->is.file == NULL)
		frame->slot->entry.mtime = frame->slot->entry.ctime = newest;
	else if (frame->slot != NULL)
		newest = frame->slot->entry.mtime;
	tree_dir_end(frame->dir); /* the slot is not ours any more */
	tree_close(frame->previous);
	free(frame->children);
	if (--build->depth > 0 && is_later(&newest, &build->frames[build->depth - 1].newest))
		build->frames[build->depth - 1].newest = newest;
}

/* The same name in the snapshot before, or NULL; names come in order. */
static const struct entry *
previous_of(struct build_frame *frame, const struct import_node *node)
{
	struct error ignored;

	while (frame->previous_entry != NULL) {
		const struct entry *entry = frame->previous_entry;
		size_t len = entry->name_len < node->name_len ? entry->name_len : node->name_len;
		int order = memcmp(entry->name, node->name, len);

		if (order == 0)
			order = (entry->name_len > node->name_len) -
			    (entry->name_len < node->name_len);
		if (order == 0)
			return entry;
		if (order > 0)
			return NULL;
		if (tree_next(frame->previous, &frame->previous_entry, &ignored) != 1)
			frame->previous_entry = NULL;
	}
	return NULL;
}

static bool
same_data(const struct entry *a, const struct entry *b)
{
	return a->size == b->size && a->depth == b->depth && a->content_count == b->content_count &&
	    a->extent_count == b->extent_count &&
	    (a->content_count == 0 || memcmp(a->content, b->content,
	        a->content_count * sizeof(*a->content)) == 0) &&
	    (a->extent_count == 0 || memcmp(a->extents, b->extents,
	        a->extent_count * sizeof(*a->extents)) == 0);
}

static void
count_file(struct build *build, struct entry *entry, const struct entry *previous)
{
	struct import_counts *counts = build->counts;

	counts->files++;
	counts->bytes += entry->size;
	if (previous == NULL || previous->kind != ENTRY_FILE) {
		counts->new_files++;
		return;
	}
	if (same_data(entry, previous) && build->keep_times) {
		entry->mtime = previous->mtime;
		entry->ctime = previous->ctime;
	}
	if (same_data(entry, previous) && entry->mtime.tv_sec == previous->mtime.tv_sec &&
	    entry->mtime.tv_nsec == previous->mtime.tv_nsec)
		counts->unmodified_files++;
	else
		counts->changed_files++;
}

/* Several names of one file are recognised by numbers that only the first name decides. */
static void
set_link(struct build *build, struct import_file *file, struct entry *entry)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	if (file->names < 2)
		return;
	if (file->device == 0) {
		SHA256(build->path.data, build->path.len, hash);
		memcpy(&file->inode, hash, sizeof(file->inode));
		memcpy(&file->device, hash + sizeof(file->inode), sizeof(file->device));
		file->device |= 1; /* 0 means that there is none */
	}
	entry->inode = file->inode;
	entry->link_device = file->device;
	entry->nlink = file->names;
}

/* The attributes of a node into its slot, which has its name. */
static int
fill_slot(struct build *build, struct import_node *node, struct tree_slot *slot,
    struct error *err)
{
	struct entry entry;

	if (node->is.file == NULL) { /* a folder that was not in the archive */
		slot->entry.kind = ENTRY_DIRECTORY;
		slot->entry.mode = 0755;
		slot->entry.nlink = 1;
		return 0;
	}
	if (load_file(build->import->tree, node->is.file, &entry, err) != 0)
		return -1;
	free(entry.name);
	entry.name = slot->entry.name;
	entry.name_len = slot->entry.name_len;
	slot->entry = entry;
	return 0;
}

static int
build_node(struct build *build, struct import_node *node, struct error *err)
{
	struct build_frame *frame = &build->frames[build->depth - 1];
	struct import *import = build->import;
	const struct entry *previous;
	struct tree_slot *slot;

	build->path.len = frame->path_len;
	if (build->path.len > 0)
		buffer_put_u8(&build->path, '/');
	buffer_put(&build->path, node->name, node->name_len);
	if (node->kind == NODE_DROPPED) {
		import_loss(import, buffer_text(&build->path),
		    "a hard link to what is no file of the archive");
		return 0;
	}
	previous = previous_of(frame, node);
	slot = tree_dir_add(frame->dir, node->name, node->name_len);
	if (fill_slot(build, node, slot, err) != 0) {
		tree_slot_finish(slot, false);
		return -1;
	}
	if (node->kind == NODE_FOLDER) {
		build->counts->directories++;
		if (previous != NULL && previous->kind != ENTRY_DIRECTORY)
			previous = NULL;
		enter_folder(build, node, tree_dir_begin(import->writer, slot), slot,
		    previous != NULL ? previous->content : NULL,
		    previous != NULL ? previous->content_count : 0);
		return 0;
	}
	if (slot->entry.kind == ENTRY_FILE)
		count_file(build, &slot->entry, previous);
	else
		build->counts->others++;
	set_link(build, node->is.file, &slot->entry);
	if (is_later(&slot->entry.mtime, &frame->newest))
		frame->newest = slot->entry.mtime;
	tree_slot_finish(slot, true);
	return 0;
}

int
import_tree_build(struct import *import, const struct snapshot *parent, bool keep_times,
    struct tree_roots *roots, struct import_counts *ret, struct error *err)
{
	struct build build = { .import = import, .counts = ret, .keep_times = keep_times,
		.path = BUFFER_INIT };
	int rc = 0;

	resolve_links(import);
	enter_folder(&build, import->tree->root, tree_dir_begin_root(import->writer, roots), NULL,
	    parent != NULL ? parent->roots : NULL, parent != NULL ? parent->root_count : 0);
	while (build.depth > 0 && rc == 0) {
		struct build_frame *frame = &build.frames[build.depth - 1];

		rc = progress_check(import->progress, err);
		if (rc == 0 && frame->next < frame->count)
			rc = build_node(&build, frame->children[frame->next++], err);
		else if (rc == 0)
			leave_folder(&build);
	}
	while (build.depth > 0) /* after an error */
		leave_folder(&build);
	free(build.frames);
	buffer_done(&build.path);
	return rc;
}
