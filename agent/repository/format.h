/*
 * Formats of objects that only a newer version of this program knows.
 *
 * They are not damage: nothing in them may be repaired away, and as nobody here knows what they
 * need, nothing that they could need may be removed.
 * Source: agent/repository/FORMAT.md, "Newer formats".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_FORMAT_H
#define HOLDFAST_AGENT_REPOSITORY_FORMAT_H

#include <stdint.h>

#include "shared/error.h"

#define FORMAT_MAGIC_SIZE 8

/* The number of the format that an object's first bytes name if it is higher than that of `own`
 * (letters, digits, newline); else 0. */
unsigned format_newer(const uint8_t found[FORMAT_MAGIC_SIZE], const char own[FORMAT_MAGIC_SIZE]);

/* ERROR_UNSUPPORTED that names the format; returns -1. */
int format_refuse(const char *what, unsigned long long format, struct error *err);

#endif
