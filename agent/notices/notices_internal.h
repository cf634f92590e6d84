/*
 * What the files of the notices share.
 */
#ifndef HOLDFAST_AGENT_NOTICES_NOTICES_INTERNAL_H
#define HOLDFAST_AGENT_NOTICES_NOTICES_INTERNAL_H

#include <pthread.h>

#include "agent/notices/notices.h"
#include "agent/notices/notices_store.h"

/* Pause after the queue could not be read or written. */
#define NOTICES_TROUBLE_MS (10 * 1000)

struct noted {
	struct notice_row row;
	bool ping;
	struct noted *next;
};

struct target {
	struct notices *notices;
	const struct config_notice *config;
	char *text;         /* notice_target_text() */
	/* under the lock */
	bool busy;          /* a thread is telling it something */
	bool told;          /* the log has it that it fails */
	int64_t away_until_ms;
};

struct notices {
	const struct config *config;
	struct notices_options options;
	struct target *targets;
	size_t target_count;
	pthread_t dispatcher;
	bool dispatches;

	pthread_mutex_t lock; /* held for moments */
	pthread_cond_t changed;
	struct noted *inbox, **inbox_last;
	unsigned inbox_count, inbox_dropped;
	unsigned senders;
	bool stopping, look;

	pthread_mutex_t store_lock; /* never taken together with lock */
	struct notices_store *store;
};

int64_t notices_now_ms(void);
bool notices_is_ping(const struct config_notice *target);
bool notices_is_stopping(void *notices);

/* The notice as it is queued for a target; caller: notice_row_done().  Adds "notice" to the
 * document. */
struct notice_row notices_row(const struct config_notice *target, enum notice_kind kind,
    const char *job, const char *run, const char *text, json_t *document);

/* notices_sender.c: a thread that tells a target what is due, unless there is one. */
void notices_start_sender(struct target *target);

#endif
