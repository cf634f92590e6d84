#include "tests/lib/test_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/mem.h"

static void
die(const char *doing, const char *path)
{
	fprintf(stderr, "could not %s '%s': %s\n", doing, path, strerror(errno));
	abort();
}

char *
test_folder_new(void)
{
	const char *base = getenv("TMPDIR");
	char *folder = mem_printf("%s/holdfast-unit.XXXXXX", base != NULL ? base : "/tmp");

	if (mkdtemp(folder) == NULL)
		die("make", folder);
	return folder;
}

char *
test_folder_new_in_memory(void)
{
	char *folder = mem_strdup("/dev/shm/holdfast-unit.XXXXXX");

	if (mkdtemp(folder) != NULL)
		return folder;
	free(folder);
	return test_folder_new();
}

static int
make_enterable(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DNR)
		chmod(path, 0700);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	if (remove(path) != 0)
		die("remove", path);
	return 0;
}

void
test_folder_remove(char *folder)
{
	if (folder == NULL)
		return;
	nftw(folder, make_enterable, 16, FTW_PHYS);
	nftw(folder, remove_one, 16, FTW_PHYS | FTW_DEPTH);
	free(folder);
}

char *
test_path(const char *folder, const char *fmt, ...)
{
	char *name = NULL, *path;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&name, fmt, ap) < 0)
		die("name a file in", folder);
	va_end(ap);
	path = mem_printf("%s/%s", folder, name);
	free(name);
	return path;
}

void
test_file_write(const char *path, const void *data, size_t len)
{
	const uint8_t *p = data;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		die("write", path);
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			die("write", path);
		p += n;
		len -= (size_t)n;
	}
	if (close(fd) != 0)
		die("write", path);
}

uint8_t *
test_file_read(const char *path, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	struct stat st;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &st) != 0)
		die("read", path);
	data = mem_calloc((size_t)st.st_size + 1, 1);
	while (done < (size_t)st.st_size) {
		ssize_t n = read(fd, data + done, (size_t)st.st_size - done);

		if (n <= 0)
			die("read", path);
		done += (size_t)n;
	}
	close(fd);
	*ret_len = done;
	return data;
}

unsigned
test_folder_count(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *item;
	unsigned count = 0;

	if (dir == NULL)
		return 0;
	while ((item = readdir(dir)) != NULL)
		count += strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0;
	closedir(dir);
	return count;
}
