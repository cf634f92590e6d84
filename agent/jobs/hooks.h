/*
 * Hooks: programs of a job's section that run before and after its backups.
 *
 *   before      status 0: the backup begins; 75 (EX_TEMPFAIL): the run is skipped; anything else,
 *               and one that does not start or takes too long: the run fails, nothing was read
 *   after       after a backup that ended ok or warn; if it fails, an ok becomes a warn
 *   on_failure  after a run that failed, be it by `before`, or was cancelled while it went
 *
 * A run that is skipped has no other hook, and one that a crash of the agent cut off has none.
 * The environment of a hook is PATH, LANG, HOME and the facts, and nothing else:
 *   HOLDFAST_HOOK          before, after or on_failure
 *   HOLDFAST_JOB, HOLDFAST_RUN
 *   HOLDFAST_PATHS         what the job backs up, one path a line
 *   HOLDFAST_OUTCOME       ok, warn, failed or cancelled; not of before
 *   HOLDFAST_SNAPSHOT      its id, if there is one
 *   HOLDFAST_ERROR         why it failed, if it did
 *   HOLDFAST_FILES, HOLDFAST_BYTES, HOLDFAST_STORED_BYTES; not of before
 * What a hook says last is kept in the run's notes.
 */
#ifndef HOLDFAST_AGENT_JOBS_HOOKS_H
#define HOLDFAST_AGENT_JOBS_HOOKS_H

#include <stdint.h>

#include "agent/config.h"
#include "shared/error.h"
#include "shared/progress.h"

/* EX_TEMPFAIL of sysexits.h */
#define HOOK_SKIP_STATUS 75

enum hook { HOOK_BEFORE, HOOK_AFTER, HOOK_ON_FAILURE };

struct hook_facts {
	const char *run;      /* id; NULL: it has none */
	const char *outcome;  /* NULL: it has not begun */
	const char *snapshot; /* NULL: none */
	const char *error;    /* NULL: none */
	uint64_t files, bytes, stored_bytes;
	/* It was cancelled, or the agent stops: this hook cannot be cancelled once more, and has
	 * HOOK_LAST_S at the most. */
	bool last;
};

#define HOOK_LAST_S 20

/*
 * Run the job's hook, if it has it.  0: there is none, or it ended well; 1: `before` said that the
 * run is to be skipped, and err says why (ERROR_CONFLICT); -1: it failed, ERROR_CANCELLED if that
 * was by the progress, ERROR_IO and others.
 */
int hook_run(const struct config_job *job, enum hook hook, const struct hook_facts *facts,
    struct progress *progress, struct error *err);

#endif
