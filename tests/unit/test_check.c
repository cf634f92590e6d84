/*
 * Check: which packs are read with all their data.  What it finds: tests/unit/test_damage.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/repository/check.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/backup_fixture.h"

static void
backup(const struct backup_fixture *f, const char *text)
{
	struct backup_made made;

	backup_put(f, "file", text);
	backup_make_well(f, NULL, &made);
	backup_made_done(&made);
}

static void
check(struct repository *repo, const struct check_options *options, struct check_result *result)
{
	struct progress progress;
	struct error err = ERROR_INIT;

	progress_init(&progress);
	if (check_run(repo, options, &progress, result, &err) != 0)
		fail_msg("check: %s", err.message);
	assert_int_equal(result->errors, 0);
	/* What is foreseen is what is read. */
	assert_int_equal(progress.bytes_total, result->bytes_read);
	progress_done(&progress);
	check_result_done(result);
}

static bool
is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* When the newest pack was written. */
static struct timespec
newest_pack(const struct backup_fixture *f)
{
	struct timespec newest = { 0, 0 }, written;
	struct storage *storage = repository_storage(f->repo);
	struct object_names names;
	struct error err = ERROR_INIT;

	assert_int_equal(object_names_read(storage, "packs", &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		assert_int_equal(storage_time(storage, names.list[i], &written, &err), 1);
		if (is_later(&written, &newest))
			newest = written;
	}
	object_names_done(&names);
	return newest;
}

/* Until the file system's clock has gone on: the next pack is newer than all that are there. */
static struct timespec
next_moment(const struct backup_fixture *f)
{
	struct timespec newest = newest_pack(f);
	char *path = test_path(f->folder, "clock");
	struct stat st;

	do {
		test_file_write(path, "x", 1);
		assert_int_equal(stat(path, &st), 0);
	} while (!is_later(&st.st_ctim, &newest));
	free(path);
	newest.tv_nsec++;
	if (newest.tv_nsec == 1000000000)
		newest = (struct timespec){ newest.tv_sec + 1, 0 };
	return newest;
}

static void
only_packs_that_were_written_since_are_read(void **state)
{
	struct check_options options = { .read_data = true, .threads = 2 };
	struct backup_fixture *f = *state;
	struct check_result all, recent, none;
	struct timespec since;

	backup(f, "one");
	since = next_moment(f);
	backup(f, "two, which is longer");
	check(f->repo, &options, &all);
	assert_int_equal(all.packs, 4);
	assert_int_equal(all.packs_read, 4);
	options.since = since;
	check(f->repo, &options, &recent);
	assert_int_equal(recent.packs, 4);
	assert_int_equal(recent.packs_read, 2);
	assert_in_range(recent.bytes_read, 1, all.bytes_read - 1);
	/* The very moment counts. */
	options.since = newest_pack(f);
	check(f->repo, &options, &recent);
	assert_in_range(recent.packs_read, 1, 2);
	options.since = (struct timespec){ time_now().tv_sec + 86400, 0 };
	check(f->repo, &options, &none);
	assert_int_equal(none.packs_read, 0);
	assert_int_equal(none.bytes_read, 0);
	assert_int_equal(none.packs, 4);
	/* Without reading, nothing is chosen. */
	options = (struct check_options){ .since = { 1, 0 } };
	check(f->repo, &options, &none);
	assert_int_equal(none.packs_read, 0);
}

static void
a_copy_that_brings_its_times_along_is_new_all_the_same(void **state)
{
	const struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	struct backup_fixture *f = *state;
	struct storage *storage = repository_storage(f->repo);
	struct timespec before, written;
	struct object_names names;
	struct error err = ERROR_INIT;

	backup(f, "one");
	before = newest_pack(f);
	assert_int_equal(object_names_read(storage, "packs", &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		char *path = test_path(f->repository, "%s", names.list[i]);

		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
		assert_int_equal(storage_time(storage, names.list[i], &written, &err), 1);
		assert_false(is_later(&before, &written) && written.tv_sec < before.tv_sec);
		free(path);
	}
	object_names_done(&names);
	assert_int_equal(storage_time(storage, "packs/00/none", &written, &err), 0);
}

static void
where_the_storage_cannot_tell_every_pack_is_read(void **state)
{
	struct check_options options = { .read_data = true, .threads = 1 };
	struct backup_fixture *f = *state;
	struct storage *storage = repository_storage(f->repo);
	const struct storage_ops *ops = storage->ops;
	struct storage_ops silent = *ops;
	struct check_result result;

	backup(f, "one");
	options.since = (struct timespec){ time_now().tv_sec + 86400, 0 };
	silent.time = NULL;
	storage->ops = &silent;
	check(f->repo, &options, &result);
	storage->ops = ops;
	assert_int_equal(result.packs_read, 2);
}

static void
a_share_is_taken_of_what_is_recent(void **state)
{
	struct check_options options = { .read_data = true, .percent = 1, .threads = 1 };
	struct backup_fixture *f = *state;
	struct check_result share, none;

	backup(f, "one");
	backup(f, "two");
	check(f->repo, &options, &share);
	assert_int_equal(share.packs_read, 1);
	options.since = (struct timespec){ time_now().tv_sec + 86400, 0 };
	check(f->repo, &options, &none);
	assert_int_equal(none.packs_read, 0);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(only_packs_that_were_written_since_are_read),
		CASE(a_copy_that_brings_its_times_along_is_new_all_the_same),
		CASE(where_the_storage_cannot_tell_every_pack_is_read),
		CASE(a_share_is_taken_of_what_is_recent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
