/*
 * Passphrase files, and what opens a repository while its passphrase is replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/commands/passphrase.h"
#include "agent/commands/state_folder.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

struct place {
	char *folder, *file, *beside, *repository;
	struct config config;
	char parity[4];
};

static int
set_up(void **state)
{
	struct place *place = MEM_NEW(struct place);

	place->folder = test_folder_new();
	memcpy(place->parity, "off", sizeof("off"));
	place->file = test_path(place->folder, "passphrase");
	place->beside = test_path(place->folder, "passphrase.new");
	place->repository = test_path(place->folder, "repository");
	place->config.state = place->folder;
	place->config.parity = place->parity;
	*state = place;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *place = *state;

	free(place->file);
	free(place->beside);
	free(place->repository);
	test_folder_remove(place->folder);
	free(place);
	return 0;
}

static void
write_secret(const char *path, const char *text)
{
	test_file_write(path, text, strlen(text));
	assert_int_equal(chmod(path, 0600), 0);
}

static void
the_first_line_is_the_passphrase(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = { { "secret\n", "secret" }, { "secret", "secret" }, { "two words\r\nx\n",
		"two words" }, { " kept \n", " kept " } };
	struct place *place = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		char *passphrase = NULL;

		write_secret(place->file, cases[i].text);
		assert_int_equal(passphrase_read(place->file, &passphrase, &err), 0);
		assert_string_equal(passphrase, cases[i].expected);
		passphrase_free(passphrase);
	}
}

static void
an_empty_long_open_or_missing_file_is_refused(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	char *passphrase = NULL, *text;

	assert_int_equal(passphrase_read(place->file, &passphrase, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	write_secret(place->file, "\nsecond\n");
	assert_int_equal(passphrase_read(place->file, &passphrase, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "is empty"));
	text = mem_calloc(1, 2 * PASSPHRASE_MAX);
	memset(text, 'a', 2 * PASSPHRASE_MAX - 1);
	write_secret(place->file, text);
	free(text);
	assert_int_equal(passphrase_read(place->file, &passphrase, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	write_secret(place->file, "secret\n");
	assert_int_equal(chmod(place->file, 0644), 0);
	assert_int_equal(passphrase_read(place->file, &passphrase, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	assert_non_null(strstr(err.hint, "chmod 600"));
	assert_null(passphrase);
}

static void
a_new_one_is_made_once_and_closed_to_others(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	char *first = NULL, *second = NULL;
	bool made = false;
	struct stat st;

	assert_int_equal(passphrase_for_new(&place->config, &first, &made, &err), 0);
	assert_true(made);
	assert_true(strlen(first) >= 32);
	assert_int_equal(stat(place->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(passphrase_for_new(&place->config, &second, &made, &err), 0);
	assert_false(made);
	assert_string_equal(first, second);
	assert_int_equal(passphrase_write(place->file, "other", false, &err), -1);
	assert_int_equal(err.code, ERROR_EXISTS);
	assert_int_equal(test_folder_count(place->folder), 1);
	passphrase_free(first);
	passphrase_free(second);
}

static struct repository *
open_repository(struct place *place, char **ret_passphrase, struct error *err)
{
	struct repository *repo = NULL;
	struct storage *storage = NULL;

	assert_int_equal(storage_open(place->repository, false, &storage, err), 0);
	if (passphrase_open_repository(&place->config, storage, false, &repo, ret_passphrase, NULL,
	    err) != 0) {
		storage_close(storage);
		return NULL;
	}
	return repo;
}

static void
make_repository(struct place *place, const char *passphrase)
{
	struct storage *storage = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(storage_open(place->repository, true, &storage, &err), 0);
	if (repository_init(storage, passphrase, &err) != 0)
		fail_msg("%s", err.message);
	storage_close(storage);
}

static void
a_replaced_passphrase_opens_and_the_old_one_does_not(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	struct repository *repo;
	char *passphrase = NULL;

	write_secret(place->file, "old\n");
	make_repository(place, "old");
	repo = open_repository(place, NULL, &err);
	assert_non_null(repo);
	assert_int_equal(passphrase_change(repo, place->file, "new", &err), 0);
	repository_close(repo);
	repo = open_repository(place, &passphrase, &err);
	assert_non_null(repo);
	assert_string_equal(passphrase, "new");
	passphrase_free(passphrase);
	repository_close(repo);
	write_secret(place->file, "old\n");
	assert_null(open_repository(place, NULL, &err));
	assert_int_equal(err.code, ERROR_WRONG_KEY);
	assert_non_null(strstr(err.hint, "--passphrase-file"));
}

static void
a_replacement_that_was_interrupted_is_finished_or_forgotten(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	struct repository *repo;
	char *passphrase = NULL;

	/* Before the repository had it: the old one opens. */
	write_secret(place->file, "old\n");
	write_secret(place->beside, "new\n");
	make_repository(place, "old");
	repo = open_repository(place, &passphrase, &err);
	assert_non_null(repo);
	assert_string_equal(passphrase, "old");
	passphrase_free(passphrase);
	assert_int_equal(repository_change_passphrase(repo, "new", &err), 0);
	repository_close(repo);
	/* After it, before the file was renamed: the new one opens and takes its place. */
	repo = open_repository(place, &passphrase, &err);
	assert_non_null(repo);
	assert_string_equal(passphrase, "new");
	passphrase_free(passphrase);
	repository_close(repo);
	assert_int_equal(access(place->beside, F_OK), -1);
	assert_int_equal(passphrase_read(place->file, &passphrase, &err), 0);
	assert_string_equal(passphrase, "new");
	passphrase_free(passphrase);
}

static void
without_a_file_and_a_terminal_the_place_is_named(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;

	make_repository(place, "old");
	assert_null(open_repository(place, NULL, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, place->file));
	assert_true(strlen(err.hint) > 0);
}

static void
a_state_folder_has_one_holder_who_is_named(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	char pid[32];
	int first = -1, second = -1;

	assert_int_equal(state_folder_make(place->folder, &err), 0);
	assert_int_equal(state_folder_lock(place->folder, &first, &err), 0);
	assert_int_equal(state_folder_lock(place->folder, &second, &err), -1);
	assert_int_equal(err.code, ERROR_CLAIMED);
	snprintf(pid, sizeof(pid), "process %ld on host", (long)getpid());
	assert_non_null(strstr(err.message, pid));
	close(first);
	assert_int_equal(state_folder_lock(place->folder, &second, &err), 0);
	close(second);
	assert_int_equal(chmod(place->folder, 0770), 0);
	assert_int_equal(state_folder_make(place->folder, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	assert_int_equal(chmod(place->folder, 0700), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_line_is_the_passphrase),
		TEST(an_empty_long_open_or_missing_file_is_refused),
		TEST(a_new_one_is_made_once_and_closed_to_others),
		TEST(a_replaced_passphrase_opens_and_the_old_one_does_not),
		TEST(a_replacement_that_was_interrupted_is_finished_or_forgotten),
		TEST(without_a_file_and_a_terminal_the_place_is_named),
		TEST(a_state_folder_has_one_holder_who_is_named),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("passphrase", tests, NULL, NULL);
}
