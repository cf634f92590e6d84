#include "agent/http/openapi.h"

#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

enum parameter_type { PARAMETER_TEXT, PARAMETER_NUMBER, PARAMETER_BOOL, PARAMETER_WORD };

struct parameter {
	char *name;
	enum parameter_type type;
	uint64_t min, max, otherwise; /* of a number */
	char *words;                  /* "tar|zip" */
};

struct operation {
	struct parameter *parameters; /* of the query */
	size_t count;
	bool others;                  /* takes any other parameter, too */
	bool document;
};

struct openapi {
	struct operation *operations; /* in the order of the routes */
	size_t count;
	char *text;
};

/*
 * Reading the files.
 */

static void
source_done(struct openapi_source *source)
{
	json_decref(source->operations);
	json_decref(source->components);
	json_decref(source->problems);
	json_decref(source->tags);
}

/* Members of one file's object into that of all; none may be there twice. */
static int
join(json_t *all, const json_t *from, const char *file, struct error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)from, key, value) {
		if (json_object_get(all, key) != NULL)
			return error_set(err, ERROR_INTERNAL, "%s: '%s' is there already", file, key);
		json_object_set(all, key, value);
	}
	return 0;
}

static int
join_file(struct openapi_source *source, const struct shipped_file *file, struct error *err)
{
	static const char *const kinds[] = { "parameters", "headers", "schemas" };
	json_error_t json_err;
	json_t *json = json_loads(file->text, JSON_REJECT_DUPLICATES, &json_err), *value;
	const char *title, *key;
	int rc = -1;

	if (json == NULL)
		return error_set(err, ERROR_INTERNAL, "%s, line %d: %s", file->name, json_err.line,
		    json_err.text);
	title = json_string_value(json_object_get(json, "title"));
	json_object_foreach(json_object_get(json, "operations"), key, value)
		json_object_set_new(value, "tag", json_string(title));
	if (title != NULL)
		json_array_append_new(source->tags, json_pack("{s:s}", "name", title));
	if (join(source->operations, json_object_get(json, "operations"), file->name, err) != 0 ||
	    join(source->problems, json_object_get(json, "problems"), file->name, err) != 0)
		goto out;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (join(json_object_get(source->components, kinds[i]),
			json_object_get(json, kinds[i]), file->name, err) != 0)
			goto out;
	rc = 0;
out:
	json_decref(json);
	return rc;
}

static int
source_read(struct openapi_source *source, struct error *err)
{
	*source = (struct openapi_source){ json_object(), json_pack("{s:{}, s:{}, s:{}, s:{}}",
	    "schemas", "parameters", "headers", "responses"), json_object(), json_array() };
	for (size_t i = 0; i < openapi_count; i++)
		if (join_file(source, &openapi_files[i], err) != 0)
			return -1;
	openapi_add_runs(json_object_get(source->components, "schemas"));
	openapi_add_problems(source->components, source->problems);
	return 0;
}

const json_t *
openapi_operation(const struct openapi_source *source, const struct route *route)
{
	char *key = mem_printf("%s %s", route->method, route->pattern);
	const json_t *operation = json_object_get(source->operations, key);
	const char *as = json_string_value(json_object_get(operation, "as"));

	if (as != NULL)
		operation = json_object_get(source->operations, as);
	free(key);
	return operation;
}

const json_t *
openapi_parameter(const struct openapi_source *source, const json_t *parameter)
{
	if (!json_is_string(parameter))
		return parameter;
	return json_object_get(json_object_get(source->components, "parameters"),
	    json_string_value(parameter));
}

/*
 * What requests are checked by.
 */

static uint64_t
number_of(const json_t *schema, const char *key, uint64_t otherwise)
{
	const json_t *value = json_object_get(schema, key);

	return json_is_integer(value) ? (uint64_t)json_integer_value(value) : otherwise;
}

/* {"enum": ["tar", "zip"]} as "tar|zip" */
static char *
words_of(const json_t *schema)
{
	struct buffer words = BUFFER_INIT;
	const json_t *word;
	size_t i;

	json_array_foreach(json_object_get(schema, "enum"), i, word)
		buffer_printf(&words, "%s%s", i > 0 ? "|" : "", json_string_value(word));
	return buffer_take(&words);
}

static void
parameter_make(struct parameter *parameter, const char *name, const json_t *schema)
{
	const char *type = json_string_value(json_object_get(schema, "type"));

	parameter->name = mem_strdup(name);
	if (json_object_get(schema, "enum") != NULL) {
		parameter->type = PARAMETER_WORD;
		parameter->words = words_of(schema);
	} else if (type != NULL && strcmp(type, "boolean") == 0) {
		parameter->type = PARAMETER_BOOL;
	} else if (type != NULL && strcmp(type, "integer") == 0) {
		parameter->type = PARAMETER_NUMBER;
		parameter->min = number_of(schema, "minimum", 0);
		parameter->max = number_of(schema, "maximum", INT64_MAX);
		parameter->otherwise = number_of(schema, "default", 0);
	}
}

static int
operation_make(struct operation *operation, const struct openapi_source *source,
    const struct route *route, struct error *err)
{
	const json_t *json = openapi_operation(source, route), *list, *item;
	size_t i;

	/* The tests do not let it pass; what is served does not hang on its description. */
	if (json == NULL) {
		operation->others = true;
		return 0;
	}
	operation->document = json_is_true(json_object_get(json, "document"));
	list = json_object_get(json, "parameters");
	operation->parameters = mem_calloc(json_array_size(list) + 1,
	    sizeof(*operation->parameters));
	json_array_foreach(list, i, item) {
		const json_t *parameter = openapi_parameter(source, item);
		const char *name = json_string_value(json_object_get(parameter, "name"));
		const char *in = json_string_value(json_object_get(parameter, "in"));
		const json_t *schema = json_object_get(parameter, "schema");

		if (name == NULL || in == NULL || schema == NULL)
			return error_set(err, ERROR_INTERNAL,
			    "%s %s: parameter %zu has no name, place or schema", route->method,
			    route->pattern, i + 1);
		if (strcmp(in, "query") != 0)
			continue;
		if (json_is_true(json_object_get(parameter, "explode")))
			operation->others = true;
		else
			parameter_make(&operation->parameters[operation->count++], name, schema);
	}
	return 0;
}

static int
operations_make(struct openapi *openapi, const struct openapi_source *source,
    struct error *err)
{
	size_t count;
	const struct route *routes = router_routes(&count);

	openapi->operations = mem_calloc(count, sizeof(*openapi->operations));
	openapi->count = count;
	for (size_t i = 0; i < count; i++)
		if (operation_make(&openapi->operations[i], source, &routes[i], err) != 0)
			return -1;
	return 0;
}

int
openapi_load(struct openapi **ret, struct error *err)
{
	struct openapi *openapi = MEM_NEW(struct openapi);
	struct openapi_source source;
	json_t *document = NULL;
	int rc = -1;

	if (source_read(&source, err) != 0 || operations_make(openapi, &source, err) != 0 ||
	    openapi_document(&source, &document, err) != 0)
		goto out;
	openapi->text = json_dumps(document, JSON_COMPACT);
	*ret = openapi;
	openapi = NULL;
	rc = 0;
out:
	json_decref(document);
	source_done(&source);
	openapi_free(openapi);
	return rc == 0 ? 0 : error_prefix(err, "the API's document: ");
}

void
openapi_free(struct openapi *openapi)
{
	if (openapi == NULL)
		return;
	for (size_t i = 0; i < openapi->count; i++) {
		struct operation *operation = &openapi->operations[i];

		for (size_t p = 0; p < operation->count; p++) {
			free(operation->parameters[p].name);
			free(operation->parameters[p].words);
		}
		free(operation->parameters);
	}
	free(openapi->operations);
	free(openapi->text);
	free(openapi);
}

const char *
openapi_text(const struct openapi *openapi)
{
	return openapi->text;
}

/*
 * Checking.
 */

static const struct operation *
operation_of(const struct openapi *openapi, const struct route *route)
{
	size_t count;

	return &openapi->operations[route - router_routes(&count)];
}

bool
openapi_is_document(const struct openapi *openapi, const struct route *route)
{
	return operation_of(openapi, route)->document;
}

static const struct parameter *
parameter_find(const struct operation *operation, const char *name)
{
	for (size_t i = 0; i < operation->count; i++)
		if (strcmp(operation->parameters[i].name, name) == 0)
			return &operation->parameters[i];
	return NULL;
}

static int
unknown(const struct operation *operation, const char *name, struct error *err)
{
	const char *names[PARAMS_MAX + 1] = { NULL };
	struct param param = { (char *)(uintptr_t)name, NULL };
	const struct params params = { &param, 1 };

	for (size_t i = 0; i < operation->count && i < PARAMS_MAX; i++)
		names[i] = operation->parameters[i].name;
	return params_check(&params, names, err);
}

static int
check_value(const struct parameter *parameter, const struct params *params, const char *value,
    struct error *err)
{
	uint64_t number;

	switch (parameter->type) {
	case PARAMETER_TEXT:
		return 0;
	case PARAMETER_NUMBER:
		if (params_number(params, parameter->name, parameter->max, 0, &number, err) != 0)
			return -1;
		if (number >= parameter->min)
			return 0;
		return error_set(err, ERROR_BAD_REQUEST, "'%s' is at least %llu", parameter->name,
		    (unsigned long long)parameter->min);
	case PARAMETER_BOOL:
		if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
			return 0;
		return error_set(err, ERROR_BAD_REQUEST, "'%s' is true or false, not '%.100s'",
		    parameter->name, value);
	case PARAMETER_WORD:
		if (text_is_word_of(value, parameter->words))
			return 0;
		error_set(err, ERROR_BAD_REQUEST, "'%s' cannot be '%.100s'", parameter->name, value);
		return error_hint(err, "it takes one of %s", parameter->words);
	}
	return 0;
}

int
openapi_check(const struct openapi *openapi, const struct route *route,
    const struct params *params, struct error *err)
{
	const struct operation *operation = operation_of(openapi, route);

	for (size_t i = 0; i < params->count; i++) {
		const struct param *param = &params->list[i];
		const struct parameter *parameter = parameter_find(operation, param->name);

		if (parameter == NULL && !operation->others)
			return unknown(operation, param->name, err);
		if (parameter != NULL && check_value(parameter, params, param->value, err) != 0)
			return -1;
	}
	return 0;
}

uint64_t
openapi_number(const struct openapi *openapi, const struct request *request, const char *name)
{
	const struct parameter *number = parameter_find(operation_of(openapi, request->route), name);
	const char *text = params_get(&request->params, name);

	if (text != NULL)
		return strtoull(text, NULL, 10);
	return number == NULL ? 0 : number->otherwise;
}

uint64_t
openapi_limit(const struct openapi *openapi, const struct request *request)
{
	const struct parameter *limit = parameter_find(operation_of(openapi, request->route),
	    "limit");
	uint64_t value = openapi_number(openapi, request, "limit");

	return value != 0 || limit == NULL ? value : limit->otherwise;
}

void
openapi_arguments(const struct openapi *openapi, const struct request *request,
    json_t *arguments)
{
	const struct operation *operation = operation_of(openapi, request->route);

	for (size_t i = 0; i < request->params.count; i++) {
		const struct param *param = &request->params.list[i];
		const struct parameter *parameter = parameter_find(operation, param->name);
		bool is_bool = parameter != NULL && parameter->type == PARAMETER_BOOL;

		json_object_set_new(arguments, param->name, is_bool
		    ? json_boolean(strcmp(param->value, "true") == 0) : json_string(param->value));
	}
}
