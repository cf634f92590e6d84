/*
 * The parts of a backup of tables: backup.c (which tables, one view, their folder), store.c (one
 * table over one connection), backup_alone.c (a snapshot of tables), backup_beside.c (tables in a
 * snapshot of folders).
 */
#ifndef HOLDFAST_AGENT_TABLES_BACKUP_INTERNAL_H
#define HOLDFAST_AGENT_TABLES_BACKUP_INTERNAL_H

#include <pthread.h>

#include "agent/repository/stream.h"
#include "agent/repository/tree_builder.h"
#include "agent/repository/writer.h"
#include "agent/tables/backup.h"
#include "agent/tables/container.h"
#include "agent/tables/exchange.h"
#include "agent/tables/scan.h"

/* One table of a backup. */
struct table_work {
	struct table *table;
	char *component;            /* its name in paths */
	struct tree_slot *slot;     /* of its file */
	struct exchange_file *file; /* written, not yet published; or NULL */
	struct row_sum sum;
	uint64_t bytes;
	struct error failure;
};

struct table_connection {
	struct tables_backup *backup;
	struct mariadb *db;
	pthread_t thread;
};

struct tables_backup {
	const struct tables_backup_options *options;
	struct repository *repo;
	struct progress *progress;
	struct writer *writer;
	struct table_work *works;   /* in the order of their names in paths */
	size_t work_count;
	struct table_work **order;  /* in which they are read */
	struct table_connection *connections;
	size_t connection_count;
	struct mariadb *locker;     /* holds the tables locked, or NULL */
	pthread_mutex_t lock;       /* what follows, and the locker once threads run */
	size_t next;
	size_t locked_left;         /* tables that need the lock until they are read */
};

/*
 * Connect and read the definitions.  backup is zero but for options, repo and progress;
 * tables_close() ends it, also after a failure.
 */
int tables_open(struct tables_backup *backup, struct error *err);
void tables_close(struct tables_backup *backup);
/* What the snapshot names: the database's folder, or one for each table that was asked for.
 * The caller frees each and the array. */
char **tables_sources(const struct tables_backup *backup, size_t *ret_count);
/* The first component of options->folder, as an entry of the root; the caller owns it. */
void tables_first_folder(const struct tables_backup_options *options, struct entry *ret);
/* Now is the moment that the backup shows. */
int tables_begin_view(struct tables_backup *backup, struct error *err);
/*
 * Read all tables and store them in the first folder, with backup->writer.  Ends the folder, whose
 * tree is complete on return.  Fails if the run was cancelled, or no table could be read.
 */
int tables_store(struct tables_backup *backup, struct tree_dir *first, struct error *err);
/* Once all is durable: put the files of the exchange storage in their places.  One that cannot be
 * is a loss. */
void tables_publish_files(struct tables_backup *backup);
/* Add what was stored to the snapshot's figures.  ret_tables: as tables_backup() has it. */
void tables_take_figures(const struct tables_backup *backup, struct snapshot *snapshot,
    json_t **ret_tables);

/* Read one table and store it; its slot is filled in, not finished. */
int table_store(struct tables_backup *backup, struct mariadb *db, struct table_work *work,
    struct error *err);

#endif
