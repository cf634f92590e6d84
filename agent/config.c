#include "agent/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/repository/parity.h"
#include "agent/settings_internal.h"
#include "agent/tables/backup.h"
#include "shared/mem.h"
#include "shared/secret_file.h"
#include "shared/text.h"

#define STATE_FOLDER_SERVICE "/var/lib/holdfast"

static int
set_defaults(struct config *config, struct error *err)
{
	for (size_t i = 0; i < settings_count; i++) {
		config->sources[i] = mem_strdup("default");
		if (settings_table[i].fallback[0] == '\0')
			continue;
		if (setting_set(config, &config->sources[i], &settings_table[i],
		    settings_table[i].fallback, "default", false, err) != 0)
			return -1;
	}
	return 0;
}

/* HOLDFAST_SECTION_KEY; out takes 128 bytes. */
static void
environment_name(const struct setting *setting, char out[128])
{
	snprintf(out, 128, "HOLDFAST_%s_%s", setting->section, setting->key);
	for (char *p = out; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
}

static int
set_from_variable(struct config *config, const struct setting *setting, const char *name,
    bool *ret_found, struct error *err)
{
	const char *value = getenv(name);
	char *source;
	int rc;

	*ret_found = value != NULL && *value != '\0';
	if (!*ret_found)
		return 0;
	source = mem_printf("environment %s", name);
	rc = setting_set(config, &config->sources[setting - settings_table], setting, value,
	    source, false, err);
	free(source);
	return rc;
}

static int
set_from_environment(struct config *config, struct error *err)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *setting = &settings_table[i];
		char own[128], *names = mem_strdup(setting->environment), *rest = NULL;
		bool found = false;
		int rc;

		environment_name(setting, own);
		rc = set_from_variable(config, setting, own, &found, err);
		for (char *name = strtok_r(names, " ", &rest); rc == 0 && !found && name != NULL;
		    name = strtok_r(NULL, " ", &rest))
			rc = set_from_variable(config, setting, name, &found, err);
		free(names);
		if (rc != 0)
			return -1;
	}
	return 0;
}

/* A slip in a variable's name would leave its setting silently at the default. */
static int
refuse_unknown_variables(struct error *err)
{
	static const char *const prefixes[] = { "HOLDFAST_AGENT_", "HOLDFAST_REPOSITORY_",
		"HOLDFAST_KEEP_", "HOLDFAST_LIMITS_", "HOLDFAST_LOG_", "HOLDFAST_DATABASE_",
		"HOLDFAST_EXCHANGE_" };

	for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
		size_t len = strcspn(*variable, "=");
		bool ours = false, known = false;

		for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
			ours |= strncmp(*variable, prefixes[i], strlen(prefixes[i])) == 0;
		for (size_t i = 0; ours && !known && i < settings_count; i++) {
			char own[128];

			environment_name(&settings_table[i], own);
			known = strlen(own) == len && strncmp(*variable, own, len) == 0;
		}
		if (ours && !known) {
			error_set(err, ERROR_CONFIG, "unknown environment variable '%.*s'",
			    (int)len, *variable);
			return error_hint(err, "`holdfastd config show` lists all settings");
		}
	}
	return 0;
}

static int
set_from_flags(struct config *config, const struct config_flags *flags, struct error *err)
{
	const struct {
		const char *value, *section, *key, *source;
	} given[] = {
		{ flags->listen, "agent", "listen", "flag --listen" },
		{ flags->state, "agent", "state", "flag --state" },
		{ flags->repository, "repository", "url", "flag --repository" },
		{ flags->passphrase_file, "repository", "passphrase_file",
		    "flag --passphrase-file" },
	};

	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		const struct setting *setting = setting_find(given[i].section, given[i].key);

		if (given[i].value != NULL && setting_set(config,
		    &config->sources[setting - settings_table], setting, given[i].value,
		    given[i].source, false, err) != 0)
			return -1;
	}
	return 0;
}

/* The values that depend on where we run. */
static void
set_places(struct config *config)
{
	const char *service = getenv("STATE_DIRECTORY");
	struct stat st;

	config->database.folder = mem_strdup(TABLES_FOLDER);
	if (config->name == NULL) {
		char host[256] = "localhost";

		gethostname(host, sizeof(host) - 1);
		config->name = mem_strdup(host);
	}
	if (config->state != NULL)
		return;
	/* systemd names its StateDirectory= so; several are separated by colons. */
	if (service != NULL && *service == '/')
		config->state = mem_printf("%.*s", (int)strcspn(service, ":"), service);
	else if (geteuid() == 0 && stat(STATE_FOLDER_SERVICE, &st) == 0 && S_ISDIR(st.st_mode))
		config->state = mem_strdup(STATE_FOLDER_SERVICE);
	else
		config->state = mem_strdup("./state");
}

static const char *
source_of(const struct config *config, const char *section, const char *key)
{
	return config->sources[setting_find(section, key) - settings_table];
}

/* Without a leading slash a policy would depend on where the agent was started. */
static int
check_absolute(const struct config *config, const char *key, char **list, size_t count,
    struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (list[i][0] != '/')
			return error_set(err, ERROR_CONFIG,
			    "%s: '%s' takes absolute folders, not '%s'",
			    source_of(config, "agent", key), key, list[i]);
	return 0;
}

static int
check_listen(const struct config *config, const char *listen, struct error *err)
{
	const char *source = source_of(config, "agent", "listen"), *port;
	char *end;
	long number;

	if (strncmp(listen, "unix:", 5) == 0) {
		/* sun_path holds 108 bytes with its NUL */
		if (listen[5] != '\0' && strlen(listen + 5) < 108)
			return 0;
		return error_set(
		    err, ERROR_CONFIG, "%s: '%s' needs a path of 1 to 107 bytes", source, listen);
	}
	port = strrchr(listen, ':');
	if (port != NULL && port != listen && (listen[0] != '[' || port[-1] == ']') &&
	    (listen[0] == '[' || strchr(listen, ':') == port)) {
		number = strtol(port + 1, &end, 10);
		if (port[1] >= '0' && port[1] <= '9' && *end == '\0' && number <= 65535)
			return 0;
	}
	error_set(err, ERROR_CONFIG, "%s: '%s' is no address to listen on", source, listen);
	return error_hint(err, "write 127.0.0.1:7420, [::1]:7420 or unix:/run/holdfast.sock");
}

static int
check_io(const struct config *config, struct error *err)
{
	if (text_is_word_of(config->io, CONFIG_IO_WORDS))
		return 0;
	error_set(err, ERROR_CONFIG, "%s: 'io' cannot be '%s'", source_of(config, "limits", "io"),
	    config->io);
	return error_hint(err, "it takes one of " CONFIG_IO_WORDS);
}

/* Refused where it cannot be done: a repository without the parity that was asked for is a surprise
 * on the worst of days. */
static int
check_parity(const struct config *config, struct error *err)
{
	struct parity_rule rule;

	if (parity_rule_parse(config->parity, &rule, err) == 0 &&
	    (!parity_rule_is_on(&rule) || parity_is_available(err) == 0))
		return 0;
	err->code = ERROR_CONFIG;
	return error_prefix(err, "%s: ", source_of(config, "repository", "parity"));
}

static int
check_together(const struct config *config, struct error *err)
{
	if (check_absolute(config, "allow", config->allow, config->allow_count, err) != 0 ||
	    check_absolute(config, "restore", config->restore, config->restore_count, err) != 0)
		return -1;
	if (config->listen_count == 0)
		return error_set(err, ERROR_CONFIG, "%s: 'listen' must not be empty",
		    source_of(config, "agent", "listen"));
	for (size_t i = 0; i < config->listen_count; i++)
		if (check_listen(config, config->listen[i], err) != 0)
			return -1;
	if ((config->tls_cert == NULL) != (config->tls_key == NULL))
		return error_set(err, ERROR_CONFIG, "%s: 'tls_cert' and 'tls_key' need each other",
		    source_of(config, "agent", config->tls_cert != NULL ? "tls_cert" : "tls_key"));
	if (check_parity(config, err) != 0 || check_io(config, err) != 0 ||
	    config_check_servers(config, err) != 0 || config_check_jobs(config, err) != 0)
		return -1;
	if (config_check_hooks(config, err) != 0)
		return -1;
	return config_check_notices(config, err);
}

int
config_load(const struct config_flags *flags, struct config **ret, struct error *err)
{
	struct config *config = MEM_NEW(struct config);
	int rc = -1;

	config->sources = mem_calloc(settings_count, sizeof(*config->sources));
	if (set_defaults(config, err) != 0 ||
	    config_read_files(config, flags->file, err) != 0 ||
	    refuse_unknown_variables(err) != 0 ||
	    set_from_environment(config, err) != 0 ||
	    set_from_flags(config, flags, err) != 0)
		goto out;
	set_places(config);
	if (check_together(config, err) != 0)
		goto out;
	*ret = config;
	config = NULL;
	rc = 0;
out:
	config_free(config);
	return rc;
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < settings_count; i++) {
		setting_done(config, &settings_table[i]);
		free(config->sources[i]);
	}
	free(config->sources);
	config_jobs_free(config);
	config_notices_free(config);
	config_databases_free(config);
	free(config);
}

bool
config_listen_is_local(const char *listen)
{
	return strncmp(listen, "unix:", 5) == 0 || strncmp(listen, "127.", 4) == 0 ||
	    strncmp(listen, "[::1]:", 6) == 0 || strncmp(listen, "localhost:", 10) == 0;
}

int
config_check_secret_file(const char *path, const char *what, struct error *err)
{
	return secret_file_check(path, what, err);
}

static int
verify_folders(const struct config *config, const char *key, char **list, size_t count,
    struct error *err)
{
	struct stat st;

	for (size_t i = 0; i < count; i++) {
		if (stat(list[i], &st) != 0) {
			error_sys(err, ERROR_IO, errno, "%s: '%s' names '%s'",
			    source_of(config, "agent", key), key, list[i]);
		} else if (!S_ISDIR(st.st_mode)) {
			error_set(err, ERROR_CONFIG, "%s: '%s' names '%s', which is not a folder",
			    source_of(config, "agent", key), key, list[i]);
		} else {
			continue;
		}
		err->code = ERROR_CONFIG;
		return -1;
	}
	return 0;
}

int
config_verify(const struct config *config, struct error *err)
{
	if (verify_folders(config, "allow", config->allow, config->allow_count, err) != 0 ||
	    verify_folders(config, "restore", config->restore, config->restore_count, err) != 0)
		return -1;
	if (config->tls_cert != NULL && access(config->tls_cert, R_OK) != 0) {
		error_sys(err, ERROR_IO, errno, "%s: could not read certificate '%s'",
		    source_of(config, "agent", "tls_cert"), config->tls_cert);
		err->code = ERROR_CONFIG;
		return -1;
	}
	if (config->tls_key != NULL &&
	    config_check_secret_file(config->tls_key, "private key", err) != 0)
		goto wrong;
	if (config->passphrase_file != NULL &&
	    config_check_secret_file(config->passphrase_file, "passphrase file", err) != 0)
		goto wrong;
	if (config_verify_servers(config, err) != 0 || config_verify_notices(config, err) != 0)
		goto wrong;
	for (size_t i = 0; i < config->listen_count; i++) {
		if (config->tls_cert != NULL || config->insecure_http ||
		    config_listen_is_local(config->listen[i]))
			continue;
		error_set(err, ERROR_CONFIG, "%s: '%s' is not loopback, and there is no 'tls_cert'",
		    source_of(config, "agent", "listen"), config->listen[i]);
		return error_hint(err, "set tls_cert and tls_key, or listen on 127.0.0.1 and come "
		    "through SSH");
	}
	return 0;
wrong:
	err->code = ERROR_CONFIG;
	return -1;
}

json_t *
config_to_json(const struct config *config)
{
	json_t *all = json_object();

	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *setting = &settings_table[i];
		json_t *section = json_object_get(all, setting->section);

		if (section == NULL) {
			section = json_object();
			json_object_set_new(all, setting->section, section);
		}
		json_object_set_new(section, setting->key, json_pack("{s:o, s:s}", "value",
		    setting_to_json(config, setting), "source", config->sources[i]));
	}
	config_databases_to_json(config, all);
	config_jobs_to_json(config, all);
	config_notices_to_json(config, all);
	return all;
}

json_t *
config_describe(void)
{
	json_t *all = json_array();

	for (size_t i = 0; i < settings_all_count; i++) {
		const struct setting *setting = &settings_table[i];
		char own[128] = "";
		char *names;

		/* A variable could not tell which job, or notice, it means. */
		if (i < settings_count)
			environment_name(setting, own);
		names = mem_printf("%s%s%s", own, *setting->environment == '\0' ? "" : " ",
		    setting->environment);
		json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "section",
		    setting->section, "key", setting->key, "type", setting_type_word(setting->type),
		    "default", setting->fallback, "environment", names, "sentence",
		    setting->sentence));
		free(names);
	}
	return all;
}
