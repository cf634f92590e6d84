/*
 * The scheduler: one thread that starts what is due.
 *
 * Each step looks at every job: ten thousand of them take some ten microseconds, so no order of
 * starts is kept.  What is due comes into the database in one transaction, then into the queue.
 * The thread sleeps on a timer of the time of day, which also fires when the clock is set.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/jobs/jobs_internal.h"
#include "shared/log.h"
#include "shared/mem.h"

/* What the database refused is tried again, and the queue looked at, after so long. */
#define AGAIN_MS 2000
#define ROOM_AGAIN_MS 500

/* Beyond what a timer takes, and as good as never. */
#define NEVER_MS (INT64_C(250000000000) * 1000)

/* Something that is due: a start by schedule, another attempt, or a test restore. */
enum due_kind { DUE_START, DUE_RETRY, DUE_PROOF };

struct due {
	struct job *job;
	int64_t when_ms;
	enum due_kind kind;
	char *skipped;     /* why it is not started, or NULL */
	struct job_row row; /* as it is after that */
};

static int
compare_due(const void *a, const void *b)
{
	const struct due *left = a, *right = b;

	if (left->when_ms != right->when_ms)
		return left->when_ms < right->when_ms ? -1 : 1;
	return left->job < right->job ? -1 : left->job > right->job;
}

/* Was the clock set back so far that what was planned by it means nothing? */
static bool
clock_was_wrong(const struct job_row *row, int64_t now_ms)
{
	return row->armed_ms - now_ms > JOB_CLOCK_BACK_S * INT64_C(1000);
}

static int64_t
at_most(int64_t value, int64_t limit)
{
	return value > limit ? limit : value;
}

/* Changes of rows that start nothing: one transaction for all of them. */
struct changes {
	struct job **jobs;
	struct job_row *rows;
	size_t count;
};

static struct job_row *
add_change(struct changes *changes, struct job *job)
{
	changes->jobs[changes->count] = job;
	changes->rows[changes->count] = job_row_dup(&job->row);
	return &changes->rows[changes->count++];
}

/* What time alone does to jobs; caller holds change_lock. */
static void
find_changes(struct jobs *jobs, int64_t now_ms, struct changes *changes)
{
	for (size_t i = 0; i < jobs->count; i++) {
		struct job *job = &jobs->list[i];
		int64_t overdue_ms = job_overdue_at_ms(job);
		int64_t wait_ms = job->config->retry_wait_s * 1000;
		bool overdue = overdue_ms != 0 && now_ms >= overdue_ms;
		struct job_row *row;

		if (clock_was_wrong(&job->row, now_ms)) {
			row = add_change(changes, job);
			row->armed_ms = now_ms;
			row->next_ms = job_next_ms(job, now_ms);
			row->prove_next_ms = job_next_prove_ms(job, now_ms);
			/* Times to come would keep a job from being overdue for as long. */
			row->known_ms = at_most(row->known_ms, now_ms);
			row->last_success_ms = at_most(row->last_success_ms, now_ms);
			row->last_finished_ms = at_most(row->last_finished_ms, now_ms);
			row->retry_ms = at_most(row->retry_ms, now_ms + wait_ms);
		} else if (overdue != job->row.overdue || job->row.retry_ms > now_ms + wait_ms) {
			row = add_change(changes, job);
			row->overdue = overdue;
			row->retry_ms = at_most(row->retry_ms, now_ms + wait_ms);
		}
	}
}

static void
log_change(const struct job *job, const struct job_row *row)
{
	if (row->overdue && !job->row.overdue)
		log_event(LOG_LEVEL_WARN, "job-overdue", json_pack("{s:s, s:I}", "job",
		    job->config->name, "expect_s", (json_int_t)job->config->expect_s));
	else if (job->row.overdue && !row->overdue)
		log_event(LOG_LEVEL_INFO, "job-recovered", json_pack("{s:s}", "job",
		    job->config->name));
	if (row->armed_ms < job->row.armed_ms)
		log_event(LOG_LEVEL_WARN, "clock-set-back", json_pack("{s:s, s:I}", "job",
		    job->config->name, "by_s",
		    (json_int_t)((job->row.armed_ms - row->armed_ms) / 1000)));
}

/* Into memory, and to whoever wants to know; or nothing, if the database did not take it. */
static void
apply_changes(struct jobs *jobs, struct changes *changes, bool written)
{
	for (size_t i = 0; i < changes->count; i++) {
		struct job *job = changes->jobs[i];
		bool was_overdue = job->row.overdue, overdue = changes->rows[i].overdue;

		if (!written) {
			job_row_done(&changes->rows[i]);
			continue;
		}
		log_change(job, &changes->rows[i]);
		job_set_row(jobs, job, &changes->rows[i]);
		if (overdue != was_overdue)
			jobs_add_news(jobs, job, overdue ? JOB_EVENT_OVERDUE
			    : JOB_EVENT_RECOVERED, NULL);
	}
	free(changes->jobs);
	free(changes->rows);
}

static void
set_trouble(struct jobs *jobs, bool trouble)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->trouble = trouble;
	pthread_mutex_unlock(&jobs->lock);
}

/* Caller holds change_lock. */
static int
change_rows(struct jobs *jobs, int64_t now_ms, struct error *err)
{
	struct changes changes = { .jobs = mem_calloc(jobs->count, sizeof(struct job *)),
		.rows = mem_calloc(jobs->count, sizeof(struct job_row)) };
	struct job_start *starts;
	int rc = 0;

	find_changes(jobs, now_ms, &changes);
	if (changes.count > 0) {
		starts = mem_calloc(changes.count, sizeof(*starts));
		for (size_t i = 0; i < changes.count; i++)
			starts[i].row = &changes.rows[i];
		rc = jobs_store_start(jobs->store, starts, changes.count, err);
		free(starts);
	}
	apply_changes(jobs, &changes, rc == 0);
	return rc;
}

/* Jobs that are due, the longest first; caller holds change_lock. */
static struct due *
find_due(struct jobs *jobs, int64_t now_ms, size_t *ret_count)
{
	struct due *list = NULL;
	size_t count = 0, cap = 0;

	for (size_t i = 0; i < jobs->count; i++) {
		struct job *job = &jobs->list[i];
		const struct job_row *row = &job->row;
		/* One at a time of each job, in this order; the next one at the next step. */
		const int64_t when_ms[] = { [DUE_START] = row->next_ms,
			[DUE_RETRY] = row->retry_ms, [DUE_PROOF] = row->prove_next_ms };
		enum due_kind kind = DUE_START;

		while (kind <= DUE_PROOF && (when_ms[kind] == 0 || now_ms < when_ms[kind]))
			kind++;
		if (row->held || kind > DUE_PROOF)
			continue;
		MEM_GROW(list, count, cap);
		list[count++] = (struct due){ .job = job, .kind = kind, .when_ms = when_ms[kind] };
	}
	if (count > 0)
		qsort(list, count, sizeof(*list), compare_due);
	*ret_count = count;
	return list;
}

/* How the job goes on from here.  active: its run that is queued or going, or NULL. */
static void
decide(struct due *due, const char *active, int64_t now_ms)
{
	struct job *job = due->job;
	struct job_row *row = &due->row;

	*row = job_row_dup(&job->row);
	if (due->kind == DUE_RETRY) {
		row->retries++;
		row->retry_ms = 0;
		return;
	}
	if (due->kind == DUE_PROOF) {
		row->prove_next_ms = job_next_prove_ms(job, now_ms);
		row->armed_ms = now_ms;
		return;
	}
	/* Whatever was missed, it is made up for once. */
	row->next_ms = job_next_ms(job, now_ms);
	row->armed_ms = now_ms;
	if (row->skip_next) {
		due->skipped = mem_printf("this start was left out, as %s asked",
		    row->skip_by == NULL ? "somebody" : row->skip_by);
		row->skip_next = false;
		free(row->skip_by);
		row->skip_by = NULL;
	} else if (active != NULL) {
		due->skipped = mem_printf("run '%.8s' of the job was not done yet", active);
	} else {
		row->retries = 0;
		row->retry_ms = 0;
	}
}

static void
log_start(const struct due *due, const struct run_due *started, int64_t now_ms)
{
	static const char *const events[] = { [DUE_START] = "job-started",
		[DUE_RETRY] = "job-retried", [DUE_PROOF] = "job-proof-started" };

	log_event(LOG_LEVEL_INFO, due->skipped != NULL ? "job-skipped" : events[due->kind],
	    json_pack("{s:s, s:s, s:I, s:s*}", "job", due->job->config->name, "run", started->id,
	    "late_ms", (json_int_t)(now_ms - due->when_ms), "reason", due->skipped));
}

/*
 * A start while one is going is skipped; another attempt is up to that one's end.  A test restore
 * while one is going, or of a job that has nothing to restore yet, is none.
 */
static size_t
drop_needless(struct jobs *jobs, struct due *list, size_t count, const json_t *active,
    int64_t now_ms)
{
	json_t *proofs = runs_active_proofs(jobs->runs);
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct job *job = list[i].job;
		const char *name = job->config->name;

		pthread_mutex_lock(&jobs->lock);
		if (list[i].kind == DUE_RETRY && json_object_get(active, name) != NULL)
			job->row.retry_ms = 0;
		else if (list[i].kind == DUE_PROOF && (job->row.last_success_ms == 0 ||
		    json_object_get(proofs, name) != NULL))
			job->row.prove_next_ms = job_next_prove_ms(job, now_ms);
		else
			list[kept++] = list[i];
		pthread_mutex_unlock(&jobs->lock);
	}
	json_decref(proofs);
	return kept;
}

/* What its run is told. */
static json_t *
arguments_of(const struct due *due)
{
	const struct config_job *job = due->job->config;

	if (due->kind != DUE_PROOF)
		return json_pack("{s:s}", "job", job->name);
	return json_pack("{s:s, s:I, s:I, s:I}", "job", job->name, "files",
	    (json_int_t)job->prove_files, "tables", (json_int_t)job->prove_tables, "bytes",
	    (json_int_t)job->prove_bytes);
}

/* Start, or skip, the first of the list; caller holds change_lock.  ret: for runs_end_skipped(). */
static int
start_due(struct jobs *jobs, struct due *list, size_t count, const json_t *active,
    int64_t now_ms, struct run_due **ret, struct error *err)
{
	struct run_due *starts = mem_calloc(count, sizeof(*starts));
	int rc;

	for (size_t i = 0; i < count; i++) {
		decide(&list[i], json_string_value(json_object_get(active,
		    list[i].job->config->name)), now_ms);
		starts[i] = (struct run_due){
			.kind = list[i].kind == DUE_PROOF ? RUN_PROVE : RUN_BACKUP,
			.arguments = arguments_of(&list[i]),
			.command = list[i].kind == DUE_RETRY ? "retry" : "schedule",
			.skipped = list[i].skipped, .row = &list[i].row };
	}
	rc = runs_start_due(jobs->runs, starts, count, err);
	for (size_t i = 0; i < count; i++) {
		if (rc == 0) {
			log_start(&list[i], &starts[i], now_ms);
			job_set_row(jobs, list[i].job, &list[i].row);
		} else {
			job_row_done(&list[i].row);
		}
		json_decref(starts[i].arguments);
	}
	*ret = starts;
	return rc;
}

/* When something will be due; caller holds change_lock. */
static int64_t
next_look(const struct jobs *jobs, int64_t now_ms)
{
	int64_t next_ms = NEVER_MS;

	for (size_t i = 0; i < jobs->count; i++) {
		const struct job *job = &jobs->list[i];
		int64_t overdue_ms = job_overdue_at_ms(job);

		if (!job->row.held && job->row.next_ms != 0)
			next_ms = at_most(next_ms, job->row.next_ms);
		if (!job->row.held && job->row.retry_ms != 0)
			next_ms = at_most(next_ms, job->row.retry_ms);
		if (!job->row.held && job->row.prove_next_ms != 0)
			next_ms = at_most(next_ms, job->row.prove_next_ms);
		if (overdue_ms != 0 && !job->row.overdue)
			next_ms = at_most(next_ms, overdue_ms);
		if (job->unsaved)
			next_ms = at_most(next_ms, now_ms + AGAIN_MS);
	}
	return next_ms;
}

int64_t
jobs_step(struct jobs *jobs)
{
	json_t *active = runs_active_jobs(jobs->runs);
	size_t count = 0, room = runs_room(jobs->runs);
	struct error err = ERROR_INIT;
	struct run_due *starts = NULL;
	int64_t now_ms, next_ms;
	struct due *list;
	int rc;

	jobs_save_unsaved(jobs);
	pthread_mutex_lock(&jobs->change_lock);
	now_ms = jobs_now_ms(jobs);
	rc = change_rows(jobs, now_ms, &err);
	list = find_due(jobs, now_ms, &count);
	count = drop_needless(jobs, list, count, active, now_ms);
	/* What finds no room in the queue stays due. */
	if (rc == 0 && count > 0 && room > 0)
		rc = start_due(jobs, list, count < room ? count : room, active, now_ms, &starts,
		    &err);
	next_ms = next_look(jobs, now_ms);
	pthread_mutex_unlock(&jobs->change_lock);

	if (starts != NULL)
		runs_end_skipped(jobs->runs, starts, count < room ? count : room);
	if (rc != 0 && !jobs->trouble)
		log_error("jobs-not-started", &err, NULL);
	else if (rc == 0 && jobs->trouble)
		log_event(LOG_LEVEL_INFO, "jobs-start-again", NULL);
	set_trouble(jobs, rc != 0);
	jobs_tell_news(jobs);
	if (rc != 0)
		next_ms = now_ms + AGAIN_MS;
	else if (count > room)
		next_ms = now_ms + ROOM_AGAIN_MS;
	for (size_t i = 0; i < count; i++)
		free(list[i].skipped);
	free(starts);
	free(list);
	json_decref(active);
	return next_ms;
}

/* Until a moment of the day, or until the clock is set, or somebody wakes us. */
static void
sleep_until(struct jobs *jobs, int64_t until_ms)
{
	const struct itimerspec when = { .it_value = { .tv_sec = until_ms / 1000,
	    .tv_nsec = until_ms % 1000 * 1000000 } };
	struct pollfd fds[] = { { .fd = jobs->wake_fd, .events = POLLIN },
		{ .fd = jobs->timer_fd, .events = POLLIN } };
	uint64_t ignored;

	/* A moment that has passed fires at once. */
	timerfd_settime(jobs->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
	if (poll(fds, ARRAY_LEN(fds), -1) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i].revents != 0 && read(fds[i].fd, &ignored, sizeof(ignored)) < 0)
			continue;
}

static void *
scheduler_main(void *arg)
{
	struct jobs *jobs = arg;
	bool stopping = false;

	while (!stopping) {
		sleep_until(jobs, jobs_step(jobs));
		pthread_mutex_lock(&jobs->lock);
		stopping = jobs->stopping;
		pthread_mutex_unlock(&jobs->lock);
	}
	return NULL;
}

int
jobs_start_thread(struct jobs *jobs, struct error *err)
{
	int sys = pthread_create(&jobs->thread, NULL, scheduler_main, jobs);

	if (sys != 0)
		return error_sys(err, ERROR_IO, sys, "could not start the scheduler");
	pthread_mutex_lock(&jobs->lock);
	jobs->thread_runs = true;
	pthread_mutex_unlock(&jobs->lock);
	return 0;
}

void
jobs_stop_thread(struct jobs *jobs)
{
	bool runs;

	pthread_mutex_lock(&jobs->lock);
	runs = jobs->thread_runs;
	jobs->thread_runs = false;
	jobs->stopping = true;
	pthread_mutex_unlock(&jobs->lock);
	if (!runs)
		return;
	jobs_wake(jobs);
	pthread_join(jobs->thread, NULL);
}
