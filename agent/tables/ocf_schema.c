#include <stdlib.h>
#include <string.h>

#include "agent/tables/ocf.h"
#include "shared/mem.h"
#include "shared/text.h"

/* jansson itself stops at 2048 levels; a record of plain fields needs six. */
#define SCHEMA_BYTES_MAX (32u << 20)

static void
type_done(struct ocf_type *type)
{
	for (size_t i = 0; i < type->symbol_count; i++)
		free(type->symbols[i]);
	free(type->symbols);
	for (size_t i = 0; i < type->branch_count; i++)
		type_done(&type->branches[i]);
	free(type->branches);
}

void
ocf_schema_free(struct ocf_schema *schema)
{
	if (schema == NULL)
		return;
	for (size_t i = 0; i < schema->field_count; i++) {
		free(schema->fields[i].name);
		free(schema->fields[i].column);
		type_done(&schema->fields[i].type);
	}
	free(schema->fields);
	free(schema->name);
	free(schema);
}

static int
not_carried(const char *word, struct error *err)
{
	char *printable = text_printable(word, strlen(word));

	error_set(err, ERROR_UNSUPPORTED, "the type '%.100s' does not fit into a table's column",
	    printable);
	free(printable);
	return error_hint(err, "fields may be null, boolean, int, long, float, double, bytes, "
	    "string, fixed, enum and unions of these");
}

static int
parse_word(const char *word, struct ocf_type *ret, struct error *err)
{
	static const char *const words[] = { [OCF_NULL] = "null", [OCF_BOOLEAN] = "boolean",
		[OCF_INT] = "int", [OCF_LONG] = "long", [OCF_FLOAT] = "float",
		[OCF_DOUBLE] = "double", [OCF_BYTES] = "bytes", [OCF_STRING] = "string" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(words[i], word) != 0)
			continue;
		ret->kind = (enum ocf_kind)i;
		return 0;
	}
	return not_carried(word, err);
}

static int
parse_symbols(const json_t *json, struct ocf_type *ret, struct error *err)
{
	const json_t *symbols = json_object_get(json, "symbols"), *symbol;
	size_t i;

	if (json_array_size(symbols) == 0 || json_array_size(symbols) > OCF_SYMBOLS_MAX)
		return error_set(err, ERROR_CORRUPT, "an enum has no symbols, or too many");
	ret->symbols = mem_calloc(json_array_size(symbols), sizeof(*ret->symbols));
	json_array_foreach(symbols, i, symbol) {
		if (!json_is_string(symbol))
			return error_set(err, ERROR_CORRUPT, "a symbol of an enum is no text");
		ret->symbols[ret->symbol_count++] = mem_strdup(json_string_value(symbol));
	}
	return 0;
}

static int
parse_decimal(const json_t *json, struct ocf_type *type, struct error *err)
{
	json_int_t precision = json_integer_value(json_object_get(json, "precision"));
	json_int_t scale = json_integer_value(json_object_get(json, "scale"));

	if (precision < 1 || precision > 65 || scale < 0 || scale > precision)
		return error_set(err, ERROR_UNSUPPORTED,
		    "a decimal of precision %lld and scale %lld does not fit into a column",
		    (long long)precision, (long long)scale);
	type->logical = OCF_DECIMAL;
	type->precision = (unsigned)precision;
	type->scale = (unsigned)scale;
	return 0;
}

/* An unknown logical type, or one on a type that it is not for, counts as none: Avro says so. */
static int
parse_logical(const json_t *json, struct ocf_type *type, struct error *err)
{
	static const struct {
		const char *word;
		enum ocf_kind kind;
		enum ocf_logical logical;
	} known[] = {
		{ "date", OCF_INT, OCF_DATE },
		{ "time-millis", OCF_INT, OCF_TIME_MILLIS },
		{ "time-micros", OCF_LONG, OCF_TIME_MICROS },
		{ "timestamp-millis", OCF_LONG, OCF_TIMESTAMP_MILLIS },
		{ "timestamp-micros", OCF_LONG, OCF_TIMESTAMP_MICROS },
		{ "local-timestamp-millis", OCF_LONG, OCF_TIMESTAMP_MILLIS },
		{ "local-timestamp-micros", OCF_LONG, OCF_TIMESTAMP_MICROS },
		{ "uuid", OCF_STRING, OCF_UUID },
	};
	const char *word = json_string_value(json_object_get(json, "logicalType"));

	if (word == NULL)
		return 0;
	if (strcmp(word, "decimal") == 0 && (type->kind == OCF_BYTES || type->kind == OCF_FIXED))
		return parse_decimal(json, type, err);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i].word, word) == 0 && known[i].kind == type->kind)
			type->logical = known[i].logical;
	return 0;
}

static int
parse_plain(const json_t *json, struct ocf_type *ret, struct error *err)
{
	const json_t *type = json_object_get(json, "type");
	const char *word;
	json_int_t size;

	if (json_is_string(json))
		return parse_word(json_string_value(json), ret, err);
	/* {"type": {"type": ...}} is nothing that anybody writes. */
	if (!json_is_object(json) || !json_is_string(type))
		return error_set(err, ERROR_CORRUPT, "a type is neither a word nor an object");
	word = json_string_value(type);
	if (strcmp(word, "enum") == 0) {
		ret->kind = OCF_ENUM;
		return parse_symbols(json, ret, err);
	}
	if (strcmp(word, "fixed") == 0) {
		size = json_integer_value(json_object_get(json, "size"));
		if (size < 0 || size > (json_int_t)OCF_FIXED_MAX)
			return error_set(err, ERROR_CORRUPT, "a fixed has a size of %lld",
			    (long long)size);
		ret->kind = OCF_FIXED;
		ret->size = (size_t)size;
	} else if (parse_word(word, ret, err) != 0) {
		return -1;
	}
	return parse_logical(json, ret, err);
}

static int
parse_union(const json_t *json, struct ocf_type *ret, struct error *err)
{
	size_t count = json_array_size(json);

	ret->kind = OCF_UNION;
	if (count == 0 || count > OCF_BRANCHES_MAX)
		return error_set(err, ERROR_CORRUPT, "a union has %zu branches", count);
	ret->branches = mem_calloc(count, sizeof(*ret->branches));
	while (ret->branch_count < count) {
		size_t i = ret->branch_count++;

		if (parse_plain(json_array_get(json, i), &ret->branches[i], err) != 0)
			return -1;
	}
	return 0;
}

static int
parse_field(const json_t *json, struct ocf_field *ret, struct error *err)
{
	const char *name = json_string_value(json_object_get(json, "name"));
	const char *column = json_string_value(json_object_get(json, "column"));
	const json_t *type = json_object_get(json, "type");
	char *printable;
	int rc;

	if (name == NULL || name[0] == '\0')
		return error_set(err, ERROR_CORRUPT, "a field of the schema has no name");
	ret->name = mem_strdup(name);
	if (column != NULL)
		ret->column = mem_strdup(column);
	rc = json_is_array(type) ? parse_union(type, &ret->type, err) :
	    parse_plain(type, &ret->type, err);
	if (rc == 0)
		return 0;
	printable = text_printable(name, strlen(name));
	error_prefix(err, "field '%.100s': ", printable);
	free(printable);
	return -1;
}

int
ocf_schema_parse(const char *text, size_t len, struct ocf_schema **ret, struct error *err)
{
	const json_t *fields, *name, *kind;
	struct ocf_schema *schema = NULL;
	json_error_t why;
	json_t *json;

	if (len > SCHEMA_BYTES_MAX)
		return error_set(err, ERROR_TOO_LARGE, "the schema is too long");
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (json == NULL)
		return error_set(err, ERROR_CORRUPT, "the schema is no JSON: line %d: %.100s",
		    why.line, why.text);
	kind = json_object_get(json, "type");
	fields = json_object_get(json, "fields");
	name = json_object_get(json, "name");
	if (!json_is_string(kind) || strcmp(json_string_value(kind), "record") != 0 ||
	    !json_is_array(fields)) {
		error_set(err, ERROR_UNSUPPORTED, "the schema is no record: it is no table");
		goto fail;
	}
	if (json_array_size(fields) > OCF_FIELDS_MAX) {
		error_set(err, ERROR_TOO_LARGE, "the schema has %zu fields",
		    json_array_size(fields));
		goto fail;
	}
	schema = MEM_NEW(struct ocf_schema);
	schema->name = mem_strdup(json_is_string(name) ? json_string_value(name) : "");
	schema->fields = mem_calloc(json_array_size(fields), sizeof(*schema->fields));
	while (schema->field_count < json_array_size(fields)) {
		size_t i = schema->field_count++;

		if (parse_field(json_array_get(fields, i), &schema->fields[i], err) != 0)
			goto fail;
	}
	json_decref(json);
	*ret = schema;
	return 0;
fail:
	ocf_schema_free(schema);
	json_decref(json);
	return -1;
}
