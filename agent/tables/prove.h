/*
 * Show that tables of a snapshot can be restored: some are restored into a database that is made for
 * it and dropped again, counted and summed there, and compared with what was recorded when they
 * were backed up.
 *
 * The database's name begins with TABLES_PROVE_PREFIX.  It must not exist before: one that holds
 * somebody's data is never touched.  After a crash it may be left; whoever knows the name drops
 * it (tables_prove_drop()).
 */
#ifndef HOLDFAST_AGENT_TABLES_PROVE_H
#define HOLDFAST_AGENT_TABLES_PROVE_H

#include <jansson.h>
#include <stdint.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/error.h"
#include "shared/mariadb.h"
#include "shared/progress.h"

#define TABLES_PROVE_PREFIX "holdfast_prove_"
#define PROVE_TABLES_MAX 1000

struct tables_prove_options {
	const struct mariadb_settings *server; /* with name: the database that they came from */
	const char *folder;    /* of that database, in the snapshot */
	const char *database;  /* the one to make; begins with the prefix */
	unsigned connections;
	uint64_t tables;       /* at most so many, taken at random, up to PROVE_TABLES_MAX */
	uint64_t bytes;        /* of whose files together there are so many */
};

/*
 * ret: {"count", "bytes", "of": tables in the snapshot, "too_large": those whose file is larger than
 * bytes, "tables": what tables_restore_all() tells of each}.  Views and sequences are not taken.
 * ERROR_CORRUPT: one did not come out as it went in.
 */
int tables_prove(struct repository *repo, const struct snapshot *snapshot,
    const struct tables_prove_options *options, struct progress *progress, json_t **ret,
    struct error *err);

/* Drop a database that a proof has left.  One that is not there is fine. */
int tables_prove_drop(const struct mariadb_settings *server, const char *database,
    struct error *err);

#endif
