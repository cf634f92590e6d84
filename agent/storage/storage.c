#include "agent/storage/storage.h"

#include <stdlib.h>
#include <string.h>

#include "agent/storage/storage_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Longest name of an object; what a repository writes is far below. */
#define NAME_MAX_BYTES 255

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	    c == '-';
}

bool
storage_component_is_valid(const char *name)
{
	size_t len = 0;

	while (is_name_char(name[len]))
		len++;
	return len > 0 && name[len] == '\0' && len <= NAME_MAX_BYTES && strcmp(name, ".") != 0 &&
	    strcmp(name, "..") != 0;
}

bool
storage_name_is_valid(const char *name)
{
	char component[NAME_MAX_BYTES + 1];
	size_t total = strlen(name);

	if (total == 0 || total > NAME_MAX_BYTES)
		return false;
	for (;;) {
		size_t len = strcspn(name, "/");

		memcpy(component, name, len);
		component[len] = '\0';
		if (!storage_component_is_valid(component))
			return false;
		if (name[len] == '\0')
			return true;
		name += len + 1;
	}
}

/* Names come from the repository; one from damaged data must not lead out of the folder. */
static int
check_name(const struct storage *storage, const char *name, struct error *err)
{
	if (storage_name_is_valid(name) && strcmp(name, STORAGE_TMP) != 0 &&
	    strncmp(name, STORAGE_TMP "/", sizeof(STORAGE_TMP)) != 0)
		return 0;
	return error_set(err, ERROR_INTERNAL, "'%s' is not a name of an object in '%s'", name,
	    storage->url);
}

/* The path that a file URL names: "file:///path", with %XX for bytes that a URL cannot hold. */
static int
path_of_file_url(const char *url, char **ret, struct error *err)
{
	const char *p = url + strlen("file://");
	char *path, *out;

	if (strncmp(p, "localhost/", strlen("localhost/")) == 0)
		p += strlen("localhost");
	if (*p != '/') {
		error_set(err, ERROR_CONFIG, "'%s' does not name a folder of this host", url);
		return error_hint(err, "write file:///path, or the path alone");
	}
	path = out = mem_calloc(strlen(p) + 1, 1);
	for (; *p != '\0'; p++, out++) {
		*out = *p;
		if (*p != '%')
			continue;
		if (strlen(p) < 3 || hex_decode(p + 1, 2, out, 1) != 0 || *out == '\0') {
			free(path);
			error_set(err, ERROR_CONFIG, "broken %%-escape in '%s'", url);
			return error_hint(err, "write the path alone, without file://");
		}
		p += 2;
	}
	*ret = path;
	return 0;
}

/* The length of "scheme" in "scheme://...", or 0 if this is a path. */
static size_t
scheme_length(const char *url)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t len = strspn(url, chars);

	return strncmp(url + len, "://", 3) == 0 ? len : 0;
}

int
storage_open(const char *url, bool create, struct storage **ret, struct error *err)
{
	size_t scheme = scheme_length(url);
	char *path = NULL;
	int status = -1;

	if (url[0] == '\0')
		return error_set(err, ERROR_CONFIG, "the repository's folder has an empty name");
	if (scheme == 0)
		return storage_local_open(url, create, ret, err);
	if (scheme != strlen("file") || strncmp(url, "file", scheme) != 0) {
		/* Not the whole URL: it may hold a password. */
		error_set(err, ERROR_UNSUPPORTED, "repositories at '%.*s://' are not supported",
		    (int)scheme, url);
		return error_hint(err, "name a local folder");
	}
	if (path_of_file_url(url, &path, err) == 0)
		status = storage_local_open(path, create, ret, err);
	free(path);
	return status;
}

void
storage_close(struct storage *storage)
{
	if (storage != NULL)
		storage->ops->close(storage);
}

const char *
storage_url(const struct storage *storage)
{
	return storage->url;
}

int
storage_put_begin(struct storage *storage, const char *name, struct storage_put **ret,
    struct error *err)
{
	if (check_name(storage, name, err) != 0)
		return -1;
	return storage->ops->put_begin(storage, name, ret, err);
}

int
storage_put_write(struct storage_put *put, const void *data, size_t len, struct error *err)
{
	return put->storage->ops->put_write(put, data, len, err);
}

int
storage_put_commit(struct storage_put *put, bool replace, struct error *err)
{
	return put->storage->ops->put_commit(put, replace, err);
}

void
storage_put_abort(struct storage_put *put)
{
	if (put != NULL)
		put->storage->ops->put_abort(put);
}

int
storage_put_whole(struct storage *storage, const char *name, const void *data, size_t len,
    bool replace, struct error *err)
{
	struct storage_put *put;

	if (storage_put_begin(storage, name, &put, err) != 0)
		return -1;
	if (storage_put_write(put, data, len, err) != 0) {
		storage_put_abort(put);
		return -1;
	}
	return storage_put_commit(put, replace, err);
}

int
storage_get(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
    struct error *err)
{
	if (check_name(storage, name, err) != 0)
		return -1;
	return storage->ops->get(storage, name, offset, buf, len, err);
}

int
storage_get_whole(struct storage *storage, const char *name, size_t max, struct buffer *ret,
    struct error *err)
{
	uint64_t size;
	int found = storage_size(storage, name, &size, err);

	if (found < 0)
		return -1;
	if (found == 0)
		return error_set(err, ERROR_NOT_FOUND, "'%s' is not in '%s'", name, storage->url);
	if (size > max) {
		error_set(err, ERROR_CORRUPT, "'%s' in '%s' has %llu bytes, above its limit of %zu",
		    name, storage->url, (unsigned long long)size, max);
		return error_hint(err, STORAGE_HINT_DAMAGED);
	}
	if (storage_get(storage, name, 0, buffer_reserve(ret, (size_t)size), (size_t)size,
	    err) != 0)
		return -1;
	ret->len += (size_t)size;
	return 0;
}

int
storage_size(struct storage *storage, const char *name, uint64_t *ret, struct error *err)
{
	if (check_name(storage, name, err) != 0)
		return -1;
	return storage->ops->size(storage, name, ret, err);
}

int
storage_time(struct storage *storage, const char *name, struct timespec *ret, struct error *err)
{
	if (check_name(storage, name, err) != 0)
		return -1;
	if (storage->ops->time == NULL)
		return 0;
	return storage->ops->time(storage, name, ret, err);
}

int
storage_list(struct storage *storage, const char *folder,
    int (*each)(void *arg, const char *name, uint64_t size, struct error *err), void *arg,
    struct error *err)
{
	if (folder[0] != '\0' && check_name(storage, folder, err) != 0)
		return -1;
	return storage->ops->list(storage, folder, each, arg, err);
}

int
storage_remove(struct storage *storage, const char *name, struct error *err)
{
	if (check_name(storage, name, err) != 0)
		return -1;
	return storage->ops->remove(storage, name, err);
}

int
storage_sweep(struct storage *storage, int64_t older_than_s, struct error *err)
{
	return storage->ops->sweep(storage, older_than_s, err);
}

int
storage_space(struct storage *storage, uint64_t *ret_free, uint64_t *ret_total, struct error *err)
{
	if (storage->ops->space == NULL)
		return 0;
	return storage->ops->space(storage, ret_free, ret_total, err);
}
