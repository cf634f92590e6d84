/*
 * Decoded frames, shared by all readers of a repository.
 *
 * Each frame is read by one thread while others that want it wait; frames nobody holds stay
 * until CACHE_BYTES are used, the least recently used go first.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/healing.h"
#include "shared/mem.h"

#define CACHE_BYTES (24u << 20)
#define CACHE_BUCKETS 256

enum frame_state { FRAME_LOADING, FRAME_READY, FRAME_FAILED };

struct frame_data {
	struct frame_cache *cache;
	struct frame_data *next;          /* in its bucket */
	struct frame_data *newer, *older; /* in the order of use, while nobody holds it */
	struct object_id pack;
	uint32_t offset;
	uint32_t len;
	unsigned holders;
	enum frame_state state;
	bool listed; /* still in its bucket */
	uint8_t *data;
	struct error err; /* if FAILED */
};

struct idle_coder {
	struct idle_coder *next;
	struct frame_coder *coder;
};

struct frame_cache {
	struct repository *repo;
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct frame_data *buckets[CACHE_BUCKETS];
	struct frame_data *newest, *oldest; /* frames nobody holds */
	size_t bytes;                       /* of all frames listed */
	struct idle_coder *coders;
};

static struct frame_data **
bucket_of(struct frame_cache *cache, const struct object_id *pack, uint32_t offset)
{
	uint32_t hash;

	/* Pack ids are random; offsets of neighbours differ little. */
	memcpy(&hash, pack->bytes, sizeof(hash));
	return &cache->buckets[(hash ^ offset ^ offset >> 12) % CACHE_BUCKETS];
}

static void
unlink_idle(struct frame_cache *cache, struct frame_data *frame)
{
	if (frame->newer != NULL)
		frame->newer->older = frame->older;
	else if (cache->newest == frame)
		cache->newest = frame->older;
	if (frame->older != NULL)
		frame->older->newer = frame->newer;
	else if (cache->oldest == frame)
		cache->oldest = frame->newer;
	frame->newer = frame->older = NULL;
}

static void
link_idle(struct frame_cache *cache, struct frame_data *frame)
{
	frame->older = cache->newest;
	if (cache->newest != NULL)
		cache->newest->newer = frame;
	else
		cache->oldest = frame;
	cache->newest = frame;
}

static void
unlist(struct frame_cache *cache, struct frame_data *frame)
{
	struct frame_data **at = bucket_of(cache, &frame->pack, frame->offset);

	if (!frame->listed)
		return;
	while (*at != frame)
		at = &(*at)->next;
	*at = frame->next;
	frame->listed = false;
	cache->bytes -= frame->len;
}

static void
frame_data_free(struct frame_data *frame)
{
	free(frame->data);
	free(frame);
}

static void
evict(struct frame_cache *cache, size_t limit)
{
	while (cache->bytes > limit && cache->oldest != NULL) {
		struct frame_data *frame = cache->oldest;

		unlink_idle(cache, frame);
		unlist(cache, frame);
		frame_data_free(frame);
	}
}

struct frame_cache *
frame_cache_new(struct repository *repo)
{
	struct frame_cache *cache = MEM_NEW(struct frame_cache);

	cache->repo = repo;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->loaded, NULL);
	return cache;
}

void
frame_cache_clear(struct frame_cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	evict(cache, 0);
	while (cache->coders != NULL) {
		struct idle_coder *idle = cache->coders;

		cache->coders = idle->next;
		frame_coder_free(idle->coder);
		free(idle);
	}
	pthread_mutex_unlock(&cache->lock);
}

void
frame_cache_free(struct frame_cache *cache)
{
	if (cache == NULL)
		return;
	frame_cache_clear(cache);
	pthread_mutex_destroy(&cache->lock);
	pthread_cond_destroy(&cache->loaded);
	free(cache);
}

/* Called with the lock held, which is given up while the frame is read. */
static void
load(struct frame_cache *cache, struct frame_data *frame, const struct blob_place *place)
{
	struct idle_coder *idle = cache->coders;
	struct error err = ERROR_INIT;
	int rc = -1;

	if (idle != NULL)
		cache->coders = idle->next;
	pthread_mutex_unlock(&cache->lock);
	if (idle == NULL) {
		idle = MEM_NEW(struct idle_coder);
		idle->coder = frame_coder_new(0);
	}
	frame->data = mem_try(place->plain_len, &err);
	if (frame->data != NULL)
		rc = repository_read_frame(cache->repo, idle->coder, &place->pack,
		    place->frame_offset, place->stored_len, frame->data, place->plain_len, &err);
	pthread_mutex_lock(&cache->lock);
	idle->next = cache->coders;
	cache->coders = idle;
	frame->state = rc == 0 ? FRAME_READY : FRAME_FAILED;
	frame->err = err;
	if (rc != 0)
		unlist(cache, frame); /* the next one who asks tries again */
	pthread_cond_broadcast(&cache->loaded);
}

static void
release_locked(struct frame_cache *cache, struct frame_data *frame)
{
	if (--frame->holders > 0)
		return;
	if (!frame->listed) {
		frame_data_free(frame);
		return;
	}
	link_idle(cache, frame);
	evict(cache, CACHE_BYTES);
}

static struct frame_data *
find_or_add(struct frame_cache *cache, const struct blob_place *place, bool *ret_added)
{
	struct frame_data **bucket = bucket_of(cache, &place->pack, place->frame_offset);
	struct frame_data *frame;

	*ret_added = false;
	for (frame = *bucket; frame != NULL; frame = frame->next)
		if (frame->offset == place->frame_offset &&
		    memcmp(frame->pack.bytes, place->pack.bytes, OBJECT_ID_SIZE) == 0)
			break;
	if (frame == NULL) {
		frame = MEM_NEW(struct frame_data);
		frame->cache = cache;
		frame->pack = place->pack;
		frame->offset = place->frame_offset;
		frame->len = place->plain_len;
		frame->state = FRAME_LOADING;
		frame->next = *bucket;
		frame->listed = true;
		*bucket = frame;
		cache->bytes += frame->len;
		*ret_added = true;
	} else if (frame->holders == 0) {
		unlink_idle(cache, frame);
	}
	frame->holders++;
	return frame;
}

int
frame_cache_get(struct frame_cache *cache, const struct blob_place *place,
    struct frame_data **ret, const uint8_t **ret_data, struct error *err)
{
	struct frame_data *frame;
	bool added;
	int rc = 0;

	pthread_mutex_lock(&cache->lock);
	frame = find_or_add(cache, place, &added);
	if (added)
		load(cache, frame, place);
	while (frame->state == FRAME_LOADING)
		pthread_cond_wait(&cache->loaded, &cache->lock);
	if (frame->state == FRAME_FAILED || (uint64_t)place->offset + place->len > frame->len) {
		if (frame->state == FRAME_FAILED)
			*err = frame->err;
		else
			error_set(err, ERROR_CORRUPT, "the index points outside a frame");
		release_locked(cache, frame);
		rc = -1;
	} else {
		*ret = frame;
		*ret_data = frame->data;
	}
	pthread_mutex_unlock(&cache->lock);
	return rc;
}

void
frame_release(struct frame_data *frame)
{
	struct frame_cache *cache;

	if (frame == NULL)
		return;
	cache = frame->cache;
	pthread_mutex_lock(&cache->lock);
	release_locked(cache, frame);
	pthread_mutex_unlock(&cache->lock);
}
