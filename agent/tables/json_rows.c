#include "agent/tables/json_rows.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/tables/json_scan.h"
#include "shared/mem.h"
#include "shared/text.h"

struct name_of_column {
	const char *name;
	size_t column;
};

struct json_rows {
	struct json_scan scan;
	size_t count, given;

	/* of the table */
	const struct table *table;
	struct name_of_column *names; /* sorted, whatever their case */
	size_t *columns;

	/* of the present row */
	struct row_value *values;
	size_t *starts;        /* where a text begins in texts */
	struct buffer texts, reason;
};

/* ---- the whole document */

struct key {
	size_t at, len;
};

struct keys {
	struct key *list;
	size_t count, cap;
	struct buffer texts;
};

static int
compare_keys(const void *a, const void *b, void *arg)
{
	const struct buffer *texts = arg;
	const struct key *x = a, *y = b;
	int order = memcmp(texts->data + x->at, texts->data + y->at,
	    x->len < y->len ? x->len : y->len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static int
check_keys(struct keys *keys, struct error *err)
{
	/* Nothing but empty keys takes no bytes: so that there is a place all the same. */
	buffer_reserve(&keys->texts, 1);
	qsort_r(keys->list, keys->count, sizeof(*keys->list), compare_keys, &keys->texts);
	for (size_t i = 1; i < keys->count; i++) {
		const struct key *key = &keys->list[i];
		char *shown;

		if (compare_keys(key - 1, key, &keys->texts) != 0)
			continue;
		shown = text_printable(keys->texts.data + key->at, key->len);
		error_set(err, ERROR_BAD_REQUEST, "a row has the key '%.100s' twice", shown);
		free(shown);
		return -1;
	}
	return 0;
}

static int
check_object(struct json_scan *scan, unsigned depth, struct keys *keys, struct error *err)
{
	enum json_scan_type type;

	if (json_scan_peek(scan, &type, err) != 0)
		return -1;
	if (type != JSON_SCAN_OBJECT)
		return json_scan_error(scan, "a row is an object: {\"column\": value, ...}", err);
	scan->p++;
	keys->count = 0;
	buffer_clear(&keys->texts);
	if (json_scan_take(scan, '}'))
		return 0;
	do {
		struct key key = { .at = keys->texts.len };

		if (keys->count == JSON_ROWS_KEYS_MAX)
			return json_scan_error(scan, "a row has too many keys", err);
		if (json_scan_string(scan, &keys->texts, err) != 0)
			return -1;
		key.len = keys->texts.len - key.at;
		MEM_GROW(keys->list, keys->count, keys->cap);
		keys->list[keys->count++] = key;
		if (!json_scan_take(scan, ':'))
			return json_scan_error(scan, "a ':' should be here", err);
		if (json_scan_skip(scan, depth + 1, err) != 0)
			return -1;
	} while (json_scan_take(scan, ','));
	if (!json_scan_take(scan, '}'))
		return json_scan_error(scan, "a ',' or '}' should be here", err);
	return check_keys(keys, err);
}

static int
check_array(struct json_scan *scan, struct keys *keys, size_t *ret_count, struct error *err)
{
	size_t count = 0;

	scan->p++;
	if (json_scan_take(scan, ']')) {
		error_set(err, ERROR_BAD_REQUEST, "the array is empty: there is no row to load");
		return error_hint(err, "it holds 1 to %d rows", JSON_ROWS_MAX);
	}
	do {
		if (count == JSON_ROWS_MAX) {
			error_set(err, ERROR_BAD_REQUEST, "there are more than %d rows",
			    JSON_ROWS_MAX);
			return error_hint(err, "send them in several requests");
		}
		if (check_object(scan, 1, keys, err) != 0)
			return -1;
		count++;
	} while (json_scan_take(scan, ','));
	if (!json_scan_take(scan, ']'))
		return json_scan_error(scan, "a ',' or ']' should be here", err);
	*ret_count = count;
	return 0;
}

int
json_rows_check(const char *text, size_t len, size_t *ret_count, struct error *err)
{
	struct keys keys = { .texts = BUFFER_INIT };
	enum json_scan_type type;
	struct json_scan scan;
	size_t count = 1;
	int rc = -1;

	json_scan_init(&scan, text, len);
	if (json_scan_peek(&scan, &type, err) != 0)
		return -1;
	if (type == JSON_SCAN_ARRAY)
		rc = check_array(&scan, &keys, &count, err);
	else if (type == JSON_SCAN_OBJECT)
		rc = check_object(&scan, 0, &keys, err);
	else
		json_scan_error(&scan, "rows are an object or an array of objects", err);
	if (rc == 0)
		rc = json_scan_end(&scan, err);
	if (rc == 0)
		*ret_count = count;
	free(keys.list);
	buffer_done(&keys.texts);
	return rc;
}

/* ---- its rows; that it is sound is known */

static int
compare_names(const void *a, const void *b)
{
	const struct name_of_column *x = a, *y = b;

	return strcasecmp(x->name, y->name);
}

static int
begin(void *arg, const struct table *table, const size_t **ret_columns, size_t *ret_count,
    struct error *err)
{
	struct json_rows *rows = arg;

	(void)err;
	rows->table = table;
	rows->names = mem_calloc(table->column_count, sizeof(*rows->names));
	rows->columns = mem_calloc(table->column_count, sizeof(*rows->columns));
	rows->values = mem_calloc(table->column_count, sizeof(*rows->values));
	rows->starts = mem_calloc(table->column_count, sizeof(*rows->starts));
	for (size_t i = 0; i < table->column_count; i++) {
		rows->names[i] = (struct name_of_column){ table->columns[i].name, i };
		rows->columns[i] = i;
	}
	qsort(rows->names, table->column_count, sizeof(*rows->names), compare_names);
	*ret_columns = rows->columns;
	*ret_count = table->column_count;
	return 0;
}

/* The column that a key names; -1: none.  A NUL is in no name. */
static long
find_column(const struct json_rows *rows, const char *name, size_t len)
{
	struct name_of_column key = { name, 0 };
	const struct name_of_column *found = NULL;

	if (strlen(name) == len)
		found = bsearch(&key, rows->names, rows->table->column_count, sizeof(key),
		    compare_names);
	return found == NULL ? -1 : (long)found->column;
}

static int
take_value(struct json_rows *rows, struct row_value *value, size_t *start, struct error *err)
{
	struct json_scan *scan = &rows->scan;
	enum json_scan_type type;

	if (json_scan_peek(scan, &type, err) != 0)
		return -1;
	if (type == JSON_SCAN_STRING) {
		value->type = ROW_TEXT;
		*start = rows->texts.len;
		if (json_scan_string(scan, &rows->texts, err) != 0)
			return -1;
		value->len = rows->texts.len - *start;
		return 0;
	}
	value->data = scan->p;
	value->type = type == JSON_SCAN_NULL ? ROW_NULL : type == JSON_SCAN_TRUE ? ROW_TRUE :
	    type == JSON_SCAN_FALSE ? ROW_FALSE : type == JSON_SCAN_NUMBER ? ROW_NUMBER : ROW_JSON;
	if (json_scan_skip(scan, 1, err) != 0)
		return -1;
	value->len = (size_t)(scan->p - value->data);
	return 0;
}

/* Why a key is none of ours; the first reason counts. */
static void
set_reason(struct json_rows *rows, const char *key, size_t len, bool twice)
{
	char *shown;

	if (rows->reason.len > 0)
		return;
	shown = text_printable(key, len);
	if (twice)
		buffer_printf(&rows->reason, "'%.100s' is given twice", shown);
	else
		buffer_printf(&rows->reason, "there is no column '%.100s', or it is generated",
		    shown);
	free(shown);
}

static int
take_member(struct json_rows *rows, struct error *err)
{
	struct row_value ignored = { .type = ROW_DEFAULT };
	size_t at = rows->texts.len, nowhere;
	bool twice = false;
	const char *key;
	long column;

	if (json_scan_string(&rows->scan, &rows->texts, err) != 0)
		return -1;
	key = buffer_text(&rows->texts) + at;
	column = find_column(rows, key, rows->texts.len - at);
	if (column >= 0 && rows->values[column].type != ROW_DEFAULT)
		twice = true;
	if (column < 0 || twice)
		set_reason(rows, key, rows->texts.len - at, twice);
	rows->texts.len = at;
	if (!json_scan_take(&rows->scan, ':'))
		return json_scan_error(&rows->scan, "a ':' should be here", err);
	if (column < 0 || twice)
		return take_value(rows, &ignored, &nowhere, err);
	return take_value(rows, &rows->values[column], &rows->starts[column], err);
}

static int
take_row(struct json_rows *rows, struct error *err)
{
	if (!json_scan_take(&rows->scan, '{'))
		return json_scan_error(&rows->scan, "a row should be here", err);
	if (json_scan_take(&rows->scan, '}')) {
		buffer_put_text(&rows->reason, "the row is empty");
		return 0;
	}
	do {
		if (take_member(rows, err) != 0)
			return -1;
	} while (json_scan_take(&rows->scan, ','));
	return json_scan_take(&rows->scan, '}') ? 0 :
	    json_scan_error(&rows->scan, "a ',' or '}' should be here", err);
}

static int
next(void *arg, struct row *ret, struct error *err)
{
	struct json_rows *rows = arg;
	enum json_scan_type type;
	const char *raw;

	if (rows->given == rows->count)
		return 0;
	/* The '[' or the ',' before it. */
	if (!json_scan_take(&rows->scan, '['))
		json_scan_take(&rows->scan, ',');
	if (json_scan_peek(&rows->scan, &type, err) != 0)
		return -1;
	raw = rows->scan.p;
	memset(rows->values, 0, rows->table->column_count * sizeof(*rows->values));
	buffer_clear(&rows->texts);
	buffer_clear(&rows->reason);
	if (take_row(rows, err) != 0)
		return -1;
	/* Only now do the texts stay where they are. */
	buffer_text(&rows->texts);
	for (size_t i = 0; i < rows->table->column_count; i++)
		if (rows->values[i].type == ROW_TEXT)
			rows->values[i].data = (const char *)rows->texts.data + rows->starts[i];
	*ret = (struct row){
		.number = ++rows->given,
		.values = rows->values,
		.raw = raw,
		.raw_len = (size_t)(rows->scan.p - raw),
		.reason = rows->reason.len > 0 ? buffer_text(&rows->reason) : NULL,
	};
	return 1;
}

int
json_rows_new(const char *text, size_t len, struct json_rows **ret, struct error *err)
{
	struct json_rows *rows;
	size_t count;

	if (json_rows_check(text, len, &count, err) != 0)
		return -1;
	rows = MEM_NEW(struct json_rows);
	json_scan_init(&rows->scan, text, len);
	rows->count = count;
	*ret = rows;
	return 0;
}

void
json_rows_free(struct json_rows *rows)
{
	if (rows == NULL)
		return;
	free(rows->names);
	free(rows->columns);
	free(rows->values);
	free(rows->starts);
	buffer_done(&rows->texts);
	buffer_done(&rows->reason);
	free(rows);
}

struct row_source
json_rows_source(struct json_rows *rows)
{
	return (struct row_source){ .begin = begin, .next = next, .arg = rows };
}
