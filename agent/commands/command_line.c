#include "agent/commands/command_line.h"

#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "shared/mem.h"

/* clang-format off */
const struct option_spec global_options[] = {
	{ "config",          0,   OPTION_VALUE, "FILE",
	  "the configuration file; default /etc/holdfast/holdfast.conf if it exists" },
	{ "repository",      0,   OPTION_VALUE, "FOLDER", "the repository" },
	{ "state",           0,   OPTION_VALUE, "FOLDER", "the agent's own folder" },
	{ "passphrase-file", 0,   OPTION_VALUE, "FILE",
	  "the file whose first line opens the repository" },
	{ "listen",          0,   OPTION_VALUE, "ADDRESS",
	  "ADDR:PORT, [IPV6]:PORT or unix:PATH, separated by commas" },
	{ "help",            'h', OPTION_FLAG,  NULL, "show help" },
	{ "version",         0,   OPTION_FLAG,  NULL, "show the version" },
	{ .name = NULL }
};
/* clang-format on */

static const struct option_spec *
find_long(const struct option_spec *specs, const char *name, size_t len)
{
	for (; specs != NULL && specs->name != NULL; specs++)
		if (strlen(specs->name) == len && strncmp(specs->name, name, len) == 0)
			return specs;
	return NULL;
}

static const struct option_spec *
find_letter(const struct option_spec *specs, char letter)
{
	for (; specs != NULL && specs->name != NULL; specs++)
		if (specs->letter == letter)
			return specs;
	return NULL;
}

static int
wrong_usage(const struct command_line *line, struct error *err)
{
	if (line->command == NULL)
		return error_hint(err, "see holdfastd help");
	return error_hint(err, "see holdfastd help %s", line->command->name);
}

static void
add_option(struct command_line *line, const struct option_spec *spec, const char *value)
{
	MEM_GROW(line->options, line->option_count, line->option_cap);
	line->options[line->option_count++] = (struct given_option){ spec, value };
}

/* "--name", "--name=value", "--name value"; next may be NULL.  1 if next was used. */
static int
parse_long(struct command_line *line, const char *text, const char *next, struct error *err)
{
	const char *name = text + 2, *equals = strchr(name, '=');
	size_t len = equals == NULL ? strlen(name) : (size_t)(equals - name);
	const struct option_spec *spec = find_long(global_options, name, len);

	if (spec == NULL && line->command != NULL)
		spec = find_long(line->command->options, name, len);
	if (spec == NULL) {
		error_set(err, ERROR_USAGE, "unknown option '%.100s'", text);
		return wrong_usage(line, err);
	}
	if (spec->kind == OPTION_FLAG && equals != NULL) {
		error_set(err, ERROR_USAGE, "option '--%s' takes no value", spec->name);
		return wrong_usage(line, err);
	}
	if (spec->kind == OPTION_FLAG || spec->kind == OPTION_OPTIONAL || equals != NULL) {
		add_option(line, spec, equals == NULL ? NULL : equals + 1);
		return 0;
	}
	if (next == NULL) {
		error_set(err, ERROR_USAGE, "option '--%s' needs %s", spec->name, spec->value);
		return wrong_usage(line, err);
	}
	add_option(line, spec, next);
	return 1;
}

/* "-o value", "-ovalue", "-h"; letters are not joined. */
static int
parse_short(struct command_line *line, const char *text, const char *next, struct error *err)
{
	const struct option_spec *spec = find_letter(global_options, text[1]);

	if (spec == NULL && line->command != NULL)
		spec = find_letter(line->command->options, text[1]);
	if (spec == NULL || (spec->kind == OPTION_FLAG && text[2] != '\0')) {
		error_set(err, ERROR_USAGE, "unknown option '%.100s'", text);
		return wrong_usage(line, err);
	}
	if (spec->kind == OPTION_FLAG || text[2] != '\0') {
		add_option(line, spec, spec->kind == OPTION_FLAG ? NULL : text + 2);
		return 0;
	}
	if (next == NULL) {
		error_set(err, ERROR_USAGE, "option '-%c' needs %s", spec->letter, spec->value);
		return wrong_usage(line, err);
	}
	add_option(line, spec, next);
	return 1;
}

static int
check_count(const struct command_line *line, struct error *err)
{
	const struct command *command = line->command;

	if (command == NULL || option_given(line, "help"))
		return 0;
	if (line->argument_count < command->argument_min)
		error_set(err, ERROR_USAGE, "'%s' needs more arguments: holdfastd %s %s",
		    command->name, command->name, command->arguments);
	else if (line->argument_count > command->argument_max)
		error_set(err, ERROR_USAGE, "'%s' takes no argument '%.100s'", command->name,
		    line->arguments[command->argument_max]);
	else
		return 0;
	return wrong_usage(line, err);
}

static int
take_word(struct command_line *line, const char *word, struct error *err)
{
	if (line->command == NULL) {
		line->command = command_find(word);
		if (line->command != NULL)
			return 0;
		error_set(err, ERROR_USAGE, "unknown command '%.100s'", word);
		return error_hint(err, "see holdfastd help");
	}
	MEM_GROW(line->arguments, line->argument_count, line->argument_cap);
	line->arguments[line->argument_count++] = word;
	return 0;
}

int
command_line_parse(int argc, char *const *argv, struct command_line *ret, struct error *err)
{
	bool only_words = false;

	memset(ret, 0, sizeof(*ret));
	for (int i = 1; i < argc; i++) {
		const char *text = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		int rc;

		if (!only_words && strcmp(text, "--") == 0) {
			only_words = true;
			continue;
		}
		if (only_words || text[0] != '-' || text[1] == '\0')
			rc = take_word(ret, text, err);
		else if (text[1] == '-')
			rc = parse_long(ret, text, next, err);
		else
			rc = parse_short(ret, text, next, err);
		if (rc < 0)
			return -1;
		i += rc;
	}
	return check_count(ret, err);
}

void
command_line_done(struct command_line *line)
{
	free(line->options);
	free(line->arguments);
	memset(line, 0, sizeof(*line));
}

bool
option_given(const struct command_line *line, const char *name)
{
	for (size_t i = 0; i < line->option_count; i++)
		if (strcmp(line->options[i].spec->name, name) == 0)
			return true;
	return false;
}

const char *
option_value(const struct command_line *line, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < line->option_count; i++)
		if (strcmp(line->options[i].spec->name, name) == 0)
			value = line->options[i].value;
	return value;
}

const char **
option_values(const struct command_line *line, const char *name, size_t *ret_count)
{
	const char **values = mem_calloc(line->option_count, sizeof(*values));

	*ret_count = 0;
	for (size_t i = 0; i < line->option_count; i++)
		if (strcmp(line->options[i].spec->name, name) == 0)
			values[(*ret_count)++] = line->options[i].value;
	return values;
}
