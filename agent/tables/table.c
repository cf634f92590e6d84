#include "agent/tables/table.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mariadb.h"
#include "shared/mem.h"
#include "shared/text.h"

/* As in MariaDB: "Too many columns". */
#define COLUMNS_MAX 4096

static char *
get_text(const struct mariadb_result *result, size_t i)
{
	const char *text = mariadb_get(result, i, NULL);

	return text == NULL ? NULL : mem_strdup(text);
}

static bool
is_word(const struct mariadb_result *result, size_t i, const char *word)
{
	const char *text = mariadb_get(result, i, NULL);

	return text != NULL && strcmp(text, word) == 0;
}

void
table_triggers_free(struct table_trigger *triggers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(triggers[i].name);
		free(triggers[i].timing);
		free(triggers[i].event);
		free(triggers[i].statement);
		free(triggers[i].definer);
		free(triggers[i].sql_mode);
		free(triggers[i].charset);
		free(triggers[i].collation);
	}
	free(triggers);
}

static void
column_done(struct table_column *column)
{
	free(column->name);
	free(column->field);
	free(column->type);
	free(column->data_type);
	free(column->charset);
	free(column->collation);
}

void
table_free(struct table *table)
{
	if (table == NULL)
		return;
	for (size_t i = 0; i < table->column_count; i++)
		column_done(&table->columns[i]);
	free(table->columns);
	for (size_t i = 0; i < table->key_count; i++)
		free(table->key[i]);
	free(table->key);
	free(table->key_name);
	table_triggers_free(table->triggers, table->trigger_count);
	free(table->database);
	free(table->name);
	free(table->create);
	free(table->created);
	free(table);
}

/* Run one query about the table, whose two values are its database and its name. */
static int
ask(struct mariadb *db, const struct table *table, const char *sql,
    struct mariadb_result **ret, struct error *err)
{
	const struct mariadb_param values[] = { mariadb_text(table->database),
		mariadb_text(table->name) };

	return mariadb_select(db, sql, values, ARRAY_LEN(values), ret, err);
}

static int
read_kind(struct mariadb *db, struct table *table, struct error *err)
{
	struct mariadb_result *result = NULL;
	const char *kind;
	int rc;

	if (ask(db, table,
	    "SELECT t.TABLE_TYPE, e.TRANSACTIONS, t.CREATE_TIME, t.TABLE_ROWS"
	    " FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e"
	    " ON e.ENGINE = t.ENGINE WHERE t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ?",
	    &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc == 0) {
		error_set(err, ERROR_NOT_FOUND, "there is no table '%.200s' in database '%.200s'",
		    table->name, table->database);
		error_hint(err, "a table that the configured user may not read counts as absent");
		rc = -1;
	} else if (rc == 1) {
		kind = mariadb_get(result, 0, NULL);
		table->versioned = kind != NULL && strcmp(kind, "SYSTEM VERSIONED") == 0;
		table->kind = kind != NULL && strcmp(kind, "VIEW") == 0 ? TABLE_VIEW :
		    kind != NULL && strcmp(kind, "SEQUENCE") == 0 ? TABLE_SEQUENCE : TABLE_BASE;
		table->transactional = is_word(result, 1, "YES");
		table->created = get_text(result, 2);
		table->rows_guess = (uint64_t)mariadb_get_int(result, 3);
		rc = 0;
	}
	mariadb_result_free(result);
	return rc;
}

static int
add_column(struct table *table, const struct mariadb_result *result, struct error *err)
{
	struct table_column *column;

	table->columns = mem_realloc(table->columns, table->column_count + 1,
	    sizeof(*table->columns));
	column = &table->columns[table->column_count];
	memset(column, 0, sizeof(*column));
	/* Counted at once, so that it is freed whatever comes. */
	table->column_count++;
	column->name = get_text(result, 0);
	column->data_type = get_text(result, 1);
	column->type = get_text(result, 2);
	column->charset = get_text(result, 3);
	column->collation = get_text(result, 4);
	column->nullable = is_word(result, 5, "YES");
	column->precision = (unsigned)mariadb_get_int(result, 6);
	column->scale = (unsigned)mariadb_get_int(result, 7);
	column->is_auto_increment = mariadb_get_int(result, 8) != 0;
	if (column->name == NULL || column->data_type == NULL || column->type == NULL)
		return error_set(err, ERROR_DATABASE, "the server describes a column of '%.200s' "
		    "without name or type", table->name);
	return table_column_carry(column, err);
}

/* Generated columns, those of the row's period included, are computed and not carried. */
static int
read_columns(struct mariadb *db, struct table *table, struct error *err)
{
	struct mariadb_result *result = NULL;
	int rc;

	if (ask(db, table,
	    "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME,"
	    " IS_NULLABLE, NUMERIC_PRECISION, NUMERIC_SCALE, EXTRA LIKE '%auto_increment%'"
	    " FROM information_schema.COLUMNS"
	    " WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND IS_GENERATED = 'NEVER'"
	    " AND EXTRA NOT LIKE '%GENERATED%' ORDER BY ORDINAL_POSITION", &result, err) != 0)
		return -1;
	while ((rc = mariadb_next(result, err)) == 1) {
		if (table->column_count >= COLUMNS_MAX)
			rc = error_set(err, ERROR_TOO_LARGE, "table '%.200s' has too many columns",
			    table->name);
		else
			rc = add_column(table, result, err);
		if (rc != 0)
			break;
	}
	mariadb_result_free(result);
	if (rc != 0)
		return error_prefix(err, "table '%.100s': ", table->name);
	if (table->column_count == 0)
		return error_set(err, ERROR_UNSUPPORTED,
		    "table '%.200s' has no column that is not generated, or none that may be read",
		    table->name);
	table_name_fields(table->columns, table->column_count);
	return 0;
}

/* Columns of the user's own, or those that the server has for a table that names none. */
static int
add_period(struct mariadb *db, struct table *table, const char *expression, const char *otherwise,
    bool *ret_is_time, struct error *err)
{
	const struct mariadb_param values[] = { mariadb_text(table->database),
		mariadb_text(table->name), mariadb_text(expression) };
	struct table_column *column;
	struct mariadb_result *result = NULL;
	int rc;

	table->columns = mem_realloc(table->columns, table->column_count + 1,
	    sizeof(*table->columns));
	column = &table->columns[table->column_count++];
	memset(column, 0, sizeof(*column));
	if (mariadb_select(db, "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE"
	    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"
	    " AND GENERATION_EXPRESSION = ?", values, ARRAY_LEN(values), &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc == 1) {
		column->name = get_text(result, 0);
		column->data_type = get_text(result, 1);
		column->type = get_text(result, 2);
	} else if (rc == 0) {
		column->name = mem_strdup(otherwise);
		column->data_type = mem_strdup("timestamp");
		column->type = mem_strdup("timestamp(6)");
	}
	mariadb_result_free(result);
	if (rc < 0)
		return -1;
	*ret_is_time = strcmp(column->data_type, "timestamp") == 0;
	return table_column_carry(column, err);
}

int
table_read_history(struct mariadb *db, struct table *table, struct error *err)
{
	bool from = false, to = false;

	if (!table->versioned || table->history)
		return 0;
	if (add_period(db, table, "ROW START", "row_start", &from, err) != 0 ||
	    add_period(db, table, "ROW END", "row_end", &to, err) != 0)
		return -1;
	table->history = from && to;
	for (size_t i = 0; !table->history && i < 2; i++)
		column_done(&table->columns[--table->column_count]);
	for (size_t i = 0; i < table->column_count; i++) {
		free(table->columns[i].field);
		table->columns[i].field = NULL;
	}
	table_name_fields(table->columns, table->column_count);
	return 0;
}

static struct table_column *
find_column(struct table *table, const char *name)
{
	for (size_t i = 0; i < table->column_count; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return &table->columns[i];
	return NULL;
}

static void
drop_key(struct table *table)
{
	for (size_t i = 0; i < table->key_count; i++) {
		struct table_column *column = find_column(table, table->key[i]);

		if (column != NULL)
			column->in_key = false;
		free(table->key[i]);
	}
	free(table->key);
	free(table->key_name);
	table->key = NULL;
	table->key_name = NULL;
	table->key_count = 0;
}

/* The primary key, else the first unique one of whole columns that cannot be NULL. */
static int
read_key(struct mariadb *db, struct table *table, struct error *err)
{
	struct mariadb_result *result = NULL;
	bool usable = false, decided = false;
	int rc;

	if (ask(db, table,
	    "SELECT INDEX_NAME, COLUMN_NAME, NULLABLE, SUB_PART, INDEX_TYPE"
	    " FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"
	    " AND NON_UNIQUE = 0 ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
	    &result, err) != 0)
		return -1;
	while ((rc = mariadb_next(result, err)) == 1 && !decided) {
		const char *index = mariadb_get(result, 0, NULL);
		const char *name = mariadb_get(result, 1, NULL);
		struct table_column *column = name == NULL ? NULL : find_column(table, name);

		if (table->key_name == NULL || strcmp(table->key_name, index) != 0) {
			if (usable) {
				decided = true;
				continue;
			}
			drop_key(table);
			table->key_name = mem_strdup(index);
			usable = true;
		}
		/* One that is hashed, or covers only the beginning of a column, gives no order. */
		if (column == NULL || is_word(result, 2, "YES") ||
		    mariadb_get(result, 3, NULL) != NULL || !is_word(result, 4, "BTREE")) {
			usable = false;
			continue;
		}
		column->in_key = true;
		table->key = mem_realloc(table->key, table->key_count + 1, sizeof(*table->key));
		table->key[table->key_count++] = mem_strdup(name);
	}
	mariadb_result_free(result);
	if (!usable)
		drop_key(table);
	return rc < 0 ? -1 : 0;
}

static int
read_triggers(struct mariadb *db, struct table *table, struct error *err)
{
	struct mariadb_result *result = NULL;
	int rc;

	if (ask(db, table,
	    "SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT, DEFINER,"
	    " SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION"
	    " FROM information_schema.TRIGGERS"
	    " WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ?"
	    " ORDER BY ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER", &result, err) != 0)
		return -1;
	while ((rc = mariadb_next(result, err)) == 1) {
		struct table_trigger *trigger;

		table->triggers = mem_realloc(table->triggers, table->trigger_count + 1,
		    sizeof(*table->triggers));
		trigger = &table->triggers[table->trigger_count++];
		trigger->name = get_text(result, 0);
		trigger->timing = get_text(result, 1);
		trigger->event = get_text(result, 2);
		trigger->statement = get_text(result, 3);
		trigger->definer = get_text(result, 4);
		trigger->sql_mode = get_text(result, 5);
		trigger->charset = get_text(result, 6);
		trigger->collation = get_text(result, 7);
	}
	mariadb_result_free(result);
	return rc;
}

static int
read_create(struct mariadb *db, struct table *table, struct error *err)
{
	struct mariadb_result *result = NULL;
	struct buffer sql = BUFFER_INIT;
	int rc;

	buffer_put_text(&sql, table->kind == TABLE_VIEW ? "SHOW CREATE VIEW " :
	    "SHOW CREATE TABLE ");
	mariadb_put_name(&sql, table->database);
	buffer_put_u8(&sql, '.');
	mariadb_put_name(&sql, table->name);
	rc = mariadb_select(db, buffer_text(&sql), NULL, 0, &result, err);
	buffer_done(&sql);
	if (rc == 0)
		rc = mariadb_next(result, err);
	if (rc == 1) {
		table->create = get_text(result, 1);
		rc = 0;
	} else if (rc == 0) {
		rc = error_set(err, ERROR_NOT_FOUND, "table '%.200s' is gone", table->name);
	}
	mariadb_result_free(result);
	if (rc == 0 && table->create == NULL)
		rc = error_set(err, ERROR_DATABASE, "the server does not tell how '%.200s' is made",
		    table->name);
	return rc;
}

int
table_read(struct mariadb *db, const char *database, const char *name, struct table **ret,
    struct error *err)
{
	struct table *table;

	if (mariadb_check_name("table", name, strlen(name), err) != 0)
		return -1;
	table = MEM_NEW(struct table);
	table->database = mem_strdup(database);
	table->name = mem_strdup(name);
	if (read_kind(db, table, err) != 0 || read_create(db, table, err) != 0)
		goto fail;
	if (table->kind != TABLE_VIEW && (read_columns(db, table, err) != 0 ||
	    read_key(db, table, err) != 0 || read_triggers(db, table, err) != 0))
		goto fail;
	*ret = table;
	return 0;
fail:
	table_free(table);
	return -1;
}

int
tables_list(struct mariadb *db, const char *database, char ***ret, size_t *ret_count,
    struct error *err)
{
	const struct mariadb_param values[] = { mariadb_text(database) };
	struct mariadb_result *result = NULL;
	char **names = NULL;
	size_t count = 0, cap = 0;
	int rc;

	if (mariadb_select(db, "SELECT TABLE_NAME FROM information_schema.TABLES"
	    " WHERE TABLE_SCHEMA = ? AND TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE',"
	    " 'SYSTEM VERSIONED', 'VIEW') AND LEFT(TABLE_NAME, 10) <> '" TABLE_SHADOW_PREFIX "'"
	    " ORDER BY BINARY TABLE_NAME", values,
	    ARRAY_LEN(values), &result, err) != 0)
		return -1;
	while ((rc = mariadb_next(result, err)) == 1) {
		MEM_GROW(names, count, cap);
		names[count++] = get_text(result, 0);
	}
	mariadb_result_free(result);
	if (rc != 0) {
		for (size_t i = 0; i < count; i++)
			free(names[i]);
		free(names);
		return -1;
	}
	*ret = names;
	*ret_count = count;
	return 0;
}

/* ---- triggers as JSON */

static const char *const trigger_fields[] = { "name", "timing", "event", "statement", "definer",
	"sql_mode", "charset", "collation" };

static char **
trigger_text(struct table_trigger *trigger, size_t i)
{
	char **const texts[] = { &trigger->name, &trigger->timing, &trigger->event,
		&trigger->statement, &trigger->definer, &trigger->sql_mode, &trigger->charset,
		&trigger->collation };

	return texts[i];
}

json_t *
table_triggers_json(const struct table *table)
{
	json_t *all = json_array();

	for (size_t t = 0; t < table->trigger_count; t++) {
		json_t *one = json_object();

		for (size_t i = 0; i < ARRAY_LEN(trigger_fields); i++) {
			const char *text = *trigger_text(&table->triggers[t], i);

			json_object_set_new(one, trigger_fields[i],
			    text == NULL ? json_string("") : json_string(text));
		}
		json_array_append_new(all, one);
	}
	return all;
}

int
table_triggers_parse(const json_t *json, struct table_trigger **ret, size_t *ret_count,
    struct error *err)
{
	size_t count = json_array_size(json);
	struct table_trigger *triggers = mem_calloc(count, sizeof(*triggers));

	for (size_t t = 0; t < count; t++)
		for (size_t i = 0; i < ARRAY_LEN(trigger_fields); i++) {
			const char *text = json_string_value(
			    json_object_get(json_array_get(json, t), trigger_fields[i]));

			if (text == NULL) {
				table_triggers_free(triggers, count);
				return error_set(err, ERROR_CORRUPT,
				    "a trigger in the file has no %s", trigger_fields[i]);
			}
			*trigger_text(&triggers[t], i) = mem_strdup(text);
		}
	*ret = triggers;
	*ret_count = count;
	return 0;
}
