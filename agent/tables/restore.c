#include "agent/tables/restore.h"

#include <stdlib.h>
#include <string.h>

#include "agent/tables/condition.h"
#include "agent/tables/container.h"
#include "agent/tables/load.h"
#include "agent/tables/restore_internal.h"
#include "agent/tables/scan.h"
#include "shared/text.h"

const char *
restore_meta(const struct restore *restore, const char *name)
{
	return ocf_meta(restore->source.file, name, NULL);
}

static bool
is_kind(const struct restore *restore, const char *kind)
{
	const char *is = restore_meta(restore, CONTAINER_PREFIX "kind");

	return is != NULL && strcmp(is, kind) == 0;
}

/* With the rows of the past if the file has them. */
static int
read_table(struct restore *restore, const char *name, struct table **ret, struct error *err)
{
	struct table *table = NULL;

	if (table_read(restore->db, restore->swap.database, name, &table, err) != 0)
		return -1;
	if (restore_meta(restore, CONTAINER_PREFIX "history") != NULL &&
	    table_read_history(restore->db, table, err) != 0) {
		table_free(table);
		return -1;
	}
	*ret = table;
	return 0;
}

/* ---- how the table is made */

/*
 * A snapshot's file is sealed: what it says of the table is what the table was.  A file on the
 * exchange storage may be anybody's: its rows are taken, its triggers never, and its statement only
 * where there is no table to go by.
 */
static int
choose_definition(struct restore *restore, struct error *err)
{
	const char *create = restore_meta(restore, CONTAINER_PREFIX "create"), *text;
	const struct table *present = restore->present;
	json_t *json;
	int rc;

	if (present != NULL && (create == NULL || restore->options->from_exchange)) {
		restore->swap.triggers = present->triggers;
		restore->swap.trigger_count = restore->swap.renamed ? 0 : present->trigger_count;
		restore->swap.home = restore->swap.database;
		return ddl_parse(present->create, &restore->swap.ddl, err);
	}
	if (create == NULL) {
		error_set(err, ERROR_NOT_FOUND, "there is no table '%.200s', and the file does not "
		    "say how it is made", restore->target);
		return error_hint(err, "make the table first; the file's fields are its columns");
	}
	if (ddl_parse(create, &restore->swap.ddl, err) != 0)
		return -1;
	text = restore_meta(restore, CONTAINER_PREFIX "triggers");
	if (text == NULL || restore->options->from_exchange)
		return 0;
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		return error_set(err, ERROR_CORRUPT, "the triggers in the file are no JSON");
	rc = table_triggers_parse(json, &restore->triggers, &restore->trigger_count, err);
	json_decref(json);
	if (rc == 0 && restore->trigger_count > 0 && restore->swap.renamed)
		progress_note(restore->progress, restore->target, strlen(restore->target),
		    "triggers are not made on a copy under another name");
	restore->swap.triggers = restore->triggers;
	restore->swap.trigger_count = restore->swap.renamed ? 0 : restore->trigger_count;
	return rc;
}

/* ---- count and sum */

bool
restore_has_same_columns(const struct restore *restore, const struct table *table)
{
	json_t *mine = table_schema(table);
	json_t *theirs = json_loads(ocf_schema_text(restore->source.file), 0, NULL);
	bool same = json_equal(json_object_get(mine, "fields"),
	    json_object_get(theirs, "fields")) != 0;

	json_decref(mine);
	json_decref(theirs);
	return same;
}

int
restore_check_file(const struct restore *restore, struct error *err)
{
	const char *rows = restore_meta(restore, CONTAINER_PREFIX "rows");
	const char *checksum = restore_meta(restore, CONTAINER_PREFIX "checksum");
	char text[ROW_SUM_TEXT_SIZE];

	if (rows == NULL || checksum == NULL)
		return 0;
	row_sum_text(&restore->sum, text);
	if (strtoull(rows, NULL, 10) != restore->sum.rows)
		return error_set(err, ERROR_CORRUPT, "the file of '%.100s' holds %llu rows, and "
		    "should hold %.20s", restore->options->table,
		    (unsigned long long)restore->sum.rows, rows);
	if (strcmp(text, checksum) != 0)
		return error_set(err, ERROR_CORRUPT,
		    "the rows in the file of '%.100s' do not have the checksum that they should",
		    restore->options->table);
	return 0;
}

/* The table against the file. */
static int
check_table(struct restore *restore, const char *name, struct error *err)
{
	struct row_sum sum = { 0, 0, 0 };
	struct table *table = NULL;
	bool same;
	int rc;

	progress_phase(restore->progress, "verify");
	if (read_table(restore, name, &table, err) != 0)
		return -1;
	same = restore_has_same_columns(restore, table);
	rc = scan_sum(restore->db, table, restore->progress, &sum, err);
	table_free(table);
	if (rc != 0)
		return -1;
	if (sum.rows != restore->sum.rows)
		return error_set(err, ERROR_CORRUPT, "of %llu rows in the file of '%.100s' the "
		    "server has stored %llu", (unsigned long long)restore->sum.rows,
		    restore->options->table, (unsigned long long)sum.rows);
	if (!same) {
		if (restore->is_ours)
			progress_note(restore->progress, restore->target, strlen(restore->target),
			    "the columns are not those of the file: rows were counted, their "
			    "checksum could not be compared");
		return 0;
	}
	if (sum.low != restore->sum.low || sum.high != restore->sum.high) {
		error_set(err, ERROR_CORRUPT, "the server has not stored the rows of '%.100s' "
		    "exactly as they are in the file", restore->options->table);
		return error_hint(err, "the table was not touched");
	}
	restore->verified = true;
	return 0;
}

/* ---- filling the shadow */

/* A sequence has one row, and takes no LOAD DATA. */
static int
fill_sequence(struct restore *restore, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	struct table *table = NULL;
	const struct ocf_value *values;
	const uint8_t *row;
	size_t len;
	int rc;

	if (table_read(restore->db, restore->swap.database, restore->swap.shadow, &table,
	    err) != 0)
		return -1;
	rc = ocf_next(restore->source.file, &values, &row, &len, err);
	if (rc == 0)
		rc = error_set(err, ERROR_CORRUPT, "the file of a sequence has no row");
	if (rc == 1) {
		row_sum_add(&restore->sum, row, len);
		buffer_put_text(&sql, "INSERT INTO ");
		mariadb_put_name(&sql, table->database);
		buffer_put_u8(&sql, '.');
		mariadb_put_name(&sql, table->name);
		buffer_put_text(&sql, " VALUES (");
		rc = ocf_schema(restore->source.file)->field_count == table->column_count ? 0 :
		    error_set(err, ERROR_CORRUPT, "the file of a sequence has other fields");
		for (size_t i = 0; i < table->column_count && rc == 0; i++) {
			if (i > 0)
				buffer_put_u8(&sql, ',');
			if (values[i].type->kind == OCF_STRING ||
			    (values[i].type->kind == OCF_BYTES &&
			    values[i].type->logical != OCF_DECIMAL))
				rc = error_set(err, ERROR_CORRUPT,
				    "the file of a sequence holds no numbers");
			else
				rc = load_put_value(&table->columns[i], &values[i], &sql, err);
		}
		buffer_put_u8(&sql, ')');
		if (rc == 0)
			rc = mariadb_exec(restore->db, (const char *)sql.data, sql.len, NULL, err);
	}
	buffer_done(&sql);
	table_free(table);
	return rc;
}

/* Rows of the past are stored with the times that they have; a versioned table may be altered. */
static int
prepare_history(struct restore *restore, const struct table *table, struct error *err)
{
	if (!table->versioned)
		return 0;
	if (mariadb_do(restore->db, "SET SESSION system_versioning_alter_history = 'KEEP'",
	    err) != 0)
		return -1;
	if (!table->history || mariadb_do(restore->db,
	    "SET SESSION system_versioning_insert_history = 1", err) == 0)
		return 0;
	error_prefix(err, "the history of '%.100s' cannot be restored: ", restore->target);
	return error_hint(err, "it takes MariaDB 10.11, with secure_timestamp = NO");
}

static int
fill_table(struct restore *restore, struct error *err)
{
	struct table *table = NULL;
	int rc;

	if (read_table(restore, restore->swap.shadow, &table, err) != 0)
		return -1;
	if (prepare_history(restore, table, err) != 0) {
		table_free(table);
		return -1;
	}
	rc = load_rows(restore->db, table, restore->source.file, restore->is_ours,
	    restore->progress, &restore->sum, err);
	table_free(table);
	/* What it is loaded into has a name that says nothing to whoever asked. */
	return rc == 0 || err->code == ERROR_CANCELLED ? rc :
	    error_prefix(err, "table '%.100s': ", restore->target);
}

/* Whose foreign keys refer to rows that are left out is not looked for, but told. */
static int
tell_references(struct restore *restore, struct error *err)
{
	int referred;

	if (restore->options->where == NULL || restore->options->append ||
	    restore->present == NULL)
		return 0;
	referred = swap_is_referred_to(&restore->swap, err);
	if (referred == 1)
		progress_note(restore->progress, restore->target, strlen(restore->target),
		    "foreign keys of other tables refer to this one: what they refer to may be "
		    "among the rows that the condition leaves out");
	return referred < 0 ? -1 : 0;
}

/* What was loaded is what is in the file; now the rows that nobody asked for go. */
static int
leave_out(struct restore *restore, struct error *err)
{
	const char *where = restore->options->where;
	struct swap *swap = &restore->swap;

	if (where == NULL)
		return 0;
	progress_phase(restore->progress, "select");
	if (condition_apply(restore->db, swap->database, swap->shadow, where, &restore->left_out,
	    err) != 0 || progress_check(restore->progress, err) != 0)
		return -1;
	return load_session(restore->db, restore->is_ours, err);
}

/* Rows that are chosen by a condition, or added, are of the present. */
static int
leave_history_out(struct restore *restore, struct error *err)
{
	uint64_t present = 0;

	if (restore_meta(restore, CONTAINER_PREFIX "history") == NULL ||
	    (!restore->options->append && restore->options->where == NULL))
		return 0;
	if (history_forget(restore->db, restore->swap.database, restore->swap.shadow, &present,
	    err) != 0)
		return -1;
	restore->left_out = restore->sum.rows - present;
	progress_note(restore->progress, restore->target, strlen(restore->target),
	    "the present rows are restored, not their history");
	return 0;
}

static int
fill_shadow(struct restore *restore, struct error *err)
{
	progress_phase(restore->progress, "load");
	atomic_fetch_add(&restore->progress->bytes_total, restore->source.size);
	if ((is_kind(restore, "sequence") ? fill_sequence(restore, err) :
	    fill_table(restore, err)) != 0)
		return -1;
	if (restore_check_file(restore, err) != 0 ||
	    check_table(restore, restore->swap.shadow, err) != 0)
		return -1;
	return leave_out(restore, err) != 0 ? -1 : leave_history_out(restore, err);
}

/* ---- the ways to restore */

/*
 * Of several tables one at a time: what refers to a table is looked at and brought along, and must
 * not change meanwhile.
 */
static int
take_place(struct restore *restore, struct error *err)
{
	pthread_mutex_t *swapping = restore->options->swapping;
	int rc;

	if (swapping != NULL)
		pthread_mutex_lock(swapping);
	rc = swap_finish(&restore->swap, err);
	if (swapping != NULL)
		pthread_mutex_unlock(swapping);
	return rc;
}

static int
replace_table(struct restore *restore, struct error *err)
{
	if (choose_definition(restore, err) != 0)
		return -1;
	if (restore->options->rows_alone)
		ddl_forget_keys(&restore->swap.ddl);
	if (swap_create(&restore->swap, err) != 0)
		return -1;
	if (fill_shadow(restore, err) != 0 || progress_check(restore->progress, err) != 0 ||
	    take_place(restore, err) != 0) {
		struct error ignored;

		/* What is left of a swap is taken back; before it, there is only the shadow. */
		if (swap_recover(&restore->swap, &ignored) != 0)
			swap_abandon(&restore->swap);
		return -1;
	}
	return 0;
}

/* All rows or none, if the table's engine has transactions; its checks, keys and triggers count. */
static int
add_rows(struct restore *restore, struct error *err)
{
	struct buffer sql = BUFFER_INIT, columns = BUFFER_INIT;
	const struct ocf_schema *schema = ocf_schema(restore->source.file);
	/* The last two of a history are the times of a row. */
	size_t field_count = restore_meta(restore, CONTAINER_PREFIX "history") == NULL ||
	    schema->field_count < 2 ? schema->field_count : schema->field_count - 2;
	uint64_t wanted = restore->sum.rows - restore->left_out, added = 0;
	int rc;

	for (size_t i = 0; i < field_count; i++) {
		if (i > 0)
			buffer_put_u8(&columns, ',');
		mariadb_put_name(&columns, schema->fields[i].column != NULL ?
		    schema->fields[i].column : schema->fields[i].name);
	}
	buffer_put_text(&sql, "INSERT INTO ");
	mariadb_put_name(&sql, restore->swap.database);
	buffer_put_u8(&sql, '.');
	mariadb_put_name(&sql, restore->target);
	buffer_printf(&sql, " (%s) SELECT %s FROM ", buffer_text(&columns), buffer_text(&columns));
	mariadb_put_name(&sql, restore->swap.database);
	buffer_put_u8(&sql, '.');
	mariadb_put_name(&sql, restore->swap.shadow);
	rc = mariadb_do(restore->db, "SET SESSION foreign_key_checks = 1, unique_checks = 1,"
	    " check_constraint_checks = 1, sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,"
	    "ALLOW_INVALID_DATES'", err);
	if (rc == 0)
		rc = mariadb_exec(restore->db, (const char *)sql.data, sql.len, &added, err);
	if (rc == 0 && added != wanted)
		rc = error_set(err, ERROR_CONFLICT, "%llu of %llu rows were added",
		    (unsigned long long)added, (unsigned long long)wanted);
	else if (rc != 0 && !mariadb_is_lost(err))
		err->code = ERROR_CONFLICT;
	buffer_done(&sql);
	buffer_done(&columns);
	return rc == 0 ? 0 : error_prefix(err, "could not add the rows to '%.100s': ",
	    restore->target);
}

static int
append_table(struct restore *restore, struct error *err)
{
	int rc;

	if (restore->present == NULL)
		return error_set(err, ERROR_NOT_FOUND, "there is no table '%.200s' to add rows to",
		    restore->target);
	if (restore->present->kind != TABLE_BASE)
		return error_set(err, ERROR_BAD_REQUEST, "'%.200s' is no table to add rows to",
		    restore->target);
	if (ddl_parse(restore->present->create, &restore->swap.ddl, err) != 0 ||
	    swap_create(&restore->swap, err) != 0)
		return -1;
	rc = fill_shadow(restore, err);
	if (rc == 0)
		rc = progress_check(restore->progress, err);
	if (rc == 0)
		rc = add_rows(restore, err);
	swap_abandon(&restore->swap);
	return rc;
}

/* A view has no rows: it is its statement. */
static int
restore_view(struct restore *restore, struct error *err)
{
	static const char create[] = "CREATE ";
	const char *statement = restore_meta(restore, CONTAINER_PREFIX "create");
	struct buffer sql = BUFFER_INIT;
	int rc;

	if (restore->swap.renamed || restore->options->append)
		return error_set(err, ERROR_BAD_REQUEST,
		    "a view cannot be restored under another name, nor added to");
	if (restore->options->from_exchange)
		return error_set(err, ERROR_FORBIDDEN,
		    "a view is restored from a snapshot, not from the exchange storage");
	if (restore->present != NULL && restore->present->kind != TABLE_VIEW)
		return error_set(err, ERROR_CONFLICT, "'%.200s' is a table now, and was a view",
		    restore->target);
	if (statement == NULL || strncmp(statement, create, strlen(create)) != 0)
		return error_set(err, ERROR_CORRUPT, "the file does not say how the view is made");
	buffer_printf(&sql, "CREATE OR REPLACE %s", statement + strlen(create));
	rc = mariadb_exec(restore->db, (const char *)sql.data, sql.len, NULL, err);
	buffer_done(&sql);
	restore->verified = rc == 0;
	return rc;
}

/* ---- all of it */

static const char *
database_of(const struct tables_restore_options *options)
{
	return options->as_database != NULL ? options->as_database : options->server->name;
}

static int
open_database(struct restore *restore, struct error *err)
{
	struct mariadb_settings server = *restore->options->server;

	server.local_infile = true;
	if (mariadb_open(&server, &restore->db, err) != 0)
		return -1;
	restore->is_ours = restore_meta(restore, CONTAINER_PREFIX "checksum") != NULL;
	return load_session(restore->db, restore->is_ours, err);
}

/* Another database must be there: a restore makes tables, no databases. */
static int
check_database(struct restore *restore, struct error *err)
{
	const char *name = restore->options->as_database;
	char *count = NULL;
	int rc;

	if (name == NULL)
		return 0;
	rc = mariadb_select_one(restore->db,
	    "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?",
	    (const struct mariadb_param[]){ mariadb_text(name) }, 1, &count, err);
	if (rc == 0 && (count == NULL || strcmp(count, "0") == 0)) {
		error_set(err, ERROR_NOT_FOUND, "there is no database '%.200s' on the server", name);
		error_hint(err, "make it first, or grant the configured user rights on it");
		rc = -1;
	}
	free(count);
	return rc;
}

static int
check_condition(const struct restore *restore, struct error *err)
{
	if (restore->options->where == NULL)
		return 0;
	if (is_kind(restore, "view") || is_kind(restore, "sequence"))
		return error_set(err, ERROR_BAD_REQUEST,
		    "'%.100s' is no table, whose rows a condition could choose from",
		    restore->options->table);
	return condition_check(restore->options->where, err);
}

static int
find_present(struct restore *restore, struct error *err)
{
	int exists = swap_exists(&restore->swap, restore->target, err);

	if (exists <= 0)
		return exists;
	return read_table(restore, restore->target, &restore->present, err);
}

static int
do_restore(struct restore *restore, json_t *json, struct error *err)
{
	const struct tables_restore_options *options = restore->options;

	if (check_condition(restore, err) != 0 || open_database(restore, err) != 0 ||
	    check_database(restore, err) != 0)
		return -1;
	swap_init(&restore->swap, restore->db, options->server, database_of(options),
	    restore->target);
	restore->swap.home = options->server->name;
	restore->swap.renamed = strcmp(restore->target, options->table) != 0 ||
	    strcmp(database_of(options), options->server->name) != 0;
	if (!options->dry_run && (swap_lock(&restore->swap, err) != 0 ||
	    swap_recover(&restore->swap, err) != 0))
		return -1;
	if (find_present(restore, err) != 0 || tell_references(restore, err) != 0)
		return -1;
	if (options->dry_run)
		return restore_preview(restore, json, err);
	if (is_kind(restore, "view"))
		return restore_view(restore, err);
	if (restore->present != NULL && restore->present->kind == TABLE_VIEW)
		return error_set(err, ERROR_CONFLICT, "'%.200s' is a view now, and was a table",
		    restore->target);
	return options->append ? append_table(restore, err) : replace_table(restore, err);
}

int
tables_restore(struct repository *repo, const struct tables_restore_options *options,
    struct progress *progress, char ret_snapshot[SNAPSHOT_ID_TEXT_SIZE], json_t **ret_json,
    struct error *err)
{
	struct restore restore = { .options = options, .progress = progress };
	char checksum[ROW_SUM_TEXT_SIZE];
	json_t *json;
	int rc;

	restore.target = options->as != NULL ? options->as : options->table;
	progress_phase(progress, "open");
	progress_path(progress, restore.target, strlen(restore.target));
	if (source_open(repo, options, &restore.source, err) != 0)
		return -1;
	json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "table", options->table, "as",
	    restore.target, "schema", database_of(options), "mode",
	    options->append ? "append" : "replace", "source",
	    options->from_exchange ? "exchange" : "snapshot");
	rc = do_restore(&restore, json, err);
	if (rc == 0) {
		row_sum_text(&restore.sum, checksum);
		json_object_set_new(json, "rows", json_integer((json_int_t)restore.sum.rows));
		json_object_set_new(json, "checksum", json_string(checksum));
		json_object_set_new(json, "verified", json_boolean(restore.verified));
		if (!options->dry_run)
			json_object_set_new(json, "restored", json_integer(
			    (json_int_t)(restore.sum.rows - restore.left_out)));
		if (options->where != NULL)
			json_object_set_new(json, "where", json_string(options->where));
		memcpy(ret_snapshot, restore.source.snapshot, SNAPSHOT_ID_TEXT_SIZE);
		*ret_json = json;
		json = NULL;
	}
	json_decref(json);
	source_close(&restore.source);
	swap_done(&restore.swap);
	table_triggers_free(restore.triggers, restore.trigger_count);
	table_free(restore.present);
	mariadb_close(restore.db);
	return rc;
}
