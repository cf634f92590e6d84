#include "agent/jobs/runs_tables.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/snapshot.h"
#include "agent/tables/backup.h"
#include "shared/buffer.h"
#include "shared/mariadb.h"
#include "shared/mem.h"

/* Two keep a server and this process busy, and leave others room. */
#define CONNECTIONS_DEFAULT 2
#define CONNECTIONS_MAX 64

/* clang-format off */
const struct argument_spec tables_arguments[] = {
	{ .name = "table",           .type = ARGUMENT_TEXT },
	{ .name = "tables",          .type = ARGUMENT_TEXTS },
	{ .name = "connections",     .type = ARGUMENT_INTEGER, .min = 1, .max = CONNECTIONS_MAX },
	{ .name = "tags",            .type = ARGUMENT_TEXTS },
	{ .name = "level",           .type = ARGUMENT_INTEGER, .min = 1, .max = 19 },
	{ .name = "threads",         .type = ARGUMENT_INTEGER, .min = 0, .max = 256 },
	{ .name = "verify",          .type = ARGUMENT_BOOL },
	{ .name = "limits",          .type = ARGUMENT_OBJECT,  .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

/* "table" and "tables" together, lent; caller frees the array. */
static const char **
table_names(const json_t *arguments, size_t *ret_count)
{
	const char *one = argument_text(arguments, "table");
	const char **names = argument_texts(arguments, "tables", ret_count);

	if (one == NULL)
		return names;
	names = mem_realloc(names, *ret_count + 1, sizeof(*names));
	names[(*ret_count)++] = one;
	return names;
}

static int
check_configured(const struct config *config, struct error *err)
{
	if (config->database.hosts_count > 0)
		return 0;
	error_set(err, ERROR_UNAVAILABLE, "no database is configured");
	return error_hint(err, "write hosts and name in [database] of the configuration");
}

int
tables_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	const char **names;
	size_t count;
	int rc;

	/* Whether the tables exist is seen when the run has its turn: a server may be slow. */
	rc = check_configured(context->config, err);
	names = table_names(arguments, &count);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = mariadb_check_name("table", names[i], strlen(names[i]), err);
	free(names);
	return rc;
}

int
tables_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config *config = context->config;
	struct mariadb_settings server = config_server_settings(&config->database);
	struct tables_backup_options options = {
		.server = &server,
		.exchange = config->exchange,
		.connections = (unsigned)argument_integer(
		    arguments, "connections", CONNECTIONS_DEFAULT),
		.threads = (unsigned)argument_integer(
		    arguments, "threads", (int64_t)config->threads),
		.level = (int)argument_integer(arguments, "level", config->compression),
		.no_verify = !argument_bool(arguments, "verify", config->verify),
		.run = context->run,
		.host = config->name,
	};
	const char **names, **tags;
	struct snapshot *snapshot = NULL;
	json_t *tables = NULL;
	int rc;

	options.tables = names = table_names(arguments, &options.table_count);
	options.tags = tags = argument_texts(arguments, "tags", &options.tag_count);
	rc = tables_backup(context->repo, &options, progress, &snapshot, &tables, err);
	if (rc == 0) {
		memcpy(result->snapshot, snapshot->id, sizeof(result->snapshot));
		result->files = snapshot->files;
		result->bytes = snapshot->bytes;
		result->stored_bytes = snapshot->stored_bytes;
		result->json = json_pack("{s:s, s:o, s:I, s:I, s:I}", "database", server.name,
		    "tables", tables, "bytes", (json_int_t)snapshot->bytes, "added_bytes",
		    (json_int_t)snapshot->added_bytes, "stored_bytes",
		    (json_int_t)snapshot->stored_bytes);
	}
	snapshot_free(snapshot);
	free(tags);
	free(names);
	return rc;
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
