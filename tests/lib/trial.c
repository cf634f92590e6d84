#include "tests/lib/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/repository/check.h"
#include "agent/repository/index_merge.h"
#include "agent/repository/prune.h"
#include "agent/repository/repair.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"

/* From so many on they are merged; see index_merge.c. */
#define INDEX_FILES 16

/* ---- the fixture */

void
trial_backup(const struct trial *t, const char *repository)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(repository, NULL, &err);
	struct snapshot *snapshot = NULL;

	if (repo == NULL || test_backup(repo, t->source, &snapshot, &err) != 0)
		fail_msg("backup: %s", err.message);
	assert_false(snapshot->warn);
	snapshot_free(snapshot);
	repository_close(repo);
}

static void
write_text(const char *folder, const char *name, const char *text)
{
	char *path = test_path(folder, "%s", name);

	test_file_write(path, text, strlen(text));
	free(path);
}

static void
small_source_make(const char *folder)
{
	char *inner = test_path(folder, "inner");

	if (mkdir(inner, 0755) != 0)
		abort();
	write_text(folder, "first", "the first file\n");
	write_text(inner, "second", "the second file, in a folder\n");
	write_text(inner, "third", "");
	free(inner);
}

static void
small_source_change(const char *folder)
{
	write_text(folder, "first", "the first file has changed\n");
	write_text(folder, "new", "a new one\n");
}

static int
make(void **state, void (*make_source)(const char *folder),
    void (*change_source)(const char *folder))
{
	struct trial *t = MEM_NEW(struct trial);

	t->folder = test_folder_new_in_memory();
	t->source = test_path(t->folder, "source");
	t->before = test_path(t->folder, "before");
	t->empty = test_path(t->folder, "empty");
	t->one = test_path(t->folder, "one");
	t->two = test_path(t->folder, "two");
	t->work = test_path(t->folder, "work");
	if (mkdir(t->source, 0755) != 0)
		return -1;
	assert_string_not_equal(test_passphrase(), "");
	passphrase_make(t->other_passphrase);
	make_source(t->source);
	test_folder_copy(t->source, t->before);
	test_repository_make(t->empty);
	test_folder_copy(t->empty, t->one);
	trial_backup(t, t->one);
	change_source(t->source);
	test_folder_copy(t->one, t->two);
	trial_backup(t, t->two);
	*state = t;
	return 0;
}

/* Its large file has several chunks, and no more: there are hundreds of cases. */
static void
usual_source_make(const char *folder)
{
	test_source_make_of(folder, 250000);
}

int
trial_setup(void **state)
{
	return make(state, usual_source_make, test_source_change);
}

int
trial_setup_small(void **state)
{
	return make(state, small_source_make, small_source_change);
}

int
trial_teardown(void **state)
{
	struct trial *t = *state;

	test_folder_remove(t->folder);
	free(t->source);
	free(t->before);
	free(t->empty);
	free(t->one);
	free(t->two);
	free(t->work);
	free(t);
	return 0;
}

void
trial_end(const struct trial *t)
{
	test_folder_remove(mem_strdup(t->work));
}

void
trial_begin(const struct trial *t, const char *repository)
{
	/* A case that failed may have left one. */
	if (access(t->work, F_OK) == 0)
		trial_end(t);
	if (repository != NULL)
		test_folder_copy(repository, t->work);
}

/* ---- actions */

/* Open the repository at t->work and do something with it. */
static int
with_repository(const struct trial *t, struct fault_control *control,
    int (*act)(const struct trial *t, struct repository *repo, struct error *err),
    struct error *err)
{
	struct repository *repo = test_repository_open(t->work, control, err);
	int rc;

	if (repo == NULL)
		return -1;
	rc = act(t, repo, err);
	repository_close(repo);
	return rc;
}

int
trial_act_init(const struct trial *t, struct fault_control *control, struct error *err)
{
	struct storage *storage;
	int rc;

	if (storage_open(t->work, true, &storage, err) != 0)
		return -1;
	if (control != NULL)
		storage = fault_storage_new(storage, control);
	rc = repository_init(storage, test_passphrase(), err);
	storage_close(storage);
	return rc;
}

static int
back_up(const struct trial *t, struct repository *repo, struct error *err)
{
	struct snapshot *snapshot = NULL;
	int rc = test_backup(repo, t->source, &snapshot, err);

	snapshot_free(snapshot);
	return rc;
}

int
trial_act_backup(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, back_up, err);
}

/* Twice: the first marks, the second removes. */
static int
prune_twice(const struct trial *t, struct repository *repo, struct error *err)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0,
		.rewrite_percent = 1 };
	struct prune_result result = { 0 };
	struct progress progress;
	int rc = 0;

	(void)t;
	progress_init(&progress);
	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		rc = prune_run(repo, &options, &progress, &result, err);
		prune_result_done(&result);
	}
	progress_done(&progress);
	return rc;
}

int
trial_act_prune(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, prune_twice, err);
}

static int
join(const struct trial *t, struct repository *repo, struct error *err)
{
	struct prune_options options = { .grace_s = 0, .rewrite_percent = 100, .join_packs = 2 };
	struct prune_result result = { 0 };
	struct progress progress;
	int rc;

	(void)t;
	progress_init(&progress);
	rc = prune_run(repo, &options, &progress, &result, err);
	prune_result_done(&result);
	progress_done(&progress);
	return rc;
}

int
trial_act_join(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, join, err);
}

static int
change_passphrase(const struct trial *t, struct repository *repo, struct error *err)
{
	return repository_change_passphrase(repo, t->other_passphrase, err);
}

int
trial_act_change_passphrase(const struct trial *t, struct fault_control *control,
    struct error *err)
{
	return with_repository(t, control, change_passphrase, err);
}

static int
repair(struct repository *repo, bool index, struct error *err)
{
	struct repair_result result = { 0 };
	struct progress progress;
	int rc;

	progress_init(&progress);
	rc = index ? repair_index(repo, true, &progress, &result, err) :
	    repair_snapshots(repo, true, false, &progress, &result, err);
	repair_result_done(&result);
	progress_done(&progress);
	return rc;
}

static int
mend_index(const struct trial *t, struct repository *repo, struct error *err)
{
	(void)t;
	return repair(repo, true, err);
}

int
trial_act_repair_index(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, mend_index, err);
}

static int
mend_snapshots(const struct trial *t, struct repository *repo, struct error *err)
{
	(void)t;
	return repair(repo, false, err);
}

int
trial_act_repair_snapshots(const struct trial *t, struct fault_control *control,
    struct error *err)
{
	return with_repository(t, control, mend_snapshots, err);
}

static int
merge(const struct trial *t, struct repository *repo, struct error *err)
{
	(void)t;
	return index_merge(repo, err);
}

int
trial_act_merge(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, merge, err);
}

/* Do something with the oldest snapshot. */
static int
with_oldest(struct repository *repo,
    int (*act)(struct repository *repo, const char *id, struct error *err), struct error *err)
{
	struct snapshot **list;
	size_t count;
	int rc;

	if (snapshot_list(repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	assert_true(count > 0);
	rc = act(repo, list[0]->id, err);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return rc;
}

static int
pin_it(struct repository *repo, const char *id, struct error *err)
{
	return snapshot_pin(repo, id, true, err);
}

static int
pin_oldest(const struct trial *t, struct repository *repo, struct error *err)
{
	(void)t;
	return with_oldest(repo, pin_it, err);
}

int
trial_act_pin(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, pin_oldest, err);
}

static int
forget_oldest(const struct trial *t, struct repository *repo, struct error *err)
{
	(void)t;
	return with_oldest(repo, snapshot_remove, err);
}

int
trial_act_forget(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, forget_oldest, err);
}

static int
recall_all(const struct trial *t, struct repository *repo, struct error *err)
{
	char recalled[SNAPSHOT_ID_TEXT_SIZE];
	struct snapshot **list;
	struct timespec *times;
	size_t count;
	int rc = 0;

	(void)t;
	if (snapshot_list_trash(repo, &list, &times, &count, err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (rc == 0)
			rc = snapshot_recall(repo, list[i]->id, recalled, err);
		snapshot_free(list[i]);
	}
	free(list);
	free(times);
	return rc;
}

int
trial_act_recall(const struct trial *t, struct fault_control *control, struct error *err)
{
	return with_repository(t, control, recall_all, err);
}

void
trial_many_index_files(const struct trial *t)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(t->work, NULL, &err);
	struct object_names packs, old;

	assert_non_null(repo);
	assert_int_equal(object_names_read(repo->storage, "packs", &packs, &err), 0);
	assert_int_equal(object_names_read(repo->storage, "index", &old, &err), 0);
	for (size_t i = 0; i < INDEX_FILES; i++) {
		struct pack_directory *directory;
		struct object_id id;

		assert_int_equal(pack_name_parse(packs.list[i % packs.count], &id), 0);
		assert_int_equal(pack_read_directory(repo->storage, repo->keys, &id, &directory,
		    &err), 0);
		assert_int_equal(index_write(repo->storage, repo->keys, &directory, 1, &id, &err),
		    0);
		pack_directory_free(directory);
	}
	for (size_t i = 0; i < old.count; i++)
		assert_int_equal(storage_remove(repo->storage, old.list[i], &err), 0);
	object_names_done(&packs);
	object_names_done(&old);
	repository_close(repo);
}

void
trial_lose_data(const struct trial *t)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(t->work, NULL, &err);
	struct object_names packs;
	unsigned lost = 0;

	assert_non_null(repo);
	assert_int_equal(object_names_read(repo->storage, "packs", &packs, &err), 0);
	for (size_t i = 0; i < packs.count; i++) {
		struct pack_directory *directory;
		struct object_id id;

		assert_int_equal(pack_name_parse(packs.list[i], &id), 0);
		assert_int_equal(pack_read_directory(repo->storage, repo->keys, &id, &directory,
		    &err), 0);
		if (directory->kind == PACK_DATA && lost++ == 0)
			assert_int_equal(storage_remove(repo->storage, packs.list[i], &err), 0);
		pack_directory_free(directory);
	}
	assert_true(lost > 0);
	object_names_done(&packs);
	repository_close(repo);
}

void
trial_forget_one(const struct trial *t)
{
	struct error err = ERROR_INIT;

	if (trial_act_forget(t, NULL, &err) != 0)
		fail_msg("%s", err.message);
}

static void
backup_path(const struct trial *t, const char *path)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(t->work, NULL, &err);
	struct snapshot *snapshot = NULL;

	if (repo == NULL || test_backup(repo, path, &snapshot, &err) != 0)
		fail_msg("backup of '%s': %s", path, err.message);
	snapshot_free(snapshot);
	repository_close(repo);
}

void
trial_in_pieces(const struct trial *t)
{
	char *command = mem_printf("rm -f '%s'/snapshots/*", t->work);

	/* Files of about the same size; nothing but packs stays of their backups. */
	for (unsigned i = 16; i < 20; i++) {
		char *path = test_path(t->source, "a/b/file-%02u", i);

		backup_path(t, path);
		free(path);
	}
	assert_int_equal(system(command), 0);
	for (unsigned i = 0; i < 2; i++)
		trial_backup(t, t->work);
	free(command);
}

char *
trial_prepare(const struct trial *t, const char *repository,
    void (*prepare)(const struct trial *t))
{
	char *path = test_path(t->folder, "prepared.XXXXXX");

	if (mkdtemp(path) == NULL)
		fail_msg("mkdtemp");
	trial_begin(t, repository);
	prepare(t);
	assert_int_equal(rename(t->work, path), 0);
	return path;
}

/* ---- what must hold */

static struct repository *
open_or_fail(const struct trial *t, const char *passphrase, const char *what)
{
	struct error err = ERROR_INIT;
	struct repository *repo = NULL;
	struct storage *storage;

	if (storage_open(t->work, false, &storage, &err) != 0 ||
	    repository_open(storage, passphrase, &repo, &err) != 0)
		fail_msg("%s: %s", what, err.message);
	return repo;
}

static void
tell_bad(void *arg, const char *id, const struct error *why)
{
	fail_msg("%s: snapshot %s: %s", (const char *)arg, id, why->message);
}

static void
assert_check_is_clean(struct repository *repo, const char *what)
{
	struct check_options options = { .read_data = true, .threads = 2 };
	struct check_result result = { 0 };
	struct progress progress;
	struct error err = ERROR_INIT;

	progress_init(&progress);
	if (check_run(repo, &options, &progress, &result, &err) != 0)
		fail_msg("%s: check: %s", what, err.message);
	if (result.errors != 0)
		fail_msg("%s: check found %llu errors: %s", what, (unsigned long long)result.errors,
		    json_dumps(result.damage, 0));
	check_result_done(&result);
	progress_done(&progress);
}

static bool
is_state(const struct trial *t, struct repository *repo, const struct snapshot *snapshot,
    const char *folder, struct test_compared *compared)
{
	test_compare(repo, snapshot, t->source, folder, NULL, NULL, compared);
	return compared->unreadable + compared->wrong == 0;
}

size_t
trial_assert_sound(const struct trial *t, const char *passphrase, const char *what)
{
	struct repository *repo = open_or_fail(t, passphrase, what);
	struct error err = ERROR_INIT;
	struct snapshot **list;
	size_t count;

	if (snapshot_list(repo, &list, &count, tell_bad, (void *)(uintptr_t)what, &err) != 0)
		fail_msg("%s: %s", what, err.message);
	for (size_t i = 0; i < count; i++) {
		struct test_compared now, then;

		if (!is_state(t, repo, list[i], t->source, &now) &&
		    !is_state(t, repo, list[i], t->before, &then))
			fail_msg("%s: snapshot %zu: %s; %s", what, i, now.first, then.first);
		snapshot_free(list[i]);
	}
	free(list);
	assert_check_is_clean(repo, what);
	repository_close(repo);
	return count;
}

void
trial_assert_goes_on(const struct trial *t, const char *what)
{
	size_t count = trial_assert_sound(t, test_passphrase(), what);

	trial_backup(t, t->work);
	assert_int_equal(trial_assert_sound(t, test_passphrase(), what), count + 1);
}

void
trial_assert_goes_on_and_prunes(const struct trial *t, const char *what)
{
	struct error err = ERROR_INIT;

	trial_assert_goes_on(t, what);
	if (trial_act_prune(t, NULL, &err) != 0)
		fail_msg("%s: prune: %s", what, err.message);
	assert_int_equal(trial_assert_sound(t, test_passphrase(), what), 1);
}

void
trial_assert_latest(const struct trial *t, const char *what)
{
	struct repository *repo = open_or_fail(t, test_passphrase(), what);
	struct test_compared compared;
	struct error err = ERROR_INIT;
	struct snapshot *latest;

	if (snapshot_find(repo, "latest", &latest, &err) != 0)
		fail_msg("%s: %s", what, err.message);
	if (!is_state(t, repo, latest, t->source, &compared))
		fail_msg("%s: the newest snapshot: %s", what, compared.first);
	snapshot_free(latest);
	repository_close(repo);
}

/* Files may be lost, but none may be wrong; a folder differs where a file of it is lost. */
static void
judge_rest(void *arg, const char *path, int status)
{
	struct stat st;

	if (status < 0 && (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
		fail_msg("%s: '%s' is wrong", (const char *)arg, path);
}

void
trial_assert_can_be_repaired(const struct trial *t, const char *what)
{
	struct error err = ERROR_INIT;
	struct test_compared compared;
	struct repository *repo;
	struct snapshot **list;
	size_t count;

	if (trial_act_repair_snapshots(t, NULL, &err) != 0)
		fail_msg("%s: repair: %s", what, err.message);
	repo = open_or_fail(t, test_passphrase(), what);
	if (snapshot_list(repo, &list, &count, tell_bad, (void *)(uintptr_t)what, &err) != 0)
		fail_msg("%s: %s", what, err.message);
	assert_int_equal(count, 2);
	test_compare(repo, list[0], t->source, t->before, judge_rest, (void *)(uintptr_t)what,
	    &compared);
	test_compare(repo, list[1], t->source, t->source, judge_rest, (void *)(uintptr_t)what,
	    &compared);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	assert_check_is_clean(repo, what);
	repository_close(repo);
	/* And the lost file is stored again. */
	trial_backup(t, t->work);
}

bool
trial_opens(const struct trial *t, const char *passphrase)
{
	struct error err = ERROR_INIT;
	struct storage *storage;
	struct repository *repo;

	assert_int_equal(storage_open(t->work, false, &storage, &err), 0);
	if (repository_open(storage, passphrase, &repo, &err) == 0) {
		repository_close(repo);
		return true;
	}
	storage_close(storage);
	return false;
}

void
trial_assert_a_passphrase_opens(const struct trial *t, const char *what)
{
	bool old = trial_opens(t, test_passphrase()), changed = trial_opens(t, t->other_passphrase);

	if (!old && !changed)
		fail_msg("%s: neither passphrase opens the repository", what);
	assert_int_equal(trial_assert_sound(t, old ? test_passphrase() : t->other_passphrase,
	    what), 2);
}

void
trial_assert_can_be_made(const struct trial *t, const char *what)
{
	struct error err = ERROR_INIT;
	struct storage *storage;
	int there;

	assert_int_equal(storage_open(t->work, true, &storage, &err), 0);
	there = repository_exists(storage, &err);
	if (there < 0 || (there == 0 && repository_init(storage, test_passphrase(), &err) != 0))
		fail_msg("%s: %s", what, err.message);
	storage_close(storage);
	trial_assert_goes_on(t, what);
}
