#include <stdio.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "agent/repository/repair.h"
#include "agent/repository/repair_packs.h"
#include "shared/progress.h"

/* clang-format off */
const struct option_spec repair_options[] = {
	{ "apply",     0, OPTION_FLAG, NULL, "do it; without this, only say what would be done" },
	{ "read-data", 0, OPTION_FLAG, NULL, "snapshots: read every stored byte to find damage" },
	{ "add-parity", 0, OPTION_FLAG, NULL, "packs: also make parity for those that have none" },
	{ "json",      0, OPTION_FLAG, NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
print_index(const struct repair_result *result, bool apply)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(result->unreadable, i, entry)
		printf("cannot be read: %s: %s\n",
		    json_string_value(json_object_get(entry, "pack")),
		    json_string_value(json_object_get(entry, "problem")));
	printf("the new index %s %llu packs, %llu blobs; %llu older index files %s\n",
	    apply ? "covers" : "would cover", (unsigned long long)result->packs,
	    (unsigned long long)result->blobs, (unsigned long long)result->index_files_removed,
	    apply ? "were removed" : "would be removed");
}

static void
print_snapshots(const struct repair_result *result, bool apply)
{
	const json_t *entry, *path;
	size_t i, j;

	json_array_foreach(result->snapshots, i, entry) {
		const char *replacement = json_string_value(json_object_get(entry, "replacement"));

		printf("snapshot %s has lost %lld paths", json_string_value(
		    json_object_get(entry, "id")),
		    (long long)json_integer_value(json_object_get(entry, "lost_total")));
		if (replacement != NULL)
			printf("; what is left is now %s", replacement);
		putchar('\n');
		json_array_foreach(json_object_get(entry, "lost"), j, path)
			printf("  lost %s\n", json_string_value(path));
	}
	json_array_foreach(result->unreadable, i, entry)
		printf("snapshot %s cannot be read: %s\n"
		    "nothing of it can be saved; bring its file back from a copy, or forget it\n",
		    json_string_value(json_object_get(entry, "snapshot")),
		    json_string_value(json_object_get(entry, "problem")));
	if (json_array_size(result->snapshots) + json_array_size(result->unreadable) == 0)
		printf("every snapshot is whole\n");
	else if (!apply && json_array_size(result->snapshots) > 0)
		printf("nothing was changed; do it with: holdfastd repair snapshots --apply\n");
}

static void
print_packs(const struct repair_packs_result *result, bool apply)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(result->damaged, i, entry) {
		bool healable = json_is_true(json_object_get(entry, "healable"));
		bool mended = json_is_true(json_object_get(entry, "mended"));

		printf("%s: %s: %s\n", mended ? "mended" : healable ? "can be mended" :
		    "CANNOT BE MENDED", json_string_value(json_object_get(entry, "object")),
		    json_string_value(json_object_get(entry, "problem")));
	}
	printf("looked at %llu packs, %llu of them without parity\n",
	    (unsigned long long)result->packs, (unsigned long long)result->without_parity);
	if (result->parity_added > 0)
		printf("parity %s added to %llu packs\n", apply ? "was" : "would be",
		    (unsigned long long)result->parity_added);
	if (!apply && (result->left > 0 || result->parity_added > 0))
		printf("nothing was changed; do it with --apply\n");
}

static void
log_repair(struct session *session, const char *what, const struct error *failure)
{
	struct action row = { .action = "Repair", .parameter = what, .failed = failure != NULL,
		.outcome = failure == NULL ? "ok" : "failed",
		.message = failure == NULL ? NULL : failure->message };

	session_log(session, &row);
}

static int
repair_packs_main(struct session *session, struct error *err)
{
	struct repair_packs_options options = {
		.apply = option_given(&session->line, "apply"),
		.add_parity = option_given(&session->line, "add-parity"),
	};
	struct repair_packs_result result = { .packs = 0 };
	struct progress progress;
	int rc;

	if (session_open_repository(session, err) != 0)
		return -1;
	progress_init(&progress);
	rc = repair_packs(session->repo, &options, &progress, &result, err);
	if (options.apply)
		log_repair(session, "packs", rc == 0 ? NULL : err);
	if (rc == 0 && session->json)
		rc = session_print_json(repair_packs_to_json(&result, options.apply), err);
	else if (rc == 0)
		print_packs(&result, options.apply);
	if (rc == 0)
		rc = result.left > 0 ? EXIT_LOSSES : EXIT_OK;
	repair_packs_result_done(&result);
	progress_done(&progress);
	return rc;
}

int
repair_main(struct session *session, struct error *err)
{
	const char *what = session->line.arguments[0];
	bool apply = option_given(&session->line, "apply");
	bool of_index = strcmp(what, "index") == 0;
	struct repair_result result = { .packs = 0 };
	struct progress progress;
	int rc = -1;

	if (strcmp(what, "packs") == 0)
		return repair_packs_main(session, err);
	if (!of_index && strcmp(what, "snapshots") != 0) {
		error_set(err, ERROR_USAGE, "'%.40s' is nothing that can be repaired", what);
		return error_hint(err, "there are: repair index, repair snapshots, repair packs");
	}
	if (session_open_repository(session, err) != 0)
		return -1;
	progress_init(&progress);
	if (of_index)
		rc = repair_index(session->repo, apply, &progress, &result, err);
	else
		rc = repair_snapshots(session->repo, apply,
		    option_given(&session->line, "read-data"), &progress, &result, err);
	if (apply)
		log_repair(session, what, rc == 0 ? NULL : err);
	if (rc == 0 && session->json)
		rc = session_print_json(repair_result_to_json(&result, apply), err);
	else if (rc == 0 && of_index)
		print_index(&result, apply);
	else if (rc == 0)
		print_snapshots(&result, apply);
	/* What was or would be left out is a loss. */
	if (rc == 0)
		rc = json_array_size(result.unreadable) + json_array_size(result.snapshots) > 0 ?
		    EXIT_LOSSES : EXIT_OK;
	if (result.snapshots != NULL)
		repair_result_done(&result);
	progress_done(&progress);
	return rc;
}
