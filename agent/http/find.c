/*
 * GET /v1/find and /v1/versions: names, and the versions of one path, over all snapshots, streamed.
 */
#include "agent/repository/find.h"

#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/rows.h"
#include "agent/http/server_internal.h"
#include "agent/http/stream.h"
#include "agent/repository/look_json.h"
#include "shared/mem.h"
#include "shared/text.h"

struct find_stream {
	struct repository *repo;
	struct snapshot **list;
	size_t count;
	char *wanted;      /* pattern or path, bytes */
	char *shown;       /* the same, printable */
	uint64_t limit;    /* 0: none */
	bool ndjson, more;
	struct rows rows;
};

static void
find_stream_free(void *arg)
{
	struct find_stream *find = arg;

	for (size_t i = 0; i < find->count; i++)
		snapshot_free(find->list[i]);
	free(find->list);
	free(find->wanted);
	free(find->shown);
	rows_done(&find->rows);
	free(find);
}

static int
send_found(void *arg, const struct snapshot *snapshot, const char *path, size_t len,
    const struct entry *entry, struct error *err)
{
	struct find_stream *find = arg;
	char *shown;
	int rc;

	if (find->limit > 0 && find->rows.count == find->limit) {
		find->more = true;
		return 1;
	}
	shown = text_printable(path, len);
	rc = rows_put(&find->rows, find_place_to_json(snapshot, shown, entry), err);
	free(shown);
	return rc;
}

static int
find_produce(struct stream *stream, void *arg, struct error *err)
{
	struct find_stream *find = arg;
	int rc;

	rows_begin(&find->rows, stream, "found", find->ndjson);
	rc = find_names(find->repo, find->list, find->count, find->wanted, send_found, find,
	    stream_progress(stream), err);
	if (rc != 0)
		return -1;
	return rows_end(&find->rows, json_pack("{s:b}", "more", find->more), err);
}

static int
send_version(void *arg, const struct snapshot *snapshot, const struct entry *entry,
    struct error *err)
{
	struct find_stream *find = arg;

	return rows_put(&find->rows, find_place_to_json(snapshot, find->shown, entry), err);
}

static int
versions_produce(struct stream *stream, void *arg, struct error *err)
{
	struct find_stream *find = arg;
	int rc;

	rows_begin(&find->rows, stream, "versions", find->ndjson);
	rc = find_versions(find->repo, find->list, find->count, find->wanted, send_version, find,
	    stream_progress(stream), err);
	if (rc != 0)
		return -1;
	if (find->rows.count == 0) {
		error_set(err, ERROR_NOT_FOUND, "'%.200s' is in no snapshot", find->shown);
		return error_hint(err, "GET /v1/find?name= finds a name at any place");
	}
	return rows_end(&find->rows, NULL, err);
}

/* The parameter that says what is looked for, to bytes. */
static int
take_wanted(const struct request *request, const char *name, struct find_stream *find,
    struct error *err)
{
	const char *text = params_get(&request->params, name);
	size_t len;

	if (text == NULL || text[0] == '\0')
		return error_set(err, ERROR_BAD_REQUEST, "'%s' is missing or empty", name);
	if (text_unprintable(text, err, &find->wanted, &len) != 0) {
		err->code = ERROR_BAD_REQUEST;
		return error_prefix(err, "'%s': ", name);
	}
	if (strlen(find->wanted) != len)
		return error_set(err, ERROR_BAD_REQUEST, "'%s' holds a NUL, which no name does",
		    name);
	find->shown = text_printable(find->wanted, len);
	return 0;
}

/* All snapshots, or the one that is named. */
static int
take_snapshots(const struct request *request, struct find_stream *find, struct error *err)
{
	const char *name = params_get(&request->params, "snapshot");

	if (name == NULL)
		return snapshot_list(find->repo, &find->list, &find->count, NULL, NULL, err);
	find->list = mem_calloc(1, sizeof(struct snapshot *));
	if (snapshot_find(find->repo, name, &find->list[0], err) != 0)
		return -1;
	find->count = 1;
	return 0;
}

/* Takes find. */
static void
answer_find(struct response *response, const char *type, stream_produce_fn *produce,
    struct find_stream *find)
{
	response_stream(response, 200, type, RESPONSE_LENGTH_UNKNOWN, produce, find,
	    find_stream_free);
	response_header(response, "Vary", "Accept");
}

int
http_find(struct request *request, struct response *response, struct error *err)
{
	struct find_stream *find = MEM_NEW(struct find_stream);
	const char *type;

	find->repo = request->services->repo;
	find->limit = openapi_limit(server_openapi(request->http), request);
	if (rows_choose(request, &find->ndjson, &type, err) != 0 ||
	    take_wanted(request, "name", find, err) != 0 ||
	    take_snapshots(request, find, err) != 0) {
		find_stream_free(find);
		return -1;
	}
	answer_find(response, type, find_produce, find);
	return 0;
}

int
http_versions(struct request *request, struct response *response, struct error *err)
{
	struct find_stream *find = MEM_NEW(struct find_stream);
	const char *type;

	find->repo = request->services->repo;
	if (rows_choose(request, &find->ndjson, &type, err) != 0 ||
	    take_wanted(request, "path", find, err) != 0)
		goto failed;
	if (find->wanted[0] != '/') {
		error_set(err, ERROR_BAD_REQUEST, "the path '%.128s' is not absolute", find->shown);
		error_hint(err, "paths in a snapshot begin with '/'");
		goto failed;
	}
	if (take_snapshots(request, find, err) != 0)
		goto failed;
	answer_find(response, type, versions_produce, find);
	return 0;
failed:
	find_stream_free(find);
	return -1;
}
