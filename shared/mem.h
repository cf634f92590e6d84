/*
 * Small allocations of our own, which end the process when they fail.  Sizes that come
 * from outside are bounded first and allocated with mem_try, which may fail.
 */
#ifndef HOLDFAST_SHARED_MEM_H
#define HOLDFAST_SHARED_MEM_H

#include <stddef.h>

#include "shared/error.h"

/* Zeroed memory; the product of count and size is checked. */
void *mem_calloc(size_t count, size_t size) __attribute__((malloc));
/* Grow an array to count elements; new elements are not initialised. */
void *mem_realloc(void *old, size_t count, size_t size);
char *mem_strdup(const char *text) __attribute__((malloc));
void *mem_dup(const void *data, size_t len) __attribute__((malloc));
char *mem_printf(const char *fmt, ...) __attribute__((malloc, format(printf, 1, 2)));

/* Memory (not zeroed) for a size from outside; NULL with ERROR_TOO_LARGE if there is none. */
void *mem_try(size_t size, struct error *err);

/* Wipe, then free; for keys and passphrases.  NULL is fine. */
void mem_free_secret(void *secret, size_t len);

/*
 * For a program that comes to rest: give freed memory back, and the pages of program and libraries
 * that only the work before has needed.  The latter are read-only and come back from the page cache
 * when they are touched; most are from the start, as half of the libraries are only others' needs.
 */
void mem_rest(void);

#define MEM_NEW(type) ((type *)mem_calloc(1, sizeof(type)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Grow array `a` (count n, capacity cap) so that one more element fits. */
#define MEM_GROW(a, n, cap) do { \
	if ((n) >= (cap)) { \
		(cap) = (cap) == 0 ? 16 : (cap) + (cap) / 2; \
		(a) = mem_realloc((a), (cap), sizeof(*(a))); \
	} \
} while (0)

#endif
