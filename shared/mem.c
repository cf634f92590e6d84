#include "shared/mem.h"

#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* The segments of an object that are never written: nothing is lost with their pages. */
static int
drop_read_only(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = (info->dlpi_addr + segment->p_vaddr) & ~(page - 1);
		uintptr_t end =
		    (info->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);

		/* Where the kernel will not, they stay: nothing depends on it. */
		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0 && end > start)
			(void)!madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void
mem_rest(void)
{
	malloc_trim(0);
	dl_iterate_phdr(drop_read_only, NULL);
}
