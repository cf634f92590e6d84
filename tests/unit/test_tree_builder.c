/* Directories whose entries are finished in any order, from any thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/tree_builder.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

#define ENTRIES 5000u
#define THREADS 4u

struct fixture {
	char *folder;
	struct repository *repo;
	struct writer *writer;
};

static int
setup(void **state)
{
	struct writer_options how = { .threads = 1 };
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;
	char *path;

	f->repo = test_repository_new(&f->folder, &path);
	free(path);
	*state = f;
	return writer_begin(f->repo, &how, &f->writer, &err);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	writer_abort(f->writer);
	repository_close(f->repo);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

/* Make what was stored readable. */
static void
finish(struct fixture *f)
{
	struct writer_totals totals;
	struct error err = ERROR_INIT;
	int rc = writer_finish(f->writer, &totals, &err);

	f->writer = NULL;
	if (rc != 0)
		fail_msg("%s", err.message);
}

static void
begin_again(struct fixture *f)
{
	struct writer_options how = { .threads = 1 };
	struct error err = ERROR_INIT;

	assert_int_equal(writer_begin(f->repo, &how, &f->writer, &err), 0);
}

static struct tree_slot *
add(struct tree_dir *dir, unsigned n)
{
	char name[40];
	struct tree_slot *slot;

	slot = tree_dir_add(dir, name, (size_t)snprintf(name, sizeof(name), "entry-%05u", n));
	slot->entry.kind = ENTRY_FIFO;
	slot->entry.nlink = 1;
	slot->entry.inode = n;
	return slot;
}

/* The stored names are those numbers for which keep() is true, in order. */
static void
assert_entries(struct fixture *f, const struct tree_roots *roots, bool (*keep)(unsigned n))
{
	struct tree_cursor *cursor;
	const struct entry *entry;
	struct error err = ERROR_INIT;

	assert_true(roots->complete);
	assert_int_equal(tree_open(f->repo, roots->parts, roots->count, &cursor, &err), 0);
	for (unsigned n = 0; n < ENTRIES; n++) {
		if (!keep(n))
			continue;
		if (tree_next(cursor, &entry, &err) != 1)
			fail_msg("entry %u: %s", n, err.message);
		assert_int_equal(entry->inode, n);
	}
	assert_int_equal(tree_next(cursor, &entry, &err), 0);
	tree_close(cursor);
}

static bool
keep_all(unsigned n)
{
	(void)n;
	return true;
}

static bool
keep_some(unsigned n)
{
	/* A run longer than a part is left out, and every seventh. */
	return (n < 1000 || n > 3500) && n % 7 != 0;
}

static bool
keep_none(unsigned n)
{
	(void)n;
	return false;
}

enum order { AT_ONCE, BACKWARDS, SCATTERED, ORDERS };

static void
build(struct fixture *f, enum order order, bool (*keep)(unsigned n), struct tree_roots *roots)
{
	struct tree_slot **slots = mem_calloc(ENTRIES, sizeof(struct tree_slot *));
	struct tree_dir *dir = tree_dir_begin_root(f->writer, roots);

	for (unsigned n = 0; n < ENTRIES; n++) {
		slots[n] = add(dir, n);
		if (order == AT_ONCE)
			tree_slot_finish(slots[n], keep(n));
	}
	if (order == BACKWARDS)
		for (unsigned n = ENTRIES; n-- > 0;)
			tree_slot_finish(slots[n], keep(n));
	assert_false(roots->complete);
	tree_dir_end(dir);
	if (order == SCATTERED) {
		for (unsigned i = 0; i < ENTRIES; i++) {
			unsigned n = i * 1237 % ENTRIES;

			assert_false(roots->complete);
			tree_slot_finish(slots[n], keep(n));
		}
	}
	free(slots);
}

/* An entry that comes from elsewhere makes the same folder as one that is made in it. */
static void
entries_taken_over_make_the_same_parts(void **state)
{
	struct fixture *f = *state;
	struct tree_roots made = { NULL, 0, false }, taken = { NULL, 0, false };
	struct tree_dir *dir = tree_dir_begin_root(f->writer, &taken);

	build(f, AT_ONCE, keep_all, &made);
	for (unsigned n = 0; n < ENTRIES; n++) {
		struct entry entry;

		entry_init(&entry);
		entry.name = mem_printf("entry-%05u", n);
		entry.name_len = strlen(entry.name);
		entry.kind = ENTRY_FIFO;
		entry.nlink = 1;
		entry.inode = n;
		tree_slot_finish(tree_dir_add_entry(dir, &entry), true);
	}
	tree_dir_end(dir);
	finish(f);
	assert_entries(f, &taken, keep_all);
	assert_int_equal(taken.count, made.count);
	assert_memory_equal(taken.parts, made.parts, made.count * BLOB_ID_SIZE);
	free(made.parts);
	free(taken.parts);
	begin_again(f);
}

static void
the_order_of_finishing_makes_no_difference(void **state)
{
	static bool (*const keeps[])(unsigned) = { keep_all, keep_some };
	struct fixture *f = *state;

	for (size_t k = 0; k < ARRAY_LEN(keeps); k++) {
		struct tree_roots roots[ORDERS] = { { NULL, 0, false } };

		for (unsigned order = 0; order < ORDERS; order++)
			build(f, order, keeps[k], &roots[order]);
		finish(f);
		for (unsigned order = 0; order < ORDERS; order++) {
			assert_entries(f, &roots[order], keeps[k]);
			assert_true(roots[order].count > 3);
			assert_int_equal(roots[order].count, roots[0].count);
			assert_memory_equal(roots[order].parts, roots[0].parts,
			    roots[0].count * BLOB_ID_SIZE);
		}
		for (unsigned order = 0; order < ORDERS; order++)
			free(roots[order].parts);
		begin_again(f);
	}
}

static void
a_directory_of_which_nothing_is_kept_has_no_parts(void **state)
{
	struct tree_roots roots = { NULL, 0, false };
	struct fixture *f = *state;

	build(f, SCATTERED, keep_none, &roots);
	assert_true(roots.complete);
	assert_int_equal(roots.count, 0);
	free(roots.parts);
	roots = (struct tree_roots){ NULL, 0, false };
	tree_dir_end(tree_dir_begin_root(f->writer, &roots));
	assert_true(roots.complete);
	assert_int_equal(roots.count, 0);
	free(roots.parts);
}

static void
without_a_writer_nothing_is_stored(void **state)
{
	struct tree_roots roots = { NULL, 0, false };
	struct tree_dir *dir = tree_dir_begin_root(NULL, &roots), *sub;
	struct tree_slot *slot = add(dir, 1);

	(void)state;
	slot->entry.kind = ENTRY_DIRECTORY;
	sub = tree_dir_begin(NULL, slot);
	tree_slot_finish(add(sub, 2), true);
	tree_dir_end(sub);
	tree_dir_end(dir);
	assert_true(roots.complete);
	assert_int_equal(roots.count, 0);
	free(roots.parts);
}

struct finisher {
	struct tree_slot **slots;
	unsigned first;
};

static void *
finish_some(void *arg)
{
	struct finisher *finisher = arg;

	for (unsigned n = finisher->first; n < ENTRIES; n += THREADS)
		tree_slot_finish(finisher->slots[n], true);
	return NULL;
}

static void
many_threads_finish_one_directory(void **state)
{
	struct tree_roots roots = { NULL, 0, false }, alone = { NULL, 0, false };
	struct fixture *f = *state;
	struct tree_slot **slots = mem_calloc(ENTRIES, sizeof(struct tree_slot *));
	struct tree_dir *dir = tree_dir_begin_root(f->writer, &roots);
	struct finisher finishers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned n = 0; n < ENTRIES; n++)
		slots[n] = add(dir, n);
	tree_dir_end(dir);
	for (unsigned t = 0; t < THREADS; t++) {
		finishers[t] = (struct finisher){ slots, t };
		assert_int_equal(pthread_create(&threads[t], NULL, finish_some, &finishers[t]), 0);
	}
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	build(f, AT_ONCE, keep_all, &alone);
	finish(f);
	assert_entries(f, &roots, keep_all);
	assert_int_equal(roots.count, alone.count);
	assert_memory_equal(roots.parts, alone.parts, roots.count * BLOB_ID_SIZE);
	free(slots);
	free(roots.parts);
	free(alone.parts);
}

/* Completing the deepest folder completes all above it: without recursion, at any depth. */
#define DEPTH 30000u

static void
folders_within_folders_are_completed_at_any_depth(void **state)
{
	struct tree_roots roots = { NULL, 0, false };
	struct fixture *f = *state;
	struct tree_dir *dir = tree_dir_begin_root(f->writer, &roots);
	struct blob_id *parts;
	struct tree_slot *last = NULL;
	size_t count;

	for (unsigned depth = 0; depth < DEPTH; depth++) {
		struct tree_slot *slot = add(dir, depth);

		tree_slot_finish(add(dir, depth + 1), true);
		slot->entry.kind = ENTRY_DIRECTORY;
		tree_dir_end(dir);
		dir = tree_dir_begin(f->writer, slot);
	}
	last = add(dir, DEPTH);
	tree_dir_end(dir);
	assert_false(roots.complete);
	tree_slot_finish(last, true);
	assert_true(roots.complete);
	finish(f);
	parts = roots.parts;
	count = roots.count;
	for (unsigned depth = 0; depth < DEPTH; depth += 1) {
		struct tree_cursor *cursor;
		const struct entry *entry;
		struct error err = ERROR_INIT;
		struct blob_id *below;

		assert_int_equal(tree_open(f->repo, parts, count, &cursor, &err), 0);
		assert_int_equal(tree_next(cursor, &entry, &err), 1);
		assert_int_equal(entry->kind, ENTRY_DIRECTORY);
		assert_int_equal(entry->inode, depth);
		below = mem_dup(entry->content, entry->content_count * BLOB_ID_SIZE);
		count = entry->content_count;
		tree_close(cursor);
		free(parts);
		parts = below;
	}
	free(parts);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(the_order_of_finishing_makes_no_difference),
		CASE(entries_taken_over_make_the_same_parts),
		CASE(a_directory_of_which_nothing_is_kept_has_no_parts),
		CASE(without_a_writer_nothing_is_stored),
		CASE(many_threads_finish_one_directory),
		CASE(folders_within_folders_are_completed_at_any_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
