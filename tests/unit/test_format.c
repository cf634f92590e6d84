/* What only a newer version can read is named as that, and nothing of it is taken away. */
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
#include "agent/repository/format.h"
#include "agent/repository/prune.h"
#include "agent/repository/repair.h"
#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot_internal.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"

#define NEWER "made by a newer version of holdfast (format 2); update"

static void
assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' is not in '%s'", part, text);
}

/* Of every file there is, its name and its bytes. */
static char *
all_files(const struct backup_fixture *f)
{
	char *command = mem_printf("cd '%s' && find . -type f ! -path './claims/*' "
	    "-exec cksum {} + | sort -k 3", f->repository), *text;
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

/* A snapshot as the next format might have it; its id. */
static void
put_newer_snapshot(const struct backup_fixture *f, char ret_id[SNAPSHOT_ID_TEXT_SIZE])
{
	json_t *json = json_pack("{s:i, s:s}", "format", 2, "what", "nobody knows yet");
	struct error err = ERROR_INIT;
	struct object_id id;

	object_id_random(&id);
	assert_int_equal(sealed_json_write(f->repo, SNAPSHOT_FOLDER, SEAL_SNAPSHOT, &id, json,
	    false, &err), 0);
	object_id_text(&id, ret_id);
	json_decref(json);
}

/* The first and the last bytes of an object, where they are given. */
static void
overwrite(const char *path, const char *begin, const char *end)
{
	size_t len;
	uint8_t *bytes = test_file_read(path, &len);

	if (begin != NULL)
		memcpy(bytes, begin, 8);
	if (end != NULL)
		memcpy(bytes + len - 8, end, 8);
	test_file_write(path, bytes, len);
	free(bytes);
}

/* The path of the first object of a folder; heap. */
static char *
object_path(const struct backup_fixture *f, const char *folder)
{
	struct object_names names;
	struct error err = ERROR_INIT;
	char *path;

	assert_int_equal(object_names_read(repository_storage(f->repo), folder, &names, &err), 0);
	assert_true(names.count > 0);
	path = test_path(f->repository, "%s", names.list[0]);
	object_names_done(&names);
	return path;
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

/* Check finds no damage, and says of one object that it was not checked. */
static void
assert_check_passes_over(struct backup_fixture *f, const char *object)
{
	struct check_options options = { .read_data = true };
	struct check_result result;
	struct error err = ERROR_INIT;
	struct progress progress;
	bool named = false;

	progress_init(&progress);
	if (check_run(f->repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s", err.message);
	if (result.errors > 0)
		fail_msg("%s", json_dumps(result.damage, 0));
	for (size_t i = 0; i < progress.losses.count; i++)
		named = named || (strstr(progress.losses.list[i].path, object) != NULL &&
		    strstr(progress.losses.list[i].reason, NEWER) != NULL);
	assert_true(named);
	check_result_done(&result);
	progress_done(&progress);
}

/* Neither dry nor in earnest, whatever is to be forgotten. */
static void
assert_prune_refuses(struct backup_fixture *f)
{
	const struct prune_options options[] = { { .keep = { .last = 1 }, .grace_s = 0 },
		{ .grace_s = 0, .join_packs = 2 }, { .grace_s = 0, .dry_run = true },
		{ .grace_s = 0, .part = PRUNE_REMOVE } };
	char *before = all_files(f), *after;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct error err = ERROR_INIT;
		struct prune_result result;
		struct progress progress;

		progress_init(&progress);
		assert_int_equal(prune_run(f->repo, &options[i], &progress, &result, &err), -1);
		progress_done(&progress);
		assert_int_equal(err.code, ERROR_UNSUPPORTED);
		assert_says(err.message, "nothing was removed: ");
		assert_says(err.message, NEWER);
		assert_true(err.hint[0] != '\0');
	}
	after = all_files(f);
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void
repair_all(struct backup_fixture *f, int expected, struct error *err)
{
	struct repair_result result;
	struct progress progress;

	progress_init(&progress);
	assert_int_equal(repair_snapshots(f->repo, true, true, &progress, &result, err), expected);
	if (expected == 0) {
		assert_int_equal(json_array_size(result.snapshots), 0);
		repair_result_done(&result);
	}
	progress_done(&progress);
}

struct named {
	unsigned count;
	struct error why;
	char id[SNAPSHOT_ID_TEXT_SIZE];
};

static void
note(void *arg, const char *id, const struct error *why)
{
	struct named *named = arg;

	named->count++;
	named->why = *why;
	snprintf(named->id, sizeof(named->id), "%s", id);
}

static void
a_snapshot_of_a_newer_format_is_named_and_passed_over(void **state)
{
	struct backup_fixture *f = *state;
	char newer[SNAPSHOT_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct snapshot **list, *found;
	struct named named = { 0 };
	struct backup_made made;
	size_t count;

	backup_put(f, "x", "1");
	backup_make_well(f, NULL, &made);
	put_newer_snapshot(f, newer);
	assert_int_equal(snapshot_list(f->repo, &list, &count, note, &named, &err), 0);
	assert_int_equal(count, 1);
	assert_string_equal(list[0]->id, made.snapshot->id);
	assert_int_equal(named.count, 1);
	assert_string_equal(named.id, newer);
	assert_int_equal(named.why.code, ERROR_UNSUPPORTED);
	assert_says(named.why.message, NEWER);
	assert_int_equal(snapshot_find(f->repo, newer, &found, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_says(err.message, NEWER);
	assert_int_equal(snapshot_find(f->repo, "latest", &found, &err), 0);
	assert_string_equal(found->id, made.snapshot->id);
	snapshot_free(found);
	snapshot_free(list[0]);
	free(list);
	backup_made_done(&made);
}

static void
beside_a_newer_snapshot_nothing_is_forgotten_removed_or_repaired_away(void **state)
{
	struct backup_fixture *f = *state;
	char newer[SNAPSHOT_ID_TEXT_SIZE], *before, *after;
	struct error err = ERROR_INIT;
	struct backup_made first, second;

	backup_put(f, "x", "1");
	backup_make_well(f, NULL, &first);
	backup_put(f, "x", "2");
	backup_make_well(f, NULL, &second);
	put_newer_snapshot(f, newer);
	before = all_files(f);
	assert_check_passes_over(f, newer);
	assert_prune_refuses(f);
	repair_all(f, 0, &err);
	after = all_files(f);
	assert_string_equal(after, before);
	free(before);
	free(after);
	backup_made_done(&first);
	backup_made_done(&second);
}

static void
an_envelope_of_a_newer_format_is_kept_too(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct backup_made made, last;
	char *path;

	backup_put(f, "x", "1");
	backup_make_well(f, NULL, &made);
	backup_make_well(f, NULL, &last);
	path = test_path(f->repository, "snapshots/%s", made.snapshot->id);
	/* Other bytes at the end as well: it opens no longer. */
	overwrite(path, "HFJSON2\n", "newbytes");
	assert_check_passes_over(f, made.snapshot->id);
	assert_prune_refuses(f);
	repair_all(f, 0, &err);
	assert_int_equal(snapshot_remove(f->repo, made.snapshot->id, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_int_equal(access(path, F_OK), 0);
	free(path);
	backup_made_done(&made);
	backup_made_done(&last);
}

/* It may still be brought back, by whoever can read it. */
static void
what_a_newer_version_has_forgotten_ends_a_prune_until_the_grace_period_is_over(void **state)
{
	const struct prune_options kind = { .grace_s = 86400 }, hard = { .grace_s = 0 };
	struct backup_fixture *f = *state;
	char newer[SNAPSHOT_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct prune_result result;
	struct progress progress;
	struct backup_made made;

	backup_make_well(f, NULL, &made);
	put_newer_snapshot(f, newer);
	assert_int_equal(snapshot_remove(f->repo, newer, &err), 0);
	progress_init(&progress);
	assert_int_equal(prune_run(f->repo, &kind, &progress, &result, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_says(err.message, newer);
	assert_int_equal(prune_run(f->repo, &hard, &progress, &result, &err), 0);
	prune_result_done(&result);
	progress_done(&progress);
	backup_made_done(&made);
}

static void
packs_and_index_files_of_a_newer_format_are_no_damage(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct repair_result result;
	struct progress progress;
	struct backup_made made;
	char *index, *pack;

	backup_put(f, "x", "1");
	backup_make_well(f, NULL, &made);
	index = object_path(f, "index");
	pack = object_path(f, "packs");
	overwrite(index, "HFINDX2\n", NULL);
	/* It opens as of this format all the same: that is damage. */
	{
		struct check_options options = { .read_data = false };
		struct check_result found;

		open_anew(f);
		progress_init(&progress);
		assert_int_equal(check_run(f->repo, &options, &progress, &found, &err), 0);
		assert_int_equal(found.errors, 1);
		check_result_done(&found);
		progress_done(&progress);
	}
	{
		size_t len;
		uint8_t *bytes = test_file_read(index, &len);

		memset(bytes + 8, 0x55, len - 8);
		test_file_write(index, bytes, len);
		free(bytes);
	}
	overwrite(pack, "HFPACK2\n", "HFPEND2\n");
	open_anew(f);
	assert_check_passes_over(f, "index/");
	assert_check_passes_over(f, "packs/");
	assert_prune_refuses(f);
	repair_all(f, -1, &err);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_says(err.message, "nothing was repaired: ");
	progress_init(&progress);
	assert_int_equal(repair_index(f->repo, true, &progress, &result, &err), 0);
	assert_int_equal(result.index_files_removed, 0);
	repair_result_done(&result);
	progress_done(&progress);
	assert_int_equal(access(index, F_OK), 0);
	assert_int_equal(access(pack, F_OK), 0);
	free(index);
	free(pack);
	backup_made_done(&made);
}

static void
a_repository_with_a_key_of_a_newer_format_says_so(void **state)
{
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct object_names names;

	assert_int_equal(object_names_read(repository_storage(f->repo), "keys", &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		char *path = test_path(f->repository, "%s", names.list[i]);

		overwrite(path, "HFKEY02\n", NULL);
		free(path);
	}
	object_names_done(&names);
	repo = test_repository_open(f->repository, NULL, &err);
	assert_null(repo);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_says(err.message, NEWER);
}

static void
only_a_higher_number_after_the_same_letters_is_newer(void **state)
{
	static const char own[8] = { 'H', 'F', 'K', 'E', 'Y', '0', '1', '\n' };
	static const struct {
		const char *found;
		unsigned format;
	} cases[] = {
		{ "HFKEY01\n", 0 }, { "HFKEY00\n", 0 }, { "HFKEY02\n", 2 }, { "HFKEY99\n", 99 },
		{ "HFKEX02\n", 0 }, { "HFKEY02 ", 0 }, { "HFKEY0a\n", 0 }, { "HFKEY/2\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(format_newer((const uint8_t *)cases[i].found, own),
		    cases[i].format);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_snapshot_of_a_newer_format_is_named_and_passed_over),
		CASE(beside_a_newer_snapshot_nothing_is_forgotten_removed_or_repaired_away),
		CASE(an_envelope_of_a_newer_format_is_kept_too),
		CASE(what_a_newer_version_has_forgotten_ends_a_prune_until_the_grace_period_is_over),
		CASE(packs_and_index_files_of_a_newer_format_are_no_damage),
		CASE(a_repository_with_a_key_of_a_newer_format_says_so),
		cmocka_unit_test(only_a_higher_number_after_the_same_letters_is_newer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
