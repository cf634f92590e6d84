#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/tables/table.h"
#include "shared/mariadb.h"
#include "shared/mem.h"
#include "shared/text.h"

#define AVRO_NAME_MAX 200

const char *
carrier_word(enum carrier carrier)
{
	static const char *const words[] = {
#define _(name, word) word,
		CARRIERS(_)
#undef _
	};

	return words[carrier];
}

/* clang-format off */
static const struct {
	const char *data_type;
	enum carrier carrier, carrier_unsigned;
} types[] = {
	{ "tinyint",    CARRIER_INT,      CARRIER_INT },
	{ "smallint",   CARRIER_INT,      CARRIER_INT },
	{ "mediumint",  CARRIER_INT,      CARRIER_INT },
	{ "int",        CARRIER_INT,      CARRIER_LONG },
	{ "bigint",     CARRIER_LONG,     CARRIER_DECIMAL },
	{ "decimal",    CARRIER_DECIMAL,  CARRIER_DECIMAL },
	{ "float",      CARRIER_FLOAT,    CARRIER_FLOAT },
	{ "double",     CARRIER_DOUBLE,   CARRIER_DOUBLE },
	{ "year",       CARRIER_INT,      CARRIER_INT },
	{ "date",       CARRIER_DATE,     CARRIER_DATE },
	{ "time",       CARRIER_TIME,     CARRIER_TIME },
	{ "datetime",   CARRIER_DATETIME, CARRIER_DATETIME },
	{ "timestamp",  CARRIER_TIMESTAMP,CARRIER_TIMESTAMP },
	{ "char",       CARRIER_TEXT,     CARRIER_TEXT },
	{ "varchar",    CARRIER_TEXT,     CARRIER_TEXT },
	{ "tinytext",   CARRIER_TEXT,     CARRIER_TEXT },
	{ "text",       CARRIER_TEXT,     CARRIER_TEXT },
	{ "mediumtext", CARRIER_TEXT,     CARRIER_TEXT },
	{ "longtext",   CARRIER_TEXT,     CARRIER_TEXT },
	{ "enum",       CARRIER_TEXT,     CARRIER_TEXT },
	{ "set",        CARRIER_TEXT,     CARRIER_TEXT },
	{ "uuid",       CARRIER_PLAIN,    CARRIER_PLAIN },
	{ "inet4",      CARRIER_PLAIN,    CARRIER_PLAIN },
	{ "inet6",      CARRIER_PLAIN,    CARRIER_PLAIN },
	{ "bit",        CARRIER_BYTES,    CARRIER_BYTES },
	{ "binary",     CARRIER_BYTES,    CARRIER_BYTES },
	{ "varbinary",  CARRIER_BYTES,    CARRIER_BYTES },
	{ "tinyblob",   CARRIER_BYTES,    CARRIER_BYTES },
	{ "blob",       CARRIER_BYTES,    CARRIER_BYTES },
	{ "mediumblob", CARRIER_BYTES,    CARRIER_BYTES },
	{ "longblob",   CARRIER_BYTES,    CARRIER_BYTES },
	{ "geometry",           CARRIER_BYTES, CARRIER_BYTES },
	{ "point",              CARRIER_BYTES, CARRIER_BYTES },
	{ "linestring",         CARRIER_BYTES, CARRIER_BYTES },
	{ "polygon",            CARRIER_BYTES, CARRIER_BYTES },
	{ "multipoint",         CARRIER_BYTES, CARRIER_BYTES },
	{ "multilinestring",    CARRIER_BYTES, CARRIER_BYTES },
	{ "multipolygon",       CARRIER_BYTES, CARRIER_BYTES },
	{ "geometrycollection", CARRIER_BYTES, CARRIER_BYTES },
};
/* clang-format on */

/* Has the list of members of an ENUM an empty one? Members stand in quotes, quotes in them are
 * doubled, so two quotes after "(" or "," and before "," or ")" are an empty member. */
static bool
has_empty_member(const char *type)
{
	const char *p = strchr(type, '(');

	if (p == NULL)
		return false;
	p++;
	while (*p == '\'') {
		const char *first = ++p;

		while (*p != '\0' && (*p != '\'' || p[1] == '\''))
			p += *p == '\'' ? 2 : 1;
		if (*p == '\'' && p == first)
			return true;
		if (*p == '\0' || *++p != ',')
			return false;
		p++;
	}
	return false;
}

static bool
is_utf8_charset(const char *charset)
{
	return strcmp(charset, "utf8mb4") == 0 || strcmp(charset, "utf8mb3") == 0 ||
	    strcmp(charset, "utf8") == 0 || strcmp(charset, "ascii") == 0;
}

int
table_column_carry(struct table_column *column, struct error *err)
{
	bool is_unsigned = strstr(column->type, " unsigned") != NULL;
	size_t i = 0;

	while (i < ARRAY_LEN(types) && strcmp(types[i].data_type, column->data_type) != 0)
		i++;
	if (i == ARRAY_LEN(types)) {
		error_set(err, ERROR_UNSUPPORTED,
		    "column '%.100s' is of type %.100s, which cannot be carried exactly",
		    column->name, column->type);
		return error_hint(err, "back up the table without this column, by a view or a copy");
	}
	column->carrier = is_unsigned ? types[i].carrier_unsigned : types[i].carrier;
	column->is_year = strcmp(column->data_type, "year") == 0;
	if (strcmp(column->data_type, "bigint") == 0 && is_unsigned) {
		column->precision = 20;
		column->scale = 0;
	}
	column->is_fixed_point = (column->carrier == CARRIER_FLOAT ||
	    column->carrier == CARRIER_DOUBLE) && strchr(column->type, ',') != NULL;
	if (strcmp(column->data_type, "enum") == 0 && has_empty_member(column->type))
		column->carrier = CARRIER_NUMBER_OF;
	else if (column->carrier == CARRIER_TEXT && column->charset != NULL &&
	    strcmp(column->charset, "binary") == 0)
		column->carrier = CARRIER_BYTES;
	else if (column->carrier == CARRIER_TEXT && column->charset != NULL &&
	    !is_utf8_charset(column->charset))
		column->carrier = CARRIER_RECODED;
	return 0;
}

/* Letters, digits and underscores, not beginning with a digit: all that Avro allows. */
static char *
avro_name(const char *name)
{
	struct buffer out = BUFFER_INIT;

	if (!isalpha((unsigned char)name[0]) && name[0] != '_')
		buffer_put_u8(&out, '_');
	for (const char *p = name; *p != '\0' && out.len < AVRO_NAME_MAX; p++) {
		bool fits = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || *p == '_';

		/* One underscore for a character, whatever its number of bytes. */
		if (((unsigned char)*p & 0xc0) != 0x80)
			buffer_put_u8(&out, fits ? (uint8_t)*p : '_');
	}
	return buffer_take(&out);
}

static bool
is_taken(const struct table_column *columns, size_t count, const char *field)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(columns[i].field, field) == 0)
			return true;
	return false;
}

void
table_name_fields(struct table_column *columns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *plain = avro_name(columns[i].name), *field = mem_strdup(plain);

		for (unsigned n = 2; is_taken(columns, i, field); n++) {
			free(field);
			field = mem_printf("%s_%u", plain, n);
		}
		free(plain);
		columns[i].field = field;
	}
}

static json_t *
logical(const char *type, const char *logical_type)
{
	return json_pack("{s:s, s:s}", "type", type, "logicalType", logical_type);
}

/* Branches for the values of a column, the usual one first; null comes before them. */
static void
add_branches(const struct table_column *column, json_t *branches)
{
	const char *second = NULL;
	json_t *first = NULL;

	switch (column->carrier) {
	case CARRIER_INT:
	case CARRIER_NUMBER_OF:
		first = json_string("int");
		break;
	case CARRIER_LONG:
		first = json_string("long");
		break;
	case CARRIER_DECIMAL:
		first = json_pack("{s:s, s:s, s:i, s:i}", "type", "bytes", "logicalType",
		    "decimal", "precision", (int)column->precision, "scale",
		    (int)column->scale);
		break;
	case CARRIER_FLOAT:
		first = json_string("float");
		break;
	case CARRIER_DOUBLE:
		first = json_string("double");
		break;
	case CARRIER_DATE:
		first = logical("int", "date");
		second = "string";
		break;
	case CARRIER_TIME:
		first = logical("long", "time-micros");
		second = "string";
		break;
	case CARRIER_DATETIME:
		first = logical("long", "local-timestamp-micros");
		second = "string";
		break;
	case CARRIER_TIMESTAMP:
		first = logical("long", "timestamp-micros");
		second = "string";
		break;
	case CARRIER_TEXT:
	case CARRIER_RECODED:
		first = json_string("string");
		second = "bytes";
		break;
	case CARRIER_PLAIN:
		first = json_string("string");
		break;
	case CARRIER_BYTES:
	case CARRIER_COUNT:
		first = json_string("bytes");
		break;
	}
	json_array_append_new(branches, first);
	if (second != NULL)
		json_array_append_new(branches, json_string(second));
}

static json_t *
field_schema(const struct table_column *column)
{
	json_t *branches = json_array(), *type = branches, *field;

	if (column->nullable)
		json_array_append_new(branches, json_string("null"));
	add_branches(column, branches);
	if (json_array_size(branches) == 1) {
		type = json_incref(json_array_get(branches, 0));
		json_decref(branches);
	}
	field = json_pack("{s:s, s:o, s:s, s:s}", "name", column->field, "type", type,
	    "column", column->name, "sqlType", column->type);
	if (column->charset != NULL)
		json_object_set_new(field, "charset", json_string(column->charset));
	if (column->collation != NULL)
		json_object_set_new(field, "collation", json_string(column->collation));
	return field;
}

json_t *
table_schema(const struct table *table)
{
	json_t *fields = json_array(), *schema;
	char *name = avro_name(table->name);

	for (size_t i = 0; i < table->column_count; i++)
		json_array_append_new(fields, field_schema(&table->columns[i]));
	schema = json_pack("{s:s, s:s, s:s, s:o}", "type", "record", "name", name, "table",
	    table->name, "fields", fields);
	free(name);
	return schema;
}

/* Two of Unicode's character sets hold halves of surrogate pairs, which are no text in UTF-8. */
static void
put_no_surrogates(const struct table_column *column, struct buffer *sql)
{
	if (strcmp(column->charset, "ucs2") != 0 && strcmp(column->charset, "utf32") != 0)
		return;
	buffer_put_text(sql, " AND CAST(CONVERT(");
	mariadb_put_name(sql, column->name);
	/* ED, then A0 to BF: of bytes, so that nobody asks whether they are characters. */
	buffer_put_text(sql, " USING utf8mb4) AS BINARY) NOT REGEXP x'ED5BA02DBF5D'");
}

/*
 * The expressions that give a column's value.  Bytes come as they are stored: the session has no
 * character set for results.
 */
static unsigned
put_expressions(const struct table_column *column, struct buffer *sql)
{
	switch (column->carrier) {
	case CARRIER_NUMBER_OF:
		buffer_put_text(sql, "CAST(");
		mariadb_put_name(sql, column->name);
		buffer_put_text(sql, " AS UNSIGNED)");
		return 1;
	case CARRIER_RECODED:
		/* The bytes too, where the text alone would not give them back. */
		buffer_put_text(sql, "CONVERT(");
		mariadb_put_name(sql, column->name);
		buffer_put_text(sql, " USING utf8mb4),IF(CAST(CONVERT(CONVERT(");
		mariadb_put_name(sql, column->name);
		buffer_printf(sql, " USING utf8mb4) USING %s) AS BINARY)<=>CAST(", column->charset);
		mariadb_put_name(sql, column->name);
		buffer_put_text(sql, " AS BINARY)");
		put_no_surrogates(column, sql);
		buffer_put_text(sql, ",NULL,CAST(");
		mariadb_put_name(sql, column->name);
		buffer_put_text(sql, " AS BINARY))");
		return 2;
	default:
		break;
	}
	mariadb_put_name(sql, column->name);
	return 1;
}

void
table_select(struct table *table, struct buffer *sql)
{
	table->select_count = 0;
	buffer_put_text(sql, "SELECT ");
	for (size_t i = 0; i < table->column_count; i++) {
		if (i > 0)
			buffer_put_u8(sql, ',');
		table->columns[i].select_at = table->select_count;
		table->select_count += put_expressions(&table->columns[i], sql);
	}
	buffer_put_text(sql, " FROM ");
	mariadb_put_name(sql, table->database);
	buffer_put_u8(sql, '.');
	mariadb_put_name(sql, table->name);
	if (table->history)
		buffer_put_text(sql, " FOR SYSTEM_TIME ALL");
	if (table->key_count == 0)
		return;
	buffer_put_text(sql, " FORCE INDEX (");
	mariadb_put_name(sql, table->key_name);
	buffer_put_text(sql, ") ORDER BY ");
	for (size_t i = 0; i < table->key_count; i++) {
		if (i > 0)
			buffer_put_u8(sql, ',');
		mariadb_put_name(sql, table->key[i]);
	}
	/* Of one key the oldest first: the end of a row's time, the last column, is in every key. */
	if (table->history) {
		buffer_put_u8(sql, ',');
		mariadb_put_name(sql, table->columns[table->column_count - 1].name);
	}
}
