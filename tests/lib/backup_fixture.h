/*
 * A source on disk and a repository in memory, where nothing waits for a sync; and what a test
 * wants to know of a backup from one to the other.
 * The clock is an hour ahead of the files, so that none of them counts as changed just now.
 */
#ifndef HOLDFAST_TESTS_LIB_BACKUP_FIXTURE_H
#define HOLDFAST_TESTS_LIB_BACKUP_FIXTURE_H

#include <stdbool.h>

#include "agent/files/backup.h"
#include "agent/repository/tree.h"
#include "tests/lib/test_repository.h"

struct backup_fixture {
	char *folder, *source;     /* paths */
	char *memory, *repository; /* there is a link to the source beside the repository */
	struct repository *repo;
};

int backup_fixture_setup(void **state);
/* With the repository beside the source, for those who look at both. */
int backup_fixture_setup_on_disk(void **state);
int backup_fixture_teardown(void **state);

/* How one backup went. */
struct backup_made {
	int rc;
	struct snapshot *snapshot;
	struct progress progress;
	struct error err;
};

/* Of the source, unless options (may be NULL) name paths; host "test", two threads. */
void backup_make(const struct backup_fixture *f, const struct backup_options *options,
    struct backup_made *ret);
/* As backup_make, and fails the test unless all went well: no loss, no note. */
void backup_make_well(const struct backup_fixture *f, const struct backup_options *options,
    struct backup_made *ret);
void backup_made_done(struct backup_made *made);

/* Write a text into a file below the source; folders are made. */
void backup_put(const struct backup_fixture *f, const char *name, const char *text);
/* 1 and the entry of a name below the source (caller: entry_done), or 0. */
int backup_find(const struct backup_fixture *f, const struct backup_made *made,
    const char *name, struct entry *ret);
bool backup_holds(const struct backup_fixture *f, const struct backup_made *made,
    const char *name);
/* Fails the test unless the file is in the snapshot with these bytes. */
void backup_assert_bytes(const struct backup_fixture *f, const struct backup_made *made,
    const char *name, const void *expected, size_t len);
void backup_assert_text(const struct backup_fixture *f, const struct backup_made *made,
    const char *name, const char *expected);
/* Whether there is exactly one remark for the path that ends so, and its reason begins so. */
bool backup_remarked(const struct remarks *remarks, const char *path_end, const char *reason);

#endif
