#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec restore_table_options[] = {
	{ "database", 0, OPTION_VALUE, "NAME", "of [database NAME]; default: [database]" },
	{ "snapshot", 0, OPTION_VALUE, "ID", "from this snapshot; default: the newest that has it" },
	{ "exchange", 0, OPTION_FLAG,  NULL, "from the exchange storage, not from a snapshot" },
	{ "as",       0, OPTION_VALUE, "NAME", "under another NAME or DATABASE.NAME; one table" },
	{ "where",    0, OPTION_VALUE, "SQL", "only the rows that fulfil this; one table" },
	{ "connections", 0, OPTION_VALUE, "N", "tables to restore at a time" },
	{ "append",   0, OPTION_FLAG,  NULL, "add the rows to the table that is there" },
	{ "dry-run",  0, OPTION_FLAG,  NULL, "compare counts and checksums, change nothing" },
	LIMIT_OPTIONS,
	{ "json",     0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
print_present(const json_t *row)
{
	const json_t *present = json_object_get(row, "present");

	if (!json_is_object(present))
		printf("; there is no such table now\n");
	else
		printf("; now %lld rows, %s\n",
		    (long long)json_integer_value(json_object_get(present, "rows")),
		    json_is_true(json_object_get(row, "same")) ? "the same" : "others");
}

static void
print_restored(const struct run_result *result, double seconds)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(result->json, "tables"), i, row) {
		const char *name = json_string_value(json_object_get(row, "as"));
		char *printable = text_printable(name, strlen(name));
		long long rows = json_integer_value(json_object_get(row, "rows"));
		long long restored = json_integer_value(json_object_get(row, "restored"));

		if (json_object_get(row, "dry_run") != NULL) {
			printf("%s: %lld rows in the file", printable, rows);
			print_present(row);
		} else {
			printf("restored %s: %lld rows", printable, restored);
			if (json_object_get(row, "where") != NULL)
				printf(" of %lld in the file", rows);
			printf("%s in %.1f s\n",
			    json_is_true(json_object_get(row, "verified")) ? ", verified," : "",
			    seconds);
		}
		free(printable);
	}
}

int
restore_table_main(struct session *session, struct error *err)
{
	struct run_command command = { .kind = RUN_RESTORE_TABLE, .arguments = json_object(),
		.print = print_restored };
	json_t *tables = json_array();
	int rc = -1;

	json_object_set_new(command.arguments, "tables", tables);
	for (size_t i = 0; i < session->line.argument_count; i++)
		if (json_array_append_new(tables, json_string(session->line.arguments[i])) != 0) {
			error_set(err, ERROR_USAGE, "the name of a table is not valid UTF-8");
			goto out;
		}
	run_text_argument(session, "database", command.arguments, "database");
	run_text_argument(session, "snapshot", command.arguments, "snapshot");
	run_text_argument(session, "as", command.arguments, "as");
	run_text_argument(session, "where", command.arguments, "where");
	if (run_number_argument(session, "connections", command.arguments, "connections", err) != 0)
		goto out;
	run_flag_argument(session, "dry-run", command.arguments, "dry_run", true);
	if (option_given(&session->line, "exchange"))
		json_object_set_new(command.arguments, "source", json_string("exchange"));
	if (option_given(&session->line, "append"))
		json_object_set_new(command.arguments, "mode", json_string("append"));
	rc = run_command(session, &command, err);
out:
	json_decref(command.arguments);
	return rc;
}
