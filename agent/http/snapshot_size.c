/*
 * GET /v1/snapshots/{id}/size: what a snapshot alone holds.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "agent/repository/unique.h"
#include "shared/mem.h"

struct size_stream {
	struct repository *repo;
	struct snapshot *snapshot;
};

static void
size_stream_free(void *arg)
{
	struct size_stream *size = arg;

	snapshot_free(size->snapshot);
	free(size);
}

/* In a thread of its own: it reads the trees of all snapshots. */
static int
size_produce(struct stream *stream, void *arg, struct error *err)
{
	struct size_stream *size = arg;
	struct unique_size unique;
	json_t *json;
	char *text;
	int rc;

	rc = snapshot_unique_bytes(size->repo, size->snapshot, stream_progress(stream), &unique,
	    err);
	if (rc != 0)
		return -1;
	json = json_pack("{s:s, s:I, s:I}", "snapshot", size->snapshot->id, "blobs",
	    (json_int_t)unique.blobs, "bytes", (json_int_t)unique.bytes);
	text = json_dumps(json, JSON_COMPACT);
	rc = stream_write(stream, text, strlen(text), err);
	free(text);
	json_decref(json);
	return rc;
}

int
http_snapshot_size(struct request *request, struct response *response, struct error *err)
{
	struct snapshot *snapshot;
	struct size_stream *size;

	if (snapshot_find(request->services->repo, request->id, &snapshot, err) != 0)
		return -1;
	size = MEM_NEW(struct size_stream);
	size->repo = request->services->repo;
	size->snapshot = snapshot;
	response_stream(response, 200, "application/json", RESPONSE_LENGTH_UNKNOWN, size_produce,
	    size, size_stream_free);
	return 0;
}
