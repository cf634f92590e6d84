#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/multipart.h"
#include "agent/http/request.h"
#include "shared/mem.h"

static void
a_target_is_split_into_path_and_parameters(void **state)
{
	char *path, *query;
	struct params params;
	struct error err = ERROR_INIT;
	static const char target[] = "/v1/x%20y?a=1&b=c+d%26&empty=&flag&&e=%C3%A9";

	(void)state;
	assert_int_equal(request_parse_target(target, strlen(target), &path, &query, &params, &err),
	    0);
	assert_string_equal(path, "/v1/x%20y");
	assert_string_equal(query, "a=1&b=c+d%26&empty=&flag&&e=%C3%A9");
	assert_int_equal(params.count, 5);
	assert_string_equal(params_get(&params, "a"), "1");
	assert_string_equal(params_get(&params, "b"), "c d&");
	assert_string_equal(params_get(&params, "empty"), "");
	assert_string_equal(params_get(&params, "flag"), "");
	assert_string_equal(params_get(&params, "e"), "\xc3\xa9");
	assert_null(params_get(&params, "A"));
	free(path);
	free(query);
	params_done(&params);
}

static void
the_absolute_form_means_the_same_path(void **state)
{
	char *path, *query;
	struct params params = { NULL, 0 };
	struct error err = ERROR_INIT;
	static const char target[] = "http://agent:7420/livez";

	(void)state;
	assert_int_equal(request_parse_target(target, strlen(target), &path, &query, &params, &err),
	    0);
	assert_string_equal(path, "/livez");
	assert_string_equal(query, "");
	free(path);
	free(query);
	params_done(&params);
}

static void
broken_targets_are_refused(void **state)
{
	static const struct {
		const char *target, *why;
	} cases[] = {
		{ "", "the address is no absolute path" },
		{ "x", "the address is no absolute path" },
		{ "*", "the address is no absolute path" },
		{ "http://host", "the address is no absolute path" },
		{ "/a#b", "the address holds a '#'" },
		{ "/%", "a '%' is not followed by two hexadecimal digits" },
		{ "/%4", "a '%' is not followed by two hexadecimal digits" },
		{ "/%zz", "a '%' is not followed by two hexadecimal digits" },
		{ "/x?a=%2", "a '%' is not followed by two hexadecimal digits" },
		{ "/%00", "a name or value holds a NUL" },
		{ "/x?a=%00", "a name or value holds a NUL" },
		{ "/x?a=1&a=2", "parameter 'a' is given twice" },
		{ "/x?a=1&%61=2", "parameter 'a' is given twice" },
	};
	char *path, *query;
	struct params params;
	struct error err;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		error_clear(&err);
		assert_int_equal(request_parse_target(cases[i].target, strlen(cases[i].target),
		    &path, &query, &params, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, cases[i].why);
	}
}

static void
too_many_parameters_are_refused(void **state)
{
	char text[PARAMS_MAX * 8], *at = text;
	struct params params;
	struct error err = ERROR_INIT;
	int i;

	(void)state;
	for (i = 0; i < PARAMS_MAX; i++)
		at += sprintf(at, "p%d=&", i);
	assert_int_equal(params_parse(text, (size_t)(at - text), &params, &err), 0);
	assert_int_equal(params.count, PARAMS_MAX);
	params_done(&params);
	at += sprintf(at, "more=");
	assert_int_equal(params_parse(text, (size_t)(at - text), &params, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
}

static void
names_that_are_no_text_come_in_printable_form(void **state)
{
	struct error err = ERROR_INIT;
	char *text;

	(void)state;
	text = percent_decode("/srv/%ff%5cx", 12, false, &err);
	assert_string_equal(text, "/srv/\\xff\\\\x");
	free(text);
	text = percent_decode("/srv/a%0ab", 10, false, &err);
	assert_string_equal(text, "/srv/a\nb");
	free(text);
	text = percent_decode("a+b", 3, false, &err);
	assert_string_equal(text, "a+b");
	free(text);
}

static void
unknown_parameters_are_refused_and_the_known_ones_named(void **state)
{
	static const char *const known[] = { "path", "limit", NULL }, *const none[] = { NULL };
	struct params params;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(params_parse("limit=1&pth=x", 13, &params, &err), 0);
	assert_int_equal(params_check(&params, known, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "there is no parameter 'pth'");
	assert_string_equal(err.hint, "parameters are: path, limit");
	assert_int_equal(params_check(&params, none, &err), -1);
	assert_string_equal(err.hint, "this address takes none");
	params_done(&params);
}

static void
numbers_are_digits_within_their_limit(void **state)
{
	static const char *const bad[] = { "n=", "n=-1", "n=1x", "n=+1", "n=%201", "n=0x1",
		"n=99999999999999999999", "n=101" };
	struct params params;
	struct error err;
	uint64_t n;
	size_t i;

	(void)state;
	assert_int_equal(params_parse("n=100", 5, &params, &err), 0);
	assert_int_equal(params_number(&params, "n", 100, 7, &n, &err), 0);
	assert_int_equal(n, 100);
	assert_int_equal(params_number(&params, "other", 100, 7, &n, &err), 0);
	assert_int_equal(n, 7);
	params_done(&params);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		error_clear(&err);
		assert_int_equal(params_parse(bad[i], strlen(bad[i]), &params, &err), 0);
		assert_int_equal(params_number(&params, "n", 100, 7, &n, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		params_done(&params);
	}
}

static void
json_bodies_are_objects_without_doubt(void **state)
{
	static const struct {
		const char *body, *why;
	} cases[] = {
		{ "", "the body is empty, JSON is needed" },
		{ "[]", "the body is no JSON object" },
		/* The parser's own words, as far as we rely on them. */
		{ "{\"a\"\n:", "the body is no JSON: line 2, column 1" },
		{ "{\"a\":1,\"a\":2}",
		    "the body is no JSON: line 1, column 10: duplicate object key near '\"a\"'" },
		{ "{} x", "the body is no JSON: line 1, column 4: end of file expected near 'x'" },
		{ "{\"a\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}",
		    "the body is nested deeper than 16 levels" },
	};
	struct error err;
	json_t *json;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		error_clear(&err);
		assert_int_equal(json_body_parse(cases[i].body, strlen(cases[i].body), &json, &err),
		    -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_memory_equal(err.message, cases[i].why, strlen(cases[i].why));
	}
	assert_int_equal(json_body_parse("{\"a\":[1]}", 9, &json, &err), 0);
	assert_int_equal(json_array_size(json_object_get(json, "a")), 1);
	json_decref(json);
}

static void
a_json_body_needs_its_type(void **state)
{
	struct request request;
	struct error err = ERROR_INIT;
	json_t *json;

	(void)state;
	memset(&request, 0, sizeof(request));
	assert_int_equal(request_json(&request, &json, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_MEDIA_TYPE);
}

#define MULTIPART "multipart/form-data; boundary=xYz"
#define PART "--xYz\r\nContent-Disposition: form-data; name="

static void
multipart_forms_are_read_like_others(void **state)
{
	static const char body[] = PART "\"path\"\r\nContent-Type: text/plain\r\n\r\n/srv/a b"
	    "\r\n" PART "other\r\n\r\n\r\n" PART "\"bytes\"\r\n\r\na\xff\r\n--xYz--\r\n";
	struct params params;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(multipart_parse(MULTIPART, body, strlen(body), &params, &err), 0);
	assert_int_equal(params.count, 3);
	assert_string_equal(params_get(&params, "path"), "/srv/a b");
	assert_string_equal(params_get(&params, "other"), "");
	assert_string_equal(params_get(&params, "bytes"), "a\\xff");
	params_done(&params);
	assert_int_equal(multipart_parse("multipart/form-data; boundary=\"xYz\"; charset=x", body,
	    strlen(body), &params, &err), 0);
	params_done(&params);
}

static void
broken_multipart_forms_are_refused(void **state)
{
	static const struct {
		const char *type, *body, *why;
	} cases[] = {
		{ "multipart/form-data", "--xYz--",
		    "the form is broken: its Content-Type names no boundary" },
		{ MULTIPART, "", "the form is broken: it does not begin with its boundary" },
		{ MULTIPART, "x\r\n--xYz--",
		    "the form is broken: it does not begin with its boundary" },
		{ MULTIPART, "--xYz", "the form is broken: it does not end" },
		{ MULTIPART, "--xYzx\r\n", "the form is broken: a boundary does not end its line" },
		{ MULTIPART, PART "\"a\"\r\n\r\nb", "the form is broken: a part does not end" },
		{ MULTIPART, PART "\"a\"\r\n--xYz--",
		    "the form is broken: a part has no empty line after its header" },
		{ MULTIPART, "--xYz\r\nX: y\r\n\r\nb\r\n--xYz--",
		    "the form is broken: a part has no Content-Disposition" },
		{ MULTIPART, PART "\"\"\r\n\r\nb\r\n--xYz--",
		    "the form is broken: a part has no name" },
		{ MULTIPART, PART "\"a\"; filename=\"some-long-name\"\r\n\r\nb\r\n--xYz--",
		    "the form is broken: it holds a file, where a text is needed" },
		{ MULTIPART, PART "a\r\n\r\n1\r\n" PART "a\r\n\r\n2\r\n--xYz--",
		    "parameter 'a' is given twice" },
	};
	struct params params;
	struct error err;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		error_clear(&err);
		assert_int_equal(multipart_parse(cases[i].type, cases[i].body,
		    strlen(cases[i].body), &params, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, cases[i].why);
	}
}

static void
problem_documents_say_what_and_what_next(void **state)
{
	struct error err = ERROR_INIT;
	json_t *json;

	(void)state;
	error_set(&err, ERROR_NOT_FOUND, "no \033[31m such thing");
	error_hint(&err, "look elsewhere");
	json = problem_json(&err, "/v1/runs/1");
	assert_string_equal(json_string_value(json_object_get(json, "type")),
	    "urn:holdfast:problem:not-found");
	assert_string_equal(json_string_value(json_object_get(json, "title")), "not found");
	assert_int_equal(json_integer_value(json_object_get(json, "status")), 404);
	assert_string_equal(json_string_value(json_object_get(json, "detail")),
	    "no \\x1b[31m such thing");
	assert_string_equal(json_string_value(json_object_get(json, "hint")), "look elsewhere");
	assert_string_equal(json_string_value(json_object_get(json, "instance")), "/v1/runs/1");
	json_decref(json);
}

static void
a_second_answer_replaces_the_first(void **state)
{
	struct response response;
	struct error err = ERROR_INIT;

	(void)state;
	response_init(&response);
	response_json(&response, 200, json_pack("{s:i}", "a", 1));
	assert_memory_equal(response.body.data, "{\"a\":1}\n", 8);
	error_set(&err, ERROR_FORBIDDEN, "no");
	response_problem(&response, &err, NULL);
	assert_int_equal(response.status, 403);
	assert_string_equal(response.content_type, "application/problem+json");
	assert_null(strstr(buffer_text(&response.body), "\"a\""));
	response_done(&response);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_is_split_into_path_and_parameters),
		cmocka_unit_test(the_absolute_form_means_the_same_path),
		cmocka_unit_test(broken_targets_are_refused),
		cmocka_unit_test(too_many_parameters_are_refused),
		cmocka_unit_test(names_that_are_no_text_come_in_printable_form),
		cmocka_unit_test(unknown_parameters_are_refused_and_the_known_ones_named),
		cmocka_unit_test(numbers_are_digits_within_their_limit),
		cmocka_unit_test(json_bodies_are_objects_without_doubt),
		cmocka_unit_test(a_json_body_needs_its_type),
		cmocka_unit_test(multipart_forms_are_read_like_others),
		cmocka_unit_test(broken_multipart_forms_are_refused),
		cmocka_unit_test(problem_documents_say_what_and_what_next),
		cmocka_unit_test(a_second_answer_replaces_the_first),
	};

	return cmocka_run_group_tests_name("http_request", tests, NULL, NULL);
}
