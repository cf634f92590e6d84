#define XXH_INLINE_ALL
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "agent/repository/writer_internal.h"
#include "shared/mem.h"

struct frame_builder {
	struct repository *repo;
	struct pack_set *set;
	enum pack_kind kind;
	size_t target; /* plain bytes */
	bool dense;    /* its blobs are compressed already */
	bool verify;
	struct frame_coder *coder;
	struct buffer plain;   /* a codec byte, then the blobs: as it is, a stored payload */
	struct buffer payload; /* compressed */
	struct buffer again;   /* and decompressed once more */
	struct pack_blob *blobs;
	size_t blob_count, blob_cap;
	XXH3_state_t *sum; /* of the plain bytes, taken right after each blob was named */
};

struct frame_builder *
frame_builder_new(struct repository *repo, struct pack_set *set, enum pack_kind kind, bool dense,
    int level, bool verify)
{
	struct frame_builder *builder = MEM_NEW(struct frame_builder);

	builder->repo = repo;
	builder->set = set;
	builder->kind = kind;
	builder->target = kind == PACK_META ? FRAME_META_TARGET : FRAME_DATA_TARGET;
	builder->dense = dense;
	builder->verify = verify;
	builder->coder = frame_coder_new(level);
	builder->sum = XXH3_createState();
	XXH3_128bits_reset(builder->sum);
	buffer_put_u8(&builder->plain, FRAME_STORED);
	return builder;
}

void
frame_builder_free(struct frame_builder *builder)
{
	if (builder == NULL)
		return;
	frame_coder_free(builder->coder);
	buffer_done(&builder->plain);
	buffer_done(&builder->payload);
	buffer_done(&builder->again);
	free(builder->blobs);
	XXH3_freeState(builder->sum);
	free(builder);
}

/*
 * Decode the payload and compare it with the sum of what was named: compressors and memory have
 * corrupted data before, and a backup that is wrong when it is written cannot be mended later.
 * The sum is of 128 bits and not of the blobs' keyed hash: it guards against accidents and costs
 * a tenth.
 */
static int
verify_frame(struct frame_builder *builder, const struct buffer *payload, struct error *err)
{
	XXH128_hash_t want = XXH3_128bits_digest(builder->sum);
	size_t len = builder->plain.len - 1;
	const uint8_t *again = builder->plain.data + 1;

	if (payload == &builder->payload) {
		buffer_clear(&builder->again);
		again = buffer_reserve(&builder->again, len);
		if (frame_decode(builder->coder, payload->data, payload->len,
		    builder->again.data, len, err) != 0)
			return error_prefix(err, "a frame did not survive compression: ");
	}
	if (!XXH128_isEqual(want, XXH3_128bits(again, len))) {
		error_set(err, ERROR_INTERNAL, "a frame changed between hashing and storing");
		return error_hint(err, "check this machine's memory");
	}
	return 0;
}

int
frame_builder_flush(struct frame_builder *builder, struct error *err)
{
	const struct buffer *payload = builder->dense ? &builder->plain : &builder->payload;
	size_t len = builder->plain.len - 1;

	if (builder->blob_count == 0)
		return 0;
	if (!builder->dense && frame_encode(builder->coder, builder->plain.data + 1, len,
	    &builder->payload, err) != 0)
		return -1;
	if (builder->verify && verify_frame(builder, payload, err) != 0)
		return -1;
	if (pack_set_write(builder->set, builder->kind, payload, (uint32_t)len, builder->blobs,
	    builder->blob_count, err) != 0)
		return -1;
	builder->plain.len = 1;
	builder->blob_count = 0;
	XXH3_128bits_reset(builder->sum);
	return 0;
}

int
frame_builder_add(struct frame_builder *builder, const struct blob_id *id, const void *data,
    size_t len, struct error *err)
{
	MEM_GROW(builder->blobs, builder->blob_count, builder->blob_cap);
	builder->blobs[builder->blob_count].id = *id;
	builder->blobs[builder->blob_count++].len = (uint32_t)len;
	if (builder->verify)
		XXH3_128bits_update(builder->sum, data, len);
	buffer_put(&builder->plain, data, len);
	if (builder->plain.len > builder->target || builder->blob_count >= FRAME_BLOBS_MAX - 1)
		return frame_builder_flush(builder, err);
	return 0;
}
