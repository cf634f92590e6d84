/*
 * Every sub-command once: dispatch, usage, help and tests come from this table.
 *
 *   _(name, arguments, least, most, options, main, sentence)
 *
 * A command works without a running agent, on the same repository.
 */
#ifndef HOLDFAST_AGENT_COMMANDS_COMMANDS_H
#define HOLDFAST_AGENT_COMMANDS_COMMANDS_H

#include <stddef.h>

#include "agent/commands/command_line.h"
#include "shared/error.h"

struct session;

/* Returns an exit status (enum exit_status), or -1 with err. */
typedef int command_fn(struct session *session, struct error *err);

struct command {
	const char *name;
	const char *arguments; /* as the usage shows them */
	size_t argument_min, argument_max;
	const struct option_spec *options; /* or NULL */
	command_fn *main;
	const char *sentence;
};

#define COMMAND_ANY ((size_t)-1)

/* clang-format off */
#define COMMANDS(_) \
	_("init",      "",               0, 0, NULL,              init_main, \
	    "make the repository, and its passphrase in the state folder") \
	_("backup",    "[PATH...]",      0, COMMAND_ANY, backup_options, backup_main, \
	    "back folders or files, or what a job names, up into one new snapshot") \
	_("jobs",      "",               0, 0, json_options,      jobs_main, \
	    "list the jobs: when each starts, and what became of it") \
	_("run",       "JOB",            1, 1, run_options,       run_main, \
	    "run a job now, into one new snapshot") \
	_("backup-table", "[TABLE...]",  0, COMMAND_ANY, backup_table_options, backup_table_main, \
	    "back tables of the database up, or all of them, into one new snapshot") \
	_("restore-table", "TABLE...",   1, COMMAND_ANY, restore_table_options, restore_table_main, \
	    "put tables of the database back as they were in a backup") \
	_("load",      "TABLE",          1, 1, load_options,      load_main, \
	    "load a table's CSV file of the exchange storage into the database") \
	_("import",    "[FILE]",         0, 1, import_options,    import_main, \
	    "keep a file, or what another program writes into a pipe, as a snapshot") \
	_("restore",   "ID [PATH...]",   1, COMMAND_ANY, restore_options, restore_main, \
	    "write a snapshot, or only the given paths of it, below a folder") \
	_("snapshots", "",               0, 0, json_options,      snapshots_main, \
	    "list the snapshots") \
	_("ls",        "ID [PATH]",      1, 2, json_options,      ls_main, \
	    "list a folder of a snapshot") \
	_("cat",       "ID PATH",        2, 2, NULL,              cat_main, \
	    "write a file of a snapshot to the standard output") \
	_("archive",   "ID [PATH]",      1, 2, archive_options,   archive_main, \
	    "write a snapshot, or a folder of it, as an archive") \
	_("diff",      "ID ID [PATH]",   2, 3, json_options,      diff_main, \
	    "show what changed from one snapshot to another") \
	_("find",      "PATTERN",        1, 1, json_options,      find_main, \
	    "find a name in all snapshots: a part of it, or a glob; with a slash, of the path") \
	_("versions",  "PATH",           1, 1, json_options,      versions_main, \
	    "list the versions of a path over all snapshots") \
	_("size",      "ID",             1, 1, json_options,      size_main, \
	    "show how much a snapshot alone holds") \
	_("pin",       "ID...",          1, COMMAND_ANY, NULL,    pin_main, \
	    "keep snapshots whatever the rules say") \
	_("unpin",     "ID...",          1, COMMAND_ANY, NULL,    unpin_main, \
	    "take pins away") \
	_("forget",    "[ID...]",        0, COMMAND_ANY, forget_options, forget_main, \
	    "forget snapshots, or what no rule keeps; data stays until prune removes it") \
	_("trash",     "",               0, 0, json_options,      trash_main, \
	    "list the forgotten snapshots that can still be brought back") \
	_("recall",    "ID...",          1, COMMAND_ANY, NULL,    recall_main, \
	    "bring forgotten snapshots back") \
	_("check",     "",               0, 0, check_options,     check_main, \
	    "check that all that the snapshots need is there and whole") \
	_("prove",     "[ID]",           0, 1, prove_options,     prove_main, \
	    "restore a sample of a snapshot to where nobody works, and compare it") \
	_("prune",     "",               0, 0, prune_options,     prune_main, \
	    "forget snapshots that no rule keeps, remove data that none needs") \
	_("repair",    "index|snapshots|packs", 1, 1, repair_options, repair_main, \
	    "make the index anew, save what is left of damaged snapshots, or heal packs by parity") \
	_("migrate",   "[up|down|to N|status]", 0, 2, migrate_options, migrate_main, \
	    "bring the schema of [database], or of the central log, to its newest or another version") \
	_("key",       "show|change",    1, 1, key_options,       key_main, \
	    "show the passphrase, or replace it") \
	_("token",     "add NAME|list|revoke NAME", 1, 2, token_options, token_main, \
	    "make, list and revoke the tokens of clients") \
	_("config",    "show|check",     1, 1, config_options,    config_main, \
	    "show all settings with where each comes from, or only check them") \
	_("help",      "[COMMAND]",      0, 1, NULL,              help_main, \
	    "show what there is, or how one command is used") \
	_("version",   "",               0, 0, NULL,              version_main, \
	    "show the version")
/* clang-format on */

extern const struct option_spec backup_options[], restore_options[], json_options[],
    archive_options[], check_options[], prune_options[], key_options[], token_options[],
    config_options[], repair_options[], backup_table_options[],
    restore_table_options[], load_options[], migrate_options[],
    import_options[], forget_options[], run_options[], prove_options[];

command_fn init_main, backup_main, restore_main, snapshots_main, ls_main, cat_main, archive_main,
    forget_main, check_main, prune_main, key_main, token_main, config_main, help_main,
    version_main, diff_main, find_main, versions_main, pin_main, unpin_main, trash_main,
    recall_main, repair_main, size_main, backup_table_main, restore_table_main, migrate_main,
    import_main, load_main, jobs_main, run_main, prove_main;

/* Run in the foreground as the agent. */
command_fn serve_main;

extern const struct command commands_table[];
extern const size_t commands_count;
const struct command *command_find(const char *name);

/* The whole program: parse, do, report.  Returns the exit status. */
int commands_run(int argc, char *const *argv);

#endif
