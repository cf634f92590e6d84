/*
 * GET /v1/reports and /v1/reports/{name}; GET /hired_by_quarter/{year} and
 * /departments_above_mean/{year}.  A report runs in a thread of its own, in a transaction that
 * cannot write.
 */
#include "agent/reports.h"

#include <stdlib.h>
#include <string.h>

#include "agent/http/negotiate.h"
#include "agent/http/report_rows.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "shared/mem.h"

struct report_work {
	const struct config_server *server;
	struct report *report;
	enum report_format format;
	char *texts[REPORT_PARAMETERS_MAX]; /* the parameters' values */
};

static void
report_work_free(void *arg)
{
	struct report_work *work = arg;

	report_free(work->report);
	for (size_t i = 0; i < REPORT_PARAMETERS_MAX; i++)
		free(work->texts[i]);
	free(work);
}

static int
report_produce(struct stream *stream, void *arg, struct error *err)
{
	struct report_work *work = arg;
	const struct report *report = work->report;
	struct mariadb_settings settings = config_server_settings(work->server);
	struct mariadb_param values[REPORT_VALUES_MAX];
	struct mariadb_result *result = NULL;
	struct mariadb *db = NULL;
	int rc = -1;

	for (size_t i = 0; i < report->place_count; i++)
		if (report_value(&report->parameters[report->places[i]],
			work->texts[report->places[i]], &values[i], err) != 0)
			return -1;
	if (mariadb_open(&settings, &db, err) != 0)
		return -1;
	if (mariadb_do(db, "SET SESSION sql_mode = '', time_zone = '+00:00'", err) != 0 ||
	    mariadb_do(db, "START TRANSACTION READ ONLY", err) != 0)
		goto out;
	if (mariadb_select(db, report->sql, values, report->place_count, &result, err) != 0) {
		error_prefix(err, "report '%s': ", report->source);
		goto out;
	}
	rc = report_rows_write(result, work->format, stream, err);
out:
	/* A client that left early: what the server still has to say is not waited for. */
	if (rc != 0)
		mariadb_interrupt(db);
	mariadb_result_free(result);
	mariadb_close(db);
	return rc;
}

/* The values of the parameters, checked before anything is asked of the server. */
static int
take_values(struct report_work *work, const struct params *params, const char *year,
    struct error *err)
{
	const struct report *report = work->report;
	struct mariadb_param unused;

	for (size_t i = 0; i < report->parameter_count; i++) {
		const struct report_parameter *parameter = &report->parameters[i];
		const char *text = year != NULL && strcmp(parameter->name, "year") == 0 ? year :
		    params_get(params, parameter->name);

		if (text == NULL)
			return error_set(err, ERROR_BAD_REQUEST, "report '%s' needs '%s' (%s)",
			    report->name, parameter->name, report_type_word(parameter->type));
		if (report_value(parameter, text, &unused, err) != 0)
			return -1;
		work->texts[i] = mem_strdup(text);
	}
	return 0;
}

static int
check_names(const struct report *report, const struct params *params, bool year_in_path,
    struct error *err)
{
	const char *known[REPORT_PARAMETERS_MAX + 2] = { "database" };
	size_t count = 1;

	for (size_t i = 0; i < report->parameter_count; i++)
		if (!year_in_path || strcmp(report->parameters[i].name, "year") != 0)
			known[count++] = report->parameters[i].name;
	return params_check(params, known, err);
}

/* Whose reports: those that come with the program are there without a database, too. */
static int
choose_database(const struct request *request, const struct config_database **ret,
    struct error *err)
{
	const struct config *config = request->services->config;
	const char *name = params_get(&request->params, "database");

	*ret = &config->database;
	if (name == NULL && config->database_count == 0)
		return 0;
	return config_database(config, name, ret, err);
}

static int
answer(struct request *request, struct response *response, const char *name, const char *year,
    struct error *err)
{
	const struct config_database *database;
	struct report_work *work = MEM_NEW(struct report_work);
	size_t format;

	if (choose_database(request, &database, err) != 0 ||
	    report_find(database->reports, name, &work->report, err) != 0 ||
	    check_names(work->report, &request->params, year != NULL, err) != 0 ||
	    take_values(work, &request->params, year, err) != 0 ||
	    accept_choose(request->fields[REQUEST_ACCEPT], report_media_types, REPORT_FORMAT_COUNT,
	    &format, err) != 0)
		goto fail;
	/* Without a database, the request's own faults are told first. */
	if (config_database(request->services->config,
	    params_get(&request->params, "database"), &database, err) != 0)
		goto fail;
	work->server = &database->server;
	work->format = (enum report_format)format;
	response_stream(response, 200, report_media_types[format], RESPONSE_LENGTH_UNKNOWN,
	    report_produce, work, report_work_free);
	response_header(response, "Vary", "Accept");
	return 0;
fail:
	report_work_free(work);
	return -1;
}

int
http_report(struct request *request, struct response *response, struct error *err)
{
	return answer(request, response, request->id, NULL, err);
}

int
http_hired_by_quarter(struct request *request, struct response *response, struct error *err)
{
	request_set_parameter(request, request->id);
	return answer(request, response, "hired_by_quarter", request->id, err);
}

int
http_departments_above_mean(struct request *request, struct response *response,
    struct error *err)
{
	request_set_parameter(request, request->id);
	return answer(request, response, "departments_above_mean", request->id, err);
}

int
http_reports_list(struct request *request, struct response *response, struct error *err)
{
	static const char *const known[] = { "database", NULL };
	const struct config_database *database;
	json_t *reports;

	if (params_check(&request->params, known, err) != 0 ||
	    choose_database(request, &database, err) != 0 ||
	    report_list(database->reports, &reports, err) != 0)
		return -1;
	response_json(response, 200, json_pack("{s:o}", "reports", reports));
	return 0;
}
