/*
 * The command line: global options before or after the command, the command's own options,
 * arguments.  "--" ends the options.  What may stand where comes from tables.
 */
#ifndef HOLDFAST_AGENT_COMMANDS_COMMAND_LINE_H
#define HOLDFAST_AGENT_COMMANDS_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"

struct command;

enum option_kind {
	OPTION_FLAG,    /* --json */
	OPTION_VALUE,   /* --tag TEXT, --tag=TEXT; the last one counts */
	OPTION_LIST,    /* the same, as often as wanted */
	OPTION_OPTIONAL /* --read-data, --read-data=TEXT */
};

struct option_spec {
	const char *name; /* NULL ends the table */
	char letter;      /* 0 if there is none */
	enum option_kind kind;
	const char *value; /* its name in the help, or NULL */
	const char *sentence;
};

struct given_option {
	const struct option_spec *spec;
	const char *value; /* NULL for a flag */
};

struct command_line {
	const struct command *command; /* NULL: the agent itself */
	struct given_option *options;
	size_t option_count, option_cap;
	const char **arguments;
	size_t argument_count, argument_cap;
};

extern const struct option_spec global_options[];

/* ERROR_USAGE, with a hint where to read on.  The texts are those of argv. */
int command_line_parse(int argc, char *const *argv, struct command_line *ret,
    struct error *err);
void command_line_done(struct command_line *line);

bool option_given(const struct command_line *line, const char *name);
/* The last value, or NULL. */
const char *option_value(const struct command_line *line, const char *name);
/* Every value; caller frees the array. */
const char **option_values(const struct command_line *line, const char *name,
    size_t *ret_count);

#endif
