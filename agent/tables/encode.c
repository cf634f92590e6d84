#include "agent/tables/encode.h"

#define XXH_INLINE_ALL
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/mem.h"
#include "shared/text.h"

/* A number of Avro is at most so long. */
#define VARINT_MAX 10
/* What any value but a text or bytes may take, and what these take besides: the branch, and a
 * moment as text, a decimal or a number. */
#define VALUE_ROOM 64

#define MICROS_PER_DAY (INT64_C(86400) * 1000000)

/* How a value comes, and what it becomes. */
enum form {
	FORM_I8, FORM_U8, FORM_I16, FORM_U16, FORM_I32, FORM_U32, FORM_I64, FORM_U64,
	FORM_BIG,                     /* 64 bits without a sign, becomes a decimal */
	FORM_DECIMAL,
	FORM_FLOAT, FORM_DOUBLE,
	FORM_DATE, FORM_TIME, FORM_DATETIME,
	FORM_BYTES,                   /* also text that is always some */
	FORM_TEXT,
	FORM_RECODED, FORM_RAW        /* a text, and behind it its bytes or NULL */
};

/* All that a value needs, side by side. */
struct slot {
	uint8_t form;     /* enum form */
	uint8_t width;    /* bytes; 0: a length stands before them */
	bool nullable, in_key;
	bool is_int;      /* Avro's int: no more than 32 bits */
	uint8_t scale;    /* of a decimal */
	uint8_t decimals; /* of a time's seconds */
	const struct table_column *column;
};

struct encoder {
	const struct table *table;
	struct slot *slots;
	const uint8_t *text; /* of a column that is followed by its bytes; NULL for NULL */
	size_t text_len;
	uint64_t hash;       /* of the key's columns so far */
	const struct table_column *bad; /* whose value in this row is none */
};

struct encoder *
encoder_new(const struct table *table)
{
	struct encoder *encoder = MEM_NEW(struct encoder);

	encoder->table = table;
	return encoder;
}

void
encoder_free(struct encoder *encoder)
{
	if (encoder == NULL)
		return;
	free(encoder->slots);
	free(encoder);
}

/* ---- how the values come */

static bool
whole_form(const MYSQL_FIELD *field, enum form *ret)
{
	bool plus = (field->flags & UNSIGNED_FLAG) != 0;

	switch (field->type) {
	case MYSQL_TYPE_TINY:
		*ret = plus ? FORM_U8 : FORM_I8;
		return true;
	case MYSQL_TYPE_SHORT:
	case MYSQL_TYPE_YEAR:
		*ret = plus ? FORM_U16 : FORM_I16;
		return true;
	case MYSQL_TYPE_INT24:
	case MYSQL_TYPE_LONG:
		*ret = plus ? FORM_U32 : FORM_I32;
		return true;
	case MYSQL_TYPE_LONGLONG:
		*ret = plus ? FORM_U64 : FORM_I64;
		return true;
	default:
		return false;
	}
}

/* All that comes as a length and so many bytes, but for decimals. */
static bool
is_bytes(enum enum_field_types type)
{
	switch (type) {
	case MYSQL_TYPE_STRING:
	case MYSQL_TYPE_VARCHAR:
	case MYSQL_TYPE_VAR_STRING:
	case MYSQL_TYPE_ENUM:
	case MYSQL_TYPE_SET:
	case MYSQL_TYPE_TINY_BLOB:
	case MYSQL_TYPE_MEDIUM_BLOB:
	case MYSQL_TYPE_LONG_BLOB:
	case MYSQL_TYPE_BLOB:
	case MYSQL_TYPE_BIT:
	case MYSQL_TYPE_JSON:
	case MYSQL_TYPE_GEOMETRY:
		return true;
	default:
		return false;
	}
}

static bool
find_form(const struct table_column *column, const MYSQL_FIELD *field, enum form *ret)
{
	enum enum_field_types type = field->type;

	switch (column->carrier) {
	case CARRIER_INT:
	case CARRIER_LONG:
	case CARRIER_NUMBER_OF:
		return whole_form(field, ret);
	case CARRIER_DECIMAL:
		*ret = type == MYSQL_TYPE_LONGLONG ? FORM_BIG : FORM_DECIMAL;
		return type == MYSQL_TYPE_NEWDECIMAL || (type == MYSQL_TYPE_LONGLONG &&
		    (field->flags & UNSIGNED_FLAG) != 0 && column->scale == 0);
	case CARRIER_FLOAT:
		*ret = FORM_FLOAT;
		return type == MYSQL_TYPE_FLOAT;
	case CARRIER_DOUBLE:
		*ret = FORM_DOUBLE;
		return type == MYSQL_TYPE_DOUBLE;
	case CARRIER_DATE:
		*ret = FORM_DATE;
		return type == MYSQL_TYPE_DATE || type == MYSQL_TYPE_NEWDATE;
	case CARRIER_TIME:
		*ret = FORM_TIME;
		return type == MYSQL_TYPE_TIME;
	case CARRIER_DATETIME:
	case CARRIER_TIMESTAMP:
		*ret = FORM_DATETIME;
		return type == MYSQL_TYPE_DATETIME || type == MYSQL_TYPE_TIMESTAMP;
	case CARRIER_TEXT:
		*ret = FORM_TEXT;
		return is_bytes(type);
	case CARRIER_RECODED:
		*ret = FORM_RECODED;
		return is_bytes(type);
	case CARRIER_PLAIN:
	case CARRIER_BYTES:
	case CARRIER_COUNT:
		break;
	}
	*ret = FORM_BYTES;
	return is_bytes(type);
}

static bool
fill_slot(struct slot *slot, const struct table_column *column, const MYSQL_FIELD *field)
{
	static const uint8_t widths[] = { [FORM_I8] = 1, [FORM_U8] = 1, [FORM_I16] = 2,
		[FORM_U16] = 2, [FORM_I32] = 4, [FORM_U32] = 4, [FORM_I64] = 8, [FORM_U64] = 8,
		[FORM_BIG] = 8, [FORM_FLOAT] = 4, [FORM_DOUBLE] = 8, [FORM_RAW] = 0 };
	enum form form;

	if (!find_form(column, field, &form))
		return false;
	slot->form = (uint8_t)form;
	slot->width = widths[form];
	slot->nullable = column->nullable;
	slot->in_key = column->in_key;
	slot->is_int = column->carrier != CARRIER_LONG;
	slot->scale = (uint8_t)column->scale;
	slot->decimals = field->decimals <= 6 ? (uint8_t)field->decimals : 0;
	slot->column = column;
	return true;
}

int
encoder_describe(struct encoder *encoder, const MYSQL_FIELD *fields, size_t count,
    struct error *err)
{
	const struct table *table = encoder->table;

	if (count != table->select_count)
		return error_set(err, ERROR_DATABASE, "the server sends %zu values a row, not %u",
		    count, table->select_count);
	free(encoder->slots);
	encoder->slots = mem_calloc(count + 1, sizeof(*encoder->slots));
	for (size_t i = 0; i < table->column_count; i++) {
		const struct table_column *column = &table->columns[i];
		const MYSQL_FIELD *field = &fields[column->select_at];
		struct slot *slot = &encoder->slots[column->select_at];

		if (!fill_slot(slot, column, field))
			return error_set(err, ERROR_DATABASE,
			    "the server sends column '%.100s' (%.100s) as type %d", column->name,
			    column->type, (int)field->type);
		if (slot->form != FORM_RECODED)
			continue;
		slot[1] = slot[0];
		slot[1].form = FORM_RAW;
		if (!is_bytes(field[1].type))
			return error_set(err, ERROR_DATABASE,
			    "the server sends the bytes of column '%.100s' as type %d",
			    column->name, (int)field[1].type);
	}
	return 0;
}

/* ---- what they become; each returns the end of what it wrote, or NULL */

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

static inline uint8_t *
put_bytes(uint8_t *p, const void *data, size_t len)
{
	p = put_long(p, (int64_t)len);
	memcpy(p, data, len);
	return p + len;
}

/* The branch before a value of a column that has one type only. */
static inline uint8_t *
put_there(uint8_t *p, const struct slot *slot)
{
	return slot->nullable ? put_branch(p, 1) : p;
}

/* Of Avro's int no more than 32 bits. */
static inline uint8_t *
put_whole(uint8_t *p, const struct slot *slot, int64_t v)
{
	if (slot->is_int && (v < INT32_MIN || v > INT32_MAX))
		return NULL;
	return put_long(put_there(p, slot), v);
}

static uint8_t *
put_decimal(uint8_t *p, const struct slot *slot, const uint8_t *text, size_t len)
{
	uint8_t decimal[DECIMAL_BYTES_MAX];
	size_t n = decimal_encode((const char *)text, len, slot->scale, decimal);

	return n == 0 ? NULL : put_bytes(put_there(p, slot), decimal, n);
}

/* The bytes of a number without a sign, high one first, the highest bit of the first not set. */
static uint8_t *
put_big(uint8_t *p, const struct slot *slot, uint64_t v)
{
	uint8_t bytes[9];
	size_t skip = 0;

	bytes[0] = 0;
	for (size_t i = 0; i < 8; i++)
		bytes[8 - i] = (uint8_t)(v >> (8 * i));
	while (skip < 8 && bytes[skip] == 0 && (bytes[skip + 1] & 0x80) == 0)
		skip++;
	return put_bytes(put_there(p, slot), bytes + skip, sizeof(bytes) - skip);
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

static uint8_t *
put_text(uint8_t *p, const struct slot *slot, const uint8_t *text, size_t len)
{
	unsigned branch = slot->nullable ? 1 : 0;

	if (!is_utf8((const char *)text, len))
		branch++;
	return put_bytes(put_branch(p, branch), text, len);
}

/* ---- moments */

struct moment {
	unsigned year, month, day, hour, minute, second, micros;
};

static bool
is_day(const struct moment *moment)
{
	static const uint8_t days_in[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned year = moment->year, last;

	if (moment->month - 1 >= 12 || year > 9999)
		return false;
	last = days_in[moment->month - 1];
	if (moment->month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		last = 29;
	return moment->day - 1 < last;
}

/* As the server prints it: what is no moment of Avro's stands as this text. */
static uint8_t *
put_odd(uint8_t *p, const struct slot *slot, const char *begin, const struct moment *moment)
{
	char text[VALUE_ROOM / 2];
	int n = snprintf(text, sizeof(text), "%s", begin);

	if (slot->form != FORM_DATE)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02u:%02u:%02u", moment->hour,
		    moment->minute, moment->second);
	if (slot->form != FORM_DATE && slot->decimals > 0) {
		/* All six digits, and then only the column's. */
		n += snprintf(text + n, sizeof(text) - (size_t)n, ".%06u", moment->micros);
		n -= 6 - (int)slot->decimals;
	}
	p = put_branch(p, slot->nullable ? 2 : 1);
	return put_bytes(p, text, (size_t)n);
}

static inline uint16_t
load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint32_t
load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static int64_t
micros_of_day(const struct moment *moment)
{
	return ((int64_t)moment->hour * 3600 + moment->minute * 60 + moment->second) * 1000000 +
	    moment->micros;
}

/* 0, 4, 7 or 11 bytes: what is left away is 0. */
static uint8_t *
put_date(uint8_t *p, const struct slot *slot, const uint8_t *v, size_t len)
{
	struct moment moment = { 0, 0, 0, 0, 0, 0, 0 };
	char begin[24];
	int64_t value;

	if (len != 0 && len != 4 && len != 7 && len != 11)
		return NULL;
	if (len >= 4) {
		moment.year = load16(v);
		moment.month = v[2];
		moment.day = v[3];
	}
	if (len >= 7) {
		moment.hour = v[4];
		moment.minute = v[5];
		moment.second = v[6];
	}
	if (len == 11)
		moment.micros = load32(v + 7);
	if (moment.year > 9999 || moment.hour > 23 || moment.minute > 59 || moment.second > 59 ||
	    moment.micros > 999999 || (slot->form == FORM_DATE && micros_of_day(&moment) != 0))
		return NULL;
	if (is_day(&moment)) {
		value = days_of_date(moment.year, moment.month, moment.day);
		if (slot->form == FORM_DATETIME)
			value = value * MICROS_PER_DAY + micros_of_day(&moment);
		return put_long(put_branch(p, slot->nullable ? 1 : 0), value);
	}
	snprintf(begin, sizeof(begin), "%04u-%02u-%02u%s", moment.year, moment.month, moment.day,
	    slot->form == FORM_DATETIME ? " " : "");
	return put_odd(p, slot, begin, &moment);
}

/* 0, 8 or 12 bytes: sign, days, hours, minutes, seconds, microseconds. */
static uint8_t *
put_time(uint8_t *p, const struct slot *slot, const uint8_t *v, size_t len)
{
	struct moment moment = { 0, 0, 0, 0, 0, 0, 0 };
	bool negative = false;

	if (len != 0 && len != 8 && len != 12)
		return NULL;
	if (len >= 8) {
		unsigned days = load32(v + 1);

		if (days > 100 || v[5] > 23)
			return NULL;
		negative = v[0] != 0;
		moment.hour = days * 24 + v[5];
		moment.minute = v[6];
		moment.second = v[7];
	}
	if (len == 12)
		moment.micros = load32(v + 8);
	if (moment.minute > 59 || moment.second > 59 || moment.micros > 999999)
		return NULL;
	if (negative || moment.hour > 23)
		return put_odd(p, slot, negative ? "-" : "", &moment);
	return put_long(put_branch(p, slot->nullable ? 1 : 0), micros_of_day(&moment));
}

/* ---- rows */

/* A length and what it says; false if that is beyond the end.  *value moves to the bytes. */
static bool
take_length(uint8_t **value, const uint8_t *end, size_t *ret)
{
	const uint8_t *p = *value;
	size_t width, left = (size_t)(end - p);
	uint64_t len;

	if (left < 1)
		return false;
	width = p[0] < 251 ? 0 : p[0] == 252 ? 2 : p[0] == 253 ? 3 : 8;
	if (p[0] == 251 || p[0] == 255 || left < 1 + width)
		return false;
	len = width == 0 ? p[0] : width == 2 ? load16(p + 1) : width == 3 ?
	    (uint64_t)load16(p + 1) | (uint64_t)p[3] << 16 : load64(p + 1);
	if (len > left - 1 - width)
		return false;
	*value += 1 + width;
	*ret = (size_t)len;
	return true;
}

static uint8_t *
put_fixed(uint8_t *p, const struct slot *slot, const uint8_t *v)
{
	switch (slot->form) {
	case FORM_I8:
		return put_whole(p, slot, (int8_t)v[0]);
	case FORM_U8:
		return put_whole(p, slot, v[0]);
	case FORM_I16:
		return put_whole(p, slot, (int16_t)load16(v));
	case FORM_U16:
		return put_whole(p, slot, load16(v));
	case FORM_I32:
		return put_whole(p, slot, (int32_t)load32(v));
	case FORM_U32:
		return put_whole(p, slot, load32(v));
	case FORM_I64:
		return put_whole(p, slot, (int64_t)load64(v));
	case FORM_U64:
		return (v[7] & 0x80) != 0 ? NULL : put_whole(p, slot, (int64_t)load64(v));
	case FORM_BIG:
		return put_big(p, slot, load64(v));
	default:
		/* Little-endian, as Avro wants them. */
		p = put_there(p, slot);
		memcpy(p, v, slot->width);
		return p + slot->width;
	}
}

static uint8_t *
put_counted(struct encoder *encoder, const struct slot *slot, uint8_t *p, const uint8_t *v,
    size_t len)
{
	switch (slot->form) {
	case FORM_DECIMAL:
		return put_decimal(p, slot, v, len);
	case FORM_DATE:
	case FORM_DATETIME:
		return put_date(p, slot, v, len);
	case FORM_TIME:
		return put_time(p, slot, v, len);
	case FORM_TEXT:
		return put_text(p, slot, v, len);
	case FORM_RECODED:
		/* Whether the text will do is told by what follows it. */
		encoder->text = v;
		encoder->text_len = len;
		return p;
	case FORM_RAW:
		if (encoder->text == NULL)
			return NULL;
		return put_bytes(put_branch(p, slot->nullable ? 2 : 1), v, len);
	default:
		return put_bytes(put_there(p, slot), v, len);
	}
}

static uint8_t *
put_null(struct encoder *encoder, const struct slot *slot, uint8_t *p)
{
	if (slot->form == FORM_RECODED) {
		encoder->text = NULL;
		return p;
	}
	if (slot->form == FORM_RAW && encoder->text != NULL)
		return put_text(p, slot, encoder->text, encoder->text_len);
	return slot->nullable ? put_branch(p, 0) : NULL;
}

static inline uint8_t *
room(struct buffer *out, size_t more)
{
	return out->cap - out->len >= more ? out->data + out->len : buffer_reserve(out, more);
}

void
encoder_value(struct encoder *encoder, size_t i, uint8_t **value, const uint8_t *end,
    struct buffer *out)
{
	const struct slot *slot = &encoder->slots[i];
	size_t width = slot->width, len;
	uint8_t *p, *begin;

	/* Where the next value begins is not known once one of the row is wrong. */
	if (encoder->bad != NULL)
		return;
	if (value == NULL) {
		begin = room(out, VALUE_ROOM + encoder->text_len);
		p = put_null(encoder, slot, begin);
	} else if (width != 0) {
		begin = room(out, VALUE_ROOM);
		p = (size_t)(end - *value) < width ? NULL : put_fixed(begin, slot, *value);
		*value += width;
	} else if (take_length(value, end, &len)) {
		begin = room(out, VALUE_ROOM + len);
		p = put_counted(encoder, slot, begin, *value, len);
		*value += len;
	} else {
		begin = p = NULL;
	}
	if (p == NULL) {
		encoder->bad = slot->column;
		return;
	}
	if (slot->in_key && p != begin)
		encoder->hash = XXH3_64bits_withSeed(begin, (size_t)(p - begin), encoder->hash);
	out->len += (size_t)(p - begin);
}

int
encoder_end_row(struct encoder *encoder, uint64_t *ret_hash, struct error *err)
{
	const struct table_column *bad = encoder->bad;

	*ret_hash = encoder->hash;
	encoder->hash = 0;
	encoder->bad = NULL;
	encoder->text = NULL;
	encoder->text_len = 0;
	if (bad == NULL)
		return 0;
	return error_set(err, ERROR_DATABASE,
	    "the server sent a value of column '%.100s' that is no %.100s", bad->name, bad->type);
}
