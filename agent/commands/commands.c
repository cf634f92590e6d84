#include "agent/commands/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/commands/session.h"
#include "shared/mem.h"

const struct command commands_table[] = {
#define _(name, arguments, least, most, options, main, sentence) \
	{ name, arguments, least, most, options, main, sentence },
	COMMANDS(_)
#undef _
};
const size_t commands_count = ARRAY_LEN(commands_table);

/* The option that several commands have and nothing else. */
const struct option_spec json_options[] = {
	{ "json", 0, OPTION_FLAG, NULL, "print the result as JSON" },
	{ .name = NULL }
};

const struct command *
command_find(const char *name)
{
	for (size_t i = 0; i < commands_count; i++)
		if (strcmp(commands_table[i].name, name) == 0)
			return &commands_table[i];
	return NULL;
}

static int
load_config(struct session *session, struct error *err)
{
	const struct command_line *line = &session->line;
	struct config_flags flags = {
		.file = option_value(line, "config"),
		.listen = option_value(line, "listen"),
		.repository = option_value(line, "repository"),
		.state = option_value(line, "state"),
		.passphrase_file = option_value(line, "passphrase-file"),
	};

	return config_load(&flags, &session->config, err);
}

static bool
is_command(const struct session *session, const char *name)
{
	return session->line.command != NULL && strcmp(session->line.command->name, name) == 0;
}

static int
dispatch(struct session *session, int argc, char *const *argv, struct error *err)
{
	if (command_line_parse(argc, argv, &session->line, err) != 0)
		return -1;
	session->json = option_given(&session->line, "json");
	if (option_given(&session->line, "help") || is_command(session, "help"))
		return help_main(session, err);
	if (option_given(&session->line, "version") || is_command(session, "version"))
		return version_main(session, err);
	if (load_config(session, err) != 0)
		return -1;
	if (session->line.command == NULL)
		return serve_main(session, err);
	return session->line.command->main(session, err);
}

int
commands_run(int argc, char *const *argv)
{
	struct session session = { .config = NULL };
	struct error err = ERROR_INIT;
	int status;

	/* A reader that goes away is an error of the write, not the end of us. */
	signal(SIGPIPE, SIG_IGN);
	/* Whatever is made is ours alone; a restore sets the modes of what it writes itself. */
	umask(077);
	status = dispatch(&session, argc, argv, &err);
	/* A result that did not get out is no success; a closed pipe ("| head") is its reader's. */
	if (status == EXIT_OK && fflush(stdout) != 0 && errno != EPIPE)
		status = error_sys(&err, ERROR_IO, errno, "could not write to the standard output");
	if (status < 0) {
		session_complain(&err);
		status = error_exit_status(err.code);
	}
	session_done(&session);
	return status;
}
