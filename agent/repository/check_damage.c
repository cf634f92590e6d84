/*
 * What a check found: things that are wrong, and which blobs are lost by that.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/check_internal.h"
#include "agent/repository/parity_check.h"
#include "shared/mem.h"

size_t
check_damage_add_as(struct check *check, const char *object, const char *problem, bool healable)
{
	struct damage *damage;
	size_t number;

	pthread_mutex_lock(&check->lock);
	number = check->damage_count;
	MEM_GROW(check->damages, check->damage_count, check->damage_cap);
	damage = &check->damages[check->damage_count++];
	*damage = (struct damage){ mem_strdup(object), mem_strdup(problem), json_array(),
		json_array(), 0, false, healable };
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

void
check_blob_is_bad(struct check *check, const struct blob_id *id, size_t damage)
{
	struct blob_location at = { .frame = (uint32_t)damage };

	pthread_mutex_lock(&check->lock);
	blob_table_insert(&check->bad_blobs, id, &at, 0);
	pthread_mutex_unlock(&check->lock);
}

/* All blobs that the index places in this pack suffer from this damage. */
static void
pack_is_bad(struct check *check, const struct object_id *pack, size_t damage)
{
	struct repository *repo = check->repo;

	pthread_rwlock_rdlock(&repo->lock);
	for (uint32_t n = 0; n < repo->table.count; n++) {
		struct blob_location at;
		struct blob_id id;

		blob_table_get(&repo->table, n, &id, &at);
		if (memcmp(&repo->packs[repo->frames[at.frame].pack].id, pack, sizeof(*pack)) == 0)
			check_blob_is_bad(check, &id, damage);
	}
	pthread_rwlock_unlock(&repo->lock);
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
	struct blob_location at;

	(void)place;
	if (blob_table_find(&check->bad_blobs, id, &at) == 0)
		return 0;
	return error_set(why, ERROR_CORRUPT, "%s", check->damages[at.frame].problem);
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
