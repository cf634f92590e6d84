/*
 * The daemon's own log, one entry for each event.
 *
 * Where standard error is the systemd journal, an entry with fields of its own:
 *
 *   MESSAGE=run-ended: run=3fa9c2d1 kind=backup outcome=ok ...
 *   PRIORITY=6, HOLDFAST_EVENT=run-ended, HOLDFAST_RUN=3fa9c2d1, HOLDFAST_KIND=backup, ...
 *
 * so that "journalctl HOLDFAST_JOB=home" finds all of a job.  Else one JSON object a line:
 *
 *   {"ts": "2026-11-21T23:05:00.123Z", "level": "info", "event": "started", ...}
 *
 * What belongs to a run or a job names it in "run" and "job".
 * Only http, jobs, notices and main report; everything below them returns its error.
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
