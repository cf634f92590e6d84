/* SQL text cut into statements as the mariadb client cuts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/sql_split.h"

/* "LINE:TEXT|LINE:TEXT", or "error: MESSAGE" behind what came before it. */
static char *
split(const char *text, size_t len)
{
	struct error err = ERROR_INIT;
	struct buffer out = BUFFER_INIT;
	struct sql_statement statement;
	struct sql_split splitter;
	int rc;

	sql_split_init(&splitter, text, len);
	while ((rc = sql_split_next(&splitter, &statement, &err)) == 1) {
		buffer_printf(&out, "%s%u:", out.len == 0 ? "" : "|", statement.line);
		buffer_put(&out, statement.text, statement.len);
	}
	if (rc < 0) {
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		buffer_printf(&out, "%serror: %s", out.len == 0 ? "" : "|", err.message);
	}
	return buffer_take(&out);
}

static void
check(const char *text, const char *expected)
{
	char *got = split(text, strlen(text));

	assert_string_equal(got, expected);
	free(got);
}

static void
statements_end_at_semicolons(void **state)
{
	(void)state;
	check("", "");
	check(" \n\t", "");
	check(";;\n;", "");
	check("SELECT 1", "1:SELECT 1");
	check("SELECT 1;\nSELECT 2 ;\n\n  SELECT\n3;", "1:SELECT 1|2:SELECT 2|4:SELECT\n3");
	check("\xef\xbb\xbfSELECT 1;\r\nSELECT 2;\r\n", "1:SELECT 1|2:SELECT 2");
}

static void
quotes_hold_semicolons(void **state)
{
	(void)state;
	check("SELECT 'a;b', \"c;d\", `e;f`; SELECT 2",
	    "1:SELECT 'a;b', \"c;d\", `e;f`|1:SELECT 2");
	check("SELECT 'it''s;', 'x\\';', \"\"\";\"; SELECT 2",
	    "1:SELECT 'it''s;', 'x\\';', \"\"\";\"|1:SELECT 2");
	/* A backslash is no escape in a name. */
	check("SELECT `a\\`; SELECT 2", "1:SELECT `a\\`|1:SELECT 2");
	check("SELECT `a``;b`; SELECT '--', '#', '/*'; X",
	    "1:SELECT `a``;b`|1:SELECT '--', '#', '/*'|1:X");
	check("SELECT '\n\n;'; SELECT 2", "1:SELECT '\n\n;'|3:SELECT 2");
}

static void
comments_hold_semicolons_and_are_no_statements(void **state)
{
	(void)state;
	check("-- a; b\nSELECT 1;", "2:SELECT 1");
	check("# a; 'b\nSELECT 1; -- end", "2:SELECT 1");
	check("/* a; ' */ SELECT /* ; */ 1; /* \n */", "1:SELECT /* ; */ 1");
	check("SELECT 1 -- it's\n, 2;", "1:SELECT 1 -- it's\n, 2");
	/* Two dashes without a blank are arithmetic. */
	check("SELECT 5--1;SELECT 2", "1:SELECT 5--1|1:SELECT 2");
	check("SELECT 1; --", "1:SELECT 1");
	/* Comments at a statement's end are cut off. */
	check("SELECT 1 /* x */ -- y\n;", "1:SELECT 1");
}

static void
comments_that_the_server_executes_are_statements(void **state)
{
	(void)state;
	check("/*!40101 SET @a = ';*/' */; SELECT 1", "1:/*!40101 SET @a = ';*/' */|1:SELECT 1");
	check("/*M!100100 SELECT 1; */", "1:/*M!100100 SELECT 1; */");
}

static void
delimiter_lines_name_another_end(void **state)
{
	(void)state;
	check("DELIMITER //\nBEGIN a; b; END//\ndelimiter ;\nSELECT 1;",
	    "2:BEGIN a; b; END|4:SELECT 1");
	check("DELIMITER $$ \nX;$$ Y;$$", "2:X;|2:Y;");
	check("SELECT 1;\nDELIMITER //", "1:SELECT 1");
	/* Only where a statement could begin. */
	check("SELECT\nDELIMITER //\n;", "1:SELECT\nDELIMITER //");
	check("DELIMITERS 1;", "1:DELIMITERS 1");
	check("DELIMITER ''\n", "error: line 1: a delimiter cannot hold quotes, "
	    "backslashes or NUL");
	check("\nDELIMITER \nX", "error: line 2: a delimiter has 1 to 15 characters");
	check("DELIMITER 0123456789abcdef\n", "error: line 1: a delimiter has 1 to 15 characters");
}

static void
what_has_no_end_is_refused_with_its_line(void **state)
{
	(void)state;
	check("SELECT 1;\n\nSELECT 'a;\n",
	    "1:SELECT 1|error: line 3: a quote begins here and has no end");
	check("SELECT\n`a", "error: line 2: a quote begins here and has no end");
	check("SELECT 'a\\'", "error: line 1: a quote begins here and has no end");
	check("\n/* a;", "error: line 2: a comment begins here and has no end");
	check("SELECT /*/", "error: line 1: a comment begins here and has no end");
	check("SELECT /*!", "error: line 1: a comment begins here and has no end");
}

static void
bytes_that_are_no_text_are_refused(void **state)
{
	static const char nul[] = "SELECT 1;\nSELECT \0 2;";
	static const char quoted_nul[] = "SELECT '\0'";
	char *got;

	(void)state;
	got = split(nul, sizeof(nul) - 1);
	assert_string_equal(got, "1:SELECT 1|error: line 2: a NUL byte");
	free(got);
	got = split(quoted_nul, sizeof(quoted_nul) - 1);
	assert_string_equal(
	    got, "error: line 1: the statement that begins here holds a NUL byte");
	free(got);
	check("SELECT '\xff'",
	    "error: line 1: the statement that begins here is not valid UTF-8");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statements_end_at_semicolons),
		cmocka_unit_test(quotes_hold_semicolons),
		cmocka_unit_test(comments_hold_semicolons_and_are_no_statements),
		cmocka_unit_test(comments_that_the_server_executes_are_statements),
		cmocka_unit_test(delimiter_lines_name_another_end),
		cmocka_unit_test(what_has_no_end_is_refused_with_its_line),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
