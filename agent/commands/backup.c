#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/run_command.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec backup_options[] = {
	{ "job",             0, OPTION_VALUE, "NAME", "what the section [job NAME] says" },
	{ "exclude",         0, OPTION_LIST,  "PATTERN",
	  "leave out what matches, as in .gitignore; repeatable" },
	{ "exclude-file",    0, OPTION_LIST,  "FILE", "patterns, one a line; repeatable" },
	{ "exclude-caches",  0, OPTION_FLAG,  NULL, "leave out folders marked by CACHEDIR.TAG" },
	{ "one-file-system", 0, OPTION_FLAG,  NULL, "do not cross into other file systems" },
	{ "max-size",        0, OPTION_VALUE, "SIZE", "leave out larger files" },
	{ "dry-run",         0, OPTION_FLAG,  NULL, "walk and count, store nothing" },
	{ "force",           0, OPTION_FLAG,  NULL, "read also files that look unchanged" },
	{ "tag",             0, OPTION_LIST,  "TAG", "mark the snapshot; repeatable" },
	{ "level",           0, OPTION_VALUE, "N", "zstd's level, 1 to 19" },
	{ "threads",         0, OPTION_VALUE, "N", "threads to work with; 0: one per core" },
	{ "no-verify",       0, OPTION_FLAG,  NULL, "do not open data again before it is stored" },
	LIMIT_OPTIONS,
	{ "json",            0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static int
add_patterns(const char *path, json_t *patterns, struct error *err)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int rc = 0;

	if (file == NULL)
		return error_sys(err, ERROR_IO, errno, "could not open '%s'", path);
	while (rc == 0 && (len = getline(&line, &cap, file)) >= 0) {
		if (len > 0 && line[len - 1] == '\n')
			line[--len] = '\0';
		/* Empty lines are nothing, and an argument must not be empty. */
		if (len > 0 && json_array_append_new(patterns, json_string(line)) != 0)
			rc = error_set(err, ERROR_USAGE, "'%s' is not valid UTF-8", path);
	}
	if (rc == 0 && ferror(file) != 0)
		rc = error_sys(err, ERROR_IO, errno, "could not read '%s'", path);
	free(line);
	fclose(file);
	return rc;
}

static int
set_patterns(struct session *session, json_t *arguments, struct error *err)
{
	size_t count;
	const char **files = option_values(&session->line, "exclude-file", &count);
	json_t *patterns = json_array();
	int rc = 0;

	json_object_set_new(arguments, "exclude", patterns);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = add_patterns(files[i], patterns, err);
	free(files);
	if (rc == 0)
		rc = run_list_argument(session, "exclude", patterns, err);
	return rc;
}

static int
set_paths(struct session *session, json_t *arguments, struct error *err)
{
	json_t *paths = json_array();

	json_object_set_new(arguments, "paths", paths);
	for (size_t i = 0; i < session->line.argument_count; i++) {
		json_t *path = run_path_argument(session->line.arguments[i], err);

		if (path == NULL)
			return -1;
		json_array_append_new(paths, path);
	}
	return 0;
}

static json_int_t
figure(const struct run_result *result, const char *name)
{
	return json_integer_value(json_object_get(result->json, name));
}

void
run_print_snapshot(const struct run_result *result, double seconds)
{
	char bytes[16], stored[16], added[16];

	size_format(result->bytes, bytes);
	size_format(result->stored_bytes, stored);
	size_format((uint64_t)figure(result, "added_bytes"), added);
	if (result->snapshot[0] == '\0') {
		printf("would back up %llu files, %s (dry run)\n",
		    (unsigned long long)result->files, bytes);
		return;
	}
	printf("snapshot %s\n", result->snapshot);
	printf("  %llu files, %lld folders, %lld others, %s in %.1f s\n",
	    (unsigned long long)result->files, (long long)figure(result, "directories"),
	    (long long)figure(result, "others"), bytes, seconds);
	printf("  %lld new, %lld changed, %lld unchanged; added %s, stored as %s\n",
	    (long long)figure(result, "new_files"), (long long)figure(result, "changed_files"),
	    (long long)figure(result, "unmodified_files"), added, stored);
}

int
backup_main(struct session *session, struct error *err)
{
	struct run_command command = { .kind = RUN_BACKUP, .arguments = json_object(),
		.print = run_print_snapshot };
	bool job = option_given(&session->line, "job");
	json_t *tags = json_array();
	int rc = -1;

	json_object_set_new(command.arguments, "tags", tags);
	if (session->line.argument_count == 0 && !job) {
		error_set(err, ERROR_USAGE, "'backup' needs a path, or --job");
		error_hint(err, "see holdfastd help backup");
		goto out;
	}
	if (set_paths(session, command.arguments, err) != 0 ||
	    set_patterns(session, command.arguments, err) != 0 ||
	    run_list_argument(session, "tag", tags, err) != 0 ||
	    run_number_argument(session, "level", command.arguments, "level", err) != 0 ||
	    run_number_argument(session, "threads", command.arguments, "threads", err) != 0)
		goto out;
	run_text_argument(session, "job", command.arguments, "job");
	run_text_argument(session, "max-size", command.arguments, "max_size");
	run_flag_argument(session, "exclude-caches", command.arguments, "exclude_caches", true);
	run_flag_argument(session, "one-file-system", command.arguments, "one_file_system", true);
	run_flag_argument(session, "dry-run", command.arguments, "dry_run", true);
	run_flag_argument(session, "force", command.arguments, "force", true);
	run_flag_argument(session, "no-verify", command.arguments, "verify", false);
	rc = run_command(session, &command, err);
out:
	json_decref(command.arguments);
	return rc;
}
