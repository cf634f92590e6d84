/*
 * The agent's two sets of migrations: "log", the central log's own schema, and "user", the folder
 * that [database] migrations names, or the one that comes with the program.
 */
#ifndef HOLDFAST_AGENT_MIGRATIONS_H
#define HOLDFAST_AGENT_MIGRATIONS_H

#include <stdbool.h>

#include "agent/config.h"
#include "shared/migrate.h"

struct agent_migrations {
	struct mariadb_settings settings; /* lends the configuration's texts */
	struct migrations *migrations;    /* migrations_free() */
};

/*
 * The log's, or those of the database as config_database() finds it.
 * ERROR_CONFIG if no server is configured for the log.
 */
int agent_migrations_load(const struct config *config, bool log, const char *database,
    struct agent_migrations *ret, struct error *err);

/* "up", "down", "to N"; text NULL is "up".  ERROR_USAGE. */
int agent_migrations_task(const char *verb, const char *version, struct migrate_task *ret,
    struct error *err);

#endif
