/*
 * A hostile repository, and everything that reads: each reading in a process of its own whose
 * memory is measured, in a folder beside which nothing may change.
 */
#ifndef HOLDFAST_TESTS_LIB_HOSTILE_READING_H
#define HOLDFAST_TESTS_LIB_HOSTILE_READING_H

#include "tests/lib/hostile.h"
#include "tests/lib/test_repository.h"

struct hostile_fixture {
	char *folder, *source;
	char *good;             /* with one honest snapshot */
	char *work, *sandbox, *target;
	struct outcome *outcomes; /* shared with the processes that read */
	unsigned cases, readings;
};

/* What must tell of the damage, and what may not be bothered by it. */
enum {
	HOSTILE_TREE = 1,
	HOSTILE_CONTENT = 2,
	HOSTILE_FRAME = 4,
	HOSTILE_ANYTHING = 8,
	HOSTILE_NOTHING = 16,
	HOSTILE_ENDLESS = 32,
	HOSTILE_PARTS = 64
};

/* For the group: setup and teardown, which prints how many cases and readings there were. */
int hostile_fixture_setup(void **state);
int hostile_fixture_teardown(void **state);

/* A repository to spoil; what was put into it must then be finished. */
struct repository *hostile_case_begin(const struct hostile_fixture *f, struct hostile *hostile);
/* These root parts make the snapshot of the case: everything reads it, and tells of the damage. */
void hostile_case_end(struct hostile_fixture *f, struct hostile *hostile, const char *name,
    const struct blob_id *roots, size_t count, unsigned damage);
/* An entry with what it needs; name is not copied. */
struct entry hostile_entry(enum entry_kind kind, const char *name);

#endif
