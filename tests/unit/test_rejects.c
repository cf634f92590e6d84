/* Rows that a load did not take: written as it goes on, read meanwhile, never too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tables/rejects.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

static struct rejects *
open_well(const char *folder, const char *run)
{
	struct rejects *rejects = NULL;
	struct error err = ERROR_INIT;

	if (rejects_open(folder, run, &rejects, &err) != 0)
		fail_msg("%s", err.message);
	return rejects;
}

static void
add_well(struct rejects *rejects, uint64_t number, const char *raw, size_t len)
{
	struct error err = ERROR_INIT;

	if (rejects_add(rejects, number, number + 1, "c", "too long", raw, len, &err) != 0)
		fail_msg("%s", err.message);
}

static void
close_well(struct rejects *rejects)
{
	struct error err = ERROR_INIT;

	if (rejects_close(rejects, &err) != 0)
		fail_msg("%s", err.message);
}

static struct rejects_reader *
read_well(const char *folder, const char *run)
{
	struct rejects_reader *reader = NULL;
	struct error err = ERROR_INIT;

	if (rejects_read_open(folder, run, &reader, &err) != 1)
		fail_msg("%s", err.message);
	return reader;
}

static void
expect(struct rejects_reader *reader, uint64_t number, const void *raw, size_t len)
{
	struct error err = ERROR_INIT;
	struct reject reject;

	if (rejects_read(reader, &reject, &err) != 1)
		fail_msg("%s", err.message);
	assert_int_equal(reject.number, number);
	assert_int_equal(reject.raw_len, len);
	assert_memory_equal(reject.raw, raw, len);
}

static void
expect_end(struct rejects_reader *reader)
{
	struct error err = ERROR_INIT;
	struct reject reject;

	assert_int_equal(rejects_read(reader, &reject, &err), 0);
}

static void
rows_come_back_as_they_were(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "rejects/run1");
	struct rejects *rejects = open_well(folder, "run1");
	struct rejects_reader *reader = NULL;
	struct error err = ERROR_INIT;
	struct reject reject;
	struct stat st;
	size_t len;
	bool crlf;

	(void)state;
	rejects_set_header(rejects, "a,b\n", 3, true);
	assert_int_equal(test_folder_count(folder), 0);
	assert_int_equal(rejects_add(rejects, 7, 0, NULL, "ragged", "x\0\xff\n", 4, &err), 0);
	assert_int_equal(rejects_add(rejects, UINT64_MAX, 9, "b", "null", "", 0, &err), 0);
	close_well(rejects);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	reader = read_well(folder, "run1");
	assert_string_equal(rejects_read_header(reader, &len, &crlf), "a,b");
	assert_int_equal(len, 3);
	assert_true(crlf);
	assert_int_equal(rejects_read(reader, &reject, &err), 1);
	assert_int_equal(reject.number, 7);
	assert_int_equal(reject.line, 0);
	assert_null(reject.column);
	assert_string_equal(reject.reason, "ragged");
	assert_int_equal(reject.raw_len, 4);
	assert_memory_equal(reject.raw, "x\0\xff\n", 4);
	assert_false(reject.cut);
	assert_int_equal(rejects_read(reader, &reject, &err), 1);
	assert_true(reject.number == UINT64_MAX);
	assert_int_equal(reject.line, 9);
	assert_string_equal(reject.column, "b");
	assert_int_equal(reject.raw_len, 0);
	expect_end(reader);
	rejects_read_close(reader);
	free(path);
	test_folder_remove(folder);
}

static void
a_header_has_all_its_bytes(void **state)
{
	char *folder = test_folder_new();
	struct rejects *rejects = open_well(folder, "r");
	struct rejects_reader *reader;
	size_t len;
	bool crlf;

	(void)state;
	rejects_set_header(rejects, "a\0b", 3, false);
	add_well(rejects, 1, "x", 1);
	close_well(rejects);
	reader = read_well(folder, "r");
	assert_memory_equal(rejects_read_header(reader, &len, &crlf), "a\0b", 4);
	assert_int_equal(len, 3);
	rejects_read_close(reader);
	test_folder_remove(folder);
}

static void
a_load_without_rejects_leaves_nothing(void **state)
{
	char *folder = test_folder_new();
	struct rejects *rejects = open_well(folder, "run1");
	struct rejects_reader *reader = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	rejects_set_header(rejects, NULL, 0, false);
	close_well(rejects);
	assert_int_equal(test_folder_count(folder), 0);
	assert_int_equal(rejects_read_open(folder, "run1", &reader, &err), 0);
	rejects = open_well(folder, "run2");
	add_well(rejects, 1, "x", 1);
	close_well(rejects);
	assert_int_equal(rejects_read_open(folder, "run1", &reader, &err), 0);
	reader = read_well(folder, "run2");
	/* No header was told. */
	{
		size_t len;
		bool crlf;

		assert_null(rejects_read_header(reader, &len, &crlf));
		assert_false(crlf);
	}
	expect(reader, 1, "x", 1);
	expect_end(reader);
	rejects_read_close(reader);
	test_folder_remove(folder);
}

static void
a_run_is_one_component_of_a_path(void **state)
{
	const char *const bad[] = { "", ".", "..", "a/b", "../token" };
	struct rejects *rejects;
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(rejects_open("/nowhere", bad[i], &rejects, &err), -1);
	assert_int_equal(rejects_open("/nowhere", NULL, &rejects, &err), -1);
}

static void
a_very_long_row_is_kept_cut(void **state)
{
	char *folder = test_folder_new(), *raw = mem_calloc(REJECT_RAW_MAX + 1, 1);
	struct rejects *rejects = open_well(folder, "r");
	struct rejects_reader *reader;
	struct error err = ERROR_INIT;
	struct reject reject;

	(void)state;
	memset(raw, 'r', REJECT_RAW_MAX + 1);
	add_well(rejects, 1, raw, REJECT_RAW_MAX);
	add_well(rejects, 2, raw, REJECT_RAW_MAX + 1);
	add_well(rejects, 3, "x", 1);
	close_well(rejects);
	reader = read_well(folder, "r");
	for (uint64_t i = 1; i <= 2; i++) {
		assert_int_equal(rejects_read(reader, &reject, &err), 1);
		assert_int_equal(reject.raw_len, REJECT_RAW_MAX);
		assert_memory_equal(reject.raw, raw, REJECT_RAW_MAX);
		assert_int_equal(reject.cut, i == 2);
	}
	expect(reader, 3, "x", 1);
	rejects_read_close(reader);
	free(raw);
	test_folder_remove(folder);
}

static void
what_was_written_is_read_while_the_load_goes_on(void **state)
{
	char *folder = test_folder_new(), *raw = mem_calloc(100000, 1);
	struct rejects *rejects = open_well(folder, "r");
	struct rejects_reader *reader;

	(void)state;
	add_well(rejects, 1, raw, 100000);
	reader = read_well(folder, "r");
	expect(reader, 1, raw, 100000);
	expect_end(reader);
	add_well(rejects, 2, raw, 100000);
	expect(reader, 2, raw, 100000);
	close_well(rejects);
	expect_end(reader);
	rejects_read_close(reader);
	free(raw);
	test_folder_remove(folder);
}

static int
collect(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	buffer_put(arg, data, len);
	return 0;
}

static void
expect_raw(const char *folder, const char *run, const char *expected)
{
	struct rejects_reader *reader = read_well(folder, run);
	struct buffer out = BUFFER_INIT;
	struct error err = ERROR_INIT;

	if (rejects_write_raw(reader, collect, &out, &err) != 0)
		fail_msg("%s", err.message);
	assert_string_equal(buffer_text(&out), expected);
	buffer_done(&out);
	rejects_read_close(reader);
}

static void
rows_of_csv_are_given_as_they_were_the_last_one_last(void **state)
{
	char *folder = test_folder_new(), *raw = mem_calloc(REJECT_RAW_MAX + 1, 1);
	struct rejects *rejects = open_well(folder, "r");

	(void)state;
	rejects_set_header(rejects, "a,b", 3, true);
	add_well(rejects, 2, "2,\"x\ny\"", 7);
	/* The last of the file, whose quote takes in whatever follows. */
	add_well(rejects, 9, "9,\"open\n", 8);
	add_well(rejects, 4, raw, REJECT_RAW_MAX + 1);
	add_well(rejects, 3, "3", 1);
	add_well(rejects, 5, "5", 1);
	close_well(rejects);
	expect_raw(folder, "r", "a,b\r\n2,\"x\ny\"\r\n3\r\n5\r\n9,\"open\n\r\n");
	rejects = open_well(folder, "none");
	rejects_set_header(rejects, NULL, 0, false);
	add_well(rejects, 1, "", 0);
	close_well(rejects);
	expect_raw(folder, "none", "\n");
	free(raw);
	test_folder_remove(folder);
}

static void
rows_of_json_are_given_as_an_array(void **state)
{
	char *folder = test_folder_new(), *raw = mem_calloc(REJECT_RAW_MAX + 1, 1);
	struct rejects *rejects = open_well(folder, "r");

	(void)state;
	add_well(rejects, 1, "{\"a\": 1}", 8);
	add_well(rejects, 2, "{}", 2);
	close_well(rejects);
	expect_raw(folder, "r", "[\n{\"a\": 1},\n{}\n]\n");
	rejects = open_well(folder, "cut");
	add_well(rejects, 1, raw, REJECT_RAW_MAX + 1);
	close_well(rejects);
	expect_raw(folder, "cut", "[]\n");
	free(raw);
	test_folder_remove(folder);
}

static int
fail_at_once(void *arg, const void *data, size_t len, struct error *err)
{
	unsigned *calls = arg;

	(void)data;
	(void)len;
	(*calls)++;
	return error_set(err, ERROR_IO, "gone");
}

static void
who_takes_no_more_is_given_no_more(void **state)
{
	char *folder = test_folder_new(), *raw = mem_calloc(50000, 1);
	struct rejects *rejects = open_well(folder, "r");
	struct error err = ERROR_INIT;
	struct rejects_reader *reader;
	unsigned calls = 0;

	(void)state;
	for (uint64_t i = 1; i <= 10; i++)
		add_well(rejects, i, raw, 50000);
	close_well(rejects);
	reader = read_well(folder, "r");
	assert_int_equal(rejects_write_raw(reader, fail_at_once, &calls, &err), -1);
	assert_string_equal(err.message, "gone");
	assert_int_equal(calls, 1);
	rejects_read_close(reader);
	free(raw);
	test_folder_remove(folder);
}

/* As a crash leaves it: every length of the file gives whole rows, and no failure. */
static void
a_row_that_is_not_whole_is_left_out(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "rejects/r");
	struct rejects *rejects = open_well(folder, "r");
	struct rejects_reader *reader;
	struct error err = ERROR_INIT;
	struct reject reject;
	uint8_t *data;
	size_t len, rows = 0;

	(void)state;
	rejects_set_header(rejects, "h", 1, false);
	add_well(rejects, 1, "first", 5);
	add_well(rejects, 2, "second", 6);
	close_well(rejects);
	data = test_file_read(path, &len);
	for (size_t cut = 0; cut < len; cut++) {
		size_t found = 0;
		int rc;

		assert_int_equal(truncate(path, 0), 0);
		test_file_write(path, data, cut);
		reader = read_well(folder, "r");
		while ((rc = rejects_read(reader, &reject, &err)) == 1)
			assert_int_equal(reject.number, ++found);
		assert_int_equal(rc, 0);
		assert_true(found >= rows);
		rows = found;
		rejects_read_close(reader);
	}
	assert_int_equal(rows, 1);
	free(data);
	free(path);
	test_folder_remove(folder);
}

static void
damage_is_told(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "rejects/r");
	struct rejects *rejects = open_well(folder, "r");
	struct rejects_reader *reader = NULL;
	struct error err = ERROR_INIT;
	struct reject reject;
	uint8_t *data;
	size_t len;

	(void)state;
	add_well(rejects, 1, "first", 5);
	close_well(rejects);
	data = test_file_read(path, &len);
	data[strlen(REJECTS_MAGIC) + 3] = 0x7f; /* 2 GB */
	test_file_write(path, data, len);
	assert_int_equal(rejects_read_open(folder, "r", &reader, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	data[strlen(REJECTS_MAGIC) + 3] = 0;
	data[strlen(REJECTS_MAGIC) + 8]++; /* a text's length */
	test_file_write(path, data, len);
	reader = read_well(folder, "r");
	assert_int_equal(rejects_read(reader, &reject, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	rejects_read_close(reader);
	data[0]++;
	test_file_write(path, data, len);
	assert_int_equal(rejects_read_open(folder, "r", &reader, &err), -1);
	assert_string_equal(err.message, "the file of rejected rows is damaged");
	free(data);
	free(path);
	test_folder_remove(folder);
}

static void
a_load_that_rejects_too_much_ends(void **state)
{
	char *folder = test_folder_new_in_memory(), *raw = mem_calloc(REJECT_RAW_MAX, 1);
	struct rejects *rejects = open_well(folder, "r");
	struct rejects_reader *reader;
	struct error err = ERROR_INIT;
	uint64_t rows = 0;

	(void)state;
	while (rejects_add(rejects, rows + 1, 0, NULL, "no", raw, REJECT_RAW_MAX, &err) == 0)
		rows++;
	assert_int_equal(rows, 255);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "more than 256 MiB of rows were rejected");
	assert_string_equal(err.hint, "look at the first ones whether it is the right table, "
	    "delimiter and header: GET /v1/runs/r/rejects");
	/* All that came before is there. */
	close_well(rejects);
	reader = read_well(folder, "r");
	for (uint64_t i = 1; i <= rows; i++)
		expect(reader, i, raw, REJECT_RAW_MAX);
	expect_end(reader);
	rejects_read_close(reader);
	free(raw);
	test_folder_remove(folder);
}

/* A file of an older load with so many MiB. */
static void
make_old(const char *folder, const char *name, long age_s, off_t mib)
{
	char *path = test_path(folder, "rejects/%s", name);
	const struct timespec times[] = { { 1000000 - age_s, 0 }, { 1000000 - age_s, 0 } };

	test_file_write(path, "", 0);
	assert_int_equal(truncate(path, mib << 20), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	free(path);
}

static bool
is_there(const char *folder, const char *name)
{
	char *path = test_path(folder, "rejects/%s", name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static void
the_oldest_loads_make_room(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "rejects");
	char *written = test_path(folder, "rejects/written");
	struct rejects *rejects, *other;

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	/* Being written, though it is the oldest: it stays. */
	other = open_well(folder, "written");
	add_well(other, 1, "x", 1);
	{
		const struct timespec times[] = { { 1, 0 }, { 1, 0 } };

		assert_int_equal(truncate(written, (off_t)200 << 20), 0);
		assert_int_equal(utimensat(AT_FDCWD, written, times, 0), 0);
	}
	make_old(folder, "b", 20, 200);
	make_old(folder, "a", 30, 200);
	make_old(folder, "c", 10, 300);
	make_old(folder, "d", 5, 200);
	rejects = open_well(folder, "new");
	/* Not before there is a row. */
	assert_true(is_there(folder, "a"));
	add_well(rejects, 1, "x", 1);
	/* 768 MiB may stay. */
	assert_false(is_there(folder, "a"));
	assert_false(is_there(folder, "b"));
	assert_true(is_there(folder, "c"));
	assert_true(is_there(folder, "d"));
	assert_true(is_there(folder, "written"));
	close_well(rejects);
	close_well(other);
	free(written);
	free(path);
	test_folder_remove(folder);
}

static void
a_link_in_the_folder_is_not_followed(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "rejects"),
	     *link = test_path(folder, "rejects/r"), *victim = test_path(folder, "victim");
	struct rejects_reader *reader = NULL;
	struct error err = ERROR_INIT;
	struct rejects *rejects;
	uint8_t *data;
	size_t len;

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	test_file_write(victim, "kept", 4);
	assert_int_equal(symlink(victim, link), 0);
	assert_int_equal(rejects_read_open(folder, "r", &reader, &err), -1);
	rejects = open_well(folder, "r");
	add_well(rejects, 1, "x", 1);
	close_well(rejects);
	data = test_file_read(victim, &len);
	assert_int_equal(len, 4);
	assert_memory_equal(data, "kept", 4);
	free(data);
	free(victim);
	free(link);
	free(path);
	test_folder_remove(folder);
}

/* A disk that takes no more, by the process's own limit; what was whole stays so. */
static void
a_full_disk_is_told_and_leaves_whole_rows(void **state)
{
	char *folder = test_folder_new(), *raw = mem_calloc(100000, 1);
	struct rejects *rejects = open_well(folder, "r");
	struct rlimit before, limit;
	struct rejects_reader *reader;
	struct error err = ERROR_INIT;

	(void)state;
	add_well(rejects, 1, raw, 100000);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 150000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(rejects_add(rejects, 2, 0, NULL, "no", raw, 100000, &err), -1);
	assert_int_equal(err.sys, EFBIG);
	assert_non_null(strstr(err.message, "could not write the rejected rows to '"));
	reader = read_well(folder, "r");
	expect(reader, 1, raw, 100000);
	expect_end(reader);
	/* With room again what was held back goes behind what is whole. */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	close_well(rejects);
	expect(reader, 2, raw, 100000);
	expect_end(reader);
	rejects_read_close(reader);
	free(raw);
	test_folder_remove(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_back_as_they_were),
		cmocka_unit_test(a_header_has_all_its_bytes),
		cmocka_unit_test(a_load_without_rejects_leaves_nothing),
		cmocka_unit_test(a_run_is_one_component_of_a_path),
		cmocka_unit_test(a_very_long_row_is_kept_cut),
		cmocka_unit_test(what_was_written_is_read_while_the_load_goes_on),
		cmocka_unit_test(rows_of_csv_are_given_as_they_were_the_last_one_last),
		cmocka_unit_test(rows_of_json_are_given_as_an_array),
		cmocka_unit_test(who_takes_no_more_is_given_no_more),
		cmocka_unit_test(a_row_that_is_not_whole_is_left_out),
		cmocka_unit_test(damage_is_told),
		cmocka_unit_test(a_load_that_rejects_too_much_ends),
		cmocka_unit_test(the_oldest_loads_make_room),
		cmocka_unit_test(a_link_in_the_folder_is_not_followed),
		cmocka_unit_test(a_full_disk_is_told_and_leaves_whole_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
