#include <stdio.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"

/* clang-format off */
const struct option_spec prove_options[] = {
	{ "job",    0, OPTION_VALUE, "NAME", "the newest snapshot of this job" },
	{ "files",  0, OPTION_VALUE, "N", "at most so many files; default 20" },
	{ "tables", 0, OPTION_VALUE, "N", "at most so many tables; default 1" },
	{ "bytes",  0, OPTION_VALUE, "SIZE", "and at most so much of either; default 256M" },
	LIMIT_OPTIONS,
	{ "json",   0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
print_part(const json_t *part, const char *what)
{
	if (json_is_object(part))
		printf("restored and compared %lld of %lld %s, %lld bytes\n",
		    (long long)json_integer_value(json_object_get(part, "count")),
		    (long long)json_integer_value(json_object_get(part, "of")), what,
		    (long long)json_integer_value(json_object_get(part, "bytes")));
}

static void
print_proof(const struct run_result *result, double seconds)
{
	print_part(json_object_get(result->json, "files"), "files");
	print_part(json_object_get(result->json, "tables"), "tables");
	printf("snapshot %s can be restored, as far as was tried in %.1f s\n", result->snapshot,
	    seconds);
}

int
prove_main(struct session *session, struct error *err)
{
	struct run_command command = { .kind = RUN_PROVE, .arguments = json_object(),
		.print = print_proof };
	int rc = -1;

	if (session->line.argument_count > 0)
		json_object_set_new(command.arguments, "snapshot",
		    json_string(session->line.arguments[0]));
	run_text_argument(session, "job", command.arguments, "job");
	run_text_argument(session, "bytes", command.arguments, "bytes");
	if (run_number_argument(session, "files", command.arguments, "files", err) != 0 ||
	    run_number_argument(session, "tables", command.arguments, "tables", err) != 0)
		goto out;
	rc = run_command(session, &command, err);
out:
	json_decref(command.arguments);
	return rc;
}
