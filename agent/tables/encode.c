#include "agent/tables/encode.h"

#include <stdlib.h>
#include <string.h>

#include "shared/text.h"

/* A number of Avro is at most so long. */
#define VARINT_MAX 10

#define MICROS_PER_DAY (INT64_C(86400) * 1000000)

static inline uint8_t *
put_long(uint8_t *p, int64_t value)
{
	uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Branches are numbered from 0, and all our unions have fewer than 64. */
static inline uint8_t *
put_branch(uint8_t *p, unsigned branch)
{
	*p++ = (uint8_t)(branch << 1);
	return p;
}

static void
put_bytes(struct buffer *out, const void *data, size_t len)
{
	uint8_t *p = buffer_reserve(out, VARINT_MAX + len), *q = put_long(p, (int64_t)len);

	memcpy(q, data, len);
	out->len += (size_t)(q - p) + len;
}

static inline void
put_number(struct buffer *out, int64_t value)
{
	uint8_t *p = buffer_reserve(out, VARINT_MAX);

	out->len += (size_t)(put_long(p, value) - p);
}

static void
begin_branch(struct buffer *out, unsigned branch)
{
	buffer_reserve(out, 1)[0] = (uint8_t)(branch << 1);
	out->len++;
}

static bool
parse_whole(const char *text, size_t len, int64_t *ret)
{
	bool negative = len > 0 && text[0] == '-';
	uint64_t v = 0;

	if (len == (size_t)negative || len > 20 + (size_t)negative)
		return false;
	for (size_t i = negative; i < len; i++) {
		unsigned digit = (unsigned)(unsigned char)text[i] - '0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (v > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool
digits_at(const char *text, size_t count, unsigned *ret)
{
	unsigned v = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned digit = (unsigned)(unsigned char)text[i] - '0';

		if (digit > 9)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}

/* "YYYY-MM-DD" of a day that exists. */
static bool
parse_date(const char *text, size_t len, int64_t *ret_days)
{
	static const uint8_t days_in[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned year, month, day, last;

	if (len != 10 || text[4] != '-' || text[7] != '-' || !digits_at(text, 4, &year) ||
	    !digits_at(text + 5, 2, &month) || !digits_at(text + 8, 2, &day) || month < 1 ||
	    month > 12)
		return false;
	last = days_in[month - 1];
	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		last = 29;
	if (day < 1 || day > last)
		return false;
	*ret_days = days_of_date(year, month, day);
	return true;
}

/* "HH:MM:SS[.ffffff]" within a day. */
static bool
parse_time(const char *text, size_t len, int64_t *ret_micros)
{
	unsigned hour, minute, second, fraction = 0;

	if (len < 8 || len == 9 || len > 15 || text[2] != ':' || text[5] != ':' ||
	    !digits_at(text, 2, &hour) || !digits_at(text + 3, 2, &minute) ||
	    !digits_at(text + 6, 2, &second) || hour > 23 || minute > 59 || second > 59)
		return false;
	if (len > 9) {
		if (text[8] != '.' || !digits_at(text + 9, len - 9, &fraction))
			return false;
		for (size_t i = len - 9; i < 6; i++)
			fraction *= 10;
	}
	*ret_micros = (((int64_t)hour * 60 + minute) * 60 + second) * 1000000 + fraction;
	return true;
}

static bool
parse_datetime(const char *text, size_t len, int64_t *ret_micros)
{
	int64_t days, micros;

	if (len < 19 || text[10] != ' ' || !parse_date(text, 10, &days) ||
	    !parse_time(text + 11, len - 11, &micros))
		return false;
	*ret_micros = days * MICROS_PER_DAY + micros;
	return true;
}

static int
bad_value(const struct table_column *column, struct error *err)
{
	return error_set(err, ERROR_DATABASE,
	    "the server sent a value of column '%.100s' that is no %.100s", column->name,
	    column->type);
}

/* Little-endian, as Avro wants it. */
static void
put_float(struct buffer *out, double value, enum carrier carrier)
{
	float single = (float)value;
	uint32_t bits32;
	uint64_t bits64;

	if (carrier == CARRIER_FLOAT) {
		memcpy(&bits32, &single, sizeof(bits32));
		buffer_put_u32(out, bits32);
	} else {
		memcpy(&bits64, &value, sizeof(bits64));
		buffer_put_u64(out, bits64);
	}
}

static int
encode_number(const struct table_column *column, const char *text, size_t len,
    struct buffer *out, struct error *err)
{
	uint8_t decimal[DECIMAL_BYTES_MAX];
	int64_t v = 0;
	char *end;
	double d;
	size_t n;

	switch (column->carrier) {
	case CARRIER_DECIMAL:
		n = decimal_encode(text, len, column->scale, decimal);
		if (n == 0)
			return bad_value(column, err);
		put_bytes(out, decimal, n);
		return 0;
	case CARRIER_FLOAT:
	case CARRIER_DOUBLE:
		d = strtod(text, &end);
		if (end != text + len || len == 0)
			return bad_value(column, err);
		put_float(out, d, column->carrier);
		return 0;
	default:
		if (!parse_whole(text, len, &v) || (column->carrier != CARRIER_LONG &&
		    (v < INT32_MIN || v > INT32_MAX)))
			return bad_value(column, err);
		put_number(out, v);
		return 0;
	}
}

static bool
parse_moment(enum carrier carrier, const char *text, size_t len, int64_t *ret)
{
	if (carrier == CARRIER_DATE)
		return parse_date(text, len, ret);
	if (carrier == CARRIER_TIME)
		return parse_time(text, len, ret);
	return parse_datetime(text, len, ret);
}

/* Most text is ASCII: eight bytes at a time. */
static bool
is_utf8(const char *text, size_t len)
{
	size_t i = 0;
	uint64_t word;

	for (; i + 8 <= len; i += 8) {
		memcpy(&word, text + i, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			return text_is_utf8(text + i, len - i);
	}
	for (; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return text_is_utf8(text + i, len - i);
	return true;
}

/* The bytes stand beside the text only where the text would not do. */
static void
encode_text(unsigned branch, const char *text, size_t len, const char *raw, size_t raw_len,
    struct buffer *out)
{
	if (raw != NULL) {
		begin_branch(out, branch + 1);
		put_bytes(out, raw, raw_len);
	} else {
		begin_branch(out, branch + (is_utf8(text, len) ? 0 : 1));
		put_bytes(out, text, len);
	}
}

static int
encode_value(const struct table_column *column, const char *const *values,
    const unsigned long *lengths, struct buffer *out, struct error *err)
{
	const char *text = values[column->select_at];
	size_t len = lengths[column->select_at];
	unsigned branch = column->nullable ? 1 : 0;
	int64_t moment;
	uint8_t *p, *q;

	if (text == NULL) {
		if (!column->nullable)
			return bad_value(column, err);
		begin_branch(out, 0);
		return 0;
	}
	switch (column->carrier) {
	case CARRIER_DATE:
	case CARRIER_TIME:
	case CARRIER_DATETIME:
	case CARRIER_TIMESTAMP:
		if (!parse_moment(column->carrier, text, len, &moment)) {
			begin_branch(out, branch + 1);
			put_bytes(out, text, len);
			return 0;
		}
		p = buffer_reserve(out, 1 + VARINT_MAX);
		q = put_long(put_branch(p, branch), moment);
		out->len += (size_t)(q - p);
		return 0;
	case CARRIER_TEXT:
		encode_text(branch, text, len, NULL, 0, out);
		return 0;
	case CARRIER_RECODED:
		encode_text(branch, text, len, values[column->select_at + 1],
		    lengths[column->select_at + 1], out);
		return 0;
	default:
		break;
	}
	if (column->nullable)
		begin_branch(out, 1);
	if (column->carrier == CARRIER_BYTES || column->carrier == CARRIER_PLAIN) {
		put_bytes(out, text, len);
		return 0;
	}
	return encode_number(column, text, len, out, err);
}

int
encode_row(const struct table *table, const char *const *values, const unsigned long *lengths,
    struct buffer *out, struct error *err)
{
	for (size_t i = 0; i < table->column_count; i++)
		if (encode_value(&table->columns[i], values, lengths, out, err) != 0)
			return -1;
	return 0;
}
