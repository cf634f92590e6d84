/*
 * What the files of the repository share; nothing outside agent/repository includes this.
 *
 * Locks: `lock` guards the index (files, packs, frames, table); the frame cache has its own.
 * Neither is held while storage is read, but for loading the index.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_REPOSITORY_INTERNAL_H
#define HOLDFAST_AGENT_REPOSITORY_REPOSITORY_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "agent/repository/blob_table.h"
#include "agent/repository/chunker.h"
#include "agent/repository/crypto.h"
#include "agent/repository/index.h"
#include "agent/repository/pack.h"
#include "agent/repository/parity.h"
#include "agent/repository/repository.h"

struct frame_cache;
struct heal_log;

struct pack_info {
	struct object_id id;
	uint64_t size;
	enum pack_kind kind;
	bool marked; /* by prune: still read, but not relied on by new backups */
	bool bad;    /* see struct bad_pack */
};

struct frame_info {
	uint32_t pack; /* number in repo->packs */
	uint32_t offset, stored_len, plain_len;
	bool again;    /* a second index file names this pack, so its frames were counted before */
};

/*
 * A pack that is not there in its size, or that could not be read: its blobs are looked for
 * elsewhere first, and no new backup relies on them.
 */
struct bad_pack {
	struct object_id id;
	bool missing; /* else damaged; one that is there again is good again */
};

/* Of a blob that lies in several packs, a place that the table does not have. */
struct blob_copy {
	struct blob_id id;
	struct blob_location at;
};

struct repository {
	struct storage *storage;
	bool borrowed; /* storage and keys belong to another struct repository */
	struct keys *keys;
	char id_text[OBJECT_ID_TEXT_SIZE];
	struct chunker chunker;
	struct frame_cache *cache;
	struct parity_rule parity; /* of new packs */
	struct heal_log *healed;   /* belongs to the repository that a view was made of */

	pthread_rwlock_t lock;
	unsigned writers; /* at work: they rely on a loaded index */
	struct index_file **files; /* headers of all index files known */
	size_t file_count, file_cap;
	uint32_t *first_frames; /* of each file: where its frames start in `frames` */
	struct pack_info *packs;
	size_t pack_count, pack_cap;
	struct blob_table pack_numbers; /* id, followed by zeros, to number (in location.frame) */
	struct bad_pack *bad_packs;
	size_t bad_pack_count, bad_pack_cap;
	uint64_t mended; /* packs, as far as it was noticed: see heal_log_mended() */
	struct frame_info *frames;
	size_t frame_count, frame_cap;
	struct blob_table table;  /* every entry of the files loaded so far */
	struct blob_copy *copies; /* of these, in any order */
	size_t copy_count, copy_cap;
	size_t files_loaded;      /* the first so many files are in the table */
	struct object_id *bad_files; /* index files that could not be read */
	size_t bad_file_count, bad_file_cap;
	bool rescued;             /* packs without an index were read from their directories */
	unsigned pages_read;      /* one by one, before the table was loaded */
};

/* Where a blob lies, copied out of the index. */
struct blob_place {
	struct object_id pack;
	uint32_t frame_offset, stored_len, plain_len; /* of the frame */
	uint32_t offset, len;                         /* of the blob within the plain frame */
	bool marked, bad;
};

/*
 * The same repository with an index of its own, for work that must not disturb or be disturbed by
 * what else goes on in this process. Must be closed before the one it came from.
 */
struct repository *repository_view(struct repository *repo);

/* 1 found, 0 absent, -1 error. */
int repository_find_blob(struct repository *repo, const struct blob_id *id,
    struct blob_place *ret, struct error *err);
/* Load every index file into memory, so that repository_has_blob() answers without reading. */
int repository_load_index(struct repository *repo, struct error *err);
/* Between these, repository_trim() leaves the index alone. */
void repository_writer_began(struct repository *repo);
void repository_writer_ended(struct repository *repo);
/* Whether a new backup may rely on this blob.  Needs a loaded index. */
bool repository_has_blob(struct repository *repo, const struct blob_id *id);
/* Look which packs are there, so that no new backup relies on one that is not. */
int repository_note_missing(struct repository *repo, struct error *err);
/* A pack could not be read: 1 if its blobs are now looked for elsewhere first, 0 if that was so
 * before, -1 error. */
int repository_avoid_pack(struct repository *repo, const struct object_id *pack,
    struct error *err);
/* Where this entry of the index leads.  Called with the lock held. */
void repository_fill_place(const struct repository *repo, const struct blob_location *at,
    struct blob_place *ret);
/*
 * Of a blob that lies in several packs, another place than the one that the index gives: 1 found,
 * 0 there are no more.  Needs a loaded index.  cursor begins as 0.
 */
int repository_next_copy(struct repository *repo, const struct blob_id *id, size_t *cursor,
    struct blob_place *ret);
/*
 * Before copies are removed: where the index gives a place that cannot be read although the copy
 * can, it gives the copy's from now on, until it is loaded anew.  Needs a loaded index that nobody
 * else uses meanwhile.
 *   used        only copies of these blobs
 *   endangered  only copies in these packs, by number
 *   states      one byte a frame, zeros at first: what was found of it; to be given again
 * Returns 1 if any place was changed, 0 if not, -1 on error.
 */
struct progress;
int repository_prefer_readable(struct repository *repo, const struct blob_table *used,
    const bool *endangered, uint8_t *states, struct progress *progress, struct error *err);
/* Whether the index, as far as it was read, speaks of this pack. */
bool repository_knows_pack(struct repository *repo, const struct object_id *pack);
/* Make packs known that no index file covers. */
int repository_load_unindexed(struct repository *repo, struct error *err);

struct frame_cache *frame_cache_new(struct repository *repo);
void frame_cache_free(struct frame_cache *cache);
void frame_cache_clear(struct frame_cache *cache);
/* The decoded frame at this place, lent until frame_release(). */
int frame_cache_get(struct frame_cache *cache, const struct blob_place *place,
    struct frame_data **ret, const uint8_t **ret_data, struct error *err);
void frame_release(struct frame_data *frame);

/* Names of all objects of one folder. */
struct object_names {
	char **list;
	uint64_t *sizes;
	size_t count, cap;
};
int object_names_read(struct storage *storage, const char *folder, struct object_names *ret,
    struct error *err);
void object_names_done(struct object_names *names);

#endif
