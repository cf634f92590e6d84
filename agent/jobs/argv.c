#include "agent/jobs/argv.h"

#include <stdlib.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/mem.h"

#define BLANKS " \t"
#define OF_SHELLS "|&;<>()$`"

/* A quoted piece, from behind its first quote to behind its last. */
static int
take_quoted(const char **text, char quote, struct buffer *word, struct error *err)
{
	const char *p = *text;

	for (; *p != quote; p++) {
		if (*p == '\0')
			return error_set(err, ERROR_BAD_REQUEST, "a %c has no end", quote);
		if (quote == '"' && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		buffer_put_u8(word, (uint8_t)*p);
	}
	*text = p + 1;
	return 0;
}

static int
take_word(const char **text, struct buffer *word, struct error *err)
{
	const char *p = *text;

	while (*p != '\0' && strchr(BLANKS, *p) == NULL) {
		char c = *p++;

		if (c == '\'' || c == '"') {
			if (take_quoted(&p, c, word, err) != 0)
				return -1;
			continue;
		}
		if (strchr(OF_SHELLS, c) != NULL) {
			error_set(err, ERROR_BAD_REQUEST,
			    "'%c' stands outside of quotes, and no shell reads this", c);
			return error_hint(err, "quote it, or call one: /bin/sh -c '...'");
		}
		if (c == '\\') {
			if (*p == '\0')
				return error_set(err, ERROR_BAD_REQUEST,
				    "a backslash has nothing behind it");
			c = *p++;
		}
		if (c == '\n' || c == '\r')
			return error_set(err, ERROR_BAD_REQUEST, "a line ends outside of quotes");
		buffer_put_u8(word, (uint8_t)c);
	}
	*text = p;
	return 0;
}

int
argv_parse(const char *text, char ***ret, struct error *err)
{
	char **argv = mem_calloc(ARGV_WORDS_MAX + 1, sizeof(*argv));
	struct buffer word = BUFFER_INIT;
	size_t count = 0;
	int rc = -1;

	for (;;) {
		text += strspn(text, BLANKS);
		if (*text == '\0')
			break;
		if (count == ARGV_WORDS_MAX) {
			error_set(err, ERROR_BAD_REQUEST, "there are more than %d words",
			    ARGV_WORDS_MAX);
			goto out;
		}
		if (take_word(&text, &word, err) != 0)
			goto out;
		argv[count++] = buffer_take(&word);
	}
	if (count == 0 || argv[0][0] != '/') {
		error_set(err, ERROR_BAD_REQUEST, "program '%.100s' is no absolute path",
		    count == 0 ? "" : argv[0]);
		error_hint(err, "write where it lies, as in /usr/bin/true");
		goto out;
	}
	*ret = argv;
	argv = NULL;
	rc = 0;
out:
	buffer_done(&word);
	argv_free(argv);
	return rc;
}

void
argv_free(char **argv)
{
	for (char **word = argv; word != NULL && *word != NULL; word++)
		free(*word);
	free(argv);
}
