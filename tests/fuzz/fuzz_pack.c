/*
 * The directory of a pack.  What decodes must describe frames that follow each other without
 * gaps, and encode to a directory that decodes to the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pack_directory *directory, *again;
	struct buffer buf = BUFFER_INIT;
	struct error err = ERROR_INIT;
	uint64_t offset = PACK_HEADER_SIZE;
	size_t blobs = 0;

	if (pack_directory_decode(data, size, &directory, &err) != 0) {
		assert(err.code == ERROR_CORRUPT);
		return 0;
	}
	for (size_t f = 0; f < directory->frame_count; f++) {
		const struct pack_frame *frame = &directory->frames[f];
		uint64_t plain = 0;

		assert(frame->offset == offset && frame->first_blob == blobs);
		assert(frame->plain_len <= FRAME_PLAIN_MAX);
		for (size_t b = 0; b < frame->blob_count; b++)
			plain += directory->blobs[blobs++].len;
		assert(plain == frame->plain_len);
		offset += frame->stored_len;
	}
	assert(blobs == directory->blob_count && offset <= PACK_SIZE_MAX);
	pack_directory_encode(directory, &buf);
	assert(pack_directory_decode(buf.data, buf.len, &again, &err) == 0);
	assert(again->blob_count == blobs && again->frame_count == directory->frame_count);
	assert(blobs == 0 ||
	    memcmp(again->blobs, directory->blobs, blobs * sizeof(*again->blobs)) == 0);
	pack_directory_free(again);
	pack_directory_free(directory);
	buffer_done(&buf);
	return 0;
}
