/*
 * The bytes of one file in a snapshot, streamed or from any offset.
 * One reader belongs to one thread at a time; any number of readers share the repository.
 * Memory: a few decoded frames, shared by all readers of the repository.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CONTENT_H
#define HOLDFAST_AGENT_REPOSITORY_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "agent/repository/tree.h"
#include "shared/error.h"

struct content;

/* The entry must be a file; it is not kept. */
int content_open(struct repository *repo, const struct entry *entry, struct content **ret,
    struct error *err);
void content_close(struct content *content);
/* From now on, compare each blob of data with its name: a hash of every byte. */
void content_set_checked(struct content *content);

/*
 * The next run of data, in file order: 1 and lent bytes (valid until the next call) with their
 * offset in the file, 0 at the end, -1 error.  Holes are not returned; they lie between.
 */
int content_next(struct content *content, uint64_t *ret_offset, const uint8_t **ret_data,
    size_t *ret_len, struct error *err);

/* Make content_next start at the data that holds, or first follows, this file offset; the first
 * run may then start within a blob. */
int content_seek(struct content *content, uint64_t offset, struct error *err);

/*
 * Fill buf with len bytes from offset, holes as zeros; offset + len must not pass the file's
 * size.  Sequential calls are cheap.
 */
int content_read(struct content *content, uint64_t offset, void *buf, size_t len,
    struct error *err);

#endif
