/* Conditions on rows: what may be asked of a table's columns, and all that may not be asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tables/condition.h"
#include "agent/tables/restore.h"
#include "shared/mem.h"

static void
conditions_on_columns_are_taken(void **state)
{
	static const char *const right[] = {
		"id > 5",
		"`a``b` = 'it''s; -- # /* fine */ @ ?' and c is not null",
		"name in ('a', \"b;\", 'c\\'d') or not (x between 1 and 2)",
		"day >= DATE_SUB(NOW(), INTERVAL 7 DAY)",
		"cast(a as decimal(10,2)) * -1 < 1.5e3",
		"case when a then b else (c) end",
		"JSON_VALUE(doc, '$.a[0]') = 'x'",
		"`select` = 1 and t.`for` <> 2 and (t.`values`) is true",
		"t.select > 1",
		"größe > 3",
		"x'41' = name",
		"a in(1,2) and(b)",
		"(((a)))",
		"lower(name) like '%ö\\_%' escape '!'",
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++)
		if (condition_check(right[i], &err) != 0)
			fail_msg("%s: %s", right[i], err.message);
}

static void
whatever_does_more_than_compare_is_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} wrong[] = {
		{ "", "the condition is empty" },
		{ " \n\t", "the condition is empty" },
		{ "1) OR 1=1 -- ", "a ')' in the condition closes nothing" },
		{ "1) OR (1=1", "a ')' in the condition closes nothing" },
		{ "(1", "a '(' in the condition is not closed" },
		{ "1; DROP TABLE t", "the condition is one expression, without ';'" },
		{ "1 -- ", "the condition has a comment in it" },
		{ "1 # x", "the condition has a comment in it" },
		{ "1 /* x", "the condition has a comment in it" },
		{ "1 /*! or 1 */", "the condition has a comment in it" },
		{ "a = 'x", "a ' in the condition has no end" },
		{ "a = 'x\\'", "a ' in the condition has no end" },
		{ "`a", "a ` in the condition has no end" },
		{ "`a\\` = 1 or `", "a ` in the condition has no end" },
		{ "id in (select id from other)", "the condition must not have 'select' in it" },
		{ "exists(select 1)", "the condition must not call 'exists'" },
		{ "(with x as (select 1) select 1)", "the condition must not have 'with' in it" },
		{ "id in (values (1))", "the condition must not have 'values' in it" },
		{ "next value for s", "the condition must not have 'for' in it" },
		{ "nextval(s)", "the condition must not call 'nextval'" },
		{ "sleep(5)", "the condition must not call 'sleep'" },
		{ "release_all_locks()", "the condition must not call 'release_all_locks'" },
		{ "load_file('/etc/passwd') is null", "the condition must not call 'load_file'" },
		{ "mine(id)", "the condition must not call 'mine'" },
		{ "db.lower(id)", "the condition must not call 'lower'" },
		{ "db . lower(id)", "the condition must not call 'lower'" },
		{ "db.in(id)", "the condition must not call 'in'" },
		{ "`lower`(id)", "the condition must not call '`lower`'" },
		{ "db.`x` (id)", "the condition must not call '`x`'" },
		{ "now ()", "the condition must not call 'now'" },
		{ "@a := 1", "the condition must not have '@' in it" },
		{ "@@version > 1", "the condition must not have '@' in it" },
		{ "a = ?", "the condition must not have '?' in it" },
		{ "a = \\N", "the condition must not have '\\' in it" },
		{ "{d '2020-01-01'} > a", "the condition must not have '{' in it" },
		{ "a = \x01", "the condition has a control character in it" },
		{ "a = '\xff'", "the condition is not valid UTF-8" },
	};
	char *large = mem_calloc(1, CONDITION_MAX + 2);
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(condition_check(wrong[i].text, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_string_equal(err.message, wrong[i].message);
	}
	memset(large, '1', CONDITION_MAX);
	assert_int_equal(condition_check(large, &err), 0);
	large[CONDITION_MAX] = '1';
	assert_int_equal(condition_check(large, &err), -1);
	free(large);
}

static void
a_target_is_a_name_or_one_of_another_database(void **state)
{
	static const struct {
		const char *as, *database, *table;
	} cases[] = {
		{ "copy", NULL, "copy" },
		{ "copy`s", NULL, "copy`s" },
		{ "shop.copy", "shop", "copy" },
		{ "`a.b`", NULL, "a.b" },
		{ "`a``.b`.`c.`", "a`.b", "c." },
		{ "shop.`x``y`", "shop", "x`y" },
		{ "`x`.ümlaut", "x", "ümlaut" },
	};
	static const char *const wrong[] = { "", ".", "a.", ".a", "a.b.c", "`a", "`a`b", "`a`.b.c",
		"a.`b", "a .b", "mysql.x", "`SYS`.x", "_holdfast_new_1", "shop._holdfast_old_1", "``" };
	struct error err = ERROR_INIT;
	char *database, *table;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		database = table = NULL;
		assert_int_equal(tables_restore_target(cases[i].as, &database, &table, &err), 0);
		assert_string_equal(table, cases[i].table);
		if (cases[i].database == NULL)
			assert_null(database);
		else
			assert_string_equal(database, cases[i].database);
		free(database);
		free(table);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (tables_restore_target(wrong[i], &database, &table, &err) == 0)
			fail_msg("'%s' was taken", wrong[i]);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_on_columns_are_taken),
		cmocka_unit_test(whatever_does_more_than_compare_is_refused),
		cmocka_unit_test(a_target_is_a_name_or_one_of_another_database),
	};

	return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
