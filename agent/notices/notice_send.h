/*
 * One notice told to one target, once, by the way that its section names.
 *
 * Every way is a program that is started (agent/jobs/command.h): holdfast-post for what goes over
 * HTTP, sendmail, the section's own command.  Texts from outside are printable before they get
 * here, and nothing of them reaches an argument, or a field of a header but a mail's subject.
 */
#ifndef HOLDFAST_AGENT_NOTICES_NOTICE_SEND_H
#define HOLDFAST_AGENT_NOTICES_NOTICE_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/notices/kinds.h"
#include "shared/error.h"

struct notice {
	enum notice_kind kind;
	const char *job;      /* "" for a test */
	const char *text;     /* one line */
	const char *document; /* JSON: see agent/notices/notices.h */
	int64_t made_ms;
	/* What was asked for to end it early; NULL: nothing. */
	bool (*cancelled)(void *arg);
	void *arg;
};

struct notice_answer {
	bool away;             /* nobody was there: others would fail, too */
	int64_t retry_after_s; /* asked for by the target; 0: it did not say */
	char said[512];        /* on success: what it said, "" if nothing */
};

/* ERROR_UNAVAILABLE, ERROR_IO, ERROR_CONFIG; ret is set in any case. */
int notice_send(const struct config_notice *target, const struct notice *notice,
    struct notice_answer *ret, struct error *err);

/* What a watch is asked for, or NULL. */
const char *notice_ping_url(const struct config_notice *target, enum notice_kind kind);

/* The mail as sendmail reads it; heap. */
char *notice_mail(const struct config_notice *target, const struct notice *notice);

/* What a target is told by and where, without what may be secret of it; heap: "webhook
 * https://host". */
char *notice_target_text(const struct config_notice *target);

#endif
