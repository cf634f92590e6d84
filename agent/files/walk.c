/*
 * The walk: one thread goes through the sources in the order of names, compares each entry with
 * the previous snapshot's tree, read in step, and hands what changed to batches and streams.
 *
 * Folders above a source are walked too, but show only what leads to a source. A stack of frames
 * instead of recursion, and a bounded number of open folders, so that depth has no limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/files/backup_internal.h"
#include "agent/files/names.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"

/* File systems that are views of the kernel: nothing in them can be restored, and some of their
 * files have no end. The numbers are those of linux/magic.h. */
static const uint32_t kernel_views[] = {
	0x9fa0,     /* proc */
	0x62656572, /* sysfs */
	0x27e0eb,   /* cgroup */
	0x63677270, /* cgroup2 */
	0x64626720, /* debugfs */
	0x74726163, /* tracefs */
	0x73636673, /* securityfs */
	0x6165676c, /* pstore */
	0xcafe4a11, /* bpf */
	0x62656570, /* configfs */
	0x42494e4d, /* binfmt_misc */
	0x1cd1,     /* devpts */
	0x19800202, /* mqueue */
	0xf97cff8c, /* selinuxfs */
	0x65735543, /* fusectl */
	0xde5e81e4, /* efivarfs */
	0x6e736673, /* nsfs */
};

/* Folders kept open on the way down; those above are opened again on the way back. */
#define OPEN_FRAMES 64

struct walk_frame {
	struct dir_handle *dir; /* NULL while closed */
	dev_t device;
	ino_t inode;
	size_t path_len;        /* of the walk's path, up to this folder */
	struct names names;
	size_t next;
	struct tree_dir *tree;
	struct tree_cursor *previous;      /* or NULL */
	const struct entry *previous_entry; /* the next one not passed yet; NULL at the end */
	bool above;             /* of the sources: only what leads to them */
	dev_t source_device;    /* for one_file_system */
};

struct walk {
	struct backup *backup;
	char *const *sources;
	size_t source_count;
	struct buffer path; /* of the entry at hand, absolute */
	struct walk_frame *frames;
	size_t depth, cap;
	struct file_batch *batch;
};

static struct walk_frame *
top(struct walk *walk)
{
	return &walk->frames[walk->depth - 1];
}

static bool
is_below(const char *path, size_t len, const char *folder, size_t folder_len)
{
	if (folder_len == 1) /* "/" */
		return true;
	return len >= folder_len && memcmp(path, folder, folder_len) == 0 &&
	    (len == folder_len || path[folder_len] == '/');
}

/* Whether the path at hand is itself a source. */
static bool
is_source(const struct walk *walk)
{
	for (size_t i = 0; i < walk->source_count; i++)
		if (strcmp(walk->sources[i], (const char *)walk->path.data) == 0)
			return true;
	return false;
}

/* The next components that lead from a folder (of this length in every source) to the sources. */
static void
names_towards_sources(const struct walk *walk, size_t path_len, struct names *ret)
{
	for (size_t i = 0; i < walk->source_count; i++) {
		const char *source = walk->sources[i];

		if (!is_below(source, strlen(source), (const char *)walk->path.data, path_len) &&
		    path_len > 0)
			continue;
		source += path_len + 1;
		names_add(ret, source, strcspn(source, "/"));
	}
	names_sort(ret);
}

/* Keep only the tag of a folder that is tagged as a cache. */
static void
apply_cache_tag(struct walk *walk, struct walk_frame *frame)
{
	static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
	char head[sizeof(signature) - 1];
	struct stat st;
	ssize_t n = -1;
	int fd;

	/* Looked at before it is opened: reading a FIFO takes from it what is meant for others. */
	if (!walk->backup->options->exclude_caches ||
	    !names_contain(&frame->names, "CACHEDIR.TAG") ||
	    fstatat(frame->dir->fd, "CACHEDIR.TAG", &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode))
		return;
	fd = openat(frame->dir->fd, "CACHEDIR.TAG", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, head, sizeof(head));
		close(fd);
	}
	if (n != (ssize_t)sizeof(head) || memcmp(head, signature, sizeof(head)) != 0)
		return;
	names_done(&frame->names);
	names_add(&frame->names, "CACHEDIR.TAG", strlen("CACHEDIR.TAG"));
	names_sort(&frame->names);
}

static void
pop_frame(struct walk *walk)
{
	struct walk_frame *frame = top(walk);

	dir_handle_release(frame->dir);
	names_done(&frame->names);
	tree_close(frame->previous);
	if (frame->tree != NULL)
		tree_dir_end(frame->tree);
	walk->depth--;
}

/* A previous tree that cannot be read is no loss: everything is read anew. */
static void
pass_previous(struct walk_frame *frame)
{
	struct error ignored;

	if (tree_next(frame->previous, &frame->previous_entry, &ignored) != 1)
		frame->previous_entry = NULL;
}

/* Begin a folder that is open as fd (taken over); its tree must have been begun. */
static void
push_frame(struct walk *walk, int fd, const struct stat *st, struct tree_dir *tree, bool above,
    dev_t source_device, const struct blob_id *previous, size_t previous_count)
{
	struct backup *backup = walk->backup;
	struct walk_frame *frame;
	struct error err = ERROR_INIT;

	if (walk->depth >= OPEN_FRAMES) {
		struct walk_frame *far = &walk->frames[walk->depth - OPEN_FRAMES];

		dir_handle_release(far->dir);
		far->dir = NULL;
	}
	MEM_GROW(walk->frames, walk->depth, walk->cap);
	frame = &walk->frames[walk->depth++];
	*frame = (struct walk_frame){ .device = st->st_dev, .inode = st->st_ino,
		.path_len = walk->path.len, .tree = tree, .above = above,
		.source_device = source_device };
	frame->dir = dir_handle_new(fd, (const char *)walk->path.data, walk->path.len);
	if (above) {
		names_towards_sources(walk, walk->path.len, &frame->names);
	} else {
		if (names_read(fd, &frame->names, &err) != 0)
			backup_loss(backup, frame->dir, "", &err);
		apply_cache_tag(walk, frame);
	}
	if (previous_count > 0 &&
	    tree_open(backup->repo, previous, previous_count, &frame->previous, &err) == 0)
		pass_previous(frame);
}

static int
compare_names(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

/* The previous snapshot's entry of this name, or NULL; names come in order. */
static const struct entry *
previous_of(struct walk_frame *frame, const char *name, size_t len)
{
	while (frame->previous_entry != NULL) {
		int order = compare_names(frame->previous_entry->name,
		    frame->previous_entry->name_len, name, len);

		if (order == 0)
			return frame->previous_entry;
		if (order > 0)
			return NULL;
		pass_previous(frame);
	}
	return NULL;
}

/* Open a folder again by its path from the root, a component at a time, through no link. */
static int
open_by_path(const char *path, size_t len, int how)
{
	const char *end = path + len;
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	while (fd >= 0 && path < end) {
		size_t name_len = strcspn(path + 1, "/");
		char *name = strndup(path + 1, name_len);
		int next = openat(fd, name, (path + 1 + name_len < end ? O_PATH : how) |
		    O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		free(name);
		close(fd);
		fd = next;
		path += 1 + name_len;
	}
	return fd;
}

static bool
is_same_folder(int fd, const struct walk_frame *frame)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == frame->device &&
	    st.st_ino == frame->inode;
}

/* A frame whose folder was closed on the way down is opened again: through its child's "..", or,
 * should the child have been moved, from the root. */
static bool
reopen(struct walk *walk, int child_fd)
{
	struct walk_frame *frame = top(walk);
	struct error err = ERROR_INIT;
	int how = frame->above ? O_PATH : O_RDONLY;
	int fd;

	if (frame->dir != NULL)
		return true;
	fd = openat(child_fd, "..", how | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (!is_same_folder(fd, frame)) {
		if (fd >= 0)
			close(fd);
		fd = open_by_path((const char *)walk->path.data, frame->path_len, how);
	}
	frame->dir = dir_handle_new(fd, (const char *)walk->path.data, frame->path_len);
	if (is_same_folder(fd, frame))
		return true;
	error_set(&err, ERROR_IO, "the folder was moved while it was backed up");
	backup_loss(walk->backup, frame->dir, "", &err);
	return false;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Whether all data is there; a blob that was lost since (damage, a mark of prune) is not. */
static bool
has_content(struct backup *backup, const struct blob_id *ids, size_t count, unsigned depth)
{
	struct blob_view view;
	struct error ignored;
	bool whole = true;

	for (size_t i = 0; i < count && whole; i++) {
		whole = repository_has_blob(backup->repo, &ids[i]);
		if (!whole || depth == 0)
			continue;
		/* Lists are a few thousandths of the data; what they name may be lost without
		 * them. */
		whole = repository_read_blob(backup->repo, BLOB_LIST, &ids[i], &view, &ignored) == 0;
		if (whole) {
			struct blob_id *below = mem_dup(view.data, view.len);

			whole = has_content(backup, below, view.len / BLOB_ID_SIZE, depth - 1);
			free(below);
			blob_release(&view);
		}
	}
	return whole;
}

static bool
is_unchanged(struct backup *backup, const struct entry *previous, const struct stat *st)
{
	if (previous == NULL || backup->options->force || previous->kind != ENTRY_FILE ||
	    previous->size != (uint64_t)st->st_size || previous->inode != st->st_ino ||
	    !same_time(&previous->mtime, &st->st_mtim) ||
	    !same_time(&previous->ctime, &st->st_ctim))
		return false;
	return backup->writer == NULL ||
	    has_content(backup, previous->content, previous->content_count, previous->depth);
}

static void
add_to_batch(struct walk *walk, struct tree_slot *slot, uint64_t size, bool existed)
{
	if (walk->batch == NULL)
		walk->batch = file_batch_new(walk->backup);
	if (file_batch_add(walk->batch, top(walk)->dir, slot, size, existed)) {
		file_batch_submit(walk->batch);
		walk->batch = NULL;
	}
}

/* What is as the previous snapshot has it: its entry moves over, with nothing copied. */
static void
keep_previous(struct walk_frame *frame)
{
	struct entry kept;

	tree_take(frame->previous, &kept);
	pass_previous(frame);
	tree_slot_finish(tree_dir_add_entry(frame->tree, &kept), true);
}

static void
keep_file(struct walk *walk, uint64_t size)
{
	struct backup *backup = walk->backup;

	keep_previous(top(walk));
	atomic_fetch_add(&backup->counts.unmodified_files, 1);
	atomic_fetch_add(&backup->counts.files, 1);
	atomic_fetch_add(&backup->counts.bytes, size);
	atomic_fetch_add(&backup->progress->files, 1);
	atomic_fetch_add(&backup->progress->bytes, size);
}

static void
visit_file(struct walk *walk, const char *name, size_t len, const struct stat *st)
{
	struct backup *backup = walk->backup;
	struct walk_frame *frame = top(walk);
	const struct entry *previous = previous_of(frame, name, len);
	uint64_t size = (uint64_t)st->st_size;
	struct tree_slot *slot;

	if (backup->options->max_size != 0 && size > backup->options->max_size) {
		backup_note(backup, frame->dir, name, "larger than the limit, left out");
		return;
	}
	if (is_unchanged(backup, previous, st)) {
		keep_file(walk, size);
		return;
	}
	slot = tree_dir_add(frame->tree, name, len);
	attributes_from_stat(&slot->entry, st, backup->names);
	if (size > BATCH_FILE_MAX && backup->writer != NULL)
		file_stream(backup, frame->dir, slot, previous != NULL);
	else
		add_to_batch(walk, slot, size, previous != NULL);
}

/* Neither what it is nor its attributes have changed: all of that sets the ctime. */
static bool
is_same_special(const struct backup *backup, const struct entry *previous, const struct stat *st)
{
	struct entry now;

	if (previous == NULL || backup->options->force || previous->inode != st->st_ino ||
	    !same_time(&previous->mtime, &st->st_mtim) ||
	    !same_time(&previous->ctime, &st->st_ctim))
		return false;
	entry_init(&now);
	attributes_from_stat(&now, st, NULL);
	return previous->kind == now.kind && previous->device_major == now.device_major &&
	    previous->device_minor == now.device_minor;
}

static void
count_special(struct backup *backup)
{
	atomic_fetch_add(&backup->counts.others, 1);
	atomic_fetch_add(&backup->progress->files, 1);
}

/* Symlinks, FIFOs, devices, sockets: all they hold is in the entry. */
static void
visit_special(struct walk *walk, const char *name, size_t len, const struct stat *st)
{
	struct backup *backup = walk->backup;
	struct walk_frame *frame = top(walk);
	struct error err = ERROR_INIT;
	struct tree_slot *slot;
	struct entry *entry;
	bool keep = true;
	int fd;

	if (is_same_special(backup, previous_of(frame, name, len), st)) {
		keep_previous(frame);
		count_special(backup);
		return;
	}
	slot = tree_dir_add(frame->tree, name, len);
	entry = &slot->entry;
	attributes_from_stat(entry, st, backup->names);
	backup_doubt_racy(entry);
	if (entry->kind == ENTRY_SYMLINK) {
		char target[TREE_TARGET_MAX];
		ssize_t n = readlinkat(frame->dir->fd, name, target, sizeof(target));

		if (n <= 0) {
			error_sys(&err, ERROR_IO, errno, "could not read the symlink");
			backup_loss(backup, frame->dir, name, &err);
			keep = false;
		} else {
			entry->target = mem_calloc(1, (size_t)n + 1);
			memcpy(entry->target, target, (size_t)n);
			entry->target_len = (size_t)n;
		}
	}
	fd = openat(frame->dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		if (attributes_read_xattrs(fd, entry, &err) != 0) {
			backup_loss(backup, frame->dir, name, &err);
			entry->ctime = (struct timespec){ 0, 0 }; /* try again next time */
		}
		close(fd);
	}
	if (keep)
		count_special(backup);
	tree_slot_finish(slot, keep);
}

static int
open_folder(struct walk_frame *frame, const char *name, bool above, struct error *err)
{
	/* On the way to a source, a folder need not be readable, only passable. */
	int how = above ? O_PATH : O_RDONLY | O_NONBLOCK | O_NOCTTY;
	int fd = openat(frame->dir->fd, name, how | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		error_sys(err, ERROR_IO, errno, "could not open the folder");
	return fd;
}

/* Asked only where a file system begins. */
static bool
is_kernel_view(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kernel_views); i++)
		if ((uint32_t)fs.f_type == kernel_views[i])
			return true;
	return false;
}

static void
visit_folder(struct walk *walk, const char *name, size_t len, const struct stat *seen)
{
	struct backup *backup = walk->backup;
	struct walk_frame *frame = top(walk);
	const struct entry *previous;
	struct error err = ERROR_INIT;
	struct stat st = *seen;
	struct tree_slot *slot;
	bool above = frame->above && !is_source(walk);
	dev_t source_device = frame->source_device;
	int fd;

	if (backup->has_skip && st.st_dev == backup->skip_device && st.st_ino == backup->skip_inode) {
		backup_note(backup, frame->dir, name, "holds the repository itself, left out");
		return;
	}
	if (frame->above && !above)
		source_device = st.st_dev; /* this is a source */
	previous = previous_of(frame, name, len);
	slot = tree_dir_add(frame->tree, name, len);
	attributes_from_stat(&slot->entry, &st, backup->names);
	atomic_fetch_add(&backup->counts.directories, 1);
	if (!above && backup->options->one_file_system && st.st_dev != source_device) {
		tree_slot_finish(slot, true); /* a mount point: the folder, not what is mounted */
		return;
	}
	fd = open_folder(frame, name, above, &err);
	if (fd < 0 || fstat(fd, &st) != 0) {
		if (fd >= 0) {
			error_sys(&err, ERROR_IO, errno, "could not stat the folder");
			close(fd);
		}
		backup_loss(backup, frame->dir, name, &err);
		tree_slot_finish(slot, true); /* its attributes at least */
		return;
	}
	attributes_from_stat(&slot->entry, &st, backup->names);
	if (!frame->above && st.st_dev != frame->device && is_kernel_view(fd)) {
		backup_note(backup, frame->dir, name, "a view of the kernel, left out");
		close(fd);
		tree_slot_finish(slot, true);
		return;
	}
	if (attributes_read_xattrs(fd, &slot->entry, &err) != 0)
		backup_loss(backup, frame->dir, name, &err);
	if (previous != NULL && previous->kind != ENTRY_DIRECTORY)
		previous = NULL;
	push_frame(walk, fd, &st, tree_dir_begin(backup->writer, slot), above, source_device,
	    previous != NULL ? previous->content : NULL,
	    previous != NULL ? previous->content_count : 0);
}

/* One name of the folder on top. */
static void
visit(struct walk *walk, const char *name, size_t len)
{
	struct backup *backup = walk->backup;
	struct walk_frame *frame = top(walk);
	struct error err = ERROR_INIT;
	struct stat st;

	if (fstatat(frame->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT && !frame->above) {
			backup_note(backup, frame->dir, name, "vanished before it was read");
			return;
		}
		error_sys(&err, ERROR_IO, errno, "could not stat it");
		backup_loss(backup, frame->dir, name, &err);
		return;
	}
	if (!frame->above && exclude_match(backup->exclude, (const char *)walk->path.data,
	    walk->path.len, S_ISDIR(st.st_mode)))
		return;
	/* The sources were resolved before: without them the backup is not what was asked for. */
	if (frame->above && (S_ISLNK(st.st_mode) || (!S_ISDIR(st.st_mode) && !is_source(walk)))) {
		error_set(&err, ERROR_IO, "became something else while it was backed up");
		backup_loss(backup, frame->dir, name, &err);
		return;
	}
	if (S_ISREG(st.st_mode))
		visit_file(walk, name, len, &st);
	else if (S_ISDIR(st.st_mode))
		visit_folder(walk, name, len, &st);
	else
		visit_special(walk, name, len, &st);
}

/* Set the walk's path to that of a name in the folder on top. */
static void
set_path(struct walk *walk, const char *name, size_t len)
{
	walk->path.len = top(walk)->path_len;
	buffer_put_u8(&walk->path, '/');
	buffer_put(&walk->path, name, len);
	buffer_text(&walk->path);
}

/* Leave the folder on top.  Those above that cannot be reached any more are left with it. */
static void
leave_folder(struct walk *walk)
{
	struct dir_handle *child = dir_handle_hold(top(walk)->dir);

	do {
		pop_frame(walk);
		if (walk->depth > 0) {
			walk->path.len = top(walk)->path_len;
			buffer_text(&walk->path);
		}
	} while (walk->depth > 0 && !reopen(walk, child->fd));
	dir_handle_release(child);
}

/*
 * Make the entry of the folder beside once its place among the root's names is reached.
 *   name  the next one in the root; NULL: there are no more
 */
static int
place_beside(struct walk *walk, const char *name, size_t len, struct error *err)
{
	struct backup *backup = walk->backup;
	const struct backup_beside *beside = backup->options->beside;
	int order = 1;

	if (beside == NULL || backup->writer == NULL || backup->beside != NULL)
		return 0;
	if (name != NULL)
		order = compare_names(name, len, beside->name, strlen(beside->name));
	if (order == 0) {
		error_set(err, ERROR_CONFLICT, "'/%s' cannot be backed up together with tables, which "
		    "have this name in a snapshot", beside->name);
		return error_hint(err, "give the tables a job of their own");
	}
	if (order > 0)
		backup->beside = tree_dir_add(top(walk)->tree, beside->name,
		    strlen(beside->name));
	return 0;
}

static int
walk_all(struct walk *walk, struct error *err)
{
	while (walk->depth > 0) {
		struct walk_frame *frame = top(walk);
		const char *name;
		size_t len;

		if (frame->next == frame->names.count) {
			if (walk->depth == 1 && place_beside(walk, NULL, 0, err) != 0)
				return -1;
			leave_folder(walk);
			continue;
		}
		if (progress_check(walk->backup->progress, err) != 0)
			return -1;
		if (walk->backup->writer != NULL && writer_has_failed(walk->backup->writer)) {
			error_set(err, ERROR_INTERNAL, "the writer has failed");
			return -1;
		}
		name = names_get(&frame->names, frame->next++, &len);
		if (walk->depth == 1 && place_beside(walk, name, len, err) != 0)
			return -1;
		set_path(walk, name, len);
		if ((frame->next & 63) == 1)
			progress_path(walk->backup->progress, walk->path.data, walk->path.len);
		visit(walk, name, len);
	}
	return 0;
}

int
walk_sources(struct backup *backup, char *const *sources, size_t source_count,
    const struct blob_id *previous, size_t previous_count, struct tree_roots *roots,
    struct error *err)
{
	struct walk walk = { .backup = backup, .sources = sources, .source_count = source_count };
	bool above = strcmp(sources[0], "/") != 0;
	struct stat st;
	int fd, rc = -1;

	buffer_text(&walk.path);
	fd = open("/", (above ? O_PATH : O_RDONLY) | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		error_sys(err, ERROR_IO, errno, "could not open '/'");
		if (fd >= 0)
			close(fd);
		goto out;
	}
	push_frame(&walk, fd, &st, tree_dir_begin_root(backup->writer, roots), above, st.st_dev,
	    previous, previous_count);
	rc = walk_all(&walk, err);
	while (walk.depth > 0) /* after an error */
		pop_frame(&walk);
out:
	file_batch_submit(walk.batch);
	free(walk.frames);
	buffer_done(&walk.path);
	return rc;
}
