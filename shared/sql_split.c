#include "shared/sql_split.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "shared/text.h"

void
sql_split_init(struct sql_split *split, const char *text, size_t len)
{
	/* Editors of another system begin a file so. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	*split = (struct sql_split){ .p = text, .end = text + len, .line = 1, .delimiter = ";" };
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
starts(const char *p, const char *end, const char *what)
{
	size_t len = strlen(what);

	return (size_t)(end - p) >= len && memcmp(p, what, len) == 0;
}

static const char *
end_of_line(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));

	return nl == NULL ? end : nl + 1;
}

/* "--" is a comment only before a blank, a control character or the end: 5--1 is not. */
static bool
is_line_comment(const char *p, const char *end)
{
	return *p == '#' ||
	    (starts(p, end, "--") && (end - p == 2 || (unsigned char)p[2] <= ' '));
}

static bool
is_executed_comment(const char *p, const char *end)
{
	return starts(p, end, "/*!") || starts(p, end, "/*M!");
}

static const char *
skip_quoted(const char *p, const char *end)
{
	char quote = *p++;

	for (; p < end; p++) {
		if (*p == '\\' && quote != '`')
			p++;
		else if (*p == quote && p + 1 < end && p[1] == quote)
			p++;
		else if (*p == quote)
			return p + 1;
	}
	return NULL;
}

/* What the server executes may hold strings, and in them what looks like the comment's end. */
static const char *
skip_executed(const char *p, const char *end)
{
	for (p += 3; p != NULL && p < end; ) {
		if (starts(p, end, "*/"))
			return p + 2;
		p = *p == '\'' || *p == '"' || *p == '`' ? skip_quoted(p, end) : p + 1;
	}
	return NULL;
}

const char *
sql_skip(const char *p, const char *end)
{
	const char *close;

	if (*p == '\'' || *p == '"' || *p == '`')
		return skip_quoted(p, end);
	if (is_line_comment(p, end))
		return end_of_line(p, end);
	if (is_executed_comment(p, end))
		return skip_executed(p, end);
	if (!starts(p, end, "/*"))
		return p + 1;
	close = end - p < 4 ? NULL : memmem(p + 2, (size_t)(end - p) - 2, "*/", 2);
	return close == NULL ? NULL : close + 2;
}

static void
count_lines(struct sql_split *split, const char *to)
{
	for (; split->p < to; split->p++)
		split->line += *split->p == '\n';
}

static int
fail_at(const struct sql_split *split, struct error *err, const char *what)
{
	return error_set(err, ERROR_BAD_REQUEST, "line %u: %s", split->line, what);
}

/* "DELIMITER //" where a statement could begin: the rest of its line. */
static bool
is_delimiter_line(const struct sql_split *split)
{
	return split->end - split->p > 10 && strncasecmp(split->p, "delimiter", 9) == 0 &&
	    (split->p[9] == ' ' || split->p[9] == '\t');
}

static int
take_delimiter(struct sql_split *split, struct error *err)
{
	const char *p = split->p + 9, *stop = end_of_line(p, split->end);
	size_t len;

	while (p < stop && is_blank(*p))
		p++;
	for (len = 0; p + len < stop && !is_blank(p[len]); len++)
		if (memchr("\\'\"`", p[len], 5) != NULL) /* NUL is one of them */
			return fail_at(split, err,
			    "a delimiter cannot hold quotes, backslashes or NUL");
	if (len == 0 || len > SQL_DELIMITER_MAX)
		return fail_at(split, err, "a delimiter has 1 to 15 characters");
	memcpy(split->delimiter, p, len);
	split->delimiter[len] = '\0';
	count_lines(split, stop);
	return 0;
}

/* Past blanks, comments, lone delimiters and DELIMITER lines, to where a statement begins. */
static int
skip_to_statement(struct sql_split *split, struct error *err)
{
	const char *next;

	while (split->p < split->end) {
		const char *p = split->p;

		if (is_blank(*p)) {
			next = p + 1;
		} else if (is_line_comment(p, split->end) || (starts(p, split->end, "/*") &&
		    !is_executed_comment(p, split->end))) {
			next = sql_skip(p, split->end);
			if (next == NULL)
				return fail_at(split, err, "a comment begins here and has no end");
		} else if (starts(p, split->end, split->delimiter)) {
			next = p + strlen(split->delimiter);
		} else if (is_delimiter_line(split)) {
			if (take_delimiter(split, err) != 0)
				return -1;
			continue;
		} else {
			return 0;
		}
		count_lines(split, next);
	}
	return 0;
}

int
sql_split_next(struct sql_split *split, struct sql_statement *ret, struct error *err)
{
	const char *p, *next, *last;

	if (skip_to_statement(split, err) != 0)
		return -1;
	if (split->p == split->end)
		return 0;
	ret->text = split->p;
	ret->line = split->line;
	/* last: the end of what is neither blank nor comment */
	for (p = last = split->p; p < split->end; p = next) {
		bool comment;

		if (starts(p, split->end, split->delimiter))
			break;
		comment = is_line_comment(p, split->end) || (starts(p, split->end, "/*") &&
		    !is_executed_comment(p, split->end));
		next = sql_skip(p, split->end);
		if (next == NULL) {
			count_lines(split, p);
			return fail_at(split, err, *p == '/' ?
			    "a comment begins here and has no end"
			    : "a quote begins here and has no end");
		}
		if (*p == '\0') {
			count_lines(split, p);
			return fail_at(split, err, "a NUL byte");
		}
		if (!comment && !is_blank(*p))
			last = next;
	}
	ret->len = (size_t)(last - ret->text);
	if (!text_is_utf8(ret->text, ret->len))
		return fail_at(split, err, "the statement that begins here is not valid UTF-8");
	if (memchr(ret->text, '\0', ret->len) != NULL)
		return fail_at(split, err, "the statement that begins here holds a NUL byte");
	next = p < split->end ? p + strlen(split->delimiter) : p;
	count_lines(split, next);
	return 1;
}
