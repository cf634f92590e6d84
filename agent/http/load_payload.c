/*
 * POST /load_data_from_payload/{table}: rows of JSON into a table, and the answer when they are
 * there.
 *
 * The rows go to the run from memory, never through the state database; a digest of them is among
 * the run's arguments, so that an Idempotency-Key stands for these rows and no others.
 * The row of the log is written by the run, also if it is refused.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/later.h"
#include "agent/http/loads_http.h"
#include "agent/http/negotiate.h"
#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/runs_http.h"
#include "agent/http/server_internal.h"
#include "agent/tables/json_rows.h"
#include "shared/mem.h"
#include "shared/text.h"

/* ---- the answer */

/* Where all rejected rows are: the result has only the first ones. */
static void
tell_rejects(json_t *answer, const char *run)
{
	char url[64];

	if (json_integer_value(json_object_get(answer, "rejected")) == 0)
		return;
	snprintf(url, sizeof(url), "/v1/runs/%s/rejects", run);
	json_object_set_new(answer, "rejects_url", json_string(url));
}

static void
answer_failed(struct request *request, const char *run, const json_t *result,
    const struct error *failure)
{
	char instance[64];
	const char *key;
	json_t *problem, *value;

	runs_http_failed(request, run, failure);
	if (!json_is_object(result))
		return;
	snprintf(instance, sizeof(instance), "/v1/runs/%s", run);
	problem = problem_json(failure, instance);
	json_object_foreach((json_t *)(uintptr_t)result, key, value)
		json_object_set(problem, key, value);
	tell_rejects(problem, run);
	response_json(&request->response, (unsigned)error_http_status(failure->code), problem);
	request->response.content_type = "application/problem+json";
}

static void
answer_done(struct request *request, const json_t *run, const char *id)
{
	json_t *answer = json_deep_copy(json_object_get(run, "result"));
	bool is_new;

	if (answer == NULL)
		answer = json_object();
	is_new = json_integer_value(json_object_get(answer, "inserted")) > 0 ||
	    json_integer_value(json_object_get(answer, "updated")) > 0;
	json_object_set(answer, "run", json_object_get(run, "id"));
	json_object_set(answer, "outcome", json_object_get(run, "outcome"));
	tell_rejects(answer, id);
	response_json(&request->response, is_new ? 201 : 200, answer);
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
		answer_failed(request, id != NULL ? id : "", json_object_get(run, "result"),
		    failure);
	else
		answer_done(request, run, id != NULL ? id : "");
	later_answered(later);
}

int
loads_http_answer(struct request *request, struct response *response, const char *run,
    bool existing, struct error *err)
{
	if (prefer_has(request->fields[REQUEST_PREFER], "respond-async"))
		return runs_http_accepted(request, response, run, existing, err);
	return runs_http_wait(request, run, run_ended, err);
}

/* ---- the rows on their way to the run */

struct payload {
	struct buffer body;
	size_t given;
};

static ssize_t
payload_read(void *arg, void *buf, size_t size, struct error *err)
{
	struct payload *payload = arg;
	size_t n = payload->body.len - payload->given;

	(void)err;
	if (n > size)
		n = size;
	memcpy(buf, payload->body.data + payload->given, n);
	payload->given += n;
	return (ssize_t)n;
}

static void
payload_release(void *arg)
{
	struct payload *payload = arg;

	buffer_done(&payload->body);
	free(payload);
}

/* ---- the request */

static int
check_body(const struct request *request, size_t *ret_rows, struct error *err)
{
	if (!media_type_is(request->fields[REQUEST_CONTENT_TYPE], "application/json")) {
		error_set(err, ERROR_BAD_MEDIA_TYPE, "the body's type is not application/json");
		return error_hint(err, "send it with 'Content-Type: application/json'");
	}
	if (request->body.len == 0)
		return error_set(err, ERROR_BAD_REQUEST, "the body is empty, JSON is needed");
	return json_rows_check((const char *)request->body.data, request->body.len, ret_rows, err);
}

static json_t *
make_arguments(const struct request *request, size_t rows)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char digest[2 * SHA256_DIGEST_LENGTH + 1];
	json_t *arguments;

	SHA256(request->body.data, request->body.len, hash);
	hex_encode(hash, sizeof(hash), digest);
	arguments = json_pack("{s:s, s:I, s:s}", "table", request->id, "rows", (json_int_t)rows,
	    "sha256", digest);
	if (arguments != NULL)
		openapi_arguments(server_openapi(request->http), request, arguments);
	return arguments;
}

/* The run takes the body over, unless there was one for the key already. */
static int
start(struct request *request, const json_t *arguments, char id[RUN_ID_TEXT_SIZE],
    bool *ret_existing, struct error *err)
{
	struct payload *payload = MEM_NEW(struct payload);
	const struct run_input input = { { payload_read, payload }, payload_release };

	int rc;

	payload->body = request->body;
	request->body = (struct buffer)BUFFER_INIT;
	rc = runs_http_start_input(request, RUN_LOAD_ROWS, arguments, &input, id, ret_existing, err);
	if (rc != 0 || *ret_existing)
		payload_release(payload);
	return rc;
}

int
http_load_payload(struct request *request, struct response *response, struct error *err)
{
	char id[RUN_ID_TEXT_SIZE];
	json_t *arguments;
	bool existing;
	size_t rows;
	int rc;

	request_set_parameter(request, request->id);
	if (check_body(request, &rows, err) != 0)
		return -1;
	arguments = make_arguments(request, rows);
	if (arguments == NULL)
		return error_set(err, ERROR_BAD_REQUEST, "the table's name is not valid UTF-8");
	rc = start(request, arguments, id, &existing, err);
	json_decref(arguments);
	return rc == 0 ? loads_http_answer(request, response, id, existing, err) : -1;
}
