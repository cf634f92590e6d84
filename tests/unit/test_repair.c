/* What can be saved of a damaged repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/check.h"
#include "agent/repository/repair.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"

static void
shell(const struct backup_fixture *f, const char *what)
{
	char *command = mem_printf("cd '%s' && %s", f->repository, what);

	if (system(command) != 0)
		fail_msg("%s", command);
	free(command);
}

/* What a command prints, run in the repository's folder; heap. */
static char *
shell_text(const struct backup_fixture *f, const char *what)
{
	char *command = mem_printf("cd '%s' && %s", f->repository, what), *text;
	struct buffer out = BUFFER_INIT;
	FILE *pipe = popen(command, "r");
	int c;

	assert_non_null(pipe);
	while ((c = fgetc(pipe)) != EOF)
		buffer_put_u8(&out, (uint8_t)c);
	assert_int_equal(pclose(pipe), 0);
	free(command);
	text = mem_strdup(buffer_text(&out));
	buffer_done(&out);
	return text;
}

static char *
all_files(const struct backup_fixture *f)
{
	return shell_text(f, "find . -type f -exec cksum {} + | sort -k 3");
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

static uint64_t
count_errors(struct backup_fixture *f, bool read_data)
{
	struct check_options options = { .read_data = read_data };
	struct check_result result;
	struct error err = ERROR_INIT;
	struct progress progress;
	uint64_t errors;

	progress_init(&progress);
	if (check_run(f->repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s", err.message);
	errors = result.errors;
	check_result_done(&result);
	progress_done(&progress);
	return errors;
}

/* The index, or with snapshots set these. */
struct how {
	bool snapshots, apply, read_data;
};

static void
repair(struct backup_fixture *f, struct how how, struct repair_result *result)
{
	struct error err = ERROR_INIT;
	struct progress progress;
	int rc;

	progress_init(&progress);
	rc = how.snapshots ?
	    repair_snapshots(f->repo, how.apply, how.read_data, &progress, result, &err) :
	    repair_index(f->repo, how.apply, &progress, result, &err);
	if (rc != 0)
		fail_msg("%s", err.message);
	progress_done(&progress);
}

/* Folders with content that cannot be made smaller, so that the data pack is the largest. */
static void
make_source(struct backup_fixture *f)
{
	backup_put(f, "a/same", "same");
	backup_put(f, "b/other", "other");
	shell(f, "head -c 300000 /dev/urandom >../source/a/large");
}

#define LARGEST "$(find packs -type f -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2)"
#define OVERWRITE(at) "printf XXXXXXXX | dd status=none conv=notrunc bs=1 of=" LARGEST " seek=" at

static void
assert_index_is_repaired(struct backup_fixture *f, struct backup_made *made)
{
	struct repair_result result;
	char *path = test_path(f->repository, "index");

	open_anew(f);
	repair(f, (struct how){ .apply = true }, &result);
	assert_int_equal(json_array_size(result.unreadable), 0);
	assert_true(result.packs >= 2);
	assert_true(result.blobs >= 4);
	repair_result_done(&result);
	assert_int_equal(test_folder_count(path), 1);
	/* At once, and for whoever comes later. */
	backup_assert_text(f, made, "a/same", "same");
	open_anew(f);
	backup_assert_text(f, made, "b/other", "other");
	assert_int_equal(count_errors(f, true), 0);
	free(path);
}

static void
a_missing_damaged_or_doubled_index_is_made_anew(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made made, again;

	make_source(f);
	backup_make_well(f, NULL, &made);
	shell(f, "mkdir ../kept; cp index/* ../kept; rm index/*");
	assert_index_is_repaired(f, &made);
	shell(f, "cp ../kept/* index/");
	assert_index_is_repaired(f, &made);
	shell(f, "for i in index/*; do head -c 100 $i >../cut; cp ../cut $i; done");
	assert_index_is_repaired(f, &made);
	/* The next backup finds all that is there. */
	backup_make_well(f, NULL, &again);
	assert_int_equal(again.snapshot->new_files, 0);
	assert_true(again.snapshot->added_bytes < 10000);
	backup_made_done(&made);
	backup_made_done(&again);
}

static void
without_apply_the_index_stays_as_it_is(void **state)
{
	struct backup_fixture *f = *state;
	struct repair_result result;
	struct backup_made made;
	char *before, *after;

	make_source(f);
	backup_make_well(f, NULL, &made);
	before = all_files(f);
	repair(f, (struct how){ .apply = false }, &result);
	assert_true(result.packs >= 2);
	assert_int_equal(result.index_files_removed, 1);
	repair_result_done(&result);
	after = all_files(f);
	assert_string_equal(before, after);
	free(before);
	free(after);
	backup_made_done(&made);
}

static void
an_index_that_alone_knows_a_pack_is_kept(void **state)
{
	struct backup_fixture *f = *state;
	struct repair_result result;
	struct backup_made made;

	make_source(f);
	backup_make_well(f, NULL, &made);
	/* The end of a pack is its directory; its frames are whole. */
	shell(f, OVERWRITE("$(($(stat -c %s " LARGEST ") - 8))"));
	open_anew(f);
	repair(f, (struct how){ .apply = true }, &result);
	assert_int_equal(json_array_size(result.unreadable), 1);
	assert_int_equal(result.index_files_removed, 0);
	repair_result_done(&result);
	open_anew(f);
	backup_assert_text(f, &made, "a/same", "same");
	backup_assert_text(f, &made, "b/other", "other");
	backup_made_done(&made);
}

/* The only snapshot that is repaired; borrowed from the result. */
static const json_t *
only_one(const struct repair_result *result)
{
	assert_int_equal(json_array_size(result->snapshots), 1);
	return json_array_get(result->snapshots, 0);
}

static bool
names(const json_t *repaired, const struct backup_fixture *f, const char *name)
{
	char *path = name[0] != '\0' ? test_path(f->source, "%s", name) : mem_strdup("/");
	bool found = false;
	const json_t *lost;
	size_t i;

	json_array_foreach(json_object_get(repaired, "lost"), i, lost)
		found |= strcmp(json_string_value(lost), path) == 0;
	free(path);
	return found;
}

static void
assert_nothing_to_repair(struct backup_fixture *f)
{
	struct repair_result result;

	open_anew(f);
	repair(f, (struct how){ .snapshots = true, .apply = true, .read_data = true }, &result);
	assert_int_equal(json_array_size(result.snapshots), 0);
	repair_result_done(&result);
}

/* The replacement that the result names. */
static struct snapshot *
replacement_of(struct backup_fixture *f, const json_t *repaired)
{
	struct error err = ERROR_INIT;
	struct snapshot *snapshot;

	if (snapshot_find(f->repo, json_string_value(json_object_get(repaired, "replacement")),
	    &snapshot, &err) != 0)
		fail_msg("%s", err.message);
	return snapshot;
}

static void
whole_snapshots_are_left_alone(void **state)
{
	struct backup_fixture *f = *state;
	struct repair_result result;
	struct backup_made made;
	char *before, *after;

	make_source(f);
	backup_make_well(f, NULL, &made);
	before = shell_text(f, "find . -type f | sort");
	repair(f, (struct how){ .snapshots = true, .apply = true, .read_data = true }, &result);
	assert_int_equal(json_array_size(result.snapshots), 0);
	repair_result_done(&result);
	after = shell_text(f, "find . -type f | sort");
	assert_string_equal(before, after);
	free(before);
	free(after);
	backup_made_done(&made);
}

static void
a_snapshot_that_cannot_be_read_is_named(void **state)
{
	struct backup_fixture *f = *state;
	struct repair_result result;
	struct backup_made made;
	const json_t *named;

	make_source(f);
	backup_make_well(f, NULL, &made);
	shell(f, "truncate -s -1 snapshots/*");
	repair(f, (struct how){ .snapshots = true, .apply = true }, &result);
	assert_int_equal(json_array_size(result.snapshots), 0);
	assert_int_equal(json_array_size(result.unreadable), 1);
	named = json_array_get(result.unreadable, 0);
	assert_string_equal(json_string_value(json_object_get(named, "snapshot")),
	    made.snapshot->id);
	assert_non_null(strstr(json_string_value(json_object_get(named, "problem")), "damaged"));
	repair_result_done(&result);
	backup_made_done(&made);
}

static void
a_missing_pack_costs_its_files_and_no_others(void **state)
{
	struct backup_fixture *f = *state;
	struct repair_result result;
	struct backup_made first, second;
	struct snapshot *left;
	struct backup_made after = { .rc = 0 };
	struct error err = ERROR_INIT;
	char *before, *now, *trash;
	const json_t *repaired;

	backup_put(f, "b/other", "other");
	backup_make_well(f, NULL, &first);
	make_source(f);
	backup_make_well(f, NULL, &second);
	shell(f, "rm " LARGEST);
	open_anew(f);
	before = all_files(f);
	repair(f, (struct how){ .snapshots = true }, &result);
	repaired = only_one(&result);
	assert_string_equal(json_string_value(json_object_get(repaired, "id")),
	    second.snapshot->id);
	assert_null(json_object_get(repaired, "replacement"));
	repair_result_done(&result);
	now = all_files(f);
	assert_string_equal(before, now);

	assert_int_equal(snapshot_pin(f->repo, second.snapshot->id, true, &err), 0);
	repair(f, (struct how){ .snapshots = true, .apply = true }, &result);
	repaired = only_one(&result);
	assert_true(names(repaired, f, "a/large"));
	assert_true(names(repaired, f, "a/same"));
	assert_false(names(repaired, f, "b/other"));
	assert_int_equal(json_integer_value(json_object_get(repaired, "lost_total")), 2);
	left = replacement_of(f, repaired);
	assert_int_equal(left->files, second.snapshot->files - 2);
	assert_int_equal(left->directories, second.snapshot->directories);
	assert_int_equal(left->bytes, strlen("other"));
	assert_int_equal(left->sequence, second.snapshot->sequence);
	assert_string_equal(left->parent, second.snapshot->id);
	assert_true(left->warn);
	assert_true(left->pinned);
	assert_int_equal(left->loss_total, 2);
	after.snapshot = left;
	backup_assert_text(f, &after, "b/other", "other");
	assert_false(backup_holds(f, &after, "a/large"));
	assert_true(backup_holds(f, &after, "a"));
	trash = test_path(f->repository, "trash");
	assert_int_equal(test_folder_count(trash), 1);
	repair_result_done(&result);
	assert_nothing_to_repair(f);
	backup_assert_text(f, &first, "b/other", "other");
	snapshot_free(left);
	free(before);
	free(now);
	free(trash);
	backup_made_done(&first);
	backup_made_done(&second);
}

static void
a_damaged_frame_is_found_by_reading(void **state)
{
	struct backup_fixture *f = *state;
	struct repair_result result;
	struct backup_made made;

	make_source(f);
	backup_make_well(f, NULL, &made);
	shell(f, OVERWRITE("150000"));
	open_anew(f);
	repair(f, (struct how){ .snapshots = true, .apply = true }, &result);
	assert_int_equal(json_array_size(result.snapshots), 0);
	repair_result_done(&result);
	repair(f, (struct how){ .snapshots = true, .apply = true, .read_data = true }, &result);
	assert_true(names(only_one(&result), f, "a/large"));
	repair_result_done(&result);
	assert_nothing_to_repair(f);
	backup_made_done(&made);
}

/* Without what is lost of it, a folder of the second is as it was in the first; but the frame that
 * has this tree is damaged. */
static void
what_is_written_anew_does_not_rely_on_a_damaged_frame(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made first, second, after = { .rc = 0 };
	struct repair_result result;

	backup_put(f, "a/same", "same");
	shell(f, "head -c 300000 /dev/urandom >../source/large");
	backup_make_well(f, NULL, &first);
	shell(f, "find packs -type f -printf '%s %p\\n' | sort -n | head -n 1 | cut -d' ' -f2 "
	    ">../tree-pack");
	shell(f, "head -c 600000 /dev/urandom >../source/a/lost");
	backup_make_well(f, NULL, &second);
	shell(f, "rm " LARGEST);
	shell(f, "printf XXXXXXXX | dd status=none conv=notrunc bs=1 seek=80 of=$(cat ../tree-pack)");
	open_anew(f);
	repair(f, (struct how){ .snapshots = true, .apply = true, .read_data = true }, &result);
	assert_int_equal(json_array_size(result.snapshots), 2);
	after.snapshot = replacement_of(f, json_array_get(result.snapshots, 1));
	assert_int_equal(after.snapshot->files, 2);
	repair_result_done(&result);
	open_anew(f);
	backup_assert_text(f, &after, "a/same", "same");
	assert_false(backup_holds(f, &after, "a/lost"));
	assert_nothing_to_repair(f);
	snapshot_free(after.snapshot);
	backup_made_done(&first);
	backup_made_done(&second);
}

/* Of two backups the second holds a folder's tree of the first, and trees of its own. */
static void
a_lost_tree_costs_its_folder_a_lost_root_everything(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made first, second, after = { .rc = 0 };
	struct repair_result result;
	const json_t *one, *two;

	make_source(f);
	backup_make_well(f, NULL, &first);
	shell(f, "[ $(find packs -type f | wc -l) = 2 ]");
	shell(f, "find packs -type f -printf '%s %p\\n' | sort -n | head -n 1 | cut -d' ' -f2 "
	    ">../tree-pack");
	backup_put(f, "b/other", "another");
	backup_make_well(f, NULL, &second);
	shell(f, "rm \"$(cat ../tree-pack)\"");
	open_anew(f);
	repair(f, (struct how){ .snapshots = true, .apply = true }, &result);
	assert_int_equal(json_array_size(result.snapshots), 2);
	one = json_array_get(result.snapshots, 0);
	two = json_array_get(result.snapshots, 1);
	assert_true(names(one, f, ""));
	assert_int_equal(json_integer_value(json_object_get(one, "lost_total")), 1);
	assert_true(names(two, f, "a"));
	assert_int_equal(json_integer_value(json_object_get(two, "lost_total")), 1);
	after.snapshot = replacement_of(f, one);
	assert_int_equal(after.snapshot->files, 0);
	assert_int_equal(after.snapshot->directories, 0);
	assert_int_equal(after.snapshot->bytes, 0);
	snapshot_free(after.snapshot);
	after.snapshot = replacement_of(f, two);
	assert_int_equal(after.snapshot->files, 1);
	backup_assert_text(f, &after, "b/other", "another");
	assert_false(backup_holds(f, &after, "a/same"));
	snapshot_free(after.snapshot);
	repair_result_done(&result);
	assert_nothing_to_repair(f);
	assert_int_equal(count_errors(f, true), 0);
	backup_made_done(&first);
	backup_made_done(&second);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_missing_damaged_or_doubled_index_is_made_anew),
		CASE(without_apply_the_index_stays_as_it_is),
		CASE(an_index_that_alone_knows_a_pack_is_kept),
		CASE(whole_snapshots_are_left_alone),
		CASE(a_snapshot_that_cannot_be_read_is_named),
		CASE(a_missing_pack_costs_its_files_and_no_others),
		CASE(a_damaged_frame_is_found_by_reading),
		CASE(what_is_written_anew_does_not_rely_on_a_damaged_frame),
		CASE(a_lost_tree_costs_its_folder_a_lost_root_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
