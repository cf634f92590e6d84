/*
 * Snapshots: one small sealed file each, naming the root tree of a finished backup.
 * Source: agent/repository/FORMAT.md, "Snapshot".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_SNAPSHOT_H
#define HOLDFAST_AGENT_REPOSITORY_SNAPSHOT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "agent/repository/blob.h"
#include "shared/error.h"

struct repository;

#define SNAPSHOT_ID_TEXT_SIZE 33 /* 16 random bytes in hexadecimal and a NUL */

/* A path that could not be read, as the snapshot remembers it. */
struct snapshot_loss {
	char *path;   /* printable */
	char *reason;
};

struct snapshot {
	char id[SNAPSHOT_ID_TEXT_SIZE];
	uint64_t sequence;  /* rises by one; orders snapshots whatever the clock said */
	struct timespec time, finished;
	char *host, *kind; /* kind: "files", "tables", "mixed", "stream" */
	char *job, *run;   /* or NULL */
	char *parent;      /* the snapshot it was compared with, or NULL */
	char *program;     /* "holdfast 0.1.0" */
	char **sources;    /* absolute paths, printable form of their bytes (text_printable) */
	size_t source_count;
	char **tags;
	size_t tag_count;
	struct blob_id *roots; /* parts of the root tree */
	size_t root_count;
	uint64_t files, directories, others; /* entries by kind */
	uint64_t bytes;         /* sum of the files' sizes */
	uint64_t new_files, changed_files, unmodified_files;
	uint64_t added_blobs, added_bytes; /* plain bytes of blobs that were new */
	uint64_t stored_bytes;  /* what they take in packs */
	bool warn;              /* finished with losses */
	bool pinned;            /* by snapshot_list and snapshot_find: retention never touches it */
	uint64_t loss_total;
	struct snapshot_loss *losses; /* the first of them */
	size_t loss_count;
};

void snapshot_free(struct snapshot *snapshot);

/* All snapshots, oldest first (by sequence).  Damaged ones are passed to bad(), if not NULL,
 * and left out.  Caller frees each and the array. */
int snapshot_list(struct repository *repo, struct snapshot ***ret, size_t *ret_count,
    void (*bad)(void *arg, const char *id, const struct error *why), void *bad_arg,
    struct error *err);
/* By id, unambiguous prefix of an id (at least 4 digits), or "latest".
 * ERROR_NOT_FOUND, ERROR_AMBIGUOUS, ERROR_CORRUPT. */
int snapshot_find(struct repository *repo, const char *name, struct snapshot **ret,
    struct error *err);
/* Forget a snapshot: it moves to the trash; its data stays until a prune after the grace period.
 * Takes a full id.  ERROR_CONFLICT if it is pinned. */
int snapshot_remove(struct repository *repo, const char *id, struct error *err);

/* Pin a snapshot, or take the pin away: a pinned one can be neither forgotten nor pruned. */
int snapshot_pin(struct repository *repo, const char *id, bool pinned, struct error *err);

/* Snapshots that were forgotten and whose data is still there, each with the time it was forgotten;
 * damaged ones are left out.  Caller frees each snapshot and both arrays. */
int snapshot_list_trash(struct repository *repo, struct snapshot ***ret,
    struct timespec **ret_times, size_t *ret_count, struct error *err);
/* Bring a forgotten snapshot back, by its id or an unambiguous prefix; ret_id is its full id. */
int snapshot_recall(struct repository *repo, const char *name, char ret_id[SNAPSHOT_ID_TEXT_SIZE],
    struct error *err);

/*
 * Publish a finished backup: gives it its id and a sequence above all others. Everything it leads
 * to must be durable and indexed (writer_finish).
 */
int snapshot_publish(struct repository *repo, struct snapshot *snapshot, struct error *err);
/* Take a snapshot back that was published just now, and that nobody may have relied on. */
int snapshot_withdraw(struct repository *repo, const struct snapshot *snapshot,
    struct error *err);

/* The API's form of a snapshot, also what is sealed in the file; from_json checks everything. */
json_t *snapshot_to_json(const struct snapshot *snapshot);
int snapshot_from_json(const json_t *json, struct snapshot **ret, struct error *err);

#endif
