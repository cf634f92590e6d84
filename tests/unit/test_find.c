/* Names over all snapshots, and the versions of one path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "agent/repository/find.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"

#define SNAPSHOTS_MAX 8

/* Snapshots in order, and what was found in them: "0 /a\n" for the first. */
struct found {
	struct backup_fixture *f;
	struct backup_made made[SNAPSHOTS_MAX];
	struct snapshot *list[SNAPSHOTS_MAX];
	size_t count;
	struct buffer text;
	unsigned told, end_after;
};

static void
shell(const struct backup_fixture *f, const char *what)
{
	char *command = mem_printf("cd '%s' && %s", f->source, what);

	assert_int_equal(system(command), 0);
	free(command);
}

static void
back_up(struct found *found, const struct backup_options *options)
{
	struct backup_made *made = &found->made[found->count];

	backup_make_well(found->f, options, made);
	found->list[found->count++] = made->snapshot;
}

static void
found_done(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		backup_made_done(&found->made[i]);
	buffer_done(&found->text);
}

static size_t
number_of(const struct found *found, const struct snapshot *snapshot)
{
	size_t n = 0;

	while (n < found->count && found->list[n] != snapshot)
		n++;
	return n;
}

static int
note(void *arg, const struct snapshot *snapshot, const char *path, size_t len,
    const struct entry *entry, struct error *err)
{
	struct found *found = arg;
	size_t skip = strlen(found->f->source);

	(void)err;
	assert_non_null(entry);
	buffer_printf(&found->text, "%zu ", number_of(found, snapshot));
	if (len >= skip)
		buffer_put(&found->text, path + skip, len - skip);
	buffer_put_u8(&found->text, '\n');
	return ++found->told == found->end_after;
}

static void
assert_found(struct found *found, const char *pattern, const char *expected)
{
	struct error err = ERROR_INIT;
	struct progress progress;

	buffer_clear(&found->text);
	found->told = 0;
	progress_init(&progress);
	if (find_names(found->f->repo, found->list, found->count, pattern, note, found, &progress,
	    &err) != 0)
		fail_msg("%s", err.message);
	progress_done(&progress);
	assert_string_equal(buffer_text(&found->text), expected);
}

static void
a_part_of_a_name_a_glob_or_a_path_finds_it(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };
	char *pattern;

	backup_put(f, "a/needle.txt", "1");
	backup_put(f, "a/other", "1");
	backup_put(f, "b/needle", "1");
	backup_put(f, "b/needle.d/x", "1");
	back_up(&found, NULL);
	assert_found(&found, "eedl", "0 /a/needle.txt\n0 /b/needle\n0 /b/needle.d\n");
	assert_found(&found, "needle*", "0 /a/needle.txt\n0 /b/needle\n0 /b/needle.d\n");
	assert_found(&found, "needle?txt", "0 /a/needle.txt\n");
	assert_found(&found, "[n]eedle", "0 /b/needle\n");
	assert_found(&found, "b/n", "0 /b/needle\n0 /b/needle.d\n0 /b/needle.d/x\n");
	pattern = mem_printf("%s/*/needle", f->source);
	assert_found(&found, pattern, "0 /b/needle\n");
	free(pattern);
	pattern = mem_printf("%s/*/x", f->source);
	assert_found(&found, pattern, "");
	free(pattern);
	assert_found(&found, "nothing of that name", "");
	found_done(&found);
}

static void
the_same_folder_at_two_places_is_found_at_each(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };

	backup_put(f, "one/sub/needle", "1");
	shell(f, "cp -al one two");
	back_up(&found, NULL);
	back_up(&found, NULL);
	assert_found(&found, "needle", "0 /one/sub/needle\n0 /two/sub/needle\n"
	    "1 /one/sub/needle\n1 /two/sub/needle\n");
	/* That the first place does not fit says nothing of the second. */
	assert_found(&found, "two/sub/n", "0 /two/sub/needle\n1 /two/sub/needle\n");
	found_done(&found);
}

static void
parts_without_a_match_are_skipped_and_others_are_not(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };

	backup_put(f, "barren/x/y", "1");
	backup_put(f, "mixed/barren/z", "1");
	backup_put(f, "mixed/deep/down/needle", "1");
	back_up(&found, NULL);
	backup_put(f, "barren/x/needle", "1");
	back_up(&found, NULL);
	shell(f, "rm -r mixed/deep");
	back_up(&found, NULL);
	assert_found(&found, "needle", "0 /mixed/deep/down/needle\n"
	    "1 /barren/x/needle\n1 /mixed/deep/down/needle\n2 /barren/x/needle\n");
	found_done(&found);
}

static void
it_ends_as_soon_as_there_is_enough(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT, .end_after = 2 };

	backup_put(f, "n1", "1");
	backup_put(f, "n2", "1");
	backup_put(f, "n3", "1");
	back_up(&found, NULL);
	assert_found(&found, "n?", "0 /n1\n0 /n2\n");
	found_done(&found);
}

static void
names_of_any_bytes_are_found(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };

	backup_put(f, "\xff\xfe-x", "1");
	back_up(&found, NULL);
	assert_found(&found, "\xfe", "0 /\xff\xfe-x\n");
	assert_found(&found, "?[\xfe]-x", "0 /\xff\xfe-x\n");
	found_done(&found);
}

static int
note_version(void *arg, const struct snapshot *snapshot, const struct entry *entry,
    struct error *err)
{
	struct found *found = arg;

	(void)err;
	if (entry == NULL)
		buffer_printf(&found->text, "%zu gone\n", number_of(found, snapshot));
	else
		buffer_printf(&found->text, "%zu %llu\n", number_of(found, snapshot),
		    (unsigned long long)entry->size);
	return ++found->told == found->end_after;
}

static void
assert_versions(struct found *found, const char *name, const char *expected)
{
	struct error err = ERROR_INIT;
	struct progress progress;
	char *path = test_path(found->f->source, "%s", name);

	buffer_clear(&found->text);
	found->told = 0;
	progress_init(&progress);
	if (find_versions(found->f->repo, found->list, found->count, path, note_version, found,
	    &progress, &err) != 0)
		fail_msg("%s", err.message);
	progress_done(&progress);
	assert_string_equal(buffer_text(&found->text), expected);
	free(path);
}

static void
a_path_comes_changes_goes_and_comes_back(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };

	back_up(&found, NULL);
	backup_put(f, "x", "1");
	back_up(&found, NULL);
	back_up(&found, NULL);
	backup_put(f, "x", "22");
	back_up(&found, NULL);
	shell(f, "mv x ../kept");
	back_up(&found, NULL);
	back_up(&found, NULL);
	shell(f, "mv ../kept x");
	back_up(&found, NULL);
	assert_versions(&found, "x", "1 1\n3 2\n4 gone\n6 2\n");
	found.end_after = 1;
	assert_versions(&found, "x", "1 1\n");
	found.end_after = 0;
	assert_versions(&found, "never", "");
	found_done(&found);
}

static void
attributes_make_a_version(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };
	char *path;

	backup_put(f, "x", "1");
	back_up(&found, NULL);
	shell(f, "chmod 640 x");
	back_up(&found, NULL);
	path = test_path(f->source, "x");
	assert_int_equal(setxattr(path, "user.note", "n", 1, 0), 0);
	free(path);
	back_up(&found, NULL);
	back_up(&found, NULL);
	assert_versions(&found, "x", "0 1\n1 1\n2 1\n");
	found_done(&found);
}

static void
hosts_are_told_apart(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };
	struct backup_options other = { .host = "other" };

	backup_put(f, "x", "1");
	back_up(&found, NULL);
	shell(f, "mv x ../kept");
	back_up(&found, &other);
	shell(f, "mv ../kept x");
	back_up(&found, NULL);
	assert_versions(&found, "x", "0 1\n");
	back_up(&found, &other);
	assert_versions(&found, "x", "0 1\n3 1\n");
	found_done(&found);
}

static void
a_snapshot_of_other_sources_says_nothing(void **state)
{
	struct backup_fixture *f = *state;
	struct found found = { .f = f, .text = BUFFER_INIT };
	char *part = test_path(f->source, "part\xff");
	const char *paths[] = { part };
	struct backup_options options = { .paths = paths, .path_count = 1 };

	backup_put(f, "x", "1");
	backup_put(f, "part\xff/y", "1");
	back_up(&found, NULL);
	back_up(&found, &options);
	back_up(&found, NULL);
	assert_versions(&found, "x", "0 1\n");
	/* A source whose name has to be escaped where it is shown is one as well. */
	shell(f, "rm part*/y");
	back_up(&found, &options);
	assert_versions(&found, "part\xff/y", "0 1\n3 gone\n");
	free(part);
	found_done(&found);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_part_of_a_name_a_glob_or_a_path_finds_it),
		CASE(the_same_folder_at_two_places_is_found_at_each),
		CASE(parts_without_a_match_are_skipped_and_others_are_not),
		CASE(it_ends_as_soon_as_there_is_enough),
		CASE(names_of_any_bytes_are_found),
		CASE(a_path_comes_changes_goes_and_comes_back),
		CASE(attributes_make_a_version),
		CASE(hosts_are_told_apart),
		CASE(a_snapshot_of_other_sources_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
