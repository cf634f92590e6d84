#include "agent/http/response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/events.h"
#include "agent/http/stream.h"
#include "shared/mem.h"
#include "shared/text.h"

/* What is too much, or stops, is mostly over by then. */
#define RETRY_AFTER_S 5

void
response_init(struct response *response)
{
	memset(response, 0, sizeof(*response));
	response->status = 200;
}

static void
drop_body(struct response *response)
{
	buffer_done(&response->body);
	if (response->produce_free != NULL)
		response->produce_free(response->produce_arg);
	response->produce = NULL;
	response->produce_free = NULL;
	response->produce_arg = NULL;
	/* Where the client has left before its answer could begin. */
	if (response->stream != NULL)
		stream_abandon(response->stream);
	response->stream = NULL;
	if (response->events != NULL)
		event_stream_release(response->events);
	response->events = NULL;
}

void
response_done(struct response *response)
{
	size_t i;

	drop_body(response);
	for (i = 0; i < response->header_count; i++) {
		free(response->headers[i].name);
		free(response->headers[i].value);
	}
	response->header_count = 0;
}

void
response_reset(struct response *response)
{
	bool close = response->close;

	response_done(response);
	response_init(response);
	response->close = close;
}

void
response_header(struct response *response, const char *name, const char *fmt, ...)
{
	struct response_header *header;
	char value[2048];
	va_list ap;

	assert(response->header_count < RESPONSE_HEADERS_MAX);
	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	header = &response->headers[response->header_count++];
	header->name = mem_strdup(name);
	header->value = mem_strdup(value);
}

void
response_json(struct response *response, unsigned status, json_t *json)
{
	char *text;

	drop_body(response);
	text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(json);
	response->status = status;
	response->content_type = "application/json";
	/* Only a text that is no UTF-8 cannot be written, and those were never let in. */
	assert(text != NULL);
	buffer_put_text(&response->body, text);
	buffer_put_u8(&response->body, '\n');
	free(text);
}

void
response_text(struct response *response, unsigned status, const char *content_type,
    const char *text)
{
	drop_body(response);
	response->status = status;
	response->content_type = content_type;
	buffer_put_text(&response->body, text);
}

void
response_stream(struct response *response, unsigned status, const char *content_type,
    uint64_t length, stream_produce_fn *produce, void *arg, void (*release)(void *arg))
{
	drop_body(response);
	response->status = status;
	response->content_type = content_type;
	response->length = length;
	response->produce = produce;
	response->produce_arg = arg;
	response->produce_free = release;
}

/* Messages may repeat what a client sent. */
static json_t *
printable_json(const char *text)
{
	char *printable;
	json_t *json;

	/* Most are plain; only others pay with escaped backslashes. */
	if (text_is_utf8(text, strlen(text)) && strpbrk(text, "\n\r\t\033\177") == NULL)
		return json_string(text);
	printable = text_printable(text, strlen(text));
	json = json_string(printable);
	free(printable);
	return json;
}

json_t *
problem_json(const struct error *err, const char *instance)
{
	char type[96];
	json_t *json;

	snprintf(type, sizeof(type), "urn:holdfast:problem:%s", error_word(err->code));
	json = json_pack("{s:s, s:s, s:i, s:o}", "type", type, "title", error_title(err->code),
	    "status", error_http_status(err->code), "detail", printable_json(err->message));
	if (err->hint[0] != '\0')
		json_object_set_new(json, "hint", printable_json(err->hint));
	if (instance != NULL)
		json_object_set_new(json, "instance", printable_json(instance));
	return json;
}

void
response_problem(struct response *response, const struct error *err, const char *instance)
{
	response_json(response, (unsigned)error_http_status(err->code),
	    problem_json(err, instance));
	response->content_type = "application/problem+json";
	if (response->status == 429 || response->status == 503)
		response_header(response, "Retry-After", "%d", RETRY_AFTER_S);
}
