#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "agent/repository/pack.h"
#include "shared/mem.h"

struct verify {
	const struct pack_source *source;
	const struct keys *keys;
	const struct object_id *id;
	struct storage_put *put;
	struct progress *progress;
	struct frame_coder *coder;
	XXH3_state_t *sum;
	struct buffer stored, plain;
};

/* The next bytes of the pack, as they are, into verify->stored. */
static int
take(struct verify *verify, uint64_t offset, size_t len, struct error *err)
{
	const struct pack_source *source = verify->source;

	buffer_clear(&verify->stored);
	buffer_reserve(&verify->stored, len);
	if (source->get(source->arg, offset, verify->stored.data, len, err) != 0)
		return -1;
	verify->stored.len = len;
	XXH3_64bits_update(verify->sum, verify->stored.data, len);
	return verify->put == NULL ? 0 :
	    storage_put_write(verify->put, verify->stored.data, len, err);
}

static int
verify_frame(struct verify *verify, const struct pack_directory *directory,
    const struct pack_frame *frame, struct error *err)
{
	buffer_clear(&verify->plain);
	buffer_reserve(&verify->plain, frame->plain_len);
	if (take(verify, frame->offset, frame->stored_len, err) != 0)
		return -1;
	if (pack_frame_open(verify->keys, verify->coder, verify->id, frame->offset,
	    verify->stored.data, frame->stored_len, verify->plain.data, frame->plain_len,
	    err) != 0 ||
	    pack_frame_check(verify->keys, directory, frame, verify->plain.data, err) != 0)
		return error_prefix(err, "frame at %u: ", frame->offset);
	return 0;
}

static int
verify_all(struct verify *verify, const struct pack_directory *directory, struct error *err)
{
	uint64_t end = PACK_HEADER_SIZE;

	if (take(verify, 0, PACK_HEADER_SIZE, err) != 0 ||
	    pack_header_check(verify->stored.data, verify->keys, verify->id, err) != 0)
		return -1;
	for (size_t f = 0; f < directory->frame_count; f++) {
		const struct pack_frame *frame = &directory->frames[f];

		if (verify->progress != NULL && progress_check(verify->progress, err) != 0)
			return -1;
		if (verify_frame(verify, directory, frame, err) != 0)
			return -1;
		end = frame->offset + (uint64_t)frame->stored_len;
	}
	/* What is left was opened to get here. */
	return take(verify, end, (size_t)(directory->size - end), err);
}

int
pack_verify(const struct pack_source *source, const struct keys *keys,
    const struct object_id *id, struct storage_put *put, struct progress *progress,
    uint64_t *ret_sum, struct error *err)
{
	struct verify verify = { .source = source, .keys = keys, .id = id, .put = put,
		.progress = progress, .stored = BUFFER_INIT, .plain = BUFFER_INIT };
	struct pack_directory *directory = NULL;
	char name[PACK_NAME_SIZE];
	int rc = -1;

	pack_name(id, name);
	verify.coder = frame_coder_new(0);
	verify.sum = XXH3_createState();
	if (verify.sum == NULL) {
		error_set(err, ERROR_INTERNAL, "could not start a checksum: no memory");
		goto out;
	}
	XXH3_64bits_reset(verify.sum);
	if (source->size == 0)
		error_set(err, ERROR_NOT_FOUND, "pack is missing");
	else if (pack_directory_from(source, keys, id, &directory, err) == 0)
		rc = verify_all(&verify, directory, err);
	if (rc == 0 && ret_sum != NULL)
		*ret_sum = XXH3_64bits_digest(verify.sum);
out:
	if (rc != 0 && err->code != ERROR_CANCELLED)
		error_prefix(err, "%s: ", name);
	pack_directory_free(directory);
	XXH3_freeState(verify.sum);
	frame_coder_free(verify.coder);
	buffer_done(&verify.stored);
	buffer_done(&verify.plain);
	return rc;
}
