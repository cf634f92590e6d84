/*
 * What the last process left behind: runs that were queued, going, or not in the log yet.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/runs_internal.h"
#include "agent/repository/snapshot.h"
#include "shared/log.h"
#include "shared/mem.h"

static const char *
text_of(const json_t *run, const char *name)
{
	return json_string_value(json_object_get(run, name));
}

/* The snapshots that there are, looked for once somebody needs them. */
struct finished {
	struct snapshot **list;
	size_t count;
	bool looked;
};

static const struct snapshot *
snapshot_of_run(struct runs *runs, struct finished *finished, const char *id)
{
	struct error err = ERROR_INIT;

	if (!finished->looked && snapshot_list(runs->repo, &finished->list, &finished->count,
	    NULL, NULL, &err) != 0)
		log_error("snapshots-not-read", &err, json_pack("{s:s}", "run", id));
	finished->looked = true;
	for (size_t i = finished->count; i-- > 0;)
		if (finished->list[i]->run != NULL && strcmp(finished->list[i]->run, id) == 0)
			return finished->list[i];
	return NULL;
}

/* The path is printable there, and becomes so here once more. */
static void
add_loss(struct progress *progress, const struct snapshot_loss *loss)
{
	struct error ignored = ERROR_INIT;
	char *path = NULL;
	size_t len;

	if (text_unprintable(loss->path, &ignored, &path, &len) == 0)
		progress_loss(progress, path, len, "%s", loss->reason);
	else
		progress_loss(progress, loss->path, strlen(loss->path), "%s", loss->reason);
	free(path);
}

/* The run was done when the agent ended, but for saying so: its snapshot is there. */
static void
end_with_snapshot(struct runs *runs, struct run *run, const struct snapshot *snapshot)
{
	static const char note[] = "the agent ended before this was recorded; the snapshot tells it";
	struct error none = ERROR_INIT;

	run_result_of_snapshot(snapshot, &run->result);
	run->finished = snapshot->finished;
	for (size_t i = 0; i < snapshot->loss_count; i++)
		add_loss(&run->progress, &snapshot->losses[i]);
	progress_note(&run->progress, "", 0, "%s", note);
	run_find_jumps(runs, run);
	run_finish(runs, run, snapshot->warn || json_object_get(run->result.json, "jumps") != NULL
	    ? "warn" : "ok", &none);
}

/* One run that the last process left behind. */
static int
recover_one(struct runs *runs, json_t *row, struct finished *finished, struct error *err)
{
	const char *state = text_of(row, "state"), *id = text_of(row, "id");
	struct error why = ERROR_INIT, ignored = ERROR_INIT;
	const struct snapshot *snapshot;
	enum run_kind kind = RUN_BACKUP;
	struct run *run;

	if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0 &&
	    strcmp(state, "paused") != 0) {
		if (run_write_row(runs, row, err) != 0)
			return -1;
		return runs_store_logged(runs->store, id, err);
	}
	if (run_kind_parse(text_of(row, "kind"), &kind, err) != 0)
		return -1; /* of a newer version: left for it */
	run = run_new(kind, id, json_incref(json_object_get(row, "arguments")),
	    text_of(row, "command"), text_of(row, "origin"));
	time_parse(text_of(row, "queued"), false, &run->queued, &ignored);
	time_format(run->queued, 3, run->queued_text);
	pthread_mutex_lock(&runs->lock);
	MEM_GROW(runs->active, runs->active_count, runs->active_cap);
	runs->active[runs->active_count++] = run;
	if (strcmp(state, "queued") == 0) {
		runs_enqueue(runs, run);
		pthread_mutex_unlock(&runs->lock);
		return 0;
	}
	pthread_mutex_unlock(&runs->lock);
	if (text_of(row, "started") != NULL) {
		time_parse(text_of(row, "started"), false, &run->started, &ignored);
		time_format(run->started, 3, run->started_text);
	}
	/* A backup of tables has more to do behind its snapshot, and starts anew. */
	snapshot = kind == RUN_BACKUP || kind == RUN_IMPORT ? snapshot_of_run(runs, finished, id)
	    : NULL;
	if (snapshot != NULL) {
		end_with_snapshot(runs, run, snapshot);
		return 0;
	}
	error_set(&why, ERROR_UNAVAILABLE, "the agent ended while the run was going");
	error_hint(&why, "start it again: what was stored already is not stored twice");
	run_finish(runs, run, "aborted", &why);
	return 0;
}

static enum run_kind
kind_of(const struct snapshot *snapshot)
{
	/* Whatever a job backs up. */
	if (snapshot->job != NULL)
		return RUN_BACKUP;
	if (snapshot->kind != NULL && strcmp(snapshot->kind, "tables") == 0)
		return RUN_TABLES;
	return snapshot->kind != NULL && strcmp(snapshot->kind, "stream") == 0 ? RUN_IMPORT
	    : RUN_BACKUP;
}

/* What is known of what was asked for. */
static json_t *
arguments_of(const struct snapshot *snapshot, enum run_kind kind)
{
	json_t *arguments = json_object(), *paths;

	if (snapshot->job != NULL) {
		json_object_set_new(arguments, "job", json_string(snapshot->job));
	} else if (kind == RUN_BACKUP) {
		json_object_set_new(arguments, "paths", paths = json_array());
		for (size_t i = 0; i < snapshot->source_count; i++)
			json_array_append_new(paths, json_string(snapshot->sources[i]));
	}
	return arguments;
}

/* One run of the past, with what it needs to live. */
struct past {
	char began[TIME_TEXT_SIZE], finished[TIME_TEXT_SIZE];
	json_t *arguments;
	struct run_result result;
};

static void
take_past(const struct snapshot *snapshot, struct past *past, struct run_past *run)
{
	enum run_kind kind = kind_of(snapshot);
	int64_t ms = ((int64_t)snapshot->finished.tv_sec - snapshot->time.tv_sec) * 1000;

	time_format(snapshot->time, 3, past->began);
	time_format(snapshot->finished, 3, past->finished);
	past->arguments = arguments_of(snapshot, kind);
	run_result_of_snapshot(snapshot, &past->result);
	*run = (struct run_past){
		.row = { .id = snapshot->run, .kind = kind, .arguments = past->arguments,
		    .command = "known by its snapshot", .origin = "agent", .queued = past->began },
		.end = { .outcome = snapshot->warn ? "warn" : "ok", .finished = past->finished,
		    .duration_ms = ms > 0 ? ms : 0, .snapshot = snapshot->id,
		    .result = past->result.json, .loss_total = snapshot->loss_total,
		    .files = snapshot->files, .bytes = snapshot->bytes,
		    .stored_bytes = snapshot->stored_bytes },
	};
}

int
runs_rebuild(struct runs *runs, struct error *err)
{
	struct snapshot **list = NULL;
	size_t count = 0, known = 0;
	struct run_past *found;
	struct past *past;
	int rc;

	if (snapshot_list(runs->repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	found = mem_calloc(count, sizeof(*found));
	past = mem_calloc(count, sizeof(*past));
	for (size_t i = 0; i < count; i++) {
		if (list[i]->run == NULL || list[i]->host == NULL ||
		    strcmp(list[i]->host, runs->config->name) != 0)
			continue;
		take_past(list[i], &past[known], &found[known]);
		known++;
	}
	rc = runs_store_add_past(runs->store, found, known, err);
	for (size_t i = 0; i < known; i++) {
		json_decref(past[i].arguments);
		run_result_done(&past[i].result);
	}
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(past);
	free(found);
	free(list);
	return rc == 0 ? (int)known : -1;
}

int
runs_recover(struct runs *runs, struct error *err)
{
	struct finished finished = { .list = NULL };
	json_t *rows = NULL, *row;
	size_t i;

	if (runs_store_unlogged(runs->store, &rows, err) != 0)
		return -1;
	json_array_foreach(rows, i, row) {
		struct error why = ERROR_INIT;

		/* One that cannot be logged now (a full disk) must not keep the agent from coming
		 * up: it is tried again at the next start. */
		if (recover_one(runs, row, &finished, &why) != 0)
			log_error("run-not-saved", &why, json_pack("{s:O}", "run",
			    json_object_get(row, "id")));
	}
	for (size_t s = 0; s < finished.count; s++)
		snapshot_free(finished.list[s]);
	free(finished.list);
	json_decref(rows);
	return 0;
}
