#include "shared/migrate.h"

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/mem.h"
#include "shared/migrate_internal.h"
#include "shared/text.h"

/* One look at the lock, short of any read time-out; and how long to go on looking. */
#define LOCK_LOOK_S 1
#define LOCK_WAIT_MS (15 * 60 * 1000)

static const char table_text[] = "CREATE TABLE IF NOT EXISTS " MIGRATE_TABLE " ("
    "set_name VARCHAR(64) NOT NULL, version INT UNSIGNED NOT NULL, name VARCHAR(200) NOT NULL,"
    " checksum CHAR(64) NOT NULL, state VARCHAR(16) NOT NULL, applied_at DATETIME(6) NOT NULL,"
    " duration_ms BIGINT UNSIGNED NOT NULL DEFAULT 0,"
    " statements_done INT UNSIGNED NOT NULL DEFAULT 0, done_checksum CHAR(64), message TEXT,"
    " PRIMARY KEY (set_name, version)) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4";

/* ---- rows */

static char *
copy(const struct mariadb_result *result, size_t i)
{
	const char *text = mariadb_get(result, i, NULL);

	return text == NULL ? NULL : mem_strdup(text);
}

int
migrate_rows_read(struct mariadb *db, const char *set, struct migrate_rows *ret,
    struct error *err)
{
	struct mariadb_param value = mariadb_text(set);
	struct mariadb_result *result = NULL;
	struct migrate_rows rows = { NULL, 0 };
	struct error why = ERROR_INIT;
	int rc;

	if (mariadb_select(db, "SELECT version, name, checksum, state, message,"
	    " DATE_FORMAT(applied_at, '%Y-%m-%dT%H:%i:%s.%fZ'), duration_ms, statements_done,"
	    " done_checksum FROM " MIGRATE_TABLE " WHERE set_name = ? ORDER BY version", &value, 1,
	    &result, &why) != 0) {
		if (why.sys == ER_NO_SUCH_TABLE)
			return 0;
		*err = why;
		return -1;
	}
	while ((rc = mariadb_next(result, err)) == 1) {
		rows.list = mem_realloc(rows.list, rows.count + 1, sizeof(*rows.list));
		rows.list[rows.count++] = (struct migrate_row){
			.version = (uint32_t)mariadb_get_int(result, 0),
			.name = copy(result, 1), .checksum = copy(result, 2),
			.state = copy(result, 3), .message = copy(result, 4),
			.applied_at = copy(result, 5),
			.duration_ms = mariadb_get_int(result, 6),
			.done = (unsigned)mariadb_get_int(result, 7),
			.done_checksum = copy(result, 8) };
	}
	mariadb_result_free(result);
	if (rc != 0) {
		migrate_rows_done(&rows);
		return -1;
	}
	migrate_rows_done(ret);
	*ret = rows;
	return 0;
}

void
migrate_rows_done(struct migrate_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		free(rows->list[i].name);
		free(rows->list[i].checksum);
		free(rows->list[i].state);
		free(rows->list[i].message);
		free(rows->list[i].applied_at);
		free(rows->list[i].done_checksum);
	}
	free(rows->list);
	*rows = (struct migrate_rows){ NULL, 0 };
}

const struct migrate_row *
migrate_row_find(const struct migrate_rows *rows, uint32_t version)
{
	for (size_t i = 0; i < rows->count; i++)
		if (rows->list[i].version == version)
			return &rows->list[i];
	return NULL;
}

static bool
is_state(const struct migrate_row *row, const char *state)
{
	return row != NULL && strcmp(row->state, state) == 0;
}

/* ---- the database and the lock */

/* Connect; make the database if it is missing and that is asked for.  1: it is missing. */
static int
open_database(const struct mariadb_settings *settings, bool make, struct mariadb **ret,
    struct error *err)
{
	struct mariadb_settings nameless = *settings;
	struct buffer text = BUFFER_INIT;
	struct error why = ERROR_INIT;
	struct mariadb *db = NULL;
	int rc;

	if (mariadb_open(settings, ret, &why) == 0)
		return 0;
	if (why.sys != ER_BAD_DB_ERROR) {
		*err = why;
		return -1;
	}
	if (!make)
		return 1;
	nameless.name = NULL;
	if (mariadb_open(&nameless, &db, err) != 0)
		return -1;
	buffer_put_text(&text, "CREATE DATABASE IF NOT EXISTS ");
	mariadb_put_name(&text, settings->name);
	buffer_put_text(&text, " CHARACTER SET utf8mb4");
	rc = mariadb_do(db, buffer_text(&text), err);
	mariadb_close(db);
	buffer_done(&text);
	return rc != 0 ? -1 : mariadb_open(settings, ret, err);
}

/*
 * The lock is the server's, for all databases: its name holds this one's, hashed, as it may be
 * longer than the 64 characters that a lock's name has.  It goes with the connection.
 */
static int
take_lock(struct mariadb *db, const char *name, const struct migrate_task *task,
    struct error *err)
{
	struct mariadb_param values[] = { mariadb_text(name), mariadb_int(LOCK_LOOK_S) };
	int64_t began_ms = time_monotonic_ms();
	char *got = NULL;

	do {
		free(got);
		got = NULL;
		if (task->give_up != NULL && task->give_up(task->give_up_arg))
			return error_set(
			    err, ERROR_CANCELLED, "cancelled while somebody else migrates");
		if (mariadb_select_one(db,
		    "SELECT GET_LOCK(CONCAT('holdfast.migrate.', SHA1(?)), ?)", values,
		    ARRAY_LEN(values), &got, err) != 0)
			return -1;
		if (got != NULL && strcmp(got, "1") == 0) {
			free(got);
			return 0;
		}
	} while (time_monotonic_ms() - began_ms < LOCK_WAIT_MS);
	free(got);
	error_set(err, ERROR_UNAVAILABLE, "somebody else has been migrating '%s' for %d minutes",
	    name, LOCK_WAIT_MS / 60000);
	return error_hint(err, "SHOW PROCESSLIST on the server tells what it waits for");
}

/*
 * The lock is that of one server, and of a Galera cluster each node is one: so whoever has it also
 * claims a row of the table, of which the cluster lets one node only change it.  A claim of this
 * very node is of somebody who died, as we have the lock; one of another node is believed for as
 * long as it was renewed, which is before each statement.  (An ALTER that takes longer holds up the
 * whole cluster, claims too.)
 */
#define CLAIM_ROW " set_name = '' AND version = 0"
#define THIS_NODE "LEFT(CONCAT(@@hostname, ':', @@port), 200)"

static int
try_claim(struct mariadb *db, uint64_t *ret, struct error *err)
{
	if (mariadb_run(db, "INSERT IGNORE INTO " MIGRATE_TABLE
	    " (set_name, version, name, checksum, state, applied_at)"
	    " VALUES ('', 0, " THIS_NODE ", '', 'claimed', UTC_TIMESTAMP(6))", NULL, 0, ret,
	    err) != 0)
		return -1;
	if (*ret > 0)
		return 0;
	return mariadb_run(db, "UPDATE " MIGRATE_TABLE
	    " SET name = " THIS_NODE ", applied_at = UTC_TIMESTAMP(6) WHERE" CLAIM_ROW
	    " AND (name = " THIS_NODE " OR applied_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)",
	    NULL, 0, ret, err);
}

static int
take_claim(struct mariadb *db, const char *name, const struct migrate_task *task,
    struct error *err)
{
	const struct timespec moment = { .tv_sec = 1 };
	int64_t began_ms = time_monotonic_ms();
	uint64_t got = 0;

	for (;;) {
		struct error why = ERROR_INIT;

		/* Another node was faster: the cluster says so by a deadlock. */
		if (try_claim(db, &got, &why) != 0 && !mariadb_is_retry(&why)) {
			*err = why;
			return -1;
		}
		if (got > 0)
			return 0;
		if (time_monotonic_ms() - began_ms >= LOCK_WAIT_MS)
			break;
		if (task->give_up != NULL && task->give_up(task->give_up_arg))
			return error_set(
			    err, ERROR_CANCELLED, "cancelled while somebody else migrates");
		nanosleep(&moment, NULL);
	}
	error_set(err, ERROR_UNAVAILABLE, "somebody else has been migrating '%s' for %d minutes, "
	    "over another node", name, LOCK_WAIT_MS / 60000);
	return error_hint(err, "if nobody does, delete the row of set_name '' from " MIGRATE_TABLE);
}

int
migrate_renew(struct mariadb *db, struct error *err)
{
	uint64_t ours = 0;

	if (mariadb_run(db, "UPDATE " MIGRATE_TABLE " SET applied_at = UTC_TIMESTAMP(6) WHERE"
	    CLAIM_ROW " AND name = " THIS_NODE, NULL, 0, &ours, err) != 0)
		return -1;
	return ours > 0 ? 0 : error_set(
	    err, ERROR_CONFLICT, "somebody else has taken the migration over");
}

/* If that fails, the next one of this node takes it over, and others after an hour. */
static void
drop_claim(struct mariadb *db)
{
	struct error ignored = ERROR_INIT;

	(void)mariadb_do(db, "DELETE FROM " MIGRATE_TABLE " WHERE" CLAIM_ROW " AND name = "
	    THIS_NODE, &ignored);
}

/* One at a time, and each sees what the one before it did. */
static int
begin_migrating(struct mariadb *db, const char *name, const struct migrate_task *task,
    struct error *err)
{
	struct error ignored = ERROR_INIT;

	/* It waits as long as a statement of the other session takes. */
	if (mariadb_do(db, "SET SESSION wait_timeout = 2147483", err) != 0)
		return -1;
	/* A node of a cluster may be behind; a server without it knows no such setting. */
	(void)mariadb_do(db, "SET SESSION wsrep_sync_wait = 15", &ignored);
	if (take_lock(db, name, task, err) != 0 || mariadb_do(db, table_text, err) != 0)
		return -1;
	return take_claim(db, name, task, err);
}

/* ---- what is to be done */

struct step {
	const struct migration *migration;
	const struct migrate_row *row;
	bool up;
};

struct plan {
	struct step *list;
	size_t count;
};

static void
add_step(struct plan *plan, const struct migration *migration, const struct migrate_row *row,
    bool up)
{
	plan->list = mem_realloc(plan->list, plan->count + 1, sizeof(*plan->list));
	plan->list[plan->count++] = (struct step){ migration, row, up };
}

/* Nothing is done on a base that is not what the files say. */
static int
check_applied(const struct migrations *migrations, const struct migrate_rows *rows,
    struct error *err)
{
	uint32_t newest = migrations->count == 0 ? 0 :
	    migrations->list[migrations->count - 1].version;

	for (size_t i = 0; i < rows->count; i++) {
		const struct migrate_row *row = &rows->list[i];
		const struct migration *migration = migration_find(migrations, row->version);

		if (migration == NULL && row->version > newest)
			continue; /* from a newer program, or a newer folder */
		if (migration == NULL) {
			error_set(err, ERROR_CONFLICT,
			    "migration %u '%s' was applied, and its file is missing", row->version,
			    row->name);
			return error_hint(
			    err, "bring %04u_%s.up.sql back", row->version, row->name);
		}
		if (!is_state(row, "applied") || strcmp(row->checksum, migration->checksum) == 0)
			continue;
		error_set(err, ERROR_CONFLICT, "'%s' was changed after it was applied",
		    migration->up_file);
		return error_hint(err, "bring back the file as it was at %s, and put the change "
		    "into a new migration", row->applied_at);
	}
	return 0;
}

static int
plan_down(const struct migrations *migrations, const struct migrate_row *row, struct plan *plan,
    struct error *err)
{
	const struct migration *migration = migration_find(migrations, row->version);

	if (is_state(row, "applying")) {
		error_set(err, ERROR_CONFLICT, "migration %u '%s' is half applied", row->version,
		    row->name);
		return error_hint(err, "mend its file and migrate up; or undo by hand what it did, "
		    "and delete its row from " MIGRATE_TABLE);
	}
	if (migration == NULL || migration->down == NULL) {
		error_set(err, ERROR_CONFLICT, "migration %u '%s' has no .down.sql", row->version,
		    row->name);
		return error_hint(err, "write %04u_%s.down.sql, which undoes it", row->version,
		    row->name);
	}
	add_step(plan, migration, row, false);
	return 0;
}

static int
plan_up(const struct migration *migration, const struct migrate_row *row, struct plan *plan,
    struct error *err)
{
	if (is_state(row, "applied"))
		return 0;
	if (is_state(row, "undoing")) {
		error_set(err, ERROR_CONFLICT, "migration %u '%s' is half undone", row->version,
		    row->name);
		return error_hint(err, "mend its .down.sql and migrate down first");
	}
	add_step(plan, migration, row, true);
	return 0;
}

static int
make_plan(const struct migrations *migrations, const struct migrate_rows *rows,
    const struct migrate_task *task, struct plan *plan, struct error *err)
{
	uint32_t limit = task->way == MIGRATE_TO ? task->version : UINT32_MAX;

	if (check_applied(migrations, rows, err) != 0)
		return -1;
	if (task->way == MIGRATE_TO && limit != 0 && migration_find(migrations, limit) == NULL)
		return error_set(err, ERROR_NOT_FOUND, "there is no migration %u", limit);
	if (task->way == MIGRATE_DOWN)
		return rows->count == 0 ? 0 :
		    plan_down(migrations, &rows->list[rows->count - 1], plan, err);
	for (size_t i = rows->count; i-- > 0 && rows->list[i].version > limit; )
		if (plan_down(migrations, &rows->list[i], plan, err) != 0)
			return -1;
	for (size_t i = 0; i < migrations->count && migrations->list[i].version <= limit; i++) {
		const struct migration *migration = &migrations->list[i];

		if (plan_up(migration, migrate_row_find(rows, migration->version), plan, err) != 0)
			return -1;
	}
	return 0;
}

/* ---- telling */

static json_t *
summary(const struct mariadb_settings *settings, const struct migrations *migrations,
    const struct migrate_rows *rows)
{
	json_int_t version = 0, pending = 0;

	for (size_t i = 0; i < rows->count; i++)
		if (is_state(&rows->list[i], "applied"))
			version = rows->list[i].version;
	for (size_t i = 0; i < migrations->count; i++)
		pending += !is_state(
		    migrate_row_find(rows, migrations->list[i].version), "applied");
	return json_pack("{s:s, s:s, s:I, s:I}", "set", migrations->set, "database", settings->name,
	    "version", version, "pending", pending);
}

/* A dry run: each statement with its line. */
static int
describe_step(const struct step *step, json_t *planned, struct error *err)
{
	const struct migration *migration = step->migration;
	const char *file = step->up ? migration->up_file : migration->down_file;
	json_t *statements = json_array();
	struct sql_statement statement;
	struct sql_split split;
	char *shown;
	int rc;

	sql_split_init(&split, step->up ? migration->up : migration->down,
	    step->up ? migration->up_len : migration->down_len);
	while ((rc = sql_split_next(&split, &statement, err)) == 1) {
		shown = mem_printf("%.*s", (int)statement.len, statement.text);
		json_array_append_new(statements, json_pack("{s:I, s:s}", "line",
		    (json_int_t)statement.line, "text", shown));
		free(shown);
	}
	json_array_append_new(planned, json_pack("{s:I, s:s, s:s, s:s, s:o}", "version",
	    (json_int_t)migration->version, "name", migration->name, "direction",
	    step->up ? "up" : "down", "file", file, "statements", statements));
	if (rc < 0) {
		err->code = ERROR_CONFLICT;
		return error_prefix(err, "'%s' ", file);
	}
	return 0;
}

static int
do_plan(struct mariadb *db, const struct mariadb_settings *settings,
    const struct migrations *migrations, const struct plan *plan, bool dry_run, json_t *done,
    struct error *err)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct step *step = &plan->list[i];

		if ((dry_run ? describe_step(step, done, err) : migrate_apply(db, settings,
			migrations, step->migration, step->row, step->up, done, err)) != 0)
			return -1;
	}
	return 0;
}

int
migrate_run(const struct mariadb_settings *settings, const struct migrations *migrations,
    const struct migrate_task *task, json_t **ret, struct error *err)
{
	struct migrate_rows rows = { NULL, 0 };
	struct plan plan = { NULL, 0 };
	struct mariadb *db = NULL;
	json_t *done = json_array();
	bool claimed = false;
	int missing, rc = -1;

	missing = open_database(settings, !task->dry_run, &db, err);
	if (missing < 0)
		goto out;
	if (!task->dry_run) {
		if (begin_migrating(db, settings->name, task, err) != 0)
			goto out;
		claimed = true;
	}
	if (missing == 0 && migrate_rows_read(db, migrations->set, &rows, err) != 0)
		goto out;
	if (make_plan(migrations, &rows, task, &plan, err) != 0 ||
	    do_plan(db, settings, migrations, &plan, task->dry_run, done, err) != 0)
		goto out;
	/* The plan's rows are not looked at any more. */
	if (!task->dry_run && migrate_rows_read(db, migrations->set, &rows, err) != 0)
		goto out;
	*ret = summary(settings, migrations, &rows);
	json_object_set(*ret, task->dry_run ? "planned" : "done", done);
	rc = 0;
out:
	if (claimed)
		drop_claim(db);
	json_decref(done);
	free(plan.list);
	migrate_rows_done(&rows);
	mariadb_close(db);
	return rc;
}

static json_t *
describe(const struct migration *migration, const struct migrate_row *row)
{
	const char *state = row == NULL ? "pending" : row->state;

	if (is_state(row, "applied")) {
		if (migration == NULL)
			state = "missing";
		else if (strcmp(migration->checksum, row->checksum) != 0)
			state = "edited";
	}
	return json_pack("{s:I, s:s, s:s, s:s?, s:I, s:b, s:s?}", "version",
	    (json_int_t)(row != NULL ? row->version : migration->version), "name",
	    row != NULL ? row->name : migration->name, "state", state, "applied_at",
	    is_state(row, "applied") ? row->applied_at : NULL, "duration_ms",
	    (json_int_t)(row == NULL ? 0 : row->duration_ms), "undoable",
	    migration != NULL && migration->down != NULL, "message",
	    row == NULL ? NULL : row->message);
}

int
migrate_status(const struct mariadb_settings *settings, const struct migrations *migrations,
    json_t **ret, struct error *err)
{
	struct migrate_rows rows = { NULL, 0 };
	struct mariadb *db = NULL;
	json_t *all;
	size_t i = 0, j = 0;
	int missing = open_database(settings, false, &db, err);

	if (missing < 0 ||
	    (missing == 0 && migrate_rows_read(db, migrations->set, &rows, err) != 0)) {
		mariadb_close(db);
		return -1;
	}
	all = json_array();
	/* Both are sorted by version. */
	while (i < migrations->count || j < rows.count) {
		const struct migration *migration =
		    i < migrations->count ? &migrations->list[i] : NULL;
		const struct migrate_row *row = j < rows.count ? &rows.list[j] : NULL;

		if (migration != NULL && row != NULL && migration->version < row->version)
			row = NULL;
		else if (migration != NULL && row != NULL && row->version < migration->version)
			migration = NULL;
		i += migration != NULL;
		j += row != NULL;
		json_array_append_new(all, describe(migration, row));
	}
	*ret = summary(settings, migrations, &rows);
	json_object_set_new(*ret, "migrations", all);
	migrate_rows_done(&rows);
	mariadb_close(db);
	return 0;
}
