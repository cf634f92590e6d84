/*
 * Trees: one directory's entries, sorted by name (bytes, as memcmp), with all attributes.
 *
 * A directory of many entries is split into parts, each a blob of its own; an entry that is
 * a directory names its parts in order.  The split depends on names alone, so adding a file
 * changes one part.
 * Ownership: an entry owns its strings and arrays; entry_done() frees them.  An entry lent by
 * a cursor is valid until the cursor's next call.
 * Trust: names from a tree are one component: not empty, no '/', no NUL, not "." or "..";
 * a tree that breaks this, its order or a limit is ERROR_CORRUPT.
 * Source: agent/repository/FORMAT.md, "Tree".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_TREE_H
#define HOLDFAST_AGENT_REPOSITORY_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "agent/repository/blob.h"
#include "shared/buffer.h"
#include "shared/error.h"

struct repository;

enum entry_kind {
	ENTRY_FILE = 0,
	ENTRY_DIRECTORY = 1,
	ENTRY_SYMLINK = 2,
	ENTRY_FIFO = 3,
	ENTRY_CHARACTER = 4, /* device */
	ENTRY_BLOCK = 5,     /* device */
	ENTRY_SOCKET = 6,
	ENTRY_KIND_COUNT
};

/* One extended attribute; ACLs and capabilities are attributes too (system.posix_acl_*,
 * security.capability), kept in the kernel's own form. */
struct xattr {
	char *name;
	uint8_t *value;
	size_t len;
};

/* A part of a sparse file that holds data; what lies between extents are holes. */
struct extent {
	uint64_t offset;
	uint64_t len;
};

struct entry {
	char *name; /* name_len bytes and a NUL */
	size_t name_len;
	enum entry_kind kind;
	uint32_t mode; /* permission bits with set-id and sticky, 07777 */
	uint32_t uid, gid;
	char *user, *group; /* names at backup time, or NULL */
	struct timespec mtime, ctime;
	uint64_t inode;
	uint64_t link_device; /* with inode: which names are one file; 0 if nlink is 1 */
	uint32_t nlink;
	uint64_t size;                     /* files: bytes, with holes */
	uint32_t device_major, device_minor; /* devices */
	char *target;                      /* symlinks: target_len bytes and a NUL */
	size_t target_len;
	struct xattr *xattrs;
	size_t xattr_count;
	bool sparse; /* extents tell where the data is; without it the data is the whole file */
	struct extent *extents;
	size_t extent_count;
	/*
	 * Files: the blobs whose bytes, one after the other, are the data (the extents' bytes
	 * if sparse).  depth 0: data blobs; depth n: lists of depth n-1.
	 * Directories: the parts of the tree, depth 0.
	 */
	struct blob_id *content;
	size_t content_count;
	unsigned depth;
};

void entry_init(struct entry *entry);
void entry_done(struct entry *entry); /* frees and re-initialises */
void entry_copy(struct entry *to, const struct entry *from);
bool entry_name_is_valid(const char *name, size_t len);
const char *entry_kind_word(enum entry_kind kind); /* "file", "directory", ... */

/* Reads one directory, in order, one part in memory at a time. */
struct tree_cursor;
int tree_open(struct repository *repo, const struct blob_id *parts, size_t part_count,
    struct tree_cursor **ret, struct error *err);
void tree_close(struct tree_cursor *cursor);
/* 1 and a lent entry, 0 at the end, -1 error. */
int tree_next(struct tree_cursor *cursor, const struct entry **ret, struct error *err);
/* Hand over the entry that tree_next() gave last: it is the caller's now, and what was lent is
 * empty.  A cursor from which was taken only goes on; it does not seek. */
void tree_take(struct tree_cursor *cursor, struct entry *ret);
/* As tree_next, but for the first entry whose name is at or after name; reads only what it must. */
int tree_seek(struct tree_cursor *cursor, const char *name, size_t len, const struct entry **ret,
    struct error *err);

/*
 * Find an absolute path ("/srv/www") below a snapshot's root tree. 1 and an entry the caller
 * owns, 0 no such path, -1 error. For "/" the entry is a made-up directory (mode 0755, no name)
 * that holds the root parts. Repeated and trailing slashes do not matter; "." and ".." never
 * match.
 */
int tree_lookup(struct repository *repo, const struct blob_id *roots, size_t root_count,
    const char *path, struct entry *ret, struct error *err);

/* Limits of one entry and one part; a reader refuses more.  Source: FORMAT.md, "Limits". */
#define TREE_NAME_MAX 1024
#define TREE_TARGET_MAX 65535
#define TREE_XATTRS_MAX (1u << 20)  /* names and values of one entry together, bytes */
#define TREE_EXTENTS_MAX 65536
#define TREE_CONTENT_MAX (1u << 18) /* names of blobs in one entry */
#define TREE_DEPTH_MAX 6            /* lists of lists of a large content */
#define TREE_PART_ENTRIES 1024
#define TREE_PART_BYTES (4u << 20)  /* a part is split before it grows beyond this */

/* Whether a part ends after this name; a rule on names alone. */
bool tree_part_ends(size_t entries_so_far, const char *name, size_t len);

/*
 * Encode entries (sorted) from the first on, at least one, as many as fit a part; returns how
 * many. Used by the writing side, tests and fuzzers.
 */
size_t tree_encode(struct entry *const *entries, size_t count, struct buffer *ret);
/* Caller frees each entry and the array: tree_entries_free(). */
int tree_decode(const void *data, size_t len, struct entry **ret, size_t *ret_count,
    struct error *err);
void tree_entries_free(struct entry *entries, size_t count);

#endif
