#include "agent/jobs/hooks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/argv.h"
#include "agent/jobs/command.h"
#include "shared/buffer.h"
#include "shared/mem.h"

/* So much of what a hook said last is kept. */
#define SAID_LINES 10
#define SAID_MAX 2000

static const char *const words[] = { "before", "after", "on_failure" };

static const char *
text_of(const struct config_job *job, enum hook hook)
{
	const char *const texts[] = { job->before, job->after, job->on_failure };

	return texts[hook];
}

static bool
is_cancelled(void *arg)
{
	return atomic_load(&((struct progress *)arg)->cancelled);
}

/* ---- environment */

struct environment {
	char **list; /* ends with NULL */
	size_t count, cap;
};

static void
add(struct environment *environment, const char *name, const char *value)
{
	MEM_GROW(environment->list, environment->count + 1, environment->cap);
	environment->list[environment->count++] = mem_printf("%s=%s", name, value);
	environment->list[environment->count] = NULL;
}

static void
add_number(struct environment *environment, const char *name, uint64_t number)
{
	char *text = mem_printf("%" PRIu64, number);

	add(environment, name, text);
	free(text);
}

static void
environment_done(struct environment *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		free(environment->list[i]);
	free(environment->list);
}

static char *
paths_of(const struct config_job *job)
{
	struct buffer text = BUFFER_INIT;

	for (size_t i = 0; i < job->path_count; i++)
		buffer_printf(&text, "%s%s", i == 0 ? "" : "\n", job->path[i]);
	return buffer_take(&text);
}

static struct environment
environment_of(const struct config_job *job, enum hook hook, const struct hook_facts *facts)
{
	const char *home = getenv("HOME");
	struct environment environment = { .count = 0 };
	char *paths = paths_of(job);

	add(&environment, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	add(&environment, "LANG", "C.UTF-8");
	add(&environment, "HOME", home == NULL ? "/" : home);
	add(&environment, "HOLDFAST_HOOK", words[hook]);
	add(&environment, "HOLDFAST_JOB", job->name);
	add(&environment, "HOLDFAST_PATHS", paths);
	if (facts->run != NULL)
		add(&environment, "HOLDFAST_RUN", facts->run);
	if (facts->outcome != NULL) {
		add(&environment, "HOLDFAST_OUTCOME", facts->outcome);
		add_number(&environment, "HOLDFAST_FILES", facts->files);
		add_number(&environment, "HOLDFAST_BYTES", facts->bytes);
		add_number(&environment, "HOLDFAST_STORED_BYTES", facts->stored_bytes);
	}
	if (facts->snapshot != NULL)
		add(&environment, "HOLDFAST_SNAPSHOT", facts->snapshot);
	if (facts->error != NULL)
		add(&environment, "HOLDFAST_ERROR", facts->error);
	free(paths);
	return environment;
}

/* ---- what it came to */

/* A hook that ended well and said nothing leaves no note. */
static void
note(const struct command *command, const struct command_result *result, enum hook hook,
    struct progress *progress)
{
	char *said = command_last_lines(result, SAID_LINES, SAID_MAX);
	char *how = command_end_text(command, result);

	if (*said != '\0' || result->end != COMMAND_EXITED || result->status != 0)
		progress_note(progress, command->argv[0], strlen(command->argv[0]), "%s %s%s%s",
		    words[hook], how, *said == '\0' ? "" : ": ", said);
	free(how);
	free(said);
}

static int
judge(const struct command *command, const struct command_result *result, enum hook hook,
    struct error *err)
{
	char *said;

	if (hook == HOOK_BEFORE && result->end == COMMAND_EXITED &&
	    result->status == HOOK_SKIP_STATUS) {
		said = command_last_lines(result, 1, 300);
		error_set(err, ERROR_CONFLICT, "skipped by '%.160s'%s%s", command->argv[0],
		    *said == '\0' ? "" : ": ", said);
		free(said);
		return 1;
	}
	if (command_check(command, result, err) == 0)
		return 0;
	error_prefix(err, "%s: ", words[hook]);
	return -1;
}

int
hook_run(const struct config_job *job, enum hook hook, const struct hook_facts *facts,
    struct progress *progress, struct error *err)
{
	const char *text = text_of(job, hook);
	struct command command = { .timeout_ms = job->hook_timeout_s * 1000 };
	struct environment environment;
	struct command_result result;
	char **argv = NULL;
	int rc;

	if (text == NULL)
		return 0;
	/* It was checked when the configuration was read. */
	if (argv_parse(text, &argv, err) != 0)
		return error_prefix(err, "%s: ", words[hook]);
	environment = environment_of(job, hook, facts);
	command.argv = argv;
	command.environment = environment.list;
	if (!facts->last) {
		command.cancelled = is_cancelled;
		command.arg = progress;
	} else if (command.timeout_ms > HOOK_LAST_S * 1000) {
		command.timeout_ms = HOOK_LAST_S * 1000;
	}
	progress_phase(progress, words[hook]);
	rc = command_run(&command, &result, err);
	if (rc == 0) {
		note(&command, &result, hook, progress);
		rc = judge(&command, &result, hook, err);
		command_result_done(&result);
	} else {
		error_prefix(err, "%s: ", words[hook]);
		progress_note(progress, argv[0], strlen(argv[0]), "%s", err->message);
	}
	environment_done(&environment);
	argv_free(argv);
	return rc;
}
