#include "agent/http/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/audit.h"
#include "agent/http/compress.h"
#include "agent/http/connections.h"
#include "agent/http/events.h"
#include "agent/http/later.h"
#include "agent/http/negotiate.h"
#include "agent/http/openapi.h"
#include "agent/http/metrics.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/http/snapshot_path.h"
#include "agent/http/stream.h"
#include "shared/mem.h"

/*
 * A connection that is kept after an answer holds all of its memory (the library wipes it for the
 * next request), one that was never used next to none.  So with more connections than this, each
 * is closed after its answer.
 */
#define KEPT_CONNECTIONS_MAX 512u

/* The library copies a stream in blocks of this size. */
#define STREAM_BLOCK (32u << 10)

int
answer_handle(struct request *request, struct error *err)
{
	const struct openapi *openapi = server_openapi(request->http);

	if (openapi_check(openapi, request->route, &request->params, err) == 0)
		return request->route->handler(request, &request->response, err);
	/* The log tells what it would have been done to. */
	if (request->id != NULL)
		request_set_parameter(request, request->id);
	return -1;
}

/* The response is complete: back to the epoll thread, which may free the request at once. */
static void
resume(struct request *request)
{
	request->phase = PHASE_ANSWER;
	server_resume(request->http, request->mhd);
}

static void
answer_failure(struct request *request, const struct error *failure)
{
	response_problem(&request->response, failure, NULL);
	if (failure->code == ERROR_UNAUTHORIZED)
		response_header(&request->response, "WWW-Authenticate",
		    "Bearer realm=\"holdfast\"");
}

/*
 * 304, if the client has the document already.  Each coding has a tag of its own, as it has other
 * bytes.
 */
static bool
tag_document(struct request *request, bool gzip)
{
	struct response *response = &request->response;
	const char *known = request->fields[REQUEST_IF_NONE_MATCH];
	char plain[ETAG_SIZE], packed[ETAG_SIZE + 5];

	etag_make(response->body.data, response->body.len, plain);
	snprintf(packed, sizeof(packed), "%.*s-gzip\"", ETAG_SIZE - 2, plain);
	response_header(response, "ETag", "%s", gzip ? packed : plain);
	if (!etag_listed(known, plain) && !etag_listed(known, packed))
		return false;
	buffer_done(&response->body);
	response->content_type = NULL;
	response->status = 304;
	return true;
}

/* Tag and pack a finished answer; max: of its size, if it is to be packed. */
static void
dress(struct request *request, size_t max)
{
	struct response *response = &request->response;
	bool is_get = request->head || strcmp(request->method, "GET") == 0;
	bool is_text = compress_takes(response->content_type);
	bool gzip = is_text && accepts_gzip(request->fields[REQUEST_ACCEPT_ENCODING]);
	bool is_document = is_get && response->status == 200 && response->produce == NULL &&
	    openapi_is_document(server_openapi(request->http), request->route);

	if (response->produce == NULL) {
		is_text = is_text && response->body.len >= COMPRESS_MIN;
		gzip = gzip && is_text && response->body.len <= max;
	}
	if (is_text)
		response_header(response, "Vary", "Accept-Encoding");
	if (is_document && tag_document(request, gzip))
		return;
	if (response->produce != NULL)
		response->gzip = gzip;
	else
		gzip = gzip && compress_body(&response->body);
	if (gzip)
		response_header(response, "Content-Encoding", "gzip");
}

static void
finish_failed(struct request *request, const struct error *failure)
{
	/* A poll that finds nothing is no action; a request refused before its handler is one. */
	if (request->failure.code == ERROR_NONE && request->route->action[0] == '\0')
		request->action = NULL;
	/* The row is there before the client sees the answer. */
	audit_row_write(request->http, audit_row_new(request), failure);
	answer_failure(request, failure);
	resume(request);
}

static void
finish(struct request *request)
{
	struct error err = ERROR_INIT;

	if (request->route->action[0] == '\0')
		request->action = NULL;
	dress(request, COMPRESS_MAX);
	if (request->response.produce != NULL && !request->head) {
		/* Goes on in server_stream_ready(), with a row at the stream's end. */
		if (stream_start(request, &err) != 0)
			finish_failed(request, &err);
		return;
	}
	audit_row_write(request->http, audit_row_new(request), NULL);
	resume(request);
}

void
answer_work(void *arg)
{
	struct request *request = arg;
	struct error err = request->failure;
	struct later *later;

	if (err.code == ERROR_NONE && answer_handle(request, &err) == 0) {
		later = request->later;
		if (later == NULL) {
			finish(request);
			return;
		}
		/* In the list of those who wait before anybody may answer. */
		server_waiting_add(request);
		if (later_returned(later))
			server_request_ready(request);
		return;
	}
	finish_failed(request, &err);
}

void
server_request_ready(struct request *request)
{
	server_waiting_remove(request);
	finish(request);
}

void
server_stream_ready(struct request *request)
{
	struct response *response = &request->response;
	struct error err = ERROR_INIT;

	if (stream_failed_early(response->stream, &err) != 0) {
		stream_abandon(response->stream);
		response->stream = NULL;
		/* Its headers described what is not coming. */
		response_reset(response);
		answer_failure(request, &err);
	}
	resume(request);
}

bool
answer_inline(struct request *request)
{
	struct error err = request->failure;
	int rc = -1;

	if (err.code == ERROR_NONE)
		rc = answer_handle(request, &err);
	if (rc == ROUTE_IN_WORKER)
		return false;
	if (rc != 0)
		answer_failure(request, &err);
	else
		dress(request, COMPRESS_MAX_INLINE);
	return true;
}

/* The body of an answer to HEAD, which is never sent. */
static ssize_t
answer_nothing(void *cls, uint64_t pos, char *buf, size_t max)
{
	(void)cls;
	(void)pos;
	(void)buf;
	(void)max;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *
make_response(struct request *request)
{
	struct response *response = &request->response;
	struct MHD_Response *made;
	uint64_t length = response->length == RESPONSE_LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN
	    : response->length;
	size_t len = response->body.len;

	if (response->stream != NULL) {
		made = MHD_create_response_from_callback(length, STREAM_BLOCK, stream_read,
		    response->stream, stream_release);
		if (made != NULL)
			response->stream = NULL;
		return made;
	}
	if (response->events != NULL && !request->head) {
		made = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
		    event_stream_read, response->events, event_stream_release);
		if (made != NULL)
			response->events = NULL;
		return made;
	}
	/* HEAD of a stream: its length, but nobody asks for a byte of it. */
	if (response->produce != NULL || response->events != NULL)
		return MHD_create_response_from_callback(response->events != NULL
		    ? MHD_SIZE_UNKNOWN : length, STREAM_BLOCK, answer_nothing, NULL, NULL);
	return MHD_create_response_from_buffer(len, buffer_take(&response->body),
	    MHD_RESPMEM_MUST_FREE);
}

enum MHD_Result
answer_queue(struct request *request)
{
	struct response *response = &request->response;
	struct MHD_Response *made;
	enum MHD_Result rc;
	size_t i;

	request->phase = PHASE_DONE;
	metrics_count_answer(request->http->metrics, request->method, response->status);
	if (request->failure.code != ERROR_NONE)
		metrics_count_refusal(request->http->metrics, request->failure.code);
	made = make_response(request);
	if (made == NULL)
		return MHD_NO;
	if (response->content_type != NULL)
		MHD_add_response_header(made, "Content-Type", response->content_type);
	for (i = 0; i < response->header_count; i++)
		MHD_add_response_header(made, response->headers[i].name,
		    response->headers[i].value);
	MHD_add_response_header(made, "Cache-Control", "no-store");
	MHD_add_response_header(made, "X-Content-Type-Options", "nosniff");
	if (response->close ||
	    connections_count(request->http->connections) > KEPT_CONNECTIONS_MAX)
		MHD_add_response_header(made, "Connection", "close");
	rc = MHD_queue_response(request->mhd, response->status, made);
	MHD_destroy_response(made);
	return rc;
}
