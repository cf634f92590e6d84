#include "shared/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/calendar.h"
#include "shared/mem.h"

#define NSEC_PER_SEC 1000000000

/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z */
#define TIME_MIN INT64_C(-62167219200)
#define TIME_MAX INT64_C(253402300799)

static const char hex_digits[] = "0123456789abcdef";

void
hex_encode(const void *data, size_t len, char *out)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*out++ = hex_digits[p[i] >> 4];
		*out++ = hex_digits[p[i] & 15];
	}
	*out = '\0';
}

int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_decode(const char *text, size_t text_len, void *out, size_t len)
{
	uint8_t *p = out;

	if (text_len / 2 != len || text_len % 2 != 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text[2 * i]);
		int low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		p[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

/*
 * The length of the well-formed UTF-8 sequence at p (Unicode, table 3-7: no overlong forms,
 * no surrogates, nothing above U+10FFFF), with its code point; 0 if there is none.
 */
static size_t
utf8_sequence(const uint8_t *p, size_t len, uint32_t *ret)
{
	uint8_t low = 0x80, high = 0xbf;
	uint32_t code;
	size_t n;

	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
		code = p[0] & 0x1fu;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		n = 3;
		code = p[0] & 0x0fu;
		low = p[0] == 0xe0 ? 0xa0 : low;
		high = p[0] == 0xed ? 0x9f : high;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		code = p[0] & 0x07u;
		low = p[0] == 0xf0 ? 0x90 : low;
		high = p[0] == 0xf4 ? 0x8f : high;
	} else {
		return 0;
	}
	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (p[i] < low || p[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
		code = code << 6 | (p[i] & 0x3fu);
	}
	*ret = code;
	return n;
}

/* Characters that move the cursor, end a line or turn the writing direction. */
static bool
is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
	    code == 0x061c || code == 0x200e || code == 0x200f ||
	    (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static void
put_escaped(struct buffer *buf, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char text[4] = { '\\', 'x', hex_digits[p[i] >> 4], hex_digits[p[i] & 15] };

		buffer_put(buf, text, sizeof(text));
	}
}

char *
text_printable(const void *data, size_t len)
{
	struct buffer buf = BUFFER_INIT;
	const uint8_t *p = data;
	size_t i = 0;

	buffer_reserve(&buf, len + 1);
	while (i < len) {
		uint32_t code;
		size_t n, plain = i;

		/* Nearly every path is plain ASCII: copied in one go. */
		while (plain < len && p[plain] >= 0x20 && p[plain] < 0x7f && p[plain] != '\\')
			plain++;
		if (plain > i) {
			buffer_put(&buf, p + i, plain - i);
			i = plain;
			continue;
		}
		n = utf8_sequence(p + i, len - i, &code);
		if (n == 0) {
			n = 1;
			put_escaped(&buf, p + i, n);
		} else if (code == '\\') {
			buffer_put(&buf, "\\\\", 2);
		} else if (is_unsafe(code)) {
			put_escaped(&buf, p + i, n);
		} else {
			buffer_put(&buf, p + i, n);
		}
		i += n;
	}
	return buffer_take(&buf);
}

int
text_unprintable(const char *text, struct error *err, char **ret, size_t *ret_len)
{
	struct buffer buf = BUFFER_INIT;
	const char *p = text;

	while (*p != '\0') {
		size_t plain = strcspn(p, "\\");

		buffer_put(&buf, p, plain);
		p += plain;
		if (*p == '\0')
			break;
		if (p[1] == '\\') {
			buffer_put_u8(&buf, '\\');
			p += 2;
		} else if (p[1] == 'x' && hex_value(p[2]) >= 0 && hex_value(p[3]) >= 0) {
			buffer_put_u8(&buf, (uint8_t)(hex_value(p[2]) << 4 | hex_value(p[3])));
			p += 4;
		} else {
			error_set(err, ERROR_BAD_REQUEST, "broken escape at byte %zu of '%s'",
			    (size_t)(p - text), text);
			error_hint(err, "write a backslash as \\\\ and any other byte as \\xNN");
			buffer_done(&buf);
			return -1;
		}
	}
	*ret_len = buf.len;
	*ret = buffer_take(&buf);
	return 0;
}

bool
text_is_utf8(const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i = 0;

	while (i < len) {
		uint32_t code;
		size_t n = utf8_sequence(p + i, len - i, &code);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

void
time_format(struct timespec t, int digits, char out[TIME_TEXT_SIZE])
{
	static const long divisor[] = { 1, 1000000, 1000, 1 };
	char fraction[16] = "";
	char text[96]; /* what the compiler takes for possible */
	struct tm tm;

	/* A damaged or hostile file system may hold times that RFC 3339 cannot write. */
	if (t.tv_sec < TIME_MIN)
		t = (struct timespec) { TIME_MIN, 0 };
	if (t.tv_sec > TIME_MAX)
		t = (struct timespec) { TIME_MAX, NSEC_PER_SEC - 1 };
	gmtime_r(&t.tv_sec, &tm);
	if (digits > 0)
		snprintf(fraction, sizeof(fraction), ".%0*ld", digits,
		    t.tv_nsec / divisor[digits / 3]);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
	memcpy(out, text, strlen(text) + 1);
}

/* Exactly count digits; moves *p behind them.  -1 if there are fewer. */
static int
take_digits(const char **p, int count, int *ret)
{
	int v = 0;

	for (int i = 0; i < count; i++) {
		char c = (*p)[i];

		if (c < '0' || c > '9')
			return -1;
		v = v * 10 + (c - '0');
	}
	*p += count;
	*ret = v;
	return 0;
}

static int
take_char(const char **p, const char *any_of)
{
	if (**p == '\0' || strchr(any_of, **p) == NULL)
		return -1;
	(*p)++;
	return 0;
}

/* ".5" and so on: any number of digits, of which nine count. */
static int
take_fraction(const char **p, long *ret_nsec)
{
	long nsec = 0, unit = NSEC_PER_SEC / 10;
	const char *start;

	*ret_nsec = 0;
	if (take_char(p, ".") != 0)
		return 0;
	for (start = *p; **p >= '0' && **p <= '9'; (*p)++) {
		nsec += (**p - '0') * unit;
		unit /= 10;
	}
	*ret_nsec = nsec;
	return *p > start ? 0 : -1;
}

/* "Z", or the offset from UTC as "+hh:mm", in seconds. */
static int
take_offset(const char **p, int *ret_seconds)
{
	int sign = **p == '-' ? -1 : 1;
	int hours, minutes;

	*ret_seconds = 0;
	if (take_char(p, "Zz") == 0)
		return 0;
	if (take_char(p, "+-") != 0 || take_digits(p, 2, &hours) != 0 ||
	    take_char(p, ":") != 0 || take_digits(p, 2, &minutes) != 0 || hours > 23 ||
	    minutes > 59)
		return -1;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return 0;
}

static int
bad_time(struct error *err, const char *text, const char *why)
{
	error_set(err, ERROR_BAD_REQUEST, "'%s' is not a time: %s", text, why);
	return error_hint(err, "write it as 2026-11-21, 2026-11-21T23:05:00Z or "
	    "2026-11-21T23:05:00+01:00 (in a URL, + is %%2B)");
}

/* The part of a time that follows the date. */
static int
parse_clock(const char *text, const char *p, struct timespec *t, struct error *err)
{
	int hour, minute, second, offset;

	if (take_char(&p, "Tt ") != 0)
		return bad_time(err, text, "'T' must follow the date");
	if (take_digits(&p, 2, &hour) != 0 || take_char(&p, ":") != 0 ||
	    take_digits(&p, 2, &minute) != 0 || take_char(&p, ":") != 0 ||
	    take_digits(&p, 2, &second) != 0)
		return bad_time(err, text, "hh:mm:ss must follow the date");
	if (hour > 23 || minute > 59 || second > 60)
		return bad_time(err, text, "there is no such time of day");
	if (take_fraction(&p, &t->tv_nsec) != 0)
		return bad_time(err, text, "digits must follow the point");
	if (take_offset(&p, &offset) != 0 || *p != '\0')
		return bad_time(err, text, "it must end with Z or an offset from UTC");
	t->tv_sec += hour * 3600 + minute * 60 + second - offset;
	/* A leap second is the last of a day in UTC; it counts as the first of the next. */
	if (second == 60 && t->tv_sec % SECONDS_PER_DAY != 0)
		return bad_time(err, text, "there is no such leap second");
	return 0;
}

int
time_parse(const char *text, bool end_of_day, struct timespec *ret, struct error *err)
{
	struct timespec t = { 0, 0 };
	const char *p = text;
	int year, month, day;

	if (take_digits(&p, 4, &year) != 0 || take_char(&p, "-") != 0 ||
	    take_digits(&p, 2, &month) != 0 || take_char(&p, "-") != 0 ||
	    take_digits(&p, 2, &day) != 0)
		return bad_time(err, text, "it must begin with a date as YYYY-MM-DD");
	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return bad_time(err, text, "there is no such day");
	t.tv_sec = days_from_date(year, month, day) * SECONDS_PER_DAY;
	if (*p == '\0' && end_of_day) {
		t.tv_sec += SECONDS_PER_DAY - 1;
		t.tv_nsec = NSEC_PER_SEC - 1;
	}
	if (*p != '\0' && parse_clock(text, p, &t, err) != 0)
		return -1;
	*ret = t;
	return 0;
}

struct timespec
time_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t;
}

int64_t
time_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t
time_monotonic_ms(void)
{
	return time_monotonic_ns() / 1000000;
}

static const char size_units[] = "KMGTPE";

void
size_format(uint64_t bytes, char out[16])
{
	uint64_t tenths;
	unsigned unit = 0;

	if (bytes < 1024) {
		snprintf(out, 16, "%u B", (unsigned)bytes);
		return;
	}
	for (;;) {
		unsigned shift = 10 * (unit + 1);
		uint64_t rest = bytes & ((UINT64_C(1) << shift) - 1);

		/* Rounded to the nearest tenth; shifted first, so that nothing overflows. */
		tenths = (bytes >> shift) * 10 +
		    ((((rest >> (shift - 10)) * 10) + 512) >> 10);
		if (tenths < 10240 || size_units[unit + 1] == '\0')
			break;
		unit++;
	}
	snprintf(out, 16, "%u.%u %ciB", (uint16_t)(tenths / 10), (uint16_t)(tenths % 10),
	    size_units[unit]);
}

static int
bad_size(struct error *err, const char *text)
{
	error_set(err, ERROR_BAD_REQUEST, "'%s' is not a size", text);
	return error_hint(err, "write it as 4096, 64M, 64MiB or 1.5G (powers of 1024)");
}

/* "", "B", "K", "KB", "KiB" and so on; 0 if it is no unit. */
static uint64_t
size_unit(const char *text)
{
	uint64_t unit = 1;

	if (*text == ' ')
		text++;
	for (size_t i = 0; size_units[i] != '\0'; i++) {
		if ((*text & ~0x20) != size_units[i])
			continue;
		unit = UINT64_C(1) << (10 * (i + 1));
		text++;
		if (*text == 'i' && (text[1] == 'B' || text[1] == 'b'))
			text++;
		break;
	}
	if (*text == 'B' || *text == 'b')
		text++;
	return *text == '\0' ? unit : 0;
}

/* Whole decimal number; moves *p behind it.  -1 if there is none or it has over 64 bits. */
static int
take_number(const char **p, uint64_t *ret)
{
	const char *start = *p;
	uint64_t v = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++) {
		uint64_t digit = (uint64_t)(**p - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	*ret = v;
	return *p > start ? 0 : -1;
}

int
size_parse(const char *text, uint64_t *ret, struct error *err)
{
	uint64_t whole, unit, part;
	const char *p = text;
	bool has_point;
	long nano;

	if (take_number(&p, &whole) != 0)
		return bad_size(err, text);
	has_point = *p == '.';
	if (take_fraction(&p, &nano) != 0)
		return bad_size(err, text);
	unit = size_unit(p);
	if (unit == 0 || (has_point && unit == 1))
		return bad_size(err, text);
	/* unit * nano / 10^9 without leaving 64 bits. */
	part = unit / NSEC_PER_SEC * (uint64_t)nano +
	    unit % NSEC_PER_SEC * (uint64_t)nano / NSEC_PER_SEC;
	if (whole > (UINT64_MAX - part) / unit) {
		error_set(err, ERROR_BAD_REQUEST, "'%s' is too large a size", text);
		return -1;
	}
	*ret = whole * unit + part;
	return 0;
}

int
duration_parse(const char *text, int64_t *ret_seconds, struct error *err)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	const char *p = text;
	uint64_t n;

	if (strcmp(text, "0") == 0) {
		*ret_seconds = 0;
		return 0;
	}
	if (take_number(&p, &n) == 0 && *p != '\0' && p[1] == '\0') {
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			if (*p != units[i].unit || n > (uint64_t)(INT64_MAX / units[i].seconds))
				continue;
			*ret_seconds = (int64_t)n * units[i].seconds;
			return 0;
		}
	}
	error_set(err, ERROR_BAD_REQUEST, "'%s' is not a duration", text);
	return error_hint(err, "write it as 90s, 15m, 26h, 7d or 2w");
}

bool
text_is_word_of(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *p = words;; p++) {
		if (strcspn(p, "|") == len && strncmp(p, word, len) == 0)
			return true;
		p += strcspn(p, "|");
		if (*p == '\0')
			return false;
	}
}
