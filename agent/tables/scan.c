#include "agent/tables/scan.h"

#include <mysqld_error.h>
#include <stdint.h>
#include <string.h>

/* A question every so many rows whether to go on. */
#define CHECK_ROWS 4096

static int
set_session(struct mariadb *db, struct error *err)
{
	/*
	 * A time-out of the server's for a client that does not read would end the backup of a
	 * table whenever the repository is slow or the run is paused.
	 */
	return mariadb_do(db,
	    "SET SESSION sql_mode = '', time_zone = '+00:00', net_write_timeout = 31536000,"
	    " net_read_timeout = 31536000, max_statement_time = 0, sql_quote_show_create = 1,"
	    " group_concat_max_len = 1048576, lock_wait_timeout = 60, innodb_lock_wait_timeout = 60",
	    err);
}

int
scan_open(const struct mariadb_settings *server, struct mariadb **ret, struct error *err)
{
	struct mariadb *db = NULL;

	if (mariadb_open(server, &db, err) != 0)
		return -1;
	if (set_session(db, err) != 0) {
		mariadb_close(db);
		return -1;
	}
	*ret = db;
	return 0;
}

/* What the last failure of a handle means for the table. */
static int
failed(struct mariadb *db, const struct table *table, struct error *err)
{
	mariadb_error(db, "read rows", err);
	if (err->sys == ER_TABLE_DEF_CHANGED) {
		error_set(err, ERROR_CONFLICT, "table '%.200s' was altered while it was backed up",
		    table->name);
		return error_hint(err, "back it up again");
	}
	return error_prefix(err, "table '%.100s': ", table->name);
}

/* Where the values of a row go, and the connection in whose buffer they lie. */
struct rows {
	struct container *container;
	const NET *net;
};

/* Of the library, for each value of a row; NULL for NULL. */
static void
take_value(void *arg, unsigned i, unsigned char **value)
{
	struct rows *rows = arg;

	container_value(rows->container, i, value, rows->net->buff_end);
}

static int
fetch_rows(struct mariadb *db, const struct table *table, MYSQL_STMT *stmt,
    struct container *container, struct progress *progress, struct error *err)
{
	unsigned rows = 0;
	int rc;

	while ((rc = mysql_stmt_fetch(stmt)) == 0) {
		if (container_row(container, err) != 0)
			return error_prefix(err, "table '%.100s': ", table->name);
		if (++rows % CHECK_ROWS == 0 && progress_check(progress, err) != 0)
			return -1;
	}
	/* A failure between rows stands in the handle, not in the statement. */
	if (rc != MYSQL_NO_DATA)
		return failed(db, table, err);
	return container_end(container, err);
}

/*
 * The statement is prepared, so that numbers and times come as such: the server need not print
 * them, nor we parse them.  The library hands each value on where it lies.
 */
static int
start_rows(struct mariadb *db, const struct table *table, const char *sql, MYSQL_STMT *stmt,
    struct rows *rows, struct error *err)
{
	if (mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0 || mysql_stmt_attr_set(stmt,
	    STMT_ATTR_CB_USER_DATA, rows) != 0 || mysql_stmt_attr_set(stmt, STMT_ATTR_CB_RESULT,
	    (const void *)(uintptr_t)take_value) != 0 || mysql_stmt_execute(stmt) != 0)
		return failed(db, table, err);
	if (container_describe(rows->container, stmt->fields, mysql_stmt_field_count(stmt),
	    err) != 0)
		return error_prefix(err, "table '%.100s': ", table->name);
	return 0;
}

int
scan_rows(struct mariadb *db, const struct table *table, const char *sql,
    struct container *container, struct progress *progress, struct error *err)
{
	MYSQL *handle = mariadb_handle(db);
	struct rows rows = { container, &handle->net };
	struct error ignored;
	MYSQL_STMT *stmt;
	int rc;

	/* Bytes as they are stored; names and definitions are asked for in UTF-8 again. */
	if (mariadb_do(db, "SET character_set_results = NULL", err) != 0)
		return -1;
	stmt = mysql_stmt_init(handle);
	if (stmt == NULL)
		return failed(db, table, err);
	rc = start_rows(db, table, sql, stmt, &rows, err);
	if (rc == 0)
		rc = fetch_rows(db, table, stmt, container, progress, err);
	/* To close a statement is to read what is left of its rows: nobody waits for that. */
	if (rc != 0 && err->code == ERROR_CANCELLED)
		mariadb_interrupt(db);
	mysql_stmt_close(stmt);
	if (rc != 0) {
		(void)mariadb_do(db, "SET character_set_results = utf8mb4", &ignored);
		return -1;
	}
	return mariadb_do(db, "SET character_set_results = utf8mb4", err);
}

int
scan_sum(struct mariadb *db, struct table *table, struct progress *progress, struct row_sum *ret,
    struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	struct container *container;
	int rc;

	table_select(table, &sql);
	container = container_begin(table, NULL, NULL);
	rc = scan_rows(db, table, buffer_text(&sql), container, progress, err);
	if (rc == 0)
		*ret = *container_sum(container);
	container_free(container);
	buffer_done(&sql);
	return rc;
}
