#include "agent/jobs/runs_load_csv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/jobs/runs_loads.h"
#include "agent/tables/csv_rows.h"
#include "agent/tables/exchange.h"

/* clang-format off */
const struct argument_spec load_csv_arguments[] = {
	{ .name = "table",           .type = ARGUMENT_TEXT },
	{ .name = "database",        .type = ARGUMENT_TEXT },
	{ .name = "header",          .type = ARGUMENT_WORD, .words = "auto|yes|no" },
	{ .name = "delimiter",       .type = ARGUMENT_TEXT },
	{ .name = "null",            .type = ARGUMENT_TEXT },
	{ .name = "on_error",        .type = ARGUMENT_WORD, .words = "continue|abort" },
	{ .name = "on_duplicate",    .type = ARGUMENT_WORD, .words = "reject|update|ignore" },
	{ .name = "limits",          .type = ARGUMENT_OBJECT, .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

/* How the file is to be read. */
static int
take_options(const json_t *arguments, struct csv_rows_options *ret, struct error *err)
{
	const char *header = argument_text(arguments, "header");
	const char *delimiter = argument_text(arguments, "delimiter");

	*ret = (struct csv_rows_options){ .delimiter = ',',
		.null_word = argument_text(arguments, "null") };
	if (header != NULL && csv_header_parse(header, &ret->header, err) != 0)
		return -1;
	return delimiter == NULL ? 0 : csv_delimiter_parse(delimiter, &ret->delimiter, err);
}

int
load_csv_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	struct csv_rows_options options;

	if (load_check_table(context, arguments, NULL, err) != 0 ||
	    take_options(arguments, &options, err) != 0)
		return -1;
	if (context->config->exchange != NULL)
		return 0;
	error_set(err, ERROR_UNAVAILABLE, "no exchange storage is configured");
	return error_hint(err, "write url = file:///FOLDER in [exchange] of the configuration");
}

/* Its descriptor, and its size for the progress. */
static int
open_file(const char *exchange, const char *path, struct progress *progress, int *ret,
    struct error *err)
{
	struct stat st;

	if (exchange_open(exchange, path, ret, err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			error_hint(err, "put the file there, below %.200s", exchange);
		return error_prefix(err, "'%.200s': ", path);
	}
	if (fstat(*ret, &st) == 0)
		atomic_store(&progress->bytes_total, (uint64_t)st.st_size);
	return 0;
}

int
load_csv_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config_database *database;
	struct csv_rows_options options;
	struct rejects *rejects = NULL;
	struct csv_rows *csv = NULL;
	struct error ignored = ERROR_INIT;
	char *path = NULL;
	int fd = -1, rc = -1;

	if (load_check_table(context, arguments, &database, err) != 0 ||
	    take_options(arguments, &options, err) != 0)
		return -1;
	path = exchange_historic_path(database->folder, argument_text(arguments, "table"));
	if (open_file(context->config->exchange, path, progress, &fd, err) != 0 ||
	    rejects_open(context->config->state, context->run, &rejects, err) != 0)
		goto out;
	options.rejects = rejects;
	options.progress = progress;
	if (csv_rows_open(fd, &options, &csv, err) != 0) {
		error_prefix(err, "'%.200s': ", path);
		goto out;
	}
	rc = load_execute(context, arguments, csv_rows_source(csv), rejects, progress, result, err);
	rejects = NULL;
out:
	rejects_close(rejects, &ignored);
	csv_rows_close(csv);
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}
