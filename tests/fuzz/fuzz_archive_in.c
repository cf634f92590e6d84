/*
 * A tar from anywhere becomes a snapshot or an error.  What is stored must be readable, name for
 * name, and hold as many entries as the snapshot says; an error leaves no snapshot.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/archive_in.h"
#include "agent/repository/tree.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* So many inputs share a repository, which grows with each. */
#define INPUTS_EACH 500

struct place {
	char *folder;
	struct repository *repo;
	unsigned inputs;
};

struct input {
	const uint8_t *data;
	size_t left;
};

static ssize_t
feed(void *arg, void *buf, size_t size, struct error *err)
{
	struct input *input = arg;
	size_t n = input->left < size ? input->left : size;

	(void)err;
	if (n > 0)
		memcpy(buf, input->data, n);
	input->data += n;
	input->left -= n;
	return (ssize_t)n;
}

static void
refresh(struct place *place)
{
	struct error err = ERROR_INIT;
	char *path;

	if (place->repo != NULL && place->inputs++ < INPUTS_EACH)
		return;
	if (place->repo != NULL)
		repository_close(place->repo);
	test_folder_remove(place->folder);
	place->folder = test_folder_new_in_memory();
	path = test_path(place->folder, "repository");
	test_repository_make(path);
	place->repo = test_repository_open(path, NULL, &err);
	assert(place->repo != NULL);
	place->inputs = 0;
	free(path);
}

/* Decoding checks every promise of tree.h. */
static uint64_t
count_entries(struct repository *repo, const struct blob_id *parts, size_t part_count)
{
	const struct entry *entry;
	struct error err = ERROR_INIT;
	struct tree_cursor *cursor;
	uint64_t count = 0;
	int more;

	assert(tree_open(repo, parts, part_count, &cursor, &err) == 0);
	while ((more = tree_next(cursor, &entry, &err)) == 1) {
		assert(entry->kind < ENTRY_KIND_COUNT);
		assert(entry->nlink < 2 || entry->link_device != 0);
		count++;
		if (entry->kind == ENTRY_DIRECTORY)
			count += count_entries(repo, entry->content, entry->content_count);
	}
	assert(more == 0);
	tree_close(cursor);
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct place place;
	struct input from = { data, size };
	const struct import_input input = { feed, &from };
	struct import_options options = { .name = "/in", .format = IMPORT_TAR, .threads = 1,
		.host = "fuzz" };
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;
	struct progress progress;

	refresh(&place);
	options.spool = place.folder;
	progress_init(&progress);
	if (files_import(place.repo, &options, &input, &progress, &snapshot, &err) == 0) {
		assert(count_entries(place.repo, snapshot->roots, snapshot->root_count) ==
		    snapshot->files + snapshot->directories + snapshot->others);
		assert(snapshot->loss_total == progress.losses.total);
		assert(snapshot_withdraw(place.repo, snapshot, &err) == 0);
		snapshot_free(snapshot);
	} else {
		assert(snapshot == NULL);
		assert(err.code == ERROR_BAD_REQUEST || err.code == ERROR_TOO_LARGE);
	}
	progress_done(&progress);
	return 0;
}
