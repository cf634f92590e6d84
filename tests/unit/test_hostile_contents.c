/*
 * A repository that was made to do harm: contents of files, frames, index files and snapshots.  As
 * tests/unit/test_hostile.c, which has the trees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "agent/repository/check.h"
#include "shared/mem.h"
#include "tests/lib/hostile_reading.h"

/* A root with one file. */
static void
end_file(struct hostile_fixture *f, struct hostile *hostile, const char *name, struct entry *file,
    unsigned damage)
{
	struct blob_id root;

	hostile_put_tree(hostile, &file, 1, &root);
	hostile_case_end(f, hostile, name, &root, 1, damage);
}

static void
sizes_that_lie_are_told_everywhere(void **state)
{
	static const uint8_t data[1000];
	static const struct {
		uint64_t size;
		unsigned repeat;
		bool sparse;
		uint64_t extent;
	} lies[] = {
		{ 999, 1, false, 0 }, { 1001, 1, false, 0 }, { 0, 1, false, 0 },
		{ 1000, 0, false, 0 }, { 1000, 2, false, 0 }, { 3000, 2, false, 0 },
		{ INT64_MAX, 1, false, 0 }, { 5000, 1, true, 999 }, { 5000, 1, true, 1001 },
		{ 5000, 0, true, 1000 }, { 5000, 2, true, 1000 },
	};
	struct hostile_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct entry file = hostile_entry(ENTRY_FILE, "a");
		struct extent extent = { 100, lies[i].extent };
		struct hostile hostile;
		struct blob_id ids[2];
		char what[60];

		hostile_case_begin(f, &hostile);
		hostile_put(&hostile, BLOB_DATA, data, sizeof(data), &ids[0]);
		ids[1] = ids[0];
		file.size = lies[i].size;
		file.content = ids;
		file.content_count = lies[i].repeat;
		file.sparse = lies[i].sparse;
		file.extents = &extent;
		file.extent_count = lies[i].sparse;
		snprintf(what, sizeof(what), "lie %zu: %llu bytes", i,
		    (unsigned long long)lies[i].size);
		end_file(f, &hostile, what, &file, HOSTILE_CONTENT);
	}
}

/* A list that names one blob over and over, lists of that list, ... */
static void
try_lists(struct hostile_fixture *f, unsigned depth, size_t repeat, uint64_t size, unsigned damage)
{
	uint8_t *data = mem_calloc(65536, 1);
	struct blob_id *ids = mem_calloc(repeat, sizeof(*ids)), id;
	struct entry file = hostile_entry(ENTRY_FILE, "a");
	struct hostile hostile;
	char what[80];

	hostile_case_begin(f, &hostile);
	hostile_put(&hostile, BLOB_DATA, data, 65536, &id);
	for (unsigned level = 0; level < depth; level++) {
		for (size_t i = 0; i < repeat; i++)
			ids[i] = id;
		hostile_put(&hostile, BLOB_LIST, ids, repeat * sizeof(*ids), &id);
	}
	file.size = size;
	file.depth = depth;
	file.content = &id;
	file.content_count = 1;
	snprintf(what, sizeof(what), "lists of depth %u, %llu bytes", depth,
	    (unsigned long long)size);
	end_file(f, &hostile, what, &file, damage);
	free(ids);
	free(data);
}

static void
a_file_of_petabytes_ends_where_the_disk_does(void **state)
{
	/* 2^16 * 2^16 * 2^16 * 2^16 bytes are more than a size can say. */
	try_lists(*state, 2, 65536, UINT64_C(1) << 48, HOSTILE_ENDLESS);
	try_lists(*state, 6, 65536, INT64_MAX, HOSTILE_ENDLESS | HOSTILE_CONTENT);
	try_lists(*state, 6, 1000, 65536, HOSTILE_CONTENT);
}

static void
lists_that_are_none_are_told_everywhere(void **state)
{
	static const uint8_t bytes[BLOB_ID_SIZE + 1];
	struct hostile_fixture *f = *state;

	for (unsigned i = 0; i < 4; i++) {
		struct entry file = hostile_entry(ENTRY_FILE, "a");
		struct hostile hostile;
		struct blob_id id;

		hostile_case_begin(f, &hostile);
		/* Of a wrong length; of none; data; of a blob that is not there. */
		hostile_put(&hostile, i == 2 ? BLOB_DATA : BLOB_LIST, bytes, i == 0 ? 33 :
		    i == 1 ? 0 : BLOB_ID_SIZE, &id);
		file.size = 1000;
		file.depth = i == 3 ? 6 : 1;
		file.content = &id;
		file.content_count = 1;
		end_file(f, &hostile, "a list that is none", &file, HOSTILE_CONTENT);
	}
}

/* ---- frames */

static void
frames_without_end_are_told_everywhere(void **state)
{
	const size_t zeros_len = 64u << 20;
	struct hostile_fixture *f = *state;
	uint8_t *zeros = mem_calloc(zeros_len, 1), *bomb;
	size_t bound = ZSTD_compressBound(zeros_len), len;
	ZSTD_CCtx *coder = ZSTD_createCCtx();

	bomb = mem_calloc(bound + 1, 1);
	bomb[0] = FRAME_ZSTD;
	for (unsigned i = 0; i < 6; i++) {
		struct entry file = hostile_entry(ENTRY_FILE, "a");
		uint32_t plain_len = 100000;
		struct hostile hostile;
		struct blob_id id;

		ZSTD_CCtx_reset(coder, ZSTD_reset_session_and_parameters);
		ZSTD_CCtx_setParameter(coder, ZSTD_c_contentSizeFlag, i != 1);
		len = ZSTD_compress2(coder, bomb + 1, bound, zeros, zeros_len);
		assert_false(ZSTD_isError(len));
		if (i == 2)
			memset(bomb + 5, 0xff, 8); /* a content size of anything */
		if (i == 3)
			bomb[0] = 7; /* a codec that nobody knows */
		if (i == 4)
			len = 0;
		if (i == 5) {
			/* Two frames in a row, and less than was said. */
			len = ZSTD_compress2(coder, bomb + 1, bound, zeros, 50000);
			len += ZSTD_compress2(coder, bomb + 1 + len, bound - len, zeros, 40000);
		}
		hostile_case_begin(f, &hostile);
		memset(&id, 0x33, sizeof(id));
		hostile_put_payload(&hostile, &id, bomb, len + 1, plain_len);
		bomb[0] = FRAME_ZSTD;
		file.size = plain_len;
		file.content = &id;
		file.content_count = 1;
		end_file(f, &hostile, "a frame that is not what it says", &file, HOSTILE_FRAME);
	}
	ZSTD_freeCCtx(coder);
	free(zeros);
	free(bomb);
}

static void
a_blob_that_is_not_what_its_name_says_is_told(void **state)
{
	struct hostile_fixture *f = *state;
	struct entry file = hostile_entry(ENTRY_FILE, "a"), *pointer = &file;
	struct buffer tree = BUFFER_INIT;
	struct hostile hostile;
	struct blob_id id;

	/* A tree under a foreign name is noticed by whoever reads it. */
	hostile_case_begin(f, &hostile);
	memset(&id, 0x44, sizeof(id));
	(void)tree_encode(&pointer, 1, &tree);
	hostile_put_as(&hostile, &id, tree.data, tree.len);
	hostile_case_end(f, &hostile, "a tree under another name", &id, 1, HOSTILE_TREE);
	buffer_done(&tree);
}

/* ---- index files and snapshots */

/* Opens, restores the honest snapshot and says what is wrong. */
static void
assert_goes_on_without(struct hostile_fixture *f, const char *what)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(f->work, NULL, &err);
	struct check_options options = { .read_data = true };
	struct check_result result;
	struct progress progress;
	struct snapshot *snapshot = NULL;
	struct test_compared compared;

	if (repo == NULL)
		fail_msg("%s: %s", what, err.message);
	progress_init(&progress);
	assert_int_equal(check_run(repo, &options, &progress, &result, &err), 0);
	if (result.errors == 0)
		fail_msg("%s: check found nothing", what);
	check_result_done(&result);
	if (test_backup(repo, f->source, &snapshot, &err) != 0)
		fail_msg("%s: backup: %s", what, err.message);
	test_compare(repo, snapshot, f->source, f->source, NULL, NULL, &compared);
	if (compared.wrong + compared.unreadable > 0)
		fail_msg("%s: %s", what, compared.first);
	snapshot_free(snapshot);
	assert_int_equal(snapshot_find(repo, "latest", &snapshot, &err), 0);
	snapshot_free(snapshot);
	progress_done(&progress);
	repository_close(repo);
	f->cases++;
}

static void
index_files_without_end_are_told_and_passed_over(void **state)
{
	const uint64_t huge = UINT64_C(1) << 63;
	struct hostile_fixture *f = *state;

	for (unsigned place = 0; place < 5; place++) {
		struct buffer header = BUFFER_INIT;
		struct hostile hostile;
		struct repository *repo = hostile_case_begin(f, &hostile);

		hostile_finish(&hostile);
		buffer_put_varint(&header, place == 0 ? huge : 1);
		for (unsigned i = 0; i < OBJECT_ID_SIZE; i++)
			buffer_put_u8(&header, 1);
		buffer_put_u8(&header, 0);
		buffer_put_varint(&header, place == 1 ? huge : 1u << 30);
		buffer_put_varint(&header, place == 2 ? huge : 1);
		buffer_put_varint(&header, place == 3 ? huge : 100);
		buffer_put_varint(&header, 100);
		buffer_put_varint(&header, place == 4 ? huge : 0);
		hostile_index(repo, header.data, header.len);
		repository_close(repo);
		assert_goes_on_without(f, "a count of 2^63 in an index file");
		buffer_done(&header);
	}
}

static void
snapshots_that_lie_are_told_and_passed_over(void **state)
{
	static const char *const changes[] = {
		"{\"format\": 0}", "{\"format\": -9223372036854775807}",
		"{\"files\": -1}", "{\"sequence\": \"1\"}", "{\"sequence\": -5}",
		"{\"time\": \"2126-13-01T00:00:00Z\"}", "{\"time\": 1}",
		"{\"roots\": [\"00\"]}", "{\"roots\": {}}", "{\"sources\": [1]}",
		"{\"sequence\": 9223372036854775807}",
	};
	struct hostile_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct hostile hostile;
		struct repository *repo = hostile_case_begin(f, &hostile);
		struct snapshot *honest;
		struct error err = ERROR_INIT;
		json_t *json, *change = json_loads(changes[i], 0, NULL);
		char id[SNAPSHOT_ID_TEXT_SIZE];

		assert_non_null(change);
		hostile_finish(&hostile);
		assert_int_equal(snapshot_find(repo, "latest", &honest, &err), 0);
		json = snapshot_to_json(honest);
		json_object_update(json, change);
		json_object_del(json, "id");
		hostile_document(repo, json, id);
		json_decref(json);
		json_decref(change);
		snapshot_free(honest);
		repository_close(repo);
		assert_goes_on_without(f, changes[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_lie_are_told_everywhere),
		cmocka_unit_test(a_file_of_petabytes_ends_where_the_disk_does),
		cmocka_unit_test(lists_that_are_none_are_told_everywhere),
		cmocka_unit_test(frames_without_end_are_told_everywhere),
		cmocka_unit_test(a_blob_that_is_not_what_its_name_says_is_told),
		cmocka_unit_test(index_files_without_end_are_told_and_passed_over),
		cmocka_unit_test(snapshots_that_lie_are_told_and_passed_over),
	};

	return cmocka_run_group_tests_name("hostile contents", tests, hostile_fixture_setup,
	    hostile_fixture_teardown);
}
