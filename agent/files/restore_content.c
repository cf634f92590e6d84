/*
 * The bytes of a file: written, and compared with what is stored.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "agent/files/restore_internal.h"
#include "agent/repository/content.h"
#include "shared/mem.h"

#define COMPARE_SIZE (256u << 10)

static int
write_at(struct restore *r, int fd, uint64_t offset, const uint8_t *data, size_t len,
    struct error *err)
{
	while (len > 0) {
		ssize_t done = pwrite(fd, data, len, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return error_sys(err, ERROR_IO, errno, "could not write the file");
		if (done == 0)
			return error_set(err, ERROR_IO,
			    "could not write the file: nothing was taken");
		atomic_fetch_add(&r->bytes, (uint64_t)done);
		atomic_fetch_add(&r->progress->bytes, (uint64_t)done);
		atomic_fetch_add(&r->progress->stored_bytes, (uint64_t)done);
		data += done;
		offset += (uint64_t)done;
		len -= (size_t)done;
	}
	return 0;
}

/* How many bytes the contents of an entry have, without holes. */
static uint64_t
data_size(const struct entry *entry)
{
	uint64_t sum = 0;

	if (!entry->sparse)
		return entry->size;
	for (size_t i = 0; i < entry->extent_count; i++)
		sum += entry->extents[i].len;
	return sum;
}

/* Most files are one blob: no reader is needed for them. */
static int
write_one_blob(struct restore *r, const struct entry *entry, int fd, struct error *err)
{
	struct blob_view view;
	int result = -1;

	if (repository_read_blob(r->repo, BLOB_DATA, &entry->content[0], &view, err) < 0)
		return -1;
	if (view.len != entry->size)
		error_set(err, ERROR_CORRUPT, "the stored content has another size than the file");
	else
		result = write_at(r, fd, 0, view.data, view.len, err);
	blob_release(&view);
	return result;
}

int
restore_content_write(struct restore *r, const struct entry *entry, int fd, struct error *err)
{
	struct content *content = NULL;
	const uint8_t *data;
	uint64_t offset, written = 0;
	size_t len;
	int result = -1, more;

	if (!entry->sparse && entry->size == 0 && entry->content_count > 0)
		return error_set(err, ERROR_CORRUPT, "an empty file has stored content");
	if (!entry->sparse && entry->size == 0)
		return 0;
	if (!entry->sparse && entry->depth == 0 && entry->content_count == 1)
		return write_one_blob(r, entry, fd, err);
	/* Holes stay holes: the size is set, and only the data is written. */
	if (entry->sparse && ftruncate(fd, (off_t)entry->size) < 0)
		return error_sys(err, ERROR_IO, errno, "could not set the size");
	if (content_open(r->repo, entry, &content, err) < 0)
		return -1;
	while ((more = content_next(content, &offset, &data, &len, err)) == 1) {
		if (offset > entry->size || len > entry->size - offset) {
			error_set(err, ERROR_CORRUPT, "the stored content is longer than the file");
			goto out;
		}
		if (write_at(r, fd, offset, data, len, err) < 0 ||
		    progress_check(r->progress, err) < 0)
			goto out;
		written += len;
	}
	if (more == 0 && written != data_size(entry))
		error_set(err, ERROR_CORRUPT, "the stored content is shorter than the file");
	else
		result = more;
out:
	content_close(content);
	return result;
}

/* Are these bytes of the file equal to data, or all zero if data is NULL?  1, 0, -1. */
static int
compare_run(int fd, uint64_t offset, const uint8_t *data, uint64_t len, uint8_t *buf,
    struct error *err)
{
	static const uint8_t zeros[4096];

	while (len > 0) {
		size_t want = len < COMPARE_SIZE ? (size_t)len : COMPARE_SIZE;
		ssize_t got;

		if (data == NULL && want > sizeof(zeros))
			want = sizeof(zeros);
		got = pread(fd, buf, want, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_sys(err, ERROR_IO, errno, "could not read the file back");
		if (got == 0 || memcmp(buf, data == NULL ? zeros : data, (size_t)got) != 0)
			return 0;
		data += data == NULL ? 0 : got;
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 1;
}

/* A hole is zeros; what the file system itself calls a hole need not be read. */
static int
compare_hole(int fd, uint64_t offset, uint64_t end, uint8_t *buf, struct error *err)
{
	while (offset < end) {
		off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
		off_t hole;
		int same;

		if (data < 0 && errno == ENXIO)
			return 1;
		if (data < 0)
			return compare_run(fd, offset, NULL, end - offset, buf, err);
		if ((uint64_t)data >= end)
			return 1;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || (uint64_t)hole > end)
			hole = (off_t)end;
		same = compare_run(fd, (uint64_t)data, NULL, (uint64_t)(hole - data), buf, err);
		if (same != 1)
			return same;
		offset = (uint64_t)hole;
	}
	return 1;
}

int
restore_content_compare(struct restore *r, const struct entry *entry, int fd,
    struct error *err)
{
	struct content *content = NULL;
	uint8_t *buf = NULL;
	const uint8_t *data;
	uint64_t offset, at = 0;
	size_t len;
	int same = 1, more;

	if (entry->size == 0)
		return 1;
	if (content_open(r->repo, entry, &content, err) < 0)
		return -1;
	content_set_checked(content);
	buf = mem_calloc(COMPARE_SIZE, 1);
	while ((more = content_next(content, &offset, &data, &len, err)) == 1 && same == 1) {
		if (offset > at)
			same = compare_hole(fd, at, offset, buf, err);
		if (same == 1)
			same = compare_run(fd, offset, data, len, buf, err);
		at = offset + len;
		if (progress_check(r->progress, err) < 0)
			more = same = -1;
	}
	if (more < 0)
		same = -1;
	if (same == 1 && at < entry->size)
		same = compare_hole(fd, at, entry->size, buf, err);
	free(buf);
	content_close(content);
	return same;
}
