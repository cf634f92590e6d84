#include "agent/commands/run_command.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/progress_line.h"
#include "agent/jobs/run_hooks.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* So many losses, and notes, are spelled out on standard error. */
#define REMARKS_SHOWN 50

struct work {
	struct session *session;
	const struct run_command *command;
	char id[RUN_ID_TEXT_SIZE];
	struct progress progress;
	struct progress_line *line;
	struct run_result result;
	struct timespec began;
	int64_t duration_ms;
	const char *outcome;   /* NULL: nothing was begun */
};

#define SKIPPED "skipped"

static void
show_remarks(const struct remarks *remarks, const char *label)
{
	size_t shown = remarks->count < REMARKS_SHOWN ? remarks->count : REMARKS_SHOWN;

	for (size_t i = 0; i < shown; i++)
		fprintf(stderr, "%s: %s: %s\n", label, remarks->list[i].path,
		    remarks->list[i].reason);
	if (remarks->total > shown)
		fprintf(stderr, "%s: and %llu more\n", label,
		    (unsigned long long)(remarks->total - shown));
}

static json_t *
remarks_json(const struct remarks *remarks)
{
	json_t *list = json_array();

	for (size_t i = 0; i < remarks->count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "path", remarks->list[i].path,
		    "reason", remarks->list[i].reason));
	return list;
}

/* As GET /v1/runs/{id} gives it, as far as it goes. */
static json_t *
work_json(const struct work *work, const struct error *failure)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:I, s:o, s:I, s:O?}",
	    "id", work->id, "kind", run_kind_word(work->command->kind), "outcome", work->outcome,
	    "snapshot", work->result.snapshot[0] == '\0' ? json_null()
	    : json_string(work->result.snapshot), "duration_ms", (json_int_t)work->duration_ms,
	    "losses", remarks_json(&work->progress.losses),
	    "loss_total", (json_int_t)work->progress.losses.total,
	    "notes", remarks_json(&work->progress.notes),
	    "note_total", (json_int_t)work->progress.notes.total, "result", work->result.json);
	char *message = text_printable(failure->message, strlen(failure->message));

	json_object_set_new(json, "error", failure->code == ERROR_NONE ? json_null()
	    : json_pack("{s:s, s:s, s:s}", "code", error_word(failure->code), "message", message,
	    "hint", failure->hint));
	free(message);
	return json;
}

static void
write_log(struct work *work, const struct error *failure)
{
	char *parameter = run_kind_parameter(work->command->kind, work->command->arguments);
	const char *hook = json_string_value(json_object_get(work->result.json, "hook_failed"));
	char *lost = NULL;
	struct action action = { .date = work->began,
		.action = run_kind_action(work->command->kind, work->command->arguments),
		.parameter = parameter,
		.failed = failure->code != ERROR_NONE,
		.outcome = work->outcome,
		.run = work->id,
		.once = true,
		.duration_ms = work->duration_ms,
		.files = work->result.files,
		.bytes = work->result.bytes,
		.stored_bytes = work->result.stored_bytes };

	if (work->result.snapshot[0] != '\0')
		action.snapshot = work->result.snapshot;
	/* It is no backup, and must not count as one. */
	if (strcmp(work->outcome, SKIPPED) == 0)
		action.action = "BackupSkipped";
	if (failure->code != ERROR_NONE)
		action.message = failure->message;
	else if (hook != NULL)
		action.message = hook;
	else if (work->progress.losses.total > 0)
		action.message = lost = mem_printf("%llu %s, the first: %s (%s)",
		    (unsigned long long)work->progress.losses.total,
		    work->command->kind == RUN_LOAD ? "rows rejected" : "paths lost",
		    work->progress.losses.list[0].path, work->progress.losses.list[0].reason);
	session_log(work->session, &action);
	free(lost);
	free(parameter);
}

static void
print_each(void *arg, enum restore_action action, const char *path)
{
	struct work *work = arg;

	progress_line_hide(work->line);
	work->command->each(NULL, action, path);
	progress_line_show(work->line);
}

/* Of LIMIT_OPTIONS, whatever was given. */
static int
add_limits(const struct session *session, json_t *arguments, struct error *err)
{
	json_t *limits = json_object();
	int rc = -1;

	run_text_argument(session, "limit-upload", limits, "upload");
	run_text_argument(session, "limit-download", limits, "download");
	run_text_argument(session, "limit-read", limits, "read");
	run_text_argument(session, "limit-io", limits, "io");
	if (run_number_argument(session, "limit-files", limits, "files", err) == 0 &&
	    run_number_argument(session, "limit-nice", limits, "nice", err) == 0)
		rc = 0;
	if (rc == 0 && json_object_size(limits) > 0)
		json_object_set(arguments, "limits", limits);
	json_decref(limits);
	return rc;
}

/* The run itself, and the hooks of the job that it is a backup of. */
static int
execute_checked(struct work *work, const struct run_context *context, const json_t *arguments,
    struct error *err)
{
	enum run_kind kind = work->command->kind;
	struct run_hooks hooks;
	int rc = run_hooks_before(&hooks, kind, context, arguments, &work->progress, err);

	if (rc > 0)
		work->outcome = SKIPPED;
	else if (rc == 0)
		rc = run_kind_execute(
		    kind, context, arguments, &work->progress, &work->result, err);
	if (rc == 0) {
		error_clear(err);
		work->outcome = work->progress.losses.total > 0 ? "warn" : "ok";
	} else if (rc < 0) {
		work->outcome = err->code == ERROR_CANCELLED ? "cancelled" : "failed";
	}
	work->outcome = run_hooks_after(
	    &hooks, context, &work->progress, &work->result, work->outcome, err);
	return rc == 0 ? 0 : -1;
}

static int
execute(struct work *work, struct error *err)
{
	struct run_context context = { .config = work->session->config, .run = work->id,
		.rights = POLICY_LOCAL, .input = work->command->input };
	json_t *arguments = NULL;
	int rc;

	/* A slip in the usage is told before a passphrase is asked for. */
	if (add_limits(work->session, work->command->arguments, err) != 0 ||
	    run_kind_check_form(work->command->kind, work->command->arguments, err) != 0 ||
	    session_open_repository(work->session, err) != 0)
		return -1;
	context.repo = work->session->repo;
	/* The run's notes tell it. */
	repository_on_healed(context.repo, NULL, NULL);
	if (run_kind_check(work->command->kind, &context, work->command->arguments, &arguments,
	    err) != 0)
		return -1;
	if (work->command->each != NULL && !work->session->json) {
		context.each = print_each;
		context.arg = work;
	}
	context.limits = run_limits_new(work->session->config);
	work->line = progress_line_start(&work->progress);
	rc = execute_checked(work, &context, arguments, err);
	progress_line_stop(work->line);
	run_limits_free(context.limits);
	json_decref(arguments);
	return rc;
}

static int
report(struct work *work, const struct error *failure, struct error *err)
{
	show_remarks(&work->progress.notes, "note");
	show_remarks(&work->progress.losses,
	    work->command->kind == RUN_LOAD ? "rejected" : "lost");
	if (work->session->json) {
		if (session_print_json(work_json(work, failure), err) != 0)
			return -1;
	} else if (work->result.json != NULL) {
		work->command->print(&work->result, (double)work->duration_ms / 1000);
	}
	if (failure->code != ERROR_NONE) {
		*err = *failure;
		return -1;
	}
	return strcmp(work->outcome, "warn") == 0 ? EXIT_LOSSES : EXIT_OK;
}

int
run_command(struct session *session, const struct run_command *command, struct error *err)
{
	struct work work = { .session = session, .command = command };
	struct error failure = ERROR_INIT;
	int64_t began_ms = time_monotonic_ms();
	unsigned char random[16];
	int rc;

	randombytes_buf(random, sizeof(random));
	hex_encode(random, sizeof(random), work.id);
	if (command->ret_id != NULL)
		memcpy(command->ret_id, work.id, sizeof(work.id));
	progress_init(&work.progress);
	work.began = time_now();
	if (execute(&work, &failure) != 0 && work.outcome == NULL)
		work.outcome = failure.code == ERROR_CANCELLED ? "cancelled" : "failed";
	work.duration_ms = time_monotonic_ms() - began_ms;
	write_log(&work, &failure);
	rc = report(&work, &failure, err);
	run_result_done(&work.result);
	progress_done(&work.progress);
	return rc;
}

json_t *
run_path_argument(const char *path, struct error *err)
{
	char *absolute, *here = NULL, *printable;
	json_t *json;

	if (path[0] == '/') {
		absolute = mem_strdup(path);
	} else {
		here = getcwd(NULL, 0);
		if (here == NULL) {
			error_sys(err, ERROR_IO, errno, "could not tell the present folder");
			return NULL;
		}
		absolute = mem_printf("%s%s%s", here, strcmp(here, "/") == 0 ? "" : "/", path);
	}
	if (text_is_utf8(absolute, strlen(absolute))) {
		json = json_string(absolute);
	} else {
		printable = text_printable(absolute, strlen(absolute));
		json = json_string(printable);
		free(printable);
	}
	free(here);
	free(absolute);
	return json;
}

int
run_list_argument(const struct session *session, const char *option, json_t *array,
    struct error *err)
{
	size_t count;
	const char **values = option_values(&session->line, option, &count);
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++)
		if (json_array_append_new(array, json_string(values[i])) != 0)
			rc = error_set(
			    err, ERROR_USAGE, "the value of '--%s' is not valid UTF-8", option);
	free(values);
	return rc;
}

int
run_number_argument(const struct session *session, const char *option, json_t *arguments,
    const char *name, struct error *err)
{
	const char *value = option_value(&session->line, option);
	char *end;
	long long number;

	if (value == NULL)
		return 0;
	errno = 0;
	number = strtoll(value, &end, 10);
	if (*value < '0' || *value > '9' || *end != '\0' || errno != 0)
		return error_set(
		    err, ERROR_USAGE, "option '--%s' takes a number, not '%.100s'", option, value);
	json_object_set_new(arguments, name, json_integer(number));
	return 0;
}

void
run_flag_argument(const struct session *session, const char *option, json_t *arguments,
    const char *name, bool value)
{
	if (option_given(&session->line, option))
		json_object_set_new(arguments, name, json_boolean(value));
}

void
run_text_argument(const struct session *session, const char *option, json_t *arguments,
    const char *name)
{
	const char *value = option_value(&session->line, option);

	if (value != NULL)
		json_object_set_new(arguments, name, json_string(value));
}
