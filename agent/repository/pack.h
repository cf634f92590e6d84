/*
 * Packs: immutable files of frames with their own directory.
 *
 * Invariants: frames follow each other without gaps from PACK_HEADER_SIZE on; the directory
 * follows the last frame, the trailer ends the file. Ownership: a pack_writer belongs to whoever
 * began it; pack_write_frame may be called from several threads at once (frames are sealed side
 * by side and written in order). After a crash: an unfinished pack lies under the storage's tmp/,
 * never under its name.
 * Source: agent/repository/FORMAT.md, "Pack".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_PACK_H
#define HOLDFAST_AGENT_REPOSITORY_PACK_H

#include <stdint.h>

#include "agent/repository/blob.h"
#include "agent/repository/crypto.h"
#include "agent/repository/frame.h"
#include "agent/storage/storage.h"
#include "shared/error.h"
#include "shared/progress.h"

#define PACK_HEADER_SIZE 40
#define PACK_TRAILER_SIZE 20
#define PACK_NAME_SIZE (sizeof("packs/xx/") + OBJECT_ID_TEXT_SIZE)
/* A pack is closed once it has reached its target. */
#define PACK_SIZE_TARGET (32u << 20)
#define PACK_SIZE_MAX (1u << 30)
#define PACK_FRAMES_MAX (1u << 20)
#define PACK_BLOBS_MAX (1u << 22)
#define PACK_DIRECTORY_MAX (192u << 20)

/* Meta packs hold trees and lists, so that looking into a snapshot reads little. */
enum pack_kind { PACK_DATA = 0, PACK_META = 1, PACK_KIND_COUNT };

struct pack_blob {
	struct blob_id id;
	uint32_t len; /* plain bytes */
};

struct pack_frame {
	uint32_t offset;     /* in the pack, bytes */
	uint32_t stored_len; /* sealed bytes */
	uint32_t plain_len;
	uint32_t first_blob, blob_count; /* in the directory's blobs */
};

struct pack_directory {
	struct object_id id;
	enum pack_kind kind;
	uint64_t size; /* of the whole file, bytes */
	struct pack_frame *frames;
	size_t frame_count, frame_cap;
	struct pack_blob *blobs;
	size_t blob_count, blob_cap;
	uint64_t sum; /* XXH3-64 of the whole file as it was written; known after pack_finish() only */
};

/* Where a pack's bytes come from: the storage, or what parity makes of it. */
struct pack_source {
	int (*get)(void *arg, uint64_t offset, void *buf, size_t len, struct error *err);
	void *arg;
	uint64_t size; /* of the whole file, bytes */
};

void pack_directory_free(struct pack_directory *directory);
void pack_name(const struct object_id *id, char out[PACK_NAME_SIZE]);
/* 0 and the id, or -1 if the name is not that of a pack. */
int pack_name_parse(const char *name, struct object_id *ret);

struct pack_writer;

int pack_begin(struct storage *storage, const struct keys *keys, enum pack_kind kind,
    struct pack_writer **ret, struct error *err);
/* Bytes written and reserved so far. */
uint64_t pack_writer_size(struct pack_writer *pack);
/* Reserve the place of a frame; then, in any thread and any order, pack_write_frame() it once. */
uint32_t pack_reserve(struct pack_writer *pack, size_t payload_len);
/* Seal a payload and write it at its reserved place; waits until the frames before it are
 * written. On failure the pack is lost, and every other call on it fails as well. */
int pack_write_frame(struct pack_writer *pack, uint32_t offset, const void *payload,
    size_t payload_len, uint32_t plain_len, const struct pack_blob *blobs, size_t blob_count, struct error *err);
/* Write the directory and make the pack durable; ends the writer, also on failure.  All reserved
 * frames must have been written. */
int pack_finish(struct pack_writer *pack, struct pack_directory **ret, struct error *err);
void pack_abort(struct pack_writer *pack);

/* The first PACK_HEADER_SIZE bytes of a pack. */
int pack_header_check(const uint8_t *header, const struct keys *keys, const struct object_id *id,
    struct error *err);
/* Read and check a pack's directory, without its frames. */
int pack_read_directory(struct storage *storage, const struct keys *keys,
    const struct object_id *id, struct pack_directory **ret, struct error *err);
/* Read one frame and decode it into plain (plain_len bytes). */
int pack_read_frame(struct storage *storage, const struct keys *keys, struct frame_coder *coder,
    const struct object_id *id, uint32_t offset, uint32_t stored_len, void *plain,
    uint32_t plain_len, struct error *err);

/* The same from any source. */
int pack_directory_from(const struct pack_source *source, const struct keys *keys,
    const struct object_id *id, struct pack_directory **ret, struct error *err);
int pack_frame_from(const struct pack_source *source, const struct keys *keys,
    struct frame_coder *coder, const struct object_id *id, uint32_t offset, uint32_t stored_len,
    void *plain, uint32_t plain_len, struct error *err);
/* Decode a frame that is in memory as it lies in the pack. */
int pack_frame_open(const struct keys *keys, struct frame_coder *coder, const struct object_id *id,
    uint32_t offset, const uint8_t *sealed, uint32_t stored_len, void *plain, uint32_t plain_len,
    struct error *err);
/* Whether a decoded frame holds the blobs that the directory names. */
int pack_frame_check(const struct keys *keys, const struct pack_directory *directory,
    const struct pack_frame *frame, const uint8_t *plain, struct error *err);

/* The storage as a source; name is filled in, and used by it. */
struct pack_stored {
	struct storage *storage;
	char name[PACK_NAME_SIZE];
};
/* As it is there; size is 0 if it is not. */
int pack_stored_source(struct pack_stored *stored, struct storage *storage,
    const struct object_id *id, struct pack_source *ret, struct error *err);
/*
 * Read a whole pack: every byte of it is part of something that opens, and every blob is what its
 * name says.
 *   put       where the pack is written as it is read; NULL: nowhere
 *   progress  asked between frames; may be NULL
 *   ret_sum   XXH3-64 of the file
 */
int pack_verify(const struct pack_source *source, const struct keys *keys,
    const struct object_id *id, struct storage_put *put, struct progress *progress,
    uint64_t *ret_sum, struct error *err);

/* The directory's plain form; for the pack, its tests and fuzzers. */
void pack_directory_encode(const struct pack_directory *directory, struct buffer *ret);
int pack_directory_decode(const void *data, size_t len, struct pack_directory **ret,
    struct error *err);

#endif
