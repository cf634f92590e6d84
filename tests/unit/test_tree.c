/* Trees: parts there and back, parts that lie, and finding paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/writer.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

static struct blob_id
some_id(uint8_t n)
{
	struct blob_id id;

	memset(id.bytes, n, sizeof(id.bytes));
	return id;
}

static void
set_content(struct entry *entry, size_t count)
{
	entry->content = mem_calloc(count, sizeof(*entry->content));
	entry->content_count = count;
	for (size_t i = 0; i < count; i++)
		entry->content[i] = some_id((uint8_t)(i + 1));
}

static void
set_name(struct entry *entry, const char *name)
{
	entry->name = mem_strdup(name);
	entry->name_len = strlen(name);
	entry->nlink = 1;
}

static void
add_xattr(struct entry *entry, const char *name, const char *value, size_t len)
{
	entry->xattrs = mem_realloc(entry->xattrs, entry->xattr_count + 1, sizeof(*entry->xattrs));
	entry->xattrs[entry->xattr_count++] = (struct xattr){ mem_strdup(name),
		mem_dup(value, len), len };
}

/* One entry of every kind, with everything that an entry can have; sorted. */
#define SAMPLES 8
static void
make_samples(struct entry samples[SAMPLES])
{
	static const char *const names[SAMPLES] = { "block", "char", "fifo", "folder", "linked",
		"socket", "sparse", "symlink" };
	static const enum entry_kind kinds[SAMPLES] = { ENTRY_BLOCK, ENTRY_CHARACTER, ENTRY_FIFO,
		ENTRY_DIRECTORY, ENTRY_FILE, ENTRY_SOCKET, ENTRY_FILE, ENTRY_SYMLINK };

	for (size_t i = 0; i < SAMPLES; i++) {
		entry_init(&samples[i]);
		set_name(&samples[i], names[i]);
		samples[i].kind = kinds[i];
		samples[i].mode = 0644 + (uint32_t)i;
		samples[i].uid = i % 2 ? 1000 : UINT32_MAX;
		samples[i].gid = (uint32_t)i;
		samples[i].user = i % 2 ? mem_strdup("jane") : NULL;
		samples[i].group = mem_printf("group-%zu", i);
		samples[i].mtime = (struct timespec){ 1700000000 + (time_t)i, 999999999 };
		samples[i].ctime = (struct timespec){ 1700000000 - (time_t)i, 1 };
		samples[i].inode = UINT64_MAX - i;
	}
	samples[0].device_major = UINT32_MAX;
	samples[0].device_minor = 7;
	samples[1].device_major = 1;
	samples[1].device_minor = 3;
	samples[2].mode = 07777;
	samples[2].mtime = (struct timespec){ INT64_MIN, 0 };
	samples[2].ctime = (struct timespec){ INT64_MAX, 0 };
	set_content(&samples[3], 3);
	samples[4].nlink = 3;
	samples[4].link_device = UINT64_MAX;
	samples[4].size = 12345;
	set_content(&samples[4], 1);
	add_xattr(&samples[4], "user.empty", "", 0);
	add_xattr(&samples[4], "user.note", "a\0b", 3);
	samples[6].size = (uint64_t)INT64_MAX;
	samples[6].sparse = true;
	samples[6].extent_count = 2;
	samples[6].extents = mem_calloc(2, sizeof(*samples[6].extents));
	samples[6].extents[0] = (struct extent){ 0, 4096 };
	samples[6].extents[1] = (struct extent){ (uint64_t)INT64_MAX - 10, 10 };
	samples[6].depth = 2;
	set_content(&samples[6], 2);
	samples[7].target = mem_strdup("../else\nwhere");
	samples[7].target_len = strlen(samples[7].target);
}

static void
assert_text_equal(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

static void
assert_same_entry(const struct entry *a, const struct entry *b)
{
	assert_int_equal(a->name_len, b->name_len);
	assert_memory_equal(a->name, b->name, a->name_len + 1);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_text_equal(a->user, b->user);
	assert_text_equal(a->group, b->group);
	assert_int_equal(a->mtime.tv_sec, b->mtime.tv_sec);
	assert_int_equal(a->mtime.tv_nsec, b->mtime.tv_nsec);
	assert_int_equal(a->ctime.tv_sec, b->ctime.tv_sec);
	assert_int_equal(a->ctime.tv_nsec, b->ctime.tv_nsec);
	assert_int_equal(a->inode, b->inode);
	assert_int_equal(a->link_device, b->link_device);
	assert_int_equal(a->nlink, b->nlink);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->device_major, b->device_major);
	assert_int_equal(a->device_minor, b->device_minor);
	assert_text_equal(a->target, b->target);
	assert_int_equal(a->sparse, b->sparse);
	assert_int_equal(a->extent_count, b->extent_count);
	for (size_t i = 0; i < a->extent_count; i++) {
		assert_int_equal(a->extents[i].offset, b->extents[i].offset);
		assert_int_equal(a->extents[i].len, b->extents[i].len);
	}
	assert_int_equal(a->depth, b->depth);
	assert_int_equal(a->content_count, b->content_count);
	for (size_t i = 0; i < a->content_count; i++)
		assert_int_equal(blob_id_compare(&a->content[i], &b->content[i]), 0);
	assert_int_equal(a->xattr_count, b->xattr_count);
	for (size_t i = 0; i < a->xattr_count; i++) {
		assert_string_equal(a->xattrs[i].name, b->xattrs[i].name);
		assert_int_equal(a->xattrs[i].len, b->xattrs[i].len);
		assert_memory_equal(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].len);
	}
}

static void
encode_samples(struct entry samples[SAMPLES], struct buffer *ret)
{
	struct entry *list[SAMPLES];

	for (size_t i = 0; i < SAMPLES; i++)
		list[i] = &samples[i];
	assert_int_equal(tree_encode(list, SAMPLES, ret), SAMPLES);
}

static void
every_attribute_of_every_kind_comes_back(void **state)
{
	struct entry samples[SAMPLES], copy, *decoded;
	struct buffer plain = BUFFER_INIT;
	struct error err = ERROR_INIT;
	size_t count;

	(void)state;
	make_samples(samples);
	encode_samples(samples, &plain);
	assert_int_equal(tree_decode(plain.data, plain.len, &decoded, &count, &err), 0);
	assert_int_equal(count, SAMPLES);
	for (size_t i = 0; i < SAMPLES; i++) {
		assert_same_entry(&samples[i], &decoded[i]);
		entry_copy(&copy, &decoded[i]);
		assert_same_entry(&copy, &decoded[i]);
		entry_done(&copy);
		entry_done(&samples[i]);
		assert_null(samples[i].name);
	}
	tree_entries_free(decoded, count);
	buffer_done(&plain);
}

static void
a_part_that_was_cut_anywhere_is_refused(void **state)
{
	struct entry samples[SAMPLES], *decoded;
	struct buffer plain = BUFFER_INIT;
	size_t count;

	(void)state;
	make_samples(samples);
	encode_samples(samples, &plain);
	for (size_t len = 0; len < plain.len; len++) {
		/* In memory of its own, so that a read beyond it is seen. */
		uint8_t *cut = mem_dup(plain.data, len);
		struct error err = ERROR_INIT;

		assert_int_equal(tree_decode(cut, len, &decoded, &count, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		free(cut);
	}
	for (size_t i = 0; i < SAMPLES; i++)
		entry_done(&samples[i]);
	buffer_done(&plain);
}

/* The head of a part with one owner and one group, for so many entries. */
static void
begin_part(struct buffer *plain, uint64_t count)
{
	buffer_clear(plain);
	buffer_put_u8(plain, 1);
	for (int i = 0; i < 2; i++) {
		buffer_put_varint(plain, 1);
		buffer_put_varint(plain, 0);
		buffer_put_bytes(plain, "root", 4);
	}
	buffer_put_varint(plain, count);
}

/* All that stands before the content. */
static void
put_head(struct buffer *plain, const char *name, size_t len, unsigned head)
{
	buffer_put_bytes(plain, name, len);
	buffer_put_u8(plain, (uint8_t)head);
	buffer_put_varint(plain, 0644);
	for (int i = 0; i < 7; i++)
		buffer_put_varint(plain, 0); /* owners, times, inode */
}

static void
put_fifo(struct buffer *plain, const char *name, size_t len)
{
	put_head(plain, name, len, ENTRY_FIFO);
}

static void
assert_refused(const struct buffer *plain, const char *message)
{
	struct entry *decoded = NULL;
	struct error err = ERROR_INIT;
	size_t count;

	assert_int_equal(tree_decode(plain->data, plain->len, &decoded, &count, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	if (message != NULL)
		assert_string_equal(err.message, message);
}

static void
a_name_that_is_not_one_component_is_refused(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} wrong[] = { { "", 0 }, { ".", 1 }, { "..", 2 }, { "/", 1 }, { "a/b", 3 }, { "/etc", 4 },
		{ "../x", 4 }, { "a\0b", 3 }, { "\0", 1 } };
	static const char *const good[] = { "...", ".a", "..a", "a..", " ", "\\", "-", "\n" };
	struct buffer plain = BUFFER_INIT;
	struct error err = ERROR_INIT;
	char long_name[TREE_NAME_MAX + 1];
	struct entry *decoded;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_false(entry_name_is_valid(wrong[i].name, wrong[i].len));
		begin_part(&plain, 1);
		put_fifo(&plain, wrong[i].name, wrong[i].len);
		assert_refused(&plain, "tree: a name is not one component of a path");
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		begin_part(&plain, 1);
		put_fifo(&plain, good[i], strlen(good[i]));
		assert_int_equal(tree_decode(plain.data, plain.len, &decoded, &count, &err), 0);
		assert_string_equal(decoded[0].name, good[i]);
		tree_entries_free(decoded, count);
	}
	memset(long_name, 'x', sizeof(long_name));
	assert_true(entry_name_is_valid(long_name, TREE_NAME_MAX));
	begin_part(&plain, 1);
	put_fifo(&plain, long_name, TREE_NAME_MAX + 1);
	assert_refused(&plain, NULL);
	buffer_done(&plain);
}

static void
names_out_of_order_or_doubled_are_refused(void **state)
{
	static const char *const pairs[][2] = { { "b", "a" }, { "a", "a" }, { "ab", "a" },
		{ "\xff", "a" } };
	struct buffer plain = BUFFER_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		begin_part(&plain, 2);
		put_fifo(&plain, pairs[i][0], strlen(pairs[i][0]));
		put_fifo(&plain, pairs[i][1], strlen(pairs[i][1]));
		assert_refused(&plain, "tree: names are not in order");
	}
	buffer_done(&plain);
}

static void
counts_that_cannot_be_are_refused_before_memory_is_asked_for(void **state)
{
	static const uint64_t counts[] = { TREE_PART_ENTRIES + 1, UINT32_MAX, UINT64_C(1) << 63,
		UINT64_MAX };
	struct buffer plain = BUFFER_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		begin_part(&plain, counts[i]);
		assert_refused(&plain, NULL);
		/* Owners. */
		buffer_clear(&plain);
		buffer_put_u8(&plain, 1);
		buffer_put_varint(&plain, counts[i]);
		assert_refused(&plain, NULL);
		/* Parts of a folder. */
		begin_part(&plain, 1);
		put_head(&plain, "a", 1, ENTRY_DIRECTORY);
		buffer_put_varint(&plain, counts[i]);
		assert_refused(&plain, NULL);
		/* Chunks of a file, extents of a sparse one, extended attributes, a target. */
		begin_part(&plain, 1);
		put_head(&plain, "a", 1, ENTRY_FILE);
		buffer_put_varint(&plain, 1);
		buffer_put_u8(&plain, 0);
		buffer_put_varint(&plain, counts[i]);
		assert_refused(&plain, NULL);
		begin_part(&plain, 1);
		put_head(&plain, "a", 1, ENTRY_FILE | 0x08);
		buffer_put_varint(&plain, 1);
		buffer_put_varint(&plain, counts[i]);
		assert_refused(&plain, NULL);
		begin_part(&plain, 1);
		put_head(&plain, "a", 1, ENTRY_FIFO | 0x20);
		buffer_put_varint(&plain, counts[i]);
		assert_refused(&plain, NULL);
		begin_part(&plain, 1);
		put_head(&plain, "a", 1, ENTRY_SYMLINK);
		buffer_put_varint(&plain, counts[i]);
		assert_refused(&plain, NULL);
	}
	/* A size of 2^63. */
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FILE);
	buffer_put_varint(&plain, UINT64_C(1) << 63);
	buffer_put_u8(&plain, 0);
	buffer_put_varint(&plain, 0);
	assert_refused(&plain, NULL);
	buffer_done(&plain);
}

static void
an_entry_that_contradicts_itself_is_refused(void **state)
{
	struct buffer plain = BUFFER_INIT;

	(void)state;
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_KIND_COUNT);
	assert_refused(&plain, "tree: unknown kind of entry 7");
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FIFO | 0x40);
	assert_refused(&plain, "tree: unknown kind of entry 67");
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FIFO | 0x08);
	assert_refused(&plain, "tree: only files have extents");
	/* Linked once, or a folder linked twice. */
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FIFO | 0x10);
	buffer_put_varint(&plain, 1);
	buffer_put_varint(&plain, 0);
	assert_refused(&plain, "tree: impossible number of links");
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_DIRECTORY | 0x10);
	buffer_put_varint(&plain, 2);
	buffer_put_varint(&plain, 0);
	assert_refused(&plain, "tree: impossible number of links");
	/* An extent behind the end, also by going round. */
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FILE | 0x08);
	buffer_put_varint(&plain, 100);
	buffer_put_varint(&plain, 1);
	buffer_put_varint(&plain, 50);
	buffer_put_varint(&plain, 51);
	assert_refused(&plain, "tree: an extent lies beyond the end of its file");
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FILE | 0x08);
	buffer_put_varint(&plain, 100);
	buffer_put_varint(&plain, 2);
	buffer_put_varint(&plain, 10);
	buffer_put_varint(&plain, 10);
	buffer_put_varint(&plain, INT64_MAX);
	buffer_put_varint(&plain, INT64_MAX);
	assert_refused(&plain, "tree: an extent lies beyond the end of its file");
	/* Lists of lists without end. */
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FILE);
	buffer_put_varint(&plain, 1);
	buffer_put_u8(&plain, TREE_DEPTH_MAX + 1);
	buffer_put_varint(&plain, 0);
	assert_refused(&plain, "tree: lists of depth 7");
	/* A link to nothing, or to a NUL. */
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_SYMLINK);
	buffer_put_bytes(&plain, "", 0);
	assert_refused(&plain, "tree: impossible symlink");
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_SYMLINK);
	buffer_put_bytes(&plain, "a\0b", 3);
	assert_refused(&plain, "tree: impossible symlink");
	/* Attributes: no name, a NUL in it. */
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FIFO | 0x20);
	buffer_put_varint(&plain, 1);
	buffer_put_bytes(&plain, "", 0);
	buffer_put_bytes(&plain, "v", 1);
	assert_refused(&plain, "tree: extended attributes break their limits");
	begin_part(&plain, 1);
	put_head(&plain, "a", 1, ENTRY_FIFO | 0x20);
	buffer_put_varint(&plain, 1);
	buffer_put_bytes(&plain, "user.a\0b", 8);
	buffer_put_bytes(&plain, "v", 1);
	assert_refused(&plain, "tree: extended attributes break their limits");
	/* An owner that is in no table, a time of too many nanoseconds, a mode of too many bits. */
	for (unsigned wrong = 0; wrong < 5; wrong++) {
		begin_part(&plain, 1);
		buffer_put_bytes(&plain, "a", 1);
		buffer_put_u8(&plain, ENTRY_FIFO);
		buffer_put_varint(&plain, wrong == 0 ? 010000 : 0644);
		buffer_put_varint(&plain, wrong == 1);
		buffer_put_varint(&plain, wrong == 2);
		buffer_put_varint(&plain, 0);
		buffer_put_varint(&plain, wrong == 3 ? 1000000000 : 0);
		buffer_put_varint(&plain, 0);
		buffer_put_varint(&plain, wrong == 4 ? 1000000000 : 0);
		buffer_put_varint(&plain, 0);
		assert_refused(&plain, NULL);
	}
	/* Something behind the end; another version. */
	begin_part(&plain, 0);
	buffer_put_u8(&plain, 0);
	assert_refused(&plain, NULL);
	plain.data[0] = 2;
	assert_refused(&plain, "tree: unknown version 2");
	buffer_done(&plain);
}

static void
parts_end_by_names_alone_and_not_too_soon_or_late(void **state)
{
	size_t ends = 0;
	char name[20];

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		size_t len = (size_t)snprintf(name, sizeof(name), "file-%u", i);

		assert_false(tree_part_ends(127, name, len));
		assert_true(tree_part_ends(TREE_PART_ENTRIES, name, len));
		assert_int_equal(tree_part_ends(128, name, len), tree_part_ends(1023, name, len));
		ends += tree_part_ends(128, name, len);
	}
	/* One in 512. */
	assert_in_range(ends, 100, 300);
}

static void
an_encoder_takes_no_more_than_a_part_holds(void **state)
{
	size_t n = TREE_PART_ENTRIES + 10, count;
	struct entry *entries = mem_calloc(n, sizeof(*entries)), *decoded;
	struct entry **list = mem_calloc(n, sizeof(*list));
	struct buffer plain = BUFFER_INIT;
	struct error err = ERROR_INIT;
	char *value = mem_calloc(1, TREE_XATTRS_MAX);
	char name[20];

	(void)state;
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%06zu", i);
		set_name(&entries[i], name);
		entries[i].kind = ENTRY_FIFO;
		list[i] = &entries[i];
	}
	assert_int_equal(tree_encode(list, n, &plain), TREE_PART_ENTRIES);
	assert_int_equal(tree_decode(plain.data, plain.len, &decoded, &count, &err), 0);
	assert_int_equal(count, TREE_PART_ENTRIES);
	tree_entries_free(decoded, count);
	/* Large entries: by bytes. */
	for (size_t i = 0; i < 20; i++)
		add_xattr(&entries[i], "user.large", value, TREE_XATTRS_MAX - 10);
	buffer_clear(&plain);
	assert_int_equal(tree_encode(list, 20, &plain), 4);
	assert_true(plain.len < BLOB_MAX);
	assert_int_equal(tree_decode(plain.data, plain.len, &decoded, &count, &err), 0);
	assert_int_equal(count, 4);
	tree_entries_free(decoded, count);
	tree_entries_free(entries, n);
	free(list);
	free(value);
	buffer_done(&plain);
}

/* A stored folder of 3,000 names in parts of 300, "0000", "0002", ... */
#define NAMES 3000u
#define PART 300u

struct stored {
	char *folder;
	struct repository *repo;
	struct blob_id parts[NAMES / PART];
	struct blob_id root;
};

static void
store_part(struct writer *writer, struct entry *entries, size_t count, struct blob_id *ret)
{
	struct entry **list = mem_calloc(count, sizeof(*list));
	struct buffer plain = BUFFER_INIT;
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < count; i++)
		list[i] = &entries[i];
	assert_int_equal(tree_encode(list, count, &plain), count);
	assert_int_equal(writer_put_meta(writer, BLOB_TREE, plain.data, plain.len, ret, &err), 0);
	buffer_done(&plain);
	free(list);
}

static int
setup(void **state)
{
	struct writer_options how = { .threads = 1 };
	struct stored *s = MEM_NEW(struct stored);
	struct entry *entries = mem_calloc(NAMES, sizeof(*entries)), top[2];
	struct error err = ERROR_INIT;
	struct writer_totals totals;
	struct writer *writer;
	char *path, name[20];

	s->folder = test_folder_new();
	path = test_path(s->folder, "repository");
	test_repository_make(path);
	s->repo = test_repository_open(path, NULL, &err);
	free(path);
	if (s->repo == NULL || writer_begin(s->repo, &how, &writer, &err) != 0)
		return -1;
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%04u", 2 * i);
		set_name(&entries[i], name);
		entries[i].kind = ENTRY_FIFO;
		entries[i].inode = i;
	}
	for (unsigned p = 0; p < NAMES / PART; p++)
		store_part(writer, entries + p * PART, PART, &s->parts[p]);
	tree_entries_free(entries, NAMES);
	entry_init(&top[0]);
	set_name(&top[0], "file");
	entry_init(&top[1]);
	set_name(&top[1], "large");
	top[1].kind = ENTRY_DIRECTORY;
	top[1].content = mem_dup(s->parts, sizeof(s->parts));
	top[1].content_count = ARRAY_LEN(s->parts);
	store_part(writer, top, 2, &s->root);
	entry_done(&top[0]);
	entry_done(&top[1]);
	*state = s;
	return writer_finish(writer, &totals, &err);
}

static int
teardown(void **state)
{
	struct stored *s = *state;

	repository_close(s->repo);
	test_folder_remove(s->folder);
	free(s);
	return 0;
}

static void
a_cursor_reads_all_parts_in_order(void **state)
{
	struct stored *s = *state;
	struct tree_cursor *cursor;
	const struct entry *entry;
	struct error err = ERROR_INIT;

	assert_int_equal(tree_open(s->repo, s->parts, ARRAY_LEN(s->parts), &cursor, &err), 0);
	for (unsigned i = 0; i < NAMES; i++) {
		assert_int_equal(tree_next(cursor, &entry, &err), 1);
		assert_int_equal(entry->inode, i);
	}
	assert_int_equal(tree_next(cursor, &entry, &err), 0);
	assert_int_equal(tree_next(cursor, &entry, &err), 0);
	tree_close(cursor);
	assert_int_equal(tree_open(s->repo, NULL, 0, &cursor, &err), 0);
	assert_int_equal(tree_next(cursor, &entry, &err), 0);
	assert_int_equal(tree_seek(cursor, "a", 1, &entry, &err), 0);
	tree_close(cursor);
	tree_close(NULL);
}

static void
what_is_taken_from_a_cursor_is_the_takers_and_the_rest_still_comes(void **state)
{
	struct stored *s = *state;
	struct tree_cursor *cursor;
	const struct entry *entry;
	struct error err = ERROR_INIT;
	struct entry taken;
	char name[20];

	assert_int_equal(tree_open(s->repo, s->parts, ARRAY_LEN(s->parts), &cursor, &err), 0);
	for (unsigned i = 0; i < NAMES; i++) {
		assert_int_equal(tree_next(cursor, &entry, &err), 1);
		assert_int_equal(entry->inode, i);
		if (i % 3 == 1)
			continue;
		tree_take(cursor, &taken);
		snprintf(name, sizeof(name), "%04u", 2 * i);
		assert_string_equal(taken.name, name);
		assert_int_equal(taken.inode, i);
		entry_done(&taken);
	}
	assert_int_equal(tree_next(cursor, &entry, &err), 0);
	tree_close(cursor);
}

static void
a_seek_finds_the_first_name_at_or_after(void **state)
{
	struct stored *s = *state;
	struct tree_cursor *cursor;
	const struct entry *entry;
	struct error err = ERROR_INIT;
	char name[20];

	assert_int_equal(tree_open(s->repo, s->parts, ARRAY_LEN(s->parts), &cursor, &err), 0);
	for (unsigned i = 0; i < 2 * NAMES - 1; i += 97) {
		snprintf(name, sizeof(name), "%04u", i);
		assert_int_equal(tree_seek(cursor, name, 4, &entry, &err), 1);
		assert_int_equal(entry->inode, (i + 1) / 2);
		/* And goes on from there. */
		if ((i + 1) / 2 + 1 < NAMES) {
			assert_int_equal(tree_next(cursor, &entry, &err), 1);
			assert_int_equal(entry->inode, (i + 1) / 2 + 1);
		}
	}
	assert_int_equal(tree_seek(cursor, "", 0, &entry, &err), 1);
	assert_int_equal(entry->inode, 0);
	assert_int_equal(tree_seek(cursor, "9", 1, &entry, &err), 0);
	tree_close(cursor);
}

static void
paths_are_found_and_dots_lead_nowhere(void **state)
{
	static const struct {
		const char *path;
		int found;
		enum entry_kind kind;
	} cases[] = { { "/", 1, ENTRY_DIRECTORY }, { "", 1, ENTRY_DIRECTORY },
		{ "//", 1, ENTRY_DIRECTORY }, { "/large", 1, ENTRY_DIRECTORY },
		{ "/large/", 1, ENTRY_DIRECTORY }, { "//large//0600", 1, ENTRY_FIFO },
		{ "/file", 1, ENTRY_FILE }, { "/file/", 1, ENTRY_FILE }, { "/file/x", 0, 0 },
		{ "/large/0601", 0, 0 }, { "/Large", 0, 0 }, { "/large/../file", 0, 0 },
		{ "/./file", 0, 0 }, { "/..", 0, 0 }, { "/large/0600/x", 0, 0 }, { "/fil", 0, 0 } };
	struct stored *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		struct entry entry;

		assert_int_equal(tree_lookup(s->repo, &s->root, 1, cases[i].path, &entry, &err),
		    cases[i].found);
		assert_int_equal(err.code, ERROR_NONE);
		if (cases[i].found) {
			assert_int_equal(entry.kind, cases[i].kind);
			entry_done(&entry);
		}
	}
}

static void
a_part_that_is_missing_or_no_part_is_damage(void **state)
{
	struct stored *s = *state;
	struct blob_id missing = some_id(1);
	struct tree_cursor *cursor;
	const struct entry *entry;
	struct error err = ERROR_INIT;
	struct entry found;

	assert_int_equal(tree_open(s->repo, &missing, 1, &cursor, &err), 0);
	assert_int_equal(tree_next(cursor, &entry, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_string_equal(err.message, "blob 010101010101 is missing from the repository");
	tree_close(cursor);
	assert_int_equal(tree_lookup(s->repo, &missing, 1, "/a", &found, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_attribute_of_every_kind_comes_back),
		cmocka_unit_test(a_part_that_was_cut_anywhere_is_refused),
		cmocka_unit_test(a_name_that_is_not_one_component_is_refused),
		cmocka_unit_test(names_out_of_order_or_doubled_are_refused),
		cmocka_unit_test(counts_that_cannot_be_are_refused_before_memory_is_asked_for),
		cmocka_unit_test(an_entry_that_contradicts_itself_is_refused),
		cmocka_unit_test(parts_end_by_names_alone_and_not_too_soon_or_late),
		cmocka_unit_test(an_encoder_takes_no_more_than_a_part_holds),
		cmocka_unit_test_setup_teardown(a_cursor_reads_all_parts_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_taken_from_a_cursor_is_the_takers_and_the_rest_still_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_seek_finds_the_first_name_at_or_after, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(paths_are_found_and_dots_lead_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(a_part_that_is_missing_or_no_part_is_damage, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
