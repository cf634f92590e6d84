#include <stdlib.h>
#include <string.h>

#include "agent/repository/writer_internal.h"
#include "shared/mem.h"

struct frame_builder {
	struct repository *repo;
	struct pack_set *set;
	enum pack_kind kind;
	size_t target; /* plain bytes */
	bool verify;
	struct frame_coder *coder;
	struct buffer plain, payload, again;
	struct pack_blob *blobs;
	uint8_t *kinds; /* of each blob, for hashing again */
	size_t blob_count, blob_cap;
};

struct frame_builder *
frame_builder_new(struct repository *repo, struct pack_set *set, enum pack_kind kind, int level,
    bool verify)
{
	struct frame_builder *builder = MEM_NEW(struct frame_builder);

	builder->repo = repo;
	builder->set = set;
	builder->kind = kind;
	builder->target = kind == PACK_META ? FRAME_META_TARGET : FRAME_DATA_TARGET;
	builder->verify = verify;
	builder->coder = frame_coder_new(level);
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
	free(builder->kinds);
	free(builder);
}

/*
 * Decode the payload and hash every blob: compressors and memory have corrupted data before, and a backup that is
 * wrong when it is written cannot be mended later.
 */
static int
verify_frame(struct frame_builder *builder, struct error *err)
{
	const uint8_t *p;
	struct blob_id id;

	buffer_clear(&builder->again);
	p = buffer_reserve(&builder->again, builder->plain.len);
	if (frame_decode(builder->coder, builder->payload.data, builder->payload.len,
	    builder->again.data, builder->plain.len, err) != 0)
		return error_prefix(err, "a frame did not survive compression: ");
	for (size_t i = 0; i < builder->blob_count; i++) {
		blob_hash(builder->repo->keys, builder->kinds[i], p, builder->blobs[i].len, &id);
		if (blob_id_compare(&id, &builder->blobs[i].id) != 0) {
			error_set(err, ERROR_INTERNAL,
			    "a blob changed between hashing and storing");
			return error_hint(err, "check this machine's memory");
		}
		p += builder->blobs[i].len;
	}
	return 0;
}

int
frame_builder_flush(struct frame_builder *builder, struct error *err)
{
	if (builder->blob_count == 0)
		return 0;
	if (frame_encode(builder->coder, builder->plain.data, builder->plain.len,
	    &builder->payload, err) != 0)
		return -1;
	if (builder->verify && verify_frame(builder, err) != 0)
		return -1;
	if (pack_set_write(builder->set, builder->kind, &builder->payload,
	    (uint32_t)builder->plain.len, builder->blobs, builder->blob_count, err) != 0)
		return -1;
	buffer_clear(&builder->plain);
	builder->blob_count = 0;
	return 0;
}

int
frame_builder_add(struct frame_builder *builder, enum blob_kind kind, const struct blob_id *id,
    const void *data, size_t len, struct error *err)
{
	if (builder->blob_count == builder->blob_cap) {
		builder->blob_cap = builder->blob_cap == 0 ? 256 : 2 * builder->blob_cap;
		builder->blobs = mem_realloc(builder->blobs, builder->blob_cap,
		    sizeof(*builder->blobs));
		builder->kinds = mem_realloc(builder->kinds, builder->blob_cap, 1);
	}
	builder->blobs[builder->blob_count].id = *id;
	builder->blobs[builder->blob_count].len = (uint32_t)len;
	builder->kinds[builder->blob_count++] = (uint8_t)kind;
	buffer_put(&builder->plain, data, len);
	if (builder->plain.len >= builder->target || builder->blob_count >= FRAME_BLOBS_MAX - 1)
		return frame_builder_flush(builder, err);
	return 0;
}
