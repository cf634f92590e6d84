/*
 * GET /v1/snapshots/{id}/file: the content of a file, whole or a range of it.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/negotiate.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/snapshot_path.h"
#include "agent/http/stream.h"
#include "agent/repository/content.h"
#include "shared/mem.h"

#define READ_SIZE (128u << 10)

struct file_stream {
	struct repository *repo;
	struct entry entry;
	uint64_t first, len;
};

static void
file_stream_free(void *arg)
{
	struct file_stream *file = arg;

	entry_done(&file->entry);
	free(file);
}

static int
file_produce(struct stream *stream, void *arg, struct error *err)
{
	struct file_stream *file = arg;
	struct content *content = NULL;
	uint64_t done = 0;
	uint8_t *buf = NULL;
	size_t n;
	int rc = -1;

	if (content_open(file->repo, &file->entry, &content, err) != 0)
		return -1;
	buf = mem_calloc(1, READ_SIZE);
	while (done < file->len) {
		n = file->len - done > READ_SIZE ? READ_SIZE : (size_t)(file->len - done);
		if (content_read(content, file->first + done, buf, n, err) != 0 ||
		    stream_write(stream, buf, n, err) != 0)
			goto out;
		done += n;
	}
	rc = 0;
out:
	free(buf);
	content_close(content);
	return rc;
}

static int
check_kind(const struct entry *entry, const char *path, struct error *err)
{
	if (entry->kind == ENTRY_FILE)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "'%.200s' is a %s, not a file", path,
	    entry_kind_word(entry->kind));
	if (entry->kind == ENTRY_DIRECTORY)
		return error_hint(err, "ask for its archive, or its tree");
	return error_hint(err, "ask for its tree: that describes it");
}

/* Content alone: two files of the same bytes have the same tag, in any snapshot. */
static void
entry_etag(const struct entry *entry, char out[ETAG_SIZE])
{
	struct buffer buf = BUFFER_INIT;
	size_t i;

	buffer_put_u64(&buf, entry->size);
	buffer_put_varint(&buf, entry->depth);
	buffer_put_varint(&buf, entry->extent_count);
	for (i = 0; i < entry->extent_count; i++) {
		buffer_put_varint(&buf, entry->extents[i].offset);
		buffer_put_varint(&buf, entry->extents[i].len);
	}
	for (i = 0; i < entry->content_count; i++)
		buffer_put(&buf, entry->content[i].bytes, BLOB_ID_SIZE);
	etag_make(buf.data, buf.len, out);
	buffer_done(&buf);
}

/* Decides on 200 or 206, and hands the entry over to the stream. */
static int
answer_content(struct request *request, struct response *response, struct entry *entry,
    struct error *err)
{
	const char *if_range = request->fields[REQUEST_IF_RANGE];
	struct byte_range range = { 0, 0 };
	struct file_stream *file;
	char etag[ETAG_SIZE];
	int partial = 0;

	entry_etag(entry, etag);
	response_header(response, "ETag", "%s", etag);
	response_header(response, "Accept-Ranges", "bytes");
	if (etag_listed(request->fields[REQUEST_IF_NONE_MATCH], etag)) {
		response->status = 304;
		return 0;
	}
	if (if_range == NULL || etag_is(if_range, etag))
		partial = range_parse(request->fields[REQUEST_RANGE], entry->size, &range, err);
	if (partial < 0) {
		response_header(response, "Content-Range", "bytes */%llu",
		    (unsigned long long)entry->size);
		return -1;
	}
	disposition_header(response, entry->name, entry->name_len, "");
	file = MEM_NEW(struct file_stream);
	file->repo = request->services->repo;
	file->first = partial ? range.first : 0;
	file->len = partial ? range.last - range.first + 1 : entry->size;
	if (partial)
		response_header(response, "Content-Range", "bytes %llu-%llu/%llu",
		    (unsigned long long)range.first, (unsigned long long)range.last,
		    (unsigned long long)entry->size);
	file->entry = *entry;
	entry_init(entry);
	response_stream(response, partial ? 206 : 200, "application/octet-stream", file->len,
	    file_produce, file, file_stream_free);
	return 0;
}

int
http_snapshot_file(struct request *request, struct response *response, struct error *err)
{
	struct snapshot *snapshot = NULL;
	char *path = NULL;
	struct entry entry;
	int rc = -1;

	if (snapshot_path_find(request, &snapshot, &entry, &path, err) != 0)
		return -1;
	if (check_kind(&entry, path, err) == 0)
		rc = answer_content(request, response, &entry, err);
	entry_done(&entry);
	snapshot_free(snapshot);
	free(path);
	return rc;
}
