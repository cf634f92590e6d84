/*
 * What a notice says.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/notices/notices.h"
#include "shared/mem.h"
#include "shared/text.h"

/* So many losses are named. */
#define LOSSES_MAX 5

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? "" : text;
}

static json_int_t
number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void
time_text(int64_t ms, char out[TIME_TEXT_SIZE])
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	time_format(t, 0, out);
}

json_t *
notice_time_json(int64_t ms)
{
	char text[TIME_TEXT_SIZE];

	if (ms <= 0)
		return json_null();
	time_text(ms, text);
	return json_string(text);
}

static char *
success_text(const struct job_state *state, const json_t *run)
{
	char bytes[16], added[16];

	size_format((uint64_t)number_of(run, "bytes"), bytes);
	size_format(state->last_added_bytes, added);
	return mem_printf("ended ok: %lld files, %s, %s added", (long long)number_of(run, "files"),
	    bytes, added);
}

static char *
jump_text(const json_t *run)
{
	const json_t *jumps = json_object_get(json_object_get(run, "result"), "jumps");
	const json_t *first = json_array_get(jumps, 0);

	if (first == NULL)
		return mem_strdup("has figures far from its usual ones");
	return mem_printf("has figures far from its usual ones: %s %lld, usually %lld",
	    text_of(first, "figure"), (long long)number_of(first, "value"),
	    (long long)number_of(first, "usual"));
}

static char *
warning_text(const json_t *run)
{
	const char *hook = text_of(json_object_get(run, "result"), "hook_failed");
	const json_t *loss = json_array_get(json_object_get(run, "losses"), 0);
	json_int_t total = number_of(run, "loss_total");

	if (total > 0)
		return mem_printf("ended with a warning: %lld path%s lost: %s (%s)%s",
		    (long long)total, total == 1 ? "" : "s", text_of(loss, "path"),
		    text_of(loss, "reason"), total > 1 ? ", ..." : "");
	if (*hook != '\0')
		return mem_printf("ended with a warning: %s", hook);
	return mem_strdup("ended with a warning");
}

static char *
proof_text(const json_t *run)
{
	const json_t *result = json_object_get(run, "result");

	return mem_printf("was restored for a test, and all was as it should be: %lld files, "
	    "%lld tables", (long long)number_of(json_object_get(result, "files"), "count"),
	    (long long)number_of(json_object_get(result, "tables"), "count"));
}

static char *
overdue_text(const struct job_state *state)
{
	char since[TIME_TEXT_SIZE];

	if (state->last_success_ms == 0)
		return mem_strdup("is overdue: it has never succeeded");
	time_text(state->last_success_ms, since);
	return mem_printf("is overdue: the last success was at %s", since);
}

static char *
event_text(enum notice_kind kind, const struct job_state *state, const json_t *run)
{
	const char *why = text_of(json_object_get(run, "error"), "message");

	switch (kind) {
	case NOTICE_SUCCESS:
		return success_text(state, run);
	case NOTICE_WARNING:
		return warning_text(run);
	case NOTICE_FAILURE:
		return mem_printf("%s: %s", strcmp(text_of(run, "outcome"), "aborted") == 0
		    ? "was cut off" : "failed", *why == '\0' ? "no reason is known" : why);
	case NOTICE_CANCELLED:
		return mem_printf("was cancelled%s%s", *why == '\0' ? "" : ": ", why);
	case NOTICE_SKIPPED:
		return mem_printf("was skipped%s%s", *why == '\0' ? "" : ": ", why);
	case NOTICE_OVERDUE:
		return overdue_text(state);
	case NOTICE_RECOVERY:
		return mem_strdup("has succeeded again, after it was overdue");
	case NOTICE_JUMP:
		return jump_text(run);
	case NOTICE_PROOF:
		return proof_text(run);
	case NOTICE_UNPROVEN:
		return mem_printf("has a backup that was not restored for a test: %s",
		    *why == '\0' ? "no reason is known" : why);
	case NOTICE_START:
		return mem_strdup("has begun");
	case NOTICE_TEST:
	case NOTICE_KIND_COUNT:
		break;
	}
	return mem_strdup("this is a test");
}

char *
notice_text(enum notice_kind kind, const struct job_state *state, const json_t *run,
    const char *agent)
{
	char *what = event_text(kind, state, run);
	char *line = state == NULL ? mem_printf("%s: %s", agent, what)
	    : mem_printf("%s: job %s %s", agent, state->name, what);
	char *printable = text_printable(line, strlen(line));

	free(line);
	free(what);
	return printable;
}

static json_t *
run_json(const json_t *run)
{
	static const char *const kept[] = { "id", "kind", "outcome", "command", "queued", "started",
		"finished", "snapshot", "error", "files", "bytes", "stored_bytes", "duration_ms",
		"loss_total" };
	json_t *brief, *losses;

	if (run == NULL)
		return json_null();
	brief = json_object();
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		json_t *value = json_object_get(run, kept[i]);

		if (value != NULL)
			json_object_set(brief, kept[i], value);
	}
	losses = json_array();
	for (size_t i = 0; i < LOSSES_MAX; i++) {
		json_t *loss = json_array_get(json_object_get(run, "losses"), i);

		if (loss != NULL)
			json_array_append(losses, loss);
	}
	json_object_set_new(brief, "losses", losses);
	return brief;
}

json_t *
notice_document(enum notice_kind kind, const struct job_state *state, const json_t *run,
    const char *agent, const char *text)
{
	char now[TIME_TEXT_SIZE];

	time_format(time_now(), 3, now);
	return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s, s:o, s:o, s:o, s:o, s:i}", "kind",
	    notice_kind_word(kind), "agent", agent, "version", PACKAGE_VERSION, "job",
	    state == NULL ? NULL : state->name, "time", now, "text", text, "run", run_json(run),
	    "last_success", notice_time_json(state == NULL ? 0 : state->last_success_ms),
	    "overdue_since", notice_time_json(state == NULL ? 0 : state->overdue_since_ms), "next",
	    notice_time_json(state == NULL ? 0 : state->next_ms), "merged", 0);
}
