/*
 * An action on a repository, tried again and again: at each of its operations on the storage in
 * turn the process dies, or that operation fails.  How many cases there were is printed.
 */
#ifndef HOLDFAST_TESTS_LIB_FAULT_CASES_H
#define HOLDFAST_TESTS_LIB_FAULT_CASES_H

#include "tests/lib/trial.h"

/* Looks at what is left in t->work; what names the case. */
typedef void fault_after_fn(const struct trial *t, const char *what);

/* In a process of its own.  Returns its exit status: FAULT_EXIT if it was killed as planned. */
int fault_run_and_die(const struct trial *t, trial_fn *act, const struct fault_plan *plan);
/* Kill the action, on copies of the repository, at each of its operations in turn. */
void fault_die_everywhere(const struct trial *t, const char *name, const char *repository,
    trial_fn *act, fault_after_fn *after);
/* Make each operation of the action fail in turn. */
void fault_fail_everywhere(const struct trial *t, const char *name, const char *repository,
    trial_fn *act, fault_after_fn *after);
/* Both. */
void fault_everywhere(const struct trial *t, const char *name, const char *repository,
    trial_fn *act, fault_after_fn *after);

#endif
