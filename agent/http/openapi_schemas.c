/*
 * The schemas that come from tables: what starts a run, by the tables that check it, and problems,
 * by the table of error codes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi_internal.h"
#include "agent/http/response.h"
#include "agent/jobs/runs_kinds.h"
#include "shared/mem.h"

static json_t *
reference(const char *name)
{
	return json_pack("{s:s+}", "$ref", "#/components/schemas/", name);
}

/* "skip|newer" as ["skip", "newer"] */
static json_t *
words_json(const char *words)
{
	json_t *array = json_array();
	size_t len;

	for (; *words != '\0'; words += len + (words[len] == '|')) {
		len = strcspn(words, "|");
		json_array_append_new(array, json_stringn(words, len));
	}
	return array;
}

static json_t *arguments_schema(const struct argument_spec *specs);

static json_t *
text_schema(void)
{
	return json_pack("{s:s, s:i, s:i}", "type", "string", "minLength", 1, "maxLength",
	    ARGUMENT_TEXT_MAX);
}

static json_t *
integer_schema(const struct argument_spec *spec)
{
	return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)spec->min,
	    "maximum", (json_int_t)spec->max);
}

static json_t *
argument_schema(const struct argument_spec *spec)
{
	switch (spec->type) {
	case ARGUMENT_TEXT:
		return text_schema();
	case ARGUMENT_WORD:
		return json_pack("{s:o}", "enum", words_json(spec->words));
	case ARGUMENT_TEXTS:
		return json_pack("{s:s, s:o, s:i}", "type", "array", "items", text_schema(),
		    "maxItems", ARGUMENT_TEXTS_MAX);
	case ARGUMENT_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case ARGUMENT_INTEGER:
		return integer_schema(spec);
	case ARGUMENT_SIZE:
		return json_pack("{s:s, s:[o, {s:s}], s:[s]}", "description",
		    "bytes, or a text as \"64M\"", "anyOf", integer_schema(spec), "type", "string",
		    "examples", "64M");
	case ARGUMENT_DURATION:
		return json_pack("{s:s, s:[o, {s:s}], s:[s]}", "description",
		    "seconds, or a text as \"7d\"", "anyOf", integer_schema(spec), "type", "string",
		    "examples", "7d");
	case ARGUMENT_OBJECT:
		return arguments_schema(spec->fields);
	}
	return json_object();
}

static json_t *
arguments_schema(const struct argument_spec *specs)
{
	json_t *properties = json_object();

	for (; specs->name != NULL; specs++)
		json_object_set_new(properties, specs->name, argument_schema(specs));
	return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

/* "restore-table": "RestoreTableArguments"; heap. */
static char *
arguments_name(const char *word)
{
	char *name = mem_printf("%sArguments", word);
	size_t n = 0;
	bool upper = true;

	for (size_t i = 0; name[i] != '\0'; i++) {
		if (name[i] == '-') {
			upper = true;
			continue;
		}
		name[n++] = upper ? (char)(name[i] - 'a' + 'A') : name[i];
		upper = false;
	}
	name[n] = '\0';
	return name;
}

/* What POST /v1/runs takes for one kind; a job may be named instead of the kind "backup". */
static json_t *
start_schema(enum run_kind kind, const char *arguments)
{
	json_t *schema = json_pack("{s:s, s:{s:{s:s}, s:o}}", "type", "object", "properties", "kind",
	    "const", run_kind_word(kind), "arguments", reference(arguments));

	if (kind == RUN_BACKUP) {
		json_object_set_new(json_object_get(schema, "properties"), "job", json_pack(
		    "{s:s, s:s}", "type", "string", "description",
		    "the same as a job among the arguments; 'kind' may then be left out"));
		json_object_set_new(schema, "anyOf", json_pack("[{s:[s]}, {s:[s]}]", "required",
		    "kind", "required", "job"));
	} else {
		json_object_set_new(schema, "required", json_pack("[s]", "kind"));
	}
	return schema;
}

void
openapi_add_runs(json_t *schemas)
{
	json_t *kinds = json_array(), *all = json_array(), *starts = json_array();

	for (int i = 0; i < RUN_KIND_COUNT; i++) {
		enum run_kind kind = (enum run_kind)i;
		char *name = arguments_name(run_kind_word(kind));

		json_array_append_new(kinds, json_string(run_kind_word(kind)));
		json_array_append_new(all, reference(name));
		json_object_set_new(schemas, name, arguments_schema(run_kind_arguments(kind)));
		/* Those that come with data have addresses of their own. */
		if (kind != RUN_IMPORT && kind != RUN_LOAD_ROWS)
			json_array_append_new(starts, start_schema(kind, name));
		free(name);
	}
	json_object_set_new(schemas, "RunKind", json_pack("{s:s, s:o}", "type", "string", "enum",
	    kinds));
	json_object_set_new(schemas, "RunArguments", json_pack("{s:s, s:o}", "description",
	    "as they were given, with the snapshot's full id", "anyOf", all));
	json_object_set_new(schemas, "RunStart", json_pack("{s:o}", "anyOf", starts));
}

/*
 * Problems.
 */

static json_t *
problem_example(enum error_code code, const json_t *problems)
{
	const json_t *detail = json_object_get(problems, error_word(code));
	struct error err = ERROR_INIT;

	error_set(&err, code, "%s", json_is_string(detail) ? json_string_value(detail)
	    : error_title(code));
	return json_pack("{s:o}", "value", problem_json(&err, NULL));
}

/* All types of one status: {"description", "content": {.. "examples": {WORD: ..}}} */
static json_t *
status_response(int status, const json_t *problems)
{
	struct buffer description = BUFFER_INIT;
	json_t *examples = json_object(), *response;

	for (int i = 1; i < ERROR_CODE_COUNT; i++) {
		enum error_code code = (enum error_code)i;

		if (error_http_status(code) != status)
			continue;
		buffer_printf(&description, "%s%s", description.len > 0 ? "; " : "",
		    error_title(code));
		json_object_set_new(examples, error_word(code), problem_example(code, problems));
	}
	response = json_pack("{s:s, s:{s:{s:o, s:o}}}", "description", buffer_text(&description),
	    "content", "application/problem+json", "schema", reference("Problem"), "examples",
	    examples);
	buffer_done(&description);
	return response;
}

void
openapi_add_problems(json_t *components, const json_t *problems)
{
	json_t *types = json_array(), *responses = json_object_get(components, "responses");
	static const struct {
		const char *status, *header;
	} headers[] = { { "401", "WWW-Authenticate" }, { "429", "Retry-After" },
		{ "503", "Retry-After" } };
	char status[8];

	for (int i = 1; i < ERROR_CODE_COUNT; i++) {
		enum error_code code = (enum error_code)i;

		json_array_append_new(types, json_sprintf("urn:holdfast:problem:%s",
		    error_word(code)));
		snprintf(status, sizeof(status), "%d", error_http_status(code));
		if (json_object_get(responses, status) == NULL)
			json_object_set_new(responses, status, status_response(
			    error_http_status(code), problems));
	}
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		json_object_set_new(json_object_get(responses, headers[i].status), "headers",
		    json_pack("{s:{s:s+}}", headers[i].header, "$ref", "#/components/headers/",
		    headers[i].header));
	json_object_set_new(json_object_get(components, "schemas"), "ProblemType", json_pack(
	    "{s:s, s:o}", "type", "string", "enum", types));
}
