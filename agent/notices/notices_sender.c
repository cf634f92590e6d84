/*
 * Telling a target: the threads that try what is due, and what is asked for at once.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/notices/notices_internal.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/text.h"

/* The document says for how many it stands by now; heap. */
static char *
final_document(const struct notice_row *row)
{
	json_t *document = json_loads(row->document, 0, NULL);
	char *text;

	if (document == NULL)
		return mem_strdup(row->document);
	json_object_set_new(document, "merged", json_integer(row->merged));
	text = json_dumps(document, JSON_COMPACT);
	json_decref(document);
	return text;
}

static int
send_row(struct target *target, const struct notice_row *row, bool (*cancelled)(void *arg),
    void *arg, struct notice_answer *ret, struct error *err)
{
	struct notices *notices = target->notices;
	char *document = final_document(row);
	struct notice notice = { .kind = notice_kind_find(row->kind), .job = row->job,
		.text = row->text, .document = document, .made_ms = row->made_ms,
		.cancelled = cancelled, .arg = arg };
	int rc;

	*ret = (struct notice_answer){ .away = false };
	if (notice.kind == NOTICE_KIND_COUNT)
		rc = error_set(err, ERROR_UNSUPPORTED, "this program knows no notice '%s'",
		    row->kind);
	else if (notices->options.send != NULL)
		rc = notices->options.send(notices->options.arg, target->config, &notice, ret, err);
	else
		rc = notice_send(target->config, &notice, ret, err);
	free(document);
	return rc;
}

/* Once, and not at every try of a night. */
static void
tell_state(struct target *target, const struct error *why)
{
	bool tell;

	pthread_mutex_lock(&target->notices->lock);
	tell = target->told != (why != NULL);
	target->told = why != NULL;
	pthread_mutex_unlock(&target->notices->lock);
	if (!tell)
		return;
	if (why != NULL)
		log_error("notice-not-sent", why, json_pack("{s:s, s:s}", "notice",
		    target->config->name, "to", target->text));
	else
		log_event(LOG_LEVEL_INFO, "notices-sent-again", json_pack("{s:s, s:s}", "notice",
		    target->config->name, "to", target->text));
}

static void
set_away(struct target *target, int64_t until_ms)
{
	pthread_mutex_lock(&target->notices->lock);
	target->away_until_ms = until_ms;
	pthread_mutex_unlock(&target->notices->lock);
}

/* What came of a try.  false: nothing more is to be told there now. */
static bool
settle(struct target *target, const struct notice_row *row, int rc,
    const struct notice_answer *answer, const struct error *why)
{
	struct notices *notices = target->notices;
	struct error err = ERROR_INIT;
	int64_t now = notices_now_ms(), next = 0;
	char *message = rc == 0 ? NULL : text_printable(why->message, strlen(why->message));
	int saved;

	if (rc != 0)
		next = notice_next_try(row->made_ms, now, row->tries + 1,
		    notices->options.retry_first_ms, notices_is_ping(target->config)
		    ? NOTICE_KEEP_PING_MS : NOTICE_KEEP_MS, answer->retry_after_s * 1000,
		    randombytes_random());
	pthread_mutex_lock(&notices->store_lock);
	saved = notices_store_tried(notices->store, row->id, now, next, message,
	    rc == 0 ? answer->said : NULL, &err);
	pthread_mutex_unlock(&notices->store_lock);
	tell_state(target, rc == 0 ? NULL : why);
	if (rc != 0 && next == 0)
		log_error("notice-given-up", why, json_pack("{s:s, s:s, s:s, s:i}", "notice",
		    row->target, "kind", row->kind, "job", row->job, "tries",
		    (int)row->tries + 1));
	if (saved != 0) {
		/* It may be told twice; not again and again. */
		log_error("notice-not-saved", &err, json_pack("{s:s}", "notice", row->target));
		set_away(target, now + NOTICES_TROUBLE_MS);
	} else {
		set_away(target, rc != 0 && answer->away && next > 0 ? next : 0);
	}
	free(message);
	return saved == 0 && (rc == 0 || !answer->away);
}

/* The oldest that is due, unless the target is away. */
static int
next_row(struct target *target, struct notice_row *ret)
{
	struct notices *notices = target->notices;
	struct error err = ERROR_INIT;
	int64_t now = notices_now_ms();
	int rc;

	pthread_mutex_lock(&notices->store_lock);
	rc = notices_store_due(notices->store, target->config->name, now, ret, &err);
	pthread_mutex_unlock(&notices->store_lock);
	if (rc < 0) {
		log_error("notices-not-read", &err, NULL);
		set_away(target, now + NOTICES_TROUBLE_MS);
	}
	return rc;
}

static void
give_back(struct target *target)
{
	struct notices *notices = target->notices;

	pthread_mutex_lock(&notices->lock);
	target->busy = false;
	notices->senders--;
	notices->look = true;
	pthread_cond_broadcast(&notices->changed);
	pthread_mutex_unlock(&notices->lock);
}

static void *
sender_main(void *arg)
{
	struct target *target = arg;
	struct notices *notices = target->notices;
	bool more = true;

	while (more && !notices_is_stopping(notices)) {
		struct notice_row row = { .id = 0 };
		struct notice_answer answer;
		struct error why = ERROR_INIT;
		int rc;

		if (next_row(target, &row) != 1)
			break;
		rc = send_row(target, &row, notices_is_stopping, notices, &answer, &why);
		/* One that our own stop cut short was not tried. */
		if (rc == 0 || !notices_is_stopping(notices))
			more = settle(target, &row, rc, &answer, &why);
		notice_row_done(&row);
	}
	give_back(target);
	return NULL;
}

void
notices_start_sender(struct target *target)
{
	struct notices *notices = target->notices;
	pthread_attr_t attributes;
	pthread_t thread;
	int sys;

	pthread_mutex_lock(&notices->lock);
	if (target->busy) { /* by a test, in between */
		pthread_mutex_unlock(&notices->lock);
		return;
	}
	target->busy = true;
	notices->senders++;
	pthread_mutex_unlock(&notices->lock);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sys = pthread_create(&thread, &attributes, sender_main, target);
	pthread_attr_destroy(&attributes);
	if (sys == 0)
		return;
	pthread_mutex_lock(&notices->lock);
	target->busy = false;
	notices->senders--;
	target->away_until_ms = notices_now_ms() + NOTICES_TROUBLE_MS;
	pthread_mutex_unlock(&notices->lock);
}

/* ---- asked for */

/* Whoever asked has gone, or the agent stops. */
struct patience {
	struct notices *notices;
	bool (*cancelled)(void *arg);
	void *arg;
};

static bool
is_over(void *arg)
{
	struct patience *patience = arg;

	return notices_is_stopping(patience->notices) ||
	    (patience->cancelled != NULL && patience->cancelled(patience->arg));
}

/* Until nothing else is being told there.  false: it is over. */
static bool
take(struct target *target, struct patience *patience)
{
	struct notices *notices = target->notices;
	bool taken = false;

	while (!taken && !is_over(patience)) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		pthread_mutex_lock(&notices->lock);
		if (target->busy)
			pthread_cond_timedwait(&notices->changed, &notices->lock, &until);
		taken = !target->busy && !notices->stopping;
		if (taken) {
			target->busy = true;
			notices->senders++;
		}
		pthread_mutex_unlock(&notices->lock);
	}
	return taken;
}

static struct target *
target_of(struct notices *notices, const char *name, struct error *err)
{
	for (size_t i = 0; i < notices->target_count; i++)
		if (strcmp(notices->targets[i].config->name, name) == 0)
			return &notices->targets[i];
	error_set(err, ERROR_NOT_FOUND, "there is no notice '%.100s'", name);
	error_hint(err, "GET /v1/notices lists them");
	return NULL;
}

static void
note_test(struct notices *notices, const struct notice_row *row, const struct error *why,
    const char *said)
{
	struct error err = ERROR_INIT;
	char *message = why->code == ERROR_NONE ? NULL
	    : text_printable(why->message, strlen(why->message));

	pthread_mutex_lock(&notices->store_lock);
	if (notices_store_note(notices->store, row, notices_now_ms(), message,
	    message == NULL ? said : NULL, &err) != 0)
		log_error("notice-not-saved", &err, json_pack("{s:s}", "notice", row->target));
	pthread_mutex_unlock(&notices->store_lock);
	free(message);
}

int
notices_test(struct notices *notices, const char *name, bool (*cancelled)(void *arg),
    void *arg, json_t **ret, struct error *err)
{
	struct patience patience = { notices, cancelled, arg };
	struct target *target = target_of(notices, name, err);
	const char *agent = notices->config->name;
	struct notice_row row;
	struct notice_answer answer;
	struct error why = ERROR_INIT;
	json_t *document;
	int64_t began = time_monotonic_ms();
	char *text;
	int rc;

	if (target == NULL)
		return -1;
	if (!take(target, &patience))
		return error_set(err, ERROR_CANCELLED, "notice '%s' was not tried any more", name);
	text = notice_text(NOTICE_TEST, NULL, NULL, agent);
	document = notice_document(NOTICE_TEST, NULL, NULL, agent, text);
	row = notices_row(target->config, NOTICE_TEST, "", NULL, text, document);
	rc = send_row(target, &row, is_over, &patience, &answer, &why);
	note_test(notices, &row, &why, answer.said);
	give_back(target);
	if (rc == 0)
		*ret = json_pack("{s:s, s:s, s:s, s:I}", "notice", name, "to", target->text, "said",
		    answer.said, "duration_ms", (json_int_t)(time_monotonic_ms() - began));
	else
		*err = why;
	notice_row_done(&row);
	json_decref(document);
	free(text);
	return rc;
}
