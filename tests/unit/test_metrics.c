#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/metrics_text.h"
#include "shared/mem.h"

/* Names and types, as the table has them. */
static const struct {
	const char *name, *type, *help;
} table[] = {
#define ONE(name, type, known, value, help) { "holdfast_" #name, #type, help },
#define EACH(name, type, value, help) { "holdfast_" #name, #type, help },
#define LABELLED(name, type, help) { "holdfast_" #name, #type, help },
	METRICS(ONE, EACH, LABELLED)
#undef ONE
#undef EACH
#undef LABELLED
};

static const struct job_state jobs[] = {
	{ .name = (char *)(uintptr_t)"home", .scheduled = true, .overdue = true,
	    .next_ms = 1795340400000, .last_started_ms = 1795340000500,
	    .last_finished_ms = 1795340001750, .last_success_ms = 1795330000000,
	    .last_outcome = "failed", .last_duration_ms = 1250, .last_files = 3,
	    .last_bytes = 4096, .last_added_bytes = 512, .last_proof_ms = 1795300000000,
	    .last_proof_outcome = "ok" },
	{ .name = (char *)(uintptr_t)"odd\"\\\n", .held = true, .running = true, .jump = true },
};

static const struct metrics_figures everything = {
	.jobs = jobs,
	.job_count = ARRAY_LEN(jobs),
	.version = "1.2.3",
	.started_ms = 1795340278244,
	.cpu_seconds = 0.5,
	.resident_bytes = 12 << 20,
	.snapshots_known = true,
	.space_known = true,
	.size_known = true,
	.snapshots = 7,
	.size_bytes = 9007199254740991, /* as much as a double holds exactly */
	.free_bytes = 1,
	.total_bytes = 2,
	.queued = 3,
	.running = 4,
	.log_configured = true,
	.log_up = true,
	.log_waiting = 5,
	.log_waiting_age = 6,
	.notices_known = true,
	.notices_waiting = 9,
	.connections = 8,
};

static char *
rendered(const struct metrics_figures *figures)
{
	struct buffer text = BUFFER_INIT;

	metrics_render(figures, &text);
	return buffer_take(&text);
}

/* A whole line of the text. */
static bool
has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *p = text; (p = strstr(p, line)) != NULL; p++)
		if ((p == text || p[-1] == '\n') && p[len] == '\n')
			return true;
	return false;
}

#define assert_line(text, line) do { \
	if (!has_line(text, line)) \
		fail_msg("no line '%s' in:\n%s", line, text); \
} while (0)

static void
every_metric_of_the_table_is_told_once_with_its_help_and_type(void **state)
{
	char *text = rendered(&everything);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char *help = mem_printf("# HELP %s %s", table[i].name, table[i].help);
		char *type = mem_printf("# TYPE %s %s", table[i].name, table[i].type);
		char *series = mem_printf("\n%s", table[i].name), *at = strstr(text, type);

		assert_line(text, help);
		assert_line(text, type);
		assert_null(strstr(at + 1, type));
		assert_non_null(at = strstr(at, series));
		assert_true(at[strlen(series)] == ' ' || at[strlen(series)] == '{');
		free(help);
		free(type);
		free(series);
	}
	free(text);
}

static void
counters_end_in_total_and_nothing_else_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const char *end = table[i].name + strlen(table[i].name) - strlen("_total");

		assert_int_equal(strcmp(end, "_total") == 0,
		    strcmp(table[i].type, "counter") == 0);
	}
}

static void
values_are_exact(void **state)
{
	char *text = rendered(&everything);

	(void)state;
	assert_line(text, "holdfast_build_info{version=\"1.2.3\"} 1");
	assert_line(text, "holdfast_start_time_seconds 1795340278.244");
	assert_line(text, "holdfast_cpu_seconds_total 0.5");
	assert_line(text, "holdfast_repository_snapshots 7");
	assert_line(text, "holdfast_repository_size_bytes 9007199254740991");
	assert_line(text, "holdfast_runs_queued 3");
	assert_line(text, "holdfast_runs_running 4");
	assert_line(text, "holdfast_central_log_up 1");
	assert_line(text, "holdfast_log_waiting_rows 5");
	assert_line(text, "holdfast_log_waiting_age_seconds 6");
	assert_line(text, "holdfast_notices_waiting 9");
	assert_line(text, "holdfast_http_connections 8");
	free(text);
}

static void
each_job_has_its_series(void **state)
{
	char *text = rendered(&everything);

	(void)state;
	assert_line(text, "holdfast_jobs 2");
	assert_line(text,
	    "holdfast_job_last_success_timestamp_seconds{job_name=\"home\"} 1795330000");
	assert_line(text,
	    "holdfast_job_last_start_timestamp_seconds{job_name=\"home\"} 1795340000.5");
	assert_line(text,
	    "holdfast_job_last_finish_timestamp_seconds{job_name=\"home\"} 1795340001.75");
	assert_line(text, "holdfast_job_last_duration_seconds{job_name=\"home\"} 1.25");
	assert_line(text, "holdfast_job_last_files{job_name=\"home\"} 3");
	assert_line(text, "holdfast_job_last_size_bytes{job_name=\"home\"} 4096");
	assert_line(text, "holdfast_job_last_added_bytes{job_name=\"home\"} 512");
	assert_line(text, "holdfast_job_overdue{job_name=\"home\"} 1");
	assert_line(text, "holdfast_job_held{job_name=\"home\"} 0");
	assert_line(text,
	    "holdfast_job_next_start_timestamp_seconds{job_name=\"home\"} 1795340400");
	assert_line(text,
	    "holdfast_job_last_proof_timestamp_seconds{job_name=\"home\"} 1795300000");
	free(text);
}

static void
exactly_one_outcome_of_a_job_is_1_and_none_before_its_first_run(void **state)
{
	char *text = rendered(&everything);
	size_t ones = 0;

	(void)state;
	assert_line(text, "holdfast_job_last_outcome{job_name=\"home\",outcome=\"failed\"} 1");
	assert_line(text, "holdfast_job_last_outcome{job_name=\"home\",outcome=\"ok\"} 0");
	assert_line(text, "holdfast_job_last_proof_outcome{job_name=\"home\",outcome=\"ok\"} 1");
	for (const char *p = text; (p = strstr(p, "\nholdfast_job_last_outcome{")) != NULL; p++)
		ones += strstr(p, "} 1\n") != NULL && strstr(p, "} 1\n") < strchr(p + 1, '\n');
	assert_int_equal(ones, 1);
	free(text);
}

static void
a_name_cannot_end_its_label(void **state)
{
	char *text = rendered(&everything);

	(void)state;
	/* The printable form's backslashes are doubled once more, for the label. */
	assert_line(text, "holdfast_job_held{job_name=\"odd\\\"\\\\\\\\\\\\x0a\"} 1");
	assert_line(text, "holdfast_job_jump{job_name=\"odd\\\"\\\\\\\\\\\\x0a\"} 1");
	free(text);
}

static void
what_is_not_known_has_no_series(void **state)
{
	struct metrics_figures nothing = { .version = "0" };
	char *text = rendered(&nothing);

	(void)state;
	assert_null(strstr(text, "holdfast_repository_"));
	assert_null(strstr(text, "holdfast_log_"));
	assert_null(strstr(text, "holdfast_central_"));
	assert_null(strstr(text, "holdfast_notices_"));
	assert_null(strstr(text, "holdfast_resident_"));
	/* Counters are there from the first moment on: a rise from nothing is seen. */
	assert_line(text, "holdfast_runs_total{kind=\"backup\",outcome=\"failed\"} 0");
	assert_line(text, "holdfast_http_refused_requests_total{reason=\"unauthorized\"} 0");
	free(text);
}

static void
what_was_counted_is_told_by_its_words(void **state)
{
	struct metrics_figures figures = everything;
	int warn = metrics_outcome_of("warn");
	char *text;

	(void)state;
	assert_true(warn >= 0);
	figures.counts.runs[RUN_PRUNE][warn] = 11;
	figures.counts.requests[metrics_method_of("DELETE")][0] = 12;
	figures.counts.requests[metrics_method_of("BREW")][2] = 13;
	figures.counts.refused[ERROR_UNAUTHORIZED] = 14;
	figures.counts.refused[ERROR_UNAVAILABLE] = 15;
	text = rendered(&figures);
	assert_line(text, "holdfast_runs_total{kind=\"prune\",outcome=\"warn\"} 11");
	assert_line(text, "holdfast_http_requests_total{method=\"DELETE\",status=\"2xx\"} 12");
	assert_line(text, "holdfast_http_requests_total{method=\"other\",status=\"4xx\"} 13");
	assert_line(text, "holdfast_http_refused_requests_total{reason=\"unauthorized\"} 14");
	assert_line(text, "holdfast_http_refused_requests_total{reason=\"unavailable\"} 15");
	free(text);
}

static void
words_that_nobody_foresaw_are_not_counted_under_others(void **state)
{
	(void)state;
	assert_int_equal(metrics_outcome_of("running"), -1);
	assert_int_equal(metrics_outcome_of(""), -1);
	assert_int_equal(metrics_method_of("get"), METRICS_METHOD_other);
	assert_int_equal(metrics_method_of("other"), METRICS_METHOD_other);
	assert_int_equal(metrics_method_of("HEAD"), METRICS_METHOD_HEAD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_metric_of_the_table_is_told_once_with_its_help_and_type),
		cmocka_unit_test(counters_end_in_total_and_nothing_else_does),
		cmocka_unit_test(values_are_exact),
		cmocka_unit_test(each_job_has_its_series),
		cmocka_unit_test(exactly_one_outcome_of_a_job_is_1_and_none_before_its_first_run),
		cmocka_unit_test(a_name_cannot_end_its_label),
		cmocka_unit_test(what_is_not_known_has_no_series),
		cmocka_unit_test(what_was_counted_is_told_by_its_words),
		cmocka_unit_test(words_that_nobody_foresaw_are_not_counted_under_others),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
