#include "agent/http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/http/later.h"
#include "agent/http/negotiate.h"
#include "agent/http/upload.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Deeper than any body of ours; bounds the recursion of whoever walks it. */
#define JSON_DEPTH 16

/* What the log keeps of an argument. */
#define PARAMETER_MAX 1024

void
request_free(struct request *request)
{
	int i;

	if (request == NULL)
		return;
	later_detach(request->later);
	if (request->upload != NULL) /* the body had no end unless upload_end() said so */
		upload_detach(request->upload, &request->failure);
	free(request->method);
	free(request->target);
	free(request->path);
	free(request->query);
	params_done(&request->params);
	free(request->id);
	for (i = 0; i < REQUEST_FIELD_COUNT; i++)
		free(request->fields[i]);
	buffer_done(&request->body);
	free(request->parameter);
	response_done(&request->response);
	free(request);
}

char *
percent_decode(const char *text, size_t len, bool plus_is_space, struct error *err)
{
	char *out = mem_calloc(len + 1, 1), *printable;
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int high = len - i > 2 ? hex_value(text[i + 1]) : -1;
			int low = len - i > 2 ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				goto broken;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0') {
			error_set(err, ERROR_BAD_REQUEST, "a name or value holds a NUL");
			goto fail;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	if (text_is_utf8(out, n))
		return out;
	/* Names of files are bytes; this form survives JSON, and is taken wherever a path is. */
	printable = text_printable(out, n);
	free(out);
	return printable;
broken:
	error_set(err, ERROR_BAD_REQUEST, "a '%%' is not followed by two hexadecimal digits");
	error_hint(err, "write a percent sign itself as %%25");
fail:
	free(out);
	return NULL;
}

void
params_done(struct params *params)
{
	size_t i;

	for (i = 0; i < params->count; i++) {
		free(params->list[i].name);
		free(params->list[i].value);
	}
	free(params->list);
	params->list = NULL;
	params->count = 0;
}

/* One "name=value" of a query or form. */
static int
param_add(struct params *params, const char *text, size_t len, struct error *err)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - text);
	struct param *param = &params->list[params->count];
	char *name, *value;

	name = percent_decode(text, name_len, true, err);
	if (name == NULL)
		return -1;
	if (params_get(params, name) != NULL) {
		error_set(err, ERROR_BAD_REQUEST, "parameter '%.64s' is given twice", name);
		free(name);
		return -1;
	}
	value = equals == NULL ? mem_strdup("")
	    : percent_decode(equals + 1, len - name_len - 1, true, err);
	if (value == NULL) {
		free(name);
		return -1;
	}
	param->name = name;
	param->value = value;
	params->count++;
	return 0;
}

int
params_parse(const char *text, size_t len, struct params *ret, struct error *err)
{
	struct params params = { NULL, 0 };
	const char *end = text + len, *next;

	params.list = mem_calloc(PARAMS_MAX, sizeof(*params.list));
	for (; text < end; text = next + 1) {
		next = memchr(text, '&', (size_t)(end - text));
		if (next == NULL)
			next = end;
		if (next == text)
			continue;
		if (params.count == PARAMS_MAX) {
			error_set(err, ERROR_BAD_REQUEST, "there are more than %d parameters",
			    PARAMS_MAX);
			goto fail;
		}
		if (param_add(&params, text, (size_t)(next - text), err) != 0)
			goto fail;
	}
	*ret = params;
	return 0;
fail:
	params_done(&params);
	return -1;
}

const char *
params_get(const struct params *params, const char *name)
{
	size_t i;

	for (i = 0; i < params->count; i++) {
		if (strcmp(params->list[i].name, name) == 0)
			return params->list[i].value;
	}
	return NULL;
}

int
params_check(const struct params *params, const char *const *known, struct error *err)
{
	size_t i, k, used;

	for (i = 0; i < params->count; i++) {
		for (k = 0; known[k] != NULL; k++) {
			if (strcmp(params->list[i].name, known[k]) == 0)
				break;
		}
		if (known[k] != NULL)
			continue;
		error_set(err, ERROR_BAD_REQUEST, "there is no parameter '%.64s'",
		    params->list[i].name);
		if (known[0] == NULL)
			return error_hint(err, "this address takes none");
		error_hint(err, "parameters are: ");
		for (k = 0; known[k] != NULL; k++) {
			used = strlen(err->hint);
			snprintf(err->hint + used, sizeof(err->hint) - used, "%s%s",
			    k > 0 ? ", " : "", known[k]);
		}
		return -1;
	}
	return 0;
}

int
params_number(const struct params *params, const char *name, uint64_t max, uint64_t otherwise,
    uint64_t *ret, struct error *err)
{
	const char *text = params_get(params, name);
	unsigned long long value;

	if (text == NULL) {
		*ret = otherwise;
		return 0;
	}
	if (text[0] == '\0' || strlen(text) > 18 || text[strspn(text, "0123456789")] != '\0')
		return error_set(err, ERROR_BAD_REQUEST, "'%s' is no number: '%.64s'", name, text);
	value = strtoull(text, NULL, 10);
	if (value > max)
		return error_set(err, ERROR_BAD_REQUEST, "'%s' is at most %llu", name,
		    (unsigned long long)max);
	*ret = value;
	return 0;
}

/* "http://host/path" means "/path" (RFC 9112, 3.2.2). */
static void
skip_authority(const char **target, size_t *len)
{
	static const char *const schemes[] = { "http://", "https://" };
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(schemes); i++) {
		n = strlen(schemes[i]);
		if (*len <= n || strncasecmp(*target, schemes[i], n) != 0)
			continue;
		while (n < *len && (*target)[n] != '/')
			n++;
		*target += n;
		*len -= n;
		return;
	}
}

int
request_parse_target(const char *target, size_t len, char **ret_path, char **ret_query,
    struct params *ret_params, struct error *err)
{
	const char *question;
	size_t path_len;
	char *decoded;

	skip_authority(&target, &len);
	if (len == 0 || target[0] != '/')
		return error_set(err, ERROR_BAD_REQUEST, "the address is no absolute path");
	if (memchr(target, '#', len) != NULL)
		return error_set(err, ERROR_BAD_REQUEST, "the address holds a '#'");
	question = memchr(target, '?', len);
	path_len = question == NULL ? len : (size_t)(question - target);
	/* Only to see that every escape in it is whole and none is a NUL. */
	decoded = percent_decode(target, path_len, false, err);
	if (decoded == NULL)
		return -1;
	free(decoded);
	if (question != NULL) {
		if (params_parse(question + 1, len - path_len - 1, ret_params, err) != 0)
			return -1;
		*ret_query = mem_printf("%.*s", (int)(len - path_len - 1), question + 1);
	} else {
		*ret_query = mem_strdup("");
	}
	*ret_path = mem_printf("%.*s", (int)path_len, target);
	return 0;
}

static int
json_depth(const json_t *json, int depth)
{
	const char *key;
	json_t *value;
	size_t i;

	if (depth > JSON_DEPTH)
		return -1;
	if (json_is_array(json)) {
		json_array_foreach(json, i, value) {
			if (json_depth(value, depth + 1) != 0)
				return -1;
		}
	} else if (json_is_object(json)) {
		json_object_foreach((json_t *)(uintptr_t)json, key, value) {
			if (json_depth(value, depth + 1) != 0)
				return -1;
		}
	}
	return 0;
}

int
json_body_parse(const char *text, size_t len, json_t **ret, struct error *err)
{
	json_error_t json_err;
	json_t *json;

	if (len == 0)
		return error_set(err, ERROR_BAD_REQUEST, "the body is empty, JSON is needed");
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &json_err);
	if (json == NULL)
		return error_set(err, ERROR_BAD_REQUEST,
		    "the body is no JSON: line %d, column %d: %.200s", json_err.line,
		    json_err.column, json_err.text);
	if (!json_is_object(json))
		error_set(err, ERROR_BAD_REQUEST, "the body is no JSON object");
	else if (json_depth(json, 0) != 0)
		error_set(err, ERROR_BAD_REQUEST, "the body is nested deeper than %d levels",
		    JSON_DEPTH);
	else {
		*ret = json;
		return 0;
	}
	json_decref(json);
	return -1;
}

int
request_json(const struct request *request, json_t **ret, struct error *err)
{
	if (!media_type_is(request->fields[REQUEST_CONTENT_TYPE], "application/json")) {
		error_set(err, ERROR_BAD_MEDIA_TYPE, "the body's type is not application/json");
		return error_hint(err, "send it with 'Content-Type: application/json'");
	}
	return json_body_parse((const char *)request->body.data, request->body.len, ret, err);
}

void
request_set_parameter(struct request *request, const char *text)
{
	size_t len = strlen(text);

	free(request->parameter);
	request->parameter = text_printable(text, len > PARAMETER_MAX ? PARAMETER_MAX : len);
}
