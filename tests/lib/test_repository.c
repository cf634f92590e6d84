#include "tests/lib/test_repository.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/backup.h"
#include "agent/repository/content.h"
#include "agent/repository/crypto.h"
#include "shared/mem.h"

static char passphrase[PASSPHRASE_MADE_SIZE];

static void
make_passphrase(void)
{
	struct error err = ERROR_INIT;

	if (crypto_start(&err) != 0)
		abort();
	passphrase_make(passphrase);
}

const char *
test_passphrase(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_passphrase);
	return passphrase;
}

static void
die(const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err->message);
	abort();
}

/* The same bytes in every run: what fails once, fails again. */
static void
write_noise(const char *folder, const char *name, size_t len, uint64_t seed)
{
	uint8_t *data = mem_calloc(len, 1);
	char *path = test_path(folder, "%s", name);

	for (size_t i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		data[i] = (uint8_t)(seed >> 56);
	}
	test_file_write(path, data, len);
	free(path);
	free(data);
}

static void
write_text(const char *folder, const char *name, const char *text)
{
	char *path = test_path(folder, "%s", name);

	test_file_write(path, text, strlen(text));
	free(path);
}

static void
make_folder(const char *folder, const char *name)
{
	char *path = test_path(folder, "%s", name);

	if (mkdir(path, 0755) != 0)
		abort();
	free(path);
}

void
test_source_make(const char *folder)
{
	test_source_make_of(folder, 700000);
}

void
test_source_make_of(const char *folder, size_t large)
{
	char name[40], *path, *other;

	make_folder(folder, "a");
	make_folder(folder, "a/b");
	make_folder(folder, "a/b/c");
	make_folder(folder, "empty");
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "a/b/file-%02u", i);
		write_noise(folder, name, 200 + i * 700, i + 1);
	}
	write_text(folder, "a/b/c/deep", "at the bottom\n");
	write_text(folder, "nothing", "");
	write_noise(folder, "large", large, 4711);
	write_noise(folder, "copy-of-large", large, 4711);
	path = test_path(folder, "sparse");
	write_noise(folder, "sparse", 5000, 42);
	if (truncate(path, (off_t)(large + large / 2)) != 0)
		abort();
	free(path);
	path = test_path(folder, "link");
	if (symlink("a/b/c/deep", path) != 0)
		abort();
	free(path);
	path = test_path(folder, "a/b/c/deep");
	other = test_path(folder, "a/hard-link");
	if (link(path, other) != 0)
		abort();
	free(path);
	free(other);
}

void
test_source_change(const char *folder)
{
	char *path = test_path(folder, "a/b/file-03");

	if (unlink(path) != 0)
		abort();
	free(path);
	write_noise(folder, "a/b/file-07", 9000, 99);
	write_noise(folder, "a/b/new", 150000, 100);
	make_folder(folder, "more");
	write_text(folder, "more/text", "more\n");
}

void
test_repository_make(const char *path)
{
	struct error err = ERROR_INIT;
	struct storage *storage;

	if (storage_open(path, true, &storage, &err) != 0 ||
	    repository_init(storage, test_passphrase(), &err) != 0)
		die("make the repository", &err);
	storage_close(storage);
}

struct repository *
test_repository_open(const char *path, struct fault_control *control, struct error *err)
{
	struct storage *storage;
	struct repository *repo;

	if (storage_open(path, false, &storage, err) != 0)
		return NULL;
	if (control != NULL)
		storage = fault_storage_new(storage, control);
	if (repository_open(storage, test_passphrase(), &repo, err) == 0)
		return repo;
	storage_close(storage);
	return NULL;
}

int
test_backup(struct repository *repo, const char *source, struct snapshot **ret,
    struct error *err)
{
	struct backup_options options = { .paths = &source, .path_count = 1, .threads = 2,
		.host = "test" };
	struct progress progress;
	int rc;

	progress_init(&progress);
	rc = files_backup(repo, &options, &progress, ret, err);
	progress_done(&progress);
	return rc;
}

struct repository *
test_repository_new(char **ret_folder, char **ret_path)
{
	struct error err = ERROR_INIT;
	struct repository *repo;

	*ret_folder = test_folder_new();
	*ret_path = test_path(*ret_folder, "repository");
	test_repository_make(*ret_path);
	repo = test_repository_open(*ret_path, NULL, &err);
	if (repo == NULL)
		die("open the repository", &err);
	return repo;
}

struct repository *
test_snapshot_new(char **ret_folder, char **ret_source, struct snapshot **ret_snapshot)
{
	struct error err = ERROR_INIT;
	char *path;
	struct repository *repo = test_repository_new(ret_folder, &path);

	*ret_source = test_path(*ret_folder, "source");
	if (mkdir(*ret_source, 0755) != 0)
		error_sys(&err, ERROR_IO, errno, "could not make '%s'", *ret_source);
	else
		test_source_make(*ret_source);
	if (err.code != ERROR_NONE || test_backup(repo, *ret_source, ret_snapshot, &err) != 0)
		die("back the source up", &err);
	free(path);
	return repo;
}

void
test_folder_copy(const char *from, const char *to)
{
	char *command = mem_printf("cp -a --sparse=always -- '%s' '%s'", from, to);

	if (system(command) != 0)
		abort();
	free(command);
}

struct comparing {
	struct repository *repo;
	void (*each)(void *arg, const char *path, int status);
	void *arg;
	struct test_compared *ret;
};

static void
tell(const struct comparing *c, const char *path, int status, const char *why)
{
	struct test_compared *ret = c->ret;

	if (status != 0 && ret->unreadable + ret->wrong == 0)
		snprintf(ret->first, sizeof(ret->first), "'%.150s': %.220s", path, why);
	ret->same += status == 0;
	ret->unreadable += status > 0;
	ret->wrong += status < 0;
	if (c->each != NULL)
		c->each(c->arg, path, status);
}

/* 0, or 1 and err: not readable, or -1 and err: other bytes. */
static int
compare_content(const struct comparing *c, const struct entry *entry, const char *path,
    struct error *err)
{
	struct content *content;
	size_t len;
	uint8_t *expected = test_file_read(path, &len), *data = mem_calloc(len + 1, 1);
	int status = 1;

	if (content_open(c->repo, entry, &content, err) != 0)
		goto out;
	if (content_read(content, 0, data, entry->size, err) == 0) {
		status = memcmp(data, expected, len) == 0 ? 0 : -1;
		if (status != 0)
			error_set(err, ERROR_CORRUPT, "the bytes differ");
	}
	content_close(content);
out:
	/* Only damage is an excuse. */
	if (status > 0 && err->code != ERROR_CORRUPT && err->code != ERROR_NOT_FOUND)
		status = -1;
	free(data);
	free(expected);
	return status;
}

static int
compare_entry(const struct comparing *c, const struct entry *entry, const char *path,
    struct error *err)
{
	static const mode_t types[ENTRY_KIND_COUNT] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO,
		S_IFCHR, S_IFBLK, S_IFSOCK };
	char target[4096] = "";
	struct stat st;

	if (lstat(path, &st) != 0) {
		error_sys(err, ERROR_IO, errno, "not in the folder");
		return -1;
	}
	error_set(err, ERROR_INTERNAL, "kind, mode, owner, time, size or target differ");
	if ((st.st_mode & S_IFMT) != types[entry->kind] || entry->uid != st.st_uid ||
	    entry->gid != st.st_gid)
		return -1;
	if (entry->kind == ENTRY_SYMLINK)
		return readlink(path, target, sizeof(target) - 1) >= 0 &&
		    strcmp(target, entry->target) == 0 ? 0 : -1;
	if (entry->mode != (st.st_mode & 07777))
		return -1;
	if (entry->kind != ENTRY_FILE)
		return 0;
	if (entry->size != (uint64_t)st.st_size || entry->mtime.tv_sec != st.st_mtim.tv_sec ||
	    entry->mtime.tv_nsec != st.st_mtim.tv_nsec)
		return -1;
	return compare_content(c, entry, path, err);
}

static void
compare_folder(const struct comparing *c, const struct blob_id *parts, size_t part_count,
    const char *folder)
{
	struct tree_cursor *cursor = NULL;
	const struct entry *entry;
	struct error err = ERROR_INIT;
	unsigned count = 0;
	int more = -1;

	if (tree_open(c->repo, parts, part_count, &cursor, &err) == 0) {
		while ((more = tree_next(cursor, &entry, &err)) == 1) {
			char *path = test_path(folder, "%s", entry->name);
			struct error why = ERROR_INIT;

			count++;
			tell(c, path, compare_entry(c, entry, path, &why), why.message);
			if (entry->kind == ENTRY_DIRECTORY)
				compare_folder(c, entry->content, entry->content_count, path);
			free(path);
		}
	}
	/* The folder once more: for what is missing in it. */
	if (more < 0)
		tell(c, folder, err.code == ERROR_CORRUPT || err.code == ERROR_NOT_FOUND ? 1 : -1,
		    err.message);
	else if (count != test_folder_count(folder))
		tell(c, folder, -1, "an entry is missing in the snapshot");
	tree_close(cursor);
}

void
test_compare(struct repository *repo, const struct snapshot *snapshot, const char *root,
    const char *folder, void (*each)(void *arg, const char *path, int status), void *arg,
    struct test_compared *ret)
{
	struct comparing c = { repo, each, arg, ret };
	struct error err = ERROR_INIT;
	struct entry entry;
	int found;

	memset(ret, 0, sizeof(*ret));
	entry_init(&entry);
	found = tree_lookup(repo, snapshot->roots, snapshot->root_count, root, &entry, &err);
	if (found == 1)
		compare_folder(&c, entry.content, entry.content_count, folder);
	else if (found == 0)
		tell(&c, folder, -1, "it is not in the snapshot");
	else
		tell(&c, folder, err.code == ERROR_CORRUPT || err.code == ERROR_NOT_FOUND ? 1 : -1,
		    err.message);
	entry_done(&entry);
}
