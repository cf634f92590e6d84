/*
 * GET /livez and /readyz, which anybody may ask at any rate.
 *
 * Ready means that a backup started now would be stored and told of: the repository is there, the
 * state database takes writes, the scheduler is at work, the central log takes rows (where one is
 * configured).  One worker at a time looks, at most once a second; who asks meanwhile gets what was
 * found last, and a look that hangs in the disk is itself a reason.  Servers of [database] are tried
 * now and then in the background: one that cannot be used makes runs fail but not the agent unready, and
 * is only told of.  Nobody has to say who he is to hear it, so no answer names files or hosts.
 */
#ifndef HOLDFAST_AGENT_HTTP_READY_H
#define HOLDFAST_AGENT_HTTP_READY_H

struct http;
struct ready;

struct ready *ready_new(struct http *http);
/* No worker may be in it any more.  NULL is fine. */
void ready_free(struct ready *ready);

#endif
