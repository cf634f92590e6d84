/*
 * A tree part from a repository.  What decodes must keep the promises of tree.h and survive being
 * encoded and decoded again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/tree.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_entry(const struct entry *entry, const struct entry *before)
{
	uint64_t end = 0;

	assert(entry_name_is_valid(entry->name, entry->name_len));
	assert(strlen(entry->name) == entry->name_len);
	assert(before == NULL || strcmp(before->name, entry->name) < 0);
	assert(entry->kind < ENTRY_KIND_COUNT && (entry->mode & ~07777u) == 0);
	assert(entry->mtime.tv_nsec >= 0 && entry->mtime.tv_nsec < 1000000000);
	assert(entry->ctime.tv_nsec >= 0 && entry->ctime.tv_nsec < 1000000000);
	assert(entry->kind != ENTRY_SYMLINK || strlen(entry->target) == entry->target_len);
	for (size_t i = 0; i < entry->extent_count; i++) {
		assert(entry->extents[i].offset >= end);
		end = entry->extents[i].offset + entry->extents[i].len;
		assert(end <= entry->size);
	}
	for (size_t i = 0; i < entry->xattr_count; i++)
		assert(strlen(entry->xattrs[i].name) > 0);
}

static void
check_again(struct entry *entries, size_t count)
{
	struct entry **list = mem_calloc(count, sizeof(*list)), *again;
	struct buffer buf = BUFFER_INIT;
	struct error err = ERROR_INIT;
	size_t taken, again_count;

	for (size_t i = 0; i < count; i++)
		list[i] = &entries[i];
	taken = tree_encode(list, count, &buf);
	assert(taken <= count && (taken > 0 || count == 0));
	assert(tree_decode(buf.data, buf.len, &again, &again_count, &err) == 0);
	assert(again_count == taken);
	for (size_t i = 0; i < taken; i++) {
		assert(strcmp(again[i].name, entries[i].name) == 0);
		assert(again[i].kind == entries[i].kind && again[i].size == entries[i].size);
		assert(again[i].mtime.tv_sec == entries[i].mtime.tv_sec);
		assert(again[i].ctime.tv_sec == entries[i].ctime.tv_sec);
		assert(again[i].content_count == entries[i].content_count);
	}
	tree_entries_free(again, again_count);
	buffer_done(&buf);
	free(list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct entry *entries, copy;
	size_t count;

	if (tree_decode(data, size, &entries, &count, &err) != 0) {
		assert(err.code == ERROR_CORRUPT);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		check_entry(&entries[i], i > 0 ? &entries[i - 1] : NULL);
		entry_copy(&copy, &entries[i]);
		entry_done(&copy);
	}
	check_again(entries, count);
	tree_entries_free(entries, count);
	return 0;
}
