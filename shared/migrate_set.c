/*
 * A folder of migrations, or those that the program carries.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/migrate_internal.h"
#include "shared/shipped.h"
#include "shared/text.h"

#define FILE_MAX (16u << 20)
#define COUNT_MAX 10000

void
migrate_checksum(const void *data, size_t len, char out[65])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, data, len);
	hex_encode(hash, sizeof(hash), out);
}

static bool
ends_in(const char *name, const char *what)
{
	size_t len = strlen(name), end = strlen(what);

	return len > end && strcmp(name + len - end, what) == 0;
}

/* "0001_departments.up.sql": 1, "departments", up. */
static int
parse_name(const char *file, uint32_t *ret_version, char **ret_name, bool *ret_up)
{
	size_t digits = strspn(file, "0123456789"), len;
	const char *name = file + digits + 1, *end;

	*ret_up = ends_in(file, ".up.sql");
	if (digits == 0 || digits > 9 || file[digits] != '_' ||
	    (!*ret_up && !ends_in(file, ".down.sql")))
		return -1;
	end = file + strlen(file) - (*ret_up ? 7 : 9);
	if (end <= name)
		return -1;
	len = (size_t)(end - name);
	if (len > 200 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789_-") < len)
		return -1;
	*ret_version = (uint32_t)strtoul(file, NULL, 10);
	if (*ret_version == 0)
		return -1;
	*ret_name = mem_dup(name, len + 1);
	(*ret_name)[len] = '\0';
	return 0;
}

static struct migration *
find_or_add(struct migrations *all, uint32_t version)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].version == version)
			return &all->list[i];
	all->list = mem_realloc(all->list, all->count + 1, sizeof(*all->list));
	all->list[all->count] = (struct migration){ .version = version };
	return &all->list[all->count++];
}

/* One file; text is taken over. */
static int
add_file(struct migrations *all, const char *path, const char *file, char *text, size_t len,
    struct error *err)
{
	struct migration *migration;
	char *name = NULL, *shown;
	uint32_t version;
	bool up;
	int rc = -1;

	if (parse_name(file, &version, &name, &up) != 0) {
		shown = text_printable(file, strlen(file));
		error_set(err, ERROR_CONFIG, "'%s' is not named like a migration", shown);
		error_hint(err, "name it NNNN_name.up.sql or NNNN_name.down.sql, NNNN from 0001");
		free(shown);
		goto out;
	}
	if (all->count >= COUNT_MAX) {
		error_set(err, ERROR_CONFIG, "there are more than %d migrations", COUNT_MAX);
		goto out;
	}
	migration = find_or_add(all, version);
	if ((up ? migration->up_file : migration->down_file) != NULL ||
	    (migration->name != NULL && strcmp(migration->name, name) != 0)) {
		error_set(err, ERROR_CONFIG, "'%s' and '%s' have the same number", path,
		    migration->up_file != NULL ? migration->up_file : migration->down_file);
		error_hint(err, "give one of them another number");
		goto out;
	}
	if (migration->name == NULL) {
		migration->name = name;
		name = NULL;
	}
	*(up ? &migration->up_file : &migration->down_file) = mem_strdup(path);
	*(up ? &migration->up : &migration->down) = text;
	*(up ? &migration->up_len : &migration->down_len) = len;
	if (up)
		migrate_checksum(text, len, migration->checksum);
	text = NULL;
	rc = 0;
out:
	free(name);
	free(text);
	return rc;
}

static int
read_whole(const char *path, char **ret, size_t *ret_len, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct buffer text = BUFFER_INIT;
	ssize_t n;

	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not open '%s'", path);
	while ((n = read(fd, buffer_reserve(&text, 65536), 65536)) > 0 && text.len <= FILE_MAX)
		text.len += (size_t)n;
	if (n < 0)
		error_sys(err, ERROR_IO, errno, "could not read '%s'", path);
	else if (text.len > FILE_MAX)
		error_set(err, ERROR_TOO_LARGE, "'%s' is larger than 16 MiB", path);
	close(fd);
	if (n < 0 || text.len > FILE_MAX) {
		buffer_done(&text);
		return -1;
	}
	*ret_len = text.len;
	*ret = buffer_take(&text);
	return 0;
}

static int
read_folder(struct migrations *all, const char *folder, struct error *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int rc = 0;

	if (dir == NULL)
		return error_sys(
		    err, ERROR_IO, errno, "could not open the migrations' folder '%s'", folder);
	while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
		char *path, *text = NULL;
		size_t len = 0;

		if (entry->d_name[0] == '.' || !ends_in(entry->d_name, ".sql"))
			continue;
		path = mem_printf("%s/%s", folder, entry->d_name);
		rc = read_whole(path, &text, &len, err);
		if (rc == 0)
			rc = add_file(all, path, entry->d_name, text, len, err);
		free(path);
	}
	if (rc == 0 && errno != 0)
		rc = error_sys(
		    err, ERROR_IO, errno, "could not read the migrations' folder '%s'", folder);
	closedir(dir);
	return rc;
}

static int
read_shipped(struct migrations *all, const char *folder, struct error *err)
{
	size_t prefix = strlen(folder);

	for (size_t i = 0; i < shipped_count; i++) {
		const struct shipped_file *file = &shipped_files[i];

		if (strncmp(file->name, folder, prefix) != 0 || file->name[prefix] != '/')
			continue;
		if (add_file(all, file->name, file->name + prefix + 1, mem_strdup(file->text),
			strlen(file->text), err) != 0)
			return -1;
	}
	return 0;
}

static int
by_version(const void *a, const void *b)
{
	const struct migration *x = a, *y = b;

	return x->version < y->version ? -1 : x->version > y->version;
}

int
migrations_read(const char *set, const char *folder, bool shipped, struct migrations **ret,
    struct error *err)
{
	struct migrations *all = MEM_NEW(struct migrations);

	all->set = mem_strdup(set);
	if ((shipped ? read_shipped(all, folder, err) : read_folder(all, folder, err)) != 0)
		goto fail;
	for (size_t i = 0; i < all->count; i++) {
		if (all->list[i].up != NULL)
			continue;
		error_set(err, ERROR_CONFIG, "'%s' has no .up.sql beside it",
		    all->list[i].down_file);
		goto fail;
	}
	if (all->count > 0)
		qsort(all->list, all->count, sizeof(*all->list), by_version);
	*ret = all;
	return 0;
fail:
	migrations_free(all);
	return -1;
}

void
migrations_free(struct migrations *migrations)
{
	if (migrations == NULL)
		return;
	for (size_t i = 0; i < migrations->count; i++) {
		struct migration *migration = &migrations->list[i];

		free(migration->name);
		free(migration->up_file);
		free(migration->down_file);
		free(migration->up);
		free(migration->down);
	}
	free(migrations->list);
	free(migrations->set);
	free(migrations);
}

const struct migration *
migration_find(const struct migrations *migrations, uint32_t version)
{
	for (size_t i = 0; i < migrations->count; i++)
		if (migrations->list[i].version == version)
			return &migrations->list[i];
	return NULL;
}
