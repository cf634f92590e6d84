/*
 * The kinds of runs: one row each.  Validation, the log's action, execution and the tests come
 * from this table.
 *
 *   _(NAME, word, action in the log, action of a dry run, arguments, check, execute, parameter)
 */
#ifndef HOLDFAST_AGENT_JOBS_RUNS_KINDS_H
#define HOLDFAST_AGENT_JOBS_RUNS_KINDS_H

#include "agent/files/restore.h"
#include "agent/jobs/arguments.h"
#include "agent/jobs/limits.h"
#include "agent/jobs/policy.h"
#include "agent/jobs/runs.h"
#include "shared/progress.h"

/* clang-format off */
#define RUN_KINDS(_) \
	_(BACKUP,  "backup",  "Backup",  "BackupDryRun",  backup_arguments,  backup_check, \
	    backup_execute,  backup_parameter) \
	_(RESTORE, "restore", "Restore", "RestoreDryRun", restore_arguments, restore_check, \
	    restore_execute, restore_parameter) \
	_(CHECK,   "check",   "Check",   "Check",         check_arguments,   check_check, \
	    check_execute,   check_parameter) \
	_(PRUNE,   "prune",   "Prune",   "PruneDryRun",   prune_arguments,   NULL, \
	    prune_execute,   prune_parameter) \
	_(REPAIR,  "repair",  "Repair",  "RepairDryRun",  repair_arguments,  repair_check, \
	    repair_execute,  repair_parameter) \
	_(TABLES,  "tables",  "BackupTable", "BackupTable", tables_arguments,  tables_check, \
	    tables_execute,  tables_parameter) \
	_(IMPORT,  "import",  "Import",  "Import",        import_arguments,  import_check, \
	    import_execute,  import_parameter) \
	_(RESTORE_TABLE, "restore-table", "RestoreTable", "RestoreTableDryRun", \
	    restore_table_arguments, restore_table_check, restore_table_execute, \
	    restore_table_parameter) \
	_(LOAD_ROWS, "load-rows", "LoadDataFromPayload", "LoadDataFromPayload", \
	    load_rows_arguments, load_rows_check, load_rows_execute, load_parameter) \
	_(LOAD,    "load",    "LoadHistoricData", "LoadHistoricData", load_csv_arguments, \
	    load_csv_check,  load_csv_execute, load_parameter) \
	_(PROVE,   "prove",   "Prove",   "Prove",         prove_arguments,   prove_check, \
	    prove_execute,   prove_parameter)
/* clang-format on */

/* So many entries of a restore's dry run are kept in its result; all are counted. */
#define RUN_CHANGES_MAX 10000

struct run_context {
	const struct config *config;
	struct repository *repo;
	const char *run;           /* id, or NULL before there is one */
	enum policy_rights rights;
	struct run_limits *limits; /* of the settings; NULL: none */
	struct runs_store *store;  /* the state database; NULL: a command's run */
	const struct import_input *input; /* of an import, or NULL */
	const struct run_pace *pace; /* while it is executed: what it works under */
	/* Told of each entry that a restore makes or would make; may be NULL. */
	void (*each)(void *arg, enum restore_action action, const char *path);
	void *arg;
};

struct run_result {
	char snapshot[33];         /* of a backup, or what a restore reads; "" if none */
	json_t *json;              /* object, the kind's own figures */
	uint64_t files, bytes, stored_bytes;
};

void run_result_done(struct run_result *result);
/* The figures of a snapshot that was made. */
void run_result_of_snapshot(const struct snapshot *snapshot, struct run_result *result);

/* The log's action.  A dry run has one of its own: it is no backup, and must not count as one.
 * The arguments may be of any form. */
const char *run_kind_action(enum run_kind kind, const json_t *arguments);

/* The table by which a kind's arguments are checked. */
const struct argument_spec *run_kind_arguments(enum run_kind kind);

/* The form alone: fields, types, bounds. */
int run_kind_check_form(enum run_kind kind, const json_t *arguments, struct error *err);

/*
 * Check a run's arguments: their form, the paths they name and the policy on them, the snapshot.
 * ret: the arguments as they are kept, with the snapshot's full id.
 */
int run_kind_check(enum run_kind kind, const struct run_context *context,
    const json_t *arguments, json_t **ret, struct error *err);

/* Do it, with arguments that were checked; the paths are resolved and the policy asked anew. */
int run_kind_execute(enum run_kind kind, const struct run_context *context,
    const json_t *arguments, struct progress *progress, struct run_result *result,
    struct error *err);

/* What the log shows as the action's argument; heap.  The arguments may be of any form. */
char *run_kind_parameter(enum run_kind kind, const json_t *arguments);

#endif
