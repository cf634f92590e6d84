/*
 * What holds runs back: how fast they write, read and open, and how their threads rank.
 *
 * The limits of the settings hold for all runs of a process together; a run may bring its own. Of
 * a run that was asked for from elsewhere, the stricter one counts; somebody at this machine
 * decides alone.
 * Threads: a struct run_limits is used by any number of runs at once.
 */
#ifndef HOLDFAST_AGENT_JOBS_LIMITS_H
#define HOLDFAST_AGENT_JOBS_LIMITS_H

#include <jansson.h>

#include "agent/config.h"
#include "agent/jobs/arguments.h"
#include "agent/jobs/policy.h"
#include "agent/repository/repository.h"
#include "shared/limiter.h"

enum run_rate { RATE_UPLOAD, RATE_DOWNLOAD, RATE_READ, RATE_FILES, RATE_COUNT };

/* Those of the settings. */
struct run_limits;
struct run_limits *run_limits_new(const struct config *config);
void run_limits_free(struct run_limits *limits);

/* The fields of a run's argument "limits". */
extern const struct argument_spec limit_arguments[];

/* Those that one run works under. */
struct run_pace {
	uint64_t per_second[RATE_COUNT]; /* the strictest; 0: none */
	int nice;
	const char *io;                  /* a word of CONFIG_IO_WORDS */
	struct limit limits[RATE_COUNT];
	struct limiter own[RATE_COUNT];
	struct storage *storage;         /* the limited one, or NULL */
	struct repository *repo;         /* what the run works with */
	struct repository *view;         /* the same, or NULL if it is the caller's */
};

/*
 *   shared     or NULL
 *   arguments  the run's; its "limits" were checked
 */
void run_pace_begin(struct run_pace *pace, struct run_limits *shared,
    enum policy_rights rights, const json_t *arguments, struct repository *repo,
    struct progress *progress);
void run_pace_end(struct run_pace *pace);

/* Whether threads have to step back; then work() runs in a thread of its own, which hands its rank
 * on to those that it starts, and takes it to its grave.  Returns what work() returns. */
int run_pace_execute(const struct run_pace *pace, struct progress *progress,
    int (*work)(void *arg, struct error *err), void *arg, struct error *err);

/*
 * {"upload", "download", "read", "files": per second or null, "nice", "io"}; NULL if nothing holds
 * this run back.
 */
json_t *run_limits_json(const struct run_limits *shared, enum policy_rights rights,
    const json_t *arguments);

#endif
