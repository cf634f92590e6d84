#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "agent/tables/rejects.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec load_options[] = {
	{ "database",     0, OPTION_VALUE, "NAME", "of [database NAME]; default: [database]" },
	{ "header",       0, OPTION_VALUE, "WORD",
	  "does the first line name the columns? auto, yes, no" },
	{ "delimiter",    0, OPTION_VALUE, "CHAR", "between fields; default: a comma; \\t: a tab" },
	{ "null",         0, OPTION_VALUE, "WORD",
	  "what stands for NULL; default: nothing, without quotes" },
	{ "on-error",     0, OPTION_VALUE, "WORD",
	  "continue with the next row (the default), or abort and load none" },
	{ "on-duplicate", 0, OPTION_VALUE, "WORD",
	  "reject a row whose key is there (the default), update that one, or ignore" },
	{ "rejects",      0, OPTION_VALUE, "FILE",
	  "write the rejected rows there as they were, to be mended and loaded again" },
	LIMIT_OPTIONS,
	{ "json",         0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static unsigned long long
count_of(const struct run_result *result, const char *name)
{
	return (unsigned long long)json_integer_value(json_object_get(result->json, name));
}

static void
print_load(const struct run_result *result, double seconds)
{
	const char *table = json_string_value(json_object_get(result->json, "table"));
	char *printable = text_printable(table, strlen(table));

	printf("%s: %llu rows read, %llu inserted, %llu updated, %llu ignored, %llu rejected; "
	    "in %.1f s\n", printable, count_of(result, "read"), count_of(result, "inserted"),
	    count_of(result, "updated"), count_of(result, "ignored"), count_of(result, "rejected"),
	    seconds);
	free(printable);
}

/* A rejects_sink_fn. */
static int
write_file(void *arg, const void *data, size_t len, struct error *err)
{
	FILE *file = arg;

	if (fwrite(data, 1, len, file) == len)
		return 0;
	return error_sys(err, ERROR_IO, errno, "could not write the rejected rows");
}

/* They hold data of the table: for nobody else to read. */
static int
write_rejects(const struct session *session, const char *run, const char *path, struct error *err)
{
	struct rejects_reader *reader = NULL;
	int fd, found, rc = 0;
	FILE *file;

	found = rejects_read_open(session->config->state, run, &reader, err);
	if (found < 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (file == NULL) {
		error_sys(err, ERROR_IO, errno, "could not write '%.300s'", path);
		if (fd >= 0)
			close(fd);
		rejects_read_close(reader);
		return -1;
	}
	if (found == 1)
		rc = rejects_write_raw(reader, write_file, file, err);
	rejects_read_close(reader);
	if (fclose(file) != 0 && rc == 0)
		rc = error_sys(err, ERROR_IO, errno, "could not write '%.300s'", path);
	return rc;
}

int
load_main(struct session *session, struct error *err)
{
	char run[RUN_ID_TEXT_SIZE] = "";
	struct run_command command = { .kind = RUN_LOAD, .arguments = json_object(),
		.print = print_load, .ret_id = run };
	const char *path = option_value(&session->line, "rejects");
	struct error write_err = ERROR_INIT;
	int rc = -1;

	if (json_object_set_new(command.arguments, "table",
	    json_string(session->line.arguments[0])) != 0) {
		error_set(err, ERROR_USAGE, "the name of the table is not valid UTF-8");
		goto out;
	}
	run_text_argument(session, "database", command.arguments, "database");
	run_text_argument(session, "header", command.arguments, "header");
	run_text_argument(session, "delimiter", command.arguments, "delimiter");
	run_text_argument(session, "null", command.arguments, "null");
	run_text_argument(session, "on-error", command.arguments, "on_error");
	run_text_argument(session, "on-duplicate", command.arguments, "on_duplicate");
	rc = run_command(session, &command, err);
	/* Of a load that failed, too; what it failed of is told before anything else. */
	if (path != NULL && write_rejects(session, run, path, rc < 0 ? &write_err : err) != 0)
		rc = -1;
out:
	json_decref(command.arguments);
	return rc;
}
