/*
 * /v1/runs, /v1/events: start, list, follow, pause and cancel runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/audit.h"
#include "agent/http/auth.h"
#include "agent/http/events.h"
#include "agent/http/later.h"
#include "agent/http/negotiate.h"
#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/runs_http.h"
#include "agent/http/server_internal.h"
#include "agent/http/upload.h"
#include "agent/jobs/arguments.h"

#define KEY_MAX 255

int
runs_http_start(struct request *request, enum run_kind kind, const json_t *arguments,
    char ret_id[RUN_ID_TEXT_SIZE], bool *ret_existing, struct error *err)
{
	return runs_http_start_input(request, kind, arguments, request->upload == NULL ? NULL :
	    upload_input(request->upload), ret_id, ret_existing, err);
}

int
runs_http_start_input(struct request *request, enum run_kind kind, const json_t *arguments,
    const struct run_input *input, char ret_id[RUN_ID_TEXT_SIZE], bool *ret_existing,
    struct error *err)
{
	const char *key = request->fields[REQUEST_IDEMPOTENCY_KEY];
	char *command;
	int rc;

	if (key != NULL && (key[0] == '\0' || strlen(key) > KEY_MAX))
		return error_set(err, ERROR_BAD_REQUEST,
		    "an Idempotency-Key has 1 to %d characters", KEY_MAX);
	command = audit_command(request);
	const struct run_start start = {
		.kind = kind,
		.arguments = arguments,
		.command = command,
		.origin = request->origin,
		.idempotency_key = key,
		.input = input,
	};
	request->logged = true;
	rc = runs_start(request->services->runs, &start, ret_id, ret_existing, err);
	free(command);
	return rc;
}

int
runs_http_accepted(struct request *request, struct response *response, const char *id,
    bool existing, struct error *err)
{
	json_t *run;

	if (runs_get(request->services->runs, id, &run, err) != 0)
		return -1;
	response_json(response, existing ? 200 : 202, run);
	response_header(response, "Location", "/v1/runs/%s", id);
	if (prefer_has(request->fields[REQUEST_PREFER], "respond-async"))
		response_header(response, "Preference-Applied", "respond-async");
	return 0;
}

void
runs_http_failed(struct request *request, const char *id, const struct error *failure)
{
	char instance[64];

	snprintf(instance, sizeof(instance), "/v1/runs/%s", id);
	response_problem(&request->response, failure, instance);
}

/* The agent stops before the run has ended. */
static void
give_up(struct request *request, const char *id)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_UNAVAILABLE, "the agent is stopping");
	error_hint(&err, "when it runs again, ask for /v1/runs/%s", id);
	runs_http_failed(request, id, &err);
}

int
runs_http_wait(struct request *request, const char *id, run_ended_fn *ended, struct error *err)
{
	struct later *later = later_new(request, id, give_up);

	if (runs_when_ended(request->services->runs, id, ended, later, err) != 0) {
		later_cancel(later);
		return -1;
	}
	return 0;
}

/* The short form for a job: {"job": NAME} is {"kind": "backup", "arguments": {"job": NAME}}. */
static int
take_job(json_t *json, struct error *err)
{
	json_t *job = json_object_get(json, "job");
	json_t *arguments = json_object_get(json, "arguments");

	if (job == NULL)
		return 0;
	if (!json_is_string(job))
		return error_set(err, ERROR_BAD_REQUEST, "'job' takes a text");
	if (arguments != NULL && (!json_is_object(arguments) ||
	    json_object_get(arguments, "job") != NULL))
		return error_set(err, ERROR_BAD_REQUEST,
		    "'arguments' is no object, or names a job besides 'job'");
	if (json_object_get(json, "kind") == NULL)
		json_object_set_new(json, "kind", json_string("backup"));
	if (arguments == NULL)
		json_object_set_new(json, "arguments", json_object());
	json_object_set(json_object_get(json, "arguments"), "job", job);
	json_object_del(json, "job");
	return 0;
}

/* {"kind": "backup", "arguments": {...}} */
int
http_runs_start(struct request *request, struct response *response, struct error *err)
{
	json_t *json = NULL, *kind_json, *arguments, *none = NULL;
	char id[RUN_ID_TEXT_SIZE];
	enum run_kind kind;
	const char *key;
	json_t *value;
	bool existing;
	int rc = -1;

	if (request_json(request, &json, err) != 0)
		return -1;
	if (take_job(json, err) != 0)
		goto out;
	json_object_foreach(json, key, value) {
		(void)value;
		if (strcmp(key, "kind") != 0 && strcmp(key, "arguments") != 0) {
			error_set(err, ERROR_BAD_REQUEST, "there is no field '%.64s'", key);
			error_hint(err, "fields are kind, arguments and job");
			goto out;
		}
	}
	kind_json = json_object_get(json, "kind");
	if (!json_is_string(kind_json)) {
		error_set(err, ERROR_BAD_REQUEST, "'kind' is missing or no text");
		error_hint(err, "kinds are backup, restore, check, prune, repair, tables, "
		    "restore-table and load");
		goto out;
	}
	if (run_kind_parse(json_string_value(kind_json), &kind, err) != 0)
		goto out;
	arguments = json_object_get(json, "arguments");
	if (arguments == NULL)
		arguments = none = json_object();
	/* What writes outside of the repository, or takes away from it, is for admins. */
	if ((kind == RUN_RESTORE || kind == RUN_PRUNE || kind == RUN_RESTORE_TABLE ||
	    kind == RUN_LOAD || (kind == RUN_REPAIR && argument_bool(arguments, "apply", false))) &&
	    auth_require(request, ROLE_ADMIN, err) != 0)
		goto out;
	if (runs_http_start(request, kind, arguments, id, &existing, err) != 0)
		goto out;
	rc = runs_http_accepted(request, response, id, existing, err);
out:
	json_decref(none);
	json_decref(json);
	return rc;
}

int
http_runs_list(struct request *request, struct response *response, struct error *err)
{
	const struct params *params = &request->params;
	uint64_t limit = openapi_limit(server_openapi(request->http), request);
	json_t *json;

	if (runs_list(request->services->runs, params_get(params, "kind"),
	    params_get(params, "state"), params_get(params, "cursor"), (unsigned)limit, &json,
	    err) != 0)
		return -1;
	response_json(response, 200, json);
	return 0;
}

int
http_run_get(struct request *request, struct response *response, struct error *err)
{
	json_t *json;

	if (runs_get(request->services->runs, request->id, &json, err) != 0)
		return -1;
	response_json(response, 200, json);
	return 0;
}

/* The run's document after something was asked of it. */
static int
asked(struct request *request, struct response *response, unsigned status, struct error *err)
{
	json_t *json;

	if (runs_get(request->services->runs, request->id, &json, err) != 0)
		return -1;
	response_json(response, status, json);
	return 0;
}

int
http_run_cancel(struct request *request, struct response *response, struct error *err)
{
	request_set_parameter(request, request->id);
	if (runs_cancel(request->services->runs, request->id, err) != 0)
		return -1;
	/* It ends at the next file: 202, see its events. */
	return asked(request, response, 202, err);
}

static int
set_paused(struct request *request, struct response *response, bool paused, struct error *err)
{
	request_set_parameter(request, request->id);
	if (runs_pause(request->services->runs, request->id, paused, err) != 0)
		return -1;
	return asked(request, response, 200, err);
}

int
http_run_pause(struct request *request, struct response *response, struct error *err)
{
	return set_paused(request, response, true, err);
}

int
http_run_continue(struct request *request, struct response *response, struct error *err)
{
	return set_paused(request, response, false, err);
}

int
http_run_events(struct request *request, struct response *response, struct error *err)
{
	(void)response;
	return event_stream_open(request, request->id, err);
}

int
http_events(struct request *request, struct response *response, struct error *err)
{
	(void)response;
	return event_stream_open(request, NULL, err);
}
