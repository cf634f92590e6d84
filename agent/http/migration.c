/*
 * POST /run-migration: bring the database's schema to its newest or another version; GET: which
 * migrations there are and which are applied.  In a thread of its own, as it waits for MariaDB.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/stream.h"
#include "agent/migrations.h"
#include "shared/mem.h"
#include "shared/progress.h"

struct migration_work {
	const struct config *config;
	struct migrate_task task;
	bool log, status;
	char *database; /* as the request named it, or NULL */
};

static bool
client_has_gone(void *stream)
{
	struct error ignored = ERROR_INIT;

	return progress_check(stream_progress(stream), &ignored) != 0;
}

static int
migration_produce(struct stream *stream, void *arg, struct error *err)
{
	struct migration_work *work = arg;
	struct agent_migrations set = { .migrations = NULL };
	json_t *result = NULL;
	char *text;
	int rc;

	work->task.give_up = client_has_gone;
	work->task.give_up_arg = stream;
	if (agent_migrations_load(work->config, work->log, work->database, &set, err) != 0)
		return -1;
	rc = work->status ? migrate_status(&set.settings, set.migrations, &result, err)
	    : migrate_run(&set.settings, set.migrations, &work->task, &result, err);
	migrations_free(set.migrations);
	if (rc != 0)
		return -1;
	text = json_dumps(result, JSON_COMPACT);
	json_decref(result);
	rc = stream_write(stream, text, strlen(text), err);
	free(text);
	/* It is done, whether its client is still there to hear it or not. */
	return rc != 0 && err->code == ERROR_CANCELLED && !work->status ? 0 : rc;
}

/* The set that ?set= names, or the database that ?database= does. */
static int
choose_set(const struct request *request, bool *ret_log, struct error *err)
{
	const char *set = params_get(&request->params, "set");
	const char *name = params_get(&request->params, "database");
	const struct config_database *database;

	*ret_log = set != NULL && strcmp(set, "log") == 0;
	if (*ret_log && name != NULL)
		return error_set(err, ERROR_BAD_REQUEST,
		    "'database' and the set 'log' exclude each other");
	return *ret_log ? 0 : config_database(request->services->config, name, &database, err);
}

static void
work_free(void *arg)
{
	struct migration_work *work = arg;

	free(work->database);
	free(work);
}

static void
answer(struct request *request, struct response *response, const struct migration_work *work)
{
	struct migration_work *own = mem_dup(work, sizeof(*work));

	const char *database = params_get(&request->params, "database");

	own->config = request->services->config;
	own->database = database == NULL ? NULL : mem_strdup(database);
	response_stream(response, 200, "application/json", RESPONSE_LENGTH_UNKNOWN,
	    migration_produce, own, work_free);
}

/* Any other version is reached once, however often it is asked for. */
static int
check_key(const struct request *request, const char *to, struct error *err)
{
	if (request->fields[REQUEST_IDEMPOTENCY_KEY] == NULL || to == NULL ||
	    strcmp(to, "down") != 0)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "to=down takes no Idempotency-Key: it undoes one more "
	    "migration each time");
	return error_hint(err, "name the version, as in ?to=3: asking again changes nothing");
}

int
http_migration_run(struct request *request, struct response *response, struct error *err)
{
	struct migration_work work = { .status = false };
	const char *to = params_get(&request->params, "to");
	const char *dry_run = params_get(&request->params, "dry_run");

	if (check_key(request, to, err) != 0 || choose_set(request, &work.log, err) != 0)
		return -1;
	/* ?to=down undoes the newest one, ?to=N goes to a version. */
	if (agent_migrations_task(to == NULL ? "up" : strcmp(to, "down") == 0 ? "down" : "to",
		to == NULL || strcmp(to, "down") == 0 ? NULL : to, &work.task, err) != 0) {
		err->code = ERROR_BAD_REQUEST;
		return error_hint(err, "write ?to=3, ?to=0 or ?to=down");
	}
	work.task.dry_run = dry_run != NULL && strcmp(dry_run, "true") == 0;
	answer(request, response, &work);
	return 0;
}

int
http_migration_list(struct request *request, struct response *response, struct error *err)
{
	struct migration_work work = { .status = true };

	if (choose_set(request, &work.log, err) != 0)
		return -1;
	answer(request, response, &work);
	return 0;
}
