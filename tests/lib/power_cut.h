/*
 * What a power cut may leave of a folder: every system call of this program that changes it is
 * recorded, and the states are made that a file system may show afterwards.
 *
 * The model is the weakest that POSIX allows, so that no file system is worse:
 * - bytes written to a file are durable after fsync() of the file; until then any of them, in
 *   blocks of 512 bytes and in any order, may be there, be zeros, or be missing at the end;
 * - names (made, renamed, linked, removed; of files and folders) are durable after fsync() of the
 *   folder that holds them; until then each name is as it was after any of the calls since,
 *   whichever others are: of a rename both names may be there, or neither.
 *
 * Linking this takes the place of libc's write, fsync, renameat, renameat2, linkat, unlinkat,
 * mkdir and mkdirat.  Recording happens in a forked process; the states are made by the one that
 * forked it.  Whatever fails here ends the test.
 */
#ifndef HOLDFAST_TESTS_LIB_POWER_CUT_H
#define HOLDFAST_TESTS_LIB_POWER_CUT_H

#include <stdbool.h>
#include <stdint.h>

struct power_cut;

/* Record what act does to the folder root (absolute). act returns 0, or the test ends. */
struct power_cut *power_cut_record(const char *root, int (*act)(void *arg), void *arg);
void power_cut_free(struct power_cut *cut);

/* Called within act: something was reported as done, and must outlive every later cut. */
void power_cut_reported(void);

/* How many calls were recorded: the power may be cut before the first, and after each. */
unsigned power_cut_calls(const struct power_cut *cut);
/* How much had been reported by then. */
unsigned power_cut_reports(const struct power_cut *cut, unsigned calls);

/* A disk that lies: fsync() of files, or of folders, does nothing.  So a test can show that it
 * would see a loss. */
void power_cut_ignore_syncs(struct power_cut *cut, bool files, bool folders);

/*
 * Choose what is left after so many calls.
 *   variant  0: nothing that was not synced; 1: everything; else at random by *seed
 * Returns a number that is the same for the same state of all but the files under tmp/, which mean
 * nothing.
 */
uint64_t power_cut_choose(struct power_cut *cut, unsigned calls, unsigned variant,
    uint64_t *seed);
/* Make the state chosen last of root, which held before what it holds, in a new folder. */
void power_cut_make(const struct power_cut *cut, const char *before, const char *folder);

#endif
