#include "shared/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
die_of_memory(void)
{
	fputs("holdfast: out of memory\n", stderr);
	abort();
}

void *
mem_calloc(size_t count, size_t size)
{
	void *p = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);

	if (p == NULL)
		die_of_memory();
	return p;
}

void *
mem_realloc(void *old, size_t count, size_t size)
{
	void *p;

	if (size != 0 && count > SIZE_MAX / size)
		die_of_memory();
	p = realloc(old, count * size == 0 ? 1 : count * size);
	if (p == NULL)
		die_of_memory();
	return p;
}

char *
mem_strdup(const char *text)
{
	return mem_dup(text, strlen(text) + 1);
}

void *
mem_dup(const void *data, size_t len)
{
	void *p = mem_calloc(1, len);

	if (len > 0)
		memcpy(p, data, len);
	return p;
}

char *
mem_printf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		die_of_memory();
	va_end(ap);
	return text;
}

void *
mem_try(size_t size, struct error *err)
{
	void *p = malloc(size == 0 ? 1 : size);

	if (p == NULL)
		error_set(err, ERROR_TOO_LARGE, "no memory for %zu bytes", size);
	return p;
}

void
mem_free_secret(void *secret, size_t len)
{
	if (secret == NULL)
		return;
	explicit_bzero(secret, len);
	free(secret);
}
