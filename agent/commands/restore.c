#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec restore_options[] = {
	{ "target",        0, OPTION_VALUE, "FOLDER", "restore below this folder; needed" },
	{ "strip",         0, OPTION_FLAG,  NULL,
	  "put the contents of each path right into the folder" },
	{ "conflict",      0, OPTION_VALUE, "RULE",
	  "what is there already: skip, newer, overwrite, side-copy; default skip" },
	{ "dry-run",       0, OPTION_FLAG,  NULL, "tell what would be done" },
	{ "verify",        0, OPTION_FLAG,  NULL, "read back what was written and compare it" },
	{ "set-id",        0, OPTION_FLAG,  NULL, "keep set-ID bits and file capabilities" },
	{ "no-owner",      0, OPTION_FLAG,  NULL, "everything belongs to the restoring user" },
	{ "numeric-owner", 0, OPTION_FLAG,  NULL, "owners by number and not by name" },
	{ "no-sync",       0, OPTION_FLAG,  NULL,
	  "end when all is written, without waiting for the disk" },
	{ "threads",       0, OPTION_VALUE, "N", "threads to work with; 0: one per core" },
	LIMIT_OPTIONS,
	{ "json",          0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
print_each(void *arg, enum restore_action action, const char *path)
{
	(void)arg;
	if (action != RESTORE_SAME)
		printf("%-9s %s\n", restore_action_word(action), path);
}

static unsigned long long
figure(const struct run_result *result, const char *name)
{
	return (unsigned long long)json_integer_value(json_object_get(result->json, name));
}

static void
print_restore(const struct run_result *result, double seconds)
{
	bool dry_run = json_object_get(result->json, "changes") != NULL;
	char bytes[16];

	size_format(result->bytes, bytes);
	printf("%ssnapshot %.8s: %llu created, %llu replaced, %llu skipped, %llu the same",
	    dry_run ? "would restore " : "restored ", result->snapshot, figure(result, "created"),
	    figure(result, "replaced"), figure(result, "skipped"), figure(result, "same"));
	if (figure(result, "side_copies") > 0)
		printf(", %llu beside", figure(result, "side_copies"));
	if (dry_run)
		printf(" (dry run)\n");
	else
		printf("; %s in %.1f s\n", bytes, seconds);
	if (figure(result, "verified") > 0)
		printf("verified %llu files\n", figure(result, "verified"));
}

int
restore_main(struct session *session, struct error *err)
{
	struct run_command command = { .kind = RUN_RESTORE, .arguments = json_object(),
		.print = print_restore };
	const char *target = option_value(&session->line, "target");
	json_t *paths = json_array(), *folder;
	int rc = -1;

	json_object_set_new(command.arguments, "paths", paths);
	if (target == NULL) {
		error_set(err, ERROR_USAGE, "restore needs '--target FOLDER'");
		error_hint(err, "--target / restores in place");
		goto out;
	}
	folder = run_path_argument(target, err);
	if (folder == NULL)
		goto out;
	json_object_set_new(command.arguments, "target", folder);
	json_object_set_new(command.arguments, "snapshot", json_string(session->line.arguments[0]));
	for (size_t i = 1; i < session->line.argument_count; i++) {
		/* Paths of a snapshot are written as ls prints them. */
		if (json_array_append_new(paths, json_string(session->line.arguments[i])) != 0) {
			error_set(err, ERROR_USAGE, "a path is not valid UTF-8");
			error_hint(err, "write it as holdfastd ls prints it, with \\xNN");
			goto out;
		}
	}
	if (run_number_argument(session, "threads", command.arguments, "threads", err) != 0)
		goto out;
	run_text_argument(session, "conflict", command.arguments, "conflict");
	run_flag_argument(session, "strip", command.arguments, "strip", true);
	run_flag_argument(session, "dry-run", command.arguments, "dry_run", true);
	run_flag_argument(session, "verify", command.arguments, "verify", true);
	run_flag_argument(session, "set-id", command.arguments, "set_id", true);
	run_flag_argument(session, "no-owner", command.arguments, "no_owner", true);
	run_flag_argument(session, "numeric-owner", command.arguments, "numeric_owner", true);
	run_flag_argument(session, "no-sync", command.arguments, "no_sync", true);
	/* A dry run lists what it would do; a restore of many files would drown its losses. */
	if (option_given(&session->line, "dry-run"))
		command.each = print_each;
	rc = run_command(session, &command, err);
out:
	json_decref(command.arguments);
	return rc;
}
