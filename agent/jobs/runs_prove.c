#include "agent/jobs/runs_prove.h"

#include <stdlib.h>
#include <string.h>

#include "agent/files/prove.h"
#include "agent/jobs/proof_room.h"
#include "agent/repository/snapshot.h"
#include "agent/tables/backup.h"
#include "agent/tables/prove.h"
#include "shared/mem.h"
#include "shared/text.h"

/* clang-format off */
const struct argument_spec prove_arguments[] = {
	{ .name = "job",             .type = ARGUMENT_TEXT },
	{ .name = "snapshot",        .type = ARGUMENT_TEXT },
	{ .name = "files",           .type = ARGUMENT_INTEGER, .min = 0, .max = PROVE_FILES_MAX },
	{ .name = "tables",          .type = ARGUMENT_INTEGER, .min = 0, .max = PROVE_TABLES_MAX },
	{ .name = "bytes",           .type = ARGUMENT_SIZE,    .min = 1, .max = INT64_MAX },
	{ .name = "limits",          .type = ARGUMENT_OBJECT,  .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

/* ---- which snapshot */

/* The newest of the job on this host. */
static int
newest_of_job(const struct run_context *context, const char *job, struct snapshot **ret,
    struct error *err)
{
	struct snapshot **list, *found = NULL;
	size_t count;

	if (config_job_find(context->config, job) == NULL) {
		error_set(err, ERROR_NOT_FOUND, "there is no job '%.100s'", job);
		return error_hint(err, "GET /v1/jobs lists them");
	}
	if (snapshot_list(context->repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	for (size_t i = count; i-- > 0;) {
		if (found == NULL && list[i]->job != NULL && strcmp(list[i]->job, job) == 0 &&
		    strcmp(list[i]->host, context->config->name) == 0)
			found = list[i];
		else
			snapshot_free(list[i]);
	}
	free(list);
	if (found == NULL) {
		error_set(err, ERROR_NOT_FOUND, "job '%.100s' has no snapshot to be restored", job);
		return error_hint(err, "run the job first");
	}
	*ret = found;
	return 0;
}

static int
find_snapshot(const struct run_context *context, const json_t *arguments,
    struct snapshot **ret, struct error *err)
{
	const char *job = argument_text(arguments, "job");
	const char *name = argument_text(arguments, "snapshot");

	if (name != NULL)
		return snapshot_find(context->repo, name, ret, err);
	if (job != NULL)
		return newest_of_job(context, job, ret, err);
	return snapshot_find(context->repo, "latest", ret, err);
}

int
prove_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	struct snapshot *snapshot;

	if (argument_text(arguments, "job") != NULL && argument_text(arguments, "snapshot") != NULL)
		return error_set(err, ERROR_BAD_REQUEST, "'job' and 'snapshot' exclude each other");
	if (find_snapshot(context, arguments, &snapshot, err) != 0)
		return -1;
	/* Of a job it is the newest of when the run's turn comes. */
	if (argument_text(arguments, "job") == NULL)
		json_object_set_new(arguments, "snapshot", json_string(snapshot->id));
	snapshot_free(snapshot);
	return 0;
}

/* ---- the parts */

/* Whether the snapshot names the folder of this database. */
static bool
is_of_database(const struct snapshot *snapshot, const struct config_database *database)
{
	size_t len = strlen(database->folder);

	for (size_t i = 0; i < snapshot->source_count; i++) {
		const char *source = snapshot->sources[i];

		if (source[0] == '/' && strncmp(source + 1, database->folder, len) == 0 &&
		    (source[1 + len] == '\0' || source[1 + len] == '/'))
			return true;
	}
	return false;
}

static int
find_database(const struct run_context *context, const struct snapshot *snapshot,
    const struct config_database **ret, struct error *err)
{
	const struct config_database **all;
	size_t count;

	all = config_databases(context->config, &count);
	*ret = NULL;
	for (size_t i = 0; i < count && *ret == NULL; i++)
		if (is_of_database(snapshot, all[i]))
			*ret = all[i];
	free(all);
	if (*ret != NULL)
		return 0;
	error_set(err, ERROR_UNAVAILABLE,
	    "the tables of snapshot %.8s are of a database that is not configured", snapshot->id);
	return error_hint(err, "they are restored there for a test: write its section [database]");
}

static int
prove_files(const struct run_context *context, const json_t *arguments,
    const struct snapshot *snapshot, const char *without, const char *folder,
    struct progress *progress, json_t **ret, struct error *err)
{
	struct files_prove_options options = {
		.folder = folder,
		.without = without,
		.files = (uint64_t)argument_integer(arguments, "files", PROVE_FILES_DEFAULT),
		.bytes = argument_size(arguments, "bytes", PROVE_BYTES_DEFAULT),
		.threads = (unsigned)context->config->threads,
	};

	return files_prove(context->repo, snapshot, &options, progress, ret, err);
}

static int
prove_tables(const struct run_context *context, const json_t *arguments,
    const struct snapshot *snapshot, const struct config_database *database,
    struct proof_room *room, struct progress *progress, json_t **ret, struct error *err)
{
	struct mariadb_settings server = config_server_settings(&database->server);
	struct tables_prove_options options = {
		.server = &server,
		.folder = database->folder,
		.connections = (unsigned)database->connections,
		.tables = (uint64_t)argument_integer(arguments, "tables", PROVE_TABLES_DEFAULT),
		.bytes = argument_size(arguments, "bytes", PROVE_BYTES_DEFAULT),
	};

	if (proof_room_database(room, database, &options.database, err) != 0)
		return -1;
	return tables_prove(context->repo, snapshot, &options, progress, ret, err);
}

/* ---- all of it */

static uint64_t
figure(const json_t *part, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(part, name));
}

/* A proof of nothing is none, unless there is nothing. */
static int
check_amount(const struct snapshot *snapshot, const json_t *files, const json_t *tables,
    struct progress *progress, struct error *err)
{
	if (figure(files, "count") + figure(tables, "count") > 0)
		return 0;
	if (figure(files, "of") + figure(tables, "of") == 0) {
		progress_note(progress, "", 0, "the snapshot holds no files and no tables");
		return 0;
	}
	error_set(err, ERROR_TOO_LARGE, "nothing of snapshot %.8s was restored: all of it is larger "
	    "than the test may be, or it may take no files and no tables", snapshot->id);
	return error_hint(err, "raise prove_bytes, prove_files or prove_tables");
}

static void
take_result(const struct snapshot *snapshot, json_t *files, json_t *tables,
    struct run_result *result)
{
	char time[TIME_TEXT_SIZE];

	time_format(snapshot->time, 3, time);
	result->files = figure(files, "count") + figure(tables, "count");
	result->bytes = figure(files, "bytes") + figure(tables, "bytes");
	result->json = json_pack("{s:s, s:s, s:s?, s:o?, s:o?, s:{s:s, s:s}}", "snapshot",
	    snapshot->id, "time", time, "job", snapshot->job, "files", files, "tables", tables,
	    "compared", "files", "every byte, size, mode and time of change", "tables",
	    "number of rows and checksum over all of them");
}

int
prove_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config_database *database = NULL;
	struct proof_room *room = NULL;
	struct snapshot *snapshot = NULL;
	json_t *files = NULL, *tables = NULL;
	char *without = NULL;
	bool dropped = true;
	int rc = -1;

	progress_phase(progress, "prove");
	/* What is in memory proves nothing of what is stored. */
	repository_trim(context->repo);
	if (find_snapshot(context, arguments, &snapshot, err) != 0)
		return -1;
	memcpy(result->snapshot, snapshot->id, sizeof(result->snapshot));
	if ((tables_snapshot_has(snapshot) &&
	    find_database(context, snapshot, &database, err) != 0) ||
	    proof_room_open(context->config, progress, &room, err) != 0)
		goto out;
	without = database == NULL ? NULL : mem_printf("/%s", database->folder);
	rc = prove_files(context, arguments, snapshot, without, proof_room_folder(room), progress,
	    &files, err);
	if (rc == 0 && database != NULL) {
		rc = prove_tables(context, arguments, snapshot, database, room, progress, &tables,
		    err);
		dropped = rc == 0;
	}
	if (rc == 0)
		rc = check_amount(snapshot, files, tables, progress, err);
	take_result(snapshot, files, tables, result);
out:
	proof_room_close(room, dropped, progress);
	free(without);
	snapshot_free(snapshot);
	return rc;
}

char *
prove_parameter(const json_t *arguments)
{
	const char *job = argument_text(arguments, "job");
	const char *snapshot = argument_text(arguments, "snapshot");

	if (job != NULL)
		return mem_printf("job %s", job);
	return mem_strdup(snapshot == NULL ? "latest" : snapshot);
}
