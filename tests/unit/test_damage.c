/*
 * A damaged repository: flipped bits, cut, emptied, missing and foreign objects.  Whatever is
 * damaged is found by check, or harmless; nothing wrong is ever given back, and every file that has
 * no byte in the damaged place is given back as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/repository/check.h"
#include "agent/repository/pack.h"
#include "agent/repository/prune_internal.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_repository.h"

/* One bit is flipped in every so many bytes; fewer within objects smaller than this. */
#define STEP 4096
/* At both ends of each object, where headers and trailers lie, it is every so many bytes. */
#define END_STEP 5
#define ENDS 60

/* A pack of more bytes than this is the one with the files' data. */
#define MANY 100000

/* Where in the repository something lies that an entry needs. */
struct need {
	char *path; /* of the entry, or of the folder above all that lies in it */
	char pack[PACK_NAME_SIZE];
	uint64_t start, end; /* bytes */
};

struct fixture {
	char *folder, *source, *repository;
	struct snapshot *snapshot;
	unsigned entries; /* in the source */
	struct need *needs;
	size_t need_count, need_cap;
	char **objects; /* all names in the repository */
	uint64_t *sizes;
	size_t object_count, object_cap;
};

static void
note_need(struct fixture *f, struct repository *repo, const struct blob_id *id, const char *path)
{
	struct error err = ERROR_INIT;
	struct blob_place place;
	struct need *need;

	assert_int_equal(repository_find_blob(repo, id, &place, &err), 1);
	MEM_GROW(f->needs, f->need_count, f->need_cap);
	need = &f->needs[f->need_count++];
	need->path = mem_strdup(path);
	pack_name(&place.pack, need->pack);
	need->start = place.frame_offset;
	need->end = need->start + place.stored_len;
}

static void
note_folder(struct fixture *f, struct repository *repo, const struct blob_id *parts,
    size_t part_count, const char *folder)
{
	struct error err = ERROR_INIT;
	struct tree_cursor *cursor;
	const struct entry *entry;

	for (size_t i = 0; i < part_count; i++)
		note_need(f, repo, &parts[i], folder);
	assert_int_equal(tree_open(repo, parts, part_count, &cursor, &err), 0);
	while (tree_next(cursor, &entry, &err) == 1) {
		char *path = strcmp(folder, "/") == 0 ? mem_printf("/%s", entry->name) :
		    test_path(folder, "%s", entry->name);

		assert_int_equal(entry->depth, 0);
		if (entry->kind == ENTRY_DIRECTORY)
			note_folder(f, repo, entry->content, entry->content_count, path);
		else
			for (size_t i = 0; i < entry->content_count; i++)
				note_need(f, repo, &entry->content[i], path);
		f->entries += strncmp(path, f->source, strlen(f->source)) == 0 &&
		    path[strlen(f->source)] == '/';
		free(path);
	}
	tree_close(cursor);
}

static int
note_object(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct fixture *f = arg;
	size_t cap = f->object_cap;

	(void)err;
	MEM_GROW(f->objects, f->object_count, f->object_cap);
	if (cap != f->object_cap)
		f->sizes = mem_realloc(f->sizes, f->object_cap, sizeof(*f->sizes));
	f->sizes[f->object_count] = size;
	f->objects[f->object_count++] = mem_strdup(name);
	return 0;
}

/* One object of every kind: a pin, a mark, a snapshot in the trash. */
static void
make_every_kind(struct fixture *f, struct repository *repo)
{
	struct snapshot *forgotten = NULL;
	struct error err = ERROR_INIT;
	struct object_id nowhere;

	object_id_random(&nowhere);
	if (test_backup(repo, f->source, &forgotten, &err) != 0 ||
	    snapshot_remove(repo, forgotten->id, &err) != 0 ||
	    snapshot_pin(repo, f->snapshot->id, true, &err) != 0 ||
	    mark_write(repo, &nowhere, 1, &err) != 0)
		fail_msg("%s", err.message);
	snapshot_free(forgotten);
}

static int
group_setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;
	struct repository *repo;

	f->folder = test_folder_new_in_memory();
	f->source = test_path(f->folder, "source");
	f->repository = test_path(f->folder, "repository");
	if (mkdir(f->source, 0755) != 0)
		return -1;
	test_source_make(f->source);
	test_repository_make(f->repository);
	repo = test_repository_open(f->repository, NULL, &err);
	if (repo == NULL || test_backup(repo, f->source, &f->snapshot, &err) != 0)
		fail_msg("%s", err.message);
	note_folder(f, repo, f->snapshot->roots, f->snapshot->root_count, "/");
	make_every_kind(f, repo);
	assert_int_equal(storage_list(repository_storage(repo), "", note_object, f, &err), 0);
	repository_close(repo);
	*state = f;
	return 0;
}

static int
group_teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->need_count; i++)
		free(f->needs[i].path);
	for (size_t i = 0; i < f->object_count; i++)
		free(f->objects[i]);
	free(f->needs);
	free(f->objects);
	free(f->sizes);
	snapshot_free(f->snapshot);
	test_folder_remove(f->folder);
	free(f->source);
	free(f->repository);
	free(f);
	return 0;
}

/* Bytes start..end of an object are damaged. */
struct damage {
	const struct fixture *f;
	const char *what;
	const char *object;
	uint64_t start, end;
	unsigned lost; /* entries that were not given back */
};

/* Whether an entry, or a folder on the way to it, has a byte in the damaged place. */
static bool
may_be_lost(const struct damage *damage, const char *path)
{
	for (size_t i = 0; i < damage->f->need_count; i++) {
		const struct need *need = &damage->f->needs[i];
		size_t len = strcmp(need->path, "/") == 0 ? 0 : strlen(need->path);

		if (strncmp(need->path, path, len) == 0 &&
		    (path[len] == '\0' || path[len] == '/') &&
		    strcmp(need->pack, damage->object) == 0 && need->start < damage->end &&
		    damage->start < need->end)
			return true;
	}
	return false;
}

static void
judge_entry(void *arg, const char *path, int status)
{
	struct damage *damage = arg;

	if (status < 0)
		fail_msg("%s: '%s' is wrong", damage->what, path);
	if (status > 0 && !may_be_lost(damage, path))
		fail_msg("%s: '%s' is lost although none of its bytes is damaged", damage->what,
		    path);
	damage->lost += status > 0;
}

static void
count_bad(void *arg, const char *id, const struct error *why)
{
	(void)id;
	assert_int_equal(why->code, ERROR_CORRUPT);
	(*(unsigned *)arg)++;
}

/* What check says: how many errors. */
static uint64_t
check(struct repository *repo, const char *what)
{
	struct check_options options = { .read_data = true, .threads = 1 };
	struct check_result result = { 0 };
	struct progress progress;
	struct error err = ERROR_INIT;
	uint64_t errors;

	progress_init(&progress);
	if (check_run(repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s: check: %s", what, err.message);
	errors = result.errors;
	assert_true(errors == 0 || json_array_size(result.damage) > 0);
	check_result_done(&result);
	progress_done(&progress);
	return errors;
}

/*
 * Read everything that can be read.  Returns whether the damage was noticed by anybody.
 */
static bool
assert_damage_is_bounded(struct damage *damage)
{
	const struct fixture *f = damage->f;
	bool of_snapshot = strncmp(damage->object, "snapshots/", 10) == 0;
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(f->repository, NULL, &err);
	struct test_compared compared = { 0 };
	struct snapshot **list;
	size_t count;
	unsigned bad = 0;
	uint64_t errors;

	if (repo == NULL)
		fail_msg("%s: %s", damage->what, err.message);
	errors = check(repo, damage->what);
	if (snapshot_list(repo, &list, &count, count_bad, &bad, &err) != 0)
		fail_msg("%s: %s", damage->what, err.message);
	assert_int_equal(count, of_snapshot ? 0 : 1);
	if (count == 1)
		test_compare(repo, list[0], f->source, f->source, judge_entry, damage, &compared);
	/* Nothing may be lost that check does not know of. */
	if ((damage->lost > 0 || bad > 0) && errors == 0)
		fail_msg("%s: check found nothing, but %u entries are lost", damage->what,
		    damage->lost);
	if (damage->lost == 0 && count == 1)
		assert_int_equal(compared.same, f->entries);
	/* Who succeeds leaves the error alone, whatever was wrong on the way. */
	if (err.code != ERROR_NONE)
		fail_msg("%s: success, but '%s'", damage->what, err.message);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	repository_close(repo);
	return errors > 0;
}

static void
store(const struct fixture *f, const char *object, const uint8_t *data, size_t len)
{
	char *path = test_path(f->repository, "%s", object);

	test_file_write(path, data, len);
	free(path);
}

static bool
is_in(const char *object, const char *folder)
{
	return strncmp(object, folder, strlen(folder)) == 0;
}

static uint64_t
next_position(uint64_t position, uint64_t size)
{
	uint64_t next = position < ENDS || position + ENDS >= size ? position + END_STEP :
	    (position / STEP + 1) * STEP;

	/* Not past the beginning of the object's last bytes. */
	if (position + ENDS < size && next + ENDS > size)
		next = size - ENDS;
	return next;
}

static void
one_flipped_bit_anywhere_is_found_or_harmless(void **state)
{
	struct fixture *f = *state;
	unsigned cases = 0, found = 0, lost = 0;

	for (size_t i = 0; i < f->object_count; i++) {
		char *path = test_path(f->repository, "%s", f->objects[i]);
		size_t len;
		uint8_t *data = test_file_read(path, &len);

		for (uint64_t at = 0; at < len; at = next_position(at, len), cases++) {
			char *what = mem_printf("bit of byte %llu of %s", (unsigned long long)at,
			    f->objects[i]);
			struct damage damage = { f, what, f->objects[i], at, at + 1, 0 };
			bool noticed;

			data[at] ^= (uint8_t)(1u << (at % 8));
			test_file_write(path, data, len);
			data[at] ^= (uint8_t)(1u << (at % 8));
			noticed = assert_damage_is_bounded(&damage);
			/* Of a key there is a second copy; all else must be noticed. */
			if (!noticed && !is_in(f->objects[i], "keys/"))
				fail_msg("%s: nobody noticed", what);
			found += noticed;
			lost += damage.lost > 0;
			free(what);
		}
		test_file_write(path, data, len);
		free(data);
		free(path);
	}
	print_message("# %u bits flipped: %u found by check, %u of them cost files\n", cases, found,
	    lost);
	assert_true(cases > 300);
}

static void
an_object_cut_short_or_made_longer_is_found(void **state)
{
	struct fixture *f = *state;
	unsigned cases = 0;

	for (size_t i = 0; i < f->object_count; i++) {
		const char *object = f->objects[i];
		char *path = test_path(f->repository, "%s", object);
		size_t len;
		uint8_t *data = test_file_read(path, &len);
		const size_t lengths[] = { 0, 1, len / 3, len - 21, len - 1, len + 1 };

		for (size_t n = 0; n < ARRAY_LEN(lengths); n++, cases++) {
			char *what = mem_printf("%s of %zu bytes, not %zu", object, lengths[n],
			    len);
			struct damage damage = { f, what, object, lengths[n], UINT64_MAX, 0 };

			/* One byte more, for the last of them: test_file_read() left a NUL. */
			store(f, object, data, lengths[n]);
			if (!assert_damage_is_bounded(&damage) && !is_in(object, "keys/"))
				fail_msg("%s: nobody noticed", what);
			free(what);
		}
		store(f, object, data, len);
		free(data);
		free(path);
	}
	print_message("# %u objects of a wrong length\n", cases);
}

static bool
is_needed(const struct fixture *f, const char *pack)
{
	for (size_t i = 0; i < f->need_count; i++)
		if (strcmp(f->needs[i].pack, pack) == 0)
			return true;
	return false;
}

static void
a_missing_object_is_found_or_not_needed(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->object_count; i++) {
		const char *object = f->objects[i];
		char *path = test_path(f->repository, "%s", object);
		char *away = test_path(f->folder, "away");
		struct damage damage = { f, object, object, 0, UINT64_MAX, 0 };
		bool noticed;

		assert_int_equal(rename(path, away), 0);
		noticed = assert_damage_is_bounded(&damage);
		/* What only the trash needs may go unnoticed. */
		if (is_needed(f, object) && (!noticed || damage.lost == 0))
			fail_msg("%s is missing and nobody misses it", object);
		/* The packs speak for themselves. */
		if (is_in(object, "index/"))
			assert_int_equal(damage.lost, 0);
		assert_int_equal(rename(away, path), 0);
		free(path);
		free(away);
	}
}

static void
without_any_index_everything_is_read_and_the_next_backup_is_whole(void **state)
{
	struct fixture *f = *state;
	char *index = test_path(f->repository, "index"), *away = test_path(f->folder, "away");
	struct damage damage = { f, "no index", "index/", 0, UINT64_MAX, 0 };
	struct error err = ERROR_INIT;
	struct test_compared compared;
	struct snapshot *snapshot;
	struct repository *repo;
	char *copy = test_path(f->folder, "copy"), *copied_index = test_path(copy, "index");
	char *command = mem_printf("rm -r '%s'", copied_index);

	assert_int_equal(rename(index, away), 0);
	assert_damage_is_bounded(&damage);
	assert_int_equal(damage.lost, 0);
	assert_int_equal(rename(away, index), 0);

	test_folder_copy(f->repository, copy);
	assert_int_equal(system(command), 0);
	repo = test_repository_open(copy, NULL, &err);
	assert_non_null(repo);
	assert_int_equal(test_backup(repo, f->source, &snapshot, &err), 0);
	test_compare(repo, snapshot, f->source, f->source, NULL, NULL, &compared);
	assert_int_equal(compared.same, f->entries);
	snapshot_free(snapshot);
	repository_close(repo);
	test_folder_remove(copy);
	free(command);
	free(copied_index);
	free(index);
	free(away);
}

static void
a_backup_after_a_lost_pack_stores_what_was_lost_again(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->object_count; i++) {
		char *copy = test_path(f->folder, "copy"), *pack;
		struct error err = ERROR_INIT;
		struct test_compared compared;
		struct snapshot *snapshot;
		struct repository *repo;

		if (is_in(f->objects[i], "packs/")) {
			test_folder_copy(f->repository, copy);
			pack = test_path(copy, "%s", f->objects[i]);
			assert_int_equal(unlink(pack), 0);
			repo = test_repository_open(copy, NULL, &err);
			assert_non_null(repo);
			if (test_backup(repo, f->source, &snapshot, &err) != 0)
				fail_msg("%s is lost: %s", f->objects[i], err.message);
			test_compare(repo, snapshot, f->source, f->source, NULL, NULL, &compared);
			if (compared.same != f->entries)
				fail_msg("%s is lost, and so is %s", f->objects[i], compared.first);
			snapshot_free(snapshot);
			repository_close(repo);
			free(pack);
			test_folder_remove(copy);
		} else {
			free(copy);
		}
	}
}

/* A pack was lost, its blobs were stored again, and the pack came back with damage all over. */
static void
a_damaged_copy_of_a_blob_gives_way_to_a_good_one(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->object_count; i++) {
		char *copy, *pack;
		struct error err = ERROR_INIT;
		struct test_compared compared;
		struct snapshot *snapshot = NULL;
		struct repository *repo;
		uint8_t *data;
		size_t len;

		if (!is_in(f->objects[i], "packs/"))
			continue;
		copy = test_path(f->folder, "copy");
		test_folder_copy(f->repository, copy);
		pack = test_path(copy, "%s", f->objects[i]);
		data = test_file_read(pack, &len);
		assert_int_equal(unlink(pack), 0);
		repo = test_repository_open(copy, NULL, &err);
		assert_non_null(repo);
		assert_int_equal(test_backup(repo, f->source, &snapshot, &err), 0);
		repository_close(repo);
		for (size_t at = 0; at < len; at += 97)
			data[at] ^= 0x55;
		test_file_write(pack, data, len);

		repo = test_repository_open(copy, NULL, &err);
		assert_non_null(repo);
		/* The folders above the source have changed since, so their trees are not all
		 * stored again; but what has a good copy is read from it. */
		test_compare(repo, f->snapshot, f->source, f->source, NULL, NULL, &compared);
		if (compared.wrong > 0 || (len > MANY && compared.same != f->entries))
			fail_msg("%s is damaged: first: %s", f->objects[i], compared.first);
		test_compare(repo, snapshot, f->source, f->source, NULL, NULL, &compared);
		if (compared.same != f->entries)
			fail_msg("%s is damaged: second: %s", f->objects[i], compared.first);
		assert_int_equal(err.code, ERROR_NONE);
		snapshot_free(snapshot);
		repository_close(repo);
		test_folder_remove(copy);
		free(pack);
		free(data);
	}
}

static void
objects_that_swapped_their_names_are_found(void **state)
{
	struct fixture *f = *state;
	unsigned cases = 0;

	for (size_t a = 0; a < f->object_count; a++) {
		for (size_t b = 0; b < a; b++) {
			char *first = test_path(f->repository, "%s", f->objects[a]);
			char *second = test_path(f->repository, "%s", f->objects[b]);
			struct damage damage = { f, "two packs swapped", f->objects[a], 0,
				UINT64_MAX, 0 };
			size_t len_a, len_b;
			uint8_t *data_a = test_file_read(first, &len_a);
			uint8_t *data_b = test_file_read(second, &len_b);

			/* Neither may be taken for the other; what both held may be lost. */
			if (is_in(f->objects[a], "packs/") && is_in(f->objects[b], "packs/")) {
				struct error err = ERROR_INIT;
				struct test_compared compared;
				struct repository *repo;

				test_file_write(first, data_b, len_b);
				test_file_write(second, data_a, len_a);
				repo = test_repository_open(f->repository, NULL, &err);
				assert_non_null(repo);
				assert_true(check(repo, damage.what) >= 2);
				test_compare(repo, f->snapshot, f->source, f->source, NULL, NULL,
				    &compared);
				assert_int_equal(compared.wrong, 0);
				assert_true(compared.unreadable > 0);
				repository_close(repo);
				test_file_write(first, data_a, len_a);
				test_file_write(second, data_b, len_b);
				cases++;
			}
			free(first);
			free(second);
			free(data_a);
			free(data_b);
		}
	}
	assert_true(cases > 0);
}

static void
foreign_files_do_no_harm(void **state)
{
	static const char *const names[] = { "packs/README", "packs/zz", "index/notes",
		"snapshots/x", "keys/x", "claims/x", "lost+found", "packs/00" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = test_path(f->repository, "%s", names[i]);
		char *parent = mem_printf("mkdir -p \"$(dirname '%s')\"", path);
		struct damage damage = { f, names[i], names[i], 0, 0, 0 };

		assert_int_equal(system(parent), 0);
		if (access(path, F_OK) != 0) {
			test_file_write(path, (const uint8_t *)"?", 1);
			damage.object = "none";
			assert_damage_is_bounded(&damage);
			assert_int_equal(damage.lost, 0);
			assert_int_equal(unlink(path), 0);
		}
		free(parent);
		free(path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_flipped_bit_anywhere_is_found_or_harmless),
		cmocka_unit_test(an_object_cut_short_or_made_longer_is_found),
		cmocka_unit_test(a_missing_object_is_found_or_not_needed),
		cmocka_unit_test(without_any_index_everything_is_read_and_the_next_backup_is_whole),
		cmocka_unit_test(a_backup_after_a_lost_pack_stores_what_was_lost_again),
		cmocka_unit_test(a_damaged_copy_of_a_blob_gives_way_to_a_good_one),
		cmocka_unit_test(objects_that_swapped_their_names_are_found),
		cmocka_unit_test(foreign_files_do_no_harm),
	};

	return cmocka_run_group_tests_name("damage", tests, group_setup, group_teardown);
}
