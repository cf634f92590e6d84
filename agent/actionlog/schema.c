#include "agent/actionlog/actionlog_internal.h"

#include "shared/mem.h"

/*
 * The sums of each day are kept by triggers, so that they are exact also for rows that others
 * insert, change or delete.  first_id and last_id bound the rows of a day: dates and ids rise
 * together, but not strictly, as a run's date is its start and its row is written at its end.
 * A date in another form ("2026-11-21 10:00:00") is brought into ours, so that texts compare as
 * times do.
 */
#define NORMAL_DATE "strftime('%Y-%m-%dT%H:%M:%fZ', new.date)"

#define SUMS_ADD \
	"INSERT INTO daily VALUES(substr(new.date, 1, 10), new.action, new.status, 1," \
	"  new.files, new.bytes, new.stored_bytes, new.id, new.id)" \
	" ON CONFLICT DO UPDATE SET actions = actions + 1, files = files + excluded.files," \
	"  bytes = bytes + excluded.bytes, stored_bytes = stored_bytes + excluded.stored_bytes," \
	"  first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id);"

#define SUMS_SUBTRACT \
	"UPDATE daily SET actions = actions - 1, files = files - old.files," \
	"  bytes = bytes - old.bytes, stored_bytes = stored_bytes - old.stored_bytes" \
	" WHERE day = substr(old.date, 1, 10) AND action = old.action AND status = old.status;"

const char *const actionlog_schema[] = {
	"CREATE TABLE log("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" date TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),"
	" action TEXT NOT NULL,"
	" parameter TEXT NOT NULL DEFAULT '',"
	" status TEXT NOT NULL,"
	" agent TEXT,"
	" sequence INTEGER GENERATED ALWAYS AS (id) VIRTUAL,"
	" command TEXT NOT NULL DEFAULT '',"
	" outcome TEXT,"
	" run TEXT,"
	" snapshot TEXT,"
	" origin TEXT,"
	" duration_ms INTEGER NOT NULL DEFAULT 0,"
	" files INTEGER NOT NULL DEFAULT 0,"
	" bytes INTEGER NOT NULL DEFAULT 0,"
	" stored_bytes INTEGER NOT NULL DEFAULT 0,"
	" message TEXT,"
	" spool TEXT);"
	"CREATE INDEX log_date ON log(date);"
	"CREATE INDEX log_action ON log(action);"
	"CREATE INDEX log_status ON log(status);"
	"CREATE INDEX log_run ON log(run) WHERE run IS NOT NULL;"
	"CREATE UNIQUE INDEX log_spool ON log(spool) WHERE spool IS NOT NULL;"
	"CREATE TABLE daily("
	" day TEXT NOT NULL, action TEXT NOT NULL, status TEXT NOT NULL,"
	" actions INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" stored_bytes INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL,"
	" PRIMARY KEY(day, action, status)) WITHOUT ROWID;"
	/* One trigger, as the order of several is not defined: first the sums of the date as it
	 * came, then the date's form, which moves the sums through log_changed. */
	"CREATE TRIGGER log_added AFTER INSERT ON log BEGIN "
	SUMS_ADD
	" UPDATE log SET date = coalesce(" NORMAL_DATE ","
	"   strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
	"  WHERE id = new.id AND date IS NOT " NORMAL_DATE ";"
	"END;"
	"CREATE TRIGGER log_changed"
	" AFTER UPDATE OF date, action, status, files, bytes, stored_bytes ON log BEGIN "
	SUMS_SUBTRACT SUMS_ADD
	"END;"
	"CREATE TRIGGER log_removed AFTER DELETE ON log BEGIN " SUMS_SUBTRACT "END",
	/* For the newest backup that succeeded. */
	"CREATE INDEX log_backups ON log(id) WHERE action = 'Backup' AND status = 'SUCCESS'",
	/* Who this file is for the central log, and how far its rows are there.  Rows that grow too
	 * old leave, and their sums stay: keep_sums is set in the transaction that removes them. */
	"CREATE TABLE ship(one INTEGER PRIMARY KEY CHECK (one = 1), journal TEXT NOT NULL,"
	" shipped INTEGER NOT NULL DEFAULT 0, keep_sums INTEGER NOT NULL DEFAULT 0);"
	"INSERT INTO ship(one, journal) VALUES(1, lower(hex(randomblob(16))));"
	"DROP TRIGGER log_removed;"
	"CREATE TRIGGER log_removed AFTER DELETE ON log"
	" WHEN (SELECT keep_sums FROM ship) = 0 BEGIN " SUMS_SUBTRACT "END",
};
const size_t actionlog_schema_count = ARRAY_LEN(actionlog_schema);
