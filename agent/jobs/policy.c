#include "agent/jobs/policy.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/mem.h"
#include "shared/text.h"

/* "path" without ".", ".." and doubled slashes, as far as text alone can tell. */
static char *
flattened(const char *path)
{
	char *out = mem_calloc(1, strlen(path) + 2);
	size_t used = 0;

	while (*path != '\0') {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 2 && strncmp(path, "..", 2) == 0) {
			while (used > 0 && out[--used] != '/')
				;
		} else if (len > 0 && !(len == 1 && *path == '.')) {
			out[used++] = '/';
			memcpy(out + used, path, len);
			used += len;
		}
		path += len;
	}
	if (used == 0)
		out[used++] = '/';
	out[used] = '\0';
	return out;
}

static int
check_form(const char *path, const char *what, struct error *err)
{
	if (path == NULL || *path == '\0') {
		error_set(err, ERROR_BAD_REQUEST, "no %s is given", what);
		return error_hint(err, "name an absolute path, as /srv/www");
	}
	if (*path != '/') {
		error_set(err, ERROR_BAD_REQUEST, "the %s '%.300s' is not absolute", what, path);
		return error_hint(err, "begin it with a slash: /srv/www");
	}
	return 0;
}

static int
forbidden(const char *path, const char *key, struct error *err)
{
	error_set(err, ERROR_FORBIDDEN, "'%.300s' is outside the allowed folders", path);
	return error_hint(err, "the setting '%s' in section [agent] lists them", key);
}

/* realpath, once more with \xNN decoded if nothing is there.  errno says why not. */
static char *
resolve(const char *path)
{
	struct error ignored = ERROR_INIT;
	char *real = realpath(path, NULL), *bytes = NULL;
	size_t len;

	if (real != NULL || errno != ENOENT || strchr(path, '\\') == NULL)
		return real;
	if (text_unprintable(path, &ignored, &bytes, &len) == 0 && strlen(bytes) == len)
		real = realpath(bytes, NULL);
	free(bytes);
	if (real == NULL)
		errno = ENOENT;
	return real;
}

int
policy_source(const struct config *config, enum policy_rights rights, const char *path,
    char **ret, struct error *err)
{
	bool limited = rights == POLICY_REMOTE && config->allow_count > 0;
	char *real = NULL, *flat = NULL;
	struct stat st;
	int sys, rc = -1;

	if (check_form(path, "folder to back up", err) != 0)
		return -1;
	real = resolve(path);
	sys = errno;
	flat = flattened(path);
	/* What lies outside is not told about, not even whether it is there. */
	if (limited && !config_path_is_listed(
	    real == NULL ? flat : real, config->allow, config->allow_count)) {
		forbidden(path, "allow", err);
		goto out;
	}
	if (real == NULL || stat(real, &st) != 0) {
		if (real != NULL)
			sys = errno;
		if (sys == ENOENT || sys == ENOTDIR || sys == ENAMETOOLONG) {
			error_set(err, ERROR_NOT_FOUND, "no such folder '%.300s'", path);
			if (rights == POLICY_REMOTE)
				error_hint(err, "the path is looked up on the agent's machine");
		} else {
			error_sys(err, ERROR_IO, sys, "could not reach '%.300s'", path);
		}
		goto out;
	}
	if (rights == POLICY_REMOTE && !S_ISDIR(st.st_mode)) {
		error_set(err, ERROR_BAD_REQUEST, "'%.300s' is not a folder", path);
		error_hint(err, "back up the folder that holds it");
		goto out;
	}
	*ret = real;
	real = NULL;
	rc = 0;
out:
	free(flat);
	free(real);
	return rc;
}

/*
 * The deepest part of path that exists, resolved, and the rest behind it.  Only a missing part
 * may be left over: a dangling link is not made into a folder.
 */
static char *
resolve_partly(const char *path, struct error *err)
{
	char *head = flattened(path), *real = NULL, *result = NULL;
	size_t len = strlen(head), full = len;
	struct stat st;

	for (;;) {
		real = realpath(head, NULL);
		if (real != NULL)
			break;
		if (errno == ENOTDIR) {
			error_set(err, ERROR_BAD_REQUEST,
			    "'%.300s' leads through what is no folder", path);
			goto out;
		}
		if (errno != ENOENT) {
			error_sys(err, ERROR_IO, errno, "could not reach '%.300s'", path);
			goto out;
		}
		if (lstat(head, &st) == 0) {
			error_set(
			    err, ERROR_BAD_REQUEST, "'%.300s' leads through a dangling link", path);
			goto out;
		}
		while (len > 1 && head[len - 1] != '/')
			len--;
		if (len > 1)
			len--;
		head[len] = '\0';
	}
	if (len == full) {
		result = real;
		real = NULL;
		goto out;
	}
	free(head);
	head = flattened(path);
	result = mem_printf("%s%s", strcmp(real, "/") == 0 ? "" : real,
	    head + (len == 1 ? 0 : len));
out:
	free(real);
	free(head);
	return result;
}

/* A text with ".." cannot be flattened before its links are known. */
static bool
has_parent_component(const char *path)
{
	while (*path != '\0') {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 2 && strncmp(path, "..", 2) == 0)
			return true;
		path += len;
	}
	return false;
}

static int
check_own_folders(const struct config *config, const char *path, const char *resolved,
    struct error *err)
{
	const struct {
		const char *folder, *what;
	} own[] = { { config->repository, "repository" }, { config->state, "agent's state" } };

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		char *real = strstr(own[i].folder, "://") != NULL ? NULL
		    : realpath(own[i].folder, NULL);
		bool within = real != NULL && config_path_is_within(resolved, real);

		free(real);
		if (!within)
			continue;
		error_set(err, ERROR_FORBIDDEN, "'%.300s' lies within the %s", path, own[i].what);
		return error_hint(err, "restore into another folder");
	}
	return 0;
}

int
policy_target(const struct config *config, enum policy_rights rights, const char *path,
    char **ret, struct error *err)
{
	char *resolved = NULL;
	struct stat st;
	int rc = -1;

	if (check_form(path, "target folder", err) != 0)
		return -1;
	if (has_parent_component(path))
		return error_set(
		    err, ERROR_BAD_REQUEST, "the target folder '%.300s' holds '..'", path);
	resolved = resolve_partly(path, err);
	if (resolved == NULL)
		return -1;
	if (rights == POLICY_REMOTE && config->restore_count > 0 &&
	    !config_path_is_listed(resolved, config->restore, config->restore_count)) {
		forbidden(path, "restore", err);
		goto out;
	}
	if (stat(resolved, &st) == 0 && !S_ISDIR(st.st_mode)) {
		error_set(err, ERROR_BAD_REQUEST, "the target '%.300s' is not a folder", path);
		goto out;
	}
	if (check_own_folders(config, path, resolved, err) != 0)
		goto out;
	*ret = resolved;
	resolved = NULL;
	rc = 0;
out:
	free(resolved);
	return rc;
}
