/*
 * One exchange: a request arrives, is checked and authorised, goes to a worker, is answered.
 *
 * The library calls exchange_handle() first when the header is complete, then for each part of
 * the body, then once more at its end, and again whenever a suspended connection was resumed.
 * An answer that is queued at the first call closes the connection, whatever follows on it:
 * that is what a malformed request gets.
 *
 * A body of any size (ROUTE_STREAM) is asked for only once its handler wants it: the connection is
 * suspended at the first call and resumed by a worker.  Only then does the library tell a client
 * that waits for it to continue.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/http/answer.h"
#include "agent/http/auth.h"
#include "agent/http/connections.h"
#include "agent/http/metrics.h"
#include "agent/http/pool.h"
#include "agent/http/refusal.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/http/upload.h"
#include "shared/mem.h"
#include "shared/text.h"

/*
 * A body that will not be used is read up to this size, so that its sender sees the answer
 * instead of a reset connection.
 */
#define DISCARD_MAX (16u << 20)

/*
 * Collecting the head.
 */

static enum MHD_Result
add_line(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	struct request_head *head = cls;
	struct header_line *line;

	(void)kind;
	if (head->line_count == HTTP_HEADER_COUNT_MAX) {
		head->too_many_lines = true;
		return MHD_NO;
	}
	line = &head->lines[head->line_count++];
	line->name = name;
	line->name_len = name_len;
	line->value = value;
	line->value_len = value_len;
	return MHD_YES;
}

static int
check_head(struct request *request, const struct request_head *head, struct error *err)
{
	static const char *const names[REQUEST_FIELD_COUNT] = {
#define _(word, name, list) name,
		REQUEST_FIELDS(_)
#undef _
	};
	static const bool lists[REQUEST_FIELD_COUNT] = {
#define _(word, name, list) list,
		REQUEST_FIELDS(_)
#undef _
	};
	size_t i, f;

	if (strict_check(head, &request->framing, err) != 0)
		return -1;
	for (i = 0; i < head->line_count; i++) {
		const struct header_line *line = &head->lines[i];
		char **field;
		size_t len = line->value_len;

		while (len > 0 && (line->value[len - 1] == ' ' || line->value[len - 1] == '\t'))
			len--;
		for (f = 0; f < REQUEST_FIELD_COUNT; f++) {
			if (strlen(names[f]) == line->name_len &&
			    strncasecmp(names[f], line->name, line->name_len) == 0)
				break;
		}
		if (f == REQUEST_FIELD_COUNT)
			continue;
		field = &request->fields[f];
		if (*field != NULL && !lists[f])
			return error_set(err, ERROR_MALFORMED_HTTP, "there is more than one %s",
			    names[f]);
		if (*field == NULL) {
			*field = mem_printf("%.*s", (int)len, line->value);
		} else {
			char *joined = mem_printf("%s, %.*s", *field, (int)len, line->value);

			free(*field);
			*field = joined;
		}
	}
	return 0;
}

/*
 * Deciding what to do with it.
 */

static int
find_route(struct request *request, struct error *err)
{
	char allow[ALLOW_TEXT_SIZE];

	if (router_find(request->method, request->path, &request->route, &request->id, allow,
	    err) == 0) {
		request->action = request->route->action[0] != '\0' ? request->route->action
		    : "Request";
		return 0;
	}
	if (err->code == ERROR_BAD_METHOD)
		response_header(&request->response, "Allow", "%s", allow);
	return -1;
}

static int
check_body(const struct request *request, struct error *err)
{
	const struct request_framing *framing = &request->framing;
	uint64_t max = (request->route->flags & ROUTE_STREAM) != 0 ? UINT64_MAX
	    : request->services->config->max_body;

	if (!framing->chunked && framing->length == 0)
		return 0;
	if ((request->route->flags & ROUTE_BODY) == 0) {
		error_set(err, ERROR_BAD_REQUEST, "%s %.256s takes no body", request->method,
		    request->path);
		return error_hint(err, "put parameters into the address");
	}
	if (request->fields[REQUEST_CONTENT_ENCODING] != NULL)
		return error_set(err, ERROR_BAD_MEDIA_TYPE, "the body has a Content-Encoding");
	if (framing->length > max) {
		error_set(err, ERROR_TOO_LARGE, "the body has %llu bytes, %llu are allowed",
		    (unsigned long long)framing->length, (unsigned long long)max);
		return error_hint(err, "the limit is the setting max_body");
	}
	return 0;
}

/*
 * Who is asking comes first: a client without a token learns nothing about what there is.  A
 * refused request still gets the action's word in the log, if its path has one.
 */
static int
decide(struct request *request, struct error *err)
{
	struct error route_err = ERROR_INIT, auth_err = ERROR_INIT;
	int routed = -1, identified;

	if (request_parse_target(request->target, strlen(request->target), &request->path,
	    &request->query, &request->params, err) != 0) {
		identified = auth_identify(request, &auth_err);
		if (identified != 0)
			*err = auth_err;
		return -1;
	}
	routed = find_route(request, &route_err);
	identified = auth_identify(request, &auth_err);
	/* A route that asks for nobody takes everybody, but no wrong token. */
	if (identified != 0 && (routed != 0 || request->route->role > ROLE_NONE ||
	    request->fields[REQUEST_AUTHORIZATION] != NULL)) {
		*err = auth_err;
		return -1;
	}
	if (routed != 0) {
		*err = route_err;
		return -1;
	}
	if (auth_require(request, request->route->role, err) != 0)
		return -1;
	return check_body(request, err);
}

/*
 * Handing over and answering.
 */

static enum MHD_Result
hand_over(struct request *request)
{
	if (!connection_enter(request->http->connections, request->connection, CONNECTION_BUSY))
		return MHD_NO;
	if (request->failure.code == ERROR_NONE && (request->route->flags & ROUTE_INLINE) != 0) {
		request->phase = PHASE_ANSWER;
		if (answer_inline(request))
			return answer_queue(request);
	}
	request->phase = PHASE_WORK;
	if (!server_suspend(request->http, request->mhd)) {
		error_set(&request->failure, ERROR_UNAVAILABLE, "the agent is stopping");
		error_hint(&request->failure, "try again in a moment");
		answer_inline(request);
		request->phase = PHASE_ANSWER;
		return answer_queue(request);
	}
	pool_submit(server_pool(request->http), answer_work, request);
	return MHD_YES;
}

/* Its sender waits for our word, or sends too much to be read for nothing. */
static bool
answer_at_once(const struct request *request)
{
	return request->framing.expects_continue || request->framing.length > DISCARD_MAX;
}

/* Back to the epoll thread with a body that is still to come. */
static void
resume_body(struct request *request, enum request_phase phase)
{
	request->phase = phase;
	request->resumed = true;
	server_resume(request->http, request->mhd);
}

/* In a worker: does the handler want the body?  A pool_fn. */
static void
prepare_stream(void *arg)
{
	struct request *request = arg;

	if (answer_handle(request, &request->failure) == 0) {
		error_clear(&request->failure);
		resume_body(request, PHASE_STREAM);
	} else if (answer_at_once(request)) {
		request->response.close = true;
		answer_work(request);
	} else {
		resume_body(request, PHASE_DISCARD);
	}
}

static enum MHD_Result
begin_stream(struct request *request)
{
	if (!connection_enter(request->http->connections, request->connection, CONNECTION_BUSY))
		return MHD_NO;
	request->phase = PHASE_PREPARE;
	if (server_suspend(request->http, request->mhd)) {
		pool_submit(server_pool(request->http), prepare_stream, request);
		return MHD_YES;
	}
	/* As hand_over() says it. */
	error_set(&request->failure, ERROR_UNAVAILABLE, "the agent is stopping");
	request->response.close = true;
	return hand_over(request);
}

/* The first call after the one that was suspended. */
static enum MHD_Result
go_on(struct request *request)
{
	struct connections *connections = request->http->connections;
	unsigned idle_s = (unsigned)request->services->config->upload_idle_s;

	request->resumed = false;
	if (request->phase == PHASE_DISCARD)
		return connection_enter(connections, request->connection, CONNECTION_BODY)
		    ? MHD_YES : MHD_NO;
	/* The library's own limit of idle time must not come first. */
	MHD_set_connection_option(request->mhd, MHD_CONNECTION_OPTION_TIMEOUT, idle_s + 60);
	return connection_enter(connections, request->connection, CONNECTION_STREAM) ? MHD_YES
	    : MHD_NO;
}

/* The header is complete. */
static enum MHD_Result
begin(struct request *request, const char *method, const char *version)
{
	const union MHD_ConnectionInfo *info;
	struct request_head head;
	struct error *err = &request->failure;

	memset(&head, 0, sizeof(head));
	head.method = method;
	head.target = request->raw_target;
	head.target_len = request->raw_target_len;
	head.target_text = request->target;
	head.version = version;
	MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, add_line, &head);
	info = MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	head.size = info == NULL ? 0 : info->header_size;
	request->raw_target = NULL;
	request->method = text_printable(method, strnlen(method, 32));
	request->head = strcmp(method, "HEAD") == 0;
	if (!connection_enter(request->http->connections, request->connection, CONNECTION_HEADER))
		return MHD_NO;
	if (check_head(request, &head, err) != 0) {
		/* Nothing that follows on this connection can be trusted to be a request. */
		request->response.close = true;
		return hand_over(request);
	}
	/* The library is lenient with chunks, too: nothing may follow them. */
	if (request->framing.chunked)
		request->response.close = true;
	if (decide(request, err) == 0) {
		if ((request->route->flags & ROUTE_STREAM) != 0)
			return begin_stream(request);
		request->phase = PHASE_BODY;
		return connection_enter(request->http->connections, request->connection,
		    CONNECTION_BODY) ? MHD_YES : MHD_NO;
	}
	if (answer_at_once(request)) {
		request->response.close = true;
		return hand_over(request);
	}
	request->phase = PHASE_DISCARD;
	return MHD_YES;
}

/*
 * In mid-body the library sends no answer for us.  The client that reads it while it sends on may
 * still see it.
 */
static enum MHD_Result
refuse_rest(struct request *request)
{
	struct connections *connections = request->http->connections;
	char answer[REFUSAL_TEXT_SIZE];

	refusal_text(&request->failure, answer);
	request->phase = PHASE_REFUSED;
	if (!connection_enter(connections, request->connection, CONNECTION_BODY))
		return MHD_NO;
	if (connection_answer(connections, request->connection, answer))
		return MHD_YES;
	connection_cut(connections, request->connection, answer);
	return MHD_NO;
}

static enum MHD_Result
discard(struct request *request, size_t len)
{
	request->discarded += len;
	if (request->discarded <= DISCARD_MAX)
		return MHD_YES;
	return refuse_rest(request);
}

/* A part of a body of any size; ret_len: how much of it is left. */
static enum MHD_Result
take_stream(struct request *request, const char *data, size_t *len)
{
	struct connections *connections = request->http->connections;
	enum upload_state state;
	size_t taken;

	taken = upload_put(request->upload, data, *len, &state, &request->failure);
	*len -= taken;
	request->received += taken;
	if (state == UPLOAD_FULL)
		return connection_enter(connections, request->connection, CONNECTION_BUSY) ? MHD_YES
		    : MHD_NO;
	if (state == UPLOAD_OPEN)
		return connection_received(connections, request->connection, taken) ? MHD_YES
		    : MHD_NO;
	/* The run has failed.  What is on its way is read, if it has an end. */
	if (request->framing.chunked ||
	    request->framing.length - request->received > DISCARD_MAX)
		return refuse_rest(request);
	request->phase = PHASE_DISCARD;
	return connection_enter(connections, request->connection, CONNECTION_BODY) ? MHD_YES
	    : MHD_NO;
}

static enum MHD_Result
take_body(struct request *request, const char *data, size_t *len)
{
	uint64_t max = request->services->config->max_body;
	size_t n = *len;

	*len = 0;
	if (request->phase == PHASE_DISCARD)
		return discard(request, n);
	if (request->body.len + n > max) {
		error_set(&request->failure, ERROR_TOO_LARGE, "the body has more than %llu bytes",
		    (unsigned long long)max);
		error_hint(&request->failure, "the limit is the setting max_body");
		buffer_done(&request->body);
		request->phase = PHASE_DISCARD;
		return MHD_YES;
	}
	buffer_put(&request->body, data, n);
	return MHD_YES;
}

/* All of the body is there. */
static enum MHD_Result
end_stream(struct request *request)
{
	unsigned idle_s = (unsigned)request->services->config->idle_s;

	upload_end(request->upload);
	MHD_set_connection_option(request->mhd, MHD_CONNECTION_OPTION_TIMEOUT, idle_s);
	return hand_over(request);
}

static enum MHD_Result
exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *data, size_t *len, void **request_cls)
{
	struct request *request = *request_cls;

	(void)cls;
	(void)mhd;
	(void)url; /* decoded in place, NULs and all: we decode what was sent ourselves */
	if (request->resumed)
		return go_on(request);
	switch (request->phase) {
	case PHASE_NEW:
		return begin(request, method, version);
	case PHASE_STREAM:
		if (*len > 0)
			return take_stream(request, data, len);
		return end_stream(request);
	case PHASE_REFUSED:
		if (*len == 0)
			return MHD_NO;
		*len = 0;
		return MHD_YES;
	case PHASE_BODY:
	case PHASE_DISCARD:
		if (*len > 0)
			return take_body(request, data, len);
		return hand_over(request);
	case PHASE_ANSWER:
		return answer_queue(request);
	case PHASE_PREPARE:
	case PHASE_WORK:
	case PHASE_DONE:
		break;
	}
	return MHD_YES;
}

/*
 * The library's other call-backs.
 */

static struct connection *
connection_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info;

	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info == NULL ? NULL : info->socket_context;
}

/* A refusal, even of a broken header, is told under the action it was meant for. */
static const char *
intended_action(const char *target)
{
	char *path = mem_printf("%.*s", (int)strcspn(target, "?"), target);
	const char *action = router_action(path);

	free(path);
	return action != NULL ? action : "Request";
}

/* The request line is complete; what is returned becomes the exchange's request_cls. */
static void *
exchange_begin(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct listener *listener = cls;
	struct request *request = MEM_NEW(struct request);

	request->http = listener->http;
	request->services = &listener->http->services;
	request->mhd = mhd;
	request->connection = connection_of(mhd);
	request->raw_target = target;
	request->raw_target_len = strlen(target);
	/* From here on the library takes it apart in place. */
	request->target = mem_printf("%.*s", (int)HTTP_TARGET_MAX, target);
	request->began = time_now();
	request->began_ms = time_monotonic_ms();
	snprintf(request->origin, sizeof(request->origin), "%s",
	    connection_peer(request->connection)->address);
	request->action = intended_action(request->target);
	response_init(&request->response);
	connection_enter(request->http->connections, request->connection, CONNECTION_HEADER);
	return request;
}

/* Tell of a request that never got as far as an answer of ours. */
static void
write_lost_row(void *arg)
{
	struct request *request = arg;

	metrics_count_refusal(request->http->metrics, request->failure.code);
	audit_row_write(request->http, audit_row_new(request), &request->failure);
	request_free(request);
}

/*
 * Why there was no answer of ours: cut by a deadline, refused by the library, or refused by us in
 * mid-body.  False if the client just went away.
 */
static bool
lost_reason(struct request *request)
{
	const union MHD_ConnectionInfo *info;

	if (request->failure.code != ERROR_NONE)
		return true;
	if (connection_state(request->http->connections, request->connection) == CONNECTION_CUT &&
	    request->phase == PHASE_STREAM) {
		error_set(&request->failure, ERROR_REQUEST_TIMEOUT,
		    "the data stopped coming, for longer than upload_idle");
		error_hint(&request->failure, "nothing was kept; send it again");
		return true;
	}
	if (connection_state(request->http->connections, request->connection) == CONNECTION_CUT) {
		error_set(&request->failure, ERROR_REQUEST_TIMEOUT,
		    "the request was not complete in time");
		return true;
	}
	info = MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
	if (info == NULL || info->http_status < 400)
		return false;
	error_set(&request->failure, ERROR_MALFORMED_HTTP,
	    "the request could not be read (HTTP status %u)", info->http_status);
	return true;
}

static void
exchange_completed(void *cls, struct MHD_Connection *mhd, void **request_cls,
    enum MHD_RequestTerminationCode why)
{
	struct request *request = *request_cls;

	(void)cls;
	(void)mhd;
	(void)why;
	*request_cls = NULL;
	if (request == NULL)
		return;
	if (request->phase < PHASE_ANSWER && lost_reason(request)) {
		connection_enter(request->http->connections, request->connection,
		    CONNECTION_IDLE);
		pool_submit(server_pool(request->http), write_lost_row, request);
		return;
	}
	connection_enter(request->http->connections, request->connection, CONNECTION_IDLE);
	request_free(request);
}

static void
exchange_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode code)
{
	struct listener *listener = cls;
	const union MHD_ConnectionInfo *fd, *address;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		connections_closed(listener->http->connections, *socket_context);
		*socket_context = NULL;
		return;
	}
	fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	address = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	*socket_context = connections_opened(listener->http->connections, fd->connect_fd,
	    address->client_addr, listener->tls);
}

/* The library's own remarks are about clients that left or sent nonsense. */
static void __attribute__((format(printf, 2, 0)))
exchange_remark(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)fmt;
	(void)ap;
}

/* The library adds each option's value by its type. */
#define OPTION_NUMBER(option, number) { option, (intptr_t)(number), NULL }
#define OPTION_TEXT(option, text) { option, 0, (void *)(uintptr_t)(text) }

int
exchange_start_daemon(struct listener *listener, int fd, const char *tls_cert,
    const char *tls_key, struct error *err)
{
	const struct config *config = listener->http->services.config;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
	    MHD_USE_ERROR_LOG | (listener->tls ? MHD_USE_TLS : 0);
	/*
	 * Memory of a connection: our limit of the header, with room for the library's own
	 * lists of it and for the answer.  Above 32 KiB it is mapped, so that untouched pages
	 * cost nothing.  Some more connections than our own limit, so that we choose who goes.
	 */
	struct MHD_OptionItem options[] = {
		OPTION_NUMBER(MHD_OPTION_LISTEN_SOCKET, fd),
		OPTION_NUMBER(MHD_OPTION_CONNECTION_MEMORY_LIMIT, 40 << 10),
		OPTION_NUMBER(MHD_OPTION_CONNECTION_LIMIT, config->max_connections + 64),
		OPTION_NUMBER(MHD_OPTION_CONNECTION_TIMEOUT, config->idle_s),
		/* The program ignores SIGPIPE. */
		OPTION_NUMBER(MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1),
		OPTION_NUMBER(MHD_OPTION_STRICT_FOR_CLIENT, 0),
		/* Without TLS the list ends here. */
		OPTION_TEXT(listener->tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, tls_cert),
		OPTION_TEXT(MHD_OPTION_HTTPS_MEM_KEY, tls_key),
		OPTION_TEXT(MHD_OPTION_HTTPS_PRIORITIES,
		    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"),
		OPTION_TEXT(MHD_OPTION_END, NULL),
	};

	/* The logger goes first, as the library may have something to say about the others. */
	listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, exchange_handle, listener,
	    MHD_OPTION_EXTERNAL_LOGGER, exchange_remark, NULL,
	    MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, listener,
	    MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, listener,
	    MHD_OPTION_NOTIFY_CONNECTION, exchange_connection, listener,
	    MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (listener->daemon == NULL)
		return error_set(err, listener->tls ? ERROR_CONFIG : ERROR_IO,
		    "could not serve '%s'%s", listener->address,
		    listener->tls ? ": certificate and key do not fit or cannot be read" : "");
	return 0;
}
