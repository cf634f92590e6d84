#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec import_options[] = {
	{ "name",      0, OPTION_VALUE, "NAME",
	  "the path of the data in the snapshot, as db/dump.sql; needed" },
	{ "format",    0, OPTION_VALUE, "FORMAT",
	  "file: keep the bytes as one file (the default); tar: keep what the archive holds" },
	LIMIT_OPTIONS,
	{ "level",     0, OPTION_VALUE, "N", "zstd's level, 1 to 19" },
	{ "threads",   0, OPTION_VALUE, "N", "threads to work with; 0: one per core" },
	{ "no-verify", 0, OPTION_FLAG,  NULL, "do not open data again before it is stored" },
	{ "json",      0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

struct input_file {
	int fd;
	const char *name;
};

static ssize_t
read_input(void *arg, void *buf, size_t size, struct error *err)
{
	const struct input_file *file = arg;
	ssize_t n;

	do
		n = read(file->fd, buf, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_sys(err, ERROR_IO, errno, "could not read '%s'", file->name);
	return n;
}

/* The file that is named, or the standard input. */
static int
open_input(const struct session *session, struct input_file *ret, struct error *err)
{
	const char *path = session->line.argument_count > 0 ? session->line.arguments[0] : "-";

	if (strcmp(path, "-") != 0) {
		*ret = (struct input_file){ open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), path };
		if (ret->fd < 0)
			return error_sys(err, ERROR_IO, errno, "could not open '%s'", path);
		return 0;
	}
	*ret = (struct input_file){ STDIN_FILENO, "the standard input" };
	if (!isatty(STDIN_FILENO))
		return 0;
	error_set(err, ERROR_USAGE, "the standard input is a terminal");
	return error_hint(err, "name a file, or let a program write into this one: "
	    "PROGRAM | holdfastd import --name NAME");
}

int
import_main(struct session *session, struct error *err)
{
	struct input_file file = { -1, NULL };
	const struct import_input input = { read_input, &file };
	struct run_command command = { .kind = RUN_IMPORT, .arguments = json_object(),
		.input = &input, .print = run_print_snapshot };
	int rc = -1;

	if (!option_given(&session->line, "name")) {
		error_set(err, ERROR_USAGE, "the name of the import is missing");
		error_hint(err,
		    "say --name NAME: the path of the data in the snapshot, as db/dump.sql");
		goto out;
	}
	if (!text_is_utf8(option_value(&session->line, "name"),
	    strlen(option_value(&session->line, "name")))) {
		error_set(err, ERROR_USAGE, "the value of '--name' is not valid UTF-8");
		goto out;
	}
	run_text_argument(session, "name", command.arguments, "name");
	run_text_argument(session, "format", command.arguments, "format");
	run_flag_argument(session, "no-verify", command.arguments, "verify", false);
	if (run_number_argument(session, "level", command.arguments, "level", err) != 0 ||
	    run_number_argument(session, "threads", command.arguments, "threads", err) != 0 ||
	    open_input(session, &file, err) != 0)
		goto out;
	rc = run_command(session, &command, err);
out:
	if (file.fd > STDERR_FILENO)
		close(file.fd);
	json_decref(command.arguments);
	return rc;
}
