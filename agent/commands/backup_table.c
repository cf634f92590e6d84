#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec backup_table_options[] = {
	{ "database",    0, OPTION_VALUE, "NAME", "of [database NAME]; default: [database]" },
	{ "connections", 0, OPTION_VALUE, "N", "connections to read with" },
	{ "tag",         0, OPTION_LIST,  "TEXT", "remember this with the snapshot" },
	{ "level",       0, OPTION_VALUE, "N", "zstd level, 1 to 19" },
	{ "threads",     0, OPTION_VALUE, "N", "threads to compress with; 0: one per core" },
	{ "no-verify",   0, OPTION_FLAG,  NULL, "do not check data again before it is stored" },
	LIMIT_OPTIONS,
	{ "json",        0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
print_tables(const struct run_result *result, double seconds)
{
	const json_t *row;
	char bytes[16], stored[16];
	size_t i;

	json_array_foreach(json_object_get(result->json, "tables"), i, row) {
		const char *name = json_string_value(json_object_get(row, "table"));
		char *printable = text_printable(name, strlen(name));

		size_format((uint64_t)json_integer_value(json_object_get(row, "bytes")), bytes);
		printf("%-32s %12lld rows %10s\n", printable,
		    (long long)json_integer_value(json_object_get(row, "rows")), bytes);
		free(printable);
	}
	size_format(result->bytes, bytes);
	size_format(result->stored_bytes, stored);
	printf("stored snapshot %.8s: %llu tables, %s, %s new in the repository; in %.1f s\n",
	    result->snapshot, (unsigned long long)result->files, bytes, stored, seconds);
}

int
backup_table_main(struct session *session, struct error *err)
{
	struct run_command command = { .kind = RUN_TABLES, .arguments = json_object(),
		.print = print_tables };
	json_t *tables = json_array(), *tags = json_array();
	int rc = -1;

	json_object_set_new(command.arguments, "tables", tables);
	json_object_set_new(command.arguments, "tags", tags);
	for (size_t i = 0; i < session->line.argument_count; i++)
		if (json_array_append_new(tables, json_string(session->line.arguments[i])) != 0) {
			error_set(err, ERROR_USAGE, "the name of a table is not valid UTF-8");
			goto out;
		}
	if (run_list_argument(session, "tag", tags, err) != 0 ||
	    run_number_argument(session, "connections", command.arguments, "connections",
	    err) != 0 || run_number_argument(session, "level", command.arguments, "level",
	    err) != 0 || run_number_argument(session, "threads", command.arguments, "threads",
	    err) != 0)
		goto out;
	run_text_argument(session, "database", command.arguments, "database");
	run_flag_argument(session, "no-verify", command.arguments, "verify", false);
	rc = run_command(session, &command, err);
out:
	json_decref(command.arguments);
	return rc;
}
