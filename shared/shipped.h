/*
 * The files below sql/ that the program carries: "migrations/0001_log.up.sql" and so on, sorted
 * by name.
 */
#ifndef HOLDFAST_SHARED_SHIPPED_H
#define HOLDFAST_SHARED_SHIPPED_H

#include <stddef.h>

struct shipped_file {
	const char *name;
	const char *text;
};

extern const struct shipped_file shipped_files[];
extern const size_t shipped_count;

#endif
