/*
 * JSON documents as rows: what is one, and what becomes of keys and values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/tables/json_rows.h"
#include "agent/tables/json_scan.h"
#include "shared/buffer.h"
#include "shared/mem.h"

static struct table_column columns[] = {
	{ .name = (char *)(uintptr_t)"id" },
	{ .name = (char *)(uintptr_t)"Name" },
	{ .name = (char *)(uintptr_t)"at" },
};
static const struct table table = { .name = (char *)(uintptr_t)"people", .columns = columns,
	.column_count = 3 };

static void
put_value(struct buffer *out, const struct row_value *value)
{
	switch (value->type) {
	case ROW_DEFAULT:
		buffer_put_text(out, "-");
		break;
	case ROW_NULL:
		buffer_put_text(out, "null");
		break;
	case ROW_FALSE:
	case ROW_TRUE:
		buffer_put_text(out, value->type == ROW_TRUE ? "true" : "false");
		break;
	case ROW_TEXT:
		buffer_printf(out, "'%.*s'", (int)value->len, value->data);
		break;
	case ROW_NUMBER:
	case ROW_JSON:
		buffer_printf(out, "%s%.*s", value->type == ROW_JSON ? "json " : "",
		    (int)value->len, value->data);
		break;
	}
}

/* All rows as one text: "NUMBER: VALUE|VALUE|VALUE (RAW)", or the reason why not. */
static char *
rows_of(const char *text, size_t len)
{
	struct buffer out = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct json_rows *rows = NULL;
	struct row_source source;
	const size_t *order;
	struct row row;
	size_t count;
	int rc;

	assert_int_equal(json_rows_new(text, len, &rows, &err), 0);
	source = json_rows_source(rows);
	assert_int_equal(source.begin(source.arg, &table, &order, &count, &err), 0);
	assert_int_equal(count, 3);
	while ((rc = source.next(source.arg, &row, &err)) == 1) {
		buffer_printf(&out, "%s%llu: ", out.len > 0 ? "\n" : "",
		    (unsigned long long)row.number);
		if (row.reason != NULL)
			buffer_put_text(&out, row.reason);
		for (size_t i = 0; row.reason == NULL && i < count; i++) {
			if (i > 0)
				buffer_put_u8(&out, '|');
			assert_int_equal(order[i], i);
			put_value(&out, &row.values[i]);
		}
		buffer_printf(&out, " (%.*s)", (int)row.raw_len, row.raw);
	}
	assert_int_equal(rc, 0);
	json_rows_free(rows);
	return buffer_take(&out);
}

static void
gives(const char *text, const char *expected)
{
	char *is = rows_of(text, strlen(text));

	assert_string_equal(is, expected);
	free(is);
}

static void
refused(const char *text, const char *message)
{
	struct error err = ERROR_INIT;
	size_t count = 77;

	assert_int_equal(json_rows_check(text, strlen(text), &count, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, message);
	assert_int_equal(count, 77);
}

static void
an_object_is_a_row_and_an_array_is_rows(void **state)
{
	(void)state;
	gives("{\"id\": 1, \"Name\": \"x\"}", "1: 1|'x'|- ({\"id\": 1, \"Name\": \"x\"})");
	gives(" [ {\"id\":1} ,\n{\"at\":null}\t] ", "1: 1|-|- ({\"id\":1})\n2: -|-|null ({\"at\":null})");
	gives("{\"id\":true,\"Name\":false}", "1: true|false|- ({\"id\":true,\"Name\":false})");
}

static void
numbers_keep_their_text(void **state)
{
	(void)state;
	gives("{\"id\":18446744073709551615,\"at\":-0.10000000000000000000000000001}",
	    "1: 18446744073709551615|-|-0.10000000000000000000000000001"
	    " ({\"id\":18446744073709551615,\"at\":-0.10000000000000000000000000001})");
	gives("{\"id\":1E+400}", "1: 1E+400|-|- ({\"id\":1E+400})");
}

static void
texts_are_decoded(void **state)
{
	char *is;

	(void)state;
	gives("{\"at\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00é\"}",
	    "1: -|-|'\"\\/\b\f\n\r\té😀é' "
	    "({\"at\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00é\"})");
	/* Several of them stay apart, and where they are. */
	gives("{\"id\":\"a\\u0041\",\"Name\":\"\",\"at\":\"b\"}",
	    "1: 'aA'|''|'b' ({\"id\":\"a\\u0041\",\"Name\":\"\",\"at\":\"b\"})");
	is = rows_of("{\"id\":\"a\\u0000b\"}", strlen("{\"id\":\"a\\u0000b\"}"));
	assert_memory_equal(is, "1: 'a", 5);
	free(is);
}

static void
objects_and_arrays_are_values_as_they_are_written(void **state)
{
	(void)state;
	gives("{\"at\": {\"a\": [1.50, {\"b\": \"}\"}]}, \"id\": []}",
	    "1: json []|-|json {\"a\": [1.50, {\"b\": \"}\"}]}"
	    " ({\"at\": {\"a\": [1.50, {\"b\": \"}\"}]}, \"id\": []})");
}

static void
keys_are_names_of_columns(void **state)
{
	(void)state;
	gives("{\"ID\":1,\"name\":2,\"\\u0061t\":3}", "1: 1|2|3 ({\"ID\":1,\"name\":2,\"\\u0061t\":3})");
	gives("[{\"age\":1,\"x\":2},{\"id\":2}]",
	    "1: there is no column 'age', or it is generated ({\"age\":1,\"x\":2})\n2: 2|-|- ({\"id\":2})");
	gives("{\"id\":1,\"ID\":2}", "1: 'ID' is given twice ({\"id\":1,\"ID\":2})");
	gives("{\"id\\u0000\":1}", "1: there is no column 'id\\x00', or it is generated ({\"id\\u0000\":1})");
	gives("[{},{\"id\":1}]", "1: the row is empty ({})\n2: 1|-|- ({\"id\":1})");
	gives("{\"\":1}", "1: there is no column '', or it is generated ({\"\":1})");
}

static void
other_shapes_are_refused_with_their_place(void **state)
{
	(void)state;
	refused("", "the JSON is wrong at line 1, column 1: it ends where a value should be");
	refused("3", "the JSON is wrong at line 1, column 1: rows are an object or an array of objects");
	refused("null", "the JSON is wrong at line 1, column 1: rows are an object or an array of objects");
	refused("[\n 1]", "the JSON is wrong at line 2, column 2: a row is an object: {\"column\": value, ...}");
	refused("[[{}]]", "the JSON is wrong at line 1, column 2: a row is an object: {\"column\": value, ...}");
	refused("[]", "the array is empty: there is no row to load");
	refused("{} {}", "the JSON is wrong at line 1, column 4: something follows the value");
	refused("[{},]", "the JSON is wrong at line 1, column 5: no value begins here");
	refused("[{}", "the JSON is wrong at line 1, column 4: a ',' or ']' should be here");
	refused("{\"a\":1", "the JSON is wrong at line 1, column 7: a ',' or '}' should be here");
	refused("{\"a\" 1}", "the JSON is wrong at line 1, column 6: a ':' should be here");
	refused("{a:1}", "the JSON is wrong at line 1, column 2: a string should be here");
	refused("{\"a\":1,\"b\":2,\"\\u0061\":3}", "a row has the key 'a' twice");
}

static void
broken_values_are_refused(void **state)
{
	static const char *const values[] = { "01", "+1", "1.", ".5", "1e", "1e+", "-", "- 1", "0x1",
		"NaN", "Infinity", "tru", "True", "nul", "'x'", "\"", "\"\\x\"", "\"\\u12\"",
		"\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "\"\xff\"",
		"\"\xed\xa0\x80\"", "[1", "[1,]", "[1 2]", "{\"x\"}", "{\"x\":1,}", "{1:2}", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct error err = ERROR_INIT;
		char text[100];
		size_t count;
		int len = snprintf(text, sizeof(text), "{\"a\": %s}", values[i]);

		if (json_rows_check(text, (size_t)len, &count, &err) == 0)
			fail_msg("taken: %s", text);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_false(json_scan_is_valid(text, (size_t)len));
	}
}

static void
every_piece_of_a_document_is_refused(void **state)
{
	static const char text[] = "[{\"a\": \"\\u00e9\", \"b\": [true, null, -1.5e3]}]";
	struct error err = ERROR_INIT;
	size_t count;

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		/* A copy of just that length: what lies behind it is not read. */
		char *piece = mem_dup(text, len + (len == 0));

		assert_int_equal(json_rows_check(piece, len, &count, &err), -1);
		free(piece);
	}
	assert_int_equal(json_rows_check(text, sizeof(text) - 1, &count, &err), 0);
	assert_int_equal(count, 1);
}

static void
a_thousand_rows_are_the_most(void **state)
{
	struct buffer text = BUFFER_INIT;
	struct error err = ERROR_INIT;
	size_t count = 0;

	(void)state;
	buffer_put_text(&text, "[{}");
	for (int i = 1; i < JSON_ROWS_MAX; i++)
		buffer_put_text(&text, ",{}");
	buffer_put_text(&text, "]");
	assert_int_equal(json_rows_check((char *)text.data, text.len, &count, &err), 0);
	assert_int_equal(count, JSON_ROWS_MAX);
	text.len--;
	buffer_put_text(&text, ",{}]");
	assert_int_equal(json_rows_check((char *)text.data, text.len, &count, &err), -1);
	assert_string_equal(err.message, "there are more than 1000 rows");
	buffer_done(&text);
}

static void
nesting_is_bounded(void **state)
{
	struct error err = ERROR_INIT;
	char text[200] = "{\"a\":";
	size_t at = strlen(text), count;

	(void)state;
	memset(text + at, '[', 31);
	memset(text + at + 31, ']', 31);
	strcpy(text + at + 62, "}");
	assert_int_equal(json_rows_check(text, strlen(text), &count, &err), 0);
	memset(text + at, '[', 32);
	memset(text + at + 32, ']', 32);
	strcpy(text + at + 64, "}");
	assert_int_equal(json_rows_check(text, strlen(text), &count, &err), -1);
	assert_string_equal(err.message,
	    "the JSON is wrong at line 1, column 37: it is nested too deep");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_a_row_and_an_array_is_rows),
		cmocka_unit_test(numbers_keep_their_text),
		cmocka_unit_test(texts_are_decoded),
		cmocka_unit_test(objects_and_arrays_are_values_as_they_are_written),
		cmocka_unit_test(keys_are_names_of_columns),
		cmocka_unit_test(other_shapes_are_refused_with_their_place),
		cmocka_unit_test(broken_values_are_refused),
		cmocka_unit_test(every_piece_of_a_document_is_refused),
		cmocka_unit_test(a_thousand_rows_are_the_most),
		cmocka_unit_test(nesting_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
