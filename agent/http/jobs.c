/*
 * /v1/jobs: configured work, when it starts and what became of it, and what people say to that.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/repository/snapshot.h"
#include "shared/mem.h"
#include "shared/text.h"

#define REASON_MAX 500

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

/* {JOB: its newest snapshot of this host}; by sequence, as clocks go wrong. */
static json_t *
last_snapshots(const struct config *config, struct snapshot *const *list, size_t count)
{
	json_t *all = json_object();

	for (size_t i = count; i-- > 0;) {
		char time[TIME_TEXT_SIZE];

		if (list[i]->job == NULL || strcmp(list[i]->host, config->name) != 0 ||
		    json_object_get(all, list[i]->job) != NULL)
			continue;
		time_format(list[i]->time, 0, time);
		json_object_set_new(all, list[i]->job, json_pack("{s:s, s:s, s:s, s:I, s:I}", "id",
		    list[i]->id, "time", time, "outcome", list[i]->warn ? "warn" : "ok", "files",
		    (json_int_t)list[i]->files, "bytes", (json_int_t)list[i]->bytes));
	}
	return all;
}

static int
snapshots_by_job(const struct http_services *services, json_t **ret, struct error *err)
{
	struct snapshot **list = NULL;
	size_t count = 0;

	if (snapshot_list(services->repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	*ret = last_snapshots(services->config, list, count);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return 0;
}

/* trend: of so many runs; 0: none.  snapshots: {JOB: the newest one}. */
static int
job_json(const struct http_services *services, const struct config_job *job, uint64_t trend,
    const json_t *snapshots, json_t **ret, struct error *err)
{
	json_t *snapshot = json_object_get(snapshots, job->name);
	json_t *run = NULL, *runs = NULL, *json;

	if (runs_last_of_job(services->runs, job->name, &run, err) < 0)
		return -1;
	if (trend > 0 && jobs_trend(services->jobs, job->name, (unsigned)trend, &runs, err) != 0) {
		json_decref(run);
		return -1;
	}
	json = jobs_json(services->jobs, job->name);
	json_object_set_new(json, "paths", texts_json(job->path, job->path_count));
	json_object_set_new(json, "tables", texts_json(job->tables, job->tables_count));
	json_object_set_new(json, "database", job->database == NULL ? json_null()
	    : json_string(job->database));
	json_object_set_new(json, "exclude", texts_json(job->exclude, job->exclude_count));
	json_object_set_new(json, "keep", keep_json(services->config, job));
	json_object_set_new(json, "last_run", run != NULL ? run : json_null());
	json_object_set_new(json, "last_snapshot", snapshot != NULL ? json_incref(snapshot)
	    : json_null());
	if (runs != NULL)
		json_object_set_new(json, "trend", runs);
	*ret = json;
	return 0;
}

/* The first job behind the cursor, the name of the last one seen. */
static int
page_begin(const struct config *config, const char *cursor, size_t *ret, struct error *err)
{
	*ret = 0;
	if (cursor == NULL)
		return 0;
	while (*ret < config->job_count && strcmp(config->jobs[*ret]->name, cursor) != 0)
		++*ret;
	if (++*ret <= config->job_count)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "the cursor '%.100s' is no job (any more)", cursor);
	return error_hint(err, "begin again without a cursor");
}

int
http_jobs_list(struct request *request, struct response *response, struct error *err)
{
	const struct http_services *services = request->services;
	const struct openapi *openapi = server_openapi(request->http);
	const struct config *config = services->config;
	uint64_t trend = openapi_number(openapi, request, "trend");
	uint64_t limit = openapi_limit(openapi, request);
	json_t *all, *job, *snapshots = NULL, *next = json_null();
	size_t i;
	int rc = 0;

	if (page_begin(config, params_get(&request->params, "cursor"), &i, err) != 0 ||
	    snapshots_by_job(services, &snapshots, err) != 0)
		return -1;
	all = json_array();
	for (; i < config->job_count && rc == 0 && json_is_null(next); i++) {
		rc = job_json(services, config->jobs[i], trend, snapshots, &job, err);
		if (rc != 0)
			break;
		json_array_append_new(all, job);
		if (i + 1 < config->job_count && json_array_size(all) == limit)
			next = json_string(config->jobs[i]->name);
	}
	if (rc == 0)
		response_json(response, 200, json_pack("{s:O, s:O}", "jobs", all, "next", next));
	json_decref(snapshots);
	json_decref(next);
	json_decref(all);
	return rc;
}

/* The job that the path names; NULL with ERROR_NOT_FOUND. */
static const struct config_job *
find_job(const struct request *request, struct error *err)
{
	const struct config_job *job = config_job_find(request->services->config, request->id);

	if (job == NULL) {
		error_set(err, ERROR_NOT_FOUND, "there is no job '%.100s'", request->id);
		error_hint(err, "GET /v1/jobs lists them");
	}
	return job;
}

static int
answer_job(struct request *request, struct response *response, uint64_t trend,
    struct error *err)
{
	const struct http_services *services = request->services;
	const struct config_job *job = find_job(request, err);
	json_t *json = NULL, *snapshots = NULL;
	int rc;

	if (job == NULL || snapshots_by_job(services, &snapshots, err) != 0)
		return -1;
	rc = job_json(services, job, trend, snapshots, &json, err);
	json_decref(snapshots);
	if (rc == 0)
		response_json(response, 200, json);
	return rc;
}

int
http_job_get(struct request *request, struct response *response, struct error *err)
{
	return answer_job(request, response,
	    openapi_number(server_openapi(request->http), request, "trend"), err);
}

/* The body of a hold: nothing, or {"reason": TEXT}.  Heap, or NULL if there is none. */
static int
take_reason(const struct request *request, char **ret, struct error *err)
{
	json_t *json = NULL, *reason, *value;
	const char *key;
	int rc = 0;

	*ret = NULL;
	if (request->body.len == 0)
		return 0;
	if (request_json(request, &json, err) != 0)
		return -1;
	json_object_foreach(json, key, value)
		if (strcmp(key, "reason") != 0)
			rc = error_set(err, ERROR_BAD_REQUEST, "there is no field '%.64s'", key);
	reason = json_object_get(json, "reason");
	if (rc == 0 && reason != NULL && (!json_is_string(reason) ||
	    json_string_length(reason) > REASON_MAX))
		rc = error_set(err, ERROR_BAD_REQUEST, "'reason' takes a text of at most %d bytes",
		    REASON_MAX);
	if (rc != 0)
		error_hint(err, "the body of a hold is empty, or as {\"reason\": \"new disks\"}");
	else if (reason != NULL)
		*ret = text_printable(json_string_value(reason), json_string_length(reason));
	json_decref(json);
	return rc;
}

int
http_job_hold(struct request *request, struct response *response, struct error *err)
{
	char *reason = NULL, *parameter;
	int rc;

	request_set_parameter(request, request->id);
	if (take_reason(request, &reason, err) != 0)
		return -1;
	if (reason != NULL) {
		parameter = mem_printf("%s: %s", request->id, reason);
		request_set_parameter(request, parameter);
		free(parameter);
	}
	rc = jobs_hold(request->services->jobs, request->id, reason, request->origin, err);
	free(reason);
	return rc == 0 ? answer_job(request, response, 0, err) : -1;
}

int
http_job_release(struct request *request, struct response *response, struct error *err)
{
	request_set_parameter(request, request->id);
	if (jobs_release(request->services->jobs, request->id, err) != 0)
		return -1;
	return answer_job(request, response, 0, err);
}

int
http_job_skip(struct request *request, struct response *response, struct error *err)
{
	request_set_parameter(request, request->id);
	if (jobs_skip_next(request->services->jobs, request->id, request->origin, err) != 0)
		return -1;
	return answer_job(request, response, 0, err);
}

int
http_job_acknowledge(struct request *request, struct response *response, struct error *err)
{
	request_set_parameter(request, request->id);
	if (jobs_acknowledge(request->services->jobs, request->id, err) != 0)
		return -1;
	return answer_job(request, response, 0, err);
}
