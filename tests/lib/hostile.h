/*
 * A repository whose writer has the key and means ill: blobs, frames, index files and snapshots with
 * anything in them, sealed as they should be.
 * Whatever fails here ends the test.
 */
#ifndef HOLDFAST_TESTS_LIB_HOSTILE_H
#define HOLDFAST_TESTS_LIB_HOSTILE_H

#include <jansson.h>

#include "agent/repository/repository_internal.h"
#include "agent/repository/snapshot.h"
#include "agent/repository/tree.h"

struct hostile {
	struct repository *repo;
	struct pack_writer *pack;
	struct buffer plain;     /* of the frame that is being filled */
	struct pack_blob *blobs; /* in it */
	size_t blob_count, blob_cap;
};

void hostile_begin(struct hostile *hostile, struct repository *repo);
/* A blob under its own name. */
void hostile_put(struct hostile *hostile, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret);
/* Bytes under a name that is not theirs. */
void hostile_put_as(struct hostile *hostile, const struct blob_id *name, const void *data,
    size_t len);
/* A frame with this payload (codec and data), which is said to hold one blob of plain_len bytes. */
void hostile_put_payload(struct hostile *hostile, const struct blob_id *name, const void *payload,
    size_t len, uint32_t plain_len);
/* Entries in the order given, as one tree. */
void hostile_put_tree(struct hostile *hostile, struct entry *const *entries, size_t count,
    struct blob_id *ret);
/* Make all of it durable and indexed. */
void hostile_finish(struct hostile *hostile);

/* A snapshot of these root parts, with "/x" as its source; its id. */
void hostile_snapshot(struct repository *repo, const struct blob_id *roots, size_t root_count,
    char ret_id[SNAPSHOT_ID_TEXT_SIZE]);
/* A sealed object with this document, under snapshots/. */
void hostile_document(struct repository *repo, const json_t *json,
    char ret_id[SNAPSHOT_ID_TEXT_SIZE]);
/* An index file whose header is this. */
void hostile_index(struct repository *repo, const void *header, size_t len);

#endif
