/*
 * A repository when joining small packs dies, or its storage fails, at every operation in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/repository/repository_internal.h"
#include "tests/lib/fault_cases.h"

static unsigned
count_packs(const struct trial *t)
{
	struct error err = ERROR_INIT;
	struct object_names names;
	struct storage *storage;
	unsigned count;

	if (storage_open(t->work, false, &storage, &err) != 0 ||
	    object_names_read(storage, "packs", &names, &err) != 0)
		fail_msg("%s", err.message);
	count = (unsigned)names.count;
	object_names_done(&names);
	storage_close(storage);
	return count;
}

/* Both snapshots are there, and what was cut off is done by the next one. */
static void
both_are_whole_and_joined_later(const struct trial *t, const char *what)
{
	struct error err = ERROR_INIT;

	assert_int_equal(trial_assert_sound(t, test_passphrase(), what), 2);
	if (trial_act_join(t, NULL, &err) != 0)
		fail_msg("%s: join: %s", what, err.message);
	assert_int_equal(trial_assert_sound(t, test_passphrase(), what), 2);
	trial_assert_goes_on_and_prunes(t, what);
}

static void
a_join_of_small_packs_that_is_cut_off_anywhere_loses_nothing(void **state)
{
	const struct trial *t = *state;
	char *pieces = trial_prepare(t, t->empty, trial_in_pieces);
	struct error err = ERROR_INIT;
	unsigned before;

	/* There is something to join. */
	trial_begin(t, pieces);
	before = count_packs(t);
	assert_int_equal(trial_act_join(t, NULL, &err), 0);
	assert_in_range(count_packs(t), 2, before - 4);
	trial_end(t);
	fault_everywhere(t, "join", pieces, trial_act_join, both_are_whole_and_joined_later);
	test_folder_remove(pieces);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_join_of_small_packs_that_is_cut_off_anywhere_loses_nothing),
	};

	return cmocka_run_group_tests_name("faults of joins", tests, trial_setup, trial_teardown);
}
