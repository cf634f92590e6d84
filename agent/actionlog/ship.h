/*
 * The central log: rows of the journal (the SQLite log) are copied to a MariaDB.
 *
 * One thread with one connection.  It takes rows in the order of their sequence and inserts them
 * by batches; the transaction of a batch also adds to the daily sums and notes in log_agents how
 * far this journal is.  What that note says is where it goes on, so a batch whose commit nobody
 * heard of is neither lost nor sent twice.  Rows start within a moment of being written; what
 * commands left in the spool is looked for every second.
 * Where the server is away the thread tries again, at growing intervals; no request ever waits
 * for it.  At its first contact it brings the schema up (shared/migrate.h).
 * With a retention it also removes old rows there (its own, and those that nobody's agent wrote)
 * and here (if they are there).
 *
 * A journal whose note bears another agent's name was renamed or copied: it goes on under a new
 * identity, so that two agents cannot take each other's rows for their own.
 */
#ifndef HOLDFAST_AGENT_ACTIONLOG_SHIP_H
#define HOLDFAST_AGENT_ACTIONLOG_SHIP_H

#include <jansson.h>

#include "agent/actionlog/actionlog.h"
#include "agent/config.h"

struct log_ship;

/* Shipping stopped (why), or goes on after that (NULL).  From its thread. */
typedef void log_ship_tell_fn(const char *host, const struct error *why);

/* Both are borrowed.  Where no server is configured and no row is ever too old, ret is NULL. */
int log_ship_start(const struct config *config, struct actionlog *log, log_ship_tell_fn *tell,
    struct log_ship **ret, struct error *err);
/* Ends what it is doing, within a moment; what was not shipped is shipped at the next start. */
void log_ship_stop(struct log_ship *ship);

/*
 * {"state": "off|connecting|connected|away", "host", "waiting" (rows), "oldest_waiting" (date),
 * "last_shipped" (time), "last_error", "last_error_time"}; NULL ship is "off".  Takes no lock
 * that is held for long.
 */
json_t *log_ship_status(struct log_ship *ship);

#endif
