/* Hooks of a job: what their exit means, what they are told, and what is kept of what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/jobs/hooks.h"
#include "agent/jobs/run_hooks.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_folder.h"

struct fixture {
	char *folder, *paths[2];
	struct config_job job, *jobs[1];
	struct config config;
	struct progress progress;
};

static int
setup(void **state)
{
	static char name[] = "home", one[] = "/home", two[] = "/etc";
	struct fixture *f = MEM_NEW(struct fixture);

	f->folder = test_folder_new();
	f->paths[0] = one;
	f->paths[1] = two;
	f->job = (struct config_job){ .name = name, .path = f->paths, .path_count = 2,
		.hook_timeout_s = 600 };
	f->jobs[0] = &f->job;
	f->config = (struct config){ .jobs = f->jobs, .job_count = 1 };
	progress_init(&f->progress);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	progress_done(&f->progress);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static int
run(struct fixture *f, enum hook hook, const char *text, const struct hook_facts *facts,
    struct error *err)
{
	char *copy = text == NULL ? NULL : mem_strdup(text);
	int rc;

	f->job.before = hook == HOOK_BEFORE ? copy : NULL;
	f->job.after = hook == HOOK_AFTER ? copy : NULL;
	f->job.on_failure = hook == HOOK_ON_FAILURE ? copy : NULL;
	rc = hook_run(&f->job, hook, facts, &f->progress, err);
	f->job.before = f->job.after = f->job.on_failure = NULL;
	free(copy);
	return rc;
}

static void
a_hook_that_is_not_set_is_nothing(void **state)
{
	struct hook_facts facts = { .run = NULL };
	struct error err = ERROR_INIT;
	struct fixture *f = *state;

	for (int hook = HOOK_BEFORE; hook <= HOOK_ON_FAILURE; hook++)
		assert_int_equal(run(f, (enum hook)hook, NULL, &facts, &err), 0);
	assert_int_equal(f->progress.notes.total, 0);
}

static void
the_exit_status_of_each_hook_means_what_is_said(void **state)
{
	static const struct {
		enum hook hook;
		const char *script;
		int rc;
		enum error_code code;
		const char *message;
	} cases[] = {
		{ HOOK_BEFORE, "exit 0", 0, ERROR_NONE, "" },
		{ HOOK_BEFORE, "echo on battery; exit 75", 1, ERROR_CONFLICT,
		    "skipped by '/bin/sh': on battery" },
		{ HOOK_BEFORE, "exit 75", 1, ERROR_CONFLICT, "skipped by '/bin/sh'" },
		{ HOOK_BEFORE, "echo no mount >&2; exit 1", -1, ERROR_IO,
		    "before: '/bin/sh' ended with status 1: no mount" },
		{ HOOK_BEFORE, "kill -KILL $$", -1, ERROR_IO,
		    "before: '/bin/sh' was ended by SIGKILL" },
		{ HOOK_AFTER, "exit 0", 0, ERROR_NONE, "" },
		{ HOOK_AFTER, "exit 75", -1, ERROR_IO, "after: '/bin/sh' ended with status 75" },
		{ HOOK_ON_FAILURE, "exit 75", -1, ERROR_IO,
		    "on_failure: '/bin/sh' ended with status 75" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *text = mem_printf("/bin/sh -c '%s'", cases[i].script);
		struct hook_facts facts = { .run = NULL };
		struct error err = ERROR_INIT;

		assert_int_equal(run(*state, cases[i].hook, text, &facts, &err), cases[i].rc);
		assert_int_equal(err.code, cases[i].code);
		assert_string_equal(err.message, cases[i].message);
		free(text);
	}
}

/* Those of env, sorted, but for HOME, which is the tester's. */
static char *
seen(struct fixture *f, enum hook hook, const struct hook_facts *facts)
{
	char *file = test_path(f->folder, "env"), *text;
	struct error err = ERROR_INIT;
	size_t len = 0;
	char *command = mem_printf(
	    "/bin/sh -c '/usr/bin/env | LC_ALL=C sort |"
	    " grep -v -e ^HOME= -e ^PWD= -e ^_= -e ^SHLVL= > %s'", file), *copy;

	assert_int_equal(run(f, hook, command, facts, &err), 0);
	text = (char *)test_file_read(file, &len);
	copy = mem_printf("%.*s", (int)len, text);
	free(text);
	free(command);
	free(file);
	return copy;
}

#define SURROUNDINGS "LANG=C.UTF-8\n" \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"

static void
it_is_told_the_facts_and_nothing_else(void **state)
{
	struct hook_facts facts = { .run = "0123" };
	struct fixture *f = *state;
	char *text;

	setenv("HOLDFAST_TEST_SECRET", "x", 1);
	text = seen(f, HOOK_BEFORE, &facts);
	assert_string_equal(text, "/etc\nHOLDFAST_HOOK=before\nHOLDFAST_JOB=home\n"
	    "HOLDFAST_PATHS=/home\nHOLDFAST_RUN=0123\n" SURROUNDINGS);
	free(text);
	facts = (struct hook_facts){ .run = "0123", .outcome = "warn", .snapshot = "abcd",
		.files = 3, .bytes = UINT64_MAX, .stored_bytes = 7 };
	text = seen(f, HOOK_AFTER, &facts);
	assert_string_equal(text, "/etc\nHOLDFAST_BYTES=18446744073709551615\nHOLDFAST_FILES=3\n"
	    "HOLDFAST_HOOK=after\nHOLDFAST_JOB=home\nHOLDFAST_OUTCOME=warn\n"
	    "HOLDFAST_PATHS=/home\nHOLDFAST_RUN=0123\nHOLDFAST_SNAPSHOT=abcd\n"
	    "HOLDFAST_STORED_BYTES=7\n" SURROUNDINGS);
	free(text);
	facts = (struct hook_facts){ .outcome = "failed", .error = "disk 'x' is full; $(reboot)" };
	text = seen(f, HOOK_ON_FAILURE, &facts);
	assert_non_null(strstr(text, "HOLDFAST_ERROR=disk 'x' is full; $(reboot)\n"));
	assert_non_null(strstr(text, "HOLDFAST_HOOK=on_failure\n"));
	assert_null(strstr(text, "HOLDFAST_RUN"));
	assert_null(strstr(text, "SECRET"));
	free(text);
	unsetenv("HOLDFAST_TEST_SECRET");
}

static void
what_it_says_is_kept_in_the_notes(void **state)
{
	struct hook_facts facts = { .run = NULL };
	struct error err = ERROR_INIT;
	struct fixture *f = *state;

	assert_int_equal(run(f, HOOK_BEFORE, "/bin/true", &facts, &err), 0);
	assert_int_equal(f->progress.notes.total, 0);
	assert_int_equal(run(f, HOOK_BEFORE, "/bin/sh -c 'echo dumped; echo 5 tables'", &facts,
	    &err), 0);
	assert_int_equal(run(f, HOOK_AFTER, "/bin/false", &facts, &err), -1);
	assert_int_equal(run(f, HOOK_AFTER, "/nowhere/x", &facts, &err), -1);
	assert_int_equal(f->progress.notes.total, 3);
	assert_string_equal(f->progress.notes.list[0].path, "/bin/sh");
	assert_string_equal(f->progress.notes.list[0].reason,
	    "before ended with status 0: dumped | 5 tables");
	assert_string_equal(f->progress.notes.list[1].reason, "after ended with status 1");
	assert_string_equal(f->progress.notes.list[2].path, "/nowhere/x");
	assert_string_equal(f->progress.notes.list[2].reason,
	    "after: could not find program '/nowhere/x': No such file or directory");
	assert_int_equal(f->progress.losses.total, 0);
}

static void
it_may_not_take_for_ever(void **state)
{
	struct hook_facts facts = { .run = NULL };
	struct error err = ERROR_INIT;
	struct fixture *f = *state;

	f->job.hook_timeout_s = 1;
	assert_int_equal(run(f, HOOK_BEFORE, "/bin/sleep 1000", &facts, &err), -1);
	assert_int_equal(err.code, ERROR_IO);
	assert_string_equal(err.message,
	    "before: '/bin/sleep' was stopped after 1 s, the longest that it may take");
}

static void
it_is_cancelled_with_its_run_unless_it_is_the_last(void **state)
{
	struct hook_facts facts = { .run = NULL };
	struct error err = ERROR_INIT;
	struct fixture *f = *state;

	progress_cancel(&f->progress);
	assert_int_equal(run(f, HOOK_BEFORE, "/bin/sleep 1000", &facts, &err), -1);
	assert_int_equal(err.code, ERROR_CANCELLED);
	facts.last = true;
	assert_int_equal(run(f, HOOK_ON_FAILURE, "/bin/sleep 0.3", &facts, &err), 0);
}

/* A script that leaves a line in a file for each hook that ran. */
static void
set_all(struct fixture *f, const char *log, int before, int after, int on_failure)
{
	char **fields[] = { &f->job.before, &f->job.after, &f->job.on_failure };
	int statuses[] = { before, after, on_failure };

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		*fields[i] = mem_printf(
		    "/bin/sh -c 'echo $HOLDFAST_HOOK"
		    "${HOLDFAST_OUTCOME:+ $HOLDFAST_OUTCOME $HOLDFAST_FILES} >> %s; exit %d'",
		    log, statuses[i]);
}

static void
unset_all(struct fixture *f)
{
	free(f->job.before);
	free(f->job.after);
	free(f->job.on_failure);
	f->job.before = f->job.after = f->job.on_failure = NULL;
}

static void
after_or_on_failure_follows_by_the_outcome(void **state)
{
	static const struct {
		const char *outcome;
		int after;
		const char *end, *hooks;
	} cases[] = {
		{ "ok", 0, "ok", "before\nafter ok 3\n" },
		{ "ok", 1, "warn", "before\nafter ok 3\n" },
		{ "warn", 1, "warn", "before\nafter warn 3\n" },
		{ "failed", 1, "failed", "before\non_failure failed 3\n" },
		{ "cancelled", 1, "cancelled", "before\non_failure cancelled 3\n" },
		{ "skipped", 1, "skipped", "before\n" },
	};
	json_t *arguments = json_pack("{s:s}", "job", "home");
	struct fixture *f = *state;
	struct run_context context = { .config = &f->config, .run = "0123" };
	char *log = test_path(f->folder, "log");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct run_result result = { .files = 3, .json = json_object() };
		struct error err = ERROR_INIT, failure = ERROR_INIT;
		struct run_hooks hooks;
		size_t len = 0;
		char *text;

		set_all(f, log, 0, cases[i].after, 1);
		assert_int_equal(run_hooks_before(&hooks, RUN_BACKUP, &context, arguments,
		    &f->progress, &err), 0);
		assert_string_equal(run_hooks_after(&hooks, &context, &f->progress, &result,
		    cases[i].outcome, &failure), cases[i].end);
		text = (char *)test_file_read(log, &len);
		assert_int_equal(len, strlen(cases[i].hooks));
		assert_memory_equal(text, cases[i].hooks, len);
		if (strcmp(cases[i].outcome, "ok") == 0 && cases[i].after != 0)
			assert_string_equal(json_string_value(json_object_get(result.json,
			    "hook_failed")), "after: '/bin/sh' ended with status 1");
		free(text);
		unlink(log);
		unset_all(f);
		run_result_done(&result);
	}
	free(log);
	json_decref(arguments);
}

static void
only_real_backups_of_a_job_have_hooks(void **state)
{
	static const struct {
		enum run_kind kind;
		const char *arguments;
	} without[] = {
		{ RUN_BACKUP, "{\"job\": \"home\", \"dry_run\": true}" },
		{ RUN_BACKUP, "{\"job\": \"gone\"}" },
		{ RUN_BACKUP, "{\"path\": \"/home\"}" },
		{ RUN_PRUNE, "{\"job\": \"home\"}" },
	};
	struct fixture *f = *state;
	struct run_context context = { .config = &f->config, .run = "0123" };
	char *log = test_path(f->folder, "log");
	struct run_result result = { .files = 0 };
	struct error err = ERROR_INIT;

	set_all(f, log, 1, 1, 1);
	for (size_t i = 0; i < ARRAY_LEN(without); i++) {
		json_t *arguments = json_loads(without[i].arguments, 0, NULL);
		struct run_hooks hooks;

		assert_int_equal(run_hooks_before(&hooks, without[i].kind, &context, arguments,
		    &f->progress, &err), 0);
		assert_string_equal(run_hooks_after(&hooks, &context, &f->progress, &result, "ok",
		    &err), "ok");
		json_decref(arguments);
	}
	assert_int_equal(access(log, F_OK), -1);
	unset_all(f);
	run_result_done(&result);
	free(log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_hook_that_is_not_set_is_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_exit_status_of_each_hook_means_what_is_said,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_told_the_facts_and_nothing_else, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(what_it_says_is_kept_in_the_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(it_may_not_take_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_cancelled_with_its_run_unless_it_is_the_last,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(after_or_on_failure_follows_by_the_outcome, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(only_real_backups_of_a_job_have_hooks, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
