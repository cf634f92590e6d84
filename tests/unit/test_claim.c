/* Claims: who waits for whom, and how they heal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/repository/claim.h"
#include "agent/repository/sealed_json.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/system_hooks.h"
#include "tests/lib/test_repository.h"

#define TEN_YEARS_S (3652L * 86400)

struct fixture {
	char *folder, *path, *claims;
	struct repository *repo;
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->repo = test_repository_new(&f->folder, &f->path);
	f->claims = test_path(f->path, "claims");
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	hook_clock_ahead(0);
	repository_close(f->repo);
	test_folder_remove(f->folder);
	free(f->path);
	free(f->claims);
	free(f);
	return 0;
}

static struct claim *
take(struct fixture *f, enum claim_kind kind)
{
	struct error err = ERROR_INIT;
	struct claim *claim = NULL;

	if (claim_take(f->repo, kind, "backup", "run-7", 0, NULL, &claim, &err) != 0)
		fail_msg("%s", err.message);
	return claim;
}

static void
assert_refused(struct fixture *f, enum claim_kind kind, const char *beginning)
{
	struct error err = ERROR_INIT;
	struct claim *claim = NULL;

	assert_int_equal(claim_take(f->repo, kind, "prune", NULL, 0, NULL, &claim, &err), -1);
	assert_int_equal(err.code, ERROR_CLAIMED);
	assert_memory_equal(err.message, beginning, strlen(beginning));
	assert_string_equal(err.hint, "try again when that has ended");
}

static void
any_number_of_backups_share_and_a_prune_is_alone(void **state)
{
	struct fixture *f = *state;
	struct claim *a = take(f, CLAIM_SHARED), *b = take(f, CLAIM_SHARED);
	struct error err = ERROR_INIT;
	char *text;

	text = mem_printf("the repository is in use: backup on host '");
	assert_refused(f, CLAIM_EXCLUSIVE, text);
	assert_int_equal(test_folder_count(f->claims), 2);
	claim_release(a);
	assert_refused(f, CLAIM_EXCLUSIVE, text);
	claim_release(b);
	claim_release(NULL);
	assert_int_equal(test_folder_count(f->claims), 0);
	a = take(f, CLAIM_EXCLUSIVE);
	assert_refused(f, CLAIM_SHARED, text);
	assert_refused(f, CLAIM_EXCLUSIVE, text);
	assert_int_equal(claim_check(a, &err), 0);
	claim_release(a);
	free(text);
}

static void
claims_are_listed_with_their_holder(void **state)
{
	struct fixture *f = *state;
	struct claim *claim = take(f, CLAIM_SHARED);
	struct error err = ERROR_INIT;
	json_t *list, *first;

	assert_int_equal(claim_list(f->repo, &list, &err), 0);
	assert_int_equal(json_array_size(list), 1);
	first = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(first, "kind")), "shared");
	assert_string_equal(json_string_value(json_object_get(first, "purpose")), "backup");
	assert_string_equal(json_string_value(json_object_get(first, "run")), "run-7");
	assert_int_equal(json_integer_value(json_object_get(first, "pid")), getpid());
	json_decref(list);
	claim_release(claim);
	assert_int_equal(claim_list(f->repo, &list, &err), 0);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void
a_claim_that_was_taken_away_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct claim *claim = take(f, CLAIM_SHARED);
	struct error err = ERROR_INIT;
	char *command = mem_printf("rm '%s'/*", f->claims);

	assert_int_equal(claim_check(claim, &err), 0);
	assert_int_equal(system(command), 0);
	assert_int_equal(claim_check(claim, &err), -1);
	assert_int_equal(err.code, ERROR_CLAIM_LOST);
	assert_string_equal(err.hint, "nothing was published; start it again");
	claim_release(claim);
	free(command);
}

static void
the_claim_of_a_process_that_died_heals(void **state)
{
	struct fixture *f = *state;
	struct claim *claim;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct error err = ERROR_INIT;

		_exit(claim_take(f->repo, CLAIM_EXCLUSIVE, "prune", NULL, 0, NULL, &claim, &err) == 0 ?
		    0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(test_folder_count(f->claims), 1);
	claim = take(f, CLAIM_EXCLUSIVE);
	assert_int_equal(test_folder_count(f->claims), 1);
	claim_release(claim);
}

/* A claim as another process wrote it, with two members changed. */
static void
forge_two(struct fixture *f, const char *key, json_t *value, const char *other_key,
    json_t *other_value, int64_t refreshed_ago_s)
{
	struct claim *own = take(f, CLAIM_EXCLUSIVE);
	struct object_names names;
	struct timespec refreshed = time_now();
	char text[TIME_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct object_id id;
	json_t *json;

	assert_int_equal(object_names_read(f->repo->storage, "claims", &names, &err), 0);
	assert_int_equal(names.count, 1);
	assert_int_equal(sealed_json_name_parse(names.list[0], "claims", &id), 0);
	assert_int_equal(sealed_json_read(f->repo, "claims", SEAL_CLAIM, &id, &json, &err), 0);
	object_names_done(&names);
	claim_release(own);
	refreshed.tv_sec -= refreshed_ago_s;
	time_format(refreshed, 3, text);
	json_object_set_new(json, "refreshed", json_string(text));
	json_object_set_new(json, key, value);
	json_object_set_new(json, other_key, other_value);
	object_id_random(&id);
	assert_int_equal(sealed_json_write(f->repo, "claims", SEAL_CLAIM, &id, json, false, &err),
	    0);
	json_decref(json);
}

static void
forge(struct fixture *f, const char *key, json_t *value, int64_t refreshed_ago_s)
{
	forge_two(f, key, value, "run", json_string("run-8"), refreshed_ago_s);
}

static void
remove_claims(struct fixture *f)
{
	char *command = mem_printf("rm '%s'/*", f->claims);

	assert_int_equal(system(command), 0);
	free(command);
}

static void
assert_healed(struct fixture *f)
{
	claim_release(take(f, CLAIM_EXCLUSIVE));
	assert_int_equal(test_folder_count(f->claims), 0);
}

static void
a_claim_of_this_machine_heals_by_looking_for_its_process(void **state)
{
	struct fixture *f = *state;

	/* A process id that was given out again; one that nobody has. */
	forge(f, "started", json_integer(1), 0);
	assert_healed(f);
	forge(f, "pid", json_integer(INT32_MAX), 0);
	assert_healed(f);
	/* This very process lives, however long ago it wrote. */
	forge(f, "purpose", json_string("prune"), 10 * CLAIM_STALE_S);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: prune");
}

/* Clones share the machine's id, and mostly its name. */
static void
a_claim_from_another_boot_heals_when_two_refreshes_are_missing(void **state)
{
	struct fixture *f = *state;

	forge(f, "boot", json_string("another boot"), 2 * CLAIM_REFRESH_S + 60);
	assert_healed(f);
	forge(f, "boot", json_string("another boot"), 2 * CLAIM_REFRESH_S - 60);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
}

/* A clone with a name of its own, or this machine under its former name. */
static void
under_another_name_only_the_clock_tells(void **state)
{
	struct fixture *f = *state;

	/* A process of that id does not live here, but may live there. */
	forge_two(f, "host", json_string("another-name"), "pid", json_integer(INT32_MAX),
	    CLAIM_STALE_S - 60);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup on host "
	    "'another-name'");
	remove_claims(f);
	forge_two(f, "host", json_string("another-name"), "boot", json_string("another boot"),
	    CLAIM_STALE_S - 60);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup on host "
	    "'another-name'");
	remove_claims(f);
	forge(f, "host", json_string("another-name"), CLAIM_STALE_S + 60);
	assert_healed(f);
}

static void
a_claim_of_another_machine_heals_when_it_is_stale(void **state)
{
	struct fixture *f = *state;

	forge_two(f, "machine", json_string("another machine"), "boot",
	    json_string("another boot"), CLAIM_STALE_S + 60);
	assert_healed(f);
	forge_two(f, "machine", json_string("another machine"), "boot",
	    json_string("another boot"), CLAIM_STALE_S - 60);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	assert_int_equal(test_folder_count(f->claims), 1);
}

static void
a_claim_from_the_future_counts_as_fresh(void **state)
{
	struct fixture *f = *state;

	forge_two(f, "machine", json_string("another machine"), "boot",
	    json_string("another boot"), -10 * CLAIM_STALE_S);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
}

/* Of another machine, whose clock is ten years ahead. */
static void
forge_future(struct fixture *f)
{
	forge_two(f, "machine", json_string("another machine"), "boot",
	    json_string("another boot"), -TEN_YEARS_S);
}

/* Its holder, whose clock is still as wrong, refreshes it. */
static void
refresh_forged(struct fixture *f)
{
	struct object_names names;
	struct error err = ERROR_INIT;
	unsigned refreshed = 0;

	assert_int_equal(object_names_read(f->repo->storage, "claims", &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		struct object_id id;
		json_t *json;

		assert_int_equal(sealed_json_name_parse(names.list[i], "claims", &id), 0);
		assert_int_equal(sealed_json_read(f->repo, "claims", SEAL_CLAIM, &id, &json, &err),
		    0);
		if (json_object_get(json, "pid") != NULL) {
			json_object_set_new(json, "refreshed",
			    json_string("2099-01-01T00:00:00.000Z"));
			assert_int_equal(sealed_json_write(f->repo, "claims", SEAL_CLAIM, &id, json,
			    true, &err), 0);
			refreshed++;
		}
		json_decref(json);
	}
	assert_int_equal(refreshed, 1);
	object_names_done(&names);
}

static void
a_claim_from_the_far_future_heals_when_nobody_refreshes_it(void **state)
{
	struct fixture *f = *state;

	forge_future(f);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	hook_clock_ahead(CLAIM_STALE_S - 60);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	hook_clock_ahead(CLAIM_STALE_S + 60);
	assert_healed(f);
}

static void
a_claim_from_the_far_future_lives_as_long_as_it_is_refreshed(void **state)
{
	struct fixture *f = *state;

	forge_future(f);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	refresh_forged(f);
	hook_clock_ahead(CLAIM_STALE_S + 60);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	hook_clock_ahead(2 * CLAIM_STALE_S);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	hook_clock_ahead(2 * CLAIM_STALE_S + 120);
	assert_healed(f);
}

static void
it_heals_too_if_the_clock_of_who_saw_it_jumped_back(void **state)
{
	struct fixture *f = *state;

	forge_future(f);
	hook_clock_ahead(TEN_YEARS_S / 2);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	hook_clock_ahead(0);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	hook_clock_ahead(CLAIM_STALE_S - 60);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
	hook_clock_ahead(CLAIM_STALE_S + 60);
	assert_healed(f);
}

static void
what_was_seen_of_a_claim_goes_after_it(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	json_t *list;

	forge_future(f);
	assert_int_equal(claim_list(f->repo, &list, &err), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	/* The claim, and since when it is known; that is no claim itself. */
	assert_int_equal(test_folder_count(f->claims), 2);
	assert_int_equal(claim_list(f->repo, &list, &err), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	for (unsigned i = 0; i < 2; i++) {
		struct object_names names;
		struct object_id id;
		json_t *json;

		assert_int_equal(object_names_read(f->repo->storage, "claims", &names, &err), 0);
		assert_int_equal(sealed_json_name_parse(names.list[i], "claims", &id), 0);
		assert_int_equal(sealed_json_read(f->repo, "claims", SEAL_CLAIM, &id, &json, &err),
		    0);
		if (json_object_get(json, "pid") != NULL) {
			assert_int_equal(storage_remove(f->repo->storage, names.list[i], &err), 0);
			i = 2;
		}
		json_decref(json);
		object_names_done(&names);
	}
	assert_int_equal(test_folder_count(f->claims), 1);
	assert_healed(f);
}

static void
a_clock_that_jumps_takes_no_claim_from_this_machine(void **state)
{
	static const long jumps[] = { TEN_YEARS_S, -TEN_YEARS_S, 0 };
	struct fixture *f = *state;
	struct claim *claim = take(f, CLAIM_SHARED);
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
		hook_clock_ahead(jumps[i]);
		assert_refused(f, CLAIM_EXCLUSIVE, "the repository is in use: backup");
		assert_int_equal(claim_check(claim, &err), 0);
	}
	claim_release(claim);
	assert_healed(f);
}

static void
in_another_container_of_this_machine_the_clock_tells(void **state)
{
	struct fixture *f = *state;

	forge(f, "pid_space", json_integer(1), CLAIM_STALE_S + 60);
	assert_healed(f);
	forge(f, "pid_space", json_integer(1), 0);
	assert_refused(f, CLAIM_SHARED, "the repository is in use: backup");
}

static void
a_damaged_claim_claims_nothing(void **state)
{
	struct fixture *f = *state;
	char *path = test_path(f->claims, "0123456789abcdef0123456789abcdef");

	claim_release(take(f, CLAIM_SHARED));
	test_file_write(path, "not a claim at all, but long enough to be taken for one", 55);
	assert_healed(f);
	free(path);
}

static void *
cancel_soon(void *arg)
{
	const struct timespec pause = { 0, 50000000 };

	nanosleep(&pause, NULL);
	progress_cancel(arg);
	return NULL;
}

static void
waiting_for_others_ends_when_the_run_is_cancelled(void **state)
{
	struct fixture *f = *state;
	struct claim *prune = take(f, CLAIM_EXCLUSIVE), *claim = NULL;
	struct error err = ERROR_INIT;
	struct progress progress;
	pthread_t canceller;

	progress_init(&progress);
	assert_int_equal(pthread_create(&canceller, NULL, cancel_soon, &progress), 0);
	assert_int_equal(claim_take(f->repo, CLAIM_SHARED, "backup", NULL, 3600, &progress, &claim,
	    &err), -1);
	assert_int_equal(err.code, ERROR_CANCELLED);
	assert_int_equal(pthread_join(canceller, NULL), 0);
	assert_int_equal(test_folder_count(f->claims), 1);
	claim_release(prune);
	progress_done(&progress);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(any_number_of_backups_share_and_a_prune_is_alone),
		CASE(claims_are_listed_with_their_holder),
		CASE(a_claim_that_was_taken_away_is_noticed),
		CASE(the_claim_of_a_process_that_died_heals),
		CASE(a_claim_of_this_machine_heals_by_looking_for_its_process),
		CASE(a_claim_from_another_boot_heals_when_two_refreshes_are_missing),
		CASE(under_another_name_only_the_clock_tells),
		CASE(a_claim_of_another_machine_heals_when_it_is_stale),
		CASE(a_claim_from_the_future_counts_as_fresh),
		CASE(a_claim_from_the_far_future_heals_when_nobody_refreshes_it),
		CASE(a_claim_from_the_far_future_lives_as_long_as_it_is_refreshed),
		CASE(it_heals_too_if_the_clock_of_who_saw_it_jumped_back),
		CASE(what_was_seen_of_a_claim_goes_after_it),
		CASE(a_clock_that_jumps_takes_no_claim_from_this_machine),
		CASE(in_another_container_of_this_machine_the_clock_tells),
		CASE(a_damaged_claim_claims_nothing),
		CASE(waiting_for_others_ends_when_the_run_is_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
