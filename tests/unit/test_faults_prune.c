/*
 * A repository when a prune dies, or its storage fails, at every operation in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/fault_cases.h"

static void
a_prune_that_is_killed_anywhere_leaves_a_sound_repository(void **state)
{
	const struct trial *t = *state;

	fault_die_everywhere(t, "prune", t->two, trial_act_prune, trial_assert_goes_on_and_prunes);
}

static void
a_prune_whose_storage_fails_anywhere_leaves_a_sound_repository(void **state)
{
	const struct trial *t = *state;

	fault_fail_everywhere(t, "prune", t->two, trial_act_prune, trial_assert_goes_on_and_prunes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prune_that_is_killed_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_prune_whose_storage_fails_anywhere_leaves_a_sound_repository),
	};

	return cmocka_run_group_tests_name("faults of prunes", tests, trial_setup, trial_teardown);
}
