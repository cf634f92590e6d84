#include "tests/lib/head_split.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

/* The next line, its end overwritten by NULs; NULL if there is no whole one. */
static char *
next_line(char **at, char *end)
{
	char *line = *at, *lf;

	lf = memchr(line, '\n', (size_t)(end - line));
	if (lf == NULL)
		return NULL;
	*at = lf + 1;
	*lf = '\0';
	if (lf > line && lf[-1] == '\r')
		lf[-1] = '\0';
	return line;
}

static bool
split_request_line(struct split_head *split, char *line)
{
	char *space = strchr(line, ' '), *last;

	if (space == NULL)
		return false;
	*space = '\0';
	last = strrchr(space + 1, ' ');
	if (last == NULL) {
		/* What lies behind a NUL is not seen, but the protocol is found at the end. */
		last = space + 1 + strlen(space + 1);
		split->head.version = last + 1 + strcspn(last + 1, " ");
		if (*split->head.version == ' ')
			split->head.version++;
	} else {
		*last = '\0';
		split->head.version = last + 1;
	}
	split->head.method = line;
	split->head.target = space + 1;
	split->head.target_len = strlen(space + 1);
	split->target = mem_strdup(space + 1);
	split->head.target_text = split->target;
	return true;
}

/* A folded line: its value is put together elsewhere. */
static void
join(struct split_head *split, const char *more)
{
	struct header_line *line = &split->head.lines[split->head.line_count - 1];
	char *joined;

	joined = mem_printf("%s %s", line->value, more + strspn(more, " \t"));
	line->value = joined;
	line->value_len = strlen(joined);
	split->joined[split->joined_count++] = joined;
}

static bool
add_line(struct split_head *split, char *text)
{
	struct request_head *head = &split->head;
	struct header_line *line;
	char *colon = strchr(text, ':');

	if ((text[0] == ' ' || text[0] == '\t') && head->line_count > 0) {
		if (split->joined_count == HTTP_HEADER_COUNT_MAX)
			return false;
		join(split, text);
		return true;
	}
	if (colon == NULL)
		return false;
	if (head->line_count == HTTP_HEADER_COUNT_MAX) {
		head->too_many_lines = true;
		return true;
	}
	line = &head->lines[head->line_count++];
	*colon = '\0';
	line->name = text;
	line->name_len = strlen(text);
	line->value = colon + 1 + strspn(colon + 1, " \t");
	line->value_len = strlen(line->value);
	return true;
}

bool
head_split(const char *data, size_t len, struct split_head *ret)
{
	char *at, *end, *line;

	memset(ret, 0, sizeof(*ret));
	ret->block = mem_calloc(len + 1, 1);
	if (len > 0)
		memcpy(ret->block, data, len);
	at = ret->block;
	end = ret->block + len;
	line = next_line(&at, end);
	if (line == NULL || !split_request_line(ret, line))
		return false;
	for (;;) {
		line = next_line(&at, end);
		if (line == NULL)
			return false;
		if (line[0] == '\0' && (at - line <= 2))
			break;
		if (!add_line(ret, line))
			return false;
	}
	ret->head.size = (size_t)(at - ret->head.method);
	return true;
}

void
head_split_done(struct split_head *split)
{
	size_t i;

	for (i = 0; i < split->joined_count; i++)
		free(split->joined[i]);
	free(split->target);
	free(split->block);
}
