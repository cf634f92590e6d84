/*
 * A repository that was made to do harm, by somebody who has its key: whatever reads it says that
 * something is wrong, or makes the best of it; it never ends the process, writes outside the
 * target, or asks for memory without bound.
 *
 * Each case goes through everything that reads, in a process of its own whose memory is measured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "tests/lib/hostile_reading.h"

/* One root with these entries. */
static void
try_entries(struct hostile_fixture *f, const char *name, struct entry *all, size_t count,
    unsigned damage)
{
	struct entry *pointers[8];
	struct hostile hostile;
	struct blob_id root;

	assert_true(count <= ARRAY_LEN(pointers));
	for (size_t i = 0; i < count; i++)
		pointers[i] = &all[i];
	hostile_case_begin(f, &hostile);
	hostile_put_tree(&hostile, pointers, count, &root);
	hostile_case_end(f, &hostile, name, &root, 1, damage);
}

static void
names_that_lead_out_are_refused_everywhere(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} names[] = { { "..", 2 }, { ".", 1 }, { "", 0 }, { "/x", 2 }, { "a/b", 3 },
		{ "../x", 4 }, { "..\0", 3 }, { "a\0b", 3 } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct entry entry = hostile_entry(ENTRY_SYMLINK, "x");
		char what[40];

		entry.name = (char *)(uintptr_t)names[i].name;
		entry.name_len = names[i].len;
		entry.target = (char *)(uintptr_t)"/tmp";
		entry.target_len = 4;
		snprintf(what, sizeof(what), "name %zu '%s'", i, names[i].name);
		try_entries(*state, what, &entry, 1, HOSTILE_TREE);
	}
}

static void
names_twice_or_out_of_order_are_refused_everywhere(void **state)
{
	struct entry twice[2] = { hostile_entry(ENTRY_SYMLINK, "a"), hostile_entry(ENTRY_DIRECTORY, "a") };
	struct entry swapped[2] = { hostile_entry(ENTRY_FIFO, "b"), hostile_entry(ENTRY_FIFO, "a") };

	twice[0].target = (char *)(uintptr_t)"..";
	twice[0].target_len = 2;
	try_entries(*state, "a symlink and a folder of one name", twice, 2, HOSTILE_TREE);
	try_entries(*state, "names out of order", swapped, 2, HOSTILE_TREE);
}

/* The parts of one folder, each in order by itself. */
static void
parts_that_repeat_names_are_refused_everywhere(void **state)
{
	struct hostile_fixture *f = *state;
	struct entry link = hostile_entry(ENTRY_SYMLINK, "a");
	struct entry folder = hostile_entry(ENTRY_DIRECTORY, "a"),
		inner = hostile_entry(ENTRY_FIFO, "canary"), later = hostile_entry(ENTRY_FIFO, "b"),
		*pointer = &inner;
	struct blob_id parts[3], below;
	struct hostile hostile;

	link.target = (char *)(uintptr_t)"..";
	link.target_len = 2;
	hostile_case_begin(f, &hostile);
	hostile_put_tree(&hostile, &pointer, 1, &below);
	folder.content = &below;
	folder.content_count = 1;
	pointer = &link;
	hostile_put_tree(&hostile, &pointer, 1, &parts[0]);
	pointer = &folder;
	hostile_put_tree(&hostile, &pointer, 1, &parts[1]);
	hostile_case_end(f, &hostile, "a symlink in one part, what lies below it in another", parts, 2,
	    HOSTILE_PARTS);

	hostile_case_begin(f, &hostile);
	pointer = &later;
	hostile_put_tree(&hostile, &pointer, 1, &parts[0]);
	parts[1] = parts[0];
	hostile_case_end(f, &hostile, "a part twice", parts, 2, HOSTILE_PARTS);

	hostile_case_begin(f, &hostile);
	hostile_put_tree(&hostile, &pointer, 1, &parts[0]);
	pointer = &inner;
	hostile_put_tree(&hostile, &pointer, 1, &parts[1]);
	inner.name = (char *)(uintptr_t)"a";
	inner.name_len = 1;
	hostile_put_tree(&hostile, &pointer, 1, &parts[1]);
	hostile_case_end(f, &hostile, "parts out of order", parts, 2, HOSTILE_PARTS);
}

static void
a_folder_whose_tree_is_something_else_is_refused_everywhere(void **state)
{
	static const char bytes[] = "these are no entries at all, but data";
	struct hostile_fixture *f = *state;
	struct entry folder = hostile_entry(ENTRY_DIRECTORY, "a"), *pointer = &folder;
	struct hostile hostile;
	struct blob_id root, inner;

	for (unsigned kind = 0; kind < 4; kind++) {
		hostile_case_begin(f, &hostile);
		if (kind < BLOB_KIND_COUNT) {
			hostile_put(&hostile, kind, bytes, sizeof(bytes), &inner);
		} else {
			/* The name of itself: as near to a loop as hashes allow. */
			memset(&inner, 0x5a, sizeof(inner));
			folder.content = &inner;
			folder.content_count = 1;
			struct buffer tree = BUFFER_INIT;

			(void)tree_encode(&pointer, 1, &tree);
			hostile_put_as(&hostile, &inner, tree.data, tree.len);
			buffer_done(&tree);
		}
		folder.content = &inner;
		folder.content_count = 1;
		hostile_put_tree(&hostile, &pointer, 1, &root);
		hostile_case_end(f, &hostile, kind < BLOB_KIND_COUNT ? "a tree that is none" :
		    "a folder that contains itself", &root, 1, HOSTILE_TREE);
	}
}

/* A tree of one entry of this kind, written by hand up to what is special about it. */
static void
put_head(struct buffer *tree, const char *name, uint8_t head)
{
	buffer_put_u8(tree, 1);
	for (unsigned i = 0; i < 2; i++) { /* owners, groups */
		buffer_put_varint(tree, 1);
		buffer_put_varint(tree, 0);
		buffer_put_bytes(tree, "", 0);
	}
	buffer_put_varint(tree, 1);
	buffer_put_bytes(tree, name, strlen(name));
	buffer_put_u8(tree, head);
	buffer_put_varint(tree, 0644);
	buffer_put_varint(tree, 0); /* owner, group */
	buffer_put_varint(tree, 0);
	for (unsigned i = 0; i < 2; i++) { /* mtime, ctime */
		buffer_put_signed(tree, 0);
		buffer_put_varint(tree, 0);
	}
	buffer_put_varint(tree, 1); /* inode */
}

/* Where a count of 2^63 may stand in a tree. */
static void
put_huge(struct buffer *tree, unsigned place)
{
	const uint64_t huge = UINT64_C(1) << 63;

	switch (place) {
	case 0: /* owners */
		buffer_put_u8(tree, 1);
		buffer_put_varint(tree, huge);
		break;
	case 1: /* entries */
		buffer_put_u8(tree, 1);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, huge);
		break;
	case 2: /* length of a name */
		buffer_put_u8(tree, 1);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, 1);
		buffer_put_varint(tree, huge);
		break;
	case 3: /* links */
		put_head(tree, "a", 16);
		buffer_put_varint(tree, huge);
		break;
	case 4: /* size */
		put_head(tree, "a", 0);
		buffer_put_varint(tree, huge);
		break;
	case 5: /* extents */
		put_head(tree, "a", 8);
		buffer_put_varint(tree, 1);
		buffer_put_varint(tree, huge);
		break;
	case 6: /* an extent */
		put_head(tree, "a", 8);
		buffer_put_varint(tree, INT64_MAX);
		buffer_put_varint(tree, 2);
		buffer_put_varint(tree, INT64_MAX);
		buffer_put_varint(tree, huge);
		break;
	case 7: /* content */
		put_head(tree, "a", 0);
		buffer_put_varint(tree, 1);
		buffer_put_u8(tree, 0);
		buffer_put_varint(tree, huge);
		break;
	case 8: /* parts */
		put_head(tree, "a", 1);
		buffer_put_varint(tree, huge);
		break;
	case 9: /* target */
		put_head(tree, "a", 2);
		buffer_put_varint(tree, huge);
		break;
	case 10: /* device */
		put_head(tree, "a", 4);
		buffer_put_varint(tree, huge);
		break;
	case 11: /* extended attributes */
		put_head(tree, "a", 3 | 32);
		buffer_put_varint(tree, huge);
		break;
	default: /* the value of one: 64 MiB */
		put_head(tree, "a", 3 | 32);
		buffer_put_varint(tree, 1);
		buffer_put_bytes(tree, "user.a", 6);
		buffer_put_varint(tree, place == 12 ? huge : 64u << 20);
		break;
	}
}

static void
counts_without_end_are_refused_everywhere(void **state)
{
	struct hostile_fixture *f = *state;

	for (unsigned place = 0; place < 14; place++) {
		struct buffer tree = BUFFER_INIT;
		struct hostile hostile;
		struct blob_id root;
		char what[40];

		put_huge(&tree, place);
		/* What the counts speak of begins, but does not go on. */
		for (unsigned i = 0; i < 100; i++)
			buffer_put_u8(&tree, 1);
		snprintf(what, sizeof(what), "a count of 2^63 at place %u", place);
		hostile_case_begin(f, &hostile);
		hostile_put(&hostile, BLOB_TREE, tree.data, tree.len, &root);
		hostile_case_end(f, &hostile, what, &root, 1, HOSTILE_TREE);
		buffer_done(&tree);
	}
}

/* 100,000 folders, each in the one before. */
static void
folders_nest_as_deeply_as_somebody_likes(void **state)
{
	struct hostile_fixture *f = *state;
	struct entry folder = hostile_entry(ENTRY_DIRECTORY, "d"), *pointer = &folder;
	struct hostile hostile;
	struct blob_id id;

	hostile_case_begin(f, &hostile);
	for (unsigned level = 0; level < 100000; level++) {
		struct blob_id below = id;

		if (level > 0) {
			folder.content = &below;
			folder.content_count = 1;
		}
		hostile_put_tree(&hostile, &pointer, 1, &id);
	}
	hostile_case_end(f, &hostile, "100,000 folders in each other", &id, 1, HOSTILE_ENDLESS);
}

/* Two folders that are the same, in two folders that are the same, ...: 2^40 paths, and each
 * has a file with several names. */
static void
few_trees_make_a_trillion_paths(void **state)
{
	struct hostile_fixture *f = *state;
	struct entry file = hostile_entry(ENTRY_FILE, "c"), a = hostile_entry(ENTRY_DIRECTORY, "a"),
		b = hostile_entry(ENTRY_DIRECTORY, "b"), *three[3] = { &a, &b, &file };
	struct hostile hostile;
	struct blob_id id;

	file.nlink = UINT32_MAX;
	file.link_device = file.inode = 1;
	hostile_case_begin(f, &hostile);
	for (unsigned level = 0; level < 40; level++) {
		struct blob_id below = id;

		if (level > 0) {
			a.content = b.content = &below;
			a.content_count = b.content_count = 1;
		}
		hostile_put_tree(&hostile, three, 3, &id);
	}
	hostile_case_end(f, &hostile, "2^40 paths", &id, 1, HOSTILE_ENDLESS);
}

static void
links_devices_and_owners_do_what_they_may(void **state)
{
	struct hostile_fixture *f = *state;
	struct entry all[7] = { hostile_entry(ENTRY_FILE, "a"), hostile_entry(ENTRY_SYMLINK, "b"),
		hostile_entry(ENTRY_CHARACTER, "c"), hostile_entry(ENTRY_FIFO, "d"),
		hostile_entry(ENTRY_SYMLINK, "e"), hostile_entry(ENTRY_FILE, "f"),
		hostile_entry(ENTRY_BLOCK, "g") };
	struct xattr big = { (char *)(uintptr_t)"user.big", NULL, 1000000 };

	/* Of many kinds, and all of them one file. */
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		all[i].nlink = 7;
		all[i].inode = all[i].link_device = 99;
		all[i].mode = 06777;
		all[i].uid = all[i].gid = UINT32_MAX;
	}
	all[1].target = all[4].target = (char *)(uintptr_t)"../canary";
	all[1].target_len = all[4].target_len = 9;
	all[2].device_major = all[6].device_major = UINT32_MAX;
	all[6].mtime.tv_sec = INT64_MAX;
	all[5].mtime.tv_sec = INT64_MIN;
	big.value = mem_calloc(big.len, 1);
	all[3].xattrs = &big;
	all[3].xattr_count = 1;
	try_entries(f, "links over kinds", all, ARRAY_LEN(all), HOSTILE_ANYTHING);
	/* The same with a symlink first, and a folder that claims to be a link. */
	all[0] = hostile_entry(ENTRY_SYMLINK, "a");
	all[0].target = (char *)(uintptr_t)"/etc/passwd";
	all[0].target_len = 11;
	all[0].nlink = 7;
	all[0].inode = all[0].link_device = 99;
	try_entries(f, "a symlink that is a file, too", all, ARRAY_LEN(all),
	    HOSTILE_ANYTHING);
	free(big.value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_lead_out_are_refused_everywhere),
		cmocka_unit_test(names_twice_or_out_of_order_are_refused_everywhere),
		cmocka_unit_test(parts_that_repeat_names_are_refused_everywhere),
		cmocka_unit_test(a_folder_whose_tree_is_something_else_is_refused_everywhere),
		cmocka_unit_test(counts_without_end_are_refused_everywhere),
		cmocka_unit_test(folders_nest_as_deeply_as_somebody_likes),
		cmocka_unit_test(few_trees_make_a_trillion_paths),
		cmocka_unit_test(links_devices_and_owners_do_what_they_may),
	};

	return cmocka_run_group_tests_name("hostile trees", tests, hostile_fixture_setup,
	    hostile_fixture_teardown);
}
