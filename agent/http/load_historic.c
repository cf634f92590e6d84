/*
 * POST /load_historic_data/{table}: load a CSV file of the exchange storage into a table, and
 * answer when it is done.  The row of the log is written by the run, also if it is refused.
 */
#include "agent/http/loads_http.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/runs_http.h"

int
http_load_historic(struct request *request, struct response *response, struct error *err)
{
	static const char *const known[] = { "database", "header", "delimiter", "null", "on_error",
		"on_duplicate", NULL };
	char id[RUN_ID_TEXT_SIZE];
	json_t *arguments;
	bool existing;
	int rc;

	request_set_parameter(request, request->id);
	if (params_check(&request->params, known, err) != 0)
		return -1;
	arguments = json_pack("{s:s}", "table", request->id);
	if (arguments == NULL)
		return error_set(err, ERROR_BAD_REQUEST, "the table's name is not valid UTF-8");
	/* The run checks them. */
	for (size_t i = 0; known[i] != NULL; i++) {
		const char *value = params_get(&request->params, known[i]);

		if (value != NULL)
			json_object_set_new(arguments, known[i], json_string(value));
	}
	rc = runs_http_start(request, RUN_LOAD, arguments, id, &existing, err);
	json_decref(arguments);
	return rc == 0 ? loads_http_answer(request, response, id, existing, err) : -1;
}
