#include "agent/repository/writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/repository/index_merge.h"
#include "agent/repository/prune_internal.h"
#include "agent/repository/writer_internal.h"
#include "shared/mem.h"

/* Waiting jobs per worker: enough that nobody idles, few enough to bound memory. */
#define JOBS_PER_WORKER 2
#define THREADS_MAX 64
/* A writer on another host whose lock we cannot see writes more often than that. */
#define UNFINISHED_OLD_S 3600

struct job {
	writer_job_fn *run;
	void *arg;
};

struct writer_worker {
	struct writer *writer;
	struct frame_builder *builder, *dense; /* the latter for what is compressed already */
	pthread_t thread;
};

struct writer {
	struct repository *repo;
	struct pack_set *set;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	struct job *queue;
	size_t queue_cap, queue_first, queue_count;
	size_t running;
	bool closing, failed;
	struct error err;
	struct blob_table table; /* blobs that this writer stored or is storing */
	struct writer_totals totals;
	struct writer_worker *workers;
	unsigned worker_count;

	pthread_mutex_t meta_lock;
	struct frame_builder *meta;
};

void
writer_fail(struct writer *writer, const struct error *err)
{
	pthread_mutex_lock(&writer->lock);
	if (!writer->failed) {
		writer->failed = true;
		writer->err = *err;
	}
	pthread_mutex_unlock(&writer->lock);
}

bool
writer_has_failed(struct writer *writer)
{
	bool failed;

	pthread_mutex_lock(&writer->lock);
	failed = writer->failed;
	pthread_mutex_unlock(&writer->lock);
	return failed;
}

static void *
worker_main(void *arg)
{
	struct writer_worker *worker = arg;
	struct writer *writer = worker->writer;
	struct error err;

	pthread_mutex_lock(&writer->lock);
	for (;;) {
		struct job job;

		while (writer->queue_count == 0 && !writer->closing)
			pthread_cond_wait(&writer->changed, &writer->lock);
		if (writer->queue_count == 0)
			break;
		job = writer->queue[writer->queue_first];
		writer->queue_first = (writer->queue_first + 1) % writer->queue_cap;
		writer->queue_count--;
		writer->running++;
		pthread_cond_broadcast(&writer->changed);
		pthread_mutex_unlock(&writer->lock);
		job.run(worker, job.arg);
		pthread_mutex_lock(&writer->lock);
		writer->running--;
		pthread_cond_broadcast(&writer->changed);
	}
	pthread_mutex_unlock(&writer->lock);
	if (!writer_has_failed(writer) && (frame_builder_flush(worker->builder, &err) != 0 ||
	    frame_builder_flush(worker->dense, &err) != 0))
		writer_fail(writer, &err);
	return NULL;
}

int
writer_begin(struct repository *repo, const struct writer_options *options, struct writer **ret,
    struct error *err)
{
	unsigned threads = options->threads;
	struct writer *writer;
	struct error ignored;

	repository_writer_began(repo);
	if (repository_refresh(repo, err) != 0 || repository_note_missing(repo, err) != 0 ||
	    prune_load_marks(repo, err) != 0 || repository_load_index(repo, err) != 0) {
		repository_writer_ended(repo);
		return -1;
	}
	/* What killed writers left behind.  If it cannot be removed, that is no reason not to store. */
	(void)storage_sweep(repo->storage, UNFINISHED_OLD_S, &ignored);
	if (threads == 0)
		threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (threads < 1)
		threads = 1;
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	writer = MEM_NEW(struct writer);
	writer->repo = repo;
	writer->set = pack_set_new(repo, options->progress);
	pthread_mutex_init(&writer->lock, NULL);
	pthread_mutex_init(&writer->meta_lock, NULL);
	pthread_cond_init(&writer->changed, NULL);
	blob_table_init(&writer->table);
	writer->queue_cap = (size_t)threads * JOBS_PER_WORKER;
	writer->queue = mem_calloc(writer->queue_cap, sizeof(*writer->queue));
	writer->meta = frame_builder_new(repo, writer->set, PACK_META, false, options->level,
	    !options->no_verify);
	writer->workers = mem_calloc(threads, sizeof(*writer->workers));
	for (unsigned i = 0; i < threads; i++) {
		struct writer_worker *worker = &writer->workers[i];

		worker->writer = writer;
		worker->builder = frame_builder_new(repo, writer->set, PACK_DATA, false,
		    options->level, !options->no_verify);
		worker->dense = frame_builder_new(repo, writer->set, PACK_DATA, true,
		    options->level, !options->no_verify);
		if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
			frame_builder_free(worker->builder);
			frame_builder_free(worker->dense);
			break;
		}
		writer->worker_count++;
	}
	if (writer->worker_count == 0) {
		writer_abort(writer);
		return error_set(err, ERROR_INTERNAL, "could not start a worker thread");
	}
	*ret = writer;
	return 0;
}

struct repository *
writer_repository(struct writer *writer)
{
	return writer->repo;
}

struct writer *
writer_of(struct writer_worker *worker)
{
	return worker->writer;
}

void
writer_submit(struct writer *writer, writer_job_fn *run, void *arg)
{
	pthread_mutex_lock(&writer->lock);
	while (writer->queue_count == writer->queue_cap)
		pthread_cond_wait(&writer->changed, &writer->lock);
	writer->queue[(writer->queue_first + writer->queue_count++) % writer->queue_cap] =
	    (struct job){ run, arg };
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
}

void
writer_drain(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	while (writer->queue_count > 0 || writer->running > 0)
		pthread_cond_wait(&writer->changed, &writer->lock);
	pthread_mutex_unlock(&writer->lock);
}

/* 1 if this writer has to store the blob, 0 if it is there, -1 if the writer has failed. */
static int
claim_blob(struct writer *writer, const struct blob_id *id, size_t len, struct error *err)
{
	static const struct blob_location nowhere = { 0, 0, 0 };
	int is_new = 0;

	pthread_mutex_lock(&writer->lock);
	if (writer->failed) {
		*err = writer->err;
		is_new = -1;
	} else if (!repository_has_blob(writer->repo, id)) {
		is_new = blob_table_insert(&writer->table, id, &nowhere, 0);
		if (is_new == 1) {
			writer->totals.added_blobs++;
			writer->totals.added_bytes += len;
		}
	}
	pthread_mutex_unlock(&writer->lock);
	return is_new;
}

static int
put_into(struct writer *writer, struct frame_builder *builder, const void *data, size_t len,
    const struct blob_id *id, struct error *err)
{
	int is_new = claim_blob(writer, id, len, err);

	if (is_new <= 0)
		return is_new;
	if (frame_builder_add(builder, id, data, len, err) != 0) {
		writer_fail(writer, err);
		return -1;
	}
	return 0;
}

int
writer_put(struct writer_worker *worker, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret, struct error *err)
{
	if (kind != BLOB_DATA)
		return writer_put_meta(worker->writer, kind, data, len, ret, err);
	blob_hash(worker->writer->repo->keys, kind, data, len, ret);
	return put_into(worker->writer, frame_is_dense(data, len) ? worker->dense :
	    worker->builder, data, len, ret, err);
}

int
writer_put_meta(struct writer *writer, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret, struct error *err)
{
	int rc;

	if (len > BLOB_MAX)
		return error_set(err, ERROR_TOO_LARGE, "a blob of %zu bytes is above the limit", len);
	blob_hash(writer->repo->keys, kind, data, len, ret);
	pthread_mutex_lock(&writer->meta_lock);
	rc = put_into(writer, writer->meta, data, len, ret, err);
	pthread_mutex_unlock(&writer->meta_lock);
	return rc;
}

/* Let the workers end (each writes its last frame), then free all but the packs. */
static void
stop_workers(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->closing = true;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
	for (unsigned i = 0; i < writer->worker_count; i++) {
		pthread_join(writer->workers[i].thread, NULL);
		frame_builder_free(writer->workers[i].builder);
		frame_builder_free(writer->workers[i].dense);
	}
}

static void
writer_free(struct writer *writer)
{
	repository_writer_ended(writer->repo);
	frame_builder_free(writer->meta);
	blob_table_done(&writer->table);
	free(writer->workers);
	free(writer->queue);
	pthread_mutex_destroy(&writer->lock);
	pthread_mutex_destroy(&writer->meta_lock);
	pthread_cond_destroy(&writer->changed);
	free(writer);
}

int
writer_finish(struct writer *writer, struct writer_totals *ret, struct error *err)
{
	uint64_t stored_bytes = 0;
	struct error ignored;
	int rc = -1;

	stop_workers(writer);
	if (!writer->failed && frame_builder_flush(writer->meta, &writer->err) != 0)
		writer->failed = true;
	if (writer->failed) {
		*err = writer->err;
		pack_set_abort(writer->set);
	} else {
		rc = pack_set_finish(writer->set, &stored_bytes, err);
		/* Only tidying up: what cannot be merged now is merged another time. */
		if (rc == 0 && stored_bytes > 0)
			(void)index_merge(writer->repo, &ignored);
	}
	*ret = writer->totals;
	ret->stored_bytes = stored_bytes;
	writer_free(writer);
	return rc;
}

void
writer_abort(struct writer *writer)
{
	struct error cancelled = ERROR_INIT;

	if (writer == NULL)
		return;
	error_set(&cancelled, ERROR_CANCELLED, "cancelled");
	writer_fail(writer, &cancelled);
	stop_workers(writer);
	pack_set_abort(writer->set);
	writer_free(writer);
}
