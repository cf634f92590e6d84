#include <stdio.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec prune_options[] = {
	{ "keep-last",    0, OPTION_VALUE, "N", "keep the newest N snapshots" },
	{ "keep-hourly",  0, OPTION_VALUE, "N", "keep the newest of each of the last N hours" },
	{ "keep-daily",   0, OPTION_VALUE, "N", "... of the last N days that have one" },
	{ "keep-weekly",  0, OPTION_VALUE, "N", "... weeks" },
	{ "keep-monthly", 0, OPTION_VALUE, "N", "... months" },
	{ "keep-yearly",  0, OPTION_VALUE, "N", "... years" },
	{ "keep-within",  0, OPTION_VALUE, "DURATION", "keep what is younger, as 30d" },
	{ "grace",        0, OPTION_VALUE, "DURATION",
	  "remove data only after it was without use for so long" },
	{ "dry-run",      0, OPTION_FLAG,  NULL, "tell what would be done" },
	LIMIT_OPTIONS,
	{ "json",         0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
print_snapshots(const json_t *snapshots)
{
	const json_t *row, *reason;
	size_t i, j;

	json_array_foreach(snapshots, i, row) {
		struct buffer reasons = BUFFER_INIT;
		const char *source = json_string_value(json_object_get(row, "source"));

		json_array_foreach(json_object_get(row, "reasons"), j, reason)
			buffer_printf(&reasons, "%s%s", j == 0 ? "  because of " : ", ",
			    json_string_value(reason));
		printf("%-6s %.8s  %.19s  %s%s\n",
		    json_is_true(json_object_get(row, "keep")) ? "keep" : "forget",
		    json_string_value(json_object_get(row, "id")),
		    json_string_value(json_object_get(row, "time")), source == NULL ? "" : source,
		    buffer_text(&reasons));
		buffer_done(&reasons);
	}
}

static unsigned long long
figure(const struct run_result *result, const char *name)
{
	return (unsigned long long)json_integer_value(json_object_get(result->json, name));
}

static void
print_prune(const struct run_result *result, double seconds)
{
	bool dry_run = json_is_true(json_object_get(result->json, "dry_run"));
	char marked[16], removed[16];

	print_snapshots(json_object_get(result->json, "snapshots"));
	size_format(figure(result, "bytes_marked"), marked);
	size_format(figure(result, "bytes_removed"), removed);
	printf("%s%llu snapshots, removed %llu packs (%s), rewrote %llu, marked %llu (%s) to be "
	    "removed later", dry_run ? "dry run: would have forgotten " : "forgot ",
	    figure(result, "forgotten"), figure(result, "packs_removed"), removed,
	    figure(result, "packs_rewritten"), figure(result, "packs_marked"), marked);
	if (dry_run)
		printf("\n");
	else
		printf("; in %.1f s\n", seconds);
}

int
prune_main(struct session *session, struct error *err)
{
	static const struct {
		const char *option, *name;
	} rules[] = { { "keep-last", "last" }, { "keep-hourly", "hourly" },
		{ "keep-daily", "daily" }, { "keep-weekly", "weekly" },
		{ "keep-monthly", "monthly" }, { "keep-yearly", "yearly" } };
	struct run_command command = { .kind = RUN_PRUNE, .arguments = json_object(),
		.print = print_prune };
	json_t *keep = json_object();
	int rc = 0;

	json_object_set_new(command.arguments, "keep", keep);
	for (size_t i = 0; i < ARRAY_LEN(rules) && rc == 0; i++)
		rc = run_number_argument(session, rules[i].option, keep, rules[i].name, err);
	if (rc == 0) {
		run_text_argument(session, "keep-within", keep, "within");
		run_text_argument(session, "grace", command.arguments, "grace");
		run_flag_argument(session, "dry-run", command.arguments, "dry_run", true);
		rc = run_command(session, &command, err);
	}
	json_decref(command.arguments);
	return rc;
}
