#include "agent/jobs/runs_backup.h"

#include <stdlib.h>
#include <string.h>

#include "agent/files/backup.h"
#include "agent/files/exclude.h"
#include "agent/jobs/runs_tables.h"
#include "agent/repository/snapshot.h"
#include "shared/buffer.h"
#include "shared/mem.h"

/* clang-format off */
const struct argument_spec backup_arguments[] = {
	{ .name = "job",             .type = ARGUMENT_TEXT },
	{ .name = "path",            .type = ARGUMENT_TEXT },
	{ .name = "paths",           .type = ARGUMENT_TEXTS },
	{ .name = "exclude",         .type = ARGUMENT_TEXTS },
	{ .name = "exclude_caches",  .type = ARGUMENT_BOOL },
	{ .name = "one_file_system", .type = ARGUMENT_BOOL },
	{ .name = "max_size",        .type = ARGUMENT_SIZE, .max = INT64_MAX },
	{ .name = "dry_run",         .type = ARGUMENT_BOOL },
	{ .name = "force",           .type = ARGUMENT_BOOL },
	{ .name = "tags",            .type = ARGUMENT_TEXTS },
	{ .name = "level",           .type = ARGUMENT_INTEGER, .min = 1, .max = 19 },
	{ .name = "threads",         .type = ARGUMENT_INTEGER, .min = 0, .max = 256 },
	{ .name = "verify",          .type = ARGUMENT_BOOL },
	{ .name = "limits",          .type = ARGUMENT_OBJECT, .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

/* The job that is named, or NULL. */
static const struct config_job *
backup_job(const struct run_context *context, const json_t *arguments)
{
	const char *name = argument_text(arguments, "job");

	return name == NULL ? NULL : config_job_find(context->config, name);
}

/* Those of the job, or "path" and "paths" together, lent; caller frees the array. */
static const char **
backup_paths(const struct run_context *context, const json_t *arguments, size_t *ret_count)
{
	const struct config_job *job = backup_job(context, arguments);
	const char **paths;

	if (job == NULL)
		return argument_texts_and(arguments, "paths", "path", ret_count);
	paths = mem_calloc(job->path_count, sizeof(*paths));
	for (size_t i = 0; i < job->path_count; i++)
		paths[i] = job->path[i];
	*ret_count = job->path_count;
	return paths;
}

static void
free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

/* A job that a run names must be there, still when its turn comes, and brings its own paths. */
static int
check_job(const struct run_context *context, const json_t *arguments, struct error *err)
{
	const char *name = argument_text(arguments, "job");

	if (name == NULL)
		return 0;
	if (json_object_get(arguments, "path") != NULL ||
	    json_array_size(json_object_get(arguments, "paths")) > 0) {
		error_set(err, ERROR_BAD_REQUEST, "a job brings its own paths");
		return error_hint(err, "give 'job', or 'path' and 'paths'");
	}
	if (config_job_find(context->config, name) != NULL)
		return 0;
	error_set(err, ERROR_NOT_FOUND, "there is no job '%.100s'", name);
	return error_hint(err, "write a section [job %.40s], or see those that are there: "
	    "GET /v1/jobs", name);
}

/* Resolve every path; caller frees each and the array. */
static int
resolve_paths(const struct run_context *context, const json_t *arguments, char ***ret,
    size_t *ret_count, struct error *err)
{
	size_t count = 0, done = 0;
	const char **paths;
	char **resolved;
	int rc = 0;

	paths = backup_paths(context, arguments, &count);
	resolved = mem_calloc(count, sizeof(*resolved));
	if (count == 0)
		rc = policy_source(context->config, context->rights, NULL, NULL, err);
	for (; rc == 0 && done < count; done++)
		rc = policy_source(
		    context->config, context->rights, paths[done], &resolved[done], err);
	if (rc == 0) {
		*ret = resolved;
		*ret_count = count;
	} else {
		free_texts(resolved, done);
	}
	free(paths);
	return rc;
}

/* The configured patterns, the job's, then the run's own; lent, caller frees the array. */
static const char **
all_excludes(const struct run_context *context, const json_t *arguments, size_t *ret_count)
{
	const struct config_job *job = backup_job(context, arguments);
	size_t own_count = 0, job_count = job == NULL ? 0 : job->exclude_count, n = 0;
	const char **own = argument_texts(arguments, "exclude", &own_count);
	const char **all = mem_calloc(
	    context->config->exclude_count + job_count + own_count, sizeof(*all));

	for (size_t i = 0; i < context->config->exclude_count; i++)
		all[n++] = context->config->exclude[i];
	for (size_t i = 0; i < job_count; i++)
		all[n++] = job->exclude[i];
	for (size_t i = 0; i < own_count; i++)
		all[n++] = own[i];
	free(own);
	*ret_count = n;
	return all;
}

/* Of tables alone nothing can be counted without reading all of them. */
static int
check_tables_alone(const json_t *arguments, struct error *err)
{
	if (!argument_bool(arguments, "dry_run", false))
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "a job of tables has no dry run");
	return error_hint(err, "GET /v1/tables shows what is there");
}

int
backup_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	struct exclude *exclude = NULL;
	const struct config_job *job;
	const char **patterns;
	char **paths = NULL;
	size_t count = 0;
	int rc;

	if (check_job(context, arguments, err) != 0)
		return -1;
	job = backup_job(context, arguments);
	if (job != NULL && job->path_count == 0)
		return check_tables_alone(arguments, err);
	if (resolve_paths(context, arguments, &paths, &count, err) != 0)
		return -1;
	free_texts(paths, count);
	patterns = all_excludes(context, arguments, &count);
	rc = exclude_new(patterns, count, &exclude, err);
	if (rc != 0)
		err->code = ERROR_BAD_REQUEST;
	exclude_free(exclude);
	free(patterns);
	return rc;
}

/* A dry run: what was counted. */
static void
dry_figures(struct progress *progress, struct run_result *result)
{
	result->files = atomic_load(&progress->files);
	result->bytes = atomic_load(&progress->bytes);
	result->json = json_pack("{s:I, s:I, s:b}", "files", (json_int_t)result->files, "bytes",
	    (json_int_t)result->bytes, "dry_run", 1);
}

int
backup_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config *config = context->config;
	struct backup_options options = {
		.exclude_caches = argument_bool(
		    arguments, "exclude_caches", config->exclude_caches),
		.one_file_system = argument_bool(
		    arguments, "one_file_system", config->one_file_system),
		.max_size = argument_size(arguments, "max_size", config->max_file_size),
		.dry_run = argument_bool(arguments, "dry_run", false),
		.force = argument_bool(arguments, "force", false),
		.threads = (unsigned)argument_integer(
		    arguments, "threads", (int64_t)config->threads),
		.level = (int)argument_integer(arguments, "level", config->compression),
		.no_verify = !argument_bool(arguments, "verify", config->verify),
		.job = argument_text(arguments, "job"),
		.run = context->run,
		.host = config->name,
		.read_limit = &context->pace->limits[RATE_READ],
		.file_limit = &context->pace->limits[RATE_FILES],
	};
	const char **excludes = NULL, **tags = NULL;
	const struct config_job *job;
	struct job_tables *tables = NULL;
	struct snapshot *snapshot = NULL;
	char **paths = NULL;
	size_t count = 0;
	int rc = -1;

	if (check_job(context, arguments, err) != 0)
		return -1;
	job = backup_job(context, arguments);
	if (job != NULL && job->path_count == 0)
		return job_tables_execute(context, job, arguments, progress, result, err);
	if (resolve_paths(context, arguments, &paths, &count, err) != 0)
		return -1;
	if (job != NULL && job->tables_count > 0 && !options.dry_run) {
		if (job_tables_open(context, job, arguments, progress, &tables, err) != 0)
			goto out;
		options.beside = job_tables_beside(tables);
	}
	options.paths = (const char *const *)paths;
	options.path_count = count;
	options.excludes = excludes = all_excludes(context, arguments, &options.exclude_count);
	options.tags = tags = argument_texts(arguments, "tags", &options.tag_count);
	if (files_backup(context->repo, &options, progress, &snapshot, err) != 0)
		goto out;
	if (snapshot != NULL)
		run_result_of_snapshot(snapshot, result);
	else
		dry_figures(progress, result);
	if (tables != NULL)
		job_tables_result(tables, result->json);
	rc = 0;
out:
	job_tables_close(tables);
	snapshot_free(snapshot);
	free(tags);
	free(excludes);
	free_texts(paths, count);
	return rc;
}

char *
backup_parameter(const json_t *arguments)
{
	struct buffer text = BUFFER_INIT;
	const char *one = argument_text(arguments, "path");
	const char *job = argument_text(arguments, "job");
	const json_t *item;
	size_t i;

	if (job != NULL)
		buffer_printf(&text, "job %s", job);
	json_array_foreach(json_object_get(arguments, "paths"), i,
	    item) if (json_is_string(item) && text.len < 4096)
	    buffer_printf(&text, "%s%s", text.len == 0 ? "" : " ", json_string_value(item));
	if (one != NULL)
		buffer_printf(&text, "%s%s", text.len == 0 ? "" : " ", one);
	return buffer_take(&text);
}
