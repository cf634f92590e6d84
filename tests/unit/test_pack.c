/* Packs: what is written is read back, and nothing else poses as it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/pack.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

#define FRAMES 6
#define BLOB_LEN 1000
#define BLOBS 3 /* in a frame */
#define PLAIN_LEN (BLOBS * BLOB_LEN)

struct fixture {
	char *folder;
	struct storage *storage;
	struct keys *keys;
	struct frame_coder *coder;
};

static int
setup(void **state)
{
	static const uint8_t master[MASTER_KEY_SIZE] = { 7 };
	static const struct object_id repository = { { 'r' } };
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;

	f->folder = test_folder_new();
	if (crypto_start(&err) != 0 || storage_open(f->folder, false, &f->storage, &err) != 0)
		return -1;
	f->keys = keys_new(master, &repository);
	f->coder = frame_coder_new(0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	frame_coder_free(f->coder);
	keys_free(f->keys);
	storage_close(f->storage);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

/* The plain bytes of a frame; every frame but the first two is of its own. */
static void
make_plain(unsigned frame, uint8_t plain[PLAIN_LEN])
{
	for (size_t i = 0; i < PLAIN_LEN; i++)
		plain[i] = (uint8_t)(i / 13 + (frame < 2 ? 0 : frame * 41) + i % 5);
}

static int
put_frame(struct fixture *f, struct pack_writer *pack, uint32_t offset, unsigned frame,
    struct error *err)
{
	uint8_t plain[PLAIN_LEN], payload[1 + PLAIN_LEN] = { FRAME_STORED };
	struct pack_blob blobs[BLOBS];

	make_plain(frame, plain);
	memcpy(payload + 1, plain, PLAIN_LEN);
	for (size_t b = 0; b < BLOBS; b++) {
		blob_hash(f->keys, BLOB_DATA, plain + b * BLOB_LEN, BLOB_LEN, &blobs[b].id);
		blobs[b].len = BLOB_LEN;
	}
	return pack_write_frame(pack, offset, payload, sizeof(payload), PLAIN_LEN, blobs, BLOBS,
	    err);
}

/* A pack with all frames; the caller frees what it is told. */
static struct pack_directory *
make_pack(struct fixture *f)
{
	struct pack_directory *directory = NULL;
	struct error err = ERROR_INIT;
	struct pack_writer *pack;

	assert_int_equal(pack_begin(f->storage, f->keys, PACK_DATA, &pack, &err), 0);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(put_frame(f, pack, pack_reserve(pack, 1 + PLAIN_LEN), i, &err), 0);
	assert_int_equal(pack_finish(pack, &directory, &err), 0);
	return directory;
}

static void
assert_frames_read(struct fixture *f, const struct pack_directory *directory)
{
	uint8_t plain[PLAIN_LEN], expected[PLAIN_LEN];
	struct error err = ERROR_INIT;

	for (unsigned i = 0; i < FRAMES; i++) {
		const struct pack_frame *frame = &directory->frames[i];

		make_plain(i, expected);
		assert_int_equal(frame->plain_len, PLAIN_LEN);
		assert_int_equal(pack_read_frame(f->storage, f->keys, f->coder, &directory->id,
		    frame->offset, frame->stored_len, plain, PLAIN_LEN, &err), 0);
		assert_memory_equal(plain, expected, PLAIN_LEN);
	}
}

static void
a_pack_is_read_back_frame_by_frame(void **state)
{
	struct fixture *f = *state;
	struct pack_directory *written = make_pack(f), *read = NULL;
	struct error err = ERROR_INIT;
	char name[PACK_NAME_SIZE];
	uint64_t size;

	assert_int_equal(pack_read_directory(f->storage, f->keys, &written->id, &read, &err), 0);
	assert_memory_equal(&read->id, &written->id, sizeof(read->id));
	assert_int_equal(read->kind, PACK_DATA);
	assert_int_equal(read->frame_count, FRAMES);
	assert_int_equal(read->blob_count, FRAMES * BLOBS);
	assert_memory_equal(read->frames, written->frames, FRAMES * sizeof(*read->frames));
	for (size_t b = 0; b < read->blob_count; b++) {
		assert_int_equal(blob_id_compare(&read->blobs[b].id, &written->blobs[b].id), 0);
		assert_int_equal(read->blobs[b].len, BLOB_LEN);
	}
	pack_name(&written->id, name);
	assert_int_equal(storage_size(f->storage, name, &size, &err), 1);
	assert_int_equal(size, read->size);
	assert_int_equal(size, written->size);
	assert_frames_read(f, read);
	pack_directory_free(read);
	pack_directory_free(written);
	pack_directory_free(NULL);
}

static void
equal_frames_differ_on_disk(void **state)
{
	struct fixture *f = *state;
	struct pack_directory *directory = make_pack(f);
	uint32_t len = directory->frames[0].stored_len;
	uint8_t *first = mem_calloc(1, len), *second = mem_calloc(1, len);
	struct error err = ERROR_INIT;
	char name[PACK_NAME_SIZE];

	pack_name(&directory->id, name);
	assert_int_equal(directory->frames[1].stored_len, len);
	assert_int_equal(storage_get(f->storage, name, directory->frames[0].offset, first, len,
	    &err), 0);
	assert_int_equal(storage_get(f->storage, name, directory->frames[1].offset, second, len,
	    &err), 0);
	for (size_t at = 0; at + 64 < len; at += 64)
		assert_memory_not_equal(first + at, second + at, 64);
	free(first);
	free(second);
	pack_directory_free(directory);
}

/* Put changed bytes of a pack under a name. */
static void
store(struct fixture *f, const struct object_id *id, const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	char name[PACK_NAME_SIZE];

	pack_name(id, name);
	assert_int_equal(storage_put_whole(f->storage, name, data, len, true, &err), 0);
}

static void
a_frame_opens_only_in_its_place_and_pack(void **state)
{
	struct fixture *f = *state;
	struct pack_directory *directory = make_pack(f);
	const struct pack_frame *a = &directory->frames[2], *b = &directory->frames[3];
	struct buffer bytes = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct object_id other = directory->id;
	char name[PACK_NAME_SIZE];
	uint8_t plain[PLAIN_LEN];

	pack_name(&directory->id, name);
	assert_int_equal(storage_get_whole(f->storage, name, 1 << 20, &bytes, &err), 0);
	/* The same bytes under another name. */
	other.bytes[15] ^= 1;
	store(f, &other, bytes.data, bytes.len);
	assert_int_equal(pack_read_frame(f->storage, f->keys, f->coder, &other, a->offset,
	    a->stored_len, plain, PLAIN_LEN, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "frame is damaged"));
	assert_int_equal(pack_header_check(bytes.data, f->keys, &other, &err), -1);
	assert_string_equal(err.message, "pack does not carry its own name");
	assert_int_equal(pack_header_check(bytes.data, f->keys, &directory->id, &err), 0);
	/* Two frames in each other's place. */
	assert_int_equal(a->stored_len, b->stored_len);
	assert_int_equal(storage_get(f->storage, name, b->offset, bytes.data + a->offset,
	    a->stored_len, &err), 0);
	store(f, &directory->id, bytes.data, bytes.len);
	assert_int_equal(pack_read_frame(f->storage, f->keys, f->coder, &directory->id, a->offset,
	    a->stored_len, plain, PLAIN_LEN, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_int_equal(pack_read_frame(f->storage, f->keys, f->coder, &directory->id, b->offset,
	    b->stored_len, plain, PLAIN_LEN, &err), 0);
	buffer_done(&bytes);
	pack_directory_free(directory);
}

static void
a_pack_of_another_repository_is_refused(void **state)
{
	static const struct object_id elsewhere = { { 'e' } };
	struct fixture *f = *state;
	struct pack_directory *directory = make_pack(f), *read = NULL;
	struct keys *keys = keys_new(keys_master(f->keys), &elsewhere);
	uint8_t header[PACK_HEADER_SIZE], plain[PLAIN_LEN];
	struct error err = ERROR_INIT;
	char name[PACK_NAME_SIZE];

	pack_name(&directory->id, name);
	assert_int_equal(storage_get(f->storage, name, 0, header, sizeof(header), &err), 0);
	assert_int_equal(pack_header_check(header, keys, &directory->id, &err), -1);
	assert_string_equal(err.message, "pack belongs to another repository");
	assert_int_equal(pack_read_directory(f->storage, keys, &directory->id, &read, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_int_equal(pack_read_frame(f->storage, keys, f->coder, &directory->id,
	    directory->frames[0].offset, directory->frames[0].stored_len, plain, PLAIN_LEN, &err),
	    -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	header[0] ^= 1;
	assert_int_equal(pack_header_check(header, f->keys, &directory->id, &err), -1);
	assert_string_equal(err.message, "pack header is damaged");
	keys_free(keys);
	pack_directory_free(directory);
}

static void
a_directory_of_a_pack_that_was_cut_or_changed_is_refused(void **state)
{
	struct fixture *f = *state;
	struct pack_directory *directory = make_pack(f), *read = NULL;
	const struct pack_frame *last = &directory->frames[FRAMES - 1];
	size_t tail = last->offset + last->stored_len;
	struct buffer bytes = BUFFER_INIT;
	struct error err = ERROR_INIT;
	char name[PACK_NAME_SIZE];

	pack_name(&directory->id, name);
	assert_int_equal(storage_get_whole(f->storage, name, 1 << 20, &bytes, &err), 0);
	for (size_t len = 0; len < bytes.len; len += len < tail ? 501 : 7) {
		store(f, &directory->id, bytes.data, len);
		assert_int_equal(pack_read_directory(f->storage, f->keys, &directory->id, &read,
		    &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
	}
	for (size_t at = tail; at < bytes.len; at += 3) {
		bytes.data[at] ^= 0x10;
		store(f, &directory->id, bytes.data, bytes.len);
		assert_int_equal(pack_read_directory(f->storage, f->keys, &directory->id, &read,
		    &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		bytes.data[at] ^= 0x10;
	}
	assert_int_equal(storage_remove(f->storage, name, &err), 0);
	assert_int_equal(pack_read_directory(f->storage, f->keys, &directory->id, &read, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	buffer_done(&bytes);
	pack_directory_free(directory);
}

struct late_frame {
	struct fixture *f;
	struct pack_writer *pack;
	uint32_t offset;
	unsigned frame;
	struct error err;
	int rc;
};

static void *
write_late(void *arg)
{
	struct late_frame *late = arg;

	late->rc = put_frame(late->f, late->pack, late->offset, late->frame, &late->err);
	return NULL;
}

static void
frames_of_many_threads_lie_in_the_order_of_their_places(void **state)
{
	struct fixture *f = *state;
	struct late_frame late[FRAMES];
	struct pack_directory *directory;
	pthread_t threads[FRAMES];
	struct error err = ERROR_INIT;
	struct pack_writer *pack;

	assert_int_equal(pack_begin(f->storage, f->keys, PACK_META, &pack, &err), 0);
	for (unsigned i = 0; i < FRAMES; i++)
		late[i] = (struct late_frame){ .f = f, .pack = pack, .frame = i,
			.offset = pack_reserve(pack, 1 + PLAIN_LEN) };
	assert_int_equal(pack_writer_size(pack), PACK_HEADER_SIZE +
	    FRAMES * (1 + PLAIN_LEN + SEAL_OVERHEAD));
	/* The last first: they all have to wait for the first one. */
	for (unsigned i = FRAMES; i-- > 0;)
		assert_int_equal(pthread_create(&threads[i], NULL, write_late, &late[i]), 0);
	for (unsigned i = 0; i < FRAMES; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(late[i].rc, 0);
	}
	assert_int_equal(pack_finish(pack, &directory, &err), 0);
	assert_int_equal(directory->kind, PACK_META);
	assert_frames_read(f, directory);
	pack_directory_free(directory);
}

static void
a_pack_with_a_place_left_empty_is_not_finished(void **state)
{
	struct fixture *f = *state;
	struct pack_directory *directory;
	struct error err = ERROR_INIT;
	struct pack_writer *pack;
	char *packs = test_path(f->folder, "packs");

	assert_int_equal(pack_begin(f->storage, f->keys, PACK_DATA, &pack, &err), 0);
	assert_int_equal(put_frame(f, pack, pack_reserve(pack, 1 + PLAIN_LEN), 0, &err), 0);
	(void)pack_reserve(pack, 10);
	assert_int_equal(pack_finish(pack, &directory, &err), -1);
	assert_int_equal(err.code, ERROR_IO);
	assert_int_equal(pack_begin(f->storage, f->keys, PACK_DATA, &pack, &err), 0);
	assert_int_equal(put_frame(f, pack, pack_reserve(pack, 1 + PLAIN_LEN), 0, &err), 0);
	pack_abort(pack);
	pack_abort(NULL);
	assert_int_equal(test_folder_count(packs), 0);
	free(packs);
}

static void
names_of_packs_are_told_from_others(void **state)
{
	static const char *const wrong[] = { "packs/00/0123456789abcdef0123456789abcdef",
		"packs/01/0123456789abcdef0123456789abcde", "packs/01/0123456789abcdef0123456789abcdeF",
		"pucks/01/0123456789abcdef0123456789abcdef", "packs/01-0123456789abcdef0123456789abcdef",
		"packs/", "" };
	struct object_id id, back;
	char name[PACK_NAME_SIZE];

	(void)state;
	object_id_random(&id);
	pack_name(&id, name);
	assert_int_equal(pack_name_parse(name, &back), 0);
	assert_memory_equal(&id, &back, sizeof(id));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(pack_name_parse(wrong[i], &back), -1);
}

static void
assert_directory_refused(struct buffer *plain, const char *message)
{
	struct pack_directory *directory = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(pack_directory_decode(plain->data, plain->len, &directory, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	if (message != NULL)
		assert_string_equal(err.message, message);
	buffer_clear(plain);
}

static void
a_directory_with_impossible_counts_is_refused(void **state)
{
	static const uint8_t id[BLOB_ID_SIZE] = { 1 };
	struct buffer plain = BUFFER_INIT;

	(void)state;
	assert_directory_refused(&plain, NULL);
	buffer_put_u8(&plain, PACK_KIND_COUNT);
	buffer_put_varint(&plain, 0);
	assert_directory_refused(&plain, "pack directory: unknown kind 2");
	for (unsigned field = 0; field < 5; field++) {
		/* Each count in turn is 2^63, and then just above its limit. */
		static const uint64_t limits[] = { PACK_FRAMES_MAX,
			FRAME_PAYLOAD_MAX + SEAL_OVERHEAD, FRAME_PLAIN_MAX, FRAME_BLOBS_MAX, BLOB_MAX };
		static const uint64_t good[] = { 1, 100, 60, 1, 60 };

		for (int huge = 0; huge < 2; huge++) {
			uint64_t bad = huge ? UINT64_C(1) << 63 : limits[field] + 1;

			buffer_put_u8(&plain, PACK_DATA);
			for (unsigned i = 0; i < 4; i++)
				buffer_put_varint(&plain, i == field ? bad : good[i]);
			buffer_put(&plain, id, sizeof(id));
			buffer_put_varint(&plain, field == 4 ? bad : good[4]);
			assert_directory_refused(&plain, NULL);
		}
	}
	/* Blobs that are more than their frame. */
	buffer_put_u8(&plain, PACK_DATA);
	buffer_put_varint(&plain, 1);
	buffer_put_varint(&plain, 100);
	buffer_put_varint(&plain, 60);
	buffer_put_varint(&plain, 1);
	buffer_put(&plain, id, sizeof(id));
	buffer_put_varint(&plain, 61);
	assert_directory_refused(&plain, "pack directory: blobs of a frame do not add up");
	/* Frames that pass the largest pack together. */
	buffer_put_u8(&plain, PACK_DATA);
	buffer_put_varint(&plain, 100);
	for (unsigned i = 0; i < 100; i++) {
		buffer_put_varint(&plain, FRAME_PAYLOAD_MAX);
		buffer_put_varint(&plain, 0);
		buffer_put_varint(&plain, 0);
	}
	assert_directory_refused(&plain, "pack directory: frames beyond the largest pack");
	/* Something behind the end. */
	buffer_put_u8(&plain, PACK_DATA);
	buffer_put_varint(&plain, 0);
	buffer_put_u8(&plain, 0);
	assert_directory_refused(&plain, NULL);
	buffer_done(&plain);
}

static void
a_frame_of_impossible_length_is_not_even_read(void **state)
{
	struct fixture *f = *state;
	struct pack_directory *directory = make_pack(f);
	struct error err = ERROR_INIT;
	uint8_t plain[1];

	assert_int_equal(pack_read_frame(f->storage, f->keys, f->coder, &directory->id,
	    PACK_HEADER_SIZE, SEAL_OVERHEAD, plain, 1, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "frame has an impossible length"));
	assert_int_equal(pack_read_frame(f->storage, f->keys, f->coder, &directory->id,
	    PACK_HEADER_SIZE, UINT32_MAX, plain, 1, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "frame has an impossible length"));
	pack_directory_free(directory);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_pack_is_read_back_frame_by_frame),
		CASE(equal_frames_differ_on_disk),
		CASE(a_frame_opens_only_in_its_place_and_pack),
		CASE(a_pack_of_another_repository_is_refused),
		CASE(a_directory_of_a_pack_that_was_cut_or_changed_is_refused),
		CASE(frames_of_many_threads_lie_in_the_order_of_their_places),
		CASE(a_pack_with_a_place_left_empty_is_not_finished),
		CASE(names_of_packs_are_told_from_others),
		CASE(a_directory_with_impossible_counts_is_refused),
		CASE(a_frame_of_impossible_length_is_not_even_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
