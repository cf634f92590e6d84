/*
 * A storage that fails on purpose: wraps another one, counts what changes it, and spoils one
 * of these operations.
 *
 * Counted, from 1: each begin, each write, each commit, each remove.  Reads are not counted;
 * after a death they fail like everything else.
 * The control block is the test's own and outlives the storage, so that it can be asked and
 * planned anew when the repository has closed its storage.  Thread-safe.
 */
#ifndef HOLDFAST_TESTS_LIB_FAULT_STORAGE_H
#define HOLDFAST_TESTS_LIB_FAULT_STORAGE_H

#include <pthread.h>

#include "agent/storage/storage.h"

enum fault_kind {
	FAULT_NONE,
	FAULT_ERROR, /* the operation fails with `sys` */
	FAULT_TEAR,  /* as FAULT_ERROR, but half of a write arrives first */
	FAULT_DIE    /* the process is killed, in mid-write if it was a write: nothing after it
	              * changes anything */
};

enum fault_operation { FAULT_BEGIN, FAULT_WRITE, FAULT_COMMIT, FAULT_REMOVE };

struct fault_plan {
	enum fault_kind kind;
	unsigned at; /* the number of the operation; 0: none */
	int sys;     /* an errno, for errors */
	bool stays;  /* errors: also every later operation but removes fails, as on a full disk */
	bool after;  /* the operation takes place, and then fails, or kills */
	bool lose;   /* deaths: unfinished objects lose their bytes, as by a power cut */
	bool exit;   /* deaths: really end this (forked) process, with FAULT_EXIT */
};

#define FAULT_EXIT 99

struct fault_control {
	pthread_mutex_t lock;
	struct fault_plan plan;
	unsigned operations; /* counted so far */
	bool happened;       /* the planned operation was reached */
	bool dead;
	/* Called before each counted operation, without the lock; may be NULL.  For tests in
	 * which something else happens in the midst. */
	void (*before)(void *arg, enum fault_operation operation, const char *name);
	void *arg;
};

void fault_control_init(struct fault_control *control);
void fault_control_done(struct fault_control *control);
/* Count from 0 again, and spoil what the plan says; NULL: nothing. */
void fault_control_plan(struct fault_control *control, const struct fault_plan *plan);

/* Takes inner over: closes it when closed.  inner must be a local storage. */
struct storage *fault_storage_new(struct storage *inner, struct fault_control *control);

#endif
