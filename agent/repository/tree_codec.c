/*
 * A tree part to and from bytes.
 * Source: agent/repository/FORMAT.md, "Tree".
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/tree.h"
#include "shared/mem.h"

#define TREE_VERSION 1
#define OWNER_NAME_MAX 255
#define XATTR_NAME_MAX_LEN 255
#define NANOSECONDS 1000000000u

/* Beside the kind in the low three bits of an entry's first byte. */
#define FLAG_SPARSE 0x08
#define FLAG_LINKED 0x10
#define FLAG_XATTRS 0x20
#define FLAGS_KNOWN (0x07 | FLAG_SPARSE | FLAG_LINKED | FLAG_XATTRS)

/* A part ends after a name whose hash has so many zero bits, but not before TREE_PART_MIN
 * entries. */
#define PART_MASK 511u
#define PART_MIN 128

void
entry_init(struct entry *entry)
{
	memset(entry, 0, sizeof(*entry));
}

void
entry_done(struct entry *entry)
{
	for (size_t i = 0; i < entry->xattr_count; i++) {
		free(entry->xattrs[i].name);
		free(entry->xattrs[i].value);
	}
	free(entry->xattrs);
	free(entry->name);
	free(entry->user);
	free(entry->group);
	free(entry->target);
	free(entry->extents);
	free(entry->content);
	entry_init(entry);
}

void
entry_copy(struct entry *to, const struct entry *from)
{
	*to = *from;
	to->name = mem_dup(from->name, from->name_len + 1);
	to->user = from->user != NULL ? mem_strdup(from->user) : NULL;
	to->group = from->group != NULL ? mem_strdup(from->group) : NULL;
	to->target = from->target != NULL ? mem_dup(from->target, from->target_len + 1) : NULL;
	to->extents = from->extent_count == 0 ? NULL :
	    mem_dup(from->extents, from->extent_count * sizeof(*from->extents));
	to->content = from->content_count == 0 ? NULL :
	    mem_dup(from->content, from->content_count * sizeof(*from->content));
	to->xattrs = from->xattr_count == 0 ? NULL :
	    mem_calloc(from->xattr_count, sizeof(*from->xattrs));
	for (size_t i = 0; i < from->xattr_count; i++) {
		to->xattrs[i].name = mem_strdup(from->xattrs[i].name);
		to->xattrs[i].value = mem_dup(from->xattrs[i].value, from->xattrs[i].len);
		to->xattrs[i].len = from->xattrs[i].len;
	}
}

bool
entry_name_is_valid(const char *name, size_t len)
{
	if (len == 0 || len > TREE_NAME_MAX)
		return false;
	if (memchr(name, '/', len) != NULL || memchr(name, '\0', len) != NULL)
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

const char *
entry_kind_word(enum entry_kind kind)
{
	static const char *const words[ENTRY_KIND_COUNT] = { "file", "directory", "symlink",
		"fifo", "character-device", "block-device", "socket" };

	return words[kind];
}

bool
tree_part_ends(size_t entries_so_far, const char *name, size_t len)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	if (entries_so_far < PART_MIN)
		return false;
	if (entries_so_far >= TREE_PART_ENTRIES)
		return true;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619u;
	return ((hash ^ hash >> 16) & PART_MASK) == 0;
}

/* The owners that a part mentions, each once. */
struct owner {
	uint32_t number;
	const char *name; /* or NULL */
};

struct owners {
	struct owner *list;
	size_t count, cap;
};

static size_t
owners_add(struct owners *owners, uint32_t number, const char *name)
{
	size_t i;

	for (i = 0; i < owners->count; i++)
		if (owners->list[i].number == number)
			return i;
	MEM_GROW(owners->list, owners->count, owners->cap);
	owners->list[owners->count] = (struct owner){ number, name };
	return owners->count++;
}

static void
owners_encode(const struct owners *owners, struct buffer *out)
{
	buffer_put_varint(out, owners->count);
	for (size_t i = 0; i < owners->count; i++) {
		const char *name = owners->list[i].name != NULL ? owners->list[i].name : "";
		size_t len = strlen(name);

		buffer_put_varint(out, owners->list[i].number);
		buffer_put_bytes(out, name, len > OWNER_NAME_MAX ? OWNER_NAME_MAX : len);
	}
}

static void
encode_content(const struct entry *entry, struct buffer *out)
{
	if (entry->kind == ENTRY_FILE) {
		buffer_put_varint(out, entry->size);
		if (entry->sparse) {
			uint64_t end = 0;

			buffer_put_varint(out, entry->extent_count);
			for (size_t i = 0; i < entry->extent_count; i++) {
				buffer_put_varint(out, entry->extents[i].offset - end);
				buffer_put_varint(out, entry->extents[i].len);
				end = entry->extents[i].offset + entry->extents[i].len;
			}
		}
		buffer_put_u8(out, (uint8_t)entry->depth);
	}
	buffer_put_varint(out, entry->content_count);
	buffer_put(out, entry->content, entry->content_count * BLOB_ID_SIZE);
}

static void
encode_entry(const struct entry *entry, size_t owner, size_t group, struct buffer *out)
{
	uint8_t head = (uint8_t)entry->kind;

	head |= entry->sparse ? FLAG_SPARSE : 0;
	head |= entry->nlink > 1 && entry->kind != ENTRY_DIRECTORY ? FLAG_LINKED : 0;
	head |= entry->xattr_count > 0 ? FLAG_XATTRS : 0;
	buffer_put_bytes(out, entry->name, entry->name_len);
	buffer_put_u8(out, head);
	buffer_put_varint(out, entry->mode);
	buffer_put_varint(out, owner);
	buffer_put_varint(out, group);
	buffer_put_signed(out, entry->mtime.tv_sec);
	buffer_put_varint(out, (uint64_t)entry->mtime.tv_nsec);
	/* Mostly the same second as mtime, so the difference is one byte. */
	buffer_put_signed(out, (int64_t)((uint64_t)entry->ctime.tv_sec -
	    (uint64_t)entry->mtime.tv_sec));
	buffer_put_varint(out, (uint64_t)entry->ctime.tv_nsec);
	buffer_put_varint(out, entry->inode);
	if (head & FLAG_LINKED) {
		buffer_put_varint(out, entry->nlink);
		buffer_put_varint(out, entry->link_device);
	}
	if (entry->kind == ENTRY_FILE || entry->kind == ENTRY_DIRECTORY) {
		encode_content(entry, out);
	} else if (entry->kind == ENTRY_SYMLINK) {
		buffer_put_bytes(out, entry->target, entry->target_len);
	} else if (entry->kind == ENTRY_CHARACTER || entry->kind == ENTRY_BLOCK) {
		buffer_put_varint(out, entry->device_major);
		buffer_put_varint(out, entry->device_minor);
	}
	if (head & FLAG_XATTRS) {
		buffer_put_varint(out, entry->xattr_count);
		for (size_t i = 0; i < entry->xattr_count; i++) {
			buffer_put_bytes(out, entry->xattrs[i].name,
			    strlen(entry->xattrs[i].name));
			buffer_put_bytes(out, entry->xattrs[i].value, entry->xattrs[i].len);
		}
	}
}

size_t
tree_encode(struct entry *const *entries, size_t count, struct buffer *ret)
{
	struct owners users = { NULL, 0, 0 }, groups = { NULL, 0, 0 };
	struct buffer body = BUFFER_INIT;
	size_t n;

	for (n = 0; n < count && n < TREE_PART_ENTRIES; n++) {
		const struct entry *entry = entries[n];

		encode_entry(entry, owners_add(&users, entry->uid, entry->user),
		    owners_add(&groups, entry->gid, entry->group), &body);
		if (body.len >= TREE_PART_BYTES) {
			n++;
			break;
		}
	}
	buffer_put_u8(ret, TREE_VERSION);
	owners_encode(&users, ret);
	owners_encode(&groups, ret);
	buffer_put_varint(ret, n);
	buffer_put(ret, body.data, body.len);
	buffer_done(&body);
	free(users.list);
	free(groups.list);
	return n;
}

/* One owners table while decoding: names are lent from the part's bytes. */
struct owner_view {
	uint32_t number;
	const uint8_t *name;
	size_t name_len;
};

struct owner_views {
	struct owner_view *list;
	size_t count;
};

static int
owners_decode(struct reader *r, struct owner_views *ret, struct error *err)
{
	uint64_t count, number;

	if (reader_get_varint(r, reader_left(r) / 2, &count, err) != 0)
		return -1;
	ret->list = mem_calloc(count, sizeof(*ret->list));
	for (ret->count = 0; ret->count < count; ret->count++) {
		struct owner_view *owner = &ret->list[ret->count];

		if (reader_get_varint(r, UINT32_MAX, &number, err) != 0 ||
		    reader_get_bytes(r, OWNER_NAME_MAX, &owner->name, &owner->name_len,
		        err) != 0)
			return -1;
		if (memchr(owner->name, '\0', owner->name_len) != NULL)
			return error_set(err, ERROR_CORRUPT, "tree: an owner's name holds a NUL");
		owner->number = (uint32_t)number;
	}
	return 0;
}

static int
owner_get(struct reader *r, const struct owner_views *owners, uint32_t *ret_number,
    char **ret_name, struct error *err)
{
	uint64_t n;

	if (reader_get_varint(r, UINT32_MAX, &n, err) != 0)
		return -1;
	if (n >= owners->count)
		return error_set(err, ERROR_CORRUPT, "tree: an owner is not in its table");
	*ret_number = owners->list[n].number;
	if (owners->list[n].name_len > 0)
		*ret_name = strndup((const char *)owners->list[n].name, owners->list[n].name_len);
	return 0;
}

/* Bytes into memory of their own, with a NUL behind them. */
static int
dup_bytes(struct reader *r, size_t max, char **ret, size_t *ret_len, struct error *err)
{
	const uint8_t *p;

	if (reader_get_bytes(r, max, &p, ret_len, err) != 0)
		return -1;
	*ret = mem_calloc(1, *ret_len + 1);
	memcpy(*ret, p, *ret_len);
	return 0;
}

static int
decode_extents(struct reader *r, struct entry *entry, struct error *err)
{
	uint64_t count, gap, len, end = 0;

	if (reader_get_varint(r, TREE_EXTENTS_MAX, &count, err) != 0)
		return -1;
	if (count > reader_left(r) / 2)
		return error_set(err, ERROR_CORRUPT, "tree: more extents than it has room for");
	entry->sparse = true;
	entry->extents = mem_calloc(count, sizeof(*entry->extents));
	for (uint64_t i = 0; i < count; i++) {
		if (reader_get_varint(r, INT64_MAX, &gap, err) != 0 ||
		    reader_get_varint(r, INT64_MAX, &len, err) != 0)
			return -1;
		if (gap > entry->size - end || len > entry->size - end - gap)
			return error_set(err, ERROR_CORRUPT,
			    "tree: an extent lies beyond the end of its file");
		entry->extents[i] = (struct extent){ end + gap, len };
		entry->extent_count++;
		end += gap + len;
	}
	return 0;
}

static int
decode_content(struct reader *r, struct entry *entry, bool sparse, struct error *err)
{
	uint64_t count;
	const uint8_t *ids;
	uint8_t depth = 0;

	if (entry->kind == ENTRY_FILE) {
		if (reader_get_varint(r, INT64_MAX, &entry->size, err) != 0 ||
		    (sparse && decode_extents(r, entry, err) != 0) ||
		    reader_get_u8(r, &depth, err) != 0)
			return -1;
		if (depth > TREE_DEPTH_MAX)
			return error_set(err, ERROR_CORRUPT, "tree: lists of depth %u", depth);
	}
	entry->depth = depth;
	if (reader_get_varint(r, TREE_CONTENT_MAX, &count, err) != 0 ||
	    reader_get(r, count * BLOB_ID_SIZE, &ids, err) != 0)
		return -1;
	if (count > 0)
		entry->content = mem_dup(ids, count * BLOB_ID_SIZE);
	entry->content_count = count;
	return 0;
}

static int
decode_xattrs(struct reader *r, struct entry *entry, struct error *err)
{
	uint64_t count;
	size_t total = 0;

	if (reader_get_varint(r, reader_left(r) / 2, &count, err) != 0)
		return -1;
	if (count > TREE_XATTRS_MAX / 2)
		return error_set(err, ERROR_CORRUPT, "tree: too many extended attributes");
	entry->xattrs = mem_calloc(count, sizeof(*entry->xattrs));
	for (uint64_t i = 0; i < count; i++) {
		struct xattr *xattr = &entry->xattrs[i];
		char *value;
		size_t name_len;

		entry->xattr_count++;
		if (dup_bytes(r, XATTR_NAME_MAX_LEN, &xattr->name, &name_len, err) != 0 ||
		    dup_bytes(r, TREE_XATTRS_MAX, &value, &xattr->len, err) != 0)
			return -1;
		xattr->value = (uint8_t *)value;
		total += name_len + xattr->len;
		if (total > TREE_XATTRS_MAX || strlen(xattr->name) != name_len || name_len == 0)
			return error_set(err, ERROR_CORRUPT,
			    "tree: extended attributes break their limits");
	}
	return 0;
}

static int
decode_times(struct reader *r, struct entry *entry, struct error *err)
{
	uint64_t mtime_nsec, ctime_nsec;
	int64_t mtime, difference;

	if (reader_get_signed(r, &mtime, err) != 0 ||
	    reader_get_varint(r, NANOSECONDS - 1, &mtime_nsec, err) != 0 ||
	    reader_get_signed(r, &difference, err) != 0 ||
	    reader_get_varint(r, NANOSECONDS - 1, &ctime_nsec, err) != 0)
		return -1;
	entry->mtime.tv_sec = mtime;
	entry->mtime.tv_nsec = (long)mtime_nsec;
	entry->ctime.tv_sec = (int64_t)((uint64_t)mtime + (uint64_t)difference);
	entry->ctime.tv_nsec = (long)ctime_nsec;
	return 0;
}

static int
decode_links(struct reader *r, struct entry *entry, struct error *err)
{
	uint64_t nlink;

	if (reader_get_varint(r, UINT32_MAX, &nlink, err) != 0 ||
	    reader_get_varint(r, UINT64_MAX, &entry->link_device, err) != 0)
		return -1;
	if (nlink < 2 || entry->kind == ENTRY_DIRECTORY)
		return error_set(err, ERROR_CORRUPT, "tree: impossible number of links");
	entry->nlink = (uint32_t)nlink;
	return 0;
}

static int
decode_device(struct reader *r, struct entry *entry, struct error *err)
{
	uint64_t major, minor;

	if (reader_get_varint(r, UINT32_MAX, &major, err) != 0 ||
	    reader_get_varint(r, UINT32_MAX, &minor, err) != 0)
		return -1;
	entry->device_major = (uint32_t)major;
	entry->device_minor = (uint32_t)minor;
	return 0;
}

static int
decode_entry(struct reader *r, const struct owner_views *users, const struct owner_views *groups,
    struct entry *entry, struct error *err)
{
	uint64_t mode;
	uint8_t head;

	if (dup_bytes(r, TREE_NAME_MAX, &entry->name, &entry->name_len, err) != 0)
		return -1;
	if (!entry_name_is_valid(entry->name, entry->name_len))
		return error_set(err, ERROR_CORRUPT, "tree: a name is not one component of a path");
	if (reader_get_u8(r, &head, err) != 0)
		return -1;
	if ((head & ~FLAGS_KNOWN) != 0 || (head & 7) >= ENTRY_KIND_COUNT)
		return error_set(err, ERROR_CORRUPT, "tree: unknown kind of entry %u", head);
	entry->kind = head & 7;
	entry->nlink = 1;
	if ((head & FLAG_SPARSE) != 0 && entry->kind != ENTRY_FILE)
		return error_set(err, ERROR_CORRUPT, "tree: only files have extents");
	if (reader_get_varint(r, 07777, &mode, err) != 0 ||
	    owner_get(r, users, &entry->uid, &entry->user, err) != 0 ||
	    owner_get(r, groups, &entry->gid, &entry->group, err) != 0 ||
	    decode_times(r, entry, err) != 0 ||
	    reader_get_varint(r, UINT64_MAX, &entry->inode, err) != 0)
		return -1;
	entry->mode = (uint32_t)mode;
	if ((head & FLAG_LINKED) != 0 && decode_links(r, entry, err) != 0)
		return -1;
	if (entry->kind == ENTRY_FILE || entry->kind == ENTRY_DIRECTORY) {
		if (decode_content(r, entry, (head & FLAG_SPARSE) != 0, err) != 0)
			return -1;
	} else if (entry->kind == ENTRY_SYMLINK) {
		if (dup_bytes(r, TREE_TARGET_MAX, &entry->target, &entry->target_len, err) != 0)
			return -1;
		if (entry->target_len == 0 || strlen(entry->target) != entry->target_len)
			return error_set(err, ERROR_CORRUPT, "tree: impossible symlink");
	} else if (entry->kind == ENTRY_CHARACTER || entry->kind == ENTRY_BLOCK) {
		if (decode_device(r, entry, err) != 0)
			return -1;
	}
	return (head & FLAG_XATTRS) != 0 ? decode_xattrs(r, entry, err) : 0;
}

/* Names rise strictly, so no name comes twice. */
static bool
in_order(const struct entry *a, const struct entry *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int order = memcmp(a->name, b->name, len);

	return order < 0 || (order == 0 && a->name_len < b->name_len);
}

void
tree_entries_free(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		entry_done(&entries[i]);
	free(entries);
}

int
tree_decode(const void *data, size_t len, struct entry **ret, size_t *ret_count,
    struct error *err)
{
	struct owner_views users = { NULL, 0 }, groups = { NULL, 0 };
	struct entry *entries = NULL;
	size_t done = 0;
	uint64_t count;
	uint8_t version;
	struct reader r;
	int rc = -1;

	reader_init(&r, data, len, "tree");
	if (reader_get_u8(&r, &version, err) != 0)
		goto out;
	if (version != TREE_VERSION) {
		error_set(err, ERROR_CORRUPT, "tree: unknown version %u", version);
		goto out;
	}
	if (owners_decode(&r, &users, err) != 0 || owners_decode(&r, &groups, err) != 0 ||
	    reader_get_varint(&r, TREE_PART_ENTRIES, &count, err) != 0)
		goto out;
	entries = mem_calloc(count, sizeof(*entries));
	while (done < count) {
		done++;
		if (decode_entry(&r, &users, &groups, &entries[done - 1], err) != 0)
			goto out;
		if (done > 1 && !in_order(&entries[done - 2], &entries[done - 1])) {
			error_set(err, ERROR_CORRUPT, "tree: names are not in order");
			goto out;
		}
	}
	if (reader_finish(&r, err) != 0)
		goto out;
	*ret = entries;
	*ret_count = count;
	entries = NULL;
	rc = 0;
out:
	if (entries != NULL)
		tree_entries_free(entries, done);
	free(users.list);
	free(groups.list);
	return rc;
}
