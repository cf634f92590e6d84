#include "agent/http/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/request.h"
#include "shared/mem.h"

static const struct route routes[] = {
#define _(method, pattern, role, flags, action, handler, sentence) \
	{ #method, pattern, role, flags, action, handler, sentence },
	ROUTES(_)
#undef _
};

const struct route *
router_routes(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(routes);
	return routes;
}

/* Does a path fit a pattern, segment by segment?  {id} takes any one segment but an empty one. */
static bool
path_fits(const char *pattern, const char *path, const char **ret_id, size_t *ret_id_len)
{
	size_t p, s;

	*ret_id = NULL;
	*ret_id_len = 0;
	for (;;) {
		if (*pattern == '\0' || *path == '\0')
			return *pattern == *path;
		/* Both are at a slash. */
		if (*pattern++ != '/' || *path++ != '/')
			return false;
		p = strcspn(pattern, "/");
		s = strcspn(path, "/");
		if (pattern[0] == '{') {
			if (s == 0)
				return false;
			/* Of several the first; a handler takes the others from the path. */
			if (*ret_id == NULL) {
				*ret_id = path;
				*ret_id_len = s;
			}
		} else if (p != s || memcmp(pattern, path, p) != 0) {
			return false;
		}
		pattern += p;
		path += s;
	}
}

static bool
method_fits(const struct route *route, const char *method)
{
	if (strcmp(route->method, method) == 0)
		return true;
	return strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0;
}

static void
allow_add(char allow[ALLOW_TEXT_SIZE], const char *method)
{
	size_t used = strlen(allow);

	snprintf(allow + used, ALLOW_TEXT_SIZE - used, "%s%s", used > 0 ? ", " : "", method);
	if (strcmp(method, "GET") == 0)
		allow_add(allow, "HEAD");
}

int
router_find(const char *method, const char *path, const struct route **ret, char **ret_id,
    char ret_allow[ALLOW_TEXT_SIZE], struct error *err)
{
	const char *id;
	size_t id_len, i;

	*ret = NULL;
	*ret_id = NULL;
	ret_allow[0] = '\0';
	for (i = 0; i < ARRAY_LEN(routes); i++) {
		if (!path_fits(routes[i].pattern, path, &id, &id_len))
			continue;
		if (!method_fits(&routes[i], method)) {
			allow_add(ret_allow, routes[i].method);
			continue;
		}
		if (id != NULL) {
			*ret_id = percent_decode(id, id_len, false, err);
			if (*ret_id == NULL)
				return -1;
		}
		*ret = &routes[i];
		return 0;
	}
	if (ret_allow[0] != '\0') {
		error_set(err, ERROR_BAD_METHOD, "'%.32s' is not possible here", method);
		return error_hint(err, "allowed: %s", ret_allow);
	}
	error_set(err, ERROR_NOT_FOUND, "there is nothing at '%.256s'", path);
	return error_hint(err, "GET /v1/status tells what the agent is, POST /backup backs up");
}

const char *
router_action(const char *path)
{
	const char *id;
	size_t id_len, i;

	for (i = 0; i < ARRAY_LEN(routes); i++) {
		if (routes[i].action[0] != '\0' &&
		    path_fits(routes[i].pattern, path, &id, &id_len))
			return routes[i].action;
	}
	return NULL;
}
