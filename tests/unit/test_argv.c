/* One line of a setting as a program and its arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/argv.h"
#include "shared/buffer.h"
#include "shared/mem.h"

static void
words_are_split_and_quotes_removed(void **state)
{
	/* Words in brackets, so that an empty one shows. */
	static const struct {
		const char *text, *words;
	} right[] = {
		{ "/bin/true", "[/bin/true]" },
		{ "  /bin/true\t a  b ", "[/bin/true][a][b]" },
		{ "/bin/x 'a  b' \"c 'd\"", "[/bin/x][a  b][c 'd]" },
		{ "/bin/x '' \"\" a''b", "[/bin/x][][][ab]" },
		{ "/bin/x \"\\\"q\\\" \\\\ \\n $HOME\"", "[/bin/x][\"q\" \\ \\n $HOME]" },
		{ "/bin/x '\\' a\\ b \\' \\\\ \\$x", "[/bin/x][\\][a b]['][\\][$x]" },
		{ "/bin/sh -c 'echo \"$HOLDFAST_JOB\" > /run/x; exit 0'",
		    "[/bin/sh][-c][echo \"$HOLDFAST_JOB\" > /run/x; exit 0]" },
		{ "/bin/x --a=*.tmp ~ #no-comment [z] {y} %d !",
		    "[/bin/x][--a=*.tmp][~][#no-comment][[z]][{y}][%d][!]" },
		{ "'/opt/my tools/x' \xc3\xa4", "[/opt/my tools/x][\xc3\xa4]" },
		{ "/opt/my\\ tools/x", "[/opt/my tools/x]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		struct buffer words = BUFFER_INIT;
		struct error err = ERROR_INIT;
		char **argv = NULL;

		if (argv_parse(right[i].text, &argv, &err) != 0)
			fail_msg("%s: %s", right[i].text, err.message);
		for (char **word = argv; *word != NULL; word++)
			buffer_printf(&words, "[%s]", *word);
		assert_string_equal(buffer_text(&words), right[i].words);
		buffer_done(&words);
		argv_free(argv);
	}
}

static void
what_is_not_meant_so_is_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} wrong[] = {
		{ "", "program '' is no absolute path" },
		{ " \t", "program '' is no absolute path" },
		{ "true", "program 'true' is no absolute path" },
		{ "./x /bin/true", "program './x' is no absolute path" },
		{ "'' /bin/true", "program '' is no absolute path" },
		{ "~/x", "program '~/x' is no absolute path" },
		{ "/bin/x 'a", "a ' has no end" },
		{ "/bin/x \"a\\\"", "a \" has no end" },
		{ "/bin/x \\", "a backslash has nothing behind it" },
		{ "/bin/x > /dev/null", "'>' stands outside of quotes, and no shell reads this" },
		{ "/bin/x a&&b", "'&' stands outside" },
		{ "/bin/x | b", "'|' stands outside" },
		{ "/bin/x; b", "';' stands outside" },
		{ "/bin/x $HOME", "'$' stands outside" },
		{ "/bin/x `b`", "'`' stands outside" },
		{ "/bin/x (b)", "'(' stands outside" },
		{ "/bin/x\nb", "a line ends outside of quotes" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;
		char **argv = NULL;

		if (argv_parse(wrong[i].text, &argv, &err) == 0)
			fail_msg("taken: %s", wrong[i].text);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
		if (strstr(err.message, wrong[i].message) == NULL)
			fail_msg("%s: '%s'", wrong[i].text, err.message);
		assert_null(argv);
	}
}

static void
the_number_of_words_is_bounded(void **state)
{
	struct buffer text = BUFFER_INIT;
	struct error err = ERROR_INIT;
	char **argv = NULL;

	(void)state;
	buffer_put_text(&text, "/bin/x");
	for (int i = 1; i < ARGV_WORDS_MAX; i++)
		buffer_put_text(&text, " a");
	assert_int_equal(argv_parse(buffer_text(&text), &argv, &err), 0);
	argv_free(argv);
	argv = NULL;
	buffer_put_text(&text, " a");
	assert_int_equal(argv_parse(buffer_text(&text), &argv, &err), -1);
	assert_string_equal(err.message, "there are more than 200 words");
	buffer_done(&text);
	argv_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_split_and_quotes_removed),
		cmocka_unit_test(what_is_not_meant_so_is_refused),
		cmocka_unit_test(the_number_of_words_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
