/*
 * Reading files: opened by descriptor of their folder, never through a link, never a FIFO or
 * device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/backup_internal.h"
#include "agent/repository/chunker.h"
#include "agent/repository/content_list.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* A batch is one job; about one frame of data, and few enough files that workers share the load. */
#define BATCH_BYTES (2u << 20)
#define BATCH_FILES 512

/* The walk saw less than BATCH_FILE_MAX; a file that has grown beyond this since is not read into
 * memory. */
#define GROWN_FILE_MAX (256u << 20)

/* More than a tick of the coarsest clock of a file system that has one (10 ms). */
#define RACY_NS 20000000

struct batch_item {
	struct dir_handle *dir;
	struct tree_slot *slot;
	bool existed; /* in the previous snapshot */
};

struct file_batch {
	struct backup *backup;
	struct batch_item *items;
	size_t count, cap;
	uint64_t bytes;
	unsigned dirs;
};

struct dir_handle *
dir_handle_new(int fd, const char *path, size_t path_len)
{
	struct dir_handle *handle = mem_calloc(1, sizeof(*handle) + path_len + 1);

	handle->fd = fd;
	atomic_init(&handle->holders, 1);
	handle->path_len = path_len;
	memcpy(handle->path, path, path_len);
	return handle;
}

struct dir_handle *
dir_handle_hold(struct dir_handle *handle)
{
	atomic_fetch_add(&handle->holders, 1);
	return handle;
}

void
dir_handle_release(struct dir_handle *handle)
{
	if (handle == NULL || atomic_fetch_sub(&handle->holders, 1) != 1)
		return;
	close(handle->fd);
	free(handle);
}

/* The folder itself if the name is empty. */
static char *
full_path(const struct dir_handle *dir, const char *name, size_t *ret_len)
{
	size_t len = strlen(name);
	char *path = mem_calloc(1, dir->path_len + 1 + len + 1);

	memcpy(path, dir->path, dir->path_len);
	*ret_len = dir->path_len;
	if (len > 0 || dir->path_len == 0) {
		path[dir->path_len] = '/';
		memcpy(path + dir->path_len + 1, name, len);
		*ret_len += 1 + len;
	}
	return path;
}

void
backup_loss(struct backup *backup, const struct dir_handle *dir, const char *name,
    const struct error *err)
{
	size_t len;
	char *path = full_path(dir, name, &len);

	progress_loss(backup->progress, path, len, "%s", err->message);
	free(path);
}

void
backup_note(struct backup *backup, const struct dir_handle *dir, const char *name,
    const char *text)
{
	size_t len;
	char *path = full_path(dir, name, &len);

	progress_note(backup->progress, path, len, "%s", text);
	free(path);
}

/* 1 open, 0 it is gone, -1 it cannot be read. */
static int
open_file(const struct dir_handle *dir, const char *name, int *ret, struct error *err)
{
	/* O_NONBLOCK: should it have become a FIFO, the open must not hang. */
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	int fd = openat(dir->fd, name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM) /* only the owner may ask for O_NOATIME */
		fd = openat(dir->fd, name, flags);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno == ELOOP)
		return error_set(err, ERROR_IO, "became a symlink while it was backed up");
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not open it");
	*ret = fd;
	return 1;
}

void
backup_doubt_racy(struct entry *entry)
{
	struct timespec now = time_now();
	int64_t age = (now.tv_sec - entry->ctime.tv_sec) * 1000000000LL + now.tv_nsec -
	    entry->ctime.tv_nsec;

	if (age < RACY_NS)
		entry->ctime = (struct timespec){ 0, 0 };
}

/* Where the data of a sparse file is; too many extents are joined at the end. */
static int
read_extents(int fd, struct entry *entry, struct error *err)
{
	off_t at = 0;
	size_t cap = 0;

	entry->sparse = true;
	while ((uint64_t)at < entry->size) {
		off_t start = lseek(fd, at, SEEK_DATA), end;

		if (start < 0 && errno == ENXIO)
			break;
		if (start < 0)
			return error_sys(err, ERROR_IO, errno, "could not find its data");
		end = lseek(fd, start, SEEK_HOLE);
		if (end < 0)
			return error_sys(err, ERROR_IO, errno, "could not find its holes");
		if ((uint64_t)end > entry->size)
			end = (off_t)entry->size;
		if ((uint64_t)start >= entry->size)
			break;
		if (entry->extent_count == TREE_EXTENTS_MAX - 1)
			end = (off_t)entry->size;
		MEM_GROW(entry->extents, entry->extent_count, cap);
		entry->extents[entry->extent_count++] =
		    (struct extent){ (uint64_t)start, (uint64_t)(end - start) };
		at = end;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_sys(err, ERROR_IO, errno, "could not seek");
	return 0;
}

/*
 * Open a file and record its attributes as they are now.  1 open, 0 it is gone, -1 cannot be read.
 */
static int
open_entry(struct backup *backup, const struct dir_handle *dir, struct entry *entry, int *ret,
    struct error *err)
{
	struct stat st;
	struct error why;
	int fd = -1, rc = open_file(dir, entry->name, &fd, err);

	if (rc != 1)
		return rc;
	if (fstat(fd, &st) != 0) {
		error_sys(err, ERROR_IO, errno, "could not stat it");
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(err, ERROR_IO, "became something else while it was backed up");
		goto fail;
	}
	attributes_from_stat(entry, &st, backup->names);
	backup_doubt_racy(entry);
	if (attributes_read_xattrs(fd, entry, &why) != 0) {
		backup_loss(backup, dir, entry->name, &why);
		entry->ctime = (struct timespec){ 0, 0 }; /* try again next time */
	}
	/* Fewer blocks than bytes: there may be holes. */
	if ((uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size && read_extents(fd, entry, err) != 0)
		goto fail;
	*ret = fd;
	return 1;
fail:
	close(fd);
	return -1;
}

/* Read exactly len bytes, or fewer at the end of the file. */
static ssize_t
read_full(int fd, uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* What was read ends at this offset of the file: shrink the entry to it. */
static void
cut_entry(struct entry *entry, uint64_t end)
{
	entry->size = end;
	while (entry->extent_count > 0) {
		struct extent *last = &entry->extents[entry->extent_count - 1];

		if (last->offset + last->len <= end)
			break;
		if (last->offset < end) {
			last->len = end - last->offset;
			break;
		}
		entry->extent_count--;
	}
}

/* Say so if the file is not as it was when it was opened; it is stored as it was read. */
static void
note_change(struct backup *backup, const struct dir_handle *dir, int fd, struct entry *entry)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == entry->size &&
	    st.st_mtim.tv_sec == entry->mtime.tv_sec && st.st_mtim.tv_nsec == entry->mtime.tv_nsec)
		return;
	entry->ctime = (struct timespec){ 0, 0 }; /* read again next time */
	backup_note(backup, dir, entry->name, "changed while it was read; stored as read");
}

int
backup_put_chunks(struct writer_worker *worker, const uint8_t *data, size_t len,
    struct entry *entry, struct error *err)
{
	struct writer *writer = writer_of(worker);
	const struct chunker *chunker = &writer_repository(writer)->chunker;
	struct content_list list;
	size_t at = 0;
	int rc = -1;

	content_list_init(&list);
	while (at < len) {
		size_t n = chunker_cut(chunker, data + at, len - at, 1);
		struct blob_id id;

		if (writer_put(worker, BLOB_DATA, data + at, n, &id, err) != 0 ||
		    content_list_add(&list, writer, &id, err) != 0)
			goto out;
		at += n;
	}
	rc = content_list_finish(&list, writer, entry, err);
out:
	content_list_done(&list);
	return rc;
}

/* The data of an open file of at most BATCH_FILE_MAX bytes into buf; its extents one after the
 * other. */
static int
read_data(const struct backup *backup, int fd, struct entry *entry, uint8_t *buf,
    size_t *ret_len, struct error *err)
{
	struct extent whole = { 0, entry->size };
	const struct extent *extents = entry->sparse ? entry->extents : &whole;
	size_t count = entry->sparse ? entry->extent_count : 1, done = 0;

	for (size_t i = 0; i < count; i++) {
		ssize_t n;

		if (entry->sparse && lseek(fd, (off_t)extents[i].offset, SEEK_SET) < 0)
			return error_sys(err, ERROR_IO, errno, "could not seek");
		limit_wait(backup->options->read_limit, extents[i].len);
		n = read_full(fd, buf + done, (size_t)extents[i].len);
		if (n < 0)
			return error_sys(err, ERROR_IO, errno, "could not read it");
		done += (size_t)n;
		if ((uint64_t)n < extents[i].len) {
			cut_entry(entry, extents[i].offset + (uint64_t)n);
			break;
		}
	}
	*ret_len = done;
	return 0;
}

/* A file that is to be in the snapshot. */
static void
count_file(struct backup *backup, const struct entry *entry, bool existed)
{
	atomic_fetch_add(existed ? &backup->counts.changed_files : &backup->counts.new_files, 1);
	atomic_fetch_add(&backup->counts.files, 1);
	atomic_fetch_add(&backup->counts.bytes, entry->size);
	atomic_fetch_add(&backup->progress->files, 1);
}

/* True if the entry is to be kept. */
static bool
read_item(struct backup *backup, struct writer_worker *worker, struct batch_item *item,
    uint8_t **buf, size_t *buf_len)
{
	struct entry *entry = &item->slot->entry;
	struct error err = ERROR_INIT;
	size_t len = 0;
	bool empty;
	int fd = -1, rc;

	limit_wait(backup->options->file_limit, 1);
	rc = open_entry(backup, item->dir, entry, &fd, &err);
	if (rc == 0) {
		backup_note(backup, item->dir, entry->name, "vanished before it was read");
		return false;
	}
	if (rc < 0)
		goto loss;
	if (entry->size > GROWN_FILE_MAX) {
		close(fd);
		error_set(&err, ERROR_IO, "grew to %llu bytes while it was backed up",
		    (unsigned long long)entry->size);
		goto loss;
	}
	if (*buf_len < entry->size) {
		*buf = mem_realloc(*buf, entry->size, 1);
		*buf_len = entry->size;
	}
	empty = entry->size == 0;
	rc = empty ? 0 : read_data(backup, fd, entry, *buf, &len, &err);
	if (rc == 0 && !empty)
		note_change(backup, item->dir, fd, entry);
	close(fd);
	if (rc != 0)
		goto loss;
	if (entry->size > 0 && backup_put_chunks(worker, *buf, len, entry, &err) != 0) {
		writer_fail(backup->writer, &err);
		return false;
	}
	count_file(backup, entry, item->existed);
	atomic_fetch_add(&backup->progress->bytes, entry->size);
	return true;
loss:
	backup_loss(backup, item->dir, entry->name, &err);
	return false;
}

struct file_batch *
file_batch_new(struct backup *backup)
{
	struct file_batch *batch = MEM_NEW(struct file_batch);

	batch->backup = backup;
	return batch;
}

bool
file_batch_add(struct file_batch *batch, struct dir_handle *dir, struct tree_slot *slot,
    uint64_t size, bool existed)
{
	MEM_GROW(batch->items, batch->count, batch->cap);
	if (batch->count == 0 || batch->items[batch->count - 1].dir != dir)
		batch->dirs++;
	batch->items[batch->count++] = (struct batch_item){ dir_handle_hold(dir), slot, existed };
	batch->bytes += size;
	return batch->bytes >= BATCH_BYTES || batch->count >= BATCH_FILES ||
	    batch->dirs >= batch->backup->batch_dirs;
}

static void
batch_run(struct writer_worker *worker, void *arg)
{
	struct file_batch *batch = arg;
	uint8_t *buf = NULL;
	size_t buf_len = 0;

	for (size_t i = 0; i < batch->count; i++) {
		struct batch_item *item = &batch->items[i];
		struct error stop = ERROR_INIT;
		bool keep = false;

		/* The walk may be over, or wait for us: it cannot tell. */
		if (progress_check(batch->backup->progress, &stop) != 0)
			writer_fail(batch->backup->writer, &stop);
		if (!writer_has_failed(batch->backup->writer))
			keep = read_item(batch->backup, worker, item, &buf, &buf_len);
		tree_slot_finish(item->slot, keep);
		dir_handle_release(item->dir);
	}
	free(buf);
	free(batch->items);
	free(batch);
}

void
file_batch_submit(struct file_batch *batch)
{
	if (batch == NULL)
		return;
	if (batch->backup->writer != NULL) {
		writer_submit(batch->backup->writer, batch_run, batch);
		return;
	}
	for (size_t i = 0; i < batch->count; i++) {
		struct entry *entry = &batch->items[i].slot->entry;

		count_file(batch->backup, entry, batch->items[i].existed);
		atomic_fetch_add(&batch->backup->progress->bytes, entry->size);
		tree_slot_finish(batch->items[i].slot, true);
		dir_handle_release(batch->items[i].dir);
	}
	free(batch->items);
	free(batch);
}

static void
stream_ended(void *arg, bool ok)
{
	tree_slot_finish(arg, ok);
}

/* All extents of an open file into the stream; a file that ends early is cut there. */
static int
stream_data(struct backup *backup, struct stream *stream, int fd, struct entry *entry,
    struct error *err)
{
	struct extent whole = { 0, entry->size };
	const struct extent *extents = entry->sparse ? entry->extents : &whole;
	size_t count = entry->sparse ? entry->extent_count : 1;
	const struct limit *limit = backup->options->read_limit;

	for (size_t i = 0; i < count; i++) {
		uint64_t left = extents[i].len;

		if (lseek(fd, (off_t)extents[i].offset, SEEK_SET) < 0)
			return error_sys(err, ERROR_IO, errno, "could not seek");
		while (left > 0) {
			size_t room;
			uint8_t *p = stream_room(stream, &room);
			ssize_t n;

			if (progress_check(backup->progress, err) != 0)
				return -1;
			/* The rest would be read for nothing. */
			if (writer_has_failed(backup->writer))
				return error_set(err, ERROR_CANCELLED, "the backup has failed");
			if (left < room)
				room = (size_t)left;
			room = limit_piece(limit, room);
			limit_wait(limit, room);
			n = read_full(fd, p, room);
			if (n < 0)
				return error_sys(err, ERROR_IO, errno, "could not read it");
			if (n == 0) {
				cut_entry(entry, extents[i].offset + extents[i].len - left);
				return 0;
			}
			left -= (uint64_t)n;
			stream_filled(stream, (size_t)n);
			atomic_fetch_add(&backup->progress->bytes, (uint64_t)n);
		}
	}
	return 0;
}

static void
drop_ended(void *arg, bool ok)
{
	(void)ok;
	tree_slot_finish(arg, false);
}

void
file_stream(struct backup *backup, struct dir_handle *dir, struct tree_slot *slot, bool existed)
{
	struct entry *entry = &slot->entry;
	struct error err = ERROR_INIT;
	struct stream *stream;
	int fd = -1, rc;

	limit_wait(backup->options->file_limit, 1);
	rc = open_entry(backup, dir, entry, &fd, &err);
	if (rc != 1) {
		if (rc == 0)
			backup_note(backup, dir, entry->name, "vanished before it was read");
		else
			backup_loss(backup, dir, entry->name, &err);
		tree_slot_finish(slot, false);
		return;
	}
	stream = stream_begin(backup->writer);
	rc = stream_data(backup, stream, fd, entry, &err);
	if (rc == 0)
		note_change(backup, dir, fd, entry);
	else if (err.code != ERROR_CANCELLED)
		backup_loss(backup, dir, entry->name, &err);
	close(fd);
	if (rc == 0)
		count_file(backup, entry, existed);
	stream_end(stream, entry, rc == 0 ? stream_ended : drop_ended, slot);
}
