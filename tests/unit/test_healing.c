/*
 * A repository whose packs have parity: damage heals while reading, check tells what heals and
 * what does not, repair mends, prune takes parity away with its packs.
 */
#include <errno.h>
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
#include "agent/repository/parity_check.h"
#include "agent/repository/parity_code.h"
#include "agent/repository/prune.h"
#include "agent/repository/repair_packs.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

#define OPERATIONS_MAX 2000

struct fixture {
	char *folder, *source, *repository, *whole; /* whole: a copy of the repository */
	struct fault_control control;
	struct repository *repo;
	struct snapshot *snapshot;
	unsigned entries;
	char *pack; /* path of the largest one, which has the files' data */
	char pack_name[PACK_NAME_SIZE];
	struct object_id id;
	size_t pack_size;
};

static void
set_rule(struct repository *repo, const char *text)
{
	struct parity_rule rule;
	struct error err = ERROR_INIT;

	assert_int_equal(parity_rule_parse(text, &rule, &err), 0);
	repository_set_parity(repo, &rule);
}

static void
open_anew(struct fixture *f, const char *rule)
{
	struct error err = ERROR_INIT;

	repository_close(f->repo);
	f->repo = test_repository_open(f->repository, &f->control, &err);
	if (f->repo == NULL)
		fail_msg("%s", err.message);
	set_rule(f->repo, rule);
}

static struct snapshot *
backup(struct fixture *f)
{
	struct snapshot *snapshot;
	struct error err = ERROR_INIT;

	if (test_backup(f->repo, f->source, &snapshot, &err) != 0)
		fail_msg("%s", err.message);
	return snapshot;
}

static void
find_largest(struct fixture *f)
{
	struct object_names names;
	struct error err = ERROR_INIT;
	size_t largest = 0;

	assert_int_equal(object_names_read(f->repo->storage, "packs", &names, &err), 0);
	for (size_t i = 1; i < names.count; i++)
		if (names.sizes[i] > names.sizes[largest])
			largest = i;
	f->pack_size = (size_t)names.sizes[largest];
	f->pack = test_path(f->repository, "%s", names.list[largest]);
	memcpy(f->pack_name, names.list[largest], sizeof(f->pack_name) - 1);
	assert_int_equal(pack_name_parse(names.list[largest], &f->id), 0);
	object_names_done(&names);
}

static int
setup_with(void **state, const char *rule)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct test_compared compared;

	fault_control_init(&f->control);
	f->folder = test_folder_new_in_memory();
	f->source = test_path(f->folder, "source");
	f->repository = test_path(f->folder, "repository");
	f->whole = test_path(f->folder, "whole");
	assert_int_equal(mkdir(f->source, 0755), 0);
	test_source_make(f->source);
	test_repository_make(f->repository);
	open_anew(f, rule);
	f->snapshot = backup(f);
	test_compare(f->repo, f->snapshot, f->source, f->source, NULL, NULL, &compared);
	f->entries = compared.same;
	find_largest(f);
	test_folder_copy(f->repository, f->whole);
	*state = f;
	return 0;
}

static int
setup(void **state)
{
	return parity_code_available() ? setup_with(state, "10%") : 0;
}

static int
setup_without_parity(void **state)
{
	return parity_code_available() ? setup_with(state, "off") : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f == NULL)
		return 0;
	snapshot_free(f->snapshot);
	repository_close(f->repo);
	test_folder_remove(f->folder);
	fault_control_done(&f->control);
	free(f->source);
	free(f->repository);
	free(f->whole);
	free(f->pack);
	free(f);
	return 0;
}

static struct fixture *
fixture(void **state)
{
	if (*state == NULL)
		skip();
	return *state;
}

static void
spoil(const char *path, size_t offset, size_t len)
{
	FILE *file = fopen(path, "r+b");

	assert_non_null(file);
	for (size_t i = 0; i < len; i++) {
		int byte;

		assert_int_equal(fseek(file, (long)(offset + i), SEEK_SET), 0);
		byte = fgetc(file);
		assert_int_equal(fseek(file, (long)(offset + i), SEEK_SET), 0);
		assert_int_not_equal(fputc(byte ^ 0x10, file), EOF);
	}
	assert_int_equal(fclose(file), 0);
}

/* More than parity can heal. */
static void
ruin(const struct fixture *f)
{
	spoil(f->pack, f->pack_size / 3, f->pack_size / 3);
}

static bool
is_whole(const struct fixture *f, const char *name)
{
	char *path = test_path(f->repository, "%s", name), *original = test_path(f->whole, "%s", name);
	size_t len, original_len;
	uint8_t *data = test_file_read(path, &len);
	uint8_t *original_data = test_file_read(original, &original_len);
	bool same = len == original_len && memcmp(data, original_data, len) == 0;

	free(data);
	free(original_data);
	free(path);
	free(original);
	return same;
}

static unsigned
readable(struct fixture *f, struct test_compared *ret)
{
	test_compare(f->repo, f->snapshot, f->source, f->source, NULL, NULL, ret);
	assert_int_equal(ret->wrong, 0);
	return ret->same;
}

static void
check(struct fixture *f, bool read_data, struct check_result *ret, unsigned *ret_notes)
{
	struct check_options options = { .read_data = read_data, .threads = 2 };
	struct error err = ERROR_INIT;
	struct progress progress;

	progress_init(&progress);
	if (check_run(f->repo, &options, &progress, ret, &err) != 0)
		fail_msg("%s", err.message);
	if (ret_notes != NULL)
		*ret_notes = (unsigned)progress.notes.total;
	progress_done(&progress);
}

static void
assert_checks(struct fixture *f, bool read_data, uint64_t errors, uint64_t healable)
{
	struct check_result result;

	check(f, read_data, &result, NULL);
	if (result.errors != errors || result.healable != healable)
		fail_msg("%llu errors, %llu healable: %s", (unsigned long long)result.errors,
		    (unsigned long long)result.healable, json_dumps(result.damage, 0));
	check_result_done(&result);
}

static int
repair_with(struct fixture *f, struct repair_packs_options options,
    struct repair_packs_result *ret, struct error *err)
{
	struct progress progress;
	int rc;

	progress_init(&progress);
	rc = repair_packs(f->repo, &options, &progress, ret, err);
	progress_done(&progress);
	return rc;
}

static void
repair(struct fixture *f, bool apply, struct repair_packs_result *ret)
{
	struct repair_packs_options options = { .apply = apply };
	struct error err = ERROR_INIT;

	if (repair_with(f, options, ret, &err) != 0)
		fail_msg("%s", err.message);
}

/* What one object is said to suffer from; NULL if nothing. */
static const char *
problem_of(const struct repair_packs_result *result, const char *object, const char *flag)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(result->damaged, i, entry)
		if (strcmp(json_string_value(json_object_get(entry, "object")), object) == 0 &&
		    json_is_true(json_object_get(entry, flag)))
			return json_string_value(json_object_get(entry, "problem"));
	return NULL;
}

struct order {
	unsigned parity, index, index_before_parity;
};

static void
note_order(void *arg, enum fault_operation operation, const char *name)
{
	struct order *order = arg;

	if (operation != FAULT_COMMIT)
		return;
	if (strncmp(name, "parity/", 7) == 0) {
		order->parity++;
		order->index_before_parity += order->index > 0;
	}
	order->index += strncmp(name, "index/", 6) == 0;
}

static void
parity_is_written_before_the_index(void **state)
{
	struct fixture *f = fixture(state);
	struct order order = { 0, 0, 0 };

	test_source_change(f->source);
	f->control.before = note_order;
	f->control.arg = &order;
	snapshot_free(backup(f));
	f->control.before = NULL;
	assert_true(order.parity >= 2); /* data and trees */
	assert_int_equal(order.index, 1);
	assert_int_equal(order.index_before_parity, 0);
}

static void
count_pack(void *arg, const char *pack)
{
	(void)pack;
	(*(unsigned *)arg)++;
}

static void
damage_all_over_heals_while_reading(void **state)
{
	struct fixture *f = fixture(state);
	struct test_compared compared;
	unsigned cases = 0, told = 0;

	/* The source is read from packs alone: nothing is cached of them. */
	for (size_t at = 0; at < f->pack_size; at += f->pack_size / 40 + 1, cases++) {
		uint64_t mark;
		unsigned since = 0;

		spoil(f->pack, at, 1);
		open_anew(f, "off");
		mark = repository_healed_mark(f->repo);
		repository_on_healed(f->repo, count_pack, &told);
		if (readable(f, &compared) != f->entries)
			fail_msg("a byte at %zu: %s", at, compared.first);
		repository_healed_since(f->repo, mark, count_pack, &since);
		/* Header and directory are not needed to read what the index knows. */
		assert_in_range(since, 0, 1);
		if (at >= PACK_HEADER_SIZE && at < f->pack_size - 4096)
			assert_int_equal(since, 1);
		assert_true(told >= since);
		spoil(f->pack, at, 1);
	}
	assert_true(is_whole(f, f->pack_name));
	print_message("# %u damaged places read through, %u told\n", cases, told);
}

static void
check_tells_what_heals(void **state)
{
	struct fixture *f = fixture(state);
	struct check_result result;
	unsigned notes;

	check(f, true, &result, &notes);
	assert_int_equal(result.errors, 0);
	assert_int_equal(notes, 0);
	assert_int_equal(result.packs_with_parity, result.packs);
	assert_true(result.parity_bytes > f->pack_size / 10);
	check_result_done(&result);
	spoil(f->pack, f->pack_size / 2, 1);
	assert_checks(f, true, 1, 1);
	/* Of header and directory it tells without reading all. */
	spoil(f->pack, 9, 1);
	assert_checks(f, false, 1, 1);
	spoil(f->pack, 9, 1);
	assert_int_equal(truncate(f->pack, (off_t)f->pack_size - 1000), 0);
	/* By its size, and by what cannot be read of it. */
	assert_checks(f, false, 2, 2);
}

static void
check_tells_what_does_not_heal(void **state)
{
	struct fixture *f = fixture(state);
	struct check_result result;
	const json_t *entry;
	uint64_t lost = 0;
	size_t i;

	ruin(f);
	check(f, true, &result, NULL);
	assert_true(result.errors > 0);
	assert_int_equal(result.healable, 0);
	json_array_foreach(result.damage, i, entry) {
		assert_true(json_is_false(json_object_get(entry, "healable")));
		lost += (uint64_t)json_integer_value(json_object_get(entry, "path_total"));
	}
	assert_true(lost > 0);
	check_result_done(&result);
}

static void
repair_changes_nothing_unasked(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_result result;

	spoil(f->pack, 1000, 3);
	repair(f, false, &result);
	assert_non_null(problem_of(&result, f->pack_name, "healable"));
	assert_null(problem_of(&result, f->pack_name, "mended"));
	assert_int_equal(result.left, 1);
	repair_packs_result_done(&result);
	assert_false(is_whole(f, f->pack_name));
}

static void
repair_mends_the_pack_to_the_byte(void **state)
{
	struct fixture *f = fixture(state);
	static const off_t cuts[] = { 0, 1, 500, 20000, -100 }; /* the last makes it longer */
	struct repair_packs_result result;

	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		spoil(f->pack, 1000, 3);
		spoil(f->pack, f->pack_size / 2, 9);
		assert_int_equal(truncate(f->pack, (off_t)f->pack_size - cuts[i]), 0);
		repair(f, true, &result);
		assert_non_null(problem_of(&result, f->pack_name, "mended"));
		assert_int_equal(json_array_size(result.damaged), 1);
		assert_int_equal(result.left, 0);
		repair_packs_result_done(&result);
		assert_true(is_whole(f, f->pack_name));
		assert_checks(f, true, 0, 0);
	}
	repair(f, true, &result);
	assert_int_equal(json_array_size(result.damaged), 0);
	repair_packs_result_done(&result);
}

static void
repair_says_what_it_cannot_mend_and_leaves_it(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_result result;
	size_t before_len, after_len;
	uint8_t *before, *after;

	ruin(f);
	before = test_file_read(f->pack, &before_len);
	repair(f, true, &result);
	assert_int_equal(json_array_size(result.damaged), 1);
	assert_null(problem_of(&result, f->pack_name, "healable"));
	assert_int_equal(result.left, 1);
	repair_packs_result_done(&result);
	after = test_file_read(f->pack, &after_len);
	assert_int_equal(before_len, after_len);
	assert_memory_equal(before, after, before_len);
	free(before);
	free(after);
}

static void
run_in(const char *folder, const char *what)
{
	char *command = mem_printf("cd '%s' && %s", folder, what);

	if (system(command) != 0)
		fail_msg("%s", command);
	free(command);
}

static char *
parity_path(const struct fixture *f, char name[PARITY_NAME_SIZE])
{
	parity_name(&f->id, name);
	return test_path(f->repository, "%s", name);
}

static void
damaged_parity_is_named_and_made_anew(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_result result;
	struct test_compared compared;
	char name[PARITY_NAME_SIZE], *path = parity_path(f, name);
	size_t len;

	free(test_file_read(path, &len));
	for (size_t at = 0; at < len; at += len / 3) {
		spoil(path, at, 8);
		assert_checks(f, true, 1, 1);
		assert_int_equal(readable(f, &compared), f->entries);
		repair(f, true, &result);
		assert_non_null(problem_of(&result, name, "mended"));
		repair_packs_result_done(&result);
		assert_true(is_whole(f, name));
	}
	/* Nothing of it can be read: it is made as new packs get it. */
	test_file_write(path, "", 0);
	assert_checks(f, false, 1, 1);
	repair(f, true, &result);
	assert_non_null(problem_of(&result, name, "mended"));
	repair_packs_result_done(&result);
	assert_true(is_whole(f, name));
	free(path);
}

static void
useless_parity_goes_where_parity_is_off(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_result result;
	char name[PARITY_NAME_SIZE], *path = parity_path(f, name);

	test_file_write(path, "nothing", 7);
	set_rule(f->repo, "off");
	repair(f, true, &result);
	assert_non_null(strstr(problem_of(&result, name, "mended"), "as parity is off"));
	repair_packs_result_done(&result);
	assert_int_equal(access(path, F_OK), -1);
	assert_checks(f, true, 0, 0);
	free(path);
}

static void
pack_and_parity_are_mended_together(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_result result;
	char name[PARITY_NAME_SIZE], *path = parity_path(f, name);

	spoil(f->pack, 2000, 100);
	spoil(path, 5, 1);
	repair(f, true, &result);
	assert_non_null(problem_of(&result, f->pack_name, "mended"));
	assert_non_null(problem_of(&result, name, "mended"));
	repair_packs_result_done(&result);
	assert_true(is_whole(f, f->pack_name) && is_whole(f, name));
	free(path);
}

/* The checksums fit the parity, but both are of other bytes than the pack's. */
static void
parity_that_does_not_fit_is_not_believed(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_result result;
	struct parity_rule rule = { .percent = 10 };
	struct parity_shape shape;
	struct test_compared compared;
	struct error err = ERROR_INIT;
	char name[PARITY_NAME_SIZE];

	parity_name(&f->id, name);
	parity_shape_choose(&rule, f->pack_size, &shape);
	spoil(f->pack, 3000, 1);
	assert_int_equal(parity_write(f->repo->storage, f->repo->keys, &f->id, &shape, NULL, true,
	    &err), 0);
	spoil(f->pack, 3000, 1);
	assert_int_equal(readable(f, &compared), f->entries);
	repair(f, true, &result);
	assert_non_null(strstr(problem_of(&result, name, "mended"), "does not fit"));
	repair_packs_result_done(&result);
	assert_true(is_whole(f, f->pack_name) && is_whole(f, name));
}

static void
missing_pack_is_made_again_where_parity_suffices(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_options add = { .apply = true, .add_parity = true };
	struct repair_packs_result result;
	struct test_compared compared;
	struct error err = ERROR_INIT;
	char name[PARITY_NAME_SIZE], *path = parity_path(f, name);

	assert_int_equal(unlink(f->pack), 0);
	repair(f, true, &result);
	assert_null(problem_of(&result, f->pack_name, "healable"));
	assert_int_equal(result.left, 1);
	repair_packs_result_done(&result);
	/* The same with parity for all of it. */
	run_in(f->folder, "cp -r whole/packs repository/");
	assert_int_equal(unlink(path), 0);
	open_anew(f, "100%");
	assert_int_equal(repair_with(f, add, &result, &err), 0);
	assert_int_equal(result.parity_added, 1);
	repair_packs_result_done(&result);
	assert_int_equal(unlink(f->pack), 0);
	open_anew(f, "off");
	assert_int_equal(readable(f, &compared), f->entries);
	assert_checks(f, false, 1, 1);
	repair(f, true, &result);
	assert_non_null(problem_of(&result, f->pack_name, "mended"));
	repair_packs_result_done(&result);
	assert_true(is_whole(f, f->pack_name));
	free(path);
}

static void
parity_is_added_to_packs_that_have_none(void **state)
{
	struct fixture *f = fixture(state);
	struct repair_packs_options add = { .apply = true, .add_parity = true };
	struct repair_packs_result result;
	struct check_result checked;
	struct error err = ERROR_INIT;
	unsigned notes;

	assert_int_equal(repair_with(f, add, &result, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	set_rule(f->repo, "10%");
	check(f, false, &checked, &notes);
	assert_int_equal(checked.errors, 0);
	assert_int_equal(checked.packs_with_parity, 0);
	assert_int_equal(notes, 1); /* how it is added */
	check_result_done(&checked);
	repair(f, true, &result);
	assert_int_equal(result.without_parity, result.packs);
	repair_packs_result_done(&result);
	/* A damaged pack gets none: that would keep the damage. */
	spoil(f->pack, 500, 1);
	assert_int_equal(repair_with(f, add, &result, &err), 0);
	assert_null(problem_of(&result, f->pack_name, "healable"));
	assert_int_equal(result.left, 1);
	repair_packs_result_done(&result);
	spoil(f->pack, 500, 1);
	assert_int_equal(repair_with(f, add, &result, &err), 0);
	assert_int_equal(result.parity_added, 1);
	repair_packs_result_done(&result);
	check(f, true, &checked, &notes);
	assert_int_equal(checked.errors, 0);
	assert_int_equal(checked.packs_with_parity, checked.packs);
	assert_int_equal(notes, 0);
	check_result_done(&checked);
}

static size_t
count_objects(struct fixture *f, const char *folder)
{
	struct object_names names;
	struct error err = ERROR_INIT;
	size_t count;

	assert_int_equal(object_names_read(f->repo->storage, folder, &names, &err), 0);
	count = names.count;
	object_names_done(&names);
	return count;
}

static void
prune_removes_parity_with_its_pack_and_what_is_left_over(void **state)
{
	struct fixture *f = fixture(state);
	struct prune_options options = { .keep = { .last = 1 }, .rewrite_percent = 1 };
	struct prune_result result;
	struct check_result checked;
	struct error err = ERROR_INIT;
	struct progress progress;
	struct object_id orphan;
	char name[PARITY_NAME_SIZE];
	unsigned notes;

	run_in(f->source, "rm -rf ./* && echo new >new");
	snapshot_free(backup(f));
	object_id_random(&orphan);
	parity_name(&orphan, name);
	assert_int_equal(storage_put_whole(f->repo->storage, name, "left", 4, false, &err), 0);
	check(f, true, &checked, &notes);
	assert_int_equal(checked.errors, 0);
	assert_int_equal(notes, 1);
	check_result_done(&checked);
	for (int i = 0; i < 2; i++) {
		progress_init(&progress);
		if (prune_run(f->repo, &options, &progress, &result, &err) != 0)
			fail_msg("%s", err.message);
		prune_result_done(&result);
		progress_done(&progress);
	}
	assert_int_equal(access(f->pack, F_OK), -1);
	assert_int_equal(count_objects(f, "parity"), count_objects(f, "packs"));
	assert_checks(f, true, 0, 0);
}

static void
prune_works_on_a_damaged_pack_that_heals(void **state)
{
	struct fixture *f = fixture(state);
	struct prune_options options = { .keep = { .last = 1 }, .rewrite_percent = 1 };
	struct prune_result result;
	struct test_compared compared;
	struct error err = ERROR_INIT;
	struct progress progress;

	run_in(f->source, "rm large copy-of-large");
	snapshot_free(f->snapshot);
	f->snapshot = backup(f);
	test_compare(f->repo, f->snapshot, f->source, f->source, NULL, NULL, &compared);
	f->entries = compared.same;
	spoil(f->pack, f->pack_size / 2, 1);
	/* Its directory too. */
	spoil(f->pack, f->pack_size - 100, 1);
	open_anew(f, "10%");
	progress_init(&progress);
	if (prune_run(f->repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s", err.message);
	prune_result_done(&result);
	progress_done(&progress);
	assert_int_equal(access(f->pack, F_OK), -1); /* what was live in it is elsewhere now */
	assert_int_equal(readable(f, &compared), f->entries);
	assert_checks(f, true, 0, 0);
}

/* Bring the repository back to what it was, damaged as said. */
static void
begin_again(struct fixture *f, const char *damage)
{
	repository_close(f->repo);
	f->repo = NULL;
	run_in(f->folder, "rm -rf repository && cp -a whole repository");
	run_in(f->repository, damage);
	fault_control_plan(&f->control, NULL);
	f->control.dead = false;
	open_anew(f, "10%");
}

static const struct fault_plan plans[] = {
	{ .kind = FAULT_DIE }, { .kind = FAULT_DIE, .after = true }, { .kind = FAULT_DIE, .lose = true },
	{ .kind = FAULT_ERROR, .sys = ENOSPC, .stays = true }, { .kind = FAULT_ERROR, .sys = EIO },
	{ .kind = FAULT_TEAR, .sys = ENOSPC },
};

static void
backup_that_is_cut_off_anywhere_loses_nothing(void **state)
{
	struct fixture *f = fixture(state);
	unsigned cases = 0;

	test_source_change(f->source);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct fault_plan plan = plans[i];
		bool happened = true;

		for (plan.at = 1; happened && plan.at < OPERATIONS_MAX; plan.at++, cases++) {
			struct snapshot *snapshot = NULL;
			struct error err = ERROR_INIT;

			begin_again(f, "true");
			fault_control_plan(&f->control, &plan);
			if (test_backup(f->repo, f->source, &snapshot, &err) == 0)
				snapshot_free(snapshot);
			happened = f->control.happened;
			fault_control_plan(&f->control, NULL);
			open_anew(f, "10%");
			assert_checks(f, true, 0, 0);
			/* It goes on, and then nothing lacks parity that is in use. */
			snapshot_free(backup(f));
			assert_checks(f, true, 0, 0);
		}
		assert_in_range(plan.at, 3, OPERATIONS_MAX - 1);
	}
	print_message("# backup with parity: %u faults\n", cases);
}

static void
repair_that_is_cut_off_anywhere_leaves_what_was_or_what_is_whole(void **state)
{
	struct fixture *f = fixture(state);
	char name[PARITY_NAME_SIZE], *damage;
	unsigned cases = 0, mended = 0;

	parity_name(&f->id, name);
	damage = mem_printf("printf XXXX | dd status=none conv=notrunc bs=1 of=%s seek=5000 && "
	    "printf XXXX | dd status=none conv=notrunc bs=1 of=%s seek=10", f->pack_name, name);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct fault_plan plan = plans[i];
		bool happened = true;

		for (plan.at = 1; happened && plan.at < OPERATIONS_MAX; plan.at++, cases++) {
			struct repair_packs_options options = { .apply = true };
			struct repair_packs_result result;
			struct test_compared compared;
			struct error err = ERROR_INIT;

			begin_again(f, damage);
			fault_control_plan(&f->control, &plan);
			if (repair_with(f, options, &result, &err) == 0)
				repair_packs_result_done(&result);
			happened = f->control.happened;
			fault_control_plan(&f->control, NULL);
			open_anew(f, "10%");
			assert_int_equal(readable(f, &compared), f->entries);
			mended += is_whole(f, f->pack_name);
			repair(f, true, &result);
			assert_int_equal(result.left, 0);
			repair_packs_result_done(&result);
			assert_true(is_whole(f, f->pack_name) && is_whole(f, name));
			assert_checks(f, true, 0, 0);
		}
		assert_in_range(plan.at, 3, OPERATIONS_MAX - 1);
	}
	free(damage);
	print_message("# repair of packs: %u faults, %u of them after the pack was whole\n", cases,
	    mended);
}

/* A storage with a bad sector: what touches it cannot be read. */
struct bad_storage {
	struct storage base;
	struct storage *inner;
	struct storage_ops ops;
	const char *name;
	uint64_t start, end;
};

static int
bad_get(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
    struct error *err)
{
	struct bad_storage *bad = (struct bad_storage *)storage;

	if (bad->name != NULL && strcmp(name, bad->name) == 0 && offset < bad->end &&
	    offset + len > bad->start)
		return error_sys(err, ERROR_IO, EIO, "could not read '%s'", name);
	return storage_get(bad->inner, name, offset, buf, len, err);
}

static int
bad_size(struct storage *storage, const char *name, uint64_t *ret, struct error *err)
{
	return storage_size(((struct bad_storage *)storage)->inner, name, ret, err);
}

static void
bad_sector_heals_while_reading(void **state)
{
	struct fixture *f = fixture(state);
	struct storage *own = f->repo->storage;
	struct bad_storage bad = { .inner = own, .name = f->pack_name };
	struct test_compared compared;
	struct error err = ERROR_INIT;
	unsigned cases = 0;

	bad.ops = (struct storage_ops){ .get = bad_get, .size = bad_size };
	bad.base.ops = &bad.ops;
	for (bad.start = 0; bad.start < f->pack_size; bad.start += f->pack_size / 20, cases++) {
		bad.start -= bad.start % 4096;
		bad.end = bad.start + 4096;
		repository_trim(f->repo);
		assert_int_equal(repository_refresh(f->repo, &err), 0);
		f->repo->storage = &bad.base;
		readable(f, &compared);
		f->repo->storage = own;
		if (compared.same != f->entries)
			fail_msg("sector at %llu: %s", (unsigned long long)bad.start,
			    compared.first);
	}
	print_message("# %u bad sectors read around\n", cases);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define _(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		_(parity_is_written_before_the_index),
		_(damage_all_over_heals_while_reading),
		_(bad_sector_heals_while_reading),
		_(check_tells_what_heals),
		_(check_tells_what_does_not_heal),
		_(repair_changes_nothing_unasked),
		_(repair_mends_the_pack_to_the_byte),
		_(repair_says_what_it_cannot_mend_and_leaves_it),
		_(damaged_parity_is_named_and_made_anew),
		_(useless_parity_goes_where_parity_is_off),
		_(pack_and_parity_are_mended_together),
		_(parity_that_does_not_fit_is_not_believed),
		_(missing_pack_is_made_again_where_parity_suffices),
		_(prune_removes_parity_with_its_pack_and_what_is_left_over),
		_(prune_works_on_a_damaged_pack_that_heals),
		_(backup_that_is_cut_off_anywhere_loses_nothing),
		_(repair_that_is_cut_off_anywhere_leaves_what_was_or_what_is_whole),
#undef _
		cmocka_unit_test_setup_teardown(parity_is_added_to_packs_that_have_none,
		    setup_without_parity, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
