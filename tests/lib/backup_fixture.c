#include "tests/lib/backup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/repository/content.h"
#include "shared/mem.h"
#include "tests/lib/system_hooks.h"

static int
fixture_setup(void **state, bool in_memory)
{
	struct backup_fixture *f = MEM_NEW(struct backup_fixture);
	struct error err = ERROR_INIT;
	char *link;

	f->folder = test_folder_new();
	f->source = test_path(f->folder, "source");
	f->memory = in_memory ? test_folder_new_in_memory() : mem_strdup(f->folder);
	f->repository = test_path(f->memory, "repository");
	link = test_path(f->memory, "source");
	if (mkdir(f->source, 0755) != 0 || (in_memory && symlink(f->source, link) != 0))
		return -1;
	free(link);
	test_repository_make(f->repository);
	f->repo = test_repository_open(f->repository, NULL, &err);
	hook_clock_ahead(3600);
	*state = f;
	return f->repo != NULL ? 0 : -1;
}

int
backup_fixture_setup(void **state)
{
	return fixture_setup(state, true);
}

int
backup_fixture_setup_on_disk(void **state)
{
	return fixture_setup(state, false);
}

int
backup_fixture_teardown(void **state)
{
	struct backup_fixture *f = *state;
	/* Paths may be longer than what nftw() takes, and folders closed. */
	char *clean = mem_printf("chmod -R u+rwX '%s'; rm -rf '%s' '%s'", f->folder, f->folder,
	    f->memory);
	int rc;

	(void)hook_clear();
	hook_count_opens(NULL);
	hook_clock_stop(NULL);
	repository_close(f->repo);
	rc = system(clean);
	free(clean);
	free(f->folder);
	free(f->memory);
	free(f->source);
	free(f->repository);
	free(f);
	return rc;
}

void
backup_make(const struct backup_fixture *f, const struct backup_options *options,
    struct backup_made *ret)
{
	const char *source = f->source;
	struct backup_options chosen = { .path_count = 0 };

	if (options != NULL)
		chosen = *options;
	if (chosen.paths == NULL) {
		chosen.paths = &source;
		chosen.path_count = 1;
	}
	if (chosen.threads == 0)
		chosen.threads = 2;
	if (chosen.host == NULL)
		chosen.host = "test";
	*ret = (struct backup_made){ .snapshot = NULL, .err = ERROR_INIT };
	progress_init(&ret->progress);
	ret->rc = files_backup(f->repo, &chosen, &ret->progress, &ret->snapshot, &ret->err);
}

void
backup_make_well(const struct backup_fixture *f, const struct backup_options *options,
    struct backup_made *ret)
{
	backup_make(f, options, ret);
	if (ret->rc != 0)
		fail_msg("backup: %s", ret->err.message);
	if (ret->progress.losses.total > 0)
		fail_msg("loss: %s: %s", ret->progress.losses.list[0].path,
		    ret->progress.losses.list[0].reason);
	if (ret->progress.notes.total > 0)
		fail_msg("note: %s: %s", ret->progress.notes.list[0].path,
		    ret->progress.notes.list[0].reason);
	if (ret->snapshot != NULL)
		assert_false(ret->snapshot->warn);
}

void
backup_made_done(struct backup_made *made)
{
	snapshot_free(made->snapshot);
	progress_done(&made->progress);
}

void
backup_put(const struct backup_fixture *f, const char *name, const char *text)
{
	char *path = test_path(f->source, "%s", name);

	for (char *p = path + strlen(f->source) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			fail_msg("mkdir %s: %s", path, strerror(errno));
		*p = '/';
	}
	test_file_write(path, text, strlen(text));
	free(path);
}

int
backup_find(const struct backup_fixture *f, const struct backup_made *made, const char *name,
    struct entry *ret)
{
	char *path = mem_printf("%s/%s", f->source, name);
	struct error err = ERROR_INIT;
	int found = tree_lookup(f->repo, made->snapshot->roots, made->snapshot->root_count, path,
	    ret, &err);

	if (found < 0)
		fail_msg("%s: %s", path, err.message);
	free(path);
	return found;
}

bool
backup_holds(const struct backup_fixture *f, const struct backup_made *made, const char *name)
{
	struct entry entry;

	if (backup_find(f, made, name, &entry) == 0)
		return false;
	entry_done(&entry);
	return true;
}

void
backup_assert_bytes(const struct backup_fixture *f, const struct backup_made *made,
    const char *name, const void *expected, size_t len)
{
	struct error err = ERROR_INIT;
	struct content *content;
	struct entry entry;
	uint8_t *bytes;

	if (backup_find(f, made, name, &entry) == 0)
		fail_msg("'%s' is not in the snapshot", name);
	if (entry.size != len)
		fail_msg("'%s' has %llu bytes, not %zu", name, (unsigned long long)entry.size, len);
	bytes = mem_calloc(1, len + 1);
	if (content_open(f->repo, &entry, &content, &err) != 0 ||
	    content_read(content, 0, bytes, len, &err) != 0)
		fail_msg("'%s': %s", name, err.message);
	if (len > 0)
		assert_memory_equal(bytes, expected, len);
	content_close(content);
	entry_done(&entry);
	free(bytes);
}

void
backup_assert_text(const struct backup_fixture *f, const struct backup_made *made,
    const char *name, const char *expected)
{
	backup_assert_bytes(f, made, name, expected, strlen(expected));
}

bool
backup_remarked(const struct remarks *remarks, const char *path_end, const char *reason)
{
	size_t matches = 0;

	for (size_t i = 0; i < remarks->count; i++) {
		const char *path = remarks->list[i].path;
		size_t len = strlen(path), end_len = strlen(path_end);

		matches += len >= end_len && strcmp(path + len - end_len, path_end) == 0 &&
		    strncmp(remarks->list[i].reason, reason, strlen(reason)) == 0;
	}
	return matches == 1;
}
