/*
 * Fewer, larger index files.
 *
 * Each backup leaves an index file; opening a repository reads the head of every one. Once
 * MERGE_FILES of about the same size have gathered, they become one, so their number grows with
 * the logarithm of the backups.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/index_merge.h"
#include "shared/mem.h"

#define MERGE_FILES 16
/* So many at once: a page of each is in memory. */
#define MERGE_FILES_MAX 64

struct candidate {
	struct index_file *file;
	unsigned tier;
};

/* Files of up to 16, 256, 4096, ... packs. */
static unsigned
tier_of(size_t packs)
{
	unsigned tier = 0;

	for (; packs > MERGE_FILES; packs /= MERGE_FILES)
		tier++;
	return tier;
}

/* The heads of all index files that can be read. */
static struct candidate *
read_candidates(struct repository *repo, const struct object_names *names, size_t *ret_count)
{
	struct candidate *list = mem_calloc(names->count, sizeof(*list));
	struct object_id id;
	struct error ignored;

	*ret_count = 0;
	for (size_t i = 0; i < names->count; i++) {
		struct candidate *candidate = &list[*ret_count];

		if (index_name_parse(names->list[i], &id) != 0 ||
		    index_read_header(repo->storage, repo->keys, &id, &candidate->file,
		        &ignored) != 0)
			continue;
		candidate->tier = tier_of(candidate->file->pack_count);
		(*ret_count)++;
	}
	return list;
}

/* -1 if one cannot be read: then nothing is merged, and check tells what is wrong. */
static int
merge_tier(struct repository *repo, const struct candidate *list, size_t count, unsigned tier,
    struct error *err)
{
	struct index_file *files[MERGE_FILES_MAX] = { NULL };
	struct object_id id;
	char name[INDEX_NAME_SIZE];
	size_t file_count = 0;
	int rc;

	for (size_t i = 0; i < count && file_count < MERGE_FILES_MAX; i++)
		if (list[i].tier == tier)
			files[file_count++] = list[i].file;
	rc = index_join(repo->storage, repo->keys, files, file_count, &id, err);
	/* If interrupted here, the packs are covered twice, which does no harm. */
	for (size_t i = 0; i < file_count && rc == 0; i++) {
		index_name(&files[i]->id, name);
		rc = storage_remove(repo->storage, name, err);
	}
	return rc;
}

/* 1 if files of some tier were merged, 0 if there is nothing to merge, -1. */
static int
merge_once(struct repository *repo, struct error *err)
{
	struct object_names names;
	struct candidate *list;
	size_t count;
	int rc = 0;

	if (object_names_read(repo->storage, "index", &names, err) != 0)
		return -1;
	if (names.count < MERGE_FILES) {
		object_names_done(&names);
		return 0;
	}
	list = read_candidates(repo, &names, &count);
	object_names_done(&names);
	for (unsigned tier = 0; tier < 8; tier++) {
		size_t members = 0;

		for (size_t i = 0; i < count; i++)
			members += list[i].tier == tier;
		if (members >= MERGE_FILES) {
			rc = merge_tier(repo, list, count, tier, err) == 0 ? 1 : -1;
			break;
		}
	}
	for (size_t i = 0; i < count; i++)
		index_file_free(list[i].file);
	free(list);
	return rc;
}

int
index_merge(struct repository *repo, struct error *err)
{
	int rc;

	while ((rc = merge_once(repo, err)) == 1)
		;
	return rc;
}
