/*
 * The local backend: objects are files below one folder.
 *
 * Everything goes by the folder's descriptor, so that a folder that is moved or mounted over
 * meanwhile does not split a repository in two.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/storage/local_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Deeper than any name of a repository; ends the listing of a folder that contains itself. */
#define LIST_DEPTH_MAX 16

int
local_fail(struct error *err, int sys, const struct local *local, const char *doing,
    const char *name)
{
	error_sys(err, ERROR_IO, sys, "could not %s '%s' in '%s'", doing, name, local->base.url);
	if (err->code == ERROR_PERMISSION)
		error_hint(err, "run this as the user who owns the repository's folder");
	else if (err->code == ERROR_NOT_FOUND)
		error_hint(err, STORAGE_HINT_DAMAGED);
	else if (sys == EROFS)
		error_hint(err, "mount the repository's file system for writing");
	else if (sys == EIO)
		error_hint(err, "look in the system's log for errors of the disk");
	else if (sys == EMFILE || sys == ENFILE)
		error_hint(err, "raise the limit of open files");
	return -1;
}

static void
local_close(struct storage *storage)
{
	struct local *local = (struct local *)storage;

	open_files_free(local->files);
	local_forget_folders(local);
	free(local->folders);
	pthread_mutex_destroy(&local->lock);
	if (local->fd >= 0)
		close(local->fd);
	free(local->base.url);
	free(local);
}

static int
read_exactly(const struct local *local, int fd, const char *name, uint64_t offset, void *buf,
    size_t len, struct error *err)
{
	uint8_t *p = buf;
	size_t done = 0;

	if (offset > INT64_MAX - len)
		return error_set(err, ERROR_CORRUPT, "'%s' in '%s': no file has an offset of %llu",
		    name, local->base.url, (unsigned long long)offset);
	while (done < len) {
		ssize_t n = pread(fd, p + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return local_fail(err, errno, local, "read", name);
		if (n == 0) {
			error_set(err, ERROR_CORRUPT, "'%s' in '%s' is too short: %zu bytes "
			    "wanted at %llu, %zu there", name, local->base.url, len,
			    (unsigned long long)offset, done);
			return error_hint(err, STORAGE_HINT_DAMAGED);
		}
		done += (size_t)n;
	}
	return 0;
}

static int
local_get(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
    struct error *err)
{
	struct local *local = (struct local *)storage;
	struct open_file *file;
	int fd, status;
	int sys = open_files_get(local->files, name, &file, &fd);

	if (sys != 0)
		return local_fail(err, sys, local, "read", name);
	status = read_exactly(local, fd, name, offset, buf, len, err);
	open_files_release(local->files, file);
	return status;
}

/* 1 a file, 0 none, -1 error. */
static int
look_at(struct storage *storage, const char *name, struct stat *ret, struct error *err)
{
	struct local *local = (struct local *)storage;

	if (fstatat(local->fd, name, ret, 0) == 0)
		return S_ISREG(ret->st_mode);
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	return local_fail(err, errno, local, "look at", name);
}

static int
local_size(struct storage *storage, const char *name, uint64_t *ret, struct error *err)
{
	struct stat st;
	int found = look_at(storage, name, &st, err);

	if (found == 1)
		*ret = (uint64_t)st.st_size;
	return found;
}

/* A copy may bring the time of its origin along (cp -p, rsync -t), but that of the inode's change
 * cannot be set. */
static int
local_time(struct storage *storage, const char *name, struct timespec *ret, struct error *err)
{
	struct stat st;
	int found = look_at(storage, name, &st, err);

	if (found != 1)
		return found;
	*ret = st.st_mtim.tv_sec > st.st_ctim.tv_sec || (st.st_mtim.tv_sec == st.st_ctim.tv_sec &&
	    st.st_mtim.tv_nsec > st.st_ctim.tv_nsec) ? st.st_mtim : st.st_ctim;
	return 1;
}

struct listing {
	struct local *local;
	int (*each)(void *arg, const char *name, uint64_t size, struct error *err);
	void *arg;
};

static int list_folder(const struct listing *listing, const char *folder, unsigned depth,
    struct error *err);

static int
list_name(const struct listing *listing, const char *name, unsigned depth, struct error *err)
{
	struct stat st;

	if (fstatat(listing->local->fd, name, &st, 0) != 0) {
		/* Gone since it was read: prune or another writer's tidying. */
		if (errno == ENOENT)
			return 0;
		return local_fail(err, errno, listing->local, "look at", name);
	}
	if (S_ISDIR(st.st_mode))
		return list_folder(listing, name, depth + 1, err);
	if (!S_ISREG(st.st_mode))
		return 0;
	return listing->each(listing->arg, name, (uint64_t)st.st_size, err);
}

static int
list_folder(const struct listing *listing, const char *folder, unsigned depth, struct error *err)
{
	struct local *local = listing->local;
	const char *shown = folder[0] == '\0' ? "." : folder;
	int fd = openat(local->fd, shown, LOCAL_FOLDER_FLAGS);
	int status = 0;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? 0 : local_fail(err, errno, local, "list", shown);
	if (depth > LIST_DEPTH_MAX || (dir = fdopendir(fd)) == NULL) {
		int sys = depth > LIST_DEPTH_MAX ? ELOOP : errno;

		close(fd);
		return local_fail(err, sys, local, "list", shown);
	}
	while (status == 0) {
		struct dirent *item;
		char *name;

		/* A failed readdir looks like the end, but for errno. */
		errno = 0;
		item = readdir(dir);
		if (item == NULL) {
			if (errno != 0)
				status = local_fail(err, errno, local, "list", shown);
			break;
		}
		/* What no repository can have written is not an object. */
		if (!storage_component_is_valid(item->d_name) ||
		    (folder[0] == '\0' && strcmp(item->d_name, STORAGE_TMP) == 0))
			continue;
		name = folder[0] == '\0' ? mem_strdup(item->d_name) :
		    mem_printf("%s/%s", folder, item->d_name);
		if (storage_name_is_valid(name))
			status = list_name(listing, name, depth, err);
		free(name);
	}
	closedir(dir);
	return status;
}

static int
local_list(struct storage *storage, const char *folder,
    int (*each)(void *arg, const char *name, uint64_t size, struct error *err), void *arg,
    struct error *err)
{
	struct listing listing = { (struct local *)storage, each, arg };

	return list_folder(&listing, folder, 0, err);
}

static int
local_remove(struct storage *storage, const char *name, struct error *err)
{
	struct local *local = (struct local *)storage;
	char *folder;
	int sys;

	if (unlinkat(local->fd, name, 0) != 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return local_fail(err, errno, local, "remove", name);
	}
	open_files_forget(local->files, name);
	/* If cut from power here, the object may be back; so what is removed next must wait: a
	 * snapshot must not return to packs that are gone, nor an old key to its repository. */
	folder = local_parent_of(name);
	sys = local_sync_folder(local, folder);
	free(folder);
	/* A folder that is gone was emptied for good. */
	if (sys != 0 && sys != ENOENT)
		return local_fail(err, sys, local, "sync the folder of", name);
	return 0;
}

/* Whether nobody wrote to a temporary file for so long; its writer's lock says it lives. */
static bool
is_left_behind(int fd, const struct stat *st, int64_t older_than_s)
{
	int64_t age = (int64_t)time_now().tv_sec - (int64_t)st->st_mtim.tv_sec;

	/* A time in the future comes from a clock that was set back, not from a writer. */
	if (age < 0)
		age = -age;
	return age >= older_than_s && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int
sweep_one(struct local *local, int folder_fd, const char *name, int64_t older_than_s,
    struct error *err)
{
	struct stat st;
	int status = 0;
	int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENXIO ? 0 :
		    local_fail(err, errno, local, "look at", name);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_left_behind(fd, &st, older_than_s) &&
	    unlinkat(folder_fd, name, 0) != 0 && errno != ENOENT)
		status = local_fail(err, errno, local, "remove", name);
	close(fd);
	return status;
}

static int
local_sweep(struct storage *storage, int64_t older_than_s, struct error *err)
{
	struct local *local = (struct local *)storage;
	int fd = openat(local->fd, STORAGE_TMP, LOCAL_FOLDER_FLAGS);
	int status = 0;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? 0 : local_fail(err, errno, local, "list", STORAGE_TMP);
	dir = fdopendir(fd);
	if (dir == NULL) {
		local_fail(err, errno, local, "list", STORAGE_TMP);
		close(fd);
		return -1;
	}
	while (status == 0) {
		struct dirent *item;

		errno = 0;
		item = readdir(dir);
		if (item == NULL) {
			if (errno != 0)
				status = local_fail(err, errno, local, "list", STORAGE_TMP);
			break;
		}
		if (item->d_name[0] != '.')
			status = sweep_one(local, fd, item->d_name, older_than_s, err);
	}
	closedir(dir);
	return status;
}

static int
local_space(struct storage *storage, uint64_t *ret_free, uint64_t *ret_total, struct error *err)
{
	struct local *local = (struct local *)storage;
	struct statvfs st;

	if (fstatvfs(local->fd, &st) != 0)
		return local_fail(err, errno, local, "ask for the space of", ".");
	*ret_free = (uint64_t)st.f_bavail * st.f_frsize;
	*ret_total = (uint64_t)st.f_blocks * st.f_frsize;
	return 1;
}

static const struct storage_ops local_ops = {
	.close = local_close,
	.put_begin = local_put_begin,
	.put_write = local_put_write,
	.put_commit = local_put_commit,
	.put_abort = local_put_abort,
	.get = local_get,
	.size = local_size,
	.time = local_time,
	.list = local_list,
	.remove = local_remove,
	.sweep = local_sweep,
	.space = local_space,
};

/* Sync the folder that holds path.  Returns an errno. */
static int
sync_parent(const char *path)
{
	char *parent = mem_printf("%s/..", path);
	int fd = open(parent, LOCAL_FOLDER_FLAGS);
	int sys = fd < 0 || fsync(fd) != 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	free(parent);
	return sys;
}

/* Make the folder and those above it, each synced into its parent.  Returns an errno. */
static int
make_root(const char *path)
{
	size_t len = strlen(path);
	char *parent;
	int sys;

	if (mkdir(path, 0700) == 0)
		return sync_parent(path);
	if (errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return errno;
	/* "a/b//" lies in "a". */
	while (len > 0 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	if (len == 0)
		return ENOENT;
	parent = mem_strdup(path);
	parent[len] = '\0';
	sys = make_root(parent);
	free(parent);
	/* If interrupted here, an empty folder is left; the next attempt goes on from it. */
	if (sys == 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
		sys = errno;
	return sys == 0 ? sync_parent(path) : sys;
}

int
storage_local_open(const char *path, bool create, struct storage **ret, struct error *err)
{
	int sys = create ? make_root(path) : 0;
	struct local *local;
	char *absolute;
	int fd;

	if (sys != 0)
		return error_sys(err, ERROR_IO, sys, "could not make the repository's folder '%s'",
		    path);
	fd = open(path, LOCAL_FOLDER_FLAGS);
	if (fd < 0) {
		error_sys(err, ERROR_IO, errno, "could not open the repository's folder '%s'",
		    path);
		if (err->code == ERROR_NOT_FOUND)
			error_hint(err, "make one with 'holdfastd init', or name another folder");
		else if (err->code == ERROR_PERMISSION)
			error_hint(err, "run this as the user who owns the repository's folder");
		return -1;
	}
	local = MEM_NEW(struct local);
	local->base.ops = &local_ops;
	/* As an absolute path, which means the same wherever a message is read. */
	absolute = realpath(path, NULL);
	local->base.url = absolute != NULL ? absolute : mem_strdup(path);
	local->fd = fd;
	local->files = open_files_new(fd);
	pthread_mutex_init(&local->lock, NULL);
	*ret = &local->base;
	return 0;
}
