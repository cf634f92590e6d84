/*
 * Sections [job NAME]: configured work.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/schedule.h"
#include "agent/settings_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

bool
config_is_name(const char *name)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789._-";
	size_t len = strspn(name, chars);

	/* A dot or a dash first would be a hidden file or an option somewhere. */
	return len > 0 && name[len] == '\0' && len <= CONFIG_NAME_MAX && *name != '.' &&
	    *name != '-';
}

const struct config_job *
config_job_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->job_count; i++)
		if (strcmp(config->jobs[i]->name, name) == 0)
			return config->jobs[i];
	return NULL;
}

int
config_job_begin(struct config *config, const char *name, const char *where,
    struct config_job **ret, struct error *err)
{
	const json_t *there = json_object_get(config->job_numbers, name);
	struct config_job *job;

	if (*name == '\0') {
		error_set(err, ERROR_CONFIG, "%s: a job needs a name", where);
		return error_hint(err, "write [job home]");
	}
	if (!config_is_name(name)) {
		error_set(err, ERROR_CONFIG, "%s: '%.60s' is no name of a job", where, name);
		return error_hint(err, "it has 1 to %d letters, digits, '.', '_' and '-'",
		    CONFIG_NAME_MAX);
	}
	if (there != NULL) {
		error_set(err, ERROR_CONFIG, "%s: there is a job '%s' already, at %s", where, name,
		    config->jobs[json_integer_value(there)]->where);
		return error_hint(err, "give one of them another name, or put both into one section");
	}
	job = MEM_NEW(struct config_job);
	job->name = mem_strdup(name);
	job->where = mem_strdup(where);
	job->sources = mem_calloc(job_settings_count, sizeof(*job->sources));
	MEM_GROW(config->jobs, config->job_count, config->job_cap);
	if (config->job_numbers == NULL)
		config->job_numbers = json_object();
	json_object_set_new(config->job_numbers, job->name,
	    json_integer((json_int_t)config->job_count));
	config->jobs[config->job_count++] = job;
	for (size_t i = 0; i < job_settings_count; i++) {
		job->sources[i] = mem_strdup("default");
		if (*job_settings[i].fallback != '\0' && setting_set(job, &job->sources[i],
		    &job_settings[i], job_settings[i].fallback, "default", false, err) != 0)
			return -1;
	}
	*ret = job;
	return 0;
}

void
config_jobs_free(struct config *config)
{
	for (size_t i = 0; i < config->job_count; i++) {
		struct config_job *job = config->jobs[i];

		for (size_t s = 0; s < job_settings_count; s++) {
			setting_done(job, &job_settings[s]);
			free(job->sources[s]);
		}
		schedule_free(job->timetable);
		schedule_free(job->prove_times);
		free(job->sources);
		free(job->where);
		free(job->name);
		free(job);
	}
	json_decref(config->job_numbers);
	free(config->jobs);
}

bool
config_job_has_keep(const struct config_job *job)
{
	for (size_t i = 0; i < job_settings_count; i++)
		if (strncmp(job_settings[i].key, "keep_", 5) == 0 &&
		    strcmp(job->sources[i], "default") != 0)
			return true;
	return false;
}

bool
config_path_is_within(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	while (len > 0 && folder[len - 1] == '/')
		len--;
	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

bool
config_path_is_listed(const char *resolved, char *const *folders, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* A folder may itself be named by a link. */
		char *real = realpath(folders[i], NULL);
		bool within = config_path_is_within(resolved, real == NULL ? folders[i] : real);

		free(real);
		if (within)
			return true;
	}
	return false;
}

static bool
has_dots(const char *path)
{
	for (const char *p = path; (p = strstr(p, "/..")) != NULL; p += 3)
		if (p[3] == '/' || p[3] == '\0')
			return true;
	return false;
}

static const char *
source_of(const struct config_job *job, const char *key)
{
	return job->sources[setting_find("job", key) - job_settings];
}

static int
check_path(const struct config *config, const struct config_job *job, const char *path,
    struct error *err)
{
	const char *source = source_of(job, "path");
	char *real;
	bool listed;

	if (path[0] != '/' || has_dots(path))
		return error_set(err, ERROR_CONFIG,
		    "%s: 'path' of job '%s' takes absolute folders without '..', not '%s'", source,
		    job->name, path);
	if (config->allow_count == 0)
		return 0;
	/* What is not there yet goes by its name; it is asked again before each run. */
	real = realpath(path, NULL);
	listed = config_path_is_listed(
	    real != NULL ? real : path, config->allow, config->allow_count);
	free(real);
	if (listed)
		return 0;
	error_set(err, ERROR_CONFIG, "%s: '%s' of job '%s' is outside the allowed folders", source,
	    path, job->name);
	return error_hint(err, "the setting 'allow' in section [agent] lists them");
}

/* A setting that is a schedule; text NULL: it is not there. */
static int
check_times(const struct config_job *job, const char *key, const char *text,
    struct zones *zones, struct schedule **ret, struct error *err)
{
	struct zone *zone = NULL;

	if (text == NULL || (zones_get(zones, job->timezone, &zone, err) == 0 &&
	    schedule_parse_in(text, zone, ret, err) == 0))
		return 0;
	err->code = ERROR_CONFIG;
	return error_prefix(err, "%s: job '%s': ", source_of(job, key), job->name);
}

static int
check_schedule(struct config_job *job, struct zones *zones, struct error *err)
{
	static const char *const needy[] = { "timezone", "jitter" };

	/* Without a schedule they would say nothing, and somebody meant something by them. */
	for (size_t i = 0; i < ARRAY_LEN(needy); i++) {
		if (job->schedule != NULL || job->prove != NULL ||
		    strcmp(source_of(job, needy[i]), "default") == 0)
			continue;
		error_set(err, ERROR_CONFIG, "%s: job '%s' has a '%s' and no schedule",
		    source_of(job, needy[i]), job->name, needy[i]);
		return error_hint(err, "write when it starts, as in schedule = 30 2 * * *");
	}
	if (check_times(job, "schedule", job->schedule, zones, &job->timetable, err) != 0)
		return -1;
	return check_times(job, "prove", job->prove, zones, &job->prove_times, err);
}

static bool
wants_all_tables(const struct config_job *job)
{
	return job->tables_count == 1 && strcmp(job->tables[0], "*") == 0;
}

static int
check_tables(const struct config *config, const struct config_job *job, struct error *err)
{
	const char *source = source_of(job, "tables");
	const struct config_database *database;

	if (job->tables_count == 0 && job->database == NULL)
		return 0;
	if (job->tables_count == 0) {
		error_set(err, ERROR_CONFIG, "%s: job '%s' names a database and no tables",
		    source_of(job, "database"), job->name);
		return error_hint(err, "write tables = * for all of them");
	}
	if (config_database(config, job->database, &database, err) != 0) {
		err->code = ERROR_CONFIG;
		return error_prefix(err, "%s: job '%s': ", job->database == NULL ? source :
		    source_of(job, "database"), job->name);
	}
	for (size_t i = 0; i < job->tables_count && !wants_all_tables(job); i++) {
		if (strcmp(job->tables[i], "*") == 0)
			return error_set(err, ERROR_CONFIG, "%s: job '%s': '*' and names of tables "
			    "exclude each other", source, job->name);
		if (mariadb_check_name("table", job->tables[i], strlen(job->tables[i]), err) != 0) {
			err->code = ERROR_CONFIG;
			return error_prefix(err, "%s: job '%s': ", source, job->name);
		}
	}
	return 0;
}

const char *const *
config_job_tables(const struct config_job *job, size_t *ret_count)
{
	*ret_count = wants_all_tables(job) ? 0 : job->tables_count;
	return (const char *const *)job->tables;
}

static int
check_job(const struct config *config, struct config_job *job, struct zones *zones,
    struct error *err)
{
	if (job->path_count == 0 && job->tables_count == 0 && job->database == NULL) {
		error_set(err, ERROR_CONFIG, "%s: job '%s' has no path and no tables", job->where,
		    job->name);
		return error_hint(err, "write what it backs up, as in path = /home, /etc");
	}
	for (size_t p = 0; p < job->path_count; p++)
		if (check_path(config, job, job->path[p], err) != 0)
			return -1;
	return check_tables(config, job, err) != 0 ? -1 : check_schedule(job, zones, err);
}

int
config_check_jobs(const struct config *config, struct error *err)
{
	struct zones *zones = zones_new();
	int rc = 0;

	for (size_t i = 0; i < config->job_count && rc == 0; i++)
		rc = check_job(config, config->jobs[i], zones, err);
	zones_free(zones);
	return rc;
}

/* The longest time between two of the next starts: of some weeks, and no more than this many. */
#define GAP_STARTS 2000
#define GAP_SPAN_S (35 * 86400)

static int64_t
longest_gap_s(const struct schedule *timetable, int64_t from)
{
	int64_t at = schedule_next(timetable, from), longest = 0;

	for (unsigned i = 0; i < GAP_STARTS && (at - from < GAP_SPAN_S || i < 2); i++) {
		int64_t next = schedule_next(timetable, at);

		if (next == INT64_MAX)
			break;
		if (next - at > longest)
			longest = next - at;
		at = next;
	}
	return longest;
}

json_t *
config_job_warnings(const struct config *config)
{
	json_t *warnings = json_array();

	for (size_t i = 0; i < config->job_count; i++) {
		const struct config_job *job = config->jobs[i];
		int64_t gap_s;
		char *text;

		if (job->timetable == NULL || job->expect_s == 0)
			continue;
		gap_s = longest_gap_s(job->timetable, time_now().tv_sec);
		if (job->expect_s > gap_s)
			continue;
		text = mem_printf("%s: job '%s' will be overdue between its starts: up to %lld "
		    "seconds lie between two of them", source_of(job, "expect"), job->name,
		    (long long)gap_s);
		json_array_append_new(warnings, json_string(text));
		free(text);
	}
	return warnings;
}

void
config_jobs_to_json(const struct config *config, json_t *all)
{
	for (size_t i = 0; i < config->job_count; i++) {
		const struct config_job *job = config->jobs[i];
		char *name = mem_printf("job %s", job->name);
		json_t *section = json_object();

		for (size_t s = 0; s < job_settings_count; s++)
			json_object_set_new(section, job_settings[s].key, json_pack("{s:o, s:s}",
			    "value", setting_to_json(job, &job_settings[s]), "source",
			    job->sources[s]));
		json_object_set_new(all, name, section);
		free(name);
	}
}
