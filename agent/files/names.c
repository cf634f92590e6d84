#include "agent/files/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/mem.h"

/* One call returns several hundred names. */
#define READ_BYTES (32u << 10)

/* As the kernel writes it; the C library's readdir hides whether the end or an error was met. */
struct kernel_dirent {
	uint64_t inode;
	int64_t offset;
	uint16_t len;
	uint8_t type;
	char name[];
};

void
names_add(struct names *names, const char *name, size_t len)
{
	buffer_put_u16(&names->bytes, (uint16_t)len);
	buffer_put(&names->bytes, name, len);
	buffer_put_u8(&names->bytes, 0);
	names->count++;
}

static size_t
name_len(const char *name)
{
	return (size_t)(uint8_t)name[-2] | (size_t)(uint8_t)name[-1] << 8;
}

static int
compare(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	size_t x_len = name_len(x), y_len = name_len(y);
	int order = memcmp(x, y, x_len < y_len ? x_len : y_len);

	return order != 0 ? order : (x_len > y_len) - (x_len < y_len);
}

void
names_sort(struct names *names)
{
	size_t at = 0, kept = 0;

	free(names->list);
	names->list = mem_calloc(names->count, sizeof(*names->list));
	for (size_t i = 0; i < names->count; i++) {
		names->list[i] = (const char *)names->bytes.data + at + 2;
		at += 2 + name_len(names->list[i]) + 1;
	}
	qsort(names->list, names->count, sizeof(*names->list), compare);
	for (size_t i = 0; i < names->count; i++)
		if (kept == 0 || compare(&names->list[kept - 1], &names->list[i]) != 0)
			names->list[kept++] = names->list[i];
	names->count = kept;
}

int
names_read(int fd, struct names *ret, struct error *err)
{
	_Alignas(struct kernel_dirent) char block[READ_BYTES];
	int rc = 0;

	for (;;) {
		long n = syscall(SYS_getdents64, fd, block, sizeof(block));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = error_sys(err, ERROR_IO, errno, "could not read all of the folder");
		if (n <= 0)
			break;
		for (long at = 0; at < n;) {
			const struct kernel_dirent *dirent = (const void *)(block + at);

			if (strcmp(dirent->name, ".") != 0 && strcmp(dirent->name, "..") != 0)
				names_add(ret, dirent->name, strlen(dirent->name));
			at += dirent->len;
		}
	}
	names_sort(ret);
	return rc;
}

const char *
names_get(const struct names *names, size_t n, size_t *ret_len)
{
	*ret_len = name_len(names->list[n]);
	return names->list[n];
}

bool
names_contain(const struct names *names, const char *name)
{
	size_t low = 0, high = names->count, len = strlen(name);

	while (low < high) {
		size_t mid = (low + high) / 2, mid_len = name_len(names->list[mid]);
		int order = memcmp(names->list[mid], name, mid_len < len ? mid_len : len);

		if (order == 0)
			order = (mid_len > len) - (mid_len < len);
		if (order == 0)
			return true;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

void
names_done(struct names *names)
{
	buffer_done(&names->bytes);
	free(names->list);
	names->list = NULL;
	names->count = 0;
}
