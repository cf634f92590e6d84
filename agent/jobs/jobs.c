#include "agent/jobs/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/jobs/jobs_internal.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/text.h"

static int64_t
real_now_ms(void *arg)
{
	struct timespec now = time_now();

	(void)arg;
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
jobs_now_ms(const struct jobs *jobs)
{
	return jobs->clock.now_ms(jobs->clock.arg);
}

/* Seconds, rounded down also before 1970. */
static int64_t
floor_s(int64_t ms)
{
	return ms / 1000 - (ms % 1000 < 0);
}

/* Unix milliseconds; 0: there is none. */
static int64_t
next_ms(const struct schedule *timetable, int64_t jitter_s, int64_t after_ms)
{
	int64_t next;

	if (timetable == NULL)
		return 0;
	next = schedule_next(timetable, floor_s(after_ms) - jitter_s);
	return next == INT64_MAX ? 0 : (next + jitter_s) * 1000;
}

int64_t
job_next_ms(const struct job *job, int64_t after_ms)
{
	return next_ms(job->config->timetable, job->jitter_s, after_ms);
}

int64_t
job_next_prove_ms(const struct job *job, int64_t after_ms)
{
	return next_ms(job->config->prove_times, job->jitter_s, after_ms);
}

int64_t
jobs_next_start_ms(const struct config *config, const struct config_job *job, int64_t after_ms)
{
	return next_ms(job->timetable, schedule_jitter(job->name, config->name, job->jitter_s),
	    after_ms);
}

int64_t
job_row_overdue_at_ms(const struct config_job *config, const struct job_row *row)
{
	int64_t since = row->last_success_ms > row->known_ms ? row->last_success_ms : row->known_ms;

	return config->expect_s == 0 || since == 0 ? 0 : since + config->expect_s * 1000;
}

int64_t
job_overdue_at_ms(const struct job *job)
{
	return job_row_overdue_at_ms(job->config, &job->row);
}

static char *
dup_or_null(const char *text)
{
	return text == NULL ? NULL : mem_strdup(text);
}

struct job_row
job_row_dup(const struct job_row *row)
{
	struct job_row copy = *row;

	copy.schedule = dup_or_null(row->schedule);
	copy.held_reason = dup_or_null(row->held_reason);
	copy.held_by = dup_or_null(row->held_by);
	copy.skip_by = dup_or_null(row->skip_by);
	copy.jump = dup_or_null(row->jump);
	copy.prove_schedule = dup_or_null(row->prove_schedule);
	return copy;
}

void
job_set_row(struct jobs *jobs, struct job *job, struct job_row *row)
{
	struct job_row old;

	pthread_mutex_lock(&jobs->lock);
	old = job->row;
	job->row = *row;
	pthread_mutex_unlock(&jobs->lock);
	job_row_done(&old);
}

struct job *
jobs_find(struct jobs *jobs, const char *name)
{
	const json_t *number = json_object_get(jobs->numbers, name);

	return number == NULL ? NULL : &jobs->list[json_integer_value(number)];
}

/* Caller holds lock. */
static struct job_state
state_of(const struct job *job, bool running, int64_t now_ms)
{
	const struct job_row *row = &job->row;
	int64_t overdue_ms = job_overdue_at_ms(job);
	bool overdue = overdue_ms != 0 && now_ms >= overdue_ms;
	struct job_state state = {
		.name = mem_strdup(job->config->name),
		.scheduled = job->config->timetable != NULL,
		.held = row->held,
		.overdue = overdue,
		.running = running,
		.jump = row->jump != NULL,
		.next_ms = row->held ? 0 : row->next_ms,
		.last_started_ms = row->last_started_ms,
		.last_finished_ms = row->last_finished_ms,
		.last_success_ms = row->last_success_ms,
		.overdue_since_ms = overdue ? overdue_ms : 0,
		.last_duration_ms = (uint64_t)row->last_duration_ms,
		.last_files = (uint64_t)row->last_files,
		.last_bytes = (uint64_t)row->last_bytes,
		.last_added_bytes = (uint64_t)row->last_added_bytes,
		.last_proof_ms = row->proof_ms,
	};

	memcpy(state.last_outcome, row->last_outcome, sizeof(state.last_outcome));
	memcpy(state.last_proof_outcome, row->proof_outcome, sizeof(state.last_proof_outcome));
	return state;
}

void
jobs_states(struct jobs *jobs, struct job_state **ret, size_t *ret_count)
{
	json_t *active = runs_active_jobs(jobs->runs);
	struct job_state *states = mem_calloc(jobs->count, sizeof(*states));
	int64_t now_ms = jobs_now_ms(jobs);

	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; i < jobs->count; i++)
		states[i] = state_of(&jobs->list[i], json_object_get(active,
		    jobs->list[i].config->name) != NULL, now_ms);
	*ret_count = jobs->count;
	pthread_mutex_unlock(&jobs->lock);
	json_decref(active);
	*ret = states;
}

void
jobs_states_free(struct job_state *states, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(states[i].name);
	free(states);
}

static void
free_news(struct jobs_news *news)
{
	free(news->state.name);
	json_decref(news->run);
	free(news);
}

void
jobs_add_news(struct jobs *jobs, const struct job *job, enum job_event event, const json_t *run)
{
	struct jobs_news *news = MEM_NEW(struct jobs_news);
	json_t *active = runs_active_jobs(jobs->runs);
	int64_t now_ms = jobs_now_ms(jobs);

	news->event = event;
	/* A copy, as another thread frees it than the one that has the run. */
	news->run = json_deep_copy(run);
	pthread_mutex_lock(&jobs->lock);
	news->state = state_of(job, json_object_get(active, job->config->name) != NULL, now_ms);
	*jobs->news_last = news;
	jobs->news_last = &news->next;
	pthread_mutex_unlock(&jobs->lock);
	json_decref(active);
}

void
jobs_tell_news(struct jobs *jobs)
{
	struct jobs_news *news, *next;

	pthread_mutex_lock(&jobs->lock);
	news = jobs->news;
	jobs->news = NULL;
	jobs->news_last = &jobs->news;
	pthread_mutex_unlock(&jobs->lock);
	for (; news != NULL; news = next) {
		next = news->next;
		for (struct jobs_listener *l = jobs->listeners; l != NULL; l = l->next)
			l->fn(l->arg, news->event, &news->state, news->run);
		free_news(news);
	}
}

void
jobs_on_event(struct jobs *jobs, job_event_fn *fn, void *arg)
{
	struct jobs_listener *listener = MEM_NEW(struct jobs_listener), **p = &jobs->listeners;

	*listener = (struct jobs_listener){ .fn = fn, .arg = arg };
	while (*p != NULL)
		p = &(*p)->next;
	*p = listener;
}

void
jobs_wake(struct jobs *jobs)
{
	const uint64_t one = 1;

	/* It can only fail when a wake is pending already. */
	if (write(jobs->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* What the next start depends on: by another rule it is planned anew.  text NULL: none. */
static char *
rule_text(const struct job *job, const char *text)
{
	return text == NULL ? NULL : mem_printf("%s|%s|%lld", text,
	    job->config->timezone == NULL ? "" : job->config->timezone,
	    (long long)job->jitter_s);
}

/* Whether the rule is another one than was known; then it takes its place. */
static bool
take_rule(const struct job *job, const char *text, char **known)
{
	char *rule = rule_text(job, text);
	bool same = rule == NULL || *known == NULL ? rule == *known : strcmp(rule, *known) == 0;

	if (same) {
		free(rule);
		return false;
	}
	free(*known);
	*known = rule;
	return true;
}

static int
compare_rows(const void *key, const void *row)
{
	return strcmp(key, ((const struct job_row *)row)->name);
}

/* A job that the database does not know; of its runs it may, or the repository did. */
static void
first_row(struct jobs *jobs, struct job *job, int64_t now_ms)
{
	struct error err = ERROR_INIT;
	json_t *run = NULL;
	int rc;

	snprintf(job->row.name, sizeof(job->row.name), "%s", job->config->name);
	job->row.known_ms = now_ms;
	rc = jobs_store_last_good(jobs->store, job->config->name, &run, &err);
	if (rc == 1)
		job_take_past(job, &job->row, run);
	else if (rc < 0)
		log_error("job-not-read", &err, json_pack("{s:s}", "job", job->config->name));
	json_decref(run);
}

/* The job as the database has it, brought to what the configuration says.  True: it changed. */
static bool
prepare_job(struct jobs *jobs, struct job *job, const struct job_row *known, int64_t now_ms)
{
	bool changed = known == NULL;

	if (known != NULL)
		job->row = job_row_dup(known);
	else
		first_row(jobs, job, now_ms);
	if (take_rule(job, job->config->schedule, &job->row.schedule)) {
		job->row.next_ms = job_next_ms(job, now_ms);
		job->row.armed_ms = now_ms;
		job->row.skip_next = false;
		changed = true;
	}
	if (take_rule(job, job->config->prove, &job->row.prove_schedule)) {
		job->row.prove_next_ms = job_next_prove_ms(job, now_ms);
		job->row.armed_ms = now_ms;
		changed = true;
	}
	if (job->row.retries >= job->config->retry && job->row.retry_ms != 0) {
		job->row.retry_ms = 0;
		changed = true;
	}
	return changed;
}

/* All jobs of the configuration, each with its row; new rows are written at once. */
static int
load(struct jobs *jobs, struct error *err)
{
	int64_t now_ms = jobs_now_ms(jobs);
	struct job_row *rows = NULL;
	struct job_start *changed;
	size_t row_count = 0, change_count = 0;
	int rc = 0;

	if (jobs_store_load(jobs->store, &rows, &row_count, err) != 0)
		return -1;
	jobs->count = jobs->config->job_count;
	jobs->list = mem_calloc(jobs->count, sizeof(*jobs->list));
	jobs->numbers = json_object();
	changed = mem_calloc(jobs->count, sizeof(*changed));
	for (size_t i = 0; i < jobs->count; i++) {
		struct job *job = &jobs->list[i];

		job->config = jobs->config->jobs[i];
		json_object_set_new(jobs->numbers, job->config->name,
		    json_integer((json_int_t)i));
		job->jitter_s = schedule_jitter(
		    job->config->name, jobs->config->name, job->config->jitter_s);
		if (prepare_job(jobs, job, row_count == 0 ? NULL : bsearch(job->config->name, rows,
		    row_count, sizeof(*rows), compare_rows), now_ms))
			changed[change_count++] = (struct job_start){ .row = &job->row };
	}
	if (change_count > 0)
		rc = jobs_store_start(jobs->store, changed, change_count, err);
	free(changed);
	for (size_t i = 0; i < row_count; i++)
		job_row_done(&rows[i]);
	free(rows);
	return rc;
}

int
jobs_open_with(const struct config *config, struct runs *runs, const struct jobs_clock *clock,
    struct jobs **ret, struct error *err)
{
	struct jobs *jobs = MEM_NEW(struct jobs);

	jobs->config = config;
	jobs->runs = runs;
	jobs->store = runs_store_of(runs);
	jobs->clock = *clock;
	jobs->news_last = &jobs->news;
	pthread_mutex_init(&jobs->change_lock, NULL);
	pthread_mutex_init(&jobs->lock, NULL);
	jobs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	jobs->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (jobs->wake_fd < 0 || jobs->timer_fd < 0) {
		error_set(err, ERROR_IO, "could not make the timer of the scheduler");
		goto fail;
	}
	if (load(jobs, err) != 0)
		goto fail;
	runs_on_job(runs, jobs_run_told, jobs);
	if (jobs_take_untold(jobs, err) != 0)
		goto fail;
	*ret = jobs;
	return 0;
fail:
	jobs_close(jobs);
	return -1;
}

int
jobs_open(const struct config *config, struct runs *runs, struct jobs **ret, struct error *err)
{
	const struct jobs_clock clock = { .now_ms = real_now_ms };

	return jobs_open_with(config, runs, &clock, ret, err);
}

int
jobs_start(struct jobs *jobs, struct error *err)
{
	return jobs_start_thread(jobs, err);
}

void
jobs_stop(struct jobs *jobs)
{
	if (jobs != NULL)
		jobs_stop_thread(jobs);
}

void
jobs_close(struct jobs *jobs)
{
	if (jobs == NULL)
		return;
	jobs_stop_thread(jobs);
	jobs_tell_news(jobs);
	for (struct jobs_listener *l = jobs->listeners, *next; l != NULL; l = next) {
		next = l->next;
		free(l);
	}
	for (size_t i = 0; i < jobs->count; i++)
		job_row_done(&jobs->list[i].row);
	free(jobs->list);
	json_decref(jobs->numbers);
	if (jobs->wake_fd >= 0)
		close(jobs->wake_fd);
	if (jobs->timer_fd >= 0)
		close(jobs->timer_fd);
	pthread_mutex_destroy(&jobs->lock);
	pthread_mutex_destroy(&jobs->change_lock);
	free(jobs);
}

bool
jobs_healthy(struct jobs *jobs, struct error *err)
{
	bool works;

	pthread_mutex_lock(&jobs->lock);
	works = jobs->thread_runs && !jobs->trouble;
	pthread_mutex_unlock(&jobs->lock);
	if (!works) {
		error_set(err, ERROR_UNAVAILABLE, "the scheduler starts no jobs");
		error_hint(err, "see the log of the agent");
	}
	return works;
}
