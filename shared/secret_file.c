#include "shared/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/mem.h"

static int
check_stat(const struct stat *st, const char *path, const char *what, struct error *err)
{
	if (S_ISDIR(st->st_mode))
		return error_set(err, ERROR_CONFIG, "%s '%s' is a folder", what, path);
	/* A pipe or a process substitution has no mode that matters. */
	if (!S_ISREG(st->st_mode))
		return 0;
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return error_set(err, ERROR_CONFIG, "%s '%s' belongs to user %u, not to us or root",
		    what, path, (unsigned)st->st_uid);
	if ((st->st_mode & (S_IRWXO | S_IWGRP)) != 0) {
		error_set(err, ERROR_CONFIG, "%s '%s' is open to others (mode %04o)", what, path,
		    (unsigned)(st->st_mode & 07777));
		return error_hint(err, "chmod 600 '%s'", path);
	}
	return 0;
}

int
secret_file_check(const char *path, const char *what, struct error *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return error_sys(err, ERROR_IO, errno, "could not open %s '%s'", what, path);
	return check_stat(&st, path, what, err);
}

int
secret_file_read(const char *path, const char *what, size_t max, char **ret, struct error *err)
{
	char *text = NULL;
	struct stat st;
	size_t used = 0;
	ssize_t n;
	int fd, rc = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not open %s '%s'", what, path);
	if (fstat(fd, &st) != 0) {
		error_sys(err, ERROR_IO, errno, "could not look at %s '%s'", what, path);
		goto out;
	}
	if (check_stat(&st, path, what, err) != 0)
		goto out;
	/* The line, "\r\n" and a NUL. */
	text = mem_calloc(1, max + 3);
	while (used < max + 2 && (n = read(fd, text + used, max + 2 - used)) != 0) {
		if (n > 0) {
			used += (size_t)n;
		} else if (errno != EINTR) {
			error_sys(err, ERROR_IO, errno, "could not read %s '%s'", what, path);
			goto out;
		}
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (strlen(text) > max) {
		error_set(err, ERROR_CONFIG, "the first line of %s '%s' is longer than %zu bytes",
		    what, path, max);
		goto out;
	}
	*ret = mem_strdup(text);
	rc = 0;
out:
	mem_free_secret(text, text == NULL ? 0 : max + 3);
	close(fd);
	return rc;
}
