/*
 * Folders of the target: opened or made, kept open while they are used, named, and given their
 * attributes at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/restore_internal.h"
#include "shared/mem.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static const char *
disk_name(const struct restore_folder *folder)
{
	return folder->temporary[0] != '\0' ? folder->temporary : folder->name;
}

/* --- descriptors; all under folder_lock --------------------------------------------- */

static void
idle_remove(struct restore *r, struct restore_folder *folder)
{
	if (folder->idle_prev == NULL && folder->idle_next == NULL && r->idle_first != folder)
		return;
	if (folder->idle_prev != NULL)
		folder->idle_prev->idle_next = folder->idle_next;
	else
		r->idle_first = folder->idle_next;
	if (folder->idle_next != NULL)
		folder->idle_next->idle_prev = folder->idle_prev;
	else
		r->idle_last = folder->idle_prev;
	folder->idle_next = folder->idle_prev = NULL;
	r->idle_count--;
}

/* An unpublished folder stays open: its lock says that it is no leftover. */
static void
idle_add(struct restore *r, struct restore_folder *folder)
{
	struct restore_folder *oldest;

	if (folder->pins > 0 || folder->unpublished > 0 || folder->fd < 0 || folder->parent == NULL)
		return;
	idle_remove(r, folder);
	folder->idle_prev = r->idle_last;
	if (r->idle_last != NULL)
		r->idle_last->idle_next = folder;
	else
		r->idle_first = folder;
	r->idle_last = folder;
	if (++r->idle_count <= RESTORE_IDLE_FOLDERS)
		return;
	oldest = r->idle_first;
	idle_remove(r, oldest);
	close(oldest->fd);
	oldest->fd = -1;
}

/* Open a folder in an open one, which must be the one that it was before. */
static int
reopen_in(int parent_fd, const struct restore_folder *folder, struct error *err)
{
	struct stat st;
	int fd = openat(parent_fd, disk_name(folder), FOLDER_FLAGS);

	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not open the folder again");
	if (fstat(fd, &st) < 0 || st.st_dev != folder->device || st.st_ino != folder->inode) {
		close(fd);
		return error_set(err, ERROR_CONFLICT, "the folder was replaced meanwhile");
	}
	return fd;
}

/* Down from the nearest ancestor that is open; a path of any length, one name at a time. */
static int
reopen(struct restore_folder *folder, struct error *err)
{
	struct restore_folder **chain = NULL;
	struct restore_folder *at;
	size_t count = 0, cap = 0;
	int fd, next;

	for (at = folder; at->fd < 0; at = at->parent) {
		MEM_GROW(chain, count, cap);
		chain[count++] = at;
	}
	fd = at->fd;
	while (count > 0) {
		next = reopen_in(fd, chain[--count], err);
		if (fd != at->fd)
			close(fd);
		fd = next;
		if (fd < 0)
			break;
	}
	free(chain);
	folder->fd = fd;
	return fd < 0 ? -1 : 0;
}

static int
pin_locked(struct restore *r, struct restore_folder *folder, struct error *err)
{
	if (folder->fd < 0 && reopen(folder, err) < 0)
		return -1;
	idle_remove(r, folder);
	folder->pins++;
	return 0;
}

static void
unpin_locked(struct restore *r, struct restore_folder *folder)
{
	folder->pins--;
	idle_add(r, folder);
}

int
restore_folder_pin(struct restore *r, struct restore_folder *folder, int *ret,
    struct error *err)
{
	int result;

	pthread_mutex_lock(&r->folder_lock);
	result = pin_locked(r, folder, err);
	if (result == 0)
		*ret = folder->fd;
	pthread_mutex_unlock(&r->folder_lock);
	return result;
}

void
restore_folder_unpin(struct restore *r, struct restore_folder *folder)
{
	pthread_mutex_lock(&r->folder_lock);
	unpin_locked(r, folder);
	pthread_mutex_unlock(&r->folder_lock);
}

/* --- life --------------------------------------------------------------------------- */

void
restore_folder_ref(struct restore *r, struct restore_folder *folder, bool unpublished)
{
	pthread_mutex_lock(&r->folder_lock);
	folder->references++;
	folder->unpublished += unpublished;
	pthread_mutex_unlock(&r->folder_lock);
}

static struct restore_folder *
folder_new(struct restore *r, struct restore_folder *parent, const char *name, size_t len)
{
	struct restore_folder *folder = MEM_NEW(struct restore_folder);

	memcpy(folder->name, name, len);
	folder->name_len = len;
	folder->fd = -1;
	folder->parent = parent;
	folder->references = 1;
	entry_init(&folder->entry);
	if (parent != NULL)
		restore_folder_ref(r, parent, false);
	return folder;
}

/* Keep what is needed of an entry to set attributes. */
static void
folder_take_entry(struct restore_folder *folder, const struct entry *entry)
{
	struct entry bare = *entry;

	bare.content = NULL;
	bare.content_count = 0;
	entry_done(&folder->entry);
	entry_copy(&folder->entry, &bare);
}

int
restore_folder_sample(struct restore *r, struct restore_folder *folder, int fd,
    struct attributes_present *ret, struct error *err)
{
	struct stat st;

	if (!atomic_load_explicit(&folder->sampled, memory_order_acquire)) {
		if (fstat(fd, &st) < 0)
			return error_sys(err, ERROR_IO, errno, "could not look at the new file");
		pthread_mutex_lock(&r->folder_lock);
		if (!atomic_load(&folder->sampled)) {
			folder->sample.uid = st.st_uid;
			folder->sample.gid = st.st_gid;
			folder->sample.mode = st.st_mode & 07777;
			folder->sample.inherited_acl = folder->inherits_acl;
			atomic_store_explicit(&folder->sampled, true, memory_order_release);
		}
		pthread_mutex_unlock(&r->folder_lock);
	}
	*ret = folder->sample;
	return 0;
}

/* Under folder_lock, so that whoever opens it again finds it under one name or the other. */
static int
publish_locked(struct restore *r, struct restore_folder *folder, struct error *err)
{
	struct restore_folder *parent = folder->parent;
	int result = -1;

	if (pin_locked(r, parent, err) < 0)
		return -1;
	if (folder->replaces && unlinkat(parent->fd, folder->name, 0) < 0 && errno != ENOENT) {
		error_sys(err, ERROR_IO, errno, "could not remove what is in the way");
		goto out;
	}
	/* If interrupted here, what was in the way is gone, and the next restore starts this
	 * folder anew.  A folder can only be renamed onto an empty one: nothing is lost. */
	if (renameat(parent->fd, folder->temporary, parent->fd, folder->name) < 0) {
		error_sys(err, ERROR_IO, errno, "could not give the folder its name");
		goto out;
	}
	folder->temporary[0] = '\0';
	/* If interrupted here, the folder has all its small files, but not yet its own mode and
	 * times; the next restore sees that by its mode. */
	result = 0;
out:
	unpin_locked(r, parent);
	return result;
}

void
restore_folder_settle(struct restore *r, struct restore_folder *folder)
{
	struct error err = ERROR_INIT;
	int result = 0;

	pthread_mutex_lock(&r->folder_lock);
	if (--folder->unpublished == 0) {
		if (folder->temporary[0] != '\0')
			result = publish_locked(r, folder, &err);
		idle_add(r, folder);
	}
	pthread_mutex_unlock(&r->folder_lock);
	if (result < 0)
		restore_failed(r, folder, NULL, &err);
}

/*
 * The parent's turn comes next.  From the root down it would be a long way to a deep one; from here
 * it is one step, if that leads to what was the parent before.
 */
static void
open_parent(struct restore *r, const struct restore_folder *folder)
{
	struct restore_folder *parent = folder->parent;
	struct stat st;
	int fd;

	if (parent == NULL || parent->fd >= 0 || folder->fd < 0)
		return;
	fd = openat(folder->fd, "..", FOLDER_FLAGS);
	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || st.st_dev != parent->device || st.st_ino != parent->inode) {
		close(fd);
		return;
	}
	parent->fd = fd;
	idle_add(r, parent);
}

/* The last reference is gone: nobody else knows the folder any more. */
static void
folder_finish(struct restore *r, struct restore_folder *folder)
{
	struct error err = ERROR_INIT;
	int fd;

	if (folder->apply && !folder->absent) {
		if (restore_folder_pin(r, folder, &fd, &err) < 0) {
			restore_loss(r, folder, NULL, &err);
		} else {
			if (attributes_apply(fd, &folder->entry, &r->policy,
			    folder->fresh ? &folder->present : NULL, &err) < 0)
				restore_loss(r, folder, NULL, &err);
			restore_folder_unpin(r, folder);
		}
	}
	if (folder->lent && !folder->apply && restore_folder_pin(r, folder, &fd, &err) == 0) {
		(void)fchmod(fd, folder->lent_mode);
		restore_folder_unpin(r, folder);
	}
	pthread_mutex_lock(&r->folder_lock);
	open_parent(r, folder);
	idle_remove(r, folder);
	pthread_mutex_unlock(&r->folder_lock);
	if (folder->fd >= 0)
		close(folder->fd);
	entry_done(&folder->entry);
}

void
restore_folder_unref(struct restore *r, struct restore_folder *folder)
{
	struct restore_folder *parent;
	unsigned left;

	/* A loop, as the chain of parents may be longer than the stack. */
	while (folder != NULL) {
		pthread_mutex_lock(&r->folder_lock);
		left = --folder->references;
		pthread_mutex_unlock(&r->folder_lock);
		if (left > 0)
			return;
		folder_finish(r, folder);
		parent = folder->parent;
		free(folder);
		folder = parent;
	}
}

/* --- entering ----------------------------------------------------------------------- */

static bool
has_default_acl(int fd)
{
	return fgetxattr(fd, "system.posix_acl_default", NULL, 0) >= 0;
}

/* The file systems that we write to are synced at the end.  Only the walk comes here. */
static void
disk_seen(struct restore *r, dev_t device, int fd)
{
	for (size_t i = 0; i < r->disk_count; i++)
		if (r->disks[i].device == device)
			return;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return;
	MEM_GROW(r->disks, r->disk_count, r->disk_cap);
	r->disks[r->disk_count].device = device;
	r->disks[r->disk_count++].fd = fd;
}

/* Remember which folder fd is; st is its state. */
static void
folder_opened(struct restore *r, struct restore_folder *folder, int fd, const struct stat *st)
{
	folder->fd = fd;
	folder->device = st->st_dev;
	folder->inode = st->st_ino;
	if (!r->options->dry_run)
		disk_seen(r, st->st_dev, fd);
}

/* The owner who is not root gets into his own folder, which gets its mode back at the end. */
static void
folder_lend_mode(const struct restore *r, struct restore_folder *folder, int path_fd,
    const struct stat *st)
{
	char path[64];

	if (r->uid == 0 || st->st_uid != r->uid || (st->st_mode & 0700) == 0700)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	if (chmod(path, (st->st_mode & 07777) | 0700) == 0) {
		folder->lent = true;
		folder->lent_mode = st->st_mode & 07777;
	}
}

/* Made by a restore that was killed before it could set attributes. */
static bool
is_unfinished(const struct restore *r, const struct stat *st)
{
	return (st->st_mode & 07777 & ~(mode_t)S_ISGID) == RESTORE_UNFINISHED &&
	    st->st_uid == r->uid;
}

/* A folder that is there. */
static int
folder_open_there(struct restore *r, int parent_fd, struct restore_folder *folder,
    struct error *err)
{
	struct stat st;
	int path_fd, fd;

	path_fd = openat(parent_fd, folder->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (path_fd < 0 || fstat(path_fd, &st) < 0) {
		error_sys(err, ERROR_IO, errno, "could not open the folder");
		if (path_fd >= 0)
			close(path_fd);
		return -1;
	}
	if (!r->options->dry_run)
		folder_lend_mode(r, folder, path_fd, &st);
	fd = openat(path_fd, ".", FOLDER_FLAGS);
	if (fd < 0)
		error_sys(err, ERROR_IO, errno, "could not open the folder");
	close(path_fd);
	if (fd < 0)
		return -1;
	folder_opened(r, folder, fd, &st);
	return 0;
}

static int
folder_make(struct restore *r, int parent_fd, struct restore_folder *folder,
    struct error *err)
{
	struct stat st;
	int fd;

	restore_temporary_name(r, folder->temporary);
	if (mkdirat(parent_fd, folder->temporary, RESTORE_UNFINISHED) < 0)
		return error_sys(err, ERROR_IO, errno, "could not make the folder");
	/* If interrupted here, an empty folder is left over; the lock tells leftovers apart. */
	fd = openat(parent_fd, folder->temporary, FOLDER_FLAGS);
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_sys(err, ERROR_IO, errno, "could not open the folder");
		if (fd >= 0)
			close(fd);
		(void)unlinkat(parent_fd, folder->temporary, AT_REMOVEDIR);
		return -1;
	}
	(void)flock(fd, LOCK_EX | LOCK_NB);
	folder_opened(r, folder, fd, &st);
	folder->fresh = true;
	folder->apply = true;
	folder->inherits_acl = folder->parent->inherits_acl;
	folder->present.uid = st.st_uid;
	folder->present.gid = st.st_gid;
	folder->present.mode = st.st_mode & 07777;
	folder->present.inherited_acl = folder->inherits_acl;
	return 0;
}

/* Something bears the folder's name: 1 it stays out, 0 go on, -1. */
static int
folder_meet(struct restore *r, int parent_fd, struct restore_folder *folder,
    const struct entry *entry, const struct stat *st, struct error *err)
{
	enum conflict_rule rule = r->options->conflict;
	bool newer = entry->mtime.tv_sec > st->st_mtim.tv_sec ||
	    (entry->mtime.tv_sec == st->st_mtim.tv_sec &&
	    entry->mtime.tv_nsec > st->st_mtim.tv_nsec);
	bool wins = rule == CONFLICT_OVERWRITE || (rule == CONFLICT_NEWER && newer);

	if (S_ISDIR(st->st_mode)) {
		if (folder_open_there(r, parent_fd, folder, err) < 0)
			return -1;
		wins = wins || is_unfinished(r, st);
		folder->apply = wins && !r->options->dry_run;
		folder->inherits_acl = has_default_acl(folder->fd);
		if (!r->options->dry_run)
			restore_remove_leftovers(r, folder->fd);
		wins = wins && !restore_same_attributes(r, folder->fd, entry, st);
		restore_did(r, wins ? RESTORE_REPLACE : RESTORE_SAME, folder, NULL);
		return 0;
	}
	if (rule == CONFLICT_SIDE_COPY) {
		char side[RESTORE_NAME_SIZE];

		if (restore_side_name(parent_fd, folder->name, side, err) < 0)
			return -1;
		memcpy(folder->name, side, sizeof(side));
		folder->name_len = strlen(side);
		folder->moved = true;
	} else if (!wins) {
		restore_did(r, RESTORE_SKIP, folder, NULL);
		error_set(err, ERROR_EXISTS,
		    "something that is no folder is in the way and stays by rule '%s'",
		    conflict_rule_word(rule));
		restore_loss(r, folder, NULL, err);
		return 1;
	}
	folder->replaces = wins;
	folder->absent = r->options->dry_run;
	if (!folder->absent && folder_make(r, parent_fd, folder, err) < 0)
		return -1;
	restore_did(r, wins ? RESTORE_REPLACE : RESTORE_SIDE_COPY, folder, NULL);
	return 0;
}

/* As restore_folder_enter, with the parent's descriptor. */
static int
folder_enter_in(struct restore *r, int parent_fd, struct restore_folder *folder,
    const struct entry *entry, struct error *err)
{
	struct stat st;

	/* In a folder that we made, nothing can be there. */
	if (!folder->parent->fresh) {
		if (fstatat(parent_fd, folder->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return folder_meet(r, parent_fd, folder, entry, &st, err);
		if (errno != ENOENT)
			return error_sys(err, ERROR_IO, errno, "could not look the folder up");
	}
	if (r->options->dry_run)
		folder->absent = folder->fresh = true;
	else if (folder_make(r, parent_fd, folder, err) < 0)
		return -1;
	restore_did(r, RESTORE_CREATE, folder, NULL);
	return 0;
}

int
restore_folder_enter(struct restore *r, struct restore_folder *parent,
    const struct entry *entry, struct restore_folder **ret, struct error *err)
{
	struct restore_folder *folder = NULL;
	int parent_fd = -1, result = -1;

	if (!entry_name_is_valid(entry->name, entry->name_len))
		return error_set(err, ERROR_CORRUPT, "the snapshot holds a name that is none");
	if (entry->name_len >= RESTORE_NAME_SIZE)
		return error_set(err, ERROR_UNSUPPORTED, "the name is too long for this system");
	folder = folder_new(r, parent, entry->name, entry->name_len);
	folder->unpublished = 1;
	folder_take_entry(folder, entry);
	if (parent->absent) {
		folder->absent = folder->fresh = true;
		restore_did(r, RESTORE_CREATE, folder, NULL);
		result = 0;
	} else if (restore_folder_pin(r, parent, &parent_fd, err) == 0) {
		result = folder_enter_in(r, parent_fd, folder, entry, err);
		restore_folder_unpin(r, parent);
	}
	if (result == 0) {
		*ret = folder;
	} else {
		folder->apply = false;
		restore_folder_unref(r, folder);
	}
	return result;
}

void
restore_folder_adopt(struct restore *r, struct restore_folder *target,
    const struct entry *entry)
{
	bool wins = target->made || r->options->conflict == CONFLICT_OVERWRITE;

	if (!wins || r->options->dry_run)
		return;
	/* If interrupted from here on, the next restore sees that there is more to do. */
	if (target->made)
		(void)fchmod(target->fd, RESTORE_UNFINISHED);
	folder_take_entry(target, entry);
	target->apply = true;
}

int
restore_folder_open(struct restore *r, struct restore_folder *parent, const char *name,
    size_t name_len, struct restore_folder **ret, struct error *err)
{
	struct restore_folder *folder = NULL;
	struct stat st;
	int parent_fd, fd, result = -1;

	if (restore_folder_pin(r, parent, &parent_fd, err) < 0)
		return -1;
	folder = folder_new(r, parent, name, name_len);
	folder->unpublished = 1;
	fd = openat(parent_fd, folder->name, FOLDER_FLAGS);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		folder_opened(r, folder, fd, &st);
		*ret = folder;
		result = 0;
	} else {
		error_sys(err, ERROR_IO, errno, "could not open the folder");
		if (fd >= 0)
			close(fd);
	}
	restore_folder_unpin(r, parent);
	if (result < 0)
		restore_folder_unref(r, folder);
	return result;
}

/* Make the target and what leads to it; the operator's own path may go through symlinks. */
static int
make_path(const char *path, bool *ret_made, struct error *err)
{
	char *copy = mem_strdup(path);
	int result = 0;

	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	*ret_made = false;
	for (char *p = copy + 1; result == 0; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		/* Only the operator looks into the target until he opens it to others. */
		*ret_made = mkdir(copy, was == '\0' ? 0700 : 0755) == 0;
		if (!*ret_made && errno != EEXIST && access(copy, F_OK) < 0)
			result = error_sys(err, ERROR_IO, errno,
			    "could not make the target folder");
		*p = was;
		if (was == '\0')
			break;
	}
	free(copy);
	return result;
}

int
restore_target_open(struct restore *r, struct restore_folder **ret, struct error *err)
{
	const char *path = r->options->target;
	struct restore_folder *folder = NULL;
	struct stat st;
	bool made = false;
	int fd;

	if (path == NULL || path[0] != '/')
		return error_set(err, ERROR_BAD_REQUEST, "the target must be an absolute path");
	if (!r->options->dry_run && make_path(path, &made, err) < 0)
		return -1;
	folder = folder_new(r, NULL, "", 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && r->options->dry_run) {
		folder->absent = folder->fresh = true;
		*ret = folder;
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_sys(err, errno == ENOTDIR ? ERROR_CONFLICT : ERROR_IO, errno,
		    "could not open the target folder");
		if (fd >= 0)
			close(fd);
		restore_folder_unref(r, folder);
		return -1;
	}
	folder_opened(r, folder, fd, &st);
	folder->made = made || is_unfinished(r, &st);
	folder->inherits_acl = has_default_acl(fd);
	if (!r->options->dry_run)
		restore_remove_leftovers(r, fd);
	*ret = folder;
	return 0;
}
