/*
 * What GET /v1/status tells without waiting for the disk: the number of snapshots and the free
 * space are looked up by a worker, after each run and when they are old, and kept.
 */
#ifndef HOLDFAST_AGENT_HTTP_STATUS_H
#define HOLDFAST_AGENT_HTTP_STATUS_H

#include <stdint.h>

#include "shared/error.h"

struct http;
struct status_cache;

struct status_cache *status_cache_new(struct http *http);
/* Stop listening to runs; the last look-up has ended.  NULL is fine. */
void status_cache_free(struct status_cache *cache);
/* For the ticker: look things up again if somebody asked and they are old. */
void status_cache_tick(struct status_cache *cache, int64_t now_ms);

#endif
