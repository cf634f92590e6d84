/*
 * A repository when a backup, an init or a change of the passphrase dies, or its storage fails, at
 * every operation in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/fault_cases.h"

static void
a_backup_that_is_killed_anywhere_leaves_a_sound_repository(void **state)
{
	const struct trial *t = *state;

	fault_die_everywhere(t, "backup", t->one, trial_act_backup, trial_assert_goes_on_and_prunes);
}

static void
a_first_backup_that_is_killed_anywhere_leaves_a_sound_repository(void **state)
{
	const struct trial *t = *state;

	fault_die_everywhere(t, "first backup", t->empty, trial_act_backup, trial_assert_goes_on);
}

static void
a_backup_whose_storage_fails_anywhere_leaves_a_sound_repository(void **state)
{
	const struct trial *t = *state;

	fault_fail_everywhere(t, "backup", t->one, trial_act_backup, trial_assert_goes_on);
}

static void
a_change_of_passphrase_that_is_killed_anywhere_locks_nobody_out(void **state)
{
	const struct trial *t = *state;

	fault_die_everywhere(t, "key change", t->two, trial_act_change_passphrase,
	    trial_assert_a_passphrase_opens);
}

static void
a_change_of_passphrase_whose_storage_fails_anywhere_locks_nobody_out(void **state)
{
	const struct trial *t = *state;

	fault_fail_everywhere(t, "key change", t->two, trial_act_change_passphrase,
	    trial_assert_a_passphrase_opens);
}

static void
an_init_that_is_killed_anywhere_can_be_done_again(void **state)
{
	fault_die_everywhere(*state, "init", NULL, trial_act_init, trial_assert_can_be_made);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backup_that_is_killed_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_first_backup_that_is_killed_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_backup_whose_storage_fails_anywhere_leaves_a_sound_repository),
		cmocka_unit_test(a_change_of_passphrase_that_is_killed_anywhere_locks_nobody_out),
		cmocka_unit_test(
		    a_change_of_passphrase_whose_storage_fails_anywhere_locks_nobody_out),
		cmocka_unit_test(an_init_that_is_killed_anywhere_can_be_done_again),
	};

	return cmocka_run_group_tests_name("faults of backups", tests, trial_setup, trial_teardown);
}
