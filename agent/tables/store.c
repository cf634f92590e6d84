/*
 * One table into the repository, and beside it onto the exchange storage.
 */
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/content_list.h"
#include "agent/tables/backup_internal.h"
#include "shared/mem.h"

/* Where the blocks of a table go. */
struct outlet {
	struct tables_backup *backup;
	struct table_work *work;
	struct stream *stream;
	struct exchange_file *file; /* or NULL, also once it has failed */
};

static void
into_stream(struct stream *stream, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t room;
		uint8_t *p = stream_room(stream, &room);

		if (room > len)
			room = len;
		memcpy(p, data, room);
		stream_filled(stream, room);
		data += room;
		len -= room;
	}
}

/* The exchange storage failing is no reason not to have a backup. */
static void
give_file_up(struct outlet *outlet, const struct error *why)
{
	const char *name = outlet->work->table->name;

	progress_loss(outlet->backup->progress, name, strlen(name), "%s", why->message);
	exchange_abandon(outlet->file);
	outlet->file = NULL;
}

static int
outlet_write(void *arg, const void *data, size_t len, struct error *err)
{
	struct outlet *outlet = arg;
	struct error why = ERROR_INIT;

	if (progress_check(outlet->backup->progress, err) != 0)
		return -1;
	if (writer_has_failed(outlet->backup->writer))
		return error_set(err, ERROR_IO, "the repository cannot be written");
	limit_wait(outlet->backup->options->read_limit, len);
	into_stream(outlet->stream, data, len);
	if (outlet->file != NULL && exchange_write(outlet->file, data, len, &why) != 0)
		give_file_up(outlet, &why);
	atomic_fetch_add(&outlet->backup->progress->bytes, len);
	return 0;
}

struct ended {
	sem_t there;
	bool ok;
};

static void
stream_ended(void *arg, bool ok)
{
	struct ended *ended = arg;

	ended->ok = ok;
	sem_post(&ended->there);
}

/* End a stream and wait until its last chunk is stored. */
static bool
end_stream(struct stream *stream, struct entry *entry)
{
	struct ended ended = { .ok = false };

	sem_init(&ended.there, 0, 0);
	stream_end(stream, entry, stream_ended, &ended);
	while (sem_wait(&ended.there) != 0)
		continue;
	sem_destroy(&ended.there);
	return ended.ok;
}

/*
 * The schema alone says whether rows can be told apart; the time says whether they are the same.
 * The server does not always know the time: for one, in the moments after a table was made.
 */
static bool
is_same_table(const struct table *a, const struct table *b)
{
	json_t *x = table_schema(a), *y = table_schema(b);
	bool same = json_equal(x, y) != 0 && a->kind == b->kind &&
	    (a->created == NULL || b->created == NULL || strcmp(a->created, b->created) == 0);

	json_decref(x);
	json_decref(y);
	return same;
}

/*
 * Has the table been altered, emptied by TRUNCATE or made anew since the view began?  A look at it
 * first keeps whoever wants to do that now waiting until the rows are read.
 */
static int
check_unaltered(struct mariadb *db, const struct table *table, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	struct table *now = NULL;
	int rc;

	buffer_put_text(&sql, "SELECT 1 FROM ");
	mariadb_put_name(&sql, table->database);
	buffer_put_u8(&sql, '.');
	mariadb_put_name(&sql, table->name);
	buffer_put_text(&sql, " LIMIT 0");
	rc = mariadb_exec(db, (const char *)sql.data, sql.len, NULL, err);
	buffer_done(&sql);
	if (rc != 0 || table_read(db, table->database, table->name, &now, err) != 0)
		return error_prefix(err, "table '%.100s': ", table->name);
	if (table_read_history(db, now, err) != 0) {
		table_free(now);
		return error_prefix(err, "table '%.100s': ", table->name);
	}
	if (!is_same_table(table, now)) {
		error_set(err, ERROR_CONFLICT, "table '%.200s' was altered while it was backed up",
		    table->name);
		error_hint(err, "back it up again");
		rc = -1;
	}
	table_free(now);
	return rc;
}

/* After the last table that has no snapshots, writers may go on. */
static int
release_locks(struct tables_backup *backup, const struct table *table, struct error *err)
{
	int rc = 0;

	if (table->kind != TABLE_BASE || table->transactional)
		return 0;
	pthread_mutex_lock(&backup->lock);
	if (--backup->locked_left == 0)
		rc = mariadb_do(backup->locker, "UNLOCK TABLES", err);
	pthread_mutex_unlock(&backup->lock);
	return rc;
}

static int
read_table(struct tables_backup *backup, struct mariadb *db, struct table *table,
    const char *sql, struct container *container, struct error *err)
{
	/* Back to here, so that nobody has to wait for this table while others are read. */
	if (mariadb_do(db, "SAVEPOINT holdfast", err) != 0 ||
	    check_unaltered(db, table, err) != 0 ||
	    scan_rows(db, table, sql, container, backup->progress, err) != 0)
		return -1;
	return mariadb_do(db, "ROLLBACK TO SAVEPOINT holdfast", err);
}

/* The head goes before what is stored already. */
static int
put_head(struct outlet *outlet, const struct buffer *head, struct error *err)
{
	struct tables_backup *backup = outlet->backup;
	struct entry *entry = &outlet->work->slot->entry, head_entry;
	struct stream *stream = stream_begin(backup->writer);
	struct error why = ERROR_INIT;
	int rc = 0;

	entry_init(&head_entry);
	into_stream(stream, head->data, head->len);
	if (!end_stream(stream, &head_entry))
		rc = error_set(err, ERROR_IO, "the repository cannot be written");
	else
		rc = content_list_prepend(backup->writer, &head_entry, entry, err);
	entry_done(&head_entry);
	if (rc == 0 && outlet->file != NULL &&
	    exchange_fill(outlet->file, head->data, head->len, &why) != 0)
		give_file_up(outlet, &why);
	return rc;
}

static void
open_file(struct outlet *outlet, uint64_t head_len)
{
	const char *url = outlet->backup->options->exchange;
	struct error why = ERROR_INIT;
	char *path;

	if (url == NULL)
		return;
	path = exchange_table_path(outlet->backup->options->folder, outlet->work->table->name);
	if (exchange_create(url, path, head_len, &outlet->file, &why) != 0)
		give_file_up(outlet, &why);
	free(path);
}

static int
store_body(struct outlet *outlet, struct mariadb *db, const char *sql, struct error *err)
{
	struct table_work *work = outlet->work;
	struct table *table = work->table;
	struct container *container;
	int rc = 0;

	outlet->stream = stream_begin(outlet->backup->writer);
	container = container_begin(table, outlet_write, outlet);
	if (table->kind != TABLE_VIEW)
		rc = read_table(outlet->backup, db, table, sql, container, err);
	work->sum = *container_sum(container);
	work->bytes = container_bytes(container);
	container_free(container);
	if (!end_stream(outlet->stream, &work->slot->entry) && rc == 0)
		rc = error_set(err, ERROR_IO, "the repository cannot be written");
	return rc;
}

int
table_store(struct tables_backup *backup, struct mariadb *db, struct table_work *work,
    struct error *err)
{
	struct outlet outlet = { .backup = backup, .work = work };
	struct buffer sql = BUFFER_INIT, head = BUFFER_INIT;
	const char *server = mysql_get_server_info(mariadb_handle(db));
	struct table *table = work->table;
	struct error why = ERROR_INIT;
	int rc = progress_check(backup->progress, err);

	progress_path(backup->progress, table->name, strlen(table->name));
	table_select(table, &sql);
	container_head(table, &work->sum, server, &head);
	if (rc == 0) {
		open_file(&outlet, head.len);
		rc = store_body(&outlet, db, buffer_text(&sql), err);
	}
	if (rc == 0) {
		buffer_clear(&head);
		container_head(table, &work->sum, server, &head);
		rc = put_head(&outlet, &head, err);
		work->bytes += head.len;
		work->slot->entry.size = work->bytes;
	}
	if (release_locks(backup, table, rc == 0 ? err : &why) != 0)
		rc = -1;
	if (rc == 0) {
		work->file = outlet.file;
		atomic_fetch_add(&backup->progress->files, 1);
		if (table->versioned && !table->history)
			progress_note(backup->progress, table->name, strlen(table->name),
			    "system-versioned by transactions: the present rows are in the backup, "
			    "not their history");
	} else {
		exchange_abandon(outlet.file);
	}
	buffer_done(&sql);
	buffer_done(&head);
	return rc;
}
