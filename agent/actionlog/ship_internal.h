/*
 * What the files of agent/actionlog/ship share.
 */
#ifndef HOLDFAST_AGENT_ACTIONLOG_SHIP_INTERNAL_H
#define HOLDFAST_AGENT_ACTIONLOG_SHIP_INTERNAL_H

#include "agent/actionlog/actionlog_internal.h"
#include "agent/actionlog/ship.h"
#include "shared/mariadb.h"

/* A batch has so many rows, and so many bytes of text, at most: the server's max_allowed_packet
 * is 16 MiB, and a row far below one. */
#define SHIP_ROWS 2000u
#define SHIP_BYTES (4u << 20)

/* The columns, as texts and as numbers. */
enum ship_text { SHIP_DATE, SHIP_ACTION, SHIP_PARAMETER, SHIP_STATUS, SHIP_AGENT, SHIP_COMMAND,
	SHIP_OUTCOME, SHIP_RUN, SHIP_SNAPSHOT, SHIP_ORIGIN, SHIP_MESSAGE, SHIP_TEXT_COUNT };
enum ship_number { SHIP_SEQUENCE, SHIP_DURATION, SHIP_FILES, SHIP_BYTES_READ, SHIP_STORED,
	SHIP_NUMBER_COUNT };

/* Rows by columns, as they are bound. */
struct ship_batch {
	size_t count;
	struct buffer bytes;                     /* all texts, each NUL-terminated */
	size_t *offsets[SHIP_TEXT_COUNT];        /* into bytes; SIZE_MAX: NULL */
	unsigned long *lengths[SHIP_TEXT_COUNT];
	int64_t *numbers[SHIP_NUMBER_COUNT];
};

void ship_batch_init(struct ship_batch *batch);
void ship_batch_done(struct ship_batch *batch);
const char *ship_batch_text(const struct ship_batch *batch, enum ship_text column, size_t row);

/* ---- the journal's side (ship_journal.c) */

struct ship_journal {
	char id[33];
	uint64_t shipped; /* as last noted */
	uint64_t newest;  /* the highest sequence */
};

int ship_journal_read(struct actionlog *log, struct ship_journal *ret, struct error *err);
int ship_journal_note(struct actionlog *log, uint64_t shipped, struct error *err);
/* A new identity; what was shipped before counts as before. */
int ship_journal_renew(struct actionlog *log, char ret_id[33], struct error *err);
/* Up to `most` rows (SHIP_ROWS) after a sequence, oldest first; none if there are no more. */
int ship_journal_rows(struct actionlog *log, uint64_t after, unsigned most,
    struct ship_batch *batch, struct error *err);
/* Remove up to so many rows older than before ("2026-...Z") and not above a sequence. */
int ship_journal_expire(struct actionlog *log, const char *before, uint64_t upto, unsigned max,
    unsigned *ret_removed, struct error *err);

/* ---- the server's side (ship_send.c) */

/* Where this journal is on the server, made there if it is new; ret_name: whose it is there. */
int ship_position(struct mariadb *db, const char *journal, const char *agent, uint64_t *ret,
    char **ret_name, struct error *err);
/*
 * Insert a batch after `after`, in one transaction.  1: done; 0: the server is elsewhere than
 * `after`, nothing was done.
 */
int ship_send(struct mariadb *db, const char *journal, uint64_t after,
    const struct ship_batch *batch, struct error *err);

#endif
