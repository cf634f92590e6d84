/* The table of blobs against a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "agent/repository/blob_table.h"

/* Several blocks and several times the slots. */
#define MANY 50000u

static struct blob_id
id_of(uint32_t n)
{
	struct blob_id id;
	uint64_t seed = n;

	for (size_t i = 0; i < BLOB_ID_SIZE; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		id.bytes[i] = (uint8_t)(seed >> 56);
	}
	return id;
}

static struct blob_location
place_of(uint32_t n)
{
	return (struct blob_location){ .frame = n * 77777, .offset = n * 300, .len = n + 1 };
}

static void
assert_same_place(const struct blob_location *a, const struct blob_location *b)
{
	assert_int_equal(a->frame, b->frame);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->len, b->len);
}

static void
every_blob_is_found_where_it_was_put(void **state)
{
	struct blob_location at, expected;
	struct blob_table table;
	struct blob_id id, got;

	(void)state;
	blob_table_init(&table);
	for (uint32_t n = 0; n < MANY; n++) {
		id = id_of(n);
		at = place_of(n);
		assert_int_equal(blob_table_find(&table, &id, NULL), 0);
		assert_int_equal(blob_table_insert(&table, &id, &at, 0), 1);
		assert_int_equal(table.count, n + 1);
	}
	for (uint32_t n = 0; n < MANY; n++) {
		id = id_of(n);
		expected = place_of(n);
		assert_int_equal(blob_table_find(&table, &id, &at), 1);
		assert_same_place(&at, &expected);
		blob_table_get(&table, n, &got, &at);
		assert_int_equal(blob_id_compare(&got, &id), 0);
		assert_same_place(&at, &expected);
	}
	for (uint32_t n = MANY; n < 2 * MANY; n++) {
		id = id_of(n);
		assert_int_equal(blob_table_find(&table, &id, &at), 0);
	}
	blob_table_done(&table);
	assert_int_equal(table.count, 0);
	assert_int_equal(blob_table_find(&table, &id, &at), 0);
}

static void
a_second_insert_replaces_only_on_request(void **state)
{
	struct blob_location first = place_of(1), second = place_of(2), at;
	struct blob_table table;
	struct blob_id id = id_of(1);

	(void)state;
	blob_table_init(&table);
	assert_int_equal(blob_table_insert(&table, &id, &first, 0), 1);
	assert_int_equal(blob_table_insert(&table, &id, &second, 0), 0);
	assert_int_equal(blob_table_find(&table, &id, &at), 1);
	assert_same_place(&at, &first);
	assert_int_equal(blob_table_insert(&table, &id, &second, 1), 0);
	assert_int_equal(blob_table_find(&table, &id, &at), 1);
	assert_same_place(&at, &second);
	assert_int_equal(table.count, 1);
	blob_table_done(&table);
}

static void
the_largest_place_fits(void **state)
{
	struct blob_location largest = { .frame = UINT32_MAX,
		.offset = BLOB_MAX + (2u << 20), .len = BLOB_MAX }, at;
	struct blob_table table;
	struct blob_id id = id_of(1);

	(void)state;
	blob_table_init(&table);
	blob_table_insert(&table, &id, &largest, 0);
	assert_int_equal(blob_table_find(&table, &id, &at), 1);
	assert_same_place(&at, &largest);
	blob_table_done(&table);
}

/* All of them want the same slots, at the end of the table. */
static void
ids_with_the_same_beginning_are_told_apart(void **state)
{
	struct blob_location at;
	struct blob_table table;
	struct blob_id id;

	(void)state;
	blob_table_init(&table);
	memset(&id, 0xff, sizeof(id));
	for (uint32_t n = 0; n < 2000; n++) {
		id.bytes[30] = (uint8_t)(n >> 8);
		id.bytes[31] = (uint8_t)n;
		at = place_of(n);
		assert_int_equal(blob_table_insert(&table, &id, &at, 0), 1);
	}
	for (uint32_t n = 0; n < 2000; n++) {
		id.bytes[30] = (uint8_t)(n >> 8);
		id.bytes[31] = (uint8_t)n;
		assert_int_equal(blob_table_find(&table, &id, &at), 1);
		assert_int_equal(at.len, n + 1);
	}
	blob_table_done(&table);
}

/* The same slot for all of them, but other bits next to those that choose it. */
static void
ids_of_the_same_slot_are_told_apart(void **state)
{
	struct blob_location at;
	struct blob_table table;
	struct blob_id id;

	(void)state;
	blob_table_init(&table);
	memset(&id, 0, sizeof(id));
	for (uint32_t n = 0; n < 2000; n++) {
		memcpy(id.bytes + sizeof(n), &(uint32_t){ n << 21 | n }, sizeof(n));
		at = place_of(n);
		assert_int_equal(blob_table_insert(&table, &id, &at, 0), 1);
		assert_int_equal(blob_table_insert(&table, &id, &at, 0), 0);
	}
	for (uint32_t n = 0; n < 2000; n++) {
		memcpy(id.bytes + sizeof(n), &(uint32_t){ n << 21 | n }, sizeof(n));
		assert_int_equal(blob_table_find(&table, &id, &at), 1);
		assert_int_equal(at.len, n + 1);
	}
	blob_table_done(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_blob_is_found_where_it_was_put),
		cmocka_unit_test(a_second_insert_replaces_only_on_request),
		cmocka_unit_test(the_largest_place_fits),
		cmocka_unit_test(ids_with_the_same_beginning_are_told_apart),
		cmocka_unit_test(ids_of_the_same_slot_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
