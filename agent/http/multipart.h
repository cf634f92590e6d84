/*
 * multipart/form-data (RFC 7578), as far as forms of short texts go: `curl -F name=value`.
 */
#ifndef HOLDFAST_AGENT_HTTP_MULTIPART_H
#define HOLDFAST_AGENT_HTTP_MULTIPART_H

#include <stddef.h>

#include "agent/http/request.h"
#include "shared/error.h"

/*
 * The fields of a body; content_type holds the boundary.  Values are as in struct params.
 * ERROR_BAD_REQUEST: no boundary, broken parts, a file, a name twice.
 */
int multipart_parse(const char *content_type, const char *body, size_t len, struct params *ret,
    struct error *err);

#endif
