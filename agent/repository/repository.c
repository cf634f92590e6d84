#include "agent/repository/repository.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/healing.h"
#include "agent/repository/keyfile.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"

int
repository_exists(struct storage *storage, struct error *err)
{
	size_t count;

	if (keyfile_count(storage, &count, err) != 0)
		return -1;
	return count > 0;
}

int
repository_init(struct storage *storage, const char *passphrase, struct error *err)
{
	struct object_names packs;
	struct object_id id;
	uint8_t master[MASTER_KEY_SIZE];
	int rc, there;

	if (crypto_start(err) != 0 || (there = repository_exists(storage, err)) < 0)
		return -1;
	if (there)
		return error_set(err, ERROR_EXISTS, "there is a repository at '%s' already",
		    storage_url(storage));
	if (object_names_read(storage, "packs", &packs, err) != 0)
		return -1;
	if (packs.count > 0) {
		error_set(err, ERROR_EXISTS, "'%s' holds %zu packs but no key file",
		    storage_url(storage), packs.count);
		error_hint(err, "bring its folder 'keys' back from a copy, or choose another place");
		object_names_done(&packs);
		return -1;
	}
	object_names_done(&packs);
	object_id_random(&id);
	randombytes_buf(master, sizeof(master));
	rc = keyfile_write(storage, &id, master, &chunk_sizes_default, passphrase, err);
	explicit_bzero(master, sizeof(master));
	return rc;
}

static struct repository *
repository_new(struct storage *storage, struct keys *keys, const struct chunk_sizes *sizes)
{
	struct repository *repo = MEM_NEW(struct repository);

	repo->storage = storage;
	repo->keys = keys;
	object_id_text(keys_repository(keys), repo->id_text);
	chunker_init(&repo->chunker, sizes, keys_chunker(keys));
	pthread_rwlock_init(&repo->lock, NULL);
	blob_table_init(&repo->table);
	repo->cache = frame_cache_new(repo);
	return repo;
}

struct repository *
repository_through(struct repository *repo, struct storage *storage)
{
	struct repository *view = repository_new(storage, repo->keys, &repo->chunker.sizes);

	view->borrowed = true;
	view->parity = repo->parity;
	view->healed = repo->healed;
	return view;
}

struct repository *
repository_view(struct repository *repo)
{
	return repository_through(repo, repo->storage);
}

int
repository_open(struct storage *storage, const char *passphrase, struct repository **ret,
    struct error *err)
{
	struct chunk_sizes sizes;
	struct repository *repo;
	struct keys *keys;

	if (crypto_start(err) != 0 ||
	    keyfile_open(storage, passphrase, &keys, &sizes, err) != 0)
		return -1;
	repo = repository_new(storage, keys, &sizes);
	repo->healed = heal_log_new();
	if (repository_refresh(repo, err) != 0) {
		repo->storage = NULL; /* stays the caller's */
		repository_close(repo);
		return -1;
	}
	*ret = repo;
	return 0;
}

void
repository_close(struct repository *repo)
{
	if (repo == NULL)
		return;
	repository_trim(repo);
	frame_cache_free(repo->cache);
	free(repo->bad_files);
	free(repo->bad_packs);
	if (!repo->borrowed) {
		heal_log_free(repo->healed);
		keys_free(repo->keys);
		storage_close(repo->storage);
	}
	pthread_rwlock_destroy(&repo->lock);
	free(repo);
}

void
repository_set_parity(struct repository *repo, const struct parity_rule *rule)
{
	repo->parity = rule != NULL ? *rule : (struct parity_rule){ 0, 0, 0 };
}

struct storage *
repository_storage(struct repository *repo)
{
	return repo->storage;
}

const char *
repository_id_text(const struct repository *repo)
{
	return repo->id_text;
}

int
repository_change_passphrase(struct repository *repo, const char *passphrase, struct error *err)
{
	return keyfile_write(repo->storage, keys_repository(repo->keys), keys_master(repo->keys),
	    &repo->chunker.sizes, passphrase, err);
}

/* Read a blob at this place; hash it, if asked, to see that it is what its name says. */
static int
read_place(struct repository *repo, enum blob_kind kind, const struct blob_id *id, bool hash,
    const struct blob_place *place, struct blob_view *ret, struct error *err)
{
	char text[BLOB_ID_TEXT_SIZE], name[PACK_NAME_SIZE];
	struct blob_view view;
	struct blob_id actual;
	const uint8_t *frame;

	if (frame_cache_get(repo->cache, place, &view.frame, &frame, err) != 0) {
		/* Nobody asked for the pack: to the caller that is damage. */
		if (err->code == ERROR_NOT_FOUND) {
			pack_name(&place->pack, name);
			error_set(err, ERROR_CORRUPT, "pack '%s' is missing", name);
			error_hint(err, "holdfastd check names what else is affected");
		}
		return -1;
	}
	view.data = frame + place->offset;
	view.len = place->len;
	if (hash)
		blob_hash(repo->keys, kind, view.data, view.len, &actual);
	if (hash && blob_id_compare(&actual, id) != 0) {
		blob_release(&view);
		blob_id_text(id, text);
		return error_set(err, ERROR_CORRUPT, "blob %.12s does not hold what its name says",
		    text);
	}
	*ret = view;
	return 0;
}

static bool
is_same_frame(const struct blob_place *a, const struct blob_place *b)
{
	return a->frame_offset == b->frame_offset && memcmp(&a->pack, &b->pack, sizeof(a->pack)) == 0;
}

/* A blob whose place cannot be read may lie in other packs, too. */
static int
read_copy(struct repository *repo, enum blob_kind kind, const struct blob_id *id, bool hash,
    const struct blob_place *bad, struct blob_view *ret)
{
	struct blob_place place;
	struct error ignored;
	size_t cursor = 0;

	/* A later backup may have stored it again, which is not known here yet if the damage was
	 * known before. */
	if (repository_avoid_pack(repo, &bad->pack, &ignored) < 0 ||
	    repository_refresh(repo, &ignored) != 0)
		return -1;
	if (repository_find_blob(repo, id, &place, &ignored) == 1 && !is_same_frame(&place, bad) &&
	    read_place(repo, kind, id, hash, &place, ret, &ignored) == 0)
		return 0;
	/* Packs are avoided as a whole, but of two that are damaged each may have what the other
	 * lost. */
	if (repository_load_index(repo, &ignored) != 0)
		return -1;
	while (repository_next_copy(repo, id, &cursor, &place) == 1)
		if (!is_same_frame(&place, bad) &&
		    read_place(repo, kind, id, hash, &place, ret, &ignored) == 0)
			return 0;
	return -1;
}

static int
read_blob(struct repository *repo, enum blob_kind kind, const struct blob_id *id, bool hash,
    struct blob_view *ret, struct error *err)
{
	struct blob_place place;
	struct error why;
	char text[BLOB_ID_TEXT_SIZE];
	int found = repository_find_blob(repo, id, &place, err);

	if (found < 0)
		return -1;
	if (found == 0) {
		blob_id_text(id, text);
		error_set(err, ERROR_CORRUPT, "blob %.12s is missing from the repository", text);
		return error_hint(err, "holdfastd check names what else is affected");
	}
	if (read_place(repo, kind, id, hash, &place, ret, &why) == 0 ||
	    (why.code == ERROR_CORRUPT && read_copy(repo, kind, id, hash, &place, ret) == 0))
		return 0;
	*err = why;
	return -1;
}

/*
 * Sealing shows that a frame is as it was stored, and in its place; the sealed index says which
 * of its bytes are this blob's. Trees and lists are hashed once more all the same, so that one
 * kind of blob cannot pose as another. Of data, which is nearly everything, the hash would cost a
 * quarter of a restore.
 */
int
repository_read_blob(struct repository *repo, enum blob_kind kind, const struct blob_id *id,
    struct blob_view *ret, struct error *err)
{
	return read_blob(repo, kind, id, kind != BLOB_DATA, ret, err);
}

int
repository_read_blob_checked(struct repository *repo, enum blob_kind kind,
    const struct blob_id *id, struct blob_view *ret, struct error *err)
{
	return read_blob(repo, kind, id, true, ret, err);
}

void
blob_release(struct blob_view *view)
{
	frame_release(view->frame);
	view->frame = NULL;
	view->data = NULL;
}
