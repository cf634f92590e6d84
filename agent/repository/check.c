#include "agent/repository/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/repository/check_internal.h"
#include "agent/repository/keyfile.h"
#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot_internal.h"
#include "agent/repository/parity_check.h"
#include "shared/mem.h"
#include "shared/text.h"

#define THREADS_MAX 64
/* So many snapshots and paths are named for one damaged object. */
#define NAMED_MAX 100

static size_t
add_damage_as(struct check *check, const char *object, const char *problem, bool healable)
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

static size_t
add_damage(struct check *check, const char *object, const char *problem)
{
	return add_damage_as(check, object, problem, false);
}

static void
add_bad_blob(struct check *check, const struct blob_id *id, size_t damage)
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
			add_bad_blob(check, &id, damage);
	}
	pthread_rwlock_unlock(&repo->lock);
}

/* Nothing is lost of what parity can make again: only if it cannot, its blobs are bad. */
static void
report_bad_pack(struct check *check, const struct object_id *pack, const struct error *why,
    bool only_if_needed)
{
	bool healable = parity_can_heal(check->repo, pack);
	char name[PACK_NAME_SIZE];
	size_t number;

	pack_name(pack, name);
	number = add_damage_as(check, name, why->message, healable);
	if (healable)
		return;
	pack_is_bad(check, pack, number);
	pthread_mutex_lock(&check->lock);
	check->damages[number].only_if_needed = only_if_needed;
	pthread_mutex_unlock(&check->lock);
}

/* What only a newer version can read is not damaged, but not checked either. */
static void
pass_over(struct check *check, const char *object, const struct error *why)
{
	progress_loss(check->progress, object, strlen(object), "not checked: %s", why->message);
}

/* Of a pack or an index file: what is missing elsewhere may be known to it. */
static void
pass_over_blobs(struct check *check, const char *object, const struct error *why)
{
	pass_over(check, object, why);
	pthread_mutex_lock(&check->lock);
	if (check->newer.code == ERROR_NONE)
		check->newer = *why;
	pthread_mutex_unlock(&check->lock);
}

/* The first bytes of a pack say what it is; nothing reads them but check. */
static int
check_header(struct check *check, const struct object_id *id, struct error *err)
{
	uint8_t header[PACK_HEADER_SIZE];
	char name[PACK_NAME_SIZE];

	pack_name(id, name);
	if (storage_get(check->repo->storage, name, 0, header, sizeof(header), err) != 0)
		return -1;
	return pack_header_check(header, check->repo->keys, id, err);
}

/* Whether parity makes a damaged frame again. */
static bool
frame_is_healable(struct check *check, const struct pack_directory *directory,
    const struct pack_frame *frame, struct frame_coder *coder, uint8_t *plain)
{
	struct repository *repo = check->repo;
	struct error ignored = ERROR_INIT;
	struct pack_source source;
	struct parity *parity;
	bool healable;

	if (parity_open(repo->storage, repo->keys, &directory->id, &parity, &ignored) != 1)
		return false;
	parity_source(parity, &source);
	healable = pack_frame_from(&source, repo->keys, coder, &directory->id, frame->offset,
	    frame->stored_len, plain, frame->plain_len, &ignored) == 0 &&
	    pack_frame_check(repo->keys, directory, frame, plain, &ignored) == 0;
	parity_close(parity);
	return healable;
}

/* Open every frame of a pack and hash every blob. */
static int
verify_frames(struct check *check, const struct pack_directory *directory,
    struct frame_coder *coder, struct buffer *plain, struct error *err)
{
	char name[PACK_NAME_SIZE];

	pack_name(&directory->id, name);
	for (size_t f = 0; f < directory->frame_count; f++) {
		const struct pack_frame *frame = &directory->frames[f];
		struct error why = ERROR_INIT;
		size_t damage;
		bool healable;

		if (progress_check(check->progress, err) != 0)
			return -1;
		buffer_clear(plain);
		buffer_reserve(plain, frame->plain_len);
		if (pack_read_frame(check->repo->storage, check->repo->keys, coder,
		    &directory->id, frame->offset, frame->stored_len, plain->data,
		    frame->plain_len, &why) == 0 &&
		    pack_frame_check(check->repo->keys, directory, frame, plain->data,
		        &why) != 0)
			error_prefix(&why, "%s, frame at %u: ", name, frame->offset);
		atomic_fetch_add(&check->progress->bytes, frame->stored_len);
		if (why.code == ERROR_NONE)
			continue;
		healable = frame_is_healable(check, directory, frame, coder, plain->data);
		damage = add_damage_as(check, name, why.message, healable);
		for (size_t b = 0; b < frame->blob_count && !healable; b++)
			add_bad_blob(check, &directory->blobs[frame->first_blob + b].id, damage);
	}
	return 0;
}

/* A pack's parity is of no use if it is damaged itself, but nothing is lost by that. */
static void
check_parity(struct check *check, const struct object_id *pack, bool read)
{
	struct error why = ERROR_INIT;
	char name[PARITY_NAME_SIZE];
	uint64_t size = 0;
	int there = parity_check_file(check->repo, pack, read, &size, &why);

	parity_name(pack, name);
	if (there < 0)
		add_damage_as(check, name, why.message, true);
	pthread_mutex_lock(&check->lock);
	check->result->packs_with_parity += there != 0;
	check->result->parity_bytes += size;
	pthread_mutex_unlock(&check->lock);
}

/* One pack that is in the storage.  Returns -1 only if the check cannot go on. */
static int
check_pack(struct check *check, const char *name, uint64_t size, bool read,
    struct frame_coder *coder, struct buffer *plain, struct error *err)
{
	struct pack_directory *directory = NULL;
	struct error why = ERROR_INIT;
	struct object_id id;
	int rc = 0;

	if (pack_name_parse(name, &id) != 0) {
		add_damage(check, name, "does not belong into a repository");
		return 0;
	}
	if (pack_read_directory(check->repo->storage, check->repo->keys, &id, &directory,
	        &why) != 0 || check_header(check, &id, &why) != 0) {
		pack_directory_free(directory);
		if (why.code == ERROR_UNSUPPORTED) {
			pass_over_blobs(check, name, &why);
			return 0;
		}
		report_bad_pack(check, &id, &why, false);
		check_parity(check, &id, read);
		return 0;
	}
	check_parity(check, &id, read);
	if (read) {
		rc = verify_frames(check, directory, coder, plain, err);
		pthread_mutex_lock(&check->lock);
		check->result->bytes_read += size;
		pthread_mutex_unlock(&check->lock);
	}
	pack_directory_free(directory);
	return rc;
}

/* 1 if the storage wrote the pack since the time that is asked for, or may have. */
static int
is_recent(const struct check *check, const char *name, struct error *err)
{
	const struct timespec *since = &check->options->since;
	struct timespec written;
	int known;

	if (since->tv_sec == 0)
		return 1;
	known = storage_time(check->repo->storage, name, &written, err);
	if (known <= 0)
		return known < 0 ? -1 : 1;
	return written.tv_sec > since->tv_sec ||
	    (written.tv_sec == since->tv_sec && written.tv_nsec >= since->tv_nsec);
}

static int
choose_packs(struct check *check, struct error *err)
{
	unsigned percent = check->options->percent;

	check->chosen = mem_calloc(check->packs.count, sizeof(*check->chosen));
	for (size_t i = 0; i < check->packs.count && check->options->read_data; i++) {
		int recent;

		/* Spread evenly: of every hundred packs, in the order of their random names, the
		 * first so many. */
		if (percent != 0 && i % 100 >= percent)
			continue;
		recent = is_recent(check, check->packs.list[i], err);
		if (recent < 0)
			return -1;
		check->chosen[i] = recent == 1;
		check->result->packs_read += recent == 1;
		if (recent == 1)
			check->progress->bytes_total += check->packs.sizes[i];
	}
	return 0;
}

static void *
verifier_main(void *arg)
{
	struct check *check = arg;
	struct frame_coder *coder = frame_coder_new(0);
	struct buffer plain = BUFFER_INIT;
	struct error err;
	int rc = 0;

	while (rc == 0) {
		size_t n;

		pthread_mutex_lock(&check->lock);
		n = check->failed ? check->packs.count : check->next_pack;
		if (n < check->packs.count)
			check->next_pack++;
		pthread_mutex_unlock(&check->lock);
		if (n >= check->packs.count)
			break;
		rc = progress_check(check->progress, &err);
		if (rc == 0)
			rc = check_pack(check, check->packs.list[n], check->packs.sizes[n],
			    check->chosen[n], coder, &plain, &err);
	}
	if (rc != 0) {
		pthread_mutex_lock(&check->lock);
		if (!check->failed)
			check->err = err;
		check->failed = true;
		pthread_mutex_unlock(&check->lock);
	}
	frame_coder_free(coder);
	buffer_done(&plain);
	return NULL;
}

static int
check_packs(struct check *check, struct error *err)
{
	pthread_t threads[THREADS_MAX];
	long want = check->options->threads != 0 ? (long)check->options->threads :
	    sysconf(_SC_NPROCESSORS_ONLN);
	long started = 0;

	if (want < 1)
		want = 1;
	if (want > THREADS_MAX)
		want = THREADS_MAX;
	if (choose_packs(check, err) != 0)
		return -1;
	while (started < want &&
	    pthread_create(&threads[started], NULL, verifier_main, check) == 0)
		started++;
	if (started == 0)
		verifier_main(check);
	for (long i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	check->result->packs = check->packs.count;
	if (check->failed)
		*err = check->err;
	return check->failed ? -1 : 0;
}

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
			pass_over_blobs(check, name, &why);
			continue;
		}
		add_damage(check, name, "index file is damaged; its packs were read instead");
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
		report_bad_pack(check, &repo->packs[i].id, &why, true);
	}
	return 0;
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
	return add_damage(check, name, why->message);
}

static int
blob_problem(void *arg, const char *path, size_t len, const struct blob_id *id,
    const struct error *why, struct error *err)
{
	struct check *check = arg;
	struct blob_location at;
	struct damage *damage;
	size_t number;
	char *shown;

	(void)err;
	if (id == NULL) {
		/* No blob is to blame: others may need the same ones, and rightly so. */
		number = contradiction(check, why);
	} else if (blob_table_find(&check->bad_blobs, id, &at) == 1) {
		number = at.frame;
	} else if (check->newer.code != ERROR_NONE) {
		/* It may well lie in what was passed over. */
		progress_loss(check->progress, len > 0 ? path : "/", len > 0 ? len : 1,
		    "not checked: %s", check->newer.message);
		return 0;
	} else {
		char text[BLOB_ID_TEXT_SIZE], object[BLOB_ID_TEXT_SIZE + 8] = "blob ";

		blob_id_text(id, text);
		memcpy(object + 5, text, sizeof(text));
		number = add_damage(check, object, why->message);
		add_bad_blob(check, id, number);
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
		pass_over(arg, name, why);
	else
		add_damage(arg, name, why->message);
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

/* Hand what was found over as JSON. */
static void
take_damages(struct check *check)
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
				add_damage(check, twin, why.message);
		} else if (*letter == 'b' && storage_get_whole(storage, names.list[i],
		    KEYFILE_MAX, &one, &why) == 0 && (one.len != other.len ||
		    memcmp(one.data, other.data, one.len) != 0)) {
			add_damage(check, names.list[i],
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
				pass_over(check, names.list[i], &why);
			else
				add_damage(check, names.list[i], why.message);
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
	return check_packs(check, err) != 0 ? -1 : check_parity_folder(check, err);
}

void
check_end(struct check *check)
{
	take_damages(check);
	object_names_done(&check->packs);
	free(check->chosen);
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
