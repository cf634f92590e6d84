/*
 * Values that need some arithmetic: decimals, days, sums of rows.
 */
#define XXH_INLINE_ALL
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "agent/tables/encode.h"
#include "shared/text.h"

#define LIMBS (DECIMAL_BYTES_MAX / 4)
#define CHUNK_DIGITS 9
#define CHUNK_VALUE 1000000000u

/* limbs = limbs * factor + more; false if that is too large. */
static bool
multiply_add(uint32_t limbs[LIMBS], uint32_t factor, uint32_t more)
{
	uint64_t carry = more;

	for (size_t i = 0; i < LIMBS; i++) {
		carry += (uint64_t)limbs[i] * factor;
		limbs[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return carry == 0;
}

static void
negate(uint32_t limbs[LIMBS])
{
	uint64_t carry = 1;

	for (size_t i = 0; i < LIMBS; i++) {
		carry += (uint32_t)~limbs[i];
		limbs[i] = (uint32_t)carry;
		carry >>= 32;
	}
}

/* Without the leading bytes that only repeat the sign. */
static size_t
put_limbs(const uint32_t limbs[LIMBS], uint8_t out[DECIMAL_BYTES_MAX])
{
	uint8_t all[DECIMAL_BYTES_MAX], fill;
	size_t skip = 0;

	for (size_t i = 0; i < DECIMAL_BYTES_MAX; i++)
		all[DECIMAL_BYTES_MAX - 1 - i] = (uint8_t)(limbs[i / 4] >> (8 * (i % 4)));
	fill = all[0] & 0x80 ? 0xff : 0;
	while (skip < DECIMAL_BYTES_MAX - 1 && all[skip] == fill &&
	    (all[skip + 1] & 0x80) == (fill & 0x80))
		skip++;
	memcpy(out, all + skip, DECIMAL_BYTES_MAX - skip);
	return DECIMAL_BYTES_MAX - skip;
}

/* The digits alone; false if it is no decimal with so many of them behind the point. */
static bool
take_digits(const char *text, size_t len, unsigned scale, char out[DECIMAL_DIGITS_MAX],
    size_t *ret_count, bool *ret_negative)
{
	size_t i = 0, count = 0, behind = 0;
	bool point = false;

	*ret_negative = len > 0 && text[0] == '-';
	if (*ret_negative)
		i++;
	for (; i < len; i++) {
		if (text[i] == '.' && !point && scale > 0) {
			point = true;
			continue;
		}
		if (text[i] < '0' || text[i] > '9')
			return false;
		behind += point;
		if (count == 0 && text[i] == '0')
			continue;
		if (count == DECIMAL_DIGITS_MAX)
			return false;
		out[count++] = text[i];
	}
	*ret_count = count;
	return behind == scale && len > (size_t)*ret_negative;
}

/* So many digits and a sign fit into 64 bits. */
#define SMALL_DIGITS 18

/*
 * Most decimals are small: the same as decimal_encode(), by a machine's own numbers.  0 also where
 * that has to look itself.
 */
static size_t
encode_small(const char *text, size_t len, unsigned scale, uint8_t out[DECIMAL_BYTES_MAX])
{
	size_t negative = len > 0 && text[0] == '-', point = len, n;
	int64_t v = 0;

	if (scale > 0) {
		if (len < negative + scale + 1 || text[len - scale - 1] != '.')
			return 0;
		point = len - scale - 1;
	}
	if (len == negative || len - negative > SMALL_DIGITS)
		return 0;
	for (size_t i = negative; i < len; i++) {
		unsigned digit = (unsigned)(unsigned char)text[i] - '0';

		if (i == point)
			continue;
		if (digit > 9)
			return 0;
		v = v * 10 + digit;
	}
	if (negative)
		v = -v;
	/* Bits that do not only repeat the sign, and the sign. */
	n = 1 + (size_t)(64 - __builtin_clzll((uint64_t)(v ^ (v >> 63)) | 1)) / 8;
	for (size_t i = 0; i < n; i++)
		out[n - 1 - i] = (uint8_t)((uint64_t)v >> (8 * i));
	return n;
}

size_t
decimal_encode(const char *text, size_t len, unsigned scale, uint8_t out[DECIMAL_BYTES_MAX])
{
	uint32_t limbs[LIMBS] = { 0 };
	char digits[DECIMAL_DIGITS_MAX];
	size_t count, at = encode_small(text, len, scale, out);
	bool negative;

	if (at > 0)
		return at;
	if (!take_digits(text, len, scale, digits, &count, &negative))
		return 0;
	while (at < count) {
		uint32_t chunk = 0, factor = 1;

		for (unsigned i = 0; i < CHUNK_DIGITS && at < count; i++) {
			chunk = chunk * 10 + (uint32_t)(digits[at++] - '0');
			factor *= 10;
		}
		if (!multiply_add(limbs, factor, chunk))
			return 0;
	}
	if (negative)
		negate(limbs);
	return put_limbs(limbs, out);
}

/* limbs = limbs / CHUNK_VALUE; returns the remainder. */
static uint32_t
divide(uint32_t limbs[LIMBS])
{
	uint64_t rest = 0;

	for (size_t i = LIMBS; i-- > 0;) {
		rest = rest << 32 | limbs[i];
		limbs[i] = (uint32_t)(rest / CHUNK_VALUE);
		rest %= CHUNK_VALUE;
	}
	return (uint32_t)rest;
}

size_t
decimal_decode(const uint8_t *data, size_t len, unsigned scale, char out[DECIMAL_TEXT_SIZE])
{
	/* From the last digit to the first; 28 bytes have at most 68. */
	char reversed[80 + DECIMAL_DIGITS_MAX];
	uint32_t limbs[LIMBS];
	size_t digits = 0, n = 0;
	bool negative = len > 0 && (data[0] & 0x80) != 0;

	if (len == 0 || len > DECIMAL_BYTES_MAX || scale > DECIMAL_DIGITS_MAX)
		return 0;
	memset(limbs, negative ? 0xff : 0, sizeof(limbs));
	for (size_t i = 0; i < len; i++) {
		size_t limb = i / 4;
		unsigned shift = 8 * (unsigned)(i % 4);

		limbs[limb] = (limbs[limb] & ~((uint32_t)0xff << shift)) |
		    (uint32_t)data[len - 1 - i] << shift;
	}
	if (negative)
		negate(limbs);
	for (size_t chunk = 0; chunk < 8; chunk++) {
		uint32_t rest = divide(limbs);

		for (unsigned i = 0; i < CHUNK_DIGITS; i++, rest /= 10)
			reversed[digits++] = (char)('0' + rest % 10);
	}
	while (digits > (size_t)scale + 1 && reversed[digits - 1] == '0')
		digits--;
	while (digits < (size_t)scale + 1)
		reversed[digits++] = '0';
	if (negative)
		out[n++] = '-';
	while (digits > 0) {
		out[n++] = reversed[--digits];
		if (digits == scale && scale > 0)
			out[n++] = '.';
	}
	out[n] = '\0';
	return n;
}

/*
 * Howard Hinnant's algorithms: eras of 400 years that begin on the first of March.  Years are at
 * most 9999, so one era is put before them and 32 bits do.
 */
int64_t
days_of_date(unsigned year, unsigned month, unsigned day)
{
	unsigned y = year + 400 - (month <= 2);
	unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return (int64_t)(y * 365 + y / 4 - y / 100 + y / 400 + of_year) - 719468 - 146097;
}

void
date_of_days(int64_t days, int *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned of_era = (unsigned)(z - era * 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153;

	*ret_day = of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = (int)(year + era * 400) + (*ret_month <= 2);
}

void
row_sum_add(struct row_sum *sum, const void *row, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits(row, len);

	sum->low += hash.low64;
	sum->high += hash.high64;
	sum->rows++;
}

void
row_sum_text(const struct row_sum *sum, char out[ROW_SUM_TEXT_SIZE])
{
	uint8_t bytes[16];

	for (size_t i = 0; i < 8; i++) {
		bytes[7 - i] = (uint8_t)(sum->high >> (8 * i));
		bytes[15 - i] = (uint8_t)(sum->low >> (8 * i));
	}
	hex_encode(bytes, sizeof(bytes), out);
}
