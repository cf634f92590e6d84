#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/csv.h"
#include "agent/http/events.h"
#include "agent/http/log_filter.h"
#include "agent/http/log_row.h"
#include "shared/mem.h"

static void
assert_cell(const char *text, const char *expected)
{
	struct buffer buf = BUFFER_INIT;

	csv_text(&buf, text);
	assert_string_equal(buffer_text(&buf), expected);
	buffer_done(&buf);
}

static void
cells_are_quoted_where_they_must_be(void **state)
{
	(void)state;
	assert_cell("", "");
	assert_cell("plain text", "plain text");
	assert_cell("a,b", "\"a,b\"");
	assert_cell("say \"x\"", "\"say \"\"x\"\"\"");
	assert_cell("two\nlines", "\"two\nlines\"");
	assert_cell("cr\rhere", "\"cr\rhere\"");
}

static void
cells_are_no_formulas(void **state)
{
	(void)state;
	assert_cell("=1+1", "\"'=1+1\"");
	assert_cell("+1", "\"'+1\"");
	assert_cell("-1", "\"'-1\"");
	assert_cell("@SUM(A1)", "\"'@SUM(A1)\"");
	assert_cell("\t=1", "\"'\t=1\"");
	assert_cell("\r=1", "\"'\r=1\"");
	assert_cell("1-1", "1-1");
}

static void
assert_row(const struct actionlog_cell *cells, const char *json, const char *csv)
{
	struct buffer buf = BUFFER_INIT;

	log_row_put_json(&buf, cells);
	assert_string_equal(buffer_text(&buf), json);
	buffer_clear(&buf);
	log_row_put_csv(&buf, cells);
	assert_string_equal(buffer_text(&buf), csv);
	buffer_done(&buf);
}

static void
rows_of_the_log_have_all_columns(void **state)
{
	struct actionlog_cell cells[ACTIONLOG_COLUMN_COUNT] = {
		[ACTIONLOG_ID] = { .number = 7 },
		[ACTIONLOG_DATE] = { .text = "2026-11-21T10:00:00.000Z", .len = 24 },
		[ACTIONLOG_ACTION] = { .text = "", .len = 0 },
		[ACTIONLOG_PARAMETER] = { .text = "=a\"b\\", .len = 5 },
		[ACTIONLOG_DURATION_MS] = { .number = INT64_MIN },
		[ACTIONLOG_BYTES] = { .number = INT64_MAX },
	};
	struct buffer buf = BUFFER_INIT;

	(void)state;
	assert_row(cells, "{\"id\":7,\"date\":\"2026-11-21T10:00:00.000Z\",\"action\":\"\","
	    "\"command\":null,\"parameter\":\"=a\\\"b\\\\\",\"status\":null,\"agent\":null,"
	    "\"outcome\":null,\"run\":null,\"snapshot\":null,\"origin\":null,\"message\":null,"
	    "\"duration_ms\":-9223372036854775808,\"files\":0,\"bytes\":9223372036854775807,"
	    "\"stored_bytes\":0}",
	    "7,2026-11-21T10:00:00.000Z,,,\"'=a\"\"b\\\",,,,,,,,-9223372036854775808,0,"
	    "9223372036854775807,0\r\n");
	log_row_put_csv_header(&buf);
	assert_string_equal(buffer_text(&buf), "id,date,action,command,parameter,status,agent,"
	    "outcome,run,snapshot,origin,message,duration_ms,files,bytes,stored_bytes\r\n");
	buffer_done(&buf);
}

/* Whatever a text holds, a reader of JSON gets it back. */
static void
rows_of_the_log_are_json(void **state)
{
	struct actionlog_cell cells[ACTIONLOG_COLUMN_COUNT] = { { .number = 1 } };
	char text[128 + sizeof("\u00e9\u20ac\U0001f600")];
	struct buffer buf = BUFFER_INIT;
	size_t len = 0;
	json_t *json;

	(void)state;
	while (len < 127) {
		text[len] = (char)(len + 1);
		len++;
	}
	strcpy(text + len, "\u00e9\u20ac\U0001f600");
	cells[ACTIONLOG_MESSAGE] = (struct actionlog_cell){ .text = text, .len = strlen(text) };
	log_row_put_json(&buf, cells);
	json = json_loads(buffer_text(&buf), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	assert_int_equal(json_object_size(json), ACTIONLOG_COLUMN_COUNT);
	assert_string_equal(json_string_value(json_object_get(json, "message")), text);
	json_decref(json);
	buffer_done(&buf);
}

static int
filter(const char *query, struct actionlog_filter *ret, struct error *err)
{
	struct params params;
	int rc;

	error_clear(err);
	assert_int_equal(params_parse(query, strlen(query), &params, err), 0);
	rc = log_filter_parse(&params, ret, err);
	params_done(&params);
	return rc;
}

static void
either_name_of_a_date_chooses_rows(void **state)
{
	struct actionlog_filter a, b;
	struct error err;

	(void)state;
	assert_int_equal(filter("startdate=2026-11-21&enddate=2026-11-21", &a, &err), 0);
	assert_int_equal(filter("start=2026-11-21&end=2026-11-21", &b, &err), 0);
	assert_int_equal(a.start.tv_sec, 1795219200);
	assert_int_equal(a.end.tv_sec, 1795219200 + 86399);
	assert_int_equal(a.end.tv_nsec, 999999999);
	assert_int_equal(a.start.tv_sec, b.start.tv_sec);
	assert_int_equal(a.end.tv_sec, b.end.tv_sec);
	assert_int_equal(filter("start=2026-11-21T10:00:00%2B02:00&limit=5&after=3", &a, &err), 0);
	assert_int_equal(a.start.tv_sec, 1795219200 + 8 * 3600);
	assert_int_equal(a.end.tv_sec, 0);
	assert_int_equal(a.limit, 5);
	assert_int_equal(a.after, 3);
}

static void
wrong_choices_are_refused(void **state)
{
	static const struct {
		const char *query, *why;
	} cases[] = {
		{ "start=2026-11-21&startdate=2026-11-21",
		    "'startdate' and 'start' are both given, and mean the same" },
		{ "start=2026-11-22&end=2026-11-21",
		    "the start '2026-11-22' is after the end '2026-11-21'" },
		{ "status=ok", "'status' is SUCCESS or ERROR, not 'ok'" },
		{ "limit=-1", "'limit' is no number: '-1'" },
		{ "after=x", "'after' is no number: 'x'" },
	};
	static const char *const dates[] = { "2026-02-30", "2026-13-01", "yesterday", "",
		"2026-11-21T25:00:00Z", "21.11.2026", "2026-11-21'--" };
	struct actionlog_filter ret;
	struct error err;
	char query[64];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(filter(cases[i].query, &ret, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, cases[i].why);
	}
	for (i = 0; i < ARRAY_LEN(dates); i++) {
		snprintf(query, sizeof(query), "start=%s", dates[i]);
		assert_int_equal(filter(query, &ret, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_memory_equal(err.message, "'start': ", 9);
	}
}

static void
events_have_one_line_of_data(void **state)
{
	json_t *data = json_pack("{s:s}", "path", "a\nb");
	char *text = event_text("loss", 17, data);

	(void)state;
	assert_string_equal(text, "id: 17\nevent: loss\ndata: {\"path\":\"a\\nb\"}\n\n");
	free(text);
	json_decref(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_are_quoted_where_they_must_be),
		cmocka_unit_test(cells_are_no_formulas),
		cmocka_unit_test(rows_of_the_log_have_all_columns),
		cmocka_unit_test(rows_of_the_log_are_json),
		cmocka_unit_test(either_name_of_a_date_chooses_rows),
		cmocka_unit_test(wrong_choices_are_refused),
		cmocka_unit_test(events_have_one_line_of_data),
	};

	return cmocka_run_group_tests_name("http_csv", tests, NULL, NULL);
}
