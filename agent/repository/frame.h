/*
 * A frame's payload: the bytes of its blobs, one after the other, compressed together unless
 * that gains nothing.  Sealing and placing is the pack's business.
 * A frame_coder belongs to one thread.
 * Source: agent/repository/FORMAT.md, "Frame".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_FRAME_H
#define HOLDFAST_AGENT_REPOSITORY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/repository/blob.h"
#include "shared/buffer.h"
#include "shared/error.h"

/* Plain bytes: a frame is closed once it has reached its target, so it holds at most that much and
 * one blob.  A reader refuses more. */
#define FRAME_DATA_TARGET (2u << 20)
#define FRAME_META_TARGET (256u << 10)
#define FRAME_PLAIN_MAX (BLOB_MAX + FRAME_DATA_TARGET)
/* Payload: one byte of codec, and at worst the plain bytes. */
#define FRAME_PAYLOAD_MAX (1 + FRAME_PLAIN_MAX)
#define FRAME_BLOBS_MAX (1u << 16)

enum frame_codec { FRAME_STORED = 0, FRAME_ZSTD = 1 };

/* On mixed files level 2 is smaller than what `tar | zstd -3` makes of them, at two thirds of its
 * time. */
#define FRAME_LEVEL_DEFAULT 2

struct frame_coder;

struct frame_coder *frame_coder_new(int level);
void frame_coder_free(struct frame_coder *coder);

/*
 * Whether bytes are compressed (or encrypted) already, so that trying again gains nothing: by how
 * evenly the values of a sample are spread, of short ones by the mark at their start. A wrong
 * answer costs space or time, never data.
 */
bool frame_is_dense(const uint8_t *data, size_t len);

/* Replace ret by the payload of these plain bytes. */
int frame_encode(struct frame_coder *coder, const void *plain, size_t len, struct buffer *ret,
    struct error *err);
/* Exactly plain_len bytes into plain; anything else is ERROR_CORRUPT. */
int frame_decode(struct frame_coder *coder, const uint8_t *payload, size_t len, void *plain,
    size_t plain_len, struct error *err);

#endif
