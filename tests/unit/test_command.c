/* Programs of others: how they end, hang, fork, shout, and cannot be started. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/jobs/command.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_folder.h"

/* Long enough for any machine, where a time-out is not what is tested. */
#define PATIENT_MS 120000

static char *const no_environment[] = { NULL };

static int
setup(void **state)
{
	*state = test_folder_new();
	return 0;
}

static int
teardown(void **state)
{
	test_folder_remove(*state);
	return 0;
}

/* /bin/sh -c SCRIPT, its output in *ret. */
static void
run_shell(struct command *command, const char *script, struct command_result *ret)
{
	char *text = mem_strdup(script);
	char shell[] = "/bin/sh", option[] = "-c";
	char *argv[] = { shell, option, text, NULL };
	struct error err = ERROR_INIT;

	command->argv = argv;
	if (command->environment == NULL)
		command->environment = no_environment;
	if (command->timeout_ms == 0)
		command->timeout_ms = PATIENT_MS;
	if (command_run(command, ret, &err) != 0)
		fail_msg("%s: %s", script, err.message);
	command->argv = NULL;
	free(text);
}

static void
assert_not_started(const char *program, const char *folder, enum error_code code,
    const char *message)
{
	char *name = mem_strdup(program), *argv[] = { name, NULL };
	struct command command = { .argv = argv, .environment = no_environment,
		.folder = folder, .timeout_ms = PATIENT_MS };
	struct command_result result;
	struct error err = ERROR_INIT;

	assert_int_equal(command_run(&command, &result, &err), -1);
	assert_int_equal(err.code, code);
	if (strstr(err.message, message) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, message);
	assert_null(result.output);
	free(name);
}

static void
what_it_writes_and_its_status_are_kept(void **state)
{
	struct command command = { .timeout_ms = 0 };
	struct command_result result;
	struct error err = ERROR_INIT;
	char shell[] = "/bin/sh", *argv[] = { shell, NULL };

	(void)state;
	run_shell(&command, "echo one; echo two >&2; echo; exit 3", &result);
	assert_int_equal(result.end, COMMAND_EXITED);
	assert_int_equal(result.status, 3);
	assert_string_equal(result.output, "one\ntwo\n\n");
	assert_int_equal(result.output_total, 9);
	command.argv = argv;
	assert_int_equal(command_check(&command, &result, &err), -1);
	assert_int_equal(err.code, ERROR_IO);
	assert_string_equal(err.message, "'/bin/sh' ended with status 3: one | two");
	command_result_done(&result);
	run_shell(&command, "exit 0", &result);
	assert_string_equal(result.output, "");
	assert_int_equal(command_check(&command, &result, &err), 0);
	command_result_done(&result);
}

static void
it_gets_nothing_but_what_it_is_given(void **state)
{
	char *const environment[] = { (char *)(uintptr_t)"ONLY=this one", NULL };
	struct command command = { .environment = environment };
	struct command_result result;
	int leak = open("/", O_RDONLY); /* not close-on-exec, on purpose */
	void (*before)(int) = signal(SIGUSR1, SIG_IGN);
	sigset_t blocked, old;

	(void)state;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &blocked, &old);
	setenv("HOLDFAST_TEST_SECRET", "x", 1);
	run_shell(&command, "/usr/bin/env | /bin/grep -v -e ^PWD= -e ^_= -e ^SHLVL=;"
	    " /bin/ls /proc/self/fd | /usr/bin/tr '\\n' ' ';"
	    " /bin/grep -E 'SigBlk|SigIgn' /proc/self/status | /usr/bin/tr -d '\\t\\n' |"
	    /* 32 and 33 are the C library's own. */
	    " /bin/sed s/SigIgn:000000018/SigIgn:000000000/;"
	    " pwd; read line || echo nothing to read;"
	    " [ $(/usr/bin/cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads its session", &result);
	/* 3 is ls's own. */
	assert_string_equal(result.output, "ONLY=this one\n0 1 2 3 "
	    "SigBlk:0000000000000000SigIgn:0000000000000000/\nnothing to read\n"
	    "leads its session\n");
	unsetenv("HOLDFAST_TEST_SECRET");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR1, before);
	close(leak);
	command_result_done(&result);
}

static void
it_runs_in_its_folder_and_reads_its_input(void **state)
{
	struct command command = { .folder = *state, .input = "a\nb\n", .input_len = 4 };
	struct command_result result;
	char *expected = mem_printf("%s\na\nb\n", (char *)*state);

	run_shell(&command, "pwd; /bin/cat", &result);
	assert_string_equal(result.output, expected);
	command_result_done(&result);
	/* Nobody reads it: nobody waits. */
	run_shell(&command, "exit 0", &result);
	assert_int_equal(result.status, 0);
	command_result_done(&result);
	free(expected);
}

static void
a_gigabyte_is_read_and_its_two_ends_are_kept(void **state)
{
	struct command command = { .timeout_ms = 0 };
	struct command_result result;
	const char *gap;

	(void)state;
	run_shell(&command, "echo begins; /usr/bin/head -c 1073741824 /dev/zero; echo; echo ends",
	    &result);
	assert_int_equal(result.status, 0);
	assert_int_equal(result.output_total, 1073741824 + 7 + 1 + 5);
	assert_true(result.output_len < COMMAND_OUTPUT_MAX + 64);
	assert_memory_equal(result.output, "begins\n", 7);
	assert_memory_equal(result.output + result.output_len - 6, "\nends\n", 6);
	gap = memmem(result.output, result.output_len, "\n[... 1073676301 bytes left out ...]\n",
	    37);
	assert_non_null(gap);
	assert_int_equal(gap - result.output, COMMAND_OUTPUT_MAX / 2);
	command_result_done(&result);
}

static void
output_of_exactly_the_bound_is_whole(void **state)
{
	static const unsigned sizes[] = { COMMAND_OUTPUT_MAX / 2, COMMAND_OUTPUT_MAX - 1,
		COMMAND_OUTPUT_MAX, COMMAND_OUTPUT_MAX + 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *script = mem_printf("/usr/bin/head -c %u /dev/zero | /usr/bin/tr '\\0' x",
		    sizes[i]);
		struct command command = { .timeout_ms = 0 };
		struct command_result result;

		run_shell(&command, script, &result);
		assert_int_equal(result.output_total, sizes[i]);
		if (sizes[i] <= COMMAND_OUTPUT_MAX)
			assert_int_equal(strspn(result.output, "x"), sizes[i]);
		else
			assert_non_null(strstr(result.output, "[... 1 bytes left out ...]"));
		command_result_done(&result);
		free(script);
	}
}

static void
one_that_hangs_is_stopped_with_all_its_children(void **state)
{
	char *pids = test_path(*state, "pids"), *script;
	struct command command = { .timeout_ms = 300, .grace_ms = 200 };
	struct command_result result;
	struct error err = ERROR_INIT;
	char shell[] = "/bin/sh", *argv[] = { shell, NULL }, *text;
	size_t len = 0;
	int child = 0;

	/* Neither it nor its child minds a SIGTERM. */
	script = mem_printf("trap '' TERM; /bin/sleep 1000 & echo $! > %s; echo waiting; wait",
	    pids);
	run_shell(&command, script, &result);
	assert_int_equal(result.end, COMMAND_TIMED_OUT);
	assert_string_equal(result.output, "waiting\n");
	text = (char *)test_file_read(pids, &len);
	child = atoi(text);
	assert_true(child > 0);
	/* Killed; whoever became its parent may not have waited for it yet. */
	for (int i = 0; i < 6000 && kill(child, 0) == 0; i++) {
		char *path = mem_printf("/proc/%d/stat", child), line[256] = "";
		FILE *file = fopen(path, "re");

		free(path);
		if (file == NULL || fgets(line, sizeof(line), file) == NULL ||
		    strstr(line, ") Z ") != NULL)
			child = 0;
		if (file != NULL)
			fclose(file);
		if (child == 0)
			break;
		usleep(10000);
	}
	assert_true(child == 0 || kill(child, 0) != 0);
	command.argv = argv;
	command.timeout_ms = 7000;
	assert_int_equal(command_check(&command, &result, &err), -1);
	assert_string_equal(err.message,
	    "'/bin/sh' was stopped after 7 s, the longest that it may take: waiting");
	command_result_done(&result);
	free(text);
	free(script);
	free(pids);
}

static void
one_that_heeds_the_first_signal_is_not_killed(void **state)
{
	struct command command = { .timeout_ms = 200, .grace_ms = PATIENT_MS };
	struct command_result result;

	(void)state;
	run_shell(&command, "trap 'echo tidied; exit 0' TERM; while :; do /bin/sleep 0.05; done",
	    &result);
	assert_int_equal(result.end, COMMAND_TIMED_OUT);
	/* The shell may tell that its own child was ended, too. */
	assert_non_null(strstr(result.output, "tidied\n"));
	command_result_done(&result);
}

static void
what_is_left_in_the_background_does_not_hold_us(void **state)
{
	char *file = test_path(*state, "late"), *script;
	struct command command = { .timeout_ms = 0 };
	struct command_result result;

	/* It holds the output open, and lives on. */
	script = mem_printf("(/bin/sleep 3; echo x > %s) & echo left", file);
	run_shell(&command, script, &result);
	assert_int_equal(result.end, COMMAND_EXITED);
	assert_int_equal(result.status, 0);
	assert_string_equal(result.output, "left\n");
	assert_int_equal(access(file, F_OK), -1);
	for (int i = 0; i < 6000 && access(file, F_OK) != 0; i++)
		usleep(10000);
	assert_int_equal(access(file, F_OK), 0);
	command_result_done(&result);
	free(script);
	free(file);
}

static bool
after_a_while(void *arg)
{
	return atomic_fetch_add((atomic_int *)arg, 1) >= 2;
}

static void
it_can_be_cancelled_while_it_runs(void **state)
{
	atomic_int asked = 0;
	struct command command = { .cancelled = after_a_while, .arg = &asked };
	struct command_result result;
	struct error err = ERROR_INIT;
	char shell[] = "/bin/sh", *argv[] = { shell, NULL };

	(void)state;
	run_shell(&command, "exec /bin/sleep 1000", &result);
	assert_int_equal(result.end, COMMAND_CANCELLED);
	command.argv = argv;
	assert_int_equal(command_check(&command, &result, &err), -1);
	assert_int_equal(err.code, ERROR_CANCELLED);
	assert_string_equal(err.message, "'/bin/sh' was cancelled");
	command_result_done(&result);
}

static void
one_that_a_signal_ends_is_told(void **state)
{
	struct command command = { .timeout_ms = 0 };
	struct command_result result;
	struct error err = ERROR_INIT;
	char shell[] = "/bin/sh", *argv[] = { shell, NULL };

	(void)state;
	run_shell(&command, "kill -USR1 $$", &result);
	assert_int_equal(result.end, COMMAND_SIGNALLED);
	assert_int_equal(result.status, SIGUSR1);
	command.argv = argv;
	assert_int_equal(command_check(&command, &result, &err), -1);
	assert_string_equal(err.message, "'/bin/sh' was ended by SIGUSR1");
	command_result_done(&result);
}

static void
what_cannot_be_started_is_named(void **state)
{
	const char *folder = *state;
	char *plain = test_path(folder, "plain"), *odd = test_path(folder, "odd");
	char *nobody = test_path(folder, "nobody"), *gone = test_path(folder, "gone");

	test_file_write(plain, "#!/bin/sh\n", 10);
	test_file_write(odd, "no program\n", 11);
	chmod(odd, 0700);
	test_file_write(nobody, "#!/nowhere/sh\n", 14);
	chmod(nobody, 0700);
	assert_not_started("bin/sh", NULL, ERROR_CONFIG, "program 'bin/sh' is no absolute path");
	assert_not_started(gone, NULL, ERROR_NOT_FOUND, "gone': No such file or directory");
	assert_not_started(folder, NULL, ERROR_CONFIG, "is no regular file");
	assert_not_started(plain, NULL, ERROR_PERMISSION, "plain' is not executable");
	assert_not_started(odd, NULL, ERROR_CONFIG, "is nothing that this system executes");
	assert_not_started(nobody, NULL, ERROR_NOT_FOUND, "could not start program");
	assert_not_started("/bin/sh", gone, ERROR_NOT_FOUND, "for program '/bin/sh' is not there");
	assert_not_started("/bin/sh", plain, ERROR_NOT_FOUND, "for program '/bin/sh' is not there");
	free(gone);
	free(nobody);
	free(odd);
	free(plain);
}

static void
too_much_input_is_refused(void **state)
{
	char *much = mem_calloc(1, COMMAND_INPUT_MAX + 1);
	char shell[] = "/bin/sh", *argv[] = { shell, NULL };
	struct command command = { .argv = argv, .environment = no_environment, .input = much,
		.input_len = COMMAND_INPUT_MAX + 1, .timeout_ms = PATIENT_MS };
	struct command_result result;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(command_run(&command, &result, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	free(much);
}

static void
the_last_lines_are_printable_and_short(void **state)
{
	static const struct {
		const char *output;
		size_t lines, max;
		const char *expected;
	} cases[] = {
		{ "", 3, 100, "" },
		{ "\n \n\t\n", 3, 100, "" },
		{ "one", 3, 100, "one" },
		{ "one\ntwo\n\nthree\nfour\n", 2, 100, "three | four" },
		{ "  a \r\n  b\r\n", 3, 100, "a | b" },
		{ "\x1b[31mred\xff", 1, 100, "\\x1b[31mred\\xff" },
		{ "0123456789", 1, 4, "6789" },
		{ "ab\xc3\xa4z", 1, 2, "z" },
		{ "ab\xc3\xa4z", 1, 3, "\xc3\xa4z" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command_result result = { .output = mem_strdup(cases[i].output),
			.output_len = strlen(cases[i].output) };
		char *text = command_last_lines(&result, cases[i].lines, cases[i].max);

		assert_string_equal(text, cases[i].expected);
		free(text);
		command_result_done(&result);
	}
}

static void *
run_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		struct command command = { .timeout_ms = 0 };
		struct command_result result;

		run_shell(&command, "echo hello", &result);
		assert_string_equal(result.output, "hello\n");
		command_result_done(&result);
	}
	return NULL;
}

/* A pipe of one that leaked into another would hold it open. */
static void
several_threads_run_programs_at_once(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_many, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_writes_and_its_status_are_kept),
		cmocka_unit_test(it_gets_nothing_but_what_it_is_given),
		cmocka_unit_test_setup_teardown(it_runs_in_its_folder_and_reads_its_input, setup,
		    teardown),
		cmocka_unit_test(a_gigabyte_is_read_and_its_two_ends_are_kept),
		cmocka_unit_test(output_of_exactly_the_bound_is_whole),
		cmocka_unit_test_setup_teardown(one_that_hangs_is_stopped_with_all_its_children,
		    setup, teardown),
		cmocka_unit_test(one_that_heeds_the_first_signal_is_not_killed),
		cmocka_unit_test_setup_teardown(what_is_left_in_the_background_does_not_hold_us,
		    setup, teardown),
		cmocka_unit_test(it_can_be_cancelled_while_it_runs),
		cmocka_unit_test(one_that_a_signal_ends_is_told),
		cmocka_unit_test_setup_teardown(what_cannot_be_started_is_named, setup, teardown),
		cmocka_unit_test(too_much_input_is_refused),
		cmocka_unit_test(the_last_lines_are_printable_and_short),
		cmocka_unit_test(several_threads_run_programs_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
