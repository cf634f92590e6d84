#include "agent/http/csv.h"

#include <stdbool.h>
#include <string.h>

void
csv_text(struct buffer *buf, const char *text)
{
	const char *p;
	bool formula = text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;

	if (!formula && strpbrk(text, "\",\r\n") == NULL) {
		buffer_put_text(buf, text);
		return;
	}
	buffer_put_u8(buf, '"');
	if (formula)
		buffer_put_u8(buf, '\'');
	for (p = text; *p != '\0'; p++) {
		if (*p == '"')
			buffer_put_u8(buf, '"');
		buffer_put_u8(buf, (uint8_t)*p);
	}
	buffer_put_u8(buf, '"');
}

static void
csv_cell(struct buffer *buf, const json_t *value)
{
	if (json_is_string(value))
		csv_text(buf, json_string_value(value));
	else if (json_is_integer(value))
		buffer_printf(buf, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_boolean(value))
		buffer_put_text(buf, json_is_true(value) ? "true" : "false");
	/* null is an empty cell; there are no other values in a row */
}

void
csv_header(struct buffer *buf, const char *const *columns, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (i > 0)
			buffer_put_u8(buf, ',');
		csv_text(buf, columns[i]);
	}
	buffer_put_text(buf, "\r\n");
}

void
csv_row(struct buffer *buf, const json_t *row, const char *const *columns, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (i > 0)
			buffer_put_u8(buf, ',');
		csv_cell(buf, json_object_get(row, columns[i]));
	}
	buffer_put_text(buf, "\r\n");
}
