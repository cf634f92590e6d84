/*
 * The local backend's inside: local.c opens, reads, lists and sweeps; local_put.c writes.
 */
#ifndef HOLDFAST_AGENT_STORAGE_LOCAL_INTERNAL_H
#define HOLDFAST_AGENT_STORAGE_LOCAL_INTERNAL_H

#include <fcntl.h>
#include <pthread.h>

#include "agent/storage/open_files.h"
#include "agent/storage/storage_internal.h"

#define LOCAL_FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

struct local {
	struct storage base;
	int fd;
	struct open_files *files;
	pthread_mutex_t lock;
	char **folders; /* those that exist, as far as we made or used them; behind the lock */
	size_t folder_count, folder_cap;
};

/* What failed, on which object, where, and what to do next.  Returns -1. */
int local_fail(struct error *err, int sys, const struct local *local, const char *doing,
    const char *name);

/* "packs/ab" of "packs/ab/cd"; "" if there is no slash.  Heap. */
char *local_parent_of(const char *name);

/* Make a rename, unlink or mkdir in this folder ("" for the root) durable.  Returns an errno. */
int local_sync_folder(const struct local *local, const char *folder);

/* Forget which folders were made; they are looked at again. */
void local_forget_folders(struct local *local);

int local_put_begin(struct storage *storage, const char *name, struct storage_put **ret,
    struct error *err);
int local_put_write(struct storage_put *base, const void *data, size_t len, struct error *err);
int local_put_commit(struct storage_put *base, bool replace, struct error *err);
void local_put_abort(struct storage_put *base);

#endif
