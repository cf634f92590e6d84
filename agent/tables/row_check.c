#include "agent/tables/row_check.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/tables/json_scan.h"
#include "agent/tables/row_check_internal.h"
#include "shared/buffer.h"
#include "shared/mariadb.h"
#include "shared/mem.h"
#include "shared/text.h"

/* So much of a value is shown in a reason. */
#define SHOWN_MAX 60

/* A number stands for itself, everything else in quotes. */
static bool
is_number(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		bool sign = *p == '-' || *p == '+';

		if (sign ? p > text && p[-1] != 'e' && p[-1] != 'E' :
		    strchr("0123456789.eE", *p) == NULL)
			return false;
	}
	return text[0] != '\0' && strpbrk(text, "0123456789") != NULL;
}

int
row_refuse(const struct row_rule *rule, const char *data, size_t len, struct error *err,
    const char *what, ...)
{
	char *shown = text_printable(data, len < SHOWN_MAX ? len : SHOWN_MAX);
	char rest[400];
	bool plain = is_number(shown);
	va_list ap;

	va_start(ap, what);
	vsnprintf(rest, sizeof(rest), what, ap);
	va_end(ap);
	error_set(err, ERROR_BAD_REQUEST, "'%.100s': %s%.100s%s%s %s", rule->column->name,
	    plain ? "" : "'", shown, len > SHOWN_MAX ? "..." : "", plain ? "" : "'", rest);
	free(shown);
	return -1;
}

/* ---- what a column takes */

/* clang-format off */
static const struct {
	const char *data_type;
	enum row_kind kind;
	enum row_bind bind;
	int64_t min;       /* of integers */
	uint64_t max, max_unsigned;
	uint64_t length;   /* in bytes; 0: as the type says */
} types[] = {
	{ "tinyint",    ROW_KIND_INTEGER, ROW_BIND_INT, INT8_MIN, INT8_MAX, UINT8_MAX, 0 },
	{ "smallint",   ROW_KIND_INTEGER, ROW_BIND_INT, INT16_MIN, INT16_MAX, UINT16_MAX, 0 },
	{ "mediumint",  ROW_KIND_INTEGER, ROW_BIND_INT, -8388608, 8388607, 16777215, 0 },
	{ "int",        ROW_KIND_INTEGER, ROW_BIND_INT, INT32_MIN, INT32_MAX, UINT32_MAX, 0 },
	{ "bigint",     ROW_KIND_INTEGER, ROW_BIND_INT, INT64_MIN, INT64_MAX, UINT64_MAX, 0 },
	{ "bit",        ROW_KIND_INTEGER, ROW_BIND_UINT, 0, UINT64_MAX, UINT64_MAX, 0 },
	{ "year",       ROW_KIND_YEAR,    ROW_BIND_INT, 1901, 2155, 2155, 0 },
	{ "decimal",    ROW_KIND_DECIMAL, ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "float",      ROW_KIND_FLOAT,   ROW_BIND_DOUBLE, 0, 0, 0, 0 },
	{ "double",     ROW_KIND_DOUBLE,  ROW_BIND_DOUBLE, 0, 0, 0, 0 },
	{ "date",       ROW_KIND_DATE,      ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "time",       ROW_KIND_TIME,      ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "datetime",   ROW_KIND_DATETIME,  ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "timestamp",  ROW_KIND_TIMESTAMP, ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "char",       ROW_KIND_CHARACTERS, ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "varchar",    ROW_KIND_CHARACTERS, ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "tinytext",   ROW_KIND_CHARACTERS, ROW_BIND_TEXT, 0, 0, 0, UINT8_MAX },
	{ "text",       ROW_KIND_CHARACTERS, ROW_BIND_TEXT, 0, 0, 0, UINT16_MAX },
	{ "mediumtext", ROW_KIND_CHARACTERS, ROW_BIND_TEXT, 0, 0, 0, 16777215 },
	{ "longtext",   ROW_KIND_CHARACTERS, ROW_BIND_TEXT, 0, 0, 0, UINT32_MAX },
	{ "binary",     ROW_KIND_BYTES,   ROW_BIND_BYTES, 0, 0, 0, 0 },
	{ "varbinary",  ROW_KIND_BYTES,   ROW_BIND_BYTES, 0, 0, 0, 0 },
	{ "tinyblob",   ROW_KIND_BYTES,   ROW_BIND_BYTES, 0, 0, 0, UINT8_MAX },
	{ "blob",       ROW_KIND_BYTES,   ROW_BIND_BYTES, 0, 0, 0, UINT16_MAX },
	{ "mediumblob", ROW_KIND_BYTES,   ROW_BIND_BYTES, 0, 0, 0, 16777215 },
	{ "longblob",   ROW_KIND_BYTES,   ROW_BIND_BYTES, 0, 0, 0, UINT32_MAX },
	{ "enum",       ROW_KIND_ENUM,    ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "set",        ROW_KIND_SET,     ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "uuid",       ROW_KIND_UUID,    ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "inet4",      ROW_KIND_INET4,   ROW_BIND_TEXT, 0, 0, 0, 0 },
	{ "inet6",      ROW_KIND_INET6,   ROW_BIND_TEXT, 0, 0, 0, 0 },
};

static const struct {
	const char *name;
	enum row_charset charset;
	bool one_byte, is_utf8;
} charsets[] = {
	{ "utf8mb4", ROW_CHARSET_ALL,    false, true },
	{ "utf16",   ROW_CHARSET_ALL,    false, false },
	{ "utf16le", ROW_CHARSET_ALL,    false, false },
	{ "utf32",   ROW_CHARSET_ALL,    false, false },
	{ "utf8mb3", ROW_CHARSET_BASIC,  false, true },
	{ "utf8",    ROW_CHARSET_BASIC,  false, true },
	{ "ucs2",    ROW_CHARSET_BASIC,  false, false },
	{ "ascii",   ROW_CHARSET_ASCII,  true,  false },
	{ "latin1",  ROW_CHARSET_LATIN1, true,  false },
};
/* clang-format on */

/* The first and the second number in parentheses, as in "decimal(10,2)"; 0 if there is none. */
static void
numbers_of(const char *type, unsigned long *first, unsigned long *second)
{
	const char *p = strchr(type, '(');
	char *end;

	*first = *second = 0;
	if (p == NULL)
		return;
	*first = strtoul(p + 1, &end, 10);
	if (*end == ',')
		*second = strtoul(end + 1, NULL, 10);
}

static void
add_member(struct row_rule *rule, struct buffer *text)
{
	struct row_member *member;

	rule->members = mem_realloc(rule->members, rule->member_count + 1, sizeof(*rule->members));
	member = &rule->members[rule->member_count++];
	member->len = text->len;
	for (size_t i = 0; i < text->len; i++)
		rule->members_ascii = rule->members_ascii && text->data[i] < 0x80;
	member->text = buffer_take(text);
}

/* "enum('a','it''s')": quotes are doubled, and some characters stand behind a backslash. */
static void
read_members(struct row_rule *rule, const char *type)
{
	struct buffer text = BUFFER_INIT;
	const char *p = strchr(type, '(');

	rule->members_ascii = true;
	while (p != NULL && p[1] == '\'') {
		for (p += 2; *p != '\0' && (*p != '\'' || p[1] == '\''); p++) {
			if (*p == '\'') {
				p++;
			} else if (*p == '\\' && p[1] != '\0') {
				p++;
				buffer_put_u8(&text, *p == '0' ? '\0' : *p == 'n' ? '\n' :
				    *p == 'r' ? '\r' : (uint8_t)*p);
				continue;
			}
			buffer_put_u8(&text, (uint8_t)*p);
		}
		add_member(rule, &text);
		if (*p == '\0' || p[1] != ',')
			break;
		p++;
	}
	buffer_done(&text);
}

/* JSON is an alias of LONGTEXT with this constraint. */
static bool
is_json(const struct table *table, const struct table_column *column)
{
	struct buffer text = BUFFER_INIT;
	bool found;

	if (strcmp(column->data_type, "longtext") != 0 || table->create == NULL)
		return false;
	buffer_put_text(&text, "json_valid(");
	mariadb_put_name(&text, column->name);
	buffer_put_text(&text, ")");
	found = strstr(table->create, buffer_text(&text)) != NULL;
	buffer_done(&text);
	return found;
}

static void
set_charset(struct row_rule *rule)
{
	const char *name = rule->column->charset;

	rule->charset = ROW_CHARSET_OTHER;
	for (size_t i = 0; name != NULL && i < ARRAY_LEN(charsets); i++) {
		if (strcmp(charsets[i].name, name) != 0)
			continue;
		rule->charset = charsets[i].charset;
		rule->one_byte = charsets[i].one_byte;
		rule->is_utf8 = charsets[i].is_utf8;
	}
}

/* What the numbers in a type's parentheses mean for it. */
static void
set_bounds(struct row_rule *rule)
{
	const char *type = rule->column->type;
	unsigned long first, second;

	numbers_of(type, &first, &second);
	switch (rule->kind) {
	case ROW_KIND_DECIMAL:
		rule->digits = (unsigned)first;
		rule->scale = (unsigned)second;
		break;
	case ROW_KIND_FLOAT:
	case ROW_KIND_DOUBLE:
		if (!rule->column->is_fixed_point || first > 255 || second > first)
			break;
		rule->digits = (unsigned)first;
		rule->scale = (unsigned)second;
		/* Its digits are counted; more than a decimal can have are no help to anybody. */
		if (first <= 65) {
			rule->kind = ROW_KIND_DECIMAL;
			rule->bind = ROW_BIND_TEXT;
		}
		break;
	case ROW_KIND_CHARACTERS:
	case ROW_KIND_BYTES:
		rule->in_bytes = rule->length != 0 || rule->kind == ROW_KIND_BYTES;
		if (rule->length == 0)
			rule->length = first;
		break;
	case ROW_KIND_INTEGER:
		/* BIT(n) */
		if (rule->bind == ROW_BIND_UINT && first < 64 && strncmp(type, "bit", 3) == 0)
			rule->max = (UINT64_C(1) << (first == 0 ? 1 : first)) - 1;
		rule->is_bool = strncmp(type, "tinyint(1)", 10) == 0 || rule->max == 1;
		break;
	default:
		rule->fraction = (unsigned)first;
	}
}

void
row_rule_init(struct row_rule *rule, const struct table *table,
    const struct table_column *column, bool required, unsigned long server_version)
{
	memset(rule, 0, sizeof(*rule));
	rule->column = column;
	rule->kind = ROW_KIND_OTHER;
	rule->bind = ROW_BIND_TEXT;
	rule->required = required;
	rule->may_be_null = column->nullable || column->is_auto_increment;
	rule->is_unsigned = strstr(column->type, " unsigned") != NULL;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(types[i].data_type, column->data_type) != 0)
			continue;
		rule->kind = types[i].kind;
		rule->bind = types[i].bind;
		rule->min = rule->is_unsigned ? 0 : types[i].min;
		rule->max = rule->is_unsigned ? types[i].max_unsigned : types[i].max;
		rule->length = types[i].length;
	}
	if (rule->kind == ROW_KIND_INTEGER && rule->is_unsigned)
		rule->bind = ROW_BIND_UINT;
	/* From 11.5 on its seconds have no sign. */
	rule->last_second = server_version >= 110500 ? UINT32_MAX : INT32_MAX;
	set_charset(rule);
	set_bounds(rule);
	if (rule->kind == ROW_KIND_ENUM || rule->kind == ROW_KIND_SET)
		read_members(rule, column->type);
	if (is_json(table, column))
		rule->kind = ROW_KIND_JSON;
	/* It may fill any column. */
	for (size_t i = 0; i < table->trigger_count; i++)
		if (strcmp(table->triggers[i].timing, "BEFORE") == 0 &&
		    strcmp(table->triggers[i].event, "INSERT") == 0) {
			rule->may_be_null = true;
			rule->required = false;
		}
}

void
row_rule_done(struct row_rule *rule)
{
	for (size_t i = 0; i < rule->member_count; i++)
		free(rule->members[i].text);
	free(rule->members);
	memset(rule, 0, sizeof(*rule));
}

/* ---- one value */

static bool
is_uuid(const char *text, size_t len)
{
	size_t digits = 0;

	for (size_t i = 0; i < len; i++) {
		if (hex_value(text[i]) >= 0)
			digits++;
		else if (text[i] != '-' || len != 36 || (i != 8 && i != 13 && i != 18 && i != 23))
			return false;
	}
	return digits == 32 && (len == 32 || len == 36);
}

static bool
is_address(int family, const char *text, size_t len)
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(family, copy, &address) == 1;
}

static int
check_plain(const struct row_rule *rule, const char *text, size_t len, struct error *err)
{
	if (rule->kind == ROW_KIND_UUID)
		return is_uuid(text, len) ? 0 : row_refuse(rule, text, len, err, "is no UUID");
	if (is_address(rule->kind == ROW_KIND_INET4 ? AF_INET : AF_INET6, text, len))
		return 0;
	return row_refuse(rule, text, len, err, "is no address of %s",
	    rule->kind == ROW_KIND_INET4 ? "IPv4" : "IPv6");
}

static int
check_text(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err)
{
	const char *all = text;
	size_t all_len = len;

	ret->data = text;
	ret->len = len;
	if (rule->kind == ROW_KIND_CHARACTERS || rule->kind == ROW_KIND_BYTES)
		return row_check_characters(rule, text, len, err);
	if (rule->kind == ROW_KIND_ENUM || rule->kind == ROW_KIND_SET)
		return row_check_member(rule, text, len, err);
	if (rule->kind == ROW_KIND_JSON)
		return json_scan_is_valid(text, len) ? row_check_characters(rule, text, len, err) :
		    row_refuse(rule, text, len, err, "is no valid JSON");
	while (len > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		len--;
	}
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	ret->data = text;
	ret->len = len;
	switch (rule->kind) {
	case ROW_KIND_INTEGER:
		if (rule->is_bool && ((len == 4 && strncasecmp(text, "true", len) == 0) ||
		    (len == 5 && strncasecmp(text, "false", len) == 0))) {
			ret->as.i = len == 4;
			return 0;
		}
		return row_check_number(rule, text, len, scratch, ret, err);
	case ROW_KIND_DECIMAL:
	case ROW_KIND_FLOAT:
	case ROW_KIND_DOUBLE:
		return row_check_number(rule, text, len, scratch, ret, err);
	case ROW_KIND_UUID:
	case ROW_KIND_INET4:
	case ROW_KIND_INET6:
		return check_plain(rule, text, len, err);
	case ROW_KIND_OTHER:
		return row_refuse(rule, all, all_len, err, "cannot be loaded into %.40s",
		    rule->column->type);
	default:
		return row_check_moment(rule, text, len, scratch, ret, err);
	}
}

static int
check_bool(const struct row_rule *rule, bool value, struct row_cell *ret, struct error *err)
{
	const char *word = value ? "true" : "false";

	switch (rule->kind) {
	case ROW_KIND_INTEGER:
		ret->as.i = value;
		return 0;
	case ROW_KIND_JSON:
		ret->data = word;
		ret->len = strlen(word);
		return 0;
	default:
		return error_set(err, ERROR_BAD_REQUEST, "'%.100s': %s is no value for %.100s",
		    rule->column->name, word, rule->column->type);
	}
}

int
row_check(const struct row_rule *rule, const struct row_value *value,
    char scratch[ROW_SCRATCH_SIZE], struct row_cell *ret, struct error *err)
{
	memset(ret, 0, sizeof(*ret));
	ret->type = ROW_CELL_VALUE;
	switch (value->type) {
	case ROW_DEFAULT:
		ret->type = ROW_CELL_LEFT_OUT;
		if (!rule->required)
			return 0;
		return error_set(err, ERROR_BAD_REQUEST, "'%.100s': is missing, and has no default",
		    rule->column->name);
	case ROW_NULL:
		ret->type = ROW_CELL_NULL;
		if (rule->may_be_null)
			return 0;
		return error_set(err, ERROR_BAD_REQUEST, "'%.100s': cannot be NULL",
		    rule->column->name);
	case ROW_FALSE:
	case ROW_TRUE:
		return check_bool(rule, value->type == ROW_TRUE, ret, err);
	case ROW_JSON:
		if (rule->kind != ROW_KIND_JSON)
			return error_set(err, ERROR_BAD_REQUEST,
			    "'%.100s': %s is no value for %.100s", rule->column->name,
			    value->len > 0 && value->data[0] == '[' ? "an array" : "an object",
			    rule->column->type);
		break;
	case ROW_TEXT:
	case ROW_NUMBER:
		break;
	}
	return check_text(rule, value->data, value->len, scratch, ret, err);
}
