/*
 * Numbers by their digits: nothing goes through a double but what is one.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/row_check_internal.h"

/* More than any column's; further ones can only be behind what a double tells apart. */
#define DIGITS_MAX 100
#define EXPONENT_MAX 100000

/* 0.d1d2d3... times ten to the power of exponent; without zeros at either end. */
struct number {
	bool negative, cut; /* cut: there are more digits than are kept */
	char digits[DIGITS_MAX];
	unsigned count;
	long exponent;
};

static bool
take_exponent(const char *p, const char *end, long *ret)
{
	bool negative = false;
	long value = 0;

	if (p < end && (*p == '+' || *p == '-'))
		negative = *p++ == '-';
	if (p == end)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		if (value < EXPONENT_MAX)
			value = value * 10 + (*p - '0');
	}
	*ret = negative ? -value : value;
	return true;
}

static void
add_digit(struct number *number, char digit, bool behind)
{
	if (number->count == 0 && digit == '0') {
		number->exponent -= behind;
		return;
	}
	number->exponent += !behind;
	if (number->count < DIGITS_MAX)
		number->digits[number->count++] = digit;
	else
		number->cut = number->cut || digit != '0';
}

static bool
parse(const char *text, size_t len, struct number *number)
{
	const char *p = text, *end = text + len;
	bool point = false, any = false;
	long exponent = 0;

	memset(number, 0, sizeof(*number));
	if (p < end && (*p == '-' || *p == '+'))
		number->negative = *p++ == '-';
	for (; p < end; p++) {
		if (*p == '.' && !point) {
			point = true;
			continue;
		}
		if (*p < '0' || *p > '9')
			break;
		any = true;
		add_digit(number, *p, point);
	}
	if (!any)
		return false;
	if (p < end && (*p == 'e' || *p == 'E')) {
		if (!take_exponent(p + 1, end, &exponent))
			return false;
		p = end;
	}
	if (p != end)
		return false;
	while (number->count > 0 && !number->cut && number->digits[number->count - 1] == '0')
		number->count--;
	number->exponent += exponent;
	if (number->count == 0) {
		number->exponent = 0;
		number->negative = false;
	}
	return true;
}

static unsigned
digits_before(const struct number *number)
{
	return number->exponent <= 0 ? 0 : (unsigned)number->exponent;
}

static unsigned
digits_behind(const struct number *number)
{
	long behind = (long)number->count - number->exponent;

	return behind <= 0 ? 0 : (unsigned)behind;
}

static int
refuse_beyond(const struct row_rule *rule, const char *text, size_t len, struct error *err)
{
	return row_refuse(rule, text, len, err, "is beyond what %.100s can be",
	    rule->column->type);
}

static int
check_whole(const struct row_rule *rule, const char *text, size_t len,
    const struct number *number, struct row_cell *ret, struct error *err)
{
	uint64_t value = 0;

	/* Where digits were cut off, there are those behind the point, or too many before it. */
	if (digits_behind(number) > 0)
		return row_refuse(rule, text, len, err, "is no whole number");
	/* 2^64 has 20 digits. */
	if (digits_before(number) > 20)
		return refuse_beyond(rule, text, len, err);
	for (unsigned i = 0; i < digits_before(number); i++) {
		unsigned digit = i < number->count ? (unsigned)(number->digits[i] - '0') : 0;

		if (value > (UINT64_MAX - digit) / 10)
			return refuse_beyond(rule, text, len, err);
		value = value * 10 + digit;
	}
	if (number->negative ? value > 0 - (uint64_t)rule->min : value > rule->max)
		return refuse_beyond(rule, text, len, err);
	if (rule->bind == ROW_BIND_UINT)
		ret->as.u = value;
	else
		ret->as.i = (int64_t)(number->negative ? 0 - value : value);
	return 0;
}

/* Written anew: the server reads neither 1e3 nor .5 as it should everywhere. */
static int
check_decimal(const struct row_rule *rule, const char *text, size_t len,
    const struct number *number, char *scratch, struct row_cell *ret, struct error *err)
{
	unsigned before = digits_before(number), behind = digits_behind(number);
	char *p = scratch;

	if (before > rule->digits - rule->scale || (rule->is_unsigned && number->negative))
		return refuse_beyond(rule, text, len, err);
	if (number->cut || behind > rule->scale)
		return row_refuse(rule, text, len, err, "has %s%u digits behind the point, %.100s "
		    "holds %u", number->cut ? "more than " : "", behind, rule->column->type,
		    rule->scale);
	if (number->negative)
		*p++ = '-';
	if (before == 0)
		*p++ = '0';
	for (unsigned i = 0; i < before; i++)
		*p++ = i < number->count ? number->digits[i] : '0';
	if (behind > 0)
		*p++ = '.';
	for (unsigned i = 0; i < behind; i++) {
		long at = (long)i + number->exponent;

		*p++ = at < 0 ? '0' : number->digits[at];
	}
	ret->data = scratch;
	ret->len = (size_t)(p - scratch);
	return 0;
}

static int
check_double(const struct row_rule *rule, const char *text, size_t len,
    const struct number *number, struct row_cell *ret, struct error *err)
{
	bool is_float = rule->kind == ROW_KIND_FLOAT;
	char shortened[DIGITS_MAX + 32];
	double value;

	snprintf(shortened, sizeof(shortened), "%s0.%.*se%ld", number->negative ? "-" : "",
	    (int)number->count, number->digits, number->exponent);
	value = strtod(shortened, NULL);
	if (fabs(value) > (is_float ? (double)FLT_MAX : DBL_MAX) ||
	    (number->count > 0 && (is_float ? (double)(float)value : value) == 0.0) ||
	    (rule->is_unsigned && number->negative))
		return refuse_beyond(rule, text, len, err);
	ret->as.d = value;
	return 0;
}

int
row_check_number(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err)
{
	struct number number;

	if (!parse(text, len, &number))
		return row_refuse(rule, text, len, err,
		    rule->kind == ROW_KIND_INTEGER ? "is no whole number" : "is no number");
	if (rule->kind == ROW_KIND_INTEGER)
		return check_whole(rule, text, len, &number, ret, err);
	if (rule->kind == ROW_KIND_DECIMAL)
		return check_decimal(rule, text, len, &number, scratch, ret, err);
	return check_double(rule, text, len, &number, ret, err);
}
