/*
 * A cell of CSV (RFC 4180): quotes doubled.  A text that a spreadsheet would take for a formula
 * (= + - @, tab or CR at its start) gets an apostrophe before it.
 */
#ifndef HOLDFAST_AGENT_HTTP_CSV_H
#define HOLDFAST_AGENT_HTTP_CSV_H

#include "shared/buffer.h"

void csv_text(struct buffer *buf, const char *text);

#endif
