/*
 * Cut points: where they lie, that they move with the bytes, that the key decides, and that the
 * fast way of finding them finds those that FORMAT.md says.
 */
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
#define SMALLEST (32u << 10)
#define MEAN (72u << 10)
#define LARGEST (512u << 10)
#define CUTS_MAX (DATA_LEN / SMALLEST + 2)

struct cuts {
	size_t list[CUTS_MAX]; /* ends, from the start of the data */
	size_t count;
};

static const uint8_t key_a[32] = { 'a' }, key_b[32] = { 'b' };
static const struct chunk_sizes sizes = { SMALLEST, MEAN, LARGEST };

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

	chunker_init(&chunker, &sizes, key);
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
chunks_keep_their_limits_and_have_their_mean(void **state)
{
	struct cuts cuts;

	cut_all(key_a, *state, DATA_LEN, &cuts);
	for (size_t i = 0; i + 1 < cuts.count; i++) {
		size_t len = cuts.list[i] - (i > 0 ? cuts.list[i - 1] : 0);

		assert_in_range(len, SMALLEST, LARGEST);
	}
	assert_in_range(DATA_LEN / cuts.count, MEAN * 9 / 10, MEAN * 11 / 10);
}

static void
the_same_bytes_are_cut_alike_wherever_they_lie(void **state)
{
	static const size_t shifts[] = { 1, 3, 4096, SMALLEST, 100001 };
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

/* Bytes of chunks that were not there before. */
static size_t
added_bytes(const struct cuts *before, const uint8_t *old, const struct cuts *after,
    const uint8_t *changed)
{
	size_t sum = 0;

	for (size_t i = 0, k = 0; i < after->count; i++) {
		size_t start = i > 0 ? after->list[i - 1] : 0, end = after->list[i];

		while (k + 1 < before->count && before->list[k] < end)
			k++;
		if (before->list[k] != end || (k > 0 ? before->list[k - 1] : 0) != start ||
		    memcmp(old + start, changed + start, end - start) != 0)
			sum += end - start;
	}
	return sum;
}

/* With chunks of nearly equal size it would be 350 KiB: the old cuts and the new ones meet late. */
static void
a_changed_place_of_64_kib_adds_at_most_its_double_and_a_half(void **state)
{
	const size_t place = 64u << 10, step = 1u << 20, count = DATA_LEN / step;
	uint8_t *changed = mem_dup(*state, DATA_LEN);
	struct cuts before, after;
	size_t sum = 0, keys = 16;

	for (size_t at = step / 3; at < DATA_LEN; at += step)
		for (size_t i = 0; i < place; i++)
			changed[at + i] ^= 0x55;
	for (uint8_t i = 0; i < keys; i++) {
		const uint8_t key[32] = { 'k', i };

		cut_all(key, *state, DATA_LEN, &before);
		cut_all(key, changed, DATA_LEN, &after);
		sum += added_bytes(&before, *state, &after, changed);
	}
	assert_in_range(sum / count / keys, place, place * 5 / 2 + place / 4);
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

/* One byte after another, as FORMAT.md says it. */
static size_t
cut_plainly(const struct chunker *chunker, const uint8_t *data, size_t len)
{
	uint64_t hash = 0, below = UINT64_MAX / (chunker->sizes.mean - chunker->sizes.min);

	for (size_t i = chunker->sizes.min; i < len; i++) {
		if (i == chunker->sizes.max)
			return i;
		hash = hash * 2 + chunker->gear[data[i]];
		if (hash < below)
			return i + 1;
	}
	return len;
}

static void
assert_cut_as_plainly(const struct chunk_sizes *of, const uint8_t key[32], const uint8_t *data,
    size_t len)
{
	struct chunker chunker;

	chunker_init(&chunker, of, key);
	for (size_t at = 0; at < len;) {
		size_t n = chunker_cut(&chunker, data + at, len - at, 1);

		assert_int_equal(n, cut_plainly(&chunker, data + at, len - at));
		at += n;
	}
}

static void
cuts_are_those_of_the_plain_way(void **state)
{
	static const struct chunk_sizes tried[] = { { SMALLEST, MEAN, LARGEST },
		{ 4096, 5120, 5121 }, { 4096, 8192, 4u << 20 }, { 4097, 6007, 70001 },
		{ 65536, 131072, 524288 } };
	size_t len = 3u << 20;
	uint8_t *data = mem_dup(*state, len);

	for (size_t i = 0; i < ARRAY_LEN(tried); i++) {
		for (uint8_t k = 0; k < 8; k++) {
			const uint8_t key[32] = { 'p', k };

			/* Ends at each place of a step of four. */
			assert_cut_as_plainly(&tried[i], key, data, len - k);
		}
	}
	/* Few values, short periods, one value: hashes that hardly change, or never. */
	for (size_t i = 0; i < len; i++)
		data[i] &= 1;
	for (size_t i = 0; i < ARRAY_LEN(tried); i++)
		assert_cut_as_plainly(&tried[i], key_a, data, len);
	for (size_t period = 1; period < 80; period++) {
		for (size_t i = 0; i < len / 4; i++)
			data[i] = (uint8_t)(i % period * 37 + period);
		for (size_t i = 0; i < ARRAY_LEN(tried); i++)
			assert_cut_as_plainly(&tried[i], key_a, data, len / 4);
	}
	free(data);
}

static void
sizes_that_a_repository_may_not_have_are_told(void **state)
{
	static const struct chunk_sizes good[] = { { 4096, 5120, 5120 }, { 4096, 8192, 4u << 20 },
		{ SMALLEST, MEAN, LARGEST }, { 65536, 131072, 524288 } };
	static const struct chunk_sizes bad[] = { { 0, 0, 0 }, { 4095, 8192, 65536 },
		{ 4096, 5119, 65536 }, { 8192, 4096, 65536 }, { 4096, 8192, 8191 },
		{ 4096, 8192, (4u << 20) + 1 }, { UINT32_MAX, 1, 2 },
		{ UINT32_MAX, UINT32_MAX, UINT32_MAX } };

	(void)state;
	assert_true(chunk_sizes_possible(&chunk_sizes_default));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(chunk_sizes_possible(&good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(chunk_sizes_possible(&bad[i]));
}

/* Repositories are older than programs: these must never change. */
static void
cuts_are_where_they_always_were(void **state)
{
	static const size_t expected[] = { 36429, 85543, 132610, 174800, 253991, 290257,
		329920, 398386 };
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

	chunker_init(&chunker, &sizes, key_a);
	whole = chunker_cut(&chunker, data, DATA_LEN, 0);
	assert_true(whole > 0);
	for (size_t len = 1; len < whole; len += 997) {
		assert_int_equal(chunker_cut(&chunker, data, len, 0), 0);
		assert_int_equal(chunker_cut(&chunker, data, len, 1), len);
	}
	for (size_t len = whole; len < LARGEST; len += 9973) {
		assert_int_equal(chunker_cut(&chunker, data, len, 0), whole);
		assert_int_equal(chunker_cut(&chunker, data, len, 1), whole);
	}
}

static void
short_data_is_one_chunk_and_endless_monotony_is_cut_at_the_limit(void **state)
{
	uint8_t *zeros = mem_calloc(1, 2 * LARGEST);
	struct chunker chunker;
	size_t n;

	(void)state;
	chunker_init(&chunker, &sizes, key_a);
	assert_int_equal(chunker_cut(&chunker, zeros, 1, 1), 1);
	assert_int_equal(chunker_cut(&chunker, zeros, SMALLEST, 1), SMALLEST);
	n = chunker_cut(&chunker, zeros, 2 * LARGEST, 0);
	assert_in_range(n, SMALLEST, LARGEST);
	assert_int_equal(chunker_cut(&chunker, zeros, LARGEST, 0), n);
	free(zeros);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_keep_their_limits_and_have_their_mean),
		cmocka_unit_test(the_same_bytes_are_cut_alike_wherever_they_lie),
		cmocka_unit_test(a_change_in_the_middle_moves_few_cuts),
		cmocka_unit_test(a_changed_place_of_64_kib_adds_at_most_its_double_and_a_half),
		cmocka_unit_test(cuts_are_those_of_the_plain_way),
		cmocka_unit_test(sizes_that_a_repository_may_not_have_are_told),
		cmocka_unit_test(another_key_cuts_elsewhere),
		cmocka_unit_test(cuts_are_where_they_always_were),
		cmocka_unit_test(without_enough_bytes_no_cut_is_told_before_the_end),
		cmocka_unit_test(short_data_is_one_chunk_and_endless_monotony_is_cut_at_the_limit),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
