/*
 * The payload of a frame; the first three bytes of the input are the plain length that the index
 * claims.  A payload that decodes must give the same bytes when it is encoded and decoded again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/frame.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_coder *coder;
	struct buffer payload = BUFFER_INIT;
	struct error err = ERROR_INIT;
	uint8_t *plain, *again;
	size_t len;

	if (size < 3)
		return 0;
	len = (size_t)data[0] | (size_t)data[1] << 8 | (size_t)(data[2] & 0x1f) << 16;
	plain = malloc(len > 0 ? len : 1);
	again = malloc(len > 0 ? len : 1);
	assert(plain != NULL && again != NULL);
	coder = frame_coder_new(1);
	if (frame_decode(coder, data + 3, size - 3, plain, len, &err) != 0) {
		assert(err.code == ERROR_CORRUPT);
	} else {
		assert(frame_encode(coder, plain, len, &payload, &err) == 0);
		assert(frame_decode(coder, payload.data, payload.len, again, len, &err) == 0);
		assert(memcmp(plain, again, len) == 0);
	}
	frame_coder_free(coder);
	buffer_done(&payload);
	free(plain);
	free(again);
	return 0;
}
