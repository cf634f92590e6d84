/*
 * Which blobs there are: the index as the open repository knows it.
 *
 * Looking a few blobs up reads single pages of the index files; after PAGES_BEFORE_LOADING of
 * them, or when a backup asks, everything is loaded into one table. If an index file is damaged
 * or gone, the packs that no good file covers are read from their own directories, so that
 * nothing depends on the index.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/healing.h"
#include "shared/mem.h"
#include "shared/text.h"

#define PAGES_BEFORE_LOADING 64
/* Index files vanish under a reader when another process merges them; listing again finds the new
 * ones. */
#define REFRESH_TRIES 5

void
blob_id_text(const struct blob_id *id, char out[BLOB_ID_TEXT_SIZE])
{
	hex_encode(id->bytes, sizeof(id->bytes), out);
}

static void
reset_index(struct repository *repo)
{
	for (size_t i = 0; i < repo->file_count; i++)
		index_file_free(repo->files[i]);
	free(repo->files);
	free(repo->first_frames);
	free(repo->packs);
	free(repo->frames);
	free(repo->copies);
	repo->files = NULL;
	repo->first_frames = NULL;
	repo->packs = NULL;
	repo->frames = NULL;
	repo->copies = NULL;
	repo->copy_count = repo->copy_cap = 0;
	repo->file_count = repo->file_cap = repo->pack_count = repo->pack_cap = 0;
	repo->frame_count = repo->frame_cap = repo->files_loaded = 0;
	repo->pages_read = 0;
	repo->rescued = false;
	blob_table_done(&repo->table);
	blob_table_done(&repo->pack_numbers);
}

static struct bad_pack *
find_bad_pack(const struct repository *repo, const struct object_id *id)
{
	for (size_t i = 0; i < repo->bad_pack_count; i++)
		if (memcmp(repo->bad_packs[i].id.bytes, id->bytes, OBJECT_ID_SIZE) == 0)
			return &repo->bad_packs[i];
	return NULL;
}

static void
add_bad_pack(struct repository *repo, const struct object_id *id, bool missing)
{
	MEM_GROW(repo->bad_packs, repo->bad_pack_count, repo->bad_pack_cap);
	repo->bad_packs[repo->bad_pack_count++] = (struct bad_pack){ *id, missing };
}

static struct blob_id
pack_key(const struct object_id *id)
{
	struct blob_id key = { { 0 } };

	memcpy(key.bytes, id->bytes, OBJECT_ID_SIZE);
	return key;
}

static bool
find_pack(const struct repository *repo, const struct object_id *id, uint32_t *ret)
{
	struct blob_id key = pack_key(id);
	struct blob_location at;

	if (blob_table_find(&repo->pack_numbers, &key, &at) == 0)
		return false;
	*ret = at.frame;
	return true;
}

static uint32_t
add_pack(struct repository *repo, const struct object_id *id, uint64_t size, enum pack_kind kind)
{
	struct blob_location at = { .frame = (uint32_t)repo->pack_count };
	struct blob_id key = pack_key(id);

	MEM_GROW(repo->packs, repo->pack_count, repo->pack_cap);
	repo->packs[repo->pack_count] = (struct pack_info){ .id = *id, .size = size, .kind = kind,
		.bad = find_bad_pack(repo, id) != NULL };
	blob_table_insert(&repo->pack_numbers, &key, &at, 0);
	return (uint32_t)repo->pack_count++;
}

static void
add_frame(struct repository *repo, uint32_t pack, uint32_t offset, uint32_t stored_len,
    uint32_t plain_len, bool again)
{
	MEM_GROW(repo->frames, repo->frame_count, repo->frame_cap);
	repo->frames[repo->frame_count++] = (struct frame_info){ .pack = pack, .offset = offset,
		.stored_len = stored_len, .plain_len = plain_len, .again = again };
}

/* How little a place is to be relied on: less is better. */
static unsigned
place_rank(const struct repository *repo, const struct blob_location *at)
{
	const struct pack_info *pack = &repo->packs[repo->frames[at->frame].pack];

	return pack->bad ? 2 : pack->marked ? 1 : 0;
}

/* Of a blob that lies in several packs, the place that is best to rely on counts. */
static void
add_entry(struct repository *repo, const struct blob_id *id, const struct blob_location *at)
{
	struct blob_location old;
	int replace = 0;

	if (blob_table_find(&repo->table, id, &old) == 1) {
		replace = place_rank(repo, at) < place_rank(repo, &old);
		if (repo->frames[at->frame].pack != repo->frames[old.frame].pack) {
			MEM_GROW(repo->copies, repo->copy_count, repo->copy_cap);
			repo->copies[repo->copy_count++] =
			    (struct blob_copy){ *id, replace ? old : *at };
		}
	}
	blob_table_insert(&repo->table, id, at, replace);
}

/* Takes the file over. */
static void
add_file(struct repository *repo, struct index_file *file)
{
	struct {
		uint32_t number;
		bool again;
	} *packs = mem_calloc(file->pack_count, sizeof(*packs));
	size_t cap = repo->file_cap;

	MEM_GROW(repo->files, repo->file_count, repo->file_cap);
	if (repo->file_cap != cap)
		repo->first_frames = mem_realloc(repo->first_frames, repo->file_cap,
		    sizeof(*repo->first_frames));
	repo->first_frames[repo->file_count] = (uint32_t)repo->frame_count;
	repo->files[repo->file_count++] = file;
	/* Two files name the same pack when a prune was cut off while it replaced one by the
	 * other: as two packs, one of them would look as if nobody needed it. */
	for (size_t p = 0; p < file->pack_count; p++) {
		packs[p].again = find_pack(repo, &file->packs[p].id, &packs[p].number);
		if (!packs[p].again)
			packs[p].number = add_pack(repo, &file->packs[p].id, file->packs[p].size,
			    file->packs[p].kind);
	}
	for (size_t f = 0; f < file->frame_count; f++) {
		const struct index_frame *frame = &file->frames[f];

		add_frame(repo, packs[frame->pack].number, frame->offset, frame->stored_len,
		    frame->plain_len, packs[frame->pack].again);
	}
	free(packs);
	/* The pages still need the numbers of frames and their lengths, but no pack. */
	free(file->packs);
	file->packs = NULL;
	file->pack_count = 0;
}

static bool
knows_file(const struct repository *repo, const struct object_id *id)
{
	for (size_t i = 0; i < repo->file_count; i++)
		if (memcmp(repo->files[i]->id.bytes, id->bytes, OBJECT_ID_SIZE) == 0)
			return true;
	return false;
}

static bool
is_bad_file(const struct repository *repo, const struct object_id *id)
{
	for (size_t i = 0; i < repo->bad_file_count; i++)
		if (memcmp(repo->bad_files[i].bytes, id->bytes, OBJECT_ID_SIZE) == 0)
			return true;
	return false;
}

static void
add_bad_file(struct repository *repo, const struct object_id *id)
{
	MEM_GROW(repo->bad_files, repo->bad_file_count, repo->bad_file_cap);
	repo->bad_files[repo->bad_file_count++] = *id;
}

/* The blobs of one pack, from its own directory. */
static void
add_directory(struct repository *repo, const struct pack_directory *directory)
{
	uint32_t pack = add_pack(repo, &directory->id, directory->size, directory->kind);

	for (size_t f = 0; f < directory->frame_count; f++) {
		const struct pack_frame *frame = &directory->frames[f];
		struct blob_location at = { .frame = (uint32_t)repo->frame_count };

		add_frame(repo, pack, frame->offset, frame->stored_len, frame->plain_len, false);
		for (size_t b = 0; b < frame->blob_count; b++) {
			const struct pack_blob *blob = &directory->blobs[frame->first_blob + b];

			at.len = blob->len;
			add_entry(repo, &blob->id, &at);
			at.offset += blob->len;
		}
	}
}

/* Read the directories of all packs that no index file covers.  Packs that cannot be read are left
 * out: check names them. */
static int
rescue_packs(struct repository *repo, struct error *err)
{
	struct object_names names;
	struct pack_directory *directory;
	struct object_id id;
	struct error ignored;
	uint32_t number;

	if (object_names_read(repo->storage, "packs", &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		if (pack_name_parse(names.list[i], &id) != 0 || find_pack(repo, &id, &number))
			continue;
		if (repository_read_directory(repo, &id, &directory, &ignored) != 0)
			continue;
		add_directory(repo, directory);
		pack_directory_free(directory);
	}
	object_names_done(&names);
	repo->rescued = true;
	return 0;
}

/* 0 done, 1 a file vanished meanwhile: list again, -1 error. */
static int
refresh_once(struct repository *repo, struct error *err)
{
	struct object_names names;
	struct index_file *file;
	struct object_id id;
	struct error why;
	size_t still_there = 0;
	int rc = 0;

	if (object_names_read(repo->storage, "index", &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (index_name_parse(names.list[i], &id) == 0 && knows_file(repo, &id))
			still_there++;
	if (still_there != repo->file_count)
		reset_index(repo);
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		if (index_name_parse(names.list[i], &id) != 0 || knows_file(repo, &id) ||
		    is_bad_file(repo, &id))
			continue;
		if (index_read_header(repo->storage, repo->keys, &id, &file, &why) == 0)
			add_file(repo, file);
		else if (why.code == ERROR_CORRUPT || why.code == ERROR_UNSUPPORTED)
			add_bad_file(repo, &id);
		else
			rc = why.code == ERROR_NOT_FOUND ? 1 : -1;
	}
	if (rc != 0)
		*err = why;
	object_names_done(&names);
	return rc;
}

static int load_locked(struct repository *repo, struct error *err);

/* Packs that could not be read were written anew since: all of them are believed again. */
static void
forget_damaged(struct repository *repo)
{
	size_t kept = 0;

	for (size_t i = 0; i < repo->bad_pack_count; i++)
		if (repo->bad_packs[i].missing)
			repo->bad_packs[kept++] = repo->bad_packs[i];
	repo->bad_pack_count = kept;
	reset_index(repo);
}

static int
refresh_locked(struct repository *repo, struct error *err)
{
	struct error vanished = ERROR_INIT;
	/* A backup that runs relies on a loaded table; it must not find an empty one. */
	bool loaded = repo->file_count > 0 && repo->files_loaded == repo->file_count;
	uint64_t mended = heal_log_mended(repo->healed);
	int rc = 1;

	if (mended != repo->mended)
		forget_damaged(repo);
	repo->mended = mended;
	for (int try = 0; try < REFRESH_TRIES && rc == 1; try++)
		rc = refresh_once(repo, &vanished);
	if (rc != 0)
		*err = vanished;
	if (rc == 0 && repo->bad_file_count > 0 && !repo->rescued)
		rc = rescue_packs(repo, err);
	if (rc == 0 && loaded)
		rc = load_locked(repo, err);
	return rc == 0 ? 0 : -1;
}

int
repository_refresh(struct repository *repo, struct error *err)
{
	int rc;

	pthread_rwlock_wrlock(&repo->lock);
	rc = refresh_locked(repo, err);
	pthread_rwlock_unlock(&repo->lock);
	return rc;
}

/* A page that cannot be read makes its whole file bad; its packs speak for themselves then. */
static int
give_file_up(struct repository *repo, size_t number, struct error *err)
{
	add_bad_file(repo, &repo->files[number]->id);
	reset_index(repo);
	return refresh_locked(repo, err);
}

/* 0 loaded, 1 the file was given up and the index begun anew, -1 error. */
static int
load_file(struct repository *repo, size_t number, struct error *err)
{
	const struct index_file *file = repo->files[number];
	struct index_entry *entries = mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*entries));
	struct error why;
	int rc = 0;

	for (size_t page = 0; page < file->page_count && rc == 0; page++) {
		if (index_read_page(repo->storage, repo->keys, file, page, entries, &why) != 0) {
			rc = give_file_up(repo, number, err) == 0 ? 1 : -1;
			break;
		}
		for (uint32_t i = 0; i < file->pages[page].count; i++) {
			struct blob_location at = entries[i].location;

			at.frame += repo->first_frames[number];
			add_entry(repo, &entries[i].id, &at);
		}
	}
	free(entries);
	return rc;
}

static int
load_locked(struct repository *repo, struct error *err)
{
	while (repo->files_loaded < repo->file_count) {
		int rc = load_file(repo, repo->files_loaded, err);

		if (rc < 0)
			return -1;
		if (rc == 0)
			repo->files_loaded++;
	}
	return 0;
}

int
repository_load_index(struct repository *repo, struct error *err)
{
	int rc;

	pthread_rwlock_wrlock(&repo->lock);
	rc = load_locked(repo, err);
	pthread_rwlock_unlock(&repo->lock);
	return rc;
}

void
repository_fill_place(const struct repository *repo, const struct blob_location *at,
    struct blob_place *ret)
{
	const struct frame_info *frame = &repo->frames[at->frame];

	*ret = (struct blob_place){ .pack = repo->packs[frame->pack].id,
		.frame_offset = frame->offset, .stored_len = frame->stored_len,
		.plain_len = frame->plain_len, .offset = at->offset, .len = at->len,
		.marked = repo->packs[frame->pack].marked, .bad = repo->packs[frame->pack].bad };
}

static int
find_in_table(struct repository *repo, const struct blob_id *id, struct blob_place *ret)
{
	struct blob_location at;

	if (blob_table_find(&repo->table, id, &at) == 0)
		return 0;
	repository_fill_place(repo, &at, ret);
	return 1;
}

static const struct index_entry *
search_page(const struct index_entry *entries, size_t count, const struct blob_id *id)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = blob_id_compare(&entries[mid].id, id);

		if (order == 0)
			return &entries[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* Look in the files that are not loaded, one page of each. */
static int
find_in_pages(struct repository *repo, const struct blob_id *id, struct blob_place *ret,
    struct error *err)
{
	struct index_entry *entries = mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*entries));
	const struct index_entry *entry;
	struct error why;
	unsigned best = UINT_MAX;
	int found = 0;

	for (size_t i = repo->files_loaded; i < repo->file_count && best > 0; i++) {
		ssize_t page = index_find_page(repo->files[i], id);

		if (page < 0)
			continue;
		repo->pages_read++;
		if (index_read_page(repo->storage, repo->keys, repo->files[i], (size_t)page,
		    entries, &why) != 0) {
			found = give_file_up(repo, i, err) == 0 &&
			    load_locked(repo, err) == 0 ? find_in_table(repo, id, ret) : -1;
			break;
		}
		entry = search_page(entries, repo->files[i]->pages[page].count, id);
		if (entry != NULL) {
			struct blob_location at = entry->location;

			at.frame += repo->first_frames[i];
			if (place_rank(repo, &at) < best) {
				best = place_rank(repo, &at);
				repository_fill_place(repo, &at, ret);
			}
			found = 1;
		}
	}
	free(entries);
	return found;
}

static int
find_locked(struct repository *repo, const struct blob_id *id, struct blob_place *ret,
    struct error *err)
{
	if (find_in_table(repo, id, ret) == 1)
		return 1;
	if (repo->files_loaded == repo->file_count)
		return 0;
	if (repo->pages_read < PAGES_BEFORE_LOADING)
		return find_in_pages(repo, id, ret, err);
	if (load_locked(repo, err) != 0)
		return -1;
	return find_in_table(repo, id, ret);
}

int
repository_find_blob(struct repository *repo, const struct blob_id *id, struct blob_place *ret,
    struct error *err)
{
	int found;
	bool all;

	pthread_rwlock_rdlock(&repo->lock);
	found = find_in_table(repo, id, ret);
	all = repo->files_loaded == repo->file_count;
	pthread_rwlock_unlock(&repo->lock);
	if (found == 1)
		return 1;
	pthread_rwlock_wrlock(&repo->lock);
	if (!all)
		found = find_locked(repo, id, ret, err);
	/* Another process may have stored it since, or its index file is lost. */
	if (found == 0 && refresh_locked(repo, err) != 0)
		found = -1;
	if (found == 0)
		found = find_locked(repo, id, ret, err);
	if (found == 0 && !repo->rescued) {
		found = rescue_packs(repo, err);
		if (found == 0)
			found = find_in_table(repo, id, ret);
	}
	pthread_rwlock_unlock(&repo->lock);
	return found;
}

bool
repository_has_blob(struct repository *repo, const struct blob_id *id)
{
	struct blob_place place;
	bool there;

	pthread_rwlock_rdlock(&repo->lock);
	there = find_in_table(repo, id, &place) == 1 && !place.marked && !place.bad;
	pthread_rwlock_unlock(&repo->lock);
	return there;
}

/* Begin the index anew, as far as it was known: places in bad packs give way to others. */
static int
rank_anew(struct repository *repo, struct error *err)
{
	bool loaded = repo->file_count > 0 && repo->files_loaded == repo->file_count;

	reset_index(repo);
	if (refresh_locked(repo, err) != 0)
		return -1;
	return loaded ? load_locked(repo, err) : 0;
}

static int
note_missing_locked(struct repository *repo, struct error *err)
{
	struct object_names names;
	struct object_id id;
	bool *there, anew = false;
	size_t kept = 0;
	uint32_t number;

	if (object_names_read(repo->storage, "packs", &names, err) != 0)
		return -1;
	there = mem_calloc(repo->pack_count, sizeof(*there));
	for (size_t i = 0; i < names.count; i++)
		if (pack_name_parse(names.list[i], &id) == 0 && find_pack(repo, &id, &number) &&
		    names.sizes[i] == repo->packs[number].size)
			there[number] = true;
	object_names_done(&names);
	for (size_t i = 0; i < repo->bad_pack_count; i++) {
		if (repo->bad_packs[i].missing && find_pack(repo, &repo->bad_packs[i].id, &number) &&
		    there[number])
			anew = true;
		else
			repo->bad_packs[kept++] = repo->bad_packs[i];
	}
	repo->bad_pack_count = kept;
	for (size_t p = 0; p < repo->pack_count; p++) {
		if (there[p] || find_bad_pack(repo, &repo->packs[p].id) != NULL)
			continue;
		add_bad_pack(repo, &repo->packs[p].id, true);
		anew = true;
	}
	free(there);
	return anew ? rank_anew(repo, err) : 0;
}

int
repository_note_missing(struct repository *repo, struct error *err)
{
	int rc;

	pthread_rwlock_wrlock(&repo->lock);
	rc = note_missing_locked(repo, err);
	pthread_rwlock_unlock(&repo->lock);
	return rc;
}

int
repository_avoid_pack(struct repository *repo, const struct object_id *pack, struct error *err)
{
	int rc = 0;

	pthread_rwlock_wrlock(&repo->lock);
	if (find_bad_pack(repo, pack) == NULL) {
		add_bad_pack(repo, pack, false);
		rc = rank_anew(repo, err) == 0 ? 1 : -1;
	}
	pthread_rwlock_unlock(&repo->lock);
	return rc;
}

bool
repository_knows_pack(struct repository *repo, const struct object_id *pack)
{
	uint32_t number;
	bool known;

	pthread_rwlock_rdlock(&repo->lock);
	known = find_pack(repo, pack, &number);
	pthread_rwlock_unlock(&repo->lock);
	return known;
}

int
repository_load_unindexed(struct repository *repo, struct error *err)
{
	int rc;

	pthread_rwlock_wrlock(&repo->lock);
	rc = rescue_packs(repo, err);
	pthread_rwlock_unlock(&repo->lock);
	return rc;
}

void
repository_trim(struct repository *repo)
{
	pthread_rwlock_wrlock(&repo->lock);
	if (repo->writers == 0)
		reset_index(repo);
	pthread_rwlock_unlock(&repo->lock);
	frame_cache_clear(repo->cache);
}

void
repository_writer_began(struct repository *repo)
{
	pthread_rwlock_wrlock(&repo->lock);
	repo->writers++;
	pthread_rwlock_unlock(&repo->lock);
}

void
repository_writer_ended(struct repository *repo)
{
	pthread_rwlock_wrlock(&repo->lock);
	repo->writers--;
	pthread_rwlock_unlock(&repo->lock);
}
