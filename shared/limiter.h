/*
 * How much a second may be used of something, by many threads: bytes of a network, reads of a disk.
 *
 * A struct limiter is a token bucket that may go into debt: whoever takes goes at once while
 * nothing is owed, and what was taken is owed until its time has passed. Takers get their turns in
 * the order in which they came, so no thread starves, and nobody ever polls.
 * A struct limit is what one operation takes from: limiters that it shares with others, one of its
 * own, and the progress by which it is paused and cancelled. Without limiters it costs nothing.
 * Threads: any function from any thread.  A limiter outlives whoever takes from it.
 */
#ifndef HOLDFAST_SHARED_LIMITER_H
#define HOLDFAST_SHARED_LIMITER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/progress.h"

/* So much of a second's worth may be saved up by being idle. */
#define LIMITER_CREDIT_NS INT64_C(100000000)

struct limiter {
	pthread_mutex_t lock;
	uint64_t per_second; /* at least 1 */
	int64_t paid_ns;     /* when all that was taken is paid for; of CLOCK_MONOTONIC */
};

void limiter_init(struct limiter *limiter, uint64_t per_second);
void limiter_done(struct limiter *limiter);
/* Take so much; returns from when on it may be used, which is not after now_ns if it may be used
 * at once. */
int64_t limiter_take(struct limiter *limiter, uint64_t amount, int64_t now_ns);
/* Give back what was taken and will not be used. */
void limiter_return(struct limiter *limiter, uint64_t amount);

#define LIMIT_LIMITERS 2

struct limit {
	struct limiter *limiters[LIMIT_LIMITERS]; /* or NULL */
	struct progress *progress;
};

bool limit_is_set(const struct limit *limit);
/*
 * Wait until so much may be used; while the operation is paused, too. Once it is cancelled nothing
 * waits any more: what it still does to end well is not slowed down. limit may be NULL.
 */
void limit_wait(const struct limit *limit, uint64_t amount);
/* In what pieces to use len, so that it flows and does not come in bursts. */
size_t limit_piece(const struct limit *limit, size_t len);

#endif
