#include "shared/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/mem.h"
#include "shared/text.h"

void
progress_init(struct progress *progress)
{
	memset(progress, 0, sizeof(*progress));
	atomic_init(&progress->phase, "");
	pthread_mutex_init(&progress->lock, NULL);
	pthread_cond_init(&progress->resumed, NULL);
}

static void
remarks_done(struct remarks *remarks)
{
	for (size_t i = 0; i < remarks->count; i++) {
		free(remarks->list[i].path);
		free(remarks->list[i].reason);
	}
	free(remarks->list);
	memset(remarks, 0, sizeof(*remarks));
}

void
progress_done(struct progress *progress)
{
	remarks_done(&progress->losses);
	remarks_done(&progress->notes);
	pthread_cond_destroy(&progress->resumed);
	pthread_mutex_destroy(&progress->lock);
}

void
progress_phase(struct progress *progress, const char *phase)
{
	atomic_store(&progress->phase, phase);
}

/* How much of a printable text fits into max bytes without cutting a character or an escape. */
static size_t
printable_prefix(const char *text, size_t max)
{
	size_t used = 0;

	for (;;) {
		size_t n = 1;

		if (text[used] == '\\')
			n = text[used + 1] == 'x' ? 4 : 2;
		else
			while ((text[used + n] & 0xc0) == 0x80)
				n++;
		if (used + n > max)
			return used;
		used += n;
	}
}

void
progress_path(struct progress *progress, const void *path, size_t len)
{
	static const char dots[] = "...";
	const size_t room = sizeof(progress->path);
	char *text = text_printable(path, len);
	size_t text_len = strlen(text);

	pthread_mutex_lock(&progress->lock);
	if (text_len < room) {
		memcpy(progress->path, text, text_len + 1);
	} else {
		text_len = printable_prefix(text, room - sizeof(dots));
		memcpy(progress->path, text, text_len);
		memcpy(progress->path + text_len, dots, sizeof(dots));
	}
	pthread_mutex_unlock(&progress->lock);
	free(text);
}

static void __attribute__((format(printf, 5, 0)))
remark_add(struct progress *progress, struct remarks *remarks, const void *path, size_t len,
    const char *fmt, va_list ap)
{
	struct remark remark = { NULL, NULL };
	char reason[sizeof(((struct error *)NULL)->message)];

	/* The reason may quote names from outside, so it is made printable as well. */
	vsnprintf(reason, sizeof(reason), fmt, ap);
	remark.path = text_printable(path, len);
	remark.reason = text_printable(reason, strlen(reason));

	pthread_mutex_lock(&progress->lock);
	remarks->total++;
	if (remarks->count < PROGRESS_REMARKS_MAX) {
		MEM_GROW(remarks->list, remarks->count, remarks->cap);
		remarks->list[remarks->count++] = remark;
		remark.path = remark.reason = NULL;
	}
	pthread_mutex_unlock(&progress->lock);
	free(remark.path);
	free(remark.reason);
}

void
progress_loss(struct progress *progress, const void *path, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	remark_add(progress, &progress->losses, path, len, fmt, ap);
	va_end(ap);
}

void
progress_note(struct progress *progress, const void *path, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	remark_add(progress, &progress->notes, path, len, fmt, ap);
	va_end(ap);
}

void
progress_read(struct progress *progress, struct progress_view *ret)
{
	ret->phase = atomic_load(&progress->phase);
	ret->files = atomic_load(&progress->files);
	ret->files_total = atomic_load(&progress->files_total);
	ret->bytes = atomic_load(&progress->bytes);
	ret->bytes_total = atomic_load(&progress->bytes_total);
	ret->stored_bytes = atomic_load(&progress->stored_bytes);
	ret->waited_ns = atomic_load(&progress->waited_ns);
	ret->paused = atomic_load(&progress->paused);
	pthread_mutex_lock(&progress->lock);
	ret->losses = progress->losses.total;
	ret->notes = progress->notes.total;
	memcpy(ret->path, progress->path, strlen(progress->path) + 1);
	pthread_mutex_unlock(&progress->lock);
}

void
progress_cancel(struct progress *progress)
{
	/* Under the lock, or a waiter that has just looked would miss the wake-up. */
	pthread_mutex_lock(&progress->lock);
	atomic_store(&progress->cancelled, true);
	pthread_cond_broadcast(&progress->resumed);
	pthread_mutex_unlock(&progress->lock);
}

void
progress_pause(struct progress *progress, bool paused)
{
	pthread_mutex_lock(&progress->lock);
	atomic_store(&progress->paused, paused);
	pthread_cond_broadcast(&progress->resumed);
	pthread_mutex_unlock(&progress->lock);
}

int
progress_check(struct progress *progress, struct error *err)
{
	if (atomic_load_explicit(&progress->paused, memory_order_relaxed)) {
		pthread_mutex_lock(&progress->lock);
		while (atomic_load(&progress->paused) && !atomic_load(&progress->cancelled))
			pthread_cond_wait(&progress->resumed, &progress->lock);
		pthread_mutex_unlock(&progress->lock);
	}
	if (atomic_load_explicit(&progress->cancelled, memory_order_relaxed))
		return error_set(err, ERROR_CANCELLED, "cancelled by the operator");
	return 0;
}

bool
progress_wait_until(struct progress *progress, int64_t deadline_ns)
{
	const struct timespec until = { .tv_sec = deadline_ns / 1000000000,
		.tv_nsec = deadline_ns % 1000000000 };
	int64_t began_ns, ended_ns;
	bool cancelled;

	pthread_mutex_lock(&progress->lock);
	began_ns = ended_ns = time_monotonic_ns();
	while (!atomic_load(&progress->cancelled) && (atomic_load(&progress->paused) ||
	    ended_ns < deadline_ns)) {
		/* A pause and a cancel wake it. */
		if (atomic_load(&progress->paused))
			pthread_cond_wait(&progress->resumed, &progress->lock);
		else
			pthread_cond_clockwait(&progress->resumed, &progress->lock,
			    CLOCK_MONOTONIC, &until);
		ended_ns = time_monotonic_ns();
	}
	cancelled = atomic_load(&progress->cancelled);
	pthread_mutex_unlock(&progress->lock);
	atomic_fetch_add(&progress->waited_ns, (uint64_t)(ended_ns - began_ns));
	return !cancelled;
}
