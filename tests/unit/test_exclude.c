#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/exclude.h"
#include "shared/mem.h"

/* Is path (a folder if it ends in a slash) left out by these patterns?  NULL ends them. */
static bool
matches(const char *path, ...)
{
	const char *patterns[8];
	struct exclude *exclude = NULL;
	struct error err = ERROR_INIT;
	size_t count = 0, len = strlen(path);
	bool folder = len > 1 && path[len - 1] == '/';
	bool result;
	va_list ap;

	va_start(ap, path);
	while ((patterns[count] = va_arg(ap, const char *)) != NULL)
		count++;
	va_end(ap);
	if (exclude_new(patterns, count, &exclude, &err) < 0)
		fail_msg("%s", err.message);
	result = exclude_match(exclude, path, folder ? len - 1 : len, folder);
	exclude_free(exclude);
	return result;
}

/* The message that a pattern is refused with. */
static void
assert_refused(const char *pattern, const char *message)
{
	struct exclude *exclude = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(exclude_new(&pattern, 1, &exclude, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, message);
	assert_null(exclude);
}

static void
bare_name_matches_at_any_depth(void **state)
{
	(void)state;
	assert_true(matches("/cache", "cache", NULL));
	assert_true(matches("/srv/a/b/cache", "cache", NULL));
	assert_true(matches("/srv/cache/", "cache", NULL));
	assert_false(matches("/srv/cache2", "cache", NULL));
	assert_false(matches("/srv/mycache", "cache", NULL));
	assert_false(matches("/cache/x", "cache", NULL));
}

static void
pattern_with_a_slash_is_anchored_at_the_root(void **state)
{
	(void)state;
	assert_true(matches("/srv/cache", "/srv/cache", NULL));
	assert_true(matches("/srv/cache", "srv/cache", NULL));
	assert_false(matches("/home/srv/cache", "srv/cache", NULL));
	assert_true(matches("/cache", "/cache", NULL));
	assert_false(matches("/srv/cache", "/cache", NULL));
}

static void
slash_at_the_end_matches_folders_only(void **state)
{
	(void)state;
	assert_true(matches("/srv/build/", "build/", NULL));
	assert_false(matches("/srv/build", "build/", NULL));
	assert_true(matches("/srv/build/", "/srv/build/", NULL));
	assert_false(matches("/srv/build", "/srv/build/", NULL));
	/* A slash at the end alone does not anchor. */
	assert_true(matches("/a/b/c/build/", "build/", NULL));
}

static void
star_and_question_mark_stay_within_a_component(void **state)
{
	(void)state;
	assert_true(matches("/srv/a.tmp", "*.tmp", NULL));
	assert_true(matches("/srv/.tmp", "*.tmp", NULL));
	assert_false(matches("/srv/a.tmpx", "*.tmp", NULL));
	assert_true(matches("/srv/x/log", "/srv/*/log", NULL));
	assert_false(matches("/srv/x/y/log", "/srv/*/log", NULL));
	assert_false(matches("/srv/log", "/srv/*/log", NULL));
	assert_true(matches("/srv/abc", "/srv/a?c", NULL));
	assert_false(matches("/srv/a/c", "/srv/a?c", NULL));
	assert_false(matches("/srv/ac", "/srv/a?c", NULL));
	assert_true(matches("/a-b-c", "a*b*c", NULL));
	assert_false(matches("/a-b-d", "a*b*c", NULL));
}

static void
question_mark_is_one_character_of_utf_8(void **state)
{
	(void)state;
	assert_true(matches("/caf\xc3\xa9", "caf?", NULL));
	assert_true(matches("/x\xf0\x9f\x98\x80y", "x?y", NULL));
	assert_false(matches("/x\xc3\xa9\xc3\xa9y", "x?y", NULL));
	assert_true(matches("/bad\xff", "bad?", NULL));
}

static void
two_stars_cross_components(void **state)
{
	(void)state;
	assert_true(matches("/log", "**/log", NULL));
	assert_true(matches("/a/b/log", "**/log", NULL));
	assert_false(matches("/a/b/xlog", "**/log", NULL));
	assert_true(matches("/srv/log", "/srv/**/log", NULL));
	assert_true(matches("/srv/a/log", "/srv/**/log", NULL));
	assert_true(matches("/srv/a/b/c/log", "/srv/**/log", NULL));
	assert_false(matches("/srv/alog", "/srv/**/log", NULL));
	assert_false(matches("/srvlog", "/srv/**/log", NULL));
	assert_true(matches("/srv/a", "/srv/**", NULL));
	assert_true(matches("/srv/a/b", "/srv/**", NULL));
	assert_false(matches("/srv/", "/srv/**", NULL));
	assert_true(matches("/a/x/y/z.o", "/a/**.o", NULL));
}

static void
sets_match_one_byte_and_never_a_slash(void **state)
{
	(void)state;
	assert_true(matches("/a1", "a[0-9]", NULL));
	assert_false(matches("/ax", "a[0-9]", NULL));
	assert_true(matches("/ax", "a[!0-9]", NULL));
	assert_true(matches("/ax", "a[^0-9]", NULL));
	assert_false(matches("/a1", "a[!0-9]", NULL));
	assert_true(matches("/a]", "a[]]", NULL));
	assert_true(matches("/a-", "a[x-]", NULL));
	assert_true(matches("/a]", "a[\\]]", NULL));
	assert_true(matches("/a7", "a[[:digit:]_]", NULL));
	assert_true(matches("/a_", "a[[:digit:]_]", NULL));
	assert_false(matches("/ab", "a[[:digit:]_]", NULL));
	assert_false(matches("/srv/a", "/srv[!x]a", NULL));
	assert_true(matches("/a\xc3\xa9", "a[!x]", NULL));
}

static void
backslash_quotes(void **state)
{
	(void)state;
	assert_true(matches("/a*b", "a\\*b", NULL));
	assert_false(matches("/axb", "a\\*b", NULL));
	assert_true(matches("/#x", "\\#x", NULL));
	assert_true(matches("/!x", "\\!x", NULL));
	assert_true(matches("/a\\b", "a\\\\b", NULL));
}

static void
last_pattern_that_matches_decides(void **state)
{
	(void)state;
	assert_false(matches("/keep.log", "*.log", "!keep.log", NULL));
	assert_true(matches("/other.log", "*.log", "!keep.log", NULL));
	assert_true(matches("/keep.log", "*.log", "!keep.log", "k*", NULL));
	assert_true(matches("/keep.log", "!keep.log", "*.log", NULL));
}

static void
empty_items_and_remarks_are_nothing(void **state)
{
	(void)state;
	assert_false(matches("/a", "", "# a", "#a", NULL));
	assert_false(matches("/a", NULL));
	assert_false(exclude_match(NULL, "/a", 2, false));
	assert_false(matches("/", "*", NULL));
}

static void
names_of_any_bytes_are_matched(void **state)
{
	(void)state;
	assert_true(matches("/\xff\xfe", "\xff*", NULL));
	assert_true(matches("/a\nb", "a?b", NULL));
}

static void
malformed_patterns_are_refused_with_their_text(void **state)
{
	(void)state;
	assert_refused("a[b", "exclude pattern 'a[b': '[' without ']'");
	assert_refused("a\\", "exclude pattern 'a\\\\': '\\' quotes nothing");
	assert_refused("/", "exclude pattern '/': names nothing");
	assert_refused("!", "exclude pattern '!': names nothing");
	assert_refused("[z-a]", "exclude pattern '[z-a]': range in '[]' is reversed");
	assert_refused("[[:nonsense:]]",
	    "exclude pattern '[[:nonsense:]]': unknown class after '['");
}

static void
pattern_that_is_too_long_is_refused(void **state)
{
	char *pattern = mem_calloc(EXCLUDE_PATTERN_MAX + 2, 1);
	const char *one = pattern;
	struct exclude *exclude = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	memset(pattern, 'a', EXCLUDE_PATTERN_MAX + 1);
	assert_int_equal(exclude_new(&one, 1, &exclude, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	pattern[EXCLUDE_PATTERN_MAX] = '\0';
	assert_int_equal(exclude_new(&one, 1, &exclude, &err), 0);
	exclude_free(exclude);
	free(pattern);
}

/* A matcher that tries again and again would not end in the life of this test. */
static void
many_stars_do_not_multiply(void **state)
{
	char pattern[200] = "/", path[2001] = "/";

	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(pattern, "**a*");
	strcat(pattern, "b");
	memset(path + 1, 'a', sizeof(path) - 2);
	path[sizeof(path) - 1] = '\0';
	assert_false(matches(path, pattern, NULL));
	path[sizeof(path) - 2] = 'b';
	assert_true(matches(path, pattern, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bare_name_matches_at_any_depth),
		cmocka_unit_test(pattern_with_a_slash_is_anchored_at_the_root),
		cmocka_unit_test(slash_at_the_end_matches_folders_only),
		cmocka_unit_test(star_and_question_mark_stay_within_a_component),
		cmocka_unit_test(question_mark_is_one_character_of_utf_8),
		cmocka_unit_test(two_stars_cross_components),
		cmocka_unit_test(sets_match_one_byte_and_never_a_slash),
		cmocka_unit_test(backslash_quotes),
		cmocka_unit_test(last_pattern_that_matches_decides),
		cmocka_unit_test(empty_items_and_remarks_are_nothing),
		cmocka_unit_test(names_of_any_bytes_are_matched),
		cmocka_unit_test(malformed_patterns_are_refused_with_their_text),
		cmocka_unit_test(pattern_that_is_too_long_is_refused),
		cmocka_unit_test(many_stars_do_not_multiply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
