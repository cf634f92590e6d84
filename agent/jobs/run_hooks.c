#include "agent/jobs/run_hooks.h"

#include <stdlib.h>
#include <string.h>

#include "agent/jobs/hooks.h"
#include "shared/text.h"

static const struct config_job *
job_of(enum run_kind kind, const struct run_context *context, const json_t *arguments)
{
	const char *name = argument_text(arguments, "job");

	if (kind != RUN_BACKUP || name == NULL || argument_bool(arguments, "dry_run", false))
		return NULL;
	return config_job_find(context->config, name);
}

int
run_hooks_before(struct run_hooks *hooks, enum run_kind kind,
    const struct run_context *context, const json_t *arguments, struct progress *progress,
    struct error *err)
{
	struct hook_facts facts = { .run = context->run };

	*hooks = (struct run_hooks){ .job = job_of(kind, context, arguments), .begun = true };
	return hooks->job == NULL ? 0 : hook_run(hooks->job, HOOK_BEFORE, &facts, progress, err);
}

/* As runs' documents have it: a run that did not get to its figures tells how far it came. */
static void
set_figures(struct progress *progress, const struct run_result *result, struct hook_facts *facts)
{
	if (result->snapshot[0] != '\0')
		facts->snapshot = result->snapshot;
	if (result->json != NULL) {
		facts->files = result->files;
		facts->bytes = result->bytes;
		facts->stored_bytes = result->stored_bytes;
	} else {
		facts->files = atomic_load(&progress->files);
		facts->bytes = atomic_load(&progress->bytes);
		facts->stored_bytes = atomic_load(&progress->stored_bytes);
	}
}

static void
keep_failure(struct run_result *result, const struct error *why)
{
	char *message = text_printable(why->message, strlen(why->message));

	if (result->json == NULL)
		result->json = json_object();
	json_object_set_new(result->json, "hook_failed", json_string(message));
	free(message);
}

const char *
run_hooks_after(const struct run_hooks *hooks, const struct run_context *context,
    struct progress *progress, struct run_result *result, const char *outcome,
    const struct error *failure)
{
	bool succeeded = strcmp(outcome, "ok") == 0 || strcmp(outcome, "warn") == 0;
	struct hook_facts facts = { .run = context->run, .outcome = outcome,
		.last = atomic_load(&progress->cancelled) };
	struct error err = ERROR_INIT;

	if (hooks->job == NULL || !hooks->begun ||
	    (!succeeded && strcmp(outcome, "failed") != 0 && strcmp(outcome, "cancelled") != 0))
		return outcome;
	if (failure->code != ERROR_NONE)
		facts.error = failure->message;
	set_figures(progress, result, &facts);
	/* A hook that fails after a failure is one more note, which hook_run() has made. */
	if (hook_run(hooks->job, succeeded ? HOOK_AFTER : HOOK_ON_FAILURE, &facts, progress,
	    &err) == 0 || !succeeded)
		return outcome;
	keep_failure(result, &err);
	return "warn";
}
