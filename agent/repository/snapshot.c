#include "agent/repository/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/format.h"
#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

#define SNAPSHOT_FORMAT 1
#define PREFIX_MIN 4
/* The next one must still be a number of JSON. */
#define SEQUENCE_MAX ((uint64_t)INT64_MAX - 1)

static void
free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

void
snapshot_free(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	free(snapshot->host);
	free(snapshot->kind);
	free(snapshot->job);
	free(snapshot->run);
	free(snapshot->parent);
	free(snapshot->program);
	free_texts(snapshot->sources, snapshot->source_count);
	free_texts(snapshot->tags, snapshot->tag_count);
	free(snapshot->roots);
	for (size_t i = 0; i < snapshot->loss_count; i++) {
		free(snapshot->losses[i].path);
		free(snapshot->losses[i].reason);
	}
	free(snapshot->losses);
	free(snapshot);
}

static json_t *
texts_to_json(char *const *texts, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(texts[i]));
	return array;
}

static json_t *
time_to_json(struct timespec t)
{
	char text[TIME_TEXT_SIZE];

	time_format(t, 9, text);
	return json_string(text);
}

/* The counters, each once: name in JSON and place in the struct. */
static const struct {
	const char *key;
	size_t offset;
} counters[] = {
	{ "sequence", offsetof(struct snapshot, sequence) },
	{ "files", offsetof(struct snapshot, files) },
	{ "directories", offsetof(struct snapshot, directories) },
	{ "others", offsetof(struct snapshot, others) },
	{ "bytes", offsetof(struct snapshot, bytes) },
	{ "new_files", offsetof(struct snapshot, new_files) },
	{ "changed_files", offsetof(struct snapshot, changed_files) },
	{ "unmodified_files", offsetof(struct snapshot, unmodified_files) },
	{ "added_blobs", offsetof(struct snapshot, added_blobs) },
	{ "added_bytes", offsetof(struct snapshot, added_bytes) },
	{ "stored_bytes", offsetof(struct snapshot, stored_bytes) },
	{ "loss_total", offsetof(struct snapshot, loss_total) },
};

json_t *
snapshot_to_json(const struct snapshot *snapshot)
{
	json_t *json = json_object(), *roots = json_array(), *losses = json_array();

	json_object_set_new(json, "format", json_integer(SNAPSHOT_FORMAT));
	if (snapshot->id[0] != '\0')
		json_object_set_new(json, "id", json_string(snapshot->id));
	json_object_set_new(json, "time", time_to_json(snapshot->time));
	json_object_set_new(json, "finished", time_to_json(snapshot->finished));
	json_object_set_new(json, "host", json_string(snapshot->host));
	json_object_set_new(json, "kind", json_string(snapshot->kind));
	json_object_set_new(json, "program", json_string(snapshot->program));
	if (snapshot->job != NULL)
		json_object_set_new(json, "job", json_string(snapshot->job));
	if (snapshot->run != NULL)
		json_object_set_new(json, "run", json_string(snapshot->run));
	if (snapshot->parent != NULL)
		json_object_set_new(json, "parent", json_string(snapshot->parent));
	json_object_set_new(json, "sources",
	    texts_to_json(snapshot->sources, snapshot->source_count));
	json_object_set_new(json, "tags", texts_to_json(snapshot->tags, snapshot->tag_count));
	for (size_t i = 0; i < snapshot->root_count; i++) {
		char text[BLOB_ID_TEXT_SIZE];

		blob_id_text(&snapshot->roots[i], text);
		json_array_append_new(roots, json_string(text));
	}
	json_object_set_new(json, "roots", roots);
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		const uint64_t *value =
		    (const uint64_t *)(const void *)((const char *)snapshot + counters[i].offset);

		json_object_set_new(json, counters[i].key, json_integer((json_int_t)*value));
	}
	json_object_set_new(json, "outcome", json_string(snapshot->warn ? "warn" : "ok"));
	if (snapshot->pinned)
		json_object_set_new(json, "pinned", json_true());
	for (size_t i = 0; i < snapshot->loss_count; i++)
		json_array_append_new(losses, json_pack("{s:s, s:s}", "path",
		    snapshot->losses[i].path, "reason", snapshot->losses[i].reason));
	json_object_set_new(json, "losses", losses);
	return json;
}

static int
need_text(const json_t *json, const char *key, char **ret, struct error *err)
{
	const char *text = json_string_value(json_object_get(json, key));

	if (text == NULL)
		return error_set(err, ERROR_CORRUPT, "snapshot: '%s' is not a text", key);
	*ret = mem_strdup(text);
	return 0;
}

static char *
maybe_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text != NULL ? mem_strdup(text) : NULL;
}

static int
need_time(const json_t *json, const char *key, struct timespec *ret, struct error *err)
{
	const char *text = json_string_value(json_object_get(json, key));

	if (text == NULL || time_parse(text, false, ret, err) != 0)
		return error_set(err, ERROR_CORRUPT, "snapshot: '%s' is not a time", key);
	return 0;
}

static int
need_texts(const json_t *json, const char *key, char ***ret, size_t *ret_count,
    struct error *err)
{
	const json_t *array = json_object_get(json, key), *item;
	size_t i;

	if (!json_is_array(array))
		return error_set(err, ERROR_CORRUPT, "snapshot: '%s' is not a list", key);
	*ret = mem_calloc(json_array_size(array), sizeof(**ret));
	json_array_foreach(array, i, item) {
		if (!json_is_string(item))
			return error_set(err, ERROR_CORRUPT, "snapshot: '%s' holds no text", key);
		(*ret)[(*ret_count)++] = mem_strdup(json_string_value(item));
	}
	return 0;
}

static int
need_roots(const json_t *json, struct snapshot *snapshot, struct error *err)
{
	const json_t *array = json_object_get(json, "roots"), *item;
	size_t i;

	if (!json_is_array(array))
		return error_set(err, ERROR_CORRUPT, "snapshot: 'roots' is not a list");
	snapshot->roots = mem_calloc(json_array_size(array), sizeof(*snapshot->roots));
	json_array_foreach(array, i, item) {
		if (!json_is_string(item) || hex_decode(json_string_value(item),
		    json_string_length(item), snapshot->roots[i].bytes, BLOB_ID_SIZE) != 0)
			return error_set(err, ERROR_CORRUPT, "snapshot: a root is not a blob");
		snapshot->root_count++;
	}
	return 0;
}

static int
read_losses(const json_t *json, struct snapshot *snapshot, struct error *err)
{
	const json_t *array = json_object_get(json, "losses"), *item;
	size_t i;

	snapshot->losses = mem_calloc(json_array_size(array), sizeof(*snapshot->losses));
	json_array_foreach(array, i, item) {
		struct snapshot_loss *loss = &snapshot->losses[snapshot->loss_count++];

		if (need_text(item, "path", &loss->path, err) != 0 ||
		    need_text(item, "reason", &loss->reason, err) != 0)
			return -1;
	}
	return 0;
}

int
snapshot_from_json(const json_t *json, struct snapshot **ret, struct error *err)
{
	struct snapshot *snapshot = MEM_NEW(struct snapshot);
	const char *outcome = json_string_value(json_object_get(json, "outcome"));
	json_int_t format = json_integer_value(json_object_get(json, "format"));

	if (json_is_object(json) && format > SNAPSHOT_FORMAT) {
		format_refuse("snapshot", (unsigned long long)format, err);
		goto fail;
	}
	if (!json_is_object(json) || format != SNAPSHOT_FORMAT) {
		error_set(err, ERROR_CORRUPT, "snapshot: of unknown format %lld", (long long)format);
		goto fail;
	}
	if (need_time(json, "time", &snapshot->time, err) != 0 ||
	    need_time(json, "finished", &snapshot->finished, err) != 0 ||
	    need_text(json, "host", &snapshot->host, err) != 0 ||
	    need_text(json, "kind", &snapshot->kind, err) != 0 ||
	    need_text(json, "program", &snapshot->program, err) != 0 ||
	    need_texts(json, "sources", &snapshot->sources, &snapshot->source_count, err) != 0 ||
	    need_texts(json, "tags", &snapshot->tags, &snapshot->tag_count, err) != 0 ||
	    need_roots(json, snapshot, err) != 0 || read_losses(json, snapshot, err) != 0)
		goto fail;
	snapshot->job = maybe_text(json, "job");
	snapshot->run = maybe_text(json, "run");
	snapshot->parent = maybe_text(json, "parent");
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		const json_t *value = json_object_get(json, counters[i].key);

		if (!json_is_integer(value) || json_integer_value(value) < 0) {
			error_set(err, ERROR_CORRUPT, "snapshot: '%s' is not a count",
			    counters[i].key);
			goto fail;
		}
		*(uint64_t *)(void *)((char *)snapshot + counters[i].offset) =
		    (uint64_t)json_integer_value(value);
	}
	if (snapshot->sequence > SEQUENCE_MAX) {
		error_set(err, ERROR_CORRUPT, "snapshot: no other can follow its 'sequence'");
		goto fail;
	}
	snapshot->warn = outcome != NULL && strcmp(outcome, "warn") == 0;
	*ret = snapshot;
	return 0;
fail:
	snapshot_free(snapshot);
	return -1;
}

static int
read_snapshot(struct repository *repo, const struct object_id *id, struct snapshot **ret,
    struct error *err)
{
	json_t *json = NULL;
	int rc;

	if (sealed_json_read(repo, SNAPSHOT_FOLDER, SEAL_SNAPSHOT, id, &json, err) != 0)
		return -1;
	rc = snapshot_from_json(json, ret, err);
	json_decref(json);
	if (rc == 0)
		object_id_text(id, (*ret)->id);
	return rc;
}

static int
compare_snapshots(const void *a, const void *b)
{
	const struct snapshot *x = *(struct snapshot *const *)a, *y = *(struct snapshot *const *)b;

	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return strcmp(x->id, y->id); /* two writers at once may have taken the same number */
}

int
snapshot_list(struct repository *repo, struct snapshot ***ret, size_t *ret_count,
    void (*bad)(void *arg, const char *id, const struct error *why), void *bad_arg,
    struct error *err)
{
	struct object_names names;
	struct snapshot **list;
	struct object_id id;
	size_t count = 0;
	int rc = 0;

	if (object_names_read(repo->storage, SNAPSHOT_FOLDER, &names, err) != 0)
		return -1;
	list = mem_calloc(names.count, sizeof(*list));
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		struct error why = ERROR_INIT;

		if (sealed_json_name_parse(names.list[i], SNAPSHOT_FOLDER, &id) != 0)
			continue;
		if (read_snapshot(repo, &id, &list[count], &why) == 0) {
			count++;
		} else if (why.code == ERROR_CORRUPT || why.code == ERROR_UNSUPPORTED) {
			if (bad != NULL)
				bad(bad_arg, names.list[i] + strlen(SNAPSHOT_FOLDER "/"), &why);
		} else if (why.code != ERROR_NOT_FOUND) { /* forgotten meanwhile is fine */
			*err = why;
			rc = -1;
		}
	}
	object_names_done(&names);
	if (rc == 0)
		rc = snapshots_flag_pinned(repo, list, count, err);
	if (rc != 0) {
		for (size_t i = 0; i < count; i++)
			snapshot_free(list[i]);
		free(list);
		return -1;
	}
	if (count > 0)
		qsort(list, count, sizeof(*list), compare_snapshots);
	*ret = list;
	*ret_count = count;
	return 0;
}

static int
find_latest(struct repository *repo, struct snapshot **ret, struct error *err)
{
	struct snapshot **list;
	size_t count;

	if (snapshot_list(repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	*ret = count > 0 ? list[count - 1] : NULL;
	for (size_t i = 0; i + 1 < count; i++)
		snapshot_free(list[i]);
	free(list);
	if (*ret == NULL)
		return error_set(err, ERROR_NOT_FOUND, "there is no snapshot yet");
	return 0;
}

int
snapshot_find(struct repository *repo, const char *name, struct snapshot **ret,
    struct error *err)
{
	char folder_and_prefix[sizeof(SNAPSHOT_FOLDER) + SNAPSHOT_ID_TEXT_SIZE];
	struct object_names names;
	struct object_id id, found;
	size_t len = strlen(name), matches = 0;

	if (strcmp(name, "latest") == 0)
		return find_latest(repo, ret, err);
	if (len < PREFIX_MIN || len >= SNAPSHOT_ID_TEXT_SIZE ||
	    strspn(name, "0123456789abcdef") != len) {
		char *shown = text_printable(name, len);

		error_set(err, ERROR_NOT_FOUND, "no snapshot '%.80s'", shown);
		free(shown);
		return error_hint(err, "an id, at least %d digits of one, or 'latest'", PREFIX_MIN);
	}
	if (object_names_read(repo->storage, SNAPSHOT_FOLDER, &names, err) != 0)
		return -1;
	memcpy(folder_and_prefix, SNAPSHOT_FOLDER "/", sizeof(SNAPSHOT_FOLDER "/"));
	memcpy(folder_and_prefix + strlen(SNAPSHOT_FOLDER "/"), name, len + 1);
	for (size_t i = 0; i < names.count; i++) {
		if (strncmp(names.list[i], folder_and_prefix, strlen(folder_and_prefix)) != 0 ||
		    sealed_json_name_parse(names.list[i], SNAPSHOT_FOLDER, &id) != 0)
			continue;
		found = id;
		matches++;
	}
	object_names_done(&names);
	if (matches == 0)
		return error_set(err, ERROR_NOT_FOUND, "no snapshot '%s'", name);
	if (matches > 1) {
		error_set(err, ERROR_AMBIGUOUS, "%zu snapshots begin with '%s'", matches, name);
		return error_hint(err, "give more digits");
	}
	if (read_snapshot(repo, &found, ret, err) != 0)
		return -1;
	if (snapshots_flag_pinned(repo, ret, 1, err) != 0) {
		snapshot_free(*ret);
		return -1;
	}
	return 0;
}

int
snapshot_publish(struct repository *repo, struct snapshot *snapshot, struct error *err)
{
	struct snapshot **list;
	struct object_id id;
	json_t *json;
	size_t count;
	int rc;

	if (snapshot_list(repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	snapshot->sequence = count > 0 ? list[count - 1]->sequence + 1 : 1;
	/* A snapshot with such a number could not be read again. */
	if (snapshot->sequence > SEQUENCE_MAX) {
		error_set(err, ERROR_CORRUPT, "snapshot '%s' has the highest sequence there can be",
		    list[count - 1]->id);
		error_hint(err, "forget it; no backup can come after it");
	}
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	if (snapshot->sequence > SEQUENCE_MAX)
		return -1;
	snapshot->id[0] = '\0';
	json = snapshot_to_json(snapshot);
	object_id_random(&id);
	/* If interrupted here, nothing refers to the new packs; the next backup finds their blobs
	 * in the index and uses them. */
	rc = sealed_json_write(repo, SNAPSHOT_FOLDER, SEAL_SNAPSHOT, &id, json, false, err);
	json_decref(json);
	if (rc == 0)
		object_id_text(&id, snapshot->id);
	return rc;
}

int
snapshot_withdraw(struct repository *repo, const struct snapshot *snapshot, struct error *err)
{
	struct object_id id;
	char name[64];

	if (object_id_parse(snapshot->id, strlen(snapshot->id), &id) != 0)
		return error_set(err, ERROR_INTERNAL, "snapshot was not published");
	sealed_json_name(SNAPSHOT_FOLDER, &id, name);
	return storage_remove(repo->storage, name, err);
}
