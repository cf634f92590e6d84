#include <stdio.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"

static void
print_options(const struct option_spec *specs)
{
	for (; specs != NULL && specs->name != NULL; specs++) {
		char text[80];
		const char *value = specs->value == NULL ? "" : specs->value;
		const char *joint = specs->kind == OPTION_FLAG ? ""
		    : specs->kind == OPTION_OPTIONAL ? "[=" : " ";

		if (specs->letter != 0 && strlen(specs->name) == 1)
			snprintf(text, sizeof(text), "-%c%s%s", specs->letter, joint, value);
		else
			snprintf(text, sizeof(text), "--%s%s%s%s", specs->name, joint, value,
			    specs->kind == OPTION_OPTIONAL ? "]" : "");
		printf("  %-26s %s\n", text, specs->sentence);
	}
}

static void
print_all(void)
{
	printf("holdfastd backs up folders of this machine, and restores them.\n\n"
	    "usage: holdfastd [OPTION...]                     run as the agent, in the foreground\n"
	    "       holdfastd [OPTION...] COMMAND [ARGUMENT...]\n\ncommands:\n");
	for (size_t i = 0; i < commands_count; i++)
		printf("  %-11s %s\n", commands_table[i].name, commands_table[i].sentence);
	printf("\noptions, before or after the command:\n");
	print_options(global_options);
	printf("\nexit status: 0 done, 1 failed, 2 wrong usage, 3 finished with losses\n");
}

static void
print_one(const struct command *command)
{
	printf("usage: holdfastd %s%s%s%s\n\n%s\n", command->name,
	    command->options == NULL ? "" : " [OPTION...]", *command->arguments == '\0' ? "" : " ",
	    command->arguments, command->sentence);
	if (command->options != NULL) {
		printf("\noptions:\n");
		print_options(command->options);
	}
	printf("\noptions of all commands:\n");
	print_options(global_options);
}

int
help_main(struct session *session, struct error *err)
{
	const struct command *command = session->line.command;

	/* "help NAME", or "NAME --help" */
	if (command != NULL && strcmp(command->name, "help") == 0 &&
	    !option_given(&session->line, "help")) {
		command = NULL;
		if (session->line.argument_count > 0) {
			command = command_find(session->line.arguments[0]);
			if (command == NULL) {
				error_set(err, ERROR_USAGE, "unknown command '%.100s'",
				    session->line.arguments[0]);
				return error_hint(err, "see holdfastd help");
			}
		}
	}
	if (command == NULL)
		print_all();
	else
		print_one(command);
	return EXIT_OK;
}

int
version_main(struct session *session, struct error *err)
{
	(void)session;
	(void)err;
	printf("holdfastd %s\n", PACKAGE_VERSION);
	return EXIT_OK;
}
