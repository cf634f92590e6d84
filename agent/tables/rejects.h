/*
 * The rows that a load did not take, each with its number, column and reason and as it was, so that
 * they can be mended and loaded again: STATE/rejects/RUN, written as the load goes on.
 *
 * Memory: one row.  After a crash the file holds what was written by then.
 */
#ifndef HOLDFAST_AGENT_TABLES_REJECTS_H
#define HOLDFAST_AGENT_TABLES_REJECTS_H

#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct rejects;

/* Made at the first row that is rejected.  state: the agent's folder. */
int rejects_open(const char *state, const char *run, struct rejects **ret, struct error *err);
/*
 * number: of the row, from 1; line: where it begins in its file, from 1, or 0; column: its name, or
 * NULL if it is the row as a whole; raw: the row as it was, any bytes, cut after REJECT_RAW_MAX.
 */
int rejects_add(struct rejects *rejects, uint64_t number, uint64_t line, const char *column,
    const char *reason, const char *raw, size_t raw_len, struct error *err);
/* Durable, if there were any. */
int rejects_close(struct rejects *rejects, struct error *err);

#endif
