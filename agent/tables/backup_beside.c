/*
 * Tables in a snapshot of folders: agent/files/backup.c makes it, and calls here.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/files/backup.h"
#include "agent/tables/backup_internal.h"
#include "shared/mem.h"

struct tables_beside {
	struct tables_backup backup;
	struct backup_beside beside;
	struct entry folder;
	char **sources;
	size_t source_count;
	json_t *tables;
};

static int
begin(void *arg, struct error *err)
{
	struct tables_beside *beside = arg;

	return tables_begin_view(&beside->backup, err);
}

static int
store(void *arg, struct writer *writer, struct entry *folder, struct error *err)
{
	struct tables_beside *beside = arg;
	struct tree_roots roots = { NULL, 0, false };
	int rc;

	beside->backup.writer = writer;
	rc = tables_store(&beside->backup, tree_dir_begin_root(writer, &roots), err);
	beside->backup.writer = NULL;
	if (rc == 0 && !roots.complete)
		rc = error_set(err, ERROR_INTERNAL, "the folder of the tables is unfinished");
	if (rc != 0) {
		free(roots.parts);
		return -1;
	}
	entry_copy(folder, &beside->folder);
	folder->content = roots.parts;
	folder->content_count = roots.count;
	return 0;
}

static void
stored(void *arg, struct snapshot *snapshot)
{
	struct tables_beside *beside = arg;

	tables_publish_files(&beside->backup);
	tables_take_figures(&beside->backup, snapshot, &beside->tables);
}

int
tables_beside_open(struct repository *repo, const struct tables_backup_options *options,
    struct progress *progress, struct tables_beside **ret, struct error *err)
{
	struct tables_beside *beside = MEM_NEW(struct tables_beside);

	beside->backup.options = options;
	beside->backup.repo = repo;
	beside->backup.progress = progress;
	tables_first_folder(options, &beside->folder);
	if (tables_open(&beside->backup, err) != 0) {
		tables_beside_close(beside);
		return -1;
	}
	beside->sources = tables_sources(&beside->backup, &beside->source_count);
	beside->beside = (struct backup_beside){ .kind = TABLES_MIXED_KIND,
		.name = beside->folder.name, .sources = beside->sources,
		.source_count = beside->source_count, .begin = begin, .store = store,
		.stored = stored, .arg = beside };
	*ret = beside;
	return 0;
}

const struct backup_beside *
tables_beside_hooks(const struct tables_beside *beside)
{
	return &beside->beside;
}

json_t *
tables_beside_take(struct tables_beside *beside)
{
	json_t *tables = beside->tables;

	beside->tables = NULL;
	return tables;
}

void
tables_beside_close(struct tables_beside *beside)
{
	if (beside == NULL)
		return;
	tables_close(&beside->backup);
	for (size_t i = 0; i < beside->source_count; i++)
		free(beside->sources[i]);
	free(beside->sources);
	entry_done(&beside->folder);
	json_decref(beside->tables);
	free(beside);
}

bool
tables_snapshot_has(const struct snapshot *snapshot)
{
	return strcmp(snapshot->kind, TABLES_KIND) == 0 ||
	    strcmp(snapshot->kind, TABLES_MIXED_KIND) == 0;
}
