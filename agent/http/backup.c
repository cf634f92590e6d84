/*
 * POST /backup: back a folder up, and answer when it is stored.
 *
 * The client that waits holds a connection but no thread: the run's end completes the answer.
 * The row of the log is written by the run, also if it is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/later.h"
#include "agent/http/multipart.h"
#include "agent/http/negotiate.h"
#include "agent/http/pool.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/runs_http.h"
#include "agent/http/server_internal.h"
#include "agent/repository/snapshot.h"
#include "shared/mem.h"

/* What a run told when it ended, on its way to a worker that may read the snapshot. */
struct backup_end {
	struct later *later;
	char *run;
	char *snapshot; /* NULL if there is none */
	struct error failure;
};

/* Of either type; the ancestor took both. */
static int
parse_form(const struct request *request, struct params *ret, struct error *err)
{
	const char *type = request->fields[REQUEST_CONTENT_TYPE];
	const char *body = (const char *)request->body.data;

	if (media_type_is(type, "multipart/form-data"))
		return multipart_parse(type, body, request->body.len, ret, err);
	return params_parse(body, request->body.len, ret, err);
}

static int
arguments_from_form(const struct request *request, json_t **ret, struct error *err)
{
	static const char *const known[] = { "path_to_folder", "path", NULL };
	struct params form = { NULL, 0 };
	const char *path;
	int rc = -1;

	if (parse_form(request, &form, err) != 0)
		return -1;
	if (params_check(&form, known, err) != 0)
		goto out;
	if (params_get(&form, "path") != NULL && params_get(&form, "path_to_folder") != NULL) {
		error_set(err, ERROR_BAD_REQUEST,
		    "'path' and 'path_to_folder' are both given, and mean the same");
		goto out;
	}
	path = params_get(&form, "path_to_folder");
	if (path == NULL)
		path = params_get(&form, "path");
	*ret = json_object();
	if (path != NULL)
		json_object_set_new(*ret, "path", json_string(path));
	rc = 0;
out:
	params_done(&form);
	return rc;
}

/* The ancestor's name of the field is understood in JSON, too. */
static int
arguments_from_json(const struct request *request, json_t **ret, struct error *err)
{
	json_t *json, *path;

	if (request_json(request, &json, err) != 0)
		return -1;
	path = json_object_get(json, "path_to_folder");
	if (path != NULL && json_object_get(json, "path") != NULL) {
		json_decref(json);
		return error_set(err, ERROR_BAD_REQUEST,
		    "'path' and 'path_to_folder' are both given, and mean the same");
	}
	if (path != NULL) {
		json_object_set(json, "path", path);
		json_object_del(json, "path_to_folder");
	}
	*ret = json;
	return 0;
}

static int
backup_arguments(const struct request *request, json_t **ret, struct error *err)
{
	const char *type = request->fields[REQUEST_CONTENT_TYPE];

	if (media_type_is(type, "application/x-www-form-urlencoded") ||
	    media_type_is(type, "multipart/form-data") ||
	    (type == NULL && request->body.len == 0))
		return arguments_from_form(request, ret, err);
	if (media_type_is(type, "application/json"))
		return arguments_from_json(request, ret, err);
	error_set(err, ERROR_BAD_MEDIA_TYPE,
	    "the body is neither a form nor application/json");
	return error_hint(err, "curl -d path_to_folder=/srv sends a form");
}

/* The snapshot's document; losses are in it. */
static void
answer_stored(struct request *request, const struct backup_end *end)
{
	struct snapshot *snapshot = NULL;
	struct error err = ERROR_INIT;
	json_t *json;

	if (end->snapshot == NULL) {
		/* A dry run: nothing was stored. */
		if (runs_get(request->services->runs, end->run, &json, &err) != 0)
			runs_http_failed(request, end->run, &err);
		else
			response_json(&request->response, 200, json);
		return;
	}
	if (snapshot_find(request->services->repo, end->snapshot, &snapshot, &err) != 0) {
		runs_http_failed(request, end->run, &err);
		return;
	}
	response_json(&request->response, 201, snapshot_to_json(snapshot));
	response_header(&request->response, "Location", "/v1/snapshots/%s", end->snapshot);
	snapshot_free(snapshot);
}

static void
backup_end_free(struct backup_end *end)
{
	free(end->run);
	free(end->snapshot);
	free(end);
}

static void
answer_end(void *arg)
{
	struct backup_end *end = arg;
	struct request *request = later_take(end->later);

	if (request != NULL) {
		if (end->failure.code != ERROR_NONE)
			runs_http_failed(request, end->run, &end->failure);
		else
			answer_stored(request, end);
		later_answered(end->later);
	}
	backup_end_free(end);
}

/* Must not block: reading the snapshot is a worker's task. */
static void
backup_ended(void *arg, const json_t *run, const struct error *failure)
{
	const char *snapshot = json_string_value(json_object_get(run, "snapshot"));
	const char *id = json_string_value(json_object_get(run, "id"));
	struct later *later = arg;
	struct request *request = later_take(later);
	struct backup_end *end;

	if (request == NULL)
		return;
	end = MEM_NEW(struct backup_end);
	end->later = later;
	end->run = mem_strdup(id != NULL ? id : "");
	end->snapshot = snapshot != NULL ? mem_strdup(snapshot) : NULL;
	end->failure = *failure;
	pool_submit(server_pool(request->http), answer_end, end);
	later_put_back(later);
}

int
runs_http_answer_snapshot(struct request *request, const char *id, struct error *err)
{
	return runs_http_wait(request, id, backup_ended, err);
}

int
http_backup(struct request *request, struct response *response, struct error *err)
{
	char id[RUN_ID_TEXT_SIZE];
	json_t *arguments = NULL;
	bool existing;
	int rc;

	if (backup_arguments(request, &arguments, err) != 0)
		return -1;
	rc = runs_http_start(request, RUN_BACKUP, arguments, id, &existing, err);
	json_decref(arguments);
	if (rc != 0)
		return -1;
	if (prefer_has(request->fields[REQUEST_PREFER], "respond-async"))
		return runs_http_accepted(request, response, id, existing, err);
	return runs_http_answer_snapshot(request, id, err);
}
