/*
 * Migrations: numbered SQL files that bring a database's schema from one version to another.
 * One engine for the log's own schema and for a user's folder.
 *
 * A migration is NNNN_name.up.sql and, if it can be undone, NNNN_name.down.sql.  Which are done
 * stands in the table holdfast_migrations of the database itself, a row for each, by the set's
 * name ("log", "user"): version, name, SHA-256 of the up file, when and how long.
 *
 * Rules
 *  - One at a time: whoever migrates holds the server's lock (GET_LOCK), which each node of a
 *    Galera cluster has for itself, and claims a row of the table (set_name '', version 0),
 *    which is one for all nodes; others wait, and then find the work done.
 *  - An up file that was changed after it was applied is refused (ERROR_CONFLICT).
 *  - DDL cannot be rolled back, so a row is written before the first statement, and says after
 *    each one how many are done.  One that failed, or whose program was killed, stays
 *    "applying" (or "undoing"), with the reason; statements that are done are not run again:
 *    the next try goes on behind them, if they are still the same in the file.  Statements
 *    within a transaction of the file count as done when that has ended.  SET and USE among the
 *    done ones are run again, as the session is a new one.
 *  - Statements run in a session of their own; the table is written by another, so nothing that
 *    a file does (transactions, LOCK TABLES, USE) can make the table untrue.
 *  - The session's sql_mode is the server's default of MariaDB 10.11, whatever that server has.
 */
#ifndef HOLDFAST_SHARED_MIGRATE_H
#define HOLDFAST_SHARED_MIGRATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/mariadb.h"

struct migration {
	uint32_t version;
	char *name;           /* "departments" of 0001_departments.up.sql */
	char *up_file, *down_file; /* for messages; down_file NULL: cannot be undone */
	char *up, *down;      /* their texts */
	size_t up_len, down_len;
	char checksum[65];    /* SHA-256 of up, hexadecimal */
};

struct migrations {
	char *set; /* "log", "user" */
	struct migration *list; /* by version */
	size_t count;
};

/*
 * Read a folder, or with shipped the files that the program carries below that name
 * ("migrations", "company").  ERROR_CONFIG: two of one number, a .down without its .up, a .sql
 * file that is named otherwise, a number of 0 or none.
 */
int migrations_read(const char *set, const char *folder, bool shipped, struct migrations **ret,
    struct error *err);
void migrations_free(struct migrations *migrations);

enum migrate_way {
	MIGRATE_UP,   /* apply all that are pending */
	MIGRATE_DOWN, /* undo the newest */
	MIGRATE_TO,   /* apply those up to a version, undo those above, newest first */
};

struct migrate_task {
	enum migrate_way way;
	uint32_t version; /* of MIGRATE_TO */
	bool dry_run;     /* only say what would be done */
	/* Asked while somebody else migrates, or NULL: true ends the wait with ERROR_CANCELLED. */
	bool (*give_up)(void *arg);
	void *give_up_arg;
};

/*
 * Bring the database to where the task says; settings->name is made if it is missing.
 * ret: {"set", "database", "version" (the highest applied), "pending", "done": [{"version",
 * "name", "direction", "file", "statements", "duration_ms"}]}; of a dry run "planned" instead
 * of "done", its "statements" being [{"line", "text"}].
 * Errors: ERROR_CONFLICT (an edited or missing file, no way down), ERROR_UNAVAILABLE (somebody
 * else migrates and does not end), and those of the server, with file, line and statement.
 */
int migrate_run(const struct mariadb_settings *settings, const struct migrations *migrations,
    const struct migrate_task *task, json_t **ret, struct error *err);

/*
 * {"set", "database", "version", "pending", "migrations": [{"version", "name", "state":
 * "applied|pending|applying|undoing|edited|missing", "applied_at", "duration_ms", "undoable",
 * "message"}]}.  Changes nothing.
 */
int migrate_status(const struct mariadb_settings *settings, const struct migrations *migrations,
    json_t **ret, struct error *err);

#endif
