#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/actionlog/actionlog.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_folder.h"

static int
set_up(void **state)
{
	*state = test_folder_new();
	return 0;
}

static int
tear_down(void **state)
{
	test_folder_remove(*state);
	return 0;
}

static struct actionlog *
open_log(const char *folder)
{
	struct error err = ERROR_INIT;
	struct actionlog *log = NULL;

	if (actionlog_open(folder, "web1", &log, &err) != 0)
		fail_msg("%s", err.message);
	return log;
}

static struct timespec
at(const char *text)
{
	struct error err = ERROR_INIT;
	struct timespec t;

	assert_int_equal(time_parse(text, false, &t, &err), 0);
	return t;
}

static uint64_t
add(struct actionlog *log, const char *action, const char *parameter, const char *date,
    bool failed)
{
	struct action row = { .action = action, .command = "POST /backup", .parameter = parameter,
		.failed = failed, .files = 2, .bytes = 30, .stored_bytes = 4, .snapshot = "abcd" };
	struct error err = ERROR_INIT;
	uint64_t id = 0;

	if (date != NULL)
		row.date = at(date);
	if (actionlog_write(log, &row, &id, &err) != 0)
		fail_msg("%s", err.message);
	return id;
}

static json_t *
rows(struct actionlog *log, struct actionlog_filter filter)
{
	struct error err = ERROR_INIT;
	json_t *all = NULL;

	if (actionlog_read(log, &filter, &all, &err) != 0)
		fail_msg("%s", err.message);
	return all;
}

static size_t
count(struct actionlog *log, struct actionlog_filter filter)
{
	json_t *all = rows(log, filter);
	size_t n = json_array_size(all);

	json_decref(all);
	return n;
}

static json_int_t
stat_of(struct actionlog *log, struct actionlog_filter filter, const char *key)
{
	struct error err = ERROR_INIT;
	json_t *all = NULL;
	json_int_t n;

	if (actionlog_stat(log, &filter, &all, &err) != 0)
		fail_msg("%s", err.message);
	assert_non_null(json_object_get(all, key));
	n = json_integer_value(json_object_get(all, key));
	json_decref(all);
	return n;
}

static void
sql(const char *folder, const char *text)
{
	char *path = test_path(folder, "log.sqlite"), *why = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
	free(path);
}

static const struct actionlog_filter everything;

static void
a_row_comes_back_with_all_its_columns(void **state)
{
	struct action row = { .date = { 1700000000, 123456789 }, .action = "Backup",
		.command = "POST /backup", .parameter = "/srv", .outcome = "warn", .run = "r1",
		.snapshot = "s1", .origin = "127.0.0.1 token:first", .message = "1 path lost",
		.duration_ms = 42, .files = 3, .bytes = 4, .stored_bytes = 5 };
	struct actionlog *log = open_log(*state);
	struct error err = ERROR_INIT;
	json_t *all, *expected;
	uint64_t id = 0;

	assert_int_equal(actionlog_write(log, &row, &id, &err), 0);
	assert_int_equal(id, 1);
	all = rows(log, everything);
	expected = json_pack(
	    "[{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i,"
	    " s:i, s:i}]",
	    "id", 1, "date", "2023-11-14T22:13:20.123Z", "action", "Backup", "command",
	    "POST /backup", "parameter", "/srv", "status", "SUCCESS", "agent", "web1", "outcome",
	    "warn", "run", "r1", "snapshot", "s1", "origin", "127.0.0.1 token:first", "message",
	    "1 path lost", "duration_ms", 42, "files", 3, "bytes", 4, "stored_bytes", 5);
	assert_non_null(expected);
	assert_true(json_equal(all, expected));
	json_decref(expected);
	json_decref(all);
	actionlog_close(log);
}

static void
rows_outlive_the_log_and_numbers_go_on(void **state)
{
	struct actionlog *log = open_log(*state);

	add(log, "Backup", "/a", NULL, false);
	add(log, "Backup", "/b", NULL, true);
	actionlog_close(log);
	log = open_log(*state);
	assert_int_equal(add(log, "Logs", "", NULL, false), 3);
	assert_int_equal(count(log, everything), 3);
	actionlog_close(log);
}

static void
inserts_of_the_ancestor_work_and_are_counted(void **state)
{
	struct actionlog *log = open_log(*state);
	json_t *all;

	actionlog_close(log);
	sql(*state, "INSERT INTO log(action, parameter, status) VALUES('Backup', '/a', 'SUCCESS');"
	    "INSERT INTO log(date, action, parameter, status)"
	    " VALUES('2021-05-06 07:08:09', 'Backup', '/b', 'ERROR')");
	log = open_log(*state);
	all = rows(log, everything);
	assert_int_equal(json_array_size(all), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "agent")),
	    "web1");
	/* The date in another form was brought into ours. */
	assert_string_equal(json_string_value(json_object_get(json_array_get(all, 1), "date")),
	    "2021-05-06T07:08:09.000Z");
	json_decref(all);
	assert_int_equal(stat_of(log, everything, "number-of-backups"), 2);
	assert_int_equal(stat_of(log, everything, "successful-operations"), 1);
	assert_int_equal(stat_of(log, everything, "failed-operations"), 1);
	assert_int_equal(stat_of(log, (struct actionlog_filter){ .start = at("2021-05-06"),
	    .end = at("2021-05-07T12:00:00Z") }, "operations"), 1);
	actionlog_close(log);
}

static void
filters_choose_by_date_action_status_text_and_id(void **state)
{
	struct actionlog *log = open_log(*state);

	add(log, "Backup", "/srv/100%", "2026-01-01T10:00:00Z", false);
	add(log, "Backup", "/srv/1000", "2026-01-02T10:00:00.500Z", true);
	add(log, "Restore", "/home", "2026-01-03T10:00:00Z", false);
	assert_int_equal(count(log, (struct actionlog_filter){ .action = "Backup" }), 2);
	assert_int_equal(count(log, (struct actionlog_filter){ .action = "" }), 3);
	assert_int_equal(count(log, (struct actionlog_filter){ .status = "ERROR" }), 1);
	assert_int_equal(count(log, (struct actionlog_filter){ .q = "SRV" }), 2);
	assert_int_equal(count(log, (struct actionlog_filter){ .q = "0%" }), 1);
	assert_int_equal(count(log, (struct actionlog_filter){ .after = 2 }), 1);
	assert_int_equal(count(log, (struct actionlog_filter){ .after = UINT64_MAX }), 0);
	assert_int_equal(count(log, (struct actionlog_filter){ .limit = 2 }), 2);
	/* Both ends are inclusive. */
	assert_int_equal(count(log, (struct actionlog_filter){
	    .start = at("2026-01-02T10:00:00.500Z"), .end = at("2026-01-02T10:00:00.500Z") }), 1);
	assert_int_equal(count(log, (struct actionlog_filter){
	    .start = at("2026-01-02T10:00:00.501Z") }), 1);
	assert_int_equal(count(log, (struct actionlog_filter){
	    .end = at("2026-01-02T10:00:00.499Z") }), 1);
	assert_int_equal(count(log, (struct actionlog_filter){ .start = at("2026-02-01") }), 0);
	actionlog_close(log);
}

static void
pages_join_to_the_whole_in_order(void **state)
{
	struct actionlog *log = open_log(*state);
	struct actionlog_filter filter = { .action = "Backup" };
	json_int_t last = 0;
	size_t total = 0, n;

	actionlog_close(log);
	/* Rows of another action lie between, so that windows of ids come back empty. */
	sql(*state, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
	    " WHERE i < 60000) INSERT INTO log(date, action, parameter, status)"
	    " SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 1700000000 + i * 60, 'unixepoch'),"
	    " CASE WHEN i < 1500 OR i > 59000 THEN 'Backup' ELSE 'Logs' END, i, 'SUCCESS' FROM n");
	log = open_log(*state);
	do {
		json_t *page = rows(log, filter), *row;
		size_t i;

		n = json_array_size(page);
		json_array_foreach(page, i, row) {
			json_int_t id = json_integer_value(json_object_get(row, "id"));

			assert_true(id > last);
			last = id;
		}
		json_decref(page);
		filter.after = (uint64_t)last;
		total += n;
	} while (n == ACTIONLOG_PAGE);
	assert_int_equal(total, 2499);
	assert_int_equal(last, 60000);
	actionlog_close(log);
}

/* What a reader is told, and what it does in its pauses. */
struct reading {
	struct actionlog *log;
	size_t rows, pauses, since_pause, most;
	size_t end_at; /* this pause fails; 0: none */
	int64_t last;
};

static void
note_row(void *arg, const struct actionlog_cell *cells)
{
	struct reading *reading = arg;

	assert_true(cells[ACTIONLOG_ID].number > reading->last);
	reading->last = cells[ACTIONLOG_ID].number;
	reading->rows++;
	reading->since_pause++;
	if (reading->since_pause > reading->most)
		reading->most = reading->since_pause;
}

static int
note_pause(void *arg, struct error *err)
{
	struct reading *reading = arg;

	reading->pauses++;
	reading->since_pause = 0;
	/* The log is not locked. */
	add(reading->log, "Stats", "", NULL, false);
	if (reading->pauses == reading->end_at)
		return error_set(err, ERROR_CANCELLED, "enough");
	return 0;
}

static int
read_each(struct reading *reading, struct actionlog_filter filter, struct error *err)
{
	const struct actionlog_reader reader = { note_row, note_pause, reading };

	return actionlog_each(reading->log, &filter, &reader, err);
}

static void
a_reader_is_given_pauses_and_ends_at_its_limit(void **state)
{
	struct reading all = { .log = open_log(*state) }, limited = all, none = all, ended = all;
	struct error err = ERROR_INIT;

	actionlog_close(all.log);
	sql(*state, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
	    " WHERE i < 30000) INSERT INTO log(action, parameter, status)"
	    " SELECT CASE WHEN i < 2500 THEN 'Backup' ELSE 'Logs' END, i, 'SUCCESS' FROM n");
	all.log = limited.log = none.log = ended.log = open_log(*state);
	assert_int_equal(read_each(&all, (struct actionlog_filter){ .action = "Backup" }, &err), 0);
	assert_int_equal(all.rows, 2499);
	assert_int_equal(all.most, ACTIONLOG_PAGE);
	/* Rows that are written meanwhile do not make it endless. */
	assert_in_range(all.pauses, 3, 5);
	assert_int_equal(read_each(&limited, (struct actionlog_filter){ .limit = 1500,
	    .after = 10 }, &err), 0);
	assert_int_equal(limited.rows, 1500);
	assert_int_equal(limited.last, 1510);
	/* A search without a hit has its pauses, too. */
	assert_int_equal(read_each(&none, (struct actionlog_filter){ .q = "nowhere" }, &err), 0);
	assert_int_equal(none.rows, 0);
	assert_in_range(none.pauses, 2, 3);
	ended.end_at = 2;
	assert_int_equal(read_each(&ended, (struct actionlog_filter){ .limit = 0 }, &err), -1);
	assert_int_equal(err.code, ERROR_CANCELLED);
	assert_int_equal(ended.rows, 2 * ACTIONLOG_PAGE);
	actionlog_close(all.log);
}

static void
sums_are_exact_for_any_range(void **state)
{
	static const char *const dates[] = { "2026-01-01T00:00:00Z", "2026-01-01T23:59:59.999Z",
		"2026-01-02T12:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T06:00:00Z",
		"2026-01-04T18:00:00Z" };
	struct actionlog *log = open_log(*state);

	for (size_t i = 0; i < ARRAY_LEN(dates); i++)
		add(log, i % 2 == 0 ? "Backup" : "Stats", "", dates[i], i == 4);
	/* Every pair of bounds, compared with the count of rows. */
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		for (size_t j = i; j < ARRAY_LEN(dates); j++) {
			struct actionlog_filter filter = { .start = at(dates[i]),
				.end = at(dates[j]) };

			assert_int_equal(stat_of(log, filter, "operations"), count(log, filter));
			filter.end = (struct timespec){ 0, 0 };
			assert_int_equal(stat_of(log, filter, "operations"), count(log, filter));
			filter.end = at(dates[j]);
			filter.start = (struct timespec){ 0, 0 };
			assert_int_equal(stat_of(log, filter, "operations"), count(log, filter));
		}
	}
	assert_int_equal(stat_of(log, (struct actionlog_filter){ .action = "Backup",
	    .status = "ERROR" }, "operations"), 1);
	assert_int_equal(stat_of(log, everything, "bytes"), 90);
	assert_int_equal(stat_of(log, everything, "failed-backups"), 1);
	actionlog_close(log);
	/* Rows that others change or delete move the sums. */
	sql(*state, "DELETE FROM log WHERE id = 1; UPDATE log SET status = 'SUCCESS' WHERE id = 5");
	log = open_log(*state);
	assert_int_equal(stat_of(log, everything, "operations"), 5);
	assert_int_equal(stat_of(log, everything, "failed-operations"), 0);
	assert_int_equal(stat_of(log, everything, "number-of-backups"), 2);
	actionlog_close(log);
}

static void
the_last_backup_is_the_newest_that_succeeded(void **state)
{
	struct actionlog *log = open_log(*state);
	struct error err = ERROR_INIT;
	json_t *all = NULL;

	assert_int_equal(actionlog_stat(log, &everything, &all, &err), 0);
	assert_true(json_is_null(json_object_get(all, "last-backup")));
	json_decref(all);
	add(log, "Backup", "/a", NULL, false);
	add(log, "Backup", "/b", NULL, true);
	assert_int_equal(actionlog_stat(log, &everything, &all, &err), 0);
	assert_string_equal(json_string_value(json_object_get(json_object_get(all, "last-backup"),
	    "parameter")), "/a");
	json_decref(all);
	actionlog_close(log);
}

static void
a_row_marked_once_is_written_once_for_its_run_and_action(void **state)
{
	struct action row = { .action = "Backup", .run = "r1", .once = true };
	struct actionlog *log = open_log(*state);
	struct error err = ERROR_INIT;
	uint64_t id = 9;

	assert_int_equal(actionlog_write(log, &row, &id, &err), 0);
	assert_int_equal(id, 1);
	assert_int_equal(actionlog_write(log, &row, &id, &err), 0);
	assert_int_equal(id, 0);
	row.action = "Cancel";
	assert_int_equal(actionlog_write(log, &row, &id, &err), 0);
	assert_int_equal(id, 2);
	assert_int_equal(count(log, everything), 2);
	actionlog_close(log);
}

struct writer {
	struct actionlog *log;
	pthread_t thread;
	unsigned failed;
	uint64_t ids[200];
};

static void *
write_many(void *arg)
{
	struct writer *writer = arg;

	for (size_t i = 0; i < ARRAY_LEN(writer->ids); i++) {
		struct action row = { .action = "Backup", .parameter = "/x" };
		struct error err = ERROR_INIT;

		if (actionlog_write(writer->log, &row, &writer->ids[i], &err) != 0)
			writer->failed++;
	}
	return NULL;
}

static void
many_threads_write_and_none_is_lost_or_doubled(void **state)
{
	struct actionlog *log = open_log(*state);
	bool seen[8 * 200 + 1] = { false };
	struct writer writers[8];

	for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
		writers[i] = (struct writer){ .log = log };
		assert_int_equal(
		    pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
		pthread_join(writers[i].thread, NULL);
		assert_int_equal(writers[i].failed, 0);
		for (size_t j = 0; j < ARRAY_LEN(writers[i].ids); j++) {
			assert_in_range(writers[i].ids[j], 1, 1600);
			assert_false(seen[writers[i].ids[j]]);
			seen[writers[i].ids[j]] = true;
		}
	}
	assert_int_equal(stat_of(log, everything, "operations"), 1600);
	actionlog_close(log);
}

static void
a_file_that_is_no_database_is_set_aside_and_said_so(void **state)
{
	char *path = test_path(*state, "log.sqlite");
	struct actionlog *log;
	json_t *all;

	test_file_write(
	    path, "this is no database at all, but long enough to be one .........", 60);
	log = open_log(*state);
	assert_non_null(actionlog_notice(log));
	all = rows(log, everything);
	assert_int_equal(json_array_size(all), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "status")),
	    "ERROR");
	assert_non_null(strstr(
	    json_string_value(json_object_get(json_array_get(all, 0), "message")), ".damaged-"));
	/* Its numbers are above those that the lost one may have given. */
	assert_true(json_integer_value(json_object_get(json_array_get(all, 0), "id")) > 1000000000);
	json_decref(all);
	actionlog_close(log);
	free(path);
}

static void
damage_within_the_file_is_found_at_the_start(void **state)
{
	char *path = test_path(*state, "log.sqlite");
	struct actionlog *log = open_log(*state);
	uint8_t *data;
	size_t len;

	for (int i = 0; i < 300; i++)
		add(log, "Backup", "/some/path/that/takes/room", NULL, false);
	actionlog_close(log);
	data = test_file_read(path, &len);
	assert_true(len > 3 * 4096);
	memset(data + 4096, 0x5a, len - 4096);
	test_file_write(path, data, len);
	free(data);
	log = open_log(*state);
	assert_non_null(actionlog_notice(log));
	assert_int_equal(count(log, everything), 1);
	actionlog_close(log);
	free(path);
}

static void
damage_met_while_writing_begins_a_new_log(void **state)
{
	char *path = test_path(*state, "log.sqlite");
	struct actionlog *log = open_log(*state);
	int fd;

	add(log, "Backup", "/before", NULL, false);
	actionlog_close(log);
	log = open_log(*state);
	/* The header goes bad under the open file. */
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd,
			     "garbage garbage garbage garbage garbage garbage garbage garbage "
			     "garbage garbage garbage garbage garbage",
			     100, 0),
	    100);
	close(fd);
	add(log, "Backup", "/after", NULL, false);
	assert_int_equal(count(log, (struct actionlog_filter){ .q = "/after" }), 1);
	actionlog_close(log);
	free(path);
}

static void
a_newer_schema_is_left_alone(void **state)
{
	struct actionlog *log = open_log(*state);
	struct error err = ERROR_INIT;

	actionlog_close(log);
	sql(*state, "PRAGMA user_version = 99");
	assert_int_equal(actionlog_open(*state, "web1", &log, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_non_null(strstr(err.message, "has schema version 99"));
}

static void
a_command_beside_an_agent_leaves_its_row_which_the_agent_takes_once(void **state)
{
	struct action row = { .action = "Backup", .command = "holdfastd backup",
		.parameter = "/srv", .origin = "cli uid:0", .files = 7, .failed = true };
	struct actionlog *log = open_log(*state);
	struct error err = ERROR_INIT;
	json_t *all;

	assert_int_equal(actionlog_spool(*state, "web1", &row, &err), 0);
	all = rows(log, everything);
	assert_int_equal(json_array_size(all), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "command")),
	    "holdfastd backup");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(all, 0), "files")), 7);
	json_decref(all);
	assert_int_equal(stat_of(log, everything, "failed-operations"), 1);
	/* A second command right after is seen too. */
	assert_int_equal(actionlog_spool(*state, "web1", &row, &err), 0);
	assert_int_equal(stat_of(log, everything, "failed-operations"), 2);
	actionlog_close(log);
}

static void
a_command_without_an_agent_writes_its_row_at_once(void **state)
{
	struct action row = { .action = "Check", .command = "holdfastd check" };
	char *spool = test_path(*state, "log.spool");
	struct error err = ERROR_INIT;
	struct actionlog *log;

	assert_int_equal(actionlog_spool(*state, "web1", &row, &err), 0);
	assert_int_equal(test_folder_count(spool), 0);
	log = open_log(*state);
	assert_int_equal(count(log, (struct actionlog_filter){ .action = "Check" }), 1);
	actionlog_close(log);
	free(spool);
}

static void
a_spooled_row_that_was_taken_but_not_removed_is_not_taken_twice(void **state)
{
	static const char text[] = "{\"date\": \"2026-01-01T00:00:00Z\", \"action\": \"Check\","
	    " \"failed\": false, \"duration_ms\": 0, \"files\": 0, \"bytes\": 0,"
	    " \"stored_bytes\": 0}";
	char *folder = test_path(*state, "log.spool"), *file;
	struct actionlog *log = open_log(*state);

	actionlog_close(log);
	assert_int_equal(mkdir(folder, 0700), 0);
	file = test_path(folder, "0001-a.json");
	for (int i = 0; i < 2; i++) {
		test_file_write(file, text, strlen(text));
		log = open_log(*state);
		assert_int_equal(count(log, everything), 1);
		actionlog_close(log);
	}
	/* What is no row is put out of the way. */
	test_file_write(file, "{", 1);
	log = open_log(*state);
	assert_int_equal(count(log, everything), 1);
	assert_int_equal(test_folder_count(folder), 1);
	actionlog_close(log);
	free(file);
	free(folder);
}

static void
a_log_in_use_by_another_process_is_refused(void **state)
{
	char *path = test_path(*state, "log.lock");
	struct error err = ERROR_INIT;
	struct actionlog *log = NULL;
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(actionlog_open(*state, "web1", &log, &err), -1);
	assert_int_equal(err.code, ERROR_CLAIMED);
	close(fd);
	log = open_log(*state);
	actionlog_close(log);
	free(path);
}

static void
texts_that_are_not_utf8_are_made_printable(void **state)
{
	struct actionlog *log = open_log(*state);
	json_t *all;

	add(log, "Backup", "/srv/\xff", NULL, false);
	all = rows(log, everything);
	assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "parameter")),
	    "/srv/\\xff");
	json_decref(all);
	actionlog_close(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_row_comes_back_with_all_its_columns),
		TEST(rows_outlive_the_log_and_numbers_go_on),
		TEST(inserts_of_the_ancestor_work_and_are_counted),
		TEST(filters_choose_by_date_action_status_text_and_id),
		TEST(pages_join_to_the_whole_in_order),
		TEST(a_reader_is_given_pauses_and_ends_at_its_limit),
		TEST(sums_are_exact_for_any_range),
		TEST(the_last_backup_is_the_newest_that_succeeded),
		TEST(a_row_marked_once_is_written_once_for_its_run_and_action),
		TEST(many_threads_write_and_none_is_lost_or_doubled),
		TEST(a_file_that_is_no_database_is_set_aside_and_said_so),
		TEST(damage_within_the_file_is_found_at_the_start),
		TEST(damage_met_while_writing_begins_a_new_log),
		TEST(a_newer_schema_is_left_alone),
		TEST(a_command_beside_an_agent_leaves_its_row_which_the_agent_takes_once),
		TEST(a_command_without_an_agent_writes_its_row_at_once),
		TEST(a_spooled_row_that_was_taken_but_not_removed_is_not_taken_twice),
		TEST(a_log_in_use_by_another_process_is_refused),
		TEST(texts_that_are_not_utf8_are_made_printable),
	};

	return cmocka_run_group_tests_name("actionlog", tests, NULL, NULL);
}
