/*
 * A repository that was made to do harm, by somebody who has its key: whatever reads it says that
 * something is wrong, or makes the best of it; it never ends the process, writes outside the
 * target, or asks for memory without bound.
 *
 * Each case goes through everything that reads, in a process of its own whose memory is measured.
 */
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
#include "tests/lib/hostile.h"
#include "tests/lib/test_repository.h"

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

struct fixture {
	char *folder, *source;
	char *good;             /* with one honest snapshot */
	char *work, *sandbox, *target;
	struct outcome *outcomes; /* shared with the processes that read */
	unsigned cases, readings;
};

/* How a reading ended. */
enum verdict { NOT_DONE, FINE, TOLD };

struct outcome {
	enum verdict verdict;
	enum error_code code;
	char message[600];
};

/* What one reading has at hand. */
struct reading {
	const struct fixture *f;
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

/* What must tell of the damage, and what may not be bothered by it. */
enum { TREE = 1, CONTENT = 2, FRAME = 4, ANYTHING = 8, NOTHING = 16, ENDLESS = 32, PARTS = 64 };

/* In this order: the last ones change the repository. */
static const struct {
	const char *name;
	read_fn *read;
	unsigned tells; /* of what kinds of damage */
} readings[] = {
	{ "restore", read_restore, TREE | PARTS | CONTENT | FRAME },
	{ "restore as nobody", read_restore_as_nobody, TREE | PARTS | CONTENT | FRAME },
	{ "tar", read_tar, TREE | PARTS | CONTENT | FRAME },
	{ "tar.zst", read_tar_zst, TREE | PARTS | CONTENT | FRAME },
	{ "zip", read_zip, TREE | PARTS | CONTENT | FRAME },
	{ "ls", read_ls, TREE | PARTS },
	{ "find", read_find, TREE },
	{ "find nothing", read_find_nothing, TREE },
	{ "diff", read_diff, TREE | PARTS },
	{ "size", read_unique, 0 },
	{ "check", read_check, TREE | PARTS | CONTENT },
	{ "check --read-data", read_check_data, TREE | PARTS | CONTENT | FRAME },
	{ "prune", read_prune, TREE | PARTS | CONTENT },
	{ "backup", read_backup, 0 },
	{ "repair index", read_repair_index, 0 },
	{ "repair snapshots", read_repair, TREE | PARTS | CONTENT | FRAME },
	{ "repair snapshots again", read_repair_again, NOTHING },
};

/* ---- one case */

static int
group_setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
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

static int
group_teardown(void **state)
{
	struct fixture *f = *state;

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
read_and_exit(const struct fixture *f, const char *id, size_t number, bool endless)
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
assert_nothing_escaped(const struct fixture *f, const char *what)
{
	char *canary = test_path(f->sandbox, "canary");
	struct stat st;

	if (test_folder_count(f->sandbox) > 2 || stat(canary, &st) != 0 || st.st_size != 7 ||
	    st.st_nlink != 1 || (st.st_mode & 07777) != 0600 || access("/x", F_OK) == 0)
		fail_msg("%s: something was written outside the target", what);
	free(canary);
}

static void
go_through(struct fixture *f, const char *name, const char *id, unsigned damage)
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
			read_and_exit(f, id, i, (damage & ENDLESS) != 0);
		assert_int_equal(wait4(child, &status, 0, &usage), child);
		if (status != 0 || outcome->verdict == NOT_DONE)
			fail_msg("%s: the process ended with status %x", what, (unsigned)status);
		if (usage.ru_maxrss > MEMORY_MAX_KIB)
			fail_msg("%s: %ld KiB of memory", what, usage.ru_maxrss);
		if (outcome->verdict == FINE && (readings[i].tells & damage) != 0)
			fail_msg("%s: it was not told that something is wrong", what);
		if (outcome->verdict == TOLD && damage == 0 && readings[i].tells != 0 &&
		    readings[i].tells != NOTHING)
			fail_msg("%s: nothing is wrong, but: %s", what, outcome->message);
		if (outcome->verdict == TOLD && readings[i].tells == NOTHING &&
		    (damage & ENDLESS) == 0)
			fail_msg("%s: it is still not right: %s", what, outcome->message);
		if (outcome->code == ERROR_INTERNAL)
			fail_msg("%s: %s", what, outcome->message);
		assert_nothing_escaped(f, what);
		free(what);
	}
	f->cases++;
}

/* A repository to spoil; what was put into it must then be finished. */
static struct repository *
begin_case(const struct fixture *f, struct hostile *hostile)
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

/* These root parts make the snapshot of the case. */
static void
end_case(struct fixture *f, struct hostile *hostile, const char *name,
    const struct blob_id *roots, size_t count, unsigned damage)
{
	char id[SNAPSHOT_ID_TEXT_SIZE];

	hostile_finish(hostile);
	hostile_snapshot(hostile->repo, roots, count, id);
	repository_close(hostile->repo);
	go_through(f, name, id, damage);
}

/* ---- trees */

static struct entry
entry_of(enum entry_kind kind, const char *name)
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

/* One root with these entries. */
static void
try_entries(struct fixture *f, const char *name, struct entry *all, size_t count,
    unsigned damage)
{
	struct entry *pointers[8];
	struct hostile hostile;
	struct blob_id root;

	assert_true(count <= ARRAY_LEN(pointers));
	for (size_t i = 0; i < count; i++)
		pointers[i] = &all[i];
	begin_case(f, &hostile);
	hostile_put_tree(&hostile, pointers, count, &root);
	end_case(f, &hostile, name, &root, 1, damage);
}

static void
names_that_lead_out_are_refused_everywhere(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} names[] = { { "..", 2 }, { ".", 1 }, { "", 0 }, { "/x", 2 }, { "a/b", 3 },
		{ "../x", 4 }, { "..\0", 3 }, { "a\0b", 3 } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct entry entry = entry_of(ENTRY_SYMLINK, "x");
		char what[40];

		entry.name = (char *)(uintptr_t)names[i].name;
		entry.name_len = names[i].len;
		entry.target = (char *)(uintptr_t)"/tmp";
		entry.target_len = 4;
		snprintf(what, sizeof(what), "name %zu '%s'", i, names[i].name);
		try_entries(*state, what, &entry, 1, TREE);
	}
}

static void
names_twice_or_out_of_order_are_refused_everywhere(void **state)
{
	struct entry twice[2] = { entry_of(ENTRY_SYMLINK, "a"), entry_of(ENTRY_DIRECTORY, "a") };
	struct entry swapped[2] = { entry_of(ENTRY_FIFO, "b"), entry_of(ENTRY_FIFO, "a") };

	twice[0].target = (char *)(uintptr_t)"..";
	twice[0].target_len = 2;
	try_entries(*state, "a symlink and a folder of one name", twice, 2, TREE);
	try_entries(*state, "names out of order", swapped, 2, TREE);
}

/* The parts of one folder, each in order by itself. */
static void
parts_that_repeat_names_are_refused_everywhere(void **state)
{
	struct fixture *f = *state;
	struct entry link = entry_of(ENTRY_SYMLINK, "a"), folder = entry_of(ENTRY_DIRECTORY, "a"),
		inner = entry_of(ENTRY_FIFO, "canary"), later = entry_of(ENTRY_FIFO, "b"),
		*pointer = &inner;
	struct blob_id parts[3], below;
	struct hostile hostile;

	link.target = (char *)(uintptr_t)"..";
	link.target_len = 2;
	begin_case(f, &hostile);
	hostile_put_tree(&hostile, &pointer, 1, &below);
	folder.content = &below;
	folder.content_count = 1;
	pointer = &link;
	hostile_put_tree(&hostile, &pointer, 1, &parts[0]);
	pointer = &folder;
	hostile_put_tree(&hostile, &pointer, 1, &parts[1]);
	end_case(f, &hostile, "a symlink in one part, what lies below it in another", parts, 2,
	    PARTS);

	begin_case(f, &hostile);
	pointer = &later;
	hostile_put_tree(&hostile, &pointer, 1, &parts[0]);
	parts[1] = parts[0];
	end_case(f, &hostile, "a part twice", parts, 2, PARTS);

	begin_case(f, &hostile);
	hostile_put_tree(&hostile, &pointer, 1, &parts[0]);
	pointer = &inner;
	hostile_put_tree(&hostile, &pointer, 1, &parts[1]);
	inner.name = (char *)(uintptr_t)"a";
	inner.name_len = 1;
	hostile_put_tree(&hostile, &pointer, 1, &parts[1]);
	end_case(f, &hostile, "parts out of order", parts, 2, PARTS);
}

static void
a_folder_whose_tree_is_something_else_is_refused_everywhere(void **state)
{
	static const char bytes[] = "these are no entries at all, but data";
	struct fixture *f = *state;
	struct entry folder = entry_of(ENTRY_DIRECTORY, "a"), *pointer = &folder;
	struct hostile hostile;
	struct blob_id root, inner;

	for (unsigned kind = 0; kind < 4; kind++) {
		begin_case(f, &hostile);
		if (kind < BLOB_KIND_COUNT) {
			hostile_put(&hostile, kind, bytes, sizeof(bytes), &inner);
		} else {
			/* The name of itself: as near to a loop as hashes allow. */
			memset(&inner, 0x5a, sizeof(inner));
			folder.content = &inner;
			folder.content_count = 1;
			struct buffer tree = BUFFER_INIT;

			(void)tree_encode(&pointer, 1, &tree);
			hostile_put_as(&hostile, &inner, tree.data, tree.len);
			buffer_done(&tree);
		}
		folder.content = &inner;
		folder.content_count = 1;
		hostile_put_tree(&hostile, &pointer, 1, &root);
		end_case(f, &hostile, kind < BLOB_KIND_COUNT ? "a tree that is none" :
		    "a folder that contains itself", &root, 1, TREE);
	}
}

/* A tree of one entry of this kind, written by hand up to what is special about it. */
static void
put_head(struct buffer *tree, const char *name, uint8_t head)
{
	buffer_put_u8(tree, 1);
	for (unsigned i = 0; i < 2; i++) { /* owners, groups */
		buffer_put_varint(tree, 1);
		buffer_put_varint(tree, 0);
		buffer_put_bytes(tree, "", 0);
	}
	buffer_put_varint(tree, 1);
	buffer_put_bytes(tree, name, strlen(name));
	buffer_put_u8(tree, head);
	buffer_put_varint(tree, 0644);
	buffer_put_varint(tree, 0); /* owner, group */
	buffer_put_varint(tree, 0);
	for (unsigned i = 0; i < 2; i++) { /* mtime, ctime */
		buffer_put_signed(tree, 0);
		buffer_put_varint(tree, 0);
	}
	buffer_put_varint(tree, 1); /* inode */
}

/* Where a count of 2^63 may stand in a tree. */
static void
put_huge(struct buffer *tree, unsigned place)
{
	const uint64_t huge = UINT64_C(1) << 63;

	switch (place) {
	case 0: /* owners */
		buffer_put_u8(tree, 1);
		buffer_put_varint(tree, huge);
		break;
	case 1: /* entries */
		buffer_put_u8(tree, 1);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, huge);
		break;
	case 2: /* length of a name */
		buffer_put_u8(tree, 1);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, 0);
		buffer_put_varint(tree, 1);
		buffer_put_varint(tree, huge);
		break;
	case 3: /* links */
		put_head(tree, "a", 16);
		buffer_put_varint(tree, huge);
		break;
	case 4: /* size */
		put_head(tree, "a", 0);
		buffer_put_varint(tree, huge);
		break;
	case 5: /* extents */
		put_head(tree, "a", 8);
		buffer_put_varint(tree, 1);
		buffer_put_varint(tree, huge);
		break;
	case 6: /* an extent */
		put_head(tree, "a", 8);
		buffer_put_varint(tree, INT64_MAX);
		buffer_put_varint(tree, 2);
		buffer_put_varint(tree, INT64_MAX);
		buffer_put_varint(tree, huge);
		break;
	case 7: /* content */
		put_head(tree, "a", 0);
		buffer_put_varint(tree, 1);
		buffer_put_u8(tree, 0);
		buffer_put_varint(tree, huge);
		break;
	case 8: /* parts */
		put_head(tree, "a", 1);
		buffer_put_varint(tree, huge);
		break;
	case 9: /* target */
		put_head(tree, "a", 2);
		buffer_put_varint(tree, huge);
		break;
	case 10: /* device */
		put_head(tree, "a", 4);
		buffer_put_varint(tree, huge);
		break;
	case 11: /* extended attributes */
		put_head(tree, "a", 3 | 32);
		buffer_put_varint(tree, huge);
		break;
	default: /* the value of one: 64 MiB */
		put_head(tree, "a", 3 | 32);
		buffer_put_varint(tree, 1);
		buffer_put_bytes(tree, "user.a", 6);
		buffer_put_varint(tree, place == 12 ? huge : 64u << 20);
		break;
	}
}

static void
counts_without_end_are_refused_everywhere(void **state)
{
	struct fixture *f = *state;

	for (unsigned place = 0; place < 14; place++) {
		struct buffer tree = BUFFER_INIT;
		struct hostile hostile;
		struct blob_id root;
		char what[40];

		put_huge(&tree, place);
		/* What the counts speak of begins, but does not go on. */
		for (unsigned i = 0; i < 100; i++)
			buffer_put_u8(&tree, 1);
		snprintf(what, sizeof(what), "a count of 2^63 at place %u", place);
		begin_case(f, &hostile);
		hostile_put(&hostile, BLOB_TREE, tree.data, tree.len, &root);
		end_case(f, &hostile, what, &root, 1, TREE);
		buffer_done(&tree);
	}
}

/* 100,000 folders, each in the one before. */
static void
folders_nest_as_deeply_as_somebody_likes(void **state)
{
	struct fixture *f = *state;
	struct entry folder = entry_of(ENTRY_DIRECTORY, "d"), *pointer = &folder;
	struct hostile hostile;
	struct blob_id id;

	begin_case(f, &hostile);
	for (unsigned level = 0; level < 100000; level++) {
		struct blob_id below = id;

		if (level > 0) {
			folder.content = &below;
			folder.content_count = 1;
		}
		hostile_put_tree(&hostile, &pointer, 1, &id);
	}
	end_case(f, &hostile, "100,000 folders in each other", &id, 1, ENDLESS);
}

/* Two folders that are the same, in two folders that are the same, ...: 2^40 paths, and each
 * has a file with several names. */
static void
few_trees_make_a_trillion_paths(void **state)
{
	struct fixture *f = *state;
	struct entry file = entry_of(ENTRY_FILE, "c"), a = entry_of(ENTRY_DIRECTORY, "a"),
		b = entry_of(ENTRY_DIRECTORY, "b"), *three[3] = { &a, &b, &file };
	struct hostile hostile;
	struct blob_id id;

	file.nlink = UINT32_MAX;
	file.link_device = file.inode = 1;
	begin_case(f, &hostile);
	for (unsigned level = 0; level < 40; level++) {
		struct blob_id below = id;

		if (level > 0) {
			a.content = b.content = &below;
			a.content_count = b.content_count = 1;
		}
		hostile_put_tree(&hostile, three, 3, &id);
	}
	end_case(f, &hostile, "2^40 paths", &id, 1, ENDLESS);
}

static void
links_devices_and_owners_do_what_they_may(void **state)
{
	struct fixture *f = *state;
	struct entry all[7] = { entry_of(ENTRY_FILE, "a"), entry_of(ENTRY_SYMLINK, "b"),
		entry_of(ENTRY_CHARACTER, "c"), entry_of(ENTRY_FIFO, "d"),
		entry_of(ENTRY_SYMLINK, "e"), entry_of(ENTRY_FILE, "f"),
		entry_of(ENTRY_BLOCK, "g") };
	struct xattr big = { (char *)(uintptr_t)"user.big", NULL, 1000000 };

	/* Of many kinds, and all of them one file. */
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		all[i].nlink = 7;
		all[i].inode = all[i].link_device = 99;
		all[i].mode = 06777;
		all[i].uid = all[i].gid = UINT32_MAX;
	}
	all[1].target = all[4].target = (char *)(uintptr_t)"../canary";
	all[1].target_len = all[4].target_len = 9;
	all[2].device_major = all[6].device_major = UINT32_MAX;
	all[6].mtime.tv_sec = INT64_MAX;
	all[5].mtime.tv_sec = INT64_MIN;
	big.value = mem_calloc(big.len, 1);
	all[3].xattrs = &big;
	all[3].xattr_count = 1;
	try_entries(f, "links over kinds", all, ARRAY_LEN(all), ANYTHING);
	/* The same with a symlink first, and a folder that claims to be a link. */
	all[0] = entry_of(ENTRY_SYMLINK, "a");
	all[0].target = (char *)(uintptr_t)"/etc/passwd";
	all[0].target_len = 11;
	all[0].nlink = 7;
	all[0].inode = all[0].link_device = 99;
	try_entries(f, "a symlink that is a file, too", all, ARRAY_LEN(all),
	    ANYTHING);
	free(big.value);
}

/* ---- contents */

/* A root with one file. */
static void
end_file(struct fixture *f, struct hostile *hostile, const char *name, struct entry *file,
    unsigned damage)
{
	struct blob_id root;

	hostile_put_tree(hostile, &file, 1, &root);
	end_case(f, hostile, name, &root, 1, damage);
}

static void
sizes_that_lie_are_told_everywhere(void **state)
{
	static const uint8_t data[1000];
	static const struct {
		uint64_t size;
		unsigned repeat;
		bool sparse;
		uint64_t extent;
	} lies[] = {
		{ 999, 1, false, 0 }, { 1001, 1, false, 0 }, { 0, 1, false, 0 },
		{ 1000, 0, false, 0 }, { 1000, 2, false, 0 }, { 3000, 2, false, 0 },
		{ INT64_MAX, 1, false, 0 }, { 5000, 1, true, 999 }, { 5000, 1, true, 1001 },
		{ 5000, 0, true, 1000 }, { 5000, 2, true, 1000 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct entry file = entry_of(ENTRY_FILE, "a");
		struct extent extent = { 100, lies[i].extent };
		struct hostile hostile;
		struct blob_id ids[2];
		char what[60];

		begin_case(f, &hostile);
		hostile_put(&hostile, BLOB_DATA, data, sizeof(data), &ids[0]);
		ids[1] = ids[0];
		file.size = lies[i].size;
		file.content = ids;
		file.content_count = lies[i].repeat;
		file.sparse = lies[i].sparse;
		file.extents = &extent;
		file.extent_count = lies[i].sparse;
		snprintf(what, sizeof(what), "lie %zu: %llu bytes", i,
		    (unsigned long long)lies[i].size);
		end_file(f, &hostile, what, &file, CONTENT);
	}
}

/* A list that names one blob over and over, lists of that list, ... */
static void
try_lists(struct fixture *f, unsigned depth, size_t repeat, uint64_t size, unsigned damage)
{
	uint8_t *data = mem_calloc(65536, 1);
	struct blob_id *ids = mem_calloc(repeat, sizeof(*ids)), id;
	struct entry file = entry_of(ENTRY_FILE, "a");
	struct hostile hostile;
	char what[80];

	begin_case(f, &hostile);
	hostile_put(&hostile, BLOB_DATA, data, 65536, &id);
	for (unsigned level = 0; level < depth; level++) {
		for (size_t i = 0; i < repeat; i++)
			ids[i] = id;
		hostile_put(&hostile, BLOB_LIST, ids, repeat * sizeof(*ids), &id);
	}
	file.size = size;
	file.depth = depth;
	file.content = &id;
	file.content_count = 1;
	snprintf(what, sizeof(what), "lists of depth %u, %llu bytes", depth,
	    (unsigned long long)size);
	end_file(f, &hostile, what, &file, damage);
	free(ids);
	free(data);
}

static void
a_file_of_petabytes_ends_where_the_disk_does(void **state)
{
	/* 2^16 * 2^16 * 2^16 * 2^16 bytes are more than a size can say. */
	try_lists(*state, 2, 65536, UINT64_C(1) << 48, ENDLESS);
	try_lists(*state, 6, 65536, INT64_MAX, ENDLESS | CONTENT);
	try_lists(*state, 6, 1000, 65536, CONTENT);
}

static void
lists_that_are_none_are_told_everywhere(void **state)
{
	static const uint8_t bytes[BLOB_ID_SIZE + 1];
	struct fixture *f = *state;

	for (unsigned i = 0; i < 4; i++) {
		struct entry file = entry_of(ENTRY_FILE, "a");
		struct hostile hostile;
		struct blob_id id;

		begin_case(f, &hostile);
		/* Of a wrong length; of none; data; of a blob that is not there. */
		hostile_put(&hostile, i == 2 ? BLOB_DATA : BLOB_LIST, bytes, i == 0 ? 33 :
		    i == 1 ? 0 : BLOB_ID_SIZE, &id);
		file.size = 1000;
		file.depth = i == 3 ? 6 : 1;
		file.content = &id;
		file.content_count = 1;
		end_file(f, &hostile, "a list that is none", &file, CONTENT);
	}
}

/* ---- frames */

static void
frames_without_end_are_told_everywhere(void **state)
{
	const size_t zeros_len = 64u << 20;
	struct fixture *f = *state;
	uint8_t *zeros = mem_calloc(zeros_len, 1), *bomb;
	size_t bound = ZSTD_compressBound(zeros_len), len;
	ZSTD_CCtx *coder = ZSTD_createCCtx();

	bomb = mem_calloc(bound + 1, 1);
	bomb[0] = FRAME_ZSTD;
	for (unsigned i = 0; i < 6; i++) {
		struct entry file = entry_of(ENTRY_FILE, "a");
		uint32_t plain_len = 100000;
		struct hostile hostile;
		struct blob_id id;

		ZSTD_CCtx_reset(coder, ZSTD_reset_session_and_parameters);
		ZSTD_CCtx_setParameter(coder, ZSTD_c_contentSizeFlag, i != 1);
		len = ZSTD_compress2(coder, bomb + 1, bound, zeros, zeros_len);
		assert_false(ZSTD_isError(len));
		if (i == 2)
			memset(bomb + 5, 0xff, 8); /* a content size of anything */
		if (i == 3)
			bomb[0] = 7; /* a codec that nobody knows */
		if (i == 4)
			len = 0;
		if (i == 5) {
			/* Two frames in a row, and less than was said. */
			len = ZSTD_compress2(coder, bomb + 1, bound, zeros, 50000);
			len += ZSTD_compress2(coder, bomb + 1 + len, bound - len, zeros, 40000);
		}
		begin_case(f, &hostile);
		memset(&id, 0x33, sizeof(id));
		hostile_put_payload(&hostile, &id, bomb, len + 1, plain_len);
		bomb[0] = FRAME_ZSTD;
		file.size = plain_len;
		file.content = &id;
		file.content_count = 1;
		end_file(f, &hostile, "a frame that is not what it says", &file, FRAME);
	}
	ZSTD_freeCCtx(coder);
	free(zeros);
	free(bomb);
}

static void
a_blob_that_is_not_what_its_name_says_is_told(void **state)
{
	struct fixture *f = *state;
	struct entry file = entry_of(ENTRY_FILE, "a"), *pointer = &file;
	struct buffer tree = BUFFER_INIT;
	struct hostile hostile;
	struct blob_id id;

	/* A tree under a foreign name is noticed by whoever reads it. */
	begin_case(f, &hostile);
	memset(&id, 0x44, sizeof(id));
	(void)tree_encode(&pointer, 1, &tree);
	hostile_put_as(&hostile, &id, tree.data, tree.len);
	end_case(f, &hostile, "a tree under another name", &id, 1, TREE);
	buffer_done(&tree);
}

/* ---- index files and snapshots */

/* Opens, restores the honest snapshot and says what is wrong. */
static void
assert_goes_on_without(struct fixture *f, const char *what)
{
	struct error err = ERROR_INIT;
	struct repository *repo = test_repository_open(f->work, NULL, &err);
	struct check_options options = { .read_data = true };
	struct check_result result;
	struct progress progress;
	struct snapshot *snapshot = NULL;
	struct test_compared compared;

	if (repo == NULL)
		fail_msg("%s: %s", what, err.message);
	progress_init(&progress);
	assert_int_equal(check_run(repo, &options, &progress, &result, &err), 0);
	if (result.errors == 0)
		fail_msg("%s: check found nothing", what);
	check_result_done(&result);
	if (test_backup(repo, f->source, &snapshot, &err) != 0)
		fail_msg("%s: backup: %s", what, err.message);
	test_compare(repo, snapshot, f->source, f->source, NULL, NULL, &compared);
	if (compared.wrong + compared.unreadable > 0)
		fail_msg("%s: %s", what, compared.first);
	snapshot_free(snapshot);
	assert_int_equal(snapshot_find(repo, "latest", &snapshot, &err), 0);
	snapshot_free(snapshot);
	progress_done(&progress);
	repository_close(repo);
	f->cases++;
}

static void
index_files_without_end_are_told_and_passed_over(void **state)
{
	const uint64_t huge = UINT64_C(1) << 63;
	struct fixture *f = *state;

	for (unsigned place = 0; place < 5; place++) {
		struct buffer header = BUFFER_INIT;
		struct hostile hostile;
		struct repository *repo = begin_case(f, &hostile);

		hostile_finish(&hostile);
		buffer_put_varint(&header, place == 0 ? huge : 1);
		for (unsigned i = 0; i < OBJECT_ID_SIZE; i++)
			buffer_put_u8(&header, 1);
		buffer_put_u8(&header, 0);
		buffer_put_varint(&header, place == 1 ? huge : 1u << 30);
		buffer_put_varint(&header, place == 2 ? huge : 1);
		buffer_put_varint(&header, place == 3 ? huge : 100);
		buffer_put_varint(&header, 100);
		buffer_put_varint(&header, place == 4 ? huge : 0);
		hostile_index(repo, header.data, header.len);
		repository_close(repo);
		assert_goes_on_without(f, "a count of 2^63 in an index file");
		buffer_done(&header);
	}
}

static void
snapshots_that_lie_are_told_and_passed_over(void **state)
{
	static const char *const changes[] = {
		"{\"format\": 0}", "{\"format\": -9223372036854775807}",
		"{\"files\": -1}", "{\"sequence\": \"1\"}", "{\"sequence\": -5}",
		"{\"time\": \"2126-13-01T00:00:00Z\"}", "{\"time\": 1}",
		"{\"roots\": [\"00\"]}", "{\"roots\": {}}", "{\"sources\": [1]}",
		"{\"sequence\": 9223372036854775807}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct hostile hostile;
		struct repository *repo = begin_case(f, &hostile);
		struct snapshot *honest;
		struct error err = ERROR_INIT;
		json_t *json, *change = json_loads(changes[i], 0, NULL);
		char id[SNAPSHOT_ID_TEXT_SIZE];

		assert_non_null(change);
		hostile_finish(&hostile);
		assert_int_equal(snapshot_find(repo, "latest", &honest, &err), 0);
		json = snapshot_to_json(honest);
		json_object_update(json, change);
		json_object_del(json, "id");
		hostile_document(repo, json, id);
		json_decref(json);
		json_decref(change);
		snapshot_free(honest);
		repository_close(repo);
		assert_goes_on_without(f, changes[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_lead_out_are_refused_everywhere),
		cmocka_unit_test(names_twice_or_out_of_order_are_refused_everywhere),
		cmocka_unit_test(parts_that_repeat_names_are_refused_everywhere),
		cmocka_unit_test(a_folder_whose_tree_is_something_else_is_refused_everywhere),
		cmocka_unit_test(counts_without_end_are_refused_everywhere),
		cmocka_unit_test(folders_nest_as_deeply_as_somebody_likes),
		cmocka_unit_test(few_trees_make_a_trillion_paths),
		cmocka_unit_test(links_devices_and_owners_do_what_they_may),
		cmocka_unit_test(sizes_that_lie_are_told_everywhere),
		cmocka_unit_test(a_file_of_petabytes_ends_where_the_disk_does),
		cmocka_unit_test(lists_that_are_none_are_told_everywhere),
		cmocka_unit_test(frames_without_end_are_told_everywhere),
		cmocka_unit_test(a_blob_that_is_not_what_its_name_says_is_told),
		cmocka_unit_test(index_files_without_end_are_told_and_passed_over),
		cmocka_unit_test(snapshots_that_lie_are_told_and_passed_over),
	};

	return cmocka_run_group_tests_name("hostile", tests, group_setup, group_teardown);
}
