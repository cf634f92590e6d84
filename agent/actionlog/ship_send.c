/*
 * Shipping: the server's side.  Rows go by one bulk insert; the daily sums of the batch are made
 * here and added in the same transaction, where the table's trigger leaves them to us.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/actionlog/ship_internal.h"
#include "shared/mem.h"

#define BIND_COUNT (SHIP_TEXT_COUNT + SHIP_NUMBER_COUNT + 1)

static const char insert_text[] = "INSERT INTO log (date, action, parameter, status, agent,"
    " command, outcome, run, snapshot, origin, message, sequence, duration_ms, files,"
    " bytes, stored_bytes, journal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

int
ship_position(struct mariadb *db, const char *journal, const char *agent, uint64_t *ret,
    char **ret_name, struct error *err)
{
	struct mariadb_param values[] = { mariadb_text(journal), mariadb_text(agent) };
	struct mariadb_result *result = NULL;
	const char *name;
	int rc;

	if (mariadb_run(db, "INSERT IGNORE INTO log_agents (journal, agent, sequence, seen)"
	    " VALUES (?, ?, 0, UTC_TIMESTAMP(3))", values, 2, NULL, err) != 0 ||
	    mariadb_select(db, "SELECT sequence, agent FROM log_agents WHERE journal = ?", values,
	    1, &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc == 1) {
		*ret = (uint64_t)mariadb_get_int(result, 0);
		name = mariadb_get(result, 1, NULL);
		*ret_name = mem_strdup(name == NULL ? "" : name);
	} else if (rc == 0) {
		error_set(err, ERROR_DATABASE, "'%s' has no row of this agent in log_agents",
		    mariadb_host(db));
	}
	mariadb_result_free(result);
	return rc == 1 ? 0 : -1;
}

/* ---- many rows in one call */

/* Columns bound as arrays: pointers and lengths of texts, numbers side by side. */
struct bulk {
	unsigned rows;
	int columns;
	MYSQL_BIND binds[BIND_COUNT];
	const char **texts[BIND_COUNT];
	unsigned long *lengths[BIND_COUNT];
	char *indicators[BIND_COUNT];
};

static int
bulk_add_texts(struct bulk *bulk)
{
	int i = bulk->columns++;

	bulk->texts[i] = mem_calloc(bulk->rows, sizeof(char *));
	bulk->lengths[i] = mem_calloc(bulk->rows, sizeof(unsigned long));
	bulk->indicators[i] = mem_calloc(bulk->rows, 1);
	bulk->binds[i].buffer_type = MYSQL_TYPE_STRING;
	bulk->binds[i].buffer = (void *)bulk->texts[i];
	bulk->binds[i].length = bulk->lengths[i];
	bulk->binds[i].u.indicator = bulk->indicators[i];
	return i;
}

static void
bulk_set(struct bulk *bulk, int column, size_t row, const char *text, size_t len)
{
	bulk->texts[column][row] = text;
	bulk->lengths[column][row] = len;
	if (text == NULL)
		bulk->indicators[column][row] = STMT_INDICATOR_NULL;
}

/* Lends the numbers. */
static void
bulk_add_numbers(struct bulk *bulk, int64_t *numbers)
{
	bulk->binds[bulk->columns].buffer_type = MYSQL_TYPE_LONGLONG;
	bulk->binds[bulk->columns++].buffer = numbers;
}

static int
bulk_run(struct mariadb *db, struct bulk *bulk, const char *sql, const char *what,
    struct error *err)
{
	MYSQL_STMT *stmt = mysql_stmt_init(mariadb_handle(db));
	int rc = -1;

	if (stmt == NULL)
		return mariadb_error(db, "prepare a statement", err);
	if (mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0 ||
	    mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &bulk->rows) != 0 ||
	    mysql_stmt_bind_param(stmt, bulk->binds) != 0 || mysql_stmt_execute(stmt) != 0)
		mariadb_stmt_error(db, stmt, what, err);
	else
		rc = 0;
	mysql_stmt_close(stmt);
	return rc;
}

static void
bulk_done(struct bulk *bulk)
{
	for (int i = 0; i < bulk->columns; i++) {
		free(bulk->texts[i]);
		free(bulk->lengths[i]);
		free(bulk->indicators[i]);
	}
}

static int
insert_rows(struct mariadb *db, const char *journal, const struct ship_batch *batch,
    struct error *err)
{
	struct bulk bulk = { .rows = (unsigned)batch->count };
	int rc, column;

	for (int i = 0; i < SHIP_TEXT_COUNT; i++) {
		column = bulk_add_texts(&bulk);
		for (size_t row = 0; row < batch->count; row++)
			bulk_set(&bulk, column, row, ship_batch_text(batch, (enum ship_text)i, row),
			    batch->lengths[i][row]);
	}
	for (int i = 0; i < SHIP_NUMBER_COUNT; i++)
		bulk_add_numbers(&bulk, batch->numbers[i]);
	column = bulk_add_texts(&bulk);
	for (size_t row = 0; row < batch->count; row++)
		bulk_set(&bulk, column, row, journal, strlen(journal));
	rc = bulk_run(db, &bulk, insert_text, "insert rows of the log", err);
	bulk_done(&bulk);
	return rc;
}

/* ---- sums */

struct sum {
	const char *date, *agent, *action, *status; /* the batch's; of date the day counts */
	int64_t actions;
	int64_t numbers[SHIP_NUMBER_COUNT];
};

static int
by_key(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	int rc = strncmp(x->date, y->date, 10);

	if (rc == 0)
		rc = strcmp(x->agent, y->agent);
	if (rc == 0)
		rc = strcmp(x->action, y->action);
	return rc != 0 ? rc : strcmp(x->status, y->status);
}

static const char *
text_or_empty(const struct ship_batch *batch, enum ship_text column, size_t row)
{
	const char *text = ship_batch_text(batch, column, row);

	return text == NULL ? "" : text;
}

static int
send_sums(struct mariadb *db, const struct sum *sums, size_t count, struct error *err)
{
	static const enum ship_number order[] = { SHIP_FILES, SHIP_BYTES_READ, SHIP_STORED,
		SHIP_DURATION };
	struct bulk bulk = { .rows = (unsigned)count };
	int64_t *numbers = mem_calloc((ARRAY_LEN(order) + 1) * count, sizeof(*numbers));
	int rc;

	for (int i = 0; i < 4; i++)
		bulk_add_texts(&bulk);
	for (size_t i = 0; i <= ARRAY_LEN(order); i++)
		bulk_add_numbers(&bulk, numbers + i * count);
	for (size_t row = 0; row < count; row++) {
		const struct sum *sum = &sums[row];

		bulk_set(&bulk, 0, row, sum->date, strnlen(sum->date, 10));
		bulk_set(&bulk, 1, row, sum->agent, strlen(sum->agent));
		bulk_set(&bulk, 2, row, sum->action, strlen(sum->action));
		bulk_set(&bulk, 3, row, sum->status, strlen(sum->status));
		numbers[row] = sum->actions;
		for (size_t i = 0; i < ARRAY_LEN(order); i++)
			numbers[(i + 1) * count + row] = sum->numbers[order[i]];
	}
	rc = bulk_run(db, &bulk, "INSERT INTO log_daily (day, agent, action, status, actions,"
	    " files, bytes, stored_bytes, duration_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	    " ON DUPLICATE KEY UPDATE actions = actions + VALUE(actions),"
	    " files = files + VALUE(files), bytes = bytes + VALUE(bytes),"
	    " stored_bytes = stored_bytes + VALUE(stored_bytes),"
	    " duration_ms = duration_ms + VALUE(duration_ms)", "add to the sums of the log", err);
	bulk_done(&bulk);
	free(numbers);
	return rc;
}

/* In the order of the key, so that two agents do not wait for each other crosswise. */
static int
add_sums(struct mariadb *db, const struct ship_batch *batch, struct error *err)
{
	struct sum *sums = mem_calloc(batch->count, sizeof(*sums));
	size_t count = 0;
	int rc;

	for (size_t row = 0; row < batch->count; row++) {
		sums[row].date = text_or_empty(batch, SHIP_DATE, row);
		sums[row].agent = text_or_empty(batch, SHIP_AGENT, row);
		sums[row].action = text_or_empty(batch, SHIP_ACTION, row);
		sums[row].status = text_or_empty(batch, SHIP_STATUS, row);
		sums[row].actions = 1;
		for (int i = 0; i < SHIP_NUMBER_COUNT; i++)
			sums[row].numbers[i] = batch->numbers[i][row];
	}
	qsort(sums, batch->count, sizeof(*sums), by_key);
	for (size_t row = 1; row < batch->count; row++) {
		if (by_key(&sums[count], &sums[row]) != 0) {
			sums[++count] = sums[row];
			continue;
		}
		sums[count].actions++;
		for (int i = 0; i < SHIP_NUMBER_COUNT; i++)
			sums[count].numbers[i] += sums[row].numbers[i];
	}
	rc = send_sums(db, sums, count + 1, err);
	free(sums);
	return rc;
}

/* ---- a batch */

/* 1: the server is where we think, and nobody else can move it until we commit. */
static int
lock_position(struct mariadb *db, const char *journal, uint64_t after, struct error *err)
{
	struct mariadb_param value = mariadb_text(journal);
	char *text = NULL;
	int rc;

	if (mariadb_select_one(db, "SELECT sequence FROM log_agents WHERE journal = ? FOR UPDATE",
		&value, 1, &text, err) != 0)
		return -1;
	rc = text != NULL && strtoull(text, NULL, 10) == after;
	free(text);
	return rc;
}

static int
send_batch(struct mariadb *db, const char *journal, uint64_t after, const struct ship_batch *batch,
    struct error *err)
{
	struct mariadb_param values[] = {
		mariadb_uint((uint64_t)batch->numbers[SHIP_SEQUENCE][batch->count - 1]),
		mariadb_text(journal) };
	int rc = lock_position(db, journal, after, err);

	if (rc != 1)
		return rc;
	if (insert_rows(db, journal, batch, err) != 0 || add_sums(db, batch, err) != 0 ||
	    mariadb_run(db, "UPDATE log_agents SET sequence = ?, seen = UTC_TIMESTAMP(3)"
	    " WHERE journal = ?", values, ARRAY_LEN(values), NULL, err) != 0)
		return -1;
	return 1;
}

int
ship_send(struct mariadb *db, const char *journal, uint64_t after,
    const struct ship_batch *batch, struct error *err)
{
	struct error ignored = ERROR_INIT;
	int rc;

	if (mariadb_do(db, "START TRANSACTION", err) != 0)
		return -1;
	rc = send_batch(db, journal, after, batch, err);
	if (rc != 1) {
		(void)mariadb_do(db, "ROLLBACK", &ignored);
		return rc;
	}
	/* If interrupted here, log_agents tells afterwards whether the batch is there. */
	return mariadb_do(db, "COMMIT", err) == 0 ? 1 : -1;
}
