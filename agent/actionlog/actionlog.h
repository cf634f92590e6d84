/*
 * The action log: every action is one row of the table "log" in STATE/log.sqlite.
 *
 * One SQLite connection under one lock, WAL, synchronous=FULL: a row that was written is there
 * after a power cut.  Rows carry a sequence (the id) that only rises.  Rows that several threads
 * write at the same time share one commit.
 * The ancestor's five columns (id, date, action, parameter, status) keep their names and types,
 * so that INSERT INTO log(action, parameter, status) still works.
 * STATE/log.lock belongs to whoever has the file open.  A command that runs beside an agent
 * leaves its rows in STATE/log.spool/, from where the agent takes them at its next look.
 * A file that is damaged is set aside as log.sqlite.damaged-TIME, and a new one says so.
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
	bool once;              /* write nothing if a row of this run and action is there */
	const char *snapshot;   /* snapshot id */
	const char *origin;     /* "127.0.0.1 token:NAME", "unix uid:0", "cli uid:0", "agent" */
	const char *message;    /* the reason, the losses */
	int64_t duration_ms;
	uint64_t files, bytes, stored_bytes;
};

struct actionlog_filter {
	struct timespec start, end;      /* inclusive, to the millisecond; all zero: open */
	const char *action, *status;     /* exact; NULL or "": any */
	const char *q;                   /* part of parameter, command or message */
	uint64_t after;                  /* only ids above */
	uint64_t limit;                  /* 0: as many as a page holds */
};

#define ACTIONLOG_PAGE 1000

/* A row's columns, in the order in which they are shown: word, name, is it a number? */
/* clang-format off */
#define ACTIONLOG_COLUMNS(_) \
	_(ID,           "id",           true) \
	_(DATE,         "date",         false) \
	_(ACTION,       "action",       false) \
	_(COMMAND,      "command",      false) \
	_(PARAMETER,    "parameter",    false) \
	_(STATUS,       "status",       false) \
	_(AGENT,        "agent",        false) \
	_(OUTCOME,      "outcome",      false) \
	_(RUN,          "run",          false) \
	_(SNAPSHOT,     "snapshot",     false) \
	_(ORIGIN,       "origin",       false) \
	_(MESSAGE,      "message",      false) \
	_(DURATION_MS,  "duration_ms",  true) \
	_(FILES,        "files",        true) \
	_(BYTES,        "bytes",        true) \
	_(STORED_BYTES, "stored_bytes", true)
/* clang-format on */

enum actionlog_column {
#define _(word, name, number) ACTIONLOG_##word,
	ACTIONLOG_COLUMNS(_)
#undef _
	ACTIONLOG_COLUMN_COUNT
};

/* One value of a row, lent for the call. */
struct actionlog_cell {
	const char *text; /* valid UTF-8; NULL: a number, or nothing */
	size_t len;
	int64_t number;
};

struct actionlog_reader {
	/* One row, of ACTIONLOG_COLUMN_COUNT cells.  The log is locked meanwhile: no waiting. */
	void (*row)(void *arg, const struct actionlog_cell *cells);
	/* Now and then, and at the end, without the lock; returns 0, or -1 to end with its error. */
	int (*pause)(void *arg, struct error *err);
	void *arg;
};

/* ERROR_CLAIMED if another process has the log open. */
int actionlog_open(const char *state_folder, const char *agent_name, struct actionlog **ret,
    struct error *err);
void actionlog_close(struct actionlog *log);
/* What opening had to mend ("log.sqlite was damaged and ..."), or NULL.  Lent. */
const char *actionlog_notice(const struct actionlog *log);

/* Durable when it returns 0.  ret_id may be NULL; it is 0 if `once` found a row. */
int actionlog_write(struct actionlog *log, const struct action *action, uint64_t *ret_id,
    struct error *err);

/*
 * Leave a row in the spool of a state folder whose log may be open elsewhere, then write it into
 * the log at once if it is not.  For commands.
 */
int actionlog_spool(const char *state_folder, const char *agent_name,
    const struct action *action, struct error *err);

/*
 * All rows of the filter (filter->limit 0: no limit), oldest first.  Memory: a row.
 * There are at most ACTIONLOG_PAGE rows between two pauses.
 */
int actionlog_each(struct actionlog *log, const struct actionlog_filter *filter,
    const struct actionlog_reader *reader, struct error *err);

/*
 * Rows as JSON objects whose members are the columns, oldest first, in pages: a call returns at
 * most ACTIONLOG_PAGE rows after filter->after; the caller goes on from the last id.  Fewer rows
 * than asked for mean that there are no more.
 */
int actionlog_read(struct actionlog *log, const struct actionlog_filter *filter,
    json_t **ret_array, struct error *err);

/*
 * {"number-of-backups", "successful-operations", "failed-operations", "operations",
 * "successful-backups", "failed-backups", "files", "bytes", "stored-bytes" (of backups),
 * "actions": {ACTION: {"successful", "failed"}}, "last-backup": row or null}, the last being
 * the newest that succeeded.
 * Of the filter, start, end, action and status count.  Cost: days, not rows.
 */
int actionlog_stat(struct actionlog *log, const struct actionlog_filter *filter, json_t **ret,
    struct error *err);

#endif
