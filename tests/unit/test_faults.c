/*
 * A repository when the process dies, the disk fails or is full, the clock was wrong, or others
 * are at work.  The many cases of backup, prune and join are programs of their own, so that they
 * run side by side: test_faults_backup.c, test_faults_prune.c, test_faults_join.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/files/backup.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "tests/lib/fault_cases.h"

static void
a_repair_of_the_index_that_is_cut_off_anywhere_can_be_done_again(void **state)
{
	const struct trial *t = *state;

	fault_everywhere(t, "repair index", t->two, trial_act_repair_index,
	    trial_assert_goes_on_and_prunes);
}

static void
a_repair_of_snapshots_that_is_cut_off_anywhere_can_be_done_again(void **state)
{
	const struct trial *t = *state;
	char *lossy = trial_prepare(t, t->two, trial_lose_data);

	fault_everywhere(t, "repair snapshots", lossy, trial_act_repair_snapshots,
	    trial_assert_can_be_repaired);
	test_folder_remove(lossy);
}

static void
a_merge_of_index_files_that_is_cut_off_anywhere_loses_nothing(void **state)
{
	const struct trial *t = *state;
	char *many = trial_prepare(t, t->two, trial_many_index_files);

	fault_everywhere(t, "index merge", many, trial_act_merge,
	    trial_assert_goes_on_and_prunes);
	test_folder_remove(many);
}

static void
a_pin_that_is_cut_off_anywhere_is_there_or_not(void **state)
{
	const struct trial *t = *state;

	fault_everywhere(t, "pin", t->two, trial_act_pin, trial_assert_goes_on);
}

/* Two snapshots, or one of them in the trash; it can be brought back from there. */
static void
none_is_lost(const struct trial *t, const char *what)
{
	struct error err = ERROR_INIT;

	trial_assert_sound(t, test_passphrase(), what);
	if (trial_act_recall(t, NULL, &err) != 0)
		fail_msg("%s: recall: %s", what, err.message);
	assert_int_equal(trial_assert_sound(t, test_passphrase(), what), 2);
	trial_assert_goes_on_and_prunes(t, what);
}

static void
forgetting_and_recalling_that_are_cut_off_anywhere_lose_nothing(void **state)
{
	const struct trial *t = *state;
	char *forgotten = trial_prepare(t, t->two, trial_forget_one);

	fault_everywhere(t, "forget", t->two, trial_act_forget, none_is_lost);
	fault_everywhere(t, "recall", forgotten, trial_act_recall, none_is_lost);
	test_folder_remove(forgotten);
}

/* As a prune leaves them that is cut off between writing the one and removing the other. */
static void
a_pack_that_two_index_files_name_is_one_pack(void **state)
{
	const struct trial *t = *state;
	struct pack_directory *packs[16];
	struct object_names names;
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct object_id id;
	size_t count = 0;

	trial_begin(t, t->two);
	repo = test_repository_open(t->work, NULL, &err);
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
	if (trial_act_prune(t, NULL, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(trial_assert_sound(t, test_passphrase(), "two index files"), 1);
	trial_assert_goes_on(t, "two index files");
	trial_end(t);
}

static void
what_a_dead_writer_left_behind_is_swept_by_a_later_one(void **state)
{
	const struct trial *t = *state;
	const struct fault_plan plan = { .kind = FAULT_DIE, .exit = true, .at = 6 };
	char *tmp = test_path(t->work, "tmp"), *command;
	struct error err = ERROR_INIT;

	trial_begin(t, t->one);
	assert_int_equal(fault_run_and_die(t, trial_act_backup, &plan), FAULT_EXIT);
	assert_true(test_folder_count(tmp) > 0);
	/* Not at once: another host's writer may be at it. */
	assert_int_equal(trial_act_backup(t, NULL, &err), 0);
	assert_true(test_folder_count(tmp) > 0);
	command = mem_printf("touch -d '2 hours ago' '%s'/*", tmp);
	assert_int_equal(system(command), 0);
	assert_int_equal(trial_act_backup(t, NULL, &err), 0);
	assert_int_equal(test_folder_count(tmp), 0);
	free(command);
	free(tmp);
	trial_end(t);
}

#define WRITERS 4

static void
writers_at_once_each_store_a_whole_snapshot(void **state)
{
	const struct trial *t = *state;
	struct fault_plan none = { .kind = FAULT_NONE };
	pid_t children[WRITERS];
	int status;

	trial_begin(t, t->one);
	fflush(NULL);
	for (unsigned i = 0; i < WRITERS; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			struct fault_control control;
			struct error err = ERROR_INIT;

			fault_control_init(&control);
			fault_control_plan(&control, &none);
			_exit(trial_act_backup(t, &control, &err) == 0 ? 0 : 1);
		}
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	assert_int_equal(trial_assert_sound(t, test_passphrase(), "four writers"), 1 + WRITERS);
	trial_end(t);
}

#define ROUNDS 8

static pid_t
start(const struct trial *t, trial_fn *act)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		struct error err = ERROR_INIT;
		int rc = act(t, NULL, &err);

		/* Of two prunes one may have to leave the work to the other. */
		if (rc != 0 && act == trial_act_prune &&
		    (err.code == ERROR_CLAIMED || err.code == ERROR_NOT_FOUND))
			rc = 0;
		if (rc != 0)
			fprintf(stderr, "%s\n", err.message);
		_exit(rc == 0 ? 0 : 1);
	}
	return child;
}

static void
backups_and_prunes_at_once_harm_nothing(void **state)
{
	const struct trial *t = *state;
	unsigned processes = 0;

	trial_begin(t, t->two);
	for (unsigned round = 0; round < ROUNDS; round++) {
		pid_t children[] = { start(t, trial_act_backup), start(t, trial_act_prune),
			start(t, trial_act_prune), start(t, trial_act_backup) };
		int status;

		for (size_t i = 0; i < ARRAY_LEN(children); i++, processes++) {
			assert_int_equal(waitpid(children[i], &status, 0), children[i]);
			assert_int_equal(status, 0);
		}
		assert_true(trial_assert_sound(t, test_passphrase(), "at once") >= 1);
		trial_assert_latest(t, "at once");
	}
	print_message("# %u processes, two backups and two prunes at once\n", processes);
	trial_end(t);
}

/* While the writer stands still just before an operation on what begins with `at`, its claim is
 * taken for dead and everything without use is removed. */
struct standstill {
	const struct trial *t;
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
	command = mem_printf("rm -f '%s'/claims/*", still->t->work);
	assert_int_equal(system(command), 0);
	free(command);
	if (trial_act_prune(still->t, NULL, &err) != 0)
		fail_msg("prune beside a writer that stands still: %s", err.message);
}

static void
try_standstill(const struct trial *t, const char *at, enum fault_operation operation)
{
	struct standstill still = { t, at, operation, false };
	struct fault_control control;
	struct error err = ERROR_INIT;
	int rc;

	trial_begin(t, t->two);
	fault_control_init(&control);
	control.before = stand_still;
	control.arg = &still;
	rc = trial_act_backup(t, &control, &err);
	assert_true(still.done);
	if (rc != 0)
		assert_int_equal(err.code, ERROR_CLAIM_LOST);
	trial_assert_sound(t, test_passphrase(), at);
	assert_int_equal(rc, -1);
	fault_control_done(&control);
	trial_end(t);
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

/* Whoever cancels a backup finds no snapshot of it, unless it was published already. */
struct cancelling {
	struct progress progress;
	const char *at;
	enum fault_operation operation;
	bool done;
};

static void
cancel_there(void *arg, enum fault_operation operation, const char *name)
{
	struct cancelling *cancelling = arg;

	if (cancelling->done || operation != cancelling->operation ||
	    strncmp(name, cancelling->at, strlen(cancelling->at)) != 0)
		return;
	cancelling->done = true;
	progress_cancel(&cancelling->progress);
}

static void
try_cancel(const struct trial *t, const char *at, enum fault_operation operation)
{
	const char *source = t->source;
	struct backup_options options = { .paths = &source, .path_count = 1, .threads = 2,
		.host = "test" };
	struct cancelling cancelling = { .at = at, .operation = operation };
	struct snapshot *snapshot = NULL;
	struct fault_control control;
	struct error err = ERROR_INIT;
	struct repository *repo;

	trial_begin(t, t->one);
	progress_init(&cancelling.progress);
	fault_control_init(&control);
	control.before = cancel_there;
	control.arg = &cancelling;
	repo = test_repository_open(t->work, &control, &err);
	assert_non_null(repo);
	if (files_backup(repo, &options, &cancelling.progress, &snapshot, &err) == 0)
		fail_msg("cancelled at '%s', and published", at);
	assert_int_equal(err.code, ERROR_CANCELLED);
	assert_true(cancelling.done);
	repository_close(repo);
	fault_control_done(&control);
	progress_done(&cancelling.progress);
	assert_int_equal(trial_assert_sound(t, test_passphrase(), at), 1);
	trial_assert_goes_on(t, at);
	trial_end(t);
}

static void
a_backup_that_is_cancelled_after_its_walk_publishes_nothing(void **state)
{
	try_cancel(*state, "claims/", FAULT_BEGIN);
	try_cancel(*state, "packs/", FAULT_BEGIN);
	try_cancel(*state, "packs/", FAULT_COMMIT);
	try_cancel(*state, "index/", FAULT_BEGIN);
	try_cancel(*state, "index/", FAULT_COMMIT);
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
	const struct trial *t = *state;
	struct error err = ERROR_INIT;
	struct repository *repo;

	trial_begin(t, t->two);
	repo = test_repository_open(t->work, NULL, &err);
	assert_non_null(repo);
	for (size_t i = 0; i < ARRAY_LEN(errors_s); i++) {
		char wrong[SNAPSHOT_ID_TEXT_SIZE];
		struct snapshot *made = NULL, *latest = NULL;

		publish_at(repo, errors_s[i], wrong);
		assert_int_equal(test_backup(repo, t->source, &made, &err), 0);
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
	assert_int_equal(trial_assert_sound(t, test_passphrase(), "clock"), 2 + 2 * ARRAY_LEN(errors_s));
	trial_end(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pack_that_two_index_files_name_is_one_pack),
		cmocka_unit_test(what_a_dead_writer_left_behind_is_swept_by_a_later_one),
		cmocka_unit_test(writers_at_once_each_store_a_whole_snapshot),
		cmocka_unit_test(a_writer_that_lost_its_claim_publishes_nothing),
		cmocka_unit_test(a_backup_that_is_cancelled_after_its_walk_publishes_nothing),
		cmocka_unit_test(a_wrong_clock_does_not_change_the_order_of_snapshots),
	};
	const struct CMUnitTest small_tests[] = {
		cmocka_unit_test(a_repair_of_the_index_that_is_cut_off_anywhere_can_be_done_again),
		cmocka_unit_test(a_repair_of_snapshots_that_is_cut_off_anywhere_can_be_done_again),
		cmocka_unit_test(a_merge_of_index_files_that_is_cut_off_anywhere_loses_nothing),
		cmocka_unit_test(backups_and_prunes_at_once_harm_nothing),
		cmocka_unit_test(a_pin_that_is_cut_off_anywhere_is_there_or_not),
		cmocka_unit_test(forgetting_and_recalling_that_are_cut_off_anywhere_lose_nothing),
	};

	return cmocka_run_group_tests_name("faults", tests, trial_setup, trial_teardown) +
	    cmocka_run_group_tests_name("faults of a small repository", small_tests,
	    trial_setup_small, trial_teardown);
}
