/*
 * One migration, up or down: its statements, and its row kept true.
 */
#include <mysqld_error.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/mem.h"
#include "shared/migrate_internal.h"
#include "shared/text.h"

/* An ALTER of a large table takes as long as it takes; a dead peer is noticed by keep-alives. */
#define STATEMENT_TIMEOUT_S 604800

#define SQL_MODE "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER," \
	"NO_ENGINE_SUBSTITUTION"

struct apply {
	struct mariadb *control, *work;
	const char *set;
	const struct migration *migration;
	const char *file;
	bool up;
	struct sql_statement *statements;
	size_t count, cap;
	size_t done;       /* statements that count as done */
	char done_checksum[65];
	crypto_hash_sha256_state hash; /* of the statements run so far */
};

/* All statements of the file, before the first of them is run. */
static int
split_file(struct apply *apply, struct error *err)
{
	const struct migration *migration = apply->migration;
	struct sql_split split;
	int rc;

	sql_split_init(&split, apply->up ? migration->up : migration->down,
	    apply->up ? migration->up_len : migration->down_len);
	do {
		MEM_GROW(apply->statements, apply->count, apply->cap);
		rc = sql_split_next(&split, &apply->statements[apply->count], err);
		if (rc == 1)
			apply->count++;
	} while (rc == 1);
	if (rc < 0) {
		error_prefix(err, "'%s' ", apply->file);
		err->code = ERROR_CONFLICT;
		return -1;
	}
	return 0;
}

static void
hash_statement(struct apply *apply, size_t i)
{
	const struct sql_statement *statement = &apply->statements[i];

	crypto_hash_sha256_update(&apply->hash, (const unsigned char *)statement->text,
	    statement->len);
	crypto_hash_sha256_update(&apply->hash, (const unsigned char *)"", 1);
}

/* The statements up to here are done. */
static void
note_done(struct apply *apply, size_t count)
{
	crypto_hash_sha256_state copy = apply->hash;
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256_final(&copy, hash);
	hex_encode(hash, sizeof(hash), apply->done_checksum);
	apply->done = count;
}

/* Where an unfinished one goes on. */
static int
find_start(struct apply *apply, const struct migrate_row *row, struct error *err)
{
	crypto_hash_sha256_init(&apply->hash);
	note_done(apply, 0);
	if (row == NULL || strcmp(row->state, "applied") == 0 || row->done == 0)
		return 0;
	for (size_t i = 0; i < row->done && i < apply->count; i++)
		hash_statement(apply, i);
	note_done(apply, row->done);
	if (row->done <= apply->count && row->done_checksum != NULL &&
	    strcmp(row->done_checksum, apply->done_checksum) == 0)
		return 0;
	error_set(err, ERROR_CONFLICT, "'%s': its first %u statements were run before it failed, "
	    "and are not the same any more", apply->file, row->done);
	return error_hint(err, "bring them back; or undo by hand what they did, and delete version "
	    "%u from " MIGRATE_TABLE, row->version);
}

static int
write_row(struct apply *apply, const char *message, struct error *err)
{
	struct mariadb_param values[] = {
		mariadb_text(apply->set), mariadb_uint(apply->migration->version),
		mariadb_text(apply->migration->name), mariadb_text(apply->migration->checksum),
		mariadb_text(apply->up ? "applying" : "undoing"), mariadb_uint(apply->done),
		mariadb_text(apply->done_checksum), mariadb_text(message),
	};

	return mariadb_run(apply->control, "REPLACE INTO " MIGRATE_TABLE
	    " (set_name, version, name, checksum, state, applied_at, statements_done, "
	    "done_checksum, message) VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(6), ?, ?, ?)",
	    values, ARRAY_LEN(values), NULL, err);
}

static int
finish_row(struct apply *apply, int64_t duration_ms, struct error *err)
{
	struct mariadb_param values[] = { mariadb_int(duration_ms), mariadb_text(apply->set),
		mariadb_uint(apply->migration->version) };

	if (!apply->up)
		return mariadb_run(apply->control, "DELETE FROM " MIGRATE_TABLE
		    " WHERE set_name = ? AND version = ?", values + 1, 2, NULL, err);
	return mariadb_run(apply->control, "UPDATE " MIGRATE_TABLE
	    " SET state = 'applied', duration_ms = ?, applied_at = UTC_TIMESTAMP(6),"
	    " statements_done = 0, done_checksum = NULL, message = NULL"
	    " WHERE set_name = ? AND version = ?", values, ARRAY_LEN(values), NULL, err);
}

/* The server counts lines within a statement: "... near 'x' at line 3". */
static unsigned
line_of(const struct sql_statement *statement, const struct error *err)
{
	const char *at = err->sys == ER_PARSE_ERROR ? strstr(err->message, " at line ") : NULL;
	const char *next;

	/* The last one is the server's: the text before it may hold another. */
	while (at != NULL && (next = strstr(at + 1, " at line ")) != NULL)
		at = next;
	return statement->line + (at == NULL ? 0 : (unsigned)strtoul(at + 9, NULL, 10) - 1);
}

static int
fail_statement(struct apply *apply, size_t i, struct error *err)
{
	struct error why = ERROR_INIT;

	error_prefix(err, "'%s' line %u, statement %zu of %zu: ", apply->file,
	    line_of(&apply->statements[i], err), i + 1, apply->count);
	error_hint(err, apply->done == 0 ?
	    "nothing of this file was done: mend it and migrate again"
	    : "the %zu statements before it are done and stay: mend this one and migrate again",
	    apply->done);
	/* The error that is told is the statement's; the row says at least which are done. */
	(void)write_row(apply, err->message, &why);
	return -1;
}

static bool
begins_with(const struct sql_statement *statement, const char *word)
{
	size_t len = strlen(word);

	return statement->len > len && strncasecmp(statement->text, word, len) == 0 &&
	    strchr(" \t\r\n@", statement->text[len]) != NULL;
}

static bool
in_transaction(struct apply *apply)
{
	return (mariadb_handle(apply->work)->server_status & SERVER_STATUS_IN_TRANS) != 0;
}

static int
run_statements(struct apply *apply, struct error *err)
{
	size_t start = apply->done;

	for (size_t i = 0; i < apply->count; i++) {
		const struct sql_statement *statement = &apply->statements[i];
		bool again = begins_with(statement, "SET") || begins_with(statement, "USE");

		if (i < start && !again)
			continue;
		if (migrate_renew(apply->control, err) != 0)
			return -1;
		if (mariadb_exec(apply->work, statement->text, statement->len, NULL, err) != 0)
			return fail_statement(apply, i, err);
		if (i < start)
			continue;
		hash_statement(apply, i);
		if (in_transaction(apply))
			continue;
		/* If interrupted here, the statement is done and the row does not say so: it runs
		 * again, and the server tells if that cannot be. */
		note_done(apply, i + 1);
		if (i + 1 < apply->count && write_row(apply, NULL, err) != 0)
			return -1;
	}
	if (in_transaction(apply) && mysql_commit(mariadb_handle(apply->work)) != 0) {
		mariadb_error(apply->work, "commit", err);
		return fail_statement(apply, apply->count - 1, err);
	}
	return 0;
}

static int
open_work(const struct mariadb_settings *settings, struct mariadb **ret, struct error *err)
{
	struct mariadb_settings patient = *settings;

	patient.read_timeout_s = STATEMENT_TIMEOUT_S;
	if (mariadb_open(&patient, ret, err) != 0)
		return -1;
	return mariadb_do(*ret, "SET SESSION sql_mode = '" SQL_MODE "'", err);
}

int
migrate_apply(struct mariadb *control, const struct mariadb_settings *settings,
    const struct migrations *migrations, const struct migration *migration,
    const struct migrate_row *row, bool up, json_t *done, struct error *err)
{
	struct apply apply = { .control = control, .set = migrations->set,
		.migration = migration, .up = up,
		.file = up ? migration->up_file : migration->down_file };
	int64_t began_ms = time_monotonic_ms(), duration_ms;
	int rc = -1;

	if (split_file(&apply, err) != 0 || find_start(&apply, row, err) != 0 ||
	    open_work(settings, &apply.work, err) != 0)
		goto out;
	if (write_row(&apply, NULL, err) != 0 || run_statements(&apply, err) != 0)
		goto out;
	duration_ms = time_monotonic_ms() - began_ms;
	if (finish_row(&apply, duration_ms, err) != 0)
		goto out;
	json_array_append_new(done, json_pack("{s:I, s:s, s:s, s:s, s:I, s:I}", "version",
	    (json_int_t)migration->version, "name", migration->name, "direction",
	    up ? "up" : "down", "file", apply.file, "statements", (json_int_t)apply.count,
	    "duration_ms", (json_int_t)duration_ms));
	rc = 0;
out:
	mariadb_close(apply.work);
	free(apply.statements);
	return rc;
}
