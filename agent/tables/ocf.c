#include "agent/tables/ocf.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define SYNC_SIZE 16
#define READ_SIZE (256u << 10)
#define META_MAX 1000 /* entries */
#define SNAPPY_CRC_SIZE 4
/* Its densest element stands for 64 bytes, in 3. */
#define SNAPPY_RATIO_MAX 22

enum codec { CODEC_NULL, CODEC_DEFLATE, CODEC_SNAPPY, CODEC_ZSTANDARD };

static const char *const codec_words[] = { [CODEC_NULL] = "null", [CODEC_DEFLATE] = "deflate",
	[CODEC_SNAPPY] = "snappy", [CODEC_ZSTANDARD] = "zstandard" };

struct meta {
	char *name, *value;
	size_t len;
};

struct ocf {
	ocf_source_fn *source;
	void *arg;
	struct buffer in;   /* what was read and not used yet, from at on */
	size_t at;
	bool ended;         /* the source has no more */
	uint64_t bytes;     /* used so far */
	struct meta *metas;
	size_t meta_count;
	struct ocf_schema *schema;
	enum codec codec;
	uint8_t sync[SYNC_SIZE];
	struct ocf_value *values;
	struct buffer inflated;
	const uint8_t *p, *end; /* of the block's rows */
	uint64_t rows_left;
	uint64_t block_size; /* as stored, of the block under way */
	bool in_block;
	ZSTD_DCtx *zstd;
};

static int
damaged(struct error *err, const char *what)
{
	return error_set(err, ERROR_CORRUPT, "the Avro file is damaged: %s", what);
}

/* ---- bytes in */

/* Have len bytes from at on, or say that the file ends before: 1, 0, -1. */
static int
want(struct ocf *file, size_t len, struct error *err)
{
	struct buffer *in = &file->in;

	if (in->len - file->at >= len)
		return 1;
	if (file->at > 0) {
		memmove(in->data, in->data + file->at, in->len - file->at);
		in->len -= file->at;
		file->at = 0;
	}
	while (in->len < len && !file->ended) {
		/* Room grows with what really comes, whatever the file promises. */
		int64_t n = file->source(file->arg, buffer_reserve(in, READ_SIZE), READ_SIZE, err);

		if (n < 0)
			return -1;
		file->ended = n == 0;
		in->len += (size_t)n;
	}
	return in->len >= len;
}

static int
need(struct ocf *file, size_t len, const uint8_t **ret, struct error *err)
{
	int rc = want(file, len, err);

	if (rc == 0)
		return damaged(err, "it ends in the middle");
	if (rc < 0)
		return -1;
	*ret = file->in.data + file->at;
	file->at += len;
	file->bytes += len;
	return 0;
}

static int
need_long(struct ocf *file, int64_t *ret, struct error *err)
{
	const uint8_t *byte = NULL;
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		if (need(file, 1, &byte, err) != 0)
			return -1;
		if (shift == 63 && (*byte & 0xfe) != 0)
			break;
		v |= (uint64_t)(*byte & 0x7f) << shift;
		if ((*byte & 0x80) == 0) {
			*ret = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
			return 0;
		}
	}
	return damaged(err, "a number is too long");
}

/* ---- the head */

static int
read_meta_text(struct ocf *file, char **ret, size_t *ret_len, struct error *err)
{
	const uint8_t *data;
	int64_t len;

	if (need_long(file, &len, err) != 0)
		return -1;
	if (len < 0 || file->bytes + (uint64_t)len > OCF_HEAD_MAX)
		return damaged(err, "its metadata is too long");
	if (need(file, (size_t)len, &data, err) != 0)
		return -1;
	*ret = mem_calloc(1, (size_t)len + 1);
	if (len > 0)
		memcpy(*ret, data, (size_t)len);
	*ret_len = (size_t)len;
	return 0;
}

static int
read_meta(struct ocf *file, struct error *err)
{
	int64_t count, size;
	struct meta *meta;
	size_t len;

	for (;;) {
		if (need_long(file, &count, err) != 0)
			return -1;
		if (count == 0)
			return 0;
		/* A negative count is followed by the length of its block. */
		if (count < 0) {
			if (count == INT64_MIN || need_long(file, &size, err) != 0)
				return damaged(err, "its metadata has no length");
			count = -count;
		}
		if (count > META_MAX || file->meta_count + (size_t)count > META_MAX)
			return damaged(err, "it has too much metadata");
		file->metas = mem_realloc(file->metas, file->meta_count + (size_t)count,
		    sizeof(*file->metas));
		for (; count > 0; count--) {
			meta = &file->metas[file->meta_count];
			memset(meta, 0, sizeof(*meta));
			file->meta_count++;
			if (read_meta_text(file, &meta->name, &len, err) != 0 ||
			    read_meta_text(file, &meta->value, &meta->len, err) != 0)
				return -1;
		}
	}
}

const char *
ocf_meta(const struct ocf *file, const char *name, size_t *ret_len)
{
	for (size_t i = 0; i < file->meta_count; i++) {
		if (strcmp(file->metas[i].name, name) != 0)
			continue;
		if (ret_len != NULL)
			*ret_len = file->metas[i].len;
		return file->metas[i].value;
	}
	return NULL;
}

static int
choose_codec(struct ocf *file, struct error *err)
{
	const char *codec = ocf_meta(file, "avro.codec", NULL);
	char *printable;

	if (codec == NULL)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(codec_words); i++) {
		if (strcmp(codec, codec_words[i]) != 0)
			continue;
		file->codec = (enum codec)i;
		return 0;
	}
	printable = text_printable(codec, strlen(codec));
	error_set(err, ERROR_UNSUPPORTED, "the Avro file is compressed by '%.50s'", printable);
	free(printable);
	return error_hint(err, "write it with the codec null, deflate, snappy or zstandard");
}

static int
read_head(struct ocf *file, struct error *err)
{
	const uint8_t *data;
	const char *schema;
	size_t len = 0;
	int rc = want(file, 4, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || memcmp(file->in.data + file->at, "Obj\1", 4) != 0)
		return error_set(err, ERROR_CORRUPT, "this is no Avro object container file");
	if (need(file, 4, &data, err) != 0 || read_meta(file, err) != 0 ||
	    choose_codec(file, err) != 0 || need(file, SYNC_SIZE, &data, err) != 0)
		return -1;
	memcpy(file->sync, data, SYNC_SIZE);
	schema = ocf_meta(file, "avro.schema", &len);
	if (schema == NULL)
		return damaged(err, "it has no schema");
	if (ocf_schema_parse(schema, len, &file->schema, err) != 0)
		return -1;
	file->values = mem_calloc(file->schema->field_count + 1, sizeof(*file->values));
	return 0;
}

int
ocf_open(ocf_source_fn *source, void *arg, struct ocf **ret, struct error *err)
{
	struct ocf *file = MEM_NEW(struct ocf);

	file->source = source;
	file->arg = arg;
	if (read_head(file, err) != 0) {
		ocf_free(file);
		return -1;
	}
	*ret = file;
	return 0;
}

void
ocf_free(struct ocf *file)
{
	if (file == NULL)
		return;
	for (size_t i = 0; i < file->meta_count; i++) {
		free(file->metas[i].name);
		free(file->metas[i].value);
	}
	free(file->metas);
	ocf_schema_free(file->schema);
	free(file->values);
	buffer_done(&file->in);
	buffer_done(&file->inflated);
	ZSTD_freeDCtx(file->zstd);
	free(file);
}

const struct ocf_schema *
ocf_schema(const struct ocf *file)
{
	return file->schema;
}

const char *
ocf_schema_text(const struct ocf *file)
{
	return ocf_meta(file, "avro.schema", NULL);
}

uint64_t
ocf_bytes(const struct ocf *file)
{
	return file->bytes;
}

/* ---- blocks */

static int
too_much(struct error *err)
{
	return error_set(err, ERROR_TOO_LARGE,
	    "a block of the Avro file inflates to more than %u MiB", OCF_INFLATED_MAX >> 20);
}

/* Raw deflate, without zlib's own head. */
static int
inflate_block(struct ocf *file, const uint8_t *data, size_t len, struct error *err)
{
	z_stream z;
	int rc;

	memset(&z, 0, sizeof(z));
	if (inflateInit2(&z, -15) != Z_OK)
		return error_set(err, ERROR_INTERNAL, "could not begin to inflate");
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	do {
		z.next_out = buffer_reserve(&file->inflated, READ_SIZE);
		z.avail_out = READ_SIZE;
		rc = inflate(&z, Z_NO_FLUSH);
		file->inflated.len += READ_SIZE - z.avail_out;
	} while (rc == Z_OK && file->inflated.len <= OCF_INFLATED_MAX);
	inflateEnd(&z);
	if (rc == Z_OK)
		return too_much(err);
	if (rc != Z_STREAM_END)
		return damaged(err, "a block does not inflate");
	return 0;
}

static int
unzstd_block(struct ocf *file, const uint8_t *data, size_t len, struct error *err)
{
	ZSTD_inBuffer in = { data, len, 0 };
	size_t rc = 1;

	if (file->zstd == NULL)
		file->zstd = ZSTD_createDCtx();
	ZSTD_DCtx_reset(file->zstd, ZSTD_reset_session_only);
	for (;;) {
		ZSTD_outBuffer out = { buffer_reserve(&file->inflated, READ_SIZE), READ_SIZE, 0 };

		rc = ZSTD_decompressStream(file->zstd, &out, &in);
		file->inflated.len += out.pos;
		if (ZSTD_isError(rc) || (rc != 0 && in.pos == in.size && out.pos < out.size))
			return damaged(err, "a block does not decompress");
		if (rc == 0 && in.pos == in.size)
			return 0;
		if (file->inflated.len > OCF_INFLATED_MAX)
			return too_much(err);
	}
}

/* A block, and behind it the CRC-32 of what it holds, high byte first. */
static int
unsnap_block(struct ocf *file, const uint8_t *data, size_t len, struct error *err)
{
	const char *in = (const char *)data;
	const uint8_t *crc;
	uint8_t *out;
	size_t n;

	if (len < SNAPPY_CRC_SIZE)
		return damaged(err, "a block has no room for its CRC");
	len -= SNAPPY_CRC_SIZE;
	crc = data + len;
	/* The length stands in the block: no more is believed than so many bytes can hold. */
	if (snappy_uncompressed_length(in, len, &n) != SNAPPY_OK || n / SNAPPY_RATIO_MAX > len)
		return damaged(err, "a block does not decompress");
	if (n > OCF_INFLATED_MAX)
		return too_much(err);
	out = buffer_reserve(&file->inflated, n);
	if (snappy_uncompress(in, len, (char *)out, &n) != SNAPPY_OK)
		return damaged(err, "a block does not decompress");
	file->inflated.len = n;
	if (crc32(crc32(0, NULL, 0), out, (uInt)n) != ((uLong)crc[0] << 24 | (uLong)crc[1] << 16 |
	    (uLong)crc[2] << 8 | crc[3]))
		return damaged(err, "a block does not have its CRC");
	return 0;
}

static int
unpack_block(struct ocf *file, const uint8_t *data, size_t len, struct error *err)
{
	switch (file->codec) {
	case CODEC_DEFLATE:
		return inflate_block(file, data, len, err);
	case CODEC_SNAPPY:
		return unsnap_block(file, data, len, err);
	default:
		return unzstd_block(file, data, len, err);
	}
}

/* Lends the block's bytes; the marker after them is read when its last row is. */
static int
open_block(struct ocf *file, uint64_t size, struct error *err)
{
	const uint8_t *data;

	if (size > OCF_BLOCK_MAX || (file->codec != CODEC_NULL && size > OCF_INFLATED_MAX))
		return error_set(err, ERROR_TOO_LARGE, "a block of the Avro file has %llu bytes",
		    (unsigned long long)size);
	/* With the marker, so that both are there together and what is lent stays where it is. */
	if (need(file, (size_t)size + SYNC_SIZE, &data, err) != 0)
		return -1;
	if (memcmp(data + size, file->sync, SYNC_SIZE) != 0)
		return damaged(err, "a block does not end with the marker");
	file->p = data;
	file->end = data + size;
	if (file->codec == CODEC_NULL)
		return 0;
	buffer_clear(&file->inflated);
	if (unpack_block(file, data, (size_t)size, err) != 0)
		return -1;
	file->p = file->inflated.data;
	file->end = file->p + file->inflated.len;
	return 0;
}

/* 1, or 0 at the end of the file. */
static int
next_block(struct ocf *file, struct error *err)
{
	int64_t rows, size;
	int rc = want(file, 1, err);

	if (rc <= 0)
		return rc;
	if (need_long(file, &rows, err) != 0 || need_long(file, &size, err) != 0)
		return -1;
	if (rows < 0 || size < 0)
		return damaged(err, "a block has a negative length");
	if (open_block(file, (uint64_t)size, err) != 0)
		return -1;
	/* A row of no bytes would let a few bytes promise rows without end. */
	if ((uint64_t)rows > (uint64_t)(file->end - file->p))
		return damaged(err, "a block promises more rows than it has bytes");
	file->rows_left = (uint64_t)rows;
	if (rows == 0 && file->p != file->end)
		return damaged(err, "a block without rows is not empty");
	return 1;
}

int
ocf_next(struct ocf *file, const struct ocf_value **ret, const uint8_t **ret_row,
    size_t *ret_len, struct error *err)
{
	const uint8_t *begin;
	int rc;

	while (file->rows_left == 0) {
		rc = next_block(file, err);
		if (rc <= 0)
			return rc;
	}
	begin = file->p;
	if (ocf_decode_row(file->schema, &file->p, file->end, file->values, err) != 0)
		return -1;
	if (--file->rows_left == 0 && file->p != file->end)
		return damaged(err, "a block is longer than its rows");
	*ret = file->values;
	*ret_row = begin;
	*ret_len = (size_t)(file->p - begin);
	return 1;
}
