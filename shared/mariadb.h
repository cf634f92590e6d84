/*
 * A connection to a MariaDB server (libmariadb), with our errors, names quoted, values bound and
 * results streamed.
 *
 * A connection belongs to one thread at a time; mariadb_interrupt() alone may come from another.
 * One result at a time: a connection that streams rows takes no other statement until
 * mariadb_result_free().  The session speaks utf8mb4 and commits each statement by itself; its
 * sql_mode and time zone are the server's until the caller sets them.
 * A connection that was lost stays lost: close it and open another.  Nothing is sent twice
 * unasked, as nobody can know whether a statement arrived.
 *
 * Errors: ERROR_UNAVAILABLE where the server cannot be reached, went away or took too long;
 * ERROR_NOT_FOUND for an unknown database or table; ERROR_NO_SPACE for a full disk; else
 * ERROR_DATABASE.  err->sys is the server's or the library's number (MariaDB's, not an errno).
 * Texts of the server are made printable.  A message never holds a password or a bound value.
 */
#ifndef HOLDFAST_SHARED_MARIADB_H
#define HOLDFAST_SHARED_MARIADB_H

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"
#include "shared/error.h"

#define MARIADB_PORT 3306
#define MARIADB_NAME_MAX 64 /* characters of a table's, column's or database's name */

/* Where a server is and who we are there.  Lent: mariadb_open() keeps nothing of it. */
struct mariadb_settings {
	/*
	 * "HOST", "HOST:PORT", "[IPV6]:PORT" or "/path/of/a/socket"; tried in this order, the
	 * first that answers is taken.  "localhost" is TCP like any other name.
	 */
	const char *const *hosts;
	size_t host_count;
	unsigned port;             /* of hosts that name none; 0: MARIADB_PORT */
	const char *user;          /* NULL: the name of the process's user */
	const char *password;      /* NULL: none, or that in password_file */
	const char *password_file; /* its first line is read at each mariadb_open() */
	const char *name;          /* database to use, or NULL */
	/*
	 * With tls the server must present a certificate for its name, signed by tls_ca (PEM file;
	 * NULL: by an authority the system trusts).  tls_cert and tls_key: our own, or NULL.
	 */
	bool tls;
	const char *tls_ca, *tls_cert, *tls_key;
	unsigned connect_timeout_s, read_timeout_s, write_timeout_s; /* 0: the library's own */
	/*
	 * LOAD DATA LOCAL: only what mysql_set_local_infile_handler() gives is sent.  Without it
	 * the server can ask for no file of ours, and even with it never for one by its path.
	 */
	bool local_infile;
	bool found_rows; /* an UPDATE's count is of the rows it matched, not of those it changed */
};

struct mariadb;

/* Connect to the first host that answers. */
int mariadb_open(const struct mariadb_settings *settings, struct mariadb **ret, struct error *err);
void mariadb_close(struct mariadb *db);

/* The library's own handle: bulk binding, LOAD DATA, metadata.  Lent. */
MYSQL *mariadb_handle(struct mariadb *db);
/* "db1:3306" or the socket's path, for messages. */
const char *mariadb_host(const struct mariadb *db);
/* As 101119 for 10.11.19. */
unsigned long mariadb_version(struct mariadb *db);

/*
 * End whatever the connection waits for: its call fails with ERROR_UNAVAILABLE, the connection
 * is lost.  From any thread, as long as nobody closes the connection meanwhile.
 */
void mariadb_interrupt(struct mariadb *db);

/* ---- errors */

/* Fill err from the handle's last failure, or the statement's; returns -1.  what: "read rows". */
int mariadb_error(struct mariadb *db, const char *what, struct error *err);
int mariadb_stmt_error(struct mariadb *db, MYSQL_STMT *stmt, const char *what, struct error *err);

/* The connection is gone (or never was): another may do. */
bool mariadb_is_lost(const struct error *err);
/* A deadlock or a lock that took too long: the transaction may be tried again. */
bool mariadb_is_retry(const struct error *err);

/* ---- statements */

/* A bound value.  Bytes are lent until the call returns. */
struct mariadb_param {
	enum {
		MARIADB_NULL,
		MARIADB_INT,
		MARIADB_UINT,
		MARIADB_DOUBLE,
		MARIADB_TEXT, /* utf8mb4 */
		MARIADB_BLOB
	} type;
	int64_t i;
	uint64_t u;
	double d;
	const void *data;
	size_t len;
};

struct mariadb_param mariadb_int(int64_t value);
struct mariadb_param mariadb_uint(uint64_t value);
struct mariadb_param mariadb_text(const char *text); /* NULL is NULL */

/*
 * One statement without values, as text.  Rows of an answer are thrown away; ret_affected may be
 * NULL.
 */
int mariadb_exec(struct mariadb *db, const char *sql, size_t len, uint64_t *ret_affected,
    struct error *err);
/* The same for a text of our own. */
int mariadb_do(struct mariadb *db, const char *sql, struct error *err);
/* One statement with a value for each "?". */
int mariadb_run(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, uint64_t *ret_affected, struct error *err);

/* ---- results */

struct mariadb_result;

struct mariadb_column {
	const char *name;            /* valid UTF-8, made printable */
	enum enum_field_types type;
	bool is_unsigned, is_binary; /* binary: of the binary character set */
	unsigned decimals;
};

/*
 * Start a statement and stream its rows: memory is one row, whatever the result.  A statement
 * without a result gives no columns and no rows.
 */
int mariadb_select(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, struct mariadb_result **ret, struct error *err);
size_t mariadb_columns(const struct mariadb_result *result);
const struct mariadb_column *mariadb_column(const struct mariadb_result *result, size_t i);
/* 1 a row, 0 no more, -1 failed. */
int mariadb_next(struct mariadb_result *result, struct error *err);
/*
 * A value of the present row as the server's text (numbers, times) or bytes, NUL-terminated;
 * NULL is NULL.  Valid until the next mariadb_next().  ret_len may be NULL.
 */
const char *mariadb_get(const struct mariadb_result *result, size_t i, size_t *ret_len);
/* A whole number; NULL and anything else is 0. */
int64_t mariadb_get_int(const struct mariadb_result *result, size_t i);
/* Reads what is left of the result, so that the connection can go on; NULL is fine. */
void mariadb_result_free(struct mariadb_result *result);

/*
 * The first column of the first row, as text; NULL if there is none or it is NULL.  Caller
 * frees.
 */
int mariadb_select_one(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, char **ret, struct error *err);

/* ---- names and texts in a statement */

/*
 * Whether a name could be one of a database, table or column: 1 to 64 characters of valid UTF-8
 * from the basic plane, no NUL, no blank at its end.  Else ERROR_BAD_REQUEST; what: "table".
 */
int mariadb_check_name(const char *what, const char *name, size_t len, struct error *err);
/* Append a name in backticks, those within it doubled. */
void mariadb_put_name(struct buffer *sql, const char *name);
/* Append a text as a literal, escaped for this session.  Bind values where that is possible. */
void mariadb_put_text(struct mariadb *db, struct buffer *sql, const char *text, size_t len);

/* ---- settings */

/*
 * "HOST", "HOST:PORT", "[IPV6]", "[IPV6]:PORT" or "/socket", cut up: host or socket is set (heap),
 * the other NULL; port 0 where none is named.  ERROR_CONFIG.
 */
int mariadb_parse_host(const char *text, char **ret_host, char **ret_socket, unsigned *ret_port,
    struct error *err);

#endif
