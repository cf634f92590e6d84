#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/http/connections.h"
#include "agent/http/audit.h"
#include "agent/http/listen.h"
#include "shared/mem.h"
#include "shared/text.h"

/* One connection: our end of a socket pair is the client's. */
struct client {
	int ours, theirs;
	struct connection *connection;
};

static const struct connection_limits limits = { 4, 3, 1000, 2000, 3000, 4000 };

static struct client
client_open(struct connections *connections, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct client client;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	client.ours = pair[0];
	client.theirs = pair[1];
	if (address != NULL)
		assert_int_equal(inet_pton(AF_INET, address, &in.sin_addr), 1);
	client.connection = connections_opened(connections, client.theirs,
	    address == NULL ? NULL : (struct sockaddr *)&in, false);
	return client;
}

static void
client_close(struct connections *connections, struct client *client)
{
	connections_closed(connections, client->connection);
	close(client->ours);
	close(client->theirs);
}

/* What the client can read now; "" if the connection is open and silent. */
static const char *
client_reads(const struct client *client, char *buf, size_t size)
{
	ssize_t n = recv(client->ours, buf, size - 1, MSG_DONTWAIT);

	if (n < 0)
		return "";
	buf[n] = '\0';
	return n == 0 ? "EOF" : buf;
}

static void
assert_open(const struct client *client)
{
	char buf[64];

	assert_string_equal(client_reads(client, buf, sizeof(buf)), "");
}

static void
assert_cut(const struct client *client)
{
	char buf[64];

	assert_string_equal(client_reads(client, buf, sizeof(buf)), "EOF");
}

static void
the_longest_waiting_makes_room_for_a_new_one(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, "192.0.2.1");
	struct client b = client_open(connections, "192.0.2.2");
	struct client c = client_open(connections, "192.0.2.3");
	struct client d = client_open(connections, "192.0.2.4"), e;

	(void)state;
	/* a had an answer in between, so b has waited longest. */
	assert_true(connection_enter(connections, a.connection, CONNECTION_BUSY));
	assert_true(connection_enter(connections, a.connection, CONNECTION_IDLE));
	e = client_open(connections, "192.0.2.5");
	assert_cut(&b);
	assert_open(&a);
	assert_open(&c);
	assert_open(&d);
	assert_open(&e);
	assert_false(connection_enter(connections, b.connection, CONNECTION_BUSY));
	client_close(connections, &a);
	client_close(connections, &b);
	client_close(connections, &c);
	client_close(connections, &d);
	client_close(connections, &e);
	assert_int_equal(connections_count(connections), 0);
	connections_free(connections);
}

static void
an_address_makes_room_among_its_own(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client other = client_open(connections, "192.0.2.9");
	struct client a = client_open(connections, "192.0.2.1");
	struct client b = client_open(connections, "192.0.2.1");
	struct client c, d;

	(void)state;
	client_close(connections, &b);
	b = client_open(connections, "192.0.2.1");
	c = client_open(connections, "192.0.2.1");
	assert_open(&a);
	d = client_open(connections, "192.0.2.1");
	assert_cut(&a);
	assert_open(&other);
	assert_open(&b);
	assert_open(&c);
	assert_open(&d);
	client_close(connections, &a);
	client_close(connections, &b);
	client_close(connections, &c);
	client_close(connections, &d);
	client_close(connections, &other);
	connections_free(connections);
}

static void
who_is_being_answered_is_never_cut(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, "192.0.2.1");
	struct client b = client_open(connections, "192.0.2.1");
	struct client c = client_open(connections, "192.0.2.1"), d;

	(void)state;
	connection_enter(connections, a.connection, CONNECTION_BUSY);
	connection_enter(connections, b.connection, CONNECTION_BODY);
	connection_enter(connections, c.connection, CONNECTION_BUSY);
	d = client_open(connections, "192.0.2.1");
	assert_cut(&d);
	assert_open(&a);
	assert_open(&b);
	assert_open(&c);
	client_close(connections, &a);
	client_close(connections, &b);
	client_close(connections, &c);
	client_close(connections, &d);
	connections_free(connections);
}

static void
deadlines_cut_with_an_answer_once_a_request_began(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client idle = client_open(connections, "192.0.2.1");
	struct client header = client_open(connections, "192.0.2.2");
	struct client body = client_open(connections, "192.0.2.3");
	struct client busy = client_open(connections, "192.0.2.4");
	int64_t now = time_monotonic_ms();
	char buf[2048];

	(void)state;
	connection_enter(connections, header.connection, CONNECTION_HEADER);
	connection_enter(connections, body.connection, CONNECTION_BODY);
	connection_enter(connections, busy.connection, CONNECTION_BUSY);
	connections_reap(connections, now + 500);
	assert_open(&idle);
	connections_reap(connections, now + 1500);
	assert_cut(&idle);
	assert_memory_equal(client_reads(&header, buf, sizeof(buf)), "HTTP/1.1 408 ", 13);
	assert_non_null(strstr(buf, "urn:holdfast:problem:request-timeout"));
	assert_open(&body);
	assert_int_equal(connection_state(connections, header.connection), CONNECTION_CUT);
	connections_reap(connections, now + 2500);
	assert_memory_equal(client_reads(&body, buf, sizeof(buf)), "HTTP/1.1 408 ", 13);
	connections_reap(connections, now + 1000000);
	assert_open(&busy);
	client_close(connections, &idle);
	client_close(connections, &header);
	client_close(connections, &body);
	client_close(connections, &busy);
	connections_free(connections);
}

/* Each kilobyte buys time, a byte now and then does not. */
static void
a_streamed_body_must_come_at_a_pace(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, "192.0.2.1");
	struct client b = client_open(connections, "192.0.2.2");
	char buf[4096];
	int64_t entered;

	(void)state;
	connection_enter(connections, a.connection, CONNECTION_STREAM);
	connection_enter(connections, b.connection, CONNECTION_STREAM);
	entered = time_monotonic_ms();
	while (time_monotonic_ms() == entered)
		;
	assert_true(connection_received(connections, a.connection, CONNECTION_PACE));
	for (unsigned i = 1; i < CONNECTION_PACE; i++)
		assert_true(connection_received(connections, b.connection, 1));
	connections_reap(connections, entered + limits.upload_ms);
	assert_open(&a);
	assert_non_null(strstr(client_reads(&b, buf, sizeof(buf)), "HTTP/1.1 408"));
	assert_false(connection_received(connections, b.connection, CONNECTION_PACE));
	client_close(connections, &a);
	client_close(connections, &b);
	connections_free(connections);
}

static void
a_suspended_upload_has_no_deadline(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, "192.0.2.1");

	(void)state;
	connection_enter(connections, a.connection, CONNECTION_STREAM);
	connection_enter(connections, a.connection, CONNECTION_BUSY);
	connections_reap(connections, time_monotonic_ms() + 100000000);
	assert_open(&a);
	/* With the next piece its time begins again. */
	assert_true(connection_received(connections, a.connection, 1));
	connections_reap(connections, time_monotonic_ms() + 100000000);
	assert_int_equal(connection_state(connections, a.connection), CONNECTION_CUT);
	client_close(connections, &a);
	connections_free(connections);
}

static void
an_answer_in_mid_body_leaves_the_other_way_open(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, "192.0.2.1");
	char buf[4096];

	(void)state;
	connection_enter(connections, a.connection, CONNECTION_STREAM);
	assert_true(connection_answer(connections, a.connection, "HTTP/1.1 507 Full\r\n\r\n"));
	assert_string_equal(client_reads(&a, buf, sizeof(buf)), "HTTP/1.1 507 Full\r\n\r\n");
	assert_int_equal(send(a.ours, "more", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(connection_state(connections, a.connection), CONNECTION_STREAM);
	/* Not for ever, and without a second answer. */
	connections_reap(connections, time_monotonic_ms() + limits.header_ms + 1000);
	assert_string_equal(client_reads(&a, buf, sizeof(buf)), "EOF");
	assert_int_equal(connection_state(connections, a.connection), CONNECTION_CUT);
	assert_false(connection_answer(connections, a.connection, "again"));
	client_close(connections, &a);
	connections_free(connections);
}

static void
a_body_that_is_not_wanted_any_more_ends_soon_with_its_answer(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, "192.0.2.1");
	char buf[4096];

	(void)state;
	connection_enter(connections, a.connection, CONNECTION_STREAM);
	connection_end_soon(connections, a.connection, "HTTP/1.1 400 No\r\n\r\n");
	/* What still comes buys no time. */
	assert_true(connection_received(connections, a.connection, CONNECTION_PACE));
	connections_reap(connections, time_monotonic_ms());
	assert_open(&a);
	connections_reap(connections, time_monotonic_ms() + 2000);
	assert_string_equal(client_reads(&a, buf, sizeof(buf)), "HTTP/1.1 400 No\r\n\r\n");
	client_close(connections, &a);
	connections_free(connections);
}

static void
a_unix_socket_tells_who_is_there(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, NULL), b = client_open(connections, "192.0.2.1");

	(void)state;
	assert_true(connection_peer(a.connection)->local);
	assert_int_equal(connection_peer(a.connection)->uid, geteuid());
	assert_false(connection_peer(b.connection)->local);
	assert_string_equal(connection_peer(b.connection)->address, "192.0.2.1");
	client_close(connections, &a);
	client_close(connections, &b);
	connections_free(connections);
}

static void
addresses_to_listen_on_are_split(void **state)
{
	static const char *const bad[] = { "", "7420", ":7420", "host:", "host:x", "host:65536",
		"::1:7420", "[::1]", "[::1]x:1", "host:123456", "[]:1", "host:+1" };
	struct error err;
	char host[64], port[6];
	size_t i;

	(void)state;
	assert_int_equal(listen_split("127.0.0.1:7420", host, sizeof(host), port, &err), 0);
	assert_string_equal(host, "127.0.0.1");
	assert_string_equal(port, "7420");
	assert_int_equal(listen_split("[::1]:0", host, sizeof(host), port, &err), 0);
	assert_string_equal(host, "::1");
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		error_clear(&err);
		assert_int_equal(listen_split(bad[i], host, sizeof(host), port, &err), -1);
		assert_int_equal(err.code, ERROR_CONFIG);
	}
}

/* What a library that waits for edges is told of now. */
static uint32_t
edges(int epoll_fd)
{
	struct epoll_event event;

	return epoll_wait(epoll_fd, &event, 1, 0) == 1 ? event.events : 0;
}

static void
an_end_that_came_with_the_last_bytes_is_told_again(void **state)
{
	struct connections *connections = connections_new(&limits);
	struct client a = client_open(connections, "192.0.2.1");
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	char buf[64];

	(void)state;
	assert_true(epoll_fd >= 0);
	assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, a.theirs, &event), 0);
	assert_true(connection_enter(connections, a.connection, CONNECTION_STREAM));
	assert_int_equal(edges(epoll_fd), 0);
	connections_look_for_gone(connections);
	assert_int_equal(edges(epoll_fd), 0);
	assert_int_equal(send(a.ours, "last", 4, 0), 4);
	assert_int_equal(shutdown(a.ours, SHUT_WR), 0);
	/* One event for both; who reads less than fits sees the end in neither. */
	assert_int_equal(edges(epoll_fd), EPOLLIN);
	assert_int_equal(recv(a.theirs, buf, sizeof(buf), MSG_DONTWAIT), 4);
	assert_int_equal(edges(epoll_fd), 0);
	connections_look_for_gone(connections);
	assert_int_equal(edges(epoll_fd), EPOLLIN);
	assert_true(connection_enter(connections, a.connection, CONNECTION_BODY));
	connections_look_for_gone(connections);
	assert_int_equal(edges(epoll_fd), EPOLLIN);
	assert_int_equal(recv(a.theirs, buf, sizeof(buf), MSG_DONTWAIT), 0);
	/* Once all of the body has come, its end is of no interest; and the answer gets through. */
	assert_true(connection_enter(connections, a.connection, CONNECTION_BUSY));
	connections_look_for_gone(connections);
	assert_int_equal(edges(epoll_fd), 0);
	assert_int_equal(send(a.theirs, "answer", 6, 0), 6);
	assert_string_equal(client_reads(&a, buf, sizeof(buf)), "answer");
	close(epoll_fd);
	client_close(connections, &a);
	connections_free(connections);
}

static void
rows_of_strangers_are_limited_and_counted(void **state)
{
	struct audit_limit limit = { 1000, AUDIT_BURST, 0 };
	uint64_t left_out = 99;
	int i;

	(void)state;
	for (i = 0; i < (int)AUDIT_BURST; i++)
		assert_true(audit_limit_take(&limit, 1000, &left_out));
	assert_int_equal(left_out, 0);
	for (i = 0; i < 7; i++)
		assert_false(audit_limit_take(&limit, 1000, &left_out));
	/* A second later a few more may be written; the first tells of the others. */
	assert_true(audit_limit_take(&limit, 2000, &left_out));
	assert_int_equal(left_out, 7);
	assert_true(audit_limit_take(&limit, 2000, &left_out));
	assert_int_equal(left_out, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_waiting_makes_room_for_a_new_one),
		cmocka_unit_test(an_address_makes_room_among_its_own),
		cmocka_unit_test(who_is_being_answered_is_never_cut),
		cmocka_unit_test(deadlines_cut_with_an_answer_once_a_request_began),
		cmocka_unit_test(a_streamed_body_must_come_at_a_pace),
		cmocka_unit_test(a_suspended_upload_has_no_deadline),
		cmocka_unit_test(an_answer_in_mid_body_leaves_the_other_way_open),
		cmocka_unit_test(a_body_that_is_not_wanted_any_more_ends_soon_with_its_answer),
		cmocka_unit_test(an_end_that_came_with_the_last_bytes_is_told_again),
		cmocka_unit_test(a_unix_socket_tells_who_is_there),
		cmocka_unit_test(addresses_to_listen_on_are_split),
		cmocka_unit_test(rows_of_strangers_are_limited_and_counted),
	};

	return cmocka_run_group_tests_name("http_connections", tests, NULL, NULL);
}
