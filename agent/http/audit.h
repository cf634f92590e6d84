/*
 * Rows of the action log that the HTTP side writes: each action on a route that has one, and
 * each refused request.
 *
 * Never holds a token; texts from clients are made printable.  Refusals of clients that did not
 * identify themselves are limited in number, so that nobody can fill the disk from outside:
 * what was left out is counted in the next row.
 * Threads: any but the epoll threads (a row is a durable write).
 */
#ifndef HOLDFAST_AGENT_HTTP_AUDIT_H
#define HOLDFAST_AGENT_HTTP_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

struct audit_row;
struct http;
struct request;

/* A token bucket in whole rows. */
struct audit_limit {
	int64_t last_ms;
	double tokens;
	uint64_t left_out;
};

#define AUDIT_BURST 500.0
#define AUDIT_PER_SECOND 5.0

/* May one more row be written?  If so, ret_left_out is how many were not before it. */
bool audit_limit_take(struct audit_limit *limit, int64_t now_ms, uint64_t *ret_left_out);

/* Method and path, printable: of a refused request they may be anything.  Caller frees. */
char *audit_command(const struct request *request);
/* What a row of this request will say; NULL if it gets none from us. */
struct audit_row *audit_row_new(const struct request *request);
/* failure NULL: SUCCESS.  Frees the row.  NULL is fine. */
void audit_row_write(struct http *http, struct audit_row *row, const struct error *failure);
void audit_row_free(struct audit_row *row);

#endif
