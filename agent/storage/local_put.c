/*
 * Writing an object: under tmp/, fsync, rename, fsync of the folder; folders that had to be
 * made are synced into their parents first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/storage/local_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/*
 * So many bytes are written before the kernel is asked to start putting them on disk: the
 * disk then works while we compress, and the fsync at the end has little left to wait for.
 */
#define WRITEBACK_BYTES (8u << 20)

struct local_put {
	struct storage_put base;
	char *name;
	char *tmp_name;
	int fd;
	uint64_t written;
	uint64_t flushed; /* bytes that the kernel was told to start on */
	bool failed;
	struct error why;
};

/*
 * As local_fail, for a step of writing: a folder or file of ours that is gone is a failure of
 * the storage, not something that the caller asked for and that does not exist.
 */
static int
fail(struct error *err, int sys, const struct local *local, const char *doing, const char *name)
{
	local_fail(err, sys, local, doing, name);
	if (err->code == ERROR_NOT_FOUND) {
		err->code = ERROR_IO;
		error_hint(err, "somebody removed files or folders of the repository meanwhile; "
		    "start again");
	}
	return -1;
}

/* Returns an errno.  Never called again on a file that failed: the kernel forgets the failure. */
static int
sync_fd(int fd)
{
	return fsync(fd) == 0 ? 0 : errno;
}

int
local_sync_folder(const struct local *local, const char *folder)
{
	int fd, sys;

	if (folder[0] == '\0')
		return sync_fd(local->fd);
	fd = openat(local->fd, folder, LOCAL_FOLDER_FLAGS);
	if (fd < 0)
		return errno;
	sys = sync_fd(fd);
	close(fd);
	return sys;
}

char *
local_parent_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *parent = mem_strdup(name);

	parent[slash == NULL ? 0 : slash - name] = '\0';
	return parent;
}

static bool
folder_is_known(struct local *local, const char *folder)
{
	bool known = false;

	pthread_mutex_lock(&local->lock);
	for (size_t i = 0; i < local->folder_count && !known; i++)
		known = strcmp(local->folders[i], folder) == 0;
	pthread_mutex_unlock(&local->lock);
	return known;
}

static void
folder_add_known(struct local *local, const char *folder)
{
	if (folder_is_known(local, folder))
		return;
	pthread_mutex_lock(&local->lock);
	MEM_GROW(local->folders, local->folder_count, local->folder_cap);
	local->folders[local->folder_count++] = mem_strdup(folder);
	pthread_mutex_unlock(&local->lock);
}

void
local_forget_folders(struct local *local)
{
	pthread_mutex_lock(&local->lock);
	for (size_t i = 0; i < local->folder_count; i++)
		free(local->folders[i]);
	local->folder_count = 0;
	pthread_mutex_unlock(&local->lock);
}

/* Make a folder and those above it; durably, as what lies in it must be.  Returns an errno. */
static int
make_folder(struct local *local, const char *folder)
{
	char *parent;
	int sys;

	if (folder[0] == '\0' || folder_is_known(local, folder))
		return 0;
	parent = local_parent_of(folder);
	sys = make_folder(local, parent);
	if (sys == 0 && mkdirat(local->fd, folder, 0700) != 0 && errno != EEXIST)
		sys = errno;
	/* Also if it was there: whoever made it may have been killed before its fsync.
	 * If interrupted here, an empty folder may be left or missing: both are fine. */
	if (sys == 0 && strcmp(folder, STORAGE_TMP) != 0)
		sys = local_sync_folder(local, parent);
	if (sys == 0)
		folder_add_known(local, folder);
	free(parent);
	return sys;
}

/* "tmp/BASENAME-RANDOM"; the base name only helps whoever looks at what was left behind. */
static int
temporary_name(const char *name, char **ret, struct error *err)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash == NULL ? name : slash + 1;
	uint8_t random[8];
	char text[2 * sizeof(random) + 1];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_sys(err, ERROR_INTERNAL, errno, "could not get random bytes");
	hex_encode(random, sizeof(random), text);
	*ret = mem_printf(STORAGE_TMP "/%.64s-%s", base, text);
	return 0;
}

static void
put_free(struct local_put *put)
{
	if (put->fd >= 0)
		close(put->fd);
	free(put->name);
	free(put->tmp_name);
	free(put);
}

int
local_put_begin(struct storage *storage, const char *name, struct storage_put **ret,
    struct error *err)
{
	struct local *local = (struct local *)storage;
	struct local_put *put = MEM_NEW(struct local_put);
	int sys = 0;

	put->base.storage = storage;
	put->fd = -1;
	put->name = mem_strdup(name);
	if (temporary_name(name, &put->tmp_name, err) != 0)
		goto out;
	for (int attempt = 0; put->fd < 0 && attempt < 2; attempt++) {
		sys = make_folder(local, STORAGE_TMP);
		if (sys != 0) {
			fail(err, sys, local, "make the folder", STORAGE_TMP);
			goto out;
		}
		put->fd = openat(local->fd, put->tmp_name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		sys = errno;
		if (put->fd >= 0 || sys != ENOENT)
			break;
		/* Somebody tidied the empty folder away since we saw it. */
		local_forget_folders(local);
	}
	if (put->fd < 0) {
		fail(err, sys, local, "write", put->tmp_name);
		goto out;
	}
	/* Tells storage_sweep() that a living process works on it; where the file system
	 * cannot lock, the file's age must do. */
	(void)flock(put->fd, LOCK_EX | LOCK_NB);
	*ret = &put->base;
	return 0;
out:
	put_free(put);
	return -1;
}

/* Remove what was written at once: on a full disk the next object may need the space. */
static int
give_up(struct local_put *put, int sys, const char *doing)
{
	struct local *local = (struct local *)put->base.storage;

	put->failed = true;
	fail(&put->why, sys, local, doing, put->name);
	unlinkat(local->fd, put->tmp_name, 0);
	return -1;
}

/* Have the kernel start on what was written, but for what a next write may still change. */
static int
start_writeback(struct local_put *put)
{
	int sys;

	if (put->written - put->flushed < WRITEBACK_BYTES)
		return 0;
	if (sync_file_range(put->fd, (off_t)put->flushed, (off_t)(put->written - put->flushed),
	    SYNC_FILE_RANGE_WRITE) == 0) {
		put->flushed = put->written;
		return 0;
	}
	sys = errno;
	/* Only a hint where it is not supported; but its errors of the disk are not reported
	 * a second time by fsync. */
	put->flushed = put->written;
	return sys == EIO || sys == ENOSPC || sys == EDQUOT ? sys : 0;
}

int
local_put_write(struct storage_put *base, const void *data, size_t len, struct error *err)
{
	struct local_put *put = (struct local_put *)base;
	const uint8_t *p = data;
	int sys = 0;

	while (!put->failed && len > 0) {
		ssize_t n = write(put->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			sys = n < 0 ? errno : ENOSPC;
			break;
		}
		p += n;
		len -= (size_t)n;
		put->written += (uint64_t)n;
	}
	if (!put->failed && sys == 0)
		sys = start_writeback(put);
	if (sys != 0)
		give_up(put, sys, "write");
	if (put->failed) {
		*err = put->why;
		return -1;
	}
	return 0;
}

/*
 * Give the finished file its name, but never to two files.  Returns an errno.
 * link() does the same where rename cannot; the second name is then removed, or swept later.
 */
static int
rename_new(const struct local *local, const struct local_put *put)
{
	if (renameat2(local->fd, put->tmp_name, local->fd, put->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return errno;
	if (linkat(local->fd, put->tmp_name, local->fd, put->name, 0) != 0)
		return errno;
	unlinkat(local->fd, put->tmp_name, 0);
	return 0;
}

static int
publish(struct local *local, const struct local_put *put, const char *folder, bool replace)
{
	int sys = make_folder(local, folder);

	if (sys != 0)
		return sys;
	if (!replace)
		return rename_new(local, put);
	return renameat(local->fd, put->tmp_name, local->fd, put->name) == 0 ? 0 : errno;
}

int
local_put_commit(struct storage_put *base, bool replace, struct error *err)
{
	struct local_put *put = (struct local_put *)base;
	struct local *local = (struct local *)base->storage;
	char *folder = local_parent_of(put->name);
	int sys = 0;

	/* If interrupted here, the file stays under tmp/ until it is swept. */
	if (!put->failed && (sys = sync_fd(put->fd)) != 0)
		give_up(put, sys, "sync");
	if (!put->failed) {
		sys = publish(local, put, folder, replace);
		if (sys == ENOENT) {
			/* A folder that was there before is gone: made again, once. */
			local_forget_folders(local);
			sys = publish(local, put, folder, replace);
		}
		if (sys == EEXIST) {
			put->failed = true;
			error_set(&put->why, ERROR_EXISTS, "'%s' is in '%s' already", put->name,
			    local->base.url);
			unlinkat(local->fd, put->tmp_name, 0);
		} else if (sys != 0) {
			give_up(put, sys, "name");
		}
	}
	/* If interrupted here, the object is whole, under its name or (after a power cut)
	 * under none. */
	if (!put->failed && (sys = local_sync_folder(local, folder)) != 0) {
		give_up(put, sys, "sync the folder of");
		/* It may be gone after a power cut, so nobody may build on it. */
		if (!replace)
			unlinkat(local->fd, put->name, 0);
	}
	if (put->failed)
		*err = put->why;
	sys = put->failed ? -1 : 0;
	put_free(put);
	free(folder);
	return sys;
}

void
local_put_abort(struct storage_put *base)
{
	struct local_put *put = (struct local_put *)base;
	struct local *local = (struct local *)base->storage;

	/* If interrupted here, the file stays under tmp/ until it is swept. */
	if (!put->failed)
		unlinkat(local->fd, put->tmp_name, 0);
	put_free(put);
}
