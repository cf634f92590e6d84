/*
 * Restore a table from its file in a snapshot or on the exchange storage.
 *
 * The rows go into a shadow table first; count and sum are compared with the file's; only then is
 * the table replaced, by RENAME, or the rows are added to it.  Foreign keys, of the table and of
 * others to it, and triggers survive.
 * After a crash: until the swap the table is as it was, and a table "_holdfast_new_*" may be left;
 * within the swap, whose statements take milliseconds, a table "_holdfast_old_*".  The next restore
 * of the same table clears up: what was not finished is taken back.
 */
#ifndef HOLDFAST_AGENT_TABLES_RESTORE_H
#define HOLDFAST_AGENT_TABLES_RESTORE_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/error.h"
#include "shared/mariadb.h"
#include "shared/progress.h"

struct tables_restore_options {
	const struct mariadb_settings *server; /* with name: the database */
	const char *folder;    /* of the database's files, in snapshots and on the exchange storage */
	const char *table;
	const char *as;        /* another name, or NULL */
	const char *as_database; /* another database of the server, or NULL */
	const char *where;     /* only rows that fulfil this, or NULL; see agent/tables/condition.h */
	bool append;           /* add the rows to the table that is there */
	bool rows_alone;       /* no foreign keys: nothing that others see depends on the copy */
	bool dry_run;          /* compare counts and sums, change nothing */
	bool from_exchange;    /* not from a snapshot */
	const char *snapshot;  /* id; NULL: the newest that holds the table */
	const char *exchange;  /* URL, or NULL */
	/* Held while a table takes its place, or NULL: of several, one at a time does so. */
	pthread_mutex_t *swapping;
};

/*
 * ret_json: {"table", "as", "schema", "mode", "source", "rows", "checksum", "verified",
 * "restored"}: rows are those of the file, restored those that were taken.  For a dry run, instead
 * of restored, {"present": {"rows", "checksum", "same_columns"} or null, "same"}.  With a condition
 * also "where".  ret_snapshot: what was read, "" for the exchange storage.
 * ERROR_NOT_FOUND: no such file, no such table to append to, no such database; ERROR_BAD_REQUEST:
 * the file does not fit, or the condition does not; ERROR_CONFLICT: another restore of the table is at work; ERROR_CORRUPT: the rows that came
 * out are not those that went in.
 */
int tables_restore(struct repository *repo, const struct tables_restore_options *options,
    struct progress *progress, char ret_snapshot[SNAPSHOT_ID_TEXT_SIZE], json_t **ret_json,
    struct error *err);

/*
 * Take "NAME" or "DATABASE.NAME" apart, where a part in backticks may hold any character; caller
 * frees both.
 *   ret_database  NULL: none was named
 * ERROR_BAD_REQUEST: no names, or of a database that belongs to the server.
 */
int tables_restore_target(const char *as, char **ret_database, char **ret_table,
    struct error *err);

/*
 * Restore several tables, each name once, over so many connections at a time; one that needs another
 * (by a foreign key, a sequence, a view) waits until that is restored.  All files are looked at
 * first: one that is not there is named (ERROR_NOT_FOUND), and nothing was done.
 *   ret_tables    array to which what tables_restore() tells of each is appended; after a failure,
 *                 of those that were restored
 *   ret_snapshot  of one of them
 * The first failure is told; what is under way by then goes on to its end.
 */
int tables_restore_all(struct repository *repo, const struct tables_restore_options *options,
    const char *const *names, size_t count, unsigned connections, struct progress *progress,
    char ret_snapshot[SNAPSHOT_ID_TEXT_SIZE], json_t *ret_tables, struct error *err);

#endif
