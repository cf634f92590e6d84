/*
 * What the files of restore share: restore.c (begin and end), restore_walk.c (walk of the
 * snapshot), restore_folder.c (folders of the target), restore_entry.c (all that is no folder),
 * restore_content.c (bytes), restore_queue.c (threads), restore_verify.c (reading back).
 *
 * The walking thread makes folders and puts everything else into batches for the workers.
 * A folder is referenced by the walk while it is in it, by its folders, by batches and by hard
 * links; when the last reference goes it gets its attributes and is forgotten, so attributes
 * are set deepest first.
 */
#ifndef HOLDFAST_AGENT_FILES_RESTORE_INTERNAL_H
#define HOLDFAST_AGENT_FILES_RESTORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "agent/files/attributes.h"
#include "agent/files/restore.h"
#include "agent/repository/tree.h"

/* Folders kept open that nobody uses at the moment; the rest is opened anew when needed. */
#define RESTORE_IDLE_FOLDERS 128
/* Larger files are written under a temporary name of their own (see restore.h). */
#define RESTORE_DIRECT_MAX   (4u << 20)
/* A folder of more tree parts than this shows its files at once, not when all are there. */
#define RESTORE_DIRECT_PARTS 64
/* One batch: neighbours share frames, so a batch is what one thread should decode. */
#define RESTORE_BATCH_ITEMS  64
#define RESTORE_BATCH_BYTES  (1u << 20)

/*
 * The mode of a new folder until it gets its own: no sensible folder of one owner is sticky, so a
 * folder that a killed restore left without its attributes is known by it.
 */
#define RESTORE_UNFINISHED 01700

#define RESTORE_NAME_SIZE 256

struct restore_folder {
	struct restore_folder *parent; /* NULL: the target */
	char name[RESTORE_NAME_SIZE];  /* final name in the parent */
	size_t name_len;
	char temporary[64];            /* its name until it is published, then "" */
	bool replaces;                 /* publishing removes what bears the name (no folder) */
	bool fresh;                    /* made by us */
	bool absent;                   /* dry run: would be made */
	bool made;                     /* the target: made by us */
	bool moved;                    /* name is a side copy's, not the entry's */
	bool apply;                    /* attributes are to be set */
	bool lent;                     /* we gave ourselves rights; lent_mode is due */
	mode_t lent_mode;
	bool inherits_acl;             /* what is made in it gets an ACL from it */
	int fd;                        /* -1: closed */
	dev_t device;
	ino_t inode;
	unsigned pins;                 /* uses of fd right now */
	unsigned references;
	unsigned unpublished;          /* small files and the walk, until it gets its name */
	struct restore_folder *idle_next, *idle_prev;
	struct entry entry;            /* attributes only */
	struct attributes_present present; /* of the folder, when it was made */
	atomic_bool sampled;           /* sample tells what a fresh file in it is like */
	struct attributes_present sample;
};

enum link_state { LINK_PENDING, LINK_WRITTEN };

/* Names of one file: the first that is written is linked to by the others. */
struct restore_link {
	struct restore_link *next;
	uint64_t device, inode;
	enum link_state state;
	struct restore_folder *folder; /* holds a reference once written */
	char name[RESTORE_NAME_SIZE];
};

/* One thing to write that is no folder. */
struct restore_item {
	struct restore_folder *folder;
	struct entry entry;
	struct restore_link *link; /* NULL: this is its only name */
	uint64_t ordinal;          /* place in the walk, counts files */
	bool direct;               /* under its final name: the folder is not published yet */
};

/*
 * A run is what stands next to each other in a batch with the same folder and the same "direct".
 * It holds one reference to the folder, and if direct keeps it unpublished; one descriptor
 * serves it all.
 */

struct restore_batch {
	struct restore_batch *next;
	size_t count;
	uint64_t bytes;
	struct restore_item items[RESTORE_BATCH_ITEMS];
};

/* first, last: the folders of the batch it works on, for comparison only; under queue_lock. */
struct restore_thread {
	struct restore *restore;
	pthread_t thread;
	const struct restore_folder *first, *last;
};

#define RESTORE_LINK_BUCKETS 4096

struct restore;
/* What the threads do with an item; dir_fd is its folder's descriptor. */
typedef void restore_work_fn(struct restore *r, struct restore_item *item, int dir_fd);

struct restore {
	struct repository *repo;
	const struct restore_options *options;
	struct progress *progress;
	struct attributes_policy policy;
	uid_t uid;                      /* the effective one */
	char tag[17];                   /* random; in temporary names */
	atomic_uint_fast64_t temporaries;
	atomic_uint_fast64_t actions[RESTORE_ACTION_COUNT];
	atomic_uint_fast64_t bytes, verified;
	pthread_mutex_t each_lock;

	pthread_mutex_t folder_lock;    /* folders: descriptors, counts, names */
	struct restore_folder *idle_first, *idle_last;
	unsigned idle_count;

	pthread_mutex_t queue_lock;
	pthread_cond_t queue_filled, queue_emptied;
	struct restore_batch *queue_first, *queue_last;
	unsigned queue_count;
	bool queue_closed;
	struct restore_thread *threads;
	unsigned thread_count;
	restore_work_fn *work;

	atomic_bool stopped;            /* error holds why */
	struct error error;             /* under queue_lock */

	struct restore_link **links;    /* only the walking thread adds */
	struct restore_item *later;     /* further names, made after all else */
	size_t later_count, later_cap;

	bool verifying;                 /* the second walk, which only reads */
	uint64_t ordinal;               /* of the walk: counts entries, the same each time */
	uint8_t *written;               /* one bit an ordinal, for verify; under each_lock */
	uint64_t written_cap;           /* bits */
	struct restore_side *sides;     /* ordinals whose name is another */
	size_t side_count, side_cap;

	struct restore_disk *disks;     /* file systems that were written to */
	size_t disk_count, disk_cap;
	unsigned thread_limit;
};

struct restore_disk {
	dev_t device;
	int fd; /* some folder on it */
};

struct restore_side {
	uint64_t ordinal;
	char name[RESTORE_NAME_SIZE];
};

/* restore.c */
struct selection {
	char **paths;  /* bytes without slash at the start, sorted by component; none in another */
	size_t count;
	bool all;
};
/* Report; path is the folder's and name, or the folder's alone if name is NULL. */
void restore_loss(struct restore *r, const struct restore_folder *folder, const char *name,
    const struct error *why);
void restore_note(struct restore *r, const struct restore_folder *folder, const char *name,
    const char *text);
void restore_did(struct restore *r, enum restore_action action,
    const struct restore_folder *folder, const char *name);
/* The first fatal error ends the restore: no space, cancelled. */
void restore_stop(struct restore *r, const struct error *why);
/* A loss, or the end if it concerns everything. */
void restore_failed(struct restore *r, const struct restore_folder *folder, const char *name,
    const struct error *why);
void restore_temporary_name(struct restore *r, char out[64]);
/* For verify: this file was written, under another name than its own if side is not NULL. */
void restore_written(struct restore *r, uint64_t ordinal, const char *side);

/* restore_folder.c */
int restore_target_open(struct restore *r, struct restore_folder **ret, struct error *err);
/*
 * The folder of this name: opened, or made under a temporary name.  0 with one reference, one
 * of unpublished held by the walk; 1 if it stays out by the conflict rule.
 */
int restore_folder_enter(struct restore *r, struct restore_folder *parent,
    const struct entry *entry, struct restore_folder **ret, struct error *err);
/* The target itself stands for this folder of the snapshot and gets its attributes. */
void restore_folder_adopt(struct restore *r, struct restore_folder *target,
    const struct entry *entry);
/* As it is in the target, for reading; counted as restore_folder_enter does. */
int restore_folder_open(struct restore *r, struct restore_folder *parent, const char *name,
    size_t name_len, struct restore_folder **ret, struct error *err);
void restore_folder_ref(struct restore *r, struct restore_folder *folder, bool unpublished);
/* Gives the folder its name when it was the last. */
void restore_folder_settle(struct restore *r, struct restore_folder *folder);
void restore_folder_unref(struct restore *r, struct restore_folder *folder);
/* The descriptor, valid until unpinned. */
int restore_folder_pin(struct restore *r, struct restore_folder *folder, int *ret,
    struct error *err);
void restore_folder_unpin(struct restore *r, struct restore_folder *folder);
/* What a file just made in this folder is like; only the first is looked at. */
int restore_folder_sample(struct restore *r, struct restore_folder *folder, int fd,
    struct attributes_present *ret, struct error *err);

/* restore_leftovers.c */
/* Failing to remove one only leaves it where it is. */
void restore_remove_leftovers(struct restore *r, int dir_fd);

/* restore_content.c */
int restore_content_write(struct restore *r, const struct entry *entry, int fd,
    struct error *err);
/* 1 equal, 0 not, -1 error. */
int restore_content_compare(struct restore *r, const struct entry *entry, int fd,
    struct error *err);

/* restore_entry.c */
/* What is to be done with an entry of which another may be there.  0, or -1. */
int restore_decide(struct restore *r, int fd, const struct entry *entry,
    enum restore_action *ret, struct stat *ret_there, struct error *err);
/* Has what is open in fd this owner, mode, time and these attributes? */
bool restore_same_attributes(const struct restore *r, int fd, const struct entry *entry,
    const struct stat *st);
/* NAME.restored-N that is free; fails after many. */
int restore_side_name(int fd, const char *name, char out[RESTORE_NAME_SIZE], struct error *err);
void restore_item_write(struct restore *r, struct restore_item *item, int dir_fd);
void restore_item_dry(struct restore *r, struct restore_item *item);
/* The further names of files; after all batches. */
void restore_item_link(struct restore *r, struct restore_item *item);

/* restore_queue.c */
int restore_queue_start(struct restore *r, unsigned threads, restore_work_fn *work,
    struct error *err);
/* Takes the batch over, with what its runs hold. */
void restore_queue_put(struct restore *r, struct restore_batch *batch);
void restore_queue_drain(struct restore *r);  /* waits until all batches are done */
void restore_queue_finish(struct restore *r); /* waits for all and ends the threads */
/* The item was dealt with; lets its memory go, but not its folder. */
void restore_item_done(struct restore *r, struct restore_item *item);

/* restore_walk.c */
/*
 * Walk what is selected: folders are entered, the rest goes through the queue.  Losses are told;
 * stops when r->stopped.  Takes the reference to the target.
 */
void restore_walk(struct restore *r, const struct snapshot *snapshot,
    const struct selection *selection, struct restore_folder *target);

/* restore_verify.c */
/* Read back all that was written. */
void restore_verify(struct restore *r, const struct snapshot *snapshot,
    const struct selection *selection);
/* Was this ordinal written?  ret_name is its other name, NULL if it has none. */
bool restore_was_written(const struct restore *r, uint64_t ordinal, const char **ret_name);

#endif
