#include "agent/jobs/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

static const char *
type_phrase(const struct argument_spec *spec)
{
	switch (spec->type) {
	case ARGUMENT_TEXT:
	case ARGUMENT_WORD:
		return "a text";
	case ARGUMENT_TEXTS:
		return "an array of texts";
	case ARGUMENT_BOOL:
		return "true or false";
	case ARGUMENT_INTEGER:
		return "a whole number";
	case ARGUMENT_SIZE:
		return "a number of bytes or a text as \"64M\"";
	case ARGUMENT_DURATION:
		return "a number of seconds or a text as \"7d\"";
	case ARGUMENT_OBJECT:
		return "an object";
	}
	return "";
}

static int
wrong_type(const struct argument_spec *spec, struct error *err)
{
	return error_set(err, ERROR_BAD_REQUEST, "'%s' takes %s", spec->name, type_phrase(spec));
}

static int
check_text(const struct argument_spec *spec, const json_t *value, struct error *err)
{
	if (!json_is_string(value))
		return wrong_type(spec, err);
	if (json_string_length(value) == 0)
		return error_set(err, ERROR_BAD_REQUEST, "'%s' must not be empty", spec->name);
	if (json_string_length(value) > ARGUMENT_TEXT_MAX)
		return error_set(err, ERROR_BAD_REQUEST, "'%s' is longer than %d bytes", spec->name,
		    ARGUMENT_TEXT_MAX);
	if (strlen(json_string_value(value)) != json_string_length(value))
		return error_set(err, ERROR_BAD_REQUEST, "'%s' must not hold a NUL", spec->name);
	return 0;
}

static int
check_word(const struct argument_spec *spec, const json_t *value, struct error *err)
{
	const char *word;

	if (check_text(spec, value, err) != 0)
		return -1;
	word = json_string_value(value);
	if (text_is_word_of(word, spec->words))
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "'%s' cannot be '%.100s'", spec->name, word);
	return error_hint(err, "it takes one of %s", spec->words);
}

static int
check_texts(const struct argument_spec *spec, const json_t *value, struct error *err)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return wrong_type(spec, err);
	if (json_array_size(value) > ARGUMENT_TEXTS_MAX)
		return error_set(err, ERROR_BAD_REQUEST, "'%s' holds more than %d texts",
		    spec->name, ARGUMENT_TEXTS_MAX);
	json_array_foreach(value, i, item)
		if (check_text(spec, item, err) != 0)
			return -1;
	return 0;
}

static int
check_bounds(const struct argument_spec *spec, int64_t v, struct error *err)
{
	if (v >= spec->min && v <= spec->max)
		return 0;
	return error_set(err, ERROR_BAD_REQUEST, "'%s' must be between %lld and %lld", spec->name,
	    (long long)spec->min, (long long)spec->max);
}

static int
number_of(const struct argument_spec *spec, const json_t *value, int64_t *ret,
    struct error *err)
{
	uint64_t size = 0;
	int rc;

	if (json_is_integer(value)) {
		*ret = json_integer_value(value);
		return 0;
	}
	if (!json_is_string(value) || spec->type == ARGUMENT_INTEGER)
		return wrong_type(spec, err);
	if (spec->type == ARGUMENT_DURATION) {
		rc = duration_parse(json_string_value(value), ret, err);
	} else {
		rc = size_parse(json_string_value(value), &size, err);
		*ret = size > INT64_MAX ? INT64_MAX : (int64_t)size;
	}
	if (rc != 0) {
		err->code = ERROR_BAD_REQUEST;
		error_prefix(err, "'%s': ", spec->name);
	}
	return rc;
}

static int
check_value(const struct argument_spec *spec, const json_t *value, struct error *err)
{
	int64_t v = 0;

	switch (spec->type) {
	case ARGUMENT_TEXT:
		return check_text(spec, value, err);
	case ARGUMENT_WORD:
		return check_word(spec, value, err);
	case ARGUMENT_TEXTS:
		return check_texts(spec, value, err);
	case ARGUMENT_BOOL:
		return json_is_boolean(value) ? 0 : wrong_type(spec, err);
	case ARGUMENT_OBJECT:
		if (!json_is_object(value))
			return wrong_type(spec, err);
		if (arguments_check(value, spec->fields, err) != 0)
			return error_prefix(err, "in '%s': ", spec->name);
		return 0;
	default:
		if (number_of(spec, value, &v, err) != 0)
			return -1;
		return check_bounds(spec, v, err);
	}
}

static int
unknown_field(const char *name, const struct argument_spec *specs, struct error *err)
{
	struct buffer known = BUFFER_INIT;
	char *printable = text_printable(name, strlen(name));

	for (const struct argument_spec *spec = specs; spec->name != NULL; spec++)
		buffer_printf(&known, "%s%s", known.len == 0 ? "" : ", ", spec->name);
	error_set(err, ERROR_BAD_REQUEST, "unknown field '%.100s'", printable);
	error_hint(err, "the fields are %s", buffer_text(&known));
	buffer_done(&known);
	free(printable);
	return -1;
}

int
arguments_check(const json_t *arguments, const struct argument_spec *specs, struct error *err)
{
	const char *name;
	json_t *value;

	if (!json_is_object(arguments))
		return error_set(err, ERROR_BAD_REQUEST, "the arguments are not a JSON object");
	json_object_foreach((json_t *)(uintptr_t)arguments, name, value) {
		const struct argument_spec *spec = specs;

		while (spec->name != NULL && strcmp(spec->name, name) != 0)
			spec++;
		if (spec->name == NULL)
			return unknown_field(name, specs, err);
		if (check_value(spec, value, err) != 0)
			return -1;
	}
	return 0;
}

bool
argument_bool(const json_t *arguments, const char *name, bool fallback)
{
	const json_t *value = json_object_get(arguments, name);

	return value == NULL ? fallback : json_is_true(value);
}

static int64_t
number_or(const json_t *arguments, const char *name, enum argument_type type, int64_t fallback)
{
	const struct argument_spec spec = { .name = name, .type = type };
	const json_t *value = json_object_get(arguments, name);
	struct error err = ERROR_INIT;
	int64_t v;

	if (value == NULL || number_of(&spec, value, &v, &err) != 0)
		return fallback;
	return v;
}

int64_t
argument_integer(const json_t *arguments, const char *name, int64_t fallback)
{
	return number_or(arguments, name, ARGUMENT_INTEGER, fallback);
}

uint64_t
argument_size(const json_t *arguments, const char *name, uint64_t fallback)
{
	return (uint64_t)number_or(arguments, name, ARGUMENT_SIZE, (int64_t)fallback);
}

int64_t
argument_duration(const json_t *arguments, const char *name, int64_t fallback)
{
	return number_or(arguments, name, ARGUMENT_DURATION, fallback);
}

const char *
argument_text(const json_t *arguments, const char *name)
{
	return json_string_value(json_object_get(arguments, name));
}

const char **
argument_texts(const json_t *arguments, const char *name, size_t *ret_count)
{
	const json_t *array = json_object_get(arguments, name), *item;
	const char **texts;
	size_t i;

	*ret_count = json_array_size(array);
	if (*ret_count == 0)
		return NULL;
	texts = mem_calloc(*ret_count, sizeof(*texts));
	json_array_foreach(array, i, item)
		texts[i] = json_string_value(item);
	return texts;
}

const char **
argument_texts_and(const json_t *arguments, const char *name, const char *one, size_t *ret_count)
{
	const char **texts = argument_texts(arguments, name, ret_count);
	const char *text = argument_text(arguments, one);

	if (text == NULL)
		return texts;
	texts = mem_realloc(texts, *ret_count + 1, sizeof(*texts));
	texts[(*ret_count)++] = text;
	return texts;
}
