/*
 * Values from outside against columns of every type.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/tables/row_check.h"
#include "shared/mem.h"

struct checked {
	struct table table;
	struct table_trigger trigger;
	struct table_column column;
	struct row_rule rule;
	char scratch[ROW_SCRATCH_SIZE];
	struct row_cell cell;
	struct error err;
	int rc;
};

/* A column "c" of this type. */
static void
begin(struct checked *c, const char *type, const char *charset)
{
	static char data_type[40];

	memset(c, 0, sizeof(*c));
	snprintf(data_type, sizeof(data_type), "%.*s", (int)strcspn(type, "( "), type);
	c->column.name = (char *)(uintptr_t)"c";
	c->column.type = (char *)(uintptr_t)type;
	c->column.data_type = data_type;
	c->column.charset = (char *)(uintptr_t)charset;
	c->column.is_fixed_point = strchr(type, ',') != NULL &&
	    (strcmp(data_type, "float") == 0 || strcmp(data_type, "double") == 0);
	c->table.name = (char *)(uintptr_t)"t";
	row_rule_init(&c->rule, &c->table, &c->column, false, 101119);
}

static void
check(struct checked *c, const struct row_value *value)
{
	c->err = (struct error)ERROR_INIT;
	c->rc = row_check(&c->rule, value, c->scratch, &c->cell, &c->err);
}

static void
check_text(struct checked *c, const char *type, const char *charset, const char *text)
{
	const struct row_value value = { .type = ROW_TEXT, .data = text, .len = strlen(text) };

	begin(c, type, charset);
	check(c, &value);
}

/* What the value becomes, as text. */
static void
takes_as(const char *type, const char *text, const char *expected)
{
	struct checked c;
	char is[400];

	check_text(&c, type, "utf8mb4", text);
	if (c.rc != 0)
		fail_msg("%s refuses '%s': %s", type, text, c.err.message);
	assert_int_equal(c.cell.type, ROW_CELL_VALUE);
	if (c.rule.bind == ROW_BIND_INT)
		snprintf(is, sizeof(is), "%lld", (long long)c.cell.as.i);
	else if (c.rule.bind == ROW_BIND_UINT)
		snprintf(is, sizeof(is), "%llu", (unsigned long long)c.cell.as.u);
	else if (c.rule.bind == ROW_BIND_DOUBLE)
		snprintf(is, sizeof(is), "%.17g", c.cell.as.d);
	else
		snprintf(is, sizeof(is), "%.*s", (int)c.cell.len, c.cell.data);
	assert_string_equal(is, expected);
	row_rule_done(&c.rule);
}

static void
takes(const char *type, const char *text)
{
	takes_as(type, text, text);
}

static void
refuses_in(const char *type, const char *charset, const char *text, const char *reason)
{
	struct checked c;
	char all[512];

	check_text(&c, type, charset, text);
	snprintf(all, sizeof(all), "'c': %s", reason);
	if (c.rc == 0)
		fail_msg("%s takes '%s'", type, text);
	assert_string_equal(c.err.message, all);
	assert_int_equal(c.err.code, ERROR_BAD_REQUEST);
	row_rule_done(&c.rule);
}

static void
refuses(const char *type, const char *text, const char *reason)
{
	refuses_in(type, "utf8mb4", text, reason);
}

static void
integers_are_taken_to_their_limits_and_not_beyond(void **state)
{
	/* clang-format off */
	static const struct {
		const char *type, *min, *below, *max, *above;
	} types[] = {
		{ "tinyint(4)", "-128", "-129", "127", "128" },
		{ "tinyint(3) unsigned", "0", "-1", "255", "256" },
		{ "smallint(6)", "-32768", "-32769", "32767", "32768" },
		{ "smallint(5) unsigned", "0", "-1", "65535", "65536" },
		{ "mediumint(9)", "-8388608", "-8388609", "8388607", "8388608" },
		{ "mediumint(8) unsigned", "0", "-1", "16777215", "16777216" },
		{ "int(11)", "-2147483648", "-2147483649", "2147483647", "2147483648" },
		{ "int(10) unsigned", "0", "-1", "4294967295", "4294967296" },
		{ "bigint(20)", "-9223372036854775808", "-9223372036854775809",
		  "9223372036854775807", "9223372036854775808" },
		{ "bigint(20) unsigned", "0", "-1", "18446744073709551615", "18446744073709551616" },
		{ "bit(1)", "0", "-1", "1", "2" },
		{ "bit(9)", "0", "-1", "511", "512" },
		{ "bit(64)", "0", "-1", "18446744073709551615", "18446744073709551616" },
	};
	/* clang-format on */
	char reason[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		takes(types[i].type, types[i].min);
		takes(types[i].type, types[i].max);
		snprintf(reason, sizeof(reason), "%s is beyond what %s can be", types[i].below,
		    types[i].type);
		refuses(types[i].type, types[i].below, reason);
		snprintf(reason, sizeof(reason), "%s is beyond what %s can be", types[i].above,
		    types[i].type);
		refuses(types[i].type, types[i].above, reason);
	}
}

static void
a_whole_number_may_be_written_in_many_ways(void **state)
{
	(void)state;
	takes_as("int(11)", " 12\t", "12");
	takes_as("int(11)", "+12", "12");
	takes_as("int(11)", "0012", "12");
	takes_as("int(11)", "-0", "0");
	takes_as("int(11)", "12.000", "12");
	takes_as("int(11)", "1.2e1", "12");
	takes_as("int(11)", "1200E-2", "12");
	takes_as("int(11)", "0e999999999999", "0");
	takes_as("bigint(20) unsigned", "1e19", "10000000000000000000");
	refuses("int(11)", "", "'' is no whole number");
	refuses("int(11)", "-", "'-' is no whole number");
	refuses("int(11)", "1 2", "'1 2' is no whole number");
	refuses("int(11)", "1.5", "1.5 is no whole number");
	refuses("int(11)", "0x10", "'0x10' is no whole number");
	refuses("int(11)", "1e", "1e is no whole number");
	refuses("int(11)", "1e99999999999999999999", "1e99999999999999999999 is beyond what int(11) can be");
	refuses("int(11)", "1e-99999999999999999999", "1e-99999999999999999999 is no whole number");
	refuses("int(11)", "true", "'true' is no whole number");
	takes_as("tinyint(1)", "true", "1");
	takes_as("tinyint(1)", "FALSE", "0");
	refuses("tinyint(1)", "fals", "'fals' is no whole number");
}

static void
decimals_keep_all_their_digits(void **state)
{
	(void)state;
	takes("decimal(65,30)",
	    "-12345678901234567890123456789012345.123456789012345678901234567891");
	takes_as("decimal(10,2)", "12345678.900", "12345678.9");
	takes_as("decimal(10,2)", ".5", "0.5");
	takes_as("decimal(10,2)", "5.", "5");
	takes_as("decimal(10,2)", "1e7", "10000000");
	takes_as("decimal(10,2)", "1.5e-1", "0.15");
	takes_as("decimal(10,2)", "1e-2", "0.01");
	takes_as("decimal(10,2)", "-0.00", "0");
	takes("decimal(5,0)", "99999");
	refuses("decimal(10,2)", "1.005", "1.005 has 3 digits behind the point, decimal(10,2) holds 2");
	refuses("decimal(10,2)", "1e-3", "1e-3 has 3 digits behind the point, decimal(10,2) holds 2");
	refuses("decimal(10,2)", "100000000", "100000000 is beyond what decimal(10,2) can be");
	refuses("decimal(10,2) unsigned", "-1", "-1 is beyond what decimal(10,2) unsigned can be");
	refuses("decimal(10,2)", "1,5", "'1,5' is no number");
	refuses("decimal(10,2)", "1.2.3", "1.2.3 is no number");
	takes("float(7,3)", "1234.567");
	refuses("float(7,3)", "1.2345", "1.2345 has 4 digits behind the point, float(7,3) holds 3");
	refuses("double(5,1)", "12345", "12345 is beyond what double(5,1) can be");
}

static void
a_number_with_very_many_digits_is_bounded(void **state)
{
	char text[5000];

	(void)state;
	memset(text, '1', sizeof(text));
	text[1] = '.';
	text[sizeof(text) - 1] = '\0';
	takes_as("double", text, "1.1111111111111112");
	text[1] = '1';
	refuses("int(11)", text, "111111111111111111111111111111111111111111111111111111111111..."
	    " is beyond what int(11) can be");
}

static void
floats_and_doubles_have_a_range(void **state)
{
	(void)state;
	takes_as("double", "0.1", "0.10000000000000001");
	takes_as("double", "1.7976931348623157e308", "1.7976931348623157e+308");
	takes_as("float", "3.4028234e38", "3.4028233999999999e+38");
	takes_as("double", "5e-324", "4.9406564584124654e-324");
	refuses("double", "1.8e308", "1.8e308 is beyond what double can be");
	refuses("double", "1e-400", "1e-400 is beyond what double can be");
	refuses("float", "3.5e38", "3.5e38 is beyond what float can be");
	refuses("float", "1e-60", "1e-60 is beyond what float can be");
	refuses("double unsigned", "-1", "-1 is beyond what double unsigned can be");
	refuses("double", "inf", "'inf' is no number");
	refuses("double", "nan", "'nan' is no number");
}

static void
dates_are_those_of_the_calendar(void **state)
{
	(void)state;
	takes("date", "2024-02-29");
	takes("date", "2000-02-29");
	takes("date", "9999-12-31");
	takes("date", "0001-01-01");
	/* Zeros are for the server to take or not. */
	takes("date", "0000-00-00");
	takes("date", "2024-02-00");
	takes_as("date", "2024-02-29T00:00:00Z", "2024-02-29");
	refuses("date", "2023-02-29", "'2023-02-29' is no date");
	refuses("date", "1900-02-29", "'1900-02-29' is no date");
	refuses("date", "2024-04-31", "'2024-04-31' is no date");
	refuses("date", "2024-13-01", "'2024-13-01' is no date");
	refuses("date", "24-01-01", "'24-01-01' is no date");
	refuses("date", "2024-1-1", "'2024-1-1' is no date");
	refuses("date", "2024-01-01x", "'2024-01-01x' is no date");
	refuses("date", "2024-01-01 10:00", "'2024-01-01 10:00' has a time of day, date holds none");
}

static void
moments_with_an_offset_are_stored_in_utc(void **state)
{
	(void)state;
	takes_as("datetime", "2021-07-27T16:02:08Z", "2021-07-27 16:02:08");
	takes_as("datetime", "2021-07-27t16:02:08z", "2021-07-27 16:02:08");
	takes_as("datetime", "2021-07-27 16:02:08", "2021-07-27 16:02:08");
	takes_as("datetime", "2021-07-27", "2021-07-27 00:00:00");
	takes_as("datetime", "2021-07-27T16:02", "2021-07-27 16:02:00");
	takes_as("datetime", "2021-12-31T23:30:00-01:30", "2022-01-01 01:00:00");
	takes_as("datetime", "2024-03-01T01:00:00+0200", "2024-02-29 23:00:00");
	takes_as("datetime", "2024-03-01T01:00:00+02", "2024-02-29 23:00:00");
	takes_as("timestamp", "2021-07-27T16:02:08+01:00", "2021-07-27 15:02:08");
	refuses("datetime", "2021-07-27T24:00:00", "'2021-07-27T24:00:00' is no date and time");
	refuses("datetime", "2021-07-27T16:60:00", "'2021-07-27T16:60:00' is no date and time");
	refuses("datetime", "2021-07-27T16:02:60", "'2021-07-27T16:02:60' is no date and time");
	refuses("datetime", "2021-07-27T16:02:08+25:00",
	    "'2021-07-27T16:02:08+25:00' is no date and time");
	refuses("datetime", "2021-07-27T16:02:08 UTC",
	    "'2021-07-27T16:02:08 UTC' is no date and time");
	refuses("datetime", "2021-07-27T", "'2021-07-27T' is no date and time");
	refuses("datetime", "9999-12-31T23:59:59-01:00",
	    "'9999-12-31T23:59:59-01:00' is beyond what datetime can be");
	refuses("datetime", "0000-01-01T00:00:00+01:00",
	    "'0000-01-01T00:00:00+01:00' is beyond what datetime can be");
	refuses("datetime", "0000-00-00T00:00:00Z", "'0000-00-00T00:00:00Z' is no date and time");
}

static void
a_timestamp_has_its_range(void **state)
{
	struct checked c;
	const struct row_value late = { .type = ROW_TEXT, .data = "2106-02-07T06:28:15Z", .len = 20 };

	(void)state;
	takes("timestamp", "1970-01-01 00:00:01");
	takes("timestamp(3)", "1970-01-01 00:00:00.001");
	takes("timestamp", "2038-01-19 03:14:07");
	refuses("timestamp", "2038-01-19T03:14:08Z",
	    "'2038-01-19T03:14:08Z' is beyond what timestamp can be");
	refuses("timestamp", "1970-01-01T00:00:00Z",
	    "'1970-01-01T00:00:00Z' is beyond what timestamp can be");
	takes_as("timestamp", "2038-01-19T04:14:07+01:00", "2038-01-19 03:14:07");
	/* A newer server has more of them. */
	begin(&c, "timestamp", NULL);
	row_rule_init(&c.rule, &c.table, &c.column, false, 110500);
	check(&c, &late);
	assert_int_equal(c.rc, 0);
	row_rule_done(&c.rule);
}

static void
digits_of_a_second_are_not_cut_off(void **state)
{
	(void)state;
	takes("datetime(6)", "2021-07-27 16:02:08.123456");
	takes_as("datetime(3)", "2021-07-27 16:02:08.120000", "2021-07-27 16:02:08.12");
	takes_as("datetime", "2021-07-27 16:02:08.000000000", "2021-07-27 16:02:08");
	takes_as("datetime(3)", "2021-07-27 16:02:08,5", "2021-07-27 16:02:08.5");
	refuses("datetime", "2021-07-27 16:02:08.5",
	    "'2021-07-27 16:02:08.5' has 1 digits of a second, datetime holds 0");
	refuses("datetime(6)", "2021-07-27 16:02:08.1234567",
	    "'2021-07-27 16:02:08.1234567' has more than 6 digits of a second, datetime(6) holds 6");
	refuses("datetime", "2021-07-27 16:02:08.",
	    "'2021-07-27 16:02:08.' is no date and time");
}

static void
times_go_beyond_a_day_and_below_zero(void **state)
{
	(void)state;
	takes("time", "00:00:00");
	takes("time", "-838:59:59");
	takes("time(6)", "838:59:59.999999");
	takes_as("time", "7:05", "07:05:00");
	refuses("time", "839:00:00", "'839:00:00' is beyond what time can be");
	refuses("time", "12:60:00", "'12:60:00' is no time");
	refuses("time", "120000", "120000 is no time");
	refuses("time", "12:00:00Z", "'12:00:00Z' is no time");
	refuses("time(1)", "12:00:00.12", "'12:00:00.12' has 2 digits of a second, time(1) holds 1");
}

static void
years_have_four_digits(void **state)
{
	(void)state;
	takes("year(4)", "1901");
	takes("year(4)", "2155");
	takes_as("year(4)", "0000", "0");
	refuses("year(4)", "1900", "1900 is beyond what year can be");
	refuses("year(4)", "2156", "2156 is beyond what year can be");
	refuses("year(4)", "99", "99 is no year of four digits");
	refuses("year(4)", "19x9", "'19x9' is no year of four digits");
}

static void
texts_are_measured_in_characters_or_bytes(void **state)
{
	char text[300];

	(void)state;
	takes("char(3)", "äöü");
	refuses("char(3)", "äöüa", "4 characters, char(3) takes 3");
	refuses("varchar(3)", "abc ", "4 characters, varchar(3) takes 3");
	takes("varbinary(3)", "abc");
	refuses("varbinary(3)", "äö", "4 bytes, varbinary(3) takes 3");
	memset(text, 'x', 256);
	text[256] = '\0';
	takes("text", text);
	refuses("tinytext", text, "256 bytes, tinytext takes 255");
	refuses("tinyblob", text, "256 bytes, tinyblob takes 255");
	/* 255 characters of one byte each, where they are stored. */
	memset(text, 'x', 253);
	memcpy(text + 253, "éé", sizeof("éé"));
	refuses("tinytext", text, "257 bytes, tinytext takes 255");
	refuses_in("tinytext", "latin1", strcat(text, "z"), "256 bytes, tinytext takes 255");
}

static void
characters_that_a_column_does_not_have_are_named(void **state)
{
	struct checked c;

	(void)state;
	takes("varchar(9)", "\xf0\x9f\x98\x80");
	refuses_in("varchar(9)", "utf8mb3", "\xf0\x9f\x98\x80",
	    "'\xf0\x9f\x98\x80' has the character U+1F600, which utf8mb3 does not have");
	refuses_in("varchar(9)", "ascii", "é", "'é' has the character U+00E9, which ascii does not have");
	refuses_in("varchar(9)", "latin1", "ř", "'ř' has the character U+0159, which latin1 does not have");
	check_text(&c, "varchar(9)", "latin1", "€Œ™é\xc2\x81");
	assert_int_equal(c.rc, 0);
	refuses_in("varchar(9)", "latin1", "\xc2\x80",
	    "'\\xc2\\x80' has the character U+0080, which latin1 does not have");
	/* Of others the server knows. */
	check_text(&c, "varchar(9)", "cp1250", "ř");
	assert_int_equal(c.rc, 0);
	refuses("varchar(9)", "\xff", "'\\xff' is not valid UTF-8");
	refuses("enum('a')", "\xc3", "'\\xc3' is not valid UTF-8");
	check_text(&c, "varbinary(9)", NULL, "\xff");
	assert_int_equal(c.rc, 0);
}

static void
members_are_those_of_the_type(void **state)
{
	(void)state;
	takes("enum('a','it''s','b,c','back\\\\slash')", "it's");
	takes("enum('a','it''s','b,c','back\\\\slash')", "b,c");
	takes("enum('a','it''s','b,c','back\\\\slash')", "back\\slash");
	takes("enum('a','')", "");
	takes("enum('Yes','No')", "yes");
	takes("enum('a')", "a ");
	takes("enum('1','2')", "2");
	refuses("enum('a','b')", "c", "'c' is no member of enum('a','b')");
	refuses("enum('a','b')", "", "'' is no member of enum('a','b')");
	/* The server would take the second. */
	refuses("enum('a','b')", "2", "2 is no member of enum('a','b')");
	refuses("enum('á','b')", "2", "2 is no member of enum('á','b')");
	/* The collation may say that it is one. */
	takes("enum('á','b')", "a");
	takes("set('x','y')", "y,x");
	takes("set('x','y')", "");
	refuses("set('x','y')", "x,z", "'z' is no member of set('x','y')");
}

static void
addresses_and_uuids_are_whole(void **state)
{
	(void)state;
	takes("uuid", "123e4567-e89b-12d3-a456-426655440000");
	takes("uuid", "123E4567E89B12D3A456426655440000");
	refuses("uuid", "123e4567-e89b-12d3-a456-42665544000",
	    "'123e4567-e89b-12d3-a456-42665544000' is no UUID");
	refuses("uuid", "123e4567e-89b-12d3-a456-426655440000",
	    "'123e4567e-89b-12d3-a456-426655440000' is no UUID");
	takes("inet4", "255.255.255.255");
	refuses("inet4", "1.2.3", "1.2.3 is no address of IPv4");
	refuses("inet4", "::1", "'::1' is no address of IPv4");
	takes("inet6", "2001:db8::1");
	takes("inet6", "::ffff:1.2.3.4");
	refuses("inet6", "1.2.3.4", "1.2.3.4 is no address of IPv6");
}

static void
json_goes_only_into_json(void **state)
{
	const struct row_value object = { .type = ROW_JSON, .data = "{\"a\": 1.50}", .len = 11 };
	const struct row_value yes = { .type = ROW_TRUE };
	struct checked c;

	(void)state;
	begin(&c, "longtext", "utf8mb4");
	check(&c, &object);
	assert_string_equal(c.err.message, "'c': an object is no value for longtext");
	c.table.create = (char *)(uintptr_t)
	    "CREATE TABLE `t` (`c` longtext CHECK (json_valid(`c`)))";
	row_rule_init(&c.rule, &c.table, &c.column, false, 101119);
	check(&c, &object);
	assert_int_equal(c.rc, 0);
	assert_memory_equal(c.cell.data, "{\"a\": 1.50}", c.cell.len);
	check(&c, &yes);
	assert_memory_equal(c.cell.data, "true", c.cell.len);
	check(&c, &(struct row_value){ .type = ROW_TEXT, .data = "{\"a\"}", .len = 5 });
	assert_string_equal(c.err.message, "'c': '{\"a\"}' is no valid JSON");
	/* Another column's constraint is not this one's. */
	c.table.create = (char *)(uintptr_t)"CHECK (json_valid(`cc`))";
	row_rule_init(&c.rule, &c.table, &c.column, false, 101119);
	assert_int_equal(c.rule.kind, ROW_KIND_CHARACTERS);
}

static void
true_and_false_are_numbers_only(void **state)
{
	const struct row_value no = { .type = ROW_FALSE };
	struct checked c;

	(void)state;
	begin(&c, "int(11)", NULL);
	check(&c, &no);
	assert_int_equal(c.rc, 0);
	assert_int_equal(c.cell.as.i, 0);
	begin(&c, "varchar(9)", "utf8mb4");
	check(&c, &no);
	assert_string_equal(c.err.message, "'c': false is no value for varchar(9)");
}

static void
null_and_nothing_need_a_column_that_takes_them(void **state)
{
	const struct row_value null = { .type = ROW_NULL }, nothing = { .type = ROW_DEFAULT };
	struct checked c;

	(void)state;
	begin(&c, "int(11)", NULL);
	check(&c, &null);
	assert_string_equal(c.err.message, "'c': cannot be NULL");
	check(&c, &nothing);
	assert_int_equal(c.cell.type, ROW_CELL_LEFT_OUT);
	row_rule_init(&c.rule, &c.table, &c.column, true, 101119);
	check(&c, &nothing);
	assert_string_equal(c.err.message, "'c': is missing, and has no default");
	/* The server numbers it. */
	c.column.is_auto_increment = true;
	row_rule_init(&c.rule, &c.table, &c.column, false, 101119);
	check(&c, &null);
	assert_int_equal(c.rc, 0);
	assert_int_equal(c.cell.type, ROW_CELL_NULL);
	c.column.is_auto_increment = false;
	/* A trigger may fill it. */
	c.trigger.timing = (char *)(uintptr_t)"BEFORE";
	c.trigger.event = (char *)(uintptr_t)"INSERT";
	c.table.triggers = &c.trigger;
	c.table.trigger_count = 1;
	row_rule_init(&c.rule, &c.table, &c.column, true, 101119);
	check(&c, &null);
	assert_int_equal(c.rc, 0);
	check(&c, &nothing);
	assert_int_equal(c.rc, 0);
}

static void
geometry_is_not_made_of_text(void **state)
{
	(void)state;
	refuses("point", "POINT(1 1)", "'POINT(1 1)' cannot be loaded into point");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_taken_to_their_limits_and_not_beyond),
		cmocka_unit_test(a_whole_number_may_be_written_in_many_ways),
		cmocka_unit_test(decimals_keep_all_their_digits),
		cmocka_unit_test(a_number_with_very_many_digits_is_bounded),
		cmocka_unit_test(floats_and_doubles_have_a_range),
		cmocka_unit_test(dates_are_those_of_the_calendar),
		cmocka_unit_test(moments_with_an_offset_are_stored_in_utc),
		cmocka_unit_test(a_timestamp_has_its_range),
		cmocka_unit_test(digits_of_a_second_are_not_cut_off),
		cmocka_unit_test(times_go_beyond_a_day_and_below_zero),
		cmocka_unit_test(years_have_four_digits),
		cmocka_unit_test(texts_are_measured_in_characters_or_bytes),
		cmocka_unit_test(characters_that_a_column_does_not_have_are_named),
		cmocka_unit_test(members_are_those_of_the_type),
		cmocka_unit_test(addresses_and_uuids_are_whole),
		cmocka_unit_test(json_goes_only_into_json),
		cmocka_unit_test(true_and_false_are_numbers_only),
		cmocka_unit_test(null_and_nothing_need_a_column_that_takes_them),
		cmocka_unit_test(geometry_is_not_made_of_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
