/*
 * /v1/jobs: configured work, with what became of it last.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/repository/snapshot.h"
#include "shared/mem.h"
#include "shared/text.h"

static const char *const no_parameters[] = { NULL };

static json_t *
texts_json(char *const *texts, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(texts[i]));
	return array;
}

/* The rules that hold for its snapshots, and whose they are. */
static json_t *
keep_json(const struct config *config, const struct config_job *job)
{
	bool own = config_job_has_keep(job);
	const struct config_keep *keep = own ? &job->keep : &config->keep;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "last",
	    (json_int_t)keep->last, "hourly", (json_int_t)keep->hourly, "daily",
	    (json_int_t)keep->daily, "weekly", (json_int_t)keep->weekly, "monthly",
	    (json_int_t)keep->monthly, "yearly", (json_int_t)keep->yearly, "within_s",
	    (json_int_t)keep->within_s, "rule", own ? "job" : "default");
}

/* The newest snapshot of the job on this host; by sequence, as clocks go wrong. */
static json_t *
last_snapshot(const struct config *config, const struct config_job *job,
    struct snapshot *const *list, size_t count)
{
	for (size_t i = count; i-- > 0;) {
		char time[TIME_TEXT_SIZE];

		if (list[i]->job == NULL || strcmp(list[i]->job, job->name) != 0 ||
		    strcmp(list[i]->host, config->name) != 0)
			continue;
		time_format(list[i]->time, 0, time);
		return json_pack("{s:s, s:s, s:s, s:I, s:I}", "id", list[i]->id, "time", time,
		    "outcome", list[i]->warn ? "warn" : "ok", "files", (json_int_t)list[i]->files,
		    "bytes", (json_int_t)list[i]->bytes);
	}
	return json_null();
}

static int
job_json(const struct http_services *services, const struct config_job *job,
    struct snapshot *const *list, size_t count, json_t **ret, struct error *err)
{
	json_t *run = NULL;

	if (runs_last_of_job(services->runs, job->name, &run, err) < 0)
		return -1;
	*ret = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "name", job->name, "paths",
	    texts_json(job->path, job->path_count), "exclude",
	    texts_json(job->exclude, job->exclude_count), "keep",
	    keep_json(services->config, job), "last_run", run != NULL ? run : json_null(),
	    "last_snapshot", last_snapshot(services->config, job, list, count));
	return 0;
}

static void
free_snapshots(struct snapshot **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
}

int
http_jobs_list(struct request *request, struct response *response, struct error *err)
{
	const struct http_services *services = request->services;
	const struct config *config = services->config;
	struct snapshot **list = NULL;
	json_t *all, *job;
	size_t count = 0;
	int rc = 0;

	if (params_check(&request->params, no_parameters, err) != 0 ||
	    snapshot_list(services->repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	all = json_array();
	for (size_t i = 0; i < config->job_count && rc == 0; i++) {
		rc = job_json(services, config->jobs[i], list, count, &job, err);
		if (rc == 0)
			json_array_append_new(all, job);
	}
	free_snapshots(list, count);
	if (rc == 0)
		response_json(response, 200, json_pack("{s:O}", "jobs", all));
	json_decref(all);
	return rc;
}

int
http_job_get(struct request *request, struct response *response, struct error *err)
{
	const struct http_services *services = request->services;
	const struct config_job *job = config_job_find(services->config, request->id);
	struct snapshot **list = NULL;
	json_t *json = NULL;
	size_t count = 0;
	int rc;

	if (params_check(&request->params, no_parameters, err) != 0)
		return -1;
	if (job == NULL) {
		error_set(err, ERROR_NOT_FOUND, "there is no job '%.100s'", request->id);
		return error_hint(err, "GET /v1/jobs lists them");
	}
	if (snapshot_list(services->repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	rc = job_json(services, job, list, count, &json, err);
	free_snapshots(list, count);
	if (rc == 0)
		response_json(response, 200, json);
	return rc;
}
