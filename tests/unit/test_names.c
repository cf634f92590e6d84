/* The names in a folder: all of them, sorted as bytes, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/names.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

/* Several reads of the kernel's list. */
#define MANY 5000u

static void
assert_names(const struct names *names, const char *const *expected, size_t count)
{
	assert_int_equal(names->count, count);
	for (size_t i = 0; i < count; i++) {
		size_t len;

		assert_string_equal(names_get(names, i, &len), expected[i]);
		assert_int_equal(len, strlen(expected[i]));
		assert_true(names_contain(names, expected[i]));
	}
}

static void
names_of_any_bytes_are_sorted_as_bytes(void **state)
{
	static const char *const sorted[] = { "\x01", " ", "-rf", "A", "a", "a b", "a-b", "a.b",
		"a\nb", "aa", "\x7f", "\xc3\xa4", "\xff\xfe" };
	/* As bytes a newline comes before a space. */
	static const char *const expected[] = { "\x01", " ", "-rf", "A", "a", "a\nb", "a b", "a-b",
		"a.b", "aa", "\x7f", "\xc3\xa4", "\xff\xfe" };
	char *folder = test_folder_new();
	struct names names = { .count = 0 };
	struct error err = ERROR_INIT;
	int fd;

	(void)state;
	for (size_t i = ARRAY_LEN(sorted); i-- > 0;) {
		char *path = test_path(folder, "%s", sorted[i]);

		test_file_write(path, "", 0);
		free(path);
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(names_read(fd, &names, &err), 0);
	assert_names(&names, expected, ARRAY_LEN(expected));
	assert_false(names_contain(&names, "b"));
	assert_false(names_contain(&names, ""));
	assert_false(names_contain(&names, "."));
	names_done(&names);
	assert_int_equal(names.count, 0);
	close(fd);
	test_folder_remove(folder);
}

static void
every_name_of_a_large_folder_is_there(void **state)
{
	char *folder = test_folder_new();
	struct names names = { .count = 0 };
	struct error err = ERROR_INIT;
	char name[256];
	int fd;

	(void)state;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < MANY; i++) {
		/* The longest that a file system takes, now and then. */
		snprintf(name, sizeof(name), "%05u%0*d", i, i % 50 == 0 ? 250 : 3, 0);
		assert_int_equal(mknodat(fd, name, S_IFREG | 0600, 0), 0);
	}
	assert_int_equal(names_read(fd, &names, &err), 0);
	assert_int_equal(names.count, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		size_t len;

		assert_int_equal(atoi(strndupa(names_get(&names, i, &len), 5)), i);
		assert_int_equal(len, i % 50 == 0 ? 255 : 8);
	}
	names_done(&names);
	close(fd);
	test_folder_remove(folder);
}

static void
a_folder_that_cannot_be_read_is_an_error_and_not_empty(void **state)
{
	char *folder = test_folder_new(), *gone = test_path(folder, "gone");
	struct names names = { .count = 0 };
	struct error err = ERROR_INIT;
	int fd;

	(void)state;
	/* Removed while it is open. */
	assert_int_equal(mkdir(gone, 0700), 0);
	fd = open(gone, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(rmdir(gone), 0);
	assert_int_equal(names_read(fd, &names, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_non_null(strstr(err.message, "could not read all of the folder"));
	assert_int_equal(names.count, 0);
	names_done(&names);
	close(fd);
	/* Not a folder; not open at all. */
	test_file_write(gone, "", 0);
	fd = open(gone, O_RDONLY | O_CLOEXEC);
	assert_int_equal(names_read(fd, &names, &err), -1);
	assert_int_equal(err.sys, ENOTDIR);
	names_done(&names);
	close(fd);
	assert_int_equal(names_read(-1, &names, &err), -1);
	assert_int_equal(err.sys, EBADF);
	names_done(&names);
	free(gone);
	test_folder_remove(folder);
}

static void
names_that_are_added_twice_count_once(void **state)
{
	static const char *const expected[] = { "a", "ab", "b" };
	struct names names = { .count = 0 };

	(void)state;
	names_add(&names, "b/c", 1);
	names_add(&names, "ab", 2);
	names_add(&names, "a", 1);
	names_add(&names, "b", 1);
	names_add(&names, "a", 1);
	names_sort(&names);
	assert_names(&names, expected, ARRAY_LEN(expected));
	names_done(&names);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_any_bytes_are_sorted_as_bytes),
		cmocka_unit_test(every_name_of_a_large_folder_is_there),
		cmocka_unit_test(a_folder_that_cannot_be_read_is_an_error_and_not_empty),
		cmocka_unit_test(names_that_are_added_twice_count_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
