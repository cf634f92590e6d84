/*
 * The rows that a load did not take, each with its number, column and reason and as it was, so that
 * they can be mended and loaded again: STATE/rejects/RUN (mode 0600), written as the load goes on,
 * and readable meanwhile.
 *
 * Memory: one row.  After a crash the file holds what was written by then; a row at its end that is
 * not whole is left out by readers.
 * Runs are kept for ever, their rejects are not: the folder is kept below REJECTS_FOLDER_MAX by
 * removing those of the oldest loads, and a load that rejects more than REJECTS_RUN_MAX ends: it is
 * of another table, or has another delimiter, and must not fill the disk that the agent needs.  So
 * REJECTS_ROOM_MIN is left there, too.
 *
 * The file: REJECTS_MAGIC, then records, each a u32 length and so many bytes (shared/buffer.h):
 *   u8 0, u8 flags (1: lines end with CR LF), bytes header line           at most one, the first
 *   u8 1, varint number, varint line, u8 flags (1: has a column, 2: raw is cut), bytes column,
 *   bytes reason, bytes raw
 */
#ifndef HOLDFAST_AGENT_TABLES_REJECTS_H
#define HOLDFAST_AGENT_TABLES_REJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

#define REJECTS_MAGIC "holdfast rejects 1\n"
#define REJECT_RAW_MAX ((size_t)1 << 20)
#define REJECT_REASON_MAX 4096u
#define REJECTS_RUN_MAX (UINT64_C(256) << 20)
#define REJECTS_FOLDER_MAX (UINT64_C(1) << 30)
/* The journal's file of what is not written back yet grows to as much. */
#define REJECTS_ROOM_MIN (UINT64_C(4) << 20)

struct rejects;

/* Made at the first row that is rejected.  state: the agent's folder. */
int rejects_open(const char *state, const char *run, struct rejects **ret, struct error *err);
/*
 * The rows are lines of CSV: what stands above them, or NULL if nothing does, and how lines end.
 * Before the first rejects_add().
 */
void rejects_set_header(struct rejects *rejects, const char *header, size_t len, bool crlf);
/*
 * number: of the row, from 1; line: where it begins in its file, from 1, or 0; column: its name, or
 * NULL if it is the row as a whole; raw: the row as it was, any bytes, cut after REJECT_RAW_MAX.
 * ERROR_BAD_REQUEST: more than REJECTS_RUN_MAX; ERROR_NO_SPACE, also with REJECTS_ROOM_MIN left.
 */
int rejects_add(struct rejects *rejects, uint64_t number, uint64_t line, const char *column,
    const char *reason, const char *raw, size_t raw_len, struct error *err);
/* Durable, if there were any; frees it, also on failure.  NULL is fine. */
int rejects_close(struct rejects *rejects, struct error *err);

/* ---- reading, also while it is written */

struct rejects_reader;

struct reject {
	uint64_t number, line;
	const char *column;  /* or NULL */
	const char *reason;
	const char *raw;     /* lent, like the others, until the next one */
	size_t raw_len;
	bool cut;            /* raw is only the row's beginning */
};

/* 1 and a reader, 0 if that run has no rejects, -1. */
int rejects_read_open(const char *state, const char *run, struct rejects_reader **ret,
    struct error *err);
/* What rejects_set_header() said; NULL and no CR LF if nothing. */
const char *rejects_read_header(const struct rejects_reader *reader, size_t *ret_len,
    bool *ret_crlf);
/* Whether rejects_set_header() was called: the rows are lines of CSV, else JSON. */
bool rejects_read_is_csv(const struct rejects_reader *reader);
/* 1 a row, 0 the end as it is now, -1; ERROR_CORRUPT. */
int rejects_read(struct rejects_reader *reader, struct reject *ret, struct error *err);
void rejects_read_close(struct rejects_reader *reader);

/*
 * All rows as they were: lines of CSV below their header, or an array of JSON.  Those that were cut
 * are left out.
 */
typedef int rejects_sink_fn(void *arg, const void *data, size_t len, struct error *err);
int rejects_write_raw(struct rejects_reader *reader, rejects_sink_fn *sink, void *arg,
    struct error *err);

#endif
