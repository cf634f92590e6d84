/*
 * What runs_store.c and jobs_store.c share: one connection under one lock.
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_STORE_INTERNAL_H
#define HOLDFAST_AGENT_JOBS_RUNS_STORE_INTERNAL_H

#include <pthread.h>

#include "agent/jobs/runs_store.h"
#include "shared/sql.h"

struct runs_store {
	char *folder;
	pthread_mutex_t lock;
	sqlite3 *db;
};

/* The caller of all these holds the lock. */

/* Run a statement without rows, and finalize it. */
int runs_store_finish(sqlite3_stmt *statement, struct error *err);
/* A new run in this state: "queued", or how it has ended, with its error. */
int runs_store_insert(struct runs_store *store, const struct run_row *row, const char *state,
    const json_t *error, struct error *err);
/* The runs that a condition selects, oldest first, as runs_store_unlogged() gives them.  text: for
 * ?1 of the condition, or NULL. */
int runs_store_select(struct runs_store *store, const char *condition, const char *text,
    json_t **ret, struct error *err);

#endif
