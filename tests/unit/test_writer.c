/* Writers: every blob once, from many threads, and nothing half after a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/check.h"
#include "agent/repository/repository_internal.h"
#include "agent/repository/writer.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

#define THREADS 4
#define JOBS 40
#define BLOBS 50 /* of a job; each is put by two jobs */
#define BLOB_LEN 9000

struct fixture {
	char *folder, *path;
	struct repository *repo;
	struct fault_control control;
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;

	f->folder = test_folder_new();
	f->path = test_path(f->folder, "repository");
	test_repository_make(f->path);
	fault_control_init(&f->control);
	f->repo = test_repository_open(f->path, &f->control, &err);
	*state = f;
	return f->repo != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	repository_close(f->repo);
	fault_control_done(&f->control);
	test_folder_remove(f->folder);
	free(f->path);
	free(f);
	return 0;
}

static void
fill(uint8_t data[BLOB_LEN], unsigned n)
{
	uint64_t seed = n;

	for (size_t i = 0; i < BLOB_LEN; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		/* Half of them compress. */
		data[i] = (uint8_t)(seed >> (n % 2 ? 56 : 62));
	}
}

struct job {
	unsigned first; /* of its blobs */
	atomic_uint runs;
	atomic_uint failures;
};

static void
put_blobs(struct writer_worker *worker, void *arg)
{
	struct job *job = arg;
	uint8_t data[BLOB_LEN];

	atomic_fetch_add(&job->runs, 1);
	for (unsigned n = job->first; n < job->first + BLOBS; n++) {
		struct error err = ERROR_INIT;
		struct blob_id id;

		fill(data, n);
		if (writer_put(worker, BLOB_DATA, data, BLOB_LEN, &id, &err) != 0)
			atomic_fetch_add(&job->failures, 1);
	}
}

static struct writer *
begin(struct fixture *f, struct progress *progress)
{
	struct writer_options options = { .threads = THREADS, .progress = progress };
	struct error err = ERROR_INIT;
	struct writer *writer = NULL;

	if (writer_begin(f->repo, &options, &writer, &err) != 0)
		fail_msg("%s", err.message);
	assert_ptr_equal(writer_repository(writer), f->repo);
	return writer;
}

static void
submit_all(struct writer *writer, struct job jobs[JOBS])
{
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i].first = i / 2 * BLOBS;
		atomic_init(&jobs[i].runs, 0);
		atomic_init(&jobs[i].failures, 0);
		writer_submit(writer, put_blobs, &jobs[i]);
	}
}

static void
assert_all_readable(struct fixture *f)
{
	uint8_t data[BLOB_LEN];

	for (unsigned n = 0; n < JOBS / 2 * BLOBS; n++) {
		struct error err = ERROR_INIT;
		struct blob_view view;
		struct blob_id id;

		fill(data, n);
		blob_hash(f->repo->keys, BLOB_DATA, data, BLOB_LEN, &id);
		if (repository_read_blob(f->repo, BLOB_DATA, &id, &view, &err) != 0)
			fail_msg("blob %u: %s", n, err.message);
		assert_int_equal(view.len, BLOB_LEN);
		assert_memory_equal(view.data, data, BLOB_LEN);
		blob_release(&view);
	}
}

static void
blobs_of_many_threads_are_stored_once_each(void **state)
{
	struct fixture *f = *state;
	struct writer_totals totals;
	struct progress progress;
	struct error err = ERROR_INIT;
	struct job jobs[JOBS];
	struct writer *writer;

	progress_init(&progress);
	writer = begin(f, &progress);
	submit_all(writer, jobs);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	for (unsigned i = 0; i < JOBS; i++) {
		assert_int_equal(jobs[i].runs, 1);
		assert_int_equal(jobs[i].failures, 0);
	}
	assert_int_equal(totals.added_blobs, JOBS / 2 * BLOBS);
	assert_int_equal(totals.added_bytes, JOBS / 2 * BLOBS * BLOB_LEN);
	assert_true(totals.stored_bytes < totals.added_bytes);
	assert_int_equal(progress.stored_bytes, totals.stored_bytes);
	assert_all_readable(f);
	progress_done(&progress);
	/* A second writer has nothing to store. */
	writer = begin(f, NULL);
	submit_all(writer, jobs);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	assert_int_equal(totals.added_blobs, 0);
	assert_int_equal(totals.stored_bytes, 0);
}

static void
what_was_stored_is_there_for_whoever_opens_it_anew(void **state)
{
	struct fixture *f = *state;
	struct writer_totals totals;
	struct error err = ERROR_INIT;
	struct job jobs[JOBS];
	struct writer *writer = begin(f, NULL);

	submit_all(writer, jobs);
	writer_drain(writer);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(jobs[i].runs, 1);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	repository_close(f->repo);
	f->repo = test_repository_open(f->path, NULL, &err);
	assert_non_null(f->repo);
	assert_all_readable(f);
}

/* Everything an index leads to is whole, and nothing lies about. */
static void
assert_sound(struct fixture *f)
{
	struct check_options options = { .read_data = true, .threads = 2 };
	struct check_result result = { 0 };
	struct progress progress;
	struct error err = ERROR_INIT;

	progress_init(&progress);
	assert_int_equal(check_run(f->repo, &options, &progress, &result, &err), 0);
	assert_int_equal(result.errors, 0);
	check_result_done(&result);
	progress_done(&progress);
}

static void
a_failing_disk_ends_the_writer_with_the_first_error(void **state)
{
	struct fixture *f = *state;
	struct writer_totals totals;

	for (unsigned at = 1; at <= 8; at++) {
		struct fault_plan plan = { .kind = FAULT_ERROR, .at = at, .sys = ENOSPC,
			.stays = true };
		struct error err = ERROR_INIT;
		struct job jobs[JOBS];
		struct writer *writer = begin(f, NULL);

		fault_control_plan(&f->control, &plan);
		submit_all(writer, jobs);
		assert_int_equal(writer_finish(writer, &totals, &err), -1);
		assert_true(f->control.happened);
		assert_int_equal(err.code, ERROR_NO_SPACE);
		/* Each job is run, whatever happened before it. */
		for (unsigned i = 0; i < JOBS; i++)
			assert_int_equal(jobs[i].runs, 1);
		fault_control_plan(&f->control, NULL);
		assert_sound(f);
	}
	{
		struct error err = ERROR_INIT;
		struct job jobs[JOBS];
		struct writer *writer = begin(f, NULL);

		submit_all(writer, jobs);
		assert_int_equal(writer_finish(writer, &totals, &err), 0);
		assert_all_readable(f);
	}
}

static void
after_a_failure_every_put_fails_at_once(void **state)
{
	struct fixture *f = *state;
	struct error why = ERROR_INIT, other = ERROR_INIT, err = ERROR_INIT;
	struct writer *writer = begin(f, NULL);
	struct writer_totals totals;
	struct job jobs[JOBS];
	struct blob_id id;

	assert_false(writer_has_failed(writer));
	error_set(&why, ERROR_UNAVAILABLE, "first");
	error_set(&other, ERROR_IO, "second");
	writer_fail(writer, &why);
	writer_fail(writer, &other);
	assert_true(writer_has_failed(writer));
	submit_all(writer, jobs);
	assert_int_equal(writer_put_meta(writer, BLOB_TREE, "tree", 4, &id, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	writer_drain(writer);
	for (unsigned i = 0; i < JOBS; i++) {
		assert_int_equal(jobs[i].runs, 1);
		assert_int_equal(jobs[i].failures, BLOBS);
	}
	error_clear(&err);
	assert_int_equal(writer_finish(writer, &totals, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_string_equal(err.message, "first");
}

static void
an_aborted_writer_leaves_a_sound_repository(void **state)
{
	struct fixture *f = *state;
	struct job jobs[JOBS];
	struct writer *writer = begin(f, NULL);
	char *tmp = test_path(f->path, "tmp");

	submit_all(writer, jobs);
	writer_abort(writer);
	writer_abort(NULL);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(jobs[i].runs, 1);
	assert_int_equal(test_folder_count(tmp), 0);
	assert_sound(f);
	free(tmp);
}

static void
a_blob_above_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	struct writer *writer = begin(f, NULL);
	struct error err = ERROR_INIT;
	uint8_t *data = mem_calloc(1, BLOB_MAX + 1);
	struct writer_totals totals;
	struct blob_view view;
	struct blob_id id;

	assert_int_equal(writer_put_meta(writer, BLOB_LIST, data, BLOB_MAX + 1, &id, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	error_clear(&err);
	assert_int_equal(writer_put_meta(writer, BLOB_LIST, data, BLOB_MAX, &id, &err), 0);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	assert_int_equal(repository_read_blob(f->repo, BLOB_LIST, &id, &view, &err), 0);
	assert_int_equal(view.len, BLOB_MAX);
	blob_release(&view);
	free(data);
}

static void
a_blob_is_not_read_as_one_of_another_kind(void **state)
{
	struct fixture *f = *state;
	struct writer *writer = begin(f, NULL);
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct blob_view view;
	struct blob_id id;

	assert_int_equal(writer_put_meta(writer, BLOB_TREE, "tree", 4, &id, &err), 0);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	assert_int_equal(repository_read_blob(f->repo, BLOB_TREE, &id, &view, &err), 0);
	blob_release(&view);
	assert_int_equal(repository_read_blob(f->repo, BLOB_LIST, &id, &view, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	/* Data is hashed again only where that is asked for. */
	assert_int_equal(repository_read_blob_checked(f->repo, BLOB_DATA, &id, &view, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
}

static void
trees_lie_apart_from_data(void **state)
{
	struct fixture *f = *state;
	struct writer *writer = begin(f, NULL);
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct blob_place tree, data;
	struct job jobs[JOBS];
	uint8_t bytes[BLOB_LEN];
	struct blob_id id;

	submit_all(writer, jobs);
	assert_int_equal(writer_put_meta(writer, BLOB_TREE, "tree", 4, &id, &err), 0);
	assert_int_equal(writer_finish(writer, &totals, &err), 0);
	assert_int_equal(repository_find_blob(f->repo, &id, &tree, &err), 1);
	fill(bytes, 0);
	blob_hash(f->repo->keys, BLOB_DATA, bytes, BLOB_LEN, &id);
	assert_int_equal(repository_find_blob(f->repo, &id, &data, &err), 1);
	assert_memory_not_equal(&tree.pack, &data.pack, sizeof(tree.pack));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(blobs_of_many_threads_are_stored_once_each),
		CASE(what_was_stored_is_there_for_whoever_opens_it_anew),
		CASE(a_failing_disk_ends_the_writer_with_the_first_error),
		CASE(after_a_failure_every_put_fails_at_once),
		CASE(an_aborted_writer_leaves_a_sound_repository),
		CASE(a_blob_above_the_limit_is_refused),
		CASE(a_blob_is_not_read_as_one_of_another_kind),
		CASE(trees_lie_apart_from_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
