/*
 * System calls of this program that a test has a word in: something else happens right before or
 * after one of them, or the clock says something else.
 *
 * Linking this takes the place of libc's openat, fstatat, read and clock_gettime.  One hook at a
 * time; it acts once, in whichever thread gets there first.
 */
#ifndef HOLDFAST_TESTS_LIB_SYSTEM_HOOKS_H
#define HOLDFAST_TESTS_LIB_SYSTEM_HOOKS_H

#include <stdbool.h>
#include <time.h>

enum hook_moment {
	HOOK_STAT,       /* before fstatat() of the name */
	HOOK_OPEN,       /* before openat() of the name, but for O_PATH */
	HOOK_AFTER_OPEN, /* after it */
	HOOK_READ        /* before the first read() from what was opened by that name */
};

/* name: the last argument of the call, whole. */
void hook_set(enum hook_moment moment, const char *name, void (*act)(void *arg), void *arg);
/* Disarm; says whether the hook has acted. */
bool hook_clear(void);

/* Count openat() calls for this name, but for O_PATH; NULL: none. */
void hook_count_opens(const char *name);
unsigned hook_opens(void);

/* CLOCK_REALTIME is so many seconds ahead; or stands still at this time, until NULL. */
void hook_clock_ahead(long seconds);
void hook_clock_stop(const struct timespec *at);

#endif
