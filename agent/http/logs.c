/*
 * GET /logs and /log: the action log, streamed; GET /stat and /stats: its sums.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/log_filter.h"
#include "agent/http/log_row.h"
#include "agent/http/negotiate.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "shared/mem.h"
#include "shared/progress.h"

enum logs_format { LOGS_JSON, LOGS_CSV, LOGS_NDJSON, LOGS_FORMAT_COUNT };

static const char *const media_types[LOGS_FORMAT_COUNT] = {
	[LOGS_JSON] = "application/json",
	[LOGS_CSV] = "text/csv",
	[LOGS_NDJSON] = "application/x-ndjson",
};

struct logs {
	struct actionlog *log;
	enum logs_format format;
	struct actionlog_filter filter; /* texts are ours */
	struct stream *stream;
	struct buffer buf; /* what has not been passed on yet */
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
	buffer_done(&logs->buf);
	free(logs);
}

/* While the log is locked: nothing but into the buffer. */
static void
put_row(void *arg, const struct actionlog_cell *cells)
{
	struct logs *logs = arg;

	if (logs->format == LOGS_CSV) {
		log_row_put_csv(&logs->buf, cells);
	} else {
		if (logs->format == LOGS_JSON)
			buffer_put_text(&logs->buf, logs->rows > 0 ? ",\n" : "\n");
		log_row_put_json(&logs->buf, cells);
		if (logs->format == LOGS_NDJSON)
			buffer_put_u8(&logs->buf, '\n');
	}
	logs->rows++;
}

static int
send_rows(void *arg, struct error *err)
{
	struct logs *logs = arg;
	int rc;

	/* A search that finds nothing for long has to end, too, when nobody waits for it. */
	if (logs->rows == 0)
		return progress_check(stream_progress(logs->stream), err);
	rc = stream_write(logs->stream, logs->buf.data, logs->buf.len, err);
	buffer_clear(&logs->buf);
	return rc;
}

static int
logs_produce(struct stream *stream, void *arg, struct error *err)
{
	struct logs *logs = arg;
	const struct actionlog_reader reader = { put_row, send_rows, logs };

	logs->stream = stream;
	if (logs->format == LOGS_JSON)
		buffer_put_u8(&logs->buf, '[');
	else if (logs->format == LOGS_CSV)
		log_row_put_csv_header(&logs->buf);
	if (actionlog_each(logs->log, &logs->filter, &reader, err) != 0)
		return -1;
	if (logs->format == LOGS_JSON)
		buffer_put_text(&logs->buf, logs->rows > 0 ? "\n]\n" : "]\n");
	return stream_write(stream, logs->buf.data, logs->buf.len, err);
}

int
http_logs(struct request *request, struct response *response, struct error *err)
{
	struct actionlog_filter filter;
	struct logs *logs;
	size_t format;

	if (log_filter_parse(&request->params, &filter, err) != 0 ||
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
	struct actionlog_filter filter;
	json_t *json;

	if (log_filter_parse(&request->params, &filter, err) != 0 ||
	    actionlog_stat(request->services->log, &filter, &json, err) != 0)
		return -1;
	response_json(response, 200, json);
	return 0;
}
