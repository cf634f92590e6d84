/*
 * GET /v1/snapshots/{id}/tree: the entries of one folder in a snapshot, page by page.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/files/entry_json.h"
#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/http/snapshot_path.h"
#include "agent/repository/tree.h"
#include "shared/mem.h"
#include "shared/text.h"

/* The first entry of a page: the one behind `after`, a name in printable form. */
static int
page_begin(struct tree_cursor *cursor, const char *after, const struct entry **ret,
    struct error *err)
{
	char *name;
	size_t len;
	int rc;

	if (after == NULL)
		return tree_next(cursor, ret, err);
	if (text_unprintable(after, err, &name, &len) != 0) {
		err->code = ERROR_BAD_REQUEST;
		return error_prefix(err, "'after': ");
	}
	rc = tree_seek(cursor, name, len, ret, err);
	if (rc == 1 && (*ret)->name_len == len && memcmp((*ret)->name, name, len) == 0)
		rc = tree_next(cursor, ret, err);
	free(name);
	return rc;
}

static int
folder_json(struct repository *repo, const struct entry *folder, const char *after,
    uint64_t limit, json_t *json, struct error *err)
{
	struct tree_cursor *cursor = NULL;
	const struct entry *entry;
	json_t *entries = json_array(), *next = json_null();
	char *last = NULL;
	int rc;

	rc = tree_open(repo, folder->content, folder->content_count, &cursor, err);
	if (rc == 0)
		rc = page_begin(cursor, after, &entry, err);
	while (rc == 1) {
		if (json_array_size(entries) == limit) {
			next = json_string(last);
			rc = 0;
			break;
		}
		free(last);
		last = text_printable(entry->name, entry->name_len);
		json_array_append_new(entries, entry_to_json(entry));
		rc = tree_next(cursor, &entry, err);
	}
	json_object_set_new(json, "entries", entries);
	json_object_set_new(json, "next", next);
	free(last);
	tree_close(cursor);
	return rc;
}

int
http_snapshot_tree(struct request *request, struct response *response, struct error *err)
{
	const struct params *params = &request->params;
	struct snapshot *snapshot = NULL;
	json_t *json = NULL;
	char *path = NULL;
	struct entry entry;
	uint64_t limit;
	int rc = -1;

	if (snapshot_path_find(request, &snapshot, &entry, &path, err) != 0)
		return -1;
	limit = openapi_limit(server_openapi(request->http), request);
	json = json_pack("{s:s, s:s, s:o}", "snapshot", snapshot->id, "path", path, "entry",
	    entry_to_json(&entry));
	if (entry.kind != ENTRY_DIRECTORY) {
		/* What is no folder has no entries, but can be looked at. */
		json_object_set_new(json, "entries", json_array());
		json_object_set_new(json, "next", json_null());
	} else if (folder_json(request->services->repo, &entry, params_get(params, "after"), limit,
	    json, err) != 0) {
		goto out;
	}
	response_json(response, 200, json);
	json = NULL;
	rc = 0;
out:
	json_decref(json);
	entry_done(&entry);
	snapshot_free(snapshot);
	free(path);
	return rc;
}
