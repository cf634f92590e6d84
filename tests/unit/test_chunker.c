/* Cut points: where they lie, that they move with the bytes, and that the key decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/chunker.h"
#include "shared/mem.h"

#define DATA_LEN (16u << 20)
#define CUTS_MAX (DATA_LEN / CHUNK_MIN + 2)

struct cuts {
	size_t list[CUTS_MAX]; /* ends, from the start of the data */
	size_t count;
};

static const uint8_t key_a[32] = { 'a' }, key_b[32] = { 'b' };

static int
group_setup(void **state)
{
	uint8_t *data = mem_realloc(NULL, DATA_LEN, 1);
	static const uint8_t seed[randombytes_SEEDBYTES] = { 'n', 'o', 'i', 's', 'e' };

	if (sodium_init() < 0)
		return -1;
	/* The same in every run. */
	randombytes_buf_deterministic(data, DATA_LEN, seed);
	*state = data;
	return 0;
}

static int
group_teardown(void **state)
{
	free(*state);
	return 0;
}

static void
cut_all(const uint8_t key[32], const uint8_t *data, size_t len, struct cuts *ret)
{
	struct chunker chunker;
	size_t at = 0;

	chunker_init(&chunker, key);
	ret->count = 0;
	while (at < len) {
		size_t n = chunker_cut(&chunker, data + at, len - at, 1);

		assert_true(n > 0 && n <= len - at);
		assert_true(ret->count < CUTS_MAX);
		at += n;
		ret->list[ret->count++] = at;
	}
	assert_int_equal(at, len);
}

static size_t
common_cuts(const struct cuts *a, const struct cuts *b, size_t shift)
{
	size_t common = 0;

	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			common += a->list[i] + shift == b->list[k];
	return common;
}

static void
chunks_keep_their_limits_and_gather_round_the_target(void **state)
{
	struct cuts cuts;

	cut_all(key_a, *state, DATA_LEN, &cuts);
	for (size_t i = 0; i + 1 < cuts.count; i++) {
		size_t len = cuts.list[i] - (i > 0 ? cuts.list[i - 1] : 0);

		assert_in_range(len, CHUNK_MIN, CHUNK_MAX);
	}
	assert_in_range(DATA_LEN / cuts.count, CHUNK_TARGET * 3 / 4, CHUNK_TARGET * 5 / 4);
}

static void
the_same_bytes_are_cut_alike_wherever_they_lie(void **state)
{
	static const size_t shifts[] = { 1, 3, 4096, CHUNK_MIN, 100001 };
	const uint8_t *data = *state;
	size_t len = DATA_LEN / 2;
	struct cuts plain, shifted;

	cut_all(key_a, data, len, &plain);
	for (size_t i = 0; i < ARRAY_LEN(shifts); i++) {
		uint8_t *moved = mem_realloc(NULL, len + shifts[i], 1);

		memset(moved, 0x5a, shifts[i]);
		memcpy(moved + shifts[i], data, len);
		cut_all(key_a, moved, len + shifts[i], &shifted);
		/* A few chunks until both find the same cut, then all of them. */
		assert_true(common_cuts(&plain, &shifted, shifts[i]) + 8 >= plain.count);
		free(moved);
	}
}

static void
a_change_in_the_middle_moves_few_cuts(void **state)
{
	size_t len = DATA_LEN / 2;
	uint8_t *changed = mem_dup(*state, len);
	struct cuts before, after;

	cut_all(key_a, *state, len, &before);
	changed[len / 2] ^= 0xff;
	cut_all(key_a, changed, len, &after);
	assert_true(common_cuts(&before, &after, 0) + 6 >= before.count);
	free(changed);
}

static void
another_key_cuts_elsewhere(void **state)
{
	struct cuts a, b;

	cut_all(key_a, *state, DATA_LEN, &a);
	cut_all(key_b, *state, DATA_LEN, &b);
	/* The end of the data is common; by chance hardly any other. */
	assert_true(common_cuts(&a, &b, 0) <= 3);
}

/* Repositories are older than programs: these must never change. */
static void
cuts_are_where_they_always_were(void **state)
{
	static const size_t expected[] = { 132610, 290257, 422301, 560442, 712488, 846077,
		996261, 1165212 };
	struct cuts cuts;

	cut_all(key_a, *state, DATA_LEN, &cuts);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_int_equal(cuts.list[i], expected[i]);
}

static void
without_enough_bytes_no_cut_is_told_before_the_end(void **state)
{
	const uint8_t *data = *state;
	struct chunker chunker;
	size_t whole;

	chunker_init(&chunker, key_a);
	whole = chunker_cut(&chunker, data, DATA_LEN, 0);
	assert_true(whole > 0);
	for (size_t len = 1; len < whole; len += 997) {
		assert_int_equal(chunker_cut(&chunker, data, len, 0), 0);
		assert_int_equal(chunker_cut(&chunker, data, len, 1), len);
	}
	for (size_t len = whole; len < CHUNK_MAX; len += 9973) {
		assert_int_equal(chunker_cut(&chunker, data, len, 0), whole);
		assert_int_equal(chunker_cut(&chunker, data, len, 1), whole);
	}
}

static void
short_data_is_one_chunk_and_endless_monotony_is_cut_at_the_limit(void **state)
{
	uint8_t *zeros = mem_calloc(1, 2 * CHUNK_MAX);
	struct chunker chunker;
	size_t n;

	(void)state;
	chunker_init(&chunker, key_a);
	assert_int_equal(chunker_cut(&chunker, zeros, 1, 1), 1);
	assert_int_equal(chunker_cut(&chunker, zeros, CHUNK_MIN, 1), CHUNK_MIN);
	n = chunker_cut(&chunker, zeros, 2 * CHUNK_MAX, 0);
	assert_in_range(n, CHUNK_MIN, CHUNK_MAX);
	assert_int_equal(chunker_cut(&chunker, zeros, CHUNK_MAX, 0), n);
	free(zeros);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_keep_their_limits_and_gather_round_the_target),
		cmocka_unit_test(the_same_bytes_are_cut_alike_wherever_they_lie),
		cmocka_unit_test(a_change_in_the_middle_moves_few_cuts),
		cmocka_unit_test(another_key_cuts_elsewhere),
		cmocka_unit_test(cuts_are_where_they_always_were),
		cmocka_unit_test(without_enough_bytes_no_cut_is_told_before_the_end),
		cmocka_unit_test(short_data_is_one_chunk_and_endless_monotony_is_cut_at_the_limit),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
