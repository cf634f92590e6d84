/*
 * Rows of JSON values as CSV (RFC 4180): CR LF, quotes doubled.  A text that a spreadsheet would
 * take for a formula (= + - @, tab or CR at its start) gets an apostrophe before it.
 */
#ifndef HOLDFAST_AGENT_HTTP_CSV_H
#define HOLDFAST_AGENT_HTTP_CSV_H

#include <jansson.h>
#include <stddef.h>

#include "shared/buffer.h"

void csv_text(struct buffer *buf, const char *text);
void csv_header(struct buffer *buf, const char *const *columns, size_t count);
void csv_row(struct buffer *buf, const json_t *row, const char *const *columns, size_t count);

#endif
