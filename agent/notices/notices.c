#include "agent/notices/notices.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/notices/notices_internal.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Noted and not queued yet, which lasts while the disk of the state folder is full. */
#define INBOX_MAX 10000
/* The queue is looked at so often though nothing calls for it: the clock may have been set. */
#define LOOK_MS (60 * 1000)
/* A ping tells how it is now; only the newest of a kind is of use. */
#define SAME_PINGS_MAX 1

int64_t
notices_now_ms(void)
{
	struct timespec now = time_now();

	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
notices_is_ping(const struct config_notice *target)
{
	return target->ping_start != NULL || target->ping_success != NULL ||
	    target->ping_fail != NULL;
}

bool
notices_is_stopping(void *arg)
{
	struct notices *notices = arg;
	bool stopping;

	pthread_mutex_lock(&notices->lock);
	stopping = notices->stopping;
	pthread_mutex_unlock(&notices->lock);
	return stopping;
}

int64_t
notice_next_try(int64_t made_ms, int64_t now, unsigned tries, int64_t first_ms,
    int64_t keep_ms, int64_t asked_ms, uint32_t random)
{
	int64_t wait = first_ms;

	if (now - made_ms >= keep_ms)
		return 0;
	for (unsigned i = 1; i < tries && wait < NOTICE_RETRY_MOST_MS; i++)
		wait *= 2;
	if (wait > NOTICE_RETRY_MOST_MS)
		wait = NOTICE_RETRY_MOST_MS;
	/* Between 80 and 120 per cent of it. */
	wait = wait * (80 + random % 41) / 100;
	if (asked_ms > NOTICE_RETRY_MOST_MS)
		asked_ms = NOTICE_RETRY_MOST_MS;
	return now + (wait < asked_ms ? asked_ms : wait);
}

/* ---- what happens to jobs */

static bool
wants_kind(const struct config_notice *target, enum notice_kind kind)
{
	if (kind == NOTICE_TEST)
		return false;
	if (notices_is_ping(target))
		return notice_ping_url(target, kind) != NULL;
	for (size_t i = 0; i < target->on_count; i++)
		if (strcmp(target->on[i], notice_kind_word(kind)) == 0)
			return true;
	return false;
}

static bool
wants(const struct config_notice *target, enum notice_kind kind, const char *job)
{
	if (!wants_kind(target, kind))
		return false;
	for (size_t i = 0; i < target->jobs_count; i++)
		if (strcmp(target->jobs[i], job) == 0)
			return true;
	return target->jobs_count == 0;
}

static enum notice_kind
kind_of(enum job_event event)
{
	switch (event) {
	case JOB_EVENT_STARTED:
		return NOTICE_START;
	case JOB_EVENT_OK:
		return NOTICE_SUCCESS;
	case JOB_EVENT_WARN:
		return NOTICE_WARNING;
	case JOB_EVENT_FAILED:
		return NOTICE_FAILURE;
	case JOB_EVENT_CANCELLED:
		return NOTICE_CANCELLED;
	case JOB_EVENT_SKIPPED:
		return NOTICE_SKIPPED;
	case JOB_EVENT_OVERDUE:
		return NOTICE_OVERDUE;
	case JOB_EVENT_RECOVERED:
		return NOTICE_RECOVERY;
	case JOB_EVENT_JUMP:
		return NOTICE_JUMP;
	case JOB_EVENT_PROVEN:
		return NOTICE_PROOF;
	case JOB_EVENT_UNPROVEN:
		return NOTICE_UNPROVEN;
	}
	return NOTICE_KIND_COUNT;
}

struct notice_row
notices_row(const struct config_notice *target, enum notice_kind kind, const char *job,
    const char *run, const char *text, json_t *document)
{
	struct notice_row row = { .target = mem_strdup(target->name),
		.kind = mem_strdup(notice_kind_word(kind)), .job = mem_strdup(job),
		.run = run == NULL ? NULL : mem_strdup(run), .text = mem_strdup(text),
		.made_ms = notices_now_ms() };

	row.next_ms = row.made_ms;
	json_object_set_new(document, "notice", json_string(target->name));
	row.document = json_dumps(document, JSON_COMPACT);
	return row;
}

/* Takes the row's texts. */
static void
put_into_inbox(struct notices *notices, struct notice_row row, bool ping)
{
	struct noted *noted;

	pthread_mutex_lock(&notices->lock);
	if (notices->inbox_count >= INBOX_MAX) {
		notices->inbox_dropped++;
		pthread_mutex_unlock(&notices->lock);
		notice_row_done(&row);
		return;
	}
	noted = MEM_NEW(struct noted);
	noted->row = row;
	noted->ping = ping;
	*notices->inbox_last = noted;
	notices->inbox_last = &noted->next;
	notices->inbox_count++;
	notices->look = true;
	pthread_cond_broadcast(&notices->changed);
	pthread_mutex_unlock(&notices->lock);
}

void
notices_event(void *arg, enum job_event event, const struct job_state *state, const json_t *run)
{
	struct notices *notices = arg;
	enum notice_kind kind = kind_of(event);
	const char *id = json_string_value(json_object_get(run, "id"));
	json_t *document = NULL;
	char *text = NULL;

	for (size_t i = 0; i < notices->target_count && kind != NOTICE_KIND_COUNT; i++) {
		const struct config_notice *target = notices->targets[i].config;

		if (!wants(target, kind, state->name))
			continue;
		if (document == NULL) {
			text = notice_text(kind, state, run, notices->config->name);
			document = notice_document(kind, state, run, notices->config->name, text);
		}
		put_into_inbox(notices, notices_row(target, kind, state->name, id, text, document),
		    notices_is_ping(target));
	}
	json_decref(document);
	free(text);
}

/* ---- the queue */

/* false: the queue takes nothing now; what is left stays in the inbox. */
static bool
queue_inbox(struct notices *notices)
{
	struct error err = ERROR_INIT;

	for (;;) {
		unsigned dropped = 0, lost;
		struct noted *noted;
		int rc;

		pthread_mutex_lock(&notices->lock);
		noted = notices->inbox;
		lost = notices->inbox_dropped;
		notices->inbox_dropped = 0;
		pthread_mutex_unlock(&notices->lock);
		if (lost > 0)
			log_event(LOG_LEVEL_ERROR, "notices-lost", json_pack("{s:i, s:s}", "count",
			    (int)lost, "reason", "the queue of notices could not be written"));
		if (noted == NULL)
			return true;
		/* Nobody but this thread takes from the inbox, so the first stays the first. */
		pthread_mutex_lock(&notices->store_lock);
		rc = notices_store_add(notices->store, &noted->row,
		    noted->ping ? SAME_PINGS_MAX : NOTICE_SAME_MAX, &dropped, &err);
		pthread_mutex_unlock(&notices->store_lock);
		if (rc != 0) {
			log_error("notice-not-queued", &err, json_pack("{s:s, s:s}", "notice",
			    noted->row.target, "job", noted->row.job));
			return false;
		}
		if (dropped > 0)
			log_event(LOG_LEVEL_WARN, "notice-given-up", json_pack("{s:s, s:i, s:s}",
			    "notice", noted->row.target, "count", (int)dropped, "reason",
			    "too many were waiting"));
		pthread_mutex_lock(&notices->lock);
		notices->inbox = noted->next;
		if (notices->inbox == NULL)
			notices->inbox_last = &notices->inbox;
		notices->inbox_count--;
		pthread_mutex_unlock(&notices->lock);
		notice_row_done(&noted->row);
		free(noted);
	}
}

/* Start what is due; returns when to look again. */
static int64_t
start_due(struct notices *notices)
{
	int64_t wake = notices_now_ms() + LOOK_MS;

	for (size_t i = 0; i < notices->target_count; i++) {
		struct target *target = &notices->targets[i];
		struct error err = ERROR_INIT;
		int64_t due = INT64_MAX, now = notices_now_ms();
		bool busy;
		int rc;

		pthread_mutex_lock(&notices->store_lock);
		rc = notices_store_next(notices->store, target->config->name, &due, &err);
		pthread_mutex_unlock(&notices->store_lock);
		if (rc != 0)
			due = now + NOTICES_TROUBLE_MS;
		pthread_mutex_lock(&notices->lock);
		busy = target->busy;
		/* Later than any try would be put off: the clock was set back. */
		if (target->away_until_ms > now + 2 * NOTICE_RETRY_MOST_MS)
			target->away_until_ms = 0;
		if (due < target->away_until_ms)
			due = target->away_until_ms;
		pthread_mutex_unlock(&notices->lock);
		if (busy)
			continue;
		if (due <= now)
			notices_start_sender(target);
		else if (due < wake)
			wake = due;
	}
	return wake;
}

static void *
dispatcher_main(void *arg)
{
	struct notices *notices = arg;

	while (!notices_is_stopping(notices)) {
		int64_t wait = queue_inbox(notices) ? LOOK_MS : NOTICES_TROUBLE_MS, due;
		struct timespec until;

		due = start_due(notices) - notices_now_ms();
		if (due < wait)
			wait = due < 1 ? 1 : due;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += wait / 1000;
		until.tv_nsec += wait % 1000 * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		pthread_mutex_lock(&notices->lock);
		if (!notices->look && !notices->stopping)
			pthread_cond_timedwait(&notices->changed, &notices->lock, &until);
		notices->look = false;
		pthread_mutex_unlock(&notices->lock);
	}
	return NULL;
}

/* ---- looking */

static json_t *
targets_json(struct notices *notices)
{
	json_t *list = json_array();

	for (size_t i = 0; i < notices->target_count; i++) {
		struct target *target = &notices->targets[i];
		const struct config_notice *config = target->config;
		json_t *on = json_array(), *jobs = json_array(), *away = json_null();
		struct error ignored = ERROR_INIT;
		uint64_t waiting = 0;

		for (int kind = 0; kind < NOTICE_KIND_COUNT; kind++)
			if (wants_kind(config, (enum notice_kind)kind))
				json_array_append_new(on,
				    json_string(notice_kind_word((enum notice_kind)kind)));
		for (size_t j = 0; j < config->jobs_count; j++)
			json_array_append_new(jobs, json_string(config->jobs[j]));
		pthread_mutex_lock(&notices->store_lock);
		notices_store_count(notices->store, config->name, &waiting, &ignored);
		pthread_mutex_unlock(&notices->store_lock);
		pthread_mutex_lock(&notices->lock);
		if (target->away_until_ms > 0)
			away = notice_time_json(target->away_until_ms);
		pthread_mutex_unlock(&notices->lock);
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:I, s:o}", "name",
		    config->name, "to", target->text, "on", on, "jobs", jobs, "waiting",
		    (json_int_t)waiting, "away_until", away));
	}
	return list;
}

static int
check_list(struct notices *notices, const char *state, const char *name, const char *cursor,
    int64_t *ret_before, struct error *err)
{
	char *end;

	if (state != NULL && !text_is_word_of(state, NOTICE_STATES)) {
		error_set(err, ERROR_BAD_REQUEST, "'%.40s' is no state of a notice", state);
		return error_hint(err, "the states are waiting, sent and given-up");
	}
	if (name != NULL && config_notice_find(notices->config, name) == NULL) {
		error_set(err, ERROR_NOT_FOUND, "there is no notice '%.100s'", name);
		return error_hint(err, "GET /v1/notices lists them");
	}
	*ret_before = 0;
	if (cursor == NULL)
		return 0;
	*ret_before = strtoll(cursor, &end, 10);
	if (*cursor < '1' || *cursor > '9' || *end != '\0' || strlen(cursor) > 18)
		return error_set(err, ERROR_BAD_REQUEST, "'%.40s' is no cursor of this list",
		    cursor);
	return 0;
}

int
notices_list(struct notices *notices, const char *state, const char *name,
    const char *cursor, unsigned limit, json_t **ret, struct error *err)
{
	enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };
	json_t *list = json_array(), *next = json_null();
	int64_t before = 0;
	int rc = 0;

	if (limit == 0)
		limit = LIMIT_DEFAULT;
	if (limit > LIMIT_MAX)
		limit = LIMIT_MAX;
	if (check_list(notices, state, name, cursor, &before, err) != 0) {
		json_decref(list);
		return -1;
	}
	if (notices->store != NULL) {
		json_decref(list);
		pthread_mutex_lock(&notices->store_lock);
		rc = notices_store_list(notices->store, state, name, before, limit, &list, err);
		pthread_mutex_unlock(&notices->store_lock);
		if (rc != 0)
			return -1;
	}
	if (json_array_size(list) == limit) {
		char *text = mem_printf("%lld", (long long)json_integer_value(json_object_get(
		    json_array_get(list, limit - 1), "id")));

		next = json_string(text);
		free(text);
	}
	*ret = json_pack("{s:o, s:o, s:o}", "notices", list, "next", next, "targets",
	    targets_json(notices));
	return 0;
}

uint64_t
notices_waiting(struct notices *notices)
{
	struct error ignored = ERROR_INIT;
	uint64_t count = 0;

	if (notices->store == NULL)
		return 0;
	pthread_mutex_lock(&notices->store_lock);
	notices_store_count(notices->store, NULL, &count, &ignored);
	pthread_mutex_unlock(&notices->store_lock);
	return count;
}

/* ---- life */

static int
open_store(struct notices *notices, struct error *err)
{
	const char **names = mem_calloc(notices->target_count, sizeof(*names));
	char *aside = NULL;
	unsigned gone = 0;
	int rc;

	for (size_t i = 0; i < notices->target_count; i++)
		names[i] = notices->targets[i].config->name;
	rc = notices_store_open(notices->config->state, &notices->store, &aside, err);
	if (aside != NULL)
		log_event(LOG_LEVEL_ERROR, "notices-damaged", json_pack("{s:s}", "moved_to",
		    aside));
	if (rc == 0)
		rc = notices_store_keep_targets(notices->store, names, notices->target_count,
		    notices_now_ms(), &gone, err);
	if (gone > 0)
		log_event(LOG_LEVEL_WARN, "notice-given-up", json_pack("{s:i, s:s}", "count",
		    (int)gone, "reason", "the configuration has no such notice any more"));
	free(aside);
	free(names);
	return rc;
}

int
notices_open(const struct config *config, const struct notices_options *options,
    struct notices **ret, struct error *err)
{
	struct notices *notices = MEM_NEW(struct notices);
	pthread_condattr_t monotonic;

	notices->config = config;
	if (options != NULL)
		notices->options = *options;
	if (notices->options.retry_first_ms == 0)
		notices->options.retry_first_ms = NOTICE_RETRY_FIRST_MS;
	notices->inbox_last = &notices->inbox;
	pthread_mutex_init(&notices->lock, NULL);
	pthread_mutex_init(&notices->store_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&notices->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	notices->targets = mem_calloc(config->notice_count, sizeof(*notices->targets));
	notices->target_count = config->notice_count;
	for (size_t i = 0; i < config->notice_count; i++)
		notices->targets[i] = (struct target){ .notices = notices,
			.config = config->notices[i],
			.text = notice_target_text(config->notices[i]) };
	if (config->notice_count > 0) {
		if (open_store(notices, err) != 0) {
			notices_close(notices);
			return -1;
		}
		notices->dispatches =
		    pthread_create(&notices->dispatcher, NULL, dispatcher_main, notices) == 0;
		if (!notices->dispatches) {
			notices_close(notices);
			return error_set(
			    err, ERROR_IO, "could not start the thread of the notices");
		}
	}
	*ret = notices;
	return 0;
}

void
notices_close(struct notices *notices)
{
	struct noted *noted;

	if (notices == NULL)
		return;
	pthread_mutex_lock(&notices->lock);
	notices->stopping = true;
	pthread_cond_broadcast(&notices->changed);
	pthread_mutex_unlock(&notices->lock);
	if (notices->dispatches)
		pthread_join(notices->dispatcher, NULL);
	pthread_mutex_lock(&notices->lock);
	while (notices->senders > 0)
		pthread_cond_wait(&notices->changed, &notices->lock);
	pthread_mutex_unlock(&notices->lock);
	if (notices->store != NULL)
		queue_inbox(notices);
	while ((noted = notices->inbox) != NULL) {
		notices->inbox = noted->next;
		notice_row_done(&noted->row);
		free(noted);
	}
	notices_store_close(notices->store);
	for (size_t i = 0; i < notices->target_count; i++)
		free(notices->targets[i].text);
	free(notices->targets);
	pthread_cond_destroy(&notices->changed);
	pthread_mutex_destroy(&notices->store_lock);
	pthread_mutex_destroy(&notices->lock);
	free(notices);
}
