#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/archive.h"
#include "agent/files/archive_in.h"
#include "agent/files/archive_in_internal.h"
#include "agent/repository/content.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_repository.h"

struct fixture {
	char *folder, *source;
	struct repository *repo;
	struct snapshot *snapshot; /* of the last import */
	struct progress progress;
	struct error err;
	struct buffer tar;
	/* the input */
	size_t at, piece; /* piece 0: as much as is asked for */
	size_t fail_at;   /* 0: never */
	struct archive *writer;
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	char *path;

	f->folder = test_folder_new_in_memory();
	f->source = test_path(f->folder, "source");
	path = test_path(f->folder, "repository");
	assert_int_equal(mkdir(f->source, 0755), 0);
	test_repository_make(path);
	f->repo = test_repository_open(path, NULL, &f->err);
	assert_non_null(f->repo);
	progress_init(&f->progress);
	free(path);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	progress_done(&f->progress);
	buffer_done(&f->tar);
	snapshot_free(f->snapshot);
	repository_close(f->repo);
	free(f->source);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

/* --- making a tar ------------------------------------------------------------------- */

static la_ssize_t
append(struct archive *archive, void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	(void)archive;
	buffer_put(&f->tar, data, len);
	return (la_ssize_t)len;
}

static void
tar_begin(struct fixture *f)
{
	buffer_clear(&f->tar);
	f->writer = archive_write_new();
	assert_int_equal(archive_write_set_format_pax(f->writer), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_per_block(f->writer, 512), ARCHIVE_OK);
	assert_int_equal(archive_write_open2(f->writer, f, NULL, append, NULL, NULL), ARCHIVE_OK);
}

static void
tar_end(struct fixture *f)
{
	assert_int_equal(archive_write_close(f->writer), ARCHIVE_OK);
	archive_write_free(f->writer);
	f->writer = NULL;
}

static struct archive_entry *
member_new(const char *name, unsigned type)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_copy_pathname(entry, name);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, type == AE_IFDIR ? 0750 : 0640);
	archive_entry_set_uid(entry, 1000);
	archive_entry_set_gid(entry, 1001);
	archive_entry_set_mtime(entry, 1600000000, 5);
	archive_entry_set_size(entry, 0);
	return entry;
}

static void
member_put(struct fixture *f, struct archive_entry *entry, const char *data)
{
	if (data != NULL)
		archive_entry_set_size(entry, (la_int64_t)strlen(data));
	assert_true(archive_write_header(f->writer, entry) >= ARCHIVE_WARN);
	if (data != NULL && data[0] != '\0')
		assert_true(archive_write_data(f->writer, data, strlen(data)) > 0);
	assert_int_equal(archive_write_finish_entry(f->writer), ARCHIVE_OK);
	archive_entry_free(entry);
}

static void
put_file(struct fixture *f, const char *name, const char *data)
{
	member_put(f, member_new(name, AE_IFREG), data);
}

static void
put_folder(struct fixture *f, const char *name)
{
	member_put(f, member_new(name, AE_IFDIR), NULL);
}

static void
put_link(struct fixture *f, const char *name, const char *target)
{
	struct archive_entry *entry = member_new(name, AE_IFREG);

	archive_entry_copy_hardlink(entry, target);
	member_put(f, entry, NULL);
}

static void
put_symlink(struct fixture *f, const char *name, const char *target)
{
	struct archive_entry *entry = member_new(name, AE_IFLNK);

	archive_entry_copy_symlink(entry, target);
	member_put(f, entry, NULL);
}

/* --- importing ---------------------------------------------------------------------- */

static ssize_t
feed(void *arg, void *buf, size_t size, struct error *err)
{
	struct fixture *f = arg;
	size_t n = f->tar.len - f->at;

	if (f->fail_at > 0 && f->at >= f->fail_at)
		return error_set(err, ERROR_REQUEST_TIMEOUT, "the sender paused");
	if (f->piece > 0 && n > f->piece)
		n = f->piece;
	if (n > size)
		n = size;
	if (n > 0)
		memcpy(buf, f->tar.data + f->at, n);
	f->at += n;
	return (ssize_t)n;
}

static int
import_as(struct fixture *f, const char *name, enum import_format format)
{
	const struct import_input input = { feed, f };
	struct import_options options = { .format = format, .spool = f->folder, .threads = 2,
		.host = "test" };
	char *path = NULL;
	int rc;

	assert_int_equal(import_name(name, format, &path, &f->err), 0);
	snapshot_free(f->snapshot);
	f->snapshot = NULL;
	f->at = 0;
	error_clear(&f->err);
	progress_done(&f->progress);
	progress_init(&f->progress);
	options.name = path;
	rc = files_import(f->repo, &options, &input, &f->progress, &f->snapshot, &f->err);
	assert_true((rc == 0) == (f->snapshot != NULL));
	free(path);
	return rc;
}

static void
import_well(struct fixture *f, const char *name)
{
	int rc = import_as(f, name, IMPORT_TAR);

	if (rc != 0)
		print_message("%s\n", f->err.message);
	assert_int_equal(rc, 0);
	assert_int_equal(f->progress.losses.total, 0);
	assert_int_equal(f->snapshot->loss_total, 0);
}

static unsigned
count_snapshots(struct fixture *f)
{
	struct snapshot **list;
	size_t count;

	assert_int_equal(snapshot_list(f->repo, &list, &count, NULL, NULL, &f->err), 0);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return (unsigned)count;
}

static void
import_refused(struct fixture *f, enum error_code code, const char *text)
{
	unsigned before = count_snapshots(f);

	assert_int_equal(import_as(f, "/", IMPORT_TAR), -1);
	if (f->err.code != code || strstr(f->err.message, text) == NULL)
		print_message("error %d: %s\n", f->err.code, f->err.message);
	assert_int_equal(f->err.code, code);
	assert_non_null(strstr(f->err.message, text));
	assert_int_equal(count_snapshots(f), before);
}

/* 1 and the entry (caller: entry_done), or 0. */
static int
look(struct fixture *f, const char *path, struct entry *ret)
{
	return tree_lookup(f->repo, f->snapshot->roots, f->snapshot->root_count, path, ret,
	    &f->err);
}

static bool
holds(struct fixture *f, const char *path)
{
	struct entry entry;
	bool there = look(f, path, &entry) == 1;

	if (there)
		entry_done(&entry);
	return there;
}

static void
assert_text(struct fixture *f, const char *path, const char *expected)
{
	struct content *content;
	struct entry entry;
	char *text;

	assert_int_equal(look(f, path, &entry), 1);
	assert_int_equal(entry.kind, ENTRY_FILE);
	assert_int_equal(entry.size, strlen(expected));
	text = mem_calloc(entry.size + 1, 1);
	assert_int_equal(content_open(f->repo, &entry, &content, &f->err), 0);
	assert_int_equal(content_read(content, 0, text, entry.size, &f->err), 0);
	assert_string_equal(text, expected);
	content_close(content);
	entry_done(&entry);
	free(text);
}

static bool
lost(struct fixture *f, const char *path, const char *reason)
{
	for (size_t i = 0; i < f->progress.losses.count; i++)
		if (strcmp(f->progress.losses.list[i].path, path) == 0 &&
		    strstr(f->progress.losses.list[i].reason, reason) != NULL)
			return true;
	return false;
}

static bool
same_root(const struct snapshot *a, const struct snapshot *b)
{
	return a->root_count == b->root_count && memcmp(a->roots, b->roots,
	    a->root_count * sizeof(*a->roots)) == 0;
}

/* --- round trips -------------------------------------------------------------------- */

static int
to_tar(void *arg, const void *data, size_t len, struct error *err)
{
	struct fixture *f = arg;

	(void)err;
	buffer_put(&f->tar, data, len);
	return 0;
}

static void
export(struct fixture *f, const struct snapshot *snapshot, enum archive_format_kind kind)
{
	buffer_clear(&f->tar);
	assert_int_equal(files_archive(f->repo, snapshot, "/", kind, 0, to_tar, f, &f->progress,
	    &f->err), 0);
}

static void
assert_same_entry(const struct entry *a, const struct entry *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	if (a->user != NULL)
		assert_string_equal(a->user, b->user);
	assert_int_equal(a->mtime.tv_sec, b->mtime.tv_sec);
	assert_int_equal(a->mtime.tv_nsec, b->mtime.tv_nsec);
	assert_int_equal(a->kind == ENTRY_FILE ? a->size : 0, b->kind == ENTRY_FILE ? b->size : 0);
	assert_int_equal(a->kind == ENTRY_DIRECTORY ? 0 : a->nlink, b->kind == ENTRY_DIRECTORY ? 0
	    : b->nlink);
	assert_int_equal(a->device_major, b->device_major);
	assert_int_equal(a->device_minor, b->device_minor);
	assert_int_equal(a->target_len, b->target_len);
	if (a->target_len > 0)
		assert_memory_equal(a->target, b->target, a->target_len);
	assert_int_equal(a->xattr_count, b->xattr_count);
	for (size_t i = 0; i < a->xattr_count; i++) {
		assert_string_equal(a->xattrs[i].name, b->xattrs[i].name);
		assert_int_equal(a->xattrs[i].len, b->xattrs[i].len);
		if (a->xattrs[i].len > 0)
			assert_memory_equal(a->xattrs[i].value, b->xattrs[i].value,
			    a->xattrs[i].len);
	}
	assert_int_equal(a->sparse, b->sparse);
	assert_int_equal(a->extent_count, b->extent_count);
	if (a->extent_count > 0)
		assert_memory_equal(a->extents, b->extents, a->extent_count * sizeof(*a->extents));
	if (a->kind != ENTRY_FILE)
		return;
	assert_int_equal(a->depth, b->depth);
	assert_int_equal(a->content_count, b->content_count);
	if (a->content_count > 0)
		assert_memory_equal(a->content, b->content, a->content_count * sizeof(*a->content));
}

/* Returns how many entries there are. */
static unsigned
assert_same_trees(struct fixture *f, const struct blob_id *a, size_t a_count,
    const struct blob_id *b, size_t b_count)
{
	const struct entry *x, *y;
	struct tree_cursor *p, *q;
	unsigned count = 0;
	int more;

	assert_int_equal(tree_open(f->repo, a, a_count, &p, &f->err), 0);
	assert_int_equal(tree_open(f->repo, b, b_count, &q, &f->err), 0);
	while ((more = tree_next(p, &x, &f->err)) == 1) {
		assert_int_equal(tree_next(q, &y, &f->err), 1);
		assert_string_equal(x->name, y->name);
		assert_same_entry(x, y);
		count += 1 + (x->kind == ENTRY_DIRECTORY ? assert_same_trees(f, x->content,
		    x->content_count, y->content, y->content_count) : 0);
	}
	assert_int_equal(more, 0);
	assert_int_equal(tree_next(q, &y, &f->err), 0);
	tree_close(p);
	tree_close(q);
	return count;
}

/* What a tar holds beyond that of test_source_make(). */
static void
make_special(struct fixture *f)
{
	/* user::rw-, user:4242:r-x, group::r--, mask::rwx, other::--- */
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 5, 0, 0x92,
		0x10, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 0x10, 0, 7, 0, 255, 255, 255, 255, 0x20,
		0, 0, 0, 255, 255, 255, 255 };
	const struct timespec old[2] = { { 0, UTIME_OMIT }, { -77, 250000000 } };
	char *path = test_path(f->source, "with attributes");

	test_file_write(path, "x", 1);
	assert_int_equal(setxattr(path, "user.colour", "blue\0green", 10, 0), 0);
	assert_int_equal(setxattr(path, "user.empty", "", 0, 0), 0);
	assert_int_equal(setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	free(path);
	path = test_path(f->source, "with a default ACL");
	assert_int_equal(mkdir(path, 0750), 0);
	assert_int_equal(setxattr(path, "system.posix_acl_default", acl, sizeof(acl), 0), 0);
	free(path);
	path = test_path(f->source, "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);
	path = test_path(f->source, "no UTF-8: \xff\xfe");
	test_file_write(path, "y", 1);
	assert_int_equal(chmod(path, 06751), 0);
	free(path);
	path = test_path(f->source, "null");
	if (geteuid() == 0)
		assert_int_equal(mknod(path, S_IFCHR | 0600, makedev(1, 3)), 0);
	free(path);
	path = test_path(f->source, "hole");
	test_file_write(path, "", 0);
	assert_int_equal(truncate(path, 1000000), 0);
	free(path);
}

static void
tar_of_a_backup_becomes_what_was_backed_up(void **state)
{
	static const size_t pieces[] = { 0, 777, 1 };
	static const enum archive_format_kind kinds[] = { ARCHIVE_TAR, ARCHIVE_TAR_ZST,
		ARCHIVE_TAR };
	struct snapshot *backup, *first = NULL;
	struct fixture *f = *state;

	test_source_make(f->source);
	make_special(f);
	assert_int_equal(test_backup(f->repo, f->source, &backup, &f->err), 0);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		export(f, backup, kinds[i]);
		f->piece = pieces[i];
		import_well(f, "/");
		assert_int_equal(f->progress.notes.total, 0);
		assert_true(assert_same_trees(f, backup->roots, backup->root_count,
		    f->snapshot->roots, f->snapshot->root_count) > 25);
		assert_int_equal(f->snapshot->files, backup->files);
		assert_int_equal(f->snapshot->directories, backup->directories);
		assert_int_equal(f->snapshot->others, backup->others);
		assert_int_equal(f->snapshot->bytes, backup->bytes);
		/* The contents were all there. */
		assert_true(f->snapshot->added_bytes < 100000);
		assert_string_equal(f->snapshot->kind, "stream");
		assert_string_equal(f->snapshot->sources[0], "/");
		if (first == NULL) {
			first = f->snapshot;
			f->snapshot = NULL;
		} else {
			assert_true(same_root(first, f->snapshot));
			assert_int_equal(f->snapshot->unmodified_files, f->snapshot->files);
			assert_string_equal(f->snapshot->parent, first->id);
			snapshot_free(first);
			first = f->snapshot;
			f->snapshot = NULL;
		}
	}
	/* And what came in goes out, and in again, as the very same tree. */
	export(f, first, ARCHIVE_TAR);
	import_well(f, "/");
	assert_true(same_root(first, f->snapshot));
	snapshot_free(first);
	snapshot_free(backup);
}

/* --- names and order ---------------------------------------------------------------- */

static void
order_of_members_does_not_matter(void **state)
{
	static const char *const orders[] = { "fdhlz", "zlhdf", "hzfld", "lfzdh" };
	struct snapshot *first = NULL;
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		tar_begin(f);
		for (const char *p = orders[i]; *p != '\0'; p++) {
			if (*p == 'f')
				put_file(f, "a/b/file", "content");
			if (*p == 'd')
				put_folder(f, "a");
			if (*p == 'h')
				put_link(f, "a/a-link", "a/b/file");
			if (*p == 'l')
				put_symlink(f, "a/symlink", "b/file");
			if (*p == 'z')
				put_file(f, "a/zero", "");
		}
		tar_end(f);
		import_well(f, "/");
		assert_text(f, "/a/a-link", "content");
		if (first == NULL) {
			first = f->snapshot;
			f->snapshot = NULL;
			continue;
		}
		assert_true(same_root(first, f->snapshot));
	}
	snapshot_free(first);
}

static void
missing_folders_are_made_with_the_newest_time_in_them(void **state)
{
	struct fixture *f = *state;
	struct archive_entry *member = member_new("deep/er/new", AE_IFREG);
	struct entry entry;

	tar_begin(f);
	put_file(f, "deep/old", "1");
	archive_entry_set_mtime(member, 1700000000, 9);
	member_put(f, member, "2");
	tar_end(f);
	import_well(f, "/");
	assert_int_equal(look(f, "/deep", &entry), 1);
	assert_int_equal(entry.kind, ENTRY_DIRECTORY);
	assert_int_equal(entry.mode, 0755);
	assert_int_equal(entry.uid, 0);
	assert_int_equal(entry.mtime.tv_sec, 1700000000);
	assert_int_equal(entry.mtime.tv_nsec, 9);
	entry_done(&entry);
	assert_int_equal(f->snapshot->directories, 2);
	assert_int_equal(f->snapshot->files, 2);
}

static void
name_decides_where_members_lie(void **state)
{
	struct fixture *f = *state;
	struct entry entry;

	tar_begin(f);
	put_folder(f, "./");
	put_file(f, "./a//b", "1");
	tar_end(f);
	import_well(f, "srv/www/");
	assert_string_equal(f->snapshot->sources[0], "/srv/www");
	assert_text(f, "/srv/www/a/b", "1");
	/* "./" is the folder itself; the one above was not in the archive. */
	assert_int_equal(look(f, "/srv/www", &entry), 1);
	assert_int_equal(entry.mode, 0750);
	assert_int_equal(entry.gid, 1001);
	entry_done(&entry);
	assert_int_equal(look(f, "/srv", &entry), 1);
	assert_int_equal(entry.mode, 0755);
	entry_done(&entry);
	/* Below the root it would be the root, which has no attributes. */
	import_well(f, "/");
	assert_text(f, "/a/b", "1");
}

static void
absolute_names_lose_their_slash_with_one_note(void **state)
{
	struct fixture *f = *state;

	tar_begin(f);
	put_file(f, "/etc/one", "1");
	put_file(f, "//etc/two", "2");
	put_link(f, "etc/three", "/etc/one");
	tar_end(f);
	import_well(f, "x");
	assert_text(f, "/x/etc/two", "2");
	assert_text(f, "/x/etc/three", "1");
	assert_int_equal(f->progress.notes.total, 1);
	assert_string_equal(f->progress.notes.list[0].path, "/etc/one");
}

static void
name_that_leads_out_refuses_the_archive(void **state)
{
	static const char *const names[] = { "../x", "a/../../x", "a/..", "/..", "a/../b" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *text = mem_printf("the member '%s' leads out of the archive by '..'",
		    names[i]);

		tar_begin(f);
		put_file(f, "before", "1");
		put_file(f, names[i], "2");
		tar_end(f);
		import_refused(f, ERROR_BAD_REQUEST, text);
		free(text);
	}
	tar_begin(f);
	put_link(f, "link", "../../etc/shadow");
	tar_end(f);
	import_refused(f, ERROR_BAD_REQUEST, "'../../etc/shadow' leads out");
	/* But not what only looks like it. */
	tar_begin(f);
	put_file(f, "..a/...", "1");
	put_symlink(f, "symlink", "../../etc/shadow");
	tar_end(f);
	import_well(f, "/");
	assert_true(holds(f, "/..a/..."));
}

static void
names_beyond_the_limits_refuse_the_archive(void **state)
{
	struct fixture *f = *state;
	char *name = mem_calloc(2 * (IMPORT_DEPTH_MAX + 1) + 1, 1);

	memset(name, 'n', TREE_NAME_MAX);
	tar_begin(f);
	put_file(f, name, "1");
	tar_end(f);
	import_well(f, "/");
	memset(name, 'n', TREE_NAME_MAX + 1);
	tar_begin(f);
	put_file(f, name, "1");
	tar_end(f);
	import_refused(f, ERROR_TOO_LARGE, "has a part that is too long");
	for (size_t i = 0; i <= IMPORT_DEPTH_MAX; i++)
		memcpy(name + 2 * i, "d/", 2);
	tar_begin(f);
	put_folder(f, name + 2);
	tar_end(f);
	import_well(f, "/");
	assert_int_equal(f->snapshot->directories, IMPORT_DEPTH_MAX);
	tar_begin(f);
	put_folder(f, name);
	tar_end(f);
	import_refused(f, ERROR_TOO_LARGE, "lies too deep");
	free(name);
}

static void
too_many_names_refuse_the_archive(void **state)
{
	struct import_tree *tree = NULL;
	struct import_file *file;
	struct fixture *f = *state;
	char name[TREE_NAME_MAX + 1];
	int placed = PLACED;
	size_t count = 0;

	/* As long as they may be, so that it takes fewer of them. */
	memset(name, 'n', TREE_NAME_MAX);
	name[TREE_NAME_MAX] = '\0';
	assert_int_equal(import_tree_new(f->folder, &tree, &f->err), 0);
	while (placed == PLACED && count < 1000000) {
		snprintf(name, 12, "%011zu", count++);
		name[11] = 'n';
		placed = import_tree_add(tree, name, ENTRY_FIFO, &file, &f->err);
	}
	assert_int_equal(placed, -1);
	assert_int_equal(f->err.code, ERROR_TOO_LARGE);
	assert_non_null(strstr(f->err.message, "the archive holds too many names"));
	assert_true(count > IMPORT_MEMORY_MAX / 1300 && count < IMPORT_MEMORY_MAX / 1024);
	import_tree_free(tree);
}

static void
last_member_of_a_name_counts(void **state)
{
	struct fixture *f = *state;
	struct entry entry;

	tar_begin(f);
	put_file(f, "a", "first");
	put_file(f, "b", "file");
	put_folder(f, "c");
	put_folder(f, "d");
	put_file(f, "d/kept", "kept");
	put_symlink(f, "a", "x");
	put_file(f, "a", "second, and longer");
	put_folder(f, "b");
	put_file(f, "b/below", "below");
	put_file(f, "c", "no folder any more");
	put_folder(f, "d");
	tar_end(f);
	import_well(f, "/");
	assert_text(f, "/a", "second, and longer");
	assert_text(f, "/b/below", "below");
	assert_text(f, "/c", "no folder any more");
	assert_text(f, "/d/kept", "kept");
	assert_int_equal(look(f, "/a", &entry), 1);
	assert_int_equal(entry.nlink, 1);
	entry_done(&entry);
	assert_int_equal(f->snapshot->files, 4);
}

static void
what_has_no_place_is_a_loss(void **state)
{
	struct fixture *f = *state;

	tar_begin(f);
	put_file(f, "d/kept", "kept");
	put_file(f, "d", "in the place of a folder");
	put_symlink(f, "l", "d");
	put_file(f, "l/below", "through a symlink");
	put_link(f, "d", "d/kept");
	put_folder(f, "l/folder");
	tar_end(f);
	assert_int_equal(import_as(f, "/", IMPORT_TAR), 0);
	assert_int_equal(f->progress.losses.total, 4);
	assert_true(lost(f, "/d", "a folder that holds something is in its place"));
	assert_true(lost(f, "/l/below", "below something that is no folder"));
	assert_true(lost(f, "/l/folder", "below something that is no folder"));
	assert_true(f->snapshot->warn);
	assert_text(f, "/d/kept", "kept");
	assert_int_equal(f->snapshot->files, 1);
}

/* --- hard links --------------------------------------------------------------------- */

static void
links_are_names_of_one_file(void **state)
{
	struct entry a, b, c;
	struct fixture *f = *state;

	tar_begin(f);
	put_link(f, "z", "y"); /* over a link that is not there yet, either */
	put_link(f, "y", "m");
	put_file(f, "m", "one file");
	put_link(f, "a", "m");
	put_link(f, "m", "m");
	put_symlink(f, "s", "anywhere");
	put_link(f, "s2", "s");
	tar_end(f);
	import_well(f, "/");
	assert_int_equal(look(f, "/a", &a), 1);
	assert_int_equal(look(f, "/z", &b), 1);
	assert_int_equal(look(f, "/s2", &c), 1);
	assert_int_equal(a.nlink, 4);
	assert_int_equal(b.nlink, 4);
	assert_int_equal(c.nlink, 2);
	assert_int_equal(c.kind, ENTRY_SYMLINK);
	assert_true(a.inode == b.inode && a.link_device == b.link_device && a.link_device != 0);
	assert_true(a.inode != c.inode);
	assert_text(f, "/y", "one file");
	entry_done(&a);
	entry_done(&b);
	entry_done(&c);
}

static void
link_keeps_its_file_when_the_name_is_taken_by_another(void **state)
{
	struct fixture *f = *state;
	struct entry entry;

	tar_begin(f);
	put_file(f, "a", "first");
	put_link(f, "b", "a");
	put_file(f, "a", "second");
	tar_end(f);
	import_well(f, "/");
	assert_text(f, "/a", "second");
	assert_text(f, "/b", "first");
	assert_int_equal(look(f, "/b", &entry), 1);
	assert_int_equal(entry.nlink, 1);
	entry_done(&entry);
}

static void
link_to_nothing_is_a_loss(void **state)
{
	struct fixture *f = *state;

	tar_begin(f);
	put_file(f, "file", "1");
	put_folder(f, "folder");
	put_link(f, "x/missing", "not/there");
	put_link(f, "x/folder", "folder");
	put_link(f, "x/loop-a", "x/loop-b");
	put_link(f, "x/loop-b", "x/loop-c");
	put_link(f, "x/loop-c", "x/loop-a");
	put_link(f, "x/into", "x/loop-a");
	put_link(f, "x/self", "x/self");
	put_link(f, "x/good", "file");
	put_link(f, "x/replaced", "not/there");
	put_file(f, "x/replaced", "2");
	tar_end(f);
	assert_int_equal(import_as(f, "/", IMPORT_TAR), 0);
	assert_int_equal(f->progress.losses.total, 7);
	assert_true(lost(f, "/x/missing", "a hard link to what is no file of the archive"));
	assert_true(lost(f, "/x/self", "a hard link"));
	assert_true(lost(f, "/x/loop-c", "a hard link"));
	assert_true(lost(f, "/x/into", "a hard link"));
	assert_true(holds(f, "/x/good") && !holds(f, "/x/folder"));
	assert_text(f, "/x/replaced", "2");
	assert_int_equal(f->snapshot->loss_total, 7);
}

/* --- what is no good archive -------------------------------------------------------- */

static void
empty_archive_becomes_an_empty_snapshot(void **state)
{
	struct fixture *f = *state;

	tar_begin(f);
	tar_end(f);
	assert_true(f->tar.len >= 1024);
	import_well(f, "/");
	assert_int_equal(f->snapshot->files + f->snapshot->directories, 0);
	import_well(f, "below");
	assert_int_equal(f->snapshot->files + f->snapshot->directories, 0);
}

static void
archive_cut_off_anywhere_is_refused(void **state)
{
	static char large[300000]; /* larger than what waits for others */
	struct fixture *f = *state;
	struct buffer whole;
	unsigned cases = 0;
	size_t last;

	for (size_t i = 0; i + 1 < sizeof(large); i++)
		large[i] = (char)('a' + i * i % 26);
	tar_begin(f);
	put_folder(f, "folder");
	put_file(f, "folder/one", "content");
	/* A name that needs a header of its own; a file that ends with a block of zeros. */
	put_file(f, "folder/\xc3\xa4\xc3\xb6", "");
	put_file(f, "folder/large", large);
	put_link(f, "folder/two", "folder/one");
	last = f->tar.len;
	tar_end(f);
	whole = f->tar;
	memset(&f->tar, 0, sizeof(f->tar));
	/* The last two blocks are the end mark; one of them is enough. */
	for (size_t len = 0; len < last + 512;
	    len += len < 6000 || len + 54200 > last ? 256 : 51200) {
		buffer_clear(&f->tar);
		buffer_put(&f->tar, whole.data, len);
		assert_int_equal(import_as(f, "/", IMPORT_TAR), -1);
		assert_int_equal(f->err.code, ERROR_BAD_REQUEST);
		assert_true(strstr(f->err.message, "cut off") != NULL ||
		    strstr(f->err.message, "no tar archive") != NULL ||
		    (len == 0 && strstr(f->err.message, "nothing came") != NULL));
		cases++;
	}
	assert_int_equal(count_snapshots(f), 0);
	assert_non_null(strstr(f->err.message, "folder/two"));
	print_message("%u cuts\n", cases);
	buffer_clear(&f->tar);
	buffer_put(&f->tar, whole.data, last + 512);
	import_well(f, "/");
	assert_text(f, "/folder/large", large);
	buffer_done(&whole);
}

static void
compressed_archive_that_is_cut_off_is_refused(void **state)
{
	struct fixture *f = *state;
	struct snapshot *backup;

	test_source_make(f->source);
	assert_int_equal(test_backup(f->repo, f->source, &backup, &f->err), 0);
	export(f, backup, ARCHIVE_TAR_ZST);
	f->tar.len -= f->tar.len / 3;
	import_refused(f, ERROR_BAD_REQUEST, "damaged or cut off");
	export(f, backup, ARCHIVE_TAR_ZST);
	f->tar.len = 20;
	import_refused(f, ERROR_BAD_REQUEST, "");
	snapshot_free(backup);
}

static void
what_is_no_tar_is_refused(void **state)
{
	struct fixture *f = *state;

	buffer_put_text(&f->tar, "-- MariaDB dump 10.19\n");
	import_refused(f, ERROR_BAD_REQUEST, "this is no tar archive");
	assert_non_null(strstr(f->err.hint, "format=file"));
	for (size_t i = 0; i < 20000; i++)
		buffer_put_u8(&f->tar, (uint8_t)(i * i >> 3));
	import_refused(f, ERROR_BAD_REQUEST, "this is no tar archive");
	buffer_clear(&f->tar);
	import_refused(f, ERROR_BAD_REQUEST, "nothing came");
}

static void
damage_within_an_archive_refuses_it(void **state)
{
	struct fixture *f = *state;
	size_t at;

	tar_begin(f);
	put_file(f, "one", "1");
	at = f->tar.len;
	put_file(f, "two", "2");
	tar_end(f);
	f->tar.data[at + 20] ^= 0x20;
	import_refused(f, ERROR_BAD_REQUEST,
	    "the archive is damaged or cut off at or behind 'one'");
	/* Rubbish behind the end mark is something that was to be kept, too. */
	f->tar.data[at + 20] ^= 0x20;
	import_well(f, "/");
	for (size_t i = 0; i < 512; i++)
		buffer_put_u8(&f->tar, (uint8_t)(i | 1));
	import_refused(f, ERROR_BAD_REQUEST, "damaged or cut off at or behind 'two'");
}

static void
archives_one_behind_the_other_are_read_to_the_last(void **state)
{
	struct fixture *f = *state;
	struct buffer first;

	tar_begin(f);
	put_file(f, "one", "1");
	tar_end(f);
	first = f->tar;
	memset(&f->tar, 0, sizeof(f->tar));
	tar_begin(f);
	put_file(f, "two", "2");
	tar_end(f);
	buffer_put(&first, f->tar.data, f->tar.len);
	buffer_done(&f->tar);
	f->tar = first;
	import_well(f, "/");
	assert_text(f, "/one", "1");
	assert_text(f, "/two", "2");
}

static void
failing_input_gives_its_own_error_and_no_snapshot(void **state)
{
	struct fixture *f = *state;

	tar_begin(f);
	put_file(f, "one", "1");
	put_file(f, "two", "2");
	tar_end(f);
	f->piece = 100;
	f->fail_at = 700;
	import_refused(f, ERROR_REQUEST_TIMEOUT, "the sender paused");
	f->fail_at = 1; /* while libarchive finds out what it is */
	import_refused(f, ERROR_REQUEST_TIMEOUT, "the sender paused");
	assert_int_equal(import_as(f, "x", IMPORT_FILE), -1);
	assert_int_equal(f->err.code, ERROR_REQUEST_TIMEOUT);
	assert_int_equal(count_snapshots(f), 0);
}

static ssize_t
cancel_and_wait(void *arg, void *buf, size_t size, struct error *err)
{
	struct fixture *f = arg;

	(void)buf;
	(void)size;
	(void)err;
	progress_cancel(&f->progress);
	return IMPORT_READ_WAIT;
}

static void
import_that_waits_for_bytes_can_be_cancelled(void **state)
{
	struct import_options options = { .name = "/x", .host = "test" };
	struct fixture *f = *state;
	const struct import_input input = { cancel_and_wait, f };

	for (int format = IMPORT_FILE; format <= IMPORT_TAR; format++) {
		progress_done(&f->progress);
		progress_init(&f->progress);
		options.format = (enum import_format)format;
		assert_int_equal(files_import(f->repo, &options, &input, &f->progress, &f->snapshot,
		    &f->err), -1);
		assert_int_equal(f->err.code, ERROR_CANCELLED);
	}
	assert_int_equal(count_snapshots(f), 0);
}

/* --- attributes that not every tar can hold ----------------------------------------- */

static void
acl_is_found_by_names_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct archive_entry *member = member_new("known", AE_IFREG);
	struct entry entry;

	tar_begin(f);
	/* As GNU tar has it: no number. */
	archive_entry_acl_add_entry(member, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 6,
	    ARCHIVE_ENTRY_ACL_USER, -1, "root");
	archive_entry_acl_add_entry(member, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 7,
	    ARCHIVE_ENTRY_ACL_MASK, -1, NULL);
	member_put(f, member, "1");
	member = member_new("unknown", AE_IFREG);
	archive_entry_acl_add_entry(member, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 6,
	    ARCHIVE_ENTRY_ACL_USER, -1, "nobody-of-this-name");
	member_put(f, member, "1");
	tar_end(f);
	assert_int_equal(import_as(f, "/", IMPORT_TAR), 0);
	assert_int_equal(f->progress.losses.total, 1);
	assert_true(lost(f, "/unknown", "'nobody-of-this-name'"));
	assert_int_equal(look(f, "/known", &entry), 1);
	assert_int_equal(entry.xattr_count, 1);
	assert_string_equal(entry.xattrs[0].name, "system.posix_acl_access");
	assert_int_equal(entry.xattrs[0].len, 4 + 5 * 8);
	assert_int_equal(entry.mode, 0670); /* the mask in the place of the group */
	entry_done(&entry);
	assert_true(holds(f, "/unknown"));
}

static void
attributes_are_kept_once_and_only_those_that_a_backup_keeps(void **state)
{
	struct fixture *f = *state;
	struct archive_entry *member = member_new("file", AE_IFREG);
	struct entry entry;

	tar_begin(f);
	/* The writer stores each in two forms. */
	archive_entry_xattr_add_entry(member, "user.b", "2", 1);
	archive_entry_xattr_add_entry(member, "user.a", "1\0", 2);
	archive_entry_xattr_add_entry(member, "system.strange", "3", 1);
	member_put(f, member, "1");
	tar_end(f);
	import_well(f, "/");
	assert_int_equal(look(f, "/file", &entry), 1);
	assert_int_equal(entry.xattr_count, 2);
	assert_string_equal(entry.xattrs[0].name, "user.a");
	assert_int_equal(entry.xattrs[0].len, 2);
	assert_string_equal(entry.xattrs[1].name, "user.b");
	entry_done(&entry);
	assert_true(f->progress.notes.total >= 1);
	assert_non_null(strstr(f->progress.notes.list[0].reason, "'system.strange'"));
}

static void
file_of_too_many_areas_is_stored_with_zeros(void **state)
{
	struct import import = { .names = NULL };
	struct writer_options options = { .threads = 1 };
	struct entry entry = { .kind = ENTRY_FILE, .nlink = 1,
		.size = (TREE_EXTENTS_MAX + 10) * UINT64_C(1024) };
	struct tree_roots roots = { NULL, 0, false };
	struct import_counts counts = { .files = 0 };
	struct import_content *content;
	struct import_file *file;
	struct fixture *f = *state;
	struct writer_totals totals;
	struct blob_id *parts;
	struct entry found;

	import.repo = f->repo;
	import.progress = &f->progress;
	assert_int_equal(writer_begin(f->repo, &options, &import.writer, &f->err), 0);
	assert_int_equal(import_tree_new(f->folder, &import.tree, &f->err), 0);
	content = import_content_new(&import);
	assert_int_equal(import_tree_add(import.tree, "f", ENTRY_FILE, &file, &f->err), PLACED);
	import_content_begin(content, file, &entry);
	for (uint64_t i = 0; i < TREE_EXTENTS_MAX + 5; i++)
		assert_int_equal(import_content_put(content, i * 1024, "x", 1, &f->err), 0);
	assert_int_equal(import_content_put(content, 0, "x", 1, &f->err), -1);
	assert_int_equal(import_content_put(content, UINT64_MAX, "x", 1, &f->err), -1);
	import_content_end(content);
	import_content_free(content);
	writer_drain(import.writer);
	assert_int_equal(import_tree_build(&import, NULL, false, &roots, &counts, &f->err), 0);
	assert_int_equal(writer_finish(import.writer, &totals, &f->err), 0);
	parts = roots.parts;
	assert_int_equal(tree_lookup(f->repo, parts, roots.count, "/f", &found, &f->err), 1);
	assert_true(found.sparse);
	assert_int_equal(found.extent_count, TREE_EXTENTS_MAX);
	/* The last area holds what came after it, and the zeros between. */
	assert_int_equal(found.extents[TREE_EXTENTS_MAX - 1].len, 5 * 1024 + 1);
	assert_int_equal(found.size, (TREE_EXTENTS_MAX + 10) * UINT64_C(1024));
	entry_done(&found);
	free(parts);
	import_tree_free(import.tree);
}

/* --- files -------------------------------------------------------------------------- */

static void
any_bytes_become_a_file(void **state)
{
	struct fixture *f = *state;
	struct entry entry;

	buffer_put_text(&f->tar, "-- MariaDB dump\n");
	assert_int_equal(import_as(f, "db//dump.sql", IMPORT_FILE), 0);
	assert_text(f, "/db/dump.sql", "-- MariaDB dump\n");
	assert_string_equal(f->snapshot->sources[0], "/db/dump.sql");
	assert_string_equal(f->snapshot->kind, "stream");
	assert_int_equal(f->snapshot->files, 1);
	assert_int_equal(f->snapshot->directories, 1);
	assert_int_equal(f->snapshot->bytes, 16);
	assert_int_equal(look(f, "/db/dump.sql", &entry), 1);
	assert_int_equal(entry.mode, 0600);
	assert_int_equal(entry.uid, geteuid());
	assert_true(entry.mtime.tv_sec > time_now().tv_sec - 600);
	entry_done(&entry);
	/* A tar, too, unless it is said to be one. */
	tar_begin(f);
	put_file(f, "a", "1");
	tar_end(f);
	assert_int_equal(import_as(f, "a.tar", IMPORT_FILE), 0);
	assert_int_equal(f->snapshot->bytes, f->tar.len);
}

static void
large_file_is_stored_as_it_came(void **state)
{
	struct fixture *f = *state;
	struct content *content;
	struct entry entry;
	uint8_t *data;

	for (uint64_t i = 0, x = 1; i < 5000000 / 8; i++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		buffer_put_u64(&f->tar, x ^ x >> 29);
	}
	f->piece = 54321;
	assert_int_equal(import_as(f, "large", IMPORT_FILE), 0);
	assert_int_equal(look(f, "/large", &entry), 1);
	assert_int_equal(entry.size, f->tar.len);
	data = mem_calloc(f->tar.len, 1);
	assert_int_equal(content_open(f->repo, &entry, &content, &f->err), 0);
	assert_int_equal(content_read(content, 0, data, f->tar.len, &f->err), 0);
	assert_memory_equal(data, f->tar.data, f->tar.len);
	content_close(content);
	entry_done(&entry);
	free(data);
	assert_false(entry.sparse);
}

static void
file_that_is_as_before_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct snapshot *first;

	buffer_put_text(&f->tar, "the same");
	assert_int_equal(import_as(f, "dump", IMPORT_FILE), 0);
	assert_int_equal(f->snapshot->new_files, 1);
	assert_null(f->snapshot->parent);
	first = f->snapshot;
	f->snapshot = NULL;
	assert_int_equal(import_as(f, "dump", IMPORT_FILE), 0);
	assert_string_equal(f->snapshot->parent, first->id);
	assert_true(same_root(first, f->snapshot));
	assert_int_equal(f->snapshot->unmodified_files, 1);
	/* Another name is another thing. */
	assert_int_equal(import_as(f, "dump2", IMPORT_FILE), 0);
	assert_null(f->snapshot->parent);
	buffer_put_text(&f->tar, " no more");
	assert_int_equal(import_as(f, "dump", IMPORT_FILE), 0);
	assert_int_equal(f->snapshot->changed_files, 1);
	assert_false(same_root(first, f->snapshot));
	snapshot_free(first);
}

static void
nothing_is_no_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(import_as(f, "dump", IMPORT_FILE), -1);
	assert_int_equal(f->err.code, ERROR_BAD_REQUEST);
	assert_string_equal(f->err.message, "nothing came: there is nothing to keep");
	assert_int_equal(count_snapshots(f), 0);
}

static void
names_are_paths_below_the_root(void **state)
{
	static const struct { const char *name, *tar, *file, *why; } cases[] = {
		{ "dump.sql", "/dump.sql", "/dump.sql", NULL },
		{ "/srv//./www", "/srv/www", "/srv/www", NULL },
		{ "srv/www/", "/srv/www", NULL, "ends with a slash" },
		{ "/", "/", NULL, "names no file" },
		{ ".", "/", NULL, "names no file" },
		{ "", NULL, NULL, "is missing" },
		{ "a/../b", NULL, NULL, "holds '..'" },
		{ "..", NULL, NULL, "holds '..'" },
		{ "a\nb", NULL, NULL, "holds a control character" },
		{ "a/..b", "/a/..b", "/a/..b", NULL },
	};
	struct error err = ERROR_INIT;
	char *path;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int format = IMPORT_FILE; format <= IMPORT_TAR; format++) {
			const char *expected = format == IMPORT_TAR ? cases[i].tar : cases[i].file;

			if (expected != NULL) {
				assert_int_equal(import_name(cases[i].name,
				    (enum import_format)format, &path, &err), 0);
				assert_string_equal(path, expected);
				free(path);
				continue;
			}
			assert_int_equal(import_name(cases[i].name, (enum import_format)format,
			    &path, &err), -1);
			assert_int_equal(err.code, ERROR_BAD_REQUEST);
			assert_non_null(strstr(err.message, cases[i].why));
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tar_of_a_backup_becomes_what_was_backed_up),
		TEST(order_of_members_does_not_matter),
		TEST(missing_folders_are_made_with_the_newest_time_in_them),
		TEST(name_decides_where_members_lie),
		TEST(absolute_names_lose_their_slash_with_one_note),
		TEST(name_that_leads_out_refuses_the_archive),
		TEST(names_beyond_the_limits_refuse_the_archive),
		TEST(too_many_names_refuse_the_archive),
		TEST(last_member_of_a_name_counts),
		TEST(what_has_no_place_is_a_loss),
		TEST(links_are_names_of_one_file),
		TEST(link_keeps_its_file_when_the_name_is_taken_by_another),
		TEST(link_to_nothing_is_a_loss),
		TEST(empty_archive_becomes_an_empty_snapshot),
		TEST(archive_cut_off_anywhere_is_refused),
		TEST(compressed_archive_that_is_cut_off_is_refused),
		TEST(what_is_no_tar_is_refused),
		TEST(damage_within_an_archive_refuses_it),
		TEST(archives_one_behind_the_other_are_read_to_the_last),
		TEST(failing_input_gives_its_own_error_and_no_snapshot),
		TEST(import_that_waits_for_bytes_can_be_cancelled),
		TEST(acl_is_found_by_names_or_not_at_all),
		TEST(attributes_are_kept_once_and_only_those_that_a_backup_keeps),
		TEST(file_of_too_many_areas_is_stored_with_zeros),
		TEST(any_bytes_become_a_file),
		TEST(large_file_is_stored_as_it_came),
		TEST(file_that_is_as_before_changes_nothing),
		TEST(nothing_is_no_file),
		cmocka_unit_test(names_are_paths_below_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
