#include "agent/http/log_row.h"

#include <stdbool.h>
#include <string.h>

#include "agent/http/csv.h"

/* Each name as it stands in an object, with what goes before and after it. */
static const struct {
	const char *name, *key;
	size_t key_len;
	bool is_number;
} columns[ACTIONLOG_COLUMN_COUNT] = {
#define _(word, name, number) { name, ",\"" name "\":", sizeof(",\"" name "\":") - 1, number },
	ACTIONLOG_COLUMNS(_)
#undef _
};

/* "-9223372036854775808" */
#define NUMBER_LEN 20

static void
put_number(struct buffer *buf, int64_t number)
{
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[NUMBER_LEN], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (number < 0)
		*--p = '-';
	buffer_put(buf, p, (size_t)(digits + sizeof(digits) - p));
}

static bool
needs_escape(uint8_t c)
{
	return c < 0x20 || c == '"' || c == '\\';
}

static uint8_t *
escape(uint8_t *out, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	/* The ones with a letter, at the letter's place. */
	static const char controls[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *known = c == 0 ? NULL : strchr(controls, c);

	*out++ = '\\';
	if (known != NULL) {
		*out++ = (uint8_t)letters[known - controls];
		return out;
	}
	memcpy(out, "u00", 3);
	out[3] = (uint8_t)digits[c >> 4];
	out[4] = (uint8_t)digits[c & 15];
	return out + 5;
}

static void
put_json_text(struct buffer *buf, const char *text, size_t len)
{
	/* Each byte at its longest, and the quotes. */
	uint8_t *begin = buffer_reserve(buf, 6 * len + 2), *out = begin;
	const uint8_t *p = (const uint8_t *)text, *end = p + len;

	*out++ = '"';
	for (; p < end; p++) {
		if (needs_escape(*p))
			out = escape(out, *p);
		else
			*out++ = *p;
	}
	*out++ = '"';
	buf->len += (size_t)(out - begin);
}

void
log_row_put_json(struct buffer *buf, const struct actionlog_cell *cells)
{
	for (size_t i = 0; i < ACTIONLOG_COLUMN_COUNT; i++) {
		size_t at = buf->len;

		buffer_put(buf, columns[i].key, columns[i].key_len);
		if (i == 0)
			buf->data[at] = '{';
		if (columns[i].is_number)
			put_number(buf, cells[i].number);
		else if (cells[i].text == NULL)
			buffer_put(buf, "null", 4);
		else
			put_json_text(buf, cells[i].text, cells[i].len);
	}
	buffer_put_u8(buf, '}');
}

void
log_row_put_csv(struct buffer *buf, const struct actionlog_cell *cells)
{
	for (size_t i = 0; i < ACTIONLOG_COLUMN_COUNT; i++) {
		if (i > 0)
			buffer_put_u8(buf, ',');
		if (columns[i].is_number)
			put_number(buf, cells[i].number);
		else if (cells[i].text != NULL)
			csv_text(buf, cells[i].text);
	}
	buffer_put_text(buf, "\r\n");
}

void
log_row_put_csv_header(struct buffer *buf)
{
	for (size_t i = 0; i < ACTIONLOG_COLUMN_COUNT; i++) {
		if (i > 0)
			buffer_put_u8(buf, ',');
		csv_text(buf, columns[i].name);
	}
	buffer_put_text(buf, "\r\n");
}
