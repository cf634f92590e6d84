#include "agent/http/connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "agent/http/refusal.h"
#include "shared/mem.h"
#include "shared/text.h"

#define NO_DEADLINE INT64_MAX

/* Addresses are counted in chains of a table; with a few thousand connections they are short. */
#define BUCKETS 4096

/* An IPv6 customer has at least a /64: that is one address to us. */
struct address_key {
	uint8_t bytes[8];
};

struct connection {
	TAILQ_ENTRY(connection) all;
	TAILQ_ENTRY(connection) waiting; /* while evictable, longest wait first */
	int fd;
	bool tls, answered_before;
	bool answered; /* by us, behind the library: it gets no second answer */
	enum connection_state state;
	int64_t deadline_ms;
	size_t received; /* of a streamed body, since the deadline was set */
	char *answer;    /* instead of that of a deadline; or NULL */
	struct address_key key;
	struct peer peer;
};

TAILQ_HEAD(connection_list, connection);

struct connections {
	pthread_mutex_t lock;
	struct connection_limits limits;
	struct connection_list all, waiting;
	TAILQ_HEAD(, connection_watch) watches;
	size_t count;
	struct {
		struct address_key *keys;
		size_t *counts;
		size_t used, cap;
	} buckets[BUCKETS];
};

struct connections *
connections_new(const struct connection_limits *limits)
{
	struct connections *connections = MEM_NEW(struct connections);

	pthread_mutex_init(&connections->lock, NULL);
	connections->limits = *limits;
	TAILQ_INIT(&connections->all);
	TAILQ_INIT(&connections->waiting);
	TAILQ_INIT(&connections->watches);
	return connections;
}

void
connections_free(struct connections *connections)
{
	struct connection *connection;
	size_t i;

	if (connections == NULL)
		return;
	while ((connection = TAILQ_FIRST(&connections->all)) != NULL) {
		TAILQ_REMOVE(&connections->all, connection, all);
		free(connection);
	}
	for (i = 0; i < BUCKETS; i++) {
		free(connections->buckets[i].keys);
		free(connections->buckets[i].counts);
	}
	pthread_mutex_destroy(&connections->lock);
	free(connections);
}

/*
 * Who it is.
 */

static void
fill_peer(struct connection *connection, const struct sockaddr *address)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
	struct ucred credentials = { 0, (uid_t)-1, (gid_t)-1 };
	socklen_t len = sizeof(credentials);
	struct peer *peer = &connection->peer;

	if (address != NULL && address->sa_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, peer->address, sizeof(peer->address));
		memcpy(connection->key.bytes + 4, &in->sin_addr, 4);
		return;
	}
	if (address != NULL && address->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, peer->address, sizeof(peer->address));
		memcpy(connection->key.bytes, &in6->sin6_addr,
		    IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? 0 : 8);
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			memcpy(connection->key.bytes + 4, in6->sin6_addr.s6_addr + 12, 4);
		return;
	}
	strcpy(peer->address, "unix");
	peer->local =
	    getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) == 0;
	peer->uid = peer->local ? credentials.uid : (uid_t)-1;
	/* One "address" for each user; no IPv4 or IPv6 address looks like this. */
	memset(connection->key.bytes, 0xff, 4);
	memcpy(connection->key.bytes + 4, &peer->uid, 4);
}

const struct peer *
connection_peer(const struct connection *connection)
{
	return &connection->peer;
}

/*
 * How many of an address there are.
 */

static size_t
bucket_of(const struct address_key *key)
{
	uint64_t hash;

	memcpy(&hash, key->bytes, sizeof(hash));
	hash *= 0x9e3779b97f4a7c15u; /* spreads neighbouring addresses */
	return (size_t)(hash >> 52) % BUCKETS;
}

/* Add delta (1 or -1) to an address's count; returns the new count. */
static size_t
count_address(struct connections *connections, const struct address_key *key, int delta)
{
	size_t b = bucket_of(key), i;
	size_t *used = &connections->buckets[b].used;

	for (i = 0; i < *used; i++) {
		if (memcmp(&connections->buckets[b].keys[i], key, sizeof(*key)) == 0)
			break;
	}
	if (i == *used) {
		if (i >= connections->buckets[b].cap) {
			size_t cap = i == 0 ? 2 : 2 * i;

			connections->buckets[b].keys = mem_realloc(connections->buckets[b].keys,
			    cap, sizeof(*key));
			connections->buckets[b].counts = mem_realloc(
			    connections->buckets[b].counts, cap, sizeof(size_t));
			connections->buckets[b].cap = cap;
		}
		connections->buckets[b].keys[i] = *key;
		connections->buckets[b].counts[i] = 0;
		(*used)++;
	}
	connections->buckets[b].counts[i] += (size_t)(ssize_t)delta;
	if (connections->buckets[b].counts[i] > 0)
		return connections->buckets[b].counts[i];
	(*used)--;
	connections->buckets[b].keys[i] = connections->buckets[b].keys[*used];
	connections->buckets[b].counts[i] = connections->buckets[b].counts[*used];
	return 0;
}

/*
 * States.
 */

static bool
is_evictable(enum connection_state state)
{
	return state == CONNECTION_IDLE || state == CONNECTION_HEADER;
}

static void
set_state(struct connections *connections, struct connection *connection,
    enum connection_state state)
{
	const struct connection_limits *limits = &connections->limits;
	bool was = is_evictable(connection->state), will = is_evictable(state);
	int64_t now = time_monotonic_ms();

	/* From the request line to the end of the header it keeps its place in the queue. */
	if (was && !will)
		TAILQ_REMOVE(&connections->waiting, connection, waiting);
	if (!was && will)
		TAILQ_INSERT_TAIL(&connections->waiting, connection, waiting);
	switch (state) {
	case CONNECTION_IDLE:
		connection->answered_before = true;
		connection->deadline_ms = now + limits->idle_ms;
		break;
	case CONNECTION_HEADER:
		/* The first header must be there so long after the connection was opened. */
		if (connection->answered_before)
			connection->deadline_ms = now + limits->header_ms;
		break;
	case CONNECTION_BODY:
		connection->deadline_ms = now + limits->request_ms;
		break;
	case CONNECTION_STREAM:
		connection->deadline_ms = now + limits->upload_ms;
		connection->received = 0;
		break;
	case CONNECTION_BUSY:
	case CONNECTION_CUT:
		connection->deadline_ms = NO_DEADLINE;
		break;
	}
	connection->state = state;
}

static void
cut(struct connections *connections, struct connection *connection, const char *answer)
{
	if (connection->state == CONNECTION_CUT)
		return;
	set_state(connections, connection, CONNECTION_CUT);
	if (answer != NULL && !connection->tls && !connection->answered)
		send(connection->fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(connection->fd, SHUT_RDWR);
}

/* The connection that has waited longest; of one address if key is given. */
static struct connection *
longest_waiting(struct connections *connections, const struct address_key *key,
    const struct connection *but)
{
	struct connection *c;

	TAILQ_FOREACH(c, &connections->waiting, waiting) {
		if (c != but && (key == NULL || memcmp(&c->key, key, sizeof(*key)) == 0))
			return c;
	}
	return NULL;
}

static void
make_room(struct connections *connections, struct connection *connection, size_t of_address)
{
	struct connection *victim = connection;

	if (of_address > connections->limits.per_address)
		victim = longest_waiting(connections, &connection->key, connection);
	else if (connections->count > connections->limits.connections)
		victim = longest_waiting(connections, NULL, connection);
	else
		return;
	cut(connections, victim != NULL ? victim : connection, NULL);
}

struct connection *
connections_opened(struct connections *connections, int fd, const struct sockaddr *address,
    bool tls)
{
	struct connection *connection = MEM_NEW(struct connection);
	size_t of_address;

	connection->fd = fd;
	connection->tls = tls;
	connection->state = CONNECTION_IDLE;
	fill_peer(connection, address);
	connection->deadline_ms = time_monotonic_ms() + connections->limits.header_ms;
	pthread_mutex_lock(&connections->lock);
	TAILQ_INSERT_TAIL(&connections->all, connection, all);
	TAILQ_INSERT_TAIL(&connections->waiting, connection, waiting);
	connections->count++;
	of_address = count_address(connections, &connection->key, 1);
	make_room(connections, connection, of_address);
	pthread_mutex_unlock(&connections->lock);
	return connection;
}

void
connections_closed(struct connections *connections, struct connection *connection)
{
	struct connection_watch *watch;

	pthread_mutex_lock(&connections->lock);
	/* Who watches is told by the library that the answer is over. */
	TAILQ_FOREACH(watch, &connections->watches, all) {
		if (watch->connection == connection)
			watch->connection = NULL;
	}
	if (is_evictable(connection->state))
		TAILQ_REMOVE(&connections->waiting, connection, waiting);
	TAILQ_REMOVE(&connections->all, connection, all);
	connections->count--;
	count_address(connections, &connection->key, -1);
	pthread_mutex_unlock(&connections->lock);
	free(connection->answer);
	free(connection);
}

bool
connection_enter(struct connections *connections, struct connection *connection,
    enum connection_state state)
{
	bool alive;

	pthread_mutex_lock(&connections->lock);
	alive = connection->state != CONNECTION_CUT;
	if (alive)
		set_state(connections, connection, state);
	pthread_mutex_unlock(&connections->lock);
	return alive;
}

enum connection_state
connection_state(struct connections *connections, struct connection *connection)
{
	enum connection_state state;

	pthread_mutex_lock(&connections->lock);
	state = connection->state;
	pthread_mutex_unlock(&connections->lock);
	return state;
}

/*
 * Bodies of any size.
 */

bool
connection_received(struct connections *connections, struct connection *connection, size_t len)
{
	bool alive;

	pthread_mutex_lock(&connections->lock);
	alive = connection->state != CONNECTION_CUT;
	if (alive && connection->state != CONNECTION_STREAM)
		set_state(connections, connection, CONNECTION_STREAM);
	connection->received += len;
	/* One that is to end soon gets no more time. */
	if (alive && connection->received >= CONNECTION_PACE && connection->answer == NULL)
		set_state(connections, connection, CONNECTION_STREAM);
	pthread_mutex_unlock(&connections->lock);
	return alive;
}

bool
connection_answer(struct connections *connections, struct connection *connection,
    const char *answer)
{
	bool possible;

	pthread_mutex_lock(&connections->lock);
	possible = !connection->tls && connection->state != CONNECTION_CUT;
	if (possible) {
		send(connection->fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
		/* Not the other way: what comes and is not read would take the answer with it. */
		shutdown(connection->fd, SHUT_WR);
		connection->deadline_ms = time_monotonic_ms() + connections->limits.header_ms;
		connection->answered = true;
	}
	pthread_mutex_unlock(&connections->lock);
	return possible;
}

/* Time for what is on its way to arrive, and to be answered in order. */
#define END_SOON_MS 1000

void
connection_end_soon(struct connections *connections, struct connection *connection,
    const char *answer)
{
	pthread_mutex_lock(&connections->lock);
	if (connection->state == CONNECTION_STREAM) {
		free(connection->answer);
		connection->answer = mem_strdup(answer);
		connection->deadline_ms = time_monotonic_ms() + END_SOON_MS;
	}
	pthread_mutex_unlock(&connections->lock);
}

/*
 * Clients that go.
 */

void
connection_watch(struct connections *connections, struct connection *connection,
    struct connection_watch *watch)
{
	pthread_mutex_lock(&connections->lock);
	watch->connection = connection;
	TAILQ_INSERT_TAIL(&connections->watches, watch, all);
	pthread_mutex_unlock(&connections->lock);
}

void
connection_unwatch(struct connections *connections, struct connection_watch *watch)
{
	pthread_mutex_lock(&connections->lock);
	TAILQ_REMOVE(&connections->watches, watch, all);
	pthread_mutex_unlock(&connections->lock);
}

/* An end that was closed, or a connection that was reset.  What it sent may lie unread. */
static bool
has_gone(const struct connection *connection)
{
	struct pollfd end = { .fd = connection->fd, .events = POLLRDHUP };

	return poll(&end, 1, 0) == 1 && end.revents != 0;
}

/*
 * The library waits for edges, and takes a socket that gave less than it asked for as empty until
 * the next one.  The end of what came together with the last bytes makes none: its client would
 * be waited for until a deadline.  Shutting down the side that is closed already changes nothing,
 * but wakes who waits for the socket.
 */
static void
tell_of_end_again(struct connection *connection)
{
	if ((connection->state == CONNECTION_BODY || connection->state == CONNECTION_STREAM) &&
	    has_gone(connection))
		shutdown(connection->fd, SHUT_RD);
}

void
connections_look_for_gone(struct connections *connections)
{
	struct connection_watch *watch;
	struct connection *c;

	pthread_mutex_lock(&connections->lock);
	TAILQ_FOREACH(c, &connections->all, all)
		tell_of_end_again(c);
	TAILQ_FOREACH(watch, &connections->watches, all) {
		if (watch->connection == NULL || !has_gone(watch->connection))
			continue;
		watch->connection = NULL;
		watch->gone(watch->arg);
	}
	pthread_mutex_unlock(&connections->lock);
}

/*
 * Cutting.
 */

void
connection_cut(struct connections *connections, struct connection *connection,
    const char *answer)
{
	pthread_mutex_lock(&connections->lock);
	cut(connections, connection, answer);
	pthread_mutex_unlock(&connections->lock);
}

void
connections_reap(struct connections *connections, int64_t now_ms)
{
	struct error err = ERROR_INIT;
	char answer[REFUSAL_TEXT_SIZE];
	struct connection *c;

	error_set(&err, ERROR_REQUEST_TIMEOUT, "the request was not complete in time");
	error_hint(&err, "send it without pauses; the time is set by header_deadline, "
	    "request_deadline and upload_idle");
	refusal_text(&err, answer);
	pthread_mutex_lock(&connections->lock);
	TAILQ_FOREACH(c, &connections->all, all) {
		if (now_ms >= c->deadline_ms)
			cut(connections, c, c->state == CONNECTION_IDLE ? NULL
			    : c->answer != NULL ? c->answer : answer);
	}
	pthread_mutex_unlock(&connections->lock);
}

void
connections_cut_idle(struct connections *connections)
{
	struct connection *c;

	pthread_mutex_lock(&connections->lock);
	TAILQ_FOREACH(c, &connections->all, all) {
		if (c->state != CONNECTION_BUSY)
			cut(connections, c, NULL);
	}
	pthread_mutex_unlock(&connections->lock);
}

size_t
connections_count(struct connections *connections)
{
	size_t count;

	pthread_mutex_lock(&connections->lock);
	count = connections->count;
	pthread_mutex_unlock(&connections->lock);
	return count;
}
