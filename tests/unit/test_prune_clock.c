/* Prune while the clock jumps: nothing goes too early, nothing stays for ever, nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/check.h"
#include "agent/repository/prune.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"
#include "tests/lib/system_hooks.h"

#define DAY_S 86400L
#define TEN_YEARS_S (3652 * DAY_S)

struct two {
	struct backup_made first, second;
};

/* Two snapshots of different data; then the first is forgotten, by a clock so far ahead. */
static void
forget_first(const struct backup_fixture *f, struct two *two, long ahead_s)
{
	struct error err = ERROR_INIT;

	backup_put(f, "data", "what only the first one has");
	backup_make_well(f, NULL, &two->first);
	backup_put(f, "data", "what only the second one has, and it is longer");
	backup_make_well(f, NULL, &two->second);
	hook_clock_ahead(ahead_s);
	assert_int_equal(snapshot_remove(f->repo, two->first.snapshot->id, &err), 0);
}

static void
two_done(struct two *two)
{
	backup_made_done(&two->first);
	backup_made_done(&two->second);
}

/* With a day of grace, by a clock so far ahead; how many packs went. */
static uint64_t
prune_at(const struct backup_fixture *f, long ahead_s)
{
	const struct prune_options options = { .grace_s = DAY_S };
	struct prune_result result;
	struct progress progress;
	struct error err = ERROR_INIT;
	uint64_t removed;

	hook_clock_ahead(ahead_s);
	progress_init(&progress);
	if (prune_run(f->repo, &options, &progress, &result, &err) != 0)
		fail_msg("prune: %s", err.message);
	removed = result.packs_removed;
	prune_result_done(&result);
	progress_done(&progress);
	return removed;
}

static unsigned
count_in(const struct backup_fixture *f, const char *folder)
{
	char *path = test_path(f->repository, "%s", folder);
	unsigned count = test_folder_count(path);

	free(path);
	return count;
}

static void
assert_second_is_whole(const struct backup_fixture *f, struct two *two)
{
	struct check_options options = { .read_data = true };
	struct check_result result;
	struct progress progress;
	struct error err = ERROR_INIT;

	backup_assert_text(f, &two->second, "data",
	    "what only the second one has, and it is longer");
	progress_init(&progress);
	assert_int_equal(check_run(f->repo, &options, &progress, &result, &err), 0);
	assert_int_equal(result.errors, 0);
	assert_int_equal(result.snapshots, 1);
	check_result_done(&result);
	progress_done(&progress);
}

static void
what_was_forgotten_in_the_far_future_ends_after_a_grace_period(void **state)
{
	struct backup_fixture *f = *state;
	struct two two;

	forget_first(f, &two, TEN_YEARS_S);
	assert_int_equal(prune_at(f, 0), 0);
	assert_int_equal(count_in(f, "trash"), 1);
	assert_int_equal(prune_at(f, DAY_S - 60), 0);
	assert_int_equal(count_in(f, "trash"), 1);
	assert_int_equal(count_in(f, "marks"), 0);
	assert_int_equal(prune_at(f, DAY_S + 60), 0);
	assert_int_equal(count_in(f, "trash"), 0);
	assert_true(count_in(f, "marks") > 0);
	assert_true(prune_at(f, 2 * DAY_S + 120) > 0);
	assert_second_is_whole(f, &two);
	two_done(&two);
}

static void
what_was_marked_in_the_far_future_ends_after_a_grace_period(void **state)
{
	struct backup_fixture *f = *state;
	struct two two;

	forget_first(f, &two, TEN_YEARS_S);
	assert_int_equal(prune_at(f, TEN_YEARS_S + 2 * DAY_S), 0);
	assert_true(count_in(f, "marks") > 0);
	assert_int_equal(prune_at(f, 0), 0);
	assert_int_equal(prune_at(f, DAY_S - 60), 0);
	assert_true(prune_at(f, DAY_S + 60) > 0);
	assert_int_equal(count_in(f, "marks"), 0);
	assert_second_is_whole(f, &two);
	two_done(&two);
}

static void
a_clock_that_was_behind_for_a_while_makes_nothing_go_early(void **state)
{
	struct backup_fixture *f = *state;
	char id[SNAPSHOT_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct two two;

	forget_first(f, &two, 0);
	/* Met by the wrong clock; that must not count once it is right. */
	assert_int_equal(prune_at(f, -TEN_YEARS_S), 0);
	assert_int_equal(prune_at(f, DAY_S / 2), 0);
	assert_int_equal(count_in(f, "trash"), 1);
	assert_int_equal(snapshot_recall(f->repo, two.first.snapshot->id, id, &err), 0);
	backup_assert_text(f, &two.first, "data", "what only the first one has");
	/* The same of marks. */
	hook_clock_ahead(0);
	assert_int_equal(snapshot_remove(f->repo, id, &err), 0);
	assert_int_equal(prune_at(f, DAY_S + 60), 0);
	assert_true(count_in(f, "marks") > 0);
	assert_int_equal(prune_at(f, DAY_S + 60 - TEN_YEARS_S), 0);
	assert_int_equal(prune_at(f, DAY_S + DAY_S / 2), 0);
	assert_true(count_in(f, "marks") > 0);
	assert_true(prune_at(f, 2 * DAY_S + 120) > 0);
	assert_second_is_whole(f, &two);
	two_done(&two);
}

static void
a_clock_that_stays_behind_keeps_nothing_for_ever(void **state)
{
	struct backup_fixture *f = *state;
	struct two two;

	forget_first(f, &two, 0);
	assert_int_equal(prune_at(f, DAY_S + 60), 0);
	assert_true(count_in(f, "marks") > 0);
	assert_int_equal(prune_at(f, -TEN_YEARS_S), 0);
	assert_int_equal(prune_at(f, DAY_S - 60 - TEN_YEARS_S), 0);
	assert_true(prune_at(f, DAY_S + 60 - TEN_YEARS_S) > 0);
	assert_second_is_whole(f, &two);
	two_done(&two);
}

/* By such a clock the grace period is over; but what a snapshot needs, old or new, stays. */
static void
a_clock_that_jumps_ahead_costs_no_snapshot_that_is_kept(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made again;
	struct error err = ERROR_INIT;
	struct two two;

	forget_first(f, &two, 0);
	assert_int_equal(prune_at(f, DAY_S + 60), 0);
	assert_true(count_in(f, "marks") > 0);
	/* A backup needs the marked data again before the clock jumps. */
	backup_put(f, "data", "what only the first one has");
	backup_make_well(f, NULL, &again);
	assert_true(prune_at(f, TEN_YEARS_S) > 0);
	backup_assert_text(f, &again, "data", "what only the first one has");
	assert_int_equal(snapshot_remove(f->repo, again.snapshot->id, &err), 0);
	assert_second_is_whole(f, &two);
	backup_made_done(&again);
	two_done(&two);
}

static void
a_dry_run_by_a_wrong_clock_writes_nothing(void **state)
{
	const struct prune_options dry = { .grace_s = DAY_S, .dry_run = true };
	struct backup_fixture *f = *state;
	struct prune_result result;
	struct progress progress;
	struct error err = ERROR_INIT;
	char *path;
	uint8_t *before, *after;
	size_t before_len, after_len;
	struct two two;

	forget_first(f, &two, TEN_YEARS_S);
	path = test_path(f->repository, "trash/%s", two.first.snapshot->id);
	before = test_file_read(path, &before_len);
	hook_clock_ahead(0);
	progress_init(&progress);
	assert_int_equal(prune_run(f->repo, &dry, &progress, &result, &err), 0);
	prune_result_done(&result);
	progress_done(&progress);
	after = test_file_read(path, &after_len);
	assert_int_equal(after_len, before_len);
	assert_memory_equal(after, before, before_len);
	free(before);
	free(after);
	free(path);
	two_done(&two);
}

/* The order is that of the sequence, and no rule takes the others for old. */
static void
a_snapshot_of_2126_is_neither_the_latest_nor_the_death_of_others(void **state)
{
	struct prune_options options = { .keep = { .within_s = 7 * DAY_S }, .grace_s = 0 };
	const char *texts[] = { "before", "in 2126", "after" };
	struct backup_fixture *f = *state;
	struct backup_made made[3];
	struct prune_result result;
	struct progress progress;
	struct error err = ERROR_INIT;
	struct snapshot **list, *latest;
	size_t count;

	for (int i = 0; i < 3; i++) {
		hook_clock_ahead(i == 1 ? 10 * TEN_YEARS_S : 3600);
		backup_put(f, "data", texts[i]);
		backup_make_well(f, NULL, &made[i]);
	}
	assert_true(made[1].snapshot->time.tv_sec > made[2].snapshot->time.tv_sec);
	assert_int_equal(snapshot_list(f->repo, &list, &count, NULL, NULL, &err), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(list[i]->id, made[i].snapshot->id);
		snapshot_free(list[i]);
	}
	free(list);
	assert_int_equal(snapshot_find(f->repo, "latest", &latest, &err), 0);
	assert_string_equal(latest->id, made[2].snapshot->id);
	assert_string_equal(latest->parent, made[1].snapshot->id);
	snapshot_free(latest);
	progress_init(&progress);
	assert_int_equal(prune_run(f->repo, &options, &progress, &result, &err), 0);
	assert_int_equal(result.forgotten, 0);
	prune_result_done(&result);
	/* Once the rules are at the newest alone, that is the last that was made. */
	options.keep = (struct keep_rules){ .last = 1 };
	assert_int_equal(prune_run(f->repo, &options, &progress, &result, &err), 0);
	assert_int_equal(result.forgotten, 2);
	prune_result_done(&result);
	progress_done(&progress);
	backup_assert_text(f, &made[2], "data", "after");
	for (int i = 0; i < 3; i++)
		backup_made_done(&made[i]);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(what_was_forgotten_in_the_far_future_ends_after_a_grace_period),
		CASE(what_was_marked_in_the_far_future_ends_after_a_grace_period),
		CASE(a_clock_that_was_behind_for_a_while_makes_nothing_go_early),
		CASE(a_clock_that_stays_behind_keeps_nothing_for_ever),
		CASE(a_clock_that_jumps_ahead_costs_no_snapshot_that_is_kept),
		CASE(a_dry_run_by_a_wrong_clock_writes_nothing),
		CASE(a_snapshot_of_2126_is_neither_the_latest_nor_the_death_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
