/*
 * Back tables up: one consistent view over several connections, each table streamed into the
 * repository as one Avro file of a snapshot, and onto the exchange storage.
 *
 * Memory: one row and a few frames a connection, whatever the table.
 * A table that cannot be read is a loss, unless none could: the others are stored.
 * After a crash: no snapshot, and on the exchange storage the files that were there before.
 */
#ifndef HOLDFAST_AGENT_TABLES_BACKUP_H
#define HOLDFAST_AGENT_TABLES_BACKUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/files/backup.h"
#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/error.h"
#include "shared/limiter.h"
#include "shared/mariadb.h"
#include "shared/progress.h"

/* Below it lie the tables of a snapshot, and of the exchange storage; see FORMAT.md for others. */
#define TABLES_FOLDER "database"

/* Kinds of snapshots: of tables alone, and of folders with tables beside them. */
#define TABLES_KIND "tables"
#define TABLES_MIXED_KIND "mixed"

struct tables_backup_options {
	const struct mariadb_settings *server; /* with name: the database */
	const char *folder;   /* TABLES_FOLDER, or another of at most two components */
	const char *const *tables;
	size_t table_count;   /* 0: all of the database, its views and sequences too */
	const char *exchange; /* URL, or NULL: only into the repository */
	unsigned connections; /* at least 1 */
	unsigned threads;     /* of the repository's writer; 0: one per core */
	int level;
	bool no_verify;
	const struct limit *read_limit; /* bytes of rows a second, or NULL */
	const char *job, *run, *host; /* or NULL */
	const char *const *tags;
	size_t tag_count;
};

/*
 * Returns 0 with a snapshot (caller frees) once it is durable, and an array of {"table", "kind",
 * "rows", "bytes", "checksum"}.  ERROR_NOT_FOUND: none of the tables exists.
 */
int tables_backup(struct repository *repo, const struct tables_backup_options *options,
    struct progress *progress, struct snapshot **ret, json_t **ret_tables, struct error *err);

/*
 * Tables that go into a snapshot of folders, as one moment of both: options->beside of files_backup().
 * tables_beside_open() connects and reads the definitions; progress and options must outlive it.
 */
struct tables_beside;
int tables_beside_open(struct repository *repo, const struct tables_backup_options *options,
    struct progress *progress, struct tables_beside **ret, struct error *err);
const struct backup_beside *tables_beside_hooks(const struct tables_beside *beside);
/* What tables_backup() gives as ret_tables, once the backup is done; NULL before.  The caller's. */
json_t *tables_beside_take(struct tables_beside *beside);
void tables_beside_close(struct tables_beside *beside);

/* Whether a snapshot may hold tables, by its kind. */
bool tables_snapshot_has(const struct snapshot *snapshot);

#endif
