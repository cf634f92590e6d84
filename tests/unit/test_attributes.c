#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/attributes.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

#define NO_SUCH_ID 3123456789u

struct fixture {
	char *folder;
	char *path; /* of an empty file */
	int fd;
	struct owner_names *names;
	struct entry entry;
	struct error err;
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->folder = test_folder_new();
	f->path = test_path(f->folder, "file");
	test_file_write(f->path, "", 0);
	f->fd = open(f->path, O_RDWR | O_CLOEXEC);
	assert_true(f->fd >= 0);
	f->names = owner_names_new();
	entry_init(&f->entry);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	entry_done(&f->entry);
	owner_names_free(f->names);
	free(f->path);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static void
add_xattr(struct entry *entry, const char *name, const void *value, size_t len)
{
	entry->xattrs = mem_realloc(entry->xattrs, entry->xattr_count + 1, sizeof(struct xattr));
	entry->xattrs[entry->xattr_count].name = mem_strdup(name);
	entry->xattrs[entry->xattr_count].value = len == 0 ? NULL : mem_dup(value, len);
	entry->xattrs[entry->xattr_count++].len = len;
}

static struct stat
look(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static void
needs_root(void)
{
	if (geteuid() != 0) {
		print_message("skipped: only root may give files away\n");
		skip();
	}
}

/* --- owner names -------------------------------------------------------------------- */

static void
owner_names_know_root_both_ways(void **state)
{
	struct fixture *f = *state;
	uint32_t id = 77;

	assert_string_equal(owner_names_user(f->names, 0), "root");
	assert_string_equal(owner_names_group(f->names, 0), "root");
	assert_true(owner_names_uid(f->names, "root", &id));
	assert_int_equal(id, 0);
	id = 77;
	assert_true(owner_names_gid(f->names, "root", &id));
	assert_int_equal(id, 0);
	/* The second answer is the same text, not a copy. */
	assert_ptr_equal(owner_names_user(f->names, 0), owner_names_user(f->names, 0));
}

static void
owner_names_say_so_when_there_is_none(void **state)
{
	struct fixture *f = *state;
	uint32_t id = 77;

	assert_null(owner_names_user(f->names, NO_SUCH_ID));
	assert_null(owner_names_group(f->names, NO_SUCH_ID));
	assert_null(owner_names_user(f->names, NO_SUCH_ID));
	assert_false(owner_names_uid(f->names, "no-such-user-here", &id));
	assert_false(owner_names_gid(f->names, "no-such-group-here", &id));
	assert_int_equal(id, 77);
}

static void *
ask_for_many(void *arg)
{
	struct owner_names *names = arg;

	for (uint32_t id = 0; id < 300; id++) {
		(void)owner_names_user(names, id);
		(void)owner_names_group(names, id);
	}
	return NULL;
}

static void
owner_names_may_be_asked_by_many_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_for_many, f->names), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_string_equal(owner_names_user(f->names, 0), "root");
}

/* --- reading ------------------------------------------------------------------------ */

static void
stat_fills_every_field(void **state)
{
	struct fixture *f = *state;
	struct stat st = look(f->path);

	st.st_mode = S_IFREG | 04751;
	st.st_uid = 0;
	st.st_gid = NO_SUCH_ID;
	st.st_nlink = 3;
	st.st_dev = 99;
	st.st_size = 12345;
	st.st_mtim = (struct timespec){ -5, 123 };
	attributes_from_stat(&f->entry, &st, f->names);
	assert_int_equal(f->entry.kind, ENTRY_FILE);
	assert_int_equal(f->entry.mode, 04751);
	assert_string_equal(f->entry.user, "root");
	assert_null(f->entry.group);
	assert_int_equal(f->entry.gid, NO_SUCH_ID);
	assert_int_equal(f->entry.nlink, 3);
	assert_int_equal(f->entry.link_device, 99);
	assert_int_equal(f->entry.inode, st.st_ino);
	assert_int_equal(f->entry.size, 12345);
	assert_int_equal(f->entry.mtime.tv_sec, -5);
	assert_int_equal(f->entry.mtime.tv_nsec, 123);
	/* Used again, the earlier owner is gone. */
	st.st_uid = NO_SUCH_ID;
	attributes_from_stat(&f->entry, &st, NULL);
	assert_null(f->entry.user);
}

static void
stat_tells_kinds_and_devices(void **state)
{
	struct fixture *f = *state;
	static const struct { mode_t mode; enum entry_kind kind; } kinds[] = {
		{ S_IFREG, ENTRY_FILE }, { S_IFDIR, ENTRY_DIRECTORY }, { S_IFLNK, ENTRY_SYMLINK },
		{ S_IFIFO, ENTRY_FIFO }, { S_IFCHR, ENTRY_CHARACTER }, { S_IFBLK, ENTRY_BLOCK },
		{ S_IFSOCK, ENTRY_SOCKET },
	};
	struct stat st = look(f->path);

	st.st_rdev = makedev(4000, 70000);
	st.st_nlink = 2;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		bool device = kinds[i].kind == ENTRY_CHARACTER || kinds[i].kind == ENTRY_BLOCK;

		st.st_mode = kinds[i].mode | 0644;
		st.st_size = 55;
		attributes_from_stat(&f->entry, &st, NULL);
		assert_int_equal(f->entry.kind, kinds[i].kind);
		assert_int_equal(f->entry.device_major, device ? 4000 : 0);
		assert_int_equal(f->entry.device_minor, device ? 70000 : 0);
		assert_int_equal(f->entry.size, kinds[i].kind == ENTRY_FILE ? 55 : 0);
		/* Folders have many links, but no other names. */
		if (kinds[i].kind == ENTRY_DIRECTORY)
			assert_int_equal(f->entry.link_device, 0);
		else
			assert_int_equal(f->entry.link_device, st.st_dev);
	}
}

static void
xattrs_are_read_in_order_and_whole(void **state)
{
	struct fixture *f = *state;
	uint8_t large[3000];

	memset(large, 0xa5, sizeof(large));
	assert_int_equal(fsetxattr(f->fd, "user.b", "\0x", 2, 0), 0);
	assert_int_equal(fsetxattr(f->fd, "user.large", large, sizeof(large), 0), 0);
	assert_int_equal(fsetxattr(f->fd, "user.a", "", 0, 0), 0);
	assert_int_equal(attributes_read_xattrs(f->fd, &f->entry, &f->err), 0);
	assert_int_equal(f->entry.xattr_count, 3);
	assert_string_equal(f->entry.xattrs[0].name, "user.a");
	assert_int_equal(f->entry.xattrs[0].len, 0);
	assert_string_equal(f->entry.xattrs[1].name, "user.b");
	assert_int_equal(f->entry.xattrs[1].len, 2);
	assert_memory_equal(f->entry.xattrs[1].value, "\0x", 2);
	assert_string_equal(f->entry.xattrs[2].name, "user.large");
	assert_int_equal(f->entry.xattrs[2].len, sizeof(large));
	assert_memory_equal(f->entry.xattrs[2].value, large, sizeof(large));
}

static void
xattrs_of_many_names_are_read(void **state)
{
	struct fixture *f = *state;
	char name[64];

	/* More names than the first try has room for. */
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "user.a-name-that-is-somewhat-long-%02d", i);
		assert_int_equal(fsetxattr(f->fd, name, "v", 1, 0), 0);
	}
	assert_int_equal(attributes_read_xattrs(f->fd, &f->entry, &f->err), 0);
	assert_int_equal(f->entry.xattr_count, 60);
	assert_string_equal(f->entry.xattrs[59].name, name);
}

static void
xattrs_of_a_path_descriptor_are_read(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(fsetxattr(f->fd, "user.a", "1", 1, 0), 0);
	fd = open(f->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_int_equal(attributes_read_xattrs(fd, &f->entry, &f->err), 0);
	close(fd);
	assert_int_equal(f->entry.xattr_count, 1);
	assert_string_equal(f->entry.xattrs[0].name, "user.a");
}

static void
file_without_xattrs_has_none(void **state)
{
	struct fixture *f = *state;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	add_xattr(&f->entry, "user.old", "x", 1);
	assert_int_equal(attributes_read_xattrs(f->fd, &f->entry, &f->err), 0);
	assert_int_equal(f->entry.xattr_count, 0);
	/* A file system that knows none is no error either. */
	assert_int_equal(attributes_read_xattrs(fd, &f->entry, &f->err), 0);
	assert_int_equal(f->entry.xattr_count, 0);
	close(fd);
}

/* --- writing ------------------------------------------------------------------------ */

static void
apply_sets_mode_times_and_xattrs(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = false };
	struct entry there;
	struct stat st;

	f->entry.mode = 0444;
	f->entry.mtime = (struct timespec){ 1234567890, 987654321 };
	add_xattr(&f->entry, "user.empty", "", 0);
	add_xattr(&f->entry, "user.text", "value", 5);
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	st = look(f->path);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 987654321);
	entry_init(&there);
	assert_int_equal(attributes_read_xattrs(f->fd, &there, &f->err), 0);
	assert_int_equal(there.xattr_count, 2);
	assert_memory_equal(there.xattrs[1].value, "value", 5);
	entry_done(&there);
}

static void
apply_keeps_set_id_bits_by_policy_only(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = true, .set_id = true };

	needs_root();
	f->entry.mode = 06755;
	f->entry.uid = 1;
	f->entry.gid = 2;
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	/* A change of owner clears the bits, so this fails if the owner came last. */
	assert_int_equal(look(f->path).st_mode & 07777, 06755);
	assert_int_equal(look(f->path).st_uid, 1);
	assert_int_equal(look(f->path).st_gid, 2);
	policy.set_id = false;
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	assert_int_equal(look(f->path).st_mode & 07777, 0755);
}

static void
apply_keeps_capabilities_by_policy_only(void **state)
{
	const uint8_t capability[20] = { 1, 0, 0, 2, 0, 0x20 };
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = true, .set_id = true };
	uint8_t value[64];

	needs_root();
	f->entry.mode = 0755;
	f->entry.uid = 1;
	add_xattr(&f->entry, "security.capability", capability, sizeof(capability));
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	assert_int_equal(fgetxattr(f->fd, "security.capability", value, sizeof(value)), 20);
	assert_int_equal(fremovexattr(f->fd, "security.capability"), 0);
	policy.set_id = false;
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	assert_int_equal(fgetxattr(f->fd, "security.capability", value, sizeof(value)), -1);
	assert_int_equal(errno, ENODATA);
}

static void
apply_prefers_names_over_numbers(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = true, .names = f->names };

	needs_root();
	f->entry.mode = 0600;
	f->entry.uid = NO_SUCH_ID;
	f->entry.gid = 4321;
	f->entry.user = mem_strdup("daemon");
	f->entry.group = mem_strdup("no-such-group-here");
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	assert_int_equal(look(f->path).st_uid, 1);
	assert_int_equal(look(f->path).st_gid, 4321);
	policy.numeric_owner = true;
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	assert_int_equal(look(f->path).st_uid, NO_SUCH_ID);
}

static void
apply_without_owner_leaves_the_owner(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = false };

	f->entry.mode = 0600;
	f->entry.uid = 1;
	f->entry.gid = 1;
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
	assert_int_equal(look(f->path).st_uid, geteuid());
}

static void
apply_to_a_symlink_leaves_what_it_points_to(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = true };
	char *link = test_path(f->folder, "link");
	struct stat before = look(f->path);
	int fd;

	assert_int_equal(symlink("file", link), 0);
	fd = open(link, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	f->entry.kind = ENTRY_SYMLINK;
	f->entry.mode = 0777;
	f->entry.uid = geteuid() == 0 ? 1 : geteuid();
	f->entry.gid = geteuid() == 0 ? 1 : getegid();
	f->entry.mtime = (struct timespec){ 1000, 5 };
	assert_int_equal(attributes_apply(fd, &f->entry, &policy, NULL, &f->err), 0);
	close(fd);
	assert_int_equal(look(link).st_mtim.tv_sec, 1000);
	assert_int_equal(look(link).st_mtim.tv_nsec, 5);
	assert_int_equal(look(link).st_uid, f->entry.uid);
	assert_int_equal(look(f->path).st_uid, before.st_uid);
	assert_int_equal(look(f->path).st_mode, before.st_mode);
	assert_int_equal(look(f->path).st_mtim.tv_sec, before.st_mtim.tv_sec);
	free(link);
}

static void
apply_to_a_fifo_goes_by_path_descriptor(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = true };
	char *path = test_path(f->folder, "fifo");
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	f->entry.kind = ENTRY_FIFO;
	f->entry.mode = 0620;
	f->entry.uid = geteuid();
	f->entry.gid = getegid();
	f->entry.mtime = (struct timespec){ 2000, 6 };
	assert_int_equal(attributes_apply(fd, &f->entry, &policy, NULL, &f->err), 0);
	close(fd);
	assert_int_equal(look(path).st_mode & 07777, 0620);
	assert_int_equal(look(path).st_mtim.tv_sec, 2000);
	free(path);
}

static void
apply_removes_an_acl_that_the_entry_has_not(void **state)
{
	/* user::rw-, user:4242:rwx, group::r--, mask::rwx, other::r-- */
	const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0x92, 0x10, 0,
		0, 4, 0, 4, 0, 255, 255, 255, 255, 0x10, 0, 7, 0, 255, 255, 255, 255, 0x20, 0, 4, 0, 255,
		255, 255, 255 };
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = false };
	struct attributes_present present = { .uid = geteuid(), .gid = getegid(), .mode = 0600,
		.inherited_acl = true };
	uint8_t value[128];

	assert_int_equal(fsetxattr(f->fd, "system.posix_acl_access", acl, sizeof(acl), 0), 0);
	f->entry.mode = 0640;
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, &present, &f->err), 0);
	assert_true(fgetxattr(f->fd, "system.posix_acl_access", value, sizeof(value)) < 0);
	assert_int_equal(look(f->path).st_mode & 07777, 0640);
	/* And one that it has is set, with the mode that belongs to it. */
	add_xattr(&f->entry, "system.posix_acl_access", acl, sizeof(acl));
	f->entry.mode = 0674;
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, &present, &f->err), 0);
	assert_int_equal(fgetxattr(f->fd, "system.posix_acl_access", value, sizeof(value)),
	    sizeof(acl));
	assert_memory_equal(value, acl, sizeof(acl));
}

static void
apply_tells_what_failed_and_does_the_rest(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = false };
	static const uint8_t too_large[70000];

	f->entry.mode = 0640;
	f->entry.mtime = (struct timespec){ 3000, 7 };
	/* Longer than any value may be. */
	add_xattr(&f->entry, "user.too-large", too_large, sizeof(too_large));
	add_xattr(&f->entry, "user.good", "x", 1);
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), -1);
	assert_non_null(strstr(f->err.message, "could not set attribute 'user.too-large': "));
	assert_int_equal(look(f->path).st_mode & 07777, 0640);
	assert_int_equal(look(f->path).st_mtim.tv_sec, 3000);
	assert_int_equal(fgetxattr(f->fd, "user.good", NULL, 0), 1);
}

static void
apply_ignores_attributes_that_are_not_ours(void **state)
{
	struct fixture *f = *state;
	struct attributes_policy policy = { .owner = false };

	f->entry.mode = 0600;
	add_xattr(&f->entry, "system.nfs4_acl", "x", 1);
	add_xattr(&f->entry, "btrfs.compression", "x", 1);
	assert_int_equal(attributes_apply(f->fd, &f->entry, &policy, NULL, &f->err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(owner_names_know_root_both_ways),
		TEST(owner_names_say_so_when_there_is_none),
		TEST(owner_names_may_be_asked_by_many_threads),
		TEST(stat_fills_every_field),
		TEST(stat_tells_kinds_and_devices),
		TEST(xattrs_are_read_in_order_and_whole),
		TEST(xattrs_of_many_names_are_read),
		TEST(xattrs_of_a_path_descriptor_are_read),
		TEST(file_without_xattrs_has_none),
		TEST(apply_sets_mode_times_and_xattrs),
		TEST(apply_keeps_set_id_bits_by_policy_only),
		TEST(apply_keeps_capabilities_by_policy_only),
		TEST(apply_prefers_names_over_numbers),
		TEST(apply_without_owner_leaves_the_owner),
		TEST(apply_to_a_symlink_leaves_what_it_points_to),
		TEST(apply_to_a_fifo_goes_by_path_descriptor),
		TEST(apply_removes_an_acl_that_the_entry_has_not),
		TEST(apply_tells_what_failed_and_does_the_rest),
		TEST(apply_ignores_attributes_that_are_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
