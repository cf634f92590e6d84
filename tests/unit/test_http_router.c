#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/router.h"
#include "shared/mem.h"

/* The pattern with something in place of {id}. */
static char *
path_of(const struct route *route)
{
	const char *brace = strchr(route->pattern, '{');

	if (brace == NULL)
		return mem_strdup(route->pattern);
	return mem_printf("%.*sabc%%20d%s", (int)(brace - route->pattern), route->pattern,
	    strchr(brace, '}') + 1);
}

static void
every_route_is_found_by_its_own_path(void **state)
{
	char allow[ALLOW_TEXT_SIZE], *path, *id;
	const struct route *routes, *found;
	struct error err = ERROR_INIT;
	size_t count, i;

	(void)state;
	routes = router_routes(&count);
	assert_true(count > 20);
	for (i = 0; i < count; i++) {
		path = path_of(&routes[i]);
		assert_int_equal(router_find(routes[i].method, path, &found, &id, allow, &err), 0);
		assert_ptr_equal(found, &routes[i]);
		if (strchr(routes[i].pattern, '{') != NULL)
			assert_string_equal(id, "abc d");
		else
			assert_null(id);
		free(id);
		free(path);
	}
}

static void
head_is_served_wherever_get_is(void **state)
{
	char allow[ALLOW_TEXT_SIZE], *path, *id;
	const struct route *routes, *found;
	struct error err = ERROR_INIT;
	size_t count, i;

	(void)state;
	routes = router_routes(&count);
	for (i = 0; i < count; i++) {
		if (strcmp(routes[i].method, "GET") != 0)
			continue;
		path = path_of(&routes[i]);
		assert_int_equal(router_find("HEAD", path, &found, &id, allow, &err), 0);
		assert_ptr_equal(found, &routes[i]);
		free(id);
		free(path);
	}
}

static void
every_route_names_its_methods_when_another_is_used(void **state)
{
	char allow[ALLOW_TEXT_SIZE], *path, *id;
	const struct route *routes, *found;
	struct error err;
	size_t count, i;

	(void)state;
	routes = router_routes(&count);
	for (i = 0; i < count; i++) {
		error_clear(&err);
		path = path_of(&routes[i]);
		assert_int_equal(router_find("BREW", path, &found, &id, allow, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_METHOD);
		assert_non_null(strstr(allow, routes[i].method));
		assert_null(id);
		free(path);
	}
	error_clear(&err);
	assert_int_equal(router_find("PUT", "/v1/runs", &found, &id, allow, &err), -1);
	assert_string_equal(allow, "GET, HEAD, POST");
	assert_int_equal(router_find("get", "/stat", &found, &id, allow, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_METHOD);
}

static void
other_paths_are_not_found(void **state)
{
	static const char *const paths[] = { "/", "", "/backup/", "//backup", "/Backup", "/v1",
		"/v1/runs/", "/v1/runs/a/b", "/v1/runs//events", "/v1/runs/a/events/", "/backup%20",
		"/%62ackup", "/v1/snapshots/x/tree/y", "/../backup" };
	char allow[ALLOW_TEXT_SIZE], *id;
	const struct route *found;
	struct error err;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(paths); i++) {
		error_clear(&err);
		assert_int_equal(router_find("GET", paths[i], &found, &id, allow, &err), -1);
		assert_int_equal(err.code, ERROR_NOT_FOUND);
	}
}

static void
what_changes_something_has_a_word_in_the_log(void **state)
{
	const struct route *routes;
	size_t count, i;

	(void)state;
	routes = router_routes(&count);
	for (i = 0; i < count; i++) {
		if (strcmp(routes[i].method, "GET") != 0) {
			assert_string_not_equal(routes[i].action, "");
			assert_true(routes[i].role >= ROLE_OPERATE);
		}
		/* A row is a durable write, which has no place in an epoll thread. */
		if ((routes[i].flags & ROUTE_INLINE) != 0)
			assert_string_equal(routes[i].action, "");
		assert_true(strlen(routes[i].sentence) > 10);
	}
	assert_string_equal(router_action("/backup"), "Backup");
	assert_string_equal(router_action("/log"), "Logs");
	assert_string_equal(router_action("/v1/snapshots/abc"), "DeleteSnapshot");
	assert_null(router_action("/livez"));
	assert_null(router_action("/nothing"));
}

static void
only_probes_need_no_role(void **state)
{
	const struct route *routes;
	size_t count, i;

	(void)state;
	routes = router_routes(&count);
	for (i = 0; i < count; i++) {
		if (routes[i].role == ROLE_NONE)
			assert_true(strcmp(routes[i].pattern, "/livez") == 0 ||
			    strcmp(routes[i].pattern, "/readyz") == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_found_by_its_own_path),
		cmocka_unit_test(head_is_served_wherever_get_is),
		cmocka_unit_test(every_route_names_its_methods_when_another_is_used),
		cmocka_unit_test(other_paths_are_not_found),
		cmocka_unit_test(what_changes_something_has_a_word_in_the_log),
		cmocka_unit_test(only_probes_need_no_role),
	};

	return cmocka_run_group_tests_name("http_router", tests, NULL, NULL);
}
