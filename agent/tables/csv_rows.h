/*
 * Rows of a CSV file, for row_load(): RFC 4180 (fields in quotes may hold line breaks, delimiters
 * and doubled quotes), UTF-8 with or without a byte order mark, lines that end with CR LF, LF or
 * CR.
 * Spaces belong to their field.  Blank lines are no rows.
 *
 * What is no row is given as one with a reason: too few or too many fields, a NUL byte, a quote
 * where none may be, a quote that is never closed, more than CSV_ROW_MAX bytes.  The source goes on
 * behind it: at the next line after a misplaced quote, else at the row's end.
 *
 * Memory: a block and one row of at most CSV_ROW_MAX bytes, whatever the file holds.
 */
#ifndef HOLDFAST_AGENT_TABLES_CSV_ROWS_H
#define HOLDFAST_AGENT_TABLES_CSV_ROWS_H

#include "agent/tables/row_load.h"

/* As much as a server takes in one statement, unless it is told otherwise (max_allowed_packet). */
#define CSV_ROW_MAX ((size_t)16 << 20)

enum csv_header {
	/* The first line is one if each of its fields is the name of a column of the table. */
	CSV_HEADER_AUTO,
	CSV_HEADER_YES,
	CSV_HEADER_NO /* the fields are all columns of the table, in its order */
};

struct csv_rows_options {
	enum csv_header header;
	char delimiter;        /* one that csv_delimiter_parse() gave */
	/* NULL: an empty field without quotes is NULL.  Else only fields that are this word are,
	 * with or without quotes, and an empty one is an empty text. */
	const char *null_word;
	struct rejects *rejects; /* is told the header; may be NULL */
	struct progress *progress; /* its bytes, and whether to stop; may be NULL */
};

struct csv_rows;

/* "auto", "yes", "no". */
int csv_header_parse(const char *word, enum csv_header *ret, struct error *err);
/* One character of ASCII, or "\t".  ERROR_BAD_REQUEST: a quote, a line break, anything longer. */
int csv_delimiter_parse(const char *text, char *ret, struct error *err);

/*
 * fd: of a file or pipe, from where it is; the caller closes it.  options is copied, but for what
 * it points to.  ERROR_BAD_REQUEST: UTF-16; the source's begin: a header that does not fit the table.
 */
int csv_rows_open(int fd, const struct csv_rows_options *options, struct csv_rows **ret,
    struct error *err);
/* Lent. */
struct row_source *csv_rows_source(struct csv_rows *csv);
void csv_rows_close(struct csv_rows *csv);

#endif
