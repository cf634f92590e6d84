/*
 * Values of Avro as LOAD DATA reads them, in the session that load_session() made.
 */
#include "agent/tables/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shared/text.h"

#define MICROS_PER_DAY (INT64_C(86400) * 1000000)

static void
put_escaped(struct buffer *out, const uint8_t *data, size_t len)
{
	uint8_t *begin = buffer_reserve(out, 2 * len), *p = begin;

	for (size_t i = 0; i < len; i++) {
		switch (data[i]) {
		case '\0':
			*p++ = '\\';
			*p++ = '0';
			break;
		case '\n':
			*p++ = '\\';
			*p++ = 'n';
			break;
		case '\t':
			*p++ = '\\';
			*p++ = 't';
			break;
		case '\\':
			*p++ = '\\';
			*p++ = '\\';
			break;
		default:
			*p++ = data[i];
		}
	}
	out->len += (size_t)(p - begin);
}

static void
put_whole(struct buffer *out, int64_t value)
{
	char text[24], *p = text + sizeof(text);
	uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	if (value < 0)
		*--p = '-';
	buffer_put(out, p, (size_t)(text + sizeof(text) - p));
}

static void
put_digits(char *p, unsigned width, unsigned value)
{
	while (width > 0) {
		p[--width] = (char)('0' + value % 10);
		value /= 10;
	}
}

static int
out_of_range(const struct table_column *column, struct error *err)
{
	return error_set(err, ERROR_BAD_REQUEST,
	    "a value for column '%.100s' is beyond what %.100s can be", column->name,
	    column->type);
}

static int
put_date(const struct table_column *column, int64_t days, struct buffer *out, struct error *err)
{
	char text[] = "0000-00-00";
	unsigned month, day;
	int year;

	if (days < DAYS_MIN || days >= DAYS_END)
		return out_of_range(column, err);
	date_of_days(days, &year, &month, &day);
	put_digits(text, 4, (unsigned)year);
	put_digits(text + 5, 2, month);
	put_digits(text + 8, 2, day);
	buffer_put(out, text, 10);
	return 0;
}

static void
put_time(int64_t micros, struct buffer *out)
{
	char text[] = "00:00:00.000000";
	unsigned seconds = (unsigned)(micros / 1000000);

	put_digits(text, 2, seconds / 3600);
	put_digits(text + 3, 2, seconds / 60 % 60);
	put_digits(text + 6, 2, seconds % 60);
	put_digits(text + 9, 6, (unsigned)(micros % 1000000));
	buffer_put(out, text, 15);
}

static int
put_moment(const struct table_column *column, const struct ocf_value *value, struct buffer *out,
    struct error *err)
{
	int64_t v = value->i, days;
	enum ocf_logical logical = value->type->logical;

	if (logical == OCF_DATE)
		return put_date(column, v, out, err);
	if (logical == OCF_TIME_MILLIS || logical == OCF_TIMESTAMP_MILLIS) {
		if (v > INT64_MAX / 1000 || v < INT64_MIN / 1000)
			return out_of_range(column, err);
		v *= 1000;
	}
	if (logical == OCF_TIME_MILLIS || logical == OCF_TIME_MICROS) {
		if (v < 0 || v >= MICROS_PER_DAY)
			return out_of_range(column, err);
		put_time(v, out);
		return 0;
	}
	days = v / MICROS_PER_DAY - (v % MICROS_PER_DAY < 0);
	if (put_date(column, days, out, err) != 0)
		return -1;
	buffer_put_u8(out, ' ');
	put_time(v - days * MICROS_PER_DAY, out);
	return 0;
}

/* A number into a BIT is its bytes, not its digits. */
static void
put_bits(int64_t value, struct buffer *out)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < 8; i++)
		bytes[7 - i] = (uint8_t)((uint64_t)value >> (8 * i));
	put_escaped(out, bytes, sizeof(bytes));
}

static int
put_number(const struct table_column *column, const struct ocf_value *value, struct buffer *out,
    struct error *err)
{
	char text[32];
	int n;

	if (value->type->kind == OCF_FLOAT || value->type->kind == OCF_DOUBLE) {
		if (!isfinite(value->d))
			return out_of_range(column, err);
		n = snprintf(text, sizeof(text), "%.17g", value->d);
		buffer_put(out, text, (size_t)n);
		return 0;
	}
	if (value->type->logical != OCF_PLAIN)
		return put_moment(column, value, out, err);
	if (strcmp(column->data_type, "bit") == 0) {
		put_bits(value->i, out);
	} else if (column->is_year) {
		if (value->i < 0 || value->i > 9999)
			return out_of_range(column, err);
		put_digits(text, 4, (unsigned)value->i);
		buffer_put(out, text, 4);
	} else {
		put_whole(out, value->i);
	}
	return 0;
}

/*
 * "2021-07-27T16:02:08Z", or with an offset: a text by which other programs write a moment, and which
 * the server takes for a damaged one.  In UTC, as the session is.
 */
static bool
put_zoned(const struct table_column *column, const struct ocf_value *value, struct buffer *out)
{
	struct error ignored;
	struct timespec moment;
	char text[TIME_TEXT_SIZE];

	if ((column->carrier != CARRIER_DATETIME && column->carrier != CARRIER_TIMESTAMP) ||
	    value->len <= 19 || value->len >= sizeof(text))
		return false;
	memcpy(text, value->data, value->len);
	text[value->len] = '\0';
	if (strlen(text) != value->len || time_parse(text, false, &moment, &ignored) != 0)
		return false;
	time_format(moment, 6, text);
	buffer_put(out, text, 10);
	buffer_put_u8(out, ' ');
	buffer_put(out, text + 11, 15);
	return true;
}

int
load_put_value(const struct table_column *column, const struct ocf_value *value,
    struct buffer *out, struct error *err)
{
	char text[DECIMAL_TEXT_SIZE];
	const char *symbol;
	size_t n;

	switch (value->type->kind) {
	case OCF_NULL:
		buffer_put(out, "\\N", 2);
		return 0;
	case OCF_BOOLEAN:
	case OCF_INT:
	case OCF_LONG:
	case OCF_FLOAT:
	case OCF_DOUBLE:
		return put_number(column, value, out, err);
	case OCF_ENUM:
		symbol = value->type->symbols[value->i];
		put_escaped(out, (const uint8_t *)symbol, strlen(symbol));
		return 0;
	default:
		if (value->type->logical == OCF_DECIMAL) {
			n = decimal_decode(value->data, value->len, value->type->scale, text);
			if (n == 0)
				return out_of_range(column, err);
			buffer_put(out, text, n);
		} else if (value->type->kind != OCF_STRING || !put_zoned(column, value, out)) {
			put_escaped(out, value->data, value->len);
		}
		return 0;
	}
}
