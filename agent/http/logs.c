/*
 * GET /logs and /log: the action log, streamed page by page; GET /stat and /stats: its sums.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/csv.h"
#include "agent/http/log_filter.h"
#include "agent/http/negotiate.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "shared/mem.h"

enum logs_format { LOGS_JSON, LOGS_CSV, LOGS_NDJSON, LOGS_FORMAT_COUNT };

static const char *const media_types[LOGS_FORMAT_COUNT] = {
	[LOGS_JSON] = "application/json",
	[LOGS_CSV] = "text/csv",
	[LOGS_NDJSON] = "application/x-ndjson",
};

static const char *const columns[] = { "id", "date", "action", "command", "parameter", "status",
	"agent", "outcome", "run", "snapshot", "origin", "message", "duration_ms", "files", "bytes",
	"stored_bytes" };

struct logs {
	struct actionlog *log;
	enum logs_format format;
	struct actionlog_filter filter; /* texts are ours */
	uint64_t rows;
};

static char *
copy(const char *text)
{
	return text == NULL ? NULL : mem_strdup(text);
}

static void
logs_free(void *arg)
{
	struct logs *logs = arg;

	free((char *)(uintptr_t)logs->filter.action);
	free((char *)(uintptr_t)logs->filter.status);
	free((char *)(uintptr_t)logs->filter.q);
	free(logs);
}

static void
put_row(struct logs *logs, struct buffer *buf, const json_t *row)
{
	char *text;

	if (logs->format == LOGS_CSV) {
		csv_row(buf, row, columns, ARRAY_LEN(columns));
		return;
	}
	text = json_dumps(row, JSON_COMPACT);
	if (logs->format == LOGS_JSON)
		buffer_put_text(buf, logs->rows > 0 ? ",\n" : "\n");
	buffer_put_text(buf, text != NULL ? text : "{}");
	if (logs->format == LOGS_NDJSON)
		buffer_put_u8(buf, '\n');
	free(text);
}

/* One page into the buffer; 1 if there may be more, 0 if that was all. */
static int
put_page(struct logs *logs, struct buffer *buf, uint64_t limit, struct error *err)
{
	uint64_t want = limit == 0 ? ACTIONLOG_PAGE : limit - logs->rows;
	json_t *page, *row;
	size_t i, count;

	if (want > ACTIONLOG_PAGE)
		want = ACTIONLOG_PAGE;
	logs->filter.limit = want;
	if (actionlog_read(logs->log, &logs->filter, &page, err) != 0)
		return -1;
	count = json_array_size(page);
	json_array_foreach(page, i, row) {
		put_row(logs, buf, row);
		logs->rows++;
		logs->filter.after = (uint64_t)json_integer_value(json_object_get(row, "id"));
	}
	json_decref(page);
	return count == want && (limit == 0 || logs->rows < limit);
}

static int
logs_produce(struct stream *stream, void *arg, struct error *err)
{
	struct logs *logs = arg;
	uint64_t limit = logs->filter.limit;
	struct buffer buf = BUFFER_INIT;
	int more = 1, rc = -1;

	if (logs->format == LOGS_JSON)
		buffer_put_u8(&buf, '[');
	else if (logs->format == LOGS_CSV)
		csv_header(&buf, columns, ARRAY_LEN(columns));
	while (more > 0) {
		more = put_page(logs, &buf, limit, err);
		if (more < 0)
			goto out;
		if (more == 0 && logs->format == LOGS_JSON)
			buffer_put_text(&buf, logs->rows > 0 ? "\n]\n" : "]\n");
		if (stream_write(stream, buf.data, buf.len, err) != 0)
			goto out;
		buffer_clear(&buf);
	}
	rc = 0;
out:
	buffer_done(&buf);
	return rc;
}

int
http_logs(struct request *request, struct response *response, struct error *err)
{
	static const char *const known[] = { "startdate", "start", "enddate", "end", "action",
		"status", "q", "limit", "after", NULL };
	struct actionlog_filter filter;
	struct logs *logs;
	size_t format;

	if (params_check(&request->params, known, err) != 0 ||
	    log_filter_parse(&request->params, &filter, err) != 0 ||
	    accept_choose(request->fields[REQUEST_ACCEPT], media_types, LOGS_FORMAT_COUNT, &format,
	    err) != 0)
		return -1;
	logs = MEM_NEW(struct logs);
	logs->log = request->services->log;
	logs->format = (enum logs_format)format;
	logs->filter = filter;
	logs->filter.action = copy(filter.action);
	logs->filter.status = copy(filter.status);
	logs->filter.q = copy(filter.q);
	response_stream(response, 200, media_types[format], RESPONSE_LENGTH_UNKNOWN, logs_produce,
	    logs, logs_free);
	response_header(response, "Vary", "Accept");
	return 0;
}

int
http_stat(struct request *request, struct response *response, struct error *err)
{
	static const char *const known[] = { "startdate", "start", "enddate", "end", "action",
		"status", NULL };
	struct actionlog_filter filter;
	json_t *json;

	if (params_check(&request->params, known, err) != 0 ||
	    log_filter_parse(&request->params, &filter, err) != 0 ||
	    actionlog_stat(request->services->log, &filter, &json, err) != 0)
		return -1;
	response_json(response, 200, json);
	return 0;
}
