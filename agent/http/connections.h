/*
 * All open connections: who they belong to, how long each may take, and which one goes when
 * there are too many.
 *
 * The library's time-out counts idle time only and its limits refuse new clients.  Here every
 * connection has a deadline for what it is doing, and a new client is always let in: the
 * connection that has waited longest without a (checked, authorised) request makes room, first
 * of the same address.  So idle connections, however many, keep nobody out.
 *
 *   IDLE      no request line yet; evictable; deadline: header_deadline_s after it was opened,
 *             idle_s after an answer
 *   HEADER    request line seen, header not complete; evictable
 *   BODY      authorised, the body arrives; deadline request_deadline_s
 *   STREAM    the same, of a body of any size: no deadline for the whole, but at least
 *             CONNECTION_PACE bytes within each upload_idle_s; without a deadline while the
 *             connection is suspended because the agent is the slower side (BUSY)
 *   BUSY      being answered; no deadline (the library ends those whose client does not read)
 *   CUT       shut down by us; the library closes it as soon as it sees that
 *
 * Threads: any; one lock.  A descriptor is only touched under the lock and while its connection
 * is in the table, so never after it was closed.
 */
#ifndef HOLDFAST_AGENT_HTTP_CONNECTIONS_H
#define HOLDFAST_AGENT_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "shared/error.h"

struct sockaddr;
struct connection;
struct connections;

struct connection_limits {
	uint64_t connections, per_address;
	int64_t header_ms, request_ms, idle_ms, upload_ms;
};

/* Slower than any program that has something to say, faster than a byte now and then. */
#define CONNECTION_PACE 1024u

enum connection_state {
	CONNECTION_IDLE,
	CONNECTION_HEADER,
	CONNECTION_BODY,
	CONNECTION_STREAM,
	CONNECTION_BUSY,
	CONNECTION_CUT
};

/* Who is at the other end. */
struct peer {
	char address[64]; /* "127.0.0.1", "::1", "unix" */
	bool local;       /* a unix socket, uid is known */
	uid_t uid;
};

struct connections *connections_new(const struct connection_limits *limits);
void connections_free(struct connections *connections);

/*
 * A connection was accepted.  Makes room by cutting another one if a limit is reached; if all
 * others are being answered, this one is cut.
 *   tls   nothing can be sent behind the library's back
 */
struct connection *connections_opened(struct connections *connections, int fd,
    const struct sockaddr *address, bool tls);
void connections_closed(struct connections *connections, struct connection *connection);

const struct peer *connection_peer(const struct connection *connection);

/* The connection goes on to a state; false if it was cut meanwhile. */
bool connection_enter(struct connections *connections, struct connection *connection,
    enum connection_state state);
enum connection_state connection_state(struct connections *connections,
    struct connection *connection);

/*
 * Shut it down, after a last answer (if not NULL) that goes out as far as the socket takes it at
 * once: for the cases in which the library lets us send no answer.
 */
void connection_cut(struct connections *connections, struct connection *connection,
    const char *answer);

/* So much of a streamed body has come: goes to, or on in, STREAM.  False if it was cut. */
bool connection_received(struct connections *connections, struct connection *connection,
    size_t len);
/*
 * Send a last answer, as far as the socket takes it at once, while the body still arrives: the
 * client can read it while the rest of the body is thrown away, for header_ms at most.  False if
 * that is not possible (TLS, or it was cut).
 */
bool connection_answer(struct connections *connections, struct connection *connection,
    const char *answer);
/* A body is not wanted any more: cut with this answer in a second, unless it is answered before. */
void connection_end_soon(struct connections *connections, struct connection *connection,
    const char *answer);

/*
 * Wants to know when a client goes away while nothing is sent to it or read from it, as while its
 * connection is suspended.  Belongs to who watches, and stays in place until connection_unwatch().
 */
struct connection_watch {
	TAILQ_ENTRY(connection_watch) all;
	struct connection *connection; /* NULL: closed, or its client has been seen to go */
	/* Called at most once, with the lock held. */
	void (*gone)(void *arg);
	void *arg;
};

/* The connection must be open. */
void connection_watch(struct connections *connections, struct connection *connection,
    struct connection_watch *watch);
/* gone() is not called any more once this has returned.  The connection may be closed by now. */
void connection_unwatch(struct connections *connections, struct connection_watch *watch);
/*
 * Tell those who watch connections whose client has closed its end.  One that only closes its
 * sending side counts as gone, too: the two look the same.  The library is told once more of the
 * end of what arrives for a body: it may have missed it.
 */
void connections_look_for_gone(struct connections *connections);

/* Cut what is over its deadline, with a 408 where a request had begun. */
void connections_reap(struct connections *connections, int64_t now_ms);
/* Cut all that are not being answered. */
void connections_cut_idle(struct connections *connections);
size_t connections_count(struct connections *connections);

#endif
