/*
 * A recall beside a prune that removes what is recalled, each in a process of its own: the
 * snapshot comes back whole, or the recall says that it is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/repository/check.h"
#include "agent/repository/prune.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"

#define ROUNDS 16
/* Between the starts of the two: about what such a prune takes, in steps. */
#define STEP_NS 6000000L

enum { RECALLED = 0, GONE = 1, WRONG = 2 };

static int
recall(const struct backup_fixture *f, const char *id)
{
	char back[SNAPSHOT_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(f->repository, NULL, &err);

	if (repo == NULL)
		return WRONG;
	if (snapshot_recall(repo, id, back, &err) == 0)
		return strcmp(back, id) == 0 ? RECALLED : WRONG;
	/* Its data went first, or its place in the trash. */
	if (err.code == ERROR_CONFLICT || err.code == ERROR_NOT_FOUND)
		return GONE;
	fprintf(stderr, "recall: %s\n", err.message);
	return WRONG;
}

static int
prune(const struct backup_fixture *f)
{
	const struct prune_options options = { .grace_s = 0 };
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(f->repository, NULL, &err);
	struct prune_result result;
	struct progress progress;

	progress_init(&progress);
	if (repo != NULL && prune_run(repo, &options, &progress, &result, &err) == 0)
		return 0;
	fprintf(stderr, "prune: %s\n", err.message);
	return WRONG;
}

/* In a process of its own, after a while; id: what is recalled, NULL: a prune. */
static pid_t
begin(const struct backup_fixture *f, const char *id, long delay_ns)
{
	const struct timespec delay = { 0, delay_ns };
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	nanosleep(&delay, NULL);
	_exit(id != NULL ? recall(f, id) : prune(f));
}

static int
end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
assert_sound(const struct backup_fixture *f)
{
	struct check_options options = { .read_data = true };
	struct check_result result;
	struct progress progress;
	struct error err = ERROR_INIT;

	progress_init(&progress);
	assert_int_equal(check_run(f->repo, &options, &progress, &result, &err), 0);
	if (result.errors > 0)
		fail_msg("%s", json_dumps(result.damage, 0));
	check_result_done(&result);
	progress_done(&progress);
}

/* Whether it came back; whole, then. */
static bool
one_round(struct backup_fixture *f, unsigned round)
{
	/* First the recall is later and later, then the prune. */
	long step = STEP_NS * (long)(round % (ROUNDS / 2));
	struct backup_made first, second;
	struct snapshot *found = NULL;
	struct error err = ERROR_INIT;
	char text[60];
	pid_t recaller, pruner;
	int outcome;

	snprintf(text, sizeof(text), "what only the first of round %u has", round);
	backup_put(f, "data", text);
	backup_make_well(f, NULL, &first);
	backup_put(f, "data", "what all others have");
	backup_make_well(f, NULL, &second);
	assert_int_equal(snapshot_remove(f->repo, first.snapshot->id, &err), 0);
	repository_close(f->repo);
	f->repo = NULL;
	recaller = begin(f, first.snapshot->id, round < ROUNDS / 2 ? step : 0);
	pruner = begin(f, NULL, round < ROUNDS / 2 ? 0 : step);
	outcome = end(recaller);
	assert_int_equal(end(pruner), 0);
	f->repo = test_repository_open(f->repository, NULL, &err);
	assert_non_null(f->repo);
	assert_in_range(outcome, RECALLED, GONE);
	if (outcome == RECALLED) {
		assert_int_equal(snapshot_find(f->repo, first.snapshot->id, &found, &err), 0);
		backup_assert_text(f, &first, "data", text);
		snapshot_free(found);
	} else {
		assert_int_equal(snapshot_find(f->repo, first.snapshot->id, &found, &err), -1);
		assert_int_equal(err.code, ERROR_NOT_FOUND);
	}
	backup_assert_text(f, &second, "data", "what all others have");
	assert_sound(f);
	if (outcome == RECALLED)
		assert_int_equal(snapshot_remove(f->repo, first.snapshot->id, &err), 0);
	backup_made_done(&first);
	backup_made_done(&second);
	return outcome == RECALLED;
}

static void
a_recall_beside_a_prune_gives_all_or_says_that_it_is_gone(void **state)
{
	struct backup_fixture *f = *state;
	unsigned recalled = 0;

	for (unsigned round = 0; round < ROUNDS; round++)
		recalled += one_round(f, round);
	printf("%d rounds: recalled %u, gone %u\n", ROUNDS, recalled, ROUNDS - recalled);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_recall_beside_a_prune_gives_all_or_says_that_it_is_gone, backup_fixture_setup,
		    backup_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
