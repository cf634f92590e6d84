#include "agent/http/strict.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2. */
static bool
is_token_char(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool
is_token(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!is_token_char((unsigned char)text[i]))
			return false;
	}
	return len > 0;
}

/* Visible characters, bytes above 0x7f, spaces and tabs: RFC 9110, 5.5. */
static bool
is_field_value(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool
name_is(const struct header_line *line, const char *name)
{
	return line->name_len == strlen(name) &&
	    strncasecmp(line->name, name, line->name_len) == 0;
}

static int
malformed(struct error *err, const char *what)
{
	error_set(err, ERROR_MALFORMED_HTTP, "%s", what);
	return error_hint(err,
	    "the connection is closed, and nothing that follows on it was looked at");
}

/*
 * The parser ends each part with a NUL in place of what followed it: one for the space or the
 * colon, two for CR LF.  Any other distance between two parts means that bytes were skipped.
 */
int
strict_check_layout(const struct request_head *head, struct error *err)
{
	const char *end;
	size_t i;

	if (head->target != head->method + strlen(head->method) + 1)
		return malformed(err,
		    "the request line has not exactly one space after the method");
	if (head->version != head->target + head->target_len + 1)
		return malformed(err, "the request line holds a NUL, or more than three parts");
	end = head->version + strlen(head->version);
	for (i = 0; i < head->line_count; i++) {
		const struct header_line *line = &head->lines[i];
		const char *p;

		if (line->name != end + 2)
			return malformed(err,
			    "a header line holds a NUL, is folded, or does not end in CR LF");
		if (line->value == NULL || line->value < line->name + line->name_len + 1)
			return malformed(err, "a header line is folded");
		for (p = line->name + line->name_len + 1; p < line->value; p++) {
			if (*p != ' ' && *p != '\t')
				return malformed(err, "a header line is folded");
		}
		end = line->value + line->value_len;
	}
	/* CR LF of the last line, CR LF of the empty one. */
	if ((size_t)(end - head->method) + 4 != head->size)
		return malformed(err,
		    "the header holds a NUL, is folded, or does not end in CR LF");
	return 0;
}

static int
check_request_line(const struct request_head *head, struct request_framing *framing,
    struct error *err)
{
	size_t i;

	if (head->target_len > HTTP_TARGET_MAX)
		return error_set(err, ERROR_TOO_LARGE, "the address is longer than %u bytes",
		    HTTP_TARGET_MAX);
	if (!is_token(head->method, strlen(head->method)))
		return malformed(err, "the method is not a token");
	if (strcmp(head->version, "HTTP/1.1") != 0 && strcmp(head->version, "HTTP/1.0") != 0)
		return malformed(err, "the protocol is neither HTTP/1.1 nor HTTP/1.0");
	framing->http_1_0 = strcmp(head->version, "HTTP/1.0") == 0;
	for (i = 0; i < head->target_len; i++) {
		unsigned char c = (unsigned char)head->target_text[i];

		if (c <= 0x20 || c >= 0x7f)
			return malformed(err,
			    "the address holds a byte that must be percent-encoded");
	}
	return 0;
}

static int
check_length(const struct header_line *line, struct request_framing *framing, struct error *err)
{
	size_t i;

	if (framing->has_length)
		return malformed(err, "there is more than one Content-Length");
	/* 18 digits cannot overflow, and are more than anybody sends. */
	if (line->value_len == 0 || line->value_len > 18)
		return malformed(err, "Content-Length is not a number of bytes");
	framing->length = 0;
	for (i = 0; i < line->value_len; i++) {
		if (line->value[i] < '0' || line->value[i] > '9')
			return malformed(err, "Content-Length is not a number of bytes");
		framing->length = framing->length * 10 + (uint64_t)(line->value[i] - '0');
	}
	framing->has_length = true;
	return 0;
}

static int
check_host(const struct header_line *line, struct error *err)
{
	size_t i;

	for (i = 0; i < line->value_len; i++) {
		unsigned char c = (unsigned char)line->value[i];

		if (c <= 0x20 || c >= 0x7f || strchr("/?#@\\,\"<>", c) != NULL)
			return malformed(err, "Host is not the name of a host");
	}
	return 0;
}

static int
check_line(const struct header_line *line, struct request_framing *framing, unsigned *hosts,
    struct error *err)
{
	if (!is_token(line->name, line->name_len))
		return malformed(err, "a header's name is not a token (a space before the colon?)");
	if (!is_field_value(line->value, line->value_len))
		return malformed(err, "a header's value holds a control character");
	if (name_is(line, "Host")) {
		(*hosts)++;
		return check_host(line, err);
	}
	if (name_is(line, "Content-Length"))
		return check_length(line, framing, err);
	if (name_is(line, "Transfer-Encoding")) {
		if (framing->chunked)
			return malformed(err, "there is more than one Transfer-Encoding");
		if (line->value_len != 7 || strncasecmp(line->value, "chunked", 7) != 0)
			return malformed(err, "Transfer-Encoding is not 'chunked'");
		framing->chunked = true;
	} else if (name_is(line, "Expect")) {
		if (line->value_len != 12 || strncasecmp(line->value, "100-continue", 12) != 0)
			return malformed(err, "Expect is not '100-continue'");
		framing->expects_continue = true;
	}
	return 0;
}

int
strict_check(const struct request_head *head, struct request_framing *ret, struct error *err)
{
	struct request_framing framing = { false, false, 0, false, false };
	unsigned hosts = 0;
	size_t i;

	if (head->too_many_lines)
		return error_set(err, ERROR_HEADER_TOO_LARGE, "there are more than %u header lines",
		    HTTP_HEADER_COUNT_MAX);
	if (strict_check_layout(head, err) != 0 || check_request_line(head, &framing, err) != 0)
		return -1;
	if (head->size > HTTP_HEADER_MAX)
		return error_set(err, ERROR_HEADER_TOO_LARGE,
		    "the request's header is longer than %u bytes", HTTP_HEADER_MAX);
	for (i = 0; i < head->line_count; i++) {
		if (check_line(&head->lines[i], &framing, &hosts, err) != 0)
			return -1;
	}
	if (hosts > 1)
		return malformed(err, "there is more than one Host");
	if (hosts == 0 && !framing.http_1_0)
		return malformed(err, "there is no Host");
	if (framing.chunked && framing.has_length)
		return malformed(err, "there are both Content-Length and Transfer-Encoding");
	if (framing.chunked && framing.http_1_0)
		return malformed(err, "HTTP/1.0 has no Transfer-Encoding");
	*ret = framing;
	return 0;
}
