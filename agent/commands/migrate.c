/* Bring a database's schema from one version to another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "agent/migrations.h"
#include "shared/mem.h"

const struct option_spec migrate_options[] = {
	{ "log",      0, OPTION_FLAG,  NULL, "the central log's own schema, not [database]" },
	{ "database", 0, OPTION_VALUE, "NAME", "of [database NAME]; default: [database]" },
	{ "dry-run",  0, OPTION_FLAG,  NULL, "only show the statements that would be run" },
	{ "json",     0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};

static const char *
text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text == NULL ? "" : text;
}

static long long
number_of(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

static void
print_summary(const json_t *result)
{
	printf("%s is at version %lld, %lld pending\n", text_of(result, "database"),
	    number_of(result, "version"), number_of(result, "pending"));
}

static void
print_done(const json_t *result)
{
	json_t *step, *statement;
	size_t i, j;

	json_array_foreach(json_object_get(result, "done"), i, step)
		printf("%-4s %04lld_%s  (%lld statements, %lld ms)\n", text_of(step, "direction"),
		    number_of(step, "version"), text_of(step, "name"),
		    number_of(step, "statements"), number_of(step, "duration_ms"));
	json_array_foreach(json_object_get(result, "planned"), i, step) {
		printf("-- %s %s\n", text_of(step, "direction"), text_of(step, "file"));
		json_array_foreach(json_object_get(step, "statements"), j, statement)
			printf("-- line %lld\n%s;\n", number_of(statement, "line"),
			    text_of(statement, "text"));
	}
	print_summary(result);
}

static void
print_status(const json_t *result)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(result, "migrations"), i, row) {
		printf("%04lld  %-9s %-30s %s\n", number_of(row, "version"),
		    text_of(row, "state"), text_of(row, "name"), text_of(row, "applied_at"));
		if (*text_of(row, "message") != '\0')
			printf("      %s\n", text_of(row, "message"));
	}
	print_summary(result);
}

static void
log_migration(struct session *session, const char *parameter, const struct error *failure)
{
	struct action action = { .action = "RunMigration", .parameter = parameter,
		.failed = failure != NULL, .outcome = failure == NULL ? "ok" : "failed",
		.message = failure == NULL ? NULL : failure->message };

	session_log(session, &action);
}

int
migrate_main(struct session *session, struct error *err)
{
	const char **arguments = session->line.arguments;
	size_t count = session->line.argument_count;
	const char *verb = count > 0 ? arguments[0] : NULL;
	bool status = verb != NULL && strcmp(verb, "status") == 0;
	const char *database = option_value(&session->line, "database");
	bool log = option_given(&session->line, "log");
	struct agent_migrations set = { .migrations = NULL };
	struct migrate_task task = { .way = MIGRATE_UP };
	json_t *result = NULL;
	char *parameter;
	int rc;

	if (!status &&
	    agent_migrations_task(verb, count > 1 ? arguments[1] : NULL, &task, err) != 0)
		return -1;
	if (log && database != NULL)
		return error_set(err, ERROR_USAGE, "--log and --database exclude each other");
	task.dry_run = option_given(&session->line, "dry-run");
	rc = config_verify(session->config, err);
	if (rc == 0)
		rc = agent_migrations_load(session->config, log, database, &set, err);
	if (rc == 0)
		rc = status ? migrate_status(&set.settings, set.migrations, &result, err)
		    : migrate_run(&set.settings, set.migrations, &task, &result, err);
	migrations_free(set.migrations);
	if (!status && !task.dry_run) {
		parameter = mem_printf("%s%s%s%s%s%s", log ? "log " : "",
		    database != NULL ? database : "", database != NULL ? " " : "",
		    verb == NULL ? "up" : verb, count > 1 ? " " : "",
		    count > 1 ? arguments[1] : "");
		log_migration(session, parameter, rc == 0 ? NULL : err);
		free(parameter);
	}
	if (rc != 0)
		return -1;
	if (session->json)
		return session_print_json(result, err) == 0 ? EXIT_OK : -1;
	if (status)
		print_status(result);
	else
		print_done(result);
	json_decref(result);
	return EXIT_OK;
}
