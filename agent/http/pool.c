#include "agent/http/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "shared/mem.h"

struct work {
	STAILQ_ENTRY(work) next;
	pool_fn *fn;
	void *arg;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	STAILQ_HEAD(, work) queue;
	bool ending;
	pthread_t *threads;
	unsigned thread_count;
};

static void *
pool_main(void *arg)
{
	struct pool *pool = arg;
	struct work *work;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (STAILQ_EMPTY(&pool->queue) && !pool->ending)
			pthread_cond_wait(&pool->changed, &pool->lock);
		work = STAILQ_FIRST(&pool->queue);
		if (work == NULL)
			break;
		STAILQ_REMOVE_HEAD(&pool->queue, next);
		pthread_mutex_unlock(&pool->lock);
		work->fn(work->arg);
		free(work);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int
pool_new(unsigned threads, struct pool **ret, struct error *err)
{
	struct pool *pool = MEM_NEW(struct pool);
	int rc;

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	STAILQ_INIT(&pool->queue);
	pool->threads = mem_calloc(threads, sizeof(*pool->threads));
	while (pool->thread_count < threads) {
		rc = pthread_create(&pool->threads[pool->thread_count], NULL, pool_main, pool);
		if (rc != 0) {
			pool_free(pool);
			return error_sys(err, ERROR_IO, rc, "could not start a thread");
		}
		pool->thread_count++;
	}
	*ret = pool;
	return 0;
}

void
pool_free(struct pool *pool)
{
	unsigned i;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}

void
pool_submit(struct pool *pool, pool_fn *fn, void *arg)
{
	struct work *work = MEM_NEW(struct work);

	work->fn = fn;
	work->arg = arg;
	pthread_mutex_lock(&pool->lock);
	STAILQ_INSERT_TAIL(&pool->queue, work, next);
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}
