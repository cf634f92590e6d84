/*
 * /v1/snapshots: list, show and forget snapshots.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/repository/snapshot.h"
#include "shared/text.h"

struct snapshot_filter {
	const char *source, *tag, *host, *kind; /* NULL: any */
	bool since_set, until_set;
	struct timespec since, until;
};

static int
filter_time(const struct params *params, const char *name, bool end_of_day, bool *ret_set,
    struct timespec *ret, struct error *err)
{
	const char *text = params_get(params, name);

	*ret_set = text != NULL;
	if (text == NULL || time_parse(text, end_of_day, ret, err) == 0)
		return 0;
	err->code = ERROR_BAD_REQUEST;
	error_prefix(err, "'%s': ", name);
	return error_hint(err, "write a date, 2026-11-21, or a time, 2026-11-21T23:05:00Z");
}

static bool
text_is_any(const char *wanted, char *const *texts, size_t count)
{
	size_t i;

	if (wanted == NULL)
		return true;
	for (i = 0; i < count; i++) {
		if (strcmp(texts[i], wanted) == 0)
			return true;
	}
	return false;
}

static bool
is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static bool
filter_takes(const struct snapshot_filter *filter, const struct snapshot *snapshot)
{
	return text_is_any(filter->source, snapshot->sources, snapshot->source_count) &&
	    text_is_any(filter->tag, snapshot->tags, snapshot->tag_count) &&
	    (filter->host == NULL || strcmp(filter->host, snapshot->host) == 0) &&
	    (filter->kind == NULL || strcmp(filter->kind, snapshot->kind) == 0) &&
	    !(filter->since_set && is_before(snapshot->time, filter->since)) &&
	    !(filter->until_set && is_before(filter->until, snapshot->time));
}

/* Where the page after the cursor (the id of the last one seen) begins: below this index. */
static int
page_begin(struct snapshot *const *list, size_t count, const char *cursor, size_t *ret,
    struct error *err)
{
	size_t i;

	*ret = count;
	if (cursor == NULL)
		return 0;
	for (i = 0; i < count; i++) {
		if (strcmp(list[i]->id, cursor) == 0) {
			*ret = i;
			return 0;
		}
	}
	error_set(err, ERROR_BAD_REQUEST, "the cursor '%.64s' is no snapshot (any more)", cursor);
	return error_hint(err, "begin again without a cursor");
}

/* A damaged snapshot is no reason not to show the others; check tells about it. */
static void
complain(void *arg, const char *id, const struct error *why)
{
	(void)id; /* the message names it */
	server_complain(arg, why);
}

static json_t *
page_json(struct snapshot *const *list, size_t begin, uint64_t limit,
    const struct snapshot_filter *filter)
{
	json_t *array = json_array(), *next = NULL;
	const char *last = NULL;
	size_t i;

	for (i = begin; i > 0; i--) {
		if (!filter_takes(filter, list[i - 1]))
			continue;
		if (json_array_size(array) == limit) {
			next = json_string(last);
			break;
		}
		last = list[i - 1]->id;
		json_array_append_new(array, snapshot_to_json(list[i - 1]));
	}
	return json_pack("{s:o, s:o}", "snapshots", array, "next",
	    next != NULL ? next : json_null());
}

int
http_snapshots_list(struct request *request, struct response *response, struct error *err)
{
	const struct params *params = &request->params;
	struct snapshot_filter filter = {
		.source = params_get(params, "source"),
		.tag = params_get(params, "tag"),
		.host = params_get(params, "host"),
		.kind = params_get(params, "kind"),
	};
	struct snapshot **list = NULL;
	size_t count = 0, begin, i;
	int rc = -1;

	if (filter_time(params, "since", false, &filter.since_set, &filter.since, err) != 0 ||
	    filter_time(params, "until", true, &filter.until_set, &filter.until, err) != 0)
		return -1;
	if (snapshot_list(request->services->repo, &list, &count, complain, request->http,
	    err) != 0)
		return -1;
	if (page_begin(list, count, params_get(params, "cursor"), &begin, err) == 0) {
		response_json(response, 200, page_json(list, begin,
		    openapi_limit(server_openapi(request->http), request), &filter));
		rc = 0;
	}
	for (i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return rc;
}

int
http_snapshot_get(struct request *request, struct response *response, struct error *err)
{
	struct snapshot *snapshot;

	if (snapshot_find(request->services->repo, request->id, &snapshot, err) != 0)
		return -1;
	response_json(response, 200, snapshot_to_json(snapshot));
	snapshot_free(snapshot);
	return 0;
}

int
http_snapshot_delete(struct request *request, struct response *response, struct error *err)
{
	struct snapshot *snapshot;
	int rc;

	request_set_parameter(request, request->id);
	/* What "latest" is may change between looking and deleting. */
	if (strcmp(request->id, "latest") == 0) {
		error_set(err, ERROR_BAD_REQUEST, "'latest' cannot be deleted by that name");
		return error_hint(err, "give its id");
	}
	if (snapshot_find(request->services->repo, request->id, &snapshot, err) != 0)
		return -1;
	request_set_parameter(request, snapshot->id);
	rc = snapshot_remove(request->services->repo, snapshot->id, err);
	snapshot_free(snapshot);
	if (rc != 0)
		return -1;
	response->status = 204;
	return 0;
}
