#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/restore.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

/* Takes libc's place: how often the disk was waited for, and whether that fails. */
static struct {
	unsigned count;
	bool fails;
} sync_calls;

int
syncfs(int fd)
{
	(void)fd;
	sync_calls.count++;
	errno = EIO;
	return sync_calls.fails ? -1 : 0;
}

struct fixture {
	char *folder, *source, *target;
	struct repository *repo;
	struct snapshot *snapshot;
	struct progress progress;
	struct restore_options options;
	struct restore_result result;
	struct error err;
	/* from each() */
	unsigned told[RESTORE_ACTION_COUNT];
	const char *damage; /* changed as soon as it is there */
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	memset(&sync_calls, 0, sizeof(sync_calls));
	f->repo = test_snapshot_new(&f->folder, &f->source, &f->snapshot);
	f->target = test_path(f->folder, "target");
	progress_init(&f->progress);
	f->options.target = f->target;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	progress_done(&f->progress);
	snapshot_free(f->snapshot);
	repository_close(f->repo);
	free(f->source);
	free(f->target);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static int
restore(struct fixture *f)
{
	return files_restore(f->repo, f->snapshot, &f->options, &f->progress, &f->result, &f->err);
}

static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Counts, and where it is asked to, changes a file that was just written. */
static void
count(void *arg, enum restore_action action, const char *path)
{
	struct fixture *f = arg;
	int fd;

	f->told[action]++;
	assert_int_equal(path[0], '/');
	if (f->damage == NULL || strcmp(path, f->damage) != 0 || action != RESTORE_CREATE)
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "#", 1, 0), 1);
	close(fd);
}

static void
rules_and_actions_have_words(void **state)
{
	enum conflict_rule rule;
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < CONFLICT_RULE_COUNT; i++) {
		const char *word = conflict_rule_word((enum conflict_rule)i);

		assert_int_equal(conflict_rule_parse(word, &rule, &err), 0);
		assert_int_equal(rule, i);
	}
	for (size_t i = 0; i < RESTORE_ACTION_COUNT; i++)
		assert_non_null(restore_action_word((enum restore_action)i));
	assert_int_equal(conflict_rule_parse("Skip", &rule, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "unknown conflict rule 'Skip'");
	assert_string_equal(err.hint, "the rules are skip, newer, overwrite and side-copy");
}

static void
everything_is_restored_told_and_counted(void **state)
{
	struct fixture *f = *state;
	struct test_compared compared;
	char *root = test_path(f->target, "%s", f->source);

	f->options.each = count;
	f->options.arg = f;
	f->options.verify = true;
	assert_int_equal(restore(f), 0);
	assert_int_equal(f->progress.losses.total, 0);
	assert_true(f->result.created > 5);
	assert_int_equal(f->told[RESTORE_CREATE], f->result.created);
	assert_int_equal(f->result.skipped + f->result.replaced + f->result.same, 0);
	assert_true(f->result.verified > 3);
	assert_true(f->result.bytes > 100000);
	assert_int_equal(atomic_load(&f->progress.files), atomic_load(&f->progress.files_total));
	test_compare(f->repo, f->snapshot, f->source, root, NULL, NULL, &compared);
	if (compared.wrong + compared.unreadable > 0)
		fail_msg("%s", compared.first);
	free(root);
}

static void
second_restore_finds_all_the_same(void **state)
{
	struct fixture *f = *state;
	uint64_t created;

	assert_int_equal(restore(f), 0);
	created = f->result.created;
	for (size_t rule = 0; rule < CONFLICT_RULE_COUNT; rule++) {
		f->options.conflict = (enum conflict_rule)rule;
		assert_int_equal(restore(f), 0);
		assert_int_equal(f->result.created, 0);
		assert_int_equal(f->result.side_copies, 0);
		assert_int_equal(f->result.same + f->result.replaced, created);
		assert_int_equal(f->result.bytes, 0);
	}
}

static void
dry_run_tells_the_same_and_makes_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned planned;

	f->options.each = count;
	f->options.arg = f;
	f->options.dry_run = true;
	f->options.verify = true;
	assert_int_equal(restore(f), 0);
	assert_false(is_there(f->target));
	planned = f->told[RESTORE_CREATE];
	assert_int_equal(f->result.created, planned);
	f->options.dry_run = false;
	assert_int_equal(restore(f), 0);
	assert_int_equal(f->result.created, planned);
}

static void
path_that_is_not_there_is_told_before_anything_is_made(void **state)
{
	struct fixture *f = *state;
	char *missing = test_path(f->source, "no-such-thing");
	const char *paths[] = { f->source, missing };

	f->options.paths = paths;
	f->options.path_count = 2;
	assert_int_equal(restore(f), -1);
	assert_int_equal(f->err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(f->err.message, missing));
	assert_false(is_there(f->target));
	free(missing);
}

static void
path_that_is_none_is_refused(void **state)
{
	static const char *const wrong[] = { "relative", "", "/bad\\x", "/nul\\x00" };
	struct fixture *f = *state;

	f->options.path_count = 1;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		f->options.paths = &wrong[i];
		assert_int_equal(restore(f), -1);
		assert_int_equal(f->err.code, ERROR_BAD_REQUEST);
		assert_false(is_there(f->target));
	}
	f->options.path_count = 0;
	f->options.target = "relative";
	assert_int_equal(restore(f), -1);
	assert_int_equal(f->err.code, ERROR_BAD_REQUEST);
}

static void
paths_within_others_and_twice_are_restored_once(void **state)
{
	struct fixture *f = *state;
	char *slashes = mem_printf("/%s//", f->source);
	char *other = test_path(f->folder, "other");
	const char *paths[] = { slashes, f->source, f->source };
	uint64_t all;

	assert_int_equal(restore(f), 0);
	all = f->result.created;
	assert_true(all > 0);
	f->options.target = other;
	f->options.paths = paths;
	f->options.path_count = ARRAY_LEN(paths);
	assert_int_equal(restore(f), 0);
	assert_int_equal(f->result.created, all);
	free(other);
	free(slashes);
}

static void
cancelled_restore_makes_no_file(void **state)
{
	struct fixture *f = *state;

	progress_cancel(&f->progress);
	assert_int_equal(restore(f), -1);
	assert_int_equal(f->err.code, ERROR_CANCELLED);
	assert_int_equal(f->result.bytes, 0);
}

static void
verify_finds_what_was_changed_after_it_was_written(void **state)
{
	struct fixture *f = *state;
	char *victim = test_path(f->target, "%s/large", f->source + 1);
	char *command = mem_printf("mkdir -p '%s%s'", f->target, f->source);

	/* The folder is there already, so each file is told when it has its own name. */
	assert_int_equal(system(command), 0);
	f->damage = victim;
	f->options.each = count;
	f->options.arg = f;
	f->options.verify = true;
	assert_int_equal(restore(f), 0);
	assert_int_equal(f->progress.losses.total, 1);
	assert_string_equal(f->progress.losses.list[0].path, victim);
	assert_string_equal(f->progress.losses.list[0].reason,
	    "what was read back differs from what is stored");
	free(victim);
	free(command);
}

static void
target_that_is_a_file_is_refused(void **state)
{
	struct fixture *f = *state;

	test_file_write(f->target, "x", 1);
	assert_int_equal(restore(f), -1);
	assert_int_equal(f->err.code, ERROR_CONFLICT);
}

static void
new_target_is_for_its_owner_only(void **state)
{
	struct fixture *f = *state;
	char *deep = test_path(f->target, "deep//");
	struct stat st;

	f->options.target = deep;
	assert_int_equal(restore(f), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	free(deep);
}

static void
disk_is_waited_for_unless_told_otherwise(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(restore(f), 0);
	assert_int_equal(sync_calls.count, 1);
	f->options.no_sync = true;
	assert_int_equal(restore(f), 0);
	assert_int_equal(sync_calls.count, 1);
	sync_calls.fails = true;
	f->options.no_sync = false;
	assert_int_equal(restore(f), -1);
	assert_int_equal(f->err.code, ERROR_IO);
	assert_non_null(strstr(f->err.message, "could not write the restored files to disk"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_and_actions_have_words),
		TEST(everything_is_restored_told_and_counted),
		TEST(second_restore_finds_all_the_same),
		TEST(dry_run_tells_the_same_and_makes_nothing),
		TEST(path_that_is_not_there_is_told_before_anything_is_made),
		TEST(path_that_is_none_is_refused),
		TEST(paths_within_others_and_twice_are_restored_once),
		TEST(cancelled_restore_makes_no_file),
		TEST(verify_finds_what_was_changed_after_it_was_written),
		TEST(target_that_is_a_file_is_refused),
		TEST(new_target_is_for_its_owner_only),
		TEST(disk_is_waited_for_unless_told_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
