/*
 * The hooks of sections [job NAME]: what can be told of them before one runs.
 */
#include "agent/jobs/argv.h"
#include "agent/settings_internal.h"
#include "shared/mem.h"

static int
check_job(const struct config_job *job, struct error *err)
{
	const struct {
		const char *key, *text;
	} hooks[] = {
		{ "before", job->before },
		{ "after", job->after },
		{ "on_failure", job->on_failure },
	};

	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		char **argv = NULL;

		if (hooks[i].text == NULL)
			continue;
		if (argv_parse(hooks[i].text, &argv, err) != 0) {
			err->code = ERROR_CONFIG;
			return error_prefix(err, "%s: '%s' of job '%s': ",
			    job->sources[setting_find("job", hooks[i].key) - job_settings],
			    hooks[i].key, job->name);
		}
		argv_free(argv);
	}
	return 0;
}

int
config_check_hooks(const struct config *config, struct error *err)
{
	for (size_t i = 0; i < config->job_count; i++)
		if (check_job(config->jobs[i], err) != 0)
			return -1;
	return 0;
}
