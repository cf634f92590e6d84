#include "agent/jobs/runs_loads.h"

#include <stdlib.h>
#include <string.h>

#include "agent/tables/json_rows.h"
#include "shared/buffer.h"
#include "shared/mariadb.h"
#include "shared/mem.h"

#define READ_SIZE ((size_t)64 << 10)

/* clang-format off */
const struct argument_spec load_rows_arguments[] = {
	{ .name = "table",           .type = ARGUMENT_TEXT },
	{ .name = "database",        .type = ARGUMENT_TEXT },
	{ .name = "on_error",        .type = ARGUMENT_WORD, .words = "continue|abort" },
	{ .name = "on_duplicate",    .type = ARGUMENT_WORD, .words = "reject|update|ignore" },
	{ .name = "rows",            .type = ARGUMENT_INTEGER, .min = 1, .max = JSON_ROWS_MAX },
	{ .name = "sha256",          .type = ARGUMENT_TEXT },
	{ .name = "limits",          .type = ARGUMENT_OBJECT,  .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

/* ---- what all loads share */

static bool
is_word(const json_t *arguments, const char *name, const char *word)
{
	const char *text = argument_text(arguments, name);

	return text != NULL && strcmp(text, word) == 0;
}

int
load_check_table(const struct run_context *context, const json_t *arguments,
    const struct config_database **ret, struct error *err)
{
	const char *table = argument_text(arguments, "table");
	const struct config_database *database;

	if (config_database(context->config, argument_text(arguments, "database"), &database,
	    err) != 0)
		return -1;
	if (table == NULL)
		return error_set(err, ERROR_BAD_REQUEST, "no table is named");
	if (mariadb_check_name("table", table, strlen(table), err) != 0)
		return -1;
	if (strncmp(table, TABLE_SHADOW_PREFIX, strlen(TABLE_SHADOW_PREFIX)) == 0)
		return error_set(err, ERROR_BAD_REQUEST,
		    "names that begin with '" TABLE_SHADOW_PREFIX "' are kept for restores");
	if (ret != NULL)
		*ret = database;
	return 0;
}

/* Rows came, and none was taken: that is no success. */
static int
check_counts(const struct row_load_counts *counts, const json_t *first, struct error *err)
{
	const json_t *reject = json_array_get(first, 0);
	const char *reason = json_string_value(json_object_get(reject, "reason"));

	if (counts->read == 0 || counts->rejected < counts->read)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "no row was taken: all %llu were rejected; row %llu: "
	    "%.300s", (unsigned long long)counts->read,
	    (unsigned long long)json_integer_value(json_object_get(reject, "number")),
	    reason == NULL ? "?" : reason);
	return error_hint(err, "the run's rejects list each row with its reason");
}

int
load_execute(const struct run_context *context, const json_t *arguments,
    struct row_source *source, struct rejects *rejects, struct progress *progress,
    struct run_result *result, struct error *err)
{
	const char *table = argument_text(arguments, "table");
	const struct config_database *database;
	struct mariadb_settings server;
	struct row_load_options options = {
		.server = &server,
		.table = table,
		.abort_on_error = is_word(arguments, "on_error", "abort"),
		.on_duplicate = is_word(arguments, "on_duplicate", "update") ? ROW_DUPLICATE_UPDATE :
		    is_word(arguments, "on_duplicate", "ignore") ? ROW_DUPLICATE_IGNORE :
		    ROW_DUPLICATE_REJECT,
	};
	struct error ignored = ERROR_INIT;
	struct row_load_counts counts = { .read = 0 };
	json_t *first;
	int rc;

	if (load_check_table(context, arguments, &database, err) != 0) {
		(void)rejects_close(rejects, &ignored);
		return -1;
	}
	server = config_server_settings(&database->server);
	options.first_rejects = first = json_array();
	rc = row_load(&options, source, rejects, progress, &counts, err);
	if (rejects_close(rejects, rc == 0 ? err : &ignored) != 0)
		rc = -1;
	if (rc == 0)
		rc = check_counts(&counts, first, err);
	result->files = counts.inserted + counts.updated;
	result->bytes = atomic_load(&progress->bytes);
	/* Also of a run that failed: what is in the table now. */
	result->json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "database",
	    config_database_word(database), "schema", server.name, "table", table,
	    "read", (json_int_t)counts.read, "inserted", (json_int_t)counts.inserted,
	    "updated", (json_int_t)counts.updated, "ignored", (json_int_t)counts.ignored,
	    "rejected", (json_int_t)counts.rejected, "rejects", first);
	return rc;
}

char *
load_parameter(const json_t *arguments)
{
	const char *table = argument_text(arguments, "table");
	const char *database = argument_text(arguments, "database");
	const char *duplicate = argument_text(arguments, "on_duplicate");

	return mem_printf("%s%s%s%s%s%s", table != NULL ? table : "?",
	    database != NULL ? " in " : "", database != NULL ? database : "",
	    is_word(arguments, "on_error", "abort") ? " on_error=abort" : "",
	    duplicate != NULL ? " on_duplicate=" : "", duplicate != NULL ? duplicate : "");
}

/* ---- load-rows */

int
load_rows_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	if (load_check_table(context, arguments, NULL, err) != 0)
		return -1;
	if (context->input != NULL)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "a load of rows comes with its rows");
	return error_hint(err, "send them to POST /load_data_from_payload/TABLE");
}

/* They were counted and bounded when they came. */
static int
read_payload(const struct run_context *context, struct progress *progress, struct buffer *ret,
    struct error *err)
{
	if (context->input == NULL) {
		error_set(err, ERROR_UNAVAILABLE, "the rows went with the agent that took them");
		return error_hint(err, "send them again");
	}
	for (;;) {
		ssize_t n = context->input->read(context->input->arg,
		    buffer_reserve(ret, READ_SIZE), READ_SIZE, err);

		if (n == 0)
			return 0;
		if (n == -1 || progress_check(progress, err) != 0)
			return -1;
		if (n > 0)
			ret->len += (size_t)n;
	}
}

int
load_rows_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	struct buffer payload = BUFFER_INIT;
	struct json_rows *rows = NULL;
	struct rejects *rejects = NULL;
	struct row_source source;
	int rc = -1;

	if (read_payload(context, progress, &payload, err) != 0)
		goto out;
	atomic_store(&progress->bytes, payload.len);
	if (json_rows_new((const char *)payload.data, payload.len, &rows, err) != 0 ||
	    rejects_open(context->config->state, context->run, &rejects, err) != 0)
		goto out;
	source = json_rows_source(rows);
	rc = load_execute(context, arguments, &source, rejects, progress, result, err);
out:
	json_rows_free(rows);
	buffer_done(&payload);
	return rc;
}
