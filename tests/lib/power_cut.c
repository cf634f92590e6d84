/* The checking variants of the calls would be inline functions of the same names. */
#undef _FORTIFY_SOURCE

#include "tests/lib/power_cut.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/mem.h"
#include "tests/lib/test_repository.h"

#define PATH_SIZE 120 /* more than any name in a repository */
#define RECORD_SIZE (256u << 20)
#define SECTOR 512

enum call_kind { CALL_WRITE, CALL_SYNC, CALL_RENAME, CALL_LINK, CALL_REMOVE, CALL_MKDIR,
	CALL_REPORT };

struct call {
	enum call_kind kind;
	char path[PATH_SIZE], to[PATH_SIZE]; /* below the root; "" is the root */
	uint64_t offset, len;                /* writes */
	size_t data;                         /* of a write: where in the record */
};

/* Shared by the process that records and the one that reads; calls from the front, bytes of
 * writes from the back. */
struct record {
	pthread_mutex_t lock;
	bool on;
	char root[4096];
	unsigned count;
	size_t data;
	struct call calls[];
};

static struct record *record;

static void
die(const char *what, const char *path)
{
	fprintf(stderr, "power cut: %s '%s': %s\n", what, path, strerror(errno));
	abort();
}

/* ---- recording */

/* The path below the root that a name in a folder means, or that a descriptor has (name NULL). */
static bool
below_root(int fd, const char *name, char out[PATH_SIZE])
{
	char link[40], path[4096 + PATH_SIZE];
	size_t root = strlen(record->root);
	ssize_t len = 0;

	if (name == NULL || name[0] != '/') {
		if (fd == AT_FDCWD)
			snprintf(link, sizeof(link), "/proc/self/cwd");
		else
			snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		len = readlink(link, path, 4095);
		if (len < 0)
			return false;
	}
	path[len] = '\0';
	if (name != NULL)
		snprintf(path + len, sizeof(path) - (size_t)len, "%s%s", len > 0 ? "/" : "", name);
	if (strncmp(path, record->root, root) != 0 || (path[root] != '/' && path[root] != '\0') ||
	    strlen(path + root) > PATH_SIZE)
		return false;
	snprintf(out, PATH_SIZE, "%s", path[root] == '/' ? path + root + 1 : "");
	return true;
}

/* The lock is held from before the call until it is recorded, so that the order is true. */
static bool
begin_call(void)
{
	if (record == NULL || !record->on)
		return false;
	pthread_mutex_lock(&record->lock);
	return true;
}

static struct call *
add_call(enum call_kind kind, const char *path, const char *to)
{
	struct call *call = &record->calls[record->count++];

	if ((uint8_t *)(call + 1) > (uint8_t *)record + record->data)
		abort();
	call->kind = kind;
	strcpy(call->path, path);
	strcpy(call->to, to);
	return call;
}

static void
end_call(void)
{
	pthread_mutex_unlock(&record->lock);
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	bool on = begin_call();
	char path[PATH_SIZE];
	off_t offset = on ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t n = syscall(SYS_write, fd, buf, len);

	if (on && n > 0 && below_root(fd, NULL, path)) {
		struct call *call = add_call(CALL_WRITE, path, "");

		record->data -= (size_t)n;
		if ((uint8_t *)record + record->data < (uint8_t *)(call + 1))
			abort();
		memcpy((uint8_t *)record + record->data, buf, (size_t)n);
		call->offset = (uint64_t)offset;
		call->len = (uint64_t)n;
		call->data = record->data;
	}
	if (on)
		end_call();
	return n;
}

int
fsync(int fd)
{
	bool on = begin_call();
	char path[PATH_SIZE];
	int rc = (int)syscall(SYS_fsync, fd);

	if (on && rc == 0 && below_root(fd, NULL, path))
		add_call(CALL_SYNC, path, "");
	if (on)
		end_call();
	return rc;
}

static int
two_names(enum call_kind kind, long number, int from_fd, const char *from, int to_fd,
    const char *to, unsigned flags)
{
	char path[PATH_SIZE], to_path[PATH_SIZE];
	bool on = begin_call();
	int rc = (int)syscall(number, from_fd, from, to_fd, to, flags);

	if (on && rc == 0 && below_root(from_fd, from, path) && below_root(to_fd, to, to_path))
		add_call(kind, path, to_path);
	if (on)
		end_call();
	return rc;
}

int
renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return two_names(CALL_RENAME, SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return two_names(CALL_RENAME, SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return two_names(CALL_LINK, SYS_linkat, from_fd, from, to_fd, to, (unsigned)flags);
}

static int
one_name(enum call_kind kind, long number, int fd, const char *name, unsigned argument)
{
	char path[PATH_SIZE];
	bool on = begin_call();
	int rc = (int)syscall(number, fd, name, argument);

	if (on && rc == 0 && below_root(fd, name, path))
		add_call(kind, path, "");
	if (on)
		end_call();
	return rc;
}

int
unlinkat(int fd, const char *name, int flags)
{
	return one_name(CALL_REMOVE, SYS_unlinkat, fd, name, (unsigned)flags);
}

int
mkdirat(int fd, const char *name, mode_t mode)
{
	return one_name(CALL_MKDIR, SYS_mkdirat, fd, name, mode);
}

int
mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

void
power_cut_reported(void)
{
	if (begin_call()) {
		add_call(CALL_REPORT, "", "");
		end_call();
	}
}

/* ---- what was recorded, by files and names */

#define NAME_BEFORE (-1) /* what it was before the recording */
#define NAME_ABSENT (-2)
#define NAME_FOLDER (-3)

/* What a name means from a call on: one of the above, or the number of a file. */
struct event {
	unsigned call;
	int meaning;
};

struct name {
	char *path;
	struct event *events;
	size_t count, cap;
	int chosen;
};

struct file {
	char *before; /* its name before the recording, if it was there */
	unsigned *writes; /* numbers of calls */
	size_t write_count, write_cap;
	unsigned *syncs;
	size_t sync_count, sync_cap;
	uint8_t *bytes; /* as chosen */
	size_t len;
};

struct power_cut {
	struct record *record;
	struct name *names; /* each folder before what lies in it */
	size_t name_count, name_cap;
	struct file *files;
	size_t file_count, file_cap;
	bool ignore_files, ignore_folders;
};

static struct name *
find_name(struct power_cut *cut, const char *path)
{
	for (size_t i = 0; i < cut->name_count; i++)
		if (strcmp(cut->names[i].path, path) == 0)
			return &cut->names[i];
	MEM_GROW(cut->names, cut->name_count, cut->name_cap);
	cut->names[cut->name_count] = (struct name){ .path = mem_strdup(path) };
	return &cut->names[cut->name_count++];
}

static void
add_event(struct power_cut *cut, const char *path, unsigned call, int meaning)
{
	struct name *name = find_name(cut, path);

	MEM_GROW(name->events, name->count, name->cap);
	name->events[name->count++] = (struct event){ call, meaning };
}

static int
add_file(struct power_cut *cut, const char *before)
{
	MEM_GROW(cut->files, cut->file_count, cut->file_cap);
	cut->files[cut->file_count] = (struct file){
		.before = before != NULL ? mem_strdup(before) : NULL };
	return (int)cut->file_count++;
}

/* The file that has this name now; made if nothing was recorded of it. */
static int
file_of(struct power_cut *cut, const char *path, unsigned call, bool is_new)
{
	const struct name *name = find_name(cut, path);
	int number;

	if (name->count > 0 && name->events[name->count - 1].meaning >= 0)
		return name->events[name->count - 1].meaning;
	number = add_file(cut, is_new ? NULL : path);
	add_event(cut, path, call, number);
	return number;
}

static bool
is_folder(struct power_cut *cut, const char *path)
{
	char *full = mem_printf("%s/%s", cut->record->root, path);
	struct stat st;
	bool folder = stat(full, &st) == 0 && S_ISDIR(st.st_mode);

	free(full);
	return folder;
}

static void
take_call(struct power_cut *cut, unsigned number)
{
	const struct call *call = &cut->record->calls[number - 1];
	struct file *file;
	int at;

	switch (call->kind) {
	case CALL_WRITE:
		at = file_of(cut, call->path, number, true);
		file = &cut->files[at];
		MEM_GROW(file->writes, file->write_count, file->write_cap);
		file->writes[file->write_count++] = number;
		break;
	case CALL_SYNC:
		if (is_folder(cut, call->path))
			break; /* looked up when a state is chosen */
		at = file_of(cut, call->path, number, true);
		file = &cut->files[at];
		MEM_GROW(file->syncs, file->sync_count, file->sync_cap);
		file->syncs[file->sync_count++] = number;
		break;
	case CALL_RENAME:
	case CALL_LINK:
		at = file_of(cut, call->path, number, false);
		add_event(cut, call->to, number, at);
		if (call->kind == CALL_RENAME)
			add_event(cut, call->path, number, NAME_ABSENT);
		break;
	case CALL_REMOVE:
		add_event(cut, call->path, number, NAME_ABSENT);
		break;
	case CALL_MKDIR:
		add_event(cut, call->path, number, NAME_FOLDER);
		break;
	case CALL_REPORT:
		break;
	}
}

struct power_cut *
power_cut_record(const char *root, int (*act)(void *arg), void *arg)
{
	struct power_cut *cut = MEM_NEW(struct power_cut);
	int status;
	pid_t child;

	record = mmap(NULL, RECORD_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (record == MAP_FAILED || realpath(root, record->root) == NULL)
		die("could not record", root);
	pthread_mutex_init(&record->lock, NULL);
	record->data = RECORD_SIZE;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		record->on = true;
		_exit(act(arg));
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		die("could not do what was to be recorded in", root);
	cut->record = record;
	record = NULL;
	for (unsigned call = 1; call <= cut->record->count; call++)
		take_call(cut, call);
	return cut;
}

void
power_cut_free(struct power_cut *cut)
{
	for (size_t i = 0; i < cut->name_count; i++) {
		free(cut->names[i].path);
		free(cut->names[i].events);
	}
	for (size_t i = 0; i < cut->file_count; i++) {
		free(cut->files[i].before);
		free(cut->files[i].writes);
		free(cut->files[i].syncs);
		free(cut->files[i].bytes);
	}
	munmap(cut->record, RECORD_SIZE);
	free(cut->names);
	free(cut->files);
	free(cut);
}

unsigned
power_cut_calls(const struct power_cut *cut)
{
	return cut->record->count;
}

unsigned
power_cut_reports(const struct power_cut *cut, unsigned calls)
{
	unsigned reports = 0;

	for (unsigned i = 0; i < calls; i++)
		reports += cut->record->calls[i].kind == CALL_REPORT;
	return reports;
}

void
power_cut_ignore_syncs(struct power_cut *cut, bool files, bool folders)
{
	cut->ignore_files = files;
	cut->ignore_folders = folders;
}

/* ---- choosing */

static unsigned
pick(uint64_t *seed, unsigned below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((*seed >> 33) % below);
}

static unsigned
last_sync_of_folder(const struct power_cut *cut, const char *path, unsigned calls)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash != NULL ? (size_t)(slash - path) : 0;

	for (unsigned call = calls; call > 0 && !cut->ignore_folders; call--) {
		const struct call *sync = &cut->record->calls[call - 1];

		if (sync->kind == CALL_SYNC && strlen(sync->path) == len &&
		    strncmp(sync->path, path, len) == 0)
			return call;
	}
	return 0;
}

static void
choose_name(const struct power_cut *cut, struct name *name, unsigned calls, unsigned variant,
    uint64_t *seed)
{
	unsigned durable = last_sync_of_folder(cut, name->path, calls);
	size_t first = 0, end = 0; /* how many events are in any case, and at most, in effect */

	while (first < name->count && name->events[first].call <= durable)
		first++;
	for (end = first; end < name->count && name->events[end].call <= calls; end++)
		;
	if (variant > 0)
		first = variant == 1 ? end : first + pick(seed, (unsigned)(end - first + 1));
	name->chosen = first > 0 ? name->events[first - 1].meaning : NAME_BEFORE;
}

/* One write that need not be durable. */
static void
apply_write(struct file *file, const struct call *call, const uint8_t *data, unsigned variant,
    uint64_t *seed)
{
	uint64_t end = call->offset + call->len, at = call->offset;

	if (variant == 0)
		return;
	/* Of the length, all, nothing, or up to the border of a sector. */
	if (variant > 1 && pick(seed, 2) == 0)
		end = at + pick(seed, (unsigned)(call->len / SECTOR) + 1) * SECTOR;
	if (end > file->len) {
		file->bytes = mem_realloc(file->bytes, (size_t)end, 1);
		memset(file->bytes + file->len, 0, (size_t)end - file->len);
		file->len = (size_t)end;
	}
	while (at < end) {
		uint64_t next = (at / SECTOR + 1) * SECTOR;

		if (next > end)
			next = end;
		if (variant == 1 || pick(seed, 4) > 0)
			memcpy(file->bytes + at, data + (at - call->offset), (size_t)(next - at));
		at = next;
	}
}

static void
choose_bytes(const struct power_cut *cut, struct file *file, unsigned calls, unsigned variant,
    uint64_t *seed)
{
	unsigned durable = 0;

	for (size_t i = 0; i < file->sync_count && !cut->ignore_files; i++)
		if (file->syncs[i] <= calls)
			durable = file->syncs[i];
	file->len = 0;
	for (size_t i = 0; i < file->write_count && file->writes[i] <= calls; i++) {
		const struct call *call = &cut->record->calls[file->writes[i] - 1];

		apply_write(file, call, (const uint8_t *)cut->record + call->data,
		    file->writes[i] <= durable ? 1 : variant, seed);
	}
}

static uint64_t
mix(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(1099511628211);
	return hash;
}

uint64_t
power_cut_choose(struct power_cut *cut, unsigned calls, unsigned variant, uint64_t *seed)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < cut->file_count; i++)
		choose_bytes(cut, &cut->files[i], calls, variant, seed);
	for (size_t i = 0; i < cut->name_count; i++) {
		struct name *name = &cut->names[i];

		choose_name(cut, name, calls, variant, seed);
		if (strncmp(name->path, "tmp", 3) == 0)
			continue;
		hash = mix(hash, name->path, strlen(name->path));
		hash = mix(hash, &name->chosen, sizeof(name->chosen));
		if (name->chosen >= 0)
			hash = mix(hash, cut->files[name->chosen].bytes,
			    cut->files[name->chosen].len);
	}
	return hash;
}

/* ---- making */

static void
make_name(const struct power_cut *cut, const struct name *name, const char *before,
    const char *folder)
{
	char *path = test_path(folder, "%s", name->path), *parent = mem_strdup(path);
	const struct file *file;

	*strrchr(parent, '/') = '\0';
	/* A folder that is lost took what lay in it along. */
	if (access(parent, F_OK) != 0 || name->chosen == NAME_BEFORE)
		goto out;
	if (name->chosen == NAME_FOLDER) {
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			die("could not make", path);
		goto out;
	}
	if (remove(path) != 0 && errno != ENOENT)
		die("could not remove", path);
	if (name->chosen == NAME_ABSENT)
		goto out;
	file = &cut->files[name->chosen];
	if (file->before != NULL) {
		char *from = test_path(before, "%s", file->before);
		size_t len;
		uint8_t *bytes = test_file_read(from, &len);

		test_file_write(path, bytes, len);
		free(bytes);
		free(from);
	} else {
		test_file_write(path, file->bytes, file->len);
	}
out:
	free(parent);
	free(path);
}

void
power_cut_make(const struct power_cut *cut, const char *before, const char *folder)
{
	test_folder_copy(before, folder);
	for (size_t i = 0; i < cut->name_count; i++)
		make_name(cut, &cut->names[i], before, folder);
}
