/*
 * What GET /v1/status and /metrics tell without waiting for the disk: the number of snapshots, the
 * repository's size and the free space are looked up by a worker, after each run and when they are
 * old, and kept.
 */
#ifndef HOLDFAST_AGENT_HTTP_STATUS_H
#define HOLDFAST_AGENT_HTTP_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

struct http;
struct status_cache;

struct status_cache *status_cache_new(struct http *http);
/* Stop listening to runs; the last look-up has ended.  NULL is fine. */
void status_cache_free(struct status_cache *cache);
/* For the ticker: look things up again if somebody asked and they are old. */
void status_cache_tick(struct status_cache *cache, int64_t now_ms);

/* What was found at the last look. */
struct status_figures {
	int64_t started_ms; /* of the agent: unix milliseconds */
	bool snapshots_known, size_known, space_known;
	uint64_t snapshots, size_bytes, free_bytes, total_bytes;
};
/* Waits for nothing; what is old will be looked up. */
void status_cache_figures(struct status_cache *cache, struct status_figures *ret);

#endif
