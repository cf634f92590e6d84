/*
 * treecmp [OPTION...] A B: are two trees the same, entry by entry?
 *
 * Compares kind, content, mode, owner, mtime to the nanosecond, symlink targets, which names are
 * one file, extended attributes (ACLs and capabilities with them), device numbers, and that a
 * file with holes in A has about as many in B.  Sockets of A may be missing in B.
 *   --no-owner    not owners and groups
 *   --no-xattrs   not attributes
 *   --no-set-id   not set-id bits of files, nor capabilities
 *   --top         the attributes of A and B themselves, too
 *   --partial     B is what a stopped restore left: entries may be missing in it, the attributes
 *                 of its folders are not final, and leftovers under temporary names do not count
 * Tells each difference; exit status 0: same, 1: not, 2: could not compare.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define CHUNK (1u << 20)
/* Another file system, or another order of writing, may round up the last piece of an extent. */
#define SLACK_BYTES (256u << 10)
#define LEFTOVER    ".holdfast-restore-"

struct link {
	dev_t device;
	ino_t inode;
	char *path;
};

struct links {
	struct link *list;
	size_t count, cap;
};

struct compare {
	bool no_owner, no_xattrs, no_set_id, partial;
	struct buffer path; /* of the present entry, below the top */
	struct links links[2];
	unsigned long entries, differences;
	uint8_t *data[2];
};

/* One entry of each side. */
struct pair {
	int dir[2];
	const char *name;
	struct stat st[2];
};

static void differs(struct compare *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
differs(struct compare *c, const char *fmt, ...)
{
	char *path = text_printable(c->path.data, c->path.len);
	va_list ap;

	/* The end of a path beyond all bounds tells more than its start. */
	printf("%s%s: ", strlen(path) > 1000 ? "..." : "",
	    *path == '\0' ? "/" : strlen(path) > 1000 ? path + strlen(path) - 1000 : path);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	free(path);
	c->differences++;
}

static _Noreturn void
trouble(const struct compare *c, const char *what)
{
	char *path = text_printable(c->path.data, c->path.len);

	fprintf(stderr, "treecmp: could not %s '%s': %s\n", what, path, strerror(errno));
	exit(2);
}

/* The first name of this file, so that the same names must belong together on both sides. */
static const char *
first_name(struct compare *c, int side, const struct stat *st)
{
	struct links *links = &c->links[side];

	for (size_t i = 0; i < links->count; i++)
		if (links->list[i].device == st->st_dev && links->list[i].inode == st->st_ino)
			return links->list[i].path;
	MEM_GROW(links->list, links->count, links->cap);
	links->list[links->count].device = st->st_dev;
	links->list[links->count].inode = st->st_ino;
	links->list[links->count].path = mem_strdup(buffer_text(&c->path));
	return links->list[links->count++].path;
}

static void
compare_links(struct compare *c, const struct pair *p)
{
	const char *a, *b;

	if (S_ISDIR(p->st[0].st_mode) || (p->st[0].st_nlink < 2 && p->st[1].st_nlink < 2))
		return;
	a = first_name(c, 0, &p->st[0]);
	b = first_name(c, 1, &p->st[1]);
	if (strcmp(a, b) != 0)
		differs(c, "is one file with '%s', but with '%s' in the other", a, b);
}

/* --- content ------------------------------------------------------------------------ */

static off_t
next_data(int fd, off_t at, off_t size)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? size : at;
	return data;
}

static ssize_t
read_full(struct compare *c, int fd, uint8_t *buf, size_t len, off_t at)
{
	size_t have = 0;

	while (have < len) {
		ssize_t got = pread(fd, buf + have, len - have, at + (off_t)have);

		if (got < 0)
			trouble(c, "read");
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

static void
compare_content(struct compare *c, const struct pair *p)
{
	off_t size = p->st[0].st_size, at = 0;
	ssize_t len[2];
	int fd[2];

	if (size != p->st[1].st_size) {
		differs(c, "size %lld, but %lld in the other", (long long)size,
		    (long long)p->st[1].st_size);
		return;
	}
	for (int i = 0; i < 2; i++) {
		fd[i] = openat(p->dir[i], p->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd[i] < 0)
			trouble(c, "open");
	}
	while (at < size) {
		off_t a = next_data(fd[0], at, size), b = next_data(fd[1], at, size);

		at = a < b ? a : b;
		if (at >= size)
			break;
		for (int i = 0; i < 2; i++)
			len[i] = read_full(c, fd[i], c->data[i], CHUNK, at);
		if (len[0] != len[1] || memcmp(c->data[0], c->data[1], (size_t)len[0]) != 0) {
			differs(c, "content differs at byte %lld, or behind it", (long long)at);
			break;
		}
		if (len[0] == 0)
			break;
		at += len[0];
	}
	close(fd[0]);
	close(fd[1]);
}

static void
compare_holes(struct compare *c, const struct pair *p)
{
	uint64_t a = (uint64_t)p->st[0].st_blocks * 512, b = (uint64_t)p->st[1].st_blocks * 512;

	if (a + SLACK_BYTES >= (uint64_t)p->st[0].st_size)
		return; /* no holes worth the name */
	if (b > a + a / 8 + SLACK_BYTES)
		differs(c, "takes %llu bytes, but %llu in the other", (unsigned long long)a,
		    (unsigned long long)b);
}

static void
compare_target(struct compare *c, const struct pair *p)
{
	ssize_t a = readlinkat(p->dir[0], p->name, (char *)c->data[0], CHUNK);
	ssize_t b = readlinkat(p->dir[1], p->name, (char *)c->data[1], CHUNK);

	if (a < 0 || b < 0)
		trouble(c, "read the link");
	if (a != b || memcmp(c->data[0], c->data[1], (size_t)a) != 0)
		differs(c, "points elsewhere");
}

/* --- attributes --------------------------------------------------------------------- */

static int
name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All attributes as text "NAME=LENGTH:VALUE" in order, which compares well. */
static void
read_xattrs(struct compare *c, int dir, const char *name, struct buffer *ret)
{
	static const char *const left_out[] = { "system.nfs4_acl", "security.selinux" };
	char path[64], *names = mem_calloc(65536, 1), **sorted = NULL;
	uint8_t *value = mem_calloc(65536, 1);
	size_t count = 0, cap = 0;
	ssize_t len, value_len;
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		trouble(c, "open");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = listxattr(path, names, 65536);
	if (len < 0 && errno != ENOTSUP)
		trouble(c, "list the attributes of");
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1) {
		bool wanted = !c->no_set_id || strcmp(names + at, "security.capability") != 0;

		for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
			wanted = wanted && strcmp(names + at, left_out[i]) != 0;
		MEM_GROW(sorted, count, cap);
		if (wanted)
			sorted[count++] = names + at;
	}
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), name_compare);
	for (size_t i = 0; i < count; i++) {
		value_len = getxattr(path, sorted[i], value, 65536);
		if (value_len < 0)
			trouble(c, "read an attribute of");
		buffer_printf(ret, "%s=%zd:", sorted[i], value_len);
		buffer_put(ret, value, (size_t)value_len);
	}
	close(fd);
	free(sorted);
	free(names);
	free(value);
}

static void
compare_xattrs(struct compare *c, const struct pair *p)
{
	struct buffer text[2] = { BUFFER_INIT, BUFFER_INIT };
	char *shown[2];

	if (c->no_xattrs)
		return;
	for (int i = 0; i < 2; i++)
		read_xattrs(c, p->dir[i], p->name, &text[i]);
	if (text[0].len != text[1].len || (text[0].len > 0 &&
	    memcmp(text[0].data, text[1].data, text[0].len) != 0)) {
		for (int i = 0; i < 2; i++)
			shown[i] = text_printable(text[i].data, text[i].len);
		differs(c, "attributes '%.300s', but '%.300s' in the other", shown[0], shown[1]);
		free(shown[0]);
		free(shown[1]);
	}
	buffer_done(&text[0]);
	buffer_done(&text[1]);
}

static void
compare_attributes(struct compare *c, const struct pair *p)
{
	const struct stat *a = &p->st[0], *b = &p->st[1];
	mode_t bits = c->no_set_id && !S_ISDIR(a->st_mode) ? 01777 : 07777;

	if (!S_ISLNK(a->st_mode) && (a->st_mode & bits) != (b->st_mode & bits))
		differs(c, "mode %04o, but %04o in the other", (unsigned)(a->st_mode & bits),
		    (unsigned)(b->st_mode & bits));
	if (!c->no_owner && (a->st_uid != b->st_uid || a->st_gid != b->st_gid))
		differs(c, "owner %u:%u, but %u:%u in the other", a->st_uid, a->st_gid, b->st_uid,
		    b->st_gid);
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		differs(c, "time %lld.%09ld, but %lld.%09ld in the other",
		    (long long)a->st_mtim.tv_sec, a->st_mtim.tv_nsec, (long long)b->st_mtim.tv_sec,
		    b->st_mtim.tv_nsec);
	compare_xattrs(c, p);
}

/* --- the walk ----------------------------------------------------------------------- */

static void compare_folders(struct compare *c, int a, int b);

static void
compare_folder(struct compare *c, const struct pair *p)
{
	int fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = openat(p->dir[i], p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd[i] < 0)
			trouble(c, "open the folder");
	}
	compare_folders(c, fd[0], fd[1]);
	close(fd[0]);
	close(fd[1]);
}

static void
compare_pair(struct compare *c, struct pair *p)
{
	mode_t kind = p->st[0].st_mode & S_IFMT;

	c->entries++;
	if (kind != (p->st[1].st_mode & S_IFMT)) {
		differs(c, "kind %06o, but %06o in the other", (unsigned)kind,
		    (unsigned)(p->st[1].st_mode & S_IFMT));
		return;
	}
	if (!c->partial || kind != S_IFDIR)
		compare_attributes(c, p);
	if (!c->partial)
		compare_links(c, p);
	if (kind == S_IFREG) {
		compare_content(c, p);
		compare_holes(c, p);
	} else if (kind == S_IFLNK) {
		compare_target(c, p);
	} else if (kind == S_IFDIR) {
		compare_folder(c, p);
	} else if ((kind == S_IFCHR || kind == S_IFBLK) && p->st[0].st_rdev != p->st[1].st_rdev) {
		differs(c, "another device");
	}
}

static char **
list_folder(struct compare *c, int fd, size_t *ret_count)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	char **names = NULL;
	size_t count = 0, cap = 0;
	struct dirent *found;

	if (dir == NULL)
		trouble(c, "list");
	for (errno = 0; (found = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		MEM_GROW(names, count, cap);
		names[count++] = mem_strdup(found->d_name);
	}
	if (errno != 0)
		trouble(c, "list");
	closedir(dir);
	if (count > 1)
		qsort(names, count, sizeof(*names), name_compare);
	*ret_count = count;
	return names;
}

/* A name that only one side has. */
static void
compare_lone(struct compare *c, const struct pair *p, int side)
{
	struct stat st;

	if (c->partial && (side == 0 || strncmp(p->name, LEFTOVER, strlen(LEFTOVER)) == 0))
		return;
	if (side == 0 && fstatat(p->dir[0], p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISSOCK(st.st_mode))
		return;
	differs(c, side == 0 ? "missing in the other" : "is in the other only");
}

static void
compare_name(struct compare *c, struct pair *p, int order)
{
	size_t len = c->path.len;

	buffer_printf(&c->path, "/%s", p->name);
	if (order != 0) {
		compare_lone(c, p, order < 0 ? 0 : 1);
	} else {
		for (int i = 0; i < 2; i++)
			if (fstatat(p->dir[i], p->name, &p->st[i], AT_SYMLINK_NOFOLLOW) < 0)
				trouble(c, "look at");
		compare_pair(c, p);
	}
	c->path.len = len;
}

static void
compare_folders(struct compare *c, int a, int b)
{
	struct pair p = { .dir = { a, b } };
	size_t count[2], at[2] = { 0, 0 };
	char **names[2];
	int order;

	for (int i = 0; i < 2; i++)
		names[i] = list_folder(c, p.dir[i], &count[i]);
	while (at[0] < count[0] || at[1] < count[1]) {
		if (at[0] == count[0])
			order = 1;
		else if (at[1] == count[1])
			order = -1;
		else
			order = strcmp(names[0][at[0]], names[1][at[1]]);
		p.name = order > 0 ? names[1][at[1]] : names[0][at[0]];
		compare_name(c, &p, order);
		at[0] += order <= 0;
		at[1] += order >= 0;
	}
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < count[i]; k++)
			free(names[i][k]);
		free(names[i]);
	}
}

/* Two descriptors for each level of depth. */
static void
raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int
main(int argc, char **argv)
{
	struct compare c = { .path = BUFFER_INIT };
	struct pair top = { .dir = { AT_FDCWD, AT_FDCWD }, .name = "." };
	const char *folders[2] = { NULL, NULL };
	bool with_top = false;
	int count = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--no-owner") == 0)
			c.no_owner = true;
		else if (strcmp(argv[i], "--no-xattrs") == 0)
			c.no_xattrs = true;
		else if (strcmp(argv[i], "--no-set-id") == 0)
			c.no_set_id = true;
		else if (strcmp(argv[i], "--top") == 0)
			with_top = true;
		else if (strcmp(argv[i], "--partial") == 0)
			c.partial = true;
		else if (argv[i][0] != '-' && count < 2)
			folders[count++] = argv[i];
		else
			count = 3;
	}
	if (count != 2) {
		fprintf(stderr,
		    "usage: treecmp [--no-owner] [--no-xattrs] [--no-set-id] [--top] "
		    "[--partial] A B\n");
		return 2;
	}
	raise_limits();
	for (int i = 0; i < 2; i++) {
		c.data[i] = mem_calloc(CHUNK, 1);
		top.dir[i] = open(folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (top.dir[i] < 0 || fstat(top.dir[i], &top.st[i]) < 0) {
			fprintf(stderr, "treecmp: could not open '%s': %s\n", folders[i],
			    strerror(errno));
			return 2;
		}
	}
	if (with_top)
		compare_attributes(&c, &top);
	compare_folders(&c, top.dir[0], top.dir[1]);
	printf("%lu entries compared, %lu differences\n", c.entries, c.differences);
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < c.links[i].count; k++)
			free(c.links[i].list[k].path);
		free(c.links[i].list);
		free(c.data[i]);
		close(top.dir[i]);
	}
	buffer_done(&c.path);
	return c.differences == 0 ? 0 : 1;
}
