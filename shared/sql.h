/*
 * A small SQLite file of our own: opened with its schema brought up to date, errors as struct
 * error, texts in and out.
 *
 * The file is in WAL mode with synchronous=FULL: a commit that returned is there after a power
 * cut.  One connection belongs to one user under one lock; SQLite's own lock is switched off.
 * SQLite 3.40.1 can damage a file when two connections write and checkpoint it at once, so the
 * owner makes sure (by a lock file) that no other process of ours has the file open.
 */
#ifndef HOLDFAST_SHARED_SQL_H
#define HOLDFAST_SHARED_SQL_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

/*
 * Open or make the file.  steps[n] brings schema version n to n + 1 (PRAGMA user_version), each
 * in a transaction of its own.  A file that is no database, or damaged, is renamed to
 * PATH.damaged-TIME, and a new one is made: then ret_aside is that name (caller frees), else NULL.
 * ERROR_UNSUPPORTED: the file was made by a newer version.
 */
int sql_open(const char *path, const char *const *steps, size_t step_count, sqlite3 **ret,
    char **ret_aside, struct error *err);
/*
 * Read a file whose owner may have it open.  Such a connection neither writes nor makes a
 * checkpoint, so it does no harm; keep it short.
 */
int sql_open_reading(const char *path, sqlite3 **ret, struct error *err);
void sql_close(sqlite3 *db);

/* Whether an error of this file means that it is damaged. */
bool sql_is_damage(const struct error *err);
/* Rename the file and what belongs to it; the caller closed it.  Returns the new name. */
int sql_set_aside(const char *path, char **ret_aside, struct error *err);

/* Fill err from the connection's last failure; returns -1. */
int sql_error(sqlite3 *db, const char *what, struct error *err);
int sql_exec(sqlite3 *db, const char *text, struct error *err);
int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, struct error *err);
/* 1 a row, 0 done, -1 error. */
int sql_step(sqlite3_stmt *statement, struct error *err);

/* NULL binds NULL.  The text must live until the statement is reset. */
void sql_bind_text(sqlite3_stmt *statement, int index, const char *text);
/* A column as JSON: a string that is valid UTF-8 whatever is stored, or null. */
json_t *sql_column_json(sqlite3_stmt *statement, int column);

#endif
