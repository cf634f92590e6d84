/*
 * The check that a request means to us what it means to everybody else on its way.
 *
 * libmicrohttpd 0.9.75 parses leniently: it takes bare LF, NUL, folded lines, spaces before
 * the colon, several lengths.  It lends us the parsed parts as pointers into the block of bytes
 * that the client sent, though, so every byte between the method and the end of the header can
 * be accounted for: what the parser skipped, joined or cut off shows as a gap.
 * One thing cannot be seen: a NUL in the place of the CR before a LF.  The line ends there for
 * the library and for us, and no header in it is lost.
 */
#ifndef HOLDFAST_AGENT_HTTP_STRICT_H
#define HOLDFAST_AGENT_HTTP_STRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

/* Limits of ours; each is far above what any honest client sends. */
#define HTTP_TARGET_MAX 8192u
#define HTTP_HEADER_MAX 16384u
#define HTTP_HEADER_COUNT_MAX 100u

struct header_line {
	const char *name;
	size_t name_len;
	const char *value;
	size_t value_len;
};

/* The parts of a request's head as the parser lends them, all within one block of bytes. */
struct request_head {
	const char *method;  /* where the block begins */
	const char *target;  /* where it lay; the parser has decoded it in place since */
	size_t target_len;   /* as sent */
	const char *target_text; /* as sent: a copy, cut behind HTTP_TARGET_MAX bytes */
	const char *version;
	struct header_line lines[HTTP_HEADER_COUNT_MAX];
	size_t line_count;
	bool too_many_lines;
	size_t size;         /* bytes from method to behind the empty line */
};

/* What the head says about the body. */
struct request_framing {
	bool chunked;
	bool has_length;
	uint64_t length; /* 0 without */
	bool expects_continue;
	bool http_1_0;
};

/*
 * ERROR_MALFORMED_HTTP for anything ambiguous, ERROR_HEADER_TOO_LARGE, ERROR_TOO_LARGE (the
 * target).  After any of them the connection must be closed.
 */
int strict_check(const struct request_head *head, struct request_framing *ret,
    struct error *err);

/* Only the order of the parts in their block: part of strict_check. */
int strict_check_layout(const struct request_head *head, struct error *err);

#endif
