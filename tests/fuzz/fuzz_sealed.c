/*
 * The small sealed objects: marks, trash, pins, claims and snapshots, as raw bytes, or as any text
 * that is sealed as it should be.  The first byte chooses; what is not well formed is left out or
 * refused, whatever asks for it; and what a newer version wrote, by its first bytes, is told.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/repository/claim.h"
#include "agent/repository/prune_internal.h"
#include "agent/repository/sealed_json.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_repository.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *folder;
	enum seal_type type;
} kinds[] = {
	{ "marks", SEAL_MARKS },
	{ "trash", SEAL_TRASH },
	{ "pins", SEAL_PIN },
	{ "claims", SEAL_CLAIM },
	{ "snapshots", SEAL_SNAPSHOT },
};

static struct {
	char *folder;
	struct repository *repo;
} place;

static void
remove_place(void)
{
	repository_close(place.repo);
	test_folder_remove(place.folder);
}

static void
make_place(void)
{
	struct error err = ERROR_INIT;
	char *path;

	place.folder = test_folder_new_in_memory();
	path = test_path(place.folder, "r");
	test_repository_make(path);
	place.repo = test_repository_open(path, NULL, &err);
	assert(place.repo != NULL);
	free(path);
	atexit(remove_place);
}

static void
put(const char *name, enum seal_type type, const struct object_id *id, bool sealed,
    const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	uint8_t *out = mem_calloc(size + SEAL_OVERHEAD + 8, 1);
	size_t len = size;

	if (sealed) {
		memcpy(out, "HFJSON1\n", 8);
		seal(place.repo->keys, type, id, 0, data, size, out + 8);
		len += 8 + SEAL_OVERHEAD;
	} else if (size > 0) {
		memcpy(out, data, size);
	}
	assert(storage_put_whole(place.repo->storage, name, out, len, true, &err) == 0);
	free(out);
}

/* True if it was done; the only excuse is a newer version. */
static bool
is_done(int rc, const struct error *err)
{
	assert(rc == 0 || err->code == ERROR_UNSUPPORTED);
	return rc == 0;
}

static void
ask_for_marks(void)
{
	struct error err = ERROR_INIT;
	struct marks marks;

	if (is_done(marks_read(place.repo, &marks, &err), &err)) {
		assert(marks.count <= 1);
		marks_done(&marks);
	}
	is_done(prune_load_marks(place.repo, &err), &err);
}

static void
ask_for_trash(void)
{
	char id[SNAPSHOT_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct snapshot **list;
	struct timespec *times;
	size_t count;

	if (!is_done(snapshot_list_trash(place.repo, &list, &times, &count, &err), &err))
		return;
	for (size_t i = 0; i < count; i++) {
		/* Known by the name it has, whatever is written in it. */
		assert(strspn(list[i]->id, "0") == 32);
		snapshot_free(list[i]);
	}
	free(list);
	free(times);
	if (count > 0)
		assert(snapshot_recall(place.repo, "0000", id, &err) == 0);
}

static void
ask_for_claims(void)
{
	struct error err = ERROR_INIT;
	struct claim *claim;
	json_t *list;

	if (is_done(claim_list(place.repo, &list, &err), &err))
		json_decref(list);
	if (claim_take(place.repo, CLAIM_EXCLUSIVE, "fuzz", NULL, 0, NULL, &claim, &err) == 0)
		claim_release(claim);
	else
		assert((err.code == ERROR_CLAIMED || err.code == ERROR_UNSUPPORTED) &&
		    text_is_utf8(err.message, strlen(err.message)));
}

static void
ask_for_snapshots(void)
{
	struct error err = ERROR_INIT;
	struct snapshot **list, *found;
	size_t count;

	assert(snapshot_list(place.repo, &list, &count, NULL, NULL, &err) == 0);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	if (snapshot_find(place.repo, "latest", &found, &err) == 0) {
		assert(strspn(found->id, "0") == 32);
		snapshot_free(found);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct object_id id = { { 0 } };
	struct error err = ERROR_INIT;
	char name[64];
	size_t kind;

	if (size == 0)
		return 0;
	if (place.repo == NULL)
		make_place();
	kind = data[0] / 2 % ARRAY_LEN(kinds);
	sealed_json_name(kinds[kind].folder, &id, name);
	put(name, kinds[kind].type, &id, data[0] % 2 == 0, data + 1, size - 1);
	ask_for_marks();
	ask_for_claims();
	ask_for_snapshots();
	ask_for_trash();
	/* A claim may have been healed away, trash is recalled as a snapshot. */
	storage_remove(place.repo->storage, name, &err);
	sealed_json_name("snapshots", &id, name);
	storage_remove(place.repo->storage, name, &err);
	return 0;
}
