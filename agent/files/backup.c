#include "agent/files/backup.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/backup_internal.h"
#include "shared/mem.h"

/* Open folders that all waiting batches may hold together; the usual limit of descriptors is
 * 1024. */
#define BATCH_DIRS_TOTAL 512

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Leave out sources that lie within another one. Sorted, a folder comes right before what is in
 * it, but for names like "/a" and "/a-b" between "/a/c"; so each is compared with all kept. */
static size_t
drop_nested(char **sources, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		bool nested = false;

		for (size_t k = 0; k < kept && !nested; k++) {
			size_t len = strlen(sources[k]);

			nested = len == 1 || (strncmp(sources[i], sources[k], len) == 0 &&
			    (sources[i][len] == '/' || sources[i][len] == '\0'));
		}
		if (nested)
			free(sources[i]);
		else
			sources[kept++] = sources[i];
	}
	return kept;
}

/* The sources with all symlinks resolved.  One that is missing among several is a loss. */
static int
resolve_sources(const struct backup_options *options, struct progress *progress, char ***ret,
    size_t *ret_count, struct error *err)
{
	char **sources = mem_calloc(options->path_count, sizeof(*sources));
	size_t count = 0;

	for (size_t i = 0; i < options->path_count; i++) {
		const char *path = options->paths[i];
		char *resolved = realpath(path, NULL);

		if (resolved != NULL) {
			sources[count++] = resolved;
			continue;
		}
		error_sys(err, ERROR_IO, errno, "could not find '%s'", path);
		if (options->path_count > 1)
			progress_loss(progress, path, strlen(path), "%s", strerror(errno));
	}
	if (count == 0) {
		free(sources);
		if (options->path_count == 0)
			error_set(err, ERROR_BAD_REQUEST, "no path to back up");
		return -1;
	}
	qsort(sources, count, sizeof(*sources), compare_texts);
	*ret_count = drop_nested(sources, count);
	*ret = sources;
	return 0;
}

/* What the snapshot says before anything is read. */
static struct snapshot *
describe(const struct backup_options *options, char *const *sources, size_t source_count)
{
	const struct backup_beside *beside = options->beside;
	size_t count = source_count + (beside == NULL ? 0 : beside->source_count);
	char **all = mem_calloc(count, sizeof(*all));
	const struct backup_origin origin = { .kind = beside == NULL ? "files" : beside->kind,
		.host = options->host, .job = options->job, .run = options->run,
		.tags = options->tags, .tag_count = options->tag_count };
	struct snapshot *snapshot;

	memcpy(all, sources, source_count * sizeof(*all));
	for (size_t i = source_count; i < count; i++)
		all[i] = beside->sources[i - source_count];
	snapshot = backup_describe(&origin, all, count);
	free(all);
	return snapshot;
}

/* Added to what the one beside has put there. */
static void
take_counts(struct snapshot *snapshot, struct backup_counts *counts)
{
	snapshot->files += counts->files;
	snapshot->directories += counts->directories;
	snapshot->others += counts->others;
	snapshot->bytes += counts->bytes;
	snapshot->new_files += counts->new_files;
	snapshot->changed_files += counts->changed_files;
	snapshot->unmodified_files += counts->unmodified_files;
}

/* The repository's own folder, if it is one on this machine, is never part of a backup. */
static void
find_own_folder(struct backup *backup)
{
	struct stat st;

	if (stat(storage_url(repository_storage(backup->repo)), &st) != 0 || !S_ISDIR(st.st_mode))
		return;
	backup->has_skip = true;
	backup->skip_device = st.st_dev;
	backup->skip_inode = st.st_ino;
}

/* The one beside, in its thread. */
struct beside_thread {
	struct backup *backup;
	pthread_t thread;
	struct entry folder;
	int rc;
	struct error why;
};

static void *
beside_main(void *arg)
{
	struct beside_thread *beside = arg;
	struct backup *backup = beside->backup;
	const struct backup_beside *what = backup->options->beside;

	beside->rc = what->store(what->arg, backup->writer, &beside->folder, &beside->why);
	/* The walk need not go on for a snapshot that there will not be. */
	if (beside->rc != 0)
		writer_fail(backup->writer, &beside->why);
	return NULL;
}

/* The folder beside gets its entry, or is left out if there is no use for it. */
static void
finish_beside(struct backup *backup, struct entry *folder, bool keep)
{
	struct tree_slot *slot = backup->beside;

	if (slot != NULL && keep) {
		entry_done(&slot->entry);
		slot->entry = *folder;
		entry_init(folder);
	}
	entry_done(folder);
	if (slot != NULL)
		tree_slot_finish(slot, keep);
}

/* Walk, and store what is beside at the same time. */
static int
walk_with_beside(struct backup *backup, char *const *sources, size_t source_count,
    const struct snapshot *parent, struct tree_roots *roots, struct error *err)
{
	const struct backup_beside *what = backup->writer == NULL ? NULL : backup->options->beside;
	struct beside_thread beside = { .backup = backup, .why = ERROR_INIT };
	int rc = 0;

	entry_init(&beside.folder);
	if (what != NULL && what->begin(what->arg, err) != 0)
		return -1;
	if (what != NULL) {
		rc = pthread_create(&beside.thread, NULL, beside_main, &beside);
		if (rc != 0)
			return error_sys(err, ERROR_IO, rc, "could not start a thread");
	}
	rc = walk_sources(backup, sources, source_count, parent != NULL ? parent->roots : NULL,
	    parent != NULL ? parent->root_count : 0, roots, err);
	if (what == NULL)
		return rc;
	if (rc != 0)
		writer_fail(backup->writer, err);
	pthread_join(beside.thread, NULL);
	if (rc == 0 && beside.rc != 0) {
		*err = beside.why;
		rc = -1;
	}
	finish_beside(backup, &beside.folder, rc == 0);
	return rc;
}

/* Walk and store; on success everything the roots lead to is durable and indexed. */
static int
store(struct backup *backup, char *const *sources, size_t source_count,
    const struct snapshot *parent, struct snapshot *snapshot, struct error *err)
{
	const struct backup_options *options = backup->options;
	struct writer_options how = { .threads = options->threads, .level = options->level,
		.no_verify = options->no_verify, .progress = backup->progress };
	struct tree_roots roots = { NULL, 0, false };
	struct writer_totals totals = { 0, 0, 0 };
	struct error why = ERROR_INIT;
	int rc;

	if (!options->dry_run && writer_begin(backup->repo, &how, &backup->writer, err) != 0)
		return -1;
	progress_phase(backup->progress, "backup");
	rc = walk_with_beside(backup, sources, source_count, parent, &roots, &why);
	if (backup->writer != NULL) {
		writer_drain(backup->writer);
		progress_phase(backup->progress, "finish");
		if (rc != 0)
			writer_fail(backup->writer, &why);
		rc = writer_finish(backup->writer, &totals, &why);
		backup->writer = NULL;
	}
	if (rc == 0 && !roots.complete)
		rc = error_set(&why, ERROR_INTERNAL, "the walk left a folder unfinished");
	if (rc != 0) {
		*err = why;
		free(roots.parts);
		return -1;
	}
	backup_take_stored(snapshot, &roots, &totals);
	if (options->beside != NULL && !options->dry_run)
		options->beside->stored(options->beside->arg, snapshot);
	return 0;
}

static int
run_backup(struct backup *backup, char *const *sources, size_t source_count,
    struct snapshot *snapshot, struct error *err)
{
	struct claim *claim = NULL;
	struct snapshot *parent = NULL;
	int rc = -1;

	progress_phase(backup->progress, "claim");
	if (!backup->options->dry_run && claim_take(backup->repo, CLAIM_SHARED, "backup",
	    backup->options->run, BACKUP_CLAIM_WAIT_S, backup->progress, &claim,
	    err) != 0)
		return -1;
	progress_phase(backup->progress, "scan");
	/* Another source of this host may hold the same folders. */
	if (backup_find_parent(backup->repo, snapshot, true, &parent, err) != 0)
		goto out;
	if (parent != NULL) {
		snapshot->parent = mem_strdup(parent->id);
		/* A guess that lets the end be foreseen; most backups resemble the one before. */
		if (backup_same_sources(parent, snapshot)) {
			backup->progress->files_total = parent->files + parent->others;
			backup->progress->bytes_total = parent->bytes;
		}
	}
	if (store(backup, sources, source_count, parent, snapshot, err) != 0)
		goto out;
	backup_take_losses(snapshot, backup->progress);
	take_counts(snapshot, &backup->counts);
	/* The last moment to be cancelled: what is published stays. */
	if (progress_check(backup->progress, err) != 0)
		goto out;
	if (claim != NULL && backup_publish(backup->repo, claim, snapshot, err) != 0)
		goto out;
	rc = 0;
out:
	claim_release(claim);
	snapshot_free(parent);
	return rc;
}

int
files_backup(struct repository *repo, const struct backup_options *options,
    struct progress *progress, struct snapshot **ret, struct error *err)
{
	struct backup backup = { .options = options, .repo = repo, .progress = progress };
	struct snapshot *snapshot = NULL;
	char **sources = NULL;
	size_t source_count = 0;
	long threads = options->threads != 0 ? (long)options->threads :
	    sysconf(_SC_NPROCESSORS_ONLN);
	int rc = -1;

	if (exclude_new(options->excludes, options->exclude_count, &backup.exclude, err) != 0 ||
	    resolve_sources(options, progress, &sources, &source_count, err) != 0)
		goto out;
	backup.names = owner_names_new();
	backup.batch_dirs = (unsigned)(BATCH_DIRS_TOTAL / (3 * (threads > 0 ? threads : 1)));
	if (backup.batch_dirs < 2)
		backup.batch_dirs = 2;
	find_own_folder(&backup);
	snapshot = describe(options, sources, source_count);
	if (run_backup(&backup, sources, source_count, snapshot, err) != 0)
		goto out;
	*ret = NULL;
	if (!options->dry_run) {
		*ret = snapshot;
		snapshot = NULL;
	}
	rc = 0;
out:
	snapshot_free(snapshot);
	for (size_t i = 0; i < source_count; i++)
		free(sources[i]);
	free(sources);
	exclude_free(backup.exclude);
	owner_names_free(backup.names);
	return rc;
}
