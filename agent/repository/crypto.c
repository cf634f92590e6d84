/* The low-level SHA-256 calls let a keyed state be copied without an allocation per blob. */
#define OPENSSL_API_COMPAT 0x10101000L

#include "agent/repository/crypto.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/repository.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Subkeys are BLAKE2b(key = master, salt = number, personal = "holdfast"): crypto_kdf. */
enum subkey { SUBKEY_SEAL = 1, SUBKEY_CHUNKER = 2, SUBKEY_BLOB = 16 };
static const char subkey_context[crypto_kdf_CONTEXTBYTES] = { 'h', 'o', 'l', 'd', 'f', 'a', 's',
	't' };

/*
 * Up to here libsodium does it alone, as what an agent reads when it starts is small: libcrypto's
 * providers, once they are awake, take 2 MiB of memory for good, and 10 ms.
 */
#define SMALL_MAX (16u << 10)

#define AD_SIZE (8 + 1 + OBJECT_ID_SIZE + OBJECT_ID_SIZE + 8)

struct keys {
	uint8_t master[MASTER_KEY_SIZE];
	uint8_t sealing[MASTER_KEY_SIZE];
	uint8_t chunker[MASTER_KEY_SIZE];
	struct object_id repository;
	struct {
		SHA256_CTX inner, outer; /* HMAC with the key already absorbed */
	} blob[BLOB_KIND_COUNT];
};

int
crypto_start(struct error *err)
{
	if (sodium_init() < 0)
		return error_set(err, ERROR_INTERNAL, "could not start libsodium");
	return 0;
}

static void
hmac_prepare(SHA256_CTX *inner, SHA256_CTX *outer, const uint8_t key[32])
{
	uint8_t block[SHA256_CBLOCK];

	memset(block, 0x36, sizeof(block));
	for (size_t i = 0; i < 32; i++)
		block[i] ^= key[i];
	SHA256_Init(inner);
	SHA256_Update(inner, block, sizeof(block));
	memset(block, 0x5c, sizeof(block));
	for (size_t i = 0; i < 32; i++)
		block[i] ^= key[i];
	SHA256_Init(outer);
	SHA256_Update(outer, block, sizeof(block));
	explicit_bzero(block, sizeof(block));
}

struct keys *
keys_new(const uint8_t master[MASTER_KEY_SIZE], const struct object_id *repository)
{
	struct keys *keys = MEM_NEW(struct keys);
	uint8_t key[32];

	memcpy(keys->master, master, MASTER_KEY_SIZE);
	keys->repository = *repository;
	crypto_kdf_derive_from_key(keys->sealing, sizeof(keys->sealing), SUBKEY_SEAL,
	    subkey_context, master);
	crypto_kdf_derive_from_key(keys->chunker, sizeof(keys->chunker), SUBKEY_CHUNKER,
	    subkey_context, master);
	for (unsigned kind = 0; kind < BLOB_KIND_COUNT; kind++) {
		crypto_kdf_derive_from_key(key, sizeof(key), SUBKEY_BLOB + kind, subkey_context,
		    master);
		hmac_prepare(&keys->blob[kind].inner, &keys->blob[kind].outer, key);
	}
	explicit_bzero(key, sizeof(key));
	return keys;
}

void
keys_free(struct keys *keys)
{
	mem_free_secret(keys, sizeof(*keys));
}

const uint8_t *
keys_master(const struct keys *keys)
{
	return keys->master;
}

const struct object_id *
keys_repository(const struct keys *keys)
{
	return &keys->repository;
}

const uint8_t *
keys_chunker(const struct keys *keys)
{
	return keys->chunker;
}

void
object_id_random(struct object_id *ret)
{
	randombytes_buf(ret->bytes, sizeof(ret->bytes));
}

void
object_id_text(const struct object_id *id, char out[OBJECT_ID_TEXT_SIZE])
{
	hex_encode(id->bytes, sizeof(id->bytes), out);
}

int
object_id_parse(const char *text, size_t len, struct object_id *ret)
{
	if (len != OBJECT_ID_TEXT_SIZE - 1 || strspn(text, "0123456789abcdef") < len)
		return -1;
	return hex_decode(text, len, ret->bytes, sizeof(ret->bytes));
}

void
blob_hash(const struct keys *keys, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret)
{
	SHA256_CTX ctx = keys->blob[kind].inner;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256_Update(&ctx, data, len);
	SHA256_Final(digest, &ctx);
	ctx = keys->blob[kind].outer;
	SHA256_Update(&ctx, digest, sizeof(digest));
	SHA256_Final(ret->bytes, &ctx);
}

enum blob_kind
blob_identify(const struct keys *keys, const void *data, size_t len, const struct blob_id *id)
{
	enum blob_kind kind;

	for (kind = 0; kind < BLOB_KIND_COUNT; kind++) {
		struct blob_id actual;

		blob_hash(keys, kind, data, len, &actual);
		if (blob_id_compare(&actual, id) == 0)
			break;
	}
	return kind;
}

static void
make_ad(uint8_t ad[AD_SIZE], const struct keys *keys, enum seal_type type,
    const struct object_id *object, uint64_t position)
{
	memcpy(ad, "holdfast", 8);
	ad[8] = (uint8_t)type;
	memcpy(ad + 9, keys->repository.bytes, OBJECT_ID_SIZE);
	memcpy(ad + 9 + OBJECT_ID_SIZE, object->bytes, OBJECT_ID_SIZE);
	for (size_t i = 0; i < 8; i++)
		ad[9 + 2 * OBJECT_ID_SIZE + i] = (uint8_t)(position >> (8 * i));
}

/*
 * XChaCha20-Poly1305 as libsodium has it: HChaCha20 of key and the first 16 bytes of the nonce
 * gives the key of an RFC 8439 box with nonce 0000 || last 8 bytes. OpenSSL's ChaCha20-Poly1305
 * is several times faster than libsodium's on processors with AVX-512; the result is the same.
 */
static EVP_CIPHER_CTX *
cipher_new(const struct keys *keys, const uint8_t nonce[SEAL_NONCE_SIZE], int encrypt)
{
	uint8_t subkey[32], nonce12[12] = { 0 };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	crypto_core_hchacha20(subkey, nonce, keys->sealing, NULL);
	memcpy(nonce12 + 4, nonce + 16, 8);
	if (ctx == NULL ||
	    EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, subkey, nonce12, encrypt) != 1)
		abort(); /* out of memory, or a libcrypto without ChaCha20: nothing can go on */
	explicit_bzero(subkey, sizeof(subkey));
	return ctx;
}

void
seal(const struct keys *keys, enum seal_type type, const struct object_id *object,
    uint64_t position, const void *plain, size_t len, uint8_t *out)
{
	uint8_t ad[AD_SIZE];
	EVP_CIPHER_CTX *ctx;
	int n, ok;

	make_ad(ad, keys, type, object, position);
	randombytes_buf(out, SEAL_NONCE_SIZE);
	if (len <= SMALL_MAX) {
		crypto_aead_xchacha20poly1305_ietf_encrypt(out + SEAL_NONCE_SIZE, NULL, plain, len,
		    ad, AD_SIZE, NULL, out, keys->sealing);
		return;
	}
	ctx = cipher_new(keys, out, 1);
	ok = EVP_EncryptUpdate(ctx, NULL, &n, ad, AD_SIZE) == 1 &&
	    EVP_EncryptUpdate(ctx, out + SEAL_NONCE_SIZE, &n, plain, (int)len) == 1 &&
	    EVP_EncryptFinal_ex(ctx, out + SEAL_NONCE_SIZE + len, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_SIZE,
	        out + SEAL_NONCE_SIZE + len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		abort(); /* cannot happen; going on would store plain or unreadable bytes */
}

int
unseal(const struct keys *keys, enum seal_type type, const struct object_id *object,
    uint64_t position, const uint8_t *sealed, size_t sealed_len, uint8_t *out)
{
	uint8_t ad[AD_SIZE], tag[SEAL_TAG_SIZE];
	EVP_CIPHER_CTX *ctx;
	size_t len;
	int n, ok;

	if (sealed_len < SEAL_OVERHEAD || sealed_len > INT32_MAX)
		return -1;
	len = sealed_len - SEAL_OVERHEAD;
	make_ad(ad, keys, type, object, position);
	if (len <= SMALL_MAX)
		return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL,
		    sealed + SEAL_NONCE_SIZE, sealed_len - SEAL_NONCE_SIZE, ad, AD_SIZE, sealed,
		    keys->sealing);
	memcpy(tag, sealed + SEAL_NONCE_SIZE + len, SEAL_TAG_SIZE);
	ctx = cipher_new(keys, sealed, 0);
	ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_SIZE, tag) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, ad, AD_SIZE) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, sealed + SEAL_NONCE_SIZE, (int)len) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + len, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -1;
}

/*
 * A made passphrase: "hf1" and eight groups of four letters (160 random bits), then a group
 * that checks them, so that a slip in copying it from paper is noticed.
 */
#define MADE_GROUPS 8
static const char made_letters[] = "abcdefghijkmnpqrstuvwxyz23456789";

static void
made_check_group(const char *text, size_t len, char out[4])
{
	uint8_t digest[32];

	crypto_generichash(digest, sizeof(digest), (const uint8_t *)text, len, NULL, 0);
	for (size_t i = 0; i < 4; i++)
		out[i] = made_letters[digest[i] & 31];
}

void
passphrase_make(char out[PASSPHRASE_MADE_SIZE])
{
	char *p = out;

	memcpy(p, "hf1", 3);
	p += 3;
	for (size_t group = 0; group < MADE_GROUPS; group++) {
		*p++ = '-';
		for (size_t i = 0; i < 4; i++)
			*p++ = made_letters[randombytes_uniform(32)];
	}
	*p = '-';
	made_check_group(out, (size_t)(p - out), p + 1);
	p[5] = '\0';
}

static int
passphrase_is_made(const char *text)
{
	char check[4];
	size_t body = PASSPHRASE_MADE_SIZE - 1 - 5;

	if (strlen(text) != PASSPHRASE_MADE_SIZE - 1 || strncmp(text, "hf1-", 4) != 0)
		return 0;
	made_check_group(text, body, check);
	return memcmp(check, text + body + 1, 4) == 0;
}

void
kdf_cost_for(const char *passphrase, struct kdf_cost *ret)
{
	/* 160 random bits cannot be guessed at any speed; a passphrase that a person chose can. */
	if (passphrase_is_made(passphrase))
		*ret = (struct kdf_cost){ .passes = 1, .memory_kib = 256 };
	else
		*ret = (struct kdf_cost){ .passes = 3, .memory_kib = 64 * 1024 };
}

int
kdf_derive(const char *passphrase, const uint8_t salt[16], const struct kdf_cost *cost,
    uint8_t ret_key[MASTER_KEY_SIZE], struct error *err)
{
	if (crypto_pwhash(ret_key, MASTER_KEY_SIZE, passphrase, strlen(passphrase), salt,
	    cost->passes, (size_t)cost->memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return error_set(err, ERROR_TOO_LARGE,
		    "could not derive a key from the passphrase: no memory for %u KiB",
		    cost->memory_kib);
	return 0;
}
