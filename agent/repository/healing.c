#include "agent/repository/healing.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/parity.h"
#include "shared/mem.h"

struct healed_pack {
	struct object_id id;
	uint64_t last; /* number of the latest time it was healed */
};

struct heal_log {
	pthread_mutex_t lock;
	uint64_t number; /* rises with each time that something was healed */
	uint64_t mended; /* packs that were written anew */
	struct healed_pack *packs;
	size_t count, cap;
	repository_healed_fn *first;
	void *arg;
};

struct heal_log *
heal_log_new(void)
{
	struct heal_log *log = MEM_NEW(struct heal_log);

	pthread_mutex_init(&log->lock, NULL);
	return log;
}

void
heal_log_free(struct heal_log *log)
{
	if (log == NULL)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log->packs);
	free(log);
}

void
repository_on_healed(struct repository *repo, repository_healed_fn *first, void *arg)
{
	pthread_mutex_lock(&repo->healed->lock);
	repo->healed->first = first;
	repo->healed->arg = arg;
	pthread_mutex_unlock(&repo->healed->lock);
}

uint64_t
repository_healed_mark(struct repository *repo)
{
	uint64_t mark;

	pthread_mutex_lock(&repo->healed->lock);
	mark = repo->healed->number;
	pthread_mutex_unlock(&repo->healed->lock);
	return mark;
}

void
repository_healed_since(struct repository *repo, uint64_t mark, repository_healed_fn *each,
    void *arg)
{
	struct heal_log *log = repo->healed;
	char name[PACK_NAME_SIZE];

	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < log->count; i++) {
		if (log->packs[i].last <= mark)
			continue;
		pack_name(&log->packs[i].id, name);
		each(arg, name);
	}
	pthread_mutex_unlock(&log->lock);
}

void
repository_pack_mended(struct repository *repo)
{
	pthread_mutex_lock(&repo->healed->lock);
	repo->healed->mended++;
	pthread_mutex_unlock(&repo->healed->lock);
}

uint64_t
heal_log_mended(struct heal_log *log)
{
	uint64_t mended;

	pthread_mutex_lock(&log->lock);
	mended = log->mended;
	pthread_mutex_unlock(&log->lock);
	return mended;
}

static void
note_healed(struct repository *repo, const struct object_id *pack)
{
	struct heal_log *log = repo->healed;
	char name[PACK_NAME_SIZE];
	size_t i = 0;

	pthread_mutex_lock(&log->lock);
	while (i < log->count && memcmp(&log->packs[i].id, pack, sizeof(*pack)) != 0)
		i++;
	if (i == log->count) {
		MEM_GROW(log->packs, log->count, log->cap);
		log->packs[log->count++].id = *pack;
		pack_name(pack, name);
		if (log->first != NULL)
			log->first(log->arg, name);
	}
	log->packs[i].last = ++log->number;
	pthread_mutex_unlock(&log->lock);
}

/* The parity of a pack in which something does not open.  False if there is nothing to be done. */
static bool
find_parity(struct repository *repo, const struct object_id *pack, const struct error *why,
    struct parity **ret)
{
	struct error ignored = ERROR_INIT;

	return parity_error_is_damage(why) &&
	    parity_open(repo->storage, repo->keys, pack, ret, &ignored) == 1;
}

/* Note what was healed, or tell how the pack is as it lies there; and if it is for want of the
 * library only, that. */
static int
finish(struct repository *repo, const struct object_id *pack, int rc, const struct error *why,
    const struct error *healing, struct error *err)
{
	if (rc == 0) {
		note_healed(repo, pack);
		return 0;
	}
	*err = *why;
	if (healing->code == ERROR_UNSUPPORTED)
		error_hint(err, "it has parity, but %s", healing->message);
	return -1;
}

int
repository_read_frame(struct repository *repo, struct frame_coder *coder,
    const struct object_id *pack, uint32_t offset, uint32_t stored_len, void *plain,
    uint32_t plain_len, struct error *err)
{
	struct error why = ERROR_INIT, healing = ERROR_INIT;
	struct pack_source source;
	struct parity *parity;
	int rc = -1;

	if (pack_read_frame(repo->storage, repo->keys, coder, pack, offset, stored_len, plain,
	    plain_len, &why) == 0)
		return 0;
	if (find_parity(repo, pack, &why, &parity)) {
		parity_source(parity, &source);
		/* Its seal shows whether what was made again is what was there. */
		rc = pack_frame_from(&source, repo->keys, coder, pack, offset, stored_len, plain,
		    plain_len, &healing);
		parity_close(parity);
	}
	return finish(repo, pack, rc, &why, &healing, err);
}

int
repository_read_directory(struct repository *repo, const struct object_id *pack,
    struct pack_directory **ret, struct error *err)
{
	struct error why = ERROR_INIT, healing = ERROR_INIT;
	struct pack_source source;
	struct parity *parity;
	int rc = -1;

	if (pack_read_directory(repo->storage, repo->keys, pack, ret, &why) == 0)
		return 0;
	if (find_parity(repo, pack, &why, &parity)) {
		parity_source(parity, &source);
		rc = pack_directory_from(&source, repo->keys, pack, ret, &healing);
		parity_close(parity);
	}
	return finish(repo, pack, rc, &why, &healing, err);
}
