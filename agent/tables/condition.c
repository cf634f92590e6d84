#include "agent/tables/condition.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/tables/table.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* What may stand before a parenthesis: reserved words, with blanks between or without. */
static const char *const operators[] = { "AND", "BETWEEN", "BINARY", "CASE", "COLLATE", "DIV",
	"ELSE", "ESCAPE", "IN", "INTERVAL", "IS", "LIKE", "MOD", "NOT", "OR", "REGEXP", "RLIKE",
	"THEN", "WHEN", "XOR" };

/*
 * Functions of the server whose result depends on their arguments, and on the time, alone; and
 * types, as in CAST(a AS DECIMAL(5,2)).  The parenthesis follows at once: with a blank between, a
 * stored function may be meant.
 */
/* clang-format off */
static const char *const functions[] = {
	"ABS", "ACOS", "ADDDATE", "ADDTIME", "ADD_MONTHS", "AGAINST", "ASCII", "ASIN", "ATAN",
	"ATAN2", "BIN", "BIT_COUNT", "BIT_LENGTH", "CAST", "CEIL", "CEILING", "CHAR",
	"CHARACTER_LENGTH", "CHAR_LENGTH", "COALESCE", "CONCAT", "CONCAT_WS", "CONV", "CONVERT",
	"CONVERT_TZ", "COS", "COT", "CRC32", "CURDATE", "CURRENT_DATE", "CURRENT_TIME",
	"CURRENT_TIMESTAMP", "CURTIME", "DATE", "DATEDIFF", "DATETIME", "DATE_ADD", "DATE_FORMAT",
	"DATE_SUB", "DAY", "DAYNAME", "DAYOFMONTH", "DAYOFWEEK", "DAYOFYEAR", "DECIMAL",
	"DEGREES", "ELT", "EXP", "EXPORT_SET", "EXTRACT", "FIELD", "FIND_IN_SET", "FLOOR",
	"FORMAT", "FROM_BASE64", "FROM_DAYS", "FROM_UNIXTIME", "GREATEST", "HEX", "HOUR", "IF",
	"IFNULL", "INET6_ATON", "INET6_NTOA", "INET_ATON", "INET_NTOA", "INSERT", "INSTR",
	"ISNULL", "IS_IPV4", "IS_IPV6", "JSON_COMPACT", "JSON_CONTAINS", "JSON_CONTAINS_PATH",
	"JSON_DEPTH", "JSON_EXISTS", "JSON_EXTRACT", "JSON_KEYS", "JSON_LENGTH", "JSON_QUERY",
	"JSON_QUOTE", "JSON_SEARCH", "JSON_TYPE", "JSON_UNQUOTE", "JSON_VALID", "JSON_VALUE",
	"LAST_DAY", "LCASE", "LEAST", "LEFT", "LENGTH", "LN", "LOCALTIME", "LOCALTIMESTAMP",
	"LOCATE", "LOG", "LOG10", "LOG2", "LOWER", "LPAD", "LTRIM", "MAKEDATE", "MAKETIME",
	"MAKE_SET", "MATCH", "MD5", "MICROSECOND", "MID", "MINUTE", "MONTH", "MONTHNAME", "NOW",
	"NULLIF", "NVL", "NVL2", "OCT", "OCTET_LENGTH", "ORD", "PERIOD_ADD", "PERIOD_DIFF", "PI",
	"POSITION", "POW", "POWER", "QUARTER", "QUOTE", "RADIANS", "REGEXP_INSTR",
	"REGEXP_REPLACE", "REGEXP_SUBSTR", "REPEAT", "REPLACE", "REVERSE", "RIGHT", "ROUND",
	"RPAD", "RTRIM", "SECOND", "SEC_TO_TIME", "SHA", "SHA1", "SHA2", "SIGN", "SIN", "SOUNDEX",
	"SPACE", "SQRT", "STRCMP", "STR_TO_DATE", "ST_AREA", "ST_ASTEXT", "ST_CONTAINS",
	"ST_DISTANCE", "ST_GEOMFROMTEXT", "ST_INTERSECTS", "ST_LENGTH", "ST_WITHIN", "ST_X",
	"ST_Y", "SUBDATE", "SUBSTR", "SUBSTRING", "SUBSTRING_INDEX", "SUBTIME", "TAN", "TIME",
	"TIMEDIFF", "TIMESTAMP", "TIMESTAMPADD", "TIMESTAMPDIFF", "TIME_FORMAT", "TIME_TO_SEC",
	"TO_BASE64", "TO_DAYS", "TO_SECONDS", "TRIM", "TRUNCATE", "UCASE", "UNHEX",
	"UNIX_TIMESTAMP", "UPPER", "UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP", "VARCHAR", "WEEK",
	"WEEKDAY", "WEEKOFYEAR", "YEAR", "YEARWEEK"
};
/* clang-format on */

/* Reserved words that begin a subquery, or take a sequence on (NEXT VALUE FOR). */
static const char *const refused[] = { "FOR", "INTO", "PROCEDURE", "SELECT", "TABLE", "UNION",
	"VALUES", "WITH" };

/* Where the check of a condition stands. */
struct scan {
	const char *p;
	unsigned depth;
	bool after_dot;  /* the last token was one */
	struct error *err;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* As the server sees it: letters, digits, "_", "$" and whatever is not ASCII. */
static bool
is_of_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '_' || c == '$' || (c & 0x80) != 0;
}

static bool
is_listed(const char *word, size_t len, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(list[i]) == len && strncasecmp(word, list[i], len) == 0)
			return true;
	return false;
}

static int
no_call(const struct scan *scan, const char *word, size_t len)
{
	error_set(scan->err, ERROR_BAD_REQUEST,
	    "the condition must not call '%.*s'", (int)(len > 60 ? 60 : len), word);
	return error_hint(scan->err, "it takes columns, values, operators and the server's functions "
	    "that compute from their arguments alone, their '(' right behind the name");
}

static int
take_word(struct scan *scan)
{
	const char *word = scan->p, *next;
	bool after_dot = scan->after_dot;
	size_t len;

	while (is_of_word(*scan->p))
		scan->p++;
	len = (size_t)(scan->p - word);
	scan->after_dot = false;
	if (!after_dot && is_listed(word, len, refused, ARRAY_LEN(refused))) {
		error_set(scan->err, ERROR_BAD_REQUEST,
		    "the condition must not have '%.*s' in it", (int)len, word);
		return error_hint(scan->err, "subqueries are not taken; a column of that name is "
		    "written in backticks");
	}
	for (next = scan->p; is_blank(*next);)
		next++;
	if (*next != '(' || (!after_dot && is_listed(word, len, operators, ARRAY_LEN(operators))))
		return 0;
	if (after_dot || next != scan->p ||
	    !is_listed(word, len, functions, ARRAY_LEN(functions)))
		return no_call(scan, word, len);
	return 0;
}

/* 'text', "text" or `name`: doubled, and but in names behind a backslash, a quote is itself. */
static int
take_quoted(struct scan *scan)
{
	char quote = *scan->p;
	const char *begin = scan->p++;

	for (;; scan->p++) {
		if (*scan->p == '\0')
			return error_set(scan->err, ERROR_BAD_REQUEST,
			    "a %c in the condition has no end", quote);
		if (*scan->p == '\\' && quote != '`' && scan->p[1] != '\0')
			scan->p++;
		else if (*scan->p == quote && scan->p[1] == quote)
			scan->p++;
		else if (*scan->p == quote)
			break;
	}
	scan->p++;
	scan->after_dot = false;
	if (quote == '`') {
		const char *next = scan->p;

		while (is_blank(*next))
			next++;
		/* A stored function's name. */
		if (*next == '(')
			return no_call(scan, begin, (size_t)(scan->p - begin));
	}
	return 0;
}

static int
take_sign(struct scan *scan)
{
	char c = *scan->p++;

	scan->after_dot = c == '.';
	if ((c == '-' && *scan->p == '-') || (c == '/' && *scan->p == '*') || c == '#')
		return error_set(scan->err, ERROR_BAD_REQUEST, "the condition has a comment in it");
	if (c == ';')
		return error_set(scan->err, ERROR_BAD_REQUEST,
		    "the condition is one expression, without ';'");
	if (strchr("(),.+-*/%=<>!&|^~", c) == NULL)
		return error_set(scan->err, ERROR_BAD_REQUEST,
		    c > 0x20 ? "the condition must not have '%c' in it" :
		    "the condition has a control character in it", c);
	if (c == '(')
		scan->depth++;
	if (c != ')')
		return 0;
	if (scan->depth == 0)
		return error_set(scan->err, ERROR_BAD_REQUEST,
		    "a ')' in the condition closes nothing");
	scan->depth--;
	return 0;
}

int
condition_check(const char *text, struct error *err)
{
	struct scan scan = { .p = text, .err = err };
	size_t len = strlen(text);
	bool empty = true;
	int rc = 0;

	if (len > CONDITION_MAX)
		return error_set(err, ERROR_BAD_REQUEST,
		    "the condition has %zu bytes; at most %d are taken", len, CONDITION_MAX);
	if (!text_is_utf8(text, len))
		return error_set(err, ERROR_BAD_REQUEST, "the condition is not valid UTF-8");
	while (rc == 0 && *scan.p != '\0') {
		if (is_blank(*scan.p)) {
			scan.p++;
			continue;
		}
		empty = false;
		if (*scan.p == '\'' || *scan.p == '"' || *scan.p == '`')
			rc = take_quoted(&scan);
		else if (is_of_word(*scan.p))
			rc = take_word(&scan);
		else
			rc = take_sign(&scan);
	}
	if (rc == 0 && empty)
		rc = error_set(err, ERROR_BAD_REQUEST, "the condition is empty");
	if (rc == 0 && scan.depth > 0)
		rc = error_set(err, ERROR_BAD_REQUEST, "a '(' in the condition is not closed");
	return rc;
}

/* "HEAD `database`.`table` WHERE (condition)TAIL" */
static void
put_statement(struct buffer *sql, const char *head, const char *database, const char *table,
    const char *text, const char *tail)
{
	buffer_put_text(sql, head);
	mariadb_put_name(sql, database);
	buffer_put_u8(sql, '.');
	mariadb_put_name(sql, table);
	buffer_printf(sql, " WHERE (%s\n)%s", text, tail);
}

/* What the server says against it is the asker's to mend. */
static int
blame(struct error *err)
{
	if (mariadb_is_lost(err))
		return -1;
	err->code = ERROR_BAD_REQUEST;
	return error_prefix(err, "the condition cannot be asked of the rows: ");
}

static int
prepare(struct mariadb *db, const struct buffer *sql, struct error *err)
{
	MYSQL_STMT *stmt = mysql_stmt_init(mariadb_handle(db));
	int rc;

	if (stmt == NULL)
		return mariadb_error(db, "prepare a statement", err);
	rc = mysql_stmt_prepare(stmt, (const char *)sql->data, sql->len);
	if (rc != 0)
		rc = mariadb_stmt_error(db, stmt, "prepare the condition", err);
	mysql_stmt_close(stmt);
	return rc;
}

int
condition_prepare(struct mariadb *db, const char *database, const char *table, const char *text,
    struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc = condition_check(text, err);

	if (rc != 0)
		return -1;
	put_statement(&sql, "SELECT 1 FROM ", database, table, text, "");
	if (prepare(db, &sql, err) != 0)
		rc = blame(err);
	buffer_done(&sql);
	return rc;
}

int
condition_prepare_columns(struct mariadb *db, const char *table, const char *const *columns,
    size_t count, const char *text, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc = condition_check(text, err);

	if (rc != 0)
		return -1;
	buffer_put_text(&sql, "SELECT 1 FROM (SELECT ");
	for (size_t i = 0; i < count; i++) {
		buffer_put_text(&sql, i > 0 ? ",NULL AS " : "NULL AS ");
		mariadb_put_name(&sql, columns[i]);
	}
	buffer_put_text(&sql, ") AS ");
	mariadb_put_name(&sql, table);
	buffer_printf(&sql, " WHERE (%s\n)", text);
	rc = prepare(db, &sql, err);
	/* MATCH wants an index, which only a table has. */
	if (rc != 0 && (err->sys == ER_WRONG_ARGUMENTS || err->sys == ER_FT_MATCHING_KEY_NOT_FOUND)) {
		error_clear(err);
		rc = 0;
	}
	buffer_done(&sql);
	return rc == 0 ? 0 : blame(err);
}

int
condition_count(struct mariadb *db, const char *database, const char *table, const char *text,
    uint64_t *ret, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	char *count = NULL;
	int rc = condition_prepare(db, database, table, text, err);

	if (rc != 0)
		return -1;
	put_statement(&sql, "SELECT COUNT(*) FROM ", database, table, text, "");
	rc = mariadb_select_one(db, buffer_text(&sql), NULL, 0, &count, err);
	if (rc == 0)
		*ret = count == NULL ? 0 : strtoull(count, NULL, 10);
	else
		rc = blame(err);
	free(count);
	buffer_done(&sql);
	return rc;
}

int
history_forget(struct mariadb *db, const char *database, const char *name, uint64_t *ret_present,
    struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	struct table *table = NULL;
	char *count = NULL;
	int rc = table_read(db, database, name, &table, err);

	if (rc == 0 && table->versioned) {
		buffer_put_text(&sql, "DELETE HISTORY FROM ");
		mariadb_put_name(&sql, database);
		buffer_put_u8(&sql, '.');
		mariadb_put_name(&sql, name);
		rc = mariadb_exec(db, (const char *)sql.data, sql.len, NULL, err);
	}
	if (rc == 0 && ret_present != NULL) {
		buffer_clear(&sql);
		put_statement(&sql, "SELECT COUNT(*) FROM ", database, name, "TRUE", "");
		rc = mariadb_select_one(db, buffer_text(&sql), NULL, 0, &count, err);
	}
	if (rc == 0 && ret_present != NULL)
		*ret_present = count == NULL ? 0 : strtoull(count, NULL, 10);
	free(count);
	table_free(table);
	buffer_done(&sql);
	return rc;
}

int
condition_apply(struct mariadb *db, const char *database, const char *table, const char *text,
    uint64_t *ret_left_out, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc = condition_prepare(db, database, table, text, err);

	if (rc != 0)
		return -1;
	/* In strict mode a comparison of a text with a number would be an error here alone. */
	rc = mariadb_do(db, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", err);
	put_statement(&sql, "DELETE FROM ", database, table, text, " IS NOT TRUE");
	if (rc == 0 && mariadb_exec(db, (const char *)sql.data, sql.len, ret_left_out, err) != 0)
		rc = blame(err);
	buffer_done(&sql);
	/* What was deleted of a shadow was never in the table. */
	return rc == 0 ? history_forget(db, database, table, NULL, err) : -1;
}
