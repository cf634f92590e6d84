/*
 * GET /v1/snapshots/{id}/archive: a folder of a snapshot as tar, tar.zst or zip, made while it
 * is sent.
 *
 * The same archive has the same bytes each time, so a broken transfer can go on: "Range:
 * bytes=N-" leaves the first N bytes out.  Its length is not known before it was made; the range
 * of the answer therefore ends in a very large value, as RFC 8673 has it.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/files/archive.h"
#include "agent/http/negotiate.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/snapshot_path.h"
#include "agent/http/stream.h"
#include "shared/mem.h"

/* 2^53 - 1, which every client can read as a number. */
#define RANGE_VERY_LARGE 9007199254740991ull

struct archive_stream {
	struct repository *repo;
	struct snapshot *snapshot;
	char *path;
	enum archive_format_kind kind;
	uint64_t skip;
	bool any; /* bytes were passed on */
	struct stream *stream;
};

static void
archive_stream_free(void *arg)
{
	struct archive_stream *archive = arg;

	snapshot_free(archive->snapshot);
	free(archive->path);
	free(archive);
}

static int
archive_sink(void *arg, const void *data, size_t len, struct error *err)
{
	struct archive_stream *archive = arg;

	archive->any = archive->any || len > 0;
	return stream_write(archive->stream, data, len, err);
}

static int
archive_produce(struct stream *stream, void *arg, struct error *err)
{
	struct archive_stream *archive = arg;
	int rc;

	archive->stream = stream;
	rc = files_archive(archive->repo, archive->snapshot, archive->path, archive->kind,
	    archive->skip, archive_sink, archive, stream_progress(stream), err);
	if (rc == 0 && archive->skip > 0 && !archive->any) {
		error_set(err, ERROR_BAD_RANGE, "the archive ends before byte %llu",
		    (unsigned long long)archive->skip);
		rc = -1;
	}
	return rc;
}

static void
archive_etag(const struct snapshot *snapshot, const char *path, enum archive_format_kind kind,
    char out[ETAG_SIZE])
{
	/* Another version may write other bytes for the same folder. */
	char *text = mem_printf("%s %s %s %s", PACKAGE_VERSION, snapshot->id,
	    archive_kind_word(kind), path);

	etag_make(text, strlen(text), out);
	free(text);
}

/* "etc.tar.zst"; the snapshot's id for the whole of it. */
static void
archive_disposition(struct response *response, const struct snapshot *snapshot,
    const struct entry *entry, enum archive_format_kind kind)
{
	char suffix[16];

	snprintf(suffix, sizeof(suffix), ".%s", archive_kind_word(kind));
	if (entry->name_len == 0)
		disposition_header(response, snapshot->id, 12, suffix);
	else
		disposition_header(response, entry->name, entry->name_len, suffix);
}

/* Takes snapshot and path. */
static void
answer_archive(struct request *request, struct response *response, struct snapshot *snapshot,
    char *path, enum archive_format_kind kind, uint64_t skip)
{
	struct archive_stream *archive = MEM_NEW(struct archive_stream);

	archive->repo = request->services->repo;
	archive->snapshot = snapshot;
	archive->path = path;
	archive->kind = kind;
	archive->skip = skip;
	if (skip > 0)
		response_header(response, "Content-Range", "bytes %llu-%llu/*",
		    (unsigned long long)skip, RANGE_VERY_LARGE);
	response_stream(response, skip > 0 ? 206 : 200, archive_kind_media_type(kind),
	    RESPONSE_LENGTH_UNKNOWN, archive_produce, archive, archive_stream_free);
}

int
http_snapshot_archive(struct request *request, struct response *response, struct error *err)
{
	const char *format = params_get(&request->params, "format");
	const char *if_range = request->fields[REQUEST_IF_RANGE];
	enum archive_format_kind kind = ARCHIVE_TAR;
	struct snapshot *snapshot = NULL;
	struct byte_range range;
	char etag[ETAG_SIZE];
	char *path = NULL;
	struct entry entry;
	uint64_t skip = 0;

	if ((format != NULL && archive_kind_parse(format, &kind, err) != 0) ||
	    snapshot_path_find(request, &snapshot, &entry, &path, err) != 0)
		return -1;
	archive_etag(snapshot, path, kind, etag);
	response_header(response, "ETag", "%s", etag);
	response_header(response, "Accept-Ranges", "bytes");
	if (etag_listed(request->fields[REQUEST_IF_NONE_MATCH], etag)) {
		response->status = 304;
		entry_done(&entry);
		snapshot_free(snapshot);
		free(path);
		return 0;
	}
	/* Only "from here to the end"; any other range may be, and is, answered with it all. */
	if ((if_range == NULL || etag_is(if_range, etag)) &&
	    range_parse(request->fields[REQUEST_RANGE], RANGE_SIZE_UNKNOWN, &range, err) == 1 &&
	    range.last == UINT64_MAX)
		skip = range.first;
	archive_disposition(response, snapshot, &entry, kind);
	entry_done(&entry);
	answer_archive(request, response, snapshot, path, kind, skip);
	return 0;
}
