/*
 * The agent's settings, from the table in agent/settings.h.
 *
 * Precedence: flag, then environment, then conf.d/ *.conf (sorted by name, the last wins), then
 * the file, then the default.  Unknown sections and settings are errors with file and line.
 * A file that holds a secret must not be accessible to others.
 * The result is read-only once loaded, so any thread may use it.
 */
#ifndef HOLDFAST_AGENT_CONFIG_H
#define HOLDFAST_AGENT_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/mariadb.h"

#define CONFIG_FILE_DEFAULT "/etc/holdfast/holdfast.conf"

/* A MariaDB server, as [log] and [database] name it; see shared/mariadb.h. */
struct config_server {
	char **hosts;           /* none: not configured */
	size_t hosts_count;
	char *user, *password, *password_file, *name;
	bool tls;
	char *tls_ca, *tls_cert, *tls_key;
	int64_t connect_timeout_s, timeout_s;
};

/* Databases whose tables are backed up: [database], and a section [database NAME] for each other. */
struct config_database {
	char *name;             /* NAME; NULL: of [database] */
	char *label;            /* "database NAME"; NULL: of [database] */
	char *where;            /* "FILE:LINE" of its section; NULL: of [database] */
	struct config_server server; /* with hosts, unless it is a [database] that is not used */
	char *migrations;       /* folder; NULL: those that come with the program */
	char *reports;          /* folder of further ones, or NULL */
	int64_t connections;    /* of a backup */
	int64_t compression;    /* zstd level of its tables */
	/* In snapshots and on the exchange storage, as agent/tables/FORMAT.md has it. */
	char *folder;
	char **sources;         /* as those of struct config; NULL: of [database] */
};

/* Which snapshots stay; 0: no such rule. */
struct config_keep {
	uint64_t last, hourly, daily, weekly, monthly, yearly;
	int64_t within_s;
};

/* A section [job NAME]. */
struct config_job {
	char *name;
	char *where;            /* "FILE:LINE" of its section */
	char **path;            /* absolute */
	size_t path_count;
	char **tables;          /* at least one, if there is no path; "*" alone: all */
	size_t tables_count;
	char *database;         /* as config_database() takes it */
	char **exclude;
	size_t exclude_count;
	char *before, *after, *on_failure; /* see argv_parse(); or NULL */
	int64_t hook_timeout_s;
	char *schedule, *timezone; /* as written, or NULL */
	struct schedule *timetable; /* of both; NULL: no schedule */
	int64_t jitter_s, expect_s; /* 0: none */
	int64_t retry, retry_wait_s;
	int64_t jump;           /* per cent; 0: none */
	char *prove;            /* as schedule, in the same zone */
	struct schedule *prove_times; /* NULL: none */
	uint64_t prove_files, prove_tables, prove_bytes;
	struct config_keep keep;
	char **sources;         /* as those of struct config */
};

/* A section [notice NAME]: who is told of what becomes of jobs, by exactly one way. */
struct config_notice {
	char *name;
	char *where;            /* "FILE:LINE" of its section */
	char **on;              /* words of NOTICE_KINDS; pings have their own */
	size_t on_count;
	char **jobs;            /* none: all */
	size_t jobs_count;
	char *webhook;
	char *ping_start, *ping_success, *ping_fail;
	char *command;          /* see argv_parse() */
	char **mail;
	size_t mail_count;
	char *mail_from, *sendmail;
	char *headers_file, *tls_ca; /* or NULL */
	int64_t timeout_s;
	char **sources;         /* as those of struct config */
};

struct config {
	/* [agent] */
	char *name;             /* default: the host's name */
	char **listen;          /* "ADDR:PORT", "[v6]:PORT" or "unix:PATH" */
	size_t listen_count;
	char *state;            /* folder; see agent/settings.h for its default */
	char **allow;           /* absolute folders that may be backed up; none: all */
	size_t allow_count;
	char **restore;         /* absolute folders that may be restored into; none: all */
	size_t restore_count;
	char *tls_cert, *tls_key; /* or NULL */
	bool insecure_http;
	uint64_t max_connections, max_connections_per_address;
	uint64_t max_body;      /* bytes */
	int64_t header_deadline_s, request_deadline_s, idle_s, upload_idle_s;
	uint64_t run_workers;   /* runs at once */
	/* [log] */
	struct config_server log;
	int64_t log_retention_s; /* 0: rows stay for ever */
	/* [database], and [database NAME] in the order of the files; see config_database() */
	struct config_database database;
	struct config_database **databases;
	size_t database_count, database_cap;
	/* [exchange] */
	char *exchange;         /* "file:///folder", or NULL */
	/* [repository] */
	char *repository;       /* folder or URL */
	char *passphrase_file;  /* NULL: STATE/passphrase */
	int64_t compression;    /* zstd level of files */
	uint64_t threads;       /* 0: one per core */
	bool verify;            /* open each frame again before it is stored */
	char *parity;           /* see parity_rule_parse() */
	char **exclude;
	size_t exclude_count;
	bool exclude_caches, one_file_system;
	uint64_t max_file_size; /* bytes; 0: no limit */
	int64_t grace_s;
	int64_t rewrite_percent;
	uint64_t join_packs;    /* 0: never */
	/* [keep]: of snapshots whose job says nothing else */
	struct config_keep keep;
	/* [job NAME] */
	struct config_job **jobs; /* in the order of the files */
	size_t job_count, job_cap;
	json_t *job_numbers;    /* by name, while the files are read; NULL: no jobs */
	/* [notice NAME] */
	struct config_notice **notices; /* in the order of the files */
	size_t notice_count, notice_cap;
	/* [limits] */
	uint64_t limit_upload, limit_download, limit_read; /* bytes a second; 0: none */
	uint64_t limit_files;   /* files a second; 0: none */
	int64_t nice;
	char *io;               /* a word of CONFIG_IO_WORDS */

	char **sources;         /* where each setting came from, in the order of the table */
};

/* The words of [limits] io, from the highest rank to the lowest; separated as those of a run's
 * arguments. */
#define CONFIG_IO_WORDS "normal|low|idle"

/* What came by flags; NULL where not given. */
struct config_flags {
	const char *file; /* --config; NULL: CONFIG_FILE_DEFAULT if it exists */
	const char *listen, *repository, *state, *passphrase_file;
};

/* ERROR_CONFIG: a wrong setting, with its source; ERROR_NOT_FOUND: no file of that name. */
int config_load(const struct config_flags *flags, struct config **ret, struct error *err);
void config_free(struct config *config);

/*
 * What loading cannot know: whether the files it names are there and well protected, whether
 * folders exist, whether the listen addresses may be served without TLS.  ERROR_CONFIG.
 */
int config_verify(const struct config *config, struct error *err);

/*
 * Refuse a secret's file unless it belongs to us or root and gives others no access and its
 * group none but reading.  what: "passphrase file", for the message.
 */
int config_check_secret_file(const char *path, const char *what, struct error *err);

/* True for "127.x.y.z:PORT", "[::1]:PORT", "localhost:PORT" and "unix:PATH". */
bool config_listen_is_local(const char *listen);

/* The server as shared/mariadb.h takes it; lends the texts of the configuration. */
struct mariadb_settings config_server_settings(const struct config_server *server);

/* By this name a request means [database]; no other section has it. */
#define CONFIG_DATABASE_DEFAULT "default"
/* A database's name in requests and answers. */
const char *config_database_word(const struct config_database *database);
/*
 * The section that a request means by this name.  NULL: [database], or the only one there is.
 * ERROR_UNAVAILABLE: none is configured; ERROR_NOT_FOUND: none of this name; ERROR_BAD_REQUEST:
 * one must be named.  The hint lists them.
 */
int config_database(const struct config *config, const char *name,
    const struct config_database **ret, struct error *err);
/* All that are configured, [database] first, lent; caller frees the array. */
const struct config_database **config_databases(const struct config *config, size_t *ret_count);

/* A section's name is of letters, digits, '.', '_' and '-', as it stands in addresses and
 * snapshots. */
#define CONFIG_NAME_MAX 40
bool config_is_name(const char *name);
/* NULL if there is none of this name. */
const struct config_job *config_job_find(const struct config *config, const char *name);
/* What is allowed and hardly meant: [TEXT] with file and line. */
json_t *config_job_warnings(const struct config *config);
const struct config_notice *config_notice_find(const struct config *config, const char *name);
/* Whether it says itself what stays of its snapshots. */
bool config_job_has_keep(const struct config_job *job);
/* The tables it names, lent; count 0: all of the database.  Only if job->tables_count is not 0. */
const char *const *config_job_tables(const struct config_job *job, size_t *ret_count);

/* True if path is folder or below it; both absolute and resolved. */
bool config_path_is_within(const char *path, const char *folder);
/* Whether any of the folders, resolved if it is there, holds the resolved path. */
bool config_path_is_listed(const char *resolved, char *const *folders, size_t count);

/* {"SECTION": {"KEY": {"value": ..., "source": "default"}}} for every setting. */
json_t *config_to_json(const struct config *config);

/* The table as JSON: [{"section", "key", "type", "default", "environment", "sentence"}]. */
json_t *config_describe(void);

#endif
