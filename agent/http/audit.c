#include "agent/http/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/request.h"
#include "agent/http/server_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* What a row keeps of a path. */
#define COMMAND_MAX 512

struct audit_row {
	char *action, *command, *parameter, *origin;
	struct timespec began;
	int64_t began_ms;
	bool unidentified;
};

bool
audit_limit_take(struct audit_limit *limit, int64_t now_ms, uint64_t *ret_left_out)
{
	limit->tokens += (double)(now_ms - limit->last_ms) / 1000.0 * AUDIT_PER_SECOND;
	if (limit->tokens > AUDIT_BURST)
		limit->tokens = AUDIT_BURST;
	limit->last_ms = now_ms;
	if (limit->tokens < 1.0) {
		limit->left_out++;
		return false;
	}
	limit->tokens -= 1.0;
	*ret_left_out = limit->left_out;
	limit->left_out = 0;
	return true;
}

char *
audit_command(const struct request *request)
{
	size_t len = strcspn(request->target, "?");
	char *path, *text;

	path = text_printable(request->target, len > COMMAND_MAX ? COMMAND_MAX : len);
	text = mem_printf("%s %s", request->method != NULL ? request->method : "?", path);
	free(path);
	return text;
}

struct audit_row *
audit_row_new(const struct request *request)
{
	struct audit_row *row;

	if (request->action == NULL || request->logged)
		return NULL;
	row = MEM_NEW(struct audit_row);
	row->action = mem_strdup(request->action);
	row->command = audit_command(request);
	/* The query was checked to be visible ASCII, a parameter was made printable. */
	row->parameter = mem_printf("%.1024s", request->parameter != NULL ? request->parameter
	    : request->query != NULL ? request->query : "");
	row->origin = mem_strdup(request->origin);
	row->began = request->began;
	row->began_ms = request->began_ms;
	row->unidentified = request->role == ROLE_NONE;
	return row;
}

void
audit_row_free(struct audit_row *row)
{
	if (row == NULL)
		return;
	free(row->action);
	free(row->command);
	free(row->parameter);
	free(row->origin);
	free(row);
}

static char *
row_message(const struct error *failure, uint64_t left_out)
{
	char *message;

	if (left_out == 0)
		return text_printable(failure->message, strlen(failure->message));
	message = mem_printf("%s (and %llu more refused requests before this one)",
	    failure->message, (unsigned long long)left_out);
	return message;
}

void
audit_row_write(struct http *http, struct audit_row *row, const struct error *failure)
{
	struct error err = ERROR_INIT;
	uint64_t left_out = 0;
	char *message = NULL;

	if (row == NULL)
		return;
	if (failure != NULL && row->unidentified && !server_may_log_refusal(http, &left_out)) {
		audit_row_free(row);
		return;
	}
	if (failure != NULL)
		message = row_message(failure, left_out);
	const struct action action = {
		.date = row->began,
		.action = row->action,
		.command = row->command,
		.parameter = row->parameter,
		.failed = failure != NULL,
		.outcome = failure == NULL ? "ok"
		    : failure->code == ERROR_CANCELLED ? "cancelled" : "failed",
		.origin = row->origin,
		.message = message,
		.duration_ms = time_monotonic_ms() - row->began_ms,
	};
	if (actionlog_write(server_services(http)->log, &action, NULL, &err) != 0)
		server_complain(http, &err);
	free(message);
	audit_row_free(row);
}
