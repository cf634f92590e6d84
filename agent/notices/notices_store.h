/*
 * The queue of notices and what became of them: STATE/notices.sqlite.
 *
 * A notice goes waiting, then sent or given-up.  Every change is durable when its function returns.
 * The file belongs to the agent alone; there is no lock in here, the owner has one.
 * What waits is bounded: of one target, kind and job at most NOTICE_SAME_MAX (the oldest is merged
 * into the next), of one target NOTICE_WAITING_MAX (the oldest is given up).  What ended is kept
 * for looking at, the last NOTICE_ENDED_MAX of it.
 * Times are unix milliseconds.
 */
#ifndef HOLDFAST_AGENT_NOTICES_NOTICES_STORE_H
#define HOLDFAST_AGENT_NOTICES_NOTICES_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

#define NOTICE_SAME_MAX 5
#define NOTICE_WAITING_MAX 1000
#define NOTICE_ENDED_MAX 1000

struct notices_store;

struct notice_row {
	int64_t id;
	char *target, *kind, *job, *run; /* run: NULL if none */
	char *text, *document;
	int64_t made_ms, next_ms;        /* next_ms: when it is tried */
	unsigned tries, merged;          /* merged: how many others it stands for */
};
void notice_row_done(struct notice_row *row);

/* ret_aside: as sql_open().  What waited is due at once, in its order. */
int notices_store_open(const char *state, struct notices_store **ret, char **ret_aside,
    struct error *err);
void notices_store_close(struct notices_store *store); /* takes NULL */

/*
 * Queue one; id, tries and merged are not read.  same_max: NOTICE_SAME_MAX, or fewer where only the
 * newest matters.  ret_dropped: how many were given up to make room.
 */
int notices_store_add(struct notices_store *store, const struct notice_row *row,
    unsigned same_max, unsigned *ret_dropped, struct error *err);

/* The oldest of a target that is due: 1 and the row (caller: notice_row_done), 0, or -1. */
int notices_store_due(struct notices_store *store, const char *target, int64_t now_ms,
    struct notice_row *ret, struct error *err);
/* When the first of a target is due; INT64_MAX if none waits. */
int notices_store_next(struct notices_store *store, const char *target, int64_t *ret_ms,
    struct error *err);

/* It was tried once more.  next_ms > 0: it waits until then; 0: it ended, given up if why is not
 * NULL.  said: what the target said, or NULL. */
int notices_store_tried(struct notices_store *store, int64_t id, int64_t now_ms, int64_t next_ms,
    const char *why, const char *said, struct error *err);
/* One that never waited: a test, as it ended. */
int notices_store_note(struct notices_store *store, const struct notice_row *row, int64_t now_ms,
    const char *why, const char *said, struct error *err);

/* Give up what waits for targets that are not among these; ret_count: how many. */
int notices_store_keep_targets(struct notices_store *store, const char *const *targets,
    size_t count, int64_t now_ms, unsigned *ret_count, struct error *err);

/*
 * Newest first: [{"id", "notice", "kind", "job", "run", "text", "made", "state", "tries", "next",
 * "ended", "error", "said", "merged"}].  state NULL: of any; before 0: from the newest.
 */
int notices_store_list(struct notices_store *store, const char *state, const char *target,
    int64_t before, unsigned limit, json_t **ret, struct error *err);
/* How many wait, of a target or (NULL) of all. */
int notices_store_count(struct notices_store *store, const char *target, uint64_t *ret,
    struct error *err);

#endif
