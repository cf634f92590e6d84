/*
 * What becomes of snapshots later: pins, the trash, and the way back out of it.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "agent/repository/snapshot.h"
#include "shared/mem.h"
#include "shared/text.h"

static const char *const no_parameters[] = { NULL };

static int
set_pinned(struct request *request, struct response *response, bool pinned, struct error *err)
{
	struct snapshot *snapshot;
	int rc;

	request_set_parameter(request, request->id);
	if (params_check(&request->params, no_parameters, err) != 0 ||
	    snapshot_find(request->services->repo, request->id, &snapshot, err) != 0)
		return -1;
	request_set_parameter(request, snapshot->id);
	rc = snapshot_pin(request->services->repo, snapshot->id, pinned, err);
	snapshot_free(snapshot);
	if (rc != 0)
		return -1;
	response->status = 204;
	return 0;
}

int
http_snapshot_pin(struct request *request, struct response *response, struct error *err)
{
	return set_pinned(request, response, true, err);
}

int
http_snapshot_unpin(struct request *request, struct response *response, struct error *err)
{
	return set_pinned(request, response, false, err);
}

int
http_trash(struct request *request, struct response *response, struct error *err)
{
	struct snapshot **list;
	struct timespec *times;
	json_t *all;
	size_t count;

	if (params_check(&request->params, no_parameters, err) != 0 ||
	    snapshot_list_trash(request->services->repo, &list, &times, &count, err) != 0)
		return -1;
	all = json_array();
	for (size_t i = 0; i < count; i++) {
		char forgotten[TIME_TEXT_SIZE];

		time_format(times[i], 0, forgotten);
		json_array_append_new(all, json_pack("{s:s, s:o}", "forgotten", forgotten,
		    "snapshot", snapshot_to_json(list[i])));
		snapshot_free(list[i]);
	}
	free(list);
	free(times);
	response_json(response, 200, json_pack("{s:o}", "trash", all));
	return 0;
}

struct recall {
	struct repository *repo;
	char *name;
};

static void
recall_free(void *arg)
{
	struct recall *recall = arg;

	free(recall->name);
	free(recall);
}

/* In a thread of its own: it looks at all that the snapshot needs, and may wait for a prune. */
static int
recall_produce(struct stream *stream, void *arg, struct error *err)
{
	struct recall *recall = arg;
	char id[SNAPSHOT_ID_TEXT_SIZE], *text;
	struct snapshot *snapshot;
	json_t *json;
	int rc;

	if (snapshot_recall(recall->repo, recall->name, id, err) != 0 ||
	    snapshot_find(recall->repo, id, &snapshot, err) != 0)
		return -1;
	json = snapshot_to_json(snapshot);
	text = json_dumps(json, JSON_COMPACT);
	rc = stream_write(stream, text, strlen(text), err);
	free(text);
	json_decref(json);
	snapshot_free(snapshot);
	/* It is done, whether its client is still there to hear it or not. */
	if (rc != 0 && err->code == ERROR_CANCELLED)
		rc = 0;
	return rc;
}

int
http_trash_recall(struct request *request, struct response *response, struct error *err)
{
	struct recall *recall;

	request_set_parameter(request, request->id);
	if (params_check(&request->params, no_parameters, err) != 0)
		return -1;
	recall = MEM_NEW(struct recall);
	recall->repo = request->services->repo;
	recall->name = mem_strdup(request->id);
	response_stream(response, 200, "application/json", RESPONSE_LENGTH_UNKNOWN,
	    recall_produce, recall, recall_free);
	return 0;
}
