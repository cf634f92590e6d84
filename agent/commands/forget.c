#include <stdio.h>
#include <stdlib.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "shared/mem.h"

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

int
forget_main(struct session *session, struct error *err)
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
