/*
 * Rows of the server's binary protocol as Avro binary, by hand: this is what a backup's time goes
 * into.
 *
 * The row's values are those of table_select(); each column's carrier says what they become, and
 * the server's description of the result how they come.  A value is written as it comes, straight
 * from the connection's buffer.
 * Source: agent/tables/FORMAT.md, "Fields"; the MariaDB protocol, "Resultset row", binary.
 */
#ifndef HOLDFAST_AGENT_TABLES_ENCODE_H
#define HOLDFAST_AGENT_TABLES_ENCODE_H

#include <mysql.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/tables/table.h"
#include "shared/buffer.h"
#include "shared/error.h"

struct encoder;

/* table, with table_select() made, must live as long. */
struct encoder *encoder_new(const struct table *table);
void encoder_free(struct encoder *encoder);
/*
 * How the server sends the values; before the first row.  ERROR_DATABASE with the column's name:
 * not as its type wants it.
 */
int encoder_describe(struct encoder *encoder, const MYSQL_FIELD *fields, size_t count,
    struct error *err);
/*
 * Append the next value of a row, in the order of the select list.  value: where it begins, is
 * moved behind it; NULL for NULL.  Nothing is read at end or beyond.  What is wrong with it is told
 * when the row ends.
 */
void encoder_value(struct encoder *encoder, size_t i, uint8_t **value, const uint8_t *end,
    struct buffer *out);
/*
 * After the last value of a row; ret_hash: of its key's columns as they stand in the row, 0 without
 * a key.  ERROR_DATABASE with the column's name: the server sent what its type does not allow.
 */
int encoder_end_row(struct encoder *encoder, uint64_t *ret_hash, struct error *err);

/*
 * Which rows a file holds, whatever their order: two sums, modulo 2^64, over the halves of each
 * row's XXH3 (128 bits, seed 0).  Sums of parts add up.
 */
struct row_sum {
	uint64_t low, high, rows;
};
void row_sum_add(struct row_sum *sum, const void *row, size_t len);
#define ROW_SUM_TEXT_SIZE 33
void row_sum_text(const struct row_sum *sum, char out[ROW_SUM_TEXT_SIZE]);

/* A DECIMAL's digits as Avro carries them: two's complement, big-endian, as short as possible.
 * Returns how many bytes of out were used, 0 if text is no decimal of this scale. */
#define DECIMAL_BYTES_MAX 28
#define DECIMAL_DIGITS_MAX 65
size_t decimal_encode(const char *text, size_t len, unsigned scale,
    uint8_t out[DECIMAL_BYTES_MAX]);
/* The inverse; len 1..DECIMAL_BYTES_MAX, scale at most DECIMAL_DIGITS_MAX. Returns the length of
 * the text, 0 if the bytes are longer than any decimal. */
#define DECIMAL_TEXT_SIZE 160
size_t decimal_decode(const uint8_t *data, size_t len, unsigned scale,
    char out[DECIMAL_TEXT_SIZE]);

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, years 0 to 9999. */
int64_t days_of_date(unsigned year, unsigned month, unsigned day);
void date_of_days(int64_t days, int *ret_year, unsigned *ret_month, unsigned *ret_day);

/* The first day and the day after the last that a four-digit year has. */
#define DAYS_MIN (-719528)
#define DAYS_END 2932897

#endif
