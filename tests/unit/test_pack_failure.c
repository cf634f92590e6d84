/*
 * A pack whose storage fails while several threads write to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "agent/repository/pack.h"
#include "shared/mem.h"
#include "tests/lib/fault_storage.h"
#include "tests/lib/test_folder.h"

#define THREADS 4

static const char payload[] = "some bytes of a frame";

struct writing {
	struct pack_writer *pack;
	uint32_t offset;
	struct error err;
	int rc;
};

static void *
write_frame(void *arg)
{
	struct writing *writing = arg;

	writing->rc = pack_write_frame(writing->pack, writing->offset, payload, sizeof(payload),
	    sizeof(payload), NULL, 0, &writing->err);
	return NULL;
}

/* The operator needs the reason, and the answer's status depends on it: 507, not 500. */
static void
every_thread_is_told_the_first_reason(void **state)
{
	/* Begin, header, and then the first frame. */
	static const struct fault_plan plan = { .kind = FAULT_ERROR, .sys = ENOSPC, .at = 3 };
	const struct object_id repository = { { 1 } };
	const uint8_t master[MASTER_KEY_SIZE] = { 2 };
	struct writing writings[THREADS];
	pthread_t threads[THREADS];
	struct error err = ERROR_INIT;
	struct fault_control control;
	struct pack_directory *directory;
	struct pack_writer *pack;
	struct storage *storage;
	struct keys *keys;
	char *folder = test_folder_new();

	(void)state;
	assert_int_equal(crypto_start(&err), 0);
	keys = keys_new(master, &repository);
	assert_int_equal(storage_open(folder, false, &storage, &err), 0);
	fault_control_init(&control);
	fault_control_plan(&control, &plan);
	storage = fault_storage_new(storage, &control);
	assert_int_equal(pack_begin(storage, keys, PACK_DATA, &pack, &err), 0);
	for (size_t i = 0; i < THREADS; i++)
		writings[i] = (struct writing){ .pack = pack,
			.offset = pack_reserve(pack, sizeof(payload)) };
	/* The later frames wait for the first, which is written last. */
	for (size_t i = THREADS; i-- > 0;)
		assert_int_equal(pthread_create(&threads[i], NULL, write_frame, &writings[i]), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writings[i].rc, -1);
		assert_int_equal(writings[i].err.code, ERROR_NO_SPACE);
		assert_non_null(strstr(writings[i].err.message, "No space left on device"));
	}
	assert_int_equal(pack_finish(pack, &directory, &err), -1);
	assert_int_equal(err.code, ERROR_NO_SPACE);
	keys_free(keys);
	storage_close(storage);
	fault_control_done(&control);
	test_folder_remove(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_thread_is_told_the_first_reason),
	};

	return cmocka_run_group_tests_name("pack_failure", tests, NULL, NULL);
}
