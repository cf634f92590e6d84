/*
 * JSON, value by value, with numbers as they were written: no value goes through a double, and
 * what is not looked into costs no memory.
 *
 * Strict by RFC 8259: UTF-8 is checked, so are escapes and surrogates, nothing may follow.
 * Nesting is bounded by JSON_SCAN_DEPTH, which is also what the server's JSON_VALID() takes.
 */
#ifndef HOLDFAST_AGENT_TABLES_JSON_SCAN_H
#define HOLDFAST_AGENT_TABLES_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"
#include "shared/error.h"

#define JSON_SCAN_DEPTH 32

enum json_scan_type {
	JSON_SCAN_OBJECT,
	JSON_SCAN_ARRAY,
	JSON_SCAN_STRING,
	JSON_SCAN_NUMBER,
	JSON_SCAN_TRUE,
	JSON_SCAN_FALSE,
	JSON_SCAN_NULL
};

/* A text and how far it was read; p is moved by all functions below. */
struct json_scan {
	const char *begin, *p, *end;
};

void json_scan_init(struct json_scan *scan, const char *text, size_t len);

/* Skips blanks; the type of the value that begins there.  -1: none begins. */
int json_scan_peek(struct json_scan *scan, enum json_scan_type *ret, struct error *err);
/* If this character comes next, behind blanks, it is taken. */
bool json_scan_take(struct json_scan *scan, char c);
/* A string, decoded and appended to out. */
int json_scan_string(struct json_scan *scan, struct buffer *out, struct error *err);
/* A whole value, checked, whatever it holds.  depth: how deep it lies, 0 for the outermost. */
int json_scan_skip(struct json_scan *scan, unsigned depth, struct error *err);
/* Nothing but blanks is left. */
int json_scan_end(struct json_scan *scan, struct error *err);
/* ERROR_BAD_REQUEST: what is wrong, and the line and column of where p is. */
int json_scan_error(const struct json_scan *scan, const char *what, struct error *err);

bool json_scan_is_valid(const char *text, size_t len);

#endif
