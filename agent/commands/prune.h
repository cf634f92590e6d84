/*
 * What `prune` and `forget` share: the rules that say what stays.
 */
#ifndef HOLDFAST_AGENT_COMMANDS_PRUNE_H
#define HOLDFAST_AGENT_COMMANDS_PRUNE_H

#include "agent/commands/session.h"

/* Rows of a command's table of options. */
/* clang-format off */
#define KEEP_OPTIONS \
	{ "keep-last",    0, OPTION_VALUE, "N", "keep the newest N snapshots" }, \
	{ "keep-hourly",  0, OPTION_VALUE, "N", "keep the newest of each of the last N hours" }, \
	{ "keep-daily",   0, OPTION_VALUE, "N", "... of the last N days that have one" }, \
	{ "keep-weekly",  0, OPTION_VALUE, "N", "... weeks" }, \
	{ "keep-monthly", 0, OPTION_VALUE, "N", "... months" }, \
	{ "keep-yearly",  0, OPTION_VALUE, "N", "... years" }, \
	{ "keep-within",  0, OPTION_VALUE, "DURATION", "keep what is younger, as 30d" }, \
	{ "job",          0, OPTION_VALUE, "NAME", "only snapshots of this job" }, \
	{ "dry-run",      0, OPTION_FLAG,  NULL, "tell what would be done, and why" }
/* clang-format on */

/* Whether the command line has rules of its own. */
bool keep_options_given(const struct session *session);

/* Do it by the rules of the command line, else by those of the settings; only: "forget" (and
 * remove nothing), or NULL.  Returns the exit status, or -1. */
int prune_by_rules(struct session *session, const char *only, struct error *err);

#endif
