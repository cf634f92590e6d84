/*
 * Keys, names of blobs and sealing, checked against libsodium's own functions where there are such,
 * so that what is on disk stays what FORMAT.md says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/crypto.h"
#include "agent/repository/repository.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

#define PLAIN "the same words twice"
#define PLAIN_LEN (sizeof(PLAIN) - 1)
#define SEALED_LEN (PLAIN_LEN + SEAL_OVERHEAD)

static const uint8_t master_a[MASTER_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t master_b[MASTER_KEY_SIZE] = { 1, 2, 4 };
static const struct object_id repository_a = { { 'a' } }, repository_b = { { 'b' } };
static const struct object_id object_a = { { 1 } }, object_b = { { 2 } };

static int
group_setup(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	return crypto_start(&err);
}

static void
equal_plaintexts_differ_once_sealed(void **state)
{
	struct keys *keys = keys_new(master_a, &repository_a);
	uint8_t sealed[64][SEALED_LEN], plain[PLAIN_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sealed); i++) {
		seal(keys, SEAL_FRAME, &object_a, 7, PLAIN, PLAIN_LEN, sealed[i]);
		for (size_t k = 0; k < i; k++) {
			assert_memory_not_equal(sealed[i], sealed[k], SEAL_NONCE_SIZE);
			assert_memory_not_equal(sealed[i] + SEAL_NONCE_SIZE,
			    sealed[k] + SEAL_NONCE_SIZE, PLAIN_LEN);
		}
		assert_int_equal(unseal(keys, SEAL_FRAME, &object_a, 7, sealed[i], SEALED_LEN,
		    plain), 0);
		assert_memory_equal(plain, PLAIN, PLAIN_LEN);
	}
	keys_free(keys);
}

static void
a_box_opens_only_as_what_it_is(void **state)
{
	static const enum seal_type types[] = { SEAL_KEY, SEAL_FRAME, SEAL_DIRECTORY,
		SEAL_INDEX_HEADER, SEAL_INDEX_PAGE, SEAL_SNAPSHOT, SEAL_CLAIM, SEAL_MARKS,
		SEAL_TRASH };
	struct keys *keys = keys_new(master_a, &repository_a);
	struct keys *other_repository = keys_new(master_a, &repository_b);
	struct keys *other_master = keys_new(master_b, &repository_a);
	uint8_t sealed[SEALED_LEN], plain[PLAIN_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		seal(keys, types[i], &object_a, 40, PLAIN, PLAIN_LEN, sealed);
		for (size_t k = 0; k < ARRAY_LEN(types); k++)
			assert_int_equal(unseal(keys, types[k], &object_a, 40, sealed, SEALED_LEN,
			    plain), i == k ? 0 : -1);
		assert_int_equal(unseal(keys, types[i], &object_b, 40, sealed, SEALED_LEN, plain),
		    -1);
		assert_int_equal(unseal(keys, types[i], &object_a, 41, sealed, SEALED_LEN, plain),
		    -1);
		assert_int_equal(unseal(keys, types[i], &object_a, 40 + (UINT64_C(1) << 32),
		    sealed, SEALED_LEN, plain), -1);
		assert_int_equal(unseal(other_repository, types[i], &object_a, 40, sealed,
		    SEALED_LEN, plain), -1);
		assert_int_equal(unseal(other_master, types[i], &object_a, 40, sealed, SEALED_LEN,
		    plain), -1);
	}
	keys_free(keys);
	keys_free(other_repository);
	keys_free(other_master);
}

static void
a_box_that_was_changed_or_cut_does_not_open(void **state)
{
	struct keys *keys = keys_new(master_a, &repository_a);
	uint8_t sealed[SEALED_LEN], plain[PLAIN_LEN];

	(void)state;
	seal(keys, SEAL_SNAPSHOT, &object_a, 0, PLAIN, PLAIN_LEN, sealed);
	for (size_t bit = 0; bit < 8 * SEALED_LEN; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(unseal(keys, SEAL_SNAPSHOT, &object_a, 0, sealed, SEALED_LEN,
		    plain), -1);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < SEALED_LEN; len++)
		assert_int_equal(unseal(keys, SEAL_SNAPSHOT, &object_a, 0, sealed, len, plain), -1);
	assert_int_equal(unseal(keys, SEAL_SNAPSHOT, &object_a, 0, sealed, SEALED_LEN, plain), 0);
	keys_free(keys);
}

static void
nothing_can_be_sealed_too(void **state)
{
	struct keys *keys = keys_new(master_a, &repository_a);
	uint8_t sealed[SEAL_OVERHEAD], plain[1];

	(void)state;
	seal(keys, SEAL_SNAPSHOT, &object_a, 0, "", 0, sealed);
	assert_int_equal(unseal(keys, SEAL_SNAPSHOT, &object_a, 0, sealed, sizeof(sealed), plain),
	    0);
	sealed[SEAL_OVERHEAD - 1] ^= 1;
	assert_int_equal(unseal(keys, SEAL_SNAPSHOT, &object_a, 0, sealed, sizeof(sealed), plain),
	    -1);
	keys_free(keys);
}

/* FORMAT.md, "Sealing": anybody's XChaCha20-Poly1305 opens it, and makes it. */
static void
assert_box(const struct keys *keys, const uint8_t *plain, size_t len)
{
	uint8_t key[32], ad[8 + 1 + 16 + 16 + 8] = "holdfast";
	uint8_t *sealed = mem_calloc(len + SEAL_OVERHEAD, 1), *back = mem_calloc(len + 1, 1);
	unsigned long long got;

	assert_int_equal(crypto_kdf_derive_from_key(key, sizeof(key), 1, "holdfast", master_a), 0);
	ad[8] = SEAL_DIRECTORY;
	memcpy(ad + 9, repository_a.bytes, 16);
	memcpy(ad + 25, object_a.bytes, 16);
	ad[41] = 0x34;
	ad[42] = 0x12;
	seal(keys, SEAL_DIRECTORY, &object_a, 0x1234, plain, len, sealed);
	assert_int_equal(crypto_aead_xchacha20poly1305_ietf_decrypt(back, &got, NULL,
	    sealed + SEAL_NONCE_SIZE, len + SEAL_TAG_SIZE, ad, sizeof(ad), sealed, key), 0);
	assert_int_equal(got, len);
	assert_memory_equal(back, plain, len);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + SEAL_NONCE_SIZE, &got, plain, len, ad,
	    sizeof(ad), NULL, sealed, key);
	memset(back, 0, len + 1);
	assert_int_equal(unseal(keys, SEAL_DIRECTORY, &object_a, 0x1234, sealed,
	    len + SEAL_OVERHEAD, back), 0);
	assert_memory_equal(back, plain, len);
	sealed[len + SEAL_OVERHEAD - 1] ^= 1;
	assert_int_equal(unseal(keys, SEAL_DIRECTORY, &object_a, 0x1234, sealed,
	    len + SEAL_OVERHEAD, back), -1);
	free(sealed);
	free(back);
}

static void
a_box_of_any_size_is_what_the_format_says(void **state)
{
	/* Small and large ones are made by different libraries. */
	static const size_t sizes[] = { 0, 1, PLAIN_LEN, 16383, 16384, 16385, 100000 };
	struct keys *keys = keys_new(master_a, &repository_a);
	uint8_t *plain = mem_calloc(100000, 1);

	(void)state;
	for (size_t i = 0; i < 100000; i++)
		plain[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_box(keys, plain, sizes[i]);
	free(plain);
	keys_free(keys);
}

static void
a_blobs_name_is_a_keyed_hash_of_its_kind_and_bytes(void **state)
{
	struct keys *keys = keys_new(master_a, &repository_a);
	struct keys *same = keys_new(master_a, &repository_b), *other = keys_new(master_b,
	    &repository_a);
	struct blob_id id, again;
	uint8_t key[32], expected[32];

	(void)state;
	for (unsigned kind = 0; kind < BLOB_KIND_COUNT; kind++) {
		crypto_kdf_derive_from_key(key, sizeof(key), 16 + kind, "holdfast", master_a);
		crypto_auth_hmacsha256(expected, (const uint8_t *)PLAIN, PLAIN_LEN, key);
		blob_hash(keys, kind, PLAIN, PLAIN_LEN, &id);
		assert_memory_equal(id.bytes, expected, BLOB_ID_SIZE);
		assert_int_equal(blob_identify(keys, PLAIN, PLAIN_LEN, &id), kind);
		assert_int_equal(blob_identify(keys, PLAIN, PLAIN_LEN - 1, &id), BLOB_KIND_COUNT);
		assert_int_equal(blob_identify(other, PLAIN, PLAIN_LEN, &id), BLOB_KIND_COUNT);
		blob_hash(same, kind, PLAIN, PLAIN_LEN, &again);
		assert_int_equal(blob_id_compare(&id, &again), 0);
		blob_hash(keys, (kind + 1) % BLOB_KIND_COUNT, PLAIN, PLAIN_LEN, &again);
		assert_int_not_equal(blob_id_compare(&id, &again), 0);
	}
	keys_free(keys);
	keys_free(same);
	keys_free(other);
}

static void
every_use_of_the_master_key_has_a_key_of_its_own(void **state)
{
	struct keys *a = keys_new(master_a, &repository_a), *b = keys_new(master_b, &repository_a);

	(void)state;
	assert_memory_not_equal(keys_chunker(a), keys_chunker(b), 32);
	assert_memory_not_equal(keys_chunker(a), keys_master(a), 32);
	assert_memory_equal(keys_master(a), master_a, MASTER_KEY_SIZE);
	assert_memory_equal(keys_repository(a), &repository_a, OBJECT_ID_SIZE);
	keys_free(a);
	keys_free(b);
	keys_free(NULL);
}

static void
an_object_id_is_32_small_hexadecimal_digits(void **state)
{
	static const char *const wrong[] = { "", "0123456789abcdef0123456789abcde",
		"0123456789abcdef0123456789abcdef0", "0123456789ABCDEF0123456789ABCDEF",
		"0123456789abcdef0123456789abcdeg", "0123456789abcdef/../456789abcdef" };
	struct object_id id, back;
	char text[OBJECT_ID_TEXT_SIZE];

	(void)state;
	object_id_random(&id);
	object_id_text(&id, text);
	assert_int_equal(strlen(text), 32);
	assert_int_equal(object_id_parse(text, 32, &back), 0);
	assert_memory_equal(&id, &back, sizeof(id));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(object_id_parse(wrong[i], strlen(wrong[i]), &back), -1);
	object_id_random(&back);
	assert_memory_not_equal(&id, &back, sizeof(id));
}

static void
a_made_passphrase_needs_no_stretching_and_a_chosen_one_does(void **state)
{
	char made[PASSPHRASE_MADE_SIZE], other[PASSPHRASE_MADE_SIZE];
	struct kdf_cost cheap, dear;

	(void)state;
	passphrase_make(made);
	passphrase_make(other);
	assert_int_equal(strlen(made), PASSPHRASE_MADE_SIZE - 1);
	assert_memory_equal(made, "hf1-", 4);
	assert_string_not_equal(made, other);
	kdf_cost_for(made, &cheap);
	assert_true(cheap.memory_kib <= 1024);
	kdf_cost_for("correct horse", &dear);
	assert_true(dear.memory_kib >= 64 * 1024);
	assert_true(dear.passes >= 3);
	/* One letter off: it is not what was made, so it may be guessable. */
	for (size_t i = 0; i < strlen(made); i++) {
		char was = made[i];

		if (was == '-')
			continue;
		made[i] = was == 'x' ? 'y' : 'x';
		kdf_cost_for(made, &cheap);
		assert_int_equal(cheap.memory_kib, dear.memory_kib);
		made[i] = was;
	}
}

static void
a_derived_key_depends_on_passphrase_salt_and_cost(void **state)
{
	const struct kdf_cost cost = { 1, 64 }, more = { 2, 64 }, larger = { 1, 128 };
	const uint8_t salt[16] = { 1 }, pepper[16] = { 2 };
	uint8_t keys[6][MASTER_KEY_SIZE];
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(kdf_derive("one", salt, &cost, keys[0], &err), 0);
	assert_int_equal(kdf_derive("two", salt, &cost, keys[1], &err), 0);
	assert_int_equal(kdf_derive("one", pepper, &cost, keys[2], &err), 0);
	assert_int_equal(kdf_derive("one", salt, &more, keys[3], &err), 0);
	assert_int_equal(kdf_derive("one", salt, &larger, keys[4], &err), 0);
	for (size_t i = 1; i < 5; i++)
		assert_memory_not_equal(keys[0], keys[i], MASTER_KEY_SIZE);
	assert_int_equal(kdf_derive("one", salt, &cost, keys[5], &err), 0);
	assert_memory_equal(keys[0], keys[5], MASTER_KEY_SIZE);
	assert_int_equal(err.code, ERROR_NONE);
}

static void
an_empty_passphrase_is_refused(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "repository");
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct storage *storage;

	(void)state;
	assert_int_equal(storage_open(path, true, &storage, &err), 0);
	assert_int_equal(repository_init(storage, "", &err), -1);
	assert_int_equal(err.code, ERROR_USAGE);
	assert_string_equal(err.message, "an empty passphrase protects nothing");
	assert_int_equal(repository_exists(storage, &err), 0);
	storage_close(storage);

	/* Nor can it take the place of a good one. */
	test_repository_make(path);
	repo = test_repository_open(path, NULL, &err);
	assert_non_null(repo);
	assert_int_equal(repository_change_passphrase(repo, "", &err), -1);
	assert_int_equal(err.code, ERROR_USAGE);
	repository_close(repo);
	assert_int_equal(storage_open(path, false, &storage, &err), 0);
	assert_int_equal(repository_open(storage, "", &repo, &err), -1);
	assert_int_equal(err.code, ERROR_WRONG_KEY);
	assert_int_equal(repository_open(storage, test_passphrase(), &repo, &err), 0);
	repository_close(repo);
	free(path);
	test_folder_remove(folder);
}

static void
another_passphrase_opens_nothing_and_says_where_the_right_one_is(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "repository");
	char wrong[PASSPHRASE_MADE_SIZE];
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct storage *storage;

	(void)state;
	test_repository_make(path);
	passphrase_make(wrong);
	assert_int_equal(storage_open(path, false, &storage, &err), 0);
	assert_int_equal(repository_open(storage, wrong, &repo, &err), -1);
	assert_int_equal(err.code, ERROR_WRONG_KEY);
	assert_string_equal(err.message, "the passphrase does not open the repository");
	assert_non_null(strstr(err.hint, "passphrase"));
	storage_close(storage);
	free(path);
	test_folder_remove(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_plaintexts_differ_once_sealed),
		cmocka_unit_test(a_box_opens_only_as_what_it_is),
		cmocka_unit_test(a_box_that_was_changed_or_cut_does_not_open),
		cmocka_unit_test(nothing_can_be_sealed_too),
		cmocka_unit_test(a_box_of_any_size_is_what_the_format_says),
		cmocka_unit_test(a_blobs_name_is_a_keyed_hash_of_its_kind_and_bytes),
		cmocka_unit_test(every_use_of_the_master_key_has_a_key_of_its_own),
		cmocka_unit_test(an_object_id_is_32_small_hexadecimal_digits),
		cmocka_unit_test(a_made_passphrase_needs_no_stretching_and_a_chosen_one_does),
		cmocka_unit_test(a_derived_key_depends_on_passphrase_salt_and_cost),
		cmocka_unit_test(an_empty_passphrase_is_refused),
		cmocka_unit_test(another_passphrase_opens_nothing_and_says_where_the_right_one_is),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
