/*
 * A private folder for one test, below TMPDIR, and small things to do in it.
 * Whatever fails here ends the test.
 */
#ifndef HOLDFAST_TESTS_LIB_TEST_FOLDER_H
#define HOLDFAST_TESTS_LIB_TEST_FOLDER_H

#include <stddef.h>
#include <stdint.h>

/* An empty folder, mode 0700; caller frees the path. */
char *test_folder_new(void);
/* The same where syncing costs nothing, if there is such a place: for tests with thousands of
 * syncs, none of which is put to the proof by a power cut. */
char *test_folder_new_in_memory(void);
/* Removes it with all in it, and frees the path; NULL is fine. */
void test_folder_remove(char *folder);

/* "FOLDER/FORMAT...", heap. */
char *test_path(const char *folder, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void test_file_write(const char *path, const void *data, size_t len);
/* The whole file, heap. */
uint8_t *test_file_read(const char *path, size_t *ret_len);
/* How many entries, other than "." and "..", a folder holds; 0 if there is no such folder. */
unsigned test_folder_count(const char *path);

#endif
