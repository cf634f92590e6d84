/*
 * The parts of a writer: workers (writer.c) that fill frames (frame_builder.c), which go into
 * packs (pack_set.c).  Nothing outside these files and stream.c includes this.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_WRITER_INTERNAL_H
#define HOLDFAST_AGENT_REPOSITORY_WRITER_INTERNAL_H

#include <pthread.h>

#include "agent/repository/repository_internal.h"
#include "agent/repository/writer.h"

/* Open packs, one of each kind, and the thread that makes full ones durable and indexes them. */
struct pack_set;

struct pack_set *pack_set_new(struct repository *repo, struct progress *progress);
/* Write a frame into the open pack of this kind; from any thread. */
int pack_set_write(struct pack_set *set, enum pack_kind kind, const struct buffer *payload,
    uint32_t plain_len, const struct pack_blob *blobs, size_t blob_count, struct error *err);
/* Make all packs durable and indexed; ends the set, also on failure. */
int pack_set_finish(struct pack_set *set, uint64_t *ret_stored_bytes, struct error *err);
void pack_set_abort(struct pack_set *set);

/* A frame being filled, by one thread at a time. */
struct frame_builder;

/* dense: for blobs that are compressed already. */
struct frame_builder *frame_builder_new(struct repository *repo, struct pack_set *set,
    enum pack_kind kind, bool dense, int level, bool verify);
void frame_builder_free(struct frame_builder *builder);
/* Append a blob that is new; writes the frame once it is full. */
int frame_builder_add(struct frame_builder *builder, const struct blob_id *id, const void *data,
    size_t len, struct error *err);
int frame_builder_flush(struct frame_builder *builder, struct error *err);

#endif
