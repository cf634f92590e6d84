/*
 * The daemon's own log: one JSON object a line on standard error.
 *
 *   {"ts": "2026-11-21T23:05:00.123Z", "level": "info", "event": "started", ...}
 *
 * Only http, jobs and main report; everything below them returns its error.
 */
#ifndef HOLDFAST_SHARED_LOG_H
#define HOLDFAST_SHARED_LOG_H

#include <jansson.h>

#include "shared/error.h"

enum log_level { LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* event: one word with dashes.  fields: an object that is taken over, or NULL. */
void log_event(enum log_level level, const char *event, json_t *fields);
/* The same with {"code", "message", "hint"} of an error besides. */
void log_error(const char *event, const struct error *why, json_t *fields);

#endif
