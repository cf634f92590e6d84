#include "agent/files/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "shared/mem.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define CAPABILITY  "security.capability"

/* The kernel's own limits for one value and for all names of one file. */
#define XATTR_VALUE_MAX 65536u
#define XATTR_NAMES_MAX 65536u
#define XATTR_STACK     1024u

/* A group of a thousand members needs some 30 KiB; more than this is no group but a fault. */
#define OWNER_BUFFER_MAX (16u << 20)

#define OWNER_BUCKETS 256u

/* --- owner names -------------------------------------------------------------------- */

enum owner_map { USER_BY_ID, GROUP_BY_ID, USER_BY_NAME, GROUP_BY_NAME, OWNER_MAPS };

struct owner {
	struct owner *next;
	uint32_t id;
	char *name;
	bool known; /* the system has it */
};

struct owner_names {
	pthread_rwlock_t lock;
	struct owner *maps[OWNER_MAPS][OWNER_BUCKETS];
};

struct owner_names *
owner_names_new(void)
{
	struct owner_names *names = MEM_NEW(struct owner_names);

	pthread_rwlock_init(&names->lock, NULL);
	return names;
}

void
owner_names_free(struct owner_names *names)
{
	struct owner *owner, *next;

	if (names == NULL)
		return;
	for (size_t map = 0; map < OWNER_MAPS; map++) {
		for (size_t i = 0; i < OWNER_BUCKETS; i++) {
			for (owner = names->maps[map][i]; owner != NULL; owner = next) {
				next = owner->next;
				free(owner->name);
				free(owner);
			}
		}
	}
	pthread_rwlock_destroy(&names->lock);
	free(names);
}

static bool
by_name(enum owner_map map)
{
	return map == USER_BY_NAME || map == GROUP_BY_NAME;
}

static size_t
owner_bucket(enum owner_map map, uint32_t id, const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a: short keys, no attacker to fear */

	if (!by_name(map))
		return id % OWNER_BUCKETS;
	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash % OWNER_BUCKETS;
}

static struct owner *
owner_find(const struct owner_names *names, enum owner_map map, uint32_t id, const char *name)
{
	struct owner *owner = names->maps[map][owner_bucket(map, id, name)];

	while (owner != NULL && (by_name(map) ? strcmp(owner->name, name) != 0 : owner->id != id))
		owner = owner->next;
	return owner;
}

/* Ask the system once with a buffer of this size; an errno. */
static int
owner_ask_with(struct owner *owner, enum owner_map map, char *buf, size_t size)
{
	struct passwd user, *user_found = NULL;
	struct group group, *group_found = NULL;
	int code;

	if (map == USER_BY_ID)
		code = getpwuid_r(owner->id, &user, buf, size, &user_found);
	else if (map == GROUP_BY_ID)
		code = getgrgid_r(owner->id, &group, buf, size, &group_found);
	else if (map == USER_BY_NAME)
		code = getpwnam_r(owner->name, &user, buf, size, &user_found);
	else
		code = getgrnam_r(owner->name, &group, buf, size, &group_found);
	if (code != 0)
		return code;
	owner->known = user_found != NULL || group_found != NULL;
	if (!owner->known)
		return 0;
	if (by_name(map))
		owner->id = user_found != NULL ? (uint32_t)user.pw_uid : (uint32_t)group.gr_gid;
	else
		owner->name = mem_strdup(user_found != NULL ? user.pw_name : group.gr_name);
	return 0;
}

/* An answer that fails counts as "no name": the number is kept in any case. */
static struct owner *
owner_ask(enum owner_map map, uint32_t id, const char *name)
{
	struct owner *owner = MEM_NEW(struct owner);
	size_t size = 1024;
	char *buf = NULL;
	int code;

	owner->id = id;
	if (by_name(map))
		owner->name = mem_strdup(name);
	do {
		size *= 2;
		buf = mem_realloc(buf, size, 1);
		code = owner_ask_with(owner, map, buf, size);
	} while (code == EINTR || (code == ERANGE && size < OWNER_BUFFER_MAX));
	free(buf);
	return owner;
}

static const struct owner *
owner_get(struct owner_names *names, enum owner_map map, uint32_t id, const char *name)
{
	struct owner *owner, *asked;
	size_t bucket;

	pthread_rwlock_rdlock(&names->lock);
	owner = owner_find(names, map, id, name);
	pthread_rwlock_unlock(&names->lock);
	if (owner != NULL)
		return owner;
	/* Asked outside the lock: one slow answer must not stop the other threads. */
	asked = owner_ask(map, id, name);
	pthread_rwlock_wrlock(&names->lock);
	owner = owner_find(names, map, id, name);
	if (owner == NULL) {
		bucket = owner_bucket(map, id, name);
		asked->next = names->maps[map][bucket];
		names->maps[map][bucket] = asked;
		owner = asked;
		asked = NULL;
	}
	pthread_rwlock_unlock(&names->lock);
	if (asked != NULL) {
		free(asked->name);
		free(asked);
	}
	return owner;
}

const char *
owner_names_user(struct owner_names *names, uint32_t uid)
{
	return owner_get(names, USER_BY_ID, uid, NULL)->name;
}

const char *
owner_names_group(struct owner_names *names, uint32_t gid)
{
	return owner_get(names, GROUP_BY_ID, gid, NULL)->name;
}

bool
owner_names_uid(struct owner_names *names, const char *user, uint32_t *ret)
{
	const struct owner *owner = owner_get(names, USER_BY_NAME, 0, user);

	if (owner->known)
		*ret = owner->id;
	return owner->known;
}

bool
owner_names_gid(struct owner_names *names, const char *group, uint32_t *ret)
{
	const struct owner *owner = owner_get(names, GROUP_BY_NAME, 0, group);

	if (owner->known)
		*ret = owner->id;
	return owner->known;
}

/* --- reading ------------------------------------------------------------------------ */

static enum entry_kind
kind_from_mode(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return ENTRY_DIRECTORY;
	case S_IFLNK:
		return ENTRY_SYMLINK;
	case S_IFIFO:
		return ENTRY_FIFO;
	case S_IFCHR:
		return ENTRY_CHARACTER;
	case S_IFBLK:
		return ENTRY_BLOCK;
	case S_IFSOCK:
		return ENTRY_SOCKET;
	default:
		return ENTRY_FILE;
	}
}

static char *
dup_or_null(const char *text)
{
	return text == NULL ? NULL : mem_strdup(text);
}

void
attributes_from_stat(struct entry *entry, const struct stat *st, struct owner_names *names)
{
	bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
	bool linked = st->st_nlink > 1 && !S_ISDIR(st->st_mode);

	entry->kind = kind_from_mode(st->st_mode);
	entry->mode = st->st_mode & 07777;
	entry->uid = st->st_uid;
	entry->gid = st->st_gid;
	free(entry->user);
	free(entry->group);
	entry->user = names == NULL ? NULL : dup_or_null(owner_names_user(names, st->st_uid));
	entry->group = names == NULL ? NULL : dup_or_null(owner_names_group(names, st->st_gid));
	entry->mtime = st->st_mtim;
	entry->ctime = st->st_ctim;
	entry->inode = st->st_ino;
	entry->link_device = linked ? st->st_dev : 0;
	entry->nlink = (uint32_t)st->st_nlink;
	entry->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	entry->device_major = device ? major(st->st_rdev) : 0;
	entry->device_minor = device ? minor(st->st_rdev) : 0;
}

#define PROC_PATH_SIZE 32

/* An O_PATH descriptor takes no f-calls; its entry under /proc leads to the very same object. */
static const char *
proc_path(int fd, char out[PROC_PATH_SIZE])
{
	snprintf(out, PROC_PATH_SIZE, "/proc/self/fd/%d", fd);
	return out;
}

static ssize_t
xattr_list(int fd, char *buf, size_t size)
{
	char path[PROC_PATH_SIZE];
	ssize_t len = flistxattr(fd, buf, size);

	return len < 0 && errno == EBADF ? listxattr(proc_path(fd, path), buf, size) : len;
}

static ssize_t
xattr_get(int fd, const char *name, void *buf, size_t size)
{
	char path[PROC_PATH_SIZE];
	ssize_t len = fgetxattr(fd, name, buf, size);

	return len < 0 && errno == EBADF ? getxattr(proc_path(fd, path), name, buf, size) : len;
}

bool
attributes_is_stored(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
	    strncmp(name, "security.", 9) == 0 || strcmp(name, ACL_ACCESS) == 0 ||
	    strcmp(name, ACL_DEFAULT) == 0;
}

static int
xattr_compare(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

static void
xattrs_clear(struct entry *entry)
{
	for (size_t i = 0; i < entry->xattr_count; i++) {
		free(entry->xattrs[i].name);
		free(entry->xattrs[i].value);
	}
	free(entry->xattrs);
	entry->xattrs = NULL;
	entry->xattr_count = 0;
}

/* Read one value and add it; one that is gone by now is left out. */
static int
xattr_read(int fd, const char *name, struct entry *entry, struct error *err)
{
	uint8_t small[XATTR_STACK];
	uint8_t *value = small;
	ssize_t len = xattr_get(fd, name, small, sizeof(small));

	if (len < 0 && errno == ERANGE) {
		value = mem_calloc(XATTR_VALUE_MAX, 1);
		len = xattr_get(fd, name, value, XATTR_VALUE_MAX);
	}
	if (len < 0) {
		int sys = errno;

		if (value != small)
			free(value);
		if (sys == ENODATA)
			return 0;
		return error_sys(err, ERROR_IO, sys, "could not read attribute '%s'", name);
	}
	entry->xattrs = mem_realloc(entry->xattrs, entry->xattr_count + 1, sizeof(struct xattr));
	entry->xattrs[entry->xattr_count].name = mem_strdup(name);
	entry->xattrs[entry->xattr_count].value = len == 0 ? NULL : mem_dup(value, (size_t)len);
	entry->xattrs[entry->xattr_count++].len = (size_t)len;
	if (value != small)
		free(value);
	return 0;
}

int
attributes_read_xattrs(int fd, struct entry *entry, struct error *err)
{
	char small[XATTR_STACK];
	char *names = small;
	ssize_t len = xattr_list(fd, small, sizeof(small));
	int result = -1;

	xattrs_clear(entry);
	if (len < 0 && errno == ERANGE) {
		names = mem_calloc(XATTR_NAMES_MAX, 1);
		len = xattr_list(fd, names, XATTR_NAMES_MAX);
	}
	if (len < 0 && errno != ENOTSUP && errno != ENOSYS) {
		error_sys(err, ERROR_IO, errno, "could not list the attributes");
		goto out;
	}
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		if (attributes_is_stored(names + at) && xattr_read(fd, names + at, entry, err) < 0)
			goto out;
	if (entry->xattr_count > 1)
		qsort(entry->xattrs, entry->xattr_count, sizeof(struct xattr), xattr_compare);
	result = 0;
out:
	if (result < 0)
		xattrs_clear(entry);
	if (names != small)
		free(names);
	return result;
}

/* --- writing ------------------------------------------------------------------------ */

/* One attributes_apply: collects what failed and goes on. */
struct apply {
	int fd;
	bool by_path; /* fd is O_PATH */
	char path[PROC_PATH_SIZE];
	const struct entry *entry;
	const struct attributes_policy *policy;
	struct error first;
	unsigned failures;
};

/* Called with errno still set; only the first failure is told in full. */
static void apply_failed(struct apply *apply, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
apply_failed(struct apply *apply, const char *fmt, ...)
{
	int sys = errno;
	char what[320];
	va_list ap;

	if (apply->failures++ > 0)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	error_sys(&apply->first, ERROR_IO, sys, "could not set %s", what);
}

static void
apply_owner(struct apply *apply, const struct attributes_present *present)
{
	const struct entry *entry = apply->entry;
	const struct attributes_policy *policy = apply->policy;
	uint32_t uid = entry->uid, gid = entry->gid;

	if (!policy->owner)
		return;
	if (!policy->numeric_owner && policy->names != NULL) {
		if (entry->user != NULL)
			owner_names_uid(policy->names, entry->user, &uid);
		if (entry->group != NULL)
			owner_names_gid(policy->names, entry->group, &gid);
	}
	if (present != NULL && present->uid == uid && present->gid == gid)
		return;
	if (fchownat(apply->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		apply_failed(apply, "owner %u and group %u", uid, gid);
}

static int
xattr_set(const struct apply *apply, const struct xattr *xattr)
{
	const void *value = xattr->value == NULL ? "" : (const void *)xattr->value;

	return apply->by_path ? setxattr(apply->path, xattr->name, value, xattr->len, 0)
	    : fsetxattr(apply->fd, xattr->name, value, xattr->len, 0);
}

static void
apply_xattrs(struct apply *apply, bool capability)
{
	for (size_t i = 0; i < apply->entry->xattr_count; i++) {
		const struct xattr *xattr = &apply->entry->xattrs[i];

		/* A name that was never ours to store is not ours to set. */
		if (!attributes_is_stored(xattr->name))
			continue;
		if ((strcmp(xattr->name, CAPABILITY) == 0) != capability)
			continue;
		if (xattr_set(apply, xattr) < 0)
			apply_failed(apply, "attribute '%s'", xattr->name);
	}
}

/* Remove an attribute that the entry does not have. */
static void
apply_removal(struct apply *apply, const char *name)
{
	int result;

	for (size_t i = 0; i < apply->entry->xattr_count; i++)
		if (strcmp(apply->entry->xattrs[i].name, name) == 0)
			return;
	result = apply->by_path ? removexattr(apply->path, name) : fremovexattr(apply->fd, name);
	if (result < 0 && errno != ENODATA && errno != ENOTSUP)
		apply_failed(apply, "no attribute '%s'", name);
}

static void
apply_mode(struct apply *apply, const struct attributes_present *present)
{
	const struct entry *entry = apply->entry;
	mode_t mode = entry->mode & 07777;
	int result;

	if (entry->kind == ENTRY_SYMLINK)
		return;
	/* On a folder set-group-ID only passes the group on; it lends nobody any right. */
	if (!apply->policy->set_id)
		mode &= ~(mode_t)(S_ISUID | (entry->kind == ENTRY_DIRECTORY ? 0 : S_ISGID));
	if (present != NULL && present->mode == mode && entry->xattr_count == 0)
		return;
	result = apply->by_path ? chmod(apply->path, mode) : fchmod(apply->fd, mode);
	if (result < 0)
		apply_failed(apply, "mode %04o", (unsigned)mode);
}

/*
 * The order matters: a new owner clears set-id bits and capabilities, so it comes first; an ACL
 * brings its own mode bits, so the mode follows it, and it may take the right to write
 * attributes, so it comes after them; times last, though ctime is the system's.
 */
int
attributes_apply(int fd, const struct entry *entry, const struct attributes_policy *policy,
    const struct attributes_present *present, struct error *err)
{
	struct apply apply = { .fd = fd, .entry = entry, .policy = policy, .first = ERROR_INIT };
	struct timespec times[2] = { { 0, UTIME_OMIT }, entry->mtime };
	struct attributes_present chowned;

	apply.by_path = entry->kind != ENTRY_FILE && entry->kind != ENTRY_DIRECTORY;
	if (apply.by_path)
		proc_path(fd, apply.path);
	apply_owner(&apply, present);
	if (present != NULL && entry->kind != ENTRY_SYMLINK && (present->mode & 06000) != 0) {
		/* The owner's change may have cleared them. */
		chowned = *present;
		chowned.mode = UINT32_MAX;
		present = &chowned;
	}
	apply_xattrs(&apply, false);
	if (entry->kind != ENTRY_SYMLINK && (present == NULL || present->inherited_acl)) {
		apply_removal(&apply, ACL_ACCESS);
		if (entry->kind == ENTRY_DIRECTORY)
			apply_removal(&apply, ACL_DEFAULT);
	}
	apply_mode(&apply, present);
	if (policy->set_id)
		apply_xattrs(&apply, true);
	if ((apply.by_path ? utimensat(AT_FDCWD, apply.path, times, 0) : futimens(fd, times)) < 0)
		apply_failed(&apply, "times");
	if (apply.failures == 0)
		return 0;
	if (apply.failures > 1) {
		size_t len = strlen(apply.first.message);

		snprintf(apply.first.message + len, sizeof(apply.first.message) - len,
		    " (and %u more)", apply.failures - 1);
	}
	*err = apply.first;
	return -1;
}
