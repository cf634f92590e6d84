/*
 * A repository goes through something; afterwards it must be sound.
 *
 * A trial holds a source in two states, repositories to begin with, and a place for the copy that
 * the present case may spoil.  Actions take the path of such a copy; what must hold afterwards is
 * asserted with cmocka, so only a test's own process may call it.
 */
#ifndef HOLDFAST_TESTS_LIB_TRIAL_H
#define HOLDFAST_TESTS_LIB_TRIAL_H

#include "tests/lib/test_repository.h"

struct trial {
	char *folder;
	char *source;  /* as it is now */
	char *before;  /* as it was at the first backup */
	char *empty;   /* a repository without any snapshot */
	char *one;     /* with one, of `before` */
	char *two;     /* with a second one, of `source` */
	char *work;    /* where the copy of the present case lies */
	char other_passphrase[PASSPHRASE_MADE_SIZE]; /* a made one: cheap to open by */
};

/*
 * Made once for all tests of a program, as group setup and teardown of cmocka.
 *   small  few files of few bytes, for very many cases
 */
int trial_setup(void **state);
int trial_setup_small(void **state);
int trial_teardown(void **state);

/* A copy of a repository, or with NULL nothing at all, at t->work. */
void trial_begin(const struct trial *t, const char *repository);
void trial_end(const struct trial *t);

/* A backup of t->source that must succeed. */
void trial_backup(const struct trial *t, const char *repository);

/* ---- what is tried: something that the repository at t->work goes through, if control is not
 * NULL over a storage that fails */

typedef int trial_fn(const struct trial *t, struct fault_control *control, struct error *err);

trial_fn trial_act_init;
trial_fn trial_act_backup; /* of t->source */
/* Twice, without a grace period: what the newest snapshot does not need is removed. */
trial_fn trial_act_prune;
/* Without a grace period, and nothing is forgotten: small packs are joined. */
trial_fn trial_act_join;
trial_fn trial_act_change_passphrase; /* to t->other_passphrase */
trial_fn trial_act_repair_index;
trial_fn trial_act_repair_snapshots;
trial_fn trial_act_merge;  /* of the index files: see trial_many_index_files() */
trial_fn trial_act_pin;    /* the oldest snapshot */
trial_fn trial_act_forget; /* the oldest snapshot */
trial_fn trial_act_recall; /* all that lies in the trash */

/* At t->work: each pack in index files of its own, so many that they can be merged. */
void trial_many_index_files(const struct trial *t);
/* At t->work: the pack with the first snapshot's data is gone. */
void trial_lose_data(const struct trial *t);
/* At t->work, which is empty: two snapshots of `source`, with data in small packs of one size. */
void trial_in_pieces(const struct trial *t);
/* At t->work: the oldest snapshot lies in the trash. */
void trial_forget_one(const struct trial *t);
/* A repository to begin with that one of these made from another one; its path, heap. */
char *trial_prepare(const struct trial *t, const char *repository,
    void (*prepare)(const struct trial *t));

/* ---- what must hold */

/*
 * Every snapshot is one of the two states of the source, whole, and check finds nothing.
 * Returns how many there are.
 */
size_t trial_assert_sound(const struct trial *t, const char *passphrase, const char *what);
/* The same, and it takes a new backup, which is whole too. */
void trial_assert_goes_on(const struct trial *t, const char *what);
/* The same, and a prune leaves the newest snapshot whole. */
void trial_assert_goes_on_and_prunes(const struct trial *t, const char *what);
/* The newest snapshot is of the source as it is now. */
void trial_assert_latest(const struct trial *t, const char *what);
/* After trial_lose_data(): snapshots can be repaired, and then name nothing but what is whole. */
void trial_assert_can_be_repaired(const struct trial *t, const char *what);
/* Whether this passphrase opens the repository at t->work. */
bool trial_opens(const struct trial *t, const char *passphrase);
/* One of the two passphrases does, and then all is sound. */
void trial_assert_a_passphrase_opens(const struct trial *t, const char *what);
/* A first init can be done (again). */
void trial_assert_can_be_made(const struct trial *t, const char *what);

#endif
