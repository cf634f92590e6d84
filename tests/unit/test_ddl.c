/* CREATE TABLE taken apart: quotes, commas and parentheses within names, texts and definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "agent/tables/ddl.h"
#include "agent/tables/encode.h"
#include "agent/tables/load.h"
#include "shared/mem.h"

static void
foreign_keys_are_taken_out_and_all_else_stays(void **state)
{
	static const char create[] = "CREATE TABLE `t``x` (\n"
	    "  `a, ) ``b` int(11) DEFAULT 5 COMMENT 'a, ) `quoted` it''s \\' )',\n"
	    "  `p` enum('CONSTRAINT `x` FOREIGN KEY (','b') DEFAULT NULL,\n"
	    "  KEY `k` (`p`),\n"
	    "  CONSTRAINT `fk1` FOREIGN KEY (`p`) REFERENCES `t``x` (`q`) ON DELETE CASCADE,\n"
	    "  CONSTRAINT `chk` CHECK (`p` <> 'FOREIGN KEY' and (1 = 1)),\n"
	    "  CONSTRAINT `fk,2` FOREIGN KEY (`p`, `z`) REFERENCES `other`.`t``x` (`q`)\n"
	    ") ENGINE=InnoDB COMMENT='x, ) y'\n PARTITION BY RANGE (`y`)\n(PARTITION `p0`)";
	struct buffer sql = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct ddl ddl;

	(void)state;
	assert_int_equal(ddl_parse(create, &ddl, &err), 0);
	assert_string_equal(ddl.name, "t`x");
	assert_int_equal(ddl.key_count, 2);
	assert_string_equal(ddl.keys[0].name, "fk1");
	assert_string_equal(ddl.keys[0].definition,
	    "FOREIGN KEY (`p`) REFERENCES `t``x` (`q`) ON DELETE CASCADE");
	assert_string_equal(ddl.keys[1].name, "fk,2");
	ddl_put(&ddl, "d`b", "new", &sql);
	assert_string_equal(buffer_text(&sql), "CREATE TABLE `d``b`.`new` (\n"
	    "  `a, ) ``b` int(11) DEFAULT 5 COMMENT 'a, ) `quoted` it''s \\' )',\n"
	    "  `p` enum('CONSTRAINT `x` FOREIGN KEY (','b') DEFAULT NULL,\n"
	    "  KEY `k` (`p`),\n"
	    "  CONSTRAINT `chk` CHECK (`p` <> 'FOREIGN KEY' and (1 = 1))) ENGINE=InnoDB "
	    "COMMENT='x, ) y'\n PARTITION BY RANGE (`y`)\n(PARTITION `p0`)");
	/* The table's own name in a key becomes the new one, another database's does not. */
	buffer_clear(&sql);
	ddl_put_key(&ddl.keys[0], "t`x", "copy", "home", &sql);
	assert_string_equal(buffer_text(&sql),
	    "FOREIGN KEY (`p`) REFERENCES `copy` (`q`) ON DELETE CASCADE");
	buffer_clear(&sql);
	ddl_put_key(&ddl.keys[1], "t`x", "copy", "home", &sql);
	assert_string_equal(buffer_text(&sql), ddl.keys[1].definition);
	/* Others that it names alone are found where the table was, if it goes elsewhere. */
	buffer_clear(&sql);
	ddl_put_key(&ddl.keys[0], "another", "copy", NULL, &sql);
	assert_string_equal(buffer_text(&sql), ddl.keys[0].definition);
	buffer_clear(&sql);
	ddl_put_key(&ddl.keys[0], "another", "copy", "ho`me", &sql);
	assert_string_equal(buffer_text(&sql),
	    "FOREIGN KEY (`p`) REFERENCES `ho``me`.`t``x` (`q`) ON DELETE CASCADE");
	buffer_done(&sql);
	ddl_done(&ddl);
}

static void
anything_but_a_plain_create_table_is_refused(void **state)
{
	static const char *const wrong[] = { "", "DROP TABLE `t`", "CREATE TABLE t (a int)",
		"CREATE TABLE `t", "CREATE TABLE `t` ", "CREATE TABLE `t` (", "CREATE TABLE `t` (a int",
		"CREATE TABLE `t` (`a", "CREATE TABLE `t` (a int COMMENT 'x)", "CREATE TABLE `t` LIKE `u`",
		"CREATE VIEW `t` AS SELECT (1)", "CREATE TABLE `t` (CONSTRAINT `" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;
		struct ddl ddl;

		assert_int_equal(ddl_parse(wrong[i], &ddl, &err), -1);
		assert_int_equal(err.code, ERROR_UNSUPPORTED);
	}
}

/* ---- values on their way back */

static void
assert_loaded(const char *data_type, const struct ocf_type *type, int64_t i, double d,
    const char *text, const char *expected)
{
	struct table_column column = { .name = (char *)(uintptr_t)"c",
		.data_type = (char *)(uintptr_t)data_type, .type = (char *)(uintptr_t)data_type,
		.is_year = strcmp(data_type, "year") == 0 };
	struct ocf_value value = { .type = type, .i = i, .d = d,
		.data = (const uint8_t *)text, .len = text == NULL ? 0 : strlen(text) };
	struct buffer out = BUFFER_INIT;
	struct error err = ERROR_INIT;

	if (expected == NULL) {
		assert_int_equal(load_put_value(&column, &value, &out, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		assert_non_null(strstr(err.message, "'c'"));
	} else {
		assert_int_equal(load_put_value(&column, &value, &out, &err), 0);
		assert_string_equal(buffer_text(&out), expected);
	}
	buffer_done(&out);
}

static void
values_are_written_as_the_server_reads_them(void **state)
{
	static const struct ocf_type null = { .kind = OCF_NULL }, number = { .kind = OCF_LONG },
		real = { .kind = OCF_DOUBLE }, string = { .kind = OCF_STRING },
		date = { .kind = OCF_INT, .logical = OCF_DATE },
		time = { .kind = OCF_LONG, .logical = OCF_TIME_MICROS },
		millis = { .kind = OCF_INT, .logical = OCF_TIME_MILLIS },
		stamp = { .kind = OCF_LONG, .logical = OCF_TIMESTAMP_MICROS },
		stamp_millis = { .kind = OCF_LONG, .logical = OCF_TIMESTAMP_MILLIS };

	(void)state;
	assert_loaded("int", &null, 0, 0, NULL, "\\N");
	assert_loaded("bigint", &number, INT64_MIN, 0, NULL, "-9223372036854775808");
	assert_loaded("year", &number, 0, 0, NULL, "0000");
	assert_loaded("year", &number, -1, 0, NULL, NULL);
	assert_loaded("double", &real, 0, 0.1, NULL, "0.10000000000000001");
	assert_loaded("double", &real, 0, 1.0 / 0.0, NULL, NULL);
	assert_loaded("text", &string, 0, 0, "a\tb\nc\\N", "a\\tb\\nc\\\\N");
	assert_loaded("date", &date, 0, 0, NULL, "1970-01-01");
	assert_loaded("date", &date, DAYS_MIN, 0, NULL, "0000-01-01");
	assert_loaded("date", &date, DAYS_MIN - 1, 0, NULL, NULL);
	assert_loaded("date", &date, DAYS_END - 1, 0, NULL, "9999-12-31");
	assert_loaded("date", &date, DAYS_END, 0, NULL, NULL);
	assert_loaded("time", &time, INT64_C(86399999999), 0, NULL, "23:59:59.999999");
	assert_loaded("time", &time, INT64_C(86400000000), 0, NULL, NULL);
	assert_loaded("time", &millis, 1, 0, NULL, "00:00:00.001000");
	assert_loaded("datetime", &stamp, -1, 0, NULL, "1969-12-31 23:59:59.999999");
	assert_loaded("datetime", &stamp, INT64_MAX, 0, NULL, NULL);
	assert_loaded("datetime", &stamp, INT64_MIN, 0, NULL, NULL);
	assert_loaded("datetime", &stamp_millis, INT64_MAX, 0, NULL, NULL);
	assert_loaded("datetime", &stamp_millis, -1, 0, NULL, "1969-12-31 23:59:59.999000");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(foreign_keys_are_taken_out_and_all_else_stays),
		cmocka_unit_test(anything_but_a_plain_create_table_is_refused),
		cmocka_unit_test(values_are_written_as_the_server_reads_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
