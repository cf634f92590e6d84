/*
 * GET /v1/tables and /v1/tables/{table}: the tables of the configured databases, as the server has
 * them now and as snapshots hold them.  In a thread of its own, as it waits for MariaDB.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/http/openapi.h"
#include "agent/http/request.h"
#include "agent/http/router.h"
#include "agent/http/server_internal.h"
#include "agent/http/stream.h"
#include "agent/tables/describe.h"
#include "agent/tables/held.h"
#include "agent/tables/scan.h"
#include "shared/mem.h"
#include "shared/progress.h"

struct tables_work {
	struct http *http;
	struct repository *repo;
	const struct config_database **databases; /* to be listed, in this order */
	size_t database_count;
	char *after;    /* list: the last table seen of the first of them, or NULL */
	char *table;    /* the one that is asked for; NULL: all */
	char *snapshot; /* the last one seen of it, or NULL */
	uint64_t limit;
};

static void
work_free(void *arg)
{
	struct tables_work *work = arg;

	free(work->databases);
	free(work->after);
	free(work->table);
	free(work->snapshot);
	free(work);
}

/* A damaged snapshot is no reason not to show the others; check tells about it. */
static void
complain(void *arg, const char *id, const struct error *why)
{
	(void)id; /* the message names it */
	server_complain(arg, why);
}

static int
open_database(const struct config_database *database, struct mariadb **ret, struct error *err)
{
	struct mariadb_settings server = config_server_settings(&database->server);

	return scan_open(&server, ret, err);
}

static int
write_json(struct stream *stream, json_t *json, struct error *err)
{
	char *text = json_dumps(json, JSON_COMPACT);
	int rc = stream_write(stream, text, strlen(text), err);

	json_decref(json);
	free(text);
	return rc;
}

static void
add_database(json_t *table, const struct config_database *database)
{
	json_object_set_new(table, "database", json_string(config_database_word(database)));
	json_object_set_new(table, "schema", json_string(database->server.name));
}

/* ---- the list */

struct page {
	struct held *held;
	struct progress *progress;
	json_t *tables, *failed;
	uint64_t room;          /* one more than is shown: then there is a further page */
	struct error failure;   /* of the last database that could not be asked */
};

static int
add_newest(struct page *page, const struct config_database *database, json_t *table,
    struct error *err)
{
	const char *name = json_string_value(json_object_get(table, "table"));
	size_t at = held_first(page->held);
	json_t *newest = NULL;

	if (name != NULL && held_next(page->held, database->folder, name, page->progress, &at,
	    &newest, err) < 0)
		return -1;
	json_object_set_new(table, "newest", newest != NULL ? newest : json_null());
	return 0;
}

static int
list_database(struct page *page, const struct config_database *database, const char *after,
    struct error *err)
{
	struct mariadb *db = NULL;
	json_t *tables = NULL, *one;
	size_t i;
	int rc;

	rc = open_database(database, &db, err);
	if (rc == 0)
		rc = describe_tables(db, database->server.name, after != NULL ? after : "",
		    page->room, page->progress, &tables, err);
	mariadb_close(db);
	if (rc != 0)
		return -1;
	json_array_foreach(tables, i, one) {
		add_database(one, database);
		rc = rc == 0 ? add_newest(page, database, one, err) : rc;
	}
	if (rc == 0) {
		page->room -= json_array_size(tables);
		json_array_extend(page->tables, tables);
	}
	json_decref(tables);
	return rc;
}

/* One server that does not answer does not hide the others' tables. */
static void
give_up_on(struct page *page, const struct config_database *database, const struct error *why)
{
	page->failure = *why;
	json_array_append_new(page->failed, json_pack("{s:s, s:s, s:s}", "database",
	    config_database_word(database), "code", error_word(why->code), "message",
	    why->message));
}

/* "DATABASE:TABLE" of the last that is shown, if there are more. */
static json_t *
page_next(struct page *page)
{
	size_t count = json_array_size(page->tables);
	json_t *last, *next;

	if (page->room > 0)
		return json_null();
	json_array_remove(page->tables, count - 1);
	last = json_array_get(page->tables, count - 2);
	next = json_sprintf("%s:%s", json_string_value(json_object_get(last, "database")),
	    json_string_value(json_object_get(last, "table")));
	return next != NULL ? next : json_null();
}

static int
list_produce(struct stream *stream, void *arg, struct error *err)
{
	struct tables_work *work = arg;
	struct page page = { .progress = stream_progress(stream), .tables = json_array(),
		.failed = json_array(), .room = work->limit + 1, .failure = ERROR_INIT };
	json_t *next;
	int rc = -1;

	if (held_begin(work->repo, complain, work->http, &page.held, err) != 0)
		goto out;
	for (size_t i = 0; i < work->database_count && page.room > 0; i++) {
		if (list_database(&page, work->databases[i], i == 0 ? work->after : NULL,
		    err) == 0)
			continue;
		if (err->code == ERROR_CANCELLED)
			goto out;
		give_up_on(&page, work->databases[i], err);
	}
	if (json_array_size(page.failed) == work->database_count) {
		*err = page.failure;
		goto out;
	}
	next = page_next(&page);
	rc = write_json(stream, json_pack("{s:O, s:o, s:O}", "tables", page.tables, "next", next,
	    "failed", page.failed), err);
out:
	held_free(page.held);
	json_decref(page.tables);
	json_decref(page.failed);
	return rc;
}

/* ---- one table */

static int
add_snapshots(struct tables_work *work, struct held *held, struct progress *progress,
    json_t *json, struct error *err)
{
	size_t at = work->snapshot == NULL ? held_first(held) : held_after(held, work->snapshot);
	json_t *all = json_array(), *one = NULL, *next = NULL;
	const char *last;
	int rc = 0;

	json_object_set_new(json, "snapshots", all);
	if (at == HELD_NONE) {
		error_set(err, ERROR_BAD_REQUEST,
		    "the cursor '%.64s' is no snapshot (any more)", work->snapshot);
		return error_hint(err, "begin again without a cursor");
	}
	while (next == NULL && (rc = held_next(held, work->databases[0]->folder, work->table,
	    progress, &at, &one, err)) == 1) {
		if (json_array_size(all) == work->limit) {
			last = json_string_value(json_object_get(
			    json_array_get(all, work->limit - 1), "snapshot"));
			next = json_string(last);
			json_decref(one);
		} else {
			json_array_append_new(all, one);
		}
	}
	json_object_set_new(json, "next", next != NULL ? next : json_null());
	return rc < 0 ? -1 : 0;
}

static int
table_produce(struct stream *stream, void *arg, struct error *err)
{
	struct tables_work *work = arg;
	const struct config_database *database = work->databases[0];
	struct mariadb *db = NULL;
	struct held *held = NULL;
	json_t *json = NULL;
	int rc = -1, present;

	if (open_database(database, &db, err) != 0)
		return -1;
	present = describe_table(db, database->server.name, work->table, &json, err);
	mariadb_close(db);
	if (present < 0)
		return -1;
	/* What was dropped can be restored as long as a snapshot holds it. */
	if (present == 0)
		json = json_pack("{s:s}", "table", work->table);
	json_object_set_new(json, "present", json_boolean(present));
	add_database(json, database);
	if (held_begin(work->repo, complain, work->http, &held, err) != 0 ||
	    add_snapshots(work, held, stream_progress(stream), json, err) != 0)
		goto out;
	if (present == 0 && work->snapshot == NULL &&
	    json_array_size(json_object_get(json, "snapshots")) == 0) {
		error_set(err, ERROR_NOT_FOUND, "there is no table '%.200s' in database '%.200s', "
		    "and no snapshot of one", work->table, database->server.name);
		error_hint(err, "a table that the configured user may not read counts as absent");
		goto out;
	}
	rc = write_json(stream, json_incref(json), err);
out:
	held_free(held);
	json_decref(json);
	return rc;
}

/* ---- requests */

static struct tables_work *
work_new(const struct request *request)
{
	struct tables_work *work = MEM_NEW(struct tables_work);

	work->http = request->http;
	work->repo = request->services->repo;
	work->limit = openapi_limit(server_openapi(request->http), request);
	return work;
}

/* The databases from the one that "DATABASE:TABLE" names on. */
static int
take_cursor(const struct request *request, struct tables_work *work, struct error *err)
{
	const char *cursor = params_get(&request->params, "cursor"), *colon;
	size_t len, first = 0;

	if (cursor == NULL)
		return 0;
	colon = strchr(cursor, ':');
	len = colon == NULL ? 0 : (size_t)(colon - cursor);
	while (colon != NULL && first < work->database_count &&
	    (strncmp(config_database_word(work->databases[first]), cursor, len) != 0 ||
	    config_database_word(work->databases[first])[len] != '\0'))
		first++;
	if (colon == NULL || first == work->database_count) {
		error_set(err, ERROR_BAD_REQUEST, "the cursor '%.64s' is none of these databases",
		    cursor);
		return error_hint(err, "begin again without a cursor");
	}
	work->database_count -= first;
	memmove(work->databases, work->databases + first,
	    work->database_count * sizeof(*work->databases));
	work->after = mem_strdup(colon + 1);
	return 0;
}

int
http_tables_list(struct request *request, struct response *response, struct error *err)
{
	const struct config *config = request->services->config;
	const char *name = params_get(&request->params, "database");
	const struct config_database *database = NULL;
	struct tables_work *work;

	work = work_new(request);
	work->databases = config_databases(config, &work->database_count);
	/* Without any, the error is that of a name. */
	if ((name != NULL || work->database_count == 0) &&
	    config_database(config, name, &database, err) != 0)
		goto fail;
	if (name != NULL) {
		work->databases[0] = database;
		work->database_count = 1;
	}
	if (take_cursor(request, work, err) != 0)
		goto fail;
	response_stream(response, 200, "application/json", RESPONSE_LENGTH_UNKNOWN, list_produce,
	    work, work_free);
	return 0;
fail:
	work_free(work);
	return -1;
}

int
http_table_get(struct request *request, struct response *response, struct error *err)
{
	const char *cursor = params_get(&request->params, "cursor");
	const struct config_database *database = NULL;
	struct tables_work *work;

	if (config_database(request->services->config, params_get(&request->params, "database"),
	    &database, err) != 0 ||
	    mariadb_check_name("table", request->id, strlen(request->id), err) != 0)
		return -1;
	work = work_new(request);
	work->databases = mem_calloc(1, sizeof(struct config_database *));
	work->databases[0] = database;
	work->database_count = 1;
	work->table = mem_strdup(request->id);
	work->snapshot = cursor == NULL ? NULL : mem_strdup(cursor);
	response_stream(response, 200, "application/json", RESPONSE_LENGTH_UNKNOWN, table_produce,
	    work, work_free);
	return 0;
}
