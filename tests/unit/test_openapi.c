#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/openapi_internal.h"
#include "agent/jobs/runs_kinds.h"
#include "shared/mem.h"

struct fixture {
	struct openapi *openapi;
	json_t *document;
};

static int
setup(void **state)
{
	struct fixture *fixture = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;
	json_error_t json_err;

	if (openapi_load(&fixture->openapi, &err) != 0) {
		print_error("%s (%s)\n", err.message, err.hint);
		free(fixture);
		return -1;
	}
	fixture->document = json_loads(openapi_text(fixture->openapi), JSON_REJECT_DUPLICATES,
	    &json_err);
	*state = fixture;
	return fixture->document == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	openapi_free(fixture->openapi);
	json_decref(fixture->document);
	free(fixture);
	return 0;
}

static const struct route *
route_of(const char *method, const char *pattern)
{
	size_t count;
	const struct route *routes = router_routes(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(routes[i].method, method) == 0 &&
		    strcmp(routes[i].pattern, pattern) == 0)
			return &routes[i];
	fail_msg("there is no route %s %s", method, pattern);
	return NULL;
}

/* The operation of a route in the document, or NULL. */
static json_t *
operation_of(const json_t *document, const struct route *route)
{
	char method[16] = "";

	for (size_t i = 0; route->method[i] != '\0'; i++)
		method[i] = (char)tolower((unsigned char)route->method[i]);
	return json_object_get(json_object_get(json_object_get(document, "paths"),
	    route->pattern), method);
}

static void
every_route_is_in_the_document_with_its_sentence_and_role(void **state)
{
	struct fixture *fixture = *state;
	size_t count;
	const struct route *routes = router_routes(&count);

	for (size_t i = 0; i < count; i++) {
		const json_t *operation = operation_of(fixture->document, &routes[i]);

		if (operation == NULL)
			fail_msg("%s %s is missing: describe it in agent/http/openapi/",
			    routes[i].method, routes[i].pattern);
		assert_string_equal(json_string_value(json_object_get(operation, "summary")),
		    routes[i].sentence);
		assert_string_equal(json_string_value(json_object_get(operation, "x-role")),
		    role_word(routes[i].role));
	}
}

static bool
is_route(const char *operation)
{
	size_t count, method_len = strcspn(operation, " ");
	const struct route *routes = router_routes(&count);

	for (size_t i = 0; i < count; i++)
		if (strlen(routes[i].method) == method_len &&
		    strncmp(routes[i].method, operation, method_len) == 0 &&
		    strcmp(routes[i].pattern, operation + method_len + 1) == 0)
			return true;
	return false;
}

static void
no_route_is_described_that_is_not_there(void **state)
{
	const char *key;
	json_t *value;

	(void)state;
	for (size_t i = 0; i < openapi_count; i++) {
		json_t *json = json_loads(openapi_files[i].text, 0, NULL);

		json_object_foreach(json_object_get(json, "operations"), key, value)
			if (!is_route(key))
				fail_msg("%s: there is no route %s", openapi_files[i].name, key);
		json_decref(json);
	}
}

static void
every_operation_has_a_name_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	json_t *paths = json_object_get(fixture->document, "paths"), *path, *operation;
	json_t *seen = json_object();
	const char *pattern, *method;

	json_object_foreach(paths, pattern, path) {
		json_object_foreach(path, method, operation) {
			const char *id = json_string_value(json_object_get(operation,
			    "operationId"));

			if (id == NULL || json_object_get(seen, id) != NULL)
				fail_msg("%s %s: '%s' is none or another's", method, pattern,
				    id == NULL ? "" : id);
			json_object_set_new(seen, id, json_true());
		}
	}
	json_decref(seen);
}

/* "#/components/schemas/Run" */
static bool
leads_somewhere(const json_t *document, const char *reference)
{
	char *text = mem_strdup(reference), *rest = NULL, *part;
	const json_t *at = document;

	for (part = strtok_r(text, "/", &rest); part != NULL; part = strtok_r(NULL, "/", &rest))
		if (strcmp(part, "#") != 0)
			at = json_object_get(at, part);
	free(text);
	return at != NULL;
}

static size_t
check_references(const json_t *document, json_t *at)
{
	size_t i, found = 0;
	const char *key;
	json_t *value;

	if (json_is_array(at)) {
		json_array_foreach(at, i, value)
			found += check_references(document, value);
	}
	json_object_foreach(at, key, value) {
		if (strcmp(key, "$ref") == 0) {
			if (!leads_somewhere(document, json_string_value(value)))
				fail_msg("%s leads nowhere", json_string_value(value));
			found++;
		} else {
			found += check_references(document, value);
		}
	}
	return found;
}

static void
every_reference_leads_somewhere(void **state)
{
	struct fixture *fixture = *state;

	assert_true(check_references(fixture->document, fixture->document) > 300);
}

static void
what_starts_a_run_is_described_by_the_tables_that_check_it(void **state)
{
	struct fixture *fixture = *state;
	json_t *schemas = json_object_get(json_object_get(fixture->document, "components"),
	    "schemas");
	json_t *kinds = json_object_get(json_object_get(schemas, "RunKind"), "enum");
	json_t *properties, *keep;

	assert_int_equal(json_array_size(kinds), RUN_KIND_COUNT);
	assert_string_equal(json_string_value(json_array_get(kinds, RUN_RESTORE_TABLE)),
	    "restore-table");
	properties = json_object_get(json_object_get(schemas, "RestoreTableArguments"),
	    "properties");
	for (const struct argument_spec *spec = run_kind_arguments(RUN_RESTORE_TABLE);
	    spec->name != NULL; spec++)
		assert_non_null(json_object_get(properties, spec->name));
	properties = json_object_get(json_object_get(schemas, "RestoreArguments"), "properties");
	assert_int_equal(json_array_size(json_object_get(json_object_get(properties, "conflict"),
	    "enum")), 4);
	properties = json_object_get(json_object_get(schemas, "CheckArguments"), "properties");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(properties, "percent"),
	    "maximum")), 100);
	properties = json_object_get(json_object_get(schemas, "PruneArguments"), "properties");
	keep = json_object_get(json_object_get(properties, "keep"), "properties");
	assert_non_null(json_object_get(keep, "within"));
}

static void
every_problem_has_its_type_and_an_example_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	json_t *components = json_object_get(fixture->document, "components");
	json_t *responses = json_object_get(components, "responses"), *value;
	json_t *types = json_object_get(json_object_get(json_object_get(components, "schemas"),
	    "ProblemType"), "enum");
	char status[8];

	assert_int_equal(json_array_size(types), ERROR_CODE_COUNT - 1);
	for (int i = 1; i < ERROR_CODE_COUNT; i++) {
		enum error_code code = (enum error_code)i;

		snprintf(status, sizeof(status), "%d", error_http_status(code));
		value = json_object_get(json_object_get(json_object_get(json_object_get(
		    json_object_get(json_object_get(responses, status), "content"),
		    "application/problem+json"), "examples"), error_word(code)), "value");
		assert_int_equal(json_integer_value(json_object_get(value, "status")),
		    error_http_status(code));
		assert_string_not_equal(json_string_value(json_object_get(value, "detail")),
		    error_title(code));
	}
}

static void
check(const struct fixture *fixture, const char *pattern, const char *query,
    const char *message)
{
	struct params params = { NULL, 0 };
	struct error err = ERROR_INIT;
	int rc;

	assert_int_equal(params_parse(query, strlen(query), &params, &err), 0);
	rc = openapi_check(fixture->openapi, route_of("GET", pattern), &params, &err);
	assert_int_equal(rc, message == NULL ? 0 : -1);
	assert_string_equal(err.message, message == NULL ? "" : message);
	assert_int_equal(err.code, message == NULL ? ERROR_NONE : ERROR_BAD_REQUEST);
	params_done(&params);
}

static void
parameters_are_checked_by_what_the_document_says(void **state)
{
	check(*state, "/v1/runs", "limit=1000&state=ok&kind=backup", NULL);
	check(*state, "/v1/runs", "limit=1001", "'limit' is at most 1000");
	check(*state, "/v1/runs", "limit=many", "'limit' is no number: 'many'");
	check(*state, "/v1/runs", "limit=1&colour=blue", "there is no parameter 'colour'");
	check(*state, "/v1/status", "limit=1", "there is no parameter 'limit'");
	check(*state, "/v1/snapshots/{id}/archive", "format=tar.zst&path=/", NULL);
	check(*state, "/v1/snapshots/{id}/archive", "format=rar", "'format' cannot be 'rar'");
	check(*state, "/v1/snapshots/{id}/archive", "format=tar%7Czip",
	    "'format' cannot be 'tar|zip'");
	check(*state, "/log", "status=ok", "'status' cannot be 'ok'");
	check(*state, "/v1/reports/{name}", "year=2021&database=default", NULL);
	check(*state, "/livez", "any=thing", NULL);
}

static void
an_unknown_parameter_is_told_which_there_are(void **state)
{
	struct fixture *fixture = *state;
	struct param one = { (char *)(uintptr_t)"x", (char *)(uintptr_t)"" };
	const struct params params = { &one, 1 };
	struct error err = ERROR_INIT;

	openapi_check(fixture->openapi, route_of("GET", "/v1/snapshots/{id}/archive"), &params,
	    &err);
	assert_string_equal(err.hint, "parameters are: path, format");
	error_clear(&err);
	openapi_check(fixture->openapi, route_of("POST", "/v1/trash/{id}/recall"), &params, &err);
	assert_string_equal(err.hint, "this address takes none");
}

static void
true_or_false_is_one_of_both(void **state)
{
	struct fixture *fixture = *state;
	struct param one = { (char *)(uintptr_t)"dry_run", (char *)(uintptr_t)"yes" };
	const struct params params = { &one, 1 };
	struct error err = ERROR_INIT;

	assert_int_equal(openapi_check(fixture->openapi, route_of("POST", "/run-migration"),
	    &params, &err), -1);
	assert_string_equal(err.message, "'dry_run' is true or false, not 'yes'");
	one.value = (char *)(uintptr_t)"true";
	error_clear(&err);
	assert_int_equal(openapi_check(fixture->openapi, route_of("POST", "/run-migration"),
	    &params, &err), 0);
}

static void
a_limit_has_the_default_that_the_document_says(void **state)
{
	struct fixture *fixture = *state;
	struct param one = { (char *)(uintptr_t)"limit", (char *)(uintptr_t)"7" };
	struct request request = { .route = route_of("GET", "/v1/snapshots/{id}/tree") };

	assert_int_equal(openapi_limit(fixture->openapi, &request), 1000);
	request.params = (struct params){ &one, 1 };
	assert_int_equal(openapi_limit(fixture->openapi, &request), 7);
	one.value = (char *)(uintptr_t)"0";
	assert_int_equal(openapi_limit(fixture->openapi, &request), 1000);
	request.route = route_of("GET", "/v1/find");
	assert_int_equal(openapi_limit(fixture->openapi, &request), 0);
}

static void
documents_are_told_from_streams(void **state)
{
	struct fixture *fixture = *state;

	assert_true(openapi_is_document(fixture->openapi, route_of("GET", "/v1/runs")));
	assert_true(openapi_is_document(fixture->openapi, route_of("GET", "/stats")));
	assert_false(openapi_is_document(fixture->openapi, route_of("GET", "/logs")));
	assert_false(openapi_is_document(fixture->openapi, route_of("GET", "/v1/status")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_in_the_document_with_its_sentence_and_role),
		cmocka_unit_test(no_route_is_described_that_is_not_there),
		cmocka_unit_test(every_operation_has_a_name_of_its_own),
		cmocka_unit_test(every_reference_leads_somewhere),
		cmocka_unit_test(what_starts_a_run_is_described_by_the_tables_that_check_it),
		cmocka_unit_test(every_problem_has_its_type_and_an_example_of_its_own),
		cmocka_unit_test(parameters_are_checked_by_what_the_document_says),
		cmocka_unit_test(an_unknown_parameter_is_told_which_there_are),
		cmocka_unit_test(true_or_false_is_one_of_both),
		cmocka_unit_test(a_limit_has_the_default_that_the_document_says),
		cmocka_unit_test(documents_are_told_from_streams),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
