/*
 * What a long operation tells while it works, and how it is told to stop or to wait.
 *
 * The operation's threads write, any other thread reads a copy through progress_read().
 * Counters are atomic; the current path, the losses and the notes are behind the lock.
 * A loss is a path that could not be read or written: the run then ends as "warn".
 * A note is worth telling but nothing is lost ("socket skipped").
 */
#ifndef HOLDFAST_SHARED_PROGRESS_H
#define HOLDFAST_SHARED_PROGRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

/* So many losses and notes are kept with their text; the rest is only counted. */
#define PROGRESS_REMARKS_MAX 1000

struct remark {
	char *path;   /* made printable */
	char *reason;
};

struct remarks {
	struct remark *list;
	size_t count; /* kept, at most PROGRESS_REMARKS_MAX */
	size_t cap;
	uint64_t total;
};

struct progress {
	_Atomic(const char *) phase;    /* a constant text: "scan", "backup", "verify", ... */
	atomic_uint_fast64_t files;     /* entries finished */
	atomic_uint_fast64_t files_total;
	atomic_uint_fast64_t bytes;     /* plain bytes worked through */
	atomic_uint_fast64_t bytes_total; /* 0 while unknown */
	atomic_uint_fast64_t stored_bytes; /* bytes written to the repository, or to the target */
	atomic_uint_fast64_t waited_ns; /* for a limit, by all threads together */
	atomic_bool cancelled;
	pthread_mutex_t lock;
	pthread_cond_t resumed;
	atomic_bool paused;             /* set under the lock; read without */
	char path[4096];                /* printable, cut if too long */
	struct remarks losses;
	struct remarks notes;
};

/* A copy of the moving parts, for showing. */
struct progress_view {
	const char *phase;
	uint64_t files, files_total, bytes, bytes_total, stored_bytes, waited_ns;
	uint64_t losses, notes;
	bool paused;
	char path[4096];
};

void progress_init(struct progress *progress);
void progress_done(struct progress *progress);

void progress_phase(struct progress *progress, const char *phase);
void progress_path(struct progress *progress, const void *path, size_t len);
/* path is raw bytes, made printable here; safe from any thread. */
void progress_loss(struct progress *progress, const void *path, size_t len, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void progress_note(struct progress *progress, const void *path, size_t len, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void progress_read(struct progress *progress, struct progress_view *ret);

/* For the operator's side. */
void progress_cancel(struct progress *progress);
void progress_pause(struct progress *progress, bool paused);

/*
 * For the operation: waits while paused, then fails with ERROR_CANCELLED once cancelled.
 * Cheap; call it for every file and every few megabytes.
 */
int progress_check(struct progress *progress, struct error *err);
/*
 * Wait until CLOCK_MONOTONIC is there (nanoseconds), and as long as it is paused; true then.
 * False, and at once, if it is cancelled.
 */
bool progress_wait_until(struct progress *progress, int64_t deadline_ns);

#endif
