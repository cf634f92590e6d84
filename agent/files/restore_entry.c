/*
 * Everything that is no folder: made whole under a name that nobody looks at, then given its
 * name by the conflict rule.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/files/restore_internal.h"

/* So often a name may be taken from under us before we give up. */
#define PUBLISH_TRIES 100

/* --- making ------------------------------------------------------------------------- */

static int
make_file(struct restore *r, struct restore_item *item, int dir_fd, const char *name,
    struct error *err)
{
	struct attributes_present present;
	struct error why = ERROR_INIT;
	int fd, result;

	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not make the file");
	/* The lock tells another restore that this is no leftover. */
	if (!item->direct)
		(void)flock(fd, LOCK_EX | LOCK_NB);
	result = restore_content_write(r, &item->entry, fd, err);
	if (result == 0)
		result = restore_folder_sample(r, item->folder, fd, &present, err);
	/* What cannot be set is a loss, but the content is worth keeping. */
	if (result == 0 && attributes_apply(fd, &item->entry, &r->policy, &present, &why) < 0)
		restore_loss(r, item->folder, item->entry.name, &why);
	if (close(fd) < 0 && result == 0)
		result = error_sys(err, ERROR_IO, errno, "could not write the file");
	if (result < 0)
		(void)unlinkat(dir_fd, name, 0);
	return result;
}

static bool
is_kind(const struct stat *st, const struct entry *entry)
{
	dev_t device = makedev(entry->device_major, entry->device_minor);

	switch (entry->kind) {
	case ENTRY_FILE:
		return S_ISREG(st->st_mode);
	case ENTRY_SYMLINK:
		return S_ISLNK(st->st_mode);
	case ENTRY_FIFO:
		return S_ISFIFO(st->st_mode);
	case ENTRY_CHARACTER:
		return S_ISCHR(st->st_mode) && st->st_rdev == device;
	case ENTRY_BLOCK:
		return S_ISBLK(st->st_mode) && st->st_rdev == device;
	default:
		return false;
	}
}

/* Symlinks, fifos, devices. */
static int
make_special(struct restore *r, struct restore_item *item, int dir_fd, const char *name,
    struct error *err)
{
	const struct entry *entry = &item->entry;
	struct attributes_present present;
	struct error why = ERROR_INIT;
	mode_t kind = entry->kind == ENTRY_FIFO ? S_IFIFO
	    : entry->kind == ENTRY_BLOCK ? S_IFBLK : S_IFCHR;
	struct stat st;
	int fd, result;

	if (entry->kind == ENTRY_SYMLINK)
		result = symlinkat(entry->target, dir_fd, name);
	else
		result = mknodat(dir_fd, name, kind | 0600,
		    makedev(entry->device_major, entry->device_minor));
	if (result < 0)
		return error_sys(err, ERROR_IO, errno, "could not make the %s",
		    entry_kind_word(entry->kind));
	fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_sys(err, ERROR_IO, errno, "could not open the %s",
		    entry_kind_word(entry->kind));
		if (fd >= 0)
			close(fd);
		(void)unlinkat(dir_fd, name, 0);
		return -1;
	}
	/* Whoever may write to the folder could have put something else in its place, whose
	 * owner and mode must not be changed. */
	if (!is_kind(&st, entry) || st.st_nlink != 1 || st.st_uid != r->uid) {
		close(fd);
		return error_set(err, ERROR_CONFLICT, "somebody else replaced the %s meanwhile",
		    entry_kind_word(entry->kind));
	}
	present.uid = st.st_uid;
	present.gid = st.st_gid;
	present.mode = st.st_mode & 07777;
	present.inherited_acl = item->folder->inherits_acl;
	if (attributes_apply(fd, entry, &r->policy, &present, &why) < 0)
		restore_loss(r, item->folder, entry->name, &why);
	close(fd);
	return 0;
}

/* Make the item under this name, or nothing at all. */
static int
make_item(struct restore *r, struct restore_item *item, int dir_fd, const char *name,
    struct error *err)
{
	return item->entry.kind == ENTRY_FILE ? make_file(r, item, dir_fd, name, err)
	    : make_special(r, item, dir_fd, name, err);
}

/* --- conflict rules ----------------------------------------------------------------- */

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
same_target(int dir_fd, const char *name, const struct entry *entry)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dir_fd, name, target, sizeof(target));

	return len >= 0 && (size_t)len == entry->target_len &&
	    memcmp(target, entry->target, (size_t)len) == 0;
}

static bool
same_xattrs(int fd, const struct entry *entry)
{
	struct error err = ERROR_INIT;
	struct entry there;
	bool same;

	entry_init(&there);
	same = attributes_read_xattrs(fd, &there, &err) == 0 &&
	    there.xattr_count == entry->xattr_count;
	for (size_t i = 0; same && i < there.xattr_count; i++) {
		const struct xattr *a = &there.xattrs[i], *b = &entry->xattrs[i];

		same = strcmp(a->name, b->name) == 0 && a->len == b->len &&
		    (a->len == 0 || memcmp(a->value, b->value, a->len) == 0);
	}
	entry_done(&there);
	return same;
}

bool
restore_same_attributes(const struct restore *r, int fd, const struct entry *entry,
    const struct stat *st)
{
	bool mode = entry->kind == ENTRY_SYMLINK || (st->st_mode & 07777) == entry->mode;

	if (!mode || !same_time(&st->st_mtim, &entry->mtime))
		return false;
	if (r->policy.owner && (st->st_uid != entry->uid || st->st_gid != entry->gid))
		return false;
	return same_xattrs(fd, entry);
}

/* By size and time; under overwrite, which is asked for to mend things, by everything. */
static bool
is_same(struct restore *r, int dir_fd, const struct entry *entry, const struct stat *st)
{
	struct error err = ERROR_INIT;
	struct stat now;
	bool same;
	int fd;

	if (!is_kind(st, entry) || !same_time(&st->st_mtim, &entry->mtime))
		return false;
	if (entry->kind == ENTRY_SYMLINK && !same_target(dir_fd, entry->name, entry))
		return false;
	if (entry->kind == ENTRY_FILE && (uint64_t)st->st_size != entry->size)
		return false;
	if (r->options->conflict != CONFLICT_OVERWRITE)
		return true;
	fd = openat(dir_fd, entry->name, (entry->kind == ENTRY_FILE ? O_RDONLY : O_PATH) |
	    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	same = fstat(fd, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino &&
	    restore_same_attributes(r, fd, entry, st);
	if (same && entry->kind == ENTRY_FILE)
		same = restore_content_compare(r, entry, fd, &err) == 1;
	close(fd);
	return same;
}

int
restore_decide(struct restore *r, int dir_fd, const struct entry *entry,
    enum restore_action *ret, struct stat *ret_there, struct error *err)
{
	const struct timespec *ours = &entry->mtime, *theirs = &ret_there->st_mtim;
	bool newer;

	if (fstatat(dir_fd, entry->name, ret_there, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return error_sys(err, ERROR_IO, errno, "could not look the name up");
		*ret = RESTORE_CREATE;
		return 0;
	}
	newer = ours->tv_sec > theirs->tv_sec ||
	    (ours->tv_sec == theirs->tv_sec && ours->tv_nsec > theirs->tv_nsec);
	if (is_same(r, dir_fd, entry, ret_there))
		*ret = RESTORE_SAME;
	else if (r->options->conflict == CONFLICT_SIDE_COPY)
		*ret = RESTORE_SIDE_COPY;
	else if (r->options->conflict == CONFLICT_OVERWRITE ||
	    (r->options->conflict == CONFLICT_NEWER && newer))
		*ret = RESTORE_REPLACE;
	else
		*ret = RESTORE_SKIP;
	return 0;
}

static void
side_name(const char *name, unsigned n, char out[RESTORE_NAME_SIZE])
{
	char suffix[32];
	size_t len = strlen(name);
	size_t more = (size_t)snprintf(suffix, sizeof(suffix), ".restored-%u", n);

	if (len + more >= RESTORE_NAME_SIZE)
		len = RESTORE_NAME_SIZE - 1 - more;
	memcpy(out, name, len);
	memcpy(out + len, suffix, more + 1);
}

int
restore_side_name(int dir_fd, const char *name, char out[RESTORE_NAME_SIZE], struct error *err)
{
	struct stat st;

	for (unsigned n = 1; n <= 9999; n++) {
		side_name(name, n, out);
		if (fstatat(dir_fd, out, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0
			    : error_sys(err, ERROR_IO, errno, "could not look the name up");
	}
	return error_set(err, ERROR_EXISTS, "there are too many copies beside it already");
}

/* --- giving the name ---------------------------------------------------------------- */

/* Rename unless the new name is taken: 0, 1 taken, -1. */
static int
rename_if_free(int dir_fd, const char *from, const char *to, struct error *err)
{
	if (renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return 1;
	if (errno != EINVAL && errno != ENOSYS)
		return error_sys(err, ERROR_IO, errno, "could not give the file its name");
	/* File systems without that flag can still refuse a second link. */
	if (linkat(dir_fd, from, dir_fd, to, 0) < 0) {
		if (errno == EEXIST)
			return 1;
		return error_sys(err, ERROR_IO, errno, "could not give the file its name");
	}
	/* If interrupted here, the file has its name, and a leftover bears another one. */
	(void)unlinkat(dir_fd, from, 0);
	return 0;
}

/* Put `from` in the place of what is there. */
static int
rename_over(int dir_fd, const char *from, const char *to, const struct stat *there,
    struct error *err)
{
	if (S_ISDIR(there->st_mode) && unlinkat(dir_fd, to, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		if (errno == ENOTEMPTY || errno == EEXIST)
			return error_set(err, ERROR_EXISTS,
			    "a folder that is not empty is in the way, and is not removed");
		return error_sys(err, ERROR_IO, errno, "could not remove the folder in the way");
	}
	/* If interrupted here, an empty folder is gone; the next restore makes the file. */
	if (renameat(dir_fd, from, dir_fd, to) < 0)
		return error_sys(err, ERROR_IO, errno, "could not give the file its name");
	/* Of two names of one file, rename() leaves both. */
	(void)unlinkat(dir_fd, from, 0);
	return 0;
}

/*
 * Give what is whole under a temporary name its own, as was decided; the state is looked at
 * again for as long as others change it.
 *   action    what was decided; in the end what was done
 *   there     what was found then
 *   ret_name  the name it got
 */
static int
publish(struct restore *r, struct restore_item *item, int dir_fd, const char *temporary,
    enum restore_action *action, struct stat *there, char ret_name[RESTORE_NAME_SIZE],
    struct error *err)
{
	const struct entry *entry = &item->entry;
	unsigned side = 0;
	int taken;

	memcpy(ret_name, entry->name, entry->name_len + 1);
	for (unsigned tries = 0; tries < PUBLISH_TRIES; tries++) {
		if (tries > 0 && *action != RESTORE_SIDE_COPY &&
		    restore_decide(r, dir_fd, entry, action, there, err) < 0)
			return -1;
		switch (*action) {
		case RESTORE_CREATE:
			taken = rename_if_free(dir_fd, temporary, entry->name, err);
			break;
		case RESTORE_SIDE_COPY:
			side_name(entry->name, ++side, ret_name);
			taken = rename_if_free(dir_fd, temporary, ret_name, err);
			break;
		case RESTORE_REPLACE:
			return rename_over(dir_fd, temporary, entry->name, there, err);
		default:
			/* Somebody put it there meanwhile, and it stays. */
			(void)unlinkat(dir_fd, temporary, 0);
			return 0;
		}
		if (taken <= 0)
			return taken;
	}
	return error_set(err, ERROR_CONFLICT, "the name is taken again and again");
}

/* --- one item ----------------------------------------------------------------------- */

/* What is there under this name is the item: told, and known to its other names. */
static void
item_made(struct restore *r, struct restore_item *item, enum restore_action action,
    const char *name)
{
	bool written = action != RESTORE_SKIP && action != RESTORE_SAME;

	restore_did(r, action, item->folder, name);
	if (written && item->entry.kind == ENTRY_FILE)
		restore_written(r, item->ordinal, action == RESTORE_SIDE_COPY ? name : NULL);
	/* One that is there already, perhaps from a restore that was stopped, has the others
	 * linked to it as well; but never something else that only stays. */
	if (item->link == NULL || action == RESTORE_SKIP)
		return;
	restore_folder_ref(r, item->folder, false);
	item->link->folder = item->folder;
	memcpy(item->link->name, name, strlen(name) + 1);
	item->link->state = LINK_WRITTEN;
}

static int
item_write_in(struct restore *r, struct restore_item *item, int dir_fd, struct error *err)
{
	struct entry *entry = &item->entry;
	enum restore_action action = RESTORE_CREATE;
	char temporary[64], name[RESTORE_NAME_SIZE];
	struct stat there;

	if (item->direct) {
		if (make_item(r, item, dir_fd, entry->name, err) < 0)
			return -1;
		item_made(r, item, RESTORE_CREATE, entry->name);
		return 0;
	}
	if (!item->folder->fresh) {
		if (restore_decide(r, dir_fd, entry, &action, &there, err) < 0)
			return -1;
		if (action == RESTORE_SKIP || action == RESTORE_SAME) {
			item_made(r, item, action, entry->name);
			return 0;
		}
	}
	restore_temporary_name(r, temporary);
	if (make_item(r, item, dir_fd, temporary, err) < 0)
		return -1;
	/* If interrupted here, a leftover remains under its temporary name. */
	if (publish(r, item, dir_fd, temporary, &action, &there, name, err) < 0) {
		(void)unlinkat(dir_fd, temporary, 0);
		return -1;
	}
	item_made(r, item, action, name);
	return 0;
}

static bool
item_is_writable(struct restore *r, struct restore_item *item)
{
	struct error err = ERROR_INIT;

	if (!entry_name_is_valid(item->entry.name, item->entry.name_len)) {
		error_set(&err, ERROR_CORRUPT, "the snapshot holds a name that is none");
		restore_loss(r, item->folder, NULL, &err);
		return false;
	}
	if (item->entry.name_len >= RESTORE_NAME_SIZE) {
		error_set(&err, ERROR_UNSUPPORTED, "the name is too long for this system");
		restore_loss(r, item->folder, item->entry.name, &err);
		return false;
	}
	if (item->entry.kind == ENTRY_SOCKET) {
		restore_note(r, item->folder, item->entry.name,
		    "a socket is not restored: its program makes it anew");
		return false;
	}
	return true;
}

void
restore_item_write(struct restore *r, struct restore_item *item, int dir_fd)
{
	struct error err = ERROR_INIT;

	if (progress_check(r->progress, &err) < 0) {
		restore_stop(r, &err);
		return;
	}
	if (item_is_writable(r, item) && item_write_in(r, item, dir_fd, &err) < 0)
		restore_failed(r, item->folder, item->entry.name, &err);
}

void
restore_item_dry(struct restore *r, struct restore_item *item)
{
	enum restore_action action = RESTORE_CREATE;
	struct error err = ERROR_INIT;
	char name[RESTORE_NAME_SIZE];
	struct stat there;
	int dir_fd, result;

	if (progress_check(r->progress, &err) < 0) {
		restore_stop(r, &err);
		return;
	}
	if (!item_is_writable(r, item))
		return;
	memcpy(name, item->entry.name, item->entry.name_len + 1);
	if (item->folder->absent) {
		restore_did(r, action, item->folder, name);
		return;
	}
	result = restore_folder_pin(r, item->folder, &dir_fd, &err);
	if (result == 0) {
		result = restore_decide(r, dir_fd, &item->entry, &action, &there, &err);
		if (result == 0 && action == RESTORE_SIDE_COPY)
			result = restore_side_name(dir_fd, item->entry.name, name, &err);
		restore_folder_unpin(r, item->folder);
	}
	if (result < 0)
		restore_failed(r, item->folder, item->entry.name, &err);
	else
		restore_did(r, action, item->folder, name);
}

/* --- further names of a file -------------------------------------------------------- */

/* 0 linked, 1 not possible (write it by itself), -1. */
static int
item_link_in(struct restore *r, struct restore_item *item, int from_fd, int dir_fd,
    struct error *err)
{
	enum restore_action action = RESTORE_CREATE;
	char temporary[64], name[RESTORE_NAME_SIZE];
	struct stat first, there;

	if (!item->folder->fresh) {
		if (restore_decide(r, dir_fd, &item->entry, &action, &there, err) < 0)
			return -1;
		/* Under overwrite equal content is not enough: it is to be the same file. */
		if (action != RESTORE_CREATE &&
		    fstatat(from_fd, item->link->name, &first, AT_SYMLINK_NOFOLLOW) == 0 &&
		    first.st_dev == there.st_dev && first.st_ino == there.st_ino)
			action = RESTORE_SAME;
		else if (action == RESTORE_SAME && r->options->conflict == CONFLICT_OVERWRITE)
			action = RESTORE_REPLACE;
		if (action == RESTORE_SKIP || action == RESTORE_SAME) {
			restore_did(r, action, item->folder, item->entry.name);
			return 0;
		}
	}
	restore_temporary_name(r, temporary);
	if (linkat(from_fd, item->link->name, dir_fd, temporary, 0) < 0)
		return 1;
	if (publish(r, item, dir_fd, temporary, &action, &there, name, err) < 0) {
		(void)unlinkat(dir_fd, temporary, 0);
		return -1;
	}
	restore_did(r, action, item->folder, name);
	return 0;
}

/* One that could not be linked is written by itself, and is the first of those that follow. */
static void
item_link_failed(struct restore *r, struct restore_item *item, int dir_fd)
{
	restore_note(r, item->folder, item->entry.name,
	    "could not be linked to its other names and was written by itself");
	restore_folder_unref(r, item->link->folder);
	item->link->state = LINK_PENDING;
	item->link->folder = NULL;
	restore_item_write(r, item, dir_fd);
}

void
restore_item_link(struct restore *r, struct restore_item *item)
{
	struct error err = ERROR_INIT;
	int from_fd, dir_fd, result = -1;

	if (progress_check(r->progress, &err) < 0) {
		restore_stop(r, &err);
		return;
	}
	if (restore_folder_pin(r, item->folder, &dir_fd, &err) < 0) {
		restore_failed(r, item->folder, item->entry.name, &err);
		return;
	}
	if (item->link->state != LINK_WRITTEN) {
		/* The first name was skipped or failed: this one becomes the first. */
		restore_item_write(r, item, dir_fd);
	} else if (item_is_writable(r, item)) {
		if (restore_folder_pin(r, item->link->folder, &from_fd, &err) == 0) {
			result = item_link_in(r, item, from_fd, dir_fd, &err);
			restore_folder_unpin(r, item->link->folder);
		}
		if (result < 0)
			restore_failed(r, item->folder, item->entry.name, &err);
		else if (result > 0)
			item_link_failed(r, item, dir_fd);
	}
	restore_folder_unpin(r, item->folder);
}
