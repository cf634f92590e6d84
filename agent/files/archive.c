#include "agent/files/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/archive_internal.h"
#include "agent/repository/content.h"
#include "agent/repository/tree.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define LINK_BUCKETS 4096
#define ZEROS_SIZE   (1u << 20)
/* What libarchive may add at the end of a stream that has failed; see stream_run(). */
#define PADDING_MAX  (64u << 20)

static const struct {
	const char *word, *media_type;
} kinds[ARCHIVE_FORMAT_COUNT] = {
	[ARCHIVE_TAR] = { "tar", "application/x-tar" },
	[ARCHIVE_TAR_ZST] = { "tar.zst", "application/zstd" },
	[ARCHIVE_ZIP] = { "zip", "application/zip" },
};

const char *
archive_kind_word(enum archive_format_kind kind)
{
	return kinds[kind].word;
}

const char *
archive_kind_media_type(enum archive_format_kind kind)
{
	return kinds[kind].media_type;
}

int
archive_kind_parse(const char *word, enum archive_format_kind *ret, struct error *err)
{
	for (size_t i = 0; i < ARCHIVE_FORMAT_COUNT; i++) {
		if (strcmp(word, kinds[i].word) == 0) {
			*ret = (enum archive_format_kind)i;
			return 0;
		}
	}
	error_set(err, ERROR_BAD_REQUEST, "unknown archive format '%.100s'", word);
	return error_hint(err, "the formats are tar, tar.zst and zip");
}

/* The first name of a file that has several. */
struct link {
	struct link *next;
	uint64_t device, inode;
	char *path;
};

/* One folder that the walk is in. */
struct frame {
	struct tree_cursor *cursor;
	size_t path_len; /* of its own path in stream->path, with the slash */
};

struct stream {
	struct repository *repo;
	struct progress *progress;
	enum archive_format_kind kind;
	struct archive *archive;
	int (*sink)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
	uint64_t skip;      /* bytes still not to be passed on */
	bool sink_failed;   /* sink_error says why */
	struct error sink_error;
	uint64_t left;      /* bytes of the present file that are still to come */
	bool give_up;       /* refuse what libarchive writes */
	struct buffer path; /* of the present entry, without the first slash */
	struct frame *frames;
	size_t depth, cap;
	struct link **links;
	uint8_t *zeros;
};

/* --- libarchive's side -------------------------------------------------------------- */

/*
 * Never fails for libarchive, which frees its buffers only where every write succeeded: once the
 * sink has failed, bytes are dropped, and whoever wrote them looks at sink_failed.
 */
static la_ssize_t
stream_write(struct archive *archive, void *arg, const void *data, size_t len)
{
	struct stream *stream = arg;
	size_t skip = stream->skip < len ? (size_t)stream->skip : len;

	(void)archive;
	if (stream->give_up)
		return -1;
	stream->skip -= skip;
	if (!stream->sink_failed && skip < len && stream->sink(stream->arg,
	    (const uint8_t *)data + skip, len - skip, &stream->sink_error) < 0)
		stream->sink_failed = true;
	return (la_ssize_t)len;
}

/* The sink's own reason if it was the sink. */
static int
stream_error(const struct stream *stream, const char *what, struct error *err)
{
	const char *why = archive_error_string(stream->archive);

	if (stream->sink_failed) {
		*err = stream->sink_error;
		return -1;
	}
	return error_set(err, ERROR_IO, "could not %s: %s", what, why == NULL ? "unknown" : why);
}

static int
stream_open(struct stream *stream, struct error *err)
{
	struct archive *archive = stream->archive = archive_write_new();
	int code;

	if (archive == NULL)
		return error_set(err, ERROR_INTERNAL, "could not start an archive");
	if (stream->kind == ARCHIVE_ZIP) {
		code = archive_write_set_format_zip(archive);
		if (code == ARCHIVE_OK)
			code = archive_write_set_format_option(archive, "zip", "hdrcharset",
			    "UTF-8");
	} else {
		/* The restricted form leaves fractions of seconds out where it needs no header. */
		code = archive_write_set_format_pax(archive);
		/* libarchive would write each attribute twice. */
		if (code == ARCHIVE_OK)
			code = archive_write_set_format_option(archive, "pax", "xattrheader",
			    "SCHILY");
	}
	if (code == ARCHIVE_OK && stream->kind == ARCHIVE_TAR_ZST)
		code = archive_write_add_filter_zstd(archive);
	/* The level is fixed, as a resumed transfer must get the same bytes. */
	if (code == ARCHIVE_OK && stream->kind == ARCHIVE_TAR_ZST)
		code = archive_write_set_filter_option(archive, "zstd", "compression-level", "3");
	if (code == ARCHIVE_OK)
		code = archive_write_set_bytes_per_block(archive, 64 << 10);
	if (code == ARCHIVE_OK)
		code = archive_write_set_bytes_in_last_block(archive, 1);
	if (code == ARCHIVE_OK)
		code = archive_write_open2(archive, stream, NULL, stream_write, NULL, NULL);
	return code == ARCHIVE_OK ? 0 : stream_error(stream, "start the archive", err);
}

static int
stream_put(struct stream *stream, const uint8_t *data, size_t len, struct error *err)
{
	while (len > 0) {
		la_ssize_t done = archive_write_data(stream->archive, data, len);

		if (done <= 0 || stream->sink_failed)
			return stream_error(stream, "write to the archive", err);
		atomic_fetch_add(&stream->progress->bytes, (uint64_t)done);
		stream->left -= (uint64_t)done < stream->left ? (uint64_t)done : stream->left;
		data += done;
		len -= (size_t)done;
	}
	return progress_check(stream->progress, err);
}

/* Holes are zeros to libarchive, which leaves them out itself. */
static int
stream_put_zeros(struct stream *stream, uint64_t len, struct error *err)
{
	if (len > 0 && stream->zeros == NULL)
		stream->zeros = mem_calloc(ZEROS_SIZE, 1);
	while (len > 0) {
		size_t some = len < ZEROS_SIZE ? (size_t)len : ZEROS_SIZE;

		if (stream_put(stream, stream->zeros, some, err) < 0)
			return -1;
		len -= some;
	}
	return 0;
}

/* --- entries ------------------------------------------------------------------------ */

static void
stream_loss(struct stream *stream, const struct error *why)
{
	char *path = mem_printf("/%s", buffer_text(&stream->path));

	progress_loss(stream->progress, path, strlen(path), "%s", why->message);
	free(path);
}

static void
stream_note(struct stream *stream, const char *text)
{
	char *path = mem_printf("/%s", buffer_text(&stream->path));

	progress_note(stream->progress, path, strlen(path), "%s", text);
	free(path);
}

/* The earlier name of this file; NULL if there is none, and then this is the first. */
static const char *
earlier_name(struct stream *stream, const struct entry *entry)
{
	uint64_t hash = (entry->inode * 0x9e3779b97f4a7c15u) ^ entry->link_device;
	struct link **bucket = &stream->links[(hash >> 32) % LINK_BUCKETS];
	struct link *link;

	if (entry->nlink < 2 || entry->link_device == 0 || stream->kind == ARCHIVE_ZIP)
		return NULL;
	for (link = *bucket; link != NULL; link = link->next)
		if (link->device == entry->link_device && link->inode == entry->inode)
			return link->path;
	link = MEM_NEW(struct link);
	link->device = entry->link_device;
	link->inode = entry->inode;
	link->path = mem_strdup(buffer_text(&stream->path));
	link->next = *bucket;
	*bucket = link;
	return NULL;
}

/* 1 written, 0 left out and told, -1 the stream is broken. */
static int
stream_header(struct stream *stream, const struct entry *entry, const char *link,
    struct error *err)
{
	const char *path = buffer_text(&stream->path);
	size_t path_len = strlen(path);
	struct archive_entry *to = NULL;
	struct error why = ERROR_INIT;
	char *shown = NULL;
	int code;

	if (stream->kind == ARCHIVE_ZIP && !text_is_utf8(path, path_len)) {
		shown = text_printable(path, path_len);
		stream_note(stream, "the name is no UTF-8 and stands in printable form in the zip");
	}
	to = archive_item_new(entry, shown == NULL ? path : shown, link,
	    stream->kind != ARCHIVE_ZIP);
	code = archive_write_header(stream->archive, to);
	archive_entry_free(to);
	free(shown);
	/* The one warning is of names that are no UTF-8, which are written as their bytes. */
	if ((code == ARCHIVE_OK || code == ARCHIVE_WARN) && !stream->sink_failed)
		return 1;
	stream_error(stream, "add to the archive", &why);
	if (code == ARCHIVE_FATAL || stream->sink_failed) {
		*err = why;
		return -1;
	}
	stream_loss(stream, &why);
	return 0;
}

/* The content in order; more, offset, data and len are the first run, read already. */
static int
stream_content(struct stream *stream, const struct entry *entry, struct content *content,
    int more, uint64_t offset, const uint8_t *data, size_t len, struct error *err)
{
	uint64_t at = 0;

	while (more == 1) {
		if (offset < at || offset > entry->size || len > entry->size - offset)
			return error_set(err, ERROR_CORRUPT,
			    "the stored content is longer than the file");
		if (stream_put_zeros(stream, offset - at, err) < 0 ||
		    stream_put(stream, data, len, err) < 0)
			return -1;
		at = offset + len;
		more = content_next(content, &offset, &data, &len, err);
	}
	if (more < 0)
		return -1;
	if (!entry->sparse && at != entry->size)
		return error_set(err, ERROR_CORRUPT, "the stored content is shorter than the file");
	return stream_put_zeros(stream, entry->size - at, err);
}

static int
stream_file(struct stream *stream, const struct entry *entry, struct error *err)
{
	struct content *content = NULL;
	struct error why = ERROR_INIT;
	const uint8_t *data = NULL;
	uint64_t offset = 0;
	size_t len = 0;
	int more = 0, result;

	/* The first run before the header: a damaged small file is left out, not half there. */
	if (entry->size == 0 && entry->content_count > 0) {
		more = error_set(&why, ERROR_CORRUPT, "an empty file has stored content");
	} else if (entry->size > 0) {
		if (content_open(stream->repo, entry, &content, &why) < 0)
			more = -1;
		else
			more = content_next(content, &offset, &data, &len, &why);
	}
	if (more < 0) {
		stream_loss(stream, &why);
		content_close(content);
		return 0;
	}
	result = stream_header(stream, entry, NULL, err);
	stream->left = entry->size;
	if (result == 1)
		result = stream_content(stream, entry, content, more, offset, data, len, err);
	content_close(content);
	return result;
}

static bool
is_left_out(struct stream *stream, const struct entry *entry)
{
	bool zip = stream->kind == ARCHIVE_ZIP;

	if (entry->kind == ENTRY_SOCKET) {
		stream_note(stream, "a socket is left out: archives have none");
		return true;
	}
	if (zip && (entry->kind == ENTRY_FIFO || entry->kind == ENTRY_CHARACTER ||
	    entry->kind == ENTRY_BLOCK)) {
		stream_note(stream, "left out: a zip has no fifos and devices");
		return true;
	}
	return false;
}

/* The entry whose path is in stream->path. */
static int
stream_entry(struct stream *stream, const struct entry *entry, struct error *err)
{
	const char *link;
	int result;

	if (progress_check(stream->progress, err) < 0)
		return -1;
	progress_path(stream->progress, stream->path.data, stream->path.len);
	if (is_left_out(stream, entry))
		return 0;
	link = entry->kind == ENTRY_DIRECTORY ? NULL : earlier_name(stream, entry);
	if (entry->kind == ENTRY_FILE && link == NULL)
		result = stream_file(stream, entry, err);
	else
		result = stream_header(stream, entry, link, err);
	if (result < 0 && !stream->sink_failed)
		error_prefix(err, "'/%.200s': ", buffer_text(&stream->path));
	atomic_fetch_add(&stream->progress->files, 1);
	return result < 0 ? -1 : 0;
}

/* --- the walk ----------------------------------------------------------------------- */

/* Into the folder whose path (with its slash, if it has any) is in stream->path. */
static void
stream_enter(struct stream *stream, const struct blob_id *parts, size_t part_count)
{
	struct tree_cursor *cursor = NULL;
	struct error why = ERROR_INIT;

	if (tree_open(stream->repo, parts, part_count, &cursor, &why) < 0) {
		stream_loss(stream, &why);
		return;
	}
	MEM_GROW(stream->frames, stream->depth, stream->cap);
	stream->frames[stream->depth].cursor = cursor;
	stream->frames[stream->depth++].path_len = stream->path.len;
}

static int
stream_walk(struct stream *stream, struct error *err)
{
	const struct entry *entry = NULL;
	struct error why = ERROR_INIT;
	struct frame *frame;
	int more, result = 0;

	while (stream->depth > 0 && result == 0) {
		frame = &stream->frames[stream->depth - 1];
		stream->path.len = frame->path_len;
		more = tree_next(frame->cursor, &entry, &why);
		if (more < 0)
			stream_loss(stream, &why);
		if (more <= 0) {
			tree_close(frame->cursor);
			stream->depth--;
			continue;
		}
		buffer_put(&stream->path, entry->name, entry->name_len);
		result = stream_entry(stream, entry, err);
		if (result == 0 && entry->kind == ENTRY_DIRECTORY) {
			buffer_put_u8(&stream->path, '/');
			stream_enter(stream, entry->content, entry->content_count);
		}
	}
	while (stream->depth > 0)
		tree_close(stream->frames[--stream->depth].cursor);
	return result;
}

/* Find what is asked for and put its path, without slashes at the ends, into stream->path. */
static int
stream_find(struct stream *stream, const struct snapshot *snapshot, const char *printable,
    struct entry *ret, struct error *err)
{
	char *path = NULL;
	size_t len = 0;
	int found;

	if (text_unprintable(printable, err, &path, &len) < 0)
		return -1;
	if (path[0] != '/' || strlen(path) != len) {
		free(path);
		return error_set(err, ERROR_BAD_REQUEST, "'%.200s' is no absolute path", printable);
	}
	found = tree_lookup(stream->repo, snapshot->roots, snapshot->root_count, path, ret, err);
	if (found == 0)
		error_set(err, ERROR_NOT_FOUND, "snapshot '%s' has no path '%.200s'", snapshot->id,
		    printable);
	for (size_t i = 1; found == 1 && i < len; i++)
		if (path[i] != '/' || (stream->path.len > 0 && path[i - 1] != '/'))
			buffer_put_u8(&stream->path, (uint8_t)path[i]);
	while (stream->path.len > 0 && stream->path.data[stream->path.len - 1] == '/')
		stream->path.len--;
	free(path);
	return found == 1 ? 0 : -1;
}

static int
stream_run(struct stream *stream, const struct snapshot *snapshot, const char *path,
    struct error *err)
{
	struct entry top;
	int result = -1;

	entry_init(&top);
	if (stream_find(stream, snapshot, path, &top, err) < 0 || stream_open(stream, err) < 0)
		goto out;
	result = 0;
	/* "/" itself has no attributes and no name. */
	if (stream->path.len > 0)
		result = stream_entry(stream, &top, err);
	if (result == 0 && top.kind == ENTRY_DIRECTORY) {
		if (stream->path.len > 0)
			buffer_put_u8(&stream->path, '/');
		stream_enter(stream, top.content, top.content_count);
		result = stream_walk(stream, err);
	}
	if (result == 0 && (archive_write_close(stream->archive) != ARCHIVE_OK ||
	    stream->sink_failed))
		result = stream_error(stream, "finish the archive", err);
out:
	/* What failed must not be completed by an end mark: from here on nothing is passed on. */
	if (stream->archive != NULL && result < 0) {
		stream->sink_failed = true;
		/* libarchive fills the present file up with zeros, however many they are; to be
		 * stopped costs a few buffers of its own. */
		stream->give_up = stream->left > PADDING_MAX;
		archive_write_close(stream->archive);
	}
	entry_done(&top);
	return result;
}

static void
stream_done(struct stream *stream)
{
	struct link *link, *next;

	for (size_t i = 0; i < LINK_BUCKETS; i++) {
		for (link = stream->links[i]; link != NULL; link = next) {
			next = link->next;
			free(link->path);
			free(link);
		}
	}
	free(stream->links);
	free(stream->frames);
	free(stream->zeros);
	buffer_done(&stream->path);
	if (stream->archive != NULL)
		archive_write_free(stream->archive);
}

int
files_archive(struct repository *repo, const struct snapshot *snapshot, const char *path,
    enum archive_format_kind kind, uint64_t skip,
    int (*sink)(void *arg, const void *data, size_t len, struct error *err), void *arg,
    struct progress *progress, struct error *err)
{
	struct stream stream = { .repo = repo, .progress = progress, .kind = kind, .sink = sink,
		.arg = arg, .skip = skip, .sink_error = ERROR_INIT, .path = BUFFER_INIT };
	/* libarchive takes names through the locale of this thread, which must not change them. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 == (locale_t)0 ? (locale_t)0 : uselocale(utf8);
	int result;

	progress_phase(progress, "archive");
	stream.links = mem_calloc(LINK_BUCKETS, sizeof(*stream.links));
	result = stream_run(&stream, snapshot, path, err);
	stream_done(&stream);
	if (utf8 != (locale_t)0) {
		uselocale(before);
		freelocale(utf8);
	}
	return result;
}
