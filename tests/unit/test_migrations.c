/* Folders of migrations, and names and addresses of MariaDB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/migrate.h"
#include "tests/lib/test_folder.h"

static void
write_file(const char *folder, const char *name, const char *text)
{
	char *path = test_path(folder, "%s", name);

	test_file_write(path, text, strlen(text));
	free(path);
}

static void
a_folder_is_read_in_the_order_of_its_numbers(void **state)
{
	char *folder = test_folder_new();
	struct migrations *set = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	write_file(folder, "0010_later.up.sql", "SELECT 10");
	write_file(folder, "0002_second.up.sql", "SELECT 2");
	write_file(folder, "0002_second.down.sql", "SELECT -2");
	write_file(folder, "1_first-one.up.sql", "");
	write_file(folder, "README.md", "no migration");
	write_file(folder, ".0003_hidden.up.sql", "no migration");
	assert_int_equal(migrations_read("user", folder, false, &set, &err), 0);
	assert_int_equal(set->count, 3);
	assert_int_equal(set->list[0].version, 1);
	assert_string_equal(set->list[0].name, "first-one");
	assert_string_equal(set->list[0].checksum,
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_int_equal(set->list[1].version, 2);
	assert_string_equal(set->list[1].down, "SELECT -2");
	assert_int_equal(set->list[2].version, 10);
	assert_null(set->list[2].down);
	migrations_free(set);
	test_folder_remove(folder);
}

static void
refuse(const char *first, const char *second, enum error_code code, const char *text)
{
	char *folder = test_folder_new();
	struct migrations *set = NULL;
	struct error err = ERROR_INIT;

	write_file(folder, first, "SELECT 1");
	if (second != NULL)
		write_file(folder, second, "SELECT 1");
	assert_int_equal(migrations_read("user", folder, false, &set, &err), -1);
	assert_int_equal(err.code, code);
	if (strstr(err.message, text) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, text);
	test_folder_remove(folder);
}

static void
wrong_names_are_refused(void **state)
{
	(void)state;
	refuse("departments.sql", NULL, ERROR_CONFIG, "'departments.sql' is not named like");
	refuse("0000_a.up.sql", NULL, ERROR_CONFIG, "'0000_a.up.sql' is not named like");
	refuse("0001_.up.sql", NULL, ERROR_CONFIG, "is not named like");
	refuse("0001_a b.up.sql", NULL, ERROR_CONFIG, "is not named like");
	refuse("0001_a.sql", NULL, ERROR_CONFIG, "is not named like");
	refuse("9999999999_a.up.sql", NULL, ERROR_CONFIG, "is not named like");
	refuse("0001_a\n.up.sql", NULL, ERROR_CONFIG, "'0001_a\\x0a.up.sql'");
	refuse("0001_a.up.sql", "1_a.up.sql", ERROR_CONFIG, "have the same number");
	refuse("0001_a.up.sql", "0001_b.down.sql", ERROR_CONFIG, "have the same number");
	refuse("0001_a.down.sql", NULL, ERROR_CONFIG, "has no .up.sql beside it");
}

static void
a_missing_folder_is_named(void **state)
{
	struct migrations *set = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(migrations_read("user", "/nonexistent/folder", false, &set, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "/nonexistent/folder"));
}

static void
the_program_carries_two_sets(void **state)
{
	struct migrations *set = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(migrations_read("log", "migrations", true, &set, &err), 0);
	assert_true(set->count >= 2);
	for (size_t i = 0; i < set->count; i++) {
		assert_int_equal(set->list[i].version, i + 1);
		assert_non_null(set->list[i].down);
	}
	migrations_free(set);
	assert_int_equal(migrations_read("user", "company", true, &set, &err), 0);
	assert_int_equal(set->count, 3);
	assert_non_null(strstr(set->list[2].up, "CREATE TABLE hired_employees"));
	migrations_free(set);
}

static void
address(const char *text, const char *expected)
{
	char *host = NULL, *socket = NULL, *got;
	struct error err = ERROR_INIT;
	unsigned port = 0;

	if (mariadb_parse_host(text, &host, &socket, &port, &err) != 0) {
		assert_int_equal(err.code, ERROR_CONFIG);
		assert_string_equal(expected, "");
		return;
	}
	got = mem_printf("%s %s %u", host == NULL ? "-" : host, socket == NULL ? "-" : socket,
	    port);
	assert_string_equal(got, expected);
	free(got);
	free(host);
	free(socket);
}

static void
addresses_of_servers(void **state)
{
	(void)state;
	address("db1", "db1 - 0");
	address("db1.example.org:3307", "db1.example.org - 3307");
	address("127.0.0.1", "127.0.0.1 - 0");
	address("[::1]", "::1 - 0");
	address("[fe80::1]:3306", "fe80::1 - 3306");
	address("/run/mysqld/mysqld.sock", "- /run/mysqld/mysqld.sock 0");
	address("", "");
	address(":3306", "");
	address("db1:", "");
	address("db1:0", "");
	address("db1:65536", "");
	address("db1:33x", "");
	address("::1", "");
	address("[::1", "");
	address("[::1]3306", "");
	address("db 1", "");
	address("user@db1", "");
	address("mysql://db1", "");
}

static void
name(const char *text, size_t len, const char *expected)
{
	struct error err = ERROR_INIT;
	int rc = mariadb_check_name("table", text, len, &err);

	if (expected == NULL) {
		assert_int_equal(rc, 0);
		return;
	}
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, expected);
}

static void
names_that_a_table_can_have(void **state)
{
	char longest[65], wide[129];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 0; i < sizeof(wide) - 1; i += 2)
		memcpy(wide + i, "\xc3\xa9", 2);
	name("hired_employees", 15, NULL);
	name("a`; DROP TABLE b; --", 20, NULL);
	name("\xc3\xa9\n.\"", 5, NULL);
	name(longest, 64, NULL);
	name(wide, 128, NULL);
	name("", 0, "the table's name is empty");
	name("a\0b", 3, "'a\\x00b' cannot be the name of a table: a NUL byte cannot be in it");
	name("a\xff", 2, "'a\\xff' cannot be the name of a table: it is not valid UTF-8");
	name("a ", 2, "'a ' cannot be the name of a table: it ends in a blank");
	name("\xf0\x9f\x98\x80", 4, "'\xf0\x9f\x98\x80' cannot be the name of a table: it has a "
	    "character above U+FFFF");
	name(longest, 65, "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' "
	    "cannot be the name of a table: it has more than 64 characters");
}

static void
names_are_quoted(void **state)
{
	struct buffer sql = BUFFER_INIT;

	(void)state;
	mariadb_put_name(&sql, "a`b``c.d'e\\");
	assert_string_equal(buffer_text(&sql), "`a``b````c.d'e\\`");
	buffer_done(&sql);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_folder_is_read_in_the_order_of_its_numbers),
		cmocka_unit_test(wrong_names_are_refused),
		cmocka_unit_test(a_missing_folder_is_named),
		cmocka_unit_test(the_program_carries_two_sets),
		cmocka_unit_test(addresses_of_servers),
		cmocka_unit_test(names_that_a_table_can_have),
		cmocka_unit_test(names_are_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
