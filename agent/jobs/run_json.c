#include <stdlib.h>
#include <string.h>

#include "agent/jobs/runs_internal.h"
#include "shared/mem.h"

const char *
run_state_word(const struct run *run)
{
	switch (run->state) {
	case RUN_NEW:
	case RUN_QUEUED:
		return "queued";
	case RUN_RUNNING:
	case RUN_ENDING: /* what it came to is told once it is durable */
		return "running";
	case RUN_PAUSED:
		return "paused";
	case RUN_ENDED:
		return run->outcome;
	}
	return "running";
}

/* Message texts hold paths, which are bytes of any kind. */
static json_t *
text_json(const char *text)
{
	char *safe;
	json_t *json;

	if (text == NULL || *text == '\0')
		return json_null();
	if (text_is_utf8(text, strlen(text)))
		return json_string(text);
	safe = text_printable(text, strlen(text));
	json = json_string(safe);
	free(safe);
	return json;
}

json_t *
run_error_json(const struct error *failure)
{
	if (failure->code == ERROR_NONE)
		return json_null();
	return json_pack("{s:s, s:o, s:o}", "code", error_word(failure->code), "message",
	    text_json(failure->message), "hint", text_json(failure->hint));
}

void
run_error_from_json(const json_t *json, struct error *ret)
{
	const char *word = json_string_value(json_object_get(json, "code"));
	const char *message = json_string_value(json_object_get(json, "message"));
	const char *hint = json_string_value(json_object_get(json, "hint"));
	enum error_code code = ERROR_INTERNAL;

	error_clear(ret);
	if (word == NULL)
		return;
	for (int i = 0; i < ERROR_CODE_COUNT; i++)
		if (strcmp(error_word((enum error_code)i), word) == 0)
			code = (enum error_code)i;
	error_set(ret, code, "%s", message == NULL ? "" : message);
	if (hint != NULL)
		error_hint(ret, "%s", hint);
}

json_t *
run_remarks_json(struct progress *progress, const struct remarks *remarks, uint64_t from)
{
	json_t *list = json_array();

	pthread_mutex_lock(&progress->lock);
	for (size_t i = from; i < remarks->count; i++)
		json_array_append_new(list,
		    json_pack("{s:o, s:o}", "path", text_json(remarks->list[i].path), "reason",
			text_json(remarks->list[i].reason)));
	pthread_mutex_unlock(&progress->lock);
	return list;
}

json_t *
run_progress_json(struct run *run)
{
	struct progress_view *view = MEM_NEW(struct progress_view);
	json_t *json, *eta = json_null();

	progress_read(&run->progress, view);
	if (run->rate >= 1 && view->bytes_total > view->bytes)
		eta = json_integer((json_int_t)((double)(view->bytes_total - view->bytes) /
		    run->rate + 0.5));
	json = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "phase",
	    text_json(view->phase), "files", (json_int_t)view->files, "files_total",
	    (json_int_t)view->files_total, "bytes", (json_int_t)view->bytes, "bytes_total",
	    (json_int_t)view->bytes_total, "stored_bytes", (json_int_t)view->stored_bytes, "rate",
	    (json_int_t)run->rate, "path", text_json(view->path), "eta_s", eta);
	if (run->limits != NULL) {
		json_t *limits = json_copy(run->limits);

		json_object_set_new(limits, "waited_ms",
		    json_integer((json_int_t)(view->waited_ns / 1000000)));
		json_object_set_new(json, "limits", limits);
	}
	free(view);
	return json;
}

static json_t *
time_or_null(const char *text)
{
	return *text == '\0' ? json_null() : json_string(text);
}

json_t *
run_json(struct run *run, bool brief)
{
	json_t *json;

	if (run->state == RUN_ENDED) {
		json = json_copy(run->final);
		if (brief) {
			json_object_del(json, "losses");
			json_object_del(json, "notes");
			json_object_del(json, "result");
		}
		return json;
	}
	json = json_object();
	json_object_set_new(json, "id", json_string(run->id));
	json_object_set_new(json, "kind", json_string(run_kind_word(run->kind)));
	json_object_set_new(json, "state", json_string(run_state_word(run)));
	json_object_set_new(json, "outcome", json_null());
	json_object_set(json, "arguments", run->arguments);
	json_object_set_new(json, "command", text_json(run->command));
	json_object_set_new(json, "origin", text_json(run->origin));
	json_object_set_new(json, "queued", json_string(run->queued_text));
	json_object_set_new(json, "started", time_or_null(run->started_text));
	json_object_set_new(json, "finished", json_null());
	json_object_set_new(json, "snapshot", json_null());
	json_object_set_new(json, "error", json_null());
	json_object_set_new(json, "progress", run->state <= RUN_QUEUED ? json_null()
	    : run_progress_json(run));
	pthread_mutex_lock(&run->progress.lock);
	json_object_set_new(json, "loss_total", json_integer(
	    (json_int_t)run->progress.losses.total));
	json_object_set_new(json, "note_total", json_integer(
	    (json_int_t)run->progress.notes.total));
	pthread_mutex_unlock(&run->progress.lock);
	if (!brief) {
		json_object_set_new(json, "losses",
		    run_remarks_json(&run->progress, &run->progress.losses, 0));
		json_object_set_new(json, "notes",
		    run_remarks_json(&run->progress, &run->progress.notes, 0));
		json_object_set_new(json, "result", json_null());
	}
	return json;
}
