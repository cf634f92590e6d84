#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "shared/buffer.h"
#include "shared/text.h"

struct damaged {
	unsigned count;
};

static void
tell_damaged(void *arg, const char *id, const struct error *why)
{
	struct damaged *damaged = arg;
	struct error copy = *why;

	damaged->count++;
	error_prefix(&copy, "snapshot '%.8s': ", id);
	session_complain(&copy);
}

static void
print_line(const struct snapshot *snapshot)
{
	struct buffer text = BUFFER_INIT;
	char when[TIME_TEXT_SIZE], bytes[16];

	time_format(snapshot->time, 0, when);
	when[10] = ' ';
	when[19] = '\0';
	size_format(snapshot->bytes, bytes);
	for (size_t i = 0; i < snapshot->source_count; i++)
		buffer_printf(&text, "%s%s", i == 0 ? "" : " ", snapshot->sources[i]);
	for (size_t i = 0; i < snapshot->tag_count; i++) {
		char *tag = text_printable(snapshot->tags[i], strlen(snapshot->tags[i]));

		buffer_printf(&text, "  #%s", tag);
		free(tag);
	}
	printf("%.8s  %s  %9llu  %10s  %s%s%s\n", snapshot->id, when,
	    (unsigned long long)snapshot->files, bytes, buffer_text(&text),
	    snapshot->warn ? "  (with losses)" : "", snapshot->pinned ? "  (pinned)" : "");
	buffer_done(&text);
}

int
snapshots_main(struct session *session, struct error *err)
{
	struct snapshot **list = NULL;
	struct damaged damaged = { 0 };
	json_t *all = json_array();
	size_t count = 0;
	int rc = -1;

	if (session_open_repository(session, err) != 0 ||
	    snapshot_list(session->repo, &list, &count, tell_damaged, &damaged, err) != 0)
		goto out;
	if (!session->json && count > 0)
		printf(
		    "%-8s  %-19s  %9s  %10s  %s\n", "id", "time (UTC)", "files", "size", "source");
	for (size_t i = 0; i < count; i++) {
		if (session->json)
			json_array_append_new(all, snapshot_to_json(list[i]));
		else
			print_line(list[i]);
	}
	if (!session->json && count == 0)
		printf("no snapshots yet\n");
	if (session->json && session_print_json(json_incref(all), err) != 0)
		goto out;
	/* The list is not all that was there. */
	rc = damaged.count > 0 ? EXIT_LOSSES : EXIT_OK;
out:
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	json_decref(all);
	return rc;
}
