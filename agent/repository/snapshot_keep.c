/* What becomes of snapshots later: pins, forgetting, the trash. */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/claim.h"
#include "agent/repository/scan.h"
#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* So long a recall waits for a prune that is removing things. */
#define CLAIM_WAIT_S 60

/* A pin is there or not; what it holds is for people. */
int
snapshots_flag_pinned(struct repository *repo, struct snapshot *const *list, size_t count,
    struct error *err)
{
	struct object_names names;
	struct object_id id;

	if (object_names_read(repo->storage, PIN_FOLDER, &names, err) != 0)
		return -1;
	for (size_t n = 0; n < names.count; n++) {
		char text[OBJECT_ID_TEXT_SIZE];

		if (sealed_json_name_parse(names.list[n], PIN_FOLDER, &id) != 0)
			continue;
		object_id_text(&id, text);
		for (size_t i = 0; i < count; i++)
			if (strcmp(list[i]->id, text) == 0)
				list[i]->pinned = true;
	}
	object_names_done(&names);
	return 0;
}

static int
parse_id(const char *text, struct object_id *ret, struct error *err)
{
	if (object_id_parse(text, strlen(text), ret) != 0)
		return error_set(err, ERROR_NOT_FOUND, "no snapshot of that id");
	return 0;
}

int
snapshot_pin(struct repository *repo, const char *id_text, bool pinned, struct error *err)
{
	char name[64], now[TIME_TEXT_SIZE];
	struct object_id id;
	uint64_t size;
	json_t *json;
	int rc;

	if (parse_id(id_text, &id, err) != 0)
		return -1;
	sealed_json_name(SNAPSHOT_FOLDER, &id, name);
	rc = storage_size(repo->storage, name, &size, err);
	if (rc == 0)
		error_set(err, ERROR_NOT_FOUND, "no snapshot '%s'", id_text);
	if (rc != 1)
		return -1;
	if (!pinned) {
		sealed_json_name(PIN_FOLDER, &id, name);
		return storage_remove(repo->storage, name, err);
	}
	time_format(time_now(), 0, now);
	json = json_pack("{s:s}", "pinned", now);
	rc = sealed_json_write(repo, PIN_FOLDER, SEAL_PIN, &id, json, true, err);
	json_decref(json);
	return rc;
}

static int
refuse_pinned(struct repository *repo, const struct object_id *id, const char *id_text,
    struct error *err)
{
	char name[64];
	uint64_t size;
	int there;

	sealed_json_name(PIN_FOLDER, id, name);
	there = storage_size(repo->storage, name, &size, err);
	if (there != 1)
		return there;
	error_set(err, ERROR_CONFLICT, "snapshot '%s' is pinned", id_text);
	return error_hint(err, "take the pin away first");
}

int
snapshot_remove(struct repository *repo, const char *id_text, struct error *err)
{
	struct object_id id;
	json_t *json = NULL, *trash = NULL;
	char name[64], now[TIME_TEXT_SIZE];
	int rc = -1;

	if (parse_id(id_text, &id, err) != 0 || refuse_pinned(repo, &id, id_text, err) != 0)
		return -1;
	sealed_json_name(SNAPSHOT_FOLDER, &id, name);
	if (sealed_json_read(repo, SNAPSHOT_FOLDER, SEAL_SNAPSHOT, &id, &json, err) != 0) {
		/* A damaged snapshot can be forgotten too; there is nothing to keep. */
		if (err->code == ERROR_CORRUPT)
			return storage_remove(repo->storage, name, err);
		if (err->code == ERROR_NOT_FOUND)
			error_set(err, ERROR_NOT_FOUND, "no snapshot '%s'", id_text);
		return -1;
	}
	time_format(time_now(), 0, now);
	trash = json_pack("{s:s, s:O}", "trashed", now, "snapshot", json);
	if (sealed_json_write(repo, TRASH_FOLDER, SEAL_TRASH, &id, trash, true, err) != 0)
		goto out;
	/* If interrupted here, it is in both places; it counts as not forgotten. */
	rc = storage_remove(repo->storage, name, err);
out:
	json_decref(json);
	json_decref(trash);
	return rc;
}

static bool
is_replacement(const struct snapshot *there, const struct snapshot *snapshot, const char *old)
{
	return there->sequence == snapshot->sequence && there->parent != NULL &&
	    strcmp(there->parent, old) == 0 && there->root_count == snapshot->root_count &&
	    (there->root_count == 0 || memcmp(there->roots, snapshot->roots,
	    there->root_count * sizeof(*there->roots)) == 0);
}

/* 1 and the id of a replacement with the same content that an interrupted repair has left, 0, -1. */
static int
find_replacement(struct repository *repo, const struct snapshot *snapshot, const char *old,
    char ret_id[SNAPSHOT_ID_TEXT_SIZE], struct error *err)
{
	struct snapshot **list;
	size_t count;
	int found = 0;

	if (snapshot_list(repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (found == 0 && is_replacement(list[i], snapshot, old)) {
			memcpy(ret_id, list[i]->id, SNAPSHOT_ID_TEXT_SIZE);
			found = 1;
		}
		snapshot_free(list[i]);
	}
	free(list);
	return found;
}

static int
write_replacement(struct repository *repo, const struct snapshot *snapshot,
    char ret_id[SNAPSHOT_ID_TEXT_SIZE], struct error *err)
{
	json_t *json = snapshot_to_json(snapshot);
	struct object_id id;
	int rc;

	json_object_del(json, "id");
	json_object_del(json, "pinned");
	object_id_random(&id);
	rc = sealed_json_write(repo, SNAPSHOT_FOLDER, SEAL_SNAPSHOT, &id, json, false, err);
	json_decref(json);
	if (rc == 0)
		object_id_text(&id, ret_id);
	return rc;
}

int
snapshot_replace(struct repository *repo, struct snapshot *snapshot, struct error *err)
{
	char old[SNAPSHOT_ID_TEXT_SIZE];
	int there;

	memcpy(old, snapshot->id, sizeof(old));
	there = find_replacement(repo, snapshot, old, snapshot->id, err);
	if (there < 0 ||
	    (there == 0 && write_replacement(repo, snapshot, snapshot->id, err) != 0))
		return -1;
	/* If interrupted here, both are there; the next repair finds the old one again, and its
	 * replacement. */
	if (snapshot->pinned && (snapshot_pin(repo, snapshot->id, true, err) != 0 ||
	    snapshot_pin(repo, old, false, err) != 0))
		return -1;
	return snapshot_remove(repo, old, err);
}

/* One object of the trash. */
static int
read_trash(struct repository *repo, const struct object_id *id, struct timespec *ret_time,
    struct snapshot **ret, struct error *err)
{
	const char *trashed;
	json_t *json;
	int rc;

	if (sealed_json_read(repo, TRASH_FOLDER, SEAL_TRASH, id, &json, err) != 0)
		return -1;
	trashed = json_string_value(json_object_get(json, "trashed"));
	rc = time_parse(trashed != NULL ? trashed : "", false, ret_time, err);
	if (rc == 0)
		rc = snapshot_from_json(json_object_get(json, "snapshot"), ret, err);
	if (rc == 0)
		object_id_text(id, (*ret)->id);
	json_decref(json);
	return rc;
}

int
snapshot_list_trash(struct repository *repo, struct snapshot ***ret, struct timespec **ret_times,
    size_t *ret_count, struct error *err)
{
	struct object_names names;
	struct object_id id;

	if (object_names_read(repo->storage, TRASH_FOLDER, &names, err) != 0)
		return -1;
	*ret = mem_calloc(names.count, sizeof(**ret));
	*ret_times = mem_calloc(names.count, sizeof(**ret_times));
	*ret_count = 0;
	for (size_t i = 0; i < names.count; i++) {
		struct error ignored = ERROR_INIT;
		char name[64];
		uint64_t size;

		if (sealed_json_name_parse(names.list[i], TRASH_FOLDER, &id) != 0)
			continue;
		/* In both places: it counts as not forgotten. */
		sealed_json_name(SNAPSHOT_FOLDER, &id, name);
		if (storage_size(repo->storage, name, &size, &ignored) == 1)
			continue;
		if (read_trash(repo, &id, &(*ret_times)[*ret_count], &(*ret)[*ret_count],
		    &ignored) == 0)
			(*ret_count)++;
	}
	object_names_done(&names);
	return 0;
}

static int
data_is_gone(void *arg, const char *path, size_t len, const struct blob_id *id,
    const struct error *why, struct error *err)
{
	(void)arg;
	(void)path;
	(void)len;
	(void)id;
	(void)why;
	error_set(err, ERROR_CONFLICT, "the snapshot's data was removed already");
	return error_hint(err,
	    "forgotten snapshots can be brought back within the grace period only");
}

/* An index may outlive its pack for a while. */
static int
pack_is_gone(void *arg, const struct blob_id *id, const struct blob_place *place,
    struct error *why)
{
	(void)arg;
	(void)id;
	return place->bad ? error_set(why, ERROR_CORRUPT, "its pack is gone") : 0;
}

/* Everything that it needs must still be there. */
static int
check_data(struct repository *repo, const struct snapshot *snapshot, struct error *err)
{
	struct repository *view = repository_view(repo);
	struct scan scan;
	int rc;

	scan_init(&scan, view, NULL);
	scan.problem = data_is_gone;
	scan.unusable = pack_is_gone;
	rc = repository_load_index(view, err);
	if (rc == 0)
		rc = repository_note_missing(view, err);
	if (rc == 0)
		rc = scan_snapshot(&scan, snapshot, err);
	scan_done(&scan);
	repository_close(view);
	return rc;
}

static int
find_in_trash(struct repository *repo, const char *name, struct object_id *ret, struct error *err)
{
	struct object_names names;
	size_t matches = 0, len = strlen(name);

	if (object_names_read(repo->storage, TRASH_FOLDER, &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct object_id id;

		if (len < 4 || sealed_json_name_parse(names.list[i], TRASH_FOLDER, &id) != 0 ||
		    strncmp(names.list[i] + strlen(TRASH_FOLDER "/"), name, len) != 0)
			continue;
		*ret = id;
		matches++;
	}
	object_names_done(&names);
	if (matches == 1)
		return 0;
	if (matches > 1)
		return error_set(err, ERROR_AMBIGUOUS, "%zu forgotten snapshots begin with '%.40s'",
		    matches, name);
	return error_set(err, ERROR_NOT_FOUND, "no forgotten snapshot '%.40s'", name);
}

int
snapshot_recall(struct repository *repo, const char *name, char ret_id[SNAPSHOT_ID_TEXT_SIZE],
    struct error *err)
{
	struct snapshot *snapshot = NULL;
	struct timespec trashed;
	struct claim *claim = NULL;
	struct object_id id;
	char object[64];
	json_t *json = NULL;
	int rc = -1;

	/* The claim keeps a prune from removing what was just seen to be there. */
	if (claim_take(repo, CLAIM_SHARED, "recall", NULL, CLAIM_WAIT_S, NULL, &claim, err) != 0)
		return -1;
	if (find_in_trash(repo, name, &id, err) != 0 ||
	    read_trash(repo, &id, &trashed, &snapshot, err) != 0 ||
	    check_data(repo, snapshot, err) != 0 || claim_check(claim, err) != 0)
		goto out;
	json = snapshot_to_json(snapshot);
	json_object_del(json, "id");
	if (sealed_json_write(repo, SNAPSHOT_FOLDER, SEAL_SNAPSHOT, &id, json, true, err) != 0)
		goto out;
	/* If interrupted here, it is in both places; it counts as not forgotten. */
	sealed_json_name(TRASH_FOLDER, &id, object);
	rc = storage_remove(repo->storage, object, err);
	if (rc == 0)
		memcpy(ret_id, snapshot->id, SNAPSHOT_ID_TEXT_SIZE);
out:
	claim_release(claim);
	json_decref(json);
	snapshot_free(snapshot);
	return rc;
}
