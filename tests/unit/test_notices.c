/*
 * Notices: the queue, what they say, and who is told what in which order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/notices/notices.h"
#include "agent/notices/notices_store.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_folder.h"

static char *
text(const char *literal)
{
	return (char *)(uintptr_t)literal;
}

static int
setup(void **state)
{
	*state = test_folder_new_in_memory();
	return 0;
}

static int
teardown(void **state)
{
	test_folder_remove(*state);
	return 0;
}

/* ---- the queue */

static struct notices_store *
open_store(const char *folder)
{
	struct notices_store *store = NULL;
	struct error err = ERROR_INIT;
	char *aside = NULL;

	if (notices_store_open(folder, &store, &aside, &err) != 0)
		fail_msg("%s", err.message);
	assert_null(aside);
	return store;
}

static unsigned
add(struct notices_store *store, const char *target, const char *job, const char *says,
    int64_t made_ms)
{
	struct notice_row row = { .target = text(target), .kind = text("failure"),
		.job = text(job), .text = text(says), .document = text("{}"), .made_ms = made_ms,
		.next_ms = made_ms };
	struct error err = ERROR_INIT;
	unsigned dropped = 0;

	assert_int_equal(notices_store_add(store, &row, NOTICE_SAME_MAX, &dropped, &err), 0);
	return dropped;
}

/* The text of what is due, and its id; "" if nothing is. */
static const char *
due(struct notices_store *store, const char *target, int64_t now_ms, int64_t *ret_id)
{
	static char says[64];
	struct notice_row row = { .id = 0 };
	struct error err = ERROR_INIT;
	int rc = notices_store_due(store, target, now_ms, &row, &err);

	assert_in_range(rc, 0, 1);
	snprintf(says, sizeof(says), "%s%s", rc == 1 ? row.text : "", row.merged > 0 ? " +" : "");
	if (row.merged > 0)
		snprintf(says, sizeof(says), "%s +%u", row.text, row.merged);
	*ret_id = row.id;
	notice_row_done(&row);
	return says;
}

static void
the_oldest_that_is_due_comes_first_also_after_a_restart(void **state)
{
	struct notices_store *store = open_store(*state);
	struct error err = ERROR_INIT;
	int64_t id, next;

	add(store, "ops", "home", "one", 1000);
	add(store, "other", "home", "not mine", 1000);
	add(store, "ops", "etc", "two", 2000);
	assert_string_equal(due(store, "ops", 999, &id), "");
	assert_string_equal(due(store, "ops", 5000, &id), "one");
	/* One that failed waits, and lets others by. */
	assert_int_equal(notices_store_tried(store, id, 5000, 9000, "no", NULL, &err), 0);
	assert_string_equal(due(store, "ops", 5000, &id), "two");
	assert_int_equal(notices_store_next(store, "ops", &next, &err), 0);
	assert_int_equal(next, 2000);
	assert_int_equal(notices_store_tried(store, id, 5000, 9500, "no", NULL, &err), 0);
	assert_string_equal(due(store, "ops", 5000, &id), "");
	notices_store_close(store);
	store = open_store(*state);
	assert_string_equal(due(store, "ops", 5000, &id), "one");
	assert_int_equal(notices_store_tried(store, id, 6000, 0, NULL, "thanks", &err), 0);
	assert_string_equal(due(store, "ops", 5000, &id), "two");
	assert_int_equal(notices_store_tried(store, id, 6000, 0, "too old", NULL, &err), 0);
	assert_int_equal(notices_store_next(store, "ops", &next, &err), 0);
	assert_true(next == INT64_MAX);
	notices_store_close(store);
}

static void
what_became_of_each_is_listed_newest_first(void **state)
{
	struct notices_store *store = open_store(*state);
	struct error err = ERROR_INIT;
	json_t *list = NULL;
	int64_t id;
	char *dump;

	add(store, "ops", "home", "one", 1000);
	due(store, "ops", 1000, &id);
	notices_store_tried(store, id, 2000, 0, NULL, "HTTP 200", &err);
	add(store, "ops", "home", "two", 3000);
	due(store, "ops", 3000, &id);
	notices_store_tried(store, id, 4000, 64000, "away", NULL, &err);
	assert_int_equal(notices_store_list(store, NULL, NULL, 0, 10, &list, &err), 0);
	dump = json_dumps(list, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal(dump, "[{\"id\":2,\"notice\":\"ops\",\"kind\":\"failure\","
	    "\"job\":\"home\",\"run\":null,\"text\":\"two\",\"made\":\"1970-01-01T00:00:03.000Z\","
	    "\"state\":\"waiting\",\"tries\":1,\"next\":\"1970-01-01T00:01:04.000Z\","
	    "\"ended\":null,\"error\":\"away\",\"said\":null,\"merged\":0},"
	    "{\"id\":1,\"notice\":\"ops\",\"kind\":\"failure\","
	    "\"job\":\"home\",\"run\":null,\"text\":\"one\",\"made\":\"1970-01-01T00:00:01.000Z\","
	    "\"state\":\"sent\",\"tries\":1,\"next\":null,\"ended\":\"1970-01-01T00:00:02.000Z\","
	    "\"error\":null,\"said\":\"HTTP 200\",\"merged\":0}]");
	free(dump);
	json_decref(list);
	assert_int_equal(notices_store_list(store, "sent", "ops", 0, 10, &list, &err), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	assert_int_equal(notices_store_list(store, NULL, NULL, 2, 10, &list, &err), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	notices_store_close(store);
}

static void
the_oldest_of_the_same_kind_and_job_are_merged(void **state)
{
	struct notices_store *store = open_store(*state);
	struct error err = ERROR_INIT;
	uint64_t count = 0;
	char says[16];
	int64_t id;

	add(store, "ops", "etc", "other job", 1);
	for (int i = 0; i < NOTICE_SAME_MAX + 3; i++) {
		snprintf(says, sizeof(says), "%d", i);
		assert_int_equal(add(store, "ops", "home", says, 100 + i), 0);
	}
	assert_int_equal(notices_store_count(store, "ops", &count, &err), 0);
	assert_int_equal(count, NOTICE_SAME_MAX + 1);
	assert_string_equal(due(store, "ops", 1000, &id), "other job");
	notices_store_tried(store, id, 1000, 0, NULL, "", &err);
	/* 0, 1 and 2 are gone; 3 stands for them. */
	assert_string_equal(due(store, "ops", 1000, &id), "3 +3");
	notices_store_tried(store, id, 1000, 0, NULL, "", &err);
	assert_string_equal(due(store, "ops", 1000, &id), "4");
	notices_store_close(store);
}

static void
the_number_that_waits_for_a_target_is_bounded(void **state)
{
	struct notices_store *store = open_store(*state);
	struct error err = ERROR_INIT;
	json_t *list = NULL;
	uint64_t count = 0;
	char job[16];

	for (int i = 0; i < NOTICE_WAITING_MAX + 2; i++) {
		snprintf(job, sizeof(job), "j%d", i);
		assert_int_equal(add(store, "ops", job, job, 100 + i),
		    i < NOTICE_WAITING_MAX ? 0 : 1);
	}
	assert_int_equal(notices_store_count(store, "ops", &count, &err), 0);
	assert_int_equal(count, NOTICE_WAITING_MAX);
	assert_int_equal(notices_store_list(store, "given-up", NULL, 0, 10, &list, &err), 0);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "text")),
	    "j0");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "error")),
	    "too many were waiting");
	json_decref(list);
	notices_store_close(store);
}

static void
what_waits_for_a_section_that_is_gone_is_given_up(void **state)
{
	const char *const kept[] = { "ops" };
	struct notices_store *store = open_store(*state);
	struct error err = ERROR_INIT;
	unsigned gone = 0;
	int64_t id;

	add(store, "ops", "home", "one", 1);
	add(store, "old", "home", "two", 1);
	assert_int_equal(notices_store_keep_targets(store, kept, 1, 5, &gone, &err), 0);
	assert_int_equal(gone, 1);
	assert_string_equal(due(store, "old", 100, &id), "");
	assert_string_equal(due(store, "ops", 100, &id), "one");
	notices_store_close(store);
}

static void
tries_become_rarer_and_end_after_a_week(void **state)
{
	static const struct {
		int64_t age_ms;
		unsigned tries;
		int64_t asked_ms;
		uint32_t random;
		int64_t wait_ms;
	} cases[] = {
		{ 0, 1, 0, 20, 5000 },
		{ 0, 1, 0, 0, 4000 },
		{ 0, 1, 0, 40, 6000 },
		{ 0, 2, 0, 20, 10000 },
		{ 0, 3, 0, 41 + 20, 20000 },
		{ 0, 11, 0, 20, 3600000 },
		{ 0, UINT32_MAX, 0, 20, 3600000 },
		{ 0, 1, 30000, 20, 30000 },
		{ 0, 1, INT64_MAX, 20, 3600000 },
		{ -1000, 1, 0, 20, 5000 }, /* the clock was set back */
		{ NOTICE_KEEP_MS - 1, 1, 0, 20, 5000 },
		{ NOTICE_KEEP_MS, 1, 0, 20, 0 },
	};
	const int64_t now = INT64_C(1800000000000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t next = notice_next_try(now - cases[i].age_ms, now, cases[i].tries, 5000,
		    NOTICE_KEEP_MS, cases[i].asked_ms, cases[i].random);

		assert_int_equal(next, cases[i].wait_ms == 0 ? 0 : now + cases[i].wait_ms);
	}
}

/* ---- what they say */

static void
the_line_for_people_tells_what_happened(void **state)
{
	static const struct {
		enum notice_kind kind;
		const char *run, *line;
	} cases[] = {
		{ NOTICE_SUCCESS, "{\"files\": 12, \"bytes\": 2048}",
		    "web1: job home ended ok: 12 files, 2.0 KiB, 5 B added" },
		{ NOTICE_WARNING, "{\"loss_total\": 2, \"losses\": [{\"path\": \"/a\", \"reason\": "
		    "\"Permission denied\"}, {}]}",
		    "web1: job home ended with a warning: 2 paths lost: /a (Permission denied), "
		    "..." },
		{ NOTICE_WARNING,
		    "{\"loss_total\": 0, \"result\": {\"hook_failed\": \"after: x\"}}",
		    "web1: job home ended with a warning: after: x" },
		{ NOTICE_FAILURE,
		    "{\"outcome\": \"failed\", \"error\": {\"message\": \"disk full\"}}",
		    "web1: job home failed: disk full" },
		{ NOTICE_FAILURE, "{\"outcome\": \"aborted\", \"error\": null}",
		    "web1: job home was cut off: no reason is known" },
		{ NOTICE_FAILURE, "{\"error\": {\"message\": \"a\\nSubject: b\\u001b[31m\"}}",
		    "web1: job home failed: a\\x0aSubject: b\\x1b[31m" },
		{ NOTICE_SKIPPED, "{\"error\": {\"message\": \"the last run goes on\"}}",
		    "web1: job home was skipped: the last run goes on" },
		{ NOTICE_OVERDUE, NULL,
		    "web1: job home is overdue: the last success was at 1970-01-01T00:00:01Z" },
		{ NOTICE_RECOVERY, NULL,
		    "web1: job home has succeeded again, after it was overdue" },
		{ NOTICE_JUMP, "{\"result\": {\"jumps\": [{\"figure\": \"files\", \"value\": 3, "
		    "\"usual\": 900}]}}",
		    "web1: job home has figures far from its usual ones: files 3, usually 900" },
		{ NOTICE_PROOF, "{\"result\": {\"files\": {\"count\": 20}, \"tables\": null}}",
		    "web1: job home was restored for a test, and all was as it should be: 20 files, "
		    "0 tables" },
		{ NOTICE_UNPROVEN, "{\"error\": {\"message\": \"1 of 20 files did not come back\"}}",
		    "web1: job home has a backup that was not restored for a test: 1 of 20 files did "
		    "not come back" },
	};
	struct job_state job = { .name = text("home"), .last_success_ms = 1000,
		.last_added_bytes = 5 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *run = cases[i].run == NULL ? NULL : json_loads(cases[i].run, 0, NULL);
		char *line = notice_text(cases[i].kind, &job, run, "web1");

		assert_string_equal(line, cases[i].line);
		free(line);
		json_decref(run);
	}
}

static void
the_document_is_bounded_however_much_was_lost(void **state)
{
	struct job_state job = { .name = text("home") };
	json_t *run = json_pack("{s:s, s:i, s:[]}", "id", "abcd", "loss_total", 1000, "losses");
	json_t *document;

	(void)state;
	for (int i = 0; i < 1000; i++)
		json_array_append_new(json_object_get(run, "losses"), json_pack("{s:s, s:s}",
		    "path", "/x", "reason", "y"));
	document = notice_document(NOTICE_WARNING, &job, run, "web1", "a line");
	assert_string_equal(json_string_value(json_object_get(document, "kind")), "warning");
	assert_string_equal(json_string_value(json_object_get(document, "text")), "a line");
	assert_int_equal(json_array_size(json_object_get(json_object_get(document, "run"),
	    "losses")), 5);
	assert_true(json_is_null(json_object_get(document, "last_success")));
	json_decref(document);
	json_decref(run);
}

/* The head of a mail, and its body decoded. */
static char *
mail_of(const char *line, char **ret_body)
{
	char *addresses[] = { text("ops@example.org"), text("root") };
	struct config_notice target = { .mail = addresses, .mail_count = 2,
		.mail_from = text("holdfast@example.org") };
	struct notice notice = { .kind = NOTICE_FAILURE, .job = "home", .text = line,
		.document = "{\"kind\": \"failure\", \"text\": \"\xc3\xa4\\n.\\n\"}" };
	char *mail = notice_mail(&target, &notice), *split = strstr(mail, "\n\n");
	size_t len = 0;

	assert_non_null(split);
	*ret_body = mem_calloc(1, strlen(split) + 1);
	assert_int_equal(sodium_base642bin((unsigned char *)*ret_body, strlen(split), split,
	    strlen(split), "\n", &len, NULL, sodium_base64_VARIANT_ORIGINAL), 0);
	split[1] = '\0';
	return mail;
}

#define MAIL_HEAD(subject) "To: ops@example.org,\n root\nFrom: holdfast@example.org\n" \
	"Subject: " subject "\nAuto-Submitted: auto-generated\nPrecedence: bulk\n" \
	"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" \
	"Content-Transfer-Encoding: base64\n"

#define EURO "\xe2\x82\xac"

static void
a_mail_has_the_fields_that_it_should_have_and_no_others(void **state)
{
	char *body, *mail = mail_of("web1: job home failed", &body);

	(void)state;
	assert_string_equal(mail, MAIL_HEAD("web1: job home failed"));
	assert_string_equal(body, "web1: job home failed\n\n"
	    "{\n  \"kind\": \"failure\",\n  \"text\": \"\\u00E4\\n.\\n\"\n}\n");
	free(body);
	free(mail);
	/* No text gets a line of its own. */
	mail = mail_of("x\nBcc: all@example.org\r\n\r\nbody", &body);
	assert_string_equal(mail,
	    MAIL_HEAD("x\\x0aBcc: all@example.org\\x0d\\x0a\\x0d\\x0abody"));
	free(body);
	free(mail);
	/* Other characters are encoded, and none is cut in two. */
	mail = mail_of("job gro\xc3\x9f" "e " EURO EURO EURO EURO EURO EURO EURO EURO EURO EURO
	    EURO EURO EURO, &body);
	assert_non_null(strstr(mail, "Subject: =?UTF-8?B?am9iIGdyb8OfZSDigqzigqzigqzigq"
	    "zigqzigqzigqzigqzigqzigqzigqw=?=\n"
	    " =?UTF-8?B?4oKs4oKs?=\n"));
	free(body);
	free(mail);
}

static void
what_is_shown_of_a_target_holds_no_secret(void **state)
{
	struct config_notice hook = { .webhook = text("https://hooks.example.org/T0/secret?k=1") };
	struct config_notice ping = { .ping_fail = text("https://watch.example.org/uuid") };
	struct config_notice command = { .command = text("/usr/bin/tell --token secret") };
	char *one = notice_target_text(&hook), *two = notice_target_text(&ping);
	char *three = notice_target_text(&command);

	(void)state;
	assert_string_equal(one, "webhook https://hooks.example.org");
	assert_string_equal(two, "ping https://watch.example.org");
	assert_string_equal(three, "command /usr/bin/tell");
	free(three);
	free(two);
	free(one);
}

/* ---- who is told */

/* A receiver: each line it is told, and whether it is there. */
struct receiver {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *heard;        /* lines */
	unsigned tries, at_once, most_at_once;
	bool away, refuses, holds;
};

static int
hear(void *arg, const struct config_notice *target, const struct notice *notice,
    struct notice_answer *ret, struct error *err)
{
	struct receiver *receiver = arg;
	json_t *document = json_loads(notice->document, 0, NULL);
	char *more;
	int rc = 0;

	assert_non_null(document);
	assert_string_equal(json_string_value(json_object_get(document, "notice")), target->name);
	pthread_mutex_lock(&receiver->lock);
	receiver->tries++;
	if (++receiver->at_once > receiver->most_at_once)
		receiver->most_at_once = receiver->at_once;
	pthread_cond_broadcast(&receiver->changed);
	while (receiver->holds && !notice->cancelled(notice->arg)) {
		pthread_mutex_unlock(&receiver->lock);
		usleep(1000);
		pthread_mutex_lock(&receiver->lock);
	}
	if (receiver->away) {
		ret->away = true;
		rc = error_set(err, ERROR_UNAVAILABLE, "nobody there");
	} else if (receiver->refuses && notice->kind == NOTICE_FAILURE) {
		rc = error_set(err, ERROR_IO, "refused");
	} else {
		more = mem_printf("%s%s %s %s\n", receiver->heard == NULL ? "" : receiver->heard,
		    target->name, notice_kind_word(notice->kind), notice->job);
		free(receiver->heard);
		receiver->heard = more;
		snprintf(ret->said, sizeof(ret->said), "heard");
	}
	receiver->at_once--;
	pthread_cond_broadcast(&receiver->changed);
	pthread_mutex_unlock(&receiver->lock);
	json_decref(document);
	return rc;
}

struct fixture {
	char *folder;
	struct config_notice all, few, ping;
	struct config_notice *list[3];
	struct config config;
	struct receiver receiver;
	struct notices *notices;
};

static void
start(struct fixture *f)
{
	struct notices_options options = { .send = hear, .arg = &f->receiver,
		.retry_first_ms = 20 };
	struct error err = ERROR_INIT;

	if (notices_open(&f->config, &options, &f->notices, &err) != 0)
		fail_msg("%s", err.message);
}

static int
setup_notices(void **state)
{
	static char *on_all[4], *on_few[1], *jobs[1];
	struct fixture *f = MEM_NEW(struct fixture);

	on_all[0] = text("failure");
	on_all[1] = text("success");
	on_all[2] = text("overdue");
	on_all[3] = text("recovery");
	on_few[0] = text("failure");
	jobs[0] = text("etc");
	f->folder = test_folder_new_in_memory();
	f->all = (struct config_notice){ .name = text("all"), .on = on_all, .on_count = 4,
		.command = text("/bin/true"), .timeout_s = 10 };
	f->few = (struct config_notice){ .name = text("few"), .on = on_few, .on_count = 1,
		.jobs = jobs, .jobs_count = 1, .command = text("/bin/true"), .timeout_s = 10 };
	f->ping = (struct config_notice){ .name = text("ping"), .on = on_few, .on_count = 1,
		.ping_start = text("http://x/start"), .ping_fail = text("http://x/fail"),
		.timeout_s = 10 };
	f->list[0] = &f->all;
	f->list[1] = &f->few;
	f->list[2] = &f->ping;
	f->config = (struct config){ .name = text("web1"), .state = f->folder, .notices = f->list,
		.notice_count = 3 };
	pthread_mutex_init(&f->receiver.lock, NULL);
	pthread_cond_init(&f->receiver.changed, NULL);
	*state = f;
	return 0;
}

static int
teardown_notices(void **state)
{
	struct fixture *f = *state;

	notices_close(f->notices);
	pthread_cond_destroy(&f->receiver.changed);
	pthread_mutex_destroy(&f->receiver.lock);
	free(f->receiver.heard);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static void
happens(struct fixture *f, enum job_event event, const char *job)
{
	struct job_state state = { .name = text(job) };
	json_t *run = json_pack("{s:s, s:s}", "id", "abcd", "outcome", "failed");

	notices_event(f->notices, event, &state, run);
	json_decref(run);
}

static unsigned
count_heard(struct fixture *f)
{
	unsigned count = 0;

	pthread_mutex_lock(&f->receiver.lock);
	for (const char *p = f->receiver.heard; p != NULL && *p != '\0'; p++)
		count += *p == '\n';
	pthread_mutex_unlock(&f->receiver.lock);
	return count;
}

/* Until so many lines were heard, and (all) nothing waits; a minute at most. */
static void
wait_for_lines(struct fixture *f, unsigned lines, bool all)
{
	for (int i = 0; i < 60000; i++) {
		if (count_heard(f) >= lines && (!all || notices_waiting(f->notices) == 0))
			return;
		usleep(1000);
	}
	fail_msg("heard %u lines of %u", count_heard(f), lines);
}

static void
wait_heard(struct fixture *f, unsigned lines)
{
	wait_for_lines(f, lines, true);
}

static void
wait_tries(struct fixture *f, unsigned tries)
{
	pthread_mutex_lock(&f->receiver.lock);
	while (f->receiver.tries < tries)
		pthread_cond_wait(&f->receiver.changed, &f->receiver.lock);
	pthread_mutex_unlock(&f->receiver.lock);
}

static void
set(struct fixture *f, bool *what, bool value)
{
	pthread_mutex_lock(&f->receiver.lock);
	*what = value;
	pthread_mutex_unlock(&f->receiver.lock);
}

/* Those of one target, in the order in which it heard them. */
static void
assert_heard(struct fixture *f, const char *target, const char *lines)
{
	char *prefix = mem_printf("%s ", target);
	struct buffer own = BUFFER_INIT;

	pthread_mutex_lock(&f->receiver.lock);
	for (const char *p = f->receiver.heard; p != NULL && *p != '\0'; p = strchr(p, '\n') + 1)
		if (strncmp(p, prefix, strlen(prefix)) == 0)
			buffer_put(&own, p, (size_t)(strchr(p, '\n') + 1 - p));
	pthread_mutex_unlock(&f->receiver.lock);
	assert_string_equal(buffer_text(&own), lines);
	buffer_done(&own);
	free(prefix);
}

static void
each_is_told_what_it_asked_for(void **state)
{
	struct fixture *f = *state;

	start(f);
	happens(f, JOB_EVENT_STARTED, "home");
	happens(f, JOB_EVENT_OK, "home");
	happens(f, JOB_EVENT_FAILED, "home");
	happens(f, JOB_EVENT_FAILED, "etc");
	happens(f, JOB_EVENT_JUMP, "etc");
	wait_heard(f, 7);
	assert_heard(f, "all", "all success home\nall failure home\nall failure etc\n");
	assert_heard(f, "few", "few failure etc\n");
	/* A watch hears of the start and the failures, whatever `on` says: it has no other URL. */
	assert_heard(f, "ping", "ping start home\nping failure home\nping failure etc\n");
}

static void
one_that_is_away_hears_all_in_its_order_when_it_is_back(void **state)
{
	struct fixture *f = *state;

	f->config.notice_count = 1;
	f->receiver.away = true;
	start(f);
	happens(f, JOB_EVENT_OVERDUE, "home");
	wait_tries(f, 1);
	happens(f, JOB_EVENT_FAILED, "home");
	happens(f, JOB_EVENT_RECOVERED, "home");
	wait_tries(f, 3);
	set(f, &f->receiver.away, false);
	wait_heard(f, 3);
	assert_heard(f, "all", "all overdue home\nall failure home\nall recovery home\n");
	assert_int_equal(f->receiver.most_at_once, 1);
}

static void
one_that_is_refused_does_not_hold_up_others(void **state)
{
	struct fixture *f = *state;
	json_t *list = NULL, *first;
	struct error err = ERROR_INIT;

	f->config.notice_count = 1;
	f->receiver.refuses = true;
	start(f);
	happens(f, JOB_EVENT_FAILED, "home");
	happens(f, JOB_EVENT_OK, "home");
	wait_for_lines(f, 1, false);
	assert_heard(f, "all", "all success home\n");
	assert_int_equal(notices_list(f->notices, "waiting", NULL, NULL, 0, &list, &err), 0);
	first = json_array_get(json_object_get(list, "notices"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "kind")), "failure");
	assert_string_equal(json_string_value(json_object_get(first, "error")), "refused");
	json_decref(list);
	set(f, &f->receiver.refuses, false);
	wait_heard(f, 2);
}

static void
what_waits_outlives_the_agent(void **state)
{
	struct fixture *f = *state;

	f->config.notice_count = 1;
	f->receiver.holds = true;
	start(f);
	happens(f, JOB_EVENT_FAILED, "home");
	wait_tries(f, 1);
	happens(f, JOB_EVENT_FAILED, "etc");
	/* Closed while one is being told: that counts as not told. */
	set(f, &f->receiver.away, true);
	notices_close(f->notices);
	f->notices = NULL;
	assert_int_equal(count_heard(f), 0);
	f->receiver.away = f->receiver.holds = false;
	start(f);
	wait_heard(f, 2);
	assert_heard(f, "all", "all failure home\nall failure etc\n");
}

static void
a_test_tells_what_came_of_it(void **state)
{
	struct fixture *f = *state;
	json_t *answer = NULL, *list = NULL, *first;
	struct error err = ERROR_INIT;

	f->config.notice_count = 1;
	start(f);
	assert_int_equal(notices_test(f->notices, "all", NULL, NULL, &answer, &err), 0);
	assert_string_equal(json_string_value(json_object_get(answer, "said")), "heard");
	assert_string_equal(json_string_value(json_object_get(answer, "to")), "command /bin/true");
	json_decref(answer);
	set(f, &f->receiver.away, true);
	assert_int_equal(notices_test(f->notices, "all", NULL, NULL, &answer, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_string_equal(err.message, "nobody there");
	assert_int_equal(notices_test(f->notices, "none", NULL, NULL, &answer, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	/* Both are listed, and neither is tried again. */
	assert_int_equal(notices_list(f->notices, NULL, "all", NULL, 1, &list, &err), 0);
	first = json_array_get(json_object_get(list, "notices"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "state")), "given-up");
	assert_string_equal(json_string_value(json_object_get(list, "next")), "2");
	json_decref(list);
	assert_int_equal(notices_list(f->notices, NULL, NULL, "2", 0, &list, &err), 0);
	first = json_array_get(json_object_get(list, "notices"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "state")), "sent");
	assert_true(json_is_null(json_object_get(list, "next")));
	json_decref(list);
	assert_int_equal(notices_waiting(f->notices), 0);
}

static void
questions_that_make_no_sense_are_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	json_t *list = NULL;

	start(f);
	assert_int_equal(notices_list(f->notices, "lost", NULL, NULL, 0, &list, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_int_equal(notices_list(f->notices, NULL, "none", NULL, 0, &list, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(notices_list(f->notices, NULL, NULL, "1x", 0, &list, &err), -1);
	assert_int_equal(notices_list(f->notices, NULL, NULL, "-1", 0, &list, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
}

static void
without_a_section_there_is_neither_file_nor_thread(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	json_t *list = NULL;

	f->config.notice_count = 0;
	start(f);
	happens(f, JOB_EVENT_FAILED, "home");
	assert_int_equal(test_folder_count(f->folder), 0);
	assert_int_equal(notices_list(f->notices, NULL, NULL, NULL, 0, &list, &err), 0);
	assert_int_equal(json_array_size(json_object_get(list, "notices")), 0);
	assert_int_equal(json_array_size(json_object_get(list, "targets")), 0);
	json_decref(list);
	assert_int_equal(notices_waiting(f->notices), 0);
}

int
main(void)
{
#define NOTICES(test) cmocka_unit_test_setup_teardown(test, setup_notices, teardown_notices)
#define STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORE(the_oldest_that_is_due_comes_first_also_after_a_restart),
		STORE(what_became_of_each_is_listed_newest_first),
		STORE(the_oldest_of_the_same_kind_and_job_are_merged),
		STORE(the_number_that_waits_for_a_target_is_bounded),
		STORE(what_waits_for_a_section_that_is_gone_is_given_up),
		cmocka_unit_test(tries_become_rarer_and_end_after_a_week),
		cmocka_unit_test(the_line_for_people_tells_what_happened),
		cmocka_unit_test(the_document_is_bounded_however_much_was_lost),
		cmocka_unit_test(a_mail_has_the_fields_that_it_should_have_and_no_others),
		cmocka_unit_test(what_is_shown_of_a_target_holds_no_secret),
		NOTICES(each_is_told_what_it_asked_for),
		NOTICES(one_that_is_away_hears_all_in_its_order_when_it_is_back),
		NOTICES(one_that_is_refused_does_not_hold_up_others),
		NOTICES(what_waits_outlives_the_agent),
		NOTICES(a_test_tells_what_came_of_it),
		NOTICES(questions_that_make_no_sense_are_refused),
		NOTICES(without_a_section_there_is_neither_file_nor_thread),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
