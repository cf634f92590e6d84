/*
 * What a check found: things that are wrong, and which blobs are lost by that.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/check_internal.h"
#include "agent/repository/parity_check.h"
#include "shared/mem.h"

/* The object stands beside it: a message need not begin with its name. */
static const char *
without_name(const char *problem, const char *object)
{
	size_t len = strlen(object);

	if (strncmp(problem, object, len) != 0 || strcspn(problem + len, ":,") != 0)
		return problem;
	problem += len + strspn(problem + len, ":, ");
	return problem;
}

size_t
check_damage_add_as(struct check *check, const char *object, const char *problem, bool healable)
{
	struct damage *damage;
	size_t number;

	pthread_mutex_lock(&check->lock);
	number = check->damage_count;
	MEM_GROW(check->damages, check->damage_count, check->damage_cap);
	damage = &check->damages[check->damage_count++];
	*damage = (struct damage){ mem_strdup(object), mem_strdup(without_name(problem, object)),
		json_array(), json_array(), 0, false, healable };
	check->result->errors++;
	check->result->healable += healable;
	pthread_mutex_unlock(&check->lock);
	return number;
}

size_t
check_damage_add(struct check *check, const char *object, const char *problem)
{
	return check_damage_add_as(check, object, problem, false);
}

/* Of an entry of bad_blobs, location.frame is the number of the damage, and location.len: */
enum { BLOB_LOST, BLOB_ELSEWHERE };

static void
note_blob(struct check *check, const struct blob_id *id, size_t number, uint32_t lost)
{
	struct blob_location at = { .frame = (uint32_t)number, .len = lost };

	blob_table_insert(&check->bad_blobs, id, &at, 1);
}

void
check_blob_is_bad(struct check *check, const struct blob_id *id, size_t number)
{
	size_t before;

	pthread_mutex_lock(&check->lock);
	if (check_blob_lost(check, id, &before) == 0)
		note_blob(check, id, number, BLOB_LOST);
	pthread_mutex_unlock(&check->lock);
}

/* The key in bad_places of a frame, or (offset 0, where no frame is) of a whole pack. */
static struct blob_id
place_key(const struct object_id *pack, uint32_t offset)
{
	struct blob_id key = { { 0 } };

	memcpy(key.bytes, pack->bytes, sizeof(pack->bytes));
	memcpy(key.bytes + sizeof(pack->bytes), &offset, sizeof(offset));
	return key;
}

static void
note_place(struct check *check, const struct object_id *pack, uint32_t offset)
{
	static const struct blob_location nowhere = { 0, 0, 0 };
	struct blob_id key = place_key(pack, offset);

	pthread_mutex_lock(&check->lock);
	blob_table_insert(&check->bad_places, &key, &nowhere, 0);
	pthread_mutex_unlock(&check->lock);
}

static bool
is_bad_place(const struct check *check, const struct blob_place *place)
{
	struct blob_id frame = place_key(&place->pack, place->frame_offset);
	struct blob_id pack = place_key(&place->pack, 0);

	return blob_table_find(&check->bad_places, &frame, NULL) == 1 ||
	    blob_table_find(&check->bad_places, &pack, NULL) == 1;
}

void
check_frame_is_bad(struct check *check, const struct pack_directory *directory,
    const struct pack_frame *frame, size_t number)
{
	note_place(check, &directory->id, frame->offset);
	for (size_t b = 0; b < frame->blob_count; b++)
		check_blob_is_bad(check, &directory->blobs[frame->first_blob + b].id, number);
}

/* All blobs that the index places in this pack suffer from this damage. */
static void
pack_is_bad(struct check *check, const struct object_id *pack, size_t number)
{
	struct repository *repo = check->repo;

	note_place(check, pack, 0);
	pthread_rwlock_rdlock(&repo->lock);
	for (uint32_t n = 0; n < repo->table.count; n++) {
		struct blob_location at;
		struct blob_id id;

		blob_table_get(&repo->table, n, &id, &at);
		if (memcmp(&repo->packs[repo->frames[at.frame].pack].id, pack, sizeof(*pack)) == 0)
			check_blob_is_bad(check, &id, number);
	}
	pthread_rwlock_unlock(&repo->lock);
}

void
check_find_copies(struct check *check)
{
	struct repository *repo = check->repo;
	struct blob_location bad, at;
	struct blob_place place;
	struct blob_id id;

	pthread_rwlock_rdlock(&repo->lock);
	for (uint32_t n = 0; n < check->bad_blobs.count; n++) {
		blob_table_get(&check->bad_blobs, n, &id, &bad);
		if (blob_table_find(&repo->table, &id, &at) == 0)
			continue;
		repository_fill_place(repo, &at, &place);
		if (!is_bad_place(check, &place))
			note_blob(check, &id, bad.frame, BLOB_ELSEWHERE);
	}
	for (size_t i = 0; i < repo->copy_count; i++) {
		if (blob_table_find(&check->bad_blobs, &repo->copies[i].id, &bad) == 0)
			continue;
		repository_fill_place(repo, &repo->copies[i].at, &place);
		if (!is_bad_place(check, &place))
			note_blob(check, &repo->copies[i].id, bad.frame, BLOB_ELSEWHERE);
	}
	pthread_rwlock_unlock(&repo->lock);
}

int
check_blob_lost(const struct check *check, const struct blob_id *id, size_t *ret_number)
{
	struct blob_location at;

	if (blob_table_find(&check->bad_blobs, id, &at) == 0 || at.len != BLOB_LOST)
		return 0;
	*ret_number = at.frame;
	return 1;
}

int
check_avoid_bad_packs(struct check *check, struct error *err)
{
	for (uint32_t n = 0; n < check->bad_places.count; n++) {
		struct blob_location ignored;
		struct object_id pack;
		struct blob_id key;

		blob_table_get(&check->bad_places, n, &key, &ignored);
		memcpy(pack.bytes, key.bytes, sizeof(pack.bytes));
		if (repository_avoid_pack(check->repo, &pack, err) < 0)
			return -1;
	}
	return 0;
}

void
check_pack_is_bad(struct check *check, const struct object_id *pack, const struct error *why,
    bool only_if_needed)
{
	bool healable = parity_can_heal(check->repo, pack);
	char name[PACK_NAME_SIZE];
	size_t number;

	pack_name(pack, name);
	number = check_damage_add_as(check, name, why->message, healable);
	if (healable)
		return;
	pack_is_bad(check, pack, number);
	pthread_mutex_lock(&check->lock);
	check->damages[number].only_if_needed = only_if_needed;
	pthread_mutex_unlock(&check->lock);
}

void
check_pass_over(struct check *check, const char *object, const struct error *why)
{
	progress_loss(check->progress, object, strlen(object), "not checked: %s", why->message);
}

void
check_pass_over_blobs(struct check *check, const char *object, const struct error *why)
{
	check_pass_over(check, object, why);
	pthread_mutex_lock(&check->lock);
	if (check->newer.code == ERROR_NONE)
		check->newer = *why;
	pthread_mutex_unlock(&check->lock);
}

int
check_blob_unusable(void *arg, const struct blob_id *id, const struct blob_place *place,
    struct error *why)
{
	struct check *check = arg;
	size_t number;

	/* That the index gives this place says nothing: any place will do that can be read. */
	(void)place;
	if (check_blob_lost(check, id, &number) == 0)
		return 0;
	return error_set(why, ERROR_CORRUPT, "%s", check->damages[number].problem);
}

void
check_damages_take(struct check *check)
{
	check->result->damage = json_array();
	for (size_t i = 0; i < check->damage_count; i++) {
		struct damage *damage = &check->damages[i];

		if (damage->only_if_needed && damage->path_total == 0) {
			check->result->errors--;
			json_decref(damage->snapshots);
			json_decref(damage->paths);
			free(damage->object);
			free(damage->problem);
			continue;
		}
		json_array_append_new(check->result->damage, json_pack(
		    "{s:s, s:s, s:b, s:o, s:o, s:I}", "object", damage->object, "problem",
		    damage->problem, "healable", damage->healable, "snapshots",
		    damage->snapshots, "paths", damage->paths, "path_total",
		    (json_int_t)damage->path_total));
		free(damage->object);
		free(damage->problem);
	}
	free(check->damages);
}
