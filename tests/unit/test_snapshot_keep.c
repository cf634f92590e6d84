/* What becomes of snapshots later: pins, the trash, the way back, replacement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/prune.h"
#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot_internal.h"
#include "agent/repository/unique.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/backup_fixture.h"

static const char nobody[] = "0123456789abcdef0123456789abcdef";

static void
forget(struct backup_fixture *f, const char *id)
{
	struct error err = ERROR_INIT;

	if (snapshot_remove(f->repo, id, &err) != 0)
		fail_msg("%s", err.message);
}

static size_t
count_snapshots(struct backup_fixture *f)
{
	struct error err = ERROR_INIT;
	struct snapshot **list;
	size_t count;

	assert_int_equal(snapshot_list(f->repo, &list, &count, NULL, NULL, &err), 0);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return count;
}

static size_t
count_trash(struct backup_fixture *f)
{
	struct error err = ERROR_INIT;
	struct timespec *times;
	struct snapshot **list;
	size_t count;

	assert_int_equal(snapshot_list_trash(f->repo, &list, &times, &count, &err), 0);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	free(times);
	return count;
}

static void
prune(struct backup_fixture *f, const struct prune_options *options)
{
	struct error err = ERROR_INIT;
	struct prune_result result;
	struct progress progress;

	progress_init(&progress);
	if (prune_run(f->repo, options, &progress, &result, &err) != 0)
		fail_msg("%s", err.message);
	prune_result_done(&result);
	progress_done(&progress);
}

static void
a_pinned_snapshot_is_neither_forgotten_nor_pruned_until_it_is_unpinned(void **state)
{
	const struct prune_options keep_one = { .keep = { .last = 1 }, .grace_s = 3600 };
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made first, second;

	backup_put(f, "x", "1");
	backup_make_well(f, NULL, &first);
	backup_make_well(f, NULL, &second);
	assert_int_equal(snapshot_pin(f->repo, first.snapshot->id, true, &err), 0);
	assert_int_equal(snapshot_pin(f->repo, first.snapshot->id, true, &err), 0);
	assert_int_equal(snapshot_remove(f->repo, first.snapshot->id, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "is pinned"));
	assert_string_equal(err.hint, "take the pin away first");
	prune(f, &keep_one);
	assert_int_equal(count_snapshots(f), 2);
	assert_int_equal(snapshot_pin(f->repo, first.snapshot->id, false, &err), 0);
	assert_int_equal(snapshot_pin(f->repo, first.snapshot->id, false, &err), 0);
	prune(f, &keep_one);
	assert_int_equal(count_snapshots(f), 1);
	assert_int_equal(count_trash(f), 1);
	backup_made_done(&first);
	backup_made_done(&second);
}

static void
nothing_cannot_be_pinned(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(snapshot_pin(f->repo, nobody, true, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(snapshot_pin(f->repo, "../keys", true, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(snapshot_pin(f->repo, nobody, false, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void
a_forgotten_snapshot_comes_back_whole_by_the_beginning_of_its_id(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made made;
	struct snapshot *back;
	char id[SNAPSHOT_ID_TEXT_SIZE], prefix[9];
	json_t *before, *after;

	backup_put(f, "x", "the bytes of it");
	backup_make_well(f, NULL, &made);
	before = snapshot_to_json(made.snapshot);
	forget(f, made.snapshot->id);
	assert_int_equal(count_snapshots(f), 0);
	assert_int_equal(count_trash(f), 1);
	memcpy(prefix, made.snapshot->id, 8);
	prefix[8] = '\0';
	if (snapshot_recall(f->repo, prefix, id, &err) != 0)
		fail_msg("%s", err.message);
	assert_string_equal(id, made.snapshot->id);
	assert_int_equal(count_trash(f), 0);
	assert_int_equal(snapshot_find(f->repo, id, &back, &err), 0);
	after = snapshot_to_json(back);
	assert_true(json_equal(before, after));
	backup_assert_text(f, &made, "x", "the bytes of it");
	assert_int_equal(snapshot_recall(f->repo, prefix, id, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	json_decref(before);
	json_decref(after);
	snapshot_free(back);
	backup_made_done(&made);
}

static void
the_trash_tells_when_it_was_forgotten_and_leaves_damage_out(void **state)
{
	static const struct object_id id = { { 0xab, 1 } };
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made made;
	struct snapshot **list;
	struct timespec *times, now = time_now();
	size_t count;
	char *path, back[SNAPSHOT_ID_TEXT_SIZE];
	json_t *broken = json_pack("{s:s, s:{}}", "trashed", "2026-01-01T00:00:00Z", "snapshot");

	backup_make_well(f, NULL, &made);
	forget(f, made.snapshot->id);
	assert_int_equal(sealed_json_write(f->repo, TRASH_FOLDER, SEAL_TRASH, &id, broken, false,
	    &err), 0);
	path = test_path(f->repository, "trash/ffffffffffffffffffffffffffffffff");
	test_file_write(path, "garbage", 7);
	assert_int_equal(snapshot_list_trash(f->repo, &list, &times, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_string_equal(list[0]->id, made.snapshot->id);
	assert_true(times[0].tv_sec >= now.tv_sec - 5 && times[0].tv_sec <= now.tv_sec + 600);
	assert_int_equal(snapshot_recall(f->repo, "ffff", back, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_int_equal(snapshot_recall(f->repo, "ab01", back, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_int_equal(count_snapshots(f), 0);
	snapshot_free(list[0]);
	free(list);
	free(times);
	free(path);
	json_decref(broken);
	backup_made_done(&made);
}

static void
what_has_no_or_no_single_match_is_not_recalled(void **state)
{
	static const struct object_id a = { { 0xab, 0xcd, 1 } }, b = { { 0xab, 0xcd, 2 } };
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made made;
	char id[SNAPSHOT_ID_TEXT_SIZE];
	json_t *trash;

	backup_make_well(f, NULL, &made);
	trash = json_pack("{s:s, s:o}", "trashed", "2026-01-01T00:00:00Z", "snapshot",
	    snapshot_to_json(made.snapshot));
	assert_int_equal(sealed_json_write(f->repo, TRASH_FOLDER, SEAL_TRASH, &a, trash, false,
	    &err), 0);
	assert_int_equal(sealed_json_write(f->repo, TRASH_FOLDER, SEAL_TRASH, &b, trash, false,
	    &err), 0);
	assert_int_equal(snapshot_recall(f->repo, "abcd", id, &err), -1);
	assert_int_equal(err.code, ERROR_AMBIGUOUS);
	assert_string_equal(err.message, "2 forgotten snapshots begin with 'abcd'");
	assert_int_equal(snapshot_recall(f->repo, "abc", id, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(snapshot_recall(f->repo, nobody, id, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(snapshot_recall(f->repo, "abcd02", id, &err), 0);
	assert_int_equal(count_snapshots(f), 2);
	json_decref(trash);
	backup_made_done(&made);
}

static void
without_its_data_it_stays_forgotten_and_nothing_changes(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made made;
	char id[SNAPSHOT_ID_TEXT_SIZE], *command;

	backup_put(f, "x", "1");
	backup_make_well(f, NULL, &made);
	forget(f, made.snapshot->id);
	/* The index still speaks of it. */
	command = mem_printf("find '%s/packs' -type f -delete", f->repository);
	assert_int_equal(system(command), 0);
	assert_int_equal(snapshot_recall(f->repo, made.snapshot->id, id, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_string_equal(err.message, "the snapshot's data was removed already");
	assert_int_equal(count_trash(f), 1);
	assert_int_equal(count_snapshots(f), 0);
	free(command);
	backup_made_done(&made);
}

static void
in_both_places_it_is_not_forgotten(void **state)
{
	struct backup_fixture *f = *state;
	char *path, *copy, id[SNAPSHOT_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct backup_made made;

	backup_put(f, "x", "1");
	backup_make_well(f, NULL, &made);
	path = test_path(f->repository, "snapshots/%s", made.snapshot->id);
	copy = test_path(f->folder, "copy");
	test_folder_copy(path, copy);
	forget(f, made.snapshot->id);
	test_folder_copy(copy, path);
	assert_int_equal(count_snapshots(f), 1);
	assert_int_equal(count_trash(f), 0);
	/* It can be brought back all the same, and then lies in one place. */
	assert_int_equal(snapshot_recall(f->repo, made.snapshot->id, id, &err), 0);
	forget(f, made.snapshot->id);
	assert_int_equal(count_trash(f), 1);
	free(path);
	free(copy);
	backup_made_done(&made);
}

static void
a_replacement_takes_the_place_in_the_order_and_the_pin(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made first, second;
	struct snapshot *replaced, *found, **list;
	char old[SNAPSHOT_ID_TEXT_SIZE], *sealed_path;
	size_t count;

	backup_make_well(f, NULL, &first);
	backup_make_well(f, NULL, &second);
	memcpy(old, first.snapshot->id, sizeof(old));
	assert_int_equal(snapshot_pin(f->repo, old, true, &err), 0);
	assert_int_equal(snapshot_find(f->repo, old, &replaced, &err), 0);
	if (snapshot_replace(f->repo, replaced, &err) != 0)
		fail_msg("%s", err.message);
	assert_string_not_equal(replaced->id, old);
	assert_int_equal(snapshot_list(f->repo, &list, &count, NULL, NULL, &err), 0);
	assert_int_equal(count, 2);
	assert_string_equal(list[0]->id, replaced->id);
	assert_int_equal(list[0]->sequence, first.snapshot->sequence);
	assert_true(list[0]->pinned);
	assert_false(list[1]->pinned);
	assert_int_equal(snapshot_find(f->repo, "latest", &found, &err), 0);
	assert_string_equal(found->id, second.snapshot->id);
	assert_int_equal(count_trash(f), 1);
	sealed_path = test_path(f->repository, "pins");
	assert_int_equal(test_folder_count(sealed_path), 1);
	free(sealed_path);
	snapshot_free(found);
	snapshot_free(list[0]);
	snapshot_free(list[1]);
	free(list);
	snapshot_free(replaced);
	backup_made_done(&first);
	backup_made_done(&second);
}

static void
assert_alone(struct backup_fixture *f, const struct backup_made *made, uint64_t bytes_least,
    uint64_t bytes_most)
{
	struct error err = ERROR_INIT;
	struct unique_size unique;
	struct progress progress;

	progress_init(&progress);
	if (snapshot_unique_bytes(f->repo, made->snapshot, &progress, &unique, &err) != 0)
		fail_msg("%s", err.message);
	progress_done(&progress);
	if (unique.bytes < bytes_least || unique.bytes > bytes_most)
		fail_msg("holds %llu bytes alone", (unsigned long long)unique.bytes);
	assert_int_equal(unique.blobs == 0, unique.bytes == 0);
}

static void
what_a_snapshot_alone_holds_is_what_no_other_and_no_trash_needs(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made first, second, third;
	char *text = mem_calloc(1, 50001);

	memset(text, 'a', 50000);
	backup_put(f, "shared", text);
	memset(text, 'b', 50000);
	backup_put(f, "own", text);
	backup_make_well(f, NULL, &first);
	/* Alone in the repository: all of it. */
	assert_alone(f, &first, 100000, 105000);
	memset(text, 'c', 50000);
	backup_put(f, "own", text);
	backup_make_well(f, NULL, &second);
	assert_alone(f, &first, 50000, 55000);
	assert_alone(f, &second, 50000, 55000);
	/* The same again holds nothing alone, and neither does what it equals. */
	backup_make_well(f, NULL, &third);
	assert_alone(f, &second, 0, 0);
	assert_alone(f, &third, 0, 0);
	assert_alone(f, &first, 50000, 55000);
	/* What lies in the trash may come back. */
	forget(f, third.snapshot->id);
	assert_alone(f, &second, 0, 0);
	free(text);
	backup_made_done(&first);
	backup_made_done(&second);
	backup_made_done(&third);
}

static void
a_snapshot_that_cannot_be_read_makes_no_wrong_size(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made first, second;
	struct unique_size unique;
	struct progress progress;
	char *path;

	backup_make_well(f, NULL, &first);
	backup_make_well(f, NULL, &second);
	path = test_path(f->repository, "snapshots/%s", second.snapshot->id);
	test_file_write(path, "garbage", 7);
	progress_init(&progress);
	assert_int_equal(snapshot_unique_bytes(f->repo, first.snapshot, &progress, &unique, &err),
	    -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	progress_done(&progress);
	free(path);
	backup_made_done(&first);
	backup_made_done(&second);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_pinned_snapshot_is_neither_forgotten_nor_pruned_until_it_is_unpinned),
		CASE(nothing_cannot_be_pinned),
		CASE(a_forgotten_snapshot_comes_back_whole_by_the_beginning_of_its_id),
		CASE(the_trash_tells_when_it_was_forgotten_and_leaves_damage_out),
		CASE(what_has_no_or_no_single_match_is_not_recalled),
		CASE(without_its_data_it_stays_forgotten_and_nothing_changes),
		CASE(in_both_places_it_is_not_forgotten),
		CASE(a_replacement_takes_the_place_in_the_order_and_the_pin),
		CASE(what_a_snapshot_alone_holds_is_what_no_other_and_no_trash_needs),
		CASE(a_snapshot_that_cannot_be_read_makes_no_wrong_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
