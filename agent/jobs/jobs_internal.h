/*
 * What the files of the jobs share.
 *
 * A job's row changes under change_lock, which is held while the database is written, and in
 * memory under lock besides, which is held for moments: so readers wait for no disk, and a
 * change sees the row as the database has it.  change_lock is taken before lock; neither is held
 * while a callee is told.
 */
#ifndef HOLDFAST_AGENT_JOBS_JOBS_INTERNAL_H
#define HOLDFAST_AGENT_JOBS_JOBS_INTERNAL_H

#include <pthread.h>

#include "agent/jobs/jobs.h"
#include "agent/jobs/jobs_store.h"
#include "agent/jobs/schedule.h"

/* The time of day.  Tests have their own. */
struct jobs_clock {
	int64_t (*now_ms)(void *arg); /* unix milliseconds */
	void *arg;
};

struct job {
	const struct config_job *config;
	int64_t jitter_s;
	struct job_row row;
	bool unsaved; /* the database does not have the row yet: its disk was full */
};

/* Something to tell, in the order in which it happened. */
struct jobs_news {
	enum job_event event;
	struct job_state state;
	json_t *run;
	struct jobs_news *next;
};

struct jobs_listener {
	job_event_fn *fn;
	void *arg;
	struct jobs_listener *next;
};

struct jobs {
	const struct config *config;
	struct runs *runs;
	struct runs_store *store;
	struct jobs_clock clock;

	pthread_mutex_t change_lock;
	pthread_mutex_t lock;
	struct job *list;        /* as config->jobs */
	size_t count;
	json_t *numbers;         /* a job's name to its place in list */
	struct jobs_news *news, **news_last;
	struct jobs_listener *listeners;
	bool trouble;            /* the last start could not be written; it was told */

	int wake_fd;             /* eventfd: something changed, or the end */
	int timer_fd;            /* timerfd on the time of day */
	pthread_t thread;
	bool thread_runs, stopping;
};

int64_t jobs_now_ms(const struct jobs *jobs);
/* The first start by schedule after an instant; 0 if it has none. */
int64_t job_next_ms(const struct job *job, int64_t after_ms);
/* The same of its test restores. */
int64_t job_next_prove_ms(const struct job *job, int64_t after_ms);
/* Since when the job waits for a success, or 0 if that is of no interest. */
int64_t job_overdue_at_ms(const struct job *job);

/* jobs.c */
int jobs_open_with(const struct config *config, struct runs *runs, const struct jobs_clock *clock,
    struct jobs **ret, struct error *err);
/* The row in memory becomes this one, which is taken over.  Caller holds change_lock. */
void job_set_row(struct jobs *jobs, struct job *job, struct job_row *row);
struct job_row job_row_dup(const struct job_row *row);
/* NULL if there is none of this name. */
struct job *jobs_find(struct jobs *jobs, const char *name);
/* Put something into what is to be told; caller does not hold lock.  run may be NULL. */
void jobs_add_news(struct jobs *jobs, const struct job *job, enum job_event event,
    const json_t *run);
/* Tell the listeners what is to be told; caller holds neither lock, one thread at a time. */
void jobs_tell_news(struct jobs *jobs);
/* The scheduler has something to look at. */
void jobs_wake(struct jobs *jobs);

/* job_end.c */
/* A run of a job began or ended: a run_job_fn. */
void jobs_run_told(void *arg, bool ended, const char *name, const json_t *run);
/* Rows that the database refused. */
void jobs_save_unsaved(struct jobs *jobs);
/* The row of a job that is seen for the first time, and has run before. */
void job_take_past(const struct job *job, struct job_row *row, const json_t *run);
/* What ended before the jobs were opened. */
int jobs_take_untold(struct jobs *jobs, struct error *err);

/* scheduler.c */
/* Do what is due by now, and tell what happened; returns when to look again (by clock.now_ms). */
int64_t jobs_step(struct jobs *jobs);
int jobs_start_thread(struct jobs *jobs, struct error *err);
void jobs_stop_thread(struct jobs *jobs);

#endif
