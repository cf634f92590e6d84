/*
 * The action log: every action is one row of the table "log" in STATE/log.sqlite.
 *
 * One SQLite connection under one lock, WAL, synchronous=FULL: a row that was written is
 * there after a power cut.  Rows carry a sequence (the id) that only rises.
 * The ancestor's five columns (id, date, action, parameter, status) keep their names and types.
 */
#ifndef HOLDFAST_AGENT_ACTIONLOG_ACTIONLOG_H
#define HOLDFAST_AGENT_ACTIONLOG_ACTIONLOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "shared/error.h"

struct actionlog;

/* One action.  Texts may be NULL where there is nothing to say; nothing is kept. */
struct action {
	struct timespec date;   /* when it began; all zero: now */
	const char *action;     /* "Backup", "Logs", "Stats", "Restore", "Check", "Prune", ... */
	const char *command;    /* "POST /backup", or "holdfastd backup" */
	const char *parameter;  /* the argument, "" if none */
	bool failed;            /* status ERROR, else SUCCESS */
	const char *outcome;    /* "ok", "warn", "failed", "cancelled", "aborted" */
	const char *run;        /* run id */
	const char *snapshot;   /* snapshot id */
	const char *origin;     /* "127.0.0.1 token:NAME", "unix uid:0", "cli uid:0", "agent" */
	const char *message;    /* the reason, the losses */
	int64_t duration_ms;
	uint64_t files, bytes, stored_bytes;
};

struct actionlog_filter {
	struct timespec start, end;   /* inclusive; all zero: open */
	const char *action, *status, *q; /* q: substring of parameter, command or message */
	uint64_t after;                  /* only ids above */
	uint64_t limit;                  /* 0: no limit */
};

int actionlog_open(const char *state_folder, const char *agent_name, struct actionlog **ret, struct error *err);
void actionlog_close(struct actionlog *log);
int actionlog_write(struct actionlog *log, const struct action *action, uint64_t *ret_id, struct error *err);

/*
 * Rows as JSON objects {id, date, action, command, parameter, status, outcome, run, snapshot, origin, message,
 * duration_ms, files, bytes, stored_bytes}, oldest first, in pages: a call returns at most 1000 rows after filter->after;
 * the caller goes on from the last id.
 */
int actionlog_read(struct actionlog *log, const struct actionlog_filter *filter, json_t **ret_array, struct error *err);

/* {"number-of-backups", "successful-operations", "failed-operations", ...} */
int actionlog_stat(struct actionlog *log, const struct actionlog_filter *filter, json_t **ret, struct error *err);

#endif
