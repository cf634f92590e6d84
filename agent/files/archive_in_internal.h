/*
 * The parts of an import: archive_in.c (from bytes to snapshot), archive_in_tar.c (members of a
 * tar), archive_in_entry.c (their attributes), archive_in_content.c (files' data on its way into
 * the repository), archive_in_tree.c (paths until the end, then folders in order).
 */
#ifndef HOLDFAST_AGENT_FILES_ARCHIVE_IN_INTERNAL_H
#define HOLDFAST_AGENT_FILES_ARCHIVE_IN_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>

#include "agent/files/archive_in.h"
#include "agent/files/attributes.h"
#include "agent/repository/tree.h"
#include "agent/repository/tree_builder.h"
#include "agent/repository/writer.h"
#include "shared/buffer.h"

struct archive_entry;
struct import_tree;

/* What the parts of one import share. */
struct import {
	const struct import_options *options;
	const struct import_input *input;
	struct repository *repo;
	struct writer *writer;
	struct progress *progress;
	struct import_tree *tree;
	struct owner_names *names; /* for ACLs that name their owners */
	uint64_t bytes_read;       /* from the input */
	struct error input_error;  /* code NONE unless the input failed */
};

/* Waits for bytes; as the input's read, but never IMPORT_READ_WAIT.  Cancelled: -1. */
ssize_t import_read(struct import *import, void *buf, size_t size, struct error *err);

/* --- archive_in_tree.c: the calling thread, but for import_file_store() ------------- */

/* The attributes and content of one file, or of a folder; several names of it are hard links. */
struct import_file;

/* Anything but PLACED leaves the tree as it was. */
enum import_placed {
	PLACED,            /* the path is there now */
	PLACED_BELOW_FILE, /* not: something on the way to it is no folder */
	PLACED_ON_FOLDER   /* not: a folder that holds something is there */
};

int import_tree_new(const char *spool, struct import_tree **ret, struct error *err);
void import_tree_free(struct import_tree *tree);
/*
 * Take a path (components with a slash between, none empty) for an entry of this kind: an enum
 * import_placed, or -1 with ERROR_TOO_LARGE.
 *   ret_file  if it was placed: to be given to import_file_store(), once
 */
int import_tree_add(struct import_tree *tree, const char *path, enum entry_kind kind,
    struct import_file **ret_file, struct error *err);
/* The same for a hard link; its target may come later. */
int import_tree_link(struct import_tree *tree, const char *path, const char *target,
    struct error *err);
/* The entry is complete, but for its name; from any thread.  Takes what the entry owns. */
int import_file_store(struct import_tree *tree, struct import_file *file, struct entry *entry,
    struct error *err);

struct import_counts {
	uint64_t files, directories, others, bytes;
	uint64_t new_files, changed_files, unmodified_files;
};

/*
 * Everything is stored: put the folders together.  Links without target are losses.
 *   keep_times  a file that is as before keeps its times
 */
int import_tree_build(struct import *import, const struct snapshot *parent, bool keep_times,
    struct tree_roots *roots, struct import_counts *ret, struct error *err);

/* --- archive_in_content.c: the calling thread --------------------------------------- */

/* Files' data; small files wait for others, so that they are stored together. */
struct import_content;
struct import_content *import_content_new(struct import *import);
/* The next file; takes what the entry owns.  Its size is final, its extents are added. */
void import_content_begin(struct import_content *content, struct import_file *file,
    struct entry *entry);
/* Data at this offset, which rises; what is left out between are holes. */
int import_content_put(struct import_content *content, uint64_t offset, const void *data,
    size_t len, struct error *err);
/* Room for more data of the file at hand, without holes, and how much of it was filled. */
uint8_t *import_content_room(struct import_content *content, size_t *ret_len);
void import_content_filled(struct import_content *content, size_t len);
/* The end of the file. */
void import_content_end(struct import_content *content);
/* Hand over what waits.  A file that was begun and not ended is dropped.  NULL is fine. */
void import_content_free(struct import_content *content);

/* --- the other parts ---------------------------------------------------------------- */

/* All members of the input's tar. */
int import_tar(struct import *import, struct error *err);

/*
 * Attributes of a member, without name, size and content; -1: it cannot be kept, and why.
 *   path  for notes and losses of single attributes
 */
int import_entry(struct import *import, struct archive_entry *from, const char *path,
    struct entry *ret, struct error *err);

/* Told of a path of the snapshot, without its first slash. */
void import_loss(struct import *import, const char *path, const char *why);
void import_note(struct import *import, const char *path, const char *what);

#endif
