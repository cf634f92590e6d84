/*
 * Answers packed by gzip, for clients that accept it.
 *
 * Texts only: what holds other data is compressed already, or may be, and a client may go on in the
 * middle of it.  Bounded: a body in memory that is long is packed quickly rather than well, one
 * that is very long not at all; a stream is packed quickly by the thread that makes it.
 */
#ifndef HOLDFAST_AGENT_HTTP_COMPRESS_H
#define HOLDFAST_AGENT_HTTP_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"

/* Below this a packed text is hardly shorter, or even longer. */
#define COMPRESS_MIN 1024u
/* Of a body in memory: about a fifth of a second of a worker's time. */
#define COMPRESS_MAX (16u << 20)
/* Of one that is made in an epoll thread: about a quarter of a millisecond. */
#define COMPRESS_MAX_INLINE (32u << 10)

/* Is it a text that is worth packing?  A stream of events is not: each has to arrive at once. */
bool compress_takes(const char *content_type);

/* Pack a body in place; false if it is better left as it is, which it then is. */
bool compress_body(struct buffer *body);

struct compressor;

struct compressor *compressor_new(void);
void compressor_free(struct compressor *compressor); /* takes NULL */
/* Append to out all that is needed to read what was put so far; the end, if it is the last. */
void compressor_put(struct compressor *compressor, const void *data, size_t len, bool last,
    struct buffer *out);

#endif
