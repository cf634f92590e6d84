/*
 * SQL from outside, cut into statements: each lies within the text, behind the one before it, is
 * valid UTF-8, neither empty nor with blanks around it, and its line is that of its first byte.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/sql_split.h"
#include "shared/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* In memory of its own size, so that a byte too many is seen. */
	char *text = mem_dup(data, size);
	const char *end = text + size, *last = text;
	struct error err = ERROR_INIT;
	struct sql_statement statement;
	struct sql_split split;
	unsigned line;
	int rc;

	sql_split_init(&split, text, size);
	while ((rc = sql_split_next(&split, &statement, &err)) == 1) {
		assert(statement.len > 0);
		assert(statement.text >= last && statement.text + statement.len <= end);
		assert(text_is_utf8(statement.text, statement.len));
		assert(!is_blank(statement.text[0]));
		assert(!is_blank(statement.text[statement.len - 1]));
		line = 1;
		for (const char *p = text; p < statement.text; p++)
			line += *p == '\n';
		assert(line == statement.line);
		last = statement.text + statement.len;
	}
	assert(rc == 0 || strncmp(err.message, "line ", 5) == 0);
	free(text);
	return 0;
}
