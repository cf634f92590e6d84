/*
 * A row of the action log as text.  Written by hand, as a log may hold a million of them and a tree
 * of values for each row takes ten times as long.
 */
#ifndef HOLDFAST_AGENT_HTTP_LOG_ROW_H
#define HOLDFAST_AGENT_HTTP_LOG_ROW_H

#include "agent/actionlog/actionlog.h"
#include "shared/buffer.h"

/* A JSON object without white space; what has no value is null. */
void log_row_put_json(struct buffer *buf, const struct actionlog_cell *cells);
/* A line of CSV, and the one above all (agent/http/csv.h). */
void log_row_put_csv(struct buffer *buf, const struct actionlog_cell *cells);
void log_row_put_csv_header(struct buffer *buf);

#endif
