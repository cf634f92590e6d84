/*
 * A check under way: which blobs cannot be used, and why.  Shared by the files of check, and by
 * repair.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CHECK_INTERNAL_H
#define HOLDFAST_AGENT_REPOSITORY_CHECK_INTERNAL_H

#include <pthread.h>

#include "agent/repository/check.h"
#include "agent/repository/repository_internal.h"
#include "agent/repository/scan.h"
#include "agent/repository/snapshot.h"

/* One thing that is wrong, and whom it hurts. */
struct damage {
	char *object;
	char *problem;
	json_t *snapshots, *paths;
	uint64_t path_total;
	bool only_if_needed; /* no damage unless some snapshot needs it */
	bool healable;       /* nothing is lost: repair_packs() makes it whole again */
};

struct check {
	struct repository *repo;
	const struct check_options *options;
	struct progress *progress;
	struct check_result *result;
	/* Frames that cannot be read, and packs of which nothing can: see check_damage.c. */
	struct blob_table bad_places;
	struct blob_table bad_blobs; /* those that lie there, though maybe elsewhere as well */
	pthread_mutex_t lock;        /* what follows, while threads verify packs */
	struct damage *damages;
	size_t damage_count, damage_cap;
	struct object_names packs;
	bool *chosen;                /* of packs: those that are read with all their data */
	size_t next_pack;
	struct error err;            /* the first that ended a thread */
	bool failed;
	struct error newer;          /* the first pack or index file of a newer format */
	const struct snapshot *snapshot; /* the one being scanned */
};

/* The check has a view of the repository of its own: what is checked is what is stored, not what
 * is remembered. */
void check_begin(struct check *check, struct repository *repo, const struct check_options *options,
    struct progress *progress, struct check_result *result);
/* Look at index and packs; afterwards check_blob_lost() knows what is lost. */
int check_find_bad(struct check *check, struct error *err);
/* Frees the check; result keeps what was found. */
void check_end(struct check *check);

/* The packs of check->packs, those that were chosen with all their data. */
int check_packs(struct check *check, struct error *err);

/* --- what was found; by any thread ---------------------------------------------------- */

/* Both return the number of the damage. */
size_t check_damage_add(struct check *check, const char *object, const char *problem);
size_t check_damage_add_as(struct check *check, const char *object, const char *problem,
    bool healable);
/* It cannot be read; number is that of the damage. */
void check_blob_is_bad(struct check *check, const struct blob_id *id, size_t number);
void check_frame_is_bad(struct check *check, const struct pack_directory *directory,
    const struct pack_frame *frame, size_t number);
/* Nothing is lost of what parity can make again: only if it cannot, its blobs are bad. */
void check_pack_is_bad(struct check *check, const struct object_id *pack,
    const struct error *why, bool only_if_needed);
/* What only a newer version can read is not damaged, but not checked either. */
void check_pass_over(struct check *check, const char *object, const struct error *why);
/* Of a pack or an index file: what is missing elsewhere may be known to it. */
void check_pass_over_blobs(struct check *check, const char *object, const struct error *why);
/* Once all packs were looked at: which of the bad blobs can be read from another place. */
void check_find_copies(struct check *check);
/* 1 and the number of the damage, if nothing is known to have this blob whole; else 0. */
int check_blob_lost(const struct check *check, const struct blob_id *id, size_t *ret_number);
/* So that nothing new relies on a pack of which anything cannot be read. */
int check_avoid_bad_packs(struct check *check, struct error *err);
/* Hand what was found over to the result, as JSON. */
void check_damages_take(struct check *check);

/* For struct scan: whether a blob that the index has is lost; arg is the check. */
int check_blob_unusable(void *arg, const struct blob_id *id, const struct blob_place *place,
    struct error *why);

#endif
