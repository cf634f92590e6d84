/* What a backup stores, what it leaves out, and what it reads again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/backup_fixture.h"
#include "tests/lib/system_hooks.h"

/* The next moment at which a change gets another ctime than that of this file. */
static void
wait_for_another_ctime(const struct backup_fixture *f, const char *name)
{
	char *path = test_path(f->source, "%s", name), *probe = test_path(f->folder, "probe");
	struct stat old, now;

	assert_int_equal(stat(path, &old), 0);
	do {
		test_file_write(probe, "x", 1);
		assert_int_equal(stat(probe, &now), 0);
	} while (now.st_ctim.tv_sec == old.st_ctim.tv_sec &&
	    now.st_ctim.tv_nsec == old.st_ctim.tv_nsec);
	free(path);
	free(probe);
}

static void
all_that_is_there_is_stored_and_counted(void **state)
{
	struct backup_fixture *f = *state;
	struct test_compared compared;
	struct progress_view view;
	struct backup_made made;

	test_source_make(f->source);
	backup_make_well(f, NULL, &made);
	test_compare(f->repo, made.snapshot, f->source, f->source, NULL, NULL, &compared);
	if (compared.wrong + compared.unreadable > 0)
		fail_msg("%s", compared.first);
	/* 20 files, deep and its link, nothing, large and its copy, sparse. */
	assert_int_equal(made.snapshot->files, 26);
	assert_int_equal(made.snapshot->new_files, 26);
	assert_int_equal(made.snapshot->changed_files + made.snapshot->unmodified_files, 0);
	assert_int_equal(made.snapshot->others, 1);
	/* The source, four in it, and those that lead to it. */
	assert_true(made.snapshot->directories >= 5 + 2);
	assert_int_equal(made.snapshot->source_count, 1);
	assert_string_equal(made.snapshot->sources[0], f->source);
	assert_string_equal(made.snapshot->host, "test");
	assert_string_equal(made.snapshot->kind, "files");
	assert_null(made.snapshot->parent);
	progress_read(&made.progress, &view);
	assert_int_equal(view.files, made.snapshot->files + made.snapshot->others);
	assert_int_equal(view.bytes, made.snapshot->bytes);
	assert_true(view.stored_bytes > 0);
	backup_made_done(&made);
}

static void
job_run_and_tags_are_kept_with_the_snapshot(void **state)
{
	static const char *const tags[] = { "nightly", "before the move" };
	struct backup_options options = { .job = "web", .run = "run-1", .tags = tags,
		.tag_count = 2, .host = "elsewhere" };
	struct backup_fixture *f = *state;
	struct backup_made made;

	backup_make_well(f, &options, &made);
	assert_string_equal(made.snapshot->job, "web");
	assert_string_equal(made.snapshot->run, "run-1");
	assert_string_equal(made.snapshot->host, "elsewhere");
	assert_int_equal(made.snapshot->tag_count, 2);
	assert_string_equal(made.snapshot->tags[1], "before the move");
	backup_made_done(&made);
}

static void
unchanged_files_are_not_opened(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made first, second;
	struct entry before, after;

	backup_put(f, "folder/plain", "plain\n");
	backup_put(f, "folder/other", "other\n");
	hook_count_opens("plain");
	backup_make_well(f, NULL, &first);
	assert_int_equal(hook_opens(), 1);
	hook_count_opens("plain");
	backup_make_well(f, NULL, &second);
	assert_int_equal(hook_opens(), 0);
	assert_int_equal(second.snapshot->unmodified_files, 2);
	assert_int_equal(second.snapshot->new_files + second.snapshot->changed_files, 0);
	assert_string_equal(second.snapshot->parent, first.snapshot->id);
	/* The very same folder; those above it are not ours alone. */
	assert_int_equal(backup_find(f, &first, "folder", &before), 1);
	assert_int_equal(backup_find(f, &second, "folder", &after), 1);
	assert_int_equal(before.content_count, 1);
	assert_int_equal(blob_id_compare(&before.content[0], &after.content[0]), 0);
	entry_done(&before);
	entry_done(&after);
	backup_assert_text(f, &second, "folder/plain", "plain\n");
	backup_made_done(&first);
	backup_made_done(&second);
}

static void
forced_every_file_is_opened(void **state)
{
	struct backup_options options = { .force = true };
	struct backup_fixture *f = *state;
	struct backup_made first, second;

	backup_put(f, "plain", "plain\n");
	backup_make_well(f, NULL, &first);
	hook_count_opens("plain");
	backup_make_well(f, &options, &second);
	assert_int_equal(hook_opens(), 1);
	assert_int_equal(second.snapshot->changed_files, 1);
	backup_assert_text(f, &second, "plain", "plain\n");
	backup_made_done(&first);
	backup_made_done(&second);
}

static void
set_mtime(const char *path, const struct timespec *mtime)
{
	const struct timespec times[2] = { *mtime, *mtime };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

enum change { OTHER_SIZE, OTHER_BYTES, OTHER_MTIME, OTHER_INODE, OTHER_MODE, CHANGES };

/* Change it so that nothing else differs than must. */
static void
change_file(const struct backup_fixture *f, const char *path, enum change change)
{
	char *beside = test_path(f->folder, "beside");
	struct timespec later;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	switch (change) {
	case OTHER_SIZE:
		test_file_write(path, "twos", 4);
		set_mtime(path, &st.st_mtim);
		break;
	case OTHER_BYTES: /* only the ctime gives it away */
		test_file_write(path, "two", 3);
		set_mtime(path, &st.st_mtim);
		break;
	case OTHER_MTIME:
		later = st.st_mtim;
		later.tv_nsec ^= 1;
		set_mtime(path, &later);
		break;
	case OTHER_INODE:
		test_file_write(beside, "two", 3);
		set_mtime(beside, &st.st_mtim);
		assert_int_equal(chmod(beside, st.st_mode & 07777), 0);
		assert_int_equal(rename(beside, path), 0);
		break;
	default:
		assert_int_equal(chmod(path, 0640), 0);
	}
	free(beside);
}

static void
a_file_of_which_anything_changed_is_read_again(void **state)
{
	static const char *const texts[CHANGES] = { "twos", "two", "one", "two", "one" };
	struct backup_fixture *f = *state;

	for (unsigned change = 0; change < CHANGES; change++) {
		char *name = mem_printf("file-%u", change), *path = test_path(f->source, "%s", name);
		struct backup_made before, after;
		struct entry entry;
		struct stat st;

		backup_put(f, name, "one");
		backup_make_well(f, NULL, &before);
		wait_for_another_ctime(f, name);
		change_file(f, path, change);
		backup_make_well(f, NULL, &after);
		if (after.snapshot->changed_files != 1)
			fail_msg("change %u was not noticed", change);
		backup_assert_text(f, &after, name, texts[change]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(backup_find(f, &after, name, &entry), 1);
		assert_int_equal(entry.mode, st.st_mode & 07777);
		assert_int_equal(entry.mtime.tv_nsec, st.st_mtim.tv_nsec);
		assert_int_equal(entry.inode, st.st_ino);
		entry_done(&entry);
		backup_made_done(&before);
		backup_made_done(&after);
		free(path);
		free(name);
	}
}

/* Back up with the clock standing so far behind the file's ctime; is it remembered? */
static bool
ctime_is_recorded(struct backup_fixture *f, int64_t age_ns)
{
	struct backup_options options = { .force = true };
	char *path = test_path(f->source, "file");
	struct backup_made made;
	struct timespec now;
	struct entry entry;
	struct stat st;
	bool recorded;

	assert_int_equal(stat(path, &st), 0);
	age_ns += st.st_ctim.tv_nsec;
	now.tv_sec = st.st_ctim.tv_sec + age_ns / 1000000000 - (age_ns < 0);
	now.tv_nsec = (age_ns % 1000000000 + 1000000000) % 1000000000;
	hook_clock_stop(&now);
	backup_make_well(f, &options, &made);
	hook_clock_stop(NULL);
	assert_int_equal(backup_find(f, &made, "file", &entry), 1);
	recorded = entry.ctime.tv_sec == st.st_ctim.tv_sec &&
	    entry.ctime.tv_nsec == st.st_ctim.tv_nsec;
	if (!recorded)
		assert_int_equal(entry.ctime.tv_sec, 0);
	entry_done(&entry);
	backup_made_done(&made);
	free(path);
	return recorded;
}

static void
a_file_changed_just_now_is_read_again_next_time(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made made;

	backup_put(f, "file", "it may change within the same tick");
	assert_true(ctime_is_recorded(f, 21000000));
	assert_false(ctime_is_recorded(f, 19000000));
	assert_false(ctime_is_recorded(f, 0));
	/* The clock was set back: nothing can be told from it. */
	assert_false(ctime_is_recorded(f, -5000000000));
	backup_make_well(f, NULL, &made);
	assert_int_equal(made.snapshot->changed_files, 1);
	backup_made_done(&made);
	backup_make_well(f, NULL, &made);
	assert_int_equal(made.snapshot->unmodified_files, 1);
	backup_made_done(&made);
}

static void
what_is_excluded_is_neither_stored_nor_counted(void **state)
{
	static const char *const patterns[] = { "*.tmp", "cache/", "!keep.tmp" };
	struct backup_options options = { .excludes = patterns, .exclude_count = 3 };
	struct backup_fixture *f = *state;
	struct backup_made made;

	backup_put(f, "a.tmp", "x");
	backup_put(f, "keep.tmp", "x");
	backup_put(f, "sub/b.tmp", "x");
	backup_put(f, "sub/b", "x");
	backup_put(f, "cache/c", "x");
	backup_put(f, "sub/cache/keep.tmp", "x");
	backup_make_well(f, &options, &made);
	assert_true(backup_holds(f, &made, "keep.tmp"));
	assert_true(backup_holds(f, &made, "sub/b"));
	assert_false(backup_holds(f, &made, "a.tmp"));
	assert_false(backup_holds(f, &made, "sub/b.tmp"));
	assert_false(backup_holds(f, &made, "cache"));
	assert_false(backup_holds(f, &made, "sub/cache"));
	assert_int_equal(made.snapshot->files, 2);
	backup_made_done(&made);
}

static void
a_pattern_that_is_not_well_formed_stops_the_backup(void **state)
{
	static const char *const patterns[] = { "[a" };
	struct backup_options options = { .excludes = patterns, .exclude_count = 1 };
	struct backup_fixture *f = *state;
	struct backup_made made;

	backup_make(f, &options, &made);
	assert_int_equal(made.rc, -1);
	assert_int_equal(made.err.code, ERROR_BAD_REQUEST);
	backup_made_done(&made);
}

#define CACHE_TAG "Signature: 8a477f597d28d172789f06886806bc55"

static void
of_a_folder_tagged_as_a_cache_the_tag_alone_is_stored(void **state)
{
	struct backup_options options = { .exclude_caches = true };
	struct backup_fixture *f = *state;
	struct backup_made made;

	backup_put(f, "cache/CACHEDIR.TAG", CACHE_TAG "\n# made by a test\n");
	backup_put(f, "cache/large", "x");
	backup_put(f, "cache/sub/deep", "x");
	backup_put(f, "not/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc56");
	backup_put(f, "not/kept", "x");
	backup_put(f, "short/CACHEDIR.TAG", "Signature: 8a477f59");
	backup_put(f, "short/kept", "x");
	backup_make_well(f, &options, &made);
	backup_assert_text(f, &made, "cache/CACHEDIR.TAG", CACHE_TAG "\n# made by a test\n");
	assert_false(backup_holds(f, &made, "cache/large"));
	assert_false(backup_holds(f, &made, "cache/sub"));
	assert_true(backup_holds(f, &made, "not/kept"));
	assert_true(backup_holds(f, &made, "short/kept"));
	backup_made_done(&made);
	backup_make_well(f, NULL, &made);
	assert_true(backup_holds(f, &made, "cache/sub/deep"));
	backup_made_done(&made);
}

static void
a_fifo_by_the_name_of_a_cache_tag_is_not_opened(void **state)
{
	struct backup_options options = { .exclude_caches = true };
	struct backup_fixture *f = *state;
	struct backup_made made;
	struct entry entry;
	char byte;
	char *path = test_path(f->source, "CACHEDIR.TAG");
	int fd;

	backup_put(f, "kept", "x");
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(write(fd, CACHE_TAG, strlen(CACHE_TAG)), strlen(CACHE_TAG));
	hook_count_opens("CACHEDIR.TAG");
	backup_make_well(f, &options, &made);
	assert_int_equal(hook_opens(), 0);
	/* Nobody took from it what was meant for somebody else. */
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'S');
	close(fd);
	assert_true(backup_holds(f, &made, "kept"));
	assert_int_equal(backup_find(f, &made, "CACHEDIR.TAG", &entry), 1);
	assert_int_equal(entry.kind, ENTRY_FIFO);
	entry_done(&entry);
	backup_made_done(&made);
	free(path);
}

static void
files_above_the_size_limit_are_left_out_with_a_note(void **state)
{
	struct backup_options options = { .max_size = 10 };
	struct backup_fixture *f = *state;
	struct backup_made made;

	backup_put(f, "equal", "0123456789");
	backup_put(f, "above", "0123456789a");
	backup_make(f, &options, &made);
	assert_int_equal(made.rc, 0);
	assert_true(backup_holds(f, &made, "equal"));
	assert_false(backup_holds(f, &made, "above"));
	assert_true(backup_remarked(&made.progress.notes, "/above", "larger than the limit"));
	assert_int_equal(made.progress.notes.total, 1);
	assert_false(made.snapshot->warn);
	assert_int_equal(made.snapshot->files, 1);
	backup_made_done(&made);
}

static unsigned
count_objects(const struct backup_fixture *f)
{
	static const char *const folders[] = { "packs", "index", "snapshots", "claims", "tmp" };
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		char *path = test_path(f->repository, "%s", folders[i]);

		count += test_folder_count(path);
		free(path);
	}
	return count;
}

static void
a_dry_run_counts_and_stores_nothing(void **state)
{
	static const char *const patterns[] = { "*.tmp" };
	struct backup_options options = { .dry_run = true, .excludes = patterns,
		.exclude_count = 1 };
	struct backup_fixture *f = *state;
	struct backup_made made, real;

	test_source_make(f->source);
	backup_put(f, "left-out.tmp", "x");
	hook_count_opens("large");
	backup_make_well(f, &options, &made);
	assert_null(made.snapshot);
	assert_int_equal(hook_opens(), 0);
	assert_int_equal(count_objects(f), 0);
	options.dry_run = false;
	backup_make_well(f, &options, &real);
	assert_int_equal(made.progress.files, real.progress.files);
	assert_int_equal(made.progress.bytes, real.progress.bytes);
	assert_int_equal(made.progress.files, 27);
	backup_made_done(&made);
	backup_made_done(&real);
	/* And one after a backup, when most is known. */
	options.dry_run = true;
	backup_make_well(f, &options, &made);
	assert_int_equal(made.progress.files, 27);
	backup_made_done(&made);
}

static void
sources_are_sorted_and_nested_ones_are_part_of_the_outer(void **state)
{
	struct backup_fixture *f = *state;
	char *a = test_path(f->source, "a"), *inner = test_path(f->source, "a/inner");
	char *dash = test_path(f->source, "a-b"), *file = test_path(f->source, "z/file");
	const char *paths[] = { file, inner, dash, a, inner };
	struct backup_options options = { .paths = paths, .path_count = 5 };
	struct backup_made made, again;

	backup_put(f, "a/inner/x", "x");
	backup_put(f, "a/y", "y");
	backup_put(f, "a-b/z", "z");
	backup_put(f, "other/no", "no");
	backup_put(f, "z/file", "file");
	backup_put(f, "z/sibling", "no");
	backup_make_well(f, &options, &made);
	assert_int_equal(made.snapshot->source_count, 3);
	assert_string_equal(made.snapshot->sources[0], a);
	assert_string_equal(made.snapshot->sources[1], dash);
	assert_string_equal(made.snapshot->sources[2], file);
	backup_assert_text(f, &made, "a/inner/x", "x");
	backup_assert_text(f, &made, "a/y", "y");
	backup_assert_text(f, &made, "a-b/z", "z");
	backup_assert_text(f, &made, "z/file", "file");
	assert_false(backup_holds(f, &made, "other"));
	assert_false(backup_holds(f, &made, "z/sibling"));
	assert_int_equal(made.snapshot->files, 4);
	/* The same in another order is the same. */
	paths[0] = a;
	paths[3] = file;
	backup_make_well(f, &options, &again);
	assert_string_equal(again.snapshot->parent, made.snapshot->id);
	assert_int_equal(again.snapshot->unmodified_files, 4);
	backup_made_done(&made);
	backup_made_done(&again);
	free(a);
	free(inner);
	free(dash);
	free(file);
}

static void
a_source_that_is_a_link_means_where_it_leads(void **state)
{
	struct backup_fixture *f = *state;
	char *link = test_path(f->folder, "link");
	const char *paths[] = { link };
	struct backup_options options = { .paths = paths, .path_count = 1 };
	struct backup_made made;

	backup_put(f, "file", "behind the link");
	assert_int_equal(symlink("source", link), 0);
	backup_make_well(f, &options, &made);
	assert_string_equal(made.snapshot->sources[0], f->source);
	backup_assert_text(f, &made, "file", "behind the link");
	backup_made_done(&made);
	free(link);
}

static void
a_source_that_is_missing_is_said_to_be(void **state)
{
	struct backup_fixture *f = *state;
	char *missing = test_path(f->folder, "missing");
	const char *paths[] = { missing, f->source };
	struct backup_options options = { .paths = paths, .path_count = 1 };
	struct backup_made made;

	backup_put(f, "file", "x");
	backup_make(f, &options, &made);
	assert_int_equal(made.rc, -1);
	assert_int_equal(made.err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(made.err.message, missing));
	backup_made_done(&made);
	/* Beside one that is there it is a loss. */
	options.path_count = 2;
	backup_make(f, &options, &made);
	assert_int_equal(made.rc, 0);
	assert_true(made.snapshot->warn);
	assert_int_equal(made.snapshot->loss_total, 1);
	assert_string_equal(made.snapshot->losses[0].path, missing);
	assert_string_equal(made.snapshot->losses[0].reason, strerror(ENOENT));
	assert_true(backup_holds(f, &made, "file"));
	backup_made_done(&made);
	options.paths = paths;
	options.path_count = 0;
	backup_make(f, &options, &made);
	assert_int_equal(made.rc, -1);
	assert_int_equal(made.err.code, ERROR_BAD_REQUEST);
	backup_made_done(&made);
	free(missing);
}

static void
a_parent_is_the_newest_of_the_same_sources_else_of_the_same_host(void **state)
{
	struct backup_fixture *f = *state;
	char *a = test_path(f->source, "a"), *b = test_path(f->source, "b");
	const char *of_a[] = { a }, *of_b[] = { b };
	struct backup_options options = { .paths = of_a, .path_count = 1 };
	struct backup_made first, second, third, fourth, foreign;

	backup_put(f, "a/file", "a");
	backup_put(f, "b/file", "b");
	backup_make_well(f, &options, &first);
	assert_null(first.snapshot->parent);
	options.host = "another host";
	backup_make_well(f, &options, &foreign);
	assert_null(foreign.snapshot->parent);
	options.host = NULL;
	options.paths = of_b;
	backup_make_well(f, &options, &second);
	assert_string_equal(second.snapshot->parent, first.snapshot->id);
	options.paths = of_a;
	backup_make_well(f, &options, &third);
	assert_string_equal(third.snapshot->parent, first.snapshot->id);
	assert_int_equal(third.snapshot->unmodified_files, 1);
	/* Both together: what the newest one knows is not read. */
	backup_make_well(f, NULL, &fourth);
	assert_string_equal(fourth.snapshot->parent, third.snapshot->id);
	assert_int_equal(fourth.snapshot->unmodified_files, 1);
	assert_int_equal(fourth.snapshot->new_files, 1);
	backup_made_done(&first);
	backup_made_done(&second);
	backup_made_done(&third);
	backup_made_done(&fourth);
	backup_made_done(&foreign);
	free(a);
	free(b);
}

static void
names_of_one_file_are_known_as_such(void **state)
{
	struct backup_fixture *f = *state;
	char *a = test_path(f->source, "a"), *b = test_path(f->source, "sub/b");
	struct entry one, two, single;
	struct backup_made made;
	struct stat st;

	backup_put(f, "a", "one file, two names");
	backup_put(f, "sub/single", "x");
	assert_int_equal(link(a, b), 0);
	for (int again = 0; again < 2; again++) {
		backup_make_well(f, NULL, &made);
		assert_int_equal(stat(a, &st), 0);
		assert_int_equal(backup_find(f, &made, "a", &one), 1);
		assert_int_equal(backup_find(f, &made, "sub/b", &two), 1);
		assert_int_equal(backup_find(f, &made, "sub/single", &single), 1);
		assert_int_equal(one.nlink, 2);
		assert_int_equal(two.nlink, 2);
		assert_int_equal(one.inode, st.st_ino);
		assert_int_equal(two.inode, one.inode);
		assert_int_equal(one.link_device, two.link_device);
		assert_int_equal(one.link_device, st.st_dev);
		assert_int_equal(single.nlink, 1);
		assert_int_equal(single.link_device, 0);
		backup_assert_text(f, &made, "sub/b", "one file, two names");
		entry_done(&one);
		entry_done(&two);
		entry_done(&single);
		backup_made_done(&made);
	}
	free(a);
	free(b);
}

/* Holes at the start, in the middle and at the end; at this scale. */
static void
make_sparse(const struct backup_fixture *f, const char *name, off_t unit)
{
	char *path = test_path(f->source, "%s", name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(pwrite(fd, "first", 5, unit), 5);
	assert_int_equal(pwrite(fd, "second", 6, 5 * unit + 3), 6);
	assert_int_equal(ftruncate(fd, 9 * unit + 1), 0);
	close(fd);
	free(path);
}

static void
of_sparse_files_the_data_is_stored_and_the_holes_are_known(void **state)
{
	static const off_t units[] = { 1 << 16, 3 << 20 };
	struct backup_fixture *f = *state;
	struct backup_made made;
	char *path;

	make_sparse(f, "small", units[0]);
	make_sparse(f, "large", units[1]);
	path = test_path(f->source, "hole");
	test_file_write(path, "", 0);
	assert_int_equal(truncate(path, 5 << 20), 0);
	backup_make_well(f, NULL, &made);
	assert_true(made.snapshot->added_bytes < 100000);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		const char *name = i == 0 ? "small" : "large";
		uint8_t *expected = mem_calloc(1, (size_t)(9 * units[i] + 1));
		struct entry entry;

		memcpy(expected + units[i], "first", 5);
		memcpy(expected + 5 * units[i] + 3, "second", 6);
		backup_assert_bytes(f, &made, name, expected, (size_t)(9 * units[i] + 1));
		assert_int_equal(backup_find(f, &made, name, &entry), 1);
		assert_true(entry.sparse);
		assert_int_equal(entry.extent_count, 2);
		entry_done(&entry);
		free(expected);
	}
	{
		uint8_t *zeros = mem_calloc(1, 5 << 20);
		struct entry entry;

		backup_assert_bytes(f, &made, "hole", zeros, 5 << 20);
		assert_int_equal(backup_find(f, &made, "hole", &entry), 1);
		assert_int_equal(entry.extent_count + entry.content_count, 0);
		entry_done(&entry);
		free(zeros);
	}
	backup_made_done(&made);
	free(path);
}

static void
special_files_are_recorded_and_never_opened(void **state)
{
	struct backup_fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *fifo = test_path(f->source, "fifo"), *sock = test_path(f->source, "socket");
	char *device = test_path(f->source, "device"), *link = test_path(f->source, "link");
	bool with_device = mknod(device, S_IFCHR | 0600, makedev(1, 3)) == 0;
	struct backup_made made;
	struct entry entry;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(mkfifo(fifo, 0600), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", sock);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(symlink("../no such\nplace", link), 0);
	hook_count_opens("fifo");
	backup_make_well(f, NULL, &made);
	assert_int_equal(hook_opens(), 0);
	assert_int_equal(made.snapshot->others, 3 + with_device);
	assert_int_equal(backup_find(f, &made, "fifo", &entry), 1);
	assert_int_equal(entry.kind, ENTRY_FIFO);
	entry_done(&entry);
	assert_int_equal(backup_find(f, &made, "socket", &entry), 1);
	assert_int_equal(entry.kind, ENTRY_SOCKET);
	entry_done(&entry);
	assert_int_equal(backup_find(f, &made, "link", &entry), 1);
	assert_int_equal(entry.kind, ENTRY_SYMLINK);
	assert_string_equal(entry.target, "../no such\nplace");
	entry_done(&entry);
	if (with_device) {
		assert_int_equal(backup_find(f, &made, "device", &entry), 1);
		assert_int_equal(entry.kind, ENTRY_CHARACTER);
		assert_int_equal(entry.device_major, 1);
		assert_int_equal(entry.device_minor, 3);
		entry_done(&entry);
	}
	close(fd);
	backup_made_done(&made);
	free(fifo);
	free(sock);
	free(device);
	free(link);
}

/* Nothing but the ctime (and perhaps the inode) tells that this is another link. */
static void
replace_link(const char *path, const char *target)
{
	struct timespec times[2];
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	times[0] = times[1] = st.st_mtim;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void
a_symlink_that_changed_is_looked_at_again(void **state)
{
	struct backup_fixture *f = *state;
	char *link = test_path(f->source, "link"), *kept = test_path(f->source, "kept");
	struct backup_made made;
	struct entry entry;

	assert_int_equal(symlink("one", link), 0);
	assert_int_equal(symlink("kept", kept), 0);
	backup_put(f, "file", "x");
	backup_make_well(f, NULL, &made);
	backup_made_done(&made);
	wait_for_another_ctime(f, "file");
	replace_link(link, "two");
	backup_make_well(f, NULL, &made);
	assert_int_equal(made.snapshot->others, 2);
	assert_int_equal(backup_find(f, &made, "link", &entry), 1);
	assert_string_equal(entry.target, "two");
	entry_done(&entry);
	assert_int_equal(backup_find(f, &made, "kept", &entry), 1);
	assert_string_equal(entry.target, "kept");
	entry_done(&entry);
	backup_made_done(&made);
	free(link);
	free(kept);
}

/* It might change within the same tick, and nothing would tell. */
static void
a_symlink_made_just_now_is_looked_at_again_next_time(void **state)
{
	struct backup_fixture *f = *state;
	char *link = test_path(f->source, "link");
	struct backup_made made;
	struct entry entry;
	struct stat st;

	assert_int_equal(symlink("one", link), 0);
	assert_int_equal(lstat(link, &st), 0);
	hook_clock_stop(&st.st_ctim);
	backup_make_well(f, NULL, &made);
	hook_clock_stop(NULL);
	assert_int_equal(backup_find(f, &made, "link", &entry), 1);
	assert_int_equal(entry.ctime.tv_sec, 0);
	entry_done(&entry);
	backup_made_done(&made);
	backup_make_well(f, NULL, &made);
	assert_int_equal(backup_find(f, &made, "link", &entry), 1);
	assert_int_equal(entry.ctime.tv_sec, st.st_ctim.tv_sec);
	assert_int_equal(entry.ctime.tv_nsec, st.st_ctim.tv_nsec);
	entry_done(&entry);
	backup_made_done(&made);
	free(link);
}

static void
names_may_be_of_any_bytes(void **state)
{
	static const char *const names[] = { "\x01\x02", " leading", "trailing ", "-rf", "a\nb",
		"*", "\\", "caf\xc3\xa9", "broken \xff\xfe utf-8", "\xe2\x80\xae-bidi", "...",
		"\x1b[31mred" };
	struct backup_fixture *f = *state;
	struct backup_made made;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		backup_put(f, names[i], names[i]);
	for (int again = 0; again < 2; again++) {
		backup_make_well(f, NULL, &made);
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			backup_assert_text(f, &made, names[i], names[i]);
		assert_int_equal(made.snapshot->files, ARRAY_LEN(names));
		assert_int_equal(made.snapshot->unmodified_files, again ? ARRAY_LEN(names) : 0);
		backup_made_done(&made);
	}
}

#define MANY 5000u

static void
a_folder_of_thousands_is_whole_and_a_change_in_it_is_small(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made first, second;
	struct tree_cursor *cursor;
	const struct entry *entry;
	struct error err = ERROR_INIT;
	struct entry folder;
	char name[40];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%05u", i);
		backup_put(f, name, name);
	}
	backup_make_well(f, NULL, &first);
	assert_int_equal(first.snapshot->files, MANY);
	assert_int_equal(backup_find(f, &first, "many", &folder), 1);
	assert_true(folder.content_count > 3);
	assert_int_equal(tree_open(f->repo, folder.content, folder.content_count, &cursor, &err), 0);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(tree_next(cursor, &entry, &err), 1);
		assert_int_equal(atoi(entry->name), i);
	}
	assert_int_equal(tree_next(cursor, &entry, &err), 0);
	tree_close(cursor);
	entry_done(&folder);
	wait_for_another_ctime(f, "many/02500");
	backup_put(f, "many/02500", "changed");
	backup_put(f, "many/02500-new", "new");
	backup_make_well(f, NULL, &second);
	assert_int_equal(second.snapshot->changed_files, 1);
	assert_int_equal(second.snapshot->new_files, 1);
	assert_int_equal(second.snapshot->unmodified_files, MANY - 1);
	/* Two contents, one part or two of the folder, and one of each folder above. */
	assert_true(second.snapshot->added_blobs < 2 + 2 + 16);
	backup_assert_text(f, &second, "many/04999", "many/04999");
	backup_assert_text(f, &second, "many/02500", "changed");
	backup_made_done(&first);
	backup_made_done(&second);
}

static void
the_repository_within_the_source_is_left_out_with_a_note(void **state)
{
	struct backup_fixture *f = *state;
	const char *paths[] = { f->folder };
	struct backup_options options = { .paths = paths, .path_count = 1 };
	struct backup_made made;
	struct error err = ERROR_INIT;
	struct entry entry;

	backup_put(f, "file", "x");
	for (int again = 0; again < 2; again++) {
		backup_make(f, &options, &made);
		assert_int_equal(made.rc, 0);
		assert_false(made.snapshot->warn);
		assert_true(backup_remarked(&made.progress.notes, "/repository",
		    "holds the repository itself"));
		assert_true(backup_holds(f, &made, "file"));
		assert_int_equal(tree_lookup(f->repo, made.snapshot->roots,
		    made.snapshot->root_count, f->repository, &entry, &err), 0);
		backup_made_done(&made);
	}
}

static void
a_file_of_many_chunks_whose_data_was_lost_is_stored_again(void **state)
{
	struct backup_fixture *f = *state;
	size_t len = 24u << 20;
	uint8_t *data = mem_calloc(1, len);
	char *path = test_path(f->source, "large"), *packs = test_path(f->repository, "packs");
	char *command = mem_printf("find '%s' -type f -size +16384k -delete", packs);
	struct backup_made made;
	uint64_t seed = 1;
	struct entry entry;

	for (size_t i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		data[i] = (uint8_t)(seed >> 56);
	}
	test_file_write(path, data, len);
	backup_make_well(f, NULL, &made);
	assert_int_equal(backup_find(f, &made, "large", &entry), 1);
	assert_int_equal(entry.depth, 1);
	entry_done(&entry);
	backup_made_done(&made);
	/* Its data is gone, its lists are still there. */
	assert_int_equal(system(command), 0);
	backup_make_well(f, NULL, &made);
	assert_true(made.snapshot->added_bytes >= len);
	backup_assert_bytes(f, &made, "large", data, len);
	backup_made_done(&made);
	free(command);
	free(packs);
	free(path);
	free(data);
}

/* In a process and a mount namespace of its own; 0 well, 77 cannot mount here. */
static int
with_a_mount(struct backup_fixture *f)
{
	struct backup_options options = { .one_file_system = true };
	char *mount_point = test_path(f->source, "mounted");
	struct backup_made made;
	struct entry entry;
	int bad = 0;

	backup_put(f, "mounted/beneath", "hidden");
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", mount_point, "tmpfs", 0, "size=1m") != 0)
		return 77;
	backup_put(f, "mounted/file", "on another file system");
	backup_put(f, "here", "x");
	backup_make_well(f, &options, &made);
	bad |= !backup_holds(f, &made, "here");
	bad |= backup_find(f, &made, "mounted", &entry) != 1;
	bad |= backup_holds(f, &made, "mounted/file") << 1;
	backup_made_done(&made);
	options.one_file_system = false;
	backup_make_well(f, &options, &made);
	bad |= !backup_holds(f, &made, "mounted/file") << 2;
	backup_made_done(&made);
	return bad;
}

static void
what_is_mounted_below_is_left_out_on_request(void **state)
{
	struct backup_fixture *f = *state;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(with_a_mount(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("this process may not mount\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup_on_disk, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(all_that_is_there_is_stored_and_counted),
		CASE(job_run_and_tags_are_kept_with_the_snapshot),
		CASE(unchanged_files_are_not_opened),
		CASE(forced_every_file_is_opened),
		CASE(a_file_of_which_anything_changed_is_read_again),
		CASE(a_file_changed_just_now_is_read_again_next_time),
		CASE(what_is_excluded_is_neither_stored_nor_counted),
		CASE(a_pattern_that_is_not_well_formed_stops_the_backup),
		CASE(of_a_folder_tagged_as_a_cache_the_tag_alone_is_stored),
		CASE(a_fifo_by_the_name_of_a_cache_tag_is_not_opened),
		CASE(files_above_the_size_limit_are_left_out_with_a_note),
		CASE(a_dry_run_counts_and_stores_nothing),
		CASE(sources_are_sorted_and_nested_ones_are_part_of_the_outer),
		CASE(a_source_that_is_a_link_means_where_it_leads),
		CASE(a_source_that_is_missing_is_said_to_be),
		CASE(a_parent_is_the_newest_of_the_same_sources_else_of_the_same_host),
		CASE(names_of_one_file_are_known_as_such),
		CASE(of_sparse_files_the_data_is_stored_and_the_holes_are_known),
		CASE(special_files_are_recorded_and_never_opened),
		CASE(a_symlink_that_changed_is_looked_at_again),
		CASE(a_symlink_made_just_now_is_looked_at_again_next_time),
		CASE(names_may_be_of_any_bytes),
		CASE(a_folder_of_thousands_is_whole_and_a_change_in_it_is_small),
		CASE(the_repository_within_the_source_is_left_out_with_a_note),
		CASE(a_file_of_many_chunks_whose_data_was_lost_is_stored_again),
		CASE(what_is_mounted_below_is_left_out_on_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
