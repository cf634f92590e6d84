/*
 * Streamed answers whose maker is silent, clients that go, an agent that stops, and heartbeats.
 *
 * The whole HTTP side runs, on a unix socket.  find_names() is replaced here, so that a stream can
 * be held at a point without any timing, and so is the clock of deadlines (--wrap in
 * tests/Makefile.inc).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/http/events.h"
#include "agent/http/server.h"
#include "agent/http/stream.h"
#include "agent/repository/find.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_repository.h"

/* Nothing here waits longer for something that must happen; a hang ends the program. */
#define BOUND_S 120

/* A row of this length is passed on at once. */
#define LONG_ROW 20000

/*
 * The clock.
 */

int64_t __real_time_monotonic_ms(void);
int64_t __wrap_time_monotonic_ms(void);

static struct {
	atomic_bool stands;
	atomic_llong now;   /* while it stands */
	atomic_uint looked; /* how often somebody looked at it */
} the_clock;

int64_t
__wrap_time_monotonic_ms(void)
{
	atomic_fetch_add(&the_clock.looked, 1);
	return atomic_load(&the_clock.stands) ? atomic_load(&the_clock.now)
	    : __real_time_monotonic_ms();
}

/*
 * The engine: writes as many long rows as the gate lets it, then ends at a "?".  A pattern that
 * begins with "silent" never writes one.
 */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned inside;    /* finds that have begun */
	unsigned cancelled; /* finds that were told to end */
	unsigned let;       /* rows that the gate lets through */
	bool end;
} engine = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void
engine_count(unsigned *counter)
{
	pthread_mutex_lock(&engine.lock);
	(*counter)++;
	pthread_cond_broadcast(&engine.changed);
	pthread_mutex_unlock(&engine.lock);
}

static void
engine_wait(const unsigned *counter)
{
	pthread_mutex_lock(&engine.lock);
	while (*counter == 0)
		pthread_cond_wait(&engine.changed, &engine.lock);
	pthread_mutex_unlock(&engine.lock);
}

static void
engine_let(unsigned rows, bool end)
{
	pthread_mutex_lock(&engine.lock);
	engine.let = rows;
	engine.end = end;
	pthread_mutex_unlock(&engine.lock);
}

int
find_names(struct repository *repo, struct snapshot *const *snapshots, size_t count,
    const char *pattern, int (*each)(void *arg, const struct snapshot *snapshot,
    const char *path, size_t len, const struct entry *entry, struct error *err), void *arg,
    struct progress *progress, struct error *err)
{
	bool silent = strncmp(pattern, "silent", 6) == 0, end = false;
	struct snapshot snapshot = { .host = (char[]){ "h" } };
	struct entry entry = { .kind = ENTRY_FILE };
	unsigned written = 0, let;
	char path[LONG_ROW];

	(void)repo;
	(void)snapshots;
	(void)count;
	memset(path, 'x', sizeof(path));
	engine_count(&engine.inside);
	while (silent || !end) {
		if (progress_check(progress, err) != 0) {
			engine_count(&engine.cancelled);
			return -1;
		}
		pthread_mutex_lock(&engine.lock);
		let = engine.let;
		end = engine.end;
		pthread_mutex_unlock(&engine.lock);
		for (; !silent && written < let; written++)
			if (each(arg, &snapshot, path, sizeof(path), &entry, err) != 0)
				return -1;
		usleep(1000);
	}
	return 0;
}

int
find_versions(struct repository *repo, struct snapshot *const *snapshots, size_t count,
    const char *path, int (*each)(void *arg, const struct snapshot *snapshot,
    const struct entry *entry, struct error *err), void *arg, struct progress *progress,
    struct error *err)
{
	(void)repo;
	(void)snapshots;
	(void)count;
	(void)path;
	(void)each;
	(void)arg;
	(void)progress;
	return error_set(err, ERROR_INTERNAL, "not asked for here");
}

/*
 * The agent.
 */

struct web {
	char *folder, *listen, *socket;
	struct config *config;
	struct http_services services;
	struct http *http; /* NULL once it was stopped */
};

static void
web_open(struct web *web, struct error *err)
{
	char *repository = test_path(web->folder, "repository");
	struct config_flags flags = { .listen = web->listen, .repository = repository,
		.state = web->folder };
	struct http_services *services = &web->services;
	bool made_first;

	test_repository_make(repository);
	services->repo = test_repository_open(repository, NULL, err);
	if (services->repo == NULL || config_load(&flags, &web->config, err) != 0 ||
	    actionlog_open(web->folder, "test", &services->log, err) != 0 ||
	    tokens_open(web->folder, &services->tokens, &made_first, err) != 0 ||
	    runs_open(web->config, services->repo, services->log, &services->runs, err) != 0)
		fail_msg("%s", err->message);
	services->config = web->config;
	if (http_start(services, &web->http, err) != 0)
		fail_msg("%s", err->message);
	free(repository);
}

static int
setup_with_clock(void **state, bool stands)
{
	struct web *web = MEM_NEW(struct web);
	struct error err = ERROR_INIT;

	alarm(BOUND_S);
	engine.inside = engine.cancelled = engine.let = 0;
	engine.end = false;
	atomic_store(&the_clock.now, __real_time_monotonic_ms());
	atomic_store(&the_clock.stands, stands);
	web->folder = test_folder_new();
	web->socket = test_path(web->folder, "s");
	web->listen = mem_printf("unix:%s", web->socket);
	web_open(web, &err);
	*state = web;
	return 0;
}

static int
setup(void **state)
{
	return setup_with_clock(state, false);
}

static int
setup_while_clock_stands(void **state)
{
	return setup_with_clock(state, true);
}

static int
teardown(void **state)
{
	struct web *web = *state;

	atomic_store(&the_clock.stands, false);
	engine_let(0, true);
	http_stop(web->http, 0);
	runs_close(web->services.runs);
	tokens_close(web->services.tokens);
	actionlog_close(web->services.log);
	repository_close(web->services.repo);
	config_free(web->config);
	free(web->listen);
	free(web->socket);
	test_folder_remove(web->folder);
	free(web);
	return 0;
}

/*
 * The client.
 */

static int
ask(const struct web *web, const char *target)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *text = mem_printf("GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
	    target);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0 && strlen(web->socket) < sizeof(address.sun_path));
	strcpy(address.sun_path, web->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	free(text);
	return fd;
}

static bool
holds(struct buffer *text, const char *part)
{
	return strstr(buffer_text(text), part) != NULL;
}

static bool
ends_in(struct buffer *text, const char *end)
{
	size_t len = strlen(end);

	return text->len >= len && strcmp(buffer_text(text) + text->len - len, end) == 0;
}

/* The end of a body in chunks. */
static bool
is_whole(struct buffer *text)
{
	return ends_in(text, "\r\n0\r\n\r\n");
}

/* False at the end. */
static bool
read_part(int fd, struct buffer *text)
{
	ssize_t n = read(fd, buffer_reserve(text, 4096), 4096);

	text->len += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Read on until the text holds this; NULL: to the end. */
static bool
read_until(int fd, struct buffer *text, const char *wanted)
{
	while (wanted == NULL || !holds(text, wanted))
		if (!read_part(fd, text))
			return false;
	return true;
}

static void
a_client_that_goes_cancels_a_find_that_writes_nothing(void **state)
{
	int fd = ask(*state, "/v1/find?name=silent");

	engine_wait(&engine.inside);
	assert_int_equal(engine.cancelled, 0);
	close(fd);
	engine_wait(&engine.cancelled);
}

static void
a_client_that_goes_cancels_a_find_that_has_begun_to_write(void **state)
{
	struct buffer text = BUFFER_INIT;
	int fd = ask(*state, "/v1/find?name=some");

	engine_let(1, false);
	assert_true(read_until(fd, &text, "xxx"));
	close(fd);
	engine_wait(&engine.cancelled);
	buffer_done(&text);
}

static void
a_client_that_stays_gets_all(void **state)
{
	struct buffer text = BUFFER_INIT;
	int fd = ask(*state, "/v1/find?name=some");

	engine_let(3, true);
	read_until(fd, &text, NULL);
	assert_true(holds(&text, "HTTP/1.1 200 "));
	assert_true(is_whole(&text));
	assert_true(text.len > 3 * LONG_ROW);
	assert_int_equal(engine.cancelled, 0);
	close(fd);
	buffer_done(&text);
}

static void
a_silent_stream_is_told_that_the_agent_stops(void **state)
{
	struct web *web = *state;
	struct buffer text = BUFFER_INIT;
	int fd = ask(web, "/v1/find?name=silent");

	engine_wait(&engine.inside);
	http_stop(web->http, 0);
	web->http = NULL;
	assert_int_equal(engine.cancelled, 1);
	read_until(fd, &text, NULL);
	assert_true(holds(&text, "HTTP/1.1 503 "));
	assert_true(holds(&text, "the agent is stopping"));
	close(fd);
	buffer_done(&text);
}

static void
a_stream_that_outlasts_the_grace_is_broken_off(void **state)
{
	struct web *web = *state;
	struct buffer text = BUFFER_INIT;
	int fd = ask(web, "/v1/find?name=some");

	engine_let(1, false);
	assert_true(read_until(fd, &text, "xxx"));
	http_stop(web->http, 0);
	web->http = NULL;
	assert_int_equal(engine.cancelled, 1);
	read_until(fd, &text, NULL);
	assert_true(holds(&text, "HTTP/1.1 200 "));
	assert_false(is_whole(&text));
	close(fd);
	buffer_done(&text);
}

static void *
stop_slowly(void *arg)
{
	struct web *web = arg;

	http_stop(web->http, BOUND_S * 1000);
	return NULL;
}

static void
a_stream_that_pauses_is_sent_to_its_end_within_the_grace(void **state)
{
	struct web *web = *state;
	struct buffer text = BUFFER_INIT;
	int fd = ask(web, "/v1/find?name=some");
	pthread_t thread;

	engine_let(1, false);
	assert_true(read_until(fd, &text, "xxx"));
	assert_int_equal(pthread_create(&thread, NULL, stop_slowly, web), 0);
	/* The socket's name goes first of all. */
	while (access(web->socket, F_OK) == 0)
		usleep(1000);
	/* A row, then a pause in which all that was written has been sent, then the rest. */
	engine_let(2, false);
	while (text.len < 2 * LONG_ROW || !ends_in(&text, "}\r\n"))
		assert_true(read_part(fd, &text));
	engine_let(3, true);
	read_until(fd, &text, NULL);
	pthread_join(thread, NULL);
	web->http = NULL;
	assert_true(is_whole(&text));
	assert_int_equal(engine.cancelled, 0);
	close(fd);
	buffer_done(&text);
}

/* The ticker has looked at the clock, and done what is due, several times. */
static void
wait_for_ticks(void)
{
	unsigned seen = atomic_load(&the_clock.looked);

	while (atomic_load(&the_clock.looked) - seen < 4)
		usleep(1000);
}

static void
followers_get_a_heartbeat_each_time_the_period_is_over(void **state)
{
	struct buffer text = BUFFER_INIT;
	int fd = ask(*state, "/v1/events");
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	assert_true(read_until(fd, &text, "retry: 2000\n\n\r\n"));
	assert_true(holds(&text, "text/event-stream"));
	for (int i = 0; i < 2; i++) {
		buffer_clear(&text);
		atomic_fetch_add(&the_clock.now, EVENT_HEARTBEAT_MS - 1);
		wait_for_ticks();
		assert_int_equal(poll(&readable, 1, 0), 0);
		atomic_fetch_add(&the_clock.now, 1);
		assert_true(read_until(fd, &text, ": heartbeat\n\n\r\n"));
	}
	close(fd);
	buffer_done(&text);
}

int
main(void)
{
#define WEB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WEB_TEST(a_client_that_goes_cancels_a_find_that_writes_nothing),
		WEB_TEST(a_client_that_goes_cancels_a_find_that_has_begun_to_write),
		WEB_TEST(a_client_that_stays_gets_all),
		WEB_TEST(a_silent_stream_is_told_that_the_agent_stops),
		WEB_TEST(a_stream_that_outlasts_the_grace_is_broken_off),
		WEB_TEST(a_stream_that_pauses_is_sent_to_its_end_within_the_grace),
		cmocka_unit_test_setup_teardown(
		    followers_get_a_heartbeat_each_time_the_period_is_over,
		    setup_while_clock_stands, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
