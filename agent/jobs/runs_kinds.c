#include "agent/jobs/runs_kinds.h"

#include <stdlib.h>
#include <string.h>

#include "agent/jobs/run_prune.h"
#include "agent/jobs/runs_backup.h"
#include "agent/jobs/runs_import.h"
#include "agent/jobs/runs_load_csv.h"
#include "agent/jobs/runs_loads.h"
#include "agent/jobs/runs_prove.h"
#include "agent/jobs/runs_tables.h"
#include "agent/repository/check.h"
#include "agent/repository/repair.h"
#include "agent/repository/repair_packs.h"
#include "agent/repository/snapshot.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* clang-format off */
static const struct argument_spec restore_arguments[] = {
	{ .name = "snapshot",        .type = ARGUMENT_TEXT },
	{ .name = "target",          .type = ARGUMENT_TEXT },
	{ .name = "paths",           .type = ARGUMENT_TEXTS },
	{ .name = "strip",           .type = ARGUMENT_BOOL },
	{ .name = "conflict",        .type = ARGUMENT_WORD,
	  .words = "skip|newer|overwrite|side-copy" },
	{ .name = "dry_run",         .type = ARGUMENT_BOOL },
	{ .name = "verify",          .type = ARGUMENT_BOOL },
	{ .name = "set_id",          .type = ARGUMENT_BOOL },
	{ .name = "no_owner",        .type = ARGUMENT_BOOL },
	{ .name = "numeric_owner",   .type = ARGUMENT_BOOL },
	{ .name = "no_sync",         .type = ARGUMENT_BOOL },
	{ .name = "threads",         .type = ARGUMENT_INTEGER, .min = 0, .max = 256 },
	{ .name = "limits",          .type = ARGUMENT_OBJECT, .fields = limit_arguments },
	{ .name = NULL }
};

static const struct argument_spec check_arguments[] = {
	{ .name = "read_data",       .type = ARGUMENT_BOOL },
	{ .name = "percent",         .type = ARGUMENT_INTEGER, .min = 1, .max = 100 },
	{ .name = "since",           .type = ARGUMENT_TEXT },
	{ .name = "limits",          .type = ARGUMENT_OBJECT, .fields = limit_arguments },
	{ .name = NULL }
};

static const struct argument_spec repair_arguments[] = {
	{ .name = "what",            .type = ARGUMENT_WORD, .words = "index|snapshots|packs" },
	{ .name = "apply",           .type = ARGUMENT_BOOL },
	{ .name = "read_data",       .type = ARGUMENT_BOOL },
	{ .name = "add_parity",      .type = ARGUMENT_BOOL },
	{ .name = "limits",          .type = ARGUMENT_OBJECT, .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

void
run_result_done(struct run_result *result)
{
	json_decref(result->json);
	result->json = NULL;
}

void
run_result_of_snapshot(const struct snapshot *snapshot, struct run_result *result)
{
	memcpy(result->snapshot, snapshot->id, sizeof(result->snapshot));
	result->files = snapshot->files;
	result->bytes = snapshot->bytes;
	result->stored_bytes = snapshot->stored_bytes;
	result->json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "files", (json_int_t)snapshot->files,
	    "directories", (json_int_t)snapshot->directories,
	    "others", (json_int_t)snapshot->others, "bytes", (json_int_t)snapshot->bytes,
	    "new_files", (json_int_t)snapshot->new_files,
	    "changed_files", (json_int_t)snapshot->changed_files,
	    "unmodified_files", (json_int_t)snapshot->unmodified_files,
	    "added_blobs", (json_int_t)snapshot->added_blobs,
	    "added_bytes", (json_int_t)snapshot->added_bytes,
	    "stored_bytes", (json_int_t)snapshot->stored_bytes);
}

static int
restore_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	const char *name = argument_text(arguments, "snapshot");
	struct snapshot *snapshot = NULL;
	char *target = NULL;
	int rc;

	if (name == NULL) {
		error_set(err, ERROR_BAD_REQUEST, "no snapshot is given");
		return error_hint(err, "name one by its id, or \"latest\"");
	}
	if (policy_target(context->config, context->rights, argument_text(arguments, "target"),
	    &target, err) != 0)
		return -1;
	free(target);
	/* "latest" is the latest of now, not of when the run's turn comes. */
	rc = snapshot_find(context->repo, name, &snapshot, err);
	if (rc == 0)
		json_object_set_new(arguments, "snapshot", json_string(snapshot->id));
	snapshot_free(snapshot);
	return rc;
}

struct changes {
	const struct run_context *context;
	json_t *kept; /* of a dry run */
};

static void
note_change(void *arg, enum restore_action action, const char *path)
{
	struct changes *changes = arg;

	if (changes->kept != NULL && action != RESTORE_SAME &&
	    json_array_size(changes->kept) < RUN_CHANGES_MAX)
		json_array_append_new(changes->kept, json_pack("{s:s, s:s}", "action",
		    restore_action_word(action), "path", path));
	if (changes->context->each != NULL)
		changes->context->each(changes->context->arg, action, path);
}

static void
restore_figures(const struct restore_result *done, const struct changes *changes,
    struct run_result *result)
{
	result->files = done->created + done->replaced + done->side_copies;
	result->bytes = done->bytes;
	result->json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O*}",
	    "created", (json_int_t)done->created, "replaced", (json_int_t)done->replaced,
	    "skipped", (json_int_t)done->skipped, "same", (json_int_t)done->same,
	    "side_copies", (json_int_t)done->side_copies, "bytes", (json_int_t)done->bytes,
	    "verified", (json_int_t)done->verified, "changes", changes->kept);
}

static int
restore_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	struct changes changes = { .context = context };
	struct restore_options options = {
		.strip = argument_bool(arguments, "strip", false),
		.conflict = CONFLICT_SKIP,
		.dry_run = argument_bool(arguments, "dry_run", false),
		.verify = argument_bool(arguments, "verify", false),
		.set_id = argument_bool(arguments, "set_id", false),
		.no_owner = argument_bool(arguments, "no_owner", false),
		.numeric_owner = argument_bool(arguments, "numeric_owner", false),
		.no_sync = argument_bool(arguments, "no_sync", false),
		.threads = (unsigned)argument_integer(arguments, "threads",
		    (int64_t)context->config->threads),
		.each = note_change,
		.arg = &changes,
	};
	const char *conflict = argument_text(arguments, "conflict"), **paths = NULL;
	struct restore_result done = { .created = 0 };
	struct snapshot *snapshot = NULL;
	char *target = NULL;
	int rc = -1;

	if (policy_target(context->config, context->rights, argument_text(arguments, "target"),
	    &target, err) != 0 ||
	    (conflict != NULL && conflict_rule_parse(conflict, &options.conflict, err) != 0) ||
	    snapshot_find(context->repo, argument_text(arguments, "snapshot"), &snapshot, err) != 0)
		goto out;
	memcpy(result->snapshot, snapshot->id, sizeof(result->snapshot));
	options.target = target;
	options.paths = paths = argument_texts(arguments, "paths", &options.path_count);
	if (options.dry_run)
		changes.kept = json_array();
	else if (context->each == NULL)
		options.each = NULL;
	rc = files_restore(context->repo, snapshot, &options, progress, &done, err);
	if (rc == 0)
		restore_figures(&done, &changes, result);
out:
	json_decref(changes.kept);
	snapshot_free(snapshot);
	free(paths);
	free(target);
	return rc;
}

static char *
restore_parameter(const json_t *arguments)
{
	const char *snapshot = argument_text(arguments, "snapshot");
	const char *target = argument_text(arguments, "target");

	return mem_printf(
	    "%s to %s", snapshot == NULL ? "?" : snapshot, target == NULL ? "?" : target);
}

/* "7d" before now, or a time; 0 if it is not asked for. */
static int
check_since(const json_t *arguments, struct timespec *ret, struct error *err)
{
	const char *text = argument_text(arguments, "since");
	struct error ignored = ERROR_INIT;
	int64_t duration_s;

	*ret = (struct timespec){ 0, 0 };
	if (text == NULL)
		return 0;
	if (duration_parse(text, &duration_s, &ignored) == 0) {
		*ret = time_now();
		/* Longer ago than there was time is since ever. */
		ret->tv_sec = duration_s < ret->tv_sec ? ret->tv_sec - duration_s : 1;
		return 0;
	}
	if (time_parse(text, false, ret, &ignored) == 0 && ret->tv_sec > 0)
		return 0;
	error_set(err, ERROR_BAD_REQUEST, "'since' takes a duration or a time, not '%.100s'", text);
	return error_hint(err, "write it as 7d, 2026-11-01 or 2026-11-01T12:00:00Z");
}

static int
check_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	struct timespec ignored;

	(void)context;
	return check_since(arguments, &ignored, err);
}

static int
check_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	struct check_options options = {
		.read_data = argument_bool(arguments, "read_data", false),
		.percent = (unsigned)argument_integer(arguments, "percent", 0),
		.threads = (unsigned)context->config->threads,
	};
	struct check_result done = { .damage = NULL };
	int rc;

	if (check_since(arguments, &options.since, err) != 0)
		return -1;
	/* A share of the data can only be read if data is read. */
	if ((options.percent != 0 || options.since.tv_sec != 0) &&
	    json_object_get(arguments, "read_data") == NULL)
		options.read_data = true;
	rc = check_run(context->repo, &options, progress, &done, err);
	if (rc == 0) {
		result->bytes = done.bytes_read;
		result->json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O*}",
		    "packs_read", (json_int_t)done.packs_read, "packs_with_parity",
		    (json_int_t)done.packs_with_parity, "parity_bytes",
		    (json_int_t)done.parity_bytes, "snapshots",
		    (json_int_t)done.snapshots, "packs", (json_int_t)done.packs, "blobs",
		    (json_int_t)done.blobs, "trees", (json_int_t)done.trees, "bytes_read",
		    (json_int_t)done.bytes_read, "errors", (json_int_t)done.errors, "damage",
		    done.damage);
	}
	if (rc == 0 && done.errors > 0) {
		rc = error_set(err, ERROR_CORRUPT, "the check found %llu error%s",
		    (unsigned long long)done.errors, done.errors == 1 ? "" : "s");
		error_hint(err, done.healable == done.errors ?
		    "nothing is lost: parity heals all of it, with holdfastd repair packs --apply" :
		    "the run's result lists them; snapshots that are not named there are "
		    "whole");
	}
	check_result_done(&done);
	return rc;
}

static char *
check_parameter(const json_t *arguments)
{
	bool read_data = argument_bool(arguments, "read_data", false);
	int64_t percent = argument_integer(arguments, "percent", 0);
	const char *since = argument_text(arguments, "since");
	struct buffer text = BUFFER_INIT;

	if (read_data || percent != 0 || since != NULL)
		buffer_put_text(&text, "read-data");
	if (percent != 0)
		buffer_printf(&text, " %lld%%", (long long)percent);
	if (since != NULL)
		buffer_printf(&text, " since %s", since);
	return buffer_take(&text);
}

static int
repair_check(const struct run_context *context, json_t *arguments, struct error *err)
{
	const char *what = argument_text(arguments, "what");

	(void)context;
	if (what == NULL) {
		error_set(err, ERROR_BAD_REQUEST, "'what' is missing");
		return error_hint(err, "it is \"index\", \"snapshots\" or \"packs\"");
	}
	if (argument_bool(arguments, "read_data", false) && strcmp(what, "snapshots") != 0)
		return error_set(err, ERROR_BAD_REQUEST,
		    "'read_data' belongs to the repair of snapshots");
	if (argument_bool(arguments, "add_parity", false) && strcmp(what, "packs") != 0)
		return error_set(err, ERROR_BAD_REQUEST,
		    "'add_parity' belongs to the repair of packs");
	return 0;
}

static int
repair_packs_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	struct repair_packs_options options = {
		.apply = argument_bool(arguments, "apply", false),
		.add_parity = argument_bool(arguments, "add_parity", false),
	};
	struct repair_packs_result done = { .packs = 0 };

	if (repair_packs(context->repo, &options, progress, &done, err) != 0)
		return -1;
	result->json = repair_packs_to_json(&done, options.apply);
	repair_packs_result_done(&done);
	return 0;
}

static int
repair_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	bool apply = argument_bool(arguments, "apply", false);
	struct repair_result done = { .packs = 0 };
	int rc;

	if (strcmp(argument_text(arguments, "what"), "packs") == 0)
		return repair_packs_execute(context, arguments, progress, result, err);
	if (strcmp(argument_text(arguments, "what"), "index") == 0)
		rc = repair_index(context->repo, apply, progress, &done, err);
	else
		rc = repair_snapshots(context->repo, apply,
		    argument_bool(arguments, "read_data", false), progress, &done, err);
	if (rc != 0)
		return -1;
	result->json = repair_result_to_json(&done, apply);
	repair_result_done(&done);
	return 0;
}

static char *
repair_parameter(const json_t *arguments)
{
	const char *what = argument_text(arguments, "what");

	return mem_printf("%s%s%s", what != NULL ? what : "?",
	    argument_bool(arguments, "read_data", false) ? " read-data" : "",
	    argument_bool(arguments, "add_parity", false) ? " add-parity" : "");
}

static const struct {
	const char *word, *action, *dry_action;
	const struct argument_spec *arguments;
	int (*check)(const struct run_context *context, json_t *arguments, struct error *err);
	int (*execute)(const struct run_context *context, const json_t *arguments,
	    struct progress *progress, struct run_result *result, struct error *err);
	char *(*parameter)(const json_t *arguments);
} kinds[] = {
#define _(name, word, action, dry_action, arguments, check, execute, parameter) \
	{ word, action, dry_action, arguments, check, execute, parameter },
	RUN_KINDS(_)
#undef _
};

const char *
run_kind_word(enum run_kind kind)
{
	return kinds[kind].word;
}

const char *
run_kind_action(enum run_kind kind, const json_t *arguments)
{
	/* A repair is dry unless it is asked to do something. */
	bool dry = kind == RUN_REPAIR ? !argument_bool(arguments, "apply", false) :
	    argument_bool(arguments, "dry_run", false);

	return dry ? kinds[kind].dry_action : kinds[kind].action;
}

int
run_kind_parse(const char *word, enum run_kind *ret, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].word, word) != 0)
			continue;
		*ret = (enum run_kind)i;
		return 0;
	}
	error_set(err, ERROR_BAD_REQUEST, "'%.100s' is no kind of run", word);
	return error_hint(err, "the kinds are backup, restore, check, prune, repair, tables, import, "
	    "restore-table, load-rows, load, prove");
}

const struct argument_spec *
run_kind_arguments(enum run_kind kind)
{
	return kinds[kind].arguments;
}

int
run_kind_check_form(enum run_kind kind, const json_t *arguments, struct error *err)
{
	return arguments_check(arguments, kinds[kind].arguments, err);
}

int
run_kind_check(enum run_kind kind, const struct run_context *context, const json_t *arguments,
    json_t **ret, struct error *err)
{
	json_t *kept;

	if (run_kind_check_form(kind, arguments, err) != 0)
		return -1;
	kept = json_deep_copy(arguments);
	if (kinds[kind].check != NULL && kinds[kind].check(context, kept, err) != 0) {
		json_decref(kept);
		return -1;
	}
	*ret = kept;
	return 0;
}

struct execution {
	enum run_kind kind;
	struct run_context context;
	const json_t *arguments;
	struct progress *progress;
	struct run_result *result;
};

static int
execute(void *arg, struct error *err)
{
	struct execution *execution = arg;

	return kinds[execution->kind].execute(&execution->context, execution->arguments,
	    execution->progress, execution->result, err);
}

/* What held it back, and how long its threads waited for that, all together. */
static void
add_limits(const struct execution *execution)
{
	const struct run_context *context = &execution->context;
	json_t *limits = run_limits_json(context->limits, context->rights, execution->arguments);
	uint64_t waited_ns = atomic_load(&execution->progress->waited_ns);

	if (limits == NULL || execution->result->json == NULL) {
		json_decref(limits);
		return;
	}
	json_object_set_new(limits, "waited_ms", json_integer((json_int_t)(waited_ns / 1000000)));
	json_object_set_new(execution->result->json, "limits", limits);
}

static void
note_healed(void *arg, const char *pack)
{
	progress_note(arg, pack, strlen(pack), "healed while reading; " HEALED_HINT);
}

int
run_kind_execute(enum run_kind kind, const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	struct execution execution = { kind, *context, arguments, progress, result };
	uint64_t mark = repository_healed_mark(context->repo);
	struct run_pace pace;
	int rc;

	run_pace_begin(&pace, context->limits, context->rights, arguments, context->repo, progress);
	execution.context.repo = pace.repo;
	execution.context.pace = &pace;
	rc = run_pace_execute(&pace, progress, execute, &execution, err);
	run_pace_end(&pace);
	add_limits(&execution);
	repository_healed_since(context->repo, mark, note_healed, progress);
	return rc;
}

char *
run_kind_parameter(enum run_kind kind, const json_t *arguments)
{
	return kinds[kind].parameter(arguments);
}
