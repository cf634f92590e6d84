/*
 * Reports: one SELECT in a file NAME.sql, with what it is and which parameters it takes in the
 * comments at its head:
 *
 *	-- report: employees hired in each quarter of a year, by department and job
 *	-- parameter: year integer 1000 9999
 *	SELECT ... WHERE h.datetime >= MAKEDATE(:year, 1) ...
 *
 * A parameter's type is integer (with its least and greatest value, or without), decimal, date
 * (2026-11-22) or text; it is bound wherever :NAME stands outside of quotes and comments.  All
 * are required.  Reports come with the program, and from the folder [database] reports, whose
 * files replace those of the same name.
 */
#ifndef HOLDFAST_AGENT_REPORTS_H
#define HOLDFAST_AGENT_REPORTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/mariadb.h"

#define REPORT_PARAMETERS_MAX 16
#define REPORT_VALUES_MAX 256 /* places of parameters in the statement */
#define REPORT_NAME_MAX 64

enum report_type { REPORT_INTEGER, REPORT_DECIMAL, REPORT_DATE, REPORT_TEXT };

struct report_parameter {
	char name[REPORT_NAME_MAX + 1];
	enum report_type type;
	int64_t min, max; /* of an integer */
};

struct report {
	char *name, *title;
	char *source; /* the file, for messages */
	struct report_parameter parameters[REPORT_PARAMETERS_MAX];
	size_t parameter_count;
	char *sql;    /* with "?" for each place of a parameter */
	unsigned char places[REPORT_VALUES_MAX]; /* which parameter each "?" is */
	size_t place_count;
};

/* ERROR_CONFIG with the line: a head or a statement that is none. */
int report_parse(const char *name, const char *source, const char *text, size_t len,
    struct report **ret, struct error *err);
void report_free(struct report *report);

/* By name, from the folder (or NULL) or the program.  ERROR_NOT_FOUND; ERROR_CONFIG. */
int report_find(const char *folder, const char *name, struct report **ret, struct error *err);

/*
 * All: [{"name", "title", "parameters": [{"name", "type", "min", "max"}]}] by name; one that
 * cannot be read has "error" instead.
 */
int report_list(const char *folder, json_t **ret, struct error *err);

/*
 * One parameter's value from its text, lent.  ERROR_BAD_REQUEST says what it takes.
 */
int report_value(const struct report_parameter *parameter, const char *text,
    struct mariadb_param *ret, struct error *err);
const char *report_type_word(enum report_type type);

#endif
