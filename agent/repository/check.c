#include <stdlib.h>
#include <string.h>

#include "agent/repository/check_internal.h"
#include "agent/repository/keyfile.h"
#include "agent/repository/parity_check.h"
#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* So many snapshots and paths are named for one damaged object. */
#define NAMED_MAX 100

/* What is wrong with a pack that the index speaks of, judged by its size alone. True if
 * anything. */
static bool
pack_problem(struct check *check, const struct pack_info *pack, struct error *why)
{
	char name[PACK_NAME_SIZE];
	uint64_t size;
	int there;

	pack_name(&pack->id, name);
	there = storage_size(check->repo->storage, name, &size, why);
	if (there == 0)
		error_set(why, ERROR_CORRUPT, "pack is missing");
	else if (there == 1 && size != pack->size)
		error_set(why, ERROR_CORRUPT, "pack has %llu bytes, the index says %llu",
		    (unsigned long long)size, (unsigned long long)pack->size);
	else if (there == 1)
		return false;
	return true;
}

/* Every pack that the index speaks of is there, in its size. */
static int
check_index(struct check *check, struct error *err)
{
	struct repository *repo = check->repo;
	struct error why = ERROR_INIT;
	bool suspect = false;

	for (size_t i = 0; i < repo->bad_file_count; i++) {
		struct index_file *file;
		char name[INDEX_NAME_SIZE];

		index_name(&repo->bad_files[i], name);
		if (index_read_header(repo->storage, repo->keys, &repo->bad_files[i], &file,
		    &why) == 0)
			index_file_free(file);
		else if (why.code == ERROR_UNSUPPORTED) {
			check_pass_over_blobs(check, name, &why);
			continue;
		}
		check_damage_add(check, name, "index file is damaged; its packs were read instead");
	}
	for (size_t i = 0; i < repo->pack_count && !suspect; i++)
		suspect = pack_problem(check, &repo->packs[i], &why);
	/* A prune may have removed both index and pack since: only what the index still says
	 * counts. */
	if (suspect && (repository_refresh(repo, err) != 0 ||
	    repository_load_index(repo, err) != 0))
		return -1;
	for (size_t i = 0; i < repo->pack_count && suspect; i++) {
		if (!pack_problem(check, &repo->packs[i], &why))
			continue;
		/* A writer that lost its claim may have indexed packs that were removed
		 * meanwhile; new backups do not rely on them, and prune drops them from the
		 * index. */
		check_pack_is_bad(check, &repo->packs[i].id, &why, true);
	}
	return 0;
}

static void
append_once(json_t *array, const char *text)
{
	size_t size = json_array_size(array);
	const char *last = size > 0 ? json_string_value(json_array_get(array, size - 1)) : NULL;

	if (size < NAMED_MAX && (last == NULL || strcmp(last, text) != 0))
		json_array_append_new(array, json_string(text));
}

/* What contradicts itself in the snapshot at hand: one damage for all paths with one problem. */
static size_t
contradiction(struct check *check, const struct error *why)
{
	char name[64] = "snapshots/";
	size_t last = check->damage_count - 1;

	strncat(name, check->snapshot->id, sizeof(name) - strlen(name) - 1);
	if (check->damage_count > 0 && strcmp(check->damages[last].object, name) == 0 &&
	    strcmp(check->damages[last].problem, why->message) == 0)
		return last;
	return check_damage_add(check, name, why->message);
}

static int
blob_problem(void *arg, const char *path, size_t len, const struct blob_id *id,
    const struct error *why, struct error *err)
{
	struct check *check = arg;
	struct damage *damage;
	size_t number;
	char *shown;

	(void)err;
	if (id == NULL) {
		/* No blob is to blame: others may need the same ones, and rightly so. */
		number = contradiction(check, why);
	} else if (check_blob_lost(check, id, &number) == 1) {
		;
	} else if (check->newer.code != ERROR_NONE) {
		/* It may well lie in what was passed over. */
		progress_loss(check->progress, len > 0 ? path : "/", len > 0 ? len : 1,
		    "not checked: %s", check->newer.message);
		return 0;
	} else {
		char text[BLOB_ID_TEXT_SIZE], object[BLOB_ID_TEXT_SIZE + 8] = "blob ";

		blob_id_text(id, text);
		memcpy(object + 5, text, sizeof(text));
		number = check_damage_add(check, object, why->message);
		check_blob_is_bad(check, id, number);
	}
	damage = &check->damages[number];
	shown = text_printable(len > 0 ? path : "/", len > 0 ? len : 1);
	append_once(damage->paths, shown);
	append_once(damage->snapshots, check->snapshot->id);
	damage->path_total++;
	free(shown);
	return 0;
}

static void
bad_snapshot(void *arg, const char *id, const struct error *why)
{
	char name[64] = "snapshots/";

	strncat(name, id, sizeof(name) - strlen(name) - 1);
	if (why->code == ERROR_UNSUPPORTED)
		check_pass_over(arg, name, why);
	else
		check_damage_add(arg, name, why->message);
}

static int
check_snapshots(struct check *check, struct error *err)
{
	struct snapshot **list;
	struct scan scan;
	size_t count;
	int rc = 0;

	if (snapshot_list(check->repo, &list, &count, bad_snapshot, check, err) != 0)
		return -1;
	scan_init(&scan, check->repo, check->progress);
	scan.problem = blob_problem;
	scan.unusable = check_blob_unusable;
	scan.arg = check;
	for (size_t i = 0; i < count && rc == 0; i++) {
		check->snapshot = list[i];
		rc = scan_snapshot(&scan, list[i], err);
	}
	check->result->snapshots = count;
	check->result->trees = scan.trees;
	scan_done(&scan);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return rc;
}

/*
 * A key is written twice, and opens the repository from either copy; so a damaged one would go
 * unnoticed until the other is damaged too. A single copy is what an init or a change of the
 * passphrase leaves behind that was cut off: worth a note, but nothing is wrong with it. Names
 * differ in their last letter only.
 */
static int
check_keys(struct check *check, struct error *err)
{
	struct storage *storage = check->repo->storage;
	struct object_names names;

	if (object_names_read(storage, KEYFILE_FOLDER, &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct buffer one = BUFFER_INIT, other = BUFFER_INIT;
		char *twin = mem_strdup(names.list[i]);
		char *letter = twin + strlen(twin) - 1;
		struct error why = ERROR_INIT;

		*letter = *letter == 'a' ? 'b' : 'a';
		if (storage_get_whole(storage, twin, KEYFILE_MAX, &other, &why) != 0) {
			if (why.code == ERROR_NOT_FOUND)
				progress_note(check->progress, twin, strlen(twin),
				    "this copy of a key is missing; key change writes both anew");
			else
				check_damage_add(check, twin, why.message);
		} else if (*letter == 'b' && storage_get_whole(storage, names.list[i],
		    KEYFILE_MAX, &one, &why) == 0 && (one.len != other.len ||
		    memcmp(one.data, other.data, one.len) != 0)) {
			check_damage_add(check, names.list[i],
			    "the two copies of this key differ: one of them is damaged");
		}
		free(twin);
		buffer_done(&one);
		buffer_done(&other);
	}
	object_names_done(&names);
	return 0;
}

/* Small objects that nobody reads until they are needed.  Claims come and go; a damaged one claims
 * nothing. */
static int
check_sealed(struct check *check, struct error *err)
{
	static const struct {
		const char *folder;
		enum seal_type type;
	} folders[] = { { TRASH_FOLDER, SEAL_TRASH }, { "marks", SEAL_MARKS },
		{ PIN_FOLDER, SEAL_PIN } };
	struct repository *repo = check->repo;

	for (size_t f = 0; f < ARRAY_LEN(folders); f++) {
		struct object_names names;

		if (object_names_read(repo->storage, folders[f].folder, &names, err) != 0)
			return -1;
		for (size_t i = 0; i < names.count; i++) {
			struct error why = ERROR_INIT;
			struct object_id id;
			json_t *json = NULL;

			if (sealed_json_name_parse(names.list[i], folders[f].folder, &id) != 0)
				continue;
			/* Gone meanwhile is fine. */
			if (sealed_json_read(repo, folders[f].folder, folders[f].type, &id, &json,
			    &why) == 0 || why.code == ERROR_NOT_FOUND)
				;
			else if (why.code == ERROR_UNSUPPORTED)
				check_pass_over(check, names.list[i], &why);
			else
				check_damage_add(check, names.list[i], why.message);
			json_decref(json);
		}
		object_names_done(&names);
	}
	return 0;
}

/* What lies among the parity and belongs to nothing, and what lacks parity that new packs get. */
static int
check_parity_folder(struct check *check, struct error *err)
{
	uint64_t without = check->result->packs - check->result->packs_with_parity;
	struct object_names orphans;

	if (parity_orphans(check->repo, &orphans, err) != 0)
		return -1;
	for (size_t i = 0; i < orphans.count; i++)
		progress_note(check->progress, orphans.list[i], strlen(orphans.list[i]),
		    "parity of a pack that is gone; prune removes it");
	object_names_done(&orphans);
	if (parity_rule_is_on(&check->repo->parity) && without > 0)
		progress_note(check->progress, PARITY_FOLDER, strlen(PARITY_FOLDER),
		    "%llu of %llu packs have no parity; add it with: "
		    "holdfastd repair packs --add-parity --apply",
		    (unsigned long long)without, (unsigned long long)check->result->packs);
	return 0;
}

void
check_begin(struct check *check, struct repository *repo, const struct check_options *options,
    struct progress *progress, struct check_result *result)
{
	*check = (struct check){ .repo = repository_view(repo), .options = options,
		.progress = progress, .result = result };
	memset(result, 0, sizeof(*result));
	pthread_mutex_init(&check->lock, NULL);
	blob_table_init(&check->bad_places);
	blob_table_init(&check->bad_blobs);
}

int
check_find_bad(struct check *check, struct error *err)
{
	progress_phase(check->progress, "index");
	if (repository_refresh(check->repo, err) != 0 ||
	    repository_note_missing(check->repo, err) != 0 ||
	    repository_load_index(check->repo, err) != 0 || check_keys(check, err) != 0 ||
	    check_sealed(check, err) != 0 || check_index(check, err) != 0 ||
	    object_names_read(check->repo->storage, "packs", &check->packs, err) != 0)
		return -1;
	check->result->blobs = check->repo->table.count;
	progress_phase(check->progress, check->options->read_data ? "read" : "packs");
	if (check_packs(check, err) != 0)
		return -1;
	check_find_copies(check);
	return check_parity_folder(check, err);
}

void
check_end(struct check *check)
{
	check_damages_take(check);
	object_names_done(&check->packs);
	free(check->chosen);
	blob_table_done(&check->bad_places);
	blob_table_done(&check->bad_blobs);
	pthread_mutex_destroy(&check->lock);
	repository_close(check->repo);
}

int
check_run(struct repository *repo, const struct check_options *options,
    struct progress *progress, struct check_result *result, struct error *err)
{
	struct check check;
	int rc;

	check_begin(&check, repo, options, progress, result);
	rc = check_find_bad(&check, err);
	if (rc == 0) {
		progress_phase(progress, "snapshots");
		rc = check_snapshots(&check, err);
	}
	check_end(&check);
	if (rc != 0)
		check_result_done(result);
	return rc;
}

void
check_result_done(struct check_result *result)
{
	json_decref(result->damage);
	result->damage = NULL;
}
