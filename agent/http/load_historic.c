/*
 * POST /load_historic_data/{table}: load a CSV file of the exchange storage into a table, and
 * answer when it is done.  The row of the log is written by the run, also if it is refused.
 */
#include "agent/http/loads_http.h"
#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/runs_http.h"
#include "agent/http/server_internal.h"

int
http_load_historic(struct request *request, struct response *response, struct error *err)
{
	char id[RUN_ID_TEXT_SIZE];
	json_t *arguments;
	bool existing;
	int rc;

	request_set_parameter(request, request->id);
	arguments = json_pack("{s:s}", "table", request->id);
	if (arguments == NULL)
		return error_set(err, ERROR_BAD_REQUEST, "the table's name is not valid UTF-8");
	/* The run checks them. */
	openapi_arguments(server_openapi(request->http), request, arguments);
	rc = runs_http_start(request, RUN_LOAD, arguments, id, &existing, err);
	json_decref(arguments);
	return rc == 0 ? loads_http_answer(request, response, id, existing, err) : -1;
}
