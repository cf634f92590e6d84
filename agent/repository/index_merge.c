/*
 * Fewer, larger index files.
 *
 * Each backup leaves an index file; opening a repository reads the head of every one. Once
 * MERGE_FILES of about the same size have gathered, they become one, so their number grows with
 * the logarithm of the backups.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/healing.h"
#include "agent/repository/index_merge.h"
#include "shared/mem.h"

#define MERGE_FILES 16

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

/* The directories of all packs of the files of one tier; -1 if one cannot be read: then nothing
 * is merged, and check tells what is wrong. */
static int
read_directories(struct repository *repo, const struct candidate *list, size_t count,
    unsigned tier, struct pack_directory ***ret, size_t *ret_count, struct error *err)
{
	struct pack_directory **directories = NULL;
	size_t cap = 0;

	*ret_count = 0;
	for (size_t i = 0; i < count; i++) {
		for (size_t p = 0; list[i].tier == tier && p < list[i].file->pack_count; p++) {
			MEM_GROW(directories, *ret_count, cap);
			if (repository_read_directory(repo, &list[i].file->packs[p].id,
			    &directories[*ret_count], err) != 0) {
				*ret = directories;
				return -1;
			}
			(*ret_count)++;
		}
	}
	*ret = directories;
	return 0;
}

static int
merge_tier(struct repository *repo, const struct candidate *list, size_t count, unsigned tier,
    struct error *err)
{
	struct pack_directory **directories;
	struct object_id id;
	char name[INDEX_NAME_SIZE];
	size_t directory_count;
	int rc = read_directories(repo, list, count, tier, &directories, &directory_count, err);

	if (rc == 0)
		rc = index_write(repo->storage, repo->keys, directories, directory_count, &id, err);
	/* If interrupted here, the packs are covered twice, which does no harm. */
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (list[i].tier != tier)
			continue;
		index_name(&list[i].file->id, name);
		rc = storage_remove(repo->storage, name, err);
	}
	for (size_t i = 0; i < directory_count; i++)
		pack_directory_free(directories[i]);
	free(directories);
	return rc;
}

int
index_merge(struct repository *repo, struct error *err)
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
			rc = merge_tier(repo, list, count, tier, err);
			break;
		}
	}
	for (size_t i = 0; i < count; i++)
		index_file_free(list[i].file);
	free(list);
	return rc;
}
