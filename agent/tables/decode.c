/*
 * One row out of Avro's binary form.
 */
#include <string.h>

#include "agent/tables/ocf.h"
#include "shared/text.h"

static int
damaged(struct error *err, const char *what)
{
	return error_set(err, ERROR_CORRUPT, "the Avro file is damaged: %s", what);
}

static int
get_long(const uint8_t **p, const uint8_t *end, int64_t *ret, struct error *err)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte;

		if (*p == end)
			return damaged(err, "a row is cut off");
		byte = *(*p)++;
		if (shift == 63 && (byte & 0xfe) != 0)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
			return 0;
		}
	}
	return damaged(err, "a number is too long");
}

static int
get_bytes(const uint8_t **p, const uint8_t *end, size_t len, struct ocf_value *ret,
    struct error *err)
{
	if (len > (size_t)(end - *p))
		return damaged(err, "a value is longer than its block");
	ret->data = *p;
	ret->len = len;
	*p += len;
	return 0;
}

static int
get_float(const uint8_t **p, const uint8_t *end, bool is_double, struct ocf_value *ret,
    struct error *err)
{
	size_t width = is_double ? 8 : 4;
	uint64_t bits = 0;
	uint32_t bits32;
	float single;

	if (get_bytes(p, end, width, ret, err) != 0)
		return -1;
	for (size_t i = 0; i < width; i++)
		bits |= (uint64_t)ret->data[i] << (8 * i);
	if (is_double) {
		memcpy(&ret->d, &bits, sizeof(ret->d));
	} else {
		bits32 = (uint32_t)bits;
		memcpy(&single, &bits32, sizeof(single));
		ret->d = (double)single;
	}
	return 0;
}

static int
decode_value(const struct ocf_type *type, const uint8_t **p, const uint8_t *end,
    struct ocf_value *ret, struct error *err)
{
	int64_t v = 0;

	if (type->kind == OCF_UNION) {
		if (get_long(p, end, &v, err) != 0)
			return -1;
		if (v < 0 || (uint64_t)v >= type->branch_count)
			return damaged(err, "a union has no such branch");
		type = &type->branches[v];
	}
	ret->type = type;
	switch (type->kind) {
	case OCF_NULL:
		return 0;
	case OCF_BOOLEAN:
		if (get_bytes(p, end, 1, ret, err) != 0)
			return -1;
		ret->i = ret->data[0];
		return ret->i > 1 ? damaged(err, "a boolean is neither 0 nor 1") : 0;
	case OCF_INT:
	case OCF_ENUM:
		if (get_long(p, end, &ret->i, err) != 0)
			return -1;
		if (ret->i < INT32_MIN || ret->i > INT32_MAX)
			return damaged(err, "an int is too large");
		if (type->kind == OCF_ENUM &&
		    (ret->i < 0 || (uint64_t)ret->i >= type->symbol_count))
			return damaged(err, "an enum has no such symbol");
		return 0;
	case OCF_LONG:
		return get_long(p, end, &ret->i, err);
	case OCF_FLOAT:
	case OCF_DOUBLE:
		return get_float(p, end, type->kind == OCF_DOUBLE, ret, err);
	case OCF_FIXED:
		return get_bytes(p, end, type->size, ret, err);
	default:
		if (get_long(p, end, &v, err) != 0)
			return -1;
		if (v < 0)
			return damaged(err, "a value has a negative length");
		if ((uint64_t)v > (size_t)(end - *p))
			return damaged(err, "a value is longer than its block");
		return get_bytes(p, end, (size_t)v, ret, err);
	}
}

int
ocf_decode_row(const struct ocf_schema *schema, const uint8_t **p, const uint8_t *end,
    struct ocf_value *values, struct error *err)
{
	for (size_t i = 0; i < schema->field_count; i++)
		if (decode_value(&schema->fields[i].type, p, end, &values[i], err) != 0)
			return error_prefix(err, "field '%.100s': ", schema->fields[i].name);
	return 0;
}
