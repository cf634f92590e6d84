#include "tests/lib/hostile_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "agent/files/archive.h"
#include "agent/files/entry_json.h"
#include "agent/files/restore.h"
#include "agent/repository/check.h"
#include "agent/repository/content.h"
#include "agent/repository/diff.h"
#include "agent/repository/find.h"
#include "agent/repository/prune.h"
#include "agent/repository/repair.h"
#include "agent/repository/unique.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Sanitizers keep what was freed, and redzones. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_MAX_KIB (2u << 20)
#else
#define MEMORY_MAX_KIB (384u << 10)
#endif
/* A file that a restore writes, and an archive, may become so large here. */
#define BYTES_MAX (48u << 20)
/* Entries that a walk looks at before it has seen enough. */
#define ENTRIES_MAX 300000
/* Whoever watches what does not end cancels it after a while; then it must end soon. */
#define PATIENCE_MS 1500
#define SECONDS_MAX 300

/* How a reading ended. */
enum verdict { NOT_DONE, FINE, TOLD };

struct outcome {
	enum verdict verdict;
	enum error_code code;
	char message[600];
};

/* What one reading has at hand. */
struct reading {
	const struct hostile_fixture *f;
	struct repository *repo;
	struct snapshot *snapshot, *honest;
	struct progress progress;
	struct error err;
};

/* 0 all was fine, 1 something is wrong and was told. */
typedef int read_fn(struct reading *reading);

static int
told(const struct reading *reading, int rc)
{
	return rc != 0 || reading->progress.losses.total > 0;
}

static int
restore_as(struct reading *reading, bool as_nobody)
{
	struct restore_options options = { .target = reading->f->target, .set_id = true,
		.conflict = CONFLICT_OVERWRITE, .threads = 2, .no_sync = true, .verify = true };
	struct restore_result result;

	if (as_nobody && (setgid(65534) != 0 || setuid(65534) != 0))
		return 1;
	return told(reading, files_restore(reading->repo, reading->snapshot, &options,
	    &reading->progress, &result, &reading->err));
}

static int
read_restore(struct reading *reading)
{
	return restore_as(reading, false);
}

static int
read_restore_as_nobody(struct reading *reading)
{
	return restore_as(reading, true);
}

static int
swallow(void *arg, const void *data, size_t len, struct error *err)
{
	uint64_t *left = arg;

	(void)data;
	if (*left < len)
		return error_set(err, ERROR_TOO_LARGE, "that was enough");
	*left -= len;
	return 0;
}

static int
archive_as(struct reading *reading, enum archive_format_kind kind)
{
	uint64_t left = BYTES_MAX;

	return told(reading, files_archive(reading->repo, reading->snapshot, "/", kind, 0, swallow,
	    &left, &reading->progress, &reading->err));
}

static int
read_tar(struct reading *reading)
{
	return archive_as(reading, ARCHIVE_TAR);
}

static int
read_tar_zst(struct reading *reading)
{
	return archive_as(reading, ARCHIVE_TAR_ZST);
}

static int
read_zip(struct reading *reading)
{
	return archive_as(reading, ARCHIVE_ZIP);
}

/* As ls does it: the root and what lies in its folders. */
static int
list(struct reading *reading, const struct blob_id *parts, size_t count, unsigned depth,
    unsigned *left)
{
	struct tree_cursor *cursor;
	const struct entry *entry;
	int rc = tree_open(reading->repo, parts, count, &cursor, &reading->err);

	while (rc == 0 && *left > 0 && (rc = tree_next(cursor, &entry, &reading->err)) == 1) {
		json_decref(entry_to_json(entry));
		(*left)--;
		rc = 0;
		if (entry->kind == ENTRY_DIRECTORY && depth > 0)
			rc = list(reading, entry->content, entry->content_count, depth - 1, left);
	}
	tree_close(cursor);
	return rc;
}

static int
read_ls(struct reading *reading)
{
	unsigned left = ENTRIES_MAX;

	return list(reading, reading->snapshot->roots, reading->snapshot->root_count, 4,
	    &left) != 0;
}

static int
count_found(void *arg, const struct snapshot *snapshot, const char *path, size_t len,
    const struct entry *entry, struct error *err)
{
	unsigned *left = arg;

	(void)snapshot;
	(void)path;
	(void)len;
	(void)entry;
	(void)err;
	return --*left == 0;
}

static int
read_find(struct reading *reading)
{
	unsigned left = ENTRIES_MAX;

	return find_names(reading->repo, &reading->snapshot, 1, "*", count_found, &left,
	    &reading->progress, &reading->err) != 0;
}

static int
read_find_nothing(struct reading *reading)
{
	unsigned left = ENTRIES_MAX;

	return find_names(reading->repo, &reading->snapshot, 1, "no such name", count_found, &left,
	    &reading->progress, &reading->err) != 0;
}

static int
count_changed(void *arg, enum diff_kind kind, const char *path, size_t len,
    const struct entry *before, const struct entry *after, struct error *err)
{
	unsigned *left = arg;

	(void)kind;
	(void)path;
	(void)len;
	(void)before;
	(void)after;
	return --*left > 0 ? 0 : error_set(err, ERROR_TOO_LARGE, "that was enough");
}

static int
read_diff(struct reading *reading)
{
	struct entry before, after;
	struct diff_totals totals;
	unsigned left = ENTRIES_MAX;
	int rc = 1;

	if (tree_lookup(reading->repo, reading->honest->roots, reading->honest->root_count, "/",
	    &before, &reading->err) != 1)
		return 1;
	if (tree_lookup(reading->repo, reading->snapshot->roots, reading->snapshot->root_count, "/",
	    &after, &reading->err) == 1) {
		rc = diff_trees(reading->repo, &before, &after, "/", count_changed, &left,
		    &reading->progress, &totals, &reading->err) != 0 && left > 0;
		entry_done(&after);
	}
	entry_done(&before);
	return rc;
}

static int
read_unique(struct reading *reading)
{
	struct unique_size size;

	return snapshot_unique_bytes(reading->repo, reading->snapshot, &reading->progress, &size,
	    &reading->err) != 0;
}

static int
check_as(struct reading *reading, bool read_data)
{
	struct check_options options = { .read_data = read_data, .threads = 2 };
	struct check_result result;
	int errors;

	if (check_run(reading->repo, &options, &reading->progress, &result, &reading->err) != 0)
		return 1;
	errors = result.errors > 0;
	check_result_done(&result);
	return errors;
}

static int
read_check(struct reading *reading)
{
	return check_as(reading, false);
}

static int
read_check_data(struct reading *reading)
{
	return check_as(reading, true);
}

/* The next backup compares with the snapshot before it, which is the hostile one. */
static int
read_backup(struct reading *reading)
{
	struct snapshot *made = NULL;
	int rc = test_backup(reading->repo, reading->f->source, &made, &reading->err);

	snapshot_free(made);
	return rc != 0;
}

static int
read_prune(struct reading *reading)
{
	struct prune_options options = { .grace_s = 0, .rewrite_percent = 1 };
	struct prune_result result;

	if (prune_run(reading->repo, &options, &reading->progress, &result, &reading->err) != 0)
		return 1;
	prune_result_done(&result);
	return 0;
}

static int
repair_as(struct reading *reading, bool apply)
{
	struct repair_result result;
	int found;

	if (repair_snapshots(reading->repo, apply, true, &reading->progress, &result,
	    &reading->err) != 0)
		return 1;
	found = json_array_size(result.snapshots) > 0;
	repair_result_done(&result);
	return found;
}

static int
read_repair_index(struct reading *reading)
{
	struct repair_result result;

	if (repair_index(reading->repo, true, &reading->progress, &result, &reading->err) != 0)
		return 1;
	repair_result_done(&result);
	return 0;
}

static int
read_repair(struct reading *reading)
{
	return repair_as(reading, true);
}

/* After the repair nothing is left to repair. */
static int
read_repair_again(struct reading *reading)
{
	return repair_as(reading, false);
}

#define WHATEVER_IS_STORED \
    (HOSTILE_TREE | HOSTILE_PARTS | HOSTILE_CONTENT | HOSTILE_FRAME)

/* In this order: the last ones change the repository. */
static const struct {
	const char *name;
	read_fn *read;
	unsigned tells; /* of what kinds of damage */
} readings[] = {
	{ "restore", read_restore, WHATEVER_IS_STORED },
	{ "restore as nobody", read_restore_as_nobody, WHATEVER_IS_STORED },
	{ "tar", read_tar, WHATEVER_IS_STORED },
	{ "tar.zst", read_tar_zst, WHATEVER_IS_STORED },
	{ "zip", read_zip, WHATEVER_IS_STORED },
	{ "ls", read_ls, HOSTILE_TREE | HOSTILE_PARTS },
	{ "find", read_find, HOSTILE_TREE },
	{ "find nothing", read_find_nothing, HOSTILE_TREE },
	{ "diff", read_diff, HOSTILE_TREE | HOSTILE_PARTS },
	{ "size", read_unique, 0 },
	{ "check", read_check, HOSTILE_TREE | HOSTILE_PARTS | HOSTILE_CONTENT },
	{ "check --read-data", read_check_data, WHATEVER_IS_STORED },
	{ "prune", read_prune, HOSTILE_TREE | HOSTILE_PARTS | HOSTILE_CONTENT },
	{ "backup", read_backup, 0 },
	{ "repair index", read_repair_index, 0 },
	{ "repair snapshots", read_repair, WHATEVER_IS_STORED },
	{ "repair snapshots again", read_repair_again, HOSTILE_NOTHING },
};

/* ---- one case */

int
hostile_fixture_setup(void **state)
{
	struct hostile_fixture *f = MEM_NEW(struct hostile_fixture);
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct snapshot *snapshot = NULL;

	f->folder = test_folder_new_in_memory();
	chmod(f->folder, 0755); /* for the restore as nobody */
	f->source = test_path(f->folder, "source");
	f->good = test_path(f->folder, "good");
	f->work = test_path(f->folder, "work");
	f->sandbox = test_path(f->folder, "sandbox");
	f->target = test_path(f->sandbox, "target");
	if (mkdir(f->source, 0755) != 0)
		return -1;
	test_source_make(f->source);
	test_repository_make(f->good);
	repo = test_repository_open(f->good, NULL, &err);
	if (repo == NULL || test_backup(repo, f->source, &snapshot, &err) != 0)
		return -1;
	snapshot_free(snapshot);
	repository_close(repo);
	f->outcomes = mmap(NULL, sizeof(readings) / sizeof(readings[0]) * sizeof(*f->outcomes),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*state = f;
	return f->outcomes != MAP_FAILED ? 0 : -1;
}

int
hostile_fixture_teardown(void **state)
{
	struct hostile_fixture *f = *state;

	print_message("# %u hostile repositories, %u readings: nothing outside the target, "
	    "memory bounded\n", f->cases, f->readings);
	test_folder_remove(f->folder);
	free(f->source);
	free(f->good);
	free(f->work);
	free(f->sandbox);
	free(f->target);
	munmap(f->outcomes, sizeof(readings) / sizeof(readings[0]) * sizeof(*f->outcomes));
	free(f);
	return 0;
}

static void
shell(const char *fmt, const char *path)
{
	char command[1024];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), fmt, path, path, path);
#pragma GCC diagnostic pop
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void *
lose_patience(void *arg)
{
	const struct timespec patience = { PATIENCE_MS / 1000, PATIENCE_MS % 1000 * 1000000L };

	nanosleep(&patience, NULL);
	progress_cancel(arg);
	return NULL;
}

/* In the process that reads. */
static void
read_and_exit(const struct hostile_fixture *f, const char *id, size_t number, bool endless)
{
	struct rlimit file = { BYTES_MAX, BYTES_MAX };
	struct reading reading = { .f = f, .err = ERROR_INIT };
	struct outcome *outcome = &f->outcomes[number];
	struct error err = ERROR_INIT;
	struct snapshot **all;
	pthread_t watcher;
	size_t count;

	/* cmocka would go on with the next test in this process. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGFPE, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	/* A file that has no end ends here, as it would on a disk. */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &file);
	alarm(SECONDS_MAX);
	progress_init(&reading.progress);
	if (endless && pthread_create(&watcher, NULL, lose_patience, &reading.progress) != 0)
		_exit(1);
	reading.repo = test_repository_open(f->work, NULL, &err);
	if (reading.repo == NULL || snapshot_list(reading.repo, &all, &count, NULL, NULL,
	    &err) != 0) {
		fprintf(stderr, "%s\n", err.message);
		_exit(1);
	}
	for (size_t i = 0; i < count; i++)
		if (strcmp(all[i]->id, id) == 0)
			reading.snapshot = all[i];
		else if (reading.honest == NULL)
			reading.honest = all[i];
		else
			snapshot_free(all[i]);
	/* The last repair has put another one in its place. */
	if (reading.snapshot == NULL)
		reading.snapshot = reading.honest;
	outcome->verdict = readings[number].read(&reading) != 0 ? TOLD : FINE;
	outcome->code = reading.err.code;
	snprintf(outcome->message, sizeof(outcome->message), "%s", reading.err.code != ERROR_NONE ?
	    reading.err.message : reading.progress.losses.count > 0 ?
	    reading.progress.losses.list[0].reason : "");
	_exit(0);
}

/* Nothing but the target lies in the sandbox, and what was outside is as it was. */
static void
assert_nothing_escaped(const struct hostile_fixture *f, const char *what)
{
	char *canary = test_path(f->sandbox, "canary");
	struct stat st;

	if (test_folder_count(f->sandbox) > 2 || stat(canary, &st) != 0 || st.st_size != 7 ||
	    st.st_nlink != 1 || (st.st_mode & 07777) != 0600 || access("/x", F_OK) == 0)
		fail_msg("%s: something was written outside the target", what);
	free(canary);
}

static void
go_through(struct hostile_fixture *f, const char *name, const char *id, unsigned damage)
{
	memset(f->outcomes, 0, ARRAY_LEN(readings) * sizeof(*f->outcomes));
	for (size_t i = 0; i < ARRAY_LEN(readings); i++, f->readings++) {
		const struct outcome *outcome = &f->outcomes[i];
		char *what = mem_printf("%s: %s", name, readings[i].name);
		struct rusage usage;
		pid_t child;
		int status;

		shell("rm -rf '%s' && mkdir '%s' && printf canary. > '%s/canary'", f->sandbox);
		shell("chmod 600 '%s/canary'; mkdir '%s/target'; chmod 777 '%s/target'",
		    f->sandbox);
		fflush(NULL);
		child = fork();
		if (child == 0)
			read_and_exit(f, id, i, (damage & HOSTILE_ENDLESS) != 0);
		assert_int_equal(wait4(child, &status, 0, &usage), child);
		if (status != 0 || outcome->verdict == NOT_DONE)
			fail_msg("%s: the process ended with status %x", what, (unsigned)status);
		if (usage.ru_maxrss > MEMORY_MAX_KIB)
			fail_msg("%s: %ld KiB of memory", what, usage.ru_maxrss);
		if (outcome->verdict == FINE && (readings[i].tells & damage) != 0)
			fail_msg("%s: it was not told that something is wrong", what);
		if (outcome->verdict == TOLD && damage == 0 && readings[i].tells != 0 &&
		    readings[i].tells != HOSTILE_NOTHING)
			fail_msg("%s: nothing is wrong, but: %s", what, outcome->message);
		if (outcome->verdict == TOLD && readings[i].tells == HOSTILE_NOTHING &&
		    (damage & HOSTILE_ENDLESS) == 0)
			fail_msg("%s: it is still not right: %s", what, outcome->message);
		if (outcome->code == ERROR_INTERNAL)
			fail_msg("%s: %s", what, outcome->message);
		assert_nothing_escaped(f, what);
		free(what);
	}
	f->cases++;
}

struct repository *
hostile_case_begin(const struct hostile_fixture *f, struct hostile *hostile)
{
	struct error err = ERROR_INIT;
	struct repository *repo;

	shell("rm -rf '%s'", f->work);
	test_folder_copy(f->good, f->work);
	repo = test_repository_open(f->work, NULL, &err);
	assert_non_null(repo);
	hostile_begin(hostile, repo);
	return repo;
}

void
hostile_case_end(struct hostile_fixture *f, struct hostile *hostile, const char *name,
    const struct blob_id *roots, size_t count, unsigned damage)
{
	char id[SNAPSHOT_ID_TEXT_SIZE];

	hostile_finish(hostile);
	hostile_snapshot(hostile->repo, roots, count, id);
	repository_close(hostile->repo);
	go_through(f, name, id, damage);
}

struct entry
hostile_entry(enum entry_kind kind, const char *name)
{
	struct entry entry;

	entry_init(&entry);
	entry.kind = kind;
	entry.name = (char *)(uintptr_t)name;
	entry.name_len = strlen(name);
	entry.mode = kind == ENTRY_DIRECTORY ? 0755 : 0644;
	entry.nlink = 1;
	entry.mtime.tv_sec = 1700000000;
	return entry;
}
