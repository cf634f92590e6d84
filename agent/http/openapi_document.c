/*
 * GET /openapi.json, and how it is made: one path item for each path of agent/http/routes.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/openapi_internal.h"
#include "agent/http/server_internal.h"
#include "shared/mem.h"

#define DESCRIPTION \
	"Every request needs 'Authorization: Bearer TOKEN', but for those that say otherwise; over a " \
	"unix socket root and the agent's own user need none.  'x-role' is the role that a token must " \
	"have at least, 'x-action' the action that the log gets a row of.\n\n" \
	"Failures are application/problem+json with a 'type' that stays the same; 'hint' says what " \
	"can be done.  HEAD is served wherever GET is.  Times are RFC 3339 in UTC, sizes are bytes.  " \
	"Paths are bytes: what is no UTF-8 in them is written \\xNN.  Lists come in pages: 'next' is " \
	"the cursor of the next one.  An answer with an ETag is asked for again by If-None-Match.  " \
	"Texts of more than a kilobyte are compressed for who accepts gzip."

/* {"$ref": "#/components/KIND/NAME"} */
static json_t *
reference(const char *kind, const char *name)
{
	char *text = mem_printf("#/components/%s/%s", kind, name);
	json_t *json = json_pack("{s:s}", "$ref", text);

	free(text);
	return json;
}

/* A text names a component; anything else is copied as it is. */
static json_t *
reference_or_copy(const char *kind, const json_t *json)
{
	return json_is_string(json) ? reference(kind, json_string_value(json))
	    : json_deep_copy(json);
}

static bool
is_set(const json_t *operation, const char *flag)
{
	return json_is_true(json_object_get(operation, flag));
}

/*
 * Answers.
 */

static void
add_header(json_t *response, const char *name)
{
	json_t *headers = json_object_get(response, "headers");

	if (headers == NULL) {
		headers = json_object();
		json_object_set_new(response, "headers", headers);
	}
	json_object_set_new(headers, name, reference("headers", name));
}

/* The short form with "schema" and "example" is one of application/json. */
static json_t *
response_json_form(const json_t *short_form)
{
	const json_t *schema = json_object_get(short_form, "schema"), *header;
	json_t *response = json_deep_copy(short_form), *media;
	size_t i;

	if (schema != NULL) {
		media = json_pack("{s:o}", "schema", reference_or_copy("schemas", schema));
		if (json_object_get(short_form, "example") != NULL)
			json_object_set(media, "example", json_object_get(short_form, "example"));
		json_object_set_new(response, "content", json_pack("{s:o}", "application/json",
		    media));
		json_object_del(response, "schema");
		json_object_del(response, "example");
	}
	json_object_del(response, "headers");
	json_array_foreach(json_object_get(short_form, "headers"), i, header)
		add_header(response, json_string_value(header));
	return response;
}

/* The answer for a problem's status, unless the operation has one of its own. */
static void
add_problem(json_t *responses, enum error_code code)
{
	char status[8];

	snprintf(status, sizeof(status), "%d", error_http_status(code));
	if (json_object_get(responses, status) == NULL)
		json_object_set_new(responses, status, reference("responses", status));
}

static int
add_named_problem(json_t *responses, const char *word)
{
	for (int code = 1; code < ERROR_CODE_COUNT; code++) {
		if (strcmp(error_word((enum error_code)code), word) != 0)
			continue;
		add_problem(responses, (enum error_code)code);
		return 0;
	}
	return -1;
}

/* Those that come from the server itself, whatever the route. */
static void
add_common_problems(json_t *responses, const struct route *route, const json_t *operation)
{
	static const enum error_code always[] = { ERROR_BAD_REQUEST, ERROR_UNAUTHORIZED,
		ERROR_REQUEST_TIMEOUT, ERROR_HEADER_TOO_LARGE, ERROR_INTERNAL, ERROR_UNAVAILABLE };
	static const enum error_code of_body[] = { ERROR_TOO_LARGE, ERROR_BAD_MEDIA_TYPE };
	static const enum error_code of_run[] = { ERROR_FORBIDDEN, ERROR_CONFLICT, ERROR_TOO_MANY,
		ERROR_NO_SPACE };

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		add_problem(responses, always[i]);
	if (route->role > ROLE_READ)
		add_problem(responses, ERROR_FORBIDDEN);
	for (size_t i = 0; (route->flags & ROUTE_BODY) != 0 && i < ARRAY_LEN(of_body); i++)
		add_problem(responses, of_body[i]);
	for (size_t i = 0; is_set(operation, "starts_run") && i < ARRAY_LEN(of_run); i++)
		add_problem(responses, of_run[i]);
}

/* 202, and 200 where the request is a repeated one. */
static void
add_accepted(json_t *responses)
{
	static const struct {
		const char *status, *description;
	} answers[] = {
		{ "200", "a repeated request with its Idempotency-Key: the run that there is" },
		{ "202", "the run has its place in the queue" },
	};

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		json_t *response = json_object_get(responses, answers[i].status);

		if (response == NULL) {
			response = json_pack("{s:s, s:{s:{s:o}}}", "description",
			    answers[i].description, "content", "application/json", "schema",
			    reference("schemas", "Run"));
			json_object_set_new(responses, answers[i].status, response);
		}
		add_header(response, "Location");
		add_header(response, "Preference-Applied");
	}
}

static int
make_responses(const struct route *route, const json_t *operation, json_t *responses,
    struct error *err)
{
	const json_t *from = json_object_get(operation, "responses"), *value;
	const char *key;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)from, key, value)
		json_object_set_new(responses, key, response_json_form(value));
	if (is_set(operation, "starts_run"))
		add_accepted(responses);
	if (is_set(operation, "document")) {
		add_header(json_object_get(responses, "200"), "ETag");
		json_object_set_new(responses, "304", json_pack("{s:s}", "description",
		    "it is what the client has"));
	}
	add_common_problems(responses, route, operation);
	json_array_foreach(json_object_get(operation, "errors"), i, value)
		if (add_named_problem(responses, json_string_value(value)) != 0)
			return error_set(err, ERROR_INTERNAL, "%s %s: '%s' is no problem",
			    route->method, route->pattern, json_string_value(value));
	return 0;
}

/*
 * Parameters.
 */

static int
check_placeholder(const struct openapi_source *source, const json_t *parameters,
    const struct route *route, const char *name, size_t len, struct error *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(parameters, i, item) {
		const json_t *parameter = openapi_parameter(source, item);
		const char *is = json_string_value(json_object_get(parameter, "name"));
		const char *in = json_string_value(json_object_get(parameter, "in"));

		if (is != NULL && in != NULL && strcmp(in, "path") == 0 && strlen(is) == len &&
		    memcmp(is, name, len) == 0)
			return 0;
	}
	return error_set(err, ERROR_INTERNAL, "%s %s: '%.*s' is not described", route->method,
	    route->pattern, (int)len, name);
}

static int
make_parameters(const struct openapi_source *source, const struct route *route,
    const json_t *operation, json_t *parameters, struct error *err)
{
	const json_t *list = json_object_get(operation, "parameters"), *item;
	const char *brace, *p;
	size_t i;

	for (p = route->pattern; (brace = strchr(p, '{')) != NULL; p = brace + 1)
		if (check_placeholder(source, list, route, brace + 1, strcspn(brace + 1, "}"),
			err) != 0)
			return -1;
	json_array_foreach(list, i, item)
		json_array_append_new(parameters, reference_or_copy("parameters", item));
	if (is_set(operation, "starts_run")) {
		json_array_append_new(parameters, reference("parameters", "Prefer"));
		json_array_append_new(parameters, reference("parameters", "Idempotency-Key"));
	}
	if (is_set(operation, "document"))
		json_array_append_new(parameters, reference("parameters", "If-None-Match"));
	return 0;
}

/*
 * Operations.
 */

/* That of an alias is its own. */
static const json_t *
operation_id(const struct openapi_source *source, const struct route *route)
{
	char *key = mem_printf("%s %s", route->method, route->pattern);
	const json_t *id = json_object_get(json_object_get(source->operations, key),
	    "operationId");

	free(key);
	return id;
}

static int
make_operation(const struct openapi_source *source, const struct route *route, json_t *into,
    struct error *err)
{
	const json_t *operation = openapi_operation(source, route);
	const json_t *id = operation_id(source, route);
	json_t *parameters = json_array(), *responses = json_object();

	json_object_set_new(into, "tags", json_pack("[O]", json_object_get(operation, "tag")));
	json_object_set_new(into, "summary", json_string(route->sentence));
	if (json_object_get(operation, "description") != NULL)
		json_object_set(into, "description", json_object_get(operation, "description"));
	json_object_set(into, "operationId", (json_t *)(uintptr_t)id);
	json_object_set_new(into, "x-role", json_string(role_word(route->role)));
	if (route->action[0] != '\0')
		json_object_set_new(into, "x-action", json_string(route->action));
	if (route->role == ROLE_NONE)
		json_object_set_new(into, "security", json_pack("[{}]"));
	json_object_set_new(into, "parameters", parameters);
	if (json_object_get(operation, "requestBody") != NULL)
		json_object_set(into, "requestBody", json_object_get(operation, "requestBody"));
	json_object_set_new(into, "responses", responses);
	if (!json_is_string(id))
		return error_set(err, ERROR_INTERNAL, "%s %s has no operationId", route->method,
		    route->pattern);
	if (((route->flags & ROUTE_BODY) != 0) != (json_object_get(into, "requestBody") != NULL))
		return error_set(err, ERROR_INTERNAL,
		    "%s %s: its body is described and it takes none, or the other way round",
		    route->method, route->pattern);
	if (make_parameters(source, route, operation, parameters, err) != 0)
		return -1;
	return make_responses(route, operation, responses, err);
}

static int
make_paths(const struct openapi_source *source, json_t *paths, struct error *err)
{
	size_t count;
	const struct route *routes = router_routes(&count);

	for (size_t i = 0; i < count; i++) {
		json_t *path = json_object_get(paths, routes[i].pattern), *operation;
		char method[16] = "";

		if (openapi_operation(source, &routes[i]) == NULL)
			continue;
		if (path == NULL) {
			path = json_object();
			json_object_set_new(paths, routes[i].pattern, path);
		}
		for (size_t c = 0; routes[i].method[c] != '\0' && c < sizeof(method) - 1; c++)
			method[c] = (char)(routes[i].method[c] - 'A' + 'a');
		operation = json_object();
		json_object_set_new(path, method, operation);
		if (make_operation(source, &routes[i], operation, err) != 0)
			return -1;
	}
	return 0;
}

int
openapi_document(const struct openapi_source *source, json_t **ret, struct error *err)
{
	json_t *paths = json_object();

	if (make_paths(source, paths, err) != 0) {
		json_decref(paths);
		return -1;
	}
	json_object_set_new(source->components, "securitySchemes", json_pack(
	    "{s:{s:s, s:s, s:s}}", "bearer", "type", "http", "scheme", "bearer", "description",
	    "a token of the agent; the first one lies in the file 'token' of its state folder"));
	*ret = json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:O, s:o, s:O}",
	    "openapi", "3.1.0", "info", "title", "holdfast agent", "version", PACKAGE_VERSION,
	    "description", DESCRIPTION, "servers", "url", "/", "security", "bearer", "tags",
	    source->tags, "paths", paths, "components", source->components);
	return 0;
}

int
http_openapi(struct request *request, struct response *response, struct error *err)
{
	(void)err;
	response_text(response, 200, "application/json", openapi_text(server_openapi(request->http)));
	return 0;
}
