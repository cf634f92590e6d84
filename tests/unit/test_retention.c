/* Which snapshots stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/repository/prune.h"
#include "shared/mem.h"
#include "shared/text.h"

#define MANY 20

struct list {
	struct snapshot *items[MANY];
	size_t count;
};

static int
group_setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static struct snapshot *
add(struct list *list, const char *time, const char *host, const char *source)
{
	struct snapshot *snapshot = MEM_NEW(struct snapshot);
	struct error err = ERROR_INIT;

	if (time_parse(time, false, &snapshot->time, &err) != 0)
		fail_msg("%s", err.message);
	snapshot->host = mem_strdup(host);
	snapshot->kind = mem_strdup("files");
	snapshot->sources = mem_calloc(1, sizeof(*snapshot->sources));
	snapshot->sources[0] = mem_strdup(source);
	snapshot->source_count = 1;
	snapshot->sequence = list->count + 1;
	list->items[list->count++] = snapshot;
	return snapshot;
}

static void
list_done(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		snapshot_free(list->items[i]);
	list->count = 0;
}

static struct keep_decision *
decide(const struct keep_rules *rules, const struct list *list)
{
	struct keep_row row = { .keep = *rules, .origin = "test" };
	struct keep_policy policy = { &row, 1 };

	return keep_decide(&policy, list->items, list->count);
}

/* One letter for each snapshot, oldest first: "k" kept, "-" not. */
static void
assert_kept(const struct keep_rules *rules, const struct list *list, const char *expected)
{
	struct keep_decision *decisions = decide(rules, list);
	char got[MANY + 1] = "";

	for (size_t i = 0; i < list->count; i++) {
		got[i] = decisions[i].keep ? 'k' : '-';
		/* Whoever stays has a reason, and only they. */
		assert_int_equal(json_array_size(decisions[i].reasons) > 0, decisions[i].keep);
	}
	assert_string_equal(got, expected);
	keep_decisions_free(decisions, list->count);
}

static void
assert_reason(const struct keep_rules *rules, const struct list *list, size_t n, size_t reason,
    const char *expected)
{
	struct keep_decision *decisions = decide(rules, list);

	assert_string_equal(json_string_value(json_array_get(decisions[n].reasons, reason)),
	    expected);
	keep_decisions_free(decisions, list->count);
}

static void
without_a_rule_everything_stays(void **state)
{
	struct keep_rules rules = { 0 };
	struct list list = { .count = 0 };

	(void)state;
	assert_kept(&rules, &list, "");
	add(&list, "2020-01-01T00:00:00Z", "a", "/srv");
	add(&list, "2026-01-01T00:00:00Z", "a", "/srv");
	assert_kept(&rules, &list, "kk");
	assert_reason(&rules, &list, 0, 0, "no rule is set");
	list_done(&list);
}

static void
the_last_are_the_newest_by_sequence(void **state)
{
	struct keep_rules rules = { .last = 2 };
	struct list list = { .count = 0 };

	(void)state;
	/* The clock went wrong in between. */
	add(&list, "2036-01-01T00:00:00Z", "a", "/srv");
	add(&list, "2026-01-01T00:00:00Z", "a", "/srv");
	add(&list, "2016-01-01T00:00:00Z", "a", "/srv");
	add(&list, "2026-01-02T00:00:00Z", "a", "/srv");
	assert_kept(&rules, &list, "--kk");
	assert_reason(&rules, &list, 3, 0, "last 1");
	assert_reason(&rules, &list, 2, 0, "last 2");
	list_done(&list);
}

static void
of_each_day_the_newest_stays(void **state)
{
	struct keep_rules rules = { .daily = 2 };
	struct list list = { .count = 0 };

	(void)state;
	add(&list, "2026-11-14T08:00:00Z", "a", "/srv");
	add(&list, "2026-11-16T08:00:00Z", "a", "/srv");
	add(&list, "2026-11-16T20:00:00Z", "a", "/srv");
	add(&list, "2026-11-17T08:00:00Z", "a", "/srv");
	assert_kept(&rules, &list, "--kk");
	assert_reason(&rules, &list, 2, 0, "daily 2026-11-16");
	/* Days without any do not count. */
	rules.daily = 3;
	assert_kept(&rules, &list, "k-kk");
	rules.daily = 100;
	assert_kept(&rules, &list, "k-kk");
	list_done(&list);
}

static void
hours_weeks_months_and_years_are_told_apart(void **state)
{
	struct keep_rules hourly = { .hourly = 9 }, weekly = { .weekly = 9 };
	struct keep_rules monthly = { .monthly = 9 }, yearly = { .yearly = 9 };
	struct list list = { .count = 0 };

	(void)state;
	add(&list, "2024-12-29T10:00:00Z", "a", "/srv"); /* Sunday of week 52 */
	add(&list, "2024-12-30T10:00:00Z", "a", "/srv"); /* Monday of week 1 of 2025 */
	add(&list, "2024-12-30T10:59:59Z", "a", "/srv");
	add(&list, "2024-12-31T23:00:00Z", "a", "/srv");
	add(&list, "2025-01-01T00:00:00Z", "a", "/srv"); /* still week 1 */
	add(&list, "2025-01-06T00:00:00Z", "a", "/srv");
	assert_kept(&hourly, &list, "k-kkkk");
	assert_kept(&weekly, &list, "k---kk");
	assert_kept(&monthly, &list, "---k-k");
	assert_kept(&yearly, &list, "---k-k");
	assert_reason(&weekly, &list, 4, 0, "weekly 2025-W01");
	list_done(&list);
}

static void
rules_add_up(void **state)
{
	struct keep_rules rules = { .last = 1, .daily = 1, .yearly = 2 };
	struct list list = { .count = 0 };

	(void)state;
	add(&list, "2025-05-01T00:00:00Z", "a", "/srv");
	add(&list, "2025-06-01T00:00:00Z", "a", "/srv");
	add(&list, "2026-06-01T00:00:00Z", "a", "/srv");
	add(&list, "2026-06-01T01:00:00Z", "a", "/srv");
	assert_kept(&rules, &list, "-k-k");
	assert_reason(&rules, &list, 3, 0, "last 1");
	assert_reason(&rules, &list, 3, 1, "daily 2026-06-01");
	assert_reason(&rules, &list, 3, 2, "yearly 2026");
	assert_reason(&rules, &list, 1, 0, "yearly 2025");
	list_done(&list);
}

static void
within_counts_from_the_newest_and_not_from_now(void **state)
{
	struct keep_rules rules = { .within_s = 86400 };
	struct list list = { .count = 0 };

	(void)state;
	add(&list, "2020-01-01T00:00:00Z", "a", "/srv");
	add(&list, "2020-01-02T00:00:00Z", "a", "/srv");
	add(&list, "2020-01-02T23:59:59Z", "a", "/srv");
	add(&list, "2020-01-03T00:00:00Z", "a", "/srv");
	assert_kept(&rules, &list, "-kkk");
	list_done(&list);
}

static void
each_host_and_source_is_kept_for_itself(void **state)
{
	struct keep_rules rules = { .last = 1 };
	struct list list = { .count = 0 };
	struct snapshot *tables;

	(void)state;
	add(&list, "2026-01-01T00:00:00Z", "a", "/srv");
	add(&list, "2026-01-02T00:00:00Z", "b", "/srv");
	add(&list, "2026-01-03T00:00:00Z", "a", "/etc");
	tables = add(&list, "2026-01-04T00:00:00Z", "a", "/srv");
	free(tables->kind);
	tables->kind = mem_strdup("tables");
	add(&list, "2026-01-05T00:00:00Z", "b", "/srv");
	assert_kept(&rules, &list, "k-kkk");
	list_done(&list);
}

static void
a_pinned_one_stays_and_takes_no_other_ones_place(void **state)
{
	struct keep_rules rules = { .last = 1 };
	struct list list = { .count = 0 };

	(void)state;
	add(&list, "2026-01-01T00:00:00Z", "a", "/srv")->pinned = true;
	add(&list, "2026-01-02T00:00:00Z", "a", "/srv");
	add(&list, "2026-01-03T00:00:00Z", "a", "/srv");
	assert_kept(&rules, &list, "k-k");
	assert_reason(&rules, &list, 0, 0, "pinned by hand");
	list_done(&list);
}

static void
days_are_those_of_the_time_zone(void **state)
{
	static const struct {
		const char *zone, *kept, *reason; /* of the last */
	} cases[] = {
		{ "UTC", "-k-k", "daily 2026-03-29" },
		/* Half past midnight there, and the clocks have gone forward since. */
		{ "CET-1CEST,M3.5.0,M10.5.0/3", "--kk", "daily 2026-03-30" },
		{ "EST5EDT,M3.2.0,M11.1.0", "-k-k", "daily 2026-03-29" },
	};
	struct keep_rules rules = { .daily = 2 };
	struct list list = { .count = 0 };

	(void)state;
	add(&list, "2026-03-28T22:30:00Z", "a", "/srv");
	add(&list, "2026-03-28T23:30:00Z", "a", "/srv");
	add(&list, "2026-03-29T21:30:00Z", "a", "/srv");
	add(&list, "2026-03-29T22:30:00Z", "a", "/srv");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setenv("TZ", cases[i].zone, 1);
		tzset();
		assert_kept(&rules, &list, cases[i].kept);
		assert_reason(&rules, &list, 3, 0, cases[i].reason);
	}
	setenv("TZ", "UTC", 1);
	tzset();
	list_done(&list);
}

static void
a_snapshot_of_the_future_makes_no_other_old(void **state)
{
	struct keep_rules rules = { .within_s = 7 * 86400 };
	struct list list = { .count = 0 };
	struct timespec then = time_now();
	char text[TIME_TEXT_SIZE];

	(void)state;
	then.tv_sec -= 40 * 86400;
	time_format(then, 0, text);
	add(&list, text, "a", "/srv");
	then.tv_sec += 38 * 86400;
	time_format(then, 0, text);
	add(&list, text, "a", "/srv");
	add(&list, "2999-01-01T00:00:00Z", "a", "/srv");
	assert_kept(&rules, &list, "-kk");
	list_done(&list);
}

static struct snapshot *
add_of_job(struct list *list, const char *time, const char *host, const char *job)
{
	struct snapshot *snapshot = add(list, time, host, "/srv");

	snapshot->job = job != NULL ? mem_strdup(job) : NULL;
	return snapshot;
}

/* One line for each snapshot, oldest first: "k" or "-", the rule's origin, the first reason. */
static void
assert_decisions(const struct keep_policy *policy, const struct list *list,
    const char *const *expected)
{
	struct keep_decision *decisions = keep_decide(policy, list->items, list->count);

	for (size_t i = 0; i < list->count; i++) {
		const char *reason = json_string_value(json_array_get(decisions[i].reasons, 0));
		char *got = mem_printf("%s %s: %s", decisions[i].keep ? "k" : "-",
		    decisions[i].origin != NULL ? decisions[i].origin : "none",
		    reason != NULL ? reason : "");

		assert_string_equal(got, expected[i]);
		free(got);
	}
	keep_decisions_free(decisions, list->count);
}

static void
each_job_is_kept_by_its_own_rules_and_for_itself(void **state)
{
	const struct keep_row rows[] = {
		{ .host = "a", .job = "home", .keep = { .last = 1 }, .origin = "job home" },
		{ .host = "a", .job = "", .keep = { .last = 2 }, .origin = "default" },
	};
	const struct keep_policy policy = { rows, ARRAY_LEN(rows) };
	static const char *const expected[] = { "- job home: ", "- default: ",
		"k default: last 2", "k job home: last 1", "k default: last 1" };
	struct list list = { .count = 0 };

	(void)state;
	/* The same folder, by a job and without one: they do not count for each other. */
	add_of_job(&list, "2026-01-01T00:00:00Z", "a", "home");
	add_of_job(&list, "2026-01-02T00:00:00Z", "a", NULL);
	add_of_job(&list, "2026-01-03T00:00:00Z", "a", NULL);
	add_of_job(&list, "2026-01-04T00:00:00Z", "a", "home");
	add_of_job(&list, "2026-01-05T00:00:00Z", "a", NULL);
	assert_decisions(&policy, &list, expected);
	list_done(&list);
}

static void
what_no_rule_fits_stays_all_of_it(void **state)
{
	const struct keep_row rows[] = {
		{ .host = "a", .job = "home", .keep = { .last = 1 }, .origin = "job home" },
		{ .host = "a", .job = "", .keep = { .last = 1 }, .origin = "default" },
	};
	const struct keep_policy policy = { rows, ARRAY_LEN(rows) }, none = { NULL, 0 };
	static const char *const expected[] = {
		"k none: no rule is set for job gone of host a",
		"k none: no rule is set for job gone of host a",
		"k none: no rule is set for job home of host b",
		"k none: no rule is set for job home of host b",
		"k none: no rule is set for host b", "k none: no rule is set for host b" };
	static const char *const without = "k none: no rule is set for host a";
	struct list list = { .count = 0 };

	(void)state;
	for (int i = 0; i < 2; i++)
		add_of_job(&list, "2026-01-01T00:00:00Z", "a", "gone");
	for (int i = 0; i < 2; i++)
		add_of_job(&list, "2026-01-01T00:00:00Z", "b", "home");
	for (int i = 0; i < 2; i++)
		add_of_job(&list, "2026-01-01T00:00:00Z", "b", NULL);
	assert_decisions(&policy, &list, expected);
	list_done(&list);
	add_of_job(&list, "2026-01-01T00:00:00Z", "a", NULL);
	assert_decisions(&none, &list, &without);
	list_done(&list);
}

static void
the_first_row_that_fits_counts(void **state)
{
	const struct keep_row rows[] = {
		{ .job = "home", .keep = { .last = 0 }, .origin = "all of home" },
		{ .keep = { .last = 1 }, .origin = "request" },
	};
	const struct keep_policy policy = { rows, ARRAY_LEN(rows) };
	static const char *const expected[] = { "k all of home: no rule is set",
		"- request: ", "k all of home: no rule is set", "k request: last 1" };
	struct list list = { .count = 0 };

	(void)state;
	add_of_job(&list, "2026-01-01T00:00:00Z", "a", "home");
	add_of_job(&list, "2026-01-02T00:00:00Z", "a", "etc");
	add_of_job(&list, "2026-01-03T00:00:00Z", "a", "home");
	add_of_job(&list, "2026-01-04T00:00:00Z", "a", "etc");
	assert_decisions(&policy, &list, expected);
	list_done(&list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_rule_everything_stays),
		cmocka_unit_test(the_last_are_the_newest_by_sequence),
		cmocka_unit_test(of_each_day_the_newest_stays),
		cmocka_unit_test(hours_weeks_months_and_years_are_told_apart),
		cmocka_unit_test(rules_add_up),
		cmocka_unit_test(within_counts_from_the_newest_and_not_from_now),
		cmocka_unit_test(each_host_and_source_is_kept_for_itself),
		cmocka_unit_test(days_are_those_of_the_time_zone),
		cmocka_unit_test(a_snapshot_of_the_future_makes_no_other_old),
		cmocka_unit_test(each_job_is_kept_by_its_own_rules_and_for_itself),
		cmocka_unit_test(what_no_rule_fits_stays_all_of_it),
		cmocka_unit_test(the_first_row_that_fits_counts),
		cmocka_unit_test(a_pinned_one_stays_and_takes_no_other_ones_place),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
