/*
 * POST /v1/snapshots?name=NAME: the body becomes a snapshot, while it comes.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/negotiate.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/runs_http.h"
#include "agent/http/server_internal.h"
#include "agent/http/upload.h"

static int
check_request(const struct request *request, struct error *err)
{
	/* It stands for a request that is sent again, and nothing here compares the two bodies. */
	if (request->fields[REQUEST_IDEMPOTENCY_KEY] != NULL) {
		error_set(err, ERROR_BAD_REQUEST, "an upload takes no Idempotency-Key");
		return error_hint(err,
		    "send it without: what is stored already is not stored again");
	}
	if (!request->framing.chunked && request->framing.length == 0) {
		error_set(err, ERROR_BAD_REQUEST, "there is no body: nothing to keep");
		return error_hint(err, "curl -T FILE sends a file, and -T - its standard input");
	}
	return 0;
}

/* A tar is one only if somebody says so: many a file is one. */
static json_t *
import_arguments_of(const struct request *request)
{
	const char *name = params_get(&request->params, "name");
	const char *format = params_get(&request->params, "format");
	json_t *arguments = json_object();

	if (name != NULL)
		json_object_set_new(arguments, "name", json_string(name));
	if (format == NULL)
		format = media_type_is(request->fields[REQUEST_CONTENT_TYPE], "application/x-tar")
		    ? "tar" : "file";
	json_object_set_new(arguments, "format", json_string(format));
	return arguments;
}

/* Before the body is asked for. */
static int
begin_import(struct request *request, struct error *err)
{
	char id[RUN_ID_TEXT_SIZE];
	json_t *arguments;
	bool existing;
	int rc;

	if (check_request(request, err) != 0 || upload_begin(request, err) != 0)
		return -1;
	arguments = import_arguments_of(request);
	upload_starting(request->upload);
	rc = runs_http_start(request, RUN_IMPORT, arguments, id, &existing, err);
	json_decref(arguments);
	if (rc != 0) {
		upload_not_started(request->upload);
		return -1;
	}
	return upload_started(request->upload, request->services->runs, id, err);
}

int
http_snapshot_import(struct request *request, struct response *response, struct error *err)
{
	const char *id;

	if (request->upload == NULL)
		return begin_import(request, err);
	id = upload_run(request->upload);
	if (prefer_has(request->fields[REQUEST_PREFER], "respond-async"))
		return runs_http_accepted(request, response, id, false, err);
	return runs_http_answer_snapshot(request, id, err);
}
