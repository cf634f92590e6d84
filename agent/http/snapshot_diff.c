/*
 * GET /v1/snapshots/{id}/diff/{other}: what changed from one snapshot to another, streamed.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/rows.h"
#include "agent/http/server_internal.h"
#include "agent/http/snapshot_path.h"
#include "agent/http/stream.h"
#include "agent/repository/look_json.h"
#include "shared/mem.h"
#include "shared/text.h"

struct diff_stream {
	struct repository *repo;
	struct snapshot *before, *after;
	struct entry old, new;
	char *path;        /* bytes */
	char *behind;      /* bytes; changes up to this path are left out; or NULL */
	uint64_t limit;    /* 0: none */
	bool ndjson;
	struct rows rows;
	char *last;        /* the last path that was sent, printable */
	bool more;
};

static void
diff_stream_free(void *arg)
{
	struct diff_stream *diff = arg;

	entry_done(&diff->old);
	entry_done(&diff->new);
	snapshot_free(diff->before);
	snapshot_free(diff->after);
	free(diff->path);
	free(diff->behind);
	free(diff->last);
	rows_done(&diff->rows);
	free(diff);
}

/* The order in which a diff tells paths: names by their bytes, a folder before what is in it. */
static bool
is_behind(const char *path, size_t len, const char *mark)
{
	size_t mark_len = strlen(mark), n = len < mark_len ? len : mark_len;

	for (size_t i = 0; i < n; i++) {
		if (path[i] == mark[i])
			continue;
		if (path[i] == '/' || mark[i] == '/')
			return mark[i] == '/';
		return (unsigned char)path[i] > (unsigned char)mark[i];
	}
	return len > mark_len;
}

/* The totals are those of the whole difference, so nothing ends early. */
static int
send_change(void *arg, enum diff_kind kind, const char *path, size_t len,
    const struct entry *before, const struct entry *after, struct error *err)
{
	struct diff_stream *diff = arg;

	if (diff->more || (diff->behind != NULL && !is_behind(path, len, diff->behind)))
		return 0;
	if (diff->limit > 0 && diff->rows.count == diff->limit) {
		diff->more = true;
		return 0;
	}
	free(diff->last);
	diff->last = text_printable(path, len);
	return rows_put(&diff->rows, diff_change_to_json(kind, diff->last, before, after), err);
}

static int
diff_produce(struct stream *stream, void *arg, struct error *err)
{
	struct diff_stream *diff = arg;
	struct diff_totals totals;
	int rc;

	rows_begin(&diff->rows, stream, "changes", diff->ndjson);
	rc = diff_trees(diff->repo, &diff->old, &diff->new, diff->path, send_change, diff,
	    stream_progress(stream), &totals, err);
	if (rc != 0)
		return -1;
	return rows_end(&diff->rows, json_pack("{s:s, s:s, s:o, s:o}", "before",
	    diff->before->id, "after", diff->after->id, "totals", diff_totals_to_json(&totals),
	    "next", diff->more ? json_string(diff->last) : json_null()), err);
}

/* A path that is not there counts as an empty folder; says whether it is. */
static int
lookup(struct repository *repo, const struct snapshot *snapshot, const char *path,
    struct entry *ret, bool *ret_there, struct error *err)
{
	int rc = tree_lookup(repo, snapshot->roots, snapshot->root_count, path, ret, err);

	*ret_there = rc == 1;
	if (rc == 0) {
		entry_init(ret);
		ret->kind = ENTRY_DIRECTORY;
	}
	return rc < 0 ? -1 : 0;
}

static int
lookup_both(struct diff_stream *diff, const char *shown, struct error *err)
{
	bool before, after;

	if (lookup(diff->repo, diff->before, diff->path, &diff->old, &before, err) != 0 ||
	    lookup(diff->repo, diff->after, diff->path, &diff->new, &after, err) != 0)
		return -1;
	if (before || after)
		return 0;
	error_set(err, ERROR_NOT_FOUND, "'%.200s' is in neither snapshot", shown);
	return error_hint(err, "GET /v1/find?name= finds a name at any place");
}

/* A path as answers show it, to bytes. */
static int
take_path(const char *name, const char *shown, char **ret, struct error *err)
{
	size_t len;

	if (text_unprintable(shown, err, ret, &len) != 0) {
		err->code = ERROR_BAD_REQUEST;
		return error_prefix(err, "'%s': ", name);
	}
	if ((*ret)[0] == '/' && strlen(*ret) == len)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "'%s': '%.128s' is not an absolute path", name, shown);
	return error_hint(err, "paths in a snapshot begin with '/'");
}

static int
find_both(struct request *request, struct diff_stream *diff, struct error *err)
{
	const char *segment = strrchr(request->path, '/') + 1;
	char *other = percent_decode(segment, strlen(segment), false, err);
	int rc;

	if (other == NULL)
		return -1;
	rc = snapshot_find(diff->repo, request->id, &diff->before, err);
	if (rc == 0)
		rc = snapshot_find(diff->repo, other, &diff->after, err);
	free(other);
	return rc;
}

int
http_snapshot_diff(struct request *request, struct response *response, struct error *err)
{
	const char *path = params_get(&request->params, "path");
	const char *behind = params_get(&request->params, "after"), *type;
	struct diff_stream *diff = MEM_NEW(struct diff_stream);

	diff->repo = request->services->repo;
	entry_init(&diff->old);
	entry_init(&diff->new);
	if (path == NULL)
		path = "/";
	diff->limit = openapi_limit(server_openapi(request->http), request);
	if (rows_choose(request, &diff->ndjson, &type, err) != 0 ||
	    take_path("path", path, &diff->path, err) != 0 ||
	    (behind != NULL && take_path("after", behind, &diff->behind, err) != 0) ||
	    find_both(request, diff, err) != 0 || lookup_both(diff, path, err) != 0) {
		diff_stream_free(diff);
		return -1;
	}
	response_stream(response, 200, type, RESPONSE_LENGTH_UNKNOWN, diff_produce, diff,
	    diff_stream_free);
	response_header(response, "Vary", "Accept");
	return 0;
}
