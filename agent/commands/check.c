#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec check_options[] = {
	{ "read-data", 0, OPTION_OPTIONAL, "N%",
	  "read every stored byte too, or that of N per cent of the packs" },
	{ "since",     0, OPTION_VALUE, "WHEN",
	  "read that of packs written since, as 7d or 2026-11-01" },
	LIMIT_OPTIONS,
	{ "json",      0, OPTION_FLAG, NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
print_check(const struct run_result *result, double seconds)
{
	const json_t *damage = json_object_get(result->json, "damage"), *entry, *path;
	char bytes[16];
	size_t i, j;

	json_array_foreach(damage, i, entry) {
		printf("damaged: %s: %s%s\n", json_string_value(json_object_get(entry, "object")),
		    json_string_value(json_object_get(entry, "problem")),
		    json_is_true(json_object_get(entry, "healable")) ?
		    " (healable: holdfastd repair packs --apply)" : "");
		json_array_foreach(json_object_get(entry, "paths"), j, path)
			printf("  concerns %s\n", json_string_value(path));
	}
	if (json_integer_value(json_object_get(result->json, "packs_with_parity")) > 0) {
		size_format((uint64_t)json_integer_value(
		    json_object_get(result->json, "parity_bytes")), bytes);
		printf("%lld packs have parity, %s of it\n", (long long)json_integer_value(
		    json_object_get(result->json, "packs_with_parity")), bytes);
	}
	size_format((uint64_t)json_integer_value(json_object_get(result->json, "bytes_read")),
	    bytes);
	printf("checked %lld snapshots, %lld packs, %lld blobs, read %s of %lld packs in %.1f s: "
	    "%lld errors\n",
	    (long long)json_integer_value(json_object_get(result->json, "snapshots")),
	    (long long)json_integer_value(json_object_get(result->json, "packs")),
	    (long long)json_integer_value(json_object_get(result->json, "blobs")), bytes,
	    (long long)json_integer_value(json_object_get(result->json, "packs_read")), seconds,
	    (long long)json_integer_value(json_object_get(result->json, "errors")));
}

static int
set_percent(const char *text, json_t *arguments, struct error *err)
{
	char *end;
	long percent = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || (*end != '\0' && strcmp(end, "%") != 0) || percent < 1 ||
	    percent > 100) {
		error_set(err, ERROR_USAGE, "'--read-data=%.40s' is no share", text);
		return error_hint(err, "write it as --read-data=10%%");
	}
	json_object_set_new(arguments, "percent", json_integer(percent));
	return 0;
}

int
check_main(struct session *session, struct error *err)
{
	struct run_command command = { .kind = RUN_CHECK, .arguments = json_object(),
		.print = print_check };
	const char *percent = option_value(&session->line, "read-data");
	int rc = -1;

	run_flag_argument(session, "read-data", command.arguments, "read_data", true);
	run_text_argument(session, "since", command.arguments, "since");
	if (percent == NULL || set_percent(percent, command.arguments, err) == 0)
		rc = run_command(session, &command, err);
	json_decref(command.arguments);
	return rc;
}
