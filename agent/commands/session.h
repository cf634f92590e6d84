/*
 * What one call of the program works with: its command line, its settings, and what it opens as
 * it needs it.
 */
#ifndef HOLDFAST_AGENT_COMMANDS_SESSION_H
#define HOLDFAST_AGENT_COMMANDS_SESSION_H

#include <stdbool.h>

#include "agent/actionlog/actionlog.h"
#include "agent/commands/command_line.h"
#include "agent/config.h"
#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "agent/repository/tree.h"
#include "shared/error.h"

struct session {
	struct command_line line;
	struct config *config;       /* NULL for help and version */
	struct repository *repo;     /* NULL until session_open_repository() */
	char *passphrase;            /* with which it was opened; secret */
	char *passphrase_path;       /* from where, or NULL if it was typed */
	bool json;                   /* --json */
};

void session_done(struct session *session);

/* Open the repository, asking for the passphrase on a terminal if there is no file of it. */
int session_open_repository(struct session *session, struct error *err);
/* The snapshot that the n-th argument names; opens the repository. */
int session_snapshot(struct session *session, size_t n, struct snapshot **ret,
    struct error *err);
/*
 * The entry of a path as it is shown, in a snapshot; caller: entry_done().  ERROR_NOT_FOUND says
 * what shows what there is.
 */
int session_entry(struct session *session, const struct snapshot *snapshot, const char *path,
    struct entry *ret, struct error *err);

/*
 * Write a command's row into the log of the state folder, if there is one.  Fills in command and
 * origin.  A log that cannot be written is told on standard error and changes nothing else.
 */
void session_log(struct session *session, struct action *action);

/* "holdfastd: message" and the hint on standard error, printable. */
void session_complain(const struct error *why);
/* A JSON document on standard output, indented; json is taken over. */
int session_print_json(json_t *json, struct error *err);

#endif
