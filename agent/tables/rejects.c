#include "agent/tables/rejects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define FOLDER "rejects"
/* Who reads while the load runs is at most so far behind. */
#define FLUSH_BYTES ((size_t)64 << 10)
#define FLUSH_MS 250
#define READ_BYTES ((size_t)64 << 10)
/* A record's other fields, with room to spare. */
#define RECORD_MAX (REJECT_RAW_MAX + REJECT_REASON_MAX + 4096u)

enum record { RECORD_HEADER, RECORD_ROW };
#define HEADER_CRLF 1u
#define ROW_HAS_COLUMN 1u
#define ROW_IS_CUT 2u

struct rejects {
	char *state, *run;
	int folder, fd;      /* -1 until there is a row */
	struct buffer header; /* a record, or empty */
	struct buffer buf;   /* whole records that are not written yet */
	uint64_t written;
	int64_t flushed_ms;
};

struct rejects_reader {
	int fd;
	struct buffer buf;
	size_t at;           /* in buf: the next record */
	char *header;
	size_t header_len;
	bool begun;          /* its beginning was there; else there is no row either */
	bool is_csv, crlf;
	char *column, *reason;
};

/* ---- the folder */

static int
open_folder(const char *state, bool make, int *ret, struct error *err)
{
	int base = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, sys = errno;

	if (base >= 0) {
		if (!make || mkdirat(base, FOLDER, 0700) == 0 || errno == EEXIST)
			fd = openat(base, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		sys = errno;
		close(base);
	}
	if (fd < 0)
		return error_sys(err, ERROR_IO, sys, "could not open folder '%.200s/" FOLDER "'",
		    state);
	*ret = fd;
	return 0;
}

struct kept {
	char *name;
	uint64_t bytes;
	struct timespec modified;
};

static int
compare_age(const void *a, const void *b)
{
	const struct timespec *x = &((const struct kept *)a)->modified;
	const struct timespec *y = &((const struct kept *)b)->modified;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* All files of the folder; caller frees each name and the array. */
static int
list_kept(int folder, struct kept **ret, size_t *ret_count, uint64_t *ret_bytes, struct error *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct kept *list = NULL;
	size_t count = 0, cap = 0;
	struct dirent *entry;
	struct stat st;

	*ret_bytes = 0;
	if (dir == NULL) {
		error_sys(err, ERROR_IO, errno, "could not list the folder of rejects");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		MEM_GROW(list, count, cap);
		list[count++] = (struct kept){ mem_strdup(entry->d_name), (uint64_t)st.st_size,
			st.st_mtim };
		*ret_bytes += (uint64_t)st.st_size;
	}
	closedir(dir);
	*ret = list;
	*ret_count = count;
	return 0;
}

/* Whoever writes a file holds a lock on it. */
static bool
is_written(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

	if (fd >= 0)
		close(fd);
	return locked;
}

/* Make room for one load more, at the oldest ones' cost. */
static int
make_room(int folder, struct error *err)
{
	struct kept *list = NULL;
	size_t count = 0;
	uint64_t bytes;

	if (list_kept(folder, &list, &count, &bytes, err) != 0)
		return -1;
	if (count > 0)
		qsort(list, count, sizeof(*list), compare_age);
	for (size_t i = 0; i < count; i++) {
		/* If interrupted here, the next load goes on. */
		if (bytes > REJECTS_FOLDER_MAX - REJECTS_RUN_MAX &&
		    !is_written(folder, list[i].name) && unlinkat(folder, list[i].name, 0) == 0)
			bytes -= list[i].bytes;
		free(list[i].name);
	}
	free(list);
	return 0;
}

/* ---- writing */

int
rejects_open(const char *state, const char *run, struct rejects **ret, struct error *err)
{
	struct rejects *rejects;

	if (run == NULL || run[0] == '\0' || run[0] == '.' || strchr(run, '/') != NULL)
		return error_set(err, ERROR_INTERNAL, "a run without an id has no rejects");
	rejects = MEM_NEW(struct rejects);
	rejects->state = mem_strdup(state);
	rejects->run = mem_strdup(run);
	rejects->folder = -1;
	rejects->fd = -1;
	*ret = rejects;
	return 0;
}

/* Its length stands before a record: begin with four bytes for it, put it there at the end. */
static size_t
begin_record(struct buffer *buf, enum record type)
{
	size_t at = buf->len;

	buffer_put_u32(buf, 0);
	buffer_put_u8(buf, (uint8_t)type);
	return at;
}

static void
end_record(struct buffer *buf, size_t at)
{
	size_t end = buf->len;

	buf->len = at;
	buffer_put_u32(buf, (uint32_t)(end - at - 4));
	buf->len = end;
}

void
rejects_set_header(struct rejects *rejects, const char *header, size_t len, bool crlf)
{
	size_t at;

	buffer_clear(&rejects->header);
	at = begin_record(&rejects->header, RECORD_HEADER);
	buffer_put_u8(&rejects->header, crlf ? HEADER_CRLF : 0);
	buffer_put_bytes(&rejects->header, header, header == NULL ? 0 : len);
	end_record(&rejects->header, at);
}

static int
write_failed(struct rejects *rejects, int sys, struct error *err)
{
	return error_sys(err, ERROR_IO, sys, "could not write the rejected rows to '%.200s/" FOLDER
	    "/%s'", rejects->state, rejects->run);
}

/* The end of this very run has to be written to the same disk, by the journal and the log. */
static int
check_room(struct rejects *rejects, struct error *err)
{
	struct statvfs fs;

	if (fstatvfs(rejects->fd, &fs) != 0 ||
	    (uint64_t)fs.f_bavail * fs.f_frsize >= REJECTS_ROOM_MIN + rejects->buf.len)
		return 0;
	error_set(err, ERROR_NO_SPACE, "could not write the rejected rows to '%.200s/" FOLDER
	    "/%s': %llu MiB are left there for the agent itself", rejects->state, rejects->run,
	    (unsigned long long)(REJECTS_ROOM_MIN >> 20));
	return error_hint(err, "make room on that disk");
}

static int
flush(struct rejects *rejects, struct error *err)
{
	size_t done = 0;

	if (rejects->buf.len > 0 && check_room(rejects, err) != 0)
		return -1;
	while (done < rejects->buf.len) {
		ssize_t n = write(rejects->fd, rejects->buf.data + done, rejects->buf.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			write_failed(rejects, n == 0 ? EIO : errno, err);
			/* Half a record at the end would hide what another flush appends. */
			if (ftruncate(rejects->fd, (off_t)rejects->written) != 0)
				error_hint(err, "the last row in it is cut off");
			return -1;
		}
		done += (size_t)n;
	}
	rejects->written += rejects->buf.len;
	buffer_clear(&rejects->buf);
	rejects->flushed_ms = time_monotonic_ms();
	return 0;
}

static int
make_file(struct rejects *rejects, struct error *err)
{
	if (open_folder(rejects->state, true, &rejects->folder, err) != 0 ||
	    make_room(rejects->folder, err) != 0)
		return -1;
	if (unlinkat(rejects->folder, rejects->run, 0) != 0 && errno != ENOENT)
		return write_failed(rejects, errno, err);
	rejects->fd = openat(rejects->folder, rejects->run,
	    O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (rejects->fd < 0 || flock(rejects->fd, LOCK_EX | LOCK_NB) != 0)
		return write_failed(rejects, errno, err);
	buffer_put_text(&rejects->buf, REJECTS_MAGIC);
	buffer_put(&rejects->buf, rejects->header.data, rejects->header.len);
	return 0;
}

int
rejects_add(struct rejects *rejects, uint64_t number, uint64_t line, const char *column,
    const char *reason, const char *raw, size_t raw_len, struct error *err)
{
	bool cut = raw_len > REJECT_RAW_MAX;
	struct buffer *buf = &rejects->buf;
	size_t at;

	if (rejects->fd < 0 && make_file(rejects, err) != 0)
		return -1;
	at = begin_record(buf, RECORD_ROW);
	buffer_put_varint(buf, number);
	buffer_put_varint(buf, line);
	buffer_put_u8(buf, (uint8_t)((column != NULL ? ROW_HAS_COLUMN : 0) |
	    (cut ? ROW_IS_CUT : 0)));
	buffer_put_bytes(buf, column, column == NULL ? 0 : strnlen(column, 1024));
	buffer_put_bytes(buf, reason, strnlen(reason, REJECT_REASON_MAX));
	buffer_put_bytes(buf, raw, cut ? REJECT_RAW_MAX : raw_len);
	end_record(buf, at);
	if (rejects->written + buf->len > REJECTS_RUN_MAX) {
		buf->len = at;
		if (flush(rejects, err) != 0)
			return -1;
		error_set(err, ERROR_BAD_REQUEST, "more than %llu MiB of rows were rejected",
		    (unsigned long long)(REJECTS_RUN_MAX >> 20));
		return error_hint(err, "look at the first ones whether it is the right table, "
		    "delimiter and header: GET /v1/runs/%s/rejects", rejects->run);
	}
	if (buf->len < FLUSH_BYTES && time_monotonic_ms() - rejects->flushed_ms < FLUSH_MS)
		return 0;
	return flush(rejects, err);
}

int
rejects_close(struct rejects *rejects, struct error *err)
{
	int rc = 0;

	if (rejects == NULL)
		return 0;
	if (rejects->fd >= 0) {
		rc = flush(rejects, err);
		/* If interrupted here, a power cut may take rows away, never the middle of one. */
		if (rc == 0 && (fsync(rejects->fd) != 0 || fsync(rejects->folder) != 0))
			rc = write_failed(rejects, errno, err);
		close(rejects->fd);
	}
	if (rejects->folder >= 0)
		close(rejects->folder);
	buffer_done(&rejects->header);
	buffer_done(&rejects->buf);
	free(rejects->state);
	free(rejects->run);
	free(rejects);
	return rc;
}

/* ---- reading */

/* 1 there are so many bytes from reader->at, 0 the file ends before. */
static int
need(struct rejects_reader *reader, size_t len, struct error *err)
{
	while (reader->buf.len - reader->at < len) {
		size_t more = len - (reader->buf.len - reader->at);
		uint8_t *room;
		ssize_t n;

		/* What was lent is not needed any more. */
		if (reader->at > 0) {
			memmove(reader->buf.data, reader->buf.data + reader->at,
			    reader->buf.len - reader->at);
			reader->buf.len -= reader->at;
			reader->at = 0;
		}
		if (more < READ_BYTES)
			more = READ_BYTES;
		room = buffer_reserve(&reader->buf, more);
		n = read(reader->fd, room, more);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, ERROR_IO, errno, "could not read the rejected rows");
		if (n == 0)
			return 0;
		reader->buf.len += (size_t)n;
	}
	return 1;
}

static int
corrupt(struct error *err)
{
	return error_set(err, ERROR_CORRUPT, "the file of rejected rows is damaged");
}

/* 1 and the next record's bytes, which stay until the next one; 0 the end, -1. */
static int
next_record(struct rejects_reader *reader, struct reader *ret, struct error *err)
{
	struct reader head;
	uint32_t len = 0;
	int rc;

	rc = need(reader, 4, err);
	if (rc != 1)
		return rc;
	reader_init(&head, reader->buf.data + reader->at, 4, "rejects");
	if (reader_get_u32(&head, &len, err) != 0 || len == 0 || len > RECORD_MAX)
		return corrupt(err);
	rc = need(reader, (size_t)len + 4, err);
	if (rc != 1)
		return rc;
	reader_init(ret, reader->buf.data + reader->at + 4, len, "rejects");
	reader->at += (size_t)len + 4;
	return 1;
}

static int
read_header(struct rejects_reader *reader, struct reader *record, struct error *err)
{
	const uint8_t *data;
	uint8_t flags;

	if (reader_get_u8(record, &flags, err) != 0 ||
	    reader_get_bytes(record, RECORD_MAX, &data, &reader->header_len, err) != 0 ||
	    reader_finish(record, err) != 0)
		return -1;
	reader->is_csv = true;
	reader->crlf = (flags & HEADER_CRLF) != 0;
	if (reader->header_len == 0)
		return 0;
	/* All its bytes, also behind a NUL, as its length tells. */
	reader->header = mem_calloc(reader->header_len + 1, 1);
	memcpy(reader->header, data, reader->header_len);
	return 0;
}

/* The magic, and the header if there is one. */
static int
read_begin(struct rejects_reader *reader, struct error *err)
{
	struct reader record;
	uint8_t type;
	int rc;

	rc = need(reader, strlen(REJECTS_MAGIC), err);
	if (rc != 1)
		return rc;
	if (memcmp(reader->buf.data, REJECTS_MAGIC, strlen(REJECTS_MAGIC)) != 0)
		return corrupt(err);
	reader->at = strlen(REJECTS_MAGIC);
	rc = next_record(reader, &record, err);
	if (rc != 1)
		return rc;
	if (reader_get_u8(&record, &type, err) != 0)
		return -1;
	reader->begun = true;
	if (type == RECORD_HEADER)
		return read_header(reader, &record, err);
	/* No header: this one is the first row, and is read again as such. */
	reader->at -= (size_t)(record.end - record.p) + 1 + 4;
	return 0;
}

int
rejects_read_open(const char *state, const char *run, struct rejects_reader **ret,
    struct error *err)
{
	struct rejects_reader *reader;
	struct error why = ERROR_INIT;
	int folder, fd, sys;

	if (open_folder(state, false, &folder, &why) != 0) {
		if (why.code == ERROR_NOT_FOUND)
			return 0;
		*err = why;
		return -1;
	}
	fd = openat(folder, run, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	sys = errno;
	close(folder);
	if (fd < 0 && sys == ENOENT)
		return 0;
	if (fd < 0)
		return error_sys(err, ERROR_IO, sys, "could not open the rejected rows of run '%s'",
		    run);
	reader = MEM_NEW(struct rejects_reader);
	reader->fd = fd;
	if (read_begin(reader, err) != 0) {
		rejects_read_close(reader);
		return -1;
	}
	*ret = reader;
	return 1;
}

const char *
rejects_read_header(const struct rejects_reader *reader, size_t *ret_len, bool *ret_crlf)
{
	*ret_len = reader->header_len;
	*ret_crlf = reader->crlf;
	return reader->header;
}

bool
rejects_read_is_csv(const struct rejects_reader *reader)
{
	return reader->is_csv;
}

static int
get_text(struct reader *record, size_t max, char **ret, struct error *err)
{
	const uint8_t *data;
	size_t len;

	if (reader_get_bytes(record, max, &data, &len, err) != 0)
		return -1;
	free(*ret);
	*ret = mem_printf("%.*s", (int)len, (const char *)data);
	return 0;
}

int
rejects_read(struct rejects_reader *reader, struct reject *ret, struct error *err)
{
	struct reader record;
	const uint8_t *raw;
	uint8_t type, flags;
	int rc;

	if (!reader->begun)
		return 0;
	rc = next_record(reader, &record, err);
	if (rc != 1)
		return rc;
	if (reader_get_u8(&record, &type, err) != 0)
		return -1;
	if (type != RECORD_ROW)
		return corrupt(err);
	if (reader_get_varint(&record, UINT64_MAX, &ret->number, err) != 0 ||
	    reader_get_varint(&record, UINT64_MAX, &ret->line, err) != 0 ||
	    reader_get_u8(&record, &flags, err) != 0 ||
	    get_text(&record, RECORD_MAX, &reader->column, err) != 0 ||
	    get_text(&record, RECORD_MAX, &reader->reason, err) != 0 ||
	    reader_get_bytes(&record, RECORD_MAX, &raw, &ret->raw_len, err) != 0 ||
	    reader_finish(&record, err) != 0)
		return -1;
	ret->column = (flags & ROW_HAS_COLUMN) != 0 ? reader->column : NULL;
	ret->reason = reader->reason;
	ret->raw = (const char *)raw;
	ret->cut = (flags & ROW_IS_CUT) != 0;
	return 1;
}

void
rejects_read_close(struct rejects_reader *reader)
{
	if (reader == NULL)
		return;
	close(reader->fd);
	buffer_done(&reader->buf);
	free(reader->header);
	free(reader->column);
	free(reader->reason);
	free(reader);
}
