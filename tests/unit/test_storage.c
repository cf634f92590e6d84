#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/storage/storage.h"
#include "shared/mem.h"
#include "tests/lib/fault_storage.h"
#include "tests/lib/test_folder.h"

struct fixture {
	char *folder;
	struct storage *storage;
	struct error err;
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->folder = test_folder_new();
	assert_int_equal(storage_open(f->folder, false, &f->storage, &f->err), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	storage_close(f->storage);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static void
put(struct fixture *f, const char *name, const char *text)
{
	if (storage_put_whole(f->storage, name, text, strlen(text), false, &f->err) != 0)
		fail_msg("%s", f->err.message);
}

static void
assert_holds(struct fixture *f, const char *name, const char *text)
{
	struct buffer buf = BUFFER_INIT;

	if (storage_get_whole(f->storage, name, 1000, &buf, &f->err) != 0)
		fail_msg("%s", f->err.message);
	assert_string_equal(buffer_text(&buf), text);
	buffer_done(&buf);
}

static void
assert_absent(struct fixture *f, const char *name)
{
	uint64_t size;

	assert_int_equal(storage_size(f->storage, name, &size, &f->err), 0);
}

static unsigned
unfinished(struct fixture *f)
{
	char *path = test_path(f->folder, "tmp");
	unsigned count = test_folder_count(path);

	free(path);
	return count;
}

/* The text holds one %s, for the folder. */
#define ASSERT_MESSAGE(f, expected_code, text) do { \
	char *expected_ = mem_printf(text, (f)->folder); \
	assert_int_equal((f)->err.code, expected_code); \
	assert_string_equal((f)->err.message, expected_); \
	free(expected_); \
} while (0)

static void
an_object_is_read_back_as_it_was_put(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 0;
	char part[4];

	put(f, "packs/ab/cdef", "hello world");
	assert_holds(f, "packs/ab/cdef", "hello world");
	assert_int_equal(storage_size(f->storage, "packs/ab/cdef", &size, &f->err), 1);
	assert_int_equal(size, 11);
	assert_int_equal(storage_get(f->storage, "packs/ab/cdef", 6, part, 4, &f->err), 0);
	assert_memory_equal(part, "worl", 4);
	assert_int_equal(unfinished(f), 0);
}

static void
objects_and_folders_are_for_their_owner_alone(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} rows[] = { { "packs", 0700 }, { "packs/ab", 0700 }, { "tmp", 0700 },
		{ "packs/ab/cd", 0600 } };
	struct fixture *f = *state;
	mode_t old = umask(0);

	put(f, "packs/ab/cd", "x");
	umask(old);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *path = test_path(f->folder, "%s", rows[i].name);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].mode);
		free(path);
	}
}

static void
many_writes_make_one_object(void **state)
{
	struct fixture *f = *state;
	const size_t chunk = 1 << 20, chunks = 20;
	uint8_t *data = mem_calloc(chunk, 1), *back = mem_calloc(chunk, 1);
	struct storage_put *object;
	uint64_t size;

	/* Enough to start the writing back in between, twice. */
	assert_int_equal(storage_put_begin(f->storage, "big", &object, &f->err), 0);
	for (size_t i = 0; i < chunks; i++) {
		memset(data, (int)i + 1, chunk);
		assert_int_equal(storage_put_write(object, data, chunk, &f->err), 0);
	}
	assert_int_equal(storage_put_write(object, data, 0, &f->err), 0);
	assert_absent(f, "big");
	assert_int_equal(storage_put_commit(object, false, &f->err), 0);
	assert_int_equal(storage_size(f->storage, "big", &size, &f->err), 1);
	assert_int_equal(size, chunk * chunks);
	for (size_t i = 0; i < chunks; i++) {
		memset(data, (int)i + 1, chunk);
		assert_int_equal(storage_get(f->storage, "big", i * chunk, back, chunk, &f->err),
		    0);
		assert_memory_equal(back, data, chunk);
	}
	free(data);
	free(back);
}

static void
an_empty_object_is_an_object(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 1;

	put(f, "empty", "");
	assert_int_equal(storage_size(f->storage, "empty", &size, &f->err), 1);
	assert_int_equal(size, 0);
	assert_holds(f, "empty", "");
	assert_int_equal(storage_get(f->storage, "empty", 0, NULL, 0, &f->err), 0);
}

static void
an_aborted_object_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct storage_put *object;

	assert_int_equal(storage_put_begin(f->storage, "packs/ab/cd", &object, &f->err), 0);
	assert_int_equal(storage_put_write(object, "x", 1, &f->err), 0);
	assert_int_equal(unfinished(f), 1);
	storage_put_abort(object);
	assert_absent(f, "packs/ab/cd");
	assert_int_equal(unfinished(f), 0);
	storage_put_abort(NULL);
}

static void
an_existing_name_is_replaced_only_on_request(void **state)
{
	struct fixture *f = *state;

	put(f, "config", "old");
	assert_int_equal(storage_put_whole(f->storage, "config", "new", 3, false, &f->err), -1);
	ASSERT_MESSAGE(f, ERROR_EXISTS, "'config' is in '%s' already");
	assert_holds(f, "config", "old");
	assert_int_equal(unfinished(f), 0);
	assert_int_equal(storage_put_whole(f->storage, "config", "new", 3, true, &f->err), 0);
	/* Although the old one's file was open for reading. */
	assert_holds(f, "config", "new");
}

static void
of_two_writers_of_one_name_only_one_succeeds(void **state)
{
	struct fixture *f = *state;
	struct storage_put *a, *b;

	assert_int_equal(storage_put_begin(f->storage, "claim", &a, &f->err), 0);
	assert_int_equal(storage_put_begin(f->storage, "claim", &b, &f->err), 0);
	assert_int_equal(storage_put_write(a, "a", 1, &f->err), 0);
	assert_int_equal(storage_put_write(b, "b", 1, &f->err), 0);
	assert_int_equal(storage_put_commit(b, false, &f->err), 0);
	assert_int_equal(storage_put_commit(a, false, &f->err), -1);
	assert_int_equal(f->err.code, ERROR_EXISTS);
	assert_holds(f, "claim", "b");
}

static void
an_absent_object_is_said_to_be_absent(void **state)
{
	struct fixture *f = *state;
	struct buffer buf = BUFFER_INIT;
	char c;

	assert_int_equal(storage_get(f->storage, "packs/ab/cd", 0, &c, 1, &f->err), -1);
	ASSERT_MESSAGE(f, ERROR_NOT_FOUND,
	    "could not read 'packs/ab/cd' in '%s': No such file or directory");
	assert_string_equal(f->err.hint, "run 'holdfastd check' to see what is damaged");
	assert_int_equal(storage_get_whole(f->storage, "x", 10, &buf, &f->err), -1);
	assert_int_equal(f->err.code, ERROR_NOT_FOUND);
	assert_absent(f, "packs/ab/cd");
	put(f, "file", "x");
	assert_absent(f, "file/below");
	buffer_done(&buf);
}

static void
a_read_past_the_end_is_damage(void **state)
{
	struct fixture *f = *state;
	char text[10];

	put(f, "a", "12345");
	assert_int_equal(storage_get(f->storage, "a", 2, text, 4, &f->err), -1);
	ASSERT_MESSAGE(f, ERROR_CORRUPT,
	    "'a' in '%s' is too short: 4 bytes wanted at 2, 3 there");
	assert_int_equal(storage_get(f->storage, "a", UINT64_MAX - 1, text, 4, &f->err), -1);
	assert_int_equal(f->err.code, ERROR_CORRUPT);
	assert_int_equal(storage_get(f->storage, "a", 5, text, 0, &f->err), 0);
}

static void
an_object_above_the_readers_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	struct buffer buf = BUFFER_INIT;

	put(f, "a", "12345");
	assert_int_equal(storage_get_whole(f->storage, "a", 4, &buf, &f->err), -1);
	ASSERT_MESSAGE(f, ERROR_CORRUPT, "'a' in '%s' has 5 bytes, above its limit of 4");
	assert_int_equal(buf.len, 0);
	assert_int_equal(storage_get_whole(f->storage, "a", 5, &buf, &f->err), 0);
	assert_int_equal(storage_get_whole(f->storage, "a", 5, &buf, &f->err), 0);
	assert_string_equal(buffer_text(&buf), "1234512345");
	buffer_done(&buf);
}

static void
names_that_lead_elsewhere_are_refused(void **state)
{
	static const char *const bad[] = { "", "/etc/passwd", "../x", "a/../b", "a/..", ".", "..",
		"a/./b", "a//b", "a/", "A", "a b", "a\\b", "\xc3\xa4", "a\n", "tmp", "tmp/x" };
	static const char *const good[] = { "b", "0", "...", ".a", "a/b-c_d.e", "tmpx", "tmp.d/x" };
	struct fixture *f = *state;
	struct storage_put *object;
	char long_name[300];
	uint64_t size;
	char c;

	memset(long_name, 'a', sizeof(long_name));
	long_name[256] = '\0';
	for (size_t i = 0; i <= ARRAY_LEN(bad); i++) {
		const char *name = i < ARRAY_LEN(bad) ? bad[i] : long_name;

		assert_int_equal(storage_put_begin(f->storage, name, &object, &f->err), -1);
		assert_int_equal(f->err.code, ERROR_INTERNAL);
		assert_int_equal(storage_get(f->storage, name, 0, &c, 1, &f->err), -1);
		assert_int_equal(f->err.code, ERROR_INTERNAL);
		assert_int_equal(storage_size(f->storage, name, &size, &f->err), -1);
		assert_int_equal(storage_remove(f->storage, name, &f->err), -1);
		assert_int_equal(f->err.code, ERROR_INTERNAL);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		put(f, good[i], "x");
	long_name[255] = '\0';
	put(f, long_name, "x");
}

struct seen {
	unsigned count;
	uint64_t bytes;
	char names[1000];
	unsigned stop_at;
};

static int
see(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct seen *seen = arg;

	seen->bytes += size;
	strcat(strcat(seen->names, name), " ");
	if (++seen->count == seen->stop_at)
		return error_set(err, ERROR_CANCELLED, "enough");
	return 0;
}

static void
a_listing_names_every_object_below_a_folder(void **state)
{
	struct fixture *f = *state;
	struct storage_put *object;
	struct seen seen = { 0 };

	put(f, "packs/ab/cd", "1");
	put(f, "packs/ab/ef", "12");
	put(f, "packs/00/11", "123");
	put(f, "config", "1234");
	assert_int_equal(storage_put_begin(f->storage, "packs/ab/00", &object, &f->err), 0);
	assert_int_equal(storage_list(f->storage, "packs", see, &seen, &f->err), 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.bytes, 6);
	assert_non_null(strstr(seen.names, "packs/ab/cd "));
	assert_non_null(strstr(seen.names, "packs/ab/ef "));
	assert_non_null(strstr(seen.names, "packs/00/11 "));

	/* Everything, but nothing unfinished. */
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(storage_list(f->storage, "", see, &seen, &f->err), 0);
	assert_int_equal(seen.count, 4);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(storage_list(f->storage, "snapshots", see, &seen, &f->err), 0);
	assert_int_equal(seen.count, 0);
	storage_put_abort(object);
}

static void
a_listing_leaves_out_what_no_repository_wrote(void **state)
{
	static const char *const foreign[] = { "packs/README", "packs/x~", "packs/a b" };
	struct fixture *f = *state;
	struct seen seen = { 0 };
	char *path;

	put(f, "packs/ab", "1");
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		path = test_path(f->folder, "%s", foreign[i]);
		test_file_write(path, "x", 1);
		free(path);
	}
	path = test_path(f->folder, "packs/fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);
	path = test_path(f->folder, "packs/loop");
	assert_int_equal(symlink("loop", path), 0);
	assert_int_equal(storage_list(f->storage, "packs", see, &seen, &f->err), -1);
	assert_int_equal(f->err.sys, ELOOP);
	assert_int_equal(unlink(path), 0);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(storage_list(f->storage, "packs", see, &seen, &f->err), 0);
	assert_string_equal(seen.names, "packs/ab ");
	free(path);
}

static void
a_folder_that_contains_itself_ends_the_listing(void **state)
{
	struct fixture *f = *state;
	char *path = test_path(f->folder, "packs");
	struct seen seen = { 0 };

	assert_int_equal(symlink(".", path), 0);
	assert_int_equal(storage_list(f->storage, "packs", see, &seen, &f->err), -1);
	assert_int_equal(f->err.sys, ELOOP);
	free(path);
}

static void
a_listing_stops_with_the_callers_error(void **state)
{
	struct fixture *f = *state;
	struct seen seen = { .stop_at = 2 };

	put(f, "packs/a", "");
	put(f, "packs/b", "");
	put(f, "packs/c", "");
	assert_int_equal(storage_list(f->storage, "packs", see, &seen, &f->err), -1);
	assert_int_equal(seen.count, 2);
	assert_string_equal(f->err.message, "enough");
}

static int
remove_it(void *arg, const char *name, uint64_t size, struct error *err)
{
	(void)size;
	return storage_remove(arg, name, err);
}

static void
objects_can_be_removed_while_they_are_listed(void **state)
{
	struct fixture *f = *state;
	struct seen seen = { 0 };

	for (unsigned i = 0; i < 100; i++) {
		char name[20];

		snprintf(name, sizeof(name), "packs/%02u", i);
		put(f, name, "");
	}
	assert_int_equal(storage_list(f->storage, "packs", remove_it, f->storage, &f->err), 0);
	assert_int_equal(storage_list(f->storage, "packs", see, &seen, &f->err), 0);
	assert_int_equal(seen.count, 0);
}

static void
a_removed_object_is_gone_although_it_was_read(void **state)
{
	struct fixture *f = *state;
	char c;

	put(f, "packs/a", "x");
	assert_holds(f, "packs/a", "x");
	assert_int_equal(storage_remove(f->storage, "packs/a", &f->err), 0);
	assert_int_equal(storage_get(f->storage, "packs/a", 0, &c, 1, &f->err), -1);
	assert_int_equal(f->err.code, ERROR_NOT_FOUND);
	assert_int_equal(storage_remove(f->storage, "packs/a", &f->err), 0);
	assert_int_equal(storage_remove(f->storage, "never/was", &f->err), 0);
}

static void
what_another_process_replaced_is_read_anew(void **state)
{
	struct fixture *f = *state;
	struct storage *other;
	char c;

	assert_int_equal(storage_open(f->folder, false, &other, &f->err), 0);
	put(f, "claim", "a");
	assert_holds(f, "claim", "a");
	assert_int_equal(storage_put_whole(other, "claim", "b", 1, true, &f->err), 0);
	assert_holds(f, "claim", "b");
	assert_int_equal(storage_remove(other, "claim", &f->err), 0);
	assert_int_equal(storage_get(f->storage, "claim", 0, &c, 1, &f->err), -1);
	assert_int_equal(f->err.code, ERROR_NOT_FOUND);
	storage_close(other);
}

static unsigned
open_descriptors(void)
{
	return test_folder_count("/proc/self/fd");
}

static void
only_a_few_files_stay_open(void **state)
{
	struct fixture *f = *state;
	unsigned before = open_descriptors();
	char name[20];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "packs/%02u", i);
		put(f, name, name);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "packs/%02u", i);
			assert_holds(f, name, name);
		}
	}
	assert_int_equal(open_descriptors() - before, 16);
}

static void *
read_many(void *arg)
{
	struct storage *storage = arg;
	struct error err = ERROR_INIT;
	char name[20], text[9];

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "packs/%03u", i * 7 % 40);
		if (storage_get(storage, name, 0, text, 9, &err) != 0 ||
		    memcmp(text, name, 9) != 0)
			return arg;
	}
	return NULL;
}

static void
many_threads_read_at_once(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[4];
	char name[20];

	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "packs/%03u", i);
		put(f, name, name);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, f->storage), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

static void *
put_many(void *arg)
{
	struct storage *storage = arg;
	struct error err = ERROR_INIT;
	char name[40];

	for (unsigned i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "packs/%02u/%lx", i % 10,
		    (unsigned long)pthread_self() + i);
		if (storage_put_whole(storage, name, "x", 1, true, &err) != 0)
			return arg;
	}
	return NULL;
}

static void
many_threads_write_at_once(void **state)
{
	struct fixture *f = *state;
	struct seen seen = { .stop_at = 0 };
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, f->storage), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	for (unsigned i = 0; i < 10; i++) {
		char folder[20];

		snprintf(folder, sizeof(folder), "packs/%02u", i);
		seen.names[0] = '\0';
		assert_int_equal(storage_list(f->storage, folder, see, &seen, &f->err), 0);
	}
	assert_int_equal(seen.count, 200);
	assert_int_equal(unfinished(f), 0);
}

static void
folders_that_vanish_are_made_again(void **state)
{
	struct fixture *f = *state;
	char *path;

	put(f, "packs/ab/cd", "x");
	assert_int_equal(storage_remove(f->storage, "packs/ab/cd", &f->err), 0);
	path = test_path(f->folder, "packs/ab");
	assert_int_equal(rmdir(path), 0);
	free(path);
	path = test_path(f->folder, "tmp");
	assert_int_equal(rmdir(path), 0);
	free(path);
	put(f, "packs/ab/cd", "x");
	assert_holds(f, "packs/ab/cd", "x");
}

static void
a_repository_that_vanishes_is_a_failed_write(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rmdir(f->folder), 0);
	assert_int_equal(storage_put_whole(f->storage, "a", "x", 1, false, &f->err), -1);
	/* Not "not found": nobody asked for something that does not exist. */
	assert_int_equal(f->err.code, ERROR_IO);
	assert_true(strlen(f->err.hint) > 0);
	assert_int_equal(mkdir(f->folder, 0700), 0);
}

static void
a_failed_write_removes_the_file_and_spoils_the_object(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small = { 1000, RLIM_INFINITY };
	char data[2000] = "";
	struct storage_put *object;
	struct error again = ERROR_INIT;

	/* The kernel refuses to write past this size; no disk has to be filled for it. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(storage_put_begin(f->storage, "a", &object, &f->err), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(storage_put_write(object, data, sizeof(data), &f->err), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	ASSERT_MESSAGE(f, ERROR_IO, "could not write 'a' in '%s': File too large");
	assert_int_equal(unfinished(f), 0);
	/* Neither a later write nor a commit makes it good again. */
	assert_int_equal(storage_put_write(object, data, 1, &again), -1);
	assert_string_equal(again.message, f->err.message);
	assert_int_equal(storage_put_commit(object, false, &again), -1);
	assert_string_equal(again.message, f->err.message);
	assert_absent(f, "a");
}

static void
a_sweep_removes_what_nobody_works_on(void **state)
{
	struct fixture *f = *state;
	struct storage_put *object;
	char *old = NULL, *fresh, *future;
	struct timespec long_ago[2] = { { 1000, 0 }, { 1000, 0 } };
	struct timespec to_come[2] = { { 4102444800, 0 }, { 4102444800, 0 } };

	assert_int_equal(storage_sweep(f->storage, 0, &f->err), 0);
	assert_int_equal(storage_put_begin(f->storage, "a", &object, &f->err), 0);
	old = test_path(f->folder, "tmp/old");
	fresh = test_path(f->folder, "tmp/fresh");
	future = test_path(f->folder, "tmp/future");
	test_file_write(old, "x", 1);
	test_file_write(fresh, "x", 1);
	test_file_write(future, "x", 1);
	assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0), 0);
	/* Left by a process whose clock was wrong, or before ours was set back. */
	assert_int_equal(utimensat(AT_FDCWD, future, to_come, 0), 0);
	assert_int_equal(storage_sweep(f->storage, 3600, &f->err), 0);
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(access(future, F_OK), -1);
	assert_int_equal(access(fresh, F_OK), 0);
	/* However old: its writer lives, and holds the lock. */
	assert_int_equal(storage_sweep(f->storage, 0, &f->err), 0);
	assert_int_equal(access(fresh, F_OK), -1);
	assert_int_equal(unfinished(f), 1);
	assert_int_equal(storage_put_commit(object, false, &f->err), 0);
	assert_holds(f, "a", "");
	free(old);
	free(fresh);
	free(future);
}

static void
an_object_swept_from_under_its_writer_fails_at_its_commit(void **state)
{
	struct fixture *f = *state;
	struct storage_put *object;
	char *tmp = test_path(f->folder, "tmp");
	char *command = mem_printf("rm -f '%s'/*", tmp);

	assert_int_equal(storage_put_begin(f->storage, "packs/a", &object, &f->err), 0);
	assert_int_equal(storage_put_write(object, "x", 1, &f->err), 0);
	assert_int_equal(system(command), 0);
	assert_int_equal(storage_put_commit(object, false, &f->err), -1);
	assert_int_equal(f->err.code, ERROR_IO);
	assert_absent(f, "packs/a");
	free(command);
	free(tmp);
}

static void
the_space_is_told(void **state)
{
	struct fixture *f = *state;
	uint64_t free_bytes = 0, total = 0;

	assert_int_equal(storage_space(f->storage, &free_bytes, &total, &f->err), 1);
	assert_true(total > 0);
	assert_true(free_bytes <= total);
}

static void
a_storage_is_made_with_the_folders_above_it(void **state)
{
	struct fixture *f = *state;
	struct storage *made;
	char *path = test_path(f->folder, "a/b//c/");
	struct stat st;

	assert_int_equal(storage_open(path, false, &made, &f->err), -1);
	assert_int_equal(f->err.code, ERROR_NOT_FOUND);
	assert_string_equal(f->err.hint, "make one with 'holdfastd init', or name another folder");
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(storage_open(path, true, &made, &f->err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	storage_close(made);
	assert_int_equal(storage_open(path, true, &made, &f->err), 0);
	storage_close(made);
	free(path);
}

static void
a_storage_can_be_named_by_a_file_url(void **state)
{
	struct fixture *f = *state;
	struct storage *other;
	char *url = mem_printf("file://%s/%%61b", f->folder);
	char *path = test_path(f->folder, "ab");

	assert_int_equal(storage_open(url, true, &other, &f->err), 0);
	assert_string_equal(storage_url(other), path);
	storage_close(other);
	free(url);
	url = mem_printf("file://localhost%s", path);
	assert_int_equal(storage_open(url, false, &other, &f->err), 0);
	storage_close(other);
	free(url);
	free(path);
}

static void
a_storage_that_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *url;
		enum error_code code;
		const char *message;
	} rows[] = {
		{ "", ERROR_CONFIG, "the repository's folder has an empty name" },
		{ "s3://user:secret@host/x", ERROR_UNSUPPORTED,
		    "repositories at 's3://' are not supported" },
		{ "file://host/x", ERROR_CONFIG, "'file://host/x' does not name a folder of this "
		    "host" },
		{ "file:///a%2", ERROR_CONFIG, "broken %-escape in 'file:///a%2'" },
		{ "file:///a%00b", ERROR_CONFIG, "broken %-escape in 'file:///a%00b'" },
		{ "/dev/null/x", ERROR_IO, "could not make the repository's folder "
		    "'/dev/null/x': Not a directory" },
		{ "/dev/null", ERROR_IO, "could not open the repository's folder '/dev/null': Not "
		    "a directory" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct storage *none = NULL;

		error_clear(&f->err);
		assert_int_equal(storage_open(rows[i].url, true, &none, &f->err), -1);
		assert_null(none);
		assert_int_equal(f->err.code, rows[i].code);
		assert_string_equal(f->err.message, rows[i].message);
	}
	storage_close(NULL);
}

static void
a_storage_stays_with_its_folder_when_that_is_moved(void **state)
{
	struct fixture *f = *state;
	char *moved = mem_printf("%s.moved", f->folder);

	put(f, "a", "x");
	assert_int_equal(rename(f->folder, moved), 0);
	assert_int_equal(mkdir(f->folder, 0700), 0);
	put(f, "packs/b", "y");
	assert_holds(f, "a", "x");
	assert_int_equal(test_folder_count(f->folder), 0);
	test_folder_remove(moved);
}

/* The fault storage: as much of it as other tests lean on. */

static const char *const objects[] = { "packs/aa", "index/bb", "snapshots/cc" };

/* Three objects of two writes each, then a remove: 13 operations.  Stops at the first error. */
static int
work(struct storage *storage, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		struct storage_put *object;

		if (storage_put_begin(storage, objects[i], &object, err) != 0)
			return -1;
		if (storage_put_write(object, "1234", 4, err) != 0 ||
		    storage_put_write(object, "5678", 4, err) != 0) {
			storage_put_abort(object);
			return -1;
		}
		if (storage_put_commit(object, false, err) != 0)
			return -1;
	}
	return storage_remove(storage, objects[0], err);
}

#define OPERATIONS 13

static unsigned
finished(struct fixture *f)
{
	struct storage *plain;
	struct seen seen = { 0 };

	assert_int_equal(storage_open(f->folder, false, &plain, &f->err), 0);
	assert_int_equal(storage_list(plain, "", see, &seen, &f->err), 0);
	assert_int_equal(seen.bytes, 8 * seen.count);
	storage_close(plain);
	return seen.count;
}

static void
empty(struct fixture *f)
{
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		assert_int_equal(storage_remove(f->storage, objects[i], &f->err), 0);
	assert_int_equal(storage_sweep(f->storage, 0, &f->err), 0);
	assert_int_equal(finished(f) + unfinished(f), 0);
}

/* How many of the objects are there if the operations up to `done` took place. */
static unsigned
expected_objects(unsigned done)
{
	return done / 4 - (done >= OPERATIONS ? 1 : 0);
}

static void
run_faults(struct fixture *f, struct fault_plan plan)
{
	for (plan.at = 1; plan.at <= OPERATIONS + 1; plan.at++) {
		struct fault_control control;
		struct storage *inner, *faulty;
		unsigned done = plan.after && plan.at <= OPERATIONS ? plan.at : plan.at - 1;
		bool in_midst = done % 4 != 0 && done < OPERATIONS;
		int status;

		fault_control_init(&control);
		fault_control_plan(&control, &plan);
		assert_int_equal(storage_open(f->folder, false, &inner, &f->err), 0);
		faulty = fault_storage_new(inner, &control);
		status = work(faulty, &f->err);
		storage_close(faulty);
		assert_int_equal(status, plan.at > OPERATIONS ? 0 : -1);
		assert_int_equal(control.happened, plan.at <= OPERATIONS);
		assert_int_equal(finished(f), expected_objects(done));
		/* Only a death leaves an unfinished file. */
		assert_int_equal(unfinished(f), plan.kind == FAULT_DIE && in_midst ? 1 : 0);
		fault_control_done(&control);
		empty(f);
	}
}

static void
an_error_at_any_operation_leaves_whole_objects(void **state)
{
	run_faults(*state, (struct fault_plan) { .kind = FAULT_ERROR, .sys = ENOSPC });
	run_faults(*state, (struct fault_plan) { .kind = FAULT_ERROR, .sys = EIO, .after = true });
	run_faults(*state, (struct fault_plan) { .kind = FAULT_ERROR, .sys = EIO, .stays = true });
}

static void
a_torn_write_leaves_whole_objects(void **state)
{
	run_faults(*state, (struct fault_plan) { .kind = FAULT_TEAR, .sys = EIO });
}

static void
a_death_at_any_operation_leaves_whole_objects(void **state)
{
	run_faults(*state, (struct fault_plan) { .kind = FAULT_DIE });
	run_faults(*state, (struct fault_plan) { .kind = FAULT_DIE, .after = true });
	run_faults(*state, (struct fault_plan) { .kind = FAULT_DIE, .lose = true });
}

static void
a_death_can_end_the_process(void **state)
{
	struct fixture *f = *state;
	struct fault_plan plan = { .kind = FAULT_DIE, .exit = true };

	for (plan.at = 1; plan.at <= OPERATIONS; plan.at++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			struct fault_control control;
			struct storage *inner;

			fault_control_init(&control);
			fault_control_plan(&control, &plan);
			if (storage_open(f->folder, false, &inner, &f->err) == 0)
				(void)work(fault_storage_new(inner, &control), &f->err);
			_exit(1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), FAULT_EXIT);
		assert_int_equal(finished(f), expected_objects(plan.at - 1));
		/* The dead one's lock is gone, so its file can be swept at once. */
		assert_int_equal(unfinished(f), (plan.at - 1) % 4 != 0 ? 1 : 0);
		empty(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_object_is_read_back_as_it_was_put),
		TEST(objects_and_folders_are_for_their_owner_alone),
		TEST(many_writes_make_one_object),
		TEST(an_empty_object_is_an_object),
		TEST(an_aborted_object_leaves_nothing),
		TEST(an_existing_name_is_replaced_only_on_request),
		TEST(of_two_writers_of_one_name_only_one_succeeds),
		TEST(an_absent_object_is_said_to_be_absent),
		TEST(a_read_past_the_end_is_damage),
		TEST(an_object_above_the_readers_limit_is_refused),
		TEST(names_that_lead_elsewhere_are_refused),
		TEST(a_listing_names_every_object_below_a_folder),
		TEST(a_listing_leaves_out_what_no_repository_wrote),
		TEST(a_folder_that_contains_itself_ends_the_listing),
		TEST(a_listing_stops_with_the_callers_error),
		TEST(objects_can_be_removed_while_they_are_listed),
		TEST(a_removed_object_is_gone_although_it_was_read),
		TEST(what_another_process_replaced_is_read_anew),
		TEST(only_a_few_files_stay_open),
		TEST(many_threads_read_at_once),
		TEST(many_threads_write_at_once),
		TEST(folders_that_vanish_are_made_again),
		TEST(a_repository_that_vanishes_is_a_failed_write),
		TEST(a_failed_write_removes_the_file_and_spoils_the_object),
		TEST(a_sweep_removes_what_nobody_works_on),
		TEST(an_object_swept_from_under_its_writer_fails_at_its_commit),
		TEST(the_space_is_told),
		TEST(a_storage_is_made_with_the_folders_above_it),
		TEST(a_storage_can_be_named_by_a_file_url),
		TEST(a_storage_that_cannot_be_is_refused),
		TEST(a_storage_stays_with_its_folder_when_that_is_moved),
		TEST(an_error_at_any_operation_leaves_whole_objects),
		TEST(a_torn_write_leaves_whole_objects),
		TEST(a_death_at_any_operation_leaves_whole_objects),
		TEST(a_death_can_end_the_process),
	};

	return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
