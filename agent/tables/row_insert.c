#include "agent/tables/row_insert.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/row_insert_internal.h"
#include "shared/mariadb.h"
#include "shared/mem.h"
#include "shared/text.h"

/* More rows in one statement are no faster. */
#define CHUNK_ROWS 2000
#define CHUNK_CELLS (64u << 10)
#define CHUNK_BYTES (1u << 20)
/* ROW_NUMBER of a diagnostic is told from here on. */
#define VERSION_ROW_NUMBER 100700

/* ---- life cycle */

static bool
has_trigger(const struct table *table, const char *event)
{
	for (size_t i = 0; i < table->trigger_count; i++)
		if (strcmp(table->triggers[i].event, event) == 0)
			return true;
	return false;
}

static int
read_limits(struct row_insert *insert, struct error *err)
{
	struct mariadb_result *result = NULL;
	int rc;

	if (mariadb_select(insert->options.db,
	    "SELECT @@max_allowed_packet, @@innodb_rollback_on_timeout", NULL, 0, &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc == 1) {
		insert->packet_max = (size_t)mariadb_get_int(result, 0);
		insert->timeout_ends_all = mariadb_get_int(result, 1) != 0;
	}
	mariadb_result_free(result);
	return rc < 0 ? -1 : 0;
}

static size_t
chunk_rows(const struct row_insert_options *options)
{
	size_t rows = CHUNK_CELLS / (options->rule_count == 0 ? 1 : options->rule_count);

	/* Only a statement of one row is surely either done or not done there, and counted. */
	if (!options->table->transactional && (options->on_duplicate != ROW_DUPLICATE_REJECT ||
	    options->table->trigger_count > 0 ||
	    mariadb_version(options->db) < VERSION_ROW_NUMBER))
		return 1;
	return rows > CHUNK_ROWS ? CHUNK_ROWS : rows == 0 ? 1 : rows;
}

int
row_insert_new(const struct row_insert_options *options, struct row_insert **ret,
    struct error *err)
{
	struct row_insert *insert = MEM_NEW(struct row_insert);

	insert->options = *options;
	insert->mode = options->on_duplicate;
	/* Its UPDATE triggers must not see rows that stay as they are. */
	if (insert->mode == ROW_DUPLICATE_IGNORE && has_trigger(options->table, "UPDATE"))
		insert->mode = ROW_DUPLICATE_REJECT;
	if (read_limits(insert, err) != 0) {
		row_insert_free(insert);
		return -1;
	}
	insert->limit_max = insert->limit = chunk_rows(options);
	insert->chosen = mem_calloc(insert->limit_max, sizeof(*insert->chosen));
	insert->given = mem_calloc(options->rule_count, sizeof(*insert->given));
	insert->binds = mem_calloc(options->rule_count, sizeof(*insert->binds));
	insert->columns = mem_calloc(options->rule_count, sizeof(*insert->columns));
	for (size_t i = 0; i < options->rule_count; i++) {
		struct bound_column *column = &insert->columns[i];

		column->values = mem_calloc(insert->limit_max, sizeof(*column->values));
		column->lengths = mem_calloc(insert->limit_max, sizeof(*column->lengths));
		column->indicators = mem_calloc(insert->limit_max, sizeof(*column->indicators));
	}
	*ret = insert;
	return 0;
}

void
row_insert_free(struct row_insert *insert)
{
	if (insert == NULL)
		return;
	if (insert->stmt != NULL)
		mysql_stmt_close(insert->stmt);
	for (size_t i = 0; insert->columns != NULL && i < insert->options.rule_count; i++) {
		free(insert->columns[i].values);
		free(insert->columns[i].lengths);
		free(insert->columns[i].indicators);
	}
	free(insert->columns);
	free(insert->binds);
	free(insert->given);
	free(insert->chosen);
	free(insert);
}

/* ---- one statement */

/* The rows from at on that one statement takes: good ones, with values for the same columns. */
static void
choose(struct row_insert *insert, const struct row_batch *batch, size_t at)
{
	size_t bytes = 0;

	insert->chosen_count = 0;
	for (; at < batch->count && insert->chosen_count < insert->limit; at++) {
		const struct batch_row *row = &batch->rows[at];
		const struct batch_cell *cells = row_batch_cells(batch, at), *first;

		if (row->state != BATCH_GOOD)
			continue;
		if (insert->chosen_count > 0) {
			if (bytes + row->size > CHUNK_BYTES || bytes + row->size >
			    insert->packet_max / 2)
				return;
			first = row_batch_cells(batch, insert->chosen[0]);
			for (size_t i = 0; i < batch->width; i++)
				if ((cells[i].type == ROW_CELL_LEFT_OUT) !=
				    (first[i].type == ROW_CELL_LEFT_OUT))
					return;
		}
		insert->chosen[insert->chosen_count++] = at;
		bytes += row->size;
	}
}

/* Rows that the server rejects are told from a server that does not take any. */
static bool
is_about_row(const struct row_insert *insert, unsigned number)
{
	const char *state = mysql_stmt_sqlstate(insert->stmt);

	switch (number) {
	case ER_NO_DEFAULT_FOR_FIELD:
	case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
	case ER_WRONG_VALUE_FOR_TYPE:
	case ER_NO_PARTITION_FOR_GIVEN_VALUE:
	case ER_ROW_DOES_NOT_MATCH_GIVEN_PARTITION_SET:
	case ER_VIEW_CHECK_FAILED:
		return true;
	default:
		/* Truncated data, data exceptions, violated constraints, what a trigger signals. */
		return strncmp(state, "01", 2) == 0 || strncmp(state, "22", 2) == 0 ||
		    strncmp(state, "23", 2) == 0 || strncmp(state, "45", 2) == 0;
	}
}

static bool
is_denied(unsigned number)
{
	return number == ER_TABLEACCESS_DENIED_ERROR || number == ER_COLUMNACCESS_DENIED_ERROR;
}

static int
fail(struct row_insert *insert, const char *what, struct error *err)
{
	mariadb_stmt_error(insert->options.db, insert->stmt, what, err);
	if (is_denied((unsigned)err->sys))
		error_hint(err, "the user of [database] needs INSERT%s on the table",
		    insert->mode == ROW_DUPLICATE_UPDATE ? " and UPDATE" : "");
	return -1;
}

/* For the columns that the first of the chosen rows gives. */
static int
prepare(struct row_insert *insert, const struct row_batch *batch, struct error *err)
{
	const struct batch_cell *cells = row_batch_cells(batch, insert->chosen[0]);
	struct buffer sql = BUFFER_INIT;
	bool same = insert->stmt != NULL;
	int rc;

	for (size_t i = 0; i < batch->width; i++) {
		same = same && insert->given[i] == (cells[i].type != ROW_CELL_LEFT_OUT);
		insert->given[i] = cells[i].type != ROW_CELL_LEFT_OUT;
	}
	if (same)
		return 0;
	if (insert->stmt != NULL)
		mysql_stmt_close(insert->stmt);
	insert->stmt = mysql_stmt_init(mariadb_handle(insert->options.db));
	if (insert->stmt == NULL)
		return error_set(err, ERROR_TOO_LARGE, "no memory for a statement");
	row_insert_sql(insert, &sql);
	rc = mysql_stmt_prepare(insert->stmt, buffer_text(&sql), sql.len);
	buffer_done(&sql);
	if (rc == 0)
		return 0;
	fail(insert, "prepare to insert rows", err);
	mysql_stmt_close(insert->stmt);
	insert->stmt = NULL;
	/* Who may not update cannot say "leave it as it is", but see that it is there. */
	if (insert->mode == ROW_DUPLICATE_IGNORE && is_denied((unsigned)err->sys)) {
		insert->mode = ROW_DUPLICATE_REJECT;
		error_clear(err);
		return prepare(insert, batch, err);
	}
	return -1;
}

static void
bind_column(struct row_insert *insert, const struct row_batch *batch, size_t i, MYSQL_BIND *bind)
{
	static const enum enum_field_types types[] = {
		[ROW_BIND_INT] = MYSQL_TYPE_LONGLONG, [ROW_BIND_UINT] = MYSQL_TYPE_LONGLONG,
		[ROW_BIND_DOUBLE] = MYSQL_TYPE_DOUBLE, [ROW_BIND_TEXT] = MYSQL_TYPE_STRING,
		[ROW_BIND_BYTES] = MYSQL_TYPE_BLOB,
	};
	enum row_bind kind = insert->options.rules[i].bind;
	struct bound_column *column = &insert->columns[i];

	for (size_t n = 0; n < insert->chosen_count; n++) {
		const struct batch_cell *cell = &row_batch_cells(batch, insert->chosen[n])[i];

		column->indicators[n] = cell->type == ROW_CELL_NULL ? STMT_INDICATOR_NULL :
		    STMT_INDICATOR_NONE;
		column->lengths[n] = cell->len;
		if (kind == ROW_BIND_TEXT || kind == ROW_BIND_BYTES)
			column->values[n].text = (char *)batch->bytes.data + (cell->type ==
			    ROW_CELL_VALUE ? cell->as.at : 0);
		else if (kind == ROW_BIND_DOUBLE)
			column->values[n].d = cell->as.d;
		else
			column->values[n].u = cell->as.u;
	}
	memset(bind, 0, sizeof(*bind));
	bind->buffer_type = types[kind];
	bind->is_unsigned = kind == ROW_BIND_UINT;
	bind->buffer = column->values;
	bind->length = column->lengths;
	bind->u.indicator = column->indicators;
}

/* 0 done, 1 the server rejects a row, -1. */
static int
execute(struct row_insert *insert, const struct row_batch *batch, struct error *err)
{
	unsigned rows = (unsigned)insert->chosen_count, number;
	size_t count = 0;

	if (prepare(insert, batch, err) != 0)
		return -1;
	for (size_t i = 0; i < batch->width; i++)
		if (insert->given[i])
			bind_column(insert, batch, i, &insert->binds[count++]);
	if (insert->mode != ROW_DUPLICATE_REJECT &&
	    mariadb_do(insert->options.db, "SET " ROW_INSERT_COUNTER " := 0", err) != 0)
		return -1;
	if (mysql_stmt_attr_set(insert->stmt, STMT_ATTR_ARRAY_SIZE, &rows) != 0 ||
	    mysql_stmt_bind_param(insert->stmt, insert->binds) != 0)
		return fail(insert, "bind rows", err);
	if (mysql_stmt_execute(insert->stmt) == 0)
		return 0;
	number = mysql_stmt_errno(insert->stmt);
	fail(insert, "insert rows", err);
	return err->code != ERROR_UNAVAILABLE && is_about_row(insert, number) ? 1 : -1;
}

/* The same, and again while somebody else has a lock. */
static int
execute_patiently(struct row_insert *insert, const struct row_batch *batch, struct error *err)
{
	int64_t until = time_monotonic_ms() + insert->options.lock_wait_ms;
	int rc;

	for (;;) {
		rc = execute(insert, batch, err);
		if (rc != -1 || !mariadb_is_retry(err) || err->sys == ER_LOCK_DEADLOCK ||
		    insert->timeout_ends_all || time_monotonic_ms() >= until)
			return rc;
		error_clear(err);
		if (atomic_load(&insert->options.progress->cancelled))
			return progress_check(insert->options.progress, err);
	}
}

/* ---- what came of it */

static int
count_done(struct row_insert *insert, size_t rows, struct row_load_counts *counts,
    struct error *err)
{
	char *text = NULL;
	uint64_t found = 0;

	if (insert->mode != ROW_DUPLICATE_REJECT) {
		if (mariadb_select_one(insert->options.db, "SELECT " ROW_INSERT_COUNTER, NULL, 0,
		    &text, err) != 0)
			return -1;
		found = text == NULL ? 0 : strtoull(text, NULL, 10);
		free(text);
		if (found > rows)
			found = rows;
	}
	counts->inserted += rows - found;
	if (insert->mode == ROW_DUPLICATE_UPDATE)
		counts->updated += found;
	else
		counts->ignored += found;
	return 0;
}

/* Which of the chosen rows it was, from 0; the count of them if that is not known. */
static int
ask_which(struct row_insert *insert, unsigned number, size_t *ret, struct error *err)
{
	struct mariadb *db = insert->options.db;
	struct mariadb_result *result = NULL;
	size_t which = 0;
	int rc;

	*ret = insert->chosen_count;
	if (insert->chosen_count == 1) {
		*ret = 0;
		return 0;
	}
	/* The number may be that of a row of a trigger's own statement. */
	if (mariadb_version(db) < VERSION_ROW_NUMBER || insert->options.table->trigger_count > 0)
		return 0;
	/* The last of the conditions is the error; before it there may be warnings. */
	if (mariadb_do(db, "GET DIAGNOSTICS @holdfast_last = NUMBER", err) != 0 ||
	    mariadb_do(db, "GET DIAGNOSTICS CONDITION @holdfast_last"
	    " @holdfast_row = ROW_NUMBER, @holdfast_error = MYSQL_ERRNO", err) != 0)
		return -1;
	if (mariadb_select(db, "SELECT @holdfast_row, @holdfast_error", NULL, 0, &result, err) != 0)
		return -1;
	rc = mariadb_next(result, err);
	if (rc == 1 && mariadb_get_int(result, 1) == (int64_t)number)
		which = (size_t)mariadb_get_int(result, 0);
	mariadb_result_free(result);
	if (which >= 1 && which <= insert->chosen_count)
		*ret = which - 1;
	return rc < 0 ? -1 : 0;
}

/* Why, as the server says it, but for the row's number, which is that in the statement. */
static void
reject(struct row_insert *insert, struct batch_row *row, unsigned number, const char *text)
{
	char *shown = text_printable(text, strlen(text)), *at = strstr(shown, " at row ");
	bool is_known = number == ER_DUP_ENTRY || number == ER_DUP_ENTRY_WITH_KEY_NAME;

	if (at != NULL && at[8 + strspn(at + 8, "0123456789")] == '\0')
		*at = '\0';
	row_batch_reject(row, true, row_insert_column(insert, text), shown);
	if (is_known && insert->options.on_duplicate == ROW_DUPLICATE_IGNORE)
		row->state = BATCH_IGNORED;
	free(shown);
}

/* A statement failed for one of its rows; *at moves on where rows before it are in the table. */
static int
handle_rejected(struct row_insert *insert, struct row_batch *batch, size_t *at,
    struct row_load_counts *counts, struct error *err)
{
	unsigned number = mysql_stmt_errno(insert->stmt);
	char *text = mem_strdup(mysql_stmt_error(insert->stmt));
	struct batch_row *row;
	size_t which;
	int rc = -1;

	if (ask_which(insert, number, &which, err) != 0)
		goto out;
	rc = 0;
	insert->limit = insert->chosen_count / 2 > 0 ? insert->chosen_count / 2 : 1;
	if (which == insert->chosen_count) {
		if (insert->options.table->transactional)
			goto out;
		rc = error_set(err, ERROR_DATABASE, "the server rejects one of the rows %llu to "
		    "%llu, and those before it are in the table: %.200s",
		    (unsigned long long)batch->rows[insert->chosen[0]].number,
		    (unsigned long long)batch->rows[insert->chosen[which - 1]].number, text);
		goto out;
	}
	row = &batch->rows[insert->chosen[which]];
	reject(insert, row, number, text);
	counts->ignored += row->state == BATCH_IGNORED;
	if (!insert->options.table->transactional) {
		counts->inserted += which;
		*at = insert->chosen[which] + 1;
	}
out:
	free(text);
	return rc;
}

/* Is there a row that cannot be sent? */
static bool
reject_too_large(struct row_insert *insert, struct row_batch *batch)
{
	struct batch_row *row = &batch->rows[insert->chosen[0]];
	char reason[128];

	/* What is around the values: types and a few numbers. */
	if (row->size + 1024 + 4 * batch->width < insert->packet_max)
		return false;
	snprintf(reason, sizeof(reason), "%zu bytes are more than the server takes at once: its "
	    "max_allowed_packet is %zu", row->size, insert->packet_max);
	row_batch_reject(row, true, NULL, reason);
	return true;
}

int
row_insert_batch(struct row_insert *insert, struct row_batch *batch,
    struct row_load_counts *counts, struct error *err)
{
	size_t at = 0;

	for (;;) {
		bool stop = false;
		int rc;

		if (atomic_load(&insert->options.progress->cancelled))
			return progress_check(insert->options.progress, err);
		choose(insert, batch, at);
		if (insert->chosen_count == 0)
			return 0;
		if (insert->chosen_count == 1 && reject_too_large(insert, batch)) {
			stop = true;
		} else {
			rc = execute_patiently(insert, batch, err);
			if (rc < 0)
				return -1;
			if (rc == 0) {
				if (count_done(insert, insert->chosen_count, counts, err) != 0)
					return -1;
				at = insert->chosen[insert->chosen_count - 1] + 1;
				insert->limit = insert->limit * 2 > insert->limit_max ?
				    insert->limit_max : insert->limit * 2;
				continue;
			}
			error_clear(err);
			if (handle_rejected(insert, batch, &at, counts, err) != 0)
				return -1;
			stop = true;
		}
		/* Whether it was a row, and not a statement to divide, is seen below. */
		if (stop && insert->options.stop_at_first)
			for (size_t i = 0; i < insert->chosen_count; i++)
				if (batch->rows[insert->chosen[i]].state == BATCH_REJECTED)
					return 0;
	}
}
