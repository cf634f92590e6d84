/*
 * The statement that inserts rows, and what the server says of them.
 */
#include <string.h>

#include "agent/tables/row_insert_internal.h"

static bool
is_key(const struct table *table, const struct table_column *column)
{
	return table->key_count > 0 && strcmp(table->key[0], column->name) == 0;
}

/*
 * The column whose new value counts duplicates besides: one whose value no expression changes.  A
 * number or the key, if there is one.
 */
static const struct table_column *
counting_column(const struct row_insert *insert, bool must_be_given)
{
	const struct row_insert_options *options = &insert->options;
	const struct table_column *any = NULL, *number = NULL;

	for (size_t i = 0; i < options->rule_count; i++) {
		const struct row_rule *rule = &options->rules[i];

		if (must_be_given && !insert->given[i])
			continue;
		if (is_key(options->table, rule->column))
			return rule->column;
		if (any == NULL)
			any = rule->column;
		if (number == NULL && rule->kind == ROW_KIND_INTEGER)
			number = rule->column;
	}
	return number != NULL ? number : any;
}

/* The assignment of this column; what: its value. */
static void
put_counting(struct buffer *sql, const struct table_column *column, bool is_new)
{
	mariadb_put_name(sql, column->name);
	buffer_put_text(sql, " = IF((" ROW_INSERT_COUNTER " := " ROW_INSERT_COUNTER
	    " + 1) IS NULL, NULL, ");
	if (is_new)
		buffer_put_text(sql, "VALUES(");
	mariadb_put_name(sql, column->name);
	buffer_put_text(sql, is_new ? "))" : ")");
}

static void
put_update(const struct row_insert *insert, struct buffer *sql)
{
	bool update = insert->mode == ROW_DUPLICATE_UPDATE;
	const struct table_column *counting = counting_column(insert, update);

	buffer_put_text(sql, " ON DUPLICATE KEY UPDATE ");
	put_counting(sql, counting, update);
	for (size_t i = 0; update && i < insert->options.rule_count; i++) {
		const struct table_column *column = insert->options.rules[i].column;

		if (!insert->given[i] || column == counting)
			continue;
		buffer_put_text(sql, ", ");
		mariadb_put_name(sql, column->name);
		buffer_put_text(sql, " = VALUES(");
		mariadb_put_name(sql, column->name);
		buffer_put_u8(sql, ')');
	}
}

void
row_insert_sql(const struct row_insert *insert, struct buffer *sql)
{
	const struct row_insert_options *options = &insert->options;
	const char *comma = "";

	buffer_put_text(sql, "INSERT INTO ");
	mariadb_put_name(sql, options->table->database);
	buffer_put_u8(sql, '.');
	mariadb_put_name(sql, options->table->name);
	buffer_put_text(sql, " (");
	for (size_t i = 0; i < options->rule_count; i++) {
		if (!insert->given[i])
			continue;
		buffer_put_text(sql, comma);
		mariadb_put_name(sql, options->rules[i].column->name);
		comma = ",";
	}
	buffer_put_text(sql, ") VALUES (");
	comma = "";
	for (size_t i = 0; i < options->rule_count; i++) {
		if (!insert->given[i])
			continue;
		buffer_put_text(sql, comma);
		buffer_put_u8(sql, '?');
		comma = ",";
	}
	buffer_put_u8(sql, ')');
	if (insert->mode != ROW_DUPLICATE_REJECT)
		put_update(insert, sql);
}

/* Whether the text goes on with this name in these quotes. */
static bool
begins_with_name(const char *text, char quote, const char *name)
{
	size_t len = strlen(name);

	return text[0] == quote && strncmp(text + 1, name, len) == 0 && text[1 + len] == quote;
}

const char *
row_insert_column(const struct row_insert *insert, const char *text)
{
	/* "Data too long for column 'name' at row 3", "... for column `db`.`table`.`name` ...",
	 * "... FOREIGN KEY (`name`) REFERENCES ...". */
	const char *column = strstr(text, "olumn "), *key = strstr(text, "FOREIGN KEY (");

	for (size_t i = 0; i < insert->options.rule_count; i++) {
		const char *name = insert->options.rules[i].column->name;
		const char *at = column != NULL ? column + 6 : NULL;

		if (key != NULL && begins_with_name(key + 13, '`', name))
			return name;
		if (at != NULL && begins_with_name(at, '\'', name))
			return name;
		if (at == NULL || *at != '`')
			continue;
		at = strstr(at, "`.`");
		at = at == NULL ? NULL : strstr(at + 2, "`.`");
		if (at != NULL && begins_with_name(at + 2, '`', name))
			return name;
	}
	return NULL;
}
