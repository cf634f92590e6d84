#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "shared/error.h"

static void
error_set_fills_code_and_message_and_returns_failure(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	error_hint(&err, "from before");
	err.sys = EIO;
	assert_int_equal(error_set(&err, ERROR_CORRUPT, "pack '%s': %d", "ab", 7), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.message, "pack 'ab': 7");
	assert_string_equal(err.hint, "");
}

static void
error_sys_appends_the_systems_reason(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(error_sys(&err, ERROR_IO, EIO, "could not read '%s'", "a"), -1);
	assert_int_equal(err.code, ERROR_IO);
	assert_int_equal(err.sys, EIO);
	assert_string_equal(err.message, "could not read 'a': Input/output error");
}

static void
error_sys_chooses_the_code_by_errno(void **state)
{
	static const struct {
		enum error_code given;
		int sys;
		enum error_code expected;
	} rows[] = {
		{ ERROR_IO, ENOSPC, ERROR_NO_SPACE },
		{ ERROR_IO, EDQUOT, ERROR_NO_SPACE },
		{ ERROR_CONFIG, ENOSPC, ERROR_NO_SPACE },
		{ ERROR_IO, ENOENT, ERROR_NOT_FOUND },
		{ ERROR_IO, EACCES, ERROR_PERMISSION },
		{ ERROR_IO, EPERM, ERROR_PERMISSION },
		{ ERROR_CONFIG, ENOENT, ERROR_CONFIG },
		{ ERROR_CONFIG, EACCES, ERROR_CONFIG },
		{ ERROR_IO, EMFILE, ERROR_IO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = ERROR_INIT;

		error_sys(&err, rows[i].given, rows[i].sys, "x");
		assert_int_equal(err.code, rows[i].expected);
	}
}

static void
a_full_disk_says_what_to_do(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	error_sys(&err, ERROR_IO, ENOSPC, "x");
	assert_non_null(strstr(err.hint, "free some space"));
}

static void
error_prefix_goes_before_the_message_and_keeps_the_rest(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	error_sys(&err, ERROR_IO, EIO, "could not read");
	error_hint(&err, "look there");
	assert_int_equal(error_prefix(&err, "snapshot '%s': ", "1234"), -1);
	assert_string_equal(err.message, "snapshot '1234': could not read: Input/output error");
	assert_string_equal(err.hint, "look there");
	assert_int_equal(err.code, ERROR_IO);
	assert_int_equal(err.sys, EIO);
}

static void
texts_too_long_are_cut_and_terminated(void **state)
{
	struct error err = ERROR_INIT;
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	error_set(&err, ERROR_IO, "%s", text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	error_sys(&err, ERROR_IO, EIO, "%s", text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	error_hint(&err, "%s", text);
	assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
}

static void
error_clear_leaves_nothing(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	error_sys(&err, ERROR_IO, ENOSPC, "x");
	error_clear(&err);
	assert_int_equal(err.code, ERROR_NONE);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.message, "");
	assert_string_equal(err.hint, "");
}

/* Words are the API's: a repeated one would make two problems look like one. */
static void
every_code_has_its_own_word_and_sound_statuses(void **state)
{
	(void)state;
	for (int a = 0; a < ERROR_CODE_COUNT; a++) {
		int http = error_http_status((enum error_code)a);
		int status = error_exit_status((enum error_code)a);
		const char *word = error_word((enum error_code)a);

		assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz-"), strlen(word));
		assert_true(strlen(error_title((enum error_code)a)) > 0);
		if (a == ERROR_NONE) {
			assert_int_equal(http, 200);
			assert_int_equal(status, EXIT_OK);
		} else {
			assert_in_range(http, 400, 599);
			assert_in_range(status, EXIT_FAILED, EXIT_USAGE);
		}
		for (int b = 0; b < a; b++)
			assert_string_not_equal(word, error_word((enum error_code)b));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_set_fills_code_and_message_and_returns_failure),
		cmocka_unit_test(error_sys_appends_the_systems_reason),
		cmocka_unit_test(error_sys_chooses_the_code_by_errno),
		cmocka_unit_test(a_full_disk_says_what_to_do),
		cmocka_unit_test(error_prefix_goes_before_the_message_and_keeps_the_rest),
		cmocka_unit_test(texts_too_long_are_cut_and_terminated),
		cmocka_unit_test(error_clear_leaves_nothing),
		cmocka_unit_test(every_code_has_its_own_word_and_sound_statuses),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
