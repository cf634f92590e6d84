#include "agent/files/archive_in.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/archive_in_internal.h"
#include "agent/files/backup_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* --- what the parts share ----------------------------------------------------------- */

static char *
with_slash(const char *path)
{
	return mem_printf("/%s", path);
}

void
import_loss(struct import *import, const char *path, const char *why)
{
	char *shown = with_slash(path);

	progress_loss(import->progress, shown, strlen(shown), "%s", why);
	free(shown);
}

void
import_note(struct import *import, const char *path, const char *what)
{
	char *shown = with_slash(path);

	progress_note(import->progress, shown, strlen(shown), "%s", what);
	free(shown);
}

ssize_t
import_read(struct import *import, void *buf, size_t size, struct error *err)
{
	ssize_t n;

	do {
		if (progress_check(import->progress, err) != 0)
			return -1;
		n = import->input->read(import->input->arg, buf, size, err);
	} while (n == IMPORT_READ_WAIT);
	if (n > 0)
		import->bytes_read += (uint64_t)n;
	return n;
}

/* --- one file ----------------------------------------------------------------------- */

/* The whole input, as a file of whoever the agent runs as. */
static int
import_file(struct import *import, struct error *err)
{
	struct entry entry = { .kind = ENTRY_FILE, .mode = 0600, .nlink = 1 };
	struct import_content *content = NULL;
	struct import_file *file = NULL;
	size_t room;
	ssize_t n;
	int placed;

	placed = import_tree_add(import->tree, import->options->name + 1, ENTRY_FILE, &file, err);
	if (placed != PLACED)
		return placed < 0 ? -1 : error_set(err, ERROR_INTERNAL, "no place for the file");
	entry.uid = (uint32_t)geteuid();
	entry.gid = (uint32_t)getegid();
	entry.mtime = entry.ctime = time_now();
	entry.size = UINT64_MAX; /* a stream; its size is known at its end */
	content = import_content_new(import);
	import_content_begin(content, file, &entry);
	for (;;) {
		uint8_t *p = import_content_room(content, &room);

		n = import_read(import, p, room, err);
		if (n <= 0)
			break;
		import_content_filled(content, (size_t)n);
		if (writer_has_failed(import->writer)) {
			n = error_set(err, ERROR_INTERNAL, "the writer has failed");
			break;
		}
	}
	if (n == 0 && import->bytes_read == 0) {
		/* A program that failed gives nothing, and nobody tells us that it failed. */
		n = error_set(err, ERROR_BAD_REQUEST, "nothing came: there is nothing to keep");
		error_hint(err, "did the program that sends it fail?");
	}
	if (n == 0) {
		import_content_end(content);
		atomic_fetch_add(&import->progress->files, 1);
	}
	import_content_free(content);
	return n == 0 ? 0 : -1;
}

/* --- the snapshot ------------------------------------------------------------------- */

/* On success everything that the roots lead to is durable and indexed. */
static int
store(struct import *import, const struct snapshot *parent, struct snapshot *snapshot,
    struct error *err)
{
	const struct import_options *options = import->options;
	struct writer_options how = { .threads = options->threads, .level = options->level,
		.no_verify = options->no_verify, .progress = import->progress };
	struct tree_roots roots = { NULL, 0, false };
	struct writer_totals totals = { 0, 0, 0 };
	struct import_counts counts = { .files = 0 };
	bool tar = options->format == IMPORT_TAR;
	struct error why = ERROR_INIT;
	int rc;

	if (writer_begin(import->repo, &how, &import->writer, err) != 0)
		return -1;
	progress_phase(import->progress, "import");
	rc = tar ? import_tar(import, &why) : import_file(import, &why);
	writer_drain(import->writer);
	progress_phase(import->progress, "finish");
	if (rc == 0 && !writer_has_failed(import->writer))
		rc = import_tree_build(import, parent, !tar, &roots, &counts, &why);
	/* Of two failures the writer's, which explains the other, came first and is kept. */
	if (rc != 0)
		writer_fail(import->writer, &why);
	rc = writer_finish(import->writer, &totals, &why);
	import->writer = NULL;
	if (rc == 0 && !roots.complete)
		rc = error_set(&why, ERROR_INTERNAL, "the import left a folder unfinished");
	if (rc != 0) {
		*err = why;
		free(roots.parts);
		return -1;
	}
	backup_take_stored(snapshot, &roots, &totals);
	snapshot->files = counts.files;
	snapshot->directories = counts.directories;
	snapshot->others = counts.others;
	snapshot->bytes = counts.bytes;
	snapshot->new_files = counts.new_files;
	snapshot->changed_files = counts.changed_files;
	snapshot->unmodified_files = counts.unmodified_files;
	return 0;
}

static int
run_import(struct import *import, struct snapshot *snapshot, struct error *err)
{
	struct snapshot *parent = NULL;
	struct claim *claim = NULL;
	int rc = -1;

	if (claim_take(import->repo, CLAIM_SHARED, "import", import->options->run,
	    BACKUP_CLAIM_WAIT_S, import->progress, &claim, err) != 0)
		return -1;
	if (backup_find_parent(import->repo, snapshot, false, &parent, err) != 0)
		goto out;
	if (parent != NULL)
		snapshot->parent = mem_strdup(parent->id);
	if (store(import, parent, snapshot, err) != 0)
		goto out;
	backup_take_losses(snapshot, import->progress);
	rc = backup_publish(import->repo, claim, snapshot, err);
out:
	claim_release(claim);
	snapshot_free(parent);
	return rc;
}

int
files_import(struct repository *repo, const struct import_options *options,
    const struct import_input *input, struct progress *progress, struct snapshot **ret,
    struct error *err)
{
	struct import import = { .options = options, .input = input, .repo = repo,
		.progress = progress, .input_error = ERROR_INIT };
	const struct backup_origin origin = { .kind = "stream", .host = options->host,
		.run = options->run };
	char *source = mem_strdup(options->name);
	struct snapshot *snapshot = backup_describe(&origin, &source, 1);
	int rc;

	import.names = owner_names_new();
	rc = import_tree_new(options->spool, &import.tree, err);
	if (rc == 0)
		rc = run_import(&import, snapshot, err);
	if (rc == 0) {
		*ret = snapshot;
		snapshot = NULL;
	}
	import_tree_free(import.tree);
	owner_names_free(import.names);
	snapshot_free(snapshot);
	free(source);
	return rc;
}
