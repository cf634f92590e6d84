/*
 * Statements with bound values, and results that are read row by row.  Without values a statement
 * goes as text, and the server writes the numbers; with values it is prepared, and whole numbers
 * and floats arrive as such and are written here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mariadb.h"
#include "shared/mariadb_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

#define VALUES_MAX 65535 /* of one statement: the protocol counts them in 16 bits */
#define VALUE_FIRST 256  /* bytes at first set aside for a column's value */
#define CHARSET_BINARY 63

/* A value of a prepared statement's row. */
struct cell {
	struct buffer text;
	long long number;
	double real;
	float small;
	unsigned long len;
	my_bool is_null, cut;
};

struct mariadb_result {
	struct mariadb *db;
	struct mariadb_column *columns;
	size_t count;
	/* Of a statement sent as text. */
	MYSQL_RES *rows;
	MYSQL_ROW row;
	const unsigned long *lengths;
	/* Of a prepared one. */
	MYSQL_STMT *stmt;
	MYSQL_BIND *binds;
	struct cell *cells;
};

/* ---- starting */

static void
bind_value(MYSQL_BIND *bind, const struct mariadb_param *value)
{
	switch (value->type) {
	case MARIADB_NULL:
		bind->buffer_type = MYSQL_TYPE_NULL;
		break;
	case MARIADB_INT:
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		bind->buffer = (void *)(uintptr_t)&value->i;
		break;
	case MARIADB_UINT:
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		bind->is_unsigned = 1;
		bind->buffer = (void *)(uintptr_t)&value->u;
		break;
	case MARIADB_DOUBLE:
		bind->buffer_type = MYSQL_TYPE_DOUBLE;
		bind->buffer = (void *)(uintptr_t)&value->d;
		break;
	case MARIADB_TEXT:
	case MARIADB_BLOB:
		bind->buffer_type = value->type == MARIADB_TEXT ? MYSQL_TYPE_STRING :
		    MYSQL_TYPE_BLOB;
		bind->buffer = (void *)(uintptr_t)value->data;
		bind->buffer_length = value->len;
		break;
	}
}

int
mariadb_start(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, MYSQL_STMT **ret, struct error *err)
{
	MYSQL_STMT *stmt = NULL;
	MYSQL_BIND *binds = NULL;
	int rc = -1;

	if (value_count > VALUES_MAX)
		return error_set(err, ERROR_INTERNAL, "a statement of %zu values", value_count);
	stmt = mysql_stmt_init(db->mysql);
	if (stmt == NULL)
		return mariadb_error(db, "prepare a statement", err);
	if (mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0) {
		mariadb_stmt_error(db, stmt, "prepare a statement", err);
		goto out;
	}
	if (mysql_stmt_param_count(stmt) != value_count) {
		error_set(err, ERROR_DATABASE, "the statement takes %lu values, not %zu",
		    mysql_stmt_param_count(stmt), value_count);
		goto out;
	}
	binds = mem_calloc(value_count + 1, sizeof(*binds));
	for (size_t i = 0; i < value_count; i++)
		bind_value(&binds[i], &values[i]);
	if ((value_count > 0 && mysql_stmt_bind_param(stmt, binds) != 0) ||
	    mysql_stmt_execute(stmt) != 0) {
		mariadb_stmt_error(db, stmt, "run a statement", err);
		goto out;
	}
	*ret = stmt;
	stmt = NULL;
	rc = 0;
out:
	free(binds);
	if (stmt != NULL)
		mysql_stmt_close(stmt);
	return rc;
}

static void
describe_columns(struct mariadb_result *result, MYSQL_RES *rows)
{
	const MYSQL_FIELD *fields = mysql_fetch_fields(rows);

	result->count = mysql_num_fields(rows);
	result->columns = mem_calloc(result->count, sizeof(*result->columns));
	for (size_t i = 0; i < result->count; i++) {
		struct mariadb_column *column = &result->columns[i];

		column->name = text_printable(fields[i].name, fields[i].name_length);
		column->type = fields[i].type;
		column->is_unsigned = (fields[i].flags & UNSIGNED_FLAG) != 0;
		column->is_binary = fields[i].charsetnr == CHARSET_BINARY;
		column->decimals = fields[i].decimals;
	}
}

static bool
is_whole(enum enum_field_types type)
{
	return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT || type == MYSQL_TYPE_INT24 ||
	    type == MYSQL_TYPE_LONG || type == MYSQL_TYPE_LONGLONG || type == MYSQL_TYPE_YEAR;
}

/* Where the library puts the row's values; a long one is fetched again once its length is known. */
static int
bind_row(struct mariadb_result *result, struct error *err)
{
	result->binds = mem_calloc(result->count, sizeof(*result->binds));
	result->cells = mem_calloc(result->count, sizeof(*result->cells));
	for (size_t i = 0; i < result->count; i++) {
		MYSQL_BIND *bind = &result->binds[i];
		struct cell *cell = &result->cells[i];

		bind->length = &cell->len;
		bind->is_null = &cell->is_null;
		bind->error = &cell->cut;
		bind->is_unsigned = result->columns[i].is_unsigned;
		if (is_whole(result->columns[i].type)) {
			bind->buffer_type = MYSQL_TYPE_LONGLONG;
			bind->buffer = &cell->number;
		} else if (result->columns[i].type == MYSQL_TYPE_DOUBLE) {
			bind->buffer_type = MYSQL_TYPE_DOUBLE;
			bind->buffer = &cell->real;
		} else if (result->columns[i].type == MYSQL_TYPE_FLOAT) {
			bind->buffer_type = MYSQL_TYPE_FLOAT;
			bind->buffer = &cell->small;
		} else {
			bind->buffer_type = MYSQL_TYPE_STRING;
			bind->buffer = buffer_reserve(&cell->text, VALUE_FIRST);
			bind->buffer_length = VALUE_FIRST;
		}
	}
	if (mysql_stmt_bind_result(result->stmt, result->binds) != 0)
		return mariadb_stmt_error(result->db, result->stmt, "read rows", err);
	return 0;
}

static int
select_prepared(struct mariadb_result *result, const char *sql,
    const struct mariadb_param *values, size_t value_count, struct error *err)
{
	MYSQL_RES *metadata;

	if (mariadb_start(result->db, sql, values, value_count, &result->stmt, err) != 0)
		return -1;
	metadata = mysql_stmt_result_metadata(result->stmt);
	if (metadata == NULL)
		return 0;
	describe_columns(result, metadata);
	mysql_free_result(metadata);
	return bind_row(result, err);
}

static int
select_text(struct mariadb_result *result, const char *sql, struct error *err)
{
	MYSQL *mysql = result->db->mysql;

	if (mysql_real_query(mysql, sql, strlen(sql)) != 0)
		return mariadb_error(result->db, "run a statement", err);
	result->rows = mysql_use_result(mysql);
	if (result->rows != NULL)
		describe_columns(result, result->rows);
	else if (mysql_errno(mysql) != 0)
		return mariadb_error(result->db, "read rows", err);
	return 0;
}

int
mariadb_select(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, struct mariadb_result **ret, struct error *err)
{
	struct mariadb_result *result = MEM_NEW(struct mariadb_result);
	int rc;

	result->db = db;
	rc = value_count == 0 ? select_text(result, sql, err) :
	    select_prepared(result, sql, values, value_count, err);
	if (rc == 0) {
		*ret = result;
		return 0;
	}
	mariadb_result_free(result);
	return -1;
}

size_t
mariadb_columns(const struct mariadb_result *result)
{
	return result->count;
}

const struct mariadb_column *
mariadb_column(const struct mariadb_result *result, size_t i)
{
	return &result->columns[i];
}

/* ---- rows */

/* As few digits as give the same number again. */
static void
put_real(struct buffer *text, double value, int digits, int digits_max, bool is_float)
{
	char out[64];

	for (; digits <= digits_max; digits++) {
		snprintf(out, sizeof(out), "%.*g", digits, value);
		if (is_float ? strtof(out, NULL) == (float)value : strtod(out, NULL) == value)
			break;
	}
	buffer_put_text(text, out);
}

static int
finish_cell(struct mariadb_result *result, unsigned i, struct error *err)
{
	struct cell *cell = &result->cells[i];
	MYSQL_BIND *bind = &result->binds[i];

	if (cell->is_null)
		return 0;
	if (bind->buffer_type != MYSQL_TYPE_STRING) {
		buffer_clear(&cell->text);
		if (bind->buffer_type == MYSQL_TYPE_DOUBLE)
			put_real(&cell->text, cell->real, 15, 17, false);
		else if (bind->buffer_type == MYSQL_TYPE_FLOAT)
			put_real(&cell->text, (double)cell->small, 6, 9, true);
		else if (bind->is_unsigned)
			buffer_printf(&cell->text, "%llu", (unsigned long long)cell->number);
		else
			buffer_printf(&cell->text, "%lld", cell->number);
	} else {
		cell->text.len = cell->len;
		if (cell->len > bind->buffer_length) {
			cell->text.len = 0;
			bind->buffer = buffer_reserve(&cell->text, cell->len + 1);
			bind->buffer_length = cell->len;
			if (mysql_stmt_fetch_column(result->stmt, bind, i, 0) != 0)
				return mariadb_stmt_error(
				    result->db, result->stmt, "read a long value", err);
			cell->text.len = cell->len;
		}
	}
	buffer_text(&cell->text);
	return 0;
}

/* buffer_text() may have moved what the library writes to. */
static int
rebind(struct mariadb_result *result, struct error *err)
{
	for (size_t i = 0; i < result->count; i++)
		if (result->binds[i].buffer_type == MYSQL_TYPE_STRING)
			result->binds[i].buffer = result->cells[i].text.data;
	if (mysql_stmt_bind_result(result->stmt, result->binds) != 0)
		return mariadb_stmt_error(result->db, result->stmt, "read rows", err);
	return 0;
}

static int
next_prepared(struct mariadb_result *result, struct error *err)
{
	int rc = mysql_stmt_fetch(result->stmt);

	if (rc == MYSQL_NO_DATA)
		return 0;
	if (rc != 0 && rc != MYSQL_DATA_TRUNCATED)
		return mariadb_stmt_error(result->db, result->stmt, "read rows", err);
	for (size_t i = 0; i < result->count; i++)
		if (finish_cell(result, (unsigned)i, err) != 0)
			return -1;
	return rebind(result, err) != 0 ? -1 : 1;
}

int
mariadb_next(struct mariadb_result *result, struct error *err)
{
	if (result->count == 0)
		return 0;
	if (result->stmt != NULL)
		return next_prepared(result, err);
	result->row = mysql_fetch_row(result->rows);
	if (result->row == NULL)
		return mysql_errno(result->db->mysql) == 0 ? 0 :
		    mariadb_error(result->db, "read rows", err);
	result->lengths = mysql_fetch_lengths(result->rows);
	return 1;
}

const char *
mariadb_get(const struct mariadb_result *result, size_t i, size_t *ret_len)
{
	if (result->stmt == NULL) {
		if (ret_len != NULL)
			*ret_len = result->lengths[i];
		return result->row[i];
	}
	if (result->cells[i].is_null)
		return NULL;
	if (ret_len != NULL)
		*ret_len = result->cells[i].text.len;
	return (const char *)result->cells[i].text.data;
}

int64_t
mariadb_get_int(const struct mariadb_result *result, size_t i)
{
	const char *text = mariadb_get(result, i, NULL);

	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

void
mariadb_result_free(struct mariadb_result *result)
{
	if (result == NULL)
		return;
	/* Both read what is left of the rows, and the status that a CALL gives after them. */
	if (result->rows != NULL) {
		mysql_free_result(result->rows);
		while (mysql_next_result(result->db->mysql) == 0)
			mysql_free_result(mysql_use_result(result->db->mysql));
	}
	if (result->stmt != NULL) {
		mysql_stmt_free_result(result->stmt);
		while (mysql_stmt_next_result(result->stmt) == 0)
			mysql_stmt_free_result(result->stmt);
		mysql_stmt_close(result->stmt);
	}
	for (size_t i = 0; i < result->count; i++) {
		free((char *)(uintptr_t)result->columns[i].name);
		if (result->cells != NULL)
			buffer_done(&result->cells[i].text);
	}
	free(result->columns);
	free(result->cells);
	free(result->binds);
	free(result);
}
