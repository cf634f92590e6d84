#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "shared/mem.h"

#define WORDS_MAX 12

/* Parse the words behind the program's name. */
static int
parse(const char *const *words, struct command_line *line, struct error *err)
{
	char *argv[WORDS_MAX + 1] = { (char *)(uintptr_t)"holdfastd" };
	int argc = 1;

	for (; words[argc - 1] != NULL; argc++) {
		assert_true(argc < WORDS_MAX);
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	}
	return command_line_parse(argc, argv, line, err);
}

#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void
nothing_means_the_agent_itself(void **state)
{
	struct error err = ERROR_INIT;
	struct command_line line;

	(void)state;
	assert_int_equal(parse(WORDS("--listen", "127.0.0.1:1"), &line, &err), 0);
	assert_null(line.command);
	assert_string_equal(option_value(&line, "listen"), "127.0.0.1:1");
	command_line_done(&line);
}

static void
global_options_stand_before_or_after_the_command(void **state)
{
	struct error err = ERROR_INIT;
	struct command_line line;

	(void)state;
	assert_int_equal(parse(WORDS("--repository", "/r", "backup", "/srv", "--state=/s"), &line,
	    &err), 0);
	assert_string_equal(line.command->name, "backup");
	assert_string_equal(option_value(&line, "repository"), "/r");
	assert_string_equal(option_value(&line, "state"), "/s");
	assert_int_equal(line.argument_count, 1);
	assert_string_equal(line.arguments[0], "/srv");
	command_line_done(&line);
}

static void
options_repeat_and_the_last_value_counts(void **state)
{
	struct error err = ERROR_INIT;
	struct command_line line;
	const char **values;
	size_t count;

	(void)state;
	assert_int_equal(parse(WORDS("backup", "--tag", "a", "/x", "--tag=b", "--level", "1",
	    "--level=2"), &line, &err), 0);
	values = option_values(&line, "tag", &count);
	assert_int_equal(count, 2);
	assert_string_equal(values[0], "a");
	assert_string_equal(values[1], "b");
	free(values);
	assert_string_equal(option_value(&line, "level"), "2");
	assert_false(option_given(&line, "force"));
	command_line_done(&line);
}

static void
two_dashes_end_the_options(void **state)
{
	struct error err = ERROR_INIT;
	struct command_line line;

	(void)state;
	assert_int_equal(parse(WORDS("backup", "--", "--force", "-"), &line, &err), 0);
	assert_int_equal(line.argument_count, 2);
	assert_string_equal(line.arguments[0], "--force");
	assert_false(option_given(&line, "force"));
	command_line_done(&line);
}

static void
an_optional_value_needs_its_equals_sign(void **state)
{
	struct error err = ERROR_INIT;
	struct command_line line;

	(void)state;
	assert_int_equal(parse(WORDS("check", "--read-data=10%"), &line, &err), 0);
	assert_string_equal(option_value(&line, "read-data"), "10%");
	command_line_done(&line);
	assert_int_equal(parse(WORDS("check", "--read-data", "--json"), &line, &err), 0);
	assert_true(option_given(&line, "read-data"));
	assert_null(option_value(&line, "read-data"));
	command_line_done(&line);
}

static void
a_letter_takes_its_value_joined_or_apart(void **state)
{
	struct error err = ERROR_INIT;
	struct command_line line;

	(void)state;
	assert_int_equal(parse(WORDS("archive", "latest", "-o", "f.tar"), &line, &err), 0);
	assert_string_equal(option_value(&line, "o"), "f.tar");
	command_line_done(&line);
	assert_int_equal(parse(WORDS("archive", "latest", "-of.tar"), &line, &err), 0);
	assert_string_equal(option_value(&line, "o"), "f.tar");
	command_line_done(&line);
}

static void
wrong_usage_is_refused_with_a_hint(void **state)
{
	static const struct {
		const char *words[5];
		const char *message, *hint;
	} cases[] = {
		{ { "bakup", NULL }, "unknown command 'bakup'", "see holdfastd help" },
		{ { "--frob", NULL }, "unknown option '--frob'", "see holdfastd help" },
		{ { "backup", "/x", "--frob", NULL }, "unknown option '--frob'",
		    "see holdfastd help backup" },
		{ { "backup", "/x", "-z", NULL }, "unknown option '-z'", NULL },
		{ { "cat", "latest", NULL }, "'cat' needs more arguments: holdfastd cat ID PATH",
		    NULL },
		{ { "ls", "a", "b", "c", NULL }, "'ls' takes no argument 'c'",
		    "see holdfastd help ls" },
		{ { "init", "x", NULL }, "'init' takes no argument 'x'", NULL },
		{ { "backup", "/x", "--tag", NULL }, "option '--tag' needs TAG", NULL },
		{ { "backup", "/x", "--force=1", NULL }, "option '--force' takes no value", NULL },
		{ { "snapshots", "--target", "/x", NULL }, "unknown option '--target'", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;
		struct command_line line;

		assert_int_equal(parse(cases[i].words, &line, &err), -1);
		assert_int_equal(err.code, ERROR_USAGE);
		assert_string_equal(err.message, cases[i].message);
		if (cases[i].hint != NULL)
			assert_string_equal(err.hint, cases[i].hint);
		command_line_done(&line);
	}
}

static void
help_needs_no_arguments(void **state)
{
	struct error err = ERROR_INIT;
	struct command_line line;

	(void)state;
	assert_int_equal(parse(WORDS("restore", "--help"), &line, &err), 0);
	assert_true(option_given(&line, "help"));
	command_line_done(&line);
}

static void
every_command_and_option_has_a_name_and_a_sentence(void **state)
{
	(void)state;
	for (size_t i = 0; i < commands_count; i++) {
		const struct command *command = &commands_table[i];

		assert_true(strlen(command->sentence) > 10);
		assert_non_null(command->main);
		assert_ptr_equal(command_find(command->name), command);
		for (const struct option_spec *spec = command->options; spec != NULL &&
		    spec->name != NULL; spec++) {
			assert_true(strlen(spec->sentence) > 2);
			assert_int_equal(spec->kind == OPTION_FLAG, spec->value == NULL);
			/* An option of a command never hides a global one. */
			for (const struct option_spec *g = global_options; g->name != NULL; g++)
				assert_string_not_equal(g->name, spec->name);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_means_the_agent_itself),
		cmocka_unit_test(global_options_stand_before_or_after_the_command),
		cmocka_unit_test(options_repeat_and_the_last_value_counts),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(an_optional_value_needs_its_equals_sign),
		cmocka_unit_test(a_letter_takes_its_value_joined_or_apart),
		cmocka_unit_test(wrong_usage_is_refused_with_a_hint),
		cmocka_unit_test(help_needs_no_arguments),
		cmocka_unit_test(every_command_and_option_has_a_name_and_a_sentence),
	};

	return cmocka_run_group_tests_name("command_line", tests, NULL, NULL);
}
