/*
 * A setting's line as a program and its arguments: what is taken can be written down again by
 * quoting each word, and is then read as the same words.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/argv.h"
#include "shared/buffer.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *
written(char **argv)
{
	struct buffer text = BUFFER_INIT;

	for (; *argv != NULL; argv++) {
		buffer_put_text(&text, " '");
		for (const char *p = *argv; *p != '\0'; p++) {
			if (*p == '\'')
				buffer_put_text(&text, "'\\''");
			else
				buffer_put_u8(&text, (uint8_t)*p);
		}
		buffer_put_text(&text, "'");
	}
	return buffer_take(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	char **argv = NULL, **again = NULL, *text = mem_calloc(1, size + 1), *quoted;
	size_t i;

	memcpy(text, data, size);
	if (argv_parse(text, &argv, &err) == 0) {
		assert(argv[0][0] == '/');
		quoted = written(argv);
		assert(argv_parse(quoted, &again, &err) == 0);
		for (i = 0; argv[i] != NULL && again[i] != NULL; i++)
			assert(strcmp(argv[i], again[i]) == 0);
		assert(argv[i] == NULL && again[i] == NULL && i <= ARGV_WORDS_MAX);
		free(quoted);
	} else {
		assert(argv == NULL && err.message[0] != '\0');
	}
	argv_free(again);
	argv_free(argv);
	free(text);
	return 0;
}
