/*
 * /v1/notices: what people and watches were told of jobs, and a test of a way to them.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "agent/notices/notices.h"
#include "shared/mem.h"
#include "shared/progress.h"

#define LIST_MAX 1000

int
http_notices_list(struct request *request, struct response *response, struct error *err)
{
	static const char *const known[] = { "name", "state", "limit", "cursor", NULL };
	const struct params *params = &request->params;
	uint64_t limit = 0;
	json_t *json = NULL;

	if (params_check(params, known, err) != 0 ||
	    params_number(params, "limit", LIST_MAX, 0, &limit, err) != 0 ||
	    notices_list(request->services->notices, params_get(params, "state"),
	    params_get(params, "name"), params_get(params, "cursor"), (unsigned)limit, &json,
	    err) != 0)
		return -1;
	response_json(response, 200, json);
	return 0;
}

struct test {
	struct notices *notices;
	char *name;
};

static void
test_free(void *arg)
{
	struct test *test = arg;

	free(test->name);
	free(test);
}

static bool
is_cancelled(void *arg)
{
	return atomic_load(&((struct progress *)arg)->cancelled);
}

/* In a thread of its own: a target may take its time. */
static int
test_produce(struct stream *stream, void *arg, struct error *err)
{
	const struct test *test = arg;
	json_t *json = NULL;
	char *text;
	int rc;

	if (notices_test(test->notices, test->name, is_cancelled, stream_progress(stream), &json,
	    err) != 0)
		return -1;
	text = json_dumps(json, JSON_COMPACT);
	rc = stream_write(stream, text, strlen(text), err);
	free(text);
	json_decref(json);
	return rc;
}

int
http_notice_test(struct request *request, struct response *response, struct error *err)
{
	static const char *const known[] = { NULL };
	const struct config_notice *notice =
	    config_notice_find(request->services->config, request->id);
	struct test *test;

	request_set_parameter(request, request->id);
	if (params_check(&request->params, known, err) != 0)
		return -1;
	if (notice == NULL) {
		error_set(err, ERROR_NOT_FOUND, "there is no notice '%.100s'", request->id);
		return error_hint(err, "GET /v1/notices lists them");
	}
	test = MEM_NEW(struct test);
	test->notices = request->services->notices;
	test->name = mem_strdup(notice->name);
	response_stream(response, 200, "application/json", RESPONSE_LENGTH_UNKNOWN, test_produce,
	    test, test_free);
	return 0;
}
