#include "agent/commands/state_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/mem.h"
#include "shared/text.h"

int
state_folder_make(const char *folder, struct error *err)
{
	struct stat st;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		error_sys(err, ERROR_IO, errno, "could not make the state folder '%s'", folder);
		if (err->code == ERROR_NOT_FOUND || err->code == ERROR_PERMISSION)
			error_hint(err, "name another with --state, or make the folder above it");
		return -1;
	}
	if (stat(folder, &st) != 0)
		return error_sys(
		    err, ERROR_IO, errno, "could not open the state folder '%s'", folder);
	if (!S_ISDIR(st.st_mode))
		return error_set(
		    err, ERROR_CONFIG, "the state folder '%s' is not a folder", folder);
	if ((st.st_mode & (S_IWOTH | S_IWGRP)) != 0) {
		error_set(
		    err, ERROR_CONFIG, "the state folder '%s' can be written by others", folder);
		return error_hint(err, "chmod 700 '%s'", folder);
	}
	return 0;
}

static void
name_holder(int fd, const char *folder, struct error *err)
{
	char text[512], *printable;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	/* The holder may be between taking the lock and writing its name. */
	if (n <= 0) {
		error_set(
		    err, ERROR_CLAIMED, "the state folder '%s' belongs to another agent", folder);
	} else {
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		printable = text_printable(text, strlen(text));
		error_set(err, ERROR_CLAIMED, "the state folder '%s' belongs to the agent with %s",
		    folder, printable);
		free(printable);
	}
	error_hint(err, "stop that agent, or give this one a folder of its own with --state");
}

int
state_folder_lock(const char *folder, int *ret_fd, struct error *err)
{
	char *path = mem_printf("%s/agent.lock", folder), host[256] = "localhost";
	char when[TIME_TEXT_SIZE], *text = NULL;
	int fd, rc = -1;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_sys(err, ERROR_IO, errno, "could not open '%s'", path);
		goto out;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			name_holder(fd, folder, err);
		else
			error_sys(err, ERROR_IO, errno, "could not lock '%s'", path);
		goto out;
	}
	gethostname(host, sizeof(host) - 1);
	time_format(time_now(), 0, when);
	text = mem_printf("process %ld on host %s since %s\n", (long)getpid(), host, when);
	/* Only a help for people: the lock is what counts.  On a full disk it goes unnamed. */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, strlen(text), 0) < 0)
		text[0] = '\0';
	*ret_fd = fd;
	fd = -1;
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	free(text);
	free(path);
	return rc;
}

/* The noted line, or NULL if there is none. */
static char *
read_note(const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;

	if (file == NULL) {
		if (errno != ENOENT)
			error_sys(err, ERROR_IO, errno, "could not open '%s'", path);
		return NULL;
	}
	if (getline(&line, &cap, file) < 0) {
		free(line);
		line = NULL;
	} else {
		line[strcspn(line, "\n")] = '\0';
	}
	fclose(file);
	return line;
}

int
state_folder_note_repository(const char *folder, const char *url, const char *id,
    struct error *err)
{
	char *path = mem_printf("%s/repository", folder), *beside = mem_printf("%s.new", path);
	char *line = mem_printf("%s %s\n", url, id), *noted = NULL;
	struct error ignored = ERROR_INIT;
	int fd = -1, rc = -1;

	noted = read_note(path, &ignored);
	if (noted != NULL && strlen(noted) + 1 == strlen(line) &&
	    strncmp(noted, line, strlen(noted)) == 0) {
		rc = 0;
		goto out;
	}
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line) || fsync(fd) != 0 ||
	    rename(beside, path) != 0) {
		error_sys(err, ERROR_IO, errno, "could not write '%s'", path);
		goto out;
	}
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	free(noted);
	free(line);
	free(beside);
	free(path);
	return rc;
}

int
state_folder_knows_repository(const char *folder, const char *url, struct error *err)
{
	char *path = mem_printf("%s/repository", folder), *noted, *space;
	int rc = 0;

	error_clear(err);
	noted = read_note(path, err);
	if (noted == NULL) {
		rc = err->code == ERROR_NONE ? 0 : -1;
	} else {
		/* The id has no blank; the place may. */
		space = strrchr(noted, ' ');
		if (space != NULL)
			*space = '\0';
		rc = strcmp(noted, url) == 0;
	}
	free(noted);
	free(path);
	return rc;
}
