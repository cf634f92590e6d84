/*
 * A program and its arguments as a setting holds them: one line of words.
 *
 * Words are separated by blanks.  '...' takes everything as it is up to the next ', "..." everything
 * up to the next " but that \" is a quote and \\ a backslash; outside of quotes a backslash takes
 * the next character as it is.  Pieces without a blank between them are one word; '' is an empty
 * one.  Nothing else is special, as no shell reads the line: and so that nobody takes it for one,
 * | & ; < > ( ) $ and ` stand in it only quoted.
 * The first word is an absolute path.
 */
#ifndef HOLDFAST_AGENT_JOBS_ARGV_H
#define HOLDFAST_AGENT_JOBS_ARGV_H

#include "shared/error.h"

#define ARGV_WORDS_MAX 200

/* ret: ends with NULL; argv_free().  ERROR_BAD_REQUEST says what is wrong with the text. */
int argv_parse(const char *text, char ***ret, struct error *err);
/* NULL is fine. */
void argv_free(char **argv);

#endif
