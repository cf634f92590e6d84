/* Fewer, larger index files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/repository/check.h"
#include "agent/repository/index_merge.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

/* An index file of one backup each is merged with others once there are so many. */
#define MERGED_AT 16
/* Each leaves two packs. */
#define BACKUPS 8

struct fixture {
	char *folder, *source, *path, *index;
	struct fault_control control;
	struct repository *repo;
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;

	f->folder = test_folder_new_in_memory();
	f->source = test_path(f->folder, "source");
	f->path = test_path(f->folder, "repository");
	f->index = test_path(f->path, "index");
	if (mkdir(f->source, 0755) != 0)
		return -1;
	test_repository_make(f->path);
	fault_control_init(&f->control);
	f->repo = test_repository_open(f->path, &f->control, &err);
	*state = f;
	return f->repo != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	repository_close(f->repo);
	fault_control_done(&f->control);
	test_folder_remove(f->folder);
	free(f->source);
	free(f->path);
	free(f->index);
	free(f);
	return 0;
}

static void
open_anew(struct fixture *f)
{
	struct error err = ERROR_INIT;

	repository_close(f->repo);
	fault_control_done(&f->control);
	fault_control_init(&f->control);
	f->repo = test_repository_open(f->path, &f->control, &err);
	if (f->repo == NULL)
		fail_msg("%s", err.message);
}

/* One more file, and a backup of all. */
static void
back_up(struct fixture *f, unsigned number)
{
	struct error err = ERROR_INIT;
	struct snapshot *snapshot;
	char *path = test_path(f->source, "file-%u", number), text[40];

	snprintf(text, sizeof(text), "these are the bytes of %u", number);
	test_file_write(path, text, strlen(text));
	if (test_backup(f->repo, f->source, &snapshot, &err) != 0)
		fail_msg("backup %u: %s", number, err.message);
	snapshot_free(snapshot);
	free(path);
}

/* The latest snapshot equals the source, every snapshot is whole, each byte is what it was. */
static void
assert_nothing_is_lost(struct fixture *f, size_t snapshots)
{
	struct check_options options = { .read_data = true };
	struct error err = ERROR_INIT;
	struct test_compared compared;
	struct check_result result;
	struct progress progress;
	struct snapshot *latest;

	progress_init(&progress);
	if (check_run(f->repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(result.errors, 0);
	assert_int_equal(result.snapshots, snapshots);
	check_result_done(&result);
	progress_done(&progress);
	assert_int_equal(snapshot_find(f->repo, "latest", &latest, &err), 0);
	test_compare(f->repo, latest, f->source, f->source, NULL, NULL, &compared);
	if (compared.unreadable + compared.wrong > 0)
		fail_msg("%s", compared.first);
	assert_true(compared.same >= snapshots);
	snapshot_free(latest);
}

static void
forty_backups_leave_few_index_files_and_all_that_was_stored(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 40; i++) {
		back_up(f, i);
		assert_true(test_folder_count(f->index) < MERGED_AT + 2);
	}
	/* This process, which knew the old files, and one that comes later. */
	assert_nothing_is_lost(f, 40);
	open_anew(f);
	assert_nothing_is_lost(f, 40);
}

static void
few_index_files_are_left_as_they_are(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	unsigned files;

	back_up(f, 0);
	back_up(f, 1);
	files = test_folder_count(f->index);
	fault_control_plan(&f->control, NULL);
	assert_int_equal(index_merge(f->repo, &err), 0);
	assert_int_equal(f->control.operations, 0);
	assert_int_equal(test_folder_count(f->index), files);
}

/* One index file for each pack: more than are left alone. */
static void
make_many_index_files(struct fixture *f)
{
	struct error err = ERROR_INIT;
	struct object_names packs, old;

	for (unsigned i = 0; i < BACKUPS; i++)
		back_up(f, i);
	assert_int_equal(object_names_read(f->repo->storage, "packs", &packs, &err), 0);
	assert_int_equal(object_names_read(f->repo->storage, "index", &old, &err), 0);
	assert_true(packs.count >= MERGED_AT);
	for (size_t i = 0; i < packs.count; i++) {
		struct pack_directory *directory;
		struct object_id id;

		assert_int_equal(pack_name_parse(packs.list[i], &id), 0);
		assert_int_equal(pack_read_directory(f->repo->storage, f->repo->keys, &id,
		    &directory, &err), 0);
		assert_int_equal(index_write(f->repo->storage, f->repo->keys, &directory, 1, &id,
		    &err), 0);
		pack_directory_free(directory);
	}
	for (size_t i = 0; i < old.count; i++)
		assert_int_equal(storage_remove(f->repo->storage, old.list[i], &err), 0);
	object_names_done(&packs);
	object_names_done(&old);
	assert_true(test_folder_count(f->index) >= MERGED_AT);
	open_anew(f);
}

static void
a_merge_cut_off_anywhere_loses_nothing(void **state)
{
	static const struct fault_plan kinds[] = {
		{ .kind = FAULT_DIE }, { .kind = FAULT_DIE, .after = true },
		{ .kind = FAULT_DIE, .lose = true }, { .kind = FAULT_ERROR, .sys = EIO },
		{ .kind = FAULT_ERROR, .sys = ENOSPC, .stays = true },
		{ .kind = FAULT_TEAR, .sys = EIO },
	};
	struct fixture *f = *state;
	char *saved = test_path(f->folder, "saved");
	char *command = mem_printf("rm -rf '%s' && cp -a '%s' '%s'", f->path, saved, f->path);
	unsigned cases = 0;

	make_many_index_files(f);
	test_folder_copy(f->path, saved);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		bool happened = true;

		for (unsigned at = 1; happened; at++) {
			struct fault_plan plan = kinds[k];
			struct error err = ERROR_INIT;

			assert_int_equal(system(command), 0);
			open_anew(f);
			plan.at = at;
			fault_control_plan(&f->control, &plan);
			(void)index_merge(f->repo, &err);
			happened = f->control.happened;
			cases += happened;
			open_anew(f);
			assert_nothing_is_lost(f, BACKUPS);
			/* The next one does what is left to do. */
			assert_int_equal(index_merge(f->repo, &err), 0);
			assert_true(test_folder_count(f->index) <= MERGED_AT);
			open_anew(f);
			assert_nothing_is_lost(f, BACKUPS);
		}
	}
	print_message("%u merges cut off, nothing lost\n", cases);
	assert_true(cases >= 6 * 4);
	free(saved);
	free(command);
}

static void
an_index_file_that_cannot_be_read_keeps_all_of_them(void **state)
{
	struct fixture *f = *state;
	char *command;
	struct error err = ERROR_INIT;
	unsigned files;

	make_many_index_files(f);
	files = test_folder_count(f->index);
	/* Its head can be read, the last byte of its last page is another. */
	command = mem_printf("i=$(find '%s' -type f | head -n 1) && size=$(stat -c %%s \"$i\") && "
	    "last=$(tail -c 1 \"$i\" | od -An -tu1) && chmod u+w \"$i\" && "
	    "printf \"\\\\$(printf %%03o $((255 - last)))\" | "
	    "dd of=\"$i\" bs=1 seek=$((size - 1)) conv=notrunc status=none", f->index);
	assert_int_equal(system(command), 0);
	assert_int_equal(index_merge(f->repo, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "is damaged"));
	assert_int_equal(test_folder_count(f->index), files);
	free(command);
}

static void
a_pack_that_two_index_files_cover_is_covered_once(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *command;

	make_many_index_files(f);
	/* As a merge leaves them that was interrupted before it removed the old ones. */
	command = mem_printf("rm -rf '%s/old' && cp -a '%s' '%s/old'", f->folder, f->index,
	    f->folder);
	assert_int_equal(system(command), 0);
	free(command);
	assert_int_equal(index_merge(f->repo, &err), 0);
	command = mem_printf("cp -a '%s/old/.' '%s'", f->folder, f->index);
	assert_int_equal(system(command), 0);
	free(command);
	open_anew(f);
	assert_int_equal(index_merge(f->repo, &err), 0);
	assert_int_equal(test_folder_count(f->index), 1);
	open_anew(f);
	assert_nothing_is_lost(f, BACKUPS);
	open_anew(f);
	assert_int_equal(repository_load_index(f->repo, &err), 0);
	assert_int_equal(f->repo->files[0]->entry_count, f->repo->table.count);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(forty_backups_leave_few_index_files_and_all_that_was_stored),
		CASE(few_index_files_are_left_as_they_are),
		CASE(a_merge_cut_off_anywhere_loses_nothing),
		CASE(an_index_file_that_cannot_be_read_keeps_all_of_them),
		CASE(a_pack_that_two_index_files_cover_is_covered_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
