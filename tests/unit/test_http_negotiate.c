#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "agent/http/negotiate.h"
#include "shared/mem.h"

static const char *const offered[] = { "application/json", "text/csv", "application/x-ndjson" };

static void
the_preferred_type_is_chosen(void **state)
{
	static const struct {
		const char *accept;
		size_t expected;
	} cases[] = {
		{ NULL, 0 },
		{ "", 0 },
		{ " , ", 0 },
		{ "*/*", 0 },
		{ "*", 0 },
		{ "text/csv", 1 },
		{ "TEXT/CSV", 1 },
		{ "text/*", 1 },
		{ "application/*", 0 },
		{ "application/x-ndjson, */*;q=0.1", 2 },
		{ "text/html, text/csv;q=0.5, application/json;q=0.4", 1 },
		{ "text/csv;q=0.5, application/json;q=0.6", 0 },
		{ "application/json;q=0, */*", 1 },
		{ "text/csv ; header=present ; q=1.0", 1 },
		{ "text/html;x=\"a,text/csv\", application/x-ndjson", 2 },
	};
	struct error err = ERROR_INIT;
	size_t i, chosen;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		chosen = 99;
		assert_int_equal(accept_choose(cases[i].accept, offered, 3, &chosen, &err), 0);
		assert_int_equal(chosen, cases[i].expected);
	}
}

static void
unknown_types_are_refused_and_the_known_ones_named(void **state)
{
	static const char *const accepts[] = { "text/html", "image/*", "text/csv;q=0",
		"application/jsonx", "application", "text/csv;q=x" };
	struct error err;
	size_t i, chosen;

	(void)state;
	for (i = 0; i < ARRAY_LEN(accepts); i++) {
		error_clear(&err);
		assert_int_equal(accept_choose(accepts[i], offered, 3, &chosen, &err), -1);
		assert_int_equal(err.code, ERROR_NOT_ACCEPTABLE);
		assert_string_equal(err.hint,
		    "available: application/json, text/csv, application/x-ndjson");
	}
}

static void
media_types_are_compared_without_parameters(void **state)
{
	(void)state;
	assert_true(media_type_is("application/json", "application/json"));
	assert_true(media_type_is("Application/JSON ; charset=utf-8", "application/json"));
	assert_false(media_type_is("application/json5", "application/json"));
	assert_false(media_type_is("application", "application/json"));
	assert_false(media_type_is(NULL, "application/json"));
}

static void
assert_range(const char *text, uint64_t size, int rc, uint64_t first, uint64_t last)
{
	struct byte_range range = { 0, 0 };
	struct error err = ERROR_INIT;

	assert_int_equal(range_parse(text, size, &range, &err), rc);
	if (rc < 0)
		assert_int_equal(err.code, ERROR_BAD_RANGE);
	if (rc <= 0)
		return;
	assert_int_equal(range.first, first);
	assert_int_equal(range.last, last);
}

static void
ranges_are_cut_to_the_size(void **state)
{
	(void)state;
	assert_range("bytes=0-9", 100, 1, 0, 9);
	assert_range("bytes=0-0", 100, 1, 0, 0);
	assert_range("BYTES=50-", 100, 1, 50, 99);
	assert_range("bytes=50-1000", 100, 1, 50, 99);
	assert_range("bytes=-5", 100, 1, 95, 99);
	assert_range("bytes=-500", 100, 1, 0, 99);
	assert_range("bytes=7-", RANGE_SIZE_UNKNOWN, 1, 7, UINT64_MAX);
}

static void
ranges_behind_the_end_are_refused(void **state)
{
	(void)state;
	assert_range("bytes=100-", 100, -1, 0, 0);
	assert_range("bytes=0-", 0, -1, 0, 0);
	assert_range("bytes=-0", 100, -1, 0, 0);
	assert_range("bytes=-1", 0, -1, 0, 0);
}

static void
what_is_no_single_range_is_ignored(void **state)
{
	static const char *const ranges[] = { NULL, "", "bytes", "bytes=", "bytes=-", "bytes=a-b",
		"bytes=5", "bytes=9-5", "bytes=0-1,3-4", "bytes=0-1 ", "items=0-1", "bytes=1--2",
		"bytes=99999999999999999999-", "bytes= 1-2" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(ranges); i++)
		assert_range(ranges[i], 100, 0, 0, 0);
	assert_range("bytes=-5", RANGE_SIZE_UNKNOWN, 0, 0, 0);
}

static void
entity_tags_are_found_in_lists(void **state)
{
	(void)state;
	assert_true(etag_listed("\"a\"", "\"a\""));
	assert_true(etag_listed("\"x\", W/\"a\"", "\"a\""));
	assert_true(etag_listed("*", "\"a\""));
	assert_true(etag_listed("\"x,y\",\"a\"", "\"a\""));
	assert_false(etag_listed("\"x,a\"", "\"a\""));
	assert_false(etag_listed("\"ab\"", "\"a\""));
	assert_false(etag_listed(NULL, "\"a\""));
	assert_true(etag_is("\"a\"", "\"a\""));
	assert_false(etag_is("W/\"a\"", "\"a\""));
	assert_false(etag_is(NULL, "\"a\""));
}

static void
preferences_are_found_in_lists(void **state)
{
	(void)state;
	assert_true(prefer_has("respond-async", "respond-async"));
	assert_true(prefer_has("wait=10, Respond-Async; x=y", "respond-async"));
	assert_false(prefer_has("respond-asynchronously", "respond-async"));
	assert_false(prefer_has("wait=10", "respond-async"));
	assert_false(prefer_has(NULL, "respond-async"));
}

static void
gzip_is_accepted_where_it_is_named_or_anything_is(void **state)
{
	static const char *const yes[] = { "gzip", "deflate, gzip, br", "GZIP;q=0.5", "x-gzip",
		"*", "br;q=1, *;q=0.1", "gzip;q=0.001", "identity;q=0, gzip" };
	static const char *const no[] = { "", "identity", "deflate, br", "gzip;q=0", "gzip; q=0.0",
		"*, gzip;q=0", "gzip;q=0, *", "*;q=0", "gzipped", "br" };

	(void)state;
	assert_false(accepts_gzip(NULL));
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (!accepts_gzip(yes[i]))
			fail_msg("'%s' takes it", yes[i]);
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (accepts_gzip(no[i]))
			fail_msg("'%s' does not take it", no[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gzip_is_accepted_where_it_is_named_or_anything_is),
		cmocka_unit_test(the_preferred_type_is_chosen),
		cmocka_unit_test(unknown_types_are_refused_and_the_known_ones_named),
		cmocka_unit_test(media_types_are_compared_without_parameters),
		cmocka_unit_test(ranges_are_cut_to_the_size),
		cmocka_unit_test(ranges_behind_the_end_are_refused),
		cmocka_unit_test(what_is_no_single_range_is_ignored),
		cmocka_unit_test(entity_tags_are_found_in_lists),
		cmocka_unit_test(preferences_are_found_in_lists),
	};

	return cmocka_run_group_tests_name("http_negotiate", tests, NULL, NULL);
}
