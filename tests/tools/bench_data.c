/*
 * Makes and changes the data of tests/bench, the same in each run.
 *
 *	bench_data file PATH BYTES             hexadecimal lines; zstd halves them
 *	bench_data change PATH BLOCK PERMILLE  overwrite so much of it, in blocks of this size that
 *	                                       lie scattered over it
 *	bench_data many FOLDER FOLDERS FILES   a new folder with FOLDERS folders of FILES small files
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE 65u
#define BUFFER (LINE << 14)

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "bench_data: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* splitmix64 */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void
fill(uint8_t *buf, size_t len, uint64_t *state)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t bits = 0;

	for (size_t i = 0; i < len; i++) {
		if (i % 16 == 0)
			bits = next_random(state);
		buf[i] = i % LINE == LINE - 1 ? '\n' : (uint8_t)digits[bits & 15];
		bits >>= 4;
	}
}

static void
write_all(int fd, const uint8_t *buf, size_t len, off_t at, const char *path)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, buf + done, len - done, at + (off_t)done);

		if (n < 0 && errno != EINTR)
			fail(path);
		done += n > 0 ? (size_t)n : 0;
	}
}

static int
open_file(int dir, const char *path, int flags)
{
	int fd = openat(dir, path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		fail(path);
	return fd;
}

static void
make_file(const char *path, uint64_t size)
{
	static uint8_t buf[BUFFER];
	int fd = open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL);
	uint64_t seed = 1;

	for (uint64_t at = 0; at < size; at += sizeof(buf)) {
		size_t len = size - at < sizeof(buf) ? (size_t)(size - at) : sizeof(buf);

		fill(buf, len, &seed);
		write_all(fd, buf, len, (off_t)at, path);
	}
	if (close(fd) != 0)
		fail(path);
}

/* Of each run of 1000 / PERMILLE blocks one, at a place of its own in it. */
static void
change_file(const char *path, uint64_t block, uint64_t permille)
{
	uint8_t *buf = malloc(block);
	int fd = open_file(AT_FDCWD, path, O_WRONLY);
	uint64_t seed = block, run = 1000 / permille;
	struct stat st;

	if (buf == NULL || fstat(fd, &st) != 0)
		fail(path);
	for (uint64_t at = 0; at + run * block <= (uint64_t)st.st_size; at += run * block) {
		uint64_t place = at + next_random(&seed) % run * block;

		fill(buf, block, &seed);
		write_all(fd, buf, block, (off_t)place, path);
	}
	free(buf);
	if (close(fd) != 0)
		fail(path);
}

static void
make_many(const char *path, uint64_t folders, uint64_t files)
{
	uint64_t seed = 2;

	if (mkdir(path, 0755) != 0 || chdir(path) != 0)
		fail(path);
	for (uint64_t i = 0; i < folders; i++) {
		char name[32];
		int dir;

		snprintf(name, sizeof(name), "%04" PRIu64, i);
		if (mkdir(name, 0755) != 0)
			fail(name);
		dir = open_file(AT_FDCWD, name, O_RDONLY | O_DIRECTORY);
		for (uint64_t k = 0; k < files; k++) {
			uint8_t buf[1024];
			size_t len = 100 + next_random(&seed) % 900;
			int fd;

			snprintf(name, sizeof(name), "file-%06" PRIu64 ".txt", k);
			fd = open_file(dir, name, O_WRONLY | O_CREAT | O_EXCL);
			fill(buf, len, &seed);
			write_all(fd, buf, len, 0, name);
			close(fd);
		}
		close(dir);
	}
}

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (n == 0 || *end != '\0') {
		fprintf(stderr, "bench_data: '%s' is not a number above 0\n", text);
		exit(2);
	}
	return n;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "file") == 0 && argc == 4) {
		make_file(argv[2], number(argv[3]));
	} else if (strcmp(what, "change") == 0 && argc == 5 && number(argv[4]) <= 1000) {
		change_file(argv[2], number(argv[3]), number(argv[4]));
	} else if (strcmp(what, "many") == 0 && argc == 5) {
		make_many(argv[2], number(argv[3]), number(argv[4]));
	} else {
		fputs("usage: bench_data file PATH BYTES | change PATH BLOCK PERMILLE |\n"
		    "       many FOLDER FOLDERS FILES\n", stderr);
		return 2;
	}
	return 0;
}
