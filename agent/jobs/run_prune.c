#include "agent/jobs/run_prune.h"

#include <stdlib.h>
#include <string.h>

#include "agent/jobs/jobs_store.h"
#include "agent/repository/prune.h"
#include "agent/settings.h"
#include "shared/buffer.h"
#include "shared/mem.h"

#define PART_FORGET "forget"
#define PART_REMOVE "remove"

/* clang-format off */
static const struct argument_spec keep_arguments[] = {
	{ .name = "last",            .type = ARGUMENT_INTEGER, .min = 0, .max = KEEP_MAX },
	{ .name = "hourly",          .type = ARGUMENT_INTEGER, .min = 0, .max = KEEP_MAX },
	{ .name = "daily",           .type = ARGUMENT_INTEGER, .min = 0, .max = KEEP_MAX },
	{ .name = "weekly",          .type = ARGUMENT_INTEGER, .min = 0, .max = KEEP_MAX },
	{ .name = "monthly",         .type = ARGUMENT_INTEGER, .min = 0, .max = KEEP_MAX },
	{ .name = "yearly",          .type = ARGUMENT_INTEGER, .min = 0, .max = KEEP_MAX },
	{ .name = "within",          .type = ARGUMENT_DURATION, .max = KEEP_WITHIN_MAX_S },
	{ .name = NULL }
};

const struct argument_spec prune_arguments[] = {
	{ .name = "keep",            .type = ARGUMENT_OBJECT, .fields = keep_arguments },
	{ .name = "job",             .type = ARGUMENT_TEXT },
	{ .name = "only",            .type = ARGUMENT_WORD, .words = PART_FORGET "|" PART_REMOVE },
	{ .name = "dry_run",         .type = ARGUMENT_BOOL },
	{ .name = "grace",           .type = ARGUMENT_DURATION, .max = 366LL * 86400 },
	{ .name = "rewrite_percent", .type = ARGUMENT_INTEGER, .min = 1, .max = 100 },
	{ .name = "join_packs",      .type = ARGUMENT_INTEGER, .min = 0, .max = JOIN_PACKS_MAX },
	{ .name = "limits",          .type = ARGUMENT_OBJECT, .fields = limit_arguments },
	{ .name = NULL }
};
/* clang-format on */

static struct keep_rules
rules_of_request(const json_t *keep)
{
	return (struct keep_rules){
		.last = (unsigned)argument_integer(keep, "last", 0),
		.hourly = (unsigned)argument_integer(keep, "hourly", 0),
		.daily = (unsigned)argument_integer(keep, "daily", 0),
		.weekly = (unsigned)argument_integer(keep, "weekly", 0),
		.monthly = (unsigned)argument_integer(keep, "monthly", 0),
		.yearly = (unsigned)argument_integer(keep, "yearly", 0),
		.within_s = argument_duration(keep, "within", 0),
	};
}

static struct keep_rules
rules_of_settings(const struct config_keep *keep)
{
	return (struct keep_rules){ .last = (unsigned)keep->last, .hourly = (unsigned)keep->hourly,
		.daily = (unsigned)keep->daily, .weekly = (unsigned)keep->weekly,
		.monthly = (unsigned)keep->monthly, .yearly = (unsigned)keep->yearly,
		.within_s = keep->within_s };
}

static bool
has_rules(const struct keep_rules *rules)
{
	return rules->last > 0 || rules->hourly > 0 || rules->daily > 0 || rules->weekly > 0 ||
	    rules->monthly > 0 || rules->yearly > 0 || rules->within_s > 0;
}

/* One row for each job, unless only one is meant, and one for snapshots of none. */
static void
add_settings(const struct config *config, const char *only, struct keep_row *rows,
    size_t *count)
{
	for (size_t i = 0; i < config->job_count; i++) {
		const struct config_job *job = config->jobs[i];
		bool own = config_job_has_keep(job);

		if (only != NULL && strcmp(only, job->name) != 0)
			continue;
		rows[(*count)++] = (struct keep_row){ .host = config->name, .job = job->name,
			.keep = rules_of_settings(own ? &job->keep : &config->keep),
			.origin = own ? mem_printf("job %s", job->name) : mem_strdup("default") };
	}
	if (only == NULL)
		rows[(*count)++] = (struct keep_row){ .host = config->name, .job = "",
			.keep = rules_of_settings(&config->keep), .origin = mem_strdup("default") };
}

/* Jobs whose figures jumped: what is there may be all that is left of what was there before. */
static void
add_jumps(const json_t *jumps, const char *only, struct keep_row *rows, size_t *count,
    struct progress *progress)
{
	const char *job;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)jumps, job, value) {
		(void)value;
		if (only != NULL && strcmp(only, job) != 0)
			continue;
		rows[(*count)++] = (struct keep_row){ .job = job, .origin = mem_printf(
		    "held back: figures of job %s jumped", job) };
		progress_note(progress, "", 0, "nothing of job '%s' is forgotten: its figures "
		    "jumped; if they are right, POST /v1/jobs/%s/acknowledge", job, job);
	}
}

static enum prune_part
part_of(const json_t *arguments)
{
	const char *only = argument_text(arguments, "only");

	if (only == NULL)
		return PRUNE_ALL;
	return strcmp(only, PART_FORGET) == 0 ? PRUNE_FORGET : PRUNE_REMOVE;
}

static json_t *
figures(const struct prune_result *done, bool dry_run)
{
	json_t *json = json_pack("{s:O*, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "snapshots",
	    done->snapshots, "forgotten", (json_int_t)done->forgotten, "packs_marked",
	    (json_int_t)done->packs_marked, "packs_removed", (json_int_t)done->packs_removed,
	    "packs_rewritten", (json_int_t)done->packs_rewritten, "packs_joined",
	    (json_int_t)done->packs_joined, "bytes_marked",
	    (json_int_t)done->bytes_marked, "bytes_removed", (json_int_t)done->bytes_removed,
	    "dry_run", dry_run);

	if (dry_run)
		json_object_set_new(
		    json, "bytes_to_free", json_integer((json_int_t)done->bytes_to_free));
	return json;
}

int
prune_execute(const struct run_context *context, const json_t *arguments,
    struct progress *progress, struct run_result *result, struct error *err)
{
	const struct config *config = context->config;
	const char *job = argument_text(arguments, "job");
	struct keep_rules given = rules_of_request(json_object_get(arguments, "keep"));
	struct keep_row *rows;
	struct keep_policy policy = { .count = 0 };
	struct prune_options options = {
		.policy = &policy,
		.part = part_of(arguments),
		.dry_run = argument_bool(arguments, "dry_run", false),
		.grace_s = argument_duration(arguments, "grace", config->grace_s),
		.rewrite_percent = (unsigned)argument_integer(
		    arguments, "rewrite_percent", config->rewrite_percent),
		.join_packs = (uint64_t)argument_integer(
		    arguments, "join_packs", (int64_t)config->join_packs),
	};
	struct prune_result done = { .snapshots = NULL };
	json_t *jumps = NULL;
	int rc;

	/* Without knowing that, nothing may be forgotten. */
	if (jobs_store_jumps(context->store, config->state, &jumps, err) != 0)
		return error_prefix(err, "could not tell which jobs' figures jumped: ");
	policy.rows = rows = mem_calloc(config->job_count + 1 + json_object_size(jumps),
	    sizeof(*rows));
	if (options.part != PRUNE_REMOVE)
		add_jumps(jumps, job, rows, &policy.count, progress);
	if (has_rules(&given))
		rows[policy.count++] = (struct keep_row){ .job = job, .keep = given,
			.origin = mem_strdup(KEEP_ORIGIN_REQUEST) };
	else
		add_settings(config, job, rows, &policy.count);
	rc = prune_run(context->repo, &options, progress, &done, err);
	if (rc == 0) {
		result->stored_bytes = done.bytes_removed;
		result->json = figures(&done, options.dry_run);
	}
	prune_result_done(&done);
	for (size_t i = 0; i < policy.count; i++)
		free((char *)(uintptr_t)rows[i].origin);
	free(rows);
	json_decref(jumps);
	return rc;
}

char *
prune_parameter(const json_t *arguments)
{
	struct buffer text = BUFFER_INIT;
	const json_t *keep = json_object_get(arguments, "keep");
	const char *job = argument_text(arguments, "job"), *only = argument_text(arguments, "only");

	if (only != NULL)
		buffer_printf(&text, "only %s", only);
	if (job != NULL)
		buffer_printf(&text, "%sjob %s", text.len == 0 ? "" : " ", job);

	for (const struct argument_spec *spec = keep_arguments; spec->name != NULL; spec++) {
		const json_t *value = json_object_get(keep, spec->name);

		if (json_is_integer(value))
			buffer_printf(&text, "%skeep-%s %lld", text.len == 0 ? "" : " ", spec->name,
			    (long long)json_integer_value(value));
		else if (json_is_string(value))
			buffer_printf(&text, "%skeep-%s %s", text.len == 0 ? "" : " ", spec->name,
			    json_string_value(value));
	}
	return buffer_take(&text);
}
