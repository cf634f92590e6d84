/*
 * Leftovers of a restore that was killed: known by their names, removed when nobody holds them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/restore_internal.h"
#include "shared/mem.h"

static bool
is_leftover(const struct restore *r, const char *name)
{
	size_t len = strlen(RESTORE_TEMPORARY);

	return strncmp(name, RESTORE_TEMPORARY, len) == 0 &&
	    strncmp(name + len, r->tag, strlen(r->tag)) != 0;
}

static DIR *
open_listing(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (dir == NULL && copy >= 0)
		close(copy);
	return dir;
}

struct leftovers {
	char (*names)[RESTORE_NAME_SIZE];
	size_t count, cap;
};

static void
leftovers_add(struct leftovers *leftovers, const char *name)
{
	MEM_GROW(leftovers->names, leftovers->count, leftovers->cap);
	strncpy(leftovers->names[leftovers->count], name, RESTORE_NAME_SIZE - 1);
	leftovers->names[leftovers->count++][RESTORE_NAME_SIZE - 1] = '\0';
}

/*
 * Empty a folder.  Folders in it are moved up into top and join the list: so their depth needs
 * neither stack nor descriptors.
 */
static void
empty_folder(struct restore *r, int top, int fd, struct leftovers *leftovers)
{
	DIR *dir = open_listing(fd);
	struct dirent *found;
	char name[64];

	if (dir == NULL)
		return;
	while ((found = readdir(dir)) != NULL) {
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, found->d_name, 0) == 0 || errno != EISDIR)
			continue;
		restore_temporary_name(r, name);
		if (renameat(fd, found->d_name, top, name) == 0)
			leftovers_add(leftovers, name);
	}
	closedir(dir);
}

/* Remove one leftover unless a living restore holds it. */
static void
remove_leftover(struct restore *r, int top, const char *name, struct leftovers *leftovers)
{
	struct stat st;
	int fd = openat(top, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		/* A symlink, socket or device; these are made and named within a moment. */
		if (fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
			(void)unlinkat(top, name, 0);
		return;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0) {
		if (S_ISDIR(st.st_mode)) {
			/* Inner folders may have got their mode already, even a read-only one. */
			(void)fchmod(fd, 0700);
			empty_folder(r, top, fd, leftovers);
			(void)unlinkat(top, name, AT_REMOVEDIR);
		} else {
			(void)unlinkat(top, name, 0);
		}
	}
	close(fd);
}

/* Failing to remove one only leaves it where it is. */
void
restore_remove_leftovers(struct restore *r, int top)
{
	struct leftovers leftovers = { NULL, 0, 0 };
	char name[RESTORE_NAME_SIZE];
	struct dirent *found;
	DIR *dir = open_listing(top);

	while (dir != NULL && (found = readdir(dir)) != NULL)
		if (is_leftover(r, found->d_name))
			leftovers_add(&leftovers, found->d_name);
	if (dir != NULL)
		closedir(dir);
	for (size_t i = 0; i < leftovers.count; i++) {
		memcpy(name, leftovers.names[i], sizeof(name));
		remove_leftover(r, top, name, &leftovers);
	}
	free(leftovers.names);
}
