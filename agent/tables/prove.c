#include "agent/tables/prove.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/container.h"
#include "agent/tables/restore_internal.h"
#include "shared/buffer.h"
#include "shared/mem.h"

/* A table that may be taken. */
struct candidate {
	char *name;
	uint64_t size;
};

struct tables_sample {
	struct candidate *list;
	size_t count, cap;
	uint64_t of, too_large, bytes;
	const char **chosen; /* lent from the list */
	size_t chosen_count;
};

/* ---- which tables */

/* A folder in the snapshot; its name tells the table's only where no byte of it was replaced. */
static int
offer(struct repository *repo, const struct snapshot *snapshot,
    const struct tables_prove_options *options, const struct entry *entry,
    struct tables_sample *sample, struct error *err)
{
	char *path = mem_printf("/%s/%s/backup/%s.avro", options->folder, entry->name, entry->name);
	struct table_source source;
	const char *kind, *name;
	int rc = source_look(repo, snapshot, path, &source, err);

	free(path);
	if (rc <= 0)
		return rc;
	kind = ocf_meta(source.file, CONTAINER_PREFIX "kind", NULL);
	name = ocf_meta(source.file, CONTAINER_PREFIX "table", NULL);
	if (name != NULL && (kind == NULL || strcmp(kind, "table") == 0)) {
		sample->of++;
		if (source.size > options->bytes) {
			sample->too_large++;
		} else {
			MEM_GROW(sample->list, sample->count, sample->cap);
			sample->list[sample->count++] = (struct candidate){
				.name = mem_strdup(name), .size = source.size };
		}
	}
	source_close(&source);
	return 0;
}

static int
find_candidates(struct repository *repo, const struct snapshot *snapshot,
    const struct tables_prove_options *options, struct tables_sample *sample,
    struct progress *progress, struct error *err)
{
	char *path = mem_printf("/%s", options->folder);
	struct tree_cursor *cursor = NULL;
	const struct entry *entry;
	struct entry folder;
	int rc;

	entry_init(&folder);
	rc = tree_lookup(repo, snapshot->roots, snapshot->root_count, path, &folder, err);
	if (rc == 1)
		rc = tree_open(repo, folder.content, folder.content_count, &cursor, err);
	while (cursor != NULL && (rc = tree_next(cursor, &entry, err)) == 1) {
		rc = progress_check(progress, err);
		if (rc == 0)
			rc = offer(repo, snapshot, options, entry, sample, err);
		if (rc != 0)
			break;
	}
	tree_close(cursor);
	entry_done(&folder);
	free(path);
	return rc < 0 ? -1 : 0;
}

/* In random order as many as there is room for. */
static void
choose(const struct tables_prove_options *options, struct tables_sample *sample)
{
	sample->chosen = mem_calloc(sample->count + 1, sizeof(*sample->chosen));
	for (size_t i = 0; i < sample->count && sample->chosen_count < options->tables; i++) {
		size_t place = i + randombytes_uniform((uint32_t)(sample->count - i));
		struct candidate taken = sample->list[place];

		sample->list[place] = sample->list[i];
		sample->list[i] = taken;
		if (taken.size > options->bytes - sample->bytes)
			continue;
		sample->chosen[sample->chosen_count++] = taken.name;
		sample->bytes += taken.size;
	}
}

static void
sample_done(struct tables_sample *sample)
{
	for (size_t i = 0; i < sample->count; i++)
		free(sample->list[i].name);
	free(sample->list);
	free(sample->chosen);
}

/* ---- the database */

static int
on_database(const struct mariadb_settings *server, const char *what, const char *database,
    struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	struct mariadb *db = NULL;
	int rc = mariadb_open(server, &db, err);

	buffer_put_text(&sql, what);
	mariadb_put_name(&sql, database);
	if (rc == 0)
		rc = mariadb_exec(db, (const char *)sql.data, sql.len, NULL, err);
	mariadb_close(db);
	buffer_done(&sql);
	return rc;
}

static int
make_database(const struct tables_prove_options *options, struct error *err)
{
	if (on_database(options->server, "CREATE DATABASE ", options->database, err) == 0)
		return 0;
	error_prefix(err, "could not make the database for a test restore: ");
	return error_hint(err, "the user of the database needs all privileges on `"
	    TABLES_PROVE_PREFIX "%%`.*");
}

int
tables_prove_drop(const struct mariadb_settings *server, const char *database, struct error *err)
{
	if (strncmp(database, TABLES_PROVE_PREFIX, strlen(TABLES_PROVE_PREFIX)) != 0)
		return error_set(err, ERROR_INTERNAL, "'%.64s' is no database of a test restore",
		    database);
	if (on_database(server, "DROP DATABASE IF EXISTS ", database, err) == 0)
		return 0;
	return error_prefix(err, "could not drop the database of a test restore: ");
}

/* ---- restored, and compared */

static int
restore_chosen(struct repository *repo, const struct snapshot *snapshot,
    const struct tables_prove_options *options, const struct tables_sample *sample,
    struct progress *progress, json_t *tables, struct error *err)
{
	struct tables_restore_options how = { .server = options->server,
		.folder = options->folder, .as_database = options->database,
		.snapshot = snapshot->id, .rows_alone = true };
	char from[SNAPSHOT_ID_TEXT_SIZE] = "";
	struct error why = ERROR_INIT;
	int rc;

	if (make_database(options, err) != 0)
		return -1;
	rc = tables_restore_all(repo, &how, sample->chosen, sample->chosen_count,
	    options->connections, progress, from, tables, err);
	/* Of two failures the first one matters more. */
	if (tables_prove_drop(options->server, options->database, rc == 0 ? err : &why) != 0)
		rc = -1;
	return rc;
}

int
tables_prove(struct repository *repo, const struct snapshot *snapshot,
    const struct tables_prove_options *options, struct progress *progress, json_t **ret,
    struct error *err)
{
	struct tables_sample sample = { .list = NULL };
	json_t *tables = json_array();
	int rc = find_candidates(repo, snapshot, options, &sample, progress, err);

	if (rc == 0) {
		choose(options, &sample);
		if (sample.chosen_count > 0)
			rc = restore_chosen(repo, snapshot, options, &sample, progress, tables,
			    err);
	}
	*ret = json_pack("{s:I, s:I, s:I, s:I, s:o}", "count", (json_int_t)sample.chosen_count,
	    "bytes", (json_int_t)sample.bytes, "of", (json_int_t)sample.of, "too_large",
	    (json_int_t)sample.too_large, "tables", tables);
	sample_done(&sample);
	return rc;
}
