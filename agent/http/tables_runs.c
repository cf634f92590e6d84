/*
 * POST /backup_table/{table} and POST /restore_backup/{table}: back a table up, restore it, and
 * answer when it is done.
 *
 * The client that waits holds a connection but no thread: the run's end completes the answer.
 * The row of the log is written by the run, also if it is refused.
 */
#include <string.h>

#include "agent/http/later.h"
#include "agent/http/negotiate.h"
#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/runs_http.h"
#include "agent/http/server_internal.h"

/* The run's figures, with where to find more. */
static void
answer_done(struct request *request, const json_t *run)
{
	const char *snapshot = json_string_value(json_object_get(run, "snapshot"));
	const char *kind = json_string_value(json_object_get(run, "kind"));
	bool is_new = kind != NULL && strcmp(kind, run_kind_word(RUN_TABLES)) == 0;
	json_t *answer = json_deep_copy(json_object_get(run, "result"));

	if (answer == NULL)
		answer = json_object();
	json_object_set(answer, "run", json_object_get(run, "id"));
	json_object_set(answer, "outcome", json_object_get(run, "outcome"));
	json_object_set(answer, "snapshot", json_object_get(run, "snapshot"));
	json_object_set(answer, "losses", json_object_get(run, "losses"));
	json_object_set(answer, "notes", json_object_get(run, "notes"));
	/* Only a backup makes something that has an address. */
	response_json(&request->response, is_new ? 201 : 200, answer);
	if (is_new && snapshot != NULL)
		response_header(&request->response, "Location", "/v1/snapshots/%s", snapshot);
}

/* Nothing here waits for the disk: all that is answered is in the run. */
static void
run_ended(void *arg, const json_t *run, const struct error *failure)
{
	const char *id = json_string_value(json_object_get(run, "id"));
	struct later *later = arg;
	struct request *request = later_take(later);

	if (request == NULL)
		return;
	if (failure->code != ERROR_NONE)
		runs_http_failed(request, id != NULL ? id : "", failure);
	else
		answer_done(request, run);
	later_answered(later);
}

/* Start a run and answer at its end, or at once if that is preferred. */
static int
start_and_wait(struct request *request, struct response *response, enum run_kind kind,
    const json_t *arguments, struct error *err)
{
	char id[RUN_ID_TEXT_SIZE];
	bool existing;

	if (runs_http_start(request, kind, arguments, id, &existing, err) != 0)
		return -1;
	if (prefer_has(request->fields[REQUEST_PREFER], "respond-async"))
		return runs_http_accepted(request, response, id, existing, err);
	return runs_http_wait(request, id, run_ended, err);
}

/* The parameters are arguments of the run, which checks them. */
static int
run_with_parameters(struct request *request, struct response *response, enum run_kind kind,
    struct error *err)
{
	json_t *arguments;
	int rc;

	arguments = json_pack("{s:s}", "table", request->id);
	if (arguments == NULL)
		return error_set(err, ERROR_BAD_REQUEST, "the table's name is not valid UTF-8");
	openapi_arguments(server_openapi(request->http), request, arguments);
	rc = start_and_wait(request, response, kind, arguments, err);
	json_decref(arguments);
	return rc;
}

int
http_backup_table(struct request *request, struct response *response, struct error *err)
{
	return run_with_parameters(request, response, RUN_TABLES, err);
}

int
http_restore_table(struct request *request, struct response *response, struct error *err)
{
	return run_with_parameters(request, response, RUN_RESTORE_TABLE, err);
}
