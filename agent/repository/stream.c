#include "agent/repository/stream.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/content_list.h"
#include "agent/repository/writer_internal.h"
#include "shared/mem.h"

/* One group is one job, and about one frame. */
#define GROUP_BYTES FRAME_DATA_TARGET

struct group {
	struct stream *stream;
	struct group *next; /* in the order of the stream */
	uint8_t *data;
	size_t len, cap;
	bool done;
	uint32_t *cuts; /* lengths of the chunks */
	size_t cut_count, cut_cap;
	struct blob_id *ids;
};

struct stream {
	struct writer *writer;
	const struct chunker *chunker;
	struct group *filling;
	pthread_mutex_t lock; /* what follows */
	struct group *first, *last;
	struct content_list list;
	bool ended, failed;
	struct entry *entry;
	void (*callback)(void *arg, bool ok);
	void *arg;
};

static struct group *
group_new(struct stream *stream, const uint8_t *head, size_t len)
{
	struct group *group = MEM_NEW(struct group);

	group->stream = stream;
	group->cap = GROUP_BYTES + stream->chunker->sizes.max;
	group->data = mem_realloc(NULL, group->cap, 1);
	if (len > 0)
		memcpy(group->data, head, len);
	group->len = len;
	return group;
}

static void
group_free(struct group *group)
{
	free(group->data);
	free(group->cuts);
	free(group->ids);
	free(group);
}

struct stream *
stream_begin(struct writer *writer)
{
	struct stream *stream = MEM_NEW(struct stream);

	stream->writer = writer;
	stream->chunker = &writer_repository(writer)->chunker;
	pthread_mutex_init(&stream->lock, NULL);
	content_list_init(&stream->list);
	return stream;
}

static void
stream_finish(struct stream *stream)
{
	struct error err = ERROR_INIT;
	void (*callback)(void *arg, bool ok) = stream->callback;
	void *arg = stream->arg;
	bool ok = !stream->failed;

	if (ok && content_list_finish(&stream->list, stream->writer, stream->entry, &err) != 0) {
		writer_fail(stream->writer, &err);
		ok = false;
	}
	content_list_done(&stream->list);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
	callback(arg, ok);
}

/* Take what is done from the front, in order.  True if that was the end of the stream. */
static bool
collect(struct stream *stream)
{
	struct error err = ERROR_INIT;

	while (stream->first != NULL && stream->first->done) {
		struct group *group = stream->first;

		for (size_t i = 0; i < group->cut_count && !stream->failed; i++)
			if (content_list_add(&stream->list, stream->writer, &group->ids[i],
			    &err) != 0) {
				writer_fail(stream->writer, &err);
				stream->failed = true;
			}
		stream->first = group->next;
		if (stream->first == NULL)
			stream->last = NULL;
		group_free(group);
	}
	return stream->ended && stream->first == NULL;
}

static int
store_chunks(struct group *group, struct writer_worker *worker, struct error *err)
{
	size_t at = 0;

	group->ids = mem_calloc(group->cut_count, sizeof(*group->ids));
	for (size_t i = 0; i < group->cut_count; i++) {
		if (writer_put(worker, BLOB_DATA, group->data + at, group->cuts[i],
		    &group->ids[i], err) != 0)
			return -1;
		at += group->cuts[i];
	}
	return 0;
}

static void
group_run(struct writer_worker *worker, void *arg)
{
	struct group *group = arg;
	struct stream *stream = group->stream;
	struct error err = ERROR_INIT;
	bool end;
	int rc = store_chunks(group, worker, &err);

	pthread_mutex_lock(&stream->lock);
	if (rc != 0)
		stream->failed = true;
	free(group->data);
	group->data = NULL;
	group->done = true;
	end = collect(stream);
	pthread_mutex_unlock(&stream->lock);
	if (end)
		stream_finish(stream);
}

static void
submit(struct stream *stream, struct group *group)
{
	pthread_mutex_lock(&stream->lock);
	if (stream->last != NULL)
		stream->last->next = group;
	else
		stream->first = group;
	stream->last = group;
	pthread_mutex_unlock(&stream->lock);
	writer_submit(stream->writer, group_run, group);
}

/* Cut the group's bytes into chunks; returns how many bytes from the front they cover. */
static size_t
cut_group(const struct stream *stream, struct group *group, bool final)
{
	size_t at = 0, len;

	while (at < group->len && (len = chunker_cut(stream->chunker, group->data + at,
	    group->len - at, final)) > 0) {
		MEM_GROW(group->cuts, group->cut_count, group->cut_cap);
		group->cuts[group->cut_count++] = (uint32_t)len;
		at += len;
	}
	return at;
}

uint8_t *
stream_room(struct stream *stream, size_t *ret_len)
{
	struct group *group = stream->filling;

	if (group == NULL)
		group = stream->filling = group_new(stream, NULL, 0);
	*ret_len = group->cap - group->len;
	return group->data + group->len;
}

void
stream_filled(struct stream *stream, size_t len)
{
	struct group *group = stream->filling;
	size_t whole;

	group->len += len;
	if (group->cap - group->len >= 64u << 10)
		return;
	/* What is left behind the last cut is less than a chunk and begins the next group. */
	whole = cut_group(stream, group, false);
	stream->filling = group_new(stream, group->data + whole, group->len - whole);
	group->len = whole;
	submit(stream, group);
}

void
stream_end(struct stream *stream, struct entry *entry, void (*ended)(void *arg, bool ok),
    void *arg)
{
	struct group *group = stream->filling;
	bool end;

	if (group != NULL && group->len > 0) {
		cut_group(stream, group, true);
		submit(stream, group);
	} else if (group != NULL) {
		group_free(group);
	}
	stream->filling = NULL;
	pthread_mutex_lock(&stream->lock);
	stream->entry = entry;
	stream->callback = ended;
	stream->arg = arg;
	stream->ended = true;
	end = collect(stream);
	pthread_mutex_unlock(&stream->lock);
	if (end)
		stream_finish(stream);
}
