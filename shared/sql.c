#include "shared/sql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/mem.h"
#include "shared/text.h"

/* Files up to this size are checked whole when they are opened: that takes some milliseconds. */
#define QUICK_CHECK_MAX (8 << 20)

int
sql_error(sqlite3 *db, const char *what, struct error *err)
{
	int code = db == NULL ? SQLITE_NOMEM : sqlite3_extended_errcode(db);
	int sys = db == NULL ? 0 : sqlite3_system_errno(db);
	const char *reason = db == NULL ? "out of memory" : sqlite3_errmsg(db);
	const char *path = db == NULL ? NULL : sqlite3_db_filename(db, "main");
	enum error_code ours = ERROR_IO;

	switch (code & 0xff) {
	case SQLITE_FULL:
		ours = ERROR_NO_SPACE;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		ours = ERROR_CORRUPT;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		ours = ERROR_UNAVAILABLE;
		break;
	case SQLITE_CONSTRAINT:
		ours = ERROR_CONFLICT;
		break;
	case SQLITE_ERROR:
	case SQLITE_MISUSE:
	case SQLITE_RANGE:
		ours = ERROR_INTERNAL;
		break;
	default:
		if (sys == ENOSPC || sys == EDQUOT)
			ours = ERROR_NO_SPACE;
	}
	error_set(err, ours, "could not %s '%s': %s%s%s", what,
	    path == NULL || *path == '\0' ? "database" : path, reason, sys != 0 ? ": " : "",
	    sys != 0 ? strerror(sys) : "");
	err->sys = code;
	if (ours == ERROR_NO_SPACE)
		error_hint(err, "free some space on the file system of the state folder");
	return -1;
}

bool
sql_is_damage(const struct error *err)
{
	return err->code == ERROR_CORRUPT;
}

int
sql_exec(sqlite3 *db, const char *text, struct error *err)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		return sql_error(db, "use", err);
	return 0;
}

int
sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, struct error *err)
{
	if (sqlite3_prepare_v2(db, text, -1, ret, NULL) != SQLITE_OK)
		return sql_error(db, "use", err);
	return 0;
}

int
sql_step(sqlite3_stmt *statement, struct error *err)
{
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return sql_error(sqlite3_db_handle(statement),
		    sqlite3_stmt_readonly(statement) ? "read" : "write", err);
	}
}

void
sql_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text == NULL)
		sqlite3_bind_null(statement, index);
	else
		sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

json_t *
sql_column_json(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);
	size_t len = (size_t)sqlite3_column_bytes(statement, column);
	char *safe;
	json_t *json;

	if (text == NULL)
		return json_null();
	/* Rows that others wrote may hold any bytes. */
	if (text_is_utf8(text, len) && memchr(text, '\0', len) == NULL)
		return json_stringn(text, len);
	safe = text_printable(text, len);
	json = json_string(safe);
	free(safe);
	return json;
}

void
sql_close(sqlite3 *db)
{
	/* v2: a statement that is still open delays the end instead of failing it. */
	sqlite3_close_v2(db);
}

static int
read_version(sqlite3 *db, int64_t *ret, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc;

	if (sql_prepare(db, "PRAGMA user_version", &statement, err) != 0)
		return -1;
	rc = sql_step(statement, err);
	if (rc == 1)
		*ret = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc < 0 ? -1 : 0;
}

static int
upgrade(sqlite3 *db, const char *path, const char *const *steps, size_t step_count,
    struct error *err)
{
	int64_t version = 0;

	if (read_version(db, &version, err) != 0)
		return -1;
	if (version < 0 || (uint64_t)version > step_count) {
		error_set(err, ERROR_UNSUPPORTED,
		    "'%s' has schema version %lld; this program knows %zu", path,
		    (long long)version, step_count);
		return error_hint(
		    err, "use the newer holdfast that made it, or move the file away");
	}
	for (size_t i = (size_t)version; i < step_count; i++) {
		/* Version and tables change together, or, if interrupted here, not at all. */
		char *text = mem_printf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %zu; COMMIT",
		    steps[i], i + 1);
		int rc = sql_exec(db, text, err);

		free(text);
		if (rc != 0)
			return -1;
	}
	return 0;
}

/* Damage within a small file is found here, within a large one when it is met. */
static int
quick_check(sqlite3 *db, const char *path, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	const char *verdict;
	struct stat st;
	int rc;

	if (stat(path, &st) != 0 || st.st_size > QUICK_CHECK_MAX)
		return 0;
	if (sql_prepare(db, "PRAGMA quick_check(1)", &statement, err) != 0)
		return -1;
	rc = sql_step(statement, err);
	if (rc == 1) {
		verdict = (const char *)sqlite3_column_text(statement, 0);
		if (verdict != NULL && strcmp(verdict, "ok") != 0)
			rc = error_set(err, ERROR_CORRUPT, "'%s' is damaged: %s", path, verdict);
	}
	sqlite3_finalize(statement);
	return rc < 0 ? -1 : 0;
}

static int
try_open(const char *path, const char *const *steps, size_t step_count, sqlite3 **ret,
    struct error *err)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
	    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		sql_error(db, "open", err);
		goto fail;
	}
	sqlite3_extended_result_codes(db, 1);
	/* Somebody may look into the file with a tool; wait for him a while. */
	sqlite3_busy_timeout(db, 5000);
	if (sql_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
	    "PRAGMA journal_size_limit = 4194304; PRAGMA trusted_schema = OFF;"
	    /* KiB; more of a file is in the kernel's cache anyway. */
	    "PRAGMA cache_size = -512", err) != 0 ||
	    upgrade(db, path, steps, step_count, err) != 0 || quick_check(db, path, err) != 0)
		goto fail;
	*ret = db;
	return 0;
fail:
	sql_close(db);
	return -1;
}

int
sql_open_reading(const char *path, sqlite3 **ret, struct error *err)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK) {
		sql_error(db, "open", err);
		sql_close(db);
		return -1;
	}
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, 5000);
	*ret = db;
	return 0;
}

int
sql_set_aside(const char *path, char **ret_aside, struct error *err)
{
	static const char *const suffixes[] = { "-wal", "-shm", "" };
	char when[TIME_TEXT_SIZE], *aside = NULL;
	int rc = 0;

	time_format(time_now(), 3, when);
	aside = mem_printf("%s.damaged-%s", path, when);
	/* The database itself goes last: if interrupted here, the next open finds it damaged again
	 * and goes on. */
	for (size_t i = 0; i < ARRAY_LEN(suffixes) && rc == 0; i++) {
		char *from = mem_printf("%s%s", path, suffixes[i]);
		char *to = mem_printf("%s%s", aside, suffixes[i]);

		if (rename(from, to) != 0 && errno != ENOENT)
			rc = error_sys(err, ERROR_IO, errno, "could not set '%s' aside", from);
		free(from);
		free(to);
	}
	if (rc == 0) {
		*ret_aside = aside;
		aside = NULL;
	}
	free(aside);
	return rc;
}

int
sql_open(const char *path, const char *const *steps, size_t step_count, sqlite3 **ret,
    char **ret_aside, struct error *err)
{
	*ret_aside = NULL;
	if (try_open(path, steps, step_count, ret, err) == 0)
		return 0;
	if (!sql_is_damage(err))
		return -1;
	if (sql_set_aside(path, ret_aside, err) != 0)
		return -1;
	return try_open(path, steps, step_count, ret, err);
}
