/*
 * What notices tell of: enum, word in settings, answers and the queue, what becomes of a ping.
 *
 *   _(NAME, word, ping)
 *
 * ping: the URL of a watch that is asked for, or NOTICE_NO_PING.  A backup with losses is no
 * success to a watch either.
 */
#ifndef HOLDFAST_AGENT_NOTICES_KINDS_H
#define HOLDFAST_AGENT_NOTICES_KINDS_H

enum notice_ping { NOTICE_NO_PING, NOTICE_PING_START, NOTICE_PING_SUCCESS, NOTICE_PING_FAIL };

/* clang-format off */
#define NOTICE_KINDS(_) \
	_(SUCCESS,   "success",   NOTICE_PING_SUCCESS) \
	_(WARNING,   "warning",   NOTICE_PING_FAIL) \
	_(FAILURE,   "failure",   NOTICE_PING_FAIL) \
	_(CANCELLED, "cancelled", NOTICE_PING_FAIL) \
	_(SKIPPED,   "skipped",   NOTICE_NO_PING) \
	_(OVERDUE,   "overdue",   NOTICE_NO_PING) \
	_(RECOVERY,  "recovery",  NOTICE_NO_PING) \
	_(JUMP,      "jump",      NOTICE_NO_PING) \
	_(PROOF,     "proof",     NOTICE_NO_PING) \
	_(UNPROVEN,  "unproven",  NOTICE_NO_PING) \
	/* These two are not for `on`: a watch alone hears of a start, and a test is asked for. */ \
	_(START,     "start",     NOTICE_PING_START) \
	_(TEST,      "test",      NOTICE_PING_SUCCESS)
/* clang-format on */

enum notice_kind {
#define _(name, word, ping) NOTICE_##name,
	NOTICE_KINDS(_)
#undef _
	NOTICE_KIND_COUNT
};

/* How many of them a setting `on` may name. */
#define NOTICE_KIND_SETTABLE NOTICE_START

const char *notice_kind_word(enum notice_kind kind);
enum notice_ping notice_kind_ping(enum notice_kind kind);
/* By its word; NOTICE_KIND_COUNT if it is none. */
enum notice_kind notice_kind_find(const char *word);

#endif
