/*
 * The scheduler against a clock of ours: time_now() is replaced, and so is files_backup(), so that
 * years pass at once and a run can be held, fail, or have any figures.
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

#include "agent/files/backup.h"
#include "agent/jobs/jobs_internal.h"
#include "agent/jobs/runs_internal.h"
#include "agent/repository/prune.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_repository.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)
#define JOBS_MAX 1500

struct timespec __wrap_time_now(void);
int __wrap_files_backup(struct repository *repo, const struct backup_options *options,
    struct progress *progress, struct snapshot **ret, struct error *err);
int __real_files_backup(struct repository *repo, const struct backup_options *options,
    struct progress *progress, struct snapshot **ret, struct error *err);

/* What the replaced functions look at: one for the whole program, as they take no argument. */
static struct {
	_Atomic int64_t now_ms;
	atomic_bool fail, hold, real;
	atomic_uint inside;                   /* backups that have begun */
	_Atomic uint64_t files, bytes, changed;
} engine;

struct timespec
__wrap_time_now(void)
{
	int64_t ms = atomic_load(&engine.now_ms);

	return (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
}

int
__wrap_files_backup(struct repository *repo, const struct backup_options *options,
    struct progress *progress, struct snapshot **ret, struct error *err)
{
	static const struct timespec tick = { 0, 1000000 };

	if (atomic_load(&engine.real))
		return __real_files_backup(repo, options, progress, ret, err);
	atomic_fetch_add(&engine.inside, 1);
	while (atomic_load(&engine.hold)) {
		if (progress_check(progress, err) != 0)
			return -1;
		nanosleep(&tick, NULL);
	}
	if (atomic_load(&engine.fail))
		return error_set(err, ERROR_IO, "the disk is broken");
	*ret = MEM_NEW(struct snapshot);
	snprintf((*ret)->id, sizeof((*ret)->id), "%s", "0123456789abcdef0123456789abcdef");
	(*ret)->files = atomic_load(&engine.files);
	(*ret)->bytes = atomic_load(&engine.bytes);
	(*ret)->changed_files = atomic_load(&engine.changed);
	(*ret)->added_bytes = 17;
	return 0;
}

struct place {
	char *folder, *source, *repository;
	struct config config;
	struct config_job *list[JOBS_MAX];
	struct repository *repo;
	struct actionlog *log;
	struct runs *runs;
	struct jobs *jobs;
	struct buffer events;
};

static int64_t
fake_now_ms(void *arg)
{
	(void)arg;
	return atomic_load(&engine.now_ms);
}

static void
set_clock(const char *text)
{
	struct error err = ERROR_INIT;
	struct timespec when;

	assert_int_equal(time_parse(text, false, &when, &err), 0);
	atomic_store(&engine.now_ms, (int64_t)when.tv_sec * 1000);
}

static void
pass(int64_t ms)
{
	atomic_fetch_add(&engine.now_ms, ms);
}

static const char *
event_word(enum job_event event)
{
	static const char *const words[] = { "started", "ok", "warn", "failed", "cancelled",
		"skipped", "overdue", "recovered", "jump", "proven", "unproven" };

	return words[event];
}

static void
note_event(void *arg, enum job_event event, const struct job_state *state, const json_t *run)
{
	struct buffer *events = arg;

	(void)run;
	buffer_printf(events, "%s%s %s", events->len == 0 ? "" : ", ", state->name,
	    event_word(event));
}

static void
open_all(struct place *place)
{
	const struct jobs_clock clock = { .now_ms = fake_now_ms };
	struct error err = ERROR_INIT;

	if (actionlog_open(place->folder, "web1", &place->log, &err) != 0 ||
	    runs_open(&place->config, place->repo, place->log, &place->runs, &err) != 0 ||
	    jobs_open_with(&place->config, place->runs, &clock, &place->jobs, &err) != 0)
		fail_msg("%s", err.message);
	jobs_on_event(place->jobs, note_event, &place->events);
}

static void
close_all(struct place *place)
{
	jobs_stop(place->jobs);
	runs_close(place->runs);
	jobs_close(place->jobs);
	actionlog_close(place->log);
	place->jobs = NULL;
	place->runs = NULL;
}

/* A job of the source; schedule may be NULL. */
static struct config_job *
add_job(struct place *place, const char *name, const char *schedule)
{
	struct config_job *job = MEM_NEW(struct config_job);
	struct error err = ERROR_INIT;

	job->name = mem_strdup(name);
	job->path = &place->source;
	job->path_count = 1;
	job->retry_wait_s = 300;
	job->jump = 50;
	if (schedule != NULL) {
		job->schedule = mem_strdup(schedule);
		if (schedule_parse(schedule, "UTC", &job->timetable, &err) != 0)
			fail_msg("%s", err.message);
	}
	place->list[place->config.job_count++] = job;
	return job;
}

static void
add_prove(struct config_job *job, const char *schedule)
{
	struct error err = ERROR_INIT;

	job->prove = mem_strdup(schedule);
	job->prove_files = 5;
	job->prove_bytes = 1 << 20;
	if (schedule_parse(schedule, "UTC", &job->prove_times, &err) != 0)
		fail_msg("%s", err.message);
}

static int
set_up(void **state)
{
	struct place *place = MEM_NEW(struct place);
	struct error err = ERROR_INIT;

	set_clock("2026-11-22T00:00:30Z");
	atomic_store(&engine.fail, false);
	atomic_store(&engine.hold, false);
	atomic_store(&engine.real, false);
	atomic_store(&engine.inside, 0);
	atomic_store(&engine.files, 100);
	atomic_store(&engine.bytes, 4000);
	atomic_store(&engine.changed, 0);
	place->folder = test_folder_new_in_memory();
	place->source = test_path(place->folder, "source");
	place->repository = test_path(place->folder, "repository");
	assert_int_equal(mkdir(place->source, 0700), 0);
	place->config.state = place->folder;
	place->config.name = (char *)(uintptr_t)"web1";
	place->config.repository = place->repository;
	place->config.run_workers = 1;
	place->config.jobs = place->list;
	test_repository_make(place->repository);
	place->repo = test_repository_open(place->repository, NULL, &err);
	*state = place;
	return place->repo == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	struct place *place = *state;

	close_all(place);
	repository_close(place->repo);
	for (size_t i = 0; i < place->config.job_count; i++) {
		schedule_free(place->list[i]->timetable);
		schedule_free(place->list[i]->prove_times);
		free(place->list[i]->prove);
		free(place->list[i]->schedule);
		free(place->list[i]->name);
		free(place->list[i]);
	}
	buffer_done(&place->events);
	free(place->source);
	free(place->repository);
	test_folder_remove(place->folder);
	free(place);
	return 0;
}

/* Until no run is queued or going. */
static void
settle(struct place *place)
{
	static const struct timespec tick = { 0, 1000000 };
	unsigned queued = 1, running = 1;

	for (;;) {
		runs_count(place->runs, &queued, &running);
		if (queued == 0 && running == 0)
			return;
		nanosleep(&tick, NULL);
	}
}

static void
wait_inside(unsigned count)
{
	static const struct timespec tick = { 0, 1000000 };

	while (atomic_load(&engine.inside) < count)
		nanosleep(&tick, NULL);
}

/* What is due now, and then all that this leads to at the same moment. */
static void
step(struct place *place)
{
	jobs_step(place->jobs);
	settle(place);
	jobs_step(place->jobs);
	settle(place);
}

/* The outcomes of a kind of runs of the job, oldest first: "ok skipped failed". */
static const char *
outcomes_of(struct place *place, const char *kind, const char *job)
{
	static char text[4096];
	struct error err = ERROR_INIT;
	json_t *page = NULL, *list;
	size_t len = 0;

	text[0] = '\0';
	assert_int_equal(runs_list(place->runs, kind, NULL, NULL, 1000, &page, &err), 0);
	list = json_object_get(page, "runs");
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *run = json_array_get(list, i);

		if (strcmp(json_string_value(json_object_get(json_object_get(run, "arguments"),
		    "job")), job) == 0)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
			    len == 0 ? "" : " ", json_string_value(json_object_get(run, "state")));
	}
	json_decref(page);
	return text;
}

static const char *
outcomes(struct place *place, const char *job)
{
	return outcomes_of(place, "backup", job);
}

static struct job_state
state_of(struct place *place, const char *name)
{
	struct job_state *states, found = { .name = NULL };
	size_t count;

	jobs_states(place->jobs, &states, &count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(states[i].name, name) == 0)
			found = states[i];
	jobs_states_free(states, count);
	return found;
}

static void
assert_events(struct place *place, const char *expected)
{
	jobs_step(place->jobs);
	assert_string_equal(place->events.len == 0 ? "" : buffer_text(&place->events), expected);
	buffer_done(&place->events);
	place->events = (struct buffer)BUFFER_INIT;
}

static void
assert_next(struct place *place, const char *name, const char *expected)
{
	struct job_state state = state_of(place, name);
	struct timespec when = { state.next_ms / 1000, 0 };
	char text[TIME_TEXT_SIZE];

	time_format(when, 0, text);
	assert_string_equal(text, expected);
}

/* Rows of the log, counted. */
static unsigned
log_count(struct place *place, const char *action, const char *status)
{
	const struct actionlog_filter filter = { .action = action, .status = status };
	struct error err = ERROR_INIT;
	json_t *rows = NULL;
	unsigned count;

	assert_int_equal(actionlog_read(place->log, &filter, &rows, &err), 0);
	count = (unsigned)json_array_size(rows);
	json_decref(rows);
	return count;
}

/* What a crash leaves behind: change the database while nobody has it open. */
static void
alter(struct place *place, const char *sql)
{
	char *path = test_path(place->folder, "state.sqlite");
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
	free(path);
}

static void
a_job_starts_when_it_is_due_and_not_before(void **state)
{
	struct place *place = *state;

	add_job(place, "home", "30 2 * * *");
	add_job(place, "byhand", NULL);
	open_all(place);
	assert_next(place, "home", "2026-11-22T02:30:00Z");
	assert_false(state_of(place, "byhand").scheduled);
	assert_int_equal(state_of(place, "byhand").next_ms, 0);
	set_clock("2026-11-22T02:29:59Z");
	assert_int_equal(jobs_step(place->jobs), state_of(place, "home").next_ms);
	assert_string_equal(outcomes(place, "home"), "");
	set_clock("2026-11-22T02:30:00Z");
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	assert_next(place, "home", "2026-11-23T02:30:00Z");
	assert_int_equal(state_of(place, "home").last_success_ms, atomic_load(&engine.now_ms));
	assert_int_equal(state_of(place, "home").last_files, 100);
	assert_int_equal(state_of(place, "home").last_added_bytes, 17);
	assert_string_equal(state_of(place, "home").last_outcome, "ok");
	assert_events(place, "home started, home ok");
}

static void
what_was_missed_is_made_up_for_once(void **state)
{
	struct place *place = *state;

	add_job(place, "home", "0 * * * *");
	open_all(place);
	/* Asleep. */
	pass(3 * DAY_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	assert_next(place, "home", "2026-11-25T01:00:00Z");
	/* Down. */
	close_all(place);
	pass(2 * DAY_MS);
	open_all(place);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok");
	assert_next(place, "home", "2026-11-27T01:00:00Z");
	/* Nothing was missed. */
	close_all(place);
	open_all(place);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok");
}

static void
another_schedule_begins_anew(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	struct config_job *job = add_job(place, "home", "0 * * * *");

	open_all(place);
	close_all(place);
	schedule_free(job->timetable);
	free(job->schedule);
	job->schedule = mem_strdup("@daily");
	assert_int_equal(schedule_parse("@daily", "UTC", &job->timetable, &err), 0);
	pass(5 * HOUR_MS);
	open_all(place);
	step(place);
	assert_string_equal(outcomes(place, "home"), "");
	assert_next(place, "home", "2026-11-23T00:00:00Z");
}

static void
a_start_while_the_last_run_goes_is_skipped_and_recorded(void **state)
{
	const struct actionlog_filter everything = { .action = NULL };
	struct place *place = *state;
	struct error err = ERROR_INIT;
	json_t *stat = NULL;

	add_job(place, "home", "0 * * * *");
	open_all(place);
	atomic_store(&engine.hold, true);
	pass(HOUR_MS);
	jobs_step(place->jobs);
	wait_inside(1);
	assert_true(state_of(place, "home").running);
	pass(HOUR_MS);
	jobs_step(place->jobs);
	pass(HOUR_MS);
	jobs_step(place->jobs);
	assert_string_equal(outcomes(place, "home"), "running skipped skipped");
	assert_string_equal(state_of(place, "home").last_outcome, "skipped");
	assert_int_equal(state_of(place, "home").last_success_ms, 0);
	atomic_store(&engine.hold, false);
	settle(place);
	/* Nothing was queued for it. */
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok skipped skipped");
	assert_string_equal(state_of(place, "home").last_outcome, "ok");
	assert_int_equal(log_count(place, "BackupSkipped", "ERROR"), 2);
	assert_int_equal(log_count(place, "BackupSkipped", "SUCCESS"), 0);
	assert_int_equal(actionlog_stat(place->log, &everything, &stat, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(stat, "number-of-backups")), 1);
	assert_int_equal(json_integer_value(json_object_get(stat, "failed-backups")), 0);
	json_decref(stat);
	assert_events(place, "home started, home skipped, home skipped, home ok");
}

static void
a_run_that_failed_is_tried_again_as_often_as_the_job_says(void **state)
{
	struct place *place = *state;
	struct config_job *job = add_job(place, "home", "@daily");
	int64_t due_ms;

	job->retry = 2;
	open_all(place);
	atomic_store(&engine.fail, true);
	pass(DAY_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "failed");
	due_ms = atomic_load(&engine.now_ms) + 300 * 1000;
	assert_int_equal(jobs_step(place->jobs), due_ms);
	pass(299 * 1000);
	step(place);
	assert_string_equal(outcomes(place, "home"), "failed");
	/* The first attempt comes in the next life of the agent. */
	close_all(place);
	open_all(place);
	pass(1000);
	step(place);
	assert_string_equal(outcomes(place, "home"), "failed failed");
	pass(300 * 1000);
	step(place);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "failed failed failed");
	/* The next start has attempts of its own, and a success needs none. */
	pass(DAY_MS);
	step(place);
	atomic_store(&engine.fail, false);
	pass(300 * 1000);
	step(place);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "failed failed failed failed ok");
}

static void
a_held_job_starts_not_and_nothing_is_made_up_for(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	json_t *json;

	add_job(place, "home", "0 * * * *");
	open_all(place);
	assert_int_equal(jobs_hold(place->jobs, "home", "new disks", "token:ops", &err), 0);
	assert_int_equal(jobs_hold(place->jobs, "home", NULL, "token:ops", &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	pass(3 * HOUR_MS);
	step(place);
	close_all(place);
	pass(3 * HOUR_MS);
	open_all(place);
	step(place);
	assert_string_equal(outcomes(place, "home"), "");
	assert_true(state_of(place, "home").held);
	assert_int_equal(state_of(place, "home").next_ms, 0);
	json = jobs_json(place->jobs, "home");
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "held"),
	    "reason")), "new disks");
	json_decref(json);
	assert_int_equal(jobs_release(place->jobs, "home", &err), 0);
	step(place);
	assert_string_equal(outcomes(place, "home"), "");
	assert_next(place, "home", "2026-11-22T07:00:00Z");
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	assert_int_equal(jobs_release(place->jobs, "home", &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_int_equal(jobs_release(place->jobs, "nothing", &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void
one_start_can_be_left_out(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;

	add_job(place, "home", "0 * * * *");
	add_job(place, "byhand", NULL);
	open_all(place);
	assert_int_equal(jobs_skip_next(place->jobs, "home", "token:ops", &err), 0);
	assert_int_equal(jobs_skip_next(place->jobs, "byhand", "token:ops", &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	close_all(place);
	open_all(place);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "skipped");
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "skipped ok");
}

static void
the_clock_set_back_a_little_starts_nothing_twice(void **state)
{
	struct place *place = *state;

	add_job(place, "home", "0 * * * *");
	open_all(place);
	set_clock("2026-11-22T05:00:00Z");
	step(place);
	set_clock("2026-11-22T03:30:00Z");
	step(place);
	set_clock("2026-11-22T05:59:00Z");
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	/* The same if the agent was down meanwhile. */
	close_all(place);
	set_clock("2026-11-22T04:59:00Z");
	open_all(place);
	set_clock("2026-11-22T05:59:00Z");
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	set_clock("2026-11-22T06:00:00Z");
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok");
}

static void
the_clock_set_back_far_stops_nothing(void **state)
{
	struct place *place = *state;
	struct config_job *job = add_job(place, "home", "0 * * * *");

	job->expect_s = 7200;
	set_clock("2031-01-01T00:30:00Z");
	open_all(place);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	set_clock("2026-11-22T00:30:00Z");
	step(place);
	assert_next(place, "home", "2026-11-22T01:00:00Z");
	assert_false(state_of(place, "home").overdue);
	set_clock("2026-11-22T01:00:00Z");
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok");
	/* A success of the future would keep it from being overdue for years. */
	atomic_store(&engine.fail, true);
	pass(3 * HOUR_MS);
	step(place);
	assert_true(state_of(place, "home").overdue);
}

static void
a_job_without_a_success_is_overdue_until_there_is_one(void **state)
{
	struct place *place = *state;
	struct config_job *job = add_job(place, "home", "@daily");
	struct job_state found;

	job->expect_s = 26 * 3600;
	open_all(place);
	atomic_store(&engine.fail, true);
	/* 2026-11-23T00:00:30: it has failed, and is not overdue yet. */
	pass(DAY_MS);
	step(place);
	assert_false(state_of(place, "home").overdue);
	assert_events(place, "home started, home failed");
	pass(2 * HOUR_MS - 1000);
	step(place);
	assert_events(place, "");
	pass(1000);
	step(place);
	assert_events(place, "home overdue");
	found = state_of(place, "home");
	assert_true(found.overdue);
	assert_int_equal(found.overdue_since_ms, atomic_load(&engine.now_ms));
	/* It is told once, not again in the next life. */
	close_all(place);
	open_all(place);
	pass(HOUR_MS);
	step(place);
	assert_events(place, "");
	assert_true(state_of(place, "home").overdue);
	atomic_store(&engine.fail, false);
	pass(DAY_MS);
	step(place);
	assert_events(place, "home started, home ok, home recovered");
	assert_false(state_of(place, "home").overdue);
	assert_int_equal(state_of(place, "home").overdue_since_ms, 0);
}

static void
a_kill_between_due_time_and_start_leaves_one_run(void **state)
{
	struct place *place = *state;

	add_job(place, "home", "0 * * * *");
	open_all(place);
	pass(HOUR_MS);
	step(place);
	close_all(place);
	/* Recorded, and the agent was killed before a worker took it. */
	alter(place, "UPDATE runs SET state = 'queued', started = NULL, finished = NULL,"
	    " result = NULL, logged = 0, told = 0;"
	    "UPDATE jobs SET last_run = '', last_outcome = '', last_success_ms = 0,"
	    " last_finished_ms = 0");
	open_all(place);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	assert_string_equal(state_of(place, "home").last_outcome, "ok");
	assert_next(place, "home", "2026-11-22T02:00:00Z");
}

static void
a_run_that_was_cut_off_is_aborted_and_tried_again(void **state)
{
	struct place *place = *state;
	struct config_job *job = add_job(place, "home", "0 * * * *");

	job->retry = 1;
	open_all(place);
	pass(HOUR_MS);
	step(place);
	close_all(place);
	alter(place, "UPDATE runs SET state = 'running', finished = NULL, result = NULL,"
	    " logged = 0, told = 0;"
	    "UPDATE jobs SET last_run = '', last_outcome = '', last_success_ms = 0,"
	    " last_finished_ms = 0");
	place->events.len = 0;
	open_all(place);
	assert_string_equal(outcomes(place, "home"), "aborted");
	assert_int_equal(state_of(place, "home").last_success_ms, 0);
	assert_events(place, "home failed");
	assert_int_equal(log_count(place, "Backup", "SUCCESS"), 1);
	pass(300 * 1000);
	step(place);
	assert_string_equal(outcomes(place, "home"), "aborted ok");
}

static void
a_kill_between_snapshot_and_log_row_ends_as_the_snapshot_says(void **state)
{
	struct place *place = *state;
	char *file = test_path(place->source, "letter");
	struct job_state before, after;

	add_job(place, "home", "0 * * * *");
	test_file_write(file, "one", 3);
	atomic_store(&engine.real, true);
	open_all(place);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	before = state_of(place, "home");
	close_all(place);
	alter(place, "UPDATE runs SET state = 'running', finished = NULL, result = NULL,"
	    " snapshot = NULL, logged = 0, told = 0;"
	    "UPDATE jobs SET last_run = '', last_outcome = '', last_success_ms = 0,"
	    " last_finished_ms = 0, last_files = 0");
	pass(5 * 60 * 1000);
	open_all(place);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	after = state_of(place, "home");
	/* When it was stored, not when somebody noticed. */
	assert_int_equal(after.last_success_ms, before.last_success_ms);
	assert_int_equal(after.last_files, 1);
	assert_int_equal(log_count(place, "Backup", "SUCCESS"), 1);
	assert_int_equal(log_count(place, "Backup", "ERROR"), 0);
	free(file);
}

static void
what_a_damaged_database_knew_comes_from_the_repository(void **state)
{
	struct place *place = *state;
	char *file = test_path(place->source, "letter");
	char *database = test_path(place->folder, "state.sqlite");
	struct job_state before, after;
	json_t *run = NULL, *again = NULL;
	struct error err = ERROR_INIT;

	add_job(place, "home", "0 * * * *")->expect_s = 3 * 3600;
	test_file_write(file, "one", 3);
	atomic_store(&engine.real, true);
	open_all(place);
	pass(HOUR_MS);
	step(place);
	before = state_of(place, "home");
	assert_int_equal(runs_last_of_job(place->runs, "home", &run, &err), 1);
	close_all(place);
	test_file_write(database, "this is no database", 19);
	pass(HOUR_MS / 2);
	place->events.len = 0;
	open_all(place);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok");
	after = state_of(place, "home");
	assert_int_equal(after.last_success_ms / 1000, before.last_success_ms / 1000);
	assert_int_equal(after.last_files, 1);
	assert_string_equal(after.last_outcome, "ok");
	assert_int_equal(runs_last_of_job(place->runs, "home", &again, &err), 1);
	assert_string_equal(json_string_value(json_object_get(again, "id")),
	    json_string_value(json_object_get(run, "id")));
	assert_string_equal(json_string_value(json_object_get(again, "snapshot")),
	    json_string_value(json_object_get(run, "snapshot")));
	/* It is no news, and in the log already. */
	assert_events(place, "");
	assert_int_equal(log_count(place, "Backup", "SUCCESS"), 1);
	assert_next(place, "home", "2026-11-22T02:00:00Z");
	json_decref(run);
	json_decref(again);
	free(database);
	free(file);
}

static void
an_end_that_did_not_reach_its_job_is_taken_in_at_the_next_start(void **state)
{
	struct place *place = *state;

	add_job(place, "home", "0 * * * *");
	open_all(place);
	pass(HOUR_MS);
	step(place);
	close_all(place);
	alter(place, "UPDATE runs SET told = 0; UPDATE jobs SET last_run = '', last_outcome = '',"
	    " last_success_ms = 0, last_finished_ms = 0");
	open_all(place);
	assert_string_equal(state_of(place, "home").last_outcome, "ok");
	assert_int_equal(state_of(place, "home").last_success_ms, atomic_load(&engine.now_ms));
	close_all(place);
	place->events.len = 0;
	open_all(place);
	assert_events(place, "");
}

static bool
has_jump(struct place *place, const char *job)
{
	struct error err = ERROR_INIT;
	json_t *offline = NULL, *online = NULL;
	bool found;

	assert_int_equal(jobs_store_jumps(NULL, place->folder, &offline, &err), 0);
	assert_int_equal(jobs_store_jumps(runs_store_of(place->runs), NULL, &online, &err), 0);
	assert_true(json_equal(offline, online));
	found = json_object_get(offline, job) != NULL;
	json_decref(offline);
	json_decref(online);
	return found;
}

static void
figures_that_jump_warn_until_they_are_acknowledged(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	json_t *json, *figure;

	add_job(place, "home", "0 * * * *");
	open_all(place);
	for (int i = 0; i < 5; i++) {
		pass(HOUR_MS);
		step(place);
	}
	assert_string_equal(outcomes(place, "home"), "ok ok ok ok ok");
	assert_false(has_jump(place, "home"));
	assert_int_equal(jobs_acknowledge(place->jobs, "home", &err), -1);
	place->events.len = 0;
	/* Seven of ten files are gone. */
	atomic_store(&engine.files, 30);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok ok ok ok warn");
	assert_events(place, "home started, home warn, home jump");
	assert_true(has_jump(place, "home"));
	assert_true(state_of(place, "home").jump);
	json = jobs_json(place->jobs, "home");
	figure = json_array_get(json_object_get(json_object_get(json, "jump"), "figures"), 0);
	assert_string_equal(json_string_value(json_object_get(figure, "figure")), "files");
	assert_int_equal(json_integer_value(json_object_get(figure, "value")), 30);
	assert_int_equal(json_integer_value(json_object_get(figure, "usual")), 100);
	assert_int_equal(json_integer_value(json_object_get(figure, "runs")), 5);
	json_decref(json);
	/* It does not become usual by itself, nor does a run as before take it away. */
	pass(HOUR_MS);
	step(place);
	atomic_store(&engine.files, 100);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok ok ok ok warn warn ok");
	assert_true(has_jump(place, "home"));
	/* From now on 30 are usual. */
	atomic_store(&engine.files, 30);
	pass(HOUR_MS);
	step(place);
	assert_int_equal(jobs_acknowledge(place->jobs, "home", &err), 0);
	assert_false(has_jump(place, "home"));
	close_all(place);
	open_all(place);
	assert_false(state_of(place, "home").jump);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok ok ok ok warn warn ok warn ok");
	atomic_store(&engine.files, 100);
	pass(HOUR_MS);
	step(place);
	assert_string_equal(outcomes(place, "home"), "ok ok ok ok ok warn warn ok warn ok warn");
}

/* The figures that jump: "files changed_percent". */
static void
assert_jumps(const struct job_figures *now, const struct job_figures *usual, size_t count,
    bool vouched, int64_t per_cent, const char *expected)
{
	struct buffer found = BUFFER_INIT;
	struct job_figures history[10];
	json_t *jumps, *jump;
	size_t i;

	for (i = 0; i < count; i++)
		history[i] = *usual;
	/* One that is off does not move the median. */
	if (count > 2)
		history[1] = (struct job_figures){ 1, 1, 1 };
	jumps = run_jumps(now, history, count, vouched, per_cent);
	buffer_put_text(&found, "");
	json_array_foreach(jumps, i, jump)
		buffer_printf(&found, "%s%s", i == 0 ? "" : " ",
		    json_string_value(json_object_get(jump, "figure")));
	assert_string_equal(buffer_text(&found), expected);
	buffer_done(&found);
	json_decref(jumps);
}

static void
a_jump_is_far_from_the_median_of_enough_runs(void **state)
{
	const struct job_figures usual = { 1000, 1 << 30, 10 };
	const struct job_figures small = { 10, 1000, 1 };

	(void)state;
	assert_jumps(&usual, &usual, 10, false, 50, "");
	assert_jumps(&(struct job_figures){ 499, 1 << 30, 10 }, &usual, 10, false, 50, "files");
	assert_jumps(&(struct job_figures){ 500, 1 << 30, 10 }, &usual, 10, false, 50, "");
	assert_jumps(&(struct job_figures){ 2000, 1 << 30, 10 }, &usual, 10, false, 50, "");
	assert_jumps(&(struct job_figures){ 2001, 1 << 30, 10 }, &usual, 10, false, 50, "files");
	assert_jumps(&(struct job_figures){ 1000, 1 << 20, 10 }, &usual, 5, false, 50, "bytes");
	assert_jumps(&(struct job_figures){ 1000, 1 << 30, 520 }, &usual, 5, false, 50,
	    "changed_percent");
	assert_jumps(&(struct job_figures){ 1000, 1 << 30, 510 }, &usual, 5, false, 50, "");
	assert_jumps(&(struct job_figures){ 0, 0, 0 }, &usual, 5, false, 50, "files bytes");
	/* Too short a history, unless somebody vouched for it; and the setting. */
	assert_jumps(&(struct job_figures){ 0, 0, 0 }, &usual, 4, false, 50, "");
	assert_jumps(&(struct job_figures){ 0, 0, 0 }, &usual, 1, true, 50, "files bytes");
	assert_jumps(&(struct job_figures){ 0, 0, 0 }, &usual, 0, true, 50, "");
	assert_jumps(&(struct job_figures){ 0, 0, 0 }, &usual, 10, false, 0, "");
	assert_jumps(&(struct job_figures){ 120, 1 << 30, 10 }, &usual, 10, false, 90, "");
	/* Ten letters are nothing to speak of. */
	assert_jumps(&(struct job_figures){ 25, 60000, 25 }, &small, 10, false, 50, "");
}

static void
what_always_changes_is_usual(void **state)
{
	struct place *place = *state;
	struct error err = ERROR_INIT;
	json_t *trend = NULL;

	add_job(place, "log", "0 * * * *");
	open_all(place);
	atomic_store(&engine.changed, 90);
	for (int i = 0; i < 6; i++) {
		pass(HOUR_MS);
		step(place);
	}
	assert_string_equal(outcomes(place, "log"), "ok ok ok ok ok ok");
	assert_int_equal(jobs_trend(place->jobs, "log", 4, &trend, &err), 0);
	assert_int_equal(json_array_size(trend), 4);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(trend, 0),
	    "added_bytes")), 17);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(trend, 3), "files")),
	    100);
	json_decref(trend);
}

static void
dry_runs_and_prunes_are_no_runs_of_a_job(void **state)
{
	struct place *place = *state;
	struct run_start start = { .kind = RUN_BACKUP, .command = "POST /v1/runs",
		.origin = "unit" };
	struct error err = ERROR_INIT;
	char id[RUN_ID_TEXT_SIZE];
	json_t *arguments, *run = NULL;
	bool existing;

	add_job(place, "home", NULL);
	open_all(place);
	arguments = json_pack("{s:s, s:b}", "job", "home", "dry_run", 1);
	start.arguments = arguments;
	assert_int_equal(runs_start(place->runs, &start, id, &existing, &err), 0);
	settle(place);
	json_decref(arguments);
	assert_string_equal(state_of(place, "home").last_outcome, "");
	assert_int_equal(runs_last_of_job(place->runs, "home", &run, &err), 0);
	arguments = json_pack("{s:s}", "job", "home");
	start.arguments = arguments;
	assert_int_equal(runs_start(place->runs, &start, id, &existing, &err), 0);
	settle(place);
	json_decref(arguments);
	assert_string_equal(state_of(place, "home").last_outcome, "ok");
}

static void
a_test_restore_has_a_schedule_of_its_own(void **state)
{
	struct place *place = *state;
	char *file = test_path(place->source, "letter");
	struct config_job *job = add_job(place, "home", "0 4 * * *");
	int64_t proven_ms;

	add_prove(job, "0 5 * * *");
	add_prove(add_job(place, "never", NULL), "0 5 * * *");
	test_file_write(file, "one", 3);
	atomic_store(&engine.real, true);
	open_all(place);
	set_clock("2026-11-22T04:59:59Z");
	step(place);
	assert_string_equal(outcomes_of(place, "prove", "home"), "");
	assert_int_equal(state_of(place, "home").last_proof_ms, 0);
	assert_events(place, "home started, home ok");
	set_clock("2026-11-22T05:00:00Z");
	step(place);
	assert_string_equal(outcomes_of(place, "prove", "home"), "ok");
	proven_ms = state_of(place, "home").last_proof_ms;
	assert_int_equal(proven_ms, atomic_load(&engine.now_ms));
	assert_string_equal(state_of(place, "home").last_proof_outcome, "ok");
	/* It is no run of the job, and one without a backup has nothing to restore. */
	assert_string_equal(outcomes(place, "home"), "ok");
	assert_string_equal(outcomes_of(place, "prove", "never"), "");
	assert_events(place, "home proven");
	/* Nothing twice, also after a restart. */
	close_all(place);
	open_all(place);
	step(place);
	assert_string_equal(outcomes_of(place, "prove", "home"), "ok");
	assert_int_equal(state_of(place, "home").last_proof_ms, proven_ms);
	free(file);
}

/* The data of all snapshots is gone. */
static void
remove_packs(const struct place *place)
{
	test_folder_remove(test_path(place->repository, "packs"));
}

static void
a_backup_that_cannot_be_restored_is_found_by_the_next_test(void **state)
{
	struct place *place = *state;
	char *file = test_path(place->source, "letter");
	struct config_job *job = add_job(place, "home", "0 4 * * *");

	add_prove(job, "0 5 * * *");
	test_file_write(file, "one", 3);
	atomic_store(&engine.real, true);
	open_all(place);
	set_clock("2026-11-22T04:00:00Z");
	step(place);
	remove_packs(place);
	set_clock("2026-11-22T05:00:00Z");
	step(place);
	assert_string_equal(outcomes_of(place, "prove", "home"), "failed");
	assert_int_equal(state_of(place, "home").last_proof_ms, 0);
	assert_string_equal(state_of(place, "home").last_proof_outcome, "failed");
	assert_string_equal(state_of(place, "home").last_outcome, "ok");
	assert_events(place, "home started, home ok, home unproven");
	assert_int_equal(log_count(place, "Prove", "ERROR"), 1);
	free(file);
}

static void
a_test_restore_whose_end_was_not_taken_in_is_so_at_the_next_start(void **state)
{
	struct place *place = *state;
	char *file = test_path(place->source, "letter");

	add_prove(add_job(place, "home", "0 4 * * *"), "0 5 * * *");
	test_file_write(file, "one", 3);
	atomic_store(&engine.real, true);
	open_all(place);
	set_clock("2026-11-22T05:00:00Z");
	step(place);
	close_all(place);
	alter(place, "UPDATE runs SET told = 0 WHERE kind = 'prove';"
	    "UPDATE jobs SET proof_ms = 0, proof_outcome = ''");
	open_all(place);
	assert_int_equal(state_of(place, "home").last_proof_ms, atomic_load(&engine.now_ms));
	assert_string_equal(state_of(place, "home").last_proof_outcome, "ok");
	free(file);
}

static void
more_jobs_at_once_than_the_queue_holds_all_run(void **state)
{
	struct place *place = *state;
	unsigned queued, running, looks = 0;
	char name[16];

	for (int i = 0; i < JOBS_MAX; i++) {
		snprintf(name, sizeof(name), "job%04d", i);
		add_job(place, name, "@daily");
	}
	open_all(place);
	atomic_store(&engine.hold, true);
	pass(DAY_MS);
	jobs_step(place->jobs);
	wait_inside(1);
	runs_count(place->runs, &queued, &running);
	/* There is room left for requests. */
	assert_in_range(queued + running, 800, 950);
	atomic_store(&engine.hold, false);
	while (atomic_load(&engine.inside) < JOBS_MAX && looks++ < 10) {
		settle(place);
		jobs_step(place->jobs);
	}
	settle(place);
	assert_int_equal(atomic_load(&engine.inside), JOBS_MAX);
	assert_string_equal(outcomes(place, "job1499"), "ok");
	assert_string_equal(outcomes(place, "job0000"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define _(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		_(a_job_starts_when_it_is_due_and_not_before),
		_(what_was_missed_is_made_up_for_once),
		_(another_schedule_begins_anew),
		_(a_start_while_the_last_run_goes_is_skipped_and_recorded),
		_(a_run_that_failed_is_tried_again_as_often_as_the_job_says),
		_(a_held_job_starts_not_and_nothing_is_made_up_for),
		_(one_start_can_be_left_out),
		_(the_clock_set_back_a_little_starts_nothing_twice),
		_(the_clock_set_back_far_stops_nothing),
		_(a_job_without_a_success_is_overdue_until_there_is_one),
		_(a_kill_between_due_time_and_start_leaves_one_run),
		_(a_run_that_was_cut_off_is_aborted_and_tried_again),
		_(a_kill_between_snapshot_and_log_row_ends_as_the_snapshot_says),
		_(what_a_damaged_database_knew_comes_from_the_repository),
		_(an_end_that_did_not_reach_its_job_is_taken_in_at_the_next_start),
		_(figures_that_jump_warn_until_they_are_acknowledged),
		_(a_jump_is_far_from_the_median_of_enough_runs),
		_(what_always_changes_is_usual),
		_(dry_runs_and_prunes_are_no_runs_of_a_job),
		_(a_test_restore_has_a_schedule_of_its_own),
		_(a_backup_that_cannot_be_restored_is_found_by_the_next_test),
		_(a_test_restore_whose_end_was_not_taken_in_is_so_at_the_next_start),
		_(more_jobs_at_once_than_the_queue_holds_all_run),
#undef _
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
