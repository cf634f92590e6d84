/*
 * A snapshot of tables alone.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/files/backup_internal.h"
#include "agent/repository/claim.h"
#include "agent/tables/backup_internal.h"
#include "shared/mem.h"

static int
store_all(struct tables_backup *backup, struct snapshot *snapshot, struct error *err)
{
	const struct tables_backup_options *options = backup->options;
	struct writer_options how = { .threads = options->threads, .level = options->level,
		.no_verify = options->no_verify, .progress = backup->progress };
	struct writer_totals totals = { 0, 0, 0 };
	struct tree_roots roots = { NULL, 0, false };
	struct error why = ERROR_INIT;
	struct tree_dir *root;
	struct tree_slot *slot;
	struct entry folder;
	int rc;

	if (writer_begin(backup->repo, &how, &backup->writer, err) != 0)
		return -1;
	root = tree_dir_begin_root(backup->writer, &roots);
	tables_first_folder(options, &folder);
	slot = tree_dir_add_entry(root, &folder);
	tree_dir_end(root);
	rc = tables_store(backup, tree_dir_begin(backup->writer, slot), &why);
	writer_drain(backup->writer);
	progress_phase(backup->progress, "finish");
	if (rc != 0)
		writer_fail(backup->writer, &why);
	rc = writer_finish(backup->writer, &totals, err);
	backup->writer = NULL;
	if (rc == 0 && !roots.complete)
		rc = error_set(err, ERROR_INTERNAL, "a folder of the snapshot is unfinished");
	if (rc != 0) {
		free(roots.parts);
		return -1;
	}
	backup_take_stored(snapshot, &roots, &totals);
	return 0;
}

static struct snapshot *
describe(const struct tables_backup *backup)
{
	const struct tables_backup_options *options = backup->options;
	const struct backup_origin origin = { .kind = TABLES_KIND, .host = options->host,
		.job = options->job, .run = options->run, .tags = options->tags,
		.tag_count = options->tag_count };
	struct snapshot *snapshot;
	size_t count;
	char **sources = tables_sources(backup, &count);

	snapshot = backup_describe(&origin, sources, count);
	for (size_t i = 0; i < count; i++)
		free(sources[i]);
	free(sources);
	return snapshot;
}

static int
run_backup(struct tables_backup *backup, struct snapshot **ret, json_t **ret_tables,
    struct error *err)
{
	struct snapshot *snapshot = NULL, *parent = NULL;
	struct claim *claim = NULL;
	int rc = -1;

	if (claim_take(backup->repo, CLAIM_SHARED, "backup", backup->options->run,
	    BACKUP_CLAIM_WAIT_S, backup->progress, &claim, err) != 0)
		return -1;
	snapshot = describe(backup);
	if (backup_find_parent(backup->repo, snapshot, false, &parent, err) != 0)
		goto out;
	if (parent != NULL) {
		snapshot->parent = mem_strdup(parent->id);
		atomic_store(&backup->progress->bytes_total, parent->bytes);
	}
	atomic_store(&backup->progress->files_total, backup->work_count);
	progress_phase(backup->progress, "backup");
	if (tables_begin_view(backup, err) != 0 || store_all(backup, snapshot, err) != 0)
		goto out;
	tables_publish_files(backup);
	tables_take_figures(backup, snapshot, ret_tables);
	backup_take_losses(snapshot, backup->progress);
	if (backup_publish(backup->repo, claim, snapshot, err) != 0) {
		json_decref(*ret_tables);
		*ret_tables = NULL;
		goto out;
	}
	*ret = snapshot;
	snapshot = NULL;
	rc = 0;
out:
	claim_release(claim);
	snapshot_free(parent);
	snapshot_free(snapshot);
	return rc;
}

int
tables_backup(struct repository *repo, const struct tables_backup_options *options,
    struct progress *progress, struct snapshot **ret, json_t **ret_tables, struct error *err)
{
	struct tables_backup backup = { .options = options, .repo = repo, .progress = progress };
	int rc;

	progress_phase(progress, "scan");
	rc = tables_open(&backup, err);
	if (rc == 0)
		rc = run_backup(&backup, ret, ret_tables, err);
	tables_close(&backup);
	return rc;
}
