#include "shared/limiter.h"

#include "shared/text.h"

/* A piece takes about an eighth of a second; more often would only cost. */
#define PIECES_PER_SECOND 8
#define PIECE_MIN (16u << 10)

/* No debt reaches further, so that sums stay within 64 bits: about 146 years. */
#define DEBT_MAX_NS (INT64_MAX / 2)

void
limiter_init(struct limiter *limiter, uint64_t per_second)
{
	pthread_mutex_init(&limiter->lock, NULL);
	limiter->per_second = per_second > 0 ? per_second : 1;
	limiter->paid_ns = INT64_MIN;
}

void
limiter_done(struct limiter *limiter)
{
	pthread_mutex_destroy(&limiter->lock);
}

static int64_t
price_ns(const struct limiter *limiter, uint64_t amount)
{
	double ns = (double)amount / (double)limiter->per_second * 1e9;

	return ns > (double)(DEBT_MAX_NS / 2) ? DEBT_MAX_NS / 2 : (int64_t)ns;
}

int64_t
limiter_take(struct limiter *limiter, uint64_t amount, int64_t now_ns)
{
	int64_t from;

	pthread_mutex_lock(&limiter->lock);
	if (limiter->paid_ns < now_ns - LIMITER_CREDIT_NS)
		limiter->paid_ns = now_ns - LIMITER_CREDIT_NS;
	from = limiter->paid_ns;
	if (limiter->paid_ns < DEBT_MAX_NS)
		limiter->paid_ns += price_ns(limiter, amount);
	pthread_mutex_unlock(&limiter->lock);
	return from;
}

void
limiter_return(struct limiter *limiter, uint64_t amount)
{
	pthread_mutex_lock(&limiter->lock);
	/* Of what others took meanwhile nothing changes: they have their turns. */
	limiter->paid_ns -= price_ns(limiter, amount);
	pthread_mutex_unlock(&limiter->lock);
}

bool
limit_is_set(const struct limit *limit)
{
	for (size_t i = 0; limit != NULL && i < LIMIT_LIMITERS; i++)
		if (limit->limiters[i] != NULL)
			return true;
	return false;
}

void
limit_wait(const struct limit *limit, uint64_t amount)
{
	int64_t now, until;

	if (!limit_is_set(limit) || amount == 0)
		return;
	now = until = time_monotonic_ns();
	for (size_t i = 0; i < LIMIT_LIMITERS; i++) {
		int64_t from = limit->limiters[i] == NULL ? now
		    : limiter_take(limit->limiters[i], amount, now);

		if (from > until)
			until = from;
	}
	if (progress_wait_until(limit->progress, until))
		return;
	/* The others need not wait for what this one does not use at its pace. */
	for (size_t i = 0; i < LIMIT_LIMITERS; i++)
		if (limit->limiters[i] != NULL)
			limiter_return(limit->limiters[i], amount);
}

size_t
limit_piece(const struct limit *limit, size_t len)
{
	for (size_t i = 0; limit != NULL && i < LIMIT_LIMITERS; i++) {
		uint64_t piece;

		if (limit->limiters[i] == NULL)
			continue;
		piece = limit->limiters[i]->per_second / PIECES_PER_SECOND;
		if (piece < PIECE_MIN)
			piece = PIECE_MIN;
		if (piece < len)
			len = (size_t)piece;
	}
	return len;
}
