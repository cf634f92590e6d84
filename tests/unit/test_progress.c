#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "shared/progress.h"
#include "shared/text.h"

static int
setup(void **state)
{
	static struct progress progress;

	progress_init(&progress);
	*state = &progress;
	return 0;
}

static int
teardown(void **state)
{
	progress_done(*state);
	return 0;
}

static void
a_fresh_progress_shows_nothing(void **state)
{
	struct progress_view view;
	struct error err = ERROR_INIT;

	progress_read(*state, &view);
	assert_string_equal(view.phase, "");
	assert_string_equal(view.path, "");
	assert_int_equal(view.files + view.bytes + view.losses + view.notes, 0);
	assert_false(view.paused);
	assert_int_equal(progress_check(*state, &err), 0);
}

static void
a_reader_sees_what_was_told(void **state)
{
	struct progress *progress = *state;
	struct progress_view view;

	progress_phase(progress, "backup");
	atomic_fetch_add(&progress->files, 3);
	atomic_store(&progress->files_total, 4);
	atomic_fetch_add(&progress->bytes, 5);
	atomic_store(&progress->bytes_total, 6);
	atomic_fetch_add(&progress->stored_bytes, 7);
	progress_path(progress, "/srv/\x1b", 6);
	progress_read(progress, &view);
	assert_string_equal(view.phase, "backup");
	assert_string_equal(view.path, "/srv/\\x1b");
	assert_int_equal(view.files, 3);
	assert_int_equal(view.files_total, 4);
	assert_int_equal(view.bytes, 5);
	assert_int_equal(view.bytes_total, 6);
	assert_int_equal(view.stored_bytes, 7);
}

static void
a_path_too_long_is_cut_between_characters(void **state)
{
	static const struct {
		const char *unit; /* as it is shown */
		const char *bytes;
	} rows[] = { { "a", "a" }, { "ä", "ä" }, { "世", "世" }, { "🙂", "🙂" },
		{ "\\x01", "\x01" }, { "\\\\", "\\" } };
	struct progress *progress = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t unit = strlen(rows[i].unit), len = strlen(rows[i].bytes);

		/* Each start shifts where the cut would fall. */
		for (size_t shift = 0; shift < unit; shift++) {
			char path[20000];
			struct progress_view view;
			size_t used = 0, shown;

			while (used < shift)
				path[used++] = '/';
			for (; used + len < sizeof(path); used += len)
				memcpy(path + used, rows[i].bytes, len);
			progress_path(progress, path, used);
			progress_read(progress, &view);
			shown = strlen(view.path);
			assert_in_range(shown, sizeof(view.path) - 1 - unit, sizeof(view.path) - 1);
			assert_string_equal(view.path + shown - 3, "...");
			assert_int_equal((shown - 3 - shift) % unit, 0);
			assert_true(text_is_utf8(view.path, shown));
		}
	}
}

static void
a_path_that_just_fits_is_whole(void **state)
{
	struct progress *progress = *state;
	struct progress_view view;
	char path[sizeof(view.path) - 1];

	memset(path, 'a', sizeof(path));
	progress_path(progress, path, sizeof(path));
	progress_read(progress, &view);
	assert_int_equal(strlen(view.path), sizeof(path));
	assert_null(strstr(view.path, "..."));
}

static void
losses_and_notes_are_kept_apart_and_printable(void **state)
{
	struct progress *progress = *state;
	struct progress_view view;

	progress_loss(progress, "/a\n", 3, "could not read: %s", "\x1b[2J");
	progress_note(progress, "/s", 2, "socket skipped");
	progress_read(progress, &view);
	assert_int_equal(view.losses, 1);
	assert_int_equal(view.notes, 1);
	assert_string_equal(progress->losses.list[0].path, "/a\\x0a");
	assert_string_equal(progress->losses.list[0].reason, "could not read: \\x1b[2J");
	assert_string_equal(progress->notes.list[0].path, "/s");
	assert_string_equal(progress->notes.list[0].reason, "socket skipped");
}

#define WRITERS 4
#define EACH 1000

static void *
lose_many(void *arg)
{
	for (unsigned i = 0; i < EACH; i++) {
		progress_loss(arg, "/x", 2, "number %u", i);
		progress_path(arg, "/x/y", 4);
	}
	return NULL;
}

static void
all_losses_are_counted_but_only_the_first_kept(void **state)
{
	struct progress *progress = *state;
	pthread_t threads[WRITERS];
	struct progress_view view;

	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, lose_many, progress), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	progress_read(progress, &view);
	assert_int_equal(view.losses, WRITERS * EACH);
	assert_int_equal(progress->losses.count, PROGRESS_REMARKS_MAX);
	assert_string_equal(progress->losses.list[0].path, "/x");
}

static void
cancelling_ends_the_operation_for_good(void **state)
{
	struct error err = ERROR_INIT;

	progress_cancel(*state);
	assert_int_equal(progress_check(*state, &err), -1);
	assert_int_equal(err.code, ERROR_CANCELLED);
	assert_string_equal(err.message, "cancelled by the operator");
	assert_int_equal(progress_check(*state, &err), -1);
}

struct waiter {
	struct progress *progress;
	atomic_bool entered, left;
	struct error err;
	int status;
};

static void *
wait_in_check(void *arg)
{
	struct waiter *waiter = arg;

	atomic_store(&waiter->entered, true);
	waiter->status = progress_check(waiter->progress, &waiter->err);
	atomic_store(&waiter->left, true);
	return NULL;
}

static void
a_paused_operation_waits_until_it_is_resumed(void **state)
{
	struct waiter waiter = { .progress = *state };
	struct progress_view view;
	pthread_t thread;

	progress_pause(*state, true);
	progress_read(*state, &view);
	assert_true(view.paused);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_check, &waiter), 0);
	while (!atomic_load(&waiter.entered))
		sched_yield();
	/* Sound whatever the scheduler does: a check that waits cannot have returned. */
	assert_false(atomic_load(&waiter.left));
	progress_pause(*state, false);
	pthread_join(thread, NULL);
	assert_int_equal(waiter.status, 0);
	progress_read(*state, &view);
	assert_false(view.paused);
}

static void
cancelling_wakes_a_paused_operation(void **state)
{
	struct waiter waiter = { .progress = *state };
	pthread_t thread;

	progress_pause(*state, true);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_check, &waiter), 0);
	progress_cancel(*state);
	pthread_join(thread, NULL);
	assert_int_equal(waiter.status, -1);
	assert_int_equal(waiter.err.code, ERROR_CANCELLED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

struct until {
	struct progress *progress;
	int64_t deadline_ns;
	atomic_bool released; /* set by the test before it lets the until go */
	bool was_released, reached;
};

static void *
until_main(void *arg)
{
	struct until *until = arg;

	until->reached = progress_wait_until(until->progress, until->deadline_ns);
	until->was_released = atomic_load(&until->released);
	return NULL;
}

static void
a_wait_is_over_at_its_time_and_not_before(void **state)
{
	int64_t deadline_ns = time_monotonic_ns() + 2000000;

	assert_true(progress_wait_until(*state, 0));
	assert_true(progress_wait_until(*state, deadline_ns));
	assert_true(time_monotonic_ns() >= deadline_ns);
}

static void
a_wait_for_ever_ends_when_it_is_cancelled(void **state)
{
	struct until until = { .progress = *state, .deadline_ns = INT64_MAX };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, until_main, &until), 0);
	atomic_store(&until.released, true);
	progress_cancel(*state);
	pthread_join(thread, NULL);
	assert_false(until.reached);
	/* And what comes later does not even begin to wait. */
	assert_false(progress_wait_until(*state, INT64_MAX));
	assert_false(progress_wait_until(*state, 0));
}

static void
a_wait_is_not_over_while_it_is_paused(void **state)
{
	struct until until = { .progress = *state, .deadline_ns = 0 };
	pthread_t thread;

	progress_pause(*state, true);
	assert_int_equal(pthread_create(&thread, NULL, until_main, &until), 0);
	atomic_store(&until.released, true);
	progress_pause(*state, false);
	pthread_join(thread, NULL);
	assert_true(until.reached);
	assert_true(until.was_released);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fresh_progress_shows_nothing),
		TEST(a_reader_sees_what_was_told),
		TEST(a_path_too_long_is_cut_between_characters),
		TEST(a_path_that_just_fits_is_whole),
		TEST(losses_and_notes_are_kept_apart_and_printable),
		TEST(all_losses_are_counted_but_only_the_first_kept),
		TEST(cancelling_ends_the_operation_for_good),
		TEST(a_paused_operation_waits_until_it_is_resumed),
		TEST(cancelling_wakes_a_paused_operation),
		TEST(a_wait_is_over_at_its_time_and_not_before),
		TEST(a_wait_for_ever_ends_when_it_is_cancelled),
		TEST(a_wait_is_not_over_while_it_is_paused),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
