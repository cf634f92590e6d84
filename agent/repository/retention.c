/*
 * Which snapshots the rules keep.
 *
 * Snapshots of one job (or of none), one host and the same sources form a group. Within it, from the newest to the
 * oldest: "last n" keeps the first n; "daily n" keeps the newest of each of the n most recent
 * days that have any, and so on; "within d" keeps all that are no older than d before the newest,
 * so that a wrong clock today loses nothing. Example: daily 2 of Mon 08:00, Mon 20:00, Tue 08:00
 * keeps Mon 20:00 and Tue 08:00.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/prune.h"
#include "shared/mem.h"
#include "shared/text.h"

/* The calendar rules: where the limit stands, its word, and how a period is written. */
static const struct {
	const char *word;
	size_t offset;
	const char *format; /* for strftime: equal texts are the same period */
} calendar_rules[] = {
	{ "hourly", offsetof(struct keep_rules, hourly), "%Y-%m-%d %H" },
	{ "daily", offsetof(struct keep_rules, daily), "%Y-%m-%d" },
	{ "weekly", offsetof(struct keep_rules, weekly), "%G-W%V" },
	{ "monthly", offsetof(struct keep_rules, monthly), "%Y-%m" },
	{ "yearly", offsetof(struct keep_rules, yearly), "%Y" },
};

/* How far each rule has come within one group. */
struct group_state {
	unsigned last_kept;
	unsigned kept[ARRAY_LEN(calendar_rules)];
	char period[ARRAY_LEN(calendar_rules)][32];
	struct timespec newest;
	bool any;
};

static const char *
job_of(const struct snapshot *snapshot)
{
	return snapshot->job != NULL ? snapshot->job : "";
}

static bool
same_group(const struct snapshot *a, const struct snapshot *b)
{
	if (strcmp(job_of(a), job_of(b)) != 0 || strcmp(a->host, b->host) != 0 || strcmp(a->kind, b->kind) != 0 ||
	    a->source_count != b->source_count)
		return false;
	for (size_t i = 0; i < a->source_count; i++)
		if (strcmp(a->sources[i], b->sources[i]) != 0)
			return false;
	return true;
}

static void
keep_for(struct keep_decision *decision, const char *word, const char *detail)
{
	char *reason = mem_printf("%s %s", word, detail);

	decision->keep = true;
	json_array_append_new(decision->reasons, json_string(reason));
	free(reason);
}

static void
decide_one(const struct keep_rules *rules, struct group_state *state,
    const struct snapshot *snapshot, struct keep_decision *decision)
{
	char text[32];
	struct tm tm;

	/* One that a wrong clock has put into the future makes no other old. */
	if (!state->any) {
		struct timespec now = time_now();

		state->newest = snapshot->time.tv_sec > now.tv_sec ? now : snapshot->time;
	}
	state->any = true;
	if (state->last_kept < rules->last) {
		snprintf(text, sizeof(text), "%u", ++state->last_kept);
		keep_for(decision, "last", text);
	}
	if (rules->within_s > 0 &&
	    state->newest.tv_sec - snapshot->time.tv_sec <= rules->within_s)
		keep_for(decision, "within", "the time set");
	localtime_r(&snapshot->time.tv_sec, &tm);
	for (size_t r = 0; r < ARRAY_LEN(calendar_rules); r++) {
		const unsigned *limit = (const unsigned *)(const void *)((const char *)rules +
		    calendar_rules[r].offset);

		if (state->kept[r] >= *limit)
			continue;
		/* The formats are those of the table above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		strftime(text, sizeof(text), calendar_rules[r].format, &tm);
#pragma GCC diagnostic pop
		if (strcmp(text, state->period[r]) == 0)
			continue;
		memcpy(state->period[r], text, sizeof(text));
		state->kept[r]++;
		keep_for(decision, calendar_rules[r].word, text);
	}
}

static bool
no_rule(const struct keep_rules *rules)
{
	bool none = rules->last == 0 && rules->within_s == 0;

	for (size_t r = 0; r < ARRAY_LEN(calendar_rules); r++)
		none = none && *(const unsigned *)(const void *)((const char *)rules +
		    calendar_rules[r].offset) == 0;
	return none;
}

static const struct keep_row *
find_row(const struct keep_policy *policy, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < policy->count; i++) {
		const struct keep_row *row = &policy->rows[i];

		if ((row->host == NULL || strcmp(row->host, snapshot->host) == 0) &&
		    (row->job == NULL || strcmp(row->job, job_of(snapshot)) == 0))
			return row;
	}
	return NULL;
}

/* A job that was renamed, or left out by a slip, must not cost its snapshots. */
static void
keep_unruled(struct keep_decision *decision, const struct snapshot *snapshot)
{
	char *detail = *job_of(snapshot) == '\0' ? mem_printf("is set for host %s", snapshot->host)
	    : mem_printf("is set for job %s of host %s", snapshot->job, snapshot->host);

	keep_for(decision, "no rule", detail);
	free(detail);
}

struct keep_decision *
keep_decide(const struct keep_policy *policy, struct snapshot *const *list, size_t count)
{
	struct keep_decision *decisions = mem_calloc(count, sizeof(*decisions));
	bool *done = mem_calloc(count, sizeof(*done));

	for (size_t i = count; i-- > 0;) {
		struct group_state state = { .any = false };
		const struct keep_row *row;

		if (done[i])
			continue;
		row = find_row(policy, list[i]);
		for (size_t k = i + 1; k-- > 0;) {
			if (done[k] || !same_group(list[i], list[k]))
				continue;
			done[k] = true;
			decisions[k].reasons = json_array();
			decisions[k].origin = row != NULL ? row->origin : NULL;
			if (list[k]->pinned)
				keep_for(&decisions[k], "pinned", "by hand");
			if (row == NULL)
				keep_unruled(&decisions[k], list[k]);
			else if (no_rule(&row->keep))
				keep_for(&decisions[k], "no rule", "is set");
			else
				decide_one(&row->keep, &state, list[k], &decisions[k]);
		}
	}
	free(done);
	return decisions;
}

void
keep_decisions_free(struct keep_decision *decisions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_decref(decisions[i].reasons);
	free(decisions);
}
