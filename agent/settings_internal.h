/*
 * The rows of agent/settings.h as data, and one value set into a struct config.
 * For agent/config*.c alone.
 */
#ifndef HOLDFAST_AGENT_SETTINGS_INTERNAL_H
#define HOLDFAST_AGENT_SETTINGS_INTERNAL_H

#include <stddef.h>

#include "agent/config.h"
#include "agent/settings.h"

enum setting_type {
	SETTING_TEXT,
	SETTING_LIST,
	SETTING_BOOL,
	SETTING_INTEGER,
	SETTING_SIZE,
	SETTING_DURATION,
	SETTING_SECRET
};

struct setting {
	const char *section, *key;
	enum setting_type type;
	size_t offset;       /* of the value in struct config, or a struct of a named section */
	size_t count_offset; /* of a list's count */
	const char *fallback;
	int64_t min, max;
	const char *environment;
	const char *sentence;
};

/* Those of struct config, followed by those of a job, then by those of a notice, which have as many
 * sources. */
extern const struct setting settings_table[];
extern const size_t settings_count;
extern const struct setting *const job_settings;
extern const size_t job_settings_count;
extern const struct setting *const notice_settings;
extern const size_t notice_settings_count;
extern const size_t settings_all_count;

const char *setting_type_word(enum setting_type type);

/* The row, or NULL. */
const struct setting *setting_find(const char *section, const char *key);
/* The key (or section) most like the given one, or NULL if none is near. */
const char *setting_nearest_key(const char *section, const char *key);
const char *setting_nearest_section(const char *section);

/*
 * Set a value of a struct config, config_job or config_database from its text; source is recorded
 * in ret_source, for `config show`.  A list is added to if the same source set it before (append),
 * else replaced.  ERROR_CONFIG says what was expected, with the source in front.
 */
int setting_set(void *base, char **ret_source, const struct setting *setting, const char *text,
    const char *source, bool append, struct error *err);
/* A setting's value as JSON. */
json_t *setting_to_json(const void *base, const struct setting *setting);
void setting_done(void *base, const struct setting *setting);

/* [log], [database] and [exchange]: what a row alone cannot tell, and what their files are like. */
int config_check_servers(const struct config *config, struct error *err);
int config_verify_servers(const struct config *config, struct error *err);

/* agent/config_database.c */
/* The section [database NAME] begins; where: "FILE:LINE".  ERROR_CONFIG. */
int config_database_begin(struct config *config, const char *name, const char *where,
    struct config_database **ret, struct error *err);
/* A setting of [database] as one of a struct config_database. */
struct setting config_database_setting(const struct setting *setting);
void config_databases_free(struct config *config);
/* "database NAME": {...} for each. */
void config_databases_to_json(const struct config *config, json_t *all);

/* Read a file, then conf.d/ *.conf beside it. */
int config_read_files(struct config *config, const char *file, struct error *err);

/* agent/config_jobs.c */
/* The section [job NAME] begins; where: "FILE:LINE".  ERROR_CONFIG. */
int config_job_begin(struct config *config, const char *name, const char *where,
    struct config_job **ret, struct error *err);
void config_jobs_free(struct config *config);
int config_check_jobs(const struct config *config, struct error *err);
/* agent/config_notices.c, as those of jobs. */
int config_notice_begin(struct config *config, const char *name, const char *where,
    struct config_notice **ret, struct error *err);
void config_notices_free(struct config *config);
int config_check_notices(const struct config *config, struct error *err);
/* What their files are like. */
int config_verify_notices(const struct config *config, struct error *err);
void config_notices_to_json(const struct config *config, json_t *all);

/* agent/config_hooks.c: how the hooks of jobs are written.  ERROR_CONFIG. */
int config_check_hooks(const struct config *config, struct error *err);
/* "job NAME": {...} for each. */
void config_jobs_to_json(const struct config *config, json_t *all);

#endif
