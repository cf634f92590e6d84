/*
 * The members of a tar, one after the other.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/files/archive_in_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

#define READ_BYTES (256u << 10)

struct tar {
	struct import *import;
	struct archive *archive;
	struct import_content *content;
	struct buffer path, target; /* of the member, in the snapshot, without first slash */
	size_t base_len;            /* of the import's own path in it */
	bool absolute_told;
	char *last;                 /* the member before, printable; or NULL */
	uint8_t block[READ_BYTES];
};

/* --- libarchive's side -------------------------------------------------------------- */

static la_ssize_t
tar_read(struct archive *archive, void *arg, const void **ret)
{
	struct tar *tar = arg;
	struct import *import = tar->import;
	ssize_t n = import_read(import, tar->block, sizeof(tar->block), &import->input_error);

	*ret = tar->block;
	if (n >= 0)
		return n;
	archive_set_error(archive, EIO, "the input failed");
	return ARCHIVE_FATAL;
}

/* The input's own reason if it was the input. */
static int
tar_failed(const struct tar *tar, struct error *err)
{
	const struct import *import = tar->import;
	const char *why = archive_error_string(tar->archive);

	if (import->input_error.code != ERROR_NONE) {
		*err = import->input_error;
		return -1;
	}
	if (import->bytes_read == 0)
		return error_set(err, ERROR_BAD_REQUEST, "nothing came, not even an empty archive");
	if (archive_format(tar->archive) == 0 && tar->last == NULL) {
		error_set(err, ERROR_BAD_REQUEST,
		    "this is no tar archive, or its beginning is damaged%s%s",
		    why != NULL ? ": " : "", why != NULL ? why : "");
		return error_hint(err, "it may be compressed by gzip, zstd, xz, bzip2, lz4, lzip; "
		    "what is no archive is kept as a file: format=file");
	}
	error_set(err, ERROR_BAD_REQUEST, "the archive is damaged or cut off %s%.200s%s: %s",
	    tar->last != NULL ? "at or behind '" : "at its beginning", tar->last != NULL ? tar->last
	    : "", tar->last != NULL ? "'" : "", why != NULL ? why : "it ends within a header");
	return error_hint(err, "nothing of it was kept; make it again");
}

static int
tar_open(struct tar *tar, struct error *err)
{
	static int (*const filters[])(struct archive *) = {
		archive_read_support_filter_gzip, archive_read_support_filter_zstd,
		archive_read_support_filter_xz, archive_read_support_filter_bzip2,
		archive_read_support_filter_lz4, archive_read_support_filter_lzip,
		archive_read_support_filter_lzma, archive_read_support_filter_compress,
	};
	struct archive *archive = tar->archive = archive_read_new();
	int code;

	if (archive == NULL)
		return error_set(err, ERROR_INTERNAL, "could not start to read an archive");
	/* Not all that there are: some start other programs. */
	for (size_t i = 0; i < ARRAY_LEN(filters); i++)
		if (filters[i](archive) != ARCHIVE_OK)
			return error_set(err, ERROR_INTERNAL, "libarchive lacks a compression: %s",
			    archive_error_string(archive));
	code = archive_read_support_format_tar(archive);
	/* Archives one behind the other are read to the last: nothing is left out in silence. */
	if (code == ARCHIVE_OK)
		code = archive_read_set_format_option(archive, "tar", "read_concatenated_archives",
		    "1");
	if (code != ARCHIVE_OK)
		return error_set(err, ERROR_INTERNAL, "could not start to read an archive: %s",
		    archive_error_string(archive));
	code = archive_read_open(archive, tar, NULL, tar_read, NULL);
	return code == ARCHIVE_OK || code == ARCHIVE_WARN ? 0 : tar_failed(tar, err);
}

/* --- names -------------------------------------------------------------------------- */

static int
refuse_name(const char *name, enum error_code code, const char *why, struct error *err)
{
	char *shown = text_printable(name, strnlen(name, 300));

	error_set(err, code, "the member '%s' %s", shown, why);
	free(shown);
	return error_hint(err, "nothing of the archive was kept");
}

/* Behind the import's own path: a member's name without "./", doubled slashes and the first. */
static int
set_path(struct tar *tar, struct buffer *path, const char *name, struct error *err)
{
	const char *p = name;
	size_t depth = 0;

	path->len = tar->base_len;
	if (name[0] == '\0')
		return error_set(err, ERROR_BAD_REQUEST, "a member of the archive has no name");
	if (name[0] == '/' && !tar->absolute_told) {
		tar->absolute_told = true;
		import_note(tar->import, name + 1,
		    "this name, and maybe others, is absolute in the archive; taken as relative");
	}
	for (;;) {
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len == 0)
			break;
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return refuse_name(name, ERROR_BAD_REQUEST,
			    "leads out of the archive by '..'", err);
		if (len > TREE_NAME_MAX)
			return refuse_name(name, ERROR_TOO_LARGE, "has a part that is too long",
			    err);
		if (++depth > IMPORT_DEPTH_MAX)
			return refuse_name(name, ERROR_TOO_LARGE, "lies too deep", err);
		if (len != 1 || p[0] != '.') {
			if (path->len > 0)
				buffer_put_u8(path, '/');
			buffer_put(path, p, len);
		}
		p += len;
	}
	buffer_text(path);
	return 0;
}

static const char *
path_text(const struct tar *tar)
{
	return (const char *)tar->path.data;
}

/* --- members ------------------------------------------------------------------------ */

/* False and a loss if it could not be. */
static bool
was_placed(struct tar *tar, int placed)
{
	if (placed == PLACED)
		return true;
	import_loss(tar->import, path_text(tar), placed == PLACED_ON_FOLDER
	    ? "a folder that holds something is in its place"
	    : "it lies below something that is no folder");
	return false;
}

static int
take_link(struct tar *tar, const char *target, struct error *err)
{
	int placed;

	if (set_path(tar, &tar->target, target, err) != 0)
		return -1;
	placed = import_tree_link(tar->import->tree, path_text(tar),
	    (const char *)tar->target.data, err);
	if (placed < 0)
		return -1;
	was_placed(tar, placed);
	return 0;
}

/* The data of the member at hand, for a file that was begun. */
static int
take_data(struct tar *tar, struct error *err)
{
	const void *data;
	la_int64_t offset;
	size_t len;
	int code;

	while ((code = archive_read_data_block(tar->archive, &data, &len, &offset)) == ARCHIVE_OK) {
		if (offset < 0)
			return error_set(err, ERROR_BAD_REQUEST,
			    "its data lies outside of its size");
		if (import_content_put(tar->content, (uint64_t)offset, data, len, err) != 0)
			return -1;
		if (writer_has_failed(tar->import->writer))
			return error_set(err, ERROR_INTERNAL, "the writer has failed");
	}
	return code == ARCHIVE_EOF ? 0 : tar_failed(tar, err);
}

static int
take_file(struct tar *tar, struct import_file *file, struct entry *entry, struct error *err)
{
	import_content_begin(tar->content, file, entry);
	if (take_data(tar, err) != 0)
		return -1;
	import_content_end(tar->content);
	return 0;
}

/* A member that is no hard link, and whose path is set. */
static int
take_entry(struct tar *tar, struct archive_entry *from, struct error *err)
{
	struct import *import = tar->import;
	struct import_file *file = NULL;
	struct error why = ERROR_INIT;
	struct entry entry;
	int placed, rc;

	if (import_entry(import, from, path_text(tar), &entry, &why) != 0) {
		import_loss(import, path_text(tar), why.message);
		entry_done(&entry);
		return 0;
	}
	if (tar->path.len == 0) {
		/* "./" under "/": the root has no attributes. */
		if (entry.kind != ENTRY_DIRECTORY)
			import_loss(import, "",
			    "a member that is no folder has the name of the root");
		entry_done(&entry);
		return 0;
	}
	placed = import_tree_add(import->tree, path_text(tar), entry.kind, &file, err);
	if (placed < 0 || !was_placed(tar, placed)) {
		entry_done(&entry);
		return placed < 0 ? -1 : 0;
	}
	rc = entry.kind == ENTRY_FILE && entry.size > 0 ? take_file(tar, file, &entry, err)
	    : import_file_store(import->tree, file, &entry, err);
	entry_done(&entry);
	return rc;
}

static void
remember(struct tar *tar)
{
	free(tar->last);
	tar->last = text_printable(tar->path.data, tar->path.len);
}

static int
take_member(struct tar *tar, struct archive_entry *from, struct error *err)
{
	const char *name = archive_entry_pathname(from), *link = archive_entry_hardlink(from);

	if (progress_check(tar->import->progress, err) != 0 ||
	    set_path(tar, &tar->path, name != NULL ? name : "", err) != 0)
		return -1;
	progress_path(tar->import->progress, tar->path.data, tar->path.len);
	remember(tar);
	if ((link != NULL ? take_link(tar, link, err) : take_entry(tar, from, err)) != 0)
		return -1;
	atomic_fetch_add(&tar->import->progress->files, 1);
	/* What is left of it, to its last block. */
	return archive_read_data_skip(tar->archive) >= ARCHIVE_WARN ? 0 : tar_failed(tar, err);
}

/*
 * Names that are no UTF-8 are warned of, and given as their bytes all the same.  Anything else that
 * libarchive could not make sense of is told.
 */
static void
tell_warning(struct tar *tar, struct archive_entry *from)
{
	const char *why = archive_error_string(tar->archive);
	const char *name = archive_entry_pathname(from);

	if (why != NULL && strstr(why, "can't be converted from UTF-8") == NULL)
		import_loss(tar->import, name != NULL ? name : "", why);
}

static int
take_members(struct tar *tar, struct error *err)
{
	struct archive_entry *from;
	la_int64_t end = 0;
	int code;

	for (;;) {
		code = archive_read_next_header(tar->archive, &from);
		if (code == ARCHIVE_EOF)
			break;
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
			return tar_failed(tar, err);
		if (code == ARCHIVE_WARN)
			tell_warning(tar, from);
		if (take_member(tar, from, err) != 0)
			return -1;
		/* Where the member ends, with its padding. */
		end = archive_filter_bytes(tar->archive, 0);
	}
	/*
	 * Behind the last member come blocks of zeros.  Without them it was cut off between two
	 * members, which libarchive takes for an end.
	 */
	if (archive_filter_bytes(tar->archive, 0) - end >= 512)
		return 0;
	error_set(err, ERROR_BAD_REQUEST,
	    "the archive ends behind '%.200s' without its end mark: it was cut off", tar->last != NULL ? tar->last : "");
	return error_hint(err, "nothing of it was kept; make it again");
}

int
import_tar(struct import *import, struct error *err)
{
	struct tar *tar = MEM_NEW(struct tar);
	/* libarchive takes names through the locale of this thread, which must not change them. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 == (locale_t)0 ? (locale_t)0 : uselocale(utf8);
	int rc;

	tar->import = import;
	tar->content = import_content_new(import);
	buffer_put_text(&tar->path, import->options->name + 1);
	buffer_put_text(&tar->target, import->options->name + 1);
	tar->base_len = tar->path.len;
	rc = tar_open(tar, err);
	if (rc == 0)
		rc = take_members(tar, err);
	import_content_free(tar->content);
	if (tar->archive != NULL)
		archive_read_free(tar->archive);
	if (utf8 != (locale_t)0) {
		uselocale(before);
		freelocale(utf8);
	}
	buffer_done(&tar->path);
	buffer_done(&tar->target);
	free(tar->last);
	free(tar);
	return rc;
}
