/*
 * Text and names: hexadecimal, text from outside made printable, JSON-safe text from bytes,
 * times as RFC 3339, sizes for people.
 */
#ifndef HOLDFAST_SHARED_TEXT_H
#define HOLDFAST_SHARED_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "shared/error.h"

/* Lower-case hexadecimal; out takes 2 * len + 1 bytes. */
void hex_encode(const void *data, size_t len, char *out);
/* Exactly 2 * len digits of either case; returns 0, or -1 if text is anything else. */
int hex_decode(const char *text, size_t text_len, void *out, size_t len);
/* The value of a hexadecimal digit, or -1; the locale has no say in it. */
int hex_value(char c);

/*
 * Bytes of any kind as text that is safe to show and is valid UTF-8: control characters
 * (C0, DEL, C1), bidirectional controls, line separators and invalid UTF-8 become \xNN of
 * each byte; a backslash becomes \\.  Heap; caller frees.
 */
char *text_printable(const void *data, size_t len);
/* The inverse of text_printable: \xNN and \\ back to bytes.  -1 on a broken escape. */
int text_unprintable(const char *text, struct error *err, char **ret, size_t *ret_len);
bool text_is_utf8(const void *data, size_t len);
/* Whether word is one of words, as in "skip|newer". */
bool text_is_word_of(const char *word, const char *words);

/* "2026-11-21T23:05:00.123456789Z" with digits (0, 3, 6 or 9) of fraction. */
#define TIME_TEXT_SIZE 40
void time_format(struct timespec t, int digits, char out[TIME_TEXT_SIZE]);
/*
 * RFC 3339 (Z or offset, optional fraction, 'T' or space), or a bare date "YYYY-MM-DD", which
 * means the first (end_of_day false) or last nanosecond of that day in UTC.  Calendar-checked.
 */
int time_parse(const char *text, bool end_of_day, struct timespec *ret, struct error *err);
struct timespec time_now(void);      /* CLOCK_REALTIME */
int64_t time_monotonic_ms(void);     /* CLOCK_MONOTONIC */
int64_t time_monotonic_ns(void);

/* "1.5 GiB"; out takes 16 bytes. */
void size_format(uint64_t bytes, char out[16]);
/* "64M", "1.5G", "4096", with optional B / iB; powers of 1024. */
int size_parse(const char *text, uint64_t *ret, struct error *err);
/* "90s", "15m", "26h", "7d", "2w"; bare numbers are refused but "0". */
int duration_parse(const char *text, int64_t *ret_seconds, struct error *err);

#endif
