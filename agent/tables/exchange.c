#include "agent/tables/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"

#define URL_PREFIX "file://"

struct exchange_file {
	int folder, fd;
	char *name, *part;
	uint64_t at;
};

char *
exchange_component(const char *table)
{
	struct buffer out = BUFFER_INIT;

	for (const unsigned char *p = (const unsigned char *)table; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f || *p == '/' || *p == '\\' || *p == '%' ||
		    (*p == '.' && out.len == 0))
			buffer_printf(&out, "%%%02X", *p);
		else
			buffer_put_u8(&out, *p);
	}
	return buffer_take(&out);
}

char *
exchange_table_path(const char *prefix, const char *table)
{
	char *name = exchange_component(table);
	char *path = mem_printf("%s/%s/backup/%s.avro", prefix, name, name);

	free(name);
	return path;
}

char *
exchange_historic_path(const char *prefix, const char *table)
{
	char *name = exchange_component(table);
	char *path = mem_printf("%s/%s/historic/%s.csv", prefix, name, name);

	free(name);
	return path;
}

static int
open_base(const char *url, int *ret, struct error *err)
{
	int fd;

	if (url == NULL) {
		error_set(err, ERROR_CONFIG, "no exchange storage is configured");
		return error_hint(err, "write url = file:///FOLDER in [exchange]");
	}
	if (strncmp(url, URL_PREFIX "/", sizeof(URL_PREFIX)) != 0)
		return error_set(err, ERROR_UNSUPPORTED, "'%.200s' is no exchange storage", url);
	fd = open(url + strlen(URL_PREFIX), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		error_sys(err, ERROR_IO, errno, "could not open the exchange storage '%.200s'",
		    url);
		return error_hint(err, "the folder must exist");
	}
	*ret = fd;
	return 0;
}

/* The folder that holds the last component of path, which stays; takes base over. */
static int
walk_to(int base, const char *path, bool make, const char **ret_name, int *ret,
    struct error *err)
{
	char component[NAME_MAX + 1];
	const char *slash;
	int next, sys;

	while ((slash = strchr(path, '/')) != NULL) {
		size_t len = (size_t)(slash - path);

		if (len == 0 || len > NAME_MAX) {
			close(base);
			return error_set(err, ERROR_BAD_REQUEST, "'%.200s' is no path", path);
		}
		memcpy(component, path, len);
		component[len] = '\0';
		if (make && mkdirat(base, component, 0755) != 0 && errno != EEXIST)
			next = -1;
		else
			next = openat(base, component,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		sys = errno;
		close(base);
		if (next < 0)
			return error_sys(err, ERROR_IO, sys,
			    "could not open '%s' on the exchange storage", component);
		base = next;
		path = slash + 1;
	}
	*ret_name = path;
	*ret = base;
	return 0;
}

int
exchange_create(const char *url, const char *path, uint64_t skip, struct exchange_file **ret,
    struct error *err)
{
	struct exchange_file *file = MEM_NEW(struct exchange_file);
	const char *name = NULL;
	int base = -1;

	file->fd = -1;
	file->folder = -1;
	if (open_base(url, &base, err) != 0 ||
	    walk_to(base, path, true, &name, &file->folder, err) != 0)
		goto fail;
	file->name = mem_strdup(name);
	file->part = mem_printf("%s.part", name);
	/* Not what somebody else may have put there: a link, a FIFO. */
	if (unlinkat(file->folder, file->part, 0) != 0 && errno != ENOENT) {
		error_sys(err, ERROR_IO, errno, "could not remove '%s' on the exchange storage",
		    file->part);
		goto fail;
	}
	file->fd = openat(file->folder, file->part,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (file->fd < 0) {
		error_sys(err, ERROR_IO, errno, "could not make '%s' on the exchange storage",
		    file->part);
		goto fail;
	}
	file->at = skip;
	*ret = file;
	return 0;
fail:
	exchange_abandon(file);
	return -1;
}

static int
write_at(struct exchange_file *file, uint64_t at, const uint8_t *data, size_t len,
    struct error *err)
{
	while (len > 0) {
		ssize_t n = pwrite(file->fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_sys(err, ERROR_IO, n == 0 ? EIO : errno,
			    "could not write '%s' on the exchange storage", file->part);
		data += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
exchange_write(struct exchange_file *file, const void *data, size_t len, struct error *err)
{
	if (write_at(file, file->at, data, len, err) != 0)
		return -1;
	file->at += len;
	return 0;
}

int
exchange_fill(struct exchange_file *file, const void *data, size_t len, struct error *err)
{
	return write_at(file, 0, data, len, err);
}

static void
file_free(struct exchange_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->folder >= 0)
		close(file->folder);
	free(file->name);
	free(file->part);
	free(file);
}

void
exchange_abandon(struct exchange_file *file)
{
	if (file == NULL)
		return;
	if (file->fd >= 0)
		unlinkat(file->folder, file->part, 0);
	file_free(file);
}

int
exchange_publish(struct exchange_file *file, struct error *err)
{
	/* If interrupted here, ".part" is left and the name has what it had before. */
	if (fsync(file->fd) != 0 ||
	    renameat(file->folder, file->part, file->folder, file->name) != 0) {
		error_sys(err, ERROR_IO, errno, "could not publish '%s' on the exchange storage",
		    file->name);
		exchange_abandon(file);
		return -1;
	}
	/* If interrupted here, a power cut may bring the old file back; both are whole. */
	if (fsync(file->folder) != 0) {
		error_sys(err, ERROR_IO, errno, "could not sync the folder of '%s'", file->name);
		file_free(file);
		return -1;
	}
	file_free(file);
	return 0;
}

int
exchange_open(const char *url, const char *path, int *ret_fd, struct error *err)
{
	const char *name = NULL;
	struct stat st;
	int base, folder, fd, sys;

	if (open_base(url, &base, err) != 0 ||
	    walk_to(base, path, false, &name, &folder, err) != 0)
		return -1;
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	sys = errno;
	close(folder);
	if (fd < 0)
		return error_sys(err, ERROR_IO, sys, "could not open '%s' on the exchange storage",
		    path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, ERROR_BAD_REQUEST,
		    "'%s' on the exchange storage is no file", path);
	}
	*ret_fd = fd;
	return 0;
}
