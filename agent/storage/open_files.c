#include "agent/storage/open_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/mem.h"

/* Enough for the packs that the threads of one restore work on. */
#define KEPT_MAX 16

struct open_file {
	char *name;
	int fd;
	unsigned users;
	uint64_t last_use;
	struct open_file *next;
};

struct open_files {
	int folder_fd;
	pthread_mutex_t lock;
	struct open_file *list; /* at most KEPT_MAX, and those in use */
	unsigned count;
	uint64_t clock;
};

struct open_files *
open_files_new(int folder_fd)
{
	struct open_files *files = MEM_NEW(struct open_files);

	files->folder_fd = folder_fd;
	pthread_mutex_init(&files->lock, NULL);
	return files;
}

static void
file_free(struct open_file *file)
{
	close(file->fd);
	free(file->name);
	free(file);
}

void
open_files_free(struct open_files *files)
{
	struct open_file *file, *next;

	if (files == NULL)
		return;
	for (file = files->list; file != NULL; file = next) {
		next = file->next;
		file_free(file);
	}
	pthread_mutex_destroy(&files->lock);
	free(files);
}

static void
unlink_file(struct open_files *files, struct open_file *file)
{
	struct open_file **link = &files->list;

	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	files->count--;
}

static void
drop(struct open_files *files, struct open_file *file)
{
	unlink_file(files, file);
	file_free(file);
}

/* Close what is unused and longest unused, until the limit is kept. */
static void
shrink(struct open_files *files)
{
	while (files->count > KEPT_MAX) {
		struct open_file *oldest = NULL;

		for (struct open_file *file = files->list; file != NULL; file = file->next)
			if (file->users == 0 &&
			    (oldest == NULL || file->last_use < oldest->last_use))
				oldest = file;
		if (oldest == NULL)
			return;
		drop(files, oldest);
	}
}

/* A name that was given to another file since leaves this one without a link. */
static bool
is_current(const struct open_file *file)
{
	struct stat st;

	return fstat(file->fd, &st) == 0 && st.st_nlink > 0;
}

/* The kept file of this name, with one user more, or NULL. */
static struct open_file *
find(struct open_files *files, const char *name)
{
	struct open_file *file, *next;

	for (file = files->list; file != NULL; file = next) {
		next = file->next;
		if (strcmp(file->name, name) != 0)
			continue;
		if (is_current(file)) {
			file->users++;
			file->last_use = ++files->clock;
			return file;
		}
		if (file->users == 0)
			drop(files, file);
	}
	return NULL;
}

int
open_files_get(struct open_files *files, const char *name, struct open_file **ret, int *ret_fd)
{
	struct open_file *file;
	int fd;

	pthread_mutex_lock(&files->lock);
	file = find(files, name);
	pthread_mutex_unlock(&files->lock);
	if (file == NULL) {
		/* Without the lock, as it may wait for a disk: two threads may open the same
		 * file, and the second copy is closed when its turn comes.  Not blocking, in
		 * case somebody put a fifo there. */
		fd = openat(files->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			return errno;
		file = MEM_NEW(struct open_file);
		file->name = mem_strdup(name);
		file->fd = fd;
		file->users = 1;
		pthread_mutex_lock(&files->lock);
		file->last_use = ++files->clock;
		file->next = files->list;
		files->list = file;
		files->count++;
		shrink(files);
		pthread_mutex_unlock(&files->lock);
	}
	*ret = file;
	*ret_fd = file->fd;
	return 0;
}

void
open_files_release(struct open_files *files, struct open_file *file)
{
	pthread_mutex_lock(&files->lock);
	file->users--;
	if (file->users == 0 && !is_current(file))
		drop(files, file);
	shrink(files);
	pthread_mutex_unlock(&files->lock);
}

void
open_files_forget(struct open_files *files, const char *name)
{
	struct open_file *file, *next;

	pthread_mutex_lock(&files->lock);
	for (file = files->list; file != NULL; file = next) {
		next = file->next;
		if (file->users == 0 && strcmp(file->name, name) == 0)
			drop(files, file);
	}
	pthread_mutex_unlock(&files->lock);
}
