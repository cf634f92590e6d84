/*
 * The parts of a backup of tables: backup.c (which tables, one view, the snapshot), store.c (one
 * table over one connection).
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
	struct tree_roots roots;
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

/* Read one table and store it; its slot is filled in, not finished. */
int table_store(struct tables_backup *backup, struct mariadb *db, struct table_work *work,
    struct error *err);

#endif
