/*
 * An entry of a tree as libarchive wants it.
 */
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/files/archive_internal.h"
#include "shared/buffer.h"
#include "shared/mem.h"

/* A billion years: a localtime() of it exists. */
#define MTIME_MAX INT64_C(31556952000000000)

/* The kernel's form of an ACL: version, then tag, permissions and id of each entry. */
#define ACL_VERSION    2u
#define ACL_USER_OBJ   0x01
#define ACL_USER       0x02
#define ACL_GROUP_OBJ  0x04
#define ACL_GROUP      0x08
#define ACL_MASK       0x10
#define ACL_OTHER      0x20

/* In the order that the kernel asks for. */
static const struct {
	uint16_t kernel;
	int ours;
	bool once; /* exactly one of it, in every ACL */
} acl_tags[] = {
	{ ACL_USER_OBJ, ARCHIVE_ENTRY_ACL_USER_OBJ, true },
	{ ACL_USER, ARCHIVE_ENTRY_ACL_USER, false },
	{ ACL_GROUP_OBJ, ARCHIVE_ENTRY_ACL_GROUP_OBJ, true },
	{ ACL_GROUP, ARCHIVE_ENTRY_ACL_GROUP, false },
	{ ACL_MASK, ARCHIVE_ENTRY_ACL_MASK, false },
	{ ACL_OTHER, ARCHIVE_ENTRY_ACL_OTHER, true },
};

static int
acl_tag(unsigned tag)
{
	for (size_t i = 0; i < ARRAY_LEN(acl_tags); i++)
		if (acl_tags[i].kernel == tag)
			return acl_tags[i].ours;
	return -1;
}

static int
compare_acl(const void *a, const void *b)
{
	const struct archive_item_acl *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int
archive_item_encode_acl(struct archive_item_acl *list, size_t count, struct buffer *ret,
    struct error *err)
{
	size_t found, done = 0;

	buffer_put_u32(ret, ACL_VERSION);
	if (count > 0)
		qsort(list, count, sizeof(*list), compare_acl);
	for (size_t t = 0; t < ARRAY_LEN(acl_tags); t++) {
		found = 0;
		for (size_t i = 0; i < count; i++) {
			if (list[i].tag != acl_tags[t].ours)
				continue;
			found++;
			buffer_put_u16(ret, acl_tags[t].kernel);
			buffer_put_u16(ret, (uint16_t)list[i].permissions);
			buffer_put_u32(ret, list[i].id);
		}
		if (acl_tags[t].once && found != 1)
			return error_set(err, ERROR_BAD_REQUEST, "its ACL is not whole");
		done += found;
	}
	if (done != count)
		return error_set(err, ERROR_BAD_REQUEST, "its ACL has entries of an unknown kind");
	return 0;
}

int
archive_item_add_acl(struct archive_entry *to, const struct xattr *xattr, int type,
    struct error *err)
{
	struct reader reader;
	uint32_t version = 0, id;
	uint16_t tag, permissions;

	reader_init(&reader, xattr->value, xattr->len, "ACL");
	if (reader_get_u32(&reader, &version, err) < 0)
		return -1;
	if (version != ACL_VERSION)
		return error_set(err, ERROR_UNSUPPORTED, "ACL of unknown version %u", version);
	while (reader_left(&reader) > 0) {
		if (reader_get_u16(&reader, &tag, err) < 0 ||
		    reader_get_u16(&reader, &permissions, err) < 0 ||
		    reader_get_u32(&reader, &id, err) < 0)
			return -1;
		if (acl_tag(tag) < 0 || permissions > 7)
			return error_set(err, ERROR_UNSUPPORTED, "ACL with an unknown entry");
		/* libarchive's execute, write and read bits are those of a mode. */
		archive_entry_acl_add_entry(to, type, permissions, acl_tag(tag),
		    tag == ACL_USER || tag == ACL_GROUP ? (int)id : -1, NULL);
	}
	return 0;
}

static void
add_xattrs(struct archive_entry *to, const struct entry *entry)
{
	struct error err = ERROR_INIT;
	int type;

	for (size_t i = 0; i < entry->xattr_count; i++) {
		const struct xattr *xattr = &entry->xattrs[i];

		type = 0;
		if (strcmp(xattr->name, "system.posix_acl_access") == 0)
			type = ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
		if (strcmp(xattr->name, "system.posix_acl_default") == 0)
			type = ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
		/* An ACL that we do not understand is kept as the bytes that it is. */
		if (type == 0 || archive_item_add_acl(to, xattr, type, &err) < 0)
			archive_entry_xattr_add_entry(to, xattr->name, xattr->value, xattr->len);
	}
}

static void
add_extents(struct archive_entry *to, const struct entry *entry)
{
	if (!entry->sparse)
		return;
	for (size_t i = 0; i < entry->extent_count; i++)
		archive_entry_sparse_add_entry(to, (la_int64_t)entry->extents[i].offset,
		    (la_int64_t)entry->extents[i].len);
	if (entry->extent_count == 0)
		archive_entry_sparse_add_entry(to, 0, 0);
}

static unsigned
file_type(enum entry_kind kind)
{
	switch (kind) {
	case ENTRY_DIRECTORY:
		return AE_IFDIR;
	case ENTRY_SYMLINK:
		return AE_IFLNK;
	case ENTRY_FIFO:
		return AE_IFIFO;
	case ENTRY_CHARACTER:
		return AE_IFCHR;
	case ENTRY_BLOCK:
		return AE_IFBLK;
	case ENTRY_SOCKET:
		return AE_IFSOCK;
	default:
		return AE_IFREG;
	}
}

/*
 * libarchive writes "SECONDS.NANOSECONDS" with the sign of the seconds alone, while readers take
 * it for one decimal number: before 1970 both have to count away from zero.  The last second
 * before it cannot be said so; it loses its fraction.  For a zip it asks for the local time, which
 * the years beyond an int do not have, and does not look whether it got one.
 */
static void
add_mtime(struct archive_entry *to, const struct timespec *mtime)
{
	if (mtime->tv_sec < -MTIME_MAX)
		archive_entry_set_mtime(to, -MTIME_MAX, 0);
	else if (mtime->tv_sec > MTIME_MAX)
		archive_entry_set_mtime(to, MTIME_MAX, 0);
	else if (mtime->tv_sec < -1 && mtime->tv_nsec > 0)
		archive_entry_set_mtime(to, mtime->tv_sec + 1, 1000000000 - mtime->tv_nsec);
	else if (mtime->tv_sec == -1)
		archive_entry_set_mtime(to, -1, 0);
	else
		archive_entry_set_mtime(to, mtime->tv_sec, mtime->tv_nsec);
}

struct archive_entry *
archive_item_new(const struct entry *entry, const char *path, const char *link, bool rich)
{
	struct archive_entry *to = archive_entry_new();

	if (to == NULL)
		abort();
	archive_entry_copy_pathname(to, path);
	archive_entry_set_filetype(to, file_type(entry->kind));
	archive_entry_set_perm(to, (mode_t)(entry->mode & 07777));
	archive_entry_set_uid(to, entry->uid);
	archive_entry_set_gid(to, entry->gid);
	if (entry->user != NULL)
		archive_entry_copy_uname(to, entry->user);
	if (entry->group != NULL)
		archive_entry_copy_gname(to, entry->group);
	add_mtime(to, &entry->mtime);
	archive_entry_set_size(to, 0);
	if (entry->kind == ENTRY_SYMLINK)
		archive_entry_copy_symlink(to, entry->target);
	if (entry->kind == ENTRY_CHARACTER || entry->kind == ENTRY_BLOCK)
		archive_entry_set_rdev(to, makedev(entry->device_major, entry->device_minor));
	if (link != NULL) {
		archive_entry_copy_hardlink(to, link);
		return to;
	}
	if (entry->kind == ENTRY_FILE)
		archive_entry_set_size(to, (la_int64_t)entry->size);
	if (rich) {
		add_xattrs(to, entry);
		add_extents(to, entry);
	}
	return to;
}
