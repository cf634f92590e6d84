/* Jobs of the configuration: jobs, run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "agent/commands/session.h"
#include "agent/jobs/jobs.h"
#include "agent/jobs/jobs_store.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec run_options[] = {
	LIMIT_OPTIONS,
	{ "json",            0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

/* "2026-11-22 02:30:00", or "-". */
static void
show_ms(int64_t ms, char out[TIME_TEXT_SIZE])
{
	const struct timespec when = { ms / 1000, 0 };

	if (ms <= 0) {
		snprintf(out, TIME_TEXT_SIZE, "-");
		return;
	}
	time_format(when, 0, out);
	out[10] = ' ';
	out[19] = '\0';
}

static void
print_job(const struct config_job *job, const struct job_row *row, int64_t overdue_ms)
{
	char next[TIME_TEXT_SIZE], success[TIME_TEXT_SIZE];
	struct buffer state = BUFFER_INIT;

	show_ms(row->held ? 0 : row->next_ms, next);
	show_ms(row->last_success_ms, success);
	if (row->held)
		buffer_put_text(&state, " held");
	if (row->skip_next)
		buffer_put_text(&state, " next-left-out");
	if (overdue_ms != 0)
		buffer_put_text(&state, " OVERDUE");
	if (row->jump != NULL)
		buffer_put_text(&state, " JUMP");
	printf("%-20s  %-16s  %-19s  %-9s  %s%s%s\n", job->name,
	    job->schedule == NULL ? "-" : job->schedule, next,
	    row->last_outcome[0] == '\0' ? "-" : row->last_outcome, success,
	    state.len == 0 ? "" : " ", state.len == 0 ? "" : buffer_text(&state));
	buffer_done(&state);
}

static json_t *
job_json(const struct config_job *job, const struct job_row *row, int64_t overdue_ms)
{
	json_t *json = job_row_json(job, row, overdue_ms), *paths = json_array();

	for (size_t i = 0; i < job->path_count; i++)
		json_array_append_new(paths, json_string(job->path[i]));
	json_object_set_new(json, "paths", paths);
	return json;
}

static int
compare_rows(const void *key, const void *row)
{
	return strcmp(key, ((const struct job_row *)row)->name);
}

/* What the agent knows of the job; of one that it has not seen yet, when it would start. */
static struct job_row
row_of(const struct config *config, const struct config_job *job, const struct job_row *rows,
    size_t count, int64_t now_ms)
{
	const struct job_row *known = count == 0 ? NULL
	    : bsearch(job->name, rows, count, sizeof(*rows), compare_rows);

	if (known != NULL)
		return *known;
	return (struct job_row){ .next_ms = jobs_next_start_ms(config, job, now_ms) };
}

int
jobs_main(struct session *session, struct error *err)
{
	const struct config *config = session->config;
	int64_t now_ms = (int64_t)time_now().tv_sec * 1000;
	struct job_row *rows = NULL;
	json_t *all = json_array();
	size_t count = 0;
	int rc = -1;

	if (jobs_store_peek(config->state, &rows, &count, err) != 0)
		goto out;
	if (!session->json && config->job_count > 0)
		printf("%-20s  %-16s  %-19s  %-9s  %s\n", "job", "schedule", "next (UTC)",
		    "last", "last success (UTC)");
	for (size_t i = 0; i < config->job_count; i++) {
		const struct config_job *job = config->jobs[i];
		struct job_row row = row_of(config, job, rows, count, now_ms);
		int64_t overdue_ms = job_row_overdue_at_ms(job, &row);

		if (overdue_ms > now_ms)
			overdue_ms = 0;
		if (session->json)
			json_array_append_new(all, job_json(job, &row, overdue_ms));
		else
			print_job(job, &row, overdue_ms);
	}
	if (!session->json && config->job_count == 0)
		printf("no jobs: write a section [job NAME] into the configuration\n");
	if (session->json && session_print_json(json_incref(all), err) != 0)
		goto out;
	rc = EXIT_OK;
out:
	for (size_t i = 0; i < count; i++)
		job_row_done(&rows[i]);
	free(rows);
	json_decref(all);
	return rc;
}

int
run_main(struct session *session, struct error *err)
{
	struct run_command command = { .kind = RUN_BACKUP, .print = run_print_snapshot,
		.arguments = json_pack("{s:s}", "job", session->line.arguments[0]) };
	int rc;

	if (command.arguments == NULL)
		return error_set(err, ERROR_USAGE, "the name of the job is not valid UTF-8");
	rc = run_command(session, &command, err);
	json_decref(command.arguments);
	return rc;
}
