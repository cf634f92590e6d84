/*
 * A JSON document from anybody, as rows, and each of its values against columns of many types.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/json_rows.h"
#include "agent/tables/json_scan.h"
#include "agent/tables/row_check.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* clang-format off */
static const char *const types[][3] = {
	{ "a", "int", "int(11)" }, { "b", "bigint", "bigint(20) unsigned" },
	{ "c", "decimal", "decimal(65,30)" }, { "d", "float", "float" },
	{ "e", "datetime", "datetime(6)" }, { "f", "timestamp", "timestamp(3)" },
	{ "g", "time", "time(6)" }, { "h", "date", "date" }, { "i", "year", "year(4)" },
	{ "j", "varchar", "varchar(5)" }, { "k", "enum", "enum('a','it''s','\xc3\xa9')" },
	{ "l", "set", "set('x','y')" }, { "m", "longtext", "longtext" }, { "n", "uuid", "uuid" },
	{ "o", "inet6", "inet6" }, { "p", "bit", "bit(9)" }, { "q", "varbinary", "varbinary(3)" },
};
/* clang-format on */

#define COLUMNS (sizeof(types) / sizeof(types[0]))

static void
check_row(const struct row_rule *rules, const struct row *row)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		struct error err = ERROR_INIT;
		char scratch[ROW_SCRATCH_SIZE];
		struct row_cell cell;

		if (row_check(&rules[i], &row->values[i], scratch, &cell, &err) != 0) {
			assert(err.code == ERROR_BAD_REQUEST);
			assert(strncmp(err.message, "'", 1) == 0 && err.message[1] == types[i][0][0]);
		} else if (cell.type == ROW_CELL_VALUE && cell.data == scratch) {
			assert(cell.len <= sizeof(scratch));
		}
	}
}

static void
read_rows(struct json_rows *rows, size_t expected)
{
	struct table_column columns[COLUMNS] = { { .name = NULL } };
	struct table table = { .name = (char *)(uintptr_t)"t", .columns = columns,
		.column_count = COLUMNS,
		.create = (char *)(uintptr_t)"CHECK (json_valid(`m`))" };
	struct row_source source = json_rows_source(rows);
	struct row_rule rules[COLUMNS];
	struct error err = ERROR_INIT;
	const size_t *order;
	size_t count, seen = 0;
	struct row row;
	int rc;

	for (size_t i = 0; i < COLUMNS; i++) {
		columns[i].name = (char *)(uintptr_t)types[i][0];
		columns[i].data_type = (char *)(uintptr_t)types[i][1];
		columns[i].type = (char *)(uintptr_t)types[i][2];
		columns[i].charset = (char *)(uintptr_t)(i % 2 == 0 ? "utf8mb4" : "latin1");
		row_rule_init(&rules[i], &table, &columns[i], i % 3 == 0, 101100);
	}
	rc = source.begin(source.arg, &table, &order, &count, &err);
	assert(rc == 0 && count == COLUMNS);
	while ((rc = source.next(source.arg, &row, &err)) == 1) {
		assert(row.number == ++seen);
		assert(json_scan_is_valid(row.raw, row.raw_len));
		if (row.reason == NULL)
			check_row(rules, &row);
	}
	/* What was found sound can be read to its end. */
	assert(rc == 0 && seen == expected);
	for (size_t i = 0; i < COLUMNS; i++)
		row_rule_done(&rules[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of just this size: a sanitizer sees what is read behind it. */
	char *text = size == 0 ? mem_calloc(1, 1) : mem_dup(data, size);
	struct error err = ERROR_INIT;
	struct json_rows *rows = NULL;
	size_t count = 0;

	if (json_rows_check(text, size, &count, &err) == 0) {
		assert(count >= 1 && count <= JSON_ROWS_MAX && json_scan_is_valid(text, size));
		if (json_rows_new(text, size, &rows, &err) == 0)
			read_rows(rows, count);
		json_rows_free(rows);
	} else {
		assert(err.code == ERROR_BAD_REQUEST && err.message[0] != '\0');
	}
	free(text);
	return 0;
}
