/*
 * The HTTP side of the agent: listening sockets, the router and the resources.
 *
 * Threads: one epoll thread for each listening address; a small pool that runs the handlers;
 * one thread for each streamed answer (bounded); one ticker for deadlines and heartbeats.  No
 * request waits in an epoll thread for disk or for a run.
 * Ownership: the services are borrowed and must outlive http_stop().
 */
#ifndef HOLDFAST_AGENT_HTTP_SERVER_H
#define HOLDFAST_AGENT_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "agent/actionlog/actionlog.h"
#include "agent/actionlog/ship.h"
#include "agent/config.h"
#include "agent/http/tokens.h"
#include "agent/jobs/jobs.h"
#include "agent/jobs/runs.h"
#include "agent/notices/notices.h"
#include "agent/repository/repository.h"
#include "shared/error.h"

struct http;

struct http_services {
	const struct config *config;
	struct repository *repo;
	struct actionlog *log;
	struct log_ship *ship; /* NULL: no central log */
	struct runs *runs;
	struct jobs *jobs;
	struct notices *notices;
	struct tokens *tokens;
};

/*
 * Listen on every address of config->listen and serve from then on.
 * Raises RLIMIT_NOFILE as far as max_connections needs.  The program must ignore SIGPIPE.
 * Errors: ERROR_CONFIG (an address that is none; off loopback without TLS and without
 * insecure_http; a certificate that does not load), ERROR_IO (address in use, no permission).
 */
int http_start(const struct http_services *services, struct http **ret, struct error *err);

/* What is listened on, for showing: "http://127.0.0.1:7420", "unix:/run/holdfast.sock". */
size_t http_address_count(const struct http *http);
const char *http_address(const struct http *http, size_t i);

/*
 * Stop accepting at once; requests that are being worked on are answered, connections that
 * wait for a run get 503 with the run's address (the run itself is not touched), streams that
 * have not ended by then are cancelled.
 * Returns when every connection is closed, at the latest about drain_ms and a second later (a
 * handler that hangs in the disk can make it later).  Frees.  Call it before runs_close(); NULL is
 * fine.
 */
void http_stop(struct http *http, int64_t drain_ms);

#endif
