/*
 * A run's arguments: JSON from outside, checked against a table before anything looks at it.
 *
 * After arguments_check() the getters need no error of their own.
 */
#ifndef HOLDFAST_AGENT_JOBS_ARGUMENTS_H
#define HOLDFAST_AGENT_JOBS_ARGUMENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

enum argument_type {
	ARGUMENT_TEXT,
	ARGUMENT_WORD,     /* one of words */
	ARGUMENT_TEXTS,    /* array of texts */
	ARGUMENT_BOOL,
	ARGUMENT_INTEGER,  /* min..max */
	ARGUMENT_SIZE,     /* bytes, or a text as "64M" */
	ARGUMENT_DURATION, /* seconds, or a text as "7d" */
	ARGUMENT_OBJECT    /* with fields of its own */
};

struct argument_spec {
	const char *name; /* NULL ends the table */
	enum argument_type type;
	int64_t min, max;
	const char *words; /* "skip|newer" */
	const struct argument_spec *fields;
};

/* A text is at most so long, an array of texts has at most so many. */
#define ARGUMENT_TEXT_MAX 65536
#define ARGUMENT_TEXTS_MAX 10000

/* Unknown fields, wrong types and values out of bounds are ERROR_BAD_REQUEST that names the
 * field and what it takes. */
int arguments_check(const json_t *arguments, const struct argument_spec *specs,
    struct error *err);

/* The fallback is for a field that is absent. */
bool argument_bool(const json_t *arguments, const char *name, bool fallback);
int64_t argument_integer(const json_t *arguments, const char *name, int64_t fallback);
uint64_t argument_size(const json_t *arguments, const char *name, uint64_t fallback);
int64_t argument_duration(const json_t *arguments, const char *name, int64_t fallback);
const char *argument_text(const json_t *arguments, const char *name);
/* The texts of an array, lent; the caller frees the array itself.  NULL and 0 if absent. */
const char **argument_texts(const json_t *arguments, const char *name, size_t *ret_count);
/* The same with the text of another field behind them: "paths" and "path". */
const char **argument_texts_and(const json_t *arguments, const char *name, const char *one,
    size_t *ret_count);

#endif
