#include "shared/mariadb.h"

#include <errmsg.h>
#include <fcntl.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/mariadb_internal.h"
#include "shared/mem.h"
#include "shared/secret_file.h"
#include "shared/text.h"

#define PASSWORD_MAX 1024

/*
 * The ways in which a server may ask us who we are.  Left out are those that hand the password
 * over readable: a server could ask for it so, where TLS does not prove who it is.
 */
#define AUTH_PLUGINS "mysql_native_password,client_ed25519,caching_sha2_password,parsec," \
	"auth_gssapi_client"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void
start_library(void)
{
	mysql_library_init(0, NULL, NULL);
}

/* ---- errors */

/* Numbers that the library's header does not have. */
#define SERVER_LOST_EXTENDED 2055
#define SERVER_IDLE_TIMEOUT 4031

static bool
is_lost(unsigned number)
{
	switch (number) {
	case CR_CONNECTION_ERROR:
	case CR_CONN_HOST_ERROR:
	case CR_UNKNOWN_HOST:
	case CR_SERVER_GONE_ERROR:
	case CR_SERVER_HANDSHAKE_ERR:
	case CR_SERVER_LOST:
	case SERVER_LOST_EXTENDED:
	case SERVER_IDLE_TIMEOUT:
	case ER_SERVER_SHUTDOWN:
	case ER_NORMAL_SHUTDOWN:
	case ER_SHUTDOWN_COMPLETE:
	case ER_CONNECTION_KILLED:
	case ER_NET_PACKETS_OUT_OF_ORDER:
	case ER_NET_READ_ERROR:
	case ER_NET_READ_INTERRUPTED:
	case ER_NET_ERROR_ON_WRITE:
	case ER_NET_WRITE_INTERRUPTED:
		return true;
	default:
		return false;
	}
}

static enum error_code
code_of(unsigned number, const char *text)
{
	if (is_lost(number))
		return ERROR_UNAVAILABLE;
	switch (number) {
	case ER_CON_COUNT_ERROR:
	case ER_TOO_MANY_USER_CONNECTIONS:
	case ER_USER_LIMIT_REACHED:
	case ER_HOST_IS_BLOCKED:
	case ER_UNKNOWN_COM_ERROR: /* a Galera node that is not in its cluster */
		return ERROR_UNAVAILABLE;
	case ER_BAD_DB_ERROR:
	case ER_NO_SUCH_TABLE:
	case ER_BAD_TABLE_ERROR:
	case ER_UNKNOWN_TABLE:
		return ERROR_NOT_FOUND;
	case ER_DISK_FULL:
	case ER_RECORD_FILE_FULL:
		return ERROR_NO_SPACE;
	default:
		/* A write that failed tells the system's number only in its text. */
		return strstr(text, "(Errcode: 28 ") != NULL ? ERROR_NO_SPACE : ERROR_DATABASE;
	}
}

/* Who we are is known, and what we want not allowed. */
static bool
is_denied(unsigned number)
{
	return number == ER_DBACCESS_DENIED_ERROR || number == ER_TABLEACCESS_DENIED_ERROR ||
	    number == ER_COLUMNACCESS_DENIED_ERROR || number == ER_SPECIFIC_ACCESS_DENIED_ERROR ||
	    number == ER_PROCACCESS_DENIED_ERROR;
}

static int
set_error(const char *host, const char *what, unsigned number, const char *text,
    struct error *err)
{
	char *shown = text_printable(text, strlen(text));

	error_set(err, code_of(number, text), "could not %s at '%s': %s (error %u)", what, host,
	    shown, number);
	err->sys = (int)number;
	free(shown);
	if (is_denied(number))
		error_hint(err, "give the user that right on the server: backups need SELECT, "
		    "SHOW VIEW, TRIGGER and LOCK TABLES; restores CREATE, DROP, ALTER, INSERT, "
		    "DELETE, INDEX and REFERENCES besides");
	return -1;
}

int
mariadb_error(struct mariadb *db, const char *what, struct error *err)
{
	return set_error(db->host, what, mysql_errno(db->mysql), mysql_error(db->mysql), err);
}

int
mariadb_stmt_error(struct mariadb *db, MYSQL_STMT *stmt, const char *what, struct error *err)
{
	/* A server that fails between two rows of a statement leaves its error in the handle. */
	if (mysql_stmt_errno(stmt) == 0)
		return mariadb_error(db, what, err);
	return set_error(db->host, what, mysql_stmt_errno(stmt), mysql_stmt_error(stmt), err);
}

bool
mariadb_is_lost(const struct error *err)
{
	return err->code == ERROR_UNAVAILABLE && is_lost((unsigned)err->sys);
}

bool
mariadb_is_retry(const struct error *err)
{
	return err->code == ERROR_DATABASE &&
	    (err->sys == ER_LOCK_DEADLOCK || err->sys == ER_LOCK_WAIT_TIMEOUT);
}

/* ---- life cycle */

/* A server that asks for a file gets none, unless the owner says what it gets. */
static int
refuse_file(void **ret, const char *name, void *arg)
{
	(void)name;
	(void)arg;
	*ret = NULL;
	return 1;
}

static int
no_bytes(void *file, char *buf, unsigned len)
{
	(void)file;
	(void)buf;
	(void)len;
	return -1;
}

static void
no_end(void *file)
{
	(void)file;
}

static int
say_refused(void *file, char *text, unsigned len)
{
	(void)file;
	if (len > 0)
		snprintf(text, len, "the server asked for a file of ours");
	return CR_UNKNOWN_ERROR;
}

static void
set_timeout(MYSQL *mysql, enum mysql_option option, unsigned seconds)
{
	if (seconds != 0)
		mysql_optionsv(mysql, option, &seconds);
}

static void
set_options(MYSQL *mysql, const struct mariadb_settings *settings, bool tcp)
{
	my_bool yes = 1;
	unsigned infile = settings->local_infile;
	unsigned protocol = tcp ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;

	mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &infile);
	mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "holdfast");
	mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH, AUTH_PLUGINS);
	set_timeout(mysql, MYSQL_OPT_CONNECT_TIMEOUT, settings->connect_timeout_s);
	set_timeout(mysql, MYSQL_OPT_READ_TIMEOUT, settings->read_timeout_s);
	set_timeout(mysql, MYSQL_OPT_WRITE_TIMEOUT, settings->write_timeout_s);
	mysql_set_local_infile_handler(mysql, refuse_file, no_bytes, no_end, say_refused, NULL);
	/* A socket never leaves the machine. */
	if (!settings->tls || !tcp)
		return;
	mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
	mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
	if (settings->tls_ca != NULL)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_CA, settings->tls_ca);
	if (settings->tls_cert != NULL)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_CERT, settings->tls_cert);
	if (settings->tls_key != NULL)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_KEY, settings->tls_key);
}

static int
connect_to(const char *text, const struct mariadb_settings *settings, const char *password,
    struct mariadb **ret, struct error *err)
{
	struct mariadb *db = MEM_NEW(struct mariadb);
	char *host = NULL, *socket_path = NULL;
	unsigned port = 0;
	unsigned long flags = CLIENT_MULTI_RESULTS;
	int rc = -1;

	db->socket = -1;
	if (mariadb_parse_host(text, &host, &socket_path, &port, err) != 0)
		goto out;
	if (port == 0)
		port = settings->port == 0 ? MARIADB_PORT : settings->port;
	db->host = host == NULL ? mem_strdup(socket_path) :
	    strchr(host, ':') != NULL ? mem_printf("[%s]:%u", host, port) :
	    mem_printf("%s:%u", host, port);
	db->mysql = mysql_init(NULL);
	if (db->mysql == NULL) {
		error_set(err, ERROR_TOO_LARGE, "no memory for a connection to '%s'", db->host);
		goto out;
	}
	set_options(db->mysql, settings, host != NULL);
	if (settings->found_rows)
		flags |= CLIENT_FOUND_ROWS;
	if (mysql_real_connect(db->mysql, host, settings->user, password, settings->name, port,
		socket_path, flags) == NULL) {
		mariadb_error(db, "connect", err);
		goto out;
	}
	/* A server may start its sessions without it. */
	if (mysql_autocommit(db->mysql, 1) != 0) {
		mariadb_error(db, "begin a session", err);
		goto out;
	}
	db->socket = fcntl(mysql_get_socket(db->mysql), F_DUPFD_CLOEXEC, 0);
	*ret = db;
	db = NULL;
	rc = 0;
out:
	mariadb_close(db);
	free(host);
	free(socket_path);
	return rc;
}

int
mariadb_open(const struct mariadb_settings *settings, struct mariadb **ret, struct error *err)
{
	const char *password = settings->password;
	char *from_file = NULL;
	int rc = -1;

	pthread_once(&library_once, start_library);
	if (settings->host_count == 0)
		return error_set(err, ERROR_CONFIG, "no MariaDB host is named");
	if (password == NULL && settings->password_file != NULL) {
		if (secret_file_read(settings->password_file, "password file", PASSWORD_MAX,
			&from_file, err) != 0)
			return -1;
		password = from_file;
	}
	for (size_t i = 0; i < settings->host_count && rc != 0; i++)
		rc = connect_to(settings->hosts[i], settings, password, ret, err);
	if (rc != 0 && settings->host_count > 1)
		error_prefix(err, "none of %zu hosts will do; the last: ", settings->host_count);
	mem_free_secret(from_file, from_file == NULL ? 0 : strlen(from_file));
	return rc;
}

void
mariadb_close(struct mariadb *db)
{
	if (db == NULL)
		return;
	if (db->mysql != NULL)
		mysql_close(db->mysql);
	if (db->socket >= 0)
		close(db->socket);
	free(db->host);
	free(db);
}

MYSQL *
mariadb_handle(struct mariadb *db)
{
	return db->mysql;
}

const char *
mariadb_host(const struct mariadb *db)
{
	return db->host;
}

unsigned long
mariadb_version(struct mariadb *db)
{
	return mysql_get_server_version(db->mysql);
}

void
mariadb_interrupt(struct mariadb *db)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (db->socket < 0)
		return;
	/* A server in the middle of a long answer is told by a reset, once the socket is closed; it
	 * would else wait for a minute for somebody to read on. */
	setsockopt(db->socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	shutdown(db->socket, SHUT_RDWR);
}

/* ---- statements */

struct mariadb_param
mariadb_int(int64_t value)
{
	return (struct mariadb_param){ .type = MARIADB_INT, .i = value };
}

struct mariadb_param
mariadb_uint(uint64_t value)
{
	return (struct mariadb_param){ .type = MARIADB_UINT, .u = value };
}

struct mariadb_param
mariadb_text(const char *text)
{
	if (text == NULL)
		return (struct mariadb_param){ .type = MARIADB_NULL };
	return (struct mariadb_param){ .type = MARIADB_TEXT, .data = text, .len = strlen(text) };
}

int
mariadb_exec(struct mariadb *db, const char *sql, size_t len, uint64_t *ret_affected,
    struct error *err)
{
	uint64_t affected;
	MYSQL_RES *rows;
	int rc;

	if (mysql_real_query(db->mysql, sql, len) != 0)
		return mariadb_error(db, "run a statement", err);
	affected = mysql_affected_rows(db->mysql);
	/* CALL answers with several results. */
	do {
		rows = mysql_use_result(db->mysql);
		while (rows != NULL && mysql_fetch_row(rows) != NULL)
			continue;
		if (mysql_errno(db->mysql) != 0) {
			mariadb_error(db, "read the answer to a statement", err);
			mysql_free_result(rows);
			return -1;
		}
		mysql_free_result(rows);
		rc = mysql_next_result(db->mysql);
	} while (rc == 0);
	if (rc > 0)
		return mariadb_error(db, "run a statement", err);
	/* (uint64_t)-1 stands for "it gave rows". */
	if (ret_affected != NULL)
		*ret_affected = affected == UINT64_MAX ? 0 : affected;
	return 0;
}

int
mariadb_do(struct mariadb *db, const char *sql, struct error *err)
{
	return mariadb_exec(db, sql, strlen(sql), NULL, err);
}

int
mariadb_run(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, uint64_t *ret_affected, struct error *err)
{
	MYSQL_STMT *stmt = NULL;
	int rc;

	if (mariadb_start(db, sql, values, value_count, &stmt, err) != 0)
		return -1;
	if (ret_affected != NULL)
		*ret_affected = mysql_stmt_affected_rows(stmt);
	/* Reads what rows there are. */
	do {
		rc = mysql_stmt_free_result(stmt) != 0 ? 1 : mysql_stmt_next_result(stmt);
	} while (rc == 0);
	if (rc > 0)
		mariadb_stmt_error(db, stmt, "run a statement", err);
	mysql_stmt_close(stmt);
	return rc > 0 ? -1 : 0;
}

int
mariadb_select_one(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, char **ret, struct error *err)
{
	struct mariadb_result *result = NULL;
	const char *text;
	size_t len;
	int rc;

	if (mariadb_select(db, sql, values, value_count, &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc >= 0) {
		text = rc == 1 && mariadb_columns(result) > 0 ? mariadb_get(result, 0, &len) : NULL;
		*ret = text == NULL ? NULL : mem_dup(text, len + 1);
	}
	mariadb_result_free(result);
	return rc < 0 ? -1 : 0;
}
