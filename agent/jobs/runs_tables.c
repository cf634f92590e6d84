#include "agent/jobs/runs_tables.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/snapshot.h"
#include "agent/tables/backup.h"
#include "agent/tables/condition.h"
#include "agent/tables/restore.h"
#include "agent/tables/table.h"
#include "shared/buffer.h"
#include "shared/mariadb.h"
#include "shared/mem.h"

#define CONNECTIONS_MAX 64 /* as of the setting */

/* clang-format off */
const struct argument_spec tables_arguments[] = {
	{ .name = "table",           .type = ARGUMENT_TEXT },
	{ .name = "tables",          .type = ARGUMENT_TEXTS },
	{ .name = "database",        .type = ARGUMENT_TEXT },
	{ .name = "connections",     .type = ARGUMENT_INTEGER, .min = 1, .max = CONNECTIONS_MAX },
	{ .name = "tags",            .type = ARGUMENT_TEXTS },
	{ .name = "level",           .type = ARGUMENT_INTEGER, .min = 1, .max = 19 },
	{ .name = "threads",         .type = ARGUMENT_INTEGER, .min = 0, .max = 256 },
	{ .name = "verify",          .type = ARGUMENT_BOOL },
	{ .name = "limits",          .type = ARGUMENT_OBJECT,  .fields = limit_arguments },
	{ .name = NULL }
};

const struct argument_spec restore_table_arguments[] = {
	{ .name = "table",           .type = ARGUMENT_TEXT },
	{ .name = "tables",          .type = ARGUMENT_TEXTS },
	{ .name = "database",        .type = ARGUMENT_TEXT },
	{ .name = "snapshot",        .type = ARGUMENT_TEXT },
	{ .name = "source",          .type = ARGUMENT_WORD, .words = "snapshot|exchange" },
	{ .name = "as",              .type = ARGUMENT_TEXT },
	{ .name = "mode",            .type = ARGUMENT_WORD, .words = "replace|append" },
	{ .name = "where",           .type = ARGUMENT_TEXT },
	{ .name = "connections",     .type = ARGUMENT_INTEGER, .min = 1, .max = CONNECTIONS_MAX },
	{ .name = "dry_run",         .type = ARGUMENT_BOOL },
	{ .name = "limits",          .type = ARGUMENT_OBJECT,  .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

/* "table" and "tables" together, lent; caller frees the array. */
static const char **
table_names(const json_t *arguments, size_t *ret_count)
{
	return argument_texts_and(arguments, "tables", "table", ret_count);
}

/* The database that the run means; what it is called is checked already. */
static int
find_database(const struct run_context *context, const json_t *arguments,
    const struct config_database **ret, struct error *err)
{
	return config_database(context->config, argument_text(arguments, "database"), ret, err);
}

int
tables_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	const struct config_database *database;
	const char **names;
	size_t count;
	int rc;

	/* Whether the tables exist is seen when the run has its turn: a server may be slow. */
	rc = find_database(context, arguments, &database, err);
	names = table_names(arguments, &count);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = mariadb_check_name("table", names[i], strlen(names[i]), err);
	free(names);
	return rc;
}

/* What every backup of tables takes from settings and arguments; server: to be kept with it. */
static void
take_options(const struct run_context *context, const struct config_database *database,
    const json_t *arguments, struct mariadb_settings *server,
    struct tables_backup_options *ret)
{
	const struct config *config = context->config;

	*server = config_server_settings(&database->server);
	*ret = (struct tables_backup_options){
		.server = server,
		.folder = database->folder,
		.exchange = config->exchange,
		.connections = (unsigned)argument_integer(
		    arguments, "connections", database->connections),
		.threads = (unsigned)argument_integer(
		    arguments, "threads", (int64_t)config->threads),
		.level = (int)argument_integer(arguments, "level", database->compression),
		.no_verify = !argument_bool(arguments, "verify", config->verify),
		.read_limit = &context->pace->limits[RATE_READ],
		.job = argument_text(arguments, "job"),
		.run = context->run,
		.host = config->name,
	};
}

/* Takes the array of tables. */
static void
add_tables_result(const struct config_database *database, const char *schema, json_t *tables,
    json_t *result)
{
	json_object_set_new(result, "database", json_string(config_database_word(database)));
	json_object_set_new(result, "schema", json_string(schema));
	json_object_set_new(result, "tables", tables);
}

static int
back_up(const struct run_context *context, const struct config_database *database,
    struct tables_backup_options *options, const json_t *arguments, struct progress *progress,
    struct run_result *result, struct error *err)
{
	struct snapshot *snapshot = NULL;
	json_t *tables = NULL;
	const char **tags;
	int rc;

	options->tags = tags = argument_texts(arguments, "tags", &options->tag_count);
	rc = tables_backup(context->repo, options, progress, &snapshot, &tables, err);
	if (rc == 0) {
		memcpy(result->snapshot, snapshot->id, sizeof(result->snapshot));
		result->files = snapshot->files;
		result->bytes = snapshot->bytes;
		result->stored_bytes = snapshot->stored_bytes;
		result->json = json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)snapshot->bytes,
		    "added_bytes", (json_int_t)snapshot->added_bytes, "stored_bytes",
		    (json_int_t)snapshot->stored_bytes);
		add_tables_result(database, options->server->name, tables, result->json);
	}
	snapshot_free(snapshot);
	free(tags);
	return rc;
}

int
tables_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config_database *database;
	struct mariadb_settings server;
	struct tables_backup_options options;
	const char **names;
	int rc;

	if (find_database(context, arguments, &database, err) != 0)
		return -1;
	take_options(context, database, arguments, &server, &options);
	options.tables = names = table_names(arguments, &options.table_count);
	rc = back_up(context, database, &options, arguments, progress, result, err);
	free(names);
	return rc;
}

/* ---- the tables of a job */

struct job_tables {
	const struct config_database *database;
	struct mariadb_settings server;
	struct tables_backup_options options;
	struct tables_beside *beside;
};

static int
take_job(const struct run_context *context, const struct config_job *job,
    const json_t *arguments, struct job_tables *ret, struct error *err)
{
	if (config_database(context->config, job->database, &ret->database, err) != 0)
		return -1;
	take_options(context, ret->database, arguments, &ret->server, &ret->options);
	ret->options.tables = config_job_tables(job, &ret->options.table_count);
	return 0;
}

int
job_tables_execute(const struct run_context *context, const struct config_job *job,
    const json_t *arguments, struct progress *progress, struct run_result *result,
    struct error *err)
{
	struct job_tables tables;

	if (take_job(context, job, arguments, &tables, err) != 0)
		return -1;
	return back_up(context, tables.database, &tables.options, arguments, progress, result, err);
}

int
job_tables_open(const struct run_context *context, const struct config_job *job,
    const json_t *arguments, struct progress *progress, struct job_tables **ret,
    struct error *err)
{
	struct job_tables *tables = MEM_NEW(struct job_tables);

	if (take_job(context, job, arguments, tables, err) != 0 ||
	    tables_beside_open(context->repo, &tables->options, progress, &tables->beside,
	    err) != 0) {
		job_tables_close(tables);
		return -1;
	}
	*ret = tables;
	return 0;
}

const struct backup_beside *
job_tables_beside(const struct job_tables *tables)
{
	return tables_beside_hooks(tables->beside);
}

void
job_tables_result(struct job_tables *tables, json_t *result)
{
	add_tables_result(tables->database, tables->server.name,
	    tables_beside_take(tables->beside), result);
}

void
job_tables_close(struct job_tables *tables)
{
	if (tables == NULL)
		return;
	tables_beside_close(tables->beside);
	free(tables);
}

char *
tables_parameter(const json_t *arguments)
{
	struct buffer text = BUFFER_INIT;
	const char *one = argument_text(arguments, "table");
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(arguments, "tables"), i, item)
		if (json_is_string(item) && text.len < 4096)
			buffer_printf(&text, "%s%s", text.len == 0 ? "" : " ",
			    json_string_value(item));
	if (one != NULL)
		buffer_printf(&text, "%s%s", text.len == 0 ? "" : " ", one);
	return buffer_take(&text);
}

static bool
is_word(const json_t *arguments, const char *name, const char *word)
{
	const char *text = argument_text(arguments, name);

	return text != NULL && strcmp(text, word) == 0;
}

/* Names that a restore may write: those of its own shadows are not among them. */
static int
check_target(const char *name, struct error *err)
{
	if (mariadb_check_name("table", name, strlen(name), err) != 0)
		return -1;
	if (strncmp(name, TABLE_SHADOW_PREFIX, strlen(TABLE_SHADOW_PREFIX)) == 0)
		return error_set(err, ERROR_BAD_REQUEST,
		    "names that begin with '" TABLE_SHADOW_PREFIX "' are kept for restores");
	return 0;
}

/* The snapshot by its full id; "latest" is the newest that holds the table, whatever else was
 * stored since. */
static int
check_snapshot(const struct run_context *context, json_t *arguments, struct error *err)
{
	const char *name = argument_text(arguments, "snapshot");
	struct snapshot *snapshot = NULL;

	if (name == NULL)
		return 0;
	if (is_word(arguments, "source", "exchange"))
		return error_set(err, ERROR_BAD_REQUEST,
		    "'snapshot' and the exchange storage exclude each other");
	if (strcmp(name, "latest") == 0) {
		json_object_del(arguments, "snapshot");
		return 0;
	}
	if (snapshot_find(context->repo, name, &snapshot, err) != 0)
		return -1;
	json_object_set_new(arguments, "snapshot", json_string(snapshot->id));
	snapshot_free(snapshot);
	return 0;
}

int
restore_table_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	const char *as = argument_text(arguments, "as");
	const char *where = argument_text(arguments, "where");
	char *as_database = NULL, *as_table = NULL;
	const struct config_database *database;
	const char **names;
	size_t count;
	int rc;

	if (find_database(context, arguments, &database, err) != 0)
		return -1;
	names = table_names(arguments, &count);
	rc = count == 0 ? error_set(err, ERROR_BAD_REQUEST, "no table is named") : 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = check_target(names[i], err);
	free(names);
	if (rc == 0 && as != NULL && count > 1)
		rc = error_set(err, ERROR_BAD_REQUEST, "'as' is for one table");
	if (rc == 0 && as != NULL)
		rc = tables_restore_target(as, &as_database, &as_table, err);
	free(as_database);
	free(as_table);
	if (rc == 0 && where != NULL && count > 1)
		rc = error_set(err, ERROR_BAD_REQUEST, "'where' is for one table");
	if (rc == 0 && where != NULL)
		rc = condition_check(where, err);
	return rc == 0 ? check_snapshot(context, arguments, err) : -1;
}

int
restore_table_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config_database *database;
	struct mariadb_settings server;
	struct tables_restore_options options = {
		.server = &server,
		.where = argument_text(arguments, "where"),
		.append = is_word(arguments, "mode", "append"),
		.dry_run = argument_bool(arguments, "dry_run", false),
		.from_exchange = is_word(arguments, "source", "exchange"),
		.snapshot = argument_text(arguments, "snapshot"),
		.exchange = context->config->exchange,
	};
	const char *as = argument_text(arguments, "as");
	unsigned connections;
	char *as_database = NULL, *as_table = NULL;
	json_t *tables;
	const char **names;
	size_t count;
	int rc;

	if (find_database(context, arguments, &database, err) != 0 || (as != NULL &&
	    tables_restore_target(as, &as_database, &as_table, err) != 0))
		return -1;
	server = config_server_settings(&database->server);
	options.folder = database->folder;
	options.as_database = as_database;
	options.as = as_table;
	names = table_names(arguments, &count);
	tables = json_array();
	connections = (unsigned)argument_integer(arguments, "connections", database->connections);
	rc = tables_restore_all(context->repo, &options, names, count, connections, progress,
	    result->snapshot, tables, err);
	result->files = atomic_load(&progress->files);
	result->bytes = atomic_load(&progress->bytes);
	/* Of several, those that were restored before one failed are told, too. */
	result->json = json_pack("{s:s, s:s, s:o}", "database", config_database_word(database),
	    "schema", server.name, "tables", tables);
	free(names);
	free(as_database);
	free(as_table);
	return rc;
}

char *
restore_table_parameter(const json_t *arguments)
{
	const char *as = argument_text(arguments, "as");
	const char *snapshot = argument_text(arguments, "snapshot");
	char *names = tables_parameter(arguments);
	const char *where = argument_text(arguments, "where");
	char *text = mem_printf("%s%s%s%s%s%s%s%s", names, as != NULL ? " as " : "",
	    as != NULL ? as : "", snapshot != NULL ? " from " : "",
	    snapshot != NULL ? snapshot : "",
	    is_word(arguments, "mode", "append") ? " append" : "",
	    where != NULL ? " where " : "", where != NULL ? where : "");

	free(names);
	return text;
}
