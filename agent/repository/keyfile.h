/*
 * Key files: the repository's master key, wrapped by the passphrase.
 *
 * Each key is written twice ("keys/ID-a" and "keys/ID-b"), so that one damaged file does not lose a
 * repository.  A changed passphrase is a new pair; the old pair is removed after it.
 * Source: agent/repository/FORMAT.md, "Key file".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_KEYFILE_H
#define HOLDFAST_AGENT_REPOSITORY_KEYFILE_H

#include "agent/repository/chunker.h"
#include "agent/repository/crypto.h"
#include "agent/storage/storage.h"
#include "shared/error.h"

#define KEYFILE_FOLDER "keys"
#define KEYFILE_MAX 4096
/* Bounds on what a key file may ask of us before it is trusted. */
#define KEYFILE_PASSES_MAX 64
#define KEYFILE_MEMORY_KIB_MAX (1u << 20)

struct keyfile_header {
	struct object_id repository, id;
	struct kdf_cost cost;
	uint8_t salt[16];
	const uint8_t *sealed; /* lent from the file's bytes */
	size_t sealed_len;
};

int keyfile_decode(const void *data, size_t len, struct keyfile_header *ret, struct error *err);

/* Number of key files. */
int keyfile_count(struct storage *storage, size_t *ret, struct error *err);
/* Wrap the master key by this passphrase and store it, with the sizes of chunks; then remove all
 * other key files. */
int keyfile_write(struct storage *storage, const struct object_id *repository,
    const uint8_t master[MASTER_KEY_SIZE], const struct chunk_sizes *sizes,
    const char *passphrase, struct error *err);
/* Open whichever key file this passphrase opens. ERROR_NOT_FOUND, ERROR_WRONG_KEY,
 * ERROR_CORRUPT, ERROR_UNSUPPORTED if this version cannot cut chunks of these sizes. */
int keyfile_open(struct storage *storage, const char *passphrase, struct keys **ret,
    struct chunk_sizes *ret_sizes, struct error *err);

#endif
