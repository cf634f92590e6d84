/*
 * Backups of a source that changes under them, by accident or by malice, that may not read all of
 * it, or that are told to stop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"
#include "tests/lib/system_hooks.h"

#define WAIT_S 60
#define LARGE (6u << 20) /* above BATCH_FILE_MAX: a file that is streamed */

/* What a hook does to something below the source. */
struct swap {
	const struct backup_fixture *f;
	const char *name;
	void (*act)(const char *path, const struct swap *swap);
	off_t size;
	struct progress *progress;
};

static void
act_on_it(void *arg)
{
	const struct swap *swap = arg;
	char *path = test_path(swap->f->source, "%s", swap->name);

	swap->act(path, swap);
	free(path);
}

static void
must(int rc)
{
	if (rc != 0) {
		perror("the test could not act");
		abort();
	}
}

static void
remove_it(const char *path, const struct swap *swap)
{
	(void)swap;
	must(remove(path));
}

static void
become_fifo(const char *path, const struct swap *swap)
{
	remove_it(path, swap);
	must(mkfifo(path, 0666));
}

static void
become_link_to_secret(const char *path, const struct swap *swap)
{
	char *secret = test_path(swap->f->folder, "secret");
	char *aside = test_path(swap->f->folder, "aside");

	must(rename(path, aside));
	must(symlink(secret, path));
	free(secret);
	free(aside);
}

static void
become_folder(const char *path, const struct swap *swap)
{
	remove_it(path, swap);
	must(mkdir(path, 0755));
}

static void
take_size(const char *path, const struct swap *swap)
{
	must(truncate(path, swap->size));
}

static void
a_file_that_vanishes_is_a_note_and_no_loss(void **state)
{
	static const enum hook_moment moments[] = { HOOK_STAT, HOOK_OPEN };
	struct backup_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		struct swap swap = { .f = f, .name = "folder/victim", .act = remove_it };
		struct backup_made made;

		backup_put(f, "folder/victim", "x");
		backup_put(f, "folder/zzz", "behind it");
		hook_set(moments[i], "victim", act_on_it, &swap);
		backup_make(f, NULL, &made);
		assert_true(hook_clear());
		assert_int_equal(made.rc, 0);
		assert_false(made.snapshot->warn);
		assert_int_equal(made.progress.notes.total, 1);
		assert_true(backup_remarked(&made.progress.notes, "/folder/victim",
		    "vanished before it was read"));
		assert_false(backup_holds(f, &made, "folder/victim"));
		backup_assert_text(f, &made, "folder/zzz", "behind it");
		backup_made_done(&made);
	}
}

static void
a_source_that_vanishes_or_becomes_a_link_is_a_loss(void **state)
{
	struct backup_fixture *f = *state;
	char *inner = test_path(f->source, "a/inner"), *other = test_path(f->source, "b");
	const char *paths[] = { inner, other };
	struct backup_options options = { .paths = paths, .path_count = 2 };
	static const struct {
		const char *name, *swapped, *reason;
		void (*act)(const char *path, const struct swap *swap);
	} cases[] = {
		{ "inner", "a/inner", "could not stat it", remove_it },
		{ "inner", "a/inner", "became something else", become_link_to_secret },
		{ "a", "a", "became something else", become_link_to_secret },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct swap swap = { .f = f, .name = cases[i].swapped, .act = cases[i].act };
		struct backup_made made;
		char *aside = test_path(f->folder, "aside"), *a = test_path(f->source, "a");
		char *at = test_path(f->source, "%s", cases[i].swapped);

		backup_put(f, "b/file", "x");
		must(mkdir(a, 0755) != 0 && errno != EEXIST);
		must(mkdir(inner, 0755));
		hook_set(HOOK_STAT, cases[i].name, act_on_it, &swap);
		backup_make(f, &options, &made);
		assert_true(hook_clear());
		assert_int_equal(made.rc, 0);
		assert_true(made.snapshot->warn);
		if (!backup_remarked(&made.progress.losses, cases[i].swapped, cases[i].reason))
			fail_msg("case %zu: %s", i, made.progress.losses.list[0].reason);
		assert_true(backup_holds(f, &made, "b/file"));
		backup_made_done(&made);
		(void)unlink(at);
		if (access(aside, F_OK) == 0)
			test_folder_remove(aside);
		else
			free(aside);
		free(at);
		free(a);
	}
	free(inner);
	free(other);
}

static void
what_became_something_else_is_a_loss_and_is_not_followed(void **state)
{
	static const struct {
		void (*act)(const char *path, const struct swap *swap);
		const char *reason;
	} cases[] = { { become_fifo, "became something else" },
		{ become_link_to_secret, "became a symlink" },
		{ become_folder, "became something else" } };
	struct backup_fixture *f = *state;
	char *secret = test_path(f->folder, "secret"), *aside = test_path(f->folder, "aside");

	test_file_write(secret, "the shadow file", 15);
	for (size_t large = 0; large < 2; large++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct swap swap = { .f = f, .name = "victim", .act = cases[i].act };
			char *path = test_path(f->source, "victim");
			struct backup_made made;

			backup_put(f, "victim", "x");
			backup_put(f, "zzz", "behind it");
			if (large)
				must(truncate(path, LARGE));
			hook_set(HOOK_OPEN, "victim", act_on_it, &swap);
			backup_make(f, NULL, &made);
			assert_true(hook_clear());
			assert_int_equal(made.rc, 0);
			assert_true(made.snapshot->warn);
			assert_int_equal(made.snapshot->loss_total, 1);
			assert_true(backup_remarked(&made.progress.losses, "/victim",
			    cases[i].reason));
			assert_false(backup_holds(f, &made, "victim"));
			backup_assert_text(f, &made, "zzz", "behind it");
			/* Those that could be read, and no others, are counted. */
			assert_int_equal(made.snapshot->files, 1);
			assert_int_equal(made.snapshot->new_files +
			    made.snapshot->changed_files + made.snapshot->unmodified_files, 1);
			backup_made_done(&made);
			must(remove(path));
			(void)unlink(aside);
			free(path);
		}
	}
	free(secret);
	free(aside);
}

static void
a_folder_that_became_a_link_is_not_entered(void **state)
{
	struct backup_fixture *f = *state;
	struct swap swap = { .f = f, .name = "folder", .act = become_link_to_secret };
	char *secret = test_path(f->folder, "secret"), *in_it = test_path(secret, "shadow");
	struct backup_made made;

	must(mkdir(secret, 0755));
	test_file_write(in_it, "x", 1);
	backup_put(f, "folder/file", "x");
	backup_put(f, "zzz", "behind it");
	hook_set(HOOK_OPEN, "folder", act_on_it, &swap);
	backup_make(f, NULL, &made);
	assert_true(hook_clear());
	assert_int_equal(made.rc, 0);
	assert_true(backup_remarked(&made.progress.losses, "/folder", "could not open the folder"));
	assert_false(backup_holds(f, &made, "folder/shadow"));
	assert_true(backup_holds(f, &made, "zzz"));
	backup_made_done(&made);
	free(secret);
	free(in_it);
}

static void
a_folder_whose_names_cannot_be_read_is_a_loss(void **state)
{
	struct backup_fixture *f = *state;
	struct swap swap = { .f = f, .name = "folder", .act = remove_it };
	struct backup_made made;
	char *path = test_path(f->source, "folder");

	must(mkdir(path, 0755));
	backup_put(f, "zzz", "behind it");
	/* Removed when it is open: reading its names fails. */
	hook_set(HOOK_AFTER_OPEN, "folder", act_on_it, &swap);
	backup_make(f, NULL, &made);
	assert_true(hook_clear());
	assert_int_equal(made.rc, 0);
	assert_true(made.snapshot->warn);
	assert_true(backup_remarked(&made.progress.losses, "/folder",
	    "could not read all of the folder"));
	assert_true(backup_holds(f, &made, "zzz"));
	backup_made_done(&made);
	free(path);
}

static void
fill(uint8_t *data, size_t len)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		data[i] = (uint8_t)(seed >> 56);
	}
}

static void
a_file_that_shrinks_or_grows_is_stored_as_read_and_read_again(void **state)
{
	static const struct {
		size_t before, after, stored;
	} cases[] = {
		{ 50000, 20000, 20000 }, { 50000, 0, 0 }, { 50000, 70000, 50000 },
		{ LARGE, 1 << 20, 1 << 20 }, { LARGE, 0, 0 }, { LARGE, LARGE + 5000, LARGE },
		{ LARGE, LARGE - 1, LARGE - 1 },
	};
	struct backup_fixture *f = *state;
	uint8_t *data = mem_calloc(1, LARGE + 5000);
	char *path = test_path(f->source, "victim");

	fill(data, LARGE);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct swap swap = { .f = f, .name = "victim", .act = take_size,
			.size = (off_t)cases[i].after };
		struct backup_made made;
		struct entry entry;

		test_file_write(path, data, cases[i].before);
		hook_set(HOOK_READ, "victim", act_on_it, &swap);
		backup_make(f, NULL, &made);
		assert_true(hook_clear());
		assert_int_equal(made.rc, 0);
		assert_false(made.snapshot->warn);
		assert_true(backup_remarked(&made.progress.notes, "/victim",
		    "changed while it was read"));
		backup_assert_bytes(f, &made, "victim", data, cases[i].stored);
		assert_int_equal(backup_find(f, &made, "victim", &entry), 1);
		assert_int_equal(entry.ctime.tv_sec, 0);
		entry_done(&entry);
		assert_int_equal(made.snapshot->bytes, cases[i].stored);
		backup_made_done(&made);
		backup_make_well(f, NULL, &made);
		assert_int_equal(made.snapshot->changed_files, 1);
		if (cases[i].after < cases[i].before)
			backup_assert_bytes(f, &made, "victim", data, cases[i].after);
		backup_made_done(&made);
	}
	free(path);
	free(data);
}

static void
a_sparse_file_that_shrinks_is_stored_as_read(void **state)
{
	static const off_t sizes[] = { 100000, 9u << 20 };
	struct backup_fixture *f = *state;
	char *path = test_path(f->source, "victim");

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct swap swap = { .f = f, .name = "victim", .act = take_size, .size = 2 };
		struct backup_made made;
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		assert_int_equal(pwrite(fd, "data", 4, 0), 4);
		assert_int_equal(pwrite(fd, "data", 4, sizes[i] - 4), 4);
		close(fd);
		hook_set(HOOK_READ, "victim", act_on_it, &swap);
		backup_make(f, NULL, &made);
		assert_true(hook_clear());
		assert_int_equal(made.rc, 0);
		backup_assert_text(f, &made, "victim", "da");
		assert_true(backup_remarked(&made.progress.notes, "/victim", "changed"));
		backup_made_done(&made);
	}
	free(path);
}

/* Deep folders: names of 200 bytes, so that their path is no longer one that open() takes. */
#define DEPTH 90
#define FAR 20 /* no longer open when the walk is at the bottom */

static void
level_name(unsigned level, char name[256])
{
	snprintf(name, 256, "%03u%0197d", level, 0);
}

/* From the source down to this level; the caller closes it. */
static int
open_level(const struct backup_fixture *f, unsigned level, bool make)
{
	int fd = open(f->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[256];

	for (unsigned i = 0; i < level && fd >= 0; i++) {
		int next;

		level_name(i, name);
		if (make)
			must(mkdirat(fd, name, 0755));
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	return fd;
}

static void
put_at(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, name, strlen(name)), strlen(name));
	close(fd);
}

static void
make_deep(const struct backup_fixture *f)
{
	int fd = open_level(f, DEPTH, true);

	put_at(fd, "bottom");
	close(fd);
	/* Behind each folder a file that is visited on the way back. */
	for (unsigned i = 0; i < DEPTH; i++) {
		fd = open_level(f, i, false);
		put_at(fd, "zzz");
		close(fd);
	}
}

/* The path below the source of something at a level. */
static char *
deep_path(unsigned level, const char *name)
{
	struct buffer path = BUFFER_INIT;
	char one[256];

	for (unsigned i = 0; i < level; i++) {
		level_name(i, one);
		buffer_printf(&path, "%s/", one);
	}
	buffer_put_text(&path, name);
	return buffer_take(&path);
}

static bool
holds_deep(const struct backup_fixture *f, const struct backup_made *made, unsigned level,
    const char *name)
{
	char *path = deep_path(level, name);
	bool holds = backup_holds(f, made, path);

	free(path);
	return holds;
}

static void
depth_has_no_limit(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made made;

	make_deep(f);
	for (int again = 0; again < 2; again++) {
		backup_make_well(f, NULL, &made);
		assert_int_equal(made.snapshot->files, DEPTH + 1);
		assert_int_equal(made.snapshot->unmodified_files, again ? DEPTH + 1 : 0);
		for (unsigned i = 0; i < DEPTH; i++)
			assert_true(holds_deep(f, &made, i, "zzz"));
		assert_true(holds_deep(f, &made, DEPTH, "bottom"));
		backup_made_done(&made);
	}
}

static void
move_level(const struct backup_fixture *f, unsigned level, const char *to)
{
	int parent = open_level(f, level, false), top = open(f->folder, O_PATH | O_CLOEXEC);
	char name[256];

	level_name(level, name);
	must(renameat(parent, name, top, to));
	close(parent);
	close(top);
}

static void
move_one(void *arg)
{
	move_level(arg, FAR, "moved");
}

/* The inner one first: then the outer one is where it was left for. */
static void
move_two(void *arg)
{
	move_level(arg, FAR, "moved");
	move_level(arg, 3, "moved-too");
}

static void
a_folder_that_moves_under_the_walk_is_walked_to_its_end(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made made;

	make_deep(f);
	hook_set(HOOK_STAT, "bottom", move_one, f);
	backup_make(f, NULL, &made);
	assert_true(hook_clear());
	assert_int_equal(made.rc, 0);
	/* Everything was open, or is found again by its path. */
	assert_int_equal(made.snapshot->loss_total, 0);
	for (unsigned i = 0; i < DEPTH; i++)
		assert_true(holds_deep(f, &made, i, "zzz"));
	backup_made_done(&made);
}

static void
folders_that_moved_out_of_reach_are_losses_and_never_others_instead(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made made;

	make_deep(f);
	hook_set(HOOK_STAT, "bottom", move_two, f);
	backup_make(f, NULL, &made);
	assert_true(hook_clear());
	assert_int_equal(made.rc, 0);
	assert_true(made.snapshot->warn);
	assert_true(made.snapshot->loss_total >= 1);
	assert_string_equal(made.snapshot->losses[0].reason,
	    "the folder was moved while it was backed up");
	assert_true(holds_deep(f, &made, DEPTH, "bottom"));
	assert_true(holds_deep(f, &made, 0, "zzz"));
	assert_true(holds_deep(f, &made, 3, "zzz"));
	backup_made_done(&made);
}

/* As somebody who may not read everything; 0 if all is as it should be. */
static int
as_nobody(struct backup_fixture *f)
{
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct backup_made made;
	int bad = 0;

	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
		return 77;
	repo = test_repository_open(f->repository, NULL, &err);
	if (repo == NULL)
		return 78;
	f->repo = repo;
	backup_make(f, NULL, &made);
	if (made.rc != 0)
		return 79;
	bad |= !made.snapshot->warn;
	bad |= (made.snapshot->loss_total != 3) << 1;
	bad |= (!backup_remarked(&made.progress.losses, "/closed-file", "could not open it") ||
	    !backup_remarked(&made.progress.losses, "/closed-folder", "could not open the folder") ||
	    !backup_remarked(&made.progress.losses, "/no-entry/file", "could not stat it")) << 2;
	bad |= (backup_holds(f, &made, "closed-file") || !backup_holds(f, &made, "open") ||
	    !backup_holds(f, &made, "zzz")) << 3;
	/* The folders' attributes at least. */
	bad |= (!backup_holds(f, &made, "closed-folder") || !backup_holds(f, &made, "no-entry")) << 4;
	bad |= (made.snapshot->files != 2 || made.snapshot->new_files != 2) << 5;
	backup_made_done(&made);
	return bad;
}

static void
what_may_not_be_read_is_a_loss_and_the_rest_is_stored(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} closed[] = { { "closed-file", 0 }, { "closed-folder", 0 }, { "no-entry", 0444 } };
	struct backup_fixture *f = *state;
	char *command = mem_printf("chmod 755 '%s'; chown -R 65534:65534 '%s'", f->folder, f->folder);
	int status;
	pid_t pid;

	backup_put(f, "closed-file", "x");
	backup_put(f, "closed-folder/file", "x");
	backup_put(f, "no-entry/file", "x");
	backup_put(f, "open", "x");
	backup_put(f, "zzz", "x");
	if (geteuid() == 0)
		must(system(command));
	for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
		char *path = test_path(f->source, "%s", closed[i].name);

		must(chmod(path, closed[i].mode));
		free(path);
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(as_nobody(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	free(command);
}

static void
cancel(void *arg)
{
	progress_cancel(((struct swap *)arg)->progress);
}

static void
assert_no_snapshot(const struct backup_fixture *f)
{
	struct error err = ERROR_INIT;
	struct snapshot **list;
	size_t count;

	assert_int_equal(snapshot_list(f->repo, &list, &count, NULL, NULL, &err), 0);
	assert_int_equal(count, 0);
	free(list);
}

static void
a_cancelled_backup_ends_without_a_snapshot_and_without_a_claim(void **state)
{
	static const struct {
		enum hook_moment moment;
		const char *name;
	} cases[] = { { HOOK_STAT, "source" }, { HOOK_STAT, "file" }, { HOOK_READ, "large" },
		{ HOOK_STAT, "zzz" } };
	struct backup_fixture *f = *state;
	char *large = test_path(f->source, "large"), *claims = test_path(f->repository, "claims");
	struct backup_made made;

	backup_put(f, "file", "x");
	backup_put(f, "large", "x");
	backup_put(f, "zzz", "x");
	backup_put(f, "zzzz", "x");
	must(truncate(large, LARGE));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct swap swap = { .f = f, .progress = &made.progress };

		hook_set(cases[i].moment, cases[i].name, cancel, &swap);
		if (cases[i].moment == HOOK_READ) {
			int fd = open(large, O_WRONLY | O_CLOEXEC);
			uint8_t *data = mem_calloc(1, LARGE);

			assert_int_equal(write(fd, data, LARGE), LARGE);
			close(fd);
			free(data);
		}
		backup_make(f, NULL, &made);
		assert_true(hook_clear());
		assert_int_equal(made.rc, -1);
		assert_int_equal(made.err.code, ERROR_CANCELLED);
		assert_null(made.snapshot);
		assert_no_snapshot(f);
		assert_int_equal(test_folder_count(claims), 0);
		backup_made_done(&made);
	}
	backup_make_well(f, NULL, &made);
	backup_made_done(&made);
	free(large);
	free(claims);
}

struct paused {
	const struct backup_fixture *f;
	struct progress progress;
	struct snapshot *snapshot;
	struct error err;
	int rc;
	atomic_bool resumed, too_soon;
};

static void
note_too_soon(void *arg)
{
	struct paused *paused = arg;

	if (!atomic_load(&paused->resumed))
		atomic_store(&paused->too_soon, true);
}

static void *
back_up(void *arg)
{
	struct paused *paused = arg;
	const char *paths[] = { paused->f->source };
	struct backup_options options = { .paths = paths, .path_count = 1, .threads = 1,
		.host = "test" };

	paused->rc = files_backup(paused->f->repo, &options, &paused->progress, &paused->snapshot,
	    &paused->err);
	return NULL;
}

static void
wait_for_phase(struct progress *progress, const char *phase)
{
	time_t until = time(NULL) + WAIT_S;
	const struct timespec pause = { 0, 1000000 };
	const char *now;

	while ((now = atomic_load(&progress->phase)) == NULL || strcmp(now, phase) != 0) {
		if (time(NULL) > until)
			fail_msg("phase '%s' did not come", phase);
		nanosleep(&pause, NULL);
	}
}

static void
a_paused_backup_visits_nothing_until_it_is_resumed(void **state)
{
	struct backup_fixture *f = *state;
	struct paused paused = { .f = f, .err = ERROR_INIT };
	pthread_t thread;

	backup_put(f, "file", "x");
	progress_init(&paused.progress);
	progress_pause(&paused.progress, true);
	hook_set(HOOK_STAT, "source", note_too_soon, &paused);
	assert_int_equal(pthread_create(&thread, NULL, back_up, &paused), 0);
	wait_for_phase(&paused.progress, "claim");
	atomic_store(&paused.resumed, true);
	progress_pause(&paused.progress, false);
	pthread_join(thread, NULL);
	assert_true(hook_clear());
	assert_false(paused.too_soon);
	assert_int_equal(paused.rc, 0);
	assert_int_equal(paused.snapshot->files, 1);
	/* And one that is cancelled while it is paused ends. */
	snapshot_free(paused.snapshot);
	progress_done(&paused.progress);
	progress_init(&paused.progress);
	progress_pause(&paused.progress, true);
	assert_int_equal(pthread_create(&thread, NULL, back_up, &paused), 0);
	wait_for_phase(&paused.progress, "claim");
	progress_cancel(&paused.progress);
	pthread_join(thread, NULL);
	assert_int_equal(paused.rc, -1);
	assert_int_equal(paused.err.code, ERROR_CANCELLED);
	progress_done(&paused.progress);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup_on_disk, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_file_that_vanishes_is_a_note_and_no_loss),
		CASE(a_source_that_vanishes_or_becomes_a_link_is_a_loss),
		CASE(what_became_something_else_is_a_loss_and_is_not_followed),
		CASE(a_folder_that_became_a_link_is_not_entered),
		CASE(a_folder_whose_names_cannot_be_read_is_a_loss),
		CASE(a_file_that_shrinks_or_grows_is_stored_as_read_and_read_again),
		CASE(a_sparse_file_that_shrinks_is_stored_as_read),
		CASE(depth_has_no_limit),
		CASE(a_folder_that_moves_under_the_walk_is_walked_to_its_end),
		CASE(folders_that_moved_out_of_reach_are_losses_and_never_others_instead),
		CASE(what_may_not_be_read_is_a_loss_and_the_rest_is_stored),
		CASE(a_cancelled_backup_ends_without_a_snapshot_and_without_a_claim),
		CASE(a_paused_backup_visits_nothing_until_it_is_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
