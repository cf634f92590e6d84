#include "agent/tables/describe.h"

#include <stdlib.h>
#include <string.h>

#include "agent/tables/table.h"
#include "shared/mem.h"

static json_t *
text_json(const struct mariadb_result *result, size_t i)
{
	const char *text = mariadb_get(result, i, NULL);
	json_t *json = text == NULL ? NULL : json_string(text);

	/* What is no UTF-8 cannot be told in JSON. */
	return json != NULL ? json : json_null();
}

static json_t *
number_json(const struct mariadb_result *result, size_t i)
{
	return mariadb_get(result, i, NULL) == NULL ? json_null() :
	    json_integer((json_int_t)mariadb_get_int(result, i));
}

static const char *
get(const struct mariadb_result *result, size_t i)
{
	const char *text = mariadb_get(result, i, NULL);

	return text == NULL ? "" : text;
}

#define TABLE_FIELDS \
	"SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, INDEX_LENGTH," \
	" CONCAT(REPLACE(CREATE_TIME, ' ', 'T'), 'Z'), TABLE_COMMENT, TABLE_COLLATION FROM information_schema.TABLES" \
	" WHERE TABLE_SCHEMA = ? AND TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED'," \
	" 'VIEW') AND LEFT(TABLE_NAME, 10) <> '" TABLE_SHADOW_PREFIX "'"

/* Of a row of TABLE_FIELDS. */
static json_t *
table_json(const struct mariadb_result *result)
{
	const char *type = get(result, 1);
	bool view = strcmp(type, "VIEW") == 0;

	return json_pack("{s:o, s:s, s:b, s:o, s:o, s:o, s:o}", "table", text_json(result, 0),
	    "kind", view ? "view" : strcmp(type, "SEQUENCE") == 0 ? "sequence" : "base",
	    "system_versioned", strcmp(type, "SYSTEM VERSIONED") == 0, "engine",
	    text_json(result, 2), "rows", number_json(result, 3), "bytes", number_json(result, 4),
	    "index_bytes", number_json(result, 5));
}

/* What a backup of it would say. */
static int
add_backup(struct mariadb *db, const char *database, json_t *json, struct error *err)
{
	const char *name = json_string_value(json_object_get(json, "table"));
	struct table *table = NULL;
	struct error why = ERROR_INIT;

	if (name != NULL && table_read(db, database, name, &table, &why) != 0) {
		if (mariadb_is_lost(&why)) {
			*err = why;
			return -1;
		}
		json_object_set_new(json, "backup", json_pack("{s:b, s:s}", "possible", 0, "reason",
		    why.message));
		return 0;
	}
	table_free(table);
	json_object_set_new(json, "backup", json_pack("{s:b}", "possible", 1));
	return 0;
}

int
describe_tables(struct mariadb *db, const char *database, const char *after, size_t limit,
    struct progress *progress, json_t **ret, struct error *err)
{
	const struct mariadb_param values[] = { mariadb_text(database), mariadb_text(after) };
	char *sql = mem_printf(TABLE_FIELDS " AND BINARY TABLE_NAME > BINARY ?"
	    " ORDER BY BINARY TABLE_NAME LIMIT %zu", limit);
	struct mariadb_result *result = NULL;
	json_t *all = json_array(), *one;
	size_t i;
	int rc;

	rc = mariadb_select(db, sql, values, ARRAY_LEN(values), &result, err);
	while (rc == 0 && (rc = mariadb_next(result, err)) == 1) {
		json_array_append_new(all, table_json(result));
		rc = 0;
	}
	mariadb_result_free(result);
	free(sql);
	json_array_foreach(all, i, one)
		if (rc == 0 && (rc = progress_check(progress, err)) == 0)
			rc = add_backup(db, database, one, err);
	if (rc != 0) {
		json_decref(all);
		return -1;
	}
	*ret = all;
	return 0;
}

/* ---- columns */

/* In which form it is carried, or why it is not. */
static void
add_carrier(const struct mariadb_result *result, bool is_view, json_t *json)
{
	struct table_column column = {
		.name = (char *)(uintptr_t)get(result, 0),
		.data_type = (char *)(uintptr_t)get(result, 1),
		.type = (char *)(uintptr_t)get(result, 2),
		.charset = (char *)(uintptr_t)mariadb_get(result, 3, NULL),
		.precision = (unsigned)mariadb_get_int(result, 5),
		.scale = (unsigned)mariadb_get_int(result, 6),
	};
	struct error why = ERROR_INIT;
	const char *reason = NULL;

	if (is_view)
		reason = "a view is kept as its statement";
	else if (json_is_true(json_object_get(json, "generated")))
		reason = "the server computes it";
	else if (table_column_carry(&column, &why) != 0)
		reason = why.message;
	json_object_set_new(json, "carried", reason != NULL ? json_null() :
	    json_string(carrier_word(column.carrier)));
	if (reason != NULL)
		json_object_set_new(json, "reason", json_string(reason));
}

static json_t *
column_json(const struct mariadb_result *result, bool is_view)
{
	const char *extra = get(result, 10);
	bool generated = strcmp(get(result, 11), "NEVER") != 0 || strstr(extra, "GENERATED") != NULL;
	json_t *json = json_pack("{s:o, s:o, s:b, s:o, s:s, s:b, s:b, s:b, s:o, s:o}", "name",
	    text_json(result, 0), "type", text_json(result, 2), "nullable",
	    strcmp(get(result, 7), "YES") == 0, "default", text_json(result, 8), "key",
	    get(result, 9), "auto_increment", strstr(extra, "auto_increment") != NULL,
	    "generated", generated, "invisible", strstr(extra, "INVISIBLE") != NULL, "charset",
	    text_json(result, 3), "collation", text_json(result, 4));

	if (json != NULL)
		add_carrier(result, is_view, json);
	return json;
}

static int
add_columns(struct mariadb *db, const struct mariadb_param *values, json_t *json,
    struct error *err)
{
	bool is_view = strcmp(json_string_value(json_object_get(json, "kind")), "view") == 0;
	struct mariadb_result *result = NULL;
	json_t *all = json_array();
	int rc;

	json_object_set_new(json, "columns", all);
	if (mariadb_select(db, "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME,"
	    " COLLATION_NAME, NUMERIC_PRECISION, NUMERIC_SCALE, IS_NULLABLE, COLUMN_DEFAULT,"
	    " COLUMN_KEY, EXTRA, IS_GENERATED FROM information_schema.COLUMNS"
	    " WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", values, 2,
	    &result, err) != 0)
		return -1;
	while ((rc = mariadb_next(result, err)) == 1)
		json_array_append_new(all, column_json(result, is_view));
	mariadb_result_free(result);
	return rc;
}

/* ---- foreign keys */

#define KEY_FIELDS \
	"SELECT k.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.COLUMN_NAME," \
	" k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME," \
	" r.UPDATE_RULE, r.DELETE_RULE FROM information_schema.KEY_COLUMN_USAGE k" \
	" JOIN information_schema.REFERENTIAL_CONSTRAINTS r" \
	" ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME" \
	" AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME WHERE "
#define KEY_ORDER \
	" ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION"

/* A row is one column of a key; those of one key follow each other. */
static void
add_key_column(json_t *all, const struct mariadb_result *result)
{
	json_t *last = json_array_get(all, json_array_size(all) - 1);

	if (json_array_size(all) == 0 ||
	    strcmp(json_string_value(json_object_get(last, "name")), get(result, 0)) != 0 ||
	    strcmp(json_string_value(json_object_get(last, "schema")), get(result, 1)) != 0 ||
	    strcmp(json_string_value(json_object_get(last, "table")), get(result, 2)) != 0) {
		last = json_pack("{s:s, s:s, s:s, s:[], s:{s:s, s:s, s:[]}, s:s, s:s}", "name",
		    get(result, 0), "schema", get(result, 1), "table", get(result, 2), "columns",
		    "references", "schema", get(result, 4), "table", get(result, 5), "columns",
		    "on_update", get(result, 7), "on_delete", get(result, 8));
		json_array_append_new(all, last);
	}
	json_array_append_new(json_object_get(last, "columns"), text_json(result, 3));
	json_array_append_new(json_object_get(json_object_get(last, "references"), "columns"),
	    text_json(result, 6));
}

static int
add_keys(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    const char *field, json_t *json, struct error *err)
{
	struct mariadb_result *result = NULL;
	json_t *all = json_array();
	int rc;

	json_object_set_new(json, field, all);
	if (mariadb_select(db, sql, values, 2, &result, err) != 0)
		return -1;
	while ((rc = mariadb_next(result, err)) == 1)
		add_key_column(all, result);
	mariadb_result_free(result);
	return rc;
}

/* ---- one table */

int
describe_table(struct mariadb *db, const char *database, const char *name, json_t **ret,
    struct error *err)
{
	const struct mariadb_param values[] = { mariadb_text(database), mariadb_text(name) };
	struct mariadb_result *result = NULL;
	json_t *json = NULL;
	int rc;

	if (mariadb_select(db, TABLE_FIELDS " AND TABLE_NAME = ?", values, ARRAY_LEN(values),
	    &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc == 1) {
		json = table_json(result);
		json_object_set_new(json, "created", text_json(result, 6));
		json_object_set_new(json, "comment", text_json(result, 7));
		json_object_set_new(json, "collation", text_json(result, 8));
	}
	mariadb_result_free(result);
	if (rc != 1)
		return rc;
	if (add_backup(db, database, json, err) != 0 || add_columns(db, values, json, err) != 0 ||
	    add_keys(db, KEY_FIELDS "k.TABLE_SCHEMA = ? AND k.TABLE_NAME = ?"
	    " AND k.REFERENCED_TABLE_NAME IS NOT NULL" KEY_ORDER, values, "foreign_keys", json,
	    err) != 0 || add_keys(db, KEY_FIELDS "k.REFERENCED_TABLE_SCHEMA = ?"
	    " AND k.REFERENCED_TABLE_NAME = ?" KEY_ORDER, values, "referred_by", json, err) != 0) {
		json_decref(json);
		return -1;
	}
	*ret = json;
	return 1;
}
