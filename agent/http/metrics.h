/*
 * GET /metrics: counts what happens, and keeps the text for a second.
 *
 * A text that is fresh is answered in the epoll thread; else one worker gathers the figures
 * anew, and whoever asks meanwhile gets the last text, so that thousands who ask cost little more
 * than one.  Gathering looks at the disk only to count notices: what takes longer to look up comes
 * from agent/http/status.h.  Nobody has asked for a while: the text is given back.
 * Threads: any; one lock, held for moments.
 */
#ifndef HOLDFAST_AGENT_HTTP_METRICS_H
#define HOLDFAST_AGENT_HTTP_METRICS_H

#include <stdint.h>

#include "shared/error.h"

struct http;
struct metrics;

struct metrics *metrics_new(struct http *http);
/* No worker may be in it any more.  NULL is fine. */
void metrics_free(struct metrics *metrics);
/* For the ticker: give back a text that nobody asks for. */
void metrics_tick(struct metrics *metrics, int64_t now_ms);

/* An answer of ours was handed to the library. */
void metrics_count_answer(struct metrics *metrics, const char *method, unsigned status);
/* A request was refused before its handler, or ended before it was complete. */
void metrics_count_refusal(struct metrics *metrics, enum error_code why);

#endif
