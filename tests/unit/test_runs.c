/*
 * Runs over an engine of our own: files_backup() and its like are replaced here, so that a run
 * can be held at a point, lose paths, fail, or fill the disk, without any timing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/archive_in.h"
#include "agent/files/backup.h"
#include "agent/files/prove.h"
#include "agent/files/restore.h"
#include "agent/jobs/runs.h"
#include "agent/jobs/runs_kinds.h"
#include "agent/repository/check.h"
#include "agent/repository/prune.h"
#include "agent/repository/repair.h"
#include "agent/repository/repair_packs.h"
#include "agent/tables/backup.h"
#include "agent/tables/prove.h"
#include "agent/tables/restore.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

#define SNAPSHOT_ID "0123456789abcdef0123456789abcdef"

/* The engine: a run tagged "wait" goes on when the gate opens, or ends when it is cancelled. */
struct engine {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;      /* the gate */
	unsigned inside; /* runs that have begun */
	char job[512];   /* what the last backup was told of its job */
};

/* The repository is only handed through; the engine travels in its place. */
static struct engine *
engine_of(struct repository *repo)
{
	return (struct engine *)(void *)repo;
}

static bool
has_tag(const struct backup_options *options, const char *tag)
{
	for (size_t i = 0; i < options->tag_count; i++)
		if (strcmp(options->tags[i], tag) == 0)
			return true;
	return false;
}

static int
hold(struct engine *engine, struct progress *progress, struct error *err)
{
	struct timespec tick = { 0, 1000000 };
	bool open = false;

	pthread_mutex_lock(&engine->lock);
	engine->inside++;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	while (!open) {
		if (progress_check(progress, err) != 0)
			return -1;
		pthread_mutex_lock(&engine->lock);
		open = engine->open;
		pthread_mutex_unlock(&engine->lock);
		nanosleep(&tick, NULL);
	}
	return progress_check(progress, err);
}

int
files_backup(struct repository *repo, const struct backup_options *options,
    struct progress *progress, struct snapshot **ret, struct error *err)
{
	progress_phase(progress, "backup");
	atomic_fetch_add(&progress->files, 3);
	atomic_fetch_add(&progress->bytes, 4000);
	engine_of(repo)->job[0] = '\0';
	if (options->job != NULL)
		snprintf(engine_of(repo)->job, sizeof(engine_of(repo)->job), "%s %zu %s %zu %s",
		    options->job, options->path_count, options->paths[0], options->exclude_count,
		    options->excludes[options->exclude_count - 1]);
	if (has_tag(options, "wait") && hold(engine_of(repo), progress, err) != 0)
		return -1;
	if (has_tag(options, "full"))
		return error_set(
		    err, ERROR_NO_SPACE, "could not write pack: No space left on device");
	if (has_tag(options, "lose"))
		progress_loss(progress, "/a\xff", 3, "Permission denied");
	if (options->dry_run) {
		*ret = NULL;
		return 0;
	}
	*ret = MEM_NEW(struct snapshot);
	snprintf((*ret)->id, sizeof((*ret)->id), "%s", SNAPSHOT_ID);
	(*ret)->files = 3;
	(*ret)->bytes = 4000;
	(*ret)->stored_bytes = 500;
	return 0;
}

/* Reads all of the input, which may hold it up. */
int
files_import(struct repository *repo, const struct import_options *options,
    const struct import_input *input, struct progress *progress, struct snapshot **ret,
    struct error *err)
{
	char buf[4];
	ssize_t n;

	if (strcmp(options->name, "/wait") == 0 && hold(engine_of(repo), progress, err) != 0)
		return -1;
	while ((n = input->read(input->arg, buf, sizeof(buf), err)) > 0)
		atomic_fetch_add(&progress->bytes, (uint64_t)n);
	if (n < 0)
		return -1;
	*ret = MEM_NEW(struct snapshot);
	snprintf((*ret)->id, sizeof((*ret)->id), "%s", SNAPSHOT_ID);
	(*ret)->files = 1;
	(*ret)->bytes = atomic_load(&progress->bytes);
	return 0;
}

void
repository_trim(struct repository *repo)
{
	(void)repo;
}

/* No run here has a limit, so there is no other way into the repository. */
struct repository *
repository_through(struct repository *repo, struct storage *storage)
{
	(void)storage;
	return repo;
}

struct storage *
repository_storage(struct repository *repo)
{
	return (struct storage *)(void *)repo;
}

void
repository_close(struct repository *repo)
{
	(void)repo;
}

int
tables_backup(struct repository *repo, const struct tables_backup_options *options,
    struct progress *progress, struct snapshot **ret, json_t **ret_tables, struct error *err)
{
	(void)repo;
	(void)options;
	(void)progress;
	(void)ret;
	(void)ret_tables;
	return error_set(err, ERROR_UNAVAILABLE, "there is no server");
}

/* Nothing here is restored for a test. */
int
files_prove(struct repository *repo, const struct snapshot *snapshot,
    const struct files_prove_options *options, struct progress *progress, json_t **ret,
    struct error *err)
{
	(void)repo;
	(void)snapshot;
	(void)options;
	(void)progress;
	(void)ret;
	return error_set(err, ERROR_UNAVAILABLE, "there is no repository");
}

int
files_throw_away(const char *folder, struct error *err)
{
	(void)folder;
	(void)err;
	return 0;
}

int
tables_prove(struct repository *repo, const struct snapshot *snapshot,
    const struct tables_prove_options *options, struct progress *progress, json_t **ret,
    struct error *err)
{
	(void)repo;
	(void)snapshot;
	(void)options;
	(void)progress;
	(void)ret;
	return error_set(err, ERROR_UNAVAILABLE, "there is no server");
}

int
tables_prove_drop(const struct mariadb_settings *server, const char *database, struct error *err)
{
	(void)server;
	(void)database;
	(void)err;
	return 0;
}

bool
tables_snapshot_has(const struct snapshot *snapshot)
{
	(void)snapshot;
	return false;
}

/* No job here has tables. */
int
tables_beside_open(struct repository *repo, const struct tables_backup_options *options,
    struct progress *progress, struct tables_beside **ret, struct error *err)
{
	(void)repo;
	(void)options;
	(void)progress;
	(void)ret;
	return error_set(err, ERROR_UNAVAILABLE, "there is no server");
}

const struct backup_beside *
tables_beside_hooks(const struct tables_beside *beside)
{
	(void)beside;
	return NULL;
}

json_t *
tables_beside_take(struct tables_beside *beside)
{
	(void)beside;
	return NULL;
}

void
tables_beside_close(struct tables_beside *beside)
{
	(void)beside;
}

int
tables_restore_all(struct repository *repo, const struct tables_restore_options *options,
    const char *const *names, size_t count, unsigned connections, struct progress *progress,
    char ret_snapshot[SNAPSHOT_ID_TEXT_SIZE], json_t *ret_tables, struct error *err)
{
	(void)repo;
	(void)options;
	(void)names;
	(void)count;
	(void)connections;
	(void)progress;
	(void)ret_snapshot;
	(void)ret_tables;
	return error_set(err, ERROR_UNAVAILABLE, "there is no server");
}

void
snapshot_free(struct snapshot *snapshot)
{
	free(snapshot);
}

int
snapshot_find(struct repository *repo, const char *name, struct snapshot **ret,
    struct error *err)
{
	(void)repo;
	if (strcmp(name, "latest") != 0 && strncmp(SNAPSHOT_ID, name, strlen(name)) != 0)
		return error_set(err, ERROR_NOT_FOUND, "no snapshot '%s'", name);
	*ret = MEM_NEW(struct snapshot);
	snprintf((*ret)->id, sizeof((*ret)->id), "%s", SNAPSHOT_ID);
	return 0;
}

/* No run of these tests was done before the agent ended. */
int
snapshot_list(struct repository *repo, struct snapshot ***ret, size_t *ret_count,
    void (*bad)(void *arg, const char *id, const struct error *why), void *bad_arg,
    struct error *err)
{
	(void)repo;
	(void)bad;
	(void)bad_arg;
	(void)err;
	*ret = NULL;
	*ret_count = 0;
	return 0;
}

int
files_restore(struct repository *repo, const struct snapshot *snapshot,
    const struct restore_options *options, struct progress *progress,
    struct restore_result *result, struct error *err)
{
	(void)repo;
	(void)snapshot;
	(void)progress;
	(void)err;
	if (options->each != NULL) {
		options->each(options->arg, RESTORE_CREATE, "/new");
		options->each(options->arg, RESTORE_SAME, "/same");
	}
	result->created = 7;
	result->bytes = 70;
	return 0;
}

/* These two lie beside files_restore(), so they come from here too. */
int
conflict_rule_parse(const char *word, enum conflict_rule *ret, struct error *err)
{
	(void)err;
	*ret = strcmp(word, "overwrite") == 0 ? CONFLICT_OVERWRITE : CONFLICT_SKIP;
	return 0;
}

const char *
restore_action_word(enum restore_action action)
{
	return action == RESTORE_CREATE ? "create" : "same";
}

int
check_run(struct repository *repo, const struct check_options *options,
    struct progress *progress, struct check_result *result, struct error *err)
{
	(void)repo;
	(void)progress;
	(void)err;
	result->packs = options->percent;
	/* With all data one object is found damaged. */
	result->errors = options->read_data && options->percent == 0;
	result->damage = json_array();
	return 0;
}

void
check_result_done(struct check_result *result)
{
	json_decref(result->damage);
}

int
prune_run(struct repository *repo, const struct prune_options *options,
    struct progress *progress, struct prune_result *result, struct error *err)
{
	(void)repo;
	(void)progress;
	(void)err;
	result->forgotten = options->policy->rows[0].keep.daily;
	result->bytes_removed = (uint64_t)options->policy->rows[0].keep.within_s;
	result->packs_removed = options->policy->count;
	result->packs_rewritten = options->part;
	result->snapshots = json_array();
	for (size_t i = 0; i < options->policy->count; i++) {
		const struct keep_row *row = &options->policy->rows[i];

		json_array_append_new(result->snapshots, json_pack("[s?, s?, s]", row->host,
		    row->job, row->origin));
	}
	result->packs_marked = (uint64_t)options->grace_s;
	return 0;
}

void
prune_result_done(struct prune_result *result)
{
	json_decref(result->snapshots);
}

int
repair_index(struct repository *repo, bool apply, struct progress *progress,
    struct repair_result *result, struct error *err)
{
	(void)repo;
	(void)apply;
	(void)progress;
	(void)err;
	result->packs = 3;
	return 0;
}

int
repair_snapshots(struct repository *repo, bool apply, bool read_data, struct progress *progress,
    struct repair_result *result, struct error *err)
{
	(void)repo;
	(void)apply;
	(void)progress;
	(void)err;
	result->packs = read_data;
	return 0;
}

json_t *
repair_result_to_json(const struct repair_result *result, bool apply)
{
	return json_pack("{s:I, s:b}", "packs", (json_int_t)result->packs, "applied", apply);
}

void
repair_result_done(struct repair_result *result)
{
	(void)result;
}

/* Nothing is damaged here. */
uint64_t
repository_healed_mark(struct repository *repo)
{
	(void)repo;
	return 0;
}

void
repository_healed_since(struct repository *repo, uint64_t mark, repository_healed_fn *each,
    void *arg)
{
	(void)repo;
	(void)mark;
	(void)each;
	(void)arg;
}

int
repair_packs(struct repository *repo, const struct repair_packs_options *options,
    struct progress *progress, struct repair_packs_result *result, struct error *err)
{
	(void)repo;
	(void)progress;
	(void)err;
	result->packs = 5;
	result->parity_added = options->add_parity;
	return 0;
}

json_t *
repair_packs_to_json(const struct repair_packs_result *result, bool apply)
{
	return json_pack("{s:I, s:I, s:b}", "packs", (json_int_t)result->packs, "parity_added",
	    (json_int_t)result->parity_added, "applied", apply);
}

void
repair_packs_result_done(struct repair_packs_result *result)
{
	(void)result;
}

struct place {
	char *folder, *source;
	struct config config;
	struct engine engine;
	struct actionlog *log;
	struct runs *runs;
};

static void
open_runs(struct place *place)
{
	struct error err = ERROR_INIT;

	if (actionlog_open(place->folder, "web1", &place->log, &err) != 0 ||
	    runs_open(&place->config, (struct repository *)(void *)&place->engine, place->log,
	    &place->runs, &err) != 0)
		fail_msg("%s", err.message);
}

static void
close_runs(struct place *place)
{
	runs_close(place->runs);
	actionlog_close(place->log);
	place->runs = NULL;
	place->log = NULL;
}

static int
set_up(void **state)
{
	struct place *place = MEM_NEW(struct place);

	place->folder = test_folder_new();
	place->source = test_path(place->folder, "source");
	assert_int_equal(mkdir(place->source, 0700), 0);
	place->config.state = place->folder;
	place->config.name = (char *)(uintptr_t)"web1";
	place->config.repository = (char *)(uintptr_t)"/no/such/repository";
	place->config.run_workers = 1;
	place->config.grace_s = 99;
	pthread_mutex_init(&place->engine.lock, NULL);
	pthread_cond_init(&place->engine.changed, NULL);
	open_runs(place);
	*state = place;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *place = *state;

	close_runs(place);
	free(place->source);
	test_folder_remove(place->folder);
	free(place);
	return 0;
}

static void
open_gate(struct place *place)
{
	pthread_mutex_lock(&place->engine.lock);
	place->engine.open = true;
	pthread_mutex_unlock(&place->engine.lock);
}

static void
wait_inside(struct place *place, unsigned count)
{
	pthread_mutex_lock(&place->engine.lock);
	while (place->engine.inside < count)
		pthread_cond_wait(&place->engine.changed, &place->engine.lock);
	pthread_mutex_unlock(&place->engine.lock);
}

static int
start(struct place *place, enum run_kind kind, json_t *arguments, const char *key, char *id,
    struct error *err)
{
	struct run_start begin = { .kind = kind, .arguments = arguments,
		.command = "POST /v1/runs", .origin = "unit", .idempotency_key = key };
	bool existing = false;
	int rc = runs_start(place->runs, &begin, id, &existing, err);

	json_decref(arguments);
	return rc != 0 ? -1 : existing ? 1 : 0;
}

/* A backup of the source with one tag. */
static void
start_backup(struct place *place, const char *tag, char *id)
{
	struct error err = ERROR_INIT;

	if (start(place, RUN_BACKUP, json_pack("{s:s, s:[s]}", "path", place->source, "tags", tag),
	    NULL, id, &err) != 0)
		fail_msg("%s", err.message);
}

struct ending {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	json_t *run;
	struct error failure;
	unsigned calls;
};

static void
note_end(void *arg, const json_t *run, const struct error *failure)
{
	struct ending *ending = arg;

	pthread_mutex_lock(&ending->lock);
	json_decref(ending->run);
	ending->run = run == NULL ? NULL : json_deep_copy(run);
	ending->failure = *failure;
	ending->calls++;
	pthread_cond_broadcast(&ending->changed);
	pthread_mutex_unlock(&ending->lock);
}

static json_t *
wait_end_with(struct place *place, const char *id, struct error *ret_failure)
{
	struct ending ending = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	struct error err = ERROR_INIT;

	if (runs_when_ended(place->runs, id, note_end, &ending, &err) != 0)
		fail_msg("%s", err.message);
	pthread_mutex_lock(&ending.lock);
	while (ending.calls == 0)
		pthread_cond_wait(&ending.changed, &ending.lock);
	pthread_mutex_unlock(&ending.lock);
	assert_int_equal(ending.calls, 1);
	if (ret_failure != NULL)
		*ret_failure = ending.failure;
	return ending.run;
}

static json_t *
wait_end(struct place *place, const char *id)
{
	return wait_end_with(place, id, NULL);
}

static const char *
text_of(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static json_int_t
number_of(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json, name));
}

static json_t *
log_rows(struct place *place)
{
	static const struct actionlog_filter everything;
	struct error err = ERROR_INIT;
	json_t *rows = NULL;

	assert_int_equal(actionlog_read(place->log, &everything, &rows, &err), 0);
	return rows;
}

static void
assert_outcome(struct place *place, const char *id, const char *outcome)
{
	json_t *run = wait_end(place, id), *again = NULL;
	struct error err = ERROR_INIT;

	assert_string_equal(text_of(run, "outcome"), outcome);
	assert_string_equal(text_of(run, "state"), outcome);
	/* What the store gives is what the waiter got. */
	assert_int_equal(runs_get(place->runs, id, &again, &err), 0);
	assert_true(json_equal(run, again));
	json_decref(again);
	json_decref(run);
}

static void
a_backup_ends_ok_with_its_snapshot_and_one_row(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	json_t *run, *rows;

	start_backup(place, "plain", id);
	run = wait_end(place, id);
	assert_string_equal(text_of(run, "state"), "ok");
	assert_string_equal(text_of(run, "snapshot"), SNAPSHOT_ID);
	assert_string_equal(text_of(run, "command"), "POST /v1/runs");
	assert_true(json_is_null(json_object_get(run, "error")));
	assert_int_equal(number_of(json_object_get(run, "result"), "stored_bytes"), 500);
	json_decref(run);
	assert_outcome(place, id, "ok");
	rows = log_rows(place);
	assert_int_equal(json_array_size(rows), 1);
	run = json_array_get(rows, 0);
	assert_string_equal(text_of(run, "action"), "Backup");
	assert_string_equal(text_of(run, "parameter"), place->source);
	assert_string_equal(text_of(run, "status"), "SUCCESS");
	assert_string_equal(text_of(run, "run"), id);
	assert_string_equal(text_of(run, "snapshot"), SNAPSHOT_ID);
	assert_int_equal(number_of(run, "bytes"), 4000);
	json_decref(rows);
}

static void
a_run_with_losses_warns_and_is_a_success_in_the_log(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	json_t *run, *rows;

	start_backup(place, "lose", id);
	run = wait_end(place, id);
	assert_string_equal(text_of(run, "state"), "warn");
	assert_int_equal(number_of(run, "loss_total"), 1);
	assert_string_equal(text_of(json_array_get(json_object_get(run, "losses"), 0), "path"),
	    "/a\\xff");
	json_decref(run);
	rows = log_rows(place);
	assert_string_equal(text_of(json_array_get(rows, 0), "status"), "SUCCESS");
	assert_string_equal(text_of(json_array_get(rows, 0), "outcome"), "warn");
	assert_string_equal(text_of(json_array_get(rows, 0), "message"),
	    "1 path lost: /a\\xff (Permission denied)");
	json_decref(rows);
}

static void
a_full_disk_fails_the_run_with_its_code(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error failure = ERROR_INIT;
	json_t *run, *rows;

	start_backup(place, "full", id);
	run = wait_end_with(place, id, &failure);
	assert_int_equal(failure.code, ERROR_NO_SPACE);
	assert_string_equal(text_of(json_object_get(run, "error"), "code"), "no-space");
	json_decref(run);
	assert_outcome(place, id, "failed");
	/* Read back from the store, the code is the same. */
	json_decref(wait_end_with(place, id, &failure));
	assert_int_equal(failure.code, ERROR_NO_SPACE);
	rows = log_rows(place);
	assert_string_equal(text_of(json_array_get(rows, 0), "status"), "ERROR");
	assert_string_equal(text_of(json_array_get(rows, 0), "message"),
	    "could not write pack: No space left on device");
	json_decref(rows);
}

static void
a_running_run_is_cancelled(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT, failure = ERROR_INIT;

	start_backup(place, "wait", id);
	wait_inside(place, 1);
	assert_int_equal(runs_cancel(place->runs, id, &err), 0);
	json_decref(wait_end_with(place, id, &failure));
	assert_int_equal(failure.code, ERROR_CANCELLED);
	assert_outcome(place, id, "cancelled");
	assert_int_equal(runs_cancel(place->runs, id, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
}

static void
a_queued_run_is_cancelled_without_having_begun(void **state)
{
	struct place *place = *state;
	char first[RUN_ID_TEXT_SIZE], second[RUN_ID_TEXT_SIZE], third[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	unsigned queued, running;
	json_t *run;

	start_backup(place, "wait", first);
	wait_inside(place, 1);
	start_backup(place, "plain", second);
	start_backup(place, "plain", third);
	runs_count(place->runs, &queued, &running);
	assert_int_equal(queued, 2);
	assert_int_equal(running, 1);
	assert_int_equal(runs_cancel(place->runs, third, &err), 0);
	run = wait_end(place, third);
	assert_string_equal(text_of(run, "state"), "cancelled");
	assert_true(json_is_null(json_object_get(run, "started")));
	json_decref(run);
	open_gate(place);
	assert_outcome(place, first, "ok");
	assert_outcome(place, second, "ok");
	runs_count(place->runs, &queued, &running);
	assert_int_equal(queued, 0);
}

static void
a_paused_run_waits_and_goes_on(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	json_t *run = NULL;

	start_backup(place, "wait", id);
	wait_inside(place, 1);
	assert_int_equal(runs_pause(place->runs, id, true, &err), 0);
	assert_int_equal(runs_get(place->runs, id, &run, &err), 0);
	assert_string_equal(text_of(run, "state"), "paused");
	assert_string_equal(text_of(json_object_get(run, "progress"), "phase"), "backup");
	assert_int_equal(number_of(json_object_get(run, "progress"), "bytes"), 4000);
	json_decref(run);
	assert_int_equal(runs_pause(place->runs, id, true, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	open_gate(place);
	assert_int_equal(runs_pause(place->runs, id, false, &err), 0);
	assert_outcome(place, id, "ok");
	assert_int_equal(runs_pause(place->runs, id, true, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
}

static void
a_paused_run_can_be_cancelled(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;

	start_backup(place, "wait", id);
	wait_inside(place, 1);
	assert_int_equal(runs_pause(place->runs, id, true, &err), 0);
	assert_int_equal(runs_cancel(place->runs, id, &err), 0);
	assert_outcome(place, id, "cancelled");
}

static void
refused_starts_are_errors_in_the_log(void **state)
{
	static const struct {
		enum run_kind kind;
		const char *arguments;
		enum error_code code;
	} cases[] = {
		{ RUN_BACKUP, "{}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"\"}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"srv\"}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": 7}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc/passwd\"}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc/passwd/x\"}", ERROR_NOT_FOUND },
		{ RUN_BACKUP, "{\"path\": \"/no/such/folder\"}", ERROR_NOT_FOUND },
		{ RUN_BACKUP, "{\"path\": \"/etc\", \"pathh\": 1}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc\", \"exclude\": \"x\"}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc\", \"exclude\": [1]}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc\", \"max_size\": \"big\"}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc\", \"max_size\": -1}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc\", \"level\": 20}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc\", \"force\": 1}", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "[]", ERROR_BAD_REQUEST },
		{ RUN_BACKUP, "{\"path\": \"/etc\\u0000x\"}", ERROR_BAD_REQUEST },
		{ RUN_RESTORE, "{\"target\": \"/tmp\"}", ERROR_BAD_REQUEST },
		{ RUN_RESTORE, "{\"snapshot\": \"latest\"}", ERROR_BAD_REQUEST },
		{ RUN_RESTORE, "{\"snapshot\": \"ffff\", \"target\": \"/tmp\"}", ERROR_NOT_FOUND },
		{ RUN_RESTORE, "{\"snapshot\": \"latest\", \"target\": \"tmp\"}",
		    ERROR_BAD_REQUEST },
		{ RUN_RESTORE, "{\"snapshot\": \"latest\", \"target\": \"/a/../b\"}",
		    ERROR_BAD_REQUEST },
		{ RUN_RESTORE, "{\"snapshot\": \"latest\", \"target\": \"/etc/passwd\"}",
		    ERROR_BAD_REQUEST },
		{ RUN_RESTORE, "{\"snapshot\": \"latest\", \"target\": \"/etc/passwd/x\"}",
		    ERROR_BAD_REQUEST },
		{ RUN_RESTORE,
		    "{\"snapshot\": \"latest\", \"target\": \"/tmp\","
		    " \"conflict\": \"merge\"}",
		    ERROR_BAD_REQUEST },
		{ RUN_CHECK, "{\"percent\": 101}", ERROR_BAD_REQUEST },
		{ RUN_CHECK, "{\"percent\": 0}", ERROR_BAD_REQUEST },
		{ RUN_PRUNE, "{\"keep\": {\"dayly\": 1}}", ERROR_BAD_REQUEST },
		{ RUN_PRUNE, "{\"keep\": {\"daily\": \"1\"}}", ERROR_BAD_REQUEST },
		{ RUN_PRUNE, "{\"keep\": {\"within\": \"soon\"}}", ERROR_BAD_REQUEST },
		{ RUN_PRUNE, "{\"grace\": -5}", ERROR_BAD_REQUEST },
	};
	struct place *place = *state;
	json_t *rows;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		char id[RUN_ID_TEXT_SIZE];

		if (start(place, cases[i].kind,
			json_loads(cases[i].arguments, JSON_ALLOW_NUL, NULL), NULL, id, &err) != -1)
			fail_msg("%s was taken", cases[i].arguments);
		if (err.code != cases[i].code)
			fail_msg("%s: %s", cases[i].arguments, err.message);
		assert_true(strlen(err.message) > 5);
	}
	rows = log_rows(place);
	assert_int_equal(json_array_size(rows), ARRAY_LEN(cases));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(text_of(json_array_get(rows, i), "status"), "ERROR");
		assert_string_equal(text_of(json_array_get(rows, i), "action"),
		    run_kind_action(cases[i].kind, NULL));
	}
	json_decref(rows);
}

static void
a_restore_and_its_dry_run_tell_what_they_did(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE], *target = test_path(place->folder, "source/out");
	struct error err = ERROR_INIT;
	json_t *run, *changes;

	/* The state folder lies around the source here, so it must not be the one forbidden. */
	place->config.state = place->source;
	assert_int_equal(start(place, RUN_RESTORE, json_pack("{s:s, s:s}", "snapshot", "0123",
	    "target", "/tmp/not-made"), NULL, id, &err), 0);
	run = wait_end(place, id);
	assert_string_equal(text_of(json_object_get(run, "arguments"), "snapshot"), SNAPSHOT_ID);
	assert_int_equal(number_of(json_object_get(run, "result"), "created"), 7);
	assert_null(json_object_get(json_object_get(run, "result"), "changes"));
	json_decref(run);
	assert_int_equal(start(place, RUN_RESTORE, json_pack("{s:s, s:s, s:b}", "snapshot",
	    "latest", "target", "/tmp/not-made", "dry_run", 1), NULL, id, &err), 0);
	run = wait_end(place, id);
	changes = json_object_get(json_object_get(run, "result"), "changes");
	assert_int_equal(json_array_size(changes), 1);
	assert_string_equal(text_of(json_array_get(changes, 0), "path"), "/new");
	json_decref(run);
	/* It is no restore in the log. */
	run = log_rows(place);
	assert_string_equal(text_of(json_array_get(run, 0), "action"), "Restore");
	assert_string_equal(text_of(json_array_get(run, 1), "action"), "RestoreDryRun");
	json_decref(run);
	assert_int_equal(start(place, RUN_RESTORE, json_pack("{s:s, s:s}", "snapshot", "latest",
	    "target", target), NULL, id, &err), -1);
	assert_int_equal(err.code, ERROR_FORBIDDEN);
	assert_non_null(strstr(err.message, "lies within the agent's state"));
	place->config.state = place->folder;
	free(target);
}

static void
a_check_that_finds_damage_fails_and_keeps_its_result(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT, failure = ERROR_INIT;
	json_t *run;

	assert_int_equal(start(place, RUN_CHECK, json_object(), NULL, id, &err), 0);
	assert_outcome(place, id, "ok");
	/* A share means that data is read. */
	assert_int_equal(start(place, RUN_CHECK, json_pack("{s:i}", "percent", 10), NULL, id,
	    &err), 0);
	run = wait_end(place, id);
	assert_int_equal(number_of(json_object_get(run, "result"), "packs"), 10);
	json_decref(run);
	assert_int_equal(start(place, RUN_CHECK, json_pack("{s:b}", "read_data", 1), NULL, id,
	    &err), 0);
	run = wait_end_with(place, id, &failure);
	assert_int_equal(failure.code, ERROR_CORRUPT);
	assert_string_equal(failure.message, "the check found 1 error");
	assert_int_equal(number_of(json_object_get(run, "result"), "errors"), 1);
	json_decref(run);
}

static void
a_prune_gets_its_rules_and_the_configured_grace(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	json_t *run, *rows;

	assert_int_equal(start(place, RUN_PRUNE, json_pack("{s:{s:i, s:s}}", "keep", "daily", 7,
	    "within", "1h"), NULL, id, &err), 0);
	run = wait_end(place, id);
	assert_int_equal(number_of(json_object_get(run, "result"), "forgotten"), 7);
	assert_int_equal(number_of(json_object_get(run, "result"), "bytes_removed"), 3600);
	assert_int_equal(number_of(json_object_get(run, "result"), "packs_marked"), 99);
	json_decref(run);
	rows = log_rows(place);
	assert_string_equal(text_of(json_array_get(rows, 0), "parameter"),
	    "keep-daily 7 keep-within 1h");
	json_decref(rows);
}

/* What an import reads: so many bytes, then its end or a failure. */
struct fed {
	size_t left;
	bool fail;
	atomic_uint releases;
};

static ssize_t
feed(void *arg, void *buf, size_t size, struct error *err)
{
	struct fed *fed = arg;
	size_t n = fed->left < size ? fed->left : size;

	if (n == 0 && fed->fail)
		return error_set(err, ERROR_IO, "the client went away");
	memset(buf, 'x', n);
	fed->left -= n;
	return (ssize_t)n;
}

static void
count_release(void *arg)
{
	struct fed *fed = arg;

	atomic_fetch_add(&fed->releases, 1);
}

static int
start_import(struct place *place, const char *name, struct fed *fed, char *id, struct error *err)
{
	const struct run_input input = { { feed, fed }, count_release };
	json_t *arguments = json_pack("{s:s, s:s}", "name", name, "format", "tar");
	struct run_start begin = { .kind = RUN_IMPORT, .arguments = arguments,
		.command = "POST /v1/snapshots", .origin = "unit",
		.input = fed == NULL ? NULL : &input };
	bool existing;
	int rc = runs_start(place->runs, &begin, id, &existing, err);

	json_decref(arguments);
	return rc;
}

static void
an_import_reads_its_input_to_the_end_and_releases_it_once(void **state)
{
	struct place *place = *state;
	struct fed fed = { .left = 10 };
	struct error err = ERROR_INIT;
	char id[RUN_ID_TEXT_SIZE];
	json_t *run;

	assert_int_equal(start_import(place, "srv//www/", &fed, id, &err), 0);
	run = wait_end(place, id);
	assert_string_equal(text_of(run, "outcome"), "ok");
	assert_string_equal(text_of(run, "snapshot"), SNAPSHOT_ID);
	/* As its path in the snapshot. */
	assert_string_equal(text_of(json_object_get(run, "arguments"), "name"), "/srv/www");
	assert_int_equal(number_of(json_object_get(run, "result"), "bytes"), 10);
	json_decref(run);
	run = log_rows(place);
	assert_int_equal(json_array_size(run), 1);
	assert_string_equal(text_of(json_array_get(run, 0), "action"), "Import");
	assert_string_equal(text_of(json_array_get(run, 0), "parameter"), "/srv/www");
	json_decref(run);
	close_runs(place); /* whoever is still at it is done now */
	assert_int_equal(atomic_load(&fed.releases), 1);
	open_runs(place);
}

static void
an_import_whose_input_fails_fails_with_its_error(void **state)
{
	struct fed fed = { .left = 10, .fail = true };
	struct place *place = *state;
	struct error err = ERROR_INIT;
	char id[RUN_ID_TEXT_SIZE];

	assert_int_equal(start_import(place, "x", &fed, id, &err), 0);
	json_decref(wait_end_with(place, id, &err));
	assert_int_equal(err.code, ERROR_IO);
	assert_string_equal(err.message, "the client went away");
	assert_outcome(place, id, "failed");
	close_runs(place);
	assert_int_equal(atomic_load(&fed.releases), 1);
	open_runs(place);
}

static void
a_refused_import_leaves_its_input_to_the_caller(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	char id[RUN_ID_TEXT_SIZE];
	struct fed fed = { .left = 10 };

	assert_int_equal(start_import(place, "a/../b", &fed, id, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "the name of the import holds '..'");
	assert_int_equal(atomic_load(&fed.releases), 0);
	assert_int_equal(start_import(place, "x", NULL, id, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.hint, "send the data to POST /v1/snapshots?name=NAME");
}

static void
an_import_that_is_cancelled_in_the_queue_releases_its_input(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	char first[RUN_ID_TEXT_SIZE], second[RUN_ID_TEXT_SIZE];
	struct fed one = { .left = 10 }, two = { .left = 10 };

	assert_int_equal(start_import(place, "wait", &one, first, &err), 0);
	wait_inside(place, 1);
	assert_int_equal(start_import(place, "x", &two, second, &err), 0);
	assert_int_equal(runs_cancel(place->runs, second, &err), 0);
	assert_outcome(place, second, "cancelled");
	assert_int_equal(runs_cancel(place->runs, first, &err), 0);
	assert_outcome(place, first, "cancelled");
	close_runs(place);
	assert_int_equal(atomic_load(&one.releases), 1);
	assert_int_equal(atomic_load(&two.releases), 1);
	assert_int_equal(two.left, 10);
	open_runs(place);
}

static void
an_import_that_was_queued_at_the_end_of_the_agent_fails_at_its_start(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	char first[RUN_ID_TEXT_SIZE], second[RUN_ID_TEXT_SIZE];
	struct fed one = { .left = 10 }, two = { .left = 10 };

	assert_int_equal(start_import(place, "wait", &one, first, &err), 0);
	wait_inside(place, 1);
	assert_int_equal(start_import(place, "x", &two, second, &err), 0);
	close_runs(place);
	assert_int_equal(atomic_load(&two.releases), 1);
	open_runs(place);
	json_decref(wait_end_with(place, second, &err));
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_string_equal(err.message, "the data went with the agent that took it");
	assert_outcome(place, second, "failed");
}

/* A job "home" of the settings, with no rule of its own unless that is asked for. */
struct job_place {
	struct config_job job, *list;
	char *path, *pattern, *sources[64];
};

static void
configure_job(struct place *place, struct job_place *made)
{
	*made = (struct job_place){ .path = place->source, .pattern = (char *)(uintptr_t)"*.tmp" };
	made->job = (struct config_job){ .name = (char *)(uintptr_t)"home", .path = &made->path,
		.path_count = 1, .exclude = &made->pattern, .exclude_count = 1,
		.keep = { .daily = 5 }, .sources = made->sources };
	for (size_t i = 0; i < ARRAY_LEN(made->sources); i++)
		made->sources[i] = (char *)(uintptr_t)"default";
	made->list = &made->job;
	place->config.jobs = &made->list;
	place->config.job_count = 1;
	place->config.keep.monthly = 3;
}

static void
a_job_runs_as_the_settings_say(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE], *expected;
	struct error err = ERROR_INIT;
	struct job_place made;
	json_t *run, *rows;

	configure_job(place, &made);
	assert_int_equal(runs_last_of_job(place->runs, "home", &run, &err), 0);
	start_backup(place, "x", id);
	assert_outcome(place, id, "ok");
	assert_string_equal(place->engine.job, "");
	assert_int_equal(runs_last_of_job(place->runs, "home", &run, &err), 0);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "job", "home"), NULL, id,
	    &err), 0);
	assert_outcome(place, id, "ok");
	expected = mem_printf("home 1 %s 1 *.tmp", place->source);
	assert_string_equal(place->engine.job, expected);
	free(expected);
	/* Whatever else has run since. */
	assert_int_equal(start(place, RUN_CHECK, json_object(), NULL, id, &err), 0);
	assert_outcome(place, id, "ok");
	assert_int_equal(runs_last_of_job(place->runs, "home", &run, &err), 1);
	assert_string_equal(text_of(run, "state"), "ok");
	assert_string_equal(text_of(json_object_get(run, "arguments"), "job"), "home");
	json_decref(run);
	assert_int_equal(runs_last_of_job(place->runs, "hom", &run, &err), 0);
	rows = log_rows(place);
	assert_string_equal(text_of(json_array_get(rows, 1), "parameter"), "job home");
	json_decref(rows);
}

static void
a_job_must_be_there_and_brings_its_paths(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	struct job_place made;

	configure_job(place, &made);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "job", "etc"), NULL, id,
	    &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s, s:s}", "job", "home", "path",
	    place->source), NULL, id, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	/* One that was taken out of the settings while its run was waiting. */
	start_backup(place, "wait", id);
	wait_inside(place, 1);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "job", "home"), NULL, id,
	    &err), 0);
	place->config.job_count = 0;
	open_gate(place);
	assert_outcome(place, id, "failed");
}

static json_t *
prune_rules(struct place *place, json_t *arguments)
{
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	json_t *run, *rules;

	assert_int_equal(start(place, RUN_PRUNE, arguments, NULL, id, &err), 0);
	run = wait_end(place, id);
	rules = json_incref(json_object_get(json_object_get(run, "result"), "snapshots"));
	json_decref(run);
	return rules;
}

static void
assert_rules(struct place *place, json_t *arguments, const char *expected)
{
	json_t *rules = prune_rules(place, arguments);
	char *text = json_dumps(rules, JSON_COMPACT);

	assert_string_equal(text, expected);
	free(text);
	json_decref(rules);
}

static void
a_prune_without_rules_takes_those_of_the_settings(void **state)
{
	struct place *place = *state;
	struct job_place made;

	configure_job(place, &made);
	/* A job without rules has the default ones, and each holds for this host alone. */
	assert_rules(place, json_object(),
	    "[[\"web1\",\"home\",\"default\"],[\"web1\",\"\",\"default\"]]");
	for (size_t i = 0; i < ARRAY_LEN(made.sources); i++)
		made.sources[i] = (char *)(uintptr_t)"agent.conf:3";
	assert_rules(place, json_object(),
	    "[[\"web1\",\"home\",\"job home\"],[\"web1\",\"\",\"default\"]]");
	assert_rules(place, json_pack("{s:{s:i}}", "keep", "daily", 0),
	    "[[\"web1\",\"home\",\"job home\"],[\"web1\",\"\",\"default\"]]");
	assert_rules(place, json_pack("{s:s}", "job", "home"),
	    "[[\"web1\",\"home\",\"job home\"]]");
	assert_rules(place, json_pack("{s:s}", "job", "gone"), "[]");
	/* What is asked for holds for all, or for the job that is named, there or not. */
	assert_rules(place, json_pack("{s:{s:i}}", "keep", "daily", 1),
	    "[[null,null,\"request\"]]");
	assert_rules(place, json_pack("{s:{s:i}, s:s}", "keep", "daily", 1, "job", "gone"),
	    "[[null,\"gone\",\"request\"]]");
}

static void
the_same_key_gives_the_same_run(void **state)
{
	struct place *place = *state;
	char first[RUN_ID_TEXT_SIZE], second[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	json_t *rows;

	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s, s:b}", "path", place->source,
	    "force", 1), "k1", first, &err), 0);
	assert_outcome(place, first, "ok");
	/* Also when the fields come in another order, and after a restart. */
	close_runs(place);
	open_runs(place);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:b, s:s}", "force", 1, "path",
	    place->source), "k1", second, &err), 1);
	assert_string_equal(first, second);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "path", place->source), "k1",
	    second, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	rows = log_rows(place);
	assert_int_equal(json_array_size(rows), 2); /* the run, and the conflict */
	json_decref(rows);
}

static void
only_allowed_folders_are_reached_whatever_links_say(void **state)
{
	struct place *place = *state;
	char *allow[] = { place->source }, *inside, *link, *sly, id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;

	inside = test_path(place->folder, "source/sub");
	link = test_path(place->folder, "source/link");
	sly = test_path(place->folder, "source/../source-not");
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(symlink("/etc", link), 0);
	place->config.allow = allow;
	place->config.allow_count = 1;
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "path", inside), NULL, id,
	    &err), 0);
	assert_outcome(place, id, "ok");
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "path", link), NULL, id,
	    &err), -1);
	assert_int_equal(err.code, ERROR_FORBIDDEN);
	/* Not even whether something is there is told. */
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "path", sly), NULL, id, &err),
	    -1);
	assert_int_equal(err.code, ERROR_FORBIDDEN);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:[s,s]}", "paths", inside, "/etc"),
	    NULL, id, &err), -1);
	assert_int_equal(err.code, ERROR_FORBIDDEN);
	assert_non_null(strstr(err.hint, "'allow'"));
	place->config.allow_count = 0;
	place->config.restore = allow;
	place->config.restore_count = 1;
	free(sly);
	sly = test_path(place->folder, "source/link/new/folder");
	assert_int_equal(start(place, RUN_RESTORE, json_pack("{s:s, s:s}", "snapshot", "latest",
	    "target", sly), NULL, id, &err), -1);
	assert_int_equal(err.code, ERROR_FORBIDDEN);
	place->config.restore_count = 0;
	free(inside);
	free(link);
	free(sly);
}

static void
a_folder_with_any_bytes_is_named_by_escapes(void **state)
{
	struct place *place = *state;
	char *odd = test_path(place->folder, "source/\xff\n"), *named, id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;

	assert_int_equal(mkdir(odd, 0700), 0);
	named = test_path(place->folder, "source/\\xff\\x0a");
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s}", "path", named), NULL, id,
	    &err), 0);
	assert_outcome(place, id, "ok");
	free(named);
	free(odd);
}

/* What a crash leaves behind, made by hand in the database. */
static void
set_row(struct place *place, const char *text)
{
	char *path = test_path(place->folder, "state.sqlite"), *why = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
	free(path);
}

static void
after_a_crash_running_runs_are_aborted_once(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error failure = ERROR_INIT;
	json_t *rows, *row;

	start_backup(place, "plain", id);
	assert_outcome(place, id, "ok");
	close_runs(place);
	/* As if it had died while running, before anything of the end was written. */
	set_row(place, "UPDATE runs SET state = 'running', finished = NULL, snapshot = NULL,"
	    " error = NULL, result = NULL, logged = 0");
	{
		char *path = test_path(place->folder, "log.sqlite");

		unlink(path);
		free(path);
	}
	for (int i = 0; i < 3; i++) {
		open_runs(place);
		json_decref(wait_end_with(place, id, &failure));
		assert_int_equal(failure.code, ERROR_UNAVAILABLE);
		assert_outcome(place, id, "aborted");
		rows = log_rows(place);
		assert_int_equal(json_array_size(rows), 1);
		row = json_array_get(rows, 0);
		assert_string_equal(text_of(row, "outcome"), "aborted");
		assert_string_equal(text_of(row, "status"), "ERROR");
		assert_string_equal(text_of(row, "run"), id);
		json_decref(rows);
		close_runs(place);
		/* As if it had died after the row, before the mark. */
		set_row(place, "UPDATE runs SET logged = 0");
	}
	open_runs(place);
}

static void
a_run_saved_but_not_logged_gets_its_row_at_the_next_start(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE], *path = test_path(place->folder, "log.sqlite");
	json_t *rows;

	start_backup(place, "lose", id);
	assert_outcome(place, id, "warn");
	close_runs(place);
	set_row(place, "UPDATE runs SET logged = 0");
	unlink(path);
	open_runs(place);
	rows = log_rows(place);
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(text_of(json_array_get(rows, 0), "outcome"), "warn");
	assert_int_equal(number_of(json_array_get(rows, 0), "stored_bytes"), 500);
	assert_string_equal(text_of(json_array_get(rows, 0), "message"),
	    "1 path lost: /a\\xff (Permission denied)");
	json_decref(rows);
	free(path);
}

static void
a_stop_cancels_what_runs_and_keeps_what_waits(void **state)
{
	struct place *place = *state;
	char first[RUN_ID_TEXT_SIZE], second[RUN_ID_TEXT_SIZE];
	struct ending ending = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	struct error err = ERROR_INIT;
	json_t *run;

	start_backup(place, "wait", first);
	wait_inside(place, 1);
	start_backup(place, "plain", second);
	assert_int_equal(runs_when_ended(place->runs, second, note_end, &ending, &err), 0);
	close_runs(place);
	assert_int_equal(ending.calls, 1);
	assert_int_equal(ending.failure.code, ERROR_UNAVAILABLE);
	assert_string_equal(text_of(ending.run, "state"), "queued");
	json_decref(ending.run);
	open_runs(place);
	run = wait_end(place, first);
	assert_string_equal(text_of(run, "state"), "cancelled");
	assert_string_equal(text_of(json_object_get(run, "error"), "message"),
	    "the agent was stopped");
	json_decref(run);
	assert_outcome(place, second, "ok");
}

static void
lists_go_newest_first_by_pages_and_filters(void **state)
{
	struct place *place = *state;
	char ids[5][RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	json_t *page = NULL, *list;
	const char *next;

	for (size_t i = 0; i < 5; i++) {
		start_backup(place, i == 2 ? "full" : "plain", ids[i]);
		json_decref(wait_end(place, ids[i]));
	}
	assert_int_equal(runs_list(place->runs, NULL, NULL, NULL, 3, &page, &err), 0);
	list = json_object_get(page, "runs");
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(text_of(json_array_get(list, 0), "id"), ids[4]);
	next = text_of(page, "next");
	assert_non_null(next);
	{
		json_t *rest = NULL;

		assert_int_equal(runs_list(place->runs, NULL, NULL, next, 3, &rest, &err), 0);
		assert_int_equal(json_array_size(json_object_get(rest, "runs")), 2);
		assert_string_equal(text_of(json_array_get(json_object_get(rest, "runs"), 1), "id"),
		    ids[0]);
		assert_true(json_is_null(json_object_get(rest, "next")));
		json_decref(rest);
	}
	json_decref(page);
	assert_int_equal(runs_list(place->runs, "backup", "failed", NULL, 0, &page, &err), 0);
	list = json_object_get(page, "runs");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(text_of(json_array_get(list, 0), "id"), ids[2]);
	json_decref(page);
	assert_int_equal(runs_list(place->runs, "bakup", NULL, NULL, 0, &page, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_int_equal(runs_list(place->runs, NULL, "done", NULL, 0, &page, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_int_equal(runs_list(place->runs, NULL, NULL, "x", 0, &page, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
}

static void
a_run_is_found_by_an_unambiguous_prefix(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE], prefix[9];
	struct error err = ERROR_INIT;
	json_t *run = NULL;

	start_backup(place, "plain", id);
	json_decref(wait_end(place, id));
	snprintf(prefix, sizeof(prefix), "%.8s", id);
	assert_int_equal(runs_get(place->runs, prefix, &run, &err), 0);
	assert_string_equal(text_of(run, "id"), id);
	json_decref(run);
	prefix[3] = '\0';
	assert_int_equal(runs_get(place->runs, prefix, &run, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(runs_get(place->runs, "no hex", &run, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	/* A second run with the same beginning. */
	close_runs(place);
	set_row(place, "INSERT INTO runs(id, kind, state, arguments, queued, logged)"
	    " SELECT substr(id, 1, 8) || 'aa', kind, state, arguments, queued, 1 FROM runs");
	open_runs(place);
	snprintf(prefix, sizeof(prefix), "%.8s", id);
	assert_int_equal(runs_get(place->runs, prefix, &run, &err), -1);
	assert_int_equal(err.code, ERROR_AMBIGUOUS);
}

struct seen {
	pthread_mutex_t lock;
	unsigned states, progress, losses, ended;
	uint64_t last;
	bool rising;
	char final[16];
};

static void
note_event(void *arg, const char *event, uint64_t number, const json_t *data)
{
	struct seen *seen = arg;

	pthread_mutex_lock(&seen->lock);
	seen->rising &= number > seen->last;
	seen->last = number;
	assert_non_null(text_of(data, "run"));
	seen->states += strcmp(event, "state") == 0;
	seen->progress += strcmp(event, "progress") == 0;
	seen->losses += strcmp(event, "loss") == 0;
	if (strcmp(event, "ended") == 0) {
		seen->ended++;
		snprintf(seen->final, sizeof(seen->final), "%s", text_of(data, "state"));
	}
	pthread_mutex_unlock(&seen->lock);
}

static bool
has_seen(struct seen *seen, unsigned wanted)
{
	bool yes;

	pthread_mutex_lock(&seen->lock);
	yes = seen->progress >= wanted;
	pthread_mutex_unlock(&seen->lock);
	return yes;
}

static void
a_follower_is_told_states_progress_losses_and_the_end(void **state)
{
	struct place *place = *state;
	struct seen one = { .lock = PTHREAD_MUTEX_INITIALIZER, .rising = true }, all = one,
	    late = one;
	struct run_subscription *of_one = NULL, *of_all = NULL, *of_late = NULL;
	struct timespec tick = { 0, 1000000 };
	struct error err = ERROR_INIT;
	char id[RUN_ID_TEXT_SIZE];

	assert_int_equal(runs_subscribe(place->runs, NULL, note_event, &all, &of_all, &err), 0);
	assert_int_equal(start(place, RUN_BACKUP, json_pack("{s:s, s:[s,s]}", "path",
	    place->source, "tags", "wait", "lose"), NULL, id, &err), 0);
	wait_inside(place, 1);
	assert_int_equal(runs_subscribe(place->runs, id, note_event, &one, &of_one, &err), 0);
	for (int i = 0; i < 20000 && !has_seen(&one, 2); i++)
		nanosleep(&tick, NULL);
	open_gate(place);
	json_decref(wait_end(place, id));
	runs_unsubscribe(place->runs, of_one);
	runs_unsubscribe(place->runs, of_all);
	assert_int_equal(one.states, 1);
	assert_true(one.progress >= 2);
	assert_int_equal(one.losses, 1);
	assert_int_equal(one.ended, 1);
	assert_string_equal(one.final, "warn");
	assert_true(one.rising);
	assert_int_equal(all.states, 2); /* queued, running */
	assert_int_equal(all.ended, 1);
	assert_true(all.rising);
	/* Who comes late gets the end at once. */
	assert_int_equal(runs_subscribe(place->runs, id, note_event, &late, &of_late, &err), 0);
	assert_int_equal(late.ended, 1);
	assert_string_equal(late.final, "warn");
	runs_unsubscribe(place->runs, of_late);
	assert_int_equal(runs_subscribe(place->runs, "ffffffff", note_event, &late, &of_late,
	    &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void
a_queue_that_is_full_refuses(void **state)
{
	struct place *place = *state;
	char id[RUN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;
	unsigned queued, running;
	int rc = 0;

	start_backup(place, "wait", id);
	wait_inside(place, 1);
	for (int i = 0; i < 1000 && rc == 0; i++)
		rc = start(place, RUN_CHECK, json_object(), NULL, id, &err);
	assert_int_equal(rc, 0);
	assert_int_equal(start(place, RUN_CHECK, json_object(), NULL, id, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_MANY);
	runs_count(place->runs, &queued, &running);
	assert_int_equal(queued, 1000);
	open_gate(place);
}

static void
damaged_state_is_set_aside_and_the_agent_comes_up(void **state)
{
	struct place *place = *state;
	char *path = test_path(place->folder, "state.sqlite"), id[RUN_ID_TEXT_SIZE];

	start_backup(place, "plain", id);
	json_decref(wait_end(place, id));
	close_runs(place);
	test_file_write(path, "no database, no database, no database, no database, no", 50);
	open_runs(place);
	start_backup(place, "plain", id);
	assert_outcome(place, id, "ok");
	free(path);
}

static void
a_healthy_store_takes_writes(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(runs_healthy(place->runs, &err), 0);
	assert_int_equal(runs_healthy(place->runs, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_backup_ends_ok_with_its_snapshot_and_one_row),
		TEST(a_run_with_losses_warns_and_is_a_success_in_the_log),
		TEST(a_full_disk_fails_the_run_with_its_code),
		TEST(a_running_run_is_cancelled),
		TEST(a_queued_run_is_cancelled_without_having_begun),
		TEST(a_paused_run_waits_and_goes_on),
		TEST(a_paused_run_can_be_cancelled),
		TEST(refused_starts_are_errors_in_the_log),
		TEST(a_restore_and_its_dry_run_tell_what_they_did),
		TEST(a_check_that_finds_damage_fails_and_keeps_its_result),
		TEST(a_job_runs_as_the_settings_say),
		TEST(a_job_must_be_there_and_brings_its_paths),
		TEST(a_prune_without_rules_takes_those_of_the_settings),
		TEST(a_prune_gets_its_rules_and_the_configured_grace),
		TEST(an_import_reads_its_input_to_the_end_and_releases_it_once),
		TEST(an_import_whose_input_fails_fails_with_its_error),
		TEST(a_refused_import_leaves_its_input_to_the_caller),
		TEST(an_import_that_is_cancelled_in_the_queue_releases_its_input),
		TEST(an_import_that_was_queued_at_the_end_of_the_agent_fails_at_its_start),
		TEST(the_same_key_gives_the_same_run),
		TEST(only_allowed_folders_are_reached_whatever_links_say),
		TEST(a_folder_with_any_bytes_is_named_by_escapes),
		TEST(after_a_crash_running_runs_are_aborted_once),
		TEST(a_run_saved_but_not_logged_gets_its_row_at_the_next_start),
		TEST(a_stop_cancels_what_runs_and_keeps_what_waits),
		TEST(lists_go_newest_first_by_pages_and_filters),
		TEST(a_run_is_found_by_an_unambiguous_prefix),
		TEST(a_follower_is_told_states_progress_losses_and_the_end),
		TEST(a_queue_that_is_full_refuses),
		TEST(damaged_state_is_set_aside_and_the_agent_comes_up),
		TEST(a_healthy_store_takes_writes),
	};

	return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
