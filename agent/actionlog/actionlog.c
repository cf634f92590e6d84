#include "agent/actionlog/actionlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/actionlog/actionlog_internal.h"
#include "shared/mem.h"
#include "shared/sql.h"
#include "shared/text.h"

/* A command holds the lock for the time of one row; an agent that starts waits for it. */
#define LOCK_TRIES 300
#define LOCK_WAIT_NS 10000000

/* Take STATE/log.lock; the kernel gives it back when the process ends, however it ends. */
static int
take_lock(const char *folder, int *ret_fd, struct error *err)
{
	struct timespec pause = { 0, LOCK_WAIT_NS };
	char *path = mem_printf("%s/log.lock", folder);
	int fd, rc = -1;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_sys(err, ERROR_IO, errno, "could not open '%s'", path);
		goto out;
	}
	for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			error_sys(err, ERROR_IO, errno, "could not lock '%s'", path);
			goto out;
		}
		if (i >= LOCK_TRIES) {
			error_set(err, ERROR_CLAIMED, "the log in '%s' is open in another process",
			    folder);
			error_hint(err, "one agent belongs to one state folder; see --state");
			goto out;
		}
		nanosleep(&pause, NULL);
	}
	*ret_fd = fd;
	fd = -1;
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/*
 * A log that begins anew must not give out numbers that the lost one gave already: rows are
 * known elsewhere by agent and sequence.  Seconds since 1970 are above any count of rows.
 */
static int
start_above_old_numbers(struct actionlog *log, struct error *err)
{
	char *text = mem_printf("INSERT INTO sqlite_sequence(name, seq) VALUES('log', %lld)",
	    (long long)time_now().tv_sec);
	int rc = sql_exec(log->db, text, err);

	free(text);
	return rc;
}

/* Caller holds db_lock, or nobody else knows the log yet. */
static int
open_database(struct actionlog *log, struct error *err)
{
	char *aside = NULL;
	int rc;

	rc = sql_open(log->path, actionlog_schema, actionlog_schema_count, &log->db, &aside, err);
	if (rc == 0 && aside != NULL) {
		free(log->notice);
		log->notice = mem_printf(
		    "the log '%s' was damaged: it was set aside as '%s' and a new "
		    "one begun",
		    log->path, aside);
		rc = start_above_old_numbers(log, err);
	}
	free(aside);
	return rc;
}

/* Say in the new log what became of the old one. */
static int
tell_notice(struct actionlog *log, struct error *err)
{
	struct action action = { .action = "Log", .command = "log", .parameter = log->path,
		.failed = true, .outcome = "failed", .origin = "agent", .message = log->notice };

	return actionlog_write(log, &action, NULL, err);
}

int
actionlog_open(const char *state_folder, const char *agent_name, struct actionlog **ret,
    struct error *err)
{
	struct actionlog *log = MEM_NEW(struct actionlog);
	int rc = -1;

	log->lock_fd = -1;
	log->folder = mem_strdup(state_folder);
	log->path = mem_printf("%s/log.sqlite", state_folder);
	log->agent = mem_strdup(agent_name);
	log->last = &log->first;
	pthread_mutex_init(&log->queue_lock, NULL);
	pthread_cond_init(&log->written, NULL);
	pthread_mutex_init(&log->db_lock, NULL);
	pthread_mutex_init(&log->spool_lock, NULL);
	if (take_lock(state_folder, &log->lock_fd, err) != 0 || open_database(log, err) != 0)
		goto out;
	if (log->notice != NULL && tell_notice(log, err) != 0)
		goto out;
	actionlog_take_spool(log);
	*ret = log;
	log = NULL;
	rc = 0;
out:
	actionlog_close(log);
	return rc;
}

void
actionlog_close(struct actionlog *log)
{
	if (log == NULL)
		return;
	sqlite3_finalize(log->insert);
	sql_close(log->db);
	/* The lock goes last: whoever gets it finds the file closed. */
	if (log->lock_fd >= 0)
		close(log->lock_fd);
	pthread_mutex_destroy(&log->spool_lock);
	pthread_mutex_destroy(&log->db_lock);
	pthread_cond_destroy(&log->written);
	pthread_mutex_destroy(&log->queue_lock);
	free(log->notice);
	free(log->agent);
	free(log->path);
	free(log->folder);
	free(log);
}

const char *
actionlog_notice(const struct actionlog *log)
{
	return log->notice;
}

static const char insert_text[] =
    "INSERT INTO log(date, action, parameter, status, agent, command, outcome, run, snapshot,"
    " origin, duration_ms, files, bytes, stored_bytes, message, spool)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16"
    " WHERE (?17 = 0 OR NOT EXISTS (SELECT 1 FROM log WHERE run = ?8 AND action = ?2))"
    " AND (?16 IS NULL OR NOT EXISTS (SELECT 1 FROM log WHERE spool = ?16))";

/* A text longer than this is cut: a log is no store for what a request sent. */
#define TEXT_MAX 8192

/* Would text_printable() change more than backslashes, which it doubles? */
static bool
steers_a_terminal(const char *text, size_t len)
{
	char *shown = text_printable(text, len);
	const char *p = shown;
	bool changed = false;

	for (; *text != '\0' && !changed; text++) {
		changed = *p++ != *text;
		if (*text == '\\' && !changed)
			changed = *p++ != '\\';
	}
	free(shown);
	return changed;
}

/*
 * Texts in a row are valid UTF-8, without control characters and not overlong, as they may come
 * from a request and end on a terminal; `kept` holds what was changed.
 */
static void
bind_clean(sqlite3_stmt *insert, int index, const char *text, char **kept)
{
	size_t len = text == NULL ? 0 : strlen(text);
	char *part;

	*kept = NULL;
	if (len > TEXT_MAX) {
		/* Where a character was cut in two, its bytes show as \xNN. */
		part = text_printable(text, TEXT_MAX);
		text = *kept = mem_printf("%s...", part);
		free(part);
	} else if (text != NULL && (!text_is_utf8(text, len) || steers_a_terminal(text, len))) {
		text = *kept = text_printable(text, len);
	}
	sql_bind_text(insert, index, text);
}

static int
insert_row(struct actionlog *log, struct log_write *write)
{
	const struct action *action = write->action;
	struct timespec date = action->date.tv_sec == 0 ? time_now() : action->date;
	char when[TIME_TEXT_SIZE], *kept[5];
	int rc;

	if (log->insert == NULL &&
	    sql_prepare(log->db, insert_text, &log->insert, &write->err) != 0)
		return -1;
	time_format(date, 3, when);
	sql_bind_text(log->insert, 1, when);
	bind_clean(log->insert, 2, action->action, &kept[0]);
	bind_clean(log->insert, 3, action->parameter == NULL ? "" : action->parameter, &kept[1]);
	sql_bind_text(log->insert, 4, action->failed ? "ERROR" : "SUCCESS");
	sql_bind_text(log->insert, 5, log->agent);
	bind_clean(log->insert, 6, action->command == NULL ? "" : action->command, &kept[2]);
	sql_bind_text(log->insert, 7, action->outcome);
	sql_bind_text(log->insert, 8, action->run);
	sql_bind_text(log->insert, 9, action->snapshot);
	bind_clean(log->insert, 10, action->origin, &kept[3]);
	sqlite3_bind_int64(log->insert, 11, action->duration_ms);
	sqlite3_bind_int64(log->insert, 12, (int64_t)action->files);
	sqlite3_bind_int64(log->insert, 13, (int64_t)action->bytes);
	sqlite3_bind_int64(log->insert, 14, (int64_t)action->stored_bytes);
	bind_clean(log->insert, 15, action->message, &kept[4]);
	sql_bind_text(log->insert, 16, write->spool);
	sqlite3_bind_int(log->insert, 17, action->once && action->run != NULL);
	rc = sql_step(log->insert, &write->err);
	if (rc == 0)
		write->id = sqlite3_changes(log->db) == 0 ? 0
		    : (uint64_t)sqlite3_last_insert_rowid(log->db);
	sqlite3_reset(log->insert);
	sqlite3_clear_bindings(log->insert);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		free(kept[i]);
	return rc;
}

/* All rows of the batch, or none; caller holds db_lock. */
static int
write_batch(struct actionlog *log, struct log_write *batch, struct error *err)
{
	if (log->db == NULL && open_database(log, err) != 0)
		return -1;
	if (sql_exec(log->db, "BEGIN IMMEDIATE", err) != 0)
		return -1;
	for (struct log_write *write = batch; write != NULL; write = write->next) {
		if (insert_row(log, write) == 0)
			continue;
		*err = write->err;
		goto fail;
	}
	if (sql_exec(log->db, "COMMIT", err) == 0)
		return 0;
fail:
	/* A failed commit may have ended the transaction already. */
	if (!sqlite3_get_autocommit(log->db))
		sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

/* The file went bad under us: set it aside, begin a new one, and say so in it. */
static int
begin_anew(struct actionlog *log, struct error *err)
{
	char *aside = NULL;
	struct error why = *err;
	int rc;

	sqlite3_finalize(log->insert);
	log->insert = NULL;
	sql_close(log->db);
	log->db = NULL;
	if (sql_set_aside(log->path, &aside, err) != 0)
		return -1;
	free(log->notice);
	log->notice = mem_printf("the log '%s' was damaged (%s): it was set aside as '%s' and a "
	    "new one begun", log->path, why.message, aside);
	free(aside);
	rc = open_database(log, err);
	if (rc == 0)
		rc = start_above_old_numbers(log, err);
	if (rc == 0) {
		struct action action = { .action = "Log", .command = "log", .parameter = log->path,
			.failed = true, .outcome = "failed", .origin = "agent",
			.message = log->notice };
		struct log_write row = { .action = &action, .err = ERROR_INIT };

		rc = insert_row(log, &row);
		if (rc != 0)
			*err = row.err;
	}
	return rc;
}

static void
write_and_tell(struct actionlog *log, struct log_write *batch)
{
	struct error err = ERROR_INIT;
	int rc;

	pthread_mutex_lock(&log->db_lock);
	rc = write_batch(log, batch, &err);
	if (rc != 0 && sql_is_damage(&err) && begin_anew(log, &err) == 0)
		rc = write_batch(log, batch, &err);
	pthread_mutex_unlock(&log->db_lock);

	pthread_mutex_lock(&log->queue_lock);
	for (struct log_write *write = batch, *next; write != NULL; write = next) {
		/* The writer may be gone as soon as it sees done. */
		next = write->next;
		if (rc != 0)
			write->err = err;
		else
			error_clear(&write->err);
		if (rc == 0 && write->id > log->newest)
			log->newest = write->id;
		write->done = true;
	}
	log->writing = false;
	pthread_cond_broadcast(&log->written);
	pthread_mutex_unlock(&log->queue_lock);
}

int
actionlog_write_from(struct actionlog *log, const struct action *action, const char *spool,
    uint64_t *ret_id, struct error *err)
{
	struct log_write mine = { .action = action, .spool = spool, .err = ERROR_INIT };

	pthread_mutex_lock(&log->queue_lock);
	*log->last = &mine;
	log->last = &mine.next;
	while (!mine.done) {
		struct log_write *batch;

		if (log->writing) {
			pthread_cond_wait(&log->written, &log->queue_lock);
			continue;
		}
		/* Nobody writes: take all that is waiting, ours among it. */
		log->writing = true;
		batch = log->first;
		log->first = NULL;
		log->last = &log->first;
		pthread_mutex_unlock(&log->queue_lock);
		write_and_tell(log, batch);
		pthread_mutex_lock(&log->queue_lock);
	}
	pthread_mutex_unlock(&log->queue_lock);
	if (mine.err.code != ERROR_NONE) {
		*err = mine.err;
		return -1;
	}
	if (ret_id != NULL)
		*ret_id = mine.id;
	return 0;
}

int
actionlog_write(struct actionlog *log, const struct action *action, uint64_t *ret_id,
    struct error *err)
{
	return actionlog_write_from(log, action, NULL, ret_id, err);
}
