#include "agent/actionlog/ship.h"

#include <errno.h>
#include <mysqld_error.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/actionlog/ship_internal.h"
#include "agent/migrations.h"
#include "shared/mem.h"
#include "shared/text.h"

/* What commands left in the spool is looked for so often. */
#define LOOK_MS 1000
/* Tries at a server that is away: the first after, and at the most after. */
#define RETRY_FIRST_MS 500
#define RETRY_MOST_MS 30000
/* How far rows are is noted in the journal so often at most: each note is a durable write. */
#define NOTE_MS 10000
#define EXPIRE_MS (10 * 60 * 1000)
#define EXPIRE_ROWS 1000

struct log_ship {
	const struct config *config;
	struct actionlog *log;
	log_ship_tell_fn *tell;
	bool remote; /* a server is configured */
	pthread_t thread;

	/* The thread's own. */
	struct ship_journal journal;
	struct ship_batch batch;
	bool schema_is_up;
	unsigned batch_most; /* rows; fewer after a failure, in case the server takes no more */
	uint64_t noted;
	int64_t noted_ms, expired_ms, retry_ms;

	pthread_mutex_t lock; /* held for moments only */
	bool stop;
	struct mariadb *db;   /* NULL: not connected */
	bool away, told;
	uint64_t position;    /* rows up to here are on the server */
	char host[256], oldest[LOG_DATE_SIZE];
	struct timespec shipped_at, failed_at;
	struct error failure;
};

/* ---- waiting */

static void
deadline_in(int64_t ms, struct timespec *ret)
{
	clock_gettime(CLOCK_REALTIME, ret);
	ret->tv_sec += ms / 1000;
	ret->tv_nsec += ms % 1000 * 1000000;
	if (ret->tv_nsec >= 1000000000) {
		ret->tv_nsec -= 1000000000;
		ret->tv_sec++;
	}
}

static bool
stopping(struct log_ship *ship)
{
	bool stop;

	pthread_mutex_lock(&ship->lock);
	stop = ship->stop;
	pthread_mutex_unlock(&ship->lock);
	return stop;
}

/* Until there is a row above `after`, or so long.  False: the agent stops. */
static bool
wait_for_rows(struct log_ship *ship, uint64_t after, int64_t ms)
{
	struct actionlog *log = ship->log;
	struct timespec until;

	deadline_in(ms, &until);
	pthread_mutex_lock(&log->queue_lock);
	while (log->newest <= after && !stopping(ship))
		if (pthread_cond_timedwait(&log->written, &log->queue_lock, &until) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&log->queue_lock);
	return !stopping(ship);
}

static uint64_t
newest(struct log_ship *ship)
{
	uint64_t id;

	pthread_mutex_lock(&ship->log->queue_lock);
	id = ship->log->newest;
	pthread_mutex_unlock(&ship->log->queue_lock);
	return id;
}

/* ---- connection */

static void
disconnect(struct log_ship *ship)
{
	struct mariadb *db;

	pthread_mutex_lock(&ship->lock);
	db = ship->db;
	ship->db = NULL;
	pthread_mutex_unlock(&ship->lock);
	mariadb_close(db);
}

static void
note_failure(struct log_ship *ship, const struct error *why)
{
	bool tell;

	disconnect(ship);
	pthread_mutex_lock(&ship->lock);
	tell = !ship->told && !ship->stop;
	ship->told = ship->told || tell;
	ship->away = true;
	ship->failure = *why;
	ship->failed_at = time_now();
	pthread_mutex_unlock(&ship->lock);
	/* Once, and not at every try of a night. */
	if (tell)
		ship->tell(ship->host, why);
}

static void
note_success(struct log_ship *ship)
{
	bool tell;

	pthread_mutex_lock(&ship->lock);
	tell = ship->told;
	ship->told = ship->away = false;
	pthread_mutex_unlock(&ship->lock);
	ship->retry_ms = 0;
	if (tell)
		ship->tell(ship->host, NULL);
}

static bool
give_up(void *ship)
{
	return stopping(ship);
}

/* The schema, if it is not up already; looking needs no more rights than reading. */
static int
bring_schema_up(struct log_ship *ship, struct error *err)
{
	struct migrate_task task = { .way = MIGRATE_UP, .give_up = give_up, .give_up_arg = ship };
	struct agent_migrations set = { .migrations = NULL };
	json_t *result = NULL;
	int rc = -1;

	if (ship->schema_is_up)
		return 0;
	if (agent_migrations_load(ship->config, true, NULL, &set, err) != 0)
		return -1;
	if (migrate_status(&set.settings, set.migrations, &result, err) != 0)
		goto out;
	if (json_integer_value(json_object_get(result, "pending")) > 0) {
		json_decref(result);
		result = NULL;
		if (migrate_run(&set.settings, set.migrations, &task, &result, err) != 0)
			goto out;
	}
	ship->schema_is_up = true;
	rc = 0;
out:
	json_decref(result);
	migrations_free(set.migrations);
	return rc;
}

/* Whose journal this is on the server.  Another's name: see ship.h. */
static int
find_position(struct log_ship *ship, struct mariadb *db, struct error *err)
{
	const char *agent = ship->config->name;
	uint64_t position = 0;
	char *name = NULL;
	int rc = -1;

	if (ship_position(db, ship->journal.id, agent, &position, &name, err) != 0)
		return -1;
	if (strcmp(name, agent) != 0) {
		free(name);
		name = NULL;
		if (ship_journal_renew(ship->log, ship->journal.id, err) != 0)
			return -1;
		position = 0;
		if (ship_position(db, ship->journal.id, agent, &position, &name, err) != 0)
			return -1;
		if (position < ship->journal.shipped) {
			struct mariadb_param values[] = { mariadb_uint(ship->journal.shipped),
				mariadb_text(ship->journal.id) };

			position = ship->journal.shipped;
			if (mariadb_run(db,
			    "UPDATE log_agents SET sequence = ? WHERE journal = ?", values,
			    ARRAY_LEN(values), NULL, err) != 0)
				goto out;
		}
	}
	pthread_mutex_lock(&ship->lock);
	ship->position = position;
	pthread_mutex_unlock(&ship->lock);
	rc = 0;
out:
	free(name);
	return rc;
}

static int
connect_to_server(struct log_ship *ship, struct error *err)
{
	struct mariadb_settings settings = config_server_settings(&ship->config->log);
	struct mariadb *db = NULL;

	if (bring_schema_up(ship, err) != 0 || mariadb_open(&settings, &db, err) != 0)
		return -1;
	/* A row that some server finds too long must not stop all that come after it. */
	if (mariadb_do(db, "SET SESSION sql_mode = '', time_zone = '+00:00',"
	    " @holdfast_sums_itself = 1", err) != 0 || find_position(ship, db, err) != 0) {
		mariadb_close(db);
		return -1;
	}
	pthread_mutex_lock(&ship->lock);
	ship->db = db;
	snprintf(ship->host, sizeof(ship->host), "%s", mariadb_host(db));
	pthread_mutex_unlock(&ship->lock);
	return 0;
}

/* ---- shipping */

static void
note_in_journal(struct log_ship *ship, bool now)
{
	struct error ignored = ERROR_INIT;

	if (ship->noted == ship->position ||
	    (!now && time_monotonic_ms() - ship->noted_ms < NOTE_MS))
		return;
	/* The server knows better; this is for looking at, and for what may be removed here. */
	if (ship_journal_note(ship->log, ship->position, &ignored) == 0)
		ship->noted = ship->position;
	ship->noted_ms = time_monotonic_ms();
}

static void
note_oldest(struct log_ship *ship)
{
	const char *date = ship->batch.count == 0 ? "" :
	    ship_batch_text(&ship->batch, SHIP_DATE, 0);

	pthread_mutex_lock(&ship->lock);
	snprintf(ship->oldest, sizeof(ship->oldest), "%.23s", date == NULL ? "" : date);
	pthread_mutex_unlock(&ship->lock);
}

/* All that is there.  0: nothing is left, or the agent stops. */
static int
ship_rows(struct log_ship *ship, struct error *err)
{
	struct ship_batch *batch = &ship->batch;
	int rc;

	while (!stopping(ship)) {
		if (ship_journal_rows(ship->log, ship->position, ship->batch_most, batch, err) != 0)
			return -1;
		note_oldest(ship);
		if (batch->count == 0)
			break;
		rc = ship_send(ship->db, ship->journal.id, ship->position, batch, err);
		/* A deadlock with another agent's sums: the server rolled back. */
		if (rc < 0 && mariadb_is_retry(err))
			continue;
		if (rc < 0) {
			ship->batch_most = ship->batch_most / 4 + 1;
			return -1;
		}
		if (rc == 0) {
			if (find_position(ship, ship->db, err) != 0)
				return -1;
			continue;
		}
		pthread_mutex_lock(&ship->lock);
		ship->position = (uint64_t)batch->numbers[SHIP_SEQUENCE][batch->count - 1];
		ship->shipped_at = time_now();
		pthread_mutex_unlock(&ship->lock);
		ship->batch_most *= 2;
		if (ship->batch_most > SHIP_ROWS)
			ship->batch_most = SHIP_ROWS;
		note_in_journal(ship, false);
	}
	batch->count = 0;
	note_oldest(ship);
	return 0;
}

/* ---- retention */

static int
expire_remote(struct log_ship *ship, const char *before, struct error *err)
{
	struct mariadb_param values[] = { mariadb_text(ship->config->name), mariadb_text(before),
		mariadb_int(EXPIRE_ROWS) };
	uint64_t removed;

	do {
		if (mariadb_run(ship->db,
		    "DELETE FROM log WHERE agent IN (?, '') AND date < ? LIMIT ?", values,
		    ARRAY_LEN(values), &removed, err) != 0)
			return -1;
	} while (removed == EXPIRE_ROWS && !stopping(ship));
	return 0;
}

static int
expire_here(struct log_ship *ship, const char *before, struct error *err)
{
	/* Rows that wait for a server stay, however old they are. */
	uint64_t upto = ship->remote ? ship->position : INT64_MAX;
	unsigned removed;

	do {
		if (ship_journal_expire(ship->log, before, upto, EXPIRE_ROWS, &removed, err) != 0)
			return -1;
	} while (removed == EXPIRE_ROWS && !stopping(ship));
	return 0;
}

static int
expire(struct log_ship *ship, struct error *err)
{
	int64_t now_ms = time_monotonic_ms();
	struct timespec before = time_now();
	char text[TIME_TEXT_SIZE], plain[TIME_TEXT_SIZE];

	if (ship->config->log_retention_s == 0 ||
	    (ship->expired_ms != 0 && now_ms - ship->expired_ms < EXPIRE_MS))
		return 0;
	before.tv_sec -= ship->config->log_retention_s;
	time_format(before, 3, text);
	snprintf(plain, sizeof(plain), "%.10s %.12s", text, text + 11);
	if (ship->db != NULL && expire_remote(ship, plain, err) != 0)
		return -1;
	if (expire_here(ship, text, err) != 0)
		return -1;
	ship->expired_ms = now_ms;
	return 0;
}

/* ---- the thread */

/* After a failure: longer each time, and not all agents at the same moment. */
static int64_t
next_retry_ms(struct log_ship *ship)
{
	ship->retry_ms = ship->retry_ms == 0 ? RETRY_FIRST_MS : ship->retry_ms * 2;
	if (ship->retry_ms > RETRY_MOST_MS)
		ship->retry_ms = RETRY_MOST_MS;
	return ship->retry_ms / 2 + (int64_t)randombytes_uniform((uint32_t)ship->retry_ms / 2 + 1);
}

/* A journal that was damaged has been replaced by a new one. */
static int
look_for_new_journal(struct log_ship *ship, struct error *err)
{
	struct ship_journal journal;

	if (ship_journal_read(ship->log, &journal, err) != 0)
		return -1;
	if (strcmp(journal.id, ship->journal.id) == 0)
		return 0;
	ship->journal = journal;
	ship->noted = journal.shipped;
	pthread_mutex_lock(&ship->lock);
	ship->position = journal.shipped;
	pthread_mutex_unlock(&ship->lock);
	disconnect(ship);
	return 0;
}

static int
work(struct log_ship *ship, struct error *err)
{
	if (look_for_new_journal(ship, err) != 0)
		return -1;
	if (ship->remote && ship->db == NULL && connect_to_server(ship, err) != 0)
		return -1;
	if (ship->remote && ship_rows(ship, err) != 0)
		return -1;
	return expire(ship, err);
}

/* So that somebody who looks sees how old the oldest row is that waits. */
static void
look_at_waiting(struct log_ship *ship)
{
	struct error ignored = ERROR_INIT;

	if (ship_journal_rows(ship->log, ship->position, 1, &ship->batch, &ignored) == 0)
		note_oldest(ship);
}

static void *
ship_main(void *arg)
{
	struct log_ship *ship = arg;
	bool go_on = true;

	while (go_on) {
		struct error err = ERROR_INIT;
		bool connected = ship->db != NULL;

		actionlog_take_spool(ship->log);
		if (work(ship, &err) == 0) {
			note_success(ship);
			go_on = wait_for_rows(ship, ship->remote ? ship->position : UINT64_MAX,
			    LOOK_MS);
			note_in_journal(ship, false);
			continue;
		}
		/* A server closes what was idle for long: no failure, if the next try works. */
		if (connected && ship->retry_ms == 0 && mariadb_is_lost(&err)) {
			ship->retry_ms = RETRY_FIRST_MS;
			disconnect(ship);
			continue;
		}
		/* A table or column that is missing: somebody took the schema back. */
		if (err.sys == ER_NO_SUCH_TABLE || err.sys == ER_BAD_FIELD_ERROR ||
		    err.sys == ER_BAD_DB_ERROR)
			ship->schema_is_up = false;
		note_failure(ship, &err);
		look_at_waiting(ship);
		go_on = wait_for_rows(ship, UINT64_MAX, next_retry_ms(ship));
	}
	if (ship->remote)
		note_in_journal(ship, true);
	disconnect(ship);
	return NULL;
}

int
log_ship_start(const struct config *config, struct actionlog *log, log_ship_tell_fn *tell,
    struct log_ship **ret, struct error *err)
{
	struct log_ship *ship;
	int rc;

	*ret = NULL;
	if (config->log.hosts_count == 0 && config->log_retention_s == 0)
		return 0;
	ship = MEM_NEW(struct log_ship);
	ship->config = config;
	ship->log = log;
	ship->tell = tell;
	ship->remote = config->log.hosts_count > 0;
	ship->batch_most = SHIP_ROWS;
	if (ship->remote)
		snprintf(ship->host, sizeof(ship->host), "%s", config->log.hosts[0]);
	pthread_mutex_init(&ship->lock, NULL);
	ship_batch_init(&ship->batch);
	if (ship_journal_read(log, &ship->journal, err) != 0)
		goto fail;
	ship->position = ship->noted = ship->journal.shipped;
	pthread_mutex_lock(&log->queue_lock);
	if (log->newest < ship->journal.newest)
		log->newest = ship->journal.newest;
	pthread_mutex_unlock(&log->queue_lock);
	rc = pthread_create(&ship->thread, NULL, ship_main, ship);
	if (rc != 0) {
		error_sys(err, ERROR_IO, rc, "could not start a thread");
		goto fail;
	}
	*ret = ship;
	return 0;
fail:
	ship_batch_done(&ship->batch);
	pthread_mutex_destroy(&ship->lock);
	free(ship);
	return -1;
}

void
log_ship_stop(struct log_ship *ship)
{
	if (ship == NULL)
		return;
	pthread_mutex_lock(&ship->lock);
	ship->stop = true;
	/* A server that hangs would hold us for its time-out. */
	if (ship->db != NULL)
		mariadb_interrupt(ship->db);
	pthread_mutex_unlock(&ship->lock);
	pthread_mutex_lock(&ship->log->queue_lock);
	pthread_cond_broadcast(&ship->log->written);
	pthread_mutex_unlock(&ship->log->queue_lock);
	pthread_join(ship->thread, NULL);
	ship_batch_done(&ship->batch);
	pthread_mutex_destroy(&ship->lock);
	free(ship);
}

/* ---- looking at it */

static json_t *
time_json(struct timespec t)
{
	char text[TIME_TEXT_SIZE];

	if (t.tv_sec == 0)
		return json_null();
	time_format(t, 3, text);
	return json_string(text);
}

json_t *
log_ship_status(struct log_ship *ship)
{
	uint64_t last, position;
	json_t *json;

	if (ship == NULL || !ship->remote)
		return json_pack("{s:s}", "state", "off");
	last = newest(ship);
	pthread_mutex_lock(&ship->lock);
	position = ship->position;
	json = json_pack("{s:s, s:s, s:I, s:o, s:o}", "state",
	    ship->db != NULL ? "connected" : ship->away ? "away" : "connecting", "host", ship->host,
	    "waiting", (json_int_t)(last > position ? last - position : 0), "last_shipped",
	    time_json(ship->shipped_at), "oldest_waiting",
	    last > position && *ship->oldest != '\0' ? json_sprintf("%.10sT%sZ", ship->oldest,
	    ship->oldest + 11) : json_null());
	if (ship->failed_at.tv_sec != 0) {
		json_object_set_new(json, "last_error", json_string(ship->failure.message));
		json_object_set_new(json, "last_error_time", time_json(ship->failed_at));
	}
	pthread_mutex_unlock(&ship->lock);
	return json;
}
