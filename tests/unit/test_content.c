/* Contents: streams in, any range out, and entries that promise what is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/content.h"
#include "agent/repository/content_list.h"
#include "agent/repository/repository_internal.h"
#include "agent/repository/stream.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

#define LARGE (20u << 20) /* more chunks than an entry names directly */

struct fixture {
	char *folder;
	struct repository *repo;
	uint8_t *data; /* LARGE bytes of noise */
};

static int
group_setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	uint64_t seed = 3;
	char *path;

	f->repo = test_repository_new(&f->folder, &path);
	free(path);
	f->data = mem_calloc(1, LARGE);
	for (size_t i = 0; i < LARGE; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		f->data[i] = (uint8_t)(seed >> 56);
	}
	*state = f;
	return 0;
}

static int
group_teardown(void **state)
{
	struct fixture *f = *state;

	repository_close(f->repo);
	test_folder_remove(f->folder);
	free(f->data);
	free(f);
	return 0;
}

struct ended {
	sem_t sem;
	bool ok;
};

static void
note_end(void *arg, bool ok)
{
	struct ended *ended = arg;

	ended->ok = ok;
	sem_post(&ended->sem);
}

/* Stream data into an entry, at most so many bytes at a time. */
static void
store(struct fixture *f, const uint8_t *data, size_t len, size_t step, struct entry *entry,
    struct writer_totals *totals)
{
	struct writer_options how = { .threads = 3 };
	struct error err = ERROR_INIT;
	struct ended ended = { .ok = false };
	struct stream *stream;
	struct writer *writer;
	size_t done = 0;

	assert_int_equal(writer_begin(f->repo, &how, &writer, &err), 0);
	sem_init(&ended.sem, 0, 0);
	entry_init(entry);
	entry->kind = ENTRY_FILE;
	entry->size = len;
	stream = stream_begin(writer);
	while (done < len) {
		size_t room, n = len - done < step ? len - done : step;
		uint8_t *p = stream_room(stream, &room);

		assert_true(room >= 64u << 10);
		n = n < room ? n : room;
		memcpy(p, data + done, n);
		stream_filled(stream, n);
		done += n;
	}
	stream_end(stream, entry, note_end, &ended);
	sem_wait(&ended.sem);
	assert_true(ended.ok);
	assert_int_equal(writer_finish(writer, totals, &err), 0);
	sem_destroy(&ended.sem);
}

static void
assert_range(struct content *content, const uint8_t *expected, uint64_t offset, size_t len)
{
	uint8_t *got = mem_calloc(1, len + 1);
	struct error err = ERROR_INIT;

	if (content_read(content, offset, got, len, &err) != 0)
		fail_msg("%zu bytes from %llu: %s", len, (unsigned long long)offset, err.message);
	assert_memory_equal(got, expected + offset, len);
	free(got);
}

/* Runs from content_next cover the data in order. */
static void
assert_runs(struct content *content, const uint8_t *expected, uint64_t from, uint64_t size)
{
	struct error err = ERROR_INIT;
	const uint8_t *data;
	uint64_t offset;
	size_t len;
	int rc;

	while ((rc = content_next(content, &offset, &data, &len, &err)) == 1) {
		assert_int_equal(offset, from);
		assert_true(len > 0 && from + len <= size);
		assert_memory_equal(data, expected + offset, len);
		from += len;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(from, size);
}

static void
what_was_streamed_is_read_back_from_anywhere(void **state)
{
	static const size_t lens[] = { 0, 1, 1000, 64u << 10, 700000, LARGE };
	static const size_t steps[] = { SIZE_MAX, 300001 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct error err = ERROR_INIT;
		struct writer_totals totals;
		struct content *content;
		struct entry entry;
		size_t len = lens[i];

		store(f, f->data, len, steps[i % 2], &entry, &totals);
		assert_int_equal(entry.depth, len == LARGE ? 1 : 0);
		assert_int_equal(content_open(f->repo, &entry, &content, &err), 0);
		assert_runs(content, f->data, 0, len);
		content_close(content);
		assert_int_equal(content_open(f->repo, &entry, &content, &err), 0);
		assert_range(content, f->data, 0, len);
		for (uint64_t at = 0; at < len; at += len / 7 + 1) {
			size_t left = len - (size_t)at;

			assert_range(content, f->data, at, left < 200000 ? left : 200000);
			assert_range(content, f->data, at, left < 10 ? left : 10);
			assert_int_equal(content_seek(content, at, &err), 0);
			assert_runs(content, f->data, at, len);
			assert_int_equal(content_seek(content, at, &err), 0);
		}
		content_close(content);
		content_close(NULL);
		entry_done(&entry);
	}
}

static void
how_a_stream_is_fed_makes_no_difference(void **state)
{
	struct fixture *f = *state;
	struct writer_totals totals;
	struct entry first, second;

	store(f, f->data, LARGE, SIZE_MAX, &first, &totals);
	store(f, f->data, LARGE, 77777, &second, &totals);
	assert_int_equal(totals.added_blobs, 0);
	assert_int_equal(first.content_count, second.content_count);
	assert_memory_equal(first.content, second.content, first.content_count * BLOB_ID_SIZE);
	entry_done(&first);
	entry_done(&second);
}

static void
bytes_inserted_at_the_front_add_little(void **state)
{
	struct fixture *f = *state;
	uint8_t *shifted = mem_calloc(1, LARGE + 100);
	struct writer_totals totals;
	struct entry entry;

	store(f, f->data, LARGE, SIZE_MAX, &entry, &totals);
	entry_done(&entry);
	memcpy(shifted + 100, f->data, LARGE);
	store(f, shifted, LARGE + 100, SIZE_MAX, &entry, &totals);
	assert_true(totals.added_bytes < 2u << 20);
	entry_done(&entry);
	free(shifted);
}

static void
holes_are_zeros_and_are_not_runs(void **state)
{
	static const struct extent extents[] = { { 1000, 5000 }, { 6000, 0 }, { 500000, 300000 },
		{ 900000, 1 } };
	struct fixture *f = *state;
	size_t size = 1000000, data_len = 305001, runs = 0;
	uint8_t *expected = mem_calloc(1, size);
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct content *content;
	const uint8_t *data;
	struct entry entry;
	uint64_t offset;
	size_t len, from = 0;

	for (size_t i = 0; i < ARRAY_LEN(extents); i++) {
		memcpy(expected + extents[i].offset, f->data + from, extents[i].len);
		from += extents[i].len;
	}
	store(f, f->data, data_len, SIZE_MAX, &entry, &totals);
	entry.size = size;
	entry.sparse = true;
	entry.extents = mem_dup(extents, sizeof(extents));
	entry.extent_count = ARRAY_LEN(extents);
	assert_int_equal(content_open(f->repo, &entry, &content, &err), 0);
	while (content_next(content, &offset, &data, &len, &err) == 1) {
		assert_memory_equal(data, expected + offset, len);
		runs += len;
	}
	assert_int_equal(runs, data_len);
	assert_int_equal(content_seek(content, 0, &err), 0);
	assert_range(content, expected, 0, size);
	for (size_t at = 0; at < size; at += 33331) {
		assert_range(content, expected, at, size - at < 50000 ? size - at : 50000);
		assert_range(content, expected, at, 1);
	}
	/* Backwards, so that each is sought. */
	for (size_t at = size - 1000; at > 1000; at -= 12347 < at ? 12347 : at)
		assert_range(content, expected, at, 1000);
	content_close(content);
	entry_done(&entry);
	free(expected);
}

static void
a_read_beyond_the_end_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct content *content;
	struct entry entry;
	uint8_t buf[10];

	store(f, f->data, 1000, SIZE_MAX, &entry, &totals);
	assert_int_equal(content_open(f->repo, &entry, &content, &err), 0);
	assert_int_equal(content_read(content, 991, buf, 10, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_RANGE);
	assert_int_equal(content_read(content, 1001, buf, 0, &err), -1);
	assert_int_equal(content_read(content, UINT64_MAX, buf, 2, &err), -1);
	assert_int_equal(content_read(content, 1000, buf, 0, &err), 0);
	assert_range(content, f->data, 990, 10);
	content_close(content);
	entry.kind = ENTRY_SYMLINK;
	assert_int_equal(content_open(f->repo, &entry, &content, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "not a file but a symlink");
	entry_done(&entry);
}

static void
assert_damaged(struct fixture *f, const struct entry *entry, const char *message)
{
	uint8_t *buf = mem_calloc(1, entry->size + 1);
	struct error err = ERROR_INIT;
	struct content *content;

	assert_int_equal(content_open(f->repo, entry, &content, &err), 0);
	assert_int_equal(content_read(content, 0, buf, entry->size, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	if (message != NULL)
		assert_string_equal(err.message, message);
	content_close(content);
	free(buf);
}

static void
an_entry_with_more_or_less_data_than_its_size_is_damaged(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct content *content;
	const uint8_t *data;
	struct entry entry;
	uint64_t offset;
	size_t len;
	int rc;

	store(f, f->data, 1000, SIZE_MAX, &entry, &totals);
	entry.size = 1001;
	assert_damaged(f, &entry, "a file has less data than its size");
	entry.size = 999;
	assert_int_equal(content_open(f->repo, &entry, &content, &err), 0);
	while ((rc = content_next(content, &offset, &data, &len, &err)) == 1)
		assert_true(offset + len <= 999);
	assert_int_equal(rc, -1);
	assert_string_equal(err.message, "a file has more data than its size");
	content_close(content);
	entry.size = 1000;
	entry.content_count = 0;
	assert_damaged(f, &entry, "a file has less data than its size");
	/* A name of no blob at all. */
	entry.content_count = 1;
	entry.content[0].bytes[0] ^= 1;
	assert_damaged(f, &entry, NULL);
	entry_done(&entry);
}

static void
a_list_that_is_none_is_damaged(void **state)
{
	struct fixture *f = *state;
	struct writer_options how = { .threads = 1 };
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct writer *writer;
	struct blob_id ids[2];
	struct entry entry;

	store(f, f->data, 1000, SIZE_MAX, &entry, &totals);
	/* Data that poses as a list. */
	entry.depth = 1;
	assert_damaged(f, &entry, NULL);
	assert_int_equal(writer_begin(f->repo, &how, &writer, &err), 0);
	assert_int_equal(writer_put_meta(writer, BLOB_LIST, f->data, 33, &ids[0], &err), 0);
	assert_int_equal(writer_put_meta(writer, BLOB_LIST, "", 0, &ids[1], &err), 0);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	for (size_t i = 0; i < 2; i++) {
		entry.content[0] = ids[i];
		assert_damaged(f, &entry, "a list of chunks has an impossible length");
	}
	entry_done(&entry);
}

/* Lists within lists could name so many of them that reading would not end. */
static void
an_empty_chunk_is_damaged(void **state)
{
	struct fixture *f = *state;
	struct writer_options how = { .threads = 1 };
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct content *content;
	struct writer *writer;
	struct entry entry;

	store(f, f->data, 1000, SIZE_MAX, &entry, &totals);
	assert_int_equal(writer_begin(f->repo, &how, &writer, &err), 0);
	assert_int_equal(writer_put_meta(writer, BLOB_DATA, "", 0, &entry.content[0], &err), 0);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	assert_damaged(f, &entry, "a chunk of a file is empty");
	/* Passing over it is no way round. */
	assert_int_equal(content_open(f->repo, &entry, &content, &err), 0);
	assert_int_equal(content_seek(content, 500, &err), -1);
	assert_string_equal(err.message, "a chunk of a file is empty");
	content_close(content);
	entry_done(&entry);
}

/* Names that a content of ever so many chunks might have. */
#define NAMES 100000u

static void
make_list(struct fixture *f, const struct blob_id *ids, size_t count, struct entry *entry,
    struct writer_totals *totals)
{
	struct writer_options how = { .threads = 1 };
	struct content_list list;
	struct error err = ERROR_INIT;
	struct writer *writer;

	assert_int_equal(writer_begin(f->repo, &how, &writer, &err), 0);
	content_list_init(&list);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(content_list_add(&list, writer, &ids[i], &err), 0);
	entry_init(entry);
	assert_int_equal(content_list_finish(&list, writer, entry, &err), 0);
	content_list_done(&list);
	assert_int_equal(writer_finish(writer, totals, &err), 0);
}

/* All names below, in order, compared with ids; how many. */
static size_t
compare_names(struct fixture *f, const struct blob_id *names, size_t count, unsigned depth,
    const struct blob_id *ids)
{
	size_t done = 0;

	for (size_t i = 0; i < count; i++) {
		struct error err = ERROR_INIT;
		struct blob_view view;

		if (depth == 0) {
			assert_memory_equal(&names[i], &ids[done++], BLOB_ID_SIZE);
			continue;
		}
		assert_int_equal(repository_read_blob(f->repo, BLOB_LIST, &names[i], &view, &err),
		    0);
		assert_true(view.len <= LIST_MAX * BLOB_ID_SIZE);
		done += compare_names(f, (const void *)view.data, view.len / BLOB_ID_SIZE,
		    depth - 1, ids + done);
		blob_release(&view);
	}
	return done;
}

static void
lists_of_lists_name_everything_and_change_little(void **state)
{
	static const size_t counts[] = { 0, 1, CONTENT_DIRECT_MAX, CONTENT_DIRECT_MAX + 1, 5000,
		NAMES };
	static const unsigned depths[] = { 0, 0, 0, 1, 1, 2 };
	struct fixture *f = *state;
	struct blob_id *ids = mem_calloc(NAMES + 1, sizeof(*ids));
	struct writer_totals totals;
	struct entry entry;

	for (uint32_t i = 0; i <= NAMES; i++)
		blob_hash(f->repo->keys, BLOB_DATA, &i, sizeof(i), &ids[i]);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		make_list(f, ids + 1, counts[i], &entry, &totals);
		assert_int_equal(entry.depth, depths[i]);
		assert_true(entry.content_count <= CONTENT_DIRECT_MAX);
		assert_int_equal(compare_names(f, entry.content, entry.content_count, entry.depth,
		    ids + 1), counts[i]);
		entry_done(&entry);
	}
	/* One more at the front: one list of each level. */
	make_list(f, ids, NAMES + 1, &entry, &totals);
	assert_true(totals.added_blobs <= 4);
	assert_int_equal(compare_names(f, entry.content, entry.content_count, entry.depth, ids),
	    NAMES + 1);
	entry_done(&entry);
	free(ids);
}

static void
a_stream_into_a_failed_writer_ends_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct writer_options how = { .threads = 2 };
	struct error err = ERROR_INIT, why = ERROR_INIT;
	struct ended ended = { .ok = true };
	struct writer_totals totals;
	struct stream *stream;
	struct writer *writer;
	struct entry entry;

	assert_int_equal(writer_begin(f->repo, &how, &writer, &err), 0);
	sem_init(&ended.sem, 0, 0);
	entry_init(&entry);
	entry.kind = ENTRY_FILE;
	stream = stream_begin(writer);
	error_set(&why, ERROR_NO_SPACE, "full");
	writer_fail(writer, &why);
	for (size_t done = 0; done < LARGE;) {
		size_t room;
		uint8_t *p = stream_room(stream, &room);

		room = room < LARGE - done ? room : LARGE - done;
		/* Other bytes than before, or nothing would have to be stored. */
		memset(p, (int)(done >> 20) + 1, room);
		stream_filled(stream, room);
		done += room;
	}
	stream_end(stream, &entry, note_end, &ended);
	sem_wait(&ended.sem);
	assert_false(ended.ok);
	assert_int_equal(entry.content_count, 0);
	assert_int_equal(writer_finish(writer, &totals, &err), -1);
	assert_int_equal(err.code, ERROR_NO_SPACE);
	sem_destroy(&ended.sem);
	entry_done(&entry);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_streamed_is_read_back_from_anywhere),
		cmocka_unit_test(how_a_stream_is_fed_makes_no_difference),
		cmocka_unit_test(bytes_inserted_at_the_front_add_little),
		cmocka_unit_test(holes_are_zeros_and_are_not_runs),
		cmocka_unit_test(a_read_beyond_the_end_is_refused),
		cmocka_unit_test(an_entry_with_more_or_less_data_than_its_size_is_damaged),
		cmocka_unit_test(a_list_that_is_none_is_damaged),
		cmocka_unit_test(an_empty_chunk_is_damaged),
		cmocka_unit_test(lists_of_lists_name_everything_and_change_little),
		cmocka_unit_test(a_stream_into_a_failed_writer_ends_and_says_so),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
