/*
 * The parts of a backup: backup.c (from options to snapshot), walk.c (one thread, in order of
 * names), file_batch.c (reading files, in the writer's workers), backup_snapshot.c (what an import
 * does as well).
 */
#ifndef HOLDFAST_AGENT_FILES_BACKUP_INTERNAL_H
#define HOLDFAST_AGENT_FILES_BACKUP_INTERNAL_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "agent/files/attributes.h"
#include "agent/files/backup.h"
#include "agent/files/exclude.h"
#include "agent/repository/claim.h"
#include "agent/repository/stream.h"
#include "agent/repository/tree.h"
#include "agent/repository/tree_builder.h"
#include "agent/repository/writer.h"

/* Larger files are streamed by the walk, so that all workers compress one file together. */
#define BATCH_FILE_MAX (4u << 20)

struct backup_counts {
	atomic_uint_fast64_t files, directories, others, bytes;
	atomic_uint_fast64_t new_files, changed_files, unmodified_files;
};

/* What all parts of one backup share. */
struct backup {
	const struct backup_options *options;
	struct repository *repo;
	struct writer *writer; /* NULL in a dry run */
	struct progress *progress;
	struct owner_names *names;
	struct exclude *exclude;
	struct backup_counts counts;
	bool has_skip;          /* the repository's own folder, never backed up */
	dev_t skip_device;
	ino_t skip_inode;
	unsigned batch_dirs;    /* folders that one batch may keep open */
	struct tree_slot *beside; /* of the folder beside, once the walk has passed its place */
};

/* An open folder, shared by the walk and the batches that read its files. */
struct dir_handle {
	int fd;
	atomic_uint holders;
	size_t path_len;
	char path[]; /* absolute, without trailing slash; "" for the root */
};

struct dir_handle *dir_handle_new(int fd, const char *path, size_t path_len);
struct dir_handle *dir_handle_hold(struct dir_handle *handle);
void dir_handle_release(struct dir_handle *handle);

/* Files that wait to be read together, neighbours in the walk. */
struct file_batch;
struct file_batch *file_batch_new(struct backup *backup);
/*
 * Take a file of this size over; says whether the batch is full.
 *   existed  it was in the previous snapshot
 */
bool file_batch_add(struct file_batch *batch, struct dir_handle *dir, struct tree_slot *slot,
    uint64_t size, bool existed);
/* Hand the batch to the workers (or finish its slots in a dry run). */
void file_batch_submit(struct file_batch *batch);

/* Read one large file here and now, into a stream. */
void file_stream(struct backup *backup, struct dir_handle *dir, struct tree_slot *slot,
    bool existed);

/*
 * A file whose ctime is very near may still be changed within the same tick of the file system's
 * clock, and would then look unchanged next time; its ctime is recorded as 0, so that the next
 * backup looks at it again.
 */
void backup_doubt_racy(struct entry *entry);

/* Losses and notes of a name in a folder. */
void backup_loss(struct backup *backup, const struct dir_handle *dir, const char *name,
    const struct error *err);
void backup_note(struct backup *backup, const struct dir_handle *dir, const char *name,
    const char *text);

/*
 * Walk the sources (absolute, resolved, sorted, none within another) below the root of the file
 * system into a tree.
 *   previous  root parts of the snapshot to compare with; count 0 for none
 * Returns -1 only if the backup cannot go on (cancelled, writer failed).
 */
int walk_sources(struct backup *backup, char *const *sources, size_t source_count,
    const struct blob_id *previous, size_t previous_count, struct tree_roots *roots,
    struct error *err);

/* How long a backup waits for a prune to end. */
#define BACKUP_CLAIM_WAIT_S 600

struct backup_origin {
	const char *kind;      /* "files", "tables", "mixed", "stream" */
	const char *host;      /* NULL: gethostname() */
	const char *job, *run; /* or NULL */
	const char *const *tags;
	size_t tag_count;
};

/* What a snapshot says before anything is read.  Sources are the bytes of absolute paths. */
struct snapshot *backup_describe(const struct backup_origin *origin, char *const *sources,
    size_t source_count);
bool backup_same_sources(const struct snapshot *a, const struct snapshot *b);
/*
 * The snapshot to compare with: the newest by sequence of the same host, kind and sources, or NULL.
 *   other_sources  if there is none, the newest of this host and kind will do
 */
int backup_find_parent(struct repository *repo, const struct snapshot *snapshot,
    bool other_sources, struct snapshot **ret, struct error *err);
void backup_take_losses(struct snapshot *snapshot, struct progress *progress);
/* What was stored; the roots' parts are taken over. */
void backup_take_stored(struct snapshot *snapshot, const struct tree_roots *roots,
    const struct writer_totals *totals);
/* Publish it, now, if the claim has been held all the time. */
int backup_publish(struct repository *repo, struct claim *claim, struct snapshot *snapshot,
    struct error *err);

/* Store a small file's data (of its extents, if sparse), and fill in the entry's content. */
int backup_put_chunks(struct writer_worker *worker, const uint8_t *data, size_t len,
    struct entry *entry, struct error *err);

#endif
