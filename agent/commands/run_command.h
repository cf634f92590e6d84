/*
 * Commands that do what a run does: backup, import, restore, check, prune.  The same table of kinds
 * checks and executes them as in the agent; here the operator's rights are those of the system.
 */
#ifndef HOLDFAST_AGENT_COMMANDS_RUN_COMMAND_H
#define HOLDFAST_AGENT_COMMANDS_RUN_COMMAND_H

#include <jansson.h>

#include "agent/commands/session.h"
#include "agent/jobs/runs_kinds.h"

/* Rows of a command's table of options: what holds it back.  run_command() understands them. */
/* clang-format off */
#define LIMIT_OPTIONS \
	{ "limit-upload",   0, OPTION_VALUE, "SIZE", \
	  "write so many bytes a second to the repository; 0: no limit" }, \
	{ "limit-download", 0, OPTION_VALUE, "SIZE", "read so many from it" }, \
	{ "limit-read",     0, OPTION_VALUE, "SIZE", "read so many from files to back up" }, \
	{ "limit-files",    0, OPTION_VALUE, "N", "open so many files a second to back up" }, \
	{ "limit-nice",     0, OPTION_VALUE, "N", "step back from others for the processor" }, \
	{ "limit-io",       0, OPTION_VALUE, "RANK", "rank at the disk: " CONFIG_IO_WORDS }
/* clang-format on */

struct run_command {
	enum run_kind kind;
	json_t *arguments; /* borrowed */
	const struct import_input *input; /* of an import, or NULL */
	/* Tell the result to people; not called with --json. */
	void (*print)(const struct run_result *result, double seconds);
	char *ret_id; /* RUN_ID_TEXT_SIZE: the run's id, also if it fails; or NULL */
	/* For a restore, or NULL; not called with --json. */
	void (*each)(void *arg, enum restore_action action, const char *path);
};

/* Execute with progress on a terminal, losses on standard error, the result on standard output
 * and a row in the log.  Returns the exit status, or -1. */
int run_command(struct session *session, const struct run_command *command, struct error *err);

/* For print, of a run that made a snapshot. */
void run_print_snapshot(const struct run_result *result, double seconds);

/* A path of the command line as an argument: absolute, and printable if it is no UTF-8. */
json_t *run_path_argument(const char *path, struct error *err);
/* A list option as an array; ERROR_USAGE if one of them is no UTF-8. */
int run_list_argument(const struct session *session, const char *option, json_t *array,
    struct error *err);
/* Numbers of options; ERROR_USAGE.  Sets nothing if the option is not given. */
int run_number_argument(const struct session *session, const char *option, json_t *arguments,
    const char *name, struct error *err);
/* Flags are set to value if they are given. */
void run_flag_argument(const struct session *session, const char *option, json_t *arguments,
    const char *name, bool value);
/* Texts that the run checks itself ("7d", "64M", a rule). */
void run_text_argument(const struct session *session, const char *option, json_t *arguments,
    const char *name);

#endif
