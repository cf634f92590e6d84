/*
 * What libarchive tells of a member, as an entry of a tree: the way back of archive_entry.c.
 */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/files/archive_in_internal.h"
#include "agent/files/archive_internal.h"
#include "shared/mem.h"

#define XATTR_NAME_MAX 255
#define NOBODY 65534u

static int
entry_kind(mode_t type, enum entry_kind *ret)
{
	switch (type) {
	case AE_IFREG:
		*ret = ENTRY_FILE;
		return 0;
	case AE_IFDIR:
		*ret = ENTRY_DIRECTORY;
		return 0;
	case AE_IFLNK:
		*ret = ENTRY_SYMLINK;
		return 0;
	case AE_IFIFO:
		*ret = ENTRY_FIFO;
		return 0;
	case AE_IFCHR:
		*ret = ENTRY_CHARACTER;
		return 0;
	case AE_IFBLK:
		*ret = ENTRY_BLOCK;
		return 0;
	default:
		return -1;
	}
}

static uint32_t
owner_number(struct import *import, const char *path, la_int64_t number)
{
	if (number >= 0 && number < UINT32_MAX)
		return (uint32_t)number;
	import_note(import, path, "its owner or group is no possible number; stored as 65534");
	return NOBODY;
}

static char *
owner_name(const char *name)
{
	return name == NULL || name[0] == '\0' ? NULL : mem_strdup(name);
}

/*
 * "-1.5" is a second and a half before 1970, for tar.  libarchive gives its parts as -1 s and
 * 500000000 ns; a timespec counts the nanoseconds onwards.
 */
static struct timespec
time_of(time_t seconds, long nanoseconds)
{
	struct timespec time = { seconds, nanoseconds };

	if (nanoseconds < 0 || nanoseconds > 999999999)
		time.tv_nsec = 0;
	else if (seconds < 0 && nanoseconds > 0 && seconds > INT64_MIN)
		time = (struct timespec){ seconds - 1, 1000000000 - nanoseconds };
	return time;
}

/* The attributes of one member while they are gathered. */
struct gathered {
	struct import *import;
	const char *path;
	struct entry *entry;
	size_t cap, total; /* total: bytes of names and values */
};

static void
add_xattr(struct gathered *gathered, const char *name, const void *value, size_t len)
{
	struct entry *entry = gathered->entry;
	size_t name_len = strlen(name);
	struct xattr *xattr;
	char why[XATTR_NAME_MAX + 80];

	if (name_len == 0 || name_len > XATTR_NAME_MAX ||
	    len > TREE_XATTRS_MAX - gathered->total ||
	    name_len > TREE_XATTRS_MAX - gathered->total - len) {
		snprintf(why, sizeof(why), "its attribute '%.*s' is too large", XATTR_NAME_MAX,
		    name);
		import_loss(gathered->import, gathered->path, why);
		return;
	}
	gathered->total += name_len + len;
	MEM_GROW(entry->xattrs, entry->xattr_count, gathered->cap);
	xattr = &entry->xattrs[entry->xattr_count++];
	xattr->name = mem_strdup(name);
	xattr->value = len == 0 ? NULL : mem_dup(value, len);
	xattr->len = len;
}

static void
add_xattrs(struct gathered *gathered, struct archive_entry *from)
{
	const char *name;
	const void *value;
	size_t len;

	archive_entry_xattr_reset(from);
	while (archive_entry_xattr_next(from, &name, &value, &len) == ARCHIVE_OK) {
		char what[XATTR_NAME_MAX + 80];

		if (name == NULL)
			continue;
		if (attributes_is_stored(name)) {
			add_xattr(gathered, name, value, len);
			continue;
		}
		snprintf(what, sizeof(what), "its attribute '%.*s' is of a kind that is not stored",
		    XATTR_NAME_MAX, name);
		import_note(gathered->import, gathered->path, what);
	}
}

static int
compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

/* In order of their names; archives of libarchive hold each twice, in two encodings. */
static void
sort_xattrs(struct entry *entry)
{
	size_t kept = 0;

	if (entry->xattr_count < 2)
		return;
	qsort(entry->xattrs, entry->xattr_count, sizeof(*entry->xattrs), compare_xattrs);
	for (size_t i = 0; i < entry->xattr_count; i++) {
		if (kept > 0 && compare_xattrs(&entry->xattrs[kept - 1], &entry->xattrs[i]) == 0) {
			free(entry->xattrs[i].name);
			free(entry->xattrs[i].value);
		} else {
			entry->xattrs[kept++] = entry->xattrs[i];
		}
	}
	entry->xattr_count = kept;
}

/* 1 more, 0 the end, -1 an entry that is not understood. */
static int
next_acl_entry(struct import *import, struct archive_entry *from, int type,
    struct archive_item_acl *ret, struct error *err)
{
	const char *name;
	int got_type, permissions, tag, id, rc;

	rc = archive_entry_acl_next(from, type, &got_type, &permissions, &tag, &id, &name);
	if (rc == ARCHIVE_EOF)
		return 0;
	*ret = (struct archive_item_acl){ .tag = tag, .permissions = (unsigned)permissions,
		.id = UINT32_MAX };
	if (rc != ARCHIVE_OK || (permissions & ~7) != 0)
		return error_set(err, ERROR_BAD_REQUEST, "its ACL is not understood");
	if (tag != ARCHIVE_ENTRY_ACL_USER && tag != ARCHIVE_ENTRY_ACL_GROUP)
		return 1;
	ret->id = (uint32_t)id;
	/* GNU tar writes names alone; they are those of this machine, then. */
	if (id >= 0)
		return 1;
	if (name != NULL && name[0] != '\0' && (tag == ARCHIVE_ENTRY_ACL_USER
	    ? owner_names_uid(import->names, name, &ret->id)
	    : owner_names_gid(import->names, name, &ret->id)))
		return 1;
	return error_set(err, ERROR_BAD_REQUEST, "its ACL names '%.100s', whom this machine does "
	    "not know", name == NULL ? "" : name);
}

/* One of the two ACLs, as the kernel's bytes among the attributes. */
static void
add_acl(struct gathered *gathered, struct archive_entry *from, int type)
{
	struct entry *entry = gathered->entry;
	bool access = type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
	struct archive_item_acl *lines = NULL, line;
	struct buffer bytes = BUFFER_INIT;
	struct error why = ERROR_INIT;
	size_t count = 0, cap = 0;
	int more;

	/* An access ACL without more than the mode has is none. */
	if (archive_entry_acl_reset(from, type) == 0)
		return;
	while ((more = next_acl_entry(gathered->import, from, type, &line, &why)) == 1) {
		MEM_GROW(lines, count, cap);
		lines[count++] = line;
		/* libarchive puts the group's own rights into the mode, the kernel the mask. */
		if (access && line.tag == ARCHIVE_ENTRY_ACL_MASK)
			entry->mode = (entry->mode & ~070u) | line.permissions << 3;
	}
	if (more == 0 && archive_item_encode_acl(lines, count, &bytes, &why) == 0)
		add_xattr(gathered, access ? "system.posix_acl_access"
		    : "system.posix_acl_default", bytes.data, bytes.len);
	else
		import_loss(gathered->import, gathered->path, why.message);
	buffer_done(&bytes);
	free(lines);
}

static int
add_target(struct archive_entry *from, struct entry *entry, struct error *err)
{
	const char *target = archive_entry_symlink(from);
	size_t len = target == NULL ? 0 : strlen(target);

	if (len == 0 || len > TREE_TARGET_MAX)
		return error_set(err, ERROR_BAD_REQUEST, "a symlink to %s", len == 0 ? "nowhere"
		    : "a name that is too long");
	entry->target = mem_strdup(target);
	entry->target_len = len;
	return 0;
}

int
import_entry(struct import *import, struct archive_entry *from, const char *path,
    struct entry *ret, struct error *err)
{
	struct gathered gathered = { .import = import, .path = path, .entry = ret };

	entry_init(ret);
	if (entry_kind(archive_entry_filetype(from), &ret->kind) != 0)
		return error_set(err, ERROR_BAD_REQUEST, "of a kind that is not known");
	if (ret->kind == ENTRY_SYMLINK && add_target(from, ret, err) != 0)
		return -1;
	ret->mode = archive_entry_perm(from) & 07777;
	ret->nlink = 1;
	ret->uid = owner_number(import, path, archive_entry_uid(from));
	ret->gid = owner_number(import, path, archive_entry_gid(from));
	ret->user = owner_name(archive_entry_uname(from));
	ret->group = owner_name(archive_entry_gname(from));
	ret->mtime = time_of(archive_entry_mtime(from), archive_entry_mtime_nsec(from));
	ret->ctime = !archive_entry_ctime_is_set(from) ? ret->mtime :
	    time_of(archive_entry_ctime(from), archive_entry_ctime_nsec(from));
	if (ret->kind == ENTRY_CHARACTER || ret->kind == ENTRY_BLOCK) {
		ret->device_major = (uint32_t)archive_entry_rdevmajor(from);
		ret->device_minor = (uint32_t)archive_entry_rdevminor(from);
	}
	if (ret->kind == ENTRY_FILE && archive_entry_size(from) > 0)
		ret->size = (uint64_t)archive_entry_size(from);
	add_xattrs(&gathered, from);
	add_acl(&gathered, from, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
	add_acl(&gathered, from, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
	sort_xattrs(ret);
	return 0;
}
