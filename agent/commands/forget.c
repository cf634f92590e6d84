#include <stdio.h>
#include <stdlib.h>

#include "agent/commands/commands.h"
#include "agent/commands/prune.h"
#include "agent/commands/session.h"
#include "shared/mem.h"

/* clang-format off */
const struct option_spec forget_options[] = {
	{ "rules",        0, OPTION_FLAG,  NULL,
	  "forget what the rules do not keep: those given here, else those of the settings" },
	KEEP_OPTIONS,
	{ "json",         0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
log_forget(struct session *session, const char *id, const struct error *failure)
{
	struct action action = { .action = "Forget", .parameter = id,
		.snapshot = failure->code == ERROR_NONE ? id : NULL,
		.failed = failure->code != ERROR_NONE,
		.outcome = failure->code == ERROR_NONE ? "ok" : "failed",
		.message = failure->code == ERROR_NONE ? NULL : failure->message };

	session_log(session, &action);
}

static int
forget_named(struct session *session, struct error *err)
{
	size_t count = session->line.argument_count;
	struct snapshot **list = mem_calloc(count, sizeof(*list));
	json_t *forgotten = json_array();
	int rc = -1;

	/* All are found before the first goes: a slip in the last id costs nothing. */
	for (size_t i = 0; i < count; i++) {
		if (session_snapshot(session, i, &list[i], err) != 0) {
			log_forget(session, session->line.arguments[i], err);
			goto out;
		}
	}
	for (size_t i = 0; i < count; i++) {
		struct error failure = ERROR_INIT;

		if (snapshot_remove(session->repo, list[i]->id, &failure) != 0) {
			log_forget(session, list[i]->id, &failure);
			*err = failure;
			goto out;
		}
		log_forget(session, list[i]->id, &failure);
		json_array_append_new(forgotten, json_string(list[i]->id));
		if (!session->json)
			printf("forgot %s\n", list[i]->id);
	}
	rc = 0;
	if (session->json)
		rc = session_print_json(json_pack("{s:O}", "forgotten", forgotten), err);
	else
		printf("their data is removed by holdfastd prune\n");
out:
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	json_decref(forgotten);
	return rc == 0 ? EXIT_OK : -1;
}

int
forget_main(struct session *session, struct error *err)
{
	bool rules = option_given(&session->line, "rules") || keep_options_given(session);
	bool named = session->line.argument_count > 0;

	/* Never the rules just because a list of ids turned out empty. */
	if (!rules && !named) {
		error_set(err, ERROR_USAGE, "'forget' needs the id of a snapshot, or --rules");
		return error_hint(err, "see holdfastd help forget");
	}
	if (rules && named)
		return error_set(
		    err, ERROR_USAGE, "'forget' takes snapshots or rules, not both at once");
	if (named && (option_given(&session->line, "dry-run") ||
	    option_given(&session->line, "job")))
		return error_set(err, ERROR_USAGE, "'--dry-run' and '--job' go with --rules");
	return rules ? prune_by_rules(session, "forget", err) : forget_named(session, err);
}
