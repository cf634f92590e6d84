/* The sizes of chunks stand in the key file: whoever opens it gets them, or is told why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/keyfile.h"
#include "agent/repository/repository_internal.h"
#include "tests/lib/test_repository.h"

static const struct chunk_sizes other = { 65536, 131072, 524288 };

struct place {
	char *folder, *path;
	struct storage *storage;
};

static int
set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	struct error err = ERROR_INIT;

	place->folder = test_folder_new();
	place->path = test_path(place->folder, "repository");
	assert_int_equal(crypto_start(&err), 0);
	assert_int_equal(storage_open(place->path, true, &place->storage, &err), 0);
	*state = place;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *place = *state;

	storage_close(place->storage);
	test_folder_remove(place->folder);
	free(place->path);
	free(place);
	return 0;
}

static void
write_key(struct place *place, const struct chunk_sizes *sizes)
{
	static const uint8_t master[MASTER_KEY_SIZE] = { 'm' };
	static const struct object_id id = { { 'r' } };
	struct error err = ERROR_INIT;

	assert_int_equal(keyfile_write(place->storage, &id, master, sizes, test_passphrase(), &err),
	    0);
}

static void
assert_sizes(const struct chunk_sizes *a, const struct chunk_sizes *b)
{
	assert_int_equal(a->min, b->min);
	assert_int_equal(a->mean, b->mean);
	assert_int_equal(a->max, b->max);
}

static void
the_sizes_that_were_written_come_back(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	struct chunk_sizes sizes;
	struct keys *keys;

	write_key(place, &other);
	assert_int_equal(keyfile_open(place->storage, test_passphrase(), &keys, &sizes, &err), 0);
	assert_sizes(&sizes, &other);
	assert_int_equal(keys_master(keys)[0], 'm');
	keys_free(keys);
}

static void
sizes_that_are_not_possible_are_refused_by_name(void **state)
{
	static const struct chunk_sizes bad[] = { { 0, 0, 0 }, { 4095, 73728, 524288 },
		{ 32768, 32768, 524288 }, { 32768, 73728, 73727 }, { 32768, 73728, UINT32_MAX } };
	struct place *place = *state;
	struct chunk_sizes sizes;
	struct keys *keys = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = ERROR_INIT;

		write_key(place, &bad[i]);
		assert_int_equal(keyfile_open(place->storage, test_passphrase(), &keys, &sizes,
		    &err), -1);
		assert_int_equal(err.code, ERROR_UNSUPPORTED);
		assert_non_null(strstr(err.message, "repository cuts chunks of "));
		assert_non_null(strstr(err.hint, "version of holdfast"));
		assert_null(keys);
	}
}

static struct repository *
open_repository(struct place *place, const char *passphrase)
{
	struct error err = ERROR_INIT;
	struct repository *repo = NULL;
	struct storage *storage;

	assert_int_equal(storage_open(place->path, false, &storage, &err), 0);
	if (repository_open(storage, passphrase, &repo, &err) != 0)
		fail_msg("%s", err.message);
	return repo;
}

static void
a_repository_cuts_as_its_key_file_says_and_keeps_that_with_a_new_passphrase(void **state)
{
	struct place *place = *state;
	char passphrase[PASSPHRASE_MADE_SIZE];
	struct error err = ERROR_INIT;
	struct repository *repo, *view;

	write_key(place, &other);
	repo = open_repository(place, test_passphrase());
	assert_sizes(&repo->chunker.sizes, &other);
	view = repository_view(repo);
	assert_sizes(&view->chunker.sizes, &other);
	repository_close(view);
	passphrase_make(passphrase);
	assert_int_equal(repository_change_passphrase(repo, passphrase, &err), 0);
	repository_close(repo);
	repo = open_repository(place, passphrase);
	assert_sizes(&repo->chunker.sizes, &other);
	repository_close(repo);
}

static void
a_new_repository_has_the_usual_sizes(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	struct repository *repo;

	assert_int_equal(repository_init(place->storage, test_passphrase(), &err), 0);
	repo = open_repository(place, test_passphrase());
	assert_sizes(&repo->chunker.sizes, &chunk_sizes_default);
	repository_close(repo);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_sizes_that_were_written_come_back),
		TEST(sizes_that_are_not_possible_are_refused_by_name),
		TEST(a_repository_cuts_as_its_key_file_says_and_keeps_that_with_a_new_passphrase),
		TEST(a_new_repository_has_the_usual_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
