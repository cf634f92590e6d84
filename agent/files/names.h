/*
 * The names in a folder, sorted as bytes; compact, so that a folder may hold millions.
 */
#ifndef HOLDFAST_AGENT_FILES_NAMES_H
#define HOLDFAST_AGENT_FILES_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"
#include "shared/error.h"

struct names {
	struct buffer bytes; /* each name: its length (2 bytes), its bytes, a NUL */
	const char **list;   /* into bytes; made by names_sort */
	size_t count;
};

/* All names of an open folder but "." and "..", sorted. If reading fails in the middle, the names
 * so far are there and -1 is returned. */
int names_read(int fd, struct names *ret, struct error *err);
void names_add(struct names *names, const char *name, size_t len);
/* Sort and drop doubles; needed after names_add before names_get. */
void names_sort(struct names *names);
const char *names_get(const struct names *names, size_t n, size_t *ret_len);
bool names_contain(const struct names *names, const char *name);
void names_done(struct names *names);

#endif
