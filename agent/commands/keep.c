/* What stays and what comes back: pin, unpin, trash, recall. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "shared/mem.h"
#include "shared/text.h"

static void
log_keep(struct session *session, const char *action, const char *id,
    const struct error *failure)
{
	bool ok = failure == NULL;
	struct action row = { .action = action, .parameter = id, .snapshot = ok ? id : NULL,
		.failed = !ok, .outcome = ok ? "ok" : "failed",
		.message = ok ? NULL : failure->message };

	session_log(session, &row);
}

/* Each named snapshot, one after the other; the first failure ends it. */
static int
pin_all(struct session *session, bool pinned, struct error *err)
{
	const char *action = pinned ? "Pin" : "Unpin";

	for (size_t i = 0; i < session->line.argument_count; i++) {
		struct snapshot *snapshot;

		if (session_snapshot(session, i, &snapshot, err) != 0) {
			log_keep(session, action, session->line.arguments[i], err);
			return -1;
		}
		if (snapshot_pin(session->repo, snapshot->id, pinned, err) != 0) {
			log_keep(session, action, snapshot->id, err);
			snapshot_free(snapshot);
			return -1;
		}
		log_keep(session, action, snapshot->id, NULL);
		printf("%s %s\n", pinned ? "pinned" : "unpinned", snapshot->id);
		snapshot_free(snapshot);
	}
	return EXIT_OK;
}

int
pin_main(struct session *session, struct error *err)
{
	return pin_all(session, true, err);
}

int
unpin_main(struct session *session, struct error *err)
{
	return pin_all(session, false, err);
}

static void
print_forgotten(const struct snapshot *snapshot, struct timespec forgotten)
{
	char when[TIME_TEXT_SIZE], gone[TIME_TEXT_SIZE];

	time_format(snapshot->time, 0, when);
	time_format(forgotten, 0, gone);
	printf("%.8s  of %s, forgotten %s ", snapshot->id, when, gone);
	for (size_t i = 0; i < snapshot->source_count; i++)
		printf(" %s", snapshot->sources[i]);
	putchar('\n');
}

int
trash_main(struct session *session, struct error *err)
{
	struct snapshot **list = NULL;
	struct timespec *times = NULL;
	json_t *all = json_array();
	size_t count = 0;
	int rc = -1;

	if (session_open_repository(session, err) != 0 ||
	    snapshot_list_trash(session->repo, &list, &times, &count, err) != 0)
		goto out;
	for (size_t i = 0; i < count; i++) {
		char forgotten[TIME_TEXT_SIZE];

		time_format(times[i], 0, forgotten);
		if (session->json)
			json_array_append_new(all, json_pack("{s:s, s:o}", "forgotten", forgotten,
			    "snapshot", snapshot_to_json(list[i])));
		else
			print_forgotten(list[i], times[i]);
	}
	if (!session->json && count == 0)
		printf("nothing was forgotten\n");
	if (session->json && session_print_json(json_incref(all), err) != 0)
		goto out;
	rc = EXIT_OK;
out:
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	free(times);
	json_decref(all);
	return rc;
}

int
recall_main(struct session *session, struct error *err)
{
	if (session_open_repository(session, err) != 0)
		return -1;
	for (size_t i = 0; i < session->line.argument_count; i++) {
		char id[SNAPSHOT_ID_TEXT_SIZE];

		if (snapshot_recall(session->repo, session->line.arguments[i], id, err) != 0) {
			log_keep(session, "Recall", session->line.arguments[i], err);
			return -1;
		}
		log_keep(session, "Recall", id, NULL);
		printf("brought back %s\n", id);
	}
	return EXIT_OK;
}
