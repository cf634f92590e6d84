#include "agent/tables/load.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/mem.h"
#include "shared/text.h"

/* What is made before it is sent. */
#define SEND_SIZE (256u << 10)
#define CHECK_ROWS 4096

struct load {
	struct ocf *file;
	const struct table_column **columns; /* one for each field */
	size_t field_count;
	struct progress *progress;
	struct row_sum sum;
	struct buffer out;
	size_t sent;
	uint64_t told; /* bytes of the file, to progress */
	bool ended;
	struct error err; /* of the file, or a cancelled run */
};

int
load_session(struct mariadb *db, bool exact, struct error *err)
{
	if (mariadb_do(db,
	    "SET SESSION time_zone = '+00:00', net_read_timeout = 31536000,"
	    " net_write_timeout = 31536000, max_statement_time = 0, foreign_key_checks = 0,"
	    " unique_checks = 1, sql_quote_show_create = 1, lock_wait_timeout = 60,"
	    " innodb_lock_wait_timeout = 60", err) != 0)
		return -1;
	if (exact)
		return mariadb_do(db, "SET SESSION check_constraint_checks = 0, sql_mode ="
		    " 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'", err);
	return mariadb_do(db, "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,"
	    "ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'", err);
}

/* ---- rows */

/* Text of another character set comes as text or as bytes: each has a field of its own. */
static int
put_recoded(const struct table_column *column, const struct ocf_value *value,
    struct buffer *out, struct error *err)
{
	bool is_raw = value->type->kind == OCF_BYTES && value->type->logical == OCF_PLAIN;

	if (is_raw)
		buffer_put(out, "\\N\t", 3);
	if (load_put_value(column, value, out, err) != 0)
		return -1;
	if (!is_raw)
		buffer_put(out, "\t\\N", 3);
	return 0;
}

static int
put_row(struct load *load, const struct ocf_value *values, struct error *err)
{
	for (size_t i = 0; i < load->field_count; i++) {
		const struct table_column *column = load->columns[i];

		if (i > 0)
			buffer_put_u8(&load->out, '\t');
		if ((column->carrier == CARRIER_RECODED ?
		    put_recoded(column, &values[i], &load->out, err) :
		    load_put_value(column, &values[i], &load->out, err)) != 0)
			return -1;
	}
	buffer_put_u8(&load->out, '\n');
	return 0;
}

/* ---- what the library asks for */

static int
more_rows(struct load *load)
{
	const struct ocf_value *values;
	const uint8_t *row;
	size_t len;
	int rc = 1;

	buffer_clear(&load->out);
	load->sent = 0;
	while (load->out.len < SEND_SIZE && !load->ended) {
		rc = ocf_next(load->file, &values, &row, &len, &load->err);
		if (rc < 0)
			return -1;
		if (rc == 0) {
			load->ended = true;
			break;
		}
		row_sum_add(&load->sum, row, len);
		if (put_row(load, values, &load->err) != 0) {
			error_prefix(&load->err, "row %llu: ",
			    (unsigned long long)load->sum.rows);
			return -1;
		}
		if (load->sum.rows % CHECK_ROWS == 0 &&
		    progress_check(load->progress, &load->err) != 0)
			return -1;
	}
	atomic_fetch_add(&load->progress->bytes, ocf_bytes(load->file) - load->told);
	load->told = ocf_bytes(load->file);
	return 0;
}

static int
infile_init(void **ret, const char *name, void *arg)
{
	(void)name;
	*ret = arg;
	return 0;
}

static int
infile_read(void *arg, char *buf, unsigned int len)
{
	struct load *load = arg;
	size_t n;

	if (load->err.code != ERROR_NONE)
		return -1;
	if (load->sent == load->out.len && (load->ended || more_rows(load) != 0))
		return load->ended ? 0 : -1;
	n = load->out.len - load->sent;
	if (n == 0)
		return 0;
	if (n > len)
		n = len;
	memcpy(buf, load->out.data + load->sent, n);
	load->sent += n;
	return (int)n;
}

static void
infile_end(void *arg)
{
	(void)arg;
}

static int
infile_error(void *arg, char *message, unsigned int len)
{
	struct load *load = arg;

	snprintf(message, len, "%s", load->err.message);
	return CR_UNKNOWN_ERROR;
}

static int
refuse_init(void **ret, const char *name, void *arg)
{
	(void)name;
	(void)arg;
	*ret = NULL;
	return 1;
}

static int
refuse_error(void *arg, char *message, unsigned int len)
{
	(void)arg;
	snprintf(message, len, "no file was offered");
	return CR_UNKNOWN_ERROR;
}

/* ---- the statement */

static const struct table_column *
find_column(const struct table *table, const struct ocf_field *field)
{
	const char *name = field->column != NULL ? field->column : field->name;

	for (size_t i = 0; i < table->column_count; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return &table->columns[i];
	for (size_t i = 0; i < table->column_count; i++)
		if (strcasecmp(table->columns[i].name, name) == 0)
			return &table->columns[i];
	return NULL;
}

static int
match_columns(struct load *load, const struct table *table, struct error *err)
{
	const struct ocf_schema *schema = ocf_schema(load->file);

	load->field_count = schema->field_count;
	load->columns = mem_calloc(schema->field_count, sizeof(*load->columns));
	if (schema->field_count == 0)
		return error_set(err, ERROR_BAD_REQUEST, "the file has no fields");
	for (size_t i = 0; i < schema->field_count; i++) {
		load->columns[i] = find_column(table, &schema->fields[i]);
		for (size_t k = 0; k < i; k++)
			if (load->columns[i] != NULL && load->columns[k] == load->columns[i])
				return error_set(err, ERROR_BAD_REQUEST,
				    "two fields of the file are for column '%.100s'",
				    load->columns[i]->name);
		if (load->columns[i] != NULL)
			continue;
		error_set(err, ERROR_BAD_REQUEST, "there is no column for field '%.100s'",
		    schema->fields[i].name);
		return error_hint(err, "it must have a column of that name that is not generated");
	}
	return 0;
}

/* A column, or variables whose expression sets it. */
static void
put_target(const struct table_column *column, size_t i, bool with_sets, struct buffer *fields,
    struct buffer *sets)
{
	const char *comma = sets->len > 0 ? "," : " SET ";

	switch (column->carrier) {
	case CARRIER_PLAIN:
		/* As bytes, 16 characters would be taken for an address of 16 bytes. */
		buffer_printf(fields, "@v%zu", i);
		buffer_put_text(sets, comma);
		mariadb_put_name(sets, column->name);
		buffer_printf(sets, " = CONVERT(@v%zu USING utf8mb4)", i);
		break;
	case CARRIER_NUMBER_OF:
		buffer_printf(fields, "@v%zu", i);
		buffer_put_text(sets, comma);
		mariadb_put_name(sets, column->name);
		buffer_printf(sets, " = CAST(@v%zu AS UNSIGNED)", i);
		break;
	case CARRIER_RECODED:
		buffer_printf(fields, "@v%zu,@w%zu", i, i);
		buffer_put_text(sets, comma);
		mariadb_put_name(sets, column->name);
		/* Both as the column's own bytes, which it takes as they are. */
		buffer_printf(sets, " = IF(@w%zu IS NULL, CAST(CONVERT(CONVERT(@v%zu USING utf8mb4)"
		    " USING %s) AS BINARY), @w%zu)", i, i, column->charset, i);
		break;
	default:
		if (!column->is_auto_increment || !with_sets) {
			mariadb_put_name(fields, column->name);
			break;
		}
		/* Where other columns are SET, a 0 is only kept if this one is, too. */
		buffer_printf(fields, "@v%zu", i);
		buffer_put_text(sets, comma);
		mariadb_put_name(sets, column->name);
		buffer_printf(sets, " = @v%zu", i);
	}
}

static bool
needs_set(const struct table_column *column)
{
	return column->carrier == CARRIER_PLAIN || column->carrier == CARRIER_NUMBER_OF ||
	    column->carrier == CARRIER_RECODED;
}

static void
put_statement(const struct load *load, const struct table *table, struct buffer *sql)
{
	struct buffer fields = BUFFER_INIT, sets = BUFFER_INIT;
	bool with_sets = false;

	for (size_t i = 0; i < load->field_count; i++)
		with_sets = with_sets || needs_set(load->columns[i]);
	for (size_t i = 0; i < load->field_count; i++) {
		if (i > 0)
			buffer_put_u8(&fields, ',');
		put_target(load->columns[i], i, with_sets, &fields, &sets);
	}
	buffer_put_text(sql, "LOAD DATA LOCAL INFILE 'holdfast' INTO TABLE ");
	mariadb_put_name(sql, table->database);
	buffer_put_u8(sql, '.');
	mariadb_put_name(sql, table->name);
	buffer_put_text(sql, " CHARACTER SET binary FIELDS TERMINATED BY '\\t' ENCLOSED BY ''"
	    " ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' (");
	buffer_put(sql, fields.data, fields.len);
	buffer_put_u8(sql, ')');
	buffer_put(sql, sets.data, sets.len);
	buffer_done(&fields);
	buffer_done(&sets);
}

/* ---- the table meanwhile */

static int
alter(struct mariadb *db, const struct table *table, const char *option, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc;

	buffer_put_text(&sql, "ALTER TABLE ");
	mariadb_put_name(&sql, table->database);
	buffer_put_u8(&sql, '.');
	mariadb_put_name(&sql, table->name);
	buffer_printf(&sql, " %s, ALGORITHM=INSTANT", option);
	rc = mariadb_exec(db, (const char *)sql.data, sql.len, NULL, err);
	buffer_done(&sql);
	return rc;
}

/*
 * While a table grows, InnoDB takes its statistics again and again, and between two times looks
 * without pause whether ten seconds have passed: a whole processor's time.  So they wait until
 * the rows are there.  The table is a shadow: whatever happens, nobody else sees it so.
 * True if it must be undone.
 */
static bool
hold_statistics(struct mariadb *db, const struct table *table)
{
	struct error ignored;

	if (strstr(table->create, "ENGINE=InnoDB") == NULL ||
	    strstr(table->create, "STATS_AUTO_RECALC") != NULL)
		return false;
	return alter(db, table, "STATS_AUTO_RECALC=0", &ignored) == 0;
}

static int
take_statistics(struct mariadb *db, const struct table *table, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc = alter(db, table, "STATS_AUTO_RECALC=DEFAULT", err);

	if (rc == 0) {
		buffer_put_text(&sql, "ANALYZE TABLE ");
		mariadb_put_name(&sql, table->database);
		buffer_put_u8(&sql, '.');
		mariadb_put_name(&sql, table->name);
		rc = mariadb_exec(db, (const char *)sql.data, sql.len, NULL, err);
	}
	buffer_done(&sql);
	return rc;
}

/*
 * Without unique_checks InnoDB sorts the entries of the other indexes and writes them in one go.
 * Not where one of these is unique: what stands twice in a file that somebody changed is to be
 * found.  The primary key is always checked.
 */
static int
choose_checks(struct mariadb *db, const struct table *table, bool exact, struct error *err)
{
	bool in_one_go = exact && strstr(table->create, "UNIQUE KEY") == NULL;

	return mariadb_do(db, in_one_go ? "SET SESSION unique_checks = 0" :
	    "SET SESSION unique_checks = 1", err);
}

/* With LOCAL what a column does not take is a warning only: the first of them is the reason. */
static int
check_warnings(struct mariadb *db, struct error *err)
{
	struct mariadb_result *result = NULL;
	int rc;

	if (mysql_warning_count(mariadb_handle(db)) == 0)
		return 0;
	if (mariadb_select(db, "SHOW WARNINGS LIMIT 1", NULL, 0, &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc == 1) {
		const char *text = mariadb_get(result, 2, NULL);
		char *printable = text_printable(text, strlen(text));

		error_set(err, ERROR_BAD_REQUEST, "the server does not take the rows: %.300s",
		    printable);
		free(printable);
		rc = -1;
	}
	mariadb_result_free(result);
	return rc;
}

static int
run_statement(struct load *load, struct mariadb *db, const char *sql, struct error *err)
{
	MYSQL *handle = mariadb_handle(db);
	int rc;

	mysql_set_local_infile_handler(handle, infile_init, infile_read, infile_end, infile_error,
	    load);
	rc = mysql_real_query(handle, sql, strlen(sql));
	/* Nothing of ours may be asked for afterwards. */
	mysql_set_local_infile_handler(handle, refuse_init, infile_read, infile_end, refuse_error,
	    NULL);
	/* What was wrong on our side counts: the server only saw the data end. */
	if (load->err.code != ERROR_NONE) {
		*err = load->err;
		return -1;
	}
	if (rc == 0)
		return 0;
	mariadb_error(db, "load rows", err);
	if (err->sys == ER_LOAD_INFILE_CAPABILITY_DISABLED || err->sys == ER_NOT_ALLOWED_COMMAND)
		error_hint(err, "set local_infile = 1 at the server");
	return -1;
}

int
load_rows(struct mariadb *db, const struct table *table, struct ocf *file, bool exact,
    struct progress *progress, struct row_sum *ret_sum, struct error *err)
{
	struct load load = { .file = file, .progress = progress, .err = ERROR_INIT };
	struct buffer sql = BUFFER_INIT;
	bool held = false;
	int rc = match_columns(&load, table, err);

	if (rc == 0)
		rc = choose_checks(db, table, exact, err);
	if (rc == 0) {
		held = hold_statistics(db, table);
		put_statement(&load, table, &sql);
		rc = run_statement(&load, db, buffer_text(&sql), err);
	}
	if (rc == 0 && !exact)
		rc = check_warnings(db, err);
	if (rc == 0 && held)
		rc = take_statistics(db, table, err);
	*ret_sum = load.sum;
	free(load.columns);
	buffer_done(&load.out);
	buffer_done(&sql);
	return rc;
}
