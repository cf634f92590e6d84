#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "agent/files/entry_json.h"
#include "agent/repository/tree.h"
#include "shared/text.h"

/* Kind and permissions as ls -l shows them. */
static void
mode_text(const struct entry *entry, char out[11])
{
	static const char kinds[ENTRY_KIND_COUNT] = { [ENTRY_FILE] = '-', [ENTRY_DIRECTORY] = 'd',
		[ENTRY_SYMLINK] = 'l', [ENTRY_FIFO] = 'p', [ENTRY_CHARACTER] = 'c',
		[ENTRY_BLOCK] = 'b', [ENTRY_SOCKET] = 's' };

	snprintf(out, 11, "%crwxrwxrwx", kinds[entry->kind]);
	for (int i = 0; i < 9; i++)
		if ((entry->mode & (0400u >> i)) == 0)
			out[1 + i] = '-';
	if ((entry->mode & 04000) != 0)
		out[3] = out[3] == 'x' ? 's' : 'S';
	if ((entry->mode & 02000) != 0)
		out[6] = out[6] == 'x' ? 's' : 'S';
	if ((entry->mode & 01000) != 0)
		out[9] = out[9] == 'x' ? 't' : 'T';
}

static void
print_owner(const char *name, uint32_t number)
{
	char *printable = name == NULL ? NULL : text_printable(name, strlen(name));

	if (printable != NULL)
		printf(" %-8s", printable);
	else
		printf(" %-8u", (unsigned)number);
	free(printable);
}

static void
print_entry(const struct entry *entry)
{
	char mode[11], when[TIME_TEXT_SIZE], size[24];
	char *name = text_printable(entry->name, entry->name_len);

	mode_text(entry, mode);
	time_format(entry->mtime, 0, when);
	when[10] = ' ';
	when[19] = '\0';
	if (entry->kind == ENTRY_CHARACTER || entry->kind == ENTRY_BLOCK)
		snprintf(size, sizeof(size), "%u,%u", (unsigned)entry->device_major,
		    (unsigned)entry->device_minor);
	else
		snprintf(size, sizeof(size), "%llu", (unsigned long long)entry->size);
	printf("%s", mode);
	print_owner(entry->user, entry->uid);
	print_owner(entry->group, entry->gid);
	printf(" %12s  %s  %s%s", size, when, name, entry->kind == ENTRY_DIRECTORY ? "/" : "");
	if (entry->kind == ENTRY_SYMLINK) {
		char *target = text_printable(entry->target, entry->target_len);

		printf(" -> %s", target);
		free(target);
	}
	putchar('\n');
	free(name);
}

static int
list_folder(struct session *session, const struct entry *folder, json_t *all,
    struct error *err)
{
	struct tree_cursor *cursor = NULL;
	const struct entry *entry;
	int rc;

	if (tree_open(session->repo, folder->content, folder->content_count, &cursor, err) != 0)
		return -1;
	while ((rc = tree_next(cursor, &entry, err)) == 1) {
		if (session->json)
			json_array_append_new(all, entry_to_json(entry));
		else
			print_entry(entry);
	}
	tree_close(cursor);
	return rc;
}

int
ls_main(struct session *session, struct error *err)
{
	const char *path = session->line.argument_count > 1 ? session->line.arguments[1] : "/";
	struct snapshot *snapshot = NULL;
	json_t *all = json_array();
	struct entry found;
	int rc = -1;

	entry_init(&found);
	if (session_snapshot(session, 0, &snapshot, err) != 0 ||
	    session_entry(session, snapshot, path, &found, err) != 0)
		goto out;
	if (found.kind == ENTRY_DIRECTORY) {
		rc = list_folder(session, &found, all, err);
	} else {
		rc = 0;
		if (session->json)
			json_array_append_new(all, entry_to_json(&found));
		else
			print_entry(&found);
	}
	if (rc == 0 && session->json)
		rc = session_print_json(json_incref(all), err);
out:
	entry_done(&found);
	snapshot_free(snapshot);
	json_decref(all);
	return rc == 0 ? EXIT_OK : -1;
}
