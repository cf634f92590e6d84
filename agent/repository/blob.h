/*
 * Names of blobs, and the limits that bound everything read back from a repository.
 * Source: agent/repository/FORMAT.md, "Limits" and "Blob".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_BLOB_H
#define HOLDFAST_AGENT_REPOSITORY_BLOB_H

#include <stdint.h>
#include <string.h>

#define BLOB_ID_SIZE 32
#define BLOB_ID_TEXT_SIZE (2 * BLOB_ID_SIZE + 1)

/* Plain bytes of one blob; a reader refuses more before it allocates. */
#define BLOB_MAX (16u << 20)

/* A keyed hash (HMAC-SHA-256) of the blob's kind and bytes. */
struct blob_id {
	uint8_t bytes[BLOB_ID_SIZE];
};

/* The kind is part of the hash, so one kind of blob can never pose as another. */
enum blob_kind {
	BLOB_DATA = 0,  /* a small file, or a chunk of a larger one */
	BLOB_TREE = 1,  /* (a part of) one directory's entries */
	BLOB_LIST = 2,  /* names of further blobs, for contents of many chunks */
	BLOB_KIND_COUNT
};

static inline int
blob_id_compare(const struct blob_id *a, const struct blob_id *b)
{
	return memcmp(a->bytes, b->bytes, BLOB_ID_SIZE);
}

void blob_id_text(const struct blob_id *id, char out[BLOB_ID_TEXT_SIZE]);

#endif
