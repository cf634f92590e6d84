#include "agent/files/prove.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/files/restore.h"
#include "agent/repository/find.h"
#include "shared/mem.h"
#include "shared/text.h"

/* ---- which files */

/* What was recorded of one. */
struct candidate {
	char *path; /* printable; NULL: none */
	uint64_t size;
	struct timespec mtime;
	uint32_t mode;
	uint64_t link_device, inode; /* names of one file have the same; link_device 0: it has one */
};

struct sample {
	const struct files_prove_options *options;
	size_t without_len;
	struct candidate *newest, *random;
	size_t newest_max, random_max;
	size_t newest_count, random_count;
	size_t oldest;   /* of the newest: the next to go */
	uint64_t seen;   /* that might be taken */
	uint64_t files, too_large;
	struct candidate *chosen; /* in the end: lent from the two */
	size_t chosen_count;
	uint64_t bytes;
};

static bool
is_newer(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static void
keep(struct candidate *place, const char *path, size_t len, const struct entry *entry)
{
	free(place->path);
	*place = (struct candidate){ .path = text_printable(path, len), .size = entry->size,
		.mtime = entry->mtime, .mode = entry->mode, .link_device = entry->link_device,
		.inode = entry->inode };
}

static bool
is_same_file(const struct candidate *a, const struct candidate *b)
{
	return strcmp(a->path, b->path) == 0 || (a->link_device != 0 &&
	    a->link_device == b->link_device && a->inode == b->inode);
}

static void
offer_newest(struct sample *sample, const char *path, size_t len, const struct entry *entry)
{
	if (sample->newest_count < sample->newest_max)
		keep(&sample->newest[sample->newest_count++], path, len, entry);
	else if (sample->newest_max > 0 &&
	    is_newer(&entry->mtime, &sample->newest[sample->oldest].mtime))
		keep(&sample->newest[sample->oldest], path, len, entry);
	else
		return;
	sample->oldest = 0;
	for (size_t i = 1; i < sample->newest_count; i++)
		if (is_newer(&sample->newest[sample->oldest].mtime, &sample->newest[i].mtime))
			sample->oldest = i;
}

/* Each file that was offered is among them with the same chance. */
static void
offer_random(struct sample *sample, const char *path, size_t len, const struct entry *entry)
{
	uint32_t place;

	if (sample->random_count < sample->random_max) {
		keep(&sample->random[sample->random_count++], path, len, entry);
		return;
	}
	if (sample->random_max == 0 || sample->seen > UINT32_MAX)
		return;
	place = randombytes_uniform((uint32_t)sample->seen);
	if (place < sample->random_max)
		keep(&sample->random[place], path, len, entry);
}

static int
offer(void *arg, const struct snapshot *snapshot, const char *path, size_t len,
    const struct entry *entry, struct error *err)
{
	struct sample *sample = arg;
	const struct files_prove_options *options = sample->options;

	(void)snapshot;
	(void)err;
	if (entry->kind != ENTRY_FILE)
		return 0;
	if (sample->without_len > 0 && len > sample->without_len &&
	    memcmp(path, options->without, sample->without_len) == 0 &&
	    path[sample->without_len] == '/')
		return 0;
	sample->files++;
	if (entry->size > options->bytes) {
		sample->too_large++;
		return 0;
	}
	/* It is looked at by its whole name afterwards. */
	if (strlen(options->folder) + len >= PATH_MAX)
		return 0;
	sample->seen++;
	offer_newest(sample, path, len, entry);
	offer_random(sample, path, len, entry);
	return 0;
}

static void
choose(struct sample *sample, const struct candidate *candidate)
{
	if (sample->chosen_count == sample->options->files ||
	    candidate->size > sample->options->bytes - sample->bytes)
		return;
	for (size_t i = 0; i < sample->chosen_count; i++)
		if (is_same_file(&sample->chosen[i], candidate))
			return;
	sample->chosen[sample->chosen_count++] = *candidate;
	sample->bytes += candidate->size;
}

static int
sample_take(struct repository *repo, const struct snapshot *snapshot, struct sample *sample,
    struct progress *progress, struct error *err)
{
	struct snapshot one = *snapshot, *list = &one;
	const struct files_prove_options *options = sample->options;

	sample->without_len = options->without == NULL ? 0 : strlen(options->without);
	sample->newest_max = options->files / 2;
	/* More than is needed: some will be among the newest, or have no room. */
	sample->random_max = options->files;
	sample->newest = mem_calloc(sample->newest_max + 1, sizeof(*sample->newest));
	sample->random = mem_calloc(sample->random_max + 1, sizeof(*sample->random));
	sample->chosen = mem_calloc(options->files + 1, sizeof(*sample->chosen));
	if (find_names(repo, &list, 1, "", offer, sample, progress, err) != 0)
		return -1;
	/* By turns, so that large files of one half do not take the other's place. */
	for (size_t i = 0; i < sample->newest_count || i < sample->random_count; i++) {
		if (i < sample->random_count)
			choose(sample, &sample->random[i]);
		if (i < sample->newest_count)
			choose(sample, &sample->newest[i]);
	}
	return 0;
}

static void
sample_done(struct sample *sample)
{
	for (size_t i = 0; i < sample->newest_count; i++)
		free(sample->newest[i].path);
	for (size_t i = 0; i < sample->random_count; i++)
		free(sample->random[i].path);
	free(sample->newest);
	free(sample->random);
	free(sample->chosen);
}

static json_t *
sample_json(const struct sample *sample)
{
	json_t *paths = json_array();

	for (size_t i = 0; i < sample->chosen_count; i++)
		json_array_append_new(paths, json_string(sample->chosen[i].path));
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "count", (json_int_t)sample->chosen_count,
	    "bytes", (json_int_t)sample->bytes, "of", (json_int_t)sample->files, "too_large",
	    (json_int_t)sample->too_large, "paths", paths);
}

/* ---- restored, and compared */

/* Contents are compared by the restore itself.  Owners may be others on another machine. */
static void
compare_attributes(const struct candidate *recorded, const char *folder,
    struct progress *progress)
{
	struct error ignored = ERROR_INIT;
	char *path, *restored;
	struct stat st;
	size_t len;

	if (text_unprintable(recorded->path, &ignored, &path, &len) != 0)
		return;
	restored = mem_printf("%s%s", folder, path);
	if (lstat(restored, &st) != 0)
		progress_loss(progress, path, len, "it was not restored: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != recorded->size)
		progress_loss(progress, path, len, "it came back with another size");
	else if ((st.st_mode & 0777) != (recorded->mode & 0777) ||
	    st.st_mtim.tv_sec != recorded->mtime.tv_sec ||
	    st.st_mtim.tv_nsec != recorded->mtime.tv_nsec)
		progress_loss(progress, path, len, "it came back with another mode or time");
	free(restored);
	free(path);
}

static uint64_t
losses(struct progress *progress)
{
	uint64_t total;

	pthread_mutex_lock(&progress->lock);
	total = progress->losses.total;
	pthread_mutex_unlock(&progress->lock);
	return total;
}

static int
restore_and_compare(struct repository *repo, const struct snapshot *snapshot,
    const struct sample *sample, struct progress *progress, struct error *err)
{
	const struct files_prove_options *options = sample->options;
	const char **paths = mem_calloc(sample->chosen_count, sizeof(*paths));
	struct restore_options how = { .target = options->folder, .paths = paths,
		.path_count = sample->chosen_count, .conflict = CONFLICT_SKIP, .verify = true,
		.threads = options->threads };
	struct restore_result done = { .created = 0 };
	uint64_t before = losses(progress), wrong;
	int rc;

	for (size_t i = 0; i < sample->chosen_count; i++)
		paths[i] = sample->chosen[i].path;
	rc = files_restore(repo, snapshot, &how, progress, &done, err);
	free(paths);
	if (rc != 0)
		return -1;
	/* What the restore itself has told of is not told twice. */
	if (losses(progress) == before)
		for (size_t i = 0; i < sample->chosen_count; i++)
			compare_attributes(&sample->chosen[i], options->folder, progress);
	wrong = losses(progress) - before;
	if (wrong == 0 && done.verified == sample->chosen_count)
		return 0;
	error_set(err, ERROR_CORRUPT, "%llu of %zu files did not come back as they were stored",
	    (unsigned long long)(wrong > 0 ? wrong : sample->chosen_count - done.verified),
	    sample->chosen_count);
	return error_hint(err, "check --read-data names all that is damaged; back the source up "
	    "again while it is there");
}

int
files_prove(struct repository *repo, const struct snapshot *snapshot,
    const struct files_prove_options *options, struct progress *progress, json_t **ret,
    struct error *err)
{
	struct sample sample = { .options = options };
	int rc = sample_take(repo, snapshot, &sample, progress, err);

	if (rc == 0 && sample.chosen_count > 0)
		rc = restore_and_compare(repo, snapshot, &sample, progress, err);
	if (rc == 0 || err->code == ERROR_CORRUPT)
		*ret = sample_json(&sample);
	sample_done(&sample);
	return rc;
}

/* ---- thrown away */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

int
files_throw_away(const char *folder, struct error *err)
{
	if (nftw(folder, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 || errno == ENOENT)
		return 0;
	return error_sys(err, ERROR_IO, errno, "could not remove '%.200s'", folder);
}
