#include "agent/http/negotiate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The next element of a comma-separated list, without the blanks around it; 0 at the end. */
static int
list_element(const char **at, const char **ret, size_t *ret_len)
{
	const char *p = *at, *start;
	bool quoted = false;

	while (*p == ' ' || *p == '\t' || *p == ',')
		p++;
	if (*p == '\0')
		return 0;
	start = p;
	for (; *p != '\0' && (quoted || *p != ','); p++) {
		if (*p == '"')
			quoted = !quoted;
	}
	*at = p;
	while (p > start && (p[-1] == ' ' || p[-1] == '\t'))
		p--;
	*ret = start;
	*ret_len = (size_t)(p - start);
	return 1;
}

/* Up to the first ';', without blanks. */
static size_t
without_parameters(const char *text, size_t len)
{
	const char *semicolon = memchr(text, ';', len);

	if (semicolon != NULL)
		len = (size_t)(semicolon - text);
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	return len;
}

/* ";q=0.5" in thousandths; 1000 without one, 0 if it is none. */
static unsigned
quality(const char *text, size_t len)
{
	const char *end = text + len, *p;
	unsigned value, scale = 100;

	for (p = text; p < end; p++) {
		if (*p != ';')
			continue;
		for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
			;
		if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=')
			continue;
		p += 2;
		if (*p != '0' && *p != '1')
			return 0;
		value = (unsigned)(*p - '0') * 1000;
		if (++p < end && *p == '.') {
			for (p++; p < end && *p >= '0' && *p <= '9' && scale > 0; p++) {
				value += (unsigned)(*p - '0') * scale;
				scale /= 10;
			}
		}
		return value > 1000 ? 1000 : value;
	}
	return 1000;
}

/* How exactly a media range covers a type: 3 the type, 2 "application/" + any, 1 any, 0 not. */
static unsigned
covers(const char *range, size_t len, const char *type)
{
	const char *slash = strchr(type, '/');
	size_t main_len = (size_t)(slash - type) + 1;

	if (len == strlen(type) && strncasecmp(range, type, len) == 0)
		return 3;
	if (len == main_len + 1 && strncasecmp(range, type, main_len) == 0 && range[len - 1] == '*')
		return 2;
	if ((len == 3 && memcmp(range, "*/*", 3) == 0) || (len == 1 && range[0] == '*'))
		return 1;
	return 0;
}

/* The quality that Accept gives a type: that of the range that covers it most exactly. */
static unsigned
accept_quality(const char *accept, const char *type)
{
	unsigned best = 0, q = 0;
	const char *element;
	size_t len;

	while (list_element(&accept, &element, &len)) {
		unsigned exact = covers(element, without_parameters(element, len), type);

		if (exact > best) {
			best = exact;
			q = quality(element, len);
		}
	}
	return q;
}

int
accept_choose(const char *accept, const char *const *offered, size_t count, size_t *ret,
    struct error *err)
{
	unsigned best = 0;
	size_t i, used = 0;

	if (accept == NULL || accept[strspn(accept, " \t,")] == '\0') {
		*ret = 0;
		return 0;
	}
	for (i = 0; i < count; i++) {
		unsigned q = accept_quality(accept, offered[i]);

		if (q > best) {
			best = q;
			*ret = i;
		}
	}
	if (best > 0)
		return 0;
	error_set(err, ERROR_NOT_ACCEPTABLE, "none of the media types in Accept is available");
	error_hint(err, "available: ");
	for (i = 0; i < count; i++) {
		used = strlen(err->hint);
		if (used + strlen(offered[i]) + 3 > sizeof(err->hint))
			break;
		strcat(strcat(err->hint, i > 0 ? ", " : ""), offered[i]);
	}
	return -1;
}

bool
media_type_is(const char *content_type, const char *type)
{
	size_t len;

	if (content_type == NULL)
		return false;
	len = without_parameters(content_type, strlen(content_type));
	return len == strlen(type) && strncasecmp(content_type, type, len) == 0;
}

/* Digits only, to a number; false if there are none or too many. */
static bool
number(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t value = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (p - *at >= 19)
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	if (p == *at)
		return false;
	*at = p;
	*ret = value;
	return true;
}

static int
bad_range(uint64_t size, struct error *err)
{
	return error_set(err, ERROR_BAD_RANGE, "the range begins behind the end, at byte %llu",
	    (unsigned long long)size);
}

int
range_parse(const char *range, uint64_t size, struct byte_range *ret, struct error *err)
{
	uint64_t first, last = UINT64_MAX;

	if (range == NULL || strncasecmp(range, "bytes=", 6) != 0)
		return 0;
	range += 6;
	if (*range == '-') {
		range++;
		if (!number(&range, &last) || *range != '\0' || size == RANGE_SIZE_UNKNOWN)
			return 0;
		if (last == 0 || size == 0)
			return bad_range(size, err);
		ret->first = last < size ? size - last : 0;
		ret->last = size - 1;
		return 1;
	}
	if (!number(&range, &first) || *range++ != '-')
		return 0;
	if (*range != '\0' && (!number(&range, &last) || *range != '\0' || last < first))
		return 0;
	if (size != RANGE_SIZE_UNKNOWN) {
		if (first >= size)
			return bad_range(size, err);
		if (last >= size)
			last = size - 1;
	}
	ret->first = first;
	ret->last = last;
	return 1;
}

bool
etag_listed(const char *list, const char *etag)
{
	const char *element;
	size_t len;

	if (list == NULL)
		return false;
	while (list_element(&list, &element, &len)) {
		if (len == 1 && element[0] == '*')
			return true;
		if (len > 2 && memcmp(element, "W/", 2) == 0) {
			element += 2;
			len -= 2;
		}
		if (len == strlen(etag) && memcmp(element, etag, len) == 0)
			return true;
	}
	return false;
}

bool
etag_is(const char *value, const char *etag)
{
	return value != NULL && strcmp(value, etag) == 0;
}

bool
accepts_gzip(const char *accept_encoding)
{
	const char *element;
	bool any = false;
	size_t len, name_len;

	if (accept_encoding == NULL)
		return false;
	while (list_element(&accept_encoding, &element, &len)) {
		name_len = without_parameters(element, len);
		/* What is said of gzip itself counts, whatever is said of the rest. */
		if ((name_len == 4 && strncasecmp(element, "gzip", 4) == 0) ||
		    (name_len == 6 && strncasecmp(element, "x-gzip", 6) == 0))
			return quality(element, len) > 0;
		if (name_len == 1 && element[0] == '*')
			any = quality(element, len) > 0;
	}
	return any;
}

bool
prefer_has(const char *prefer, const char *preference)
{
	const char *element;
	size_t len;

	if (prefer == NULL)
		return false;
	while (list_element(&prefer, &element, &len)) {
		len = without_parameters(element, len);
		if (len == strlen(preference) && strncasecmp(element, preference, len) == 0)
			return true;
	}
	return false;
}
