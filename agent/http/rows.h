/*
 * A streamed list of JSON documents: an object that holds them in one array, or NDJSON by Accept.
 *
 *   {"NAME": [
 *   row,
 *   row],
 *   "key": value, ...}
 *
 * As NDJSON each row is a line, and what follows the array is one last line.
 */
#ifndef HOLDFAST_AGENT_HTTP_ROWS_H
#define HOLDFAST_AGENT_HTTP_ROWS_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/http/request.h"
#include "agent/http/response.h"

struct stream;

struct rows {
	struct stream *stream;
	const char *name;
	bool ndjson;
	struct buffer buf;
	uint64_t count;
	int64_t flushed_ms;
};

/* What the client wants, and its media type.  ERROR_NOT_ACCEPTABLE. */
int rows_choose(const struct request *request, bool *ret_ndjson, const char **ret_type,
    struct error *err);

void rows_begin(struct rows *rows, struct stream *stream, const char *name, bool ndjson);
/* Takes the row.  Nothing is sent before the first one: until then a failure can be a problem
 * document. */
int rows_put(struct rows *rows, json_t *row, struct error *err);
/* Takes the object; its members follow the array.  NULL: none. */
int rows_end(struct rows *rows, json_t *after, struct error *err);
void rows_done(struct rows *rows);

#endif
