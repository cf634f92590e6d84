/*
 * The one way bytes are built and parsed: a growing buffer with checked puts, and a
 * read-only view with checked gets.  Integers are little-endian; "varint" is unsigned
 * LEB128 of at most 10 bytes; signed values are zigzag-coded varints; "bytes" is a varint
 * length followed by that many bytes.
 */
#ifndef HOLDFAST_SHARED_BUFFER_H
#define HOLDFAST_SHARED_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct buffer {
	uint8_t *data;
	size_t len;
	size_t cap;
};

#define BUFFER_INIT { NULL, 0, 0 }

void buffer_done(struct buffer *buf);   /* frees, leaves an empty buffer */
void buffer_clear(struct buffer *buf);  /* keeps the memory */
/* Room for more bytes after len; returns where they go (buf->len is not moved). */
uint8_t *buffer_reserve(struct buffer *buf, size_t more);

void buffer_put(struct buffer *buf, const void *data, size_t len);
void buffer_put_u8(struct buffer *buf, uint8_t v);
void buffer_put_u16(struct buffer *buf, uint16_t v);
void buffer_put_u32(struct buffer *buf, uint32_t v);
void buffer_put_u64(struct buffer *buf, uint64_t v);
void buffer_put_varint(struct buffer *buf, uint64_t v);
void buffer_put_signed(struct buffer *buf, int64_t v);
void buffer_put_bytes(struct buffer *buf, const void *data, size_t len);
void buffer_put_text(struct buffer *buf, const char *text); /* no NUL, no length */
void buffer_printf(struct buffer *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* NUL-terminate (the NUL is not counted in len) and lend the text. */
const char *buffer_text(struct buffer *buf);
/* Hand the memory over, NUL-terminated; the buffer is empty afterwards. */
char *buffer_take(struct buffer *buf);

/* A view that is read from front to back.  A get beyond the end fails with ERROR_CORRUPT. */
struct reader {
	const uint8_t *p;
	const uint8_t *end;
	const char *what; /* names the subject in messages */
};

void reader_init(struct reader *r, const void *data, size_t len, const char *what);
size_t reader_left(const struct reader *r);
int reader_get_u8(struct reader *r, uint8_t *ret, struct error *err);
int reader_get_u16(struct reader *r, uint16_t *ret, struct error *err);
int reader_get_u32(struct reader *r, uint32_t *ret, struct error *err);
int reader_get_u64(struct reader *r, uint64_t *ret, struct error *err);
/* Refuses values above max. */
int reader_get_varint(struct reader *r, uint64_t max, uint64_t *ret, struct error *err);
int reader_get_signed(struct reader *r, int64_t *ret, struct error *err);
/* Lends len bytes of the view. */
int reader_get(struct reader *r, size_t len, const uint8_t **ret, struct error *err);
/* Length-prefixed bytes of at most max; lends them. */
int reader_get_bytes(struct reader *r, size_t max, const uint8_t **ret, size_t *ret_len,
    struct error *err);
/* Fails unless everything was read. */
int reader_finish(const struct reader *r, struct error *err);

#endif
