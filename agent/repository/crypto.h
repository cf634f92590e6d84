/*
 * Keys, keyed hashes and sealing.
 *
 * One random master key per repository; from it come the sealing key, one hashing key for each
 * kind of blob and the chunker's key. Sealing is XChaCha20-Poly1305 with a random 24-byte nonce,
 * so two equal plaintexts never look alike, and binds the type of the object, the repository, the
 * object's id and a position: sealed bytes cannot pose as anything else or lie anywhere else. A
 * struct keys is read-only after keys_init and may be used by any thread. Source:
 * agent/repository/FORMAT.md, "Keys" and "Sealing".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CRYPTO_H
#define HOLDFAST_AGENT_REPOSITORY_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "agent/repository/blob.h"
#include "shared/buffer.h"
#include "shared/error.h"

#define MASTER_KEY_SIZE 32
#define OBJECT_ID_SIZE 16 /* random names of repository, packs, index files, snapshots */
#define OBJECT_ID_TEXT_SIZE (2 * OBJECT_ID_SIZE + 1)
#define SEAL_NONCE_SIZE 24
#define SEAL_TAG_SIZE 16
#define SEAL_OVERHEAD (SEAL_NONCE_SIZE + SEAL_TAG_SIZE)

/* What a sealed box holds; bound into it. */
enum seal_type {
	SEAL_KEY = 1,
	SEAL_FRAME = 2,
	SEAL_DIRECTORY = 3,
	SEAL_INDEX_HEADER = 4,
	SEAL_INDEX_PAGE = 5,
	SEAL_SNAPSHOT = 6,
	SEAL_CLAIM = 7,
	SEAL_MARKS = 8,
	SEAL_TRASH = 9,
	SEAL_PIN = 10,
};

struct object_id {
	uint8_t bytes[OBJECT_ID_SIZE];
};

struct keys;

/* To be called once before anything else of this module; fails if the libraries cannot start. */
int crypto_start(struct error *err);

struct keys *keys_new(const uint8_t master[MASTER_KEY_SIZE], const struct object_id *repository);
void keys_free(struct keys *keys); /* wipes */
const uint8_t *keys_master(const struct keys *keys);
const struct object_id *keys_repository(const struct keys *keys);
/* 32 bytes for the chunker. */
const uint8_t *keys_chunker(const struct keys *keys);

void object_id_random(struct object_id *ret);
void object_id_text(const struct object_id *id, char out[OBJECT_ID_TEXT_SIZE]);
/* 0, or -1 if text is not exactly 32 lower-case hexadecimal digits. */
int object_id_parse(const char *text, size_t len, struct object_id *ret);

/* HMAC-SHA-256 under the key of this kind of blob. */
void blob_hash(const struct keys *keys, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret);

/* The kind under which these bytes have this name; BLOB_KIND_COUNT if under none. */
enum blob_kind blob_identify(const struct keys *keys, const void *data, size_t len,
    const struct blob_id *id);

/* out takes len + SEAL_OVERHEAD bytes: nonce, ciphertext, tag. */
void seal(const struct keys *keys, enum seal_type type, const struct object_id *object,
    uint64_t position, const void *plain, size_t len, uint8_t *out);
/* out takes sealed_len - SEAL_OVERHEAD bytes.  0, or -1 if it is not what was sealed. */
int unseal(const struct keys *keys, enum seal_type type, const struct object_id *object,
    uint64_t position, const uint8_t *sealed, size_t sealed_len, uint8_t *out);

/* The same under a key from a passphrase (Argon2id); see FORMAT.md, "Key file". */
struct kdf_cost {
	uint32_t passes;
	uint32_t memory_kib;
};
/* Cheap for a passphrase made by passphrase_make(), which needs no stretching. */
void kdf_cost_for(const char *passphrase, struct kdf_cost *ret);
int kdf_derive(const char *passphrase, const uint8_t salt[16], const struct kdf_cost *cost,
    uint8_t ret_key[MASTER_KEY_SIZE], struct error *err);

#endif
