/*
 * mktree FOLDER: make a tree with every kind of entry in a new folder.
 *
 * What this user or file system cannot make is told on stderr as "skipped: ..." and left out,
 * so that a test run by root can insist on having it all.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "mktree: could not make '%s': %s\n", what, strerror(errno));
	exit(1);
}

static void
skipped(const char *what)
{
	fprintf(stderr, "skipped: %s: %s\n", what, strerror(errno));
}

static void
make_folder(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0)
		fail(name);
}

static int
open_folder(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		fail(name);
	return fd;
}

static int
enter_new(int dir, const char *name)
{
	make_folder(dir, name);
	return open_folder(dir, name);
}

static int
create(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		fail(name);
	return fd;
}

static void
write_at(int fd, const void *data, size_t len, off_t at)
{
	if (pwrite(fd, data, len, at) != (ssize_t)len)
		fail("a content");
}

static void
make_file(int dir, const char *name, const char *text)
{
	int fd = create(dir, name);

	write_at(fd, text, strlen(text), 0);
	close(fd);
}

/* Bytes that do not compress, the same each time. */
static void
fill_random(uint8_t *data, size_t len, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (uint8_t)(x >> 32);
	}
}

static void
make_random_file(int dir, const char *name, size_t len, uint64_t seed)
{
	uint8_t *data = mem_calloc(len + 1, 1);
	int fd = create(dir, name);

	fill_random(data, len, seed);
	write_at(fd, data, len, 0);
	close(fd);
	free(data);
}

/* --- kinds -------------------------------------------------------------------------- */

static void
make_sizes(int top)
{
	static const size_t sizes[] = { 0, 1, 2, 511, 512, 513, 4095, 4096, 4097, 65536,
		(1u << 20) - 1, 1u << 20, (1u << 20) + 1, 5u << 20, 20u << 20 };
	int dir = enter_new(top, "sizes");
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		snprintf(name, sizeof(name), "%zu", sizes[i]);
		make_random_file(dir, name, sizes[i], i);
	}
	make_file(dir, "text", "the quick brown fox\n");
	make_random_file(dir, "same-as-65536", 65536, 9); /* the same content once more */
	close(dir);
}

static void
make_names(int top)
{
	static const char *const names[] = {
		" ", "-", "--help", "new\nline", "back\\slash", "\\x41", "tab\there",
		"\x1b[31mred", "caf\xc3\xa9", "latin\xe9", "\xff\xfe\xfd", "\xc0\x80",
		"\xe2\x80\xaertl", "*", "?", "[a]", "a'b\"c", ".hidden", "..twodots", "...",
		"a:b", "$(touch x)", "%s%n", "~", "CON", "trailing ", "\x7f", "a,b;c", "#c",
		"!n",
	};
	int dir = enter_new(top, "names");
	char name[256];

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		make_file(dir, names[i], names[i]);
	memset(name, 'n', 255);
	name[255] = '\0';
	make_file(dir, name, "255 bytes");
	memset(name, 0xe9, 255);
	make_folder(dir, name);
	for (int c = 1; c < 256; c++) {
		if (c == '/' || c == '.')
			continue;
		snprintf(name, sizeof(name), "byte-%c-%d", c, c);
		make_file(dir, name, "");
	}
	close(dir);
}

static void
make_links(int top)
{
	char target[4096];
	int dir = enter_new(top, "links");
	int other;

	make_file(dir, "first", "one file with three names");
	if (linkat(dir, "first", dir, "second", 0) < 0)
		fail("second");
	other = enter_new(dir, "folder");
	if (linkat(dir, "first", other, "third", 0) < 0)
		fail("third");
	close(other);
	if (symlinkat("nowhere/at all", dir, "dangling") < 0 ||
	    symlinkat("first", dir, "good") < 0 ||
	    symlinkat("/etc/passwd", dir, "absolute") < 0 || symlinkat("..", dir, "up") < 0 ||
	    symlinkat("loop", dir, "loop") < 0 || symlinkat("bad\xff\n\\", dir, "bytes") < 0)
		fail("a symlink");
	memset(target, 'x', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	if (symlinkat(target, dir, "long") < 0)
		fail("long");
	if (linkat(dir, "dangling", dir, "dangling-too", 0) < 0)
		skipped("hard link to a symlink");
	close(dir);
}

static void
make_special(int top)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int dir = enter_new(top, "special");
	int fd;

	if (mkfifoat(dir, "fifo", 0640) < 0)
		fail("fifo");
	if (mknodat(dir, "character", S_IFCHR | 0600, makedev(1, 3)) < 0)
		skipped("character device");
	if (mknodat(dir, "block", S_IFBLK | 0660, makedev(7, 250)) < 0)
		skipped("block device");
	if (mknodat(dir, "large-numbers", S_IFCHR | 0600, makedev(4000, 1000000)) < 0)
		skipped("device of large numbers");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || fchdir(dir) < 0)
		fail("socket");
	strcpy(address.sun_path, "socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("socket");
	close(fd);
	if (linkat(dir, "fifo", dir, "fifo-too", 0) < 0)
		skipped("hard link to a fifo");
	close(dir);
}

static void
make_sparse_file(int dir, const char *name, off_t size, const off_t *data, size_t count)
{
	uint8_t bytes[70000];
	int fd = create(dir, name);

	if (ftruncate(fd, size) < 0)
		fail(name);
	for (size_t i = 0; i < count; i++) {
		fill_random(bytes, sizeof(bytes), (uint64_t)data[i] + 1);
		write_at(fd, bytes, sizeof(bytes), data[i]);
	}
	close(fd);
}

static void
make_sparse(int top)
{
	const off_t middle[] = { 8 << 20 }, end[] = { (32 << 20) - 70000 }, start[] = { 0 };
	const off_t some[] = { 0, 3 << 20, 9 << 20, (16 << 20) - 70000 };
	const off_t large[] = { 0, (off_t)4 << 30, ((off_t)5 << 30) - 70000 };
	off_t many[200];
	int dir = enter_new(top, "sparse");

	make_sparse_file(dir, "all-hole", 10 << 20, NULL, 0);
	make_sparse_file(dir, "hole-at-both-ends", 16 << 20, middle, 1);
	make_sparse_file(dir, "hole-at-start", 32 << 20, end, 1);
	make_sparse_file(dir, "hole-at-end", 32 << 20, start, 1);
	make_sparse_file(dir, "holes-in-middle", 16 << 20, some, 4);
	make_sparse_file(dir, "more-than-4-gib", (off_t)5 << 30, large, 3);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (off_t)i * (256 << 10);
	make_sparse_file(dir, "many-holes", (off_t)ARRAY_LEN(many) * (256 << 10) + 1, many,
	    ARRAY_LEN(many));
	close(dir);
}

/* --- attributes --------------------------------------------------------------------- */

static void
set_xattr(int fd, const char *name, const void *value, size_t len)
{
	if (fsetxattr(fd, name, value, len, 0) < 0)
		skipped(name);
}

/* The kernel's form of an ACL: user::rwx, user:ID:perm, group::r-x, mask, other::---. */
static void
set_acl(int fd, const char *name, uint32_t user, unsigned permissions)
{
	const struct { uint16_t tag, permissions; uint32_t id; } entries[] = {
		{ 0x01, 7, UINT32_MAX }, { 0x02, (uint16_t)permissions, user },
		{ 0x04, 5, UINT32_MAX }, { 0x10, 7, UINT32_MAX }, { 0x20, 0, UINT32_MAX },
	};
	struct buffer acl = BUFFER_INIT;

	buffer_put_u32(&acl, 2);
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		buffer_put_u16(&acl, entries[i].tag);
		buffer_put_u16(&acl, entries[i].permissions);
		buffer_put_u32(&acl, entries[i].id);
	}
	set_xattr(fd, name, acl.data, acl.len);
	buffer_done(&acl);
}

static void
make_attributes(int top)
{
	/* cap_net_raw=ep */
	const uint8_t capability[20] = { 1, 0, 0, 2, 0, 0x20 };
	int dir = enter_new(top, "attributes"), fd;
	char name[32];
	uint8_t value[3000];

	fd = create(dir, "user");
	set_xattr(fd, "user.text", "value", 5);
	set_xattr(fd, "user.empty", "", 0);
	set_xattr(fd, "user.bytes", "\0\xff\n", 3);
	close(fd);
	fd = create(dir, "large");
	fill_random(value, sizeof(value), 77);
	set_xattr(fd, "user.large", value, sizeof(value));
	close(fd);
	fd = create(dir, "many");
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "user.number-%02d", i);
		set_xattr(fd, name, name, strlen(name));
	}
	close(fd);
	fd = create(dir, "read-only-with-attribute");
	set_xattr(fd, "user.text", "value", 5);
	if (fchmod(fd, 0444) < 0)
		fail("mode");
	close(fd);
	fd = create(dir, "trusted");
	set_xattr(fd, "trusted.secret", "x", 1);
	close(fd);
	fd = create(dir, "capability");
	set_xattr(fd, "security.capability", capability, sizeof(capability));
	close(fd);
	fd = create(dir, "acl");
	set_acl(fd, "system.posix_acl_access", 12345, 6);
	close(fd);
	fd = enter_new(dir, "acl-of-folder");
	make_file(fd, "made-before-the-default-acl", "has none");
	set_acl(fd, "system.posix_acl_default", 4242, 7);
	make_file(fd, "made-after-it", "inherits");
	make_folder(fd, "made-after-it-too");
	set_acl(fd, "system.posix_acl_access", 1, 5);
	set_xattr(fd, "user.folder", "yes", 3);
	close(fd);
	close(dir);
}

static void
make_owned(int dir, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	int fd = create(dir, name);

	write_at(fd, name, strlen(name), 0);
	if (fchown(fd, uid, gid) < 0)
		skipped(name);
	if (fchmod(fd, mode) < 0)
		fail(name);
	close(fd);
}

static void
make_modes(int top)
{
	int dir = enter_new(top, "modes"), inner;

	make_owned(dir, "daemon", 1, 1, 0640);
	make_owned(dir, "no-name", 3000000000u, 2999999999u, 0644);
	make_owned(dir, "set-user", 1, 1, 04755);
	make_owned(dir, "set-group", 1, 2, 02755);
	make_owned(dir, "sticky", getuid(), getgid(), 01644);
	make_owned(dir, "none", getuid(), getgid(), 0);
	make_owned(dir, "all", getuid(), getgid(), 0777);
	make_owned(dir, "write-only", getuid(), getgid(), 0200);
	if (symlinkat("daemon", dir, "owned-link") < 0 ||
	    fchownat(dir, "owned-link", 1, 1, AT_SYMLINK_NOFOLLOW) < 0)
		skipped("owned-link");
	inner = enter_new(dir, "set-group-folder");
	if (fchown(inner, 1, 2) < 0)
		skipped("set-group-folder");
	if (fchmod(inner, 02775) < 0)
		fail("mode");
	make_file(inner, "inherits-group", "x");
	close(inner);
	inner = enter_new(dir, "sticky-folder");
	make_file(inner, "file", "x");
	if (fchmod(inner, 01777) < 0)
		fail("mode");
	close(inner);
	inner = enter_new(dir, "read-only-folder");
	make_file(inner, "file", "cannot be added later");
	make_folder(inner, "folder");
	if (fchmodat(inner, "folder", 0555, 0) < 0 || fchmod(inner, 0555) < 0)
		fail("mode");
	close(inner);
	inner = enter_new(dir, "closed-folder");
	if (geteuid() == 0)
		make_file(inner, "file", "only root sees this");
	if (geteuid() == 0 && fchmod(inner, 0) < 0)
		fail("mode");
	close(inner);
	close(dir);
}

static void
make_times(int top)
{
	static const struct { const char *name; int64_t seconds; long nanoseconds; } times[] = {
		{ "epoch", 0, 0 }, { "before-1970", -1, 999999999 }, { "1901", -2147483648, 1 },
		{ "2038", 2147483648, 123456789 }, { "2106", 4294967296, 5 },
		{ "2400", 13569465600, 999999999 }, { "one-nanosecond", 1600000000, 1 },
	};
	int dir = enter_new(top, "times");

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct timespec t[2] = { { times[i].seconds, times[i].nanoseconds },
			{ times[i].seconds, times[i].nanoseconds } };

		make_file(dir, times[i].name, times[i].name);
		if (utimensat(dir, times[i].name, t, 0) < 0)
			skipped(times[i].name);
	}
	if (symlinkat("epoch", dir, "link") < 0 || utimensat(dir, "link",
	    (struct timespec[2]){ { 5, 6 }, { 7, 8 } }, AT_SYMLINK_NOFOLLOW) < 0)
		fail("link");
	make_folder(dir, "folder");
	if (utimensat(dir, "folder", (struct timespec[2]){ { 1, 2 }, { 1000000000, 3 } }, 0) < 0)
		fail("folder");
	close(dir);
}

/* --- shapes ------------------------------------------------------------------------- */

/* levels folders in one another, with a file in each tenth and in the last. */
static void
make_deep(int top, const char *first, size_t name_len, int levels)
{
	char name[256];
	int dir = enter_new(top, first), next;

	memset(name, 'd', name_len);
	name[name_len] = '\0';
	for (int i = 0; i < levels; i++) {
		next = enter_new(dir, name);
		close(dir);
		dir = next;
		if (i % 10 == 0 || i == levels - 1)
			make_file(dir, "file", "deep down");
	}
	close(dir);
}

static void
make_many(int top)
{
	int dir = enter_new(top, "many");
	char name[64];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "file-%05d", i * 7919 % 10007);
		make_file(dir, name, name);
	}
	close(dir);
}

int
main(int argc, char **argv)
{
	int top;

	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: mktree FOLDER\n");
		return 2;
	}
	umask(022);
	if (mkdir(argv[1], 0755) < 0)
		fail(argv[1]);
	top = open_folder(AT_FDCWD, argv[1]);
	make_folder(top, "empty-folder");
	make_sizes(top);
	make_names(top);
	make_links(top);
	make_special(top);
	make_sparse(top);
	make_attributes(top);
	make_modes(top);
	make_times(top);
	make_deep(top, "deep-beyond-path-max", 200, 30);
	make_deep(top, "many-levels", 3, 400);
	make_many(top);
	close(top);
	return 0;
}
