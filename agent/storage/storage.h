/*
 * Where a repository's objects live: immutable files under slash-separated names.
 *
 * Backends: local folder ("/path", "path" or "file:///path").  Names come from the
 * repository only: components of [a-z0-9._-], never "." or "..".
 * Invariants: an object appears whole under its name or not at all; after a successful
 * commit it survives a power cut.  A failed sync is never tried again on the same file: the
 * object is given up, and the caller writes it anew.
 * Threads: every function may be called from any thread; one storage_put from one thread at a time.
 * After a crash: unfinished objects lie under "tmp/" and are removed by storage_sweep().
 */
#ifndef HOLDFAST_AGENT_STORAGE_STORAGE_H
#define HOLDFAST_AGENT_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "shared/buffer.h"
#include "shared/error.h"

struct storage;

/* One object being written. */
struct storage_put;

struct storage_ops {
	void (*close)(struct storage *storage);
	int (*put_begin)(struct storage *storage, const char *name, struct storage_put **ret,
	    struct error *err);
	int (*put_write)(struct storage_put *put, const void *data, size_t len, struct error *err);
	int (*put_commit)(struct storage_put *put, bool replace, struct error *err);
	void (*put_abort)(struct storage_put *put);
	int (*get)(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
	    struct error *err);
	int (*size)(struct storage *storage, const char *name, uint64_t *ret, struct error *err);
	int (*list)(struct storage *storage, const char *folder,
	    int (*each)(void *arg, const char *name, uint64_t size, struct error *err), void *arg,
	    struct error *err);
	int (*remove)(struct storage *storage, const char *name, struct error *err);
	int (*sweep)(struct storage *storage, int64_t older_than_s, struct error *err);
	int (*time)(struct storage *storage, const char *name, struct timespec *ret,
	    struct error *err); /* optional */
	int (*space)(struct storage *storage, uint64_t *ret_free, uint64_t *ret_total,
	    struct error *err); /* optional: NULL where the backend cannot tell */
};

/* Backends embed this as their first member. */
struct storage {
	const struct storage_ops *ops;
	char *url; /* as shown to people; holds no secret */
};

struct storage_put {
	struct storage *storage;
};

/* Does not touch the folder unless create is set, which makes it (mode 0700). */
int storage_open(const char *url, bool create, struct storage **ret, struct error *err);
void storage_close(struct storage *storage);
const char *storage_url(const struct storage *storage);

/*
 * Write an object: begin, any number of writes, then commit or abort (either ends the put;
 * commit also when it fails).  Without replace an existing name fails with ERROR_EXISTS.
 */
int storage_put_begin(struct storage *storage, const char *name, struct storage_put **ret,
    struct error *err);
int storage_put_write(struct storage_put *put, const void *data, size_t len, struct error *err);
int storage_put_commit(struct storage_put *put, bool replace, struct error *err);
void storage_put_abort(struct storage_put *put);
/* All of that for an object that is already in memory. */
int storage_put_whole(struct storage *storage, const char *name, const void *data, size_t len,
    bool replace, struct error *err);

/* Exactly len bytes from offset; ERROR_NOT_FOUND if absent, ERROR_CORRUPT if too short. */
int storage_get(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
    struct error *err);
/* The whole object, at most max bytes, appended to ret. */
int storage_get_whole(struct storage *storage, const char *name, size_t max, struct buffer *ret,
    struct error *err);
/* 1 there, 0 absent, -1 error. */
int storage_size(struct storage *storage, const char *name, uint64_t *ret, struct error *err);
/*
 * When this storage wrote the object, by its own clock: 1 and the time, 0 if it is absent or the
 * backend cannot tell, -1 error.  Never earlier than it was: a copy is as new as its copying.
 */
int storage_time(struct storage *storage, const char *name, struct timespec *ret,
    struct error *err);
/*
 * Every object below folder (at any depth), in no order, by full name.  An absent folder has
 * none.  each() returns 0 to go on, -1 to stop with its error.
 */
int storage_list(struct storage *storage, const char *folder,
    int (*each)(void *arg, const char *name, uint64_t size, struct error *err), void *arg,
    struct error *err);
/* Absent is success.  Once it returns, the object does not come back, not even by a power cut. */
int storage_remove(struct storage *storage, const char *name, struct error *err);
/* Remove unfinished objects that nobody wrote to for so many seconds. */
int storage_sweep(struct storage *storage, int64_t older_than_s, struct error *err);
/* 1 and bytes, 0 if the backend cannot tell, -1 error. */
int storage_space(struct storage *storage, uint64_t *ret_free, uint64_t *ret_total,
    struct error *err);

#endif
