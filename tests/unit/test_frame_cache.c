/* Decoded frames, shared by many readers, more of them than the cache keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/repository/repository_internal.h"
#include "agent/repository/writer.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

/* 48 MiB, about 24 frames: twice what the cache keeps. */
#define BLOBS 96u
#define BLOB_LEN (512u << 10)
#define THREADS 4u

struct fixture {
	char *folder, *path;
	struct repository *repo;
	struct blob_id ids[BLOBS];
};

/* Compresses well, and is told apart by every byte. */
static void
fill(uint8_t *data, unsigned n)
{
	memset(data, (int)n, BLOB_LEN);
}

static void
put_all(struct writer_worker *worker, void *arg)
{
	struct fixture *f = arg;
	uint8_t *data = mem_calloc(1, BLOB_LEN);

	for (unsigned n = 0; n < BLOBS; n++) {
		struct error err = ERROR_INIT;

		fill(data, n);
		if (writer_put(worker, BLOB_DATA, data, BLOB_LEN, &f->ids[n], &err) != 0)
			writer_fail(writer_of(worker), &err);
	}
	free(data);
}

static int
setup(void **state)
{
	struct writer_options how = { .threads = 1 };
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct writer *writer;

	f->repo = test_repository_new(&f->folder, &f->path);
	*state = f;
	if (writer_begin(f->repo, &how, &writer, &err) != 0)
		return -1;
	writer_submit(writer, put_all, f);
	return writer_finish(writer, &totals, &err);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	repository_close(f->repo);
	test_folder_remove(f->folder);
	free(f->path);
	free(f);
	return 0;
}

struct reader_thread {
	struct fixture *f;
	unsigned number;
	atomic_uint wrong, refused;
};

/* Each in an order of its own, holding two blobs at once now and then. */
static void *
read_all(void *arg)
{
	struct reader_thread *reader = arg;
	struct fixture *f = reader->f;
	struct blob_view held = { NULL, 0, NULL };

	for (unsigned i = 0; i < 2 * BLOBS; i++) {
		unsigned n = i * (2 * reader->number + 1) % BLOBS;
		struct blob_view view;
		struct error err = ERROR_INIT;

		if (repository_read_blob(f->repo, BLOB_DATA, &f->ids[n], &view, &err) != 0) {
			atomic_fetch_add(&reader->refused, 1);
			continue;
		}
		if (view.len != BLOB_LEN || view.data[0] != (uint8_t)n ||
		    view.data[BLOB_LEN - 1] != (uint8_t)n)
			atomic_fetch_add(&reader->wrong, 1);
		blob_release(&held);
		if (i % 3 == 0)
			held = view;
		else
			blob_release(&view);
	}
	blob_release(&held);
	return NULL;
}

static void
run_readers(struct fixture *f, struct reader_thread readers[THREADS], unsigned trims)
{
	pthread_t threads[THREADS];

	for (unsigned t = 0; t < THREADS; t++) {
		readers[t] = (struct reader_thread){ .f = f, .number = t };
		assert_int_equal(pthread_create(&threads[t], NULL, read_all, &readers[t]), 0);
	}
	for (unsigned i = 0; i < trims; i++)
		repository_trim(f->repo);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
}

static void
many_readers_get_the_right_bytes(void **state)
{
	struct reader_thread readers[THREADS];

	run_readers(*state, readers, 0);
	for (unsigned t = 0; t < THREADS; t++) {
		assert_int_equal(readers[t].wrong, 0);
		assert_int_equal(readers[t].refused, 0);
	}
}

static void
the_cache_may_be_emptied_while_they_read(void **state)
{
	struct reader_thread readers[THREADS];

	run_readers(*state, readers, 50);
	for (unsigned t = 0; t < THREADS; t++) {
		assert_int_equal(readers[t].wrong, 0);
		assert_int_equal(readers[t].refused, 0);
	}
}

static void
what_is_held_stays_when_the_cache_is_emptied(void **state)
{
	struct fixture *f = *state;
	struct blob_view views[BLOBS];
	struct error err = ERROR_INIT;

	for (unsigned n = 0; n < BLOBS; n++)
		assert_int_equal(repository_read_blob(f->repo, BLOB_DATA, &f->ids[n], &views[n],
		    &err), 0);
	repository_trim(f->repo);
	for (unsigned n = 0; n < BLOBS; n++) {
		assert_int_equal(views[n].data[BLOB_LEN / 2], n);
		blob_release(&views[n]);
		assert_null(views[n].data);
	}
	assert_int_equal(repository_read_blob(f->repo, BLOB_DATA, &f->ids[0], &views[0], &err), 0);
	blob_release(&views[0]);
	blob_release(&(struct blob_view){ NULL, 0, NULL });
}

static void
readers_of_a_lost_pack_are_all_refused_and_it_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct reader_thread readers[THREADS];
	struct error err = ERROR_INIT;
	char *packs = test_path(f->path, "packs"), *aside = test_path(f->path, "aside");
	struct blob_view view;

	assert_int_equal(rename(packs, aside), 0);
	repository_trim(f->repo);
	run_readers(f, readers, 0);
	for (unsigned t = 0; t < THREADS; t++) {
		assert_int_equal(readers[t].wrong, 0);
		assert_int_equal(readers[t].refused, 2 * BLOBS);
	}
	/* It was away only for a while: nothing remembers the failure. */
	assert_int_equal(rename(aside, packs), 0);
	if (repository_read_blob(f->repo, BLOB_DATA, &f->ids[1], &view, &err) != 0)
		fail_msg("%s", err.message);
	blob_release(&view);
	free(packs);
	free(aside);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(many_readers_get_the_right_bytes),
		CASE(the_cache_may_be_emptied_while_they_read),
		CASE(what_is_held_stays_when_the_cache_is_emptied),
		CASE(readers_of_a_lost_pack_are_all_refused_and_it_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
