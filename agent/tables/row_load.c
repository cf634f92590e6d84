#include "agent/tables/row_load.h"

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/row_batch.h"
#include "agent/tables/row_insert.h"
#include "shared/mem.h"
#include "shared/text.h"

/* A transaction that lost to another one is done again, but not for ever. */
#define RETRY_MAX 20
/* Locks that somebody else holds are waited for so long, if the server may take so long at all. */
#define LOCK_WAIT_MAX_S 60u

struct row_load {
	const struct row_load_options *options;
	struct row_source *source;
	struct rejects *rejects;
	struct progress *progress;
	struct mariadb *db;
	struct table *table;
	const size_t *columns;        /* of the source: indexes into the table's */
	struct row_rule *rules;       /* one for each */
	size_t rule_count;
	const char *missing;          /* a column that the source does not have, and must */
	struct row_insert *insert;
	struct row_batch batch;
	struct row_load_counts counts;
	unsigned lock_wait_s;
	bool in_doubt;                /* the answer to a COMMIT was lost */
};

/* ---- the session and the table */

/*
 * Strict, so that nothing is bent to fit; 0 is a number like any other for an AUTO_INCREMENT
 * column.  Zero dates are as the server has it.
 */
static int
set_session(struct row_load *load, struct error *err)
{
	return mariadb_do(load->db,
	    "SET SESSION sql_mode = CONCAT('STRICT_ALL_TABLES,STRICT_TRANS_TABLES,"
	    "NO_AUTO_VALUE_ON_ZERO,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',"
	    " IF(FIND_IN_SET('NO_ZERO_DATE', @@GLOBAL.sql_mode) > 0, ',NO_ZERO_DATE', ''),"
	    " IF(FIND_IN_SET('NO_ZERO_IN_DATE', @@GLOBAL.sql_mode) > 0, ',NO_ZERO_IN_DATE', '')),"
	    " time_zone = '+00:00', foreign_key_checks = 1, unique_checks = 1,"
	    " check_constraint_checks = 1, sql_notes = 0, max_error_count = 64", err);
}

/* The server gives up before we do, so that the connection is not lost for a lock. */
static unsigned
lock_wait_of(const struct mariadb_settings *server)
{
	unsigned wait = server->read_timeout_s == 0 ? LOCK_WAIT_MAX_S : server->read_timeout_s;

	wait = wait > 1 ? wait - 1 : 1;
	return wait > LOCK_WAIT_MAX_S ? LOCK_WAIT_MAX_S : wait;
}

/* How long one statement waits for a lock: of rows, of the table, of all that is committed. */
static int
set_lock_waits(struct row_load *load, unsigned seconds, struct error *err)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SET SESSION innodb_lock_wait_timeout = %u,"
	    " lock_wait_timeout = %u", seconds, seconds);
	return mariadb_do(load->db, sql, err);
}

static int
check_table(const struct row_load *load, struct error *err)
{
	const struct table *table = load->table;

	if (table->kind != TABLE_BASE)
		return error_set(err, ERROR_BAD_REQUEST, "'%.100s' is a %s: it takes no rows",
		    table->name, table->kind == TABLE_VIEW ? "view" : "sequence");
	if (load->options->abort_on_error && !table->transactional) {
		error_set(err, ERROR_BAD_REQUEST, "the engine of table '%.100s' knows no "
		    "transactions: rows cannot be taken back", table->name);
		return error_hint(err, "load it with on_error=continue");
	}
	return 0;
}

/* Which columns must be given; caller frees. */
static int
read_required(struct row_load *load, bool **ret, struct error *err)
{
	const struct mariadb_param values[] = { mariadb_text(load->table->database),
		mariadb_text(load->table->name) };
	struct mariadb_result *result = NULL;
	bool *required;
	int rc;

	/* An ENUM without a default has its first member. */
	if (mariadb_select(load->db, "SELECT COLUMN_NAME FROM information_schema.COLUMNS"
	    " WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_DEFAULT IS NULL"
	    " AND IS_NULLABLE = 'NO' AND DATA_TYPE <> 'enum' AND EXTRA NOT LIKE '%auto_increment%'",
	    values, ARRAY_LEN(values), &result, err) != 0)
		return -1;
	required = mem_calloc(load->table->column_count, sizeof(*required));
	while ((rc = mariadb_next(result, err)) == 1)
		for (size_t i = 0; i < load->table->column_count; i++)
			if (strcmp(load->table->columns[i].name, mariadb_get(result, 0, NULL)) == 0)
				required[i] = true;
	mariadb_result_free(result);
	if (rc < 0)
		free(required);
	else
		*ret = required;
	return rc;
}

static bool
is_of_source(const struct row_load *load, size_t column)
{
	for (size_t i = 0; i < load->rule_count; i++)
		if (load->columns[i] == column)
			return true;
	return false;
}

static int
make_rules(struct row_load *load, struct error *err)
{
	const struct table *table = load->table;
	unsigned long version = mariadb_version(load->db);
	bool *required;

	if (read_required(load, &required, err) != 0)
		return -1;
	load->rules = mem_calloc(load->rule_count, sizeof(*load->rules));
	for (size_t i = 0; i < load->rule_count; i++)
		row_rule_init(&load->rules[i], table, &table->columns[load->columns[i]],
		    required[load->columns[i]], version);
	for (size_t i = 0; i < table->column_count && load->missing == NULL; i++) {
		struct row_rule rule;

		if (is_of_source(load, i))
			continue;
		row_rule_init(&rule, table, &table->columns[i], required[i], version);
		if (rule.required)
			load->missing = table->columns[i].name;
		row_rule_done(&rule);
	}
	free(required);
	return 0;
}

static int
open_table(struct row_load *load, struct error *err)
{
	load->lock_wait_s = lock_wait_of(load->options->server);
	if (mariadb_open(load->options->server, &load->db, err) != 0 ||
	    set_session(load, err) != 0 || set_lock_waits(load, load->lock_wait_s, err) != 0 ||
	    table_read(load->db, load->options->server->name, load->options->table, &load->table,
	    err) != 0 || check_table(load, err) != 0)
		return -1;
	if (load->source->begin(load->source->arg, load->table, &load->columns, &load->rule_count,
	    err) != 0 || make_rules(load, err) != 0)
		return -1;
	/* In short steps from here on, so that a run that is cancelled ends. */
	if (set_lock_waits(load, load->lock_wait_s > 4 ? 2 : 1, err) != 0)
		return -1;
	row_batch_init(&load->batch, load->rule_count);
	return row_insert_new(&(struct row_insert_options){
		.db = load->db,
		.table = load->table,
		.rules = load->rules,
		.rule_count = load->rule_count,
		.on_duplicate = load->options->on_duplicate,
		.stop_at_first = load->options->abort_on_error,
		.lock_wait_ms = (int64_t)load->lock_wait_s * 1000,
		.progress = load->progress,
	}, &load->insert, err);
}

static void
close_table(struct row_load *load)
{
	row_insert_free(load->insert);
	if (load->batch.rows != NULL)
		row_batch_done(&load->batch);
	for (size_t i = 0; load->rules != NULL && i < load->rule_count; i++)
		row_rule_done(&load->rules[i]);
	free(load->rules);
	table_free(load->table);
	mariadb_close(load->db);
}

/* ---- rejects */

static int
tell_rejected(struct row_load *load, const struct batch_row *row, struct error *err)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "row %llu", (unsigned long long)row->number);
	json_t *first = load->options->first_rejects;

	load->counts.rejected++;
	progress_loss(load->progress, name, (size_t)len, "%s", row->reason);
	if (first != NULL && json_array_size(first) < ROW_LOAD_FIRST_REJECTS)
		json_array_append_new(first, json_pack("{s:I, s:s?, s:s}", "number",
		    (json_int_t)row->number, "column", row->column, "reason", row->reason));
	if (load->rejects == NULL)
		return 0;
	return rejects_add(load->rejects, row->number, row->line, row->column, row->reason,
	    (const char *)load->batch.bytes.data + row->raw, row->raw_len, err);
}

/* All of the batch; with abort_on_error the first of them is the end. */
static int
tell_all_rejected(struct row_load *load, struct error *err)
{
	for (size_t i = 0; i < load->batch.count; i++) {
		const struct batch_row *row = &load->batch.rows[i];

		if (row->state != BATCH_REJECTED)
			continue;
		if (tell_rejected(load, row, err) != 0)
			return -1;
		if (!load->options->abort_on_error)
			continue;
		error_set(err, ERROR_BAD_REQUEST, "row %llu: %s", (unsigned long long)row->number,
		    row->reason);
		return error_hint(err, "no row was loaded");
	}
	return 0;
}

/* ---- batches */

/* The reason that the connection ended must not be covered by what follows from it. */
static void
roll_back(struct row_load *load)
{
	struct error ignored = ERROR_INIT;

	mariadb_do(load->db, "ROLLBACK", &ignored);
}

static int
commit(struct row_load *load, struct error *err)
{
	/* What cannot be done again waits for whoever backs the server up, or locked it. */
	if (load->options->abort_on_error && set_lock_waits(load, load->lock_wait_s, err) != 0)
		return -1;
	if (mariadb_do(load->db, "COMMIT", err) == 0)
		return 0;
	load->in_doubt = mariadb_is_lost(err);
	return -1;
}

static void
add_counts(struct row_load *load, const struct row_load_counts *more)
{
	load->counts.inserted += more->inserted;
	load->counts.updated += more->updated;
	load->counts.ignored += more->ignored;
}

/* Whether a transaction is worth another try. */
static bool
may_retry(const struct row_load *load, unsigned attempt, int64_t until, const struct error *err)
{
	/* Without transactions what was done stays done. */
	if (!load->table->transactional || !mariadb_is_retry(err))
		return false;
	/* Who lost to another one has waited for it; a lock may be held for ever. */
	return err->sys == ER_LOCK_DEADLOCK ? attempt < RETRY_MAX : time_monotonic_ms() < until;
}

/* One transaction; again if another one was in its way. */
static int
insert_in_transaction(struct row_load *load, struct error *err)
{
	int64_t until = time_monotonic_ms() + (int64_t)load->lock_wait_s * 1000;
	struct row_load_counts done;

	for (unsigned attempt = 0;; attempt++) {
		int rc = mariadb_do(load->db, "START TRANSACTION", err);

		done = (struct row_load_counts){ .read = 0 };
		if (rc == 0)
			rc = row_insert_batch(load->insert, &load->batch, &done, err);
		if (rc == 0)
			rc = commit(load, err);
		if (rc == 0)
			break;
		roll_back(load);
		if (!may_retry(load, attempt, until, err)) {
			if (!load->table->transactional)
				add_counts(load, &done);
			return -1;
		}
		error_clear(err);
		row_batch_retry(&load->batch);
	}
	add_counts(load, &done);
	return 0;
}

static int
flush(struct row_load *load, struct error *err)
{
	int rc;

	if (load->batch.count == 0)
		return 0;
	if (load->options->abort_on_error) {
		struct row_load_counts done = { .read = 0 };

		rc = row_insert_batch(load->insert, &load->batch, &done, err);
		add_counts(load, &done);
	} else {
		rc = insert_in_transaction(load, err);
	}
	if (rc == 0)
		rc = tell_all_rejected(load, err);
	if (rc == 0)
		row_batch_clear(&load->batch);
	return rc;
}

/* ---- rows */

/* A row's values into the batch, or the reason why not. */
static void
take_row(struct row_load *load, const struct row *row)
{
	struct batch_row *to = row_batch_add(&load->batch, row);
	struct error why = ERROR_INIT;
	char scratch[ROW_SCRATCH_SIZE];
	struct row_cell cell;
	bool any = false;

	if (row->reason != NULL) {
		row_batch_reject(to, false, NULL, row->reason);
		return;
	}
	for (size_t i = 0; i < load->rule_count; i++) {
		const struct row_rule *rule = &load->rules[i];

		if (row_check(rule, &row->values[i], scratch, &cell, &why) != 0) {
			row_batch_reject(to, false, rule->column->name, why.message);
			return;
		}
		/* A row that is there keeps its number, when its other values are renewed. */
		if (cell.type == ROW_CELL_NULL && rule->column->is_auto_increment &&
		    load->options->on_duplicate == ROW_DUPLICATE_UPDATE)
			cell.type = ROW_CELL_LEFT_OUT;
		any = any || cell.type != ROW_CELL_LEFT_OUT;
		row_batch_set(&load->batch, i, &cell, rule->bind);
	}
	if (load->missing != NULL) {
		error_set(&why, ERROR_BAD_REQUEST, "'%.100s': is missing, and has no default",
		    load->missing);
		row_batch_reject(to, false, load->missing, why.message);
	} else if (!any) {
		row_batch_reject(to, false, NULL, "the row gives no values");
	}
}

static int
load_rows_of_source(struct row_load *load, struct error *err)
{
	struct row row;
	int rc;

	if (load->options->abort_on_error && mariadb_do(load->db, "START TRANSACTION", err) != 0)
		return -1;
	while ((rc = load->source->next(load->source->arg, &row, err)) == 1) {
		const struct batch_row *last;

		load->counts.read++;
		take_row(load, &row);
		atomic_fetch_add(&load->progress->files, 1);
		last = &load->batch.rows[load->batch.count - 1];
		if (!row_batch_is_full(&load->batch) &&
		    !(load->options->abort_on_error && last->state == BATCH_REJECTED))
			continue;
		if (flush(load, err) != 0 || progress_check(load->progress, err) != 0)
			return -1;
	}
	if (rc == 0)
		rc = flush(load, err);
	if (rc == 0 && load->options->abort_on_error)
		rc = commit(load, err);
	return rc;
}

/* The server's words tell neither whose locks they are nor that another time may do. */
static void
tell_locks(const struct row_load *load, struct error *err)
{
	err->code = ERROR_UNAVAILABLE;
	error_prefix(err, "locks of others are in the way in table '%.100s': ",
	    load->options->table);
	error_hint(err, "load again without them; SHOW ENGINE INNODB STATUS and SHOW PROCESSLIST "
	    "tell whose they are");
}

/* What is in the table now, and what may be. */
static void
tell_failure(struct row_load *load, struct error *err)
{
	const struct row_load_counts *counts = &load->counts;
	unsigned long long kept = counts->inserted + counts->updated;

	if (err->code == ERROR_CANCELLED || err->code == ERROR_BAD_REQUEST || counts->read == 0 ||
	    (kept == 0 && err->hint[0] != '\0'))
		return;
	if (load->in_doubt)
		error_hint(err, "%llu rows are in the table, and %s: the server was lost while it "
		    "kept them", kept, load->options->abort_on_error ? "perhaps all" :
		    "perhaps those of the last batch");
	else if (kept == 0 && counts->ignored == 0)
		error_hint(err, "no row was loaded");
	else
		error_hint(err, "%llu rows are in the table; on_duplicate=ignore loads the rest",
		    kept);
}

int
row_load(const struct row_load_options *options, struct row_source *source,
    struct rejects *rejects, struct progress *progress, struct row_load_counts *ret_counts,
    struct error *err)
{
	struct row_load load = {
		.options = options,
		.source = source,
		.rejects = rejects,
		.progress = progress,
	};
	int rc;

	progress_phase(progress, "load");
	rc = open_table(&load, err);
	if (rc == 0)
		rc = load_rows_of_source(&load, err);
	if (rc != 0 && options->abort_on_error) {
		if (load.db != NULL)
			roll_back(&load);
		load.counts.inserted = load.counts.updated = load.counts.ignored = 0;
	}
	if (rc != 0 && mariadb_is_retry(err))
		tell_locks(&load, err);
	if (rc != 0)
		tell_failure(&load, err);
	*ret_counts = load.counts;
	close_table(&load);
	return rc;
}
