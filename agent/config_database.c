/*
 * Sections [database NAME]: databases beside that of [database].
 */
#include <stdlib.h>
#include <string.h>

#include "agent/settings_internal.h"
#include "agent/tables/backup.h"
#include "shared/buffer.h"
#include "shared/mem.h"

static bool
is_database(size_t i)
{
	return strcmp(settings_table[i].section, "database") == 0;
}

struct setting
config_database_setting(const struct setting *setting)
{
	struct setting own = *setting;

	own.offset -= offsetof(struct config, database);
	if (own.type == SETTING_LIST)
		own.count_offset -= offsetof(struct config, database);
	return own;
}

const char *
config_database_word(const struct config_database *database)
{
	return database->name != NULL ? database->name : CONFIG_DATABASE_DEFAULT;
}

static struct config_database *
find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->database_count; i++)
		if (strcmp(config->databases[i]->name, name) == 0)
			return config->databases[i];
	return NULL;
}

static int
check_new(const struct config *config, const char *name, const char *where, struct error *err)
{
	const struct config_database *there = find(config, name);

	if (!config_is_name(name)) {
		error_set(err, ERROR_CONFIG, "%s: '%.60s' is no name of a database's section", where,
		    name);
		return error_hint(err, "it has 1 to %d letters, digits, '.', '_' and '-'; the "
		    "database's own name is the setting 'name'", CONFIG_NAME_MAX);
	}
	if (strcmp(name, CONFIG_DATABASE_DEFAULT) == 0) {
		error_set(err, ERROR_CONFIG, "%s: '%s' is the name of [database] itself", where,
		    name);
		return error_hint(err, "give this one another name");
	}
	if (there != NULL) {
		error_set(err, ERROR_CONFIG, "%s: there is a section [database %s] already, at %s",
		    where, name, there->where);
		return error_hint(err, "give one of them another name, or put both into one section");
	}
	return 0;
}

int
config_database_begin(struct config *config, const char *name, const char *where,
    struct config_database **ret, struct error *err)
{
	struct config_database *database;

	if (check_new(config, name, where, err) != 0)
		return -1;
	database = MEM_NEW(struct config_database);
	database->name = mem_strdup(name);
	database->label = mem_printf("database %s", name);
	database->where = mem_strdup(where);
	/* Beside "database", so that no table of the other has a place there. */
	database->folder = mem_printf(TABLES_FOLDER "s/%s", name);
	database->sources = mem_calloc(settings_count, sizeof(*database->sources));
	MEM_GROW(config->databases, config->database_count, config->database_cap);
	config->databases[config->database_count++] = database;
	for (size_t i = 0; i < settings_count; i++) {
		struct setting own = config_database_setting(&settings_table[i]);
		const char *value = own.fallback;

		if (!is_database(i))
			continue;
		database->sources[i] = mem_strdup("default");
		if (strcmp(own.key, "name") == 0)
			value = name;
		if (*value != '\0' && setting_set(database, &database->sources[i], &own, value,
		    "default", false, err) != 0)
			return -1;
	}
	*ret = database;
	return 0;
}

void
config_databases_free(struct config *config)
{
	for (size_t i = 0; i < config->database_count; i++) {
		struct config_database *database = config->databases[i];

		for (size_t s = 0; s < settings_count; s++) {
			struct setting own = config_database_setting(&settings_table[s]);

			if (is_database(s))
				setting_done(database, &own);
			free(database->sources[s]);
		}
		free(database->sources);
		free(database->folder);
		free(database->where);
		free(database->label);
		free(database->name);
		free(database);
	}
	free(config->databases);
	free(config->database.folder);
}

const struct config_database **
config_databases(const struct config *config, size_t *ret_count)
{
	const struct config_database **all =
	    mem_calloc(config->database_count + 1, sizeof(struct config_database *));
	size_t count = 0;

	if (config->database.server.hosts_count > 0)
		all[count++] = &config->database;
	for (size_t i = 0; i < config->database_count; i++)
		all[count++] = config->databases[i];
	*ret_count = count;
	return all;
}

static int
hint_names(const struct config_database *const *all, size_t count, struct error *err)
{
	struct buffer names = BUFFER_INIT;

	for (size_t i = 0; i < count && names.len < 160; i++)
		buffer_printf(&names, "%s%s", i == 0 ? "" : ", ", config_database_word(all[i]));
	error_hint(err, "the databases are %s", buffer_text(&names));
	buffer_done(&names);
	return -1;
}

int
config_database(const struct config *config, const char *name,
    const struct config_database **ret, struct error *err)
{
	const struct config_database **all, *found = NULL;
	size_t count;
	int rc = 0;

	all = config_databases(config, &count);
	if (name == NULL && (count == 1 || config->database.server.hosts_count > 0))
		found = all[0];
	for (size_t i = 0; name != NULL && found == NULL && i < count; i++)
		if (strcmp(config_database_word(all[i]), name) == 0)
			found = all[i];
	if (found != NULL) {
		*ret = found;
	} else if (count == 0) {
		error_set(err, ERROR_UNAVAILABLE, "no database is configured");
		rc = error_hint(err, "write hosts, user, password_file and name in [database]");
	} else if (name == NULL) {
		error_set(err, ERROR_BAD_REQUEST, "there are several databases: say which");
		rc = hint_names(all, count, err);
	} else {
		error_set(err, ERROR_NOT_FOUND, "no database '%.60s' is configured", name);
		rc = hint_names(all, count, err);
	}
	free(all);
	return rc;
}

void
config_databases_to_json(const struct config *config, json_t *all)
{
	for (size_t i = 0; i < config->database_count; i++) {
		const struct config_database *database = config->databases[i];
		json_t *section = json_object();

		for (size_t s = 0; s < settings_count; s++) {
			struct setting own = config_database_setting(&settings_table[s]);

			if (is_database(s))
				json_object_set_new(section, own.key, json_pack("{s:o, s:s}",
				    "value", setting_to_json(database, &own), "source",
				    database->sources[s]));
		}
		json_object_set_new(all, database->label, section);
	}
}
