/*
 * Storing blobs: workers over all cores that hash, compress, seal and write.
 *
 * A writer is begun, given jobs, and finished; only then is what it stored durable and indexed,
 * so a snapshot is published after writer_finish(). Jobs run in no order; within a job the
 * worker's puts go one after the other into the same frame, so that neighbours compress together.
 * Memory: jobs wait in a short queue (writer_submit blocks), each worker holds a few frames.
 * Threads: one thread submits; jobs run in the workers. If something fails, the first error is
 * kept, every later put fails at once, and writer_finish returns it. Every submitted job is run
 * exactly once, also then.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_WRITER_H
#define HOLDFAST_AGENT_REPOSITORY_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/repository/blob.h"
#include "agent/repository/repository.h"
#include "shared/error.h"
#include "shared/progress.h"

struct writer;
struct writer_worker;

struct writer_options {
	unsigned threads; /* 0: one per core */
	int level;        /* zstd, 0: default */
	bool no_verify;   /* do not open and hash each frame again before it is stored */
	struct progress *progress; /* stored_bytes are counted there; may be NULL */
};

struct writer_totals {
	uint64_t added_blobs, added_bytes; /* new ones, plain bytes */
	uint64_t stored_bytes;             /* in packs */
};

typedef void writer_job_fn(struct writer_worker *worker, void *arg);

int writer_begin(struct repository *repo, const struct writer_options *options,
    struct writer **ret, struct error *err);
struct repository *writer_repository(struct writer *writer);
/* Queue a job; blocks while the queue is full. */
void writer_submit(struct writer *writer, writer_job_fn *run, void *arg);
/* Store a blob if it is new, from within a job.  data is not kept. */
int writer_put(struct writer_worker *worker, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret, struct error *err);
struct writer *writer_of(struct writer_worker *worker);
/* As writer_put, from any thread, for trees and lists; these share one frame. */
int writer_put_meta(struct writer *writer, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret, struct error *err);
/* Keep the first error of all threads; the writer cannot succeed any more. */
void writer_fail(struct writer *writer, const struct error *err);
bool writer_has_failed(struct writer *writer);
/* Wait until all submitted jobs have run.  More may be submitted afterwards. */
void writer_drain(struct writer *writer);

/* Wait for all jobs, make everything durable and indexed. Ends the writer, also on failure: then
 * what was not indexed is given up. */
int writer_finish(struct writer *writer, struct writer_totals *ret, struct error *err);
void writer_abort(struct writer *writer);

#endif
