/*
 * A small repository with a source to back up, and a comparison of what a snapshot gives back with
 * the folder it was made from, without writing anything.
 * Whatever fails here that is not the repository's doing ends the test.
 */
#ifndef HOLDFAST_TESTS_LIB_TEST_REPOSITORY_H
#define HOLDFAST_TESTS_LIB_TEST_REPOSITORY_H

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "agent/repository/tree.h"
#include "tests/lib/fault_storage.h"
#include "tests/lib/test_folder.h"

/* A made one, as it needs no stretching; the same for the whole process. */
const char *test_passphrase(void);

/* Folders, small files, a file of several chunks, a sparse one, links: about 1 MiB; or with a large
 * file of so many bytes. */
void test_source_make(const char *folder);
void test_source_make_of(const char *folder, size_t large);
/* Change some of it, add and remove some. */
void test_source_change(const char *folder);

/* Make a repository in a new folder. */
void test_repository_make(const char *path);
/* Open it; through a fault storage unless control is NULL.  NULL on failure. */
struct repository *test_repository_open(const char *path, struct fault_control *control,
    struct error *err);
int test_backup(struct repository *repo, const char *source, struct snapshot **ret,
    struct error *err);

/* A new repository, opened, at ret_path in a new folder; the caller frees both. */
struct repository *test_repository_new(char **ret_folder, char **ret_path);
/* The same, with a source in the folder beside it, and a snapshot of that. */
struct repository *test_snapshot_new(char **ret_folder, char **ret_source,
    struct snapshot **ret_snapshot);

/* A copy of a folder with everything in it, at a path where nothing is yet. */
void test_folder_copy(const char *from, const char *to);

struct test_compared {
	unsigned same;       /* entries that are as in the folder */
	unsigned unreadable; /* entries that the repository refused to give, saying so */
	unsigned wrong;      /* others: there is no excuse for these */
	char first[400];     /* about the first that is not the same */
};

/*
 * Compare the entries that snapshot has below root with folder.
 *   each   told of every path below folder with 0 if it is the same, 1 if unreadable, -1 if
 *          wrong; may be NULL
 */
void test_compare(struct repository *repo, const struct snapshot *snapshot, const char *root,
    const char *folder, void (*each)(void *arg, const char *path, int status), void *arg,
    struct test_compared *ret);

#endif
