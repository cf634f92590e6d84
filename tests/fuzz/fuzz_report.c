/*
 * A report's file: refused with a reason, or taken with a statement that has a "?" for each place
 * of a parameter, which is one of those declared.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/reports.h"
#include "shared/mem.h"
#include "shared/sql_split.h"
#include "shared/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_dup(data, size);
	struct report *report = NULL;
	struct error err = ERROR_INIT;
	struct mariadb_param value;
	size_t marks = 0;

	if (report_parse("r", "r.sql", text, size, &report, &err) != 0) {
		assert(err.code == ERROR_CONFIG);
		assert(strncmp(err.message, "report 'r.sql': ", 16) == 0);
		free(text);
		return 0;
	}
	assert(text_is_utf8(report->title, strlen(report->title)));
	for (const char *p = report->sql, *end = p + strlen(p); p != NULL && p < end;
	    p = sql_skip(p, end))
		marks += *p == '?';
	assert(marks == report->place_count);
	for (size_t i = 0; i < report->place_count; i++)
		assert(report->places[i] < report->parameter_count);
	for (size_t i = 0; i < report->parameter_count; i++)
		report_value(&report->parameters[i], report->title, &value, &err);
	report_free(report);
	free(text);
	return 0;
}
