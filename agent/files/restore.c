#include "agent/files/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/files/restore_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

#define THREADS_MAX 16

static const char *const rule_words[CONFLICT_RULE_COUNT] = {
	[CONFLICT_SKIP] = "skip",
	[CONFLICT_NEWER] = "newer",
	[CONFLICT_OVERWRITE] = "overwrite",
	[CONFLICT_SIDE_COPY] = "side-copy",
};

static const char *const action_words[RESTORE_ACTION_COUNT] = {
	[RESTORE_CREATE] = "create",
	[RESTORE_REPLACE] = "replace",
	[RESTORE_SKIP] = "skip",
	[RESTORE_SIDE_COPY] = "side-copy",
	[RESTORE_SAME] = "same",
};

const char *
conflict_rule_word(enum conflict_rule rule)
{
	return rule_words[rule];
}

int
conflict_rule_parse(const char *word, enum conflict_rule *ret, struct error *err)
{
	for (size_t i = 0; i < CONFLICT_RULE_COUNT; i++) {
		if (strcmp(word, rule_words[i]) == 0) {
			*ret = (enum conflict_rule)i;
			return 0;
		}
	}
	error_set(err, ERROR_BAD_REQUEST, "unknown conflict rule '%.100s'", word);
	return error_hint(err, "the rules are skip, newer, overwrite and side-copy");
}

const char *
restore_action_word(enum restore_action action)
{
	return action_words[action];
}

/* --- telling ------------------------------------------------------------------------ */

/* The path in the target, as bytes; caller frees. */
static char *
full_path(const struct restore *r, const struct restore_folder *folder, const char *name,
    size_t *ret_len)
{
	size_t target_len = strlen(r->options->target);
	size_t len = name == NULL ? 0 : strlen(name) + 1;
	char *path, *at;

	while (target_len > 0 && r->options->target[target_len - 1] == '/')
		target_len--;
	for (const struct restore_folder *f = folder; f->parent != NULL; f = f->parent)
		len += f->name_len + 1;
	path = mem_calloc(target_len + len + 2, 1);
	memcpy(path, r->options->target, target_len);
	at = path + target_len + len;
	if (len == 0)
		*at++ = '/';
	*ret_len = (size_t)(at - path);
	if (len == 0)
		return path;
	if (name != NULL) {
		at -= strlen(name);
		memcpy(at, name, strlen(name));
		*--at = '/';
	}
	for (const struct restore_folder *f = folder; f->parent != NULL; f = f->parent) {
		at -= f->name_len;
		memcpy(at, f->name, f->name_len);
		*--at = '/';
	}
	return path;
}

void
restore_loss(struct restore *r, const struct restore_folder *folder, const char *name,
    const struct error *why)
{
	size_t len;
	char *path = full_path(r, folder, name, &len);

	progress_loss(r->progress, path, len, "%s", why->message);
	free(path);
}

void
restore_note(struct restore *r, const struct restore_folder *folder, const char *name,
    const char *text)
{
	size_t len;
	char *path = full_path(r, folder, name, &len);

	progress_note(r->progress, path, len, "%s", text);
	free(path);
}

void
restore_did(struct restore *r, enum restore_action action,
    const struct restore_folder *folder, const char *name)
{
	char *path, *shown;
	size_t len;

	/* The path is made for those who want it; the progress shows one now and then. */
	if (atomic_fetch_add(&r->actions[action], 1) % 64 != 0 && r->options->each == NULL)
		return;
	path = full_path(r, folder, name, &len);
	progress_path(r->progress, path, len);
	if (r->options->each != NULL) {
		shown = text_printable(path, len);
		pthread_mutex_lock(&r->each_lock);
		r->options->each(r->options->arg, action, shown);
		pthread_mutex_unlock(&r->each_lock);
		free(shown);
	}
	free(path);
}

void
restore_stop(struct restore *r, const struct error *why)
{
	pthread_mutex_lock(&r->queue_lock);
	if (!atomic_exchange(&r->stopped, true))
		r->error = *why;
	pthread_mutex_unlock(&r->queue_lock);
}

void
restore_failed(struct restore *r, const struct restore_folder *folder, const char *name,
    const struct error *why)
{
	if (why->code == ERROR_NO_SPACE || why->code == ERROR_CANCELLED) {
		struct error end = *why;
		size_t len;
		char *path = full_path(r, folder, name, &len);
		char *shown = text_printable(path, len);

		if (why->code == ERROR_NO_SPACE)
			error_prefix(&end, "'%.200s': ", shown);
		restore_stop(r, &end);
		free(shown);
		free(path);
		return;
	}
	restore_loss(r, folder, name, why);
}

void
restore_temporary_name(struct restore *r, char out[64])
{
	snprintf(out, 64, "%s%s-%llu", RESTORE_TEMPORARY, r->tag,
	    (unsigned long long)atomic_fetch_add(&r->temporaries, 1));
}

/* --- what is selected --------------------------------------------------------------- */

static void
selection_done(struct selection *selection)
{
	for (size_t i = 0; i < selection->count; i++)
		free(selection->paths[i]);
	free(selection->paths);
}

/* By component: as bytes, with the slash before all of them. */
static int
path_compare(const void *a, const void *b)
{
	const unsigned char *left = *(const unsigned char *const *)a;
	const unsigned char *right = *(const unsigned char *const *)b;

	while (*left == *right && *left != '\0') {
		left++;
		right++;
	}
	if (*left == *right)
		return 0;
	if (*left == '\0' || *right == '\0')
		return *left == '\0' ? -1 : 1;
	if (*left == '/' || *right == '/')
		return *left == '/' ? -1 : 1;
	return *left < *right ? -1 : 1;
}

/* Bytes without repeated slashes and without those at the ends. */
static void
path_squeeze(char *path)
{
	char *to = path;

	for (const char *from = path; *from != '\0'; from++)
		if (*from != '/' || (to > path && to[-1] != '/'))
			*to++ = *from;
	if (to > path && to[-1] == '/')
		to--;
	*to = '\0';
}

static int
selection_add(struct restore *r, const struct snapshot *snapshot, const char *printable,
    struct selection *selection, struct error *err)
{
	char *path = NULL, *absolute = NULL;
	struct entry entry;
	size_t len = 0;
	int found, result = -1;

	entry_init(&entry);
	if (text_unprintable(printable, err, &path, &len) < 0)
		goto out;
	if (printable[0] != '/' || strlen(path) != len) {
		error_set(err, ERROR_BAD_REQUEST, "'%.200s' is no absolute path", printable);
		goto out;
	}
	path_squeeze(path);
	if (*path == '\0') {
		selection->all = true;
		result = 0;
		goto out;
	}
	absolute = mem_printf("/%s", path);
	found = tree_lookup(r->repo, snapshot->roots, snapshot->root_count, absolute, &entry, err);
	if (found == 0)
		error_set(err, ERROR_NOT_FOUND, "snapshot '%s' has no path '%.200s'", snapshot->id,
		    printable);
	if (found != 1)
		goto out;
	selection->paths = mem_realloc(selection->paths, selection->count + 1,
	    sizeof(*selection->paths));
	selection->paths[selection->count++] = path;
	path = NULL;
	result = 0;
out:
	entry_done(&entry);
	free(absolute);
	free(path);
	return result;
}

/* Drop what lies in a path that is selected itself; sorted, it follows that path. */
static void
selection_reduce(struct selection *selection)
{
	size_t kept = 0;

	if (selection->count > 1)
		qsort(selection->paths, selection->count, sizeof(*selection->paths), path_compare);
	for (size_t i = 0; i < selection->count; i++) {
		char *path = selection->paths[i];
		size_t len = kept == 0 ? 0 : strlen(selection->paths[kept - 1]);

		if (kept > 0 && strncmp(path, selection->paths[kept - 1], len) == 0 &&
		    (path[len] == '/' || path[len] == '\0'))
			free(path);
		else
			selection->paths[kept++] = path;
	}
	selection->count = kept;
}

static int
selection_make(struct restore *r, const struct snapshot *snapshot, struct selection *selection,
    struct error *err)
{
	selection->all = r->options->path_count == 0;
	for (size_t i = 0; i < r->options->path_count; i++)
		if (selection_add(r, snapshot, r->options->paths[i], selection, err) < 0)
			return -1;
	selection_reduce(selection);
	return 0;
}

/* --- the whole ---------------------------------------------------------------------- */

static unsigned
thread_limit(const struct restore_options *options)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (options->threads > 0)
		cores = options->threads;
	else if (cores < 2)
		cores = 2;
	/* Making files waits for the file system's locks: more than a few threads gain nothing,
	 * and each keeps folders open. */
	return cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
}

static int
restore_init(struct restore *r, struct repository *repo, const struct restore_options *options,
    struct progress *progress, struct error *err)
{
	uint8_t random[8];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_sys(err, ERROR_INTERNAL, errno, "could not get random bytes");
	hex_encode(random, sizeof(random), r->tag);
	r->repo = repo;
	r->options = options;
	r->progress = progress;
	r->uid = geteuid();
	r->policy.owner = !options->no_owner && r->uid == 0;
	r->policy.numeric_owner = options->numeric_owner;
	r->policy.set_id = options->set_id;
	r->policy.names = owner_names_new();
	r->links = mem_calloc(RESTORE_LINK_BUCKETS, sizeof(*r->links));
	r->thread_limit = thread_limit(options);
	pthread_mutex_init(&r->each_lock, NULL);
	pthread_mutex_init(&r->folder_lock, NULL);
	pthread_mutex_init(&r->queue_lock, NULL);
	pthread_cond_init(&r->queue_filled, NULL);
	pthread_cond_init(&r->queue_emptied, NULL);
	return 0;
}

/* Links hold folders, which get their attributes when these are let go. */
static void
links_done(struct restore *r)
{
	struct restore_link *link, *next;

	for (size_t i = 0; i < RESTORE_LINK_BUCKETS; i++) {
		for (link = r->links[i]; link != NULL; link = next) {
			next = link->next;
			if (link->folder != NULL)
				restore_folder_unref(r, link->folder);
			free(link);
		}
		r->links[i] = NULL;
	}
}

static void
restore_done(struct restore *r)
{
	if (r->policy.names == NULL)
		return;
	for (size_t i = 0; i < r->disk_count; i++)
		close(r->disks[i].fd);
	free(r->disks);
	free(r->links);
	free(r->later);
	free(r->written);
	free(r->sides);
	owner_names_free(r->policy.names);
	pthread_mutex_destroy(&r->each_lock);
	pthread_mutex_destroy(&r->folder_lock);
	pthread_mutex_destroy(&r->queue_lock);
	pthread_cond_destroy(&r->queue_filled);
	pthread_cond_destroy(&r->queue_emptied);
}

/* One wait at the end for each file system, instead of one for each file. */
static int
sync_all(struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->disk_count; i++)
		if (syncfs(r->disks[i].fd) < 0)
			return error_sys(err, ERROR_IO, errno,
			    "could not write the restored files to disk");
	return 0;
}

static int
restore_run(struct restore *r, const struct snapshot *snapshot,
    const struct selection *selection, struct error *err)
{
	struct restore_folder *target = NULL;

	progress_phase(r->progress, "restore");
	if (selection->all) {
		atomic_store(&r->progress->files_total,
		    snapshot->files + snapshot->directories + snapshot->others);
		atomic_store(&r->progress->bytes_total, snapshot->bytes);
	}
	if (restore_target_open(r, &target, err) < 0)
		return -1;
	if (!r->options->dry_run &&
	    restore_queue_start(r, r->thread_limit, restore_item_write, err) < 0) {
		restore_folder_unref(r, target);
		return -1;
	}
	restore_walk(r, snapshot, selection, target);
	links_done(r);
	if (!atomic_load(&r->stopped) && !r->options->dry_run) {
		if ((!r->options->no_sync || r->options->verify) && sync_all(r, err) < 0)
			return -1;
		if (r->options->verify)
			restore_verify(r, snapshot, selection);
	}
	if (!atomic_load(&r->stopped))
		return 0;
	*err = r->error;
	return -1;
}

int
files_restore(struct repository *repo, const struct snapshot *snapshot,
    const struct restore_options *options, struct progress *progress,
    struct restore_result *result, struct error *err)
{
	struct restore r;
	struct selection selection = { NULL, 0, false };
	int code = -1;

	memset(&r, 0, sizeof(r));
	memset(result, 0, sizeof(*result));
	if (restore_init(&r, repo, options, progress, err) < 0)
		return -1;
	if (selection_make(&r, snapshot, &selection, err) == 0)
		code = restore_run(&r, snapshot, &selection, err);
	result->created = atomic_load(&r.actions[RESTORE_CREATE]);
	result->replaced = atomic_load(&r.actions[RESTORE_REPLACE]);
	result->skipped = atomic_load(&r.actions[RESTORE_SKIP]);
	result->same = atomic_load(&r.actions[RESTORE_SAME]);
	result->side_copies = atomic_load(&r.actions[RESTORE_SIDE_COPY]);
	result->bytes = atomic_load(&r.bytes);
	result->verified = atomic_load(&r.verified);
	selection_done(&selection);
	restore_done(&r);
	return code;
}
