/*
 * The parameters that choose rows of the action log: startdate or start, enddate or end, action,
 * status, q, limit, after.
 */
#ifndef HOLDFAST_AGENT_HTTP_LOG_FILTER_H
#define HOLDFAST_AGENT_HTTP_LOG_FILTER_H

#include "agent/actionlog/actionlog.h"
#include "agent/http/request.h"
#include "shared/error.h"

/* The filter borrows the parameters' texts.  ERROR_BAD_REQUEST. */
int log_filter_parse(const struct params *params, struct actionlog_filter *ret,
    struct error *err);

#endif
