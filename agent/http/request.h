/*
 * One request as its handler sees it: checked, authorised, with its body complete.
 *
 * Ownership: the request owns all its texts; a handler borrows it until it returns.
 * Threads: the epoll thread fills a request, then exactly one other thread has it at a time.
 */
#ifndef HOLDFAST_AGENT_HTTP_REQUEST_H
#define HOLDFAST_AGENT_HTTP_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "agent/http/response.h"
#include "agent/http/server.h"
#include "agent/http/strict.h"
#include "shared/buffer.h"
#include "shared/error.h"

/*
 * The header fields we read: word, name, and what to do with a second one (a list is joined by
 * commas, anything else is refused).
 */
/* clang-format off */
#define REQUEST_FIELDS(_) \
	_(ACCEPT,          "Accept",          true) \
	_(ACCEPT_ENCODING, "Accept-Encoding", true) \
	_(AUTHORIZATION,   "Authorization",   false) \
	_(CONTENT_ENCODING,"Content-Encoding",false) \
	_(CONTENT_TYPE,    "Content-Type",    false) \
	_(IDEMPOTENCY_KEY, "Idempotency-Key", false) \
	_(IF_NONE_MATCH,   "If-None-Match",   true) \
	_(IF_RANGE,        "If-Range",        false) \
	_(PREFER,          "Prefer",          true) \
	_(RANGE,           "Range",           false)
/* clang-format on */

enum request_field {
#define _(word, name, list) REQUEST_##word,
	REQUEST_FIELDS(_)
#undef _
	REQUEST_FIELD_COUNT
};

/* A decoded name=value pair.  Values that are no UTF-8 are in the form of text_printable. */
struct param {
	char *name;
	char *value;
};

struct params {
	struct param *list;
	size_t count;
};

#define PARAMS_MAX 64

/* How far the body is. */
enum request_phase {
	PHASE_NEW,      /* no handler call yet */
	PHASE_BODY,     /* the body is being read */
	PHASE_PREPARE,  /* suspended; a worker decides whether the body is wanted (ROUTE_STREAM) */
	PHASE_STREAM,   /* the body goes to request->upload as it comes */
	PHASE_REFUSED,  /* answered behind the library; the rest of the body is thrown away */
	PHASE_DISCARD,  /* the body is read and thrown away: the answer is known already */
	PHASE_WORK,     /* suspended; a worker has it */
	PHASE_ANSWER,   /* the response is complete */
	PHASE_DONE      /* the response was queued */
};

struct connection;
struct http;
struct later;
struct route;
struct upload;

struct request {
	const struct http_services *services;
	struct http *http;
	struct connection *connection;
	struct MHD_Connection *mhd;
	enum request_phase phase;
	const char *raw_target; /* where the library has it, for the check of the head */
	size_t raw_target_len;

	const struct route *route;  /* NULL if none fits */
	char *method;
	bool head;                  /* HEAD: as GET, without a body */
	char *target;               /* as sent; cut if it is refused for its length */
	char *path;                 /* as sent, without query */
	char *query;                /* as sent; "" if none */
	struct params params;       /* the query, decoded */
	char *id;                   /* what {id} stands for; NULL if the route has none */
	char *fields[REQUEST_FIELD_COUNT];
	struct request_framing framing;
	struct buffer body;
	uint64_t discarded, received; /* of the body, by PHASE_DISCARD and PHASE_STREAM */
	struct upload *upload;      /* of a ROUTE_STREAM, from its handler's first call on */
	bool resumed;               /* the next call of the library means nothing but that */

	enum role role;
	char origin[192];           /* for the log */
	struct timespec began;
	int64_t began_ms;           /* monotonic */
	struct error failure;       /* set before a handler ran: the answer */

	const char *action;         /* the row's action; NULL: no row of the log */
	char *parameter;            /* for the log; NULL: the query */
	bool logged;                /* its row is (or will be) written by somebody else */

	struct response response;
	struct later *later;
};

void request_free(struct request *request);

/*
 * Split a request target: path, query, and the query's parameters.  Takes also the absolute
 * form.  ERROR_BAD_REQUEST: not an absolute path, a broken escape, a NUL, a fragment, a
 * parameter twice.
 */
int request_parse_target(const char *target, size_t len, char **ret_path, char **ret_query,
    struct params *ret_params, struct error *err);

/* application/x-www-form-urlencoded. */
int params_parse(const char *text, size_t len, struct params *ret, struct error *err);
void params_done(struct params *params);
/* NULL if it was not given. */
const char *params_get(const struct params *params, const char *name);
/* Refuse parameters that are not in the list (NULL-terminated), naming what there is. */
int params_check(const struct params *params, const char *const *known, struct error *err);
/* A number of at most max; the default if it was not given. */
int params_number(const struct params *params, const char *name, uint64_t max, uint64_t otherwise,
    uint64_t *ret, struct error *err);

/* One percent-decoded path segment; NULL with ERROR_BAD_REQUEST. */
char *percent_decode(const char *text, size_t len, bool plus_is_space, struct error *err);

/*
 * The body as a JSON object.  ERROR_BAD_MEDIA_TYPE; ERROR_BAD_REQUEST: empty, broken (with
 * line and column), nested deeper than JSON_DEPTH, a key twice, no object.
 */
int request_json(const struct request *request, json_t **ret, struct error *err);
int json_body_parse(const char *text, size_t len, json_t **ret, struct error *err);

/* Keep a text for the log's parameter column. */
void request_set_parameter(struct request *request, const char *text);

#endif
