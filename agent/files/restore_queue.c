/*
 * Batches of items from the walk to the threads that write them.  The queue is short: it bounds
 * memory, and neighbours are written while their frames are still decoded.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/files/restore_internal.h"
#include "shared/mem.h"

/* Batches that wait beyond one a thread: no thread waits while the walk decodes a large tree, there
 * is mostly one of another folder to pick, and folders that are not yet published, which have to
 * stay open, stay few. */
#define BATCHES_MORE 6

void
restore_item_done(struct restore *r, struct restore_item *item)
{
	if (!r->verifying)
		atomic_fetch_add(&r->progress->files, 1);
	entry_done(&item->entry);
}

/* Is another thread writing into a folder of this batch?  A batch's inner folders are its alone. */
static bool
is_contended(const struct restore *r, const struct restore_batch *batch)
{
	const struct restore_folder *first = batch->items[0].folder;
	const struct restore_folder *last = batch->items[batch->count - 1].folder;

	for (unsigned i = 0; i < r->thread_count; i++) {
		const struct restore_thread *thread = &r->threads[i];

		if (thread->first == first || thread->last == first || thread->first == last ||
		    thread->last == last)
			return true;
	}
	return false;
}

/*
 * The oldest batch whose folders no other thread is writing into, else the oldest: the file system
 * makes one name at a time in a folder, so two threads in one mostly wait for each other.
 */
static struct restore_batch *
queue_pick(struct restore *r)
{
	struct restore_batch *before = NULL, *batch = r->queue_first;

	while (batch != NULL && is_contended(r, batch)) {
		before = batch;
		batch = batch->next;
	}
	if (batch == NULL) {
		before = NULL;
		batch = r->queue_first;
	}
	if (before != NULL)
		before->next = batch->next;
	else
		r->queue_first = batch->next;
	if (batch == r->queue_last)
		r->queue_last = before;
	r->queue_count--;
	return batch;
}

static struct restore_batch *
queue_take(struct restore_thread *thread)
{
	struct restore *r = thread->restore;
	struct restore_batch *batch = NULL;

	pthread_mutex_lock(&r->queue_lock);
	thread->first = thread->last = NULL;
	if (r->queue_first == NULL)
		pthread_cond_signal(&r->queue_emptied);
	while (r->queue_first == NULL && !r->queue_closed)
		pthread_cond_wait(&r->queue_filled, &r->queue_lock);
	if (r->queue_first != NULL) {
		batch = queue_pick(r);
		thread->first = batch->items[0].folder;
		thread->last = batch->items[batch->count - 1].folder;
		pthread_cond_signal(&r->queue_emptied);
	}
	pthread_mutex_unlock(&r->queue_lock);
	return batch;
}

/* One run: its folder is opened once, and let go at the end. */
static void
run_work(struct restore *r, struct restore_item *items, size_t count)
{
	struct restore_folder *folder = items[0].folder;
	bool direct = items[0].direct;
	struct error err = ERROR_INIT;
	int dir_fd = -1;
	bool pinned = restore_folder_pin(r, folder, &dir_fd, &err) == 0;

	for (size_t i = 0; i < count; i++) {
		if (!pinned)
			restore_failed(r, folder, items[i].entry.name, &err);
		/* Once stopped, what is queued is only let go. */
		else if (!atomic_load(&r->stopped))
			r->work(r, &items[i], dir_fd);
		restore_item_done(r, &items[i]);
	}
	if (pinned)
		restore_folder_unpin(r, folder);
	if (direct)
		restore_folder_settle(r, folder);
	restore_folder_unref(r, folder);
}

static void
batch_work(struct restore *r, struct restore_batch *batch)
{
	size_t from, to;

	for (from = 0; from < batch->count; from = to) {
		for (to = from + 1; to < batch->count; to++)
			if (batch->items[to].folder != batch->items[from].folder ||
			    batch->items[to].direct != batch->items[from].direct)
				break;
		run_work(r, &batch->items[from], to - from);
	}
	free(batch);
}

static void *
queue_thread(void *arg)
{
	struct restore_thread *thread = arg;
	struct restore_batch *batch;

	while ((batch = queue_take(thread)) != NULL)
		batch_work(thread->restore, batch);
	return NULL;
}

int
restore_queue_start(struct restore *r, unsigned threads, restore_work_fn *work,
    struct error *err)
{
	int code = 0;

	r->work = work;
	r->queue_closed = false;
	r->threads = mem_calloc(threads, sizeof(*r->threads));
	r->thread_count = 0;
	pthread_mutex_lock(&r->queue_lock); /* those that run already look at the others */
	while (r->thread_count < threads && code == 0) {
		struct restore_thread *thread = &r->threads[r->thread_count];

		thread->restore = r;
		code = pthread_create(&thread->thread, NULL, queue_thread, thread);
		if (code == 0)
			r->thread_count++;
	}
	pthread_mutex_unlock(&r->queue_lock);
	/* Fewer threads than asked for are slower, none is a failure. */
	if (r->thread_count > 0)
		return 0;
	free(r->threads);
	r->threads = NULL;
	return error_sys(err, ERROR_UNAVAILABLE, code, "could not start a thread");
}

void
restore_queue_put(struct restore *r, struct restore_batch *batch)
{
	batch->next = NULL;
	pthread_mutex_lock(&r->queue_lock);
	while (r->queue_count >= r->thread_count + BATCHES_MORE)
		pthread_cond_wait(&r->queue_emptied, &r->queue_lock);
	if (r->queue_last == NULL)
		r->queue_first = batch;
	else
		r->queue_last->next = batch;
	r->queue_last = batch;
	r->queue_count++;
	pthread_cond_signal(&r->queue_filled);
	pthread_mutex_unlock(&r->queue_lock);
}

static bool
is_at_work(const struct restore *r)
{
	for (unsigned i = 0; i < r->thread_count; i++)
		if (r->threads[i].first != NULL)
			return true;
	return r->queue_first != NULL;
}

void
restore_queue_drain(struct restore *r)
{
	pthread_mutex_lock(&r->queue_lock);
	while (is_at_work(r))
		pthread_cond_wait(&r->queue_emptied, &r->queue_lock);
	pthread_mutex_unlock(&r->queue_lock);
}

void
restore_queue_finish(struct restore *r)
{
	pthread_mutex_lock(&r->queue_lock);
	r->queue_closed = true;
	pthread_cond_broadcast(&r->queue_filled);
	pthread_mutex_unlock(&r->queue_lock);
	for (unsigned i = 0; i < r->thread_count; i++)
		pthread_join(r->threads[i].thread, NULL);
	free(r->threads);
	r->threads = NULL;
	r->thread_count = 0;
}
