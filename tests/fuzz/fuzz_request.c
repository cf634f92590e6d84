/*
 * What clients send: the head of a request, its address, form and JSON bodies, and the fields
 * that say what they prefer.  The first byte chooses.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/csv.h"
#include "agent/http/log_filter.h"
#include "agent/http/multipart.h"
#include "agent/http/negotiate.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/head_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_head(const char *data, size_t size)
{
	struct request_framing framing;
	struct error err = ERROR_INIT;
	struct split_head split;
	size_t i;

	if (head_split(data, size, &split) && strict_check(&split.head, &framing, &err) == 0) {
		/* What was taken has one meaning: no NUL, but in the place of a CR. */
		for (i = 0; i < split.head.size; i++)
			assert(data[i] != '\0' || data[i + 1] == '\n');
		assert(!(framing.chunked && framing.has_length));
		assert(split.head.size <= HTTP_HEADER_MAX);
		assert(strstr(split.target, " ") == NULL);
	}
	head_split_done(&split);
}

static void
try_target(const char *data, size_t size)
{
	struct params params = { NULL, 0 };
	struct error err = ERROR_INIT;
	struct actionlog_filter filter;
	char allow[ALLOW_TEXT_SIZE];
	char *path, *query, *id = NULL;
	const struct route *route;
	size_t i;

	if (request_parse_target(data, size, &path, &query, &params, &err) != 0)
		return;
	assert(path[0] == '/');
	for (i = 0; i < params.count; i++) {
		assert(text_is_utf8(params.list[i].name, strlen(params.list[i].name)));
		assert(text_is_utf8(params.list[i].value, strlen(params.list[i].value)));
	}
	log_filter_parse(&params, &filter, &err);
	router_find("GET", path, &route, &id, allow, &err);
	free(id);
	free(path);
	free(query);
	params_done(&params);
}

static void
try_bodies(const char *data, size_t size)
{
	struct params params;
	struct error err = ERROR_INIT;
	json_t *json;

	if (params_parse(data, size, &params, &err) == 0)
		params_done(&params);
	if (multipart_parse("multipart/form-data; boundary=b", data, size, &params, &err) == 0)
		params_done(&params);
	if (json_body_parse(data, size, &json, &err) == 0) {
		assert(json_is_object(json));
		json_decref(json);
	}
}

static void
try_fields(const char *text)
{
	static const char *const offered[] = { "application/json", "text/csv" };
	struct error err = ERROR_INIT;
	struct byte_range range;
	struct buffer buf = BUFFER_INIT;
	size_t chosen = 0;

	accept_choose(text, offered, 2, &chosen, &err);
	assert(chosen < 2);
	if (range_parse(text, 1000, &range, &err) == 1)
		assert(range.first <= range.last && range.last < 1000);
	if (range_parse(text, RANGE_SIZE_UNKNOWN, &range, &err) == 1)
		assert(range.first <= range.last);
	etag_listed(text, "\"a\"");
	prefer_has(text, "respond-async");
	media_type_is(text, "text/csv");
	csv_text(&buf, text);
	if (buf.len > 0)
		assert(strchr("=+-@\t\r", buf.data[0]) == NULL);
	buffer_done(&buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = mem_calloc(size, 1);
	memcpy(text, data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		try_head(text, size - 1);
		break;
	case 1:
		try_target(text, size - 1);
		break;
	case 2:
		try_bodies(text, size - 1);
		break;
	default:
		try_fields(text);
		break;
	}
	free(text);
	return 0;
}
