/*
 * Blobs that lie in several packs, of which some are damaged: nothing is lost that any of them has
 * whole, and what has it stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/repository/check.h"
#include "agent/repository/prune.h"
#include "agent/repository/repair.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"

/* Each is a blob; together they fill several frames, of which none holds all. */
#define FILES 300

/* Two snapshots of the same source, each with packs of its own. */
struct doubled {
	struct backup_fixture *f;
	struct backup_made made[2];
};

static void
shell(const struct backup_fixture *f, const char *what)
{
	char *command = mem_printf("cd '%s' && %s", f->repository, what);

	if (system(command) != 0)
		fail_msg("%s", command);
	free(command);
}

/* As another process would find it. */
static void
open_anew(struct backup_fixture *f)
{
	struct error err = ERROR_INIT;

	repository_close(f->repo);
	f->repo = test_repository_open(f->repository, NULL, &err);
	if (f->repo == NULL)
		fail_msg("%s", err.message);
}

static int
setup(void **state)
{
	struct doubled *d = MEM_NEW(struct doubled);
	void *f;

	if (backup_fixture_setup(&f) != 0)
		return -1;
	d->f = f;
	shell(d->f, "head -c 6000000 /dev/urandom | (cd ../source && split -a 3 -d -b 20000)");
	backup_make_well(d->f, NULL, &d->made[0]);
	/* Two backups at the same time do not see each other's packs. */
	shell(d->f, "mkdir ../aside && mv packs index snapshots ../aside");
	open_anew(d->f);
	backup_make_well(d->f, NULL, &d->made[1]);
	shell(d->f, "cp -a ../aside/* . && rm -r ../aside");
	open_anew(d->f);
	*state = d;
	return 0;
}

static int
teardown(void **state)
{
	struct doubled *d = *state;
	void *f = d->f;

	backup_made_done(&d->made[0]);
	backup_made_done(&d->made[1]);
	free(d);
	return backup_fixture_teardown(&f);
}

/* Where the content of a file lies: first the place that the index gives. */
static void
find_places(const struct doubled *d, unsigned file, struct blob_place places[2])
{
	struct error err = ERROR_INIT;
	struct blob_place none;
	struct entry entry;
	char name[16];
	size_t cursor = 0;

	snprintf(name, sizeof(name), "x%03u", file);
	assert_int_equal(backup_find(d->f, &d->made[0], name, &entry), 1);
	assert_int_equal(entry.content_count, 1);
	assert_int_equal(repository_load_index(d->f->repo, &err), 0);
	assert_int_equal(repository_find_blob(d->f->repo, &entry.content[0], &places[0], &err), 1);
	assert_int_equal(repository_next_copy(d->f->repo, &entry.content[0], &cursor, &places[1]), 1);
	assert_int_equal(repository_next_copy(d->f->repo, &entry.content[0], &cursor, &none), 0);
	assert_memory_not_equal(&places[0].pack, &places[1].pack, sizeof(places[0].pack));
	entry_done(&entry);
}

static char *
pack_path(const struct doubled *d, const struct blob_place *place)
{
	char name[PACK_NAME_SIZE];

	pack_name(&place->pack, name);
	return test_path(d->f->repository, "%s", name);
}

static void
spoil_at(const char *path, uint64_t at)
{
	size_t len;
	uint8_t *data = test_file_read(path, &len);

	assert_true(at < len);
	data[at] ^= 0x10;
	test_file_write(path, data, len);
	free(data);
}

/* The frame cannot be read any more. */
static void
spoil(const struct doubled *d, const struct blob_place *place)
{
	char *path = pack_path(d, place);

	spoil_at(path, place->frame_offset + place->stored_len / 2);
	free(path);
}

/* The pack does not say any more what it holds. */
static void
spoil_directory(const struct doubled *d, const struct blob_place *place)
{
	char *path = pack_path(d, place);
	size_t len;

	free(test_file_read(path, &len));
	spoil_at(path, len - 8);
	free(path);
}

/* So many files cannot be read as they are in the source. */
static unsigned
count_lost(const struct doubled *d, const struct snapshot *snapshot)
{
	struct test_compared compared = { 0 };

	test_compare(d->f->repo, snapshot, d->f->source, d->f->source, NULL, NULL, &compared);
	assert_int_equal(compared.wrong, 0);
	assert_int_equal(compared.same + compared.unreadable, FILES);
	return compared.unreadable;
}

/* A file can be read as it is in the source. */
static void
assert_file_is_whole(const struct doubled *d, unsigned file)
{
	char *name = mem_printf("x%03u", file), *path = test_path(d->f->source, "%s", name);
	size_t len;
	uint8_t *data = test_file_read(path, &len);

	backup_assert_bytes(d->f, &d->made[0], name, data, len);
	free(data);
	free(name);
	free(path);
}

static void
assert_whole(const struct doubled *d)
{
	open_anew(d->f);
	assert_int_equal(count_lost(d, d->made[0].snapshot), 0);
}

/* What check says of the damaged packs; each is named once.  Returns how many paths suffer. */
static uint64_t
check(const struct doubled *d, size_t expected_damages)
{
	struct check_options options = { .read_data = true, .threads = 2 };
	struct check_result result;
	struct error err = ERROR_INIT;
	struct progress progress;
	uint64_t paths = 0;
	const json_t *damage;
	size_t i;

	open_anew(d->f);
	progress_init(&progress);
	if (check_run(d->f->repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(result.errors, expected_damages);
	assert_int_equal(json_array_size(result.damage), expected_damages);
	json_array_foreach(result.damage, i, damage) {
		const char *object = json_string_value(json_object_get(damage, "object"));

		assert_non_null(strstr(object, "packs/"));
		assert_null(strstr(json_string_value(json_object_get(damage, "problem")), "packs/"));
		paths += (uint64_t)json_integer_value(json_object_get(damage, "path_total"));
		assert_int_equal(json_array_size(json_object_get(damage, "snapshots")) > 0,
		    json_array_size(json_object_get(damage, "paths")) > 0);
	}
	check_result_done(&result);
	progress_done(&progress);
	return paths;
}

/* So many snapshots have something to repair. */
static size_t
count_to_repair(const struct doubled *d, bool apply)
{
	struct repair_result result;
	struct error err = ERROR_INIT;
	struct progress progress;
	size_t count;

	open_anew(d->f);
	progress_init(&progress);
	if (repair_snapshots(d->f->repo, apply, true, &progress, &result, &err) != 0)
		fail_msg("%s", err.message);
	count = json_array_size(result.snapshots);
	repair_result_done(&result);
	progress_done(&progress);
	return count;
}

static void
prune(const struct doubled *d, unsigned rewrite_percent, uint64_t join_packs,
    struct prune_result *result)
{
	struct prune_options options = { .rewrite_percent = rewrite_percent,
		.join_packs = join_packs };
	struct error err = ERROR_INIT;
	struct progress progress;

	open_anew(d->f);
	progress_init(&progress);
	if (prune_run(d->f->repo, &options, &progress, result, &err) != 0)
		fail_msg("prune: %s", err.message);
	progress_done(&progress);
}

/* Nothing is lost, everybody says so, and so it is after everything that moves or removes packs. */
static void
assert_nothing_is_lost(const struct doubled *d, size_t damages)
{
	struct repair_result index;
	struct prune_result pruned;
	struct error err = ERROR_INIT;
	struct progress progress;

	assert_int_equal(check(d, damages), 0);
	assert_int_equal(count_to_repair(d, true), 0);
	assert_whole(d);
	prune(d, 0, 0, &pruned);
	prune_result_done(&pruned);
	assert_whole(d);
	assert_int_equal(count_to_repair(d, false), 0);
	open_anew(d->f);
	progress_init(&progress);
	assert_int_equal(repair_index(d->f->repo, true, &progress, &index, &err), 0);
	progress_done(&progress);
	repair_result_done(&index);
	assert_whole(d);
	prune(d, 1, 2, &pruned);
	prune_result_done(&pruned);
	assert_whole(d);
	assert_int_equal(count_to_repair(d, false), 0);
}

static void
what_the_first_place_lost_the_other_has(void **state)
{
	struct doubled *d = *state;
	struct blob_place places[2];

	find_places(d, 7, places);
	spoil(d, &places[0]);
	assert_nothing_is_lost(d, 1);
}

static void
what_the_other_place_lost_the_first_has(void **state)
{
	struct doubled *d = *state;
	struct blob_place places[2];

	find_places(d, 7, places);
	spoil(d, &places[1]);
	assert_nothing_is_lost(d, 1);
}

static void
each_of_two_damaged_packs_has_what_the_other_lost(void **state)
{
	struct doubled *d = *state;
	struct blob_place of_one[2], of_another[2];
	unsigned another = 0;

	find_places(d, 0, of_one);
	/* One that shares no frame with it. */
	for (unsigned i = 1; i < FILES && another == 0; i++) {
		find_places(d, i, of_another);
		if (of_one[0].frame_offset != of_another[0].frame_offset &&
		    of_one[1].frame_offset != of_another[1].frame_offset)
			another = i;
	}
	assert_int_not_equal(another, 0);
	spoil(d, &of_one[0]);
	spoil(d, &of_another[1]);
	/* Other files may have their places in both of these frames; those two do not. */
	open_anew(d->f);
	assert_file_is_whole(d, 0);
	assert_file_is_whole(d, another);
	/* Now that both packs are known to be damaged. */
	assert_file_is_whole(d, 0);
	assert_file_is_whole(d, another);
}

static void
what_is_damaged_in_both_is_lost_and_named_once(void **state)
{
	struct doubled *d = *state;
	struct blob_place places[2];
	unsigned lost;

	find_places(d, 3, places);
	spoil(d, &places[0]);
	spoil(d, &places[1]);
	open_anew(d->f);
	lost = count_lost(d, d->made[0].snapshot);
	assert_in_range(lost, 1, FILES - 1);
	assert_int_equal(check(d, 2), 2 * lost);
	assert_int_equal(count_to_repair(d, true), 2);
	assert_int_equal(count_to_repair(d, true), 0);
}

static void
a_pack_whose_directory_is_damaged_has_its_copies(void **state)
{
	struct doubled *d = *state;
	struct blob_place places[2];

	find_places(d, 7, places);
	spoil_directory(d, &places[0]);
	assert_int_equal(check(d, 1), 0);
	assert_int_equal(count_to_repair(d, true), 0);
	assert_whole(d);
}

static void
a_pack_that_is_missing_is_missed_by_nobody(void **state)
{
	struct doubled *d = *state;
	struct blob_place places[2];
	char *path;

	find_places(d, 7, places);
	path = pack_path(d, &places[0]);
	assert_int_equal(unlink(path), 0);
	free(path);
	assert_nothing_is_lost(d, 0);
}

/* Where nothing is damaged, one of the two goes. */
static void
of_two_whole_copies_prune_keeps_one(void **state)
{
	struct doubled *d = *state;
	struct prune_result pruned;

	prune(d, 0, 0, &pruned);
	assert_in_range(pruned.packs_removed, 1, 3);
	prune_result_done(&pruned);
	assert_whole(d);
	assert_int_equal(check(d, 0), 0);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(what_the_first_place_lost_the_other_has),
		CASE(what_the_other_place_lost_the_first_has),
		CASE(each_of_two_damaged_packs_has_what_the_other_lost),
		CASE(what_is_damaged_in_both_is_lost_and_named_once),
		CASE(a_pack_whose_directory_is_damaged_has_its_copies),
		CASE(a_pack_that_is_missing_is_missed_by_nobody),
		CASE(of_two_whole_copies_prune_keeps_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
