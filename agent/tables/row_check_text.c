/*
 * Texts: their encoding, the characters a column can store, their length, members of ENUM and SET.
 */
#include <string.h>
#include <strings.h>

#include "agent/tables/row_check_internal.h"
#include "shared/text.h"

/* What Windows-1252 has beyond latin1, sorted; the server's latin1 is that. */
static const unsigned short windows_1252[] = { 0x81, 0x8d, 0x8f, 0x90, 0x9d, 0x152, 0x153, 0x160,
	0x161, 0x178, 0x17d, 0x17e, 0x192, 0x2c6, 0x2dc, 0x2013, 0x2014, 0x2018, 0x2019, 0x201a,
	0x201c, 0x201d, 0x201e, 0x2020, 0x2021, 0x2022, 0x2026, 0x2030, 0x2039, 0x203a, 0x20ac,
	0x2122 };

/* The character at p, of valid UTF-8. */
static unsigned
character_at(const unsigned char *p, size_t *ret_len)
{
	if (p[0] < 0x80) {
		*ret_len = 1;
		return p[0];
	}
	if (p[0] < 0xe0) {
		*ret_len = 2;
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	}
	if (p[0] < 0xf0) {
		*ret_len = 3;
		return (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	}
	*ret_len = 4;
	return (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

static bool
is_in_charset(enum row_charset charset, unsigned c)
{
	switch (charset) {
	case ROW_CHARSET_BASIC:
		return c < 0x10000;
	case ROW_CHARSET_ASCII:
		return c < 0x80;
	case ROW_CHARSET_LATIN1:
		if (c < 0x80 || (c >= 0xa0 && c < 0x100))
			return true;
		for (size_t i = 0; i < sizeof(windows_1252) / sizeof(windows_1252[0]); i++)
			if (windows_1252[i] == c)
				return true;
		return false;
	default:
		return true;
	}
}

static int
check_charset(const struct row_rule *rule, const char *text, size_t len, struct error *err)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	if (rule->charset == ROW_CHARSET_ALL || rule->charset == ROW_CHARSET_OTHER)
		return 0;
	while (p < end) {
		size_t bytes;
		unsigned c = character_at(p, &bytes);

		if (!is_in_charset(rule->charset, c))
			return row_refuse(rule, text, len, err,
			    "has the character U+%04X, which %.40s does not have", c,
			    rule->column->charset);
		p += bytes;
	}
	return 0;
}

/* Of valid UTF-8. */
static size_t
count_characters(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

static int
refuse_length(const struct row_rule *rule, size_t has, const char *unit, struct error *err)
{
	return error_set(err, ERROR_BAD_REQUEST, "'%.100s': %zu %s, %.100s takes %llu",
	    rule->column->name, has, unit, rule->column->type, (unsigned long long)rule->length);
}

int
row_check_characters(const struct row_rule *rule, const char *text, size_t len, struct error *err)
{
	size_t stored;

	if (rule->kind == ROW_KIND_BYTES)
		return len <= rule->length ? 0 : refuse_length(rule, len, "bytes", err);
	if (!text_is_utf8(text, len))
		return row_refuse(rule, text, len, err, "is not valid UTF-8");
	if (check_charset(rule, text, len, err) != 0)
		return -1;
	if (len <= rule->length && (rule->is_utf8 || rule->one_byte || !rule->in_bytes))
		return 0;
	if (!rule->in_bytes || rule->one_byte) {
		stored = count_characters(text, len);
		return stored <= rule->length ? 0 : refuse_length(rule, stored,
		    rule->in_bytes ? "bytes" : "characters", err);
	}
	/* How long it is in another character set is known to the server. */
	return rule->is_utf8 ? refuse_length(rule, len, "bytes", err) : 0;
}

/* ---- members */

static bool
is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

/* Which are the same is the collation's to say; what is surely none is refused. */
static bool
may_be_member(const struct row_rule *rule, const char *text, size_t len)
{
	while (len > 0 && text[len - 1] == ' ')
		len--;
	for (size_t i = 0; i < rule->member_count; i++)
		if (rule->members[i].len == len &&
		    strncasecmp(rule->members[i].text, text, len) == 0)
			return true;
	/* A number that is no member would be taken for a member's place in the list. */
	if (rule->members_ascii && is_ascii(text, len))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return true;
	return false;
}

int
row_check_member(const struct row_rule *rule, const char *text, size_t len, struct error *err)
{
	const char *p = text, *end = text + len, *comma;

	if (!text_is_utf8(text, len))
		return row_refuse(rule, text, len, err, "is not valid UTF-8");
	if (rule->kind == ROW_KIND_ENUM)
		return may_be_member(rule, text, len) ? 0 :
		    row_refuse(rule, text, len, err, "is no member of %.200s", rule->column->type);
	while (p < end) {
		comma = memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			comma = end;
		if (!may_be_member(rule, p, (size_t)(comma - p)))
			return row_refuse(rule, p, (size_t)(comma - p), err,
			    "is no member of %.200s", rule->column->type);
		p = comma < end ? comma + 1 : end;
	}
	return 0;
}
