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

static const char *
source_of(const struct config *config, const char *section, const char *key)
{
	return config->sources[setting_find(section, key) - settings_table];
}

static bool
is_from_environment(const char *source)
{
	return strncmp(source, "environment ", 12) == 0;
}

static int
check_server(const struct config *config, const char *section, const struct config_server *server,
    struct error *err)
{
	const char *tls_key = server->tls_ca != NULL ? "tls_ca" :
	    server->tls_cert != NULL ? "tls_cert" : server->tls_key != NULL ? "tls_key" : NULL;
	char *host = NULL, *socket = NULL;
	unsigned port;

	for (size_t i = 0; i < server->hosts_count; i++) {
		if (mariadb_parse_host(server->hosts[i], &host, &socket, &port, err) != 0)
			return error_prefix(err, "%s: ", source_of(config, section, "hosts"));
		free(host);
		free(socket);
	}
	if (mariadb_check_name("database", server->name, strlen(server->name), err) != 0) {
		err->code = ERROR_CONFIG;
		return error_prefix(err, "%s: ", source_of(config, section, "name"));
	}
	/* The environment's password goes before a file's, as any other setting does. */
	if (server->password != NULL && server->password_file != NULL &&
	    is_from_environment(source_of(config, section, "password")) ==
	    is_from_environment(source_of(config, section, "password_file")))
		return error_set(err, ERROR_CONFIG,
		    "%s: give 'password' or 'password_file', not both",
		    source_of(config, section, "password_file"));
	if (tls_key != NULL && !server->tls) {
		error_set(err, ERROR_CONFIG, "%s: '%s' is of no use without 'tls'",
		    source_of(config, section, tls_key), tls_key);
		return error_hint(err, "write 'tls = yes' in [%s]", section);
	}
	if ((server->tls_cert == NULL) != (server->tls_key == NULL))
		return error_set(err, ERROR_CONFIG, "%s: 'tls_cert' and 'tls_key' need each other",
		    source_of(config, section, server->tls_cert != NULL ? "tls_cert" : "tls_key"));
	return 0;
}

int
config_check_servers(const struct config *config, struct error *err)
{
	if (check_server(config, "log", &config->log, err) != 0 ||
	    check_server(config, "database", &config->database, err) != 0)
		return -1;
	if (config->exchange == NULL || strncmp(config->exchange, "file:///", 8) == 0)
		return 0;
	error_set(err, ERROR_CONFIG, "%s: '%s' is no exchange storage",
	    source_of(config, "exchange", "url"), config->exchange);
	return error_hint(err, "write file:///srv/exchange");
}

static int
verify_readable(const struct config *config, const char *section, const char *key,
    const char *path, struct error *err)
{
	if (path == NULL || access(path, R_OK) == 0)
		return 0;
	error_sys(err, ERROR_IO, errno, "%s: '%s' names '%s'", source_of(config, section, key), key,
	    path);
	err->code = ERROR_CONFIG;
	return -1;
}

static int
verify_server(const struct config *config, const char *section,
    const struct config_server *server, struct error *err)
{
	if (server->hosts_count == 0)
		return 0;
	if (server->password_file != NULL &&
	    secret_file_check(server->password_file, "password file", err) != 0)
		return -1;
	if (server->tls_key != NULL &&
	    secret_file_check(server->tls_key, "private key", err) != 0)
		return -1;
	if (verify_readable(config, section, "tls_ca", server->tls_ca, err) != 0 ||
	    verify_readable(config, section, "tls_cert", server->tls_cert, err) != 0)
		return -1;
	return 0;
}

int
config_verify_servers(const struct config *config, struct error *err)
{
	if (verify_server(config, "log", &config->log, err) != 0 ||
	    verify_server(config, "database", &config->database, err) != 0 ||
	    verify_readable(config, "database", "migrations", config->migrations, err) != 0 ||
	    verify_readable(config, "database", "reports", config->reports, err) != 0)
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
