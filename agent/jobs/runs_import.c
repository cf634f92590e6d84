#include "agent/jobs/runs_import.h"

#include <stdlib.h>
#include <string.h>

#include "agent/files/archive_in.h"
#include "agent/repository/snapshot.h"
#include "shared/mem.h"

/* clang-format off */
const struct argument_spec import_arguments[] = {
	{ .name = "name",            .type = ARGUMENT_TEXT },
	{ .name = "format",          .type = ARGUMENT_WORD, .words = "file|tar" },
	{ .name = "level",           .type = ARGUMENT_INTEGER, .min = 1, .max = 19 },
	{ .name = "threads",         .type = ARGUMENT_INTEGER, .min = 0, .max = 256 },
	{ .name = "verify",          .type = ARGUMENT_BOOL },
	{ .name = "limits",          .type = ARGUMENT_OBJECT, .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

static enum import_format
format_of(const json_t *arguments)
{
	const char *word = argument_text(arguments, "format");

	return word != NULL && strcmp(word, "tar") == 0 ? IMPORT_TAR : IMPORT_FILE;
}

int
import_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	char *name;

	if (import_name(argument_text(arguments, "name"), format_of(arguments), &name, err) != 0)
		return -1;
	/* As it is shown from here on, and as the snapshot's source. */
	json_object_set_new(arguments, "name", json_string(name));
	free(name);
	if (context->input != NULL)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "an import comes with the data that it is to keep");
	return error_hint(err, "send the data to POST /v1/snapshots?name=NAME");
}

int
import_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config *config = context->config;
	struct import_options options = {
		.format = format_of(arguments),
		.spool = config->state,
		.threads = (unsigned)argument_integer(arguments, "threads",
		    (int64_t)config->threads),
		.level = (int)argument_integer(arguments, "level", config->compression),
		.no_verify = !argument_bool(arguments, "verify", config->verify),
		.run = context->run,
		.host = config->name,
	};
	struct snapshot *snapshot = NULL;
	char *name = NULL;
	int rc;

	if (context->input == NULL) {
		error_set(err, ERROR_UNAVAILABLE, "the data went with the agent that took it");
		return error_hint(err, "send it again");
	}
	if (import_name(argument_text(arguments, "name"), options.format, &name, err) != 0)
		return -1;
	options.name = name;
	rc = files_import(context->repo, &options, context->input, progress, &snapshot, err);
	if (rc == 0)
		run_result_of_snapshot(snapshot, result);
	snapshot_free(snapshot);
	free(name);
	return rc;
}

char *
import_parameter(const json_t *arguments)
{
	const char *name = argument_text(arguments, "name");

	return mem_strdup(name != NULL ? name : "?");
}
