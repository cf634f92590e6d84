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
	bool append;           /* add the rows to the table that is there */
	bool dry_run;          /* compare counts and sums, change nothing */
	bool from_exchange;    /* not from a snapshot */
	const char *snapshot;  /* id; NULL: the newest that holds the table */
	const char *exchange;  /* URL, or NULL */
};

/*
 * ret_json: {"table", "as", "mode", "source", "rows", "checksum", "verified"}, for a dry run {...,
 * "present": {"rows", "checksum", "same_columns"} or null, "same"}.  ret_snapshot: what was read,
 * "" for the exchange storage.
 * ERROR_NOT_FOUND: no such file, no such table to append to; ERROR_BAD_REQUEST: the file does not
 * fit; ERROR_CONFLICT: another restore of the table is at work; ERROR_CORRUPT: the rows that came
 * out are not those that went in.
 */
int tables_restore(struct repository *repo, const struct tables_restore_options *options,
    struct progress *progress, char ret_snapshot[SNAPSHOT_ID_TEXT_SIZE], json_t **ret_json,
    struct error *err);

#endif
