#include "agent/repository/pack.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "agent/repository/format.h"
#include "shared/mem.h"

static const char header_magic[8] = { 'H', 'F', 'P', 'A', 'C', 'K', '1', '\n' };
static const char trailer_magic[8] = { 'H', 'F', 'P', 'E', 'N', 'D', '1', '\n' };

struct pack_writer {
	const struct keys *keys;
	struct storage *storage;
	pthread_mutex_t lock;
	pthread_cond_t turn;
	struct storage_put *put;
	uint64_t reserved, written; /* bytes */
	bool failed;
	struct error why; /* the first error: what every later call fails with */
	XXH3_state_t *sum; /* of what was written */
	struct pack_directory *directory;
};

void
pack_directory_free(struct pack_directory *directory)
{
	if (directory == NULL)
		return;
	free(directory->frames);
	free(directory->blobs);
	free(directory);
}

void
pack_name(const struct object_id *id, char out[PACK_NAME_SIZE])
{
	char text[OBJECT_ID_TEXT_SIZE];

	object_id_text(id, text);
	snprintf(out, PACK_NAME_SIZE, "packs/%.2s/%s", text, text);
}

int
pack_name_parse(const char *name, struct object_id *ret)
{
	if (strlen(name) != PACK_NAME_SIZE - 2 || strncmp(name, "packs/", 6) != 0 ||
	    name[8] != '/' || strncmp(name + 6, name + 9, 2) != 0)
		return -1;
	return object_id_parse(name + 9, strlen(name + 9), ret);
}

static void
pack_writer_free(struct pack_writer *pack)
{
	pthread_mutex_destroy(&pack->lock);
	pthread_cond_destroy(&pack->turn);
	XXH3_freeState(pack->sum);
	pack_directory_free(pack->directory);
	free(pack);
}

int
pack_begin(struct storage *storage, const struct keys *keys, enum pack_kind kind,
    struct pack_writer **ret, struct error *err)
{
	struct pack_writer *pack = MEM_NEW(struct pack_writer);
	struct buffer header = BUFFER_INIT;
	char name[PACK_NAME_SIZE];
	int rc = -1;

	pthread_mutex_init(&pack->lock, NULL);
	pthread_cond_init(&pack->turn, NULL);
	pack->storage = storage;
	pack->keys = keys;
	pack->directory = MEM_NEW(struct pack_directory);
	pack->directory->kind = kind;
	object_id_random(&pack->directory->id);
	pack_name(&pack->directory->id, name);
	buffer_put(&header, header_magic, sizeof(header_magic));
	buffer_put(&header, keys_repository(keys)->bytes, OBJECT_ID_SIZE);
	buffer_put(&header, pack->directory->id.bytes, OBJECT_ID_SIZE);
	pack->sum = XXH3_createState();
	if (pack->sum == NULL) {
		error_set(err, ERROR_INTERNAL, "could not start a checksum: no memory");
		goto out;
	}
	XXH3_64bits_reset(pack->sum);
	XXH3_64bits_update(pack->sum, header.data, header.len);
	if (storage_put_begin(storage, name, &pack->put, err) != 0)
		goto out;
	if (storage_put_write(pack->put, header.data, header.len, err) != 0) {
		storage_put_abort(pack->put);
		goto out;
	}
	pack->reserved = pack->written = header.len;
	*ret = pack;
	pack = NULL;
	rc = 0;
out:
	if (pack != NULL)
		pack_writer_free(pack);
	buffer_done(&header);
	return rc;
}

uint64_t
pack_writer_size(struct pack_writer *pack)
{
	uint64_t size;

	pthread_mutex_lock(&pack->lock);
	size = pack->reserved;
	pthread_mutex_unlock(&pack->lock);
	return size;
}

uint32_t
pack_reserve(struct pack_writer *pack, size_t payload_len)
{
	uint32_t offset;

	pthread_mutex_lock(&pack->lock);
	offset = (uint32_t)pack->reserved;
	pack->reserved += payload_len + SEAL_OVERHEAD;
	pthread_mutex_unlock(&pack->lock);
	return offset;
}

static void
directory_add(struct pack_directory *directory, uint32_t offset, uint32_t stored_len,
    uint32_t plain_len, const struct pack_blob *blobs, size_t blob_count)
{
	struct pack_frame *frame;

	MEM_GROW(directory->frames, directory->frame_count, directory->frame_cap);
	frame = &directory->frames[directory->frame_count++];
	*frame = (struct pack_frame){ .offset = offset, .stored_len = stored_len,
		.plain_len = plain_len, .first_blob = (uint32_t)directory->blob_count,
		.blob_count = (uint32_t)blob_count };
	for (size_t i = 0; i < blob_count; i++) {
		MEM_GROW(directory->blobs, directory->blob_count, directory->blob_cap);
		directory->blobs[directory->blob_count++] = blobs[i];
	}
}

int
pack_write_frame(struct pack_writer *pack, uint32_t offset, const void *payload,
    size_t payload_len, uint32_t plain_len, const struct pack_blob *blobs, size_t blob_count,
    struct error *err)
{
	size_t stored_len = payload_len + SEAL_OVERHEAD;
	uint8_t *sealed = mem_realloc(NULL, stored_len, 1);
	int rc = -1;

	seal(pack->keys, SEAL_FRAME, &pack->directory->id, offset, payload, payload_len, sealed);
	pthread_mutex_lock(&pack->lock);
	while (pack->written != offset && !pack->failed)
		pthread_cond_wait(&pack->turn, &pack->lock);
	if (pack->failed) {
		*err = pack->why;
		goto out;
	}
	/* The lock is kept while writing: the frames behind this one have to wait anyway. */
	if (storage_put_write(pack->put, sealed, stored_len, err) != 0) {
		pack->failed = true;
		pack->why = *err;
		goto out;
	}
	XXH3_64bits_update(pack->sum, sealed, stored_len);
	pack->written += stored_len;
	directory_add(pack->directory, offset, (uint32_t)stored_len, plain_len, blobs, blob_count);
	rc = 0;
out:
	pthread_cond_broadcast(&pack->turn);
	pthread_mutex_unlock(&pack->lock);
	free(sealed);
	return rc;
}

int
pack_finish(struct pack_writer *pack, struct pack_directory **ret, struct error *err)
{
	struct buffer plain = BUFFER_INIT, tail = BUFFER_INIT;
	uint64_t offset = pack->written;
	size_t sealed_len;
	int rc = -1;

	if (pack->failed) {
		*err = pack->why;
		goto out;
	}
	if (pack->written != pack->reserved) {
		error_set(err, ERROR_IO, "pack was given up after an earlier error");
		goto out;
	}
	pack_directory_encode(pack->directory, &plain);
	sealed_len = plain.len + SEAL_OVERHEAD;
	buffer_reserve(&tail, sealed_len);
	seal(pack->keys, SEAL_DIRECTORY, &pack->directory->id, offset, plain.data, plain.len,
	    tail.data);
	tail.len = sealed_len;
	buffer_put_u64(&tail, offset);
	buffer_put_u32(&tail, (uint32_t)sealed_len);
	buffer_put(&tail, trailer_magic, sizeof(trailer_magic));
	pack->directory->size = offset + tail.len;
	XXH3_64bits_update(pack->sum, tail.data, tail.len);
	pack->directory->sum = XXH3_64bits_digest(pack->sum);
	if (storage_put_write(pack->put, tail.data, tail.len, err) != 0)
		goto out;
	/* If interrupted here, the pack lies whole but unnamed under tmp/ and is swept later. */
	rc = storage_put_commit(pack->put, false, err);
	pack->put = NULL;
	if (rc == 0) {
		*ret = pack->directory;
		pack->directory = NULL;
	}
out:
	if (pack->put != NULL)
		storage_put_abort(pack->put);
	pack_writer_free(pack);
	buffer_done(&plain);
	buffer_done(&tail);
	return rc;
}

void
pack_abort(struct pack_writer *pack)
{
	if (pack == NULL)
		return;
	storage_put_abort(pack->put);
	pack_writer_free(pack);
}

void
pack_directory_encode(const struct pack_directory *directory, struct buffer *ret)
{
	buffer_put_u8(ret, (uint8_t)directory->kind);
	buffer_put_varint(ret, directory->frame_count);
	for (size_t f = 0; f < directory->frame_count; f++) {
		const struct pack_frame *frame = &directory->frames[f];

		buffer_put_varint(ret, frame->stored_len);
		buffer_put_varint(ret, frame->plain_len);
		buffer_put_varint(ret, frame->blob_count);
		for (size_t b = 0; b < frame->blob_count; b++) {
			const struct pack_blob *blob = &directory->blobs[frame->first_blob + b];

			buffer_put(ret, blob->id.bytes, BLOB_ID_SIZE);
			buffer_put_varint(ret, blob->len);
		}
	}
}

/* One frame of a directory and its blobs; *offset moves on. */
static int
decode_frame(struct reader *r, struct pack_directory *directory, uint64_t *offset,
    struct error *err)
{
	uint64_t stored_len, plain_len, blob_count, sum = 0, len;
	const uint8_t *id;
	struct pack_frame *frame;

	if (reader_get_varint(r, FRAME_PAYLOAD_MAX + SEAL_OVERHEAD, &stored_len, err) != 0 ||
	    reader_get_varint(r, FRAME_PLAIN_MAX, &plain_len, err) != 0 ||
	    reader_get_varint(r, FRAME_BLOBS_MAX, &blob_count, err) != 0)
		return -1;
	if (directory->blob_count + blob_count > PACK_BLOBS_MAX)
		return error_set(err, ERROR_CORRUPT, "%s: too many blobs", r->what);
	if (*offset + stored_len > PACK_SIZE_MAX)
		return error_set(err, ERROR_CORRUPT, "%s: frames beyond the largest pack", r->what);
	MEM_GROW(directory->frames, directory->frame_count, directory->frame_cap);
	frame = &directory->frames[directory->frame_count++];
	*frame = (struct pack_frame){ .offset = (uint32_t)*offset,
		.stored_len = (uint32_t)stored_len, .plain_len = (uint32_t)plain_len,
		.first_blob = (uint32_t)directory->blob_count, .blob_count = (uint32_t)blob_count };
	*offset += stored_len;
	for (uint64_t b = 0; b < blob_count; b++) {
		if (reader_get(r, BLOB_ID_SIZE, &id, err) != 0 ||
		    reader_get_varint(r, BLOB_MAX, &len, err) != 0)
			return -1;
		MEM_GROW(directory->blobs, directory->blob_count, directory->blob_cap);
		memcpy(directory->blobs[directory->blob_count].id.bytes, id, BLOB_ID_SIZE);
		directory->blobs[directory->blob_count++].len = (uint32_t)len;
		sum += len;
	}
	if (sum != plain_len)
		return error_set(err, ERROR_CORRUPT, "%s: blobs of a frame do not add up", r->what);
	return 0;
}

int
pack_directory_decode(const void *data, size_t len, struct pack_directory **ret,
    struct error *err)
{
	struct pack_directory *directory = MEM_NEW(struct pack_directory);
	struct reader r;
	uint64_t frame_count, offset = PACK_HEADER_SIZE;
	uint8_t kind;

	reader_init(&r, data, len, "pack directory");
	if (reader_get_u8(&r, &kind, err) != 0)
		goto fail;
	if (kind >= PACK_KIND_COUNT) {
		error_set(err, ERROR_CORRUPT, "pack directory: unknown kind %u", kind);
		goto fail;
	}
	directory->kind = kind;
	if (reader_get_varint(&r, PACK_FRAMES_MAX, &frame_count, err) != 0)
		goto fail;
	for (uint64_t f = 0; f < frame_count; f++)
		if (decode_frame(&r, directory, &offset, err) != 0)
			goto fail;
	if (reader_finish(&r, err) != 0)
		goto fail;
	directory->size = offset + len + SEAL_OVERHEAD + PACK_TRAILER_SIZE;
	*ret = directory;
	return 0;
fail:
	pack_directory_free(directory);
	return -1;
}

int
pack_header_check(const uint8_t *header, const struct keys *keys, const struct object_id *id,
    struct error *err)
{
	const uint8_t *repository = header + sizeof(header_magic);

	if (memcmp(header, header_magic, sizeof(header_magic)) != 0)
		return error_set(err, ERROR_CORRUPT, "pack header is damaged");
	if (memcmp(repository, keys_repository(keys)->bytes, OBJECT_ID_SIZE) != 0)
		return error_set(err, ERROR_CORRUPT, "pack belongs to another repository");
	if (memcmp(repository + OBJECT_ID_SIZE, id->bytes, OBJECT_ID_SIZE) != 0)
		return error_set(err, ERROR_CORRUPT, "pack does not carry its own name");
	return 0;
}

static int
stored_get(void *arg, uint64_t offset, void *buf, size_t len, struct error *err)
{
	struct pack_stored *stored = arg;

	return storage_get(stored->storage, stored->name, offset, buf, len, err);
}

/* Without its size, which reading a frame does not need. */
static struct pack_source
stored_source(struct pack_stored *stored, struct storage *storage, const struct object_id *id)
{
	stored->storage = storage;
	pack_name(id, stored->name);
	return (struct pack_source){ .get = stored_get, .arg = stored };
}

int
pack_stored_source(struct pack_stored *stored, struct storage *storage,
    const struct object_id *id, struct pack_source *ret, struct error *err)
{
	*ret = stored_source(stored, storage, id);
	return storage_size(storage, stored->name, &ret->size, err) < 0 ? -1 : 0;
}

/* What is wrong with a pack that does not end as it should; begin and end of one of a newer format
 * both say so. */
static int
refuse_trailer(const struct pack_source *source, const uint8_t *magic, struct error *err)
{
	unsigned newer = format_newer(magic, trailer_magic);
	uint8_t begin[sizeof(header_magic)];

	if (newer != 0 && source->get(source->arg, 0, begin, sizeof(begin), err) != 0)
		return -1;
	if (newer != 0 && format_newer(begin, header_magic) == newer)
		return format_refuse("pack", newer, err);
	return error_set(err, ERROR_CORRUPT, "pack trailer is damaged or cut off");
}

/* Where the trailer says the directory is; checked against the size of the file. */
static int
read_trailer(const struct pack_source *source, uint64_t *ret_offset, uint32_t *ret_len,
    struct error *err)
{
	uint8_t trailer[PACK_TRAILER_SIZE];
	uint64_t size = source->size;
	const uint8_t *magic;
	struct reader r;

	if (size < PACK_HEADER_SIZE + SEAL_OVERHEAD + PACK_TRAILER_SIZE || size > PACK_SIZE_MAX)
		return error_set(err, ERROR_CORRUPT, "pack has an impossible size of %llu bytes",
		    (unsigned long long)size);
	if (source->get(source->arg, size - sizeof(trailer), trailer, sizeof(trailer), err) != 0)
		return -1;
	reader_init(&r, trailer, sizeof(trailer), "pack trailer");
	if (reader_get_u64(&r, ret_offset, err) != 0 || reader_get_u32(&r, ret_len, err) != 0 ||
	    reader_get(&r, sizeof(trailer_magic), &magic, err) != 0)
		return -1;
	if (memcmp(magic, trailer_magic, sizeof(trailer_magic)) != 0 ||
	    *ret_offset < PACK_HEADER_SIZE || *ret_offset > size || *ret_len < SEAL_OVERHEAD ||
	    *ret_len > PACK_DIRECTORY_MAX || *ret_offset + *ret_len + sizeof(trailer) != size)
		return refuse_trailer(source, magic, err);
	return 0;
}

int
pack_directory_from(const struct pack_source *source, const struct keys *keys,
    const struct object_id *id, struct pack_directory **ret, struct error *err)
{
	struct pack_directory *directory = NULL;
	uint8_t *sealed = NULL, *plain = NULL;
	uint64_t offset;
	uint32_t len;
	int rc = -1;

	if (read_trailer(source, &offset, &len, err) != 0)
		goto out;
	sealed = mem_try(len, err);
	plain = mem_try(len, err);
	if (sealed == NULL || plain == NULL ||
	    source->get(source->arg, offset, sealed, len, err) != 0)
		goto out;
	if (unseal(keys, SEAL_DIRECTORY, id, offset, sealed, len, plain) != 0) {
		error_set(err, ERROR_CORRUPT, "pack directory is damaged");
		goto out;
	}
	if (pack_directory_decode(plain, len - SEAL_OVERHEAD, &directory, err) != 0)
		goto out;
	if (directory->size != source->size) {
		error_set(err, ERROR_CORRUPT, "pack directory does not add up to the pack's size");
		goto out;
	}
	directory->id = *id;
	*ret = directory;
	directory = NULL;
	rc = 0;
out:
	pack_directory_free(directory);
	free(sealed);
	free(plain);
	return rc;
}

int
pack_read_directory(struct storage *storage, const struct keys *keys, const struct object_id *id,
    struct pack_directory **ret, struct error *err)
{
	struct pack_stored stored;
	struct pack_source source = stored_source(&stored, storage, id);
	int there = storage_size(storage, stored.name, &source.size, err);

	if (there == 0)
		error_set(err, ERROR_NOT_FOUND, "pack is missing");
	if (there == 1 && pack_directory_from(&source, keys, id, ret, err) == 0)
		return 0;
	return error_prefix(err, "%s: ", stored.name);
}

int
pack_frame_open(const struct keys *keys, struct frame_coder *coder, const struct object_id *id,
    uint32_t offset, const uint8_t *sealed, uint32_t stored_len, void *plain, uint32_t plain_len,
    struct error *err)
{
	uint8_t *payload = mem_try(stored_len, err);
	int rc = -1;

	if (payload == NULL)
		return -1;
	if (stored_len < SEAL_OVERHEAD ||
	    unseal(keys, SEAL_FRAME, id, offset, sealed, stored_len, payload) != 0)
		error_set(err, ERROR_CORRUPT, "frame is damaged");
	else
		rc = frame_decode(coder, payload, stored_len - SEAL_OVERHEAD, plain, plain_len, err);
	free(payload);
	return rc;
}

int
pack_frame_check(const struct keys *keys, const struct pack_directory *directory,
    const struct pack_frame *frame, const uint8_t *plain, struct error *err)
{
	for (size_t b = 0; b < frame->blob_count; b++) {
		const struct pack_blob *blob = &directory->blobs[frame->first_blob + b];

		if (blob_identify(keys, plain, blob->len, &blob->id) == BLOB_KIND_COUNT)
			return error_set(err, ERROR_CORRUPT,
			    "a blob does not hold what its name says");
		plain += blob->len;
	}
	return 0;
}

int
pack_frame_from(const struct pack_source *source, const struct keys *keys,
    struct frame_coder *coder, const struct object_id *id, uint32_t offset, uint32_t stored_len,
    void *plain, uint32_t plain_len, struct error *err)
{
	uint8_t *sealed;
	int rc = -1;

	if (stored_len < SEAL_OVERHEAD + 1 || stored_len > FRAME_PAYLOAD_MAX + SEAL_OVERHEAD)
		return error_set(err, ERROR_CORRUPT, "frame has an impossible length");
	sealed = mem_try(stored_len, err);
	if (sealed != NULL && source->get(source->arg, offset, sealed, stored_len, err) == 0)
		rc = pack_frame_open(keys, coder, id, offset, sealed, stored_len, plain, plain_len,
		    err);
	free(sealed);
	return rc;
}

int
pack_read_frame(struct storage *storage, const struct keys *keys, struct frame_coder *coder,
    const struct object_id *id, uint32_t offset, uint32_t stored_len, void *plain,
    uint32_t plain_len, struct error *err)
{
	struct pack_stored stored;
	struct pack_source source = stored_source(&stored, storage, id);

	if (pack_frame_from(&source, keys, coder, id, offset, stored_len, plain, plain_len,
	    err) == 0)
		return 0;
	return error_prefix(err, "%s, frame at %u: ", stored.name, offset);
}
