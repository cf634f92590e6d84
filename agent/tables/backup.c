#include "agent/tables/backup.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/backup_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* ---- which tables */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct table_work *)a)->component,
	    ((const struct table_work *)b)->component);
}

static void
add_work(struct tables_backup *backup, struct table *table)
{
	struct table_work *work;

	backup->works = mem_realloc(backup->works, backup->work_count + 1,
	    sizeof(*backup->works));
	work = &backup->works[backup->work_count++];
	memset(work, 0, sizeof(*work));
	work->table = table;
	work->component = exchange_component(table->name);
}

static void
lose(struct tables_backup *backup, const char *name, const struct error *why)
{
	progress_loss(backup->progress, name, strlen(name), "%s", why->message);
}

/* Who may write to a table, but has no right TRIGGER, is told their names and not what they do. */
static int
check_triggers(const struct table *table, struct error *err)
{
	for (size_t i = 0; i < table->trigger_count; i++) {
		if (table->triggers[i].statement != NULL)
			continue;
		error_set(err, ERROR_DATABASE, "table '%.100s' has a trigger '%.100s' that the server "
		    "does not show", table->name, table->triggers[i].name);
		return error_hint(err, "the user of [database] needs TRIGGER on the table");
	}
	return 0;
}

static int
read_definition(const struct tables_backup *backup, struct mariadb *db, const char *name,
    struct table **ret, struct error *err)
{
	struct table *table = NULL;

	if (table_read(db, backup->options->server->name, name, &table, err) != 0)
		return -1;
	if (check_triggers(table, err) != 0 || table_read_history(db, table, err) != 0) {
		table_free(table);
		return -1;
	}
	*ret = table;
	return 0;
}

/* Read the definitions; a table that cannot be carried is a loss if there are others. */
static int
read_definitions(struct tables_backup *backup, struct mariadb *db, struct error *err)
{
	const struct tables_backup_options *options = backup->options;
	const char *const *names = options->tables;
	size_t count = options->table_count;
	char **all = NULL;
	int rc = 0;

	if (count == 0) {
		if (tables_list(db, options->server->name, &all, &count, err) != 0)
			return -1;
		names = (const char *const *)all;
	}
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct table *table = NULL;
		bool again = false;

		for (size_t k = 0; k < i && !again; k++)
			again = strcmp(names[i], names[k]) == 0;
		if (again)
			continue;
		rc = progress_check(backup->progress, err);
		if (rc == 0 && read_definition(backup, db, names[i], &table, err) == 0) {
			add_work(backup, table);
		} else if (rc == 0 && count > 1 && !mariadb_is_lost(err)) {
			lose(backup, names[i], err);
		} else {
			rc = -1;
		}
	}
	for (size_t i = 0; all != NULL && i < count; i++)
		free(all[i]);
	free(all);
	if (rc != 0)
		return -1;
	if (backup->work_count == 0) {
		/* The last reason stands in err, if there was one. */
		if (count == 0)
			error_set(err, ERROR_NOT_FOUND, "database '%.200s' has no tables",
			    options->server->name);
		return -1;
	}
	error_clear(err);
	qsort(backup->works, backup->work_count, sizeof(*backup->works), compare_names);
	return 0;
}

/* ---- one view */

static bool
is_base(const struct table *table)
{
	return table->kind == TABLE_BASE;
}

static int
lock_tables(struct tables_backup *backup, struct error *err)
{
	struct buffer sql = BUFFER_INIT;
	size_t locked = 0;
	int rc = 0;

	buffer_put_text(&sql, "LOCK TABLES ");
	for (size_t i = 0; i < backup->work_count; i++) {
		const struct table *table = backup->works[i].table;

		if (!is_base(table))
			continue;
		if (locked++ > 0)
			buffer_put_u8(&sql, ',');
		mariadb_put_name(&sql, table->database);
		buffer_put_u8(&sql, '.');
		mariadb_put_name(&sql, table->name);
		buffer_put_text(&sql, " READ");
	}
	if (locked > 0)
		rc = mariadb_exec(backup->locker, (const char *)sql.data, sql.len, NULL, err);
	buffer_done(&sql);
	if (rc != 0) {
		error_prefix(err, "could not hold the tables still for the moment of the backup: ");
		return error_hint(err, "the user needs SELECT, LOCK TABLES, SHOW VIEW and TRIGGER "
		    "on the database");
	}
	return 0;
}

/*
 * Tables are locked for reading until each connection has begun its snapshot; those whose engine
 * has no snapshots stay locked until they are read.  A single connection that reads nothing but
 * tables with snapshots needs no lock.
 */
int
tables_begin_view(struct tables_backup *backup, struct error *err)
{
	for (size_t i = 0; i < backup->work_count; i++)
		if (is_base(backup->works[i].table) && !backup->works[i].table->transactional)
			backup->locked_left++;
	if (backup->connection_count > 1 || backup->locked_left > 0) {
		if (scan_open(backup->options->server, &backup->locker, err) != 0 ||
		    lock_tables(backup, err) != 0)
			return -1;
	}
	for (size_t i = 0; i < backup->connection_count; i++)
		if (mariadb_do(backup->connections[i].db,
		    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", err) != 0 ||
		    mariadb_do(backup->connections[i].db,
		    "START TRANSACTION WITH CONSISTENT SNAPSHOT", err) != 0)
			return -1;
	if (backup->locker != NULL && backup->locked_left == 0)
		return mariadb_do(backup->locker, "UNLOCK TABLES", err);
	return 0;
}

/* ---- the tree of the snapshot */

static void
fill_entry(struct entry *entry, enum entry_kind kind, struct timespec now)
{
	entry->kind = kind;
	entry->mode = kind == ENTRY_DIRECTORY ? 0755 : 0640;
	entry->nlink = 1;
	entry->mtime = now;
	entry->ctime = now;
}

void
tables_first_folder(const struct tables_backup_options *options, struct entry *ret)
{
	entry_init(ret);
	ret->name_len = strcspn(options->folder, "/");
	ret->name = mem_printf("%.*s", (int)ret->name_len, options->folder);
	fill_entry(ret, ENTRY_DIRECTORY, time_now());
}

static struct tree_dir *
add_folder(struct tables_backup *backup, struct tree_dir *dir, const char *name,
    struct timespec now)
{
	struct tree_slot *slot = tree_dir_add(dir, name, strlen(name));

	fill_entry(&slot->entry, ENTRY_DIRECTORY, now);
	return tree_dir_begin(backup->writer, slot);
}

/* Everything in the first folder, with an open slot for each table's file; ends the folder. */
static void
make_tree(struct tables_backup *backup, struct tree_dir *first)
{
	const char *inside = strchr(backup->options->folder, '/');
	struct tree_dir *all = first;
	struct timespec now = time_now();

	/* "databases/NAME" */
	if (inside != NULL)
		all = add_folder(backup, first, inside + 1, now);
	for (size_t i = 0; i < backup->work_count; i++) {
		struct table_work *work = &backup->works[i];
		char *name = mem_printf("%s.avro", work->component);
		struct tree_dir *table, *inner;

		table = add_folder(backup, all, work->component, now);
		inner = add_folder(backup, table, "backup", now);
		work->slot = tree_dir_add(inner, name, strlen(name));
		fill_entry(&work->slot->entry, ENTRY_FILE, now);
		tree_dir_end(inner);
		tree_dir_end(table);
		free(name);
	}
	if (inside != NULL)
		tree_dir_end(all);
	tree_dir_end(first);
}

/* ---- reading all of them */

static void *
connection_main(void *arg)
{
	struct table_connection *connection = arg;
	struct tables_backup *backup = connection->backup;

	for (;;) {
		struct table_work *work = NULL;
		struct error err = ERROR_INIT;

		pthread_mutex_lock(&backup->lock);
		if (backup->next < backup->work_count)
			work = backup->order[backup->next++];
		pthread_mutex_unlock(&backup->lock);
		if (work == NULL)
			return NULL;
		if (table_store(backup, connection->db, work, &err) == 0)
			continue;
		work->failure = err;
	}
}

/* Tables that hold others up first, then the largest. */
static int
compare_work(const void *a, const void *b)
{
	const struct table *x = (*(struct table_work *const *)a)->table;
	const struct table *y = (*(struct table_work *const *)b)->table;
	bool x_locked = is_base(x) && !x->transactional, y_locked = is_base(y) && !y->transactional;

	if (x_locked != y_locked)
		return x_locked ? -1 : 1;
	if (x->rows_guess != y->rows_guess)
		return x->rows_guess > y->rows_guess ? -1 : 1;
	return 0;
}

static int
run_connections(struct tables_backup *backup, struct error *err)
{
	size_t started = 0;
	int sys = 0;

	backup->order = mem_calloc(backup->work_count, sizeof(struct table_work *));
	for (size_t i = 0; i < backup->work_count; i++)
		backup->order[i] = &backup->works[i];
	qsort(backup->order, backup->work_count, sizeof(*backup->order), compare_work);
	for (; started < backup->connection_count && sys == 0; started++)
		sys = pthread_create(&backup->connections[started].thread, NULL, connection_main,
		    &backup->connections[started]);
	if (sys != 0)
		started--;
	/* Those that started do the work of those that did not; none at all is a failure. */
	if (started == 0)
		return error_sys(err, ERROR_IO, sys, "could not start a thread");
	for (size_t i = 0; i < started; i++)
		pthread_join(backup->connections[i].thread, NULL);
	return 0;
}

/* What became of the tables; fails if the run was cancelled, or no table could be read. */
static int
settle(struct tables_backup *backup, struct error *err)
{
	size_t stored = 0;

	if (progress_check(backup->progress, err) != 0)
		return -1;
	for (size_t i = 0; i < backup->work_count; i++)
		stored += backup->works[i].failure.code == ERROR_NONE;
	for (size_t i = 0; i < backup->work_count; i++) {
		struct table_work *work = &backup->works[i];

		if (work->failure.code == ERROR_NONE)
			continue;
		if (stored == 0) {
			*err = work->failure;
			return -1;
		}
		lose(backup, work->table->name, &work->failure);
	}
	return 0;
}

int
tables_store(struct tables_backup *backup, struct tree_dir *first, struct error *err)
{
	int rc;

	make_tree(backup, first);
	rc = run_connections(backup, err);
	if (rc == 0)
		rc = settle(backup, err);
	for (size_t i = 0; i < backup->work_count; i++)
		tree_slot_finish(backup->works[i].slot,
		    rc == 0 && backup->works[i].failure.code == ERROR_NONE);
	return rc;
}

/* ---- what came of it */

char **
tables_sources(const struct tables_backup *backup, size_t *ret_count)
{
	const struct tables_backup_options *options = backup->options;
	size_t count = options->table_count == 0 ? 1 : backup->work_count;
	char **sources = mem_calloc(count, sizeof(*sources));

	for (size_t i = 0; i < count; i++)
		sources[i] = options->table_count == 0 ? mem_printf("/%s", options->folder) :
		    mem_printf("/%s/%s", options->folder, backup->works[i].component);
	*ret_count = count;
	return sources;
}

void
tables_take_figures(const struct tables_backup *backup, struct snapshot *snapshot,
    json_t **ret_tables)
{
	static const char *const kinds[] = { "table", "sequence", "view" };
	json_t *tables = json_array();

	snapshot->directories += 1 + (strchr(backup->options->folder, '/') != NULL) +
	    2 * backup->work_count;
	for (size_t i = 0; i < backup->work_count; i++) {
		const struct table_work *work = &backup->works[i];
		char checksum[ROW_SUM_TEXT_SIZE];

		if (work->failure.code != ERROR_NONE)
			continue;
		snapshot->files++;
		snapshot->new_files++;
		snapshot->bytes += work->bytes;
		row_sum_text(&work->sum, checksum);
		json_array_append_new(tables, json_pack("{s:s, s:s, s:I, s:I, s:s}", "table",
		    work->table->name, "kind", kinds[work->table->kind], "rows",
		    (json_int_t)work->sum.rows, "bytes", (json_int_t)work->bytes, "checksum",
		    checksum));
	}
	*ret_tables = tables;
}

/* The exchange storage has them once the repository has; a file that cannot be published there is
 * a loss. */
void
tables_publish_files(struct tables_backup *backup)
{
	for (size_t i = 0; i < backup->work_count; i++) {
		struct table_work *work = &backup->works[i];
		struct exchange_file *file = work->file;
		struct error err = ERROR_INIT;

		work->file = NULL;
		if (file != NULL && exchange_publish(file, &err) != 0)
			lose(backup, work->table->name, &err);
	}
}

/* ---- begin and end */

int
tables_open(struct tables_backup *backup, struct error *err)
{
	const struct tables_backup_options *options = backup->options;
	size_t wanted = options->connections;

	pthread_mutex_init(&backup->lock, NULL);
	backup->connections = mem_calloc(wanted, sizeof(*backup->connections));
	while (backup->connection_count < wanted) {
		struct table_connection *next = &backup->connections[backup->connection_count];

		if (scan_open(options->server, &next->db, err) != 0)
			return -1;
		next->backup = backup;
		backup->connection_count++;
		if (backup->works != NULL)
			continue;
		/* The first one; more of them than tables would have nothing to do. */
		if (read_definitions(backup, next->db, err) != 0)
			return -1;
		if (wanted > backup->work_count)
			wanted = backup->work_count;
	}
	return 0;
}

void
tables_close(struct tables_backup *backup)
{
	for (size_t i = 0; i < backup->work_count; i++) {
		exchange_abandon(backup->works[i].file);
		table_free(backup->works[i].table);
		free(backup->works[i].component);
	}
	for (size_t i = 0; i < backup->connection_count; i++)
		mariadb_close(backup->connections[i].db);
	mariadb_close(backup->locker);
	free(backup->connections);
	free(backup->works);
	free(backup->order);
	pthread_mutex_destroy(&backup->lock);
}
