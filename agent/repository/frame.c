#include "agent/repository/frame.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "shared/mem.h"

struct frame_coder {
	int level;
	ZSTD_CCtx *compress;   /* made at first use */
	ZSTD_DCtx *decompress; /* made at first use */
};

struct frame_coder *
frame_coder_new(int level)
{
	struct frame_coder *coder = MEM_NEW(struct frame_coder);

	coder->level = level != 0 ? level : FRAME_LEVEL_DEFAULT;
	return coder;
}

void
frame_coder_free(struct frame_coder *coder)
{
	if (coder == NULL)
		return;
	ZSTD_freeCCtx(coder->compress);
	ZSTD_freeDCtx(coder->decompress);
	free(coder);
}

/* Starts of common compressed formats. */
static const struct {
	const char *bytes;
	size_t len;
} dense_marks[] = {
	{ "\x1f\x8b\x08", 3 },       /* gzip */
	{ "\x89PNG", 4 },
	{ "\xff\xd8\xff", 3 },       /* JPEG */
	{ "PK\x03\x04", 4 },          /* zip */
	{ "\x28\xb5\x2f\xfd", 4 },  /* zstd */
	{ "\xfd" "7zXZ", 5 },
	{ "BZh", 3 },
	{ "wOF2", 4 },
};

/* A sample of four runs from all over; from so many bytes on it tells enough. */
#define SAMPLE_RUN 1024
#define SAMPLE_RUNS 4
#define SAMPLE (SAMPLE_RUN * SAMPLE_RUNS)
#define SAMPLED_FROM (2 * SAMPLE)

bool
frame_is_dense(const uint8_t *data, size_t len)
{
	uint16_t counts[256] = { 0 };
	uint64_t squares = 0;

	if (len < SAMPLED_FROM) {
		for (size_t i = 0; i < ARRAY_LEN(dense_marks); i++)
			if (len > dense_marks[i].len &&
			    memcmp(data, dense_marks[i].bytes, dense_marks[i].len) == 0)
				return true;
		return false;
	}
	for (size_t run = 0; run < SAMPLE_RUNS; run++) {
		const uint8_t *p = data + (len - SAMPLE_RUN) / (SAMPLE_RUNS - 1) * run;

		for (size_t i = 0; i < SAMPLE_RUN; i++)
			counts[p[i]]++;
	}
	for (size_t i = 0; i < 256; i++)
		squares += (uint64_t)counts[i] * counts[i];
	/* Evenly spread values give SAMPLE + SAMPLE^2 / 256; text gives several times that. */
	return squares * 100 < (SAMPLE + (uint64_t)SAMPLE * SAMPLE / 256) * 108;
}

int
frame_encode(struct frame_coder *coder, const void *plain, size_t len, struct buffer *ret,
    struct error *err)
{
	size_t bound = ZSTD_compressBound(len), n;

	if (coder->compress == NULL && (coder->compress = ZSTD_createCCtx()) == NULL)
		return error_set(err, ERROR_INTERNAL, "could not start zstd: no memory");
	buffer_clear(ret);
	buffer_reserve(ret, 1 + bound);
	n = ZSTD_compressCCtx(coder->compress, ret->data + 1, bound, plain, len, coder->level);
	if (ZSTD_isError(n))
		return error_set(err, ERROR_INTERNAL, "could not compress a frame: %s",
		    ZSTD_getErrorName(n));
	if (n < len) {
		ret->data[0] = FRAME_ZSTD;
		ret->len = 1 + n;
	} else {
		ret->data[0] = FRAME_STORED;
		memcpy(ret->data + 1, plain, len);
		ret->len = 1 + len;
	}
	return 0;
}

int
frame_decode(struct frame_coder *coder, const uint8_t *payload, size_t len, void *plain,
    size_t plain_len, struct error *err)
{
	size_t n;

	if (len < 1)
		return error_set(err, ERROR_CORRUPT, "frame is empty");
	switch (payload[0]) {
	case FRAME_STORED:
		if (len - 1 != plain_len)
			return error_set(err, ERROR_CORRUPT, "frame holds %zu bytes, not %zu",
			    len - 1, plain_len);
		memcpy(plain, payload + 1, plain_len);
		return 0;
	case FRAME_ZSTD:
		if (coder->decompress == NULL &&
		    (coder->decompress = ZSTD_createDCtx()) == NULL)
			return error_set(err, ERROR_INTERNAL, "could not start zstd: no memory");
		n = ZSTD_decompressDCtx(coder->decompress, plain, plain_len, payload + 1, len - 1);
		if (ZSTD_isError(n))
			return error_set(err, ERROR_CORRUPT, "could not decompress a frame: %s",
			    ZSTD_getErrorName(n));
		if (n != plain_len)
			return error_set(err, ERROR_CORRUPT, "frame holds %zu bytes, not %zu", n,
			    plain_len);
		return 0;
	default:
		return error_set(err, ERROR_CORRUPT, "frame has unknown codec %u", payload[0]);
	}
}
