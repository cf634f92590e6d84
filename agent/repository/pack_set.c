#include <stdlib.h>
#include <string.h>

#include "agent/repository/writer_internal.h"
#include "shared/mem.h"

/* An index file is written after so many packs, and then after each further quarter, so that a
 * backup cut short keeps most of its work and a long one does not leave thousands of files. */
#define INDEX_AFTER_PACKS 16
/* Or after so many blobs: each takes about 110 bytes until then, and while they are sorted.  A pack
 * of small files may hold as many. */
#define INDEX_AFTER_BLOBS 65536

struct open_pack {
	struct open_pack *next; /* in the queue of full packs */
	struct pack_writer *writer;
	unsigned writing; /* frames reserved and not written yet */
	bool full;
};

struct pack_set {
	struct repository *repo;
	struct progress *progress;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct open_pack *open[PACK_KIND_COUNT];
	struct open_pack *first, *last; /* full, all frames written */
	unsigned unfinished;            /* packs that are full, queued or being finished */
	struct pack_directory **done;   /* durable, not indexed yet */
	size_t done_count, done_cap, done_blobs;
	size_t packs_indexed;
	uint64_t stored_bytes;
	bool closing, failed;
	struct error err;
	pthread_t finisher;
};

static void
fail_locked(struct pack_set *set, const struct error *err)
{
	if (!set->failed) {
		set->failed = true;
		set->err = *err;
	}
	pthread_cond_broadcast(&set->changed);
}

/* Called by the finisher alone. */
static int
write_index(struct pack_set *set, struct error *err)
{
	struct object_id id;

	if (set->done_count == 0)
		return 0;
	if (index_write(set->repo->storage, set->repo->keys, set->done, set->done_count, &id,
	    err) != 0)
		return -1;
	set->packs_indexed += set->done_count;
	for (size_t i = 0; i < set->done_count; i++)
		pack_directory_free(set->done[i]);
	set->done_count = set->done_blobs = 0;
	return 0;
}

/* If interrupted before the parity is there, the pack is in no index: nobody counts on it. */
static int
add_parity(struct pack_set *set, const struct pack_directory *directory, struct error *err)
{
	struct parity_shape shape;

	if (!parity_rule_is_on(&set->repo->parity))
		return 0;
	parity_shape_choose(&set->repo->parity, directory->size, &shape);
	return parity_write(set->repo->storage, set->repo->keys, &directory->id, &shape,
	    &directory->sum, false, err);
}

static int
finish_one(struct pack_set *set, struct open_pack *pack, struct error *err)
{
	struct pack_directory *directory;
	size_t enough = INDEX_AFTER_PACKS;

	if (pack_finish(pack->writer, &directory, err) != 0)
		return -1;
	if (add_parity(set, directory, err) != 0) {
		pack_directory_free(directory);
		return -1;
	}
	MEM_GROW(set->done, set->done_count, set->done_cap);
	set->done[set->done_count++] = directory;
	set->done_blobs += directory->blob_count;
	if (set->packs_indexed / 4 > enough)
		enough = set->packs_indexed / 4;
	if (set->done_count < enough && set->done_blobs < INDEX_AFTER_BLOBS)
		return 0;
	return write_index(set, err);
}

static void *
finisher_main(void *arg)
{
	struct pack_set *set = arg;
	struct error err;

	pthread_mutex_lock(&set->lock);
	for (;;) {
		struct open_pack *pack;
		bool failed;
		int rc;

		while (set->first == NULL && !set->closing)
			pthread_cond_wait(&set->changed, &set->lock);
		if ((pack = set->first) == NULL)
			break;
		set->first = pack->next;
		failed = set->failed;
		pthread_mutex_unlock(&set->lock);
		if (failed) {
			pack_abort(pack->writer);
			rc = 0;
		} else {
			rc = finish_one(set, pack, &err);
		}
		free(pack);
		pthread_mutex_lock(&set->lock);
		set->unfinished--;
		if (rc != 0)
			fail_locked(set, &err);
		pthread_cond_broadcast(&set->changed);
	}
	pthread_mutex_unlock(&set->lock);
	return NULL;
}

struct pack_set *
pack_set_new(struct repository *repo, struct progress *progress)
{
	struct pack_set *set = MEM_NEW(struct pack_set);

	set->repo = repo;
	set->progress = progress;
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->changed, NULL);
	if (pthread_create(&set->finisher, NULL, finisher_main, set) != 0)
		abort(); /* no thread to be had: as good as out of memory */
	return set;
}

static void
queue_full(struct pack_set *set, struct open_pack *pack)
{
	pack->next = NULL;
	if (set->first == NULL)
		set->first = pack;
	else
		set->last->next = pack;
	set->last = pack;
	pthread_cond_broadcast(&set->changed);
}

/* The open pack with a place reserved in it; NULL on failure. */
static struct open_pack *
reserve(struct pack_set *set, enum pack_kind kind, size_t payload_len, uint32_t *ret_offset,
    struct error *err)
{
	struct open_pack *pack = set->open[kind];

	if (set->failed) {
		*err = set->err;
		return NULL;
	}
	if (pack == NULL) {
		struct pack_writer *writer;

		if (pack_begin(set->repo->storage, set->repo->keys, kind, &writer, err) != 0)
			return NULL;
		pack = set->open[kind] = MEM_NEW(struct open_pack);
		pack->writer = writer;
	}
	*ret_offset = pack_reserve(pack->writer, payload_len);
	pack->writing++;
	if (pack_writer_size(pack->writer) >= PACK_SIZE_TARGET) {
		pack->full = true;
		set->unfinished++;
		set->open[kind] = NULL;
	}
	return pack;
}

int
pack_set_write(struct pack_set *set, enum pack_kind kind, const struct buffer *payload,
    uint32_t plain_len, const struct pack_blob *blobs, size_t blob_count, struct error *err)
{
	struct open_pack *pack;
	uint32_t offset;
	int rc = -1;

	pthread_mutex_lock(&set->lock);
	pack = reserve(set, kind, payload->len, &offset, err);
	if (pack == NULL) {
		fail_locked(set, err);
		goto out;
	}
	pthread_mutex_unlock(&set->lock);
	rc = pack_write_frame(pack->writer, offset, payload->data, payload->len, plain_len, blobs,
	    blob_count, err);
	pthread_mutex_lock(&set->lock);
	if (rc != 0)
		fail_locked(set, err);
	set->stored_bytes += payload->len + SEAL_OVERHEAD;
	if (set->progress != NULL)
		atomic_fetch_add(&set->progress->stored_bytes, payload->len + SEAL_OVERHEAD);
	if (--pack->writing == 0 && pack->full)
		queue_full(set, pack);
out:
	pthread_mutex_unlock(&set->lock);
	return rc;
}

static void
pack_set_free(struct pack_set *set)
{
	for (size_t i = 0; i < set->done_count; i++)
		pack_directory_free(set->done[i]);
	free(set->done);
	pthread_mutex_destroy(&set->lock);
	pthread_cond_destroy(&set->changed);
	free(set);
}

/* Queue what is open, let the finisher work it off (or throw it away, if failed), and end it. */
static void
close_packs(struct pack_set *set)
{
	pthread_mutex_lock(&set->lock);
	for (unsigned kind = 0; kind < PACK_KIND_COUNT; kind++) {
		if (set->open[kind] == NULL)
			continue;
		set->unfinished++;
		queue_full(set, set->open[kind]);
		set->open[kind] = NULL;
	}
	while (set->unfinished > 0)
		pthread_cond_wait(&set->changed, &set->lock);
	set->closing = true;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
	pthread_join(set->finisher, NULL);
}

int
pack_set_finish(struct pack_set *set, uint64_t *ret_stored_bytes, struct error *err)
{
	int rc = -1;

	close_packs(set);
	if (set->failed)
		*err = set->err;
	else
		rc = write_index(set, err);
	*ret_stored_bytes = set->stored_bytes;
	pack_set_free(set);
	return rc;
}

void
pack_set_abort(struct pack_set *set)
{
	struct error cancelled = ERROR_INIT;

	error_set(&cancelled, ERROR_CANCELLED, "given up");
	pthread_mutex_lock(&set->lock);
	fail_locked(set, &cancelled);
	pthread_mutex_unlock(&set->lock);
	close_packs(set);
	/* What is durable already is worth an index, so that the next backup need not store it again. */
	(void)write_index(set, &cancelled);
	pack_set_free(set);
}
