/*
 * Rows into an Avro container and out again: every carrier at its extremes, blocks cut by content,
 * files of other programs, damaged files.
 */
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/tables/container.h"
#include "agent/tables/ocf.h"
#include "shared/mem.h"

/* A table of one column per entry: data type, column type, character set, may be NULL. */
struct spec {
	const char *data_type, *type, *charset;
	bool nullable;
	unsigned precision, scale;
};

static struct table *
make_table(const struct spec *specs, size_t count)
{
	struct table *table = MEM_NEW(struct table);
	struct error err = ERROR_INIT;
	struct buffer sql = BUFFER_INIT;

	table->database = mem_strdup("shop");
	table->name = mem_strdup("t");
	table->create = mem_strdup("CREATE TABLE `t` (...)");
	table->columns = mem_calloc(count, sizeof(*table->columns));
	table->column_count = count;
	for (size_t i = 0; i < count; i++) {
		struct table_column *column = &table->columns[i];

		column->name = mem_printf("c%zu", i);
		column->data_type = mem_strdup(specs[i].data_type);
		column->type = mem_strdup(specs[i].type);
		column->charset = specs[i].charset == NULL ? NULL : mem_strdup(specs[i].charset);
		column->nullable = specs[i].nullable;
		column->precision = specs[i].precision;
		column->scale = specs[i].scale;
		assert_int_equal(table_column_carry(column, &err), 0);
	}
	table_name_fields(table->columns, count);
	table_select(table, &sql);
	buffer_done(&sql);
	return table;
}

static int
into_buffer(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	buffer_put(arg, data, len);
	return 0;
}

struct bytes {
	const uint8_t *data;
	size_t len, at, step;
};

static int64_t
from_bytes(void *arg, void *buf, size_t len, struct error *err)
{
	struct bytes *bytes = arg;
	size_t n = bytes->len - bytes->at;

	(void)err;
	if (n > len)
		n = len;
	if (bytes->step != 0 && n > bytes->step)
		n = bytes->step;
	if (n > 0)
		memcpy(buf, bytes->data + bytes->at, n);
	bytes->at += n;
	return (int64_t)n;
}

/* ---- rows as the server sends them */

/* How it describes a column of the kinds that are used here. */
static MYSQL_FIELD
field_of(const struct table_column *column)
{
	static const struct {
		const char *data_type;
		enum enum_field_types type;
	} types[] = { { "tinyint", MYSQL_TYPE_TINY }, { "smallint", MYSQL_TYPE_SHORT },
		{ "mediumint", MYSQL_TYPE_INT24 }, { "int", MYSQL_TYPE_LONG },
		{ "bigint", MYSQL_TYPE_LONGLONG }, { "year", MYSQL_TYPE_YEAR },
		{ "decimal", MYSQL_TYPE_NEWDECIMAL }, { "float", MYSQL_TYPE_FLOAT },
		{ "double", MYSQL_TYPE_DOUBLE }, { "date", MYSQL_TYPE_DATE },
		{ "time", MYSQL_TYPE_TIME }, { "datetime", MYSQL_TYPE_DATETIME },
		{ "timestamp", MYSQL_TYPE_TIMESTAMP }, { "blob", MYSQL_TYPE_BLOB },
		{ "varchar", MYSQL_TYPE_VAR_STRING }, { "text", MYSQL_TYPE_BLOB } };
	const char *digits = strchr(column->type, '(');
	MYSQL_FIELD field;

	memset(&field, 0, sizeof(field));
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].data_type, column->data_type) == 0)
			field.type = types[i].type;
	assert_int_not_equal(field.type, MYSQL_TYPE_DECIMAL);
	if (strstr(column->type, "unsigned") != NULL || column->is_year)
		field.flags = UNSIGNED_FLAG;
	if (strstr(column->data_type, "time") != NULL && digits != NULL)
		field.decimals = (unsigned)atoi(digits + 1);
	return field;
}

static struct container *
begin(const struct table *table, struct buffer *body)
{
	struct container *container = container_begin(table, into_buffer, body);
	struct error err = ERROR_INIT;
	MYSQL_FIELD fields[16];

	assert_true(table->select_count <= ARRAY_LEN(fields));
	for (size_t i = 0; i < table->column_count; i++) {
		unsigned at = table->columns[i].select_at;

		fields[at] = field_of(&table->columns[i]);
		if (table->columns[i].carrier == CARRIER_RECODED)
			fields[at + 1] = fields[at];
	}
	assert_int_equal(container_describe(container, fields, table->select_count, &err), 0);
	return container;
}

static void
put_wire_bytes(struct buffer *out, const char *data, size_t len)
{
	if (len < 251) {
		buffer_put_u8(out, (uint8_t)len);
	} else if (len < 65536) {
		buffer_put_u8(out, 252);
		buffer_put_u16(out, (uint16_t)len);
	} else {
		buffer_put_u8(out, 253);
		buffer_put_u16(out, (uint16_t)len);
		buffer_put_u8(out, (uint8_t)(len >> 16));
	}
	buffer_put(out, data, len);
}

/* A date and a time of day, as short as the server makes them. */
static void
put_wire_moment(struct buffer *out, const char *text)
{
	unsigned year, month, day, hour = 0, minute = 0, second = 0, micros = 0;
	uint8_t len;

	assert_true(sscanf(text, "%u-%u-%u %u:%u:%u.%u", &year, &month, &day, &hour, &minute,
	    &second, &micros) >= 3);
	if (strlen(text) > 20)
		for (size_t digits = strlen(text) - 20; digits < 6; digits++)
			micros *= 10;
	len = micros != 0 ? 11 : hour + minute + second != 0 ? 7 :
	    year + month + day != 0 ? 4 : 0;
	buffer_put_u8(out, len);
	if (len >= 4) {
		buffer_put_u16(out, (uint16_t)year);
		buffer_put_u8(out, (uint8_t)month);
		buffer_put_u8(out, (uint8_t)day);
	}
	if (len >= 7) {
		buffer_put_u8(out, (uint8_t)hour);
		buffer_put_u8(out, (uint8_t)minute);
		buffer_put_u8(out, (uint8_t)second);
	}
	if (len == 11)
		buffer_put_u32(out, micros);
}

static void
put_wire_time(struct buffer *out, const char *text)
{
	unsigned hour, minute, second, micros = 0;
	bool negative = text[0] == '-';
	const char *point = strchr(text, '.');

	assert_true(sscanf(text + negative, "%u:%u:%u", &hour, &minute, &second) == 3);
	if (point != NULL) {
		micros = (unsigned)atoi(point + 1);
		for (size_t digits = strlen(point + 1); digits < 6; digits++)
			micros *= 10;
	}
	if (!negative && hour + minute + second + micros == 0) {
		buffer_put_u8(out, 0);
		return;
	}
	buffer_put_u8(out, micros != 0 ? 12 : 8);
	buffer_put_u8(out, negative);
	buffer_put_u32(out, hour / 24);
	buffer_put_u8(out, (uint8_t)(hour % 24));
	buffer_put_u8(out, (uint8_t)minute);
	buffer_put_u8(out, (uint8_t)second);
	if (micros != 0)
		buffer_put_u32(out, micros);
}

static void
put_wire_number(struct buffer *out, const MYSQL_FIELD *field, const char *text)
{
	uint64_t v = text[0] == '-' ? (uint64_t)strtoll(text, NULL, 10) :
	    strtoull(text, NULL, 10);
	double d = strtod(text, NULL);
	float f = (float)d;
	uint32_t bits;

	switch (field->type) {
	case MYSQL_TYPE_TINY:
		buffer_put_u8(out, (uint8_t)v);
		return;
	case MYSQL_TYPE_SHORT:
	case MYSQL_TYPE_YEAR:
		buffer_put_u16(out, (uint16_t)v);
		return;
	case MYSQL_TYPE_FLOAT:
		memcpy(&bits, &f, sizeof(bits));
		buffer_put_u32(out, bits);
		return;
	case MYSQL_TYPE_DOUBLE:
		memcpy(&v, &d, sizeof(v));
		buffer_put_u64(out, v);
		return;
	case MYSQL_TYPE_LONGLONG:
		buffer_put_u64(out, v);
		return;
	default:
		buffer_put_u32(out, (uint32_t)v);
		return;
	}
}

static void
put_wire(struct buffer *out, const MYSQL_FIELD *field, const char *text)
{
	switch (field->type) {
	case MYSQL_TYPE_DATE:
	case MYSQL_TYPE_DATETIME:
	case MYSQL_TYPE_TIMESTAMP:
		put_wire_moment(out, text);
		return;
	case MYSQL_TYPE_TIME:
		put_wire_time(out, text);
		return;
	case MYSQL_TYPE_NEWDECIMAL:
	case MYSQL_TYPE_VAR_STRING:
	case MYSQL_TYPE_BLOB:
		put_wire_bytes(out, text, strlen(text));
		return;
	default:
		put_wire_number(out, field, text);
		return;
	}
}

/* One value, whose bytes end exactly where the memory does. */
static void
give(struct container *container, size_t i, const void *data, size_t len)
{
	uint8_t *copy = mem_realloc(NULL, len > 0 ? len : 1, 1), *value = copy;

	if (len > 0)
		memcpy(copy, data, len);
	container_value(container, i, &value, copy + len);
	free(copy);
}

/* The values of one row, as text. */
static int
try_row(struct container *container, const struct table *table, const char *const *values,
    struct error *err)
{
	struct buffer row = BUFFER_INIT;
	uint8_t *value;
	int rc;

	for (size_t i = 0; i < table->column_count; i++) {
		const struct table_column *column = &table->columns[i];
		MYSQL_FIELD field = field_of(column);
		bool two = column->carrier == CARRIER_RECODED;

		for (size_t k = column->select_at; k <= column->select_at + two; k++) {
			if (values[k] != NULL)
				put_wire(&row, &field, values[k]);
		}
	}
	value = row.data;
	for (size_t i = 0; i < table->select_count; i++)
		container_value(container, i, values[i] == NULL ? NULL : &value,
		    row.data + row.len);
	rc = container_row(container, err);
	/* All of it was taken, and no more. */
	if (rc == 0)
		assert_ptr_equal(value, row.data + row.len);
	buffer_done(&row);
	return rc;
}

static void
put(struct container *container, const struct table *table, const char *const *values)
{
	struct error err = ERROR_INIT;

	assert_int_equal(try_row(container, table, values, &err), 0);
}

/* The file as it would be stored. */
static void
finish(const struct table *table, struct container *container, struct buffer *body,
    struct buffer *ret)
{
	struct error err = ERROR_INIT;

	assert_int_equal(container_end(container, &err), 0);
	container_head(table, container_sum(container), "10.11.6-MariaDB", ret);
	buffer_put(ret, body->data, body->len);
}

static void
numbers_come_back_at_their_limits(void **state)
{
	static const struct spec specs[] = { { "tinyint", "tinyint(4)", NULL, false, 3, 0 },
		{ "int", "int(10) unsigned", NULL, false, 10, 0 },
		{ "bigint", "bigint(20)", NULL, true, 19, 0 },
		{ "bigint", "bigint(20) unsigned", NULL, true, 20, 0 },
		{ "decimal", "decimal(65,30)", NULL, true, 65, 30 },
		{ "double", "double", NULL, true, 22, 0 },
		{ "float", "float", NULL, true, 12, 0 } };
	static const char *rows[][7] = {
		{ "-128", "4294967295", "-9223372036854775808", "18446744073709551615",
		  "99999999999999999999999999999999999.999999999999999999999999999999",
		  "1.7976931348623157e308", "0.10000000149011612" },
		{ "127", "0", "9223372036854775807", "0",
		  "-99999999999999999999999999999999999.999999999999999999999999999999",
		  "-2.2250738585072014e-308", "-3.4028234663852886e38" },
		{ "0", "1", NULL, NULL, NULL, NULL, NULL },
	};
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct buffer body = BUFFER_INIT, file = BUFFER_INIT;
	struct container *container = begin(table, &body);
	struct error err = ERROR_INIT;
	const struct ocf_value *v;
	struct row_sum sum = { 0, 0, 0 };
	char text[DECIMAL_TEXT_SIZE], sum_text[ROW_SUM_TEXT_SIZE];
	const uint8_t *row;
	struct bytes bytes;
	struct ocf *ocf;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		put(container, table, rows[i]);
	finish(table, container, &body, &file);
	bytes = (struct bytes){ file.data, file.len, 0, 7 };
	assert_int_equal(ocf_open(from_bytes, &bytes, &ocf, &err), 0);
	assert_string_equal(ocf_meta(ocf, "holdfast.rows", NULL), "00000000000000000003");
	assert_string_equal(ocf_meta(ocf, "holdfast.table", NULL), "t");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 1);
		row_sum_add(&sum, row, len);
		assert_int_equal(v[0].i, i == 0 ? -128 : 127);
		assert_true(v[1].i == (i == 0 ? INT64_C(4294967295) : 0));
		assert_true(v[2].i == (i == 0 ? INT64_MIN : INT64_MAX));
		assert_int_equal(v[3].type->logical, OCF_DECIMAL);
		assert_true(decimal_decode(v[3].data, v[3].len, 0, text) > 0);
		assert_string_equal(text, rows[i][3]);
		assert_true(decimal_decode(v[4].data, v[4].len, 30, text) > 0);
		assert_string_equal(text, rows[i][4]);
		assert_true(v[5].d == strtod(rows[i][5], NULL));
		assert_true(v[6].d == strtod(rows[i][6], NULL));
	}
	assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 1);
	row_sum_add(&sum, row, len);
	for (size_t i = 2; i < 7; i++)
		assert_int_equal(v[i].type->kind, OCF_NULL);
	assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 0);
	row_sum_text(&sum, sum_text);
	assert_string_equal(ocf_meta(ocf, "holdfast.checksum", NULL), sum_text);
	ocf_free(ocf);
	container_free(container);
	buffer_done(&body);
	buffer_done(&file);
	table_free(table);
}

static void
moments_are_numbers_and_impossible_ones_texts(void **state)
{
	static const struct spec specs[] = { { "date", "date", NULL, true, 0, 0 },
		{ "time", "time(6)", NULL, false, 0, 0 },
		{ "datetime", "datetime(6)", NULL, false, 0, 0 },
		{ "timestamp", "timestamp(3)", NULL, true, 0, 0 },
		{ "year", "year(4)", NULL, false, 0, 0 } };
	static const char *good[] = { "2024-02-29", "23:59:59.999999", "9999-12-31 23:59:59.999999",
		"2038-01-19 03:14:07.123", "0000" };
	static const char *odd[] = { "2023-02-29", "-838:59:59.999999", "0000-00-00 00:00:00.000000",
		"0000-00-00 00:00:00.000", "2155" };
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct buffer body = BUFFER_INIT, file = BUFFER_INIT;
	struct container *container = begin(table, &body);
	struct error err = ERROR_INIT;
	const struct ocf_value *v;
	const uint8_t *row;
	struct bytes bytes;
	struct ocf *ocf;
	size_t len;

	(void)state;
	put(container, table, good);
	put(container, table, odd);
	finish(table, container, &body, &file);
	bytes = (struct bytes){ file.data, file.len, 0, 0 };
	assert_int_equal(ocf_open(from_bytes, &bytes, &ocf, &err), 0);
	assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 1);
	assert_int_equal(v[0].type->logical, OCF_DATE);
	assert_int_equal(v[0].i, 19782); /* date -d 2024-02-29 +%s / 86400 */
	assert_int_equal(v[1].type->logical, OCF_TIME_MICROS);
	assert_true(v[1].i == INT64_C(86399999999));
	assert_true(v[2].i == INT64_C(253402300799999999));
	assert_int_equal(v[3].type->logical, OCF_TIMESTAMP_MICROS);
	assert_true(v[3].i == INT64_C(2147483647123000));
	assert_int_equal(v[4].i, 0);
	assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 1);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(v[i].type->kind, OCF_STRING);
		assert_int_equal(v[i].len, strlen(odd[i]));
		assert_memory_equal(v[i].data, odd[i], v[i].len);
	}
	assert_int_equal(v[4].i, 2155);
	ocf_free(ocf);
	container_free(container);
	buffer_done(&body);
	buffer_done(&file);
	table_free(table);
}

static void
text_that_is_none_becomes_bytes(void **state)
{
	static const struct spec specs[] = { { "varchar", "varchar(9)", "utf8mb4", true, 0, 0 },
		{ "varchar", "varchar(9)", "gbk", false, 0, 0 },
		{ "blob", "blob", NULL, true, 0, 0 } };
	/* The second column has two expressions: the text, and its bytes where they are needed. */
	static const char *rows[][4] = { { "gr\xc3\xbc\xc3\x9f", "\xe4\xbd\xa0", NULL, "\xff\x01" },
		{ "long enough for a word, then \xff", "?", "\x81\x7f", "" },
		{ NULL, "", NULL, NULL } };
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct buffer body = BUFFER_INIT, file = BUFFER_INIT;
	struct container *container = begin(table, &body);
	struct error err = ERROR_INIT;
	const struct ocf_value *v;
	const uint8_t *row;
	struct bytes bytes;
	struct ocf *ocf;
	size_t len;

	(void)state;
	assert_int_equal(table->select_count, 4);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		put(container, table, rows[i]);
	finish(table, container, &body, &file);
	bytes = (struct bytes){ file.data, file.len, 0, 0 };
	assert_int_equal(ocf_open(from_bytes, &bytes, &ocf, &err), 0);
	assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 1);
	assert_int_equal(v[0].type->kind, OCF_STRING);
	assert_int_equal(v[1].type->kind, OCF_STRING);
	assert_memory_equal(v[1].data, "\xe4\xbd\xa0", 3);
	assert_int_equal(v[2].type->kind, OCF_BYTES);
	assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 1);
	assert_int_equal(v[0].type->kind, OCF_BYTES);
	assert_int_equal(v[0].len, 30);
	assert_int_equal(v[1].type->kind, OCF_BYTES);
	assert_memory_equal(v[1].data, "\x81\x7f", 2);
	assert_int_equal(v[2].len, 0);
	assert_int_equal(ocf_next(ocf, &v, &row, &len, &err), 1);
	assert_int_equal(v[0].type->kind, OCF_NULL);
	assert_int_equal(v[1].len, 0);
	ocf_free(ocf);
	container_free(container);
	buffer_done(&body);
	buffer_done(&file);
	table_free(table);
}

static void
a_value_that_its_type_does_not_allow_names_the_column(void **state)
{
	static const struct spec specs[] = { { "int", "int(11)", NULL, false, 10, 0 },
		{ "decimal", "decimal(5,2)", NULL, false, 5, 2 } };
	static const char *const wrong[][2] = { { NULL, "1.00" }, { "1", "1.0" }, { "1", "1e5" },
		{ "1", "-" }, { "1", "" }, { "1", "1,00" }, { "1", NULL } };
	static const char *const right[] = { "-7", "-0.07" };
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct buffer body = BUFFER_INIT;
	struct container *container = begin(table, &body);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(try_row(container, table, wrong[i], &err), -1);
		assert_int_equal(err.code, ERROR_DATABASE);
		assert_non_null(strstr(err.message, i < 1 ? "'c0'" : "'c1'"));
	}
	/* Nothing of them is left. */
	put(container, table, right);
	assert_int_equal(container_sum(container)->rows, 1);
	assert_int_equal(container_end(container, &(struct error)ERROR_INIT), 0);
	assert_memory_equal(body.data, "\x02\x06\x0d\x02\xf9", 5);
	assert_int_equal(body.len, 5 + AVRO_SYNC_SIZE);
	container_free(container);
	buffer_done(&body);
	table_free(table);
}

static void
a_value_that_is_cut_off_or_impossible_is_refused(void **state)
{
	static const struct spec specs[] = { { "datetime", "datetime(6)", NULL, true, 0, 0 },
		{ "time", "time", NULL, true, 0, 0 }, { "blob", "blob", NULL, true, 0, 0 },
		{ "bigint", "bigint(20)", NULL, true, 19, 0 },
		{ "date", "date", NULL, true, 0, 0 } };
	static const struct {
		size_t column, len;
		const char *bytes;
	} cases[] = { { 0, 6, "\x05\xe8\x07\x01\x01\x01" }, /* five bytes */
		{ 0, 7, "\x07\xe8\x07\x01\x01\x01\x01" }, /* seven, of which six are there */
		{ 0, 8, "\x07\xe8\x07\x01\x01\x18\x01\x01" },     /* 24 hours */
		{ 0, 8, "\x07\xe8\x07\x01\x01\x01\x3c\x01" },     /* 60 minutes */
		{ 0, 12, "\x0b\xe8\x07\x01\x01\x01\x01\x01\x40\x42\x0f\0" }, /* a second */
		{ 0, 5, "\x04\x10\x27\x01\x01" },                 /* the year 10000 */
		{ 1, 9, "\x08\0\xff\xff\xff\xff\0\0\0" },         /* days without end */
		{ 1, 9, "\x08\0\0\0\0\0\0\x3c\0" },               /* 60 minutes */
		{ 2, 3, "\x03" "ab" }, { 2, 0, "" }, { 2, 2, "\xfc\x01" },
		{ 2, 5, "\xfe\x01\0\0\0" }, { 2, 9, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff" },
		{ 2, 1, "\xfb" }, { 2, 1, "\xff" }, { 3, 7, "\0\0\0\0\0\0\0" },
		{ 4, 8, "\x07\xe8\x07\x01\x01\x01\x01\x01" } };   /* a date with a time */
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct buffer body = BUFFER_INIT;
	struct container *container = begin(table, &body);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		char name[8];

		for (size_t c = 0; c < ARRAY_LEN(specs); c++)
			if (c == cases[i].column)
				give(container, c, cases[i].bytes, cases[i].len);
			else
				container_value(container, c, NULL, NULL);
		assert_int_equal(container_row(container, &err), -1);
		assert_int_equal(err.code, ERROR_DATABASE);
		snprintf(name, sizeof(name), "'c%zu'", cases[i].column);
		assert_non_null(strstr(err.message, name));
	}
	assert_int_equal(container_sum(container)->rows, 0);
	container_free(container);
	buffer_done(&body);
	table_free(table);
}

static void
a_column_that_comes_as_another_type_is_refused_by_name(void **state)
{
	static const struct spec specs[] = { { "int", "int(11)", NULL, false, 10, 0 },
		{ "varchar", "varchar(9)", "gbk", false, 0, 0 } };
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct container *container = container_begin(table, NULL, NULL);
	MYSQL_FIELD fields[3] = { field_of(&table->columns[0]), field_of(&table->columns[1]),
		field_of(&table->columns[1]) };
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(container_describe(container, fields, 3, &err), 0);
	assert_int_equal(container_describe(container, fields, 2, &err), -1);
	assert_non_null(strstr(err.message, "2 values a row, not 3"));
	fields[2].type = MYSQL_TYPE_LONG;
	assert_int_equal(container_describe(container, fields, 3, &err), -1);
	assert_non_null(strstr(err.message, "the bytes of column 'c1'"));
	fields[0].type = MYSQL_TYPE_VAR_STRING;
	assert_int_equal(container_describe(container, fields, 3, &err), -1);
	assert_int_equal(err.code, ERROR_DATABASE);
	assert_non_null(strstr(err.message, "column 'c0' (int(11)) as type 253"));
	container_free(container);
	table_free(table);
}

/* Of an INT that comes as 64 bits, and of a number without a sign that is beyond Avro's long. */
static void
a_number_beyond_its_type_is_refused(void **state)
{
	static const struct spec specs[] = { { "int", "int(11)", NULL, false, 10, 0 },
		{ "bigint", "bigint(20)", NULL, false, 19, 0 } };
	static const struct {
		uint64_t first, second;
		int rc;
	} cases[] = { { 2147483647, INT64_MAX, 0 }, { 2147483648, 0, -1 },
		{ (uint64_t)INT32_MIN, 0, 0 }, { (uint64_t)INT32_MIN - 1, 0, -1 },
		{ 0, (uint64_t)INT64_MAX + 1, -1 } };
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct container *container = container_begin(table, NULL, NULL);
	MYSQL_FIELD fields[2] = { field_of(&table->columns[1]), field_of(&table->columns[1]) };
	struct error err = ERROR_INIT;

	(void)state;
	fields[1].flags = UNSIGNED_FLAG;
	assert_int_equal(container_describe(container, fields, 2, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		give(container, 0, &cases[i].first, 8);
		give(container, 1, &cases[i].second, 8);
		assert_int_equal(container_row(container, &err), cases[i].rc);
	}
	container_free(container);
	table_free(table);
}

static void
what_cannot_be_carried_is_refused_by_name(void **state)
{
	struct table_column column = { .name = (char *)(uintptr_t)"shape",
		.data_type = (char *)(uintptr_t)"hologram", .type = (char *)(uintptr_t)"hologram" };
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(table_column_carry(&column, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_non_null(strstr(err.message, "'shape'"));
}

static void
an_enum_with_an_empty_member_is_carried_by_number(void **state)
{
	static const struct {
		const char *type;
		enum carrier carrier;
	} cases[] = { { "enum('a','b')", CARRIER_TEXT }, { "enum('','b')", CARRIER_NUMBER_OF },
		{ "enum('a','')", CARRIER_NUMBER_OF }, { "enum('a''','b')", CARRIER_TEXT },
		{ "enum('''','b,')", CARRIER_TEXT }, { "enum('a,''',''',b')", CARRIER_TEXT } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct table_column column = { .name = (char *)(uintptr_t)"e",
			.data_type = (char *)(uintptr_t)"enum",
			.type = (char *)(uintptr_t)cases[i].type,
			.charset = (char *)(uintptr_t)"utf8mb4" };
		struct error err = ERROR_INIT;

		assert_int_equal(table_column_carry(&column, &err), 0);
		assert_int_equal(column.carrier, cases[i].carrier);
	}
}

static void
fields_have_names_that_avro_allows(void **state)
{
	struct table_column columns[] = { { .name = (char *)(uintptr_t)"a b" },
		{ .name = (char *)(uintptr_t)"a-b" }, { .name = (char *)(uintptr_t)"1st" },
		{ .name = (char *)(uintptr_t)"gr\xc3\xb6\xc3\x9f" "e" } };
	static const char *const fields[] = { "a_b", "a_b_2", "_1st", "gr__e" };

	(void)state;
	table_name_fields(columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		assert_string_equal(columns[i].field, fields[i]);
		free(columns[i].field);
	}
}

static void
decimals_are_as_short_as_avro_wants_them(void **state)
{
	static const struct {
		const char *text;
		unsigned scale;
		size_t len;
		const char *bytes;
	} cases[] = { { "0.00", 2, 1, "\0" }, { "1.27", 2, 1, "\x7f" }, { "1.28", 2, 2, "\0\x80" },
		{ "-1.28", 2, 1, "\x80" }, { "-1.29", 2, 2, "\xff\x7f" }, { "-0.01", 2, 1, "\xff" },
		{ "65536", 0, 3, "\x01\0\0" } };
	uint8_t out[DECIMAL_BYTES_MAX];
	char text[DECIMAL_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(decimal_encode(cases[i].text, strlen(cases[i].text),
		    cases[i].scale, out), cases[i].len);
		assert_memory_equal(out, cases[i].bytes, cases[i].len);
		assert_true(decimal_decode(out, cases[i].len, cases[i].scale, text) > 0);
		assert_string_equal(text, cases[i].text);
	}
	memset(out, 0x80, sizeof(out));
	assert_true(decimal_decode(out, sizeof(out), 65, text) > 0);
	assert_int_equal(decimal_decode(out, 0, 0, text), 0);
}

/* ---- content-defined blocks */

#define ROWS 200000u

static void
rows_of(const struct table *table, const bool *dropped, const bool *changed, unsigned inserted,
    struct buffer *body)
{
	struct container *container = begin(table, body);
	struct error err = ERROR_INIT;
	char id[16], text[200];
	const char *values[] = { id, text };

	for (unsigned i = 0; i < ROWS; i++) {
		if (dropped != NULL && dropped[i])
			continue;
		for (unsigned half = 0; half < (i >= 1000 && i < 1000 + inserted ? 2 : 1); half++) {
			snprintf(id, sizeof(id), "%u", 2 * i + half);
			snprintf(text, sizeof(text), "%0100u%s", i * 2654435761u,
			    changed != NULL && changed[i] ? " a longer text than before" : "");
			put(container, table, values);
		}
	}
	assert_int_equal(container_end(container, &err), 0);
	container_free(container);
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The blocks' hashes and lengths; a block begins after each marker. */
static size_t
blocks_of(const struct buffer *body, const uint8_t *sync, uint64_t **ret, size_t *ret_longest)
{
	uint64_t *hashes = NULL;
	size_t count = 0, cap = 0, begin = 0;

	*ret_longest = 0;
	while (begin < body->len) {
		const uint8_t *end = memmem(body->data + begin, body->len - begin, sync, 16);
		size_t len;

		assert_non_null(end);
		len = (size_t)(end - body->data) + 16 - begin;
		MEM_GROW(hashes, count, cap);
		hashes[count++] = XXH3_64bits(body->data + begin, len);
		if (len > *ret_longest)
			*ret_longest = len;
		begin += len;
	}
	*ret = hashes;
	return count;
}

/* How many bytes of b, in blocks, are not in a: in hundredths of percent. */
static unsigned
added(const struct buffer *a, const struct buffer *b, const uint8_t *sync)
{
	uint64_t *old, *blocks;
	size_t longest, old_count = blocks_of(a, sync, &old, &longest);
	size_t count = blocks_of(b, sync, &blocks, &longest), fresh = 0;

	qsort(old, old_count, sizeof(*old), compare_hashes);
	for (size_t i = 0; i < count; i++)
		fresh += bsearch(&blocks[i], old, old_count, sizeof(*old), compare_hashes) == NULL;
	free(old);
	free(blocks);
	return (unsigned)(fresh * 10000 / count);
}

static void
a_change_of_a_hundredth_changes_about_a_hundredth_of_the_blocks(void **state)
{
	static const struct spec specs[] = { { "int", "int(11)", NULL, false, 10, 0 },
		{ "varchar", "varchar(50)", "utf8mb4", false, 0, 0 } };
	struct table *table = make_table(specs, ARRAY_LEN(specs));
	struct buffer first = BUFFER_INIT, second = BUFFER_INIT;
	bool *dropped = mem_calloc(ROWS, sizeof(bool)), *changed = mem_calloc(ROWS, sizeof(bool));
	json_t *schema;
	char *text;
	uint8_t sync[AVRO_SYNC_SIZE];
	uint64_t *hashes;
	size_t count, longest;
	unsigned share;

	(void)state;
	table->columns[0].in_key = true;
	schema = table_schema(table);
	text = json_dumps(schema, JSON_COMPACT);
	container_sync(text, strlen(text), sync);
	rows_of(table, NULL, NULL, 0, &first);
	count = blocks_of(&first, sync, &hashes, &longest);
	/* About 106 bytes a row. */
	assert_in_range(first.len / count, CONTAINER_BLOCK_TARGET / 2,
	    CONTAINER_BLOCK_TARGET * 2);
	assert_true(longest < CONTAINER_BLOCK_MAX + 1000);
	free(hashes);
	/* The same rows are the same bytes. */
	rows_of(table, NULL, NULL, 0, &second);
	assert_int_equal(second.len, first.len);
	assert_memory_equal(second.data, first.data, first.len);
	/* One in a hundred, in one place each: changed, inserted, deleted. */
	buffer_clear(&second);
	for (unsigned i = 0; i < ROWS / 300; i++) {
		changed[70000 + i] = true;
		dropped[140000 + i] = true;
	}
	rows_of(table, dropped, changed, ROWS / 300, &second);
	share = added(&first, &second, sync);
	assert_in_range(share, 1, 300);
	free(text);
	json_decref(schema);
	free(dropped);
	free(changed);
	buffer_done(&first);
	buffer_done(&second);
	table_free(table);
}

/* ---- files of other programs, and broken ones */

/* A file with the schema that the ancestor wrote, its block compressed as codec says. */
static void
foreign_file(const char *codec, const char *schema, const void *block, size_t len, int64_t rows,
    struct buffer *out)
{
	static const uint8_t sync[16] = { 's', 'y', 'n', 'c' };

	buffer_put(out, "Obj\1", 4);
	/* A negative count with the block's length, as fastavro does not but may. */
	buffer_put_signed(out, -2);
	buffer_put_signed(out, (int64_t)(11 + strlen(schema) + 10 + strlen(codec) + 5));
	buffer_put_signed(out, 11);
	buffer_put_text(out, "avro.schema");
	buffer_put_signed(out, (int64_t)strlen(schema));
	buffer_put_text(out, schema);
	buffer_put_signed(out, 10);
	buffer_put_text(out, "avro.codec");
	buffer_put_signed(out, (int64_t)strlen(codec));
	buffer_put_text(out, codec);
	buffer_put_signed(out, 0);
	buffer_put(out, sync, 16);
	buffer_put_signed(out, rows);
	buffer_put_signed(out, (int64_t)len);
	buffer_put(out, block, len);
	buffer_put(out, sync, 16);
}

static const char plain_schema[] = "{\"type\":\"record\",\"name\":\"Root\",\"fields\":["
    "{\"name\":\"id\",\"type\":[\"null\",\"int\"]},{\"name\":\"name\",\"type\":[\"null\","
    "\"string\"]},{\"name\":\"ok\",\"type\":\"boolean\"},{\"name\":\"w\",\"type\":\"float\"}]}";
static const uint8_t plain_rows[] = { 2, 84, 2, 6, 'A', 'd', 'a', 1, 0, 0, 0x80, 0x3f,
	2, 1, 0, 0, 0, 0, 0, 0xc0 };

static int
read_all(const void *data, size_t len, unsigned *ret_rows, struct error *err)
{
	struct bytes bytes = { data, len, 0, 3 };
	const struct ocf_value *values;
	const uint8_t *row;
	struct ocf *ocf;
	size_t n;
	int rc;

	*ret_rows = 0;
	if (ocf_open(from_bytes, &bytes, &ocf, err) != 0)
		return -1;
	while ((rc = ocf_next(ocf, &values, &row, &n, err)) == 1)
		(*ret_rows)++;
	ocf_free(ocf);
	return rc;
}

/* As Avro has it: a block of snappy's, then the CRC-32 of what it holds, high byte first. */
static size_t
snap(const void *data, size_t len, uint8_t *out, size_t room)
{
	uint32_t crc = (uint32_t)crc32(0, data, (uInt)len);

	assert_int_equal(snappy_compress(data, len, (char *)out, &room), SNAPPY_OK);
	for (unsigned i = 0; i < 4; i++)
		out[room + i] = (uint8_t)(crc >> (24 - 8 * i));
	return room + 4;
}

static void
files_of_other_programs_are_read_with_each_codec(void **state)
{
	uint8_t packed[256];
	size_t packed_len;
	unsigned rows;

	(void)state;
	for (unsigned codec = 0; codec < 4; codec++) {
		static const char *const words[] = { "null", "deflate", "zstandard", "snappy" };
		struct buffer file = BUFFER_INIT;
		struct error err = ERROR_INIT;
		z_stream z = { .next_in = (Bytef *)(uintptr_t)plain_rows,
			.avail_in = sizeof(plain_rows), .next_out = packed,
			.avail_out = sizeof(packed) };

		memcpy(packed, plain_rows, sizeof(plain_rows));
		packed_len = sizeof(plain_rows);
		if (codec == 1) {
			assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
			assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
			packed_len = z.total_out;
			deflateEnd(&z);
		} else if (codec == 2) {
			packed_len = ZSTD_compress(packed, sizeof(packed), plain_rows,
			    sizeof(plain_rows), 3);
		} else if (codec == 3) {
			packed_len = snap(plain_rows, sizeof(plain_rows), packed, sizeof(packed));
		}
		foreign_file(words[codec], plain_schema, packed, packed_len, 2, &file);
		assert_int_equal(read_all(file.data, file.len, &rows, &err), 0);
		assert_int_equal(rows, 2);
		buffer_done(&file);
	}
}

static void
a_file_cut_off_anywhere_is_an_error(void **state)
{
	struct buffer file = BUFFER_INIT;
	size_t head;
	unsigned rows;

	(void)state;
	foreign_file("null", plain_schema, plain_rows, sizeof(plain_rows), 2, &file);
	head = file.len - sizeof(plain_rows) - 16 - 2;
	for (size_t len = 0; len < file.len; len++) {
		struct error err = ERROR_INIT;

		/* Where the head ends and no block has begun it is a whole file of no rows. */
		if (len == head)
			continue;
		assert_int_equal(read_all(file.data, len, &rows, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
	}
	buffer_done(&file);
}

static void
promises_beyond_the_data_are_refused(void **state)
{
	static const struct {
		const char *schema, *codec;
		int64_t rows;
		enum error_code code;
	} cases[] = { { plain_schema, "null", 3, ERROR_CORRUPT },
		{ plain_schema, "null", 1, ERROR_CORRUPT },
		{ plain_schema, "null", INT64_MAX, ERROR_CORRUPT },
		{ plain_schema, "null", -1, ERROR_CORRUPT },
		{ plain_schema, "null", 0, ERROR_CORRUPT },
		{ plain_schema, "deflate", 2, ERROR_CORRUPT },
		{ plain_schema, "zstandard", 2, ERROR_CORRUPT },
		{ plain_schema, "snappy", 2, ERROR_CORRUPT },
		{ plain_schema, "lzma9", 2, ERROR_UNSUPPORTED },
		{ "{\"type\":\"record\",\"name\":\"x\",\"fields\":[]}", "null", 20, ERROR_CORRUPT },
		{ "{\"type\":\"array\",\"items\":\"int\"}", "null", 2, ERROR_UNSUPPORTED },
		{ "{", "null", 2, ERROR_CORRUPT },
		{ "{\"type\":\"record\",\"name\":\"x\",\"fields\":[{\"name\":\"a\",\"type\":"
		  "{\"type\":\"map\",\"values\":\"int\"}}]}", "null", 2, ERROR_UNSUPPORTED },
		{ "{\"type\":\"record\",\"name\":\"x\",\"fields\":[{\"name\":\"a\",\"type\":"
		  "{\"type\":\"fixed\",\"name\":\"f\",\"size\":99999999999}}]}", "null", 2,
		  ERROR_CORRUPT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buffer file = BUFFER_INIT;
		struct error err = ERROR_INIT;
		unsigned rows;

		foreign_file(cases[i].codec, cases[i].schema, plain_rows, sizeof(plain_rows),
		    cases[i].rows, &file);
		assert_int_equal(read_all(file.data, file.len, &rows, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_string_not_equal(err.message, "");
		buffer_done(&file);
	}
}

static void
a_block_of_snappy_must_have_its_crc_and_no_more_than_it_holds(void **state)
{
	/* It claims to hold 1 GiB, in five bytes and a CRC. */
	static const uint8_t bomb[] = { 0x80, 0x80, 0x80, 0x80, 0x04, 0, 0, 0, 0 };
	uint8_t packed[256];
	size_t len = snap(plain_rows, sizeof(plain_rows), packed, sizeof(packed));
	struct buffer file = BUFFER_INIT;
	unsigned rows;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct error err = ERROR_INIT;

		packed[len - 1 - i] ^= 1;
		buffer_clear(&file);
		foreign_file("snappy", plain_schema, packed, len, 2, &file);
		assert_int_equal(read_all(file.data, file.len, &rows, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_non_null(strstr(err.message, "does not have its CRC"));
		packed[len - 1 - i] ^= 1;
	}
	for (len = 0; len <= sizeof(bomb); len++) {
		struct error err = ERROR_INIT;

		buffer_clear(&file);
		foreign_file("snappy", plain_schema, bomb, len, 2, &file);
		assert_int_equal(read_all(file.data, file.len, &rows, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
	}
	buffer_done(&file);
}

static void
inflation_has_an_end(void **state)
{
	size_t plain_len = (size_t)OCF_INFLATED_MAX + (1u << 20), bound;
	void *plain = mem_calloc(1, plain_len), *packed;
	struct buffer file = BUFFER_INIT;
	struct error err = ERROR_INIT;
	unsigned rows;

	(void)state;
	bound = ZSTD_compressBound(plain_len);
	packed = mem_calloc(1, bound);
	bound = ZSTD_compress(packed, bound, plain, plain_len, 1);
	foreign_file("zstandard", plain_schema, packed, bound, 2, &file);
	assert_int_equal(read_all(file.data, file.len, &rows, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	free(plain);
	free(packed);
	buffer_done(&file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_come_back_at_their_limits),
		cmocka_unit_test(moments_are_numbers_and_impossible_ones_texts),
		cmocka_unit_test(text_that_is_none_becomes_bytes),
		cmocka_unit_test(a_value_that_its_type_does_not_allow_names_the_column),
		cmocka_unit_test(a_value_that_is_cut_off_or_impossible_is_refused),
		cmocka_unit_test(a_column_that_comes_as_another_type_is_refused_by_name),
		cmocka_unit_test(a_number_beyond_its_type_is_refused),
		cmocka_unit_test(what_cannot_be_carried_is_refused_by_name),
		cmocka_unit_test(an_enum_with_an_empty_member_is_carried_by_number),
		cmocka_unit_test(fields_have_names_that_avro_allows),
		cmocka_unit_test(decimals_are_as_short_as_avro_wants_them),
		cmocka_unit_test(a_change_of_a_hundredth_changes_about_a_hundredth_of_the_blocks),
		cmocka_unit_test(files_of_other_programs_are_read_with_each_codec),
		cmocka_unit_test(a_file_cut_off_anywhere_is_an_error),
		cmocka_unit_test(promises_beyond_the_data_are_refused),
		cmocka_unit_test(a_block_of_snappy_must_have_its_crc_and_no_more_than_it_holds),
		cmocka_unit_test(inflation_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
