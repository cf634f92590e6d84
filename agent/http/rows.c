#include "agent/http/rows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/http/negotiate.h"
#include "agent/http/stream.h"
#include "shared/mem.h"

/* Small enough to be on its way soon, large enough that a row costs no system call. */
#define FLUSH_BYTES (16u << 10)
#define FLUSH_MS 200

int
rows_choose(const struct request *request, bool *ret_ndjson, const char **ret_type,
    struct error *err)
{
	static const char *const types[] = { "application/json", "application/x-ndjson" };
	size_t chosen;

	if (accept_choose(request->fields[REQUEST_ACCEPT], types, ARRAY_LEN(types), &chosen,
	    err) != 0)
		return -1;
	*ret_ndjson = chosen == 1;
	*ret_type = types[chosen];
	return 0;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
rows_begin(struct rows *rows, struct stream *stream, const char *name, bool ndjson)
{
	*rows = (struct rows){ .stream = stream, .name = name, .ndjson = ndjson,
		.buf = BUFFER_INIT };
}

static int
flush(struct rows *rows, struct error *err)
{
	int rc = stream_write(rows->stream, rows->buf.data, rows->buf.len, err);

	buffer_clear(&rows->buf);
	rows->flushed_ms = now_ms();
	return rc;
}

static void
put_json(struct rows *rows, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	buffer_put_text(&rows->buf, text != NULL ? text : "{}");
	free(text);
	json_decref(json);
}

int
rows_put(struct rows *rows, json_t *row, struct error *err)
{
	if (!rows->ndjson && rows->count == 0)
		buffer_printf(&rows->buf, "{\"%s\": [\n", rows->name);
	else if (!rows->ndjson)
		buffer_put_text(&rows->buf, ",\n");
	put_json(rows, row);
	if (rows->ndjson)
		buffer_put_u8(&rows->buf, '\n');
	rows->count++;
	if (rows->buf.len < FLUSH_BYTES && now_ms() - rows->flushed_ms < FLUSH_MS)
		return 0;
	return flush(rows, err);
}

int
rows_end(struct rows *rows, json_t *after, struct error *err)
{
	const char *key;
	json_t *value;

	if (rows->ndjson) {
		if (after != NULL) {
			put_json(rows, after);
			buffer_put_u8(&rows->buf, '\n');
		}
		return flush(rows, err);
	}
	if (rows->count == 0)
		buffer_printf(&rows->buf, "{\"%s\": [", rows->name);
	buffer_put_u8(&rows->buf, ']');
	json_object_foreach(after, key, value) {
		char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

		buffer_printf(&rows->buf, ",\n\"%s\": %s", key, text != NULL ? text : "null");
		free(text);
	}
	json_decref(after);
	buffer_put_text(&rows->buf, "}\n");
	return flush(rows, err);
}

void
rows_done(struct rows *rows)
{
	buffer_done(&rows->buf);
}
