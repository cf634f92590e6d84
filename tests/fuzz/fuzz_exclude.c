/*
 * Patterns that leave paths out, and a path: one pattern a line, the path is the last line.  What is
 * accepted can be matched with anything, in bounded time.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/exclude.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATTERNS_MAX 32

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_calloc(size + 1, 1), *line = text, *end, *path;
	const char *patterns[PATTERNS_MAX];
	struct exclude *exclude = NULL;
	struct error err = ERROR_INIT;
	size_t count = 0, len;

	if (size > 0)
		memcpy(text, data, size);
	for (; count < PATTERNS_MAX && (end = memchr(line, '\n', size - (size_t)(line - text))) !=
	    NULL; line = end + 1) {
		*end = '\0';
		patterns[count++] = line;
	}
	/* An exact copy, as paths are not terminated. */
	len = size - (size_t)(line - text);
	path = mem_calloc(len + 1, 1);
	path[0] = '/';
	memcpy(path + 1, line, len);
	if (exclude_new(patterns, count, &exclude, &err) == 0) {
		/* Either it is a folder for both, or the pattern ends in a slash. */
		if (exclude_match(exclude, path, len + 1, false) !=
		    exclude_match(exclude, path, len + 1, true))
			assert(count > 0);
		assert(count > 0 || !exclude_match(exclude, path, len + 1, true));
	} else {
		assert(err.code == ERROR_BAD_REQUEST && err.message[0] != '\0');
	}
	exclude_free(exclude);
	free(path);
	free(text);
	return 0;
}
