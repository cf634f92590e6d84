#include "agent/files/archive_in_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/mem.h"

#define ELSEWHERE "/var/tmp"
#define WRITE_BYTES (256u << 10)

struct import_spool {
	pthread_mutex_t lock;
	int fd;
	uint64_t written;   /* bytes in the file; what is younger is in the buffer */
	size_t used;
	uint8_t buffer[WRITE_BYTES];
};

static int
open_unnamed(const char *folder)
{
	char *path;
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	/* A file system without them. */
	path = mem_printf("%s/.import-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd;
}

int
import_spool_new(const char *folder, struct import_spool **ret, struct error *err)
{
	struct import_spool *spool;
	int fd = folder != NULL ? open_unnamed(folder) : -1;

	if (fd < 0)
		fd = open_unnamed(ELSEWHERE);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not make a temporary file in '%s'",
		    ELSEWHERE);
	spool = MEM_NEW(struct import_spool);
	pthread_mutex_init(&spool->lock, NULL);
	spool->fd = fd;
	*ret = spool;
	return 0;
}

void
import_spool_free(struct import_spool *spool)
{
	if (spool == NULL)
		return;
	close(spool->fd);
	pthread_mutex_destroy(&spool->lock);
	free(spool);
}

/* All of data to the end of the file; caller holds the lock. */
static int
append(struct import_spool *spool, const uint8_t *data, size_t len, struct error *err)
{
	while (len > 0) {
		ssize_t n = pwrite(spool->fd, data, len, (off_t)spool->written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, ERROR_IO, errno, "could not write a temporary file");
		spool->written += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
flush(struct import_spool *spool, struct error *err)
{
	size_t used = spool->used;

	/* Also on failure: then nothing of it is ever asked for. */
	spool->used = 0;
	return append(spool, spool->buffer, used, err);
}

int
import_spool_add(struct import_spool *spool, const void *data, size_t len, uint64_t *ret_offset,
    struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&spool->lock);
	if (len > WRITE_BYTES - spool->used)
		rc = flush(spool, err);
	*ret_offset = spool->written + spool->used;
	if (rc == 0 && len > WRITE_BYTES) {
		rc = append(spool, data, len, err);
	} else if (rc == 0) {
		memcpy(spool->buffer + spool->used, data, len);
		spool->used += len;
	}
	pthread_mutex_unlock(&spool->lock);
	return rc;
}

int
import_spool_get(struct import_spool *spool, uint64_t offset, void *buf, size_t len,
    struct error *err)
{
	uint8_t *p = buf;
	int rc = 0;

	pthread_mutex_lock(&spool->lock);
	if (offset + len > spool->written)
		rc = flush(spool, err);
	pthread_mutex_unlock(&spool->lock);
	while (rc == 0 && len > 0) {
		ssize_t n = pread(spool->fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_sys(err, ERROR_IO, n < 0 ? errno : EIO,
			    "could not read a temporary file");
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return rc;
}
