/*
 * The agent's settings, from one table: default < file < conf.d/ *.conf < environment < flag.
 *
 * Unknown sections and settings are errors with file and line.  A file that holds a secret must not be
 * readable by others.  The result is read-only once loaded.
 */
#ifndef HOLDFAST_AGENT_CONFIG_H
#define HOLDFAST_AGENT_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

struct config {
	/* [agent] */
	char *name;             /* default: the host's name */
	char **listen;          /* "ADDR:PORT", "[v6]:PORT" or "unix:PATH"; default 127.0.0.1:7420 */
	size_t listen_count;
	char *state;            /* folder; default ./state as a user, /var/lib/holdfast as root service */
	char **allow;           /* absolute folders that may be backed up; none: all */
	size_t allow_count;
	char **restore;         /* absolute folders that may be restored into; none: all */
	size_t restore_count;
	char *tls_cert, *tls_key;
	bool insecure_http;
	uint64_t max_connections, max_connections_per_address;
	uint64_t max_body;              /* bytes */
	int64_t header_deadline_s, request_deadline_s, idle_s;
	uint64_t run_workers;           /* runs at once */
	/* [repository] */
	char *repository;       /* folder or URL; default ./backup */
	char *passphrase_file;  /* NULL: STATE/passphrase */
	int64_t compression;    /* zstd level */
	uint64_t threads;       /* 0: one per core */
	bool verify;            /* open each frame again before it is stored */
	char **exclude;
	size_t exclude_count;
	bool exclude_caches, one_file_system;
	uint64_t max_file_size; /* 0: no limit */
	int64_t grace_s;
};

/* What came by flags; NULL where not given. */
struct config_flags {
	const char *file; /* --config; NULL: /etc/holdfast/holdfast.conf if it exists */
	const char *listen, *repository, *state, *passphrase_file;
};

int config_load(const struct config_flags *flags, struct config **ret, struct error *err);
void config_free(struct config *config);

/* The whole configuration with the source of each value; secrets shown as "(set)". */
json_t *config_to_json(const struct config *config);

#endif
