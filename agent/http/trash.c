/*
 * What becomes of snapshots later: pins, the trash, and the way back out of it.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/http/stream.h"
#include "agent/repository/snapshot.h"
#include "shared/mem.h"
#include "shared/text.h"

static int
set_pinned(struct request *request, struct response *response, bool pinned, struct error *err)
{
	struct snapshot *snapshot;
	int rc;

	request_set_parameter(request, request->id);
	if (snapshot_find(request->services->repo, request->id, &snapshot, err) != 0)
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

/* What is in the trash, in the order of its pages. */
struct forgotten {
	struct snapshot *snapshot;
	struct timespec time;
};

/* By id: it has to be the same for each page, whatever was forgotten or recalled in between. */
static int
compare_ids(const void *a, const void *b)
{
	const struct forgotten *x = a, *y = b;

	return strcmp(x->snapshot->id, y->snapshot->id);
}

/* Caller frees each snapshot and the array. */
static int
read_trash(struct repository *repo, struct forgotten **ret, size_t *ret_count,
    struct error *err)
{
	struct snapshot **list;
	struct timespec *times;

	if (snapshot_list_trash(repo, &list, &times, ret_count, err) != 0)
		return -1;
	*ret = mem_calloc(*ret_count, sizeof(**ret));
	for (size_t i = 0; i < *ret_count; i++)
		(*ret)[i] = (struct forgotten){ list[i], times[i] };
	free(list);
	free(times);
	qsort(*ret, *ret_count, sizeof(**ret), compare_ids);
	return 0;
}

/* The first one behind the cursor, the id of the last one seen. */
static size_t
page_begin(const struct forgotten *trash, size_t count, const char *cursor)
{
	size_t begin = 0;

	while (cursor != NULL && begin < count &&
	    strcmp(trash[begin].snapshot->id, cursor) <= 0)
		begin++;
	return begin;
}

static json_t *
page_json(const struct forgotten *trash, size_t begin, size_t count, uint64_t limit)
{
	json_t *all = json_array(), *next = NULL;

	for (size_t i = begin; i < count && next == NULL; i++) {
		char time[TIME_TEXT_SIZE];

		time_format(trash[i].time, 0, time);
		json_array_append_new(all, json_pack("{s:s, s:o}", "forgotten", time, "snapshot",
		    snapshot_to_json(trash[i].snapshot)));
		if (i + 1 < count && json_array_size(all) == limit)
			next = json_string(trash[i].snapshot->id);
	}
	return json_pack("{s:o, s:o}", "trash", all, "next", next != NULL ? next : json_null());
}

int
http_trash(struct request *request, struct response *response, struct error *err)
{
	struct forgotten *trash;
	size_t count, begin;

	if (read_trash(request->services->repo, &trash, &count, err) != 0)
		return -1;
	begin = page_begin(trash, count, params_get(&request->params, "cursor"));
	response_json(response, 200, page_json(trash, begin, count,
	    openapi_limit(server_openapi(request->http), request)));
	for (size_t i = 0; i < count; i++)
		snapshot_free(trash[i].snapshot);
	free(trash);
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

	(void)err;
	request_set_parameter(request, request->id);
	recall = MEM_NEW(struct recall);
	recall->repo = request->services->repo;
	recall->name = mem_strdup(request->id);
	response_stream(response, 200, "application/json", RESPONSE_LENGTH_UNKNOWN,
	    recall_produce, recall, recall_free);
	return 0;
}
