/*
 * A repository when the process dies, the disk fails or is full, the clock was wrong, or others
 * are at work: at every operation on the storage in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/repository/check.h"
#include "agent/repository/prune.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

/* More operations than any of the actions takes; ends a loop that would not. */
#define OPERATIONS_MAX 2000

/* Made once for all tests; each works on copies. */
struct fixture {
	char *folder;
	char *source;  /* as it is now */
	char *before;  /* as it was at the first backup */
	char *one;     /* a repository with one snapshot, of `before` */
	char *two;     /* with a second one, of `source` */
	char *work;    /* where the copy of the present case lies */
	char other_passphrase[PASSPHRASE_MADE_SIZE]; /* a made one: cheap to open by */
};

static void
backup_or_fail(const char *repository, const char *source)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(repository, NULL, &err);
	struct snapshot *snapshot = NULL;

	if (repo == NULL || test_backup(repo, source, &snapshot, &err) != 0)
		fail_msg("backup: %s", err.message);
	assert_false(snapshot->warn);
	snapshot_free(snapshot);
	repository_close(repo);
}

static int
group_setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->folder = test_folder_new_in_memory();
	f->source = test_path(f->folder, "source");
	f->before = test_path(f->folder, "before");
	f->one = test_path(f->folder, "one");
	f->two = test_path(f->folder, "two");
	f->work = test_path(f->folder, "work");
	if (mkdir(f->source, 0755) != 0)
		return -1;
	assert_string_not_equal(test_passphrase(), "");
	passphrase_make(f->other_passphrase);
	test_source_make(f->source);
	test_folder_copy(f->source, f->before);
	test_repository_make(f->one);
	backup_or_fail(f->one, f->source);
	test_source_change(f->source);
	test_folder_copy(f->one, f->two);
	backup_or_fail(f->two, f->source);
	*state = f;
	return 0;
}

static int
group_teardown(void **state)
{
	struct fixture *f = *state;

	test_folder_remove(f->folder);
	free(f->source);
	free(f->before);
	free(f->one);
	free(f->two);
	free(f->work);
	free(f);
	return 0;
}

/* A copy of a repository that the case may spoil, or nothing at all. */
static void
begin_case(const struct fixture *f, const char *repository)
{
	/* A case that failed may have left one. */
	if (access(f->work, F_OK) == 0)
		test_folder_remove(mem_strdup(f->work));
	if (repository != NULL)
		test_folder_copy(repository, f->work);
}

static void
end_case(const struct fixture *f)
{
	test_folder_remove(mem_strdup(f->work));
}

static void
tell_bad(void *arg, const char *id, const struct error *why)
{
	fail_msg("%s: snapshot %s: %s", (const char *)arg, id, why->message);
}

static void
assert_check_is_clean(struct repository *repo, const char *what)
{
	struct check_options options = { .read_data = true, .threads = 2 };
	struct check_result result = { 0 };
	struct progress progress;
	struct error err = ERROR_INIT;

	progress_init(&progress);
	if (check_run(repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s: check: %s", what, err.message);
	if (result.errors != 0)
		fail_msg("%s: check found %llu errors: %s", what, (unsigned long long)result.errors,
		    json_dumps(result.damage, 0));
	check_result_done(&result);
	progress_done(&progress);
}

static bool
is_state(const struct fixture *f, struct repository *repo, const struct snapshot *snapshot,
    const char *folder, struct test_compared *compared)
{
	test_compare(repo, snapshot, f->source, folder, NULL, NULL, compared);
	return compared->unreadable + compared->wrong == 0;
}

/*
 * Every snapshot is one of the two states of the source, whole, and check finds nothing.
 * Returns how many there are.
 */
static size_t
assert_sound(const struct fixture *f, const char *passphrase, const char *what)
{
	struct error err = ERROR_INIT;
	struct snapshot **list;
	struct storage *storage;
	struct repository *repo = NULL;
	size_t count;

	if (storage_open(f->work, false, &storage, &err) != 0 ||
	    repository_open(storage, passphrase, &repo, &err) != 0)
		fail_msg("%s: %s", what, err.message);
	if (snapshot_list(repo, &list, &count, tell_bad, (void *)(uintptr_t)what, &err) != 0)
		fail_msg("%s: %s", what, err.message);
	for (size_t i = 0; i < count; i++) {
		struct test_compared now, then;

		if (!is_state(f, repo, list[i], f->source, &now) &&
		    !is_state(f, repo, list[i], f->before, &then))
			fail_msg("%s: snapshot %zu: %s; %s", what, i, now.first, then.first);
		snapshot_free(list[i]);
	}
	free(list);
	assert_check_is_clean(repo, what);
	repository_close(repo);
	return count;
}

/* And it takes a new backup, which is whole too. */
static void
assert_goes_on(const struct fixture *f, const char *what)
{
	size_t count = assert_sound(f, test_passphrase(), what);

	backup_or_fail(f->work, f->source);
	assert_int_equal(assert_sound(f, test_passphrase(), what), count + 1);
}

/* What is tried: something that a repository at `path` goes through. */
typedef int action_fn(const struct fixture *f, const char *path, struct fault_control *control,
    struct error *err);

static int
act_backup(const struct fixture *f, const char *path, struct fault_control *control,
    struct error *err)
{
	struct repository *repo = test_repository_open(path, control, err);
	struct snapshot *snapshot = NULL;
	int rc;

	if (repo == NULL)
		return -1;
	rc = test_backup(repo, f->source, &snapshot, err);
	snapshot_free(snapshot);
	repository_close(repo);
	return rc;
}

static int
prune_once(struct repository *repo, struct error *err)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0,
		.rewrite_percent = 1 };
	struct prune_result result = { 0 };
	struct progress progress;
	int rc;

	progress_init(&progress);
	rc = prune_run(repo, &options, &progress, &result, err);
	prune_result_done(&result);
	progress_done(&progress);
	return rc;
}

/* Twice: the first marks, the second removes. */
static int
act_prune(const struct fixture *f, const char *path, struct fault_control *control,
    struct error *err)
{
	struct repository *repo = test_repository_open(path, control, err);
	int rc;

	(void)f;
	if (repo == NULL)
		return -1;
	rc = prune_once(repo, err);
	if (rc == 0)
		rc = prune_once(repo, err);
	repository_close(repo);
	return rc;
}

static int
act_change_passphrase(const struct fixture *f, const char *path, struct fault_control *control,
    struct error *err)
{
	struct repository *repo = test_repository_open(path, control, err);
	int rc;

	if (repo == NULL)
		return -1;
	rc = repository_change_passphrase(repo, f->other_passphrase, err);
	repository_close(repo);
	return rc;
}

static int
act_init(const struct fixture *f, const char *path, struct fault_control *control,
    struct error *err)
{
	struct storage *storage;
	int rc;

	(void)f;
	if (storage_open(path, true, &storage, err) != 0)
		return -1;
	storage = fault_storage_new(storage, control);
	rc = repository_init(storage, test_passphrase(), err);
	storage_close(storage);
	return rc;
}

/* In a process of its own.  Returns its exit status: FAULT_EXIT if it was killed as planned. */
static int
run_and_die(const struct fixture *f, action_fn *act, const struct fault_plan *plan)
{
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct fault_control control;
		struct error err = ERROR_INIT;
		int rc;

		fault_control_init(&control);
		fault_control_plan(&control, plan);
		rc = act(f, f->work, &control, &err);
		if (rc != 0)
			fprintf(stderr, "%s\n", err.message);
		_exit(rc == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* As a power cut may: what was not synced has no bytes. */
static void
empty_unfinished(const struct fixture *f)
{
	char *command = mem_printf("test ! -d '%s/tmp' || find '%s/tmp' -type f -exec truncate "
	    "-s 0 {} +", f->work, f->work);

	assert_int_equal(system(command), 0);
	free(command);
}

/* Kill the action at each of its operations in turn; after() looks at what is left. */
static void
die_everywhere(const struct fixture *f, const char *name, const char *repository,
    action_fn *act, void (*after)(const struct fixture *f, const char *what))
{
	unsigned cases = 0;

	for (unsigned variant = 0; variant < 3; variant++) {
		struct fault_plan plan = { .kind = FAULT_DIE, .exit = true,
			.after = variant == 1 };

		for (plan.at = 1; plan.at < OPERATIONS_MAX; plan.at++, cases++) {
			char *what = mem_printf("%s killed %s operation %u", name,
			    plan.after ? "after" : "at", plan.at);
			int status;

			begin_case(f, repository);
			status = run_and_die(f, act, &plan);
			if (status != FAULT_EXIT && status != 0)
				fail_msg("%s: exit status %d", what, status);
			if (variant == 2)
				empty_unfinished(f);
			after(f, what);
			end_case(f);
			free(what);
			if (status == 0)
				break;
		}
		assert_in_range(plan.at, 3, OPERATIONS_MAX - 1);
	}
	print_message("# %s: %u deaths\n", name, cases);
}

/* Make each operation of the action fail in turn. */
static void
fail_everywhere(const struct fixture *f, const char *name, const char *repository,
    action_fn *act, void (*after)(const struct fixture *f, const char *what))
{
	static const struct fault_plan plans[] = {
		{ .kind = FAULT_ERROR, .sys = ENOSPC },
		{ .kind = FAULT_ERROR, .sys = ENOSPC, .stays = true },
		{ .kind = FAULT_ERROR, .sys = EIO },
		{ .kind = FAULT_ERROR, .sys = EIO, .after = true },
		{ .kind = FAULT_TEAR, .sys = ENOSPC },
	};
	unsigned cases = 0;

	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct fault_plan plan = plans[i];
		struct fault_control control;
		bool happened = true;

		fault_control_init(&control);
		for (plan.at = 1; happened && plan.at < OPERATIONS_MAX; plan.at++, cases++) {
			struct error err = ERROR_INIT;
			char *what, *tmp;
			int rc;

			begin_case(f, repository);
			fault_control_plan(&control, &plan);
			rc = act(f, f->work, &control, &err);
			happened = control.happened;
			what = mem_printf("%s with plan %zu at operation %u: %d %s", name, i,
			    plan.at, rc, err.message);
			if (rc != 0 && (!happened ||
			    err.code != (plan.sys == ENOSPC ? ERROR_NO_SPACE : ERROR_IO)))
				fail_msg("%s", what);
			/* What failed left nothing behind. */
			tmp = test_path(f->work, "tmp");
			if (test_folder_count(tmp) != 0)
				fail_msg("%s: a file is left in tmp", what);
			free(tmp);
			after(f, what);
			end_case(f);
			free(what);
		}
		assert_in_range(plan.at, 3, OPERATIONS_MAX - 1);
		fault_control_done(&control);
	}
	print_message("# %s: %u failures\n", name, cases);
}

/* Nothing that the dead one held keeps others waiting. */
static void
goes_on_and_prunes(const struct fixture *f, const char *what)
{
	struct error err = ERROR_INIT;

	assert_goes_on(f, what);
	if (act_prune(f, f->work, NULL, &err) != 0)
		fail_msg("%s: prune: %s", what, err.message);
	assert_int_equal(assert_sound(f, test_passphrase(), what), 1);
}

static void
a_backup_that_is_killed_anywhere_leaves_a_sound_repository(void **state)
{
	const struct fixture *f = *state;

	die_everywhere(f, "backup", f->one, act_backup, goes_on_and_prunes);
}

static void
a_first_backup_that_is_killed_anywhere_leaves_a_sound_repository(void **state)
{
	const struct fixture *f = *state;
	char *empty = test_path(f->folder, "empty");

	test_repository_make(empty);
	die_everywhere(f, "first backup", empty, act_backup, assert_goes_on);
	test_folder_remove(empty);
}

static void
a_backup_whose_storage_fails_anywhere_leaves_a_sound_repository(void **state)
{
	const struct fixture *f = *state;

	fail_everywhere(f, "backup", f->one, act_backup, assert_goes_on);
}

static void
a_prune_that_is_killed_anywhere_leaves_a_sound_repository(void **state)
{
	const struct fixture *f = *state;

	die_everywhere(f, "prune", f->two, act_prune, goes_on_and_prunes);
}

static void
a_prune_whose_storage_fails_anywhere_leaves_a_sound_repository(void **state)
{
	const struct fixture *f = *state;

	fail_everywhere(f, "prune", f->two, act_prune, goes_on_and_prunes);
}

/* Whether this passphrase opens the repository at f->work. */
static bool
opens(const struct fixture *f, const char *passphrase)
{
	struct error err = ERROR_INIT;
	struct storage *storage;
	struct repository *repo;

	assert_int_equal(storage_open(f->work, false, &storage, &err), 0);
	if (repository_open(storage, passphrase, &repo, &err) == 0) {
		repository_close(repo);
		return true;
	}
	storage_close(storage);
	return false;
}

static void
one_of_two_passphrases_opens(const struct fixture *f, const char *what)
{
	bool old = opens(f, test_passphrase()), changed = opens(f, f->other_passphrase);

	if (!old && !changed)
		fail_msg("%s: neither passphrase opens the repository", what);
	assert_int_equal(assert_sound(f, old ? test_passphrase() : f->other_passphrase, what), 2);
}

static void
a_change_of_passphrase_that_is_killed_anywhere_locks_nobody_out(void **state)
{
	const struct fixture *f = *state;

	die_everywhere(f, "key change", f->two, act_change_passphrase,
	    one_of_two_passphrases_opens);
}

static void
a_change_of_passphrase_whose_storage_fails_anywhere_locks_nobody_out(void **state)
{
	const struct fixture *f = *state;

	fail_everywhere(f, "key change", f->two, act_change_passphrase,
	    one_of_two_passphrases_opens);
}

static void
can_be_used_or_made_again(const struct fixture *f, const char *what)
{
	struct error err = ERROR_INIT;
	struct storage *storage;
	int there;

	assert_int_equal(storage_open(f->work, true, &storage, &err), 0);
	there = repository_exists(storage, &err);
	if (there < 0 || (there == 0 && repository_init(storage, test_passphrase(), &err) != 0))
		fail_msg("%s: %s", what, err.message);
	storage_close(storage);
	assert_goes_on(f, what);
}

static void
an_init_that_is_killed_anywhere_can_be_done_again(void **state)
{
	die_everywhere(*state, "init", NULL, act_init, can_be_used_or_made_again);
}

/* As a prune leaves them that is cut off between writing the one and removing the other. */
static void
a_pack_that_two_index_files_name_is_one_pack(void **state)
{
	const struct fixture *f = *state;
	struct pack_directory *packs[16];
	struct object_names names;
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct object_id id;
	size_t count = 0;

	begin_case(f, f->two);
	repo = test_repository_open(f->work, NULL, &err);
	assert_non_null(repo);
	assert_int_equal(object_names_read(repo->storage, "packs", &names, &err), 0);
	assert_in_range(names.count, 2, ARRAY_LEN(packs));
	for (; count < names.count; count++) {
		assert_int_equal(pack_name_parse(names.list[count], &id), 0);
		assert_int_equal(pack_read_directory(repo->storage, repo->keys, &id,
		    &packs[count], &err), 0);
	}
	assert_int_equal(index_write(repo->storage, repo->keys, packs, count, &id, &err), 0);
	while (count > 0)
		pack_directory_free(packs[--count]);
	object_names_done(&names);
	repository_close(repo);

	/* At once: a backup would merge the index files. */
	if (act_prune(f, f->work, NULL, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(assert_sound(f, test_passphrase(), "two index files"), 1);
	assert_goes_on(f, "two index files");
	end_case(f);
}

static void
what_a_dead_writer_left_behind_is_swept_by_a_later_one(void **state)
{
	const struct fixture *f = *state;
	const struct fault_plan plan = { .kind = FAULT_DIE, .exit = true, .at = 6 };
	char *tmp = test_path(f->work, "tmp"), *command;
	struct error err = ERROR_INIT;

	begin_case(f, f->one);
	assert_int_equal(run_and_die(f, act_backup, &plan), FAULT_EXIT);
	assert_true(test_folder_count(tmp) > 0);
	/* Not at once: another host's writer may be at it. */
	assert_int_equal(act_backup(f, f->work, NULL, &err), 0);
	assert_true(test_folder_count(tmp) > 0);
	command = mem_printf("touch -d '2 hours ago' '%s'/*", tmp);
	assert_int_equal(system(command), 0);
	assert_int_equal(act_backup(f, f->work, NULL, &err), 0);
	assert_int_equal(test_folder_count(tmp), 0);
	free(command);
	free(tmp);
	end_case(f);
}

#define WRITERS 4

static void
writers_at_once_each_store_a_whole_snapshot(void **state)
{
	const struct fixture *f = *state;
	struct fault_plan none = { .kind = FAULT_NONE };
	pid_t children[WRITERS];
	int status;

	begin_case(f, f->one);
	fflush(NULL);
	for (unsigned i = 0; i < WRITERS; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			struct fault_control control;
			struct error err = ERROR_INIT;

			fault_control_init(&control);
			fault_control_plan(&control, &none);
			_exit(act_backup(f, f->work, &control, &err) == 0 ? 0 : 1);
		}
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	assert_int_equal(assert_sound(f, test_passphrase(), "four writers"), 1 + WRITERS);
	end_case(f);
}

/* While the writer stands still just before an operation on what begins with `at`, its claim is
 * taken for dead and everything without use is removed. */
struct standstill {
	const struct fixture *f;
	const char *at;
	enum fault_operation operation;
	bool done;
};

static void
stand_still(void *arg, enum fault_operation operation, const char *name)
{
	struct standstill *still = arg;
	struct error err = ERROR_INIT;
	char *command;

	if (still->done || operation != still->operation ||
	    strncmp(name, still->at, strlen(still->at)) != 0)
		return;
	still->done = true;
	command = mem_printf("rm -f '%s'/claims/*", still->f->work);
	assert_int_equal(system(command), 0);
	free(command);
	if (act_prune(still->f, still->f->work, NULL, &err) != 0)
		fail_msg("prune beside a writer that stands still: %s", err.message);
}

static void
try_standstill(const struct fixture *f, const char *at, enum fault_operation operation)
{
	struct standstill still = { f, at, operation, false };
	struct fault_control control;
	struct error err = ERROR_INIT;
	int rc;

	begin_case(f, f->two);
	fault_control_init(&control);
	control.before = stand_still;
	control.arg = &still;
	rc = act_backup(f, f->work, &control, &err);
	assert_true(still.done);
	if (rc != 0)
		assert_int_equal(err.code, ERROR_CLAIM_LOST);
	assert_sound(f, test_passphrase(), at);
	assert_int_equal(rc, -1);
	fault_control_done(&control);
	end_case(f);
}

static void
a_writer_that_lost_its_claim_publishes_nothing(void **state)
{
	try_standstill(*state, "packs/", FAULT_BEGIN);
	try_standstill(*state, "packs/", FAULT_COMMIT);
	try_standstill(*state, "index/", FAULT_BEGIN);
	try_standstill(*state, "index/", FAULT_COMMIT);
	try_standstill(*state, "snapshots/", FAULT_BEGIN);
	try_standstill(*state, "snapshots/", FAULT_COMMIT);
}

/* A snapshot as a writer with a wrong clock would have published it. */
static void
publish_at(struct repository *repo, long clock_error_s, char ret_id[SNAPSHOT_ID_TEXT_SIZE])
{
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(snapshot_find(repo, "latest", &snapshot, &err), 0);
	snapshot->time.tv_sec += clock_error_s;
	snapshot->finished.tv_sec += clock_error_s;
	if (snapshot_publish(repo, snapshot, &err) != 0)
		fail_msg("%s", err.message);
	strcpy(ret_id, snapshot->id);
	snapshot_free(snapshot);
}

static void
a_wrong_clock_does_not_change_the_order_of_snapshots(void **state)
{
	static const long errors_s[] = { 10L * 365 * 86400, -20L * 365 * 86400, 3600, 0 };
	const struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct repository *repo;

	begin_case(f, f->two);
	repo = test_repository_open(f->work, NULL, &err);
	assert_non_null(repo);
	for (size_t i = 0; i < ARRAY_LEN(errors_s); i++) {
		char wrong[SNAPSHOT_ID_TEXT_SIZE];
		struct snapshot *made = NULL, *latest = NULL;

		publish_at(repo, errors_s[i], wrong);
		assert_int_equal(test_backup(repo, f->source, &made, &err), 0);
		assert_int_equal(snapshot_find(repo, "latest", &latest, &err), 0);
		assert_string_equal(latest->id, made->id);
		assert_int_equal(latest->sequence, 4 + 2 * i);
		/* Compared with the one before it, whatever time that claims. */
		assert_non_null(made->parent);
		assert_string_equal(made->parent, wrong);
		assert_true(made->unmodified_files > 0);
		snapshot_free(made);
		snapshot_free(latest);
	}
	repository_close(repo);
	assert_int_equal(assert_sound(f, test_passphrase(), "clock"), 2 + 2 * ARRAY_LEN(errors_s));
	end_case(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backup_that_is_killed_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_first_backup_that_is_killed_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_backup_whose_storage_fails_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_prune_that_is_killed_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_prune_whose_storage_fails_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_change_of_passphrase_that_is_killed_anywhere_locks_nobody_out),
		cmocka_unit_test(
		    a_change_of_passphrase_whose_storage_fails_anywhere_locks_nobody_out),
		cmocka_unit_test(an_init_that_is_killed_anywhere_can_be_done_again),
		cmocka_unit_test(a_pack_that_two_index_files_name_is_one_pack),
		cmocka_unit_test(what_a_dead_writer_left_behind_is_swept_by_a_later_one),
		cmocka_unit_test(writers_at_once_each_store_a_whole_snapshot),
		cmocka_unit_test(a_writer_that_lost_its_claim_publishes_nothing),
		cmocka_unit_test(a_wrong_clock_does_not_change_the_order_of_snapshots),
	};

	return cmocka_run_group_tests_name("faults", tests, group_setup, group_teardown);
}
