#include "agent/tables/json_scan.h"

#include <stdint.h>
#include <string.h>

#include "shared/text.h"

void
json_scan_init(struct json_scan *scan, const char *text, size_t len)
{
	scan->begin = scan->p = text;
	scan->end = text + len;
}

int
json_scan_error(const struct json_scan *scan, const char *what, struct error *err)
{
	unsigned long line = 1, column = 1;

	for (const char *p = scan->begin; p < scan->p; p++) {
		column++;
		if (*p == '\n') {
			line++;
			column = 1;
		}
	}
	return error_set(err, ERROR_BAD_REQUEST, "the JSON is wrong at line %lu, column %lu: %s",
	    line, column, what);
}

static void
skip_blanks(struct json_scan *scan)
{
	while (scan->p < scan->end && (*scan->p == ' ' || *scan->p == '\t' || *scan->p == '\n' ||
	    *scan->p == '\r'))
		scan->p++;
}

int
json_scan_peek(struct json_scan *scan, enum json_scan_type *ret, struct error *err)
{
	skip_blanks(scan);
	if (scan->p == scan->end)
		return json_scan_error(scan, "it ends where a value should be", err);
	switch (*scan->p) {
	case '{':
		*ret = JSON_SCAN_OBJECT;
		return 0;
	case '[':
		*ret = JSON_SCAN_ARRAY;
		return 0;
	case '"':
		*ret = JSON_SCAN_STRING;
		return 0;
	case 't':
		*ret = JSON_SCAN_TRUE;
		return 0;
	case 'f':
		*ret = JSON_SCAN_FALSE;
		return 0;
	case 'n':
		*ret = JSON_SCAN_NULL;
		return 0;
	default:
		if (*scan->p != '-' && (*scan->p < '0' || *scan->p > '9'))
			return json_scan_error(scan, "no value begins here", err);
		*ret = JSON_SCAN_NUMBER;
		return 0;
	}
}

bool
json_scan_take(struct json_scan *scan, char c)
{
	skip_blanks(scan);
	if (scan->p == scan->end || *scan->p != c)
		return false;
	scan->p++;
	return true;
}

/* ---- strings */

static int
take_hex(struct json_scan *scan, unsigned *ret, struct error *err)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++) {
		int digit = scan->p < scan->end ? hex_value(*scan->p) : -1;

		if (digit < 0)
			return json_scan_error(scan, "\\u needs four hexadecimal digits", err);
		value = value << 4 | (unsigned)digit;
		scan->p++;
	}
	*ret = value;
	return 0;
}

static void
put_utf8(struct buffer *out, unsigned c)
{
	if (c < 0x80) {
		buffer_put_u8(out, (uint8_t)c);
		return;
	}
	if (c < 0x800) {
		buffer_put_u8(out, (uint8_t)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buffer_put_u8(out, (uint8_t)(0xe0 | c >> 12));
		} else {
			buffer_put_u8(out, (uint8_t)(0xf0 | c >> 18));
			buffer_put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		buffer_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	buffer_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
}

/* Behind "\u"; out may be NULL. */
static int
take_unicode(struct json_scan *scan, struct buffer *out, struct error *err)
{
	unsigned c, low;

	if (take_hex(scan, &c, err) != 0)
		return -1;
	if (c >= 0xdc00 && c < 0xe000)
		return json_scan_error(scan, "a second half of a surrogate without a first", err);
	if (c >= 0xd800 && c < 0xdc00) {
		if (scan->end - scan->p < 2 || scan->p[0] != '\\' || scan->p[1] != 'u')
			return json_scan_error(scan, "half of a surrogate", err);
		scan->p += 2;
		if (take_hex(scan, &low, err) != 0)
			return -1;
		if (low < 0xdc00 || low >= 0xe000)
			return json_scan_error(scan, "half of a surrogate", err);
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (out != NULL)
		put_utf8(out, c);
	return 0;
}

/* Behind the backslash. */
static int
take_escape(struct json_scan *scan, struct buffer *out, struct error *err)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	char c;

	if (scan->p == scan->end)
		return json_scan_error(scan, "it ends within a string", err);
	c = *scan->p;
	if (c == 'u') {
		scan->p++;
		return take_unicode(scan, out, err);
	}
	at = c == '\0' ? NULL : strchr(from, c);
	if (at == NULL)
		return json_scan_error(scan, "an unknown escape", err);
	scan->p++;
	if (out != NULL)
		buffer_put_u8(out, (uint8_t)to[at - from]);
	return 0;
}

/* out NULL: checked only. */
static int
take_string(struct json_scan *scan, struct buffer *out, struct error *err)
{
	skip_blanks(scan);
	if (scan->p == scan->end || *scan->p != '"')
		return json_scan_error(scan, "a string should be here", err);
	scan->p++;
	for (;;) {
		const char *plain = scan->p;

		while (scan->p < scan->end && *scan->p != '"' && *scan->p != '\\' &&
		    (unsigned char)*scan->p >= 0x20)
			scan->p++;
		if (!text_is_utf8(plain, (size_t)(scan->p - plain)))
			return json_scan_error(scan, "the string before is no UTF-8", err);
		if (out != NULL)
			buffer_put(out, plain, (size_t)(scan->p - plain));
		if (scan->p == scan->end)
			return json_scan_error(scan, "it ends within a string", err);
		if (*scan->p == '"') {
			scan->p++;
			return 0;
		}
		if (*scan->p != '\\')
			return json_scan_error(scan, "a control character within a string", err);
		scan->p++;
		if (take_escape(scan, out, err) != 0)
			return -1;
	}
}

int
json_scan_string(struct json_scan *scan, struct buffer *out, struct error *err)
{
	return take_string(scan, out, err);
}

/* ---- whole values */

static int
take_word(struct json_scan *scan, const char *word, struct error *err)
{
	size_t len = strlen(word);

	if ((size_t)(scan->end - scan->p) < len || memcmp(scan->p, word, len) != 0)
		return json_scan_error(scan, "no value begins here", err);
	scan->p += len;
	return 0;
}

static size_t
take_digits(struct json_scan *scan)
{
	const char *from = scan->p;

	while (scan->p < scan->end && *scan->p >= '0' && *scan->p <= '9')
		scan->p++;
	return (size_t)(scan->p - from);
}

static int
take_number(struct json_scan *scan, struct error *err)
{
	if (*scan->p == '-')
		scan->p++;
	if (scan->p < scan->end && *scan->p == '0')
		scan->p++;
	else if (take_digits(scan) == 0)
		return json_scan_error(scan, "a number without digits", err);
	if (scan->p < scan->end && *scan->p == '.') {
		scan->p++;
		if (take_digits(scan) == 0)
			return json_scan_error(scan, "no digit behind the point", err);
	}
	if (scan->p < scan->end && (*scan->p == 'e' || *scan->p == 'E')) {
		scan->p++;
		if (scan->p < scan->end && (*scan->p == '+' || *scan->p == '-'))
			scan->p++;
		if (take_digits(scan) == 0)
			return json_scan_error(scan, "an exponent without digits", err);
	}
	return 0;
}

/* An array or an object; depth: that of what it holds. */
static int
skip_members(struct json_scan *scan, char close, unsigned depth, struct error *err)
{
	scan->p++;
	if (json_scan_take(scan, close))
		return 0;
	do {
		if (close == '}') {
			if (take_string(scan, NULL, err) != 0)
				return -1;
			if (!json_scan_take(scan, ':'))
				return json_scan_error(scan, "a ':' should be here", err);
		}
		if (json_scan_skip(scan, depth, err) != 0)
			return -1;
	} while (json_scan_take(scan, ','));
	if (!json_scan_take(scan, close))
		return json_scan_error(scan, close == '}' ? "a ',' or '}' should be here" :
		    "a ',' or ']' should be here", err);
	return 0;
}

int
json_scan_skip(struct json_scan *scan, unsigned depth, struct error *err)
{
	enum json_scan_type type;

	if (json_scan_peek(scan, &type, err) != 0)
		return -1;
	if (depth >= JSON_SCAN_DEPTH && (type == JSON_SCAN_OBJECT || type == JSON_SCAN_ARRAY))
		return json_scan_error(scan, "it is nested too deep", err);
	switch (type) {
	case JSON_SCAN_OBJECT:
		return skip_members(scan, '}', depth + 1, err);
	case JSON_SCAN_ARRAY:
		return skip_members(scan, ']', depth + 1, err);
	case JSON_SCAN_STRING:
		return take_string(scan, NULL, err);
	case JSON_SCAN_NUMBER:
		return take_number(scan, err);
	case JSON_SCAN_TRUE:
		return take_word(scan, "true", err);
	case JSON_SCAN_FALSE:
		return take_word(scan, "false", err);
	case JSON_SCAN_NULL:
		return take_word(scan, "null", err);
	}
	return -1;
}

int
json_scan_end(struct json_scan *scan, struct error *err)
{
	skip_blanks(scan);
	return scan->p == scan->end ? 0 : json_scan_error(scan, "something follows the value", err);
}

bool
json_scan_is_valid(const char *text, size_t len)
{
	struct error ignored = ERROR_INIT;
	struct json_scan scan;

	json_scan_init(&scan, text, len);
	return json_scan_skip(&scan, 0, &ignored) == 0 && json_scan_end(&scan, &ignored) == 0;
}
