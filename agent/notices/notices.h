/*
 * Notices: telling people and watches what becomes of jobs.
 *
 * What happens to a job comes by notices_event(), which only notes it in memory; a thread writes it
 * into the queue (agent/notices/notices_store.h), one notice for each section [notice NAME] that
 * wants it, and from there threads of their own, one for each target that has something to be told,
 * try until it is told or a week has gone by (a ping: an hour).  Nothing of a run waits for any
 * of that.  What was noted but not queued when the process is killed is lost, that is some
 * milliseconds' worth; what is queued survives, and a notice that was told just then is told again.
 * A target is told one thing at a time, the oldest first; while it is away, nothing.
 *
 * The document, as a webhook and a command get it:
 * {"notice": section, "kind", "agent", "version", "job", "time", "text": one line for people,
 *  "run": {"id", "outcome", "started", "finished", "snapshot", "error": {..} or null, "files",
 *          "bytes", "stored_bytes", "duration_ms", "loss_total", "losses": the first five} or null,
 *  "last_success", "overdue_since", "next": times or null,
 *  "merged": how many earlier ones of this kind and job it stands for}
 *
 * Threads: any may call these functions.  Without a section [notice NAME] there is neither a thread
 * nor a file.
 */
#ifndef HOLDFAST_AGENT_NOTICES_NOTICES_H
#define HOLDFAST_AGENT_NOTICES_NOTICES_H

#include <jansson.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/jobs/jobs.h"
#include "agent/notices/notice_send.h"
#include "shared/error.h"

struct notices;

#define NOTICE_KEEP_MS (INT64_C(7) * 86400 * 1000)
#define NOTICE_KEEP_PING_MS (INT64_C(3600) * 1000)
/* Words of a notice's state. */
#define NOTICE_STATES "waiting|sent|given-up"

#define NOTICE_RETRY_FIRST_MS 5000
#define NOTICE_RETRY_MOST_MS (INT64_C(3600) * 1000)

/* For tests; zero is what the agent takes. */
struct notices_options {
	int (*send)(void *arg, const struct config_notice *target, const struct notice *notice,
	    struct notice_answer *ret, struct error *err);
	void *arg;
	int64_t retry_first_ms;
};

int notices_open(const struct config *config, const struct notices_options *options,
    struct notices **ret, struct error *err);
/* After whoever calls notices_event() has stopped.  What waits stays for the next start.  NULL is
 * fine. */
void notices_close(struct notices *notices);

/* For jobs_on_event(); arg: the notices. */
job_event_fn notices_event;

/*
 * {"notices": [as notices_store_list()], "next": cursor or null,
 *  "targets": [{"name", "to", "on", "jobs", "waiting", "away_until": time or null}]}
 * state: waiting, sent or given-up; name; cursor: all may be NULL.  limit 0: 100, at most 1000.
 */
int notices_list(struct notices *notices, const char *state, const char *name,
    const char *cursor, unsigned limit, json_t **ret, struct error *err);

/*
 * Tell a target now, once: {"notice", "to", "said", "duration_ms"}.  Waits for whatever is being
 * told there, and asks cancelled(arg) (may be NULL) meanwhile.
 * ERROR_NOT_FOUND no such section; else as it went wrong.
 */
int notices_test(struct notices *notices, const char *name, bool (*cancelled)(void *arg),
    void *arg, json_t **ret, struct error *err);

/* How many wait to be told. */
uint64_t notices_waiting(struct notices *notices);

/*
 * When to try again what was made at made_ms and has failed so many times; 0: not any more.
 *   keep_ms      how long it is tried
 *   asked_ms     what the target asked for, 0: nothing
 *   random       any number: tries of a fleet must not come all at once
 */
int64_t notice_next_try(int64_t made_ms, int64_t now_ms, unsigned tries, int64_t first_ms,
    int64_t keep_ms, int64_t asked_ms, uint32_t random);

/* notice_document.c: the line for people, and the document without "notice"; for an event. */
char *notice_text(enum notice_kind kind, const struct job_state *state, const json_t *run,
    const char *agent);
json_t *notice_document(enum notice_kind kind, const struct job_state *state, const json_t *run,
    const char *agent, const char *text);
/* RFC 3339, or null for 0. */
json_t *notice_time_json(int64_t ms);

#endif
