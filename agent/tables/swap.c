/*
 * A shadow table, and how it takes a table's place.
 *
 * RENAME is atomic, but foreign keys of other tables follow the table that is renamed away; they
 * are brought back by dropping it and by renaming the new one to its name and back, in one
 * statement.
 * That is done in swap_place.c.
 * Names of foreign keys and triggers belong to the old table until it is gone: the shadow has its
 * own under names of ours, which are exchanged at the end, so that they act at every moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "agent/tables/restore_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/*
 * While a statement that changes a table waits for those who use it, nobody else can begin to: so
 * each wait is short, and others have their turn before the next one.
 */
#define LOCK_PATIENCE_MS 60000
#define LOCK_PAUSE_MS 100

void
swap_init(struct swap *swap, struct mariadb *db, const struct mariadb_settings *server,
    const char *database, const char *target)
{
	unsigned long long hash = XXH3_64bits(target, strlen(target));

	memset(swap, 0, sizeof(*swap));
	swap->db = db;
	swap->server = server;
	swap->database = database;
	swap->target = target;
	swap->home = database;
	snprintf(swap->shadow, sizeof(swap->shadow), TABLE_SHADOW_PREFIX "new_%016llx", hash);
	snprintf(swap->old, sizeof(swap->old), TABLE_SHADOW_PREFIX "old_%016llx", hash);
}

void
swap_done(struct swap *swap)
{
	ddl_done(&swap->ddl);
}

static void
put_table(const struct swap *swap, const char *name, struct buffer *sql)
{
	mariadb_put_name(sql, swap->database);
	buffer_put_u8(sql, '.');
	mariadb_put_name(sql, name);
}

int
swap_begin_patience(struct swap *swap, struct error *err)
{
	swap->until_ms = time_monotonic_ms() + LOCK_PATIENCE_MS;
	return mariadb_do(swap->db, "SET SESSION lock_wait_timeout = " SWAP_LOCK_WAIT
	    ", innodb_lock_wait_timeout = " SWAP_LOCK_WAIT, err);
}

bool
swap_again(const struct swap *swap, struct error *err)
{
	static const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000 };

	if (!mariadb_is_retry(err) || time_monotonic_ms() >= swap->until_ms)
		return false;
	nanosleep(&pause, NULL);
	error_clear(err);
	return true;
}

/* Run what is in the buffer, and empty it. */
static int
run(const struct swap *swap, struct buffer *sql, struct error *err)
{
	int rc;

	do
		rc = mariadb_exec(swap->db, (const char *)sql->data, sql->len, NULL, err);
	while (rc != 0 && swap_again(swap, err));
	buffer_clear(sql);
	return rc;
}

int
swap_drop(const struct swap *swap, const char *name, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc;

	buffer_put_text(&sql, "DROP TABLE IF EXISTS ");
	put_table(swap, name, &sql);
	rc = run(swap, &sql, err);
	buffer_done(&sql);
	return rc;
}

int
swap_rename(const struct swap *swap, const char *a, const char *b, const char *c, const char *d,
    struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc;

	buffer_put_text(&sql, "RENAME TABLE ");
	put_table(swap, a, &sql);
	buffer_put_text(&sql, " TO ");
	put_table(swap, b, &sql);
	if (c != NULL) {
		buffer_put_text(&sql, ", ");
		put_table(swap, c, &sql);
		buffer_put_text(&sql, " TO ");
		put_table(swap, d, &sql);
	}
	rc = mariadb_exec(swap->db, (const char *)sql.data, sql.len, NULL, err);
	buffer_done(&sql);
	return rc;
}

static int
count_of(const struct swap *swap, const char *sql, const char *name, struct error *err)
{
	const struct mariadb_param values[] = { mariadb_text(swap->database), mariadb_text(name) };
	char *text = NULL;
	int count;

	if (mariadb_select_one(swap->db, sql, values, ARRAY_LEN(values), &text, err) != 0)
		return -1;
	count = text != NULL && strcmp(text, "0") != 0;
	free(text);
	return count;
}

int
swap_exists(struct swap *swap, const char *name, struct error *err)
{
	return count_of(swap, "SELECT COUNT(*) FROM information_schema.TABLES"
	    " WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", name, err);
}

int
swap_is_named(struct swap *swap, const char *name, struct error *err)
{
	return count_of(swap, "SELECT COUNT(*) FROM information_schema.KEY_COLUMN_USAGE"
	    " WHERE REFERENCED_TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME = ?", name, err);
}

int
swap_is_referred_to(struct swap *swap, struct error *err)
{
	return swap_is_named(swap, swap->target, err);
}

int
swap_lock(struct swap *swap, struct error *err)
{
	struct buffer name = BUFFER_INIT;
	char *got = NULL;
	int rc;

	buffer_printf(&name, "%s.%s", swap->database, swap->shadow);
	/* The server takes at most 64 characters. */
	if (name.len > 64) {
		unsigned long long hash = XXH3_64bits(name.data, name.len);

		buffer_clear(&name);
		buffer_printf(&name, "holdfast.%016llx", hash);
	}
	/* A moment, in which the server may notice that whoever had it is gone. */
	rc = mariadb_select_one(swap->db, "SELECT GET_LOCK(?, 20)",
	    (const struct mariadb_param[]){ mariadb_text(buffer_text(&name)) }, 1, &got, err);
	if (rc == 0 && (got == NULL || strcmp(got, "1") != 0)) {
		error_set(err, ERROR_CONFLICT, "table '%.200s' is being restored already",
		    swap->target);
		error_hint(err, "wait for the end of that run");
		rc = -1;
	}
	free(got);
	buffer_done(&name);
	return rc;
}

/* The table as it was comes back in place of the new one, or of none. */
static int
take_back(struct swap *swap, bool replaced, struct error *err)
{
	int rc;

	if (swap_drop(swap, swap->shadow, err) != 0)
		return -1;
	do
		rc = replaced ? swap_rename(swap, swap->target, swap->shadow, swap->old,
		    swap->target, err) : swap_rename(swap, swap->old, swap->target, NULL, NULL,
		    err);
	while (rc != 0 && swap_again(swap, err));
	return rc;
}

int
swap_recover(struct swap *swap, struct error *err)
{
	int old = swap_exists(swap, swap->old, err), target, referred;

	if (old < 0 || swap_begin_patience(swap, err) != 0)
		return -1;
	target = swap_exists(swap, swap->target, err);
	if (target < 0)
		return -1;
	if (old == 1) {
		/* Interrupted between the swap and its end. */
		if (take_back(swap, target == 1, err) != 0)
			return -1;
	} else if (target == 1) {
		/* Interrupted after the old table was gone: others refer to it still. */
		referred = swap_is_named(swap, swap->old, err);
		if (referred < 0 || (referred == 1 && swap_bring_keys(swap, err) != 0))
			return -1;
	}
	return swap_drop(swap, swap->shadow, err);
}

int
swap_create(struct swap *swap, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc;

	ddl_put(&swap->ddl, swap->database, swap->shadow, &sql);
	rc = run(swap, &sql, err);
	buffer_done(&sql);
	return rc == 0 ? 0 : error_prefix(err, "could not make a table as '%.100s' was: ",
	    swap->ddl.name);
}

void
swap_abandon(struct swap *swap)
{
	struct error ignored;

	/* If that fails, too, the next restore of the table does it. */
	(void)swap_drop(swap, swap->shadow, &ignored);
}

/* ---- foreign keys */

static void
put_own_name(const struct swap *swap, const char *what, size_t i, struct buffer *sql)
{
	char name[64];

	snprintf(name, sizeof(name), TABLE_SHADOW_PREFIX "%s%zu_%.16s", what, i,
	    swap->shadow + strlen(swap->shadow) - 16);
	mariadb_put_name(sql, name);
}

/* Those that the table refers to stay where they are, wherever it goes. */
static void
put_key(const struct swap *swap, size_t i, struct buffer *sql)
{
	bool elsewhere = strcmp(swap->home, swap->database) != 0;

	ddl_put_key(&swap->ddl.keys[i], swap->ddl.name, swap->target,
	    elsewhere ? swap->home : NULL, sql);
}

static int
add_keys(const struct swap *swap, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc = 0;

	if (swap->ddl.key_count == 0)
		return 0;
	buffer_put_text(&sql, "ALTER TABLE ");
	put_table(swap, swap->shadow, &sql);
	for (size_t i = 0; i < swap->ddl.key_count; i++) {
		buffer_put_text(&sql, i == 0 ? " ADD " : ", ADD ");
		/* A copy's keys get names from the server: theirs are taken. */
		if (!swap->renamed) {
			buffer_put_text(&sql, "CONSTRAINT ");
			put_own_name(swap, "key", i, &sql);
			buffer_put_u8(&sql, ' ');
		}
		put_key(swap, i, &sql);
	}
	rc = run(swap, &sql, err);
	buffer_done(&sql);
	return rc == 0 ? 0 : error_prefix(err, "could not add the foreign keys of '%.100s': ",
	    swap->ddl.name);
}

static int
name_keys(const struct swap *swap, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	int rc;

	if (swap->ddl.key_count == 0 || swap->renamed)
		return 0;
	buffer_put_text(&sql, "ALTER TABLE ");
	put_table(swap, swap->target, &sql);
	for (size_t i = 0; i < swap->ddl.key_count; i++) {
		buffer_put_text(&sql, i == 0 ? " DROP FOREIGN KEY " : ", DROP FOREIGN KEY ");
		put_own_name(swap, "key", i, &sql);
		buffer_put_text(&sql, ", ADD CONSTRAINT ");
		mariadb_put_name(&sql, swap->ddl.keys[i].name);
		buffer_put_u8(&sql, ' ');
		put_key(swap, i, &sql);
	}
	rc = run(swap, &sql, err);
	buffer_done(&sql);
	return rc;
}

/* ---- triggers */

/* "root@localhost", which may hold further @ before the last. */
static void
put_definer(const char *definer, struct buffer *sql)
{
	const char *at = strrchr(definer, '@');
	char *user;

	if (at == NULL)
		return;
	user = mem_strdup(definer);
	user[at - definer] = '\0';
	buffer_put_text(sql, "DEFINER = ");
	mariadb_put_name(sql, user);
	buffer_put_u8(sql, '@');
	mariadb_put_name(sql, at + 1);
	buffer_put_u8(sql, ' ');
	free(user);
}

/*
 * As it was when it was made: its sql_mode and collation belong to it.  The client's character set
 * does not: its text came to us, and is sent, in UTF-8.
 */
static int
create_trigger(const struct swap *swap, size_t i, bool under_own_name, const char *table,
    struct error *err)
{
	const struct table_trigger *trigger = &swap->triggers[i];
	const struct mariadb_param session[] = { mariadb_text(trigger->sql_mode),
		mariadb_text(trigger->collation) };
	struct buffer sql = BUFFER_INIT;
	int rc;

	if (mariadb_run(swap->db, "SET SESSION sql_mode = ?, collation_connection = ?", session,
	    ARRAY_LEN(session), NULL, err) != 0)
		return -1;
	buffer_put_text(&sql, "CREATE ");
	put_definer(trigger->definer, &sql);
	buffer_put_text(&sql, "TRIGGER ");
	mariadb_put_name(&sql, swap->database);
	buffer_put_u8(&sql, '.');
	if (under_own_name)
		mariadb_put_name(&sql, trigger->name);
	else
		put_own_name(swap, "trigger", i, &sql);
	buffer_printf(&sql, " %s %s ON ", trigger->timing, trigger->event);
	put_table(swap, table, &sql);
	buffer_put_text(&sql, " FOR EACH ROW ");
	buffer_put_text(&sql, trigger->statement);
	rc = run(swap, &sql, err);
	buffer_done(&sql);
	return rc == 0 ? 0 : error_prefix(err, "could not make trigger '%.100s': ",
	    trigger->name);
}

/* The statements' own session, after those of triggers. */
static int
reset_session(const struct swap *swap, struct error *err)
{
	return mariadb_do(swap->db,
	    "SET SESSION sql_mode = '', collation_connection = utf8mb4_general_ci", err);
}

static int
add_triggers(const struct swap *swap, struct error *err)
{
	for (size_t i = 0; i < swap->trigger_count; i++)
		if (create_trigger(swap, i, false, swap->shadow, err) != 0)
			return -1;
	return swap->trigger_count == 0 ? 0 : reset_session(swap, err);
}

/* Nobody else comes in while they are exchanged, so that none acts twice or not at all. */
static int
name_triggers(const struct swap *swap, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	struct error ignored;
	int rc;

	if (swap->trigger_count == 0)
		return 0;
	buffer_put_text(&sql, "LOCK TABLES ");
	put_table(swap, swap->target, &sql);
	buffer_put_text(&sql, " WRITE");
	rc = run(swap, &sql, err);
	for (size_t i = 0; i < swap->trigger_count && rc == 0; i++) {
		buffer_put_text(&sql, "DROP TRIGGER ");
		mariadb_put_name(&sql, swap->database);
		buffer_put_u8(&sql, '.');
		put_own_name(swap, "trigger", i, &sql);
		rc = run(swap, &sql, err);
	}
	for (size_t i = 0; i < swap->trigger_count && rc == 0; i++)
		rc = create_trigger(swap, i, true, swap->target, err);
	buffer_done(&sql);
	if (mariadb_do(swap->db, "UNLOCK TABLES", rc == 0 ? err : &ignored) != 0)
		rc = -1;
	return rc == 0 ? reset_session(swap, err) : -1;
}

/* ---- the swap */

int
swap_finish(struct swap *swap, struct error *err)
{
	int exists;

	if (swap_begin_patience(swap, err) != 0 || add_keys(swap, err) != 0 ||
	    add_triggers(swap, err) != 0)
		return -1;
	exists = swap_exists(swap, swap->target, err);
	if (exists < 0)
		return -1;
	if ((exists == 1 ? swap_replace(swap, err) :
	    swap_rename(swap, swap->shadow, swap->target, NULL, NULL, err)) != 0)
		return -1;
	/* If interrupted here, all is in force, under names of ours. */
	if (name_keys(swap, err) != 0 || name_triggers(swap, err) != 0) {
		error_prefix(err, "the rows of '%.100s' are restored, but: ", swap->target);
		return error_hint(err, "its foreign keys and triggers are there under other names; "
		    "restore it again");
	}
	return 0;
}
