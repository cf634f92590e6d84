/* Looking into snapshots: diff, find, versions, size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "agent/repository/diff.h"
#include "agent/repository/find.h"
#include "agent/repository/look_json.h"
#include "agent/repository/unique.h"
#include "shared/mem.h"
#include "shared/progress.h"
#include "shared/text.h"

/* What the lines of one answer share. */
struct look {
	bool json;
	json_t *list; /* with --json */
};

static void
show_time(struct timespec time, char out[TIME_TEXT_SIZE])
{
	time_format(time, 0, out);
	out[10] = ' ';
	out[19] = '\0';
}

static void
free_snapshots(struct snapshot **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
}

static int
print_change(void *arg, enum diff_kind kind, const char *path, size_t len,
    const struct entry *before, const struct entry *after, struct error *err)
{
	static const char signs[DIFF_KIND_COUNT] = { '+', '-', 'M', 'm', 'T' };
	struct look *look = arg;
	char *shown = text_printable(path, len);

	(void)err;
	if (look->json)
		json_array_append_new(look->list, diff_change_to_json(kind, shown, before, after));
	else
		printf("%c %s%s\n", signs[kind], shown,
		    (after != NULL ? after : before)->kind == ENTRY_DIRECTORY ? "/" : "");
	free(shown);
	return 0;
}

static void
print_totals(const struct diff_totals *totals)
{
	char added[16], removed[16];

	size_format(totals->added_bytes, added);
	size_format(totals->removed_bytes, removed);
	printf("%llu added, %llu removed, %llu changed, %llu only in their attributes, "
	    "%llu of another kind; %s now, %s before\n",
	    (unsigned long long)totals->count[DIFF_ADDED],
	    (unsigned long long)totals->count[DIFF_REMOVED],
	    (unsigned long long)totals->count[DIFF_CHANGED],
	    (unsigned long long)totals->count[DIFF_METADATA],
	    (unsigned long long)totals->count[DIFF_REPLACED], added, removed);
}

/* A path in a snapshot; one that is not there counts as an empty folder. */
static int
lookup(struct session *session, const struct snapshot *snapshot, const char *path,
    struct entry *ret, bool *ret_there, struct error *err)
{
	int rc = tree_lookup(session->repo, snapshot->roots, snapshot->root_count, path, ret, err);

	if (rc == 0) {
		entry_init(ret);
		ret->kind = ENTRY_DIRECTORY;
	}
	*ret_there = rc == 1;
	return rc < 0 ? -1 : 0;
}

int
diff_main(struct session *session, struct error *err)
{
	const char *shown = session->line.argument_count > 2 ? session->line.arguments[2] : "/";
	struct look look = { session->json, json_array() };
	struct snapshot *before = NULL, *after = NULL;
	struct entry old, new;
	struct diff_totals totals;
	struct progress progress;
	bool old_there, new_there;
	char *path = NULL;
	size_t len;
	int rc = -1;

	progress_init(&progress);
	entry_init(&old);
	entry_init(&new);
	if (session_snapshot(session, 0, &before, err) != 0 ||
	    session_snapshot(session, 1, &after, err) != 0 ||
	    text_unprintable(shown, err, &path, &len) != 0 ||
	    lookup(session, before, path, &old, &old_there, err) != 0 ||
	    lookup(session, after, path, &new, &new_there, err) != 0)
		goto out;
	if (!old_there && !new_there) {
		error_set(err, ERROR_NOT_FOUND, "'%s' is in neither snapshot", shown);
		goto out;
	}
	if (diff_trees(session->repo, &old, &new, path, print_change, &look, &progress, &totals,
	    err) != 0)
		goto out;
	if (!session->json)
		print_totals(&totals);
	else if (session_print_json(json_pack("{s:s, s:s, s:O, s:o}", "before", before->id, "after",
	    after->id, "changes", look.list, "totals", diff_totals_to_json(&totals)), err) != 0)
		goto out;
	rc = EXIT_OK;
out:
	entry_done(&old);
	entry_done(&new);
	snapshot_free(before);
	snapshot_free(after);
	free(path);
	json_decref(look.list);
	progress_done(&progress);
	return rc;
}

static void
print_place(const struct snapshot *snapshot, const char *path, const struct entry *entry)
{
	char when[TIME_TEXT_SIZE], mtime[TIME_TEXT_SIZE] = "", size[16] = "gone";

	show_time(snapshot->time, when);
	if (entry != NULL) {
		size_format(entry->size, size);
		show_time(entry->mtime, mtime);
	}
	printf("%.8s  %s  %10s  %-19s  %s\n", snapshot->id, when, size, mtime, path);
}

static int
take_found(void *arg, const struct snapshot *snapshot, const char *path, size_t len,
    const struct entry *entry, struct error *err)
{
	struct look *look = arg;
	char *shown = text_printable(path, len);

	(void)err;
	if (look->json)
		json_array_append_new(look->list, find_place_to_json(snapshot, shown, entry));
	else
		print_place(snapshot, shown, entry);
	free(shown);
	return 0;
}

struct versions {
	struct look look;
	const char *shown;
	size_t count;
};

static int
take_version(void *arg, const struct snapshot *snapshot, const struct entry *entry,
    struct error *err)
{
	struct versions *versions = arg;

	(void)err;
	versions->count++;
	if (versions->look.json)
		json_array_append_new(versions->look.list,
		    find_place_to_json(snapshot, versions->shown, entry));
	else
		print_place(snapshot, versions->shown, entry);
	return 0;
}

static int
list_all(struct session *session, struct snapshot ***ret, size_t *ret_count, struct error *err)
{
	if (session_open_repository(session, err) != 0)
		return -1;
	return snapshot_list(session->repo, ret, ret_count, NULL, NULL, err);
}

int
find_main(struct session *session, struct error *err)
{
	struct look look = { session->json, json_array() };
	struct snapshot **list = NULL;
	struct progress progress;
	size_t count = 0, len;
	char *pattern = NULL;
	int rc = -1;

	progress_init(&progress);
	if (text_unprintable(session->line.arguments[0], err, &pattern, &len) != 0 ||
	    list_all(session, &list, &count, err) != 0 ||
	    find_names(session->repo, list, count, pattern, take_found, &look, &progress, err) != 0)
		goto out;
	if (session->json && session_print_json(json_incref(look.list), err) != 0)
		goto out;
	rc = EXIT_OK;
out:
	free_snapshots(list, count);
	free(pattern);
	json_decref(look.list);
	progress_done(&progress);
	return rc;
}

int
versions_main(struct session *session, struct error *err)
{
	struct versions versions = { { session->json, json_array() }, session->line.arguments[0],
		0 };
	struct snapshot **list = NULL;
	struct progress progress;
	size_t count = 0, len;
	char *path = NULL;
	int rc = -1;

	progress_init(&progress);
	if (text_unprintable(versions.shown, err, &path, &len) != 0 ||
	    list_all(session, &list, &count, err) != 0 ||
	    find_versions(session->repo, list, count, path, take_version, &versions, &progress,
	        err) != 0)
		goto out;
	if (versions.count == 0) {
		error_set(err, ERROR_NOT_FOUND, "'%s' is in no snapshot", versions.shown);
		error_hint(err, "a name at any place is found with: holdfastd find NAME");
		goto out;
	}
	if (session->json && session_print_json(json_incref(versions.look.list), err) != 0)
		goto out;
	rc = EXIT_OK;
out:
	free_snapshots(list, count);
	free(path);
	json_decref(versions.look.list);
	progress_done(&progress);
	return rc;
}

int
size_main(struct session *session, struct error *err)
{
	struct snapshot *snapshot = NULL;
	struct unique_size unique;
	struct progress progress;
	char text[16];
	int rc;

	if (session_snapshot(session, 0, &snapshot, err) != 0)
		return -1;
	progress_init(&progress);
	rc = snapshot_unique_bytes(session->repo, snapshot, &progress, &unique, err);
	if (rc == 0 && session->json) {
		rc = session_print_json(json_pack("{s:s, s:I, s:I}", "snapshot", snapshot->id,
		    "blobs", (json_int_t)unique.blobs, "bytes", (json_int_t)unique.bytes), err);
	} else if (rc == 0) {
		size_format(unique.bytes, text);
		printf("%.8s  alone holds %s in %llu blobs\n", snapshot->id, text,
		    (unsigned long long)unique.blobs);
	}
	progress_done(&progress);
	snapshot_free(snapshot);
	return rc == 0 ? EXIT_OK : -1;
}
