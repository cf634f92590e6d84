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
rows_follow_their_columns(void **state)
{
	static const char *const columns[] = { "id", "text", "nothing", "flag", "absent" };
	struct buffer buf = BUFFER_INIT;
	json_t *row = json_pack("{s:i, s:s, s:n, s:b}", "id", -7, "text", "a\"b", "nothing", "flag",
	    1);

	(void)state;
	csv_header(&buf, columns, 5);
	csv_row(&buf, row, columns, 5);
	assert_string_equal(buffer_text(&buf),
	    "id,text,nothing,flag,absent\r\n-7,\"a\"\"b\",,true,\r\n");
	json_decref(row);
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
		cmocka_unit_test(rows_follow_their_columns),
		cmocka_unit_test(either_name_of_a_date_chooses_rows),
		cmocka_unit_test(wrong_choices_are_refused),
		cmocka_unit_test(events_have_one_line_of_data),
	};

	return cmocka_run_group_tests_name("http_csv", tests, NULL, NULL);
}
