/*
 * What a client prefers: media types by Accept, compression, byte ranges, entity tags.  Pure functions on text.
 */
#ifndef HOLDFAST_AGENT_HTTP_NEGOTIATE_H
#define HOLDFAST_AGENT_HTTP_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

/*
 * The index of the offered type ("application/json") that Accept prefers; the earlier one of
 * equals.  accept NULL takes the first.  ERROR_NOT_ACCEPTABLE names what there is.
 */
int accept_choose(const char *accept, const char *const *offered, size_t count, size_t *ret,
    struct error *err);

/* Is the media type (before any parameters) this one?  NULL is not. */
bool media_type_is(const char *content_type, const char *type);

struct byte_range {
	uint64_t first;
	uint64_t last; /* inclusive; UINT64_MAX: to the end, whatever that is */
};

/* Stands for a size that is not known yet. */
#define RANGE_SIZE_UNKNOWN UINT64_MAX

/*
 * One byte range: "bytes=0-99", "bytes=100-", "bytes=-5" (of a known size only).
 * 1 and the range, cut to the size; 0 if the header is to be ignored (NULL, another unit,
 * several ranges, not well formed), as RFC 9110 14.2 has it; -1 ERROR_BAD_RANGE.
 */
int range_parse(const char *range, uint64_t size, struct byte_range *ret, struct error *err);

/* Does an If-None-Match (weak comparison) or If-Range (strong) name this tag ("\"abc\"")? */
bool etag_listed(const char *list, const char *etag);
bool etag_is(const char *value, const char *etag);

/* Does Accept-Encoding (NULL: none was sent) take gzip? */
bool accepts_gzip(const char *accept_encoding);

/* Does a Prefer header hold this preference ("respond-async")? */
bool prefer_has(const char *prefer, const char *preference);

#endif
