/*
 * A repository: content-addressed, deduplicating, always encrypted, append-only but for prune.
 *
 * Knows nothing of HTTP, SQL or the file system that is backed up.  An open repository may be
 * used from any number of threads.  Reading needs no claim.  Write order is data, index,
 * snapshot, so that after a crash at any moment every finished snapshot is whole.
 * Source: agent/repository/FORMAT.md.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_REPOSITORY_H
#define HOLDFAST_AGENT_REPOSITORY_REPOSITORY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/repository/blob.h"
#include "agent/storage/storage.h"
#include "shared/error.h"

struct repository;

#define REPOSITORY_ID_SIZE 16

/* A passphrase of 160 random bits with a check group: "hf1-xxxx-...-xxxx". */
#define PASSPHRASE_MADE_SIZE 49
void passphrase_make(char out[PASSPHRASE_MADE_SIZE]);

/* 1 if there is a repository in this storage, 0 if not, -1 error. */
int repository_exists(struct storage *storage, struct error *err);

/* Make a repository in an empty (or absent) storage; the passphrase must not be empty. */
int repository_init(struct storage *storage, const char *passphrase, struct error *err);

/* The repository keeps the storage and closes it in repository_close (also if open fails, the
 * storage stays the caller's).  ERROR_NOT_FOUND, ERROR_WRONG_KEY, ERROR_CORRUPT. */
int repository_open(struct storage *storage, const char *passphrase, struct repository **ret,
    struct error *err);
void repository_close(struct repository *repo);

struct storage *repository_storage(struct repository *repo);
/* The same repository through another storage that leads to the same objects, with an index of its
 * own.  The storage stays the caller's; close this before it, and before repo. */
struct repository *repository_through(struct repository *repo, struct storage *storage);
/* Hexadecimal, 32 digits. */
const char *repository_id_text(const struct repository *repo);

/* Wrap the repository's key by a new passphrase; the old one no longer opens it. */
int repository_change_passphrase(struct repository *repo, const char *passphrase,
    struct error *err);

/* Packs that are written from now on get this much parity; NULL: none.  To be called before any
 * other thread uses the repository. */
struct parity_rule;
void repository_set_parity(struct repository *repo, const struct parity_rule *rule);

/*
 * Parity makes damaged parts of packs again as they are read, without a word to whoever reads.
 * on_healed: first is called once for each such pack, in any thread.
 * healed_since: each pack of which something was healed since the mark was taken.
 * Neither may call the repository.
 */
#define HEALED_HINT "mend it with: holdfastd repair packs --apply"
typedef void repository_healed_fn(void *arg, const char *pack);
void repository_on_healed(struct repository *repo, repository_healed_fn *first, void *arg);
uint64_t repository_healed_mark(struct repository *repo);
void repository_healed_since(struct repository *repo, uint64_t mark, repository_healed_fn *each,
    void *arg);

/* See other writers' new packs: read index files that appeared since. */
int repository_refresh(struct repository *repo, struct error *err);

/* Forget the loaded index (unless a writer is at work) and all cached frames nobody holds; they
 * are read again when needed. For an agent at rest. */
void repository_trim(struct repository *repo);

/* A blob's bytes, lent until blob_release(). */
struct frame_data;
struct blob_view {
	const uint8_t *data;
	size_t len;
	struct frame_data *frame;
};
int repository_read_blob(struct repository *repo, enum blob_kind kind, const struct blob_id *id,
    struct blob_view *ret, struct error *err);
/* The same, and data too is hashed and compared with its name. */
int repository_read_blob_checked(struct repository *repo, enum blob_kind kind,
    const struct blob_id *id, struct blob_view *ret, struct error *err);
void blob_release(struct blob_view *view);

#endif
