/*
 * Files' data on its way into the repository.  Small files are gathered, so that one job of the
 * writer stores many of them side by side; a larger file is a stream of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/files/archive_in_internal.h"
#include "agent/files/backup_internal.h"
#include "agent/repository/stream.h"
#include "shared/mem.h"

/* As in a backup: one job is about one frame. */
#define BATCH_BYTES (2u << 20)
#define BATCH_FILES 512
/* Files up to this size are gathered. */
#define SMALL_MAX (256u << 10)

/* A file that is being stored. */
struct stored_file {
	struct import *import;
	struct import_file *file;
	struct entry entry;
	uint64_t end;        /* of the data so far, with holes */
	size_t extent_cap;
	size_t offset, len;  /* in the batch */
};

struct batch {
	struct import *import;
	struct stored_file *files[BATCH_FILES];
	size_t count, used;
	uint8_t data[BATCH_BYTES];
};

struct import_content {
	struct import *import;
	struct batch *batch;
	struct stored_file *file; /* at hand; NULL between files */
	struct stream *stream;    /* NULL: it goes into the batch */
	struct extent last;       /* the extent that grows; len 0: none */
};

struct import_content *
import_content_new(struct import *import)
{
	struct import_content *content = MEM_NEW(struct import_content);

	content->import = import;
	return content;
}

static void
stored_free(struct stored_file *stored)
{
	entry_done(&stored->entry);
	free(stored);
}

/* The last of a file: its entry is complete. */
static void
finish_file(struct stored_file *stored, bool ok)
{
	struct import *import = stored->import;
	struct error err = ERROR_INIT;

	if (ok && import_file_store(import->tree, stored->file, &stored->entry, &err) != 0)
		writer_fail(import->writer, &err);
	stored_free(stored);
}

static void
stream_ended(void *arg, bool ok)
{
	finish_file(arg, ok);
}

static void
stream_dropped(void *arg, bool ok)
{
	(void)ok;
	finish_file(arg, false);
}

static void
batch_run(struct writer_worker *worker, void *arg)
{
	struct batch *batch = arg;

	for (size_t i = 0; i < batch->count; i++) {
		struct stored_file *stored = batch->files[i];
		struct error err = ERROR_INIT;
		bool ok = !writer_has_failed(batch->import->writer);

		if (ok && stored->len > 0 && backup_put_chunks(worker, batch->data + stored->offset,
		    stored->len, &stored->entry, &err) != 0) {
			writer_fail(batch->import->writer, &err);
			ok = false;
		}
		finish_file(stored, ok);
	}
	free(batch);
}

static void
submit_batch(struct import_content *content)
{
	if (content->batch != NULL)
		writer_submit(content->import->writer, batch_run, content->batch);
	content->batch = NULL;
}

void
import_content_begin(struct import_content *content, struct import_file *file,
    struct entry *entry)
{
	struct stored_file *stored = MEM_NEW(struct stored_file);
	struct batch *batch = content->batch;

	stored->import = content->import;
	stored->file = file;
	stored->entry = *entry;
	entry_init(entry);
	content->file = stored;
	content->last = (struct extent){ 0, 0 };
	if (stored->entry.size > SMALL_MAX) {
		content->stream = stream_begin(content->import->writer);
		return;
	}
	if (batch != NULL &&
	    (batch->count == BATCH_FILES || BATCH_BYTES - batch->used < stored->entry.size))
		submit_batch(content);
	if (content->batch == NULL) {
		/* Not zeroed: two megabytes of which a few kilobytes may be used. */
		content->batch = mem_realloc(NULL, 1, sizeof(*content->batch));
		content->batch->import = content->import;
		content->batch->count = content->batch->used = 0;
	}
	stored->offset = content->batch->used;
}

static void
put_bytes(struct import_content *content, const uint8_t *data, size_t len)
{
	struct stored_file *stored = content->file;

	if (content->stream == NULL) {
		/* Its size is the most that it holds: import_content_put() has seen to that. */
		memcpy(content->batch->data + stored->offset + stored->len, data, len);
		stored->len += len;
		return;
	}
	while (len > 0) {
		size_t room;
		uint8_t *p = stream_room(content->stream, &room);

		if (room > len)
			room = len;
		memcpy(p, data, room);
		stream_filled(content->stream, room);
		data += room;
		len -= room;
	}
}

/* The extent that was growing is complete. */
static void
keep_extent(struct import_content *content)
{
	struct stored_file *stored = content->file;
	struct entry *entry = &stored->entry;

	if (content->last.len == 0)
		return;
	MEM_GROW(entry->extents, entry->extent_count, stored->extent_cap);
	entry->extents[entry->extent_count++] = content->last;
	content->last.len = 0;
}

/* Too many holes to be remembered: this one is stored as the zeros that it reads as. */
static int
fill_hole(struct import_content *content, uint64_t len, struct error *err)
{
	static const uint8_t zeros[64u << 10];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (progress_check(content->import->progress, err) != 0)
			return -1;
		put_bytes(content, zeros, n);
		content->last.len += n;
		len -= n;
	}
	return 0;
}

int
import_content_put(struct import_content *content, uint64_t offset, const void *data, size_t len,
    struct error *err)
{
	struct stored_file *stored = content->file;

	if (len == 0)
		return 0;
	if (offset < stored->end || offset > stored->entry.size ||
	    len > stored->entry.size - offset)
		return error_set(err, ERROR_BAD_REQUEST, "its data lies outside of its size");
	if (content->last.len > 0 && offset == stored->end) {
		content->last.len += len;
	} else if (content->last.len > 0 &&
	    stored->entry.extent_count == TREE_EXTENTS_MAX - 1) {
		if (fill_hole(content, offset - stored->end, err) != 0)
			return -1;
		content->last.len += len;
	} else {
		keep_extent(content);
		content->last = (struct extent){ offset, len };
	}
	put_bytes(content, data, len);
	stored->end = offset + len;
	atomic_fetch_add(&content->import->progress->bytes, len);
	return progress_check(content->import->progress, err);
}

uint8_t *
import_content_room(struct import_content *content, size_t *ret_len)
{
	return stream_room(content->stream, ret_len);
}

void
import_content_filled(struct import_content *content, size_t len)
{
	struct stored_file *stored = content->file;

	stream_filled(content->stream, len);
	stored->end += len;
	stored->entry.size = stored->end;
	content->last.len = stored->end;
	atomic_fetch_add(&content->import->progress->bytes, len);
}

void
import_content_end(struct import_content *content)
{
	struct stored_file *stored = content->file;
	struct stream *stream = content->stream;
	struct entry *entry = &stored->entry;

	keep_extent(content);
	/* One extent from the beginning to the end is no sparse file. */
	if (entry->extent_count == 1 && entry->extents[0].offset == 0 &&
	    entry->extents[0].len == entry->size) {
		free(entry->extents);
		entry->extents = NULL;
		entry->extent_count = 0;
	} else {
		entry->sparse = entry->size > 0;
	}
	content->file = NULL;
	content->stream = NULL;
	if (stream != NULL) {
		stream_end(stream, entry, stream_ended, stored);
		return;
	}
	content->batch->files[content->batch->count++] = stored;
	content->batch->used = stored->offset + stored->len;
}

void
import_content_free(struct import_content *content)
{
	if (content == NULL)
		return;
	if (content->stream != NULL)
		stream_end(content->stream, &content->file->entry, stream_dropped, content->file);
	else if (content->file != NULL)
		stored_free(content->file);
	submit_batch(content);
	free(content);
}
