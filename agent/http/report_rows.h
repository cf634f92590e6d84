/*
 * The rows of a query's result as JSON (an array of objects), NDJSON, CSV or an aligned table.
 */
#ifndef HOLDFAST_AGENT_HTTP_REPORT_ROWS_H
#define HOLDFAST_AGENT_HTTP_REPORT_ROWS_H

#include "agent/http/stream.h"
#include "shared/mariadb.h"

enum report_format { REPORT_JSON, REPORT_NDJSON, REPORT_CSV, REPORT_TABLE, REPORT_FORMAT_COUNT };

extern const char *const report_media_types[REPORT_FORMAT_COUNT];

/* Reads the whole result and writes it out; memory is a few rows (of a table the first 1000). */
int report_rows_write(struct mariadb_result *result, enum report_format format,
    struct stream *stream, struct error *err);

#endif
