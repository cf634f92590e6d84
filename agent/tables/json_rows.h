/*
 * A JSON document as rows: one object, or an array of them; keys are names of columns.
 *
 * The whole document is checked before the first row is given: what is no such document is
 * refused as a whole.  Numbers keep their text.
 * Memory: the document (lent) and one row.
 */
#ifndef HOLDFAST_AGENT_TABLES_JSON_ROWS_H
#define HOLDFAST_AGENT_TABLES_JSON_ROWS_H

#include <stddef.h>

#include "agent/tables/row_load.h"
#include "shared/error.h"

#define JSON_ROWS_MAX 1000
#define JSON_ROWS_KEYS_MAX 4096 /* in one row: as many as a table has columns at most */

struct json_rows;

/*
 * Whether it is such a document.  ERROR_BAD_REQUEST: no JSON (with line and column), another shape,
 * no row or more than JSON_ROWS_MAX, a key twice in one row, nested too deep.
 */
int json_rows_check(const char *text, size_t len, size_t *ret_count, struct error *err);

/* The same, to be read; text is lent until json_rows_free(). */
int json_rows_new(const char *text, size_t len, struct json_rows **ret, struct error *err);
void json_rows_free(struct json_rows *rows);
/* What row_load() takes; once. */
struct row_source json_rows_source(struct json_rows *rows);

#endif
