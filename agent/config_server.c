/*
 * Settings of MariaDB servers and of the exchange storage.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/settings_internal.h"
#include "shared/mem.h"
#include "shared/secret_file.h"

/* A server, in the section that names it. */
struct section {
	const char *name;   /* as in the table of settings */
	const char *label;  /* "database shop" */
	const struct config_server *server;
	char *const *sources;
};

static struct section
section_of(const struct config *config, const char *name, const struct config_server *server)
{
	return (struct section){ name, name, server, config->sources };
}

static const char *
source_of(const struct section *section, const char *key)
{
	return section->sources[setting_find(section->name, key) - settings_table];
}

static bool
is_from_environment(const char *source)
{
	return strncmp(source, "environment ", 12) == 0;
}

static int
check_server(const struct section *section, struct error *err)
{
	const struct config_server *server = section->server;
	const char *tls_key = server->tls_ca != NULL ? "tls_ca" :
	    server->tls_cert != NULL ? "tls_cert" : server->tls_key != NULL ? "tls_key" : NULL;
	char *host = NULL, *socket = NULL;
	unsigned port;

	for (size_t i = 0; i < server->hosts_count; i++) {
		if (mariadb_parse_host(server->hosts[i], &host, &socket, &port, err) != 0)
			return error_prefix(err, "%s: ", source_of(section, "hosts"));
		free(host);
		free(socket);
	}
	if (mariadb_check_name("database", server->name, strlen(server->name), err) != 0) {
		err->code = ERROR_CONFIG;
		return error_prefix(err, "%s: ", source_of(section, "name"));
	}
	/* The environment's password goes before a file's, as any other setting does. */
	if (server->password != NULL && server->password_file != NULL &&
	    is_from_environment(source_of(section, "password")) ==
	    is_from_environment(source_of(section, "password_file")))
		return error_set(err, ERROR_CONFIG,
		    "%s: give 'password' or 'password_file', not both",
		    source_of(section, "password_file"));
	if (tls_key != NULL && !server->tls) {
		error_set(err, ERROR_CONFIG, "%s: '%s' is of no use without 'tls'",
		    source_of(section, tls_key), tls_key);
		return error_hint(err, "write 'tls = yes' in [%s]", section->label);
	}
	if ((server->tls_cert == NULL) != (server->tls_key == NULL))
		return error_set(err, ERROR_CONFIG, "%s: 'tls_cert' and 'tls_key' need each other",
		    source_of(section, server->tls_cert != NULL ? "tls_cert" : "tls_key"));
	return 0;
}

static struct section
database_section(const struct config *config, const struct config_database *database)
{
	struct section section = section_of(config, "database", &database->server);

	if (database->name != NULL) {
		section.label = database->label;
		section.sources = database->sources;
	}
	return section;
}

int
config_check_servers(const struct config *config, struct error *err)
{
	struct section log = section_of(config, "log", &config->log);
	struct section database = database_section(config, &config->database);

	if (check_server(&log, err) != 0 || check_server(&database, err) != 0)
		return -1;
	for (size_t i = 0; i < config->database_count; i++) {
		const struct config_database *other = config->databases[i];

		database = database_section(config, other);
		if (other->server.hosts_count == 0) {
			error_set(err, ERROR_CONFIG, "%s: [%s] has no hosts", other->where,
			    other->label);
			return error_hint(err, "write where its server is, as in hosts = db1:3306");
		}
		if (check_server(&database, err) != 0)
			return -1;
	}
	if (config->exchange == NULL || strncmp(config->exchange, "file:///", 8) == 0)
		return 0;
	database = section_of(config, "exchange", NULL);
	error_set(err, ERROR_CONFIG, "%s: '%s' is no exchange storage",
	    source_of(&database, "url"), config->exchange);
	return error_hint(err, "write file:///srv/exchange");
}

static int
verify_readable(const struct section *section, const char *key, const char *path,
    struct error *err)
{
	if (path == NULL || access(path, R_OK) == 0)
		return 0;
	error_sys(err, ERROR_IO, errno, "%s: '%s' names '%s'", source_of(section, key), key, path);
	err->code = ERROR_CONFIG;
	return -1;
}

static int
verify_server(const struct section *section, struct error *err)
{
	const struct config_server *server = section->server;

	if (server->hosts_count == 0)
		return 0;
	if (server->password_file != NULL &&
	    secret_file_check(server->password_file, "password file", err) != 0)
		return -1;
	if (server->tls_key != NULL &&
	    secret_file_check(server->tls_key, "private key", err) != 0)
		return -1;
	if (verify_readable(section, "tls_ca", server->tls_ca, err) != 0 ||
	    verify_readable(section, "tls_cert", server->tls_cert, err) != 0)
		return -1;
	return 0;
}

static int
verify_database(const struct config *config, const struct config_database *database,
    struct error *err)
{
	struct section section = database_section(config, database);

	if (verify_server(&section, err) != 0 ||
	    verify_readable(&section, "migrations", database->migrations, err) != 0 ||
	    verify_readable(&section, "reports", database->reports, err) != 0)
		return -1;
	return 0;
}

int
config_verify_servers(const struct config *config, struct error *err)
{
	struct section log = section_of(config, "log", &config->log);

	if (verify_server(&log, err) != 0 || verify_database(config, &config->database, err) != 0)
		return -1;
	for (size_t i = 0; i < config->database_count; i++)
		if (verify_database(config, config->databases[i], err) != 0)
			return -1;
	return 0;
}

struct mariadb_settings
config_server_settings(const struct config_server *server)
{
	return (struct mariadb_settings){
		.hosts = (const char *const *)server->hosts,
		.host_count = server->hosts_count,
		.user = server->user,
		.password = server->password,
		.password_file = server->password_file,
		.name = server->name,
		.tls = server->tls,
		.tls_ca = server->tls_ca,
		.tls_cert = server->tls_cert,
		.tls_key = server->tls_key,
		.connect_timeout_s = (unsigned)server->connect_timeout_s,
		.read_timeout_s = (unsigned)server->timeout_s,
		.write_timeout_s = (unsigned)server->timeout_s,
	};
}
