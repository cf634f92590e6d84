/*
 * The power is cut: what was not synced is lost, torn, or there although what came before it is
 * not. After every system call of everything that changes a repository, and for what a file
 * system may make of it: the repository opens, every snapshot that was reported as finished is
 * there byte for byte, check finds nothing wrong, and backup and prune go on.
 *
 * States are chosen at random by a seed, which is printed; HOLDFAST_SEED sets another one.
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
#include <unistd.h>

#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "tests/lib/power_cut.h"
#include "tests/lib/trial.h"

/* Ways in which the same cut may end: the two extremes, and so many at random. */
#define VARIANTS 12

struct action {
	const struct trial *t;
	trial_fn *act;
	unsigned times;
};

static uint64_t
first_seed(void)
{
	const char *text = getenv("HOLDFAST_SEED");

	return text != NULL ? strtoull(text, NULL, 10) : 20261122;
}

static int
go_through(void *arg)
{
	const struct action *action = arg;
	struct error err = ERROR_INIT;

	for (unsigned i = 0; i < action->times; i++) {
		if (action->act(action->t, NULL, &err) != 0) {
			fprintf(stderr, "%s\n", err.message);
			return 1;
		}
		power_cut_reported();
	}
	return 0;
}

static struct power_cut *
record(const struct trial *t, const char *repository, trial_fn *act, unsigned times)
{
	struct action action = { t, act, times };
	struct power_cut *cut;

	trial_begin(t, repository);
	if (repository == NULL && mkdir(t->work, 0700) != 0)
		fail_msg("mkdir");
	cut = power_cut_record(t->work, go_through, &action);
	trial_end(t);
	return cut;
}

/* States that were looked at before; few enough to search one by one. */
struct seen {
	uint64_t *states;
	size_t count, cap;
};

static bool
is_new(struct seen *seen, uint64_t state, unsigned reports)
{
	uint64_t both = state ^ reports * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < seen->count; i++)
		if (seen->states[i] == both)
			return false;
	MEM_GROW(seen->states, seen->count, seen->cap);
	seen->states[seen->count++] = both;
	return true;
}

/*
 * Cut the power after each call.
 *   after  asserts what must hold; reports is how often act had reported success
 */
static void
cut_everywhere(const struct trial *t, const char *name, const char *repository, trial_fn *act,
    unsigned times, void (*after)(const struct trial *t, unsigned reports, const char *what))
{
	struct power_cut *cut = record(t, repository, act, times);
	uint64_t seed = first_seed();
	struct seen seen = { .count = 0 };
	char *nothing = test_path(t->folder, "nothing");
	unsigned cases = 0;

	if (repository == NULL && mkdir(nothing, 0700) != 0)
		fail_msg("mkdir");
	for (unsigned calls = 0; calls <= power_cut_calls(cut); calls++) {
		unsigned reports = power_cut_reports(cut, calls);

		for (unsigned variant = 0; variant < VARIANTS; variant++, cases++) {
			char *what;

			if (!is_new(&seen, power_cut_choose(cut, calls, variant, &seed), reports))
				continue;
			what = mem_printf("%s, power cut after %u of %u calls, variant %u", name,
			    calls, power_cut_calls(cut), variant);
			trial_begin(t, NULL);
			power_cut_make(cut, repository != NULL ? repository : nothing, t->work);
			after(t, reports, what);
			trial_end(t);
			free(what);
		}
	}
	print_message("# %s: power cut after each of %u calls in %u ways (seed %llu): "
	    "%zu different states, nothing lost\n", name, power_cut_calls(cut), cases,
	    (unsigned long long)first_seed(), seen.count);
	assert_in_range(seen.count, 3, cases);
	assert_int_equal(power_cut_reports(cut, power_cut_calls(cut)), times);
	if (repository == NULL)
		test_folder_remove(nothing);
	else
		free(nothing);
	free(seen.states);
	power_cut_free(cut);
}

static void
assert_count(const struct trial *t, size_t at_least, const char *what)
{
	size_t count = trial_assert_sound(t, test_passphrase(), what);

	if (count < at_least)
		fail_msg("%s: %zu snapshots are left of %zu that were reported", what, count,
		    at_least);
}

static void
after_init(const struct trial *t, unsigned reports, const char *what)
{
	if (reports > 0)
		assert_count(t, 0, what);
	trial_assert_can_be_made(t, what);
}

static void
after_first_backups(const struct trial *t, unsigned reports, const char *what)
{
	assert_count(t, reports, what);
	trial_assert_goes_on_and_prunes(t, what);
}

static void
after_backup(const struct trial *t, unsigned reports, const char *what)
{
	assert_count(t, 1 + reports, what);
	trial_assert_goes_on_and_prunes(t, what);
}

static void
after_prune(const struct trial *t, unsigned reports, const char *what)
{
	(void)reports;
	trial_assert_latest(t, what);
	trial_assert_goes_on_and_prunes(t, what);
}

static void
both_are_there(const struct trial *t, unsigned reports, const char *what)
{
	(void)reports;
	assert_count(t, 2, what);
	trial_assert_goes_on_and_prunes(t, what);
}

static void
after_repair(const struct trial *t, unsigned reports, const char *what)
{
	(void)reports;
	trial_assert_can_be_repaired(t, what);
}

static void
after_change(const struct trial *t, unsigned reports, const char *what)
{
	trial_assert_a_passphrase_opens(t, what);
	if (reports > 0 && (trial_opens(t, test_passphrase()) ||
	    !trial_opens(t, t->other_passphrase)))
		fail_msg("%s: the old passphrase still opens it, or the new one does not", what);
}

static void
after_pin(const struct trial *t, unsigned reports, const char *what)
{
	char *pins = test_path(t->work, "pins");

	if (test_folder_count(pins) < reports)
		fail_msg("%s: the pin is lost", what);
	free(pins);
	assert_count(t, 2, what);
	trial_assert_goes_on(t, what);
}

static void
after_forget(const struct trial *t, unsigned reports, const char *what)
{
	struct error err = ERROR_INIT;

	if (reports > 0 && trial_assert_sound(t, test_passphrase(), what) != 1)
		fail_msg("%s: the forgotten snapshot is back", what);
	if (trial_act_recall(t, NULL, &err) != 0)
		fail_msg("%s: recall: %s", what, err.message);
	both_are_there(t, reports, what);
}

static void
after_recall(const struct trial *t, unsigned reports, const char *what)
{
	struct error err = ERROR_INIT;

	if (reports > 0)
		assert_count(t, 2, what);
	if (trial_act_recall(t, NULL, &err) != 0)
		fail_msg("%s: recall: %s", what, err.message);
	both_are_there(t, reports, what);
}

static void
an_init_outlives_a_power_cut_or_can_be_done_again(void **state)
{
	cut_everywhere(*state, "init", NULL, trial_act_init, 1, after_init);
}

static void
backups_outlive_a_power_cut(void **state)
{
	const struct trial *t = *state;

	cut_everywhere(t, "two first backups", t->empty, trial_act_backup, 2,
	    after_first_backups);
	cut_everywhere(t, "backup", t->one, trial_act_backup, 1, after_backup);
}

static void
a_prune_outlives_a_power_cut(void **state)
{
	const struct trial *t = *state;

	cut_everywhere(t, "prune", t->two, trial_act_prune, 1, after_prune);
}

static void
repairs_and_merges_outlive_a_power_cut(void **state)
{
	const struct trial *t = *state;
	char *many = trial_prepare(t, t->two, trial_many_index_files);
	char *lossy = trial_prepare(t, t->two, trial_lose_data);

	cut_everywhere(t, "repair index", t->two, trial_act_repair_index, 1, both_are_there);
	cut_everywhere(t, "index merge", many, trial_act_merge, 1, both_are_there);
	cut_everywhere(t, "repair snapshots", lossy, trial_act_repair_snapshots, 1,
	    after_repair);
	test_folder_remove(many);
	test_folder_remove(lossy);
}

static void
a_change_of_passphrase_outlives_a_power_cut(void **state)
{
	const struct trial *t = *state;

	cut_everywhere(t, "key change", t->two, trial_act_change_passphrase, 1, after_change);
}

static void
pinning_forgetting_and_recalling_outlive_a_power_cut(void **state)
{
	const struct trial *t = *state;
	char *forgotten = trial_prepare(t, t->two, trial_forget_one);

	cut_everywhere(t, "pin", t->two, trial_act_pin, 1, after_pin);
	cut_everywhere(t, "forget", t->two, trial_act_forget, 1, after_forget);
	cut_everywhere(t, "recall", forgotten, trial_act_recall, 1, after_recall);
	test_folder_remove(forgotten);
}

/* The snapshots that are left and whole, or -1 if anything is wrong. */
static int
count_whole(const struct trial *t)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(t->work, NULL, &err);
	struct snapshot **list;
	size_t count;
	int whole = 0;

	if (repo == NULL || snapshot_list(repo, &list, &count, NULL, NULL, &err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct test_compared compared;

		test_compare(repo, list[i], t->source, t->source, NULL, NULL, &compared);
		whole += compared.unreadable + compared.wrong == 0;
		snapshot_free(list[i]);
	}
	free(list);
	repository_close(repo);
	return whole == (int)count ? whole : -1;
}

/* The other tests show something only if they would see a missing sync. */
static void
without_its_syncs_a_backup_would_be_lost(void **state)
{
	const struct trial *t = *state;
	uint64_t seed = first_seed();

	for (unsigned missing = 0; missing < 3; missing++) {
		struct power_cut *cut = record(t, t->empty, trial_act_backup, 1);
		unsigned losses = 0;

		power_cut_ignore_syncs(cut, missing == 1, missing == 2);
		for (unsigned variant = 0; variant < VARIANTS; variant++) {
			power_cut_choose(cut, power_cut_calls(cut), variant, &seed);
			trial_begin(t, NULL);
			power_cut_make(cut, t->empty, t->work);
			losses += count_whole(t) != 1;
			trial_end(t);
		}
		if (missing == 0)
			assert_int_equal(losses, 0);
		else
			assert_in_range(losses, VARIANTS / 2, VARIANTS - 1);
		power_cut_free(cut);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_init_outlives_a_power_cut_or_can_be_done_again),
		cmocka_unit_test(backups_outlive_a_power_cut),
		cmocka_unit_test(a_prune_outlives_a_power_cut),
		cmocka_unit_test(repairs_and_merges_outlive_a_power_cut),
		cmocka_unit_test(a_change_of_passphrase_outlives_a_power_cut),
		cmocka_unit_test(pinning_forgetting_and_recalling_outlive_a_power_cut),
		cmocka_unit_test(without_its_syncs_a_backup_would_be_lost),
	};

	return cmocka_run_group_tests_name("power cut", tests, trial_setup_small, trial_teardown);
}
