/*
 * GET /v1/runs/{id}/rejects: the rows that a load did not take, each with its reason; or, with
 * ?format=raw, these rows alone as they were, so that they can be mended and loaded again.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/csv.h"
#include "agent/http/negotiate.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "agent/jobs/runs.h"
#include "agent/tables/rejects.h"
#include "shared/mem.h"
#include "shared/text.h"

#define FLUSH_BYTES 32768u

/* Those before FORM_COUNT go by Accept. */
enum form { FORM_JSON, FORM_NDJSON, FORM_CSV, FORM_COUNT, FORM_RAW_CSV = FORM_COUNT,
	FORM_RAW_JSON };

static const char *const media_types[] = {
	[FORM_JSON] = "application/json",
	[FORM_NDJSON] = "application/x-ndjson",
	[FORM_CSV] = "text/csv",
	[FORM_RAW_CSV] = "text/csv",
	[FORM_RAW_JSON] = "application/json",
};

struct rejects_stream {
	struct rejects_reader *reader; /* NULL: there are none */
	enum form form;
	struct stream *stream;
	struct buffer buf;
	uint64_t rows;
};

static void
rejects_stream_free(void *arg)
{
	struct rejects_stream *out = arg;

	rejects_read_close(out->reader);
	buffer_done(&out->buf);
	free(out);
}

static int
flush(struct rejects_stream *out, struct error *err)
{
	int rc = stream_write(out->stream, out->buf.data, out->buf.len, err);

	buffer_clear(&out->buf);
	return rc;
}

/* Valid UTF-8 whatever the row is; heap.  ret_escaped: it is in the form of text_printable(). */
static char *
shown_raw(const struct reject *reject, bool *ret_escaped)
{
	*ret_escaped = !text_is_utf8(reject->raw, reject->raw_len) ||
	    memchr(reject->raw, '\0', reject->raw_len) != NULL;
	if (*ret_escaped)
		return text_printable(reject->raw, reject->raw_len);
	return mem_printf("%.*s", (int)reject->raw_len, reject->raw);
}

static void
put_object(struct rejects_stream *out, const struct reject *reject)
{
	bool escaped;
	char *raw = shown_raw(reject, &escaped), *text;
	json_t *json = json_pack("{s:I, s:o, s:s?, s:s, s:s}", "row", (json_int_t)reject->number,
	    "line", reject->line == 0 ? json_null() : json_integer((json_int_t)reject->line),
	    "column", reject->column, "reason", reject->reason, "raw", raw);

	if (escaped)
		json_object_set_new(json, "escaped", json_true());
	if (reject->cut)
		json_object_set_new(json, "cut", json_true());
	text = json_dumps(json, JSON_COMPACT);
	buffer_put_text(&out->buf, text != NULL ? text : "{}");
	free(text);
	json_decref(json);
	free(raw);
}

static void
put_line(struct rejects_stream *out, const struct reject *reject)
{
	bool escaped;
	char *raw = shown_raw(reject, &escaped);

	buffer_printf(&out->buf, "%llu,", (unsigned long long)reject->number);
	if (reject->line > 0)
		buffer_printf(&out->buf, "%llu", (unsigned long long)reject->line);
	buffer_put_u8(&out->buf, ',');
	csv_text(&out->buf, reject->column != NULL ? reject->column : "");
	buffer_put_u8(&out->buf, ',');
	csv_text(&out->buf, reject->reason);
	buffer_put_u8(&out->buf, ',');
	csv_text(&out->buf, raw);
	buffer_put_text(&out->buf, "\r\n");
	free(raw);
}

static void
put_reject(struct rejects_stream *out, const struct reject *reject)
{
	if (out->form == FORM_CSV) {
		put_line(out, reject);
		return;
	}
	if (out->form == FORM_JSON)
		buffer_put_text(&out->buf, out->rows++ > 0 ? ",\n" : "[\n");
	put_object(out, reject);
	if (out->form == FORM_NDJSON)
		buffer_put_u8(&out->buf, '\n');
}

static int
write_raw(void *arg, const void *data, size_t len, struct error *err)
{
	return stream_write(arg, data, len, err);
}

/* A stream_produce_fn. */
static int
rejects_produce(struct stream *stream, void *arg, struct error *err)
{
	struct rejects_stream *out = arg;
	struct reject reject;
	int rc = 0;

	out->stream = stream;
	if (out->reader != NULL && out->form >= FORM_COUNT)
		return rejects_write_raw(out->reader, write_raw, stream, err);
	if (out->form == FORM_CSV)
		buffer_put_text(&out->buf, "row,line,column,reason,raw\r\n");
	while (out->reader != NULL && (rc = rejects_read(out->reader, &reject, err)) == 1) {
		put_reject(out, &reject);
		if (out->buf.len >= FLUSH_BYTES && flush(out, err) != 0)
			return -1;
	}
	if (rc < 0)
		return -1;
	if (out->form == FORM_JSON || out->form == FORM_RAW_JSON)
		buffer_put_text(&out->buf, out->rows > 0 ? "\n]\n" : "[]\n");
	return flush(out, err);
}

/* Which rows a run has, if it is of a kind that may have any. */
static int
open_rejects(const struct request *request, struct rejects_stream *out, bool *ret_is_csv,
    struct error *err)
{
	const char *kind, *id;
	json_t *run = NULL;
	int rc = -1;

	if (runs_get(request->services->runs, request->id, &run, err) != 0)
		return -1;
	kind = json_string_value(json_object_get(run, "kind"));
	id = json_string_value(json_object_get(run, "id"));
	*ret_is_csv = strcmp(kind, run_kind_word(RUN_LOAD)) == 0;
	if (!*ret_is_csv && strcmp(kind, run_kind_word(RUN_LOAD_ROWS)) != 0) {
		error_set(err, ERROR_NOT_FOUND, "run '%s' is no load but of kind '%s': it rejects "
		    "no rows", id, kind);
		goto out;
	}
	rc = rejects_read_open(request->services->config->state, id, &out->reader, err);
	if (rc == 0 && json_integer_value(json_object_get(run, "loss_total")) > 0) {
		rc = error_set(err, ERROR_NOT_FOUND, "the rejected rows of run '%s' are not kept "
		    "any more", id);
		error_hint(err, "the first of them are among the losses of /v1/runs/%s", id);
	}
out:
	json_decref(run);
	return rc < 0 ? -1 : 0;
}

static int
choose_form(const struct request *request, bool is_csv, enum form *ret, struct error *err)
{
	const char *accept = request->fields[REQUEST_ACCEPT];
	const char *format = params_get(&request->params, "format");
	enum form raw = is_csv ? FORM_RAW_CSV : FORM_RAW_JSON;
	size_t chosen = 0;

	if (format == NULL) {
		if (accept_choose(accept, media_types, FORM_COUNT, &chosen, err) != 0)
			return -1;
		*ret = (enum form)chosen;
		return 0;
	}
	*ret = raw;
	return accept_choose(accept, &media_types[raw], 1, &chosen, err);
}

int
http_run_rejects(struct request *request, struct response *response, struct error *err)
{
	struct rejects_stream *out = MEM_NEW(struct rejects_stream);
	bool is_csv = false;

	if (open_rejects(request, out, &is_csv, err) != 0 ||
	    choose_form(request, is_csv, &out->form, err) != 0) {
		rejects_stream_free(out);
		return -1;
	}
	response_stream(response, 200, media_types[out->form], RESPONSE_LENGTH_UNKNOWN,
	    rejects_produce, out, rejects_stream_free);
	response_header(response, "Vary", "Accept");
	return 0;
}
