/*
 * A storage that leads to another one at a limited pace.
 */
#ifndef HOLDFAST_AGENT_STORAGE_LIMITED_H
#define HOLDFAST_AGENT_STORAGE_LIMITED_H

#include "agent/storage/storage.h"
#include "shared/limiter.h"

/*
 * Names of the objects that are never held up, as whoever waits for them takes their age for a
 * sign of death: claims.
 */
#define STORAGE_UNLIMITED "claims/"

/*
 * What is written waits for `upload`, what is read for `download`; names, sizes and removals are
 * not counted.  inner stays the caller's, and outlives this one, as do the limits.
 */
struct storage *storage_limited_new(struct storage *inner, const struct limit *upload,
    const struct limit *download);

#endif
