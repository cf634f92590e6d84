/* The head of a report, its statement with places for values, and the values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/reports.h"
#include "tests/lib/test_folder.h"

#define HEAD "-- report: what\n-- parameter: year integer 1000 9999\n-- parameter: who text\n"

static struct report *
parse(const char *text)
{
	struct report *report = NULL;
	struct error err = ERROR_INIT;

	if (report_parse("r", "r.sql", text, strlen(text), &report, &err) != 0)
		fail_msg("%s", err.message);
	return report;
}

static void
refuse(const char *text, const char *message)
{
	struct report *report = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(report_parse("r", "r.sql", text, strlen(text), &report, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	assert_string_equal(err.message, message);
}

static void
a_head_declares_parameters(void **state)
{
	struct report *report = parse("-- report: title here\r\n--\n-- any remark\n"
	    "--\tparameter: a integer -5 7\n-- parameter:  b_2\tdecimal\n-- parameter: c date\n"
	    "-- parameter: d integer\nSELECT 1");

	(void)state;
	assert_string_equal(report->title, "title here");
	assert_int_equal(report->parameter_count, 4);
	assert_string_equal(report->parameters[0].name, "a");
	assert_int_equal(report->parameters[0].min, -5);
	assert_int_equal(report->parameters[0].max, 7);
	assert_string_equal(report->parameters[1].name, "b_2");
	assert_int_equal(report->parameters[1].type, REPORT_DECIMAL);
	assert_int_equal(report->parameters[2].type, REPORT_DATE);
	assert_true(report->parameters[3].min == INT64_MIN);
	report_free(report);
}

static void
names_become_places_outside_of_quotes_and_comments(void **state)
{
	struct report *report = parse(HEAD "SELECT :year, ':year', \":who\", `:who`, -- :who\n"
	    " /* :who */ :who, @a:=1, x::year, :year+:year FROM t;\n");

	(void)state;
	assert_string_equal(report->sql, "SELECT ?, ':year', \":who\", `:who`, -- :who\n"
	    " /* :who */ ?, @a:=1, x::year, ?+? FROM t");
	assert_int_equal(report->place_count, 4);
	assert_int_equal(report->places[0], 0);
	assert_int_equal(report->places[1], 1);
	assert_int_equal(report->places[2], 0);
	assert_int_equal(report->places[3], 0);
	report_free(report);
}

static void
wrong_files_are_refused(void **state)
{
	(void)state;
	refuse("", "report 'r.sql': it does not begin with '-- report: WHAT IT TELLS'");
	refuse("--report: a\nSELECT 1",
	    "report 'r.sql': it does not begin with '-- report: WHAT IT TELLS'");
	refuse("SELECT 1", "report 'r.sql': it does not begin with '-- report: WHAT IT TELLS'");
	refuse("-- report: a\n-- report: b\nSELECT 1",
	    "report 'r.sql': line 2: 'report:' is there twice");
	refuse("-- report: a\n-- parameter: x\nSELECT 1", "report 'r.sql': line 2: a parameter is "
	    "NAME TYPE, or NAME integer MIN MAX");
	refuse("-- report: a\n-- parameter: x float\nSELECT 1", "report 'r.sql': line 2: 'float' "
	    "is none of the types integer, decimal, date and text");
	refuse("-- report: a\n-- parameter: X text\nSELECT 1", "report 'r.sql': line 2: a "
	    "parameter's name has small letters, digits and '_', not 'X'");
	refuse("-- report: a\n-- parameter: x text\n-- parameter: x text\nSELECT 1",
	    "report 'r.sql': line 3: parameter 'x' is there twice");
	refuse("-- report: a\n-- parameter: x text 1 2\nSELECT 1",
	    "report 'r.sql': line 2: only an integer has bounds, MIN and MAX");
	refuse("-- report: a\n-- parameter: x integer 2 1\nSELECT 1",
	    "report 'r.sql': line 2: only an integer has bounds, MIN and MAX");
	refuse("-- report: a\n", "report 'r.sql': it holds no statement");
	refuse("-- report: a\nDELETE FROM t", "report 'r.sql': line 2: the statement is no SELECT");
	refuse("-- report: a\nSELECT 1;\nDROP TABLE t",
	    "report 'r.sql': line 3: a second statement");
	refuse("-- report: a\nSELECT :nobody", "report 'r.sql': ':nobody' is not declared as a "
	    "parameter");
	refuse("-- report: a\nSELECT ?", "report 'r.sql': '?' is for the program: write :NAME");
	refuse("-- report: a\nSELECT 'x",
	    "report 'r.sql': line 2: a quote begins here and has no end");
}

static void
value(enum report_type type, const char *text, const char *message)
{
	struct report_parameter parameter = { .name = "p", .type = type, .min = -5, .max = 2100 };
	struct mariadb_param bound;
	struct error err = ERROR_INIT;
	int rc = report_value(&parameter, text, &bound, &err);

	if (message == NULL) {
		assert_int_equal(rc, 0);
		return;
	}
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, message);
}

static void
values_are_of_their_type(void **state)
{
	(void)state;
	value(REPORT_INTEGER, "2021", NULL);
	value(REPORT_INTEGER, "-5", NULL);
	value(REPORT_INTEGER, "-6", "'p' is from -5 to 2100, not -6");
	value(REPORT_INTEGER, "", "'p' takes an integer, not ''");
	value(REPORT_INTEGER, "2021 OR 1=1", "'p' takes an integer, not '2021 OR 1=1'");
	value(REPORT_INTEGER, "+1", "'p' takes an integer, not '+1'");
	value(REPORT_INTEGER, "99999999999999999999",
	    "'p' takes an integer, not '99999999999999999999'");
	value(REPORT_DECIMAL, "-12.50", NULL);
	value(REPORT_DECIMAL, "12.", "'p' takes a decimal, not '12.'");
	value(REPORT_DECIMAL, ".5", "'p' takes a decimal, not '.5'");
	value(REPORT_DECIMAL, "1e5", "'p' takes a decimal, not '1e5'");
	value(REPORT_DATE, "2024-02-29", NULL);
	value(REPORT_DATE, "2023-02-29", "'p' takes a date, not '2023-02-29'");
	value(REPORT_DATE, "2024-02-29T00:00:00Z", "'p' takes a date, not '2024-02-29T00:00:00Z'");
	value(REPORT_TEXT, "'; DROP TABLE t; --", NULL);
}

static void
a_folder_adds_and_replaces_reports(void **state)
{
	static const char text[] = "-- report: mine\nSELECT 1", bad[] = "SELECT 1";
	char *folder = test_folder_new(), *path;
	struct report *report = NULL;
	struct error err = ERROR_INIT;
	json_t *list;

	(void)state;
	path = test_path(folder, "hired_by_quarter.sql");
	test_file_write(path, text, sizeof(text) - 1);
	free(path);
	path = test_path(folder, "broken.sql");
	test_file_write(path, bad, sizeof(bad) - 1);
	free(path);
	path = test_path(folder, "No Name.sql");
	test_file_write(path, text, sizeof(text) - 1);
	free(path);
	assert_int_equal(report_find(folder, "hired_by_quarter", &report, &err), 0);
	assert_string_equal(report->title, "mine");
	report_free(report);
	assert_int_equal(report_find(NULL, "hired_by_quarter", &report, &err), 0);
	assert_int_equal(report->parameter_count, 1);
	report_free(report);
	assert_int_equal(report_list(folder, &list, &err), 0);
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")),
	    "broken");
	assert_non_null(json_object_get(json_array_get(list, 0), "error"));
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 2), "title")),
	    "mine");
	json_decref(list);
	assert_int_equal(report_find(folder, "../broken", &report, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(report_find(folder, "nobody", &report, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.message, "there is no report 'nobody'");
	test_folder_remove(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_declares_parameters),
		cmocka_unit_test(names_become_places_outside_of_quotes_and_comments),
		cmocka_unit_test(wrong_files_are_refused),
		cmocka_unit_test(values_are_of_their_type),
		cmocka_unit_test(a_folder_adds_and_replaces_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
