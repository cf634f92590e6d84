#include "agent/http/compress.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "agent/http/negotiate.h"
#include "shared/mem.h"

/* Up to this a body is packed well: some milliseconds. */
#define WELL_MAX (256u << 10)

#define LEVEL_QUICK 1
#define LEVEL_WELL 6

/* 15 bits of window; 16 makes it gzip. */
#define WINDOW_GZIP (15 + 16)
#define MEMORY_LEVEL 8

struct compressor {
	z_stream zlib;
};

static struct compressor *
new_of_level(int level)
{
	struct compressor *compressor = MEM_NEW(struct compressor);
	int rc = deflateInit2(&compressor->zlib, level, Z_DEFLATED, WINDOW_GZIP, MEMORY_LEVEL,
	    Z_DEFAULT_STRATEGY);

	/* A quarter of a megabyte: as any small allocation. */
	if (rc == Z_MEM_ERROR)
		abort();
	assert(rc == Z_OK);
	return compressor;
}

struct compressor *
compressor_new(void)
{
	return new_of_level(LEVEL_QUICK);
}

void
compressor_free(struct compressor *compressor)
{
	if (compressor == NULL)
		return;
	deflateEnd(&compressor->zlib);
	free(compressor);
}

void
compressor_put(struct compressor *compressor, const void *data, size_t len, bool last,
    struct buffer *out)
{
	z_stream *zlib = &compressor->zlib;
	size_t room;

	zlib->next_in = (Bytef *)(uintptr_t)data;
	zlib->avail_in = (uInt)len;
	do {
		room = deflateBound(zlib, zlib->avail_in) + 64;
		zlib->next_out = buffer_reserve(out, room);
		zlib->avail_out = (uInt)room;
		deflate(zlib, last ? Z_FINISH : Z_SYNC_FLUSH);
		out->len += room - zlib->avail_out;
	} while (zlib->avail_out == 0);
}

bool
compress_takes(const char *content_type)
{
	static const char *const types[] = { "application/json", "application/problem+json",
		"application/x-ndjson", "text/csv", "text/plain" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (media_type_is(content_type, types[i]))
			return true;
	return false;
}

bool
compress_body(struct buffer *body)
{
	struct buffer packed = BUFFER_INIT;
	struct compressor *compressor;

	if (body->len < COMPRESS_MIN || body->len > COMPRESS_MAX)
		return false;
	compressor = new_of_level(body->len > WELL_MAX ? LEVEL_QUICK : LEVEL_WELL);
	compressor_put(compressor, body->data, body->len, true, &packed);
	compressor_free(compressor);
	if (packed.len >= body->len) {
		buffer_done(&packed);
		return false;
	}
	buffer_done(body);
	*body = packed;
	return true;
}
