/* One pack and its parity: what heals, what does not, and that it says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "agent/repository/parity.h"
#include "agent/repository/parity_code.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

struct fixture {
	char *folder, *pack_path, *parity_path;
	struct storage *storage;
	struct keys *keys;
	struct object_id id;
	uint8_t *pack; /* as it was written */
	size_t size;
	struct parity_shape shape;
};

static int
setup(void **state)
{
	static const uint8_t master[MASTER_KEY_SIZE] = { 1, 2, 3 };
	static const struct object_id repository = { { 7 } };
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;

	if (crypto_start(&err) != 0)
		return -1;
	f->folder = test_folder_new_in_memory();
	f->keys = keys_new(master, &repository);
	*state = f;
	return storage_open(f->folder, false, &f->storage, &err);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	storage_close(f->storage);
	keys_free(f->keys);
	test_folder_remove(f->folder);
	free(f->pack_path);
	free(f->parity_path);
	free(f->pack);
	free(f);
	return 0;
}

static void
skip_without_library(void)
{
	if (!parity_code_available())
		skip();
}

static void
put(struct fixture *f, const char *name, const void *data, size_t len)
{
	struct error err = ERROR_INIT;

	if (storage_put_whole(f->storage, name, data, len, true, &err) != 0)
		fail_msg("%s", err.message);
}

/* The bytes of a pack do not matter to its parity. */
static void
make(struct fixture *f, const char *rule_text, size_t size)
{
	char name[PACK_NAME_SIZE], parity[PARITY_NAME_SIZE];
	struct parity_rule rule;
	struct error err = ERROR_INIT;
	uint64_t sum;

	free(f->pack);
	free(f->pack_path);
	free(f->parity_path);
	f->size = size;
	f->pack = mem_calloc(size, 1);
	for (size_t i = 0; i < size; i++)
		f->pack[i] = (uint8_t)(XXH3_64bits(&i, sizeof(i)) >> 7);
	object_id_random(&f->id);
	pack_name(&f->id, name);
	parity_name(&f->id, parity);
	f->pack_path = test_path(f->folder, "%s", name);
	f->parity_path = test_path(f->folder, "%s", parity);
	put(f, name, f->pack, size);
	assert_int_equal(parity_rule_parse(rule_text, &rule, &err), 0);
	parity_shape_choose(&rule, size, &f->shape);
	sum = XXH3_64bits(f->pack, size);
	if (parity_write(f->storage, f->keys, &f->id, &f->shape, &sum, false, &err) != 0)
		fail_msg("%s", err.message);
}

/* Change bytes in place, as a disk does; each is then another than before. */
static void
spoil(const char *path, size_t offset, size_t len)
{
	FILE *file = fopen(path, "r+b");
	uint8_t *bytes = mem_calloc(len, 1);

	assert_non_null(file);
	assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
	assert_int_equal(fread(bytes, 1, len, file), len);
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= (uint8_t)(1u << (i + offset) % 8);
	assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	free(bytes);
}

/* Reads from the pack through its parity; 0 if these are the bytes that were written. Other bytes
 * may come only where checksums are lost in both tables; that counts as not healed. */
static int
read_range(struct fixture *f, size_t offset, size_t len, uint32_t *ret_healed, struct error *err)
{
	uint8_t *bytes = mem_calloc(len, 1);
	struct parity *parity;
	int rc = parity_open(f->storage, f->keys, &f->id, &parity, err);

	if (rc == 1) {
		rc = parity_read(parity, offset, bytes, len, err);
		if (rc == 0 && !parity_damage_of(parity)->table)
			assert_memory_equal(bytes, f->pack + offset, len);
		else if (rc == 0 && memcmp(bytes, f->pack + offset, len) != 0)
			rc = error_set(err, ERROR_CORRUPT, "not as it was");
		if (ret_healed != NULL)
			*ret_healed = parity_healed_blocks(parity);
		parity_close(parity);
	} else {
		assert_int_equal(rc, -1);
	}
	free(bytes);
	return rc;
}

static void
assert_heals(struct fixture *f)
{
	struct error err = ERROR_INIT;

	if (read_range(f, 0, f->size, NULL, &err) != 0)
		fail_msg("%s", err.message);
}

static void
assert_does_not_heal(struct fixture *f, const char *why)
{
	struct error err = ERROR_INIT;

	assert_int_equal(read_range(f, 0, f->size, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	if (strstr(err.message, why) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, why);
}

static const char *const rules[] = { "1%", "10%", "33%", "100%", "20+3", "1+1", "254+1",
	"100+100" };
static const size_t sizes[] = { 1, 100, 511, 512, 513, 4096, 5000, 70000, 262143, 262144,
	1100000 };

static void
rule_is_off_a_share_or_two_numbers(void **state)
{
	static const char *const wrong[] = { "", "0%", "101%", "-1%", "10", "10%%", "10% ", "+3", "3+",
		"0+1", "3+4", "250+6", "20+3+1", "20 + 3", "ten", "99999999999999999999%" };
	struct parity_rule rule;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(parity_rule_parse("off", &rule, &err), 0);
	assert_false(parity_rule_is_on(&rule));
	assert_int_equal(parity_rule_parse("10%", &rule, &err), 0);
	assert_true(parity_rule_is_on(&rule) && rule.percent == 10);
	assert_int_equal(parity_rule_parse("20+3", &rule, &err), 0);
	assert_true(parity_rule_is_on(&rule) && rule.data == 20 && rule.parity == 3);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(parity_rule_parse(wrong[i], &rule, &err), -1);
		assert_int_equal(err.code, ERROR_CONFIG);
		assert_false(parity_rule_is_on(&rule));
	}
	print_message("%zu wrong rules refused\n", ARRAY_LEN(wrong));
}

static void
shape_keeps_what_the_rule_promises(void **state)
{
	unsigned cases = 0;

	(void)state;
	for (unsigned percent = 1; percent <= 100; percent++) {
		struct parity_rule rule = { percent, 0, 0 };

		for (uint64_t size = 1; size <= PACK_SIZE_MAX; size += 1 + size / 7) {
			struct parity_shape shape;
			uint64_t blocks, parity;

			parity_shape_choose(&rule, size, &shape);
			blocks = parity_data_blocks(&shape);
			parity = parity_parity_blocks(&shape);
			assert_true(parity * 100 >= blocks * percent);
			/* A sector heals, or all of what is smaller. */
			assert_true(parity * shape.block >= 4096 || parity >= blocks);
			assert_true(shape.parity >= 1 && shape.parity <= shape.data);
			assert_true(shape.data + shape.parity <= PARITY_STRIPE_MAX);
			assert_true((uint64_t)shape.data * shape.stripes >= blocks);
			assert_true((uint64_t)(shape.data - 1) * shape.stripes < blocks);
			/* Of a full pack, it costs what was asked for, rounded up by less than
			 * a block in each stripe, and little besides. */
			if (size >= 8 << 20)
				assert_true(parity_file_size(&shape) * 100 <=
				    size * (percent + 2 + 100 / shape.data));
			cases++;
		}
	}
	print_message("%u shapes\n", cases);
}

/* Multiplication as FORMAT.md has it, so that the page is enough to read parity. */
static uint8_t
multiply(uint8_t a, uint8_t b)
{
	unsigned product = 0;

	for (unsigned bit = 0; bit < 8; bit++)
		if ((b >> bit & 1) != 0)
			product ^= (unsigned)a << bit;
	for (unsigned bit = 15; bit >= 8; bit--)
		if ((product >> bit & 1) != 0)
			product ^= 0x11du << (bit - 8);
	return (uint8_t)product;
}

static uint8_t
inverse(uint8_t a)
{
	uint8_t b = 1;

	while (multiply(a, b) != 1)
		b++;
	return b;
}

static void
parity_file_is_what_the_format_page_says(void **state)
{
	struct fixture *f = *state;
	uint64_t head;
	uint8_t *file;
	size_t size;

	skip_without_library();
	make(f, "20+3", 70000);
	file = test_file_read(f->parity_path, &size);
	head = parity_head_size(&f->shape);
	assert_int_equal(size, parity_file_size(&f->shape));
	assert_memory_equal(file, "HFPARI1\n", 8);
	assert_memory_equal(file, file + size - PARITY_HEADER_SIZE, PARITY_HEADER_SIZE);
	for (unsigned p = 0; p < f->shape.parity; p++)
		for (size_t at = 0; at < (size_t)f->shape.stripes * f->shape.block; at++) {
			size_t row = (size_t)f->shape.stripes * f->shape.block;
			uint8_t expected = 0;

			for (unsigned d = 0; d < f->shape.data; d++)
				if (d * row + at < f->size)
					expected ^= multiply(inverse((uint8_t)((f->shape.data + p) ^ d)),
					    f->pack[d * row + at]);
			if (file[head + p * row + at] != expected)
				fail_msg("byte %zu of row %u", at, p);
		}
	free(file);
}

static void
whole_pack_is_read_without_healing(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	unsigned cases = 0;
	uint32_t healed;

	skip_without_library();
	for (size_t r = 0; r < ARRAY_LEN(rules); r++)
		for (size_t s = 0; s < ARRAY_LEN(sizes); s++, cases++) {
			make(f, rules[r], sizes[s]);
			assert_int_equal(read_range(f, 0, f->size, &healed, &err), 0);
			assert_int_equal(healed, 0);
		}
	print_message("%u packs\n", cases);
}

static void
flipped_bit_anywhere_heals(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	unsigned cases = 0;

	skip_without_library();
	for (size_t r = 0; r < ARRAY_LEN(rules); r++)
		for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
			make(f, rules[r], sizes[s]);
			for (size_t at = 0; at < f->size; at += 1 + f->size / 23, cases++) {
				uint32_t healed;

				spoil(f->pack_path, at, 1);
				if (read_range(f, at, 1, &healed, &err) != 0)
					fail_msg("%s, %zu bytes, at %zu: %s", rules[r], f->size, at,
					    err.message);
				assert_int_equal(healed, 1);
				spoil(f->pack_path, at, 1);
			}
		}
	print_message("%u flipped bits healed\n", cases);
}

static void
burst_heals_up_to_the_promise_and_no_further(void **state)
{
	struct fixture *f = *state;
	unsigned healed = 0, refused = 0;

	skip_without_library();
	for (size_t r = 0; r < ARRAY_LEN(rules); r++)
		for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
			size_t blocks, block, most;

			make(f, rules[r], sizes[s]);
			block = f->shape.block;
			blocks = parity_data_blocks(&f->shape);
			most = parity_parity_blocks(&f->shape);
			most = most < blocks ? most : blocks;
			for (size_t first = 0; first + most <= blocks; first += 1 + blocks / 5) {
				size_t start = first * block, end = (first + most) * block;

				end = end < f->size ? end : f->size;
				spoil(f->pack_path, start, end - start);
				assert_heals(f);
				healed++;
				if (end == f->size) {
					test_file_write(f->pack_path, f->pack, f->size);
					continue;
				}
				/* One byte into one block more. */
				spoil(f->pack_path, end, 1);
				assert_does_not_heal(f, "blocks of a stripe are damaged, and");
				refused++;
				test_file_write(f->pack_path, f->pack, f->size);
			}
		}
	print_message("%u bursts healed, %u larger ones refused\n", healed, refused);
	assert_true(healed > 100 && refused > 100);
}

static void
scattered_damage_heals(void **state)
{
	struct fixture *f = *state;

	skip_without_library();
	make(f, "10%", 3000000);
	/* In each stripe as much as it can lose, all over the pack. */
	for (uint32_t stripe = 0; stripe < f->shape.stripes; stripe++)
		for (unsigned n = 0; n < f->shape.parity; n++)
			spoil(f->pack_path, ((size_t)(n * 9) * f->shape.stripes + stripe) *
			    f->shape.block + stripe * 7, 1);
	assert_heals(f);
}

static void
pack_that_was_cut_heals_within_the_promise(void **state)
{
	struct fixture *f = *state;
	size_t kept;

	skip_without_library();
	make(f, "10%", 1100000);
	kept = (size_t)(parity_data_blocks(&f->shape) - parity_parity_blocks(&f->shape)) *
	    f->shape.block;
	assert_int_equal(truncate(f->pack_path, (off_t)kept), 0);
	assert_heals(f);
	assert_int_equal(truncate(f->pack_path, (off_t)kept - 1), 0);
	assert_does_not_heal(f, "blocks of a stripe are damaged, and");
}

static void
pack_that_is_too_long_is_read_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct parity *parity;

	skip_without_library();
	make(f, "10%", 5000);
	assert_int_equal(truncate(f->pack_path, 9000), 0);
	assert_heals(f);
	assert_int_equal(parity_open(f->storage, f->keys, &f->id, &parity, &err), 1);
	assert_int_equal(parity_pack_size(parity), 9000);
	assert_int_equal(parity_shape_of(parity)->pack_size, 5000);
	parity_close(parity);
}

static void
missing_pack_heals_only_if_there_is_as_much_parity(void **state)
{
	struct fixture *f = *state;

	skip_without_library();
	make(f, "10%", 300000);
	assert_int_equal(unlink(f->pack_path), 0);
	assert_does_not_heal(f, "blocks of a stripe are damaged, and");
	make(f, "100%", 300000);
	assert_int_equal(unlink(f->pack_path), 0);
	assert_heals(f);
	make(f, "10%", 3000);
	assert_int_equal(unlink(f->pack_path), 0);
	assert_heals(f);
}

/* Whether the parity's own damage is seen. */
static bool
damage_is_seen(struct fixture *f)
{
	const struct parity_damage *damage;
	struct error err = ERROR_INIT;
	struct parity *parity;
	bool seen;

	if (parity_open(f->storage, f->keys, &f->id, &parity, &err) != 1) {
		assert_int_equal(err.code, ERROR_CORRUPT);
		return true;
	}
	assert_int_equal(parity_verify_blocks(parity, &err), 0);
	damage = parity_damage_of(parity);
	seen = damage->size || damage->header || damage->table || damage->blocks > 0;
	parity_close(parity);
	return seen;
}

static void
damaged_parity_is_seen_and_harmless(void **state)
{
	struct fixture *f = *state;
	unsigned cases = 0, padding = 0;

	skip_without_library();
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		size_t size;
		uint8_t *file;

		make(f, "10%", sizes[s]);
		file = test_file_read(f->parity_path, &size);
		assert_false(damage_is_seen(f));
		for (size_t at = 0; at < size; at += at < 200 || size - at < 200 ? 1 : 97) {
			spoil(f->parity_path, at, 1);
			/* What fills a block up is of no meaning, and zero. */
			if (file[at] == 0 && !damage_is_seen(f))
				padding++;
			else if (!damage_is_seen(f))
				fail_msg("a flip at %zu of %zu is not seen", at, size);
			assert_heals(f);
			spoil(f->parity_path, at, 1);
			cases++;
		}
		free(file);
	}
	print_message("%u flips in parity, %u of them in what fills up\n", cases, padding);
	assert_true(cases > 4000 && padding < cases / 2);
}

static void
parity_of_wrong_length_is_seen_and_used(void **state)
{
	struct fixture *f = *state;
	unsigned used = 0, useless = 0;
	uint8_t *file;
	size_t size;

	skip_without_library();
	make(f, "10%", 300000);
	file = test_file_read(f->parity_path, &size);
	spoil(f->pack_path, 12345, 1);
	for (size_t len = 0; len < 2 * size; len += 501) {
		struct error err = ERROR_INIT;

		assert_int_equal(truncate(f->parity_path, (off_t)len), 0);
		assert_true(damage_is_seen(f));
		if (read_range(f, 0, f->size, NULL, &err) == 0)
			used++;
		else
			useless++;
		test_file_write(f->parity_path, file, size);
	}
	free(file);
	/* All that leaves the first table and one block of parity is enough. */
	print_message("%u lengths healed, %u did not\n", used, useless);
	assert_true(used > size / 501 && useless > 0);
}

static void
both_damaged_heals_as_far_as_parity_is_left(void **state)
{
	struct fixture *f = *state;
	size_t head, row, table;

	skip_without_library();
	make(f, "20+3", 3000000);
	head = (size_t)parity_head_size(&f->shape);
	row = (size_t)f->shape.stripes * f->shape.block;
	table = parity_table_size(parity_data_blocks(&f->shape) + parity_parity_blocks(&f->shape));
	spoil(f->pack_path, 5000, 1);
	/* The front header and the front table. */
	spoil(f->parity_path, 0, head);
	assert_heals(f);
	/* Of the front table the second part, of the table at the end the first. */
	spoil(f->parity_path, 0, PARITY_HEADER_SIZE + 4096);
	spoil(f->parity_path, (size_t)parity_file_size(&f->shape) - PARITY_HEADER_SIZE - table, 1);
	assert_heals(f);
	/* Two of three parity blocks of every stripe. */
	spoil(f->parity_path, head, 2 * row);
	assert_heals(f);
	/* In a stripe that has one left, a second loss is too much. */
	spoil(f->pack_path, 5000 + row, 1);
	assert_does_not_heal(f, "2 of 20 blocks of a stripe are damaged, and 1 of its 3 parity "
	    "blocks are whole");
	/* Neither header. */
	make(f, "20+3", 1100000);
	spoil(f->parity_path, 3, 1);
	spoil(f->parity_path, (size_t)parity_file_size(&f->shape) - 3, 1);
	assert_does_not_heal(f, "parity header is damaged");
}

static void
lost_checksums_cost_parity_but_nothing_else(void **state)
{
	struct fixture *f = *state;
	size_t file, table;

	skip_without_library();
	make(f, "20+3", 3000000);
	file = (size_t)parity_file_size(&f->shape);
	table = parity_table_size(parity_data_blocks(&f->shape) + parity_parity_blocks(&f->shape));
	/* The first part of both tables: nobody knows whether these 511 blocks are whole. */
	spoil(f->parity_path, PARITY_HEADER_SIZE + 100, 1);
	spoil(f->parity_path, file - PARITY_HEADER_SIZE - table + 900, 1);
	assert_heals(f);
	/* One that is known to be damaged, in stripes with more unsure ones than parity. */
	spoil(f->pack_path, (size_t)600 * f->shape.block, 1);
	assert_heals(f);
}

static void
parity_of_another_pack_is_refused(void **state)
{
	struct fixture *f = *state;
	static const uint8_t master[MASTER_KEY_SIZE] = { 1, 2, 3 };
	static const struct object_id elsewhere = { { 8 } };
	struct keys *keys = keys_new(master, &elsewhere), *own = f->keys;
	uint8_t *file;
	size_t size;

	skip_without_library();
	make(f, "10%", 5000);
	file = test_file_read(f->parity_path, &size);
	f->keys = keys;
	assert_does_not_heal(f, "parity belongs to another pack");
	f->keys = own;
	make(f, "10%", 5000);
	test_file_write(f->parity_path, file, size);
	assert_does_not_heal(f, "parity header is damaged");
	free(file);
	keys_free(keys);
}

static void
pack_that_reads_back_other_than_written_gets_no_parity(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	uint64_t sum;

	skip_without_library();
	make(f, "10%", 50000);
	sum = XXH3_64bits(f->pack, f->size);
	assert_int_equal(unlink(f->parity_path), 0);
	spoil(f->pack_path, 40000, 1);
	assert_int_equal(parity_write(f->storage, f->keys, &f->id, &f->shape, &sum, false, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "reads back other than it was written"));
	assert_int_equal(access(f->parity_path, F_OK), -1);
}

static void
names_are_parsed_strictly(void **state)
{
	static const char *const wrong[] = { "", "parity", "parity/", "parity/00/1", "packs/00/00",
		"parity/00/0123456789abcdef0123456789abcdef",
		"parity/01/0123456789abcdef0123456789abcdeg",
		"parity/01/0123456789abcdef0123456789abcdef0" };
	struct object_id id, same;
	char name[PARITY_NAME_SIZE];

	(void)state;
	object_id_random(&id);
	parity_name(&id, name);
	assert_int_equal(parity_name_parse(name, &same), 0);
	assert_memory_equal(&id, &same, sizeof(id));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(parity_name_parse(wrong[i], &same), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_is_off_a_share_or_two_numbers),
		cmocka_unit_test(shape_keeps_what_the_rule_promises),
		cmocka_unit_test(names_are_parsed_strictly),
#define _(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		_(parity_file_is_what_the_format_page_says),
		_(whole_pack_is_read_without_healing),
		_(flipped_bit_anywhere_heals),
		_(burst_heals_up_to_the_promise_and_no_further),
		_(scattered_damage_heals),
		_(pack_that_was_cut_heals_within_the_promise),
		_(pack_that_is_too_long_is_read_as_it_was),
		_(missing_pack_heals_only_if_there_is_as_much_parity),
		_(damaged_parity_is_seen_and_harmless),
		_(parity_of_wrong_length_is_seen_and_used),
		_(both_damaged_heals_as_far_as_parity_is_left),
		_(lost_checksums_cost_parity_but_nothing_else),
		_(parity_of_another_pack_is_refused),
		_(pack_that_reads_back_other_than_written_gets_no_parity),
#undef _
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
