#include "agent/storage/limited.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

struct limited_storage {
	struct storage base;
	struct storage *inner;
	const struct limit *upload, *download;
};

struct limited_put {
	struct storage_put base;
	struct storage_put *inner;
	bool unlimited;
};

static struct storage *
inner_of(struct storage *storage)
{
	return ((struct limited_storage *)storage)->inner;
}

static bool
is_unlimited(const char *name)
{
	return strncmp(name, STORAGE_UNLIMITED, strlen(STORAGE_UNLIMITED)) == 0;
}

static void
limited_close(struct storage *storage)
{
	free(storage->url);
	free(storage);
}

static int
limited_put_begin(struct storage *storage, const char *name, struct storage_put **ret,
    struct error *err)
{
	struct storage_put *inner;
	struct limited_put *put;

	if (storage_put_begin(inner_of(storage), name, &inner, err) != 0)
		return -1;
	put = MEM_NEW(struct limited_put);
	put->base.storage = storage;
	put->inner = inner;
	put->unlimited = is_unlimited(name);
	*ret = &put->base;
	return 0;
}

static int
limited_put_write(struct storage_put *base, const void *data, size_t len, struct error *err)
{
	struct limited_put *put = (struct limited_put *)base;
	const struct limit *limit = ((struct limited_storage *)base->storage)->upload;
	const uint8_t *p = data;

	if (put->unlimited || !limit_is_set(limit))
		return storage_put_write(put->inner, data, len, err);
	while (len > 0) {
		size_t n = limit_piece(limit, len);

		limit_wait(limit, n);
		if (storage_put_write(put->inner, p, n, err) != 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

static int
limited_put_commit(struct storage_put *base, bool replace, struct error *err)
{
	struct limited_put *put = (struct limited_put *)base;
	int rc = storage_put_commit(put->inner, replace, err);

	free(put);
	return rc;
}

static void
limited_put_abort(struct storage_put *base)
{
	struct limited_put *put = (struct limited_put *)base;

	storage_put_abort(put->inner);
	free(put);
}

static int
limited_get(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
    struct error *err)
{
	/* In one piece: of a remote storage each would be a request. */
	if (!is_unlimited(name))
		limit_wait(((struct limited_storage *)storage)->download, len);
	return storage_get(inner_of(storage), name, offset, buf, len, err);
}

static int
limited_size(struct storage *storage, const char *name, uint64_t *ret, struct error *err)
{
	return storage_size(inner_of(storage), name, ret, err);
}

static int
limited_time(struct storage *storage, const char *name, struct timespec *ret, struct error *err)
{
	return storage_time(inner_of(storage), name, ret, err);
}

static int
limited_list(struct storage *storage, const char *folder,
    int (*each)(void *arg, const char *name, uint64_t size, struct error *err), void *arg,
    struct error *err)
{
	return storage_list(inner_of(storage), folder, each, arg, err);
}

static int
limited_remove(struct storage *storage, const char *name, struct error *err)
{
	return storage_remove(inner_of(storage), name, err);
}

static int
limited_sweep(struct storage *storage, int64_t older_than_s, struct error *err)
{
	return storage_sweep(inner_of(storage), older_than_s, err);
}

static int
limited_space(struct storage *storage, uint64_t *ret_free, uint64_t *ret_total,
    struct error *err)
{
	return storage_space(inner_of(storage), ret_free, ret_total, err);
}

static const struct storage_ops limited_ops = {
	.close = limited_close,
	.put_begin = limited_put_begin,
	.put_write = limited_put_write,
	.put_commit = limited_put_commit,
	.put_abort = limited_put_abort,
	.get = limited_get,
	.size = limited_size,
	.time = limited_time,
	.list = limited_list,
	.remove = limited_remove,
	.sweep = limited_sweep,
	.space = limited_space,
};

struct storage *
storage_limited_new(struct storage *inner, const struct limit *upload,
    const struct limit *download)
{
	struct limited_storage *limited = MEM_NEW(struct limited_storage);

	limited->base.ops = &limited_ops;
	limited->base.url = mem_strdup(storage_url(inner));
	limited->inner = inner;
	limited->upload = upload;
	limited->download = download;
	return &limited->base;
}
