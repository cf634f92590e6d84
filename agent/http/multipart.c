#include "agent/http/multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/mem.h"
#include "shared/text.h"

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */

static int
broken(struct error *err, const char *what)
{
	return error_set(err, ERROR_BAD_REQUEST, "the form is broken: %s", what);
}

/*
 * The value of a parameter of a header ("; name=value", quoted or not); 1 found, 0 not, -1 too
 * long.  An escape in a quoted value is not taken apart: no browser and no curl sends one that
 * we would need.
 */
static int
parameter(const char *text, const char *end, const char *name, char *out, size_t size)
{
	size_t name_len = strlen(name), len;
	const char *p = text, *value, *stop;

	while ((p = memchr(p, ';', (size_t)(end - p))) != NULL) {
		for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
			;
		if ((size_t)(end - p) <= name_len || strncasecmp(p, name, name_len) != 0 ||
		    p[name_len] != '=')
			continue;
		value = p + name_len + 1;
		if (value < end && *value == '"') {
			value++;
			stop = memchr(value, '"', (size_t)(end - value));
		} else {
			stop = memchr(value, ';', (size_t)(end - value));
			stop = stop == NULL ? end : stop;
		}
		if (stop == NULL || (size_t)(stop - value) >= size)
			return -1;
		len = (size_t)(stop - value);
		memcpy(out, value, len);
		out[len] = '\0';
		return 1;
	}
	return 0;
}

/* The header of a part: the field's name.  Other headers than Content-Disposition mean nothing. */
static int
part_name(const char *header, const char *end, char name[256], struct error *err)
{
	static const char field[] = "Content-Disposition:";
	const char *line = header, *stop;
	char filename[8];

	for (; line < end; line = stop + 2) {
		stop = memmem(line, (size_t)(end - line), "\r\n", 2);
		if (stop == NULL)
			stop = end;
		if ((size_t)(stop - line) < strlen(field) ||
		    strncasecmp(line, field, strlen(field)) != 0)
			continue;
		/* Also a name too long for us to hold means that it is there. */
		if (parameter(line, stop, "filename", filename, sizeof(filename)) != 0)
			return broken(err, "it holds a file, where a text is needed");
		if (parameter(line, stop, "name", name, 256) != 1 || name[0] == '\0')
			return broken(err, "a part has no name");
		return 0;
	}
	return broken(err, "a part has no Content-Disposition");
}

static int
add_part(struct params *params, const char *name, const char *value, size_t len,
    struct error *err)
{
	if (memchr(value, '\0', len) != NULL)
		return error_set(err, ERROR_BAD_REQUEST, "a name or value holds a NUL");
	if (params->count == PARAMS_MAX)
		return error_set(err, ERROR_BAD_REQUEST, "there are more than %d parameters",
		    PARAMS_MAX);
	if (!text_is_utf8(name, strlen(name)))
		return broken(err, "a name is no UTF-8");
	if (params_get(params, name) != NULL)
		return error_set(err, ERROR_BAD_REQUEST, "parameter '%.64s' is given twice", name);
	params->list[params->count].name = mem_strdup(name);
	params->list[params->count].value = text_is_utf8(value, len)
	    ? mem_printf("%.*s", (int)len, value) : text_printable(value, len);
	params->count++;
	return 0;
}

/* From behind one delimiter to the next: header, empty line, value. */
static int
parse_part(struct params *params, const char *part, const char *end, struct error *err)
{
	const char *blank = memmem(part, (size_t)(end - part), "\r\n\r\n", 4);
	char name[256];

	if (blank == NULL)
		return broken(err, "a part has no empty line after its header");
	if (part_name(part, blank, name, err) != 0)
		return -1;
	return add_part(params, name, blank + 4, (size_t)(end - blank - 4), err);
}

static int
parse_parts(struct params *params, const char *delimiter, const char *body, size_t len,
    struct error *err)
{
	const char *end = body + len, *at = body, *next;
	size_t delimiter_len = strlen(delimiter);

	/* The delimiter is CR LF "--" and the boundary; the first one may begin the body. */
	if (len < delimiter_len - 2 || memcmp(body, delimiter + 2, delimiter_len - 2) != 0)
		return broken(err, "it does not begin with its boundary");
	at += delimiter_len - 2;
	while (end - at >= 2 && memcmp(at, "--", 2) != 0) {
		if (memcmp(at, "\r\n", 2) != 0)
			return broken(err, "a boundary does not end its line");
		at += 2;
		next = memmem(at, (size_t)(end - at), delimiter, delimiter_len);
		if (next == NULL)
			return broken(err, "a part does not end");
		if (parse_part(params, at, next, err) != 0)
			return -1;
		at = next + delimiter_len;
	}
	return end - at >= 2 ? 0 : broken(err, "it does not end");
}

int
multipart_parse(const char *content_type, const char *body, size_t len, struct params *ret,
    struct error *err)
{
	char boundary[BOUNDARY_MAX + 1], delimiter[BOUNDARY_MAX + 5];
	struct params params = { NULL, 0 };

	if (parameter(content_type, content_type + strlen(content_type), "boundary", boundary,
	    sizeof(boundary)) != 1 || boundary[0] == '\0')
		return broken(err, "its Content-Type names no boundary");
	snprintf(delimiter, sizeof(delimiter), "\r\n--%s", boundary);
	params.list = mem_calloc(PARAMS_MAX, sizeof(*params.list));
	if (parse_parts(&params, delimiter, body, len, err) != 0) {
		params_done(&params);
		return -1;
	}
	*ret = params;
	return 0;
}
