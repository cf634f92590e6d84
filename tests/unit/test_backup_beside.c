/* A folder made by other means, in the same snapshot as the folders that are walked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/tree_builder.h"
#include "agent/repository/writer.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"

/* One that makes a folder with a fifo in it; what was called, in order. */
struct maker {
	char calls[16];
	int begin_rc, store_rc;
	char *source;
	struct backup_beside beside;
};

static void
called(struct maker *maker, char what)
{
	size_t len = strlen(maker->calls);

	assert_true(len + 1 < sizeof(maker->calls));
	maker->calls[len] = what;
}

static int
begin(void *arg, struct error *err)
{
	struct maker *maker = arg;

	called(maker, 'b');
	return maker->begin_rc == 0 ? 0 : error_set(err, ERROR_UNAVAILABLE, "not now");
}

static int
store(void *arg, struct writer *writer, struct entry *folder, struct error *err)
{
	struct tree_roots roots = { NULL, 0, false };
	struct maker *maker = arg;
	struct tree_dir *dir;
	struct tree_slot *slot;

	called(maker, 's');
	if (maker->store_rc != 0)
		return error_set(err, ERROR_CONFLICT, "it went wrong");
	dir = tree_dir_begin_root(writer, &roots);
	slot = tree_dir_add(dir, "inside", 6);
	slot->entry.kind = ENTRY_FIFO;
	slot->entry.mode = 0600;
	slot->entry.nlink = 1;
	tree_dir_end(dir);
	tree_slot_finish(slot, true);
	assert_true(roots.complete);
	folder->name = mem_strdup(maker->beside.name);
	folder->name_len = strlen(folder->name);
	folder->kind = ENTRY_DIRECTORY;
	folder->mode = 0751;
	folder->nlink = 1;
	folder->content = roots.parts;
	folder->content_count = roots.count;
	return 0;
}

static void
stored(void *arg, struct snapshot *snapshot)
{
	called(arg, 'd');
	snapshot->files += 1000;
}

static void
maker_init(struct maker *maker, const char *name)
{
	memset(maker, 0, sizeof(*maker));
	maker->source = mem_printf("/%s/part", name);
	maker->beside = (struct backup_beside){ .kind = "mixed", .name = name,
		.sources = &maker->source, .source_count = 1, .begin = begin, .store = store,
		.stored = stored, .arg = maker };
}

/* The first component of where the source lies. */
static char *
first_component(const struct backup_fixture *f)
{
	return mem_printf("%.*s", (int)strcspn(f->source + 1, "/"), f->source + 1);
}

static void
assert_stored_under(const struct backup_fixture *f, const char *name)
{
	struct maker maker;
	struct backup_options options = { .beside = &maker.beside };
	struct backup_made made;
	struct entry entry;
	char *path = mem_printf("/%s", name), *inside = mem_printf("/%s/inside", name);

	maker_init(&maker, name);
	backup_put(f, "file", "text\n");
	backup_make_well(f, &options, &made);
	assert_string_equal(maker.calls, "bsd");
	assert_string_equal(made.snapshot->kind, "mixed");
	assert_int_equal(made.snapshot->source_count, 2);
	assert_string_equal(made.snapshot->sources[1], maker.source);
	assert_int_equal(made.snapshot->files, 1001);
	assert_int_equal(tree_lookup(f->repo, made.snapshot->roots, made.snapshot->root_count,
	    path, &entry, &made.err), 1);
	assert_int_equal(entry.kind, ENTRY_DIRECTORY);
	assert_int_equal(entry.mode, 0751);
	entry_done(&entry);
	assert_int_equal(tree_lookup(f->repo, made.snapshot->roots, made.snapshot->root_count,
	    inside, &entry, &made.err), 1);
	assert_int_equal(entry.kind, ENTRY_FIFO);
	entry_done(&entry);
	backup_assert_text(f, &made, "file", "text\n");
	backup_made_done(&made);
	free(maker.source);
	free(inside);
	free(path);
}

static void
it_has_its_place_among_the_names_of_the_root(void **state)
{
	/* Before and behind whatever the source's folder is called. */
	assert_stored_under(*state, "!first");
	assert_stored_under(*state, "~last");
}

static void
the_second_backup_is_compared_with_the_first(void **state)
{
	struct backup_fixture *f = *state;
	struct backup_made first, second;
	struct maker maker;
	struct backup_options options = { .beside = &maker.beside };

	maker_init(&maker, "~last");
	backup_put(f, "file", "text\n");
	backup_make_well(f, &options, &first);
	memset(maker.calls, 0, sizeof(maker.calls));
	backup_make_well(f, &options, &second);
	assert_string_equal(second.snapshot->parent, first.snapshot->id);
	assert_int_equal(second.snapshot->unmodified_files, 1);
	backup_made_done(&first);
	backup_made_done(&second);
	free(maker.source);
}

static void
assert_fails(const struct backup_fixture *f, struct maker *maker, const char *calls,
    enum error_code code, const char *message)
{
	struct backup_options options = { .beside = &maker->beside };
	struct snapshot **list;
	struct backup_made made;
	size_t count;

	backup_put(f, "file", "text\n");
	backup_make(f, &options, &made);
	assert_int_equal(made.rc, -1);
	assert_int_equal(made.err.code, code);
	assert_non_null(strstr(made.err.message, message));
	assert_string_equal(maker->calls, calls);
	assert_int_equal(snapshot_list(f->repo, &list, &count, NULL, NULL, &made.err), 0);
	assert_int_equal(count, 0);
	free(list);
	backup_made_done(&made);
	free(maker->source);
}

static void
one_that_cannot_begin_fails_the_backup_before_anything_is_read(void **state)
{
	struct maker maker;

	maker_init(&maker, "~last");
	maker.begin_rc = -1;
	assert_fails(*state, &maker, "b", ERROR_UNAVAILABLE, "not now");
}

static void
one_that_cannot_be_stored_fails_the_backup(void **state)
{
	struct maker maker;

	maker_init(&maker, "~last");
	maker.store_rc = -1;
	assert_fails(*state, &maker, "bs", ERROR_CONFLICT, "it went wrong");
}

static void
a_folder_of_its_name_at_the_root_is_refused(void **state)
{
	struct backup_fixture *f = *state;
	char *name = first_component(f);
	struct maker maker;

	maker_init(&maker, name);
	assert_fails(f, &maker, "bs", ERROR_CONFLICT, "cannot be backed up together with tables");
	free(name);
}

static void
a_dry_run_does_not_ask_it(void **state)
{
	struct backup_fixture *f = *state;
	struct maker maker;
	struct backup_options options = { .beside = &maker.beside, .dry_run = true };
	struct backup_made made;

	maker_init(&maker, "~last");
	backup_put(f, "file", "text\n");
	backup_make_well(f, &options, &made);
	assert_string_equal(maker.calls, "");
	assert_null(made.snapshot);
	backup_made_done(&made);
	free(maker.source);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(it_has_its_place_among_the_names_of_the_root),
		CASE(the_second_backup_is_compared_with_the_first),
		CASE(one_that_cannot_begin_fails_the_backup_before_anything_is_read),
		CASE(one_that_cannot_be_stored_fails_the_backup),
		CASE(a_folder_of_its_name_at_the_root_is_refused),
		CASE(a_dry_run_does_not_ask_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
