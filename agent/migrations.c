#include "agent/migrations.h"

#include <stdlib.h>
#include <string.h>

int
agent_migrations_load(const struct config *config, bool log, const char *database,
    struct agent_migrations *ret, struct error *err)
{
	const struct config_database *section = NULL;
	const char *folder = "migrations";
	bool shipped = true;

	if (log && config->log.hosts_count == 0) {
		error_set(err, ERROR_CONFIG, "no MariaDB server is configured in [log]");
		return error_hint(err, "write 'hosts', 'user' and 'password_file' there, or set "
		    "MYSQL_HOST, MYSQL_USER and MYSQL_PASSWORD");
	}
	if (!log) {
		if (config_database(config, database, &section, err) != 0)
			return -1;
		shipped = section->migrations == NULL;
		folder = shipped ? "company" : section->migrations;
	}
	ret->settings = config_server_settings(log ? &config->log : &section->server);
	return migrations_read(log ? "log" : "user", folder, shipped, &ret->migrations, err);
}

int
agent_migrations_task(const char *verb, const char *version, struct migrate_task *ret,
    struct error *err)
{
	unsigned long number;
	char *end;

	*ret = (struct migrate_task){ .way = MIGRATE_UP };
	if (verb == NULL || strcmp(verb, "up") == 0 || strcmp(verb, "down") == 0) {
		if (version != NULL)
			return error_set(err, ERROR_USAGE, "'%s' takes no version", verb);
		if (verb != NULL && strcmp(verb, "down") == 0)
			ret->way = MIGRATE_DOWN;
		return 0;
	}
	if (strcmp(verb, "to") != 0)
		return error_set(
		    err, ERROR_USAGE, "'%.40s' is none of up, down, to and status", verb);
	if (version == NULL || *version < '0' || *version > '9' || strlen(version) > 9)
		return error_set(err, ERROR_USAGE, "'to' takes the number of a migration, or 0");
	number = strtoul(version, &end, 10);
	if (*end != '\0')
		return error_set(err, ERROR_USAGE, "'to' takes the number of a migration, or 0");
	ret->way = MIGRATE_TO;
	ret->version = (uint32_t)number;
	return 0;
}
