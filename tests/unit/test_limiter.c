/*
 * Limits, by a clock that only the waits themselves move: how long something would take is a sum,
 * and no test waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/storage/limited.h"
#include "shared/limiter.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_folder.h"

#define SECOND INT64_C(1000000000)
#define BEGAN (1000 * SECOND)

/* The linker leads calls of time_monotonic_ns() and progress_wait_until() here. */
static int64_t now_ns;
static unsigned clock_reads;
int64_t __wrap_time_monotonic_ns(void);
bool __wrap_progress_wait_until(struct progress *progress, int64_t deadline_ns);

int64_t
__wrap_time_monotonic_ns(void)
{
	clock_reads++;
	return now_ns;
}

bool
__wrap_progress_wait_until(struct progress *progress, int64_t deadline_ns)
{
	if (atomic_load(&progress->cancelled))
		return false;
	if (deadline_ns > now_ns)
		now_ns = deadline_ns;
	return true;
}

static int
setup(void **state)
{
	static struct progress progress;

	progress_init(&progress);
	now_ns = BEGAN;
	clock_reads = 0;
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
the_first_goes_at_once_and_the_next_when_that_is_paid(void **state)
{
	struct limiter limiter;

	(void)state;
	limiter_init(&limiter, 1000);
	assert_true(limiter_take(&limiter, 5000, BEGAN) <= BEGAN);
	assert_int_equal(limiter_take(&limiter, 1000, BEGAN),
	    BEGAN + 5 * SECOND - LIMITER_CREDIT_NS);
	assert_int_equal(limiter_take(&limiter, 1, BEGAN + SECOND),
	    BEGAN + 6 * SECOND - LIMITER_CREDIT_NS);
	limiter_done(&limiter);
}

static void
turns_come_in_the_order_of_asking(void **state)
{
	struct limiter limiter;
	int64_t last = INT64_MIN;

	(void)state;
	limiter_init(&limiter, 100);
	/* A greedy one in between makes the others wait, but never passes them. */
	for (int i = 0; i < 100; i++) {
		int64_t from = limiter_take(&limiter, i % 10 == 0 ? 1000 : 1, BEGAN + i);

		assert_true(from > last);
		last = from;
	}
	limiter_done(&limiter);
}

static void
idleness_saves_up_no_more_than_the_credit(void **state)
{
	struct limiter limiter;
	int64_t later = BEGAN + 3600 * SECOND, from = 0;
	uint64_t at_once = 0;

	(void)state;
	limiter_init(&limiter, 1000);
	assert_true(limiter_take(&limiter, 1, BEGAN) <= BEGAN);
	while ((from = limiter_take(&limiter, 10, later)) <= later)
		at_once += 10;
	/* What the credit pays, and the one that goes into debt. */
	assert_int_equal(at_once, 1000 * LIMITER_CREDIT_NS / SECOND + 10);
	limiter_done(&limiter);
}

static void
what_is_given_back_is_owed_no_more(void **state)
{
	struct limiter limiter;

	(void)state;
	limiter_init(&limiter, 1000);
	limiter_take(&limiter, 1000, BEGAN);
	limiter_take(&limiter, 50000, BEGAN);
	limiter_return(&limiter, 50000);
	assert_int_equal(limiter_take(&limiter, 1, BEGAN), BEGAN + SECOND - LIMITER_CREDIT_NS);
	limiter_done(&limiter);
}

static void
no_amount_is_too_much(void **state)
{
	struct limiter limiter;
	int64_t from = 0, last = 0;

	(void)state;
	limiter_init(&limiter, 1);
	for (int i = 0; i < 100; i++) {
		from = limiter_take(&limiter, UINT64_MAX, BEGAN);
		assert_true(from >= last);
		last = from;
	}
	limiter_done(&limiter);
	/* Nor is any rate too high. */
	limiter_init(&limiter, UINT64_MAX);
	assert_true(limiter_take(&limiter, UINT32_MAX, BEGAN) <= BEGAN);
	assert_true(limiter_take(&limiter, 1, BEGAN) <= BEGAN);
	limiter_done(&limiter);
}

static void
no_limit_costs_nothing(void **state)
{
	struct limit none = { .progress = *state };

	limit_wait(NULL, 1 << 30);
	limit_wait(&none, 1 << 30);
	assert_false(limit_is_set(NULL));
	assert_false(limit_is_set(&none));
	assert_int_equal(limit_piece(&none, 1 << 30), 1 << 30);
	assert_int_equal(limit_piece(NULL, 1 << 30), 1 << 30);
	assert_int_equal(clock_reads, 0);
}

static void
of_two_limits_the_stricter_one_counts(void **state)
{
	struct limiter fast, slow;
	struct limit limit = { { &fast, &slow }, *state };

	limiter_init(&fast, 1000000);
	limiter_init(&slow, 1000);
	for (int i = 0; i < 10; i++)
		limit_wait(&limit, 1000);
	assert_int_equal(now_ns - BEGAN, 9 * SECOND - LIMITER_CREDIT_NS);
	limiter_done(&fast);
	limiter_done(&slow);
}

static void
who_is_cancelled_waits_no_more_and_leaves_no_debt(void **state)
{
	struct progress *progress = *state;
	struct limiter limiter;
	struct limit limit = { { &limiter }, progress };

	limiter_init(&limiter, 10);
	limit_wait(&limit, 10);
	progress_cancel(progress);
	for (int i = 0; i < 100; i++)
		limit_wait(&limit, 1000000);
	assert_int_equal(now_ns, BEGAN);
	assert_int_equal(limiter_take(&limiter, 1, BEGAN), BEGAN + SECOND - LIMITER_CREDIT_NS);
	limiter_done(&limiter);
}

static void
pieces_are_an_eighth_of_a_second_but_not_tiny(void **state)
{
	struct limiter limiter;
	struct limit limit = { { &limiter }, *state };

	limiter_init(&limiter, 8 << 20);
	assert_int_equal(limit_piece(&limit, 100 << 20), 1 << 20);
	assert_int_equal(limit_piece(&limit, 5), 5);
	limiter_done(&limiter);
	limiter_init(&limiter, 1);
	assert_int_equal(limit_piece(&limit, 100 << 20), 16 << 10);
	limiter_done(&limiter);
}

static void
a_storage_is_written_and_read_at_its_pace(void **state)
{
	enum { LEN = 1 << 20, RATE = 64 << 10 };
	char *folder = test_folder_new();
	struct storage *inner = NULL, *storage;
	struct limiter up, down;
	struct limit upload = { { &up }, *state }, download = { { &down }, *state };
	struct buffer got = BUFFER_INIT;
	struct error err = ERROR_INIT;
	uint8_t *data = mem_calloc(1, LEN);

	for (size_t i = 0; i < LEN; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	limiter_init(&up, RATE);
	limiter_init(&down, 2 * RATE);
	assert_int_equal(storage_open(folder, false, &inner, &err), 0);
	storage = storage_limited_new(inner, &upload, &download);
	assert_string_equal(storage_url(storage), folder);

	assert_int_equal(storage_put_whole(storage, "packs/one", data, LEN, false, &err), 0);
	/* The last piece is written when those before it are paid. */
	assert_int_equal(now_ns - BEGAN, 16 * SECOND - LIMITER_CREDIT_NS - SECOND / 4);
	now_ns = BEGAN;
	for (int i = 0; i < 3; i++) {
		buffer_clear(&got);
		assert_int_equal(storage_get_whole(storage, "packs/one", LEN, &got, &err), 0);
		assert_int_equal(got.len, LEN);
		assert_memory_equal(got.data, data, LEN);
	}
	assert_int_equal(now_ns - BEGAN, 16 * SECOND - LIMITER_CREDIT_NS);

	/* An existing name is an error through it, too, and what was given up is not there. */
	assert_int_equal(storage_put_whole(storage, "packs/one", data, 1, false, &err), -1);
	assert_int_equal(err.code, ERROR_EXISTS);
	storage_close(storage);
	storage_close(inner);
	buffer_done(&got);
	free(data);
	limiter_done(&up);
	limiter_done(&down);
	test_folder_remove(folder);
}

static void
claims_are_never_held_up(void **state)
{
	char *folder = test_folder_new();
	struct storage *inner = NULL, *storage;
	struct limiter slow;
	struct limit limit = { { &slow }, *state };
	struct error err = ERROR_INIT;
	char text[100] = "";

	limiter_init(&slow, 1);
	limiter_take(&slow, 1000000, BEGAN);
	assert_int_equal(storage_open(folder, false, &inner, &err), 0);
	storage = storage_limited_new(inner, &limit, &limit);
	assert_int_equal(storage_put_whole(storage, "claims/one", text, sizeof(text), true, &err),
	    0);
	assert_int_equal(storage_get(storage, "claims/one", 0, text, sizeof(text), &err), 0);
	assert_int_equal(now_ns, BEGAN);
	assert_int_equal(storage_put_whole(storage, "marks/one", text, 1, true, &err), 0);
	assert_true(now_ns > BEGAN);
	storage_close(storage);
	storage_close(inner);
	limiter_done(&slow);
	test_folder_remove(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    the_first_goes_at_once_and_the_next_when_that_is_paid, setup, teardown),
		cmocka_unit_test_setup_teardown(turns_come_in_the_order_of_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    idleness_saves_up_no_more_than_the_credit, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_given_back_is_owed_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(no_amount_is_too_much, setup, teardown),
		cmocka_unit_test_setup_teardown(no_limit_costs_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    of_two_limits_the_stricter_one_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    who_is_cancelled_waits_no_more_and_leaves_no_debt, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    pieces_are_an_eighth_of_a_second_but_not_tiny, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_storage_is_written_and_read_at_its_pace, setup, teardown),
		cmocka_unit_test_setup_teardown(claims_are_never_held_up, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
