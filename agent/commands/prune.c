#include "agent/commands/prune.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec prune_options[] = {
	KEEP_OPTIONS,
	{ "only-remove",  0, OPTION_FLAG,  NULL, "forget no snapshot, whatever the rules say" },
	{ "grace",        0, OPTION_VALUE, "DURATION",
	  "remove data only after it was without use for so long" },
	{ "rewrite-percent", 0, OPTION_VALUE, "N", "rewrite packs of which so much is dead" },
	{ "join-packs",   0, OPTION_VALUE, "N", "join small packs, once so many; 0: never" },
	LIMIT_OPTIONS,
	{ "json",         0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

/* Options, and what they are called in a run's "keep". */
static const struct {
	const char *option, *name;
} rules[] = { { "keep-last", "last" }, { "keep-hourly", "hourly" }, { "keep-daily", "daily" },
	{ "keep-weekly", "weekly" }, { "keep-monthly", "monthly" }, { "keep-yearly", "yearly" } };

static void
put_texts(struct buffer *buffer, const json_t *texts, const char *between)
{
	const json_t *text;
	size_t i;

	json_array_foreach(texts, i, text)
		buffer_printf(buffer, "%s%s", i == 0 ? "" : between, json_string_value(text));
}

/* "keep   3fa9c2d1  2026-11-21T23:05:00  /srv  daily 2026-11-21, last 1 (job home)" */
static void
print_snapshots(const json_t *snapshots)
{
	const json_t *row;
	size_t i;

	json_array_foreach(snapshots, i, row) {
		const char *rule = json_string_value(json_object_get(row, "rule"));
		struct buffer text = BUFFER_INIT;

		put_texts(&text, json_object_get(row, "sources"), " ");
		buffer_put_text(&text, "  ");
		put_texts(&text, json_object_get(row, "reasons"), ", ");
		if (rule != NULL)
			buffer_printf(&text, "%s(%s)",
			    json_array_size(json_object_get(row, "reasons")) > 0 ? " " : "", rule);
		printf("%-6s %.8s  %.19s  %s\n",
		    json_is_true(json_object_get(row, "keep")) ? "keep" : "forget",
		    json_string_value(json_object_get(row, "id")),
		    json_string_value(json_object_get(row, "time")), buffer_text(&text));
		buffer_done(&text);
	}
}

static unsigned long long
figure(const struct run_result *result, const char *name)
{
	return (unsigned long long)json_integer_value(json_object_get(result->json, name));
}

static void
print_forget(const struct run_result *result, double seconds)
{
	bool dry_run = json_is_true(json_object_get(result->json, "dry_run"));

	(void)seconds;
	print_snapshots(json_object_get(result->json, "snapshots"));
	printf("%s%llu snapshots%s\n", dry_run ? "dry run: would have forgotten " : "forgot ",
	    figure(result, "forgotten"),
	    dry_run ? "" : "; their data is removed by holdfastd prune");
}

static void
print_prune(const struct run_result *result, double seconds)
{
	bool dry_run = json_is_true(json_object_get(result->json, "dry_run"));
	char marked[16], removed[16], freed[16];

	print_snapshots(json_object_get(result->json, "snapshots"));
	size_format(figure(result, "bytes_marked"), marked);
	size_format(figure(result, "bytes_removed"), removed);
	size_format(figure(result, "bytes_to_free"), freed);
	if (dry_run)
		printf("dry run: would have forgotten %llu snapshots, rewritten %llu packs, joined "
		    "%llu, marked %llu (%s); this frees %s in the end\n",
		    figure(result, "forgotten"), figure(result, "packs_rewritten"),
		    figure(result, "packs_joined"), figure(result, "packs_marked"), marked, freed);
	else
		printf("forgot %llu snapshots, removed %llu packs (%s), rewrote %llu, joined %llu, "
		    "marked %llu (%s) to be removed later; in %.1f s\n",
		    figure(result, "forgotten"), figure(result, "packs_removed"), removed,
		    figure(result, "packs_rewritten"), figure(result, "packs_joined"),
		    figure(result, "packs_marked"), marked, seconds);
}

bool
keep_options_given(const struct session *session)
{
	bool given = option_given(&session->line, "keep-within");

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		given = given || option_given(&session->line, rules[i].option);
	return given;
}

int
prune_by_rules(struct session *session, const char *only, struct error *err)
{
	struct run_command command = { .kind = RUN_PRUNE, .arguments = json_object(),
		.print = only != NULL && strcmp(only, "forget") == 0 ? print_forget : print_prune };
	json_t *keep = json_object();
	int rc = run_number_argument(
	    session, "rewrite-percent", command.arguments, "rewrite_percent", err);

	if (rc == 0)
		rc = run_number_argument(
		    session, "join-packs", command.arguments, "join_packs", err);
	json_object_set_new(command.arguments, "keep", keep);
	for (size_t i = 0; i < ARRAY_LEN(rules) && rc == 0; i++)
		rc = run_number_argument(session, rules[i].option, keep, rules[i].name, err);
	if (rc == 0) {
		if (only != NULL)
			json_object_set_new(command.arguments, "only", json_string(only));
		run_text_argument(session, "keep-within", keep, "within");
		run_text_argument(session, "job", command.arguments, "job");
		run_text_argument(session, "grace", command.arguments, "grace");
		run_flag_argument(session, "dry-run", command.arguments, "dry_run", true);
		rc = run_command(session, &command, err);
	}
	json_decref(command.arguments);
	return rc;
}

int
prune_main(struct session *session, struct error *err)
{
	if (!option_given(&session->line, "only-remove"))
		return prune_by_rules(session, NULL, err);
	if (keep_options_given(session) || option_given(&session->line, "job"))
		return error_set(err, ERROR_USAGE, "'--only-remove' goes with no rule");
	return prune_by_rules(session, "remove", err);
}
